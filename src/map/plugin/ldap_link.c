/* Connecting to LDAP servers and searching, with libldap; see ldap_link.h. */
#include "map/plugin/ldap_link.h"
#include "os/clock.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

const char *
ldap_link_words(int code)
{
	return ldap_err2string(code);
}

void
ldap_link_close(struct ldap_link *l)
{
	if (l->ld != NULL)
		(void)ldap_unbind_ext(l->ld, NULL, NULL);
	l->ld = NULL;
	l->is_proven = false;
}

static struct timeval
until(int64_t end_us)
{
	int64_t left = end_us - os_clock_mono_us();

	if (left < 0)
		left = 0;
	return (
	    struct timeval){ .tv_sec = left / US_PER_SEC, .tv_usec = left % US_PER_SEC };
}

/* ---- reading and writing ----
 *
 * libldap's own time limits do not hold within a TLS handshake or record, and it writes
 * to connections that are gone with SIGPIPE. So all bytes, those below TLS too, go
 * through this layer of its sockets, which knows when the operation has to end. */

#define GUARD_LEVEL ((LBER_SBIOD_LEVEL_PROVIDER + LBER_SBIOD_LEVEL_TRANSPORT) / 2)

static enum rc
wait_for(int fd, short events, int64_t end_us)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left = end_us - os_clock_mono_us();

	if (left > 0 && poll(&p, 1, (int)(left / US_PER_MS) + 1) != 0)
		return RC_OK;
	errno = ETIMEDOUT;
	return RC_TEMP;
}

static int
guard_setup(Sockbuf_IO_Desc *d, void *link)
{
	d->sbiod_pvt = link;
	return 0;
}

static int
guard_none(Sockbuf_IO_Desc *d)
{
	(void)d;
	return 0;
}

static int
guard_ctrl(Sockbuf_IO_Desc *d, int option, void *arg)
{
	return LBER_SBIOD_CTRL_NEXT(d, option, arg);
}

static ber_slen_t
guard_read(Sockbuf_IO_Desc *d, void *out, ber_len_t n)
{
	const struct ldap_link *l = d->sbiod_pvt;
	ber_slen_t got;
	int fd = -1;

	(void)ber_sockbuf_ctrl(d->sbiod_sb, LBER_SB_OPT_GET_FD, &fd);
	while (wait_for(fd, POLLIN, l->end_us) == RC_OK) {
		got = recv(fd, out, n, MSG_DONTWAIT);
		if (got >= 0 || (errno != EAGAIN && errno != EINTR))
			return got;
	}
	return -1;
}

static ber_slen_t
guard_write(Sockbuf_IO_Desc *d, void *bytes, ber_len_t n)
{
	const struct ldap_link *l = d->sbiod_pvt;
	ber_slen_t sent;
	int fd = -1;

	(void)ber_sockbuf_ctrl(d->sbiod_sb, LBER_SB_OPT_GET_FD, &fd);
	do {
		sent = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent >= 0 || (errno != EAGAIN && errno != EINTR))
			return sent;
	} while (wait_for(fd, POLLOUT, l->end_us) == RC_OK);
	return -1;
}

static int
guard_connection(
    LDAP *ld, Sockbuf *sb, LDAPURLDesc *url, struct sockaddr *addr, struct ldap_conncb *c)
{
	ber_len_t largest = LDAP_MESSAGE_MAX;
	struct ldap_link *l = c->lc_arg;

	(void)ld;
	(void)url;
	(void)addr;
	l->guard = (Sockbuf_IO){ guard_setup, guard_none, guard_ctrl, guard_read,
		guard_write, guard_none };
	if (ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &largest) < 0)
		return -1;
	return ber_sockbuf_add_io(sb, &l->guard, GUARD_LEVEL, l);
}

static void
forget_connection(LDAP *ld, Sockbuf *sb, struct ldap_conncb *c)
{
	(void)ld;
	(void)sb;
	(void)c;
}

/* ---- connecting ---- */

static int
set_text(LDAP *ld, int option, const char *text)
{
	return text == NULL ? LDAP_SUCCESS : ldap_set_option(ld, option, text);
}

