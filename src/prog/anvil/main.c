/* anvil: counts what clients do. See README.md. */
#include "agent/rates_table.h"
#include "agent/worker.h"
#include "base/arena.h"
#include "base/list.h"
#include "conf/snapshot.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "loop/loop.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/random.h"
#include <stdlib.h>

struct anvil {
	struct worker w;
	struct rates_table *table;
	struct list peers;
	struct loop_timer report;
	int64_t report_us;
};

/* A worker of smtpd. */
struct peer {
	struct list node;
	struct anvil *a;
	struct ipc_channel *ch;
	struct rates_owner *owner;
};

static struct anvil anvil;

/* ---- counting ---- */

static void
on_event(void *arg, const struct wire_rate_event *m)
{
	struct peer *p = arg;
	struct rates_seen s = { .event = (enum rates_event)m->event,
		.ident = m->ident,
		.now_us = loop_now_us(p->a->w.loop),
		.wall_us = os_clock_wall_us() };
	struct rates_count n = { 0 };
	enum rc rc = RC_TEMP;

	if (m->event <= RATES_DISCONNECT)
		rc = rates_table_count(p->owner, &s, &n);
	if (m->event != RATES_DISCONNECT)
		ipc_send_rate_count(
		    p->ch, &(struct wire_rate_count){ .request = m->request,
			       .is_counted = rc == RC_OK,
			       .count = n.count,
			       .rate = n.rate });
}

static const struct ipc_handlers handlers = { .on_rate_event = on_event };

static void
peer_free(struct peer *p)
{
	rates_owner_free(&p->owner, loop_now_us(p->a->w.loop));
	ipc_channel_free(&p->ch);
	list_remove(&p->node);
	free(p);
}

static void
on_close(void *arg, const char *why)
{
	struct peer *p = arg;

	if (why != NULL)
		log_warn(p->a->w.log, "channel to smtpd: %s", why);
	peer_free(p);
}

static void
on_peer(void *arg, const struct wire_peer *m)
{
	struct anvil *a = arg;
	struct peer *p;
	int fd = m->channel;

	if (!str_is(m->purpose, "anvil")) {
		os_fd_close(&fd);
		return;
	}
	p = mem_get(sizeof(*p));
	p->a = a;
	p->owner = rates_owner_new(a->table);
	p->ch = ipc_channel_new(a->w.loop, fd,
	    &(struct ipc_channel_conf){ .me = WIRE_ANVIL,
		.peer = WIRE_COUNTED,
		.on = &handlers,
		.on_close = on_close,
		.refuses_fds = true,
		.arg = p });
	list_add_tail(&a->peers, &p->node);
}

/* ---- statistics ---- */

static void
log_line(void *arg, const char *text)
{
	log_info(((struct anvil *)arg)->w.log, "%s", text);
}

static void
on_report(void *arg)
{
	struct anvil *a = arg;
	int64_t now = loop_now_us(a->w.loop);

	rates_table_report(a->table, log_line, a);
	rates_table_expire(a->table, now);
	loop_timer_set(a->w.loop, &a->report, now + a->report_us);
}

/* ---- life ---- */

static enum rc
read_conf(struct anvil *a, struct err *e)
{
	struct conf_anvil conf;
	struct arena *mem = arena_new((size_t)1 << 20);
	enum rc rc = conf_fill_anvil(a->w.snapshot, NULL, mem, &conf, e);
	uint64_t seed[2];

	if (rc == RC_OK) {
		os_random_seed(seed);
		if (a->table == NULL)
			a->table = rates_table_new(seed, conf.anvil_rate_time_unit_us);
		rates_table_set_unit(a->table, conf.anvil_rate_time_unit_us);
		a->report_us = conf.anvil_status_update_time_us;
	}
	arena_free(&mem);
	return rc;
}

static bool
on_new_conf(void *arg)
{
	struct anvil *a = arg;
	struct err e = { 0 };

	if (read_conf(a, &e) != RC_OK) {
		log_error(a->w.log, "%s", e.text);
		return false;
	}
	return true;
}

static void
on_end(void *arg)
{
	struct anvil *a = arg;

	rates_table_report(a->table, log_line, a);
	loop_stop(a->w.loop);
}

static const struct worker_ops ops = { .on_peer = on_peer,
	.on_drain = on_end,
	.on_stop = on_end,
	.on_new_conf = on_new_conf };

int
main(int argc, char **argv)
{
	const struct os_sandbox sandbox = { 0 };
	struct anvil *a = &anvil;
	struct err e = { 0 };

	worker_init(&a->w, argc, argv, "anvil", &ops, a);
	list_init(&a->peers);
	if (read_conf(a, &e) != RC_OK) {
		log_fatal(a->w.log, "%s", e.text);
		return EXIT_FAILURE;
	}
	loop_timer_init(&a->report, on_report, a);
	loop_timer_set(a->w.loop, &a->report, loop_now_us(a->w.loop) + a->report_us);
	worker_confine(&a->w, &sandbox);
	return worker_run(&a->w);
}
