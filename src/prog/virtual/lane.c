/* Which task may run when. Tasks for one mailbox form a lane:
 *
 * Maildir: files are written by as many threads as there are, because syncs that run at
 * the same time share the journal commit. Those that are whole go into new/ together, by
 * one thread and with one sync of the folder. mbox: one task after the other. They would
 * only wait for each other's locks. */
#include "os/random.h"
#include "prog/virtual/virtual.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the pool's threads ---- */

/* The ids of this thread for files; libc's functions would change those of all threads.
 */
static bool
become(struct task *t)
{
	const struct box *b = &t->box;

	if (!t->v->change_ids)
		return true;
	/* They return the id that was in force before, and nothing else: an id that is
	 * there already needs one call, a new one a second call to see whether it worked.
	 */
	if (((gid_t)syscall(SYS_setfsgid, b->gid) == b->gid ||
		(gid_t)syscall(SYS_setfsgid, b->gid) == b->gid) &&
	    ((uid_t)syscall(SYS_setfsuid, b->uid) == b->uid ||
		(uid_t)syscall(SYS_setfsuid, b->uid) == b->uid))
		return true;
	(void)strcpy(t->why.dsn, "4.3.0");
	(void)snprintf(t->why.text, sizeof(t->why.text), "cannot become uid %lu",
	    (unsigned long)b->uid);
	return false;
}

static void
write_mail(void *arg)
{
	struct task *t = arg;

	if (!become(t))
		return;
	if (!t->box.is_maildir)
		(void)mbox_deliver(t);
	else if (maildir_write(t) && t->is_alone)
		maildir_move(&t, 1);
}

static void
move_mail(void *arg)
{
	struct lane *l = arg;

	/* It worked for this lane before. A file that stays in tmp/ is not reported. */
	if (become(l->batch[0]))
		maildir_move(l->batch, l->n_batch);
	else
		for (size_t i = 1; i < l->n_batch; i++)
			l->batch[i]->why = l->batch[0]->why;
}

/* ---- the loop thread ---- */

static bool
is_lane_of(const struct lane *l, const struct task *t)
{
	return l->s == t->s && l->box.uid == t->box.uid && l->box.gid == t->box.gid &&
	       l->box.is_maildir == t->box.is_maildir &&
	       strcmp(l->box.path, t->box.path) == 0;
}

static struct lane *
find_lane(struct lanes *all, const struct task *t)
{
	uint64_t hash = hmap_hash(&all->map, str_c(t->box.path));
	struct lane *l;

	for (struct hmap_node *n = hmap_first(&all->map, hash); n != NULL;
	     n = hmap_more(n)) {
		l = CONTAINER_OF(n, struct lane, node);
		if (is_lane_of(l, t))
			return l;
	}
	l = mem_get(sizeof(*l));
	l->s = t->s;
	l->box = t->box;
	l->path = mem_strdup(t->box.path);
	l->box.path = l->path;
	list_init(&l->link);
	list_init(&l->written);
	list_init(&l->held);
	hmap_put(&all->map, hash, &l->node);
	return l;
}

static void
release(struct lanes *all, struct lane *l, size_t n_tasks)
{
	l->n_tasks -= n_tasks;
	if (l->n_tasks > 0)
		return;
	hmap_remove(&all->map, &l->node);
	free(l->path);
	free(l);
}

static void
want_move(struct lanes *all, struct lane *l)
{
	if (!l->is_busy && !list_is_empty(&l->written) && list_is_empty(&l->link))
		list_add_tail(&all->moves, &l->link);
}

/* A thread is done with the task. */
static void
written(void *arg)
{
	struct task *t = arg;
	struct virtual *v = t->v;
	struct lane *l = t->lane;
	struct list *next = list_first(&l->held);

	v->lanes.n_running--;
	loop_soon(v->w.loop, &v->lanes.pump);
	if (t->box.is_maildir && !t->is_alone && t->why.dsn[0] == '\0') {
		list_add_tail(&l->written, &t->node);
		want_move(&v->lanes, l);
		return;
	}
	if (next != NULL) {
		list_remove(next);
		list_add_tail(&v->lanes.writes, next);
	} else if (!l->box.is_maildir) {
		l->is_busy = false;
	}
	task_report(t);
	release(&v->lanes, l, 1);
}

static void
moved(void *arg)
{
	struct lane *l = arg;
	struct virtual *v = l->batch[0]->v;

	v->lanes.n_running--;
	loop_soon(v->w.loop, &v->lanes.pump);
	l->is_busy = false;
	want_move(&v->lanes, l);
	for (size_t i = 0; i < l->n_batch; i++)
		task_report(l->batch[i]);
	release(&v->lanes, l, l->n_batch);
}

static void
start_move(struct virtual *v, struct lane *l)
{
	struct list *node;

	list_remove(&l->link);
	l->is_busy = true;
	l->n_batch = 0;
	while (l->n_batch < BATCH_MAX && (node = list_first(&l->written)) != NULL) {
		list_remove(node);
		l->batch[l->n_batch++] = CONTAINER_OF(node, struct task, node);
	}
	loop_offload(v->w.loop, move_mail, moved, l);
}

static void
start_write(struct virtual *v, struct task *t)
{
	list_remove(&t->node);
	t->is_alone = t->lane->n_tasks == 1;
	loop_offload(v->w.loop, write_mail, written, t);
}

/* No more than there are threads: what waits in the pool cannot be overtaken. */
static void
pump(void *arg)
{
	struct virtual *v = arg;
	struct lanes *all = &v->lanes;

	for (; all->n_running < THREADS; all->n_running++) {
		struct list *move = list_first(&all->moves);
		struct list *write = list_first(&all->writes);

		if (move != NULL)
			start_move(v, CONTAINER_OF(move, struct lane, link));
		else if (write != NULL)
			start_write(v, CONTAINER_OF(write, struct task, node));
		else
			return;
	}
}

void
lanes_init(struct virtual *v)
{
	uint64_t seed[2];

	v->pid = (long)getpid();
	os_random_seed(seed);
	hmap_init(&v->lanes.map, seed);
	list_init(&v->lanes.writes);
	list_init(&v->lanes.moves);
	loop_task_init(&v->lanes.pump, pump, v);
}

void
lanes_add(struct task *t)
{
	struct lanes *all = &t->v->lanes;
	struct lane *l = find_lane(all, t);

	t->lane = l;
	l->n_tasks++;
	if (t->box.is_maildir || !l->is_busy)
		list_add_tail(&all->writes, &t->node);
	else
		list_add_tail(&l->held, &t->node);
	if (!t->box.is_maildir)
		l->is_busy = true;
	loop_soon(t->v->w.loop, &all->pump);
}
