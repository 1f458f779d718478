/* One file of the maildrop on its way to queue. It is removed when queue has the message
 * on stable storage; until then it stays, and a crash means that it is submitted again.
 *
 * The content is hostile: a local user wrote it. What is not valid, and what can never be
 * accepted, is moved to corrupt/ for the administrator; what is refused for its content
 * (checks, size, hops) goes back to its sender through the queue. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/log_address.h"
#include "agent/maildrop.h"
#include "agent/submit.h"
#include "base/arena.h"
#include "dsn/notice.h"
#include "log/log.h"
#include "os/fd.h"
#include "prog/pickup/pickup.h"

enum {
	READ_SIZE = 64 << 10,
	FORGOTTEN_S = 86400, /* a file that was never completed: its postdrop is gone */
};

struct item {
	struct list node;
	struct pickup *p;
	char name[NAME_SIZE];
	int fd;
	uid_t uid;
	struct maildrop_reader reader;
	struct buf in;
	struct arena *mem; /* the envelope */
	struct ingest *ingest;
	struct ingest_client client;
	struct ingest_envelope env;
	struct ingest_rcpt *rcpts;
	size_t rcpts_cap;
	uint8_t notify;
	struct str orcpt; /* of the recipient that comes next */
	bool is_gateway, is_eof, is_submitted;
};

static void
path_of(const struct item *it, const char *folder, char out[NAME_SIZE + 16])
{
	(void)snprintf(out, NAME_SIZE + 16, "%s/%s", folder, it->name);
}

/* Lets everything go but the name. */
static void
empty(struct item *it)
{
	ingest_free(&it->ingest);
	os_fd_close(&it->fd);
	buf_fini(&it->in);
	arena_free(&it->mem);
	free(it->rcpts);
	it->rcpts = NULL;
}

static void
end(struct item *it)
{
	struct pickup *p = it->p;

	empty(it);
	list_remove(&it->node);
	free(it);
	p->n_open--;
	scan_item_ended(p);
}

static void
set_aside(struct item *it, const char *why)
{
	char from[NAME_SIZE + 16], to[NAME_SIZE + 16];

	path_of(it, "maildrop", from);
	path_of(it, "corrupt", to);
	if (rename(from, to) == 0)
		log_warn(it->p->log, "%s: %s: saved as %s", from, why, to);
	else
		log_warn(it->p->log, "%s: %s: cannot save it as %s: %s", from, why, to,
		    strerror(errno));
	end(it);
}

/* Submitted: it must not be submitted again, so it stays known until it is gone. */
static void
remove_file(struct item *it)
{
	char path[NAME_SIZE + 16];

	path_of(it, "maildrop", path);
	if (unlink(path) == 0 || errno == ENOENT) {
		if (!it->is_submitted) {
			end(it);
		} else {
			list_remove(&it->node);
			free(it);
		}
		return;
	}
	log_error(it->p->log, "remove %s: %s", path, strerror(errno));
	if (it->is_submitted)
		return;
	it->is_submitted = true;
	empty(it);
	it->p->n_open--;
	scan_item_ended(it->p);
}

void
items_remove_done(struct pickup *p)
{
	LIST_EACH_SAFE (l, tmp, &p->items) {
		struct item *it = CONTAINER_OF(l, struct item, node);

		if (it->is_submitted)
			remove_file(it);
	}
}

bool
item_is_known(const struct pickup *p, const char *name)
{
	LIST_EACH (l, &p->items)
		if (strcmp(CONTAINER_OF(l, struct item, node)->name, name) == 0)
			return true;
	return false;
}

/* ---- the envelope ---- */

static bool
add_rcpt(struct item *it, struct str address)
{
	struct ingest_rcpt *r;

	if (it->env.n_rcpts == it->rcpts_cap) {
		it->rcpts_cap = it->rcpts_cap == 0 ? 4 : 2 * it->rcpts_cap;
		it->rcpts = mem_grow(it->rcpts, it->rcpts_cap, sizeof(*it->rcpts));
	}
	r = &it->rcpts[it->env.n_rcpts];
	*r = (struct ingest_rcpt){ .address = arena_str(it->mem, address),
		.orcpt = it->orcpt,
		.notify = it->notify };
	it->orcpt = STR("");
	if (r->address.p == NULL)
		return false;
	it->env.n_rcpts++;
	return true;
}

static bool
keep(struct item *it, struct str *to, struct str text)
{
	*to = arena_str(it->mem, text);
	return to->p != NULL;
}

/* False: memory limit. */
static bool
take_head(struct item *it, const struct maildrop_record *r)
{
	uint64_t number = 0;

	switch (r->type) {
	case 'S':
		return keep(it, &it->env.sender, r->text);
	case 'F':
		return keep(it, &it->client.full_name, r->text);
	case 'E':
		return keep(it, &it->env.envid, r->text);
	case 'T':
		it->env.ret = str_iis(r->text, "hdrs") ? DSN_RET_HDRS : DSN_RET_FULL;
		return true;
	case 'B':
		it->env.body_8bit = str_iis(r->text, "8BITMIME");
		it->env.body_7bit = str_iis(r->text, "7BIT");
		return true;
	case 'G':
		it->is_gateway = true;
		return true;
	case 'P':
		return keep(it, &it->env.verp, r->text);
	case 'M':
		it->env.is_verify_only = str_is(r->text, "verify");
		it->env.is_report = str_is(r->text, "report");
		return true;
	case 'U':
		it->env.smtputf8 = true;
		it->client.is_smtputf8 = true;
		return true;
	case 'O':
		return keep(it, &it->orcpt, r->text);
	case 'N':
		(void)!str_u64(r->text, 15, &number); /* the reader has checked it */
		it->notify = (uint8_t)number;
		return true;
	case 'R':
		return add_rcpt(it, r->text);
	default:
		return true; /* V */
	}
}

