#ifndef PROG_SMTPD_FILTER_INT_H
#define PROG_SMTPD_FILTER_INT_H
/* The two halves of smtpd_proxy_filter: filter_link.c has the socket, proxy_filter.c what
 * is said over it. */
#include "prog/smtpd/smtpd.h"
#include "smtp/filter_client.h"

#define FILTER_OUT_SLOW ((size_t)256 * 1024) /* more waits: the client must, too */
#define FILTER_TROUBLE  "451 4.3.0 Error: queue file write error" /* compat */

struct filter {
	struct conn *c;
	struct smtp_filter *session;
	struct net_query *naming;
	struct loop_io io; /* .fd < 0: not connected */
	struct loop_timer timer;
	struct loop_task soon; /* a failure is told from the loop */
	struct buf out;
	struct arena *mem;
	struct addr_ip addrs[4];
	size_t n_addrs, at_addr;
	bool is_connecting, is_broken;
	/* Whose answer the next reply is; NULL: nobody's. */
	void (*replied)(struct filter *f, int code, struct str reply);
	struct smtp_filter_conf conf;
};

/* Connects, later; the message owns it. */
void filter_open(struct conn *c);
/* One command; `replied` is called with the filter's answer, or with code 0 and
 * FILTER_TROUBLE, maybe before this returns. */
void filter_ask(struct filter *f, struct str line,
    void (*replied)(struct filter *f, int code, struct str reply));
/* The same for the end of the content. */
void filter_ask_end(
    struct filter *f, void (*replied)(struct filter *f, int code, struct str reply));
/* Carries out what the session wants. May free `f` when it answers: that comes last. */
void filter_pump(struct filter *f);
/* As the log names it. */
struct str filter_name(const struct filter *f);
#endif
