/* Searching access tables, and the restrictions that do nothing else. The order of keys
 * is access(5)'s; only the first one of a search is offered to tables of patterns. */
#include "access/access_int.h"
#include "addr/address.h"
#include "addr/domain.h"
#include "addr/net.h"

enum rc
access_find(struct access_eval *ev, const struct access_source *from, struct str key,
    unsigned flags)
{
	struct access_source found = *from;
	struct str value;
	enum rc rc = ask_map(ev->a, from->table, key, flags, &value);

	if (rc == RC_NONE || rc == RC_MORE)
		return rc;
	if (found.datum.p == NULL)
		found.datum = key;
	if (rc != RC_OK) {
		access_warn_trouble(ev);
		value = STR("451 4.3.5 Server configuration error");
	}
	return access_apply(ev, &found, value);
}

/* compat: warnings name what was searched for, and not the key that was found. */
static struct access_source
with_datum(const struct access_source *from, struct str datum)
{
	struct access_source s = *from;

	if (s.datum.p == NULL)
		s.datum = datum;
	return s;
}

enum rc
access_find_domain(
    struct access_eval *ev, const struct access_source *from, struct str domain)
{
	const struct access_source whole = with_datum(from, domain);
	bool parents = ev->c->parents;
	struct addr_ip ip;
	enum rc rc = access_find(ev, &whole, domain, 0);

	if (rc != RC_NONE || addr_ip_parse(domain, &ip) == RC_OK)
		return rc;
	while (rc == RC_NONE) {
		size_t dot = str_find(str_from(domain, 1), '.');

		if (domain.n == 0 || dot + 1 >= domain.n)
			return RC_NONE;
		domain = str_from(domain, dot + 1 + (parents ? 1 : 0));
		rc = access_find(ev, &whole, domain, ASK_PARTIAL);
	}
	return rc;
}

enum rc
access_find_addr(
    struct access_eval *ev, const struct access_source *from, struct str addr)
{
	const struct access_source whole = with_datum(from, addr);
	char delimiter = str_find(addr, ':') < addr.n ? ':' : '.';
	enum rc rc = access_find(ev, &whole, addr, 0);

	while (rc == RC_NONE) {
		size_t at = str_rfind(addr, delimiter);

		if (at >= addr.n)
			return RC_NONE;
		addr = str_head(addr, at);
		rc = access_find(ev, &whole, addr, ASK_PARTIAL);
	}
	return rc;
}

/* A key of an internal local part: in external form, then as it is when that differs. */
static enum rc
find_local(struct access_eval *ev, const struct access_source *from, struct str local,
    struct str domain)
{
	struct arena *mem = ev->a->mem;
	struct str internal =
	    arena_printf(mem, "%.*s@%.*s", STR_ARG(local), STR_ARG(domain));
	/* Quoting is the local part's business; without a domain there must be one. */
	struct str external = addr_to_external(
	    domain.n > 0 ? internal : arena_printf(mem, "%.*s@x", STR_ARG(local)), mem);
	enum rc rc;

	if (internal.p == NULL || external.p == NULL)
		return RC_NONE;
	if (domain.n == 0)
		external = str_head(external, external.n - 1);
	rc = access_find(ev, from, external, ASK_PARTIAL);
	if (rc == RC_NONE && !str_eq(external, internal))
		rc = access_find(ev, from, internal, ASK_PARTIAL);
	return rc;
}

static enum rc
find_keys(struct access_eval *ev, const struct access_source *from, struct str address)
{
	struct str internal = addr_to_internal(address, ev->a->mem), local, domain, user;
	bool has_extension;
	enum rc rc;

	if (internal.p == NULL)
		internal = address;
	addr_split(internal, &local, &domain);
	if (domain.n == 0) {
		access_warn(ev, arena_printf(ev->a->mem, /* compat */
				    "%.*s: no @domain in address: %.*s",
				    STR_ARG(from->table), STR_ARG(address)));
		return RC_NONE;
	}
	user = str_head(local, route_extension_at(ev->c->route, local));
	has_extension = user.n != local.n;
	rc = access_find(ev, from, address, 0);
	if (rc == RC_NONE && !str_eq(internal, address))
		rc = access_find(ev, from, internal, 0);
	if (rc == RC_NONE && has_extension)
		rc = find_local(ev, from, user, domain);
	if (rc == RC_NONE) {
		rc = access_find(ev, from, domain, ASK_PARTIAL);
		while (rc == RC_NONE) {
			size_t dot = str_find(str_from(domain, 1), '.');

			if (dot + 1 >= domain.n)
				break;
			domain = str_from(domain, dot + 1 + (ev->c->parents ? 1 : 0));
			rc = access_find(ev, from, domain, ASK_PARTIAL);
		}
	}
	if (rc == RC_NONE)
		rc = find_local(ev, from, local, STR(""));
	if (rc == RC_NONE && has_extension)
		rc = find_local(ev, from, user, STR(""));
	return rc;
}

