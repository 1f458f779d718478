#include "smtp/reply.h"

bool
smtp_reply_line(struct str line, int *out_code, bool *out_is_last)
{
	if (line.n < 3 || line.p[0] < '1' || line.p[0] > '5' ||
	    !ascii_isdigit(line.p[1]) || !ascii_isdigit(line.p[2]))
		return false;
	if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return false;
	*out_code = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + line.p[2] - '0';
	*out_is_last = line.n == 3 || line.p[3] == ' ';
	return true;
}

/* One to three digits at `at`; 0: none. */
static size_t
digits(struct str s, size_t at)
{
	size_t n = 0;

	while (at + n < s.n && n < 4 && ascii_isdigit(s.p[at + n]))
		n++;
	return n <= 3 ? n : 0;
}

struct str
smtp_reply_dsn(struct str text, char digit)
{
	size_t subject, detail, n;

	if (text.n < 5 || text.p[0] != digit || text.p[1] != '.')
		return STR("");
	subject = digits(text, 2);
	if (subject == 0 || 2 + subject >= text.n || text.p[2 + subject] != '.')
		return STR("");
	detail = digits(text, 3 + subject);
	n = 3 + subject + detail;
	if (detail == 0 || (n < text.n && text.p[n] != ' '))
		return STR("");
	return str_head(text, n);
}
