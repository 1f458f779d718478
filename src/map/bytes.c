#include "map/bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK    ((size_t)4096)
#define KEEP_MAX ((uint64_t)256 << 20)

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

/* By way of the blocks that are kept. */
static enum rc
read_blocks(const struct map_bytes *b, uint64_t at, void *p, size_t n)
{
	char *to = p;

	if (at > b->size || n > b->size - at)
		return RC_TEMP;
	while (n > 0) {
		uint64_t i = at / BLOCK, left = b->size - i * BLOCK;
		size_t from = at % BLOCK, take = BLOCK - from < n ? BLOCK - from : n;

		if (b->block[i] == NULL) {
			char *block = mem_get(BLOCK);

			if (read_file(b, i * BLOCK, block,
				left < BLOCK ? (size_t)left : BLOCK) != RC_OK) {
				free(block);
				return RC_TEMP;
			}
			b->block[i] = block;
		}
		memcpy(to, b->block[i] + from, take);
		to += take;
		at += take;
		n -= take;
	}
	return RC_OK;
}

void
map_bytes_keep(struct map_bytes *b)
{
	if (b->fd < 0 || b->size > KEEP_MAX)
		return;
	b->block = mem_array((size_t)(b->size / BLOCK) + 1, sizeof(*b->block));
	b->read = read_blocks;
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
	struct map_bytes b = { .read = read_file };
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
	return (struct map_bytes){ .read = read_memory, .size = s.n, .fd = -1, .p = s.p };
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
	for (uint64_t i = 0; b->block != NULL && i <= b->size / BLOCK; i++)
		free(b->block[i]);
	free(b->block);
	b->block = NULL;
	if (b->fd >= 0)
		(void)close(b->fd);
	b->fd = -1;
}
