/* UTF-8, RFC 3629. */
#include "base/utf8.h"
#include <string.h>

size_t
utf8_char_size(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	/* By the lead byte: what the second byte may be. */
	unsigned low = 0x80, high = 0xbf;
	size_t size;

	if (s.n == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	size = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0; /* shorter would do */
	else if (p[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	if (s.n < size || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < size; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

bool
utf8_is_valid(struct str s)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	size_t at = 0;

	while (at < s.n) {
		uint64_t eight;
		size_t size;

		/* ASCII is nearly all there is: eight bytes at once. */
		if (s.n - at >= sizeof(eight)) {
			memcpy(&eight, s.p + at, sizeof(eight));
			if ((eight & high) == 0) {
				at += sizeof(eight);
				continue;
			}
		}
		size = utf8_char_size(str_n(s.p + at, s.n - at));
		if (size == 0)
			return false;
		at += size;
	}
	return true;
}
