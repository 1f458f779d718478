/* Runs a fuzz target without libFuzzer: over every file of a corpus folder, then over
 * mutations of them. The mutations depend on nothing but their number, so that what
 * fails, fails again: the number is printed first. */
#include "base/arena.h"
#include "base/buf.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUTATIONS 3000
#define INPUT_MAX ((size_t)64 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state;

static uint64_t
number(uint64_t below)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

/* The input in memory of exactly its size, so that a read beyond it is seen. */
static void
run(const char *p, size_t n)
{
	uint8_t *copy = mem_get(n + (n == 0));

	if (n > 0)
		memcpy(copy, p, n);
	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static void
mutate(char *p, size_t *n, const char *other, size_t other_n)
{
	size_t at = (size_t)number(*n + 1), len;

	switch (number(5)) {
	case 0: /* a byte */
		if (at < *n)
			p[at] = (char)number(256);
		break;
	case 1: /* a bit */
		if (at < *n)
			p[at] = (char)(p[at] ^ (1 << number(8)));
		break;
	case 2: /* a piece less */
		len = (size_t)number(*n - at + 1);
		memmove(p + at, p + at + len, *n - at - len);
		*n -= len;
		break;
	case 3: /* a piece of another input */
		len = other_n == 0 ? 0 : (size_t)number(other_n);
		if (*n + len > INPUT_MAX)
			break;
		memmove(p + at + len, p + at, *n - at);
		memcpy(p + at, other + number(other_n - len + 1), len);
		*n += len;
		break;
	default: /* a piece twice */
		len = (size_t)number(*n - at + 1);
		if (*n + len > INPUT_MAX)
			break;
		memmove(p + at + len, p + at, *n - at);
		*n += len;
	}
}

struct corpus {
	struct buf v[1000];
	size_t n;
};

static void
load(struct corpus *c, const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;

	while (d != NULL && c->n < ARRAY_LEN(c->v) && (e = readdir(d)) != NULL) {
		char path[4096], block[4096];
		size_t n;
		FILE *f;

		(void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (e->d_name[0] == '.' || (f = fopen(path, "r")) == NULL)
			continue;
		buf_init(&c->v[c->n], INPUT_MAX);
		while ((n = fread(block, 1, sizeof(block), f)) > 0)
			if (buf_put(&c->v[c->n], (struct str){ block, n }) != RC_OK)
				break;
		(void)fclose(f);
		c->n++;
	}
	if (d != NULL)
		(void)closedir(d);
}

int
main(int argc, char **argv)
{
	static struct corpus corpus;
	static char input[INPUT_MAX];
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

	load(&corpus, argc > 1 ? argv[1] : ".");
	for (size_t i = 0; i < corpus.n; i++)
		run(buf_view(&corpus.v[i]).p, corpus.v[i].n);
	run("", 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (uint64_t i = first; i < first + MUTATIONS; i++) {
		size_t n = 0, times;
		struct str other = STR("");

		state = i;
		if (corpus.n > 0) {
			struct str one = buf_view(&corpus.v[number(corpus.n)]);

			other = buf_view(&corpus.v[number(corpus.n)]);
			n = one.n;
			if (n > 0)
				memcpy(input, one.p, n);
		}
		for (times = 1 + (size_t)number(8); times > 0; times--)
			mutate(input, &n, other.p, other.n);
		if (i % 500 == 0)
			(void)printf("%zu files, mutation %llu\n", corpus.n,
			    (unsigned long long)i);
		run(input, n);
	}
	for (size_t i = 0; i < corpus.n; i++)
		buf_fini(&corpus.v[i]);
	return 0;
}
