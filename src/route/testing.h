#ifndef ROUTE_TESTING_H
#define ROUTE_TESTING_H
/* For unit tests of decisions: tables in memory, "source key = value" one a line, and a
 * configuration like that of a small site. */
#include "ask/ask.h"
#include "route/route.h"

/* ctx: the text. A source called "broken:" fails, all sources missing from the text are
 * empty. A source that starts with "re:" is a table of patterns. */
enum rc testing_tables(
    void *ctx, const struct ask_question *q, struct arena *mem, struct str *out);
void testing_conf(struct route_conf *c, struct arena *mem);
struct ask_tables testing_names(const char *text, struct arena *mem);
struct route_list testing_list(
    const char *text, enum route_list_kind kind, struct arena *mem);
#endif