static int
set_tls(LDAP *ld, const struct ldap_tls *t)
{
	int check = t->is_checked ? LDAP_OPT_X_TLS_DEMAND : LDAP_OPT_X_TLS_NEVER;
	int is_server = 0;

	if (set_text(ld, LDAP_OPT_X_TLS_CACERTFILE, t->ca_file) != LDAP_SUCCESS ||
	    set_text(ld, LDAP_OPT_X_TLS_CACERTDIR, t->ca_dir) != LDAP_SUCCESS ||
	    set_text(ld, LDAP_OPT_X_TLS_CERTFILE, t->cert) != LDAP_SUCCESS ||
	    set_text(ld, LDAP_OPT_X_TLS_KEYFILE, t->key) != LDAP_SUCCESS ||
	    set_text(ld, LDAP_OPT_X_TLS_CIPHER_SUITE, t->ciphers) != LDAP_SUCCESS ||
	    set_text(ld, LDAP_OPT_X_TLS_RANDOM_FILE, t->random_file) != LDAP_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &check) != LDAP_SUCCESS)
		return LDAP_PARAM_ERROR;
	return ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &is_server);
}

static int
set_options(LDAP *ld, const struct ldap_conf *c)
{
	struct timeval limit = { .tv_sec = c->timeout_us / US_PER_SEC };
	int seconds = (int)limit.tv_sec;

	if (ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &c->version) != LDAP_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &limit) != LDAP_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_TIMEOUT, &limit) != LDAP_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_TIMELIMIT, &seconds) != LDAP_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_SIZELIMIT, &c->size_limit) != LDAP_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_DEREF, &c->dereference) != LDAP_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_REFERRALS,
		c->chases_referrals ? LDAP_OPT_ON : LDAP_OPT_OFF) != LDAP_SUCCESS)
		return LDAP_PARAM_ERROR;
	return LDAP_SUCCESS;
}

/* The code of the answer to `id`. */
static int
wait_for_result(LDAP *ld, int id, int64_t end_us)
{
	struct timeval left = until(end_us);
	LDAPMessage *message = NULL;
	int code = LDAP_OTHER, got;

	got = ldap_result(ld, id, LDAP_MSG_ALL, &left, &message);
	if (got == 0) {
		(void)ldap_abandon_ext(ld, id, NULL, NULL);
		return LDAP_TIMEOUT;
	}
	if (got < 0) {
		(void)ldap_get_option(ld, LDAP_OPT_RESULT_CODE, &code);
		return code != LDAP_SUCCESS ? code : LDAP_SERVER_DOWN;
	}
	got = ldap_parse_result(ld, message, &code, NULL, NULL, NULL, NULL, 1);
	return got != LDAP_SUCCESS ? got : code;
}

static int
secure(LDAP *ld, int64_t end_us)
{
	int id, code = ldap_start_tls(ld, NULL, NULL, &id);

	if (code == LDAP_SUCCESS)
		code = wait_for_result(ld, id, end_us);
	return code == LDAP_SUCCESS ? ldap_install_tls(ld) : code;
}

static int
authenticate(LDAP *ld, const struct ldap_conf *c, int64_t end_us)
{
	char nothing[] = "";
	struct berval secret = { .bv_val = c->bind_pw != NULL ? c->bind_pw : nothing };
	const char *name = c->bind_dn != NULL ? c->bind_dn : "";
	int id, code;

	secret.bv_len = strlen(secret.bv_val);
	code = ldap_sasl_bind(ld, name, LDAP_SASL_SIMPLE, &secret, NULL, NULL, &id);
	return code == LDAP_SUCCESS ? wait_for_result(ld, id, end_us) : code;
}

