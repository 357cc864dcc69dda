/* fuse: additions at a shifted index become reads at the index shifted back.
 *
 *     %a = withacc %z {(%acc)                        %t = map %n {(%i) %v = ...
 *       map %n {(%i) %v = ...                          %p = if %c {yield %v} {yield -0.0}   yield %p}
 *         if %c = gt %i, 0 {                    =>   %a = withacc %z {(%acc)
 *           accadd %acc, %v, %i - 1 }} }               map %n {(%j)
 *                                                        %q = if %j + 1 < %n {index %t, %j + 1} {-0.0}
 *                                                        accadd %acc, %q, %j }}
 *
 * The iterations are independent then: the adjoint of a stencil is a stencil. What is added passes through a tensor, which
 * goes where it is light, or read once (fuse_pull.c); the sum becomes a result (fuse_own.c). Additions at the own index
 * inside a branch leave it, as additions of -0, which change nothing.
 * When: the accumulator is one of scalars, that a map adds to outside of loops of its own; each index of an addition is one
 * of the map's, each of these once, plus a dimension, or does not change in the map; all additions are in range by proof,
 * and pair indices and axes alike. Of `if %i == 0` the index 0 in its first branch is %i.
 * Never where the map adds to anything at an index that is computed from data: it stays a scatter as a whole.
 * Values: an element's additions keep their order, which is that of the iterations: the largest shift first. Where shifts
 * cannot be compared, it is another order (not with strict_fp).
 * Cost: an addition is looked at once, with the branches around it. */
#include "passes/checks.h"
#include "passes/fuse.h"

enum { MAX_RANK = 8, MAX_ADDS = 16, MAX_ACCS = 16 };

typedef struct {
    TdlOp op;
    TdlDim shift[MAX_RANK]; /* by index of the map */
    TdlVal term;            /* what it adds, or -0: in the body; then the tensor of these */
    uint32_t at;            /* its place among the additions */
} Add;

typedef struct {
    TdlVal acc;
    bool sum;               /* some index of the map is not among the indices: a reduction */
    bool shifted, branches, unordered;
    uint32_t axis[MAX_RANK];/* by index of the map: the accumulator's */
    TdlOp first;            /* an addition: its indices that do not change in the map are those of all */
    TDL_VEC(Add) adds;
} Group;

typedef struct {
    FuseCtx *c;
    TdlFunc *f;
    TdlOp map, with;        /* with: the `withacc` around just this map; 0: none */
    TdlRegion body;
    uint32_t n;             /* extents */
    TdlDim extent[MAX_RANK];
    TDL_VEC(Group) groups;
    TdlOp last;             /* new operations go behind it */
} Gather;

/* ---- what the map adds, and where ---- */

static uint32_t arg_number(const Gather *g, TdlVal v) {
    const TdlVals *args = &ir_region(g->f, g->body)->args;
    for (uint32_t k = 0; k < g->n; k++)
        if (args->p[k].id == v.id) return k;
    return UINT32_MAX;
}

/* v = index k of the map + d. */
static bool shifted_index(const Gather *g, TdlVal v, uint32_t *k, TdlDim *d) {
    const TdlFunc *f = g->f;
    TdlModule *m = f->module;
    *d = dim_const(m, 0);
    for (;;) {
        TdlDim e;
        *k = arg_number(g, v);
        if (*k != UINT32_MAX) return true;
        TdlOp o = ir_val(f, v)->def;
        if (!o.id || (ir_op(f, o)->code != OP_ADD && ir_op(f, o)->code != OP_SUB)) return false;
        const TdlVal *x = ir_op(f, o)->operands;
        bool sub = ir_op(f, o)->code == OP_SUB;
        if (ir_val_dim(f, x[1], &e)) v = x[0];
        else if (!sub && ir_val_dim(f, x[0], &e)) v = x[1];
        else return false;
        *d = sub ? dim_sub(m, *d, e) : dim_add(m, *d, e);
    }
}

/* In a branch where index k of the map + d == v, v is that. */
static bool equal_index(const Gather *g, TdlOp at, TdlVal v, uint32_t *k, TdlDim *d) {
    const TdlFunc *f = g->f;
    TdlDim want, other;
    if (!ir_val_dim(f, v, &want)) return false;
    for (TdlRegion r = ir_op(f, at)->parent; r.id != g->body.id;) {
        TdlOp p = ir_region(f, r)->parent;
        TdlOp eq = ir_val(f, ir_op(f, p)->operands[0])->def;
        if (eq.id && ir_op(f, eq)->code == OP_EQ && r.id == ir_op(f, p)->regions[0].id)
            for (int i = 0; i < 2; i++) {
                const TdlVal *x = ir_op(f, eq)->operands;
                if (ir_val_dim(f, x[!i], &other) && shifted_index(g, x[i], k, d)) {
                    *d = dim_add(g->c->m, *d, dim_sub(g->c->m, want, other));
                    return true;
                }
            }
        r = ir_op(f, p)->parent;
    }
    return false;
}

