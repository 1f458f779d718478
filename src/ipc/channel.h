#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H
#include "base/base.h"
#include "ipc/handlers.h"  /* generated: struct ipc_handlers, ipc_send_<message>() */
#include "wire/messages.h" /* generated: struct wire_<message>, enum wire_role */

struct log;
struct loop;

/* A channel: one end of a stream socket on which messages of wire/messages.ipc travel.
 *
 * Frame: u32 length of what follows, u8 message type, payload. Descriptors ride on the
 * frame's first byte. What the peer may send is what messages.ipc lets its role send to
 * ours; anything else, and anything unreadable, closes the channel.
 *
 * Sending never blocks and never fails to the caller's face: it appends to a buffer that
 * goes out once a round. When the peer is gone and what it said was handled, or out_max
 * is exceeded, the channel closes and on_close says so; sends on a closed channel, or to
 * a peer that is gone, do nothing. A sender that may produce much looks at
 * ipc_channel_pending() and waits for on_room. */
struct ipc_channel;

enum { IPC_FRAME_MAX = 8 << 20 };

struct ipc_channel_conf {
	enum wire_role me, peer;
	const struct ipc_handlers
	    *on; /* static; a message without handler closes the channel */
	/* The peer is gone (why = NULL) or was dropped (why = the reason, for the log).
	 * Called once, from the loop, never from inside a send. Free the channel here or
	 * later. */
	void (*on_close)(void *arg, const char *why);
	void (*on_room)(void *arg); /* pending fell below out_low; may be NULL */
	void *arg;                  /* first argument of every callback */
	size_t out_max;             /* 0: 32 MiB */
	size_t out_low;             /* 0: 64 KiB */
	/* None of its messages carries a descriptor: one that comes closes the channel. A
	 * peer could send its own end, and would then never be seen to leave. */
	bool refuses_fds;
};

/* Takes over `fd`, which becomes nonblocking. conf is copied. */
struct ipc_channel *ipc_channel_new(
    struct loop *l, int fd, const struct ipc_channel_conf *conf);
/* Closes at once; what was not sent is lost. Allowed inside any callback of its own. */
void ipc_channel_free(struct ipc_channel **ch);
/* Sends what is pending, then closes (and on_close is called). */
void ipc_channel_finish(struct ipc_channel *ch);
/* Bytes that wait to be sent. */
size_t ipc_channel_pending(const struct ipc_channel *ch);
bool ipc_channel_is_open(const struct ipc_channel *ch);
/* Stops reading (the peer then feels back-pressure) or goes on. */
void ipc_channel_pause(struct ipc_channel *ch, bool on);
/* Tries to send now, not at the end of the round. For commands and the last words. */
void ipc_channel_flush(struct ipc_channel *ch);
#endif
