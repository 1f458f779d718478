/* Log lines: made in a buffer, written once a round.
 *
 * Invariants: `pending` holds whole lines as they go to a file, each ended by '\n'; for
 * syslog the same buffer is cut into datagrams at the line ends. What lines begin with is
 * made anew once a second. */
#include "log/log.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include "base/buf.h"
#include "os/clock.h"
#include "os/fd.h"

enum {
	PENDING_MAX = 4 << 20, /* what may wait while the sink is slow or unknown */
	FLUSH_AT = 64 << 10,   /* a round that logs this much writes in between */
	DATAGRAMS_AT_ONCE = 32,
	HEAD_REST = 64, /* of what a line begins with: date, process, punctuation */
};

enum kind { KIND_NONE, KIND_FD, KIND_SYSLOG };

struct sink {
	enum kind kind;
	int fd, copy_fd;
	enum log_level copy_level;
	int facility;
	unsigned n_handles;
	bool is_internal; /* addresses in internal form */
	struct buf pending;
	struct buf line; /* text of the line being made */
	char host[256];
	char stamp[32]; /* "Nov 22 00:34:58", of second `stamp_s` */
	int64_t stamp_s;
	pid_t pid;
	uint64_t n_lost;
};

struct log {
	struct sink *sink;
	char *tag;
	int verbose;
	bool is_ascii;        /* bytes above 127 become '?', too */
	enum log_level level; /* of the line being made */
	struct buf head;      /* "Nov 22 00:34:58 host tag[pid]: " for `head_kind` */
	int64_t head_s;
	enum kind head_kind;
};

static const char *const level_words[] = { [LOG_LEVEL_INFO] = "",
	[LOG_LEVEL_WARN] = "warning: ",
	[LOG_LEVEL_ERROR] = "error: ",
	[LOG_LEVEL_FATAL] = "fatal: ",
	[LOG_LEVEL_PANIC] = "panic: " }; /* compat */
static const int level_syslog[] = { [LOG_LEVEL_INFO] = LOG_INFO,
	[LOG_LEVEL_WARN] = LOG_WARNING,
	[LOG_LEVEL_ERROR] = LOG_ERR,
	[LOG_LEVEL_FATAL] = LOG_CRIT,
	[LOG_LEVEL_PANIC] = LOG_CRIT };

static void
set_tag(struct log *l, const char *tag)
{
	l->tag = mem_strdup(tag);
	buf_init(&l->head, strlen(tag) + sizeof(l->sink->host) + HEAD_REST);
	l->head_s = -1;
}

struct log *
log_new(const char *tag, const char *host)
{
	struct sink *s = mem_get(sizeof(*s));
	struct log *l = mem_get(sizeof(*l));

	s->fd = s->copy_fd = -1;
	s->n_handles = 1;
	s->stamp_s = -1;
	s->pid = getpid();
	buf_init(&s->pending, PENDING_MAX);
	buf_init(&s->line, LOG_LINE_MAX);
	(void)snprintf(s->host, sizeof(s->host), "%s", host);
	l->sink = s;
	set_tag(l, tag);
	return l;
}

struct log *
log_with_tag(struct log *l, const char *tag)
{
	struct log *other = mem_get(sizeof(*other));

	other->sink = l->sink;
	set_tag(other, tag);
	other->verbose = l->verbose;
	other->is_ascii = l->is_ascii;
	l->sink->n_handles++;
	return other;
}

void
log_free(struct log **pl)
{
	struct log *l = *pl;

	*pl = NULL;
	if (l == NULL)
		return;
	if (--l->sink->n_handles == 0) {
		log_flush(l);
		os_fd_close(&l->sink->fd);
		buf_fini(&l->sink->pending);
		buf_fini(&l->sink->line);
		free(l->sink);
	}
	buf_fini(&l->head);
	free(l->tag);
	free(l);
}

void
log_to_fd(struct log *l, int fd)
{
	struct sink *s = l->sink;

	if (s->kind != KIND_NONE)
		log_flush(l);
	os_fd_close(&s->fd);
	s->kind = KIND_FD;
	s->fd = fd;
	log_flush(l);
}

void
log_copy_to(struct log *l, int fd, enum log_level least)
{
	l->sink->copy_fd = fd;
	l->sink->copy_level = least;
}

void
log_set_verbose(struct log *l, int verbose)
{
	l->verbose = verbose;
}

void
log_set_ascii(struct log *l, bool is_ascii)
{
	l->is_ascii = is_ascii;
}

void
log_set_internal(struct log *l, bool is_internal)
{
	l->sink->is_internal = is_internal;
}

