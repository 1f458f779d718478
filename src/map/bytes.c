#include "map/bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK           ((size_t)4096)
#define PIECE_IN_MEMORY 128 /* two lines of the cache; a system call: MAP_BYTES_PIECE */
#define KEEP_MAX        ((uint64_t)256 << 20)

static enum rc
read_file(const struct map_bytes *b, uint64_t at, void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = pread(b->fd, (char *)p + done, n - done, (off_t)(at + done));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return RC_TEMP;
		done += (size_t)r;
	}
	return RC_OK;
}

/* The blocks that are not there yet, of those from `at` to `end`. */
static enum rc
fetch(const struct map_bytes *b, uint64_t at, uint64_t end)
{
	for (uint64_t i = at / BLOCK; i * BLOCK < end; i++) {
		uint64_t left = b->size - i * BLOCK;

		if (b->has[i])
			continue;
		if (read_file(b, i * BLOCK, b->kept + i * BLOCK,
			left < BLOCK ? (size_t)left : BLOCK) != RC_OK)
			return RC_TEMP;
		b->has[i] = true;
	}
	return RC_OK;
}

static enum rc
read_kept(const struct map_bytes *b, uint64_t at, void *p, size_t n)
{
	if (at > b->size || n > b->size - at || fetch(b, at, at + n) != RC_OK)
		return RC_TEMP;
	memcpy(p, b->kept + at, n);
	return RC_OK;
}

void
map_bytes_keep(struct map_bytes *b)
{
	void *p;

	if (b->fd < 0 || b->size == 0 || b->size > KEEP_MAX)
		return;
	p = mmap(NULL, (size_t)b->size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return;
#ifdef MADV_HUGEPAGE
	/* Look-ups jump about: a large page is found at once. */
	(void)madvise(p, (size_t)b->size, MADV_HUGEPAGE);
#endif
	b->kept = p;
	b->has = mem_array((size_t)(b->size / BLOCK) + 1, sizeof(*b->has));
	b->read = read_kept;
	b->piece = PIECE_IN_MEMORY;
}

static enum rc
read_memory(const struct map_bytes *b, uint64_t at, void *p, size_t n)
{
	if (at > b->size || n > b->size - at)
		return RC_TEMP;
	memcpy(p, b->p + at, n);
	return RC_OK;
}

enum rc
map_bytes_file(const char *path, struct map_bytes *out, struct err *e)
{
	struct map_bytes b = { .read = read_file, .piece = MAP_BYTES_PIECE };
	struct stat st;

	/* Not waiting for the other end of a FIFO in the table's place. */
	b.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (b.fd < 0)
		return err_sys(e, RC_TEMP, "open database %s", path); /* compat */
	if (fstat(b.fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)close(b.fd);
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return err_sys(e, RC_TEMP, "open database %s", path);
	}
	b.size = (uint64_t)st.st_size;
	*out = b;
	return RC_OK;
}

struct map_bytes
map_bytes_memory(struct str s)
{
	return (struct map_bytes){ .read = read_memory,
		.size = s.n,
		.piece = PIECE_IN_MEMORY,
		.fd = -1,
		.p = s.p };
}

uint64_t
map_bytes_size(const struct map_bytes *b)
{
	struct stat st;

	if (b->fd < 0)
		return b->size;
	return fstat(b->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

void
map_bytes_close(struct map_bytes *b)
{
	if (b->has != NULL)
		(void)munmap(b->kept, (size_t)b->size);
	free(b->has);
	b->has = NULL;
	if (b->fd >= 0)
		(void)close(b->fd);
	b->fd = -1;
}
