/* The syntax tree of a .tdl file, as the parser makes it and `lower` reads it.
 *
 * Nodes live in the arena of the parse; names are interned; every node has its span. The tree says what was
 * written and nothing more: no types, no resolved names, sugar kept (`z.mean()` is a method call). Comments are
 * dropped except `##` blocks, which are kept with the declaration that follows. */
#ifndef TDL_FRONTEND_AST_H
#define TDL_FRONTEND_AST_H

#include "support/diag.h"
#include "support/intern.h"
#include "support/vec.h"

typedef struct AstExpr AstExpr;
typedef struct AstStmt AstStmt;
typedef struct AstType AstType;
typedef struct AstDecl AstDecl;
typedef struct AstBlock AstBlock;

typedef struct { TdlSym name; TdlSpan span; } AstName;
typedef TDL_VEC(AstExpr *) AstExprs;
typedef TDL_VEC(AstStmt *) AstStmts;
typedef TDL_VEC(AstName) AstNames;
typedef TDL_VEC(AstType *) AstTypes;

/* ---- types, as written: f64[n, 3], (f64, i64), P, fn(f64[n]) -> f64, T[..s, n] ---- */

typedef enum { AST_TY_NAME, AST_TY_TUPLE, AST_TY_FN } AstTypeKind;

struct AstType {
    AstTypeKind kind;
    TdlSpan span;
    AstName name;     /* NAME: element type, struct or type parameter */
    bool has_dims;    /* NAME: a bracket was written (it may be empty) */
    AstExprs dims;    /* NAME: dimension expressions; a pack `..s` is an AST_PACK expression */
    AstTypes elems;   /* TUPLE: elements; FN: parameters */
    AstType *result;  /* FN */
    uint32_t depth;   /* of the tree from here down; limited by the parser, so recursive walks are safe */
};

/* ---- expressions ---- */

typedef enum {
    AST_INT,      /* 12          .ival */
    AST_FLOAT,    /* 1.5e3       .fval */
    AST_BOOL,     /* true        .ival */
    AST_STRING,   /* "abc"       .str (escapes resolved), .ival bytes */
    AST_NONE,     /* None, as an index (new axis) or argument */
    AST_ELLIPSIS, /* ...         in an index */
    AST_NAME,     /* x           .name */
    AST_PACK,     /* ..s         in dimensions */
    AST_UNARY,    /* -x  not x   .op .a */
    AST_BINARY,   /* a + b       .op .a .b   (comparisons do not chain: a < b < c is a syntax error) */
    AST_IF,       /* if c { } else { } as a value: .a cond, .block then, .block2 else (an else-if is a block of one AST_IF) */
    AST_CALL,     /* f(x, dim=1) .a callee, .args;  grad(f, wrt=(a, b)) is a call like any other */
    AST_METHOD,   /* z.mean()    .a receiver, .name, .args */
    AST_FIELD,    /* p.w, x.grad, x.T, y.grad_fn   .a .name;  tuple element t.0: .name "0" */
    AST_INDEX,    /* x[i, 1:3]   .a .items (each an expression or AST_SLICE) */
    AST_SLICE,    /* a:b:c       .a .b .c, each may be NULL; only in .items */
    AST_TUPLE,    /* (a, b)      .items */
    AST_ARRAY,    /* [a, b]      .items */
    AST_COMP,     /* [e for i in n, j in a..b]           .a body or .block, .gens */
    AST_GEN,      /* e for k in p if c, the sole argument of a call   .a or .block, .gens, .b filter or NULL */
    AST_RANGE,    /* a..b        .a .b; only as a generator's or a for's range */
    AST_LAMBDA,   /* fn(x, y: f64) => e                  .params .a, or .block */
    AST_BLOCK     /* { let ...; value }                  .block; .name is no_grad or checkpoint where one stands before it */
} AstExprKind;

typedef enum {
    AST_OP_NEG, AST_OP_NOT,
    AST_OP_ADD, AST_OP_SUB, AST_OP_MUL, AST_OP_DIV, AST_OP_FLOORDIV, AST_OP_MOD, AST_OP_POW, AST_OP_MATMUL,
    AST_OP_EQ, AST_OP_NE, AST_OP_LT, AST_OP_LE, AST_OP_GT, AST_OP_GE,
    AST_OP_AND, AST_OP_OR
} AstOp;
/* The operator as written: "+", "//", "and". */
const char *ast_op_text(AstOp op);

typedef struct { AstName name; AstExpr *value; } AstArg; /* name.name 0: positional */
typedef TDL_VEC(AstArg) AstArgs;

typedef struct { AstName var; AstExpr *range; } AstGenFor; /* range: an integer (0..e-1), or an AST_RANGE */
typedef TDL_VEC(AstGenFor) AstGens;

