/* header_checks, mime_header_checks, nested_header_checks, body_checks: what the tables
 * say about a header or a line, and what that does to the message.
 *
 * A table that can be asked at once is; one that keeps us waiting stops the content until
 * it answers (see struct mime_hooks). One question is open at a time. */
#include "agent/ingest_checks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/decide_mapping.h"
#include "agent/log_address.h"
#include "log/log.h"
#include "mime/header.h"

enum {
	SCRATCH_MAX = 4 << 20, /* of one decision: a table's value may be long */
	SHOWN_MAX = 200,       /* bytes of a line in the log. Compat */
	BCC_MAX = 1000,        /* recipients that checks may add */
};

#define TEXT_REJECTED "message content rejected" /* compat */

const char *const ingest_check_names[INGEST_N_CHECKS] = { "header_checks",
	"mime_header_checks", "nested_header_checks", "body_checks" };

static const char *
kind_of(enum mime_part part)
{
	return part == MIME_PART_BODY ? "body" : "header";
}

/* ---- the log ---- */

/* " from N[A]; from=<> to=<>". Compat. */
static void
log_source(struct log *l, const struct ingest *in)
{
	const struct ingest_client *c = in->client;

	if (c->via == MIME_VIA_SMTP || c->addr.n > 0)
		log_putf(l, " from %.*s[%.*s]", STR_ARG(c->name), STR_ARG(c->addr));
	else
		log_put(l, STR(" from local"));
	log_put_address(l, "; from=<", in->shown_sender);
	if (in->shown_rcpt.n > 0)
		log_put_address(l, "> to=<", in->shown_rcpt);
	log_put(l, STR(">"));
}

/* QID: ACTION: header LINE from N[A]; from=<> to=<> proto= helo=<>: TEXT. Compat. */
static void
log_action(struct ingest *in, const char *action, const char *kind, struct str line,
    struct str text)
{
	const struct ingest_client *c = in->client;
	struct log *l = in->conf->cleanup_log;

	log_begin(l, LOG_LEVEL_INFO);
	log_putf(l, "%s: %s: %s %.*s", in->qid.text, action, kind,
	    STR_ARG(str_head(line, SHOWN_MAX)));
	log_source(l, in);
	if (c->proto.n > 0)
		log_putf(l, " proto=%.*s", STR_ARG(c->proto));
	if (c->helo.n > 0)
		log_putf(l, " helo=<%.*s>", STR_ARG(c->helo));
	if (text.n > 0)
		log_putf(l, ": %.*s", STR_ARG(text));
	log_end(l);
}

/* ---- actions ---- */

static bool
is_header_text(struct str text)
{
	size_t name_n, value_at;

	return mime_header_split(text, &name_n, &value_at);
}

/* "5.7.1 text": how long the code is; 0: there is none. */
static size_t
dsn_length(struct str s)
{
	size_t i = 0;

	if (s.n < 5 || (*s.p != '4' && *s.p != '5') || s.p[1] != '.')
		return 0;
	for (unsigned part = 0; part < 2; part++) {
		size_t from = ++i + (part == 0);

		for (i = from; i < s.n && i - from < 3 && ascii_isdigit(s.p[i]);)
			i++;
		if (i == from || (part == 0 && (i >= s.n || s.p[i] != '.')))
			return 0;
	}
	return i == s.n || ascii_isspace(s.p[i]) ? i : 0;
}

/* REJECT text. Compat: the code follows from the text's own. */
static enum rc
reject(struct ingest_check *c, struct str text, struct err *e)
{
	size_t n = dsn_length(text);
	struct str dsn = n > 0 ? str_head(text, n) : STR("5.7.1");
	struct str words = str_trim(str_from(text, n));
	bool is_temp = *dsn.p == '4';
	char shown[INGEST_REPLY_MAX];

	if (words.n == 0)
		words = STR(TEXT_REJECTED);
	(void)snprintf(shown, sizeof(shown), "%.*s %.*s", STR_ARG(dsn), STR_ARG(words));
	log_action(c->in, "reject", kind_of(c->part), c->text, str_c(shown));
	if (c->in->client->is_returned && !is_temp) {
		c->hooks.checks = 0;
		return ingest_return(c->in, str_c(shown));
	}
	return err_set(
	    e, is_temp ? RC_TEMP : RC_PERM, "%s %s", is_temp ? "451" : "550", shown);
}

static void
bad(const struct ingest_check *c, const char *what, struct str text, const char *need)
{
	log_warn(c->in->conf->cleanup_log, "%s \"%.*s\" in %s map -- need %s", what,
	    STR_ARG(text), ingest_check_names[c->part], need); /* compat */
}

/* The same again costs nothing: every line of a body may ask for it. */
static bool
keep(struct ingest *in, struct str text, struct str *to)
{
	if (str_eq(*to, text))
		return true;
	*to = arena_str(in->mem, text);
	return to->p != NULL;
}

