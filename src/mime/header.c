/* Names of header fields, and the two fields that we write ourselves: Received: and
 * dates. */
#include "mime/header.h"
#include <stdio.h>

bool
mime_header_split(struct str line, size_t *name_n, size_t *value_at)
{
	size_t i = 0;

	while (i < line.n && line.p[i] > ' ' && line.p[i] < 127 && line.p[i] != ':')
		i++;
	*name_n = i;
	while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'))
		i++;
	if (*name_n == 0 || i == line.n || line.p[i] != ':')
		return false;
	*value_at = i + 1;
	return true;
}

enum kind { PLAIN, SENDERS, RECIPIENTS, MIME };

/* Compat: kinds as in header_opts of Postfix. */
static const struct {
	struct str name;
	enum kind kind;
} headers[MIME_HDR_COUNT] = {
	[MIME_HDR_OTHER] = { STR_INIT(""), PLAIN },
	[MIME_HDR_APPARENTLY_TO] = { STR_INIT("Apparently-To"), RECIPIENTS },
	[MIME_HDR_BCC] = { STR_INIT("Bcc"), RECIPIENTS },
	[MIME_HDR_CC] = { STR_INIT("Cc"), RECIPIENTS },
	[MIME_HDR_CONTENT_LENGTH] = { STR_INIT("Content-Length"), PLAIN },
	[MIME_HDR_CONTENT_MIME] = { STR_INIT("Content-Type"), MIME },
	[MIME_HDR_CONTENT_TRANSFER_ENCODING] = { STR_INIT("Content-Transfer-Encoding"),
	    MIME },
	[MIME_HDR_DATE] = { STR_INIT("Date"), PLAIN },
	[MIME_HDR_DELIVERED_TO] = { STR_INIT("Delivered-To"), PLAIN },
	[MIME_HDR_DISPOSITION_NOTIFICATION_TO] = { STR_INIT(
						       "Disposition-Notification-To"),
	    SENDERS },
	[MIME_HDR_ERRORS_TO] = { STR_INIT("Errors-To"), SENDERS },
	[MIME_HDR_FROM] = { STR_INIT("From"), SENDERS },
	[MIME_HDR_MAIL_FOLLOWUP_TO] = { STR_INIT("Mail-Followup-To"), SENDERS },
	[MIME_HDR_MESSAGE_ID] = { STR_INIT("Message-Id"), PLAIN },
	[MIME_HDR_MIME_VERSION] = { STR_INIT("MIME-Version"), MIME },
	[MIME_HDR_RECEIVED] = { STR_INIT("Received"), PLAIN },
	[MIME_HDR_REPLY_TO] = { STR_INIT("Reply-To"), SENDERS },
	[MIME_HDR_RESENT_BCC] = { STR_INIT("Resent-Bcc"), RECIPIENTS },
	[MIME_HDR_RESENT_CC] = { STR_INIT("Resent-Cc"), RECIPIENTS },
	[MIME_HDR_RESENT_DATE] = { STR_INIT("Resent-Date"), PLAIN },
	[MIME_HDR_RESENT_FROM] = { STR_INIT("Resent-From"), SENDERS },
	[MIME_HDR_RESENT_MESSAGE_ID] = { STR_INIT("Resent-Message-Id"), PLAIN },
	[MIME_HDR_RESENT_REPLY_TO] = { STR_INIT("Resent-Reply-To"), RECIPIENTS },
	[MIME_HDR_RESENT_SENDER] = { STR_INIT("Resent-Sender"), SENDERS },
	[MIME_HDR_RESENT_TO] = { STR_INIT("Resent-To"), RECIPIENTS },
	[MIME_HDR_RETURN_PATH] = { STR_INIT("Return-Path"), SENDERS },
	[MIME_HDR_RETURN_RECEIPT_TO] = { STR_INIT("Return-Receipt-To"), SENDERS },
	[MIME_HDR_SENDER] = { STR_INIT("Sender"), SENDERS },
	[MIME_HDR_TO] = { STR_INIT("To"), RECIPIENTS },
};
static const char *const mime_names[] = { "Content-Description", "Content-Disposition",
	"Content-Id" };

