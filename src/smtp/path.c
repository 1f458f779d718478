/* Arguments of MAIL and RCPT. What an address looks like is src/addr's; here is what
 * stands around it, and which reply Postfix gives for what is wrong. */
#include "smtp/path.h"
#include "addr/address.h"
#include "addr/domain.h"
#include "addr/loose.h"
#include "addr/net.h"
#include "smtp/orcpt.h"
#include <string.h>

/* ---- the pieces ---- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct str
skip_blanks(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = str_from(s, 1);
	return s;
}

/* How long the first word of `s` is; <...>, which may be nested, and "..." are part of a
 * word whatever they hold. *is_closed: not if one of them goes on to the end. */
static size_t
word_length(struct str s, bool *is_closed)
{
	bool in_quotes = false;
	size_t depth = 0, i;

	for (i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\' && i + 1 < s.n)
			i++;
		else if (c == '"')
			in_quotes = !in_quotes;
		else if (in_quotes)
			continue;
		else if (c == '<')
			depth++;
		else if (c == '>' && depth > 0)
			depth--;
		else if (depth == 0 && is_blank(c))
			break;
	}
	*is_closed = !in_quotes && depth == 0;
	return i;
}

/* RC_PERM: < or " is not closed. */
static enum rc
first_word(struct str s, struct str *out)
{
	bool is_closed;
	size_t n = word_length(s, &is_closed);

	if (!is_closed)
		return RC_PERM;
	*out = str_head(s, n);
	return RC_OK;
}

bool
smtp_path_word(struct str *rest, struct str *word)
{
	struct str in = skip_blanks(*rest);
	bool is_closed;

	if (in.n == 0)
		return false;
	*word = str_head(in, word_length(in, &is_closed));
	*rest = str_from(in, word->n);
	return true;
}

static enum rc
refuse(struct smtp_path_bad *bad, struct str reply)
{
	bad->reply = reply;
	bad->text = STR("");
	return RC_PERM;
}

static enum rc
no_room(struct smtp_path_bad *bad)
{
	bad->reply = STR("452 4.3.1 Insufficient system storage"); /* compat */
	bad->text = STR("");
	return RC_TEMP;
}

/* compat: "site!user@" is user@site, "a@b"@ is a@b, and "user@" is `user` where that is
 * allowed. */
static struct str
without_empty_domain(struct str address, const struct smtp_path_conf *conf)
{
	struct str user = str_head(address, address.n > 0 ? address.n - 1 : 0);
	bool has_operator = str_find(user, '@') < user.n ||
			    ((conf->operators & ADDR_BANG) != 0 &&
				addr_find_bare(user, '!', false) < user.n) ||
			    ((conf->operators & ADDR_PERCENT) != 0 &&
				addr_find_bare(user, '%', false) < user.n);

	if (!str_ends(address, STR("@")) || str_is(user, "\"\"") ||
	    (!conf->null_ok && !has_operator))
		return address;
	return user;
}

/* compat: "a@b" in quotes is a@b. */
static struct str
meant(struct str address, struct arena *mem)
{
	return addr_to_external(addr_to_internal(address, mem), mem);
}

/* What Postfix lets pass and src/addr does not, made
 * "<address>" or, when nobody could read it, "<": `word` itself where it is plain. */
static enum rc
make_readable(struct str word, const struct smtp_path_conf *conf, unsigned flags,
    struct arena *mem, struct str *out)
{
	struct str address = STR("");
	enum rc rc;

	*out = word;
	if (addr_word_is_plain(word))
		return RC_OK;
	rc = addr_loose_read(word, flags, mem, &address);
	if (rc == RC_TEMP)
		return rc;
	address = meant(address, mem);
	if (str_ends(address, STR("@")))
		address = meant(without_empty_domain(address, conf), mem);
	*out = rc == RC_PERM ? STR("<") : arena_printf(mem, "<%.*s>", STR_ARG(address));
	return out->p == NULL ? RC_TEMP : RC_OK;
}

struct path_request {
	struct str args;
	const char *key;                /* "FROM:" */
	unsigned flags;                 /* enum addr_flag */
	struct str syntax, bad_address; /* replies */
	const struct smtp_path_conf *conf;
	bool utf8_ok; /* a domain may have bytes above ASCII */
};

