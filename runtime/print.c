/* Tensors as text, by the rules of torch/_tensor_str.py with its default options: precision 4, threshold 1000, three
 * edge items, lines of 80. */
#include "runtime/print.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRECISION = 4, THRESHOLD = 1000, EDGE = 3, LINE = 80 };

/* ---- text under construction ---- */

typedef struct { char *p; size_t n, cap; bool failed; } Text;

static void put(Text *t, const char *s, size_t n) {
    if (t->n + n + 1 > t->cap) {
        size_t cap = t->cap ? t->cap : 256;
        while (cap < t->n + n + 1) cap *= 2;
        char *p = realloc(t->p, cap);
        if (!p) {
            t->failed = true;
            return;
        }
        t->p = p;
        t->cap = cap;
    }
    memcpy(t->p + t->n, s, n);
    t->n += n;
    t->p[t->n] = 0;
}

static void puts_(Text *t, const char *s) { put(t, s, strlen(s)); }

static void fill(Text *t, char c, int64_t n) {
    for (int64_t i = 0; i < n; i++) put(t, &c, 1);
}

/* ---- elements ---- */

static float half_value(uint16_t h) {
    int exponent = (h >> 10) & 31, mantissa = h & 1023;
    float v = exponent == 31 ? (mantissa ? NAN : INFINITY)
              : exponent ? ldexpf((float)(mantissa + 1024), exponent - 25) : ldexpf((float)mantissa, -24);
    return h & 0x8000 ? -v : v;
}

