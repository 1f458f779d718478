/* texthash:/file — the source text of postmap, read whole. */
#include "log/log.h"
#include "map/fold.h"
#include "map/map_int.h"
#include "map/source.h"
#include "os/fd.h"
#include <stdlib.h>

#define FILE_MAX_BYTES ((size_t)1 << 30)
#define LINE_LIMIT     ((size_t)4 << 20)

static void
warn(struct log *log, struct str file, const struct map_source_entry *en)
{
	const char *ignored = en->is_skipped && str_starts(en->warning, STR("expected"))
				  ? " -- ignoring this line" /* compat */
				  : "";

	if (log == NULL)
		return;
	if (en->has_line)
		log_warn(log, "%.*s, line %u: %.*s%s", STR_ARG(file), en->line,
		    STR_ARG(en->warning), ignored);
	else
		log_warn(log, "%.*s: %.*s", STR_ARG(file), STR_ARG(en->warning));
}

static enum rc
read_entries(struct map_mem *m, const struct map_how *how, struct str text, struct err *e)
{
	struct str file = how->name;
	struct log *log = how->env->log;
	struct arena *mem = arena_new(LINE_LIMIT);
	struct map_source s = map_source_start(text, mem);
	struct map_source_entry en;
	enum rc rc;

	while ((rc = map_source_next(&s, &en)) == RC_OK) {
		if (en.warning.n > 0)
			warn(log, file, &en);
		if (!en.is_skipped) {
			struct str key = en.key;

			rc = map_fold_key(en.key, how->is_utf8, mem, &key);
			if (rc == RC_NONE)
				continue;
			if (rc == RC_OK)
				rc = map_mem_put(m, key, en.value);
			if (rc == RC_NONE && log != NULL)
				log_warn(log, "%.*s, line %u: duplicate entry: \"%.*s\"",
				    STR_ARG(file), en.line, STR_ARG(key)); /* compat */
			if (rc == RC_TEMP)
				break;
		}
		arena_reset(mem);
	}
	arena_free(&mem);
	if (rc != RC_NONE)
		return err_set(e, RC_TEMP, "%.*s: too large", STR_ARG(file));
	return RC_OK;
}

static enum rc
texthash_open(const struct map_how *how, void **out, struct err *e)
{
	struct arena *mem = arena_new(FILE_MAX_BYTES);
	struct map_mem *m = map_mem_new();
	const char *path = arena_cstr(mem, how->name);
	struct err why = { 0 };
	struct str text;
	enum rc rc = os_fd_load(path, FILE_MAX_BYTES - 4096, mem, &text, &why);

	if (rc == RC_NONE)
		rc = err_set(
		    e, RC_TEMP, "open database %s: No such file or directory", path);
	else if (rc != RC_OK)
		rc = err_set(e, RC_TEMP, "open database %s: %s", path, why.text);
	else
		rc = read_entries(m, how, text, e);
	arena_free(&mem);
	if (rc != RC_OK) {
		map_mem_free(&m);
		return rc;
	}
	*out = m;
	return RC_OK;
}

const struct map_type map_type_texthash = {
	.name = "texthash",
	.traits = { .is_fixed = true },
	.suffix = "",
	.open = texthash_open,
	.close = map_mem_type_close,
	.find = map_mem_type_find,
	.each = map_mem_type_each,
};
