/* Control flow by value: variables that a region assigns become its results. break, continue and return are flags
 * that stay compile-time constants as long as every path agrees, so a program without them pays nothing. */
#include "frontend/lower_int.h"

#include <string.h>

enum { PLACEHOLDER = 0x40000000 }; /* value ids of merged results that are not made yet */

/* ---- what a region may change ---- */

static void add_var(Low *L, LowVars *s, LowVar *v)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->p[i] == v) return;
    if (v) VEC_PUSH(L->arena, *s, v);
}

void low_changed_vars(Low *L, const LowScan *scan, LowVars *s)
{
    for (uint32_t i = 0; i < scan->assigned.n; i++) add_var(L, s, low_find_var(L, scan->assigned.p[i], NULL));
    if (scan->returns) {
        add_var(L, s, &L->frame->ret);
        add_var(L, s, &L->frame->retv);
    }
    if (scan->breaks) add_var(L, s, L->frame->brk);
    if (scan->continues) add_var(L, s, L->frame->cont);
    if (scan->backward || scan->zero_grad)
        for (LowLeaf *l = low_leaves(L); l; l = low_leaves_next(L, l)) {
            add_var(L, s, &l->grad);
            add_var(L, s, &l->has);
        }
}

LowValue *low_save_vars(Low *L, const LowVars *s)
{
    LowValue *v = ARENA_ARRAY(L->arena, LowValue, s->n);
    for (uint32_t i = 0; i < s->n; i++) v[i] = s->p[i]->val;
    return v;
}

static void load_vars(const LowVars *s, const LowValue *v)
{
    for (uint32_t i = 0; i < s->n; i++) s->p[i]->val = v[i];
}

bool low_const_bool(const LowValue *v, bool *b)
{
    if (v->kind == LV_BOOL) *b = v->i != 0;
    return v->kind == LV_BOOL;
}

/* ---- merging two branches ---- */

typedef struct { TdlRegion r[2]; TdlVals y[2]; TdlSpan at; const char *what; } Merge;

static bool same_value(LowValue a, LowValue b)
{
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case LV_TENSOR: case LV_NODE: return a.v.id == b.v.id;
    case LV_INT: return dim_eq(a.d, b.d);
    case LV_FLOAT: return !memcmp(&a.f, &b.f, sizeof a.f);
    case LV_BOOL: return a.i == b.i;
    case LV_FN: return a.fn == b.fn;
    case LV_STR: return a.n == b.n && !memcmp(a.s, b.s, a.n);
    case LV_ELEM: return a.elem == b.elem;
    case LV_TUPLE: case LV_STRUCT:
        if (a.n != b.n || a.decl != b.decl) return false;
        for (uint32_t i = 0; i < a.n; i++)
            if (!same_value(a.elems[i], b.elems[i])) return false;
        return true;
    default: return true;
    }
}

static void in_region(Low *L, TdlRegion r)
{
    L->b.region = r;
    L->b.before = (TdlOp){0};
}

static LowValue placeholder(Low *L, Merge *m, TdlVal a, TdlVal b)
{
    VEC_PUSH(L->arena, m->y[0], a);
    VEC_PUSH(L->arena, m->y[1], b);
    return (LowValue){.kind = LV_TENSOR, .v = {PLACEHOLDER + m->y[0].n - 1}};
}

/* A value nobody looks at, for the branch that has not returned. */
static LowValue undef_like(Low *L, LowValue v)
{
    TdlVals leaves = {0};
    low_flatten(L, v, &leaves);
    for (uint32_t i = 0; i < leaves.n; i++) leaves.p[i] = low_emit(L, OP_UNDEF, NULL, 0, ir_type(L->b.f, leaves.p[i]));
    uint32_t at = 0;
    return low_unflatten(L, v, leaves.p, &at);
}

