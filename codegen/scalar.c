/* Scalar operations: constants, arithmetic, comparison, logic, conversion. One small function an operation; integers
 * wrap, floats follow IEEE 754 with contraction allowed. */
#include "codegen/cg.h"
#include "support/half.h"

static TdlElem elem_of(const Cg *g, TdlOp o, uint32_t operand) {
    return ty_elem(g->f->module, ir_type(g->f, ir_op(g->f, o)->operands[operand]));
}

static LLVMValueRef intrinsic1(Cg *g, const char *name, LLVMValueRef x) {
    LLVMTypeRef t = LLVMTypeOf(x);
    return cg_fp(g->u, cg_intrinsic(g->u, name, &t, 1, &x, 1), false);
}

static LLVMValueRef intrinsic2(Cg *g, const char *name, LLVMValueRef x, LLVMValueRef y) {
    LLVMTypeRef t = LLVMTypeOf(x);
    return cg_fp(g->u, cg_intrinsic(g->u, name, &t, 1, (LLVMValueRef[]){x, y}, 2), false);
}

/* ---- constants, dimensions ---- */

void cg_CONST(Cg *g, TdlOp o) {
    const TdlAttr *a = op_attr(g->f, o, "value");
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, ir_op(g->f, o)->results[0]));
    LLVMTypeRef t = cg_elem_type(g->u, e);
    if (el_is_float(e)) {
        double v = a->kind == ATTR_FLOAT ? a->f : (double)a->i;
        if (e == EL_F16 || e == EL_BF16)
            cg_result(g, o, LLVMConstInt(t, e == EL_F16 ? f16_from_float((float)v) : bf16_from_float((float)v), 0));
        else cg_result(g, o, LLVMConstReal(t, v));
    } else {
        int64_t v = a->kind == ATTR_FLOAT ? (int64_t)a->f : a->i;
        cg_result(g, o, LLVMConstInt(t, (unsigned long long)v, 1));
    }
}

void cg_DIM(Cg *g, TdlOp o) { cg_result(g, o, cg_dim(g, op_attr(g->f, o, "d")->dim)); }

void cg_NEWDIM(Cg *g, TdlOp o) {
    LLVMValueRef v = cg_operand(g, o, 0);
    LLVMValueRef bad = LLVMBuildICmp(g->u->b, LLVMIntSLT, v, cg_i64(g->u, 0), "");
    cg_fail_if(g, bad, CG_CHECK_FAILED, ir_op(g->f, o)->span, "a size computed at run time is negative");
    cg_dim_bind(g, intern(g->f->module->names, op_str(g->f, o, "sym")), v);
    cg_result(g, o, v);
}

void cg_DETACH(Cg *g, TdlOp o) { cg_result(g, o, cg_operand(g, o, 0)); }

/* ---- one operand ---- */

void cg_NEG(Cg *g, TdlOp o) {
    LLVMValueRef x = cg_operand(g, o, 0);
    cg_result(g, o, el_is_float(elem_of(g, o, 0)) ? cg_fp(g->u, LLVMBuildFNeg(g->u->b, x, ""), false)
                                                  : LLVMBuildNeg(g->u->b, x, ""));
}

void cg_ABS(Cg *g, TdlOp o) {
    LLVMValueRef x = cg_operand(g, o, 0);
    if (el_is_float(elem_of(g, o, 0))) {
        cg_result(g, o, intrinsic1(g, "llvm.fabs", x));
        return;
    }
    cg_result(g, o, intrinsic2(g, "llvm.abs", x, LLVMConstInt(g->u->i1, 0, 0)));
}

void cg_SIGN(Cg *g, TdlOp o) {
    LLVMBuilderRef b = g->u->b;
    LLVMValueRef x = cg_operand(g, o, 0), zero = LLVMConstNull(LLVMTypeOf(x));
    LLVMTypeRef t = LLVMTypeOf(x);
    if (!el_is_float(elem_of(g, o, 0))) {
        LLVMValueRef up = LLVMBuildZExt(b, LLVMBuildICmp(b, LLVMIntSGT, x, zero, ""), t, "");
        LLVMValueRef down = LLVMBuildZExt(b, LLVMBuildICmp(b, LLVMIntSLT, x, zero, ""), t, "");
        cg_result(g, o, LLVMBuildSub(b, up, down, ""));
        return;
    }
    /* NaN fails both comparisons and stays, as zero does. */
    LLVMValueRef r = LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOGT, x, zero, ""), LLVMConstReal(t, 1.0), x, "");
    cg_result(g, o, LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOLT, x, zero, ""), LLVMConstReal(t, -1.0), r, ""));
}

