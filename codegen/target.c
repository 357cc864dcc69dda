/* Target machine, optimisation, and the outputs. */
#include "codegen/cg.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Support.h>
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
typedef struct { const char *arch, *cpu, *features, *abi; } Baseline;
static const Baseline BASELINES[] = {
    {"x86_64", "x86-64", "", NULL},
    {"riscv64", "generic-rv64", "+m,+a,+f,+d,+c", "lp64d"},
    {"wasm32", "generic", "+simd128", NULL},
    {"riscv32", "generic-rv32", "+m,+a,+f,+d,+c", "ilp32d"},
    {"", "generic", "", NULL},
};

static const Baseline *baseline_of(const char *triple) {
    const Baseline *b = BASELINES;
    while (strncmp(triple, b->arch, strlen(b->arch)) != 0) b++;
    return b;
}

/* LLVM says only on standard error that it does not know a processor, and later ends the process: what it writes while
 * the target machine is made is read. NULL: it does not know it. */
static LLVMTargetMachineRef make_machine(LLVMTargetRef target, const char *triple, const char *cpu, const char *features, int opt_level) {
    char said[256] = "";
    FILE *log = tmpfile();
    int saved = log ? dup(STDERR_FILENO) : -1;
    if (saved >= 0) {
        fflush(stderr);
        dup2(fileno(log), STDERR_FILENO);
    }
    LLVMRelocMode mode = strncmp(triple, "wasm", 4) ? LLVMRelocPIC : LLVMRelocStatic;
    LLVMTargetMachineRef tm = LLVMCreateTargetMachine(target, triple, cpu, features, level(opt_level), mode, LLVMCodeModelDefault);
    if (saved >= 0) {
        fflush(stderr);
        dup2(saved, STDERR_FILENO);
        close(saved);
        rewind(log);
        said[fread(said, 1, sizeof said - 1, log)] = 0;
    }
    if (log) fclose(log);
    if (!tm || !strstr(said, "is not a recognized processor")) return tm;
    LLVMDisposeTargetMachine(tm);
    return NULL;
}

/* The machine that the options name; NULL with an error, where there are diagnostics for it. */
static LLVMTargetMachineRef machine_of(const CgOptions *opt, TdlDiags *diags) {
    char *why = NULL, *triple, *cpu = NULL, *features = NULL;
    LLVMTargetRef target;
    LLVMTargetMachineRef tm = NULL;
    if (opt->target) {
        LLVMInitializeAllTargetInfos();
        LLVMInitializeAllTargets();
        LLVMInitializeAllTargetMCs();
        LLVMInitializeAllAsmPrinters();
        LLVMInitializeAllAsmParsers(); /* of the inline assembly in cpu.ll */
        triple = LLVMNormalizeTargetTriple(opt->target);
    } else {
        LLVMInitializeNativeTarget();
        LLVMInitializeNativeAsmPrinter();
        LLVMInitializeNativeAsmParser();
        triple = LLVMGetDefaultTargetTriple();
    }
    if (LLVMGetTargetFromTriple(triple, &target, &why)) {
        if (diags) diag_error(diags, SPAN_NONE, "--target=%s: %s", triple, why);
        LLVMDisposeMessage(why);
    } else {
        const Baseline *base = baseline_of(triple);
        const char *wanted = opt->cpu ? opt->cpu : base->cpu;
        if (!strcmp(wanted, "native")) {
            cpu = LLVMGetHostCPUName();
            features = LLVMGetHostCPUFeatures();
        }
        tm = make_machine(target, triple, cpu ? cpu : wanted, features ? features : opt->cpu ? "" : base->features, opt->opt_level);
        if (!tm && diags) diag_error(diags, SPAN_NONE, "--mcpu=%s: %s has no such processor", wanted, triple);
    }
    LLVMDisposeMessage(triple);
    if (cpu) LLVMDisposeMessage(cpu);
    if (features) LLVMDisposeMessage(features);
    return tm;
}

const char *cg_processors(const CgOptions *opt) {
    if (opt->cpu || opt->opt_level < 2) return opt->cpu;
    char *triple = opt->target ? LLVMNormalizeTargetTriple(opt->target) : LLVMGetDefaultTargetTriple();
    bool x86 = !strncmp(triple, "x86_64", 6);
    LLVMDisposeMessage(triple);
    return x86 ? "x86-64,x86-64-v3,x86-64-v4" : NULL;
}

static void target_abi(CgUnit *u, const char *name) {
    LLVMMetadataRef value = LLVMMDStringInContext2(u->ctx, name, strlen(name));
    LLVMAddModuleFlag(u->mod, LLVMModuleFlagBehaviorError, "target-abi", strlen("target-abi"), value);
}

bool cg_target(CgUnit *u) {
    u->tm = machine_of(&u->opt, u->ir->diags);
    if (!u->tm) return false;
    char *triple = LLVMGetTargetMachineTriple(u->tm);
    bool threads = cg_uses_threads(u->ir) && !strncmp(triple, "wasm", 4);
    if (threads) diag_error(u->ir->diags, SPAN_NONE, "-fopenmp: %s has no OpenMP runtime: compile for it without -fopenmp", triple);
    LLVMSetTarget(u->mod, triple);
    u->layout = LLVMCreateTargetDataLayout(u->tm);
    u->size = LLVMIntPtrTypeInContext(u->ctx, u->layout);
    LLVMSetModuleDataLayout(u->mod, u->layout);
    if (baseline_of(triple)->abi) target_abi(u, baseline_of(triple)->abi);
    LLVMDisposeMessage(triple);
    u->vector_bytes = cg_vector_bytes(&u->opt);
    return true;
}

