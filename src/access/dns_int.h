#ifndef ACCESS_DNS_INT_H
#define ACCESS_DNS_INT_H
/* Restrictions that ask others than tables: the DNS, policy services, address
 * verification. */
#include "access/access_int.h"

/* ---- expand.c: texts with $name in them ---- */

/* The value of `name`; false: nobody knows that name. */
typedef bool access_macro_fn(void *ctx, struct str name, struct str *out);
struct access_macros {
	access_macro_fn *find;
	void *ctx;
	struct str filter; /* smtpd_expansion_filter as it is written; empty: any byte */
};
/* $name, ${name}, $(name), ${name?text}, ${name:text}, ${name?{text}:{text}},
 * ${{a} == {b} ? {text} : {text}}, $$. What the filter does not list becomes "_" in
 * values. Returns: RC_PERM: the text is not well formed, or names what nobody knows;
 * RC_TEMP: memory limit. */
MUST_USE enum rc access_expand(
    const struct access_macros *m, struct str text, struct arena *mem, struct str *out);
/* What every reply text may name: client, client_address, client_name, client_port,
 * reverse_client_name, helo_name, sender, sender_name, sender_domain, recipient …,
 * server_name. An access_macro_fn; ctx: struct access_eval. */
bool access_macro(void *ctx, struct str name, struct str *out);

/* ---- reply_filter.c ---- */
/* ask_dns() and ask_dns_words() behind smtpd_dns_reply_filter, which warns and notes.
 * Also Returns: RC_PERM: the filter drops every record. */
#define ACCESS_DNS_DROPPED "DNS reply filter drops all results" /* compat */
MUST_USE enum rc access_dns(
    struct access_eval *ev, const char *type, struct str name, struct str *out);
struct str access_dns_words(struct access_eval *ev, const char *type, struct str name);

/* ---- rbl.c ---- */
access_fn access_rbl_client, access_dnswl_client, access_rhsbl_client,
    access_rhsbl_reverse_client, access_rhsbl_helo, access_rhsbl_sender,
    access_rhsbl_recipient, access_rhswl_client;

/* ---- rbl_filter.c ---- */
/* Whether an IPv4 address is what "127.0.0.[2..5;9]" describes. RC_OK, RC_NONE; RC_PERM:
 * not a pattern, or not an address. */
MUST_USE enum rc access_rbl_filter(struct str pattern, struct str addr);

/* ---- domains.c ---- */
access_fn access_unknown_helo, access_unknown_sender_domain,
    access_unknown_recipient_domain, access_mx_backup;

/* ---- servers.c ---- */
/* check_*_a_access, check_*_mx_access and check_*_ns_access: the item's name says which.
 */
access_fn access_check_servers;

/* ---- verify.c ---- */
access_fn access_unverified_sender, access_unverified_recipient;

/* ---- policy_request.c ---- */
access_fn access_policy_service;
#endif
