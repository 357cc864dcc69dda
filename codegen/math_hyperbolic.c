/* sinh and cosh from e**|x|, and their inverses and tanh's from log1p. */
#include "codegen/math.h"

#include <math.h>

/* Coefficients by scripts/minimax: sinh(x) = x + x**3 P(x**2), |x| <= 1. */
typedef struct { double most; unsigned nsinh; double sinh[7]; } Hyperbolic;

static const Hyperbolic F64 = {
    .most = 0x1.633ce8fb9f87dp+9, .nsinh = 7,
    .sinh = {0x1.5555555555556p-3, 0x1.11111111110b5p-7, 0x1.a01a01a028055p-13, 0x1.71de3a4643e4dp-19, 0x1.ae64677e96909p-26,
             0x1.611a180f7e077p-33, 0x1.b4df7b7a42b4dp-41},
};
static const Hyperbolic F32 = {
    .most = 0x1.65a9f8p+6, .nsinh = 4,
    .sinh = {0x1.555556p-3, 0x1.111136p-7, 0x1.9ffd04p-13, 0x1.7a5d52p-19},
};

static const Hyperbolic *numbers(const Fn *m) { return m->f64 ? &F64 : &F32; }

/* e**a / 2, which is finite for any a up to `most`. */
static LLVMValueRef half_exp(const Fn *m, LLVMValueRef a) {
    LLVMValueRef most = k(m, numbers(m)->most), n, lost, r = reduced(m, where(m, LLVMRealOGT, a, most, most, a), &n, &lost);
    LLVMValueRef p = add(m, k(m, 1), add(m, r, mad(m, mul(m, r, r), polynomial(m, m->f->exp, m->f->nexp, r), lost)));
    return scaled(m, p, iadd(m, bits(m, n), LLVMConstAllOnes(m->bits)));
}

/* Also for NaN. */
static LLVMValueRef or_infinite(const Fn *m, LLVMValueRef a, LLVMValueRef v) {
    return where(m, LLVMRealOLE, a, k(m, numbers(m)->most), v, add(m, a, k(m, INFINITY)));
}

LLVMValueRef math_sinh(const Fn *m) {
    const Hyperbolic *c = numbers(m);
    LLVMValueRef a = size_of(m, m->x[0]), z = mul(m, a, a), h = half_exp(m, a);
    LLVMValueRef v = or_infinite(m, a, sub(m, h, quotient(m, k(m, 0.25), h)));
    LLVMValueRef small = mad(m, mul(m, a, z), polynomial(m, c->sinh, c->nsinh, z), a);
    return copysign_of(m, where(m, LLVMRealOLT, a, k(m, 1), small, v), m->x[0]);
}

LLVMValueRef math_cosh(const Fn *m) {
    LLVMValueRef a = size_of(m, m->x[0]), h = half_exp(m, a);
    return or_infinite(m, a, add(m, h, quotient(m, k(m, 0.25), h)));
}

static LLVMValueRef log1p_of(const Fn *m, LLVMValueRef x) { return cg_math(m->u, "log1p", x, NULL); }

/* Where x**2 + 1 is x**2, log(2x) = log1p(x) + ln2. */
static LLVMValueRef with_ln2(const Fn *m, LLVMValueRef large, LLVMValueRef v) {
    return add(m, v, choose(m, large, k(m, 0.69314718055994531), k(m, 0)));
}

/* log1p(a + a**2/(1 + sqrt(1 + a**2))). */
LLVMValueRef math_asinh(const Fn *m) {
    LLVMValueRef a = size_of(m, m->x[0]), one = k(m, 1), z = mul(m, a, a), large = compare(m, LLVMRealOGT, a, k(m, 0x1p60));
    LLVMValueRef w = add(m, a, quotient(m, z, add(m, one, call1(m, "llvm.sqrt", add(m, z, one)))));
    return copysign_of(m, with_ln2(m, large, log1p_of(m, choose(m, large, a, w))), m->x[0]);
}

/* log1p(t + sqrt(2t + t**2)), t = x - 1. */
LLVMValueRef math_acosh(const Fn *m) {
    LLVMValueRef x = m->x[0], t = sub(m, x, k(m, 1)), large = compare(m, LLVMRealOGT, x, k(m, 0x1p60));
    LLVMValueRef w = add(m, t, call1(m, "llvm.sqrt", mad(m, t, t, mul(m, t, k(m, 2)))));
    LLVMValueRef v = with_ln2(m, large, log1p_of(m, choose(m, large, x, w)));
    return where(m, LLVMRealOLT, x, k(m, 1), k(m, NAN), v);
}

/* log1p(2a/(1 - a))/2, where a < 1/2 with 2a/(1 - a) = 2a + 2a a/(1 - a). */
LLVMValueRef math_atanh(const Fn *m) {
    LLVMValueRef a = size_of(m, m->x[0]), twice = mul(m, a, k(m, 2)), near = compare(m, LLVMRealOLT, a, k(m, 0.5));
    LLVMValueRef q = quotient(m, choose(m, near, mul(m, twice, a), twice), sub(m, k(m, 1), a));
    LLVMValueRef v = mul(m, k(m, 0.5), log1p_of(m, choose(m, near, add(m, twice, q), q)));
    return copysign_of(m, v, m->x[0]);
}
