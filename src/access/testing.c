#include "access/testing.h"
#include "route/testing.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

const struct access_request access_testing_request = { .client_name =
							   STR_INIT("c.a.test"),
	.client_reverse_name = STR_INIT("rev.test"),
	.client_addr = STR_INIT("192.0.2.9"),
	.helo = STR_INIT("h.b.test"),
	.sender = STR_INIT("s+x@d.e.test"),
	.has_sender = true,
	.recipient = STR_INIT("unix@mail.example.test") };

void
access_testing_conf(struct access_conf *c, struct arena *mem)
{
	struct route_conf *r = arena_get(mem, sizeof(*r));

	testing_conf(r, mem);
	*c = (struct access_conf){ .route = r,
		.relay_before_recipient = true,
		.delay_reject = true,
		.parents = true,
		.access_map_reject_code = 554,
		.access_map_defer_code = 450,
		.reject_code = 554,
		.defer_code = 450,
		.plaintext_reject_code = 450,
		.non_fqdn_reject_code = 504,
		.invalid_hostname_reject_code = 501,
		.unknown_client_reject_code = 450,
		.multi_recipient_bounce_reject_code = 550,
		.null_access_lookup_key = STR("<>") };
}

/* The lines of a case's table as testing_tables() reads them. */
static const char *
tables_of(const char *lines, struct arena *mem)
{
	enum { SIZE = 2000 };
	char *text = arena_get(mem, SIZE);
	struct str rest = str_c(lines), line;

	text[0] = '\0';
	while (str_token(&rest, "/", &line))
		(void)snprintf(text + strlen(text), SIZE - strlen(text), "hash:t %.*s\n",
		    STR_ARG(str_trim(line)));
	return text;
}

static void
put_text(char *line, size_t size, const char *tag, struct str s)
{
	if (s.n > 0)
		(void)snprintf(line + strlen(line), size - strlen(line), "|%s %.*s", tag,
		    STR_ARG(s));
}

static void
show(const struct access_verdict *v, char *line, size_t size)
{
	struct str reply = v->what == ACCESS_REJECT ? v->reply
			   : v->what == ACCESS_OK   ? STR("ok")
						    : STR("dunno");

	(void)snprintf(line, size, "%.*s", STR_ARG(reply));
	for (const struct access_note *n = v->notes; n != NULL; n = n->next)
		(void)snprintf(line + strlen(line), size - strlen(line), "|%s: %.*s",
		    n->what == ACCESS_WARNING ? "W"
		    : n->what == ACCESS_INFO  ? "I"
					      : n->verb,
		    STR_ARG(n->text));
	put_text(line, size, "FILTER", v->fx.filter);
	put_text(line, size, "REDIRECT", v->fx.redirect);
	put_text(line, size, "FX", v->fx.hold ? STR("hold") : STR(""));
	put_text(line, size, "FX", v->fx.discard ? STR("discard") : STR(""));
	put_text(line, size, "FX", v->fx.hangup ? STR("hangup") : STR(""));
	for (const struct access_text *t = v->fx.prepend; t != NULL; t = t->next)
		put_text(line, size, "PREPEND", t->text);
	for (const struct access_text *t = v->fx.bcc; t != NULL; t = t->next)
		put_text(line, size, "BCC", t->text);
}

struct access_testing_text
access_testing_run(const struct access_conf *c, enum access_stage stage,
    const struct access_request *q, const char *table)
{
	struct access_testing_text out = { "" };
	struct arena *mem = arena_new(1 << 20);
	struct access_state state = { 0 };
	struct access_verdict v = { 0 };
	struct ask a;
	enum rc rc;

	ask_init(&a, mem, 0);
	a.now = testing_tables;
	a.now_ctx = (void *)(uintptr_t)tables_of(table, mem);
	rc = access_run(&a, c, stage, q, &state, &v);
	assert(rc == RC_OK);
	show(&v, out.s, sizeof(out.s));
	arena_free(&mem);
	return out;
}

void
access_testing_set(
    struct access_conf *c, enum access_stage stage, const char *text, struct arena *mem)
{
	enum rc rc = access_compile(str_c(text), &c->classes, mem, &c->list[stage], NULL);

	assert(rc == RC_OK);
}
