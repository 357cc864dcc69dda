/* Domains in documentation comments: `x: inputs, in (0, inf)`, `col: columns, in 0..n`, `ptr: row starts, sorted in 0..nnz+1`.
 *
 * Bounds are numbers, dimensions, pi, inf, and sums, differences, products and quotients of them. */
#include "tools/tdlc/check.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct { Check *c; const CheckDims *dims; const char *p, *end; bool ok; } Text;

static void skip(Text *t) {
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\t')) t->p++;
}

static bool take(Text *t, const char *what) {
    size_t n = strlen(what);
    skip(t);
    if ((size_t)(t->end - t->p) < n || strncmp(t->p, what, n) != 0) return false;
    t->p += n;
    return true;
}

static double sum(Text *t);

static double name_value(Text *t) {
    const char *from = t->p;
    while (t->p < t->end && (isalnum((unsigned char)*t->p) || *t->p == '_')) t->p++;
    const char *name = arena_strndup(t->c->s->arena, from, (size_t)(t->p - from));
    if (!strcmp(name, "inf")) return INFINITY;
    if (!strcmp(name, "pi")) return 3.14159265358979323846;
    for (uint32_t i = 0; i < t->dims->n; i++)
        if (!strcmp(sym_text(t->c->s->names, t->dims->names[i]), name)) return (double)t->dims->at[i];
    t->ok = false;
    return 0;
}

static double atom(Text *t) {
    skip(t);
    if (take(t, "-")) return -atom(t);
    if (take(t, "(")) {
        double v = sum(t);
        t->ok &= take(t, ")");
        return v;
    }
    if (t->p < t->end && (isdigit((unsigned char)*t->p) || (*t->p == '.' && t->p + 1 < t->end && isdigit((unsigned char)t->p[1])))) {
        const char *from = t->p, *dots = strstr(from, "..");
        char *end;
        char *digits = arena_strndup(t->c->s->arena, from, (size_t)((dots && dots < t->end ? dots : t->end) - from));
        double v = strtod(digits, &end);
        t->p += end - digits;
        return v;
    }
    if (t->p < t->end && (isalpha((unsigned char)*t->p) || *t->p == '_')) return name_value(t);
    t->ok = false;
    return 0;
}

static double product(Text *t) {
    double v = atom(t);
    while (t->ok) {
        if (take(t, "//")) v = floor(v / atom(t));
        else if (take(t, "*")) v *= atom(t);
        else if (take(t, "/")) v /= atom(t);
        else break;
    }
    return v;
}

static double sum(Text *t) {
    double v = product(t);
    while (t->ok) {
        if (take(t, "+")) v += product(t);
        else if (take(t, "-")) v -= product(t);
        else break;
    }
    return v;
}

/* `(a, b]`, `[a, b)` or `a..b`, behind the word `in`. A `(` may also begin the sum of a range: (n - 1)..n. */
static bool interval(Text *t, Domain *out) {
    const char *from = t->p;
    t->ok = true;
    if (take(t, "[") || take(t, "(")) {
        out->low = sum(t);
        if (t->ok && take(t, ",")) {
            out->high = sum(t);
            return t->ok && (take(t, "]") || take(t, ")"));
        }
        t->p = from;
        t->ok = true;
    }
    out->low = sum(t);
    if (!t->ok || !take(t, "..")) return false;
    out->integer = true;
    out->high = sum(t);
    return t->ok;
}

/* The line of `doc` that is about `name`: "name: ..." */
static bool line_of(const char *doc, const char *name, Text *t) {
    size_t n = strlen(name);
    while (doc && *doc) {
        const char *end = strchr(doc, '\n');
        while (*doc == ' ') doc++;
        t->p = doc;
        t->end = end ? end : doc + strlen(doc);
        if (!strncmp(doc, name, n) && doc[n] == ':') return true;
        doc = end ? end + 1 : NULL;
    }
    return false;
}

/* Where the program says `what` about `name`: in the comment above f. */
static TdlSpan span_of(const Check *c, const TdlFunc *f, const char *name, const char *what, size_t n) {
    size_t size;
    const char *text = f->span.file ? sources_text(c->s->sources, f->span.file, &size) : NULL, *line = text ? text + f->span.at : NULL;
    while (line && line > text && line[-1] != '\n') line--;
    for (;;) {
        if (!line || line == text) return f->span;
        for (line--; line > text && line[-1] != '\n';) line--;
        const char *p = line + strspn(line, " \t");
        if (strncmp(p, "##", 2) != 0) return f->span;
        p += 2 + strspn(p + 2, " ");
        const char *end = strchr(p, '\n');
        if (strncmp(p, name, strlen(name)) || p[strlen(name)] != ':') continue;
        const char *at = strstr(p, arena_strndup(c->s->arena, what, n));
        if (!at || (end && at > end)) return f->span;
        uint32_t lo = (uint32_t)(at - text);
        return (TdlSpan){f->span.file, lo, lo + (uint32_t)n, lo};
    }
}

bool domain_read(Check *c, const TdlFunc *f, const char *name, const CheckDims *dims, Domain *out) {
    const char *doc = f->doc;
    Text t = {.c = c, .dims = dims};
    if (!line_of(doc, name, &t)) return true;
    for (const char *p = t.p; p + 3 < t.end; p++) {
        bool word = !isalnum((unsigned char)p[0]) && p[1] == 'i' && p[2] == 'n' && p[3] == ' ';
        if (!word) continue;
        const char *first = p + 4 + (p + 4 < t.end && (p[4] == '(' || p[4] == '['));
        bool number = first < t.end && (isdigit((unsigned char)*first) || *first == '-' || *first == '.');
        t.p = p + 4;
        *out = (Domain){.stated = true, .sorted = p - 5 >= doc && !strncmp(p - 6, "sorted", 6)};
        if (interval(&t, out) && !(out->low > out->high)) return true;
        *out = (Domain){0};
        if (!number) continue; /* prose: in metres */
        diag_error(c->s->diags, span_of(c, f, name, p + 1, (size_t)(t.end - p - 1)), "check: the domain of %s in its comment cannot be read: in (0, 1), in [0, inf), in 0..n are domains, with dimensions of the function", name);
        return false;
    }
    return true;
}
