/* Sine, cosine and tangent.
 *
 * x = n pi/2 + r, |r| <= pi/4, with pi/2 in parts (Cody and Waite): n times the leading ones is exact, so that r is right
 * to its last bit also where x is nearly a multiple of pi/2. In f32 this is done in f64. Beyond the bound on |x|, and for
 * infinities, the C library is called. */
#include "codegen/math.h"

/* Coefficients by scripts/minimax, for |r| <= pi/4. */
typedef struct {
    double most;            /* |x| up to here: 2**16 pi/2 in f64, 2**20 pi/2 in f32 */
    unsigned nsin, ncos;
    double sin[6], cos[6];  /* sin(r) = r + r**3 P(r**2); cos(r) = 1 - r**2/2 + r**4 P(r**2) */
} Trig;

static const Trig F64 = {
    .most = 0x1.921fb54442d18p+16, .nsin = 6, .ncos = 6,
    .sin = {-0x1.555555555554cp-3, 0x1.111111110fb4ap-7, -0x1.a01a019c2fea4p-13, 0x1.71de356eb0de6p-19, -0x1.ae5e4bb84bc9dp-26,
            0x1.5d87440c807b4p-33},
    .cos = {0x1.5555555555553p-5, -0x1.6c16c16c16131p-10, 0x1.a01a019e24894p-16, -0x1.27e4f903ab84cp-22, 0x1.1eea890e2e204p-29,
            -0x1.8ff9ad8c46497p-37},
};
static const Trig F32 = {
    .most = 0x1.921fb4p+20, .nsin = 3, .ncos = 3,
    .sin = {-0x1.555546p-3, 0x1.1106bap-7, -0x1.9906bep-13},
    .cos = {0x1.55554ep-5, -0x1.6c0e78p-10, 0x1.9a6f18p-16},
};

/* pi/2 = the sum of these. In f64 the first two have 37 bits, so that n up to 2**16 times them is exact; in f32, with n up
 * to 2**20, two parts are enough. */
static const double HALF_PI_F64[3] = {0x1.921fb54440000p+0, 0x1.68c234c4c0000p-39, 0x1.98a2e03707345p-77}, HALF_PI_F32[2] = {0x1.921fb54400000p+0, 0x1.0b4611a626331p-34};

/* sin(r) and cos(r), and n, whose lowest two bits say the quadrant. */
typedef struct { LLVMValueRef sin, cos, n; } Quadrant;

static Quadrant quadrant(const Fn *m) {
    const Trig *c = m->f64 ? &F64 : &F32;
    Fn w = widened(m);
    LLVMValueRef x = widen(m, m->x[0]), magic = k(&w, w.f->magic), n = mad(&w, x, k(&w, 0.6366197723675814), magic), r, low;
    LLVMValueRef count = neg(&w, sub(&w, n, magic));
    if (m->f64) {
        LLVMValueRef a = mad(m, count, k(m, HALF_PI_F64[0]), x), b = mul(m, count, k(m, HALF_PI_F64[1])), s = add(m, a, b);
        low = mad(m, count, k(m, HALF_PI_F64[2]), add(m, sub(m, a, s), b));
        r = add(m, s, low);
        low = add(m, sub(m, s, r), low);
    } else {
        LLVMValueRef s = mad(&w, count, k(&w, HALF_PI_F32[1]), mad(&w, count, k(&w, HALF_PI_F32[0]), x));
        r = narrow(m, s);
        low = narrow(m, sub(&w, s, widen(m, r)));
    }
    Quadrant q = {.n = bits(&w, n)};
    if (!m->f64) q.n = LLVMBuildTrunc(m->b, q.n, m->bits, "");
    LLVMValueRef z = mul(m, r, r), half = mul(m, z, k(m, 0.5)), one = sub(m, k(m, 1), half);
    q.sin = add(m, r, mad(m, mul(m, r, z), polynomial(m, c->sin, c->nsin, z), low));
    LLVMValueRef lost = sub(m, sub(m, sub(m, k(m, 1), one), half), mul(m, r, low));
    q.cos = add(m, one, mad(m, mul(m, z, z), polynomial(m, c->cos, c->ncos, z), lost));
    return q;
}

static LLVMValueRef far(const Fn *m) {
    return compare(m, LLVMRealOGT, size_of(m, m->x[0]), k(m, (m->f64 ? &F64 : &F32)->most));
}

/* x with its sign changed where bit `at` of n is set. */
static LLVMValueRef signed_by(const Fn *m, LLVMValueRef x, LLVMValueRef n, unsigned at) {
    unsigned top = m->f64 ? 63 : 31;
    LLVMValueRef sign = LLVMBuildAnd(m->b, LLVMBuildShl(m->b, n, ik(m, top - at), ""), ik(m, 1ull << top), "");
    return number(m, LLVMBuildXor(m->b, bits(m, x), sign, ""));
}

static LLVMValueRef is_odd(const Fn *m, LLVMValueRef n) {
    return LLVMBuildICmp(m->b, LLVMIntNE, LLVMBuildAnd(m->b, n, ik(m, 1), ""), ik(m, 0), "");
}

LLVMValueRef math_sincos(const Fn *m) {
    static const char *const libm[2] = {"sin", "cos"};
    Quadrant q = quadrant(m);
    LLVMValueRef odd = is_odd(m, q.n), v[2];
    v[0] = signed_by(m, choose(m, odd, q.cos, q.sin), q.n, 1);
    v[0] = where(m, LLVMRealOEQ, m->x[0], k(m, 0), m->x[0], v[0]); /* the sign of 0 */
    v[1] = signed_by(m, choose(m, odd, q.sin, q.cos), iadd(m, q.n, ik(m, 1)), 1);
    unless_rare(m, far(m), libm, v, 2);
    return pair_of(m, v[0], v[1]);
}

/* sin/cos, in odd quadrants -cos/sin. */
LLVMValueRef math_tan(const Fn *m) {
    static const char *const libm[1] = {"tan"};
    Quadrant q = quadrant(m);
    LLVMValueRef odd = is_odd(m, q.n), top = choose(m, odd, q.cos, q.sin);
    LLVMValueRef v = quotient(m, signed_by(m, top, q.n, 0), choose(m, odd, q.sin, q.cos));
    v = where(m, LLVMRealOEQ, m->x[0], k(m, 0), m->x[0], v);
    unless_rare(m, far(m), libm, &v, 1);
    return v;
}
