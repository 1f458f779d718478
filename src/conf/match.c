/* Owns match lists that ask nobody: clients, destinations, users. Those that may ask
 * tables, and that address classes depend on, are route/list.c's.
 *
 * An item is a word, a network, "type:table", "/file" (its lines are items) or any of
 * these behind "!". The first item that matches decides; with "!" it decides no. */
#include "addr/net.h"
#include "base/arena.h"
#include "base/buf.h"
#include "conf/list.h"
#include "conf/main_cf.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_DEPTH_MAX 10
#define ITEMS_MAX      1000000

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

static enum rc
add_net(struct parser *p, struct str text, bool is_negated)
{
	struct match_item item = {
		.kind = MATCH_NET, .is_negated = is_negated, .text = text
	};
	struct err why = { .text = "" };

	if (addr_net_parse(text, &item.net, &why) != RC_OK) {
		item.kind = MATCH_INVALID;
		item.text = arena_str(p->mem, str_c(why.text));
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
	if (addr_net_looks_like(item))
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

/* ---- matching ---- */

static bool
word_matches(struct str word, struct str name)
{
	return str_ieq(word, name) || (word.n > 0 && word.p[0] == '.' &&
					  name.n > word.n && str_iends(name, word));
}

static bool
item_matches(const struct match_item *item, struct str name, const struct addr_ip *ip)
{
	switch (item->kind) {
	case MATCH_WORD:
		return name.n > 0 && word_matches(item->text, name);
	case MATCH_NET:
		return (name.n > 0 && str_ieq(item->text, name)) ||
		       addr_net_has(&item->net, ip);
	case MATCH_TABLE:
	case MATCH_INVALID:
		return false;
	}
	return false;
}

bool
match_list_has(const struct match_list *l, struct str name, const struct addr_ip *ip)
{
	static const struct addr_ip nowhere = { .family = ADDR_NONE };

	for (size_t i = 0; i < l->n; i++)
		if (item_matches(&l->v[i], name, ip != NULL ? ip : &nowhere))
			return !l->v[i].is_negated;
	return false;
}
