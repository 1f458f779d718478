/* Owns turning a snapshot into the typed structs of generated.h, and checking all of it.
 */
#include "base/arena.h"
#include "conf/fill_int.h"
#include "conf/params.h"
#include "conf/snapshot.h"
#include "conf/value.h"
#include <string.h>

static enum rc
store(
    const struct conf_param *p, struct str name, struct str text, void *to, struct err *e)
{
	switch (p->type) {
	case CONF_BOOL:
		return conf_value_bool(name, text, to, e);
	case CONF_INT:
	case CONF_SIZE:
		return conf_value_int(p, name, text, to, e);
	case CONF_TIME:
		return conf_value_time(p, name, text, to, e);
	case CONF_STRING:
	case CONF_LIST:
	case CONF_MAPS:
	case CONF_RESTRICTIONS:
	case CONF_RAW:
		memcpy(to, &text, sizeof(text));
		return conf_value_string(p, name, text, e);
	}
	return RC_OK;
}

/* The value of `name` as its type wants it: raw ones are not expanded. */
static enum rc
evaluate(const struct conf_fill *f, const struct conf_param *p, struct str name,
    struct str *out, struct err *e)
{
	struct str raw;
	enum rc rc;

	/* A transport need not be in master.cf: mail for it is deferred, by these limits.
	 */
	rc = conf_raw(f->snapshot, f->service, name, f->mem, &raw, e);
	if (rc == RC_NONE) {
		raw = p->def;
		rc = RC_OK;
	}
	if (rc == RC_OK && p->type != CONF_RAW)
		rc = conf_expand(f->snapshot, f->service, raw, f->mem, out, e);
	else if (rc == RC_OK)
		*out = raw;
	if (rc == RC_PERM)
		return err_in(e, rc, "parameter %.*s", STR_ARG(name));
	return rc;
}

enum rc
conf_fill_fields(const struct conf_fill *f, void *out, struct err *e)
{
	const struct conf_param *p;
	struct str name, text;
	enum rc rc;

	for (size_t i = 0; i < f->n; i++) {
		p = f->transport.n > 0 ? &conf_templates[f->fields[i].param]
				       : &conf_params[f->fields[i].param];
		name = p->name;
		if (f->transport.n > 0)
			name = arena_printf(
			    f->mem, "%.*s%.*s", STR_ARG(f->transport), STR_ARG(p->name));
		if (name.p == NULL)
			return err_set(e, RC_TEMP, "memory limit");
		rc = evaluate(f, p, name, &text, e);
		if (rc == RC_OK)
			rc = store(p, name, text, (char *)out + f->fields[i].offset, e);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* ---- checking everything ---- */

static enum rc
check_one(const struct conf_snapshot *s, const struct master_service *service,
    const struct conf_param *p, struct str name, struct err *e)
{
	struct arena *mem = arena_new((size_t)CONF_VALUE_MAX * 4);
	struct conf_fill f = { .snapshot = s, .service = service, .mem = mem };
	struct str text;
	enum rc rc;

	rc = evaluate(&f, p, name, &text, e);
	if (rc == RC_OK)
		rc = conf_value_check(p, name, text, e);
	arena_free(&mem);
	return rc;
}

/* One parameter of main.cf; what is wrong is said with the line that sets it. */
static enum rc
check_main(const struct conf_snapshot *s, const struct conf_param *p, struct str name,
    struct err *e)
{
	const struct conf_entry *at = main_cf_find(&s->main, name);
	enum rc rc = check_one(s, NULL, p, name, e);

	if (rc == RC_OK || at == NULL)
		return rc;
	return err_in(e, rc, "%.*s: line %u", STR_ARG(s->main_path), at->line);
}

static enum rc
check_service(
    const struct conf_snapshot *s, const struct master_service *v, struct err *e)
{
	const struct conf_param *p;
	struct str transport;
	enum rc rc;

	for (size_t i = 0; i < v->n_overrides; i++) {
		p = conf_param_find(v->overrides[i].name);
		if (p == NULL)
			p = conf_template_find(v->overrides[i].name, &transport);
		if (p == NULL)
			continue;
		rc = check_one(s, v, p, v->overrides[i].name, e);
		if (rc != RC_OK)
			return err_in(
			    e, rc, "%.*s: line %u", STR_ARG(s->master_path), v->line);
	}
	return RC_OK;
}

/* A host name as RFC 1123 wants it, with Postfix's words. */
static enum rc
check_hostname(const struct conf_snapshot *s, struct str parameter, struct err *e)
{
	struct arena *mem = arena_new((size_t)CONF_VALUE_MAX * 4);
	bool ok = true;
	struct str name;
	char before = '.';
	enum rc rc;

	rc = conf_get(s, NULL, parameter, mem, &name, e);
	for (size_t i = 0; rc == RC_OK && i < name.n && ok; i++) {
		char c = name.p[i];
		bool at_edge = before == '.' || i + 1 == name.n || name.p[i + 1] == '.';

		ok = ascii_isalnum(c) || c == '_' || (unsigned char)c >= 128 ||
		     (c == '-' && !at_edge) ||
		     (c == '.' && before != '.' && i + 1 < name.n);
		before = c;
	}
	if (rc == RC_OK && (!ok || name.n == 0 || name.n > 255))
		rc = err_set(e, RC_PERM,
		    "file %.*s: parameter %.*s: bad parameter value: %.*s",
		    STR_ARG(s->main_path), STR_ARG(parameter),
		    STR_ARG(name)); /* compat */
	arena_free(&mem);
	return rc;
}

/* That the names have addresses, and those of inet_interfaces are of this host. */
static enum rc
check_interfaces(const struct conf_snapshot *s, struct err *e)
{
	struct arena *mem = arena_new((size_t)CONF_VALUE_MAX * 4);
	struct conf_addresses own;
	enum rc rc = conf_own_addresses(s, NULL, true, mem, &own, e);

	arena_free(&mem);
	return rc;
}

enum rc
conf_check(const struct conf_snapshot *s, struct err *e)
{
	const struct conf_param *p;
	struct conf_protocols protocols;
	struct str transport;
	enum rc rc = RC_OK;

	/* What is set goes first, so that a mistake is reported where it stands and not
	 * at a default that refers to it. */
	for (size_t i = 0; i < s->main.n && rc == RC_OK; i++) {
		p = conf_param_find(s->main.v[i].name);
		if (p == NULL)
			p = conf_template_find(s->main.v[i].name, &transport);
		if (p != NULL)
			rc = check_main(s, p, s->main.v[i].name, e);
	}
	/* An old name has no default of its own. */
	for (size_t i = 0; i < conf_n_params && rc == RC_OK; i++)
		if (!conf_params[i].is_hidden)
			rc = check_main(s, &conf_params[i], conf_params[i].name, e);
	if (rc == RC_OK)
		rc = check_hostname(s, STR("myhostname"), e);
	if (rc == RC_OK)
		rc = check_hostname(s, STR("mydomain"), e);
	if (rc == RC_OK)
		rc = conf_protocols(s, NULL, &protocols, e);
	if (rc == RC_OK)
		rc = check_interfaces(s, e);
	for (size_t i = 0; i < s->master.n && rc == RC_OK; i++)
		rc = check_service(s, &s->master.v[i], e);
	return rc;
}
