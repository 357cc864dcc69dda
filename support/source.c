/* Source files of a compilation: their text and line starts. */
#include "support/diag.h"

#include "support/vec.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Offsets are 32-bit; a source larger than this is a mistake (a device, a data file). */
#define SOURCE_MAX_BYTES ((size_t)256 << 20)

typedef struct {
    const char *name, *text;
    size_t n;
    TDL_VEC(uint32_t) lines; /* byte offset of each line's first byte */
} Source;

struct TdlSources {
    TdlArena *arena;
    TDL_VEC(Source) files; /* file number - 1 */
};

TdlSources *sources_new(TdlArena *a) {
    TdlSources *s = ARENA_NEW(a, TdlSources);
    s->arena = a;
    return s;
}

/* Adds a text that already belongs to the arena and ends in NUL. */
static uint32_t add_owned(TdlSources *s, const char *name, const char *text, size_t n) {
    Source f = {.name = arena_strdup(s->arena, name), .text = text, .n = n};
    VEC_PUSH(s->arena, f.lines, 0);
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\n') VEC_PUSH(s->arena, f.lines, (uint32_t)(i + 1));
    VEC_PUSH(s->arena, s->files, f);
    return s->files.n;
}

uint32_t sources_add(TdlSources *s, const char *name, const char *text, size_t n) {
    return add_owned(s, name, arena_strndup(s->arena, text, n), n);
}

uint32_t sources_read(TdlSources *s, const char *path, const char **why) {
    bool std_in = strcmp(path, "-") == 0;
    FILE *in = std_in ? stdin : fopen(path, "rb");
    if (!in) {
        *why = arena_printf(s->arena, "cannot open '%s': %s", path, strerror(errno));
        return 0;
    }
    TdlStr text = str_new(s->arena);
    char buf[16384];
    size_t got;
    errno = 0;
    while (text.n <= SOURCE_MAX_BYTES && (got = fread(buf, 1, sizeof buf, in)) > 0) str_putn(&text, buf, got);
    bool bad = ferror(in) != 0;
    int err = errno;
    if (!std_in) fclose(in);
    if (bad) {
        *why = arena_printf(s->arena, "cannot read '%s': %s", path, err ? strerror(err) : "input error");
        return 0;
    }
    if (text.n > SOURCE_MAX_BYTES) {
        *why = arena_printf(s->arena, "cannot read '%s': larger than %zu MiB", path, SOURCE_MAX_BYTES >> 20);
        return 0;
    }
    return add_owned(s, std_in ? "<stdin>" : path, text.p, text.n);
}

static const Source *source_at(const TdlSources *s, uint32_t file) {
    return file >= 1 && file <= s->files.n ? &s->files.p[file - 1] : NULL;
}

uint32_t sources_count(const TdlSources *s) { return s->files.n; }

const char *sources_name(const TdlSources *s, uint32_t file) {
    const Source *f = source_at(s, file);
    return f ? f->name : "";
}

const char *sources_text(const TdlSources *s, uint32_t file, size_t *n) {
    const Source *f = source_at(s, file);
    if (n) *n = f ? f->n : 0;
    return f ? f->text : "";
}

void sources_line_col(const TdlSources *s, uint32_t file, uint32_t off, uint32_t *line, uint32_t *col) {
    const Source *f = source_at(s, file);
    uint32_t lo = 0, hi = f ? f->lines.n : 1; /* the last line start <= off is in [lo, hi) */
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (f->lines.p[mid] <= off) lo = mid;
        else hi = mid;
    }
    *line = lo + 1;
    *col = f ? off - f->lines.p[lo] + 1 : 1;
}

TdlSpan span_join(TdlSpan a, TdlSpan b) {
    if (!a.file) return b;
    if (!b.file || b.file != a.file) return a;
    if (b.lo < a.lo) a.lo = b.lo;
    if (b.hi > a.hi) a.hi = b.hi;
    return a;
}
