/* One object for several processors: beside the baseline, functions with loops are compiled for better ones too, and the
 * exported symbol calls the best that the processor can run.
 *
 * A variant is a unit of its own, with loop IR of its own (the lanes of vector loops follow from the width of registers).
 * When its passes are done it is merged: `tdl.f` becomes `tdl.f.x86-64-v3`, everything else in it internal, so that no
 * code of a better processor takes the place of the baseline's. The level of the processor is found once (cpu.c of
 * runtime/object); nothing outside the object is asked, so that it works in static programs and shared libraries alike. */
#include "codegen/cg.h"

#include <llvm-c/BitReader.h>
#include <llvm-c/BitWriter.h>
#include <llvm-c/Comdat.h>
#include <llvm-c/Linker.h>
#include <string.h>

/* By the level that tdlrt_x86_level answers, from 1. */
static const char *const LEVELS[] = {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"};

static uint32_t level_of(const char *cpu) {
    for (uint32_t i = 0; i < sizeof LEVELS / sizeof *LEVELS; i++)
        if (!strcmp(LEVELS[i], cpu)) return i + 1;
    return 0;
}

bool cg_processor_known(const char *cpu) { return level_of(cpu) != 0; }

static void note_loop(void *user, TdlFunc *f, TdlOp o) {
    TdlOpcode c = ir_op(f, o)->code;
    *(bool *)user |= c == OP_FOR || c == OP_WHILE || c == OP_CONTRACT || c == OP_CALL;
}

bool cg_has_loops(const TdlFunc *f) {
    bool any = false;
    ir_walk((TdlFunc *)f, f->body, note_loop, &any);
    return any;
}

uint32_t cg_nvariants(const CgOptions *opt, const TdlFunc *f) { return opt->nvariants && cg_has_loops(f) ? opt->nvariants : 0; }

TdlFunc *cg_variant_of(const CgOptions *opt, const TdlFunc *f, uint32_t i) { return ir_func_find(opt->variants[i].m, f->name); }

/* The port of `to` that C sees where it sees port i of f: what is saved comes between. */
static uint32_t same_port(const TdlFunc *f, uint32_t i, const TdlFunc *to) {
    uint32_t seen = 0, k = 0;
    while (i > 0) seen += !f->params.p[--i].saved;
    for (;; k++)
        if (!to->params.p[k].saved && seen-- == 0) return k;
}

/* Each variant and case plans its memory by itself, and what it does in place. */
bool cg_lies_over(const CgOptions *opt, const TdlFunc *f, uint32_t dest, uint32_t param) {
    const TdlPort *p = &f->params.p[dest];
    const TdlFunc *c;
    bool found = false;
    for (uint32_t i = 0; i < p->over.n; i++) found |= p->over.p[i] == param;
    for (uint32_t i = 0; found && i < cg_nvariants(opt, f); i++)
        found = cg_lies_over(&(CgOptions){0}, cg_variant_of(opt, f, i), dest, param);
    for (uint32_t i = 0; found && (c = cg_next_case(f->module, f, &i));)
        found = cg_lies_over(opt, c, same_port(f, dest, c), same_port(f, param, c));
    return found;
}

const char *cg_processors_text(const CgOptions *opt, const TdlFunc *f) {
    TdlStr s = str_new(f->module->arena);
    for (uint32_t i = 0; i < cg_nvariants(opt, f); i++) str_printf(&s, "%s%s", i ? ", " : "", opt->variants[i].cpu);
    if (s.n) str_printf(&s, " and any %s processor", opt->cpu);
    return s.n ? s.p : NULL;
}

/* ---- the choice ---- */

static const char *symbol(CgUnit *u, const TdlFunc *f, const char *cpu) {
    return arena_printf(u->arena, "tdl.%s.%s", sym_text(u->ir->names, f->name), cpu);
}

static LLVMValueRef level(CgUnit *u) {
    LLVMValueRef known = LLVMGetNamedGlobal(u->mod, "tdl.level");
    if (!known) {
        known = LLVMAddGlobal(u->mod, u->i32, "tdl.level");
        LLVMSetInitializer(known, LLVMConstInt(u->i32, 0, 0));
        LLVMSetLinkage(known, LLVMInternalLinkage);
    }
    return cg_call(u, "tdlrt_x86_level", u->i32, &known, 1);
}

LLVMValueRef cg_call_best(Cg *g, LLVMValueRef *args, uint32_t n) {
    CgUnit *u = g->u;
    LLVMBuilderRef b = u->b;
    LLVMValueRef base = cg_func_declare(u, g->f);
    LLVMTypeRef type = LLVMGlobalGetValueType(base);
    uint32_t nvariants = cg_nvariants(&u->opt, g->f);
    LLVMValueRef best = base, have = nvariants ? level(u) : NULL;
    for (uint32_t i = 0; i < nvariants; i++) {
        const char *cpu = u->opt.variants[i].cpu;
        LLVMValueRef fn = LLVMAddFunction(u->mod, symbol(u, g->f, cpu), type);
        cg_attr(u, fn, LLVMAttributeFunctionIndex, "nounwind", 0);
        LLVMValueRef can = LLVMBuildICmp(b, LLVMIntSGE, have, LLVMConstInt(u->i32, level_of(cpu), 0), "");
        best = LLVMBuildSelect(b, can, fn, best, "");
    }
    return LLVMBuildCall2(b, type, best, args, n, "");
}

/* ---- merging ---- */

static void set_text(CgUnit *u, LLVMValueRef fn, const char *key, const char *value) {
    LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex,
                            LLVMCreateStringAttribute(u->ctx, key, (unsigned)strlen(key), value, (unsigned)strlen(value)));
}

