/* Rules of whole-tensor operations and of elements. xbar is the cotangent of x; z the result. Sources: the identities
 * follow from <zbar, dz> = <xbar, dx> for the linear operations; the others say theirs. */
#include "passes/adjoint.h"
#include <string.h>

/* ---- small helpers ---- */

static uint32_t rank_of(const Adj *a, TdlVal v) { return ty_rank(a->m, adj_type(a, v)); }

static bool has_axis(const TdlAttr *list, uint32_t axis) {
    for (uint32_t i = 0; i < list->n; i++)
        if (list->ints[i] == (int64_t)axis) return true;
    return false;
}

static TdlVal with_ints(Adj *a, TdlOpcode c, TdlVal x, const char *key, const int64_t *v, uint32_t n, TdlType t) {
    TdlVal z = adj_emit(a, c, &x, 1, t);
    op_set_ints(a->f, adj_def(a, z), key, v, n);
    return z;
}

static TdlVal permuted(Adj *a, TdlVal x, const int64_t *perm) {
    uint32_t n = rank_of(a, x);
    bool same = true;
    TdlDim *d = ARENA_ARRAY(a->arena, TdlDim, n);
    for (uint32_t i = 0; i < n; i++) {
        d[i] = ty_dims(a->m, adj_type(a, x))[perm[i]];
        same &= perm[i] == (int64_t)i;
    }
    if (same) return x;
    return with_ints(a, OP_PERMUTE, x, "perm", perm, n, ty_tensor(a->m, ty_elem(a->m, adj_type(a, x)), d, n));
}

static TdlVal reshaped(Adj *a, TdlVal x, TdlType t) {
    return ty_eq(adj_type(a, x), t) ? x : adj_emit(a, OP_RESHAPE, &x, 1, t);
}

/* z, reduced over `axes` of `like`, spread again over the shape of `like`. */
static TdlVal spread_back(Adj *a, TdlVal z, const TdlAttr *axes, TdlVal like) {
    uint32_t rank = rank_of(a, like), k = 0;
    int64_t *keep = ARENA_ARRAY(a->arena, int64_t, rank);
    for (uint32_t i = 0; i < rank; i++)
        if (!has_axis(axes, i)) keep[k++] = i;
    return ir_broadcast(adj_b(a), z, ty_with_elem(a->m, adj_type(a, like), ty_elem(a->m, adj_type(a, z))), keep);
}

static TdlVal one_zero(Adj *a, TdlVal cond, TdlVal like) {
    return adj_select(a, cond, adj_const_like(a, like, 1), adj_const_like(a, like, 0));
}

/* ---- elementwise with attributes ---- */

/* z = cast x:  xbar = cast zbar. */
void adj_CAST(Adj *a, TdlOp o, const TdlVal *zbar) {
    TdlVal x = adj_arg(a, o, 0);
    if (adj_active(a, x)) adj_add(a, x, ir_cast(adj_b(a), zbar[0], ty_elem(a->m, adj_type(a, x))));
}

/* z = c ? x : y:  xbar = c ? zbar : 0, ybar = c ? 0 : zbar.  The zero is exact: nothing is multiplied. */
void adj_SELECT(Adj *a, TdlOp o, const TdlVal *zbar) {
    TdlVal c = adj_arg(a, o, 0), x = adj_arg(a, o, 1), y = adj_arg(a, o, 2);
    if (adj_active(a, x)) adj_add(a, x, adj_select(a, c, zbar[0], adj_const_like(a, zbar[0], 0)));
    if (adj_active(a, y)) adj_add(a, y, adj_select(a, c, adj_const_like(a, zbar[0], 0), zbar[0]));
}

/* psi_n(x) * by. */
static TdlVal polygamma_times(Adj *a, TdlOp o, int64_t n, TdlVal by) {
    TdlVal x = adj_arg(a, o, 0), p = adj_emit(a, OP_POLYGAMMA, &x, 1, adj_type(a, x));
    op_set_int(a->f, adj_def(a, p), "n", n);
    return adj_op2(a, OP_MUL, by, p);
}

static void add_polygamma_times(Adj *a, TdlOp o, int64_t n, TdlVal zbar) {
    AdjMask mask = adj_unmask(a, zbar);
    TdlVal c = polygamma_times(a, o, n, mask.of);
    adj_add(a, adj_arg(a, o, 0), adj_mask(a, &mask, a->unread ? adj_unless_unread(a, mask.of, c) : c));
}

