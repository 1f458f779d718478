/* Notifications, byte for byte as Postfix 3.7 sends them: a header, a text for people, a
 * message/delivery-status part, and the place for the original. */
#include "dsn/notice.h"
#include "base/base.h"

enum { WIDTH = 79, INDENT = 4 };

/* What differs between the kinds. Compat: bounce_template.c's built-in texts. */
static const struct template
{
	const char *subject, *postmaster_subject, *action;
	const char *original;         /* Content-Description of the last part */
	const char *original_headers; /* … when only headers are returned */
	const char *text;
}
templates[] = {
	[DSN_FAILED] = { "Undelivered Mail Returned to Sender",
	    "Postmaster Copy: Undelivered Mail", "failed", "Undelivered Message",
	    "Undelivered Message Headers",
	    "I'm sorry to have to inform you that your message could not\r\n"
	    "be delivered to one or more recipients. It's attached below.\r\n"
	    "\r\n"
	    "For further assistance, please send mail to postmaster.\r\n"
	    "\r\n"
	    "If you do so, please include this problem report. You can\r\n"
	    "delete your own text from the attached returned message.\r\n" },
	[DSN_DELAYED] = { "Delayed Mail (still being retried)",
	    "Postmaster Warning: Delayed Mail", "delayed", "Undelivered Message",
	    "Undelivered Message Headers",
	    "####################################################################\r\n"
	    "# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #\r\n"
	    "####################################################################\r\n"
	    "\r\n"
	    "Your message could not be delivered for more than %lld hour(s).\r\n"
	    "It will be retried until it is %lld day(s) old.\r\n"
	    "\r\n"
	    "For further assistance, please send mail to postmaster.\r\n"
	    "\r\n"
	    "If you do so, please include this problem report. You can\r\n"
	    "delete your own text from the attached returned message.\r\n" },
	[DSN_SUCCEEDED] = { "Successful Mail Delivery Report", "", "delivered", "Message",
	    "Message Headers",
	    "Your message was successfully delivered to the destination(s)\r\n"
	    "listed below. If the message was delivered to mailbox you will\r\n"
	    "receive no further notifications. Otherwise you may still receive\r\n"
	    "notifications of mail delivery errors from other systems.\r\n" },
	[DSN_REPORTED] = { "Mail Delivery Status Report", "", "delivered", "Message",
	    "Message Headers",
	    "Enclosed is the mail delivery report that you requested.\r\n" },
};

struct dsn_text
dsn_notice_text(enum dsn_kind kind)
{
	const struct template *t = &templates[kind];

	return (struct dsn_text){ t->subject, t->postmaster_subject, t->text };
}

/* Breaks at blanks so that lines stay within WIDTH, further ones indented; a word that is
 * too long gets a line of its own. Control characters of a peer's reply become blanks. */
static enum rc
put_wrapped(struct buf *out, struct str text)
{
	size_t room = WIDTH;
	enum rc rc = RC_OK;

	while (rc == RC_OK) {
		size_t n = text.n, next;

		if (n > room) {
			for (n = room; n > 0 && text.p[n] != ' '; n--)
				;
			if (n == 0)
				n = str_find(text, ' ');
		}
		rc = buf_put(out, str_head(text, n));
		for (next = n; next < text.n && text.p[next] == ' '; next++)
			;
		text = str_from(text, next);
		if (text.n == 0)
			break;
		if (rc == RC_OK)
			rc = buf_put(out, STR("\r\n    "));
		room = WIDTH - INDENT;
	}
	return rc == RC_OK ? buf_put(out, STR("\r\n")) : rc;
}

/* Text from a log line or a peer: one line, nothing that could end it. */
static struct str
one_line(struct arena *mem, struct str text)
{
	char *p = arena_get(mem, text.n + 1);

	if (p == NULL)
		return STR("");
	for (size_t i = 0; i < text.n; i++)
		p[i] =
		    (unsigned char)text.p[i] < ' ' || text.p[i] == 127 ? ' ' : text.p[i];
	return str_trim(str_n(p, text.n));
}

