/* What administrators read and say: the listing protocol to text and JSON, queue names,
 * verbs. Each listing is fed whole, byte by byte, and cut short. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "agent/queue_listing.h"
#include "agent/queue_view.h"

#define HEAD "protocol\0mail_queue_list_protocol\0\0"
#define MAIL(queue, id, size, expire, sender)                                            \
	"queue_name\0" queue "\0queue_id\0" id "\0time\0"                                \
	"1795309534\0size\0" size "\0forced_expire\0" expire "\0sender\0" sender "\0"
#define TO(rcpt)  "recipient\0" rcpt "\0"
#define WHY(text) "reason\0" text "\0"
#define END       "\0"

/* Prints `bytes` fed in pieces of `step`; RC and the text. */
static enum rc
print(struct str bytes, size_t step, bool is_json, bool is_long, char **out)
{
	struct queue_listing l;
	enum rc rc = RC_OK;
	size_t n = 0;
	FILE *to = open_memstream(out, &n);

	queue_listing_init(&l, to, is_json, is_long);
	while (rc == RC_OK && bytes.n > 0) {
		struct str piece = str_head(bytes, step);

		rc = queue_listing_feed(&l, piece);
		bytes = str_from(bytes, piece.n);
	}
	if (queue_listing_end(&l) != RC_OK && rc == RC_OK)
		rc = RC_PERM;
	(void)fclose(to);
	return rc;
}

static const char two[] =
    HEAD MAIL("deferred", "7DBB0A72153", "262", "0", "MAILER-DAEMON") TO("r3@example.com")
	WHY("connect to 127.0.0.1[127.0.0.1]:1: Connection refused")
	    END MAIL("hold", "7AA5EA72154", "267", "1", "s@example.org")
		TO("r1@example.net") WHY("later") TO("r2@example.net") WHY("later")
		    TO("q \"q\"@example.net") END END;

static void
expect(struct str in, bool is_json, bool is_long, const char *want)
{
	char *got = NULL;

	for (size_t step = 1; step <= in.n; step = step < 7 ? step + 1 : step * 3) {
		assert_int_equal(print(in, step, is_json, is_long, &got), RC_OK);
		assert_string_equal(got, want);
		free(got);
	}
}

static void
a_listing_looks_like_postfix(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	expect(str_n(two, sizeof(two) - 1), false, false,
	    "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
	    "7DBB0A72153     262 Sun Nov 22 01:05:34  MAILER-DAEMON\n"
	    "                       (connect to 127.0.0.1[127.0.0.1]:1: Connection "
	    "refused)\n"
	    "                                         r3@example.com\n"
	    "\n"
	    "7AA5EA72154!#     267 Sun Nov 22 01:05:34  s@example.org\n"
	    "                                                                       "
	    "(later)\n"
	    "                                         r1@example.net\n"
	    "                                         r2@example.net\n"
	    "                                         q \"q\"@example.net\n"
	    "\n"
	    "-- 0 Kbytes in 2 Requests.\n");
	expect(STR(HEAD MAIL("active", "4jXBMl1fc9z1bYBr", "2048", "0", "s@a") TO("r@b")
		       END END),
	    false, true,
	    "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"
	    "4jXBMl1fc9z1bYBr*     2048 Sun Nov 22 01:05:34 s@a\n"
	    "                                               r@b\n"
	    "\n"
	    "-- 2 Kbytes in 1 Request.\n");
	expect(STR(HEAD END), false, false, "Mail queue is empty\n");
	expect(STR(HEAD END), true, false, "");
}

static void
json_is_one_object_a_line(void **state)
{
	(void)state;
	expect(str_n(two, sizeof(two) - 1), true, false,
	    "{\"queue_name\": \"deferred\", \"queue_id\": \"7DBB0A72153\", "
	    "\"arrival_time\": "
	    "1795309534, \"message_size\": 262, \"forced_expire\": false, \"sender\": "
	    "\"MAILER-DAEMON\", \"recipients\": [{\"address\": \"r3@example.com\", "
	    "\"delay_reason\": \"connect to 127.0.0.1[127.0.0.1]:1: Connection "
	    "refused\"}]}\n"
	    "{\"queue_name\": \"hold\", \"queue_id\": \"7AA5EA72154\", \"arrival_time\": "
	    "1795309534, \"message_size\": 267, \"forced_expire\": true, \"sender\": "
	    "\"s@example.org\", \"recipients\": [{\"address\": \"r1@example.net\", "
	    "\"delay_reason\": \"later\"}, {\"address\": \"r2@example.net\", "
	    "\"delay_reason\": "
	    "\"later\"}, {\"address\": \"q \\\"q\\\"@example.net\"}]}\n");
}

