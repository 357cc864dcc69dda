/* Rules of map, reduce, if and accumulators. Bodies of map and reduce are computed again where they are reversed;
 * a branch of `if` and the body of `withacc` hand on what the reverse reads as further results. */
#include "passes/adjoint.h"
#include <string.h>

/* Clones the body of region operation `o` to the end of region `t`, for the indices idx; returns what it yields. The map
 * is shared by all clones: each sets the values of its body before they are used, and values free in it are not in it. */
static TdlVals clone_body(Adj *a, TdlOp o, TdlRegion t, const TdlVal *idx) {
    TdlRegion body = ir_op(a->f, o)->regions[0];
    for (uint32_t i = 0; i < ir_region(a->f, body)->args.n; i++)
        valmap_set(&a->bodies, ir_region(a->f, body)->args.p[i], idx[i]);
    TdlBuilder b = ir_at_end(a->f, t, a->top->b.span);
    TdlDimMap dims = {.arena = a->arena};
    TdlVals yields = {0};
    ir_clone_region_body(&b, a->f, body, &a->bodies, &dims, &yields);
    return yields;
}

/* Arguments for `t` like those of the body of `o`. */
static TdlVal *make_indices(Adj *a, TdlOp o, TdlRegion t) {
    TdlRegion body = ir_op(a->f, o)->regions[0];
    uint32_t n = ir_region(a->f, body)->args.n;
    TdlVal *idx = ARENA_ARRAY(a->arena, TdlVal, n);
    for (uint32_t i = 0; i < n; i++) {
        TdlVal from = ir_region(a->f, body)->args.p[i];
        idx[i] = ir_region_arg(a->f, t, adj_type(a, from), ir_val(a->f, from)->name);
    }
    return idx;
}

/* An operation of kind `code` over the extents of `o`, without results. The extents of a map must be dimensions. */
static TdlOp over_extents(Adj *a, TdlOp o, TdlOpcode code, TdlBuilder b) {
    uint32_t n = ir_op(a->f, o)->noperands;
    TdlVal *extents = arena_memdup(a->arena, ir_op(a->f, o)->operands, n * sizeof *extents);
    TdlDim d;
    for (uint32_t i = 0; i < n && code == OP_MAP; i++) {
        if (ir_val_dim(a->f, extents[i], &d)) continue;
        TdlVal e = extents[i]; /* of a reduce: any i64, nothing when it is negative */
        if (!adj_nonnegative(a, e, 4)) e = ir_binary(&b, OP_MAX, e, ir_const_int(&b, EL_I64, 0));
        extents[i] = adj_newdim(a, &b, e, "extent");
    }
    return ir_emit(&b, code, extents, n, NULL, 0);
}

static TdlVal index_inbounds(Adj *a, TdlVal x, const TdlVal *idx, uint32_t n) {
    if (!n) return x;
    TdlVal v = ir_index(adj_b(a), x, idx, n);
    op_set_int(a->f, adj_def(a, v), "inbounds", 1);
    return v;
}

/* ---- map: z[i] = body(i).  For each i: the body again, then its reverse from zbar[i]. ---- */

void adj_MAP(Adj *a, TdlOp o, const TdlVal *zbar) {
    uint32_t nidx = ir_op(a->f, o)->noperands, nres = ir_op(a->f, o)->nresults;
    AdjScope *s = adj_scope_open(a);
    TdlRegion t = ir_op(a->f, over_extents(a, o, OP_MAP, ir_at_end(a->f, s->body, a->top->b.span)))->regions[0];
    TdlVal *idx = make_indices(a, o, t);
    TdlVals yields = clone_body(a, o, t, idx);
    adj_activity(a, t);
    TdlOp last = ir_region(a->f, t)->last;
    AdjFrame fr;
    adj_push(a, &fr, t, s, t);
    for (uint32_t i = 0; i < nres; i++)
        if (zbar[i].id) adj_add(a, yields.p[i], index_inbounds(a, zbar[i], idx, nidx));
    adj_reverse_ops(a, t, last);
    adj_yield(a, t, NULL, 0);
    adj_dce(a, t, true);
    adj_pop(a);
    adj_scope_close(a, s, NULL, 0);
}

