#ifndef SPOOL_RECORD_H
#define SPOOL_RECORD_H
#include "base/base.h"

/* The frame of every record. Source: docs/spool-format.md section 4. */

#define RECORD_HEAD  ((size_t)40)
#define RECORD_ALIGN ((size_t)8)
/* Bytes a record of `length` bytes occupies. */
#define RECORD_ROOM(length) (((uint64_t)(length) + 7) & ~UINT64_C(7))

enum record_type {
	RECORD_MESSAGE = 1, /* content parts: see struct message_parts */
	RECORD_UPDATE = 2,  /* a state */
	RECORD_DELETE = 3,  /* nothing */
	RECORD_MOVE = 4,    /* as MESSAGE: the record was written again */
	RECORD_MARK = 5,    /* numbers below `number` may have been granted */
	RECORD_VOID = 6,    /* bytes that mean nothing */
};

struct record {
	uint32_t length; /* head included */
	uint64_t epoch;
	uint32_t at8;    /* its own offset in the segment, / 8 */
	uint32_t batch8; /* offset of the first byte written by the same commit, / 8 */
	uint64_t number;
	uint8_t type; /* enum record_type */
	uint32_t seq; /* of the segment */
};

/* Writes the head, checksum included, before a payload that is already in place:
 * `at` has r->length bytes. */
void record_seal(char *at, const struct record *r);
/* Whether a whole valid record begins at in.p; `in` reaches to the end of the segment.
 * Checks all but epoch and place, which are the caller's. */
bool record_read(struct str in, struct record *out);
/* Only the epoch and place of what may be a record: cheap. in.n >= RECORD_HEAD. */
bool record_may_begin(const char *p, uint64_t epoch, uint64_t at);
static inline struct str
record_payload(struct str whole)
{
	return (struct str){ whole.p + RECORD_HEAD, whole.n - RECORD_HEAD };
}

/* The payload of MESSAGE and MOVE: two lengths (4 bytes each), the envelope, the state
 * (empty: as the envelope says), the content to the end. */
struct message_parts {
	struct str envelope, state, content;
};
bool record_parts(struct str payload, struct message_parts *out);
#endif