static void
hostile_text_is_made_harmless(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	expect(STR(HEAD MAIL("deferred", "A1", "1", "0", "a\033[2J\xff@b\xc3\xa9")
		       TO("x\ny") END END),
	    false, false,
	    "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
	    "A1                1 Sun Nov 22 01:05:34  a?[2J?@b\xc3\xa9\n"
	    "                                         x?y\n"
	    "\n"
	    "-- 0 Kbytes in 1 Request.\n");
	expect(
	    STR(HEAD MAIL("deferred", "A1", "1", "0", "a\033\xff@b") TO("x\ny") END END),
	    true, false,
	    "{\"queue_name\": \"deferred\", \"queue_id\": \"A1\", \"arrival_time\": "
	    "1795309534, "
	    "\"message_size\": 1, \"forced_expire\": false, \"sender\": \"a\\u001B?@b\", "
	    "\"recipients\": [{\"address\": \"x\\u000Ay\"}]}\n");
}

static void
what_is_no_listing_is_refused(void **state)
{
	static const struct str bad[] = {
		STR_INIT("\0"),
		STR_INIT("protocol\0other\0\0"),
		STR_INIT("220 mail ESMTP\r\n\0x\0"),
		STR_INIT(HEAD "recipient\0a@b\0"),
		STR_INIT(HEAD "size\0many\0"),
		STR_INIT(HEAD "queue_id\0A\0\0"),
		STR_INIT(HEAD),
		STR_INIT(""),
	};
	struct str whole = str_n(two, sizeof(two) - 1);
	char *got = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_not_equal(print(bad[i], 3, false, false, &got), RC_OK);
		free(got);
	}
	/* A list that breaks off anywhere is never taken for a whole one. */
	for (size_t n = 0; n < whole.n; n++) {
		assert_int_not_equal(
		    print(str_head(whole, n), 100, false, false, &got), RC_OK);
		free(got);
	}
}

static void
queue_names_and_verbs(void **state)
{
	unsigned set = 0;
	struct err e = { 0 };
	enum queue_verb v;

	(void)state;
	assert_int_equal(queue_view_names_parse(STR("hold  deferred"), &set, &e), RC_OK);
	assert_int_equal(set, QUEUE_HOLD | QUEUE_DEFERRED);
	assert_int_equal(queue_view_names_parse(STR(""), &set, &e), RC_OK);
	assert_int_equal(set, 0);
	assert_int_equal(queue_view_names_parse(STR("hold nosuch"), &set, &e), RC_PERM);
	assert_string_equal(e.text, "invalid directory name: nosuch");
	for (int i = QUEUE_DELETE; i <= QUEUE_EXPIRE_RELEASE; i++) {
		assert_int_equal(
		    queue_verb_parse(str_c(queue_verb_text((enum queue_verb)i)), &v),
		    RC_OK);
		assert_int_equal(v, i);
	}
	assert_int_equal(queue_verb_parse(STR("destroy"), &v), RC_PERM);
}

static void
a_message_is_in_one_queue(void **state)
{
	static const struct {
		unsigned flags;
		enum queue_name name;
	} cases[] = {
		{ 0, QUEUE_INCOMING },
		{ SPOOL_CLAIMED, QUEUE_ACTIVE },
		{ SPOOL_DEFERRED, QUEUE_DEFERRED },
		{ SPOOL_DEFERRED | SPOOL_CLAIMED, QUEUE_ACTIVE },
		{ SPOOL_HELD | SPOOL_DEFERRED, QUEUE_HOLD },
		{ SPOOL_HELD | SPOOL_CLAIMED, QUEUE_HOLD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct spool_info info = { .flags = (uint8_t)cases[i].flags };

		assert_int_equal(queue_view_name(&info), cases[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listing_looks_like_postfix),
		cmocka_unit_test(json_is_one_object_a_line),
		cmocka_unit_test(hostile_text_is_made_harmless),
		cmocka_unit_test(what_is_no_listing_is_refused),
		cmocka_unit_test(queue_names_and_verbs),
		cmocka_unit_test(a_message_is_in_one_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
