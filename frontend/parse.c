/* From the text of a file to its tree, and to the list of its tokens. */
#include "frontend/parse.h"
#include "frontend/grammar.h"
#include <ctype.h>

/* Beyond this many bytes a file is not a program. Tokens and nodes take up to 100 times the text. */
enum { PARSE_MAX_BYTES = 16 << 20 };

/* Scans the file; false when there is nothing to parse. */
static bool scan(Parse *p) {
    size_t n = 0;
    p->text = sources_text(diags_sources(p->d), p->file, &n);
    if (n > PARSE_MAX_BYTES) {
        diag_error(p->d, (TdlSpan){p->file, 0, 0, 0}, "the file is too large: %zu bytes, of at most %d", n, PARSE_MAX_BYTES);
        return false;
    }
    p->n = (uint32_t)n;
    lit_check_utf8(p);
    Toks raw = {0};
    lex_text(p, &raw);
    lines_apply(p, &raw);
    return true;
}

AstFile *parse_file(TdlArena *a, TdlInterner *in, TdlDiags *d, uint32_t file) {
    Parse p = {.a = a, .in = in, .d = d, .file = file};
    AstFile *f = ARENA_NEW(a, AstFile);
    f->file = file;
    p.top = f->top = ARENA_NEW(a, AstBlock);
    if (scan(&p) && !p.stopped) parse_tokens(&p);
    return f;
}

static const char *token_class(const Parse *p, const Tok *t) {
    switch (t->kind) {
    case 0: return "end";
    case T_NAME: return "name";
    case T_INT: return "int";
    case T_FLOAT: return "float";
    case T_STRING: return "string";
    case T_SEP: return p->text[t->lo] == ';' ? "end-of-statement" : "end-of-line";
    case T_BAD: case T_BAD_SEP: return "bad";
    default: return isalpha((unsigned char)p->text[t->lo]) ? "keyword" : "op";
    }
}

void tokens_print(TdlArena *a, TdlInterner *in, TdlDiags *d, uint32_t file, TdlStr *out) {
    Parse p = {.a = a, .in = in, .d = d, .file = file};
    if (!scan(&p)) return;
    for (uint32_t i = 0; i < p.toks.n; i++) {
        const Tok *t = &p.toks.p[i];
        uint32_t line, col;
        sources_line_col(diags_sources(d), file, t->lo, &line, &col);
        str_printf(out, "%u:%u %s", line, col, token_class(&p, t));
        if (t->kind != 0 && t->kind != T_SEP) {
            str_putc(out, ' ');
            str_putn(out, p.text + t->lo, t->hi - t->lo);
        }
        str_putc(out, '\n');
        if (t->doc) {
            str_puts(out, "  doc ");
            str_json(out, t->doc);
            str_putc(out, '\n');
        }
    }
}