static void rounding(Cg *g, TdlOp o, const char *name) {
    LLVMValueRef x = cg_operand(g, o, 0);
    cg_result(g, o, el_is_float(elem_of(g, o, 0)) ? intrinsic1(g, name, x) : x);
}

void cg_FLOOR(Cg *g, TdlOp o) { rounding(g, o, "llvm.floor"); }
void cg_CEIL(Cg *g, TdlOp o) { rounding(g, o, "llvm.ceil"); }
void cg_TRUNC(Cg *g, TdlOp o) { rounding(g, o, "llvm.trunc"); }
/* In the default rounding mode nearbyint is ties to even; unlike roundeven every libm has it. */
void cg_ROUND(Cg *g, TdlOp o) { rounding(g, o, "llvm.nearbyint"); }

void cg_NOT(Cg *g, TdlOp o) { cg_result(g, o, LLVMBuildNot(g->u->b, cg_operand(g, o, 0), "")); }

static LLVMValueRef float_to_int(Cg *g, LLVMValueRef x, LLVMTypeRef to) {
    LLVMTypeRef types[2] = {to, LLVMTypeOf(x)};
    /* Saturates, NaN becomes 0: no undefined behaviour. */
    return cg_intrinsic(g->u, "llvm.fptosi.sat", types, 2, &x, 1);
}

/* Between elements that LLVM computes with. */
static LLVMValueRef cast(Cg *g, LLVMValueRef x, TdlElem from, TdlElem to) {
    LLVMBuilderRef b = g->u->b;
    LLVMTypeRef t = cg_elem_type(g->u, to);
    if (from == to) return x;
    if (to == EL_BOOL) {
        LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(x));
        return el_is_float(from) ? LLVMBuildFCmp(b, LLVMRealUNE, x, zero, "") : LLVMBuildICmp(b, LLVMIntNE, x, zero, "");
    }
    if (el_is_float(to)) {
        if (from == EL_BOOL) return LLVMBuildUIToFP(b, x, t, "");
        return el_is_int(from) ? LLVMBuildSIToFP(b, x, t, "") : LLVMBuildFPCast(b, x, t, "");
    }
    if (el_is_float(from)) return float_to_int(g, x, t);
    return from == EL_BOOL ? LLVMBuildZExt(b, x, t, "") : LLVMBuildIntCast2(b, x, t, 1, "");
}

static bool is_half(TdlElem e) { return e == EL_F16 || e == EL_BF16; }

void cg_CAST(Cg *g, TdlOp o) {
    TdlElem from = elem_of(g, o, 0), to = ty_elem(g->f->module, ir_type(g->f, ir_op(g->f, o)->results[0]));
    LLVMValueRef x = cg_operand(g, o, 0);
    if (from != to && is_half(from)) {
        x = cg_half_widen(g->u, from, x);
        from = EL_F32;
    }
    if (from != to) x = is_half(to) ? cg_half_narrow(g->u, to, cast(g, x, from, EL_F32)) : cast(g, x, from, to);
    cg_result(g, o, x);
}

/* ---- arithmetic ---- */

typedef LLVMValueRef (*Build2)(LLVMBuilderRef, LLVMValueRef, LLVMValueRef, const char *);

static void arithmetic(Cg *g, TdlOp o, Build2 floats, Build2 ints) {
    LLVMValueRef x = cg_operand(g, o, 0), y = cg_operand(g, o, 1);
    bool is_float = el_is_float(elem_of(g, o, 0));
    LLVMValueRef r = (is_float ? floats : ints)(g->u->b, x, y, "");
    cg_result(g, o, is_float ? cg_fp(g->u, r, g->reassoc[o.id]) : r);
}

