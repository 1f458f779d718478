/* Who asks: workers by channels from master, commands at the endpoints of the proxymap
 * services. A table is asked only when our own configuration names it (workers), or when
 * proxy_read_maps or proxy_write_maps lists it (proxy: tables, commands). What a peer
 * sends is not trusted: it may be taken over by whoever sent it mail. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "ipc/channel.h"
#include "log/log.h"
#include "os/sock.h"
#include "prog/lookup/lookup.h"

#define COMMANDS_MAX 500

/* ---- answers ---- */

static void
tell(struct peer *p, uint32_t request, enum rc rc, struct str value)
{
	ipc_send_found(
	    p->ch, &(struct wire_found){
		       .request = request, .rc = (uint8_t)rc, .value = value });
}

void
peer_answer(struct asker *a, enum rc rc, struct str value)
{
	tell(a->peer, a->request, rc, value);
	list_remove(&a->in_peer);
	a->peer->n_askers--;
	free(a);
}

/* ---- who may ask what ---- */

static void
refuse(struct peer *p, uint32_t request, struct str spec)
{
	struct log *log = p->service != NULL ? p->service->log : p->l->w.log;
	struct str name = p->service != NULL ? p->service->service_name : STR("proxymap");
	char text[400];

	spec = str_head(spec, 300);
	/* compat: the three texts */
	log_warn(log, "request for unapproved table: \"%.*s\"", STR_ARG(spec));
	log_warn(log,
	    "to approve this table for %s access, list proxy:%.*s in main.cf:%s",
	    p->is_writing ? "read-write" : "read-only", STR_ARG(spec),
	    p->is_writing ? "proxy_write_maps" : "proxy_read_maps");
	(void)snprintf(text, sizeof(text),
	    "%.*s service is not configured for table \"%.*s\"", STR_ARG(name),
	    STR_ARG(spec));
	tell(p, request, RC_PERM, str_c(text));
}

/* False: the peer has been told. */
static bool
may_ask(struct peer *p, uint32_t request, struct str spec)
{
	struct str bare = lookup_tables_strip(spec);
	const struct lookup_table *t = lookup_tables_find(p->l->tables, bare);
	bool is_proxied = p->service != NULL || bare.n != spec.n;

	if (p->service == NULL && (t == NULL || !t->is_named)) {
		/* After a reload one of us is older; or somebody tries. */
		log_info(p->l->w.log, "%s asks for a table that is not in use: %.*s",
		    p->role, STR_ARG(str_head(spec, 300)));
		tell(p, request, RC_MORE, STR("not a table of this configuration"));
		return false;
	}
	if (!is_proxied ||
	    (t != NULL && (p->is_writing ? t->is_writable : t->is_readable)))
		return true;
	refuse(p, request, bare);
	return false;
}

static void
ask(struct peer *p, uint32_t request, const struct group_request *r)
{
	struct asker *a;

	if (p->n_askers >= ASKERS_MAX) {
		tell(p, request, RC_TEMP, STR("too many questions"));
		return;
	}
	a = mem_get(sizeof(*a));
	a->peer = p;
	a->request = request;
	list_init(&a->in_question);
	list_add_tail(&p->askers, &a->in_peer);
	p->n_askers++;
	group_ask(p->l, r, a);
}

static void
on_find(void *arg, const struct wire_find *m)
{
	struct peer *p = arg;
	const struct group_request r = { .spec = lookup_tables_strip(m->table),
		.what = QUESTION_FIND,
		.flags = m->flags & (MAP_PARTIAL | MAP_NOFOLD | MAP_NO_SUBST),
		.key = m->key };

	if (!may_ask(p, m->request, m->table))
		return;
	if (m->key.n == 0)
		tell(p, m->request, RC_NONE, STR(""));
	else
		ask(p, m->request, &r);
}

/* compat: only the service of this name writes. */
static bool
may_write(struct peer *p, uint32_t request, struct str table, const char *what)
{
	if (!p->is_writing) {
		log_warn(p->service->log,
		    "refusing %.*s %s request on non-proxywrite service", STR_ARG(table),
		    what);
		tell(p, request, RC_PERM, STR("not a proxywrite service"));
		return false;
	}
	return may_ask(p, request, table);
}

static void
on_put(void *arg, const struct wire_table_put *m)
{
	struct peer *p = arg;
	const struct group_request r = { .spec = lookup_tables_strip(m->table),
		.what = QUESTION_PUT,
		.key = m->key,
		.value = m->value };

	if (may_write(p, m->request, m->table, "update"))
		ask(p, m->request, &r);
}

static void
on_delete(void *arg, const struct wire_table_delete *m)
{
	struct peer *p = arg;
	const struct group_request r = { .spec = lookup_tables_strip(m->table),
		.what = QUESTION_DELETE,
		.key = m->key };

	if (may_write(p, m->request, m->table, "delete"))
		ask(p, m->request, &r);
}

static const struct ipc_handlers worker_handlers = { .on_find = on_find };
static const struct ipc_handlers command_handlers = {
	.on_find = on_find, .on_table_put = on_put, .on_table_delete = on_delete
};

