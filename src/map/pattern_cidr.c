/* Rules of cidr: tables. A rule that stands alone (no IF, no !) is a hint: it can match
 * only when its network is that of the address, cut to its length. So a look-up hashes
 * the address once for each prefix length in use, and tries only what it finds there
 * beside the few rules that are no hints, in the order of the table. */
#include "map/pattern_cidr.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ADDR_TEXT_MAX 64
#define NONE          UINT32_MAX

/* ---- addresses ---- */

enum rc
cidr_addr_parse(struct str s, struct cidr_net *out)
{
	struct cidr_net net = { .bits = 32 };
	char text[ADDR_TEXT_MAX];

	if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
		return RC_PERM;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (str_find(s, ':') < s.n) {
		net.is_v6 = true;
		net.bits = 128;
	}
	if (inet_pton(net.is_v6 ? AF_INET6 : AF_INET, text, net.addr) != 1)
		return RC_PERM;
	*out = net;
	return RC_OK;
}

static struct cidr_net
cut(const struct cidr_net *addr, unsigned bits)
{
	struct cidr_net net = *addr;

	net.bits = (uint8_t)bits;
	if (bits % 8 != 0)
		net.addr[bits / 8] &= (uint8_t)(0xff00 >> (bits % 8));
	for (size_t i = (bits + 7) / 8; i < sizeof(net.addr); i++)
		net.addr[i] = 0;
	return net;
}

