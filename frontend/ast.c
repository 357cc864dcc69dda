/* The tree as text, for --emit=ast: one node a line, children indented, line:col of the caret at the end. */
#include "frontend/ast.h"
#include <inttypes.h>

const char *ast_op_text(AstOp op) {
    static const char *const text[] = {
        [AST_OP_NEG] = "-", [AST_OP_NOT] = "not", [AST_OP_ADD] = "+", [AST_OP_SUB] = "-", [AST_OP_MUL] = "*",
        [AST_OP_DIV] = "/", [AST_OP_FLOORDIV] = "//", [AST_OP_MOD] = "%", [AST_OP_POW] = "**", [AST_OP_MATMUL] = "@",
        [AST_OP_EQ] = "==", [AST_OP_NE] = "!=", [AST_OP_LT] = "<", [AST_OP_LE] = "<=", [AST_OP_GT] = ">",
        [AST_OP_GE] = ">=", [AST_OP_AND] = "and", [AST_OP_OR] = "or"};
    return text[op];
}

static const char *const expr_names[] = {
    [AST_INT] = "int", [AST_FLOAT] = "float", [AST_BOOL] = "bool", [AST_STRING] = "string", [AST_NONE] = "none",
    [AST_ELLIPSIS] = "ellipsis", [AST_NAME] = "name", [AST_PACK] = "pack", [AST_UNARY] = "unary", [AST_BINARY] = "binary",
    [AST_IF] = "if", [AST_CALL] = "call", [AST_METHOD] = "method", [AST_FIELD] = "field", [AST_INDEX] = "index",
    [AST_SLICE] = "slice", [AST_TUPLE] = "tuple", [AST_ARRAY] = "array", [AST_COMP] = "comp", [AST_GEN] = "gen",
    [AST_RANGE] = "range", [AST_LAMBDA] = "lambda", [AST_BLOCK] = "block"};
static const char *const stmt_names[] = {
    [AST_LET] = "let", [AST_VAR] = "var", [AST_ASSIGN] = "assign", [AST_EXPR] = "expr", [AST_RETURN] = "return",
    [AST_FOR] = "for", [AST_WHILE] = "while", [AST_BREAK] = "break", [AST_CONTINUE] = "continue", [AST_ASSERT] = "assert",
    [AST_SCOPED] = "scoped", [AST_DECL] = "decl"};
static const char *const decl_names[] = {
    [AST_FN] = "fn", [AST_STRUCT] = "struct", [AST_USE] = "use", [AST_INPUT] = "input", [AST_EXTERN] = "extern",
    [AST_DERIVATIVE] = "derivative", [AST_LETDECL] = "let"};

typedef struct { const TdlInterner *in; const TdlSources *s; TdlStr *out; int indent; } Print;

static void print_expr(Print *p, const char *role, const AstExpr *e);
static void print_block(Print *p, const char *role, const AstBlock *b);

/* Starts a line: indentation, then the role of the node in its parent where that is not plain. */
static void begin(Print *p, const char *role, const char *kind) {
    for (int i = 0; i < p->indent; i++) str_puts(p->out, "  ");
    if (role) str_printf(p->out, "%s: ", role);
    str_puts(p->out, kind);
}

static void end(Print *p, TdlSpan at) {
    uint32_t line = 0, col = 0;
    if (at.file) sources_line_col(p->s, at.file, at.at, &line, &col);
    str_printf(p->out, " %u:%u\n", line, col);
}

static void word(Print *p, AstName n) { str_printf(p->out, " %s", sym_text(p->in, n.name)); }

static void print_exprs(Print *p, const char *role, AstExprs es) {
    for (uint32_t i = 0; i < es.n; i++) print_expr(p, role, es.p[i]);
}

static void print_type(Print *p, const char *role, const AstType *t) {
    static const char *const names[] = {[AST_TY_NAME] = "type", [AST_TY_TUPLE] = "tuple type", [AST_TY_FN] = "fn type"};
    if (!t) return;
    begin(p, role, names[t->kind]);
    if (t->kind == AST_TY_NAME) word(p, t->name);
    if (t->has_dims) str_printf(p->out, "[%" PRIu32 "]", t->dims.n);
    end(p, t->span);
    p->indent++;
    print_exprs(p, NULL, t->dims);
    for (uint32_t i = 0; i < t->elems.n; i++) print_type(p, NULL, t->elems.p[i]);
    print_type(p, "result", t->result);
    p->indent--;
}

static void print_params(Print *p, const char *kind, AstParams ps) {
    for (uint32_t i = 0; i < ps.n; i++) {
        begin(p, NULL, kind);
        word(p, ps.p[i].name);
        end(p, ps.p[i].span);
        p->indent++;
        print_type(p, NULL, ps.p[i].type);
        print_expr(p, "default", ps.p[i].deflt);
        p->indent--;
    }
}

static void print_gens(Print *p, AstGens gens) {
    for (uint32_t i = 0; i < gens.n; i++) {
        begin(p, NULL, "for");
        word(p, gens.p[i].var);
        end(p, gens.p[i].var.span);
        p->indent++;
        print_expr(p, NULL, gens.p[i].range);
        p->indent--;
    }
}

