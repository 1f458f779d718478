/* From the spool to the scheduler: which messages become active. Fresh mail and mail
 * found by a scan take turns, so that neither starves the other; what exceeds the limits
 * stays on disk. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/log_address.h"
#include "os/file.h"
#include "prog/queue/queue.h"

#define PER_ROUND 256
#define ENVELOPE_MAX                                                                     \
	((size_t)256 << 20)        /* memory for one message with 100,000 recipients */
#define AGAIN_US (60 * US_PER_SEC) /* the spool could not read it just now */
/* So many active messages keep their content; the others' is read again for each job. */
#define CONTENT_KEPT 500

struct active *
active_find(struct queue *q, uint64_t number)
{
	struct hmap_node *n = hmap_first(&q->active, hmap_hash_u64(&q->active, number));

	for (; n != NULL; n = hmap_more(n))
		if (CONTAINER_OF(n, struct active, by_number)->number == number)
			return CONTAINER_OF(n, struct active, by_number);
	return NULL;
}

void
active_free(struct active **p)
{
	struct active *a = *p;
	struct queue *q = a->q;
	struct arena *mem = a->mem;

	sched_msg_free(&a->sched);
	list_remove(&a->in_dirty);
	hmap_remove(&q->active, &a->by_number);
	routing_cancel(a);
	q->n_active--;
	q->n_rcpts -= a->l.m.n_rcpts;
	spool_unclaim(q->spool, a->number);
	arena_free(&mem);
	*p = NULL;
	if (q->fresh.n > 0 || q->is_scanning)
		activate_wake(q);
	queue_check_stop(q);
}

/* ---- large messages: is the stage file what its writer said? ---- */

struct check {
	struct active *a;
	int fd;
	uint64_t size_bytes;
	uint32_t crc;
	enum rc rc;
};

static void
check_run(void *arg)
{
	struct check *c = arg;

	c->rc = spool_stage_check(os_files_real(), c->fd, c->size_bytes, c->crc);
}

static void
damaged(struct active *a)
{
	log_warn(a->q->log, "%.*s: the content is damaged; message set aside as corrupt",
	    STR_ARG(a->qid));
	spool_set_aside(a->q->spool, a->number);
	commit_wake(a->q);
	a->is_gone = true;
	results_check(a);
}

/* It cannot be read now: back to the deferred queue, without an attempt counted. */
static void
unreadable(struct active *a)
{
	spool_touch(a->q->spool, a->number, loop_wall_us(a->q->w.loop) + AGAIN_US);
	a->is_gone = true;
	results_check(a);
}

static void
check_done(void *arg)
{
	struct check *c = arg;
	struct active *a = c->a;
	enum rc rc = c->rc;

	(void)close(c->fd);
	free(c);
	a->is_busy = false;
	if (a->is_gone)
		results_check(a);
	else if (rc == RC_OK)
		routing_start(a);
	else if (rc == RC_TEMP)
		unreadable(a);
	else
		damaged(a);
}

static void
check_stage(struct active *a)
{
	struct check *c;
	struct err e = { 0 };
	enum rc rc;
	int fd = -1;

	rc = spool_stage_read(a->q->spool, a->number, &fd, &e);
	if (rc != RC_OK) {
		log_warn(a->q->log, "%.*s: %s", STR_ARG(a->qid), e.text);
		if (rc == RC_TEMP)
			unreadable(a);
		else
			damaged(a);
		return;
	}
	c = mem_get(sizeof(*c));
	c->a = a;
	c->fd = fd;
	c->size_bytes = a->l.m.size_bytes;
	c->crc = a->l.m.stage_crc;
	a->is_busy = true;
	loop_offload(a->q->w.loop, check_run, check_done, c);
}

/* ---- one message ---- */

static enum rc
load(struct active *a)
{
	struct queue *q = a->q;
	unsigned parts = SPOOL_ENVELOPE | SPOOL_STATE;
	enum rc rc;

	if (q->n_active < CONTENT_KEPT)
		parts |= SPOOL_CONTENT;
	rc = spool_load(q->spool, a->number, parts, a->mem, &a->l);
	if (rc != RC_OK)
		return rc;
	a->rcpts = arena_array(a->mem, a->l.m.n_rcpts, sizeof(*a->rcpts));
	a->cap_reasons = a->l.st.n_reasons + 4;
	a->reasons = arena_array(a->mem, a->cap_reasons, sizeof(*a->reasons));
	if (a->rcpts == NULL || a->reasons == NULL)
		return RC_TEMP;
	if (a->l.st.n_reasons > 0)
		memcpy(
		    a->reasons, a->l.st.reasons, a->l.st.n_reasons * sizeof(*a->reasons));
	a->n_reasons = a->l.st.n_reasons;
	a->flags = a->l.st.flags & SPOOL_STORED_FLAGS;
	a->n_attempts = a->l.st.n_attempts;
	a->last_try_us = a->l.st.last_try_us;
	a->next_try_us = a->l.st.next_try_us;
	for (size_t i = 0; i < a->l.m.n_rcpts; i++) {
		a->rcpts[i].address = a->l.m.rcpts[i].address;
		if (i < a->l.st.n_rcpts) {
			a->rcpts[i].what = a->l.st.rcpts[i].what;
			a->rcpts[i].reason = a->l.st.rcpts[i].reason;
		}
	}
	return report_init(a);
}

