#ifndef BASE_BASE_H
#define BASE_BASE_H
/* The vocabulary every folder speaks: results, views, error texts. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE           __attribute__((warn_unused_result))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define ARRAY_LEN(a)       (sizeof(a) / sizeof((a)[0]))
/* The structure of type `type` whose member `member` is at `p`. */
#define CONTAINER_OF(p, type, member)                                                    \
	((type *)(void *)((char *)(p)-offsetof(type, member)))

/* How something ended. For a mail server the first question about a failure is whether
 * it could work later, so that is part of the result.
 *
 * Who detects a failure classifies it; who passes it on may soften PERM to TEMP, never
 * the other way. Our own trouble (disk, memory, tables, DNS) is always TEMP. */
enum rc {
	RC_OK,   /* done, outputs are set */
	RC_NONE, /* nothing there; not an error */
	RC_MORE, /* need more input, or would block; call again */
	RC_TEMP, /* failed now, may work later: a 4yz for the peer */
	RC_PERM, /* waiting will not help: a 5yz for the peer */
};

/* "ok", "none", "more", "temp", "perm": for traces and logs. */
const char *rc_name(enum rc rc);

#define US_PER_SEC INT64_C(1000000)
#define US_PER_MS  INT64_C(1000)

/* The words that go with a failure. Owned by the caller, who may pass NULL. */
struct err {
	int sys; /* errno at the cause, or 0 */
	char text[240];
};

/* Sets the text and returns `rc`, so that failing is one line. */
enum rc err_set(struct err *e, enum rc rc, const char *fmt, ...) PRINTF(3, 4);
/* The same with ": strerror(errno)" added and e->sys set. */
enum rc err_sys(struct err *e, enum rc rc, const char *fmt, ...) PRINTF(3, 4);
/* Puts context before the text that is there: "context: old text". */
enum rc err_in(struct err *e, enum rc rc, const char *fmt, ...) PRINTF(3, 4);

/* malloc family for what must not fail: running out of memory aborts. Peers cannot
 * cause that, because every buffer and arena has a limit. */
void *mem_get(size_t size);             /* zeroed; free() it */
void *mem_array(size_t n, size_t size); /* zeroed, overflow-checked; free() it */
void *mem_grow(
    void *p, size_t n, size_t size); /* realloc, overflow-checked, not zeroed */
char *mem_strdup(const char *s);

/* A view of bytes that somebody else owns. To keep it, copy it into your arena. */
struct str {
	const char *p;
	size_t n;
};
char *mem_str(struct str s); /* a copy with a NUL behind it; free() it */

#define STR(lit) ((struct str){ (lit), sizeof(lit) - 1 })
#define STR_INIT(lit)                                                                    \
	{                                                                                \
		(lit), sizeof(lit) - 1                                                   \
	}
#define STR_ARG(s) (int)((s).n > INT32_MAX ? INT32_MAX : (s).n), (s).p /* for "%.*s" */

struct str str_c(const char *cstr); /* NULL gives an empty view */
struct str str_n(const void *p, size_t n);
bool str_eq(struct str a, struct str b);
bool str_ieq(struct str a, struct str b); /* ASCII case folded */
bool str_is(struct str a, const char *b);
bool str_iis(struct str a, const char *b);
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_iends(struct str s, struct str suffix);
bool str_is_ascii(struct str s);                  /* no byte above 127 */
int str_cmp(struct str a, struct str b);          /* like memcmp, shorter first */
struct str str_from(struct str s, size_t offset); /* empty when beyond the end */
struct str str_head(struct str s, size_t n);
struct str str_trim(struct str s); /* blanks, tabs, CR, LF off both ends */
/* Where `c` is; s.n when it is not there. */
size_t str_find(struct str s, char c);
size_t str_rfind(struct str s, char c);
/* Where `a` stands with `b` behind it; s.n: nowhere. Fast when `b` is rare. */
size_t str_find_pair(struct str s, char a, char b);
/* Whether there is neither LF, CR nor NUL in it: no address and no next hop has these. */
bool str_is_line(struct str s);
/* Splits at the first `c`: true, and *head / *tail without it; false: not there. */
bool str_cut(struct str s, char c, struct str *head, struct str *tail);
/* Takes the next token, ended by any character of `separators`, off *rest; false when
 * only separators are left. */
bool str_token(struct str *rest, const char *separators, struct str *out);
/* Decimal digits only, no sign, no blanks. RC_PERM: not a number or too large. */
MUST_USE enum rc str_u64(struct str s, uint64_t max, uint64_t *out);
MUST_USE enum rc str_hex64(struct str s, uint64_t *out);

/* ASCII only, whatever the locale. */
static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}
static inline char
ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}
static inline bool
ascii_isdigit(char c)
{
	return c >= '0' && c <= '9';
}
static inline bool
ascii_isalpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool
ascii_isalnum(char c)
{
	return ascii_isdigit(c) || ascii_isalpha(c);
}
static inline bool
ascii_isspace(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}
#endif
