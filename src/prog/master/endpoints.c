/* The sockets that services listen on. Master keeps them, so that a worker's death or a
 * reload loses no connection that waits. */
#include "prog/master/master.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/boot.h"
#include "agent/worker.h"
#include "base/arena.h"
#include "log/log.h"
#include "net/endpoint.h"
#include "os/fd.h"
#include "os/sock.h"

enum { BACKLOG = 4096 };

static struct endpoint *
find(struct master *m, const char *key)
{
	LIST_EACH (it, &m->endpoints) {
		struct endpoint *ep = CONTAINER_OF(it, struct endpoint, node);

		if (strcmp(ep->key, key) == 0)
			return ep;
	}
	return NULL;
}

static void
drop(struct endpoint *ep, bool remove_name)
{
	if (remove_name && strncmp(ep->key, "unix ", 5) == 0)
		(void)unlink(ep->key + 5);
	list_remove(&ep->node);
	loop_io_remove(ep->m->loop, &ep->knock);
	os_fd_close(&ep->fd);
	free(ep);
}

static void
on_knock(void *arg, unsigned events)
{
	struct endpoint *ep = arg;
	const char *role = config_role(ep->m->config, ep->service);

	(void)events;
	loop_io_remove(ep->m->loop, &ep->knock);
	if (role != NULL)
		roles_need(ep->m, str_c(role));
}

/* Takes `fd` over. */
static void
keep(struct master *m, const char *key, uint32_t service, int fd)
{
	struct endpoint *ep = mem_get(sizeof(*ep));

	(void)snprintf(ep->key, sizeof(ep->key), "%s", key);
	ep->next_service = service;
	ep->fd = fd;
	ep->is_wanted = ep->is_new = true;
	ep->m = m;
	loop_io_init(&ep->knock, fd, on_knock, ep);
	list_init(&ep->node);
	list_add_tail(&m->endpoints, &ep->node);
}

/* ---- inet ---- */

static void
inet_key(const struct net_endpoint *at, char *out, size_t n)
{
	char text[ADDR_IP_TEXT_MAX + 5];
	struct addr_ip a = net_endpoint_addr(at);
	struct str s = net_addr_literal(&a, text);

	(void)snprintf(out, n, "inet [%.*s]:%u", STR_ARG(s), net_endpoint_port(at));
}

/* "bind 127.0.0.1 port 25: Address already in use" (compat). */
static enum rc
bind_error(const struct net_endpoint *at, enum rc rc, struct err *e)
{
	char text[ADDR_IP_TEXT_MAX + 5];
	struct addr_ip a = net_endpoint_addr(at);
	struct str s = net_addr_literal(&a, text);

	if (str_istarts(s, STR("ipv6:")))
		s = str_from(s, 5);
	errno = e->sys;
	return err_sys(e, rc, "bind %.*s port %u", STR_ARG(s), net_endpoint_port(at));
}

static enum rc
add_inet(struct master *m, const struct net_endpoint *at, uint32_t service, bool *done,
    struct err *e)
{
	char key[sizeof(((struct endpoint *)NULL)->key)];
	struct endpoint *ep;
	enum rc rc;
	int fd;

	inet_key(at, key, sizeof(key));
	ep = find(m, key);
	if (ep != NULL && ep->is_wanted && ep->next_service != service)
		return err_set(
		    e, RC_PERM, "%s is another service's address already", key + 5);
	if (ep != NULL) {
		ep->is_wanted = *done = true;
		ep->next_service = service;
		return RC_OK;
	}
	rc = net_listen(at, BACKLOG, false, &fd, e);
	/* A system without IPv6 is not a reason not to serve IPv4. */
	if (rc != RC_OK && at->u.sa.sa_family == AF_INET6 && e->sys != EADDRINUSE &&
	    e->sys != EACCES) {
		log_warn(m->log, "not listening on %s: %s", key + 5, e->text);
		return RC_OK;
	}
	if (rc != RC_OK)
		return bind_error(at, rc, e);
	keep(m, key, service, fd);
	*done = true;
	return RC_OK;
}

static enum rc
apply_inet(struct master *m, const struct config *c, uint32_t at, struct arena *mem,
    struct err *e)
{
	const struct master_service *s = &c->snapshot->master.v[at];
	struct address_list l;
	bool done = false;
	enum rc rc = address_find(c, s, mem, &l, e);

	if (rc != RC_OK)
		return err_in(e, rc, "%.*s: line %u: service %.*s",
		    STR_ARG(c->snapshot->master_path), s->line, STR_ARG(s->name));
	for (size_t i = 0; rc == RC_OK && i < l.n; i++)
		rc = add_inet(m, &l.v[i], at, &done, e);
	if (rc == RC_OK && !done)
		log_warn(m->log, "%.*s: service %.*s has no address to listen on",
		    STR_ARG(c->snapshot->master_path), STR_ARG(s->name));
	return rc;
}