static Group *group_of(Gather *g, TdlVal acc) {
    for (uint32_t i = 0; i < g->groups.n; i++)
        if (g->groups.p[i].acc.id == acc.id) return &g->groups.p[i];
    VEC_PUSH(g->c->scratch, g->groups, (Group){.acc = acc});
    return &VEC_LAST(g->groups);
}

static bool same_value(const TdlFunc *f, TdlVal a, TdlVal b) {
    TdlDim x, y;
    return a.id == b.id || (ir_val_dim(f, a, &x) && ir_val_dim(f, b, &y) && dim_eq(x, y));
}

static const TdlDim *dims_of(const Gather *g, const Group *q) { return ty_dims(g->c->m, ty_tensor_of(g->c->m, ir_type(g->f, q->acc))); }

/* An index that does not change in the map is in range wherever the map stands, not only in the branches around an addition. */
static bool in_range_at_map(const Gather *g, const Group *q, TdlVal v, uint32_t axis) {
    TdlDim d, zero = dim_const(g->c->m, 0), one = dim_const(g->c->m, 1), size = dims_of(g, q)[axis];
    if (ir_val_dim(g->f, v, &d)) return dim_known_ge(g->c->m, d, zero) && dim_known_ge(g->c->m, dim_sub(g->c->m, size, one), d);
    Checks k = {.m = g->c->m, .f = g->f, .a = g->c->scratch, .nops = g->c->nops};
    k.unproved = ARENA_ARRAY(g->c->scratch, bool, g->c->nops);
    k.at = g->map;
    return chk_in_range(&k, g->map, v, size);
}

/* The indices of addition o, as those of the map shifted; false: they cannot be told. */
static bool read_indices(const Gather *g, Group *q, TdlOp o, Add *a) {
    const TdlFunc *f = g->f;
    uint32_t axis[MAX_RANK], seen = 0, nidx = ir_op(f, o)->noperands - 2u;
    for (uint32_t i = 0; i < nidx; i++) {
        TdlVal v = ir_op(f, o)->operands[2 + i];
        uint32_t k;
        TdlDim d;
        bool moves = shifted_index(g, v, &k, &d) || (nidx == g->n && equal_index(g, o, v, &k, &d));
        if (!moves) {
            if (ir_defined_in(f, v, g->body) && !ir_val_dim(f, v, &d)) return false;
            if (q->adds.n && !same_value(f, ir_op(f, q->first)->operands[2 + i], v)) return false;
            q->sum |= !in_range_at_map(g, q, v, i);
            continue;
        }
        if (seen & 1u << k) return false;
        seen |= 1u << k;
        axis[k] = i;
        a->shift[k] = d;
    }
    q->sum |= seen != (1u << g->n) - 1;
    for (uint32_t k = 0; k < g->n && !q->sum; k++) {
        if (q->adds.n && q->axis[k] != axis[k]) return false;
        q->axis[k] = axis[k];
        q->shifted |= !dim_eq(a->shift[k], dim_const(g->c->m, 0)) || !dim_known_ge(g->c->m, dims_of(g, q)[axis[k]], g->extent[k]);
    }
    return true;
}

/* One addition, `inside` the body itself or its branches; false: the map is left as it is. */
static bool note_add(Gather *g, TdlOp o) {
    const TdlFunc *f = g->f;
    const TdlOpData *d = ir_op(f, o);
    TdlType t = ty_tensor_of(g->c->m, ir_type(f, d->operands[0]));
    Group *q = group_of(g, d->operands[0]);
    bool scalars = ty_is_float(g->c->m, t) && ty_rank(g->c->m, t) + 2 == d->noperands && d->noperands <= MAX_RANK + 2;
    if (!scalars || q->adds.n == MAX_ADDS || g->groups.n > MAX_ACCS || (d->noperands > 2 && !op_int(f, o, "inbounds", 0))) return false;
    Add a = {.op = o, .at = q->adds.n};
    if (!read_indices(g, q, o, &a)) return false;
    if (!q->adds.n) q->first = o;
    q->branches |= d->parent.id != g->body.id;
    VEC_PUSH(g->c->scratch, q->adds, a);
    return true;
}

