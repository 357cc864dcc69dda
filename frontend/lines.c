/* Where statements end, and which words are keywords.
 *
 * A newline ends a statement, except
 *   - inside ( ) and [ ]; a { } inside them restores the rule;
 *   - after a token that cannot end an expression;
 *   - before a line that starts with `.`, `else`, `and`, `or`, a binary operator other than + - @, or one of
 *     = -> => .. (which no statement starts with).
 * `;` always does. A line that starts with a word only statements start with (`let`, `return`, `fn f`, ...) begins a
 * statement in any case: an unclosed bracket then costs one error, not the rest of the file.
 *
 * One T_SEP comes out between two statements, none after `{`, before `}` or at either end of the file. */
#include "frontend/parse.h"
#include "frontend/grammar.h"
#include <string.h>

typedef struct {
    Parse *p;
    const Toks *raw;
    TDL_VEC(int) open;  /* brackets: the kinds of the openers */
    TdlStr doc;
    bool has_doc;
    bool sep;           /* a statement end is due before the next token */
    Tok sep_tok;
    bool at_start;      /* the token being looked at begins a statement */
} Lines;

static int last_kind(const Lines *l) { return l->p->toks.n ? VEC_LAST(l->p->toks).kind : T_SEP; }

static bool can_end(int kind) {
    switch (kind) {
    case T_NAME: case T_INT: case T_FLOAT: case T_STRING: case T_TRUE: case T_FALSE: case T_NONE: case T_ELLIPSIS:
    case T_RPAREN: case T_RBRACK: case T_RBRACE: case T_BREAK: case T_CONTINUE: case T_RETURN: case T_BAD:
        return true;
    default:
        return false;
    }
}

static bool continues_line(int kind) {
    switch (kind) {
    case T_DOT: case T_DOTDOT: case T_ELSE: case T_AND: case T_OR: case T_STAR: case T_SLASH: case T_FLOORDIV:
    case T_PERCENT: case T_POW: case T_EQ: case T_NE: case T_LT: case T_LE: case T_GT: case T_GE: case T_ASSIGN:
    case T_ADD_ASSIGN: case T_SUB_ASSIGN: case T_MUL_ASSIGN: case T_DIV_ASSIGN: case T_FLOORDIV_ASSIGN:
    case T_MOD_ASSIGN: case T_POW_ASSIGN: case T_MATMUL_ASSIGN: case T_ARROW: case T_DARROW:
        return true;
    default:
        return false;
    }
}

/* Words that are keywords only where they stand: two words side by side are never an expression, so these stay
 * ordinary names everywhere else. `next` is the kind of the token after the word on the same line. */
static const struct { const char *word; int next, next2, kind; } words[] = {
    {"export", T_FN, T_LET, T_EXPORT},         {"extern", T_FN, T_FN, T_EXTERN},
    {"struct", T_NAME, T_NAME, T_STRUCT},      {"use", T_STRING, T_STRING, T_USE},
    {"input", T_NAME, T_NAME, T_INPUT},        {"derivative", T_NAME, T_NAME, T_DERIVATIVE},
    {"partial", T_NAME, T_NAME, T_PARTIAL},
};

/* `var` is a function of the library, too: it declares where a statement starts, unless that statement calls it. */
static int var_kind(const Lines *l, const Tok *t, int next) {
    if (next == T_NAME || (l->at_start && next != T_LPAREN)) return T_VAR;
    if (!l->at_start) return T_NAME;
    int depth = 0;
    for (const Tok *u = t + 1; u->kind != 0 && u - t < 200; u++) {
        depth += (u->kind == T_LPAREN) - (u->kind == T_RPAREN);
        if (depth == 0) return u[1].kind == T_ASSIGN || u[1].kind == T_COLON ? T_VAR : T_NAME;
    }
    return T_NAME;
}

/* Behind these `no_grad {` begins a value: in a condition or a range the brace is the body's. */
static bool precedes_value(int last) {
    switch (last) {
    case T_ASSIGN: case T_LPAREN: case T_COMMA: case T_LBRACK: case T_DARROW: case T_RETURN: case T_PLUS: case T_MINUS: case T_STAR:
    case T_SLASH: case T_FLOORDIV: case T_PERCENT: case T_AT: case T_POW: case T_ADD_ASSIGN: case T_SUB_ASSIGN: case T_MUL_ASSIGN:
    case T_DIV_ASSIGN:
        return true;
    default:
        return false;
    }
}

static int word_kind(const Lines *l, const Tok *t, int next) {
    if (t->kind == T_VAR) return var_kind(l, t, next);
    if (t->kind != T_NAME) return t->kind;
    const char *s = sym_text(l->p->in, t->sym);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((next == words[i].next || next == words[i].next2) && strcmp(s, words[i].word) == 0) return words[i].kind;
    int last = last_kind(l);
    if (l->at_start && (next == T_FOR || next == T_WHILE) && !strcmp(s, "checkpoint")) return T_SCOPED;
    if (next == T_LBRACE) {
        if ((l->at_start || precedes_value(last)) && (!strcmp(s, "no_grad") || !strcmp(s, "checkpoint"))) return T_SCOPED;
        if (l->at_start && !strcmp(s, "reverse")) return T_REVERSE;
        if (l->at_start && !strcmp(s, "forward")) return T_FORWARD;
    }
    return l->at_start && next == T_LPAREN && !strcmp(s, "assert") ? T_ASSERT : T_NAME;
}

