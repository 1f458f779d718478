/* The routing and access configuration of a process, its open tables, and the answers. */
#include "agent/decide.h"
#include "agent/decide_int.h"
#include "agent/lookup_tables.h"
#include "conf/snapshot.h"
#include "log/log.h"
#include "loop/loop.h"
#include "map/proxy.h"
#include "milter/policy.h"
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX ((size_t)64 << 20)

struct decide {
	struct arena *mem;
	struct map_set *maps;
	bool has_own_maps;
	bool asks_closed;
	const struct conf_snapshot *snapshot;
	const struct lookup_tables *listed; /* NULL: not needed so far */
	struct decide_sources sources;
	struct route_conf route;
	struct access_conf access;
	struct log *log;
};

void
decide_free(struct decide **dp)
{
	struct decide *d = *dp;

	if (d == NULL)
		return;
	if (d->has_own_maps)
		map_set_free(&d->maps);
	arena_free(&d->mem);
	free(d);
	*dp = NULL;
}

const struct route_conf *
decide_route(const struct decide *d)
{
	return &d->route;
}

const struct access_conf *
decide_access(const struct decide *d)
{
	return &d->access;
}

/* ---- opening tables ---- */

/* A proxy: table is opened here when proxy_read_maps lists it; others are left to
 * `lookup`, which says why it refuses them. */
static enum rc
is_left_to_lookup(struct decide *d, struct str spec, bool *out, struct err *e)
{
	const struct lookup_table *t;
	enum rc rc = RC_OK;

	*out = false;
	if (!str_starts(spec, STR("proxy:")))
		return RC_OK;
	if (d->listed == NULL)
		rc = lookup_tables_make(d->snapshot, d->mem, &d->listed, e);
	if (rc != RC_OK)
		return rc;
	t = lookup_tables_find(d->listed, lookup_tables_strip(spec));
	*out = t == NULL || !t->is_readable;
	return RC_OK;
}

static enum rc
open_table(struct decide *d, struct str spec, unsigned flags, struct err *e)
{
	unsigned map_flags = ((flags & ASK_NO_SUBST) != 0 ? MAP_NO_SUBST : 0) |
			     ((flags & ASK_PARANOID) != 0 ? MAP_PARANOID : 0);
	struct map *unused;
	bool is_left;
	enum rc rc = is_left_to_lookup(d, spec, &is_left, e);

	if (rc != RC_OK || is_left)
		return rc;
	return map_set_open(d->maps, spec, map_flags, &unused, e);
}

enum rc
decide_open_tables(struct decide *d, struct str text, unsigned flags,
    struct ask_tables *out, struct err *e)
{
	struct ask_tables t;
	struct str *v;
	enum rc rc;

