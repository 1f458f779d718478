#ifndef CONF_LIST_H
#define CONF_LIST_H
/* Lists in parameters: separated by blanks and commas, {…} keeps its inside together; and
 * match lists, whose items are patterns. Pure: an item that names a table is handed out
 * to be asked. */
#include "base/base.h"

struct arena;

#define CONF_LIST_SEPARATORS ", \t\r\n"

/* Takes the next item off *rest; outer braces stay on (see conf_list_unbrace()).
 * Returns: RC_NONE at the end; RC_PERM a brace is not closed. */
MUST_USE enum rc conf_list_next(struct str *rest, struct str *out);
/* The same with other separators. */
MUST_USE enum rc conf_list_next_in(
    struct str *rest, const char *separators, struct str *out);
/* Whether one pair of braces encloses all of `item`. */
bool conf_list_is_braced(struct str item);
/* "{ text }" to "text"; anything else unchanged. */
struct str conf_list_unbrace(struct str item);
/* All items at once, in `mem`. */
MUST_USE enum rc conf_list_split(
    struct str text, struct arena *mem, struct str **out, size_t *out_n, struct err *e);

enum match_kind {
	MATCH_WORD,    /* domain or word: example.com, .example.com, localhost */
	MATCH_NET,     /* address or network: 10.0.0.0/8, 2001:db8::/32, 192.0.2.1 */
	MATCH_TABLE,   /* type:name — ask it (an answer of any value matches) */
	MATCH_INVALID, /* looks like an address or net but is none: text says what is
			  wrong */
};

struct match_item {
	enum match_kind kind;
	bool is_negated; /* "!": a match ends the search with "no" */
	struct str
	    text; /* word in lower case; table as "type:name"; invalid: the message */
	unsigned char net[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;         /* 0..128 */
};

struct match_list {
	struct match_item *v;
	size_t n;
	bool has_tables;
	bool parent_matches_sub; /* example.com also matches a.example.com */
};

/* Reads "/file" items; tests pass one that answers from memory. RC_TEMP/RC_PERM end the
 * parsing. */
struct match_files {
	enum rc (*read)(void *arg, struct str path, struct arena *mem, struct str *out,
	    struct err *e);
	void *arg;
};
extern const struct match_files match_files_os;

/* Memory:  *out lives in `mem`.
 * Returns: RC_PERM malformed (unclosed brace, too deep, bad network); RC_TEMP a file
 * cannot be read. */
MUST_USE enum rc match_list_parse(struct str text, const struct match_files *files,
    struct arena *mem, struct match_list *out, struct err *e);
/* Whether parent_domain_matches_subdomains (an expanded value) names `feature`. */
bool match_parent_style(struct str parent_domain_matches_subdomains, struct str feature);

/* The walk: start with *at = 0. Finds the first item that decides.
 * Returns: RC_OK it matched (*out_match false: a negated item did);
 *          RC_NONE the list has no item that matches;
 *          RC_MORE a table must be asked: match_list.v[*at].text, with the keys of
 *          match_table_key(); then go on with match_list_answer(). */
struct match_query {
	const struct match_list *list;
	struct str name;    /* host or domain or word, any case; may be empty */
	struct str address; /* textual address without [], may be empty */
	size_t at;
};
MUST_USE enum rc match_list_step(struct match_query *q, bool *out_match);
/* The table said so: RC_OK and *out_match when that decides, else goes on like step. */
MUST_USE enum rc match_list_answer(struct match_query *q, bool found, bool *out_match);
/* The n-th key to ask the present table for: the name, then (when the list's style says
 * so) its parents, or the address. RC_NONE: no more keys. `.parent` forms are used when
 * subdomains do not match. */
MUST_USE enum rc match_table_key(
    const struct match_query *q, unsigned nth, struct str *out);

/* For lists without tables: one call. Tables in it never match. */
bool match_list_pure(const struct match_list *l, struct str name, struct str address);

/* Textual IPv4 or IPv6 address (no brackets) to 16 bytes. RC_PERM: neither. */
MUST_USE enum rc conf_parse_ip(struct str text, unsigned char out[16]);
#endif
