/* The simulated disk: inodes, names, and the list of all that happened to them. */
#include "disk.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR    512u
#define FILES_MAX 4096
#define FDS_MAX   256
#define NAME_LEN  112

enum event_kind { EV_WRITE, EV_SYNC, EV_SYNC_FAILED, EV_LINK, EV_UNLINK, EV_SYNC_DIR };

struct event {
	enum event_kind kind;
	int inode; /* WRITE, SYNC; LINK: what the name is given to */
	int dir;
	int64_t at;
	char *bytes;
	size_t n;
	char name[NAME_LEN];
};

struct inode {
	char *bytes;
	int64_t size;
};

struct link {
	int dir, inode;
	char name[NAME_LEN];
};

/* Files and names at one moment. */
struct view {
	struct inode *inodes;
	int n_inodes;
	struct link *links;
	int n_links;
};

struct disk {
	struct os_files files;
	struct view now, begin;
	struct event *events;
	size_t n, cap;
	int fds[FDS_MAX]; /* inode + 1; 0 free; negative: directory */
	struct {
		unsigned after;
		int error;
	} faults[N_FAULTS];
	bool is_read_only;
};

#define DIR_TOP 1 /* "stage" is 2, "corrupt" 3: made at once and durable */

uint64_t
crash_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* ---- views ---- */

static void
view_copy(struct view *to, const struct view *from)
{
	*to = *from;
	to->inodes = mem_array((size_t)from->n_inodes + 1, sizeof(*to->inodes));
	to->links = mem_array((size_t)from->n_links + 1, sizeof(*to->links));
	for (int i = 0; i < from->n_inodes; i++) {
		to->inodes[i] = from->inodes[i];
		to->inodes[i].bytes = mem_get((size_t)from->inodes[i].size + 1);
		memcpy(to->inodes[i].bytes, from->inodes[i].bytes,
		    (size_t)from->inodes[i].size);
	}
	for (int i = 0; i < from->n_links; i++)
		to->links[i] = from->links[i];
}

static void
view_fini(struct view *v)
{
	for (int i = 0; i < v->n_inodes; i++)
		free(v->inodes[i].bytes);
	free(v->inodes);
	free(v->links);
}

static void
view_inode(struct view *v, int inode)
{
	while (v->n_inodes <= inode) {
		v->inodes =
		    mem_grow(v->inodes, (size_t)v->n_inodes + 1, sizeof(*v->inodes));
		v->inodes[v->n_inodes++] = (struct inode){ .bytes = mem_get(1) };
	}
}

static void
view_write(struct view *v, int inode, int64_t at, struct str s)
{
	struct inode *f;

	view_inode(v, inode);
	f = &v->inodes[inode];
	if (at + (int64_t)s.n > f->size) {
		f->bytes = mem_grow(f->bytes, (size_t)at + s.n + 1, 1);
		memset(f->bytes + f->size, 0, (size_t)(at + (int64_t)s.n - f->size));
		f->size = at + (int64_t)s.n;
	}
	memcpy(f->bytes + at, s.p, s.n);
}

static struct link *
view_find(const struct view *v, int dir, const char *name)
{
	for (int i = 0; i < v->n_links; i++)
		if (v->links[i].dir == dir && strcmp(v->links[i].name, name) == 0)
			return &v->links[i];
	return NULL;
}

static void
view_link(struct view *v, int dir, const char *name, int inode)
{
	struct link *l = view_find(v, dir, name);

	view_inode(v, inode);
	if (l == NULL) {
		v->links = mem_grow(v->links, (size_t)v->n_links + 1, sizeof(*v->links));
		l = &v->links[v->n_links++];
	}
	*l = (struct link){ .dir = dir, .inode = inode };
	(void)snprintf(l->name, sizeof(l->name), "%s", name);
}

static void
view_unlink(struct view *v, int dir, const char *name)
{
	struct link *l = view_find(v, dir, name);

	if (l != NULL)
		*l = v->links[--v->n_links];
}

static void
view_apply_name(struct view *v, const struct event *e)
{
	if (e->kind == EV_LINK)
		view_link(v, e->dir, e->name, e->inode);
	else
		view_unlink(v, e->dir, e->name);
}

/* ---- events ---- */

static struct event *
record(struct disk *d, enum event_kind kind)
{
	if (d->n == d->cap) {
		d->cap = d->cap == 0 ? 256 : d->cap * 2;
		d->events = mem_grow(d->events, d->cap, sizeof(*d->events));
	}
	d->events[d->n] = (struct event){ .kind = kind };
	return &d->events[d->n++];
}

