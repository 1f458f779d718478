#ifndef SPOOL_HEADER_H
#define SPOOL_HEADER_H
#include "base/base.h"

/* The head of a segment file: two copies of one page. Source: docs/spool-format.md
 * section 3. The copy with the higher generation counts; generation g is at page g % 2,
 * so that writing one never touches the other. */

#define HEADER_PAGE  ((size_t)4096)
#define SEGMENT_DATA (2 * HEADER_PAGE) /* where records begin */
#define CUTS_MAX     ((size_t)100)

enum header_state {
	HEADER_FREE = 1,
	HEADER_USED = 2,
};

/* "Nothing in segment `no` of this epoch counts from `at` on." */
struct cut {
	uint32_t no;
	uint64_t epoch, at;
};

struct header {
	uint32_t no;  /* of the file */
	uint32_t seq; /* order in which segments came into use */
	uint64_t generation;
	uint64_t epoch; /* of the present life when used, of the last one when free */
	uint64_t bytes; /* of the whole file */
	uint64_t mark;  /* numbers below may have been granted */
	uint8_t state;  /* enum header_state */
	uint32_t n_cuts;
	struct cut cuts[CUTS_MAX];
};

static inline int64_t
header_place(uint64_t generation)
{
	return (int64_t)((generation & 1) * HEADER_PAGE);
}

void header_encode(const struct header *h, char page[HEADER_PAGE]);
bool header_decode(const char page[HEADER_PAGE], struct header *out);
#endif
