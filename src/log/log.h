#ifndef LOG_LOG_H
#define LOG_LOG_H
#include "base/base.h"
#include <sys/types.h>

/* The mail log: lines in Postfix's shape (compat), buffered, written with one system call
 * a round of the loop.
 *
 *     Nov 22 00:34:58 host postfix/smtpd[4711]: connect from unknown[192.0.2.1]
 *
 * A handle is a tag on a shared sink. Control characters and bytes that are no UTF-8
 * become '?'; lines end at LOG_LINE_MAX. Single thread. */
struct log;

enum { LOG_LINE_MAX = 8000 };

enum log_level {
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARN,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_FATAL,
	LOG_LEVEL_PANIC
};

/* Makes a sink that keeps lines (4 MiB, then they are lost and counted) until
 * one of log_to_*() says where they go. `tag` is "postfix/smtpd"; `host` is copied too.
 */
struct log *log_new(const char *tag, const char *host);
/* Another tag on the same sink: "postfix/submission/smtpd". Freed before or after it. */
struct log *log_with_tag(struct log *l, const char *tag);
/* Frees this handle; the last one flushes and closes the sink. */
void log_free(struct log **l);

/* Where lines go. The sink owns `fd` (O_APPEND file, pipe or terminal). */
void log_to_fd(struct log *l, int fd);
/* Datagrams to /dev/log with this facility (LOG_MAIL of syslog.h); host is left to the
 * syslog daemon, as Postfix does. */
void log_to_syslog(struct log *l, int facility);
/* A second copy of every line of at least this level on this descriptor, as
 * "postfix/master: text"; the descriptor is not owned; -1: no copy. For programs on a
 * terminal (compat: Postfix's msg_vstream). */
void log_copy_to(struct log *l, int fd, enum log_level least);

void log_info(struct log *l, const char *fmt, ...) PRINTF(2, 3);
void log_warn(struct log *l, const char *fmt, ...) PRINTF(2, 3);  /* "warning: " */
void log_error(struct log *l, const char *fmt, ...) PRINTF(2, 3); /* "error: " */
/* "fatal: ", "panic: ". They log and flush; ending the program is the caller's. */
void log_fatal(struct log *l, const char *fmt, ...) PRINTF(2, 3);
void log_panic(struct log *l, const char *fmt, ...) PRINTF(2, 3);
/* Only when the handle's verbosity (-v) is at least 1. */
void log_debug(struct log *l, const char *fmt, ...) PRINTF(2, 3);
/* info_log_address_format = internal: a mark for those who write addresses, of the sink
 * and so of all its handles. */
void log_set_internal(struct log *l, bool is_internal);
bool log_is_internal(const struct log *l);
/* smtputf8_enable = no: bytes above 127 become '?', too. Of this handle, and of those
 * that are made from it afterwards. */
void log_set_ascii(struct log *l, bool is_ascii);
void log_set_verbose(struct log *l, int verbose);
int log_verbose(const struct log *l);

/* The hot way, without printf: the pieces of one line, one after the other, then end.
 *     log_begin(l, LOG_LEVEL_INFO); log_put(l, qid); log_put(l, STR(": removed"));
 * log_end(l); */
void log_begin(struct log *l, enum log_level level);
void log_put(struct log *l, struct str piece);
void log_putf(struct log *l, const char *fmt, ...) PRINTF(2, 3);
void log_end(struct log *l);

/* Writes what waits. Called by the loop's round-end hook; blocks only as far as the file
 * system does. Lines that nobody takes are counted as lost: mail does not wait for its
 * log. */
void log_flush(struct log *l);
uint64_t log_lost(const struct log *l); /* lines that could not be written anywhere */

/* Opens maillog_file for appending. `more_flags`: O_CREAT or 0. A symbolic link is
 * followed only when root (or who we are) made it in a folder that nobody else writes; a
 * file with two names is refused: root must not be led into writing elsewhere. RC_TEMP:
 * it cannot be opened; RC_PERM: it is refused. */
MUST_USE enum rc log_open_file(
    const char *path, int more_flags, mode_t mode, int *out, struct err *e);
#endif
