/* The spool as administrators know it: see queue_view.h. */
#include "agent/queue_view.h"
#include <inttypes.h>
#include <time.h>
#include "agent/maildrop.h"
#include "base/arena.h"

/* ---- queue names ---- */

static const struct {
	enum queue_name name;
	const char *text;
} names[] = {
	{ QUEUE_INCOMING, "incoming" },
	{ QUEUE_ACTIVE, "active" },
	{ QUEUE_DEFERRED, "deferred" },
	{ QUEUE_HOLD, "hold" },
	{ QUEUE_MAILDROP, "maildrop" },
	{ QUEUE_CORRUPT, "corrupt" },
};

enum queue_name
queue_view_name(const struct spool_info *info)
{
	if ((info->flags & SPOOL_HELD) != 0)
		return QUEUE_HOLD;
	if ((info->flags & SPOOL_CLAIMED) != 0)
		return QUEUE_ACTIVE;
	return (info->flags & SPOOL_DEFERRED) != 0 ? QUEUE_DEFERRED : QUEUE_INCOMING;
}

const char *
queue_view_name_text(enum queue_name n)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].name == n)
			return names[i].text;
	return "";
}

enum rc
queue_view_names_parse(struct str text, unsigned *out, struct err *e)
{
	unsigned set = 0;
	struct str word;

	while (str_token(&text, " ,\t", &word)) {
		unsigned one = 0;

		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			if (str_is(word, names[i].text))
				one = names[i].name;
		if (one == 0) /* compat */
			return err_set(
			    e, RC_PERM, "invalid directory name: %.*s", STR_ARG(word));
		set |= one;
	}
	*out = set;
	return RC_OK;
}

/* ---- the listing ---- */

/* A NUL would end the attribute early and shift all that follows. */
static bool
put_attr(struct buf *to, const char *name, struct str value)
{
	if (buf_put(to, str_n(name, str_c(name).n + 1)) != RC_OK ||
	    buf_put(to, str_head(value, str_find(value, '\0'))) != RC_OK)
		return false;
	return buf_put(to, str_n("", 1)) == RC_OK;
}

static bool
put_number(struct buf *to, const char *name, uint64_t v)
{
	return buf_put(to, str_n(name, str_c(name).n + 1)) == RC_OK &&
	       buf_printf(to, "%" PRIu64, v) == RC_OK &&
	       buf_put(to, str_n("", 1)) == RC_OK;
}

enum rc
queue_view_list_head(struct buf *to)
{
	/* compat: the protocol announces itself. */
	if (!put_attr(to, "protocol", STR("mail_queue_list_protocol")))
		return RC_TEMP;
	return buf_put(to, str_n("", 1));
}

enum rc
queue_view_list_end(struct buf *to)
{
	return buf_put(to, str_n("", 1));
}

static bool
put_rcpts(const struct spool_loaded *l, struct buf *to)
{
	for (size_t i = 0; i < l->m.n_rcpts; i++) {
		struct spool_rcpt_state st = { 0 };

		if (i < l->st.n_rcpts)
			st = l->st.rcpts[i];
		if (st.what == SPOOL_RCPT_DONE || st.what == SPOOL_RCPT_REPORT)
			continue;
		if (!put_attr(to, "recipient", l->m.rcpts[i].address))
			return false;
		if (st.reason > 0 && st.reason <= l->st.n_reasons &&
		    !put_attr(to, "reason", l->st.reasons[st.reason - 1].text))
			return false;
	}
	return true;
}

static bool
put_message(const struct spool_info *info, const struct spool_loaded *l, struct buf *to)
{
	struct queue_id id = spool_info_id(info);
	struct str sender = l->m.sender.n > 0 ? l->m.sender : STR("MAILER-DAEMON");

	return put_attr(to, "queue_name",
		   str_c(queue_view_name_text(queue_view_name(info)))) &&
	       put_attr(to, "queue_id", str_c(id.text)) &&
	       put_number(to, "time", (uint64_t)(info->arrival_us / US_PER_SEC)) &&
	       put_number(to, "size", info->size_bytes) &&
	       put_number(to, "forced_expire", (info->flags & SPOOL_EXPIRED) != 0) &&
	       put_attr(to, "sender", sender) && put_rcpts(l, to) &&
	       buf_put(to, str_n("", 1)) == RC_OK;
}

