#include "base/buf.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP ((size_t)256)

void
buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){ .max = max_bytes };
}

void
buf_fini(struct buf *b)
{
	buf_release(b);
}

void
buf_release(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ .max = b->max };
}

void
buf_reset(struct buf *b)
{
	b->start = b->n = 0;
}

size_t
buf_left(const struct buf *b)
{
	return b->max - b->n;
}

static void
grow(struct buf *b, size_t need)
{
	size_t cap = b->cap == 0 ? FIRST_CAP : b->cap;

	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	b->p = mem_grow(b->p, cap, 1);
	b->cap = cap;
}

char *
buf_room(struct buf *b, size_t n)
{
	if (n > buf_left(b))
		return NULL;
	if (n > b->cap - b->start - b->n && b->start > 0) {
		memmove(b->p, b->p + b->start, b->n);
		b->start = 0;
	}
	if (n > b->cap - b->start - b->n)
		grow(b, b->n + n);
	return b->p + b->start + b->n;
}

void
buf_added(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->start - b->n && n <= buf_left(b));
	b->n += n;
}

enum rc
buf_put(struct buf *b, struct str s)
{
	char *to;

	if (s.n == 0)
		return RC_OK;
	to = buf_room(b, s.n);
	if (to == NULL)
		return RC_TEMP;
	memcpy(to, s.p, s.n);
	b->n += s.n;
	return RC_OK;
}

enum rc
buf_printf(struct buf *b, const char *fmt, ...)
{
	size_t room = b->cap - b->start - b->n;
	char *to = room == 0 ? NULL : b->p + b->start + b->n;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(to, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n > buf_left(b))
		return RC_TEMP;
	if ((size_t)n < room) {
		b->n += (size_t)n;
		return RC_OK;
	}
	/* One byte more than is counted, for the NUL that vsnprintf always writes. */
	if (b->start > 0) {
		memmove(b->p, b->p + b->start, b->n);
		b->start = 0;
	}
	if ((size_t)n + 1 > b->cap - b->n)
		grow(b, b->n + (size_t)n + 1);
	to = b->p + b->start + b->n;
	va_start(ap, fmt);
	(void)vsnprintf(to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
	return RC_OK;
}

struct str
buf_view(const struct buf *b)
{
	return b->n == 0 ? STR("") : (struct str){ b->p + b->start, b->n };
}

void
buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->n);
	b->n -= n;
	b->start = b->n == 0 ? 0 : b->start + n;
}
