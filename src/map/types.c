/* The list of table types: a row each. Types whose library not every host has live in a
 * shared module (plugin.c); their rows hold what must be known without it. */
#include "map/map_int.h"
#include "map/plugin.h"
#include <string.h>

#define MODULE(type_name)                                                                \
	static const struct map_type map_type_##type_name = {                            \
		.name = #type_name,                                                      \
		.traits = { .is_fixed = true, .is_remote = true },                       \
	}

MODULE(ldap);
MODULE(mysql);
MODULE(pgsql);
MODULE(sqlite);

/* Sorted by name; type_names says the same, and proxy, which opens the others. */
static const struct map_type *const types[] = {
	&map_type_btree,
	&map_type_cdb,
	&map_type_cidr,
	&map_type_debug,
	&map_type_environ,
	&map_type_fail,
	&map_type_hash,
	&map_type_inline,
	&map_type_internal,
	&map_type_ldap,
	&map_type_lmdb,
	&map_type_memcache,
	&map_type_mysql,
	&map_type_pcre,
	&map_type_pgsql,
	&map_type_pipemap,
	&map_type_randmap,
	&map_type_regexp,
	&map_type_socketmap,
	&map_type_sqlite,
	&map_type_static,
	&map_type_tcp,
	&map_type_texthash,
	&map_type_unionmap,
	&map_type_unix,
};

static const char *const type_names[] = {
	"btree",
	"cdb",
	"cidr",
	"debug",
	"environ",
	"fail",
	"hash",
	"inline",
	"internal",
	"ldap",
	"lmdb",
	"memcache",
	"mysql",
	"pcre",
	"pgsql",
	"pipemap",
	"proxy",
	"randmap",
	"regexp",
	"socketmap",
	"sqlite",
	"static",
	"tcp",
	"texthash",
	"unionmap",
	"unix",
	NULL,
};

const char *const *
map_types(void)
{
	return type_names;
}

const struct map_type *
map_type_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_is(name, types[i]->name))
			return types[i];
	return NULL;
}

struct map_traits
map_traits_of(struct str spec)
{
	const struct map_type *t;
	struct str type, name = STR("");
	bool is_proxied = str_starts(spec, STR("proxy:"));
	struct map_traits traits = { .is_fixed = true };

	if (is_proxied)
		spec = str_from(spec, 6);
	if (!str_cut(spec, ':', &type, &name))
		type = spec;
	t = map_type_find(type);
	if (t != NULL)
		traits = t->traits_of != NULL ? t->traits_of(name) : t->traits;
	if (is_proxied)
		traits.is_open_to_forgery = true;
	return traits;
}

bool
map_type_is_here(const char *name)
{
	const struct map_type *t = map_type_find(str_c(name));

	if (strcmp(name, map_type_proxy.name) == 0)
		return true;
	return t != NULL && (t->open != NULL || map_plugin_is_here(t->name, NULL));
}
