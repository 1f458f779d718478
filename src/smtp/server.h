#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H
#include "base/base.h"
#include "smtp/path.h"

/* One SMTP server session, without sockets, clocks, files or threads.
 *
 * The caller (the "shell") owns the connection and its input buffer. It pushes in what
 * happened: bytes, answers, the passing of time, the loss of the connection. It pulls out
 * effects, in order, and carries them out. Same pushes in, same effects out, always.
 *
 *	loop:	while (smtp_server_next(s, &fx)) carry out fx, answer a question at once
 *or later used = smtp_server_recv(s, now, unread input); drop `used` bytes of input again
 *while used > 0 or there were effects
 *
 * Memory: about 1 KiB per idle session; what a client sends is kept in one block that
 *exists only while a mail transaction is open. */
struct smtp_server;

enum smtp_newline {
	SMTP_NEWLINE_NO,        /* a bare LF is as good as CRLF */
	SMTP_NEWLINE_NORMALIZE, /* the same, but only CRLF.CRLF ends the data */
	SMTP_NEWLINE_REJECT,    /* a bare LF refuses the command or message */
	SMTP_NEWLINE_NOTE,      /* like NORMALIZE, and log it */
};

/* Plain values; the shell fills them from parameters of nearly the same names. Shared by
 * all sessions of a service and immutable; lives longer than they do. */
struct smtp_server_conf {
	struct str hostname; /* myhostname */
	struct str banner;   /* smtpd_banner, expanded, without "220 " */
	int64_t size_limit;  /* message_size_limit; 0: none */
	uint32_t soft_error_limit, hard_error_limit, junk_command_limit;
	int64_t error_sleep_us;
	uint32_t recipient_limit, recipient_overshoot;
	size_t line_limit;         /* line_length_limit */
	int64_t timeout_us;        /* smtpd_timeout */
	bool per_request_deadline; /* smtpd_per_request_deadline */
	int64_t min_data_rate;     /* smtpd_min_data_rate, bytes a second */
	bool helo_required, disable_vrfy, strict_envelopes, forbid_unauth_pipelining;
	bool log_port;      /* smtpd_client_port_logging */
	bool log_internal;  /* info_log_address_format = internal */
	bool needs_tls;     /* smtpd_tls_security_level = encrypt: nothing goes without */
	bool utf8_ok;       /* smtputf8_enable: bytes above 127 in commands are UTF-8, or
			       refused */
	bool strict_utf8;   /* strict_smtputf8: such addresses only with SMTPUTF8 */
	bool minus_ok;      /* allow_min_user: addresses may begin with "-" */
	bool numeric_ok;    /* resolve_numeric_domain: user@192.0.2.1 is an address */
	bool null_ok;       /* resolve_null_domain: user@ is one */
	bool append_dot;    /* append_dot_mydomain */
	unsigned operators; /* enum addr_operator */
	bool no_ipv4,
	    no_ipv6;      /* inet_protocols: XCLIENT and XFORWARD may not name such */
	bool soft_bounce; /* every 5xx reply goes out as 4xx */
	bool filters_commands; /* smtpd_command_filter is set: FILTER_COMMAND is asked */
	bool forbids_by_table; /* smtpd_forbidden_commands has tables: CHECK_COMMAND */
	enum smtp_newline newline;     /* smtpd_forbid_bare_newline */
	struct str newline_code;       /* smtpd_forbid_bare_newline_reject_code, "550" */
	struct str forbidden_commands; /* smtpd_forbidden_commands: names; tables by
					  default rule */
	struct str noop_commands;      /* smtpd_noop_commands */
	struct str verp_delimiters;    /* default_verp_delimiters, "+=" */
	struct str verp_filter;        /* verp_delimiter_filter, "-=+" */
	bool has_listener;             /* somebody keeps a transcript: HEARD, CHAPTER */
};

enum smtp_ehlo {
	SMTP_EHLO_PIPELINING = 1,
	SMTP_EHLO_SIZE = 2,
	SMTP_EHLO_VRFY = 4,
	SMTP_EHLO_STATUS = 8, /* ENHANCEDSTATUSCODES */
	SMTP_EHLO_8BITMIME = 16,
	SMTP_EHLO_DSN = 32,
	SMTP_EHLO_SILENT = 64, /* "silent-discard": do not log that some are hidden */
	SMTP_EHLO_ETRN = 128,
	SMTP_EHLO_VERP = 256,
	SMTP_EHLO_XCLIENT = 512,
	SMTP_EHLO_XFORWARD = 1024,
	SMTP_EHLO_UTF8 = 2048, /* SMTPUTF8 */
	SMTP_EHLO_CHUNKING = 4096,
	/* Of extensions that this server does not have; logged as discarded all the same.
	 */
	SMTP_EHLO_STARTTLS = 8192,
	SMTP_EHLO_AUTH = 16384,
	SMTP_EHLO_REQUIRETLS = 32768,
};

