/* The store on a real directory: one life after another. What a crash leaves is the
 * business of tests/crash. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/crc32c.h"
#include "os/file.h"
#include "spool/spool.h"

#define SEGMENT ((uint64_t)256 * 1024)

struct fixture {
	char dir[64];
	struct spool *sp;
	struct spool_report report;
	struct arena *mem;
};

static void
open_it(struct fixture *f)
{
	struct spool_conf conf = { .segment_bytes = SEGMENT,
		.seed = { 1, (uint64_t)rand() } };
	struct err e = { 0 };

	f->report = (struct spool_report){ 0 };
	if (spool_open(os_files_real(), f->dir, &conf, &f->report, &f->sp, &e) != RC_OK)
		fail_msg("open: %s", e.text);
}

static void
reopen(struct fixture *f)
{
	spool_close(&f->sp);
	open_it(f);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/spool_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->mem = arena_new((size_t)64 << 20);
	open_it(f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	spool_close(&f->sp);
	arena_free(&f->mem);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* ---- helpers ---- */

static uint64_t
grant(struct fixture *f)
{
	uint64_t number;
	struct err e;

	if (spool_grant_ids(f->sp, 1, &number, &e) != RC_OK)
		fail_msg("grant: %s", e.text);
	return number;
}

static const struct spool_rcpt two[] = {
	{ .address = STR_INIT("a@example.com"),
	    .orcpt = STR_INIT("rfc822;a@example.com") },
	{ .address = STR_INIT("b@example.com"), .orig = STR_INIT("bee"), .notify = 4 },
};

static struct spool_message
message(uint64_t number, struct str content)
{
	return (struct spool_message){ .number = number,
		.arrival_us = INT64_C(1700000000123456) + (int64_t)number,
		.sender = STR("s@example.org"),
		.envid = STR("env"),
		.ret = 2,
		.facts = MESSAGE_HAS_8BIT,
		.origin = STR("smtpd"),
		.client_name = STR("client.example"),
		.client_addr = STR("192.0.2.1"),
		.rcpts = two,
		.n_rcpts = 2,
		.size_bytes = content.n,
		.content = content };
}

static void
commit(struct fixture *f)
{
	struct err e = { 0 };

	if (spool_sync(f->sp, &e) != RC_OK)
		fail_msg("sync: %s", e.text);
}

static void
housekeep(struct fixture *f)
{
	struct spool_outcomes out;
	struct spool_job *j;

	while (spool_prepare_begin(f->sp, &j)) {
		spool_job_run(j);
		spool_prepare_end(f->sp, &j, &out);
	}
}

static uint64_t
put(struct fixture *f, struct str content)
{
	uint64_t number = grant(f);
	struct spool_message m = message(number, content);
	struct err e = { 0 };

	if (spool_put(f->sp, &m, number, &e) != RC_OK)
		fail_msg("put: %s", e.text);
	return number;
}

static void
expect_content(struct fixture *f, uint64_t number, struct str content)
{
	struct spool_loaded got;

	arena_reset(f->mem);
	assert_int_equal(spool_load(f->sp, number,
			     SPOOL_ENVELOPE | SPOOL_CONTENT | SPOOL_STATE, f->mem, &got),
	    RC_OK);
	assert_int_equal(got.m.n_rcpts, 2);
	assert_true(str_eq(got.m.rcpts[0].address, two[0].address));
	assert_true(str_eq(got.m.rcpts[1].orig, two[1].orig));
	assert_int_equal(got.m.rcpts[1].notify, 4);
	assert_true(str_is(got.m.sender, "s@example.org"));
	assert_int_equal(got.st.n_rcpts, 2);
	assert_true(str_eq(got.m.content, content));
}

/* ---- cases ---- */

