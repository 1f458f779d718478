/* Signals through a signalfd, children through pidfds: both are descriptors like others.
 */
#include "loop/loop_int.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "os/fd.h"

static void
deliver(struct loop *l, int signo)
{
	struct list now;

	/* Watchers may come and go while we call them. */
	list_init(&now);
	LIST_EACH_SAFE (it, tmp, &l->signals) {
		list_remove(it);
		list_add_tail(&now, it);
	}
	while (!list_is_empty(&now)) {
		struct list *node = list_first(&now);
		struct loop_signal *s = CONTAINER_OF(node, struct loop_signal, node);

		list_remove(node);
		list_add_tail(&l->signals, node);
		if (s->signo == signo)
			s->fn(s->arg, signo);
	}
}

static void
on_signal_fd(void *arg, unsigned events)
{
	struct loop *l = arg;
	struct signalfd_siginfo info;

	(void)events;
	while (read(l->signal_io.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		deliver(l, (int)info.ssi_signo);
}

void
loop_signal_watch(struct loop *l, struct loop_signal *s, int signo,
    void (*fn)(void *arg, int signo), void *arg)
{
	int fd;

	*s = (struct loop_signal){ .signo = signo, .fn = fn, .arg = arg };
	list_init(&s->node);
	list_add_tail(&l->signals, &s->node);
	sigaddset(&l->mask, signo);
	if (sigprocmask(SIG_BLOCK, &l->mask, NULL) != 0)
		abort();
	fd = signalfd(l->signal_io.fd, &l->mask, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		abort();
	if (l->signal_io.fd < 0) {
		loop_io_init(&l->signal_io, fd, on_signal_fd, l);
		loop_io_want(l, &l->signal_io, LOOP_READ);
	}
}

void
loop_signal_unwatch(struct loop *l, struct loop_signal *s)
{
	(void)l;
	list_remove(&s->node);
}

void
loop_signal_restore(const struct loop *l)
{
	(void)sigprocmask(SIG_SETMASK, &l->old_mask, NULL);
}

void
loop_signals_free(struct loop *l)
{
	if (l->signal_io.fd < 0)
		return;
	loop_io_remove(l, &l->signal_io);
	os_fd_close(&l->signal_io.fd);
	loop_signal_restore(l);
}

/* ---- children ---- */

static void
on_child(void *arg, unsigned events)
{
	struct loop_child *c = arg;
	int status;
	pid_t pid;

	(void)events;
	pid = waitpid(c->pid, &status, WNOHANG);
	if (pid == 0)
		return;
	loop_child_unwatch(c->loop, c);
	/* ECHILD: somebody else reaped it; it is gone all the same. */
	c->fn(c->arg, pid < 0 ? 0 : status);
}

enum rc
loop_child_watch(struct loop *l, struct loop_child *c, pid_t pid,
    void (*fn)(void *arg, int wait_status), void *arg, struct err *e)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return err_sys(e, RC_TEMP, "pidfd_open");
	if (os_fd_inherit(fd, false, e) != RC_OK) {
		os_fd_close(&fd);
		return RC_TEMP;
	}
	*c = (struct loop_child){ .pid = pid, .loop = l, .fn = fn, .arg = arg };
	loop_io_init(&c->io, fd, on_child, c);
	loop_io_want(l, &c->io, LOOP_READ);
	return RC_OK;
}

void
loop_child_unwatch(struct loop *l, struct loop_child *c)
{
	if (c->io.fn == NULL || c->io.fd < 0)
		return;
	loop_io_remove(l, &c->io);
	os_fd_close(&c->io.fd);
}