static float bf16_value(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static bool is_float(const TdlrtArg *a) { return a->elem >= TDLRT_F16; }

static double float_at(const TdlrtArg *a, int64_t i) {
    switch (a->elem) {
    case TDLRT_F16: return (double)half_value(((const uint16_t *)a->data)[i]);
    case TDLRT_BF16: return (double)bf16_value(((const uint16_t *)a->data)[i]);
    case TDLRT_F32: return (double)((const float *)a->data)[i];
    default: return ((const double *)a->data)[i];
    }
}

static int64_t int_at(const TdlrtArg *a, int64_t i) {
    switch (a->elem) {
    case TDLRT_BOOL: return ((const uint8_t *)a->data)[i] != 0;
    case TDLRT_I32: return ((const int32_t *)a->data)[i];
    default: return ((const int64_t *)a->data)[i];
    }
}

static int64_t count(const TdlrtArg *a) {
    int64_t n = 1;
    for (int32_t i = 0; i < a->rank; i++) n *= a->dims[i];
    return n;
}

/* ---- how elements are written: torch's _Formatter ---- */

typedef struct { bool ints, scientific; int width; double min, max; bool any; } Style;

/* nan and inf without sign of nan, as Python writes them. */
static int write_float(char *out, size_t n, const Style *s, double v, bool dot) {
    if (isnan(v)) return snprintf(out, n, "nan");
    if (isinf(v)) return snprintf(out, n, "%s", v < 0 ? "-inf" : "inf");
    if (s->scientific) return snprintf(out, n, "%.*e", PRECISION, v);
    if (s->ints) return snprintf(out, n, dot ? "%.0f." : "%.0f", v);
    return snprintf(out, n, "%.*f", PRECISION, v);
}

static int write_elem(char *out, size_t n, const Style *s, const TdlrtArg *a, int64_t i) {
    if (is_float(a)) return write_float(out, n, s, float_at(a, i), true);
    if (a->elem == TDLRT_BOOL) return snprintf(out, n, "%s", int_at(a, i) ? "True" : "False");
    return snprintf(out, n, "%lld", (long long)int_at(a, i));
}

typedef void (*Visit)(Style *s, const TdlrtArg *a, int64_t i);

/* Every element that is shown, in order. */
static void visit(const TdlrtArg *a, int32_t axis, int64_t base, bool summarize, Style *s, Visit fn) {
    if (axis == a->rank) {
        fn(s, a, base);
        return;
    }
    int64_t n = a->dims[axis];
    for (int64_t i = 0; i < n; i++) {
        if (summarize && n > 2 * EDGE && i == EDGE) i = n - EDGE;
        visit(a, axis + 1, base * n + i, summarize, s, fn);
    }
}

static void scan(Style *s, const TdlrtArg *a, int64_t i) {
    double v = float_at(a, i);
    if (!isfinite(v) || v == 0) return;
    double size = fabs(v);
    if (!s->any || size < s->min) s->min = size;
    if (!s->any || size > s->max) s->max = size;
    s->any = true;
    if (v != ceil(v)) s->ints = false;
}

static void measure(Style *s, const TdlrtArg *a, int64_t i) {
    char text[400];
    if (is_float(a) && (!isfinite(float_at(a, i)) || float_at(a, i) == 0)) return;
    int n = write_elem(text, sizeof text, s, a, i);
    if (n > s->width) s->width = n;
}

static Style style_of(const TdlrtArg *a, bool summarize) {
    Style s = {.ints = true, .width = 1};
    if (is_float(a)) {
        visit(a, 0, 0, summarize, &s, scan);
        if (!s.any) return s;
        s.scientific = s.max / s.min > 1000.0 || s.max > 1e8 || s.min < 1e-4;
    }
    visit(a, 0, 0, summarize, &s, measure);
    return s;
}

/* ---- tensors ---- */

static void elem(Text *t, const TdlrtArg *a, const Style *s, int64_t i) {
    char text[400];
    int n = write_elem(text, sizeof text, s, a, i);
    fill(t, ' ', s->width - n);
    puts_(t, text);
}

static void vector(Text *t, const TdlrtArg *a, const Style *s, int64_t base, int indent, bool summarize) {
    int64_t n = a->dims[a->rank - 1], per_line = (LINE - indent) / (s->width + 2), column = 0;
    if (per_line < 1) per_line = 1;
    puts_(t, "[");
    for (int64_t i = 0; i < n; i++, column++) {
        if (column == per_line) {
            puts_(t, ",\n");
            fill(t, ' ', indent + 1);
            column = 0;
        } else if (i) puts_(t, ", ");
        if (summarize && n > 2 * EDGE && i == EDGE) {
            puts_(t, " ...");
            i = n - EDGE - 1;
        } else elem(t, a, s, base * n + i);
    }
    puts_(t, "]");
}

static void tensor(Text *t, const TdlrtArg *a, const Style *s, int32_t axis, int64_t base, int indent, bool summarize) {
    if (a->rank == 0) {
        elem(t, a, s, 0);
        return;
    }
    if (axis == a->rank - 1) {
        vector(t, a, s, base, indent, summarize);
        return;
    }
    int64_t n = a->dims[axis];
    puts_(t, "[");
    for (int64_t i = 0; i < n; i++) {
        if (i) {
            puts_(t, ",");
            fill(t, '\n', a->rank - axis - 1);
            fill(t, ' ', indent + 1);
        }
        if (summarize && n > 2 * EDGE && i == EDGE) {
            puts_(t, "...");
            i = n - EDGE - 1;
        } else tensor(t, a, s, axis + 1, base * n + i, indent + 1, summarize);
    }
    puts_(t, "]");
}

/* ---- suffixes: on the last line while they fit in 80 columns ---- */

typedef struct { int64_t last; int indent; } Suffixes;

static void suffix(Text *t, Suffixes *x, const char *text) {
    int64_t n = (int64_t)strlen(text);
    if (x->last + n + 2 > LINE) {
        puts_(t, ",\n");
        fill(t, ' ', x->indent);
        x->last = x->indent + n;
    } else {
        puts_(t, ", ");
        x->last += n + 2;
    }
    puts_(t, text);
}

static const char *torch_type(int32_t e) {
    static const char *const names[] = {"dtype=torch.bool", "dtype=torch.int32", "dtype=torch.int64", "dtype=torch.float16",
                                        "dtype=torch.bfloat16", "dtype=torch.float32", "dtype=torch.float64"};
    return names[e];
}

static void size_suffix(Text *t, Suffixes *x, const TdlrtArg *a) {
    char text[64 + 24 * 64];
    size_t n = (size_t)snprintf(text, sizeof text, "size=(");
    for (int32_t i = 0; i < a->rank && n < sizeof text - 32; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, i ? ", %lld" : "%lld", (long long)a->dims[i]);
    snprintf(text + n, sizeof text - n, ")");
    suffix(t, x, text);
}

/* `grad` is a suffix of its own or NULL. */
static void show_tensor(Text *t, const TdlrtArg *a, const char *grad) {
    static const int indent = 7; /* of "tensor(" */
    size_t start = t->n;
    bool empty = count(a) == 0, default_type = a->elem == TDLRT_F32 || a->elem == TDLRT_I64 || a->elem == TDLRT_BOOL;
    puts_(t, "tensor(");
    if (empty) puts_(t, "[]");
    else {
        bool summarize = count(a) > THRESHOLD;
        Style s = style_of(a, summarize);
        tensor(t, a, &s, 0, 0, indent, summarize);
    }
    if (t->failed) return;
    size_t line = t->n;
    while (line > start && t->p[line - 1] != '\n') line--;
    /* torch counts one too many on every line and two on the first: kept, it decides where lines break. */
    Suffixes x = {.last = (int64_t)(t->n - line) + 2, .indent = indent};
    if (empty && a->rank != 1) size_suffix(t, &x, a);
    if (empty ? a->elem != TDLRT_F32 : !default_type) suffix(t, &x, torch_type(a->elem));
    if (grad) suffix(t, &x, grad);
    puts_(t, ")");
}

/* ---- scalars ---- */

/* repr of Python's float: the shortest text that reads back. */
static void show_float(Text *t, double v, bool single) {
    char text[64];
    if (isnan(v) || isinf(v)) {
        puts_(t, isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
        return;
    }
    int digits = 1;
    for (; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, v);
        if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v) break;
    }
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {   /* Python writes 1e-05, as C does */
        puts_(t, text);
        return;
    }
    snprintf(text, sizeof text, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 1, v);
    puts_(t, text);
}

