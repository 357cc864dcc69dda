/* Index tensors: x[u, :, v, 0] as a map over the result, a[u, v] = y as a loop over the positions.
 *
 * As in PyTorch: integers drop their axes first; the index tensors broadcast to one shape, whose axes stand where the
 * tensors do when they are side by side, and else in front. */
#include "frontend/lower_index.h"

/* The axes of the result: those of the common shape of the tensors, and one for each slice or None. */
typedef struct {
    TdlDim common[LOW_MAX_RANK];
    uint32_t rank, front;          /* axes of `common`; axes of the result in front of them */
    TdlDim dims[2 * LOW_MAX_RANK]; /* of the result */
    uint32_t n, tail;              /* its axes; those at the end that are whole axes at the end of x */
} Layout;

static bool common_shape(Low *L, const LowItems *it, Layout *y, TdlSpan at) {
    for (uint32_t i = 0; i < it->n; i++) {
        const LowValue t = it->p[i].t;
        TdlDim next[LOW_MAX_RANK];
        uint32_t r;
        if (it->p[i].kind != IT_TENSOR) continue;
        if (!low_bshape(L, y->common, y->rank, lv_dims(L, t), lv_rank(L, t), next, &r)) {
            low_error(L, at, "index: the index tensors do not fit each other");
            return false;
        }
        y->rank = r;
        for (uint32_t k = 0; k < r; k++) y->common[k] = next[k];
    }
    return true;
}

/* Where the axes of the tensors go: the number of result axes in front of the first tensor, 0 unless all are side by side. */
static uint32_t tensors_at(const LowItems *it) {
    uint32_t before = 0, runs = 0, front = 0;
    bool in_run = false;
    for (uint32_t i = 0; i < it->n; i++) {
        LowItemKind k = it->p[i].kind;
        if (k == IT_INT) continue;
        if (k == IT_TENSOR && !in_run) { runs++; front = before; }
        in_run = k == IT_TENSOR;
        before += k != IT_TENSOR;
    }
    return runs > 1 ? 0 : front;
}

static bool layout(Low *L, LowValue x, const LowItems *it, Layout *y, TdlSpan at) {
    *y = (Layout){0};
    if (!common_shape(L, it, y, at)) return false;
    y->front = tensors_at(it);
    const TdlDim *dims = lv_dims(L, x);
    uint32_t axis = 0, seen = 0;
    for (uint32_t i = 0; i <= it->n; i++) {
        if (seen == y->front && y->n == seen)
            for (uint32_t k = 0; k < y->rank; k++) y->dims[y->n++] = y->common[k];
        if (i == it->n) break;
        const LowItem *p = &it->p[i];
        if (p->kind == IT_SLICE || p->kind == IT_NEW) {
            y->dims[y->n++] = p->kind == IT_NEW ? dim_const(L->m, 1) : p->full ? dims[axis] : p->size;
            seen++;
        }
        y->tail = p->kind == IT_SLICE && p->full ? y->tail + 1 : 0;
        axis += p->kind != IT_NEW;
    }
    if (y->n <= LOW_MAX_RANK) return true;
    low_error(L, at, "index: more than %d dimensions", LOW_MAX_RANK);
    return false;
}

/* The tensors, each broadcast to the common shape; by item. */
static void spread(Low *L, const LowItems *it, const Layout *y, TdlVal *out) {
    for (uint32_t i = 0; i < it->n; i++)
        if (it->p[i].kind == IT_TENSOR) out[i] = low_bcast(L, it->p[i].t.v, y->common, y->rank);
}

static TdlVal mul_add(Low *L, TdlVal i, int64_t step, TdlVal start) {
    if (step != 1) i = ir_binary(&L->b, OP_MUL, i, ir_const_int(&L->b, EL_I64, step));
    return start.id ? ir_binary(&L->b, OP_ADD, start, i) : i;
}

/* The indices of x for result indices iv; of whole axes at the end there are none. */
static uint32_t source_indices(Low *L, const LowItems *it, const Layout *y, const TdlVal *tensors, const TdlVal *iv, TdlVal *out) {
    uint32_t n = 0, seen = 0, keep = it->n - y->tail;
    for (uint32_t i = 0; i < keep; i++) {
        const LowItem *p = &it->p[i];
        uint32_t axis = seen < y->front ? seen : seen + y->rank;
        if (p->kind == IT_INT) out[n++] = p->i;
        if (p->kind == IT_TENSOR) out[n++] = ir_index(&L->b, tensors[i], iv + y->front, y->rank);
        if (p->kind == IT_SLICE) out[n++] = mul_add(L, iv[axis], p->step, p->i);
        seen += p->kind == IT_SLICE || p->kind == IT_NEW;
    }
    return n;
}

