/* Collecting diagnostics, and choosing which of them to show; diag_text.c draws source lines. */
#include "support/diag.h"

#include "support/diag_text.h"
#include "support/json.h"
#include "support/vec.h"
#include <stdlib.h>
#include <string.h>

typedef struct { TdlSpan at; const char *text; bool fixit; } Extra; /* a note, or a replacement */

typedef struct {
    TdlSeverity severity;
    TdlSpan at;
    uint32_t seq; /* order of report, the last key of the sort */
    const char *text;
    TDL_VEC(Extra) extras;
} Diag;

struct TdlDiags {
    TdlArena *arena;
    TdlSources *sources;
    TDL_VEC(Diag) diags;
    size_t errors;
    TdlWarningLevel levels[WARN_COUNT];
    bool ignored; /* the last one was: so are its notes */
};

TdlDiags *diags_new(TdlArena *a, TdlSources *s) {
    TdlDiags *d = ARENA_NEW(a, TdlDiags);
    d->arena = a;
    d->sources = s;
    return d;
}

/* Keeps lo <= at <= hi <= size of the file, whatever the caller computed. */
static TdlSpan span_clamp(const TdlDiags *d, TdlSpan at) {
    size_t n = 0;
    sources_text(d->sources, at.file, &n);
    if (at.hi > n) at.hi = (uint32_t)n;
    if (at.lo > at.hi) at.lo = at.hi;
    if (at.at < at.lo || at.at > at.hi) at.at = at.lo;
    return at;
}

static const char *format(TdlDiags *d, const char *fmt, va_list ap) {
    TdlStr s = str_new(d->arena);
    str_vprintf(&s, fmt, ap);
    return s.p;
}

static void add(TdlDiags *d, TdlSeverity severity, TdlSpan at, const char *text) {
    Diag g = {.severity = severity, .at = span_clamp(d, at), .seq = d->diags.n, .text = text};
    VEC_PUSH(d->arena, d->diags, g);
    d->ignored = false;
    if (severity == DIAG_ERROR) d->errors++;
}

void diag_error(TdlDiags *d, TdlSpan at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add(d, DIAG_ERROR, at, format(d, fmt, ap));
    va_end(ap);
}

static const char *const warning_names[WARN_COUNT] = {
#define WARNING(KIND, name) name,
    TDL_WARNINGS(WARNING)
#undef WARNING
};

TdlWarning warning_by_name(const char *name) {
    int k = 0;
    while (k < WARN_COUNT && strcmp(warning_names[k], name) != 0) k++;
    return (TdlWarning)k;
}

void diags_set_warning(TdlDiags *d, TdlWarning kind, TdlWarningLevel level) { d->levels[kind] = level; }

void diag_warning(TdlDiags *d, TdlWarning kind, TdlSpan at, const char *fmt, ...) {
    TdlWarningLevel level = d->levels[kind];
    d->ignored = level == WARN_IGNORED;
    if (d->ignored) return;
    va_list ap;
    va_start(ap, fmt);
    TdlStr s = str_new(d->arena);
    str_vprintf(&s, fmt, ap);
    va_end(ap);
    str_printf(&s, " [%s-W%s]", level == WARN_AS_ERROR ? "-Werror," : "", warning_names[kind]);
    add(d, level == WARN_AS_ERROR ? DIAG_ERROR : DIAG_WARNING, at, s.p);
}

static void add_extra(TdlDiags *d, Extra x) {
    if (!d->diags.n || d->ignored) return; /* belongs to nothing */
    Diag *last = &VEC_LAST(d->diags);
    x.at = span_clamp(d, x.at);
    VEC_PUSH(d->arena, last->extras, x);
}

void diag_note(TdlDiags *d, TdlSpan at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add_extra(d, (Extra){.at = at, .text = format(d, fmt, ap)});
    va_end(ap);
}

void diag_fixit(TdlDiags *d, TdlSpan at, const char *text) {
    add_extra(d, (Extra){.at = at, .text = arena_strdup(d->arena, text), .fixit = true});
}

size_t diags_errors(const TdlDiags *d) { return d->errors; }
size_t diags_count(const TdlDiags *d) { return d->diags.n; }
TdlSources *diags_sources(const TdlDiags *d) { return d->sources; }

static int cmp_u32(uint32_t a, uint32_t b) { return (a > b) - (a < b); }

static int cmp_place(const void *pa, const void *pb) {
    const Diag *a = *(const Diag *const *)pa, *b = *(const Diag *const *)pb;
    int c = cmp_u32(a->at.file, b->at.file);
    if (!c) c = cmp_u32(a->at.lo, b->at.lo);
    return c ? c : cmp_u32(a->seq, b->seq);
}

static bool same(const Diag *a, const Diag *b) {
    return a->severity == b->severity && a->at.file == b->at.file && a->at.lo == b->at.lo && a->at.hi == b->at.hi &&
           strcmp(a->text, b->text) == 0;
}

