/* The proxy's header. Whoever may connect to such a port may claim to be any client, so
 * nothing here guesses: what is not exactly a header is refused.
 *
 *	v1	"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n", or TCP6, or "PROXY
 *UNKNOWN …" v2	signature (12), version and command (1), family and transport (1), length
 *of what follows (2, big endian), addresses and ports, extensions (skipped) */
#include "net/proxy_protocol.h"
#include <stdio.h>
#include <string.h>

#define V1_PREFIX       "PROXY "
#define V1_MIN          ((size_t)14) /* "PROXY UNKNOWN\n" */
#define V2_SIGNATURE    "\r\n\r\n\0\r\nQUIT\n"
#define V2_HEADER       ((size_t)16)
#define V2_VERSION      2
#define V2_LOCAL        0
#define V2_PROXY        1
#define V2_TCP4         0x11
#define V2_TCP6         0x21
#define PORT_DIGITS_MAX 5

static enum rc
bad(struct err *e, const char *what)
{
	return err_set(e, RC_PERM, "%s", what);
}

/* ---- version 2 ---- */

static uint16_t
u16(const char *p)
{
	return (uint16_t)((unsigned)(uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

static enum rc
addresses_v2(struct str body, size_t bytes, struct proxy_header *out, struct err *e)
{
	if (body.n < 2 * bytes + 4)
		return bad(e, "short address field"); /* compat: this and all below */
	out->client = addr_ip_from_bytes(body.p, bytes);
	out->server = addr_ip_from_bytes(body.p + bytes, bytes);
	out->client_port = u16(body.p + 2 * bytes);
	out->server_port = u16(body.p + 2 * bytes + 2);
	return RC_OK;
}

static enum rc
decode_v2(struct str in, struct proxy_header *out, size_t *used, struct err *e)
{
	struct proxy_header h = { 0 };
	unsigned version, command;
	size_t n;
	enum rc rc = RC_OK;

	if (in.n < V2_HEADER)
		return RC_MORE;
	version = (uint8_t)in.p[12] >> 4;
	command = (uint8_t)in.p[12] & 0x0f;
	n = u16(in.p + 14);
	if (version != V2_VERSION)
		return bad(e, "unrecognized protocol version");
	if (V2_HEADER + n > PROXY_HEADER_MAX)
		return bad(e, "short version 2 protocol header");
	if (command != V2_LOCAL && command != V2_PROXY)
		return bad(e, "bad command in proxy header");
	if (in.n < V2_HEADER + n)
		return RC_MORE;
	if (command == V2_LOCAL)
		h.is_local = true;
	else if ((uint8_t)in.p[13] == V2_TCP4)
		rc = addresses_v2(str_head(str_from(in, V2_HEADER), n), 4, &h, e);
	else if ((uint8_t)in.p[13] == V2_TCP6)
		rc = addresses_v2(str_head(str_from(in, V2_HEADER), n), 16, &h, e);
	else
		rc = bad(e, "unsupported network protocol");
	if (rc != RC_OK)
		return rc;
	*out = h;
	*used = V2_HEADER + n;
	return RC_OK;
}

/* ---- version 1 ---- */

static bool
read_port(struct str *rest, uint16_t *out)
{
	uint64_t port = 0;
	struct str word;

	if (!str_token(rest, " ", &word) || word.n > PORT_DIGITS_MAX ||
	    (word.n > 1 && word.p[0] == '0') || str_u64(word, UINT16_MAX, &port) != RC_OK)
		return false;
	*out = (uint16_t)port;
	return true;
}

static bool
read_address(struct str *rest, enum addr_family family, struct addr_ip *out)
{
	bool is_colon;
	struct str word;

	if (!str_token(rest, " ", &word))
		return false;
	is_colon = str_find(word, ':') < word.n;
	/* A v4-mapped address is an IPv4 one once it is parsed. */
	return is_colon == (family == ADDR_IPV6) && addr_ip_parse(word, out) == RC_OK;
}

/* compat: the line's end may be a bare LF, and words behind the last port are ignored. */
static enum rc
parse_v1(struct str line, struct proxy_header *out, struct err *e)
{
	struct str rest = str_from(line, strlen(V1_PREFIX)), word = STR("");
	enum addr_family family;

	if (!str_token(&rest, " ", &word))
		return bad(e, "bad or missing protocol type");
	if (str_is(word, "UNKNOWN")) {
		out->is_local = true;
		return RC_OK;
	}
	if (str_is(word, "TCP4"))
		family = ADDR_IPV4;
	else if (str_is(word, "TCP6"))
		family = ADDR_IPV6;
	else
		return bad(e, "bad or missing protocol type");
	if (!read_address(&rest, family, &out->client))
		return bad(e, "bad or missing client address");
	if (!read_address(&rest, family, &out->server))
		return bad(e, "bad or missing server address");
	if (!read_port(&rest, &out->client_port))
		return bad(e, "bad or missing client port");
	if (!read_port(&rest, &out->server_port))
		return bad(e, "bad or missing server port");
	return RC_OK;
}

static enum rc
decode_v1(struct str in, struct proxy_header *out, size_t *used, struct err *e)
{
	struct proxy_header h = { 0 };
	size_t end = str_find(str_head(in, PROXY_HEADER_MAX), '\n');
	struct str line = str_head(in, end);
	enum rc rc;

	if (end == PROXY_HEADER_MAX)
		return bad(e, "missing protocol header terminator");
	if (end == in.n)
		return RC_MORE;
	if (end + 1 < V1_MIN)
		return bad(e, "short protocol header");
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	rc = parse_v1(line, &h, e);
	if (rc != RC_OK)
		return rc;
	*out = h;
	*used = end + 1;
	return RC_OK;
}

enum rc
proxy_header_decode(struct str in, struct proxy_header *out, size_t *used, struct err *e)
{
	const struct str v1 = STR(V1_PREFIX), v2 = STR(V2_SIGNATURE);

	if (str_starts(in, v2))
		return decode_v2(in, out, used, e);
	if (str_starts(in, v1))
		return decode_v1(in, out, used, e);
	if (str_starts(v2, in) || str_starts(v1, in))
		return RC_MORE;
	if (in.n < V1_MIN)
		return bad(e, "short protocol header");
	return bad(e, "unrecognized protocol header");
}

const char *
proxy_header_cut(struct str in)
{
	if (in.n == 0)
		return "EOF";
	if (str_starts(in, STR(V2_SIGNATURE)))
		return "short version 2 protocol header";
	return in.n < V1_MIN ? "short protocol header"
			     : "missing protocol header terminator";
}

struct str
proxy_header_escape(struct str in, char *to, size_t size)
{
	static const char plain[] = "\a\b\f\n\r\t\v\\", letter[] = "abfnrtv\\";
	size_t n = 0;

	for (size_t i = 0; i < in.n && n + 5 <= size; i++) {
		unsigned char c = (unsigned char)in.p[i];
		const char *special = c == '\0' ? NULL : strchr(plain, c);

		if (special != NULL) {
			to[n++] = '\\';
			to[n++] = letter[special - plain];
		} else if (c < ' ' || c >= 0x7f) {
			n += (size_t)snprintf(to + n, 5, "\\%03o", c);
		} else {
			to[n++] = (char)c;
		}
	}
	return (struct str){ to, n };
}
