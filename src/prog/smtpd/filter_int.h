#ifndef PROG_SMTPD_FILTER_INT_H
#define PROG_SMTPD_FILTER_INT_H
/* The parts of smtpd_proxy_filter: filter_link.c has the socket, proxy_filter.c what is
 * said over it while the client is sending, filter_replay.c the message that is received
 * as a whole first (speed_adjust). */
#include "prog/smtpd/smtpd.h"
#include "smtp/filter_client.h"

#define FILTER_OUT_SLOW ((size_t)256 * 1024) /* more waits: the client must, too */
#define FILTER_TROUBLE  "451 4.3.0 Error: queue file write error" /* compat */

struct replay;

struct filter {
	struct conn *c;
	struct smtp_filter *session;
	struct net_query *naming;
	struct loop_io io; /* .fd < 0: not connected */
	struct loop_timer timer;
	struct loop_task soon; /* a failure is told from the loop */
	struct buf out;
	struct arena *mem;
	struct addr_ip addrs[4];
	size_t n_addrs, at_addr;
	bool is_connecting, is_broken;
	/* Whose answer the next reply is; NULL: nobody's. */
	void (*replied)(struct filter *f, int code, struct str reply);
	/* `out` has room again; NULL: nobody waits for that. */
	void (*more)(struct filter *f);
	struct replay *replay; /* NULL: without speed_adjust */
	struct smtp_filter_conf conf;
};

/* ---- filter_link.c ---- */
/* The message owns it. */
struct filter *filter_new(struct conn *c);
/* Connects, later; what is asked meanwhile waits. */
void filter_connect(struct filter *f);
/* One command; `replied` is called with the filter's answer, or with code 0 and
 * FILTER_TROUBLE, maybe before this returns. */
void filter_ask(struct filter *f, struct str line,
    void (*replied)(struct filter *f, int code, struct str reply));
/* The same for the end of the content. */
void filter_ask_end(
    struct filter *f, void (*replied)(struct filter *f, int code, struct str reply));
/* Carries out what the session wants. May free `f` when it answers: that comes last. */
void filter_pump(struct filter *f);
/* As the log names it. */
struct str filter_name(const struct filter *f);

/* ---- proxy_filter.c ---- */
struct str filter_mail_line(struct conn *c, struct arena *mem);
struct str filter_rcpt_line(const struct smtp_rcpt_args *r, struct arena *mem);
void filter_log_refusal(
    struct filter *f, const char *command, struct str what, struct str reply);
/* The message's end: the client hears `reply`, unless it is none that can end a message.
 * Drops the message, and `f` with it. */
void filter_end(struct filter *f, int code, struct str reply);

/* ---- filter_replay.c ---- */
/* Keeps what comes, in memory and then in a file of the queue's. */
void replay_open(struct filter *f);
void replay_store(struct filter *f, struct str piece);
/* It is all there: connects, says it all, and ends with filter_end(). */
void replay_start(struct filter *f);
void replay_free(struct filter *f);
#endif
