/* Quoting for LDAP, see ldap_text.h. */
#include "map/plugin/ldap_text.h"
#include <string.h>

/* "\2a": what both notations know for any byte. */
static enum rc
put_byte(struct buf *out, char c)
{
	return buf_printf(out, "\\%02x", (unsigned char)c);
}

/* All of it or nothing. */
static enum rc
put_marked(struct buf *out, struct str raw, bool (*is_special)(struct str, size_t))
{
	size_t before = out->n;
	enum rc rc = RC_OK;

	for (size_t i = 0; i < raw.n && rc == RC_OK; i++)
		rc = is_special(raw, i) ? put_byte(out, raw.p[i])
					: buf_put(out, str_n(raw.p + i, 1));
	if (rc != RC_OK)
		out->n = before;
	return rc;
}

static bool
is_special_in_filter(struct str s, size_t i)
{
	return s.p[i] == '\0' || strchr("*()\\", s.p[i]) != NULL;
}

static bool
is_special_in_dn(struct str s, size_t i)
{
	if (s.p[i] == '\0' || strchr("\"+,;<=>\\", s.p[i]) != NULL)
		return true;
	return (i == 0 && (s.p[i] == ' ' || s.p[i] == '#')) ||
	       (i + 1 == s.n && s.p[i] == ' ');
}

enum rc
ldap_quote_filter(void *ctx, struct str raw, struct buf *out)
{
	(void)ctx;
	return put_marked(out, raw, is_special_in_filter);
}

enum rc
ldap_quote_dn(void *ctx, struct str raw, struct buf *out)
{
	(void)ctx;
	return put_marked(out, raw, is_special_in_dn);
}