static bool
is_same(const struct cidr_net *a, const struct cidr_net *b)
{
	return a->bits == b->bits && a->is_v6 == b->is_v6 &&
	       memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

bool
cidr_net_holds(const struct cidr_net *net, const struct cidr_net *addr)
{
	struct cidr_net c;

	if (net->is_v6 != addr->is_v6)
		return false;
	c = cut(addr, net->bits);
	return is_same(&c, net);
}

/* ---- lines ---- */

/* "net/bits"; no host bits may be set. */
static enum rc
parse_masked(struct str text, size_t slash, unsigned line, const struct pattern_warner *w,
    struct cidr_net *out)
{
	struct str mask = str_from(text, slash + 1);
	struct cidr_net net, c;
	uint64_t bits = UINT64_MAX;
	char shown[INET6_ADDRSTRLEN];
	bool is_number = mask.n > 0;

	for (size_t i = 0; i < mask.n; i++)
		is_number = is_number && ascii_isdigit(mask.p[i]);
	if (!is_number) {
		pattern_warn(w, line, "bad mask value in \"%.*s\": skipping this rule",
		    STR_ARG(text));
		return RC_PERM;
	}
	if (cidr_addr_parse(str_head(text, slash), &net) != RC_OK) {
		pattern_warn(w, line, "bad network value in \"%.*s\": skipping this rule",
		    STR_ARG(text));
		return RC_PERM;
	}
	if (str_u64(mask, net.bits, &bits) != RC_OK) {
		pattern_warn(w, line, "bad mask length in \"%.*s\": skipping this rule",
		    STR_ARG(text));
		return RC_PERM;
	}
	c = cut(&net, (unsigned)bits);
	if (memcmp(c.addr, net.addr, sizeof(c.addr)) != 0) {
		(void)inet_ntop(
		    c.is_v6 ? AF_INET6 : AF_INET, c.addr, shown, sizeof(shown));
		pattern_warn(w, line,
		    "non-null host address bits in \"%.*s\", perhaps you should use "
		    "\"%s/%u\" instead: skipping this rule",
		    STR_ARG(text), shown, (unsigned)bits);
		return RC_PERM;
	}
	*out = c;
	return RC_OK;
}

/* Brackets may stand around the address, or around all. */
static enum rc
parse_pattern(
    struct str s, unsigned line, const struct pattern_warner *w, struct cidr_net *out)
{
	char text[2 * ADDR_TEXT_MAX];
	size_t slash;

	if (s.n > 0 && s.p[0] == '[') {
		size_t end = str_find(s, ']');
		struct str behind = str_from(s, end + 1);

		if (end == s.n) {
			pattern_warn(w, line,
			    "missing ']' character after \"%.*s\": skipping this rule",
			    STR_ARG(s));
			return RC_PERM;
		}
		if (behind.n > 0 && behind.p[0] != '/') {
			pattern_warn(w, line,
			    "garbage after \"%.*s\": skipping this rule",
			    STR_ARG(str_head(s, end + 1)));
			return RC_PERM;
		}
		if (s.n > sizeof(text)) {
			pattern_warn(w, line,
			    "bad address pattern: \"%.*s\": skipping this rule",
			    STR_ARG(s));
			return RC_PERM;
		}
		memcpy(text, s.p + 1, end - 1);
		memcpy(text + end - 1, behind.p, behind.n);
		s = str_n(text, end - 1 + behind.n);
	}
	slash = str_find(s, '/');
	if (slash < s.n)
		return parse_masked(s, slash, line, w, out);
	if (cidr_addr_parse(s, out) != RC_OK) {
		pattern_warn(w, line, "bad address pattern: \"%.*s\": skipping this rule",
		    STR_ARG(s));
		return RC_PERM;
	}
	return RC_OK;
}

enum rc
cidr_line_parse(const struct pattern_line *line, const struct pattern_warner *w,
    struct cidr_line *out)
{
	struct cidr_line l = { .op = PATTERN_MATCH };
	struct str s = line->text, pattern;
	size_t end = 0;

	if (pattern_takes_word(&s, STR("ENDIF"))) {
		l.op = PATTERN_ENDIF;
		if (s.n > 0) {
			pattern_warn(
			    w, line->line, "garbage after ENDIF: skipping this rule");
			return RC_PERM;
		}
		*out = l;
		return RC_OK;
	}
	if (pattern_takes_word(&s, STR("IF")))
		l.op = PATTERN_IF;
	s = pattern_skip_blanks(s);
	while (s.n > 0 && s.p[0] == '!') {
		l.is_negated = !l.is_negated;
		s = pattern_skip_blanks(str_from(s, 1));
	}
	if (s.n == 0) {
		pattern_warn(w, line->line, "no address pattern: skipping this rule");
		return RC_PERM;
	}
	if (l.op == PATTERN_IF) {
		pattern = s;
	} else {
		while (end < s.n && !ascii_isspace(s.p[end]))
			end++;
		pattern = str_head(s, end);
		l.value = pattern_skip_blanks(str_from(s, end));
	}
	if (parse_pattern(pattern, line->line, w, &l.net) != RC_OK)
		return RC_PERM;
	if (l.op == PATTERN_MATCH && l.value.n == 0) {
		pattern_warn(w, line->line, "no lookup result: skipping this rule");
		return RC_PERM;
	}
	*out = l;
	return RC_OK;
}

/* ---- rules ---- */

struct cidr_rules {
	struct pattern_rules rules;
	struct cidr_net *net; /* as many as rules */
	uint32_t cap;
	uint32_t
	    *slot; /* hash table of hinted rules: the first of each network, or NONE */
	uint32_t *next; /* per rule: the next one with the same network, or NONE */
	unsigned bits;
	uint8_t lengths[2][129]; /* prefix lengths in use, v4 and v6 */
	uint8_t n_lengths[2];
	uint32_t *hits;
};

struct cidr_rules *
cidr_rules_new(void)
{
	return mem_get(sizeof(struct cidr_rules));
}

void
cidr_rules_free(struct cidr_rules **r)
{
	if (*r == NULL)
		return;
	pattern_rules_fini(&(*r)->rules);
	free((*r)->net);
	free((*r)->slot);
	free((*r)->next);
	free((*r)->hits);
	free(*r);
	*r = NULL;
}

void
cidr_rules_add(struct cidr_rules *r, const struct cidr_line *l, uint32_t line,
    const struct pattern_warner *w)
{
	const struct pattern_rule rule = { .value = l->value,
		.line = line,
		.is_if = l->op == PATTERN_IF,
		.is_negated = l->is_negated,
		.is_hinted = l->op == PATTERN_MATCH && !l->is_negated };
	uint32_t i;

	if (l->op == PATTERN_ENDIF) {
		if (pattern_rules_endif(&r->rules) != RC_OK)
			pattern_warn(w, line, "ENDIF without IF: skipping this rule");
		return;
	}
	i = pattern_rules_add(&r->rules, &rule);
	if (i == r->cap) {
		r->cap = r->cap == 0 ? 16 : r->cap * 2;
		r->net = mem_grow(r->net, r->cap, sizeof(*r->net));
	}
	r->net[i] = l->net;
}

/* Where a network is in the hash table, or the free place for it. Addresses in a table
 * are the administrator's; those looked up only read. */
static uint32_t
slot_of(const struct cidr_rules *r, const struct cidr_net *net)
{
	uint32_t mask = ((uint32_t)1 << r->bits) - 1, at;
	uint64_t a, b, h;

	memcpy(&a, net->addr, 8);
	memcpy(&b, net->addr + 8, 8);
	h = (a ^ ((uint64_t)net->bits << 1 | net->is_v6)) * UINT64_C(0x9e3779b97f4a7c15);
	h = (h ^ (h >> 29) ^ b) * UINT64_C(0xbf58476d1ce4e5b9);
	at = (uint32_t)(h >> 32) & mask;
	while (r->slot[at] != NONE && !is_same(&r->net[r->slot[at]], net))
		at = (at + 1) & mask;
	return at;
}

static void
note_length(struct cidr_rules *r, const struct cidr_net *net)
{
	uint8_t *v = r->lengths[net->is_v6], *n = &r->n_lengths[net->is_v6];

	if (memchr(v, net->bits, *n) == NULL)
		v[(*n)++] = net->bits;
}

void
cidr_rules_done(struct cidr_rules *r, const struct pattern_warner *w)
{
	pattern_rules_done(&r->rules, w);
	for (r->bits = 4; ((uint64_t)1 << r->bits) < (uint64_t)r->rules.n * 2; r->bits++)
		;
	r->slot = mem_array((size_t)1 << r->bits, sizeof(*r->slot));
	r->next = mem_array(r->rules.n + 1, sizeof(*r->next));
	r->hits = mem_array(r->rules.n + 1, sizeof(*r->hits));
	memset(r->slot, 0xff, ((size_t)1 << r->bits) * sizeof(*r->slot));
	/* From the last to the first, so that chains ascend. */
	for (uint32_t i = r->rules.n; i-- > 0;) {
		uint32_t at;

		if (!r->rules.v[i].is_hinted)
			continue;
		at = slot_of(r, &r->net[i]);
		r->next[i] = r->slot[at];
		r->slot[at] = i;
		note_length(r, &r->net[i]);
	}
}

struct lookup {
	const struct cidr_rules *r;
	const struct cidr_net *addr;
};

static enum rc
match(void *ctx, uint32_t rule, struct err *e)
{
	const struct lookup *q = ctx;
	const struct cidr_net *net = &q->r->net[rule];

	(void)e;
	/* Even a ! says something of its own kind of addresses only. */
	if (net->is_v6 != q->addr->is_v6)
		return RC_NONE;
	return cidr_net_holds(net, q->addr) != q->r->rules.v[rule].is_negated ? RC_OK
									      : RC_NONE;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

enum rc
cidr_rules_find(struct cidr_rules *r, const struct cidr_net *addr, struct str *out)
{
	struct lookup q = { .r = r, .addr = addr };
	struct pattern_walk w = { .hits = r->hits, .match = match, .ctx = &q };
	uint32_t rule;
	size_t n = 0;
	enum rc rc;

	for (uint8_t i = 0; i < r->n_lengths[addr->is_v6]; i++) {
		struct cidr_net net = cut(addr, r->lengths[addr->is_v6][i]);

		for (uint32_t at = r->slot[slot_of(r, &net)]; at != NONE;
		     at = r->next[at])
			r->hits[n++] = at;
	}
	if (n > 1)
		qsort(r->hits, n, sizeof(*r->hits), compare);
	w.n_hits = n;
	rc = pattern_rules_find(&r->rules, &w, &rule, NULL);
	if (rc == RC_OK)
		*out = r->rules.v[rule].value;
	return rc;
}
