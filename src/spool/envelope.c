/* Envelopes and states as bytes. Source: docs/spool-format.md sections 5 and 6.
 * The fixed part comes first, so that recovery learns what the index needs without
 * reading any recipient. */
#include "spool/envelope.h"
#include "base/arena.h"
#include "wire/bytes.h"
#include <assert.h>

#define FLAG_LONG 1u
#define FLAG_HELD 2u
#define VERSION   1u
/* As 1, with two more strings: most messages have neither, and pay nothing. */
#define VERSION_ROUTED 2u

/* ---- envelope ---- */

static bool
too_long(const struct spool_message *m)
{
	const struct str all[] = { m->sender, m->envid, m->origin, m->client_name,
		m->client_addr, m->client_port, m->client_proto, m->client_helo,
		m->filter, m->verp };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].n > SPOOL_STR_MAX)
			return true;
	for (size_t i = 0; i < m->n_rcpts; i++)
		if (m->rcpts[i].address.n > SPOOL_STR_MAX ||
		    m->rcpts[i].orig.n > SPOOL_STR_MAX ||
		    m->rcpts[i].orcpt.n > SPOOL_STR_MAX)
			return true;
	return m->n_rcpts > SPOOL_RCPTS_MAX;
}

enum rc
spool_envelope_encode(const struct spool_message *m, struct buf *to)
{
	struct wire_wr w = wire_wr(to);

	bool is_routed = m->filter.n > 0 || m->verp.n > 0;

	if (too_long(m))
		return RC_PERM;
	wire_wr_uint(&w, 1, is_routed ? VERSION_ROUTED : VERSION);
	wire_wr_uint(&w, 1, (m->is_long ? FLAG_LONG : 0) | (m->is_held ? FLAG_HELD : 0));
	wire_wr_uint(&w, 2, m->ret);
	wire_wr_uint(&w, 4, m->facts);
	wire_wr_int(&w, m->arrival_us);
	wire_wr_uint(&w, 8, m->size_bytes);
	wire_wr_uint(&w, 4, m->stage);
	wire_wr_uint(&w, 4, m->stage_crc);
	wire_wr_uint(&w, 4, m->n_rcpts);
	wire_wr_str(&w, m->sender);
	wire_wr_str(&w, m->envid);
	wire_wr_str(&w, m->origin);
	wire_wr_str(&w, m->client_name);
	wire_wr_str(&w, m->client_addr);
	wire_wr_str(&w, m->client_port);
	wire_wr_str(&w, m->client_proto);
	wire_wr_str(&w, m->client_helo);
	if (is_routed) {
		wire_wr_str(&w, m->filter);
		wire_wr_str(&w, m->verp);
	}
	for (size_t i = 0; i < m->n_rcpts; i++) {
		wire_wr_uint(&w, 1, m->rcpts[i].notify);
		wire_wr_str(&w, m->rcpts[i].address);
		wire_wr_str(&w, m->rcpts[i].orig);
		wire_wr_str(&w, m->rcpts[i].orcpt);
	}
	return wire_wr_end(&w);
}

/* Returns the version. */
static unsigned
rd_fixed(struct wire_rd *r, struct spool_message *m)
{
	unsigned flags, version = (unsigned)wire_rd_uint(r, 1);

	if (version != VERSION && version != VERSION_ROUTED)
		r->bad = true;
	flags = (unsigned)wire_rd_uint(r, 1);
	m->is_long = (flags & FLAG_LONG) != 0;
	m->is_held = (flags & FLAG_HELD) != 0;
	m->ret = (uint8_t)wire_rd_uint(r, 2);
	m->facts = (uint32_t)wire_rd_uint(r, 4);
	m->arrival_us = wire_rd_int(r);
	m->size_bytes = wire_rd_uint(r, 8);
	m->stage = (uint32_t)wire_rd_uint(r, 4);
	m->stage_crc = (uint32_t)wire_rd_uint(r, 4);
	m->n_rcpts = (size_t)wire_rd_uint(r, 4);
	if (m->n_rcpts > SPOOL_RCPTS_MAX || m->size_bytes > INT64_MAX)
		r->bad = true;
	return version;
}

enum rc
envelope_peek(struct str in, struct spool_message *out)
{
	struct wire_rd r = wire_rd(in);
	struct spool_message m = { 0 };

	(void)rd_fixed(&r, &m);
	if (r.bad)
		return RC_PERM;
	*out = m;
	return RC_OK;
}