/* smtpd_discard_ehlo_keywords: names separated by blanks or commas. A name that is none
 * goes to *unknown when that is not NULL (Postfix warns of it). */
unsigned smtp_ehlo_bits(struct str names, struct str *unknown);

/* What one client may do, computed by the shell when it connects; copied. */
struct smtp_client_rights {
	bool may_xclient;  /* smtpd_authorized_xclient_hosts */
	bool may_xforward; /* smtpd_authorized_xforward_hosts */
	bool may_verp;     /* smtpd_authorized_verp_clients */
	bool may_bare_lf; /* smtpd_forbid_bare_newline_exclusions: newline is NO for it */
	unsigned hide;    /* bits of enum smtp_ehlo: smtpd_discard_ehlo_keywords, or what
			   * smtpd_discard_ehlo_keyword_address_maps say */
};

/* What XCLIENT or XFORWARD tell. Values are decoded. `.p` is NULL when an attribute was
 * not given; one that was given as [UNAVAILABLE] is "unknown" (names, addresses, ports)
 * or empty (the others). For XFORWARD they add up until the transaction ends. */
struct smtp_client_attrs {
	struct str name, reverse_name, addr, port, proto, helo;
	struct str login, dest_addr, dest_port; /* XCLIENT only */
	struct str ident, source;               /* XFORWARD only; source: LOCAL, REMOTE */
	/* [TEMPUNAVAIL] was given: the name is "unknown", but may be known later. */
	bool name_is_temp, reverse_name_is_temp;
};

struct smtp_client_id {
	struct str name; /* "localhost" or "unknown" */
	struct str addr; /* "127.0.0.1", "2001:db8::1" */
	struct str port;
};

enum smtp_fx_type {
	SMTP_FX_SEND, /* write `data` to the client: one reply, whole lines */
	SMTP_FX_LOG,  /* write `data` to the log at `level` */
	/* Questions: one smtp_server_answer() each; nothing goes on before it. */
	SMTP_FX_CHECK_CLIENT, /* a client connected */
	SMTP_FX_CHECK_HELO,   /* `data`: the name it gives */
	SMTP_FX_CHECK_MAIL,   /* view()->mail: sender and its parameters */
	SMTP_FX_CHECK_RCPT,   /* `rcpt`. Answering OK means: it is in the envelope. The
			       * first OK opens the transaction: the answer brings its
			       * queue id, unless CHECK_MAIL's did
			       * (smtpd_delay_open_until_valid_rcpt = no). */
	SMTP_FX_CHECK_DATA,   /* before the 354, or the first chunk of BDAT */
	SMTP_FX_CHECK_VRFY,   /* `data`: the address */
	SMTP_FX_CHECK_ETRN, /* `data`: the domain, whose queue is to be flushed; the reply
			     * of an RC_OK answer stands for "250 Queuing started" */
	SMTP_FX_XCLIENT,    /* view()->xclient: somebody else is the client. The answer's
			     * `client` and `rights` begin the session anew, with
			     * CHECK_CLIENT and a greeting; RC_PERM: 501 by default */
	SMTP_FX_FILTER_COMMAND, /* conf.filters_commands. `data`: the line; the answer's
				 * `reply` replaces it unless empty. RC_TEMP: 421 */
	SMTP_FX_CHECK_COMMAND,  /* conf.forbids_by_table. `data`: the word of a command
				 * that  SMTP does not have. RC_PERM: it is forbidden;
				 * RC_TEMP:  421 */
	SMTP_FX_COMMIT,         /* end of data: make the message durable */
	/* No answer to these. */
	SMTP_FX_STORE, /* append `data` to the content: dots unstuffed, line ends as the
			* client sent them, cut anywhere */
	SMTP_FX_ABORT, /* forget the open transaction */
	/* Only with conf.has_listener. */
	SMTP_FX_HEARD,   /* `data`: a line that the client sent, not of content */
	SMTP_FX_CHAPTER, /* EHLO, RSET or the end of a message: what was heard so far need
			  * not be kept. view()->trouble says whether it is to be told */
	SMTP_FX_CLOSE,   /* close; nothing follows */
};

/* What a postmaster may want to hear about, bits: the classes of notify_classes. */
enum smtp_trouble {
	SMTP_TROUBLE_BOUNCE = 1,
	SMTP_TROUBLE_RESOURCE = 2,
	SMTP_TROUBLE_SOFTWARE = 4,
	SMTP_TROUBLE_POLICY = 8,
	SMTP_TROUBLE_PROTOCOL = 16,
	SMTP_TROUBLE_DATA = 32,
};

/* The class of a refusal that answers the question `asked`, by its words (compat). */
unsigned smtp_trouble_of(enum smtp_fx_type asked, struct str reply);

enum smtp_log_level { SMTP_LOG_INFO, SMTP_LOG_WARN };

struct smtp_fx {
	enum smtp_fx_type type;
	enum smtp_log_level level;
	struct str data; /* valid until the next push; SMTP_FX_STORE views the
			  * input of the last recv */
	const struct smtp_rcpt_args *rcpt; /* CHECK_RCPT, CHECK_VRFY; likewise */
};