bool
log_is_internal(const struct log *l)
{
	return l->sink->is_internal;
}

int
log_verbose(const struct log *l)
{
	return l->verbose;
}

uint64_t
log_lost(const struct log *l)
{
	return l->sink->n_lost;
}

/* ---- syslog ---- */

static void
syslog_connect(struct sink *s)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };

	os_fd_close(&s->fd);
	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s->fd >= 0 && connect(s->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		os_fd_close(&s->fd);
}

void
log_to_syslog(struct log *l, int facility)
{
	if (l->sink->kind == KIND_FD)
		log_flush(l);
	l->sink->kind = KIND_SYSLOG;
	l->sink->facility = facility;
	syslog_connect(l->sink);
}

/* Sends up to DATAGRAMS_AT_ONCE lines from the front of `all`; how many bytes they took.
 */
static size_t
send_lines(struct sink *s, struct str all)
{
	struct mmsghdr msgs[DATAGRAMS_AT_ONCE] = { 0 };
	struct iovec iov[DATAGRAMS_AT_ONCE];
	size_t ends[DATAGRAMS_AT_ONCE];
	unsigned n = 0;
	size_t at = 0;
	int sent;

	while (n < DATAGRAMS_AT_ONCE && at < all.n) {
		size_t len = str_find(str_from(all, at), '\n');
		const char *p = all.p + at;

		memcpy(&iov[n].iov_base, &p, sizeof(p)); /* sendmmsg only reads it */
		iov[n].iov_len = len;
		msgs[n].msg_hdr.msg_iov = &iov[n];
		msgs[n].msg_hdr.msg_iovlen = 1;
		at += len + 1;
		ends[n++] = at;
	}
	sent = s->fd < 0 ? -1 : sendmmsg(s->fd, msgs, n, MSG_NOSIGNAL);
	return sent <= 0 ? 0 : ends[sent - 1];
}

/* A restarted syslog daemon needs a new connection: one try. What nobody takes is lost;
 * mail does not wait for its log. */
static void
flush_syslog(struct sink *s)
{
	bool has_tried = false;

	while (s->pending.n > 0) {
		struct str all = buf_view(&s->pending);
		size_t done = send_lines(s, all);

		if (done == 0 && !has_tried) {
			has_tried = true;
			syslog_connect(s);
			continue;
		}
		if (done == 0) {
			s->n_lost++;
			done = str_find(all, '\n') + 1;
		}
		buf_consume(&s->pending, done);
	}
}

/* ---- files ---- */

static void
flush_fd(struct sink *s)
{
	while (s->pending.n > 0) {
		struct str all = buf_view(&s->pending);
		ssize_t n = write(s->fd, all.p, all.n);

		if (n < 0 && errno == EINTR)
			continue;
		/* A pipe or terminal that is full for now: the next round tries again. */
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			s->n_lost++;
			buf_reset(&s->pending);
			return;
		}
		buf_consume(&s->pending, (size_t)n);
	}
}

void
log_flush(struct log *l)
{
	struct sink *s = l->sink;

	if (s->pending.n == 0)
		return;
	switch (s->kind) {
	case KIND_NONE:
		return;
	case KIND_FD:
		flush_fd(s);
		break;
	case KIND_SYSLOG:
		flush_syslog(s);
		break;
	}
}

/* ---- lines ---- */

static void
make_stamp(struct sink *s)
{
	time_t now = (time_t)(os_clock_wall_us() / US_PER_SEC);
	struct tm tm;

	if (now == s->stamp_s || localtime_r(&now, &tm) == NULL)
		return;
	s->stamp_s = now;
	(void)strftime(s->stamp, sizeof(s->stamp), "%b %e %H:%M:%S", &tm); /* compat */
}

