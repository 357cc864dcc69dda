/* asin, acos, atan, atan2: odd polynomials on |x| <= 1/2, what is beyond brought there. Multiples of pi/4 are in two parts. */
#include "codegen/math.h"

/* Coefficients by scripts/minimax, for |x| <= 1/2: f(x) = x + x**3 P(x**2). */
typedef struct {
    unsigned nasin, natan;
    double asin[12], atan[12];
    double pi_high, pi_low, three_high, three_low;  /* pi, 3 pi/4 */
    double least, most;                             /* atan2: scales without overflow or subnormal numbers */
} Inverse;

static const Inverse F64 = {
    .nasin = 12, .natan = 12,
    .asin = {0x1.55555555554a4p-3, 0x1.3333333354859p-4, 0x1.6db6db4fff37dp-5, 0x1.f1c728c1c20fp-6, 0x1.6e8a351dc8379p-6,
             0x1.1c68fb15a8ea1p-6, 0x1.c7276e1c274d6p-7, 0x1.8e09daac0f5ebp-7, 0x1.af7a5c352c74cp-8, 0x1.3efbd11a144a7p-6,
             -0x1.0a66fb09cb33ep-6, 0x1.064170534e5a7p-5},
    .atan = {-0x1.5555555555539p-2, 0x1.99999999943e7p-3, -0x1.2492492227f8ap-3, 0x1.c71c70c234977p-4, -0x1.745cf82d3c6b7p-4,
             0x1.3b11612a973efp-4, -0x1.10f3fb02da57dp-4, 0x1.dfef1ac99122fp-5, -0x1.a39bffedcea2ep-5, 0x1.56cf0058984e1p-5,
             -0x1.c0830aa8223bcp-6, 0x1.498e843dd8e39p-7},
    .pi_high = 0x1.921fb54442d18p+1, .pi_low = 0x1.1a62633145c07p-53,
    .three_high = 0x1.2d97c7f3321d2p+1, .three_low = 0x1.a79394c9e8a0ap-54, .least = 0x1p-1000, .most = 0x1p1000,
};
static const Inverse F32 = {
    .nasin = 5, .natan = 6,
    .asin = {0x1.5555acp-3, 0x1.3305c6p-4, 0x1.7474bep-5, 0x1.8a23c2p-6, 0x1.5c9beap-5},
    .atan = {-0x1.555552p-2, 0x1.99972ep-3, -0x1.244c28p-3, 0x1.c0114p-4, -0x1.464a66p-4, 0x1.3a3514p-5},
    .pi_high = 0x1.921fb6p+1, .pi_low = -0x1.777a5cp-24, .three_high = 0x1.2d97c8p+1, .three_low = -0x1.99bc5cp-28,
    .least = 0x1p-110, .most = 0x1p110,
};

static const Inverse *numbers(const Fn *m) { return m->f64 ? &F64 : &F32; }

/* asin(a) = s + rest for a = |x| <= 1/2, pi/2 - 2 (s + rest) for larger ones. */
typedef struct { LLVMValueRef s, rest, large; } Sine;

static Sine inverse_sine(const Fn *m, LLVMValueRef a) {
    const Inverse *c = numbers(m);
    LLVMValueRef half = k(m, 0.5), large = compare(m, LLVMRealOGT, a, half);
    LLVMValueRef z = choose(m, large, mul(m, sub(m, k(m, 1), a), half), mul(m, a, a));
    LLVMValueRef s = choose(m, large, call1(m, "llvm.sqrt", z), a);
    return (Sine){s, mul(m, mul(m, s, z), polynomial(m, c->asin, c->nasin, z)), large};
}

LLVMValueRef math_asin(const Fn *m) {
    const Inverse *c = numbers(m);
    Sine i = inverse_sine(m, size_of(m, m->x[0]));
    LLVMValueRef half_pi = k(m, c->pi_high / 2), twice = mul(m, i.s, k(m, 2)), high = sub(m, half_pi, twice);
    LLVMValueRef lost = sub(m, sub(m, half_pi, high), twice), low = mad(m, i.rest, k(m, -2), add(m, lost, k(m, c->pi_low / 2)));
    return copysign_of(m, choose(m, i.large, add(m, high, low), add(m, i.s, i.rest)), m->x[0]);
}

