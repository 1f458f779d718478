#ifndef SCHED_FATE_H
#define SCHED_FATE_H
#include "base/base.h"

/* What becomes of a message after a round of attempts: tried again when, given up when,
 * who is told. Pure. Times are microseconds of the wall clock. */
struct fate_conf {
	int64_t minimal_backoff_us, maximal_backoff_us;
	int64_t maximal_lifetime_us; /* maximal_queue_lifetime; 0: one attempt */
	int64_t bounce_lifetime_us;  /* bounce_queue_lifetime: mail from <> */
	int64_t delay_warning_us;    /* delay_warning_time; 0: never */
};

struct fate_mail {
	int64_t arrival_us;
	bool is_bounce; /* from <> */
	bool is_forced; /* postsuper -e */
	bool was_warned;
};

/* compat: the age of the message, within the two back-off times, counts from now. */
int64_t fate_next_try(
    const struct fate_conf *c, const struct fate_mail *m, int64_t now_us);
/* Asked after an attempt that failed for now. */
bool fate_is_expired(
    const struct fate_conf *c, const struct fate_mail *m, int64_t now_us);
bool fate_wants_warning(
    const struct fate_conf *c, const struct fate_mail *m, int64_t now_us);

/* RFC 3461 NOTIFY: 1 never, 2 success, 4 failure, 8 delay; 0 not given: failure and
 * delay. */
enum fate_news {
	FATE_SUCCESS = 2,
	FATE_FAILURE = 4,
	FATE_DELAY = 8,
	FATE_REPORT = 16 /* sendmail -v, -bv: everybody, whatever NOTIFY says */
};
bool fate_tells(uint8_t notify, enum fate_news news);
#endif
