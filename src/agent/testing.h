#ifndef AGENT_TESTING_H
#define AGENT_TESTING_H
/* For tests of what goes into the queue: a queue that is played in the same process, at
 * the other end of a submission channel. */
#include "base/base.h"
#include "base/buf.h"

struct ipc_channel;
struct log;
struct loop;
struct submit;

struct testing_queue {
	struct loop *loop;
	struct log *log;
	struct submit *submit;
	struct ipc_channel *ch; /* its end; NULL: not connected, or closed */
	uint64_t next_id;
	bool is_silent; /* stage files and puts get no answer */
	enum rc answer; /* to a put */
	bool is_closed; /* by the channel, for what came over it */
	size_t n_puts, n_stages, n_dropped;
	uint32_t stage_request;
	int stage_fd;
	/* of the last put */
	uint32_t stage; /* 0: the content came with it */
	struct buf said; /* " from=… filter=… hold=… ret=… facts=…", then for each
			  * recipient " to=ADDRESS,ORIGINAL,NOTIFY" */
	struct buf content; /* from wherever it was */
};

/* Not connected yet. Lives where it is until testing_queue_fini(). */
void testing_queue_init(struct testing_queue *q);
void testing_queue_fini(struct testing_queue *q);
/* Another one takes over; its ids begin at `first`. */
void testing_queue_connect(struct testing_queue *q, uint64_t first);
/* Some rounds of the loop: every message that is on its way arrives. */
void testing_queue_rounds(struct testing_queue *q);
/* Whether `words` stand in q->said. */
bool testing_queue_was_told(const struct testing_queue *q, const char *words);
#endif
