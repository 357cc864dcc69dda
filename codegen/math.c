/* Elementary functions as inline code, the same for scalars and vectors: exp, expm1, log, log1p, tanh of f32 and f64.
 *
 * Each is an internal function of the module, `tdl.exp.f64` or, on 8 lanes, `tdl.exp.v8f64`, made at its first use and always inlined:
 * no branches, no tables, no library, so loops around it can be vectorised. Largest errors: docs/math.md; a test holds
 * them. `--math=libm` calls the C library instead.
 *
 * Coefficients are minimax in the relative error of the function, by Remez exchange (scripts/minimax). Products and sums
 * are fused where the target does it in one instruction. The conversions between integers and floats add and subtract
 * 1.5 * 2**52 (f32: 2**23): instructions without fast-math flags, which LLVM keeps as they are. */
#include "codegen/cg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What differs between f64 and f32. ln2 is split so that k * ln2_high is exact for every exponent k. */
typedef struct {
    unsigned mantissa, bias, nexp, nlog;
    uint64_t sqrt_half, magic_bits;     /* the bits of 2**-0.5 and of magic */
    double magic, ln2_high, ln2_low;
    double largest, smallest;           /* exp overflows above, is below the normal numbers below */
    double normal, scale, scale_log2;   /* the smallest normal number; a power of two that makes subnormals normal */
    double tiny, minus_one;             /* expm1(x) is x below `tiny`, -1 below `minus_one` */
    double exp[10], log[7];             /* e**r = 1 + r + r**2 P(r); log((1+s)/(1-s)) = 2s + s**3 P(s**2) */
} Format;

static const Format F64 = {
    .mantissa = 52, .bias = 1023, .nexp = 10, .nlog = 7, .sqrt_half = 0x3fe6a09e667f3bcd, .magic_bits = 0x4338000000000000,
    .magic = 0x1.8p52, .ln2_high = 0x1.62e42fefa3p-1, .ln2_low = 0x1.3de6af278ece6p-42,
    .largest = 0x1.62e42fefa39efp+9, .smallest = -0x1.6232bdd7abcd2p+9,
    .normal = 0x1p-1022, .scale = 0x1p54, .scale_log2 = 54, .tiny = 0x1p-54, .minus_one = -50,
    .exp = {0x1.0000000000009p-1, 0x1.5555555555558p-3, 0x1.55555555503e3p-5, 0x1.111111110f803p-7, 0x1.6c16c18601e8cp-10,
            0x1.a01a01b00c2c6p-13, 0x1.a01993b37a9cap-16, 0x1.71ddf6b3f10d1p-19, 0x1.28b410d73d492p-22, 0x1.af632ad6abee8p-26},
    .log = {0x1.555555555557cp-1, 0x1.99999999847b5p-2, 0x1.2492493fb0e02p-2, 0x1.c71c52bb3f3efp-3, 0x1.746648978100bp-3,
            0x1.399d154f235f8p-3, 0x1.2f51c76fc9989p-3},
};

static const Format F32 = {
    .mantissa = 23, .bias = 127, .nexp = 5, .nlog = 4, .sqrt_half = 0x3f3504f3, .magic_bits = 0x4b400000,
    .magic = 0x1.8p23, .ln2_high = 0x1.62e4p-1, .ln2_low = 0x1.7f7d1cp-20,
    .largest = 0x1.62e42ep+6, .smallest = -0x1.5d589ep+6,
    .normal = 0x1p-126, .scale = 0x1p25, .scale_log2 = 25, .tiny = 0x1p-25, .minus_one = -20,
    .exp = {0x1.fffffcp-2, 0x1.555492p-3, 0x1.5558f2p-5, 0x1.1239e4p-7, 0x1.6a243ap-10},
    .log = {0x1.555556p-1, 0x1.999a7ep-2, 0x1.24358cp-2, 0x1.e3af48p-3},
};

/* The function being made: its types and numbers. */
typedef struct {
    CgUnit *u;
    LLVMBuilderRef b;
    LLVMTypeRef t, bits;
    unsigned lanes;             /* 1: a scalar */
    const Format *f;
} Fn;

