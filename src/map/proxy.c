/* proxy: as commands use it: the running service looks the key up, when proxy_read_maps
 * (proxy_write_maps) lists the table. One question at a time, waited for. */
#include "map/proxy.h"
#include "base/arena.h"
#include "conf/snapshot.h"
#include "ipc/channel.h"
#include "loop/loop.h"
#include "map/map_int.h"
#include "os/sock.h"
#include <stdlib.h>
#include <string.h>

#define SCRATCH_MAX ((size_t)4 << 20)

struct proxy {
	struct loop *loop;
	struct ipc_channel *ch;
	struct arena *scratch;
	char *table;   /* without proxy: */
	char *service; /* for messages: "proxymap" */
	int64_t timeout_us;
	uint32_t request;
	bool is_answered, is_lost;
	/* the answer */
	enum rc rc;
	struct arena *mem;
	struct str value;
};

bool
map_spec_is_known(struct str spec)
{
	struct str type, name;

	return str_cut(spec, ':', &type, &name) && map_type_find(type) != NULL;
}

bool
map_spec_is_remote(struct str spec)
{
	return map_traits_of(spec).is_remote;
}

bool
map_is_open(const struct map *m)
{
	return m->is_open;
}

/* ---- the answer ---- */

static void
on_found(void *arg, const struct wire_found *m)
{
	struct proxy *p = arg;

	if (m->request != p->request || p->is_answered)
		return;
	p->is_answered = true;
	p->rc = m->rc <= RC_PERM ? (enum rc)m->rc : RC_TEMP;
	p->value = arena_str(p->mem, m->value);
	if (p->value.p == NULL)
		p->rc = RC_TEMP;
}

static void
on_close(void *arg, const char *why)
{
	(void)why;
	((struct proxy *)arg)->is_lost = true;
}

static const struct ipc_handlers handlers = { .on_found = on_found };

static enum rc
wait_for_answer(struct proxy *p, struct err *e)
{
	int64_t end = loop_now_us(p->loop) + p->timeout_us;

	while (!p->is_answered && !p->is_lost) {
		int64_t left = end - loop_now_us(p->loop);

		if (left <= 0)
			return err_set(e, RC_TEMP, "%s service: timeout", p->service);
		loop_round(p->loop, left);
	}
	if (!p->is_answered)
		return err_set(e, RC_TEMP, "%s service: connection lost", p->service);
	if (p->rc == RC_OK || p->rc == RC_NONE)
		return p->rc;
	return err_set(e, p->rc == RC_PERM ? RC_PERM : RC_TEMP, "%.*s",
	    STR_ARG(str_head(p->value, 200)));
}

static void
begin(struct proxy *p, struct arena *mem)
{
	p->request++;
	p->is_answered = false;
	p->mem = mem;
	/* The clock of the round before may be old. */
	loop_round(p->loop, 0);
}

/* ---- the table ---- */

static void
proxy_close(void *state)
{
	struct proxy *p = state;

	ipc_channel_free(&p->ch);
	if (p->loop != NULL)
		loop_free(&p->loop);
	arena_free(&p->scratch);
	free(p->table);
	free(p->service);
	free(p);
}

static enum rc
ask(struct proxy *p, struct str key, unsigned flags, struct arena *mem, struct err *e)
{
	begin(p, mem);
	ipc_send_find(p->ch, &(struct wire_find){ .request = p->request,
				 .table = str_c(p->table),
				 .key = key,
				 .flags = flags });
	return wait_for_answer(p, e);
}

static enum rc
connect_to(const struct map_how *how, struct proxy *p, struct err *e)
{
	const char *parameter =
	    how->for_writing ? "proxywrite_service_name" : "proxymap_service_name";
	struct ipc_channel_conf conf = { .me = WIRE_COMMAND,
		.peer = WIRE_LOOKUP,
		.on = &handlers,
		.on_close = on_close,
		.arg = p };
	struct conf_common common;
	struct str folder, service;
	char *path;
	enum rc rc = conf_get(
	    how->env->snapshot, NULL, STR("queue_directory"), p->scratch, &folder, e);
	int fd;

	if (rc == RC_OK)
		rc = conf_get(
		    how->env->snapshot, NULL, str_c(parameter), p->scratch, &service, e);
	if (rc == RC_OK)
		rc = conf_fill_common(how->env->snapshot, NULL, p->scratch, &common, e);
	if (rc != RC_OK)
		return err_in(e, RC_TEMP, "proxy table");
	p->timeout_us = common.ipc_timeout_us;
	p->service = mem_strdup(arena_cstr(p->scratch, service));
	path = arena_cstr(p->scratch,
	    arena_printf(p->scratch, "%.*s/private/%s", STR_ARG(folder), p->service));
	rc = os_sock_connect_unix(path, &fd, e);
	if (rc != RC_OK)
		return err_set(e, RC_TEMP, "connect to subsystem %s: %s", path,
		    strerror(e->sys)); /* compat */
	p->loop = loop_new();
	p->ch = ipc_channel_new(p->loop, fd, &conf);
	return RC_OK;
}

static enum rc
proxy_open(const struct map_how *how, void **out, struct err *e)
{
	struct proxy *p;
	struct str name = how->name;
	struct err why = { 0 };
	enum rc rc;

	if (e == NULL)
		e = &why;
	if (how->env->snapshot == NULL)
		return err_set(e, RC_TEMP, "proxy table without a configuration");
	while (str_starts(name, STR("proxy:")))
		name = str_from(name, 6);
	p = mem_get(sizeof(*p));
	p->scratch = arena_new(SCRATCH_MAX);
	p->table = mem_get(name.n + 1);
	memcpy(p->table, name.p, name.n);
	rc = connect_to(how, p, e);
	/* An empty key is never found: this asks whether the table is listed. */
	if (rc == RC_OK)
		rc = ask(p, STR(""), 0, p->scratch, e);
	if (rc != RC_OK && rc != RC_NONE) {
		proxy_close(p);
		return rc;
	}
	*out = p;
	return RC_OK;
}

static enum rc
proxy_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct proxy *p = state;
	struct err why = { 0 };
	enum rc rc = ask(p, key, flags, mem, e != NULL ? e : &why);

	if (rc == RC_OK)
		*out = p->value;
	return rc;
}

static enum rc
proxy_put(void *state, struct str key, struct str value, struct err *e)
{
	struct proxy *p = state;

	arena_reset(p->scratch);
	begin(p, p->scratch);
	ipc_send_table_put(p->ch, &(struct wire_table_put){ .request = p->request,
				      .table = str_c(p->table),
				      .key = key,
				      .value = value });
	return wait_for_answer(p, e);
}

static enum rc
proxy_del(void *state, struct str key, struct err *e)
{
	struct proxy *p = state;

	arena_reset(p->scratch);
	begin(p, p->scratch);
	ipc_send_table_delete(
	    p->ch, &(struct wire_table_delete){
		       .request = p->request, .table = str_c(p->table), .key = key });
	return wait_for_answer(p, e);
}

static enum rc
proxy_each(void *state, map_each_fn *fn, void *ctx, struct err *e)
{
	(void)state;
	(void)fn;
	(void)ctx;
	return err_set(
	    e, RC_PERM, "can't sequence maps via the proxy service"); /* compat */
}

const struct map_type map_type_proxy = {
	.name = "proxy",
	.traits = { .is_fixed = true, .is_remote = true },
	.open = proxy_open,
	.close = proxy_close,
	.find = proxy_find,
	.each = proxy_each,
	.put = proxy_put,
	.del = proxy_del,
};
