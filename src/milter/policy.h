#ifndef MILTER_POLICY_H
#define MILTER_POLICY_H
/* The policy delegation protocol (check_policy_service): requests and replies of lines
 * "name=value", ended by an empty line. Pure. Source: Postfix's SMTPD_POLICY_README. */
#include "base/base.h"
#include "base/buf.h"

enum {
	MILTER_POLICY_REQUEST_MAX = 64 << 10,
	MILTER_POLICY_LINE_MAX = 8192,      /* a name or a value of a reply */
	MILTER_POLICY_REPLY_MAX = 16 << 10, /* all lines of one reply */
};

/* Adds one attribute. What would end the line or the text early (CR, LF, NUL) becomes
 * '?': no client can add lines of its own. RC_TEMP: the buffer is full. */
MUST_USE enum rc milter_policy_put(struct buf *to, const char *name, struct str value);
/* The empty line. */
MUST_USE enum rc milter_policy_end(struct buf *to);

/* Reads a reply from all bytes that came so far. Attributes other than `action` are
 * skipped, and so are lines without "="; the first `action` counts.
 * Returns: RC_OK: *out_action is a view of `in`, the reply took *out_used bytes; RC_NONE:
 * a whole reply without action; RC_MORE: not all there yet; RC_PERM: no policy service
 * talks like this; e has Postfix's words, %s for the server. */
MUST_USE enum rc milter_policy_reply(
    struct str in, size_t *out_used, struct str *out_action, struct err *e);

/* A service as it stands in check_policy_service: "inet:host:port", or
 * "{ inet:host:port, name=value, { name = value } … }".
 * Returns: RC_OK the endpoint, and in *out_rest the settings; RC_PERM: braces or
 * endpoint are missing. */
MUST_USE enum rc milter_policy_service(
    struct str text, struct str *out_endpoint, struct str *out_rest, struct err *e);
/* The next setting. RC_NONE: no more. RC_PERM: not "name=value". */
MUST_USE enum rc milter_policy_setting(
    struct str *rest, struct str *out_name, struct str *out_value, struct err *e);
#endif
