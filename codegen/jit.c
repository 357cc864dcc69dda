/* Object code in memory, linked by LLJIT. Objects rather than modules: one way for all LLVM versions, and exactly the
 * code that a file would hold. */
#include "codegen/jit.h"
#include "codegen/cg.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>

struct CgJit { CgUnit *u; LLVMOrcLLJITRef lljit; };

static bool failed(CgUnit *u, LLVMErrorRef e) {
    if (!e) return false;
    char *why = LLVMGetErrorMessage(e);
    diag_error(u->ir->diags, SPAN_NONE, "internal: JIT: %s", why);
    LLVMDisposeErrorMessage(why);
    return true;
}

static bool define_symbols(CgJit *j, const CgSymbol *symbols, uint32_t n) {
    LLVMOrcCSymbolMapPairs pairs = ARENA_ARRAY(j->u->arena, LLVMOrcCSymbolMapPair, n);
    for (uint32_t i = 0; i < n; i++) {
        pairs[i].Name = LLVMOrcLLJITMangleAndIntern(j->lljit, symbols[i].name);
        pairs[i].Sym.Address = (LLVMOrcExecutorAddress)(uintptr_t)symbols[i].address;
        pairs[i].Sym.Flags.GenericFlags = LLVMJITSymbolGenericFlagsExported;
    }
    return !failed(j->u, LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(j->lljit), LLVMOrcAbsoluteSymbols(pairs, n)));
}

/* Everything else (libm, malloc) is looked up in the process. */
static bool use_process(CgJit *j) {
    LLVMOrcDefinitionGeneratorRef generator = NULL;
    if (failed(j->u, LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
                         &generator, LLVMOrcLLJITGetGlobalPrefix(j->lljit), NULL, NULL)))
        return false;
    LLVMOrcJITDylibAddGenerator(LLVMOrcLLJITGetMainJITDylib(j->lljit), generator);
    return true;
}

static bool add_object(CgJit *j) {
    TdlStr object = str_new(j->u->arena);
    if (!cg_emit(j->u, CG_OBJECT, &object)) return false;
    LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(object.p, object.n, "tdl.o");
    return !failed(j->u, LLVMOrcLLJITAddObjectFile(j->lljit, LLVMOrcLLJITGetMainJITDylib(j->lljit), buffer));
}

CgJit *cg_jit(CgUnit *u, const CgSymbol *symbols, uint32_t n) {
    CgJit *j = ARENA_NEW(u->arena, CgJit);
    j->u = u;
    if (failed(u, LLVMOrcCreateLLJIT(&j->lljit, LLVMOrcCreateLLJITBuilder()))) return NULL;
    if (define_symbols(j, symbols, n) && use_process(j) && add_object(j)) return j;
    cg_jit_free(j);
    return NULL;
}

void *cg_jit_find(CgJit *j, const char *name) {
    LLVMOrcExecutorAddress address = 0;
    if (failed(j->u, LLVMOrcLLJITLookup(j->lljit, &address, name))) return NULL;
    return (void *)(uintptr_t)address;
}

void cg_jit_free(CgJit *j) {
    if (j) LLVMConsumeError(LLVMOrcDisposeLLJIT(j->lljit));
}
