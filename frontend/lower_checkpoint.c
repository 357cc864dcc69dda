/* checkpoint { } and @checkpoint: a region whose reverse computes it again. What the block assigns, its value, and
 * whether it has left by return, break or continue become results of the region. */
#include "frontend/lower_int.h"

#include <string.h>

typedef struct { TdlRegion region; TdlVals yields, results; TdlSpan at; const char *what; } Leave;

/* What is known when compiling stays so; the SSA values in v are yielded. */
static LowValue leave(Low *L, Leave *s, LowValue v)
{
    if (v.kind == LV_TUPLE || v.kind == LV_STRUCT) {
        LowValue *e = ARENA_ARRAY(L->arena, LowValue, v.n);
        for (uint32_t i = 0; i < v.n; i++) e[i] = leave(L, s, v.elems[i]);
        v.elems = e;
    }
    if (v.kind == LV_FN)
        return low_error(L, s->at, "%s: a function cannot leave a checkpoint: make it in front of the block or behind it", s->what);
    if (v.kind == LV_INT && !low_dim_visible(L, v.d, s->region)) v = low_concrete(L, v);
    if (v.kind != LV_TENSOR && v.kind != LV_NODE) return v;
    if (!low_type_visible(L, ir_type(L->b.f, v.v), s->region, true))
        return low_error(L, s->at, "%s: the size of %s is decided inside a checkpoint, so it cannot leave it: compute the size in front of the block",
                         s->what, lv_text(L, v));
    if (!ir_defined_in(L->b.f, v.v, s->region)) return v;
    VEC_PUSH(L->arena, s->yields, v.v);
    return v;
}

/* The same values, seen from outside. */
static LowValue outside(Low *L, const Leave *s, LowValue v)
{
    for (uint32_t i = 0; (v.kind == LV_TENSOR || v.kind == LV_NODE) && i < s->yields.n; i++) {
        if (s->yields.p[i].id != v.v.id) continue;
        v.v = s->results.p[i];
        return v;
    }
    if (v.kind == LV_TUPLE || v.kind == LV_STRUCT) {
        LowValue *e = ARENA_ARRAY(L->arena, LowValue, v.n);
        for (uint32_t i = 0; i < v.n; i++) e[i] = outside(L, s, v.elems[i]);
        v.elems = e;
    }
    return v;
}

typedef LowValue (*Body)(Low *L, const AstBlock *b);

static LowValue checkpoint(Low *L, const AstBlock *b, Body body, const LowScan *scan, TdlSpan at)
{
    LowVars vars = {0};
    low_changed_vars(L, scan, &vars);
    LowValue *before = low_save_vars(L, &vars);
    low_unname(L);
    TdlOp op = ir_emit(&L->b, OP_CHECKPOINT, NULL, 0, NULL, 0);
    TdlBuilder outer = L->b;
    Leave s = {.region = ir_op(L->b.f, op)->regions[0], .at = at, .what = "checkpoint"};
    L->b.region = s.region;
    L->b.before = (TdlOp){0};
    LowValue v = leave(L, &s, body(L, b));
    for (uint32_t i = 0; i < vars.n; i++) {
        s.what = arena_printf(L->arena, "`%s`", low_name(L, vars.p[i]->name));
        vars.p[i]->val = leave(L, &s, vars.p[i]->val);
    }
    ir_emit(&L->b, OP_YIELD, s.yields.p, s.yields.n, NULL, 0);
    for (uint32_t i = 0; i < s.yields.n; i++)
        VEC_PUSH(L->arena, s.results, ir_add_result(L->b.f, op, ir_type(L->b.f, s.yields.p[i])));
    TdlSpan span = L->b.span;
    L->b = outer;
    L->b.span = span;
    for (uint32_t i = 0; i < vars.n; i++) {
        vars.p[i]->val = outside(L, &s, vars.p[i]->val);
        vars.p[i]->val.leaf = before[i].leaf;
    }
    return outside(L, &s, v);
}

static LowValue statements(Low *L, const AstBlock *b)
{
    low_push_scope(L, BARRIER_NONE);
    low_stmts(L, b, 0, false);
    low_pop_scope(L);
    return (LowValue){.kind = LV_UNIT};
}

static LowValue returning(Low *L, const AstBlock *b)
{
    low_stmts(L, b, 0, true);
    return (LowValue){.kind = LV_UNIT};
}

LowValue low_checkpoint(Low *L, const AstBlock *b, bool value, TdlSpan at)
{
    LowScan scan = {0};
    low_scan_block(L, b, &scan);
    return checkpoint(L, b, value ? low_block_value : statements, &scan, at);
}

void low_body(Low *L, const AstDecl *d)
{
    bool again = false;
    for (uint32_t i = 0; i < d->attrs.n; i++) {
        const char *name = low_name(L, d->attrs.p[i].name);
        bool known = !strcmp(name, "checkpoint");
        again |= known;
        if (!known && !L->frame->library)
            low_error(L, d->attrs.p[i].span, "@%s: there is no such attribute: @checkpoint computes the function again in the reverse sweep", name);
    }
    LowScan scan = {.returns = true};
    if (again) checkpoint(L, d->body, returning, &scan, d->span);
    else low_stmts(L, d->body, 0, true);
}
