/* Choosing among the servers of a table. */
#include "map/plugin/hosts.h"
#include "conf/list.h"
#include "os/clock.h"
#include "os/random.h"
#include <assert.h>
#include <string.h>

#define HOSTS_MAX 100
#define HOSTS_MEM ((size_t)1 << 20)

/* How the log names a server: without the user and the parameters of a URI, among which
 * passwords are. */
static struct str
without_secrets(struct map_hosts *h, struct str item)
{
	size_t at, scheme = str_find(item, ':');
	struct str rest;

	if (str_starts(str_from(item, scheme), STR("://"))) {
		rest = str_from(item, scheme + 3);
		at = str_rfind(rest, '@');
		rest = at < rest.n ? str_from(rest, at + 1) : rest;
		return arena_printf(h->mem, "%.*s://%.*s",
		    STR_ARG(str_head(item, scheme)),
		    STR_ARG(str_head(rest, str_find(rest, '?'))));
	}
	return str_istarts(item, STR("pass")) ? STR("a password")
					      : arena_str(h->mem, item);
}

static enum rc
parse_host(struct map_hosts *h, struct str item, struct err *e)
{
	struct map_host *o = &h->v[h->n];
	struct str name = item, port;
	uint64_t number = 0;
	size_t colon;

	o->text = without_secrets(h, item);
	o->is_uri = str_starts(item, STR("postgresql://")) ||
		    str_starts(item, STR("postgres://")) || str_find(item, '=') < item.n;
	if (str_starts(item, STR("unix:"))) {
		o->is_unix = true;
		name = str_from(item, 5);
	} else if (!o->is_uri) {
		if (str_starts(item, STR("inet:")))
			name = str_from(item, 5);
		colon = str_rfind(name, ':');
		if (colon < name.n) {
			port = str_from(name, colon + 1);
			if (str_u64(port, 65535, &number) != RC_OK)
				return err_set(e, RC_TEMP, "bad port in host \"%.*s\"",
				    STR_ARG(item));
			name = str_head(name, colon);
		}
		if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
			name = str_n(name.p + 1, name.n - 2);
	}
	o->name = arena_str(h->mem, name);
	o->port = (uint16_t)number;
	if (o->text.p == NULL || o->name.p == NULL)
		return err_set(e, RC_TEMP, "hosts: memory limit");
	h->n++;
	return RC_OK;
}

enum rc
map_hosts_init(struct map_hosts *h, struct str text, const char *usual, struct err *e)
{
	struct str item, rest = text;

	h->mem = arena_new(HOSTS_MEM);
	h->v = arena_array(h->mem, HOSTS_MAX, sizeof(*h->v));
	assert(h->v != NULL);
	if (str_trim(text).n == 0)
		rest = str_c(usual);
	while (str_token(&rest, CONF_LIST_SEPARATORS, &item)) {
		if (h->n == HOSTS_MAX)
			return err_set(e, RC_TEMP, "more than %d hosts", HOSTS_MAX);
		if (parse_host(h, item, e) != RC_OK)
			return RC_TEMP;
	}
	return RC_OK;
}

void
map_hosts_times(struct map_hosts *h, const struct map_settings *s)
{
	h->retry_us = map_settings_number(s, "retry_interval") * US_PER_SEC;
	h->idle_us = map_settings_number(s, "idle_interval") * US_PER_SEC;
}

static void
disconnect(struct map_hosts *h, struct map_host *o)
{
	if (o->conn != NULL)
		h->ops->close(h->ctx, o->conn);
	o->conn = NULL;
}

void
map_hosts_fini(struct map_hosts *h)
{
	for (size_t i = 0; i < h->n; i++)
		disconnect(h, &h->v[i]);
	arena_free(&h->mem);
}

/* Whether it may be chosen at all, and how good that would be. */
static int
rank(const struct map_hosts *h, const struct map_host *o, int64_t now)
{
	if (o->is_tried)
		return 0;
	if (o->conn != NULL)
		return o->is_unix ? 4 : 3;
	if (h->n > 1 && o->retry_us > now)
		return 0;
	return o->is_unix ? 2 : 1;
}

static struct map_host *
choose(struct map_hosts *h, int64_t now)
{
	struct map_host *best = NULL;
	int best_rank = 0;
	uint64_t n_equal = 0;

	for (size_t i = 0; i < h->n; i++) {
		int r = rank(h, &h->v[i], now);

		if (r == 0 || r < best_rank)
			continue;
		n_equal = r > best_rank ? 1 : n_equal + 1;
		best_rank = r;
		if (n_equal == 1 || os_random_u64() % n_equal == 0)
			best = &h->v[i];
	}
	return best;
}

/* RC_MORE: lost; the server may be tried once more when it is alone. */
static enum rc
ask_one(struct map_hosts *h, struct map_host *o, int64_t now, struct err *e)
{
	enum rc rc = RC_OK;

	if (o->conn == NULL)
		rc = h->ops->connect(h->ctx, o, &o->conn, e);
	if (rc != RC_OK) {
		o->conn = NULL;
		o->retry_us = now + h->retry_us;
		return RC_TEMP;
	}
	rc = h->ops->ask(h->ctx, o, e);
	if (rc == RC_MORE) {
		disconnect(h, o);
		o->retry_us = now + h->retry_us;
	} else {
		o->idle_us = now + h->idle_us;
	}
	return rc;
}

enum rc
map_hosts_ask(struct map_hosts *h, struct err *e)
{
	int64_t now = os_clock_mono_us();
	struct err why = h->why;
	struct map_host *o;
	bool is_again = false;

	for (size_t i = 0; i < h->n; i++) {
		h->v[i].is_tried = false;
		if (h->v[i].conn != NULL && h->v[i].idle_us <= now)
			disconnect(h, &h->v[i]);
	}
	while ((o = choose(h, now)) != NULL) {
		bool was_connected = o->conn != NULL;
		enum rc rc;

		o->is_tried = true;
		rc = ask_one(h, o, now, &why);
		if (rc == RC_OK || rc == RC_NONE || rc == RC_PERM) {
			if (e != NULL)
				*e = why;
			return rc == RC_PERM ? RC_TEMP : rc;
		}
		/* An old connection that turned out to be dead says nothing about the
		 * server. */
		if (rc == RC_MORE && was_connected && !is_again) {
			is_again = true;
			o->is_tried = false;
			o->retry_us = 0;
		}
		now = os_clock_mono_us();
	}
	h->why = why;
	return err_set(e, RC_TEMP, "%s", why.text[0] != '\0' ? why.text : "no server");
}
