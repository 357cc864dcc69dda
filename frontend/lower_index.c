/* x[i, :, 1:3, None, ...] as index, slice, take and reshape; a[...] = v as update, upslice and scatter_add. */
#include "frontend/lower_index.h"

/* A literal negative index counts from the end: n + i. */
static LowValue from_end(Low *L, LowValue v, TdlDim n)
{
    int64_t c;
    return lv_int_const(L, v, &c) && c < 0 ? lv_dim(dim_add(L->m, n, v.d)) : v;
}

static bool in_range(Low *L, LowValue v, TdlDim n, TdlSpan at, bool closed)
{
    int64_t c, m = 0;
    if (!lv_int_const(L, v, &c)) return true;
    bool known = dim_is_const(L->m, n, &m);
    if (c >= 0 && (!known || c < m + closed)) return true;
    low_error(L, at, "index: %lld is out of range for a dimension of %s", (long long)(c < 0 && known ? c - m : c), dim_text(L, n));
    return false;
}

static bool slice_item(Low *L, const AstExpr *e, TdlDim n, LowItem *it)
{
    it->kind = IT_SLICE;
    it->step = 1;
    it->full = !e->a && !e->b && !e->c;
    LowValue lo = e->a ? low_expr(L, e->a) : lv_int(L, 0), hi = e->b ? low_expr(L, e->b) : lv_dim(n);
    if (lo.kind == LV_NONE) lo = lv_int(L, 0);
    if (hi.kind == LV_NONE) hi = lv_dim(n);
    if (lv_is_err(lo) || lv_is_err(hi)) return false;
    if (e->c) {
        LowValue st = low_expr(L, e->c);
        if (!lv_int_const(L, st, &it->step) || it->step < 1) {
            low_error(L, e->c->span, "slice: the step is a positive integer literal; flip(x, ...) reverses");
            return false;
        }
    }
    lo = from_end(L, lo, n);
    hi = from_end(L, hi, n);
    if (!in_range(L, lo, n, e->span, true) || !in_range(L, hi, n, e->span, true)) return false;
    LowValue len = low_binary(L, AST_OP_SUB, hi, lo, e->span);
    if (it->step != 1) {
        len = low_binary(L, AST_OP_ADD, len, lv_int(L, it->step - 1), e->span);
        len = low_binary(L, AST_OP_FLOORDIV, len, lv_int(L, it->step), e->span);
    }
    if (!low_as_dim(L, len, e->span, "slice", &it->size)) return false;
    int64_t c;
    if (dim_is_const(L->m, it->size, &c) && c < 0) {
        low_error(L, e->span, "slice: it ends before it begins");
        return false;
    }
    low_check_nonneg(L, it->size, "a slice ends before it begins");
    it->i = low_i64(L, lo, e->span, "slice");
    return it->i.id != 0;
}

static bool value_item(Low *L, const AstExpr *e, TdlDim n, LowItem *it)
{
    LowValue v = low_expr(L, e);
    if (lv_is_err(v)) return false;
    if (v.kind == LV_TENSOR && lv_rank(L, v) && el_is_int(lv_elem(L, v))) {
        it->kind = IT_TENSOR;
        it->t = lv_tensor(low_mat(L, v, EL_I64));
        return true;
    }
    if (lv_is_num(v) && lv_elem(L, v) == EL_BOOL) {
        low_error(L, e->span, "index: a bool selects nothing of a known size: use where(...), or a filtered reduction");
        return false;
    }
    v = from_end(L, v, n);
    if (v.kind == LV_FLOAT || (lv_is_num(v) && el_is_float(lv_elem(L, v)))) {
        low_error(L, e->span, "index: expected an integer, not %s; integers are divided by `//`", lv_text(L, v));
        if (e->kind == AST_BINARY && e->op == AST_OP_DIV)
            diag_fixit(L->diags, (TdlSpan){e->span.file, e->span.at, e->span.at + 1, e->span.at}, "//");
        return false;
    }
    if (!in_range(L, v, n, e->span, false)) return false;
    it->kind = IT_INT;
    it->i = low_i64(L, v, e->span, "index");
    return it->i.id != 0;
}

