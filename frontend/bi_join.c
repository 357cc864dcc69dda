/* Builtins that join tensors, pick from them by index, add by index, and run along an axis. */
#include "frontend/bi.h"

/* ---- cat, stack ---- */

typedef struct { TdlVal *v; uint32_t n, rank; TdlElem e; } Parts;

/* The tensors of a tuple as one element type and rank. */
static bool parts(LowCall *c, Parts *p) {
    Low *L = c->L;
    LowValue t = c->a[0];
    if (t.kind != LV_TUPLE || t.n == 0) {
        bi_err(c, "needs a tuple of tensors, such as (a, b), not %s", lv_text(L, t));
        return false;
    }
    for (uint32_t i = 0; i < t.n; i++) {
        if (!lv_is_num(t.elems[i])) {
            bi_err(c, "needs tensors, not %s", lv_text(L, t.elems[i]));
            return false;
        }
        if (lv_rank(L, t.elems[i]) != lv_rank(L, t.elems[0])) {
            bi_err(c, "the tensors differ in rank: %s and %s", lv_text(L, t.elems[0]), lv_text(L, t.elems[i]));
            return false;
        }
    }
    LowValue widest = t.elems[0];
    for (uint32_t i = 1; i < t.n; i++)
        if (lv_elem(L, widest) != low_promote(L, widest, t.elems[i])) widest = t.elems[i];
    *p = (Parts){ARENA_ARRAY(L->arena, TdlVal, t.n), t.n, lv_rank(L, t.elems[0]), lv_elem(L, widest)};
    for (uint32_t i = 0; i < t.n; i++) p->v[i] = low_mat(L, t.elems[i], p->e);
    return true;
}

static LowValue differ(LowCall *c, const Parts *p, uint32_t i, uint32_t axis) {
    Low *L = c->L;
    return bi_err(c, "the tensors differ in dimension %u: %s and %s", axis, ty_text(L, ir_type(L->b.f, p->v[0])),
                  ty_text(L, ir_type(L->b.f, p->v[i])));
}

LowValue bi_cat(LowCall *c) {
    Low *L = c->L;
    Parts p;
    uint32_t axis = 0;
    TdlDim dims[LOW_MAX_RANK];
    if (!parts(c, &p)) return LOW_ERR;
    if (!p.rank) return bi_err(c, "scalars have no dimension to join along: stack joins them");
    if (c->given[1] && !bi_axis(c, 1, p.rank, &axis)) return LOW_ERR;
    for (uint32_t k = 0; k < p.rank; k++) dims[k] = k == axis ? dim_const(L->m, 0) : ty_dims(L->m, ir_type(L->b.f, p.v[0]))[k];
    for (uint32_t i = 0; i < p.n; i++) {
        const TdlDim *d = ty_dims(L->m, ir_type(L->b.f, p.v[i]));
        for (uint32_t k = 0; k < p.rank; k++)
            if (k != axis && !dim_eq(d[k], dims[k])) return differ(c, &p, i, k);
        dims[axis] = dim_add(L->m, dims[axis], d[axis]);
    }
    TdlVal v = low_emit(L, OP_CONCAT, p.v, p.n, ty_tensor(L->m, p.e, dims, p.rank));
    op_set_int(L->b.f, low_def(L, v), "axis", axis);
    return low_tag(L, v, c->bi->grad_fn);
}

/* The operation stacks along a new first axis, which is then moved. */
LowValue bi_stack(LowCall *c) {
    Low *L = c->L;
    Parts p;
    uint32_t axis = 0;
    int64_t perm[LOW_MAX_RANK + 1];
    TdlDim dims[LOW_MAX_RANK + 1];
    if (!parts(c, &p)) return LOW_ERR;
    if (p.rank + 1 > LOW_MAX_RANK) return bi_err(c, "too many dimensions");
    if (c->given[1] && !bi_axis(c, 1, p.rank + 1, &axis)) return LOW_ERR;
    TdlType t = ir_type(L->b.f, p.v[0]);
    for (uint32_t i = 1; i < p.n; i++)
        for (uint32_t k = 0; k < p.rank; k++)
            if (!dim_eq(ty_dims(L->m, ir_type(L->b.f, p.v[i]))[k], ty_dims(L->m, t)[k])) return differ(c, &p, i, k);
    TdlDim count = dim_const(L->m, p.n);
    TdlVal v = low_emit(L, OP_STACK, p.v, p.n, ty_prepend(L->m, t, &count, 1));
    if (axis == 0) return low_tag(L, v, c->bi->grad_fn);
    for (uint32_t i = 0; i <= p.rank; i++) {
        perm[i] = i < axis ? i + 1 : i == axis ? 0 : i;
        dims[i] = i == axis ? count : ty_dims(L->m, t)[i - (i > axis)];
    }
    v = low_emit(L, OP_PERMUTE, &v, 1, ty_tensor(L->m, p.e, dims, p.rank + 1));
    op_set_ints(L->b.f, low_def(L, v), "perm", perm, p.rank + 1);
    return low_tag(L, v, c->bi->grad_fn);
}

/* ---- picking ---- */

/* The index of gather and scatter_add has the operand's rank, and its sizes except along the axis. Sizes that are not
 * the same expression are checked where the operation runs. */
static bool same_rank(LowCall *c, TdlVal index) {
    Low *L = c->L;
    if (ty_rank(L->m, ir_type(L->b.f, index)) == lv_rank(L, c->a[0])) return true;
    bi_err(c, "the index has another rank than the tensor: %s and %s", ty_text(L, ir_type(L->b.f, index)), lv_text(L, c->a[0]));
    return false;
}