static LowValue merge_value(Low *L, Merge *m, LowValue a, LowValue b)
{
    if (lv_is_err(a) || lv_is_err(b)) return LOW_ERR;
    if (same_value(a, b)) return a;
    if (a.kind == LV_UNIT || b.kind == LV_UNIT) {
        bool first = a.kind == LV_UNIT;
        in_region(L, m->r[first]);
        LowValue set = low_concrete(L, first ? b : a);
        in_region(L, m->r[!first]);
        LowValue un = undef_like(L, set);
        a = first ? un : set;
        b = first ? set : un;
    }
    if ((a.kind == LV_TUPLE || a.kind == LV_STRUCT) && a.kind == b.kind && a.n == b.n && a.decl == b.decl) {
        LowValue *e = ARENA_ARRAY(L->arena, LowValue, a.n);
        for (uint32_t i = 0; i < a.n; i++)
            if (lv_is_err(e[i] = merge_value(L, m, a.elems[i], b.elems[i]))) return LOW_ERR;
        a.elems = e;
        return a;
    }
    if (a.kind == LV_NODE && b.kind == LV_NODE) {
        LowValue r = placeholder(L, m, a.v, b.v);
        r.kind = LV_NODE;
        return r;
    }
    if (!lv_is_num(a) || !lv_is_num(b))
        return low_error(L, m->at, "%s: one branch gives %s, the other %s", m->what, lv_text(L, a), lv_text(L, b));
    bool wa = lv_is_weak(a) || a.kind == LV_BOOL, wb = lv_is_weak(b) || b.kind == LV_BOOL;
    TdlElem e = wa == wb ? low_promote(L, a, b) : lv_elem(L, wa ? b : a);
    if (wa == wb && !wa && lv_elem(L, a) != lv_elem(L, b)) e = EL_COUNT;
    if (wa != wb && el_is_float(lv_elem(L, wa ? a : b)) && !el_is_float(e)) e = EL_COUNT;
    if (lv_elem(L, a) != lv_elem(L, b) && (lv_elem(L, a) == EL_BOOL || lv_elem(L, b) == EL_BOOL)) e = EL_COUNT;
    if (e != EL_COUNT) {
        in_region(L, m->r[0]);
        TdlVal x = low_mat(L, a, e);
        in_region(L, m->r[1]);
        TdlVal y = low_mat(L, b, e);
        if (ty_eq(ir_type(L->b.f, x), ir_type(L->b.f, y))) {
            if (!low_type_visible(L, ir_type(L->b.f, x), m->r[0], true))
                return low_error(L, m->at, "%s: the size of %s is decided inside a branch, so it cannot leave it", m->what, lv_text(L, a));
            LowValue r = placeholder(L, m, x, y);
            r.weak = lv_is_weak(a) && lv_is_weak(b);
            return r;
        }
    }
    return low_error(L, m->at, "%s: one branch gives %s, the other %s", m->what, lv_text(L, a), lv_text(L, b));
}

static LowValue resolve(Low *L, LowValue v, const TdlVal *results)
{
    if ((v.kind == LV_TENSOR || v.kind == LV_NODE) && v.v.id >= PLACEHOLDER) v.v = results[v.v.id - PLACEHOLDER];
    if (v.kind == LV_TUPLE || v.kind == LV_STRUCT) {
        LowValue *e = ARENA_ARRAY(L->arena, LowValue, v.n);
        for (uint32_t i = 0; i < v.n; i++) e[i] = resolve(L, v.elems[i], results);
        v.elems = e;
    }
    return v;
}

/* ---- if ---- */

typedef struct { TdlOp op; TdlBuilder outer; LowVars vars; LowValue *before; LowValue val[2]; LowValue *after[2]; } If;

static void if_begin(Low *L, If *s, TdlVal c, const LowScan *scan)
{
    low_changed_vars(L, scan, &s->vars);
    s->before = low_save_vars(L, &s->vars);
    low_unname(L);
    s->op = ir_emit(&L->b, OP_IF, &c, 1, NULL, 0);
    s->outer = L->b;
}

