/* Dimension expressions as i64 code. Inner code may assume no overflow: the entry checks evaluate every size once with
 * overflow detection (cg_dim_checked). */
#include "codegen/cg.h"

static bool is_const(LLVMValueRef v, int64_t *c) {
    if (!LLVMIsAConstantInt(v)) return false;
    *c = LLVMConstIntGetSExtValue(v);
    return true;
}

/* 0 adds nothing: no memory stays no memory. */
LLVMValueRef cg_add_checked(Cg *g, LLVMValueRef a, LLVMValueRef b, LLVMValueRef *bad) {
    CgUnit *u = g->u;
    int64_t c;
    if (is_const(a, &c) && c == 0) return b;
    if (is_const(b, &c) && c == 0) return a;
    if (!bad) return LLVMBuildNSWAdd(u->b, a, b, "");
    LLVMValueRef pair = cg_intrinsic(u, "llvm.sadd.with.overflow", &u->i64, 1, (LLVMValueRef[]){a, b}, 2);
    *bad = LLVMBuildOr(u->b, *bad, LLVMBuildExtractValue(u->b, pair, 1, ""), "");
    return LLVMBuildExtractValue(u->b, pair, 0, "");
}

LLVMValueRef cg_mul_checked(Cg *g, LLVMValueRef a, LLVMValueRef b, LLVMValueRef *bad) {
    CgUnit *u = g->u;
    if (!bad) return LLVMBuildNSWMul(u->b, a, b, "");
    LLVMValueRef pair = cg_intrinsic(u, "llvm.smul.with.overflow", &u->i64, 1, (LLVMValueRef[]){a, b}, 2);
    *bad = LLVMBuildOr(u->b, *bad, LLVMBuildExtractValue(u->b, pair, 1, ""), "");
    return LLVMBuildExtractValue(u->b, pair, 0, "");
}

void cg_dim_bind(Cg *g, TdlSym name, LLVMValueRef v) { VEC_PUSH(g->u->arena, g->dims, ((CgDimBinding){name, v})); }

static LLVMValueRef variable(Cg *g, TdlSym name) {
    for (uint32_t i = g->dims.n; i-- > 0;)
        if (sym_eq(g->dims.p[i].name, name)) return g->dims.p[i].value;
    cg_error(g, (TdlOp){0}, "internal: dimension variable %s has no value here", sym_text(g->f->module->names, name));
    return cg_i64(g->u, 0);
}

/* Floor division and remainder by a positive constant. */
static LLVMValueRef floor_div(Cg *g, LLVMValueRef a, int64_t c, bool remainder) {
    LLVMBuilderRef b = g->u->b;
    LLVMValueRef k = cg_i64(g->u, c), zero = cg_i64(g->u, 0);
    LLVMValueRef r = LLVMBuildSRem(b, a, k, "");
    LLVMValueRef negative = LLVMBuildICmp(b, LLVMIntSLT, r, zero, "");
    if (remainder) return LLVMBuildSelect(b, negative, LLVMBuildNSWAdd(b, r, k, ""), r, "");
    LLVMValueRef q = LLVMBuildSDiv(b, a, k, "");
    return LLVMBuildSub(b, q, LLVMBuildZExt(b, negative, g->u->i64, ""), "");
}

static LLVMValueRef atom(Cg *g, TdlDimAtom a, LLVMValueRef *bad) {
    if (a.kind == DIM_ATOM_VAR) return variable(g, a.var);
    if (a.kind == DIM_ATOM_MIN)
        return cg_intrinsic(g->u, "llvm.smin", &g->u->i64, 1, (LLVMValueRef[]){cg_dim_checked(g, a.arg, bad), cg_i64(g->u, a.c)}, 2);
    return floor_div(g, cg_dim_checked(g, a.arg, bad), a.c, a.kind == DIM_ATOM_MOD);
}

LLVMValueRef cg_dim_checked(Cg *g, TdlDim d, LLVMValueRef *bad) {
    const TdlModule *m = g->f->module;
    LLVMValueRef sum = NULL;
    int64_t c = 0;
    for (uint32_t t = 0; t < dim_nterms(m, d); t++) {
        LLVMValueRef product = NULL;
        for (uint32_t i = 0; i < dim_term_natoms(m, d, t); i++) {
            LLVMValueRef x = atom(g, dim_term_atom(m, d, t, i), bad);
            product = product ? cg_mul_checked(g, product, x, bad) : x;
        }
        LLVMValueRef k = cg_i64(g->u, dim_term_coef(m, d, t));
        if (!product) product = k;
        else if (!is_const(k, &c) || c != 1) product = cg_mul_checked(g, product, k, bad);
        sum = sum ? cg_add_checked(g, sum, product, bad) : product;
    }
    return sum ? sum : cg_i64(g->u, 0);
}

LLVMValueRef cg_dim(Cg *g, TdlDim d) { return cg_dim_checked(g, d, NULL); }

LLVMValueRef cg_numel(Cg *g, TdlType t) {
    const TdlModule *m = g->f->module;
    LLVMValueRef n = NULL;
    for (uint32_t i = 0; i < ty_rank(m, t); i++) {
        LLVMValueRef d = cg_dim(g, ty_dims(m, t)[i]);
        n = n ? LLVMBuildNSWMul(g->u->b, n, d, "") : d;
    }
    return n ? n : cg_i64(g->u, 1);
}

LLVMValueRef cg_bytes(Cg *g, TdlType t) {
    return LLVMBuildNSWMul(g->u->b, cg_numel(g, t), cg_i64(g->u, el_bytes(ty_elem(g->f->module, t))), "");
}

LLVMValueRef cg_bytes_checked(Cg *g, TdlType t, LLVMValueRef *bad) {
    const TdlModule *m = g->f->module;
    LLVMValueRef n = cg_i64(g->u, el_bytes(ty_elem(m, t)));
    for (uint32_t i = 0; i < ty_rank(m, t); i++) n = cg_mul_checked(g, n, cg_dim_checked(g, ty_dims(m, t)[i], bad), bad);
    return n;
}
