/* The command line of workers; see boot.h. */
#include "agent/boot.h"
#include <limits.h>
#include "base/arena.h"
#include "base/buf.h"

enum rc
boot_format(const struct boot *b, struct buf *out)
{
	enum rc rc = buf_printf(out,
	    "instance=%u n=%u at=%u control=%d conf=%d log=%d listen=", b->instance,
	    b->n_workers, b->worker_at, b->control_fd, b->conf_fd, b->log_fd);

	for (size_t i = 0; i < b->n_listen && rc == RC_OK; i++) {
		const struct boot_listen *l = &b->listen[i];

		if (l->service == BOOT_ADMIN)
			rc = buf_printf(out, "%sadmin:%d", i > 0 ? "," : "", l->fd);
		else
			rc = buf_printf(
			    out, "%s%u:%d", i > 0 ? "," : "", l->service, l->fd);
	}
	return rc;
}

static enum rc
parse_fd(struct str s, int *out)
{
	uint64_t v;

	if (str_is(s, "-1")) {
		*out = -1;
		return RC_OK;
	}
	if (str_u64(s, INT_MAX, &v) != RC_OK)
		return RC_PERM;
	*out = (int)v;
	return RC_OK;
}

static enum rc
parse_u32(struct str s, uint32_t *out)
{
	uint64_t v;

	if (str_u64(s, UINT32_MAX - 1, &v) != RC_OK)
		return RC_PERM;
	*out = (uint32_t)v;
	return RC_OK;
}

static enum rc
parse_listen(struct str s, struct arena *mem, struct boot *b)
{
	struct boot_listen *v = arena_array(mem, BOOT_LISTEN_MAX, sizeof(*v));
	struct str item, who, fd;

	if (v == NULL)
		return RC_TEMP;
	while (str_token(&s, ",", &item)) {
		struct boot_listen *l = &v[b->n_listen];

		if (b->n_listen == BOOT_LISTEN_MAX || !str_cut(item, ':', &who, &fd))
			return RC_PERM;
		if (str_is(who, "admin"))
			l->service = BOOT_ADMIN;
		else if (parse_u32(who, &l->service) != RC_OK)
			return RC_PERM;
		if (parse_fd(fd, &l->fd) != RC_OK || l->fd < 0)
			return RC_PERM;
		b->n_listen++;
	}
	b->listen = v;
	return RC_OK;
}

static enum rc
parse_item(struct str name, struct str value, struct arena *mem, struct boot *b)
{
	if (str_is(name, "instance"))
		return parse_u32(value, &b->instance);
	if (str_is(name, "n"))
		return parse_u32(value, &b->n_workers);
	if (str_is(name, "at"))
		return parse_u32(value, &b->worker_at);
	if (str_is(name, "control"))
		return parse_fd(value, &b->control_fd);
	if (str_is(name, "conf"))
		return parse_fd(value, &b->conf_fd);
	if (str_is(name, "log"))
		return parse_fd(value, &b->log_fd);
	if (str_is(name, "listen"))
		return parse_listen(value, mem, b);
	return RC_PERM;
}

enum rc
boot_parse(struct str text, struct arena *mem, struct boot *out)
{
	struct boot b = { .control_fd = -1, .conf_fd = -1, .log_fd = -1 };
	struct str item, name, value;

	while (str_token(&text, " ", &item)) {
		enum rc rc = RC_PERM;

		if (str_cut(item, '=', &name, &value))
			rc = parse_item(name, value, mem, &b);
		if (rc != RC_OK)
			return rc;
	}
	if (b.control_fd < 0 || b.conf_fd < 0 || b.n_workers == 0 ||
	    b.worker_at >= b.n_workers)
		return RC_PERM;
	*out = b;
	return RC_OK;
}
