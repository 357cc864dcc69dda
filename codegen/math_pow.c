/* x ** y = 2 ** (y log2 |x|), with a sign where x < 0 and y is odd.
 *
 * In f64 the logarithm and its product with y are kept as two numbers, high + low; high ones of 26 bits have exact
 * products, with and without fused multiply-add. f32 is computed in f64, where one number is enough.
 *
 * A single one is left to the C library, whose tables make it twice as fast. Infinities, NaN, subnormal x, |y| from
 * 2**51 on and (f64) results below the normal numbers are rare: the C library's, too. */
#include "codegen/math.h"

#include <math.h>

/* By scripts/minimax, for |s| <= (sqrt2 - 1)/(sqrt2 + 1):
 * 1.5 log((1 + s)/(1 - s)) = s (3 + s**2 + s**4 P(s**2)). */
static const double LOG[8] = {0x1.3333333333333p-1, 0x1.b6db6db6dbb6dp-2, 0x1.55555554da581p-2, 0x1.1745d1d21761cp-2,
                              0x1.d89d3d93d8f4dp-3, 0x1.99ab47f58ca57p-3, 0x1.671328c1a649ep-3, 0x1.6d09477ed1d86p-3};
/* 2/(3 ln2) = CP_HIGH + CP_LOW, rounded CP. */
static const double CP = 0x1.ec709dc3a03fdp-1, CP_HIGH = 0x1.ec709d8p-1, CP_LOW = 0x1.0e80ff5d27f05p-27;
/* log2((1 + s)/(1 - s)) = s P(s**2), to 2**-38; 2**r = 1 + r P(r), |r| <= 1/2, to 2**-29. */
static const double LOG2[5] = {0x1.71547652bedf0p+1, 0x1.ec709d12d0ad0p-1, 0x1.27777fe7c4d87p-1, 0x1.a58d8913d8b3bp-2, 0x1.5ce8505eb6bbcp-2};
static const double EXP2[6] = {0x1.62e431710035bp-1, 0x1.ebfbe07da3ed6p-3, 0x1.c6ae2b90b050bp-5, 0x1.3b29e3bf2f27dp-7,
                               0x1.5f89189063040p-10, 0x1.446c8ff79a7e0p-13};

/* |x| = 2**e unit, sqrt(1/2) <= unit < sqrt(2). */
typedef struct { LLVMValueRef e, unit; } Parts;

static Parts parts(const Fn *w, LLVMValueRef x) {
    const Format *f = w->f;
    uint64_t one = (uint64_t)f->bias << f->mantissa;
    LLVMValueRef i = bits(w, x), shift = ik(w, f->mantissa);
    LLVMValueRef biased = LLVMBuildLShr(w->b, iadd(w, i, ik(w, one - f->sqrt_half)), shift, "");
    LLVMValueRef unit = LLVMBuildSub(w->b, iadd(w, i, ik(w, one)), LLVMBuildShl(w->b, biased, shift, ""), "");
    LLVMValueRef e = sub(w, number(w, iadd(w, biased, ik(w, f->magic_bits))), k(w, f->magic + f->bias));
    return (Parts){e, number(w, unit)};
}

static LLVMValueRef minus(const Fn *w, LLVMValueRef z, LLVMValueRef x, LLVMValueRef y) { return mad(w, neg(w, x), y, z); } /* z - x y */

typedef struct { LLVMValueRef high, low; } Pair;

/* log2 |x| to 2**-65 of it; high has 26 bits. With s = (unit - 1)/(unit + 1), each step in a high part that has exact products
 * and a low one. */
static Pair log2_pair(const Fn *w, LLVMValueRef x) {
    Parts p = parts(w, x);
    LLVMValueRef f = sub(w, p.unit, k(w, 1)), d = add(w, p.unit, k(w, 1)), inverse = quotient(w, k(w, 1), d);
    LLVMValueRef s = mul(w, f, inverse), sh = leading(w, s), dh = leading(w, d), dl = sub(w, p.unit, sub(w, dh, k(w, 1)));
    LLVMValueRef sl = mul(w, minus(w, minus(w, f, sh, dh), sh, dl), inverse);
    LLVMValueRef z = mul(w, s, s), sh2 = mul(w, sh, sh);
    LLVMValueRef rest = mad(w, sl, add(w, sh, s), mul(w, mul(w, z, z), polynomial(w, LOG, 8, z)));
    LLVMValueRef th = leading(w, add(w, add(w, k(w, 3), sh2), rest)), tl = sub(w, rest, sub(w, sub(w, th, k(w, 3)), sh2));
    LLVMValueRef u = mul(w, sh, th), v = mad(w, sl, th, mul(w, tl, s)), ph = leading(w, add(w, u, v)), pl = sub(w, v, sub(w, ph, u));
    LLVMValueRef high = mul(w, ph, k(w, CP_HIGH)), low = mad(w, ph, k(w, CP_LOW), mul(w, pl, k(w, CP)));
    LLVMValueRef sum = leading(w, add(w, p.e, add(w, high, low)));
    return (Pair){sum, sub(w, low, sub(w, sub(w, sum, p.e), high))};
}

