/* From parameters to the configuration of an SMTP session. */
#include "agent/session_conf.h"
#include "addr/address.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include "smtp/server.h"

static enum rc
newline_mode(struct str v, enum smtp_newline *out, struct err *e)
{
	static const struct {
		const char *name;
		enum smtp_newline mode;
	} modes[] = {
		{ "no", SMTP_NEWLINE_NO },
		{ "normalize", SMTP_NEWLINE_NORMALIZE },
		{ "yes", SMTP_NEWLINE_NORMALIZE },
		{ "reject", SMTP_NEWLINE_REJECT },
		{ "note", SMTP_NEWLINE_NOTE },
	};

	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (str_iis(v, modes[i].name)) {
			*out = modes[i].mode;
			return RC_OK;
		}
	return err_set(e, RC_PERM,
	    "bad parameter value: 'smtpd_forbid_bare_newline = %.*s'", STR_ARG(v));
}

/* smtpd_forbidden_commands names a table. The one that it has by default the session
 * understands itself. */
static bool
has_tables(struct str list)
{
	struct str item;

	while (conf_list_next(&list, &item) == RC_OK)
		if (str_find(item, ':') < item.n &&
		    !str_is(item, "regexp:{{/^[^A-Z]/ Bogus}}"))
			return true;
	return false;
}

/* inet_protocols names this family. */
static bool
has_family(struct str list, const char *name)
{
	struct str word;

	while (conf_list_next(&list, &word) == RC_OK)
		if (str_iis(word, "all") || str_iis(word, name))
			return true;
	return false;
}

enum rc
session_conf_fill(const struct conf_smtpd *c, struct arena *mem,
    struct smtp_server_conf *out, struct err *e)
{
	enum smtp_newline newline;
	enum rc rc = newline_mode(c->smtpd_forbid_bare_newline, &newline, e);

	if (rc != RC_OK)
		return rc;
	*out = (struct smtp_server_conf){
		.hostname = c->myhostname,
		.banner = c->smtpd_banner,
		.size_limit = c->message_size_limit_bytes,
		.soft_error_limit = (uint32_t)c->smtpd_soft_error_limit,
		.hard_error_limit = (uint32_t)c->smtpd_hard_error_limit,
		.junk_command_limit = (uint32_t)c->smtpd_junk_command_limit,
		.error_sleep_us = c->smtpd_error_sleep_time_us,
		.recipient_limit = (uint32_t)c->smtpd_recipient_limit,
		.recipient_overshoot = (uint32_t)c->smtpd_recipient_overshoot_limit,
		.line_limit = (size_t)c->line_length_limit_bytes,
		.timeout_us = c->smtpd_timeout_us,
		.per_request_deadline = c->smtpd_per_request_deadline,
		.min_data_rate = c->smtpd_min_data_rate,
		.helo_required = c->smtpd_helo_required,
		.disable_vrfy = c->disable_vrfy_command,
		.strict_envelopes = c->strict_rfc821_envelopes,
		.forbid_unauth_pipelining = c->smtpd_forbid_unauth_pipelining,
		.utf8_ok = c->smtputf8_enable,
		.strict_utf8 = c->strict_smtputf8,
		.soft_bounce = c->soft_bounce,
		.minus_ok = c->allow_min_user,
		.numeric_ok = c->resolve_numeric_domain,
		.null_ok = c->resolve_null_domain,
		.append_dot = c->append_dot_mydomain,
		.operators = (c->swap_bangpath ? ADDR_BANG : 0U) |
			     (c->allow_percent_hack ? ADDR_PERCENT : 0U),
		.no_ipv4 = !has_family(c->inet_protocols, "ipv4"),
		.no_ipv6 = !has_family(c->inet_protocols, "ipv6"),
		.log_port = c->smtpd_client_port_logging,
		.log_internal = str_is(c->info_log_address_format, "internal"),
		.filters_commands = c->smtpd_command_filter.n > 0,
		.forbids_by_table = has_tables(c->smtpd_forbidden_commands),
		.newline = newline,
		.forbidden_commands = c->smtpd_forbidden_commands,
		.noop_commands = c->smtpd_noop_commands,
		.verp_delimiters = c->default_verp_delimiters,
		.verp_filter = c->verp_delimiter_filter,
	};
	out->newline_code = arena_printf(
	    mem, "%lld", (long long)c->smtpd_forbid_bare_newline_reject_code);
	return out->newline_code.p != NULL ? RC_OK : err_set(e, RC_TEMP, "memory limit");
}
