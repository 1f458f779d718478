/* Loading of table types from shared modules. */
#include "map/plugin.h"
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* Where the module is: `folder`, or ../lib/hikyaku beside the folder of the program. */
static enum rc
module_path(const char *name, const char *folder, char out[PATH_MAX], struct err *e)
{
	char exe[PATH_MAX];
	ssize_t n;
	int len;

	/* A set-gid program may be linked to from anybody's folder. */
	if (getauxval(AT_SECURE) != 0)
		return err_set(e, RC_PERM,
		    "tables of type %s are not for programs with special rights", name);
	if (folder == NULL) {
		n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
		if (n <= 0)
			return err_sys(e, RC_PERM, "readlink /proc/self/exe");
		exe[n] = '\0';
		*strrchr(exe, '/') = '\0';
		len = snprintf(out, PATH_MAX, "%s/../lib/hikyaku/map_%s.so", exe, name);
	} else {
		len = snprintf(out, PATH_MAX, "%s/map_%s.so", folder, name);
	}
	if (len < 0 || len >= PATH_MAX)
		return err_set(e, RC_PERM, "path of map_%s.so is too long", name);
	return RC_OK;
}

bool
map_plugin_is_here(const char *name, const char *folder)
{
	char path[PATH_MAX];

	return module_path(name, folder, path, NULL) == RC_OK && access(path, R_OK) == 0;
}

enum rc
map_plugin_load(
    const char *name, const char *folder, const struct map_type **out, struct err *e)
{
	const struct map_plugin_abi *abi;
	const struct map_type *type;
	char path[PATH_MAX];
	enum rc rc = module_path(name, folder, path, e);
	void *module;

	if (rc != RC_OK)
		return rc;
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return err_set(e, RC_PERM,
		    "unsupported dictionary type: %s. Is the hikyaku-%s package "
		    "installed?", /* compat */
		    name, name);
	/* Loaded again it is the same one, counted; it is never let go. */
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (module == NULL)
		return err_set(e, RC_PERM, "%s", dlerror());
	abi = dlsym(module, "map_plugin_abi");
	type = dlsym(module, "map_plugin_type");
	if (abi == NULL || type == NULL)
		return err_set(e, RC_PERM, "%s is not a module of tables", path);
	if (memcmp(abi, &map_plugin_abi, sizeof(*abi)) != 0)
		return err_set(e, RC_PERM, "%s is of version %.*s, this program of %s",
		    path, (int)sizeof(abi->version), abi->version,
		    map_plugin_abi.version);
	*out = type;
	return RC_OK;
}
