#ifndef PROG_SMTPD_H
#define PROG_SMTPD_H
/* smtpd: the shell around SMTP server sessions.
 *
 *	main.c		start, channels, confinement
 *	params.c	master.cf lines: parameters, lists, tables
 *	service.c	master.cf lines: accepting
 *	conn.c		one connection: bytes in, effects, time
 *	output.c	what it is told: bytes out
 *	client.c	who the client is: proxy header, name, rights, XCLIENT
 *	limits.c	what a client may do in a time: anvil
 *	answer.c	the session's questions
 *	checks.c	restrictions, and tables that are asked for the session
 *	history.c	what was said, for notices to the postmaster
 *	reply.c		replies on their way out: filter and footer of refusals
 *	message.c	the message that a session is taking in
 *	proxy_filter.c	... or that goes through a filter before the queue
 *	filter_link.c	the socket of that filter
 *	filter_replay.c	a message that is received as a whole before the filter gets it
 *
 * An idle connection owns its session (about 2 KiB) and no buffer: bytes are read into
 * one block of the process and written from another; a connection keeps only what could
 * not be used or sent at once. */
#include "access/access.h"
#include "addr/net.h"
#include "agent/decide.h"
#include "agent/ingest.h"
#include "agent/rates.h"
#include "agent/worker.h"
#include "base/buf.h"
#include "base/list.h"
#include "conf/snapshot.h"
#include "loop/loop.h"
#include "net/client_name.h"
#include "route/list.h"
#include "smtp/server.h"

struct net_resolver;
struct notice_conf;
struct notices;
struct submit;
struct transcript;

#define READ_SIZE ((size_t)64 * 1024)

struct smtpd {
	struct worker *w;
	struct loop *loop;
	struct submit *submit;
	struct net_resolver *resolver;
	struct net_client_names *names;
	struct rates *rates;
	struct notices *notices;
	struct decide *tables; /* the first service's; the others share its tables */
	struct service *services;
	size_t n_services;
	struct list conns;
	struct list waiting;         /* connections whose MAIL waits for queue */
	struct loop_timer recheck;   /* of those */
	size_t n_conns, max_conns;   /* for as many there are descriptors */
	bool is_draining, is_short;  /* … and that was said */
	bool is_stopping;            /* nobody is waited for any more */
	struct loop_timer impatient; /* draining took long enough */
	char *block;                 /* READ_SIZE bytes that were just read */
	struct buf out;              /* what the running connection has to say */
	const struct conn *drained;  /* … if its socket had no more to read */
	struct arena *scratch;       /* one question */
	uint32_t n_instances;        /* instance= of policy requests */
	struct question *question;   /* the one that is being answered now */
};

struct conn;

struct listener {
	struct service *service;
	struct loop_io io;
	struct loop_rest rest; /* accepting failed */
};

/* Clients that may do more, or less, than others. */
struct service_lists {
	struct route_list xclient, xforward, verp; /* smtpd_authorized_… */
	struct route_list bare_lf;   /* smtpd_forbid_bare_newline_exclusions */
	struct route_list unlimited; /* smtpd_client_event_limit_exceptions */
	struct route_list forbidden; /* smtpd_forbidden_commands */
	struct route_list debugged;  /* debug_peer_list */
	struct ask_tables ehlo;      /* smtpd_discard_ehlo_keyword_address_maps */
	struct ask_tables command_filter, reject_filter, reject_footer;
};

