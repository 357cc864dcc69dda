/* 32-bit targets: the run-time bodies are written for a size_t of 64 bits; what they ask of the C library is given in its
 * own width. Sizes stay 64-bit everywhere else, so that what does not fit is seen. */
#include "codegen/cg.h"

#include <string.h>

static LLVMValueRef narrow(CgUnit *u, LLVMValueRef x) { return LLVMBuildTrunc(u->b, x, u->size, ""); }

/* The declaration of `name` gives way to a function of the module that calls the real one; leaves the builder in it. */
static LLVMValueRef shim(CgUnit *u, const char *name, LLVMTypeRef ret, LLVMTypeRef arg, LLVMValueRef *real) {
    LLVMValueRef fn = LLVMGetNamedFunction(u->mod, name);
    const char *own = arena_printf(u->arena, "tdl.%s", name);
    if (!fn || !LLVMIsDeclaration(fn)) return NULL;
    LLVMSetValueName2(fn, own, strlen(own));
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    *real = LLVMAddFunction(u->mod, name, LLVMFunctionType(ret, &arg, 1, 0));
    LLVMPositionBuilderAtEnd(u->b, LLVMAppendBasicBlockInContext(u->ctx, fn, ""));
    return fn;
}

static void narrow_malloc(CgUnit *u) {
    LLVMValueRef real, fn = shim(u, "malloc", u->ptr, u->size, &real);
    if (!fn) return;
    LLVMValueRef bytes = LLVMGetParam(fn, 0), least = narrow(u, bytes);
    LLVMValueRef fits = LLVMBuildICmp(u->b, LLVMIntEQ, LLVMBuildZExt(u->b, least, u->i64, ""), bytes, "");
    LLVMBasicBlockRef take = LLVMAppendBasicBlockInContext(u->ctx, fn, ""), none = LLVMAppendBasicBlockInContext(u->ctx, fn, "");
    LLVMBuildCondBr(u->b, fits, take, none);
    LLVMPositionBuilderAtEnd(u->b, take);
    LLVMBuildRet(u->b, LLVMBuildCall2(u->b, LLVMGlobalGetValueType(real), real, &least, 1, ""));
    LLVMPositionBuilderAtEnd(u->b, none);
    LLVMBuildRet(u->b, LLVMConstNull(u->ptr));
}

static void narrow_strlen(CgUnit *u) {
    LLVMValueRef real, fn = shim(u, "strlen", u->size, u->ptr, &real), text;
    if (!fn) return;
    text = LLVMGetParam(fn, 0);
    LLVMBuildRet(u->b, LLVMBuildZExt(u->b, LLVMBuildCall2(u->b, LLVMGlobalGetValueType(real), real, &text, 1, ""), u->i64, ""));
}

/* Variable arguments cannot be passed on: its calls are written anew. */
static void narrow_snprintf(CgUnit *u) {
    LLVMValueRef fn = LLVMGetNamedFunction(u->mod, "snprintf");
    if (!fn) return;
    LLVMSetValueName2(fn, "tdl.snprintf", strlen("tdl.snprintf"));
    LLVMTypeRef type = LLVMFunctionType(u->i32, (LLVMTypeRef[]){u->ptr, u->size, u->ptr}, 3, 1);
    LLVMValueRef real = LLVMAddFunction(u->mod, "snprintf", type);
    for (LLVMUseRef use; (use = LLVMGetFirstUse(fn));) {
        LLVMValueRef call = LLVMGetUser(use), args[8];
        unsigned n = LLVMGetNumArgOperands(call);
        for (unsigned i = 0; i < n; i++) args[i] = LLVMGetOperand(call, i);
        LLVMPositionBuilderBefore(u->b, call);
        args[1] = narrow(u, args[1]);
        LLVMReplaceAllUsesWith(call, LLVMBuildCall2(u->b, type, real, args, n, ""));
        LLVMInstructionEraseFromParent(call);
    }
    LLVMDeleteFunction(fn);
}

void cg_narrow(CgUnit *u) {
    if (u->size == u->i64) return;
    narrow_malloc(u);
    narrow_strlen(u);
    narrow_snprintf(u);
    LLVMValueRef product = LLVMGetNamedFunction(u->mod, "__multi3");
    if (product) LLVMSetLinkage(product, LLVMWeakAnyLinkage); /* called by what code generation makes of a product */
}
