/* Owns the decoding of rdata: every length is checked against the bytes that are there,
 * and what is left over is an error. */
#include "dns/record.h"
#include <string.h>

const char *
dns_type_name(enum dns_type type)
{
	switch (type) {
	case DNS_A:
		return "A";
	case DNS_NS:
		return "NS";
	case DNS_CNAME:
		return "CNAME";
	case DNS_SOA:
		return "SOA";
	case DNS_PTR:
		return "PTR";
	case DNS_MX:
		return "MX";
	case DNS_TXT:
		return "TXT";
	case DNS_AAAA:
		return "AAAA";
	}
	return "?";
}

static enum rc
decode_addr(struct str rdata, enum addr_family family, struct addr_ip *out, struct err *e)
{
	struct addr_ip a;

	if (rdata.n != (family == ADDR_IPV4 ? 4U : 16U))
		return err_set(e, RC_PERM, "address record of %zu bytes", rdata.n);
	/* A mapped address in an AAAA record would get around every list of IPv4
	 * networks. */
	a = addr_ip_from_bytes(rdata.p, rdata.n);
	if (a.family != family)
		return err_set(e, RC_PERM, "IPv4-mapped address in an AAAA record");
	*out = a;
	return RC_OK;
}

static enum rc
decode_name(struct str rdata, struct arena *mem, struct str *out, struct err *e)
{
	char text[DNS_NAME_TEXT_MAX];
	struct str name;
	size_t used;
	enum rc rc;

	rc = dns_name_decode(rdata, text, &used, e);
	if (rc != RC_OK)
		return rc;
	if (used != rdata.n)
		return err_set(e, RC_PERM, "bytes after a domain name");
	name = arena_str(mem, str_c(text));
	if (name.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*out = name;
	return RC_OK;
}

/* Character strings one after the other (RFC 1035 3.3.14), joined without a separator. */
static enum rc
decode_text(struct str rdata, struct arena *mem, struct str *out, struct err *e)
{
	size_t n = 0;
	char *text;

	if (rdata.n == 0 || rdata.n > DNS_TXT_MAX)
		return err_set(e, RC_PERM, "text record of %zu bytes", rdata.n);
	text = arena_get(mem, rdata.n);
	if (text == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	while (rdata.n > 0) {
		size_t len = (unsigned char)rdata.p[0];

		if (len + 1 > rdata.n)
			return err_set(e, RC_PERM, "text record cut short");
		memcpy(text + n, rdata.p + 1, len);
		n += len;
		rdata = str_from(rdata, len + 1);
	}
	*out = (struct str){ text, n };
	return RC_OK;
}

static enum rc
decode_mx(struct str rdata, struct arena *mem, struct dns_record *out, struct err *e)
{
	if (rdata.n < 3)
		return err_set(e, RC_PERM, "MX record cut short");
	out->preference =
	    (uint16_t)((unsigned char)rdata.p[0] << 8 | (unsigned char)rdata.p[1]);
	return decode_name(str_from(rdata, 2), mem, &out->name, e);
}

/* Of an SOA only that it exists matters: the master's name is kept. */
static enum rc
decode_soa(struct str rdata, struct arena *mem, struct dns_record *out, struct err *e)
{
	char text[DNS_NAME_TEXT_MAX];
	size_t used;
	enum rc rc;

	rc = dns_name_decode(rdata, text, &used, e);
	if (rc != RC_OK)
		return rc;
	out->name = arena_str(mem, str_c(text));
	return out->name.p != NULL ? RC_OK : err_set(e, RC_TEMP, "memory limit");
}

enum rc
dns_record_decode(enum dns_type type, struct str rdata, struct arena *mem,
    struct dns_record *out, struct err *e)
{
	struct dns_record r = { .type = type };
	enum rc rc = RC_PERM;

	switch (type) {
	case DNS_A:
		rc = decode_addr(rdata, 4, &r.addr, e);
		break;
	case DNS_AAAA:
		rc = decode_addr(rdata, 6, &r.addr, e);
		break;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
		rc = decode_name(rdata, mem, &r.name, e);
		break;
	case DNS_SOA:
		rc = decode_soa(rdata, mem, &r, e);
		break;
	case DNS_MX:
		rc = decode_mx(rdata, mem, &r, e);
		break;
	case DNS_TXT:
		rc = decode_text(rdata, mem, &r.text, e);
		break;
	}
	if (rc != RC_OK)
		return err_in(e, rc, "%s record", dns_type_name(type));
	*out = r;
	return RC_OK;
}

enum rc
dns_status_rc(enum dns_status s)
{
	switch (s) {
	case DNS_OK:
		return RC_OK;
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		return RC_NONE;
	case DNS_FAIL:
	case DNS_TIMEOUT:
		return RC_TEMP;
	case DNS_INVALID:
		return RC_PERM;
	}
	return RC_TEMP;
}

const char *
dns_status_text(enum dns_status s) /* compat: texts of Postfix's log */
{
	switch (s) {
	case DNS_OK:
		return "Success";
	case DNS_NODATA:
		return "Host found but no data record of requested type";
	case DNS_NXDOMAIN:
		return "Host not found";
	case DNS_FAIL:
	case DNS_TIMEOUT:
		return "Host not found, try again";
	case DNS_INVALID:
		return "Malformed or unexpected name server reply";
	}
	return "Unknown error";
}

struct str
dns_status_reason(const struct dns_answer *a, struct arena *mem)
{
	return arena_printf(mem,
	    "Host or domain name not found. "
	    "Name service error for name=%.*s type=%s: %s", /* compat */
	    STR_ARG(a->qname), dns_type_name(a->type), dns_status_text(a->status));
}