static void if_branch(Low *L, If *s, uint32_t which)
{
    in_region(L, ir_op(L->b.f, s->op)->regions[which]);
    load_vars(&s->vars, s->before);
}

static void if_branch_end(Low *L, If *s, uint32_t which, LowValue v)
{
    s->val[which] = v;
    s->after[which] = low_save_vars(L, &s->vars);
}

static LowValue if_end(Low *L, If *s, TdlSpan at)
{
    Merge m = {.at = at, .what = "if"};
    for (uint32_t i = 0; i < 2; i++) m.r[i] = ir_op(L->b.f, s->op)->regions[i];
    LowValue v = merge_value(L, &m, s->val[0], s->val[1]);
    LowValue *out = ARENA_ARRAY(L->arena, LowValue, s->vars.n);
    for (uint32_t i = 0; i < s->vars.n; i++) {
        m.what = arena_printf(L->arena, "`%s`", low_name(L, s->vars.p[i]->name));
        out[i] = merge_value(L, &m, s->after[0][i], s->after[1][i]);
        out[i].leaf = s->before[i].leaf;
    }
    for (uint32_t i = 0; i < 2; i++) {
        in_region(L, m.r[i]);
        ir_emit(&L->b, OP_YIELD, m.y[i].p, m.y[i].n, NULL, 0);
    }
    TdlVal *res = ARENA_ARRAY(L->arena, TdlVal, m.y[0].n);
    for (uint32_t i = 0; i < m.y[0].n; i++) res[i] = ir_add_result(L->b.f, s->op, ir_type(L->b.f, m.y[0].p[i]));
    TdlSpan span = L->b.span;
    L->b = s->outer;
    L->b.span = span;
    for (uint32_t i = 0; i < s->vars.n; i++) s->vars.p[i]->val = resolve(L, out[i], res);
    return resolve(L, v, res);
}

LowValue low_if_thunks(Low *L, TdlVal c, LowThunk t, LowThunk e, void *user, const LowScan *scan, TdlSpan at)
{
    If s = {0};
    if_begin(L, &s, c, scan);
    if_branch(L, &s, 0);
    if_branch_end(L, &s, 0, t(L, user));
    if_branch(L, &s, 1);
    if_branch_end(L, &s, 1, e(L, user));
    return if_end(L, &s, at);
}

/* The condition as a compile-time bool (true returned) or an SSA one in *v (0 after an error). */
static bool condition(Low *L, const AstExpr *e, bool *known, TdlVal *v)
{
    LowValue c = low_expr(L, e);
    *v = (TdlVal){0};
    if (low_const_bool(&c, known)) return true;
    if (lv_is_err(c)) return false;
    if (c.kind != LV_TENSOR || lv_elem(L, c) != EL_BOOL)
        low_error(L, e->span, "condition: expected a bool, not %s", lv_text(L, c));
    else if (lv_rank(L, c))
        low_error(L, e->span, "condition: %s has many elements: any(...) or all(...) makes one bool of them", lv_text(L, c));
    else
        *v = c.v;
    return false;
}

LowValue low_if_value(Low *L, const AstExpr *e)
{
    bool known;
    TdlVal c;
    if (!e->block2) return low_error(L, e->span, "an `if` used as a value needs an `else`");
    LowScan scan = {0};
    low_scan_block(L, e->block, &scan);
    low_scan_block(L, e->block2, &scan);
    if (scan.returns || scan.breaks || scan.continues)
        return low_error(L, e->span, "a function or loop cannot be left from an operand of `and` or `or`, the condition of `while` or index notation: make it a statement");
    if (condition(L, e->a, &known, &c)) return low_block_value(L, known ? e->block : e->block2);
    if (!c.id) return LOW_ERR;
    If s = {0};
    if_begin(L, &s, c, &scan);
    if_branch(L, &s, 0);
    if_branch_end(L, &s, 0, low_block_value(L, e->block));
    if_branch(L, &s, 1);
    if_branch_end(L, &s, 1, low_block_value(L, e->block2));
    return if_end(L, &s, e->span);
}

