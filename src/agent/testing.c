#include "agent/testing.h"
#include "agent/submit.h"
#include "base/crc32c.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "os/sock.h"
#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PUT_MAX = 16 << 20, N_IDS = 4, STAGE = 7 };

static void
grant_ids(struct testing_queue *q)
{
	ipc_send_ids(q->ch, &(struct wire_ids){ .first = q->next_id, .count = N_IDS });
	q->next_id += N_IDS;
}

static void
on_ids_want(void *arg, const struct wire_ids_want *m)
{
	(void)m;
	grant_ids(arg);
}

static void
on_stage_open(void *arg, const struct wire_stage_open *m)
{
	struct testing_queue *q = arg;
	struct wire_stage s = { .request = m->request, .number = STAGE, .file = -1 };

	q->n_stages++;
	q->stage_request = m->request;
	if (q->is_silent)
		return;
	os_fd_close(&q->stage_fd);
	q->stage_fd = memfd_create("stage", MFD_CLOEXEC);
	assert(q->stage_fd >= 0);
	s.file = dup(q->stage_fd);
	assert(s.file >= 0);
	ipc_send_stage(q->ch, &s);
}

static void
on_stage_drop(void *arg, const struct wire_stage_drop *m)
{
	struct testing_queue *q = arg;

	assert(m->number == STAGE);
	q->n_dropped++;
}

static void
note_envelope(struct testing_queue *q, const struct wire_put *m)
{
	struct buf *b = &q->said;
	enum rc rc;

	buf_reset(b);
	rc = buf_printf(b, " from=%.*s filter=%.*s hold=%d ret=%u facts=%u",
	    STR_ARG(m->sender), STR_ARG(m->filter), m->hold, m->ret, m->facts);
	assert(rc == RC_OK && m->n_rcpts > 0);
	for (size_t i = 0; i < m->n_rcpts; i++) {
		assert(m->rcpts[i].address.n > 0);
		rc = buf_printf(b, " to=%.*s,%.*s,%u", STR_ARG(m->rcpts[i].address),
		    STR_ARG(m->rcpts[i].orig), m->rcpts[i].notify);
		assert(rc == RC_OK);
	}
}

static void
note_content(struct testing_queue *q, const struct wire_put *m)
{
	struct buf *b = &q->content;

	buf_reset(b);
	q->stage = m->stage;
	if (m->stage != 0) {
		char *room = buf_room(b, m->size);
		ssize_t n = room != NULL ? pread(q->stage_fd, room, m->size, 0) : -1;

		assert(n == (ssize_t)m->size);
		buf_added(b, m->size);
		assert(crc32c(0, buf_view(b)) == m->stage_crc);
	} else {
		enum rc rc = buf_put(b, m->content);

		assert(rc == RC_OK && m->content.n == m->size);
	}
}

static void
on_put(void *arg, const struct wire_put *m)
{
	struct testing_queue *q = arg;

	q->n_puts++;
	note_envelope(q, m);
	note_content(q, m);
	if (!q->is_silent)
		ipc_send_put_done(q->ch,
		    &(struct wire_put_done){ .request = m->request,
			.rc = (uint8_t)q->answer,
			.text = q->answer == RC_OK ? STR("") : STR("4.3.1 full") });
}

static void
on_close(void *arg, const char *why)
{
	struct testing_queue *q = arg;

	(void)why;
	q->is_closed = true;
	ipc_channel_free(&q->ch);
}

void
testing_queue_init(struct testing_queue *q)
{
	*q = (struct testing_queue){ .stage_fd = -1 };
	q->loop = loop_new();
	q->log = log_new("test", "h");
	q->submit = submit_new(q->loop, q->log);
	buf_init(&q->said, PUT_MAX);
	buf_init(&q->content, PUT_MAX);
}

void
testing_queue_fini(struct testing_queue *q)
{
	submit_free(&q->submit);
	if (q->ch != NULL)
		ipc_channel_free(&q->ch);
	log_free(&q->log);
	loop_free(&q->loop);
	buf_fini(&q->said);
	buf_fini(&q->content);
	os_fd_close(&q->stage_fd);
}

void
testing_queue_connect(struct testing_queue *q, uint64_t first)
{
	static const struct ipc_handlers on = { .on_ids_want = on_ids_want,
		.on_stage_open = on_stage_open,
		.on_stage_drop = on_stage_drop,
		.on_put = on_put };
	const struct ipc_channel_conf c = { .me = WIRE_QUEUE,
		.peer = WIRE_SUBMITTER,
		.on = &on,
		.on_close = on_close,
		.arg = q };
	int fds[2];
	enum rc rc = os_sock_pair(fds, NULL);

	assert(rc == RC_OK);
	q->ch = ipc_channel_new(q->loop, fds[0], &c);
	submit_connect(q->submit, fds[1]);
	q->next_id = first;
	grant_ids(q);
	ipc_send_state(
	    q->ch, &(struct wire_state){ .can_store = true, .free_bytes = 1 << 30 });
}

void
testing_queue_rounds(struct testing_queue *q)
{
	for (int i = 0; i < 12; i++)
		loop_round(q->loop, 0);
}

bool
testing_queue_was_told(const struct testing_queue *q, const char *words)
{
	struct str said = buf_view(&q->said);

	return said.n > 0 && memmem(said.p, said.n, words, strlen(words)) != NULL;
}
