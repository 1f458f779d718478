/* What a program and its modules must agree on. Linked into both. */
#include "map/plugin.h"

const struct map_plugin_abi map_plugin_abi = {
	.version = HK_VERSION,
	.type_size = sizeof(struct map_type),
	.how_size = sizeof(struct map_how),
	.env_size = sizeof(struct map_env),
};
