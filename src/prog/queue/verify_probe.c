/* The probes of address verification: messages that are never delivered, and what becomes
 * of them says whether an address is good. Compat: verify(8). */
#include <time.h>
#include "agent/delivery.h"
#include "agent/ingest.h"
#include "prog/queue/queue.h"
#include "prog/queue/verify_record.h"

#define IDS_AT_ONCE 100

static enum rc
take_id(struct queue *q, struct verify_ids *ids, uint64_t *out, struct err *e)
{
	if (ids->n == 0) {
		enum rc rc = spool_grant_ids(q->spool, IDS_AT_ONCE, &ids->next, e);

		if (rc != RC_OK)
			return rc;
		ids->n = IDS_AT_ONCE;
	}
	ids->n--;
	*out = ids->next++;
	return RC_OK;
}

static struct str
probe_sender(const struct queue *q, struct arena *mem)
{
	const struct conf_queue *c = &q->conf;
	struct str local = c->address_verify_sender, domain = STR(""), full;
	size_t at = str_rfind(local, '@');
	char space[VERIFY_SENDER_MAX];

	if (local.n == 0 || str_is(local, "<>"))
		return STR("");
	if (at < local.n) {
		domain = str_from(local, at);
		local = str_head(local, at);
	}
	local = verify_sender(local, c->address_verify_sender_ttl_us / US_PER_SEC,
	    loop_wall_us(q->w.loop) / US_PER_SEC, space);
	full = arena_printf(mem, "%.*s%.*s", STR_ARG(local), STR_ARG(domain));
	if (route_rewrite(decide_route(q->decide), full, mem, &full) != RC_OK)
		return STR("");
	return full;
}

/* What a server is told the size of; nobody sees it. */
static struct str
probe_content(const struct spool_message *m, const struct queue *q,
    const struct queue_id *id, struct arena *mem)
{
	char date[MIME_DATE_MAX];

	return arena_printf(mem,
	    "Received: by %.*s (%.*s)\r\n\tid %s; %s\r\n"
	    "From: %.*s\r\nTo: %.*s\r\nSubject: probe\r\n\r\n",
	    STR_ARG(q->conf.myhostname), STR_ARG(q->conf.mail_name), id->text,
	    ingest_date(m->arrival_us, date).p, STR_ARG(m->sender),
	    STR_ARG(m->rcpts[0].address));
}

/* compat: the same line as of any message that was taken in. */
static void
log_id(const struct queue *q, const struct spool_message *m, const struct queue_id *id)
{
	time_t t = (time_t)(m->arrival_us / US_PER_SEC);
	char when[32] = "";
	struct tm tm;

	if (!m->is_long && gmtime_r(&t, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%Y%m%d%H%M%S.", &tm);
	log_info(q->cleanup_log, "%s: message-id=<%s%s@%.*s>", id->text, when, id->text,
	    STR_ARG(q->conf.myhostname));
}

void
verify_probe(
    struct queue *q, struct verify_ids *ids, const char *address, struct str rcpt)
{
	struct spool_rcpt to = { .address = rcpt, .orig = str_c(address) };
	struct spool_message m = { .arrival_us = loop_wall_us(q->w.loop),
		.is_long = q->conf.enable_long_queue_ids,
		.facts = MESSAGE_IS_PROBE | MESSAGE_IS_LOCAL,
		.origin = STR("verify"),
		.rcpts = &to,
		.n_rcpts = 1 };
	struct arena *mem = arena_new((size_t)1 << 20);
	struct queue_id id;
	struct err e = { 0 };
	enum rc rc = q->can_store ? take_id(q, ids, &m.number, &e)
				  : err_set(&e, RC_TEMP, "%s", q->why_not);

	if (rc == RC_OK) {
		id = queue_id_format(m.number, m.arrival_us, m.is_long);
		m.sender = probe_sender(q, mem);
		if (!str_is_ascii(rcpt))
			m.facts |= MESSAGE_SMTPUTF8;
		m.content = probe_content(&m, q, &id, mem);
		m.size_bytes = m.content.n;
		rc = submit_own(q, &m, &e);
	}
	if (rc == RC_OK)
		log_id(q, &m, &id);
	else
		log_warn(q->log, "probe for %s: %s", address, e.text);
	arena_free(&mem);
}
