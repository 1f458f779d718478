#ifndef AGENT_NOTICE_H
#define AGENT_NOTICE_H
#include "agent/ingest.h"
#include "smtp/server.h"

/* Notices to the postmaster about sessions (notify_classes). They enter the queue as all
 * mail does; one that cannot is logged and lost: nobody waits for it. */
struct arena;
struct notices;
struct transcript;

/* Whom a service tells of what. Strings live as long as the configuration. */
struct notice_conf {
	unsigned classes; /* enum smtp_trouble, or-ed; 0: of nothing */
	struct str error_recipient, bounce_recipient;
	struct str sender; /* double_bounce_sender: a notice never causes another */
	struct str mail_name;
	/* Set when `classes` is not 0. */
	struct str full_sender;
	struct ingest_conf ingest;
};

/* The bits of notify_classes. "2bounce" and "delay" have none: no session is about them.
 */
unsigned notice_classes(struct str names);

/* Completes *c, whose strings and classes are set: how notices enter the queue.
 * Returns, blocks: as ingest_conf_load(). */
MUST_USE enum rc notice_conf_load(struct notice_conf *c,
    const struct ingest_conf_request *req, struct arena *mem, struct err *e);

/* Whether `sender` of a message says that it is a notice, or a bounce to the postmaster.
 */
bool notice_is_from(const struct notice_conf *c, struct str sender);

struct notices_request {
	struct submit *submit;
	struct loop *loop;
	void (*idle)(void *arg); /* none is on its way any more; or NULL */
	void *arg;
};

/* Those of a process that are on their way. */
struct notices *notices_new(const struct notices_request *req);
size_t notices_open(const struct notices *n);
/* Whoever listens to submit_on_ready() calls this then: those that wait go on. */
void notices_recheck(struct notices *n);

struct notice_text {
	unsigned trouble;   /* of the session: what of it is told decides who is told */
	const char *who;    /* "SMTP server" */
	struct str peer;    /* "name[address]" */
	const char *intro;  /* a line before the transcript, or NULL */
	bool may_break_off; /* there is a line for `reason` */
	const char *reason; /* why the session broke off; NULL: it did not */
	const struct transcript *transcript;
};

/* Sends what *t says, when its trouble is in the classes of *c (which stays): returns at
 * once. It waits 20 s for a queue that is being started.
 * Limits: 50 on their way; more are lost, and the log says so. */
void notices_send(
    struct notices *n, const struct notice_conf *c, const struct notice_text *t);
#endif
