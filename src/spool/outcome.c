/* What becomes of puts. An outcome is told at once, or owed: a put whose commit failed is
 * answered only when it is sure not to come back after a restart. */
#include "spool/spool_int.h"

static void
append(struct spool_outcome **v, size_t *n, size_t *cap, const struct spool_outcome *o)
{
	if (*n == *cap) {
		*cap = *cap == 0 ? 64 : *cap * 2;
		*v = mem_grow(*v, *cap, sizeof(**v));
	}
	(*v)[(*n)++] = *o;
}

void
outcome_tell(struct spool *sp, const struct batch_entry *e, enum rc rc)
{
	struct spool_outcome o = { .cookie = e->cookie, .number = e->number, .rc = rc };

	append(&sp->told, &sp->n_told, &sp->told_cap, &o);
}

void
outcome_owe(struct spool *sp, const struct batch_entry *e)
{
	struct spool_outcome o = {
		.cookie = e->cookie, .number = e->number, .rc = RC_TEMP
	};

	append(&sp->owed, &sp->n_owed, &sp->owed_cap, &o);
}

void
outcome_tell_owed(struct spool *sp)
{
	for (size_t i = 0; i < sp->n_owed; i++)
		append(&sp->told, &sp->n_told, &sp->told_cap, &sp->owed[i]);
	sp->n_owed = 0;
}