static void
test_put_is_there_after_commit_and_reopen(void **state)
{
	struct fixture *f = *state;
	uint64_t number = put(f, STR("Subject: x\r\n\r\nhello\r\n"));
	struct spool_info info;

	assert_int_equal(spool_find(f->sp, number, &info), RC_NONE);
	commit(f);
	for (int life = 0; life < 3; life++) {
		assert_int_equal(spool_find(f->sp, number, &info), RC_OK);
		assert_int_equal(info.n_rcpts, 2);
		expect_content(f, number, STR("Subject: x\r\n\r\nhello\r\n"));
		assert_int_equal(
		    spool_find_id(f->sp, str_c(spool_info_id(&info).text), &info), RC_OK);
		reopen(f);
	}
	assert_int_equal(f->report.n_messages, 1);
}

static void
test_outcome_tells_the_cookie(void **state)
{
	struct fixture *f = *state;
	struct spool_outcomes out;
	struct spool_job *j;
	struct err e;
	uint64_t a = put(f, STR("a")), b = put(f, STR("b"));

	assert_int_equal(spool_waiting(f->sp), SPOOL_WAITING_PUTS);
	assert_int_equal(spool_commit_begin(f->sp, &j, &e), RC_OK);
	assert_int_equal(spool_waiting(f->sp), SPOOL_WAITING_NONE);
	spool_job_run(j);
	spool_commit_end(f->sp, &j, &out);
	assert_int_equal(out.n, 2);
	assert_int_equal(out.v[0].cookie, a);
	assert_int_equal(out.v[1].cookie, b);
	assert_int_equal(out.v[1].rc, RC_OK);
}

static void
test_update_is_seen_before_during_and_after_commit(void **state)
{
	struct fixture *f = *state;
	uint64_t number = put(f, STR("x"));
	const struct spool_rcpt_state rs[] = { { .what = SPOOL_RCPT_DONE },
		{ .what = SPOOL_RCPT_DEFERRED, .reason = 1 } };
	const struct spool_reason why = { .dsn = STR_INIT("4.4.1"),
		.text = STR_INIT("no") };
	struct spool_state st = { .next_try_us = 77,
		.n_attempts = 3,
		.flags = SPOOL_DEFERRED,
		.rcpts = rs,
		.n_rcpts = 2,
		.reasons = &why,
		.n_reasons = 1 };
	struct spool_outcomes out;
	struct spool_loaded got;
	struct spool_job *j;
	struct err e;

	commit(f);
	assert_int_equal(spool_update(f->sp, number, &st, &e), RC_OK);
	for (int stage = 0; stage < 4; stage++) {
		arena_reset(f->mem);
		assert_int_equal(
		    spool_load(f->sp, number, SPOOL_STATE, f->mem, &got), RC_OK);
		assert_int_equal(got.st.next_try_us, 77);
		assert_int_equal(got.st.n_attempts, 3);
		assert_int_equal(got.st.rcpts[0].what, SPOOL_RCPT_DONE);
		assert_int_equal(got.st.rcpts[1].reason, 1);
		assert_true(str_is(got.st.reasons[0].text, "no"));
		if (stage == 0)
			assert_int_equal(spool_commit_begin(f->sp, &j, &e), RC_OK);
		if (stage == 1) {
			spool_job_run(j);
			spool_commit_end(f->sp, &j, &out);
		}
		if (stage == 2)
			reopen(f);
	}
}

static void
test_due_order_hold_and_claim(void **state)
{
	struct fixture *f = *state;
	uint64_t a = put(f, STR("a")), b = put(f, STR("b"));
	struct spool_mark hold = { .set = SPOOL_HELD, .next_try_us = -1 };
	struct spool_mark release = { .clear = SPOOL_HELD, .next_try_us = 5 };
	struct spool_info info;
	struct spool_totals t;

	commit(f);
	assert_int_equal(spool_first_due(f->sp, &info), RC_OK);
	assert_int_equal(info.number, a);
	assert_int_equal(spool_mark(f->sp, a, &hold, NULL), RC_OK);
	assert_int_equal(spool_first_due(f->sp, &info), RC_OK);
	assert_int_equal(info.number, b);
	spool_claim(f->sp, b);
	assert_int_equal(spool_first_due(f->sp, &info), RC_NONE);
	spool_get_totals(f->sp, &t);
	assert_int_equal(t.n_held, 1);
	assert_int_equal(t.n_claimed, 1);
	commit(f);
	reopen(f);
	assert_int_equal(f->report.n_held, 1);
	assert_int_equal(spool_mark(f->sp, a, &release, NULL), RC_OK);
	assert_int_equal(spool_first_due(f->sp, &info), RC_OK);
	assert_int_equal(info.number, a);
	assert_int_equal(info.next_try_us, 5);
}

