#ifndef PROG_SMTPD_H
#define PROG_SMTPD_H
/* smtpd: the shell around SMTP server sessions.
 *
 *	main.c		start, channels, confinement
 *	service.c	master.cf lines: parameters, accepting
 *	conn.c		one connection: bytes in and out, time, its client's name
 *	answer.c	the session's questions
 *	message.c	the message that a session is taking in
 *
 * An idle connection owns its session (about 2 KiB) and no buffer: bytes are read into
 *one block of the process and written from another; a connection keeps only what could
 *not be used or sent at once. */
#include "access/access.h"
#include "agent/decide.h"
#include "agent/ingest.h"
#include "agent/worker.h"
#include "base/buf.h"
#include "base/list.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include "addr/net.h"
#include "loop/loop.h"
#include "net/client_name.h"
#include "smtp/server.h"

struct net_resolver;
struct submit;

#define READ_SIZE ((size_t)64 * 1024)

struct smtpd {
	struct worker *w;
	struct loop *loop;
	struct submit *submit;
	struct net_resolver *resolver;
	struct net_client_names *names;
	struct decide *tables; /* the first service's; the others share its tables */
	struct service *services;
	size_t n_services;
	struct list conns;
	struct list waiting;       /* connections whose MAIL waits for queue */
	struct loop_timer recheck; /* of those */
	size_t n_conns;
	bool is_draining;
	struct loop_timer impatient; /* draining took long enough */
	char *block;                 /* READ_SIZE bytes that were just read */
	struct buf out;              /* what the running connection has to say */
	struct arena *scratch;       /* one question */
};

struct conn;

struct listener {
	struct service *service;
	struct loop_io io;
};

/* One master.cf line. Parameters twice: as they are, and as they are under stress. */
struct service {
	struct smtpd *smtpd;
	const struct worker_service *entry;
	struct conf_smtpd conf;
	struct smtp_server_conf server[2]; /* [is_stressed] */
	struct smtp_client_rights rights;  /* of every client, before lists are asked */
	struct ingest_conf ingest;
	struct decide *decide;
	struct match_list bare_lf_ok;
	struct match_list mynetworks;
	bool rewrite_mynetworks, rewrite_own; /* local_header_rewrite_clients */
	struct conf_addresses own;
	struct listener *listeners;
	size_t n_listeners;
	struct loop_timer retry; /* accepting failed: again after a pause */
	bool is_paused;
	bool needs_tls, is_wrapped;        /* by its parameters; there is no TLS yet */
	uint32_t n_sessions, max_sessions; /* 0: no limit */
};

/* The message of a transaction; made when its first recipient was accepted. */
struct message {
	struct arena *mem;
	struct ingest *ingest;
	struct ingest_client client;
	struct ingest_rcpt *rcpts;
	size_t n_rcpts, cap;
	bool is_begun, is_committing;
};

/* The restrictions of one SMTP event on their way. */
struct access_stages;
enum { CONN_STAGES_MAX = 4 };
struct question {
	struct smtp_fx fx;
	const struct access_stages *stages;
	void (*permitted)(struct conn *c, const struct smtp_fx *fx);
	struct str reply;                                 /* refused */
	const struct access_note *notes[CONN_STAGES_MAX]; /* of each stage */
	unsigned n_notes;
};

struct conn {
	struct service *service;
	struct list node, waiting;
	int64_t patience_us; /* until when MAIL waits for queue; 0: it does not */
	struct loop_io io;
	struct loop_timer timer;
	struct smtp_server *session;
	struct net_client_query *naming;
	struct message *message;
	struct question question;
	struct decide_run decision; /* of it */
	struct buf in, out;         /* left over */
	struct addr_ip addr;
	uint16_t port;
	char *reverse_name; /* unverified name of the client */
	bool is_local;      /* its headers are completed */
	bool is_eof;        /* nothing more comes */
	bool is_closing;    /* when `out` is written */
	bool is_full;       /* the message cannot take more for the moment */
	bool is_gone;       /* the descriptor is of no use any more */
	bool is_running;    /* conn_run() is at work on it */
};

/* ---- service.c ---- */
MUST_USE enum rc service_open(struct service *s, struct smtpd *d,
    const struct worker_service *entry, struct err *e);
/* Accepts, or stops accepting, as the limit and draining say. */
void service_listen(struct service *s);
bool service_completes_headers(const struct service *s, const struct addr_ip *addr);

/* ---- conn.c ---- */
/* Owns `fd`. */
void conn_open(struct service *s, int fd, const struct addr_ip *addr, uint16_t port);
/* Goes on after an answer. May free the connection. */
void conn_run(struct conn *c);
/* Answers the open question; conn_run() must follow when it was not asked just now. */
void conn_answer(struct conn *c, const struct smtp_answer *a);
void conn_free(struct conn *c);

/* ---- answer.c ---- */
/* Answers the question, at once or later. */
void answer_question(struct conn *c, const struct smtp_fx *fx);
/* Asks again for those whose MAIL waits for queue. */
void answer_waiting(struct smtpd *d);

/* ---- message.c ---- */
/* The accepted recipient goes into the envelope; the first one begins the message.
 * Returns: RC_TEMP: e has the reply's words. */
MUST_USE enum rc message_add(
    struct conn *c, const struct smtp_rcpt_args *rcpt, struct err *e);
void message_begin(struct conn *c); /* the content comes now */
void message_store(struct conn *c, struct str piece);
void message_commit(struct conn *c);
void message_drop(struct conn *c);

/* ---- main.c ---- */
/* A connection ended: drains to the end if that is due. */
void smtpd_conn_ended(struct smtpd *d);
#endif