/* One master.cf line. Parameters twice: as they are, and as they are under stress. */
struct service {
	struct smtpd *smtpd;
	const struct worker_service *entry;
	struct conf_smtpd conf;
	struct smtp_server_conf server[2]; /* [is_stressed] */
	int64_t verify_wait_us[2];         /* likewise: for the outcome of a probe */
	struct ingest_conf ingest;
	struct notice_conf *notices; /* notify_classes */
	struct decide *decide;
	struct service_lists lists;
	unsigned hide;           /* smtpd_discard_ehlo_keywords */
	bool has_limits;         /* any smtpd_client_*_limit that anvil counts for */
	bool has_reject_texts;   /* refusals are changed on their way out */
	bool has_policy;         /* some restriction asks a policy service */
	bool is_proxied;         /* smtpd_upstream_proxy_protocol */
	bool has_filter;         /* smtpd_proxy_filter */
	bool adjusts_speed;      /* smtpd_proxy_options: it gets whole messages */
	const char *filter_path; /* it is a UNIX socket */
	struct str filter_host;
	uint16_t filter_port;
	struct listener *listeners;
	size_t n_listeners;
	bool needs_tls, is_wrapped; /* by its parameters; there is no TLS yet */
	const char
	    *trouble; /* why it cannot serve, and nothing else is set; NULL: it can */
	uint32_t n_sessions, max_sessions; /* 0: no limit */
	bool is_short;                     /* it is the descriptors that limit them */
};

/* The message of a transaction: made when something is to be kept for it, which mostly is
 * its first recipient. */
struct message {
	struct arena *mem;
	struct ingest *ingest; /* NULL: no recipient was accepted so far */
	struct ingest_client client, forwarded;
	struct ingest_rcpt *rcpts;
	size_t n_rcpts, cap;
	/* What restrictions want to happen. */
	struct str filter, redirect;
	struct str *prepend;
	size_t n_prepend;
	struct ingest_rcpt *bcc;
	size_t n_bcc;
	bool hold, discard;
	bool is_begun, is_committing;
	struct filter *proxy; /* smtpd_proxy_filter: it goes there instead */
};

/* What the session asks, on its way to an answer. All connections share one for what is
 * answered at once; who has to wait gets his own. */
enum { CONN_STAGES_MAX = 4 };
struct question {
	struct smtp_fx fx;
	/* Restrictions: the stages that are run, and what they said. */
	enum access_stage stages[CONN_STAGES_MAX];
	unsigned n_stages, n_done;
	struct str odd;     /* an address: whether what it means can be one; else empty */
	bool is_no_address; /* ... it cannot */
	bool asks_rewrite;  /* MAIL: local_header_rewrite_clients, too */
	enum rc rewrite;
	void (*permitted)(struct conn *c);
	enum rates_event counted; /* what anvil was asked about */
	void (*go_on)(struct conn *c);
	struct str reply; /* refused, or the value that a table gave */
	struct access_verdict verdicts[CONN_STAGES_MAX];
	struct access_state states[CONN_STAGES_MAX]; /* after each */
	struct access_note *rewrite_notes;
};

/* Who the client is, while that is being found out. */
struct identity {
	struct addr_ip ip;
	char name[256], reverse_name[256], addr[ADDR_IP_TEXT_MAX], port[8];
	enum rc name_rc, reverse_rc;
	struct smtp_client_rights rights;
	bool is_unlimited, is_debugged;
	bool has_trouble; /* a table failed */
};

/* What few connections need. */
struct conn_more {
	struct addr_ip server; /* as a proxy said; ADDR_NONE: ask the socket */
	uint16_t server_port;
	struct str login;            /* XCLIENT LOGIN; .p is malloc'ed */
	char peer[ADDR_IP_TEXT_MAX]; /* before XCLIENT; empty: it was not used */
	/* What CONNECT, HELO and MAIL left behind (smtpd_delay_reject = no); the texts
	 * are malloc'ed. */
	struct access_state after[3];
	struct buf held; /* a refusal whose footer is being looked up */
};

