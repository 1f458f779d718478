/* Mail addresses as text: the path of MAIL and RCPT, the two forms of a local part,
 * recipient extensions, xtext. Nothing here knows which domains are ours. */
#include "addr/address.h"
#include <string.h>

static bool
is_special(char c)
{
	return c != '\0' && strchr("()<>[]:;@\\,\"", c) != NULL;
}

static bool
is_control(char c)
{
	return (unsigned char)c < ' ' || c == 127;
}

static bool
is_atom_byte(char c)
{
	return !is_control(c) && c != ' ' && c != '.' && !is_special(c);
}

static bool
is_one_of(struct str set, char c)
{
	return set.n > 0 && memchr(set.p, c, set.n) != NULL;
}

/* ---- splitting and quoting ---- */

/* No domain contains a quote, so an @ with a quote behind it is inside the local part;
 * this holds for both forms. */
void
addr_split(struct str addr, struct str *local, struct str *domain)
{
	size_t at = str_rfind(addr, '@');

	if (at == addr.n || str_find(str_from(addr, at), '"') != addr.n - at) {
		*local = addr;
		*domain = STR("");
		return;
	}
	*local = str_head(addr, at);
	*domain = str_from(addr, at + 1);
}

/* RFC 5321 4.1.2: Dot-string needs no quotes. */
static bool
is_dot_string(struct str local)
{
	bool after_dot = true;

	for (size_t i = 0; i < local.n; i++) {
		char c = local.p[i];

		if (c == '.' ? after_dot : !is_atom_byte(c))
			return false;
		after_dot = c == '.';
	}
	return !after_dot;
}

static struct str
join(struct arena *mem, struct str local, struct str domain, bool has_at)
{
	char *all = arena_get(mem, local.n + 2 + domain.n);
	size_t n = local.n;

	if (all == NULL)
		return (struct str){ NULL, 0 };
	memcpy(all, local.p, n);
	if (has_at) {
		all[n++] = '@';
		if (domain.n > 0)
			memcpy(all + n, domain.p, domain.n);
		n += domain.n;
	}
	return (struct str){ all, n };
}

/* `local` itself when nothing has to change, .p NULL at the memory limit. */
static struct str
unquote(struct str local, struct arena *mem)
{
	size_t n = 0;
	char *raw;

	if (str_find(local, '"') == local.n && str_find(local, '\\') == local.n)
		return local;
	raw = arena_get(mem, local.n + 1);
	if (raw == NULL)
		return (struct str){ NULL, 0 };
	for (size_t i = 0; i < local.n; i++) {
		if (local.p[i] == '"')
			continue;
		if (local.p[i] == '\\' && i + 1 < local.n)
			i++;
		raw[n++] = local.p[i];
	}
	return (struct str){ raw, n };
}

struct str
addr_quote_local(struct str local, struct arena *mem)
{
	size_t n = 0;
	char *raw;

	if (is_dot_string(local))
		return local;
	raw = arena_get(mem, 2 * local.n + 3);
	if (raw == NULL)
		return (struct str){ NULL, 0 };
	raw[n++] = '"';
	for (size_t i = 0; i < local.n; i++) {
		if (local.p[i] == '"' || local.p[i] == '\\')
			raw[n++] = '\\';
		raw[n++] = local.p[i];
	}
	raw[n++] = '"';
	return (struct str){ raw, n };
}

struct str
addr_to_internal(struct str external, struct arena *mem)
{
	struct str local, domain, raw;

	addr_split(external, &local, &domain);
	raw = unquote(local, mem);
	if (raw.p == NULL || raw.p == local.p)
		return raw.p == NULL ? raw : external;
	return join(mem, raw, domain, local.n < external.n);
}

struct str
addr_shown_internal(struct str external, char space[ADDR_MAX])
{
	struct str local, domain;
	size_t n = 0;

	addr_split(external, &local, &domain);
	if (external.n > ADDR_MAX ||
	    (str_find(local, '"') == local.n && str_find(local, '\\') == local.n))
		return external;
	for (size_t i = 0; i < local.n; i++) {
		if (local.p[i] == '"')
			continue;
		if (local.p[i] == '\\' && i + 1 < local.n)
			i++;
		space[n++] = local.p[i];
	}
	memcpy(space + n, external.p + local.n, external.n - local.n);
	return str_n(space, n + external.n - local.n);
}

struct str
addr_to_external(struct str internal, struct arena *mem)
{
	struct str local, domain, raw;

	addr_split(internal, &local, &domain);
	if (internal.n == 0)
		return internal;
	raw = addr_quote_local(local, mem);
	if (raw.p == NULL || raw.p == local.p)
		return raw.p == NULL ? raw : internal;
	return join(mem, raw, domain, local.n < internal.n);
}

/* ---- the path ---- */

/* How many bytes of `s` come before the first byte of `ends` that is not quoted. s.n:
 * none; SIZE_MAX: a quote does not end. */
