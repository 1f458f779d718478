/* One recipient: look up, hand over to its lane, report. */
#include "log/log.h"
#include "prog/virtual/virtual.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

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

/* compat */
static struct str
delivered(const struct task *t)
{
	if (delivery_is_probe(t->job))
		return t->box.is_maildir ? STR("delivers to maildir")
					 : STR("delivers to mailbox");
	return t->box.is_maildir ? STR("delivered to maildir")
				 : STR("delivered to mailbox");
}

void
task_report(struct task *t)
{
	struct virtual *v = t->v;
	uint32_t *left = t->job->agent;
	struct delivery_outcome o = { .rcpt = t->rcpt, .relay = t->job->m->service };

	if (t->why.dsn[0] == '\0') {
		o.what = DELIVERY_SENT;
		o.dsn = STR("2.0.0");
		o.text = delivered(t);
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

/* A new queue gives the job again, if it has not yet: nothing was written, so that will
 * not be a second copy. */
static enum rc
leave(struct task *t)
{
	(void)strcpy(t->why.dsn, "4.3.0");
	(void)strcpy(t->why.text, "the queue was restarted");
	return RC_TEMP;
}

void
task_found(struct task *t, enum rc rc)
{
	if (rc == RC_OK && delivery_is_orphan(t->job))
		rc = leave(t);
	if (rc != RC_OK || delivery_is_probe(t->job))
		task_report(t);
	else
		lanes_add(t);
}

void
task_start(struct task *t)
{
	lookup_box(t);
}
