/* Owns the way from a next hop to an ordered list of addresses (RFC 5321 5.1): MX, the
 * addresses of its hosts, our own place among them, the order of trying. */
#include "agent/worker.h"
#include "log/log.h"
#include "prog/smtp/agent.h"
#include <idn2.h>
#include <stdlib.h>
#include <string.h>

#define MX_HOSTS_MAX 50 /* hosts of one domain whose addresses are looked up */

struct target_query {
	struct service *service;
	struct arena *mem;
	target_fn *done;
	void *arg;
	struct str domain;
	uint16_t port;

	struct net_query *asking_mx;
	/* One question for the addresses of each host. */
	struct host_query {
		struct target_query *q;
		struct net_query *asking;
		struct str name;
		uint16_t preference;
		struct addr_ip *addrs;
		size_t n;
	} host[MX_HOSTS_MAX];
	size_t n_hosts, n_open;
	bool has_mx;
	struct failure why; /* of the hosts so far */
};

static struct failure
failure_of(enum dns_status status, struct str text)
{
	struct failure f = { .text = text };

	switch (status) { /* compat: Postfix's codes */
	case DNS_FAIL:
	case DNS_TIMEOUT:
		f.dsn = STR("4.4.3");
		break;
	case DNS_OK:
	case DNS_NODATA:
	case DNS_NXDOMAIN:
	case DNS_INVALID:
		f.dsn = STR("5.4.4");
		break;
	}
	return f;
}

/* The job and its memory may be gone after the call; the query itself is not in there. */
static void
finish(struct target_query *q, const struct target *t)
{
	q->done(q->arg, t);
	target_cancel(&q);
}

static void
fail(struct target_query *q, struct failure why, bool is_final)
{
	struct target t = { .why = why, .is_final = is_final };

	finish(q, &t);
}

void
target_cancel(struct target_query **q_p)
{
	struct target_query *q = *q_p;

	*q_p = NULL;
	if (q == NULL)
		return;
	net_query_cancel(&q->asking_mx);
	for (size_t i = 0; i < q->n_hosts; i++)
		net_query_cancel(&q->host[i].asking);
	free(q);
}

/* Ours? Then a shorter list, in which no mail comes back to us; else in the order of
 * trying. Only the standard port makes a loop: on another one an other program listens.
 */
static void
arrange(const struct service *s, uint16_t port, struct str domain, struct arena *mem,
    struct target *t)
{
	if (port == SMTP_PORT && dns_mx_drop_self(t->hosts, &t->n, s->own.v, s->own.n))
		t->is_final = true;
	if (t->n == 0) {
		t->why = (struct failure){ .dsn = STR("5.4.6"),
			.text = arena_printf(
			    mem, "mail for %.*s loops back to myself", STR_ARG(domain)) };
		return;
	}
	dns_mx_order(&s->mx, t->hosts, &t->n);
}

static void
collect(struct target_query *q, struct target *t)
{
	t->hosts = arena_array(q->mem, TARGET_HOSTS_MAX, sizeof(*t->hosts));
	for (size_t i = 0; t->hosts != NULL && i < q->n_hosts; i++) {
		const struct host_query *h = &q->host[i];

		for (size_t k = 0; k < h->n && t->n < TARGET_HOSTS_MAX; k++)
			t->hosts[t->n++] = (struct dns_host){ .name = h->name,
				.addr = h->addrs[k],
				.preference = h->preference };
	}
}

static void
all_hosts_known(struct target_query *q)
{
	const struct conf_smtp *conf = &q->service->conf;
	struct target t = { 0 };

	collect(q, &t);
	if (t.n > 0) {
		arrange(q->service, q->port, q->domain, q->mem, &t);
		finish(q, &t);
		return;
	}
	if (q->has_mx) {
		log_warn(q->service->entry->log,
		    "no MX host for %.*s has a valid address record", /* compat */
		    STR_ARG(q->domain));
		if (conf->smtp_defer_if_no_mx_address_found && q->why.dsn.p[0] == '5')
			q->why.dsn = STR("4.4.4");
	}
	fail(q, q->why, false);
}

/* Of the failures of several hosts one that may pass counts for more. */
static void
note_failure(struct target_query *q, const struct net_host_answer *a)
{
	struct dns_answer words = {
		.status = a->status, .type = a->type, .qname = a->name
	};

	if (q->why.dsn.n > 0 && q->why.dsn.p[0] == '4' &&
	    dns_status_rc(a->status) != RC_TEMP)
		return;
	q->why = failure_of(a->status, dns_status_reason(&words, q->mem));
}

