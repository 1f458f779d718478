#ifndef ACCESS_ACCESS_INT_H
#define ACCESS_ACCESS_INT_H
#include "access/access.h"

/* What restrictions are written against. One evaluation of one stage. */
struct access_eval {
	struct ask *a;
	const struct access_conf *c;
	const struct access_request *q;
	enum access_stage stage;
	struct access_state state; /* a copy; the caller's changes only at the end */
	struct access_verdict v;
	struct access_note **note_end;
	struct access_trace **trace_end;
	struct access_text **prepend_end, **bcc_end;
	struct str defer_if_reject; /* reply that replaces a 5xx in this list, or empty */
	/* Changed while the list in a table's result runs: what the generic restrictions
	 * say was refused. */
	struct str subject;
	const char *cls;
	const struct access_item *item; /* the present one: name and argument */
	unsigned depth;                 /* of classes and results */
	unsigned warning_depth; /* warn_if_reject is in force: set at this depth + 1 */
	bool failed; /* the verdict is our own trouble: warn_if_reject does not soften it
		      */
	unsigned n_sleeps, n_steps;
	bool is_quiet; /* permits are not logged */
};

/* A restriction. Leaves ev->v.what alone for "no opinion". Its argument is ev->item->arg.
 * Returns: RC_OK, or RC_MORE. */
typedef enum rc access_fn(struct access_eval *ev);

enum access_flag {
	ACCESS_TAKES_ARG = 1,
	ACCESS_PROTECTS = 2,      /* counts as protection against relaying by strangers */
	ACCESS_ENDS_LIST = 4,     /* nothing behind it is ever reached */
	ACCESS_FOR_RECIPIENT = 8, /* without a recipient it has no opinion */
	ACCESS_PREFIX = 16,       /* warn_if_reject */
	ACCESS_TABLE_ARG = 32,    /* the argument is a table to open */
	ACCESS_FOR_SENDER = 64,   /* without a sender, or with <>, it has no opinion */
	ACCESS_FOR_HELO = 128,    /* without HELO it has no opinion */
};

struct access_restriction {
	const char *name;
	access_fn *fn; /* NULL: ACCESS_PREFIX */
	unsigned flags;
};

struct access_item {
	const struct access_restriction *r; /* NULL: nobody knows this name, or a class */
	const struct access_class *cls;     /* of smtpd_restriction_classes, or NULL */
	bool is_bare;                       /* a table without a name: arg is the table */
	struct str name, arg;
};

/* NULL: unknown. Case folded. */
const struct access_restriction *access_restriction_find(struct str name);
/* What `type:table` alone means in that list; NULL: an error. */
const struct access_restriction *access_bare_table(enum access_stage stage);

/* The items of local_header_rewrite_clients that are restrictions; NULL: none of them. */
const struct access_restriction *access_rewrite_item(struct str name);
/* The words of a list, and room for an item of each, in `mem`. RC_PERM: unbalanced
 * braces. */
MUST_USE enum rc access_words(struct str text, struct arena *mem, struct ask_tables *out,
    struct access_item **out_items, struct err *e);
/* The table of a restriction's argument, which may stand in braces with parameters. */
struct str access_table_of(struct str arg);

/* ---- replies ---- */

/* The classes of replies, compat. */
#define ACCESS_CLS_CLIENT    "Client host"
#define ACCESS_CLS_REVERSE   "Unverified Client host"
#define ACCESS_CLS_CCERT     "Client certificate"
#define ACCESS_CLS_SASL      "SASL login name"
#define ACCESS_CLS_HELO      "Helo command"
#define ACCESS_CLS_SENDER    "Sender address"
#define ACCESS_CLS_RECIPIENT "Recipient address"
#define ACCESS_CLS_ETRN      "Etrn command"

/* "<code> <dsn> <subject>: <cls> rejected: <words>". `code` decides the first digit of
 * the status. */
struct access_reply {
	unsigned code;
	const char *dsn; /* ".7.1"; NULL: the status is at the front of `words` */
	struct str words;
	struct str subject; /* .p NULL: the list's (ev->subject) */
	const char *cls;    /* NULL: no "<cls> rejected: " before the words */
	bool is_bare;       /* not even "<subject>: " */
};
/* Sets the verdict to a reject. */
enum rc access_reject(struct access_eval *ev, const struct access_reply *r);
/* DEFER_IF_PERMIT and DEFER_IF_REJECT: the reply waits for how the lists end. The first
 * one is kept. Under warn_if_reject it is only noted. */