enum mime_header
mime_header_find(struct str name)
{
	char first = name.n > 0 ? ascii_lower(*name.p) : '\0';

	/* Once for each header of each message. */
	for (int h = MIME_HDR_OTHER + 1; h < MIME_HDR_COUNT; h++)
		if (headers[h].name.n == name.n &&
		    ascii_lower(*headers[h].name.p) == first &&
		    str_ieq(headers[h].name, name))
			return (enum mime_header)h;
	for (size_t i = 0; i < ARRAY_LEN(mime_names) && first == 'c'; i++)
		if (str_iis(name, mime_names[i]))
			return MIME_HDR_CONTENT_MIME;
	return MIME_HDR_OTHER;
}

bool
mime_header_has_addresses(enum mime_header h)
{
	return headers[h].kind == SENDERS || headers[h].kind == RECIPIENTS;
}

bool
mime_header_has_recipients(enum mime_header h)
{
	return headers[h].kind == RECIPIENTS;
}

bool
mime_header_is_mime(enum mime_header h)
{
	return headers[h].kind == MIME;
}

struct str
mime_date_format(const struct mime_time *t, char out[MIME_DATE_MAX])
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri",
		"Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
		"Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	int east = t->east_minutes < 0 ? -t->east_minutes : t->east_minutes;
	bool has_zone = t->zone != NULL && t->zone[0] != '\0';

	(void)snprintf(out, MIME_DATE_MAX,
	    "%s, %d %s %d %02d:%02d:%02d %c%02d%02d%s%.20s%s",
	    days[(unsigned)t->weekday % 7], t->day, months[(unsigned)(t->month - 1) % 12],
	    t->year, t->hour, t->minute, t->second, t->east_minutes < 0 ? '-' : '+',
	    east / 60, east % 60, has_zone ? " (" : "", has_zone ? t->zone : "",
	    has_zone ? ")" : "");
	return str_c(out);
}

static enum rc
from_client(const struct mime_received *r, struct buf *out)
{
	/* RFC 5321 4.1.3 wants the tag; the log does not. */
	bool is_v6 = str_find(r->client_addr, ':') < r->client_addr.n;

	return buf_printf(out,
	    "Received: from %.*s (%.*s [%s%.*s])\r\n\tby %.*s (%.*s) with %.*s id %.*s",
	    STR_ARG(r->helo.n > 0 ? r->helo : r->client_name), STR_ARG(r->client_name),
	    is_v6 ? "IPv6:" : "", STR_ARG(r->client_addr), STR_ARG(r->myhostname),
	    STR_ARG(r->mail_name), STR_ARG(r->proto), STR_ARG(r->qid));
}

enum rc
mime_received_format(const struct mime_received *r, struct buf *out)
{
	enum rc rc = RC_OK;

	switch (r->via) {
	case MIME_VIA_SMTP: /* compat */
		rc = from_client(r, out);
		if (rc == RC_OK && r->rcpt.n > 0)
			rc = buf_printf(out, "\r\n\tfor <%.*s>; %.*s\r\n",
			    STR_ARG(r->rcpt), STR_ARG(r->date));
		else if (rc == RC_OK)
			rc = buf_printf(out, ";\r\n\t%.*s\r\n", STR_ARG(r->date));
		break;
	case MIME_VIA_LOCAL: /* compat */
		rc = buf_printf(out,
		    "Received: by %.*s (%.*s, from userid %u)\r\n\tid %.*s; %.*s\r\n",
		    STR_ARG(r->myhostname), STR_ARG(r->mail_name), r->uid,
		    STR_ARG(r->qid), STR_ARG(r->date));
		break;
	case MIME_VIA_SELF: /* compat */
		rc = buf_printf(out, "Received: by %.*s (%.*s)\r\n\tid %.*s; %.*s\r\n",
		    STR_ARG(r->myhostname), STR_ARG(r->mail_name), STR_ARG(r->qid),
		    STR_ARG(r->date));
		break;
	}
	return rc;
}
