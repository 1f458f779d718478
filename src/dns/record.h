#ifndef DNS_RECORD_H
#define DNS_RECORD_H
/* Resource records decoded from rdata, and the shape of an answer. */
#include "base/base.h"
#include "base/arena.h"
#include "addr/net.h"
#include "dns/name.h"

#define DNS_ANSWER_MAX 100 /* records kept of one answer; the rest is dropped */
#define DNS_TXT_MAX    4096

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
};

/* "A", "MX" …; "?" for others. */
const char *dns_type_name(enum dns_type type);

struct dns_record {
	enum dns_type type;
	uint16_t preference; /* MX */
	struct addr_ip addr; /* A, AAAA */
	struct str name; /* NS, CNAME, PTR, MX: target, no last dot, "." is the root; has
			    a NUL behind */
	struct str text; /* TXT: the character strings joined */
};

/* Decodes one record's rdata (names uncompressed).
 *
 * Memory:  names and text live in `mem`.
 * Returns: RC_PERM malformed or of a type not in the enum above; RC_TEMP memory limit. */
MUST_USE enum rc dns_record_decode(enum dns_type type, struct str rdata,
    struct arena *mem, struct dns_record *out, struct err *e);

/* Why there is no answer, in the words of Postfix's log lines. */
enum dns_status {
	DNS_OK,       /* records follow */
	DNS_NODATA,   /* the name exists, or might, but has no such record */
	DNS_NXDOMAIN, /* the name does not exist */
	DNS_FAIL,     /* SERVFAIL, refused: try later */
	DNS_TIMEOUT,  /* nobody answered: try later */
	DNS_INVALID,  /* the answer, or the name asked for, is not usable: will not get
			 better */
};

/* One answer. Copy what outlives the callback that brings it. */
struct dns_answer {
	enum dns_status status;
	enum dns_type type;
	struct str qname; /* as asked */
	struct str
	    canonical; /* the name at the end of the CNAMEs; qname when there are none */
	uint32_t ttl_s;
	const struct dns_record *records;
	size_t n;
	bool is_secure; /* validated by DNSSEC; always false until DANE is built */
};

/* DNS_OK is RC_OK; no data and no domain RC_NONE; trouble RC_TEMP; invalid RC_PERM. */
enum rc dns_status_rc(enum dns_status s);
/* "Host not found", "Host found but no data record of requested type", "Host not found,
 * try again", "Malformed or unexpected name server reply". */
const char *dns_status_text(enum dns_status s); /* compat */

/* "Host or domain name not found. Name service error for name=%s type=%s: %s" */
struct str dns_status_reason(const struct dns_answer *a, struct arena *mem); /* compat */
#endif
