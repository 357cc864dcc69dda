/* Memory operations of loop IR: allocation, access, bulk copies, the growing part, stacks. */
#include "codegen/cg.h"

static LLVMValueRef gep(CgUnit *u, LLVMTypeRef t, LLVMValueRef p, LLVMValueRef i) {
    return LLVMBuildInBoundsGEP2(u->b, t, p, &i, 1, "");
}

static LLVMValueRef result_undef(Cg *g, TdlOp o) {
    return LLVMConstNull(cg_type(g, ir_type(g->f, ir_op(g->f, o)->results[0])));
}

/* Zero rather than LLVM's undef: the same input gives the same bytes. */
void cg_UNDEF(Cg *g, TdlOp o) { cg_result(g, o, result_undef(g, o)); }

/* ---- places ---- */

/* Row-major: Horner's scheme over the leading indices, then the size of what is left. */
LLVMValueRef cg_flat_index(Cg *g, TdlType t, const LLVMValueRef *idx, uint32_t n) {
    const TdlModule *m = g->f->module;
    const TdlDim *dims = ty_dims(m, t);
    LLVMValueRef at = n ? idx[0] : cg_i64(g->u, 0);
    for (uint32_t i = 1; n && i < ty_rank(m, t); i++) {
        at = LLVMBuildNSWMul(g->u->b, at, cg_dim(g, dims[i]), "");
        if (i < n) at = LLVMBuildNSWAdd(g->u->b, at, idx[i], "");
    }
    return at;
}

/* Address of element `at` of buffer v: lane 0 where it has lanes. */
LLVMValueRef cg_element(Cg *g, TdlVal v, LLVMValueRef at) {
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    if (g->lanes[v.id]) at = LLVMBuildNSWMul(g->u->b, at, cg_i64(g->u, g->lanes[v.id]), "");
    return gep(g->u, cg_mem_type(g->u, e), cg_val(g, v), at);
}

/* Operands `first`.. of o as indices into operand `buf`. */
static LLVMValueRef operand_address(Cg *g, TdlOp o, uint32_t buf, uint32_t first) {
    LLVMValueRef idx[64];
    uint32_t n = 0;
    TdlVal v = ir_op(g->f, o)->operands[buf];
    for (uint32_t i = first; i < ir_op(g->f, o)->noperands && n < 64; i++) idx[n++] = cg_operand(g, o, i);
    return n ? cg_element(g, v, cg_flat_index(g, ir_type(g->f, v), idx, n)) : cg_val(g, v);
}

LLVMValueRef cg_load_elem(Cg *g, TdlElem e, LLVMValueRef at, uint32_t root) {
    CgUnit *u = g->u;
    LLVMValueRef v = LLVMBuildLoad2(u->b, cg_mem_type(u, e), at, "");
    LLVMSetAlignment(v, el_bytes(e));
    cg_access(g, v, root);
    return e == EL_BOOL ? LLVMBuildICmp(u->b, LLVMIntNE, v, LLVMConstInt(u->i8, 0, 0), "") : v;
}

void cg_store_elem(Cg *g, TdlElem e, LLVMValueRef v, LLVMValueRef at, uint32_t root) {
    CgUnit *u = g->u;
    if (e == EL_BOOL) v = LLVMBuildZExt(u->b, v, u->i8, "");
    LLVMValueRef s = LLVMBuildStore(u->b, v, at);
    LLVMSetAlignment(s, el_bytes(e));
    cg_access(g, s, root);
}

void cg_LOAD(Cg *g, TdlOp o) {
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, ir_op(g->f, o)->operands[0]));
    cg_result(g, o, cg_load_elem(g, e, operand_address(g, o, 0, 1), cg_root_of(g, o, 0)));
}

void cg_STORE(Cg *g, TdlOp o) {
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, ir_op(g->f, o)->operands[1]));
    cg_store_elem(g, e, cg_operand(g, o, 0), operand_address(g, o, 1, 2), cg_root_of(g, o, 1));
}