static void
test_deleted_is_gone_and_segments_come_back(void **state)
{
	struct fixture *f = *state;
	static char body[8000];
	struct spool_totals t;
	uint64_t kept = 0;

	memset(body, 'x', sizeof(body));
	for (int i = 0; i < 2000; i++) {
		uint64_t n = put(f, str_n(body, sizeof(body)));

		commit(f);
		if (i == 1)
			kept = n;
		else
			assert_int_equal(spool_delete(f->sp, n, NULL), RC_OK);
		housekeep(f);
		while (spool_compact_step(f->sp, 65536) == RC_OK) {
			commit(f);
			housekeep(f);
		}
	}
	commit(f);
	housekeep(f);
	spool_get_totals(f->sp, &t);
	assert_in_range(t.n_segments, 2, 20);
	reopen(f);
	assert_int_equal(f->report.n_messages, 1);
	expect_content(f, kept, str_n(body, sizeof(body)));
}

static void
test_staged_message(void **state)
{
	struct fixture *f = *state;
	struct spool_message m = message(grant(f), STR(""));
	struct spool_loaded got;
	struct err e = { 0 };
	int fd;

	assert_int_equal(spool_stage_open(f->sp, &m.stage, &fd, &e), RC_OK);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	(void)close(fd);
	m.size_bytes = 10;
	m.stage_crc = crc32c(0, STR("0123456789"));
	assert_int_equal(spool_put(f->sp, &m, 1, &e), RC_OK);
	commit(f);
	reopen(f);
	assert_int_equal(
	    spool_load(f->sp, m.number, SPOOL_ENVELOPE, f->mem, &got), RC_OK);
	assert_int_equal(spool_stage_read(f->sp, m.number, &fd, &e), RC_OK);
	assert_int_equal(
	    spool_stage_check(os_files_real(), fd, 10, got.m.stage_crc), RC_OK);
	assert_int_equal(
	    spool_stage_check(os_files_real(), fd, 9, got.m.stage_crc), RC_PERM);
	(void)close(fd);
	assert_int_equal(spool_delete(f->sp, m.number, &e), RC_OK);
	commit(f);
	housekeep(f);
	assert_int_equal(spool_stage_read(f->sp, m.number, &fd, &e), RC_NONE);
}

static uint64_t
put_staged(struct fixture *f, struct str content)
{
	struct spool_message m = message(grant(f), STR(""));
	struct err e = { 0 };
	int fd;

	assert_int_equal(spool_stage_open(f->sp, &m.stage, &fd, &e), RC_OK);
	assert_int_equal(write(fd, content.p, content.n), content.n);
	(void)close(fd);
	m.size_bytes = content.n;
	m.stage_crc = crc32c(0, content);
	assert_int_equal(spool_put(f->sp, &m, 1, &e), RC_OK);
	commit(f);
	return m.number;
}

static enum rc
check_staged(struct fixture *f, uint64_t number)
{
	struct spool_loaded got;
	struct err e = { 0 };
	enum rc rc;
	int fd;

	arena_reset(f->mem);
	assert_int_equal(spool_load(f->sp, number, SPOOL_ENVELOPE, f->mem, &got), RC_OK);
	assert_int_equal(spool_stage_read(f->sp, number, &fd, &e), RC_OK);
	rc = spool_stage_check(os_files_real(), fd, got.m.size_bytes, got.m.stage_crc);
	(void)close(fd);
	return rc;
}