/* |x| ** y in f64; *below: where the result is less than a normal number, but not 0. */
static LLVMValueRef power64(const Fn *w, LLVMValueRef x, LLVMValueRef y, LLVMValueRef *below) {
    Pair l = log2_pair(w, x);
    LLVMValueRef yh = leading(w, y), yl = sub(w, y, yh), high = mul(w, yh, l.high), low = mad(w, yl, l.high, mul(w, y, l.low));
    LLVMValueRef z = add(w, high, low), magic = k(w, w->f->magic), count = add(w, z, magic), whole = sub(w, high, sub(w, count, magic));
    LLVMValueRef g = add(w, whole, low), lost = add(w, sub(w, whole, g), low);
    LLVMValueRef r = mul(w, g, k(w, 0x1.62e42fefa39efp-1)), rest = polynomial(w, w->f->exp, w->f->nexp, r);
    lost = mad(w, lost, k(w, 0x1.62e42fefa39efp-1), mul(w, g, k(w, 0x1.abc9e3b39803fp-56)));
    LLVMValueRef v = scaled(w, add(w, k(w, 1), add(w, r, mad(w, mul(w, r, r), rest, lost))), count);
    LLVMValueRef small = compare(w, LLVMRealOLT, z, k(w, -1022)), none = compare(w, LLVMRealOLT, z, k(w, -1080));
    *below = LLVMBuildAnd(w->b, small, LLVMBuildNot(w->b, none, ""), "");
    v = choose(w, none, k(w, 0), v);
    LLVMValueRef beyond = add(w, sub(w, high, k(w, 1024)), low); /* z may be 1024 by rounding */
    return where(w, LLVMRealOGE, beyond, k(w, 0), k(w, INFINITY), v);
}

/* |x| ** y of f32 numbers, to be rounded to f32. */
static LLVMValueRef power32(const Fn *w, LLVMValueRef x, LLVMValueRef y) {
    Parts p = parts(w, x);
    LLVMValueRef s = quotient(w, sub(w, p.unit, k(w, 1)), add(w, p.unit, k(w, 1)));
    LLVMValueRef z = mul(w, y, mad(w, s, polynomial(w, LOG2, 5, mul(w, s, s)), p.e)), magic = k(w, w->f->magic);
    z = where(w, LLVMRealOGT, z, k(w, 1000), k(w, 1000), z);
    z = where(w, LLVMRealOLT, z, k(w, -1000), k(w, -1000), z);
    LLVMValueRef count = add(w, z, magic), r = sub(w, z, sub(w, count, magic));
    return scaled(w, mad(w, r, polynomial(w, EXP2, 6, r), k(w, 1)), count);
}

LLVMValueRef math_pow(const Fn *m) {
    static const char *const libm[1] = {"pow"};
    LLVMValueRef args[2] = {m->x[0], m->x[1]}, x = args[0], y = args[1], zero = k(m, 0), below = NULL;
    if (m->lanes == 1) return cg_libm(m->u, libm[0], args, 2);
    LLVMValueRef size = size_of(m, x);
    Fn w = widened(m);
    LLVMValueRef is_zero = compare(m, LLVMRealOEQ, x, zero), wide = widen(m, y), base = widen(m, choose(m, is_zero, k(m, 1), size));
    LLVMValueRef v = m->f64 ? power64(&w, base, wide, &below) : narrow(m, power32(&w, base, wide));
    LLVMValueRef of_zero = where(m, LLVMRealOLT, y, zero, k(m, INFINITY), where(m, LLVMRealOEQ, y, zero, k(m, 1), zero));
    v = choose(m, is_zero, of_zero, v);
    /* y as an integer; its lowest bit at the place of the sign. */
    LLVMValueRef magic = k(&w, w.f->magic), rounded = add(&w, wide, magic), whole = compare(&w, LLVMRealOEQ, sub(&w, rounded, magic), wide);
    LLVMValueRef odd = LLVMBuildShl(m->b, bits(&w, rounded), ik(&w, 63), "");
    odd = choose(&w, whole, odd, ik(&w, 0));
    if (!m->f64) odd = LLVMBuildTrunc(m->b, LLVMBuildLShr(m->b, odd, ik(&w, 32), ""), m->bits, "");
    v = number(m, LLVMBuildXor(m->b, bits(m, v), LLVMBuildAnd(m->b, odd, bits(m, x), ""), ""));
    LLVMValueRef nowhere = LLVMBuildAnd(m->b, compare(m, LLVMRealOLT, x, zero), LLVMBuildNot(m->b, whole, ""), "");
    v = choose(m, nowhere, k(m, NAN), v);
    LLVMValueRef rare = LLVMBuildOr(m->b, compare(m, LLVMRealUGE, size, k(m, INFINITY)), compare(m, LLVMRealUGE, size_of(m, y), k(m, 0x1p51)), "");
    if (m->f64) {
        LLVMValueRef subnormal = compare(m, LLVMRealOLT, size, k(m, m->f->normal));
        subnormal = LLVMBuildAnd(m->b, subnormal, LLVMBuildNot(m->b, is_zero, ""), "");
        rare = LLVMBuildOr(m->b, rare, LLVMBuildOr(m->b, subnormal, below, ""), "");
    }
    unless_rare(m, rare, libm, &v, 1);
    return v;
}
