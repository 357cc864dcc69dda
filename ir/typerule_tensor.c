/* Type rules of whole-tensor structure, reductions and elements. */
#include "ir/typerule.h"

static const TdlAttr *ints(const TdlRule *r, const char *key) {
    const TdlAttr *a = op_attr(r->f, r->op, key);
    return a && a->kind == ATTR_INTS ? a : NULL;
}

/* Attribute `key` lists distinct axes of a tensor of rank `rank`; increasing ones when `sorted`. */
static bool axis_list(TdlRule *r, const char *key, uint32_t rank, bool sorted, const TdlAttr **out) {
    const TdlAttr *a = *out = ints(r, key);
    if (!a) return rule_fault(r, "attribute '%s' is missing", key);
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->ints[i] < 0 || a->ints[i] >= (int64_t)rank)
            return rule_fault(r, "%s: axis %lld is out of range for rank %u", key, (long long)a->ints[i], rank);
        for (uint32_t k = 0; k < i; k++)
            if (a->ints[k] == a->ints[i]) return rule_fault(r, "%s: axis %lld occurs twice", key, (long long)a->ints[i]);
        if (sorted && i && a->ints[i] < a->ints[i - 1]) return rule_fault(r, "%s: the axes do not increase", key);
    }
    return true;
}

static bool one_axis(TdlRule *r, uint32_t rank, uint32_t *axis) {
    int64_t a = op_int(r->f, r->op, "axis", -1);
    *axis = (uint32_t)a;
    return (a >= 0 && a < (int64_t)rank) || rule_fault(r, "axis %lld is out of range for rank %u", (long long)a, rank);
}

static bool given_tensor(TdlRule *r) {
    if (!rule_results(r, 1)) return false;
    if (!r->given) return rule_fault(r, "no result type");
    r->out[0] = r->given[0];
    return ty_kind(r->m, r->out[0]) == TY_TENSOR || rule_fault(r, "not a tensor: %s", rule_text(r, r->out[0]));
}

static bool same_elem(TdlRule *r, TdlType a, TdlType b) {
    return ty_elem(r->m, a) == ty_elem(r->m, b) ||
           rule_fault(r, "element types differ: %s and %s", rule_text(r, a), rule_text(r, b));
}

/* ---- views ---- */

bool rule_broadcast(TdlRule *r) {
    if (!rule_tensor(r, 0) || !given_tensor(r)) return false;
    TdlType x = rule_in(r, 0), t = r->out[0];
    const TdlAttr *axes;
    int64_t c;
    if (!same_elem(r, x, t) || !axis_list(r, "axes", ty_rank(r->m, t), true, &axes)) return false;
    if (axes->n != ty_rank(r->m, x)) return rule_fault(r, "%u axes for %s", axes->n, rule_text(r, x));
    for (uint32_t i = 0; i < axes->n; i++) {
        TdlDim from = ty_dims(r->m, x)[i], to = ty_dims(r->m, t)[axes->ints[i]];
        if (!dim_eq(from, to) && !(dim_is_const(r->m, from, &c) && c == 1))
            return rule_fault(r, "axis %u does not fit: %s to %s", i, rule_text(r, x), rule_text(r, t));
    }
    return true;
}

bool rule_reshape(TdlRule *r) {
    if (!rule_tensor(r, 0) || !given_tensor(r) || !same_elem(r, rule_in(r, 0), r->out[0])) return false;
    int64_t a, b;
    if (dim_is_const(r->m, ty_numel(r->m, rule_in(r, 0)), &a) && dim_is_const(r->m, ty_numel(r->m, r->out[0]), &b) && a != b)
        return rule_fault(r, "the sizes differ: %s to %s", rule_text(r, rule_in(r, 0)), rule_text(r, r->out[0]));
    return true;
}

bool rule_permute(TdlRule *r) {
    if (!rule_results(r, 1) || !rule_tensor(r, 0)) return false;
    TdlType x = rule_in(r, 0);
    uint32_t rank = ty_rank(r->m, x);
    const TdlAttr *perm;
    if (!axis_list(r, "perm", rank, false, &perm)) return false;
    if (perm->n != rank) return rule_fault(r, "perm has %u axes for %s", perm->n, rule_text(r, x));
    TdlDim *dims = ARENA_ARRAY(r->m->arena, TdlDim, rank);
    for (uint32_t i = 0; i < rank; i++) dims[i] = ty_dims(r->m, x)[perm->ints[i]];
    r->out[0] = ty_tensor(r->m, ty_elem(r->m, x), dims, rank);
    return true;
}

