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

/* smtpd_restriction_classes: names first, then the lists, because classes may name each
 * other (and themselves: evaluation stops 100 deep). */
struct access_class {
	struct str name;
	struct access_list list;
};
struct access_classes {
	struct access_class *v;
	unsigned n;
};

struct access_conf {
	const struct route_conf *route;
	struct access_list list[ACCESS_N_STAGE];
	struct access_classes classes;
	struct route_list mynetworks;
	struct access_list header_rewrite; /* local_header_rewrite_clients */
	bool relay_before_recipient;       /* smtpd_relay_before_recipient_restrictions */
	bool reject_unlisted_recipient, reject_unlisted_sender;
	/* The rest of the parameters, under their names without smtpd_. */
	bool delay_reject;
	bool has_proxy_filter; /* smtpd_proxy_filter: FILTER, HOLD … are not available */
	bool no_unknown_recipient_checks; /* receive_override_options */
	bool sasl_auth_enable;
	bool parents; /* smtpd_access_maps in parent_domain_matches_subdomains */
	bool soft_bounce, allow_untrusted_routing;
	bool utf8_ok;        /* smtputf8_enable: replies show more than ASCII */
	bool shows_internal; /* info_log_address_format = internal: of replies, too */
	unsigned reject_code, defer_code, relay_domains_reject_code,
	    unknown_local_recipient_reject_code, unknown_virtual_mailbox_reject_code,
	    unknown_virtual_alias_reject_code, unknown_relay_recipient_reject_code;
	unsigned access_map_reject_code, access_map_defer_code,
	    invalid_hostname_reject_code, non_fqdn_reject_code,
	    unknown_client_reject_code, multi_recipient_bounce_reject_code,
	    plaintext_reject_code;
	struct str null_access_lookup_key;
	struct ask_tables sender_login_maps;
	struct ask_tables dns_reply_filter;
	struct route_list log_permit_actions; /* smtpd_log_access_permit_actions */
	bool tls_ask_ccert;

	/* ---- DNS ---- */
	unsigned maps_rbl_reject_code, unknown_address_reject_code,
	    unknown_hostname_reject_code;
	struct str default_rbl_reply, expansion_filter;
	struct ask_tables rbl_reply_maps;
	struct route_list permit_mx_backup_networks;
	/* *_tempfail_action: a deferral only when the lists permit; false: at once. */
	bool unknown_address_waits, unknown_helo_hostname_waits;
	/* ---- address verification ---- */
	unsigned unverified_sender_reject_code, unverified_sender_defer_code,
	    unverified_recipient_reject_code, unverified_recipient_defer_code;
	struct str unverified_sender_reject_reason, unverified_recipient_reject_reason;
	bool unverified_sender_waits, unverified_recipient_waits;
	/* ---- policy services ---- */
	struct str policy_service_default_action, policy_service_policy_context;
	struct str compatibility_level, mail_version;
};

/* Compiles the text of smtpd_*_restrictions. An unknown restriction compiles, too:
 * reaching it answers 451 4.3.5 and warns (fail closed). `classes` may be NULL; it must
 * outlive *out, its lists may come later. Memory: everything in `mem`; views of `text`.
 * Returns: RC_PERM unbalanced braces. */
MUST_USE enum rc access_compile(struct str text, const struct access_classes *classes,
    struct arena *mem, struct access_list *out, struct err *e);

/* Calls fn for each table of the list's own items (the lists of classes are lists of
 * their own), with its text and parameters of the search ("{ hash:/x { … } }" gives
 * hash:/x). Stops at the first result but RC_OK, and returns that. */
typedef enum rc access_table_fn(void *arg, struct str table, struct err *e);
MUST_USE enum rc access_each_table(
    const struct access_list *l, access_table_fn *fn, void *arg, struct err *e);
/* The same for the services of check_policy_service, as they are written. */
MUST_USE enum rc access_each_service(
    const struct access_list *l, access_table_fn *fn, void *arg, struct err *e);

/* The next name from *at on that nobody knows: who reaches it is answered 451 4.3.5.
 * RC_NONE: no more. */
MUST_USE enum rc access_unknown(
    const struct access_list *l, unsigned *at, struct str *out);
/* The next restriction from *at on that wants a table and has none: *arg is what stands
 * there instead, or empty. Answered and returned as above. */
MUST_USE enum rc access_tableless(
    const struct access_list *l, unsigned *at, struct str *name, struct str *arg);
/* The restriction that is spelled most like `name`; empty: none is. */
struct str access_nearest(struct str name);

/* Whether relay or recipient list protects against relaying by strangers; RC_PERM: no; e
 * has Postfix's fatal text "in parameter smtpd_relay_restrictions or …, specify at least
 * one …". */
