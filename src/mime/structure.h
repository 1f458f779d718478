#ifndef MIME_STRUCTURE_H
#define MIME_STRUCTURE_H
/* Which part of a message a line belongs to, as its headers and boundaries say: what
 * parts.c (for tables) and the filter share. Knows no bytes but header values and lines
 * that begin with "--". Memory is bounded by the two limits.
 * Source: RFC 2045, RFC 2046 section 5.1.
 *
 * Compat: a boundary is recognised by its beginning ("--b" also ends with "--bc"), and
 * text behind the transfer encoding of base64 is looked at all the same. */
#include "base/base.h"

enum mime_part {
	MIME_PART_HEADER,        /* of the message itself */
	MIME_PART_MIME_HEADER,   /* of a part of a multipart */
	MIME_PART_NESTED_HEADER, /* of a message inside the message */
	MIME_PART_BODY,          /* boundaries, preamble and epilogue are body */
};

enum mime_content {
	MIME_CONTENT_OTHER,
	MIME_CONTENT_MULTIPART,
	MIME_CONTENT_DIGEST,  /* its parts are messages unless they say otherwise */
	MIME_CONTENT_MESSAGE, /* rfc822, global: headers follow */
	MIME_CONTENT_SEALED,  /* message/partial, message/external-body: 7bit only */
};

enum mime_encoding {
	MIME_ENC_7BIT,
	MIME_ENC_8BIT,
	MIME_ENC_BINARY,
	MIME_ENC_QP,
	MIME_ENC_BASE64
};

struct mime_level; /* one open multipart */

struct mime_structure {
	size_t nesting_limit;  /* boundaries at once; deeper ones are body */
	size_t boundary_limit; /* bytes of a boundary; the rest is cut */
	bool is_flat;          /* no MIME: after the first headers all is body */
	/* Of the part whose headers are being read, then of its body. */
	enum mime_content content;
	enum mime_encoding encoding;
	bool is_message;  /* message/something, also what is not looked into */
	bool is_global;   /* message/global: any encoding is fine */
	bool is_too_deep; /* a multipart was not looked into: nesting_limit */
	struct mime_level *levels;
	size_t n_levels;
};

/* The first three are set by the caller. */
void mime_structure_init(struct mime_structure *s);
void mime_structure_fini(struct mime_structure *s);
/* A header of the present part; `value` may be folded. */
void mime_structure_header(struct mime_structure *s, struct str name, struct str value);
/* The headers are over: what follows, more headers (MIME_PART_NESTED_HEADER) or body. */
enum mime_part mime_structure_end_headers(struct mime_structure *s);
/* A line of body, without its end. True: it begins a part, whose headers follow. */
bool mime_structure_line(struct mime_structure *s, struct str line);
/* Whether the line closes a multipart. */
bool mime_structure_closes(const struct mime_structure *s, struct str line);
/* The part says that its content is not 7-bit: what a 7-bit server cannot be given. */
bool mime_structure_is_8bit(const struct mime_structure *s);
/* The encoding says something that multipart and message types must not say: its name.
 * NULL: it is as it must be. For the end of headers, before mime_structure_end_headers().
 * Source: RFC 2045 section 6.4. */
const char *mime_structure_bad_encoding(const struct mime_structure *s);
#endif