/* `part` is what a slice of x is: its rank and element; a start for each axis from operand `first` on; steps. */
static bool slice_fits(TdlRule *r, TdlType x, TdlType part, uint32_t first) {
    uint32_t rank = ty_rank(r->m, x);
    const TdlAttr *steps = ints(r, "steps");
    if (!same_elem(r, x, part)) return false;
    if (ty_rank(r->m, part) != rank)
        return rule_fault(r, "the ranks differ: %s and %s", rule_text(r, x), rule_text(r, part));
    if (r->d->noperands - first != rank) return rule_fault(r, "a start for each axis of %s is needed", rule_text(r, x));
    if (!steps || steps->n != rank) return rule_fault(r, "a step for each axis of %s is needed", rule_text(r, x));
    for (uint32_t i = 0; i < rank; i++)
        if (!steps->ints[i]) return rule_fault(r, "step 0 on axis %u", i);
    return rule_indices(r, first, rank);
}

bool rule_slice(TdlRule *r) {
    return rule_tensor(r, 0) && given_tensor(r) && slice_fits(r, rule_in(r, 0), r->out[0], 1);
}

bool rule_upslice(TdlRule *r) {
    if (!rule_results(r, 1) || !rule_tensor(r, 0) || !rule_tensor(r, 1)) return false;
    r->out[0] = rule_in(r, 0);
    return slice_fits(r, rule_in(r, 0), rule_in(r, 1), 2);
}

/* ---- joining ---- */

bool rule_concat(TdlRule *r) {
    if (!rule_results(r, 1) || !rule_tensor(r, 0)) return false;
    TdlType x = rule_in(r, 0);
    uint32_t rank = ty_rank(r->m, x), axis;
    if (!one_axis(r, rank, &axis)) return false;
    TdlDim *dims = arena_memdup(r->m->arena, ty_dims(r->m, x), rank * sizeof *dims);
    for (uint32_t i = 1; i < r->d->noperands; i++) {
        TdlType y = rule_in(r, i);
        bool fits = rule_tensor(r, i) && ty_rank(r->m, y) == rank && ty_elem(r->m, y) == ty_elem(r->m, x);
        for (uint32_t k = 0; fits && k < rank; k++) fits = k == axis || dim_eq(ty_dims(r->m, y)[k], dims[k]);
        if (!fits) return rule_fault(r, "operands do not fit along axis %u: %s and %s", axis, rule_text(r, x), rule_text(r, y));
        dims[axis] = dim_add(r->m, dims[axis], ty_dims(r->m, y)[axis]);
    }
    r->out[0] = ty_tensor(r->m, ty_elem(r->m, x), dims, rank);
    return true;
}

bool rule_stack(TdlRule *r) {
    if (!rule_same(r)) return false;
    TdlDim n = dim_const(r->m, r->d->noperands);
    r->out[0] = ty_prepend(r->m, r->out[0], &n, 1);
    return true;
}

bool rule_iota(TdlRule *r) {
    uint32_t axis;
    if (!given_tensor(r) || !one_axis(r, ty_rank(r->m, r->out[0]), &axis)) return false;
    return ty_elem(r->m, r->out[0]) != EL_BOOL || rule_fault(r, "numbers expected: %s", rule_text(r, r->out[0]));
}

/* ---- by tensors of indices ---- */

static bool index_tensor(TdlRule *r, uint32_t i) {
    if (!rule_tensor(r, i)) return false;
    return ty_elem(r->m, rule_in(r, i)) == EL_I64 || rule_fault(r, "indices must be i64: %s", rule_text(r, rule_in(r, i)));
}

bool rule_gather(TdlRule *r) {
    uint32_t axis;
    if (!rule_results(r, 1) || !rule_tensor(r, 0) || !index_tensor(r, 1)) return false;
    TdlType x = rule_in(r, 0), idx = rule_in(r, 1);
    if (ty_rank(r->m, x) != ty_rank(r->m, idx))
        return rule_fault(r, "the ranks differ: %s and %s", rule_text(r, x), rule_text(r, idx));
    r->out[0] = ty_with_elem(r->m, idx, ty_elem(r->m, x));
    return one_axis(r, ty_rank(r->m, x), &axis);
}

