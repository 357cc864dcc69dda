/* Builtins that make tensors. */
#include "frontend/bi.h"

#include <math.h>

LowValue bi_made(LowCall *c, uint32_t i, TdlVal v) {
    bool leaf;
    if (!bi_bool(c, i, false, &leaf)) return LOW_ERR;
    LowValue r = lv_tensor(v);
    if (!leaf) return r;
    if (!el_is_float(lv_elem(c->L, r))) return bi_err(c, "requires_grad needs floats, not %s", lv_text(c->L, r));
    return low_leaf(c->L, r, c->at);
}

/* A tensor of one value. A literal takes the element type asked for; what has a type keeps it. */
static LowValue filled(LowCall *c, const TdlDim *dims, uint32_t rank, LowValue v, uint32_t dtype) {
    Low *L = c->L;
    TdlElem e;
    bool own = !lv_is_weak(v);
    if (!lv_is_num(v) || lv_rank(L, v)) return bi_err(c, "the value is a number, not %s", lv_text(L, v));
    if (!bi_elem(c, dtype, own ? lv_elem(L, v) : L->frame->deflt, &e)) return LOW_ERR;
    TdlVal x = low_bcast(L, low_mat(L, v, e), dims, rank);
    return bi_made(c, dtype + 1, x);
}

LowValue bi_zeros(LowCall *c) {
    TdlDim dims[LOW_MAX_RANK];
    uint32_t rank;
    if (!bi_shape(c, c->a[0], dims, &rank)) return LOW_ERR;
    return filled(c, dims, rank, lv_int(c->L, c->bi->op), 1);
}

LowValue bi_full(LowCall *c) {
    TdlDim dims[LOW_MAX_RANK];
    uint32_t rank;
    if (!bi_shape(c, c->a[0], dims, &rank)) return LOW_ERR;
    return filled(c, dims, rank, c->a[1], 2);
}

static LowValue like(LowCall *c, LowValue v, uint32_t dtype) {
    Low *L = c->L;
    TdlElem e;
    if (!bi_tensor(c, 0)) return LOW_ERR;
    if (!lv_is_num(v) || lv_rank(L, v)) return bi_err(c, "the value is a number, not %s", lv_text(L, v));
    if (!bi_elem(c, dtype, lv_elem(L, c->a[0]), &e)) return LOW_ERR;
    return bi_made(c, dtype + 1, low_bcast(L, low_mat(L, v, e), lv_dims(L, c->a[0]), lv_rank(L, c->a[0])));
}

LowValue bi_like(LowCall *c) { return like(c, lv_int(c->L, c->bi->op), 1); }
LowValue bi_full_like(LowCall *c) { return like(c, c->a[1], 2); }

/* ---- counting ---- */

static TdlVal iota(Low *L, TdlElem e, const TdlDim *dims, uint32_t rank, int64_t axis) {
    TdlVal v = low_emit(L, OP_IOTA, NULL, 0, ty_tensor(L->m, e, dims, rank));
    op_set_int(L->b.f, low_def(L, v), "axis", axis);
    return v;
}

static bool as_literal(const Low *L, LowValue v, double *x) {
    int64_t i;
    if (v.kind == LV_FLOAT) *x = v.f;
    else if (lv_int_const(L, v, &i)) *x = (double)i;
    else return false;
    return true;
}

/* ceil((end - start) / step) for literals that are floats; ceil division of dimensions for integers. */
static bool arange_count(LowCall *c, LowValue start, LowValue end, LowValue step, bool floats, TdlDim *n) {
    Low *L = c->L;
    double a, b, s;
    int64_t k;
    if (floats) {
        if (!as_literal(L, start, &a) || !as_literal(L, end, &b) || !as_literal(L, step, &s)) {
            bi_err(c, "float bounds are literals: linspace(start, end, steps) takes others");
            return false;
        }
        double count = s != 0 ? ceil((b - a) / s) : -1;
        if (!(s != 0) || !(count < 9e15)) {
            bi_err(c, s != 0 ? "too many elements" : "the step is 0");
            return false;
        }
        *n = dim_const(L->m, count > 0 ? (int64_t)count : 0);
        return true;
    }
    if (!lv_int_const(L, step, &k) || k == 0) {
        bi_err(c, "the step is an integer other than 0, known when compiling, not %s", lv_text(L, step));
        return false;
    }
    LowValue span = k > 0 ? low_binary(L, AST_OP_SUB, end, start, c->at) : low_binary(L, AST_OP_SUB, start, end, c->at);
    TdlDim d;
    if (lv_is_err(span) || !low_as_dim(L, span, c->at, c->bi->name, &d)) return false;
    int64_t by = k > 0 ? k : -k, known;
    d = dim_floordiv(L->m, dim_add(L->m, d, dim_const(L->m, by - 1)), by);
    if (dim_is_const(L->m, d, &known) && known < 0) d = dim_const(L->m, 0);
    low_check_nonneg(L, d, "arange: the bounds are in the wrong order");
    *n = d;
    return true;
}