/* The answer to a question.
 *   RC_OK    yes. `reply` replaces the usual text when not empty (VRFY: "252 2.0.0 …").
 *   RC_TEMP, RC_PERM   no: `reply` is what the client gets, whole, e.g. "554 5.7.1 <a@b>:
 * Relay access denied". Empty: the usual text. A 421 or 521 also hangs up. `queue_id`
 * goes with RC_OK to the first accepted recipient (or MAIL). `log_verb`: the word of the
 * log line, usually empty for "reject"; `log_quiet`: the shell has logged it itself. */
struct smtp_answer {
	enum rc rc;
	struct str reply;
	struct str queue_id;
	struct str log_verb;
	bool log_quiet;
	bool hangs_up;      /* no reply at all: the session ends */
	bool is_no_address; /* MAIL, RCPT, VRFY: what `written` means cannot be one; the
			     * session has the words for it */
	const struct smtp_client_id *client;     /* XCLIENT only; both are copied */
	const struct smtp_client_rights *rights; /* XCLIENT only */
};

/* What the session knows now; everything is valid until the next push. */
struct smtp_server_view {
	const struct smtp_client_id *client;
	struct str helo;                   /* empty: none yet */
	struct str proto;                  /* "SMTP" or "ESMTP" */
	struct str queue_id;               /* empty: no transaction is open */
	const struct smtp_mail_args *mail; /* NULL: no MAIL yet */
	uint32_t n_rcpt;                   /* accepted */
	int64_t content_bytes;             /* stored so far */
	bool in_data;                      /* the content is coming */
	bool is_bdat;                      /* ... with BDAT */
	bool is_pipelining;                /* it was caught pipelining out of order */
	bool is_smtputf8;                  /* the SMTPUTF8 of MAIL, or of this VRFY */
	struct str
	    where; /* "CONNECT" "HELO" "EHLO" "MAIL" "RCPT" "DATA" (BDAT's, too)
		    * "END-OF-MESSAGE" "VRFY" "ETRN" …: protocol_state of policies */
	const struct smtp_client_attrs *xforward; /* NULL: nothing was forwarded */
	const struct smtp_client_attrs *xclient;  /* while XCLIENT is asked */
	unsigned
	    trouble; /* enum smtp_trouble, or-ed: since the session or chapter began */
	const char *reason; /* why the session breaks off: "timeout"; NULL: it does not */
};

/* `client` and `rights` are copied. The first effects are the log line "connect from …"
 * and CHECK_CLIENT. */
struct smtp_server *smtp_server_new(const struct smtp_server_conf *conf,
    const struct smtp_client_id *client, const struct smtp_client_rights *rights,
    int64_t now_us);
void smtp_server_free(struct smtp_server **s);

/* Bytes that arrived before the greeting, when there are any: call while CHECK_CLIENT is
 * open. Only looked at; they are offered to recv later like all others. */
void smtp_server_early(struct smtp_server *s, struct str in);
/* Offers all unread bytes, in.p to in.p + in.n. Returns how many were used: 0 while a
 * question is open, effects wait or time must pass. Also 0 when the session wants to see
 * more before it decides (a command line without its end): offer the same bytes again
 * with what came after. Given smtp_server_need() bytes it never asks for more. Memory:
 * `in` must stay as it is until the effects are drained. */
size_t smtp_server_recv(struct smtp_server *s, int64_t now_us, struct str in);
size_t smtp_server_need(const struct smtp_server *s);
/* Answers the one open question. */
void smtp_server_answer(
    struct smtp_server *s, int64_t now_us, const struct smtp_answer *a);
/* While a question is open: a line "QID: VERB: RCPT from client: TEXT; from=<> to=<> …"
 * for the log, e.g. reject_warning. */
void smtp_server_note(struct smtp_server *s, struct str verb, struct str text);
/* The trouble so far was told, or nobody wants to know. */
void smtp_server_pardon(struct smtp_server *s);
/* The connection is gone (end of file, reset). The session logs and closes. May be pushed
 * while a question is open; its answer must then not be pushed any more. */
void smtp_server_lost(struct smtp_server *s, int64_t now_us);
/* The program wants to end: 421 as soon as no mail transaction is open. */
void smtp_server_drain(struct smtp_server *s, int64_t now_us);
/* Tells the time. Call at or after smtp_server_deadline(), which is INT64_MAX when
 * nothing is waited for. */
void smtp_server_tick(struct smtp_server *s, int64_t now_us);
int64_t smtp_server_deadline(const struct smtp_server *s);
/* Pulls the next effect. False: nothing to do until the next push. */
bool smtp_server_next(struct smtp_server *s, struct smtp_fx *out);

struct smtp_server_view smtp_server_view(const struct smtp_server *s);
bool smtp_server_is_asking(const struct smtp_server *s);
/* The client said QUIT: nothing more comes from it. */
bool smtp_server_has_quit(const struct smtp_server *s);
#endif
