/* Vector loops: CG_LANES iterations of a `for` at once.
 *
 * Every value is emitted as in scalar code; what differs between lanes has a vector type, and that type is the only
 * mark: an elementwise operation with one vector operand gets all of them as vectors. Buffers with lanes keep the
 * lanes of an element side by side. Memory without lanes is accessed by vectors where the lanes' places are adjacent,
 * lane by lane elsewhere (as fast as gathers on most machines, and every target has it). What is left of the
 * iterations runs as scalar code, in lane 0. */
#include "codegen/cg.h"

bool cg_is_vector(LLVMValueRef x) { return LLVMGetTypeKind(LLVMTypeOf(x)) == LLVMVectorTypeKind; }

static LLVMValueRef lane_index(CgUnit *u, unsigned lane) { return LLVMConstInt(u->i32, lane, 0); }

LLVMValueRef cg_splat(CgUnit *u, LLVMValueRef x) {
    if (cg_is_vector(x)) return x;
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(x), CG_LANES);
    if (LLVMIsAConstant(x)) {
        LLVMValueRef list[CG_LANES];
        for (unsigned i = 0; i < CG_LANES; i++) list[i] = x;
        return LLVMConstVector(list, CG_LANES);
    }
    LLVMValueRef one = LLVMBuildInsertElement(u->b, LLVMGetPoison(type), x, lane_index(u, 0), "");
    return LLVMBuildShuffleVector(u->b, one, LLVMGetPoison(type), LLVMConstNull(LLVMVectorType(u->i32, CG_LANES)), "");
}

static LLVMValueRef extract(CgUnit *u, LLVMValueRef x, unsigned lane) {
    return cg_is_vector(x) ? LLVMBuildExtractElement(u->b, x, lane_index(u, lane), "") : x;
}

static LLVMValueRef insert(CgUnit *u, LLVMValueRef into, LLVMValueRef x, unsigned lane) {
    if (!into) into = LLVMGetPoison(LLVMVectorType(LLVMTypeOf(x), CG_LANES));
    return LLVMBuildInsertElement(u->b, into, x, lane_index(u, lane), "");
}

/* base + lane*stride as a vector. */
static LLVMValueRef expand(CgUnit *u, CgAffine a) {
    LLVMValueRef list[CG_LANES];
    for (unsigned i = 0; i < CG_LANES; i++) list[i] = cg_i64(u, i);
    LLVMValueRef steps = LLVMBuildNSWMul(u->b, LLVMConstVector(list, CG_LANES), cg_splat(u, a.stride), "");
    return LLVMBuildNSWAdd(u->b, cg_splat(u, a.base), steps, "");
}

LLVMValueRef cg_carried(const Cg *g, TdlOp o, uint32_t i, LLVMValueRef x) {
    const TdlAttr *a = g->vector ? op_attr(g->f, o, "varying") : NULL;
    for (uint32_t k = 0; a && k < a->n; k++)
        if (a->ints[k] == (int64_t)i) return cg_splat(g->u, x);
    return x;
}

/* ---- offsets: a scalar, an affine vector, or any vector ---- */

typedef struct { LLVMValueRef scalar; CgAffine affine; LLVMValueRef vector; } Offset;

static Offset offset_of(const Cg *g, TdlVal v) {
    LLVMValueRef x = cg_val(g, v);
    if (!cg_is_vector(x)) return (Offset){.scalar = x};
    if (g->affine[v.id].stride) return (Offset){.affine = g->affine[v.id]};
    return (Offset){.vector = x};
}

static LLVMValueRef as_vector(CgUnit *u, Offset a) {
    return a.scalar ? cg_splat(u, a.scalar) : a.vector ? a.vector : expand(u, a.affine);
}

static Offset offset_scale(CgUnit *u, Offset a, LLVMValueRef k) {
    if (a.scalar) return (Offset){.scalar = LLVMBuildNSWMul(u->b, a.scalar, k, "")};
    if (a.vector) return (Offset){.vector = LLVMBuildNSWMul(u->b, a.vector, cg_splat(u, k), "")};
    return (Offset){.affine = {LLVMBuildNSWMul(u->b, a.affine.base, k, ""), LLVMBuildNSWMul(u->b, a.affine.stride, k, "")}};
}

