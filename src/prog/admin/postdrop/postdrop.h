#ifndef PROG_ADMIN_POSTDROP_POSTDROP_H
#define PROG_ADMIN_POSTDROP_POSTDROP_H
/* What the files of this command share. */
#include "agent/command.h"

/* Whether `login` may send as `sender` (external form, empty for <>).
 * Returns: RC_PERM: no; RC_TEMP: a table cannot be asked; e has Postfix's words.
 * Blocks:  on tables. */
MUST_USE enum rc sender_check(
    struct command *c, struct str login, struct str sender, struct err *e);
#endif