/* The diagnostics by place, each once, in `scratch`; *n of them. */
static const Diag **sorted(const TdlDiags *d, TdlArena *scratch, size_t *n) {
    const Diag **v = ARENA_ARRAY(scratch, const Diag *, d->diags.n);
    for (uint32_t i = 0; i < d->diags.n; i++) v[i] = &d->diags.p[i];
    qsort(v, d->diags.n, sizeof *v, cmp_place);
    size_t kept = 0;
    for (uint32_t i = 0; i < d->diags.n; i++) {
        bool again = false;
        for (size_t j = kept; j-- > 0 && v[j]->at.lo == v[i]->at.lo && v[j]->at.file == v[i]->at.file;)
            if (same(v[j], v[i])) {
                again = true;
                break;
            }
        if (!again) v[kept++] = v[i];
    }
    *n = kept;
    return v;
}

static const char *plural(size_t n) { return n == 1 ? "" : "s"; }

static void render_one(const TdlDiags *d, TdlStr *out, const Diag *g) {
    diag_text_message(d->sources, out, g->at, g->severity == DIAG_ERROR ? "error" : "warning", g->text);
    for (uint32_t i = 0; i < g->extras.n; i++) {
        const Extra *x = &g->extras.p[i];
        if (x->fixit) diag_text_fixit(d->sources, out, x->at, x->text);
        else diag_text_message(d->sources, out, x->at, "note", x->text);
    }
}

/* Errors take the places under the cap before warnings do: a flood of warnings must not hide the error. */
void diags_render_text(const TdlDiags *d, TdlStr *out, size_t cap) {
    size_t n, total[2] = {0, 0}, shown[2] = {0, 0};
    const Diag **v = sorted(d, out->arena, &n);
    for (size_t i = 0; i < n; i++) total[v[i]->severity]++;
    size_t room[2] = {total[DIAG_ERROR], total[DIAG_WARNING]};
    if (cap && room[DIAG_ERROR] > cap) room[DIAG_ERROR] = cap;
    if (cap && room[DIAG_WARNING] > cap - room[DIAG_ERROR]) room[DIAG_WARNING] = cap - room[DIAG_ERROR];
    for (size_t i = 0; i < n; i++) {
        if (shown[v[i]->severity] == room[v[i]->severity]) continue;
        shown[v[i]->severity]++;
        render_one(d, out, v[i]);
    }
    size_t errors = total[DIAG_ERROR] - shown[DIAG_ERROR], warnings = total[DIAG_WARNING] - shown[DIAG_WARNING];
    if (errors) str_printf(out, "%zu error%s not shown\n", errors, plural(errors));
    if (warnings) str_printf(out, "%zu warning%s not shown\n", warnings, plural(warnings));
}

static void json_place(const TdlDiags *d, cJSON *to, TdlArena *scratch, TdlSpan at) {
    if (!at.file) {
        cJSON_AddNullToObject(to, "file");
        return;
    }
    uint32_t line, col, end_line, end_col;
    sources_line_col(d->sources, at.file, at.lo, &line, &col);
    sources_line_col(d->sources, at.file, at.hi, &end_line, &end_col);
    json_add_string(to, "file", scratch, sources_name(d->sources, at.file));
    json_add_int(to, "line", line);
    json_add_int(to, "column", col);
    json_add_int(to, "end_line", end_line);
    json_add_int(to, "end_column", end_col);
    json_add_int(to, "offset", at.lo);
    json_add_int(to, "end_offset", at.hi);
    json_add_int(to, "caret", at.at);
}

static void json_extras(const TdlDiags *d, cJSON *to, TdlArena *scratch, const Diag *g, bool fixit) {
    cJSON *list = cJSON_AddArrayToObject(to, fixit ? "fixits" : "notes");
    for (uint32_t i = 0; i < g->extras.n; i++) {
        const Extra *x = &g->extras.p[i];
        if (x->fixit != fixit) continue;
        cJSON *item = cJSON_CreateObject();
        json_place(d, item, scratch, x->at);
        json_add_string(item, fixit ? "text" : "message", scratch, x->text);
        cJSON_AddItemToArray(list, item);
    }
}

void diags_render_json(const TdlDiags *d, TdlStr *out) {
    size_t n;
    const Diag **v = sorted(d, out->arena, &n);
    for (size_t i = 0; i < n; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "severity", v[i]->severity == DIAG_ERROR ? "error" : "warning");
        json_place(d, item, out->arena, v[i]->at);
        json_add_string(item, "message", out->arena, v[i]->text);
        json_extras(d, item, out->arena, v[i], false);
        json_extras(d, item, out->arena, v[i], true);
        json_write(item, true, out);
        str_putc(out, '\n');
    }
}
