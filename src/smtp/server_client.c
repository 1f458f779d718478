/* XCLIENT and XFORWARD: a trusted proxy or filter tells who the client is, for the
 * session and for the log lines of one message. Values are xtext. Replies are Postfix's
 * (compat: all literals here). */
#include "smtp/server_int.h"
#include "addr/address.h"
#include "addr/domain.h"
#include "addr/net.h"
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX   255                /* Postfix: VALID_HOSTNAME_LEN */
#define FORWARD_MAX ((size_t)8 * 1024) /* all attributes */

/* What XFORWARD has said about the message that comes next. */
struct srv_forward {
	struct arena *mem;
	struct smtp_client_attrs attrs;
};

/* ---- attributes ---- */

enum kind { KIND_NAME, KIND_ADDR, KIND_PORT, KIND_TEXT, KIND_PROTO, KIND_SOURCE };
enum { FOR_XCLIENT = 1, FOR_XFORWARD = 2, FOR_BOTH = 3 };

static const struct attr {
	const char *name;
	size_t at; /* in struct smtp_client_attrs */
	enum kind kind;
	unsigned who;
} attrs[] = {
	{ "NAME", offsetof(struct smtp_client_attrs, name), KIND_NAME, FOR_BOTH },
	{ "ADDR", offsetof(struct smtp_client_attrs, addr), KIND_ADDR, FOR_BOTH },
	{ "PORT", offsetof(struct smtp_client_attrs, port), KIND_PORT, FOR_BOTH },
	{ "HELO", offsetof(struct smtp_client_attrs, helo), KIND_TEXT, FOR_BOTH },
	{ "PROTO", offsetof(struct smtp_client_attrs, proto), KIND_PROTO, FOR_BOTH },
	{ "REVERSE_NAME", offsetof(struct smtp_client_attrs, reverse_name), KIND_NAME,
	    FOR_XCLIENT },
	{ "LOGIN", offsetof(struct smtp_client_attrs, login), KIND_TEXT, FOR_XCLIENT },
	{ "DESTADDR", offsetof(struct smtp_client_attrs, dest_addr), KIND_ADDR,
	    FOR_XCLIENT },
	{ "DESTPORT", offsetof(struct smtp_client_attrs, dest_port), KIND_PORT,
	    FOR_XCLIENT },
	{ "IDENT", offsetof(struct smtp_client_attrs, ident), KIND_TEXT, FOR_XFORWARD },
	{ "SOURCE", offsetof(struct smtp_client_attrs, source), KIND_SOURCE,
	    FOR_XFORWARD },
};

static struct str *
field(struct smtp_client_attrs *a, const struct attr *attr)
{
	return (struct str *)(void *)((char *)a + attr->at);
}

static bool
is_port(struct str v)
{
	for (size_t i = 0; i < v.n; i++)
		if (!ascii_isdigit(v.p[i]))
			return false;
	return v.n > 0 && v.n <= 5;
}

struct attr_request {
	const struct smtp_server_conf *conf;
	const struct attr *attr;
	unsigned who; /* FOR_XCLIENT or FOR_XFORWARD */
	struct arena *mem;
};

/* The address as it is written everywhere else. */
static bool
read_addr(const struct attr_request *r, struct str v, struct str *out)
{
	char text[ADDR_IP_TEXT_MAX];
	struct addr_ip ip;

	if (addr_ip_parse_literal(v, &ip) != RC_OK ||
	    (r->conf->no_ipv4 && ip.family == ADDR_IPV4) ||
	    (r->conf->no_ipv6 && ip.family == ADDR_IPV6))
		return false;
	*out = arena_str(r->mem, addr_ip_format(&ip, text));
	return out->p != NULL;
}

static void
note_temp(const struct attr_request *r, struct smtp_client_attrs *out, bool is_temp)
{
	if (r->attr->at == offsetof(struct smtp_client_attrs, name))
		out->name_is_temp = is_temp;
	else if (r->attr->at == offsetof(struct smtp_client_attrs, reverse_name))
		out->reverse_name_is_temp = is_temp;
}

/* Decodes and checks one value. *shown: what a complaint shows. */
static bool
read_value(const struct attr_request *r, struct str raw, struct smtp_client_attrs *out,
    struct str *shown)
{
	struct str *to = field(out, r->attr), v;
	enum kind kind = r->attr->kind;
	bool is_temp =
	    kind == KIND_NAME && r->who == FOR_XCLIENT && str_iis(raw, "[TEMPUNAVAIL]");

	*shown = raw;
	note_temp(r, out, is_temp);
	if (is_temp || str_iis(raw, "[UNAVAILABLE]")) {
		*to = kind == KIND_NAME || kind == KIND_ADDR || kind == KIND_PORT
			  ? STR("unknown")
			  : STR("");
		return true;
	}
	/* compat: what is no xtext stands for itself */
	if (addr_xtext_decode(raw, r->mem, &v) != RC_OK)
		v = arena_str(r->mem, raw);
	if (v.p == NULL)
		return false;
	/* It is ours alone, fresh from the arena. */
	srv_neuter(r->conf, (char *)(uintptr_t)v.p, v.n);
	*shown = *to = v;
	switch (kind) {
	case KIND_NAME:
		return addr_hostname_valid(v);
	case KIND_ADDR:
		return read_addr(r, v, to);
	case KIND_PORT:
		return is_port(v);
	case KIND_TEXT:
		return true;
	case KIND_PROTO:
		return r->who == FOR_XFORWARD || str_iis(v, "SMTP") ||
		       str_iis(v, "ESMTP");
	case KIND_SOURCE:
		return str_iis(v, "LOCAL") || str_iis(v, "REMOTE");
	}
	return false;
}

