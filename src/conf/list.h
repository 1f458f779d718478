#ifndef CONF_LIST_H
#define CONF_LIST_H
/* Lists in parameters: separated by blanks and commas, {…} keeps its inside together; and
 * match lists whose items are patterns and that ask no table. */
#include "addr/net.h"
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

enum match_kind {
	MATCH_WORD,    /* domain or word: example.com, .example.com, localhost */
	MATCH_NET,     /* address or network: 10.0.0.0/8, 2001:db8::/32, 192.0.2.1 */
	MATCH_TABLE,   /* type:name: not asked here */
	MATCH_INVALID, /* looks like an address or net but is none: text says what is
			  wrong */
};

struct match_item {
	enum match_kind kind;
	bool is_negated; /* "!": a match ends the search with "no" */
	struct str
	    text; /* word in lower case; table as "type:name"; invalid: the message */
	struct addr_net net;
};

struct match_list {
	struct match_item *v;
	size_t n;
	bool has_tables;
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
/* Whether the first item that fits is one without "!". `name`: a host, user or domain, or
 * empty; ".example.com" covers what is below it. `ip` may be NULL. Tables never match. */
bool match_list_has(
    const struct match_list *l, struct str name, const struct addr_ip *ip);
#endif