static void
on_host(void *arg, const struct net_host_answer *a)
{
	struct host_query *h = arg;
	struct target_query *q = h->q;

	h->asking = NULL;
	if (a->n == 0) {
		note_failure(q, a);
	} else {
		h->addrs = arena_array(q->mem, a->n, sizeof(*h->addrs));
		if (h->addrs != NULL) {
			memcpy(h->addrs, a->addrs, a->n * sizeof(*h->addrs));
			h->n = a->n;
		}
	}
	if (--q->n_open == 0)
		all_hosts_known(q);
}

static void
add_host(struct target_query *q, struct str name, uint16_t preference)
{
	struct host_query *h = &q->host[q->n_hosts];

	for (size_t i = 0; i < q->n_hosts; i++) {
		if (str_ieq(q->host[i].name, name))
			return;
	}
	if (q->n_hosts == MX_HOSTS_MAX)
		return;
	*h = (struct host_query){ .q = q, .preference = preference };
	h->name = arena_str(q->mem, name);
	q->n_hosts++;
	q->n_open++;
	h->asking = net_resolve_host(
	    q->service->agent->resolver, h->name, q->service->host_lookup, on_host, h);
}

static void
read_mx(struct target_query *q, const struct dns_answer *a)
{
	struct dns_host hosts[DNS_ANSWER_MAX];
	size_t n;

	switch (dns_mx_read(a, hosts, &n)) {
	case DNS_MX_NULL:
		fail(q,
		    (struct failure){ .dsn = STR("5.1.0"),
			.text = arena_printf(q->mem,
			    "Domain %.*s does not accept mail (nullMX)", /* compat */
			    STR_ARG(q->domain)) },
		    false);
		return;
	case DNS_MX_IMPLICIT:
		add_host(q, q->domain, 0);
		return;
	case DNS_MX_LIST:
		break;
	}
	q->has_mx = true;
	for (size_t i = 0; i < n; i++)
		add_host(q, hosts[i].name, hosts[i].preference);
	if (n == 0) {
		struct dns_answer words = *a;

		words.status = DNS_INVALID;
		q->why = failure_of(DNS_INVALID, dns_status_reason(&words, q->mem));
		all_hosts_known(q);
	}
}

static void
on_mx(void *arg, const struct dns_answer *a)
{
	struct target_query *q = arg;

	q->asking_mx = NULL;
	switch (a->status) {
	case DNS_OK:
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		read_mx(q, a);
		return;
	case DNS_FAIL:
	case DNS_TIMEOUT:
		if (q->service->conf.ignore_mx_lookup_error) {
			add_host(q, q->domain, 0);
			return;
		}
		break;
	case DNS_INVALID:
		break;
	}
	fail(q, failure_of(a->status, dns_status_reason(a, q->mem)), false);
}

bool
target_at_once(
    struct service *s, const struct net_dest *dest, struct arena *mem, struct target *out)
{
	struct target t = { .n = 1 };
	struct addr_ip addr;

	if (addr_ip_parse(dest->host, &addr) != RC_OK)
		return false;
	t.hosts = arena_get(mem, sizeof(*t.hosts));
	if (t.hosts == NULL)
		return false;
	*t.hosts = (struct dns_host){ .name = dest->host, .addr = addr };
	arrange(s, dest->port, dest->host, mem, &t);
	*out = t;
	return true;
}

/* compat: the DNS is asked for A-labels (RFC 5891); what has none is asked for as it is,
 * and the resolver says what is wrong with it. */
static struct str
ascii_domain(const struct service *s, struct str domain, struct arena *mem)
{
	char *text = arena_cstr(mem, domain), *ascii = NULL;

	if (str_is_ascii(domain) || !s->conf.smtputf8_enable || text == NULL ||
	    idn2_to_ascii_8z(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) !=
		IDN2_OK)
		return arena_str(mem, domain);
	domain = arena_str(mem, str_c(ascii));
	idn2_free(ascii);
	return domain;
}

struct target_query *
target_find(struct service *s, const struct net_dest *dest, struct arena *mem,
    target_fn *done, void *arg)
{
	struct target_query *q = mem_get(sizeof(*q));

	q->service = s;
	q->mem = mem;
	q->done = done;
	q->arg = arg;
	q->port = dest->port;
	q->domain = ascii_domain(s, dest->host, mem);
	if (dest->is_literal || !s->has_dns)
		add_host(q, q->domain, 0);
	else
		q->asking_mx =
		    net_resolve(s->agent->resolver, q->domain, DNS_MX, on_mx, q);
	return q;
}
