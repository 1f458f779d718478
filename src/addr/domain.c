/* Domain names and address literals as text: valid or not. */
#include "addr/domain.h"
#include "addr/net.h"

bool
addr_hostname_valid(struct str name)
{
	size_t label = 0;
	bool has_letter = false;

	if (name.n == 0 || name.n > ADDR_DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c == '.') {
			if (label == 0 || i + 1 == name.n)
				return false;
			label = 0;
			continue;
		}
		if (c == '-') {
			if (label == 0 || i + 1 == name.n || name.p[i + 1] == '.')
				return false;
		} else if (!ascii_isalnum(c) && c != '_') {
			return false;
		}
		if (!ascii_isdigit(c))
			has_letter = true;
		if (++label > ADDR_LABEL_MAX)
			return false;
	}
	return has_letter;
}

bool
addr_literal_valid(struct str inside_brackets)
{
	struct addr_ip ip;

	/* RFC 5321 4.1.3: an IPv6 literal carries its tag. */
	if (str_istarts(inside_brackets, STR("IPv6:")))
		return str_find(inside_brackets, '.') != 0 &&
		       addr_ip_parse_literal(inside_brackets, &ip) == RC_OK;
	return str_find(inside_brackets, ':') == inside_brackets.n &&
	       addr_ip_parse(inside_brackets, &ip) == RC_OK;
}

bool
addr_domain_valid(struct str domain)
{
	if (domain.n > 2 && *domain.p == '[')
		return domain.p[domain.n - 1] == ']' &&
		       addr_literal_valid(str_head(str_from(domain, 1), domain.n - 2));
	return addr_hostname_valid(domain);
}

struct str
addr_domain_lower(struct str domain, struct arena *mem)
{
	char *out = arena_get(mem, domain.n + 1);

	if (out == NULL)
		return (struct str){ NULL, 0 };
	for (size_t i = 0; i < domain.n; i++)
		out[i] = ascii_lower(domain.p[i]);
	return (struct str){ out, domain.n };
}
