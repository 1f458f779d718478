/* The texts that ingest adds to a message, and its part of the configuration. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "addr/address.h"
#include "agent/decide_mapping.h"
#include "agent/ingest_checks.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include "log/log.h"

struct str
ingest_date(int64_t wall_us, char out[MIME_DATE_MAX])
{
	time_t seconds = (time_t)(wall_us / US_PER_SEC);
	struct tm tm = { 0 };
	struct mime_time t;

	(void)localtime_r(&seconds, &tm);
	t = (struct mime_time){ .year = tm.tm_year + 1900,
		.month = tm.tm_mon + 1,
		.day = tm.tm_mday,
		.weekday = tm.tm_wday,
		.hour = tm.tm_hour,
		.minute = tm.tm_min,
		.second = tm.tm_sec,
		.east_minutes = (int)(tm.tm_gmtoff / 60),
		.zone = tm.tm_zone };
	return mime_date_format(&t, out);
}

struct str
ingest_message_id(
    const struct ingest_conf *conf, struct str qid, int64_t arrival_us, struct arena *mem)
{
	time_t seconds = (time_t)(arrival_us / US_PER_SEC);
	struct tm tm = { 0 };

	if (conf->enable_long_queue_ids) /* compat */
		return arena_printf(
		    mem, "<%.*s@%.*s>", STR_ARG(qid), STR_ARG(conf->myhostname));
	(void)gmtime_r(&seconds, &tm);
	return arena_printf(mem, "<%04d%02d%02d%02d%02d%02d.%.*s@%.*s>",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
	    tm.tm_sec, STR_ARG(qid), STR_ARG(conf->myhostname));
}

struct str
ingest_full_address(const struct ingest_conf *conf, struct str address, struct arena *mem)
{
	return mime_address_complete(address, &conf->rewrite, mem);
}

/* ---- From: ---- */

static bool
is_phrase_byte(char c)
{
	return ascii_isalnum(c) || strchr(" !#$%&'*+-/=?^_`{|}~", c) != NULL;
}

/* RFC 2047, one encoded word after the other, each at most 75 bytes. */
static void
put_encoded(struct buf *out, struct str charset, struct str name)
{
	bool is_utf8 = str_iis(charset, "utf-8");
	size_t column = 0;

	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		bool starts_char = !is_utf8 || (c & 0xc0) != 0x80;

		if (column == 0 || (column > 60 && starts_char)) {
			(void)!buf_printf(out, "%s=?%.*s?Q?",
			    column == 0 ? "" : "?= ", STR_ARG(str_head(charset, 40)));
			column = 5 + charset.n;
		}
		if (ascii_isalnum((char)c)) {
			(void)!buf_put(out, str_n(&name.p[i], 1));
			column++;
		} else if (c == ' ') {
			(void)!buf_put(out, STR("_"));
			column++;
		} else {
			(void)!buf_printf(out, "=%02X", c);
			column += 3;
		}
	}
	(void)!buf_put(out, STR("?="));
}

static void
put_phrase(struct buf *out, struct str charset, struct str name)
{
	bool is_ascii = true, is_plain = true;

	for (size_t i = 0; i < name.n; i++) {
		is_ascii = is_ascii && (unsigned char)name.p[i] < 128;
		is_plain = is_plain && name.p[i] != '\0' && is_phrase_byte(name.p[i]);
	}
	if (!is_ascii) {
		put_encoded(out, charset, name);
	} else if (is_plain) {
		(void)!buf_put(out, name);
	} else {
		(void)!buf_put(out, STR("\""));
		for (size_t i = 0; i < name.n; i++)
			(void)!buf_printf(out, "%s%c",
			    name.p[i] == '"' || name.p[i] == '\\' ? "\\" : "",
			    (unsigned char)name.p[i] < ' ' ? ' ' : name.p[i]);
		(void)!buf_put(out, STR("\""));
	}
}

struct str
ingest_from(const struct ingest *in, struct str sender)
{
	struct str name = str_trim(in->client->full_name), out;
	struct buf b;

	if (sender.n == 0)
		return STR("MAILER-DAEMON"); /* compat */
	if (name.n == 0 || name.n > 250)
		return arena_str(in->mem, sender);
	buf_init(&b, 4000);
	if (in->conf->obsolete_from) {
		(void)!buf_printf(&b, "%.*s (", STR_ARG(sender));
		for (size_t i = 0; i < name.n; i++)
			(void)!buf_printf(&b, "%s%c",
			    name.p[i] == '(' || name.p[i] == ')' || name.p[i] == '\\'
				? "\\"
				: "",
			    (unsigned char)name.p[i] < ' ' ? ' ' : name.p[i]);
		(void)!buf_put(&b, STR(")"));
	} else {
		put_phrase(&b, in->conf->name_charset, name);
		(void)!buf_printf(&b, " <%.*s>", STR_ARG(sender));
	}
	out = arena_str(in->mem, buf_view(&b));
	buf_fini(&b);
	return out;
}

