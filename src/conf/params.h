#ifndef CONF_PARAMS_H
#define CONF_PARAMS_H
/* THE parameter table, generated from params/: what each name means, its default and
 * bounds. */
#include "base/base.h"

struct master_cf;
struct master_service;

enum conf_type {
	CONF_BOOL,
	CONF_INT,
	CONF_SIZE,
	CONF_TIME, /* values and bounds in microseconds */
	CONF_STRING,
	CONF_LIST,
	CONF_MAPS,
	CONF_RESTRICTIONS,
	CONF_RAW, /* a string that is expanded only when it is used */
};

enum conf_apply { CONF_NEW_SESSION, CONF_RELOAD, CONF_RESTART };

enum conf_status {
	CONF_WORKS,
	CONF_ACCEPTED, /* understood; has no meaning here */
	CONF_NOT_YET   /* setting it does nothing so far, and is warned about */
};

struct conf_param {
	struct str name;
	struct str def;   /* as it would stand in main.cf */
	int64_t min, max; /* 0: none; strings: of the length */
	struct str why;   /* accepted: why; not yet: what it waits for, or empty */
	struct str off; /* not yet: values that ask for nothing, in words; "" is empty */
	struct str
	    words;     /* what a list may have, what a string may be; empty: anything */
	struct str of; /* a template: see conf_template_applies() */
	enum conf_type type;
	enum conf_apply apply;
	enum conf_status status;
	bool is_hidden; /* an old name: understood, not listed */
	char unit;      /* CONF_TIME: of a number without unit: s m h d w */
};

extern const struct conf_param conf_params[]; /* sorted by name */
extern const size_t conf_n_params;
extern const struct conf_param conf_templates[]; /* "_destination_concurrency_limit" … */
extern const size_t conf_n_templates;

/* What the manual says. Tables of their own, row by row beside the ones above, so that
 * only a program that shows them carries them. */
struct conf_doc {
	const char *short_text; /* one sentence */
	const char *text;       /* more; may be empty */
	const char *since;      /* the release that had it first */
};
extern const struct conf_doc conf_param_docs[];
extern const struct conf_doc conf_template_docs[];
/* Of a row of conf_params or conf_templates. */
const struct conf_doc *conf_doc_of(const struct conf_param *p);

/* "works", "accepted", "not-yet" */
const char *conf_status_name(enum conf_status status);

/* NULL: no such parameter. */
const struct conf_param *conf_param_find(struct str name);
/* Whether the service has the parameter of the template. compat: services of delivery
 * agents have the limits of a transport, those of pipe and spawn a NAME_time_limit. */
bool conf_template_applies(
    const struct conf_param *t, const struct master_service *service);
/* The template whose suffix `name` has, and what is before it; whether there is such a
 * service is another question. NULL: none. */
const struct conf_param *conf_template_find(struct str name, struct str *out_transport);
/* The same where master.cf has the service: any of type unix (mail can be sent to it),
 * for a template with `of` one that runs such a program. */
const struct conf_param *conf_template_in(
    const struct master_cf *m, struct str name, struct str *out_transport);
#endif
