#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H
#include "base/base.h"
#include "smtp/path.h"

/* One SMTP or LMTP client session, without sockets, clocks, files or threads: from the
 *banner over any number of messages to QUIT. The caller (the "shell") has connected
 *already. It pushes what happened and pulls effects, as with smtp/server.h:
 *
 *	smtp_client_new(); smtp_client_deliver(job); then, until CLOSE:
 *		while (smtp_client_next(c, &fx)) carry out fx
 *		used = smtp_client_recv(c, now, unread input)
 *	When SMTP_CX_DONE has come: smtp_client_deliver(next job), or smtp_client_quit(),
 *or keep the connection for a while, then do one of them. */
struct smtp_client;

/* Shared by sessions, immutable, lives longer than they do. Times: the parameters
 * smtp_*_timeout. */
struct smtp_client_conf {
	struct str helo_name; /* smtp_helo_name */
	bool is_lmtp;         /* LHLO, one reply per recipient after the data */
	bool always_send_ehlo, never_send_ehlo;
	bool skip_5xx_greeting, skip_quit_response;
	bool keeps_8bit;           /* disable_mime_output_conversion */
	bool send_dummy_mail_auth; /* smtp_send_dummy_mail_auth; only with AUTH */
	bool remember_own_name; /* a server that greets with `helo_name` is ourselves: a
				   loop */
	unsigned hide;          /* bits of enum smtp_cap: smtp_discard_ehlo_keywords */
	int64_t greeting_us; /* smtp_connect_timeout's sibling: smtp_helo_timeout covers
				banner and EHLO */
	int64_t helo_us, mail_us, rcpt_us, data_init_us, data_xfer_us, data_done_us,
	    rset_us, quit_us;
	size_t line_limit;     /* smtp_line_length_limit; 0: none */
	uint32_t pipeline_max; /* recipients sent before replies are waited for */
};

enum smtp_cap {
	SMTP_CAP_PIPELINING = 1,
	SMTP_CAP_SIZE = 2,
	SMTP_CAP_8BITMIME = 4,
	SMTP_CAP_STATUS = 8,
	SMTP_CAP_DSN = 16,
	SMTP_CAP_STARTTLS = 32,
	SMTP_CAP_AUTH = 64,
	SMTP_CAP_SMTPUTF8 = 128,
	SMTP_CAP_CHUNKING = 256,
};
unsigned smtp_cap_bits(struct str names); /* smtp_discard_ehlo_keywords */

struct smtp_client_rcpt {
	struct str address; /* external form without <> */
	struct str orcpt;   /* "rfc822;…", decoded; empty: none */
	struct str orig;    /* as it came, when aliasing changed it: stands for orcpt */
	unsigned notify;
};

/* One message, and who of its recipients. Lives with the caller until SMTP_CX_DONE. */
struct smtp_client_job {
	struct str queue_id; /* for log lines */
	struct str nexthop;  /* for the text of a mail loop; empty: the peer's name */
	struct str sender;   /* external form; empty for <> */
	struct str envid;
	enum smtp_ret ret;
	int64_t size_bytes;  /* of the content; 0: not known */
	bool is_8bit;        /* it is announced as BODY=8BITMIME, or else converted */
	bool says_7bit;      /* else it is announced as BODY=7BIT */
	bool has_dots;       /* some line may begin with a dot: content is scanned */
	bool has_long_lines; /* some line may be longer than conf->line_limit */
	/* It came with SMTPUTF8, and has_utf8_header: some header is not ASCII. What
	 * needs the extension is refused where the server does not offer it. RFC
	 * 6531 3.6. */
	bool is_utf8, has_utf8_header;
	/* Nothing is delivered: what the server says to RCPT is each recipient's outcome,
	 * then the transaction is given up; with asks_data, what it says to DATA, and
	 * then the connection. There is no SMTP_CX_CONTENT. */
	bool is_probe, asks_data;
	const struct smtp_client_rcpt *rcpts;
	uint32_t n_rcpt;
};

