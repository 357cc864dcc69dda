/* What an unknown name was probably meant to be: a name in reach that is a slip away, or the same thing's name here. */
#include "frontend/lower_int.h"
#include "support/embed.h"

#include <string.h>

extern const TdlEmbedded std_files[];

enum { MAX_NAME = 32 }; /* longer names are compared by their beginning */

/* What other languages and libraries call it. */
static const struct { const char *theirs, *ours; } synonyms[] = {
    {"True", "true"}, {"False", "false"}, {"null", "None"}, {"ln", "log"}, {"fabs", "abs"}, {"power", "pow"},
    {"arctan", "atan"}, {"arcsin", "asin"}, {"arccos", "acos"}, {"arctan2", "atan2"}, {"concat", "cat"},
    {"concatenate", "cat"}, {"double", "f64"}, {"float", "f64"}, {"float64", "f64"}, {"float32", "f32"}, {"int", "i64"},
    {"int64", "i64"}, {"int32", "i32"}, {"boolean", "bool"}, {"average", "mean"}, {"clip", "clamp"}, {"gammaln", "lgamma"},
    {"repeat", "expand"}, {"matrix_multiply", "matmul"}, {"gradient", "grad"}, {"PI", "pi"}, {"Infinity", "inf"},
};

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Letters to insert, drop, change or swap with their neighbour to make b of a (Damerau 1964, without overlaps). */
static uint32_t distance(const char *a, const char *b) {
    uint32_t n = (uint32_t)strnlen(a, MAX_NAME), m = (uint32_t)strnlen(b, MAX_NAME), d[MAX_NAME + 1][MAX_NAME + 1];
    for (uint32_t i = 0; i <= n; i++) d[i][0] = i;
    for (uint32_t j = 0; j <= m; j++) d[0][j] = j;
    for (uint32_t i = 1; i <= n; i++)
        for (uint32_t j = 1; j <= m; j++) {
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < d[i][j]) d[i][j] = d[i - 2][j - 2] + 1;
        }
    return d[n][m];
}

typedef struct { const char *want, *best; uint32_t limit; } Search; /* limit: one more than the best so far */

static void consider(Search *s, const char *name) {
    size_t n = strlen(s->want), m = strlen(name);
    if ((n > m ? n - m : m - n) >= s->limit) return;
    uint32_t d = distance(s->want, name);
    if (d == 0 || d >= s->limit || d >= m) return;
    s->limit = d;
    s->best = name;
}

static void consider_library(Low *L, Search *s) {
    for (uint32_t i = 0; std_files[i].name; i++)
        for (const char *p = std_files[i].text; (p = strstr(p, "\nfn ")) != NULL;) {
            p += 4;
            consider(s, arena_strndup(L->arena, p, strcspn(p, "[(")));
        }
}

static const char *nearest(Low *L, const char *want) {
    size_t n = strlen(want);
    Search s = {.want = want, .limit = n < 3 ? 2 : n < 6 ? 2 : 3};
    for (size_t i = 0; i < sizeof synonyms / sizeof synonyms[0]; i++)
        if (strcmp(synonyms[i].theirs, want) == 0) return synonyms[i].ours;
    if (n < 2) return NULL;
    for (const LowFrame *f = L->frame; f; f = f->library ? f->up : NULL) {
        for (const LowScope *sc = f->scope; sc; sc = sc->up)
            for (const LowVar *v = sc->vars; v; v = v->next) consider(&s, low_name(L, v->name));
        for (uint32_t i = 0; i < f->dims.n; i++) consider(&s, low_name(L, f->dims.p[i].name));
    }
    for (const LowDecl *d = L->decls; d; d = d->next) consider(&s, low_name(L, d->ast->name.name));
    for (uint32_t i = 0; low_builtin_name(i); i++) consider(&s, low_builtin_name(i));
    consider_library(L, &s);
    return s.best;
}

LowValue low_unknown(Low *L, TdlSpan at, const char *what, const char *name, const char *more) {
    const char *near = nearest(L, name);
    low_error(L, at, "unknown %s `%s`%s", what, name, more);
    if (near) diag_note(L->diags, SPAN_NONE, "did you mean `%s`?", near);
    return LOW_ERR;
}
