/* Who may talk to whom: queue with everybody else, lookup with those that ask tables,
 * anvil with those that have clients.
 * Master makes the pair of sockets and gives one end to each; there is no other way
 * between two workers. */
#include "prog/master/master.h"
#include <string.h>
#include "ipc/channel.h"
#include "log/log.h"
#include "os/fd.h"
#include "os/sock.h"

static const struct {
	unsigned hub; /* a role of one process */
	unsigned role;
	const char *purpose;
} pairs[] = {
	{ ROLE_QUEUE, ROLE_SMTPD, "submit" },
	{ ROLE_QUEUE, ROLE_PICKUP, "submit" },
	{ ROLE_QUEUE, ROLE_BOUNCE, "submit" },
	{ ROLE_QUEUE, ROLE_SMTP, "delivery" },
	{ ROLE_QUEUE, ROLE_VIRTUAL, "delivery" },
	{ ROLE_QUEUE, ROLE_BOUNCE, "delivery" },
	{ ROLE_LOOKUP, ROLE_SMTPD, "lookup" },
	{ ROLE_LOOKUP, ROLE_QUEUE, "lookup" },
	{ ROLE_LOOKUP, ROLE_VIRTUAL, "lookup" },
	{ ROLE_LOOKUP, ROLE_PICKUP, "lookup" },
	{ ROLE_LOOKUP, ROLE_BOUNCE, "lookup" },
	{ ROLE_ANVIL, ROLE_SMTPD, "anvil" },
};

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
}

/* A new queue is for all: also those that drain have mail to hand in. A new lookup has
 * the new tables: those that drain keep the old one, which waits for them. */
static void
introduce_hub(struct process *hub, size_t at)
{
	struct master *m = hub->m;

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

		if (p->role == &m->roles[pairs[i].role] && hub != NULL && hub->is_ready)
			introduce_two(hub, p, pairs[i].purpose);
		if (p->role == &m->roles[pairs[i].hub] && p->slot != NULL)
			introduce_hub(p, i);
	}
}

/* Not for anvil, which would count anew. */
void
introduce_again(struct process *p, struct str role)
{
	struct master *m = p->m;

	if (!p->is_ready)
		return;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct process *hub = m->roles[pairs[i].hub].slots[0].now;

		if (p->role == &m->roles[pairs[i].role] && hub != NULL && hub->is_ready &&
		    (strcmp(pairs[i].purpose, "submit") == 0 ||
			strcmp(pairs[i].purpose, "lookup") == 0) &&
		    str_is(role, hub->role->name))
			introduce_two(hub, p, pairs[i].purpose);
	}
}
