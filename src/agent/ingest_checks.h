#ifndef AGENT_INGEST_CHECKS_H
#define AGENT_INGEST_CHECKS_H
/* Checks of the content. Internal to ingest_*.c. */
#include "agent/ingest_int.h"
#include "route/mapping.h"

enum { INGEST_N_CHECKS = MIME_PART_BODY + 1 };

struct ingest_checks {
	struct ask_tables tables[INGEST_N_CHECKS]; /* by enum mime_part */
	unsigned parts;                            /* those that have any: 1 << … */
};

/* Of one message. */
struct ingest_check {
	struct ingest *in;
	struct mime_hooks hooks;
	struct arena *scratch, *waits;
	struct decide_run run;
	/* The question: a header or line, or the value of an address field. */
	enum mime_part part;
	struct str text;
	const struct mapping_conf *mapping; /* NULL: addresses are only completed */
	enum mapping_class map_class;
	size_t map_column;
	struct err map_error;
	/* The answer, when it had to be waited for. */
	bool has_answer;
	bool is_at_once; /* nothing of this field has had to wait */
	enum rc rc;
	struct str answer;
};

/* ---- ingest_checks_conf.c ---- */
struct conf_ingest;
/* Fills out->mime and out->checks, and opens the tables. req->decide NULL: who names any
 * gets every message refused with 4.3.0. Memory: in `mem`. Returns: RC_PERM a parameter
 * is wrong. */
MUST_USE enum rc ingest_checks_load(const struct ingest_conf_request *req,
    const struct conf_ingest *c, struct arena *mem, struct ingest_conf *out,
    struct err *e);

/* ---- ingest_checks.c ---- */
extern const char *const ingest_check_names[INGEST_N_CHECKS];
/* After in->client is set. NULL: there is nothing to check or map. */
struct ingest_check *ingest_check_new(struct ingest *in);
void ingest_check_free(struct ingest_check **c);
bool ingest_check_is_waiting(const struct ingest *in);

/* ---- ingest_content.c ---- */
/* The answer is here: the content goes on. */
void ingest_content_go(struct ingest *in);
#endif
