/* Finding files: the folder is read a bit at a time, so that a million files need no
 * memory and those that were found first are on their way meanwhile. */
#include <errno.h>
#include <string.h>
#include "agent/submit.h"
#include "log/log.h"
#include "prog/pickup/pickup.h"

enum { OPEN_MAX = 100, AT_ONCE = 100 };

static bool
is_name(const char *s)
{
	size_t n = 0;

	for (; s[n] != '\0'; n++)
		if (!ascii_isalnum(s[n]) && s[n] != '_')
			return false;
	return n > 0 && n < NAME_SIZE;
}

static void
scan(void *arg)
{
	struct pickup *p = arg;
	struct dirent *d;

	if (p->is_draining || submit_can_store(p->submit, 0, NULL) != RC_OK)
		return; /* queue's next word wakes us */
	if (p->dir == NULL && p->wants_scan) {
		p->wants_scan = false;
		items_remove_done(p);
		p->dir = opendir("maildrop");
		if (p->dir == NULL)
			log_warn(p->log, "open maildrop: %s", strerror(errno));
	}
	for (int i = 0; p->dir != NULL && p->n_open < OPEN_MAX; i++) {
		if (i == AT_ONCE) {
			loop_soon(p->w->loop, &p->scan_task);
			return;
		}
		d = readdir(p->dir);
		if (d == NULL) {
			(void)closedir(p->dir);
			p->dir = NULL;
			/* Somebody called while we looked. */
			if (p->wants_scan)
				loop_soon(p->w->loop, &p->scan_task);
			return;
		}
		if (is_name(d->d_name) && !item_is_known(p, d->d_name))
			item_start(p, d->d_name);
	}
}

void
scan_wake(struct pickup *p)
{
	p->wants_scan = true;
	loop_soon(p->w->loop, &p->scan_task);
}

void
scan_item_ended(struct pickup *p)
{
	if (p->is_draining && p->n_open == 0)
		loop_stop(p->w->loop);
	else if (p->dir != NULL)
		loop_soon(p->w->loop, &p->scan_task);
}

void
scan_init(struct pickup *p)
{
	loop_task_init(&p->scan_task, scan, p);
}
