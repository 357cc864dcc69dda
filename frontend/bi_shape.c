/* Builtins that give the same elements another shape or order. */
#include "frontend/bi.h"

static bool tensor(LowCall *c) { return bi_tensor(c, 0); }
static TdlType type(const LowCall *c) { return lv_type(c->L, c->a[0]); }
static const TdlDim *dims_of(const LowCall *c) { return lv_dims(c->L, c->a[0]); }
static uint32_t rank_of(const LowCall *c) { return lv_rank(c->L, c->a[0]); }
static bool is_one(const LowCall *c, TdlDim d) { return dim_eq(d, dim_const(c->L->m, 1)); }

static LowValue reshaped(LowCall *c, const TdlDim *dims, uint32_t rank, const char *name) {
    return bi_named(c, low_reshape(c->L, c->a[0].v, dims, rank), c->a[0].v, name);
}

/* ---- reshape ---- */

static TdlDim product(Low *L, const TdlDim *d, uint32_t n) {
    TdlDim p = dim_const(L->m, 1);
    for (uint32_t i = 0; i < n; i++) p = dim_mul(L->m, p, d[i]);
    return p;
}

/* The dimension that -1 stands for at dims[hole]: the elements of x over the other dimensions, where they divide. */
static bool infer(LowCall *c, TdlDim *dims, uint32_t rank, uint32_t hole) {
    Low *L = c->L;
    TdlDim left[LOW_MAX_RANK], rest[LOW_MAX_RANK];
    uint32_t nleft = rank_of(c), nrest = 0;
    for (uint32_t i = 0; i < nleft; i++) left[i] = dims_of(c)[i];
    for (uint32_t i = 0; i < rank; i++) {
        uint32_t k = 0;
        if (i == hole) continue;
        while (k < nleft && !dim_eq(left[k], dims[i])) k++;
        if (k < nleft) left[k] = left[--nleft];
        else rest[nrest++] = dims[i];
    }
    int64_t by;
    if (!dim_is_const(L->m, product(L, rest, nrest), &by) || by <= 0) {
        bi_err(c, "cannot tell what -1 stands for in the shape of %s: write the dimension", lv_text(L, c->a[0]));
        return false;
    }
    dims[hole] = dim_floordiv(L->m, product(L, left, nleft), by);
    return true;
}

LowValue bi_reshape(LowCall *c) {
    Low *L = c->L;
    LowValue shape = c->a[1];
    TdlDim dims[LOW_MAX_RANK];
    uint32_t rank = shape.kind == LV_TUPLE ? shape.n : 1, hole = UINT32_MAX;
    if (!tensor(c)) return LOW_ERR;
    if (rank > LOW_MAX_RANK) return bi_err(c, "too many dimensions: %u, of at most %d", rank, LOW_MAX_RANK);
    for (uint32_t i = 0; i < rank; i++) {
        LowValue v = shape.kind == LV_TUPLE ? shape.elems[i] : shape;
        int64_t k;
        if (lv_int_const(L, v, &k) && k == -1) {
            if (hole != UINT32_MAX) return bi_err(c, "only one dimension can be -1");
            hole = i;
        } else if (!bi_dim(c, v, c->span[1], &dims[i])) {
            return LOW_ERR;
        }
    }
    if (hole != UINT32_MAX && !infer(c, dims, rank, hole)) return LOW_ERR;
    int64_t from, to;
    TdlDim all = product(L, dims, rank), have = ty_numel(L->m, type(c));
    if (dim_is_const(L->m, have, &from) && dim_is_const(L->m, all, &to) && from != to)
        return bi_err(c, "%s has %lld elements, %s has %lld", lv_text(L, c->a[0]), (long long)from,
                      ty_text(L, ty_tensor(L->m, lv_elem(L, c->a[0]), dims, rank)), (long long)to);
    return reshaped(c, dims, rank, c->bi->grad_fn);
}

LowValue bi_flatten(LowCall *c) {
    Low *L = c->L;
    if (!tensor(c)) return LOW_ERR;
    uint32_t r = rank_of(c), from = 0, to = r ? r - 1 : 0, n = 0;
    TdlDim dims[LOW_MAX_RANK + 1];
    if ((c->given[1] && !bi_axis(c, 1, r, &from)) || (c->given[2] && !bi_axis(c, 2, r, &to))) return LOW_ERR;
    if (from > to) return bi_err(c, "start_dim %u comes after end_dim %u", from, to);
    for (uint32_t i = 0; i < from; i++) dims[n++] = dims_of(c)[i];
    dims[n++] = r ? product(L, dims_of(c) + from, to - from + 1) : dim_const(L->m, 1);
    for (uint32_t i = to + 1; i < r; i++) dims[n++] = dims_of(c)[i];
    return reshaped(c, dims, n, c->bi->grad_fn);
}

