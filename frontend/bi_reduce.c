/* Reductions of whole tensors, in the forms f(x), f(x, dim), f(x, dim=(0, 1), keepdim=true). */
#include "frontend/bi.h"

#include <math.h>
#include <string.h>

TdlType bi_reduced_type(Low *L, TdlType x, TdlElem e, const int64_t *axes, uint32_t n, bool keep) {
    TdlDim dims[LOW_MAX_RANK];
    uint32_t rank = 0, k = 0;
    for (uint32_t i = 0; i < ty_rank(L->m, x); i++) {
        bool gone = k < n && axes[k] == (int64_t)i;
        k += gone;
        if (!gone) dims[rank++] = ty_dims(L->m, x)[i];
        else if (keep) dims[rank++] = dim_const(L->m, 1);
    }
    return ty_tensor(L->m, e, dims, rank);
}

typedef enum { PLAIN, FIRST_TIE, MAY_BE_EMPTY } Form;

/* One reduction over sorted axes; rank 0 has nothing to reduce. */
static TdlVal reduced(LowCall *c, TdlOpcode op, TdlVal x, const int64_t *axes, uint32_t n, bool keep, Form form) {
    Low *L = c->L;
    TdlType t = ir_type(L->b.f, x);
    TdlElem e = op == OP_ARGMAX || op == OP_ARGMIN ? EL_I64 : ty_elem(L->m, t);
    if (n == 0) return x;
    TdlVal r = low_emit(L, op, &x, 1, bi_reduced_type(L, t, e, axes, n, false));
    op_set_ints(L->b.f, low_def(L, r), "axes", axes, n);
    if (form == FIRST_TIE) op_set_str(L->b.f, low_def(L, r), "ties", "first", 5);
    if (form == MAY_BE_EMPTY) op_set_int(L->b.f, low_def(L, r), "empty", 1);
    TdlType kept = bi_reduced_type(L, t, e, axes, n, keep);
    return low_reshape(L, r, ty_dims(L->m, kept), ty_rank(L->m, kept));
}

/* The operand as PyTorch reduces it: sums of bool and i32 are i64, any and all are of bools. */
static bool operand(LowCall *c) {
    Low *L = c->L;
    if (!bi_tensor(c, 0)) return false;
    TdlElem e = lv_elem(L, c->a[0]);
    bool logic = c->bi->op == OP_ANY || c->bi->op == OP_ALL, adds = c->bi->op == OP_SUM || c->bi->op == OP_PROD;
    if (logic && e != EL_BOOL) {
        c->a[0] = low_elementwise(L, OP_NE, (LowValue[]){c->a[0], lv_int(L, 0)}, 2, e, c->bi->name, NULL, c->at);
    } else if (adds && !el_is_float(e)) {
        c->a[0] = lv_tensor(low_mat(L, c->a[0], EL_I64));
    } else if (!logic && e == EL_BOOL) {
        bi_err(c, "needs numbers, not bools");
        return false;
    }
    return !lv_is_err(c->a[0]);
}

LowValue bi_reduce(LowCall *c) {
    int64_t axes[LOW_MAX_RANK];
    uint32_t n;
    bool keep;
    if (!operand(c) || !bi_axes(c, 1, lv_rank(c->L, c->a[0]), axes, &n) || !bi_bool(c, 2, false, &keep)) return LOW_ERR;
    TdlVal r = reduced(c, (TdlOpcode)c->bi->op, c->a[0].v, axes, n, keep, c->given[3] ? MAY_BE_EMPTY : PLAIN);
    return bi_named(c, r, c->a[0].v, c->given[1] ? c->bi->grad_fn2 : c->bi->grad_fn);
}

/* amax and amin: with `initial` of nothing that, as NumPy has it. */
LowValue bi_amax(LowCall *c) {
    Low *L = c->L;
    LowValue initial = c->a[3];
    bool largest = c->bi->op == OP_AMAX;
    if (c->given[3] && bi_tensor(c, 0) && !el_is_float(lv_elem(L, c->a[0])))
        return bi_err(c, "initial= is for floats, not %s", lv_text(L, c->a[0]));
    LowValue r = bi_reduce(c);
    if (!c->given[3] || lv_is_err(r)) return r;
    if (initial.kind == LV_FLOAT && initial.f == (double)(largest ? -INFINITY : INFINITY)) return r;
    LowArgs args = {0};
    VEC_PUSH(L->arena, args, ((LowArg){.v = r, .ready = true, .span = c->at}));
    VEC_PUSH(L->arena, args, ((LowArg){.v = initial, .ready = true, .span = c->span[3]}));
    return low_builtin_apply(L, low_find_builtin(largest ? "maximum" : "minimum"), &args, c->at);
}

