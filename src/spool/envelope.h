#ifndef SPOOL_ENVELOPE_H
#define SPOOL_ENVELOPE_H
#include "spool/message.h"

/* Only the fixed part, for recovery: strings, arrays and their counts but n_rcpts of the
 * message are left empty. RC_PERM: damaged. */
MUST_USE enum rc envelope_peek(struct str in, struct spool_message *out);
MUST_USE enum rc state_peek(struct str in, struct spool_state *out);
#endif
