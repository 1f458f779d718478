/* Owns making a snapshot: from the files, from texts, from a descriptor.
 *
 * On a descriptor it is "hikyaku configuration 1\n" and then pieces, each "NAME
 * LENGTH\n", that many bytes, "\n"; the piece "end" is the last. */
#include "conf/snapshot.h"
#include "base/arena.h"
#include "base/buf.h"
#include "conf/host_int.h"
#include "conf/params.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "hikyaku configuration 1\n"

static enum rc
no_memory(struct err *e)
{
	return err_set(e, RC_TEMP, "configuration: memory limit");
}

/* Reads all of `fd` into `mem`; more than `max` bytes is RC_PERM. */
static enum rc
read_all(int fd, size_t max, struct arena *mem, struct str *out, struct err *e)
{
	struct stat st;
	size_t n = 0;
	ssize_t got;
	char *p;

	if (fstat(fd, &st) != 0)
		return err_sys(e, RC_TEMP, "stat");
	if (st.st_size < 0 || (size_t)st.st_size > max)
		return err_set(e, RC_PERM, "file is too large");
	p = arena_get(mem, (size_t)st.st_size + 1);
	if (p == NULL)
		return no_memory(e);
	while (n < (size_t)st.st_size) {
		got = pread(fd, p + n, (size_t)st.st_size - n, (off_t)n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, RC_TEMP, "read");
		if (got == 0)
			break;
		n += (size_t)got;
	}
	*out = str_n(p, n);
	return RC_OK;
}

static enum rc
read_file(struct str path, struct arena *mem, struct str *out, struct err *e)
{
	const char *cpath = arena_cstr(mem, path);
	enum rc rc;
	int fd;

	if (cpath == NULL)
		return no_memory(e);
	fd = open(cpath, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, RC_TEMP, "open %s", cpath); /* compat */
	rc = read_all(fd, CONF_FILE_MAX, mem, out, e);
	(void)close(fd);
	return rc == RC_OK ? RC_OK : err_in(e, rc, "%s", cpath);
}

/* Both texts are there: parses them. */
static enum rc
parse(struct conf_snapshot *s, bool without_master, struct arena *mem, struct err *e)
{
	struct err ignored;
	enum rc rc;

	rc = main_cf_parse(s->main_path, s->main_text, mem, &s->main, e);
	if (rc != RC_OK)
		return rc;
	rc = master_cf_parse(s->master_path, s->master_text, mem, &s->master,
	    without_master ? &ignored : e);
	return without_master && rc == RC_PERM ? RC_OK : rc;
}

/* "-" in the chroot column meant "y" before compatibility level 1. */
static enum rc
apply_level(struct conf_snapshot *s, struct arena *mem, struct err *e)
{
	struct str answer;
	enum rc rc;

	rc = conf_expand(s, NULL, STR("${{$compatibility_level} <level {1} ? {y} : {n}}"),
	    mem, &answer, e);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < s->master.n; i++)
		if (!s->master.v[i].has_chroot)
			s->master.v[i].is_chroot = str_is(answer, "y");
	return RC_OK;
}

static enum rc
set_paths(struct conf_snapshot *s, struct str directory, struct arena *mem, struct err *e)
{
	while (directory.n > 1 && directory.p[directory.n - 1] == '/')
		directory.n--;
	s->config_directory = arena_str(mem, directory);
	s->main_path = arena_printf(mem, "%.*s/main.cf", STR_ARG(directory));
	s->master_path = arena_printf(mem, "%.*s/master.cf", STR_ARG(directory));
	if (s->config_directory.p == NULL || s->main_path.p == NULL ||
	    s->master_path.p == NULL)
		return no_memory(e);
	return RC_OK;
}

enum rc
conf_load(const struct conf_load *what, struct arena *mem,
    const struct conf_snapshot **out, struct err *e)
{
	struct conf_snapshot *s = arena_get(mem, sizeof(*s));
	enum rc rc;

	if (s == NULL)
		return no_memory(e);
	s->process_name = what->process_name;
	s->process_id = getpid();
	s->extra = what->extra;
	s->n_extra = what->n_extra;
	rc = set_paths(s, what->config_directory, mem, e);
	if (rc == RC_OK && !what->without_main)
		rc = read_file(s->main_path, mem, &s->main_text, e);
	if (rc != RC_OK)
		return rc;
	rc = read_file(s->master_path, mem, &s->master_text, e);
	if (rc != RC_OK && !what->without_master)
		return rc;
	rc = parse(s, what->without_master, mem, e);
	if (rc == RC_OK)
		rc = conf_host_load(mem, &s->host, e);
	s->host.resolves_late = what->without_master;
	if (rc == RC_OK && !what->without_master)
		rc = conf_host_resolve(s, mem, &s->host.names, e);
	if (rc == RC_OK && !what->without_master)
		rc = apply_level(s, mem, e);
	if (rc == RC_OK)
		*out = s;
	return rc;
}

enum rc
conf_from_text(struct str main_text, struct str master_text, const struct conf_host *host,
    struct arena *mem, const struct conf_snapshot **out, struct err *e)
{
	struct conf_snapshot *s = arena_get(mem, sizeof(*s));
	enum rc rc;

