/* Owns the judgement of values that conf_check() takes for what their type says:
 * endpoints, addresses, tables, classes. Each rule is that of the daemon which reads the
 * value, and so are the words, with what is allowed behind them. */
#include "agent/values.h"
#include "access/access.h"
#include "addr/net.h"
#include "agent/decide_int.h"
#include "agent/worker.h"
#include "base/arena.h"
#include "conf/list.h"
#include "conf/params.h"
#include "conf/snapshot.h"
#include "net/endpoint.h"
#include "net/resolver.h"
#include "os/fd.h"
#include "sched/sched.h"
#include <string.h>
#include <sys/un.h>

#define VALUE_SHOWN      100
#define ETC_SERVICES_MAX ((size_t)1 << 20)

struct setting {
	const struct conf_snapshot *s;
	const struct master_service *service; /* NULL: main.cf */
	struct str name, text;                /* expanded */
	struct arena *mem;
};

static enum rc
bad(struct err *e, const char *words, struct str value, const char *allowed)
{
	return err_set(e, RC_PERM, "%s%.*s; specify %s", words,
	    STR_ARG(str_head(value, VALUE_SHOWN)), allowed);
}

/* ---- addresses ---- */

static enum rc
check_dns_servers(const struct setting *at, struct err *e)
{
	enum rc rc = net_resolver_check(at->text, e);

	return rc == RC_OK ? RC_OK
			   : err_set(e, rc,
				 "%.*s; specify numeric addresses, address@port if the "
				 "port is not 53",
				 STR_ARG(arena_str(at->mem, str_c(e->text))));
}

static enum rc
check_bind(const struct setting *at, uint8_t family, const char *allowed, struct err *e)
{
	struct str text = str_trim(at->text), words;
	struct addr_ip ip;

	if (text.n > 1 && *text.p == '[')
		text = str_head(str_from(text, 1), text.n - 2);
	if (text.n == 0 || (addr_ip_parse(text, &ip) == RC_OK && ip.family == family))
		return RC_OK;
	words = arena_printf(at->mem, "bad %.*s address: ", STR_ARG(at->name));
	return bad(e, words.p, at->text, allowed);
}

static enum rc
check_bind_4(const struct setting *at, struct err *e)
{
	return check_bind(at, 4, "one numeric IPv4 address, or nothing", e);
}

static enum rc
check_bind_6(const struct setting *at, struct err *e)
{
	return check_bind(at, 6, "one numeric IPv6 address, or nothing", e);
}

static struct net_ports
ports_of(const struct setting *at)
{
	struct net_ports p = { 0 };

	if (conf_get(at->s, at->service, STR("known_tcp_ports"), at->mem, &p.known,
		NULL) != RC_OK)
		p.known = STR("");
	if (os_fd_load("/etc/services", ETC_SERVICES_MAX, at->mem, &p.services, NULL) !=
	    RC_OK)
		p.services = STR("");
	return p;
}

static enum rc
check_port(const struct setting *at, struct err *e)
{
	struct net_ports ports = ports_of(at);
	uint16_t port;

	if (net_port_find(at->text, &ports, &port) == RC_OK)
		return RC_OK;
	return bad(e, "unknown service: ", at->text, "a port, or its name");
}

/* "host:port", "inet:host:port", "unix:path"; the host may be missing. */
static enum rc
check_filter(const struct setting *at, struct err *e)
{
	static const char *const allowed = "host:port, inet:host:port or unix:path";
	struct str text = str_trim(at->text);
	struct net_ports ports = ports_of(at);
	struct net_dest dest = { 0 };

	if (text.n == 0)
		return RC_OK;
	if (str_starts(text, STR("unix:")))
		return text.n < sizeof(((struct sockaddr_un *)0)->sun_path)
			   ? RC_OK
			   : bad(e, "bad smtpd_proxy_filter path: ", text,
				 "a shorter one");
	if (str_starts(text, STR("inet:")))
		text = str_from(text, 5);
	ports.services = STR(""); /* smtpd asks known_tcp_ports alone */
	if (net_helper_parse(text, &ports, &dest, NULL) == RC_OK)
		return RC_OK;
	return bad(e, "bad smtpd_proxy_filter: ", at->text, allowed);
}

/* ---- words ---- */

static enum rc
check_filter_options(const struct setting *at, struct err *e)
{
	struct str rest = at->text, word;

	while (str_token(&rest, CONF_LIST_SEPARATORS, &word))
		if (!str_is(word, "speed_adjust"))
			return bad(e, "unknown smtpd_proxy_options value: ", word,
			    "speed_adjust, or nothing");
	return RC_OK;
}

