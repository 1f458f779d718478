/* Random numbers from the kernel; see random.h. */
#include "os/random.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void
os_random(void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno != EINTR)
			abort();
		if (got > 0) {
			at += got;
			n -= (size_t)got;
		}
	}
}

uint64_t
os_random_u64(void)
{
	uint64_t v;

	os_random(&v, sizeof(v));
	return v;
}

void
os_random_seed(uint64_t seed[2])
{
	os_random(seed, 2 * sizeof(seed[0]));
}
