/* The recipients of a message as they are stored: each once. */
#include "addr/address.h"
#include "agent/ingest_expand.h"
#include "os/random.h"
#include "spool/message.h"

enum { ENVELOPE_BYTES_MAX = 7 << 20 /* of a frame of 8 MiB */ };

/* What the sender wrote, whether or not it was changed. */
static struct str
original(const struct ingest_rcpt *r)
{
	return r->orig.n > 0 ? r->orig : r->address;
}

static bool
is_same(
    const struct ingest_conf *c, const struct ingest_rcpt *a, const struct ingest_rcpt *b)
{
	if (!addr_same(a->address, b->address))
		return false;
	return !c->keeps_original ||
	       (addr_same(original(a), original(b)) && str_ieq(a->orcpt, b->orcpt) &&
		   a->notify == b->notify);
}

/* Many aliases may end in one mailbox: the original counts, too. */
static uint64_t
hash_of(const struct ingest_expansion *x, const struct ingest_conf *c,
    const struct ingest_rcpt *r)
{
	uint64_t hash = hmap_hash_ci(&x->seen, r->address);

	return c->keeps_original ? hash * 31 + hmap_hash_ci(&x->seen, original(r)) : hash;
}

/* RC_OK: it is new; RC_NONE: it is there already. */
static enum rc
note(struct ingest *in, const struct ingest_rcpt *r)
{
	struct ingest_expansion *x = in->expansion;
	size_t limit = in->conf->duplicate_filter_limit;
	struct expand_seen *s;
	struct hmap_node *n;
	uint64_t hash;

	hash = hash_of(x, in->conf, r);
	for (n = hmap_first(&x->seen, hash); n != NULL; n = hmap_more(n)) {
		s = CONTAINER_OF(n, struct expand_seen, node);
		if (is_same(in->conf, &x->out[s->at], r))
			return RC_NONE;
	}
	if (limit > 0 && x->seen.n >= limit) /* compat: 0 is no limit */
		return RC_OK;
	s = arena_get(in->env_mem, sizeof(*s));
	if (s == NULL)
		return RC_TEMP;
	s->at = x->n_out;
	hmap_put(&x->seen, hash, &s->node);
	return RC_OK;
}

/* The first recipient is noted only when there is a second: most messages have one. */
static enum rc
note_first(struct ingest *in)
{
	struct ingest_expansion *x = in->expansion;
	struct ingest_rcpt first = x->out[0];
	uint64_t seed[2];
	enum rc rc;

	os_random_seed(seed);
	hmap_init(&x->seen, seed);
	x->has_seen = true;
	x->n_out = 0;
	rc = note(in, &first);
	x->n_out = 1;
	return rc;
}

static enum rc
grow(struct ingest *in)
{
	struct ingest_expansion *x = in->expansion;
	size_t cap = x->cap_out == 0 ? in->env.n_rcpts + 1 : x->cap_out * 2;
	struct ingest_rcpt *v = arena_array(in->env_mem, cap, sizeof(*v));

	if (v == NULL)
		return RC_TEMP;
	for (size_t i = 0; i < x->n_out; i++)
		v[i] = x->out[i];
	x->out = v;
	x->cap_out = cap;
	return RC_OK;
}

enum rc
ingest_rcpts_add(struct ingest *in, const struct ingest_rcpt *r)
{
	struct ingest_expansion *x = in->expansion;
	enum rc rc = RC_OK;

	if (r->address.n > ADDR_MAX || r->orig.n > ADDR_MAX || r->orcpt.n > SPOOL_STR_MAX)
		return RC_TEMP;
	if (x->n_out == 1 && !x->has_seen)
		rc = note_first(in);
	if (rc == RC_OK && x->n_out > 0)
		rc = note(in, r);
	if (rc == RC_NONE)
		return RC_OK;
	/* Recipients go to queue in one frame; one that is too long would close the
	 * channel, and with it end everybody else's mail. */
	x->bytes_out += r->address.n + r->orig.n + r->orcpt.n + 32;
	if (x->n_out >= SPOOL_RCPTS_MAX || x->bytes_out > ENVELOPE_BYTES_MAX)
		return RC_PERM;
	if (rc == RC_OK && x->n_out == x->cap_out)
		rc = grow(in);
	if (rc == RC_OK)
		x->out[x->n_out++] = *r;
	return rc;
}
