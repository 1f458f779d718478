/* What a client is told: gathered in a buffer of the process while its session runs, then
 * sent; a connection keeps only what the socket did not take. */
#include "prog/smtpd/smtpd.h"
#include <errno.h>
#include <sys/socket.h>

/* Nobody reads any more. */
static void
lose_output(struct conn *c)
{
	c->is_eof = c->is_gone = true;
	buf_reset(&c->out);
	buf_reset(&c->service->smtpd->out);
}

/* The answer to QUIT and the end of the connection leave in one packet: conn.c closes
 * it then. Only for who has nothing more to say, and after a read that left nothing in
 * the socket: with something unread there the end would be a reset, which takes words
 * along that have not left. */
static int
send_flags(const struct conn *c)
{
	bool is_last = c->service->smtpd->drained == c && conn_is_ending(c) &&
		       smtp_server_has_quit(c->session);

	return is_last ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
}

static void
write_bytes(struct conn *c, struct buf *b)
{
	while (b->n > 0) {
		struct str s = buf_view(b);
		ssize_t n = send(c->io.fd, s.p, s.n, send_flags(c));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0) {
			lose_output(c);
			return;
		}
		buf_consume(b, (size_t)n);
	}
}

/* What could not be sent at once is kept, behind what was kept before. */
void
output_flush(struct conn *c)
{
	struct buf *now = &c->service->smtpd->out;

	if (c->out.n > 0)
		write_bytes(c, &c->out);
	if (c->out.n == 0) {
		buf_release(&c->out);
		write_bytes(c, now);
	}
	if (now->n > 0 && buf_put(&c->out, buf_view(now)) != RC_OK)
		lose_output(c);
	buf_reset(now);
}

void
output_add(struct conn *c, struct str bytes)
{
	if (buf_put(&c->service->smtpd->out, bytes) != RC_OK)
		lose_output(c);
}