LowValue bi_arange(LowCall *c) {
    Low *L = c->L;
    LowValue start = c->given[1] ? c->a[0] : lv_int(L, 0), end = c->given[1] ? c->a[1] : c->a[0];
    LowValue step = c->given[2] ? c->a[2] : lv_int(L, 1);
    LowValue all[3] = {start, end, step};
    bool floats = false;
    TdlDim n;
    TdlElem e;
    for (int i = 0; i < 3; i++) {
        if (!lv_is_num(all[i]) || lv_rank(L, all[i])) return bi_err(c, "needs numbers, not %s", lv_text(L, all[i]));
        floats |= el_is_float(lv_elem(L, all[i]));
    }
    if (!arange_count(c, start, end, step, floats, &n) || !bi_elem(c, 3, floats ? L->frame->deflt : EL_I64, &e)) return LOW_ERR;
    if (e == EL_BOOL) return bi_err(c, "dtype is a type of numbers");
    LowValue i = lv_tensor(iota(L, e, &n, 1, 0));
    LowValue r = low_elementwise(L, OP_MUL, (LowValue[]){i, step}, 2, e, c->bi->name, NULL, c->at);
    r = low_elementwise(L, OP_ADD, (LowValue[]){r, start}, 2, e, c->bi->name, NULL, c->at);
    return lv_is_err(r) ? r : bi_made(c, 4, r.v);
}

static LowValue op2(LowCall *c, TdlOpcode op, LowValue a, LowValue b, TdlElem e) {
    return low_elementwise(c->L, op, (LowValue[]){a, b}, 2, e, c->bi->name, NULL, c->at);
}

/* The first half counts from the start, the second from the end, as PyTorch does: both ends are exact. */
LowValue bi_linspace(LowCall *c) {
    Low *L = c->L;
    TdlDim n;
    TdlElem e;
    LowValue start = c->a[0], end = c->a[1];
    for (int i = 0; i < 2; i++)
        if (!lv_is_num(c->a[i]) || lv_rank(L, c->a[i])) return bi_err(c, "needs numbers, not %s", lv_text(L, c->a[i]));
    TdlElem own = low_promote(L, start, end);
    bool weak = lv_is_weak(start) && lv_is_weak(end);
    if (!bi_dim(c, c->a[2], c->span[2], &n) || !bi_elem(c, 3, weak || !el_is_float(own) ? L->frame->deflt : own, &e)) return LOW_ERR;
    if (!el_is_float(e)) return bi_err(c, "dtype is a type of floats");
    LowValue i = lv_tensor(iota(L, EL_I64, &n, 1, 0));
    LowValue last = lv_dim(dim_sub(L->m, n, dim_const(L->m, 1)));
    LowValue gaps = lv_tensor(low_emit1(L, OP_MAX, (TdlVal[]){low_mat(L, last, EL_I64), low_mat(L, lv_int(L, 1), EL_I64)}, 2));
    LowValue step = op2(c, OP_DIV, op2(c, OP_SUB, end, start, e), gaps, e);
    LowValue up = op2(c, OP_ADD, start, op2(c, OP_MUL, step, i, e), e);
    LowValue down = op2(c, OP_SUB, end, op2(c, OP_MUL, step, op2(c, OP_SUB, last, i, EL_I64), e), e);
    LowValue first = op2(c, OP_LE, op2(c, OP_MUL, i, lv_int(L, 2), EL_I64), last, EL_I64);
    if (lv_is_err(up) || lv_is_err(down) || lv_is_err(first)) return LOW_ERR;
    LowValue r = low_elementwise(L, OP_SELECT, (LowValue[]){first, up, down}, 3, e, c->bi->name, NULL, c->at);
    return lv_is_err(r) ? r : bi_made(c, 4, r.v);
}

