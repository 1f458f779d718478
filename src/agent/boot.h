#ifndef AGENT_BOOT_H
#define AGENT_BOOT_H
#include "base/base.h"

struct arena;
struct buf;

/* What master tells a worker on its command line: `smtpd -W "TEXT"`, where TEXT is
 *
 *     instance=7 n=2 at=0 control=5 conf=6 log=7 listen=0:8,0:9,3:10
 *
 * The numbers behind control, conf, log and listen are inherited descriptors. log=-1
 * means syslog. listen pairs are SERVICE:FD, SERVICE being the position of the line in
 * the snapshot's master.cf; "admin" in its place is private/queue, which no line
 * declares. */
enum { BOOT_LISTEN_MAX = 4096 };
#define BOOT_ADMIN UINT32_MAX

struct boot_listen {
	uint32_t service; /* BOOT_ADMIN: private/queue */
	int fd;
};

struct boot {
	uint32_t instance, n_workers, worker_at;
	int control_fd, conf_fd, log_fd;
	const struct boot_listen *listen;
	size_t n_listen;
};

/* Appends it. RC_TEMP: longer than `out` may be. */
MUST_USE enum rc boot_format(const struct boot *b, struct buf *out);
/* Memory: *out lives in `mem`. RC_PERM: not what boot_format() makes. */
MUST_USE enum rc boot_parse(struct str text, struct arena *mem, struct boot *out);
#endif
