/* One recipient: look up, write on a thread, report. */
#include "loop/loop.h"
#include "log/log.h"
#include "prog/virtual/virtual.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void
fail_errno(struct failure *f, int error)
{
	const char *dsn = "4.2.0";

	if (error == EFBIG)
		dsn = "5.2.2"; /* compat */
	else if (error == EDQUOT)
		dsn = "4.2.2";
	else if (error == ENOSPC || error == EIO || error == ENOMEM)
		dsn = "4.3.0";
	(void)strcpy(f->dsn, dsn);
}

static void
report(struct task *t)
{
	struct virtual *v = t->v;
	uint32_t *left = t->job->agent;
	struct delivery_outcome o = { .rcpt = t->rcpt, .relay = t->job->m->service };

	if (t->why.dsn[0] == '\0') {
		o.what = DELIVERY_SENT;
		o.dsn = STR("2.0.0");
		o.text = t->box.is_maildir ? STR("delivered to maildir") /* compat */
					   : STR("delivered to mailbox");
	} else {
		o.what = t->why.dsn[0] == '5' ? DELIVERY_BOUNCED : DELIVERY_DEFERRED;
		o.dsn = str_c(t->why.dsn);
		o.text = str_c(t->why.text);
		o.diag_type = STR("x-unix");
		o.diag = o.text;
	}
	if (t->why.warning[0] != '\0')
		log_warn(t->job->log, "%s", t->why.warning);
	if (t->why.hint != NULL)
		log_warn(t->job->log, "%s", t->why.hint);
	delivery_outcome(v->delivery, t->job, &o);
	if (--*left == 0)
		delivery_done(v->delivery, t->job, DELIVERY_SITE_OK, STR(""), STR(""));
}

/* The ids of this thread for files; libc's functions would change those of all threads.
 */
static bool
become(const struct task *t)
{
	const struct box *b = &t->box;

	if (!t->v->change_ids)
		return true;
	/* They return the id that was in force before, and nothing else: an id that is
	 * there already needs one call, a new one a second call to see whether it worked.
	 */
	return ((gid_t)syscall(SYS_setfsgid, b->gid) == b->gid ||
		   (gid_t)syscall(SYS_setfsgid, b->gid) == b->gid) &&
	       ((uid_t)syscall(SYS_setfsuid, b->uid) == b->uid ||
		   (uid_t)syscall(SYS_setfsuid, b->uid) == b->uid);
}

static void
write_mail(void *arg)
{
	struct task *t = arg;

	if (!become(t)) {
		(void)strcpy(t->why.dsn, "4.3.0");
		(void)snprintf(t->why.text, sizeof(t->why.text), "cannot become uid %lu",
		    (unsigned long)t->box.uid);
		return;
	}
	if (t->box.is_maildir)
		(void)maildir_deliver(t);
	else
		(void)mbox_deliver(t);
}

static void
written(void *arg)
{
	report(arg);
}

void
task_start(struct task *t)
{
	struct str recipient = t->job->m->rcpts[t->rcpt].address;

	if (lookup_box(t->v, t->s, t->job, recipient, &t->box, &t->why) != RC_OK)
		report(t);
	else
		loop_offload(t->v->w.loop, write_mail, written, t);
}