	if (s == NULL)
		return no_memory(e);
	rc = set_paths(s, STR("/etc/postfix"), mem, e);
	if (rc != RC_OK)
		return rc;
	s->main_text = arena_str(mem, main_text);
	s->master_text = arena_str(mem, master_text);
	s->host.name = host != NULL ? host->name : STR("localhost");
	if (host != NULL)
		s->host = *host;
	if (s->main_text.p == NULL || s->master_text.p == NULL)
		return no_memory(e);
	rc = parse(s, false, mem, e);
	if (rc == RC_OK)
		rc = apply_level(s, mem, e);
	if (rc == RC_OK)
		*out = s;
	return rc;
}

/* ---- on a descriptor ---- */

/* The pieces by name; one table for writing and reading. */
static const struct piece {
	const char *name;
	size_t offset;
} pieces[] = {
	{ "config_directory", offsetof(struct conf_snapshot, config_directory) },
	{ "main_path", offsetof(struct conf_snapshot, main_path) },
	{ "master_path", offsetof(struct conf_snapshot, master_path) },
	{ "main_text", offsetof(struct conf_snapshot, main_text) },
	{ "master_text", offsetof(struct conf_snapshot, master_text) },
	{ "host_name", offsetof(struct conf_snapshot, host.name) },
	{ "host_addresses", offsetof(struct conf_snapshot, host.addresses) },
	{ "host_names", offsetof(struct conf_snapshot, host.names) },
};

static enum rc
encode(const struct conf_snapshot *s, struct buf *b)
{
	enum rc rc = buf_put(b, STR(MAGIC));

	for (size_t i = 0; i < ARRAY_LEN(pieces) && rc == RC_OK; i++) {
		struct str piece;

		memcpy(&piece, (const char *)s + pieces[i].offset, sizeof(piece));
		rc = buf_printf(b, "%s %zu\n", pieces[i].name, piece.n);
		if (rc == RC_OK)
			rc = buf_put(b, piece);
		if (rc == RC_OK)
			rc = buf_put(b, STR("\n"));
	}
	if (rc == RC_OK)
		rc = buf_printf(
		    b, "generation %llu\nend 0\n", (unsigned long long)s->generation);
	return rc;
}

enum rc
conf_snapshot_write(const struct conf_snapshot *s, int fd, struct err *e)
{
	struct str rest;
	size_t at = 0;
	struct buf b;
	enum rc rc;
	ssize_t n;

	buf_init(&b, CONF_SNAPSHOT_MAX);
	rc = encode(s, &b);
	if (rc != RC_OK)
		rc = err_set(e, RC_PERM, "configuration is too large");
	rest = buf_view(&b);
	while (rc == RC_OK && rest.n > 0) {
		n = pwrite(fd, rest.p, rest.n, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			rc = err_sys(e, RC_TEMP, "write configuration snapshot");
		else
			at += (size_t)n, rest = str_from(rest, (size_t)n);
	}
	buf_fini(&b);
	return rc;
}

enum rc
conf_snapshot_memfd(const struct conf_snapshot *s, int *out_fd, struct err *e)
{
	int fd = memfd_create("hikyaku-conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	enum rc rc;

	if (fd < 0)
		return err_sys(e, RC_TEMP, "memfd_create");
	rc = conf_snapshot_write(s, fd, e);
	if (rc == RC_OK &&
	    fcntl(fd, F_ADD_SEALS,
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
		rc = err_sys(e, RC_TEMP, "seal configuration snapshot");
	if (rc != RC_OK) {
		(void)close(fd);
		return rc;
	}
	*out_fd = fd;
	return RC_OK;
}

/* Takes "NAME NUMBER\n" off the front. */
static bool
take_header(struct str *rest, const char *name, uint64_t *out)
{
	struct str line, word, number;

	return str_cut(*rest, '\n', &line, rest) && str_cut(line, ' ', &word, &number) &&
	       str_is(word, name) && str_u64(number, UINT64_MAX, out) == RC_OK;
}

static bool
decode(struct str rest, struct conf_snapshot *s)
{
	uint64_t n;

	if (!str_starts(rest, STR(MAGIC)))
		return false;
	rest = str_from(rest, sizeof(MAGIC) - 1);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct str piece;

		if (!take_header(&rest, pieces[i].name, &n) || n >= rest.n ||
		    rest.p[n] != '\n')
			return false;
		piece = str_head(rest, n);
		memcpy((char *)s + pieces[i].offset, &piece, sizeof(piece));
		rest = str_from(rest, n + 1);
	}
	return take_header(&rest, "generation", &s->generation) &&
	       take_header(&rest, "end", &n) && rest.n == 0;
}

enum rc
conf_snapshot_read(int fd, struct str process_name, struct arena *mem,
    const struct conf_snapshot **out, struct err *e)
{
	struct conf_snapshot *s = arena_get(mem, sizeof(*s));
	struct str all;
	enum rc rc;

	if (s == NULL)
		return no_memory(e);
	rc = read_all(fd, CONF_SNAPSHOT_MAX, mem, &all, e);
	if (rc != RC_OK)
		return err_in(e, rc, "configuration snapshot");
	s->process_name = arena_str(mem, process_name);
	s->process_id = getpid();
	if (!decode(all, s))
		return err_set(e, RC_PERM, "configuration snapshot: unreadable");
	rc = parse(s, false, mem, e);
	if (rc == RC_OK)
		rc = apply_level(s, mem, e);
	if (rc == RC_OK)
		*out = s;
	return rc;
}