static void
record_name(struct disk *d, enum event_kind kind, int dir, const char *name, int inode)
{
	struct event *e = record(d, kind);

	e->dir = dir;
	e->inode = inode;
	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	view_apply_name(&d->now, e);
}

size_t
disk_now(const struct disk *d)
{
	return d->n;
}

static int
fault(struct disk *d, enum disk_fault what)
{
	int error = d->faults[what].error;

	if (d->is_read_only)
		return -EROFS;
	if (error == 0 || d->faults[what].after-- > 0)
		return 0;
	d->faults[what].error = 0;
	return -error;
}

void
disk_fail(struct disk *d, enum disk_fault what, unsigned after, int error)
{
	d->faults[what].after = after;
	d->faults[what].error = error;
}

void
disk_read_only(struct disk *d)
{
	d->is_read_only = true;
}

/* ---- the table ---- */

static int
new_fd(struct disk *d, int what)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (d->fds[fd] == 0) {
			d->fds[fd] = what;
			return fd;
		}
	return -EMFILE;
}

static int
inode_of(const struct disk *d, int fd)
{
	assert(fd >= 0 && fd < FDS_MAX && d->fds[fd] > 0);
	return d->fds[fd] - 1;
}

static int
dir_of(const struct disk *d, int fd)
{
	assert(fd >= 0 && fd < FDS_MAX && d->fds[fd] < 0);
	return -d->fds[fd];
}

static int
dir_id(const char *name)
{
	return strcmp(name, "stage") == 0     ? 2
	       : strcmp(name, "corrupt") == 0 ? 3
					      : DIR_TOP;
}

static int
d_open(void *ctx, int dir_fd, const char *name, unsigned how)
{
	struct disk *d = ctx;
	const struct link *l;
	int dir, r;

	if (how & OS_OPEN_DIR)
		return new_fd(d, -dir_id(name));
	dir = dir_of(d, dir_fd);
	l = view_find(&d->now, dir, name);
	if (l != NULL && (how & OS_OPEN_NEW))
		return -EEXIST;
	if (d->is_read_only && (how & OS_OPEN_WRITE))
		return -EROFS;
	if (l != NULL)
		return new_fd(d, l->inode + 1);
	if ((how & (OS_OPEN_NEW | OS_OPEN_CREATE)) == 0)
		return -ENOENT;
	r = fault(d, FAULT_CREATE);
	if (r != 0)
		return r;
	r = d->now.n_inodes;
	record_name(d, EV_LINK, dir, name, r);
	return new_fd(d, r + 1);
}

static int
d_close(void *ctx, int fd)
{
	struct disk *d = ctx;

	assert(fd >= 0 && fd < FDS_MAX && d->fds[fd] != 0);
	d->fds[fd] = 0;
	return 0;
}

static int64_t
d_pread(void *ctx, int fd, void *to, size_t n, int64_t at)
{
	struct disk *d = ctx;
	const struct inode *f = &d->now.inodes[inode_of(d, fd)];

	if (at >= f->size)
		return 0;
	if ((int64_t)n > f->size - at)
		n = (size_t)(f->size - at);
	memcpy(to, f->bytes + at, n);
	return (int64_t)n;
}

static int64_t
d_pwrite(void *ctx, int fd, struct str s, int64_t at)
{
	struct disk *d = ctx;
	int inode = inode_of(d, fd), r = fault(d, FAULT_WRITE);
	struct event *e;

	if (r != 0)
		return r;
	e = record(d, EV_WRITE);
	e->inode = inode;
	e->at = at;
	e->n = s.n;
	e->bytes = mem_get(s.n + 1);
	memcpy(e->bytes, s.p, s.n);
	view_write(&d->now, inode, at, s);
	return (int64_t)s.n;
}

static int
d_zero(void *ctx, int fd, int64_t at, int64_t n)
{
	char *zeros = mem_get((size_t)n + 1);
	int64_t r = d_pwrite(ctx, fd, str_n(zeros, (size_t)n), at);

	free(zeros);
	return r < 0 ? (int)r : 0;
}

static int64_t
d_size(void *ctx, int fd)
{
	struct disk *d = ctx;

	return d->now.inodes[inode_of(d, fd)].size;
}

static int
d_truncate(void *ctx, int fd, int64_t size)
{
	(void)ctx;
	(void)fd;
	(void)size;
	return -EINVAL; /* the spool does not */
}

