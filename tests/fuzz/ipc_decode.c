/* Every decoder of messages between processes. Input: a type, then a payload. Nothing may
 * be read beyond it, whatever the lengths inside say. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "wire/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *mem;
	enum rc rc;

	if (mem == NULL)
		mem = arena_new(32 << 20);
	if (size == 0)
		return 0;
	arena_reset(mem);
	rc = wire_any_decode(data[0], str_n(data + 1, size - 1), mem);
	assert(rc == RC_OK || rc == RC_PERM || rc == RC_TEMP);
	return 0;
}