/* z = log|gamma(x)|:  dz/dx = digamma(x)   (DLMF 5.2.2) */
void adj_LGAMMA(Adj *a, TdlOp o, const TdlVal *zbar) { add_polygamma_times(a, o, 0, zbar[0]); }
void tan_LGAMMA(Adj *a, TdlOp o, const TdlVal *dot) { adj_set_cot(a, adj_res(a, o, 0), polygamma_times(a, o, 0, dot[0])); }

/* z = psi_n(x):  dz/dx = psi_(n+1)(x)   (DLMF 5.15.1) */
void adj_POLYGAMMA(Adj *a, TdlOp o, const TdlVal *zbar) { add_polygamma_times(a, o, op_int(a->f, o, "n", 0) + 1, zbar[0]); }
void tan_POLYGAMMA(Adj *a, TdlOp o, const TdlVal *dot) {
    adj_set_cot(a, adj_res(a, o, 0), polygamma_times(a, o, op_int(a->f, o, "n", 0) + 1, dot[0]));
}

/* ---- views ---- */

/* z = broadcast x:  xbar = zbar summed over the axes that are new or stretched. */
void adj_BROADCAST(Adj *a, TdlOp o, const TdlVal *zbar) {
    TdlVal x = adj_arg(a, o, 0);
    if (!adj_active(a, x)) return;
    const TdlAttr *axes = op_attr(a->f, o, "axes");
    TdlType tx = adj_type(a, x), tz = adj_type(a, zbar[0]);
    uint32_t rz = ty_rank(a->m, tz), nsum = 0, k = 0;
    int64_t *sum = ARENA_ARRAY(a->arena, int64_t, rz), *perm = ARENA_ARRAY(a->arena, int64_t, rz);
    int64_t *kept = ARENA_ARRAY(a->arena, int64_t, rz); /* position of a kept result axis after the sum */
    for (uint32_t j = 0, left = 0; j < rz; j++) {
        bool keep = false;
        for (uint32_t i = 0; i < axes->n; i++)
            keep |= axes->ints[i] == (int64_t)j && dim_eq(ty_dims(a->m, tx)[i], ty_dims(a->m, tz)[j]);
        if (keep) kept[j] = left++;
        else sum[nsum++] = j, kept[j] = -1;
    }
    for (uint32_t i = 0; i < axes->n; i++)
        if (kept[axes->ints[i]] >= 0) perm[k++] = kept[axes->ints[i]];
    TdlVal s = ir_sum_axes(adj_b(a), zbar[0], sum, nsum);
    adj_add(a, x, reshaped(a, permuted(a, s, perm), tx));
}

/* z = reshape x:  xbar = zbar in the shape of x. */
void adj_RESHAPE(Adj *a, TdlOp o, const TdlVal *zbar) {
    TdlVal x = adj_arg(a, o, 0);
    if (adj_active(a, x)) adj_add(a, x, reshaped(a, zbar[0], adj_type(a, x)));
}

/* z axis i = x axis perm[i]:  xbar = zbar by the inverse permutation. */
void adj_PERMUTE(Adj *a, TdlOp o, const TdlVal *zbar) {
    const TdlAttr *p = op_attr(a->f, o, "perm");
    int64_t *inverse = ARENA_ARRAY(a->arena, int64_t, p->n);
    for (uint32_t i = 0; i < p->n; i++) inverse[p->ints[i]] = i;
    if (adj_active(a, adj_arg(a, o, 0))) adj_add(a, adj_arg(a, o, 0), permuted(a, zbar[0], inverse));
}

/* Where slice o takes whole rows of x, by constants. */
static void note_sliced_rows(Adj *a, TdlOp o, TdlVal zbar) {
    TdlVal x = adj_arg(a, o, 0);
    const TdlDim *dx = ty_dims(a->m, adj_type(a, x)), *dz = ty_dims(a->m, adj_type(a, zbar));
    const TdlAttr *steps = op_attr(a->f, o, "steps");
    int64_t first, n;
    TdlDim start;
    for (uint32_t i = 0; i < ty_rank(a->m, adj_type(a, zbar)); i++)
        if (steps->ints[i] != 1 || (i && !dim_eq(dx[i], dz[i]))) return;
    if (!ir_val_dim(a->f, adj_arg(a, o, 1), &start) || !dim_is_const(a->m, start, &first) || !dim_is_const(a->m, dz[0], &n)) return;
    adj_note_rows(a, x, zbar, first, n);
}