	text = arena_str(d->mem, text);
	if (text.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	rc = ask_tables_parse(text, d->mem, &t, e);
	if (rc != RC_OK)
		return rc;
	v = arena_array(d->mem, t.n + 1, sizeof(*v));
	if (v == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	for (unsigned i = 0; rc == RC_OK && i < t.n; i++) {
		/* compat: what is sensitive is opened without the proxy. */
		v[i] = (flags & ASK_PARANOID) != 0 ? lookup_tables_strip(t.v[i]) : t.v[i];
		rc = open_table(d, v[i], flags, e);
	}
	if (rc == RC_OK)
		*out = (struct ask_tables){ .v = v, .n = t.n, .flags = flags };
	return rc;
}

enum rc
decide_open_list(struct decide *d, struct str text, enum route_list_kind kind,
    struct route_list *out, struct err *e)
{
	struct route_list l;
	enum rc rc = decide_list_text(text, d->mem, &text, e);

	if (rc == RC_OK)
		rc = route_list_parse(text, kind, d->mem, &l, e);
	for (unsigned i = 0; rc == RC_OK && i < l.n; i++) {
		if (l.v[i].kind == ROUTE_ITEM_TABLE)
			rc = open_table(d, l.v[i].text, 0, e);
		else if (l.v[i].kind == ROUTE_ITEM_BAD && d->log != NULL)
			log_warn(d->log, "bad network or name in a list: \"%.*s\"",
			    STR_ARG(l.v[i].text));
	}
	if (rc == RC_OK)
		*out = l;
	return rc;
}

static enum route_list_kind
list_kind(struct str parents, const char *name)
{
	return route_parent_matches(parents, name) ? ROUTE_LIST_PARENTS
						   : ROUTE_LIST_DOMAIN;
}

/* ---- the routing configuration ---- */

static void
copy_values(const struct conf_route *c, struct route_conf *r)
{
	*r = (struct route_conf){
		.myorigin = c->myorigin,
		.mydomain = c->mydomain,
		.myhostname = c->myhostname,
		.remote_header_rewrite_domain = c->remote_header_rewrite_domain,
		.recipient_delimiter = c->recipient_delimiter,
		.double_bounce_sender = c->double_bounce_sender,
		.empty_address_recipient = c->empty_address_recipient,
		.append_at_myorigin = c->append_at_myorigin,
		.append_dot_mydomain = c->append_dot_mydomain,
		.swap_bangpath = c->swap_bangpath,
		.allow_percent_hack = c->allow_percent_hack,
		.allow_min_user = c->allow_min_user,
		.resolve_dequoted_address = c->resolve_dequoted_address,
		.resolve_null_domain = c->resolve_null_domain,
		.resolve_numeric_domain = c->resolve_numeric_domain,
		.utf8_domains = c->smtputf8_enable,
		.local_transport = c->local_transport,
		.virtual_transport = c->virtual_transport,
		.relay_transport = c->relay_transport,
		.default_transport = c->default_transport,
		.relayhost = c->relayhost,
		.empty_address_relayhost_maps_lookup_key =
		    c->empty_address_relayhost_maps_lookup_key,
		.empty_address_default_transport_maps_lookup_key =
		    c->empty_address_default_transport_maps_lookup_key,
		.owner_request_special = c->owner_request_special,
		.relocated_prefix_enable = c->relocated_prefix_enable,
		.show_user_unknown_table_name = c->show_user_unknown_table_name,
		.transport_parents = route_parent_matches(
		    c->parent_domain_matches_subdomains, "transport_maps"),
	};
}

static enum rc
open_lists(struct decide *d, const struct conf_route *c, struct err *e)
{
	const struct {
		const char *name;
		struct str text;
		enum route_list_kind kind;
		struct route_list *out;
	} lists[] = {
		{ "mydestination", c->mydestination, ROUTE_LIST_STRING,
		    &d->route.mydestination },
		{ "virtual_alias_domains", c->virtual_alias_domains, ROUTE_LIST_STRING,
		    &d->route.virtual_alias_domains },
		{ "virtual_mailbox_domains", c->virtual_mailbox_domains,
		    ROUTE_LIST_STRING, &d->route.virtual_mailbox_domains },
		{ "relay_domains", c->relay_domains,
		    list_kind(c->parent_domain_matches_subdomains, "relay_domains"),
		    &d->route.relay_domains },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		enum rc rc =
		    decide_open_list(d, lists[i].text, lists[i].kind, lists[i].out, e);

		if (rc != RC_OK)
			return err_in(e, rc, "parameter %s", lists[i].name);
	}
	return RC_OK;
}

static enum rc
open_route_tables(struct decide *d, const struct decide_request *req, struct err *e)
{
	struct route_conf *r = &d->route;
	const struct {
		const char *name;
		struct ask_tables *out;
		unsigned flags;
	} tables[] = {
		{ "transport_maps", &r->transport_maps, ASK_NO_SUBST },
		{ "virtual_alias_maps", &r->virtual_alias_maps, 0 },
		{ "canonical_maps", &r->canonical_maps, 0 },
		{ "recipient_canonical_maps", &r->recipient_canonical_maps, 0 },
		{ "sender_canonical_maps", &r->sender_canonical_maps, 0 },
		{ "relocated_maps", &r->relocated_maps, 0 },
		{ "sender_dependent_relayhost_maps", &r->sender_dependent_relayhost_maps,
		    ASK_NO_SUBST },
		{ "sender_dependent_default_transport_maps",
		    &r->sender_dependent_default_transport_maps, ASK_NO_SUBST },
		{ "local_recipient_maps", &r->local_recipient_maps, 0 },
		{ "virtual_mailbox_maps", &r->virtual_mailbox_maps, 0 },
		{ "relay_recipient_maps", &r->relay_recipient_maps, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		struct str text;
		enum rc rc = conf_get(
		    req->snapshot, req->service, str_c(tables[i].name), d->mem, &text, e);

		if (rc == RC_OK)
			rc = decide_open_tables(
			    d, text, tables[i].flags, tables[i].out, e);
		if (rc != RC_OK && rc != RC_NONE)
			return err_in(e, rc, "parameter %s", tables[i].name);
	}
	return RC_OK;
}

static enum rc
fill_route(struct decide *d, const struct decide_request *req, struct err *e)
{
	struct conf_addresses own = { 0 };
	struct conf_route c;
	enum rc rc = conf_fill_route(req->snapshot, req->service, d->mem, &c, e);

	if (rc != RC_OK)
		return rc;
	copy_values(&c, &d->route);
	if (req->only_search)
		return RC_OK;
	rc = conf_own_addresses(req->snapshot, req->service, true, d->mem, &own, e);
	d->route.own_addrs = own.v;
	d->route.n_own_addrs = (unsigned)own.n;
	if (rc == RC_OK)
		rc = open_lists(d, &c, e);
	if (rc == RC_OK)
		rc = open_route_tables(d, req, e);
	return rc;
}

enum rc
decide_new(const struct decide_request *req, struct decide **out, struct err *e)
{
	struct decide *d = mem_get(sizeof(*d));
	const struct map_env env = { .log = req->log,
		.snapshot = req->snapshot,
		.service = req->service,
		.asks_remote = req->asks_remote,
		.asks_service = req->asks_remote,
		.asks_closed = req->asks_closed };
	enum rc rc;

	d->mem = arena_new(ARENA_MAX);
	d->log = req->log;
	d->snapshot = req->snapshot;
	d->asks_closed = req->asks_closed;
	d->has_own_maps = req->share == NULL;
	d->maps = d->has_own_maps ? map_set_new(&env) : req->share->maps;
	d->access.route = &d->route;
	rc = fill_route(d, req, e);
	if (rc == RC_OK && !req->only_search)
		rc = decide_access_fill(d, req, d->mem, &d->access, e);
	if (rc != RC_OK) {
		decide_free(&d);
		return rc;
	}
	*out = d;
	return RC_OK;
}

/* ---- for the sandbox ---- */

static enum rc
note_unix(void *arg, struct str service, struct err *e)
{
	struct str endpoint, rest;

	if (milter_policy_service(service, &endpoint, &rest, e) == RC_OK &&
	    !str_starts(endpoint, STR("inet:")))
		*(bool *)arg = true;
	return RC_OK;
}

bool
decide_asks_unix_policy(const struct decide *d)
{
	const struct access_conf *c = &d->access;
	bool found = false;

	for (size_t i = 0; i < ARRAY_LEN(c->list); i++)
		(void)!access_each_service(&c->list[i], note_unix, &found, NULL);
	for (unsigned i = 0; i < c->classes.n; i++)
		(void)!access_each_service(
		    &c->classes.v[i].list, note_unix, &found, NULL);
	return found;
}

void
decide_folders_add(struct decide_folders *f, struct str folder)
{
	for (size_t i = 0; i < f->n; i++)
		if (str_is(folder, f->v[i]))
			return;
	if (f->n < DECIDE_FOLDERS_MAX &&
	    (f->v[f->n] = arena_cstr(f->mem, folder)) != NULL)
		f->n++;
}

/* The folder, not the file: a table is replaced by a file of the same name. */
static void
add_folder_of(void *ctx, struct str path)
{
	size_t at = str_rfind(path, '/');

	if (at < path.n)
		decide_folders_add(ctx, at > 0 ? str_head(path, at) : STR("/"));
}

void
decide_folders_of(const struct decide *d, struct decide_folders *f)
{
	map_set_paths(d->maps, add_folder_of, f);
}

/* ---- answers ---- */

unsigned
decide_map_flags(unsigned flags)
{
	return ((flags & ASK_PARTIAL) != 0 ? MAP_PARTIAL : 0) |
	       ((flags & ASK_NOFOLD) != 0 ? MAP_NOFOLD : 0) |
	       ((flags & ASK_NO_SUBST) != 0 ? MAP_NO_SUBST : 0) |
	       ((flags & ASK_PARANOID) != 0 ? MAP_PARANOID : 0);
}

static enum rc
answer_now(void *ctx, const struct ask_question *q, struct arena *mem, struct str *out)
{
	struct decide *d = ctx;
	struct err e = { 0 };
	struct map *m;
	enum rc rc;

	if (q->kind != ASK_MAP)
		return RC_MORE;
	m = map_set_get(d->maps, q->source);
	if (m == NULL && str_starts(q->source, STR("proxy:")))
		return RC_MORE;
	if (m == NULL) {
		*out = STR("the table is not open");
		return RC_TEMP;
	}
	rc = map_find(m, q->key, decide_map_flags(q->flags), mem, out, &e);
	if (rc == RC_TEMP && d->asks_closed && !map_is_open(m))
		return RC_MORE;
	if (rc == RC_TEMP)
		*out = arena_str(mem, str_c(e.text));
	return rc;
}

void
decide_begin(struct decide *d, struct ask *a, struct arena *mem, int64_t now_us)
{
	map_set_refresh(d->maps, now_us);
	ask_init(a, mem, 0);
	a->now = answer_now;
	a->now_ctx = d;
}

void
decide_use(struct decide *d, const struct decide_sources *s)
{
	d->sources = *s;
}

const struct decide_sources *
decide_sources(const struct decide *d)
{
	return &d->sources;
}