static bool collect(Gather *g, TdlRegion r) {
    IR_FOREACH_OP(g->f, r, o) {
        const TdlOpData *d = ir_op(g->f, o);
        if (d->code == OP_ACCADD && !ir_defined_in(g->f, d->operands[0], g->body) && !note_add(g, o)) return false;
        for (uint16_t i = 0; i < d->nregions; i++) {
            TdlRegion in = ir_op(g->f, o)->regions[i];
            if (ir_op(g->f, o)->code == OP_IF ? !collect(g, in) : !ir_op_is_pure(g->f, o)) return false;
        }
    }
    return true;
}

/* Is the extent at least 0 wherever the map stands? It is where something that the body reads has it as a dimension. */
static bool is_size(const Gather *g, TdlDim e) {
    TdlModule *m = g->c->m;
    if (dim_known_ge(m, e, dim_const(m, 0))) return true;
    IR_FOREACH_OP(g->f, g->body, o) {
        const TdlOpData *d = ir_op(g->f, o);
        if (d->code != OP_INDEX || ir_defined_in(g->f, d->operands[0], g->body)) continue;
        TdlType t = ir_type(g->f, d->operands[0]);
        for (uint32_t i = 0; i < ty_rank(m, t); i++)
            if (dim_eq(ty_dims(m, t)[i], e)) return true;
    }
    return false;
}

/* ---- the order of an element's additions: that of the iterations, from the first index of the map on ---- */

static int compare(TdlModule *m, uint32_t n, const Add *a, const Add *b, bool *unordered) {
    int64_t d;
    for (uint32_t k = 0; k < n; k++) {
        if (dim_eq(a->shift[k], b->shift[k])) continue;
        if (!dim_is_const(m, dim_sub(m, a->shift[k], b->shift[k]), &d)) {
            *unordered = true;
            break;
        }
        return d > 0 ? -1 : 1;
    }
    return a->at < b->at ? -1 : a->at > b->at;
}

static void sort(Gather *g, Group *q) {
    for (uint32_t i = 1; i < q->adds.n; i++)
        for (uint32_t j = i; j && compare(g->c->m, g->n, &q->adds.p[j - 1], &q->adds.p[j], &q->unordered) > 0; j--) {
            Add t = q->adds.p[j];
            q->adds.p[j] = q->adds.p[j - 1];
            q->adds.p[j - 1] = t;
        }
}

/* ---- rewriting ---- */

static TdlElem elem_of(const Gather *g, const Group *q) { return ty_elem(g->c->m, ty_tensor_of(g->c->m, ir_type(g->f, q->acc))); }

/* What the addition adds, handed out of the branches around it. */
static void hand_out(Gather *g, const Group *q, Add *a) {
    TdlFunc *f = g->f;
    TdlVal v = ir_op(f, a->op)->operands[1];
    for (TdlRegion r = ir_op(f, a->op)->parent; r.id != g->body.id;) {
        TdlOp p = ir_region(f, r)->parent;
        TdlRegion other = ir_op(f, p)->regions[r.id == ir_op(f, p)->regions[0].id];
        TdlBuilder b = ir_before(f, ir_terminator(f, other));
        ir_add_operand(f, ir_terminator(f, other), ir_const_float(&b, elem_of(g, q), -0.0));
        ir_add_operand(f, ir_terminator(f, r), v);
        v = ir_add_result(f, p, ty_scalar(g->c->m, elem_of(g, q)));
        r = ir_op(f, p)->parent;
    }
    a->term = v;
}

/* Of additions at the own index: they stand in the body, in their order, which the last to first keeps. */
static void flatten(Gather *g, Group *q) {
    TdlFunc *f = g->f;
    for (uint32_t i = q->adds.n; i-- > 0;) {
        Add *a = &q->adds.p[i];
        TdlRegion r = ir_op(f, a->op)->parent;
        if (r.id == g->body.id) continue;
        hand_out(g, q, a);
        TdlOp branch = ir_val(f, a->term)->def;
        ir_move_before(f, a->op, ir_op(f, branch)->next);
        ir_op(f, a->op)->operands[1] = a->term;
        for (uint32_t k = 0; k < g->n; k++) ir_op(f, a->op)->operands[2 + q->axis[k]] = ir_region(f, g->body)->args.p[k];
    }
}

/* The terms of an addition as a tensor, behind what holds the map. */
static void make_tensor(Gather *g, const Group *q, Add *a) {
    TdlFunc *f = g->f;
    hand_out(g, q, a);
    ir_add_operand(f, ir_terminator(f, g->body), a->term);
    TdlType t = ty_prepend(g->c->m, ir_type(f, a->term), g->extent, g->n);
    a->term = ir_add_result(f, g->map, t);
    if (g->with.id) {
        ir_add_operand(f, ir_terminator(f, fuse_body(f, g->with)), a->term);
        a->term = ir_add_result(f, g->with, t);
    }
}