LowValue bi_gather(LowCall *c) {
    Low *L = c->L;
    uint32_t axis;
    TdlVal index;
    if (!bi_tensor(c, 0) || !bi_axis(c, 1, lv_rank(L, c->a[0]), &axis) || !bi_indices(c, 2, &index) || !same_rank(c, index))
        return LOW_ERR;
    TdlType t = ty_with_elem(L->m, ir_type(L->b.f, index), lv_elem(L, c->a[0]));
    TdlVal v = low_emit(L, OP_GATHER, (TdlVal[]){c->a[0].v, index}, 2, t);
    op_set_int(L->b.f, low_def(L, v), "axis", axis);
    return low_tag(L, v, c->bi->grad_fn);
}

LowValue bi_index_select(LowCall *c) {
    Low *L = c->L;
    uint32_t axis;
    TdlVal index;
    TdlDim dims[LOW_MAX_RANK];
    if (!bi_tensor(c, 0) || !bi_axis(c, 1, lv_rank(L, c->a[0]), &axis) || !bi_indices(c, 2, &index)) return LOW_ERR;
    TdlType it = ir_type(L->b.f, index);
    if (ty_rank(L->m, it) != 1) return bi_err(c, "the index is one row of integers, not %s", ty_text(L, it));
    for (uint32_t i = 0; i < lv_rank(L, c->a[0]); i++) dims[i] = i == axis ? ty_dims(L->m, it)[0] : lv_dims(L, c->a[0])[i];
    TdlType t = ty_tensor(L->m, lv_elem(L, c->a[0]), dims, lv_rank(L, c->a[0]));
    TdlVal v = low_emit(L, OP_TAKE, (TdlVal[]){c->a[0].v, index}, 2, t);
    op_set_int(L->b.f, low_def(L, v), "axis", axis);
    return low_tag(L, v, c->bi->grad_fn);
}

LowValue bi_scatter_add(LowCall *c) {
    Low *L = c->L;
    uint32_t axis;
    TdlVal index;
    if (!bi_tensor(c, 0) || !bi_axis(c, 1, lv_rank(L, c->a[0]), &axis) || !bi_indices(c, 2, &index) || !same_rank(c, index))
        return LOW_ERR;
    if (!lv_is_num(c->a[3])) return bi_err(c, "src is a tensor, not %s", lv_text(L, c->a[3]));
    TdlElem e = low_promote(L, c->a[0], c->a[3]);
    if (e != lv_elem(L, c->a[0]))
        return bi_err(c, "src is %s, which %s cannot hold", lv_text(L, c->a[3]), lv_text(L, c->a[0]));
    TdlType it = ir_type(L->b.f, index);
    LowValue src = lv_tensor(low_mat(L, c->a[3], e));
    if (lv_rank(L, src) == 0) src = lv_tensor(low_bcast(L, src.v, ty_dims(L->m, it), ty_rank(L->m, it)));
    if (!ty_eq(ty_with_elem(L->m, lv_type(L, src), EL_I64), it))
        return bi_err(c, "index and src differ in shape: %s and %s", ty_text(L, it), lv_text(L, src));
    TdlVal v = low_emit(L, OP_SCATTERADD, (TdlVal[]){c->a[0].v, index, src.v}, 3, lv_type(L, c->a[0]));
    op_set_int(L->b.f, low_def(L, v), "axis", axis);
    return low_tag(L, v, c->bi->grad_fn);
}

/* ---- along an axis ---- */

LowValue bi_cumsum(LowCall *c) {
    Low *L = c->L;
    uint32_t axis;
    if (!bi_tensor(c, 0) || !bi_axis(c, 1, lv_rank(L, c->a[0]), &axis)) return LOW_ERR;
    TdlVal x = c->a[0].v;
    if (!el_is_float(lv_elem(L, c->a[0]))) x = low_mat(L, c->a[0], EL_I64);
    TdlVal v = low_emit(L, OP_CUMSUM, &x, 1, ir_type(L->b.f, x));
    op_set_int(L->b.f, low_def(L, v), "axis", axis);
    return low_tag(L, v, c->bi->grad_fn);
}

/* (values, indices), stable; NaN counts as the largest. */
LowValue bi_sort(LowCall *c) {
    Low *L = c->L;
    uint32_t rank, axis;
    bool descending;
    if (!bi_tensor(c, 0)) return LOW_ERR;
    rank = lv_rank(L, c->a[0]);
    if (!rank) return bi_err(c, "a scalar has no order");
    axis = rank - 1;
    if ((c->given[1] && !bi_axis(c, 1, rank, &axis)) || !bi_bool(c, 2, false, &descending)) return LOW_ERR;
    if (lv_elem(L, c->a[0]) == EL_BOOL) return bi_err(c, "needs numbers, not bools");
    TdlType t = lv_type(L, c->a[0]), ts[2] = {t, ty_with_elem(L->m, t, EL_I64)};
    TdlOp o = ir_emit(&L->b, OP_SORT, &c->a[0].v, 1, ts, 2);
    op_set_int(L->b.f, o, "axis", axis);
    if (descending) op_set_int(L->b.f, o, "descending", 1);
    LowValue pair[2] = {low_tag(L, ir_result(L->b.f, o, 0), c->bi->grad_fn), lv_tensor(ir_result(L->b.f, o, 1))};
    return lv_tuple(L, pair, 2);
}

LowValue bi_argsort(LowCall *c) {
    LowValue r = bi_sort(c);
    return lv_is_err(r) ? r : r.elems[1];
}