typedef struct {
    AstName name;
    AstType *type;  /* NULL: not given (lambdas) */
    AstExpr *deflt; /* NULL: none */
    TdlSpan span;
} AstParam;
typedef TDL_VEC(AstParam) AstParams;

struct AstExpr {
    AstExprKind kind;
    AstOp op;
    TdlSpan span;     /* whole expression; `at` is the operator, the dot or the bracket */
    int64_t ival;
    double fval;
    const char *str;
    AstName name;
    AstExpr *a, *b, *c;
    AstExprs items;
    AstArgs args;
    AstGens gens;
    AstParams params;
    AstBlock *block, *block2;
    bool paren;       /* stands in parentheses of its own */
    uint32_t depth;   /* as AstType's */
};

/* ---- statements ---- */

typedef enum {
    AST_LET,      /* let x = e, let (a, b): T = e      .pat .type .e */
    AST_VAR,      /* var s = e                         .pat .type .e */
    AST_ASSIGN,   /* x = e, a[i] = e, p.w = e          .target .e, .op when has_op (+= -= *= /= ...) */
    AST_EXPR,     /* e as a statement, or a block's value when last     .e */
    AST_RETURN,   /* return e                          .e or NULL */
    AST_FOR,      /* for i in r { }                    .pat (one name) .e range .block; .name is checkpoint where it stands before it */
    AST_WHILE,    /* while c { }                       .e .block .name */
    AST_BREAK, AST_CONTINUE,
    AST_ASSERT,   /* assert(c, "msg")                  .e .e2 or NULL */
    AST_SCOPED,   /* no_grad { }, checkpoint { }       .name .block */
    AST_DECL      /* a declaration                     .decl */
} AstStmtKind;

struct AstStmt {
    AstStmtKind kind;
    TdlSpan span;
    AstNames pat;      /* names bound; more than one, or tuple_pat: a tuple pattern; "_" drops */
    bool tuple_pat;
    bool has_op; AstOp op;
    AstName name;
    AstType *type;
    AstExpr *target, *e, *e2;
    AstBlock *block;
    AstDecl *decl;
};

struct AstBlock {
    TdlSpan span;
    uint32_t depth;
    AstStmts stmts; /* the block's value is its last statement when that is AST_EXPR (an `if` statement is one too) */
};

/* ---- declarations ---- */

typedef enum { AST_FN, AST_STRUCT, AST_USE, AST_INPUT, AST_EXTERN, AST_DERIVATIVE, AST_LETDECL } AstDeclKind;

typedef struct {
    AstName name;
    TdlSym bound;   /* `float`, `int`, `any` for a type parameter `T: float`; 0: a dimension */
    bool pack;      /* ..s */
} AstGeneric;
typedef TDL_VEC(AstGeneric) AstGenerics;

typedef struct { AstName name; AstExpr *value; AstBlock *block; } AstPartial;
typedef TDL_VEC(AstPartial) AstPartials;

struct AstDecl {
    AstDeclKind kind;
    TdlSpan span;
    AstName name;
    const char *doc;             /* `##` lines joined by \n, without the marks; NULL: none */
    bool exported;
    AstNames attrs;              /* @checkpoint and the like */
    AstGenerics generics;
    AstParams params;            /* FN, EXTERN, DERIVATIVE (types NULL); STRUCT: fields */
    AstType *result;             /* FN: NULL when none is written; INPUT: the type */
    AstBlock *body;              /* FN; `fn f(x) = e` is a block of one expression; NULL for extern. DERIVATIVE: the
                                  * `let`s that its partials share, NULL: none */
    AstExpr *e;                  /* LETDECL: `export let g = grad(f)` */
    AstNames results;            /* DERIVATIVE: the names after -> */
    AstPartials partials;        /* DERIVATIVE: `partial x = e` */
    AstBlock *reverse, *forward; /* DERIVATIVE */
    const char *path;            /* USE */
    const char *extern_symbol;   /* EXTERN: C symbol when it differs */
};

/* A file: declarations and top-level statements in order (declarations are AST_DECL statements). */
typedef struct { uint32_t file; AstBlock *top; } AstFile;

/* Parses file `file` of the sources of `d`. Always returns a tree; what could not be parsed is left out and
 * reported in `d`, with recovery at the end of the statement. */
AstFile *parse_file(TdlArena *a, TdlInterner *in, TdlDiags *d, uint32_t file);
/* The tree as indented text (one node a line, with line:col), for --emit=ast. */
void ast_print(const AstFile *f, const TdlInterner *in, const TdlSources *s, TdlStr *out);
/* One token a line: line:col kind text, for --emit=tokens. Lexical errors go to `d`. */
void tokens_print(TdlArena *a, TdlInterner *in, TdlDiags *d, uint32_t file, TdlStr *out);

#endif
