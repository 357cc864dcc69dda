/* Zeros of cotangents that are exact: of a branch that was not taken, of an element that nothing read. They stay so, also
 * where the operation in front has an infinite derivative.
 *
 *     %s = log %x    %p = gt %x, %0    %z = select %p, %s, %0        xbar = %p ? zbar / %x : 0
 *
 * A mask says where the cotangent is 0, as a `select` in the IR. Where elements are read one by one, in a loop or under a
 * condition, that is known at run time alone: such a cotangent is *unread* (a->zeros of the value), and an operation whose
 * partial has a pole (adjoint_partial.c) makes no NaN of a 0 of it. Such a 0 may be one by chance, too, with a derivative
 * that is not: a product that is finite is left alone. Cost: three operations for each such partial. */
#include "passes/adjoint.h"

/* ---- masks ---- */

static bool is_zeros(const Adj *a, TdlVal v) {
    TdlOp o = adj_def(a, v);
    if (o.id && ir_op(a->f, o)->code == OP_BROADCAST) o = adj_def(a, adj_arg(a, o, 0));
    return o.id && ir_op(a->f, o)->code == OP_CONST && op_attr(a->f, o, "value")->f == 0;
}

/* Whether select o is what adj_unless_unread makes, (some or f == f) ? f : 0, which is no mask. */
static bool is_soft(const Adj *a, TdlOp o) {
    TdlOp any = adj_def(a, adj_arg(a, o, 0));
    if (!any.id || ir_op(a->f, any)->code != OP_OR) return false;
    TdlOp eq = adj_def(a, adj_arg(a, any, 1));
    uint32_t f = adj_arg(a, o, 1).id;
    return eq.id && ir_op(a->f, eq)->code == OP_EQ && adj_arg(a, eq, 0).id == f && adj_arg(a, eq, 1).id == f;
}

/* In zbar = c ? of : 0, or c ? 0 : of: which operand `of` is; 0: neither. */
static uint32_t masked_operand(const Adj *a, TdlVal zbar) {
    TdlOp o = adj_def(a, zbar);
    if (!o.id || ir_op(a->f, o)->code != OP_SELECT || is_soft(a, o)) return 0;
    return is_zeros(a, adj_arg(a, o, 2)) ? 1 : is_zeros(a, adj_arg(a, o, 1)) ? 2 : 0;
}

bool adj_is_masked(const Adj *a, TdlVal zbar) { return masked_operand(a, zbar) != 0; }

/* The condition under which v, masked by operand k, is not 0. */
static TdlVal condition(Adj *a, TdlVal v, uint32_t k) {
    TdlVal c = adj_arg(a, adj_def(a, v), 0);
    return k == 1 ? c : ir_unary(adj_b(a), OP_NOT, c);
}

AdjMask adj_unmask(Adj *a, TdlVal zbar) {
    AdjMask m = {.of = zbar};
    for (uint32_t k; (k = masked_operand(a, m.of));) {
        TdlVal c = condition(a, m.of, k);
        m.cond = m.cond.id ? adj_op2(a, OP_AND, m.cond, c) : c;
        m.of = adj_arg(a, adj_def(a, m.of), k);
    }
    return m;
}

TdlVal adj_mask(Adj *a, const AdjMask *m, TdlVal v) {
    return m->cond.id ? adj_select(a, m->cond, v, adj_const_like(a, v, 0)) : v;
}

AdjMask adj_either(Adj *a, AdjMask x, AdjMask y) { return (AdjMask){.cond = adj_op2(a, OP_OR, x.cond, y.cond)}; }

TdlVal adj_sum(Adj *a, TdlVal x, TdlVal y) {
    uint32_t i = masked_operand(a, x), k = masked_operand(a, y);
    if (!i || !k) return adj_op2(a, OP_ADD, x, y);
    TdlOp p = adj_def(a, x), q = adj_def(a, y);
    bool same = i == k && adj_arg(a, p, 0).id == adj_arg(a, q, 0).id;
    AdjMask m = {.cond = condition(a, x, i)};
    if (same) return adj_mask(a, &m, adj_op2(a, OP_ADD, adj_arg(a, p, i), adj_arg(a, q, k)));
    m = adj_either(a, adj_unmask(a, x), adj_unmask(a, y));
    return adj_mask(a, &m, adj_op2(a, OP_ADD, x, y));
}

/* ---- what was read in part ---- */

bool adj_is_unread(const Adj *a, TdlVal v) { return v.id < a->zeros.n && a->zeros.p[v.id]; }

void adj_set_unread(Adj *a, TdlVal v, bool on) {
    while (a->zeros.n <= v.id) VEC_PUSH(a->arena, a->zeros, 0);
    a->zeros.p[v.id] = on;
}

bool adj_has_zeros(const Adj *a, TdlVal v) { return adj_is_unread(a, v) || (adj_cot(a, v).id && adj_is_masked(a, adj_cot(a, v))); }

