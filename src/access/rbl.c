/* Owns lists in the DNS: of client addresses (DNSBL, DNSWL) and of domains (RHSBL,
 * RHSWL), which replies of theirs count, and what a listed client is told. A list that
 * cannot be asked refuses nobody. */
#include "access/dns_int.h"
#include "addr/address.h"
#include "addr/domain.h"
#include "addr/net.h"

#define CODE_ERROR "rbl response code configuration error" /* compat */
#define TEXT_MAX   500 /* compat: of all TXT records together */

/* One question to a list. */
struct listing {
	struct str list; /* with its filter, "dnsbl.example=127.0.0.2" */
	struct str query;
	struct str what; /* is listed or not: an address, a name */
	const char *cls; /* of the reply */
	struct str text; /* of the TXT records */
};

/* ---- asking ---- */

/* Whether one of the answers is what the filter wants. RC_PERM: a bad filter. */
static enum rc
is_wanted(struct str filter, struct str answers)
{
	struct str addr;
	enum rc rc = RC_NONE;

	if (filter.n == 0)
		return RC_OK;
	while (rc == RC_NONE && str_token(&answers, "\n", &addr))
		rc = access_rbl_filter(filter, addr);
	return rc;
}

static enum rc
find_text(struct access_eval *ev, struct listing *l)
{
	struct str lines, line, text = STR("");
	enum rc rc = access_dns(ev, "TXT", l->query, &lines);

	if (rc == RC_MORE)
		return rc;
	if (rc == RC_PERM)
		access_warn(ev, arena_printf(ev->a->mem, "%.*s: TXT lookup error: %s",
				    STR_ARG(l->query), ACCESS_DNS_DROPPED));
	while (rc == RC_OK && str_token(&lines, "\n", &line)) {
		text = arena_printf(ev->a->mem, "%.*s%s%.*s", STR_ARG(text),
		    text.n > 0 ? " / " : "", STR_ARG(line)); /* compat */
		if (text.p == NULL || text.n > TEXT_MAX)
			break;
	}
	if (text.p != NULL)
		l->text = str_head(text, TEXT_MAX);
	return RC_OK;
}

/* compat */
static void
warn_no_answer(struct access_eval *ev, const struct listing *l, enum rc rc)
{
	struct str why = rc == RC_OK ? STR("Malformed or unexpected name server reply")
			 : rc == RC_PERM ? STR(ACCESS_DNS_DROPPED)
					 : access_dns_words(ev, "A", l->query);
	bool is_filter =
	    rc == RC_PERM || str_starts(why, STR("Invalid DNS reply filter"));

	access_warn(ev,
	    arena_printf(ev->a->mem, "%.*s: RBL lookup error: %s name=%.*s type=A: %.*s",
		STR_ARG(l->query),
		is_filter ? "Error looking up"
			  : "Host or domain name not found. Name service error for",
		STR_ARG(l->query), STR_ARG(why)));
}

/* RC_OK: it is listed; RC_NONE; RC_TEMP: nobody could say; RC_PERM: our configuration is
 * wrong; the last two were warned of. */
static enum rc
is_listed(struct access_eval *ev, struct listing *l)
{
	struct str domain = l->list, filter = STR(""), answers = STR("");
	enum rc rc;

	(void)str_cut(l->list, '=', &domain, &filter);
	l->query =
	    arena_printf(ev->a->mem, "%.*s.%.*s", STR_ARG(l->query), STR_ARG(domain));
	if (l->query.p == NULL || l->query.n > ADDR_DOMAIN_MAX)
		return RC_NONE; /* no such name can be */
	rc = access_dns(ev, "A", l->query, &answers);
	if (rc == RC_TEMP || rc == RC_PERM || (rc == RC_OK && answers.n == 0)) {
		warn_no_answer(ev, l, rc);
		return RC_TEMP;
	}
	if (rc == RC_OK)
		rc = is_wanted(filter, answers);
	if (rc == RC_PERM)
		access_warn(ev, arena_printf(ev->a->mem, "bad DNS list filter: %.*s",
				    STR_ARG(l->list)));
	return rc;
}

/* ---- replies ---- */

struct rbl_macros {
	struct access_eval *ev;
	const struct listing *l;
};

static bool
unknown_macro(struct access_eval *ev, struct str name)
{
	access_warn(ev, /* compat */
	    arena_printf(ev->a->mem, "unknown macro name \"%.*s\" in expansion request",
		STR_ARG(name)));
	return false;
}

