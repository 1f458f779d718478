/* socketmap:inet:host:port:name, socketmap:unix:/path:name — a server of Sendmail's
 * socketmap protocol: netstrings "name key" there, "OK value", "NOTFOUND " … back. */
#include "log/log.h"
#include "map/client.h"
#include "map/reply.h"
#include <stdlib.h>
#include <string.h>

#define REPLY_MAX  ((size_t)100000)   /* compat */
#define TIMEOUT_US (100 * US_PER_SEC) /* compat */

struct socketmap {
	struct map_client client;
	char *name; /* of the table at the server */
	struct buf request;
	struct str payload; /* of the reply, in the client's memory */
};

static void
socketmap_close(void *state)
{
	struct socketmap *s = state;

	map_client_fini(&s->client);
	buf_fini(&s->request);
	free(s->name);
	free(s);
}

static enum rc
socketmap_open(const struct map_how *how, void **out, struct err *e)
{
	size_t colon = str_rfind(how->name, ':');
	const struct map_client_where where = { .how = how,
		.type = "socketmap",
		.service = str_head(how->name, colon),
		.reply_max = REPLY_MAX + 32 };
	struct str name = str_from(how->name, colon + 1);
	struct socketmap *s;
	enum rc rc;

	if (colon == how->name.n)
		return err_set(e, RC_PERM,
		    "socketmap requires server:socketmap argument"); /* compat */
	s = mem_get(sizeof(*s));
	rc = map_client_init(&s->client, &where, e);
	if (rc != RC_OK) {
		free(s);
		return rc;
	}
	s->name = mem_get(name.n + 1);
	if (name.n > 0)
		memcpy(s->name, name.p, name.n);
	buf_init(&s->request, REPLY_MAX);
	*out = s;
	return RC_OK;
}

static enum rc
take_reply(void *ctx, struct str in, size_t *out_used, struct err *e)
{
	struct socketmap *s = ctx;
	enum rc rc = map_reply_netstring(in, REPLY_MAX, &s->payload, out_used);

	return rc == RC_PERM ? err_set(e, rc, "no netstring") : rc;
}

/* compat: what Postfix says of a netstring that did not come. */
static const char *
words_of(enum map_client_fault fault, const struct err *e)
{
	switch (fault) {
	case MAP_CLIENT_TIME:
		return "time limit exceeded";
	case MAP_CLIENT_DISCONNECT:
		return "unexpected disconnect";
	case MAP_CLIENT_SIZE:
		return "input exceeds size limit";
	case MAP_CLIENT_FORMAT:
		return "input format error";
	case MAP_CLIENT_CONNECT:
	case MAP_CLIENT_FINE:
		break;
	}
	return strerror(e->sys);
}

static enum rc
ask(struct socketmap *s, struct str key, struct err *e)
{
	const struct map_client *c = &s->client;
	struct map_exchange x = {
		.timeout_us = TIMEOUT_US, .reply = take_reply, .ctx = s
	};
	enum map_client_fault fault;
	struct err why = { 0 };

	buf_reset(&s->request);
	if (buf_printf(&s->request, "%zu:%s ", strlen(s->name) + 1 + key.n, s->name) !=
		RC_OK ||
	    buf_put(&s->request, key) != RC_OK || buf_put(&s->request, STR(",")) != RC_OK)
		return err_set(e, RC_TEMP, "key is too long");
	x.request = buf_view(&s->request);
	if (map_client_ask(&s->client, &x, &fault, &why) == RC_OK)
		return RC_OK;
	if (c->log != NULL && fault == MAP_CLIENT_CONNECT)
		log_warn(c->log, "%s", why.text); /* compat */
	if (c->log != NULL)
		log_warn(c->log, "table %s lookup error: %s", c->table,
		    words_of(fault, &why)); /* compat */
	return err_set(
	    e, RC_TEMP, "table %s lookup error: %s", c->table, words_of(fault, &why));
}

/* compat: the server says that it has trouble. */
static enum rc
trouble(const struct map_client *c, enum map_socketmap_status status, struct str text,
    struct err *e)
{
	static const char *const kinds[] = {
		[MAP_SOCKETMAP_TEMP] = "temporary",
		[MAP_SOCKETMAP_TIMEOUT] = "timeout",
		[MAP_SOCKETMAP_PERM] = "permanent",
		[MAP_SOCKETMAP_UNKNOWN] = "unknown",
	};
	const char *colon = text.n > 0 ? ": " : "";

	if (c->log != NULL)
		log_warn(c->log, "%s socketmap server %s error%s%.*s", c->table,
		    kinds[status], colon, STR_ARG(text));
	return err_set(e, RC_TEMP, "%s socketmap server %s error%s%.*s", c->table,
	    kinds[status], colon, STR_ARG(text));
}

static enum rc
socketmap_find(void *state, struct str key, unsigned flags, struct arena *mem,
    struct str *out, struct err *e)
{
	struct socketmap *s = state;
	enum map_socketmap_status status;
	struct str text;
	enum rc rc = ask(s, key, e);

	(void)flags;
	if (rc != RC_OK)
		return rc;
	status = map_reply_socketmap(s->payload, &text);
	if (status == MAP_SOCKETMAP_NOTFOUND)
		return RC_NONE;
	if (status != MAP_SOCKETMAP_OK)
		return trouble(&s->client, status, text, e);
	if (text.p == NULL)
		return RC_NONE; /* compat: "OK" alone */
	rc = map_client_value(&s->client, key, mem, &text, e);
	if (rc == RC_OK)
		*out = text;
	return rc;
}

const struct map_type map_type_socketmap = {
	.name = "socketmap",
	.traits = { .is_remote = true, .is_open_to_forgery = true },
	.open = socketmap_open,
	.close = socketmap_close,
	.find = socketmap_find,
};
