#ifndef SMTP_CLIENT_INT_H
#define SMTP_CLIENT_INT_H
/* Inside of the client session; only src/smtp/client*.c include this.
 *
 *	client.c	life, effects, time
 *	client_envelope.c	what is sent before the content
 *	client_reply.c	what a reply means
 *	client_data.c	content on its way out: dots, long lines, the end
 *
 * The envelope is a row of steps: RSET (when the message before was given up), MAIL, one
 *RCPT for each recipient, DATA. Steps n_got .. n_sent - 1 wait for their replies. */
#include "base/arena.h"
#include "base/buf.h"
#include "smtp/client.h"

enum cl_state {
	CL_GREETING,
	CL_EHLO,
	CL_HELO,
	CL_READY, /* greeted, or between messages */
	CL_ENVELOPE,
	CL_BODY, /* the content goes out */
	CL_DOT,  /* its end is sent: the reply decides */
	CL_QUIT,
	CL_CLOSED,
};

enum cl_rcpt {
	RCPT_OPEN,     /* no reply yet */
	RCPT_ACCEPTED, /* to be decided with the message */
	RCPT_DECIDED   /* it has its outcome */
};

#define CL_UNDECIDED (1u << RCPT_OPEN | 1u << RCPT_ACCEPTED)

/* An effect that waits. OUTCOME stands for all recipients in one of the states `whom`. */
struct cl_fx {
	enum smtp_cx_type type;
	struct str data;
	struct smtp_client_outcome outcome;
	bool is_bulk;
	unsigned whom; /* bits 1 << enum cl_rcpt */
	uint32_t index;
	bool is_try_next, is_closing;
};

#define CL_FX_MAX 12

struct smtp_client {
	const struct smtp_client_conf *conf;
	struct str name, namaddr, namaddrport;
	enum cl_state state;
	unsigned caps;
	int64_t size_limit; /* of the server's SIZE; 0: none said */
	bool greeted_esmtp; /* the banner says so */
	bool is_greeted;    /* EHLO or HELO was answered */
	bool needs_rset;    /* a transaction was given up in the middle */
	bool is_dying;      /* the server said 421: no further message */
	bool has_trouble;   /* see smtp_client_has_trouble() */

	/* The message. */
	const struct smtp_client_job *job;
	unsigned char *rcpt_state; /* enum cl_rcpt of each recipient */
	uint32_t rcpt_cap;
	uint32_t n_rcpt;        /* of the job; it outlives it */
	uint32_t n_sent, n_got; /* steps of the envelope */
	uint32_t n_accepted;
	uint32_t dot_at; /* LMTP: whose reply is next */
	bool with_rset, mail_failed, is_empty_end;
	bool converts; /* the content is asked for as 7-bit */

	/* The content. */
	struct str piece; /* what is left of the present one */
	bool is_last_piece, wants_piece, ends_with_cr, at_line_start, has_dots,
	    has_broken;
	size_t column;

	/* The reply that is coming in. */
	struct buf reply;
	unsigned n_lines; /* of it, those that are no SMTP too */
	int code;
	struct str
	    greeting_word; /* in `mem`: first word of the last line of EHLO's reply */

	int64_t now_us, deadline_us;
	struct arena *fx_mem; /* texts of effects that wait */
	struct cl_fx fx[CL_FX_MAX];
	unsigned fx_put, fx_get;
	struct smtp_client_outcome out; /* what the last effect points to */
};

/* ---- client.c ---- */
struct cl_fx *cl_emit(struct smtp_client *c, enum smtp_cx_type type, struct str data);
void cl_sendf(struct smtp_client *c, const char *fmt, ...) PRINTF(2, 3);
/* A text that lives as long as the effects; cut when the memory is used up. */
struct str cl_textf(struct smtp_client *c, const char *fmt, ...) PRINTF(2, 3);
/* The same outcome for every recipient in one of the states. */
void cl_outcome(
    struct smtp_client *c, unsigned whom, const struct smtp_client_outcome *o);
void cl_done(struct smtp_client *c); /* the message is over, the session goes on */
/* The message is over for this host; closes. */
void cl_fail_session(struct smtp_client *c, const struct smtp_client_outcome *o);
void cl_close(struct smtp_client *c);
void cl_expect(struct smtp_client *c, enum cl_state state, int64_t timeout_us);

/* ---- client_envelope.c ---- */
/* STEP_ABORT: RSET in the place of DATA. */
enum cl_step { STEP_RSET, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_ABORT };
enum cl_step cl_step_of(const struct smtp_client *c, uint32_t at);
uint32_t cl_first_rcpt(const struct smtp_client *c); /* its step */
int64_t cl_step_timeout(const struct smtp_client *c, uint32_t at);
/* Greeted, and there is a message: begins. */
void cl_start(struct smtp_client *c);
/* Sends what may be sent now; more follows when these effects are drained. */
void cl_send_steps(struct smtp_client *c);
/* Nobody is left to send the content to. */
void cl_give_up_transaction(struct smtp_client *c);

/* ---- client_reply.c ---- */
void cl_reply_line(struct smtp_client *c, struct str line);
const char *cl_doing(const struct smtp_client *c); /* "sending MAIL FROM" */

/* ---- client_data.c ---- */
void cl_data_start(struct smtp_client *c);
bool cl_data_next(struct smtp_client *c, struct smtp_cx *out);
void cl_lone_dot(struct smtp_client *c);
#endif
