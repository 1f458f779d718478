#ifndef IPC_CHANNEL_INT_H
#define IPC_CHANNEL_INT_H
#include "ipc/channel.h"

/* What the generated handlers.c needs of channel.c. */

/* Descriptors that arrived, in order, and wait for their messages. */
enum { IPC_FDS_MAX = 256 };

struct ipc_fds {
	int v[IPC_FDS_MAX];
	size_t n, at; /* v[at] … v[n - 1] wait */
};

int ipc_fds_take(struct ipc_fds *f); /* -1: none waits */

/* Opens a frame in the outgoing buffer; commit fills in its length. When anything does
 * not fit, or the channel is closed, commit takes the frame back and closes. */
struct wire_wr ipc_channel_begin(struct ipc_channel *ch, unsigned type);
void ipc_channel_commit(struct ipc_channel *ch, const struct wire_wr *w, int fd);
#endif