/* ---- leaving early ---- */

/* Has this path left? A constant, or an SSA bool. */
static LowValue exited(Low *L)
{
    LowValue r = L->frame->ret.val;
    if (L->frame->brk) r = low_binary(L, AST_OP_OR, r, L->frame->brk->val, L->b.span);
    if (L->frame->cont) r = low_binary(L, AST_OP_OR, r, L->frame->cont->val, L->b.span);
    return r;
}

bool low_left(Low *L, LowRest rest)
{
    bool known;
    LowFrame *f = L->frame;
    bool any = f->ret.val.kind != LV_BOOL || (f->brk && f->brk->val.kind != LV_BOOL) || (f->cont && f->cont->val.kind != LV_BOOL);
    if (!any) return f->ret.val.i || (f->brk && f->brk->val.i) || (f->cont && f->cont->val.i);
    LowValue x = exited(L);
    if (low_const_bool(&x, &known)) return known;
    if (lv_is_err(x) || !rest.b || rest.from >= rest.b->stmts.n) return true;
    LowScan scan = {.returns = f->ret.val.kind != LV_BOOL, .breaks = f->brk && f->brk->val.kind != LV_BOOL,
                    .continues = f->cont && f->cont->val.kind != LV_BOOL};
    AstBlock tmp = *rest.b;
    tmp.stmts.p += rest.from;
    tmp.stmts.n -= rest.from;
    low_scan_block(L, &tmp, &scan);
    if (rest.tail) scan.returns = true;
    If s = {0};
    TdlVal go = ir_unary(&L->b, OP_NOT, x.v);
    if_begin(L, &s, go, &scan);
    if_branch(L, &s, 0);
    if (f->ret.val.kind != LV_BOOL) f->ret.val = lv_bool(false);
    if (f->brk) f->brk->val = lv_bool(false);
    if (f->cont) f->cont->val = lv_bool(false);
    low_push_scope(L, BARRIER_NONE);
    low_stmts(L, rest.b, rest.from, rest.tail);
    low_pop_scope(L);
    if_branch_end(L, &s, 0, (LowValue){.kind = LV_UNIT});
    if_branch(L, &s, 1); /* where only one flag can be set, it is */
    LowVar *flags[3] = {&f->ret, f->brk, f->cont}, *only = NULL;
    uint32_t open = 0;
    for (uint32_t i = 0; i < 3; i++)
        if (flags[i] && flags[i]->val.kind != LV_BOOL) { only = flags[i]; open++; }
    if (open == 1) only->val = lv_bool(true);
    if_branch_end(L, &s, 1, (LowValue){.kind = LV_UNIT});
    if_end(L, &s, L->b.span);
    return true;
}

static void branch_stmts(Low *L, const AstBlock *b, bool tail, LowRest rest)
{
    low_push_scope(L, BARRIER_NONE);
    if (b) {
        low_push_scope(L, BARRIER_NONE);
        low_stmts(L, b, 0, tail);
        low_pop_scope(L);
    }
    if (rest.b && !low_left(L, rest)) low_stmts(L, rest.b, rest.from, rest.tail);
    low_pop_scope(L);
}

void low_if_stmt(Low *L, const AstExpr *e, LowRest rest, bool tail)
{
    bool known;
    TdlVal c;
    LowRest none = {0};
    if (condition(L, e->a, &known, &c)) {
        branch_stmts(L, known ? e->block : e->block2, tail, rest);
        return;
    }
    if (!c.id) { /* reported: what follows would only repeat it */
        L->frame->ret.val = lv_bool(true);
        L->frame->retv.val = LOW_ERR;
        return;
    }
    LowScan scan = {0};
    low_scan_block(L, e->block, &scan);
    if (e->block2) low_scan_block(L, e->block2, &scan);
    bool te = low_always_exits(e->block), ee = low_always_exits(e->block2), inside = rest.b && te != ee;
    if (tail || (inside && rest.tail)) scan.returns = true;
    if (inside) {
        AstBlock tmp = *rest.b;
        tmp.stmts.p += rest.from;
        tmp.stmts.n -= rest.from;
        low_scan_block(L, &tmp, &scan);
    }
    If s = {0};
    if_begin(L, &s, c, &scan);
    if_branch(L, &s, 0);
    branch_stmts(L, e->block, tail, inside && ee ? rest : none);
    if_branch_end(L, &s, 0, (LowValue){.kind = LV_UNIT});
    if_branch(L, &s, 1);
    branch_stmts(L, e->block2, tail, inside && te ? rest : none);
    if_branch_end(L, &s, 1, (LowValue){.kind = LV_UNIT});
    if_end(L, &s, e->span);
    if (rest.b && !inside && !low_left(L, rest)) low_stmts(L, rest.b, rest.from, rest.tail);
}

