#ifndef MAP_PLUGIN_QUERY_H
#define MAP_PLUGIN_QUERY_H
/* What all tables behind an engine share: which keys are asked for at all, the query made
 * of a key, and the answer made of the rows. */
#include "map/plugin/settings.h"
#include "map/plugin/template.h"

#define MAP_QUERY_MAX  ((size_t)1 << 20) /* bytes of a query */
#define MAP_RESULT_MAX ((size_t)1 << 20) /* bytes of all rows together */

/* The rows that every list of settings has. */
#define MAP_SETTING_DOMAIN                                                               \
	{                                                                                \
		"domain", MAP_SETTING_TEXT, NULL, 0, 0,                                  \
		    "Domain names, \"/file/name\" and \"type:table\" items. When set, "  \
		    "only keys user@domain with such a domain are looked up; bare "      \
		    "names, bare domains and @domain are not found."                     \
	}
#define MAP_SETTING_RESULT_FORMAT                                                        \
	{                                                                                \
		"result_format", MAP_SETTING_TEXT, "%s", 0, 0,                           \
		    "What each value becomes: %s the value, %u and %d its local and "    \
		    "domain part, %S %U %D the same of the key, %1 to %9 labels of the " \
		    "key's domain from the right. Values without such a part are left "  \
		    "out."                                                               \
	}
#define MAP_SETTING_EXPANSION_LIMIT                                                      \
	{                                                                                \
		"expansion_limit", MAP_SETTING_NUMBER, "0", 0, 0,                        \
		    "The most values that a look-up may give, 0: no limit. More is a "   \
		    "temporary error."                                                   \
	}

struct map_query {
	const char *type;
	struct str name; /* of the table */
	struct log *log;
	const struct map_settings *settings;
	struct buf legacy; /* the query made of select_field, table … */
	struct map_template query, format;
	int64_t limit; /* 0: none */
	struct map_query_domains *domains;
};

/* Reads query (`key`: "query" or "query_filter"), result_format, expansion_limit, domain.
 * When the list has select_field and no query is set, it is made of the old settings.
 * Returns: RC_TEMP: a setting makes no sense. `settings` must outlive it. */
MUST_USE enum rc map_query_open(struct map_query *q, const struct map_how *how,
    const struct map_settings *settings, const char *key, struct err *e);
void map_query_close(struct map_query *q);

/* One more template of the table, as a search base. RC_TEMP: it makes no sense. */
MUST_USE enum rc map_query_template(const struct map_query *q, struct str text,
    bool is_result, struct map_template *out, struct err *e);

/* Whether the key is one for this table: UTF-8, and of `domain`.
 * Returns: RC_NONE: it is not; RC_TEMP: a table in `domain` failed. */
MUST_USE enum rc map_query_takes(
    const struct map_query *q, struct str key, struct err *e);
/* Fills a template of the key (the query, or a search base).
 * Returns: RC_NONE: the key lacks a part, there is nothing to ask. */
MUST_USE enum rc map_query_fill(const struct map_query *q, const struct map_template *t,
    const struct map_fill *fill, struct buf *out, struct err *e);

/* Whether the key has what the query needs, before anybody is connected to. RC_NONE: it
 * has not. */
MUST_USE enum rc map_query_is_asked(const struct map_query *q, struct str key);

/* Says it in the log, when there is one, and in `e`: for reasons that Postfix logs where
 * they happen. Returns RC_TEMP. */
enum rc map_query_fail(const struct map_query *q, struct err *e, const char *fmt, ...)
    PRINTF(3, 4);

/* The answer so far: values in result_format, joined with commas. */
struct map_rows {
	const struct map_query *q;
	struct str key;
	struct buf text;
	int64_t n;
	size_t n_seen, n_empty; /* also what counts for nothing */
};

void map_rows_init(struct map_rows *r, const struct map_query *q, struct str key);
void map_rows_fini(struct map_rows *r);
/* Forgets what came so far. */
void map_rows_drop(struct map_rows *r);
/* One value; .p NULL (SQL's NULL) counts for nothing.
 * Returns: RC_TEMP: expansion_limit exceeded, or all together too large or too many. */
MUST_USE enum rc map_rows_add(struct map_rows *r, struct str value, struct err *e);
/* Memory:  *out in `mem`. Returns: RC_NONE nothing came; RC_TEMP no valid UTF-8. */
MUST_USE enum rc map_rows_end(
    struct map_rows *r, struct arena *mem, struct str *out, struct err *e);
#endif
