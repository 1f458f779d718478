/* Small mail overtakes large mail. While a job's entries go out it earns one *slot* for
 * each `slot_cost` of them; another job may go ahead of it when it costs no more slots
 * than the large one will earn, and may start early on credit (`slot_loan`,
 * `slot_discount`). So no mail is slowed by more than 1/slot_cost, however many overtake
 * it. Compat: SCHEDULER_README, "Preemptive scheduling". */
#include "sched/sched_int.h"

/* Looking for a candidate visits the jobs that wait, so it is done once a second at most.
 */
#define LOOK_AGAIN_US US_PER_SEC

/* By order. A new job is the last one; one whose recipients were refilled is near the
 * front. */
void
sched_job_insert(struct sched_job *job)
{
	struct list *jobs = &job->transport->jobs, *at = jobs;

	if (!list_is_empty(jobs) &&
	    CONTAINER_OF(jobs->prev, struct sched_job, in_transport)->order > job->order)
		for (at = jobs->next; at != jobs; at = at->next)
			if (CONTAINER_OF(at, struct sched_job, in_transport)->order >
			    job->order)
				break;
	list_insert_before(at, &job->in_transport);
}

void
sched_job_forget(struct sched_job *job)
{
	list_remove(&job->in_transport);
	if (job->transport->candidate == job)
		job->transport->candidate = NULL;
}

static bool
may_overtake(const struct sched_job *job, size_t slots)
{
	return job->msg->is_complete && !job->has_overtaken && job->n_waiting > 0 &&
	       job->n_waiting <= slots;
}

/* The one that has waited longest for its size. */
static struct sched_job *
find_candidate(const struct sched_job *current, size_t slots, int64_t now_us)
{
	struct list *jobs = &current->transport->jobs;
	struct sched_job *best = NULL;
	double best_score = 0;

	for (struct list *it = current->in_transport.next; it != jobs; it = it->next) {
		struct sched_job *job = CONTAINER_OF(it, struct sched_job, in_transport);
		double score;

		if (!may_overtake(job, slots))
			continue;
		score =
		    (double)(now_us - job->msg->since_us + 1) / (double)job->n_waiting;
		if (best == NULL || score > best_score) {
			best = job;
			best_score = score;
		}
	}
	return best;
}

/* Its entries go to the head of their destinations, in the order they have. */
static void
overtake(struct sched_job *job)
{
	struct sched_transport *t = job->transport;

	job->order = --t->order_front;
	job->has_overtaken = true;
	list_remove(&job->in_transport);
	list_add_head(&t->jobs, &job->in_transport);
	/* All out before the first goes in: a list must be in order to insert by order.
	 */
	LIST_EACH (it, &job->entries) {
		struct entry *e = CONTAINER_OF(it, struct entry, in_job);

		if (e->pub.what == SCHED_DELIVER)
			list_remove(&e->in_dest);
	}
	LIST_EACH (it, &job->entries) {
		struct entry *e = CONTAINER_OF(it, struct entry, in_job);

		if (e->pub.what == SCHED_DEFER)
			continue;
		sched_entry_insert(e);
		sched_dest_update(e->dest);
	}
}

void
sched_preempt(struct sched_transport *t, int64_t now_us)
{
	const struct sched_conf *c = &t->conf;
	struct heap_node *top = heap_min(&t->ready);
	struct sched_job *current, *job;
	struct sched_dest *d;
	size_t earned, slots;

	if (c->slot_cost <= 0 || top == NULL)
		return;
	d = CONTAINER_OF(top, struct sched_dest, ready);
	current = CONTAINER_OF(d->todo.next, struct entry, in_dest)->job;
	if (current->n_total < (size_t)c->slot_minimum * (size_t)c->slot_cost)
		return;
	slots = current->n_total / (size_t)c->slot_cost;
	if (slots <= current->slots_used)
		return;
	slots -= current->slots_used;
	job = t->candidate;
	if (job == NULL || job->order <= current->order || !may_overtake(job, slots)) {
		if (now_us - t->candidate_us < LOOK_AGAIN_US && t->candidate_us != 0)
			return;
		job = t->candidate = find_candidate(current, slots, now_us);
		t->candidate_us = now_us;
	}
	if (job == NULL)
		return;
	earned = current->n_selected / (size_t)c->slot_cost;
	earned = earned > current->slots_used ? earned - current->slots_used : 0;
	if ((earned + (size_t)c->slot_loan) * 100 <
	    job->n_waiting * (size_t)c->slot_discount)
		return;
	current->slots_used += job->n_waiting;
	t->candidate = NULL;
	overtake(job);
}
