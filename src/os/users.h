#ifndef OS_USERS_H
#define OS_USERS_H
#include "base/base.h"
#include <sys/types.h>

/* Who we are and whom we become. The "ordinary user" mode: when not started by root,
 * nobody changes uid and os_users_drop() does nothing. */
struct os_user {
	uid_t uid;
	gid_t gid;
};

/* A user name, or a group name. RC_PERM: there is none such. */
MUST_USE enum rc os_users_find(const char *name, struct os_user *out, struct err *e);
MUST_USE enum rc os_users_find_group(const char *name, gid_t *out, struct err *e);
bool os_users_is_root(void);

/* Becomes `user` for ever: supplementary groups {gid, extra_gid if not -1}, all three
 * ids, no way back (checked). With `keep_setid` CAP_SETUID and CAP_SETGID stay permitted
 * and effective, for setfsuid; everything else goes in any case. Not root: RC_OK, nothing
 * is changed. */
struct os_users_drop {
	struct os_user user;
	gid_t extra_gid; /* (gid_t)-1: none */
	bool keep_setid;
};
MUST_USE enum rc os_users_drop(const struct os_users_drop *d, struct err *e);

/* For a few calls on paths in folders that `user` may write: root makes, opens and
 * changes there only what that user could, so that a link planted there leads nowhere.
 * Whoever begins ends. Both do nothing when not root. The end cannot fail: it aborts
 * instead of going on with the wrong ids. */
MUST_USE enum rc os_users_act_as(const struct os_user *user, struct err *e);
void os_users_act_as_root(void);
#endif