/* Every character above ASCII counts as a letter: which of them IDNA allows is for later.
 */
static bool
utf8_domain_is_fine(struct str domain)
{
	char letters[ADDR_MAX];
	size_t n = 0;

	for (size_t i = 0; i < domain.n && n < sizeof(letters); i++) {
		unsigned char c = (unsigned char)domain.p[i];

		if (c < 0x80 || c >= 0xc0) /* not the rest of a character */
			letters[n++] = c < 0x80 ? (char)c : 'x';
	}
	return addr_domain_valid(str_n(letters, n));
}

/* Compat: what could never be a domain is refused at once, strict or not. */
static bool
domain_is_fine(const struct path_request *r, struct str domain)
{
	struct addr_ip ip;

	if (domain.n == 0)
		return true;
	if (r->conf->numeric_ok && addr_ip_parse(domain, &ip) == RC_OK)
		return true;
	if (smtp_path_is_utf8(domain))
		return r->utf8_ok && utf8_domain_is_fine(domain);
	return addr_domain_valid(domain);
}

/* compat: what an address means has to have a domain that could be one, too: "a%b..c",
 * and the "1" that is completed to a name. */
static enum rc
check_meaning(
    const struct path_request *r, const struct addr_path *path, struct arena *mem)
{
	struct str meant = path->external, local, domain;

	if (path->domain.n == 0)
		meant = addr_swap_operators(meant, r->conf->operators, mem);
	if (meant.p == NULL && path->external.n > 0)
		return RC_TEMP;
	addr_split(meant, &local, &domain);
	if (domain.n == 0)
		return local.n == meant.n || r->conf->null_ok ? RC_OK : RC_PERM;
	if (r->conf->append_dot && *domain.p != '[' &&
	    str_find(domain, '.') == domain.n) {
		domain = arena_printf(mem, "%.*s.x", STR_ARG(domain));
		if (domain.p == NULL)
			return RC_TEMP;
	}
	if (path->domain.n == 0 && domain.n > 1 && str_ends(domain, STR(".")))
		domain = str_head(domain, domain.n - 1);
	return domain_is_fine(r, domain) ? RC_OK : RC_PERM;
}

/* An address that means what it says is not kept as it was written. */
static enum rc
keep_written(struct str word, struct str address, struct arena *mem, struct str *out)
{
	*out = STR("");
	if (word.n == address.n + 2 && *word.p == '<' &&
	    str_eq(str_head(str_from(word, 1), address.n), address) &&
	    str_find(word, '%') == word.n && str_find(word, '!') == word.n &&
	    str_find(word, '"') == word.n)
		return RC_OK;
	*out = arena_str(mem, word);
	return out->p == NULL ? RC_TEMP : RC_OK;
}

struct path_found {
	struct str address, written;
	struct str rest; /* the parameters behind it */
};

static enum rc
read_path(const struct path_request *r, struct arena *mem, struct path_found *out,
    struct smtp_path_bad *bad)
{
	struct str in = skip_blanks(r->args), word, path_text;
	struct addr_path path;
	enum rc rc;

	if (!str_istarts(in, str_c(r->key)))
		return refuse(bad, r->syntax);
	in = skip_blanks(str_from(in, strlen(r->key)));
	if (in.n == 0)
		return refuse(bad, r->syntax);
	if (first_word(in, &word) != RC_OK)
		return refuse(bad, r->bad_address);
	path_text = word;
	rc = make_readable(word, r->conf, r->flags, mem, &path_text);
	if (rc == RC_OK)
		rc = addr_path_parse(
		    path_text, r->flags & ~(unsigned)ADDR_STRICT, mem, &path, NULL);
	if (rc == RC_TEMP)
		return no_room(bad);
	/* compat: strictly, nobody at a domain is no sender. */
	if (rc == RC_OK && (r->flags & ADDR_STRICT) != 0 &&
	    (str_starts(path.external, STR("\"\"@")) ||
		str_starts(path.external, STR("\"@"))))
		rc = RC_PERM;
	/* Something is glued to the path: "<a@b>SIZE=1". */
	if (rc == RC_OK)
		rc = path.rest.n > 0 ? RC_PERM : check_meaning(r, &path, mem);
	if (rc == RC_OK)
		rc = keep_written(word, path.external, mem, &out->written);
	if (rc == RC_TEMP)
		return no_room(bad);
	if (rc == RC_OK && !r->conf->minus_ok && addr_has_minus(path.external))
		rc = RC_PERM;
	if (rc != RC_OK) {
		bad->reply = r->bad_address;
		bad->text = word;
		return RC_PERM;
	}
	out->address = path.external;
	out->rest = skip_blanks(str_from(in, word.n));
	return RC_OK;
}

