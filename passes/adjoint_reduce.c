/* Derivatives of `reduce`, both modes: what a value v(i) counts for the result is the same factor in both. */
#include "passes/adjoint.h"
#include <string.h>

typedef enum { RED_SUM, RED_PROD, RED_MAX, RED_MIN, RED_OTHER } RedKind;

static RedKind red_kind(const Adj *a, TdlOp o) {
    static const char *const names[] = {"sum", "prod", "max", "min"};
    const char *k = op_str(a->f, o, "kind");
    for (int i = 0; i < 4; i++)
        if (!strcmp(k, names[i])) return (RedKind)i;
    return RED_OTHER;
}

typedef struct {
    RedKind kind;
    TdlVal y, ybar, has_zero, ties, first;
    const TdlVal *at; /* indices of the value being reversed */
} Red;

/* Another reduction over the same values: `kind` of of(v). The filter of `o` stays. */
static TdlVal reduce_again(Adj *a, TdlOp o, const char *kind, const Red *red,
                           TdlVal (*of)(Adj *a, TdlOp o, TdlVal v, const Red *red, const TdlVal *idx)) {
    TdlOp again = adj_over_extents(a, o, OP_REDUCE, a->top->b);
    TdlRegion r = ir_op(a->f, again)->regions[0];
    TdlVal *idx = adj_indices(a, o, r);
    TdlVals yields = adj_clone_body(a, o, r, idx);
    TdlBuilder saved = a->top->b;
    a->top->b = ir_at_end(a->f, r, saved.span);
    yields.p[0] = of(a, o, yields.p[0], red, idx);
    ir_emit(adj_b(a), OP_YIELD, yields.p, yields.n, NULL, 0);
    a->top->b = saved;
    op_set_str(a->f, again, "kind", kind, (uint32_t)strlen(kind));
    if (op_int(a->f, o, "filter", 0)) op_set_int(a->f, again, "filter", 1);
    if (op_int(a->f, o, "empty", 0)) op_set_int(a->f, again, "empty", 1);
    TdlVal z = ir_add_result(a->f, again, adj_type(a, yields.p[0]));
    adj_dce(a, r, true);
    return z;
}

static TdlVal of_is_zero(Adj *a, TdlOp o, TdlVal v, const Red *red, const TdlVal *idx) {
    (void)o, (void)red, (void)idx;
    return adj_any(a, adj_op2(a, OP_EQ, v, adj_const_like(a, v, 0)));
}

/* 1 for the value being reversed, the others as they are. */
static TdlVal of_others(Adj *a, TdlOp o, TdlVal v, const Red *red, const TdlVal *idx) {
    TdlVal same = ir_const_int(adj_b(a), EL_BOOL, 1);
    for (uint32_t i = 0; i < ir_op(a->f, o)->noperands; i++)
        same = adj_op2(a, OP_AND, same, adj_op2(a, OP_EQ, idx[i], red->at[i]));
    return adj_select(a, ir_full(adj_b(a), same, ty_with_elem(a->m, adj_type(a, v), EL_BOOL)), adj_const_like(a, v, 1), v);
}

static TdlVal of_ties(Adj *a, TdlOp o, TdlVal v, const Red *red, const TdlVal *idx) {
    (void)o, (void)idx;
    return adj_select(a, adj_same(a, v, red->y), adj_const_like(a, v, 1), adj_const_like(a, v, 0));
}

/* Position in row-major order of the extents. */
static TdlVal position(Adj *a, TdlOp o, const TdlVal *idx) {
    TdlVal at = idx[0];
    for (uint32_t i = 1; i < ir_op(a->f, o)->noperands; i++)
        at = adj_op2(a, OP_ADD, adj_op2(a, OP_MUL, at, adj_arg(a, o, i)), idx[i]);
    return at;
}

/* `at` in the shape of `like`, as i64. */
static TdlVal spread(Adj *a, TdlVal at, TdlVal like) {
    return ir_full(adj_b(a), at, ty_with_elem(a->m, adj_type(a, like), EL_I64));
}

