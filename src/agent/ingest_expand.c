/* What becomes of sender and recipients, in the order of Postfix's cleanup: the sender is
 * mapped and gets its copy; each recipient is mapped, expanded, and gets its copy; then
 * the recipients that tables and parameters add.
 *
 * Each look-up is a decision of its own: what is known stays known when the next one has
 * to wait, and a list of thousands costs no question twice. Without tables there is no
 * decision at all. */
#include <assert.h>
#include "addr/address.h"
#include "agent/decide_mapping.h"
#include "agent/ingest_checks.h"
#include "agent/ingest_expand.h"
#include "base/arena.h"
#include "dsn/notice.h"
#include "log/log.h"
#include "loop/loop.h"
#include "spool/message.h"

#define TEXT_ALIAS_ERROR "4.6.0 Alias expansion error" /* compat */
#define TEXT_TOO_MANY    "5.3.4 Error: too many recipients"

enum {
	SCRATCH_MAX = 8 << 20, /* of one decision: a table's value may be long */
	STEPS_MAX = 500,       /* at a time; then others have their turn */
	EXPANDED_MAX = 64 << 20,
	ENVELOPE_BCC_MAX = 100, /* of access tables and checks: as many as matter */
};

static void go_on(struct ingest *in);

/* ---- what applies ---- */

static const struct mapping_conf *
mapping(const struct ingest *in)
{
	return &in->conf->mapping->local;
}

static bool
has_tables(const struct ingest *in)
{
	return in->conf->mapping != NULL && !in->conf->no_mappings;
}

/* compat: notices and probes of ours get no copies. */
static bool
makes_copies(const struct ingest *in)
{
	return has_tables(in) && !ingest_is_notice(in) && !in->env.is_probe;
}

/* ---- one decision ---- */

static enum rc
decide(struct ingest *in, struct ask *a, struct str *out, struct err *e)
{
	struct ingest_expansion *x = in->expansion;
	const struct mapping_conf *c = mapping(in);

	switch (x->phase) {
	case EXPAND_SENDER:
		return mapping_address(
		    a, c, MAPPING_ENVELOPE_SENDER, in->env.sender, out, e);
	case EXPAND_SENDER_COPY:
		return mapping_bcc(
		    a, c, MAPPING_ENVELOPE_SENDER, in->final.sender, out, e);
	case EXPAND_MAP:
		return mapping_address(
		    a, c, MAPPING_ENVELOPE_RECIPIENT, x->now.address, out, e);
	case EXPAND_ALIASES:
		return mapping_expansion_step(a, c, &x->list, e);
	case EXPAND_COPY:
		return mapping_bcc(a, c, MAPPING_ENVELOPE_RECIPIENT, x->mapped, out, e);
	case EXPAND_NEXT:
	case EXPAND_OVER:
		break;
	}
	return RC_NONE;
}

static enum rc
run(void *arg, struct ask *a)
{
	struct ingest *in = arg;
	struct ingest_expansion *x = in->expansion;
	struct err e = { 0 };
	struct str out = STR("");
	enum rc rc = decide(in, a, &out, &e);

	if (rc == RC_OK) {
		x->found = arena_str(in->env_mem, out);
		if (x->found.p == NULL)
			rc = err_set(&e, RC_TEMP, "memory limit");
	}
	if (rc == RC_TEMP || (rc == RC_OK && e.text[0] != '\0'))
		decide_mapping_log(in->conf->cleanup_log, ingest_qid(in), a, &e);
	return rc;
}

/* ---- what comes of it ---- */

static enum rc
failed(struct ingest *in, enum rc rc)
{
	if (rc == RC_PERM)
		return ingest_fail(in, rc, TEXT_TOO_MANY);
	return ingest_fail(in, RC_TEMP,
	    in->expansion->phase == EXPAND_ALIASES && in->expansion->list.is_loop
		? TEXT_ALIAS_ERROR
		: TEXT_WRITE_ERROR);
}

/* A copy for `address`, whose own copies nobody gets. compat: and no reports. */
static void
copy_to(struct ingest_expansion *x, struct str address)
{
	x->now = (struct ingest_rcpt){ .address = address, .notify = DSN_NOTIFY_NEVER };
	x->is_copy = true;
	x->phase = EXPAND_MAP;
}

