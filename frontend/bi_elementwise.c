/* Builtins that work element by element. On literals they are computed here, by the same functions of libm. */
#include "frontend/bi.h"

#include <math.h>

/* The double function of an operation, for literals; NULL: none. */
static double (*of_double(int op))(double) {
    switch (op) {
    case OP_SQRT: return sqrt;
    case OP_EXP: return exp;
    case OP_EXPM1: return expm1;
    case OP_LOG: return log;
    case OP_LOG1P: return log1p;
    case OP_SIN: return sin;
    case OP_COS: return cos;
    case OP_TAN: return tan;
    case OP_ASIN: return asin;
    case OP_ACOS: return acos;
    case OP_ATAN: return atan;
    case OP_SINH: return sinh;
    case OP_COSH: return cosh;
    case OP_TANH: return tanh;
    case OP_FLOOR: return floor;
    case OP_CEIL: return ceil;
    case OP_TRUNC: return trunc;
    case OP_ROUND: return nearbyint; /* ties to even, the default rounding */
    case OP_ABS: return fabs;
    default: return NULL;
    }
}

static bool literal(const Low *L, LowValue v, double *x) {
    int64_t i;
    if (v.kind == LV_FLOAT) *x = v.f;
    else if (lv_int_const(L, v, &i)) *x = (double)i;
    else return false;
    return true;
}

LowValue bi_float_unary(LowCall *c) {
    double x;
    double (*f)(double) = of_double(c->bi->op);
    if (f && literal(c->L, c->a[0], &x)) return lv_float(f(x));
    if (!bi_float(c, 0)) return LOW_ERR;
    return low_elementwise(c->L, (TdlOpcode)c->bi->op, c->a, 1, lv_elem(c->L, c->a[0]), c->bi->name, c->bi->grad_fn, c->at);
}

LowValue bi_number_unary(LowCall *c) {
    double (*f)(double) = of_double(c->bi->op);
    if (f && c->a[0].kind == LV_FLOAT) return lv_float(f(c->a[0].f));
    if (!bi_tensor(c, 0)) return LOW_ERR;
    TdlElem e = lv_elem(c->L, c->a[0]);
    if (e == EL_BOOL) return bi_err(c, "needs numbers, not %s", lv_text(c->L, c->a[0]));
    bool rounds = c->bi->op == OP_FLOOR || c->bi->op == OP_CEIL || c->bi->op == OP_ROUND || c->bi->op == OP_TRUNC;
    if (rounds && !el_is_float(e)) return c->a[0];
    return low_elementwise(c->L, (TdlOpcode)c->bi->op, c->a, 1, e, c->bi->name, c->bi->grad_fn, c->at);
}

/* digamma(x) is polygamma(0, x). */
LowValue bi_polygamma(LowCall *c) {
    int64_t n = 0;
    uint32_t x = c->bi->sig[0] == 'n';
    if (x && !bi_int(c, 0, &n)) return LOW_ERR;
    if (n < 0 || n > 20) return bi_err(c, "the order is from 0 to 20, not %lld", (long long)n);
    if (!bi_float(c, x)) return LOW_ERR;
    LowValue r = low_elementwise(c->L, OP_POLYGAMMA, &c->a[x], 1, lv_elem(c->L, c->a[x]), c->bi->name, c->bi->grad_fn, c->at);
    if (!lv_is_err(r)) op_set_int(c->L->b.f, low_def(c->L, r.v), "n", n);
    return r;
}

LowValue bi_number_binary(LowCall *c) {
    int64_t x, y;
    if (!lv_is_num(c->a[0]) || !lv_is_num(c->a[1]))
        return bi_err(c, "needs numbers or tensors, not %s and %s", lv_text(c->L, c->a[0]), lv_text(c->L, c->a[1]));
    if (lv_int_const(c->L, c->a[0], &x) && lv_int_const(c->L, c->a[1], &y))
        return lv_int(c->L, (c->bi->op == OP_MAX) == (x > y) ? x : y);
    TdlElem e = low_promote(c->L, c->a[0], c->a[1]);
    if (e == EL_BOOL) return bi_err(c, "needs numbers, not bools");
    return low_elementwise(c->L, (TdlOpcode)c->bi->op, c->a, 2, e, c->bi->name, c->bi->grad_fn, c->at);
}