static void show_number(Text *t, const TdlrtArg *a) {
    Style s = {.ints = true, .width = 1};
    if (is_float(a)) show_float(t, float_at(a, 0), a->elem != TDLRT_F64);
    else elem(t, a, &s, 0);
}

static void show_with_grad_fn(Text *t, const TdlrtArg *a, int64_t number, const char *const *names) {
    char text[256];
    snprintf(text, sizeof text, "grad_fn=<%s>", number >= 0 ? names[number] : "");
    show_tensor(t, a, number >= 0 ? text : NULL);
}

static void show_grad_fn(Text *t, int64_t number, const char *const *names) {
    if (number < 0) {
        puts_(t, "None");
        return;
    }
    puts_(t, "<");
    puts_(t, names[number]);
    puts_(t, ">");
}

/* ---- formats ---- */

/* Shows the operands at `a` as `how`, which ends in }; how many they were. */
static int64_t operand(Text *t, const char *how, const TdlrtArg *a, int64_t n, const char *const *names) {
    bool maybe = *how == '?' && n > 1, given = !maybe || int_at(a, 0);
    char kind = how[maybe];
    a += maybe;
    n -= maybe;
    int64_t used = kind == 'f' && n > 1 ? 2 : 1;
    if (!given) puts_(t, "None");
    else if (kind == 'v') show_number(t, a);
    else if (kind == 'r') show_tensor(t, a, "requires_grad=True");
    else if (kind == 'g') show_grad_fn(t, int_at(a, 0), names);
    else if (used == 2) show_with_grad_fn(t, a, int_at(a + 1, 0), names);
    else show_tensor(t, a, NULL);
    return maybe + used;
}

char *tdlrt_format(const char *format, const TdlrtArg *args, int64_t n, const char *const *names) {
    Text t = {0};
    int64_t next = 0;
    put(&t, "", 0);
    for (const char *p = format; *p; p++) {
        const char *end = *p == '{' && p[1] != '{' ? strchr(p, '}') : NULL;
        if (!end || next >= n) {
            put(&t, p, 1);
            p += *p == '{' && p[1] == '{';
            p += *p == '}' && p[1] == '}';
            continue;
        }
        next += operand(&t, p + 1, args + next, n - next, names);
        p = end;
    }
    if (!t.failed) return t.p;
    free(t.p);
    return NULL;
}

void tdlrt_print(const char *format, const TdlrtArg *args, int64_t n, const char *const *names) {
    char *text = tdlrt_format(format, args, n, names);
    puts(text ? text : "print: out of memory");
    free(text);
}
