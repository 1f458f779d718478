#ifndef ACCESS_ACCESS_INT_H
#define ACCESS_ACCESS_INT_H
#include "access/access.h"

/* One evaluation of one stage. */
struct access_eval {
	struct ask *a;
	const struct access_conf *c;
	const struct access_request *q;
	enum access_stage stage;
	struct access_state state; /* a copy; the caller's changes only at the end */
	struct access_verdict v;
	struct access_note **note_end;
	struct str defer_if_reject; /* reply that replaces a 5xx in this list, or empty */
	bool is_warning; /* warn_if_reject stands before the present restriction */
	bool failed; /* the verdict is our own trouble: warn_if_reject does not soften it
		      */
};

/* A restriction. Leaves ev->v.what alone for "no opinion".
 * Returns: RC_OK, or RC_MORE. */
typedef enum rc access_fn(struct access_eval *ev);

enum access_flag {
	ACCESS_TAKES_ARG = 1,
	ACCESS_PROTECTS = 2,      /* counts as protection against relaying by strangers */
	ACCESS_ENDS_LIST = 4,     /* nothing behind it is ever reached */
	ACCESS_FOR_RECIPIENT = 8, /* without a recipient it has no opinion */
	ACCESS_PREFIX = 16,       /* warn_if_reject */
};

struct access_restriction {
	const char *name;
	access_fn *fn; /* NULL: known to Postfix, not available in this version */
	unsigned flags;
};

struct access_item {
	const struct access_restriction *r; /* NULL: nobody knows this name */
	struct str name, arg;
};

/* NULL: unknown. Case folded. */
const struct access_restriction *access_restriction_find(struct str name);

/* Sets the verdict to a reject of this restriction. `code` decides the first digit of
 * `dsn`, which is given without it: ".7.1". The text is "<what>: " and the words. */
struct access_reply {
	unsigned code;
	const char *dsn;
	struct str words;
	struct str subject; /* NULL: the stage's */
};
enum rc access_reject(struct access_eval *ev, const struct access_reply *r);
/* "CLASS rejected: text" in the arena. */
struct str access_rejected(struct access_eval *ev, const char *text);
/* 451 4.3.0 <what>: Temporary lookup failure, and why, as a warning. */
void access_lookup_trouble(struct access_eval *ev);
/* 451 4.3.5 Server configuration error. */
void access_config_trouble(struct access_eval *ev);
enum rc access_permit(struct access_eval *ev);
void access_warn(struct access_eval *ev, struct str text);
/* compat: replies show addresses without quotes. */
struct str access_shown(const struct access_eval *ev, struct str address);
/* What the stage is about: name[addr], the helo name, an address. */
struct str access_subject(const struct access_eval *ev);

/* Used as restrictions and at the end of a stage. */
access_fn access_unlisted_recipient, access_unlisted_sender;
#endif
