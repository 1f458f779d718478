/* One message on its way into the spool.
 *
 * Content leaves the filter into `held`. Up to SPOOL_INLINE_MAX it stays there and
 * travels inside the put; beyond that a stage file is asked for, and once it is here
 * `held` is only a write buffer. While the stage file is on its way the sender is slowed
 * down (RC_MORE).
 *
 * Failure is sticky: the first one wins, everything held is let go, ingest_commit()
 * reports it. */
#include "agent/ingest_checks.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/submit.h"
#include "base/crc32c.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "spool/message.h"

enum {
	HELD_MAX = 8 << 20,   /* waiting for the stage file */
	WRITE_AT = 128 << 10, /* stage file: write when so much is gathered */
};

static void tell(void *arg);

enum rc
ingest_new(struct submit *s, struct loop *loop, const struct ingest_conf *conf,
    struct ingest **out, struct err *e)
{
	struct ingest *in;
	uint64_t id;
	uint32_t epoch;
	enum rc rc = submit_can_store(s, 0, e);

	if (rc == RC_OK)
		rc = submit_take_id(s, &id, &epoch, e);
	if (rc != RC_OK)
		return rc == RC_MORE ? RC_TEMP : rc;
	in = mem_get(sizeof(*in));
	in->submit = s;
	in->loop = loop;
	in->conf = conf;
	in->id = id;
	in->epoch = epoch;
	in->arrival_us = loop_wall_us(loop);
	in->qid = queue_id_format(id, in->arrival_us, conf->enable_long_queue_ids);
	in->stage_fd = -1;
	buf_init(&in->held, HELD_MAX);
	buf_init(&in->pending, HELD_MAX);
	loop_task_init(&in->later, tell, in);
	*out = in;
	return RC_OK;
}

struct str
ingest_qid(const struct ingest *in)
{
	return str_c(in->qid.text);
}

uint64_t
ingest_size(const struct ingest *in)
{
	return in->size_bytes;
}

void
ingest_on_room(struct ingest *in, void (*room)(void *arg), void *arg)
{
	in->room = room;
	in->room_arg = arg;
}

/* ---- letting go ---- */

void
ingest_drop(struct ingest *in)
{
	buf_fini(&in->held);
	buf_init(&in->held, HELD_MAX);
	os_fd_close(&in->stage_fd);
	if (in->stage_number != 0)
		submit_stage_drop(in->submit, in->stage_number, in->epoch);
	in->stage_number = 0;
	if (in->stage_request != 0)
		submit_forget(in->submit, in->stage_request);
	in->stage_request = 0;
}

enum rc
ingest_fail(struct ingest *in, enum rc rc, const char *text)
{
	if (in->failed != RC_OK)
		return in->failed;
	in->failed = rc;
	(void)snprintf(in->why, sizeof(in->why), "%s", text);
	ingest_drop(in);
	return rc;
}

void
ingest_free(struct ingest **inp)
{
	struct ingest *in = *inp;

	if (in == NULL)
		return;
	loop_soon_cancel(in->loop, &in->later);
	ingest_drop(in);
	buf_fini(&in->held);
	mime_filter_free(&in->filter);
	ingest_convert_free(&in->convert);
	ingest_check_free(&in->check);
	buf_fini(&in->pending);
	ingest_put_cancel(in);
	arena_free(&in->mem);
	free(in);
	*inp = NULL;
}

/* ---- content ---- */

enum rc
ingest_flush(struct ingest *in)
{
	struct str s = buf_view(&in->held);
	struct err e = { 0 };

	if (s.n == 0)
		return RC_OK;
	if (os_fd_write_all(in->stage_fd, s, &e) != RC_OK) {
		log_warn(in->conf->cleanup_log, "%s: write stage file: %s", in->qid.text,
		    e.text);
		return ingest_fail(in, RC_TEMP,
		    e.sys == ENOSPC ? "4.3.1 Insufficient system storage"
				    : TEXT_WRITE_ERROR);
	}
	in->stage_crc = crc32c(in->stage_crc, s);
	buf_reset(&in->held);
	return RC_OK;
}

static void
on_stage(void *arg, enum rc rc, int fd, uint32_t number, struct str text)
{
	struct ingest *in = arg;

	(void)text;
	in->stage_request = 0;
	if (rc != RC_OK) {
		(void)ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	} else {
		in->stage_fd = fd;
		in->stage_number = number;
		(void)ingest_flush(in);
	}
	if (in->is_committed && !in->is_ending) {
		ingest_put_go(in);
	} else if (in->wants_room && !ingest_is_waiting(in)) {
		in->wants_room = false;
		if (in->room != NULL)
			in->room(in->room_arg);
	}
}

enum rc
ingest_hold(struct ingest *in, struct str s)
{
	in->size_bytes += s.n;
	if (buf_put(&in->held, s) != RC_OK)
		return ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	if (in->stage_fd >= 0)
		return in->held.n >= WRITE_AT ? ingest_flush(in) : RC_OK;
	if (in->held.n <= SPOOL_INLINE_MAX || in->is_staged)
		return RC_OK;
	if (in->epoch != submit_epoch(in->submit))
		return ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
	in->is_staged = true;
	in->stage_request = submit_stage_open(in->submit, on_stage, in);
	return in->stage_request != 0 ? RC_OK
				      : ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
}

/* ---- the end ---- */

static void
tell(void *arg)
{
	struct ingest *in = arg;

	in->done(in->done_arg, in->failed, str_c(in->why));
}

void
ingest_tell(struct ingest *in)
{
	loop_soon(in->loop, &in->later);
}
