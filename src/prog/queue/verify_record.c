/* Records of the verification cache: bytes, ages, what is due. */
#include "prog/queue/verify_record.h"
#include <stdio.h>

/* ---- bytes ---- */

static bool
take_number(struct str *in, uint64_t max, int64_t *out)
{
	struct str word;
	uint64_t v;

	if (!str_cut(*in, ':', &word, in) || str_u64(word, max, &v) != RC_OK)
		return false;
	*out = (int64_t)v;
	return true;
}

enum rc
verify_record_parse(struct str in, struct verify_record *out)
{
	struct verify_record r = { 0 };
	int64_t status;

	/* compat: a record without a text does not count. */
	if (!take_number(&in, VERIFY_TODO, &status) ||
	    !take_number(&in, INT64_MAX / US_PER_SEC, &r.probed_s) ||
	    !take_number(&in, INT64_MAX / US_PER_SEC, &r.updated_s) || in.n == 0)
		return RC_PERM;
	r.status = (enum verify_status)status;
	r.text = in;
	*out = r;
	return RC_OK;
}

enum rc
verify_record_format(const struct verify_record *r, struct buf *to)
{
	return buf_printf(to, "%d:%lld:%lld:%.*s", (int)r->status, (long long)r->probed_s,
	    (long long)r->updated_s, STR_ARG(r->text));
}

/* ---- ages ---- */

static bool
is_negative(const struct verify_record *r)
{
	return r->status == VERIFY_DEFERRED || r->status == VERIFY_BOUNCED;
}

bool
verify_is_expired(
    const struct verify_conf *c, const struct verify_record *r, int64_t now_s)
{
	if (r->status == VERIFY_OK)
		return r->updated_s + c->positive_expire_s < now_s;
	if (is_negative(r))
		return r->updated_s + c->negative_expire_s < now_s;
	return r->probed_s + VERIFY_PROBE_S < now_s;
}

static bool
wants_refresh(const struct verify_conf *c, const struct verify_record *r, int64_t now_s)
{
	if (r->status == VERIFY_OK)
		return r->updated_s + c->positive_refresh_s < now_s;
	if (is_negative(r))
		return r->updated_s + c->negative_refresh_s < now_s;
	return true;
}

struct verify_plan
verify_plan(const struct verify_conf *c, const struct verify_record *r, int64_t now_s)
{
	struct verify_plan p = { VERIFY_TODO, true };

	if (r == NULL)
		return p;
	if (!verify_is_expired(c, r, now_s))
		p.status = r->status;
	if (p.status != VERIFY_TODO)
		p.needs_probe = wants_refresh(c, r, now_s);
	/* One is on its way. */
	if (now_s - r->probed_s <= VERIFY_PROBE_S)
		p.needs_probe = false;
	return p;
}

bool
verify_takes(const struct verify_conf *c, const struct verify_record *old,
    enum verify_status outcome, int64_t now_s)
{
	if (outcome == VERIFY_OK)
		return true;
	if (!c->keeps_negative)
		return false;
	return old == NULL || old->status != VERIFY_OK ||
	       verify_is_expired(c, old, now_s);
}

/* ---- the sender of probes ---- */

struct str
verify_sender(struct str local, int64_t ttl_s, int64_t now_s, char out[VERIFY_SENDER_MAX])
{
	static const char digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZ"; /* compat */
	const unsigned base = sizeof(digits) - 1;
	char text[20];
	size_t at = sizeof(text);
	uint64_t v = ttl_s > 0 ? (uint64_t)(now_s / ttl_s) : 0;
	int n;

	for (; ttl_s > 0 && (v > 0 || at == sizeof(text)); v /= base)
		text[--at] = digits[v % base];
	n = snprintf(out, VERIFY_SENDER_MAX, "%.*s%.*s", STR_ARG(str_head(local, 250)),
	    (int)(sizeof(text) - at), text + at);
	return str_n(out, (size_t)n);
}