static bool collect(Low *L, LowValue x, const AstExpr *e, LowItems *out)
{
    uint32_t rank = lv_rank(L, x), used = 0, axis = 0;
    bool ell = false;
    const TdlDim *dims = lv_dims(L, x);
    for (uint32_t i = 0; i < e->items.n; i++) {
        AstExprKind k = e->items.p[i]->kind;
        used += k != AST_ELLIPSIS && k != AST_NONE;
        if (k == AST_ELLIPSIS && ell) { low_error(L, e->items.p[i]->span, "index: `...` stands once"); return false; }
        ell |= k == AST_ELLIPSIS;
    }
    if (used > rank || e->items.n > LOW_MAX_RANK + 2) {
        low_error(L, e->span, "index: %u indices for %s", used, lv_text(L, x));
        return false;
    }
    for (uint32_t i = 0; i <= e->items.n; i++) {
        bool end = i == e->items.n;
        if (end || e->items.p[i]->kind == AST_ELLIPSIS) { /* whole axes: of `...`, or behind the last item */
            for (uint32_t k = end && ell ? rank : used; k < rank && axis < rank; k++, axis++)
                out->p[out->n++] = (LowItem){.kind = IT_SLICE, .full = true, .step = 1, .size = dims[axis], .at = e->span};
            continue;
        }
        LowItem it = {.at = e->items.p[i]->span, .step = 1};
        if (e->items.p[i]->kind == AST_NONE) it.kind = IT_NEW;
        else if (e->items.p[i]->kind == AST_SLICE ? !slice_item(L, e->items.p[i], dims[axis++], &it)
                                                  : !value_item(L, e->items.p[i], dims[axis++], &it)) return false;
        out->p[out->n++] = it;
    }
    for (uint32_t i = 0; i < out->n; i++) {
        out->ints += out->p[i].kind == IT_INT;
        out->slices += out->p[i].kind == IT_SLICE && !out->p[i].full;
        out->news += out->p[i].kind == IT_NEW;
        out->tensors += out->p[i].kind == IT_TENSOR;
    }
    return true;
}

/* slice op over all axes; starts of whole axes are 0. */
static TdlVal emit_slice(Low *L, TdlVal x, const TdlVal *starts, const int64_t *steps, const TdlDim *sizes, uint32_t r)
{
    TdlVal ops[LOW_MAX_RANK + 1] = {x};
    for (uint32_t i = 0; i < r; i++) ops[i + 1] = starts[i];
    low_named(L, "SliceBackward0");
    TdlVal v = low_emit(L, OP_SLICE, ops, r + 1, ty_tensor(L->m, ty_elem(L->m, ir_type(L->b.f, x)), sizes, r));
    op_set_ints(L->b.f, low_def(L, v), "steps", steps, r);
    return v;
}

static TdlVal named_reshape(Low *L, TdlVal v, const TdlDim *dims, uint32_t n, const char *name)
{
    TdlVal r = low_reshape(L, v, dims, n);
    if (r.id != v.id) low_tag(L, r, name);
    return r;
}

static TdlVal take_axis(Low *L, TdlVal x, TdlVal idx, uint32_t axis)
{
    TdlVal ops[2] = {x, idx};
    TdlType xt = ir_type(L->b.f, x), it = ir_type(L->b.f, idx);
    TdlDim d[2 * LOW_MAX_RANK];
    uint32_t n = 0;
    for (uint32_t i = 0; i < axis; i++) d[n++] = ty_dims(L->m, xt)[i];
    for (uint32_t i = 0; i < ty_rank(L->m, it); i++) d[n++] = ty_dims(L->m, it)[i];
    for (uint32_t i = axis + 1; i < ty_rank(L->m, xt); i++) d[n++] = ty_dims(L->m, xt)[i];
    low_named(L, "IndexBackward0");
    TdlVal v = low_emit(L, OP_TAKE, ops, 2, ty_tensor(L->m, ty_elem(L->m, xt), d, n));
    op_set_int(L->b.f, low_def(L, v), "axis", axis);
    return v;
}

static LowValue select_items(Low *L, LowValue x, const LowItems *it, TdlSpan at)
{
    if (it->tensors > 1 || (it->tensors && it->ints)) return low_gather(L, x, it, at);
    TdlVal v = x.v, lead[LOW_MAX_RANK], starts[LOW_MAX_RANK];
    uint32_t nlead = 0, first = 0, r = 0;
    while (first < it->n && it->p[first].kind == IT_INT) lead[nlead++] = it->p[first++].i;
    if (nlead) {
        TdlVal ops[LOW_MAX_RANK + 1] = {v};
        for (uint32_t i = 0; i < nlead; i++) ops[i + 1] = lead[i];
        low_named(L, "SelectBackward0");
        v = low_emit(L, OP_INDEX, ops, nlead + 1, ty_drop(L->m, ir_type(L->b.f, v), nlead));
    }
    int64_t steps[LOW_MAX_RANK];
    TdlDim sizes[LOW_MAX_RANK], one = dim_const(L->m, 1);
    bool slice = it->slices || it->ints > nlead;
    const TdlDim *dims = ty_dims(L->m, ir_type(L->b.f, v));
    for (uint32_t i = first; i < it->n; i++) {
        const LowItem *p = &it->p[i];
        if (p->kind == IT_NEW) continue;
        steps[r] = p->kind == IT_SLICE ? p->step : 1;
        sizes[r] = p->kind == IT_INT ? one : p->kind == IT_SLICE && !p->full ? p->size : dims[r];
        starts[r] = p->i.id && slice ? p->i : slice ? ir_const_int(&L->b, EL_I64, 0) : (TdlVal){0};
        r++;
    }
    if (slice) v = emit_slice(L, v, starts, steps, sizes, r);
    uint32_t axis = 0;
    TdlDim out[2 * LOW_MAX_RANK];
    uint32_t n = 0, k = 0;
    TdlVal idx = {0};
    for (uint32_t i = first; i < it->n; i++) { /* drop the integers, add the new axes, note where the tensor goes */
        const LowItem *p = &it->p[i];
        if (p->kind == IT_NEW) { out[n++] = one; continue; }
        if (p->kind == IT_TENSOR) { axis = n; idx = p->t.v; }
        if (p->kind != IT_INT) out[n++] = sizes[k];
        k++;
    }
    if (n > LOW_MAX_RANK) return low_error(L, at, "index: more than %d dimensions", LOW_MAX_RANK);
    if (it->news || it->ints > nlead) v = named_reshape(L, v, out, n, it->ints > nlead ? "SelectBackward0" : "UnsqueezeBackward0");
    if (idx.id) v = take_axis(L, v, idx, axis);
    return lv_tensor(v);
}

