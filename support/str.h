/* A string under construction, kept in an arena and always NUL-terminated. */
#ifndef TDL_SUPPORT_STR_H
#define TDL_SUPPORT_STR_H

#include "support/arena.h"
#include <stdarg.h>
#include <stdint.h>

typedef struct TdlStr { TdlArena *arena; char *p; size_t n, cap; } TdlStr;

TdlStr str_new(TdlArena *a);
void str_putc(TdlStr *s, char c);
void str_puts(TdlStr *s, const char *text);
void str_putn(TdlStr *s, const char *text, size_t n);
void str_printf(TdlStr *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void str_vprintf(TdlStr *s, const char *fmt, va_list ap);
/* `text` as a JSON string with its quotes. */
void str_json(TdlStr *s, const char *text);
/* The shortest decimal that reads back to `x` bit for bit (inf, -inf, nan spelled so; always a '.' or an exponent). */
void str_double(TdlStr *s, double x);

#endif
