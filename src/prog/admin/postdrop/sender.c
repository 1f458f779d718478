/* Which senders a login may use: local_login_sender_maps. */
#include "addr/address.h"
#include "conf/list.h"
#include "map/map.h"
#include "prog/admin/postdrop/postdrop.h"

/* compat: "*" is anybody, "@domain" everybody there, all else one address, without case;
 * the empty sender goes by a name of its own. */
static bool
fits(struct str pattern, struct str sender)
{
	struct str local, domain;

	if (str_is(pattern, "*"))
		return true;
	if (pattern.n == 0 || pattern.p[0] != '@')
		return str_ieq(pattern, sender);
	addr_split(sender, &local, &domain);
	return domain.n > 0 && str_ieq(str_from(pattern, 1), domain);
}

static bool
is_among(struct str patterns, struct str sender)
{
	struct str pattern;

	while (str_token(&patterns, CONF_LIST_SEPARATORS, &pattern))
		if (fits(pattern, sender))
			return true;
	return false;
}

/* The first table that knows the login decides. */
static enum rc
find_patterns(struct command *c, struct map_set *maps, struct str login, struct str *out,
    struct err *e)
{
	struct str rest = c->conf.local_login_sender_maps, spec;
	enum rc rc = RC_NONE;

	while (rc == RC_NONE && conf_list_next(&rest, &spec) == RC_OK) {
		struct map *m;

		rc = map_set_open(maps, spec, 0, &m, e);
		if (rc == RC_OK)
			rc = map_find(m, login, 0, c->mem, out, e);
		if (rc != RC_OK && rc != RC_NONE)
			return err_set(e, RC_TEMP, /* compat */
			    "local_login_sender_maps table lookup error for '%.*s'",
			    STR_ARG(spec));
	}
	return rc;
}

enum rc
sender_check(struct command *c, struct str login, struct str sender, struct err *e)
{
	const struct map_env env = { .log = c->log,
		.snapshot = c->snapshot,
		.asks_remote = true,
		.asks_service = true };
	struct map_set *maps;
	struct str patterns, key = sender;
	enum rc rc;

	/* The usual case opens nothing. */
	if (str_is(c->conf.local_login_sender_maps, "static:*"))
		return RC_OK;
	if (key.n == 0)
		key = c->conf.empty_address_local_login_sender_maps_lookup_key;
	maps = map_set_new(&env);
	rc = find_patterns(c, maps, login, &patterns, e);
	map_set_free(&maps);
	if (rc == RC_TEMP || (rc == RC_OK && is_among(patterns, key)))
		return rc;
	return err_set(e, RC_PERM, "not authorized to use sender='%.*s'", /* compat */
	    STR_ARG(sender));
}
