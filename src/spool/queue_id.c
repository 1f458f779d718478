/* Queue ids: the format is Postfix's, so that log analysers and people find what they
 * know. The number stands where Postfix puts the inode. */
#include "spool/queue_id.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

/* compat: digits, upper-case consonants, lower-case consonants; "z" is digit 51 and the
 * separator, which is why the number is in base 51. */
static const char digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

#define SEC_DIGITS    6
#define USEC_DIGITS   4
#define SEPARATOR     'z'
#define SHORT_USEC    5                    /* hex digits */
#define SECONDS_LIMIT INT64_C(30000000000) /* below 52^6; some year after 2900 */

static size_t
put_base(char *to, uint64_t v, unsigned base, size_t min_digits)
{
	char rev[24];
	size_t n = 0;

	do {
		rev[n++] = digits[v % base];
		v /= base;
	} while (v > 0 || n < min_digits);
	for (size_t i = 0; i < n; i++)
		to[i] = rev[n - 1 - i];
	return n;
}

static enum rc
get_base(struct str s, unsigned base, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0 || s.n > 12)
		return RC_PERM;
	for (size_t i = 0; i < s.n; i++) {
		const char *d = s.p[i] == '\0' ? NULL : strchr(digits, s.p[i]);

		if (d == NULL || (unsigned)(d - digits) >= base)
			return RC_PERM;
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(d - digits), &v))
			return RC_PERM;
	}
	*out = v;
	return RC_OK;
}

struct queue_id
queue_id_format(uint64_t number, int64_t arrival_us, bool is_long)
{
	struct queue_id id = { "" };
	int64_t us = arrival_us < 0 ? 0 : arrival_us;
	uint64_t sec = (uint64_t)(us / US_PER_SEC), usec = (uint64_t)(us % US_PER_SEC);
	size_t n;

	if (!is_long) {
		(void)snprintf(id.text, sizeof(id.text), "%05llX%llX",
		    (unsigned long long)usec, (unsigned long long)number);
		return id;
	}
	n = put_base(id.text, sec, 52, SEC_DIGITS);
	n += put_base(id.text + n, usec, 52, USEC_DIGITS);
	id.text[n++] = SEPARATOR;
	n += put_base(id.text + n, number, 51, 1);
	assert(n < sizeof(id.text));
	return id;
}

static enum rc
parse_long(struct str s, size_t z, struct queue_id_parts *out)
{
	uint64_t sec, usec, number;

	if (z < SEC_DIGITS + USEC_DIGITS ||
	    get_base(str_head(s, z - USEC_DIGITS), 52, &sec) != RC_OK ||
	    get_base(str_n(s.p + z - USEC_DIGITS, USEC_DIGITS), 52, &usec) != RC_OK ||
	    get_base(str_from(s, z + 1), 51, &number) != RC_OK)
		return RC_PERM;
	if (sec > SECONDS_LIMIT || usec >= (uint64_t)US_PER_SEC)
		return RC_PERM;
	*out = (struct queue_id_parts){ .number = number,
		.arrival_us = (int64_t)sec * US_PER_SEC + (int64_t)usec,
		.is_long = true };
	return RC_OK;
}

enum rc
queue_id_parse(struct str s, struct queue_id_parts *out)
{
	uint64_t usec, number;
	size_t z = str_rfind(s, SEPARATOR);

	if (s.n >= QUEUE_ID_MAX)
		return RC_PERM;
	if (z < s.n)
		return parse_long(s, z, out);
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] >= 'a') /* only upper case is ours */
			return RC_PERM;
	if (s.n <= SHORT_USEC || str_hex64(str_head(s, SHORT_USEC), &usec) != RC_OK ||
	    str_hex64(str_from(s, SHORT_USEC), &number) != RC_OK ||
	    usec >= (uint64_t)US_PER_SEC)
		return RC_PERM;
	*out = (struct queue_id_parts){ .number = number, .arrival_us = (int64_t)usec };
	return RC_OK;
}