static bool
rbl_macro(void *ctx, struct str name, struct str *out)
{
	const struct rbl_macros *m = ctx;
	const struct listing *l = m->l;
	struct str unused;

	if (str_is(name, "rbl_code"))
		*out = arena_printf(m->ev->a->mem, "%u", m->ev->c->maps_rbl_reject_code);
	else if (str_is(name, "rbl_domain") && !str_cut(l->list, '=', out, &unused))
		*out = l->list;
	else if (str_is(name, "rbl_reason") || str_is(name, "rbl_txt"))
		*out = l->text;
	else if (str_is(name, "rbl_what"))
		*out = l->what;
	else if (str_is(name, "rbl_class"))
		*out = str_c(l->cls);
	else if (!str_is(name, "rbl_domain") && !access_macro(m->ev, name, out))
		return unknown_macro(m->ev, name);
	return true;
}

/* The template for this list: rbl_reply_maps, with the filter and without. */
static enum rc
find_template(struct access_eval *ev, const struct listing *l, struct str *out)
{
	const struct ask_tables *maps = &ev->c->rbl_reply_maps;
	struct str domain, unused;
	enum rc rc = ask_tables(ev->a, maps, l->list, 0, out);

	if (rc == RC_NONE && str_cut(l->list, '=', &domain, &unused))
		rc = ask_tables(ev->a, maps, domain, 0, out);
	return rc;
}

static enum rc
bad_template(struct access_eval *ev, const char *what, struct str text)
{
	static const struct access_reply sorry = { .code = 450,
		.dsn = ".7.1",
		.words = STR_INIT("Service unavailable"),
		.is_bare = true };

	access_warn(ev, arena_printf(ev->a->mem, "%s: %.*s", what, STR_ARG(text)));
	return access_reject(ev, &sorry);
}

/* "554 5.7.1 words" */
static enum rc
reject_with(struct access_eval *ev, const struct listing *l, struct str text)
{
	struct access_reply r = { .words = str_trim(str_from(text, 3)), .is_bare = true };
	uint64_t code;
	struct str status;

	if (str_u64(str_head(text, 3), 599, &code) != RC_OK || code < 400 ||
	    (text.n > 3 && !ascii_isspace(text.p[3])))
		return bad_template(ev, CODE_ERROR, text);
	status = access_split_status(ev, l->cls, "4.7.1", &r.words);
	r.code = (unsigned)code;
	r.dsn = arena_cstr(ev->a->mem, str_from(status, 1));
	if (r.dsn == NULL)
		return bad_template(ev, CODE_ERROR, text);
	return access_reject(ev, &r);
}

/* The reply of the template in rbl_reply_maps, or else of the default one. */
static enum rc
reply_with(struct access_eval *ev, struct listing *l, struct str template)
{
	struct rbl_macros macros = { .ev = ev, .l = l };
	const struct access_macros m = {
		.find = rbl_macro, .ctx = &macros, .filter = ev->c->expansion_filter
	};
	struct str text, unused, domain = l->list;

	if (template.n > 0) {
		if (access_expand(&m, template, ev->a->mem, &text) == RC_OK)
			return reject_with(ev, l, text);
		(void)str_cut(l->list, '=', &domain, &unused);
		access_warn(ev, /* compat */
		    arena_printf(ev->a->mem,
			"rbl_reject_reply: bad rbl reply template for domain %.*s: %.*s",
			STR_ARG(domain), STR_ARG(template)));
	}
	template = ev->c->default_rbl_reply;
	if (access_expand(&m, template, ev->a->mem, &text) == RC_OK)
		return reject_with(ev, l, text);
	return bad_template(
	    ev, "rbl_reject_reply: bad default rbl reply template", template);
}

static enum rc
reject_listed(struct access_eval *ev, struct listing *l)
{
	struct str template = STR("");
	enum rc rc = find_text(ev, l);

	if (rc == RC_OK)
		rc = find_template(ev, l, &template);
	if (rc == RC_MORE)
		return rc;
	if (rc == RC_TEMP) {
		access_warn(ev, ask_trouble(ev->a, ev->a->mem));
		access_config_trouble(ev);
		return RC_OK;
	}
	return reply_with(ev, l, template);
}

/* ---- block lists ---- */

/* The argument, or a warning. */
static bool
takes_list(struct access_eval *ev, struct listing *l)
{
	l->list = ev->item->arg;
	if (l->list.n == 0)
		access_warn(ev, /* compat */
		    arena_printf(ev->a->mem,
			"restriction %.*s requires domain name argument",
			STR_ARG(ev->item->name)));
	return l->list.n > 0;
}

static enum rc
block(struct access_eval *ev, struct listing *l)
{
	enum rc rc = is_listed(ev, l);

	if (rc == RC_MORE)
		return rc;
	if (rc == RC_PERM)
		access_config_trouble(ev);
	return rc == RC_OK ? reject_listed(ev, l) : RC_OK;
}

