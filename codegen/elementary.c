/* Elementary functions: inline code (math.c), else LLVM intrinsics where they exist, libm, and run-time bodies for what
 * libm lacks. */
#include "codegen/cg.h"

#include <math.h>
#include <string.h>

LLVMValueRef cg_libm(CgUnit *u, const char *name, LLVMValueRef *args, unsigned n) {
    char full[32];
    LLVMTypeRef t = LLVMTypeOf(args[0]);
    size_t length = strlen(name);
    memcpy(full, name, length + 1);
    if (t == u->f32) memcpy(full + length, "f", 2);
    return cg_call_pure(u, full, t, args, n);
}

static LLVMValueRef libm(Cg *g, const char *name, LLVMValueRef *args, unsigned n) { return cg_libm(g->u, name, args, n); }

static LLVMValueRef llvm(Cg *g, const char *name, LLVMValueRef *args, unsigned n) {
    LLVMTypeRef t = LLVMTypeOf(args[0]);
    return cg_fp(g->u, cg_intrinsic(g->u, name, &t, 1, args, n), false);
}

static LLVMValueRef math(Cg *g, const char *name, LLVMValueRef *args, unsigned n) {
    return g->u->opt.libm ? libm(g, name, args, n) : cg_math(g->u, name, args[0], n > 1 ? args[1] : NULL);
}

/* Both from one call: where a program asks for sine and cosine of a value, LLVM sees the same call twice. */
static LLVMValueRef sine(Cg *g, const char *name, LLVMValueRef *args, unsigned n) {
    if (g->u->opt.libm) return llvm(g, name, args, n);
    return LLVMBuildExtractValue(g->u->b, cg_math(g->u, "sincos", args[0], NULL), strcmp(name, "llvm.cos") == 0, "");
}

typedef LLVMValueRef (*Emit)(Cg *g, const char *name, LLVMValueRef *args, unsigned n);

static void function1(Cg *g, TdlOp o, Emit emit, const char *name) {
    LLVMValueRef x = cg_operand(g, o, 0);
    cg_result(g, o, emit(g, name, &x, 1));
}

static void function2(Cg *g, TdlOp o, Emit emit, const char *name) {
    LLVMValueRef args[2] = {cg_operand(g, o, 0), cg_operand(g, o, 1)};
    cg_result(g, o, emit(g, name, args, 2));
}

/* ---- erf(x) and e**-(x*x), of which its derivative is made: both from one call, in the same way ---- */

/* x where o is exp(-(x*x)). */
static TdlVal bell_of(const TdlFunc *f, TdlOp o) {
    TdlOp minus = ir_val(f, ir_op(f, o)->operands[0])->def;
    if (!minus.id || ir_op(f, minus)->code != OP_NEG) return (TdlVal){0};
    TdlOp square = ir_val(f, ir_op(f, minus)->operands[0])->def;
    if (!square.id || ir_op(f, square)->code != OP_MUL) return (TdlVal){0};
    const TdlVal *x = ir_op(f, square)->operands;
    return x[0].id == x[1].id ? x[0] : (TdlVal){0};
}

/* In one region, so that neither is run without the other. */
static void pair_op(void *user, TdlFunc *f, TdlOp o) {
    Cg *g = user;
    TdlOpcode code = ir_op(f, o)->code;
    if (code == OP_ERF || code == OP_ERFC) g->erf[ir_op(f, o)->operands[0].id] = o;
    if (code != OP_EXP || op_int(f, o, "exact", 0)) return;
    TdlOp erf = g->erf[bell_of(f, o).id];
    if (!erf.id || ir_op(f, erf)->parent.id != ir_op(f, o)->parent.id || op_int(f, erf, "exact", 0)) return;
    g->bell[o.id] = g->bell[erf.id] = erf;
}

