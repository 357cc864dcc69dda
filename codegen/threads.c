/* Loops over chunks of iterations, in threads: the body becomes a function of its own,
 *
 *   int tdl.f.threads(const void *frame, int64_t chunk)
 *
 * whose frame, on the stack of f, holds what the body reads of f; tdlrt_threads (runtime/object/threads.c) calls it for each
 * chunk. A failed check ends its chunk, and then f. What the body allocates lies in the chunk's own part of the workspace. */
#include "codegen/cg.h"

/* What a chunk gets through the frame. */
typedef struct {
    Cg *g;
    TDL_VEC(LLVMValueRef) values;
    TDL_VEC(LLVMTypeRef) types;
} Frame;

/* The number of v in the frame; -1: it is a constant, the same in every function. */
static int64_t field(Frame *m, LLVMValueRef v) {
    if (LLVMIsConstant(v)) return -1;
    for (uint32_t i = 0; i < m->values.n; i++)
        if (m->values.p[i] == v) return i;
    VEC_PUSH(m->g->u->arena, m->values, v);
    VEC_PUSH(m->g->u->arena, m->types, LLVMTypeOf(v));
    return m->values.n - 1;
}

/* Memory that grows is one for the whole call, and so are the state between the halves of a split function and the order of
 * what is printed. */
static void find_forbidden(void *user, TdlFunc *f, TdlOp o) {
    Cg *g = user;
    switch ((int)ir_op(f, o)->code) {
    case OP_ALLOC:
        if ((op_attr(f, o, "offset") || op_int(f, o, "local", 0)) && !ir_op(f, o)->noperands) return;
        break;
    case OP_FOR:
        if (!op_attr(f, o, "threads")) return;
        break;
    case OP_CALL: case OP_STACKNEW: case OP_PUSH: case OP_POP: case OP_SAVE: case OP_RESTORE: case OP_MARK: case OP_RELEASE:
    case OP_PRINT: case OP_SETUNION: case OP_SETSIZE: case OP_SETAT: break;
    default: return;
    }
    cg_error(g, o, "internal: %s in a loop over chunks", op_info(ir_op(f, o)->code)->name);
}

static void *copy(const Cg *g, const void *array, size_t n, size_t size) { return arena_memdup(g->u->arena, array, n * size); }

/* The state for the chunk's function: values and memory of f as it knows them. Slots of the chunk are other ones than
 * those of f at the same offset. */
static Cg chunk_state(Cg *g) {
    Cg c = *g;
    c.vals = copy(g, g->vals, g->f->vals.n, sizeof *g->vals);
    c.root = copy(g, g->root, g->f->vals.n, sizeof *g->root);
    c.lanes = copy(g, g->lanes, g->f->vals.n, sizeof *g->lanes);
    c.roots.p = copy(g, g->roots.p, g->roots.n, sizeof *g->roots.p);
    c.roots.cap = c.roots.n;
    for (uint32_t i = 0; i < c.roots.n; i++) {
        c.roots.p[i].offset = (TdlDim){0};
        c.roots.p[i].depth = 0;
    }
    c.dims.p = copy(g, g->dims.p, g->dims.n, sizeof *g->dims.p);
    c.dims.cap = c.dims.n;
    c.accesses.p = NULL;
    c.accesses.n = c.accesses.cap = 0;
    c.parallel_depth = 0;
    c.di_scope = NULL;
    c.rt = NULL;
    return c;
}

static LLVMValueRef chunk_function(Cg *g) {
    CgUnit *u = g->u;
    const char *name = arena_printf(u->arena, "tdl.%s.threads", sym_text(u->ir->names, g->f->name));
    LLVMTypeRef type = LLVMFunctionType(u->i32, (LLVMTypeRef[]){u->ptr, u->i64}, 2, 0);
    LLVMValueRef fn = LLVMAddFunction(u->mod, name, type); /* LLVM numbers equal names */
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    cg_attr(u, fn, LLVMAttributeFunctionIndex, "nounwind", 0);
    return fn;
}

