/* The times of a delivery log line. */
#include "agent/delivery.h"
#include <assert.h>
#include <string.h>

/* compat: two digits are shown, so from here on there are none behind the point */
#define ALL_INTEGER (10 * US_PER_SEC)

/* With at least so many digits. Every delivery logs five numbers: no printf. */
static char *
put_number(char *to, uint64_t v, int digits)
{
	char text[20];
	int n = 0;

	for (; v > 0 || n < digits; v /= 10)
		text[n++] = (char)('0' + v % 10);
	while (n > 0)
		*to++ = text[--n];
	return to;
}

/* Seconds with two significant digits, at most `resolution` of them behind the point, no
 * zeros at the end: 0.034 -> "0.03", 1.26 -> "1.3", 12.6 -> "13". */
static char *
put_seconds(char *to, int64_t us, int resolution)
{
	int64_t scale = 1;
	int digits = 0;

	if (us < 0)
		us = 0;
	/* One digit more behind the point for each tenth that the time is smaller. */
	for (int64_t below = ALL_INTEGER; us < below; below /= 10) {
		if (digits >= resolution || digits >= 6)
			break;
		digits++;
		scale *= 10;
	}
	us = (us * scale + US_PER_SEC / 2) / US_PER_SEC;
	to = put_number(to, (uint64_t)(us / scale), 1);
	if (digits == 0)
		return to;
	*to++ = '.';
	to = put_number(to, (uint64_t)(us % scale), digits);
	while (to[-1] == '0')
		to--;
	return to[-1] == '.' ? to - 1 : to;
}

static char *
put_text(char *to, struct str s)
{
	memcpy(to, s.p, s.n);
	return to + s.n;
}

struct str
delivery_delays(const struct delivery_times *t, char to[DELIVERY_DELAYS_MAX])
{
	int64_t handed = t->delivering_us, ready = t->setup_us;
	int64_t parts[4];
	char *at;

	if (ready == 0)
		ready = handed;
	parts[0] = t->active_us - t->arrival_us;
	parts[1] = handed - t->active_us;
	parts[2] = ready - handed;
	parts[3] = t->now_us - ready;
	at = put_text(to, STR("delay="));
	at = put_seconds(at, t->now_us - t->arrival_us, t->resolution);
	for (int i = 0; i < 4; i++) {
		at = put_text(at, i == 0 ? STR(", delays=") : STR("/"));
		at = put_seconds(at, parts[i], t->resolution);
	}
	assert((size_t)(at - to) < DELIVERY_DELAYS_MAX);
	*at = '\0';
	return str_n(to, (size_t)(at - to));
}