void cg_pair_exps(Cg *g) {
    const CgOptions *opt = &g->u->opt;
    g->bell = ARENA_ARRAY(g->u->arena, TdlOp, g->f->ops.n);
    g->erf = ARENA_ARRAY(g->u->arena, TdlOp, g->f->vals.n);
    if (!opt->strict_fp && !opt->libm) ir_walk(g->f, g->f->body, pair_op, g);
}

/* Value `which` of the pair for `erf`. */
static void bell(Cg *g, TdlOp o, TdlOp erf, unsigned which) {
    const char *name = ir_op(g->f, erf)->code == OP_ERF ? "erf_exp" : "erfc_exp";
    cg_result(g, o, LLVMBuildExtractValue(g->u->b, cg_math(g->u, name, cg_operand(g, erf, 0), NULL), which, ""));
}

void cg_SQRT(Cg *g, TdlOp o) { function1(g, o, llvm, "llvm.sqrt"); }
void cg_EXP(Cg *g, TdlOp o) { g->bell[o.id].id ? bell(g, o, g->bell[o.id], 1) : function1(g, o, math, "exp"); }
void cg_LOG(Cg *g, TdlOp o) { function1(g, o, math, "log"); }
void cg_SIN(Cg *g, TdlOp o) { function1(g, o, sine, "llvm.sin"); }
void cg_COS(Cg *g, TdlOp o) { function1(g, o, sine, "llvm.cos"); }
void cg_EXPM1(Cg *g, TdlOp o) { function1(g, o, math, "expm1"); }
void cg_LOG1P(Cg *g, TdlOp o) { function1(g, o, math, "log1p"); }
void cg_TAN(Cg *g, TdlOp o) { function1(g, o, math, "tan"); }
void cg_ASIN(Cg *g, TdlOp o) { function1(g, o, math, "asin"); }
void cg_ACOS(Cg *g, TdlOp o) { function1(g, o, math, "acos"); }
void cg_ATAN(Cg *g, TdlOp o) { function1(g, o, math, "atan"); }
void cg_SINH(Cg *g, TdlOp o) { function1(g, o, math, "sinh"); }
void cg_COSH(Cg *g, TdlOp o) { function1(g, o, math, "cosh"); }
void cg_TANH(Cg *g, TdlOp o) { function1(g, o, math, "tanh"); }
void cg_ASINH(Cg *g, TdlOp o) { function1(g, o, math, "asinh"); }
void cg_ACOSH(Cg *g, TdlOp o) { function1(g, o, math, "acosh"); }
void cg_ATANH(Cg *g, TdlOp o) { function1(g, o, math, "atanh"); }
void cg_ERF(Cg *g, TdlOp o) { g->bell[o.id].id ? bell(g, o, o, 0) : function1(g, o, math, "erf"); }
void cg_ERFC(Cg *g, TdlOp o) { g->bell[o.id].id ? bell(g, o, o, 0) : function1(g, o, math, "erfc"); }
void cg_ATAN2(Cg *g, TdlOp o) { function2(g, o, math, "atan2"); }

/* z = e**-|x| never overflows: 1/(1 + z) for x >= 0, z/(1 + z) below. NaN goes through z. */
static LLVMValueRef sigmoid(Cg *g, const char *name, LLVMValueRef *args, unsigned n) {
    CgUnit *u = g->u;
    LLVMTypeRef t = LLVMTypeOf(args[0]);
    LLVMValueRef one = LLVMConstReal(t, 1.0), zero = LLVMConstNull(t);
    LLVMValueRef negative = LLVMBuildFNeg(u->b, llvm(g, "llvm.fabs", args, n), "");
    LLVMValueRef z = math(g, name, &negative, 1);
    LLVMValueRef below = LLVMBuildFCmp(u->b, LLVMRealOLT, args[0], zero, "");
    LLVMValueRef top = LLVMBuildSelect(u->b, below, z, one, "");
    return LLVMBuildFDiv(u->b, top, LLVMBuildFAdd(u->b, one, z, ""), "");
}

void cg_SIGMOID(Cg *g, TdlOp o) { function1(g, o, sigmoid, "exp"); }