static Offset offset_add(CgUnit *u, Offset a, Offset b) {
    if (a.scalar && b.scalar) return (Offset){.scalar = LLVMBuildNSWAdd(u->b, a.scalar, b.scalar, "")};
    if (a.vector || b.vector) return (Offset){.vector = LLVMBuildNSWAdd(u->b, as_vector(u, a), as_vector(u, b), "")};
    LLVMValueRef base = LLVMBuildNSWAdd(u->b, a.scalar ? a.scalar : a.affine.base, b.scalar ? b.scalar : b.affine.base, "");
    if (a.scalar || b.scalar) return (Offset){.affine = {base, a.scalar ? b.affine.stride : a.affine.stride}};
    return (Offset){.affine = {base, LLVMBuildNSWAdd(u->b, a.affine.stride, b.affine.stride, "")}};
}

/* Elements from the pointer of buffer v to its element idx (operands first.. of o). */
static Offset place(Cg *g, TdlOp o, uint32_t buf, uint32_t first) {
    CgUnit *u = g->u;
    const TdlOpData *d = ir_op(g->f, o);
    TdlVal v = d->operands[buf];
    const TdlModule *m = g->f->module;
    TdlType t = ir_type(g->f, v);
    uint32_t n = d->noperands - first;
    Offset at = n ? offset_of(g, d->operands[first]) : (Offset){.scalar = cg_i64(u, 0)};
    for (uint32_t i = 1; n && i < ty_rank(m, t); i++) {
        at = offset_scale(u, at, cg_dim(g, ty_dims(m, t)[i]));
        if (i < n) at = offset_add(u, at, offset_of(g, d->operands[first + i]));
    }
    if (g->lane_offset[v.id]) return offset_add(u, at, (Offset){.vector = g->lane_offset[v.id]});
    if (g->lane_affine[v.id].stride) return offset_add(u, at, (Offset){.affine = g->lane_affine[v.id]});
    return at;
}

/* ---- access ---- */

static LLVMValueRef pointer(Cg *g, TdlVal v, LLVMValueRef at) {
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    return LLVMBuildInBoundsGEP2(g->u->b, cg_mem_type(g->u, e), cg_val(g, v), &at, 1, "");
}

static LLVMValueRef load_vector(Cg *g, TdlElem e, LLVMValueRef p, uint32_t root, unsigned align) {
    CgUnit *u = g->u;
    LLVMValueRef x = LLVMBuildLoad2(u->b, LLVMVectorType(cg_mem_type(u, e), CG_LANES), p, "");
    LLVMSetAlignment(x, align);
    cg_access(g, x, root);
    return e == EL_BOOL ? LLVMBuildICmp(u->b, LLVMIntNE, x, LLVMConstNull(LLVMTypeOf(x)), "") : x;
}

static void store_vector(Cg *g, TdlElem e, LLVMValueRef x, LLVMValueRef p, uint32_t root, unsigned align) {
    CgUnit *u = g->u;
    if (e == EL_BOOL) x = LLVMBuildZExt(u->b, x, LLVMVectorType(u->i8, CG_LANES), "");
    LLVMValueRef s = LLVMBuildStore(u->b, x, p);
    LLVMSetAlignment(s, align);
    cg_access(g, s, root);
}

static bool is_one(LLVMValueRef x) { return LLVMIsAConstantInt(x) && LLVMConstIntGetSExtValue(x) == 1; }

/* Element of a lane, as scalar address. */
static LLVMValueRef lane_pointer(Cg *g, TdlVal v, LLVMValueRef offsets, unsigned lane) {
    CgUnit *u = g->u;
    LLVMValueRef at = extract(u, offsets, lane);
    if (g->lanes[v.id]) at = LLVMBuildNSWAdd(u->b, LLVMBuildNSWMul(u->b, at, cg_i64(u, CG_LANES), ""), cg_i64(u, lane), "");
    return pointer(g, v, at);
}

static LLVMValueRef load_at(Cg *g, TdlVal v, Offset at) {
    CgUnit *u = g->u;
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    uint32_t root = g->root[v.id];
    if (g->lanes[v.id] && at.scalar) return load_vector(g, e, cg_element(g, v, at.scalar), root, CG_LANES * el_bytes(e));
    if (at.scalar) return cg_load_elem(g, e, pointer(g, v, at.scalar), root);
    if (!g->lanes[v.id] && !at.vector && is_one(at.affine.stride))
        return load_vector(g, e, pointer(g, v, at.affine.base), root, el_bytes(e));
    LLVMValueRef all = as_vector(u, at), r = NULL;
    for (unsigned i = 0; i < CG_LANES; i++) r = insert(u, r, cg_load_elem(g, e, lane_pointer(g, v, all, i), root), i);
    return r;
}

