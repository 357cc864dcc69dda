/* What the scanner, the line rule, the grammar and the tree builder share. Nothing outside the parser includes this.
 *
 *   text --lexer.l--> raw tokens --lines.c--> tokens --grammar.y--> calls of build.h --> tree (ast.h)
 *
 * The whole file is scanned before it is parsed: the line rule needs the next token, and recovery after an error
 * needs to see where the statement ends. */
#ifndef TDL_FRONTEND_PARSE_H
#define TDL_FRONTEND_PARSE_H

#include "frontend/ast.h"

/* Limits on nesting, so that no input can overflow the stack of a recursive walk over the tree. */
enum { PARSE_MAX_BRACKETS = 200, PARSE_MAX_DEPTH = 500, PARSE_MAX_ERRORS = 100 };

/* Kinds that only raw tokens have; all others are bison's, and are positive. */
enum { RAW_NEWLINE = -1, RAW_DOC = -2 };

typedef struct {
    int kind;
    uint32_t lo, hi;  /* bytes of the text */
    bool first;       /* first token of its line */
    TdlSym sym;       /* NAME, and a word that is a keyword only where it stands */
    int64_t ival;     /* INT; STRING: its bytes */
    double fval;      /* FLOAT */
    const char *str;  /* STRING, escapes resolved */
    const char *doc;  /* the `##` lines directly above, or NULL */
} Tok;
typedef TDL_VEC(Tok) Toks;

typedef struct {
    TdlArena *a;
    TdlInterner *in;
    TdlDiags *d;
    uint32_t file;
    const char *text;
    uint32_t n;
    uint32_t lex_lo, lex_hi; /* bytes of the token being scanned */
    Toks toks;               /* what the grammar sees; the last one is the end of the file */
    uint32_t next, cur;      /* the token to be read next, the one read last */
    AstBlock *top;
    bool too_deep;           /* reported once a file */
    bool stopped;            /* nothing more is reported */
    uint32_t errors;         /* syntax errors so far */
    uint32_t error_at;       /* the token of the last one, plus 1 */
} Parse;

static inline TdlSpan parse_span(const Parse *p, uint32_t lo, uint32_t hi) { return (TdlSpan){p->file, lo, hi, lo}; }
static inline TdlSpan tok_span(const Parse *p, const Tok *t) { return parse_span(p, t->lo, t->hi); }

/* lexer.l: the raw tokens of the text, ending with kind 0. */
void lex_text(Parse *p, Toks *out);
/* literals.c: the value of a literal; reports what does not fit. `s` is the n bytes of the token. */
void lit_int(Parse *p, Tok *t, const char *s, size_t n);
void lit_float(Parse *p, Tok *t, const char *s, size_t n);
void lit_string(Parse *p, Tok *t, const char *s, size_t n);
/* Reports NUL bytes and bytes that are not UTF-8, one a line. */
void lit_check_utf8(Parse *p);
/* lines.c: applies the rule of where statements end, finds the words that are keywords where they stand, and hangs
 * documentation on the token it precedes. Fills p->toks. */
void lines_apply(Parse *p, const Toks *raw);
/* grammar.y: parses p->toks into p->top; the name of a token kind ("name", "(", "let", ...). */
void parse_tokens(Parse *p);
const char *parse_token_name(int kind);
/* syntax.c: reports that the token last read is not among the `n` expected ones, and moves on to the end of the
 * statement. */
void syntax_error(Parse *p, const char *const *expected, int n);
/* The innermost bracket that is open before token `t`; SPAN_NONE when there is none. */
TdlSpan syntax_opener(const Parse *p, const Tok *t);
/* Reports, once, that the nesting is too deep at `at`, and gives up the rest of the file. */
void syntax_too_deep(Parse *p, TdlSpan at);

#endif
