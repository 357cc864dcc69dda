/* The LLVM module of a compilation: every function of the IR, the exported symbols, the run-time bodies. */
#include "codegen/cg.h"
#include "support/embed.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Comdat.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Linker.h>
#include <string.h>

extern const TdlEmbedded cg_bodies[];

static void make_types(CgUnit *u) {
    LLVMContextRef c = u->ctx;
    u->i1 = LLVMInt1TypeInContext(c);
    u->i8 = LLVMInt8TypeInContext(c);
    u->i32 = LLVMInt32TypeInContext(c);
    u->i64 = LLVMInt64TypeInContext(c);
    u->i16 = LLVMInt16TypeInContext(c);
    u->f32 = LLVMFloatTypeInContext(c);
    u->f64 = LLVMDoubleTypeInContext(c);
    u->ptr = LLVMPointerTypeInContext(c, 0);
    u->voidt = LLVMVoidTypeInContext(c);
    /* struct TdlrtCtx of runtime/object/bodies.h: lo, hi, top, chunks, grow, saved, saved_end, kept, sets */
    u->ctx_type = LLVMStructTypeInContext(c, (LLVMTypeRef[]){u->ptr, u->ptr, u->i64, u->ptr, u->i64, u->ptr, u->ptr, u->ptr, u->ptr}, 9, 0);
}

/* What users call is kept, in a COMDAT: several objects of one program each bring it. Mach-O has none, and there the linker
 * keeps one of weak definitions anyway. */
static void keep_public(CgUnit *u, const char *name) {
    LLVMValueRef fn = LLVMGetNamedFunction(u->mod, name);
    if (!fn || LLVMIsDeclaration(fn) || strstr(LLVMGetTarget(u->mod), "-apple-")) return;
    LLVMSetComdat(fn, LLVMGetOrInsertComdat(u->mod, name));
}

/* Failing paths and the slow ways to memory stay out of line. */
static void keep_out_of_line(CgUnit *u) {
    static const char *const cold[] = {"tdlrt_fail", "tdlrt_fail_values", "tdlrt_full"};
    static const char *const outlined[] = {"tdlrt_take", "tdlrt_stack", "tdlrt_push", "tdlrt_finish", "tdlrt_polygamma", "tdlrt_set_union", "tdlrt_set_at"};
    for (size_t i = 0; i < sizeof cold / sizeof *cold; i++) {
        LLVMValueRef fn = LLVMGetNamedFunction(u->mod, cold[i]);
        if (!fn) continue;
        cg_attr(u, fn, LLVMAttributeFunctionIndex, "cold", 0);
        cg_attr(u, fn, LLVMAttributeFunctionIndex, "noinline", 0);
    }
    for (size_t i = 0; i < sizeof outlined / sizeof *outlined; i++) {
        LLVMValueRef fn = LLVMGetNamedFunction(u->mod, outlined[i]);
        if (fn) cg_attr(u, fn, LLVMAttributeFunctionIndex, "noinline", 0);
    }
}

bool cg_uses_lapack(const TdlModule *m) {
    for (uint32_t i = 0; i < m->funcs.n; i++)
        if (m->funcs.p[i]->symbol && !strncmp(m->funcs.p[i]->symbol, "tdlrt_", 6)) return true;
    return false;
}

static void find_threads(void *user, TdlFunc *f, TdlOp o) { *(bool *)user |= op_attr(f, o, "threads") != NULL; }

bool cg_uses_threads(const TdlModule *m) {
    bool any = false;
    for (uint32_t i = 0; i < m->funcs.n; i++) ir_walk(m->funcs.p[i], m->funcs.p[i]->body, find_threads, &any);
    return any;
}

/* The linker takes only what is used of linkonce functions. */
static bool link_body(CgUnit *u, const TdlEmbedded *e) {
    LLVMModuleRef bodies = NULL;
    char *why = NULL;
    LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(e->text, e->n, e->name);
    if (LLVMParseIRInContext(u->ctx, buffer, &bodies, &why)) {
        diag_error(u->ir->diags, SPAN_NONE, "internal: %s: %s", e->name, why);
        LLVMDisposeMessage(why);
        return false;
    }
    LLVMSetModuleDataLayout(bodies, u->layout);
    LLVMSetTarget(bodies, LLVMGetTarget(u->mod));
    if (LLVMLinkModules2(u->mod, bodies)) {
        diag_error(u->ir->diags, SPAN_NONE, "internal: %s cannot be linked", e->name);
        return false;
    }
    return true;
}

