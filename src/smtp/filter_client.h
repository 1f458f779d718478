#ifndef SMTP_FILTER_CLIENT_H
#define SMTP_FILTER_CLIENT_H
/* One SMTP client session with a content filter in front of the queue
 *(smtpd_proxy_filter), without sockets and clocks: one message, in step with the client
 *whose message it is.
 *
 * It is not the client session of deliveries (client.h): it sends one command at a time,
 * says what was said to us, and gives the filter's replies back as they are. Content goes
 * out with CRLF line ends and stuffed dots whatever came in: a CR or LF that is not part
 *of a line end never reaches the filter, so that both see the same end of the message.
 *
 *	loop:	smtp_filter_next() until false: SEND the bytes; REPLY answers the open
 *command smtp_filter_recv(bytes that came) */
#include "base/base.h"
#include "smtp/server.h"

struct smtp_filter;

/* Lives as long as the session. */
struct smtp_filter_conf {
	struct str ehlo; /* smtpd_proxy_ehlo */
	/* Who the client is, for filters that offer XFORWARD; empty or "unknown" becomes
	 * [UNAVAILABLE]. */
	struct smtp_client_attrs client;
};

enum smtp_filter_fx_type {
	SMTP_FILTER_SEND,   /* write `data` */
	SMTP_FILTER_REPLY,  /* the answer to the open command: `code`, `data` */
	SMTP_FILTER_BROKEN, /* no more comes of it: `data` says why; close */
};

struct smtp_filter_fx {
	enum smtp_filter_fx_type type;
	int code;
	/* Valid until the next push. REPLY: all lines, parted by CRLF. */
	struct str data;
	/* BROKEN: what the filter refused ("connection request", "EHLO x"), when it did.
	 */
	struct str command;
};

/* Waits for the greeting at first. Memory: *conf is copied, its strings are not. */
struct smtp_filter *smtp_filter_new(const struct smtp_filter_conf *conf);
void smtp_filter_free(struct smtp_filter **f);

/* One command, without line end; it goes out when greeting, EHLO and XFORWARD are over.
 * Not while another one is open. Limits: longer than 4,000 bytes, or with control
 * characters in it, is BROKEN. */
void smtp_filter_command(struct smtp_filter *f, struct str line);
/* After a reply 354 to DATA: a piece of the message, cut anywhere, dots unstuffed, lines
 * ended by CRLF or LF. A CR elsewhere becomes a blank. */
void smtp_filter_content(struct smtp_filter *f, struct str piece);
/* The message is complete: ends it with a lone dot; its reply is that of a command. */
void smtp_filter_end(struct smtp_filter *f);

/* What the filter sent; all of it is used. */
void smtp_filter_recv(struct smtp_filter *f, struct str in);
bool smtp_filter_next(struct smtp_filter *f, struct smtp_filter_fx *out);
/* Whether a reply is awaited. */
bool smtp_filter_is_asking(const struct smtp_filter *f);
#endif
