/* Entering the sandbox: no_new_privs, Landlock, then seccomp. seccomp.c has the filter.
 *
 * Landlock says which paths, seccomp which calls. Where the kernel lacks Landlock the
 * filter still refuses to open for writing what OS_MAY_WRITE does not cover. */
#include "os/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "os/fd.h"
#include "os/sandbox_int.h"

/* Newer than the headers we may be built with. */
#define ACCESS_REFER     (UINT64_C(1) << 13) /* ABI 2 */
#define ACCESS_TRUNCATE  (UINT64_C(1) << 14) /* ABI 3 */
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define ACCESS_ABI_1     ((UINT64_C(1) << 13) - 1)

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE                                                                     \
	(ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |   \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |               \
	    LANDLOCK_ACCESS_FS_MAKE_REG | ACCESS_REFER | ACCESS_TRUNCATE)
/* What makes sense for a file that is not a directory; the kernel refuses more. */
#define ACCESS_FILE                                                                      \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |                  \
	    ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)

static uint64_t
handled(long abi)
{
	uint64_t all = ACCESS_ABI_1;

	if (abi >= 2)
		all |= ACCESS_REFER;
	if (abi >= 3)
		all |= ACCESS_TRUNCATE;
	if (abi >= 5)
		all |= ACCESS_IOCTL_DEV;
	return all;
}

static enum rc
allow_path(int ruleset, const char *path, uint64_t access, struct err *e)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	struct stat st;
	enum rc rc = RC_OK;
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES
			   ? RC_OK
			   : err_sys(e, RC_TEMP, "open %s", path);
	if (fstat(fd, &st) != 0)
		rc = err_sys(e, RC_TEMP, "stat %s", path);
	else if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= ACCESS_FILE;
	rule.parent_fd = fd;
	if (rc == RC_OK && rule.allowed_access != 0 &&
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule,
		0) != 0)
		rc = err_sys(e, RC_TEMP, "landlock_add_rule %s", path);
	os_fd_close(&fd);
	return rc;
}

static enum rc
allow_paths(int ruleset, const char *const *paths, uint64_t access, struct err *e)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; paths != NULL && paths[i] != NULL && rc == RC_OK; i++)
		rc = allow_path(ruleset, paths[i], access, e);
	return rc;
}

/* A sanitizer's report reads its own maps, and goes to the folder that HIKYAKU_REPORTS
 * names: how tests learn of it. Only in builds with a sanitizer. */
static enum rc
allow_sanitizer(int ruleset, uint64_t all, struct err *e)
{
	static const char *const reads[] = { "/proc", "/sys", NULL };
	const char *const writes[] = { getenv("HIKYAKU_REPORTS"), NULL };
	enum rc rc = allow_paths(ruleset, reads, ACCESS_READ & all, e);

	return rc == RC_OK ? allow_paths(ruleset, writes, ACCESS_WRITE & all, e) : rc;
}

static enum rc
fill_ruleset(int fd, const struct os_sandbox *s, uint64_t all, struct err *e)
{
	enum rc rc = os_sandbox_is_sanitized() ? allow_sanitizer(fd, all, e) : RC_OK;

	if (rc == RC_OK && (s->may & (OS_MAY_READ | OS_MAY_WRITE)) != 0)
		rc = allow_paths(fd, s->read, ACCESS_READ & all, e);
	if (rc == RC_OK && (s->may & OS_MAY_WRITE) != 0)
		rc = allow_paths(fd, s->write, ACCESS_WRITE & all, e);
	if (rc == RC_OK && syscall(SYS_landlock_restrict_self, fd, 0) != 0)
		rc = err_sys(e, RC_TEMP, "landlock_restrict_self");
	return rc;
}

static enum rc
enter_landlock(const struct os_sandbox *s, struct os_sandbox_got *got, struct err *e)
{
	struct landlock_ruleset_attr attr = { 0 };
	long abi = syscall(
	    SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	enum rc rc;
	int fd;

	if (abi < 1) {
		got->why = "this kernel has no Landlock";
		return RC_OK;
	}
	attr.handled_access_fs = handled(abi);
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return err_sys(e, RC_TEMP, "landlock_create_ruleset");
	rc = fill_ruleset(fd, s, attr.handled_access_fs, e);
	os_fd_close(&fd);
	got->has_landlock = rc == RC_OK;
	return rc;
}

enum rc
os_sandbox_enter(const struct os_sandbox *s, struct os_sandbox_got *out, struct err *e)
{
	struct os_sandbox_got got = { 0 };
	enum rc rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_sys(e, RC_TEMP, "prctl PR_SET_NO_NEW_PRIVS");
	rc = enter_landlock(s, &got, e);
	if (rc == RC_OK)
		rc = os_seccomp_enter(s, &got, e);
	if (rc == RC_OK)
		*out = got;
	return rc;
}
