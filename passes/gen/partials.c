/* Build tool: reads passes/partials.tdl and writes it as verified IR, one function an operation,
 *
 *     derivative mul(x, y) -> z { partial x = y; partial y = x }
 *     func @mul(%0 x: f64, %1 y: f64, %2 z: f64) -> (x: f64, y: f64) { return %1, %0 }
 *
 * which the adjoint pass has built in. Fails when an operation that ops.def answers with PARTIAL has no formula for one
 * of its operands, or when a formula is for anything else. */
#include "frontend/ast.h"
#include "ir/ir.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlBuilder b;
    const AstDecl *d;
    bool seen[OP_COUNT];
} Gen;

static TdlVal expr(Gen *g, const AstExpr *e);

static TdlVal fault(Gen *g, TdlSpan at, const char *what) {
    diag_error(g->m->diags, at, "derivative: %s", what);
    return ir_const_float(&g->b, EL_F64, 0.0);
}

static TdlVal name(Gen *g, const AstExpr *e) {
    for (uint32_t i = 0; i < g->f->params.n; i++)
        if (sym_eq(g->f->params.p[i].name, e->name.name)) return ir_region(g->f, g->f->body)->args.p[i];
    return fault(g, e->span, "unknown name: only the operands and the result are known here");
}

static TdlVal call(Gen *g, const AstExpr *e) {
    TdlVal args[3];
    uint32_t n = e->args.n;
    if (e->a->kind != AST_NAME || n > 3) return fault(g, e->span, "an operation of ops.def expected");
    const char *op = sym_text(g->m->names, e->a->name.name);
    TdlOpcode c = strcmp(op, "where") ? op_by_name(op) : OP_SELECT;
    if (c == OP_NONE || op_info(c)->min_operands != (int)n || !(op_info(c)->flags & OPF_ELEMENTWISE))
        return fault(g, e->span, "an elementwise operation with its operands expected");
    for (uint32_t i = 0; i < n; i++) args[i] = expr(g, e->args.p[i].value);
    return ir_emit1(&g->b, c, args, n);
}

static TdlVal binary(Gen *g, const AstExpr *e) {
    static const TdlOpcode codes[] = {
        [AST_OP_ADD] = OP_ADD, [AST_OP_SUB] = OP_SUB, [AST_OP_MUL] = OP_MUL, [AST_OP_DIV] = OP_DIV, [AST_OP_POW] = OP_POW,
        [AST_OP_EQ] = OP_EQ, [AST_OP_NE] = OP_NE, [AST_OP_LT] = OP_LT, [AST_OP_LE] = OP_LE, [AST_OP_GT] = OP_GT,
        [AST_OP_GE] = OP_GE, [AST_OP_AND] = OP_AND, [AST_OP_OR] = OP_OR};
    TdlOpcode c = (size_t)e->op < sizeof codes / sizeof *codes ? codes[e->op] : OP_NONE;
    if (c == OP_NONE) return fault(g, e->span, "this operator cannot be used in a formula");
    TdlVal x = expr(g, e->a), y = expr(g, e->b);
    return ir_binary(&g->b, c, x, y);
}

static TdlVal expr(Gen *g, const AstExpr *e) {
    g->b.span = e->span;
    switch (e->kind) {
    case AST_FLOAT: return ir_const_float(&g->b, EL_F64, e->fval);
    case AST_NAME: return name(g, e);
    case AST_CALL: return call(g, e);
    case AST_BINARY: return binary(g, e);
    case AST_UNARY: {
        TdlVal x = expr(g, e->a);
        double c;
        TdlOp def = ir_val(g->f, x)->def;
        if (e->op == AST_OP_NEG && def.id && ir_op(g->f, def)->code == OP_CONST) { /* -1.0 is a constant */
            c = -op_attr(g->f, def, "value")->f;
            return ir_const_float(&g->b, EL_F64, c);
        }
        return ir_unary(&g->b, e->op == AST_OP_NEG ? OP_NEG : OP_NOT, x);
    }
    default: return fault(g, e->span, "formulas have float constants, operands, operators and calls");
    }
}