static void store_at(Cg *g, TdlVal v, Offset at, LLVMValueRef x) {
    CgUnit *u = g->u;
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    uint32_t root = g->root[v.id];
    if (g->lanes[v.id] && at.scalar) {
        store_vector(g, e, cg_splat(u, x), cg_element(g, v, at.scalar), root, CG_LANES * el_bytes(e));
    } else if (at.scalar) {
        cg_store_elem(g, e, extract(u, x, CG_LANES - 1), pointer(g, v, at.scalar), root);
    } else if (!g->lanes[v.id] && !at.vector && is_one(at.affine.stride)) {
        store_vector(g, e, cg_splat(u, x), pointer(g, v, at.affine.base), root, el_bytes(e));
    } else {
        LLVMValueRef all = as_vector(u, at);
        for (unsigned i = 0; i < CG_LANES; i++) cg_store_elem(g, e, extract(u, x, i), lane_pointer(g, v, all, i), root);
    }
}

/* ---- element by element: copies and sums with lanes ---- */

typedef void (*EachElement)(Cg *g, TdlOp o, LLVMValueRef i);

static void each_element(Cg *g, TdlOp o, EachElement fn) {
    CgUnit *u = g->u;
    LLVMValueRef n = cg_numel(g, ir_type(g->f, ir_op(g->f, o)->operands[0])), zero = cg_i64(u, 0);
    LLVMBasicBlockRef before = cg_here(g), body = cg_block(g, "each"), end = cg_block(g, "");
    LLVMBuildCondBr(u->b, LLVMBuildICmp(u->b, LLVMIntSGT, n, zero, ""), body, end);
    LLVMPositionBuilderAtEnd(u->b, body);
    LLVMValueRef i = LLVMBuildPhi(u->b, u->i64, "");
    fn(g, o, i);
    LLVMValueRef next = LLVMBuildNSWAdd(u->b, i, cg_i64(u, 1), "");
    LLVMBuildCondBr(u->b, LLVMBuildICmp(u->b, LLVMIntSLT, next, n, ""), body, end);
    LLVMAddIncoming(i, (LLVMValueRef[]){zero, next}, (LLVMBasicBlockRef[]){before, body}, 2);
    LLVMPositionBuilderAtEnd(u->b, end);
}

/* In scalar code element i is lane 0; in vector code every lane. */
static void copy_element(Cg *g, TdlOp o, LLVMValueRef i) {
    TdlVal dst = ir_op(g->f, o)->operands[0], src = ir_op(g->f, o)->operands[1];
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, dst));
    Offset at = {.scalar = i}, from = at;
    if (!g->vector) {
        cg_store_elem(g, e, cg_load_elem(g, e, cg_element(g, src, i), g->root[src.id]), cg_element(g, dst, i), g->root[dst.id]);
        return;
    }
    if (g->lane_offset[src.id]) from = offset_add(g->u, at, (Offset){.vector = g->lane_offset[src.id]});
    else if (g->lane_affine[src.id].stride) from = offset_add(g->u, at, (Offset){.affine = g->lane_affine[src.id]});
    store_at(g, dst, at, load_at(g, src, from));
}

/* A vector value into every element of a buffer with lanes. */
static void fill_element(Cg *g, TdlOp o, LLVMValueRef i) {
    store_at(g, ir_op(g->f, o)->operands[0], (Offset){.scalar = i}, cg_operand(g, o, 1));
}

void cg_copy_lanes(Cg *g, TdlOp o) { each_element(g, o, copy_element); }

static LLVMValueRef sum_of_lanes(CgUnit *u, LLVMValueRef x) {
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef zero = LLVMConstReal(LLVMGetElementType(type), -0.0);
    LLVMValueRef sum = cg_intrinsic(u, "llvm.vector.reduce.fadd", &type, 1, (LLVMValueRef[]){zero, x}, 2);
    LLVMSetFastMathFlags(sum, LLVMFastMathAllowReassoc);
    return sum;
}

