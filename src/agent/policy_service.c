/* Owns the text of a policy service: where it is, and its own settings. */
#include "agent/policy_int.h"
#include "base/arena.h"
#include "conf/snapshot.h"
#include "conf/value.h"
#include "log/log.h"
#include "milter/policy.h"
#include "net/endpoint.h"
#include "os/fd.h"
#include <stdlib.h>
#include <sys/un.h>

#define SERVICE_MEM_MAX  ((size_t)64 << 10)
#define ETC_SERVICES_MAX ((size_t)1 << 20)

enum rc
policy_settings_load(const struct conf_snapshot *snapshot,
    const struct master_service *service, struct arena *mem, struct policy_settings *out,
    struct err *e)
{
	struct conf_access c;
	struct str services = STR(""), known, spool;
	enum rc rc = conf_fill_access(snapshot, service, mem, &c, e);

	if (rc == RC_OK)
		rc = conf_get(snapshot, service, STR("queue_directory"), mem, &spool, e);
	if (rc == RC_OK)
		rc = conf_get(snapshot, service, STR("known_tcp_ports"), mem, &known, e);
	if (rc != RC_OK)
		return rc;
	/* Without it ports have numbers and the names that are built in. */
	(void)!os_fd_load("/etc/services", ETC_SERVICES_MAX, mem, &services, NULL);
	*out = (struct policy_settings){
		.timeout_us = c.smtpd_policy_service_timeout_us,
		.max_idle_us = c.smtpd_policy_service_max_idle_us,
		.max_ttl_us = c.smtpd_policy_service_max_ttl_us,
		.retry_delay_us = c.smtpd_policy_service_retry_delay_us,
		.request_limit = (unsigned)c.smtpd_policy_service_request_limit,
		.try_limit = (unsigned)c.smtpd_policy_service_try_limit,
		.default_action = c.smtpd_policy_service_default_action,
		.queue_directory = spool,
		.ports = { known, services },
		.is_smtputf8 = c.smtputf8_enable,
	};
	return RC_OK;
}

static enum rc
set_time(struct str value, int64_t *out, struct err *e)
{
	int64_t us;
	enum rc rc = conf_parse_time(value, 's', &us);

	if (rc == RC_OK && us < US_PER_SEC)
		rc = RC_PERM;
	if (rc != RC_OK)
		return err_set(e, RC_PERM, "bad time value \"%.*s\"", STR_ARG(value));
	*out = us;
	return RC_OK;
}

static enum rc
set_number(struct str value, unsigned least, unsigned *out, struct err *e)
{
	uint64_t v;

	if (str_u64(value, INT32_MAX, &v) != RC_OK || v < least)
		return err_set(e, RC_PERM, "bad number \"%.*s\"", STR_ARG(value));
	*out = (unsigned)v;
	return RC_OK;
}

static enum rc
set(struct policy_settings *s, struct str name, struct str value, struct err *e)
{
	if (str_is(name, "timeout"))
		return set_time(value, &s->timeout_us, e);
	if (str_is(name, "max_idle"))
		return set_time(value, &s->max_idle_us, e);
	if (str_is(name, "max_ttl"))
		return set_time(value, &s->max_ttl_us, e);
	if (str_is(name, "retry_delay"))
		return set_time(value, &s->retry_delay_us, e);
	if (str_is(name, "request_limit"))
		return set_number(value, 0, &s->request_limit, e);
	if (str_is(name, "try_limit"))
		return set_number(value, 1, &s->try_limit, e);
	if (str_is(name, "policy_context")) /* is part of the request */
		return RC_OK;
	if (!str_is(name, "default_action"))
		return err_set(e, RC_PERM, "unknown attribute \"%.*s\"", STR_ARG(name));
	if (value.n == 0)
		return err_set(e, RC_PERM, "empty default_action");
	s->default_action = value;
	return RC_OK;
}

/* "host:port", or a port alone on this host. */
static enum rc
read_inet(struct policy_service *s, struct str where, struct err *e)
{
	size_t at = str_rfind(where, ':');
	struct str port = at < where.n ? str_from(where, at + 1) : where;

	s->host = at < where.n ? str_head(where, at) : STR("localhost");
	if (s->host.n > 1 && s->host.p[0] == '[' && s->host.p[s->host.n - 1] == ']')
		s->host = str_n(s->host.p + 1, s->host.n - 2);
	if (s->host.n == 0)
		s->host = STR("localhost");
	if (net_port_find(port, &s->s.ports, &s->port) != RC_OK || s->port == 0)
		return err_set(
		    e, RC_PERM, "unknown service: %.*s/tcp", STR_ARG(port)); /* compat */
	return RC_OK;
}

static enum rc
read_unix(struct policy_service *s, struct str where, struct err *e)
{
	struct str path = where;

	if (where.n > 0 && where.p[0] != '/')
		path = arena_printf(
		    s->mem, "%.*s/%.*s", STR_ARG(s->s.queue_directory), STR_ARG(where));
	if (where.n == 0 || path.n >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return err_set(e, RC_PERM, "unix-domain name too long or empty: %.*s",
		    STR_ARG(where));
	s->path = arena_cstr(s->mem, path);
	return RC_OK;
}

static enum rc
read_text(struct policy_service *s, struct err *e)
{
	struct str endpoint, rest, type, where, name, value;
	enum rc rc = milter_policy_service(s->text, &endpoint, &rest, e);

	if (rc != RC_OK)
		return rc;
	while ((rc = milter_policy_setting(&rest, &name, &value, e)) == RC_OK) {
		rc = set(&s->s, name, value, e);
		if (rc != RC_OK)
			break;
	}
	if (rc != RC_NONE)
		return rc;
	if (!str_cut(endpoint, ':', &type, &where))
		where = (struct str){ NULL, 0 };
	s->name = where;
	if (where.p != NULL && str_is(type, "inet"))
		return read_inet(s, where, e);
	if (where.p != NULL && (str_is(type, "unix") || str_is(type, "local")))
		return read_unix(s, where, e);
	return err_set(e, RC_PERM, "malformed attribute: \"%.*s\"", STR_ARG(endpoint));
}

struct policy_service *
policy_service_of(struct policy_client *c, struct str text)
{
	struct policy_service *s;
	struct err e = { 0 };

	LIST_EACH (it, &c->services) {
		s = CONTAINER_OF(it, struct policy_service, node);
		if (str_eq(s->text, text))
			return s;
	}
	s = mem_get(sizeof(*s));
	s->client = c;
	s->mem = arena_new(SERVICE_MEM_MAX);
	s->text = arena_str(s->mem, text);
	s->s = c->s;
	list_init(&s->conns);
	list_init(&s->idle);
	list_init(&s->waiting);
	list_add_tail(&c->services, &s->node);
	s->is_bad = s->text.p == NULL || read_text(s, &e) != RC_OK;
	if (s->is_bad)
		log_warn(c->log, "check_policy_service %.*s: %s", STR_ARG(text), e.text);
	return s;
}
