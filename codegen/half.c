/* f16 and bf16: 16-bit integers everywhere in generated code, converted where a `cast` says so (pass `widen` leaves no
 * arithmetic on them). Integer code, the same on every processor and in vector lanes, without a run-time library. */
#include "codegen/cg.h"

static LLVMTypeRef like(CgUnit *u, LLVMValueRef x, LLVMTypeRef elem)
{
    (void)u;
    return cg_is_vector(x) ? LLVMVectorType(elem, cg_width(x)) : elem;
}

static LLVMValueRef k32(CgUnit *u, LLVMValueRef x, uint32_t v)
{
    return cg_splat(u, LLVMConstInt(u->i32, v, 0), cg_width(x));
}

static LLVMValueRef and_(CgUnit *u, LLVMValueRef x, uint32_t mask) { return LLVMBuildAnd(u->b, x, k32(u, x, mask), ""); }
static LLVMValueRef add(CgUnit *u, LLVMValueRef x, uint32_t k) { return LLVMBuildAdd(u->b, x, k32(u, x, k), ""); }
static LLVMValueRef shl(CgUnit *u, LLVMValueRef x, uint32_t k) { return LLVMBuildShl(u->b, x, k32(u, x, k), ""); }
static LLVMValueRef shr(CgUnit *u, LLVMValueRef x, uint32_t k) { return LLVMBuildLShr(u->b, x, k32(u, x, k), ""); }
static LLVMValueRef below(CgUnit *u, LLVMValueRef x, uint32_t k) { return LLVMBuildICmp(u->b, LLVMIntULT, x, k32(u, x, k), ""); }

static LLVMValueRef as_float(CgUnit *u, LLVMValueRef x) { return LLVMBuildBitCast(u->b, x, like(u, x, u->f32), ""); }
static LLVMValueRef as_bits(CgUnit *u, LLVMValueRef x) { return LLVMBuildBitCast(u->b, x, like(u, x, u->i32), ""); }

LLVMValueRef cg_half_widen(CgUnit *u, TdlElem e, LLVMValueRef x)
{
    LLVMBuilderRef b = u->b;
    LLVMValueRef w = LLVMBuildZExt(b, x, like(u, x, u->i32), "");
    if (e == EL_BF16) return as_float(u, shl(u, w, 16));
    LLVMValueRef sign = shl(u, and_(u, w, 0x8000), 16), m = shl(u, and_(u, w, 0x7fff), 13);
    LLVMValueRef normal = add(u, m, (127u - 15u) << 23);
    LLVMValueRef special = add(u, normal, (127u - 15u) << 23);     /* infinity and NaN: exponent 255 */
    LLVMValueRef smallest = as_float(u, k32(u, x, 0x38800000));    /* 2**-14 */
    LLVMValueRef sub = as_bits(u, LLVMBuildFSub(b, as_float(u, add(u, m, 0x38800000)), smallest, ""));
    LLVMValueRef r = LLVMBuildSelect(b, below(u, m, 0x0f800000), normal, special, "");
    r = LLVMBuildSelect(b, below(u, m, 0x00800000), sub, r, "");
    return as_float(u, LLVMBuildOr(b, r, sign, ""));
}

LLVMValueRef cg_half_narrow(CgUnit *u, TdlElem e, LLVMValueRef x)
{
    LLVMBuilderRef b = u->b;
    LLVMValueRef w = as_bits(u, x), a = and_(u, w, 0x7fffffff), number = below(u, a, 0x7f800001);
    if (e == EL_BF16) {
        LLVMValueRef odd = and_(u, shr(u, w, 16), 1), r = add(u, LLVMBuildAdd(b, w, odd, ""), 0x7fff);
        r = LLVMBuildSelect(b, number, r, LLVMBuildOr(b, w, k32(u, x, 0x400000), ""), "");
        return LLVMBuildTrunc(b, shr(u, r, 16), like(u, x, u->i16), "");
    }
    LLVMValueRef odd = and_(u, shr(u, a, 13), 1);
    LLVMValueRef normal = shr(u, add(u, LLVMBuildAdd(b, a, odd, ""), 0xfff - ((127u - 15u) << 23)), 13);
    /* Below 2**-14: the unit of 0.5 is 2**-24, that of the subnormals. */
    LLVMValueRef half = as_float(u, k32(u, x, 0x3f000000));
    LLVMValueRef sub = add(u, as_bits(u, LLVMBuildFAdd(b, as_float(u, a), half, "")), 0u - 0x3f000000);
    LLVMValueRef large = LLVMBuildSelect(b, number, k32(u, x, 0x7c00), k32(u, x, 0x7e00), "");
    LLVMValueRef r = LLVMBuildSelect(b, below(u, a, 0x47800000), normal, large, "");
    r = LLVMBuildSelect(b, below(u, a, 0x38800000), sub, r, "");
    r = LLVMBuildOr(b, r, and_(u, shr(u, w, 16), 0x8000), "");
    return LLVMBuildTrunc(b, r, like(u, x, u->i16), "");
}