static bool is_kernel_body(const TdlEmbedded *e) { return !strcmp(e->name, "contract.ll"); }

/* Merges the run-time bodies: errors.ll (not for the JIT, where the process has it: thread-local data), bodies.ll, and
 * lapack.ll, cpu.ll, wasm.ll and threads.ll where they are used. */
bool cg_link_bodies(CgUnit *u) {
    if (!strncmp(LLVMGetTarget(u->mod), "wasm32", 6)) LLVMAddFunction(u->mod, "__multi3", LLVMFunctionType(u->voidt, (LLVMTypeRef[]){u->ptr, u->i64, u->i64, u->i64, u->i64}, 5, 0));
    for (const TdlEmbedded *e = cg_bodies; e->name; e++) {
        if (u->opt.callers && !strcmp(e->name, "errors.ll")) continue;
        if (!strcmp(e->name, "lapack.ll") && !cg_uses_lapack(u->ir)) continue;
        if (!strcmp(e->name, "cpu.ll") && !u->opt.nvariants) continue;
        if (!strcmp(e->name, "wasm.ll") && strncmp(LLVMGetTarget(u->mod), "wasm32", 6)) continue;
        if (!strcmp(e->name, "threads.ll") && !cg_uses_threads(u->ir)) continue;
        if (!is_kernel_body(e) && !link_body(u, e)) return false;
    }
    keep_public(u, "tdl_last_error");
    keep_out_of_line(u);
    cg_narrow(u);
    return true;
}

bool cg_link_kernels(CgUnit *u) {
    if (!cg_kernels_emit(u)) return true;
    for (const TdlEmbedded *e = cg_bodies; e->name; e++)
        if (is_kernel_body(e) && !link_body(u, e)) return false;
    return true;
}

static bool verify(CgUnit *u) {
    char *why = NULL;
    bool bad = LLVMVerifyModule(u->mod, LLVMReturnStatusAction, &why);
    if (bad) diag_error(u->ir->diags, SPAN_NONE, "internal: the generated LLVM module is malformed: %s", why);
    LLVMDisposeMessage(why);
    return !bad;
}

CgUnit *cg_module(TdlModule *m, const CgOptions *opt) {
    CgUnit *u = ARENA_NEW(m->arena, CgUnit);
    size_t errors = diags_errors(m->diags);
    u->arena = m->arena;
    u->ir = m;
    u->opt = *opt;
    u->ctx = LLVMContextCreate();
    u->mod = LLVMModuleCreateWithNameInContext("tdl", u->ctx);
    u->b = LLVMCreateBuilderInContext(u->ctx);
    make_types(u);
    bool ok = cg_target(u);
    if (ok) {
        cg_groups(u);
        cg_debug_start(u);
        for (uint32_t i = 0; i < m->funcs.n; i++)
            if (!m->funcs.p[i]->symbol) cg_func(u, m->funcs.p[i]);
        for (uint32_t i = 0; i < m->funcs.n; i++)
            if (opt->outer) cg_variant_entry(u, m->funcs.p[i]);
            else if (m->funcs.p[i]->exported || m->funcs.p[i]->script) {
                cg_export(u, m->funcs.p[i]);
                cg_graph_table(u, m->funcs.p[i]);
                if (opt->callers && !m->funcs.p[i]->general.id) cg_caller(u, m->funcs.p[i]);
            }
        cg_debug_finish(u);
        ok = diags_errors(m->diags) == errors && cg_link_bodies(u) && verify(u);
    }
    if (ok) return u;
    cg_free(u);
    return NULL;
}

void cg_free(CgUnit *u) {
    if (!u) return;
    if (u->di) LLVMDisposeDIBuilder(u->di);
    if (u->layout) LLVMDisposeTargetData(u->layout);
    if (u->tm) LLVMDisposeTargetMachine(u->tm);
    LLVMDisposeBuilder(u->b);
    LLVMDisposeModule(u->mod);
    LLVMContextDispose(u->ctx);
}