/* z[k] = x[start + k*step]:  xbar[start + k*step] += zbar[k]. */
void adj_SLICE(Adj *a, TdlOp o, const TdlVal *zbar) {
    AdjScatter s;
    if (!adj_scatter_open(a, adj_arg(a, o, 0), &s)) return;
    TdlType t = adj_type(a, zbar[0]);
    uint32_t n = ty_rank(a->m, t);
    const TdlAttr *steps = op_attr(a->f, o, "steps");
    TdlVal *idx = ARENA_ARRAY(a->arena, TdlVal, n), *to = ARENA_ARRAY(a->arena, TdlVal, n + 2);
    TdlBuilder saved = adj_each_open(a, t, idx);
    to[0] = s.acc;
    to[1] = ir_index(adj_b(a), zbar[0], idx, n);
    for (uint32_t i = 0; i < n; i++) {
        TdlVal k = steps->ints[i] == 1 ? idx[i] : adj_op2(a, OP_MUL, idx[i], adj_cint(a, steps->ints[i]));
        to[i + 2] = adj_op2(a, OP_ADD, adj_arg(a, o, i + 1), k);
    }
    ir_emit(adj_b(a), OP_ACCADD, to, n + 2, NULL, 0);
    adj_each_close(a, saved);
    adj_scatter_close(a, &s);
    if (s.withacc.id) note_sliced_rows(a, o, zbar[0]);
}

/* The slice of `whole` where `o`, an upslice, wrote. */
static TdlVal slice_of_upslice(Adj *a, TdlOp o, TdlVal whole, TdlType t) {
    uint32_t n = ty_rank(a->m, t);
    TdlVal *ops = ARENA_ARRAY(a->arena, TdlVal, n + 1);
    ops[0] = whole;
    for (uint32_t i = 0; i < n; i++) ops[i + 1] = adj_arg(a, o, i + 2);
    TdlVal z = adj_emit(a, OP_SLICE, ops, n + 1, t);
    const TdlAttr *steps = op_attr(a->f, o, "steps");
    op_set_ints(a->f, adj_def(a, z), "steps", steps->ints, steps->n);
    return z;
}

/* z = x with v at a slice:  xbar = zbar with 0 at the slice, vbar = zbar at the slice. */
void adj_UPSLICE(Adj *a, TdlOp o, const TdlVal *zbar) {
    TdlVal x = adj_arg(a, o, 0), v = adj_arg(a, o, 1);
    if (adj_active(a, v)) adj_add(a, v, slice_of_upslice(a, o, zbar[0], adj_type(a, v)));
    if (!adj_active(a, x)) return;
    uint32_t n = ir_op(a->f, o)->noperands;
    TdlVal *ops = arena_memdup(a->arena, ir_op(a->f, o)->operands, n * sizeof *ops);
    ops[0] = zbar[0];
    ops[1] = adj_zero(a, adj_type(a, v));
    TdlVal z = adj_emit(a, OP_UPSLICE, ops, n, adj_type(a, x));
    const TdlAttr *steps = op_attr(a->f, o, "steps");
    op_set_ints(a->f, adj_def(a, z), "steps", steps->ints, steps->n);
    a->unread = true;
    adj_add(a, x, z);
}

/* z = x0, x1, ... along an axis:  each gets its part of zbar. */
void adj_CONCAT(Adj *a, TdlOp o, const TdlVal *zbar) {
    uint32_t rank = rank_of(a, zbar[0]), axis = (uint32_t)op_int(a->f, o, "axis", 0);
    TdlDim at = dim_const(a->m, 0);
    int64_t *steps = ARENA_ARRAY(a->arena, int64_t, rank);
    for (uint32_t i = 0; i < rank; i++) steps[i] = 1;
    for (uint32_t k = 0; k < ir_op(a->f, o)->noperands; k++) {
        TdlVal x = adj_arg(a, o, k);
        TdlType t = adj_type(a, x);
        if (adj_active(a, x)) {
            TdlVal *ops = ARENA_ARRAY(a->arena, TdlVal, rank + 1);
            ops[0] = zbar[0];
            for (uint32_t i = 0; i < rank; i++) ops[i + 1] = i == axis ? ir_dim(adj_b(a), at) : adj_cint(a, 0);
            TdlVal part = adj_emit(a, OP_SLICE, ops, rank + 1, t);
            op_set_ints(a->f, adj_def(a, part), "steps", steps, rank);
            adj_add(a, x, part);
        }
        at = dim_add(a->m, at, ty_dims(a->m, t)[axis]);
    }
}

