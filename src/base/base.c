/* Results, error texts, memory that must be there. Views are in str.c. */
#include "base/base.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
rc_name(enum rc rc)
{
	static const char *const names[] = { "ok", "none", "more", "temp", "perm" };

	return (size_t)rc < ARRAY_LEN(names) ? names[rc] : "?";
}

enum rc
err_set(struct err *e, enum rc rc, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return rc;
	e->sys = 0;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return rc;
}

enum rc
err_sys(struct err *e, enum rc rc, const char *fmt, ...)
{
	int sys = errno;
	size_t used;
	va_list ap;

	if (e == NULL)
		return rc;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	used = strlen(e->text);
	(void)snprintf(e->text + used, sizeof(e->text) - used, ": %s", strerror(sys));
	e->sys = sys;
	return rc;
}

enum rc
err_in(struct err *e, enum rc rc, const char *fmt, ...)
{
	char old[sizeof(e->text)];
	size_t used;
	va_list ap;

	if (e == NULL)
		return rc;
	memcpy(old, e->text, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	used = strlen(e->text);
	(void)snprintf(e->text + used, sizeof(e->text) - used, ": %s", old);
	return rc;
}

static void *
checked(void *p)
{
	if (p == NULL)
		abort(); /* the supervisor restarts us and the spool remembers */
	return p;
}

void *
mem_get(size_t size)
{
	return checked(calloc(1, size > 0 ? size : 1));
}

void *
mem_array(size_t n, size_t size)
{
	return checked(calloc(n > 0 ? n : 1, size > 0 ? size : 1));
}

void *
mem_grow(void *p, size_t n, size_t size)
{
	return checked(reallocarray(p, n > 0 ? n : 1, size > 0 ? size : 1));
}

char *
mem_str(struct str s)
{
	char *p = mem_get(s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

char *
mem_strdup(const char *s)
{
	return checked(strdup(s));
}