LowValue bi_mean(LowCall *c) {
    Low *L = c->L;
    int64_t axes[LOW_MAX_RANK];
    uint32_t n;
    bool keep;
    if (!bi_float(c, 0) || !bi_axes(c, 1, lv_rank(L, c->a[0]), axes, &n) || !bi_bool(c, 2, false, &keep)) return LOW_ERR;
    TdlDim count = dim_const(L->m, 1);
    for (uint32_t i = 0; i < n; i++) count = dim_mul(L->m, count, lv_dims(L, c->a[0])[axes[i]]);
    LowValue sum = lv_tensor(reduced(c, OP_SUM, c->a[0].v, axes, n, keep, PLAIN));
    const char *name = c->given[1] ? c->bi->grad_fn2 : c->bi->grad_fn;
    return low_elementwise(L, OP_DIV, (LowValue[]){sum, lv_dim(count)}, 2, lv_elem(L, sum), c->bi->name, name, c->at);
}

/* argmax(x) counts in row-major order over the whole tensor. */
static LowValue arg_reduced(LowCall *c, TdlOpcode op) {
    Low *L = c->L;
    uint32_t rank = lv_rank(L, c->a[0]), axis = 0;
    bool keep;
    if (!bi_bool(c, 2, false, &keep) || (c->given[1] && !bi_axis(c, 1, rank, &axis))) return LOW_ERR;
    TdlVal x = c->a[0].v;
    int64_t a = axis;
    if (c->given[1]) return lv_tensor(reduced(c, op, x, &a, 1, keep, PLAIN));
    TdlDim all = ty_numel(L->m, ir_type(L->b.f, x)), ones[LOW_MAX_RANK];
    for (uint32_t i = 0; i < rank; i++) ones[i] = dim_const(L->m, 1);
    x = reduced(c, op, low_reshape(L, x, &all, 1), &a, 1, false, PLAIN);
    return lv_tensor(keep ? low_reshape(L, x, ones, rank) : x);
}

LowValue bi_argmax(LowCall *c) { return operand(c) ? arg_reduced(c, (TdlOpcode)c->bi->op) : LOW_ERR; }

/* max(x): the largest; max(x, y): element by element; max(x, dim=1): (values, indices), where the cotangent of a value
 * goes to the element that its index names. */
LowValue bi_max(LowCall *c) {
    Low *L = c->L;
    TdlOpcode op = (TdlOpcode)c->bi->op;
    int64_t k;
    bool less;
    if (c->given[1] && c->a[0].kind == LV_INT && c->a[1].kind == LV_INT && low_dims_ordered(L, c->a[0].d, c->a[1].d, &less))
        return c->a[less == (op == OP_AMAX)];
    bool axis_form = c->named[1] || (c->given[1] && lv_int_const(L, c->a[1], &k) && lv_rank(L, c->a[0]) > 0);
    if (c->given[1] && lv_is_num(c->a[1]) && !axis_form) {
        LowCall d = *c;
        d.bi = low_find_builtin(op == OP_AMAX ? "maximum" : "minimum");
        return d.bi->fn(&d);
    }
    uint32_t axis;
    bool keep;
    if (!operand(c)) return LOW_ERR;
    if (!c->given[1]) return bi_reduce(c);
    if (!bi_axis(c, 1, lv_rank(L, c->a[0]), &axis) || !bi_bool(c, 2, false, &keep)) return LOW_ERR;
    int64_t a = axis;
    LowValue pair[2];
    pair[0] = bi_named(c, reduced(c, op, c->a[0].v, &a, 1, keep, FIRST_TIE), c->a[0].v, c->bi->grad_fn2);
    pair[1] = lv_tensor(reduced(c, op == OP_AMAX ? OP_ARGMAX : OP_ARGMIN, c->a[0].v, &a, 1, keep, PLAIN));
    return lv_tuple(L, pair, 2);
}

LowValue bi_reduce_named(Low *L, const char *name, LowValue x, TdlSpan at) {
    LowCall c = {.L = L, .bi = low_find_builtin(name), .at = at};
    c.a[0] = x;
    for (int i = 0; i < 8; i++) c.span[i] = at;
    for (int i = 1; i < 8; i++) c.a[i] = (LowValue){.kind = LV_NONE};
    c.given[0] = true;
    LowValue r = c.bi->fn(&c);
    low_unname(L);
    return r;
}
