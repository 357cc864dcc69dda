/* Reading IR text: characters, names, numbers, dimensions, types. */
#include "ir/parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

TdlSpan scan_here(const Parser *p, const char *from, const char *to) {
    uint32_t lo = (uint32_t)(from - p->text);
    return (TdlSpan){p->file, lo, (uint32_t)(to - p->text), lo};
}

bool scan_error(Parser *p, const char *from, const char *fmt, ...) {
    if (p->failed) return false;
    if (!from) scan_space(p);
    va_list ap;
    va_start(ap, fmt);
    TdlStr s = str_new(p->m->arena);
    str_vprintf(&s, fmt, ap);
    va_end(ap);
    const char *lo = from ? from : p->p, *hi = from ? p->p : p->p + (p->p < p->end);
    diag_error(p->m->diags, scan_here(p, lo, hi > lo ? hi : lo), "%s", s.p);
    p->failed = true;
    return false;
}

/* ---- characters ---- */

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static void blanks(Parser *p) {
    while (p->p < p->end && is_blank(*p->p)) p->p++;
}

void scan_space(Parser *p) {
    for (;;) {
        blanks(p);
        if (p->end - p->p < 2 || p->p[0] != '/' || p->p[1] != '/') return;
        while (p->p < p->end && *p->p != '\n') p->p++;
    }
}

static bool ahead(const Parser *p, const char *s) {
    size_t n = strlen(s);
    return (size_t)(p->end - p->p) >= n && memcmp(p->p, s, n) == 0;
}

bool scan_is(Parser *p, const char *punct) {
    scan_space(p);
    return ahead(p, punct);
}

bool scan_accept(Parser *p, const char *punct) {
    if (!scan_is(p, punct)) return false;
    p->p += strlen(punct);
    return true;
}

bool scan_expect(Parser *p, const char *punct) {
    return scan_accept(p, punct) || scan_error(p, NULL, "expected '%s'", punct);
}

bool scan_at_word(Parser *p) {
    scan_space(p);
    return p->p < p->end && is_letter(*p->p);
}

/* Letters, digits, _ and dots; a dot is not the last character. */
static size_t word_length(const Parser *p) {
    const char *s = p->p;
    if (s < p->end && is_letter(*s))
        while (s < p->end && (is_letter(*s) || is_digit(*s) || *s == '.')) s++;
    while (s > p->p && s[-1] == '.') s--;
    return (size_t)(s - p->p);
}

bool scan_peek_word(Parser *p, const char *word) {
    scan_space(p);
    size_t n = word_length(p);
    return n == strlen(word) && memcmp(p->p, word, n) == 0;
}

bool scan_word(Parser *p, const char **s, size_t *n, const char *what) {
    scan_space(p);
    *s = p->p;
    *n = word_length(p);
    if (!*n) return scan_error(p, NULL, "expected %s", what);
    p->p += *n;
    return true;
}

static int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool scan_string(Parser *p, char **s, size_t *n) {
    if (!scan_accept(p, "\"")) return scan_error(p, NULL, "expected a text in quotes");
    const char *from = p->p - 1;
    TdlStr out = str_new(p->m->arena);
    while (p->p < p->end && *p->p != '"' && *p->p != '\n') {
        char c = *p->p++;
        if (c == '\\' && p->p < p->end) {
            c = *p->p++;
            if (c == 'n') c = '\n';
            else if (c == 't') c = '\t';
            else if (c == 'x' && p->end - p->p >= 2 && hex_digit(p->p[0]) >= 0 && hex_digit(p->p[1]) >= 0) {
                c = (char)(hex_digit(p->p[0]) * 16 + hex_digit(p->p[1]));
                p->p += 2;
            } else if (c != '"' && c != '\\') return scan_error(p, p->p - 2, "unknown escape '\\%c'", c);
        }
        str_putc(&out, c);
    }
    if (p->p >= p->end || *p->p != '"') return scan_error(p, from, "the text does not end");
    p->p++;
    *s = out.p;
    *n = out.n;
    return true;
}

bool scan_name(Parser *p, TdlSym *name, const char *what) {
    const char *s;
    char *q;
    size_t n;
    if (scan_is(p, "\"")) {
        if (!scan_string(p, &q, &n)) return false;
        s = q;
    } else if (!scan_word(p, &s, &n, what)) return false;
    *name = intern_n(p->m->names, s, n);
    return true;
}

/* ---- numbers ---- */

bool scan_int(Parser *p, int64_t *v) {
    bool is_float;
    double f;
    scan_space(p);
    const char *from = p->p;
    if (!scan_number(p, &is_float, v, &f)) return false;
    return !is_float || scan_error(p, from, "expected an integer");
}