/* "KEY=VALUE" with this key: true, and the value. */
static bool
parameter(struct str word, struct str key, struct str *value)
{
	struct str k, v;

	if (!str_cut(word, '=', &k, &v) || k.n != key.n || !str_istarts(k, key))
		return false;
	*value = v;
	return true;
}

static enum rc
unsupported(struct str word, struct arena *mem, struct smtp_path_bad *bad)
{
	struct str s = arena_printf(
	    mem, "555 5.5.4 Unsupported option: %.*s", STR_ARG(word)); /* compat */

	return s.p == NULL ? no_room(bad) : refuse(bad, s);
}

/* ---- MAIL ---- */

static enum rc
mail_size(struct str v, struct smtp_mail_args *out, struct smtp_path_bad *bad)
{
	uint64_t n;

	for (size_t i = 0; i < v.n; i++)
		if (!ascii_isdigit(v.p[i]))
			return refuse(
			    bad, STR("501 5.5.4 Bad message size syntax")); /* compat */
	if (v.n == 0)
		return refuse(bad, STR("501 5.5.4 Bad message size syntax"));
	if (str_u64(v, INT64_MAX, &n) != RC_OK)
		return refuse(bad, STR("552 5.3.4 Message size exceeds file system "
				       "imposed limit")); /* compat */
	out->size_bytes = (int64_t)n;
	return RC_OK;
}

static enum rc
mail_ret(struct str v, struct smtp_mail_args *out, struct smtp_path_bad *bad)
{
	bool full = str_iis(v, "FULL"), hdrs = str_iis(v, "HDRS");

	if (out->ret != SMTP_RET_NONE || (!full && !hdrs))
		return refuse(
		    bad, STR("501 5.5.4 Bad RET parameter syntax")); /* compat */
	out->ret = full ? SMTP_RET_FULL : SMTP_RET_HDRS;
	return RC_OK;
}

static enum rc
mail_envid(struct str v, struct arena *mem, struct smtp_mail_args *out,
    struct smtp_path_bad *bad)
{
	enum rc rc = RC_PERM;

	if (out->envid.n == 0 && v.n > 0 && v.n <= 100) /* RFC 3461 4.4 */
		rc = addr_xtext_decode(v, mem, &out->envid);
	if (rc == RC_TEMP)
		return no_room(bad);
	for (size_t i = 0; rc == RC_OK && i < out->envid.n; i++)
		if ((unsigned char)out->envid.p[i] > '~')
			rc = RC_PERM;
	if (rc != RC_OK || out->envid.n == 0)
		return refuse(
		    bad, STR("501 5.5.4 Bad ENVID parameter syntax")); /* compat */
	return RC_OK;
}

static enum rc
mail_verp(struct str word, const struct smtp_path_conf *conf, struct arena *mem,
    struct smtp_mail_args *out, struct smtp_path_bad *bad)
{
	struct str key, v = conf->verp_delimiters;

	if (str_cut(word, '=', &key, &v) &&
	    (v.n != 2 || str_find(conf->verp_filter, v.p[0]) == conf->verp_filter.n ||
		str_find(conf->verp_filter, v.p[1]) == conf->verp_filter.n)) {
		struct str no = arena_printf(mem,
		    "501 5.5.4 Error: XVERP needs two characters from %.*s", /* compat */
		    STR_ARG(conf->verp_filter));

		return no.p == NULL ? no_room(bad) : refuse(bad, no);
	}
	out->verp = v;
	return RC_OK;
}

/* compat: nobody is authenticated, and nobody minds; it is logged. */
static enum rc
mail_auth(struct str v, struct smtp_mail_args *out, struct smtp_path_bad *bad)
{
	if (out->has_auth)
		return refuse(
		    bad, STR("503 5.5.4 Error: multiple AUTH= options")); /* compat */
	out->has_auth = !str_is(v, "<>");
	if (out->has_auth)
		out->auth = v;
	return RC_OK;
}

