/* Elementary functions as code of the object, the same for scalars and vectors, f32 and f64: no tables, no library, selects
 * for branches. Here: the vocabulary, exp, expm1, log, log1p, tanh, and the table of all; the others in math_*.c. Largest
 * errors: docs/math.md; a test holds them. `--math=libm` calls the C library instead.
 *
 * Each is an internal function of the module, `tdl.exp.f64` or, on 8 lanes, `tdl.exp.v8f64`, made at its first use. Short ones
 * are always inlined. Long ones are not: one copy, and a branch that no loop has to carry for what is rare.
 *
 * Coefficients are minimax in the relative error of the function, by Remez exchange (scripts/minimax). Products and sums
 * are fused where the target does it in one instruction. The conversions between integers and floats add and subtract
 * 1.5 * 2**52 (f32: 2**23): instructions without fast-math flags, which LLVM keeps as they are. */
#include "codegen/math.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const Format MATH_F64 = {
    .mantissa = 52, .bias = 1023, .nexp = 10, .nlog = 7, .sqrt_half = 0x3fe6a09e667f3bcd, .magic_bits = 0x4338000000000000,
    .magic = 0x1.8p52, .ln2_high = 0x1.62e42fefa3p-1, .ln2_low = 0x1.3de6af278ece6p-42,
    .largest = 0x1.62e42fefa39efp+9, .smallest = -0x1.6232bdd7abcd2p+9,
    .normal = 0x1p-1022, .scale = 0x1p54, .scale_log2 = 54, .tiny = 0x1p-54, .minus_one = -50,
    .exp = {0x1.0000000000009p-1, 0x1.5555555555558p-3, 0x1.55555555503e3p-5, 0x1.111111110f803p-7, 0x1.6c16c18601e8cp-10,
            0x1.a01a01b00c2c6p-13, 0x1.a01993b37a9cap-16, 0x1.71ddf6b3f10d1p-19, 0x1.28b410d73d492p-22, 0x1.af632ad6abee8p-26},
    .log = {0x1.555555555557cp-1, 0x1.99999999847b5p-2, 0x1.2492493fb0e02p-2, 0x1.c71c52bb3f3efp-3, 0x1.746648978100bp-3,
            0x1.399d154f235f8p-3, 0x1.2f51c76fc9989p-3},
};

const Format MATH_F32 = {
    .mantissa = 23, .bias = 127, .nexp = 5, .nlog = 4, .sqrt_half = 0x3f3504f3, .magic_bits = 0x4b400000,
    .magic = 0x1.8p23, .ln2_high = 0x1.62e4p-1, .ln2_low = 0x1.7f7d1cp-20,
    .largest = 0x1.62e42ep+6, .smallest = -0x1.5d589ep+6,
    .normal = 0x1p-126, .scale = 0x1p25, .scale_log2 = 25, .tiny = 0x1p-25, .minus_one = -20,
    .exp = {0x1.fffffcp-2, 0x1.555492p-3, 0x1.5558f2p-5, 0x1.1239e4p-7, 0x1.6a243ap-10},
    .log = {0x1.555556p-1, 0x1.999a7ep-2, 0x1.24358cp-2, 0x1.e3af48p-3},
};

/* ---- a vocabulary ---- */

LLVMValueRef mad(const Fn *m, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z) {
    if (m->u->opt.strict_fp) return add(m, mul(m, x, y), z);
    return cg_intrinsic(m->u, "llvm.fmuladd", &m->t, 1, (LLVMValueRef[]){x, y, z}, 3);
}

/* By Estrin's scheme: neighbours are joined by powers x, x**2, x**4, ... */
LLVMValueRef polynomial(const Fn *m, const double *c, unsigned n, LLVMValueRef x) {
    LLVMValueRef part[32];
    for (unsigned i = 0; i < n; i++) part[i] = k(m, c[i]);
    for (; n > 1; n = (n + 1) / 2, x = mul(m, x, x))
        for (unsigned i = 0; i < n; i += 2) part[i / 2] = i + 1 < n ? mad(m, part[i + 1], x, part[i]) : part[i];
    return part[0];
}

Fn widened(const Fn *m) {
    Fn w = *m;
    w.t = in_lanes(m->u->f64, m->lanes);
    w.bits = in_lanes(m->u->i64, m->lanes);
    w.f64 = true;
    w.f = &MATH_F64;
    return w;
}

LLVMValueRef widen(const Fn *m, LLVMValueRef x) { return m->f64 ? x : LLVMBuildFPExt(m->b, x, in_lanes(m->u->f64, m->lanes), ""); }
LLVMValueRef narrow(const Fn *m, LLVMValueRef x) { return m->f64 ? x : LLVMBuildFPTrunc(m->b, x, m->t, ""); }

