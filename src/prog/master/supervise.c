/* Keeping the processes running: start, readiness, exits, back-off, replacement. */
#include "prog/master/master.h"
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ipc/channel.h"
#include "log/log.h"
#include "os/fd.h"

#define EARLY_US        (10 * US_PER_SEC) /* who dies younger has a problem that stays */
#define PAUSE_MAX_S     60
#define PAUSE_SERVED_US (2 * US_PER_SEC) /* at most, when it was of use until it died */

static void
start(struct slot *s)
{
	struct err e = { 0 };

	if (process_start(s, &e) == RC_OK)
		return;
	log_warn(s->m->log, "cannot start %s: %s", s->role->name, e.text);
	loop_timer_set(s->m->loop, &s->restart, loop_now_us(s->m->loop) + US_PER_SEC);
}

static void
on_restart(void *arg)
{
	struct slot *s = arg;

	if (s->m->phase < PHASE_STOPPING && s->now == NULL && s->at < s->role->n)
		start(s);
}

void
supervise_start(struct master *m)
{
	for (size_t i = 0; i < ROLES; i++) {
		struct role *r = &m->roles[i];

		for (uint32_t k = 0; k < r->n; k++) {
			struct slot *s = &r->slots[k];

			if (s->now != NULL)
				continue;
			if (s->m == NULL)
				loop_timer_init(&s->restart, on_restart, s);
			s->m = m;
			s->role = r;
			s->at = k;
			loop_timer_cancel(m->loop, &s->restart);
			start(s);
		}
	}
}

/* ---- readiness ---- */

static void
drain(struct process *p)
{
	if (p->is_told || p->control == NULL)
		return;
	p->is_told = true;
	ipc_send_drain(p->control, &(struct wire_drain){ 0 });
}

/* The old ones stay until all new ones serve, so that there is always somebody. */
static void
drain_replaced(struct role *r, struct master *m)
{
	for (uint32_t k = 0; k < r->n; k++)
		if (r->slots[k].now == NULL || !r->slots[k].now->is_ready)
			return;
	LIST_EACH (it, &m->processes) {
		struct process *p = CONTAINER_OF(it, struct process, node);

		if (p->role == r && p->slot == NULL)
			drain(p);
	}
}

void
supervise_ready(struct process *p)
{
	introduce(p);
	wakeups_now(p->m, p->role);
	drain_replaced(p->role, p->m);
	supervise_report(p->m);
}

/* Whether every process has come up, or has died and will be tried again. */
static bool
is_settled(const struct master *m)
{
	for (size_t i = 0; i < ROLES; i++)
		for (uint32_t k = 0; k < m->roles[i].n; k++) {
			const struct slot *s = &m->roles[i].slots[k];

			if (s->n_early == 0 && (s->now == NULL || !s->now->is_ready))
				return false;
		}
	return true;
}

void
supervise_report(struct master *m)
{
	struct err e;

	if (m->phase != PHASE_STARTING || !is_settled(m))
		return;
	m->phase = PHASE_RUNNING;
	loop_timer_cancel(m->loop, &m->deadline);
	log_copy_to(m->log, -1, LOG_LEVEL_WARN);
	if (m->report_fd >= 0 && os_fd_write_all(m->report_fd, STR("k"), &e) != RC_OK)
		log_debug(m->log, "who started us has left: %s", e.text);
	os_fd_close(&m->report_fd);
	if (!m->is_foreground)
		(void)dup2(
		    STDIN_FILENO, STDERR_FILENO); /* /dev/null: the terminal is free */
}

/* ---- exits ---- */

static void
log_exit(const struct process *p, int status)
{
	char path[sizeof(p->m->libexec) + 32];

	(void)process_path(p, path, sizeof(path));
	if (WIFSIGNALED(status)) /* compat: the three lines */
		log_warn(p->m->log, "process %s pid %d killed by signal %d", path,
		    (int)p->pid, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_warn(p->m->log, "process %s pid %d exit status %d", path, (int)p->pid,
		    WEXITSTATUS(status));
	else if (!p->is_told)
		log_warn(p->m->log, "process %s pid %d left without being asked", path,
		    (int)p->pid);
	if (!p->is_ready && !p->is_told)
		log_warn(p->m->log, "%s: bad command startup -- throttling", path);
}

/* At once the first time; then after 1, 2, 4 … seconds while it keeps dying young. */
static int64_t
pause_us(const struct slot *s)
{
	unsigned n = s->n_early;

	if (n <= 1)
		return 0;
	return (n > 7 ? PAUSE_MAX_S : INT64_C(1) << (n - 2)) * US_PER_SEC;
}

static void
restart(struct slot *s, int64_t lived_us, bool was_ready)
{
	struct master *m = s->m;
	int64_t pause;

	s->n_early = lived_us < EARLY_US ? s->n_early + 1 : 0;
	pause = pause_us(s);
	/* A minute without queue is a minute without mail: that is for those that do not
	 * even start. */
	if (was_ready && pause > PAUSE_SERVED_US)
		pause = PAUSE_SERVED_US;
	if (pause == 0)
		start(s);
	else
		loop_timer_set(m->loop, &s->restart, loop_now_us(m->loop) + pause);
}

void
supervise_exit(struct process *p, int wait_status)
{
	struct master *m = p->m;
	struct slot *s = p->slot;
	int64_t lived_us = loop_now_us(m->loop) - p->started_us;
	bool was_ready = p->is_ready;

	if (m->phase < PHASE_STOPPING || WIFSIGNALED(wait_status))
		log_exit(p, wait_status);
	process_free(p);
	if (m->phase >= PHASE_STOPPING) {
		control_progress(m);
		return;
	}
	if (s != NULL && s->at < s->role->n)
		restart(s, lived_us, was_ready);
	supervise_report(m);
}

/* ---- reload ---- */

static void
tell_new_conf(struct master *m, struct process *p)
{
	struct err e = { 0 };
	int fd;

	if (p->control == NULL)
		return;
	if (conf_snapshot_memfd(m->config->snapshot, &fd, &e) != RC_OK) {
		log_error(m->log, "%s", e.text);
		return;
	}
	ipc_send_new_conf(p->control, &(struct wire_new_conf){ .snapshot = fd });
}

void
supervise_replace(struct master *m)
{
	LIST_EACH (it, &m->processes) {
		struct process *p = CONTAINER_OF(it, struct process, node);

		if (!p->role->is_doubled) {
			tell_new_conf(m, p);
		} else if (p->slot != NULL) {
			p->slot->now = NULL;
			p->slot->n_early = 0;
			p->slot = NULL;
		}
	}
	supervise_start(m);
	for (size_t i = 0; i < ROLES; i++)
		if (m->roles[i].n == 0)
			drain_replaced(&m->roles[i], m);
}
