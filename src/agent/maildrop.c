/* Reading and writing maildrop records. The reader is total: a local user chooses the
 * bytes. */
#include "agent/maildrop.h"
#include <string.h>
#include "wire/bytes.h"

enum phase { PH_START, PH_HEAD, PH_RCPTS, PH_CONTENT, PH_END };

static const struct rule {
	char type;
	bool is_once;
	unsigned from; /* phases in which it may come */
	enum phase to; /* and the phase after it */
} rules[] = {
	{ 'V', true, 1 << PH_START, PH_HEAD },
	{ 'S', true, 1 << PH_HEAD, PH_HEAD },
	{ 'F', true, 1 << PH_HEAD, PH_HEAD },
	{ 'E', true, 1 << PH_HEAD, PH_HEAD },
	{ 'T', true, 1 << PH_HEAD, PH_HEAD },
	{ 'B', true, 1 << PH_HEAD, PH_HEAD },
	{ 'G', true, 1 << PH_HEAD, PH_HEAD },
	{ 'P', true, 1 << PH_HEAD, PH_HEAD },
	{ 'M', true, 1 << PH_HEAD, PH_HEAD },
	{ 'U', true, 1 << PH_HEAD, PH_HEAD },
	{ 'O', false, 1 << PH_HEAD | 1 << PH_RCPTS, PH_RCPTS },
	{ 'N', false, 1 << PH_HEAD | 1 << PH_RCPTS, PH_RCPTS },
	{ 'R', false, 1 << PH_HEAD | 1 << PH_RCPTS, PH_RCPTS },
	{ 'L', false, 1 << PH_RCPTS | 1 << PH_CONTENT, PH_CONTENT },
	{ 'X', true, 1 << PH_RCPTS | 1 << PH_CONTENT, PH_END },
};

enum rc
maildrop_put(struct buf *out, char type, struct str text)
{
	struct wire_wr w = wire_wr(out);

	if (buf_left(out) < text.n + 5)
		return RC_TEMP;
	wire_wr_raw(&w, (struct str){ &type, 1 });
	wire_wr_str(&w, text);
	return wire_wr_end(&w);
}

static bool
has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
			return true;
	return false;
}

static bool
is_punctuation(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 127 || ascii_isalnum(s.p[i]))
			return false;
	return true;
}

static enum rc
bad(struct maildrop_reader *r, const char *what, struct err *e)
{
	r->is_bad = true;
	return err_set(e, RC_PERM, "%s", what);
}

static enum rc
check(struct maildrop_reader *r, const struct rule *rule, struct str text, struct err *e)
{
	uint32_t bit = UINT32_C(1) << (rule - rules);
	uint64_t number;

	if ((rule->from & 1U << r->phase) == 0 || (rule->is_once && (r->seen & bit)))
		return bad(r, "record out of turn", e);
	if (rule->type != 'L' && has_control(text))
		return bad(r, "control character in the envelope", e);
	if (rule->type == 'V' && !str_is(text, "1"))
		return bad(r, "unknown version", e);
	if (rule->type == 'E' && text.n > MAILDROP_ENVID_MAX)
		return bad(r, "ENVID too long", e);
	if (rule->type == 'P' && !(text.n == 2 && is_punctuation(text)))
		return bad(r, "bad VERP delimiters", e);
	if (rule->type == 'M' && !str_is(text, "report") && !str_is(text, "verify"))
		return bad(r, "unknown way of delivery", e);
	if (rule->type == 'N' && str_u64(text, 15, &number) != RC_OK)
		return bad(r, "bad NOTIFY", e);
	if (rule->type == 'R' && (text.n == 0 || ++r->n_rcpts > MAILDROP_RCPTS_MAX))
		return bad(r, "bad or too many recipients", e);
	if (rule->type == 'L')
		r->content_bytes += text.n;
	r->seen |= bit;
	r->phase = rule->to;
	/* The sender is rules[1]. */
	if (r->phase > PH_RCPTS && (r->n_rcpts == 0 || !(r->seen & 2)))
		return bad(r, "no sender or no recipient", e);
	return RC_OK;
}

enum rc
maildrop_next(
    struct maildrop_reader *r, struct str *in, struct maildrop_record *out, struct err *e)
{
	const struct rule *rule = NULL;
	struct wire_rd rd;
	size_t max, n;
	enum rc rc;

	if (r->is_bad || r->phase == PH_END)
		return bad(r, r->is_bad ? "not valid" : "bytes behind the end", e);
	if (in->n < 5)
		return RC_MORE;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].type == *in->p)
			rule = &rules[i];
	if (rule == NULL)
		return bad(r, "unknown record type", e);
	rd = wire_rd(str_from(*in, 1));
	n = (size_t)wire_rd_uint(&rd, 4);
	max = rule->type == 'L' ? MAILDROP_PIECE_MAX : MAILDROP_TEXT_MAX;
	if (n > max)
		return bad(r, "record too long", e);
	if (in->n - 5 < n)
		return RC_MORE;
	out->type = rule->type;
	out->text = str_head(str_from(*in, 5), n);
	rc = check(r, rule, out->text, e);
	if (rc != RC_OK)
		return rc;
	*in = str_from(*in, 5 + n);
	return rule->type == 'X' ? RC_NONE : RC_OK;
}
