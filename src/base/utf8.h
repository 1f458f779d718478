#ifndef BASE_UTF8_H
#define BASE_UTF8_H
#include "base/base.h"

/* How many bytes the first character of `s` has; 0: it is malformed, or `s` is empty. */
size_t utf8_char_size(struct str s);
/* Whether `s` is UTF-8: shortest forms, no surrogates, nothing above U+10FFFF.
 * Source: RFC 3629. */
bool utf8_is_valid(struct str s);
#endif