static enum rc
mail_parameter(struct str word, const struct smtp_path_conf *conf, struct arena *mem,
    struct smtp_mail_args *out, struct smtp_path_bad *bad)
{
	bool is_ret, is_envid;
	struct str v;

	if (parameter(word, STR("SIZE"), &v))
		return mail_size(v, out, bad);
	if (str_iis(word, "BODY=8BITMIME"))
		out->body = SMTP_BODY_8BITMIME;
	else if (str_iis(word, "BODY=7BIT"))
		out->body = SMTP_BODY_7BIT;
	else if (conf->has_utf8 && str_iis(word, "SMTPUTF8"))
		out->smtputf8 = true;
	else if (conf->has_verp &&
		 (str_iis(word, "XVERP") || parameter(word, STR("XVERP"), &v)))
		return mail_verp(word, conf, mem, out, bad);
	else if (parameter(word, STR("AUTH"), &v))
		return mail_auth(v, out, bad);
	else if ((is_ret = parameter(word, STR("RET"), &v)) ||
		 (is_envid = parameter(word, STR("ENVID"), &v))) {
		if (!conf->has_dsn)
			return refuse(
			    bad, STR("501 5.7.1 DSN support is disabled")); /* compat */
		return is_ret ? mail_ret(v, out, bad) : mail_envid(v, mem, out, bad);
	} else
		return unsupported(word, mem, bad);
	return RC_OK;
}

/* Whether MAIL has the parameter: it says how to read the address before it. */
static bool
asks_for_utf8(struct str args, const struct smtp_path_conf *conf)
{
	struct str word;

	/* The address is the first word, or the one behind "FROM:". */
	while (conf->has_utf8 && smtp_path_word(&args, &word))
		if (str_iis(word, "SMTPUTF8"))
			return true;
	return false;
}

enum rc
smtp_path_mail(struct str args, const struct smtp_path_conf *conf, struct arena *mem,
    struct smtp_mail_args *out, struct smtp_path_bad *bad)
{
	struct path_request r = { .args = args,
		.key = "FROM:",
		.flags = ADDR_EMPTY_OK | ADDR_UTF8_OK | (conf->strict ? ADDR_STRICT : 0),
		.conf = conf,
		.utf8_ok = asks_for_utf8(args, conf),
		.syntax = STR("501 5.5.4 Syntax: MAIL FROM:<address>"), /* compat */
		.bad_address = STR("501 5.1.7 Bad sender address syntax") };
	struct smtp_mail_args mail = { 0 };
	struct path_found found = { 0 };
	struct str word;
	enum rc rc;

	*bad = (struct smtp_path_bad){ .text = STR("") };
	rc = read_path(&r, mem, &found, bad);
	mail.address = found.address;
	mail.written = found.written;

	while (rc == RC_OK && smtp_path_word(&found.rest, &word))
		rc = mail_parameter(word, conf, mem, &mail, bad);
	if (rc == RC_OK && mail.verp.n > 0 && mail.address.n == 0)
		rc = refuse(bad,
		    STR("503 5.5.4 Error: XVERP requires non-null sender")); /* compat */
	if (rc != RC_OK)
		return rc;
	/* Views of the line outlive it. */
	if (mail.verp.n > 0)
		mail.verp = arena_str(mem, mail.verp);
	if (mail.auth.n > 0)
		mail.auth = arena_str(mem, mail.auth);
	if ((mail.verp.n > 0 && mail.verp.p == NULL) ||
	    (mail.auth.n > 0 && mail.auth.p == NULL))
		return no_room(bad);
	*out = mail;
	return rc;
}

/* ---- RCPT ---- */

