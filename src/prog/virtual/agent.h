#ifndef PROG_VIRTUAL_AGENT_H
#define PROG_VIRTUAL_AGENT_H
#include "os/sandbox.h"
#include "prog/virtual/virtual.h"

/* Reads the services' parameters, opens tables and mailbox folders, and fills the path
 * lists of the sandbox. RC_PERM: the configuration is wrong. Before confinement. */
MUST_USE enum rc agent_init(struct virtual *v, struct os_sandbox *box, struct err *e);
#endif
