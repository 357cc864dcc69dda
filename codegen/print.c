/* `print`: the operands are described in memory and handed to the runtime library (runtime/print.h). */
#include "codegen/cg.h"

/* { data, dims, element, rank }: struct TdlrtArg of runtime/print.h. */
static LLVMTypeRef arg_type(CgUnit *u) {
    return LLVMStructTypeInContext(u->ctx, (LLVMTypeRef[]){u->ptr, u->ptr, u->i32, u->i32}, 4, 0);
}

static LLVMValueRef scalar_in_memory(Cg *g, TdlElem e, LLVMValueRef v) {
    CgUnit *u = g->u;
    LLVMValueRef a = cg_entry_alloca(g, cg_mem_type(u, e), "");
    LLVMBuildStore(u->b, e == EL_BOOL ? LLVMBuildZExt(u->b, v, u->i8, "") : v, a);
    return a;
}

static LLVMValueRef dims_in_memory(Cg *g, TdlType t) {
    CgUnit *u = g->u;
    uint32_t rank = ty_rank(g->f->module, t);
    LLVMTypeRef array = LLVMArrayType2(u->i64, rank ? rank : 1);
    LLVMValueRef a = cg_entry_alloca(g, array, "");
    for (uint32_t i = 0; i < rank; i++) {
        LLVMValueRef at = cg_i64(u, i);
        LLVMBuildStore(u->b, cg_dim(g, ty_dims(g->f->module, t)[i]), LLVMBuildInBoundsGEP2(u->b, u->i64, a, &at, 1, ""));
    }
    return a;
}

void cg_PRINT(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    uint32_t n = ir_op(g->f, o)->noperands;
    LLVMTypeRef type = arg_type(u), array = LLVMArrayType2(type, n ? n : 1);
    LLVMValueRef args = cg_entry_alloca(g, array, "print");
    for (uint32_t i = 0; i < n; i++) {
        TdlType t = ir_type(g->f, ir_op(g->f, o)->operands[i]);
        TdlElem e = ty_elem(g->f->module, t);
        LLVMValueRef v = cg_operand(g, o, i), at = cg_i64(u, i);
        LLVMValueRef slot = LLVMBuildInBoundsGEP2(u->b, type, args, &at, 1, "");
        LLVMValueRef fields[4] = {ty_is_scalar(g->f->module, t) ? scalar_in_memory(g, e, v) : v, dims_in_memory(g, t),
                                  LLVMConstInt(u->i32, (unsigned)e, 0),
                                  LLVMConstInt(u->i32, ty_rank(g->f->module, t), 0)};
        for (unsigned k = 0; k < 4; k++) LLVMBuildStore(u->b, fields[k], LLVMBuildStructGEP2(u->b, type, slot, k, ""));
    }
    const char *format = op_str(g->f, o, "format");
    /* Defined by who runs the script: the names that numbers of grad_fn stand for. */
    LLVMValueRef names = LLVMGetNamedGlobal(u->mod, "tdl.grad_names");
    if (!names) names = LLVMAddGlobal(u->mod, u->ptr, "tdl.grad_names");
    LLVMValueRef call[4] = {cg_string(u, format ? format : ""), args, cg_i64(u, n), names};
    cg_call(u, "tdlrt_print", u->voidt, call, 4);
}