static LLVMValueRef call_scalar(const Fn *m, LLVMValueRef *x);

/* Lane by lane, by the function of scalars. */
static void each_lane(const Fn *m, LLVMValueRef *r, unsigned n) {
    LLVMBasicBlockRef before = LLVMGetInsertBlock(m->b), end;
    LLVMValueRef fn = LLVMGetBasicBlockParent(before), x[2] = {NULL, NULL}, all[2], start = LLVMGetPoison(m->t);
    LLVMBasicBlockRef loop = LLVMAppendBasicBlockInContext(m->u->ctx, fn, "lane");
    LLVMBuildBr(m->b, loop);
    LLVMPositionBuilderAtEnd(m->b, loop);
    LLVMValueRef lane = LLVMBuildPhi(m->b, m->u->i32, "");
    for (unsigned i = 0; i < n; i++) all[i] = LLVMBuildPhi(m->b, m->t, "");
    for (unsigned i = 0; i < m->nx; i++) x[i] = LLVMBuildExtractElement(m->b, m->x[i], lane, "");
    LLVMValueRef one = call_scalar(m, x);
    for (unsigned i = 0; i < n; i++)
        r[i] = LLVMBuildInsertElement(m->b, all[i], n == 1 ? one : LLVMBuildExtractValue(m->b, one, i, ""), lane, "");
    LLVMValueRef next = LLVMBuildAdd(m->b, lane, LLVMConstInt(m->u->i32, 1, 0), "");
    LLVMValueRef more = LLVMBuildICmp(m->b, LLVMIntULT, next, LLVMConstInt(m->u->i32, m->lanes, 0), "");
    end = LLVMAppendBasicBlockInContext(m->u->ctx, fn, "");
    LLVMBuildCondBr(m->b, more, loop, end);
    LLVMAddIncoming(lane, (LLVMValueRef[]){LLVMConstInt(m->u->i32, 0, 0), next}, (LLVMBasicBlockRef[]){before, loop}, 2);
    for (unsigned i = 0; i < n; i++) LLVMAddIncoming(all[i], (LLVMValueRef[]){start, r[i]}, (LLVMBasicBlockRef[]){before, loop}, 2);
    LLVMPositionBuilderAtEnd(m->b, end);
}

void unless_rare(const Fn *m, LLVMValueRef rare, const char *const *names, LLVMValueRef *v, unsigned n) {
    LLVMBasicBlockRef here = LLVMGetInsertBlock(m->b);
    LLVMValueRef fn = LLVMGetBasicBlockParent(here), r[2], args[2] = {m->x[0], m->x[1]}, lanes = rare, no = LLVMConstInt(m->u->i1, 0, 0);
    LLVMBasicBlockRef slow = LLVMAppendBasicBlockInContext(m->u->ctx, fn, "slow"), done = LLVMAppendBasicBlockInContext(m->u->ctx, fn, "");
    if (m->lanes > 1) {
        LLVMTypeRef mask = LLVMIntTypeInContext(m->u->ctx, m->lanes);
        rare = LLVMBuildICmp(m->b, LLVMIntNE, LLVMBuildBitCast(m->b, rare, mask, ""), LLVMConstNull(mask), "");
    }
    rare = cg_intrinsic(m->u, "llvm.expect", &m->u->i1, 1, (LLVMValueRef[]){rare, no}, 2);
    LLVMBuildCondBr(m->b, rare, slow, done);
    LLVMPositionBuilderAtEnd(m->b, slow);
    if (m->lanes > 1) each_lane(m, r, n);
    for (unsigned i = 0; i < n; i++) /* a lane's result does not depend on its neighbours */
        r[i] = m->lanes > 1 ? choose(m, lanes, r[i], v[i]) : cg_libm(m->u, names[i], args, m->nx);
    LLVMBasicBlockRef end = LLVMGetInsertBlock(m->b);
    LLVMBuildBr(m->b, done);
    LLVMPositionBuilderAtEnd(m->b, done);
    for (unsigned i = 0; i < n; i++) {
        LLVMValueRef both[2] = {v[i], r[i]};
        v[i] = LLVMBuildPhi(m->b, m->t, "");
        LLVMAddIncoming(v[i], both, (LLVMBasicBlockRef[]){here, end}, 2);
    }
}

