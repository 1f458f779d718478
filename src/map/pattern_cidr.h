#ifndef MAP_PATTERN_CIDR_H
#define MAP_PATTERN_CIDR_H
#include "map/pattern.h"

/* Networks, and the rules of cidr: tables over them. Pure. */

struct cidr_net {
	uint8_t addr[16]; /* IPv4: the first four bytes */
	uint8_t bits;
	bool is_v6;
};
/* RC_PERM: no address. Leading zeros are none; ::ffff:1.2.3.4 is an IPv6 address. */
MUST_USE enum rc cidr_addr_parse(struct str s, struct cidr_net *out);
bool cidr_net_holds(const struct cidr_net *net, const struct cidr_net *addr);

/* A line: [!]pattern value, IF [!]pattern, ENDIF. */
struct cidr_line {
	enum pattern_op op;
	bool is_negated;
	struct cidr_net net;
	struct str value;
};
/* RC_PERM: no rule; warned of. ENDIF is not checked against IF. */
MUST_USE enum rc cidr_line_parse(const struct pattern_line *line,
    const struct pattern_warner *w, struct cidr_line *out);

/* The rules, asked by one hash per prefix length that occurs. Single thread. */
struct cidr_rules;
struct cidr_rules *cidr_rules_new(void);
void cidr_rules_free(struct cidr_rules **r);
/* Keeps the view of the value. */
void cidr_rules_add(struct cidr_rules *r, const struct cidr_line *l, uint32_t line,
    const struct pattern_warner *w);
/* No more are added. */
void cidr_rules_done(struct cidr_rules *r, const struct pattern_warner *w);
/* RC_NONE: no rule matches. */
MUST_USE enum rc cidr_rules_find(
    struct cidr_rules *r, const struct cidr_net *addr, struct str *out);
#endif