MUST_USE enum rc access_check_relay(const struct access_conf *c, struct err *e);

/* What is known about the peer and the transaction; empty where not there yet. */
struct access_request {
	struct str client_name;         /* verified, or "unknown" */
	struct str client_reverse_name; /* unverified, or "unknown" */
	/* RC_OK: the name is known; RC_NONE: there is none; RC_TEMP: nobody could say. */
	enum rc client_name_rc, client_reverse_rc;
	struct str client_addr; /* textual, IPv6 without prefix or brackets */
	struct str client_port;
	struct str peer_addr; /* who connected, when XCLIENT made it another client */
	struct str server_addr, server_port;
	struct str protocol; /* "SMTP", "ESMTP" */
	/* "CONNECT" "EHLO" "HELO" "MAIL" "RCPT" "DATA" "END-OF-MESSAGE" "VRFY" "ETRN" */
	struct str state;
	struct str helo;
	struct str sender; /* external form, empty for <> */
	bool has_sender;
	struct str recipient; /* external form, as given by the client */
	struct str etrn_domain;
	bool is_authenticated;
	bool is_discarding; /* DISCARD of an earlier event: nothing more is checked */
	bool is_held;       /* HOLD of an earlier event: not said again */
	bool is_pipelining; /* the client was caught pipelining without leave */
	bool is_smtputf8;
	unsigned n_rcpt; /* accepted so far */
	struct str queue_id, instance, stress;
	int64_t size; /* bytes: of the content when it is there, else as announced */
	struct str sasl_method, sasl_username, sasl_sender;
	/* Empty without TLS. */
	bool has_tls;
	struct str tls_protocol, tls_cipher, tls_sni;
	unsigned tls_keysize;
	struct str ccert_subject, ccert_issuer, ccert_fingerprint,
	    ccert_pubkey_fingerprint;
	bool wants_trace; /* fill access_verdict.trace */
};

/* What stays from one stage of a transaction to the next. Zero it at connect; restore the
 * copy taken at HELO / MAIL when the transaction starts again. Texts live as long as the
 * arena of the run that made them. */
struct access_state {
	struct str defer_if_permit; /* reply text that is pending, or empty */
	bool unlisted_done;         /* reject_unlisted_recipient ran for this recipient */
	bool is_discarding, is_held;
};

enum access_what { ACCESS_DUNNO, ACCESS_OK, ACCESS_REJECT };

struct access_note { /* for the log; the session knows the line's frame */
	enum {
		ACCESS_WARNING, /* "warning: <text>" */
		ACCESS_INFO,    /* "<text>" */
		ACCESS_LINE /* "<queue id>: <verb>: RCPT from …: <text>; from=…" */
	} what;
	/* "reject_warning" "hold" "discard" "filter" "redirect" "bcc" "prepend" "info"
	 * "warn" "permit" "hangup"; NULL for the others */
	const char *verb;
	struct str text;
	struct access_note *next;
};

struct access_text {
	struct str text;
	struct access_text *next;
};

/* What an event wants to happen to the message. compat: it counts whatever the verdict:
 * the HOLD of a recipient that was refused later in the same lists holds the message. */
struct access_effects {
	struct str filter, redirect; /* the last one; empty: none */
	bool hold, discard;
	bool hangup; /* drop the connection, without a reply */
	const struct access_text *prepend, *bcc; /* in order */
};

/* One step of an evaluation, for `hikyaku explain`. */
struct access_trace {
	enum access_stage stage;
	unsigned depth; /* 0: the list's own item; else in classes and results */
	struct str name, arg;
	struct str result; /* "DUNNO", "OK", a reply, "deferred if permitted" … */
	struct access_trace *next;
};

struct access_verdict {
	enum access_what what;
	struct str reply; /* ACCESS_REJECT: "554 5.7.1 <r@x>: Relay access denied" */
	struct access_effects fx;
	struct access_note *notes;  /* oldest first; NULL: none */
	struct access_trace *trace; /* oldest first; NULL unless wanted */
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

/* Whether the headers of this client's mail are completed (local_header_rewrite_clients):
 * asked at MAIL, when the sender was accepted.
 * Memory:  notes in a->mem.
 * Returns: RC_OK yes; RC_NONE no; RC_MORE; RC_TEMP: trouble, said in the notes: MAIL is
 * answered "451 4.3.0 Temporary lookup error". */
MUST_USE enum rc access_rewrites_headers(struct ask *a, const struct access_conf *c,
    const struct access_request *q, struct access_note **out_notes);
/* Compiles that list; unknown names are warned of when they are reached. Memory,
 * Returns: as access_compile(). */
MUST_USE enum rc access_compile_rewrite(
    struct str text, struct arena *mem, struct access_list *out, struct err *e);
#endif
