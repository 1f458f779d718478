/* Any bytes as rdata of any type, and as a name: decoding ends, stays inside, and what it
 * accepts can be encoded again. Input: one byte of type, then the rdata. */
#include "addr/domain.h"
#include "dns/record.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_name(struct str in)
{
	unsigned char wire[DNS_NAME_WIRE_MAX];
	char text[DNS_NAME_TEXT_MAX];
	size_t used = 0, n = 0;

	if (dns_name_decode(in, text, &used, NULL) != RC_OK)
		return;
	assert(used <= in.n && used <= DNS_NAME_WIRE_MAX);
	assert(dns_name_encode(str_c(text), wire, &n) == RC_OK);
	assert(n == used && memcmp(wire, in.p, n) == 0);
	(void)addr_hostname_valid(str_c(text));
}

static void
check_record(enum dns_type type, struct str rdata)
{
	struct arena *mem = arena_new(65536);
	struct dns_record r = { 0 };

	if (dns_record_decode(type, rdata, mem, &r, NULL) == RC_OK) {
		assert(r.type == type);
		assert(r.name.n < DNS_NAME_TEXT_MAX && r.text.n <= DNS_TXT_MAX);
	}
	arena_free(&mem);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct addr_ip a;

	if (size == 0)
		return 0;
	check_name(str_n(data, size));
	check_record((enum dns_type)(data[0] % 32), str_n(data + 1, size - 1));
	if (addr_ip_parse(str_n(data, size), &a) == RC_OK) {
		char text[ADDR_IP_TEXT_MAX], name[DNS_NAME_TEXT_MAX];
		struct addr_ip back;

		assert(addr_ip_parse(addr_ip_format(&a, text), &back) == RC_OK);
		assert(addr_ip_eq(&a, &back));
		addr_ip_reverse(&a, name);
	}
	return 0;
}
