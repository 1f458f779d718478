#ifndef AGENT_SESSION_CONF_H
#define AGENT_SESSION_CONF_H
#include "base/base.h"

/* From smtpd's parameters to the configuration of an SMTP session: the same for smtpd and
 * for `sendmail -bs`. */
struct arena;
struct conf_smtpd;
struct smtp_server_conf;

/* Memory:  what *out points to is in `mem` or belongs to `c`.
 * Returns: RC_PERM: a parameter is wrong; e has Postfix's words. */
MUST_USE enum rc session_conf_fill(const struct conf_smtpd *c, struct arena *mem,
    struct smtp_server_conf *out, struct err *e);
#endif
