#ifndef MAP_BYTES_H
#define MAP_BYTES_H
#include "base/base.h"

/* The bytes of a file, read piece by piece with pread and never mapped: a file that
 * somebody cuts short is an error of one look-up and not a SIGBUS. The kernel's cache is
 * shared by all processes, and ours stay small. A test gives bytes of its own. */
enum { MAP_BYTES_PIECE = 512 };
struct map_bytes {
	/* All `n` bytes at `at`, or trouble. */
	enum rc (*read)(const struct map_bytes *b, uint64_t at, void *p, size_t n);
	uint64_t size; /* when it was opened */
	/* So many bytes cost little more than one: what a reader that does not know how
	 * much it will want should take at once. At most MAP_BYTES_PIECE. */
	size_t piece;
	int fd;        /* of map_bytes_file */
	const char *p; /* of map_bytes_memory */
	char *kept;    /* of map_bytes_keep: what was read stands at its place */
	bool *has;     /* which blocks of it were; NULL: nothing is kept */
};

/* RC_TEMP: cannot be opened, or is no regular file ("open database PATH: …"). */
MUST_USE enum rc map_bytes_file(const char *path, struct map_bytes *out, struct err *e);
/* From now on keeps what was read, for files that never change and programs that ask for
 * much and are soon gone. Does nothing for files larger than 256 MiB. */
void map_bytes_keep(struct map_bytes *b);
struct map_bytes map_bytes_memory(struct str s);
/* Now; 0: trouble. */
uint64_t map_bytes_size(const struct map_bytes *b);
void map_bytes_close(struct map_bytes *b);

static inline uint32_t
map_le32(const void *at)
{
	const unsigned char *p = at;

	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}
#endif