LLVMValueRef reduced(const Fn *m, LLVMValueRef x, LLVMValueRef *n, LLVMValueRef *lost) {
    *n = mad(m, x, k(m, 1.4426950408889634), k(m, m->f->magic));
    LLVMValueRef whole = sub(m, *n, k(m, m->f->magic)), low = k(m, -m->f->ln2_low);
    LLVMValueRef high = mad(m, whole, k(m, -m->f->ln2_high), x), r = mad(m, whole, low, high);
    if (lost) *lost = mad(m, whole, low, sub(m, high, r));
    return r;
}

/* ---- the functions ---- */

/* 2**n e**r, n added to the exponent's bits. What is below the normal numbers is 0. */
static LLVMValueRef make_exp(const Fn *m) {
    LLVMValueRef x = m->x[0];
    LLVMValueRef n, r = reduced(m, x, &n, NULL), rest = polynomial(m, m->f->exp, m->f->nexp, r);
    LLVMValueRef p = add(m, k(m, 1), mad(m, mul(m, r, r), rest, r));
    LLVMValueRef v = scaled(m, p, n);
    v = where(m, LLVMRealOGT, x, k(m, m->f->largest), k(m, INFINITY), v);
    v = where(m, LLVMRealOLT, x, k(m, m->f->smallest), k(m, 0), v);
    return where(m, LLVMRealUNO, x, x, x, v);
}

/* 2 (2**(n-1) (e**r - 1) + 2**(n-1) - 1/2): exact scalings, no overflow in between. */
static LLVMValueRef make_expm1(const Fn *m) {
    LLVMValueRef x = m->x[0];
    LLVMValueRef low = k(m, m->f->minus_one), bounded = where(m, LLVMRealOLT, x, low, low, x);
    LLVMValueRef n, lost, r = reduced(m, bounded, &n, &lost), rest = polynomial(m, m->f->exp, m->f->nexp, r);
    LLVMValueRef small = add(m, r, mad(m, mul(m, r, r), rest, lost));
    LLVMValueRef power = LLVMBuildShl(m->b, iadd(m, bits(m, n), ik(m, m->f->bias - 1)), ik(m, m->f->mantissa), "");
    LLVMValueRef half = number(m, power), v = mad(m, half, small, sub(m, half, k(m, 0.5)));
    v = mul(m, v, k(m, 2));
    v = where(m, LLVMRealOGT, x, k(m, m->f->largest), k(m, INFINITY), v);
    LLVMValueRef size = size_of(m, x);
    return where(m, LLVMRealOLT, size, k(m, m->f->tiny), x, v);
}

/* log(x + low) of positive normal x, where `ratio` (unless NULL) is low/x; `shift` is what the exponent of x has in excess.
 * x = 2**e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); with s = f/(2 + f): log(1 + f) = f - (f**2/2 - s (f**2/2 + s**2 P(s**2))). */
static LLVMValueRef logarithm(const Fn *m, LLVMValueRef x, LLVMValueRef ratio, LLVMValueRef shift) {
    const Format *f = m->f;
    uint64_t one = (uint64_t)f->bias << f->mantissa;
    LLVMValueRef w = bits(m, x);
    LLVMValueRef biased = LLVMBuildLShr(m->b, iadd(m, w, ik(m, one - f->sqrt_half)), ik(m, f->mantissa), ""); /* e + bias */
    LLVMValueRef unit = LLVMBuildSub(m->b, iadd(m, w, ik(m, one)), LLVMBuildShl(m->b, biased, ik(m, f->mantissa), ""), "");
    LLVMValueRef e = sub(m, number(m, iadd(m, biased, ik(m, f->magic_bits))), shift);
    LLVMValueRef z = sub(m, number(m, unit), k(m, 1)), s = quotient(m, z, add(m, z, k(m, 2))), s2 = mul(m, s, s);
    LLVMValueRef half = mul(m, mul(m, z, k(m, 0.5)), z), rest = mad(m, s2, polynomial(m, f->log, f->nlog, s2), half);
    LLVMValueRef low = mul(m, e, k(m, f->ln2_low)), v = sub(m, half, mad(m, s, rest, ratio ? add(m, low, ratio) : low));
    return mad(m, e, k(m, f->ln2_high), sub(m, z, v));
}

static LLVMValueRef log_specials(const Fn *m, LLVMValueRef x, LLVMValueRef v) {
    v = where(m, LLVMRealOEQ, x, k(m, INFINITY), x, v);
    v = where(m, LLVMRealOEQ, x, k(m, 0), k(m, -INFINITY), v);
    return where(m, LLVMRealOGE, x, k(m, 0), v, k(m, NAN));
}

