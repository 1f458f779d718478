#ifndef BASE_NEAR_H
#define BASE_NEAR_H
/* Which known name somebody may have meant. */
#include "base/base.h"

#define NEAR_MAX 80 /* longer names have no near one */

struct near {
	struct str name, best; /* best: empty when nothing is near */
	unsigned limit;        /* of wrong letters in what would be better */
	bool is_exact;
};
/* Views: `name`, and what is tried, outlive the search. */
struct near near_to(struct str name);
/* Cost: the product of both lengths. The first of several that are as near wins. */
void near_try(struct near *n, struct str candidate);
#endif