static const struct attr *
find_attr(struct str name, unsigned who)
{
	for (size_t i = 0; i < ARRAY_LEN(attrs); i++)
		if ((attrs[i].who & who) != 0 && str_iis(name, attrs[i].name))
			return &attrs[i];
	return NULL;
}

/* Reads all attributes into *out. False: the command was refused. */
static bool
read_attrs(struct smtp_server *s, struct str args, struct attr_request *r,
    struct smtp_client_attrs *out)
{
	struct str word, name, raw, shown;

	while (str_token(&args, " \t", &word)) {
		if (!str_cut(word, '=', &name, &raw) || name.n == 0 || raw.n == 0) {
			srv_fail(s, "501 5.5.4 Error: attribute=value expected");
			return false;
		}
		if (raw.n > VALUE_MAX) {
			srv_fail(s, "501 5.5.4 Error: attribute value too long");
			return false;
		}
		r->attr = find_attr(name, r->who);
		if (r->attr == NULL) {
			s->trouble |= SMTP_TROUBLE_PROTOCOL;
			srv_replyf(s, "501 5.5.4 Bad %s attribute name: %.*s", s->where,
			    STR_ARG(str_head(name, 100)));
			srv_done(s, false);
			return false;
		}
		if (!read_value(r, raw, out, &shown)) {
			s->trouble |= SMTP_TROUBLE_PROTOCOL;
			srv_replyf(s, "501 5.5.4 Bad %s syntax: %.*s", r->attr->name,
			    STR_ARG(shown));
			srv_done(s, false);
			return false;
		}
	}
	return true;
}

/* What both commands are refused for before they are read. */
static bool
refuse(struct smtp_server *s, struct str args, bool may)
{
	const char *no = NULL;

	if (s->tx.has_mail)
		no = "503 5.5.1 Error: MAIL transaction in progress";
	else if (args.n == 0)
		no = s->verb == VERB_XCLIENT
			 ? "501 5.5.4 Syntax: XCLIENT attribute=value..."
			 : "501 5.5.4 Syntax: XFORWARD attribute=value...";
	else if (!may)
		no = "550 5.7.0 Error: insufficient authorization";
	if (no != NULL)
		srv_refuse(s, may ? SMTP_TROUBLE_PROTOCOL : SMTP_TROUBLE_POLICY, no);
	return no != NULL;
}

/* ---- XCLIENT ---- */

void
srv_cmd_xclient(struct smtp_server *s, struct str args)
{
	struct attr_request r = {
		.conf = s->conf, .who = FOR_XCLIENT, .mem = s->scratch
	};
	struct smtp_client_attrs *out;

	if (refuse(s, args, s->rights.may_xclient))
		return;
	out = arena_get(s->scratch, sizeof(*out));
	if (out == NULL) {
		srv_refuse(
		    s, SMTP_TROUBLE_RESOURCE, "452 4.3.1 Insufficient system storage");
		return;
	}
	*out = (struct smtp_client_attrs){ 0 };
	if (!read_attrs(s, args, &r, out))
		return;
	s->xclient = out;
	srv_ask(s, SMTP_FX_XCLIENT, STR(""));
}

void
srv_answer_xclient(struct smtp_server *s, const struct smtp_answer *a)
{
	const struct smtp_client_attrs *x = s->xclient;

	assert(a->client != NULL && a->rights != NULL && x != NULL);
	srv_set_client(s, a->client, x->login);
	s->rights = *a->rights;
	s->esmtp = x->proto.n > 0 && str_iis(x->proto, "ESMTP");
	srv_set_helo(s, x->helo);
	srv_reset(s, true);
	/* compat: counted as a command that did not end */
	srv_done(s, false);
	s->error_count--;
	srv_restart(s);
}

/* ---- XFORWARD ---- */

void
srv_forward_free(struct srv_forward **fp)
{
	if (*fp == NULL)
		return;
	arena_free(&(*fp)->mem);
	free(*fp);
	*fp = NULL;
}

const struct smtp_client_attrs *
srv_forwarded(const struct smtp_server *s)
{
	return s->forward == NULL ? NULL : &s->forward->attrs;
}

/* A copy of all that is known, in memory of its own: what earlier commands said and is
 * replaced by now does not add up. */
static void
keep(struct smtp_server *s, const struct smtp_client_attrs *from)
{
	struct srv_forward *f = mem_get(sizeof(*f));

	f->mem = arena_new(FORWARD_MAX);
	f->attrs = *from;
	for (size_t i = 0; i < ARRAY_LEN(attrs); i++) {
		struct str *v = field(&f->attrs, &attrs[i]);

		if (v->p != NULL)
			*v = arena_str(f->mem, *v);
	}
	srv_forward_free(&s->forward);
	s->forward = f;
}

void
srv_cmd_xforward(struct smtp_server *s, struct str args)
{
	struct attr_request r = {
		.conf = s->conf, .who = FOR_XFORWARD, .mem = s->scratch
	};
	struct smtp_client_attrs out = { 0 };

	if (refuse(s, args, s->rights.may_xforward))
		return;
	if (s->forward != NULL)
		out = s->forward->attrs;
	if (!read_attrs(s, args, &r, &out))
		return;
	keep(s, &out);
	srv_ok(s, "250 2.0.0 Ok");
}
