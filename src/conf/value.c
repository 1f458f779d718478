/* Owns the step from text to bool, number, size and time, and Postfix's words when it
 * fails. */
#include "conf/list.h"
#include "conf/value.h"
#include "conf/params.h"
#include <inttypes.h>

enum rc
conf_value_bool(struct str name, struct str text, bool *out, struct err *e)
{
	if (str_iis(text, "yes"))
		*out = true;
	else if (str_iis(text, "no"))
		*out = false;
	else
		return err_set(e, RC_PERM, "bad boolean configuration: %.*s = %.*s",
		    STR_ARG(name), STR_ARG(text)); /* compat */
	return RC_OK;
}

/* Digits with an optional sign, as strtol() takes them. */
static bool
parse_signed(struct str text, int64_t max, int64_t *out)
{
	bool is_negative = text.n > 0 && text.p[0] == '-';
	uint64_t v;

	if (text.n > 0 && (text.p[0] == '-' || text.p[0] == '+'))
		text = str_from(text, 1);
	if (str_u64(text, (uint64_t)max, &v) != RC_OK)
		return false;
	*out = is_negative ? -(int64_t)v : (int64_t)v;
	return true;
}

enum rc
conf_value_int(const struct conf_param *p, struct str name, struct str text, int64_t *out,
    struct err *e)
{
	int64_t v;

	/* compat */
	if (!parse_signed(text, p->type == CONF_SIZE ? INT64_MAX : INT32_MAX, &v))
		return err_set(e, RC_PERM, "bad numerical configuration: %.*s = %.*s",
		    STR_ARG(name), STR_ARG(text));
	if (p->min != 0 && v < p->min)
		return err_set(e, RC_PERM,
		    "invalid %.*s parameter value %" PRId64 " < %" PRId64, STR_ARG(name),
		    v, p->min);
	if (p->max != 0 && v > p->max)
		return err_set(e, RC_PERM,
		    "invalid %.*s parameter value %" PRId64 " > %" PRId64, STR_ARG(name),
		    v, p->max);
	/* Where there is no lower bound Postfix takes less than zero for "no limit" or
	 * "at once", as it takes zero; our programs need not know numbers below it. */
	*out = v < 0 && p->min >= 0 ? 0 : v;
	return RC_OK;
}

static int64_t
unit_seconds(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	case 'w':
		return 604800;
	default:
		return 0;
	}
}

enum rc
conf_parse_time(struct str text, char default_unit, int64_t *out_us)
{
	char unit = default_unit;
	int64_t seconds, number;
	size_t n = 0;

	if (n < text.n && text.p[n] == '+')
		n++;
	while (n < text.n && ascii_isdigit(text.p[n]))
		n++;
	if (!parse_signed(str_head(text, n), INT32_MAX, &number))
		return RC_PERM;
	/* Only the first character of a unit counts: "10min" is ten minutes. compat */
	if (n < text.n)
		unit = text.p[n];
	seconds = unit_seconds(unit);
	if (seconds == 0 || number > INT32_MAX / seconds)
		return RC_PERM;
	*out_us = number * seconds * US_PER_SEC;
	return RC_OK;
}

enum rc
conf_value_time(const struct conf_param *p, struct str name, struct str text,
    int64_t *out_us, struct err *e)
{
	int64_t v;

	/* compat */
	if (conf_parse_time(text, p->unit, &v) != RC_OK)
		return err_set(e, RC_PERM, "parameter %.*s: bad time value or unit: %.*s",
		    STR_ARG(name), STR_ARG(text));
	if (p->min != 0 && v < p->min)
		return err_set(e, RC_PERM, "invalid %.*s: %" PRId64 " (min %" PRId64 ")",
		    STR_ARG(name), v / US_PER_SEC, p->min / US_PER_SEC);
	if (p->max != 0 && v > p->max)
		return err_set(e, RC_PERM, "invalid %.*s: %" PRId64 " (max %" PRId64 ")",
		    STR_ARG(name), v / US_PER_SEC, p->max / US_PER_SEC);
	*out_us = v;
	return RC_OK;
}

static bool
is_word_of(struct str words, struct str word)
{
	struct str one;

	while (str_token(&words, " ", &one))
		if (str_ieq(one, word))
			return true;
	return false;
}

static enum rc
check_words(const struct conf_param *p, struct str name, struct str text, struct err *e)
{
	const char *ends = p->type == CONF_LIST ? CONF_LIST_SEPARATORS : "";
	struct str rest = text, word;

	while (str_token(&rest, ends, &word))
		if (!is_word_of(p->words, word))
			return err_set(e, RC_PERM,
			    /* compat; Postfix does not say which there are */
			    "unknown %.*s value \"%.*s\" in \"%.*s\"; there are: %.*s",
			    STR_ARG(name), STR_ARG(word), STR_ARG(text),
			    STR_ARG(p->words));
	return RC_OK;
}

enum rc
conf_value_string(
    const struct conf_param *p, struct str name, struct str text, struct err *e)
{
	/* compat */
	if (p->min != 0 && text.n < (size_t)p->min)
		return err_set(e, RC_PERM,
		    "bad string length %zu < %" PRId64 ": %.*s = %.*s", text.n, p->min,
		    STR_ARG(name), STR_ARG(text));
	if (p->max != 0 && text.n > (size_t)p->max)
		return err_set(e, RC_PERM,
		    "bad string length %zu > %" PRId64 ": %.*s = %.*s", text.n, p->max,
		    STR_ARG(name), STR_ARG(text));
	return p->words.n > 0 ? check_words(p, name, text, e) : RC_OK;
}

enum rc
conf_value_check(
    const struct conf_param *p, struct str name, struct str text, struct err *e)
{
	int64_t number;
	bool flag;

	switch (p->type) {
	case CONF_BOOL:
		return conf_value_bool(name, text, &flag, e);
	case CONF_INT:
	case CONF_SIZE:
		return conf_value_int(p, name, text, &number, e);
	case CONF_TIME:
		return conf_value_time(p, name, text, &number, e);
	case CONF_STRING:
	case CONF_LIST:
	case CONF_MAPS:
	case CONF_RESTRICTIONS:
	case CONF_RAW:
		return conf_value_string(p, name, text, e);
	}
	return RC_OK;
}