static bool
add_bcc(struct ingest *in, struct str address)
{
	struct ingest_effects *fx = &in->fx;

	for (size_t i = 0; i < fx->n_bcc; i++)
		if (str_eq(fx->bcc[i].address, address))
			return true;
	if (fx->n_bcc >= BCC_MAX)
		return false;
	if (fx->n_bcc == fx->cap_bcc) {
		size_t cap = fx->cap_bcc == 0 ? 4 : 2 * fx->cap_bcc;
		struct ingest_rcpt *v = arena_array(in->mem, cap, sizeof(*v));

		if (v == NULL)
			return false;
		if (fx->n_bcc > 0)
			memcpy(v, fx->bcc, fx->n_bcc * sizeof(*v));
		fx->bcc = v;
		fx->cap_bcc = cap;
	}
	fx->bcc[fx->n_bcc] = (struct ingest_rcpt){ .notify = 0 };
	return keep(in, address, &fx->bcc[fx->n_bcc++].address);
}

/* Actions that change where the message goes. False: no such action. */
static bool
route_action(struct ingest_check *c, struct str word, struct str text, bool *is_full)
{
	struct ingest *in = c->in;
	struct ingest_effects *fx = &in->fx;
	const char *kind = kind_of(c->part);
	bool has_at = str_find(text, '@') < text.n && str_is_line(text);

	if (str_iis(word, "FILTER")) {
		if (text.n == 0) {
			log_warn(in->conf->cleanup_log,
			    "missing FILTER command argument in %s map",
			    ingest_check_names[c->part]);
		} else if (str_find(text, ':') == text.n || !str_is_line(text)) {
			log_warn(in->conf->cleanup_log,
			    "bad FILTER command %.*s in %s -- need "
			    "transport:destination",
			    STR_ARG(text), ingest_check_names[c->part]);
		} else {
			log_action(in, "filter", kind, c->text, text);
			*is_full = !keep(in, text, &fx->filter);
		}
	} else if (str_iis(word, "REDIRECT")) {
		if (!has_at) {
			bad(c, "bad REDIRECT target", text, "user@domain");
		} else {
			log_action(in, "redirect", kind, c->text, text);
			*is_full = !keep(in, text, &fx->redirect);
		}
	} else if (str_iis(word, "BCC")) {
		if (!has_at) {
			bad(c, "bad BCC address", text, "user@domain");
		} else {
			log_action(in, "bcc", kind, c->text, text);
			*is_full = !add_bcc(in, text);
		}
	} else if (str_iis(word, "HOLD")) {
		if (!fx->hold)
			log_action(in, "hold", kind, c->text, text);
		fx->hold = true;
	} else {
		return false;
	}
	return true;
}

/* Actions that change the text. False: no such action. */
static bool
edit_action(
    struct ingest_check *c, struct str word, struct str text, struct mime_edit *out)
{
	bool replaces = str_iis(word, "REPLACE"), is_body = c->part == MIME_PART_BODY;
	struct log *l = c->in->conf->cleanup_log;

	if (str_iis(word, "IGNORE")) {
		out->verdict = MIME_DROP;
	} else if (str_iis(word, "STRIP")) {
		log_action(c->in, "strip", kind_of(c->part), c->text, text);
		out->verdict = MIME_DROP;
	} else if (replaces || str_iis(word, "PREPEND")) {
		const char *name = replaces ? "REPLACE" : "PREPEND";

		if (text.n == 0) {
			log_warn(l, "%s action without text in %s map", name,
			    ingest_check_names[c->part]);
		} else if (!is_body && !is_header_text(text)) {
			bad(c,
			    replaces ? "bad REPLACE header text"
				     : "bad PREPEND header text",
			    text, "\"headername: headervalue\"");
		} else {
			log_action(c->in, replaces ? "replace" : "prepend",
			    kind_of(c->part), c->text, text);
			out->verdict = replaces ? MIME_REPLACE : MIME_PREPEND;
			out->text = text;
		}
	} else {
		return false;
	}
	return true;
}

/* Actions that only speak, or end the checks. False: no such action. */
static bool
plain_action(struct ingest_check *c, struct str word, struct str text)
{
	const char *kind = kind_of(c->part);

	if (str_iis(word, "WARN"))
		log_action(c->in, "warning", kind, c->text, text);
	else if (str_iis(word, "INFO"))
		log_action(c->in, "info", kind, c->text, text);
	else if (str_iis(word, "PASS")) {
		log_action(c->in, "pass", kind, c->text, text);
		c->hooks.checks = 0;
	} else
		return str_iis(word, "DUNNO") || str_iis(word, "OK");
	return true;
}

