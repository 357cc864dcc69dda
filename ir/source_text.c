/* Sources and places in IR text: printing and reading. */
#include "ir/source_text.h"
#include "ir/graph.h"
#include "ir/parse.h"

#include <inttypes.h>
#include <string.h>

uint32_t *source_numbers(const TdlModule *m, TdlArena *scratch) {
    uint32_t n = sources_count(m->sources), next = 0;
    uint32_t *files = ARENA_ARRAY(scratch, uint32_t, n + 1);
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        const TdlFunc *f = m->funcs.p[i];
        if (f->span.file <= n) files[f->span.file] = 1;
        for (uint32_t k = 1; k < f->ops.n; k++)
            if (f->ops.p[k].code != OP_NONE && f->ops.p[k].span.file <= n) files[f->ops.p[k].span.file] = 1;
    }
    for (uint32_t i = 0; m->graphs && i < m->graphs->graphs.n; i++)
        for (uint32_t k = 0; k < m->graphs->graphs.p[i].nodes.n; k++)
            if (m->graphs->graphs.p[i].nodes.p[k].span.file <= n) files[m->graphs->graphs.p[i].nodes.p[k].span.file] = 1;
    files[0] = 0;
    for (uint32_t i = 1; i <= n; i++)
        if (files[i]) files[i] = ++next;
    return files;
}

void source_print(const TdlModule *m, const uint32_t *files, TdlStr *out) {
    for (uint32_t i = 1; i <= sources_count(m->sources); i++) {
        if (!files[i]) continue;
        size_t n;
        const char *text = sources_text(m->sources, i, &n), *name = sources_name(m->sources, i);
        str_printf(out, "source %" PRIu32 " ", files[i]);
        ir_print_quoted(out, name, strlen(name));
        str_putc(out, ' ');
        ir_print_quoted(out, text, n);
        str_putc(out, '\n');
    }
}

void source_print_span(TdlSpan s, const uint32_t *files, TdlStr *out) {
    uint32_t file = files ? files[s.file] : s.file;
    if (!file) s = SPAN_NONE;
    str_printf(out, " !%" PRIu32 ":%" PRIu32 ":%" PRIu32 ":%" PRIu32, file, s.lo, s.hi, s.at);
}

bool source_parse(Parser *p) {
    int64_t number;
    char *name, *text;
    size_t n, length;
    p->p += strlen("source");
    if (!scan_int(p, &number) || !scan_string(p, &name, &n) || !scan_string(p, &text, &length)) return false;
    if (number != (int64_t)p->files.n + 1) return scan_error(p, NULL, "sources are numbered 1, 2, 3, ...");
    VEC_PUSH(p->m->arena, p->files, sources_add(p->m->sources, name, text, length));
    return true;
}

bool scan_span(Parser *p, TdlSpan *s) {
    uint32_t *const parts[] = {&s->file, &s->lo, &s->hi, &s->at};
    for (int i = 0; i < 4; i++) {
        int64_t v;
        if ((i && !scan_expect(p, ":")) || !scan_int(p, &v)) return false;
        if (v < 0 || v > UINT32_MAX) return scan_error(p, NULL, "the place is out of range");
        *parts[i] = (uint32_t)v;
    }
    if (s->file > (p->files.n ? p->files.n : sources_count(p->m->sources)))
        return scan_error(p, NULL, "there is no source %" PRIu32, s->file);
    if (s->file && p->files.n) s->file = p->files.p[s->file - 1];
    return true;
}
