#ifndef SMTP_SERVER_INT_H
#define SMTP_SERVER_INT_H
/* Inside of the server session; only src/smtp/server*.c include this.
 *
 *	server.c	life, effects, answers, time
 *	server_line.c	from bytes to a command
 *	server_cmd.c	the table of commands
 *	server_hello.c	HELO and EHLO: the keywords
 *	server_client.c	XCLIENT and XFORWARD: who the client is
 *	server_data.c	the content between DATA and the lone dot
 *	server_bdat.c	the content in chunks
 *	server_log.c	log lines and the counters of "disconnect from"
 *	trouble.c	which refusals a postmaster may want to hear about
 *
 * Invariants: at most one question is open; while one is, or effects wait, nothing is
 * taken from the client. mail.address and everything else in `tx` exists exactly while
 * has_mail. */
#include "base/arena.h"
#include "base/buf.h"
#include "smtp/server.h"

enum srv_state {
	SRV_CONNECT, /* CHECK_CLIENT is open */
	SRV_COMMAND, /* between commands */
	SRV_DATA,    /* the content is coming */
	SRV_BDAT,    /* ... in a chunk of BDAT, or that chunk is being thrown away */
	SRV_CLOSED,
};

/* Counted in "disconnect from", in this order (compat). */
enum srv_verb {
	VERB_HELO,
	VERB_EHLO,
	VERB_XCLIENT,
	VERB_XFORWARD,
	VERB_STARTTLS,
	VERB_AUTH,
	VERB_MAIL,
	VERB_RCPT,
	VERB_DATA,
	VERB_BDAT,
	VERB_RSET,
	VERB_NOOP,
	VERB_VRFY,
	VERB_ETRN,
	VERB_QUIT,
	VERB_HELP,
	VERB_UNKNOWN,
	N_VERB
};

/* What the next line of content may be. */
enum srv_first {
	FIRST_CHECK,   /* the first line: a "From " line, or a blank at its start? */
	FIRST_MAILBOX, /* inside a "From " line */
	FIRST_OVER
};

enum srv_bol {
	BOL_NO,   /* inside a line */
	BOL_CRLF, /* at the start of a line, the one before ended with CRLF */
	BOL_LF    /* ... with a bare LF */
};

/* What BDAT has done to the transaction. After a failure the chunks that were sent
 * unasked are thrown away, until one that says LAST or until RSET. */
enum srv_bdat {
	BDAT_NONE,
	BDAT_OK,            /* at least one chunk was taken */
	BDAT_FAILED,        /* there was no transaction */
	BDAT_FAILED_IN_MAIL /* there was one: some replies differ */
};

/* The chunk that is coming. */
struct srv_chunk {
	int64_t size, left;
	bool is_last, is_dropped;
	struct str reply; /* dropped: what the client gets afterwards; in `scratch` */
};

/* What CHECK_COMMAND said about the line that is offered. */
enum srv_forbidden { FORBIDDEN_UNKNOWN, FORBIDDEN_NO, FORBIDDEN_YES };

/* Of the transaction in progress; all zero outside of one. */
struct srv_tx {
	struct smtp_mail_args mail;
	struct smtp_rcpt_args rcpt; /* the one that is asked about */
	struct str first_rcpt;
	struct str queue_id;
	uint32_t n_rcpt, n_over;
	bool has_mail, has_rcpt;
	/* content */
	enum srv_first first;
	enum srv_bol bol;
	char last;               /* the byte stored last */
	int64_t size, size_tail; /* stored; of these behind the last LF */
	int64_t n_bare; /* compat: BDAT counts as many bytes more: the CR of a bare
			   LF, two for each part of a line that is too long */
	unsigned char n_arrows, n_from; /* BDAT: how much of ">>>From " is held back */
	bool too_big, has_bare_lf;
};

#define FX_MAX 16

struct srv_fx {
	enum smtp_fx_type type;
	enum smtp_log_level level;
	size_t at;       /* where in `text`, when view.p is NULL */
	struct str view; /* .n is the length in both cases */
};