/* A table said `action`. */
static enum rc
act(struct ingest_check *c, struct str action, struct mime_edit *out, struct err *e)
{
	struct str rest = str_trim(action), word = STR(""), text;
	bool is_full = false;
	size_t n = 0;

	while (n < rest.n && !ascii_isspace(rest.p[n]))
		n++;
	word = str_head(rest, n);
	while (n < rest.n && ascii_isspace(rest.p[n]))
		n++;
	text = str_from(rest, n);
	if (str_iis(word, "REJECT"))
		return reject(c, text, e);
	if (str_iis(word, "DISCARD")) {
		log_action(c->in, "discard", kind_of(c->part), c->text, text);
		c->in->fx.discard = true;
		return err_set(e, RC_PERM, "discarded");
	}
	if (!edit_action(c, word, text, out) && !plain_action(c, word, text) &&
	    !route_action(c, word, text, &is_full))
		log_warn(c->in->conf->cleanup_log, "unknown command in %s map: %.*s",
		    ingest_check_names[c->part], STR_ARG(rest)); /* compat */
	return is_full ? err_set(e, RC_TEMP, "%s", TEXT_WRITE_ERROR) : RC_OK;
}

/* ---- asking ---- */

static void
log_trouble(const struct ingest_check *c, const struct ask *a)
{
	struct log *l = c->in->conf->cleanup_log;

	for (unsigned i = 0; i < a->n_known; i++)
		if (a->known[i].rc == RC_TEMP) /* compat */
			log_warn(l, "%.*s lookup error for \"%.*s\"",
			    STR_ARG(a->known[i].q.source), STR_ARG(a->known[i].q.key));
	log_warn(l, "%s: %s map lookup problem -- message not accepted, try again later",
	    c->in->qid.text, ingest_check_names[c->part]); /* compat */
}

/* These two log their trouble while the answers live. */
static enum rc
look_up(void *arg, struct ask *a)
{
	struct ingest_check *c = arg;
	enum rc rc = ask_tables(
	    a, &c->in->conf->checks->tables[c->part], c->text, ASK_NOFOLD, &c->answer);

	if (rc == RC_TEMP)
		log_trouble(c, a);
	return rc;
}

struct one_address {
	struct ingest_check *c;
	struct ask *a;
};

static enum rc
map_one(void *ctx, struct str address, struct arena *mem, struct str *out)
{
	struct one_address *one = ctx;
	struct ingest_check *c = one->c;
	enum rc rc;

	(void)mem;
	rc = mapping_address(
	    one->a, c->mapping, c->map_class, address, out, &c->map_error);
	/* Each address is a decision of its own: the limit on questions is for one, and
	 * looking through those about all before it would take the longer the more. */
	if (rc == RC_OK && c->is_at_once)
		ask_forget(one->a);
	return rc;
}

/* A whole address field: c->text is its value, c->answer what becomes of it. */
static enum rc
map_field(void *arg, struct ask *a)
{
	struct ingest_check *c = arg;
	struct one_address one = { .c = c, .a = a };
	const struct mime_mapping how = { .map = map_one,
		.ctx = &one,
		.column = c->map_column,
		.token_limit = c->in->conf->mime.token_limit,
		.stripped = c->in->start.stripped,
		.stripped_ctx = c->in };
	struct buf out;
	enum rc rc;

	c->map_error = (struct err){ 0 };
	buf_init(&out, SCRATCH_MAX / 2);
	rc = mime_addresses_rewrite(c->text, &how, a->mem, &out);
	if (rc == RC_OK) {
		c->answer = arena_str(a->mem, buf_view(&out));
		if (c->answer.p == NULL)
			rc = RC_TEMP;
	}
	buf_fini(&out);
	if (rc != RC_MORE && c->map_error.text[0] != '\0')
		decide_mapping_log(
		    c->in->conf->cleanup_log, ingest_qid(c->in), a, &c->map_error);
	return rc;
}

/* The answer is used by who asks again; its text must stay until then. */
static void
on_found(void *arg, enum rc rc)
{
	struct ingest_check *c = arg;

	if (rc == RC_OK) {
		c->answer = arena_str(c->scratch, c->answer);
		if (c->answer.p == NULL)
			rc = RC_TEMP;
	}
	c->rc = rc;
	c->has_answer = true;
	ingest_content_go(c->in);
}

/* RC_OK, RC_NONE, RC_TEMP with c->answer; RC_MORE: on_found() comes. `fn` asks again from
 * c->text, which is in our memory then. */