/* The assembly of an addition of 64 bytes says what registers there are; LLVM-C has no other answer for a processor's name. */
static uint32_t widest_register(LLVMTargetMachineRef tm) {
    static const char text[] = "define <16 x float> @f(<16 x float> %x) #0 { %y = fadd <16 x float> %x, %x ret <16 x float> %y }\n"
                               "attributes #0 = { \"min-legal-vector-width\"=\"512\" }\n";
    LLVMContextRef c = LLVMContextCreate();
    LLVMModuleRef m = NULL;
    LLVMMemoryBufferRef out = NULL, in = LLVMCreateMemoryBufferWithMemoryRangeCopy(text, sizeof text - 1, "width");
    char *why = NULL;
    uint32_t bytes = CG_VECTOR_LEAST;
    if (!LLVMParseIRInContext(c, in, &m, &why) && !LLVMTargetMachineEmitToMemoryBuffer(tm, m, LLVMAssemblyFile, &why, &out)) {
        const char *code = LLVMGetBufferStart(out);
        bytes = strstr(code, "zmm") ? 64 : strstr(code, "ymm") ? 32 : CG_VECTOR_LEAST;
        LLVMDisposeMemoryBuffer(out);
    }
    if (why) LLVMDisposeMessage(why);
    if (m) LLVMDisposeModule(m);
    LLVMContextDispose(c);
    return bytes;
}

uint32_t cg_vector_bytes(const CgOptions *opt) {
    LLVMTargetMachineRef tm = opt->cpu ? machine_of(opt, NULL) : NULL; /* baselines have no more than the least */
    uint32_t bytes = tm ? widest_register(tm) : CG_VECTOR_LEAST;
    if (tm) LLVMDisposeTargetMachine(tm);
    return bytes;
}

/* LLVM's part of the work is small: loop IR comes fused, hoisted and, where that pays, in vectors. What is left is to
 * clean up (-O1), to take care of the loops that were not chosen (-O2), and to unroll them (-O3, which only longer scalar
 * loops gain by). On what tdlc makes that is as fast as default<O3> in a fifth of its time: straight-line code has no
 * vectors to be searched for (SLP), the second early-cse finds what GVN does, and what one iteration stores for the next
 * (loop-load-elim, quadratic in the accesses of a loop) is in registers already. */
#define CG_COMBINE "instcombine<no-verify-fixpoint>"
#define CG_CLEAN "cgscc(inline),function(sroa,early-cse<memssa>," CG_COMBINE ",simplifycfg,loop-mssa(licm,simple-loop-unswitch)," \
                 "loop(loop-idiom,indvars,loop-deletion,loop-unroll-full),early-cse<memssa>,sccp," CG_COMBINE ",simplifycfg"
#define CG_LOOPS ",loop-vectorize," CG_COMBINE ",simplifycfg,vector-combine"
#define CG_DONE ",loop-mssa(licm)),globaldce,constmerge"
static const char *const PIPELINES[] = {
    "default<O0>",
    CG_CLEAN "),globaldce,constmerge",
    CG_CLEAN CG_LOOPS CG_DONE,
    CG_CLEAN CG_LOOPS ",loop-unroll<O3>," CG_COMBINE CG_DONE,
};

bool cg_optimize(CgUnit *u) {
    cg_use_width(u);
    LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
    /* With 64-bit indices of 32-bit pointers, which passes narrow, LLVM's fast instruction selection of -O0 is wrong. */
    int least = u->size == u->i64 ? 0 : 1, n = u->opt.opt_level > least ? u->opt.opt_level : least;
    LLVMErrorRef e = LLVMRunPasses(u->mod, PIPELINES[n], u->tm, o);
    if (!e && cg_math_done(u)) e = LLVMRunPasses(u->mod, "globaldce", u->tm, o);
    LLVMDisposePassBuilderOptions(o);
    if (!e) return cg_link_kernels(u) && cg_add_variants(u);
    char *why = LLVMGetErrorMessage(e);
    diag_error(u->ir->diags, SPAN_NONE, "internal: LLVM: %s", why);
    LLVMDisposeErrorMessage(why);
    return false;
}

/* LLVM-C has no functions for these. x86 addresses memory by base + index * scale + constant, which tdlc's accesses are from
 * the start: loop strength reduction only takes time there, as much as the rest of the back end. */
void cg_start(const CgOptions *opt, bool time_passes) {
    char *triple = opt->target ? LLVMNormalizeTargetTriple(opt->target) : LLVMGetDefaultTargetTriple();
    const char *options[3] = {"tdlc"};
    int n = 1;
    if (!strncmp(triple, "x86_64", 6)) options[n++] = "-disable-lsr";
    if (time_passes) options[n++] = "-time-passes";
    LLVMParseCommandLineOptions(n, options, NULL);
    LLVMDisposeMessage(triple);
}

void cg_report_times(void) { LLVMShutdown(); }

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