/* ---- loops ---- */

typedef struct { LowVars vars; LowValue *start; const LowType **types; TdlVals init; TdlType *tys; LowVar brk, cont, *old_brk, *old_cont; bool exits; } Loop;

/* The initial values of what the loop carries, made SSA. */
static bool loop_begin(Low *L, Loop *lp, const LowScan *scan, TdlSpan at)
{
    LowFrame *f = L->frame;
    lp->exits = scan->breaks || scan->returns;
    LowScan outer = *scan;
    outer.breaks = outer.continues = false;
    if (scan->returns && f->retv.val.kind == LV_UNIT && f->ret.val.kind == LV_BOOL) {
        if (!f->result) {
            low_error(L, at, "a function that returns from inside a loop needs its result type written: -> f64[n]");
            return false;
        }
        TdlType *t = ARENA_ARRAY(L->arena, TdlType, lt_nleaves(f->result));
        uint32_t n = 0, k = 0;
        lt_leaves(f->result, t, &n);
        TdlVal *u = ARENA_ARRAY(L->arena, TdlVal, n);
        for (uint32_t i = 0; i < n; i++) u[i] = low_emit(L, OP_UNDEF, NULL, 0, t[i]);
        f->retv.val = low_from_leaves(L, f->result, u, &k);
    }
    low_changed_vars(L, &outer, &lp->vars);
    lp->types = ARENA_ARRAY(L->arena, const LowType *, lp->vars.n + 1); /* one more: `while` carries its break flag */
    for (uint32_t i = 0; i < lp->vars.n; i++) {
        LowVar *v = lp->vars.p[i];
        LowLeaf *leaf = v->val.leaf;
        v->val = low_concrete(L, v->val);
        v->val.leaf = leaf;
        lp->types[i] = low_type_of(L, v->val);
        low_flatten(L, v->val, &lp->init);
    }
    lp->start = low_save_vars(L, &lp->vars);
    lp->tys = ARENA_ARRAY(L->arena, TdlType, lp->init.n + 1);
    for (uint32_t i = 0; i < lp->init.n; i++) lp->tys[i] = ir_type(L->b.f, lp->init.p[i]);
    lp->old_brk = f->brk;
    lp->old_cont = f->cont;
    lp->brk = (LowVar){.name = intern(L->names, "break"), .val = lv_bool(false)};
    lp->cont = (LowVar){.name = intern(L->names, "continue"), .val = lv_bool(false)};
    f->brk = &lp->brk;
    f->cont = &lp->cont;
    return true;
}

static void loop_set(Low *L, Loop *lp, const TdlVal *v)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < lp->vars.n; i++) {
        LowLeaf *leaf = lp->vars.p[i]->val.leaf;
        lp->vars.p[i]->val = low_unflatten(L, lp->start[i], v, &at);
        lp->vars.p[i]->val.leaf = leaf;
    }
}

static TdlVal *loop_args(Low *L, Loop *lp, TdlRegion r)
{
    TdlVal *a = ARENA_ARRAY(L->arena, TdlVal, lp->init.n);
    for (uint32_t i = 0; i < lp->init.n; i++)
        a[i] = ir_region_arg(L->b.f, r, lp->tys[i], ir_val(L->b.f, lp->init.p[i])->name);
    return a;
}