/* Damages the record of this type about this message in the first segment. */
static void
flip_record(struct fixture *f, uint64_t number, uint8_t type)
{
	uint64_t want = __builtin_bswap64(number);
	static char bytes[SEGMENT];
	char path[128];
	bool found = false;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/seg-00000001", f->dir);
	fd = open(path, O_RDWR);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
	for (size_t at = 8192; at + 40 <= sizeof(bytes) && !found; at += 8) {
		if (memcmp(bytes + at + 24, &want, 8) != 0 || bytes[at + 32] != type)
			continue;
		bytes[at] ^= 1;
		assert_int_equal(pwrite(fd, bytes + at, 1, (off_t)at), 1);
		found = true;
	}
	(void)close(fd);
	assert_true(found);
}

static void
test_a_message_that_came_back_takes_no_other_ones_content_away(void **state)
{
	struct fixture *f = *state;
	uint64_t old, now;

	(void)put(f, STR("keeps the segment"));
	old = put_staged(f, STR("0123456789"));
	assert_int_equal(spool_delete(f->sp, old, NULL), RC_OK);
	commit(f);
	housekeep(f);
	reopen(f);
	now = put_staged(f, STR("abcdefghijklm"));
	spool_close(&f->sp);
	flip_record(f, old, 3);
	open_it(f);
	assert_int_equal(f->report.n_messages, 3);
	assert_int_equal(check_staged(f, old), RC_PERM);
	spool_set_aside(f->sp, old);
	commit(f);
	housekeep(f);
	assert_int_equal(check_staged(f, now), RC_OK);
	reopen(f);
	assert_int_equal(f->report.n_messages, 2);
	assert_int_equal(check_staged(f, now), RC_OK);
}

static void
test_content_set_aside_is_kept(void **state)
{
	struct fixture *f = *state;
	uint64_t number = put_staged(f, STR("0123456789"));
	char path[128], got[10];
	int fd;

	spool_set_aside(f->sp, number);
	commit(f);
	housekeep(f);
	reopen(f);
	assert_int_equal(f->report.n_messages, 0);
	(void)snprintf(path, sizeof(path), "%s/corrupt/message-%llX.content", f->dir,
	    (unsigned long long)number);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got)), 10);
	(void)close(fd);
	assert_memory_equal(got, "0123456789", 10);
}

static void
test_short_stage_file_fails_its_message_only(void **state)
{
	struct fixture *f = *state;
	struct spool_message m = message(grant(f), STR(""));
	struct spool_outcomes out;
	struct spool_job *j;
	struct err e = { 0 };
	uint64_t other = put(f, STR("y"));
	int fd;

	assert_int_equal(spool_stage_open(f->sp, &m.stage, &fd, &e), RC_OK);
	(void)close(fd);
	m.size_bytes = 10;
	assert_int_equal(spool_put(f->sp, &m, 1, &e), RC_OK);
	assert_int_equal(spool_commit_begin(f->sp, &j, &e), RC_OK);
	spool_job_run(j);
	spool_commit_end(f->sp, &j, &out);
	assert_int_equal(out.n, 2);
	assert_int_equal(out.v[0].rc, RC_OK);
	assert_int_equal(out.v[1].rc, RC_TEMP);
	reopen(f);
	assert_int_equal(f->report.n_messages, 1);
	expect_content(f, other, STR("y"));
}

static void
test_refusals(void **state)
{
	struct fixture *f = *state;
	uint64_t n = put(f, STR("x"));
	struct spool_message again = message(n, STR("x"));
	struct spool_message strange = message(n + 1000000, STR("x"));
	struct spool_message staged = message(grant(f), STR(""));
	struct spool_state st = { .n_rcpts = 0 };
	struct spool_report report = { 0 };
	struct spool_conf conf = { .segment_bytes = SEGMENT };
	struct spool *second = NULL;
	struct err e = { 0 };

	staged.stage = 17;
	assert_int_equal(spool_put(f->sp, &again, 0, &e), RC_PERM);
	assert_int_equal(spool_put(f->sp, &strange, 0, &e), RC_PERM);
	assert_int_equal(spool_put(f->sp, &staged, 0, &e), RC_PERM);
	assert_int_equal(spool_update(f->sp, n, &st, &e), RC_NONE);
	assert_int_equal(spool_delete(f->sp, n, &e), RC_NONE);
	assert_int_equal(
	    spool_open(os_files_real(), f->dir, &conf, &report, &second, &e), RC_TEMP);
}

