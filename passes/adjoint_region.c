/* Rules of map, if and accumulators. Bodies of map and reduce are computed again where they are reversed;
 * a branch of `if` and the body of `withacc` hand on what the reverse reads as further results (in a loop, where those go
 * to a tape, a branch hands on as little as a loop's body does). */
#include "passes/adjoint.h"
#include <string.h>

TdlVals adj_clone_body(Adj *a, TdlOp o, TdlRegion t, const TdlVal *idx) {
    TdlRegion body = ir_op(a->f, o)->regions[0];
    for (uint32_t i = 0; i < ir_region(a->f, body)->args.n; i++)
        valmap_set(&a->bodies, ir_region(a->f, body)->args.p[i], idx[i]);
    TdlBuilder b = ir_at_end(a->f, t, a->top->b.span);
    TdlDimMap dims = {.arena = a->arena};
    TdlVals yields = {0};
    ir_clone_region_body(&b, a->f, body, &a->bodies, &dims, &yields);
    return yields;
}

TdlVal *adj_indices(Adj *a, TdlOp o, TdlRegion t) {
    TdlRegion body = ir_op(a->f, o)->regions[0];
    uint32_t n = ir_region(a->f, body)->args.n;
    TdlVal *idx = ARENA_ARRAY(a->arena, TdlVal, n);
    for (uint32_t i = 0; i < n; i++) {
        TdlVal from = ir_region(a->f, body)->args.p[i];
        idx[i] = ir_region_arg(a->f, t, adj_type(a, from), ir_val(a->f, from)->name);
    }
    return idx;
}

TdlOp adj_over_extents(Adj *a, TdlOp o, TdlOpcode code, TdlBuilder b) {
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
    TdlRegion t = ir_op(a->f, adj_over_extents(a, o, OP_MAP, ir_at_end(a->f, s->body, a->top->b.span)))->regions[0];
    TdlVal *idx = adj_indices(a, o, t);
    TdlVals yields = adj_clone_body(a, o, t, idx);
    adj_activity(a, t);
    TdlOp last = ir_region(a->f, t)->last;
    adj_note_body(a, last);
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

/* ---- if and withacc: what the reverse reads becomes a further result ---- */

/* Whether the results of what stands in the top frame go to a tape: it is in the body of a loop, outside of what is
 * computed again as a whole. */
static bool taped(const Adj *a) {
    for (const AdjFrame *fr = a->top; fr->outer && fr->region.id != fr->into.id; fr = fr->outer) {
        TdlOpcode c = ir_op(a->f, ir_region(a->f, fr->region)->parent)->code;
        if (c == OP_FOR || c == OP_WHILE) return true;
    }
    return false;
}

/* Another result of region operation `user`, yielded from n->from; the other branch of an `if` yields undef. */
static TdlVal save_result(Adj *a, AdjNeed *n, TdlVal v) {
    TdlOp o = *(TdlOp *)n->user;
    TdlType t = adj_type(a, v);
    if (!taped(a)) adj_note_value(a, v); /* else the tape is what keeps it */
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
    AdjNeed need = {.from = from, .first = ir_region(a->f, t)->first, .save_all = !taped(a), .save = save_result, .user = &o};
    adj_need(a, &need);
}

/* Which of the two regions of `rev` use acc: 1, 2 or both. */
static int used_in(Adj *a, TdlOp rev, TdlVal acc) {
    int which = 0;
    for (int k = 0; k < 2; k++) {
        TdlVals vals = {0};
        ir_free_vals(a->f, ir_op(a->f, rev)->regions[k], a->arena, &vals);
        for (uint32_t i = 0; i < vals.n; i++)
            if (vals.p[i].id == acc.id) which |= 1 << k;
    }
    return which;
}

/* What one branch alone contributes to is an exact 0 when that is not taken, as with `select`: v was computed in front of
 * the `if`, and what it was computed from must not see a 0 times an infinity. `old` is its cotangent before. */
static void mask_branch(Adj *a, TdlVal v, TdlVal c, int which, TdlVal old, bool unread) {
    TdlOp def = adj_def(a, v);
    bool masked = old.id && adj_is_masked(a, old), zeros = !old.id || masked || unread;
    bool as_it_is = which == 3 || !def.id || ir_op(a->f, def)->code == OP_INDEX || (old.id && !masked);
    adj_set_unread(a, v, zeros && (as_it_is || unread || adj_is_unread(a, v)));
    if (as_it_is) return;
    AdjMask before = {0}, mask = {.of = adj_cot(a, v)};
    if (old.id) before = adj_unmask(a, old);
    TdlType shape = ty_with_elem(a->m, adj_type(a, v), EL_BOOL);
    mask.cond = which == 1 ? c : ir_unary(adj_b(a), OP_NOT, c);
    mask.cond = ir_full(adj_b(a), mask.cond, shape);
    TdlVal of = mask.of;
    if (old.id) mask = adj_either(a, mask, before);
    adj_set_cot(a, v, adj_mask(a, &mask, of));
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
    int *which = ARENA_ARRAY(a->arena, int, s->accs.n);
    TdlVal *old = ARENA_ARRAY(a->arena, TdlVal, s->accs.n);
    for (uint32_t i = 0; i < s->accs.n; i++) which[i] = used_in(a, rev, s->accs.p[i].acc), old[i] = adj_cot(a, s->accs.p[i].of);
    adj_scope_close(a, s, NULL, 0);
    for (uint32_t i = 0; i < s->accs.n && !a->failed; i++) mask_branch(a, s->accs.p[i].of, c, which[i], old[i], s->accs.p[i].unread);
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
        adj_set_unread(a, ir_region(a->f, from)->args.p[i], adj_is_unread(a, adj_res(a, o, i)));
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
