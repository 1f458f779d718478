/* Enhanced status codes as text and values. */
#include "dsn/status.h"
#include <stdio.h>

/* Up to three digits, no leading zero but "0" itself (RFC 3463 2). */
static bool
take_number(struct str *in, uint16_t *out)
{
	size_t n = 0;
	unsigned v = 0;

	while (n < in->n && n < 3 && ascii_isdigit(in->p[n]))
		v = v * 10 + (unsigned)(in->p[n++] - '0');
	if (n == 0 || (n > 1 && *in->p == '0') || (n < in->n && ascii_isdigit(in->p[n])))
		return false;
	*in = str_from(*in, n);
	*out = (uint16_t)v;
	return true;
}

static bool
take_char(struct str *in, char c)
{
	if (in->n == 0 || *in->p != c)
		return false;
	*in = str_from(*in, 1);
	return true;
}

static bool
take(struct str *in, struct dsn_status *out)
{
	struct dsn_status s = { 0 };

	if (in->n == 0 || (*in->p != '2' && *in->p != '4' && *in->p != '5'))
		return false;
	s.class = (uint8_t)(*in->p - '0');
	*in = str_from(*in, 1);
	if (!take_char(in, '.') || !take_number(in, &s.subject) || !take_char(in, '.') ||
	    !take_number(in, &s.detail))
		return false;
	*out = s;
	return true;
}

enum rc
dsn_status_parse(struct str text, struct dsn_status *out)
{
	struct dsn_status s;

	if (!take(&text, &s) || text.n > 0)
		return RC_PERM;
	*out = s;
	return RC_OK;
}

enum rc
dsn_status_split(
    struct str text, const char *other, struct dsn_status *out, struct str *rest)
{
	struct str after = text;
	struct dsn_status s;

	if (take(&after, &s) && (after.n == 0 || ascii_isspace(*after.p))) {
		while (after.n > 0 && ascii_isspace(*after.p))
			after = str_from(after, 1);
		*out = s;
		*rest = after;
		return RC_OK;
	}
	*rest = text;
	*out = (struct dsn_status){ 0 };
	(void)!dsn_status_parse(str_c(other), out);
	return RC_NONE;
}

struct str
dsn_status_format(const struct dsn_status *s, char out[DSN_STATUS_MAX])
{
	(void)snprintf(out, DSN_STATUS_MAX, "%u.%u.%u", s->class % 10u,
	    s->subject % 1000u, s->detail % 1000u);
	return str_c(out);
}

void
dsn_status_of_reply(struct str reply, struct dsn_status *out, struct str *text)
{
	struct dsn_status s = { 0 };
	struct str rest = reply;

	if (reply.n >= 3 && ascii_isdigit(reply.p[0]) && ascii_isdigit(reply.p[1]) &&
	    ascii_isdigit(reply.p[2])) {
		s.class = (uint8_t)(reply.p[0] - '0');
		rest = str_from(reply, 3);
		if (rest.n > 0 && (*rest.p == ' ' || *rest.p == '-'))
			rest = str_from(rest, 1);
	}
	/* A code that contradicts the reply is not believed. */
	if (dsn_status_split(rest, "", out, text) != RC_OK || out->class != s.class)
		*out = s;
}

struct dsn_status
dsn_status_with_class(struct dsn_status s, unsigned class)
{
	s.class = (uint8_t) class;
	return s;
}