/* MAILER-DAEMON@myorigin is the empty sender (compat). */
static struct str
null_sender(const struct ingest *in, struct str sender)
{
	struct str local, domain;

	addr_split(sender, &local, &domain);
	return str_iis(local, "MAILER-DAEMON") && str_ieq(domain, in->conf->myorigin)
		   ? STR("")
		   : sender;
}

/* Log lines and a From: that is added show the sender as he is from now on. Compat. */
static void
show_sender(struct ingest *in)
{
	if (!in->expansion->is_final && in->start.complete &&
	    !str_eq(in->shown_sender, in->final.sender))
		in->start.from = ingest_from(in, in->final.sender);
	in->shown_sender = in->final.sender;
}

/* The recipient under way is one result of its expansion. */
static enum rc
add(struct ingest *in, struct str address, uint8_t notify)
{
	struct ingest_rcpt r = in->expansion->now;
	struct str orig = r.orig.n > 0 ? r.orig : r.address;

	if (address.n == 0) /* compat: of an alias that stands for <> */
		address = ingest_full_address(in->conf,
		    in->conf->mapping != NULL
			? mapping(in)->route->empty_address_recipient
			: STR("MAILER-DAEMON"),
		    in->env_mem);
	r.orig = str_ieq(orig, address) ? STR("") : orig; /* compat */
	r.address = address;
	r.notify = notify;
	return address.p == NULL ? RC_TEMP : ingest_rcpts_add(in, &r);
}

static enum rc
add_expanded(struct ingest *in)
{
	struct ingest_expansion *x = in->expansion;
	uint8_t notify = x->now.notify;
	bool is_alias = x->list.n > 1 || !str_eq(x->list.v[0], x->mapped);
	enum rc rc = RC_OK;

	/* compat: who asked to be told of success is told that it was expanded, and
	 * nothing of what follows. A probe asks no further. */
	if (is_alias && (notify & DSN_NOTIFY_SUCCESS) != 0) {
		rc = add(in, x->mapped, DSN_NOTIFY_SUCCESS | SPOOL_EXPANDED);
		notify = notify == DSN_NOTIFY_SUCCESS
			     ? DSN_NOTIFY_NEVER
			     : (uint8_t)(notify & ~DSN_NOTIFY_SUCCESS);
	} else if (in->env.is_probe && x->list.n > 1) {
		return add(in, x->mapped, notify | SPOOL_EXPANDED);
	}
	for (size_t i = 0; rc == RC_OK && i < x->list.n; i++)
		rc = add(in, x->list.v[i], notify);
	return rc;
}

/* The next recipient, from wherever it comes. */
static void
next(struct ingest *in)
{
	struct ingest_expansion *x = in->expansion;
	const struct ingest_envelope *env = &in->env;
	size_t i = x->next++;

	x->is_copy = false;
	x->phase = EXPAND_MAP;
	if (i < env->n_rcpts) {
		x->now = env->rcpts[i];
		return;
	}
	i -= env->n_rcpts;
	if (i < env->n_bcc) {
		x->now = env->bcc[i];
		x->now.notify = DSN_NOTIFY_NEVER; /* compat */
		return;
	}
	i -= env->n_bcc;
	if (i < in->fx.n_bcc)
		copy_to(x, in->fx.bcc[i].address);
	else if (i == in->fx.n_bcc && makes_copies(in) && mapping(in)->always_bcc.n > 0)
		copy_to(x, mapping(in)->always_bcc);
	else
		x->phase = EXPAND_OVER;
}

/* compat: of mail from this host, reports and ORCPT name the recipient as it was mapped.
 */
static struct str
orcpt_of(const struct ingest *in, struct str address)
{
	struct str full = STR("");

	if (str_is(in->client->origin, "pickup") && str_is_ascii(address))
		full = addr_to_internal(address, in->env_mem);
	/* A put has no room for a longer one, and would never be sent. */
	if (full.n == 0 || STR("rfc822;").n + full.n > SPOOL_STR_MAX)
		return STR("");
	return arena_printf(in->env_mem, "rfc822;%.*s", STR_ARG(full));
}

