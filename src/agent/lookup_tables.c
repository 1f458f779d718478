#include "agent/lookup_tables.h"
#include "base/arena.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include "map/proxy.h"
#include <string.h>

#define DEPTH_MAX 4 /* of braces: check_client_access { type:name, … } */

struct lookup_tables {
	struct lookup_table v[LOOKUP_TABLES_MAX];
	size_t n;
};

/* What a value is being read for. */
enum purpose { TO_ASK, TO_READ, TO_WRITE };

struct reading {
	const struct conf_snapshot *s;
	const struct master_service *service;
	struct lookup_tables *t;
	struct arena *mem;
};

struct str
lookup_tables_strip(struct str spec)
{
	while (str_starts(spec, STR("proxy:")))
		spec = str_from(spec, 6);
	return spec;
}

static struct lookup_table *
find(struct lookup_tables *t, struct str spec)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].spec.n == spec.n && str_eq(t->v[i].spec, spec))
			return &t->v[i];
	return NULL;
}

/* "unix:private/policy", "unix:/run/milter.sock": where a helper listens. The tables of
 * that type are passwd.byname and group.byname. */
static bool
is_socket(struct str spec)
{
	return str_starts(spec, STR("unix:")) && !str_ends(spec, STR(".byname"));
}

static enum rc
add(struct reading *r, struct str token, enum purpose purpose, struct err *e)
{
	struct str spec = lookup_tables_strip(token);
	bool is_proxied = spec.n != token.n;
	struct lookup_table *it;

	/* compat: what stands there without proxy: is not listed. */
	if ((purpose != TO_ASK && !is_proxied) || is_socket(spec) ||
	    !map_spec_is_known(spec))
		return RC_OK;
	it = find(r->t, spec);
	if (it == NULL) {
		if (r->t->n == LOOKUP_TABLES_MAX)
			return err_set(e, RC_PERM, "too many lookup tables");
		it = &r->t->v[r->t->n];
		it->spec = arena_str(r->mem, spec);
		if (it->spec.p == NULL)
			return err_set(e, RC_TEMP, "memory limit");
		it->is_remote = map_spec_is_remote(spec);
		r->t->n++;
	}
	it->is_named = it->is_named || purpose == TO_ASK;
	it->is_readable = it->is_readable || purpose == TO_READ;
	it->is_writable = it->is_writable || purpose == TO_WRITE;
	it->is_proxied = it->is_proxied || is_proxied;
	return RC_OK;
}

static enum rc
read_text(
    struct reading *r, struct str text, enum purpose purpose, int depth, struct err *e)
{
	struct str item;
	enum rc rc = RC_OK;

	while (rc == RC_OK && conf_list_next(&text, &item) == RC_OK) {
		if (conf_list_is_braced(item)) {
			if (depth < DEPTH_MAX)
				rc = read_text(
				    r, conf_list_unbrace(item), purpose, depth + 1, e);
			continue;
		}
		while (item.n > 0 && item.p[0] == '!')
			item = str_from(item, 1);
		rc = add(r, item, purpose, e);
	}
	return rc;
}

static bool
is_list_of_proxied(struct str name)
{
	return str_is(name, "proxy_read_maps") || str_is(name, "proxy_write_maps");
}

static enum rc
read_value(struct reading *r, struct str name, enum purpose purpose, struct err *e)
{
	struct arena *scratch = arena_new(4 * CONF_VALUE_MAX);
	struct str text;
	enum rc rc = RC_OK;

	if (conf_get(r->s, r->service, name, scratch, &text, NULL) == RC_OK)
		rc = read_text(r, text, purpose, 0, e);
	arena_free(&scratch);
	return rc;
}

/* A service's overrides change what the values of main.cf expand to. */
static enum rc
read_service(struct reading *r, struct err *e)
{
	const struct main_cf *m = &r->s->main;
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < m->n; i++)
		if (!is_list_of_proxied(m->v[i].name))
			rc = read_value(r, m->v[i].name, TO_ASK, e);
	for (size_t i = 0; rc == RC_OK && i < r->s->n_extra; i++)
		rc = read_value(r, r->s->extra[i].name, TO_ASK, e);
	if (r->service == NULL)
		return rc;
	for (size_t i = 0; rc == RC_OK && i < r->service->n_overrides; i++)
		if (!is_list_of_proxied(r->service->overrides[i].name))
			rc = read_value(r, r->service->overrides[i].name, TO_ASK, e);
	return rc;
}

static bool
is_proxymap(const struct master_service *s)
{
	return str_is(s->command, "proxymap") || str_ends(s->command, STR("/proxymap"));
}

enum rc
lookup_tables_make(const struct conf_snapshot *s, struct arena *mem,
    const struct lookup_tables **out, struct err *e)
{
	struct reading r = { .s = s, .mem = mem };
	enum rc rc;

	r.t = arena_get(mem, sizeof(*r.t));
	if (r.t == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	rc = read_service(&r, e);
	if (rc == RC_OK)
		rc = read_value(&r, STR("proxy_read_maps"), TO_READ, e);
	if (rc == RC_OK)
		rc = read_value(&r, STR("proxy_write_maps"), TO_WRITE, e);
	for (size_t i = 0; rc == RC_OK && i < s->master.n; i++) {
		r.service = &s->master.v[i];
		if (r.service->n_overrides == 0)
			continue;
		rc = read_service(&r, e);
		if (rc == RC_OK && is_proxymap(r.service))
			rc = read_value(&r, STR("proxy_read_maps"), TO_READ, e);
		if (rc == RC_OK && is_proxymap(r.service))
			rc = read_value(&r, STR("proxy_write_maps"), TO_WRITE, e);
	}
	if (rc == RC_OK)
		*out = r.t;
	return rc;
}

const struct lookup_table *
lookup_tables_find(const struct lookup_tables *t, struct str spec)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].spec.n == spec.n && str_eq(t->v[i].spec, spec))
			return &t->v[i];
	return NULL;
}

const struct lookup_table *
lookup_tables_at(const struct lookup_tables *t, size_t at)
{
	return &t->v[at];
}

size_t
lookup_tables_count(const struct lookup_tables *t)
{
	return t->n;
}

bool
lookup_tables_are_asked(const struct lookup_tables *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].is_named &&
		    (t->v[i].is_remote || (t->v[i].is_proxied && !t->v[i].is_readable)))
			return true;
	return false;
}