bool scan_number(Parser *p, bool *is_float, int64_t *i, double *f) {
    scan_space(p);
    const char *s = p->p, *from = s;
    if (s < p->end && *s == '-') s++;
    *is_float = false;
    if (p->end - s >= 3 && (!memcmp(s, "inf", 3) || !memcmp(s, "nan", 3))) {
        *is_float = true;
        s += 3;
    } else {
        if (s >= p->end || !is_digit(*s)) return scan_error(p, NULL, "expected a number");
        for (; s < p->end; s++) {
            bool sign = (*s == '-' || *s == '+') && (s[-1] == 'e' || s[-1] == 'E');
            if (*s == '.' || *s == 'e' || *s == 'E') *is_float = true;
            else if (!is_digit(*s) && !sign) break;
        }
    }
    char *copy = arena_strndup(p->m->arena, from, (size_t)(s - from)), *stop;
    p->p = s;
    errno = 0;
    if (*is_float) *f = strtod(copy, &stop);
    else *i = strtoll(copy, &stop, 10);
    if (*stop) return scan_error(p, from, "not a number: '%s'", copy);
    return *is_float || errno != ERANGE || scan_error(p, from, "the integer does not fit 64 bits");
}

bool scan_value_number(Parser *p, uint64_t *n) {
    scan_space(p);
    const char *from = p->p;
    if (!scan_accept(p, "%") || p->p >= p->end || !is_digit(*p->p)) {
        p->p = from;
        return scan_error(p, NULL, "expected a value, %%N");
    }
    for (*n = 0; p->p < p->end && is_digit(*p->p); p->p++) {
        if (*n > UINT32_MAX) return scan_error(p, from, "the number of the value is too large");
        *n = *n * 10 + (uint64_t)(*p->p - '0');
    }
    return true;
}

/* ---- dimensions: + - * // % ** min and parentheses; `//` is division here, never a comment ---- */

static bool deeper(Parser *p) { return ++p->depth <= PARSE_MAX_DEPTH || scan_error(p, NULL, "nested too deeply"); }

static bool dim_sum(Parser *p, TdlDim *d);
static bool dim_unary(Parser *p, TdlDim *d);

/* min(p, c), from the parenthesis on. */
static bool dim_least(Parser *p, TdlDim *d) {
    TdlDim e;
    int64_t c;
    p->p++;
    if (!dim_sum(p, d)) return false;
    blanks(p);
    if (p->p >= p->end || *p->p != ',') return scan_error(p, p->p, "expected ','");
    const char *from = ++p->p;
    if (!dim_sum(p, &e)) return false;
    if (!dim_is_const(p->m, e, &c)) return scan_error(p, from, "the limit of a dimension is a constant");
    blanks(p);
    if (p->p >= p->end || *p->p != ')') return scan_error(p, p->p, "expected ')'");
    p->p++;
    *d = dim_min(p->m, *d, c);
    return true;
}

static bool dim_primary(Parser *p, TdlDim *d) {
    blanks(p);
    if (ahead(p, "min(")) {
        p->p += 3;
        return dim_least(p, d);
    }
    if (p->p < p->end && *p->p == '(') {
        p->p++;
        if (!dim_sum(p, d)) return false;
        blanks(p);
        if (p->p >= p->end || *p->p != ')') return scan_error(p, p->p, "expected ')'");
        p->p++;
        return true;
    }
    size_t n = word_length(p);
    if (n) {
        *d = dim_var(p->m, intern_n(p->m->names, p->p, n));
        p->p += n;
        return true;
    }
    int64_t v;
    if (p->p >= p->end || !is_digit(*p->p)) return scan_error(p, NULL, "expected a dimension");
    if (!scan_int(p, &v)) return false;
    *d = dim_const(p->m, v);
    return true;
}

enum { MAX_POWER = 64, MAX_TERMS = 2000 };

static bool dim_power(Parser *p, TdlDim *d) {
    if (!dim_primary(p, d)) return false;
    blanks(p);
    if (!ahead(p, "**")) return true;
    p->p += 2;
    int64_t n;
    if (!scan_int(p, &n)) return false;
    if (n < 0 || n > MAX_POWER) return scan_error(p, NULL, "the exponent of a dimension is 0 to %d", MAX_POWER);
    TdlDim base = *d;
    *d = dim_const(p->m, 1);
    for (int64_t i = 0; i < n; i++) {
        *d = dim_mul(p->m, *d, base);
        if (dim_nterms(p->m, *d) > MAX_TERMS) return scan_error(p, NULL, "the dimension has too many terms");
    }
    return true;
}

