/* Explanations for people. */
#include "prog/admin/hikyaku/explain.h"
#include <stdio.h>

enum { VALUE_SHOWN = 200, KEY_SHOWN = 100 };

static const struct {
	enum access_stage stage;
	const char *list;
} lists[] = {
	{ ACCESS_CLIENT, "smtpd_client_restrictions" },
	{ ACCESS_HELO, "smtpd_helo_restrictions" },
	{ ACCESS_SENDER, "smtpd_sender_restrictions" },
	{ ACCESS_RELAY, "smtpd_relay_restrictions" },
	{ ACCESS_RECIPIENT, "smtpd_recipient_restrictions" },
	{ ACCESS_DATA, "smtpd_data_restrictions" },
	{ ACCESS_END_OF_DATA, "smtpd_end_of_data_restrictions" },
	{ ACCESS_ETRN, "smtpd_etrn_restrictions" },
};

const char *
print_list_name(enum access_stage stage)
{
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (lists[i].stage == stage)
			return lists[i].list;
	return "?";
}

/* Text of others never reaches the terminal as it is. */
static void
put_shown(struct str s, size_t max)
{
	for (size_t i = 0; i < s.n && i < max; i++)
		(void)putchar(
		    (unsigned char)s.p[i] < ' ' || s.p[i] == 127 ? '?' : s.p[i]);
	if (s.n > max)
		(void)fputs("...", stdout);
}

static void
put_line(const char *title, struct str value)
{
	(void)printf("%-10s ", title);
	put_shown(value, VALUE_SHOWN);
	(void)putchar('\n');
}

static void
put_address(const char *title, struct str address)
{
	(void)printf("%-10s <", title);
	put_shown(address, VALUE_SHOWN);
	(void)fputs(">\n", stdout);
}

void
print_client(const struct explain *x)
{
	const struct explain_case *q = x->q;

	(void)fputs("client     ", stdout);
	put_shown(x->name.name, KEY_SHOWN);
	(void)printf("[%s]", q->client);
	if (x->name.status != NET_NAME_OK) {
		(void)fputs(", calls itself ", stdout);
		put_shown(x->name.reverse_name, KEY_SHOWN);
	}
	(void)putchar('\n');
	put_line("HELO", str_c(q->helo != NULL ? q->helo : "(none)"));
	if (q->login != NULL)
		put_line("login", str_c(q->login));
	put_address("sender", str_c(q->sender));
	put_line(
	    "service", x->service != NULL ? x->service->name : STR("(main.cf alone)"));
	(void)printf("restrictions of client, HELO and sender are applied %s\n",
	    x->is_delayed ? "at RCPT TO (smtpd_delay_reject = yes)"
			  : "at once (smtpd_delay_reject = no)");
}

/* ---- what was decided ---- */

static void
print_steps(const struct access_verdict *v, enum access_stage stage)
{
	const char *last = NULL;

	if (v->trace == NULL)
		(void)printf("\n%s: nothing to apply\n", print_list_name(stage));
	for (const struct access_trace *t = v->trace; t != NULL; t = t->next) {
		const char *list = print_list_name(t->stage);

		if (list != last)
			(void)printf("\n%s\n", list);
		last = list;
		(void)printf("  %*s", (int)(2 * t->depth), "");
		put_shown(t->name, KEY_SHOWN);
		if (t->arg.n > 0) {
			(void)putchar(' ');
			put_shown(t->arg, KEY_SHOWN);
		}
		(void)fputs(": ", stdout);
		put_shown(t->result, VALUE_SHOWN);
		(void)putchar('\n');
	}
}

static void
put_effect(const char *what, struct str text)
{
	(void)printf("  %s ", what);
	put_shown(text, VALUE_SHOWN);
	(void)putchar('\n');
}

/* What happens to the message besides. */
static void
print_effects(const struct access_effects *fx)
{
	if (fx->hold)
		(void)puts("  the message is held (HOLD)");
	if (fx->discard)
		(void)puts("  the message is discarded (DISCARD)");
	if (fx->filter.n > 0)
		put_effect("it goes to the filter", fx->filter);
	if (fx->redirect.n > 0)
		put_effect("it goes to another address:", fx->redirect);
	for (const struct access_text *t = fx->bcc; t != NULL; t = t->next)
		put_effect("a copy goes to", t->text);
	for (const struct access_text *t = fx->prepend; t != NULL; t = t->next)
		put_effect("it gets the header", t->text);
}