/* z[k] = xk:  xkbar = zbar[k]. */
void adj_STACK(Adj *a, TdlOp o, const TdlVal *zbar) {
    for (uint32_t k = 0; k < ir_op(a->f, o)->noperands; k++) {
        if (!adj_active(a, adj_arg(a, o, k))) continue;
        TdlVal i = adj_cint(a, k), part = ir_index(adj_b(a), zbar[0], &i, 1);
        op_set_int(a->f, adj_def(a, part), "inbounds", 1);
        adj_add(a, adj_arg(a, o, k), part);
    }
}

/* ---- by indices ---- */

/* How an element of the result picks the element of x: replaces to[0..rank x) by the indices into x. */
typedef void (*Pick)(Adj *a, TdlOp o, TdlVal index, uint32_t axis, const TdlVal *idx, TdlVal *to);

/* xbar[pick(i)] += zbar[i] for every element i; `index` is the tensor of indices. */
static void scatter(Adj *a, TdlOp o, TdlVal zbar, TdlVal index, Pick pick) {
    AdjScatter s;
    TdlVal x = adj_arg(a, o, 0);
    if (!adj_scatter_open(a, x, &s)) return;
    TdlType t = adj_type(a, zbar);
    uint32_t n = ty_rank(a->m, t), rx = rank_of(a, x);
    TdlVal *idx = ARENA_ARRAY(a->arena, TdlVal, n), *to = ARENA_ARRAY(a->arena, TdlVal, rx + 2);
    TdlBuilder saved = adj_each_open(a, t, idx);
    to[0] = s.acc;
    to[1] = ir_index(adj_b(a), zbar, idx, n);
    pick(a, o, index, (uint32_t)op_int(a->f, o, "axis", 0), idx, to + 2);
    ir_emit(adj_b(a), OP_ACCADD, to, rx + 2, NULL, 0);
    adj_each_close(a, saved);
    adj_scatter_close(a, &s);
}

static void pick_gather(Adj *a, TdlOp o, TdlVal index, uint32_t axis, const TdlVal *idx, TdlVal *to) {
    uint32_t n = rank_of(a, adj_arg(a, o, 0));
    for (uint32_t i = 0; i < n; i++) to[i] = i == axis ? ir_index(adj_b(a), index, idx, n) : idx[i];
}

static void pick_take(Adj *a, TdlOp o, TdlVal index, uint32_t axis, const TdlVal *idx, TdlVal *to) {
    uint32_t n = rank_of(a, adj_arg(a, o, 0)), k = rank_of(a, index);
    for (uint32_t i = 0; i < n; i++)
        to[i] = i < axis ? idx[i] : i == axis ? ir_index(adj_b(a), index, idx + axis, k) : idx[i + k - 1];
}

/* z[i][j] = x[index[i][j]][j]:  xbar[index[i][j]][j] += zbar[i][j]. */
void adj_GATHER(Adj *a, TdlOp o, const TdlVal *zbar) { scatter(a, o, zbar[0], adj_arg(a, o, 1), pick_gather); }

/* z[.., i, ..] = x[.., index[i], ..]:  xbar[.., index[i], ..] += zbar[.., i, ..]. */
void adj_TAKE(Adj *a, TdlOp o, const TdlVal *zbar) { scatter(a, o, zbar[0], adj_arg(a, o, 1), pick_take); }

/* z = x, z[index[i][j]][j] += v[i][j]:  xbar = zbar, vbar = gather zbar. */
void adj_SCATTERADD(Adj *a, TdlOp o, const TdlVal *zbar) {
    TdlVal x = adj_arg(a, o, 0), index = adj_arg(a, o, 1), v = adj_arg(a, o, 2);
    if (adj_active(a, v)) {
        TdlVal g = adj_emit(a, OP_GATHER, (TdlVal[]){zbar[0], index}, 2, adj_type(a, v));
        op_set_int(a->f, adj_def(a, g), "axis", op_int(a->f, o, "axis", 0));
        adj_add(a, v, g);
    }
    adj_add(a, x, zbar[0]);
}