struct conn {
	struct service *service;
	struct list node, waiting;
	int64_t patience_us; /* until when MAIL waits for queue; 0: it does not */
	struct loop_io io;
	struct loop_timer timer;
	struct smtp_server *session; /* NULL: the client is not known yet */
	struct net_client_query *naming;
	struct identity *identity;
	struct rates_query *rating;
	struct message *message;
	struct question *question; /* NULL: none is open, or it only waits for the disk */
	struct decide_run decision; /* of it, of the identity, or of a reply */
	void (*decided)(struct conn *c, enum rc rc);
	struct buf in, out; /* left over */
	struct conn_more *more;
	struct transcript *history; /* NULL: nothing was said, or nobody asks for it */
	struct addr_ip addr;
	uint16_t port;
	char *reverse_name; /* unverified name of the client; NULL: as the verified one */
	uint8_t name_rc, reverse_rc; /* enum rc */
	uint32_t counted_in;         /* the anvil that counts this connection; 0: none */
	uint32_t instance;
	uint32_t flushing; /* request of an ETRN */
	bool is_unlimited; /* no limit is for it */
	bool may_xforward; /* as it was when it connected */
	bool is_stressed;
	bool is_debugged; /* what is said goes to the log */
	bool owes_banner; /* the greeting is to be the first line of `history` */
	bool is_refused;  /* the proxy's header was none */
	bool is_known_local, is_local; /* its headers are completed */
	bool is_greeting_proxy;        /* the proxy's header is awaited */
	bool is_held;                  /* a reply waits for a table: nothing goes on */
	bool is_eof;                   /* nothing more comes */
	bool is_leaving;               /* ... and it will not be waited for much longer */
	bool is_closing;               /* when `out` is written */
	bool is_full;                  /* the message cannot take more for the moment */
	bool is_gone;                  /* the descriptor is of no use any more */
	bool is_running;               /* conn_run() is at work on it */
};

/* ---- params.c ---- */
/* Fills what comes from parameters and opens tables. Before confinement. */
MUST_USE enum rc service_load(struct service *s, struct err *e);

/* ---- service.c ---- */
/* Returns: RC_PERM: its parameters make no sense; the others can work all the same, and
 * clients of this one are turned away. */
MUST_USE enum rc service_open(struct service *s, struct smtpd *d,
    const struct worker_service *entry, struct err *e);
/* Not more than so many sessions in this process, whatever maxproc allows. */
void service_limit(struct service *s, size_t max_sessions);
/* Accepts, or stops accepting, as the limits say. */
void service_listen(struct service *s);
/* Before the listening sockets are closed. */
void service_close(struct service *s);

/* ---- output.c ---- */
/* Adds to what goes out when the session has had its turn. */
void output_add(struct conn *c, struct str bytes);
/* Sends what was added; what the socket does not take is kept in c->out. When the client
 * reads no more, c->is_gone. */
void output_flush(struct conn *c);

/* ---- conn.c ---- */
/* Owns `fd`. */
void conn_open(struct service *s, int fd, const struct addr_ip *addr, uint16_t port);
/* The client is known and the session made: goes on with what came meanwhile. */
void conn_greet(struct conn *c);
/* Goes on after an answer. May free the connection. */
void conn_run(struct conn *c);
/* Answers the open question; conn_run() must follow when it was not asked just now. */
void conn_answer(struct conn *c, const struct smtp_answer *a);
/* Nothing is left to do but to say the last words, and to close. */
bool conn_is_ending(const struct conn *c);
/* A question was asked: room for it. And it is answered. */
void conn_question_open(struct conn *c, const struct smtp_fx *fx);
void conn_question_close(struct conn *c);
/* Runs a decision: `done` is called inside when the answers are at hand, else later from
 * the loop, followed by conn_run(). One at a time. */
void conn_decide(
    struct conn *c, decide_fn *run, void (*done)(struct conn *c, enum rc rc));
struct conn_more *conn_more(struct conn *c);
/* The peer is cut off without a word (HANGUP). */
void conn_hang_up(struct conn *c);
/* We end: a question that waits for somebody else is answered with 421. The disk and the
 * filter are waited for. May free the connection. */
void conn_stop(struct conn *c);
void conn_free(struct conn *c);

