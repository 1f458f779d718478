/* Users and capabilities; see users.h. Capabilities by the raw calls: two words need no
 * library. */
#include "os/users.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOKUP_MAX = 64 << 10 };

enum rc
os_users_find(const char *name, struct os_user *out, struct err *e)
{
	struct passwd pw, *found = NULL;
	char *space = mem_get(LOOKUP_MAX);
	int error = getpwnam_r(name, &pw, space, LOOKUP_MAX, &found);

	if (found != NULL)
		*out = (struct os_user){ pw.pw_uid, pw.pw_gid };
	free(space);
	if (found != NULL)
		return RC_OK;
	if (error != 0 && error != ENOENT && error != ESRCH) {
		errno = error;
		return err_sys(e, RC_TEMP, "user %s", name);
	}
	return err_set(e, RC_PERM, "unknown user: %s", name);
}

enum rc
os_users_find_group(const char *name, gid_t *out, struct err *e)
{
	struct group gr, *found = NULL;
	char *space = mem_get(LOOKUP_MAX);
	int error = getgrnam_r(name, &gr, space, LOOKUP_MAX, &found);

	if (found != NULL)
		*out = gr.gr_gid;
	free(space);
	if (found != NULL)
		return RC_OK;
	if (error != 0 && error != ENOENT && error != ESRCH) {
		errno = error;
		return err_sys(e, RC_TEMP, "group %s", name);
	}
	return err_set(e, RC_PERM, "unknown group: %s", name);
}

bool
os_users_is_root(void)
{
	return geteuid() == 0;
}

enum { KEPT_CAPS = 1u << CAP_SETUID | 1u << CAP_SETGID };

static enum rc
set_caps(uint32_t caps, struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = caps,
	    .permitted = caps } };

	if (syscall(SYS_capset, &head, data) != 0)
		return err_sys(e, RC_TEMP, "capset");
	return RC_OK;
}

/* What is out of the bounding set cannot come back through a file's capabilities. The
 * kernel ends the walk by EINVAL behind its last capability. */
static enum rc
drop_bounding(uint32_t keep, struct err *e)
{
	for (unsigned cap = 0; cap < 64; cap++) {
		if (cap < 32 && (keep >> cap & 1) != 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			return RC_OK;
		/* In a container CAP_SETPCAP may be missing: nothing to gain there. */
		if (errno == EPERM)
			return RC_OK;
		return err_sys(e, RC_TEMP, "prctl PR_CAPBSET_DROP");
	}
	return RC_OK;
}

static enum rc
check_dropped(const struct os_users_drop *d, struct err *e)
{
	uid_t u[3];
	gid_t g[3];

	if (getresuid(&u[0], &u[1], &u[2]) != 0 || getresgid(&g[0], &g[1], &g[2]) != 0)
		return err_sys(e, RC_TEMP, "getresuid");
	for (unsigned i = 0; i < 3; i++)
		if (u[i] != d->user.uid || g[i] != d->user.gid)
			return err_set(e, RC_TEMP, "ids are not what was asked for");
	if (!d->keep_setid && d->user.uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
		return err_set(e, RC_TEMP, "root came back");
	return RC_OK;
}

enum rc
os_users_drop(const struct os_users_drop *d, struct err *e)
{
	gid_t groups[2] = { d->user.gid, d->extra_gid };
	uint32_t keep = d->keep_setid ? KEPT_CAPS : 0;
	enum rc rc;

	if (!os_users_is_root())
		return RC_OK;
	rc = drop_bounding(keep, e);
	if (rc != RC_OK)
		return rc;
	if (setgroups(d->extra_gid == (gid_t)-1 ? 1 : 2, groups) != 0)
		return err_sys(e, RC_TEMP, "setgroups");
	if (keep != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return err_sys(e, RC_TEMP, "prctl PR_SET_KEEPCAPS");
	if (setresgid(d->user.gid, d->user.gid, d->user.gid) != 0)
		return err_sys(e, RC_TEMP, "setresgid");
	if (setresuid(d->user.uid, d->user.uid, d->user.uid) != 0)
		return err_sys(e, RC_TEMP, "setresuid");
	rc = set_caps(keep, e);
	if (rc == RC_OK && keep != 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0)
		rc = err_sys(e, RC_TEMP, "prctl PR_SET_KEEPCAPS");
	return rc == RC_OK ? check_dropped(d, e) : rc;
}

enum rc
os_users_act_as(const struct os_user *user, struct err *e)
{
	if (getuid() != 0)
		return RC_OK;
	if (setegid(user->gid) != 0)
		return err_sys(e, RC_TEMP, "setegid");
	if (seteuid(user->uid) == 0)
		return RC_OK;
	os_users_act_as_root();
	return err_sys(e, RC_TEMP, "seteuid");
}

void
os_users_act_as_root(void)
{
	int error = errno; /* of what was done meanwhile */

	if (getuid() == 0 && (seteuid(0) != 0 || setegid(0) != 0))
		abort();
	errno = error;
}