static void loop_yields(Low *L, Loop *lp, TdlVals *y)
{
    for (uint32_t i = 0; i < lp->vars.n; i++) {
        LowVar *v = lp->vars.p[i];
        LowValue x = low_coerce(L, v->val, lp->types[i], L->b.span, arena_printf(L->arena, "`%s` after an iteration", low_name(L, v->name)));
        if (lv_is_err(x)) return;
        low_flatten(L, x, y);
    }
}

static void loop_body(Low *L, const AstBlock *b, TdlSym index, TdlVal iv, TdlSpan span)
{
    low_push_scope(L, BARRIER_NONE);
    if (index.id) {
        LowValue i = lv_tensor(iv);
        i.weak = true;
        low_bind(L, index, i, false, span);
        low_push_scope(L, BARRIER_NONE);
    }
    low_stmts(L, b, 0, false);
    if (index.id) low_pop_scope(L);
    low_pop_scope(L);
}

static TdlVal stop_flag(Low *L)
{
    LowValue r = L->frame->ret.val;
    return low_mat(L, low_binary(L, AST_OP_OR, r, L->frame->brk->val, L->b.span), EL_BOOL);
}

/* Inside a loop body nothing has been left yet: the loop would not run. */
static void loop_fresh(Low *L, const LowScan *scan)
{
    if (scan->returns) L->frame->ret.val = lv_bool(false);
    L->frame->brk->val = L->frame->cont->val = lv_bool(false);
}

/* A leaf that the loop carries is a leaf again in each iteration. */
static void releaf(Low *L, Loop *lp)
{
    for (uint32_t i = 0; i < lp->vars.n; i++) {
        LowVar *v = lp->vars.p[i];
        if (v->val.leaf && v->val.kind == LV_TENSOR) low_leaf_again(L, v);
    }
}

void low_for(Low *L, const AstStmt *s)
{
    LowValue lo, hi;
    if (!low_range(L, s->e, &lo, &hi)) return;
    TdlVal a = low_i64(L, lo, s->e->span, "for"), b = low_i64(L, hi, s->e->span, "for");
    if (!a.id || !b.id) return;
    LowScan scan = {0};
    low_scan_block(L, s->block, &scan);
    Loop lp = {0};
    if (!loop_begin(L, &lp, &scan, s->span)) return;
    TdlVals ops = {0};
    VEC_PUSH(L->arena, ops, a);
    VEC_PUSH(L->arena, ops, b);
    for (uint32_t i = 0; i < lp.init.n; i++) VEC_PUSH(L->arena, ops, lp.init.p[i]);
    TdlType *rt = ARENA_ARRAY(L->arena, TdlType, lp.init.n + 1);
    uint32_t nr = 0;
    if (lp.exits) rt[nr++] = ty_scalar(L->m, EL_I64);
    for (uint32_t i = 0; i < lp.init.n; i++) rt[nr++] = lp.tys[i];
    TdlOp op = ir_emit(&L->b, OP_FOR, ops.p, ops.n, rt, nr);
    if (lp.exits) op_set_int(L->b.f, op, "exit", 1);
    if (s->name.name.id) op_set_int(L->b.f, op, "checkpoint", 1);
    TdlRegion r = ir_op(L->b.f, op)->regions[0];
    TdlBuilder outer = L->b;
    in_region(L, r);
    TdlSym name = s->pat.n ? s->pat.p[0].name : intern(L->names, "_");
    TdlVal iv = ir_region_arg(L->b.f, r, ty_scalar(L->m, EL_I64), name);
    loop_set(L, &lp, loop_args(L, &lp, r));
    releaf(L, &lp);
    loop_fresh(L, &scan);
    loop_body(L, s->block, name, iv, s->pat.n ? s->pat.p[0].span : s->span);
    TdlVals y = {0};
    if (lp.exits) VEC_PUSH(L->arena, y, stop_flag(L));
    loop_yields(L, &lp, &y);
    ir_emit(&L->b, OP_YIELD, y.p, y.n, NULL, 0);
    L->b = outer;
    TdlVal *res = ARENA_ARRAY(L->arena, TdlVal, lp.init.n);
    for (uint32_t i = 0; i < lp.init.n; i++) res[i] = ir_result(L->b.f, op, i + lp.exits);
    L->frame->brk = lp.old_brk;
    L->frame->cont = lp.old_cont;
    loop_set(L, &lp, res);
}