/* ---- the content ---- */

static void run(void *arg);

static void
on_done(void *arg, enum rc rc, struct str text)
{
	struct item *it = arg;
	char why[256];

	if (rc == RC_OK) {
		remove_file(it);
	} else if (rc == RC_PERM) {
		(void)snprintf(why, sizeof(why), "message rejected: %.*s", STR_ARG(text));
		set_aside(it, why);
	} else {
		log_warn(it->p->log, "%s: message not accepted now: %.*s",
		    ingest_qid(it->ingest).p, STR_ARG(text));
		end(it);
	}
}

static void
commit(struct item *it)
{
	it->env.filter = it->p->conf.content_filter;
	ingest_commit(it->ingest, &it->env, on_done, it);
}

static enum rc
begin(struct item *it)
{
	struct pickup *p = it->p;
	struct err e = { 0 };
	enum rc rc = ingest_new(p->submit, p->w->loop, &p->ingest, &it->ingest, &e);

	if (rc != RC_OK)
		return rc;
	log_begin(p->log, LOG_LEVEL_INFO); /* compat */
	log_putf(p->log, "%s: uid=%ld", ingest_qid(it->ingest).p, (long)it->uid);
	log_put_address(p->log, " from=<", it->env.sender);
	log_put(p->log, STR(">"));
	log_end(p->log);
	it->client.origin = STR("pickup");
	it->client.via = MIME_VIA_LOCAL;
	it->client.uid = it->uid;
	it->client.is_local = !it->is_gateway;
	it->client.sender = it->env.sender;
	it->client.is_returned = true;
	if (it->env.n_rcpts > 0)
		it->client.recipient = it->rcpts[it->env.n_rcpts - 1].address;
	ingest_begin(it->ingest, &it->client, STR(""));
	it->env.rcpts = it->rcpts;
	ingest_envelope(it->ingest, &it->env);
	ingest_on_room(it->ingest, run, it);
	return RC_OK;
}

static bool
fill(struct item *it)
{
	char *room = buf_room(&it->in, READ_SIZE);
	ssize_t n;

	if (room == NULL)
		return false;
	do
		n = read(it->fd, room, READ_SIZE);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	buf_added(&it->in, (size_t)n);
	it->is_eof = n == 0;
	return true;
}

/* Takes records until the file is over, or the stage file lets us wait. */
static void
run(void *arg)
{
	struct item *it = arg;
	struct err e = { 0 };

	for (;;) {
		struct maildrop_record r = { 0 };
		struct str in = buf_view(&it->in);
		enum rc rc = maildrop_next(&it->reader, &in, &r, &e), fed = RC_OK;

		if (rc == RC_PERM || (rc == RC_MORE && it->is_eof)) {
			set_aside(it, rc == RC_PERM ? e.text : "not complete");
			return;
		}
		if (rc == RC_MORE) {
			if (!fill(it)) {
				log_warn(it->p->log, "read maildrop/%s: %s", it->name,
				    strerror(errno));
				end(it);
				return;
			}
			continue;
		}
		if ((r.type == 'L' || r.type == 'X') && it->ingest == NULL &&
		    begin(it) != RC_OK) {
			end(it);
			return;
		}
		if (r.type == 'L')
			fed = ingest_content(it->ingest, r.text, NULL);
		else if (!take_head(it, &r)) {
			set_aside(it, "envelope too large");
			return;
		}
		buf_consume(&it->in, it->in.n - in.n);
		if (rc == RC_NONE || fed == RC_PERM || fed == RC_TEMP) {
			commit(it);
			return;
		}
		if (fed == RC_MORE)
			return;
	}
}

/* ---- opening ---- */

static void
remove_forgotten(const struct item *it, const char *path, const struct stat *st)
{
	int64_t now_s = loop_wall_us(it->p->w->loop) / US_PER_SEC;

	if (S_ISREG(st->st_mode) && (st->st_mode & S_IXUSR) == 0 &&
	    now_s - st->st_mtime > FORGOTTEN_S)
		(void)unlink(path);
}

static bool
is_ready(struct item *it)
{
	char path[NAME_SIZE + 16];
	struct stat st;

	path_of(it, "maildrop", path);
	/* Neither a link nor a pipe may make us wait or read elsewhere. */
	it->fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (it->fd < 0) {
		/* A file that is being written is its writer's alone, and so is one that
		 * nobody writes any more: a postdrop that was killed left it. */
		if (errno != ENOENT && errno != EACCES)
			log_warn(it->p->log, "open %s: %s", path, strerror(errno));
		else if (lstat(path, &st) == 0)
			remove_forgotten(it, path, &st);
		return false;
	}
	if (fstat(it->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		log_warn(it->p->log, "%s: uid %ld: not a regular file with one link",
		    path, (long)st.st_uid);
		return false;
	}
	if ((st.st_mode & S_IXUSR) == 0) {
		remove_forgotten(it, path, &st);
		return false;
	}
	it->uid = st.st_uid;
	return true;
}

void
item_start(struct pickup *p, const char *name)
{
	struct item *it = mem_get(sizeof(*it));

	it->p = p;
	it->fd = -1;
	(void)snprintf(it->name, sizeof(it->name), "%s", name);
	if (!is_ready(it)) {
		os_fd_close(&it->fd);
		free(it);
		return;
	}
	it->mem = arena_new((size_t)64 << 20);
	buf_init(&it->in, MAILDROP_RECORD_MAX + READ_SIZE);
	list_init(&it->node);
	list_add_tail(&p->items, &it->node);
	p->n_open++;
	run(it);
}
