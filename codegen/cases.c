/* Cases of an exported function: code for some values of its dimensions. Each is behind functions of its own, made as the
 * exported ones are: they check the arguments and know the memory that the case wants. The exported ones hand a call on to
 * the first case whose values are there, as the cases stand in the module (passes/specialise.c). */
#include "codegen/cg.h"

#include <string.h>

const char *cg_public_name(const TdlFunc *f) { return sym_text(f->module->names, f->general.id ? f->general : f->name); }

const char *cg_entry_name(const TdlFunc *f, CgEntry e) {
    static const char *const ends[] = {"", "_workspace_size", "_saved_size"};
    TdlSym name = e == CG_SAVED ? f->saves : f->name;
    return arena_printf(f->module->arena, "%s%s", sym_text(f->module->names, name), ends[e]);
}

TdlFunc *cg_next_case(const TdlModule *m, const TdlFunc *f, uint32_t *i) {
    while (*i < m->funcs.n) {
        TdlFunc *c = m->funcs.p[(*i)++];
        if (c->general.id && sym_eq(c->general, f->name)) return c;
    }
    return NULL;
}

const char *cg_case_text(const TdlFunc *c) {
    TdlStr s = str_new(c->module->arena);
    int64_t n;
    for (uint32_t i = 0; i < c->at.n; i++)
        if (dim_is_const(c->module, c->at.p[i], &n)) str_printf(&s, "%s%s = %lld", s.n ? ", " : "", sym_text(c->module->names, c->dims.p[i]), (long long)n);
    return s.p;
}

LLVMValueRef cg_entry(CgUnit *u, const TdlFunc *f, CgEntry e, LLVMTypeRef type) {
    const char *name = cg_entry_name(f, e);
    LLVMValueRef fn = LLVMGetNamedFunction(u->mod, name);
    if (fn && LLVMIsDeclaration(fn) && LLVMGlobalGetValueType(fn) == type) return fn;
    if (fn) diag_error(u->ir->diags, f->span, "export: %s is the name of another function of the object", name);
    fn = LLVMAddFunction(u->mod, name, type);
    if (f->general.id) LLVMSetLinkage(fn, LLVMInternalLinkage);
    cg_attr(u, fn, LLVMAttributeFunctionIndex, "nounwind", 0);
    return fn;
}

/* Do the dimensions, the first parameters, have the values of the case? */
static LLVMValueRef fits(Cg *g, const TdlFunc *c) {
    LLVMBuilderRef b = g->u->b;
    LLVMValueRef all = NULL;
    int64_t n;
    for (uint32_t i = 0; i < c->at.n; i++) {
        if (!dim_is_const(c->module, c->at.p[i], &n)) continue;
        LLVMValueRef same = LLVMBuildICmp(b, LLVMIntEQ, LLVMGetParam(g->fn, i), cg_i64(g->u, n), "");
        all = all ? LLVMBuildAnd(b, all, same, "") : same;
    }
    return all;
}

/* Small integers keep their extension. */
static void hand_on_attributes(Cg *g, LLVMValueRef call) {
    for (unsigned i = 1; i <= LLVMCountParams(g->fn); i++) {
        LLVMAttributeRef list[8];
        unsigned n = LLVMGetAttributeCountAtIndex(g->fn, i);
        if (n > sizeof list / sizeof *list) continue;
        LLVMGetAttributesAtIndex(g->fn, i, list);
        for (unsigned k = 0; k < n; k++) LLVMAddCallSiteAttribute(call, i, list[k]);
    }
}

void cg_hand_on(Cg *g, CgEntry e) {
    CgUnit *u = g->u;
    LLVMTypeRef type = LLVMGlobalGetValueType(g->fn);
    LLVMValueRef *args = ARENA_ARRAY(u->arena, LLVMValueRef, LLVMCountParams(g->fn) + 1);
    LLVMGetParams(g->fn, args);
    const TdlFunc *c;
    for (uint32_t i = 0; (c = cg_next_case(u->ir, g->f, &i));) {
        LLVMBasicBlockRef there = cg_block(g, "case"), other = cg_block(g, "");
        LLVMBuildCondBr(u->b, fits(g, c), there, other);
        LLVMPositionBuilderAtEnd(u->b, there);
        LLVMValueRef call = LLVMBuildCall2(u->b, type, cg_entry(u, c, e, type), args, LLVMCountParams(g->fn), "");
        hand_on_attributes(g, call);
        LLVMBuildRet(u->b, call);
        LLVMPositionBuilderAtEnd(u->b, other);
    }
}
