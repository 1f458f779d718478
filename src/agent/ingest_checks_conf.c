/* The configuration of what happens to content: checks, limits, strictness. */
#include "agent/ingest_checks.h"
#include "conf/list.h"
#include "conf/snapshot.h"
#include <limits.h>

/* "\\0\\033x": C escapes. Returns: NULL when nothing is in it. */
static const struct mime_bytes *
byte_set(struct str text, struct arena *mem, struct err *e)
{
	struct mime_bytes *set;

	if (text.n == 0)
		return NULL;
	set = arena_get(mem, sizeof(*set));
	if (set == NULL) {
		(void)err_set(e, RC_TEMP, "memory limit");
		return NULL;
	}
	for (size_t i = 0; i < text.n; i++) {
		static const char names[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
		unsigned c = (unsigned char)text.p[i];

		if (c == '\\' && i + 1 < text.n) {
			c = (unsigned char)text.p[++i];
			for (size_t k = 0; k < sizeof(names) - 1; k++)
				if (c == (unsigned char)names[k]) {
					c = (unsigned char)values[k];
					break;
				}
			if (c >= '0' && c <= '7') {
				size_t end = i + 3;

				for (c = 0; i < end && i < text.n && text.p[i] >= '0' &&
					    text.p[i] <= '7';
				     i++)
					c = c * 8 + (unsigned)(text.p[i] - '0');
				i--;
			}
		}
		set->has[c & 255] = true;
	}
	return set;
}

static enum rc
end_action(struct str v, enum mime_end_action *out, struct err *e)
{
	if (str_iis(v, "fix_quietly"))
		*out = MIME_END_FIX;
	else if (str_iis(v, "add_header"))
		*out = MIME_END_TELL;
	else if (str_iis(v, "reject"))
		*out = MIME_END_REFUSE;
	else
		return err_set(e, RC_PERM,
		    "bad parameter value: 'non_empty_end_of_header_action = %.*s'",
		    STR_ARG(v));
	return RC_OK;
}

static enum rc
fill_mime(
    const struct conf_ingest *c, struct arena *mem, struct mime_conf *out, struct err *e)
{
	struct err why = { 0 };

	*out = (struct mime_conf){
		.header_size_limit = (size_t)c->header_size_limit_bytes,
		.line_limit = (size_t)c->line_length_limit_bytes,
		.nesting_limit = (size_t)c->mime_nesting_limit,
		.boundary_limit = (size_t)c->mime_boundary_length_limit_bytes,
		.body_check_limit = (size_t)c->body_checks_size_limit_bytes,
		.token_limit = (size_t)c->header_address_token_limit_bytes,
		.is_flat = c->disable_mime_input_processing,
		.hopcount_limit = (unsigned)c->hopcount_limit,
		.keep_stray_cr = !c->cleanup_replace_stray_cr_lf,
		.undisclosed = c->undisclosed_recipients_header,
		.ignores_8bit_header = !c->detect_8bit_encoding_header,
		.strict =
		    (c->strict_7bit_headers || c->strict_8bitmime ? MIME_STRICT_HEADERS
								  : 0U) |
		    (c->strict_8bitmime_body || c->strict_8bitmime ? MIME_STRICT_BODY
								   : 0U) |
		    (c->strict_mime_encoding_domain ? MIME_STRICT_ENCODING : 0U),
		.reject = byte_set(c->message_reject_characters, mem, &why),
		.strip = byte_set(c->message_strip_characters, mem, &why),
	};
	if (why.text[0] != '\0')
		return err_set(e, RC_TEMP, "%s", why.text);
	mime_conf_drop(out, c->message_drop_headers);
	return end_action(c->non_empty_end_of_header_action, &out->end_action, e);
}

/* force_mime_input_conversion: what concerns the bytes as they came is looked for before
 * they are converted. */
static enum rc
split_mime(const struct conf_ingest *c, struct arena *mem, struct ingest_conf *out,
    struct err *e)
{
	struct mime_conf *first;

	if (!c->force_mime_input_conversion || c->disable_mime_input_processing)
		return RC_OK;
	first = arena_get(mem, sizeof(*first));
	if (first == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	*first = out->mime;
	first->converts = true;
	first->hopcount_limit = UINT_MAX;
	first->drop_known = 0;
	first->drop_others = STR("");
	out->to_7bit = first;
	out->mime.strict = 0;
	out->mime.reject = out->mime.strip = NULL;
	out->mime.end_action = MIME_END_FIX;
	return RC_OK;
}

/* Whether internal_mail_filter_classes names what is our own. */
static bool
checks_class(struct str classes, const char *name)
{
	struct str word;

	while (str_token(&classes, CONF_LIST_SEPARATORS, &word))
		if (str_iis(word, name))
			return true;
	return false;
}

enum rc
ingest_checks_load(const struct ingest_conf_request *req, const struct conf_ingest *c,
    struct arena *mem, struct ingest_conf *out, struct err *e)
{
	const struct str lists[INGEST_N_CHECKS] = {
		[MIME_PART_HEADER] = c->header_checks,
		[MIME_PART_MIME_HEADER] = c->mime_header_checks,
		[MIME_PART_NESTED_HEADER] = c->nested_header_checks,
		[MIME_PART_BODY] = c->body_checks,
	};
	struct ingest_checks *checks = arena_get(mem, sizeof(*checks));
	enum rc rc = fill_mime(c, mem, &out->mime, e);

	if (rc == RC_OK)
		rc = split_mime(c, mem, out, e);
	if (rc != RC_OK)
		return rc;
	if (checks == NULL)
		return err_set(e, RC_TEMP, "memory limit");
	if (out->no_checks ||
	    (req->internal_class != NULL &&
		!checks_class(c->internal_mail_filter_classes, req->internal_class)))
		return RC_OK;
	for (unsigned i = 0; i < INGEST_N_CHECKS; i++) {
		if (str_trim(lists[i]).n == 0)
			continue;
		checks->parts |= 1U << i;
		if (req->decide != NULL)
			rc = decide_open_tables(
			    req->decide, lists[i], 0, &checks->tables[i], e);
		if (rc != RC_OK)
			return err_in(e, rc, "parameter %s", ingest_check_names[i]);
	}
	if (checks->parts != 0)
		out->checks = checks;
	return RC_OK;
}
