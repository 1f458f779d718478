#ifndef MAP_PLUGIN_LDAP_LINK_H
#define MAP_PLUGIN_LDAP_LINK_H
/* One connection to the servers of a table: in order, the first that answers; opened when
 * it is needed, and anew when it is lost. */
#include "map/plugin/query.h"
#include <ldap.h>

#define LDAP_URLS_MAX    100
#define LDAP_MESSAGE_MAX ((size_t)4 << 20) /* bytes of one message of the server */

struct ldap_tls {
	const char *ca_file, *ca_dir, *cert, *key, *ciphers, *random_file; /* or NULL */
	bool is_checked;
	bool is_wanted; /* some URL or start_tls asks for it */
};

struct ldap_conf {
	const char **urls;
	size_t n_urls;
	int version, scope, dereference, size_limit;
	bool binds, start_tls, chases_referrals;
	const char *bind_dn; /* or NULL */
	char *bind_pw;       /* or NULL */
	int64_t timeout_us;  /* of connecting, binding, one search */
	struct ldap_tls tls;
};

struct ldap_link {
	const struct ldap_conf *conf;
	const struct map_query *q; /* for warnings */
	LDAP *ld;                  /* NULL: none */
	struct ldap_conncb hook;   /* of ld's connections */
	Sockbuf_IO guard;          /* likewise */
	int64_t end_us;            /* no read or write of theirs waits longer */
	size_t at;                 /* which of the URLs is connected, or is tried first */
	bool is_proven;            /* the server answered a search */
};

struct ldap_search {
	const char *base, *filter;
	int scope;
	char **attributes; /* NULL-terminated */
};

/* What was found: entries with the values of each attribute, in the server's order. */
struct ldap_values {
	struct ldap_values *next;
	struct str name;
	struct str *v;
	size_t n;
};
struct ldap_entry {
	struct ldap_entry *next;
	struct ldap_values *attributes;
};
struct ldap_found {
	struct ldap_entry *entries;
	int code; /* LDAP's, of the search; 0: success */
};

/* Memory:  entries in `mem`, whose limit is the limit of what a server may say.
 * Returns: RC_OK the server answered; found->code may still be an error. RC_TEMP no
 * server did, or too much; logged, with the reason in e. Blocks:  the timeout for
 * connecting and again for the search, for each URL once. Name servers are asked by libc,
 * within its own limits. */
MUST_USE enum rc ldap_link_search(struct ldap_link *l, const struct ldap_search *s,
    struct arena *mem, struct ldap_found *found, struct err *e);
void ldap_link_close(struct ldap_link *l);
/* The words for a code. */
const char *ldap_link_words(int code);
#endif