static enum rc
check_overrides(const struct setting *at, struct err *e)
{
	static const char *const known[] = { "no_address_mappings",
		"no_header_body_checks", "no_milters", "no_unknown_recipient_checks" };
	struct str rest = at->text, word;

	while (str_token(&rest, CONF_LIST_SEPARATORS, &word)) {
		size_t i = 0;

		while (i < ARRAY_LEN(known) && !str_iis(word, known[i]))
			i++;
		if (i == ARRAY_LEN(known))
			return bad(e, "unknown receive_override_options value: ", word,
			    "no_address_mappings, no_header_body_checks, no_milters or "
			    "no_unknown_recipient_checks");
	}
	return RC_OK;
}

static enum rc
check_proxy_protocol(const struct setting *at, struct err *e)
{
	struct str v = str_trim(at->text);

	if (v.n == 0 || str_iis(v, "haproxy"))
		return RC_OK;
	return bad(e, "unsupported smtpd_upstream_proxy_protocol value: ", v,
	    "haproxy, or nothing"); /* compat */
}

static enum rc
check_feedback(const struct setting *at, struct err *e)
{
	enum sched_feedback kind;
	double value;

	if (sched_feedback_parse(at->text, &kind, &value, NULL) == RC_OK)
		return RC_OK;
	return bad(e, "bad feedback: ", at->text,
	    "a number from 0 to 1, number/concurrency or number/sqrt_concurrency");
}

/* ---- two together ---- */

/* The service that virtual_transport names, if it is virtual: others (Dovecot by LMTP …)
 * have limits of their own. Or NULL. */
static const struct master_service *
mailbox_service(const struct conf_snapshot *s, struct str transport)
{
	struct str name = str_head(transport, str_find(transport, ':'));

	for (size_t i = 0; i < s->master.n; i++) {
		const struct master_service *v = &s->master.v[i];
		const char *role = worker_role_of(v->command);

		if (v->type == MASTER_UNIX && str_eq(v->name, name) && role != NULL &&
		    str_is(str_c(role), "virtual"))
			return v;
	}
	return NULL;
}

/* Of no consequence where nobody has such a mailbox, and of an smtpd alone. */
static enum rc
check_mailbox_limit(const struct setting *at, struct err *e)
{
	const struct master_service *virtual;
	struct conf_common common;
	struct conf_virtual mailbox;
	struct conf_route route;
	int64_t limit;

	if (conf_fill_route(at->s, NULL, at->mem, &route, NULL) != RC_OK ||
	    str_trim(route.virtual_mailbox_domains).n == 0)
		return RC_OK;
	virtual = mailbox_service(at->s, str_trim(route.virtual_transport));
	if (virtual == NULL || (at->service != NULL && at->service != virtual) ||
	    conf_fill_common(at->s, NULL, at->mem, &common, NULL) != RC_OK ||
	    conf_fill_virtual(at->s, virtual, at->mem, &mailbox, NULL) != RC_OK)
		return RC_OK;
	limit = mailbox.virtual_mailbox_limit_bytes;
	if (limit == 0 || (common.message_size_limit_bytes > 0 &&
			      limit >= common.message_size_limit_bytes))
		return RC_OK;
	return err_set(e, RC_PERM, /* compat */
	    "main.cf configuration error: virtual_mailbox_limit is smaller than "
	    "message_size_limit");
}

/* ---- lists ---- */

/* A class that nothing defines stops smtpd. */
static enum rc
check_classes(const struct setting *at, struct err *e)
{
	struct str rest = at->text, name, text;

	while (str_token(&rest, CONF_LIST_SEPARATORS, &name))
		if (conf_get(at->s, at->service, name, at->mem, &text, NULL) == RC_NONE)
			return err_set(e, RC_PERM,
			    "restriction class `%.*s' needs a definition", /* compat */
			    STR_ARG(str_head(name, VALUE_SHOWN)));
	return RC_OK;
}

static enum rc
check_restrictions(const struct setting *at, struct err *e)
{
	struct access_classes classes = { 0 };
	struct access_list list;
	enum rc rc;

	/* What is wrong with the classes is said of them. */
	if (decide_access_classes(at->s, at->service, at->mem, &classes, NULL) != RC_OK)
		return RC_OK;
	rc = access_compile(at->text, &classes, at->mem, &list, e);
	return rc == RC_TEMP ? RC_OK : rc;
}

static enum rc
check_braces(const struct setting *at, struct err *e)
{
	struct str rest = at->text, item;
	enum rc rc;

	do
		rc = conf_list_next(&rest, &item);
	while (rc == RC_OK);
	return rc == RC_NONE ? RC_OK : err_set(e, RC_PERM, "unbalanced braces");
}