/* ---- replies, configuration ---- */

unsigned
ingest_reply_code(struct str text)
{
	if (str_starts(text, STR("5.3.4")))
		return 552;
	if (str_starts(text, STR("5.")))
		return 554;
	if (str_starts(text, STR("4.3.1")))
		return 452;
	return 451;
}

struct str
ingest_reply(struct str text, char out[INGEST_REPLY_MAX])
{
	bool is_whole = text.n > 3 && (*text.p == '4' || *text.p == '5') &&
			ascii_isdigit(text.p[1]) && ascii_isdigit(text.p[2]) &&
			(text.p[3] == ' ' || text.p[3] == '-');

	if (is_whole)
		(void)snprintf(out, INGEST_REPLY_MAX, "%.*s", STR_ARG(text));
	else
		(void)snprintf(out, INGEST_REPLY_MAX, "%u %.*s", ingest_reply_code(text),
		    STR_ARG(text));
	return str_c(out);
}

/* What the service that takes mail in leaves out. */
static enum rc
fill_overrides(const struct ingest_conf_request *req, struct arena *mem,
    struct ingest_conf *out, struct err *e)
{
	struct str list, word;
	enum rc rc = conf_get(
	    req->snapshot, req->service, STR("receive_override_options"), mem, &list, e);

	while (rc == RC_OK && str_token(&list, CONF_LIST_SEPARATORS, &word)) {
		if (str_iis(word, "no_address_mappings"))
			out->no_mappings = true;
		else if (str_iis(word, "no_header_body_checks"))
			out->no_checks = true;
		else if (str_iis(word, "no_milters"))
			out->no_milters = true;
		else if (!str_iis(word, "no_unknown_recipient_checks"))
			rc = err_set(e, RC_PERM,
			    "unknown receive_override_options value \"%.*s\"",
			    STR_ARG(word)); /* compat */
	}
	return rc;
}

/* The service that cleanup's parameters come from; NULL: main.cf alone. */
static enum rc
find_cleanup(const struct ingest_conf_request *req, struct arena *mem,
    const struct master_service **out, struct err *e)
{
	struct str name;
	enum rc rc = conf_get(
	    req->snapshot, req->service, STR("cleanup_service_name"), mem, &name, e);

	if (rc == RC_OK)
		*out = master_cf_find(&req->snapshot->master, name, MASTER_UNIX);
	return rc;
}

enum rc
ingest_conf_load(const struct ingest_conf_request *req, struct arena *mem,
    struct ingest_conf *out, struct err *e)
{
	const struct conf_snapshot *snapshot = req->snapshot;
	const struct master_service *service = NULL;
	struct conf_ingest c;
	struct str tag;
	enum rc rc = find_cleanup(req, mem, &service, e);

	if (rc == RC_OK)
		rc = conf_fill_ingest(snapshot, service, mem, &c, e);
	if (rc == RC_OK)
		rc = conf_expand(
		    snapshot, service, STR("${syslog_name}/cleanup"), mem, &tag, e);
	if (rc != RC_OK)
		return rc;
	*out = (struct ingest_conf){
		.rewrite = { .at_myorigin = c.append_at_myorigin ? c.myorigin : STR(""),
		    .dot_mydomain = c.append_dot_mydomain ? c.mydomain : STR(""),
		    .swap_bangpath = c.swap_bangpath,
		    .percent_hack = c.allow_percent_hack },
		.myhostname = c.myhostname,
		.mail_name = c.mail_name,
		.myorigin = c.myorigin,
		.message_size_limit = (uint64_t)c.message_size_limit_bytes,
		.duplicate_filter_limit = (size_t)c.duplicate_filter_limit,
		.keeps_original = c.enable_original_recipient,
		.enable_long_queue_ids = c.enable_long_queue_ids,
		.always_complete = c.always_add_missing_headers,
		.obsolete_from = str_is(c.header_from_format, "obsolete"),
		.utf8_classes =
		    c.smtputf8_enable ? c.smtputf8_autodetect_classes : STR(""),
		.name_charset = c.full_name_encoding_charset,
		.decide = req->decide,
		.log = req->log,
	};
	rc = fill_overrides(req, mem, out, e);
	if (rc == RC_OK)
		rc = ingest_checks_load(req, &c, mem, out, e);
	if (rc == RC_OK && req->decide != NULL)
		rc = decide_mapping_load(
		    req->decide, snapshot, service, mem, &out->mapping, e);
	if (rc != RC_OK)
		return rc;
	tag = arena_str(mem, tag);
	if (tag.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	out->cleanup_log = log_with_tag(req->log, tag.p);
	return RC_OK;
}
