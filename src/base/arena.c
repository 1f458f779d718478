/* Chunks in a list, each twice as large as the one before up to CHUNK_MAX. */
#include "base/arena.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN ((size_t)512)
#define CHUNK_MAX ((size_t)32768)
#define ALIGN     _Alignof(max_align_t)

struct chunk {
	struct chunk *next;
	size_t cap, used;
	max_align_t data[];
};

struct arena {
	size_t limit, used;   /* bytes asked for, rounded up */
	struct chunk *chunks; /* the one being filled first */
};

struct arena *
arena_new(size_t limit_bytes)
{
	struct arena *a = mem_get(sizeof(*a));

	a->limit = limit_bytes;
	return a;
}

static void
free_chunks(struct chunk *c)
{
	while (c != NULL) {
		struct chunk *next = c->next;

		free(c);
		c = next;
	}
}

void
arena_free(struct arena **a)
{
	if (*a == NULL)
		return;
	free_chunks((*a)->chunks);
	free(*a);
	*a = NULL;
}

void
arena_reset(struct arena *a)
{
	struct chunk *last = a->chunks;

	a->used = 0;
	if (last == NULL)
		return;
	while (last->next != NULL) { /* the oldest is the smallest */
		struct chunk *next = last->next;

		free(last);
		last = next;
	}
	if (last->cap > CHUNK_MAX) {
		free(last);
		a->chunks = NULL;
		return;
	}
	last->used = 0;
	a->chunks = last;
}

static struct chunk *
add_chunk(struct arena *a, size_t need)
{
	size_t cap = a->chunks == NULL ? CHUNK_MIN : a->chunks->cap * 2;
	struct chunk *c;

	if (cap > CHUNK_MAX)
		cap = CHUNK_MAX;
	if (cap < need)
		cap = need;
	c = malloc(sizeof(*c) + cap);
	if (c == NULL)
		abort();
	c->cap = cap;
	c->used = 0;
	c->next = a->chunks;
	a->chunks = c;
	return c;
}

/* As arena_get(), and holds what it may. */
static char *
take(struct arena *a, size_t size)
{
	struct chunk *c = a->chunks;
	char *p;

	if (size > SIZE_MAX - ALIGN)
		return NULL;
	size = (size + ALIGN - 1) & ~(ALIGN - 1);
	if (size > a->limit - a->used)
		return NULL;
	if (c == NULL || size > c->cap - c->used)
		c = add_chunk(a, size);
	p = (char *)c->data + c->used;
	c->used += size;
	a->used += size;
	assert(a->used <= a->limit);
	return p;
}

void *
arena_get(struct arena *a, size_t size)
{
	char *p = take(a, size);

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

void *
arena_array(struct arena *a, size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / size)
		return NULL;
	return arena_get(a, n * size);
}

struct str
arena_str(struct arena *a, struct str s)
{
	char *p = s.n == SIZE_MAX ? NULL : take(a, s.n + 1);

	if (p == NULL)
		return (struct str){ NULL, 0 };
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

char *
arena_cstr(struct arena *a, struct str s)
{
	return (char *)(uintptr_t)arena_str(a, s).p;
}

struct str
arena_printf(struct arena *a, const char *fmt, ...)
{
	struct chunk *c = a->chunks;
	/* Mostly it finds room in the chunk, which take() then hands out. */
	size_t room = c == NULL ? 0 : c->cap - c->used;
	char *tried = room == 0 ? NULL : (char *)c->data + c->used, *p;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(tried, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (p = take(a, (size_t)n + 1)) == NULL)
		return (struct str){ NULL, 0 };
	if (p != tried) {
		va_start(ap, fmt);
		(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	return (struct str){ p, (size_t)n };
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}