bool rule_take(TdlRule *r) {
    uint32_t axis;
    if (!rule_results(r, 1) || !rule_tensor(r, 0) || !index_tensor(r, 1)) return false;
    TdlType x = rule_in(r, 0), idx = rule_in(r, 1);
    uint32_t rank = ty_rank(r->m, x), n = ty_rank(r->m, idx), k = 0;
    if (!one_axis(r, rank, &axis)) return false;
    TdlDim *dims = ARENA_ARRAY(r->m->arena, TdlDim, rank + n);
    for (uint32_t i = 0; i < axis; i++) dims[k++] = ty_dims(r->m, x)[i];
    for (uint32_t i = 0; i < n; i++) dims[k++] = ty_dims(r->m, idx)[i];
    for (uint32_t i = axis + 1; i < rank; i++) dims[k++] = ty_dims(r->m, x)[i];
    r->out[0] = ty_tensor(r->m, ty_elem(r->m, x), dims, k);
    return true;
}

bool rule_scatter(TdlRule *r) {
    uint32_t axis;
    if (!rule_results(r, 1) || !rule_tensor(r, 0) || !index_tensor(r, 1) || !rule_tensor(r, 2)) return false;
    TdlType x = rule_in(r, 0), idx = rule_in(r, 1);
    if (ty_rank(r->m, x) != ty_rank(r->m, idx))
        return rule_fault(r, "the ranks differ: %s and %s", rule_text(r, x), rule_text(r, idx));
    r->out[0] = x;
    return one_axis(r, ty_rank(r->m, x), &axis) &&
           rule_is(r, rule_in(r, 2), ty_with_elem(r->m, idx, ty_elem(r->m, x)), "the value");
}

bool rule_cumsum(TdlRule *r) {
    uint32_t axis;
    return rule_number(r) && one_axis(r, ty_rank(r->m, rule_in(r, 0)), &axis);
}

bool rule_sort(TdlRule *r) {
    uint32_t axis;
    if (!rule_results(r, 2) || !rule_tensor(r, 0)) return false;
    r->out[0] = rule_in(r, 0);
    r->out[1] = ty_with_elem(r->m, r->out[0], EL_I64);
    return one_axis(r, ty_rank(r->m, r->out[0]), &axis);
}

/* ---- contraction ---- */

static bool in_list(const TdlAttr *a, uint32_t axis) {
    for (uint32_t i = 0; i < a->n; i++)
        if (a->ints[i] == (int64_t)axis) return true;
    return false;
}

/* Axes a[i] of the first operand and b[i] of the second have equal dimensions. */
static bool pairs_fit(TdlRule *r, const TdlAttr *a, const TdlAttr *b, const char *what) {
    TdlType x = rule_in(r, 0), y = rule_in(r, 1);
    if (a->n != b->n) return rule_fault(r, "%u and %u %s axes", a->n, b->n, what);
    for (uint32_t i = 0; i < a->n; i++)
        if (!dim_eq(ty_dims(r->m, x)[a->ints[i]], ty_dims(r->m, y)[b->ints[i]]))
            return rule_fault(r, "%s dimensions differ: %s and %s", what, rule_text(r, x), rule_text(r, y));
    return true;
}