static void
log_active(struct active *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->l.m.n_rcpts; i++)
		n += routing_is_to_do(&a->rcpts[i]) &&
		     (a->l.m.rcpts[i].notify & SPOOL_EXPANDED) == 0;
	/* compat */
	log_begin(a->q->log, LOG_LEVEL_INFO);
	log_put(a->q->log, a->qid);
	log_put_address(a->q->log, ": from=<", a->l.m.sender);
	log_putf(a->q->log, ">, size=%llu, nrcpt=%zu (queue active)",
	    (unsigned long long)a->l.m.size_bytes, n);
	log_end(a->q->log);
}

static void
activate(struct queue *q, const struct spool_info *info, bool is_flushed)
{
	struct arena *mem = arena_new(ENVELOPE_MAX);
	struct active *a = arena_get(mem, sizeof(*a));
	enum rc rc;

	a->q = q;
	a->mem = mem;
	a->number = info->number;
	a->id = spool_info_id(info);
	a->qid = str_c(a->id.text);
	a->active_us = loop_wall_us(q->w.loop);
	a->is_flushed = is_flushed;
	list_init(&a->in_dirty);
	list_init(&a->jobs);
	list_init(&a->in_routing);
	list_init(&a->routings);
	spool_claim(q->spool, a->number);
	hmap_put(&q->active, hmap_hash_u64(&q->active, a->number), &a->by_number);
	q->n_active++;
	rc = load(a);
	q->n_rcpts += a->l.m.n_rcpts;
	if (rc != RC_OK) {
		if (rc == RC_PERM)
			log_warn(q->log, "%.*s: damaged; message set aside as corrupt",
			    STR_ARG(a->qid));
		spool_touch(q->spool, a->number, loop_wall_us(q->w.loop) + AGAIN_US);
		commit_wake(q);
		active_free(&a);
		return;
	}
	log_active(a);
	if (a->l.m.stage != 0)
		check_stage(a);
	else
		routing_start(a);
}

/* ---- which one next ---- */

static bool
has_room(const struct queue *q)
{
	return !q->is_stopping && q->n_routing < ROUTING_MESSAGES_MAX &&
	       q->n_active < (size_t)q->conf.qmgr_message_active_limit &&
	       q->n_rcpts < (size_t)q->conf.qmgr_message_recipient_limit;
}

/* Whether there was one, activated or not. */
static bool
take_fresh(struct queue *q)
{
	struct spool_info info;
	struct fresh_item it;

	if (q->fresh.n == 0)
		return false;
	it = q->fresh.v[q->fresh.at];
	q->fresh.at = (q->fresh.at + 1) % FRESH_MAX;
	q->fresh.n--;
	if (spool_find(q->spool, it.number, &info) == RC_OK &&
	    (info.flags & (SPOOL_HELD | SPOOL_CLAIMED)) == 0)
		activate(q, &info, it.is_flushed);
	return true;
}

static bool
take_due(struct queue *q)
{
	struct spool_info info;

	if (!q->is_scanning)
		return false;
	if (spool_first_due(q->spool, &info) != RC_OK ||
	    info.next_try_us > loop_wall_us(q->w.loop)) {
		q->is_scanning = q->is_flushing;
		q->is_flush_scan = q->is_flushing;
		return false;
	}
	activate(q, &info, q->is_flush_scan);
	return true;
}

static void
pump(void *arg)
{
	struct queue *q = arg;
	bool more = true;

	for (int i = 0; i < PER_ROUND && more && has_room(q); i++) {
		q->takes_fresh = !q->takes_fresh;
		more = q->takes_fresh ? take_fresh(q) || take_due(q)
				      : take_due(q) || take_fresh(q);
	}
	if (more && has_room(q))
		activate_wake(q);
}

void
activate_wake(struct queue *q)
{
	loop_soon(q->w.loop, &q->activate_task);
}

void
activate_fresh(struct queue *q, uint64_t number, bool is_flushed)
{
	if (q->fresh.n == FRESH_MAX) {
		/* It is due; the scan finds it. */
		q->is_scanning = true;
	} else {
		q->fresh.v[(q->fresh.at + q->fresh.n++) % FRESH_MAX] =
		    (struct fresh_item){ number, is_flushed };
	}
	activate_wake(q);
}

void
activate_init(struct queue *q)
{
	hmap_init(&q->active, q->seed);
	list_init(&q->routing);
	q->fresh.v = mem_array(FRESH_MAX, sizeof(*q->fresh.v));
	loop_task_init(&q->activate_task, pump, q);
}