/* ---- unix ---- */

/* Folder permissions decide who reaches them; those in private/ and our own admin socket
 * are for mail_owner. The working directory is queue_directory. */
static enum rc
add_unix(struct master *m, const char *path, uint32_t service, mode_t mode, struct err *e)
{
	char key[sizeof(((struct endpoint *)NULL)->key)];
	struct endpoint *ep;
	enum rc rc;
	int fd;

	if (snprintf(key, sizeof(key), "unix %s", path) >= (int)sizeof(key))
		return err_set(e, RC_PERM, "name too long: %s", path);
	ep = find(m, key);
	if (ep != NULL) {
		ep->is_wanted = true;
		ep->next_service = service;
		return RC_OK;
	}
	/* As the folders' owner, who may replace what is there while we look away. */
	rc = os_users_act_as(&m->owner, e);
	if (rc != RC_OK)
		return rc;
	rc = os_sock_listen_unix(path, mode, BACKLOG, &fd, e);
	os_users_act_as_root();
	if (rc != RC_OK)
		return rc;
	keep(m, key, service, fd);
	return RC_OK;
}

/* Of the unix services only those are met at their socket that commands and programs of
 * others talk to; the rest (transports) is reached through channels. */
static enum rc
apply_unix(struct master *m, const struct config *c, uint32_t at, struct err *e)
{
	const struct master_service *s = &c->snapshot->master.v[at];
	const char *role = config_role(c, at);
	char path[300];

	if (worker_role_delivers(role))
		return RC_OK;
	if (snprintf(path, sizeof(path), "%s/%.*s", s->is_private ? "private" : "public",
		STR_ARG(s->name)) >= (int)sizeof(path))
		return err_set(
		    e, RC_PERM, "service name too long: %.*s", STR_ARG(s->name));
	return add_unix(m, path, at, 0666, e);
}

/* ---- all ---- */

/* A broken reload leaves everything as it was: what was new goes, what was there stays.
 */
static void
settle(struct master *m, bool is_good)
{
	LIST_EACH_SAFE (it, tmp, &m->endpoints) {
		struct endpoint *ep = CONTAINER_OF(it, struct endpoint, node);

		if (is_good ? !ep->is_wanted : ep->is_new) {
			drop(ep, true);
			continue;
		}
		if (is_good)
			ep->service = ep->next_service;
		ep->is_new = false;
	}
}

/* Kept sockets, too: it is for who connects from now on. */
static void
set_windows(struct master *m, const struct config *c)
{
	LIST_EACH (it, &m->endpoints) {
		const struct endpoint *ep = CONTAINER_OF(it, struct endpoint, node);

		if (strncmp(ep->key, "inet ", 5) == 0)
			net_set_window(ep->fd, (int)c->common.tcp_windowsize);
	}
}

enum rc
endpoints_apply(struct master *m, const struct config *c, struct err *e)
{
	struct arena *mem = arena_new(8 << 20);
	enum rc rc = RC_OK;

	LIST_EACH (it, &m->endpoints)
		CONTAINER_OF(it, struct endpoint, node)->is_wanted = false;
	for (size_t i = 0; i < c->snapshot->master.n && rc == RC_OK; i++) {
		enum master_type type = c->snapshot->master.v[i].type;
		const char *role = config_role(c, i);

		/* Nobody would ever accept: better refused than left to wait. */
		if (role == NULL || !role_has_program(m, role))
			continue;
		arena_reset(mem);
		if (type == MASTER_INET)
			rc = apply_inet(m, c, (uint32_t)i, mem, e);
		else if (type == MASTER_UNIX || type == MASTER_FIFO)
			rc = apply_unix(m, c, (uint32_t)i, e);
	}
	if (rc == RC_OK)
		rc = add_unix(m, "private/queue", BOOT_ADMIN, 0600, e);
	arena_free(&mem);
	settle(m, rc == RC_OK);
	if (rc == RC_OK)
		set_windows(m, c);
	return rc;
}

void
endpoints_close(struct master *m, bool remove_names)
{
	LIST_EACH_SAFE (it, tmp, &m->endpoints)
		drop(CONTAINER_OF(it, struct endpoint, node), remove_names);
}

void
endpoints_watch(struct master *m)
{
	const struct role *lookup = &m->roles[ROLE_LOOKUP];

	LIST_EACH (it, &m->endpoints) {
		struct endpoint *ep = CONTAINER_OF(it, struct endpoint, node);
		const char *role = ep->service == BOOT_ADMIN
				       ? NULL
				       : config_role(m->config, ep->service);

		if (role != NULL && strcmp(role, lookup->name) == 0 && lookup->n == 0)
			loop_io_want(m->loop, &ep->knock, LOOP_READ);
		else
			loop_io_remove(m->loop, &ep->knock);
	}
}