static int
connect_to(struct ldap_link *l, const char *url, const char **out_what)
{
	const struct ldap_conf *c = l->conf;
	int64_t end_us = os_clock_mono_us() + c->timeout_us;
	LDAP *ld = NULL;
	int code;

	*out_what = "Unable to init LDAP connection";
	code = ldap_initialize(&ld, url);
	if (code != LDAP_SUCCESS)
		return code;
	l->ld = ld;
	l->end_us = end_us;
	l->hook = (struct ldap_conncb){ guard_connection, forget_connection, l };
	code = set_options(ld, c);
	if (code == LDAP_SUCCESS)
		code = ldap_set_option(ld, LDAP_OPT_CONNECT_CB, &l->hook);
	if (code != LDAP_SUCCESS)
		return code;
	if (c->tls.is_wanted) {
		*out_what = "Unable to set TLS options";
		code = set_tls(ld, &c->tls);
		if (code != LDAP_SUCCESS)
			return code;
	}
	*out_what = "Unable to bind to server";
	code = ldap_connect(ld);
	if (code == LDAP_SUCCESS && c->start_tls) {
		*out_what = "Unable to set STARTTLS"; /* compat */
		code = secure(ld, end_us);
	}
	if (code == LDAP_SUCCESS && c->binds) {
		*out_what = "Unable to bind to server";
		code = authenticate(ld, c, end_us);
	}
	return code;
}

/* From l->at on, round once. */
static enum rc
connect_any(struct ldap_link *l, struct err *e)
{
	const struct ldap_conf *c = l->conf;
	const char *what = "", *last;
	int code = LDAP_SERVER_DOWN;

	for (size_t i = 0; i < c->n_urls; i++) {
		code = connect_to(l, c->urls[l->at], &what);
		if (code == LDAP_SUCCESS)
			return RC_OK;
		ldap_link_close(l);
		if (i + 1 < c->n_urls)
			l->at = (l->at + 1) % c->n_urls;
	}
	last = c->urls[l->at];
	l->at = 0;
	if (strcmp(what, "Unable to bind to server") != 0) /* compat, all three */
		return map_query_fail(l->q, e, "dict_ldap_connect: %s: %d: %s", what,
		    code, ldap_err2string(code));
	return map_query_fail(l->q, e,
	    "dict_ldap_connect: Unable to bind to server %s with dn %s: %d (%s)", last,
	    c->bind_dn != NULL ? c->bind_dn : "empty or implicit", code,
	    ldap_err2string(code));
}

/* ---- searching ---- */

static enum rc
take_values(struct ldap_values *a, struct berval **values, struct arena *mem)
{
	size_t n = (size_t)ldap_count_values_len(values);

	a->v = arena_array(mem, n + 1, sizeof(*a->v));
	if (a->v == NULL)
		return RC_TEMP;
	for (; a->n < n; a->n++) {
		const struct berval *b = values[a->n];

		a->v[a->n] = arena_str(mem, str_n(b->bv_val, b->bv_len));
		if (a->v[a->n].p == NULL)
			return RC_TEMP;
	}
	return RC_OK;
}

static enum rc
take_attribute(LDAP *ld, LDAPMessage *message, const char *name, struct arena *mem,
    struct ldap_values **out)
{
	struct ldap_values *a = arena_get(mem, sizeof(*a));
	struct berval **values;
	enum rc rc = RC_OK;

	if (a == NULL)
		return RC_TEMP;
	a->name = arena_str(mem, str_c(name));
	if (a->name.p == NULL)
		return RC_TEMP;
	values = ldap_get_values_len(ld, message, name);
	if (values != NULL)
		rc = take_values(a, values, mem);
	ldap_value_free_len(values);
	*out = a;
	return rc;
}

/* Copies an entry. RC_TEMP: it is too large. */
static enum rc
take_entry(LDAP *ld, LDAPMessage *message, struct arena *mem, struct ldap_entry **out)
{
	struct ldap_entry *entry = arena_get(mem, sizeof(*entry));
	struct ldap_values **end;
	BerElement *ber = NULL;
	enum rc rc = RC_OK;
	char *name;

	if (entry == NULL)
		return RC_TEMP;
	end = &entry->attributes;
	name = ldap_first_attribute(ld, message, &ber);
	while (name != NULL && rc == RC_OK) {
		rc = take_attribute(ld, message, name, mem, end);
		ldap_memfree(name);
		if (rc == RC_OK) {
			end = &(*end)->next;
			name = ldap_next_attribute(ld, message, ber);
		}
	}
	ber_free(ber, 0);
	*out = entry;
	return rc;
}

