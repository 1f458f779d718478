/* What would change a verdict, by the restriction that gave it. */
#include "prog/admin/hikyaku/explain.h"

static const struct {
	const char *prefix; /* of the restriction's name; the first that fits */
	const char *hint;
} hints[] = {
	{ "reject_unauth_destination",
	    "the recipient's domain in mydestination, virtual_alias_domains, "
	    "virtual_mailbox_domains or\n"
	    "relay_domains; or the client in mynetworks; or a client that is "
	    "authenticated" },
	{ "defer_unauth_destination",
	    "the recipient's domain in mydestination, virtual_alias_domains, "
	    "virtual_mailbox_domains or\n"
	    "relay_domains; or the client in mynetworks; or a client that is "
	    "authenticated" },
	{ "reject_unlisted_recipient", "the recipient in the table of its class "
				       "(local_recipient_maps, virtual_mailbox_maps,\n"
				       "relay_recipient_maps) or in virtual_alias_maps" },
	{ "reject_unlisted_sender",
	    "the sender in the table of its class, as for recipients" },
	{ "reject_unverified_recipient", "the next hop accepting the recipient; `postfix "
					 "reload` does not forget what was probed" },
	{ "reject_unverified_sender", "the sender's mail server accepting the address" },
	{ "reject_unknown_client_hostname",
	    "a PTR record of the client's address whose name leads back to it" },
	{ "reject_unknown_reverse_client_hostname",
	    "a PTR record of the client's address" },
	{ "reject_unknown_sender_domain",
	    "an MX, A or AAAA record of the sender's domain" },
	{ "reject_unknown_recipient_domain",
	    "an MX, A or AAAA record of the recipient's domain" },
	{ "reject_unknown_helo_hostname", "an MX, A or AAAA record of the HELO name" },
	{ "reject_invalid_helo_hostname", "a HELO name that is a valid host name" },
	{ "reject_non_fqdn_helo_hostname", "a HELO name with a domain" },
	{ "reject_non_fqdn", "an address with a full domain" },
	{ "reject_rbl_client", "the client's address gone from the list; or a "
			       "permit_dnswl_client, or check_client_access with\n"
			       "OK, before it" },
	{ "reject_rhsbl",
	    "the domain gone from the list; or an access table with OK before it" },
	{ "reject_sender_login_mismatch",
	    "the login among the owners of the sender in smtpd_sender_login_maps" },
	{ "reject_authenticated_sender_login_mismatch",
	    "the login among the owners of the sender in smtpd_sender_login_maps" },
	{ "reject_known_sender_login_mismatch",
	    "the login among the owners of the sender in smtpd_sender_login_maps" },
	{ "reject_unauthenticated_sender_login_mismatch",
	    "a client that is authenticated" },
	{ "check_policy_service", "another answer of the policy service" },
	{ "check_", "another result for this key in the table; or a permit before it" },
	{ "reject_plaintext_session", "a session with TLS" },
	{ "reject_multi_recipient_bounce", "one recipient for mail from <>" },
	{ "reject_unauth_pipelining", "a client that waits for answers" },
	{ "reject", "a permit before it in the list" },
	{ "defer", "a permit before it in the list" },
};

const char *
hint_for(struct str restriction)
{
	for (size_t i = 0; i < ARRAY_LEN(hints); i++)
		if (str_istarts(restriction, str_c(hints[i].prefix)))
			return hints[i].hint;
	return NULL;
}
