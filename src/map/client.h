#ifndef MAP_CLIENT_H
#define MAP_CLIENT_H
/* A connection to the server of one table: a request, then the reply, waited for. One
 * deadline holds for connecting and the whole reply, so that a server that sends byte
 * after byte gains nothing. The connection stays open for the next request. */
#include "base/buf.h"
#include "map/map_int.h"

enum map_client_fault {
	MAP_CLIENT_FINE,
	MAP_CLIENT_CONNECT,    /* nobody answers there; warned about already */
	MAP_CLIENT_TIME,       /* the deadline is over */
	MAP_CLIENT_DISCONNECT, /* the server hung up */
	MAP_CLIENT_SIZE,       /* the reply is larger than it may be */
	MAP_CLIENT_FORMAT,     /* the reply is none; `err` is what the parser said */
};

struct map_client {
	char *text;        /* "host:port" or "/path", as messages have it */
	char *host, *port; /* both NULL: a UNIX-domain socket; host "": this one */
	char *table;       /* "socketmap:…" */
	bool is_utf8;      /* values must be */
	struct log *log;   /* may be NULL */
	int fd;            /* -1: not connected */
	struct buf in;     /* what came of the reply */
	int64_t until_us;
};

/* Takes a reply. Pure; asked again with more until it is not RC_MORE.
 * Returns: RC_OK *out_used bytes are the reply; RC_TEMP it is too large; RC_PERM it is
 * none. Views of what it was given last are good until the next map_client_ask(). */
typedef enum rc map_reply_fn(void *ctx, struct str in, size_t *out_used, struct err *e);

struct map_exchange {
	struct str request;
	int64_t timeout_us;
	map_reply_fn *reply;
	void *ctx;
};

struct map_client_where {
	const struct map_how *how;
	const char *type;
	struct str service; /* "inet:host:port" or "unix:/path" */
	size_t reply_max;   /* bytes */
};
/* Returns: RC_PERM `service` makes no sense. */
MUST_USE enum rc map_client_init(
    struct map_client *c, const struct map_client_where *w, struct err *e);
/* The same for "host:port" alone. */
MUST_USE enum rc map_client_init_inet(
    struct map_client *c, const struct map_client_where *w, struct err *e);
void map_client_fini(struct map_client *c);

/* Connects when there is no connection; when one that was there turns out to be dead
 * before anything of the reply came, once more.
 * Returns: RC_TEMP: no reply, *out_fault says why, e->sys is errno when there is one, and
 *          the connection is closed.
 * Blocks:  until the deadline; resolving a name takes as long as the system's resolver
 *          wants. */
MUST_USE enum rc map_client_ask(struct map_client *c, const struct map_exchange *x,
    enum map_client_fault *out_fault, struct err *e);
/* A value as the table gives it: up to a NUL (compat), a copy in `mem`.
 * Returns: RC_TEMP: it is not UTF-8, which is warned of, or there is no room. */
MUST_USE enum rc map_client_value(const struct map_client *c, struct str key,
    struct arena *mem, struct str *value, struct err *e);
#endif
