#ifndef ACCESS_TESTING_H
#define ACCESS_TESTING_H
/* For unit tests of restrictions: a usual client and message, one table, and verdicts as
 * text. */
#include "access/access.h"

extern const struct access_request access_testing_request;
/* route_testing's site, Postfix's codes, empty lists; no unlisted checks. */
void access_testing_conf(struct access_conf *c, struct arena *mem);
/* Compiles with the configuration's classes. */
void access_testing_set(
    struct access_conf *c, enum access_stage stage, const char *text, struct arena *mem);
/* Runs a stage; `table` has the lines "key = value" of hash:t, '/' between them. The
 * reply, "ok" or "dunno", then notes and effects, each behind a '|'. */
struct access_testing_text {
	char s[1500];
};
struct access_testing_text access_testing_run(const struct access_conf *c,
    enum access_stage stage, const struct access_request *q, const char *table);
#endif
