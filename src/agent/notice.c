/* Notices to the postmaster. compat: the headers, the words and the blank lines. */
#include "agent/notice.h"
#include "agent/submit.h"
#include "agent/transcript.h"
#include "base/buf.h"
#include "base/list.h"
#include "conf/list.h"
#include "log/log.h"
#include "loop/loop.h"
#include <stdlib.h>

#define OPEN_MAX    50
#define TEXT_MAX    ((size_t)256 * 1024)
#define PATIENCE_US (20 * US_PER_SEC) /* with a queue that is being started */

struct notices {
	struct notices_request req;
	struct list waiting; /* for the queue; the oldest first */
	struct loop_timer patience;
	size_t n_open;
	size_t n_lost; /* since there was room */
};

struct notice {
	struct notices *all;
	const struct notice_conf *conf;
	struct list node; /* in all->waiting, or in none */
	int64_t until_us; /* it waits no longer */
	struct buf text;
	struct ingest *in;
	struct ingest_client client;
	struct ingest_rcpt to;
};

unsigned
notice_classes(struct str names)
{
	static const struct {
		const char *name;
		unsigned bit;
	} classes[] = { { "bounce", SMTP_TROUBLE_BOUNCE },
		{ "resource", SMTP_TROUBLE_RESOURCE },
		{ "software", SMTP_TROUBLE_SOFTWARE }, { "policy", SMTP_TROUBLE_POLICY },
		{ "protocol", SMTP_TROUBLE_PROTOCOL }, { "data", SMTP_TROUBLE_DATA } };
	unsigned bits = 0;
	struct str one;

	while (str_token(&names, CONF_LIST_SEPARATORS, &one))
		for (size_t i = 0; i < ARRAY_LEN(classes); i++)
			if (str_iis(one, classes[i].name))
				bits |= classes[i].bit;
	return bits;
}

enum rc
notice_conf_load(struct notice_conf *c, const struct ingest_conf_request *req,
    struct arena *mem, struct err *e)
{
	struct ingest_conf_request own = *req;
	enum rc rc;

	if (c->classes == 0)
		return RC_OK;
	own.internal_class = "notify";
	rc = ingest_conf_load(&own, mem, &c->ingest, e);
	if (rc != RC_OK)
		return rc;
	/* It says what a message had that was too large itself. */
	c->ingest.message_size_limit = 0;
	c->full_sender = mime_address_complete(c->sender, &c->ingest.rewrite, mem);
	return RC_OK;
}

bool
notice_is_from(const struct notice_conf *c, struct str sender)
{
	return str_ieq(sender, c->sender) || str_ieq(sender, c->full_sender);
}

/* ---- one notice ---- */

static void
free_notice(struct notice *n)
{
	struct notices *all = n->all;

	ingest_free(&n->in);
	list_remove(&n->node);
	buf_fini(&n->text);
	free(n);
	all->n_open--;
	if (all->n_open == 0 && all->req.idle != NULL)
		all->req.idle(all->req.arg);
}

static void
complain(struct log *log, struct str why)
{
	log_warn(log, "postmaster notify: %.*s", STR_ARG(why)); /* compat */
}

static void
on_stored(void *arg, enum rc rc, struct str text)
{
	struct notice *n = arg;

	if (rc != RC_OK)
		complain(n->conf->ingest.log, text);
	free_notice(n);
}

static enum rc
write_text(struct notices *all, const struct notice_conf *c, const struct notice_text *t,
    struct buf *out)
{
	char date[MIME_DATE_MAX];
	enum rc rc = buf_printf(out,
	    "Date: %.*s\r\n"
	    "From: Mail Delivery System <MAILER-DAEMON>\r\n"
	    "To: Postmaster <%.*s>\r\n"
	    "Subject: %.*s %s: errors from %.*s\r\n\r\n%s%s"
	    "Transcript of session follows.\r\n\r\n",
	    STR_ARG(ingest_date(loop_wall_us(all->req.loop), date)),
	    STR_ARG(c->error_recipient), STR_ARG(c->mail_name), t->who, STR_ARG(t->peer),
	    t->intro != NULL ? t->intro : "", t->intro != NULL ? "\r\n\r\n" : "");