static int
d_sync_data(void *ctx, int fd)
{
	struct disk *d = ctx;
	int r = d->is_read_only ? 0 : fault(d, FAULT_SYNC);

	record(d, r == 0 ? EV_SYNC : EV_SYNC_FAILED)->inode = inode_of(d, fd);
	return r;
}

/* What was begun may be there or not, like everything that is not synced. */
static int
d_sync_start(void *ctx, int fd)
{
	const struct disk *d = ctx;

	(void)inode_of(d, fd);
	return d->is_read_only ? -EROFS : 0;
}

static int
d_sync_dir(void *ctx, int dir)
{
	struct disk *d = ctx;

	record(d, EV_SYNC_DIR)->dir = dir_of(d, dir);
	return 0;
}

static int
d_lock(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return 0;
}

static int
d_make_dir(void *ctx, int dir, const char *name)
{
	const struct disk *d = ctx;

	(void)dir;
	(void)name;
	return d->is_read_only ? -EROFS : -EEXIST;
}

static int
d_rename(void *ctx, int dir_fd, const char *from, const char *to)
{
	struct disk *d = ctx;
	int dir = dir_of(d, dir_fd);
	const struct link *l = view_find(&d->now, dir, from);
	int inode;

	if (l == NULL)
		return -ENOENT;
	inode = l->inode;
	record_name(d, EV_UNLINK, dir, from, 0);
	record_name(d, EV_LINK, dir, to, inode);
	return 0;
}

static int
d_unlink(void *ctx, int dir_fd, const char *name)
{
	struct disk *d = ctx;
	int dir = dir_of(d, dir_fd);

	if (d->is_read_only)
		return -EROFS;
	if (view_find(&d->now, dir, name) == NULL)
		return -ENOENT;
	record_name(d, EV_UNLINK, dir, name, 0);
	return 0;
}

static int
d_list(void *ctx, int dir_fd, os_list_fn *fn, void *arg)
{
	struct disk *d = ctx;
	struct view copy;

	view_copy(&copy, &d->now);
	for (int i = 0; i < copy.n_links; i++)
		if (copy.links[i].dir == dir_of(d, dir_fd))
			fn(arg, copy.links[i].name);
	view_fini(&copy);
	return 0;
}

static int
d_space(void *ctx, int dir, struct os_space *out)
{
	(void)ctx;
	(void)dir;
	*out = (struct os_space){ .free_bytes = 1 << 30, .total_bytes = 1 << 30 };
	return 0;
}

struct disk *
disk_new(void)
{
	struct disk *d = mem_get(sizeof(*d));

	d->files = (struct os_files){ .ctx = d,
		.open = d_open,
		.close = d_close,
		.pread = d_pread,
		.pwrite = d_pwrite,
		.zero = d_zero,
		.size = d_size,
		.truncate = d_truncate,
		.sync_data = d_sync_data,
		.sync_start = d_sync_start,
		.sync_dir = d_sync_dir,
		.lock = d_lock,
		.make_dir = d_make_dir,
		.rename = d_rename,
		.unlink = d_unlink,
		.list = d_list,
		.space = d_space };
	return d;
}

void
disk_free(struct disk **dp)
{
	struct disk *d = *dp;

	for (size_t i = 0; i < d->n; i++)
		free(d->events[i].bytes);
	free(d->events);
	view_fini(&d->now);
	view_fini(&d->begin);
	free(d);
	*dp = NULL;
}

const struct os_files *
disk_files(struct disk *d)
{
	return &d->files;
}

bool
disk_flip(struct disk *d, uint64_t seed)
{
	int candidates[FILES_MAX], n = 0;
	struct inode *f;
	uint64_t bit;

	for (int i = 0; i < d->now.n_links && n < FILES_MAX; i++)
		if (d->now.links[i].dir == DIR_TOP &&
		    d->now.inodes[d->now.links[i].inode].size > 0)
			candidates[n++] = d->now.links[i].inode;
	if (n == 0)
		return false;
	f = &d->now.inodes[candidates[crash_random(&seed) % (uint64_t)n]];
	/* Every other one hits a header. */
	bit = crash_random(&seed) % 2 == 0 ? (uint64_t)f->size : (uint64_t)8192;
	bit = crash_random(&seed) % (bit * 8);
	if (bit / 8 >= (uint64_t)f->size)
		return false;
	f->bytes[bit / 8] = (char)(f->bytes[bit / 8] ^ (1 << (bit % 8)));
	return true;
}

