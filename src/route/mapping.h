#ifndef ROUTE_MAPPING_H
#define ROUTE_MAPPING_H
#include "route/list.h"
#include "route/route.h"

/* Addresses rewritten and expanded on their way in: completed, then canonical_maps and
 * their kind, then masquerading; recipients expanded with virtual_alias_maps; who gets
 * copies. Pure: configuration in, questions out. */

enum mapping_class {
	MAPPING_ENVELOPE_SENDER,
	MAPPING_ENVELOPE_RECIPIENT,
	MAPPING_HEADER_SENDER,
	MAPPING_HEADER_RECIPIENT,
};

enum mapping_propagate { /* propagate_unmatched_extensions */
	MAPPING_EXT_CANONICAL = 1,
	MAPPING_EXT_VIRTUAL = 2,
	MAPPING_EXT_ALIAS = 4,
	MAPPING_EXT_FORWARD = 8,
	MAPPING_EXT_INCLUDE = 16,
	MAPPING_EXT_GENERIC = 32,
};

struct mapping_conf {
	const struct route_conf *route;
	/* How an address is completed before it is looked up: NULL: as route says. For
	 * headers of clients that are not local both domains are
	 * remote_header_rewrite_domain. */
	const struct route_conf *complete;
	struct ask_tables canonical, sender_canonical, recipient_canonical;
	/* Sets of 1 << enum mapping_class. */
	unsigned canonical_classes, sender_canonical_classes, recipient_canonical_classes,
	    masquerade_classes;
	const struct str *masquerade; /* domains, perhaps with ! in front */
	unsigned n_masquerade;
	struct route_list masquerade_exceptions; /* of user names */
	struct ask_tables virtual_alias;
	unsigned virtual_expansion_limit, virtual_recursion_limit;
	size_t virtual_length_limit;
	unsigned propagate; /* enum mapping_propagate, or-ed */
	struct ask_tables sender_bcc, recipient_bcc;
	struct str always_bcc;
};

/* Sets of names: parameters *_classes and propagate_unmatched_extensions.
 * Returns: RC_PERM an unknown name, e says which. */
MUST_USE enum rc mapping_classes_parse(struct str text, unsigned *out, struct err *e);
MUST_USE enum rc mapping_propagate_parse(struct str text, unsigned *out, struct err *e);
/* Memory: the array in `mem`, with views of `text`. */
MUST_USE enum rc mapping_masquerade_parse(
    struct str text, struct arena *mem, struct mapping_conf *c, struct err *e);
/* Whether any table or masquerading applies to addresses of this class. When not,
 * mapping_address() only completes them, and asks nothing. */
bool mapping_applies(const struct mapping_conf *c, enum mapping_class cls);

/* An address completed, looked up in the canonical tables of its class, masqueraded.
 * `address` in external form, without <>; empty stays empty.
 * Memory:  *out in a->mem, or a view of `address`.
 * Returns: RC_OK: and when e->text is not empty now, it is a warning for the log that
 *          goes behind "QUEUE-ID: "; RC_MORE; RC_TEMP: e has the line for the log (behind
 *          "QUEUE-ID: ", compat), the message is not to be accepted: "4.3.0 Error: queue
 *          file write error". */
MUST_USE enum rc mapping_address(struct ask *a, const struct mapping_conf *c,
    enum mapping_class cls, struct str address, struct str *out, struct err *e);
/* The same without tables: never asks. Memory: *out in `mem`. RC_TEMP: memory limit. */
MUST_USE enum rc mapping_complete(
    const struct mapping_conf *c, struct str address, struct arena *mem, struct str *out);

/* Who gets a copy of mail from (to) this mapped address: sender_bcc_maps,
 * recipient_bcc_maps. Returns: RC_OK, RC_NONE nobody, RC_MORE, RC_TEMP as
 * mapping_address(). */
MUST_USE enum rc mapping_bcc(struct ask *a, const struct mapping_conf *c,
    enum mapping_class cls, struct str address, struct str *out, struct err *e);

/* ---- virtual_alias_maps ---- */

/* The expansion of one recipient, one look-up a step, so that long lists cost no question
 * twice and may wait as often as they like. */
struct mapping_expansion {
	struct arena *mem; /* of the results */
	struct str *v;     /* the results when it is over */
	size_t n;
	/* The rest is the expansion's own. */
	struct str first;
	size_t cap, at, depth;
	struct str *done; /* addresses that expanded into themselves */
	size_t n_done, cap_done;
	bool is_loop; /* set with RC_TEMP: a limit was met, not trouble with a table */
};
/* `address`: mapped already. */
MUST_USE enum rc mapping_expansion_init(
    struct mapping_expansion *x, struct arena *mem, struct str address);
/* Looks up one address.
 * Returns: RC_OK: call again, with a fresh struct ask if you like; RC_NONE: it is over,
 * x->v has what came of it, in order; RC_MORE: nothing has happened, fetch and call
 *          again; RC_TEMP: e has the line for the log (behind "QUEUE-ID: "), with
 *          x->is_loop the reply is "4.6.0 Alias expansion error" instead of 4.3.0.
 * Limits:  virtual_alias_expansion_limit, _recursion_limit, _address_length_limit. */
MUST_USE enum rc mapping_expansion_step(struct ask *a, const struct mapping_conf *c,
    struct mapping_expansion *x, struct err *e);

/* The same at one go, for few results. Not for mail on its way in: each question is
 * compared with all before it. */
struct mapping_rcpt {
	struct str address, orig, orcpt;
	uint8_t notify;
};
struct mapping_rcpts {
	const struct mapping_rcpt *v;
	size_t n;
};
/* Memory: *out in a->mem. Returns: as mapping_expansion_step(), but RC_OK when over. */
MUST_USE enum rc mapping_expand(struct ask *a, const struct mapping_conf *c,
    const struct mapping_rcpt *rcpt, struct mapping_rcpts *out, struct err *e);

/* ---- results of tables ---- */

struct mapping_found {
	struct str *v;
	size_t n;
};
/* The addresses of a list such as "a@b, \"c d\"@e (comment) Name <f@g> h": commas or
 * blanks end an address; names, comments and groups' names go; <> is an empty one.
 * Memory:  *out in `mem`. Total: any text.
 * Returns: RC_OK at least one; RC_NONE no address; RC_TEMP memory limit, or one is longer
 *          than ADDR_MAX. */
MUST_USE enum rc mapping_list_parse(
    struct str text, struct arena *mem, struct mapping_found *out);

/* One address looked up in tables as canonical, virtual and generic tables are: the value
 * a list of addresses, "@domain" keeps the local part, the extension that the key had not
 * is carried over when `with_extension`, each result completed. Memory:  *out in a->mem.
 * Returns: RC_OK with at least one; RC_NONE; RC_MORE; RC_TEMP, e has "" or a line for the
 *          log about a value that is no address. */
struct mapping_lookup {
	const struct route_conf *route;
	const struct ask_tables *tables;
	const char *title; /* the parameter's name */
	bool with_extension;
};
MUST_USE enum rc mapping_find(struct ask *a, const struct mapping_lookup *how,
    struct str address, struct mapping_found *out, struct err *e);
#endif