enum rc access_defer_if_permit(struct access_eval *ev, const struct access_reply *r);
enum rc access_defer_if_reject(struct access_eval *ev, const struct access_reply *r);
/* A *_tempfail_action: `waits` for the lists' end, or defers at once. */
enum rc access_tempfail(struct access_eval *ev, bool waits, const struct access_reply *r);
/* 451 4.3.0 <subject>: Temporary lookup failure, and why, as a warning. */
void access_lookup_trouble(struct access_eval *ev, struct str subject);
/* 451 4.3.5 Server configuration error; nothing more is evaluated. */
void access_config_trouble(struct access_eval *ev);
/* Ends the list with OK; logged when smtpd_log_access_permit_actions wants it, for the
 * client or for what it is about. Returns: RC_OK or RC_MORE. */
enum rc access_permit(struct access_eval *ev);
enum rc access_permit_for(struct access_eval *ev, const char *cls, struct str subject);
void access_warn(struct access_eval *ev, struct str text);
void access_info(struct access_eval *ev, struct str text);
/* Which table failed, and why. */
void access_warn_trouble(struct access_eval *ev);
/* A line of the session's frame: "info", "hold" … Not for rejects. */
void access_log(struct access_eval *ev, const char *verb, struct str text);
/* "5.7.1 words" at the front of *text (else `otherwise`), as it fits that class of reply:
 * the status; *text is what stands behind it. */
struct str access_split_status(
    struct access_eval *ev, const char *cls, const char *otherwise, struct str *text);
/* compat: replies show addresses without quotes. */
struct str access_shown(const struct access_eval *ev, struct str address);
/* name[addr] */
struct str access_client(const struct access_eval *ev);

/* ---- tables ---- */

/* Where an action comes from, for replies and logs. */
struct access_source {
	struct str table;   /* "hash:/etc/postfix/access", a policy service */
	struct str datum;   /* "policy query"; searches: .p NULL, they fill it in */
	struct str subject; /* in replies and lists: an address, name[addr] … */
	const char *cls;    /* ACCESS_CLS_… */
	bool no_ok;         /* OK is refused as a mistake: 451 4.3.5 ("OK not allowed") */
};
/* An access(5) action, or a policy service's. Sets the verdict, effects and notes.
 * Returns: RC_OK (the verdict may be ACCESS_DUNNO), RC_MORE. */
MUST_USE enum rc access_apply(
    struct access_eval *ev, const struct access_source *from, struct str action);
/* The permit of an action, logged like access_permit()'s. */
MUST_USE enum rc access_permit_by(
    struct access_eval *ev, const struct access_source *from, struct str action);
/* Looks `key` up in from->table, ASK_… `flags`, and applies what it says. A table's
 * trouble is applied as 451 4.3.5. Returns: RC_OK found and applied; RC_NONE not there;
 * RC_MORE. */
MUST_USE enum rc access_find(struct access_eval *ev, const struct access_source *from,
    struct str key, unsigned flags);
/* The searches of access(5), same results: a domain and its parents; an address and its
 * networks; a mail address. */
MUST_USE enum rc access_find_domain(
    struct access_eval *ev, const struct access_source *from, struct str domain);
MUST_USE enum rc access_find_addr(
    struct access_eval *ev, const struct access_source *from, struct str addr);
MUST_USE enum rc access_find_mail(
    struct access_eval *ev, const struct access_source *from, struct str address);

/* ---- recipients ---- */

/* Where the recipient goes. RC_OK; RC_MORE; RC_TEMP: the verdict is set. */
MUST_USE enum rc access_resolve_recipient(struct access_eval *ev, struct route *out);
/* Whether we are the right place for a recipient that goes there. */
bool access_is_auth_destination(const struct access_eval *ev, const struct route *r);

/* ---- restrictions that are not in restrictions.c ---- */

/* False, and a warning that the restriction is ignored: smtpd_sasl_auth_enable is off. */
bool access_has_sasl(struct access_eval *ev, const char *name);
/* All restrictions of a list, one after the other, up to the first opinion. */
MUST_USE enum rc access_run_items(struct access_eval *ev, const struct access_list *l);
/* unlisted.c; used as restrictions and at the end of a stage */
access_fn access_unlisted_recipient, access_unlisted_sender;
/* tables.c */
access_fn access_check_client, access_check_reverse_client, access_check_helo,
    access_check_sender, access_check_recipient, access_check_etrn, access_check_sasl,
    access_check_ccert;
/* names.c */
access_fn access_unknown_client, access_unknown_reverse_client, access_invalid_helo,
    access_non_fqdn_helo, access_non_fqdn_sender, access_non_fqdn_recipient;
/* login.c */
access_fn access_login_mismatch, access_login_mismatch_auth, access_login_mismatch_known,
    access_login_mismatch_unauth;
#endif