/* `now` is mapped: x->found. */
static enum rc
start_list(struct ingest *in)
{
	struct ingest_expansion *x = in->expansion;

	x->mapped = x->found;
	x->phase = EXPAND_ALIASES;
	if (!x->is_copy && x->next <= in->env.n_rcpts) {
		if (x->next == in->env.n_rcpts)
			in->shown_rcpt = x->mapped;
		if (x->now.orcpt.n == 0)
			x->now.orcpt = orcpt_of(in, x->mapped);
	}
	return mapping_expansion_init(&x->list, in->env_mem, x->mapped);
}

/* The decision of this phase ended with `rc`. */
static enum rc
step_ended(struct ingest *in, enum rc rc)
{
	struct ingest_expansion *x = in->expansion;

	if (rc == RC_TEMP || rc == RC_PERM)
		return failed(in, rc);
	switch (x->phase) {
	case EXPAND_SENDER:
		in->final.sender = null_sender(in, x->found);
		show_sender(in);
		x->phase = EXPAND_SENDER_COPY;
		break;
	case EXPAND_SENDER_COPY:
		x->phase = EXPAND_NEXT;
		if (rc == RC_OK)
			copy_to(x, x->found);
		break;
	case EXPAND_MAP:
		rc = start_list(in);
		break;
	case EXPAND_ALIASES:
		if (rc == RC_OK)
			return rc;
		rc = add_expanded(in);
		x->phase = EXPAND_COPY;
		break;
	case EXPAND_COPY:
		x->phase = EXPAND_NEXT;
		if (rc == RC_OK)
			copy_to(x, x->found);
		break;
	case EXPAND_NEXT:
		next(in);
		break;
	case EXPAND_OVER:
		break;
	}
	return rc == RC_OK || rc == RC_NONE ? RC_OK : failed(in, rc);
}

/* ---- without a decision ---- */

/* Only completed. */
static enum rc
complete(struct ingest *in, struct str address)
{
	struct ingest_expansion *x = in->expansion;

	x->found = ingest_full_address(in->conf, address, in->env_mem);
	return x->found.p != NULL ? RC_OK : RC_TEMP;
}

/* RC_MORE: this phase needs a decision. Otherwise how it ended without one. */
static enum rc
easy(struct ingest *in)
{
	struct ingest_expansion *x = in->expansion;
	bool tables = has_tables(in);

	switch (x->phase) {
	case EXPAND_SENDER:
		return tables && mapping_applies(mapping(in), MAPPING_ENVELOPE_SENDER)
			   ? RC_MORE
			   : complete(in, in->env.sender);
	case EXPAND_SENDER_COPY:
		return makes_copies(in) && mapping(in)->sender_bcc.n > 0 &&
			       in->final.sender.n > 0
			   ? RC_MORE
			   : RC_NONE;
	case EXPAND_MAP:
		if (x->now.address.n == 0 && in->conf->mapping != NULL)
			x->now.address = mapping(in)->route->empty_address_recipient;
		return tables && mapping_applies(mapping(in), MAPPING_ENVELOPE_RECIPIENT)
			   ? RC_MORE
			   : complete(in, x->now.address);
	case EXPAND_ALIASES:
		return tables && mapping(in)->virtual_alias.n > 0 ? RC_MORE : RC_NONE;
	case EXPAND_COPY:
		return makes_copies(in) && !x->is_copy && x->mapped.n > 0 &&
			       mapping(in)->recipient_bcc.n > 0
			   ? RC_MORE
			   : RC_NONE;
	case EXPAND_NEXT:
	case EXPAND_OVER:
		break;
	}
	return RC_NONE;
}

/* ---- the way ---- */

/* What was begun before the content is over so far: it goes on at ingest_commit(). Who
 * was slowed down hears that the rest will be swallowed. */
static void
pause_or_fail(struct ingest *in)
{
	if (in->failed == RC_OK || !in->wants_room || ingest_is_waiting(in))
		return;
	in->wants_room = false;
	if (in->room != NULL)
		in->room(in->room_arg);
}

static void
over(struct ingest *in)
{
	struct ingest_expansion *x = in->expansion;

	x->is_waiting = false;
	arena_free(&x->scratch);
	if (!x->is_final) {
		pause_or_fail(in);
		return;
	}
	in->final.rcpts = x->out;
	in->final.n_rcpts = x->n_out;
	ingest_put_expanded(in);
}