enum rc
queue_view_list_item(struct spool *sp, const struct spool_info *info,
    struct arena *scratch, struct buf *to)
{
	struct spool_loaded l = { 0 };
	size_t before = to->n;

	arena_reset(scratch);
	if (spool_load(sp, info->number, SPOOL_ENVELOPE | SPOOL_STATE, scratch, &l) !=
	    RC_OK)
		return RC_NONE;
	if (put_message(info, &l, to))
		return RC_OK;
	to->n = before;
	return RC_TEMP;
}

static enum rc
put_drop(const struct queue_view_drop *d, struct buf *to)
{
	struct maildrop_reader r = { 0 };
	struct maildrop_record rec;
	struct str in = d->content;
	enum rc rc;

	if (!put_attr(to, "queue_name", STR("maildrop")) ||
	    !put_attr(to, "queue_id", d->name) || !put_number(to, "time", d->time_s) ||
	    !put_number(to, "size", d->content.n) || !put_number(to, "forced_expire", 0))
		return RC_TEMP;
	while ((rc = maildrop_next(&r, &in, &rec, NULL)) == RC_OK) {
		if (rec.type == 'S' &&
		    !put_attr(
			to, "sender", rec.text.n > 0 ? rec.text : STR("MAILER-DAEMON")))
			return RC_TEMP;
		if (rec.type == 'R' && !put_attr(to, "recipient", rec.text))
			return RC_TEMP;
	}
	if (rc != RC_NONE)
		return RC_PERM;
	return buf_put(to, str_n("", 1));
}

enum rc
queue_view_list_drop(const struct queue_view_drop *d, struct buf *to)
{
	size_t before = to->n;
	enum rc rc = put_drop(d, to);

	if (rc != RC_OK)
		to->n = before;
	return rc;
}

/* ---- postcat ---- */

static bool
put_time(struct buf *to, const char *name, int64_t at_us)
{
	time_t t = (time_t)(at_us / US_PER_SEC);
	char text[64];
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm) == 0)
		return true;
	return buf_printf(to, "%s: %s\n", name, text) == RC_OK;
}

static bool
put_named(struct buf *to, const char *name, struct str value)
{
	if (value.n == 0)
		return true;
	return buf_printf(to, "named_attribute: %s=%.*s\n", name, STR_ARG(value)) ==
	       RC_OK;
}

static bool
put_envelope_rcpt(const struct spool_loaded *l, size_t i, struct buf *to)
{
	const struct spool_rcpt *r = &l->m.rcpts[i];
	bool is_done = i < l->st.n_rcpts && l->st.rcpts[i].what == SPOOL_RCPT_DONE;

	if (!put_named(to, "dsn_orig_rcpt", r->orcpt))
		return false;
	if (r->notify != 0 &&
	    buf_printf(to, "named_attribute: notify_flags=%u\n", r->notify) != RC_OK)
		return false;
	if (buf_printf(to, "original_recipient: %.*s\n",
		STR_ARG(r->orig.n > 0 ? r->orig : r->address)) != RC_OK)
		return false;
	return buf_printf(to, "%s: %.*s\n", is_done ? "done_recipient" : "recipient",
		   STR_ARG(r->address)) == RC_OK;
}

