/* Owns splitting lists in parameters. */
#include "conf/list.h"
#include "base/arena.h"
#include <string.h>

enum rc
conf_list_next_in(struct str *rest, const char *separators, struct str *out)
{
	struct str s = *rest;
	size_t n, level = 0;

	while (s.n > 0 && strchr(separators, s.p[0]) != NULL && s.p[0] != '\0')
		s = str_from(s, 1);
	if (s.n == 0)
		return RC_NONE;
	for (n = 0; n < s.n; n++) {
		char c = s.p[n];

		if (c == '{')
			level++;
		else if (c == '}' && level > 0)
			level--;
		else if (level == 0 && c != '\0' && strchr(separators, c) != NULL)
			break;
	}
	if (level > 0)
		return RC_PERM;
	*out = str_head(s, n);
	*rest = str_from(s, n);
	return RC_OK;
}

enum rc
conf_list_next(struct str *rest, struct str *out)
{
	return conf_list_next_in(rest, CONF_LIST_SEPARATORS, out);
}

bool
conf_list_is_braced(struct str item)
{
	size_t level = 0;

	if (item.n < 2 || item.p[0] != '{')
		return false;
	for (size_t i = 0; i < item.n; i++) {
		if (item.p[i] == '{')
			level++;
		else if (item.p[i] == '}' && --level == 0)
			return i == item.n - 1;
	}
	return false;
}

struct str
conf_list_unbrace(struct str item)
{
	if (!conf_list_is_braced(item))
		return item;
	return str_trim(str_n(item.p + 1, item.n - 2));
}
