/* Owns the lines of the policy delegation protocol. Whoever answers is hostile: every
 * line, and the reply as a whole, has a limit, and nothing is kept between replies. */
#include "milter/policy.h"
#include "ask/ask.h"

static bool
ends_line(char c)
{
	return c == '\n' || c == '\r' || c == '\0';
}

enum rc
milter_policy_put(struct buf *to, const char *name, struct str value)
{
	struct str key = str_c(name);
	size_t need = key.n + 1 + value.n + 1;
	char *p = buf_left(to) < need ? NULL : buf_room(to, need);

	if (p == NULL)
		return RC_TEMP;
	for (size_t i = 0; i < key.n; i++)
		*p++ = key.p[i];
	*p++ = '=';
	for (size_t i = 0; i < value.n; i++)
		*p++ = ends_line(value.p[i]) ? '?' : value.p[i];
	*p = '\n';
	buf_added(to, need);
	return RC_OK;
}

enum rc
milter_policy_end(struct buf *to)
{
	return buf_put(to, STR("\n"));
}

/* compat: the words of Postfix's warnings. */
static enum rc
too_long(const char *what, struct err *e)
{
	return err_set(e, RC_PERM,
	    "string length > %d characters from %%s while reading input attribute %s",
	    MILTER_POLICY_LINE_MAX, what);
}

/* What is wrong with a line, whole or not; RC_OK: nothing so far. */
static enum rc
check_line(struct str line, struct err *e)
{
	size_t eq = str_find(line, '=');

	if (eq > MILTER_POLICY_LINE_MAX)
		return too_long("name", e);
	if (eq < line.n && line.n - eq - 1 > MILTER_POLICY_LINE_MAX)
		return too_long("value", e);
	return RC_OK;
}

enum rc
milter_policy_reply(
    struct str in, size_t *out_used, struct str *out_action, struct err *e)
{
	struct str action = { NULL, 0 };
	size_t at = 0;

	for (;;) {
		struct str rest = str_from(in, at), line;
		size_t n = str_find(rest, '\n');
		bool is_whole = n < rest.n;
		enum rc rc;

		line = str_head(rest, n);
		if (is_whole && n == 0)
			break;
		rc = check_line(line, e);
		if (rc != RC_OK)
			return rc;
		if (at + n > MILTER_POLICY_REPLY_MAX)
			return err_set(e, RC_PERM, "reply without end from %%s");
		if (!is_whole)
			return RC_MORE;
		if (action.p == NULL && str_starts(line, STR("action=")))
			action = str_n(line.p + 7, line.n - 7);
		at += n + 1;
	}
	*out_used = at + 1;
	if (action.p == NULL)
		return RC_NONE;
	*out_action = action;
	return RC_OK;
}

/* ---- what stands in the restriction list ---- */

static bool
is_braced(struct str s)
{
	return s.n >= 2 && s.p[0] == '{' && s.p[s.n - 1] == '}';
}

static struct str
without_braces(struct str s)
{
	return str_trim(str_n(s.p + 1, s.n - 2));
}

enum rc
milter_policy_service(
    struct str text, struct str *out_endpoint, struct str *out_rest, struct err *e)
{
	struct str rest = is_braced(text) ? without_braces(text) : STR("");
	struct str endpoint = text;
	enum rc rc = RC_OK;

	if (is_braced(text))
		rc = ask_token(&rest, &endpoint);
	if (rc != RC_OK || endpoint.n == 0)
		return err_set(
		    e, RC_PERM, "missing service endpoint in \"%.*s\"", STR_ARG(text));
	*out_endpoint = endpoint;
	*out_rest = rest;
	return RC_OK;
}

enum rc
milter_policy_setting(
    struct str *rest, struct str *out_name, struct str *out_value, struct err *e)
{
	struct str token, name, value;
	enum rc rc = ask_token(rest, &token);

	if (rc == RC_NONE)
		return rc;
	if (rc == RC_OK && is_braced(token))
		token = without_braces(token);
	if (rc != RC_OK || !str_cut(token, '=', &name, &value) || str_trim(name).n == 0)
		return err_set(e, RC_PERM, "missing '=' after attribute name: \"%.*s\"",
		    rc == RC_OK ? (int)token.n : 0, rc == RC_OK ? token.p : "");
	*out_name = str_trim(name);
	*out_value = str_trim(value);
	return RC_OK;
}
