#include "support/str.h"

#include "support/utf8.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TdlStr str_new(TdlArena *a) {
    TdlStr s = {.arena = a, .cap = 32};
    s.p = arena_alloc(a, s.cap);
    return s;
}

/* Room for `more` bytes and the NUL. */
static void str_reserve(TdlStr *s, size_t more) {
    if (s->n + more < s->cap) return;
    size_t cap = s->cap * 2;
    if (cap < s->n + more + 1) cap = s->n + more + 1;
    char *p = arena_alloc(s->arena, cap);
    memcpy(p, s->p, s->n);
    s->p = p;
    s->cap = cap;
}

void str_putn(TdlStr *s, const char *text, size_t n) {
    if (!n) return;
    str_reserve(s, n);
    memcpy(s->p + s->n, text, n);
    s->n += n;
    s->p[s->n] = 0;
}

void str_putc(TdlStr *s, char c) { str_putn(s, &c, 1); }
void str_puts(TdlStr *s, const char *text) { str_putn(s, text, strlen(text)); }

void str_vprintf(TdlStr *s, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0) {
        str_reserve(s, (size_t)n);
        vsnprintf(s->p + s->n, (size_t)n + 1, fmt, again);
        s->n += (size_t)n;
    }
    va_end(again);
}

void str_printf(TdlStr *s, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(s, fmt, ap);
    va_end(ap);
}

static const char *json_escape(unsigned char c) {
    switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\t': return "\\t";
    case '\r': return "\\r";
    default: return NULL;
    }
}

/* Bytes that are not UTF-8 become U+FFFD: the output is valid JSON whatever the input. */
void str_json(TdlStr *s, const char *text) {
    str_putc(s, '"');
    for (size_t n = strlen(text); n;) {
        uint32_t cp;
        size_t len = utf8_decode(text, n, &cp);
        const char *esc = len == 1 ? json_escape((unsigned char)*text) : NULL;
        if (cp == UTF8_BAD) str_puts(s, "\\ufffd");
        else if (esc) str_puts(s, esc);
        else if (cp < 0x20 || cp == 0x7f) str_printf(s, "\\u%04x", (unsigned)cp);
        else str_putn(s, text, len);
        text += len;
        n -= len;
    }
    str_putc(s, '"');
}

void str_double(TdlStr *s, double x) {
    char buf[40];
    if (isnan(x)) {
        str_puts(s, "nan");
        return;
    }
    if (isinf(x)) {
        str_puts(s, x < 0 ? "-inf" : "inf");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) { /* 17 digits always suffice for a double */
        snprintf(buf, sizeof buf, "%.*g", digits, x);
        if (strtod(buf, NULL) == x) break; /* -0.0 prints as -0 and compares equal */
    }
    str_puts(s, buf);
    if (!strpbrk(buf, ".e")) str_puts(s, ".0");
}