typedef struct { const AstExpr *e; } WhileCond;
static LowValue while_cond(Low *L, void *user)
{
    const AstExpr *e = ((WhileCond *)user)->e;
    bool known;
    TdlVal v;
    if (condition(L, e, &known, &v)) return lv_bool(known);
    return v.id ? lv_tensor(v) : LOW_ERR;
}
static LowValue while_false(Low *L, void *user) { (void)L; (void)user; return lv_bool(false); }

void low_while(Low *L, const AstStmt *s)
{
    const AstStmt *assigning = low_while_true(L, s);
    if (assigning) s = assigning;
    LowScan scan = {0};
    low_scan_block(L, s->block, &scan);
    low_scan_expr(L, s->e, &scan);
    Loop lp = {0};
    if (!loop_begin(L, &lp, &scan, s->span)) return;
    if (scan.breaks) {
        lp.brk.val = low_concrete(L, lp.brk.val);
        lp.tys[lp.init.n] = ty_scalar(L->m, EL_BOOL);
        VEC_PUSH(L->arena, lp.init, lp.brk.val.v);
        lp.types[lp.vars.n] = low_type_of(L, lp.brk.val);
        VEC_PUSH(L->arena, lp.vars, &lp.brk);
        lp.start = low_save_vars(L, &lp.vars);
    }
    TdlOp op = ir_emit(&L->b, OP_WHILE, lp.init.p, lp.init.n, lp.tys, lp.init.n);
    if (s->name.name.id) op_set_int(L->b.f, op, "checkpoint", 1);
    TdlBuilder outer = L->b;
    TdlRegion r0 = ir_op(L->b.f, op)->regions[0];
    in_region(L, r0);
    loop_set(L, &lp, loop_args(L, &lp, r0));
    WhileCond wc = {s->e};
    LowScan none = {0}; /* it assigns nothing: low_while_true */
    LowValue c = lv_bool(false);
    if (lp.exits) {
        LowValue stop = low_binary(L, AST_OP_OR, scan.returns ? L->frame->ret.val : lv_bool(false), scan.breaks ? lp.brk.val : lv_bool(false), s->span);
        c = low_if_thunks(L, low_mat(L, stop, EL_BOOL), while_false, while_cond, &wc, &none, s->e->span);
    } else {
        c = while_cond(L, &wc);
    }
    TdlVal cv = lv_is_err(c) ? ir_const_int(&L->b, EL_BOOL, 0) : low_mat(L, c, EL_BOOL);
    ir_emit(&L->b, OP_YIELD, &cv, 1, NULL, 0);
    TdlRegion r1 = ir_op(L->b.f, op)->regions[1];
    in_region(L, r1);
    loop_set(L, &lp, loop_args(L, &lp, r1));
    releaf(L, &lp);
    loop_fresh(L, &scan);
    loop_body(L, s->block, SYM_NONE, (TdlVal){0}, s->span);
    TdlVals y = {0};
    loop_yields(L, &lp, &y);
    ir_emit(&L->b, OP_YIELD, y.p, y.n, NULL, 0);
    L->b = outer;
    TdlVal *res = ARENA_ARRAY(L->arena, TdlVal, lp.init.n);
    for (uint32_t i = 0; i < lp.init.n; i++) res[i] = ir_result(L->b.f, op, i);
    L->frame->brk = lp.old_brk;
    L->frame->cont = lp.old_cont;
    loop_set(L, &lp, res);
}
