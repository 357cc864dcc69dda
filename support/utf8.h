/* The little of UTF-8 that diagnostics need: decoding with checks, and the width on a terminal. */
#ifndef TDL_SUPPORT_UTF8_H
#define TDL_SUPPORT_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes the code point at s (n > 0 bytes left) into *cp and returns its length in bytes. A byte that starts
 * no well-formed sequence (overlong forms and surrogates included) is one byte long and gives UTF8_BAD. */
size_t utf8_decode(const char *s, size_t n, uint32_t *cp);
#define UTF8_BAD UINT32_MAX

/* Terminal columns: 0 (combining), 1 or 2 (East Asian wide, emoji). */
unsigned utf8_width(uint32_t cp);

#endif
