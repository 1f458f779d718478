/* Owns the warnings about restrictions that refuse everybody: nobody knows them, or their
 * table is none. */
#include "agent/restrictions.h"
#include "access/access.h"
#include "agent/decide_int.h"
#include "base/arena.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include "log/log.h"

enum { NAME_SHOWN = 80 }; /* bytes of what nobody knows */

static const char *const lists[] = { "smtpd_client_restrictions",
	"smtpd_helo_restrictions", "smtpd_sender_restrictions",
	"smtpd_relay_restrictions", "smtpd_recipient_restrictions",
	"smtpd_data_restrictions", "smtpd_end_of_data_restrictions",
	"smtpd_etrn_restrictions" };

/* One list, where it is set. */
struct setting {
	const struct conf_snapshot *s;
	const struct master_service *service; /* NULL: main.cf */
	struct str path, name, value;
	unsigned line;
	struct log *log;
};

static bool
is_list(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (str_is(name, lists[i]))
			return true;
	return false;
}

static void
warn_unknown(const struct setting *at, struct str name)
{
	struct str near = access_nearest(name);

	log_warn(at->log,
	    "%.*s: line %u: %s%.*s: unknown smtpd restriction: %.*s; who reaches it gets "
	    "451 4.3.5%s%.*s%s",
	    STR_ARG(at->path), at->line, at->service != NULL ? "-o " : "",
	    STR_ARG(at->name), STR_ARG(str_head(name, NAME_SHOWN)),
	    near.n > 0 ? "; did you mean " : "", STR_ARG(near), near.n > 0 ? "?" : "");
}

static void
warn_tableless(const struct setting *at, struct str name, struct str arg)
{
	log_warn(at->log,
	    "%.*s: line %u: %s%.*s: %.*s: bad argument \"%.*s\": need maptype:mapname; "
	    "who "
	    "reaches it gets 451 4.3.5",
	    STR_ARG(at->path), at->line, at->service != NULL ? "-o " : "",
	    STR_ARG(at->name), STR_ARG(name), STR_ARG(str_head(arg, NAME_SHOWN)));
}

static void
warn_setting(const struct setting *at)
{
	struct arena *mem = arena_new((size_t)CONF_VALUE_MAX * 8);
	struct access_classes classes = { 0 };
	struct access_list list = { 0 };
	struct str text, name, arg;
	unsigned i = 0, k = 0;

	/* What is malformed is an error, and said elsewhere. */
	if (conf_expand(at->s, at->service, at->value, mem, &text, NULL) == RC_OK &&
	    decide_access_classes(at->s, at->service, mem, &classes, NULL) == RC_OK &&
	    access_compile(text, &classes, mem, &list, NULL) == RC_OK) {
		while (access_unknown(&list, &i, &name) == RC_OK)
			warn_unknown(at, name);
		while (access_tableless(&list, &k, &name, &arg) == RC_OK)
			warn_tableless(at, name, arg);
	}
	arena_free(&mem);
}

static void
warn_main(struct setting *at, struct str name)
{
	const struct conf_entry *v = main_cf_find(&at->s->main, name);

	if (v == NULL)
		return;
	at->name = v->name;
	at->value = v->value;
	at->line = v->line;
	warn_setting(at);
}

/* Those that main.cf names; a service's own (-o smtpd_restriction_classes) are rare. */
static void
warn_classes(struct setting *at)
{
	struct arena *mem = arena_new((size_t)CONF_VALUE_MAX * 8);
	struct access_classes classes = { 0 };

	if (decide_access_classes(at->s, NULL, mem, &classes, NULL) == RC_OK)
		for (unsigned i = 0; i < classes.n; i++)
			warn_main(at, classes.v[i].name);
	arena_free(&mem);
}

void
restrictions_warn(const struct conf_snapshot *s, struct log *log)
{
	struct setting at = { .s = s, .path = s->main_path, .log = log };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		warn_main(&at, str_c(lists[i]));
	warn_classes(&at);
	at.path = s->master_path;
	for (size_t i = 0; i < s->master.n; i++) {
		at.service = &s->master.v[i];
		at.line = at.service->line;
		for (size_t k = 0; k < at.service->n_overrides; k++) {
			at.name = at.service->overrides[k].name;
			at.value = at.service->overrides[k].value;
			if (is_list(at.name))
				warn_setting(&at);
		}
	}
}