/* The length of the well-formed UTF-8 character at `p`; 0: none. RFC 3629 section 4. */
static size_t
utf8_length(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;

	if (p[0] < 0xc2 || p[0] > 0xf4 || n < len || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static void
make_printable(unsigned char *p, size_t n, bool is_ascii)
{
	for (size_t i = 0; i < n; i++) {
		size_t len;

		if (p[i] >= ' ' && p[i] < 0x7f)
			continue;
		len = p[i] < 0x80 || is_ascii ? 0 : utf8_length(p + i, n - i);
		if (len == 0)
			p[i] = '?'; /* compat */
		else
			i += len - 1;
	}
}

void
log_begin(struct log *l, enum log_level level)
{
	l->level = level;
	buf_reset(&l->sink->line);
	log_put(l, str_c(level_words[level]));
}

/* What exceeds the longest line is cut off. */
void
log_put(struct log *l, struct str piece)
{
	struct buf *line = &l->sink->line;

	if (buf_put(line, str_head(piece, buf_left(line))) != RC_OK)
		abort();
}

static void put_v(struct log *l, const char *fmt, va_list ap) PRINTF(2, 0);

static void
put_v(struct log *l, const char *fmt, va_list ap)
{
	char small[1024];
	va_list again;
	char *large;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n >= 0 && (size_t)n < sizeof(small)) {
		log_put(l, str_n(small, (size_t)n));
	} else if (n >= 0) {
		large = mem_get((size_t)n + 1);
		(void)vsnprintf(large, (size_t)n + 1, fmt, again);
		log_put(l, str_n(large, (size_t)n));
		free(large);
	}
	va_end(again);
}

void
log_putf(struct log *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_v(l, fmt, ap);
	va_end(ap);
}

/* The syslog daemon knows the host. */
static enum rc
make_head(struct log *l)
{
	struct sink *s = l->sink;
	bool has_host = s->kind != KIND_SYSLOG;

	make_stamp(s);
	if (l->head_s == s->stamp_s && l->head_kind == s->kind)
		return RC_OK;
	l->head_s = s->stamp_s;
	l->head_kind = s->kind;
	buf_reset(&l->head);
	return buf_printf(&l->head, "%s %s%s%s[%d]: ", s->stamp, has_host ? s->host : "",
	    has_host ? " " : "", l->tag, (int)s->pid);
}

static enum rc
put_head(struct log *l)
{
	struct sink *s = l->sink;
	enum rc rc = make_head(l);

	if (rc == RC_OK && s->kind == KIND_SYSLOG)
		rc =
		    buf_printf(&s->pending, "<%d>", s->facility | level_syslog[l->level]);
	return rc == RC_OK ? buf_put(&s->pending, buf_view(&l->head)) : rc;
}

static void
copy_line(const struct log *l, struct str text)
{
	enum rc rc = RC_OK;
	struct buf out;

	buf_init(&out, LOG_LINE_MAX + 600);
	if (buf_printf(&out, "%s: %.*s\n", l->tag, STR_ARG(text)) == RC_OK)
		rc = os_fd_write_all(l->sink->copy_fd, buf_view(&out), NULL);
	if (rc != RC_OK)
		l->sink->copy_fd = -1; /* the terminal is gone */
	buf_fini(&out);
}

void
log_end(struct log *l)
{
	struct sink *s = l->sink;
	size_t before = s->pending.n;
	struct str text = buf_view(&s->line);

	if (text.n > 0)
		make_printable(
		    (unsigned char *)s->line.p + s->line.start, text.n, l->is_ascii);
	if (s->copy_fd >= 0 && l->level >= s->copy_level)
		copy_line(l, text);
	if (put_head(l) != RC_OK || buf_put(&s->pending, text) != RC_OK ||
	    buf_put(&s->pending, STR("\n")) != RC_OK) {
		s->pending.n = before;
		s->n_lost++;
		return;
	}
	if (s->pending.n >= FLUSH_AT)
		log_flush(l);
}

static void log_v(struct log *l, enum log_level level, const char *fmt, va_list ap)
    PRINTF(3, 0);

static void
log_v(struct log *l, enum log_level level, const char *fmt, va_list ap)
{
	log_begin(l, level);
	put_v(l, fmt, ap);
	log_end(l);
}

#define LOG_FN(name, level)                                                              \
	void name(struct log *l, const char *fmt, ...)                                   \
	{                                                                                \
		va_list ap;                                                              \
                                                                                         \
		va_start(ap, fmt);                                                       \
		log_v(l, level, fmt, ap);                                                \
		va_end(ap);                                                              \
	}

LOG_FN(log_info, LOG_LEVEL_INFO)
LOG_FN(log_warn, LOG_LEVEL_WARN)
LOG_FN(log_error, LOG_LEVEL_ERROR)

void
log_fatal(struct log *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(l, LOG_LEVEL_FATAL, fmt, ap);
	va_end(ap);
	log_flush(l);
}

void
log_panic(struct log *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(l, LOG_LEVEL_PANIC, fmt, ap);
	va_end(ap);
	log_flush(l);
}

void
log_debug(struct log *l, const char *fmt, ...)
{
	va_list ap;

	if (l->verbose < 1)
		return;
	va_start(ap, fmt);
	log_v(l, LOG_LEVEL_INFO, fmt, ap);
	va_end(ap);
}