/* ---- client.c ---- */
/* The connection is open: finds out whose it is, then conn_greet(). */
void client_find(struct conn *c);
/* Bytes of the proxy's header. */
void client_read_proxy(struct conn *c, bool is_eof);
void client_proxy_late(struct conn *c); /* it did not come in time */
/* The question of an XCLIENT command. */
void client_change(struct conn *c);
/* Takes back what was on its way. */
void client_cancel(struct conn *c);

/* ---- limits.c ---- */
/* Counts the event, and goes on unless the client has done too much; then the question is
 * answered. */
void limits_check(struct conn *c, enum rates_event event, void (*go_on)(struct conn *c));
void limits_forget(struct conn *c); /* it ends */

/* ---- checks.c ---- */
/* Runs restrictions, now or later; then answers, or calls `permitted`. The stages are
 * those of c->question. The session holds still meanwhile. */
void checks_run(struct conn *c, void (*permitted)(struct conn *c));
/* smtpd_command_filter, and tables of smtpd_forbidden_commands. */
void checks_filter_command(struct conn *c);
void checks_forbidden_command(struct conn *c);
void checks_free(struct conn_more *m);

/* ---- answer.c ---- */
/* Answers the question, at once or later. */
void answer_question(struct conn *c, const struct smtp_fx *fx);
/* No, with this reply (which may be empty). */
void answer_no(struct conn *c, struct str reply);
void answer_yes(struct conn *c);
/* Asks again for those whose MAIL waits for queue. */
void answer_waiting(struct smtpd *d);

/* ---- reply.c ---- */
/* Sends a reply of the session; refusals may wait for tables (c->is_held). */
void reply_send(struct conn *c, struct str reply);

/* ---- history.c ---- */
/* notify_classes: whom the service tells of what; debug_peer_list. Before confinement. */
MUST_USE enum rc history_load(
    struct service *s, const struct ingest_conf_request *req, struct err *e);
/* A line of the client; a reply as it goes out: kept, logged, or neither. */
void history_heard(struct conn *c, struct str line);
void history_said(struct conn *c, struct str reply);
/* If there are more than `threshold` lines: tells the postmaster what he wants to hear,
 * and forgets them. */
void history_chapter(struct conn *c, size_t threshold);
void history_free(struct conn *c);

/* ---- message.c ---- */
/* The transaction's message, made when there was none. */
struct message *message_get(struct conn *c);
/* Opens the transaction: takes a queue id. Once is enough.
 * Returns: RC_TEMP: e has the reply's words. */
MUST_USE enum rc message_open(struct conn *c, struct err *e);
/* The accepted recipient goes into the envelope; the first one opens the transaction. */
MUST_USE enum rc message_add(
    struct conn *c, const struct smtp_rcpt_args *rcpt, struct err *e);
/* ... or into that of a filter. */
MUST_USE enum rc message_note(
    struct conn *c, const struct smtp_rcpt_args *rcpt, struct err *e);
/* What restrictions want, whatever they said to the client (compat). */
MUST_USE enum rc message_apply(struct conn *c, const struct access_effects *fx);
void message_begin(struct conn *c); /* the content comes now */
void message_store(struct conn *c, struct str piece);
void message_commit(struct conn *c);
void message_drop(struct conn *c);

/* ---- proxy_filter.c ---- */
/* Reads smtpd_proxy_filter. RC_PERM: not an endpoint. */
MUST_USE enum rc filter_parse(struct service *s, struct err *e);
/* The open question goes to the filter, and is answered with its reply. */
void filter_rcpt(struct conn *c);
void filter_data(struct conn *c);
void filter_commit(struct conn *c);
void filter_store(struct conn *c, struct str piece);
void filter_free(struct filter **f); /* says QUIT when it can */

/* ---- main.c ---- */
/* A connection ended: drains to the end if that is due. */
void smtpd_conn_ended(struct smtpd *d);
#endif