bool rule_dot(TdlRule *r) {
    if (!rule_results(r, 1) || !rule_tensor(r, 0) || !rule_tensor(r, 1)) return false;
    TdlType x = rule_in(r, 0), y = rule_in(r, 1);
    uint32_t nx = ty_rank(r->m, x), ny = ty_rank(r->m, y), k = 0;
    const TdlAttr *ba, *bb, *ca, *cb;
    if (!same_elem(r, x, y) || !axis_list(r, "batch_a", nx, false, &ba) || !axis_list(r, "batch_b", ny, false, &bb) ||
        !axis_list(r, "contract_a", nx, false, &ca) || !axis_list(r, "contract_b", ny, false, &cb) ||
        !pairs_fit(r, ba, bb, "batch") || !pairs_fit(r, ca, cb, "contracted"))
        return false;
    if (ty_elem(r->m, x) == EL_BOOL) return rule_fault(r, "numbers expected: %s", rule_text(r, x));
    TdlDim *dims = ARENA_ARRAY(r->m->arena, TdlDim, nx + ny);
    for (uint32_t i = 0; i < ba->n; i++) dims[k++] = ty_dims(r->m, x)[ba->ints[i]];
    for (uint32_t i = 0; i < nx; i++) {
        if (in_list(ba, i) && in_list(ca, i)) return rule_fault(r, "axis %u is batch and contracted", i);
        if (!in_list(ba, i) && !in_list(ca, i)) dims[k++] = ty_dims(r->m, x)[i];
    }
    for (uint32_t i = 0; i < ny; i++) {
        if (in_list(bb, i) && in_list(cb, i)) return rule_fault(r, "axis %u is batch and contracted", i);
        if (!in_list(bb, i) && !in_list(cb, i)) dims[k++] = ty_dims(r->m, y)[i];
    }
    r->out[0] = ty_tensor(r->m, ty_elem(r->m, x), dims, k);
    return true;
}

/* ---- reductions ---- */

static bool drop_axes(TdlRule *r, TdlElem e) {
    if (!rule_results(r, 1) || !rule_tensor(r, 0)) return false;
    TdlType x = rule_in(r, 0);
    uint32_t rank = ty_rank(r->m, x), k = 0;
    const TdlAttr *axes;
    if (!axis_list(r, "axes", rank, false, &axes)) return false;
    TdlDim *dims = ARENA_ARRAY(r->m->arena, TdlDim, rank);
    for (uint32_t i = 0; i < rank; i++)
        if (!in_list(axes, i)) dims[k++] = ty_dims(r->m, x)[i];
    r->out[0] = ty_tensor(r->m, e, dims, k);
    return true;
}

static bool numbers(TdlRule *r) {
    if (!rule_tensor(r, 0)) return false;
    TdlType x = rule_in(r, 0);
    return ty_elem(r->m, x) != EL_BOOL || rule_fault(r, "numbers expected: %s", rule_text(r, x));
}

bool rule_reduced(TdlRule *r) { return numbers(r) && drop_axes(r, ty_elem(r->m, rule_in(r, 0))); }

bool rule_reduced_bool(TdlRule *r) {
    if (!rule_tensor(r, 0)) return false;
    TdlType x = rule_in(r, 0);
    if (ty_elem(r->m, x) != EL_BOOL) return rule_fault(r, "bool expected: %s", rule_text(r, x));
    return drop_axes(r, EL_BOOL);
}

bool rule_reduced_i64(TdlRule *r) {
    if (!numbers(r) || !drop_axes(r, EL_I64)) return false;
    return ints(r, "axes")->n == 1 || rule_fault(r, "one axis expected");
}

/* ---- elements ---- */

bool rule_index(TdlRule *r) {
    if (!rule_results(r, 1) || !rule_tensor(r, 0)) return false;
    TdlType x = rule_in(r, 0);
    if (!rule_indices(r, 1, ty_rank(r->m, x))) return false;
    r->out[0] = ty_drop(r->m, x, r->d->noperands - 1u);
    return true;
}

bool rule_update(TdlRule *r) {
    if (!rule_results(r, 1) || !rule_tensor(r, 0) || !rule_tensor(r, 1)) return false;
    TdlType x = r->out[0] = rule_in(r, 0);
    if (!rule_indices(r, 2, ty_rank(r->m, x))) return false;
    return rule_is(r, rule_in(r, 1), ty_drop(r->m, x, r->d->noperands - 2u), "the value");
}

bool rule_accadd(TdlRule *r) {
    TdlType acc = rule_in(r, 0);
    if (!rule_results(r, 0)) return false;
    if (ty_kind(r->m, acc) != TY_ACC) return rule_fault(r, "operand 0 is not an accumulator: %s", rule_text(r, acc));
    TdlType x = ty_tensor_of(r->m, acc);
    if (!rule_indices(r, 2, ty_rank(r->m, x))) return false;
    return rule_is(r, rule_in(r, 1), ty_drop(r->m, x, r->d->noperands - 2u), "the value");
}
