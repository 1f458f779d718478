/* Content for a server without 8BITMIME: made 7-bit piece by piece on its way out. */
#include "mime/filter.h"
#include "prog/smtp/agent.h"
#include <limits.h>
#include <stdlib.h>

/* Of one piece: three bytes for each, and line ends between. */
#define OUT_MAX ((size_t)1024 * 1024)

struct convert {
	struct mime_conf conf;
	struct mime_start start;
	struct mime_filter *filter;
	struct buf out;
};

struct convert *
convert_new(const struct conf_smtp *c)
{
	struct convert *v = mem_get(sizeof(*v));

	v->conf = (struct mime_conf){
		.header_size_limit = (size_t)c->header_size_limit_bytes,
		.nesting_limit = (size_t)c->mime_nesting_limit,
		.boundary_limit = (size_t)c->mime_boundary_length_limit_bytes,
		.hopcount_limit = UINT_MAX, /* it was counted on the way in */
		.converts = true,
	};
	v->filter = mime_filter_new(&v->conf, &v->start);
	buf_init(&v->out, OUT_MAX);
	return v;
}

void
convert_free(struct convert **vp)
{
	struct convert *v = *vp;

	if (v == NULL)
		return;
	mime_filter_free(&v->filter);
	buf_fini(&v->out);
	free(v);
	*vp = NULL;
}

static enum rc
put_rest(struct convert *v, struct err *e)
{
	struct str piece;
	enum rc rc = RC_OK;

	while (rc == RC_OK) {
		rc = mime_filter_end(v->filter, &piece, e);
		if (rc == RC_OK)
			rc = buf_put(&v->out, piece);
	}
	return rc == RC_NONE ? RC_OK : rc;
}

enum rc
convert_piece(
    struct convert *v, struct str in, bool is_last, struct str *out, struct err *e)
{
	struct str piece;
	enum rc rc = RC_OK;

	buf_reset(&v->out);
	while (rc == RC_OK) {
		rc = mime_filter_step(v->filter, &in, &piece, e);
		if (rc == RC_OK)
			rc = buf_put(&v->out, piece);
	}
	if (rc == RC_MORE)
		rc = is_last ? put_rest(v, e) : RC_OK;
	if (rc != RC_OK)
		return err_set(e, RC_TEMP, "error converting mail content");
	if (mime_filter_is_too_deep(v->filter)) /* compat */
		return err_set(e, RC_PERM, "MIME nesting exceeds safety limit");
	*out = buf_view(&v->out);
	return RC_OK;
}
