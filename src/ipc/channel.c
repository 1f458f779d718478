/* One end of a channel: framing, descriptors, buffers, closing.
 *
 * Invariants: `in` holds at most one incomplete frame between rounds; `out` is a sequence
 * of whole frames whose first may be partly sent; sending[] lists the descriptors not yet
 * sent in the order of their frames. After `is_closed` nothing is read or appended.
 *
 * A peer that reads no more may have said something before: that is read to its end, and
 * only then the channel closes.
 *
 * The peer is not trusted: lengths are checked before memory is asked for, descriptors
 * that no message picks up are closed, too many of them close the channel. */
#include "ipc/channel_int.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/arena.h"
#include "base/buf.h"
#include "loop/loop.h"
#include "os/fd.h"

enum {
	FRAME_HEAD = 5, /* length, type */
	READ_SIZE = 64 << 10,
	READS_A_ROUND = 8,    /* then the others get their turn */
	ARENA_MAX = 32 << 20, /* lists of the largest frame */
	FDS_OUT_MAX = 1024,
};

/* A descriptor to send, and where its frame begins, counted over the channel's life. */
struct sending {
	int fd;
	uint64_t at;
};

struct ipc_channel {
	struct loop *loop;
	struct ipc_channel_conf conf;
	struct loop_io io;
	struct loop_task flush; /* an output: sends */
	struct loop_task
	    task; /* tells about room, about the end; goes on after a pause */
	struct buf in, out;
	struct arena *mem; /* of the message being handled */
	struct ipc_fds fds;
	struct sending *sending;
	size_t n_sending, cap_sending;
	size_t frame_at; /* offset in out of the frame being written */
	uint64_t n_sent; /* bytes ever sent */
	const char *why; /* reason of closing */
	bool is_closed, is_told, is_finishing, is_paused, wants_room;
	bool is_deaf;  /* the peer reads no more: nothing is sent */
	bool has_rest; /* after a pause: frames in `in` wait to be handled */
	bool is_busy;  /* inside a callback: freeing waits */
	bool is_freed;
};

int
ipc_fds_take(struct ipc_fds *f)
{
	int fd;

	if (f->at == f->n)
		return -1;
	fd = f->v[f->at++];
	if (f->at == f->n)
		f->at = f->n = 0;
	return fd;
}

static bool
fds_add(struct ipc_fds *f, int fd)
{
	if (f->at > 0 && f->n == IPC_FDS_MAX) {
		memmove(f->v, f->v + f->at, (f->n - f->at) * sizeof(f->v[0]));
		f->n -= f->at;
		f->at = 0;
	}
	if (f->n == IPC_FDS_MAX) {
		os_fd_close(&fd);
		return false;
	}
	f->v[f->n++] = fd;
	return true;
}

static void
fds_close(struct ipc_fds *f)
{
	int fd;

	while ((fd = ipc_fds_take(f)) >= 0)
		os_fd_close(&fd);
}

static void
drop_sending(struct ipc_channel *ch)
{
	for (size_t i = 0; i < ch->n_sending; i++)
		os_fd_close(&ch->sending[i].fd);
	ch->n_sending = 0;
}

/* Everything that ends a channel comes here; on_close is called by the task, later. */
static void
channel_close(struct ipc_channel *ch, const char *why)
{
	if (ch->is_closed)
		return;
	ch->is_closed = true;
	ch->why = why;
	loop_io_remove(ch->loop, &ch->io);
	os_fd_close(&ch->io.fd);
	drop_sending(ch);
	fds_close(&ch->fds);
	loop_soon(ch->loop, &ch->task);
}

static void
channel_destroy(struct ipc_channel *ch)
{
	loop_soon_cancel(ch->loop, &ch->task);
	loop_soon_cancel(ch->loop, &ch->flush);
	buf_fini(&ch->in);
	buf_fini(&ch->out);
	arena_free(&ch->mem);
	free(ch->sending);
	free(ch);
}

/* Callbacks may free the channel; then it lasts until the callback has returned. */
static bool
callback_done(struct ipc_channel *ch, bool was_busy)
{
	ch->is_busy = was_busy;
	if (!ch->is_freed)
		return true;
	if (!was_busy)
		channel_destroy(ch);
	return false;
}

