#ifndef AGENT_LOOKUP_CLIENT_H
#define AGENT_LOOKUP_CLIENT_H
#include "base/base.h"

/* A worker's end of the channel to `lookup`: questions to tables that may keep one
 * waiting, answered by a call from the loop. It survives lookup: questions that are open
 * when it goes away are put to the next one. Who waits longer than the limit is answered
 * RC_TEMP; nothing is ever answered "not found" for want of an answer. */
struct loop;
struct log;
struct lookup_client;
struct lookup_query;

struct lookup_client_conf {
	struct loop *loop;
	struct log *log;
	int64_t timeout_us; /* for one question in all */
	/* There are questions and no channel, and this does not last a moment: master
	 * should start lookup. May be NULL. */
	void (*need)(void *arg);
	void *arg;
};
/* At most so long anybody waits for a table, whatever ipc_timeout says. */
#define LOOKUP_PATIENCE_MAX_US (100 * US_PER_SEC)
/* So long a question may wait for a lookup that has the configuration it is from. */
#define LOOKUP_STRANGER_US (10 * US_PER_SEC)

struct lookup_client *lookup_client_new(const struct lookup_client_conf *conf);
/* Open questions are dropped without a call. */
void lookup_client_free(struct lookup_client **c);
/* A channel from master (purpose "lookup"); replaces an older one. Owns `fd`. */
void lookup_client_connect(struct lookup_client *c, int fd);

struct lookup_question {
	struct str table; /* "mysql:/etc/postfix/x.cf", maybe with proxy: in front */
	struct str key;
	unsigned flags; /* enum map_flag */
};
/* `value` is valid during the call: RC_OK the value, RC_TEMP what the trouble is. RC_NONE
 * is the table's own word. */
typedef void lookup_answer_fn(void *arg, enum rc rc, struct str value);
/* The answer never comes inside this call. Returns a handle for lookup_client_cancel(),
 * gone once `done` is called. Texts are copied. */
struct lookup_query *lookup_client_ask(struct lookup_client *c,
    const struct lookup_question *q, lookup_answer_fn *done, void *arg);
/* `done` will not be called. *q may be NULL; it becomes NULL. */
void lookup_client_cancel(struct lookup_query **q);
size_t lookup_client_open(const struct lookup_client *c); /* questions */
#endif
