/* One address on its way in: completed, canonical, masqueraded; and who gets a copy. */
#include "route/mapping.h"
#include "addr/address.h"
#include "addr/domain.h"
#include "route/route_int.h"
#include <stdio.h>

#define CANONICAL_MAX 10 /* compat: so often a result is looked up again */

/* ---- configuration ---- */

struct name {
	const char *text;
	unsigned bit;
};

static enum rc
parse_names(
    struct str text, const struct name *names, size_t n, unsigned *out, struct err *e)
{
	unsigned set = 0;
	struct str one;

	while (str_token(&text, ", \t\r\n", &one)) {
		size_t i = 0;

		while (i < n && !str_iis(one, names[i].text))
			i++;
		if (i == n)
			return err_set(
			    e, RC_PERM, "unknown name: \"%.*s\"", STR_ARG(one));
		set |= names[i].bit;
	}
	*out = set;
	return RC_OK;
}

enum rc
mapping_classes_parse(struct str text, unsigned *out, struct err *e)
{
	static const struct name names[] = {
		{ "envelope_sender", 1 << MAPPING_ENVELOPE_SENDER },
		{ "envelope_recipient", 1 << MAPPING_ENVELOPE_RECIPIENT },
		{ "header_sender", 1 << MAPPING_HEADER_SENDER },
		{ "header_recipient", 1 << MAPPING_HEADER_RECIPIENT },
	};

	return parse_names(text, names, ARRAY_LEN(names), out, e);
}

enum rc
mapping_propagate_parse(struct str text, unsigned *out, struct err *e)
{
	static const struct name names[] = {
		{ "canonical", MAPPING_EXT_CANONICAL },
		{ "virtual", MAPPING_EXT_VIRTUAL },
		{ "alias", MAPPING_EXT_ALIAS },
		{ "forward", MAPPING_EXT_FORWARD },
		{ "include", MAPPING_EXT_INCLUDE },
		{ "generic", MAPPING_EXT_GENERIC },
	};

	return parse_names(text, names, ARRAY_LEN(names), out, e);
}

enum rc
mapping_masquerade_parse(
    struct str text, struct arena *mem, struct mapping_conf *c, struct err *e)
{
	struct str rest = text, one;
	struct str *v;
	unsigned n = 0;

	while (str_token(&rest, ", \t\r\n", &one))
		n++;
	v = arena_array(mem, n + 1, sizeof(*v));
	if (v == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	for (n = 0, rest = text; str_token(&rest, ", \t\r\n", &one); n++)
		v[n] = one;
	c->masquerade = v;
	c->n_masquerade = n;
	return RC_OK;
}

/* ---- canonical tables ---- */

static bool
is_sender(enum mapping_class cls)
{
	return cls == MAPPING_ENVELOPE_SENDER || cls == MAPPING_HEADER_SENDER;
}

/* Those of one direction, NULL when they do not apply. */
static const struct ask_tables *
special_tables(const struct mapping_conf *c, enum mapping_class cls)
{
	const struct ask_tables *t =
	    is_sender(cls) ? &c->sender_canonical : &c->recipient_canonical;
	unsigned classes =
	    is_sender(cls) ? c->sender_canonical_classes : c->recipient_canonical_classes;

	return t->n > 0 && (classes & 1U << cls) != 0 ? t : NULL;
}

static const struct ask_tables *
common_tables(const struct mapping_conf *c, enum mapping_class cls)
{
	return c->canonical.n > 0 && (c->canonical_classes & 1U << cls) != 0
		   ? &c->canonical
		   : NULL;
}

static bool
masquerades(const struct mapping_conf *c, enum mapping_class cls)
{
	return c->n_masquerade > 0 && (c->masquerade_classes & 1U << cls) != 0;
}

bool
mapping_applies(const struct mapping_conf *c, enum mapping_class cls)
{
	return special_tables(c, cls) != NULL || common_tables(c, cls) != NULL ||
	       masquerades(c, cls);
}

enum rc
mapping_trouble(enum rc rc, const char *title, struct str address, struct err *e)
{
	if (rc == RC_TEMP && e != NULL) {
		char first[sizeof(e->text)];

		(void)snprintf(first, sizeof(first), "%s", e->text);
		return err_set(e, rc, /* compat */
		    "%s%s%s map lookup problem for %.*s -- message not accepted, try "
		    "again later",
		    first, first[0] != '\0' ? "\n" : "", title, STR_ARG(address));
	}
	return rc;
}

/* Looks *address up, and what comes of it, until nothing new comes. */
static enum rc
canonical(
    struct ask *a, const struct mapping_lookup *how, struct str *address, struct err *e)
{
	for (int i = 0; i < CANONICAL_MAX; i++) {
		struct str before = *address;
		struct mapping_found found;
		enum rc rc = mapping_find(a, how, before, &found, e);

		if (rc == RC_NONE)
			return RC_OK;
		if (rc != RC_OK)
			return mapping_trouble(rc, how->title, before, e);
		if (found.n > 1)
			(void)err_set(e, RC_OK,
			    "multi-valued %s entry for %.*s", /* compat */
			    how->title, STR_ARG(before));
		*address = found.v[0];
		if (str_ieq(before, *address) || address->n == 0)
			return RC_OK;
	}
	/* compat: it says so, and accepts it all the same. */
	return err_set(e, RC_OK,
	    "unreasonable %s map nesting for %.*s -- message not accepted, try again "
	    "later",
	    how->title, STR_ARG(*address));
}

/* ---- masquerading ---- */

/* Whether `domain` lies below `parent`. */
static bool
is_below(struct str domain, struct str parent)
{
	return domain.n > parent.n + 1 && domain.p[domain.n - parent.n - 1] == '.' &&
	       str_iends(domain, parent);
}

static enum rc
masquerade(
    struct ask *a, const struct mapping_conf *c, struct str *address, struct err *e)
{
	struct str local, domain;
	enum rc rc;

