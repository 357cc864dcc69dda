/* What a block may do, by its text alone: which names it assigns, whether it leaves early, which names it uses.
 * Over-approximations are fine: an assigned name that is a new local is carried unchanged. */
#include "frontend/lower_int.h"

#include <string.h>

typedef struct { Low *L; LowScan *scan; LowSyms *names; uint32_t loops; } Walk;

static void walk_expr(Walk *w, const AstExpr *e);
static void walk_block(Walk *w, const AstBlock *b);

static void add(Low *L, LowSyms *s, TdlSym x)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (sym_eq(s->p[i], x)) return;
    VEC_PUSH(L->arena, *s, x);
}

static void walk_target(Walk *w, const AstExpr *t)
{
    if (t->kind == AST_FIELD && w->scan && !strcmp(low_name(w->L, t->name.name), "grad")) w->scan->zero_grad = true;
    if (t->kind == AST_TUPLE)
        for (uint32_t i = 0; i < t->items.n; i++) walk_target(w, t->items.p[i]);
    while (t->kind == AST_FIELD || t->kind == AST_INDEX) t = t->a;
    if (t->kind == AST_NAME && w->scan) add(w->L, &w->scan->assigned, t->name.name);
}

static void walk_stmt(Walk *w, const AstStmt *s)
{
    LowScan *sc = w->scan;
    walk_expr(w, s->e);
    walk_expr(w, s->e2);
    walk_expr(w, s->target);
    if (s->kind == AST_ASSIGN) walk_target(w, s->target);
    if (sc && s->kind == AST_RETURN) sc->returns = true;
    if (sc && s->kind == AST_BREAK && !w->loops) sc->breaks = true;
    if (sc && s->kind == AST_CONTINUE && !w->loops) sc->continues = true;
    bool loop = s->kind == AST_FOR || s->kind == AST_WHILE;
    w->loops += loop;
    if (s->block) walk_block(w, s->block);
    w->loops -= loop;
}

static void walk_block(Walk *w, const AstBlock *b)
{
    for (uint32_t i = 0; i < b->stmts.n; i++) walk_stmt(w, b->stmts.p[i]);
}

static void walk_exprs(Walk *w, const AstExprs *x)
{
    for (uint32_t i = 0; i < x->n; i++) walk_expr(w, x->p[i]);
}

static void walk_expr(Walk *w, const AstExpr *e)
{
    if (!e) return;
    if (e->kind == AST_NAME && w->names) add(w->L, w->names, e->name.name);
    if (e->kind == AST_LAMBDA && w->scan) return; /* its statements are its own */
    if (e->kind == AST_METHOD && w->scan) {
        const char *s = low_name(w->L, e->name.name);
        if (!strcmp(s, "backward")) w->scan->backward = true;
        if (!strcmp(s, "zero_")) w->scan->zero_grad = true;
    }
    walk_expr(w, e->a);
    walk_expr(w, e->b);
    walk_expr(w, e->c);
    walk_exprs(w, &e->items);
    for (uint32_t i = 0; i < e->args.n; i++) walk_expr(w, e->args.p[i].value);
    for (uint32_t i = 0; i < e->gens.n; i++) walk_expr(w, e->gens.p[i].range);
    if (e->block) walk_block(w, e->block);
    if (e->block2) walk_block(w, e->block2);
}

void low_scan_block(Low *L, const AstBlock *b, LowScan *out) { walk_block(&(Walk){.L = L, .scan = out}, b); }
void low_scan_expr(Low *L, const AstExpr *e, LowScan *out) { walk_expr(&(Walk){.L = L, .scan = out}, e); }
void low_names_expr(Low *L, const AstExpr *e, LowSyms *out) { walk_expr(&(Walk){.L = L, .names = out}, e); }
void low_names_block(Low *L, const AstBlock *b, LowSyms *out) { walk_block(&(Walk){.L = L, .names = out}, b); }

bool low_always_exits(const AstBlock *b)
{
    if (!b || !b->stmts.n) return false;
    const AstStmt *s = b->stmts.p[b->stmts.n - 1];
    if (s->kind == AST_RETURN || s->kind == AST_BREAK || s->kind == AST_CONTINUE) return true;
    return s->kind == AST_EXPR && s->e && s->e->kind == AST_IF && low_always_exits(s->e->block) && low_always_exits(s->e->block2);
}