/* ---- sending ---- */

static void
want(struct ipc_channel *ch)
{
	unsigned events = 0;

	if (ch->is_closed)
		return;
	if (!ch->is_paused && !ch->is_finishing)
		events |= LOOP_READ;
	if (ch->out.n > 0)
		events |= LOOP_WRITE;
	loop_io_want(ch->loop, &ch->io, events);
}

static bool
takes_messages(const struct ipc_channel *ch)
{
	return !ch->is_closed && !ch->is_finishing && !ch->is_deaf;
}

struct wire_wr
ipc_channel_begin(struct ipc_channel *ch, unsigned type)
{
	struct wire_wr w = wire_wr(&ch->out);

	ch->frame_at = ch->out.n;
	if (!takes_messages(ch)) {
		w.bad = true;
		return w;
	}
	wire_wr_uint(&w, 4, 0);
	wire_wr_uint(&w, 1, type);
	return w;
}

static void
add_fd(struct ipc_channel *ch, int fd)
{
	if (ch->n_sending == ch->cap_sending) {
		ch->cap_sending = ch->cap_sending == 0 ? 4 : 2 * ch->cap_sending;
		ch->sending =
		    mem_grow(ch->sending, ch->cap_sending, sizeof(ch->sending[0]));
	}
	ch->sending[ch->n_sending++] = (struct sending){ fd, ch->n_sent + ch->frame_at };
}

void
ipc_channel_commit(struct ipc_channel *ch, const struct wire_wr *w, int fd)
{
	size_t n = ch->out.n - ch->frame_at;
	unsigned char *p;

	if (!takes_messages(ch)) {
		os_fd_close(&fd);
		return;
	}
	if (wire_wr_end(w) != RC_OK || n > IPC_FRAME_MAX ||
	    (fd >= 0 && ch->n_sending == FDS_OUT_MAX)) {
		ch->out.n = ch->frame_at;
		os_fd_close(&fd);
		channel_close(ch, "a message does not fit, or the peer does not read");
		return;
	}
	p = (unsigned char *)ch->out.p + ch->out.start + ch->frame_at;
	for (unsigned i = 0; i < 4; i++)
		p[i] = (unsigned char)((n - 4) >> (24 - 8 * i));
	if (fd >= 0)
		add_fd(ch, fd);
	if (ch->out.n > ch->conf.out_low)
		ch->wants_room = true;
	loop_output(ch->loop, &ch->flush);
}

/* Sends once. Descriptors must not arrive after their frame, so bytes stop where the
 * first frame begins whose descriptor finds no place in this call. */
static enum rc
send_some(struct ipc_channel *ch)
{
	int fds[OS_FD_PASS_MAX];
	size_t n_fds = 0, n_bytes = ch->out.n, sent;
	enum rc rc;

	while (n_fds < ch->n_sending && n_fds < OS_FD_PASS_MAX) {
		fds[n_fds] = ch->sending[n_fds].fd;
		n_fds++;
	}
	if (n_fds < ch->n_sending)
		n_bytes = (size_t)(ch->sending[n_fds].at - ch->n_sent);
	/* The kernel takes descriptors with the first byte, or not at all. */
	rc = os_fd_send(
	    ch->io.fd, str_head(buf_view(&ch->out), n_bytes), fds, n_fds, &sent);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < n_fds; i++)
		os_fd_close(&ch->sending[i].fd);
	ch->n_sending -= n_fds;
	for (size_t i = 0; i < ch->n_sending; i++)
		ch->sending[i] = ch->sending[i + n_fds];
	ch->n_sent += sent;
	buf_consume(&ch->out, sent);
	return RC_OK;
}

/* Sending failed. Results that came before the peer went count: what they are about would
 * be done twice. The end of what it said closes the channel. */
static void
be_deaf(struct ipc_channel *ch)
{
	if (ch->is_finishing) {
		channel_close(ch, NULL);
		return;
	}
	ch->is_deaf = true;
	drop_sending(ch);
	buf_release(&ch->out);
	(void)shutdown(ch->io.fd, SHUT_RDWR); /* what was received stays */
}

