#include "agent/decide_int.h"
#include "ask/ask.h"
#include "base/buf.h"
#include "os/fd.h"

#define DEPTH_MAX     10
#define LIST_TEXT_MAX ((size_t)16 << 20)

/* The lines of one file, comments off; `!` in front of the file turns every item round.
 */
static enum rc
put_file(struct buf *to, struct str path, bool is_not, struct err *e)
{
	struct arena *mem = arena_new(2 * LIST_TEXT_MAX);
	struct str text, line, item;
	enum rc rc = os_fd_load(arena_cstr(mem, path), LIST_TEXT_MAX, mem, &text, e);

	if (rc == RC_NONE)
		rc = err_set(e, RC_PERM, "open file %.*s: No such file or directory",
		    STR_ARG(path));
	while (rc == RC_OK && str_token(&text, "\r\n", &line)) {
		line = str_trim(line);
		if (line.n > 0 && line.p[0] == '#')
			continue;
		while (rc == RC_OK && (rc = ask_token(&line, &item)) == RC_OK)
			rc = buf_printf(to, "%s%.*s ", is_not ? "!" : "", STR_ARG(item));
		if (rc == RC_NONE)
			rc = RC_OK;
	}
	arena_free(&mem);
	return rc;
}

static enum rc
put_items(struct buf *to, struct str text, int depth, struct err *e)
{
	struct str item;
	enum rc rc;

	while ((rc = ask_token(&text, &item)) == RC_OK) {
		struct str path = item;
		bool is_not = false;
		struct buf inner;

		while (path.n > 0 && path.p[0] == '!') {
			is_not = !is_not;
			path = str_trim(str_from(path, 1));
		}
		if (path.n == 0 || path.p[0] != '/') {
			rc = buf_printf(to, "%.*s ", STR_ARG(item));
		} else if (depth == DEPTH_MAX) {
			rc = err_set(e, RC_PERM, "file %.*s: too many files in files",
			    STR_ARG(path));
		} else {
			buf_init(&inner, LIST_TEXT_MAX);
			rc = put_file(&inner, path, is_not, e);
			if (rc == RC_OK)
				rc = put_items(to, buf_view(&inner), depth + 1, e);
			buf_fini(&inner);
		}
		if (rc != RC_OK)
			return rc;
	}
	if (rc == RC_PERM)
		return err_set(e, RC_PERM, "unbalanced braces");
	return RC_OK;
}

enum rc
decide_list_text(struct str text, struct arena *mem, struct str *out, struct err *e)
{
	struct str copy;
	struct buf b;
	enum rc rc;

	buf_init(&b, LIST_TEXT_MAX);
	rc = put_items(&b, text, 0, e);
	copy = rc == RC_OK ? arena_str(mem, buf_view(&b)) : STR("");
	buf_fini(&b);
	if (rc != RC_OK)
		return rc;
	if (copy.p == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*out = copy;
	return RC_OK;
}