void cg_use_width(CgUnit *u) {
    for (LLVMValueRef fn = LLVMGetFirstFunction(u->mod); fn && u->vector_bytes == 64; fn = LLVMGetNextFunction(fn))
        if (!LLVMIsDeclaration(fn)) set_text(u, fn, "prefer-vector-width", "512");
}

void cg_variant_entry(CgUnit *u, TdlFunc *f) {
    const TdlFunc *chosen = f->exported ? ir_func_find(u->opt.outer, f->name) : NULL;
    if (chosen && cg_has_loops(chosen)) LLVMSetLinkage(cg_func_declare(u, f), LLVMExternalLinkage);
}

/* Functions of the variant carry its processor, and only those that are chosen have a name outside. */
static void mark(CgUnit *v, const char *cpu) {
    for (LLVMValueRef fn = LLVMGetFirstFunction(v->mod); fn; fn = LLVMGetNextFunction(fn)) {
        if (LLVMIsDeclaration(fn)) continue;
        LLVMSetComdat(fn, NULL);
        if (LLVMGetLinkage(fn) != LLVMExternalLinkage) LLVMSetLinkage(fn, LLVMInternalLinkage);
        LLVMSetVisibility(fn, LLVMDefaultVisibility);
        set_text(v, fn, "target-cpu", cpu);
    }
    for (uint32_t i = 0; i < v->ir->funcs.n; i++) {
        const char *name = arena_printf(v->arena, "tdl.%s", sym_text(v->ir->names, v->ir->funcs.p[i]->name));
        LLVMValueRef fn = LLVMGetNamedFunction(v->mod, name);
        const char *full = symbol(v, v->ir->funcs.p[i], cpu);
        if (fn && LLVMGetLinkage(fn) == LLVMExternalLinkage) LLVMSetValueName2(fn, full, strlen(full));
    }
}

/* The two have contexts of their own: bitcode goes between them. */
static bool merge(CgUnit *u, CgUnit *v) {
    LLVMMemoryBufferRef bits = LLVMWriteBitcodeToMemoryBuffer(v->mod);
    LLVMModuleRef copy = NULL;
    bool ok = !LLVMParseBitcodeInContext2(u->ctx, bits, &copy) && !LLVMLinkModules2(u->mod, copy);
    LLVMDisposeMemoryBuffer(bits);
    if (!ok) diag_error(u->ir->diags, SPAN_NONE, "internal: the variant for %s cannot be linked", v->opt.cpu);
    for (uint32_t i = 0; ok && i < u->ir->funcs.n; i++) {
        LLVMValueRef fn = LLVMGetNamedFunction(u->mod, symbol(u, u->ir->funcs.p[i], v->opt.cpu));
        if (fn && !LLVMIsDeclaration(fn)) LLVMSetLinkage(fn, LLVMInternalLinkage);
    }
    return ok;
}

bool cg_add_variants(CgUnit *u) {
    bool ok = true;
    for (uint32_t i = 0; ok && i < u->opt.nvariants; i++) {
        const CgVariant *variant = &u->opt.variants[i];
        CgOptions opt = u->opt;
        opt.cpu = variant->cpu;
        opt.outer = u->ir;
        opt.nvariants = 0;
        CgUnit *v = cg_module(variant->m, &opt);
        ok = v && cg_optimize(v);
        if (ok) mark(v, variant->cpu);
        ok = ok && merge(u, v);
        cg_free(v);
    }
    return ok;
}
