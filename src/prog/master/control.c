/* What administrators ask for by signals (the postfix command sends them):
 *     SIGHUP   reload: check first; a broken configuration changes nothing
 *     SIGTERM  stop: the others first, then queue, so that everything is stored
 *     SIGINT   the same, for start-fg in a terminal
 *     SIGQUIT  abort: now
 *     SIGUSR1  open the log file anew */
#include "prog/master/master.h"
#include "agent/values.h"
#include <signal.h>
#include "base/arena.h"
#include "ipc/channel.h"
#include "log/log.h"

#define STOP_US (10 * US_PER_SEC)

/* ---- reload ---- */

/* What would move the mail under the feet of queue needs a real restart. */
static const char *
unchangeable(const struct config *was, const struct config *is)
{
	if (!str_eq(was->conf.queue_directory, is->conf.queue_directory))
		return "queue_directory";
	if (!str_eq(was->conf.data_directory, is->conf.data_directory))
		return "data_directory";
	if (!str_eq(was->conf.mail_owner, is->conf.mail_owner))
		return "mail_owner";
	if (!str_eq(was->conf.setgid_group, is->conf.setgid_group))
		return "setgid_group";
	return NULL;
}

static void
reload(struct master *m)
{
	struct config *is = NULL, *was = m->config;
	struct err e = { 0 };
	enum rc rc = config_load(m->config_dir, &is, &e);

	if (rc == RC_OK && unchangeable(was, is) != NULL)
		rc = err_set(&e, RC_PERM,
		    "%s has changed: to change it, stop and start Postfix",
		    unchangeable(was, is));
	/* A start goes on without the daemons that cannot; a reload would end some that
	 * can. */
	if (rc == RC_OK && values_check(is->snapshot, LOG_LEVEL_ERROR, m->log) > 0)
		rc = err_set(&e, RC_PERM, "the new configuration cannot work");
	if (rc == RC_OK)
		rc = endpoints_apply(m, is, &e);
	if (rc != RC_OK) {
		log_error(m->log, "%s", e.text);
		log_error(m->log, "reload failed: the old configuration stays in use");
		config_free(&is);
		return;
	}
	m->config = is;
	log_info(m->log, "reload -- version %.*s, configuration %s", /* compat */
	    STR_ARG(is->common.mail_version), m->config_dir);
	if (!str_eq(was->conf.maillog_file, is->conf.maillog_file))
		logfile_reopen(m);
	config_free(&was);
	config_warn(is, m->log);
	roles_plan(m);
	wakeups_make(m);
	rebuild_start(m);
	supervise_replace(m);
}

/* ---- stop ---- */

static void
stop_all(struct master *m, bool with_queue)
{
	LIST_EACH (it, &m->processes) {
		struct process *p = CONTAINER_OF(it, struct process, node);
		bool is_queue = p->role == &m->roles[ROLE_QUEUE];

		if (p->control == NULL || is_queue != with_queue)
			continue;
		p->is_told = true;
		ipc_send_stop(p->control, &(struct wire_stop){ 0 });
	}
}

static bool
has_processes(const struct master *m, bool is_queue)
{
	LIST_EACH (it, &m->processes) {
		const struct process *p = CONTAINER_OF(it, struct process, node);

		if ((p->role == &m->roles[ROLE_QUEUE]) == is_queue)
			return true;
	}
	return false;
}

/* What they hand in at the end still finds its queue. */
void
control_progress(struct master *m)
{
	if (m->phase == PHASE_STOPPING && !has_processes(m, false)) {
		m->phase = PHASE_STOPPING_QUEUE;
		stop_all(m, true);
	}
	if (m->phase == PHASE_STOPPING_QUEUE && !has_processes(m, true))
		loop_stop(m->loop);
}

static void
kill_all(struct master *m)
{
	LIST_EACH (it, &m->processes)
		(void)kill(CONTAINER_OF(it, struct process, node)->pid, SIGKILL);
}

/* Starting: somebody hangs; report what there is. Stopping: no more patience. */
static void
on_deadline(void *arg)
{
	struct master *m = arg;

	if (m->phase == PHASE_STARTING) {
		log_warn(m->log, "not every process has come up in time");
		for (size_t i = 0; i < ROLES; i++)
			for (uint32_t k = 0; k < m->roles[i].n; k++)
				m->roles[i].slots[k].n_early++;
		supervise_report(m);
		return;
	}
	log_warn(m->log, "processes that did not end in time are killed");
	kill_all(m);
}

static void
stop(struct master *m, int signo)
{
	if (m->phase >= PHASE_STOPPING)
		return;
	log_info(m->log, "terminating on signal %d", signo); /* compat */
	m->phase = PHASE_STOPPING;
	endpoints_close(m, true);
	wakeups_free(m);
	rebuild_stop(m);
	loop_timer_set(m->loop, &m->deadline, loop_now_us(m->loop) + STOP_US);
	stop_all(m, false);
	control_progress(m);
}

static void
on_signal(void *arg, int signo)
{
	struct master *m = arg;

	switch (signo) {
	case SIGHUP:
		if (m->phase < PHASE_STOPPING)
			reload(m);
		break;
	case SIGUSR1:
		logfile_reopen(m);
		break;
	case SIGQUIT:
		stop(m, signo);
		kill_all(m);
		break;
	default:
		stop(m, signo);
	}
}

void
control_init(struct master *m)
{
	static const int signos[] = { SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1 };

	loop_timer_init(&m->deadline, on_deadline, m);
	for (size_t i = 0; i < ARRAY_LEN(signos); i++)
		loop_signal_watch(m->loop, &m->signals[i], signos[i], on_signal, m);
}