static size_t
scan_to(struct str s, const char *ends)
{
	bool in_quotes = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\') {
			i++;
		} else if (c == '"') {
			in_quotes = !in_quotes;
		} else if (!in_quotes && c != '\0' && strchr(ends, c) != NULL) {
			return i;
		}
	}
	return in_quotes ? SIZE_MAX : s.n;
}

static struct str
skip_blanks(struct str s)
{
	while (s.n > 0 && (*s.p == ' ' || *s.p == '\t'))
		s = str_from(s, 1);
	return s;
}

/* The path without its <>, and what follows it. */
static enum rc
cut_path(struct str in, unsigned flags, struct str *path, struct str *rest, struct err *e)
{
	size_t n;

	if (!(flags & ADDR_STRICT))
		in = skip_blanks(in);
	if (in.n > 0 && *in.p == '<') {
		in = str_from(in, 1);
		n = scan_to(in, ">");
		if (n >= in.n)
			return err_set(e, RC_PERM, "no closing >");
		*path = str_head(in, n);
		*rest = str_from(in, n + 1);
		if (rest->n > 0 && *rest->p != ' ' && *rest->p != '\t')
			return err_set(e, RC_PERM, "text behind >");
	} else if (flags & ADDR_STRICT) {
		return err_set(e, RC_PERM, "no <");
	} else {
		n = scan_to(in, " \t");
		if (n == SIZE_MAX || n == 0)
			return err_set(e, RC_PERM, "no address");
		*path = str_head(in, n);
		*rest = str_from(in, n);
	}
	*rest = skip_blanks(*rest);
	return RC_OK;
}

/* <@a,@b:c@d>: RFC 5321 4.1.2 and appendix C: accept the route, ignore it. */
static bool
strip_route(struct str *path)
{
	size_t n;

	if (path->n == 0 || *path->p != '@')
		return false;
	n = scan_to(*path, ":\"[");
	if (n >= path->n || path->p[n] != ':')
		return false;
	*path = str_from(*path, n + 1);
	return true;
}

static enum rc
check_bytes(struct str path, unsigned flags, bool *has_utf8, struct err *e)
{
	for (size_t i = 0; i < path.n; i++) {
		if (is_control(path.p[i]))
			return err_set(e, RC_PERM, "control character");
		if ((unsigned char)path.p[i] > 127)
			*has_utf8 = true;
	}
	if (*has_utf8 && !(flags & ADDR_UTF8_OK))
		return err_set(e, RC_PERM, "byte above 127");
	return RC_OK;
}

static bool
local_is_readable(struct str local)
{
	bool in_quotes = false;

	for (size_t i = 0; i < local.n; i++) {
		char c = local.p[i];

		if (c == '\\') {
			if (++i == local.n)
				return false;
		} else if (c == '"') {
			in_quotes = !in_quotes;
		} else if (!in_quotes && (c == ' ' || is_special(c))) {
			return false;
		}
	}
	return !in_quotes;
}

static bool
domain_is_readable(struct str domain)
{
	struct str inside = domain;

	if (domain.n == 0)
		return false;
	if (*domain.p != '[') {
		for (size_t i = 0; i < domain.n; i++)
			if (domain.p[i] != '.' && !is_atom_byte(domain.p[i]))
				return false;
		return true;
	}
	if (domain.n < 3 || domain.p[domain.n - 1] != ']')
		return false;
	inside = str_head(str_from(domain, 1), domain.n - 2);
	/* RFC 5321 4.1.3, without the dtext that no address family uses. */
	for (size_t i = 0; i < inside.n; i++)
		if (!ascii_isalnum(inside.p[i]) && strchr(".:-", inside.p[i]) == NULL)
			return false;
	return true;
}

