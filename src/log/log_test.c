/* The shapes of log lines, read back from a pipe. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "log/log.h"
#include "os/fd.h"

/* What follows "Nov 22 00:34:58 host " in the n-th line of what was written. */
static void
read_pipe(int fd, char *out, size_t cap)
{
	ssize_t n = read(fd, out, cap - 1);

	assert_true(n >= 0);
	out[n] = '\0';
}

static void
test_shape(void **state)
{
	struct log *l = log_new("postfix/smtpd", "mx");
	struct log *other;
	char got[20000], want[300];
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	log_info(l, "kept until the sink is known");
	log_to_fd(l, p[1]);
	other = log_with_tag(l, "postfix/submission/smtpd");
	log_warn(other, "two %d", 2);
	log_begin(l, LOG_LEVEL_INFO);
	log_put(l, STR("3F2A"));
	log_putf(l, ": %s", "removed");
	log_end(l);
	log_info(l, "bad\tbytes \xff\xc3\xbc \xed\xa0\x80 \xe2\x82");
	log_set_ascii(l, true);
	log_info(l, "ascii \xc3\xbc");
	log_set_ascii(l, false);
	log_debug(l, "not wanted");
	log_fatal(l, "the end");
	read_pipe(p[0], got, sizeof(got));
	assert_int_equal(got[6], ' ');
	assert_int_equal(got[15], ' ');
	(void)snprintf(want, sizeof(want),
	    " mx postfix/smtpd[%d]: kept until the sink is known\n", getpid());
	assert_non_null(strstr(got, want));
	(void)snprintf(want, sizeof(want),
	    " mx postfix/submission/smtpd[%d]: warning: two 2\n", getpid());
	assert_non_null(strstr(got, want));
	assert_non_null(strstr(got, "]: 3F2A: removed\n"));
	assert_non_null(strstr(got, "]: bad?bytes ?\xc3\xbc ??? ??\n"));
	assert_non_null(strstr(got, "]: ascii ??\n"));
	assert_null(strstr(got, "not wanted"));
	assert_non_null(strstr(got, "]: fatal: the end\n"));
	log_free(&l);
	log_free(&other);
	os_fd_close(&p[0]);
}

static void
test_long(void **state)
{
	static char text[LOG_LINE_MAX * 2];
	static char got[4 * LOG_LINE_MAX];
	struct log *l = log_new("postfix/x", "h");
	int p[2];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(pipe(p), 0);
	log_to_fd(l, p[1]);
	log_info(l, "%s", text);
	log_info(l, "next");
	log_flush(l);
	read_pipe(p[0], got, sizeof(got));
	assert_true(strchr(got, '\n') - got < LOG_LINE_MAX + 100);
	assert_non_null(strstr(got, "x\n"));
	assert_non_null(strstr(got, "]: next\n"));
	assert_int_equal(log_lost(l), 0);
	log_free(&l);
	os_fd_close(&p[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
