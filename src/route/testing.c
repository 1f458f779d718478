#include "route/testing.h"
#include <assert.h>

enum rc
testing_tables(
    void *ctx, const struct ask_question *q, struct arena *mem, struct str *out)
{
	struct str rest = str_c(ctx), line, source, key, value;

	(void)mem;
	if (str_is(q->source, "broken:")) {
		*out = STR("out of order");
		return RC_TEMP;
	}
	if ((q->flags & ASK_PARTIAL) != 0 && str_starts(q->source, STR("re:")))
		return RC_NONE;
	while (str_token(&rest, "\n", &line)) {
		if (!str_cut(line, ' ', &source, &line) ||
		    !str_cut(line, '=', &key, &value))
			continue;
		if (str_eq(source, q->source) && str_ieq(str_trim(key), q->key)) {
			*out = str_trim(value);
			return RC_OK;
		}
	}
	return RC_NONE;
}

struct ask_tables
testing_names(const char *text, struct arena *mem)
{
	struct ask_tables t = { 0 };
	enum rc rc = ask_tables_parse(str_c(text), mem, &t, NULL);

	assert(rc == RC_OK);
	return t;
}

struct route_list
testing_list(const char *text, enum route_list_kind kind, struct arena *mem)
{
	struct route_list l = { 0 };
	enum rc rc = route_list_parse(str_c(text), kind, mem, &l, NULL);

	assert(rc == RC_OK);
	return l;
}

void
testing_conf(struct route_conf *c, struct arena *mem)
{
	static const char *const own[] = { "192.0.2.1", "2001:db8::1" };
	struct addr_ip *ips = arena_array(mem, ARRAY_LEN(own), sizeof(*ips));

	*c = (struct route_conf){
		.myorigin = STR("mail.example.test"),
		.mydomain = STR("example.test"),
		.myhostname = STR("mail.example.test"),
		.recipient_delimiter = STR("+"),
		.double_bounce_sender = STR("double-bounce"),
		.empty_address_recipient = STR("MAILER-DAEMON"),
		.append_at_myorigin = true,
		.append_dot_mydomain = true,
		.swap_bangpath = true,
		.allow_percent_hack = true,
		.resolve_dequoted_address = true,
		.own_addrs = ips,
		.n_own_addrs = ARRAY_LEN(own),
		.local_transport = STR("local:mail.example.test"),
		.virtual_transport = STR("virtual"),
		.relay_transport = STR("relay"),
		.default_transport = STR("smtp"),
		.empty_address_relayhost_maps_lookup_key = STR("<>"),
		.empty_address_default_transport_maps_lookup_key = STR("<>"),
		.relocated_prefix_enable = true,
		.owner_request_special = true,
		.show_user_unknown_table_name = true,
	};
	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		enum rc rc = addr_ip_parse(str_c(own[i]), &ips[i]);

		assert(rc == RC_OK);
	}
	c->mydestination = testing_list(
	    "mail.example.test, localhost.example.test", ROUTE_LIST_STRING, mem);
	c->virtual_alias_domains = testing_list("hash:valias", ROUTE_LIST_STRING, mem);
	c->virtual_alias_maps = testing_names("hash:valias", mem);
	c->virtual_mailbox_domains =
	    testing_list("vbox.test both.test", ROUTE_LIST_STRING, mem);
	c->relay_domains = testing_list("relay.test", ROUTE_LIST_PARENTS, mem);
	c->virtual_mailbox_maps = testing_names("hash:vbox", mem);
	c->local_recipient_maps = testing_names("hash:local", mem);
	c->relay_recipient_maps = testing_names("hash:rrcpt", mem);
	c->transport_maps = testing_names("hash:transport re:transport", mem);
	c->relocated_maps = testing_names("hash:relocated", mem);
}
