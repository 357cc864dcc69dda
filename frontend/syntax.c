/* Syntax errors in words: what could have stood here, what did, and what was probably meant. */
#include "frontend/parse.h"
#include "frontend/grammar.h"
#include <string.h>

typedef struct { const char *const *names; int n; } Expected;

static bool has(Expected e, const char *name) {
    for (int i = 0; i < e.n; i++)
        if (strcmp(e.names[i], name) == 0) return true;
    return false;
}

static bool among(const char *name, const char *const *set) {
    for (; *set; set++)
        if (strcmp(name, *set) == 0) return true;
    return false;
}

/* What begins an expression, a statement; what continues an expression. */
static const char *const expr_start[] = {"name", "number", "float", "string", "fn", "if", "true", "false", "None", "not",
                                         "-", "(", "[", "{", "no_grad", "..", NULL};
static const char *const stmt_start[] = {"let", "var", "for", "while", "break", "continue", "return", "export", "extern",
                                         "assert", "struct", "use", "input", "derivative", "@", NULL};
static const char *const operators[] = {"and", "or", "+", "-", "*", "/", "//", "%", "@", "**", "==", "!=", "<", "<=", ">",
                                        ">=", "=", "+=", "-=", "*=", "/=", "//=", "%=", "**=", "@=", "(", "[", ".", NULL};
static const char *const plain_words[] = {"name", "number", "float", "string", "end of line", "end of file", NULL};

/* Puts the expected things into words: kinds of phrases first, then single tokens. At most 6 are named. */
static void describe(Expected e, TdlStr *out) {
    const char *list[6];
    int n = 0;
    bool expr = has(e, "number") && has(e, "("), stmt = expr && has(e, "let") && has(e, "return");
    bool decl = !stmt && has(e, "struct") && has(e, "fn");
    bool after = has(e, "*") && has(e, "and"), type = !expr && has(e, "name") && has(e, "fn") && has(e, "(");
    if (stmt) list[n++] = "a statement";
    else if (expr) list[n++] = "an expression";
    else if (decl) list[n++] = "a declaration";
    else if (type) list[n++] = "a type";
    else if (after) list[n++] = "an operator";
    for (int i = 0; i < e.n && n < 6; i++) {
        const char *s = e.names[i];
        if ((expr && among(s, expr_start)) || ((stmt || decl) && among(s, stmt_start)) || (decl && !strcmp(s, "fn")) || (after && among(s, operators)) ||
            (type && (!strcmp(s, "name") || !strcmp(s, "fn") || !strcmp(s, "("))) ||
            (!strcmp(s, "end of file") && has(e, "end of line")))
            continue;
        list[n++] = strcmp(s, "name") == 0 ? "a name" : strcmp(s, "string") == 0 ? "a string" : s;
    }
    for (int i = 0; i < n; i++) {
        bool words = strchr(list[i], ' ') != NULL || among(list[i], plain_words);
        str_puts(out, i == 0 ? "" : i + 1 == n ? " or " : ", ");
        str_printf(out, words ? "%s" : "`%s`", list[i]);
    }
    if (n == 0) str_puts(out, "something else");
}

static void found(const Parse *p, const Tok *t, TdlStr *out) {
    uint32_t n = t->hi - t->lo;
    if (t->kind == 0) str_puts(out, "end of file");
    else if (t->kind == T_SEP && (n == 0 || p->text[t->lo] != ';')) str_puts(out, "end of line");
    else if (t->kind == T_STRING) str_puts(out, "a string");
    else str_printf(out, "`%.*s`%s", n > 40 ? 40 : (int)n, p->text + t->lo, n > 40 ? "..." : "");
}

TdlSpan syntax_opener(const Parse *p, const Tok *t) {
    int round = 0, square = 0, curly = 0;
    bool here = true; /* still in the statement of t: no ( or [ is open across the end of one */
    while (t-- > p->toks.p) {
        switch (t->kind) {
        case T_RPAREN: round++; break;
        case T_RBRACK: square++; break;
        case T_RBRACE: curly++; break;
        case T_LPAREN: if (round-- == 0 && here) return tok_span(p, t); break;
        case T_LBRACK: if (square-- == 0 && here) return tok_span(p, t); break;
        case T_LBRACE: if (curly-- == 0) return tok_span(p, t); break;
        case T_SEP: if (curly == 0) here = false; break;
        default: break;
        }
    }
    return SPAN_NONE;
}

static bool is_comparison(int k) { return k == T_EQ || k == T_NE || k == T_LT || k == T_LE || k == T_GT || k == T_GE; }
static bool is_word(const Parse *p, const Tok *t, const char *w) {
    return t->kind == T_NAME && strcmp(sym_text(p->in, t->sym), w) == 0;
}

