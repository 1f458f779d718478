/* Owns the judgement of mail_owner, default_privs and setgid_group: that they exist, have
 * no privileges, and are nobody else under another name. Messages are Postfix's. */
#include "base/arena.h"
#include "conf/snapshot.h"
#include "os/users.h"
#include <grp.h>
#include <pwd.h>
#include <string.h>

#define NAMES_MAX (64 << 10)

struct owner {
	const char *parameter, *name;
	struct os_user ids;
};

#define SAY(fmt) "file %.*s: parameter" fmt
#define WHO(s)   STR_ARG((s)->main_path)

static enum rc
look_up(const struct conf_snapshot *s, struct arena *mem, struct owner *o, struct err *e)
{
	struct str name;
	enum rc rc = conf_get(s, NULL, str_c(o->parameter), mem, &name, e);

	if (rc != RC_OK)
		return rc;
	o->name = arena_cstr(mem, name);
	return o->name != NULL ? RC_OK : err_set(e, RC_TEMP, "memory limit");
}

/* compat, as every text here */
static enum rc
check_user(
    const struct conf_snapshot *s, struct arena *mem, struct owner *o, struct err *e)
{
	struct passwd pw, *same = NULL;
	char *space = arena_get(mem, NAMES_MAX);
	enum rc rc = look_up(s, mem, o, e);

	if (rc == RC_OK && space == NULL)
		rc = err_set(e, RC_TEMP, "memory limit");
	if (rc == RC_OK)
		rc = os_users_find(o->name, &o->ids, e);
	if (rc == RC_PERM)
		return err_set(e, rc, SAY(" %s: unknown user name value: %s"), WHO(s),
		    o->parameter, o->name);
	if (rc != RC_OK)
		return rc;
	if (o->ids.uid == 0)
		return err_set(e, RC_PERM, SAY(" %s: user %s has privileged user ID"),
		    WHO(s), o->parameter, o->name);
	if (o->ids.gid == 0)
		return err_set(e, RC_PERM, SAY(" %s: user %s has privileged group ID"),
		    WHO(s), o->parameter, o->name);
	if (getpwuid_r(o->ids.uid, &pw, space, NAMES_MAX, &same) == 0 && same != NULL &&
	    strcmp(same->pw_name, o->name) != 0)
		return err_set(e, RC_PERM, SAY(" %s: user %s has same user ID as %s"),
		    WHO(s), o->parameter, o->name, same->pw_name);
	return RC_OK;
}

static enum rc
check_group(
    const struct conf_snapshot *s, struct arena *mem, struct owner *o, struct err *e)
{
	struct group gr, *same = NULL;
	char *space = arena_get(mem, NAMES_MAX);
	enum rc rc = look_up(s, mem, o, e);

	if (rc == RC_OK && space == NULL)
		rc = err_set(e, RC_TEMP, "memory limit");
	if (rc == RC_OK)
		rc = os_users_find_group(o->name, &o->ids.gid, e);
	if (rc == RC_PERM)
		return err_set(e, rc, SAY(" %s: unknown group name: %s"), WHO(s),
		    o->parameter, o->name);
	if (rc != RC_OK)
		return rc;
	if (o->ids.gid == 0)
		return err_set(e, RC_PERM, SAY(" %s: group %s has privileged group ID"),
		    WHO(s), o->parameter, o->name);
	if (getgrgid_r(o->ids.gid, &gr, space, NAMES_MAX, &same) == 0 && same != NULL &&
	    strcmp(same->gr_name, o->name) != 0)
		return err_set(e, RC_PERM, SAY(" %s: group %s has same group ID as %s"),
		    WHO(s), o->parameter, o->name, same->gr_name);
	return RC_OK;
}

static enum rc
check_two(const struct conf_snapshot *s, const struct owner *a, const struct owner *b,
    struct err *e)
{
	if (strcmp(a->name, b->name) == 0)
		return err_set(e, RC_PERM, SAY("s %s and %s specify the same user %s"),
		    WHO(s), a->parameter, b->parameter, a->name);
	if (a->ids.uid == b->ids.uid)
		return err_set(e, RC_PERM,
		    SAY("s %s and %s: users %s and %s have the same user ID: %ld"),
		    WHO(s), a->parameter, b->parameter, a->name, b->name,
		    (long)a->ids.uid);
	if (a->ids.gid == b->ids.gid)
		return err_set(e, RC_PERM,
		    SAY("s %s and %s: users %s and %s have the same group ID: %ld"),
		    WHO(s), a->parameter, b->parameter, a->name, b->name,
		    (long)a->ids.gid);
	return RC_OK;
}

static enum rc
check_with_group(const struct conf_snapshot *s, const struct owner *user,
    const struct owner *group, struct err *e)
{
	if (user->ids.gid != group->ids.gid)
		return RC_OK;
	return err_set(e, RC_PERM,
	    SAY("s %s and %s: user %s and group %s have the same group ID: %ld"), WHO(s),
	    user->parameter, group->parameter, user->name, group->name,
	    (long)group->ids.gid);
}

enum rc
conf_check_owners(const struct conf_snapshot *s, struct err *e)
{
	struct arena *mem = arena_new((size_t)CONF_VALUE_MAX * 4 + NAMES_MAX * 4);
	struct owner owner = { .parameter = "mail_owner" },
		     nobody = { .parameter = "default_privs" },
		     group = { .parameter = "setgid_group" };
	enum rc rc;

	rc = check_user(s, mem, &owner, e);
	if (rc == RC_OK)
		rc = check_user(s, mem, &nobody, e);
	if (rc == RC_OK)
		rc = check_group(s, mem, &group, e);
	if (rc == RC_OK)
		rc = check_two(s, &nobody, &owner, e);
	if (rc == RC_OK)
		rc = check_with_group(s, &owner, &group, e);
	if (rc == RC_OK)
		rc = check_with_group(s, &nobody, &group, e);
	arena_free(&mem);
	return rc;
}