void
ipc_channel_flush(struct ipc_channel *ch)
{
	enum rc rc = RC_OK;

	while (!ch->is_closed && ch->out.n > 0 && rc == RC_OK)
		rc = send_some(ch);
	if (rc == RC_TEMP)
		be_deaf(ch);
	if (ch->is_closed)
		return;
	if (ch->out.n == 0) {
		if (ch->out.cap > READ_SIZE)
			buf_release(&ch->out);
		if (ch->is_finishing)
			channel_close(ch, NULL);
	}
	if (ch->wants_room && ch->out.n <= ch->conf.out_low && !ch->is_closed)
		loop_soon(ch->loop, &ch->task);
	want(ch);
}

static void
on_flush(void *arg)
{
	ipc_channel_flush(arg);
}

static void
tell_room(struct ipc_channel *ch)
{
	bool was_busy = ch->is_busy;

	if (!takes_messages(ch) || !ch->wants_room || ch->out.n > ch->conf.out_low)
		return;
	ch->wants_room = false;
	if (ch->conf.on_room == NULL)
		return;
	ch->is_busy = true;
	ch->conf.on_room(ch->conf.arg);
	(void)callback_done(ch, was_busy);
}

/* ---- receiving ---- */

/* One whole frame at the front of `in`: handle it. False: stop (closed or freed). */
static bool
handle_frame(struct ipc_channel *ch, struct str frame)
{
	unsigned type = (unsigned char)frame.p[4];
	enum rc rc;

	if (!wire_may_send(type, ch->conf.peer, ch->conf.me)) {
		channel_close(ch, "a message out of turn");
		return false;
	}
	arena_reset(ch->mem);
	ch->is_busy = true;
	rc = ipc_dispatch(ch->conf.on, ch->conf.arg, type, str_from(frame, FRAME_HEAD),
	    ch->mem, &ch->fds);
	if (!callback_done(ch, false))
		return false;
	if (rc != RC_OK)
		channel_close(ch, "an unreadable or unexpected message");
	return !ch->is_closed;
}

/* RC_OK: all whole frames are handled; RC_PERM: closed or freed, touch nothing. */
static enum rc
handle_frames(struct ipc_channel *ch)
{
	while (!ch->is_paused) {
		struct str all = buf_view(&ch->in);
		struct wire_rd r = wire_rd(all);
		size_t n;

		if (all.n < FRAME_HEAD)
			break;
		n = (size_t)wire_rd_uint(&r, 4);
		if (n < 1 || n > IPC_FRAME_MAX - 4) {
			channel_close(ch, "a frame of an impossible length");
			return RC_PERM;
		}
		if (all.n < n + 4)
			break;
		if (!handle_frame(ch, str_head(all, n + 4)))
			return RC_PERM;
		buf_consume(&ch->in, n + 4);
	}
	return RC_OK;
}

/* How much to read: the rest of a large frame at once, else what the socket may hold. */
static size_t
read_size(const struct ipc_channel *ch)
{
	struct str all = buf_view(&ch->in);
	struct wire_rd r = wire_rd(all);
	size_t n;

	if (all.n < 4)
		return READ_SIZE;
	n = (size_t)wire_rd_uint(&r, 4) + 4;
	return n > all.n + READ_SIZE && n <= IPC_FRAME_MAX ? n - all.n : READ_SIZE;
}

static enum rc
receive(struct ipc_channel *ch)
{
	size_t want_n = read_size(ch), n_fds = OS_FD_PASS_MAX, n;
	int fds[OS_FD_PASS_MAX];
	char *room = buf_room(&ch->in, want_n);
	bool has_room = true;
	enum rc rc;

	assert(room != NULL);
	rc = os_fd_recv(ch->io.fd, room, want_n, fds, &n_fds, &n);
	if (rc == RC_NONE || rc == RC_TEMP) {
		channel_close(ch,
		    ch->in.n > 0 && rc == RC_NONE ? "cut off inside a message" : NULL);
		return RC_PERM;
	}
	if (rc != RC_OK)
		return rc;
	buf_added(&ch->in, n);
	for (size_t i = 0; i < n_fds; i++)
		has_room = fds_add(&ch->fds, fds[i]) && has_room;
	if (!has_room || (ch->conf.refuses_fds && n_fds > 0)) {
		channel_close(ch, "too many descriptors");
		return RC_PERM;
	}
	rc = handle_frames(ch);
	return rc == RC_OK && n < want_n ? RC_MORE : rc;
}

