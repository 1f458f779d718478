/* Finding the name that is nearest to one that nobody knows. */
#include "base/near.h"

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	if (b < a)
		a = b;
	return c < a ? c : a;
}

/* How many letters are wrong, missing, too many, or swapped with their neighbour; no more
 * than `limit` + 1. Both are at most NEAR_MAX long. */
static unsigned
distance(struct str a, struct str b, unsigned limit)
{
	unsigned rows[3][NEAR_MAX + 1];

	if (a.n > b.n + limit || b.n > a.n + limit)
		return limit + 1;
	for (unsigned j = 0; j <= b.n; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3];
		const unsigned *two_above = rows[(i + 1) % 3];
		unsigned best;

		row[0] = best = (unsigned)i;
		for (size_t j = 1; j <= b.n; j++) {
			row[j] = min3(row[j - 1] + 1, above[j] + 1,
			    above[j - 1] + (a.p[i - 1] != b.p[j - 1]));
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] &&
			    a.p[i - 2] == b.p[j - 1] && two_above[j - 2] + 1 < row[j])
				row[j] = two_above[j - 2] + 1;
			if (row[j] < best)
				best = row[j];
		}
		if (best > limit)
			return limit + 1;
	}
	return rows[a.n % 3][b.n];
}

struct near
near_to(struct str name)
{
	return (struct near){ .name = name,
		.best = STR(""),
		.limit = name.n < 6    ? 1
			 : name.n < 12 ? 2
				       : 3 };
}

void
near_try(struct near *n, struct str candidate)
{
	unsigned d;

	if (n->is_exact || n->name.n > NEAR_MAX || candidate.n > NEAR_MAX)
		return;
	d = distance(n->name, candidate, n->limit);
	if (d > n->limit)
		return;
	n->best = candidate;
	n->is_exact = d == 0;
	n->limit = d > 0 ? d - 1 : 0;
}
