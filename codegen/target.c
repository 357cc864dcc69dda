/* Target machine, optimisation, and the outputs. */
#include "codegen/cg.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *cg_llvm_version(void) {
#define CG_TEXT(x) #x
#define CG_STRINGIFY(x) CG_TEXT(x)
    return CG_STRINGIFY(TDL_LLVM_MAJOR);
}

static LLVMCodeGenOptLevel level(int opt) {
    return opt == 0 ? LLVMCodeGenLevelNone : opt == 1 ? LLVMCodeGenLevelLess : opt == 2 ? LLVMCodeGenLevelDefault
                                                                                         : LLVMCodeGenLevelAggressive;
}

/* What a triple means where no processor is named: as clang takes it. */
static const struct { const char *arch, *cpu, *features, *abi; } BASELINES[] = {
    {"x86_64", "x86-64", "", NULL},
    {"riscv64", "generic-rv64", "+m,+a,+f,+d,+c", "lp64d"},
    {"riscv32", "generic-rv32", "+m,+a,+f,+d,+c", "ilp32d"},
    {"", "generic", "", NULL},
};

/* LLVM says only on standard error that it does not know a processor, and later ends the process: what it writes while
 * the target machine is made is read. */
static bool make_machine(CgUnit *u, LLVMTargetRef target, const char *triple, const char *cpu, const char *features) {
    char said[256] = "";
    FILE *log = tmpfile();
    int saved = log ? dup(STDERR_FILENO) : -1;
    if (saved >= 0) {
        fflush(stderr);
        dup2(fileno(log), STDERR_FILENO);
    }
    u->tm = LLVMCreateTargetMachine(target, triple, cpu, features, level(u->opt.opt_level), LLVMRelocPIC, LLVMCodeModelDefault);
    if (saved >= 0) {
        fflush(stderr);
        dup2(saved, STDERR_FILENO);
        close(saved);
        rewind(log);
        said[fread(said, 1, sizeof said - 1, log)] = 0;
    }
    if (log) fclose(log);
    if (u->tm && !strstr(said, "is not a recognized processor")) return true;
    diag_error(u->ir->diags, SPAN_NONE, "--mcpu=%s: %s has no such processor", cpu, triple);
    return false;
}

static void target_abi(CgUnit *u, const char *name) {
    LLVMMetadataRef value = LLVMMDStringInContext2(u->ctx, name, strlen(name));
    LLVMAddModuleFlag(u->mod, LLVMModuleFlagBehaviorError, "target-abi", strlen("target-abi"), value);
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
    size_t base = 0;
    while (strncmp(triple, BASELINES[base].arch, strlen(BASELINES[base].arch)) != 0) base++;
    const char *wanted = u->opt.cpu ? u->opt.cpu : BASELINES[base].cpu;
    if (!strcmp(wanted, "native")) {
        cpu = LLVMGetHostCPUName();
        features = LLVMGetHostCPUFeatures();
    }
    bool ok = make_machine(u, target, triple, cpu ? cpu : wanted, features ? features : u->opt.cpu ? "" : BASELINES[base].features);
    if (ok) {
        LLVMSetTarget(u->mod, triple);
        u->layout = LLVMCreateTargetDataLayout(u->tm);
        LLVMSetModuleDataLayout(u->mod, u->layout);
        if (BASELINES[base].abi) target_abi(u, BASELINES[base].abi);
    }
    LLVMDisposeMessage(triple);
    if (cpu) LLVMDisposeMessage(cpu);
    if (features) LLVMDisposeMessage(features);
    return ok;
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