struct smtp_server {
	const struct smtp_server_conf *conf;
	struct smtp_client_rights rights;
	struct smtp_client_id client;
	struct str namaddr; /* "localhost[127.0.0.1]" */
	char *client_text;  /* backs these two after XCLIENT */
	struct str login;   /* LOGIN of XCLIENT; in client_text */
	const char *where;  /* "CONNECT", "RCPT": what log lines name */
	struct str line;    /* the command in progress, while its handler runs */
	enum srv_state state;
	enum smtp_fx_type asked;
	enum srv_verb verb; /* of the command in progress */
	bool waiting, denied, esmtp, is_skipping, ill_pipelining, early, draining,
	    too_long;
	bool had_bare_lf;  /* "notes=bare_lf" */
	bool is_smtputf8;  /* VRFY said SMTPUTF8 */
	bool has_filtered; /* `filtered` stands for the line that is offered */
	bool is_heard;     /* the line that is offered was told to the listener */
	enum srv_forbidden forbidden;
	enum srv_bdat bdat;
	struct srv_chunk chunk;
	struct str filtered; /* in scratch */
	uint32_t error_count, junk_count;
	unsigned trouble;   /* enum smtp_trouble, or-ed */
	const char *reason; /* why it breaks off; NULL: it does not */
	uint32_t n_ok[N_VERB], n_all[N_VERB];
	struct str helo; /* in helo_text */
	struct buf helo_text;
	struct arena *mem, *scratch; /* transaction; command */
	struct srv_tx tx;
	struct srv_forward *forward;             /* XFORWARD; NULL: nothing */
	const struct smtp_client_attrs *xclient; /* while XCLIENT is asked; in scratch */
	int64_t n_dropped; /* bytes of chunks thrown away since the last message */

	int64_t now_us, deadline_us;
	size_t n_skipped; /* bytes of a line that is too long */
	size_t offered;   /* bytes seen by the last recv and not used */
	int64_t hold_until_us;
	bool is_holding;
	bool has_quit;
	unsigned hold_at; /* effects from this one on wait for hold_until_us */

	struct srv_fx fx[FX_MAX];
	unsigned fx_put, fx_get;
	struct buf text; /* backs the data of queued effects */
};

/* ---- server.c ---- */
void srv_emit(
    struct smtp_server *s, enum smtp_fx_type type, struct str data); /* copies */
void srv_emit_view(struct smtp_server *s, enum smtp_fx_type type, struct str data);
void srv_ask(struct smtp_server *s, enum smtp_fx_type question, struct str about);
/* soft_bounce: makes a 5xx reply of `n` bytes a 4xx one. */
void srv_soften(char *reply, size_t n);
/* Whole lines, as they are. */
void srv_send(struct smtp_server *s, struct str lines);
/* One reply line, CRLF added. 421 and 521 do not hang up by themselves. */
void srv_reply(struct smtp_server *s, struct str line);
void srv_replyf(struct smtp_server *s, const char *fmt, ...) PRINTF(2, 3);
/* The command in progress is done: counts it, clears its scratch. */
void srv_done(struct smtp_server *s, bool ok);
/* Forgets the mail transaction. `ABORT` goes out if it was open. */
void srv_reset(struct smtp_server *s, bool abort);
/* Logs "disconnect from" and closes. */
void srv_close(struct smtp_server *s);
/* Copies who the client is; `login` is XCLIENT's, or empty. */
void srv_set_client(
    struct smtp_server *s, const struct smtp_client_id *client, struct str login);
/* The session begins: anew, after XCLIENT. */
void srv_restart(struct smtp_server *s);
/* A table could not be asked: 421, and the end. */
void srv_local_trouble(struct smtp_server *s);
/* The clock for one more request starts now. */
void srv_request_start(struct smtp_server *s);

/* What was heard so far need not be kept. */
void srv_chapter(struct smtp_server *s);

/* What a bare LF means for this client. */
enum smtp_newline srv_newline(const struct smtp_server *s);