enum rc
queue_view_envelope(
    const struct spool_info *info, const struct spool_loaded *l, struct buf *to)
{
	const struct spool_message *m = &l->m;

	/* compat: sizes right-aligned in 15 columns */
	if (buf_printf(to,
		"message_size: %15" PRIu64 " %15d %15zu %15d %15" PRIu64 " %15d\n",
		info->size_bytes, 0, m->n_rcpts, 0, info->size_bytes, 0) != RC_OK ||
	    !put_time(to, "message_arrival_time", m->arrival_us) ||
	    !put_time(to, "create_time", m->arrival_us) ||
	    !put_named(to, "rewrite_context",
		(m->facts & MESSAGE_IS_LOCAL) != 0 ? STR("local") : STR("remote")) ||
	    !put_named(to, "envelope_id", m->envid))
		return RC_TEMP;
	if (m->ret != 0 &&
	    buf_printf(to, "named_attribute: ret_flags=%u\n", m->ret) != RC_OK)
		return RC_TEMP;
	if (buf_printf(to, "sender: %.*s\n", STR_ARG(m->sender)) != RC_OK ||
	    !put_named(to, "log_client_name", m->client_name) ||
	    !put_named(to, "log_client_address", m->client_addr) ||
	    !put_named(to, "log_client_port", m->client_port) ||
	    !put_named(to, "log_helo_name", m->client_helo) ||
	    !put_named(to, "log_protocol_name", m->client_proto))
		return RC_TEMP;
	for (size_t i = 0; i < m->n_rcpts; i++)
		if (!put_envelope_rcpt(l, i, to))
			return RC_TEMP;
	return RC_OK;
}

/* ---- changes ---- */

static const struct {
	const char *text, *done, *sum;
	unsigned queues;
} verbs[] = {
	/* compat: words of the log */
	[QUEUE_DELETE] = { "delete", "removed", "Deleted",
	    QUEUE_HOLD | QUEUE_INCOMING | QUEUE_ACTIVE | QUEUE_DEFERRED },
	[QUEUE_HOLD_IT] = { "hold", "placed on hold", "Placed on hold",
	    QUEUE_INCOMING | QUEUE_ACTIVE | QUEUE_DEFERRED },
	[QUEUE_RELEASE] = { "release", "released from hold", "Released from hold",
	    QUEUE_HOLD },
	[QUEUE_REQUEUE] = { "requeue", "requeued", "Requeued",
	    QUEUE_HOLD | QUEUE_INCOMING | QUEUE_ACTIVE | QUEUE_DEFERRED },
	[QUEUE_EXPIRE] = { "expire", "expired", "Force-expired",
	    QUEUE_INCOMING | QUEUE_ACTIVE | QUEUE_DEFERRED },
	[QUEUE_EXPIRE_RELEASE] = { "expire_release", "expired", "Force-expired",
	    QUEUE_HOLD | QUEUE_INCOMING | QUEUE_ACTIVE | QUEUE_DEFERRED },
};

enum rc
queue_verb_parse(struct str text, enum queue_verb *out)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (!str_is(text, verbs[i].text))
			continue;
		*out = (enum queue_verb)i;
		return RC_OK;
	}
	return RC_PERM;
}

const char *
queue_verb_text(enum queue_verb v)
{
	return verbs[v].text;
}

const char *
queue_verb_done(enum queue_verb v)
{
	return verbs[v].done;
}

const char *
queue_verb_sum(enum queue_verb v)
{
	return verbs[v].sum;
}

unsigned
queue_verb_queues(enum queue_verb v)
{
	return verbs[v].queues;
}

enum rc
queue_verb_apply(struct spool *sp, const struct spool_info *info, enum queue_verb v,
    int64_t now_us, struct err *e)
{
	struct spool_mark m = { .next_try_us = -1 };

	switch (v) {
	case QUEUE_DELETE:
		return spool_delete(sp, info->number, e);
	case QUEUE_HOLD_IT:
		m.set = SPOOL_HELD;
		break;
	case QUEUE_RELEASE:
		m.clear = SPOOL_HELD;
		break;
	case QUEUE_REQUEUE:
		m.clear = SPOOL_HELD | SPOOL_WARNED | SPOOL_EXPIRED | SPOOL_DEFERRED;
		m.next_try_us = now_us;
		break;
	case QUEUE_EXPIRE:
		m.set = SPOOL_EXPIRED;
		break;
	case QUEUE_EXPIRE_RELEASE:
		m.set = SPOOL_EXPIRED;
		m.clear = SPOOL_HELD;
		break;
	}
	/* compat: what has the state already is not counted */
	if ((info->flags & m.set) == m.set && (info->flags & m.clear) == 0 &&
	    m.next_try_us < 0)
		return RC_NONE;
	return spool_mark(sp, info->number, &m, e);
}
