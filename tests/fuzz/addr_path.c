/* Any bytes as the path of MAIL or RCPT, in every mode: what is accepted is short, has no
 * control characters, splits into its parts, and reading it again gives the same. The
 * same bytes as an address that RFC 5321 does not know, and as user%site. First byte: the
 * flags. */
#include "addr/address.h"
#include "addr/domain.h"
#include "addr/loose.h"
#include "addr/net.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_path(struct str in, unsigned flags, struct arena *mem)
{
	struct addr_path p, again;
	struct str bracketed;

	if (addr_path_parse(in, flags, mem, &p, NULL) != RC_OK)
		return;
	assert(p.external.n <= ADDR_MAX && p.rest.n <= in.n);
	for (size_t i = 0; i < p.external.n; i++)
		assert((unsigned char)p.external.p[i] >= ' ' && p.external.p[i] != 127);
	assert(p.domain.n == 0 || p.local.n + 1 + p.domain.n == p.external.n);
	bracketed = arena_printf(mem, "<%.*s>", STR_ARG(p.external));
	assert(addr_path_parse(bracketed, flags | ADDR_STRICT | ADDR_EMPTY_OK, mem,
		   &again, NULL) == RC_OK);
	assert(str_eq(p.external, again.external));
}

/* As MAIL and RCPT are read, see smtp/path.c. False: it is no address. */
static bool
read_loosely(struct str in, unsigned flags, struct arena *mem, struct addr_path *out)
{
	struct str address = STR(""), word = in;
	enum rc rc = RC_OK;

	if (!addr_word_is_plain(in)) {
		rc = addr_loose_read(in, flags, mem, &address);
		assert(rc != RC_OK || (address.n > 0 && address.n <= 3 * in.n + 4));
		address = addr_to_external(addr_to_internal(address, mem), mem);
		word = arena_printf(mem, "<%.*s>", STR_ARG(address));
	}
	return rc == RC_OK &&
	       addr_path_parse(word, ADDR_UTF8_OK, mem, out, NULL) == RC_OK &&
	       out->rest.n == 0;
}

/* What is understood as an address is understood in the same way when it is sent on. */
static void
check_loose(struct str in, unsigned flags, struct arena *mem)
{
	struct addr_path p, again;
	struct str word;

	if (in.n > ADDR_MAX || !read_loosely(in, flags, mem, &p) ||
	    (p.domain.n > 0 && *p.domain.p != '[' && !addr_domain_valid(p.domain)))
		return;
	word = arena_printf(mem, "<%.*s>", STR_ARG(p.external));
	assert(read_loosely(word, 0, mem, &again));
	assert(str_eq(p.external, again.external));
}

static void
check_operators(struct str in, unsigned which, struct arena *mem)
{
	struct str out = addr_swap_operators(in, which, mem);

	assert(out.p == NULL || out.n <= in.n + 3); /* "" and @ */
	assert(str_eq(out, in) || addr_find_bare(in, '!', false) < in.n ||
	       addr_find_bare(in, '%', false) < in.n);
}

static void
check_forms(struct str in, struct arena *mem)
{
	struct str external = addr_to_external(in, mem), back, user, ext;

	if (external.p == NULL || in.n == 0)
		return;
	back = addr_to_internal(external, mem);
	assert(back.p == NULL || str_eq(back, in));
	(void)addr_split_extension(in, STR("+-"), &user, &ext);
	assert(user.n + ext.n <= in.n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *mem;
	struct str in, decoded;
	struct addr_net net;
	struct addr_ip ip;

	if (size == 0)
		return 0;
	mem = arena_new(1 << 20);
	in = str_n(data + 1, size - 1);
	check_path(in, data[0] & 7, mem);
	check_loose(in, data[0] & 7, mem);
	check_operators(in, data[0] & 3, mem);
	check_forms(in, mem);
	(void)addr_hostname_valid(in);
	(void)addr_domain_valid(in);
	if (addr_net_parse(in, &net, NULL) == RC_OK)
		assert(addr_net_has(&net, &net.ip));
	(void)!addr_ip_parse_literal(in, &ip);
	if (addr_xtext_decode(in, mem, &decoded) == RC_OK) {
		struct str again = addr_xtext_encode(decoded, mem), twice;

		assert(addr_xtext_decode(again, mem, &twice) == RC_OK);
		assert(str_eq(decoded, twice));
	}
	arena_free(&mem);
	return 0;
}
