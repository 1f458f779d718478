/* The times of a delivery log line. */
#include "agent/delivery.h"
#include <stdio.h>
#include <string.h>

/* compat: two digits are shown, so from here on there are none behind the point */
#define ALL_INTEGER (10 * US_PER_SEC)

/* Seconds with two significant digits, at most `resolution` of them behind the point, no
 * zeros at the end: 0.034 -> "0.03", 1.26 -> "1.3", 12.6 -> "13". */
static size_t
put_seconds(char *to, size_t n, int64_t us, int resolution)
{
	int64_t digits = 0, scale = 1;
	size_t len;

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
	if (digits == 0)
		return (size_t)snprintf(to, n, "%lld", (long long)us);
	len = (size_t)snprintf(to, n, "%lld.%0*lld", (long long)(us / scale), (int)digits,
	    (long long)(us % scale));
	while (to[len - 1] == '0')
		len--;
	if (to[len - 1] == '.')
		len--;
	to[len] = '\0';
	return len;
}

struct str
delivery_delays(const struct delivery_times *t, char to[DELIVERY_DELAYS_MAX])
{
	int64_t handed = t->delivering_us, ready = t->setup_us;
	int64_t parts[4];
	size_t n;

	if (ready == 0)
		ready = handed;
	parts[0] = t->active_us - t->arrival_us;
	parts[1] = handed - t->active_us;
	parts[2] = ready - handed;
	parts[3] = t->now_us - ready;
	n = (size_t)snprintf(to, DELIVERY_DELAYS_MAX, "delay=");
	n += put_seconds(
	    to + n, DELIVERY_DELAYS_MAX - n, t->now_us - t->arrival_us, t->resolution);
	for (int i = 0; i < 4; i++) {
		n += (size_t)snprintf(
		    to + n, DELIVERY_DELAYS_MAX - n, "%s", i == 0 ? ", delays=" : "/");
		n +=
		    put_seconds(to + n, DELIVERY_DELAYS_MAX - n, parts[i], t->resolution);
	}
	return str_n(to, n);
}
