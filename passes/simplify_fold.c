/* Constants, with the meaning they have at run time: integers wrap, floats round once in their own type, and what
 * would fail (division by zero, a negative power) or is not exact everywhere (float // and %) is left alone. */
#include "passes/simplify.h"

#include <math.h>

static TdlVal make(Simplify *s, TdlOp o, TdlElem e, bool is_float, int64_t i, double f) {
    TdlBuilder b = ir_before(s->f, o);
    if (is_float) return ir_const_float(&b, e, f);
    return ir_const_int(&b, e, e == EL_I32 ? (int32_t)(uint32_t)(uint64_t)i : i);
}

static TdlVal make_bool(Simplify *s, TdlOp o, bool v) { return make(s, o, EL_BOOL, false, v, 0); }

/* ---- one operand ---- */

static bool float1(TdlOpcode c, double x, double *r) {
    switch (c) {
    case OP_NEG: return *r = -x, true;
    case OP_ABS: return *r = fabs(x), true;
    case OP_SIGN: return *r = x > 0 ? 1 : x < 0 ? -1 : x, true; /* zeros keep their sign, NaN stays */
    case OP_FLOOR: return *r = floor(x), true;
    case OP_CEIL: return *r = ceil(x), true;
    case OP_ROUND: return *r = rint(x), true;
    case OP_TRUNC: return *r = trunc(x), true;
    case OP_SQRT: return *r = sqrt(x), true;
    case OP_EXP: return *r = exp(x), true;
    case OP_EXPM1: return *r = expm1(x), true;
    case OP_LOG: return *r = log(x), true;
    case OP_LOG1P: return *r = log1p(x), true;
    case OP_SIN: return *r = sin(x), true;
    case OP_COS: return *r = cos(x), true;
    case OP_TAN: return *r = tan(x), true;
    case OP_TANH: return *r = tanh(x), true;
    case OP_ATAN: return *r = atan(x), true;
    default: return false;
    }
}

static bool int1(TdlOpcode c, int64_t x, int64_t *r) {
    switch (c) {
    case OP_NEG: return *r = (int64_t)(0 - (uint64_t)x), true;
    case OP_ABS: return *r = x < 0 ? (int64_t)(0 - (uint64_t)x) : x, true;
    case OP_SIGN: return *r = (x > 0) - (x < 0), true;
    case OP_FLOOR: case OP_CEIL: case OP_ROUND: case OP_TRUNC: return *r = x, true;
    case OP_NOT: return *r = !x, true;
    default: return false;
    }
}

static TdlVal fold_cast(Simplify *s, TdlOp o, SmConst x) {
    TdlElem to = ty_elem(s->m, ir_type(s->f, ir_result(s->f, o, 0)));
    if (to == EL_F16 || to == EL_BF16 || x.e == EL_F16 || x.e == EL_BF16) return (TdlVal){0};
    if (el_is_float(to)) {
        double f = x.is_float ? x.f : to == EL_F32 ? (double)(float)x.i : (double)x.i;
        return make(s, o, to, true, 0, f);
    }
    if (to == EL_BOOL) return x.is_float ? (TdlVal){0} : make_bool(s, o, x.i != 0);
    int64_t i = x.i;
    if (x.is_float) {
        if (!(fabs(x.f) < 9e18)) return (TdlVal){0}; /* NaN too */
        i = (int64_t)x.f;
    }
    if (to == EL_I32 && (i < INT32_MIN || i > INT32_MAX)) return (TdlVal){0};
    return make(s, o, to, false, i, 0);
}

/* The functions that f32 constants are folded for are correctly rounded in double, so that rounding once more gives
 * the f32 result; the others are left to run time. */
static bool exact_in_f32(TdlOpcode c) {
    return c == OP_NEG || c == OP_ABS || c == OP_SIGN || c == OP_FLOOR || c == OP_CEIL || c == OP_ROUND ||
           c == OP_TRUNC || c == OP_SQRT;
}

