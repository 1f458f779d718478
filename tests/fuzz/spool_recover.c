/* Recovery and reading of a spool whose segment has well-framed records with any payload,
 * and any bytes between them: it opens, lists and loads, or says "damaged"; it never
 * reads outside and never gives what does not hang together.
 *
 * Input: a sequence of pieces; first byte the record type (0: raw bytes), second the
 * message number, third and fourth the length, then that many bytes. */
#include "base/arena.h"
#include "os/file.h"
#include "spool/header.h"
#include "spool/record.h"
#include "spool/spool.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BYTES 65536u
#define EPOCH UINT64_C(0x1122334455667788)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- a read-only disk with one file ---- */

static int
f_open(void *ctx, int dir, const char *name, unsigned how)
{
	(void)ctx;
	(void)dir;
	if (how & OS_OPEN_DIR)
		return 1;
	if (how & OS_OPEN_WRITE)
		return -EROFS;
	return strcmp(name, "seg-00000001") == 0 ? 2 : -ENOENT;
}

static int
f_nothing(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return 0;
}

static int64_t
f_pread(void *ctx, int fd, void *to, size_t n, int64_t at)
{
	(void)fd;
	if (at < 0 || at >= (int64_t)BYTES)
		return 0;
	if ((int64_t)n > (int64_t)BYTES - at)
		n = (size_t)((int64_t)BYTES - at);
	memcpy(to, (const char *)ctx + at, n);
	return (int64_t)n;
}

static int
f_make_dir(void *ctx, int dir, const char *name)
{
	(void)ctx;
	(void)dir;
	(void)name;
	return -EROFS;
}

static int
f_list(void *ctx, int dir, os_list_fn *fn, void *arg)
{
	(void)ctx;
	(void)dir;
	fn(arg, "seg-00000001");
	fn(arg, "seg-x");
	return 0;
}

/* ---- the segment ---- */

static void
build(char *segment, const uint8_t *data, size_t size)
{
	struct header h = { .no = 1,
		.seq = 1,
		.generation = 2,
		.epoch = EPOCH,
		.bytes = BYTES,
		.state = HEADER_USED };
	size_t at = SEGMENT_DATA;

	header_encode(&h, segment);
	while (size >= 4) {
		size_t n = (size_t)data[2] << 8 | data[3];
		struct record r = { .type = data[0] % 7,
			.number = data[1],
			.epoch = EPOCH,
			.seq = 1,
			.at8 = (uint32_t)(at / RECORD_ALIGN) };

		data += 4;
		size -= 4;
		n = n < size ? n : size;
		if (at + RECORD_HEAD + n + RECORD_ALIGN > BYTES)
			break;
		memcpy(segment + at + (r.type == 0 ? 0 : RECORD_HEAD), data, n);
		r.length = (uint32_t)(n + RECORD_HEAD);
		if (r.type != 0)
			record_seal(segment + at, &r);
		at += RECORD_ROOM(r.length);
		data += n;
		size -= n;
	}
}

static void
read_all(struct spool *sp)
{
	struct arena *mem = arena_new((size_t)1 << 22);
	struct spool_info info;
	struct spool_loaded got;
	uint64_t cursor = 0;

	while (spool_list(sp, &cursor, &info) == RC_OK) {
		arena_reset(mem);
		if (spool_load(sp, info.number,
			SPOOL_ENVELOPE | SPOOL_STATE | SPOOL_CONTENT, mem, &got) != RC_OK)
			continue;
		assert(got.m.n_rcpts == info.n_rcpts && got.st.n_rcpts == info.n_rcpts);
		assert(got.m.stage != 0 || got.m.content.n == info.size_bytes);
		for (size_t i = 0; i < got.st.n_rcpts; i++)
			assert(got.st.rcpts[i].reason <= got.st.n_reasons);
	}
	arena_free(&mem);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *segment = mem_get(BYTES);
	struct os_files fs = { .ctx = segment,
		.open = f_open,
		.close = f_nothing,
		.pread = f_pread,
		.lock = f_nothing,
		.make_dir = f_make_dir,
		.list = f_list };
	struct spool_conf conf = { .segment_bytes = BYTES, .is_command = true };
	struct spool_report report = { 0 };
	struct spool *sp = NULL;
	struct queue_id_parts parts;

	build(segment, data, size);
	if (spool_open(&fs, "spool", &conf, &report, &sp, NULL) == RC_OK) {
		read_all(sp);
		spool_close(&sp);
	}
	if (queue_id_parse(str_n(data, size), &parts) == RC_OK && parts.is_long) {
		struct queue_id id =
		    queue_id_format(parts.number, parts.arrival_us, parts.is_long);

		assert(queue_id_parse(str_c(id.text), &parts) == RC_OK);
	}
	free(segment);
	return 0;
}
