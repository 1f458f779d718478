/* The configuration of address rewriting, and its tables. */
#include "agent/decide_mapping.h"
#include "agent/decide_int.h"
#include "base/arena.h"
#include "conf/generated.h"
#include "conf/snapshot.h"
#include "log/log.h"

struct load {
	struct decide *d;
	struct arena *mem;
	const struct conf_ingest *c;
	struct mapping_conf *m;
	struct err *e;
};

static enum rc
open_tables(struct load *l)
{
	const struct conf_ingest *c = l->c;
	struct mapping_conf *m = l->m;
	const struct {
		const char *name;
		struct str text;
		struct ask_tables *out;
	} tables[] = {
		{ "canonical_maps", c->canonical_maps, &m->canonical },
		{ "sender_canonical_maps", c->sender_canonical_maps,
		    &m->sender_canonical },
		{ "recipient_canonical_maps", c->recipient_canonical_maps,
		    &m->recipient_canonical },
		{ "virtual_alias_maps", c->virtual_alias_maps, &m->virtual_alias },
		{ "sender_bcc_maps", c->sender_bcc_maps, &m->sender_bcc },
		{ "recipient_bcc_maps", c->recipient_bcc_maps, &m->recipient_bcc },
	};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		enum rc rc =
		    decide_open_tables(l->d, tables[i].text, 0, tables[i].out, l->e);

		if (rc != RC_OK)
			return err_in(l->e, rc, "parameter %s", tables[i].name);
	}
	return RC_OK;
}

static enum rc
parse_sets(struct load *l)
{
	const struct conf_ingest *c = l->c;
	struct mapping_conf *m = l->m;
	const struct {
		const char *name;
		struct str text;
		enum rc (*parse)(struct str text, unsigned *out, struct err *e);
		unsigned *out;
	} sets[] = {
		{ "canonical_classes", c->canonical_classes, mapping_classes_parse,
		    &m->canonical_classes },
		{ "sender_canonical_classes", c->sender_canonical_classes,
		    mapping_classes_parse, &m->sender_canonical_classes },
		{ "recipient_canonical_classes", c->recipient_canonical_classes,
		    mapping_classes_parse, &m->recipient_canonical_classes },
		{ "masquerade_classes", c->masquerade_classes, mapping_classes_parse,
		    &m->masquerade_classes },
		{ "propagate_unmatched_extensions", c->propagate_unmatched_extensions,
		    mapping_propagate_parse, &m->propagate },
	};

	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		enum rc rc = sets[i].parse(sets[i].text, sets[i].out, l->e);

		if (rc != RC_OK)
			return err_in(l->e, rc, "parameter %s", sets[i].name);
	}
	return RC_OK;
}

static enum rc
open_exceptions(struct load *l)
{
	struct route_list *out = &l->m->masquerade_exceptions;
	struct ask_tables unused;
	struct str text;
	enum rc rc = decide_list_text(l->c->masquerade_exceptions, l->mem, &text, l->e);

	if (rc == RC_OK)
		rc = route_list_parse(text, ROUTE_LIST_STRING, l->mem, out, l->e);
	for (unsigned i = 0; rc == RC_OK && i < out->n; i++)
		if (out->v[i].kind == ROUTE_ITEM_TABLE)
			rc = decide_open_tables(l->d, out->v[i].text, 0, &unused, l->e);
	return rc == RC_OK ? rc : err_in(l->e, rc, "parameter masquerade_exceptions");
}

enum rc
decide_mapping_load(struct decide *d, const struct conf_snapshot *snapshot,
    const struct master_service *cleanup, struct arena *mem,
    const struct decide_mapping **out, struct err *e)
{
	struct decide_mapping *m = arena_get(mem, sizeof(*m));
	struct conf_ingest c;
	struct load l = { .d = d, .mem = mem, .c = &c, .e = e };
	enum rc rc;

	if (m == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	l.m = &m->local;
	rc = conf_fill_ingest(snapshot, cleanup, mem, &c, e);
	if (rc == RC_OK)
		rc = open_tables(&l);
	if (rc == RC_OK)
		rc = parse_sets(&l);
	if (rc == RC_OK)
		rc = mapping_masquerade_parse(c.masquerade_domains, mem, l.m, e);
	if (rc == RC_OK)
		rc = open_exceptions(&l);
	if (rc != RC_OK)
		return rc;
	m->local.route = decide_route(d);
	m->local.virtual_expansion_limit = (unsigned)c.virtual_alias_expansion_limit;
	m->local.virtual_recursion_limit = (unsigned)c.virtual_alias_recursion_limit;
	m->local.virtual_length_limit =
	    (size_t)c.virtual_alias_address_length_limit_bytes;
	m->local.always_bcc = c.always_bcc;
	m->remote = m->local;
	m->remote_route = *decide_route(d);
	m->remote_route.myorigin = m->remote_route.mydomain =
	    m->remote_route.remote_header_rewrite_domain;
	m->remote.complete = &m->remote_route;
	m->rewrites_remote = m->remote_route.remote_header_rewrite_domain.n > 0;
	*out = m;
	return RC_OK;
}

/* compat: the line about the table. Why it failed stands before it. */
static void
log_trouble(struct log *to, const struct ask *a)
{
	for (unsigned i = a->n_known; i-- > 0;) {
		const struct ask_answer *k = &a->known[i];

		if (k->rc != RC_TEMP)
			continue;
		if (k->value.n > 0 && !str_is(k->value, "Application error"))
			log_warn(
			    to, "%.*s: %.*s", STR_ARG(k->q.source), STR_ARG(k->value));
		log_warn(to, "%.*s lookup error for \"%.*s\"", STR_ARG(k->q.source),
		    STR_ARG(str_head(k->q.key, 100)));
		return;
	}
}

void
decide_mapping_log(
    struct log *to, struct str qid, const struct ask *a, const struct err *e)
{
	struct str first, rest = str_c(e->text);

	log_trouble(to, a);
	if (str_cut(rest, '\n', &first, &rest))
		log_warn(to, "%.*s", STR_ARG(first));
	log_warn(to, "%.*s: %.*s", STR_ARG(qid), STR_ARG(rest));
}
