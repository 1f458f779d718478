#ifndef SPOOL_QUEUE_ID_H
#define SPOOL_QUEUE_ID_H
#include "base/base.h"

/* The name of a message, made as Postfix makes it, with the message number in the place
 * of the inode (compat).
 *
 *   short  5 upper-case hex digits: microseconds of the arrival time; then the number
 *          in upper-case hex
 *   long   arrival seconds in base 52 (at least 6 digits), microseconds in base 52 (4
 *          digits), "z", the number in base 51; digits are 0-9 and consonants */
#define QUEUE_ID_MAX 32 /* bytes with the NUL */

struct queue_id {
	char text[QUEUE_ID_MAX];
};

struct queue_id queue_id_format(uint64_t number, int64_t arrival_us, bool is_long);

/* What a queue id says. Short ones do not tell the seconds: arrival_us is then only the
 * microseconds, and is_long false.
 * Returns: RC_PERM it cannot be a queue id of ours. */
struct queue_id_parts {
	uint64_t number;
	int64_t arrival_us;
	bool is_long;
};
MUST_USE enum rc queue_id_parse(struct str text, struct queue_id_parts *out);
#endif