LowValue low_gather(Low *L, LowValue x, const LowItems *it, TdlSpan at) {
    Layout y;
    TdlVal tensors[2 * LOW_MAX_RANK + 4], ext[LOW_MAX_RANK], iv[LOW_MAX_RANK], ops[LOW_MAX_RANK + 1];
    if (!layout(L, x, it, &y, at)) return LOW_ERR;
    uint32_t n = y.n - y.tail;
    spread(L, it, &y, tensors);
    for (uint32_t i = 0; i < n; i++) ext[i] = ir_dim(&L->b, y.dims[i]);
    low_unname(L);
    TdlOp op = ir_emit(&L->b, OP_MAP, ext, n, NULL, 0);
    TdlBuilder outer = L->b;
    L->b.region = ir_op(L->b.f, op)->regions[0];
    L->b.before = (TdlOp){0};
    for (uint32_t i = 0; i < n; i++) iv[i] = ir_region_arg(L->b.f, L->b.region, ty_scalar(L->m, EL_I64), SYM_NONE);
    TdlVal v = ir_index(&L->b, x.v, ops, source_indices(L, it, &y, tensors, iv, ops));
    ir_emit(&L->b, OP_YIELD, &v, 1, NULL, 0);
    L->b = outer;
    return low_tag(L, ir_add_result(L->b.f, op, ty_prepend(L->m, ir_type(L->b.f, v), y.dims, n)), "IndexBackward0");
}

/* ---- assignment ---- */

typedef struct { const LowItems *it; const Layout *y; const TdlVal *tensors; TdlVal v; bool has_op; AstOp op; TdlSpan at; } Put;

/* x with the part of v that belongs to position iv of the index tensors. */
static LowValue put_one(Low *L, const Put *p, LowValue x, const TdlVal *iv) {
    LowItems one = *p->it;
    for (uint32_t i = 0; i < one.n; i++) {
        if (one.p[i].kind != IT_TENSOR) continue;
        one.p[i] = (LowItem){.kind = IT_INT, .step = 1, .at = one.p[i].at, .i = ir_index(&L->b, p->tensors[i], iv, p->y->rank)};
        one.ints++;
        one.tensors--;
    }
    LowValue v = lv_tensor(ir_index(&L->b, p->v, iv, p->y->rank));
    return low_set_items(L, x, &one, v, p->has_op, p->op, p->at);
}

/* A `for` an axis of the common shape, from `axis` on: so the last of several in row-major order wins. */
static LowValue put_loop(Low *L, const Put *p, LowValue x, TdlVal *iv, uint32_t axis) {
    if (axis == p->y->rank) return put_one(L, p, x, iv);
    TdlVal ops[3] = {ir_const_int(&L->b, EL_I64, 0), ir_dim(&L->b, p->y->common[axis]), x.v};
    TdlType t = lv_type(L, x);
    low_unname(L);
    TdlOp op = ir_emit(&L->b, OP_FOR, ops, 3, &t, 1);
    TdlBuilder outer = L->b;
    L->b.region = ir_op(L->b.f, op)->regions[0];
    L->b.before = (TdlOp){0};
    iv[axis] = ir_region_arg(L->b.f, L->b.region, ty_scalar(L->m, EL_I64), SYM_NONE);
    LowValue r = put_loop(L, p, lv_tensor(ir_region_arg(L->b.f, L->b.region, t, SYM_NONE)), iv, axis + 1);
    if (!lv_is_err(r)) ir_emit(&L->b, OP_YIELD, &r.v, 1, NULL, 0);
    L->b = outer;
    return lv_is_err(r) ? r : lv_tensor(ir_result(L->b.f, op, 0));
}

LowValue low_put(Low *L, LowValue x, const LowItems *it, LowValue v, bool has_op, AstOp op, TdlSpan at) {
    Layout y;
    TdlVal tensors[2 * LOW_MAX_RANK + 4], iv[LOW_MAX_RANK];
    if (!layout(L, x, it, &y, at)) return LOW_ERR;
    v = low_fit(L, v, lv_elem(L, x), y.dims, y.n, at);
    if (lv_is_err(v)) return v;
    if (y.front) { /* the axes of the tensors first */
        int64_t perm[LOW_MAX_RANK];
        TdlDim dims[LOW_MAX_RANK];
        for (uint32_t i = 0; i < y.n; i++) {
            perm[i] = i < y.rank ? i + y.front : i < y.rank + y.front ? i - y.rank : i;
            dims[i] = y.dims[perm[i]];
        }
        low_unname(L);
        v = lv_tensor(low_emit(L, OP_PERMUTE, &v.v, 1, ty_tensor(L->m, lv_elem(L, v), dims, y.n)));
        op_set_ints(L->b.f, low_def(L, v.v), "perm", perm, y.n);
    }
    spread(L, it, &y, tensors);
    LowValue r = put_loop(L, &(Put){it, &y, tensors, v.v, has_op, op, at}, x, iv, 0);
    return lv_is_err(r) ? r : low_tag(L, r.v, "IndexPutBackward0");
}
