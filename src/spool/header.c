/* Segment headers as bytes. */
#include "spool/header.h"
#include "base/crc32c.h"
#include "wire/bytes.h"
#include <assert.h>
#include <string.h>

#define MAGIC   "hikyaku\n"
#define VERSION 1u
#define CRC_AT  (HEADER_PAGE - 4)

void
header_encode(const struct header *h, char page[HEADER_PAGE])
{
	struct buf b;
	struct wire_wr w = wire_wr(&b);
	uint32_t crc;

	assert(h->n_cuts <= CUTS_MAX);
	buf_init(&b, CRC_AT);
	wire_wr_raw(&w, STR(MAGIC));
	wire_wr_uint(&w, 4, VERSION);
	wire_wr_uint(&w, 4, h->no);
	wire_wr_uint(&w, 8, h->generation);
	wire_wr_uint(&w, 8, h->epoch);
	wire_wr_uint(&w, 4, h->seq);
	wire_wr_uint(&w, 4, h->state);
	wire_wr_uint(&w, 8, h->bytes);
	wire_wr_uint(&w, 8, h->mark);
	wire_wr_uint(&w, 4, h->n_cuts);
	for (uint32_t i = 0; i < h->n_cuts; i++) {
		wire_wr_uint(&w, 4, h->cuts[i].no);
		wire_wr_uint(&w, 8, h->cuts[i].epoch);
		wire_wr_uint(&w, 8, h->cuts[i].at);
	}
	assert(!w.bad);
	memset(page, 0, HEADER_PAGE);
	memcpy(page, buf_view(&b).p, buf_view(&b).n);
	crc = crc32c(0, str_n(page, CRC_AT));
	for (int i = 0; i < 4; i++)
		page[CRC_AT + (size_t)i] = (char)(crc >> (24 - 8 * i));
	buf_fini(&b);
}

bool
header_decode(const char page[HEADER_PAGE], struct header *out)
{
	struct wire_rd r = wire_rd(str_n(page, CRC_AT));
	struct wire_rd tail = wire_rd(str_n(page + CRC_AT, 4));
	struct header h = { 0 };

	if (wire_rd_uint(&tail, 4) != crc32c(0, str_n(page, CRC_AT)) ||
	    !str_eq(wire_rd_raw(&r, sizeof(MAGIC) - 1), STR(MAGIC)) ||
	    wire_rd_uint(&r, 4) != VERSION)
		return false;
	h.no = (uint32_t)wire_rd_uint(&r, 4);
	h.generation = wire_rd_uint(&r, 8);
	h.epoch = wire_rd_uint(&r, 8);
	h.seq = (uint32_t)wire_rd_uint(&r, 4);
	h.state = (uint8_t)wire_rd_uint(&r, 4);
	h.bytes = wire_rd_uint(&r, 8);
	h.mark = wire_rd_uint(&r, 8);
	h.n_cuts = (uint32_t)wire_rd_uint(&r, 4);
	if (h.n_cuts > CUTS_MAX || (h.state != HEADER_FREE && h.state != HEADER_USED) ||
	    h.bytes <= SEGMENT_DATA || h.bytes > UINT32_MAX || h.bytes % HEADER_PAGE != 0)
		return false;
	for (uint32_t i = 0; i < h.n_cuts; i++) {
		h.cuts[i].no = (uint32_t)wire_rd_uint(&r, 4);
		h.cuts[i].epoch = wire_rd_uint(&r, 8);
		h.cuts[i].at = wire_rd_uint(&r, 8);
	}
	if (r.bad)
		return false;
	*out = h;
	return true;
}