	addr_split(*address, &local, &domain);
	if (domain.n == 0)
		return RC_OK;
	if (c->masquerade_exceptions.n > 0) {
		struct str user = addr_to_internal(local, a->mem);

		rc = user.p == NULL
			 ? RC_TEMP
			 : route_list_domain(a, &c->masquerade_exceptions, user);
		if (rc == RC_TEMP)
			return mapping_trouble(rc, "masquerade_exceptions", *address, e);
		if (rc != RC_NONE)
			return rc;
	}
	for (unsigned i = 0; i < c->n_masquerade; i++) {
		struct str parent = c->masquerade[i];
		bool cut = true;

		for (; parent.n > 0 && *parent.p == '!'; parent = str_from(parent, 1))
			cut = !cut;
		if (str_ieq(domain, parent))
			return RC_OK;
		if (parent.n == 0 || !is_below(domain, parent))
			continue;
		if (!cut)
			return RC_OK;
		parent = addr_domain_lower(parent, a->mem);
		*address =
		    arena_printf(a->mem, "%.*s@%.*s", STR_ARG(local), STR_ARG(parent));
		return address->p != NULL ? RC_OK : err_set(e, RC_TEMP, "memory limit");
	}
	return RC_OK;
}

/* ---- all of it ---- */

enum rc
mapping_complete(
    const struct mapping_conf *c, struct str address, struct arena *mem, struct str *out)
{
	return route_rewrite(
	    c->complete != NULL ? c->complete : c->route, address, mem, out);
}

enum rc
mapping_address(struct ask *a, const struct mapping_conf *c, enum mapping_class cls,
    struct str address, struct str *out, struct err *e)
{
	struct mapping_lookup how = { .route = c->route,
		.with_extension = (c->propagate & MAPPING_EXT_CANONICAL) != 0 };
	struct str s;
	enum rc rc = mapping_complete(c, address, a->mem, &s);

	if (rc != RC_OK)
		return err_set(e, rc, "memory limit");
	how.tables = special_tables(c, cls);
	how.title = is_sender(cls) ? "sender_canonical_maps" : "recipient_canonical_maps";
	if (how.tables != NULL && s.n > 0)
		rc = canonical(a, &how, &s, e);
	how.tables = common_tables(c, cls);
	how.title = "canonical_maps";
	if (rc == RC_OK && how.tables != NULL && s.n > 0)
		rc = canonical(a, &how, &s, e);
	if (rc == RC_OK && s.n > 0 && masquerades(c, cls))
		rc = masquerade(a, c, &s, e);
	if (rc == RC_OK)
		*out = s;
	return rc;
}

enum rc
mapping_bcc(struct ask *a, const struct mapping_conf *c, enum mapping_class cls,
    struct str address, struct str *out, struct err *e)
{
	const struct ask_tables *t = is_sender(cls) ? &c->sender_bcc : &c->recipient_bcc;
	struct str found;
	enum rc rc = route_find(a, c->route, t, address, &found);

	if (rc == RC_TEMP) /* compat: without the address */
		return err_set(e, rc,
		    "%s map lookup problem -- message not accepted, try again later",
		    is_sender(cls) ? "sender_bcc_maps" : "recipient_bcc_maps");
	if (rc != RC_OK)
		return rc;
	/* compat: all of the value is one address as it is meant, without quotes. */
	*out = addr_to_external(found, a->mem);
	return out->p != NULL ? RC_OK : err_set(e, RC_TEMP, "memory limit");
}
