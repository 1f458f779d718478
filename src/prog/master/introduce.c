/* Who may talk to whom: queue with everybody else, lookup with those that ask tables,
 * anvil with those that have clients.
 * Master makes the pair of sockets and gives one end to each; there is no other way
 * between two workers. */
#include "prog/master/master.h"
#include <string.h>
#include "base/arena.h"
#include "conf/list.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "os/fd.h"
#include "os/sock.h"

#define TEXTS_MAX   ((size_t)CONF_VALUE_MAX * 4)
#define CROSSING_US US_PER_SEC

static const struct {
	unsigned hub; /* a role of one process */
	unsigned role;
	const char *purpose;
	bool for_notices; /* only when such processes tell the postmaster of sessions */
} pairs[] = {
	{ ROLE_QUEUE, ROLE_SMTPD, "submit", false },
	{ ROLE_QUEUE, ROLE_PICKUP, "submit", false },
	{ ROLE_QUEUE, ROLE_BOUNCE, "submit", false },
	{ ROLE_QUEUE, ROLE_SMTP, "submit", true },
	{ ROLE_QUEUE, ROLE_SMTP, "delivery", false },
	{ ROLE_QUEUE, ROLE_VIRTUAL, "delivery", false },
	{ ROLE_QUEUE, ROLE_BOUNCE, "delivery", false },
	{ ROLE_LOOKUP, ROLE_SMTPD, "lookup", false },
	{ ROLE_LOOKUP, ROLE_QUEUE, "lookup", false },
	{ ROLE_LOOKUP, ROLE_VIRTUAL, "lookup", false },
	{ ROLE_LOOKUP, ROLE_PICKUP, "lookup", false },
	{ ROLE_LOOKUP, ROLE_BOUNCE, "lookup", false },
	{ ROLE_LOOKUP, ROLE_SMTP, "lookup", true },
	{ ROLE_ANVIL, ROLE_SMTPD, "anvil", false },
};

/* Whether notify_classes has the class of the SMTP client: only then it may submit mail,
 * and asks tables on its way in. */
static bool
tells_of_servers(const struct config *c)
{
	const struct master_cf *cf = &c->snapshot->master;
	struct arena *mem = arena_new(TEXTS_MAX);
	bool found = false;

	for (size_t i = 0; i < cf->n && !found; i++) {
		const char *role = config_role(c, i);
		struct str rest, word;

		if (role == NULL || strcmp(role, "smtp") != 0 ||
		    conf_get(c->snapshot, &cf->v[i], STR("notify_classes"), mem, &rest,
			NULL) != RC_OK)
			continue;
		while (!found && str_token(&rest, CONF_LIST_SEPARATORS, &word))
			found = str_iis(word, "protocol");
	}
	arena_free(&mem);
	return found;
}

static bool
may_meet(const struct master *m, size_t at)
{
	return !pairs[at].for_notices || tells_of_servers(m->config);
}

static void
tell(struct process *to, const struct process *about, const char *purpose, int fd)
{
	ipc_send_peer(to->control, &(struct wire_peer){ .role = str_c(about->role->name),
				       .instance = about->instance,
				       .purpose = str_c(purpose),
				       .channel = fd });
}

static void
introduce_two(struct process *hub, struct process *other, const char *purpose)
{
	struct err e = { 0 };
	int pair[2];

	if (hub->control == NULL || other->control == NULL)
		return;
	if (os_sock_pair(pair, &e) != RC_OK) {
		log_error(hub->m->log, "%s", e.text);
		return;
	}
	tell(hub, other, purpose, pair[0]);
	tell(other, hub, purpose, pair[1]);
	other->introduced_us = loop_now_us(other->m->loop);
}

/* A new queue is for all: also those that drain have mail to hand in. A new lookup has
 * the new tables: those that drain keep the old one, which waits for them. */
static void
introduce_hub(struct process *hub, size_t at)
{
	struct master *m = hub->m;

	if (!may_meet(m, at))
		return;
	LIST_EACH (it, &m->processes) {
		struct process *other = CONTAINER_OF(it, struct process, node);

		if (other->role != &m->roles[pairs[at].role] || !other->is_ready)
			continue;
		if (pairs[at].hub == ROLE_QUEUE || other->slot != NULL)
			introduce_two(hub, other, pairs[at].purpose);
	}
}

void
introduce(struct process *p)
{
	struct master *m = p->m;

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct process *hub = m->roles[pairs[i].hub].slots[0].now;

		if (p->role == &m->roles[pairs[i].role] && hub != NULL && hub->is_ready &&
		    may_meet(m, i))
			introduce_two(hub, p, pairs[i].purpose);
		if (p->role == &m->roles[pairs[i].hub] && p->slot != NULL)
			introduce_hub(p, i);
	}
}

/* Not to anvil, which would count anew. Who was introduced just now may have asked before
 * he knew, and would lose what he has begun on that channel: he asks again if he must. */
void
introduce_again(struct process *p, struct str purpose)
{
	struct master *m = p->m;

	if (!p->is_ready || loop_now_us(m->loop) - p->introduced_us < CROSSING_US)
		return;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct process *hub = m->roles[pairs[i].hub].slots[0].now;

		if (p->role == &m->roles[pairs[i].role] && hub != NULL && hub->is_ready &&
		    pairs[i].hub != ROLE_ANVIL && str_is(purpose, pairs[i].purpose) &&
		    may_meet(m, i))
			introduce_two(hub, p, pairs[i].purpose);
	}
}
