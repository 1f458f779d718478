#ifndef AGENT_RATES_TABLE_H
#define AGENT_RATES_TABLE_H
/* What anvil counts: connections, messages, recipients … of each client of each service,
 * in one time unit, and the highest figures for the log. Pure; time is passed in.
 *
 * compat: a client's time unit begins with its first event, and all its rates are
 * forgotten with the first event after it ended. */
#include "base/base.h"

enum rates_event {
	RATES_CONNECT,
	RATES_MAIL,
	RATES_RCPT,
	RATES_NEW_TLS,
	RATES_AUTH,
	RATES_DISCONNECT, /* no rate */
};
#define RATES_N RATES_DISCONNECT /* those that have a rate */

/* Clients are at most so many. One more takes the place of the one without connections
 * that has been idle longest; while all have some, it is not counted (RC_TEMP). */
#define RATES_CLIENTS_MAX ((size_t)200 * 1000)

struct rates_table;
struct rates_owner; /* a process whose connections are forgotten when it ends */

struct rates_count {
	uint32_t count; /* connections now */
	uint32_t rate;  /* events of this kind in the time unit, this one included */
};

/* Units:  time of a steady clock; `unit_us` as anvil_rate_time_unit. */
struct rates_table *rates_table_new(const uint64_t seed[2], int64_t unit_us);
void rates_table_free(struct rates_table **t); /* its owners first */
void rates_table_set_unit(struct rates_table *t, int64_t unit_us);

struct rates_owner *rates_owner_new(struct rates_table *t);
void rates_owner_free(struct rates_owner **o, int64_t now_us);

struct rates_seen {
	enum rates_event event;
	struct str ident;        /* "smtp:192.0.2.7" */
	int64_t now_us, wall_us; /* wall_us: for the statistics */
};
/* Counts one event.
 * Returns: RC_TEMP: too many clients, all of them connected; *out is zero. */
MUST_USE enum rc rates_table_count(
    struct rates_owner *o, const struct rates_seen *s, struct rates_count *out);
/* Forgets the clients that have no connection and whose time unit is over. */
void rates_table_expire(struct rates_table *t, int64_t now_us);
/* The highest figures since the last call, one line each ("statistics: max …"); they
 * begin anew. */
void rates_table_report(
    struct rates_table *t, void (*line)(void *arg, const char *text), void *arg);
size_t rates_table_clients(const struct rates_table *t);
#endif
