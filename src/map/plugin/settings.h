#ifndef MAP_PLUGIN_SETTINGS_H
#define MAP_PLUGIN_SETTINGS_H
/* The settings of one table: "name = value" lines of the file that the table's name is,
 * or, when the name does not begin with "/" or ".", the main.cf parameters NAME_setting.
 */
#include "map/map_int.h"

enum map_setting_kind {
	MAP_SETTING_TEXT,
	MAP_SETTING_NUMBER,
	MAP_SETTING_YESNO,
	MAP_SETTING_IGNORED, /* accepted, has no meaning (any more) */
};

/* One setting that a table type knows. The manual page of the type is made of these. */
struct map_setting {
	const char *name; /* compat */
	enum map_setting_kind kind;
	const char *initial; /* NULL: empty */
	int64_t min, max;    /* numbers only */
	const char *doc;     /* one or two sentences */
};

/* What a type knows, sorted as its manual page has it. */
struct map_setting_list {
	const char *type; /* "mysql" */
	const struct map_setting *v;
	size_t n;
};

/* Values, one for each row of the list. Immutable after loading. */
struct map_settings {
	struct arena *mem;
	const struct map_setting_list *list;
	struct str *values;
	bool *is_set;     /* by the administrator */
	struct str where; /* "/etc/postfix/x.cf: " or "x_" */
};

/* Memory:  *out owns everything; map_settings_fini().
 * Returns: RC_TEMP the file cannot be read ("open F: …"), is none, or a number is none.
 * Settings that the type does not know are warned of. Blocks: on the disk. */
MUST_USE enum rc map_settings_load(const struct map_how *how,
    const struct map_setting_list *list, struct map_settings *out, struct err *e);
/* From text, for tests; `path` is for messages. */
MUST_USE enum rc map_settings_parse(struct str path, struct str text, struct log *log,
    const struct map_setting_list *list, struct map_settings *out, struct err *e);
void map_settings_fini(struct map_settings *s);

/* The setting must be in the list. Text has a NUL behind it; it lives as long as `s`. */
struct str map_settings_text(const struct map_settings *s, const char *name);
/* The same for C libraries: NULL when it is empty. */
const char *map_settings_cstr(const struct map_settings *s, const char *name);
int64_t map_settings_number(const struct map_settings *s, const char *name);
bool map_settings_yesno(const struct map_settings *s, const char *name);
/* RC_TEMP: it is empty ("bad string length …"). */
MUST_USE enum rc map_settings_need(
    const struct map_settings *s, const char *name, struct err *e);
bool map_settings_is_set(const struct map_settings *s, const char *name);
#endif