/* One message. RC_MORE: others follow; RC_OK: it was the last. RC_TEMP: out of memory. */
static enum rc
take_message(LDAP *ld, LDAPMessage *message, struct arena *mem, struct ldap_entry ***end,
    int *out_code)
{
	int kind = ldap_msgtype(message), code;
	struct ldap_entry *entry = NULL;

	if (kind == LDAP_RES_SEARCH_RESULT) {
		code =
		    ldap_parse_result(ld, message, out_code, NULL, NULL, NULL, NULL, 0);
		if (code != LDAP_SUCCESS)
			*out_code = code;
		return RC_OK;
	}
	if (kind != LDAP_RES_SEARCH_ENTRY)
		return RC_MORE; /* a reference to elsewhere: compat, it is left alone */
	if (take_entry(ld, message, mem, &entry) != RC_OK)
		return RC_TEMP;
	**end = entry;
	*end = &entry->next;
	return RC_MORE;
}

/* RC_OK: found->code says how it ended. RC_TEMP: the answer is too large. */
static enum rc
search_here(struct ldap_link *l, const struct ldap_search *s, struct arena *mem,
    struct ldap_found *found)
{
	int64_t end_us = os_clock_mono_us() + l->conf->timeout_us;
	struct timeval left = until(end_us);
	struct ldap_entry **end = &found->entries;
	LDAP *ld = l->ld;
	enum rc rc = RC_MORE;
	int id = 0;

	l->end_us = end_us;
	*found = (struct ldap_found){ 0 };
	found->code = ldap_search_ext(ld, s->base, s->scope, s->filter, s->attributes, 0,
	    NULL, NULL, &left, l->conf->size_limit, &id);
	if (found->code != LDAP_SUCCESS)
		return RC_OK;
	while (rc == RC_MORE) {
		LDAPMessage *message = NULL;
		int got;

		left = until(end_us);
		got = ldap_result(ld, id, LDAP_MSG_ONE, &left, &message);
		if (got == 0 || (left.tv_sec == 0 && left.tv_usec == 0)) {
			ldap_msgfree(message);
			found->code = LDAP_TIMEOUT;
			return RC_OK;
		}
		if (got < 0) {
			(void)ldap_get_option(ld, LDAP_OPT_RESULT_CODE, &found->code);
			if (found->code == LDAP_SUCCESS)
				found->code = LDAP_SERVER_DOWN;
			if (os_clock_mono_us() >= end_us)
				found->code = LDAP_TIMEOUT;
			return RC_OK;
		}
		rc = take_message(ld, message, mem, &end, &found->code);
		ldap_msgfree(message);
	}
	return rc;
}

/* Whether the server, not the question, is what failed. */
static bool
is_lost(int code)
{
	return code == LDAP_SERVER_DOWN || code == LDAP_TIMEOUT ||
	       code == LDAP_CONNECT_ERROR || code == LDAP_DECODING_ERROR ||
	       code == LDAP_ENCODING_ERROR || code == LDAP_LOCAL_ERROR ||
	       code == LDAP_BUSY || code == LDAP_UNAVAILABLE;
}

enum rc
ldap_link_search(struct ldap_link *l, const struct ldap_search *s, struct arena *mem,
    struct ldap_found *found, struct err *e)
{
	size_t n_left = l->conf->n_urls;

	for (;;) {
		/* A connection that was in use before may just be old. */
		bool was_proven = l->ld != NULL && l->is_proven;

		if (l->ld == NULL && connect_any(l, e) != RC_OK)
			return RC_TEMP;
		if (search_here(l, s, mem, found) != RC_OK) {
			ldap_link_close(l);
			return map_query_fail(l->q, e,
			    "dict_ldap_lookup: %.*s: the answer is too large",
			    STR_ARG(l->q->name));
		}
		if (!is_lost(found->code)) {
			l->is_proven = true;
			return RC_OK;
		}
		ldap_link_close(l);
		if (was_proven && found->code == LDAP_SERVER_DOWN)
			continue;
		l->at = (l->at + 1) % l->conf->n_urls;
		if (--n_left == 0)
			return map_query_fail(l->q, e, /* compat */
			    "dict_ldap_lookup: Search error %d: %s ", found->code,
			    ldap_err2string(found->code));
	}
}
