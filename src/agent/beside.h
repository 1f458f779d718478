#ifndef AGENT_BESIDE_H
#define AGENT_BESIDE_H
/* Commands find each other in the folder they stand in, wherever that is. */
enum { BESIDE_PATH_MAX = 4096 };
/* The path of a command beside this one, into BESIDE_PATH_MAX bytes. */
void beside_path(const char *name, char *out);
/* Becomes sendmail called `name` (mailq, newaliases). Returns: only when that fails, the
 * exit status. */
int beside_be_sendmail(const char *name, int argc, char **argv);
#endif