static enum rc
put_headers(const struct dsn_notice *n, struct buf *out)
{
	const struct template *t = &templates[n->kind];

	return buf_printf(out,
	    "Date: %.*s\r\n"
	    "From: Mail Delivery System <%.*s>\r\n"
	    "Subject: %s\r\n"
	    "To: %.*s\r\n"
	    "Auto-Submitted: %s\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"%.*s\"\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n"
	    "\r\n"
	    "This is a MIME-encapsulated message.\r\n"
	    "\r\n",
	    STR_ARG(n->date), STR_ARG(n->from),
	    n->is_postmaster_copy ? t->postmaster_subject : t->subject, STR_ARG(n->to),
	    n->is_postmaster_copy ? "auto-generated" : "auto-replied",
	    STR_ARG(n->boundary));
}

static enum rc
put_explanation(const struct dsn_notice *n, struct buf *out)
{
	const int64_t hour = 3600 * US_PER_SEC, day = 24 * hour;
	struct str text = str_c(templates[n->kind].text), before, after;
	enum rc rc = buf_printf(
	    out, "This is the mail system at host %.*s.\r\n\r\n", STR_ARG(n->myhostname));
	int64_t values[2] = { n->delay_warning_us / hour,
		n->max_queue_lifetime_us / day };

	for (size_t i = 0; rc == RC_OK && i < 2 && str_cut(text, '%', &before, &after);
	     i++) {
		rc = buf_put(out, before);
		if (rc == RC_OK)
			rc = buf_printf(out, "%lld", (long long)values[i]);
		text = str_from(after, 3); /* "lld" */
	}
	if (rc == RC_OK)
		rc = buf_put(out, text);
	if (rc == RC_OK)
		rc = buf_put(out, STR("\r\n                   The mail system\r\n"));
	return rc;
}

static enum rc
put_text(const struct dsn_notice *n, struct arena *mem, struct buf *out)
{
	enum rc rc = buf_printf(out,
	    "--%.*s\r\n"
	    "Content-Description: Notification\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n"
	    "\r\n",
	    STR_ARG(n->boundary));

	if (rc == RC_OK && !n->is_postmaster_copy)
		rc = put_explanation(n, out);
	for (size_t i = 0; rc == RC_OK && i < n->n_rcpts; i++) {
		const struct dsn_rcpt *r = &n->rcpts[i];
		struct str reason = one_line(mem, r->reason), line;

		if (r->orig.n > 0 && !str_ieq(r->orig, r->address))
			line = arena_printf(mem, "<%.*s> (expanded from <%.*s>): %.*s",
			    STR_ARG(r->address), STR_ARG(r->orig), STR_ARG(reason));
		else
			line = arena_printf(
			    mem, "<%.*s>: %.*s", STR_ARG(r->address), STR_ARG(reason));
		if (line.p == NULL)
			return RC_TEMP;
		rc = buf_put(out, STR("\r\n"));
		if (rc == RC_OK)
			rc = put_wrapped(out, line);
		arena_reset(mem);
	}
	return rc;
}

static enum rc
put_rcpt_fields(const struct dsn_notice *n, const struct dsn_rcpt *r, struct arena *mem,
    struct buf *out)
{
	struct str action =
	    r->action.n > 0 ? r->action : str_c(templates[n->kind].action);
	struct str orig = r->orig.n > 0 ? r->orig : r->address, diag;
	enum rc rc = buf_printf(out, "\r\nFinal-Recipient: %s; %.*s\r\n",
	    n->is_utf8 && !str_is_ascii(r->address) ? "utf-8" : "rfc822",
	    STR_ARG(r->address));

