/* tcp:host:port — a server of tcp_table(5): "get key" there, "200 value", "500 text" (not
 * found), "400 text" (trouble) back; %XX for bytes that cannot stand in a line. */
#include "log/log.h"
#include "map/client.h"
#include "map/reply.h"
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)4096)     /* compat */
#define TIMEOUT_US     (100 * US_PER_SEC) /* compat */

struct tcp {
	struct map_client client;
	struct buf request, value;
	struct str line; /* of the reply, in the client's memory */
};

static void
tcp_close(void *state)
{
	struct tcp *t = state;

	map_client_fini(&t->client);
	buf_fini(&t->request);
	buf_fini(&t->value);
	free(t);
}

static enum rc
tcp_open(const struct map_how *how, void **out, struct err *e)
{
	const struct map_client_where where = { .how = how,
		.type = "tcp",
		.service = how->name,
		.reply_max = LINE_MAX_BYTES + 1 };
	struct tcp *t = mem_get(sizeof(*t));
	enum rc rc = map_client_init_inet(&t->client, &where, e);

	if (rc != RC_OK) {
		free(t);
		return rc;
	}
	buf_init(&t->request, 4 * LINE_MAX_BYTES);
	buf_init(&t->value, LINE_MAX_BYTES);
	*out = t;
	return RC_OK;
}

static enum rc
take_reply(void *ctx, struct str in, size_t *out_used, struct err *e)
{
	struct tcp *t = ctx;

	(void)e;
	return map_reply_line(in, LINE_MAX_BYTES, &t->line, out_used);
}

/* Says it in the log and in `e`. */
static enum rc
trouble(const struct tcp *t, const char *what, struct str text, struct err *e)
{
	const struct map_client *c = &t->client;

	if (c->log != NULL)
		log_warn(c->log, "read TCP map reply from %s: %s%.*s", c->text, what,
		    STR_ARG(text)); /* compat */
	return err_set(e, RC_TEMP, "read TCP map reply from %s: %s%.*s", c->text, what,
	    STR_ARG(text));
}

static enum rc
no_reply(const struct tcp *t, enum map_client_fault fault, const struct err *why,
    struct err *e)
{
	const struct map_client *c = &t->client;

	switch (fault) {
	case MAP_CLIENT_SIZE:
		return trouble(t, "text longer than ", STR("4096"), e);
	case MAP_CLIENT_TIME:
	case MAP_CLIENT_DISCONNECT:
		return trouble(t, "unexpected EOF", STR(""), e);
	case MAP_CLIENT_CONNECT:
	case MAP_CLIENT_FORMAT:
	case MAP_CLIENT_FINE:
		break;
	}
	if (c->log != NULL)
		log_warn(c->log, "connect to TCP map %s: %s", c->text,
		    strerror(why->sys)); /* compat */
	return err_set(
	    e, RC_TEMP, "connect to TCP map %s: %s", c->text, strerror(why->sys));
}

static enum rc
ask(struct tcp *t, struct str key, struct err *e)
{
	struct map_exchange x = {
		.timeout_us = TIMEOUT_US, .reply = take_reply, .ctx = t
	};
	enum map_client_fault fault;
	struct err why = { 0 };

	buf_reset(&t->request);
	if (buf_put(&t->request, STR("get ")) != RC_OK ||
	    map_request_tcp(key, &t->request) != RC_OK ||
	    buf_put(&t->request, STR("\n")) != RC_OK)
		return err_set(e, RC_TEMP, "key is too long");
	x.request = buf_view(&t->request);
	if (map_client_ask(&t->client, &x, &fault, &why) == RC_OK)
		return RC_OK;
	return no_reply(t, fault, &why, e);
}

static enum rc
tcp_find(void *state, struct str key, unsigned flags, struct arena *mem, struct str *out,
    struct err *e)
{
	struct tcp *t = state;
	unsigned status;
	struct str text;
	enum rc rc = ask(t, key, e);

	(void)flags;
	if (rc != RC_OK)
		return rc;
	buf_reset(&t->value);
	if (map_reply_tcp(t->line, &status, &t->value) != RC_OK)
		return trouble(t, "malformed reply: ", t->line, e);
	text = buf_view(&t->value);
	switch (status) {
	case 200:
		rc = map_client_value(&t->client, key, mem, &text, e);
		if (rc == RC_OK)
			*out = text;
		return rc;
	case 400:
		return err_set(e, RC_TEMP, "%s: %.*s", t->client.table, STR_ARG(text));
	case 500:
		return RC_NONE;
	default:
		return trouble(t, "bad status code: ", t->line, e);
	}
}

const struct map_type map_type_tcp = {
	.name = "tcp",
	.traits = { .is_remote = true, .is_open_to_forgery = true },
	.open = tcp_open,
	.close = tcp_close,
	.find = tcp_find,
};
