/* force_mime_input_conversion: a filter before the filter. What it gives is what checks
 * see, what is signed and what is stored. What is looked for in the sender's own bytes
 * (characters that must not be there, strictness) is looked for here then. */
#include <stdlib.h>
#include "agent/ingest_checks.h"

enum { OUT_MAX = 8 << 20 }; /* three bytes for each of the largest piece, and more */

struct ingest_convert {
	struct mime_start start;
	struct mime_hooks hooks;
	struct mime_filter *filter;
	struct buf out;
};

struct ingest_convert *
ingest_convert_new(const struct ingest *in)
{
	struct ingest_convert *v;

	if (in->conf->to_7bit == NULL)
		return NULL;
	v = mem_get(sizeof(*v));
	v->hooks = (struct mime_hooks){ .ctx = in->check->hooks.ctx,
		.trouble = in->check->hooks.trouble,
		.disallowed = in->check->hooks.disallowed };
	v->start =
	    (struct mime_start){ .hooks = &v->hooks, .carries_on = in->start.carries_on };
	v->filter = mime_filter_new(in->conf->to_7bit, &v->start);
	buf_init(&v->out, OUT_MAX);
	return v;
}

void
ingest_convert_free(struct ingest_convert **vp)
{
	struct ingest_convert *v = *vp;

	if (v == NULL)
		return;
	mime_filter_free(&v->filter);
	buf_fini(&v->out);
	free(v);
	*vp = NULL;
}

enum rc
ingest_convert_piece(struct ingest_convert *v, struct str *piece, struct err *e)
{
	struct str out;
	enum rc rc = RC_OK;

	buf_reset(&v->out);
	while (rc == RC_OK) {
		rc = mime_filter_step(v->filter, piece, &out, e);
		if (rc == RC_OK && buf_put(&v->out, out) != RC_OK)
			rc = err_set(e, RC_TEMP, TEXT_WRITE_ERROR);
	}
	*piece = buf_view(&v->out);
	return rc == RC_MORE ? RC_OK : rc;
}

enum rc
ingest_convert_end(struct ingest_convert *v, struct str *out_rest, struct err *e)
{
	struct str out;
	enum rc rc = RC_OK;

	buf_reset(&v->out);
	while (rc == RC_OK) {
		rc = mime_filter_end(v->filter, &out, e);
		if (rc == RC_OK && buf_put(&v->out, out) != RC_OK)
			rc = err_set(e, RC_TEMP, TEXT_WRITE_ERROR);
	}
	*out_rest = buf_view(&v->out);
	return rc == RC_NONE ? RC_OK : rc;
}

enum rc
ingest_convert_refusal(const struct ingest_convert *v, struct err *e)
{
	return v != NULL ? mime_filter_refusal(v->filter, e) : RC_OK;
}

unsigned
ingest_convert_facts(const struct ingest_convert *v)
{
	return v != NULL ? mime_filter_facts(v->filter) & MIME_BARE_LF : 0;
}