static LLVMTypeRef scalar_of(LLVMTypeRef t) { return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetElementType(t) : t; }

/* ---- a vocabulary ---- */

static LLVMValueRef k(const Fn *m, double v) { return cg_splat(m->u, LLVMConstReal(scalar_of(m->t), v), m->lanes); }
static LLVMValueRef ik(const Fn *m, uint64_t v) { return cg_splat(m->u, LLVMConstInt(scalar_of(m->bits), v, 0), m->lanes); }

static LLVMValueRef add(const Fn *m, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildFAdd(m->b, x, y, ""); }
static LLVMValueRef sub(const Fn *m, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildFSub(m->b, x, y, ""); }
static LLVMValueRef mul(const Fn *m, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildFMul(m->b, x, y, ""); }
static LLVMValueRef quotient(const Fn *m, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildFDiv(m->b, x, y, ""); }
static LLVMValueRef bits(const Fn *m, LLVMValueRef x) { return LLVMBuildBitCast(m->b, x, m->bits, ""); }
static LLVMValueRef number(const Fn *m, LLVMValueRef x) { return LLVMBuildBitCast(m->b, x, m->t, ""); }
static LLVMValueRef iadd(const Fn *m, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildAdd(m->b, x, y, ""); }

/* x*y + z, fused where the target does that quickly; --strict-fp: never. */
static LLVMValueRef mad(const Fn *m, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z) {
    if (m->u->opt.strict_fp) return add(m, mul(m, x, y), z);
    return cg_intrinsic(m->u, "llvm.fmuladd", &m->t, 1, (LLVMValueRef[]){x, y, z}, 3);
}

static LLVMValueRef where(const Fn *m, LLVMRealPredicate p, LLVMValueRef x, LLVMValueRef y, LLVMValueRef yes, LLVMValueRef no) {
    return LLVMBuildSelect(m->b, LLVMBuildFCmp(m->b, p, x, y, ""), yes, no, "");
}

/* c[0] + c[1] x + ... by Estrin's scheme: neighbours are joined by powers x, x**2, x**4, ... */
static LLVMValueRef polynomial(const Fn *m, const double *c, unsigned n, LLVMValueRef x) {
    LLVMValueRef part[16];
    for (unsigned i = 0; i < n; i++) part[i] = k(m, c[i]);
    for (; n > 1; n = (n + 1) / 2, x = mul(m, x, x))
        for (unsigned i = 0; i < n; i += 2) part[i / 2] = i + 1 < n ? mad(m, part[i + 1], x, part[i]) : part[i];
    return part[0];
}

/* x = n ln2 + r + lost, |r| <= ln2/2: r and what rounding it lost (unless NULL), and n + magic, whose lowest bits hold n. */
static LLVMValueRef reduced(const Fn *m, LLVMValueRef x, LLVMValueRef *n, LLVMValueRef *lost) {
    *n = mad(m, x, k(m, 1.4426950408889634), k(m, m->f->magic));
    LLVMValueRef whole = sub(m, *n, k(m, m->f->magic)), low = k(m, -m->f->ln2_low);
    LLVMValueRef high = mad(m, whole, k(m, -m->f->ln2_high), x), r = mad(m, whole, low, high);
    if (lost) *lost = mad(m, whole, low, sub(m, high, r));
    return r;
}

/* ---- the functions ---- */

/* 2**n e**r, n added to the exponent's bits. What is below the normal numbers is 0. */
static LLVMValueRef make_exp(const Fn *m, LLVMValueRef x) {
    LLVMValueRef n, r = reduced(m, x, &n, NULL), rest = polynomial(m, m->f->exp, m->f->nexp, r);
    LLVMValueRef p = add(m, k(m, 1), mad(m, mul(m, r, r), rest, r));
    LLVMValueRef v = number(m, iadd(m, bits(m, p), LLVMBuildShl(m->b, bits(m, n), ik(m, m->f->mantissa), "")));
    v = where(m, LLVMRealOGT, x, k(m, m->f->largest), k(m, INFINITY), v);
    v = where(m, LLVMRealOLT, x, k(m, m->f->smallest), k(m, 0), v);
    return where(m, LLVMRealUNO, x, x, x, v);
}

