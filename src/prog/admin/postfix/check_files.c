/* Owns what `postfix check` says of users, folders and files. Texts are Postfix's where
 * it has any (compat). As an ordinary user nothing can have another owner, so that owners
 * are looked at by root alone. */
#include "prog/admin/postfix/postfix.h"
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/queue_folders.h"
#include "base/arena.h"
#include "log/log.h"
#include "os/users.h"

#define FILES_MAX 100000

struct ids {
	struct os_user owner;
	gid_t group; /* setgid_group */
};

/* ---- users ---- */

static bool
bad_user(struct postfix *p, const char *what)
{
	log_fatal(p->log, "file %.*s: %s", STR_ARG(p->snapshot->main_path), what);
	return false;
}

/* Whoever shares the number of the mail system's user reads its mail. */
static bool
check_owner(struct postfix *p, struct os_user *owner)
{
	const char *name = arena_cstr(p->mem, p->master.mail_owner);
	const struct passwd *other;
	struct err e = { 0 };

	if (os_users_find(name, owner, &e) != RC_OK)
		return bad_user(p, arena_printf(p->mem,
				       "parameter mail_owner: unknown user name "
				       "value: %s",
				       name)
				       .p);
	if (owner->uid == 0)
		return bad_user(p, arena_printf(p->mem,
				       "parameter mail_owner: user %s has "
				       "privileged user ID: 0",
				       name)
				       .p);
	other = getpwuid(owner->uid);
	if (other != NULL && strcmp(other->pw_name, name) != 0)
		return bad_user(p, arena_printf(p->mem,
				       "parameter mail_owner: user %s has same user "
				       "ID as %s",
				       name, other->pw_name)
				       .p);
	return true;
}

static bool
check_group(struct postfix *p, const struct os_user *owner, gid_t *group)
{
	const char *name = arena_cstr(p->mem, p->master.setgid_group);
	const struct group *other;
	struct err e = { 0 };

	if (os_users_find_group(name, group, &e) != RC_OK)
		return bad_user(
		    p, arena_printf(
			   p->mem, "parameter setgid_group: unknown group name: %s", name)
			   .p);
	if (*group == 0)
		return bad_user(p, arena_printf(p->mem,
				       "parameter setgid_group: group %s has "
				       "privileged group ID: 0",
				       name)
				       .p);
	other = getgrgid(*group);
	if (other != NULL && strcmp(other->gr_name, name) != 0)
		return bad_user(p, arena_printf(p->mem,
				       "parameter setgid_group: group %s has same "
				       "group ID as %s",
				       name, other->gr_name)
				       .p);
	if (*group == owner->gid)
		return bad_user(p, "parameters setgid_group and mail_owner specify the "
				   "same group ID");
	return true;
}

/* ---- folders ---- */

/* What a start would make, too. */
static bool
make_folder(struct postfix *p, const struct queue_folder *f, const char *path,
    const struct ids *ids)
{
	if (mkdir(path, 0700) != 0 ||
	    (os_users_is_root() &&
		chown(path, f->is_owners ? ids->owner.uid : 0,
		    f->is_groups ? ids->group : (f->is_owners ? ids->owner.gid : 0)) !=
		    0) ||
	    chmod(path, f->mode) != 0) {
		log_error(p->log, "cannot make %s: %s", path, strerror(errno));
		return false;
	}
	return true;
}

static bool
check_folder(struct postfix *p, const struct queue_folder *f, const char *path,
    const struct ids *ids)
{
	struct str owner = f->is_owners ? p->master.mail_owner : STR("root");
	struct stat st;

	if (stat(path, &st) != 0)
		return errno == ENOENT && make_folder(p, f, path, ids);
	if (!S_ISDIR(st.st_mode)) {
		log_error(p->log, "not a directory: %s", path);
		return false;
	}
	if (os_users_is_root() && st.st_uid != (f->is_owners ? ids->owner.uid : 0))
		log_warn(p->log, "not owned by %.*s: %s", STR_ARG(owner), path);
	if (os_users_is_root() && f->is_groups && st.st_gid != ids->group)
		log_warn(p->log, "not owned by group %.*s: %s",
		    STR_ARG(p->master.setgid_group), path);
	if ((st.st_mode & 07777 & ~f->mode & 0022) != 0)
		log_warn(p->log, "group or other writable: %s", path);
	return true;
}

static bool
check_folders(struct postfix *p, const struct ids *ids)
{
	static const struct queue_folder data = { "", 0700, true, false };
	const char *queue = arena_cstr(p->mem, p->master.queue_directory);
	bool is_good = true;
	struct stat st;

	if (queue == NULL || stat(queue, &st) != 0 || !S_ISDIR(st.st_mode)) {
		log_fatal(p->log, "no Postfix queue directory %s!", queue);
		return false;
	}
	if ((os_users_is_root() && st.st_uid != 0) || (st.st_mode & 0022) != 0)
		log_warn(p->log, "%s: %s",
		    (st.st_mode & 0022) != 0 ? "group or other writable"
					     : "not owned by root",
		    queue);
	for (size_t i = 0; i < QUEUE_FOLDERS; i++)
		is_good &= check_folder(p, &queue_folders[i],
		    arena_printf(p->mem, "%s/%s", queue, queue_folders[i].name).p, ids);
	is_good &=
	    check_folder(p, &data, arena_cstr(p->mem, p->master.data_directory), ids);
	return is_good;
}

/* ---- files ---- */

/* Nobody but root decides what root's processes do. */
static void
check_config_file(struct postfix *p, const char *path)
{
	struct stat st;

	if (path == NULL || stat(path, &st) != 0)
		return;
	if (os_users_is_root() && st.st_uid != 0)
		log_warn(p->log, "not owned by root: %s", path);
	if ((st.st_mode & 0022) != 0)
		log_warn(p->log, "group or other writable: %s", path);
}

static void
check_config_folder(struct postfix *p)
{
	DIR *dir = opendir(p->config_dir);
	const struct dirent *d;

	check_config_file(p, p->config_dir);
	for (unsigned n = 0; dir != NULL && n < FILES_MAX && (d = readdir(dir)) != NULL;
	     n++) {
		struct arena *mem;

		if (d->d_name[0] == '.')
			continue;
		mem = arena_new(1 << 16);
		check_config_file(
		    p, arena_printf(mem, "%s/%s", p->config_dir, d->d_name).p);
		arena_free(&mem);
	}
	if (dir != NULL)
		(void)closedir(dir);
}

/* daemon_directory may be another system's: ours are found beside the command. */
static bool
check_libexec(struct postfix *p)
{
	const char *master = arena_printf(p->mem, "%s/master", p->libexec).p;

	if (master != NULL && access(master, X_OK) == 0)
		return true;
	log_fatal(p->log, "no Postfix master program %s!", master);
	return false;
}

bool
check_files(struct postfix *p)
{
	struct ids ids = { 0 };
	bool is_good;

	if (os_users_is_root() &&
	    (!check_owner(p, &ids.owner) || !check_group(p, &ids.owner, &ids.group)))
		return false;
	check_config_folder(p);
	check_config_file(p, p->libexec);
	is_good = check_libexec(p);
	is_good &= check_folders(p, &ids);
	return is_good;
}