/* z, index = sort x:  xbar[index[i]] = zbar[i] along the axis. */
void adj_SORT(Adj *a, TdlOp o, const TdlVal *zbar) {
    if (zbar[0].id) scatter(a, o, zbar[0], adj_res(a, o, 1), pick_gather);
}

/* zdot = xdot[index[i]] along the axis. */
void tan_SORT(Adj *a, TdlOp o, const TdlVal *dot) {
    TdlVal z = adj_res(a, o, 0), g = adj_emit(a, OP_GATHER, (TdlVal[]){dot[0], adj_res(a, o, 1)}, 2, adj_type(a, z));
    op_set_int(a->f, adj_def(a, g), "axis", op_int(a->f, o, "axis", 0));
    adj_set_cot(a, z, g);
}

/* z = cumsum x:  xbar = cumsum of zbar from the other end. */
void adj_CUMSUM(Adj *a, TdlOp o, const TdlVal *zbar) {
    if (!adj_active(a, adj_arg(a, o, 0))) return;
    TdlVal z = adj_emit(a, OP_CUMSUM, &zbar[0], 1, adj_type(a, zbar[0]));
    op_set_int(a->f, adj_def(a, z), "axis", op_int(a->f, o, "axis", 0));
    if (!op_int(a->f, o, "reverse", 0)) op_set_int(a->f, adj_def(a, z), "reverse", 1);
    adj_add(a, adj_arg(a, o, 0), z);
}

/* ---- contraction ---- */

typedef struct { const TdlAttr *batch, *contract; uint32_t rank, nfree; } DotSide;

/* xbar of one side of z[batch, free a, free b]: zbar contracted with the other operand over that one's free axes. The
 * result has axes batch, free, contracted (in the order of the other's axes); they are brought into x's order. */
static void dot_side(Adj *a, TdlVal x, TdlVal other, TdlVal zbar, DotSide me, DotSide it, uint32_t my_free_at) {
    if (!adj_active(a, x)) return;
    uint32_t nb = me.batch->n, it_free_at = my_free_at == nb ? nb + me.nfree : nb;
    int64_t *zb = ARENA_ARRAY(a->arena, int64_t, nb), *zc = ARENA_ARRAY(a->arena, int64_t, it.nfree);
    int64_t *oc = ARENA_ARRAY(a->arena, int64_t, it.nfree), *perm = ARENA_ARRAY(a->arena, int64_t, me.rank);
    uint32_t k = 0, f = nb;
    for (uint32_t i = 0; i < nb; i++) zb[i] = i;
    for (uint32_t i = 0; i < it.rank; i++)
        if (!has_axis(it.batch, i) && !has_axis(it.contract, i)) oc[k] = i, zc[k] = it_free_at + k, k++;
    for (uint32_t i = 0; i < nb; i++) perm[me.batch->ints[i]] = i;
    for (uint32_t i = 0; i < me.rank; i++)
        if (!has_axis(me.batch, i) && !has_axis(me.contract, i)) perm[i] = f++;
    for (uint32_t i = 0; i < me.contract->n; i++) {
        uint32_t before = 0; /* contracted axes of the other that come before the partner of this one */
        for (uint32_t j = 0; j < it.contract->n; j++) before += it.contract->ints[j] < it.contract->ints[i];
        perm[me.contract->ints[i]] = nb + me.nfree + before;
    }
    TdlDim *d = ARENA_ARRAY(a->arena, TdlDim, me.rank);
    for (uint32_t i = 0; i < me.rank; i++) d[perm[i]] = ty_dims(a->m, adj_type(a, x))[i];
    TdlType t = ty_tensor(a->m, ty_elem(a->m, adj_type(a, x)), d, me.rank);
    TdlVal z = adj_emit(a, OP_DOT, (TdlVal[]){zbar, other}, 2, t);
    TdlOp o = adj_def(a, z);
    op_set_ints(a->f, o, "batch_a", zb, nb);
    op_set_ints(a->f, o, "batch_b", it.batch->ints, nb);
    op_set_ints(a->f, o, "contract_a", zc, it.nfree);
    op_set_ints(a->f, o, "contract_b", oc, it.nfree);
    adj_add(a, x, permuted(a, z, perm));
}

