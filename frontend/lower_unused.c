/* The names in functions that nothing calls: generic ones, and those that take functions, are walked at their calls, so
 * that without one their bodies would go unread. Types and shapes are not known here; names are. */
#include "frontend/lower_int.h"

#include <string.h>

static void check_expr(Low *L, const AstExpr *e);
static void check_block(Low *L, const AstBlock *b);

static bool known_name(Low *L, TdlSym name)
{
    static const char *const constants[] = {"pi", "inf", "nan"};
    TdlElem e;
    const char *s = low_name(L, name);
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (!strcmp(s, constants[i])) return true;
    for (uint32_t i = 0; i < L->frame->dims.n; i++)
        if (sym_eq(L->frame->dims.p[i].name, name)) return true;
    if (low_is_diff(s) || !strcmp(s, "vmap") || !strcmp(s, "print")) return true;
    return low_find_var(L, name, NULL) || low_elem_name(L, name, &e) || low_find_decl(L, name) || low_find_builtin(s);
}

static void bind_unknown(Low *L, AstName n) { low_bind(L, n.name, LOW_ERR, true, n.span); }

static void check_args(Low *L, const AstArgs *args)
{
    for (uint32_t i = 0; i < args->n; i++)
        if (strcmp(low_name(L, args->p[i].name.name), "wrt") != 0) check_expr(L, args->p[i].value); /* wrt names parameters of another */
}

static void check_scoped(Low *L, const AstExpr *e)
{
    low_push_scope(L, BARRIER_NONE);
    for (uint32_t i = 0; i < e->gens.n; i++) {
        check_expr(L, e->gens.p[i].range);
        bind_unknown(L, e->gens.p[i].var);
    }
    for (uint32_t i = 0; i < e->params.n; i++) bind_unknown(L, e->params.p[i].name);
    check_expr(L, e->b);
    check_expr(L, e->a);
    check_block(L, e->block);
    low_pop_scope(L);
}

static void check_expr(Low *L, const AstExpr *e)
{
    if (!e) return;
    switch (e->kind) {
    case AST_NAME:
        if (!known_name(L, e->name.name)) low_unknown(L, e->span, "name", low_name(L, e->name.name), "");
        return;
    case AST_COMP: case AST_GEN: case AST_LAMBDA: check_scoped(L, e); return;
    default: break;
    }
    check_expr(L, e->a);
    check_expr(L, e->b);
    check_expr(L, e->c);
    for (uint32_t i = 0; i < e->items.n; i++) check_expr(L, e->items.p[i]);
    check_args(L, &e->args);
    check_block(L, e->block);
    check_block(L, e->block2);
}

static void check_stmt(Low *L, const AstStmt *s)
{
    if (s->kind == AST_DECL) return;
    check_expr(L, s->e);
    check_expr(L, s->target);
    if (s->kind == AST_FOR) low_push_scope(L, BARRIER_NONE);
    for (uint32_t i = 0; i < s->pat.n; i++) bind_unknown(L, s->pat.p[i]);
    check_block(L, s->block);
    if (s->kind == AST_FOR) low_pop_scope(L);
}

static void check_block(Low *L, const AstBlock *b)
{
    if (!b) return;
    low_push_scope(L, BARRIER_NONE);
    for (uint32_t i = 0; i < b->stmts.n; i++) check_stmt(L, b->stmts.p[i]);
    low_pop_scope(L);
}

void low_check_unused(Low *L)
{
    for (const LowDecl *d = L->decls; d; d = d->next) {
        if (d->ast->kind != AST_FN || *d->walked) continue;
        LowFrame *f = low_push_frame(L, low_name(L, d->ast->name.name), SPAN_NONE);
        for (uint32_t i = 0; i < d->ast->generics.n; i++) {
            const AstGeneric *g = &d->ast->generics.p[i];
            VEC_PUSH(L->arena, f->dims, ((LowDimBind){g->name.name, dim_var(L->m, g->name.name)}));
        }
        for (uint32_t i = 0; i < d->ast->params.n; i++) {
            check_expr(L, d->ast->params.p[i].deflt);
            bind_unknown(L, d->ast->params.p[i].name);
        }
        check_block(L, d->ast->body);
        low_pop_frame(L);
    }
}
