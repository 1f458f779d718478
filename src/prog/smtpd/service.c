/* Services: master.cf lines whose command is smtpd. Their parameters become plain structs
 * once; a session keeps what it began with. */
#include "agent/values.h"
#include "base/arena.h"
#include "log/log.h"
#include "net/endpoint.h"
#include "os/fd.h"
#include "prog/smtpd/smtpd.h"
#include <string.h>
#include <unistd.h>

#define ACCEPT_BATCH 16 /* a round; the other workers shall get some, too */

/* ---- accepting ---- */

/* Sessions that nobody has a descriptor for wait in the queue of the socket: a stage
 * file, a channel to a new queue or a question to the DNS must never be what finds none.
 */
static bool
is_full(const struct service *s)
{
	return s->smtpd->n_conns >= s->smtpd->max_conns ||
	       (s->max_sessions > 0 && s->n_sessions >= s->max_sessions);
}

void
service_limit(struct service *s, size_t max_sessions)
{
	if (s->max_sessions > 0 && s->max_sessions <= max_sessions)
		return;
	s->max_sessions = (uint32_t)max_sessions;
	s->is_short = true;
}

static void
tell_short(const struct service *s)
{
	struct smtpd *d = s->smtpd;

	if (d->is_short || !is_full(s) || (!s->is_short && d->n_conns < d->max_conns))
		return;
	d->is_short = true;
	log_warn(d->w->log,
	    "the limit on open files allows %zu sessions for each smtpd process: more "
	    "clients wait",
	    d->max_conns);
}

void
service_listen(struct service *s)
{
	if (s->smtpd->is_draining)
		return; /* they are closed */
	for (size_t i = 0; i < s->n_listeners; i++) {
		struct listener *l = &s->listeners[i];

		if (!loop_rest_is_on(&l->rest))
			loop_io_want(s->smtpd->loop, &l->io, is_full(s) ? 0 : LOOP_READ);
	}
}

void
service_close(struct service *s)
{
	for (size_t i = 0; i < s->n_listeners; i++) {
		loop_rest_cancel(&s->listeners[i].rest);
		loop_io_remove(s->smtpd->loop, &s->listeners[i].io);
	}
}

/* Before a word is heard. Who came by TLS could not read ours. */
static void
turn_away(const struct service *s, int *fd)
{
	static const struct str sorry = STR_INIT("421 4.3.0 Server local error\r\n");

	if (s->trouble != NULL && write(*fd, sorry.p, sorry.n) < 0)
		log_debug(s->entry->log, "a client did not wait to be turned away");
	os_fd_close(fd);
}

static void
on_client(void *arg, unsigned events)
{
	struct listener *l = arg;
	struct service *s = l->service;
	struct smtpd *d = s->smtpd;

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH && !is_full(s) && !d->is_draining; i++) {
		struct net_endpoint peer;
		struct addr_ip addr;
		struct err e = { 0 };
		int fd;
		enum rc rc = net_accept(l->io.fd, &fd, &peer, &e);

		if (rc == RC_TEMP) {
			/* Out of descriptors: who waits in the queue of the socket is not
			 * lost, and asking again at once would only burn time. */
			log_warn(s->entry->log, "accept connection: %s",
			    strerror(e.sys)); /* compat */
			loop_rest_begin(&l->rest);
		}
		if (rc != RC_OK)
			break;
		if (s->is_wrapped || s->trouble != NULL) {
			turn_away(s, &fd);
			continue;
		}
		addr = net_endpoint_addr(&peer);
		conn_open(s, fd, &addr, net_endpoint_port(&peer));
	}
	tell_short(s);
	if (is_full(s))
		service_listen(s);
}

/* The limit of master.cf is for all workers of the service together. */
static uint32_t
share_of(const struct worker *w, uint32_t maxproc)
{
	uint32_t n = w->n_workers > 0 ? w->n_workers : 1;

	return maxproc == 0 ? 0 : (maxproc + n - 1) / n;
}

static enum rc
load(struct service *s, struct err *e)
{
	struct smtpd *d = s->smtpd;
	struct decide_request req = { .snapshot = d->w->snapshot,
		.service = s->entry->entry,
		.log = s->entry->log,
		.with_access = true,
		.share = d->tables };
	enum rc rc = values_check_arguments(s->entry->entry, e);

	if (rc == RC_OK)
		rc = decide_new(&req, &s->decide, e);
	if (rc == RC_OK)
		rc = service_load(s, e);
	if (rc == RC_OK && d->tables == NULL)
		d->tables = s->decide;
	return rc;
}

enum rc
service_open(
    struct service *s, struct smtpd *d, const struct worker_service *entry, struct err *e)
{
	enum rc rc;

	*s = (struct service){ .smtpd = d, .entry = entry };
	rc = load(s, e);
	if (rc == RC_PERM) {
		decide_free(&s->decide);
		*s = (struct service){ .smtpd = d,
			.entry = entry,
			.trouble = arena_printf(d->w->mem, "%s", e->text).p };
	} else if (rc != RC_OK) {
		return rc;
	}
	s->max_sessions = share_of(d->w, entry->maxproc);
	s->listeners = mem_array(entry->n_listen + 1, sizeof(*s->listeners));
	s->n_listeners = entry->n_listen;
	for (size_t i = 0; i < entry->n_listen; i++) {
		struct listener *l = &s->listeners[i];

		l->service = s;
		loop_io_init(&l->io, entry->listen[i], on_client, l);
		loop_rest_init(&l->rest, d->loop, &l->io);
	}
	return rc;
}
