/* Wake-up timers of master.cf: pickup looks into the maildrop every minute even when
 * nobody pokes it, and so on. "?" behind the time: only services that are in use, which
 * ours know themselves, so these are not woken. */
#include "prog/master/master.h"
#include <stdio.h>
#include <stdlib.h>
#include "ipc/channel.h"

static void
wake(const struct wakeup *w)
{
	for (uint32_t k = 0; k < w->role->n; k++) {
		struct process *p = w->role->slots[k].now;

		if (p != NULL && p->is_ready && p->control != NULL)
			ipc_send_trigger(p->control,
			    &(struct wire_trigger){ .service = str_c(w->service) });
	}
}

static void
on_timer(void *arg)
{
	struct wakeup *w = arg;

	wake(w);
	loop_timer_set(w->m->loop, &w->timer, loop_now_us(w->m->loop) + w->every_us);
}

void
wakeups_free(struct master *m)
{
	for (size_t i = 0; i < m->n_wakeups; i++)
		loop_timer_cancel(m->loop, &m->wakeups[i].timer);
	free(m->wakeups);
	m->wakeups = NULL;
	m->n_wakeups = 0;
}

void
wakeups_make(struct master *m)
{
	const struct master_cf *cf = &m->config->snapshot->master;

	wakeups_free(m);
	m->wakeups = mem_array(cf->n + 1, sizeof(*m->wakeups));
	for (size_t i = 0; i < cf->n; i++) {
		const struct master_service *s = &cf->v[i];
		const char *role = config_role(m->config, i);
		struct wakeup *w = &m->wakeups[m->n_wakeups];

		if (role == NULL || s->wakeup_us <= 0 || s->wakeup_if_used)
			continue;
		w->m = m;
		w->role = role_find(m, role);
		w->every_us = s->wakeup_us;
		(void)snprintf(w->service, sizeof(w->service), "%.*s", STR_ARG(s->name));
		loop_timer_init(&w->timer, on_timer, w);
		loop_timer_set(m->loop, &w->timer, loop_now_us(m->loop) + w->every_us);
		m->n_wakeups++;
	}
}

/* The first wake-up is due at once. Source: master(5), "Wake up time". */
void
wakeups_now(struct master *m, const struct role *r)
{
	for (size_t i = 0; i < m->n_wakeups; i++)
		if (m->wakeups[i].role == r)
			wake(&m->wakeups[i]);
}
