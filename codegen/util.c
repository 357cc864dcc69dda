/* Types, values, calls and attributes: the vocabulary of the other files. */
#include "codegen/cg.h"

#include <string.h>

LLVMTypeRef cg_elem_type(const CgUnit *u, TdlElem e) {
    switch (e) {
    case EL_BOOL: return u->i1;
    case EL_I32: return u->i32;
    case EL_I64: return u->i64;
    case EL_F16: case EL_BF16: return u->i16;
    case EL_F32: return u->f32;
    case EL_F64: return u->f64;
    case EL_COUNT: break;
    }
    return u->voidt;
}

LLVMTypeRef cg_mem_type(const CgUnit *u, TdlElem e) { return e == EL_BOOL ? u->i8 : cg_elem_type(u, e); }

LLVMTypeRef cg_type(const Cg *g, TdlType t) {
    const TdlModule *m = g->f->module;
    return ty_is_scalar(m, t) ? cg_elem_type(g->u, ty_elem(m, t)) : g->u->ptr;
}

LLVMValueRef cg_i64(const CgUnit *u, int64_t v) { return LLVMConstInt(u->i64, (unsigned long long)v, 1); }

LLVMValueRef cg_string(CgUnit *u, const char *text) {
    size_t n = strlen(text);
    LLVMValueRef init = LLVMConstStringInContext2(u->ctx, text, n, 0);
    LLVMValueRef global = LLVMAddGlobal(u->mod, LLVMTypeOf(init), "tdl.text");
    LLVMSetInitializer(global, init);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(global, 1);
    LLVMSetUnnamedAddress(global, LLVMGlobalUnnamedAddr);
    return global;
}

LLVMValueRef cg_val(const Cg *g, TdlVal v) { return g->vals[v.id]; }

LLVMValueRef cg_operand(const Cg *g, TdlOp o, uint32_t i) { return g->vals[ir_op(g->f, o)->operands[i].id]; }

void cg_set(Cg *g, TdlVal v, LLVMValueRef x) { g->vals[v.id] = x; }

void cg_result(Cg *g, TdlOp o, LLVMValueRef x) { g->vals[ir_op(g->f, o)->results[0].id] = x; }

LLVMBasicBlockRef cg_block(Cg *g, const char *name) { return LLVMAppendBasicBlockInContext(g->u->ctx, g->fn, name); }

LLVMBasicBlockRef cg_here(const Cg *g) { return LLVMGetInsertBlock(g->u->b); }

LLVMValueRef cg_intrinsic(CgUnit *u, const char *name, const LLVMTypeRef *types, unsigned ntypes, LLVMValueRef *args,
                          unsigned n) {
    LLVMTypeRef list[2] = {0};
    for (unsigned i = 0; i < ntypes && i < 2; i++) list[i] = types[i];
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(u->mod, id, list, ntypes);
    return LLVMBuildCall2(u->b, LLVMGlobalGetValueType(fn), fn, args, n, "");
}

void cg_attr(CgUnit *u, LLVMValueRef fn, unsigned index, const char *name, uint64_t value) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(fn, index, LLVMCreateEnumAttribute(u->ctx, kind, value));
}

LLVMValueRef cg_call(CgUnit *u, const char *name, LLVMTypeRef ret, LLVMValueRef *args, unsigned n) {
    LLVMTypeRef types[8];
    for (unsigned i = 0; i < n; i++) types[i] = LLVMTypeOf(args[i]);
    LLVMTypeRef type = LLVMFunctionType(ret, types, n, 0);
    LLVMValueRef fn = LLVMGetNamedFunction(u->mod, name);
    if (!fn) {
        fn = LLVMAddFunction(u->mod, name, type);
        cg_attr(u, fn, LLVMAttributeFunctionIndex, "nounwind", 0);
    }
    return LLVMBuildCall2(u->b, type, fn, args, n, "");
}

static void call_attr(CgUnit *u, LLVMValueRef call, const char *name) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(u->ctx, kind, 0));
}

/* A call that touches no memory (`memory` of value 0: none) and returns. */
LLVMValueRef cg_call_pure(CgUnit *u, const char *name, LLVMTypeRef ret, LLVMValueRef *args, unsigned n) {
    LLVMValueRef call = cg_call(u, name, ret, args, n);
    call_attr(u, call, "memory");
    call_attr(u, call, "willreturn");
    call_attr(u, call, "nounwind");
    return call;
}

LLVMValueRef cg_fp(CgUnit *u, LLVMValueRef v, bool reassoc) {
    if (u->opt.strict_fp || u->exact || !LLVMIsAInstruction(v) || !LLVMCanValueUseFastMathFlags(v)) return v;
    LLVMSetFastMathFlags(v, LLVMFastMathAllowContract | (reassoc ? (LLVMFastMathFlags)LLVMFastMathAllowReassoc : 0));
    return v;
}

void cg_error(Cg *g, TdlOp o, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    TdlStr s = str_new(g->u->arena);
    str_vprintf(&s, fmt, ap);
    va_end(ap);
    diag_error(g->f->module->diags, o.id ? ir_op(g->f, o)->span : g->f->span, "%s", s.p);
    g->ok = false;
}