LowValue bi_eye(LowCall *c) {
    Low *L = c->L;
    TdlDim dims[2];
    TdlElem e;
    if (!bi_dim(c, c->a[0], c->span[0], &dims[0])) return LOW_ERR;
    dims[1] = dims[0];
    if (c->given[1] && !bi_dim(c, c->a[1], c->span[1], &dims[1])) return LOW_ERR;
    if (!bi_elem(c, 2, L->frame->deflt, &e)) return LOW_ERR;
    LowValue on = lv_tensor(low_emit1(L, OP_EQ, (TdlVal[]){iota(L, EL_I64, dims, 2, 0), iota(L, EL_I64, dims, 2, 1)}, 2));
    LowValue r = low_elementwise(L, OP_SELECT, (LowValue[]){on, lv_int(L, 1), lv_int(L, 0)}, 3, e, c->bi->name, NULL, c->at);
    return lv_is_err(r) ? r : bi_made(c, 3, r.v);
}

/* ---- random numbers ----
 * Element i (row-major) uses the words `words`*i, `words`*i + 1, ... of the stream that the seed names, so the numbers
 * depend on seed and place alone. Uniform: the upper 53 bits of two words (f64), or 24 of one (f32), over 2^53 (2^24):
 * in [0, 1). Normal: Box and Muller (1958), sqrt(-2 log(1 - u1)) cos(2 pi u2) of two uniform ones. */

typedef struct { LowCall *c; TdlVal seed, at; TdlDim n; uint32_t words; TdlElem e; } Random;

static LowValue word(Random *r, uint32_t k) {
    Low *L = r->c->L;
    LowValue counter = op2(r->c, OP_ADD, op2(r->c, OP_MUL, lv_tensor(r->at), lv_int(L, r->words), EL_I64), lv_int(L, k), EL_I64);
    return lv_tensor(low_emit1(L, OP_PHILOX, (TdlVal[]){low_bcast(L, r->seed, &r->n, 1), counter.v}, 2));
}

static LowValue uniform(Random *r, uint32_t k) {
    Low *L = r->c->L;
    if (r->e != EL_F64)
        return op2(r->c, OP_MUL, op2(r->c, OP_FLOORDIV, word(r, k), lv_int(L, 256), EL_I64), lv_float(0x1p-24), r->e);
    LowValue hi = op2(r->c, OP_FLOORDIV, word(r, 2 * k), lv_int(L, 32), EL_I64);
    LowValue lo = op2(r->c, OP_FLOORDIV, word(r, 2 * k + 1), lv_int(L, 64), EL_I64);
    LowValue bits = op2(r->c, OP_ADD, op2(r->c, OP_MUL, hi, lv_int(L, 1 << 26), EL_I64), lo, EL_I64);
    return op2(r->c, OP_MUL, bits, lv_float(0x1p-53), EL_F64);
}

static LowValue normal(Random *r) {
    Low *L = r->c->L;
    LowValue u = op2(r->c, OP_SUB, lv_int(L, 1), uniform(r, 0), r->e), turn = uniform(r, 1);
    TdlVal log_u = low_emit1(L, OP_LOG, &u.v, 1);
    TdlVal square = op2(r->c, OP_MUL, lv_tensor(log_u), lv_float(-2), r->e).v;
    TdlVal angle = op2(r->c, OP_MUL, turn, lv_float(6.28318530717958647693), r->e).v;
    TdlVal both[2] = {low_emit1(L, OP_SQRT, &square, 1), low_emit1(L, OP_COS, &angle, 1)};
    return lv_tensor(low_emit1(L, OP_MUL, both, 2));
}

LowValue bi_rand(LowCall *c) {
    Low *L = c->L;
    TdlDim dims[LOW_MAX_RANK];
    uint32_t rank;
    Random r = {.c = c};
    if (!bi_shape(c, c->a[0], dims, &rank) || !bi_elem(c, 2, L->frame->deflt, &r.e)) return LOW_ERR;
    if (!el_is_float(r.e)) return bi_err(c, "dtype is a type of floats");
    r.seed = low_i64(L, c->a[1], c->span[1], "the seed");
    if (!r.seed.id) return LOW_ERR;
    r.n = ty_numel(L->m, ty_tensor(L->m, r.e, dims, rank));
    r.words = (r.e == EL_F64 ? 2 : 1) * (c->bi->op ? 2 : 1);
    r.at = iota(L, EL_I64, &r.n, 1, 0);
    LowValue v = c->bi->op ? normal(&r) : uniform(&r, 0);
    return lv_is_err(v) ? v : bi_made(c, 3, low_reshape(L, v.v, dims, rank));
}

LowValue bi_tensor_of(LowCall *c) {
    TdlElem e;
    if (!bi_tensor(c, 0) || !bi_elem(c, 1, lv_elem(c->L, c->a[0]), &e)) return LOW_ERR;
    return bi_made(c, 2, low_mat(c->L, c->a[0], e));
}