static const char *
kind_name(enum ask_kind kind)
{
	switch (kind) {
	case ASK_MAP:
		return "table";
	case ASK_DNS:
		return "DNS";
	case ASK_POLICY:
		return "policy service";
	case ASK_VERIFY:
		return "verification";
	case ASK_DELAY:
		return "delay";
	}
	return "?";
}

static void
print_questions(const struct ask *a)
{
	if (a->n_known > 0)
		(void)puts("\nasked");
	for (unsigned i = 0; i < a->n_known; i++) {
		const struct ask_answer *k = &a->known[i];

		(void)printf("  %s ", kind_name(k->q.kind));
		put_shown(k->q.source, KEY_SHOWN);
		(void)fputs(" \"", stdout);
		put_shown(str_head(k->q.key, str_find(k->q.key, '\n')), KEY_SHOWN);
		(void)fputs(k->rc == RC_OK     ? "\": "
			    : k->rc == RC_NONE ? "\": nothing"
					       : "\": trouble: ",
		    stdout);
		if (k->rc != RC_NONE)
			put_shown(k->value, VALUE_SHOWN);
		(void)putchar('\n');
	}
}

/* The step that gave the last verdict. */
static const struct access_trace *
deciding(const struct access_verdict *v)
{
	const struct access_trace *last = NULL;

	for (const struct access_trace *t = v->trace; t != NULL; t = t->next)
		last = t;
	return last;
}

static void
print_refusal(const struct explain *x)
{
	const struct access_verdict *v = &x->v.stage[x->v.n_stages - 1];
	const struct access_trace *by = deciding(v);
	const char *hint;

	(void)fputs("\nverdict    ", stdout);
	put_shown(v->reply, 600);
	(void)putchar('\n');
	if (by == NULL)
		return;
	(void)printf(
	    "by         %.*s in %s\n", STR_ARG(by->name), print_list_name(by->stage));
	hint = hint_for(by->name);
	if (hint != NULL)
		(void)printf("it takes   %s\n", hint);
}

static void
print_routes(const struct explain *x)
{
	const struct verdict *v = &x->v;

	(void)puts("\nverdict    250 2.1.5 Ok");
	if (!str_is(v->sender, x->q->sender))
		put_address("sender     becomes", v->sender);
	for (size_t i = 0; i < v->expanded.n; i++) {
		const struct route *r = &v->routes[i];

		(void)fputs("goes to    <", stdout);
		put_shown(r->recipient, VALUE_SHOWN);
		(void)printf(">, class %s, transport ", route_class_name(r->cls));
		put_shown(r->transport, VALUE_SHOWN);
		(void)fputs(", next hop ", stdout);
		put_shown(r->nexthop, VALUE_SHOWN);
		(void)putchar('\n');
		if (r->is_bad)
			(void)puts("           bad address syntax: it will be returned");
	}
}

void
print_verdict(const struct explain *x, enum rc rc)
{
	const struct verdict *v = &x->v;

	(void)putchar('\n');
	put_address("recipient", str_c(x->rcpt));
	for (unsigned i = 0; i < v->n_stages; i++) {
		print_steps(
		    &v->stage[i], (const enum access_stage[]){ ACCESS_CLIENT, ACCESS_HELO,
				      ACCESS_SENDER, ACCESS_RECIPIENT }[i]);
		print_effects(&v->stage[i].fx);
	}
	if (v->skipped_policy)
		(void)puts("\npolicy services were not asked: taken for DUNNO");
	if (v->skipped_verify)
		(void)puts("\naddresses were not verified: taken for deliverable");
	print_questions(&x->run.ask);
	if (v->is_refused)
		print_refusal(x);
	else if (rc == RC_OK)
		print_routes(x);
	else
		(void)printf(
		    "\nverdict    accepted, but the message is refused: 451 4.3.0 "
		    "Error: queue file write error\nbecause    %.*s\n",
		    STR_ARG(v->trouble));
}
