/* Target machine, optimisation, and the outputs. */
#include "codegen/cg.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <string.h>

const char *cg_llvm_version(void) {
#define CG_TEXT(x) #x
#define CG_STRINGIFY(x) CG_TEXT(x)
    return CG_STRINGIFY(TDL_LLVM_MAJOR);
}

static LLVMCodeGenOptLevel level(int opt) {
    return opt == 0 ? LLVMCodeGenLevelNone : opt == 1 ? LLVMCodeGenLevelLess : opt == 2 ? LLVMCodeGenLevelDefault
                                                                                         : LLVMCodeGenLevelAggressive;
}

bool cg_target(CgUnit *u) {
    char *why = NULL, *triple, *cpu = NULL, *features = NULL;
    LLVMTargetRef target;
    if (u->opt.target) {
        LLVMInitializeAllTargetInfos();
        LLVMInitializeAllTargets();
        LLVMInitializeAllTargetMCs();
        LLVMInitializeAllAsmPrinters();
        triple = LLVMNormalizeTargetTriple(u->opt.target);
    } else {
        LLVMInitializeNativeTarget();
        LLVMInitializeNativeAsmPrinter();
        triple = LLVMGetDefaultTargetTriple();
    }
    if (LLVMGetTargetFromTriple(triple, &target, &why)) {
        diag_error(u->ir->diags, SPAN_NONE, "--target=%s: %s", triple, why);
        LLVMDisposeMessage(why);
        LLVMDisposeMessage(triple);
        return false;
    }
    const char *wanted = u->opt.cpu ? u->opt.cpu : !strncmp(triple, "x86_64", 6) ? "x86-64" : "generic";
    if (!strcmp(wanted, "native")) {
        cpu = LLVMGetHostCPUName();
        features = LLVMGetHostCPUFeatures();
    }
    u->tm = LLVMCreateTargetMachine(target, triple, cpu ? cpu : wanted, features ? features : "", level(u->opt.opt_level),
                                    LLVMRelocPIC, LLVMCodeModelDefault);
    LLVMSetTarget(u->mod, triple);
    u->layout = LLVMCreateTargetDataLayout(u->tm);
    LLVMSetModuleDataLayout(u->mod, u->layout);
    LLVMDisposeMessage(triple);
    if (cpu) LLVMDisposeMessage(cpu);
    if (features) LLVMDisposeMessage(features);
    return true;
}

bool cg_optimize(CgUnit *u) {
    char passes[16] = "default<O0>";
    passes[9] = (char)('0' + u->opt.opt_level);
    LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
    LLVMPassBuilderOptionsSetSLPVectorization(o, u->opt.opt_level >= 2);
    LLVMPassBuilderOptionsSetLoopVectorization(o, u->opt.opt_level >= 2);
    LLVMPassBuilderOptionsSetLoopInterleaving(o, u->opt.opt_level >= 2);
    LLVMErrorRef e = LLVMRunPasses(u->mod, passes, u->tm, o);
    LLVMDisposePassBuilderOptions(o);
    if (!e) return true;
    char *why = LLVMGetErrorMessage(e);
    diag_error(u->ir->diags, SPAN_NONE, "internal: LLVM: %s", why);
    LLVMDisposeErrorMessage(why);
    return false;
}

bool cg_emit(CgUnit *u, CgOutput what, TdlStr *out) {
    if (what == CG_LLVM) {
        char *text = LLVMPrintModuleToString(u->mod);
        str_puts(out, text);
        LLVMDisposeMessage(text);
        return true;
    }
    LLVMMemoryBufferRef buffer = NULL;
    char *why = NULL;
    /* Emission changes the module: a clone is emitted. */
    LLVMModuleRef copy = LLVMCloneModule(u->mod);
    bool failed = LLVMTargetMachineEmitToMemoryBuffer(u->tm, copy, what == CG_ASM ? LLVMAssemblyFile : LLVMObjectFile,
                                                      &why, &buffer);
    if (failed) {
        diag_error(u->ir->diags, SPAN_NONE, "internal: LLVM: %s", why);
        LLVMDisposeMessage(why);
    } else {
        str_putn(out, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
        LLVMDisposeMemoryBuffer(buffer);
    }
    LLVMDisposeModule(copy);
    return !failed;
}