static void
on_decided(void *arg, enum rc rc)
{
	struct ingest *in = arg;

	/* Not from here: what content does next may end the message. */
	if (in->expansion->holds_content && in->expansion->phase == EXPAND_SENDER)
		loop_soon(in->loop, &in->expansion->resume);
	if (step_ended(in, rc) == RC_OK)
		go_on(in);
	else
		over(in);
}

static enum rc
start_decision(struct ingest *in)
{
	struct ingest_expansion *x = in->expansion;

	if (x->scratch == NULL)
		x->scratch = arena_new(SCRATCH_MAX);
	arena_reset(x->scratch);
	in->expand.d = in->conf->decide;
	in->expand.run = run;
	in->expand.done = on_decided;
	in->expand.arg = in;
	return decide_run_start(&in->expand, x->scratch);
}

/* Recipients that checks of the content may add are not known yet. */
static bool
has_next(const struct ingest *in)
{
	const struct ingest_expansion *x = in->expansion;

	return x->phase != EXPAND_OVER &&
	       (x->is_final || x->phase != EXPAND_NEXT || x->next < in->env.n_rcpts);
}

static void
go_on(struct ingest *in)
{
	struct ingest_expansion *x = in->expansion;

	x->is_waiting = true;
	for (int i = 0; has_next(in); i++) {
		enum rc rc = easy(in);

		if (rc == RC_MORE) {
			if (i >= STEPS_MAX) {
				loop_soon(in->loop, &x->soon);
				return;
			}
			rc = start_decision(in);
		}
		if (rc == RC_MORE) {
			if (x->phase == EXPAND_SENDER && !x->is_final)
				x->holds_content = true;
			return;
		}
		if (step_ended(in, rc) != RC_OK)
			break;
	}
	over(in);
}

static void
on_turn(void *arg)
{
	go_on(arg);
}

static void
on_resume(void *arg)
{
	struct ingest *in = arg;

	in->expansion->holds_content = false;
	ingest_content_go(in);
}

bool
ingest_expand_holds_content(const struct ingest *in)
{
	return in->expansion != NULL && in->expansion->holds_content;
}

static enum rc
start(struct ingest *in)
{
	const struct ingest_envelope *env = &in->env;
	size_t limit = ((size_t)1 << 20) + (env->n_rcpts + ENVELOPE_BCC_MAX) * 8192;
	struct ingest_expansion *x;

	/* One arena for what depends on the number of recipients. */
	if (has_tables(in))
		limit += EXPANDED_MAX;
	in->env_mem = arena_new(limit);
	x = arena_get(in->env_mem, sizeof(*x));
	if (x == NULL || env->n_rcpts > SPOOL_RCPTS_MAX)
		return RC_TEMP;
	in->expansion = x;
	loop_task_init(&x->soon, on_turn, in);
	loop_task_init(&x->resume, on_resume, in);
	return RC_OK;
}

void
ingest_envelope(struct ingest *in, const struct ingest_envelope *env)
{
	const struct mapping_conf *c;

	assert(in->filter != NULL && in->expansion == NULL);
	if (!has_tables(in) || in->failed != RC_OK)
		return;
	c = mapping(in);
	if (!mapping_applies(c, MAPPING_ENVELOPE_SENDER) &&
	    !mapping_applies(c, MAPPING_ENVELOPE_RECIPIENT) && c->virtual_alias.n == 0 &&
	    c->sender_bcc.n == 0 && c->recipient_bcc.n == 0)
		return;
	in->env = *env;
	if (start(in) == RC_OK)
		go_on(in);
	else
		(void)ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
}

void
ingest_expand_finish(struct ingest *in)
{
	if (in->expansion == NULL && start(in) != RC_OK) {
		(void)ingest_fail(in, RC_TEMP, TEXT_WRITE_ERROR);
		ingest_put_expanded(in);
		return;
	}
	in->expansion->is_final = true;
	if (!in->expansion->is_waiting)
		go_on(in);
}

void
ingest_expand_cancel(struct ingest *in)
{
	struct ingest_expansion *x = in->expansion;

	if (x == NULL)
		return;
	if (x->is_waiting) {
		if (in->expand.d != NULL)
			decide_run_cancel(&in->expand);
		loop_soon_cancel(in->loop, &x->soon);
	}
	loop_soon_cancel(in->loop, &x->resume);
	arena_free(&x->scratch);
	if (x->has_seen)
		hmap_fini(&x->seen);
	in->expansion = NULL;
}
