#ifndef MAP_PLUGIN_HOSTS_H
#define MAP_PLUGIN_HOSTS_H
/* The servers of one table: which is asked, which is left alone for a while.
 *
 * Connected servers come first, then those that were not tried or whose retry_interval is
 * over; UNIX-domain sockets before the network; by chance among equals. One server alone
 * is taken for a load balancer: a lost connection is opened again at once. */
#include "map/plugin/query.h"

struct map_host {
	struct str text; /* for the log: without passwords */
	struct str name; /* without "unix:" or "inet:" and port; NUL behind it */
	bool is_unix, is_uri;
	uint16_t port;             /* 0: none given */
	void *conn;                /* NULL: not connected */
	int64_t retry_us, idle_us; /* not before; closed at */
	bool is_tried;             /* in this look-up */
};

struct map_hosts_ops {
	/* Words as "connect to … server …". Must end within the table's timeout. */
	enum rc (*connect)(
	    void *ctx, const struct map_host *h, void **out_conn, struct err *e);
	void (*close)(void *ctx, void *conn);
	/* One look-up. RC_MORE: the connection is of no use any more; RC_TEMP: the server
	 * refuses, another one may not; the rest ends the look-up. */
	enum rc (*ask)(void *ctx, struct map_host *h, struct err *e);
};

struct map_hosts {
	struct map_host *v;
	size_t n;
	const struct map_hosts_ops *ops;
	void *ctx;
	int64_t retry_us, idle_us;
	struct arena *mem;
	struct err why; /* the last server that was given up */
};

/* `text`: the setting; empty: `usual`. RC_TEMP: an item makes no sense. */
MUST_USE enum rc map_hosts_init(
    struct map_hosts *h, struct str text, const char *usual, struct err *e);
/* retry_interval and idle_interval of the settings; the list must have both. */
void map_hosts_times(struct map_hosts *h, const struct map_settings *s);
void map_hosts_fini(struct map_hosts *h);
/* Asks servers until one answers. RC_TEMP: none did.
 * Blocks: as long as connect and ask do, for each server once (one alone: twice). */
MUST_USE enum rc map_hosts_ask(struct map_hosts *h, struct err *e);

#define MAP_SETTING_RETRY                                                                \
	{                                                                                \
		"retry_interval", MAP_SETTING_NUMBER, "60", 1, 0,                        \
		    "Seconds for which a server that failed is left alone. One server "  \
		    "alone is always tried again at once."                               \
	}
#define MAP_SETTING_IDLE                                                                 \
	{                                                                                \
		"idle_interval", MAP_SETTING_NUMBER, "60", 1, 0,                         \
		    "Seconds without a look-up after which a connection is closed."      \
	}
#define MAP_SETTINGS_LEGACY                                                              \
	{ "table", MAP_SETTING_TEXT, NULL, 0, 0,                                         \
		"Without query: the table that is asked." },                             \
	    { "select_field", MAP_SETTING_TEXT, NULL, 0, 0,                              \
		    "Without query: the column of the result." },                        \
	    { "where_field", MAP_SETTING_TEXT, NULL, 0, 0,                               \
		    "Without query: the column that must equal the key." },              \
	{                                                                                \
		"additional_conditions", MAP_SETTING_TEXT, NULL, 0, 0,                   \
		    "Without query: more of the WHERE clause, as in \"AND is_active = "  \
		    "1\"."                                                               \
	}
#define MAP_SETTING_QUERY                                                                \
	{                                                                                \
		"query", MAP_SETTING_TEXT, NULL, 0, 0,                                   \
		    "The SELECT statement. %s is the key, %u and %d its local and "      \
		    "domain part, %1 to %9 labels of its domain from the right; all "    \
		    "are "                                                               \
		    "quoted for use inside 'single quotes'. A key without such a part "  \
		    "is not looked up."                                                  \
	}
#endif
