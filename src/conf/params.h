#ifndef CONF_PARAMS_H
#define CONF_PARAMS_H
/* THE parameter table, generated from params/: what each name means, its default and
 * bounds. */
#include "base/base.h"

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

struct conf_param {
	struct str name;
	struct str def;   /* as it would stand in main.cf */
	int64_t min, max; /* 0: none; strings: of the length */
	enum conf_type type;
	enum conf_apply apply;
	bool is_hidden; /* an old name: understood, not listed */
	char unit;      /* CONF_TIME: of a number without unit: s m h d w */
};

extern const struct conf_param conf_params[]; /* sorted by name */
extern const size_t conf_n_params;
extern const struct conf_param conf_templates[]; /* "_destination_concurrency_limit" … */
extern const size_t conf_n_templates;

/* NULL: no such parameter. */
const struct conf_param *conf_param_find(struct str name);
/* Whether `name` is a transport's name and a template's suffix; *out_transport is the
 * name. */
const struct conf_param *conf_template_find(struct str name, struct str *out_transport);
#endif