/* Three lengths and a byte: a recipient cannot be shorter. */
#define RCPT_MIN ((size_t)13)

enum rc
spool_envelope_decode(struct str in, struct arena *mem, struct spool_message *out)
{
	struct wire_rd r = wire_rd(in);
	struct spool_message m = { 0 };
	struct spool_rcpt *rcpts;
	unsigned version = rd_fixed(&r, &m);

	m.sender = wire_rd_str(&r, SPOOL_STR_MAX);
	m.envid = wire_rd_str(&r, SPOOL_STR_MAX);
	m.origin = wire_rd_str(&r, SPOOL_STR_MAX);
	m.client_name = wire_rd_str(&r, SPOOL_STR_MAX);
	m.client_addr = wire_rd_str(&r, SPOOL_STR_MAX);
	m.client_port = wire_rd_str(&r, SPOOL_STR_MAX);
	m.client_proto = wire_rd_str(&r, SPOOL_STR_MAX);
	m.client_helo = wire_rd_str(&r, SPOOL_STR_MAX);
	if (version == VERSION_ROUTED) {
		m.filter = wire_rd_str(&r, SPOOL_STR_MAX);
		m.verp = wire_rd_str(&r, SPOOL_STR_MAX);
	}
	if (r.bad || m.n_rcpts > in.n / RCPT_MIN)
		return RC_PERM;
	rcpts = arena_array(mem, m.n_rcpts + 1, sizeof(*rcpts));
	if (rcpts == NULL)
		return RC_TEMP;
	for (size_t i = 0; i < m.n_rcpts && !r.bad; i++) {
		rcpts[i].notify = (uint8_t)wire_rd_uint(&r, 1);
		rcpts[i].address = wire_rd_str(&r, SPOOL_STR_MAX);
		rcpts[i].orig = wire_rd_str(&r, SPOOL_STR_MAX);
		rcpts[i].orcpt = wire_rd_str(&r, SPOOL_STR_MAX);
	}
	if (wire_rd_end(&r) != RC_OK)
		return RC_PERM;
	m.rcpts = rcpts;
	*out = m;
	return RC_OK;
}

/* ---- state ---- */

static bool
same(struct spool_rcpt_state a, struct spool_rcpt_state b)
{
	return a.what == b.what && a.reason == b.reason;
}

static size_t
run_length(const struct spool_state *s, size_t from)
{
	size_t n = 1;

	while (from + n < s->n_rcpts && same(s->rcpts[from], s->rcpts[from + n]))
		n++;
	return n;
}

static bool
state_too_big(const struct spool_state *s)
{
	if (s->n_rcpts > SPOOL_RCPTS_MAX || s->n_reasons > SPOOL_REASONS_MAX ||
	    (s->flags & ~SPOOL_STORED_FLAGS) != 0)
		return true;
	for (size_t i = 0; i < s->n_rcpts; i++)
		if (s->rcpts[i].what > SPOOL_RCPT_REPORT ||
		    s->rcpts[i].reason > s->n_reasons)
			return true;
	for (size_t i = 0; i < s->n_reasons; i++) {
		const struct spool_reason *y = &s->reasons[i];

		if (y->dsn.n > SPOOL_TEXT_MAX || y->text.n > SPOOL_TEXT_MAX ||
		    y->mta.n > SPOOL_TEXT_MAX || y->diag.n > SPOOL_TEXT_MAX ||
		    y->diag_type.n > SPOOL_TEXT_MAX || y->action.n > SPOOL_TEXT_MAX)
			return true;
	}
	return false;
}

enum rc
spool_state_encode(const struct spool_state *s, struct buf *to)
{
	struct wire_wr w = wire_wr(to);
	size_t n_runs = 0;

	if (state_too_big(s))
		return RC_PERM;
	for (size_t i = 0; i < s->n_rcpts; i += run_length(s, i))
		n_runs++;
	wire_wr_uint(&w, 1, VERSION);
	wire_wr_uint(&w, 1, s->flags);
	wire_wr_uint(&w, 2, s->n_reasons);
	wire_wr_uint(&w, 4, s->n_attempts);
	wire_wr_int(&w, s->next_try_us);
	wire_wr_int(&w, s->last_try_us);
	wire_wr_uint(&w, 4, s->n_rcpts);
	wire_wr_uint(&w, 4, n_runs);
	for (size_t i = 0, n; i < s->n_rcpts; i += n) {
		n = run_length(s, i);
		wire_wr_uint(&w, 4, n);
		wire_wr_uint(&w, 2, s->rcpts[i].what);
		wire_wr_uint(&w, 2, s->rcpts[i].reason);
	}
	for (size_t i = 0; i < s->n_reasons; i++) {
		wire_wr_str(&w, s->reasons[i].dsn);
		wire_wr_str(&w, s->reasons[i].text);
		wire_wr_str(&w, s->reasons[i].mta);
		wire_wr_str(&w, s->reasons[i].diag);
		wire_wr_str(&w, s->reasons[i].diag_type);
		wire_wr_str(&w, s->reasons[i].action);
	}
	return wire_wr_end(&w);
}