static enum rc
find(struct ingest_check *c, decide_fn *fn)
{
	struct decide *d = c->in->conf->decide;
	struct ask a = { 0 };
	enum rc rc;

	arena_reset(c->scratch);
	decide_begin(d, &a, c->scratch, loop_now_us(c->in->loop));
	c->is_at_once = true;
	rc = fn(c, &a);
	c->is_at_once = false;
	if (rc != RC_MORE)
		return rc;
	arena_reset(c->scratch);
	c->text = arena_str(c->scratch, c->text);
	if (c->text.p == NULL)
		return RC_TEMP;
	if (c->waits == NULL)
		c->waits = arena_new(SCRATCH_MAX);
	arena_reset(c->waits);
	c->run = (struct decide_run){ .d = d, .run = fn, .done = on_found, .arg = c };
	return decide_run_start(&c->run, c->waits);
}

/* The answer that came, or a new question. RC_MORE: it has to be waited for. */
static enum rc
obtain(struct ingest_check *c, decide_fn *fn, struct str text)
{
	if (decide_run_is_waiting(&c->run))
		return RC_MORE;
	if (c->has_answer) {
		c->has_answer = false;
		return c->rc;
	}
	c->text = text;
	return c->in->conf->decide != NULL ? find(c, fn) : RC_TEMP;
}

static enum rc
check(
    void *ctx, enum mime_part part, struct str text, struct mime_edit *out, struct err *e)
{
	struct ingest_check *c = ctx;
	enum rc rc;

	c->part = part;
	rc = obtain(c, look_up, text);
	if (rc == RC_TEMP)
		return err_set(e, RC_TEMP, "%s", TEXT_WRITE_ERROR);
	if (rc == RC_OK)
		return act(c, c->answer, out, e);
	return rc == RC_NONE ? RC_OK : rc;
}

static enum rc
map(void *ctx, enum mime_header h, struct str value, size_t column, struct buf *out,
    struct err *e)
{
	struct ingest_check *c = ctx;
	enum rc rc;

	c->map_class = mime_header_has_recipients(h) ? MAPPING_HEADER_RECIPIENT
						     : MAPPING_HEADER_SENDER;
	c->map_column = column;
	rc = obtain(c, map_field, value);
	if (rc == RC_TEMP || (rc == RC_OK && buf_put(out, c->answer) != RC_OK))
		return err_set(e, RC_TEMP, "%s", TEXT_WRITE_ERROR);
	return rc;
}

/* ---- what needs no table ---- */

static void
trouble(void *ctx, enum mime_strict what, struct str text)
{
	struct ingest *in = ((struct ingest_check *)ctx)->in;
	struct log *l = in->conf->cleanup_log;

	log_begin(l, LOG_LEVEL_INFO);
	log_putf(l, "%s: reject: mime-error %s: %.*s", in->qid.text,
	    mime_strict_text(what), STR_ARG(str_head(text, SHOWN_MAX)));
	log_source(l, in); /* compat: not how it spoke */
	log_end(l);
}

static void
disallowed(void *ctx, struct str line)
{
	struct ingest_check *c = ctx;

	/* compat: what is behind a NUL is not shown. */
	log_action(c->in, "reject", "content", str_head(line, str_find(line, '\0')),
	    STR("5.7.1 disallowed character"));
}

/* ---- begin, end ---- */

static const struct mapping_conf *
mapping_of(const struct ingest *in)
{
	const struct decide_mapping *m = in->conf->mapping;

	if (m == NULL || in->conf->no_mappings)
		return NULL;
	if (!in->client->is_local)
		return m->rewrites_remote ? &m->remote : NULL;
	/* Completing alone needs nobody to ask. */
	return mapping_applies(&m->local, MAPPING_HEADER_SENDER) ||
		       mapping_applies(&m->local, MAPPING_HEADER_RECIPIENT)
		   ? &m->local
		   : NULL;
}

struct ingest_check *
ingest_check_new(struct ingest *in)
{
	const struct ingest_conf *conf = in->conf;
	const struct mapping_conf *mapping = mapping_of(in);
	unsigned parts =
	    conf->checks != NULL && !conf->no_checks ? conf->checks->parts : 0;
	struct ingest_check *c;

	if (parts == 0 && mapping == NULL && conf->mime.strict == 0 &&
	    conf->mime.reject == NULL && conf->to_7bit == NULL)
		return NULL;
	c = mem_get(sizeof(*c));
	c->in = in;
	c->mapping = mapping;
	c->scratch = arena_new(SCRATCH_MAX);
	c->hooks = (struct mime_hooks){ .ctx = c,
		.checks = parts,
		.check = check,
		.map = mapping != NULL ? map : NULL,
		.trouble = trouble,
		.disallowed = disallowed };
	return c;
}

void
ingest_check_free(struct ingest_check **cp)
{
	struct ingest_check *c = *cp;

	if (c == NULL)
		return;
	decide_run_cancel(&c->run);
	arena_free(&c->scratch);
	arena_free(&c->waits);
	free(c);
	*cp = NULL;
}

bool
ingest_check_is_waiting(const struct ingest *in)
{
	return in->check != NULL && decide_run_is_waiting(&in->check->run);
}
