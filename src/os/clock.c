/* The clocks; see clock.h. */
#include "os/clock.h"
#include <stdlib.h>
#include <time.h>

static int64_t
read_us(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		abort();
	return (int64_t)ts.tv_sec * US_PER_SEC + ts.tv_nsec / 1000;
}

int64_t
os_clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t
os_clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}
