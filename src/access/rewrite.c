/* local_header_rewrite_clients: a list of its own, with items of its own. */
#include "access/access_int.h"

static enum rc
check_address_map(struct access_eval *ev)
{
	struct str unused;
	enum rc rc = ask_map(ev->a, ev->item->arg, ev->q->client_addr, 0, &unused);

	if (rc == RC_MORE)
		return rc;
	if (rc == RC_OK)
		ev->v.what = ACCESS_OK;
	else if (rc != RC_NONE)
		access_lookup_trouble(ev, ev->q->client_addr);
	return RC_OK;
}

static const struct access_restriction address_map = { "check_address_map",
	check_address_map, ACCESS_TAKES_ARG | ACCESS_TABLE_ARG };

enum rc
access_compile_rewrite(
    struct str text, struct arena *mem, struct access_list *out, struct err *e)
{
	struct ask_tables tokens;
	struct access_item *v;
	unsigned n = 0;
	enum rc rc = access_words(text, mem, &tokens, &v, e);

	if (rc != RC_OK)
		return rc;
	for (unsigned i = 0; i < tokens.n; i++) {
		struct access_item *it = &v[n++];

		it->name = tokens.v[i];
		if (str_iis(it->name, address_map.name) && i + 1 < tokens.n) {
			it->r = &address_map;
			it->arg = tokens.v[++i];
		} else if (str_find(it->name, ':') < it->name.n) {
			it->r = &address_map;
			it->arg = it->name;
		} else {
			it->r = access_rewrite_item(it->name);
		}
	}
	*out = (struct access_list){ .v = v, .n = n };
	return RC_OK;
}

enum rc
access_rewrites_headers(struct ask *a, const struct access_conf *c,
    const struct access_request *q, struct access_note **out_notes)
{
	const struct access_list *l = &c->header_rewrite;
	struct access_eval ev = {
		.a = a, .c = c, .q = q, .stage = ACCESS_SENDER, .is_quiet = true
	};

	ev.note_end = &ev.v.notes;
	for (unsigned i = 0; i < l->n && ev.v.what == ACCESS_DUNNO; i++) {
		enum rc rc = RC_OK;

		ev.item = &l->v[i];
		if (l->v[i].r != NULL)
			rc = l->v[i].r->fn(&ev);
		else
			access_warn(&ev, arena_printf(a->mem, /* compat */
					     "parameter local_header_rewrite_clients: "
					     "invalid request: %.*s",
					     STR_ARG(l->v[i].name)));
		if (rc != RC_OK)
			return rc;
	}
	*out_notes = ev.v.notes;
	if (ev.v.what == ACCESS_REJECT)
		return RC_TEMP;
	return ev.v.what == ACCESS_OK ? RC_OK : RC_NONE;
}