void cg_ADD(Cg *g, TdlOp o) { arithmetic(g, o, LLVMBuildFAdd, LLVMBuildAdd); }
void cg_SUB(Cg *g, TdlOp o) { arithmetic(g, o, LLVMBuildFSub, LLVMBuildSub); }
void cg_MUL(Cg *g, TdlOp o) { arithmetic(g, o, LLVMBuildFMul, LLVMBuildMul); }
void cg_DIV(Cg *g, TdlOp o) { arithmetic(g, o, LLVMBuildFDiv, LLVMBuildSDiv); }

/* fmod with the sign of y, as Python and PyTorch have it; *whole is (x - remainder)/y before rounding. */
static LLVMValueRef float_mod(Cg *g, LLVMValueRef x, LLVMValueRef y, LLVMValueRef *whole) {
    LLVMBuilderRef b = g->u->b;
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(x)), one = LLVMConstReal(LLVMTypeOf(x), 1.0);
    LLVMValueRef r = LLVMBuildFRem(b, x, y, "");
    LLVMValueRef differ = LLVMBuildXor(b, LLVMBuildFCmp(b, LLVMRealOLT, y, zero, ""),
                                       LLVMBuildFCmp(b, LLVMRealOLT, r, zero, ""), "");
    LLVMValueRef fix = LLVMBuildAnd(b, differ, LLVMBuildFCmp(b, LLVMRealUNE, r, zero, ""), "");
    if (whole) {
        LLVMValueRef q = LLVMBuildFDiv(b, LLVMBuildFSub(b, x, r, ""), y, "");
        *whole = LLVMBuildSelect(b, fix, LLVMBuildFSub(b, q, one, ""), q, "");
    }
    return LLVMBuildSelect(b, fix, LLVMBuildFAdd(b, r, y, ""), r, "");
}

/* floor(x / y) without the error of the rounded quotient (PyTorch's div_floor). */
static LLVMValueRef float_floordiv(Cg *g, LLVMValueRef x, LLVMValueRef y) {
    LLVMBuilderRef b = g->u->b;
    LLVMTypeRef t = LLVMTypeOf(x);
    LLVMValueRef zero = LLVMConstNull(t), whole, quotient = LLVMBuildFDiv(b, x, y, "");
    float_mod(g, x, y, &whole);
    LLVMValueRef down = intrinsic1(g, "llvm.floor", whole);
    LLVMValueRef far = LLVMBuildFCmp(b, LLVMRealOGT, LLVMBuildFSub(b, whole, down, ""), LLVMConstReal(t, 0.5), "");
    LLVMValueRef r = LLVMBuildSelect(b, far, LLVMBuildFAdd(b, down, LLVMConstReal(t, 1.0), ""), down, "");
    r = LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOEQ, whole, zero, ""), intrinsic2(g, "llvm.copysign", zero, quotient), r, "");
    return LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOEQ, y, zero, ""), quotient, r, "");
}

/* Integer floor division or remainder. Divisor -1 is taken apart: the smallest integer over it would trap. */
static LLVMValueRef int_floordiv(Cg *g, TdlOp o, LLVMValueRef x, LLVMValueRef y, bool remainder) {
    LLVMBuilderRef b = g->u->b;
    LLVMTypeRef t = LLVMTypeOf(x);
    LLVMValueRef zero = LLVMConstNull(t), one = LLVMConstInt(t, 1, 0), minus1 = LLVMConstInt(t, (unsigned long long)-1, 1);
    if (!LLVMIsAConstantInt(y) || LLVMConstIntGetSExtValue(y) == 0)
        cg_fail_if(g, LLVMBuildICmp(b, LLVMIntEQ, y, zero, ""), CG_CHECK_FAILED, ir_op(g->f, o)->span,
                   "integer division by zero");
    LLVMValueRef is_minus1 = LLVMBuildICmp(b, LLVMIntEQ, y, minus1, "");
    LLVMValueRef divisor = LLVMBuildSelect(b, is_minus1, one, y, "");
    LLVMValueRef r = LLVMBuildSRem(b, x, divisor, "");
    LLVMValueRef differ = LLVMBuildICmp(b, LLVMIntSLT, LLVMBuildXor(b, r, divisor, ""), zero, "");
    LLVMValueRef fix = LLVMBuildAnd(b, differ, LLVMBuildICmp(b, LLVMIntNE, r, zero, ""), "");
    if (remainder) return LLVMBuildSelect(b, fix, LLVMBuildAdd(b, r, divisor, ""), r, "");
    LLVMValueRef q = LLVMBuildSub(b, LLVMBuildSDiv(b, x, divisor, ""), LLVMBuildZExt(b, fix, t, ""), "");
    return LLVMBuildSelect(b, is_minus1, LLVMBuildNeg(b, x, ""), q, "");
}