/* and(cond, x op y) */
static void also(TdlBuilder *b, TdlVal *cond, TdlOpcode op, TdlVal x, TdlVal y) {
    TdlVal v = ir_binary(b, op, x, y);
    *cond = cond->id ? ir_binary(b, OP_AND, *cond, v) : v;
}

/* The term of the iteration that adds to element `own` (by index of the map); -0 where there is none. */
static TdlVal read_back(Gather *g, const Group *q, const Add *a, TdlBuilder *b, const TdlVal *own) {
    TdlFunc *f = g->f;
    TdlModule *m = g->c->m;
    TdlVal idx[MAX_RANK], cond = {0};
    TdlDim zero = dim_const(m, 0);
    const TdlDim *dims = ty_dims(m, ty_tensor_of(m, ir_type(f, q->acc)));
    for (uint32_t k = 0; k < g->n; k++) {
        TdlDim s = a->shift[k];
        idx[k] = dim_eq(s, zero) ? own[k] : ir_binary(b, OP_SUB, own[k], ir_dim(b, s));
        if (!dim_known_ge(m, dim_sub(m, zero, s), zero)) also(b, &cond, OP_GE, own[k], ir_dim(b, s));
        TdlDim end = dim_add(m, g->extent[k], s);
        if (!dim_known_ge(m, end, dims[q->axis[k]])) also(b, &cond, OP_LT, own[k], ir_dim(b, end));
    }
    TdlBuilder in = *b;
    TdlOp branch = {0};
    TdlType t = ty_scalar(m, elem_of(g, q));
    if (cond.id) {
        branch = ir_emit(b, OP_IF, &cond, 1, &t, 1);
        in = ir_at_end(f, ir_op(f, branch)->regions[0], b->span);
    }
    TdlVal v = ir_index(&in, a->term, idx, g->n);
    op_set_int(f, ir_val(f, v)->def, "inbounds", 1);
    if (!cond.id) return v;
    fuse_yield(&in, &v, 1);
    TdlBuilder none = ir_at_end(f, ir_op(f, branch)->regions[1], b->span);
    v = ir_const_float(&none, elem_of(g, q), -0.0);
    fuse_yield(&none, &v, 1);
    return ir_result(f, branch, 0);
}

/* map over the elements that the group adds to: the terms are added to `acc`. */
static TdlOp emit_map(Gather *g, const Group *q, TdlBuilder *b, TdlVal acc) {
    TdlFunc *f = g->f;
    TdlModule *m = g->c->m;
    TdlType t = ty_tensor_of(m, ir_type(f, acc));
    uint32_t rank = ty_rank(m, t);
    TdlVal extents[MAX_RANK], index[MAX_RANK], own[MAX_RANK];
    uint32_t n = 0;
    for (uint32_t i = 0; i < rank; i++) {
        TdlDim d;
        index[i] = ir_op(f, q->first)->operands[2 + i];
        if (ir_val_dim(f, index[i], &d)) index[i] = ir_dim(b, d);
        for (uint32_t k = 0; k < g->n; k++)
            if (q->axis[k] == i) extents[n++] = ir_dim(b, ty_dims(m, t)[i]);
    }
    TdlOp map = ir_emit(b, OP_MAP, extents, n, NULL, 0);
    TdlBuilder in = ir_at_end(f, fuse_body(f, map), b->span);
    for (uint32_t i = 0; i < rank; i++)
        for (uint32_t k = 0; k < g->n; k++)
            if (q->axis[k] == i) own[k] = index[i] = ir_region_arg(f, fuse_body(f, map), ty_scalar(m, EL_I64), SYM_NONE);
    for (uint32_t i = 0; i < q->adds.n; i++) {
        const Add *a = &q->adds.p[i];
        in.span = ir_op(f, a->op)->span;
        in.grad_fn = ir_op(f, a->op)->grad_fn;
        TdlVal ops[MAX_RANK + 2] = {acc, read_back(g, q, a, &in, own)};
        for (uint32_t k = 0; k < rank; k++) ops[2 + k] = index[k];
        TdlOp add = ir_emit(&in, OP_ACCADD, ops, rank + 2, NULL, 0);
        op_set_int(f, add, "inbounds", 1);
    }
    fuse_yield(&in, NULL, 0);
    return map;
}