LowValue bi_float_binary(LowCall *c) {
    if (!bi_float(c, 0) || !bi_float(c, 1)) return LOW_ERR;
    return bi_number_binary(c);
}

LowValue bi_operator(LowCall *c) { return low_binary(c->L, (AstOp)c->bi->op, c->a[0], c->a[1], c->at); }

LowValue bi_logical(LowCall *c) {
    uint32_t n = c->bi->op == OP_NOT ? 1 : 2;
    for (uint32_t i = 0; i < n; i++)
        if (!lv_is_num(c->a[i]) || lv_elem(c->L, c->a[i]) != EL_BOOL)
            return bi_err(c, "needs bools, not %s", lv_text(c->L, c->a[i]));
    return low_elementwise(c->L, (TdlOpcode)c->bi->op, c->a, n, EL_BOOL, c->bi->name, NULL, c->at);
}

LowValue bi_where(LowCall *c) {
    if (!lv_is_num(c->a[0]) || lv_elem(c->L, c->a[0]) != EL_BOOL)
        return bi_err(c, "the condition is a bool or a tensor of bools, not %s", lv_text(c->L, c->a[0]));
    if (!lv_is_num(c->a[1]) || !lv_is_num(c->a[2]))
        return bi_err(c, "needs numbers or tensors, not %s and %s", lv_text(c->L, c->a[1]), lv_text(c->L, c->a[2]));
    return low_elementwise(c->L, OP_SELECT, c->a, 3, low_promote(c->L, c->a[1], c->a[2]), c->bi->name, c->bi->grad_fn, c->at);
}

/* x where it is inside the bound, else the bound: at a bound the derivative is 1, as PyTorch's is, and NaN stays. */
static LowValue bound(LowCall *c, LowValue x, LowValue b, TdlOpcode outside, const char *name) {
    TdlElem e = low_promote(c->L, x, b);
    LowValue out = low_elementwise(c->L, outside, (LowValue[]){x, b}, 2, e, c->bi->name, NULL, c->at);
    if (lv_is_err(out)) return out;
    return low_elementwise(c->L, OP_SELECT, (LowValue[]){out, b, x}, 3, e, c->bi->name, name, c->at);
}

LowValue bi_clamp(LowCall *c) {
    if (!c->given[1] && !c->given[2]) return bi_err(c, "needs min, max or both");
    bool tensors = false;
    for (uint32_t i = 0; i < 3; i++) {
        if (i && !c->given[i]) continue;
        if (!lv_is_num(c->a[i]) || lv_elem(c->L, c->a[i]) == EL_BOOL)
            return bi_err(c, "needs numbers or tensors of numbers, not %s", lv_text(c->L, c->a[i]));
        tensors |= i && c->a[i].kind == LV_TENSOR && !c->a[i].weak;
    }
    const char *name = tensors ? c->bi->grad_fn2 : c->bi->grad_fn;
    LowValue x = c->a[0];
    if (c->given[1]) x = bound(c, x, c->a[1], OP_LT, c->given[2] ? NULL : name);
    if (c->given[2] && !lv_is_err(x)) x = bound(c, x, c->a[2], OP_GT, name);
    return x;
}

/* Every float leaf of a value, cut off. */
static LowValue detach(LowCall *c, LowValue v) {
    if (v.kind == LV_TENSOR) {
        v.leaf = NULL;
        if (!el_is_float(lv_elem(c->L, v))) return v;
        low_unname(c->L);
        LowValue r = lv_tensor(low_emit1(c->L, OP_DETACH, &v.v, 1));
        r.weak = v.weak;
        return r;
    }
    if (v.kind != LV_TUPLE && v.kind != LV_STRUCT) return v;
    LowValue *e = ARENA_ARRAY(c->L->arena, LowValue, v.n);
    for (uint32_t i = 0; i < v.n; i++) e[i] = detach(c, v.elems[i]);
    v.elems = e;
    return v;
}

LowValue bi_detach(LowCall *c) { return detach(c, c->a[0]); }
