/* One function of loop IR: its internal symbol `tdl.<name>`, calls of it, what may be reassociated in it. */
#include "codegen/cg.h"

#include <string.h>

/* ---- reductions ---- */

static void mark_chain(Cg *g, TdlVal v, TdlVal carried);

/* Marks o, which makes v, when it is an addition, and follows its operands. */
static void mark_addition(Cg *g, TdlOp o, TdlVal carried) {
    const TdlOpData *d = ir_op(g->f, o);
    if (g->reassoc[o.id] || (d->code != OP_ADD && d->code != OP_SUB)) return;
    g->reassoc[o.id] = true;
    mark_chain(g, d->operands[0], carried);
    if (d->code == OP_ADD) mark_chain(g, d->operands[1], carried);
}

static void mark_chain(Cg *g, TdlVal v, TdlVal carried) {
    TdlOp def = ir_val(g->f, v)->def;
    if (v.id != carried.id && def.id) mark_addition(g, def, carried);
}

/* True when v is reached from `from` through additions, or through the carried value of an inner loop. */
static bool chain_reaches(const Cg *g, TdlVal from, TdlVal v, int depth) {
    if (from.id == v.id) return true;
    TdlOp def = ir_val(g->f, from)->def;
    if (!def.id || depth > 8) return false;
    const TdlOpData *d = ir_op(g->f, def);
    if (d->code == OP_ADD)
        return chain_reaches(g, d->operands[0], v, depth + 1) || chain_reaches(g, d->operands[1], v, depth + 1);
    if (d->code == OP_SUB) return chain_reaches(g, d->operands[0], v, depth + 1);
    return false;
}

static void mark_for(Cg *g, TdlOp o) {
    const TdlOpData *d = ir_op(g->f, o);
    TdlRegion body = d->regions[0];
    TdlOp end = ir_terminator(g->f, body);
    uint32_t skip = op_int(g->f, o, "exit", 0) != 0;
    for (uint32_t i = 0; i + 2u < d->noperands; i++) {
        TdlVal carried = ir_region(g->f, body)->args.p[1 + i], next = ir_op(g->f, end)->operands[skip + i];
        if (chain_reaches(g, next, carried, 0)) mark_chain(g, next, carried);
    }
}

/* store(add(load b[i], x), b[i]): what accadd becomes. */
static void mark_store(Cg *g, TdlOp o) {
    const TdlOpData *d = ir_op(g->f, o);
    TdlOp add = ir_val(g->f, d->operands[0])->def;
    if (!add.id || ir_op(g->f, add)->code != OP_ADD) return;
    for (uint32_t k = 0; k < 2; k++) {
        TdlOp load = ir_val(g->f, ir_op(g->f, add)->operands[k])->def;
        if (load.id && ir_op(g->f, load)->code == OP_LOAD && ir_op(g->f, load)->operands[0].id == d->operands[1].id)
            g->reassoc[add.id] = true;
    }
}

static void mark_op(void *user, TdlFunc *f, TdlOp o) {
    (void)f;
    Cg *g = user;
    if (ir_op(g->f, o)->code == OP_FOR) mark_for(g, o);
    if (ir_op(g->f, o)->code == OP_STORE) mark_store(g, o);
}

void cg_mark_reductions(Cg *g) { ir_walk(g->f, g->f->body, mark_op, g); }

/* ---- the function ---- */

static const char *internal_name(CgUnit *u, const TdlFunc *f) {
    return arena_printf(u->arena, "tdl.%s", sym_text(u->ir->names, f->name));
}

/* May parameter i be the same memory as another one: a destination over an input? */
static bool overlaps(const TdlFunc *f, uint32_t i) {
    if (i < f->params.n && f->params.p[i].over.n) return true;
    for (uint32_t k = 0; k < f->params.n; k++)
        for (uint32_t j = 0; j < f->params.p[k].over.n; j++)
            if (f->params.p[k].over.p[j] == i) return true;
    return false;
}

/* Parameters: state of the growing part, planned slots, dimensions, then the parameters of the IR. */
LLVMValueRef cg_func_declare(CgUnit *u, TdlFunc *f) {
    const char *name = internal_name(u, f);
    LLVMValueRef fn = LLVMGetNamedFunction(u->mod, name);
    if (fn) return fn;
    Cg g = {.u = u, .f = f};
    const TdlVals *args = &ir_region(f, f->body)->args;
    unsigned n = 2 + f->dims.n + args->n;
    LLVMTypeRef *types = ARENA_ARRAY(u->arena, LLVMTypeRef, n);
    types[0] = types[1] = u->ptr;
    for (uint32_t i = 0; i < f->dims.n; i++) types[2 + i] = u->i64;
    for (uint32_t i = 0; i < args->n; i++) types[2 + f->dims.n + i] = cg_type(&g, ir_type(f, args->p[i]));
    fn = LLVMAddFunction(u->mod, name, LLVMFunctionType(u->i32, types, n, 0));
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    cg_attr(u, fn, LLVMAttributeFunctionIndex, "nounwind", 0);
    for (unsigned i = 0; i < n; i++)
        if (types[i] == u->ptr && !(i >= 2 + f->dims.n && overlaps(f, i - 2 - f->dims.n))) cg_attr(u, fn, i + 1, "noalias", 0);
    return fn;
}

static void bind_dims(Cg *g) {
    for (uint32_t i = 0; i < g->f->dims.n; i++) {
        LLVMValueRef v = LLVMGetParam(g->fn, 2 + i);
        const char *name = sym_text(g->u->ir->names, g->f->dims.p[i]);
        LLVMSetValueName2(v, name, strlen(name));
        for (uint32_t k = 0; k < g->u->opt.nfixed; k++)
            if (g->f->exported && !strcmp(g->u->opt.fixed[k].name, name)) v = cg_i64(g->u, g->u->opt.fixed[k].value);
        cg_dim_bind(g, g->f->dims.p[i], v);
    }
}