/* ---- server_cmd.c ---- */
enum srv_command_flag {
	SRV_LIMIT = 1, /* counts against smtpd_junk_command_limit */
	SRV_LAST = 2,  /* ends a group of pipelined commands; RFC 2920 3.1 */
	SRV_PLAIN = 4, /* needs no TLS, whatever the policy */
};
struct srv_command {
	const char *name;
	enum srv_verb verb;
	unsigned flags;
	void (*run)(struct smtp_server *, struct str args);
};
const struct srv_command *srv_command_find(struct str verb); /* NULL: unknown */
/* The command failed: the reply, and what a failure counts. */
void srv_fail(struct smtp_server *s, const char *reply);
/* The same for what is not the client's mistake in the protocol: bits of smtp_trouble. */
void srv_refuse(struct smtp_server *s, unsigned trouble, const char *reply);
void srv_ok(struct smtp_server *s, const char *reply);
/* A new transaction has a queue id. */
void srv_opened(struct smtp_server *s, struct str queue_id);
void srv_answer_command(struct smtp_server *s, const struct smtp_answer *a);

/* ---- server_line.c ---- */
size_t srv_command_recv(struct smtp_server *s, struct str in);

void srv_answer_filter(struct smtp_server *s, const struct smtp_answer *a);
void srv_answer_forbidden(struct smtp_server *s, const struct smtp_answer *a);

/* ---- server_hello.c ---- */
void srv_set_helo(struct smtp_server *s, struct str name);
/* What would make a name ambiguous where it is shown becomes "?". */
void srv_neuter(const struct smtp_server_conf *conf, char *text, size_t n);
void srv_cmd_helo(struct smtp_server *s, struct str args);
void srv_answer_helo(struct smtp_server *s);

/* ---- server_client.c ---- */
void srv_cmd_xclient(struct smtp_server *s, struct str args);
void srv_cmd_xforward(struct smtp_server *s, struct str args);
void srv_answer_xclient(struct smtp_server *s, const struct smtp_answer *a);
const struct smtp_client_attrs *srv_forwarded(const struct smtp_server *s);
void srv_forward_free(struct srv_forward **f);

/* ---- server_bdat.c ---- */
void srv_cmd_bdat(struct smtp_server *s, struct str args);
size_t srv_bdat_recv(struct smtp_server *s, struct str in);
/* CHECK_DATA was answered; `no`: refused with this. */
void srv_bdat_start(struct smtp_server *s);
void srv_bdat_refuse(struct smtp_server *s, struct str no);

/* ---- server_data.c ---- */
extern const char srv_where_end[]; /* "END-OF-MESSAGE": compared by address */
void srv_store(struct smtp_server *s, struct str piece);
/* The header that a line "From " becomes the text of. */
void srv_mailbox_name(struct smtp_server *s);
/* In a line "From ": takes its rest, or as much as there is. */
size_t srv_mailbox_line(struct smtp_server *s, struct str in);
void srv_end_of_data(struct smtp_server *s);
void srv_data_start(struct smtp_server *s);
size_t srv_data_recv(struct smtp_server *s, struct str in);
void srv_answer_commit(struct smtp_server *s, const struct smtp_answer *a);

/* ---- server_log.c ---- */
void srv_logf(struct smtp_server *s, enum smtp_log_level level, const char *fmt, ...)
    PRINTF(3, 4);
/* "QID: verb: WHERE from namaddr: text; from=<> to=<> proto= helo=". */
void srv_log_what(struct smtp_server *s, struct str verb, struct str text);
/* That a bare LF was refused. compat: it names the first of many recipients, too. */
void srv_log_bare_lf(struct smtp_server *s);
/* "lost connection after DATA (26 bytes) from namaddr". */
void srv_log_after(struct smtp_server *s, const char *what);
void srv_log_disconnect(struct smtp_server *s);
/* "improper command pipelining after EHLO from namaddr: text" */
void srv_log_pipelining(struct smtp_server *s, const char *after, struct str more);
void srv_log_not_smtp(struct smtp_server *s, struct str line);
#endif
