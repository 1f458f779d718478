/* From a recipient to a mailbox and its owner. */
#include "addr/address.h"
#include "log/log.h"
#include "loop/loop.h"
#include "prog/virtual/virtual.h"
#include <stdio.h>
#include <string.h>

struct search {
	struct virtual *v;
	struct delivery_job *job;
	struct str recipient;
	struct failure *why;
	struct ask a;
};

static enum rc
config_error(struct search *q)
{
	(void)strcpy(q->why->dsn, "4.3.5");
	(void)strcpy(q->why->text, "mail system configuration error"); /* compat */
	return RC_TEMP;
}

/* RC_NONE: not in the table. */
static enum rc
find(struct search *q, const struct ask_tables *tables, struct str *out)
{
	enum rc rc =
	    route_find(&q->a, decide_route(q->v->decide), tables, q->recipient, out);

	if (rc == RC_OK || rc == RC_NONE)
		return rc;
	log_warn(q->job->log, "%.*s", STR_ARG(ask_trouble(&q->a, q->job->mem)));
	return config_error(q);
}

static enum rc
find_id(struct search *q, const struct ask_tables *tables, const char *what, uint64_t min,
    uint64_t *out)
{
	struct str value;
	enum rc rc = find(q, tables, &value);

	if (rc == RC_NONE) {
		log_warn(q->job->log,
		    "recipient %.*s: not found in virtual_%s_maps", /* compat */
		    STR_ARG(q->recipient), what);
		return config_error(q);
	}
	if (rc != RC_OK)
		return rc;
	if (str_u64(value, INT32_MAX, out) != RC_OK || *out < min) {
		log_warn(q->job->log,
		    "recipient %.*s: bad %s %.*s in virtual_%s_maps", /* compat */
		    STR_ARG(q->recipient), what, STR_ARG(value), what);
		return config_error(q);
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
read_path(struct search *q, struct str value, struct box *out)
{
	while (value.n > 0 && value.p[0] == '/')
		value = str_from(value, 1);
	if (value.n == 0 || value.n > 4000 || leads_out(value) ||
	    memchr(value.p, '\0', value.n) != NULL) {
		log_warn(q->job->log,
		    "recipient %.*s: bad path %.*s in virtual_mailbox_maps",
		    STR_ARG(q->recipient), STR_ARG(value));
		return config_error(q);
	}
	out->is_maildir = value.p[value.n - 1] == '/';
	while (value.n > 0 && value.p[value.n - 1] == '/')
		value.n--;
	out->path = arena_cstr(q->job->mem, value);
	return out->path == NULL ? config_error(q) : RC_OK;
}

enum rc
lookup_box(struct virtual *v, const struct service *s, struct delivery_job *job,
    struct str recipient, struct box *out, struct failure *why)
{
	struct search q = { .v = v, .job = job, .recipient = recipient, .why = why };
	struct box box = { 0 };
	uint64_t uid = 0, gid = 0;
	struct str value;
	enum rc rc;

	decide_begin(v->decide, &q.a, job->mem, loop_now_us(v->w.loop));
	rc = find(&q, &s->mailboxes, &value);
	if (rc == RC_NONE) {
		(void)strcpy(why->dsn, "5.1.1");
		(void)snprintf(why->text, sizeof(why->text),
		    "unknown user: \"%.*s\"", /* compat */
		    STR_ARG(str_head(recipient, 300)));
		return RC_PERM;
	}
	if (rc == RC_OK)
		rc = read_path(&q, value, &box);
	if (rc == RC_OK)
		rc = find_id(
		    &q, &s->uids, "uid", (uint64_t)s->conf.virtual_minimum_uid, &uid);
	if (rc == RC_OK)
		rc = find_id(&q, &s->gids, "gid", 1, &gid);
	if (rc != RC_OK)
		return rc;
	box.uid = (uid_t)uid;
	box.gid = (gid_t)gid;
	*out = box;
	return RC_OK;
}