static TdlVal fold1(Simplify *s, TdlOp o, SmConst x) {
    TdlOpcode c = ir_op(s->f, o)->code;
    double f;
    int64_t i;
    if (c == OP_CAST) return fold_cast(s, o, x);
    if (x.is_float) {
        bool known = x.e == EL_F64 || (x.e == EL_F32 && exact_in_f32(c));
        return known && float1(c, x.f, &f) ? make(s, o, x.e, true, 0, f) : (TdlVal){0};
    }
    return int1(c, x.i, &i) ? make(s, o, x.e, false, i, 0) : (TdlVal){0};
}

/* ---- two operands ---- */

static bool compare(TdlOpcode c, SmConst x, SmConst y, bool *r) {
    bool fl = x.is_float, eq = fl ? x.f == y.f : x.i == y.i, lt = fl ? x.f < y.f : x.i < y.i, gt = fl ? x.f > y.f : x.i > y.i;
    switch (c) {
    case OP_EQ: return *r = eq, true;
    case OP_NE: return *r = !eq, true;
    case OP_LT: return *r = lt, true;
    case OP_LE: return *r = lt || eq, true;
    case OP_GT: return *r = gt, true;
    case OP_GE: return *r = gt || eq, true;
    default: return false;
    }
}

static bool float2(TdlOpcode c, double x, double y, double *r) {
    switch (c) {
    case OP_ADD: return *r = x + y, true;
    case OP_SUB: return *r = x - y, true;
    case OP_MUL: return *r = x * y, true;
    case OP_DIV: return *r = x / y, true;
    case OP_MAX: return *r = isnan(x) ? x : isnan(y) ? y : x > y || (x == y && !signbit(x)) ? x : y, true;
    case OP_MIN: return *r = isnan(x) ? x : isnan(y) ? y : x < y || (x == y && signbit(x)) ? x : y, true;
    default: return false;
    }
}

static int64_t int_power(int64_t x, int64_t n) {
    uint64_t r = 1, b = (uint64_t)x;
    for (; n; n >>= 1, b *= b)
        if (n & 1) r *= b;
    return (int64_t)r;
}

static bool int2(TdlOpcode c, SmConst x, SmConst y, int64_t *r) {
    uint64_t a = (uint64_t)x.i, b = (uint64_t)y.i;
    int64_t least = x.e == EL_I32 ? INT32_MIN : INT64_MIN;
    switch (c) {
    case OP_ADD: return *r = (int64_t)(a + b), true;
    case OP_SUB: return *r = (int64_t)(a - b), true;
    case OP_MUL: return *r = (int64_t)(a * b), true;
    case OP_MAX: return *r = x.i > y.i ? x.i : y.i, true;
    case OP_MIN: return *r = x.i < y.i ? x.i : y.i, true;
    case OP_AND: return *r = x.i && y.i, true;
    case OP_OR: return *r = x.i || y.i, true;
    case OP_POW: return y.i >= 0 && (*r = int_power(x.i, y.i), true);
    case OP_FLOORDIV: case OP_MOD:
        if (y.i == 0 || (y.i == -1 && x.i == least)) return false;
        *r = x.i / y.i - (x.i % y.i != 0 && (x.i < 0) != (y.i < 0));
        if (c == OP_MOD) *r = (int64_t)(a - (uint64_t)*r * b);
        return true;
    default: return false;
    }
}

static TdlVal fold2(Simplify *s, TdlOp o, SmConst x, SmConst y) {
    TdlOpcode c = ir_op(s->f, o)->code;
    bool yes;
    double f;
    int64_t i;
    if (x.e == EL_F16 || x.e == EL_BF16 || c == OP_PHILOX) return (TdlVal){0};
    if (compare(c, x, y, &yes)) return make_bool(s, o, yes);
    if (!x.is_float) return int2(c, x, y, &i) ? make(s, o, x.e, false, i, 0) : (TdlVal){0};
    /* + - * / of f32 in double, rounded once more, is the f32 result: 53 >= 2*24 + 2 bits. */
    if (c == OP_POW && x.e == EL_F64) return make(s, o, x.e, true, 0, pow(x.f, y.f));
    return float2(c, x.f, y.f, &f) ? make(s, o, x.e, true, 0, f) : (TdlVal){0};
}