/* ---- coming and going ---- */

static void
peer_free(struct peer *p)
{
	struct list *first;

	while ((first = list_first(&p->askers)) != NULL) {
		struct asker *a = CONTAINER_OF(first, struct asker, in_peer);

		list_remove(first);
		group_forget(a);
		free(a);
	}
	list_remove(&p->node);
	ipc_channel_free(&p->ch);
	free(p);
}

static void
on_close(void *arg, const char *why)
{
	struct peer *p = arg;
	struct lookup *l = p->l;

	if (why != NULL)
		log_warn(l->w.log, "channel to %s: %s", p->role, why);
	peer_free(p);
	lookup_check_end(l);
}

static void
open_channel(struct lookup *l, struct peer *p, int fd)
{
	struct ipc_channel_conf conf = { .me = WIRE_LOOKUP,
		.peer = p->service != NULL ? WIRE_COMMAND : WIRE_ASKER,
		.on = p->service != NULL ? &command_handlers : &worker_handlers,
		.on_close = on_close,
		.refuses_fds = true,
		.arg = p };

	p->l = l;
	list_init(&p->askers);
	list_add_tail(&l->peers, &p->node);
	p->ch = ipc_channel_new(l->w.loop, fd, &conf);
}

/* A process has one channel, whatever it asks master for. */
static void
replace(struct lookup *l, uint32_t instance)
{
	LIST_EACH_SAFE (it, next, &l->peers) {
		struct peer *p = CONTAINER_OF(it, struct peer, node);

		if (p->service == NULL && p->instance == instance)
			peer_free(p);
	}
}

void
peer_open(struct lookup *l, int fd, struct str role, uint32_t instance)
{
	struct peer *p = mem_get(sizeof(*p));

	replace(l, instance);
	p->instance = instance;
	(void)snprintf(p->role, sizeof(p->role), "%.*s", STR_ARG(role));
	open_channel(l, p, fd);
}

void
peers_drop(struct lookup *l, const char *role)
{
	LIST_EACH_SAFE (it, next, &l->peers) {
		struct peer *p = CONTAINER_OF(it, struct peer, node);

		if (str_is(str_c(p->role), role))
			peer_free(p);
	}
}

/* ---- the proxymap endpoints ---- */

struct door {
	struct list node;
	struct lookup *l;
	const struct worker_service *service;
	struct loop_io io;
	struct loop_rest rest;
};

static size_t
count_commands(const struct lookup *l)
{
	size_t n = 0;

	LIST_EACH (it, &l->peers)
		n += CONTAINER_OF(it, struct peer, node)->service != NULL;
	return n;
}

static bool
is_writing(const struct door *d)
{
	return str_is(d->service->service_name, "proxywrite");
}

/* The folder private/ lets in only root and us; so do we. Started by root, only root
 * writes tables: other processes of our user, such as a smtpd with a policy service at a
 * UNIX-domain socket, may be able to connect, and are not trusted. */
static bool
is_welcome(const struct door *d, int fd)
{
	uid_t uid = (uid_t)-1;
	pid_t pid;

	if (os_sock_peer(fd, &uid, &pid, NULL) != RC_OK ||
	    count_commands(d->l) >= COMMANDS_MAX)
		return false;
	return uid == 0 || (uid == geteuid() && !(d->l->w.is_root && is_writing(d)));
}

static void
on_knock(void *arg, unsigned events)
{
	struct door *d = arg;
	struct peer *p;
	int fd;
	enum rc rc = os_sock_accept(d->io.fd, &fd, NULL);

	(void)events;
	if (rc == RC_TEMP)
		loop_rest_begin(&d->rest);
	if (rc != RC_OK)
		return;
	if (!is_welcome(d, fd)) {
		(void)close(fd);
		return;
	}
	p = mem_get(sizeof(*p));
	p->service = d->service;
	p->is_writing = is_writing(d);
	(void)snprintf(p->role, sizeof(p->role), "a command");
	open_channel(d->l, p, fd);
}

void
doors_open(struct lookup *l)
{
	for (size_t i = 0; i < l->w.n_services; i++) {
		const struct worker_service *s = &l->w.services[i];
		struct door *doors =
		    arena_array(l->w.mem, s->n_listen + 1, sizeof(*doors));

		for (size_t k = 0; doors != NULL && k < s->n_listen; k++) {
			doors[k] = (struct door){ .l = l, .service = s };
			list_add_tail(&l->doors, &doors[k].node);
			loop_io_init(&doors[k].io, s->listen[k], on_knock, &doors[k]);
			loop_rest_init(&doors[k].rest, l->w.loop, &doors[k].io);
			loop_io_want(l->w.loop, &doors[k].io, LOOP_READ);
		}
	}
}

void
doors_close(struct lookup *l)
{
	LIST_EACH_SAFE (it, next, &l->doors) {
		struct door *d = CONTAINER_OF(it, struct door, node);

		list_remove(it);
		loop_rest_cancel(&d->rest);
		loop_io_remove(l->w.loop, &d->io);
	}
}
