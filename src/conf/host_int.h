#ifndef CONF_HOST_INT_H
#define CONF_HOST_INT_H
/* Defaults that depend on the host: inside conf only. */
#include "base/base.h"

struct arena;
struct conf_host;
struct conf_snapshot;
struct master_service;

/* A name being looked up. `depth` counts defaults that are computed from other values
 * while being looked up themselves, so that a loop through them ends. */
struct conf_lookup {
	const struct conf_snapshot *snapshot;
	const struct master_service *service;
	struct arena *mem;
	unsigned depth;
};
#define CONF_LOOKUP_DEPTH_MAX 5

/* conf_get() as part of the look-up `outer`. */
MUST_USE enum rc conf_lookup_get(
    const struct conf_lookup *outer, struct str name, struct str *out, struct err *e);
/* The default of myhostname, mydomain or mynetworks. RC_NONE: any other name. */
MUST_USE enum rc conf_host_default(
    const struct conf_lookup *l, struct str name, struct str *out, struct err *e);
/* Host name and interface addresses. Blocks on the kernel only. */
MUST_USE enum rc conf_host_load(struct arena *mem, struct conf_host *out, struct err *e);
/* Resolves the names in inet_interfaces and proxy_interfaces. Blocks on the resolver. */
MUST_USE enum rc conf_host_resolve(
    const struct conf_snapshot *s, struct arena *mem, struct str *out, struct err *e);
#endif
