/* What tables of addresses say about one address: their values are lists of addresses as
 * people write them, each is completed, and the extension that was not part of the key
 * may be carried over. */
#include "addr/address.h"
#include "route/mapping.h"
#include "route/route_int.h"

/* ---- lists of addresses ---- */

struct word {
	char what; /* 'a' part of an address, 0 the end; else the character itself */
	struct str text;
};

static size_t
skip_comment(struct str s, size_t i)
{
	unsigned depth = 0;

	for (; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(')
			depth++;
		else if (s.p[i] == ')' && --depth == 0)
			return i + 1;
	}
	return s.n;
}

/* From the quote or bracket at `i` to behind the one that closes it. */
static size_t
skip_quoted(struct str s, size_t i, char close)
{
	for (i++; i < s.n && s.p[i] != close; i++)
		if (s.p[i] == '\\')
			i++;
	return i < s.n ? i + 1 : s.n;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_atom(char c)
{
	return !is_blank(c) && c != '\0' && c != '"' && c != '(' && c != ')' &&
	       c != '<' && c != '>' && c != '@' && c != ',' && c != ';' && c != ':' &&
	       c != '.' && c != '[' && c != '\\';
}

static struct word
next_word(struct str *rest)
{
	struct str s = *rest;
	struct word w = { 0 };
	size_t i = 0, end;

	while (i < s.n && (is_blank(s.p[i]) || s.p[i] == '('))
		i = s.p[i] == '(' ? skip_comment(s, i) : i + 1;
	if (i >= s.n) {
		*rest = str_from(s, s.n);
		return w;
	}
	end = i + 1;
	w.what = s.p[i];
	if (s.p[i] == '"' || s.p[i] == '[') {
		end = skip_quoted(s, i, s.p[i] == '"' ? '"' : ']');
		w.what = 'a';
	} else if (is_atom(s.p[i]) || s.p[i] == '\\') {
		for (end = i; end < s.n && (is_atom(s.p[end]) || s.p[end] == '\\'); end++)
			if (s.p[end] == '\\' && end + 1 < s.n)
				end++;
		w.what = 'a';
	}
	end = end > s.n ? s.n : end;
	w.text = str_n(s.p + i, end - i);
	*rest = str_from(s, end);
	return w;
}

/* One pass over the list. Words that are not joined by @ or a dot are addresses of their
 * own (compat: a missing comma), until a < or a colon shows that they were a name. */
struct reader {
	struct arena *mem;
	struct str *v;
	size_t n, cap;
	size_t first; /* of those since the last comma */
	char text[ADDR_MAX + 1];
	size_t at;
	bool has_one, is_open; /* is_open: the next word belongs to it whatever it is */
};

static enum rc
end_one(struct reader *r)
{
	struct str *more;

	if (!r->has_one)
		return RC_OK;
	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 4 : r->cap * 2;
		more = arena_array(r->mem, r->cap, sizeof(*more));
		if (more == NULL)
			return RC_TEMP;
		for (size_t i = 0; i < r->n; i++)
			more[i] = r->v[i];
		r->v = more;
	}
	r->v[r->n] = arena_str(r->mem, str_n(r->text, r->at));
	r->has_one = r->is_open = false;
	r->at = 0;
	return r->v[r->n++].p != NULL ? RC_OK : RC_TEMP;
}

static enum rc
add_word(struct reader *r, const struct word *w)
{
	enum rc rc = RC_OK;

	if (w->what == 'a' && r->has_one && !r->is_open)
		rc = end_one(r);
	if (rc == RC_OK && r->at + w->text.n > ADDR_MAX)
		rc = RC_TEMP;
	for (size_t i = 0; rc == RC_OK && i < w->text.n; i++)
		r->text[r->at++] = w->text.p[i];
	r->has_one = true;
	r->is_open = w->what != 'a';
	return rc;
}

static void
drop_name(struct reader *r)
{
	r->n = r->first;
	r->at = 0;
	r->has_one = r->is_open = false;
}

/* Everything between < and >. */
static enum rc
read_route(struct reader *r, struct str *rest)
{
	enum rc rc = RC_OK;
	struct word w;

	drop_name(r);
	r->has_one = true;
	for (w = next_word(rest); rc == RC_OK && w.what != '\0' && w.what != '>';
	     w = next_word(rest)) {
		r->is_open = true;
		rc = add_word(r, &w);
	}
	if (rc == RC_OK)
		rc = end_one(r);
	r->first = r->n;
	return rc;
}

enum rc
mapping_list_parse(struct str text, struct arena *mem, struct mapping_found *out)
{
	struct reader r = { .mem = mem };
	struct word w;
	enum rc rc = RC_OK;

	for (w = next_word(&text); rc == RC_OK && w.what != '\0'; w = next_word(&text)) {
		if (w.what == 'a' || w.what == '@' || w.what == '.') {
			rc = add_word(&r, &w);
		} else if (w.what == '<') {
			rc = read_route(&r, &text);
		} else if (w.what == ':') {
			drop_name(&r); /* of a group */
		} else if (w.what == ',' || w.what == ';') {
			rc = end_one(&r);
			r.first = r.n;
		}
	}
	if (rc == RC_OK)
		rc = end_one(&r);
	if (rc == RC_OK && r.n == 0)
		return RC_NONE;
	*out = (struct mapping_found){ r.v, r.n };
	return rc;
}

/* ---- look-ups ---- */

/* compat: "@domain" as a value keeps the local part, and all of the value belongs to it.
 */
static struct str
keep_local(struct str value, struct str address, struct arena *mem)
{
	struct str internal = addr_to_internal(address, mem), local, domain;

	if (internal.p == NULL && address.n > 0)
		return internal;
	addr_split(internal, &local, &domain);
	return addr_to_external(
	    arena_printf(mem, "%.*s%.*s", STR_ARG(local), STR_ARG(value)), mem);
}

static enum rc
add_extension(struct str extension, struct arena *mem, struct str *s)
{
	struct str internal, local, domain;

	if (extension.n == 0)
		return RC_OK;
	internal = addr_to_internal(*s, mem);
	addr_split(internal, &local, &domain);
	*s = addr_to_external(
	    arena_printf(mem, "%.*s%.*s%s%.*s", STR_ARG(local), STR_ARG(extension),
		domain.n > 0 ? "@" : "", STR_ARG(domain)),
	    mem);
	return s->p != NULL ? RC_OK : RC_TEMP;
}

/* All addresses of the value, each completed. */
static enum rc
read_value(const struct mapping_lookup *how, const struct route_found *f,
    struct arena *mem, struct mapping_found *out)
{
	struct mapping_found found;
	enum rc rc = mapping_list_parse(f->value, mem, &found);

	for (size_t i = 0; rc == RC_OK && i < found.n; i++) {
		struct str *one = &found.v[i];

		if (str_is(*one, "\"\"")) /* compat: nobody, as <> */
			*one = STR("");
		rc = route_rewrite(how->route, *one, mem, one);
		if (rc == RC_OK && one->n > 0) {
			*one = addr_to_external(addr_to_internal(*one, mem), mem);
			rc = one->p != NULL ? RC_OK : RC_TEMP;
		}
		if (rc == RC_OK && one->n > 0 && how->with_extension)
			rc = add_extension(f->extension, mem, one);
	}
	if (rc == RC_OK)
		*out = found;
	return rc;
}

static enum rc
find(struct ask *a, const struct mapping_lookup *how, struct str address,
    struct mapping_found *out, struct err *e)
{
	struct route_found f;
	struct str *one;
	enum rc rc = route_find_rest(a, how->route, how->tables, address, &f);

	if (rc != RC_OK)
		return rc == RC_TEMP ? err_set(e, rc, "%s", "") : rc;
	if (f.value.n > 0 && f.value.p[0] == '@') {
		one = arena_get(a->mem, sizeof(*one));
		if (one == NULL)
			return err_set(e, RC_TEMP, "%s", "");
		*one = keep_local(f.value, address, a->mem);
		rc = one->p == NULL ? RC_TEMP
				    : route_rewrite(how->route, *one, a->mem, one);
		*out = (struct mapping_found){ one, 1 };
		return rc == RC_OK ? rc : err_set(e, RC_TEMP, "%s", "");
	}
	rc = read_value(how, &f, a->mem, out);
	if (rc == RC_NONE) /* compat */
		return err_set(e, RC_TEMP,
		    "%s lookup of %.*s returns non-address result \"%.*s\"", how->title,
		    STR_ARG(address), STR_ARG(f.value));
	return rc == RC_OK ? rc : err_set(e, RC_TEMP, "%s", "");
}

/* An address goes into commands and headers. Who may write an entry of his own in a
 * directory shall not write more than that. */
enum rc
mapping_find(struct ask *a, const struct mapping_lookup *how, struct str address,
    struct mapping_found *out, struct err *e)
{
	struct mapping_found found;
	enum rc rc = find(a, how, address, &found, e);

	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < found.n; i++)
		if (!str_is_line(found.v[i]))
			return err_set(e, RC_TEMP,
			    "%s lookup of %.*s returns an address with a line break",
			    how->title, STR_ARG(address));
	*out = found;
	return RC_OK;
}