/* Brings the local part into the form with exactly the quotes it needs. */
static enum rc
normalize(struct str path, struct arena *mem, struct str *out, struct err *e)
{
	struct str local, domain, s;

	addr_split(path, &local, &domain);
	s = path.n > 0 ? unquote(local, mem) : local;
	if (s.p != NULL && path.n > 0)
		s = addr_quote_local(s, mem);
	/* Nearly always there is nothing to change: one copy. */
	if (s.p != NULL)
		s = s.p == local.p ? arena_str(mem, path)
				   : join(mem, s, domain, local.n < path.n);
	if (s.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	if (s.n > ADDR_MAX)
		return err_set(e, RC_PERM, "address too long");
	*out = s;
	return RC_OK;
}

enum rc
addr_path_parse(struct str in, unsigned flags, struct arena *mem, struct addr_path *out,
    struct err *e)
{
	struct addr_path path = { 0 };
	struct str text, local, domain;
	enum rc rc = cut_path(in, flags, &text, &path.rest, e);

	if (rc != RC_OK)
		return rc;
	if (text.n > ADDR_MAX)
		return err_set(e, RC_PERM, "address too long");
	if (!(flags & ADDR_STRICT))
		text = str_trim(text);
	rc = check_bytes(text, flags, &path.has_utf8, e);
	if (rc != RC_OK)
		return rc;
	if (text.n == 0 && !(flags & ADDR_EMPTY_OK))
		return err_set(e, RC_PERM, "empty address");
	path.has_route = strip_route(&text);
	addr_split(text, &local, &domain);
	if (local.n < text.n) {
		if (!(flags & ADDR_STRICT) && domain.n > 1 &&
		    domain.p[domain.n - 1] == '.') {
			domain = str_head(domain, domain.n - 1);
			text = str_head(text, text.n - 1);
		}
		if (!domain_is_readable(domain))
			return err_set(e, RC_PERM, "cannot read the domain");
	}
	if (!local_is_readable(local) || (local.n == 0 && text.n > 0) ||
	    (path.has_route && text.n == 0))
		return err_set(e, RC_PERM, "cannot read the local part");
	rc = normalize(text, mem, &path.external, e);
	if (rc != RC_OK)
		return rc;
	addr_split(path.external, &path.local, &path.domain);
	*out = path;
	return RC_OK;
}

/* ---- operators ---- */

size_t
addr_find_bare(struct str s, char c, bool last)
{
	size_t at = s.n;
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && s.p[i] == c) {
			at = i;
			if (!last)
				break;
		}
	}
	return at;
}

static struct str
user_at_site(struct str user, struct str site, struct arena *mem)
{
	if (user.n == 0 && site.n > 0)
		user = STR("\"\"");
	return arena_printf(mem, "%.*s@%.*s", STR_ARG(user), STR_ARG(site));
}

/* `s` without the signs at its end that are not quoted. */
static struct str
without_last(struct str s, char c)
{
	bool quoted = false;
	size_t end = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (!quoted && s.p[i] == c)
			continue;
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		end = i + 1;
	}
	return str_head(s, end);
}

struct str
addr_swap_operators(struct str s, unsigned which, struct arena *mem)
{
	size_t at = addr_find_bare(s, '!', false);

	if ((which & ADDR_BANG) != 0 && at < s.n)
		return user_at_site(str_from(s, at + 1), str_head(s, at), mem);
	at = addr_find_bare(s, '%', true);
	if ((which & ADDR_PERCENT) == 0 || at == s.n)
		return s;
	s = without_last(s, '%'); /* compat: a%b% is a%b */
	at = addr_find_bare(s, '%', true);
	if (at == s.n)
		return user_at_site(s, STR(""), mem);
	return user_at_site(str_head(s, at), str_from(s, at + 1), mem);
}

/* ---- extensions, comparison, xtext ---- */

bool
addr_is_list_name(struct str local)
{
	return (local.n > 6 && str_istarts(local, STR("owner-"))) ||
	       (local.n > 8 && str_iends(local, STR("-request")));
}

bool
addr_split_extension(
    struct str local, struct str delimiters, struct str *user, struct str *extension)
{
	*user = local;
	*extension = STR("");
	if (str_iis(local, "postmaster") || str_iis(local, "mailer-daemon"))
		return false;
	for (size_t i = 1; i < local.n; i++) {
		if (!is_one_of(delimiters, local.p[i]))
			continue;
		if (is_one_of(delimiters, local.p[0]))
			return false;
		*user = str_head(local, i);
		*extension = str_from(local, i + 1);
		return true;
	}
	return false;
}

bool
addr_has_minus(struct str external)
{
	return str_starts(external, STR("-")) || str_starts(external, STR("\"-"));
}

bool
addr_same(struct str a, struct str b)
{
	return str_ieq(a, b);
}

enum rc
addr_xtext_decode(struct str in, struct arena *mem, struct str *out)
{
	char *p = arena_get(mem, in.n + 1);
	size_t n = 0;

	if (p == NULL)
		return RC_TEMP;
	for (size_t i = 0; i < in.n; i++) {
		uint64_t c = (unsigned char)in.p[i];

		if (c == '+') {
			if (in.n - i < 3 ||
			    str_hex64((struct str){ in.p + i + 1, 2 }, &c) != RC_OK)
				return RC_PERM;
			i += 2;
		}
		if (c < ' ' || c == 127)
			return RC_PERM;
		p[n++] = (char)c;
	}
	*out = (struct str){ p, n };
	return RC_OK;
}

struct str
addr_xtext_encode(struct str in, struct arena *mem)
{
	static const char hex[] = "0123456789ABCDEF";
	char *raw = arena_get(mem, 3 * in.n + 1);
	size_t n = 0;

	if (raw == NULL)
		return (struct str){ NULL, 0 };
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (c > ' ' && c < 127 && c != '+' && c != '=') {
			raw[n++] = (char)c;
			continue;
		}
		raw[n++] = '+';
		raw[n++] = hex[c >> 4];
		raw[n++] = hex[c & 15];
	}
	return (struct str){ raw, n };
}
