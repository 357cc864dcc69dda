/* Values of literals, and the check of the text's encoding. */
#include "frontend/parse.h"
#include "support/utf8.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The digits without their `_` separators. */
static char *plain(Parse *p, const char *s, size_t n) {
    char *buf = arena_strndup(p->a, s, n), *w = buf;
    for (size_t i = 0; i < n; i++)
        if (s[i] != '_') *w++ = s[i];
    *w = 0;
    return buf;
}

void lit_int(Parse *p, Tok *t, const char *s, size_t n) {
    char *buf = plain(p, s, n);
    bool hex = buf[0] == '0' && (buf[1] == 'x' || buf[1] == 'X');
    TdlSpan at = parse_span(p, p->lex_lo, p->lex_hi);
    if (hex && !buf[2]) {
        diag_error(p->d, at, "`%.*s` has no digits", (int)n, s);
        return;
    }
    errno = 0;
    long long v = strtoll(buf + (hex ? 2 : 0), NULL, hex ? 16 : 10);
    if (errno == ERANGE) diag_error(p->d, at, "integer literal does not fit i64: the largest is 9223372036854775807");
    t->ival = v;
}

void lit_float(Parse *p, Tok *t, const char *s, size_t n) {
    char *buf = plain(p, s, n);
    TdlSpan at = parse_span(p, p->lex_lo, p->lex_hi);
    t->fval = strtod(buf, NULL);
    bool digits = strspn(buf, "0.") < strcspn(buf, "eE"); /* a digit other than 0 before the exponent */
    if (isinf(t->fval)) diag_error(p->d, at, "float literal is too large for f64: write `inf` for infinity");
    else if (t->fval == 0 && digits) diag_error(p->d, at, "float literal is too small for f64: it would round to 0");
}

/* A hexadecimal digit's value, -1 for anything else. */
static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Resolves the escape after the backslash at s[0]; returns the bytes taken, 0 when there is no such escape. */
static size_t escape(const char *s, size_t n, char *out) {
    static const char from[] = "ntr\\\"", to[] = "\n\t\r\\\"";
    const char *at = s[0] ? strchr(from, s[0]) : NULL;
    if (at) {
        *out = to[at - from];
        return 1;
    }
    if (s[0] != 'x' || n < 3 || hex_digit(s[1]) < 0 || hex_digit(s[2]) < 0) return 0;
    *out = (char)(hex_digit(s[1]) * 16 + hex_digit(s[2]));
    return 3;
}

void lit_string(Parse *p, Tok *t, const char *s, size_t n) {
    char *buf = arena_alloc(p->a, n);
    size_t w = 0;
    for (size_t i = 1; i + 1 < n; i++) { /* between the quotes */
        if (s[i] != '\\') {
            buf[w++] = s[i];
            continue;
        }
        size_t k = escape(s + i + 1, n - 2 - i, &buf[w]);
        if (k == 0) {
            uint32_t at = p->lex_lo + (uint32_t)i;
            diag_error(p->d, parse_span(p, at, at + 2),
                       "unknown escape in a string: there are \\n, \\t, \\r, \\\\, \\\" and \\xNN");
            k = 1;
            buf[w] = s[i + 1];
        }
        i += k;
        w++;
    }
    t->str = buf;
    t->ival = (int64_t)w;
}

void lit_check_utf8(Parse *p) {
    bool said = false; /* on this line */
    int left = 20;
    for (uint32_t i = 0; i < p->n && left > 0;) {
        if (p->text[i] == '\n') said = false;
        uint32_t cp;
        size_t k = utf8_decode(p->text + i, p->n - i, &cp);
        if (cp == UTF8_BAD || cp == 0) {
            if (!said && cp == 0) diag_error(p->d, parse_span(p, i, i + 1), "unexpected NUL byte");
            else if (!said) diag_error(p->d, parse_span(p, i, i + 1), "byte 0x%02x is not UTF-8", (unsigned char)p->text[i]);
            left -= !said;
            said = true;
        }
        i += (uint32_t)k;
    }
}
