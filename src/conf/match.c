/* Owns match lists: mydestination, mynetworks, relay_domains and everything like them.
 *
 * An item is a word, a network, "type:table", "/file" (its lines are items) or any of
 * these behind "!". The first item that matches decides; with "!" it decides no. */
#include "base/arena.h"
#include "base/buf.h"
#include "conf/list.h"
#include "conf/main_cf.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_DEPTH_MAX 10
#define ITEMS_MAX      1000000

enum rc
conf_parse_ip(struct str text, unsigned char out[16])
{
	char z[INET6_ADDRSTRLEN];
	unsigned char ip[16] = { [10] = 0xff, [11] = 0xff };

	if (text.n == 0 || text.n >= sizeof(z) || memchr(text.p, '\0', text.n) != NULL)
		return RC_PERM;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	if (inet_pton(AF_INET, z, ip + 12) != 1 && inet_pton(AF_INET6, z, ip) != 1)
		return RC_PERM;
	memcpy(out, ip, 16);
	return RC_OK;
}

/* ---- files ---- */

static enum rc
read_os(void *arg, struct str path, struct arena *mem, struct str *out, struct err *e)
{
	const char *name = arena_cstr(mem, path);
	struct stat st;
	ssize_t n;
	char *p;
	int fd;

	(void)arg;
	if (name == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, RC_TEMP, "open file %s", name); /* compat */
	if (fstat(fd, &st) != 0 || st.st_size < 0 || st.st_size > CONF_FILE_MAX) {
		(void)close(fd);
		return err_set(e, RC_PERM, "file %s: unreadable or too large", name);
	}
	p = arena_get(mem, (size_t)st.st_size + 1);
	n = p == NULL ? -1 : read(fd, p, (size_t)st.st_size);
	(void)close(fd);
	if (n < 0)
		return err_set(e, RC_TEMP, "file %s: cannot be read", name);
	*out = str_n(p, (size_t)n);
	return RC_OK;
}

const struct match_files match_files_os = { read_os, NULL };

/* ---- parsing ---- */

struct parser {
	const struct match_files *files;
	struct arena *mem;
	struct match_item *v;
	size_t n, cap;
	unsigned depth;
	struct err *e;
};

static enum rc parse_items(struct parser *p, struct str text, bool is_negated);

static enum rc
add(struct parser *p, const struct match_item *item)
{
	if (p->n == p->cap) {
		size_t cap = p->cap == 0 ? 16 : p->cap * 2;
		struct match_item *v = NULL;

		if (cap <= ITEMS_MAX)
			v = arena_array(p->mem, cap, sizeof(*v));
		if (v == NULL)
			return err_set(p->e, RC_TEMP, "memory limit");
		if (p->n > 0)
			memcpy(v, p->v, p->n * sizeof(*v));
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = *item;
	return RC_OK;
}

/* Digits, dots, colons, brackets, at most one slash: meant as an address or network. */
static bool
looks_like_net(struct str s)
{
	bool has_digit_or_bracket = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\0' ||
		    strchr("0123456789.:/[]abcdefABCDEF", s.p[i]) == NULL)
			return false;
		has_digit_or_bracket |= ascii_isdigit(s.p[i]) || s.p[i] == '[';
	}
	return has_digit_or_bracket && (memchr(s.p, '/', s.n) != NULL || s.p[0] == '[' ||
					   ascii_isdigit(s.p[s.n - 1]));
}

static bool
has_host_bits(const struct match_item *item)
{
	for (unsigned i = item->bits; i < 128; i++)
		if ((item->net[i / 8] & (0x80U >> (i % 8))) != 0)
			return true;
	return false;
}

