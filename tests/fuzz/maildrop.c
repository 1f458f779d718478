/* Any bytes as a maildrop file: the reader ends, gives views of the input only, and says
 * the same for every way of cutting. First byte: the size of pieces. */
#include "agent/maildrop.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum rc
read_all(struct str file, size_t step, size_t *out_n, size_t *out_used)
{
	struct maildrop_reader r = { 0 };
	struct maildrop_record rec;
	size_t have = 0, used = 0, n = 0;
	enum rc rc = RC_MORE;

	while (rc == RC_OK || (rc == RC_MORE && have < file.n)) {
		struct str in;

		if (rc == RC_MORE)
			have = have + step < file.n ? have + step : file.n;
		in = str_n(file.p + used, have - used);
		rc = maildrop_next(&r, &in, &rec, NULL);
		if (rc == RC_OK || rc == RC_NONE) {
			/* An empty view may point anywhere. */
			assert(rec.text.n == 0 ||
			       (rec.text.p >= file.p &&
				   rec.text.p + rec.text.n <= file.p + have));
			assert(rec.type == 'L' ? rec.text.n <= MAILDROP_PIECE_MAX
					       : rec.text.n <= MAILDROP_TEXT_MAX);
			n++;
		}
		used = have - in.n;
	}
	*out_n = n;
	*out_used = used;
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n1, n2, used1, used2;
	struct str file;

	if (size == 0)
		return 0;
	file = str_n(data + 1, size - 1);
	assert(read_all(file, file.n + 1, &n1, &used1) ==
	       read_all(file, 1 + data[0], &n2, &used2));
	assert(n1 == n2 && used1 == used2);
	return 0;
}