static bool dim_unary(Parser *p, TdlDim *d) {
    blanks(p);
    bool minus = p->p < p->end && *p->p == '-';
    if (!minus) return dim_power(p, d);
    p->p++;
    if (!deeper(p) || !dim_unary(p, d)) return false;
    p->depth--;
    *d = dim_sub(p->m, dim_const(p->m, 0), *d);
    return true;
}

static bool dim_product(Parser *p, TdlDim *d) {
    if (!dim_unary(p, d)) return false;
    for (;;) {
        blanks(p);
        const char *op = ahead(p, "//") ? "//" : ahead(p, "%") ? "%" : ahead(p, "*") ? "*" : NULL;
        if (!op) return true;
        p->p += strlen(op);
        TdlDim e;
        int64_t c;
        const char *from = p->p;
        if (!dim_unary(p, &e)) return false;
        if (*op == '*') {
            if ((uint64_t)dim_nterms(p->m, *d) * dim_nterms(p->m, e) > MAX_TERMS)
                return scan_error(p, NULL, "the dimension has too many terms");
            *d = dim_mul(p->m, *d, e);
        } else if (!dim_is_const(p->m, e, &c) || c <= 0) {
            return scan_error(p, from, "the divisor of a dimension is a constant above 0");
        } else *d = *op == '%' ? dim_mod(p->m, *d, c) : dim_floordiv(p->m, *d, c);
    }
}

static bool dim_sum(Parser *p, TdlDim *d) {
    if (!deeper(p) || !dim_product(p, d)) return false;
    for (;;) {
        blanks(p);
        if (p->p >= p->end || (*p->p != '+' && *p->p != '-')) {
            p->depth--;
            return true;
        }
        bool plus = *p->p++ == '+';
        TdlDim e;
        if (!dim_product(p, &e)) return false;
        *d = plus ? dim_add(p->m, *d, e) : dim_sub(p->m, *d, e);
    }
}

bool scan_dim(Parser *p, TdlDim *d) {
    scan_space(p);
    return dim_sum(p, d);
}

bool scan_dims(Parser *p, TdlDims *out) {
    if (!scan_expect(p, "<")) return false;
    if (scan_accept(p, ">")) return true;
    do {
        TdlDim d;
        if (!scan_dim(p, &d)) return false;
        VEC_PUSH(p->m->arena, *out, d);
    } while (scan_accept(p, ","));
    return scan_expect(p, ">");
}

/* ---- types ---- */

static bool wrapped_type(Parser *p, TdlTypeKind kind, TdlType *t) {
    TDL_VEC(TdlType) elems = {0};
    if (!deeper(p) || !scan_expect(p, "<")) return false;
    const char *from = p->p;
    while (!scan_is(p, ">")) {
        TdlType e;
        if ((elems.n && !scan_expect(p, ",")) || !scan_type(p, &e)) return false;
        if (ty_kind(p->m, e) != TY_TENSOR) return scan_error(p, from, "a tensor type is expected here");
        VEC_PUSH(p->m->arena, elems, e);
    }
    p->depth--;
    if (!scan_expect(p, ">")) return false;
    if (kind != TY_STACK && elems.n != 1) return scan_error(p, from, "one type is expected here");
    *t = kind == TY_STACK ? ty_stack(p->m, elems.p, elems.n) : kind == TY_ACC ? ty_acc(p->m, elems.p[0]) : ty_buf(p->m, elems.p[0]);
    return true;
}

static bool word_eq(const char *s, size_t n, const char *word) { return strlen(word) == n && memcmp(s, word, n) == 0; }

bool scan_type(Parser *p, TdlType *t) {
    const char *s;
    size_t n;
    if (!scan_word(p, &s, &n, "a type")) return false;
    if (word_eq(s, n, "acc")) return wrapped_type(p, TY_ACC, t);
    if (word_eq(s, n, "buf")) return wrapped_type(p, TY_BUF, t);
    if (word_eq(s, n, "stack")) return wrapped_type(p, TY_STACK, t);
    int e = 0;
    while (e < EL_COUNT && !word_eq(s, n, el_name((TdlElem)e))) e++;
    if (e == EL_COUNT) return scan_error(p, s, "unknown type '%.*s'", (int)n, s);
    TdlDims dims = {0};
    if (p->p < p->end && *p->p == '[') {
        p->p++;
        do {
            TdlDim d;
            if (!scan_dim(p, &d)) return false;
            VEC_PUSH(p->m->arena, dims, d);
        } while (scan_accept(p, ","));
        if (!scan_expect(p, "]")) return false;
    }
    *t = ty_tensor(p->m, (TdlElem)e, dims.p, dims.n);
    return true;
}