/* The number of the accumulator among those of the `withacc` around the map; UINT32_MAX: it belongs to another. */
static uint32_t own_acc(const Gather *g, TdlVal acc) {
    if (!g->with.id || ir_region_of(g->f, acc).id != fuse_body(g->f, g->with).id) return UINT32_MAX;
    return ir_val(g->f, acc)->index;
}

static void rebuild(Gather *g, Group *q, bool *keep) {
    TdlFunc *f = g->f;
    for (uint32_t i = 0; i < q->adds.n; i++) make_tensor(g, q, &q->adds.p[i]);
    sort(g, q);
    TdlBuilder b = ir_after(f, g->last);
    b.span = ir_op(f, g->map)->span;
    uint32_t k = own_acc(g, q->acc);
    if (k == UINT32_MAX) {
        g->last = emit_map(g, q, &b, q->acc);
    } else {
        TdlVal start = ir_op(f, g->with)->operands[k];
        TdlType t = ir_type(f, ir_result(f, g->with, k));
        TdlOp with = ir_emit(&b, OP_WITHACC, &start, 1, &t, 1);
        TdlVal acc = ir_region_arg(f, fuse_body(f, with), ty_acc(g->c->m, t), ir_val(f, q->acc)->name);
        TdlBuilder in = ir_at_end(f, fuse_body(f, with), b.span);
        emit_map(g, q, &in, acc);
        fuse_yield(&in, NULL, 0);
        fuse_replace(g->c, ir_result(f, g->with, k), ir_result(f, with, 0));
        keep[k] = false;
        g->last = with;
    }
    for (uint32_t i = 0; i < q->adds.n; i++) ir_remove(f, q->adds.p[i].op);
}

static void drop_accs(Gather *g, bool *keep, uint32_t n) {
    TdlFunc *f = g->f;
    TdlVals starts = {0};
    for (uint32_t i = 0; i < n; i++)
        if (keep[i]) VEC_PUSH(g->c->scratch, starts, ir_op(f, g->with)->operands[i]);
    ir_keep_args(f, fuse_body(f, g->with), keep);
    ir_keep_results(f, g->with, keep);
    ir_set_operands(f, g->with, starts.p, starts.n);
}

static void rewrite(Gather *g) {
    TdlFunc *f = g->f;
    uint32_t naccs = g->with.id ? ir_op(f, g->with)->noperands : 0;
    uint32_t room = naccs + (g->with.id ? ir_op(f, g->with)->nresults : 0) + MAX_ACCS * MAX_ADDS;
    bool *keep = ARENA_ARRAY(g->c->scratch, bool, room + 1), any = false;
    for (uint32_t i = 0; i < room; i++) keep[i] = true;
    g->last = g->with.id ? g->with : g->map;
    for (uint32_t i = 0; i < g->groups.n; i++) {
        Group *q = &g->groups.p[i];
        if (q->sum || (!q->shifted && !q->branches)) continue;
        g->c->changed = any = true;
        if (q->shifted) rebuild(g, q, keep);
        else flatten(g, q);
    }
    if (any && g->with.id) drop_accs(g, keep, naccs);
}

static void gather_map(FuseCtx *c, TdlOp map) {
    TdlFunc *f = c->f;
    Gather g = {.c = c, .f = f, .map = map, .body = fuse_body(f, map), .n = ir_op(f, map)->noperands};
    if (!g.n || g.n > MAX_RANK) return;
    for (uint32_t k = 0; k < g.n; k++) {
        g.extent[k] = fuse_extent(f, ir_op(f, map)->operands[k]);
        if (!g.extent[k].id || !is_size(&g, g.extent[k])) return;
    }
    if (!collect(&g, g.body)) return;
    for (uint32_t i = 0; i < g.groups.n && c->opt->strict_fp; i++) {
        sort(&g, &g.groups.p[i]);
        if (g.groups.p[i].shifted && g.groups.p[i].unordered) return;
    }
    TdlOp up = ir_region(f, ir_op(f, map)->parent)->parent;
    if (up.id && ir_op(f, up)->code == OP_WITHACC && fuse_loop_in(f, up).id) g.with = up;
    rewrite(&g);
}

static void gather_region(FuseCtx *c, TdlRegion r) {
    IR_FOREACH_OP(c->f, r, o) {
        if (o.id >= c->nops) continue; /* made in this walk */
        for (uint16_t i = 0; i < ir_op(c->f, o)->nregions; i++) gather_region(c, ir_op(c->f, o)->regions[i]);
        if (ir_op(c->f, o)->code == OP_MAP) gather_map(c, o);
    }
}

bool fuse_gather(FuseCtx *c) {
    gather_region(c, c->f->body);
    return c->changed;
}
