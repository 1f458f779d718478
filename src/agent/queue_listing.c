/* From the listing protocol to what people and scripts read: see listing.h. compat: every
 * column and word. */
#include "agent/queue_listing.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ATTRIBUTE_MAX ((size_t)1 << 20)

void
queue_listing_init(struct queue_listing *l, FILE *to, bool is_json, bool is_long)
{
	*l = (struct queue_listing){ .to = to, .is_json = is_json, .is_long = is_long };
	buf_init(&l->in, ATTRIBUTE_MAX);
}

static void
keep(char **slot, struct str s)
{
	free(*slot);
	*slot = mem_get(s.n + 1);
	if (s.n > 0)
		memcpy(*slot, s.p, s.n);
}

static void
forget(char **slot)
{
	free(*slot);
	*slot = NULL;
}

/* ---- JSON ---- */

/* The length of the UTF-8 sequence at the start of `s`; 0: it is none. */
static size_t
utf8_length(struct str s)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = c < 0x80   ? 1
		   : c < 0xc2 ? 0
		   : c < 0xe0 ? 2
		   : c < 0xf0 ? 3
		   : c < 0xf5 ? 4
			      : 0;

	if (n > s.n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static void
json_string(FILE *to, const char *text)
{
	struct str s = str_c(text);

	(void)fputc('"', to);
	while (s.n > 0) {
		unsigned char c = (unsigned char)s.p[0];
		size_t n = utf8_length(s);

		if (c == '"' || c == '\\')
			(void)fprintf(to, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			(void)fprintf(to, "\\u%04X", c);
		else if (n == 0)
			(void)fputc('?', to);
		else
			(void)fwrite(s.p, 1, n, to);
		s = str_from(s, n == 0 ? 1 : n);
	}
	(void)fputc('"', to);
}

static void
json_member(FILE *to, const char *name, const char *value)
{
	(void)fprintf(to, "\"%s\": ", name);
	json_string(to, value);
}

static void
json_head(struct queue_listing *l)
{
	(void)fputc('{', l->to);
	json_member(l->to, "queue_name", l->queue_name);
	(void)fputs(", ", l->to);
	json_member(l->to, "queue_id", l->id);
	(void)fprintf(l->to,
	    ", \"arrival_time\": %" PRIu64 ", \"message_size\": %" PRIu64
	    ", \"forced_expire\": %s, ",
	    l->time_s, l->size_bytes, l->is_expired ? "true" : "false");
	json_member(l->to, "sender", l->sender);
	(void)fputs(", \"recipients\": [", l->to);
}

static void
json_rcpt(struct queue_listing *l)
{
	if (l->has_rcpt)
		(void)fputs(", ", l->to);
	(void)fputc('{', l->to);
	json_member(l->to, "address", l->rcpt);
	if (l->reason != NULL) {
		(void)fputs(", ", l->to);
		json_member(l->to, "delay_reason", l->reason);
	}
	(void)fputc('}', l->to);
}

/* ---- text ---- */

/* Control characters must not reach the terminal. */
static void
put_text(FILE *to, const char *text)
{
	struct str s = str_c(text);

	while (s.n > 0) {
		size_t n = utf8_length(s);
		unsigned char c = (unsigned char)s.p[0];

		if (n == 0 || c < ' ' || c == 0x7f) {
			(void)fputc('?', to);
			n = 1;
		} else {
			(void)fwrite(s.p, 1, n, to);
		}
		s = str_from(s, n);
	}
}

static void
text_head(struct queue_listing *l)
{
	time_t at = (time_t)l->time_s;
	char id[64], when[40] = "";
	struct tm tm;

	if (l->n_messages == 0)
		(void)fputs(l->is_long ? "----Queue ID----- --Size-- ---Arrival Time---- "
					 "--Sender/Recipient------\n"
				       : "-Queue ID-  --Size-- ----Arrival Time---- "
					 "-Sender/Recipient-------\n",
		    l->to);
	(void)snprintf(id, sizeof(id), "%s%s%s%s", l->id,
	    strcmp(l->queue_name, "active") == 0 ? "*" : "",
	    strcmp(l->queue_name, "hold") == 0 ? "!" : "", l->is_expired ? "#" : "");
	if (localtime_r(&at, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%a %b %e %H:%M:%S ", &tm);
	(void)fprintf(l->to,
	    l->is_long ? "%-17s %8" PRIu64 " %.19s " : "%-11s %7" PRIu64 " %.20s ", id,
	    l->size_bytes, when);
	put_text(l->to, l->sender);
	(void)fputc('\n', l->to);
}

static void
text_rcpt(struct queue_listing *l)
{
	int pad;

	if (l->reason != NULL &&
	    (l->last_reason == NULL || strcmp(l->reason, l->last_reason) != 0)) {
		pad = 76 - (int)strlen(l->reason);
		(void)fprintf(l->to, "%*s(", pad > 0 ? pad : 0, "");
		put_text(l->to, l->reason);
		(void)fputs(")\n", l->to);
		keep(&l->last_reason, str_c(l->reason));
	}
	(void)fprintf(l->to, "%*s", l->is_long ? 47 : 41, "");
	put_text(l->to, l->rcpt);
	(void)fputc('\n', l->to);
}

/* ---- the protocol ---- */

static void
flush_rcpt(struct queue_listing *l)
{
	if (l->rcpt == NULL)
		return;
	if (l->is_json)
		json_rcpt(l);
	else
		text_rcpt(l);
	l->has_rcpt = true;
	forget(&l->rcpt);
	forget(&l->reason);
}

static void
flush_head(struct queue_listing *l)
{
	if (l->in_message)
		return;
	l->in_message = true;
	if (l->is_json)
		json_head(l);
	else
		text_head(l);
}

static bool
is_whole(const struct queue_listing *l)
{
	return l->queue_name != NULL && l->id != NULL && l->sender != NULL;
}

static enum rc
end_message(struct queue_listing *l)
{
	if (!is_whole(l))
		return RC_PERM;
	flush_head(l);
	flush_rcpt(l);
	(void)fputs(l->is_json ? "]}\n" : "\n", l->to);
	l->n_messages++;
	l->total_bytes += l->size_bytes;
	l->in_message = l->has_rcpt = false;
	forget(&l->queue_name);
	forget(&l->id);
	forget(&l->sender);
	forget(&l->last_reason);
	l->time_s = l->size_bytes = 0;
	l->is_expired = false;
	return RC_OK;
}

static enum rc
attribute(struct queue_listing *l, struct str name, struct str value)
{
	uint64_t n = 0;

	if (str_is(name, "queue_name")) {
		keep(&l->queue_name, value);
	} else if (str_is(name, "queue_id")) {
		keep(&l->id, value);
	} else if (str_is(name, "sender")) {
		keep(&l->sender, value);
	} else if (str_is(name, "time")) {
		return str_u64(value, INT64_MAX, &l->time_s);
	} else if (str_is(name, "size")) {
		return str_u64(value, INT64_MAX, &l->size_bytes);
	} else if (str_is(name, "forced_expire")) {
		if (str_u64(value, 1, &n) != RC_OK)
			return RC_PERM;
		l->is_expired = n == 1;
	} else if (str_is(name, "recipient")) {
		if (!is_whole(l))
			return RC_PERM;
		flush_head(l);
		flush_rcpt(l);
		keep(&l->rcpt, value);
	} else if (str_is(name, "reason")) {
		keep(&l->reason, value);
	}
	return RC_OK; /* later versions may tell more */
}

/* One item off the input: an attribute or the end of something. RC_MORE: not all there.
 */
static enum rc
item(struct queue_listing *l)
{
	struct str in = buf_view(&l->in), name, value;
	enum rc rc;

	if (!str_cut(in, '\0', &name, &in))
		return RC_MORE;
	if (name.n == 0) {
		buf_consume(&l->in, 1);
		if (l->where == QUEUE_LISTING_HEAD) {
			l->where = QUEUE_LISTING_BODY;
			return RC_OK;
		}
		if (l->queue_name != NULL || l->id != NULL)
			return end_message(l);
		l->where = QUEUE_LISTING_OVER;
		return RC_OK;
	}
	if (!str_cut(in, '\0', &value, &in))
		return RC_MORE;
	if (l->where == QUEUE_LISTING_HEAD)
		rc = str_is(name, "protocol") && str_is(value, "mail_queue_list_protocol")
			 ? RC_OK
			 : RC_PERM;
	else
		rc = attribute(l, name, value);
	buf_consume(&l->in, name.n + value.n + 2);
	return rc;
}

enum rc
queue_listing_feed(struct queue_listing *l, struct str bytes)
{
	enum rc rc;

	while (bytes.n > 0) {
		struct str part = str_head(bytes, buf_left(&l->in));

		if (part.n == 0 || buf_put(&l->in, part) != RC_OK)
			return RC_TEMP;
		bytes = str_from(bytes, part.n);
		while (l->where != QUEUE_LISTING_OVER && (rc = item(l)) != RC_MORE)
			if (rc != RC_OK)
				return rc;
		if (l->where == QUEUE_LISTING_OVER)
			buf_reset(&l->in);
	}
	return RC_OK;
}

enum rc
queue_listing_end(struct queue_listing *l)
{
	bool is_whole_list = l->where == QUEUE_LISTING_OVER;

	buf_fini(&l->in);
	forget(&l->queue_name);
	forget(&l->id);
	forget(&l->sender);
	forget(&l->rcpt);
	forget(&l->reason);
	forget(&l->last_reason);
	if (!is_whole_list)
		return RC_PERM;
	if (!l->is_json && l->n_messages == 0)
		(void)fputs("Mail queue is empty\n", l->to);
	else if (!l->is_json)
		(void)fprintf(l->to, "-- %" PRIu64 " Kbytes in %" PRIu64 " Request%s.\n",
		    l->total_bytes / 1024, l->n_messages, l->n_messages == 1 ? "" : "s");
	return RC_OK;
}