/* z[b, i, j] = sum_k x[b, i, k] y[b, j, k]:  xbar = sum_j zbar y, ybar = sum_i zbar x. */
void adj_DOT(Adj *a, TdlOp o, const TdlVal *zbar) {
    TdlVal x = adj_arg(a, o, 0), y = adj_arg(a, o, 1);
    DotSide sx = {op_attr(a->f, o, "batch_a"), op_attr(a->f, o, "contract_a"), rank_of(a, x), 0}, sy = sx;
    sy.batch = op_attr(a->f, o, "batch_b");
    sy.contract = op_attr(a->f, o, "contract_b");
    sy.rank = rank_of(a, y);
    sx.nfree = sx.rank - sx.batch->n - sx.contract->n;
    sy.nfree = sy.rank - sy.batch->n - sy.contract->n;
    dot_side(a, x, y, zbar[0], sx, sy, sx.batch->n);
    sx.batch = op_attr(a->f, o, "batch_a"), sx.contract = op_attr(a->f, o, "contract_a");
    dot_side(a, y, x, zbar[0], sy, sx, sx.batch->n + sx.nfree);
}

void tan_DOT(Adj *a, TdlOp o, const TdlVal *dot) { adj_tangent_of_product(a, o, dot); }

/* ---- whole-tensor reductions ---- */

/* z = sum x over axes:  xbar = zbar along the axes. */
void adj_SUM(Adj *a, TdlOp o, const TdlVal *zbar) {
    TdlVal x = adj_arg(a, o, 0);
    if (adj_active(a, x)) adj_add(a, x, spread_back(a, zbar[0], op_attr(a->f, o, "axes"), x));
}

static TdlVal reduced(Adj *a, TdlOpcode c, TdlVal x, const TdlAttr *axes, TdlVal like) {
    TdlType t = ty_with_elem(a->m, adj_type(a, like), ty_elem(a->m, adj_type(a, x)));
    return with_ints(a, c, x, "axes", axes->ints, axes->n, t);
}

/* For each element of x: the product over `axes` of the others. */
static TdlVal products_of_others(Adj *a, TdlVal x, const TdlAttr *axes) {
    TdlType t = adj_type(a, x), cell = ty_scalar(a->m, ty_elem(a->m, t)), i64 = ty_scalar(a->m, EL_I64);
    uint32_t rank = ty_rank(a->m, t), n = 0;
    TdlVal *ext = ARENA_ARRAY(a->arena, TdlVal, rank), *over = ARENA_ARRAY(a->arena, TdlVal, rank);
    TdlVal *to = ARENA_ARRAY(a->arena, TdlVal, rank);
    for (uint32_t i = 0; i < rank; i++) {
        ext[i] = ir_dim(adj_b(a), ty_dims(a->m, t)[i]);
        if (has_axis(axes, i)) over[n++] = ext[i];
    }
    TdlOp map = ir_emit(adj_b(a), OP_MAP, ext, rank, &t, 1);
    TdlRegion r = ir_op(a->f, map)->regions[0];
    for (uint32_t i = 0; i < rank; i++) to[i] = ir_region_arg(a->f, r, i64, SYM_NONE);
    TdlBuilder b = ir_at_end(a->f, r, a->top->b.span);
    TdlOp red = ir_emit(&b, OP_REDUCE, over, n, &cell, 1);
    op_set_str(a->f, red, "kind", "prod", 4);
    TdlVal p = ir_result(a->f, red, 0);
    ir_emit(&b, OP_YIELD, &p, 1, NULL, 0);
    r = ir_op(a->f, red)->regions[0];
    b = ir_at_end(a->f, r, a->top->b.span);
    TdlVal same = ir_const_int(&b, EL_BOOL, 1);
    for (uint32_t i = 0; i < rank; i++) {
        if (!has_axis(axes, i)) continue;
        TdlVal k = ir_region_arg(a->f, r, i64, SYM_NONE);
        same = ir_binary(&b, OP_AND, same, ir_binary(&b, OP_EQ, k, to[i]));
        to[i] = k;
    }
    TdlVal other = ir_emit1(&b, OP_SELECT, (TdlVal[]){same, ir_const_float(&b, ty_elem(a->m, t), 1.0), ir_index(&b, x, to, rank)}, 3);
    ir_emit(&b, OP_YIELD, &other, 1, NULL, 0);
    return ir_result(a->f, map, 0);
}