enum smtp_cx_type {
	SMTP_CX_SEND, /* write `data` to the server */
	SMTP_CX_LOG, /* write `data` to the log (an ordinary line, "QID: …" included) */
	SMTP_CX_OUTCOME, /* what became of recipient `index` of the job: `outcome` */
	SMTP_CX_CONTENT, /* call smtp_client_content() with the next piece of the content;
			  * as_7bit: converted, as mime/filter.h does */
	SMTP_CX_DONE,  /* every recipient has its outcome, or was left (see is_try_next);
			* the  session is ready for the next message unless is_closing */
	SMTP_CX_CLOSE, /* close; nothing follows */
};

/* What became of a recipient, or of the whole session. Texts are as Postfix logs them
 * inside "(…)". */
struct smtp_client_outcome {
	enum rc rc;     /* RC_OK sent, RC_TEMP deferred, RC_PERM bounced */
	struct str dsn; /* "2.0.0" */
	struct str text; /* "250 2.0.0 Ok", "host a[1.2.3.4] said: 550 … (in reply to RCPT
			    TO command)" */
	struct str diag; /* the server's own words, empty when it said none */
	struct str mta;  /* the host that said it; with diag only */
	bool is_relayed; /* sent to a server without DSN: RFC 3461 wants "relayed" */
};

struct smtp_cx {
	enum smtp_cx_type type;
	struct str data;
	uint32_t index; /* OUTCOME */
	const struct smtp_client_outcome
	    *outcome; /* OUTCOME; DONE with is_try_next: the failure */
	/* DONE: recipients without an OUTCOME may be tried at another host: the session
	 * failed (4yz or 5yz greeting, lost connection, time-out …) before they were
	 * accepted or refused. */
	bool is_try_next;
	bool is_content; /* SEND: a part of the message, not a command */
	bool is_closing; /* DONE: CLOSE follows; no further message here */
	bool as_7bit;    /* CONTENT: the server has no 8BITMIME */
};

struct smtp_client_peer {
	struct str name, addr; /* "mx.example.com", "192.0.2.1" */
	struct str port; /* "25": shown in texts only when it is not the usual one */
};

/* `peer` is copied. */
struct smtp_client *smtp_client_new(const struct smtp_client_conf *conf,
    const struct smtp_client_peer *peer, int64_t now_us);
void smtp_client_free(struct smtp_client **c);

/* Begins a message: allowed at the start and after each DONE that is not closing. */
void smtp_client_deliver(
    struct smtp_client *c, int64_t now_us, const struct smtp_client_job *job);
/* Answers SMTP_CX_CONTENT. What is to be 7-bit has been made so. `piece`: the next bytes,
 * CRLF lines, cut anywhere; must stay until they are sent (the effects view them).
 * `is_last`: nothing follows. */
void smtp_client_content(
    struct smtp_client *c, int64_t now_us, struct str piece, bool is_last);
/* The content cannot be read or converted: gives up without ending the data; all
 * recipients get this outcome (rc, dsn and text of it). */
void smtp_client_content_failed(
    struct smtp_client *c, int64_t now_us, const struct smtp_client_outcome *why);
/* Ends an idle session politely. */
void smtp_client_quit(struct smtp_client *c, int64_t now_us);
/* Offers all unread bytes; returns how many were used. 0: nothing can be done before
 * effects are drained, or a line's end is missing. Given SMTP_CLIENT_NEED bytes it uses
 * some. */
#define SMTP_CLIENT_NEED 8192
size_t smtp_client_recv(struct smtp_client *c, int64_t now_us, struct str in);
/* The shell wrote everything it had: restarts the clock of a transfer. */
void smtp_client_sent(struct smtp_client *c, int64_t now_us);
void smtp_client_lost(struct smtp_client *c, int64_t now_us);
void smtp_client_tick(struct smtp_client *c, int64_t now_us);
int64_t smtp_client_deadline(const struct smtp_client *c);
bool smtp_client_next(struct smtp_client *c, struct smtp_cx *out);

/* Whether the server refused this message, or us, with a reply that one to commands in
 * order cannot be: 500 to 509, 555, and what is no refusal at all (compat). */
bool smtp_client_has_trouble(const struct smtp_client *c);
bool smtp_client_is_ready(
    const struct smtp_client *c); /* deliver or quit may be called */
#endif
