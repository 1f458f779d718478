/* Owns check_policy_service: which attributes a policy service is told, in which order,
 * and that its answer is applied like what an access table says. */
#include "access/dns_int.h"
#include "milter/policy.h"
#include <stdio.h>

struct attribute {
	const char *name;
	struct str value;
};

/* compat: recipients are counted when their list is complete. */
static unsigned
recipient_count(const struct access_eval *ev)
{
	bool is_complete = ev->stage == ACCESS_DATA || ev->stage == ACCESS_END_OF_DATA;

	return is_complete ? ev->q->n_rcpt : 0;
}

/* The attributes, in Postfix's order. */
static enum rc
put_all(struct access_eval *ev, struct buf *to, struct str context)
{
	const struct access_request *q = ev->q;
	struct arena *mem = ev->a->mem;
	const struct attribute all[] = {
		/* compat */
		{ "request", STR("smtpd_access_policy") },
		{ "protocol_state", q->state },
		{ "protocol_name", q->protocol },
		{ "client_address", q->client_addr },
		{ "client_name", q->client_name },
		{ "client_port", q->client_port },
		{ "reverse_client_name", q->client_reverse_name },
		{ "server_address", q->server_addr },
		{ "server_port", q->server_port },
		{ "helo_name", q->helo },
		{ "sender", access_shown(ev, q->sender) },
		{ "recipient", access_shown(ev, q->recipient) },
		{ "recipient_count", arena_printf(mem, "%u", recipient_count(ev)) },
		{ "queue_id", q->queue_id },
		{ "instance", q->instance },
		{ "size", arena_printf(mem, "%lld", (long long)q->size) },
		{ "etrn_domain", q->etrn_domain },
		{ "stress", q->stress },
		{ "sasl_method", q->sasl_method },
		{ "sasl_username", q->sasl_username },
		{ "sasl_sender", q->sasl_sender },
		{ "ccert_subject", q->ccert_subject },
		{ "ccert_issuer", q->ccert_issuer },
		{ "ccert_fingerprint", q->ccert_fingerprint },
		{ "ccert_pubkey_fingerprint", q->ccert_pubkey_fingerprint },
		{ "encryption_protocol", q->tls_protocol },
		{ "encryption_cipher", q->tls_cipher },
		{ "encryption_keysize", arena_printf(mem, "%u", q->tls_keysize) },
		{ "tls_sni", q->tls_sni },
		{ "policy_context", context },
		{ "compatibility_level", ev->c->compatibility_level },
		{ "mail_version", ev->c->mail_version },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (milter_policy_put(to, all[i].name, all[i].value) != RC_OK)
			return RC_TEMP;
	return milter_policy_end(to);
}

/* The request in the arena; .p NULL: it is impossibly long. */
static struct str
make_request(struct access_eval *ev, struct str context)
{
	struct str request = { NULL, 0 };
	struct buf to;

	buf_init(&to, MILTER_POLICY_REQUEST_MAX);
	if (put_all(ev, &to, context) == RC_OK)
		request = arena_str(ev->a->mem, buf_view(&to));
	buf_fini(&to);
	return request;
}

/* The service's own policy_context, or the general one. Of a text that makes no sense
 * whoever asks the service complains. */
static struct str
context_of(struct access_eval *ev, struct str rest)
{
	struct str name, value;

	while (milter_policy_setting(&rest, &name, &value, NULL) == RC_OK)
		if (str_is(name, "policy_context"))
			return value;
	return ev->c->policy_service_policy_context;
}

enum rc
access_policy_service(struct access_eval *ev)
{
	struct ask_question q = { .kind = ASK_POLICY, .source = ev->item->arg };
	struct access_source from = {
		.datum = STR("policy query"), .subject = ev->subject, .cls = ev->cls
	};
	struct str rest, action;
	enum rc rc = milter_policy_service(q.source, &from.table, &rest, NULL);

	if (q.source.n == 0) {
		access_warn(
		    ev, STR("restriction check_policy_service must be followed by "
			    "transport:server")); /* compat */
		access_config_trouble(ev);
		return RC_OK;
	}
	if (rc == RC_OK)
		q.key = make_request(ev, context_of(ev, rest));
	if (q.key.p == NULL) {
		access_warn(
		    ev, arena_printf(ev->a->mem, "cannot ask policy service \"%.*s\"",
			    STR_ARG(q.source)));
		access_config_trouble(ev);
		return RC_OK;
	}
	rc = ask_get(ev->a, &q, &action);
	if (rc == RC_MORE)
		return rc;
	if (rc != RC_OK) {
		access_warn(ev, ask_trouble(ev->a, ev->a->mem));
		action = STR("451 4.3.5 Server configuration problem"); /* compat */
	}
	return access_apply(ev, &from, action);
}