/* ---- reduce ---- */

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
    TdlOp again = over_extents(a, o, OP_REDUCE, a->top->b);
    TdlRegion r = ir_op(a->f, again)->regions[0];
    TdlVal *idx = make_indices(a, o, r);
    TdlVals yields = clone_body(a, o, r, idx);
    TdlBuilder saved = a->top->b;
    a->top->b = ir_at_end(a->f, r, saved.span);
    yields.p[0] = of(a, o, yields.p[0], red, idx);
    ir_emit(adj_b(a), OP_YIELD, yields.p, yields.n, NULL, 0);
    a->top->b = saved;
    op_set_str(a->f, again, "kind", kind, (uint32_t)strlen(kind));
    if (op_int(a->f, o, "filter", 0)) op_set_int(a->f, again, "filter", 1);
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
    return adj_select(a, adj_op2(a, OP_EQ, v, red->y), adj_const_like(a, v, 1), adj_const_like(a, v, 0));
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
    return adj_select(a, adj_op2(a, OP_EQ, v, red->y), spread(a, position(a, o, idx), v), none);
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
    return adj_op2(a, OP_EQ, v, r->y);
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
    TdlVals yields = clone_body(a, o, t, red->at);
    adj_activity(a, t);
    TdlOp last = ir_region(a->f, t)->last;
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
    TdlRegion t = ir_op(a->f, over_extents(a, o, OP_MAP, ir_at_end(a->f, s->body, a->top->b.span)))->regions[0];
    red.at = make_indices(a, o, t);
    AdjFrame fr;
    adj_push(a, &fr, t, s, t);
    TdlVal guard = {0};
    if (guarded && !whole) {
        TdlVals yields = clone_body(a, o, t, red.at);
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

/* ---- if and withacc: what the reverse reads becomes a further result ---- */

/* Another result of region operation `user`, yielded from n->from; the other branch of an `if` yields undef. */
static TdlVal save_result(Adj *a, AdjNeed *n, TdlVal v) {
    TdlOp o = *(TdlOp *)n->user;
    TdlType t = adj_type(a, v);
    for (uint32_t i = 0; i < ir_op(a->f, o)->nregions; i++) {
        TdlRegion r = ir_op(a->f, o)->regions[i];
        TdlOp end = ir_terminator(a->f, r);
        TdlVal y = v;
        if (r.id != n->from.id) {
            TdlBuilder b = ir_before(a->f, end);
            y = ir_result(a->f, ir_emit(&b, OP_UNDEF, NULL, 0, &t, 1), 0);
        }
        ir_add_operand(a->f, end, y);
    }
    return ir_add_result(a->f, o, t);
}

/* One branch: its reverse in `t`, from the cotangents of the results. */
static void reverse_branch(Adj *a, TdlOp o, TdlRegion from, TdlRegion t, AdjScope *s, const TdlVal *zbar, uint32_t n) {
    AdjFrame fr;
    TdlOp end = ir_terminator(a->f, from);
    adj_push(a, &fr, from, s, t);
    for (uint32_t i = 0; i < n; i++)
        if (zbar[i].id) adj_add(a, adj_arg(a, end, i), zbar[i]);
    adj_reverse_ops(a, from, ir_op(a->f, end)->prev);
    adj_yield(a, t, NULL, 0);
    adj_dce(a, t, true);
    adj_pop(a);
    AdjNeed need = {.from = from, .first = ir_region(a->f, t)->first, .save_all = true, .save = save_result, .user = &o};
    adj_need(a, &need);
}

/* z = c ? then : else.  An `if` on the same condition, each branch reversed from zbar. */
void adj_IF(Adj *a, TdlOp o, const TdlVal *zbar) {
    uint32_t n = ir_op(a->f, o)->nresults;
    AdjScope *s = adj_scope_open(a);
    TdlBuilder b = ir_at_end(a->f, s->body, a->top->b.span);
    TdlVal c = adj_arg(a, o, 0);
    TdlOp rev = ir_emit(&b, OP_IF, &c, 1, NULL, 0);
    for (int i = 0; i < 2 && !a->failed; i++)
        reverse_branch(a, o, ir_op(a->f, o)->regions[i], ir_op(a->f, rev)->regions[i], s, zbar, n);
    adj_scope_close(a, s, NULL, 0);
}

/* z = withacc x { accadd(acc, v, i) }, that is z = x + v at i:  xbar = zbar, vbar = zbar[i].  The body runs once: its
 * reverse follows in the same region as the operation's. */
void adj_WITHACC(Adj *a, TdlOp o, const TdlVal *zbar) {
    uint32_t n = ir_op(a->f, o)->noperands, all = ir_op(a->f, o)->nresults;
    TdlRegion from = ir_op(a->f, o)->regions[0];
    TdlOp end = ir_terminator(a->f, from);
    TdlBuilder *b = adj_b(a);
    TdlOp before = b->before.id ? ir_op(a->f, b->before)->prev : ir_region(a->f, b->region)->last;
    for (uint32_t i = 0; i < n; i++) {
        adj_set_cot(a, ir_region(a->f, from)->args.p[i], zbar[i]);
        if (zbar[i].id) adj_add(a, adj_arg(a, o, i), zbar[i]);
    }
    for (uint32_t i = n; i < all; i++)
        if (zbar[i].id) adj_add(a, adj_arg(a, end, i - n), zbar[i]);
    adj_reverse_ops(a, from, ir_op(a->f, end)->prev);
    TdlOp first = before.id ? ir_op(a->f, before)->next : ir_region(a->f, b->region)->first;
    if (first.id == b->before.id) return;
    AdjNeed need = {.from = from, .first = first, .save_all = true, .save = save_result, .user = &o};
    adj_need(a, &need);
}

/* acc[i] += v:  vbar = accbar[i], where accbar is the cotangent of the finished tensor. */
void adj_ACCADD(Adj *a, TdlOp o, const TdlVal *zbar) {
    (void)zbar;
    TdlVal whole = adj_cot(a, adj_arg(a, o, 0)), v = adj_arg(a, o, 1);
    if (!whole.id || !adj_active(a, v)) return;
    uint32_t n = ir_op(a->f, o)->noperands - 2;
    TdlVal *idx = arena_memdup(a->arena, ir_op(a->f, o)->operands + 2, n * sizeof *idx);
    TdlVal part = ir_index(adj_b(a), whole, idx, n);
    if (n && op_int(a->f, o, "inbounds", 0)) op_set_int(a->f, adj_def(a, part), "inbounds", 1);
    adj_add(a, v, part);
}