static const AstExpr *partial_of(const AstDecl *d, TdlSym operand) {
    for (uint32_t i = 0; i < d->partials.n; i++)
        if (sym_eq(d->partials.p[i].name.name, operand)) return d->partials.p[i].value;
    return NULL;
}

/* One derivative declaration to one function. */
static void derivative(Gen *g, const AstDecl *d) {
    TdlModule *m = g->m;
    const char *op = sym_text(m->names, d->name.name);
    TdlOpcode c = op_by_name(op);
    if (c == OP_NONE || op_info(c)->deriv != DERIV_PARTIAL || g->seen[c] || d->params.n != (uint32_t)op_info(c)->min_operands ||
        d->results.n != 1) {
        diag_error(m->diags, d->span, "%s: not an operation with derivative answer PARTIAL, not its operands, or twice", op);
        return;
    }
    g->seen[c] = true;
    g->f = ir_func_new(m, d->name.name, d->span);
    g->f->exported = true;
    g->b = ir_at_end(g->f, g->f->body, d->span);
    TdlType f64 = ty_scalar(m, EL_F64);
    for (uint32_t i = 0; i < d->params.n; i++) ir_func_add_param(g->f, d->params.p[i].name.name, f64, NULL);
    ir_func_add_param(g->f, d->results.p[0].name, f64, NULL);
    TdlVals out = {0};
    for (uint32_t i = 0; i < d->params.n; i++) {
        TdlSym x = d->params.p[i].name.name;
        const AstExpr *e = partial_of(d, x);
        if (!e) diag_error(m->diags, d->span, "%s: no partial for operand %s", op, sym_text(m->names, x));
        VEC_PUSH(m->arena, out, e ? expr(g, e) : ir_const_float(&g->b, EL_F64, 0.0));
        VEC_PUSH(m->arena, g->f->results, ((TdlPort){.name = x, .type = f64, .cotangent_of = -1, .prior_of = -1}));
    }
    ir_emit(&g->b, OP_RETURN, out.p, out.n, NULL, 0);
}

/* Every row with answer PARTIAL has its function. */
static void complete(Gen *g) {
    for (int c = 1; c < OP_COUNT; c++)
        if (op_info((TdlOpcode)c)->deriv == DERIV_PARTIAL && !g->seen[c])
            diag_error(g->m->diags, SPAN_NONE, "%s: ops.def promises a formula in partials.tdl, there is none",
                       op_info((TdlOpcode)c)->name);
}

static int run(TdlArena *a, const char *in_path, const char *out_path) {
    TdlSources *s = sources_new(a);
    TdlDiags *d = diags_new(a, s);
    TdlInterner *names = intern_new(a);
    const char *why;
    uint32_t file = sources_read(s, in_path, &why);
    if (!file) return fprintf(stderr, "%s: %s\n", in_path, why), 1;
    AstFile *ast = parse_file(a, names, d, file);
    Gen g = {.m = ir_module_new(a, names, s, d)};
    for (uint32_t i = 0; i < ast->top->stmts.n; i++) {
        const AstStmt *st = ast->top->stmts.p[i];
        if (st->kind == AST_DECL && st->decl->kind == AST_DERIVATIVE) derivative(&g, st->decl);
        else diag_error(d, st->span, "a derivative declaration expected");
    }
    complete(&g);
    TdlStr text = str_new(a);
    if (diags_errors(d) || !ir_verify_module(g.m)) {
        diags_render_text(d, &text, 0);
        fputs(text.p, stderr);
        return 1;
    }
    ir_print_module(g.m, &text);
    FILE *out = fopen(out_path, "wb");
    bool ok = out && fwrite(text.p, 1, text.n, out) == text.n;
    if (out) ok = fclose(out) == 0 && ok;
    if (!ok) fprintf(stderr, "%s: cannot be written\n", out_path);
    return !ok;
}

int main(int argc, char **argv) {
    if (argc != 3) return fputs("usage: gen-partials partials.tdl OUT\n", stderr), 2;
    TdlArena a;
    arena_init(&a);
    int status = run(&a, argv[1], argv[2]);
    arena_free(&a);
    return status;
}
