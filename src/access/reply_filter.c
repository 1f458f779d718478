/* smtpd_dns_reply_filter: which records of a DNS answer count. With a filter the answer
 * is asked for as whole records ("A+" instead of "A"), which the filter's tables are
 * asked about and which become the usual lines then; without one nothing changes. */
#include "access/dns_int.h"

static const char *
full_type(const char *type)
{
	static const char *const types[] = { "A+", "AAAA+", "MX+", "NS+", "TXT+" };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct str t = str_c(types[i]);

		if (str_is(str_head(t, t.n - 1), type))
			return types[i];
	}
	return NULL;
}

/* RC_OK: the record counts; RC_NONE: it does not; RC_MORE; RC_TEMP: nobody could say. */
static enum rc
judge(struct access_eval *ev, struct str record)
{
	struct str action, word = STR("");
	enum rc rc = ask_tables(ev->a, &ev->c->dns_reply_filter, record, 0, &action);

	if (rc == RC_NONE)
		return RC_OK;
	if (rc == RC_TEMP)
		access_warn_trouble(ev);
	if (rc != RC_OK)
		return rc;
	word = str_head(action, str_find(action, ' '));
	if (str_iis(word, "ignore")) {
		access_info(ev, arena_printf(ev->a->mem, "ignoring DNS RR: %.*s",
				    STR_ARG(record))); /* compat */
		return RC_NONE;
	}
	access_warn(ev, arena_printf(ev->a->mem, /* compat */
			    "smtpd_dns_reply_filter: unknown DNS filter action: \"%.*s\"",
			    STR_ARG(action)));
	return RC_TEMP;
}

/* "mx.test. 60 IN MX 10 a.test." to "10 a.test": what other answers look like. */
static struct str
value_of(struct str record, const char *type)
{
	for (int i = 0; i < 4; i++)
		record = str_from(record, str_find(record, ' ') + 1);
	if (!str_is(STR("TXT"), type) && str_ends(record, STR(".")) &&
	    !str_ends(record, STR(" .")))
		record.n--;
	return record;
}

static enum rc
filter(struct access_eval *ev, const char *type, struct str records, struct str *out)
{
	struct str record, kept = STR("");

	while (str_token(&records, "\n", &record)) {
		struct str value = value_of(record, type);
		enum rc rc = judge(ev, record);

		if (rc == RC_MORE || rc == RC_TEMP)
			return rc;
		if (rc == RC_OK)
			kept = arena_printf(
			    ev->a->mem, "%.*s%.*s\n", STR_ARG(kept), STR_ARG(value));
	}
	if (kept.p == NULL)
		return RC_TEMP;
	*out = kept;
	return kept.n > 0 ? RC_OK : RC_PERM;
}

enum rc
access_dns(struct access_eval *ev, const char *type, struct str name, struct str *out)
{
	const char *full = ev->c->dns_reply_filter.n > 0 ? full_type(type) : NULL;
	struct str records;
	enum rc rc;

	if (full == NULL)
		return ask_dns(ev->a, type, name, out);
	rc = ask_dns(ev->a, full, name, &records);
	if (rc != RC_OK)
		return rc;
	if (records.n == 0) { /* malformed */
		*out = records;
		return RC_OK;
	}
	return filter(ev, type, records, out);
}

struct str
access_dns_words(struct access_eval *ev, const char *type, struct str name)
{
	const char *full = ev->c->dns_reply_filter.n > 0 ? full_type(type) : NULL;
	struct str unused;

	if (full == NULL)
		return ask_dns_words(ev->a, type, name);
	if (ask_dns(ev->a, full, name, &unused) == RC_OK)
		return STR("Invalid DNS reply filter syntax"); /* compat */
	return ask_dns_words(ev->a, full, name);
}