bool
disk_flip_at(struct disk *d, const char *name, int64_t byte)
{
	const struct link *l = view_find(&d->now, DIR_TOP, name);

	if (l == NULL || byte >= d->now.inodes[l->inode].size)
		return false;
	d->now.inodes[l->inode].bytes[byte] ^= 16;
	return true;
}

struct disk *
disk_copy(const struct disk *d)
{
	struct disk *copy = disk_new();

	view_copy(&copy->now, &d->now);
	view_copy(&copy->begin, &d->now);
	return copy;
}

/* ---- walking ---- */

struct crash_walk {
	const struct disk *d;
	size_t at;        /* events before this one are in `sure` or `open` */
	struct view sure; /* what is durable */
	size_t *open;     /* events that are not, oldest first */
	size_t n_open, cap;
	bool *is_limbo; /* by event: its sync failed */
};

struct crash_walk *
crash_walk_new(const struct disk *d)
{
	struct crash_walk *w = mem_get(sizeof(*w));

	w->d = d;
	view_copy(&w->sure, &d->begin);
	w->is_limbo = mem_array(d->n + 1, sizeof(*w->is_limbo));
	w->open = mem_array(d->n + 1, sizeof(*w->open));
	return w;
}

void
crash_walk_free(struct crash_walk **wp)
{
	view_fini(&(*wp)->sure);
	free((*wp)->open);
	free((*wp)->is_limbo);
	free(*wp);
	*wp = NULL;
}

static bool
is_name(const struct event *e)
{
	return e->kind == EV_LINK || e->kind == EV_UNLINK;
}

/* `sync` makes those open events durable that it concerns. */
static void
settle(struct crash_walk *w, const struct event *sync)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n_open; i++) {
		size_t at = w->open[i];
		const struct event *e = &w->d->events[at];
		bool mine = is_name(e)
				? sync->kind == EV_SYNC_DIR && sync->dir == e->dir
				: sync->kind != EV_SYNC_DIR && sync->inode == e->inode;

		if (mine && sync->kind == EV_SYNC_FAILED)
			w->is_limbo[at] = true;
		if (!mine || w->is_limbo[at]) {
			w->open[kept++] = at;
			continue;
		}
		if (is_name(e))
			view_apply_name(&w->sure, e);
		else
			view_write(&w->sure, e->inode, e->at, str_n(e->bytes, e->n));
	}
	w->n_open = kept;
}

static void
advance(struct crash_walk *w, size_t at)
{
	assert(at >= w->at && at <= w->d->n);
	for (; w->at < at; w->at++) {
		const struct event *e = &w->d->events[w->at];

		if (e->kind == EV_WRITE || is_name(e))
			w->open[w->n_open++] = w->at;
		else
			settle(w, e);
	}
}

bool
crash_walk_is_clean(struct crash_walk *w, size_t at)
{
	advance(w, at);
	return w->n_open == 0;
}

static bool
survives(enum crash_mode mode, uint64_t *random)
{
	switch (mode) {
	case CRASH_ALL:
		return true;
	case CRASH_NOTHING:
		return false;
	case CRASH_FEW:
		return crash_random(random) % 8 == 0;
	case CRASH_MOST:
		return crash_random(random) % 8 != 0;
	case CRASH_SOME:
	case CRASH_WHOLE_WRITES:
		return crash_random(random) % 2 == 0;
	case N_CRASH_MODES:
		break;
	}
	return false;
}

static void
write_some(struct view *v, const struct event *e, enum crash_mode mode, uint64_t *random)
{
	for (size_t done = 0, n; done < e->n; done += n) {
		n = SECTOR - (size_t)((e->at + (int64_t)done) % SECTOR);
		n = n < e->n - done ? n : e->n - done;
		if (mode == CRASH_WHOLE_WRITES)
			n = e->n;
		if (survives(mode, random))
			view_write(v, e->inode, e->at + (int64_t)done,
			    str_n(e->bytes + done, n));
	}
}

struct disk *
crash_walk_image(struct crash_walk *w, size_t at, enum crash_mode mode, uint64_t seed)
{
	struct disk *d = disk_new();

	advance(w, at);
	view_copy(&d->now, &w->sure);
	for (size_t i = 0; i < w->n_open; i++) {
		const struct event *e = &w->d->events[w->open[i]];

		if (!is_name(e))
			write_some(&d->now, e, mode, &seed);
		else if (survives(mode, &seed))
			view_apply_name(&d->now, e);
	}
	view_copy(&d->begin, &d->now);
	return d;
}