/* by * dz/dx of z = prod x, in the shape of x: z / x where no element is zero, else the product of the others, which is
 * right at zeros and can be differentiated again. */
static TdlVal prod_times(Adj *a, TdlOp o, TdlVal by) {
    TdlVal x = adj_arg(a, o, 0);
    const TdlAttr *axes = op_attr(a->f, o, "axes");
    AdjIf c = adj_if_open(a, adj_any(a, adj_op2(a, OP_EQ, x, adj_const_like(a, x, 0))));
    adj_if_else(a, &c, adj_op2(a, OP_MUL, by, products_of_others(a, x, axes)));
    TdlVal z = spread_back(a, adj_res(a, o, 0), axes, x);
    return adj_if_close(a, &c, adj_op2(a, OP_MUL, by, adj_op2(a, OP_DIV, z, x)));
}

void adj_PROD(Adj *a, TdlOp o, const TdlVal *zbar) {
    TdlVal x = adj_arg(a, o, 0);
    if (adj_active(a, x)) adj_add(a, x, prod_times(a, o, spread_back(a, zbar[0], op_attr(a->f, o, "axes"), x)));
}

void tan_PROD(Adj *a, TdlOp o, const TdlVal *dot) {
    TdlVal z = adj_res(a, o, 0);
    adj_set_cot(a, z, reduced(a, OP_SUM, prod_times(a, o, dot[0]), op_attr(a->f, o, "axes"), z));
}

/* Row-major position of each element of x along `axes`. */
static TdlVal positions(Adj *a, TdlVal x, const TdlAttr *axes) {
    TdlType t = ty_with_elem(a->m, adj_type(a, x), EL_I64);
    TdlVal at = {0};
    for (uint32_t i = 0; i < ty_rank(a->m, t); i++) {
        if (!has_axis(axes, i)) continue;
        TdlVal k = adj_emit(a, OP_IOTA, NULL, 0, t);
        op_set_int(a->f, adj_def(a, k), "axis", i);
        if (at.id) at = adj_op2(a, OP_MUL, at, ir_full(adj_b(a), ir_dim(adj_b(a), ty_dims(a->m, t)[i]), t));
        at = at.id ? adj_op2(a, OP_ADD, at, k) : k;
    }
    return at;
}

/* z = max x over axes:  the elements that equal z and in *count their number, or the first of them and 0. */
static TdlVal ties_of(Adj *a, TdlOp o, TdlVal *count) {
    TdlVal x = adj_arg(a, o, 0), z = adj_res(a, o, 0);
    const TdlAttr *axes = op_attr(a->f, o, "axes");
    const char *ties = op_str(a->f, o, "ties");
    bool empty = op_int(a->f, o, "empty", 0) != 0;
    TdlVal tie = adj_same(a, x, spread_back(a, z, axes, x));
    *count = (TdlVal){0};
    if (ties && !strcmp(ties, "first") && axes->n) {
        TdlVal at = positions(a, x, axes);
        TdlVal among = adj_select(a, tie, at, adj_const_like(a, at, 9007199254740992.0));
        TdlVal first = reduced(a, OP_AMIN, among, axes, z);
        if (empty) op_set_int(a->f, adj_def(a, first), "empty", 1);
        return adj_op2(a, OP_EQ, at, spread_back(a, first, axes, x));
    }
    *count = reduced(a, OP_SUM, one_zero(a, tie, x), axes, z);
    if (empty) *count = adj_op2(a, OP_MAX, *count, adj_const_like(a, *count, 1)); /* 0 / 1 of nothing */
    return tie;
}

/* zbar, shared evenly by the elements that equal z, or all to the first of them. */
static void extremum(Adj *a, TdlOp o, TdlVal zbar) {
    TdlVal x = adj_arg(a, o, 0), count;
    if (!adj_active(a, x)) return;
    TdlVal tie = ties_of(a, o, &count), share = count.id ? adj_op2(a, OP_DIV, zbar, count) : zbar;
    adj_add(a, x, adj_select(a, tie, spread_back(a, share, op_attr(a->f, o, "axes"), x), adj_const_like(a, x, 0)));
}