/* A bound of a slice of a tuple of n, clamped as Python does; false where it is not known when compiling. */
static bool tuple_bound(Low *L, const AstExpr *e, int64_t deflt, int64_t n, int64_t *out)
{
    *out = deflt;
    if (!e) return true;
    if (!lv_int_const(L, low_expr(L, e), out)) return false;
    if (*out < 0) *out += n;
    *out = *out < 0 ? 0 : *out > n ? n : *out;
    return true;
}

/* t[i], t[a:b]. */
static LowValue tuple_item(Low *L, LowValue x, const AstExpr *e)
{
    int64_t i = 0, hi = 0, n = x.n;
    const AstExpr *at = e->items.n == 1 ? e->items.p[0] : NULL;
    if (at && at->kind == AST_SLICE && !at->c && tuple_bound(L, at->a, 0, n, &i) && tuple_bound(L, at->b, n, n, &hi))
        return lv_tuple(L, x.elems + (i < hi ? i : hi), (uint32_t)(i < hi ? hi - i : 0));
    LowValue v = at && at->kind != AST_SLICE ? low_expr(L, at) : LOW_ERR;
    if (!lv_int_const(L, v, &i) || i < -n || i >= n)
        return low_error(L, e->span, "a tuple of %u takes integer literals as index, or as bounds a:b of a slice", x.n);
    return x.elems[i < 0 ? i + n : i];
}

LowValue low_index_value(Low *L, LowValue x, const AstExpr *e)
{
    if (lv_is_err(x)) return x;
    if (x.kind == LV_TUPLE) return tuple_item(L, x, e);
    if (x.kind != LV_TENSOR) return low_error(L, e->span, "%s cannot be indexed", lv_text(L, x));
    LowItems *it = ARENA_NEW(L->arena, LowItems);
    if (!collect(L, x, e, it)) return LOW_ERR;
    x.weak = false;
    LowValue r = select_items(L, x, it, e->span);
    return r;
}

LowValue low_index(Low *L, const AstExpr *e) { return low_index_value(L, low_expr(L, e->a), e); }

/* ---- element update ---- */

static LowValue as_elem(Low *L, TdlElem e, LowValue v, TdlSpan at)
{
    if (!lv_is_num(v)) return low_error(L, at, "element update: needs a number or a tensor, not %s", lv_text(L, v));
    if (lv_elem(L, v) == e) return lv_tensor(low_mat(L, v, e));
    bool fits = lv_is_weak(v) && (el_is_float(e) || (el_is_int(e) && el_is_int(lv_elem(L, v))));
    if (!fits) return low_error(L, at, "element update: %s into a tensor of %s; %s(...) converts", lv_text(L, v), el_name(e), el_name(e));
    return lv_tensor(low_mat(L, v, e));
}

LowValue low_fit(Low *L, LowValue v, TdlElem e, const TdlDim *dims, uint32_t n, TdlSpan at)
{
    v = as_elem(L, e, v, at);
    if (lv_is_err(v)) return v;
    TdlDim out[LOW_MAX_RANK];
    uint32_t r;
    bool ok = low_bshape(L, lv_dims(L, v), lv_rank(L, v), dims, n, out, &r) && r == n;
    for (uint32_t i = 0; ok && i < n; i++) ok = dim_eq(out[i], dims[i]);
    if (!ok) return low_error(L, at, "element update: %s into a place of shape %s", lv_text(L, v), ty_text(L, ty_tensor(L->m, lv_elem(L, v), dims, n)));
    return lv_tensor(low_bcast(L, v.v, dims, n));
}

