#ifndef AGENT_VALUES_H
#define AGENT_VALUES_H
/* Values of the right type that some daemon cannot work with: said where they are set,
 * before that daemon starts and dies of them. */
#include "base/base.h"
#include "log/log.h"

struct conf_snapshot;
struct master_service;

/* Looks at what main.cf and the -o of each service set, and says what cannot work, one
 * line each:
 *   /etc/postfix/main.cf: line 7: smtp_bind_address: bad smtp_bind_address address: x
 * Returns: how many there are.
 * Blocks:  on /etc/services. */
size_t values_check(const struct conf_snapshot *s, enum log_level level, struct log *log);
/* A blank in a value cuts it in two, and what follows is no option: the daemon would run
 * with half of what was meant. RC_PERM: "unexpected command-line argument: …". */
MUST_USE enum rc values_check_arguments(
    const struct master_service *service, struct err *e);
#endif