struct state_head {
	size_t n_reasons, n_rcpts, n_runs;
};

static struct state_head
rd_state_head(struct wire_rd *r, struct spool_state *s)
{
	struct state_head h;

	if (wire_rd_uint(r, 1) != VERSION)
		r->bad = true;
	s->flags = (uint8_t)wire_rd_uint(r, 1);
	h.n_reasons = (size_t)wire_rd_uint(r, 2);
	s->n_attempts = (uint32_t)wire_rd_uint(r, 4);
	s->next_try_us = wire_rd_int(r);
	s->last_try_us = wire_rd_int(r);
	h.n_rcpts = (size_t)wire_rd_uint(r, 4);
	h.n_runs = (size_t)wire_rd_uint(r, 4);
	if (h.n_reasons > SPOOL_REASONS_MAX || h.n_rcpts > SPOOL_RCPTS_MAX ||
	    h.n_runs > h.n_rcpts || (s->flags & ~SPOOL_STORED_FLAGS) != 0)
		r->bad = true;
	return h;
}

enum rc
state_peek(struct str in, struct spool_state *out)
{
	struct wire_rd r = wire_rd(in);
	struct spool_state s = { 0 };

	(void)rd_state_head(&r, &s);
	if (r.bad)
		return RC_PERM;
	*out = s;
	return RC_OK;
}

static void
rd_runs(struct wire_rd *r, const struct state_head *h, struct spool_rcpt_state *to)
{
	size_t at = 0;

	for (size_t i = 0; i < h->n_runs && !r->bad; i++) {
		size_t n = (size_t)wire_rd_uint(r, 4);
		struct spool_rcpt_state one = { 0 };

		one.what = (uint8_t)wire_rd_uint(r, 2);
		one.reason = (uint16_t)wire_rd_uint(r, 2);
		if (n == 0 || n > h->n_rcpts - at || one.what > SPOOL_RCPT_REPORT ||
		    one.reason > h->n_reasons) {
			r->bad = true;
			return;
		}
		while (n-- > 0)
			to[at++] = one;
	}
	if (at != h->n_rcpts)
		r->bad = true;
}

/* Six lengths. */
#define REASON_MIN ((size_t)24)

enum rc
spool_state_decode(struct str in, struct arena *mem, struct spool_state *out)
{
	struct wire_rd r = wire_rd(in);
	struct spool_state s = { 0 };
	struct state_head h = rd_state_head(&r, &s);
	struct spool_rcpt_state *rcpts;
	struct spool_reason *reasons;

	if (r.bad || h.n_reasons > in.n / REASON_MIN)
		return RC_PERM;
	rcpts = arena_array(mem, h.n_rcpts + 1, sizeof(*rcpts));
	reasons = arena_array(mem, h.n_reasons + 1, sizeof(*reasons));
	if (rcpts == NULL || reasons == NULL)
		return RC_TEMP;
	rd_runs(&r, &h, rcpts);
	for (size_t i = 0; i < h.n_reasons && !r.bad; i++) {
		reasons[i].dsn = wire_rd_str(&r, SPOOL_TEXT_MAX);
		reasons[i].text = wire_rd_str(&r, SPOOL_TEXT_MAX);
		reasons[i].mta = wire_rd_str(&r, SPOOL_TEXT_MAX);
		reasons[i].diag = wire_rd_str(&r, SPOOL_TEXT_MAX);
		reasons[i].diag_type = wire_rd_str(&r, SPOOL_TEXT_MAX);
		reasons[i].action = wire_rd_str(&r, SPOOL_TEXT_MAX);
	}
	if (wire_rd_end(&r) != RC_OK)
		return RC_PERM;
	s.rcpts = rcpts;
	s.n_rcpts = h.n_rcpts;
	s.reasons = reasons;
	s.n_reasons = h.n_reasons;
	*out = s;
	return RC_OK;
}
