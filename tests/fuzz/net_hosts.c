/* Any bytes as a hosts file, as a next hop and as a services file. */
#include "addr/domain.h"
#include "net/endpoint.h"
#include "net/hosts.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t seed[2] = { 1, 2 };
	struct addr_ip addrs[NET_HOSTS_ADDRS_MAX];
	struct str text = str_n(data, size), rest = text, word, name;
	struct net_hosts *h = NULL;
	struct net_ports ports;
	struct net_dest dest;
	uint16_t port = 0;

	if (net_hosts_parse(text, seed, &h, NULL) == RC_OK) {
		while (str_token(&rest, " \t\n", &word)) {
			struct addr_ip a;

			assert(net_hosts_addrs(h, word, addrs, ARRAY_LEN(addrs)) <=
			       ARRAY_LEN(addrs));
			if (addr_ip_parse(word, &a) == RC_OK &&
			    net_hosts_name(h, &a, &name) == RC_OK)
				assert(addr_hostname_valid(name));
		}
		net_hosts_free(&h);
	}
	ports = (struct net_ports){ text, text };
	if (net_dest_parse(text, 25, &ports, &dest, NULL) == RC_OK)
		assert(dest.host.n > 0 && dest.host.n <= 255 && dest.port > 0);
	if (net_port_find(STR("foo"), &ports, &port) == RC_OK)
		assert(port > 0);
	return 0;
}