enum rc
access_find_mail(
    struct access_eval *ev, const struct access_source *from, struct str address)
{
	bool is_recipient = str_is(str_c(from->cls), ACCESS_CLS_RECIPIENT);
	struct access_source whole;
	struct err e = { 0 };
	struct str key;
	struct route r;
	enum rc rc = route_resolve(
	    ev->a, ev->c->route, is_recipient ? ev->q->sender : STR(""), address, &r, &e);

	if (rc == RC_MORE)
		return rc;
	if (rc != RC_OK) {
		access_lookup_trouble(ev, from->subject);
		return RC_OK;
	}
	/* compat: patterns see small letters, too. */
	key = addr_domain_lower(r.recipient, ev->a->mem);
	whole = with_datum(from, r.recipient);
	rc = find_keys(ev, &whole, key.p == NULL ? r.recipient : key);
	/* compat: who routes mail himself is not let in by the last address's merits. */
	if (rc == RC_OK && is_recipient && ev->v.what == ACCESS_OK && r.is_routed &&
	    !ev->c->allow_untrusted_routing && !ev->state.is_discarding)
		ev->v.what = ACCESS_DUNNO;
	return rc;
}

/* ---- the restrictions ---- */

/* "Not there" is no opinion. */
static enum rc
opinion(enum rc rc)
{
	return rc == RC_NONE ? RC_OK : rc;
}

static enum rc
find_client(struct access_eval *ev, const struct access_source *from, struct str name)
{
	enum rc rc = access_find_domain(ev, from, name);

	return opinion(
	    rc == RC_NONE ? access_find_addr(ev, from, ev->q->client_addr) : rc);
}

enum rc
access_check_client(struct access_eval *ev)
{
	const struct access_source from = { .table = ev->item->arg,
		.subject = access_client(ev),
		.cls = ACCESS_CLS_CLIENT };

	return find_client(ev, &from, ev->q->client_name);
}

enum rc
access_check_reverse_client(struct access_eval *ev)
{
	const struct access_source from = { .table = ev->item->arg,
		.subject = ev->q->client_reverse_name,
		.cls = ACCESS_CLS_REVERSE,
		.no_ok = true };

	return find_client(ev, &from, ev->q->client_reverse_name);
}

enum rc
access_check_helo(struct access_eval *ev)
{
	const struct access_source from = {
		.table = ev->item->arg, .subject = ev->q->helo, .cls = ACCESS_CLS_HELO
	};

	return opinion(access_find_domain(ev, &from, ev->q->helo));
}

enum rc
access_check_sender(struct access_eval *ev)
{
	const struct access_source from = { .table = ev->item->arg,
		.subject = access_shown(ev, ev->q->sender),
		.cls = ACCESS_CLS_SENDER };

	if (!ev->q->has_sender)
		return RC_OK;
	if (ev->q->sender.n == 0)
		return opinion(access_find(ev, &from, ev->c->null_access_lookup_key, 0));
	return opinion(access_find_mail(ev, &from, ev->q->sender));
}

enum rc
access_check_recipient(struct access_eval *ev)
{
	const struct access_source from = { .table = ev->item->arg,
		.subject = access_shown(ev, ev->q->recipient),
		.cls = ACCESS_CLS_RECIPIENT };

	return opinion(access_find_mail(ev, &from, ev->q->recipient));
}

enum rc
access_check_etrn(struct access_eval *ev)
{
	const struct access_source from = { .table = ev->item->arg,
		.subject = ev->q->etrn_domain,
		.cls = ACCESS_CLS_ETRN };

	if (ev->q->etrn_domain.n == 0)
		return RC_OK;
	return opinion(access_find_domain(ev, &from, ev->q->etrn_domain));
}

enum rc
access_check_sasl(struct access_eval *ev)
{
	const struct access_source from = { .table = ev->item->arg,
		.subject = ev->q->sasl_username,
		.cls = ACCESS_CLS_SASL };

	if (!access_has_sasl(ev, "check_sasl_access") || ev->q->sasl_username.n == 0)
		return RC_OK;
	return opinion(access_find(ev, &from, ev->q->sasl_username, 0));
}

/* compat: the certificate's fingerprint, then its key's. */
enum rc
access_check_ccert(struct access_eval *ev)
{
	const struct access_source from = { .table = access_table_of(ev->item->arg),
		.subject = access_client(ev),
		.cls = ACCESS_CLS_CCERT };
	enum rc rc;

	if (!ev->c->tls_ask_ccert)
		access_warn(ev, STR("check_ccert_access is requested, but "
				    "\"smtpd_tls_ask_ccert = no\"")); /* compat */
	rc = access_find(ev, &from, ev->q->ccert_fingerprint, 0);
	if (rc == RC_NONE)
		rc = access_find(ev, &from, ev->q->ccert_pubkey_fingerprint, 0);
	return opinion(rc);
}
