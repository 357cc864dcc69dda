/* What the elementary functions (math.c, math_*.c) are written in: one text for scalars and vectors, f32 and f64. */
#ifndef TDL_CODEGEN_MATH_H
#define TDL_CODEGEN_MATH_H

#include "codegen/cg.h"

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

extern const Format MATH_F64, MATH_F32;

/* The function being made: its types and numbers, its operands. */
typedef struct {
    CgUnit *u;
    LLVMBuilderRef b;
    LLVMTypeRef t, bits;
    unsigned lanes;                     /* 1: a scalar */
    bool f64;
    const Format *f;
    const char *name;
    LLVMValueRef x[2];
    unsigned nx;
} Fn;

enum { MATH_LANES = 64 };               /* at most */

static inline LLVMTypeRef scalar_of(LLVMTypeRef t) { return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetElementType(t) : t; }
static inline unsigned lanes_of(LLVMTypeRef t) { return scalar_of(t) == t ? 1 : LLVMGetVectorSize(t); }
static inline LLVMTypeRef in_lanes(LLVMTypeRef t, unsigned lanes) { return lanes == 1 ? t : LLVMVectorType(t, lanes); }

static inline LLVMValueRef splat(LLVMTypeRef t, LLVMValueRef x) {
    LLVMValueRef all[MATH_LANES];
    unsigned n = lanes_of(t);
    if (scalar_of(t) == t) return x;
    for (unsigned i = 0; i < n; i++) all[i] = x;
    return LLVMConstVector(all, n);
}

static inline LLVMValueRef k(const Fn *m, double v) { return splat(m->t, LLVMConstReal(scalar_of(m->t), v)); }
static inline LLVMValueRef ik(const Fn *m, uint64_t v) { return splat(m->bits, LLVMConstInt(scalar_of(m->bits), v, 0)); }

static inline LLVMValueRef add(const Fn *m, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildFAdd(m->b, x, y, ""); }
static inline LLVMValueRef sub(const Fn *m, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildFSub(m->b, x, y, ""); }
static inline LLVMValueRef mul(const Fn *m, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildFMul(m->b, x, y, ""); }
static inline LLVMValueRef neg(const Fn *m, LLVMValueRef x) { return LLVMBuildFNeg(m->b, x, ""); }
static inline LLVMValueRef quotient(const Fn *m, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildFDiv(m->b, x, y, ""); }
static inline LLVMValueRef bits(const Fn *m, LLVMValueRef x) { return LLVMBuildBitCast(m->b, x, m->bits, ""); }
static inline LLVMValueRef number(const Fn *m, LLVMValueRef x) { return LLVMBuildBitCast(m->b, x, m->t, ""); }
static inline LLVMValueRef iadd(const Fn *m, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildAdd(m->b, x, y, ""); }
static inline LLVMValueRef call1(const Fn *m, const char *intrinsic, LLVMValueRef x) { return cg_intrinsic(m->u, intrinsic, &m->t, 1, &x, 1); }
static inline LLVMValueRef size_of(const Fn *m, LLVMValueRef x) { return call1(m, "llvm.fabs", x); }
static inline LLVMValueRef copysign_of(const Fn *m, LLVMValueRef x, LLVMValueRef sign) {
    return cg_intrinsic(m->u, "llvm.copysign", &m->t, 1, (LLVMValueRef[]){x, sign}, 2);
}

static inline LLVMValueRef compare(const Fn *m, LLVMRealPredicate p, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildFCmp(m->b, p, x, y, ""); }
static inline LLVMValueRef choose(const Fn *m, LLVMValueRef c, LLVMValueRef yes, LLVMValueRef no) { return LLVMBuildSelect(m->b, c, yes, no, ""); }
static inline LLVMValueRef where(const Fn *m, LLVMRealPredicate p, LLVMValueRef x, LLVMValueRef y, LLVMValueRef yes, LLVMValueRef no) {
    return choose(m, compare(m, p, x, y), yes, no);
}

static inline LLVMTypeRef pair_type(CgUnit *u, LLVMTypeRef t) { return LLVMStructTypeInContext(u->ctx, (LLVMTypeRef[]){t, t}, 2, 0); }
static inline LLVMValueRef pair_of(const Fn *m, LLVMValueRef x, LLVMValueRef y) {
    return LLVMBuildInsertValue(m->b, LLVMBuildInsertValue(m->b, LLVMGetPoison(pair_type(m->u, m->t)), x, 0, ""), y, 1, "");
}

/* The leading half of the bits: products of two such numbers are exact. */
static inline LLVMValueRef leading(const Fn *m, LLVMValueRef x) {
    return number(m, LLVMBuildAnd(m->b, bits(m, x), ik(m, m->f64 ? ~0x7ffffffull : 0xfffff000u), ""));
}

/* v 2**n, n in the lowest bits of `count`; for normal results. */
static inline LLVMValueRef scaled(const Fn *m, LLVMValueRef v, LLVMValueRef count) {
    return number(m, iadd(m, bits(m, v), LLVMBuildShl(m->b, bits(m, count), ik(m, m->f->mantissa), "")));
}

/* ---- math.c ---- */

/* x*y + z, fused where the target does that quickly; --strict-fp: never. */
LLVMValueRef mad(const Fn *m, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z);
/* c[0] + c[1] x + ... */
LLVMValueRef polynomial(const Fn *m, const double *c, unsigned n, LLVMValueRef x);
/* x = n ln2 + r + lost, |r| <= ln2/2: r and what rounding it lost (unless NULL), and n, as the lowest bits of a number. */
LLVMValueRef reduced(const Fn *m, LLVMValueRef x, LLVMValueRef *n, LLVMValueRef *lost);
/* The same lanes in f64; x as one of them. */
Fn widened(const Fn *m);
LLVMValueRef widen(const Fn *m, LLVMValueRef x);
LLVMValueRef narrow(const Fn *m, LLVMValueRef x);
/* Where `rare` holds in any lane, v[0..n-1] become what the C library's functions `names` give for the operands: a
 * branch, so the functions that do this are not inlined. */
void unless_rare(const Fn *m, LLVMValueRef rare, const char *const *names, LLVMValueRef *v, unsigned n);

/* ---- the functions of the other files: of m->x ---- */
LLVMValueRef math_sincos(const Fn *m);
LLVMValueRef math_tan(const Fn *m);
LLVMValueRef math_pow(const Fn *m);
LLVMValueRef math_erf(const Fn *m);
LLVMValueRef math_erfc(const Fn *m);
LLVMValueRef math_erf_exp(const Fn *m);  /* the pair with e**(-x**2) */
LLVMValueRef math_erfc_exp(const Fn *m);
LLVMValueRef math_asin(const Fn *m);
LLVMValueRef math_acos(const Fn *m);
LLVMValueRef math_atan(const Fn *m);
LLVMValueRef math_atan2(const Fn *m);
LLVMValueRef math_sinh(const Fn *m);
LLVMValueRef math_cosh(const Fn *m);
LLVMValueRef math_asinh(const Fn *m);
LLVMValueRef math_acosh(const Fn *m);
LLVMValueRef math_atanh(const Fn *m);

#endif