void cg_VIEW(Cg *g, TdlOp o) {
    TdlVal source = ir_op(g->f, o)->operands[0], result = ir_op(g->f, o)->results[0];
    g->lanes[result.id] = g->lanes[source.id];
    if (op_int(g->f, o, "flat", 0)) cg_result(g, o, cg_element(g, source, cg_operand(g, o, 1)));
    else cg_result(g, o, operand_address(g, o, 0, 1));
    g->root[result.id] = cg_root_of(g, o, 0);
}

/* memcpy of LLVM allows the very same buffer. */
void cg_COPY(Cg *g, TdlOp o) {
    TdlVal dst = ir_op(g->f, o)->operands[0], src = ir_op(g->f, o)->operands[1];
    TdlType t = ir_type(g->f, dst);
    if (g->width || g->lanes[dst.id] || g->lanes[src.id]) {
        cg_copy_lanes(g, o);
        return;
    }
    unsigned align = el_bytes(ty_elem(g->f->module, t));
    LLVMBuildMemCpy(g->u->b, cg_operand(g, o, 0), align, cg_operand(g, o, 1), align, cg_bytes(g, t));
}

static bool is_zero(LLVMValueRef v) { return LLVMIsAConstant(v) && LLVMIsNull(v); }

void cg_FILL(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    TdlType t = ir_type(g->f, ir_op(g->f, o)->operands[0]);
    TdlElem e = ty_elem(g->f->module, t);
    unsigned width = g->lanes[ir_op(g->f, o)->operands[0].id];
    LLVMValueRef dst = cg_operand(g, o, 0), v = cg_operand(g, o, 1), lanes = cg_i64(u, width ? width : 1);
    if (is_zero(v)) {   /* +0.0: LLVMIsNull is false for -0.0 */
        LLVMBuildMemSet(u->b, dst, LLVMConstInt(u->i8, 0, 0), LLVMBuildNSWMul(u->b, cg_bytes(g, t), lanes, ""), el_bytes(e));
        return;
    }
    LLVMValueRef n = LLVMBuildNSWMul(u->b, cg_numel(g, t), lanes, ""), zero = cg_i64(u, 0);
    LLVMBasicBlockRef before = cg_here(g), body = cg_block(g, "fill"), end = cg_block(g, "filled");
    LLVMBuildCondBr(u->b, LLVMBuildICmp(u->b, LLVMIntSGT, n, zero, ""), body, end);
    LLVMPositionBuilderAtEnd(u->b, body);
    LLVMValueRef i = LLVMBuildPhi(u->b, u->i64, "");
    cg_store_elem(g, e, v, gep(u, cg_mem_type(u, e), dst, i), cg_root_of(g, o, 0));
    LLVMValueRef next = LLVMBuildNSWAdd(u->b, i, cg_i64(u, 1), "");
    LLVMBuildCondBr(u->b, LLVMBuildICmp(u->b, LLVMIntSLT, next, n, ""), body, end);
    LLVMAddIncoming(i, (LLVMValueRef[]){zero, next}, (LLVMBasicBlockRef[]){before, body}, 2);
    LLVMPositionBuilderAtEnd(u->b, end);
}

/* ---- allocation ---- */

void cg_fail_without_memory(Cg *g, LLVMValueRef p) {
    CgUnit *u = g->u;
    LLVMBasicBlockRef bad = cg_block(g, "full"), good = cg_block(g, "");
    LLVMBuildCondBr(u->b, LLVMBuildIsNull(u->b, p, ""), bad, good);
    LLVMPositionBuilderAtEnd(u->b, bad);
    LLVMBuildRet(u->b, cg_call(u, "tdlrt_full", u->i32, &g->rt, 1));
    LLVMPositionBuilderAtEnd(u->b, good);
}

LLVMValueRef cg_take(Cg *g, LLVMValueRef bytes, LLVMValueRef bad, TdlSpan at) {
    LLVMValueRef args[2] = {g->rt, bytes};
    if (!is_zero(bad)) cg_fail_if(g, bad, CG_NO_MEMORY, at, "a tensor is larger than any memory");
    LLVMValueRef p = cg_call(g->u, "tdlrt_take", g->u->ptr, args, 2);
    cg_fail_without_memory(g, p);
    return p;
}

/* A tensor whose size the entry checks did not see. */
static LLVMValueRef take_tensor(Cg *g, TdlType t, TdlSpan at) {
    LLVMValueRef bad = LLVMConstInt(g->u->i1, 0, 0), bytes = cg_bytes_checked(g, t, &bad);
    return cg_take(g, bytes, bad, at);
}