static void add_lanes(Cg *g, TdlOp o, LLVMValueRef i) {
    CgUnit *u = g->u;
    TdlVal dst = ir_op(g->f, o)->operands[0], src = ir_op(g->f, o)->operands[1];
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, dst));
    LLVMValueRef x = load_vector(g, e, cg_element(g, src, i), g->root[src.id], CG_LANES * el_bytes(e));
    LLVMValueRef sum = sum_of_lanes(u, x);
    LLVMValueRef at = cg_element(g, dst, i), old = cg_load_elem(g, e, at, g->root[dst.id]);
    cg_store_elem(g, e, LLVMBuildFAdd(u->b, old, sum, ""), at, g->root[dst.id]);
}

void cg_LANESUM(Cg *g, TdlOp o) { each_element(g, o, add_lanes); }

/* ---- operations ---- */

static void vector_view(Cg *g, TdlOp o) {
    const TdlOpData *d = ir_op(g->f, o);
    TdlVal source = d->operands[0], result = d->results[0];
    Offset at = op_int(g->f, o, "flat", 0) ? offset_of(g, d->operands[1]) : place(g, o, 0, 1);
    g->lanes[result.id] = g->lanes[source.id];
    g->root[result.id] = g->root[source.id];
    g->lane_offset[result.id] = at.scalar ? NULL : at.vector;
    g->lane_affine[result.id] = at.affine;
    cg_set(g, result, at.scalar ? cg_element(g, source, at.scalar) : cg_val(g, source));
}

/* One failing lane fails the loop, with that lane's values. */
static void vector_assert(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    TdlOpData *d = ir_op(g->f, o);
    LLVMValueRef *saved = ARENA_ARRAY(u->arena, LLVMValueRef, d->noperands);
    LLVMValueRef bad = LLVMBuildNot(u->b, cg_splat(u, cg_operand(g, o, 0)), "");
    LLVMTypeRef bits = LLVMIntTypeInContext(u->ctx, CG_LANES);
    LLVMValueRef mask = LLVMBuildBitCast(u->b, bad, bits, "");
    LLVMValueRef first = cg_intrinsic(u, "llvm.cttz", &bits, 1, (LLVMValueRef[]){mask, LLVMConstInt(u->i1, 0, 0)}, 2);
    LLVMValueRef inside = LLVMBuildAnd(u->b, LLVMBuildZExt(u->b, first, u->i32, ""), LLVMConstInt(u->i32, CG_LANES - 1, 0), "");
    for (uint32_t i = 0; i < d->noperands; i++) saved[i] = cg_operand(g, o, i);
    cg_set(g, d->operands[0], LLVMBuildICmp(u->b, LLVMIntEQ, mask, LLVMConstNull(bits), ""));
    for (uint32_t i = 1; i < d->noperands; i++)
        if (cg_is_vector(saved[i])) cg_set(g, d->operands[i], LLVMBuildExtractElement(u->b, saved[i], inside, ""));
    cg_ASSERT(g, o);
    for (uint32_t i = 0; i < d->noperands; i++) cg_set(g, d->operands[i], saved[i]);
}

static bool is_float_op(const Cg *g, TdlOp o) {
    return el_is_float(ty_elem(g->f->module, ir_type(g->f, ir_op(g->f, o)->operands[0])));
}

/* A conversion between a 16-bit float and f32 (half.c). */
static bool is_half_cast(const Cg *g, TdlOp o) {
    TdlElem from = ty_elem(g->f->module, ir_type(g->f, ir_op(g->f, o)->operands[0]));
    TdlElem to = ty_elem(g->f->module, ir_type(g->f, ir_op(g->f, o)->results[0]));
    TdlElem other = from == EL_F32 ? to : to == EL_F32 ? from : EL_COUNT;
    return other == EL_F16 || other == EL_BF16;
}

/* Operations whose emitter takes vectors as it takes scalars. */
static bool native(const Cg *g, TdlOp o) {
    switch ((int)ir_op(g->f, o)->code) {
    case OP_ADD: case OP_SUB: case OP_MUL: case OP_NEG: case OP_AND: case OP_OR: case OP_NOT: case OP_SELECT: case OP_DETACH:
    case OP_EQ: case OP_NE: case OP_LT: case OP_LE: case OP_GT: case OP_GE: return true;
    case OP_DIV: case OP_ABS: case OP_MAX: case OP_MIN: case OP_SQRT: case OP_FLOOR: case OP_CEIL: case OP_TRUNC: case OP_ROUND:
    case OP_SIN: case OP_COS: return is_float_op(g, o);
    case OP_EXP: case OP_EXPM1: case OP_LOG: case OP_LOG1P: case OP_TANH: case OP_SIGMOID: return !g->u->opt.libm;
    case OP_CAST: return is_half_cast(g, o);
    default: return false;
    }
}