static void print_args(Print *p, AstArgs args) {
    for (uint32_t i = 0; i < args.n; i++) {
        const char *name = sym_text(p->in, args.p[i].name.name);
        print_expr(p, *name ? name : NULL, args.p[i].value);
    }
}

/* What the line of a node says after its kind. */
static void print_detail(Print *p, const AstExpr *e) {
    switch (e->kind) {
    case AST_INT: str_printf(p->out, " %" PRId64, e->ival); break;
    case AST_BOOL: str_puts(p->out, e->ival ? " true" : " false"); break;
    case AST_FLOAT: str_putc(p->out, ' '); str_double(p->out, e->fval); break;
    case AST_STRING: str_putc(p->out, ' '); str_json(p->out, e->str); break;
    case AST_UNARY: case AST_BINARY: str_printf(p->out, " %s", ast_op_text(e->op)); break;
    case AST_NAME: case AST_PACK: case AST_METHOD: case AST_FIELD: word(p, e->name); break;
    case AST_BLOCK: if (e->name.name.id) word(p, e->name); break;
    default: break;
    }
}

static void print_expr(Print *p, const char *role, const AstExpr *e) {
    if (!e) return;
    begin(p, role, expr_names[e->kind]);
    print_detail(p, e);
    end(p, e->span);
    bool slice = e->kind == AST_SLICE, cond = e->kind == AST_IF;
    p->indent++;
    print_params(p, "param", e->params);
    print_expr(p, slice ? "from" : NULL, e->a);
    print_expr(p, slice ? "to" : e->kind == AST_GEN || e->kind == AST_COMP ? "if" : NULL, e->b);
    print_expr(p, "step", e->c);
    print_exprs(p, NULL, e->items);
    print_args(p, e->args);
    print_block(p, cond ? "then" : NULL, e->block);
    print_block(p, "else", e->block2);
    print_gens(p, e->gens);
    p->indent--;
}

static void print_decl(Print *p, const AstDecl *d) {
    begin(p, NULL, decl_names[d->kind]);
    if (d->name.name.id) word(p, d->name);
    if (d->path || d->extern_symbol) {
        str_putc(p->out, ' ');
        str_json(p->out, d->path ? d->path : d->extern_symbol);
    }
    if (d->exported) str_puts(p->out, " exported");
    for (uint32_t i = 0; i < d->attrs.n; i++) str_printf(p->out, " @%s", sym_text(p->in, d->attrs.p[i].name));
    end(p, d->span);
    p->indent++;
    if (d->doc) {
        begin(p, NULL, "doc ");
        str_json(p->out, d->doc);
        str_putc(p->out, '\n');
    }
    for (uint32_t i = 0; i < d->generics.n; i++) {
        const AstGeneric *g = &d->generics.p[i];
        begin(p, NULL, g->pack ? "generic .." : "generic ");
        str_puts(p->out, sym_text(p->in, g->name.name));
        if (g->bound.id) str_printf(p->out, ": %s", sym_text(p->in, g->bound));
        end(p, g->name.span);
    }
    print_params(p, d->kind == AST_STRUCT ? "field" : "param", d->params);
    print_type(p, d->kind == AST_INPUT ? NULL : "result", d->result);
    for (uint32_t i = 0; i < d->results.n; i++) {
        begin(p, NULL, "result");
        word(p, d->results.p[i]);
        end(p, d->results.p[i].span);
    }
    print_expr(p, NULL, d->e);
    print_block(p, NULL, d->body);
    for (uint32_t i = 0; i < d->partials.n; i++) {
        const AstPartial *x = &d->partials.p[i];
        begin(p, NULL, "partial");
        word(p, x->name);
        end(p, x->name.span);
        p->indent++;
        print_expr(p, NULL, x->value);
        print_block(p, NULL, x->block);
        p->indent--;
    }
    print_block(p, "reverse", d->reverse);
    print_block(p, "forward", d->forward);
    p->indent--;
}

static void print_stmt(Print *p, const AstStmt *s) {
    if (s->kind == AST_DECL) {
        print_decl(p, s->decl);
        return;
    }
    begin(p, NULL, stmt_names[s->kind]);
    if (s->has_op) str_printf(p->out, " %s=", ast_op_text(s->op));
    if (s->name.name.id) word(p, s->name);
    if (s->tuple_pat) str_puts(p->out, " tuple");
    for (uint32_t i = 0; i < s->pat.n; i++) word(p, s->pat.p[i]);
    end(p, s->span);
    p->indent++;
    print_type(p, NULL, s->type);
    print_expr(p, NULL, s->target);
    print_expr(p, NULL, s->e);
    print_expr(p, NULL, s->e2);
    print_block(p, NULL, s->block);
    p->indent--;
}

static void print_block(Print *p, const char *role, const AstBlock *b) {
    if (!b) return;
    begin(p, role, "block");
    end(p, b->span);
    p->indent++;
    for (uint32_t i = 0; i < b->stmts.n; i++) print_stmt(p, b->stmts.p[i]);
    p->indent--;
}

void ast_print(const AstFile *f, const TdlInterner *in, const TdlSources *s, TdlStr *out) {
    Print p = {in, s, out, 0};
    for (uint32_t i = 0; i < f->top->stmts.n; i++) print_stmt(&p, f->top->stmts.p[i]);
}