LLVMValueRef cg_entry_alloca(Cg *g, LLVMTypeRef t, const char *name) {
    LLVMBasicBlockRef here = cg_here(g), entry = LLVMGetEntryBasicBlock(g->fn);
    LLVMValueRef first = LLVMGetFirstInstruction(entry);
    if (first) LLVMPositionBuilderBefore(g->u->b, first);
    else LLVMPositionBuilderAtEnd(g->u->b, entry);
    LLVMValueRef a = LLVMBuildAlloca(g->u->b, t, name);
    LLVMPositionBuilderAtEnd(g->u->b, here);
    return a;
}

static LLVMValueRef local_buffer(Cg *g, TdlOp o, TdlType t) {
    const TdlModule *m = g->f->module;
    int64_t n = 1;
    if (!dim_is_const(m, ty_numel((TdlModule *)g->f->module, t), &n)) cg_error(g, o, "internal: local buffer of a size known only at run time");
    n *= op_int(g->f, o, "lanes", 1);
    LLVMTypeRef array = LLVMArrayType2(cg_mem_type(g->u, ty_elem(m, t)), (uint64_t)(n < 1 ? 1 : n));
    LLVMValueRef a = cg_entry_alloca(g, array, "local");
    LLVMSetAlignment(a, 64);
    return a;
}

static LLVMValueRef slot(Cg *g, TdlDim offset) { return gep(g->u, g->u->i8, g->workspace, cg_dim(g, offset)); }

static uint32_t slot_root(Cg *g, TdlDim offset) {
    for (uint32_t i = 1; i < g->roots.n; i++)
        if (g->roots.p[i].offset.id && dim_eq(g->roots.p[i].offset, offset)) {
            if (g->parallel_depth > g->roots.p[i].depth) g->roots.p[i].depth = g->parallel_depth;
            return i;
        }
    return cg_root_new(g, offset, false);
}

void cg_ALLOC(Cg *g, TdlOp o) {
    const TdlOpData *d = ir_op(g->f, o);
    TdlVal result = d->results[0];
    TdlType t = ir_type(g->f, result);
    const TdlAttr *offset = op_attr(g->f, o, "offset");
    LLVMValueRef p;
    uint32_t root = 0;
    if (op_int(g->f, o, "local", 0)) {
        p = local_buffer(g, o, t);
        root = cg_root_new(g, (TdlDim){0}, false);
    } else if (op_int(g->f, o, "dynamic", 0) || !offset) {
        p = take_tensor(g, t, d->span);
    } else {
        TdlDim at = offset->kind == ATTR_DIM ? offset->dim : dim_const((TdlModule *)g->f->module, offset->i);
        p = slot(g, at);
        root = slot_root(g, at);
    }
    if (d->noperands) {   /* the caller's buffer, unless it gave none */
        LLVMValueRef given = cg_operand(g, o, 0);
        p = LLVMBuildSelect(g->u->b, LLVMBuildIsNull(g->u->b, given, ""), p, given, "");
        g->roots.p[root].dest = &g->f->params.p[ir_val(g->f, d->operands[0])->index];
    }
    cg_set(g, result, p);
    g->lanes[result.id] = (unsigned)op_int(g->f, o, "lanes", 0);
    g->root[result.id] = root;
}

void cg_MARK(Cg *g, TdlOp o) { cg_result(g, o, cg_call(g->u, "tdlrt_mark", g->u->i64, &g->rt, 1)); }

void cg_RELEASE(Cg *g, TdlOp o) {
    LLVMValueRef args[2] = {g->rt, cg_operand(g, o, 0)};
    cg_call(g->u, "tdlrt_release", g->u->voidt, args, 2);
}

/* ---- stacks: the elements of a row lie one after another, each aligned to 16 ---- */

static LLVMValueRef padded_bytes(Cg *g, TdlType t) {
    LLVMValueRef bytes = LLVMBuildAdd(g->u->b, cg_bytes(g, t), cg_i64(g->u, 15), "");
    return LLVMBuildAnd(g->u->b, bytes, cg_i64(g->u, -16), "");
}