/* pi/2 - asin(x); beyond 1/2, 2 (s + rest) or pi - 2 (s + rest). */
LLVMValueRef math_acos(const Fn *m) {
    const Inverse *c = numbers(m);
    LLVMValueRef x = m->x[0], zero = k(m, 0), below = compare(m, LLVMRealOLT, x, zero);
    Sine i = inverse_sine(m, size_of(m, x));
    LLVMValueRef times = choose(m, i.large, choose(m, below, k(m, -2), k(m, 2)), choose(m, below, k(m, 1), k(m, -1)));
    LLVMValueRef high = choose(m, i.large, choose(m, below, k(m, c->pi_high), zero), k(m, c->pi_high / 2));
    LLVMValueRef low = choose(m, i.large, choose(m, below, k(m, c->pi_low), zero), k(m, c->pi_low / 2));
    return add(m, mad(m, i.s, times, high), mad(m, i.rest, times, low));
}

/* The angle of (b, a), a and b at least 0; from pi down where `back` is not NULL and negative. */
static LLVMValueRef angle(const Fn *m, LLVMValueRef a, LLVMValueRef b, LLVMValueRef back) {
    const Inverse *c = numbers(m);
    LLVMValueRef half = k(m, 0.5), zero = k(m, 0), one = k(m, 1), three = k(m, c->three_high), three_low = k(m, c->three_low);
    LLVMValueRef steep = compare(m, LLVMRealOGT, mul(m, a, half), b), middle = compare(m, LLVMRealOGT, a, mul(m, b, half));
    LLVMValueRef top = choose(m, steep, neg(m, b), choose(m, middle, sub(m, a, b), a));
    LLVMValueRef bottom = choose(m, steep, a, choose(m, middle, add(m, a, b), b));
    LLVMValueRef high = k(m, c->pi_high / 4), low = k(m, c->pi_low / 4), end = zero, end_low = zero;
    if (back) {
        LLVMValueRef negative = LLVMBuildICmp(m->b, LLVMIntSLT, bits(m, back), ik(m, 0), "");
        bottom = where(m, LLVMRealOEQ, bottom, zero, one, bottom);
        top = choose(m, negative, neg(m, top), top);
        high = choose(m, negative, three, high), low = choose(m, negative, three_low, low);
        end = choose(m, negative, k(m, c->pi_high), zero), end_low = choose(m, negative, k(m, c->pi_low), zero);
    }
    LLVMValueRef t = quotient(m, top, bottom), z = mul(m, t, t);
    high = choose(m, steep, k(m, c->pi_high / 2), choose(m, middle, high, end));
    low = choose(m, steep, k(m, c->pi_low / 2), choose(m, middle, low, end_low));
    return add(m, high, add(m, t, mad(m, mul(m, t, z), polynomial(m, c->atan, c->natan, z), low)));
}

LLVMValueRef math_atan(const Fn *m) {
    return copysign_of(m, angle(m, size_of(m, m->x[0]), k(m, 1), NULL), m->x[0]);
}

LLVMValueRef math_atan2(const Fn *m) {
    static const char *const libm[1] = {"atan2"};
    LLVMValueRef y = m->x[0], x = m->x[1], a = size_of(m, y), b = size_of(m, x);
    LLVMValueRef v = copysign_of(m, angle(m, a, b, x), y), size = where(m, LLVMRealOGT, a, b, a, b);
    LLVMValueRef small = compare(m, LLVMRealOLT, size, k(m, numbers(m)->least)), some = compare(m, LLVMRealOGT, size, k(m, 0));
    LLVMValueRef rare = LLVMBuildOr(m->b, compare(m, LLVMRealOGT, size, k(m, numbers(m)->most)), LLVMBuildAnd(m->b, small, some, ""), "");
    unless_rare(m, rare, libm, &v, 1);
    return v;
}
