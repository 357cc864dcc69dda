#include "support/diag_text.h"

#include "support/utf8.h"
#include <string.h>

enum {
    TAB = 8,           /* tabs are drawn as spaces up to the next multiple, so that carets line up anywhere */
    LEAD_BYTES = 120,  /* of a longer line, at most this much before the caret is shown */
    LINE_COLUMNS = 160 /* and at most this many columns altogether */
};

typedef struct { uint32_t lo, hi; } Bytes;

/* The line that holds `off`, without its line end. */
static Bytes line_of(const char *text, size_t n, uint32_t off) {
    uint32_t lo = off, hi = off;
    while (lo > 0 && text[lo - 1] != '\n') lo--;
    while (hi < n && text[hi] != '\n') hi++;
    if (hi > lo && text[hi - 1] == '\r') hi--;
    return (Bytes){lo, hi};
}

/* The message's place is where the span starts, if that is on the line shown; else where the caret stands. */
static void put_place(const TdlSources *s, TdlStr *out, TdlSpan at) {
    uint32_t line, col, at_line, at_col;
    sources_line_col(s, at.file, at.lo, &line, &col);
    sources_line_col(s, at.file, at.at, &at_line, &at_col);
    if (line != at_line) col = at_col;
    str_printf(out, "%s:%u:%u: ", sources_name(s, at.file), at_line, col);
}

typedef struct { TdlStr *line, *marks; unsigned col; size_t marked; } Drawing; /* marked: length up to the last mark */

static void put_cell(Drawing *w, const char *glyph, size_t n, unsigned width, char mark) {
    str_putn(w->line, glyph, n);
    for (unsigned i = 0; i < width; i++) str_putc(w->marks, i && mark == '^' ? '~' : mark);
    w->col += width;
    if (mark != ' ' && width) w->marked = w->marks->n;
}

static void put_char(Drawing *w, const char *p, size_t len, uint32_t cp, char mark) {
    if (cp == '\t') {
        unsigned width = TAB - w->col % TAB;
        put_cell(w, "        ", width, width, mark);
    } else if (cp == UTF8_BAD || cp < 0x20 || cp == 0x7f) {
        put_cell(w, "\xef\xbf\xbd", 3, 1, mark); /* U+FFFD: terminal control bytes must not get through */
    } else {
        put_cell(w, p, len, utf8_width(cp), mark);
    }
}

static char mark_at(TdlSpan at, uint32_t i, size_t len) {
    if (at.at >= i && at.at < i + len) return '^';
    return i >= at.lo && i < at.hi ? '~' : ' ';
}

static void draw_line(const TdlSources *s, TdlStr *out, TdlSpan at) {
    size_t n;
    const char *text = sources_text(s, at.file, &n);
    Bytes b = line_of(text, n, at.at);
    TdlStr line = str_new(out->arena), marks = str_new(out->arena);
    Drawing w = {.line = &line, .marks = &marks};
    uint32_t i = b.lo;
    if (b.hi - b.lo > LINE_COLUMNS && at.at - b.lo > LEAD_BYTES) {
        i = at.at - LEAD_BYTES;
        while (i > b.lo && ((unsigned char)text[i] & 0xc0) == 0x80) i--;
        put_cell(&w, "...", 3, 3, ' ');
    }
    for (; i < b.hi && w.col < LINE_COLUMNS;) {
        uint32_t cp;
        size_t len = utf8_decode(text + i, b.hi - i, &cp);
        put_char(&w, text + i, len, cp, mark_at(at, i, len));
        i += (uint32_t)len;
    }
    if (i < b.hi) str_puts(&line, "...");
    else if (at.at >= b.hi) put_cell(&w, "", 0, 1, '^'); /* at the end of the line or of the file */
    str_printf(out, "    %s\n    %.*s\n", line.p, (int)w.marked, marks.p);
}

void diag_text_message(const TdlSources *s, TdlStr *out, TdlSpan at, const char *kind, const char *text) {
    if (at.file) put_place(s, out, at);
    str_printf(out, "%s: %s\n", kind, text);
    if (at.file) draw_line(s, out, at);
}

void diag_text_fixit(const TdlSources *s, TdlStr *out, TdlSpan at, const char *text) {
    if (!at.file) return;
    const char *src = sources_text(s, at.file, NULL);
    put_place(s, out, at);
    str_puts(out, "fix-it: ");
    if (at.lo == at.hi) str_printf(out, "insert '%s'\n", text);
    else if (!*text) str_printf(out, "remove '%.*s'\n", (int)(at.hi - at.lo), src + at.lo);
    else str_printf(out, "replace '%.*s' by '%s'\n", (int)(at.hi - at.lo), src + at.lo, text);
}
