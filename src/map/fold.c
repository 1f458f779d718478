#include "map/fold.h"
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unistr.h>

bool
map_is_utf8(struct str s)
{
	return str_is_ascii(s) || u8_check((const uint8_t *)s.p, s.n) == NULL;
}

static enum rc
fold_utf8(struct str key, struct arena *mem, struct str *out)
{
	struct str kept;
	uint8_t *folded;
	size_t n = 0;

	if (u8_check((const uint8_t *)key.p, key.n) != NULL)
		return RC_NONE;
	folded = u8_casefold((const uint8_t *)key.p, key.n, NULL, NULL, NULL, &n);
	if (folded == NULL)
		return RC_TEMP;
	kept = arena_str(mem, str_n(folded, n));
	free(folded);
	if (kept.p == NULL)
		return RC_TEMP;
	*out = kept;
	return RC_OK;
}

enum rc
map_fold_key(struct str key, bool is_utf8, struct arena *mem, struct str *out)
{
	size_t i = 0;
	char *p;

	if (is_utf8 && !str_is_ascii(key))
		return fold_utf8(key, mem, out);
	while (i < key.n && ascii_lower(key.p[i]) == key.p[i])
		i++;
	if (i == key.n) {
		*out = key;
		return RC_OK;
	}
	p = arena_get(mem, key.n + 1);
	if (p == NULL)
		return RC_TEMP;
	for (i = 0; i < key.n; i++)
		p[i] = ascii_lower(key.p[i]);
	*out = str_n(p, key.n);
	return RC_OK;
}
