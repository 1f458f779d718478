/* Restrictions on what names look like, and whether the client has one. */
#include "access/access_int.h"
#include "addr/domain.h"
#include "addr/net.h"

/* ---- the client ---- */

static enum rc
no_name(struct access_eval *ev, enum rc why, const char *dsn, const char *what)
{
	const struct access_reply r = { /* compat */
		.code = why == RC_TEMP ? 450 : ev->c->unknown_client_reject_code,
		.dsn = dsn,
		.words = arena_printf(ev->a->mem,
		    "Client host rejected: cannot find your %s, [%.*s]", what,
		    STR_ARG(ev->q->client_addr)),
		.is_bare = true
	};

	return access_reject(ev, &r);
}

enum rc
access_unknown_client(struct access_eval *ev)
{
	if (ev->q->client_name_rc == RC_OK)
		return RC_OK;
	return no_name(ev, ev->q->client_name_rc, ".7.25", "hostname");
}

enum rc
access_unknown_reverse_client(struct access_eval *ev)
{
	if (ev->q->client_reverse_rc == RC_OK)
		return RC_OK;
	return no_name(ev, ev->q->client_reverse_rc, ".7.1", "reverse hostname");
}

/* ---- HELO ---- */

/* compat: one dot at the end is no harm, two are. */
static struct str
without_dot(struct str name)
{
	if (name.n > 1 && name.p[name.n - 1] == '.' && name.p[name.n - 2] != '.')
		name.n--;
	return name;
}

static enum rc
bad_helo(struct access_eval *ev, unsigned code, const char *words)
{
	const struct access_reply r = { .code = code,
		.dsn = ".5.2",
		.words = str_c(words),
		.subject = ev->q->helo,
		.cls = ACCESS_CLS_HELO };

	return access_reject(ev, &r);
}

/* "[…]"; RC_OK with the verdict. */
static enum rc
check_literal(struct access_eval *ev, struct str helo)
{
	if (helo.n > 2 && helo.p[helo.n - 1] == ']' &&
	    addr_literal_valid(str_n(helo.p + 1, helo.n - 2)))
		return RC_OK;
	return bad_helo(ev, ev->c->invalid_hostname_reject_code, "invalid ip address");
}

enum rc
access_invalid_helo(struct access_eval *ev)
{
	struct str name = without_dot(ev->q->helo);
	struct addr_ip ip;

	if (name.n > 0 && name.p[0] == '[')
		return check_literal(ev, ev->q->helo);
	if (addr_hostname_valid(name) || addr_ip_parse(name, &ip) == RC_OK)
		return RC_OK;
	return bad_helo(ev, ev->c->invalid_hostname_reject_code, "Invalid name");
}

static bool
is_fqdn(struct str name)
{
	return addr_hostname_valid(name) && str_find(name, '.') < name.n;
}

enum rc
access_non_fqdn_helo(struct access_eval *ev)
{
	if (ev->q->helo.n > 0 && ev->q->helo.p[0] == '[')
		return check_literal(ev, ev->q->helo);
	if (is_fqdn(without_dot(ev->q->helo)))
		return RC_OK;
	return bad_helo(ev, ev->c->non_fqdn_reject_code, "need fully-qualified hostname");
}

/* ---- addresses ---- */

static enum rc
non_fqdn(struct access_eval *ev, struct str address, const char *cls)
{
	const struct access_reply r = { .code = ev->c->non_fqdn_reject_code,
		.dsn = ".5.2",
		.words = STR_INIT("need fully-qualified address"),
		.subject = access_shown(ev, address),
		.cls = cls };
	size_t at = str_rfind(address, '@');
	struct str domain = str_from(address, at + 1);

	if (domain.n > 0 && domain.p[0] == '[' && domain.p[domain.n - 1] == ']')
		return RC_OK;
	if (at < address.n && is_fqdn(without_dot(domain)))
		return RC_OK;
	return access_reject(ev, &r);
}

enum rc
access_non_fqdn_sender(struct access_eval *ev)
{
	return non_fqdn(ev, ev->q->sender, ACCESS_CLS_SENDER);
}

enum rc
access_non_fqdn_recipient(struct access_eval *ev)
{
	return non_fqdn(ev, ev->q->recipient, ACCESS_CLS_RECIPIENT);
}