/* "[v6]/bits", "[v6/bits]", "v4/bits", "v4", "[v4]". False: none of these. */
static bool
parse_net(struct str text, struct match_item *item)
{
	struct str ip = text, bits = STR(""), head, tail;
	bool has_bits, is_v4;
	uint64_t n = 0;

	if (ip.n > 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
		ip = str_n(ip.p + 1, ip.n - 2);
	has_bits = str_cut(ip, '/', &head, &tail);
	if (has_bits) {
		ip = head;
		bits = tail;
	}
	if (ip.n > 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
		ip = str_n(ip.p + 1, ip.n - 2);
	if (conf_parse_ip(ip, item->net) != RC_OK)
		return false;
	is_v4 = memchr(ip.p, ':', ip.n) == NULL;
	item->bits = 128;
	if (has_bits) {
		if (str_u64(bits, is_v4 ? 32 : 128, &n) != RC_OK)
			return false;
		item->bits = (unsigned)n + (is_v4 ? 96 : 0);
	}
	return true;
}

static enum rc
add_net(struct parser *p, struct str text, bool is_negated)
{
	struct match_item item = {
		.kind = MATCH_NET, .is_negated = is_negated, .text = text
	};

	if (!parse_net(text, &item)) {
		item.kind = MATCH_INVALID;
		item.text = arena_printf(
		    p->mem, "bad net/mask pattern: \"%.*s\"", STR_ARG(text)); /* compat */
	} else if (has_host_bits(&item)) {
		item.kind = MATCH_INVALID;
		item.text = arena_printf(p->mem, "non-null host address bits in \"%.*s\"",
		    STR_ARG(text)); /* compat */
	}
	return item.text.p == NULL ? err_set(p->e, RC_TEMP, "memory limit")
				   : add(p, &item);
}

static enum rc
add_word(struct parser *p, struct str text, bool is_negated)
{
	struct match_item item = { .kind = MATCH_WORD, .is_negated = is_negated };
	char *lower = arena_get(p->mem, text.n + 1);

	if (lower == NULL)
		return err_set(p->e, RC_TEMP, "memory limit");
	for (size_t i = 0; i < text.n; i++)
		lower[i] = ascii_lower(text.p[i]);
	item.text = str_n(lower, text.n);
	return add(p, &item);
}

static enum rc
add_file(struct parser *p, struct str path, bool is_negated)
{
	struct conf_lines l;
	struct str text, line;
	enum rc rc;

	if (p->depth == FILE_DEPTH_MAX)
		return err_set(
		    p->e, RC_PERM, "files are nested too deep: %.*s", STR_ARG(path));
	rc = p->files->read(p->files->arg, path, p->mem, &text, p->e);
	if (rc != RC_OK)
		return rc;
	p->depth++;
	l = conf_lines(text);
	while ((rc = conf_lines_next(&l, p->mem, &line)) == RC_OK)
		if ((rc = parse_items(p, line, is_negated)) != RC_OK)
			break;
	p->depth--;
	if (rc == RC_TEMP)
		return err_set(p->e, rc, "memory limit");
	return rc == RC_NONE ? RC_OK : rc;
}

static enum rc
parse_item(struct parser *p, struct str item, bool is_negated)
{
	while (item.n > 0 && item.p[0] == '!') {
		is_negated = !is_negated;
		item = str_from(item, 1);
	}
	if (item.n == 0)
		return err_set(p->e, RC_PERM, "no pattern after '!'"); /* compat */
	if (item.p[0] == '/')
		return add_file(p, item, is_negated);
	if (item.p[0] != '[' && memchr(item.p, ':', item.n) != NULL)
		return add(
		    p, &(struct match_item){
			   .kind = MATCH_TABLE, .is_negated = is_negated, .text = item });
	if (looks_like_net(item))
		return add_net(p, item, is_negated);
	return add_word(p, item, is_negated);
}

static enum rc
parse_items(struct parser *p, struct str text, bool is_negated)
{
	struct str item;
	enum rc rc;

	while ((rc = conf_list_next(&text, &item)) == RC_OK) {
		rc = parse_item(p, item, is_negated);
		if (rc != RC_OK)
			return rc;
	}
	if (rc == RC_PERM)
		return err_set(p->e, rc, "missing '}' in \"%.*s\"", STR_ARG(text));
	return RC_OK;
}

enum rc
match_list_parse(struct str text, const struct match_files *files, struct arena *mem,
    struct match_list *out, struct err *e)
{
	struct parser p = { .files = files, .mem = mem, .e = e };
	struct match_list list = { 0 };
	enum rc rc = parse_items(&p, text, false);

	if (rc != RC_OK)
		return rc;
	list.v = p.v;
	list.n = p.n;
	for (size_t i = 0; i < p.n; i++)
		list.has_tables |= p.v[i].kind == MATCH_TABLE;
	*out = list;
	return RC_OK;
}

bool
match_parent_style(struct str parameter, struct str feature)
{
	struct str item;

	while (conf_list_next(&parameter, &item) == RC_OK)
		if (str_ieq(item, feature))
			return true;
	return false;
}

/* ---- matching ---- */

static bool
word_matches(const struct match_list *l, struct str word, struct str name)
{
	if (str_ieq(word, name))
		return true;
	if (name.n <= word.n || !str_iends(name, word))
		return false;
	if (l->parent_matches_sub)
		return name.p[name.n - word.n - 1] == '.';
	return word.p[0] == '.';
}

static bool
net_matches(const struct match_item *item, const unsigned char ip[16])
{
	unsigned whole = item->bits / 8, odd = item->bits % 8;

	if (memcmp(item->net, ip, whole) != 0)
		return false;
	return odd == 0 ||
	       ((item->net[whole] ^ ip[whole]) & (0xff00U >> odd) & 0xff) == 0;
}

static bool
item_matches(const struct match_query *q, const struct match_item *item)
{
	unsigned char ip[16];

	switch (item->kind) {
	case MATCH_WORD:
		return q->name.n > 0 && word_matches(q->list, item->text, q->name);
	case MATCH_NET:
		if (q->name.n > 0 && str_ieq(item->text, q->name))
			return true;
		return conf_parse_ip(q->address, ip) == RC_OK && net_matches(item, ip);
	case MATCH_TABLE:
	case MATCH_INVALID:
		return false;
	}
	return false;
}

static enum rc
walk(struct match_query *q, bool with_tables, bool *out_match)
{
	const struct match_item *item;

	for (; q->at < q->list->n; q->at++) {
		item = &q->list->v[q->at];
		if (item->kind == MATCH_TABLE && with_tables)
			return RC_MORE;
		if (item_matches(q, item)) {
			*out_match = !item->is_negated;
			return RC_OK;
		}
	}
	return RC_NONE;
}

enum rc
match_list_step(struct match_query *q, bool *out_match)
{
	return walk(q, true, out_match);
}

enum rc
match_list_answer(struct match_query *q, bool found, bool *out_match)
{
	if (found) {
		*out_match = !q->list->v[q->at].is_negated;
		return RC_OK;
	}
	q->at++;
	return walk(q, true, out_match);
}

/* Position of the nth dot-separated parent of `name`: 0 is all of it. */
static bool
nth_parent(struct str name, unsigned nth, bool keep_dot, struct str *out)
{
	size_t at = 0;

	while (nth-- > 0) {
		size_t dot = str_find(str_from(name, at + (at > 0 && keep_dot)), '.');

		dot += at + (at > 0 && keep_dot);
		if (dot + 1 >= name.n)
			return false;
		at = keep_dot ? dot : dot + 1;
	}
	*out = str_from(name, at);
	return true;
}

enum rc
match_table_key(const struct match_query *q, unsigned nth, struct str *out)
{
	unsigned parents = 0;
	struct str key;

	if (q->name.n > 0) {
		if (nth_parent(q->name, nth, !q->list->parent_matches_sub, out))
			return RC_OK;
		while (nth_parent(q->name, parents, !q->list->parent_matches_sub, &key))
			parents++;
	}
	if (q->address.n > 0 && nth == parents) {
		*out = q->address;
		return RC_OK;
	}
	return RC_NONE;
}

bool
match_list_pure(const struct match_list *l, struct str name, struct str address)
{
	struct match_query q = { .list = l, .name = name, .address = address };
	bool is_match = false;

	return walk(&q, false, &is_match) == RC_OK && is_match;
}