/* 2 (2**(n-1) (e**r - 1) + 2**(n-1) - 1/2): exact scalings, no overflow in between. */
static LLVMValueRef make_expm1(const Fn *m, LLVMValueRef x) {
    LLVMValueRef low = k(m, m->f->minus_one), bounded = where(m, LLVMRealOLT, x, low, low, x);
    LLVMValueRef n, lost, r = reduced(m, bounded, &n, &lost), rest = polynomial(m, m->f->exp, m->f->nexp, r);
    LLVMValueRef small = add(m, r, mad(m, mul(m, r, r), rest, lost));
    LLVMValueRef power = LLVMBuildShl(m->b, iadd(m, bits(m, n), ik(m, m->f->bias - 1)), ik(m, m->f->mantissa), "");
    LLVMValueRef half = number(m, power), v = mad(m, half, small, sub(m, half, k(m, 0.5)));
    v = mul(m, v, k(m, 2));
    v = where(m, LLVMRealOGT, x, k(m, m->f->largest), k(m, INFINITY), v);
    LLVMValueRef size = cg_intrinsic(m->u, "llvm.fabs", &m->t, 1, &x, 1);
    return where(m, LLVMRealOLT, size, k(m, m->f->tiny), x, v);
}

/* x = 2**e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); with s = f/(2 + f): log(1 + f) = f - (f**2/2 - s (f**2/2 + s**2 P(s**2))). */
static LLVMValueRef make_log(const Fn *m, LLVMValueRef x) {
    const Format *f = m->f;
    LLVMValueRef small = LLVMBuildFCmp(m->b, LLVMRealOLT, x, k(m, f->normal), "");
    LLVMValueRef w = bits(m, LLVMBuildSelect(m->b, small, mul(m, x, k(m, f->scale)), x, ""));
    uint64_t one = (uint64_t)f->bias << f->mantissa;
    LLVMValueRef biased = LLVMBuildLShr(m->b, iadd(m, w, ik(m, one - f->sqrt_half)), ik(m, f->mantissa), ""); /* e + bias */
    LLVMValueRef unit = LLVMBuildSub(m->b, iadd(m, w, ik(m, one)), LLVMBuildShl(m->b, biased, ik(m, f->mantissa), ""), "");
    LLVMValueRef shift = LLVMBuildSelect(m->b, small, k(m, f->magic + f->bias + f->scale_log2), k(m, f->magic + f->bias), "");
    LLVMValueRef e = sub(m, number(m, iadd(m, biased, ik(m, f->magic_bits))), shift);
    LLVMValueRef z = sub(m, number(m, unit), k(m, 1)), s = quotient(m, z, add(m, z, k(m, 2))), s2 = mul(m, s, s);
    LLVMValueRef half = mul(m, mul(m, z, k(m, 0.5)), z), rest = mad(m, s2, polynomial(m, f->log, f->nlog, s2), half);
    LLVMValueRef v = sub(m, half, mad(m, s, rest, mul(m, e, k(m, f->ln2_low))));
    v = mad(m, e, k(m, f->ln2_high), sub(m, z, v));
    v = where(m, LLVMRealOEQ, x, k(m, INFINITY), x, v);
    v = where(m, LLVMRealOEQ, x, k(m, 0), k(m, -INFINITY), v);
    return where(m, LLVMRealOGE, x, k(m, 0), v, k(m, NAN));
}

/* log(u) + (what u = 1 + x lost of x) / u. */
static LLVMValueRef make_log1p(const Fn *m, LLVMValueRef x) {
    LLVMValueRef u = add(m, x, k(m, 1)), back = sub(m, u, k(m, 1)), v = cg_math(m->u, "log", u);
    v = where(m, LLVMRealOEQ, back, x, v, add(m, v, quotient(m, sub(m, x, back), u)));
    return where(m, LLVMRealOEQ, x, k(m, 0), x, v); /* the sign of 0 */
}