/* Names of tables only: proxy_read_maps and its sister are lists of what may be asked. */
static enum rc
check_tables(const struct setting *at, struct err *e)
{
	struct str rest = at->text, item;

	if (str_ends(at->name, STR("_maps")) && str_starts(at->name, STR("proxy_")))
		return RC_OK;
	while (conf_list_next(&rest, &item) == RC_OK)
		if (str_find(item, ':') >= item.n || item.p[0] == ':')
			return err_set(e, RC_PERM, /* compat */
			    "open dictionary: expecting \"type:name\" form instead of "
			    "\"%.*s\"",
			    STR_ARG(str_head(item, VALUE_SHOWN)));
	return RC_OK;
}

/* ---- which rule ---- */

typedef enum rc check_fn(const struct setting *at, struct err *e);

static const struct {
	const char *name;
	check_fn *check;
} by_name[] = {
	{ "hikyaku_dns_servers", check_dns_servers },
	{ "message_size_limit", check_mailbox_limit },
	{ "receive_override_options", check_overrides },
	{ "smtp_bind_address", check_bind_4 },
	{ "smtp_bind_address6", check_bind_6 },
	{ "smtp_tcp_port", check_port },
	{ "smtpd_proxy_filter", check_filter },
	{ "smtpd_proxy_options", check_filter_options },
	{ "smtpd_restriction_classes", check_classes },
	{ "smtpd_upstream_proxy_protocol", check_proxy_protocol },
	{ "virtual_mailbox_limit", check_mailbox_limit },
};

static enum rc
check_text(const struct setting *at, const struct conf_param *p, struct err *e)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < ARRAY_LEN(by_name); i++)
		if (str_is(at->name, by_name[i].name))
			return by_name[i].check(at, e);
	if (p->type == CONF_LIST || p->type == CONF_MAPS || p->type == CONF_RESTRICTIONS)
		rc = check_braces(at, e);
	if (rc == RC_OK && p->type == CONF_MAPS)
		rc = check_tables(at, e);
	if (rc == RC_OK && p->type == CONF_RESTRICTIONS)
		rc = check_restrictions(at, e);
	if (rc == RC_OK && str_ends(at->name, STR("ive_feedback")))
		rc = check_feedback(at, e);
	return rc;
}

/* What cannot be expanded is said by conf_check(). */
static enum rc
check_setting(struct setting *at, struct err *e)
{
	const struct conf_param *p = conf_param_find(at->name);
	struct str unused;
	enum rc rc = RC_OK;

	if (p == NULL)
		p = conf_template_find(at->name, &unused);
	if (p == NULL || p->status != CONF_WORKS)
		return RC_OK;
	at->mem = arena_new((size_t)CONF_VALUE_MAX * 8);
	if (conf_get(at->s, at->service, at->name, at->mem, &at->text, NULL) == RC_OK)
		rc = check_text(at, p, e);
	arena_free(&at->mem);
	return rc;
}

/* ---- all settings ---- */

/* Those that begin with "-" are Postfix's own, and mean nothing here. */
enum rc
values_check_arguments(const struct master_service *service, struct err *e)
{
	const char *role = worker_role_of(service->command);

	if (role == NULL || role[0] == '\0' || service->n_args == 0 ||
	    str_starts(service->args[0], STR("-")))
		return RC_OK;
	return err_set(e, RC_PERM,
	    "unexpected command-line argument: %.*s; a value with blanks is written "
	    "-o { name = value }", /* compat, up to the argument */
	    STR_ARG(str_head(service->args[0], VALUE_SHOWN)));
}

static size_t
check_service(const struct conf_snapshot *s, const struct master_service *service,
    enum log_level level, struct log *log)
{
	struct setting at = { .s = s, .service = service };
	struct err e = { 0 };
	size_t n = 0;

	if (values_check_arguments(service, &e) != RC_OK) {
		n++;
		log_begin(log, level);
		log_putf(log, "%.*s: line %u: service %.*s: %s", STR_ARG(s->master_path),
		    service->line, STR_ARG(service->name), e.text);
		log_end(log);
	}
	for (size_t i = 0; i < service->n_overrides; i++) {
		at.name = service->overrides[i].name;
		if (check_setting(&at, &e) == RC_OK)
			continue;
		n++;
		log_begin(log, level);
		log_putf(log, "%.*s: line %u: -o %.*s: %s", STR_ARG(s->master_path),
		    service->line, STR_ARG(at.name), e.text);
		log_end(log);
	}
	return n;
}

size_t
values_check(const struct conf_snapshot *s, enum log_level level, struct log *log)
{
	struct setting at = { .s = s };
	struct err e = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < s->main.n; i++) {
		at.name = s->main.v[i].name;
		if (check_setting(&at, &e) == RC_OK)
			continue;
		n++;
		log_begin(log, level);
		log_putf(log, "%.*s: line %u: %.*s: %s", STR_ARG(s->main_path),
		    s->main.v[i].line, STR_ARG(at.name), e.text);
		log_end(log);
	}
	for (size_t i = 0; i < s->master.n; i++)
		n += check_service(s, &s->master.v[i], level, log);
	return n;
}
