/* erf and erfc.
 *
 * |x| < 0.75: x + x P(x**2). Beyond, erfc(|x|) = e**(-x**2) Q / (1 + 2|x|), and erf is 1 - erfc. x**2 is taken as the exact
 * square of the leading half of x's bits and a rest. What is below the normal numbers is 0, as for exp.
 *
 * Their derivatives have e**(-x**2) in them: `erf_exp` and `erfc_exp` give both. */
#include "codegen/math.h"

/* Coefficients by scripts/minimax. */
typedef struct {
    double most;                    /* erfc(x) is normal up to here */
    double bell;                    /* e**(-x**2) is normal up to here */
    unsigned nerf, nerfc;
    double erf[11], erfc[20];       /* P for |x| <= 0.75; Q((|x| - 3)/(|x| + 3)) for 0.75 <= |x| <= 27.3, in f32 10.1 */
} Erf;

static const Erf F64 = {
    .most = 0x1.a8b12fc6e489p+4, .bell = 0x1.a9d9fa9a5cf09p+4, .nerf = 11, .nerfc = 20,
    .erf = {0x1.06eba8214db69p-3, -0x1.812746b0379e2p-2, 0x1.ce2f21a0425ddp-4, -0x1.b82ce3125d943p-6, 0x1.565bcd048b872p-8,
            -0x1.c02db15f5569dp-11, 0x1.f9a2b768923a5p-14, -0x1.f4c67ab33fe01p-17, 0x1.b916301158803p-20,
            -0x1.5680ff8372372p-23, 0x1.8b4bac1d9b6d1p-27},
    .erfc = {0x1.40c522d7e4987p+0, -0x1.15c084bb9e904p-3, -0x1.85a15c58aa20dp-5, 0x1.098366a5b5021p-3, -0x1.e88b803a51b23p-4,
             0x1.17ca2877c25f9p-4, -0x1.8574c407ff354p-6, 0x1.4b884eab61582p-9, 0x1.ef1bd9c0a4d9p-10, -0x1.98db6012612a3p-11,
             -0x1.b9108e4ecff45p-14, 0x1.065b6e6317336p-13, 0x1.4b8421638f996p-18, -0x1.5156d69761483p-16,
             -0x1.77ce8be26c116p-21, 0x1.d319a55fc4165p-19, 0x1.3ab990b666abep-22, -0x1.49322cd5a4232p-21,
             -0x1.241d3b721dd53p-24, 0x1.67147ce6a1f54p-24},
};
static const Erf F32 = {
    .most = 0x1.2639bep+3, .bell = 0x1.2b0d88p+3, .nerf = 6, .nerfc = 10,
    .erf = {0x1.06eba8p-3, -0x1.81273cp-2, 0x1.ce2b5ep-4, -0x1.b7b464p-6, 0x1.4f8ceep-8, -0x1.6404dep-11},
    .erfc = {0x1.40c522p+0, -0x1.15c082p-3, -0x1.85a126p-5, 0x1.098306p-3, -0x1.e88e1ap-4, 0x1.17d4eap-4, -0x1.8518f2p-6,
             0x1.43d894p-9, 0x1.da2032p-10, -0x1.4e3516p-11},
};

static const Erf *numbers(const Fn *m) { return m->f64 ? &F64 : &F32; }

/* erf(a), 0 <= a < 0.75, or NaN. */
static LLVMValueRef near(const Fn *m, LLVMValueRef a) {
    const Erf *c = numbers(m);
    return mad(m, a, polynomial(m, c->erf, c->nerf, mul(m, a, a)), a);
}

/* e**(-a**2) = (1 + w) 2**n, where 1 + w = e**r. */
typedef struct { LLVMValueRef w, n; } Bell;

static Bell bell(const Fn *m, LLVMValueRef a) {
    LLVMValueRef most = k(m, numbers(m)->bell), n, lost;
    a = where(m, LLVMRealOGT, a, most, most, a);
    LLVMValueRef high = leading(m, a), rest = mul(m, sub(m, high, a), add(m, high, a));
    LLVMValueRef first = reduced(m, neg(m, mul(m, high, high)), &n, &lost), r = add(m, first, rest);
    lost = add(m, lost, add(m, sub(m, first, r), rest));
    return (Bell){add(m, r, mad(m, mul(m, r, r), polynomial(m, m->f->exp, m->f->nexp, r), lost)), n};
}

static LLVMValueRef bell_value(const Fn *m, LLVMValueRef a, Bell e) {
    LLVMValueRef v = scaled(m, add(m, k(m, 1), e.w), e.n);
    v = where(m, LLVMRealOGT, a, k(m, numbers(m)->bell), k(m, 0), v);
    return where(m, LLVMRealUNO, a, a, a, v);
}

