#ifndef ACCESS_ACCESS_H
#define ACCESS_ACCESS_H
#include "ask/ask.h"
#include "base/base.h"
#include "route/route.h"

/* Restriction lists to a verdict. Pure; lists are compiled once per configuration, run
 * for each event. Which list runs when (smtpd_delay_reject) is the SMTP session's; what
 * is in this file runs one stage. New restrictions are rows of the table in
 * access/restrictions.c. */

enum access_stage {
	ACCESS_CLIENT,
	ACCESS_HELO,
	ACCESS_SENDER,
	ACCESS_RELAY,
	ACCESS_RECIPIENT,
	ACCESS_DATA,
	ACCESS_END_OF_DATA,
	ACCESS_ETRN,
};
#define ACCESS_N_STAGE (ACCESS_ETRN + 1)

struct access_item; /* one restriction with its argument */
struct access_list {
	const struct access_item *v;
	unsigned n;
};

struct access_conf {
	const struct route_conf *route;
	struct access_list list[ACCESS_N_STAGE];
	struct route_list mynetworks;
	bool relay_before_recipient; /* smtpd_relay_before_recipient_restrictions */
	bool reject_unlisted_recipient, reject_unlisted_sender;
	unsigned reject_code, defer_code, relay_domains_reject_code,
	    unknown_local_recipient_reject_code, unknown_virtual_mailbox_reject_code,
	    unknown_virtual_alias_reject_code, unknown_relay_recipient_reject_code;
	bool soft_bounce, allow_untrusted_routing;
};

/* Compiles the text of smtpd_*_restrictions. An unknown restriction, or one that this
 * version does not have, compiles too: reaching it answers 451 4.3.5 and warns (fail
 * closed). Memory: everything in `mem`; views of `text`. Returns: RC_PERM unbalanced
 * braces. */
MUST_USE enum rc access_compile(
    struct str text, struct arena *mem, struct access_list *out, struct err *e);

/* The next restriction from *at on that answers 451 4.3.5 whenever it is reached, because
 * nobody knows its name or this version does not have it. RC_NONE: no more. */
MUST_USE enum rc access_missing(
    const struct access_list *l, unsigned *at, struct str *out, bool *is_known);

/* Whether relay or recipient list protects against relaying by strangers; RC_PERM: no; e
 * has Postfix's fatal text "in parameter smtpd_relay_restrictions or …, specify at least
 * one …". */
MUST_USE enum rc access_check_relay(const struct access_conf *c, struct err *e);

/* What is known about the peer and the transaction; empty where not there yet. */
struct access_request {
	struct str client_name;         /* verified, or "unknown" */
	struct str client_reverse_name; /* unverified, or "unknown" */
	struct str client_addr;         /* textual, IPv6 without prefix or brackets */
	struct str client_port;
	struct str helo;
	struct str sender; /* external form, empty for <> */
	bool has_sender;
	struct str recipient; /* external form, as given by the client */
	struct str etrn_domain;
	bool is_authenticated;
	bool is_discarding;
	unsigned n_rcpt; /* accepted so far */
};

/* What stays from one stage of a transaction to the next. Zero it at connect; restore the
 * copy taken at HELO / MAIL when the transaction starts again. */
struct access_state {
	struct str defer_if_permit; /* reply text that is pending, or empty */
	bool unlisted_done;         /* reject_unlisted_recipient ran for this recipient */
};

enum access_what { ACCESS_DUNNO, ACCESS_OK, ACCESS_REJECT };

struct access_note { /* for the log; the session knows the line's frame */
	enum { ACCESS_WARNING, ACCESS_REJECT_WARNING } what;
	struct str text; /* warning: as it is; reject_warning: the reply */
	struct access_note *next;
};

struct access_verdict {
	enum access_what what;
	struct str reply; /* ACCESS_REJECT: "554 5.7.1 <r@x>: Relay access denied" */
	struct access_note *notes; /* oldest first; NULL: none */
};

/* Runs the restrictions of one SMTP event: ACCESS_CLIENT, _HELO, _SENDER (with the
 * unlisted sender check), ACCESS_RECIPIENT (relay and recipient lists in their order, the
 * pending deferral, the unlisted recipient check), _DATA, _END_OF_DATA, _ETRN. With
 * delayed rejects the session calls it for client, helo, sender, recipient in turn at
 * RCPT TO. Memory:  *out in a->mem. Returns: RC_OK with *out and *state set; RC_MORE:
 * fetch a->wanted, call again with the same input; *state is untouched then. Trouble is a
 * verdict (451), never a result. */
MUST_USE enum rc access_run(struct ask *a, const struct access_conf *c,
    enum access_stage stage, const struct access_request *q, struct access_state *state,
    struct access_verdict *out);
#endif