/* Lane by lane. */
static void scalarized(Cg *g, TdlOp o, CgOpFn fn, LLVMValueRef *saved) {
    TdlOpData *d = ir_op(g->f, o);
    LLVMValueRef r = NULL;
    for (unsigned lane = 0; lane < CG_LANES; lane++) {
        for (uint32_t i = 0; i < d->noperands; i++) cg_set(g, d->operands[i], extract(g->u, saved[i], lane));
        fn(g, o);
        r = insert(g->u, r, cg_val(g, d->results[0]), lane);
    }
    cg_result(g, o, r);
}

/* Keeps the affine form of sums, differences and products with a scalar. */
static void follow_affine(Cg *g, TdlOp o, LLVMValueRef *saved) {
    CgUnit *u = g->u;
    const TdlOpData *d = ir_op(g->f, o);
    TdlVal result = d->results[0];
    g->affine[result.id] = (CgAffine){0};
    if (d->noperands != 2 || LLVMTypeOf(saved[0]) == LLVMTypeOf(saved[1])) return;
    uint32_t varying = cg_is_vector(saved[0]) ? 0 : 1;
    CgAffine a = g->affine[d->operands[varying].id];
    LLVMValueRef k = saved[1 - varying];
    if (!a.stride || LLVMTypeOf(k) != u->i64) return;
    if (d->code == OP_ADD) g->affine[result.id] = (CgAffine){LLVMBuildAdd(u->b, a.base, k, ""), a.stride};
    if (d->code == OP_SUB && varying == 0) g->affine[result.id] = (CgAffine){LLVMBuildSub(u->b, a.base, k, ""), a.stride};
    if (d->code == OP_MUL)
        g->affine[result.id] = (CgAffine){LLVMBuildMul(u->b, a.base, k, ""), LLVMBuildMul(u->b, a.stride, k, "")};
}

static bool elementwise(Cg *g, TdlOp o, CgOpFn fn) {
    TdlOpData *d = ir_op(g->f, o);
    LLVMValueRef saved[4];
    bool any = false;
    if (!(op_info(d->code)->flags & OPF_ELEMENTWISE)) return false;
    for (uint32_t i = 0; i < d->noperands; i++) {
        saved[i] = cg_operand(g, o, i);
        any |= cg_is_vector(saved[i]);
    }
    g->affine[d->results[0].id] = (CgAffine){0};
    if (!any) return false;
    if (native(g, o)) {
        for (uint32_t i = 0; i < d->noperands; i++) cg_set(g, d->operands[i], cg_splat(g->u, saved[i]));
        fn(g, o);
    } else scalarized(g, o, fn, saved);
    for (uint32_t i = 0; i < d->noperands; i++) cg_set(g, d->operands[i], saved[i]);
    follow_affine(g, o, saved);
    return true;
}

bool cg_vector_op(Cg *g, TdlOp o, CgOpFn fn) {
    const TdlOpData *d = ir_op(g->f, o);
    switch ((int)d->code) {
    case OP_LOAD: cg_result(g, o, load_at(g, d->operands[0], place(g, o, 0, 1))); return true;
    case OP_STORE: store_at(g, d->operands[1], place(g, o, 1, 2), cg_operand(g, o, 0)); return true;
    case OP_VIEW: vector_view(g, o); return true;
    case OP_ASSERT: return cg_is_vector(cg_operand(g, o, 0)) ? vector_assert(g, o), true : false;
    case OP_FILL:
        if (!cg_is_vector(cg_operand(g, o, 1))) return false;
        each_element(g, o, fill_element);
        return true;
    default: return elementwise(g, o, fn);
    }
}

/* ---- the loop ---- */

