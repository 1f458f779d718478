/* Concurrency windows: how feedback about a destination opens and closes them, and when
 * it counts as dead. Compat: SCHEDULER_README, "Concurrency scheduling". */
#include <math.h>
#include "sched/sched_int.h"

const struct sched_conf sched_conf_default = {
	.concurrency_initial = 5,
	.concurrency_limit = 20,
	.recipient_limit = 50,
	.busy_limit = 100,
	.failed_cohort_limit = 1,
	.positive = SCHED_FEEDBACK_CONST,
	.negative = SCHED_FEEDBACK_CONST,
	.positive_value = 1,
	.negative_value = 1,
	.dead_us = 300 * US_PER_SEC,
	.retry_us = 60 * US_PER_SEC,
	.slot_cost = 5,
	.slot_loan = 3,
	.slot_discount = 50,
	.slot_minimum = 3,
};

static double
feedback(enum sched_feedback kind, double value, int window)
{
	switch (kind) {
	case SCHED_FEEDBACK_CONST:
		return value;
	case SCHED_FEEDBACK_INV:
		return value / window;
	case SCHED_FEEDBACK_INV_SQRT:
		return value / sqrt(window);
	}
	return value;
}

/* Fractions add up until they make a whole step; half a feedback of tolerance keeps
 * rounding from delaying the step by one delivery. */
void
sched_window_success(struct sched_dest *d)
{
	const struct sched_conf *c = &d->transport->conf;
	double gain;

	d->fail_cohorts = 0;
	if (c->concurrency_limit > 0 && d->window >= c->concurrency_limit)
		return;
	/* More than the mail at hand can use would only hide a slow destination. */
	if (d->window >= (int)d->n_busy + c->concurrency_initial)
		return;
	gain = feedback(c->positive, c->positive_value, d->window);
	d->success += gain;
	while (gain > 0 && d->success + gain / 2 >= 1) {
		d->window++;
		d->success -= 1;
		d->failure = 0;
	}
	if (c->concurrency_limit > 0 && d->window > c->concurrency_limit)
		d->window = c->concurrency_limit;
}

/* A cohort is a window's worth of deliveries; so many failed ones in a row, without a
 * success between, are death. Otherwise the window closes, the step at the start of a
 * sequence. */
bool
sched_window_failure(struct sched_dest *d)
{
	const struct sched_conf *c = &d->transport->conf;
	double loss;

	d->fail_cohorts += 1.0 / d->window;
	if (c->failed_cohort_limit > 0 &&
	    d->fail_cohorts >= c->failed_cohort_limit - 1e-9)
		return true;
	loss = feedback(c->negative, c->negative_value, d->window);
	d->failure -= loss;
	while (loss > 0 && d->failure + loss / 2 < 0) {
		d->window--;
		d->success = 0;
		d->failure += 1;
	}
	if (d->window < 1)
		d->window = 1;
	return false;
}

/* A decimal number without sign or exponent, 0 .. 1. */
static bool
fraction(struct str s, double *out)
{
	double value = 0, unit = 1;
	bool has_dot = false;

	if (s.n == 0 || s.n > 20)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' && !has_dot) {
			has_dot = true;
			continue;
		}
		if (!ascii_isdigit(s.p[i]))
			return false;
		if (has_dot)
			value += (s.p[i] - '0') * (unit /= 10);
		else
			value = value * 10 + (s.p[i] - '0');
	}
	*out = value;
	return value <= 1;
}

enum rc
sched_feedback_parse(
    struct str text, enum sched_feedback *out, double *out_value, struct err *e)
{
	enum sched_feedback kind = SCHED_FEEDBACK_CONST;
	struct str number = str_trim(text), over;
	double value;

	if (str_cut(number, '/', &number, &over)) {
		over = str_trim(over);
		if (str_is(over, "concurrency"))
			kind = SCHED_FEEDBACK_INV;
		else if (str_is(over, "sqrt_concurrency"))
			kind = SCHED_FEEDBACK_INV_SQRT;
		else
			return err_set(e, RC_PERM, "bad feedback: %.*s", STR_ARG(text));
	}
	if (!fraction(str_trim(number), &value))
		return err_set(e, RC_PERM, "bad feedback: %.*s", STR_ARG(text));
	*out = kind;
	*out_value = value;
	return RC_OK;
}