/* Mistakes that say more than what was expected; NULL when it is none of them. */
static const char *instead(const Parse *p, const Tok *t, Expected e) {
    bool starts = t == p->toks.p || t[-1].kind == T_SEP;
    if (is_comparison(t->kind) && has(e, "and")) return "comparisons do not chain: write `a < b and b < c`";
    if (starts && t->kind == T_PLUS && has(e, "let"))
        return "a statement cannot begin with `+`: break a line after an operator, or inside parentheses";
    return NULL;
}

/* Mistakes with one likely meaning; NULL when it is none of them. */
static const char *meant(const Parse *p, const Tok *t, Expected e) {
    const Tok *prev = t > p->toks.p ? t - 1 : NULL;
    if (t->kind == T_ASSIGN && has(e, "{") && has(e, "==")) return "`=` assigns: `==` compares";
    if (t->kind == T_COLON && has(e, "{")) return "a block stands in `{ }`";
    if (t->kind == T_SEP && has(e, "{") && !has(e, "number")) return "the `{` of a block stands on the line that it belongs to";
    if (is_word(p, t, "elif") || (prev && is_word(p, prev, "elif"))) return "`elif` is written `else if`";
    if (prev && (is_word(p, prev, "def") || is_word(p, prev, "func") || is_word(p, prev, "function")))
        return "a function is declared with `fn`";
    if (prev && is_word(p, prev, "lambda")) return "a lambda is written `fn(x) => ...`";
    if (prev && (is_word(p, prev, "const") || is_word(p, prev, "auto"))) return "a value is named with `let`";
    if (prev && (is_word(p, prev, "import") || is_word(p, prev, "include"))) return "a file is read with `use \"file.tdl\"`";
    return NULL;
}

/* Moves to the end of the statement that the error is in: the next T_SEP or `}` outside braces opened on the way.
 * A token that is an error for the second time (a `}` that closes nothing) is left behind. */
static void skip_statement(Parse *p, bool again) {
    uint32_t i = p->cur + (again && p->toks.p[p->cur].kind != 0);
    for (uint32_t depth = 0;; i++) {
        int k = p->toks.p[i].kind;
        if (k == 0 || (depth == 0 && (k == T_SEP || k == T_RBRACE))) break;
        depth += k == T_LBRACE;
        depth -= k == T_RBRACE;
    }
    p->next = i;
}

static void notes(Parse *p, const Tok *t, Expected e) {
    const char *hint = meant(p, t, e);
    if (hint) diag_note(p->d, SPAN_NONE, "%s", hint);
    bool word = t->kind > T_NAME && t->hi > t->lo && p->text[t->lo] >= 'a' && p->text[t->lo] <= 'z';
    if (word && has(e, "name") && !has(e, "number"))
        diag_note(p->d, SPAN_NONE, "`%.*s` is a keyword", (int)(t->hi - t->lo), p->text + t->lo);
    TdlSpan open = syntax_opener(p, t);
    if (!open.file || (t->kind == T_RBRACE && p->text[open.lo] == '{')) return;
    char c = p->text[open.lo];
    const char *closer = c == '(' ? ")" : c == '[' ? "]" : "}";
    bool ended = t->kind == 0 || t->kind == T_SEP || t->kind == T_BAD_SEP || t->kind == T_RPAREN || t->kind == T_RBRACK ||
                 t->kind == T_RBRACE || t->kind == T_LBRACE;
    if (ended && (c != '{' || t->kind != T_SEP)) diag_note(p->d, open, "this `%c` has no `%s`", c, closer);
}

void syntax_error(Parse *p, const char *const *expected, int n) {
    const Tok *t = &p->toks.p[p->cur];
    Expected e = {expected, n};
    bool again = p->error_at == p->cur + 1;
    const char *better = instead(p, t, e);
    if (p->stopped || t->kind == T_BAD || again) {
        ; /* said already */
    } else if (better) {
        diag_error(p->d, tok_span(p, t), "%s", better);
    } else {
        TdlStr what = str_new(p->a), got = str_new(p->a);
        describe(e, &what);
        found(p, t, &got);
        diag_error(p->d, tok_span(p, t), "expected %s, found %s", what.p, got.p);
        notes(p, t, e);
    }
    p->error_at = p->cur + 1;
    skip_statement(p, again);
    if (++p->errors < PARSE_MAX_ERRORS && t->kind != 0) return;
    p->stopped = true;
    p->next = p->toks.n - 1;
}

void syntax_too_deep(Parse *p, TdlSpan at) {
    if (!p->too_deep) {
        diag_error(p->d, at, "nested too deeply: at most %d brackets, and %d operations within each other",
                   PARSE_MAX_BRACKETS, PARSE_MAX_DEPTH);
        diag_note(p->d, SPAN_NONE, "name parts of it with `let`");
    }
    p->too_deep = p->stopped = true;
    if (p->toks.n) p->next = p->toks.n - 1;
}