static LLVMValueRef make_log(const Fn *m) {
    const Format *f = m->f;
    LLVMValueRef x = m->x[0], small = compare(m, LLVMRealOLT, x, k(m, f->normal));
    LLVMValueRef w = choose(m, small, mul(m, x, k(m, f->scale)), x);
    LLVMValueRef shift = choose(m, small, k(m, f->magic + f->bias + f->scale_log2), k(m, f->magic + f->bias));
    return log_specials(m, x, logarithm(m, w, NULL, shift));
}

/* u = 1 + x, and what it lost of x. */
static LLVMValueRef make_log1p(const Fn *m) {
    LLVMValueRef x = m->x[0], u = add(m, x, k(m, 1)), back = sub(m, u, k(m, 1)), lost = sub(m, x, back);
    LLVMValueRef ratio = where(m, LLVMRealOEQ, back, x, k(m, 0), quotient(m, lost, u));
    LLVMValueRef v = log_specials(m, u, logarithm(m, u, ratio, k(m, m->f->magic + m->f->bias)));
    return where(m, LLVMRealOEQ, x, k(m, 0), x, v); /* the sign of 0 */
}

/* |t| / (t + 2) with t = e**y - 1, where y is -2|x| near 0 and 2|x| from 1/2 on, so that t's error counts little; at 22 the
 * result is 1. */
static LLVMValueRef make_tanh(const Fn *m) {
    LLVMValueRef x = m->x[0];
    LLVMValueRef size = size_of(m, x);
    size = where(m, LLVMRealOGT, size, k(m, 22), k(m, 22), size);
    LLVMValueRef twice = where(m, LLVMRealOLT, size, k(m, 0.5), k(m, -2), k(m, 2));
    LLVMValueRef t = cg_math(m->u, "expm1", mul(m, size, twice), NULL);
    LLVMValueRef v = quotient(m, size_of(m, t), add(m, t, k(m, 2)));
    return copysign_of(m, v, x);
}

typedef struct {
    const char *name;
    LLVMValueRef (*make)(const Fn *m);
    bool once;              /* long, or with a branch: it stays a function of the module */
    bool pair;              /* it gives two values */
} Function;

static const Function FUNCTIONS[] = {
    {"exp", make_exp, false, false}, {"expm1", make_expm1, false, false}, {"log", make_log, false, false},
    {"log1p", make_log1p, false, false}, {"tanh", make_tanh, false, false}, {"sincos", math_sincos, true, true},
    {"tan", math_tan, true, false}, {"pow", math_pow, true, false}, {"erf", math_erf, true, false}, {"erfc", math_erfc, true, false},
    {"erf_exp", math_erf_exp, true, true}, {"erfc_exp", math_erfc_exp, true, true}, {"asin", math_asin, true, false},
    {"acos", math_acos, true, false}, {"atan", math_atan, true, false}, {"atan2", math_atan2, true, false},
    {"sinh", math_sinh, true, false}, {"cosh", math_cosh, true, false}, {"asinh", math_asinh, true, false},
    {"acosh", math_acosh, true, false}, {"atanh", math_atanh, true, false},
};

static const Function *function_named(const char *name) {
    const Function *f = FUNCTIONS;
    while (strcmp(f->name, name)) f++;
    return f;
}

/* ---- functions of the module ---- */

static LLVMTypeRef integers_like(CgUnit *u, LLVMTypeRef t) {
    return in_lanes(scalar_of(t) == u->f64 ? u->i64 : u->i32, lanes_of(t));
}

/* What a function makes of `nx` operands of type t. */
static LLVMTypeRef type_of(CgUnit *u, const Function *f, LLVMTypeRef t, unsigned nx) {
    LLVMTypeRef operands[2] = {t, t};
    return LLVMFunctionType(f->pair ? pair_type(u, t) : t, operands, nx, 0);
}

/* `tdl.exp.f64`, `tdl.exp.v8f64`. */
static void name_of(const CgUnit *u, const Function *f, LLVMTypeRef t, char *out, size_t n) {
    const char *e = scalar_of(t) == u->f64 ? "f64" : "f32";
    if (lanes_of(t) == 1) snprintf(out, n, "tdl.%s.%s", f->name, e);
    else snprintf(out, n, "tdl.%s.v%u%s", f->name, lanes_of(t), e);
}