/* Only a literal 1 goes: n stays n, whatever it will be. */
LowValue bi_squeeze(LowCall *c) {
    if (!tensor(c)) return LOW_ERR;
    int64_t axes[LOW_MAX_RANK];
    uint32_t n, k = 0, rank = 0;
    TdlDim dims[LOW_MAX_RANK];
    if (!bi_axes(c, 1, rank_of(c), axes, &n)) return LOW_ERR;
    for (uint32_t i = 0; i < rank_of(c); i++) {
        bool named = k < n && axes[k] == (int64_t)i;
        k += named;
        if (!named || !is_one(c, dims_of(c)[i])) dims[rank++] = dims_of(c)[i];
    }
    const char *name = !c->given[1] ? c->bi->grad_fn : c->a[1].kind == LV_TUPLE ? "SqueezeBackward2" : c->bi->grad_fn2;
    return reshaped(c, dims, rank, name);
}

LowValue bi_unsqueeze(LowCall *c) {
    if (!tensor(c)) return LOW_ERR;
    TdlDim dims[LOW_MAX_RANK + 1];
    uint32_t r = rank_of(c), axis, n = 0;
    if (r + 1 > LOW_MAX_RANK) return bi_err(c, "too many dimensions");
    if (!bi_axis(c, 1, r + 1, &axis)) return LOW_ERR;
    for (uint32_t i = 0; i <= r; i++) dims[n++] = i == axis ? dim_const(c->L->m, 1) : dims_of(c)[i - (i > axis)];
    return reshaped(c, dims, n, c->bi->grad_fn);
}

/* ---- expand ---- */

LowValue bi_expand(LowCall *c) {
    Low *L = c->L;
    LowValue shape = c->a[1];
    if (!tensor(c)) return LOW_ERR;
    TdlDim dims[LOW_MAX_RANK];
    uint32_t rank = shape.kind == LV_TUPLE ? shape.n : 1, r = rank_of(c);
    if (rank > LOW_MAX_RANK) return bi_err(c, "too many dimensions: %u, of at most %d", rank, LOW_MAX_RANK);
    if (rank < r) return bi_err(c, "%s has more dimensions than the shape asked for", lv_text(L, c->a[0]));
    for (uint32_t i = 0; i < rank; i++) {
        LowValue v = shape.kind == LV_TUPLE ? shape.elems[i] : shape;
        bool old = i >= rank - r;
        TdlDim have = old ? dims_of(c)[i - (rank - r)] : dim_const(L->m, 1);
        int64_t k;
        if (old && lv_int_const(L, v, &k) && k == -1) dims[i] = have;
        else if (!bi_dim(c, v, c->span[1], &dims[i])) return LOW_ERR;
        if (!dim_eq(dims[i], have) && !is_one(c, have))
            return bi_err(c, "%s does not stretch to %s: only a dimension of 1 does", lv_text(L, c->a[0]), dim_text(L, dims[i]));
    }
    return bi_named(c, low_bcast(L, c->a[0].v, dims, rank), c->a[0].v, c->bi->grad_fn);
}

/* ---- order ---- */

static LowValue permuted(LowCall *c, const int64_t *perm, const char *name) {
    Low *L = c->L;
    uint32_t r = rank_of(c);
    TdlDim dims[LOW_MAX_RANK];
    for (uint32_t i = 0; i < r; i++) dims[i] = dims_of(c)[perm[i]];
    TdlVal v = low_emit(L, OP_PERMUTE, &c->a[0].v, 1, ty_tensor(L->m, lv_elem(L, c->a[0]), dims, r));
    op_set_ints(L->b.f, low_def(L, v), "perm", perm, r);
    return low_tag(L, v, name);
}

LowValue bi_permute(LowCall *c) {
    if (!tensor(c)) return LOW_ERR;
    uint32_t r = rank_of(c);
    LowValue order = c->a[1];
    int64_t perm[LOW_MAX_RANK];
    bool seen[LOW_MAX_RANK] = {0};
    if (order.kind != LV_TUPLE || order.n != r)
        return bi_err(c, "needs each dimension of %s once", lv_text(c->L, c->a[0]));
    for (uint32_t i = 0; i < r; i++) {
        uint32_t axis;
        c->a[1] = order.elems[i];
        if (!bi_axis(c, 1, r, &axis)) return LOW_ERR;
        if (seen[axis]) return bi_err(c, "dimension %u is named twice", axis);
        seen[axis] = true;
        perm[i] = axis;
    }
    return permuted(c, perm, c->bi->grad_fn);
}

static LowValue swapped(LowCall *c, uint32_t a, uint32_t b) {
    int64_t perm[LOW_MAX_RANK];
    for (uint32_t i = 0; i < rank_of(c); i++) perm[i] = i == a ? b : i == b ? a : i;
    return permuted(c, perm, c->bi->grad_fn);
}

LowValue bi_transpose(LowCall *c) {
    uint32_t a, b;
    if (!tensor(c) || !bi_axis(c, 1, rank_of(c), &a) || !bi_axis(c, 2, rank_of(c), &b)) return LOW_ERR;
    return swapped(c, a, b);
}

LowValue bi_t(LowCall *c) {
    if (!tensor(c)) return LOW_ERR;
    if (rank_of(c) > 2) return bi_err(c, "needs at most 2 dimensions, not %s: transpose and permute take more", lv_text(c->L, c->a[0]));
    return rank_of(c) < 2 ? c->a[0] : swapped(c, 0, 1);
}