/* Only statements start with these. `kind` is the word's kind, `next` that of the token after it. */
static bool starts_statement(int kind, int next) {
    switch (kind) {
    case T_LET: case T_RETURN: case T_WHILE: case T_BREAK: case T_CONTINUE: case T_EXPORT: case T_EXTERN:
    case T_STRUCT: case T_USE: case T_INPUT: case T_DERIVATIVE: case T_PARTIAL:
        return true;
    case T_FN: case T_VAR:
        return next == T_NAME;
    default:
        return false;
    }
}

static bool in_brackets(const Lines *l) { return l->open.n && VEC_LAST(l->open) != T_LBRACE; }

/* Forgets the brackets down to `opener`, when there is one with nothing but ( and [ above it. A closer that closes
 * nothing most likely stands for the one that was due, and takes the innermost ( or [. */
static void close_to(Lines *l, int opener) {
    for (uint32_t i = l->open.n; i-- > 0;) {
        if (l->open.p[i] == opener) {
            l->open.n = i;
            return;
        }
        if (l->open.p[i] == T_LBRACE && opener != T_LBRACE) break;
    }
    if (in_brackets(l) && opener != T_LBRACE) l->open.n--;
}

static void track_brackets(Lines *l, const Tok *t) {
    switch (t->kind) {
    case T_LPAREN: case T_LBRACK: case T_LBRACE: VEC_PUSH(l->p->a, l->open, t->kind); break;
    case T_RPAREN: close_to(l, T_LPAREN); break;
    case T_RBRACK: close_to(l, T_LBRACK); break;
    case T_RBRACE: close_to(l, T_LBRACE); break;
    default: break;
    }
}

static void take_doc(Lines *l, const Tok *t) {
    const char *s = l->p->text + t->lo + 2;
    uint32_t n = t->hi - t->lo - 2;
    if (n && s[n - 1] == '\r') n--;
    if (n && s[0] == ' ') s++, n--;
    if (!l->has_doc) l->doc = str_new(l->p->a);
    else str_putc(&l->doc, '\n');
    str_putn(&l->doc, s, n);
    l->has_doc = true;
}

/* A newline or `;`: whether it ends the statement. */
static void take_end(Lines *l, const Tok *t) {
    bool line = t->kind == RAW_NEWLINE;
    if (line && (in_brackets(l) || !can_end(last_kind(l)))) return;
    if (!line && in_brackets(l)) {
        Tok bad = *t;
        bad.kind = T_BAD_SEP;
        VEC_PUSH(l->p->a, l->p->toks, bad);
        return;
    }
    if (l->sep) return;
    l->sep = true;
    l->sep_tok = *t;
    l->sep_tok.kind = T_SEP;
}

static void put(Lines *l, const Tok *raw) {
    Tok t = *raw;
    int last = last_kind(l), next = t.kind ? raw[1].kind : 0;
    l->at_start = l->sep || last == T_SEP || last == T_LBRACE;
    int kind = word_kind(l, raw, next);
    if (t.first && l->p->toks.n && last != T_LBRACE && last != T_SEP && !l->sep && starts_statement(kind, next)) {
        while (in_brackets(l)) l->open.n--;
        l->sep = true;
        l->sep_tok = (Tok){.kind = T_SEP, .lo = VEC_LAST(l->p->toks).hi, .hi = VEC_LAST(l->p->toks).hi};
    }
    bool newline = l->sep && l->p->text[l->sep_tok.lo] != ';';
    bool drop = last == T_LBRACE || last == T_SEP || kind == T_RBRACE || kind == 0 || (newline && continues_line(kind));
    if (l->sep && !drop) VEC_PUSH(l->p->a, l->p->toks, l->sep_tok);
    l->sep = false;
    l->at_start = false;
    t.kind = kind;
    if (l->has_doc) t.doc = l->doc.p;
    l->has_doc = false;
    track_brackets(l, &t);
    VEC_PUSH(l->p->a, l->p->toks, t);
}

void lines_apply(Parse *p, const Toks *raw) {
    Lines l = {.p = p, .raw = raw};
    for (uint32_t i = 0; i < raw->n; i++) {
        const Tok *t = &raw->p[i];
        if (t->kind == RAW_DOC) {
            if (t->first) take_doc(&l, t);
        } else if (t->kind == RAW_NEWLINE || t->kind == T_SEP) {
            if (t->first) l.has_doc = false; /* an empty line parts a comment from what follows */
            take_end(&l, t);
        } else {
            put(&l, t);
        }
        if (l.open.n > PARSE_MAX_BRACKETS) {
            syntax_too_deep(p, tok_span(p, t));
            break;
        }
    }
    if (!p->toks.n || VEC_LAST(p->toks).kind != 0) VEC_PUSH(p->a, p->toks, ((Tok){.lo = p->n, .hi = p->n}));
}
