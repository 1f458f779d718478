/* Owns the patterns behind "=" of a DNS list: "127.0.0.4", "127.0.0.[2..5;9]".
 *
 *	pattern = part "." part "." part "." part
 *	part    = number | "[" range *(";" range) "]"
 *	range   = number [ ".." number ]
 *	number  = 0 … 255 */
#include "access/dns_int.h"

static enum rc
take_number(struct str *rest, unsigned *out)
{
	size_t n = 0;
	uint64_t v;

	while (n < rest->n && n < 3 && ascii_isdigit(rest->p[n]))
		n++;
	if (str_u64(str_head(*rest, n), 255, &v) != RC_OK)
		return RC_PERM;
	*rest = str_from(*rest, n);
	*out = (unsigned)v;
	return RC_OK;
}

static bool
take(struct str *rest, const char *what)
{
	if (!str_starts(*rest, str_c(what)))
		return false;
	*rest = str_from(*rest, str_c(what).n);
	return true;
}

/* One part of the pattern; *hit: `byte` is in it. */
static enum rc
take_part(struct str *rest, unsigned byte, bool *hit)
{
	unsigned low, high;
	bool is_list = take(rest, "[");

	*hit = false;
	do {
		if (take_number(rest, &low) != RC_OK)
			return RC_PERM;
		high = low;
		if (is_list && take(rest, "..") &&
		    (take_number(rest, &high) != RC_OK || high < low))
			return RC_PERM;
		*hit = *hit || (byte >= low && byte <= high);
	} while (is_list && take(rest, ";"));
	return is_list && !take(rest, "]") ? RC_PERM : RC_OK;
}

enum rc
access_rbl_filter(struct str pattern, struct str addr)
{
	bool all = true;

	for (int part = 0; part < 4; part++) {
		unsigned byte;
		bool hit;

		if (part > 0 && (!take(&pattern, ".") || !take(&addr, ".")))
			return RC_PERM;
		if (take_number(&addr, &byte) != RC_OK ||
		    take_part(&pattern, byte, &hit) != RC_OK)
			return RC_PERM;
		all = all && hit;
	}
	if (pattern.n > 0 || addr.n > 0)
		return RC_PERM;
	return all ? RC_OK : RC_NONE;
}