	if (rc == RC_OK && r->orcpt.n > 0)
		rc = buf_printf(out, "Original-Recipient: %.*s\r\n", STR_ARG(r->orcpt));
	else if (rc == RC_OK)
		rc =
		    buf_printf(out, "Original-Recipient: rfc822;%.*s\r\n", STR_ARG(orig));
	if (rc == RC_OK)
		rc = buf_printf(out, "Action: %.*s\r\nStatus: %.*s\r\n",
		    STR_ARG(one_line(mem, action)), STR_ARG(one_line(mem, r->status)));
	if (rc == RC_OK && r->mta.n > 0)
		rc = buf_printf(
		    out, "Remote-MTA: dns; %.*s\r\n", STR_ARG(one_line(mem, r->mta)));
	if (r->diag_type.n > 0 && r->diag.n > 0)
		diag = arena_printf(mem, "Diagnostic-Code: %.*s; %.*s",
		    STR_ARG(one_line(mem, r->diag_type)),
		    STR_ARG(one_line(mem, r->diag)));
	else
		diag = arena_printf(mem, "Diagnostic-Code: X-Postfix; %.*s", /* compat */
		    STR_ARG(one_line(mem, r->reason)));
	if (diag.p == NULL)
		return RC_TEMP;
	if (rc == RC_OK)
		rc = put_wrapped(out, diag);
	if (rc == RC_OK && n->will_retry_until.n > 0)
		rc = buf_printf(
		    out, "Will-Retry-Until: %.*s\r\n", STR_ARG(n->will_retry_until));
	arena_reset(mem);
	return rc;
}

static enum rc
put_report(const struct dsn_notice *n, struct arena *mem, struct buf *out)
{
	enum rc rc = buf_printf(out,
	    "\r\n--%.*s\r\n"
	    "Content-Description: Delivery report\r\n"
	    "Content-Type: message/%s\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; %.*s\r\n",
	    STR_ARG(n->boundary),
	    n->is_utf8 ? "global-delivery-status\r\nContent-Transfer-Encoding: 8bit"
		       : "delivery-status",
	    STR_ARG(n->myhostname));

	if (rc == RC_OK && n->envid.n > 0)
		rc = buf_printf(out, "Original-Envelope-Id: %.*s\r\n", STR_ARG(n->envid));
	if (rc == RC_OK)
		rc = buf_printf(out,
		    "X-%.*s-Queue-ID: %.*s\r\n"
		    "X-%.*s-Sender: %s; %.*s\r\n"
		    "Arrival-Date: %.*s\r\n",
		    STR_ARG(n->mail_name), STR_ARG(n->qid), STR_ARG(n->mail_name),
		    n->is_utf8 && !str_is_ascii(n->sender) ? "utf-8" : "rfc822",
		    STR_ARG(n->sender), STR_ARG(n->arrival));
	for (size_t i = 0; rc == RC_OK && i < n->n_rcpts; i++)
		rc = put_rcpt_fields(n, &n->rcpts[i], mem, out);
	return rc;
}

static const char *
original_type(const struct dsn_notice *n)
{
	if (n->is_utf8)
		return n->headers_only ? "message/global-headers" : "message/global";
	return n->headers_only ? "text/rfc822-headers" : "message/rfc822";
}

static enum rc
put_original(const struct dsn_notice *n, struct buf *out)
{
	const struct template *t = &templates[n->kind];

	return buf_printf(out,
	    "\r\n--%.*s\r\n"
	    "Content-Description: %s\r\n"
	    "Content-Type: %s\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n"
	    "\r\n"
	    "Return-Path: <%.*s>\r\n",
	    STR_ARG(n->boundary), n->headers_only ? t->original_headers : t->original,
	    original_type(n), STR_ARG(n->sender));
}

enum rc
dsn_notice_format(
    const struct dsn_notice *n, struct buf *prefix, struct buf *suffix, struct err *e)
{
	struct arena *mem;
	enum rc rc;

	if (n->n_rcpts == 0)
		return err_set(e, RC_PERM, "notification about nobody");
	mem = arena_new(64 << 10);
	rc = put_headers(n, prefix);
	if (rc == RC_OK)
		rc = put_text(n, mem, prefix);
	if (rc == RC_OK)
		rc = put_report(n, mem, prefix);
	if (rc == RC_OK)
		rc = put_original(n, prefix);
	if (rc == RC_OK)
		rc = buf_printf(suffix, "\r\n--%.*s--\r\n", STR_ARG(n->boundary));
	arena_free(&mem);
	return rc == RC_OK ? RC_OK : err_set(e, RC_TEMP, "notification too large");
}

size_t
dsn_headers_size(struct str content)
{
	size_t at = 0;

	while (at < content.n) {
		if (content.p[at] == '\r' && at + 1 < content.n &&
		    content.p[at + 1] == '\n')
			return at;
		at += str_find(str_from(content, at), '\n') + 1;
	}
	return content.n;
}
