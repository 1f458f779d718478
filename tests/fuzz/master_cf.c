/* Any bytes as master.cf: parsing ends; what it accepts has every field and each service
 * once. */
#include "base/arena.h"
#include "conf/master_cf.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *mem = arena_new((size_t)64 << 20);
	struct master_cf m;
	struct err e;

	if (master_cf_parse(STR("master.cf"), str_n(data, size), mem, &m, &e) == RC_OK) {
		assert(m.n <= MASTER_SERVICES_MAX);
		for (size_t i = 0; i < m.n; i++) {
			const struct master_service *s = &m.v[i];

			assert(s->name.n > 0 && s->command.n > 0 && s->maxproc >= -1);
			assert(s->wakeup_us >= 0);
			assert(master_cf_find(&m, s->name, s->type) == s);
			for (size_t k = 0; k < s->n_overrides; k++)
				assert(s->overrides[k].name.n > 0);
		}
	}
	arena_free(&mem);
	return 0;
}
