#ifndef CONF_FILL_INT_H
#define CONF_FILL_INT_H
/* How generated code fills its structs: inside conf only. */
#include "base/base.h"

struct arena;
struct conf_snapshot;
struct master_service;

struct conf_field {
	uint16_t param; /* index in conf_params, or in conf_templates when there is a
			   transport */
	uint16_t offset;
};

struct conf_fill {
	const struct conf_snapshot *snapshot;
	const struct master_service *service;
	struct str transport; /* not empty: templates of this transport */
	struct arena *mem;
	const struct conf_field *fields;
	size_t n;
};

/* Writes every field of *out; nothing about *out is valid unless RC_OK. */
MUST_USE enum rc conf_fill_fields(const struct conf_fill *f, void *out, struct err *e);
#endif
