/* The envelope: who sends, who receives, what the sender wants to hear. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "addr/address.h"
#include "agent/maildrop.h"
#include "dsn/notice.h"
#include "mime/header.h"
#include "prog/admin/sendmail/sendmail.h"

struct recipients {
	struct mail *m;
	size_t n;
	bool is_dry; /* only count */
};

/* a@@b as "a@"@b: what header fields let pass must be an address in an envelope, too. */
static struct str
quoted(struct mail *m, struct str address)
{
	struct str internal;

	if (address.n == 0)
		return address;
	internal = addr_to_internal(address, m->c->mem);
	if (internal.p != NULL)
		address = addr_to_external(internal, m->c->mem);
	if (internal.p == NULL || address.p == NULL)
		mail_fatal(m, "addresses too long");
	return address;
}

static void
put_rcpt(void *arg, struct str address)
{
	struct recipients *r = arg;

	if (address.n == 0 || ++r->n > MAILDROP_RCPTS_MAX || r->is_dry)
		return;
	mail_put(r->m, 'R', quoted(r->m, address));
}

/* The first address of a text like "Name <user@host>"; empty for "<>". */
struct first {
	struct arena *mem;
	struct str address;
	size_t n;
};

static void
take_first(void *arg, struct str address)
{
	struct first *f = arg;

	if (f->n++ == 0)
		f->address = arena_str(f->mem, address);
}

/* gecos up to its first comma, "&" being the login name. */
static struct str
gecos_name(struct arena *mem, const struct passwd *pw)
{
	struct str gecos, before, after;

	if (pw == NULL || pw->pw_gecos == NULL)
		return STR("");
	gecos = str_c(pw->pw_gecos);
	gecos = str_head(gecos, str_find(gecos, ','));
	if (!str_cut(gecos, '&', &before, &after))
		return gecos;
	return arena_printf(mem, "%.*s%c%s%.*s", STR_ARG(before),
	    ascii_upper(pw->pw_name[0]), pw->pw_name[0] != '\0' ? pw->pw_name + 1 : "",
	    STR_ARG(after));
}

/* A name may hold anything: what would end the record's line goes away. */
static struct str
one_line(struct arena *mem, struct str s)
{
	char *p = arena_get(mem, s.n + 1);

	if (p == NULL || s.n > 250)
		return STR("");
	for (size_t i = 0; i < s.n; i++)
		p[i] = (unsigned char)s.p[i] < ' ' || s.p[i] == 127 ? ' ' : s.p[i];
	return str_n(p, s.n);
}

static void
put_sender(struct mail *m)
{
	struct arena *mem = m->c->mem;
	const struct passwd *pw = getpwuid(getuid());
	struct first f = { .mem = mem };
	struct str name;

	if (m->o->sender == NULL) {
		f.address = pw != NULL ? str_c(pw->pw_name)
				       : arena_printf(mem, "%ld", (long)getuid());
	} else {
		if (mime_addresses_each(str_c(m->o->sender), mem, take_first, &f) !=
		    RC_OK)
			mail_fatal(m, "sender too long");
		if (f.n > 1)
			command_warn(m->c, "-f option specified malformed sender: %s",
			    m->o->sender); /* compat */
	}
	if (m->o->verp != NULL && f.address.n == 0) /* compat */
		command_fatal(m->c, EX_TEMPFAIL,
		    "(%ld): -V option requires non-null sender address", (long)getuid());
	mail_put(m, 'S', quoted(m, f.address));
	if (m->o->full_name != NULL)
		name = str_c(m->o->full_name);
	else if (getenv("NAME") != NULL)
		name = str_c(getenv("NAME"));
	else
		name = gecos_name(mem, pw);
	name = str_trim(one_line(mem, name));
	if (name.n > 0)
		mail_put(m, 'F', name);
}

/* -N delay,failure,success or never. 0: nothing, or nonsense. */
static unsigned
notify_mask(struct mail *m)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = {
		{ "never", DSN_NOTIFY_NEVER },
		{ "success", DSN_NOTIFY_SUCCESS },
		{ "failure", DSN_NOTIFY_FAILURE },
		{ "delay", DSN_NOTIFY_DELAY },
	};
	struct str rest = str_c(m->o->notify), word;
	unsigned mask = 0;

	while (str_token(&rest, ", \t", &word)) {
		unsigned bit = 0;

		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			if (str_iis(word, names[i].name))
				bit = names[i].bit;
		if (bit == 0) {
			command_warn(m->c,
			    "unknown DSN NOTIFY command value \"%.*s\" in \"%s\"",
			    STR_ARG(word), m->o->notify);
			command_warn(m->c, "bad -N option value -- ignored"); /* compat */
			return 0;
		}
		mask |= bit;
	}
	if ((mask & DSN_NOTIFY_NEVER) && mask != DSN_NOTIFY_NEVER) {
		command_warn(m->c, "bad -N option value -- ignored");
		return 0;
	}
	return mask;
}