	if (rc == RC_OK)
		rc = transcript_format(t->transcript, out);
	if (rc == RC_OK && t->may_break_off)
		rc = buf_put(out, STR("\r\n"));
	if (rc == RC_OK && t->reason != NULL)
		rc = buf_printf(out, "Session aborted, reason: %s\r\n", t->reason);
	if (rc == RC_OK)
		rc = buf_put(
		    out, STR("\r\nFor other details, see the local mail logfile\r\n"));
	return rc;
}

static void
store(struct notice *n)
{
	struct notices *all = n->all;
	struct ingest_envelope env = {
		.sender = n->conf->sender, .rcpts = &n->to, .n_rcpts = 1
	};
	struct err e = { 0 };

	if (ingest_new(all->req.submit, all->req.loop, &n->conf->ingest, &n->in, &e) !=
	    RC_OK) {
		on_stored(n, RC_TEMP, str_c(e.text));
		return;
	}
	n->client = (struct ingest_client){ .origin = STR("notice"),
		.via = MIME_VIA_SELF,
		.is_local = true,
		.recipient = n->to.address };
	ingest_begin(n->in, &n->client, STR(""));
	/* A failure is sticky; all is used even when it has to wait. */
	(void)!ingest_content(n->in, buf_view(&n->text), NULL);
	ingest_commit(n->in, &env, on_stored, n);
}

/* ---- those that wait for the queue ---- */

static struct notice *
oldest(const struct notices *all)
{
	struct list *node = list_first(&all->waiting);

	return node != NULL ? CONTAINER_OF(node, struct notice, node) : NULL;
}

/* A session may end before its process has heard of a queue that is being started. */
static void
store_or_wait(struct notice *n)
{
	struct notices *all = n->all;

	if (submit_can_store(all->req.submit, 0, NULL) != RC_MORE) {
		store(n);
		return;
	}
	n->until_us = loop_now_us(all->req.loop) + PATIENCE_US;
	if (list_is_empty(&all->waiting))
		loop_timer_set(all->req.loop, &all->patience, n->until_us);
	list_add_tail(&all->waiting, &n->node);
}

static void
on_impatient(void *arg)
{
	struct notices *all = arg;
	struct notice *n;
	struct err e = { 0 };

	while ((n = oldest(all)) != NULL && n->until_us <= loop_now_us(all->req.loop)) {
		(void)!submit_can_store(all->req.submit, 0, &e);
		on_stored(n, RC_TEMP, str_c(e.text));
	}
	if (n != NULL)
		loop_timer_set(all->req.loop, &all->patience, n->until_us);
}

void
notices_recheck(struct notices *all)
{
	struct notice *n;

	while ((n = oldest(all)) != NULL &&
	       submit_can_store(all->req.submit, 0, NULL) != RC_MORE) {
		list_remove(&n->node);
		store(n);
	}
	if (n == NULL)
		loop_timer_cancel(all->req.loop, &all->patience);
}

/* ---- all of a process ---- */

struct notices *
notices_new(const struct notices_request *req)
{
	struct notices *n = mem_get(sizeof(*n));

	n->req = *req;
	list_init(&n->waiting);
	loop_timer_init(&n->patience, on_impatient, n);
	return n;
}

size_t
notices_open(const struct notices *n)
{
	return n->n_open;
}

static bool
has_room(struct notices *all, struct log *log)
{
	if (all->n_open < OPEN_MAX) {
		all->n_lost = 0;
		return true;
	}
	if (all->n_lost++ == 0)
		complain(log, STR("too many notices at once: some are not sent"));
	return false;
}

void
notices_send(
    struct notices *all, const struct notice_conf *c, const struct notice_text *t)
{
	/* compat: who hears of bounces; the text names the other one all the same */
	struct str to = (t->trouble & SMTP_TROUBLE_BOUNCE) != 0 ? c->bounce_recipient
								: c->error_recipient;
	struct notice *n;

	if ((t->trouble & c->classes) == 0 || !has_room(all, c->ingest.log))
		return;
	n = mem_get(sizeof(*n));
	n->all = all;
	n->conf = c;
	n->to = (struct ingest_rcpt){ .address = to };
	list_init(&n->node);
	buf_init(&n->text, TEXT_MAX);
	all->n_open++;
	if (write_text(all, c, t, &n->text) == RC_OK)
		store_or_wait(n);
	else
		on_stored(n, RC_TEMP, STR("the transcript is too long"));
}