/* |t| / (t + 2) with t = e**y - 1, where y is -2|x| near 0 and 2|x| from 1/2 on, so that t's error counts little; at 22 the
 * result is 1. */
static LLVMValueRef make_tanh(const Fn *m, LLVMValueRef x) {
    LLVMValueRef size = cg_intrinsic(m->u, "llvm.fabs", &m->t, 1, &x, 1);
    size = where(m, LLVMRealOGT, size, k(m, 22), k(m, 22), size);
    LLVMValueRef twice = where(m, LLVMRealOLT, size, k(m, 0.5), k(m, -2), k(m, 2));
    LLVMValueRef t = cg_math(m->u, "expm1", mul(m, size, twice));
    LLVMValueRef v = quotient(m, cg_intrinsic(m->u, "llvm.fabs", &m->t, 1, &t, 1), add(m, t, k(m, 2)));
    return cg_intrinsic(m->u, "llvm.copysign", &m->t, 1, (LLVMValueRef[]){v, x}, 2);
}

static const struct {
    const char *name;
    LLVMValueRef (*make)(const Fn *m, LLVMValueRef x);
} FUNCTIONS[] = {{"exp", make_exp}, {"expm1", make_expm1}, {"log", make_log}, {"log1p", make_log1p}, {"tanh", make_tanh}};

static LLVMTypeRef integers_like(CgUnit *u, LLVMTypeRef t) {
    LLVMTypeRef e = scalar_of(t) == u->f64 ? u->i64 : u->i32;
    return scalar_of(t) == t ? e : LLVMVectorType(e, LLVMGetVectorSize(t));
}

/* The builder comes back to where it was. */
static void make(CgUnit *u, LLVMValueRef fn, LLVMTypeRef t, const char *name) {
    LLVMBasicBlockRef here = LLVMGetInsertBlock(u->b);
    LLVMMetadataRef line = LLVMGetCurrentDebugLocation2(u->b);
    unsigned lanes = scalar_of(t) == t ? 1 : LLVMGetVectorSize(t);
    Fn m = {u, u->b, t, integers_like(u, t), lanes, scalar_of(t) == u->f64 ? &F64 : &F32};
    LLVMSetCurrentDebugLocation2(u->b, NULL);
    LLVMPositionBuilderAtEnd(u->b, LLVMAppendBasicBlockInContext(u->ctx, fn, ""));
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++)
        if (!strcmp(FUNCTIONS[i].name, name)) LLVMBuildRet(u->b, FUNCTIONS[i].make(&m, LLVMGetParam(fn, 0)));
    LLVMPositionBuilderAtEnd(u->b, here);
    LLVMSetCurrentDebugLocation2(u->b, line);
}

LLVMValueRef cg_math(CgUnit *u, const char *name, LLVMValueRef x) {
    static const char *const attributes[] = {"alwaysinline", "nounwind", "willreturn", "nosync", "memory"};
    char full[32];
    LLVMTypeRef t = LLVMTypeOf(x), type = LLVMFunctionType(t, &t, 1, 0);
    const char *elem = scalar_of(t) == u->f64 ? "f64" : "f32";
    if (scalar_of(t) == t) snprintf(full, sizeof full, "tdl.%s.%s", name, elem);
    else snprintf(full, sizeof full, "tdl.%s.v%u%s", name, LLVMGetVectorSize(t), elem);
    LLVMValueRef fn = LLVMGetNamedFunction(u->mod, full);
    if (!fn) {
        fn = LLVMAddFunction(u->mod, full, type);
        LLVMSetLinkage(fn, LLVMInternalLinkage);
        for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
            cg_attr(u, fn, LLVMAttributeFunctionIndex, attributes[i], 0);
        make(u, fn, t, name);
    }
    return LLVMBuildCall2(u->b, type, fn, &x, 1, "");
}
