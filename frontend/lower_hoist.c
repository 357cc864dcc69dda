/* A value that leaves: `let y = if c { return 0 } else { f(x) } + 1`.
 *
 * The statement is lowered as two,
 *
 *     var $v;  if c { return 0 } else { $v = f(x) }
 *     let y = $v + 1
 *
 * so that what comes after, the rest of the statement first, is left out on the path that has gone. */
#include "frontend/lower_int.h"

static bool leaves(Low *L, const AstExpr *e) {
    LowScan scan = {0};
    if (e->block) low_scan_block(L, e->block, &scan);
    if (e->block2) low_scan_block(L, e->block2, &scan);
    return scan.returns || scan.breaks || scan.continues;
}

/* The first part of e that leaves and that is evaluated whenever e is; NULL: none. */
static const AstExpr *find(Low *L, const AstExpr *e) {
    const AstExpr *r = NULL;
    if (!e || e->kind == AST_LAMBDA || e->kind == AST_COMP || e->kind == AST_GEN) return NULL;
    if (e->kind == AST_BLOCK) return !e->name.name.id && leaves(L, e) ? e : NULL;
    if ((r = find(L, e->a))) return r;
    if (e->kind == AST_IF) return e->block2 && leaves(L, e) ? e : NULL;
    bool lazy = e->kind == AST_BINARY && (e->op == AST_OP_AND || e->op == AST_OP_OR);
    if (!lazy && ((r = find(L, e->b)) || (r = find(L, e->c)))) return r;
    for (uint32_t i = 0; i < e->items.n && !r; i++) r = find(L, e->items.p[i]);
    for (uint32_t i = 0; i < e->args.n && !r; i++) r = find(L, e->args.p[i].value);
    return r;
}

/* e with `to` in the place of its part `from`; e itself where that is not in it. */
static AstExpr *replace(Low *L, AstExpr *e, const AstExpr *from, AstExpr *to) {
    if (!e || e == from) return e ? to : NULL;
    AstExpr r = *e;
    r.a = replace(L, e->a, from, to);
    r.b = replace(L, e->b, from, to);
    r.c = replace(L, e->c, from, to);
    bool changed = r.a != e->a || r.b != e->b || r.c != e->c;
    if (e->items.n) r.items.p = arena_memdup(L->arena, e->items.p, e->items.n * sizeof *e->items.p);
    for (uint32_t i = 0; i < e->items.n; i++) changed |= (r.items.p[i] = replace(L, e->items.p[i], from, to)) != e->items.p[i];
    if (e->args.n) r.args.p = arena_memdup(L->arena, e->args.p, e->args.n * sizeof *e->args.p);
    for (uint32_t i = 0; i < e->args.n; i++)
        changed |= (r.args.p[i].value = replace(L, e->args.p[i].value, from, to)) != e->args.p[i].value;
    return changed ? arena_memdup(L->arena, &r, sizeof r) : e;
}

static AstStmt *statement(Low *L, AstStmtKind kind, AstExpr *e) {
    AstStmt *s = ARENA_NEW(L->arena, AstStmt);
    *s = (AstStmt){.kind = kind, .span = e->span, .e = e};
    return s;
}

/* The block with its value, if it has one, assigned to `name`. */
static AstBlock *assigning(Low *L, const AstBlock *b, AstExpr *name) {
    AstBlock *r = arena_memdup(L->arena, b, sizeof *b);
    AstStmt *last = b->stmts.n ? b->stmts.p[b->stmts.n - 1] : NULL;
    if (!last || last->kind != AST_EXPR) return r;
    r->stmts.p = arena_memdup(L->arena, b->stmts.p, b->stmts.n * sizeof *b->stmts.p);
    AstStmt *s = r->stmts.p[b->stmts.n - 1] = statement(L, AST_ASSIGN, last->e);
    s->target = name;
    return r;
}

AstBlock *low_hoist(Low *L, const AstBlock *b, uint32_t at) {
    const AstStmt *s = b->stmts.p[at];
    const AstExpr *v = s->kind == AST_WHILE ? NULL : find(L, s->e);
    if (!v || (v == s->e && s->kind == AST_EXPR && v->kind == AST_IF)) return NULL;
    AstExpr *name = ARENA_NEW(L->arena, AstExpr), *test = arena_memdup(L->arena, v, sizeof *v);
    *name = (AstExpr){.kind = AST_NAME, .span = v->span, .name = {intern(L->names, arena_printf(L->arena, "$%u", v->span.lo)), v->span}};
    AstBlock *none = ARENA_NEW(L->arena, AstBlock), *out = arena_memdup(L->arena, b, sizeof *b);
    *none = (AstBlock){.span = v->span};
    test->block = assigning(L, v->block, name);
    test->block2 = v->block2 ? assigning(L, v->block2, name) : none;
    if (v->kind == AST_BLOCK) {
        test->kind = AST_IF;
        test->a = ARENA_NEW(L->arena, AstExpr);
        *test->a = (AstExpr){.kind = AST_BOOL, .span = v->span, .ival = 1};
    }
    AstStmt *rest = arena_memdup(L->arena, s, sizeof *s);
    rest->e = replace(L, s->e, v, name);
    out->stmts = (AstStmts){0};
    VEC_PUSH(L->arena, out->stmts, statement(L, AST_EXPR, test));
    VEC_PUSH(L->arena, out->stmts, rest);
    for (uint32_t i = at + 1; i < b->stmts.n; i++) VEC_PUSH(L->arena, out->stmts, b->stmts.p[i]);
    low_bind(L, name->name.name, (LowValue){.kind = LV_UNIT}, true, v->span);
    return out;
}

const AstStmt *low_while_true(Low *L, const AstStmt *s) {
    LowScan scan = {0};
    low_scan_expr(L, s->e, &scan);
    bool assigns = false;
    for (uint32_t i = 0; i < scan.assigned.n; i++) assigns |= low_find_var(L, scan.assigned.p[i], NULL) != NULL;
    if (!assigns) return NULL;
    AstExpr *test = ARENA_NEW(L->arena, AstExpr), *always = ARENA_NEW(L->arena, AstExpr);
    AstBlock *go_on = ARENA_NEW(L->arena, AstBlock), *stop = ARENA_NEW(L->arena, AstBlock);
    *always = (AstExpr){.kind = AST_BOOL, .span = s->e->span, .ival = 1};
    *go_on = *stop = (AstBlock){.span = s->e->span};
    AstStmt *leave = statement(L, AST_BREAK, s->e);
    leave->e = NULL;
    VEC_PUSH(L->arena, stop->stmts, leave);
    *test = (AstExpr){.kind = AST_IF, .span = s->e->span, .a = s->e, .block = go_on, .block2 = stop};
    AstStmt *r = arena_memdup(L->arena, s, sizeof *s);
    AstBlock *body = arena_memdup(L->arena, s->block, sizeof *s->block);
    body->stmts = (AstStmts){0};
    VEC_PUSH(L->arena, body->stmts, statement(L, AST_EXPR, test));
    for (uint32_t i = 0; i < s->block->stmts.n; i++) VEC_PUSH(L->arena, body->stmts, s->block->stmts.p[i]);
    r->e = always;
    r->block = body;
    return r;
}
