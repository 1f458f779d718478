#ifndef NET_HOSTS_H
#define NET_HOSTS_H
/* The hosts file (hosts(5)), both ways: names to addresses and addresses to the first
 * name of their first line. */
#include "base/base.h"
#include "base/arena.h"
#include "addr/net.h"

#define NET_HOSTS_FILE_MAX  (8 * 1024 * 1024)
#define NET_HOSTS_ADDRS_MAX 100 /* per name */

struct net_hosts;

/* Reads the text of a hosts file. Lines that make no sense are skipped, as everybody
 * does. Memory: *out owns copies. Returns: RC_TEMP the text is over NET_HOSTS_FILE_MAX.
 */
MUST_USE enum rc net_hosts_parse(
    struct str text, const uint64_t seed[2], struct net_hosts **out, struct err *e);
void net_hosts_free(struct net_hosts **h);

/* The addresses of `name`, in the file's order. Returns how many were put into `out`. */
size_t net_hosts_addrs(
    const struct net_hosts *h, struct str name, struct addr_ip *out, size_t max);
/* RC_NONE: not in the file. *out is valid as long as `h`. */
MUST_USE enum rc net_hosts_name(
    const struct net_hosts *h, const struct addr_ip *a, struct str *out);
#endif