/* The address the other way round, in front of a list's domain. False: no address. */
static bool
by_address(struct access_eval *ev, struct listing *l)
{
	struct addr_ip ip;
	char name[80];
	struct str r;

	l->what = ev->q->client_addr;
	l->cls = ACCESS_CLS_CLIENT;
	if (addr_ip_parse(l->what, &ip) != RC_OK)
		return false;
	r = addr_ip_reverse(&ip, name);
	r = str_head(r,
	    r.n - (ip.family == ADDR_IPV4 ? STR(".in-addr.arpa").n : STR(".ip6.arpa").n));
	l->query = arena_str(ev->a->mem, r);
	return l->query.p != NULL;
}

/* compat: what is no name, or ends in a number, is never asked about: lists answer that
 * with nonsense. */
static bool
by_domain(struct listing *l, struct str domain)
{
	struct str last = str_from(domain, 0);
	size_t at = str_rfind(domain, '.');

	if (at < domain.n)
		last = str_from(domain, at + 1);
	l->query = domain;
	for (size_t i = 0; i < last.n; i++)
		if (!ascii_isdigit(last.p[i]))
			return addr_hostname_valid(domain);
	return false;
}

static bool
by_address_domain(struct access_eval *ev, struct listing *l, struct str address)
{
	struct str local, domain;

	l->what = access_shown(ev, address);
	addr_split(l->what, &local, &domain);
	return by_domain(l, domain.n > 0 ? domain : l->what);
}

enum rc
access_rbl_client(struct access_eval *ev)
{
	struct listing l = { 0 };

	return takes_list(ev, &l) && by_address(ev, &l) ? block(ev, &l) : RC_OK;
}

static enum rc
block_name(struct access_eval *ev, struct str name, const char *cls)
{
	struct listing l = { .what = name, .cls = cls };

	if (!takes_list(ev, &l) || str_iis(name, "unknown") || !by_domain(&l, name))
		return RC_OK;
	return block(ev, &l);
}

enum rc
access_rhsbl_client(struct access_eval *ev)
{
	return block_name(ev, ev->q->client_name, ACCESS_CLS_CLIENT);
}

enum rc
access_rhsbl_reverse_client(struct access_eval *ev)
{
	return block_name(ev, ev->q->client_reverse_name, ACCESS_CLS_REVERSE);
}

enum rc
access_rhsbl_helo(struct access_eval *ev)
{
	return block_name(ev, ev->q->helo, ACCESS_CLS_HELO);
}

static enum rc
block_address(struct access_eval *ev, struct str address, const char *cls)
{
	struct listing l = { .cls = cls };

	if (!takes_list(ev, &l) || !by_address_domain(ev, &l, address))
		return RC_OK;
	return block(ev, &l);
}

enum rc
access_rhsbl_sender(struct access_eval *ev)
{
	return block_address(ev, ev->q->sender, ACCESS_CLS_SENDER);
}

enum rc
access_rhsbl_recipient(struct access_eval *ev)
{
	return block_address(ev, ev->q->recipient, ACCESS_CLS_RECIPIENT);
}

/* ---- white lists ---- */

/* Nobody gets leave to relay by being on a list: before a recipient's own restrictions
 * are over, only what comes to us anyway is permitted. RC_OK, RC_NONE, RC_MORE; RC_TEMP:
 * the verdict is set. */
static enum rc
is_for_us(struct access_eval *ev)
{
	struct route r;
	enum rc rc;

	if (!str_is(ev->q->state, "RCPT"))
		return RC_OK;
	if (ev->q->recipient.n == 0)
		return RC_NONE;
	rc = access_resolve_recipient(ev, &r);
	if (rc != RC_OK)
		return rc;
	return access_is_auth_destination(ev, &r) ? RC_OK : RC_NONE;
}

static enum rc
allow(struct access_eval *ev, struct listing *l)
{
	const struct access_reply unsure = { .code = 450,
		.dsn = ".7.1",
		.words = STR("Service unavailable"),
		.subject = l->what,
		.cls = l->cls };
	enum rc rc = is_listed(ev, l);

	if (rc == RC_TEMP)
		return access_defer_if_reject(ev, &unsure);
	if (rc == RC_PERM)
		access_config_trouble(ev);
	if (rc == RC_OK)
		rc = is_for_us(ev);
	if (rc == RC_OK)
		return access_permit(ev);
	return rc == RC_MORE ? rc : RC_OK;
}

enum rc
access_dnswl_client(struct access_eval *ev)
{
	struct listing l = { 0 };

	return takes_list(ev, &l) && by_address(ev, &l) ? allow(ev, &l) : RC_OK;
}

enum rc
access_rhswl_client(struct access_eval *ev)
{
	struct str name = ev->q->client_name;
	struct listing l = { .what = name, .cls = ACCESS_CLS_CLIENT };

	if (!takes_list(ev, &l) || str_iis(name, "unknown") || !by_domain(&l, name))
		return RC_OK;
	return allow(ev, &l);
}
