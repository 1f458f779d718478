/* Who may talk to whom: queue with everybody else. Master makes the pair of sockets and
 * gives one end to each; there is no other way between two workers. */
#include "prog/master/master.h"
#include <string.h>
#include "ipc/channel.h"
#include "log/log.h"
#include "os/fd.h"
#include "os/sock.h"

static const struct {
	unsigned role;
	const char *purpose;
} pairs[] = {
	{ ROLE_SMTPD, "submit" },
	{ ROLE_PICKUP, "submit" },
	{ ROLE_BOUNCE, "submit" },
	{ ROLE_SMTP, "delivery" },
	{ ROLE_VIRTUAL, "delivery" },
	{ ROLE_BOUNCE, "delivery" },
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
introduce_two(struct process *queue, struct process *other, const char *purpose)
{
	struct err e = { 0 };
	int pair[2];

	if (queue->control == NULL || other->control == NULL)
		return;
	if (os_sock_pair(pair, &e) != RC_OK) {
		log_error(queue->m->log, "%s", e.text);
		return;
	}
	tell(queue, other, purpose, pair[0]);
	tell(other, queue, purpose, pair[1]);
}

void
introduce(struct process *p)
{
	struct master *m = p->m;

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct role *r = &m->roles[pairs[i].role];
		struct process *queue = m->roles[ROLE_QUEUE].slots[0].now;

		if (p->role == r && queue != NULL && queue->is_ready)
			introduce_two(queue, p, pairs[i].purpose);
		if (p->role != &m->roles[ROLE_QUEUE])
			continue;
		/* A new queue: also those that drain have mail to hand in. */
		LIST_EACH (it, &m->processes) {
			struct process *other = CONTAINER_OF(it, struct process, node);

			if (other->role == r && other->is_ready)
				introduce_two(p, other, pairs[i].purpose);
		}
	}
}