/* The mean of their tangents, or that of the first. */
static void extremum_tangent(Adj *a, TdlOp o, TdlVal dot) {
    TdlVal z = adj_res(a, o, 0), count;
    TdlVal tie = ties_of(a, o, &count), among = adj_select(a, tie, dot, adj_const_like(a, dot, 0));
    TdlVal sum = reduced(a, OP_SUM, among, op_attr(a->f, o, "axes"), z);
    adj_set_cot(a, z, count.id ? adj_op2(a, OP_DIV, sum, count) : sum);
}

void adj_AMAX(Adj *a, TdlOp o, const TdlVal *zbar) { extremum(a, o, zbar[0]); }
void adj_AMIN(Adj *a, TdlOp o, const TdlVal *zbar) { extremum(a, o, zbar[0]); }
void tan_AMAX(Adj *a, TdlOp o, const TdlVal *dot) { extremum_tangent(a, o, dot[0]); }
void tan_AMIN(Adj *a, TdlOp o, const TdlVal *dot) { extremum_tangent(a, o, dot[0]); }

/* ---- elements ---- */

/* z = x[i]:  xbar[i] += zbar.  The index is checked again unless the primal's is known to be in range: when only the
 * gradient is used, the primal's read, and its check with it, may be gone. */
void adj_INDEX(Adj *a, TdlOp o, const TdlVal *zbar) {
    uint32_t n = ir_op(a->f, o)->noperands - 1;
    TdlVal *idx = arena_memdup(a->arena, ir_op(a->f, o)->operands + 1, n * sizeof *idx);
    adj_add_at(a, adj_arg(a, o, 0), zbar[0], idx, n, op_int(a->f, o, "inbounds", 0) != 0);
}

/* Whether the tensor x is one that a loop fills: it carries x, which starts as `undef`. Its rows were written for values that
 * may not be read, in a branch that is not taken. */
static bool is_tape(const Adj *a, TdlVal x) {
    const TdlValData *d = ir_val(a->f, x);
    TdlOp loop = d->def.id ? (TdlOp){0} : ir_region(a->f, d->region)->parent;
    if (!loop.id || ir_op(a->f, loop)->code != OP_FOR || !d->index) return false;
    TdlOp init = adj_def(a, adj_arg(a, loop, d->index + 1));
    return init.id && ir_op(a->f, init)->code == OP_UNDEF;
}

/* z = x with v at i:  vbar = zbar[i], xbar = zbar with 0 at i.  The old value of x is not needed. */
void adj_UPDATE(Adj *a, TdlOp o, const TdlVal *zbar) {
    uint32_t n = ir_op(a->f, o)->noperands - 2;
    bool inbounds = op_int(a->f, o, "inbounds", 0) != 0;
    TdlVal x = adj_arg(a, o, 0), v = adj_arg(a, o, 1);
    TdlVal *idx = arena_memdup(a->arena, ir_op(a->f, o)->operands + 2, n * sizeof *idx);
    if (adj_active(a, v)) {
        TdlVal part = ir_index(adj_b(a), zbar[0], idx, n);
        if (n && inbounds) op_set_int(a->f, adj_def(a, part), "inbounds", 1);
        bool unread = a->unread;
        a->unread = unread || is_tape(a, x);
        adj_add(a, v, part);
        a->unread = unread;
    }
    if (!adj_active(a, x) || !n) return;
    a->unread = true;
    TdlVal rest = ir_update(adj_b(a), zbar[0], adj_zero(a, adj_type(a, v)), idx, n);
    if (inbounds) op_set_int(a->f, adj_def(a, rest), "inbounds", 1);
    adj_add(a, x, rest);
}

/* ---- functions ---- */

/* Back to what the leaf was; those that `backward` asks for are its end. */
void adj_LEAF(Adj *a, TdlOp o, const TdlVal *zbar) {
    for (uint32_t i = 0; i < a->leaves.n; i++)
        if (a->leaves.p[i].id == adj_res(a, o, 0).id) return;
    adj_add(a, adj_arg(a, o, ir_op(a->f, o)->noperands - 1u), zbar[0]);
}

/* Terminators are handled with their regions. */
void adj_YIELD(Adj *a, TdlOp o, const TdlVal *zbar) { (void)a, (void)o, (void)zbar; }
void adj_RETURN(Adj *a, TdlOp o, const TdlVal *zbar) { (void)a, (void)o, (void)zbar; }