static enum rc
rcpt_notify(struct str v, struct arena *mem, struct smtp_rcpt_args *out,
    struct smtp_path_bad *bad)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = { { "NEVER", SMTP_NOTIFY_NEVER }, { "SUCCESS", SMTP_NOTIFY_SUCCESS },
		{ "FAILURE", SMTP_NOTIFY_FAILURE }, { "DELAY", SMTP_NOTIFY_DELAY } };
	struct str word = STR(""), all = v;
	unsigned bits = 0;

	while (str_token(&v, ",", &word)) {
		size_t i = 0;

		while (i < ARRAY_LEN(names) && !str_iis(word, names[i].name))
			i++;
		if (i == ARRAY_LEN(names))
			break;
		bits |= names[i].bit;
		word = STR("");
	}
	if (word.n > 0) { /* the one that is none */
		bad->warning = arena_printf(mem,
		    "unknown DSN NOTIFY command value \"%.*s\" in \"%.*s\"", /* compat */
		    STR_ARG(str_head(word, 100)), STR_ARG(str_head(all, 200)));
		bits = 0;
	}
	if (bits == 0 || out->notify != 0 ||
	    ((bits & SMTP_NOTIFY_NEVER) != 0 && bits != SMTP_NOTIFY_NEVER))
		return refuse(bad,
		    STR("501 5.5.4 Error: Bad NOTIFY parameter syntax")); /* compat */
	out->notify = bits;
	return RC_OK;
}

static enum rc
rcpt_orcpt(struct str v, struct arena *mem, struct smtp_rcpt_args *out,
    struct smtp_path_bad *bad)
{
	enum rc rc = RC_PERM;

	if (out->orcpt.n == 0 && v.n <= 500) /* RFC 3461 4.2 */
		rc = smtp_orcpt_decode(v, mem, &out->orcpt);
	if (rc == RC_TEMP)
		return no_room(bad);
	if (rc != RC_OK)
		return refuse(
		    bad, STR("501 5.5.4 Error: Bad ORCPT parameter syntax")); /* compat */
	return RC_OK;
}

static enum rc
rcpt_parameter(struct str word, const struct smtp_path_conf *conf, struct arena *mem,
    struct smtp_rcpt_args *out, struct smtp_path_bad *bad)
{
	bool is_notify;
	struct str v;

	is_notify = parameter(word, STR("NOTIFY"), &v);
	if (!is_notify && !parameter(word, STR("ORCPT"), &v))
		return unsupported(word, mem, bad);
	if (!conf->has_dsn)
		return refuse(bad, STR("501 5.7.1 DSN support is disabled")); /* compat */
	return is_notify ? rcpt_notify(v, mem, out, bad) : rcpt_orcpt(v, mem, out, bad);
}

enum rc
smtp_path_rcpt(struct str args, const struct smtp_path_conf *conf, struct arena *mem,
    struct smtp_rcpt_args *out, struct smtp_path_bad *bad)
{
	struct path_request r = { .args = args,
		.key = "TO:",
		.flags = ADDR_UTF8_OK | (conf->strict ? ADDR_STRICT : 0),
		.conf = conf,
		.utf8_ok = conf->utf8_ok,
		.syntax = STR("501 5.5.4 Syntax: RCPT TO:<address>"), /* compat */
		.bad_address = STR("501 5.1.3 Bad recipient address syntax") };
	struct smtp_rcpt_args rcpt = { 0 };
	struct path_found found = { 0 };
	struct str word;
	enum rc rc;

	*bad = (struct smtp_path_bad){ .text = STR("") };
	rc = read_path(&r, mem, &found, bad);
	rcpt.address = found.address;
	rcpt.written = found.written;

	while (rc == RC_OK && smtp_path_word(&found.rest, &word))
		rc = rcpt_parameter(word, conf, mem, &rcpt, bad);
	if (rc == RC_OK)
		*out = rcpt;
	return rc;
}

bool
smtp_path_is_utf8(struct str s)
{
	return !str_is_ascii(s);
}

enum rc
smtp_path_vrfy(
    struct str arg, const struct smtp_path_conf *conf, struct arena *mem, struct str *out)
{
	struct path_request r = { .conf = conf, .utf8_ok = conf->utf8_ok };
	struct addr_path path;
	struct str word;
	enum rc rc;

	rc = make_readable(str_trim(arg), conf, 0, mem, &word);
	if (rc == RC_OK)
		rc = addr_path_parse(word, ADDR_UTF8_OK, mem, &path, NULL);
	if (rc == RC_OK)
		rc = path.rest.n > 0 ? RC_PERM : check_meaning(&r, &path, mem);
	if (rc == RC_OK && !conf->minus_ok && addr_has_minus(path.external))
		rc = RC_PERM;
	if (rc == RC_OK)
		*out = path.external;
	return rc;
}
