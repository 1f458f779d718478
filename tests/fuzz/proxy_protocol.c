/* Any bytes as a proxy's header: what is accepted is no longer than the limit, says the
 * same when more follows, and asked for more when it was cut. */
#include "net/proxy_protocol.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_n(data, size);
	struct proxy_header h = { 0 }, again = { 0 };
	char text[100];
	size_t used = 0, used_again = 0;
	enum rc rc = proxy_header_decode(in, &h, &used, NULL);

	assert(proxy_header_cut(in)[0] != '\0');
	assert(proxy_header_escape(in, text, sizeof(text)).n <= sizeof(text));
	if (rc == RC_MORE)
		assert(size < PROXY_HEADER_MAX);
	if (rc != RC_OK)
		return 0;
	assert(used > 0 && used <= size && used <= PROXY_HEADER_MAX);
	assert(h.is_local == (h.client.family == ADDR_NONE));
	assert(
	    proxy_header_decode(str_head(in, used), &again, &used_again, NULL) == RC_OK);
	assert(used == used_again && h.client_port == again.client_port);
	assert(addr_ip_eq(&h.client, &again.client));
	for (size_t n = 0; n < used; n++)
		assert(proxy_header_decode(str_head(in, n), &again, &used_again, NULL) ==
		       RC_MORE);
	return 0;
}
