#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H
#include "ask/ask.h"
#include "base/base.h"
#include "route/list.h"

/* From an address to (class, transport, next hop, recipient). Pure: everything it reads
 * is in struct route_conf or asked. agent/decide fills the configuration for every
 * program alike. */

enum route_class {
	ROUTE_LOCAL, /* mydestination, or [ip] of this host */
	ROUTE_VIRTUAL_ALIAS,
	ROUTE_VIRTUAL_MAILBOX,
	ROUTE_RELAY,
	ROUTE_DEFAULT, /* everybody else */
};
const char *route_class_name(enum route_class c); /* "local", "virtual alias" … */

struct route_conf {
	struct str myorigin, mydomain, myhostname;
	struct str remote_header_rewrite_domain;
	struct str recipient_delimiter, double_bounce_sender, empty_address_recipient;
	bool append_at_myorigin, append_dot_mydomain, swap_bangpath, allow_percent_hack;
	bool allow_min_user, resolve_dequoted_address, resolve_null_domain,
	    resolve_numeric_domain, owner_request_special;
	bool utf8_domains; /* smtputf8_enable: domains may be other than ASCII */

	struct route_list mydestination, virtual_alias_domains, virtual_mailbox_domains,
	    relay_domains;
	/* Own addresses (inet_interfaces, proxy_interfaces), for user@[1.2.3.4]. */
	const struct addr_ip *own_addrs;
	unsigned n_own_addrs;

	struct str local_transport, virtual_transport, relay_transport, default_transport;
	struct str relayhost;
	struct ask_tables transport_maps;
	bool transport_parents; /* transport_maps in parent_domain_matches_subdomains */
	struct ask_tables virtual_alias_maps, canonical_maps, recipient_canonical_maps,
	    sender_canonical_maps, relocated_maps, sender_dependent_relayhost_maps,
	    sender_dependent_default_transport_maps;
	struct ask_tables local_recipient_maps, virtual_mailbox_maps,
	    relay_recipient_maps;
	struct str empty_address_relayhost_maps_lookup_key,
	    empty_address_default_transport_maps_lookup_key;
	bool relocated_prefix_enable, show_user_unknown_table_name;
};

struct route {
	enum route_class cls;
	struct str transport; /* master.cf service name, or "error" / "retry" */
	struct str
	    nexthop; /* domain, [host]:port …; for error and retry the text, maybe with a
		      * DSN code in front: "5.1.1 User unknown in virtual alias table" */
	struct str recipient; /* rewritten */
	bool is_bad; /* not an address that mail can go to: "5.1.3 bad address syntax" */
	bool is_routed;     /* user%other@here and the like: not to be relayed on a
			       `permit_auth…` */
	struct str warning; /* for the log when not empty, without "warning: " */
};

/* Puts an address into its full form (append_at_myorigin, append_dot_mydomain, bang
 * paths, percent hack, source routes, trailing dot).
 * Memory: *out in `mem`. Returns: RC_OK, RC_TEMP memory limit. */
MUST_USE enum rc route_rewrite(
    const struct route_conf *c, struct str address, struct arena *mem, struct str *out);

/* Where mail for `address` (need not be rewritten yet) goes.
 * Memory:  *out in a->mem.
 * Returns: RC_OK; RC_MORE: fetch a->wanted and call again; RC_TEMP: a table failed (e
 * says which): "451 4.3.0 <addr>: Temporary lookup failure" / defer. */
MUST_USE enum rc route_resolve(struct ask *a, const struct route_conf *c,
    struct str sender, struct str address, struct route *out, struct err *e);

/* The general search for an address in tables: user+ext@domain, user@domain, then
 * user+ext and user when the domain is ours, then @domain. Returns: RC_OK with *out the
 * value; RC_NONE; RC_MORE; RC_TEMP. */
MUST_USE enum rc route_find(struct ask *a, const struct route_conf *c,
    const struct ask_tables *tables, struct str address, struct str *out);

/* Whether `address` is known to its class's table (reject_unlisted_recipient, …_sender).
 * On RC_NONE *out_why has the reply without the "<addr>: CLASS rejected: " frame. */
struct route_unlisted {
	unsigned
	    code; /* 550 unless the class says otherwise: see `cls` and is_transport */
	struct str dsn;       /* "5.1.1", for senders "5.1.0" */
	struct str text;      /* "User unknown in virtual mailbox table" */
	enum route_class cls; /* whose unknown_*_reject_code to use */
	bool code_fixed;      /* `code` stands, whatever the class's parameter says */
};
struct route_candidate {
	struct str address;
	struct str other; /* of a recipient the sender, who may decide the transport; and
			     the other way round */
	bool is_sender;
};
MUST_USE enum rc route_listed(struct ask *a, const struct route_conf *c,
    const struct route_candidate *who, struct route_unlisted *out_why);

/* Splits the extension off a local part: "user+ext" -> 4. s.n: there is none. */
size_t route_extension_at(const struct route_conf *c, struct str local_part);

/* "transport:nexthop" of a table or parameter. Either part may be empty.
 * Total: any text gives a result; without a colon all of it is the transport. */
void route_transport_split(
    struct str text, struct str *out_transport, struct str *out_nexthop);
#endif