static void
on_task(void *arg)
{
	struct ipc_channel *ch = arg;

	if (ch->has_rest && !ch->is_closed) {
		ch->has_rest = false;
		if (handle_frames(ch) != RC_OK)
			return;
	}
	if (!ch->is_closed) {
		tell_room(ch);
		return;
	}
	if (ch->is_told || ch->conf.on_close == NULL)
		return;
	ch->is_told = true;
	loop_soon_cancel(ch->loop, &ch->task);
	ch->is_busy = true;
	ch->conf.on_close(ch->conf.arg, ch->why);
	(void)callback_done(ch, false);
}

static void
on_io(void *arg, unsigned events)
{
	struct ipc_channel *ch = arg;
	enum rc rc = RC_OK;

	if ((events & (LOOP_READ | LOOP_HANGUP)) != 0 && !ch->is_paused &&
	    !ch->is_finishing) {
		/* What waits since a pause comes first: reading on each time would fill
		 * `in` for a peer that sends faster than one frame a pause. */
		if (ch->has_rest) {
			ch->has_rest = false;
			if (handle_frames(ch) != RC_OK)
				return;
		}
		for (unsigned i = 0; i < READS_A_ROUND && rc == RC_OK && !ch->is_paused;
		     i++)
			rc = receive(ch);
		if (rc == RC_PERM)
			return;
		if (ch->in.n == 0 && ch->in.cap > 2 * READ_SIZE)
			buf_release(&ch->in);
	} else if ((events & LOOP_HANGUP) != 0) {
		channel_close(ch, NULL);
		return;
	}
	if ((events & LOOP_WRITE) != 0 && !ch->is_closed)
		loop_output(ch->loop, &ch->flush);
}

/* ---- life ---- */

struct ipc_channel *
ipc_channel_new(struct loop *l, int fd, const struct ipc_channel_conf *conf)
{
	struct ipc_channel *ch = mem_get(sizeof(*ch));
	struct err e;

	ch->loop = l;
	ch->conf = *conf;
	if (ch->conf.out_max == 0)
		ch->conf.out_max = 32 << 20;
	if (ch->conf.out_low == 0)
		ch->conf.out_low = 64 << 10;
	buf_init(&ch->in, IPC_FRAME_MAX + READ_SIZE);
	buf_init(&ch->out, ch->conf.out_max);
	ch->mem = arena_new(ARENA_MAX);
	loop_task_init(&ch->task, on_task, ch);
	loop_task_init(&ch->flush, on_flush, ch);
	loop_io_init(&ch->io, fd, on_io, ch);
	if (os_fd_nonblock(fd, true, &e) != RC_OK)
		channel_close(ch, "not a usable descriptor");
	want(ch);
	return ch;
}

void
ipc_channel_free(struct ipc_channel **pch)
{
	struct ipc_channel *ch = *pch;

	*pch = NULL;
	if (ch == NULL)
		return;
	channel_close(ch, NULL);
	ch->is_told = true; /* who frees it knows */
	loop_soon_cancel(ch->loop, &ch->task);
	ch->is_freed = true;
	if (!ch->is_busy)
		channel_destroy(ch);
}

void
ipc_channel_finish(struct ipc_channel *ch)
{
	if (ch->is_closed)
		return;
	ch->is_finishing = true;
	loop_output(ch->loop, &ch->flush);
}

size_t
ipc_channel_pending(const struct ipc_channel *ch)
{
	return ch->is_closed ? 0 : ch->out.n;
}

bool
ipc_channel_is_open(const struct ipc_channel *ch)
{
	return takes_messages(ch);
}

/* Frames that wait in `in` are handled when reading goes on: without new bytes nothing
 * else would wake us. */
void
ipc_channel_pause(struct ipc_channel *ch, bool on)
{
	ch->is_paused = on;
	if (!on && ch->in.n > 0 && !ch->is_closed) {
		ch->has_rest = true;
		loop_soon(ch->loop, &ch->task);
	}
	want(ch);
}
