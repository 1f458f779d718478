/* A command's end of private/queue. */
#include <stdio.h>
#include <stdlib.h>
#include "agent/command.h"
#include "agent/queue_view.h"
#include "ipc/channel.h"
#include "loop/loop.h"

static void
on_item(void *arg, const struct wire_admin_item *m)
{
	struct queue_client *q = arg;

	if (q->item != NULL)
		q->item(q->arg, m->qid, m->text);
}

static void
on_done(void *arg, const struct wire_admin_done *m)
{
	struct queue_client *q = arg;

	q->is_done = true;
	q->rc = m->rc <= RC_PERM ? (enum rc)m->rc : RC_TEMP;
	q->count = m->count;
	(void)snprintf(q->text, sizeof(q->text), "%.*s", STR_ARG(m->text));
}

static void
on_close(void *arg, const char *why)
{
	(void)why;
	((struct queue_client *)arg)->is_lost = true;
}

static const struct ipc_handlers handlers = {
	.on_admin_item = on_item,
	.on_admin_done = on_done,
};

enum rc
queue_client_open(struct queue_client *q, const struct command *c, struct err *e)
{
	struct ipc_channel_conf conf = { .me = WIRE_COMMAND,
		.peer = WIRE_QUEUE,
		.on = &handlers,
		.on_close = on_close,
		.arg = q };
	enum rc rc;
	int fd;

	rc = command_connect(c, QUEUE_ADMIN_SOCKET, &fd, e);
	if (rc != RC_OK)
		return rc;
	q->loop = loop_new();
	q->ch = ipc_channel_new(q->loop, fd, &conf);
	return RC_OK;
}

enum rc
queue_client_ask(struct queue_client *q, const struct wire_admin *m, struct err *e)
{
	q->is_done = false;
	ipc_send_admin(q->ch, m);
	while (!q->is_done && !q->is_lost)
		loop_round(q->loop, -1);
	if (!q->is_done)
		return err_set(e, RC_TEMP, "the queue manager has gone away");
	return RC_OK;
}

void
queue_client_close(struct queue_client *q)
{
	ipc_channel_free(&q->ch);
	loop_free(&q->loop);
}