/* f32 goes through the f64 body. */
static LLVMValueRef to_f64(Cg *g, LLVMValueRef x) {
    return LLVMTypeOf(x) == g->u->f64 ? x : LLVMBuildFPExt(g->u->b, x, g->u->f64, "");
}

static LLVMValueRef from_f64(Cg *g, LLVMValueRef x, LLVMTypeRef to) {
    return to == g->u->f64 ? x : LLVMBuildFPTrunc(g->u->b, x, to, "");
}

void cg_LGAMMA(Cg *g, TdlOp o) {
    LLVMValueRef x = cg_operand(g, o, 0), wide = to_f64(g, x);
    cg_result(g, o, from_f64(g, cg_call_pure(g->u, "tdlrt_lgamma", g->u->f64, &wide, 1), LLVMTypeOf(x)));
}

void cg_POLYGAMMA(Cg *g, TdlOp o) {
    LLVMValueRef x = cg_operand(g, o, 0), args[2] = {cg_i64(g->u, op_int(g->f, o, "n", 0)), to_f64(g, x)};
    cg_result(g, o, from_f64(g, cg_call_pure(g->u, "tdlrt_polygamma", g->u->f64, args, 2), LLVMTypeOf(x)));
}

/* The constant that y is, in every lane; or NAN. */
static double constant_of(LLVMValueRef y) {
    LLVMBool lossy = 0;
    LLVMValueRef one = LLVMIsAConstantDataVector(y) ? LLVMGetAggregateElement(y, 0) : y;
    for (unsigned i = 1; one != y && i < LLVMGetVectorSize(LLVMTypeOf(y)); i++)
        if (LLVMGetAggregateElement(y, i) != one) return (double)NAN;
    return LLVMIsAConstantFP(one) ? LLVMConstRealGetDouble(one, &lossy) : (double)NAN;
}

/* Small whole exponents are products (at most one rounding more than pow); integers go by squaring. */
static LLVMValueRef small_power(Cg *g, LLVMValueRef x, LLVMValueRef y) {
    double n = constant_of(y);
    if (n == 1.0) return x;
    if (n != 2.0 && n != 3.0 && n != 4.0) return NULL;
    LLVMValueRef square = LLVMBuildFMul(g->u->b, x, x, "");
    if (n == 2.0) return square;
    return LLVMBuildFMul(g->u->b, square, n == 3.0 ? x : square, "");
}

static LLVMValueRef int_power(Cg *g, TdlOp o, LLVMValueRef x, LLVMValueRef y) {
    CgUnit *u = g->u;
    LLVMTypeRef t = LLVMTypeOf(x);
    if (!LLVMIsAConstantInt(y) || LLVMConstIntGetSExtValue(y) < 0)
        cg_fail_if(g, LLVMBuildICmp(u->b, LLVMIntSLT, y, LLVMConstNull(t), ""), CG_CHECK_FAILED, ir_op(g->f, o)->span,
                   "power of an integer: the exponent is negative");
    LLVMValueRef args[2] = {LLVMBuildIntCast2(u->b, x, u->i64, 1, ""), LLVMBuildIntCast2(u->b, y, u->i64, 1, "")};
    return LLVMBuildIntCast2(u->b, cg_call_pure(u, "tdlrt_ipow", u->i64, args, 2), t, 1, "");
}

void cg_POW(Cg *g, TdlOp o) {
    LLVMValueRef x = cg_operand(g, o, 0), y = cg_operand(g, o, 1);
    if (LLVMGetTypeKind(LLVMTypeOf(x)) == LLVMIntegerTypeKind) {
        cg_result(g, o, int_power(g, o, x, y));
        return;
    }
    LLVMValueRef r = small_power(g, x, y);
    if (r) cg_result(g, o, r);
    else if (g->u->opt.libm) function2(g, o, llvm, "llvm.pow");
    else function2(g, o, math, "pow");
}