static void bind_params(Cg *g) {
    const TdlVals *args = &ir_region(g->f, g->f->body)->args;
    for (uint32_t i = 0; i < args->n; i++) {
        LLVMValueRef v = LLVMGetParam(g->fn, 2 + g->f->dims.n + i);
        const char *name = i < g->f->params.n ? sym_text(g->u->ir->names, g->f->params.p[i].name) : "";
        if (*name) LLVMSetValueName2(v, name, strlen(name));
        cg_set(g, args->p[i], v);
        bool out = i < g->f->params.n && g->f->params.p[i].out;
        bool saved = i < g->f->params.n && g->f->params.p[i].saved; /* never NULL */
        if (ty_kind(g->f->module, ir_type(g->f, args->p[i])) == TY_BUF && (!out || saved))
            g->root[args->p[i].id] = cg_root_new(g, (TdlDim){0}, !out && !overlaps(g->f, i));
    }
}

void cg_func(CgUnit *u, TdlFunc *f) {
    Cg g = {.u = u, .f = f, .ok = true};
    g.fn = cg_func_declare(u, f);
    g.vals = ARENA_ARRAY(u->arena, LLVMValueRef, f->vals.n);
    g.root = ARENA_ARRAY(u->arena, uint32_t, f->vals.n);
    g.lanes = ARENA_ARRAY(u->arena, unsigned, f->vals.n);
    g.affine = ARENA_ARRAY(u->arena, CgAffine, f->vals.n);
    g.lane_affine = ARENA_ARRAY(u->arena, CgAffine, f->vals.n);
    g.lane_offset = ARENA_ARRAY(u->arena, LLVMValueRef, f->vals.n);
    g.reassoc = ARENA_ARRAY(u->arena, bool, f->ops.n);
    VEC_PUSH(u->arena, g.roots, (CgRoot){0});
    g.rt = LLVMGetParam(g.fn, 0);
    g.workspace = LLVMGetParam(g.fn, 1);
    LLVMSetValueName2(g.workspace, "workspace", 9);
    cg_debug_func(&g);
    LLVMPositionBuilderAtEnd(u->b, cg_block(&g, "entry"));
    cg_debug_op(&g, f->span);
    bind_dims(&g);
    bind_params(&g);
    cg_mark_reductions(&g);
    cg_pair_exps(&g);
    /* Entry code is apart from the body, so that allocas can be put in front. */
    cg_region(&g, f->body);
    cg_access_finish(&g);
    cg_debug_none(&g);
}

/* ---- calls ---- */

/* The functions that are still called are recursive: how deep is for their data to say. The state of the call lies in
 * the frame of the exported function, so the distance to it is the stack that the recursion took; stacks grow down. */
enum { STACK_BYTES = 4 << 20 };

static void check_stack(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    LLVMValueRef zero = LLVMConstInt(u->i32, 0, 0);
    LLVMValueRef frame = cg_intrinsic(u, "llvm.frameaddress", &u->ptr, 1, &zero, 1);
    LLVMValueRef used = LLVMBuildSub(u->b, LLVMBuildPtrToInt(u->b, g->rt, u->i64, ""), LLVMBuildPtrToInt(u->b, frame, u->i64, ""), "");
    cg_fail_if(g, LLVMBuildICmp(u->b, LLVMIntSGT, used, cg_i64(u, STACK_BYTES), ""), CG_WORKSPACE_FULL, ir_op(g->f, o)->span,
               "recursion is too deep: it took more than 4 MiB of the stack");
}

void cg_CALL(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    TdlModule *m = g->f->module;
    const char *name = op_str(g->f, o, "callee");
    TdlFunc *callee = name ? ir_func_find(m, intern(m->names, name)) : NULL;
    const TdlAttr *dims = op_attr(g->f, o, "dims");
    if (!callee || (dims ? dims->n : 0) != callee->dims.n) {
        cg_error(g, o, "internal: call of %s: no such function or other dimensions", name ? name : "?");
        return;
    }
    if (callee->symbol) {
        cg_call_extern(g, o, callee);
        return;
    }
    check_stack(g, o);
    uint32_t nd = callee->dims.n, n = ir_op(g->f, o)->noperands;
    LLVMValueRef *args = ARENA_ARRAY(u->arena, LLVMValueRef, 2 + nd + n), fn = cg_func_declare(u, callee);
    LLVMValueRef mark = cg_call(u, "tdlrt_mark", u->i64, &g->rt, 1);
    args[0] = g->rt;
    args[1] = LLVMConstNull(u->ptr);
    if (callee->workspace.id) {
        TdlDim workspace = dim_subst(m, ir_static_bytes(callee), callee->dims.p, dims ? dims->dims : NULL, nd);
        LLVMValueRef bad = LLVMConstInt(u->i1, 0, 0), bytes = cg_dim_checked(g, workspace, &bad);
        args[1] = cg_take(g, bytes, bad, ir_op(g->f, o)->span);
    }
    for (uint32_t i = 0; i < nd; i++) args[2 + i] = cg_dim(g, dims->dims[i]);
    for (uint32_t i = 0; i < n; i++) args[2 + nd + i] = cg_operand(g, o, i);
    LLVMValueRef status = LLVMBuildCall2(u->b, LLVMGlobalGetValueType(fn), fn, args, 2 + nd + n, "");
    LLVMValueRef release[2] = {g->rt, mark};
    cg_return_if_failed(g, status);
    cg_call(u, "tdlrt_release", u->voidt, release, 2);
}
