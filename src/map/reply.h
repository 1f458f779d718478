#ifndef MAP_REPLY_H
#define MAP_REPLY_H
/* What servers of socketmap:, tcp: and memcache: tables say. Pure, for hostile servers.
 * Views are of the input. */
#include "base/base.h"
#include "base/buf.h"

/* The first line, without its LF. RC_MORE: not whole; RC_TEMP: longer than `max` with
 * its LF. */
MUST_USE enum rc map_reply_line(
    struct str in, size_t max, struct str *out, size_t *out_used);

/* A netstring: "5:hello,". RC_MORE: not whole; RC_TEMP: longer than `max`; RC_PERM: not
 * one. */
MUST_USE enum rc map_reply_netstring(
    struct str in, size_t max, struct str *out, size_t *out_used);

enum map_socketmap_status {
	MAP_SOCKETMAP_OK,
	MAP_SOCKETMAP_NOTFOUND,
	MAP_SOCKETMAP_TEMP,
	MAP_SOCKETMAP_TIMEOUT,
	MAP_SOCKETMAP_PERM,
	MAP_SOCKETMAP_UNKNOWN,
};
/* "OK value" and so on. out_text->p is NULL when there is no blank. */
enum map_socketmap_status map_reply_socketmap(struct str in, struct str *out_text);

/* A line of tcp:, "200 value", with the status and the value, whose %XX are decoded in
 * `out`. RC_PERM: not one. RC_TEMP: no room. */
MUST_USE enum rc map_reply_tcp(struct str line, unsigned *out_status, struct buf *out);
/* The key as tcp: sends it. RC_TEMP: no room. */
MUST_USE enum rc map_request_tcp(struct str key, struct buf *out);

/* What memcached says to "get key". RC_OK: the value; RC_NONE: it has none; RC_MORE: not
 * whole; RC_TEMP: a line is too long; RC_PERM: something else, *out is that line. */
struct map_memcache_limits {
	size_t line, data;
};
MUST_USE enum rc map_reply_memcache(struct str in, struct str key,
    const struct map_memcache_limits *limits, struct str *out, size_t *out_used);
#endif