/* ---- dimensions ---- */

/* Coefficients far from overflow: dimension arithmetic may be done now. */
static bool small_dim(const Simplify *s, TdlVal v, TdlDim *d) {
    if (!sm_def(s, v, OP_DIM).id && !sm_def(s, v, OP_CONST).id && !sm_def(s, v, OP_NEWDIM).id) return false;
    if (!ir_val_dim(s->f, v, d) || dim_nterms(s->m, *d) > 16) return false;
    for (uint32_t i = 0; i < dim_nterms(s->m, *d); i++) {
        int64_t c = dim_term_coef(s->m, *d, i);
        if (c > INT32_MAX / 2 || c < INT32_MIN / 2 || dim_term_natoms(s->m, *d, i) > 16) return false;
    }
    return true;
}

static bool dim_compare(Simplify *s, TdlOpcode c, TdlDim x, TdlDim y, bool *r) {
    TdlModule *m = s->m;
    bool ge = dim_known_ge(m, x, y), le = dim_known_ge(m, y, x);
    bool gt = dim_known_ge(m, x, dim_add(m, y, dim_const(m, 1))), lt = dim_known_ge(m, y, dim_add(m, x, dim_const(m, 1)));
    switch (c) {
    case OP_EQ: return *r = dim_eq(x, y), dim_eq(x, y) || gt || lt;
    case OP_NE: return *r = !dim_eq(x, y), dim_eq(x, y) || gt || lt;
    case OP_LT: return *r = lt, lt || ge;
    case OP_LE: return *r = le, le || gt;
    case OP_GT: return *r = gt, gt || le;
    case OP_GE: return *r = ge, ge || lt;
    default: return false;
    }
}

static TdlVal fold_dims(Simplify *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->f, o);
    TdlDim x, y, r;
    int64_t c;
    bool yes;
    TdlModule *m = s->m;
    TdlBuilder b = ir_before(s->f, o);
    if (d->code == OP_DIM) { /* of a constant */
        const TdlAttr *a = op_attr(s->f, o, "d");
        return a && dim_is_const(m, a->dim, NULL) ? ir_dim(&b, a->dim) : (TdlVal){0};
    }
    if (d->noperands < 1 || d->noperands > 2 || !small_dim(s, d->operands[0], &x)) return (TdlVal){0};
    if (d->code == OP_NEG) return ir_dim(&b, dim_sub(m, dim_const(m, 0), x));
    if (d->noperands != 2 || !small_dim(s, d->operands[1], &y)) return (TdlVal){0};
    switch (d->code) {
    case OP_ADD: r = dim_add(m, x, y); break;
    case OP_SUB: r = dim_sub(m, x, y); break;
    case OP_MUL: r = dim_mul(m, x, y); break;
    case OP_FLOORDIV: case OP_MOD:
        if (!dim_is_const(m, y, &c) || c <= 0) return (TdlVal){0};
        r = d->code == OP_MOD ? dim_mod(m, x, c) : dim_floordiv(m, x, c);
        break;
    case OP_MAX: case OP_MIN:
        if (dim_known_ge(m, x, y)) return d->operands[d->code == OP_MIN];
        return dim_known_ge(m, y, x) ? d->operands[d->code == OP_MAX] : (TdlVal){0};
    default: return dim_compare(s, d->code, x, y, &yes) ? make_bool(s, o, yes) : (TdlVal){0};
    }
    return ir_dim(&b, r);
}

TdlVal sm_fold(Simplify *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->f, o);
    SmConst x, y;
    if (op_info(d->code)->lower != LOWER_SCALAR || d->code == OP_CONST || d->code == OP_NEWDIM || d->code == OP_DETACH)
        return (TdlVal){0};
    TdlVal v = {0};
    if (d->noperands == 1 && sm_const(s, d->operands[0], &x)) v = fold1(s, o, x);
    else if (d->noperands == 2 && sm_const(s, d->operands[0], &x) && sm_const(s, d->operands[1], &y)) v = fold2(s, o, x, y);
    return v.id ? v : fold_dims(s, o);
}