void cg_FLOORDIV(Cg *g, TdlOp o) {
    LLVMValueRef x = cg_operand(g, o, 0), y = cg_operand(g, o, 1);
    cg_result(g, o, el_is_float(elem_of(g, o, 0)) ? float_floordiv(g, x, y) : int_floordiv(g, o, x, y, false));
}

void cg_MOD(Cg *g, TdlOp o) {
    LLVMValueRef x = cg_operand(g, o, 0), y = cg_operand(g, o, 1);
    cg_result(g, o, el_is_float(elem_of(g, o, 0)) ? float_mod(g, x, y, NULL) : int_floordiv(g, o, x, y, true));
}

static void extremum(Cg *g, TdlOp o, const char *floats, const char *ints, Build2 bools) {
    LLVMValueRef x = cg_operand(g, o, 0), y = cg_operand(g, o, 1);
    TdlElem e = elem_of(g, o, 0);
    if (e == EL_BOOL) cg_result(g, o, bools(g->u->b, x, y, ""));
    else cg_result(g, o, intrinsic2(g, el_is_float(e) ? floats : ints, x, y));
}

/* maximum and minimum of LLVM let NaN win, unlike maxnum. */
void cg_MAX(Cg *g, TdlOp o) { extremum(g, o, "llvm.maximum", "llvm.smax", LLVMBuildOr); }
void cg_MIN(Cg *g, TdlOp o) { extremum(g, o, "llvm.minimum", "llvm.smin", LLVMBuildAnd); }

/* ---- comparison and logic ---- */

static void compare(Cg *g, TdlOp o, LLVMRealPredicate floats, LLVMIntPredicate ints, LLVMIntPredicate bools) {
    LLVMValueRef x = cg_operand(g, o, 0), y = cg_operand(g, o, 1);
    TdlElem e = elem_of(g, o, 0);
    cg_result(g, o, el_is_float(e) ? LLVMBuildFCmp(g->u->b, floats, x, y, "")
                                   : LLVMBuildICmp(g->u->b, e == EL_BOOL ? bools : ints, x, y, ""));
}

void cg_EQ(Cg *g, TdlOp o) { compare(g, o, LLVMRealOEQ, LLVMIntEQ, LLVMIntEQ); }
void cg_NE(Cg *g, TdlOp o) { compare(g, o, LLVMRealUNE, LLVMIntNE, LLVMIntNE); }
void cg_LT(Cg *g, TdlOp o) { compare(g, o, LLVMRealOLT, LLVMIntSLT, LLVMIntULT); }
void cg_LE(Cg *g, TdlOp o) { compare(g, o, LLVMRealOLE, LLVMIntSLE, LLVMIntULE); }
void cg_GT(Cg *g, TdlOp o) { compare(g, o, LLVMRealOGT, LLVMIntSGT, LLVMIntUGT); }
void cg_GE(Cg *g, TdlOp o) { compare(g, o, LLVMRealOGE, LLVMIntSGE, LLVMIntUGE); }

void cg_AND(Cg *g, TdlOp o) {
    cg_result(g, o, LLVMBuildAnd(g->u->b, cg_operand(g, o, 0), cg_operand(g, o, 1), ""));
}

void cg_OR(Cg *g, TdlOp o) {
    cg_result(g, o, LLVMBuildOr(g->u->b, cg_operand(g, o, 0), cg_operand(g, o, 1), ""));
}

void cg_SELECT(Cg *g, TdlOp o) {
    LLVMValueRef c = cg_operand(g, o, 0), x = cg_operand(g, o, 1), y = cg_operand(g, o, 2);
    cg_result(g, o, LLVMBuildSelect(g->u->b, c, x, y, ""));
}

void cg_PHILOX(Cg *g, TdlOp o) {
    LLVMValueRef args[2] = {cg_operand(g, o, 0), cg_operand(g, o, 1)};
    cg_result(g, o, cg_call_pure(g->u, "tdlrt_philox", g->u->i64, args, 2));
}