static TdlVal of_first(Adj *a, TdlOp o, TdlVal v, const Red *red, const TdlVal *idx) {
    TdlVal none = spread(a, adj_cint(a, INT64_MAX), v);
    return adj_select(a, adj_same(a, v, red->y), spread(a, position(a, o, idx), v), none);
}

/* d prod/dv = y / v where no value is zero, else the product of the others, which can be differentiated again. */
static TdlVal prod_seed(Adj *a, const Red *r, TdlOp o, TdlVal v) {
    AdjIf c = adj_if_open(a, r->has_zero);
    TdlVal slow = adj_op2(a, OP_MUL, r->ybar, reduce_again(a, o, "prod", r, of_others));
    adj_if_else(a, &c, slow);
    return adj_if_close(a, &c, adj_op2(a, OP_MUL, r->ybar, adj_op2(a, OP_DIV, r->y, v)));
}

/* Whether v equals the extremum, or is the first that does. */
static TdlVal is_tie(Adj *a, const Red *r, TdlOp o, TdlVal v) {
    if (r->first.id) return adj_op2(a, OP_EQ, spread(a, position(a, o, r->at), v), r->first);
    return adj_same(a, v, r->y);
}

/* When a scalar value v counts at all; 0: always. `filter`: the condition of the reduction itself or 0. */
static TdlVal red_guard(Adj *a, const Red *r, TdlOp o, TdlVal v, TdlVal filter) {
    if ((r->kind != RED_MAX && r->kind != RED_MIN) || !ty_is_scalar(a->m, adj_type(a, v))) return filter;
    TdlVal tie = is_tie(a, r, o, v);
    return filter.id ? adj_op2(a, OP_AND, filter, tie) : tie;
}

/* The cotangent of one value v of the reduction, where it counts. */
static TdlVal red_seed(Adj *a, const Red *r, TdlOp o, TdlVal v) {
    if (r->kind == RED_SUM) return r->ybar;
    if (r->kind == RED_PROD) return prod_seed(a, r, o, v);
    TdlVal share = r->first.id ? r->ybar : adj_op2(a, OP_DIV, r->ybar, r->ties);
    if (ty_is_scalar(a->m, adj_type(a, v))) return share;
    return adj_select(a, is_tie(a, r, o, v), share, adj_const_like(a, v, 0));
}

static Red red_prepare(Adj *a, TdlOp o, TdlVal ybar) {
    Red r = {.kind = red_kind(a, o), .y = adj_res(a, o, 0), .ybar = ybar};
    const char *ties = op_str(a->f, o, "ties");
    if (r.kind == RED_PROD) r.has_zero = reduce_again(a, o, "any", &r, of_is_zero);
    else if (r.kind != RED_SUM && ties && !strcmp(ties, "first")) r.first = reduce_again(a, o, "min", &r, of_first);
    else if (r.kind != RED_SUM) r.ties = reduce_again(a, o, "sum", &r, of_ties);
    return r;
}

/* The condition under which the value of a clone of the body counts: 0 where it always does. */
static TdlVal guard_of(Adj *a, const Red *red, TdlOp o, const TdlVals *yields) {
    TdlVal filter = op_int(a->f, o, "filter", 0) ? yields->p[1] : (TdlVal){0};
    return red->y.id ? red_guard(a, red, o, yields->p[0], filter) : (TdlVal){0};
}

/* The reverse of a clone of the body at the end of region `t`, in the frame of `t`. `masked`: where the value does not
 * count its cotangent is 0. */
static void reverse_clone(Adj *a, const Red *red, TdlOp o, TdlRegion t, bool masked) {
    TdlVals yields = adj_clone_body(a, o, t, red->at);
    adj_activity(a, t);
    TdlOp last = ir_region(a->f, t)->last;
    adj_note_body(a, last);
    if (red->y.id) {
        TdlVal guard = masked ? guard_of(a, red, o, &yields) : (TdlVal){0}, seed = red_seed(a, red, o, yields.p[0]);
        if (guard.id) {
            guard = ir_full(adj_b(a), guard, ty_with_elem(a->m, adj_type(a, seed), EL_BOOL));
            seed = adj_select(a, guard, seed, adj_const_like(a, seed, 0));
        }
        adj_add(a, yields.p[0], seed);
    }
    adj_reverse_ops(a, t, last);
}

