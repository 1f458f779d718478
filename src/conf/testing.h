#ifndef CONF_TESTING_H
#define CONF_TESTING_H
/* What the tests of configurations share. Included behind cmocka's headers. */
#include "base/arena.h"
#include "conf/snapshot.h"

#define MEMORY ((size_t)64 << 20)

static const struct conf_host test_host = { .name = STR_INIT("mx"),
	.addresses = STR_INIT("127.0.0.1/8 192.0.2.2/24 ::1/128 2001:db8::2/64"),
	.names = STR_INIT("localhost=127.0.0.1/32 gw=203.0.113.9/32") };

static inline struct str
copy(struct arena *mem, const char *text)
{
	return arena_str(mem, str_c(text));
}

static inline void
expect_text(const char *what, const char *want, struct str got)
{
	if (!str_is(got, want))
		fail_msg("%s: want \"%s\", got \"%.*s\"", what, want, STR_ARG(got));
}

static inline const struct conf_snapshot *
snapshot(struct arena *mem, const char *main_text, const char *master_text)
{
	const struct conf_snapshot *s = NULL;
	struct err e = { .text = "" };

	if (conf_from_text(
		str_c(main_text), str_c(master_text), &test_host, mem, &s, &e) != RC_OK)
		fail_msg("%s", e.text);
	return s;
}
#endif