/* a[idx] += v with one integer vector and whole axes: duplicates accumulate. The index spreads over the other axes. */
static LowValue scatter(Low *L, LowValue x, const LowItems *it, LowValue v, bool subtract, TdlSpan at)
{
    uint32_t axis = 0, r = lv_rank(L, x);
    while (it->p[axis].kind != IT_TENSOR) axis++;
    if (subtract) v = low_unary(L, AST_OP_NEG, v, at);
    TdlDim dims[LOW_MAX_RANK];
    for (uint32_t i = 0; i < r; i++) dims[i] = i == axis ? lv_dims(L, it->p[axis].t)[0] : lv_dims(L, x)[i];
    v = low_fit(L, v, lv_elem(L, x), dims, r, at);
    if (lv_is_err(v)) return v;
    int64_t ax = axis;
    TdlVal idx = ir_broadcast(&L->b, it->p[axis].t.v, ty_tensor(L->m, EL_I64, dims, r), &ax);
    TdlVal ops[3] = {x.v, idx, v.v};
    low_named(L, "IndexPutBackward0");
    TdlVal out = low_emit(L, OP_SCATTERADD, ops, 3, lv_type(L, x));
    op_set_int(L->b.f, low_def(L, out), "axis", axis);
    return lv_tensor(out);
}

/* v into a sub-tensor at leading indices. */
static LowValue set_element(Low *L, LowValue x, const LowItems *it, LowValue v, TdlSpan at)
{
    uint32_t r = lv_rank(L, x), n = it->ints;
    LowValue w = low_fit(L, v, lv_elem(L, x), lv_dims(L, x) + n, r - n, at);
    if (lv_is_err(w) || !n) return w;
    TdlVal ops[LOW_MAX_RANK + 2] = {x.v, w.v};
    for (uint32_t i = 0; i < n; i++) ops[i + 2] = it->p[i].i;
    low_named(L, "CopySlices");
    return lv_tensor(low_emit(L, OP_UPDATE, ops, n + 2, lv_type(L, x)));
}

static LowValue set_slice(Low *L, LowValue x, const LowItems *it, LowValue v, TdlSpan at)
{
    uint32_t r = lv_rank(L, x), n = 0;
    TdlVal ops[LOW_MAX_RANK + 2] = {x.v};
    TdlDim place[LOW_MAX_RANK], full[LOW_MAX_RANK];
    int64_t steps[LOW_MAX_RANK];
    for (uint32_t i = 0; i < r; i++) {
        const LowItem *p = &it->p[i];
        full[i] = p->kind == IT_INT ? dim_const(L->m, 1) : p->full ? lv_dims(L, x)[i] : p->size;
        if (p->kind != IT_INT) place[n++] = full[i];
        steps[i] = p->step;
        ops[i + 2] = p->i.id ? p->i : ir_const_int(&L->b, EL_I64, 0);
    }
    LowValue w = low_fit(L, v, lv_elem(L, x), place, n, at);
    if (lv_is_err(w)) return w;
    ops[1] = low_reshape(L, w.v, full, r);
    low_named(L, "CopySlices");
    TdlVal out = low_emit(L, OP_UPSLICE, ops, r + 2, lv_type(L, x));
    op_set_ints(L->b.f, low_def(L, out), "steps", steps, r);
    return lv_tensor(out);
}

LowValue low_set_items(Low *L, LowValue x, const LowItems *it, LowValue v, bool has_op, AstOp op, TdlSpan at)
{
    uint32_t nlead = 0;
    if (has_op) v = low_binary(L, op, select_items(L, x, it, at), v, at);
    if (lv_is_err(v)) return v;
    while (nlead < it->n && it->p[nlead].kind == IT_INT) nlead++;
    return !it->slices && it->ints == nlead ? set_element(L, x, it, v, at) : set_slice(L, x, it, v, at);
}

LowValue low_index_set(Low *L, LowValue x, const AstExpr *e, LowValue v, bool has_op, AstOp op, TdlSpan at)
{
    if (x.kind != LV_TENSOR) return low_error(L, e->span, "%s has no elements to assign to", lv_text(L, x));
    LowItems *it = ARENA_NEW(L->arena, LowItems);
    if (!collect(L, x, e, it)) return LOW_ERR;
    if (it->news) return low_error(L, e->span, "element update: None has no place here");
    if (!it->tensors) return low_set_items(L, x, it, v, has_op, op, at);
    bool vector = it->tensors == 1 && !it->ints && !it->slices;
    for (uint32_t i = 0; i < it->n; i++) vector &= it->p[i].kind != IT_TENSOR || lv_rank(L, it->p[i].t) == 1;
    bool sum = has_op && (op == AST_OP_ADD || op == AST_OP_SUB);
    return vector && sum ? scatter(L, x, it, v, op == AST_OP_SUB, at) : low_put(L, x, it, v, has_op, op, at);
}