void adj_enter_step(Adj *a, TdlOp o) {
    const TdlOpData *d = ir_op(a->f, o);
    a->unread = a->masked = false;
    for (uint32_t i = 0; i < d->nresults; i++) {
        TdlVal z = adj_cot(a, d->results[i]);
        a->unread |= z.id && adj_is_unread(a, d->results[i]);
        a->masked |= z.id && adj_is_masked(a, z);
    }
    if (d->code == OP_ACCADD) a->unread = adj_has_zeros(a, d->operands[0]);
}

/* Whether contribution c of the current step may have zeros, but for those that it has a mask for. */
static bool is_partial(const Adj *a, TdlVal c) { return a->unread || (a->masked && !adj_is_masked(a, c)); }

void adj_note_whole(Adj *a, TdlVal v, TdlVal old, TdlVal c) {
    bool partial = is_partial(a, c), masked = adj_is_masked(a, c);
    if (!old.id) {
        adj_set_unread(a, v, partial);
        return;
    }
    bool was = adj_is_unread(a, v), was_masked = adj_is_masked(a, old);
    adj_set_unread(a, v, (was || was_masked) && (partial || masked) && (was || partial));
}

void adj_note_part(Adj *a, TdlVal v) {
    bool first = !adj_cot(a, v).id;
    adj_set_unread(a, v, first || adj_has_zeros(a, v));
    if (first && v.id < a->rows.n) a->rows.p[v.id] = 0;
}

void adj_note_rows(Adj *a, TdlVal v, TdlVal c, int64_t first, int64_t n) {
    int64_t all;
    if (!adj_is_unread(a, v) || is_partial(a, c) || adj_is_masked(a, c)) return;
    if (!dim_is_const(a->m, ty_dims(a->m, adj_type(a, v))[0], &all) || all < 1 || all > 64) return;
    while (a->rows.n <= v.id) VEC_PUSH(a->arena, a->rows, 0);
    for (int64_t i = first; i < first + n && i < all; i++)
        if (i >= 0) a->rows.p[v.id] |= (uint64_t)1 << i;
    if (a->rows.p[v.id] == UINT64_MAX >> (64 - all)) adj_set_unread(a, v, false);
}

/* Whether axis i of v has the extent of index idx, an argument of region r. */
static bool is_axis(const Adj *a, TdlVal v, uint32_t i, TdlRegion r, TdlVal idx) {
    const TdlValData *d = ir_val(a->f, idx);
    TdlDim n;
    return !d->def.id && d->region.id == r.id && ir_val_dim(a->f, adj_arg(a, ir_region(a->f, r)->parent, d->index), &n) &&
           dim_eq(n, ty_dims(a->m, adj_type(a, v))[i]);
}

/* Whether index k of map region r is one of idx, for its own whole axis of v; else whether the map runs at all. */
static bool covers(const Adj *a, TdlVal v, TdlRegion r, uint32_t k, const TdlVal *idx, uint32_t n) {
    TdlVal at = ir_region(a->f, r)->args.p[k];
    TdlDim d;
    for (uint32_t i = 0; i < n; i++)
        if (idx[i].id == at.id) return is_axis(a, v, i, r, at);
    return ir_val_dim(a->f, adj_arg(a, ir_region(a->f, r)->parent, k), &d) && dim_known_ge(a->m, d, dim_const(a->m, 1));
}

/* Whether the frames from the top out to `inner` come by each element of v, at idx: maps over its axes, in any order. What
 * one branch of an `if` contributes has a mask of its own (adj_IF). */
static bool reads_all(const Adj *a, TdlVal v, const AdjFrame *inner, const TdlVal *idx, uint32_t n) {
    uint32_t found = 0;
    for (const AdjFrame *fr = a->top;; fr = fr->outer) {
        TdlOp o = ir_region(a->f, fr->into)->parent;
        TdlOpcode c = ir_op(a->f, o)->code;
        if (c == OP_MAP) {
            uint32_t extents = ir_op(a->f, o)->noperands;
            for (uint32_t k = 0; k < extents; k++)
                if (!covers(a, v, fr->into, k, idx, n)) return false;
            for (uint32_t i = 0; i < n; i++) found += ir_region_of(a->f, idx[i]).id == fr->into.id && !adj_def(a, idx[i]).id;
        } else if (!(c == OP_IF && fr == inner && fr->region.id != fr->into.id) && c != OP_CHECKPOINT) {
            return false;
        }
        if (fr == inner) break;
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < i; k++)
            if (idx[k].id == idx[i].id) return false; /* a diagonal */
    return found == n;
}

void adj_note_free(Adj *a, TdlVal v, const AdjFrame *inner, TdlVal c, const TdlVal *idx, uint32_t n) {
    if (!is_partial(a, c) && !adj_is_masked(a, c) && reads_all(a, v, inner, idx, n)) adj_set_unread(a, v, false);
}

TdlVal adj_unless_unread(Adj *a, TdlVal zbar, TdlVal c) {
    TdlVal some = adj_op2(a, OP_NE, zbar, adj_const_like(a, zbar, 0));
    return adj_select(a, adj_op2(a, OP_OR, some, adj_op2(a, OP_EQ, c, c)), c, adj_const_like(a, c, 0));
}
