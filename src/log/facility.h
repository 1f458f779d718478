#ifndef LOG_FACILITY_H
#define LOG_FACILITY_H
#include "base/base.h"

/* The number of a syslog facility by its name, as in syslog_facility: "mail", "local0".
 * Unknown names give that of mail. */
int log_facility(struct str name);
#endif