/* A parser that let one through would make a command, a header or a log line of it. */
static void
test_line_end_in_an_envelope_is_stored(void **state)
{
	struct fixture *f = *state;
	const struct str bad = STR("a@b.test\r\nDATA");
	const struct spool_rcpt rcpts[] = { { .address = bad },
		{ .address = STR("x@y.test"), .orig = bad },
		{ .address = STR("x@y.test"), .orcpt = STR("rfc822;x\x7f") } };
	struct spool_message m = message(grant(f), STR("x"));

	m.n_rcpts = 1;
	for (size_t i = 0; i < ARRAY_LEN(rcpts); i++) {
		m.rcpts = &rcpts[i];
		assert_int_equal(spool_put(f->sp, &m, 0, NULL), RC_PERM);
	}
	m = message(m.number, STR("x"));
	m.sender = bad;
	assert_int_equal(spool_put(f->sp, &m, 0, NULL), RC_PERM);
	m = message(m.number, STR("x"));
	m.client_helo = STR("h\0h");
	assert_int_equal(spool_put(f->sp, &m, 0, NULL), RC_PERM);
	m = message(m.number, STR("x"));
	assert_int_equal(spool_put(f->sp, &m, 0, NULL), RC_OK);
}

static void
test_numbers_never_repeat(void **state)
{
	struct fixture *f = *state;
	uint64_t last = 0, first;

	for (int life = 0; life < 5; life++) {
		for (int i = 0; i < 200; i++) {
			assert_int_equal(
			    spool_grant_ids(f->sp, 500, &first, NULL), RC_OK);
			assert_true(first > last);
			last = first + 499;
			commit(f);
		}
		reopen(f);
	}
}

static void
test_encodings_round_trip_and_refuse_cuts(void **state)
{
	struct fixture *f = *state;
	struct spool_message m = message(9, STR("")), got;
	struct buf b;

	buf_init(&b, 100000);
	assert_int_equal(spool_envelope_encode(&m, &b), RC_OK);
	assert_int_equal(spool_envelope_decode(buf_view(&b), f->mem, &got), RC_OK);
	assert_int_equal(got.n_rcpts, 2);
	assert_true(str_eq(got.rcpts[0].orcpt, two[0].orcpt));
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(
		    spool_envelope_decode(str_head(buf_view(&b), n), f->mem, &got),
		    RC_PERM);
	/* What has no filter and no VERP is written as before there were any. */
	assert_int_equal(b.p[b.start], 1);
	m.filter = STR("smtp:[127.0.0.1]:10025");
	m.verp = STR("+=");
	buf_reset(&b);
	assert_int_equal(spool_envelope_encode(&m, &b), RC_OK);
	assert_int_equal(b.p[b.start], 2);
	assert_int_equal(spool_envelope_decode(buf_view(&b), f->mem, &got), RC_OK);
	assert_true(str_eq(got.filter, m.filter));
	assert_true(str_eq(got.verp, m.verp));
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(
		    spool_envelope_decode(str_head(buf_view(&b), n), f->mem, &got),
		    RC_PERM);
	buf_fini(&b);
}

#define WITH_SPOOL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SPOOL(test_put_is_there_after_commit_and_reopen),
		WITH_SPOOL(test_outcome_tells_the_cookie),
		WITH_SPOOL(test_update_is_seen_before_during_and_after_commit),
		WITH_SPOOL(test_due_order_hold_and_claim),
		WITH_SPOOL(test_deleted_is_gone_and_segments_come_back),
		WITH_SPOOL(test_staged_message),
		WITH_SPOOL(
		    test_a_message_that_came_back_takes_no_other_ones_content_away),
		WITH_SPOOL(test_content_set_aside_is_kept),
		WITH_SPOOL(test_short_stage_file_fails_its_message_only),
		WITH_SPOOL(test_refusals),
		WITH_SPOOL(test_line_end_in_an_envelope_is_stored),
		WITH_SPOOL(test_numbers_never_repeat),
		WITH_SPOOL(test_encodings_round_trip_and_refuse_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