/* Carried sums: a vector of sums starting from 0 (-0, which changes nothing), added to the initial value at the end. */
static LLVMValueRef *start_sums(Cg *g, TdlOp o, uint32_t n, LLVMBasicBlockRef before) {
    LLVMValueRef *phis = ARENA_ARRAY(g->u->arena, LLVMValueRef, n);
    for (uint32_t i = 0; i < n; i++) {
        LLVMTypeRef t = LLVMTypeOf(cg_operand(g, o, 2 + i));
        LLVMValueRef zero = cg_splat(g->u, LLVMConstReal(t, -0.0));
        phis[i] = LLVMBuildPhi(g->u->b, LLVMTypeOf(zero), "sum");
        LLVMAddIncoming(phis[i], &zero, &before, 1);
        cg_set(g, ir_region(g->f, ir_op(g->f, o)->regions[0])->args.p[1 + i], phis[i]);
    }
    return phis;
}

/* The sums that the scalar rest begins with. */
static LLVMValueRef *finish_sums(Cg *g, TdlOp o, uint32_t n, LLVMValueRef *next, LLVMBasicBlockRef before,
                                 LLVMBasicBlockRef latch) {
    CgUnit *u = g->u;
    LLVMValueRef *inits = ARENA_ARRAY(u->arena, LLVMValueRef, n), *phis = ARENA_ARRAY(u->arena, LLVMValueRef, n);
    for (uint32_t i = 0; i < n; i++) {
        LLVMTypeRef t = LLVMTypeOf(cg_operand(g, o, 2 + i));
        LLVMValueRef in[2] = {cg_splat(u, LLVMConstReal(t, -0.0)), next[i]};
        phis[i] = LLVMBuildPhi(u->b, LLVMTypeOf(in[1]), "");
        LLVMAddIncoming(phis[i], in, (LLVMBasicBlockRef[]){before, latch}, 2);
    }
    for (uint32_t i = 0; i < n; i++)
        inits[i] = LLVMBuildFAdd(u->b, cg_operand(g, o, 2 + i), sum_of_lanes(u, phis[i]), "");
    return inits;
}

/* Whole groups of lanes as vectors, the rest as scalars. */
void cg_vector_for(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    LLVMBuilderRef b = u->b;
    TdlRegion body = ir_op(g->f, o)->regions[0];
    TdlVal index = ir_region(g->f, body)->args.p[0];
    uint32_t n = ir_op(g->f, o)->noperands - 2u;
    LLVMValueRef lo = cg_operand(g, o, 0), hi = cg_operand(g, o, 1), width = cg_i64(u, CG_LANES);
    LLVMBasicBlockRef before = cg_here(g), loop = cg_block(g, "vector"), end = cg_block(g, "rest");
    LLVMValueRef enough = LLVMBuildICmp(b, LLVMIntSGE, LLVMBuildSub(b, hi, lo, ""), width, ""); /* which may wrap */
    LLVMBuildCondBr(b, LLVMBuildAnd(b, LLVMBuildICmp(b, LLVMIntSLT, lo, hi, ""), enough, ""), loop, end);
    LLVMPositionBuilderAtEnd(b, loop);
    LLVMValueRef i = LLVMBuildPhi(b, u->i64, "i"), *sums = start_sums(g, o, n, before);
    LLVMAddIncoming(i, &lo, &before, 1);
    g->vector = true;
    g->affine[index.id] = (CgAffine){i, cg_i64(u, 1)};
    cg_set(g, index, expand(u, g->affine[index.id]));
    cg_region(g, body);
    g->vector = false;
    if (!g->ok) return;
    LLVMValueRef *yields = g->yielded;
    cg_debug_op(g, ir_op(g->f, o)->span);
    for (uint32_t k = 0; k < n; k++) yields[k] = cg_splat(u, yields[k]);
    LLVMValueRef next = LLVMBuildNSWAdd(b, i, width, "");
    LLVMBasicBlockRef latch = cg_here(g);
    LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntSGE, LLVMBuildSub(b, hi, next, ""), width, ""), loop, end);
    LLVMAddIncoming(i, &next, &latch, 1);
    for (uint32_t k = 0; k < n; k++) LLVMAddIncoming(sums[k], &yields[k], &latch, 1);
    LLVMPositionBuilderAtEnd(b, end);
    LLVMValueRef rest = LLVMBuildPhi(b, u->i64, "rest");
    LLVMAddIncoming(rest, (LLVMValueRef[]){lo, next}, (LLVMBasicBlockRef[]){before, latch}, 2);
    cg_plain_for(g, o, rest, n ? finish_sums(g, o, n, yields, before, latch) : NULL);
}
