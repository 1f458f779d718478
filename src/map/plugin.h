#ifndef MAP_PLUGIN_H
#define MAP_PLUGIN_H
#include "map/map_int.h"

/* Table types in shared modules, for libraries that not every host has (SQL, LDAP):
 * map_NAME.so in ../lib/hikyaku/ as seen from the program's own file. A row in types.c
 * has the name and the traits and no `open`; the module has the code. Only who asks
 * remote tables loads one, when the first table of the type is opened.
 *
 * A module is one file of src/map/plugin (and what it needs) that defines
 *     const struct map_type map_plugin_type = { … };
 * and a line in lib/hikyaku/meson.build. It is linked with its own copies of the lower
 * folders and shares no state with the program; plugin_abi.c, which is linked into both,
 * makes sure that both come from the same build. */
#define MAP_PLUGIN_EXPORT __attribute__((visibility("default")))

struct map_plugin_abi {
	char version[24];
	unsigned type_size, how_size, env_size;
};

extern MAP_PLUGIN_EXPORT const struct map_type map_plugin_type;
extern MAP_PLUGIN_EXPORT const struct map_plugin_abi map_plugin_abi;

/* `folder`: where the modules are; NULL: the place said above.
 * Returns: RC_PERM not installed, or of another version; never in a program that runs
 * with more rights than its caller: the place of its file is the caller's choice.
 * Blocks:  on the disk. The module stays until the program ends. */
MUST_USE enum rc map_plugin_load(
    const char *name, const char *folder, const struct map_type **out, struct err *e);
bool map_plugin_is_here(const char *name, const char *folder);
#endif