/* y = sum, prod, max, min over i of v(i): a map over i of the body again and its reverse. Where a value does not count
 * (filtered out, not the largest) all of that is left out, so that 0 * inf never arises there; but a body that adds to
 * accumulators does so for every index. */
void adj_REDUCE(Adj *a, TdlOp o, const TdlVal *zbar) {
    Red red = zbar[0].id ? red_prepare(a, o, zbar[0]) : (Red){.kind = RED_OTHER};
    bool whole = adj_accumulates(a, o);
    bool guarded = red.y.id && (red.kind == RED_MAX || red.kind == RED_MIN || op_int(a->f, o, "filter", 0));
    AdjScope *s = adj_scope_open(a);
    TdlRegion t = ir_op(a->f, adj_over_extents(a, o, OP_MAP, ir_at_end(a->f, s->body, a->top->b.span)))->regions[0];
    red.at = adj_indices(a, o, t);
    AdjFrame fr;
    adj_push(a, &fr, t, s, t);
    TdlVal guard = {0};
    if (guarded && !whole) {
        TdlVals yields = adj_clone_body(a, o, t, red.at);
        guard = guard_of(a, &red, o, &yields);
    }
    if (guard.id) {
        TdlOp branch = ir_emit(adj_b(a), OP_IF, &guard, 1, NULL, 0);
        fr.region = fr.into = fr.b.region = ir_op(a->f, branch)->regions[0];
        reverse_clone(a, &red, o, fr.region, false);
        for (int i = 0; i < 2; i++) adj_yield(a, ir_op(a->f, branch)->regions[i], NULL, 0);
    } else {
        reverse_clone(a, &red, o, t, guarded);
    }
    adj_yield(a, t, NULL, 0);
    adj_dce(a, t, true);
    adj_pop(a);
    adj_scope_close(a, s, NULL, 0);
}

/* ydot = sum over i of what the tangent of v(i) counts for. The body is computed again next to its tangents. */
void tan_REDUCE(Adj *a, TdlOp o, const TdlVal *dot) {
    (void)dot;
    TdlVal y = adj_res(a, o, 0);
    bool value = adj_active(a, y);
    Red red = value ? red_prepare(a, o, (TdlVal){0}) : (Red){.kind = RED_OTHER};
    TdlOp again = adj_over_extents(a, o, value ? OP_REDUCE : OP_MAP, a->top->b);
    TdlRegion t = ir_op(a->f, again)->regions[0];
    red.at = adj_indices(a, o, t);
    TdlVals yields = adj_clone_body(a, o, t, red.at);
    adj_activity(a, t);
    tan_region(a, t);
    TdlBuilder saved = a->top->b;
    a->top->b = ir_at_end(a->f, t, saved.span);
    TdlVal seed = {0};
    if (value) {
        TdlVal guard = guard_of(a, &red, o, &yields);
        tan_lanes_open(a, (TdlOp){0});
        red.ybar = tan_of_or_zero(a, yields.p[0]);
        seed = red_seed(a, &red, o, yields.p[0]);
        if (guard.id) {
            guard = ir_full(adj_b(a), guard, ty_with_elem(a->m, adj_type(a, seed), EL_BOOL));
            seed = adj_select(a, guard, seed, adj_const_like(a, seed, 0));
        }
        seed = tan_closed(a, seed);
    }
    a->top->b = ir_at_end(a->f, t, saved.span);
    ir_emit(adj_b(a), OP_YIELD, &seed, value, NULL, 0);
    a->top->b = saved;
    adj_dce(a, t, true);
    if (!value) return;
    op_set_str(a->f, again, "kind", "sum", 3);
    adj_set_cot(a, y, ir_add_result(a->f, again, tan_type(a, adj_type(a, y))));
}
