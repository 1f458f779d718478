/* How fast the spool alone is: puts with many senders waiting, reading, deletion, and how
 * long a big one takes to open.
 *
 *   spool_bench DIR [MESSAGES] [BYTES] [SENDERS]
 *
 * Each of SENDERS waits for its message before it gives the next; DIR must not exist. */
#include "base/arena.h"
#include "os/file.h"
#include "spool/spool.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct bench {
	struct spool *sp;
	const char *dir;
	uint64_t n, bytes, senders;
	char *content;
	uint64_t first;
};

static double
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
die(const char *what, const struct err *e)
{
	(void)fprintf(stderr, "spool_bench: %s: %s\n", what, e->text);
	exit(1);
}

static void
say(const char *what, double seconds, uint64_t n)
{
	struct rusage r;

	(void)getrusage(RUSAGE_SELF, &r);
	(void)printf("%-28s %10.0f/s %8.2f s   cpu %.2f s, max rss %ld MiB\n", what,
	    (double)n / seconds, seconds,
	    (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
		(double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6,
	    r.ru_maxrss / 1024);
}

static void
open_spool(struct bench *b)
{
	struct spool_conf conf = { .seed = { 1, (uint64_t)time(NULL) } };
	struct spool_report report = { 0 };
	struct err e = { 0 };

	if (spool_open(os_files_real(), b->dir, &conf, &report, &b->sp, &e) != RC_OK)
		die("open", &e);
}

static void
housekeep(struct spool *sp)
{
	struct spool_outcomes out;
	struct spool_job *j;

	while (spool_prepare_begin(sp, &j)) {
		spool_job_run(j);
		spool_prepare_end(sp, &j, &out);
	}
}

static void
commit(struct bench *b)
{
	struct err e = { 0 };

	if (spool_sync(b->sp, &e) != RC_OK)
		die("commit", &e);
	housekeep(b->sp);
}

static void
put_all(struct bench *b)
{
	static const struct spool_rcpt to = { .address =
						  STR_INIT("someone@example.com") };
	struct spool_message m = { .sender = STR("sender@example.org"),
		.origin = STR("smtpd"),
		.client_name = STR("client.example.org"),
		.client_addr = STR("192.0.2.77"),
		.client_proto = STR("ESMTP"),
		.client_helo = STR("client.example.org"),
		.rcpts = &to,
		.n_rcpts = 1 };
	struct err e = { 0 };

	m.content = str_n(b->content, (size_t)b->bytes);
	m.size_bytes = b->bytes;
	for (uint64_t i = 0; i < b->n;) {
		for (uint64_t k = 0; k < b->senders && i < b->n; k++, i++) {
			if (spool_grant_ids(b->sp, 1, &m.number, &e) != RC_OK)
				die("grant", &e);
			if (i == 0)
				b->first = m.number;
			m.arrival_us = (int64_t)i;
			if (spool_put(b->sp, &m, i, &e) != RC_OK)
				die("put", &e);
		}
		commit(b);
	}
}

static void
defer_all(struct bench *b)
{
	static const struct spool_rcpt_state rs = { .what = SPOOL_RCPT_DEFERRED,
		.reason = 1 };
	static const struct spool_reason why = { .dsn = STR_INIT("4.4.1"),
		.text = STR_INIT("connect to mx.example.com[192.0.2.1]:25: timed out") };
	struct spool_state st = { .flags = SPOOL_DEFERRED,
		.n_attempts = 1,
		.rcpts = &rs,
		.n_rcpts = 1,
		.reasons = &why,
		.n_reasons = 1 };
	struct err e = { 0 };

	for (uint64_t i = 0; i < b->n; i++) {
		st.next_try_us = (int64_t)(i * 7919 % b->n);
		if (spool_update(b->sp, b->first + i, &st, &e) != RC_OK)
			die("update", &e);
		if (i % 1000 == 999)
			commit(b);
	}
	commit(b);
}

static void
load_all(struct bench *b)
{
	struct arena *mem = arena_new((size_t)1 << 20);
	struct spool_loaded got;

	for (uint64_t i = 0; i < b->n; i++) {
		arena_reset(mem);
		if (spool_load(b->sp, b->first + i,
			SPOOL_ENVELOPE | SPOOL_STATE | SPOOL_CONTENT, mem, &got) != RC_OK)
			die("load", &(struct err){ .text = "lost" });
	}
	arena_free(&mem);
}

static void
delete_all(struct bench *b)
{
	struct err e = { 0 };

	for (uint64_t i = 0; i < b->n; i++) {
		if (spool_delete(b->sp, b->first + i, &e) != RC_OK)
			die("delete", &e);
		if (i % 1000 == 999)
			commit(b);
	}
	commit(b);
}

static void
measure(struct bench *b, const char *what, void (*fn)(struct bench *))
{
	double from = now();

	fn(b);
	say(what, now() - from, b->n);
}

static void
reopen(struct bench *b)
{
	struct spool_totals t;

	spool_close(&b->sp);
	open_spool(b);
	spool_get_totals(b->sp, &t);
	(void)printf("%" PRIu64 " messages, %" PRIu64 " segments, index %" PRIu64
		     " MiB\n",
	    t.n_messages, t.n_segments, t.memory_bytes >> 20);
}

int
main(int argc, char **argv)
{
	struct bench b = { .dir = argc > 1 ? argv[1] : NULL,
		.n = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000,
		.bytes = argc > 3 ? strtoull(argv[3], NULL, 10) : 4096,
		.senders = argc > 4 ? strtoull(argv[4], NULL, 10) : 100 };

	if (b.dir == NULL || b.bytes > SPOOL_INLINE_MAX || b.n == 0 || b.senders == 0) {
		(void)fprintf(
		    stderr, "usage: spool_bench DIR [MESSAGES] [BYTES] [SENDERS]\n");
		return 2;
	}
	b.content = mem_get((size_t)b.bytes + 1);
	memset(b.content, 'x', (size_t)b.bytes);
	open_spool(&b);
	measure(&b, "put, acknowledged", put_all);
	measure(&b, "defer", defer_all);
	measure(&b, "load", load_all);
	measure(&b, "open again", reopen);
	measure(&b, "delete", delete_all);
	spool_close(&b.sp);
	free(b.content);
	return 0;
}