/* erfc(a), 0.75 <= a: f (1 + w) 2**n. f = p/d is f + more, p = c[0] + t and d = 1 + 2a without their rounding. One quotient
 * serves for 1/d and for 1/(a + 3); what f loses by it is in `more`. */
static LLVMValueRef tail(const Fn *m, LLVMValueRef a, Bell e) {
    const Erf *c = numbers(m);
    LLVMValueRef three = k(m, 3), one = k(m, 1);
    LLVMValueRef twice = mul(m, a, k(m, 2)), d = add(m, twice, one), above = add(m, a, three), inverse = quotient(m, one, mul(m, above, d));
    LLVMValueRef q = mul(m, sub(m, a, three), mul(m, d, inverse)), by = mul(m, above, inverse), c0 = k(m, c->erfc[0]);
    LLVMValueRef t = mul(m, q, polynomial(m, c->erfc + 1, c->nerfc - 1, q)), p = add(m, c0, t), f = mul(m, p, by);
    LLVMValueRef fh = leading(m, f), dh = leading(m, d), dl = sub(m, one, sub(m, dh, twice));
    LLVMValueRef off = sub(m, sub(m, p, mul(m, fh, dh)), mul(m, fh, dl));
    off = add(m, sub(m, off, mul(m, sub(m, f, fh), d)), sub(m, t, sub(m, p, c0)));
    LLVMValueRef more = mul(m, off, by), v = scaled(m, add(m, f, mad(m, f, e.w, mad(m, more, e.w, more))), e.n);
    return where(m, LLVMRealOGT, a, k(m, c->most), k(m, 0), v);
}

typedef LLVMValueRef Side(const Fn *m, LLVMValueRef a, const Bell *e); /* e: of a, or NULL: not made yet */

/* Both in vectors, in a scalar one of them. */
static LLVMValueRef either(const Fn *m, LLVMValueRef a, const Bell *e, Side *first, Side *second) {
    LLVMValueRef is_near = compare(m, LLVMRealULT, a, k(m, 0.75)); /* NaN, too */
    if (m->lanes > 1) return choose(m, is_near, first(m, a, e), second(m, a, e));
    LLVMValueRef fn = LLVMGetBasicBlockParent(LLVMGetInsertBlock(m->b)), v[2];
    LLVMBasicBlockRef block[2], done;
    for (int i = 0; i < 2; i++) block[i] = LLVMAppendBasicBlockInContext(m->u->ctx, fn, "");
    done = LLVMAppendBasicBlockInContext(m->u->ctx, fn, "");
    LLVMBuildCondBr(m->b, is_near, block[0], block[1]);
    for (int i = 0; i < 2; i++) {
        LLVMPositionBuilderAtEnd(m->b, block[i]);
        v[i] = (i ? second : first)(m, a, e);
        LLVMBuildBr(m->b, done);
    }
    LLVMPositionBuilderAtEnd(m->b, done);
    LLVMValueRef r = LLVMBuildPhi(m->b, m->t, "");
    LLVMAddIncoming(r, v, block, 2);
    return r;
}

static LLVMValueRef erf_near(const Fn *m, LLVMValueRef a, const Bell *e) { return (void)e, near(m, a); }
static LLVMValueRef erf_far(const Fn *m, LLVMValueRef a, const Bell *e) { return sub(m, k(m, 1), tail(m, a, e ? *e : bell(m, a))); }

static LLVMValueRef erf_of(const Fn *m, LLVMValueRef a, const Bell *e) {
    return copysign_of(m, either(m, a, e, erf_near, erf_far), m->x[0]);
}

static LLVMValueRef erfc_near(const Fn *m, LLVMValueRef a, const Bell *e) {
    (void)e;
    return sub(m, k(m, 1), copysign_of(m, near(m, a), m->x[0]));
}

static LLVMValueRef erfc_far(const Fn *m, LLVMValueRef a, const Bell *e) {
    LLVMValueRef v = tail(m, a, e ? *e : bell(m, a));
    return where(m, LLVMRealOLT, m->x[0], k(m, 0), sub(m, k(m, 2), v), v);
}

static LLVMValueRef erfc_of(const Fn *m, LLVMValueRef a, const Bell *e) { return either(m, a, e, erfc_near, erfc_far); }

LLVMValueRef math_erf(const Fn *m) { return erf_of(m, size_of(m, m->x[0]), NULL); }
LLVMValueRef math_erfc(const Fn *m) { return erfc_of(m, size_of(m, m->x[0]), NULL); }

static LLVMValueRef with_bell(const Fn *m, Side *of) {
    LLVMValueRef a = size_of(m, m->x[0]);
    Bell e = bell(m, a);
    return pair_of(m, of(m, a, &e), bell_value(m, a, e));
}

LLVMValueRef math_erf_exp(const Fn *m) { return with_bell(m, erf_of); }
LLVMValueRef math_erfc_exp(const Fn *m) { return with_bell(m, erfc_of); }