/* The builder comes back to where it was. */
static void make(CgUnit *u, const Function *f, LLVMValueRef fn, LLVMTypeRef t, unsigned nx) {
    LLVMBasicBlockRef here = LLVMGetInsertBlock(u->b);
    LLVMMetadataRef line = LLVMGetCurrentDebugLocation2(u->b);
    bool f64 = scalar_of(t) == u->f64;
    Fn m = {u, u->b, t, integers_like(u, t), lanes_of(t), f64, f64 ? &MATH_F64 : &MATH_F32, f->name, {0}, nx};
    for (unsigned i = 0; i < nx; i++) m.x[i] = LLVMGetParam(fn, i);
    LLVMSetCurrentDebugLocation2(u->b, NULL);
    LLVMPositionBuilderAtEnd(u->b, LLVMAppendBasicBlockInContext(u->ctx, fn, ""));
    LLVMBuildRet(u->b, f->make(&m));
    LLVMPositionBuilderAtEnd(u->b, here);
    LLVMSetCurrentDebugLocation2(u->b, line);
}

/* The function for operands of type t, made at its first use. */
static LLVMValueRef function_of(CgUnit *u, const Function *f, LLVMTypeRef t, unsigned nx) {
    static const char *const attributes[] = {"nounwind", "willreturn", "nosync", "memory"};
    char name[32];
    name_of(u, f, t, name, sizeof name);
    LLVMValueRef fn = LLVMGetNamedFunction(u->mod, name);
    if (fn) return fn;
    fn = LLVMAddFunction(u->mod, name, type_of(u, f, t, nx));
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    cg_attr(u, fn, LLVMAttributeFunctionIndex, f->once ? "noinline" : "alwaysinline", 0);
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        cg_attr(u, fn, LLVMAttributeFunctionIndex, attributes[i], 0);
    make(u, f, fn, t, nx);
    return fn;
}

/* The function of m on scalars. */
static LLVMValueRef call_scalar(const Fn *m, LLVMValueRef *x) {
    const Function *f = function_named(m->name);
    LLVMTypeRef t = scalar_of(m->t);
    return LLVMBuildCall2(m->b, type_of(m->u, f, t, m->nx), function_of(m->u, f, t, m->nx), x, m->nx, "");
}

/* LLVM vectorises a loop around a call of a function of scalars where the call names what does the same on vectors, and that
 * is in the module: hidden until cg_optimize is done, which drops what has not been used. */
static void name_variants(CgUnit *u, const Function *f, LLVMValueRef call, LLVMTypeRef t, unsigned nx) {
    char list[256] = "", scalar[32], vector[32];
    size_t n = 0;
    uint32_t each = t == u->f64 ? 8 : 4;
    name_of(u, f, t, scalar, sizeof scalar);
    for (uint32_t bytes = u->vector_bytes; bytes >= CG_VECTOR_LEAST && bytes * 2 >= u->vector_bytes; bytes /= 2) {
        LLVMTypeRef v = in_lanes(t, bytes / each);
        LLVMValueRef variant = function_of(u, f, v, nx);
        LLVMSetLinkage(variant, LLVMExternalLinkage);
        LLVMSetVisibility(variant, LLVMHiddenVisibility);
        name_of(u, f, v, vector, sizeof vector);
        n += (size_t)snprintf(list + n, sizeof list - n, "%s_ZGV_LLVM_N%u%s_%s(%s)", n ? "," : "", bytes / each, nx == 1 ? "v" : "vv", scalar, vector);
    }
    const char *key = "vector-function-abi-variant";
    LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, LLVMCreateStringAttribute(u->ctx, key, (unsigned)strlen(key), list, (unsigned)n));
}

LLVMValueRef cg_math(CgUnit *u, const char *name, LLVMValueRef x, LLVMValueRef y) {
    LLVMValueRef args[2] = {x, y};
    unsigned nx = y ? 2 : 1;
    const Function *f = function_named(name);
    LLVMTypeRef t = LLVMTypeOf(x);
    LLVMValueRef call = LLVMBuildCall2(u->b, type_of(u, f, t, nx), function_of(u, f, t, nx), args, nx, "");
    if (f->once && lanes_of(t) == 1 && u->opt.opt_level >= 2) name_variants(u, f, call, t, nx);
    return call;
}

/* LLVM has seen the loops: the vector functions are internal from here on. True where there are any. */
bool cg_math_done(CgUnit *u) {
    bool any = false;
    for (LLVMValueRef fn = LLVMGetFirstFunction(u->mod); fn; fn = LLVMGetNextFunction(fn)) {
        size_t n;
        if (LLVMIsDeclaration(fn) || strncmp(LLVMGetValueName2(fn, &n), "tdl.", 4) || LLVMGetVisibility(fn) != LLVMHiddenVisibility) continue;
        LLVMSetVisibility(fn, LLVMDefaultVisibility);
        LLVMSetLinkage(fn, LLVMInternalLinkage);
        any = true;
    }
    return any;
}