static void
put_wishes(struct mail *m)
{
	const struct options *o = m->o;
	unsigned notify;

	if (o->envid != NULL)
		mail_put(m, 'E', one_line(m->c->mem, str_c(o->envid)));
	if (o->ret != NULL &&
	    (str_iis(str_c(o->ret), "full") || str_iis(str_c(o->ret), "hdrs")))
		mail_put(
		    m, 'T', str_iis(str_c(o->ret), "hdrs") ? STR("hdrs") : STR("full"));
	else if (o->ret != NULL)
		command_warn(m->c, "bad -R option value -- ignored"); /* compat */
	if (o->body_type != NULL)
		mail_put(m, 'B', str_c(o->body_type));
	if (o->is_gateway)
		mail_put(m, 'G', STR(""));
	if (o->verp != NULL)
		mail_put(m, 'P', str_c(o->verp));
	if (o->smtputf8)
		mail_put(m, 'U', STR(""));
	if (o->only_verifies || o->verbose == 1)
		mail_put(m, 'M', o->only_verifies ? STR("verify") : STR("report"));
	notify = o->notify != NULL ? notify_mask(m) : 0;
	if (notify != 0)
		mail_put(m, 'N', arena_printf(m->c->mem, "%u", notify));
}

/* ---- -t ---- */

static bool
is_resent(enum mime_header h)
{
	return h == MIME_HDR_RESENT_TO || h == MIME_HDR_RESENT_CC ||
	       h == MIME_HDR_RESENT_BCC;
}

static bool
names_rcpts(enum mime_header h, bool resent)
{
	if (resent)
		return is_resent(h);
	return h == MIME_HDR_TO || h == MIME_HDR_CC || h == MIME_HDR_BCC;
}

/* Takes the next field with its folded lines; false: the header is over. */
static bool
next_field(struct str *rest, enum mime_header *h, struct str *value)
{
	size_t name_n, value_at, n = 0;

	if (!mime_header_split(*rest, &name_n, &value_at))
		return false;
	do
		n += str_find(str_from(*rest, n), '\n') + 1;
	while (n < rest->n && (rest->p[n] == ' ' || rest->p[n] == '\t'));
	*h = mime_header_find(str_head(*rest, name_n));
	*value = str_from(str_head(*rest, n), value_at);
	*rest = str_from(*rest, n);
	return true;
}

/* Calls put_rcpt for each; with Resent- fields those alone count (RFC 5322 3.6.6). */
static void
extract(struct recipients *r, struct str header)
{
	struct str rest = header, value;
	enum mime_header h;
	bool resent = false;

	while (next_field(&rest, &h, &value))
		resent = resent || is_resent(h);
	rest = header;
	while (next_field(&rest, &h, &value))
		if (names_rcpts(h, resent) &&
		    mime_addresses_each(value, r->m->c->mem, put_rcpt, r) != RC_OK)
			mail_fatal(r->m, "too many recipients");
}

static void
each_rcpt(struct recipients *r, struct str header)
{
	for (size_t i = 0; i < r->m->o->n_rcpts; i++)
		if (mime_addresses_each(
			str_c(r->m->o->rcpts[i]), r->m->c->mem, put_rcpt, r) != RC_OK)
			mail_fatal(r->m, "too many recipients");
	if (r->m->o->wants_extraction)
		extract(r, header);
}

void
envelope_write(struct mail *m, struct str header)
{
	struct recipients r = { .m = m, .is_dry = true };

	each_rcpt(&r, header);
	if (r.n == 0) /* compat */
		mail_fatal(m, m->o->wants_extraction
				  ? "No recipient addresses found in message header"
				  : "Recipient addresses must be specified on the "
				    "command line or via "
				    "the -t option");
	mail_put(m, 'V', STR("1"));
	put_sender(m);
	put_wishes(m);
	r = (struct recipients){ .m = m };
	each_rcpt(&r, header);
}