static LLVMValueRef loaded(const LLVMValueRef *fields, int64_t i, LLVMValueRef constant) { return i < 0 ? constant : fields[i]; }

/* The body, once for each chunk. */
static LLVMValueRef emit_chunk(Cg *g, TdlOp o, Frame *m, LLVMTypeRef type, const TdlVals *reads) {
    CgUnit *u = g->u;
    Cg c = chunk_state(g);
    c.fn = chunk_function(g);
    cg_debug_func(&c);
    LLVMPositionBuilderAtEnd(u->b, cg_block(&c, "entry"));
    cg_debug_op(&c, ir_op(g->f, o)->span);
    LLVMValueRef *fields = ARENA_ARRAY(u->arena, LLVMValueRef, m->values.n + 1);
    for (uint32_t i = 0; i < m->values.n; i++)
        fields[i] = LLVMBuildLoad2(u->b, m->types.p[i], LLVMBuildStructGEP2(u->b, type, LLVMGetParam(c.fn, 0), i, ""), "");
    for (uint32_t i = 0; i < reads->n; i++) cg_set(&c, reads->p[i], loaded(fields, field(m, cg_val(g, reads->p[i])), cg_val(g, reads->p[i])));
    for (uint32_t i = 0; i < c.dims.n; i++) c.dims.p[i].value = loaded(fields, field(m, g->dims.p[i].value), g->dims.p[i].value);
    c.workspace = loaded(fields, field(m, g->workspace), g->workspace);
    LLVMValueRef chunk = LLVMGetParam(c.fn, 1);
    if (g->f->chunk.id) {
        LLVMValueRef at = LLVMBuildNSWMul(u->b, chunk, cg_dim(&c, g->f->chunk), "");
        at = LLVMBuildNSWAdd(u->b, at, cg_dim(&c, g->f->workspace), "");
        c.workspace = LLVMBuildInBoundsGEP2(u->b, u->i8, c.workspace, &at, 1, "");
    }
    TdlRegion body = ir_op(g->f, o)->regions[0];
    cg_set(&c, ir_region(g->f, body)->args.p[0], chunk);
    cg_region(&c, body);
    if (c.ok) LLVMBuildRet(u->b, LLVMConstInt(u->i32, CG_OK, 0));
    cg_access_finish(&c);
    g->ok = c.ok;
    return c.fn;
}

void cg_threads_for(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    TdlRegion body = ir_op(g->f, o)->regions[0];
    TdlVals reads = {0};
    Frame m = {.g = g};
    LLVMValueRef lo = cg_operand(g, o, 0);
    if (!LLVMIsConstant(lo) || !LLVMIsNull(lo)) cg_error(g, o, "internal: a loop over chunks begins at 0");
    ir_walk(g->f, body, find_forbidden, g);
    if (!g->ok) return;
    ir_free_vals(g->f, body, u->arena, &reads);
    for (uint32_t i = 0; i < reads.n; i++) field(&m, cg_val(g, reads.p[i]));
    for (uint32_t i = 0; i < g->dims.n; i++) field(&m, g->dims.p[i].value);
    field(&m, g->workspace);
    LLVMTypeRef type = LLVMStructTypeInContext(u->ctx, m.types.p, m.types.n, 0);
    LLVMBasicBlockRef here = cg_here(g);
    LLVMValueRef fn = emit_chunk(g, o, &m, type, &reads);
    LLVMPositionBuilderAtEnd(u->b, here);
    if (!g->ok) return;
    cg_debug_op(g, ir_op(g->f, o)->span);
    LLVMValueRef frame = cg_entry_alloca(g, type, "frame");
    for (uint32_t i = 0; i < m.values.n; i++) LLVMBuildStore(u->b, m.values.p[i], LLVMBuildStructGEP2(u->b, type, frame, i, ""));
    LLVMValueRef args[3] = {fn, frame, cg_operand(g, o, 1)};
    cg_return_if_failed(g, cg_call(u, "tdlrt_threads", u->i32, args, 3));
}