static TdlType row_elem(const Cg *g, TdlType stack, uint32_t i) {
    return ty_tensor_of(g->f->module, ty_stack_elem(g->f->module, stack, i));
}

LLVMValueRef cg_row_bytes(Cg *g, TdlType stack) {
    LLVMValueRef bytes = cg_i64(g->u, 0);
    for (uint32_t i = 0; i < ty_stack_n(g->f->module, stack); i++)
        bytes = LLVMBuildAdd(g->u->b, bytes, padded_bytes(g, row_elem(g, stack, i)), "");
    return bytes;
}

void cg_STACKNEW(Cg *g, TdlOp o) {
    LLVMValueRef args[2] = {g->rt, cg_row_bytes(g, ir_type(g->f, ir_op(g->f, o)->results[0]))}, p = cg_call(g->u, "tdlrt_stack", g->u->ptr, args, 2);
    cg_fail_without_memory(g, p);
    cg_result(g, o, p);
}

void cg_PUSH(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    TdlType stack = ir_type(g->f, ir_op(g->f, o)->operands[0]);
    LLVMValueRef args[2] = {g->rt, cg_operand(g, o, 0)}, row = cg_call(u, "tdlrt_push", u->ptr, args, 2);
    cg_fail_without_memory(g, row);
    for (uint32_t i = 0; i < ty_stack_n(g->f->module, stack); i++) {
        TdlType t = row_elem(g, stack, i);
        TdlElem e = ty_elem(g->f->module, t);
        LLVMValueRef v = cg_operand(g, o, i + 1);
        if (ty_is_scalar(g->f->module, t)) cg_store_elem(g, e, v, row, 0);
        else LLVMBuildMemCpy(u->b, row, 16, v, el_bytes(e), cg_bytes(g, t));
        row = gep(u, u->i8, row, padded_bytes(g, t));
    }
    cg_result(g, o, cg_operand(g, o, 0));
}

void cg_POP(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    TdlType stack = ir_type(g->f, ir_op(g->f, o)->operands[0]);
    LLVMValueRef s = cg_operand(g, o, 0), row = cg_call(u, "tdlrt_pop", u->ptr, &s, 1);
    cg_fail_if(g, LLVMBuildIsNull(u->b, row, ""), CG_CHECK_FAILED, ir_op(g->f, o)->span, "internal: a stack ran empty");
    cg_result(g, o, s);
    for (uint32_t i = 0; i < ty_stack_n(g->f->module, stack); i++) {
        TdlType t = row_elem(g, stack, i);
        bool scalar = ty_is_scalar(g->f->module, t);
        cg_set(g, ir_op(g->f, o)->results[i + 1], scalar ? cg_load_elem(g, ty_elem(g->f->module, t), row, 0) : row);
        row = gep(u, u->i8, row, padded_bytes(g, t));
    }
}

/* ---- sets ---- */

void cg_SETUNION(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    uint32_t n = ir_op(g->f, o)->noperands;
    LLVMTypeRef array = LLVMArrayType2(u->i64, n ? n : 1);
    LLVMValueRef sets = cg_entry_alloca(g, array, "sets"), all = cg_entry_alloca(g, u->i64, "all");
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef at[2] = {cg_i64(u, 0), cg_i64(u, i)};
        LLVMBuildStore(u->b, cg_operand(g, o, i), LLVMBuildInBoundsGEP2(u->b, array, sets, at, 2, ""));
    }
    LLVMValueRef args[4] = {g->rt, sets, cg_i64(u, n), all};
    cg_return_if_failed(g, cg_call(u, "tdlrt_set_union", u->i32, args, 4));
    cg_result(g, o, LLVMBuildLoad2(u->b, u->i64, all, ""));
}

void cg_SETSIZE(Cg *g, TdlOp o) {
    LLVMValueRef set = cg_operand(g, o, 0);
    cg_result(g, o, cg_call(g->u, "tdlrt_set_size", g->u->i64, &set, 1));
}

void cg_SETAT(Cg *g, TdlOp o) {
    LLVMValueRef args[2] = {cg_operand(g, o, 0), cg_operand(g, o, 1)};
    cg_result(g, o, cg_call(g->u, "tdlrt_set_at", g->u->i64, args, 2));
}
