/* From a recipient to a mailbox and its owner. */
#include "addr/address.h"
#include "log/log.h"
#include "loop/loop.h"
#include "prog/virtual/virtual.h"
#include <stdio.h>
#include <string.h>

/* ---- the decision ---- */

static enum rc
find(struct task *t, struct ask *a, const struct ask_tables *tables, struct str *out)
{
	return route_find(a, decide_route(t->v->decide), tables, t->recipient, out);
}

/* Only asks: it runs again when an answer had to be fetched. */
static enum rc
run(void *arg, struct ask *a)
{
	struct task *t = arg;
	struct found f = { 0 };

	f.path_rc = find(t, a, &t->s->mailboxes, &f.path);
	if (f.path_rc == RC_OK)
		f.uid_rc = find(t, a, &t->s->uids, &f.uid);
	if (f.path_rc == RC_OK && f.uid_rc == RC_OK)
		f.gid_rc = find(t, a, &t->s->gids, &f.gid);
	t->found = f;
	return f.path_rc == RC_MORE || f.uid_rc == RC_MORE || f.gid_rc == RC_MORE
		   ? RC_MORE
		   : RC_OK;
}

/* ---- what the answers mean ---- */

static enum rc
config_error(struct task *t)
{
	(void)strcpy(t->why.dsn, "4.3.5");
	(void)strcpy(t->why.text, "mail system configuration error"); /* compat */
	return RC_TEMP;
}

static enum rc
table_trouble(struct task *t)
{
	log_warn(
	    t->job->log, "%.*s", STR_ARG(ask_trouble(&t->search.ask, t->search.ask.mem)));
	return config_error(t);
}

struct id_request {
	const char *what; /* "uid" */
	enum rc rc;
	struct str value;
	uint64_t min;
};

static enum rc
read_id(struct task *t, const struct id_request *q, uint64_t *out)
{
	if (q->rc == RC_NONE) {
		log_warn(t->job->log,
		    "recipient %.*s: not found in virtual_%s_maps", /* compat */
		    STR_ARG(t->recipient), q->what);
		return config_error(t);
	}
	if (q->rc != RC_OK)
		return table_trouble(t);
	if (str_u64(q->value, INT32_MAX, out) != RC_OK || *out < q->min) {
		log_warn(t->job->log,
		    "recipient %.*s: bad %s %.*s in virtual_%s_maps", /* compat */
		    STR_ARG(t->recipient), q->what, STR_ARG(q->value), q->what);
		return config_error(t);
	}
	return RC_OK;
}

/* A component that is ".." would leave the mailbox folder. Deviates: Postfix follows it.
 */
static bool
leads_out(struct str path)
{
	struct str part;

	while (str_token(&path, "/", &part))
		if (str_is(part, ".."))
			return true;
	return false;
}

static enum rc
read_path(struct task *t, struct str value, struct box *out)
{
	while (value.n > 0 && value.p[0] == '/')
		value = str_from(value, 1);
	if (value.n == 0 || value.n > 4000 || leads_out(value) ||
	    memchr(value.p, '\0', value.n) != NULL) {
		log_warn(t->job->log,
		    "recipient %.*s: bad path %.*s in virtual_mailbox_maps",
		    STR_ARG(t->recipient), STR_ARG(value));
		return config_error(t);
	}
	out->is_maildir = value.p[value.n - 1] == '/';
	while (value.n > 0 && value.p[value.n - 1] == '/')
		value.n--;
	out->path = arena_cstr(t->job->mem, value);
	return out->path == NULL ? config_error(t) : RC_OK;
}

static enum rc
conclude(struct task *t)
{
	const struct found *f = &t->found;
	const struct id_request uid_request = { "uid", f->uid_rc, f->uid,
		(uint64_t)t->s->conf.virtual_minimum_uid };
	const struct id_request gid_request = { "gid", f->gid_rc, f->gid, 1 };
	struct box box = { 0 };
	uint64_t uid = 0, gid = 0;
	enum rc rc;

	if (f->path_rc == RC_NONE) {
		(void)strcpy(t->why.dsn, "5.1.1");
		(void)snprintf(t->why.text, sizeof(t->why.text),
		    "unknown user: \"%.*s\"", /* compat */
		    STR_ARG(str_head(t->recipient, 300)));
		return RC_PERM;
	}
	if (f->path_rc != RC_OK)
		return table_trouble(t);
	rc = read_path(t, f->path, &box);
	if (rc == RC_OK)
		rc = read_id(t, &uid_request, &uid);
	if (rc == RC_OK)
		rc = read_id(t, &gid_request, &gid);
	if (rc != RC_OK)
		return rc;
	box.uid = (uid_t)uid;
	box.gid = (gid_t)gid;
	t->box = box;
	return RC_OK;
}

static void
done(void *arg, enum rc rc)
{
	struct task *t = arg;

	(void)rc; /* the answers have their own */
	task_found(t, conclude(t));
}

/* compat: the key is folded whatever kind of table is asked. */
static struct str
folded(struct str s, struct arena *mem)
{
	char *copy = arena_cstr(mem, s);

	if (copy == NULL)
		return s;
	for (size_t i = 0; i < s.n; i++)
		copy[i] = ascii_lower(copy[i]);
	return str_n(copy, s.n);
}

void
lookup_box(struct task *t)
{
	struct virtual *v = t->v;

	t->recipient = folded(t->job->m->rcpts[t->rcpt].address, t->job->mem);
	t->search =
	    (struct decide_run){ .d = v->decide, .run = run, .done = done, .arg = t };
	if (decide_run_start(&t->search, t->job->mem) != RC_MORE)
		done(t, RC_OK);
}