/* A slice that runs backwards: elements n-1, n-2, ..., 0. */
LowValue bi_flip(LowCall *c) {
    Low *L = c->L;
    int64_t axes[LOW_MAX_RANK], steps[LOW_MAX_RANK];
    TdlVal ops[LOW_MAX_RANK + 1];
    uint32_t n, k = 0;
    if (!tensor(c)) return LOW_ERR;
    uint32_t r = rank_of(c);
    if (!bi_axes(c, 1, r, axes, &n)) return LOW_ERR;
    TdlType t = type(c);
    ops[0] = c->a[0].v;
    for (uint32_t i = 0; i < r; i++) {
        bool turned = k < n && axes[k] == (int64_t)i;
        k += turned;
        steps[i] = turned ? -1 : 1;
        TdlDim start = turned ? dim_sub(L->m, ty_dims(L->m, t)[i], dim_const(L->m, 1)) : dim_const(L->m, 0);
        ops[i + 1] = ir_dim(&L->b, start);
    }
    TdlVal v = low_emit(L, OP_SLICE, ops, r + 1, t);
    op_set_ints(L->b.f, low_def(L, v), "steps", steps, r);
    return low_tag(L, v, c->bi->grad_fn);
}

/* Along one axis: element i comes from (i - shift) mod n. The shift may be a run-time integer. */
static bool roll_axis(LowCall *c, TdlVal *x, uint32_t axis, LowValue shift) {
    Low *L = c->L;
    TdlType t = ir_type(L->b.f, *x);
    TdlDim n = ty_dims(L->m, t)[axis];
    TdlVal by = low_i64(L, shift, c->span[1], c->bi->name);
    if (!by.id) return false;
    TdlVal i = low_emit(L, OP_IOTA, NULL, 0, ty_tensor(L->m, EL_I64, &n, 1));
    op_set_int(L->b.f, low_def(L, i), "axis", 0);
    TdlVal from = low_emit1(L, OP_SUB, (TdlVal[]){i, low_bcast(L, by, &n, 1)}, 2);
    from = low_emit1(L, OP_MOD, (TdlVal[]){from, low_bcast(L, ir_dim(&L->b, n), &n, 1)}, 2);
    *x = low_emit(L, OP_TAKE, (TdlVal[]){*x, from}, 2, t);
    op_set_int(L->b.f, low_def(L, *x), "axis", axis);
    return true;
}

LowValue bi_roll(LowCall *c) {
    Low *L = c->L;
    if (!tensor(c)) return LOW_ERR;
    TdlVal x = c->a[0].v;
    TdlType t = type(c);
    LowValue shifts = c->a[1], dims = c->a[2];
    uint32_t n = shifts.kind == LV_TUPLE ? shifts.n : 1, axis = 0;
    if (!c->given[2]) { /* as one row */
        TdlDim all = ty_numel(L->m, t);
        x = low_reshape(L, x, &all, 1);
        if (n != 1) return bi_err(c, "several shifts need as many dims");
        if (!roll_axis(c, &x, 0, shifts.kind == LV_TUPLE ? shifts.elems[0] : shifts)) return LOW_ERR;
        x = low_reshape(L, x, ty_dims(L->m, t), ty_rank(L->m, t));
        return low_tag(L, x, c->bi->grad_fn);
    }
    if ((dims.kind == LV_TUPLE ? dims.n : 1) != n) return bi_err(c, "shifts and dims differ in length");
    for (uint32_t i = 0; i < n; i++) {
        c->a[2] = dims.kind == LV_TUPLE ? dims.elems[i] : dims;
        if (!bi_axis(c, 2, ty_rank(L->m, t), &axis)) return LOW_ERR;
        if (!roll_axis(c, &x, axis, shifts.kind == LV_TUPLE ? shifts.elems[i] : shifts)) return LOW_ERR;
    }
    return bi_named(c, x, c->a[0].v, c->bi->grad_fn);
}

/* ---- sizes ---- */

LowValue bi_size(LowCall *c) {
    uint32_t axis;
    LowValue d[LOW_MAX_RANK];
    if (!tensor(c)) return LOW_ERR;
    if (c->given[1]) return bi_axis(c, 1, rank_of(c), &axis) ? lv_dim(dims_of(c)[axis]) : LOW_ERR;
    for (uint32_t i = 0; i < rank_of(c); i++) d[i] = lv_dim(dims_of(c)[i]);
    return lv_tuple(c->L, d, rank_of(c));
}

LowValue bi_numel(LowCall *c) { return tensor(c) ? lv_dim(ty_numel(c->L->m, type(c))) : LOW_ERR; }

LowValue bi_known(LowCall *c) { return lv_bool(c->a[0].kind == LV_BOOL && c->a[0].i); }

LowValue bi_len(LowCall *c) {
    if (c->a[0].kind == LV_TUPLE) return lv_int(c->L, c->a[0].n);
    if (!tensor(c)) return LOW_ERR;
    if (!rank_of(c)) return bi_err(c, "a scalar has no length");
    return lv_dim(dims_of(c)[0]);
}
