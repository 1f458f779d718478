#ifndef AGENT_RESTRICTIONS_H
#define AGENT_RESTRICTIONS_H
/* What an administrator should hear about smtpd_*_restrictions before a client does. */

struct conf_snapshot;
struct log;

/* Warns of each restriction that nobody knows, or whose table is none, where main.cf or a
 * -o of a service sets it: whoever reaches it gets 451 4.3.5. */
void restrictions_warn(const struct conf_snapshot *s, struct log *log);
#endif
