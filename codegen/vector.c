/* Vector loops: groups of iterations of a `for` at once. `vector = [32, 8]`: 32 at once; of what is left, 8 at once. Where
 * that is more than a register's lanes LLVM makes several instructions of one.
 *
 * Every value is emitted as in scalar code; what differs between lanes has a vector type, and that type is the only
 * mark: an elementwise operation with one vector operand gets all of them as vectors. What is left of the iterations
 * runs as scalar code, in lane 0; with `masked = 1` as groups of the last size, the last of them under a mask. Memory:
 * vector_memory.c. */
#include "codegen/vector.h"

bool cg_is_vector(LLVMValueRef x) { return LLVMGetTypeKind(LLVMTypeOf(x)) == LLVMVectorTypeKind; }

unsigned cg_width(LLVMValueRef x) { return cg_is_vector(x) ? LLVMGetVectorSize(LLVMTypeOf(x)) : 1; }

static LLVMValueRef lane_index(CgUnit *u, unsigned lane) { return LLVMConstInt(u->i32, lane, 0); }

LLVMValueRef cg_splat(CgUnit *u, LLVMValueRef x, unsigned lanes) {
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(x), lanes);
    if (cg_is_vector(x) || lanes == 1) return x;
    if (LLVMIsAConstant(x)) {
        LLVMValueRef list[CG_MAX_LANES];
        for (unsigned i = 0; i < lanes; i++) list[i] = x;
        return LLVMConstVector(list, lanes);
    }
    LLVMValueRef one = LLVMBuildInsertElement(u->b, LLVMGetPoison(type), x, lane_index(u, 0), "");
    return LLVMBuildShuffleVector(u->b, one, LLVMGetPoison(type), LLVMConstNull(LLVMVectorType(u->i32, lanes)), "");
}

LLVMValueRef vec_extract(CgUnit *u, LLVMValueRef x, unsigned lane) {
    return cg_is_vector(x) ? LLVMBuildExtractElement(u->b, x, lane_index(u, lane), "") : x;
}

LLVMValueRef vec_insert(CgUnit *u, LLVMValueRef into, LLVMValueRef x, unsigned lane, unsigned lanes) {
    if (!into) into = LLVMGetPoison(LLVMVectorType(LLVMTypeOf(x), lanes));
    return LLVMBuildInsertElement(u->b, into, x, lane_index(u, lane), "");
}

LLVMValueRef vec_expand(CgUnit *u, CgAffine a, unsigned lanes) {
    LLVMValueRef list[CG_MAX_LANES];
    for (unsigned i = 0; i < lanes; i++) list[i] = cg_i64(u, i);
    LLVMValueRef steps = LLVMBuildNSWMul(u->b, LLVMConstVector(list, lanes), cg_splat(u, a.stride, lanes), "");
    return LLVMBuildNSWAdd(u->b, cg_splat(u, a.base, lanes), steps, "");
}

LLVMValueRef vec_part(CgUnit *u, LLVMValueRef x, unsigned first, unsigned n) {
    LLVMValueRef list[CG_MAX_LANES];
    for (unsigned i = 0; i < n; i++) list[i] = lane_index(u, first + i);
    return LLVMBuildShuffleVector(u->b, x, LLVMGetPoison(LLVMTypeOf(x)), LLVMConstVector(list, n), "");
}

LLVMValueRef cg_carried(const Cg *g, TdlOp o, uint32_t i, LLVMValueRef x) {
    const TdlAttr *a = g->width ? op_attr(g->f, o, "varying") : NULL;
    for (uint32_t k = 0; a && k < a->n; k++)
        if (a->ints[k] == (int64_t)i) return cg_splat(g->u, x, g->width);
    return x;
}

/* ---- operations ---- */

/* One failing lane fails the loop, with that lane's values. */
static void vector_assert(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    TdlOpData *d = ir_op(g->f, o);
    LLVMValueRef *saved = ARENA_ARRAY(u->arena, LLVMValueRef, d->noperands);
    LLVMValueRef bad = LLVMBuildNot(u->b, cg_splat(u, cg_operand(g, o, 0), g->width), "");
    if (g->mask) bad = LLVMBuildAnd(u->b, bad, g->mask, "");
    LLVMTypeRef bits = LLVMIntTypeInContext(u->ctx, g->width);
    LLVMValueRef mask = LLVMBuildBitCast(u->b, bad, bits, "");
    LLVMValueRef first = cg_intrinsic(u, "llvm.cttz", &bits, 1, (LLVMValueRef[]){mask, LLVMConstInt(u->i1, 0, 0)}, 2);
    LLVMValueRef inside = LLVMBuildAnd(u->b, LLVMBuildIntCast2(u->b, first, u->i32, 0, ""), lane_index(u, g->width - 1), "");
    for (uint32_t i = 0; i < d->noperands; i++) saved[i] = cg_operand(g, o, i);
    cg_set(g, d->operands[0], LLVMBuildICmp(u->b, LLVMIntEQ, mask, LLVMConstNull(bits), ""));
    for (uint32_t i = 1; i < d->noperands; i++)
        if (cg_is_vector(saved[i])) cg_set(g, d->operands[i], LLVMBuildExtractElement(u->b, saved[i], inside, ""));
    cg_ASSERT(g, o);
    for (uint32_t i = 0; i < d->noperands; i++) cg_set(g, d->operands[i], saved[i]);
}

/* Operations whose emitter takes vectors as it takes scalars. */
static bool native(const Cg *g, TdlOp o) {
    bool own = !(op_info(ir_op(g->f, o)->code)->flags & OPF_FUNCTION) || !g->u->opt.libm;
    return own && ir_in_lanes(g->f, o);
}

/* Lane by lane. */
static void scalarized(Cg *g, TdlOp o, CgOpFn fn, LLVMValueRef *saved) {
    TdlOpData *d = ir_op(g->f, o);
    LLVMValueRef r = NULL;
    for (unsigned lane = 0; lane < g->width; lane++) {
        for (uint32_t i = 0; i < d->noperands; i++) cg_set(g, d->operands[i], vec_extract(g->u, saved[i], lane));
        fn(g, o);
        r = vec_insert(g->u, r, cg_val(g, d->results[0]), lane, g->width);
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
        for (uint32_t i = 0; i < d->noperands; i++) cg_set(g, d->operands[i], cg_splat(g->u, saved[i], g->width));
        fn(g, o);
    } else scalarized(g, o, fn, saved);
    for (uint32_t i = 0; i < d->noperands; i++) cg_set(g, d->operands[i], saved[i]);
    follow_affine(g, o, saved);
    return true;
}

enum { MAX_IDLE = 12 /* operations */ };

/* v is side by side in the lanes: what is known to be, plus what does not differ. */
static bool side_by_side(const Cg *g, TdlVal v) {
    for (;;) {
        TdlOp def = ir_val(g->f, v)->def;
        LLVMValueRef stride = g->affine[v.id].stride;
        if (stride) return LLVMIsAConstantInt(stride) && LLVMConstIntGetSExtValue(stride) == 1;
        if (!def.id || (ir_op(g->f, def)->code != OP_ADD && ir_op(g->f, def)->code != OP_SUB)) return false;
        TdlOp by = ir_val(g->f, ir_op(g->f, def)->operands[1])->def;
        if (!by.id || (ir_op(g->f, by)->code != OP_CONST && ir_op(g->f, by)->code != OP_DIM)) return false;
        v = ir_op(g->f, def)->operands[0];
    }
}

/* Can the operations run where no lane does, and are they few? Then a branch around them costs more. Reads must be masked
 * ones, of elements side by side. */
static bool runs_idle(const Cg *g, TdlRegion r, unsigned *left) {
    if (g->u->vector_bytes <= CG_VECTOR_LEAST) return false; /* no masked reads there */
    IR_FOREACH_OP(g->f, r, o) {
        const TdlOpData *d = ir_op(g->f, o);
        TdlOpcode code = d->code;
        if (!*left) return false;
        --*left;
        if (code == OP_CONST || code == OP_DIM || code == OP_UNDEF || code == OP_YIELD) continue;
        if (code == OP_LOAD) {
            if (d->noperands < 2 || g->lanes[d->operands[0].id] || !side_by_side(g, d->operands[d->noperands - 1])) return false;
            for (uint32_t i = 1; i + 1u < d->noperands; i++)
                if (ir_region_of(g->f, d->operands[i]).id == r.id || cg_is_vector(cg_operand(g, o, i))) return false;
            continue;
        }
        bool simple = code == OP_ADD || code == OP_SUB || code == OP_MUL || code == OP_NEG || code == OP_SELECT || code == OP_MAX ||
                      code == OP_MIN || code == OP_LT || code == OP_LE || code == OP_GT || code == OP_GE || code == OP_EQ ||
                      code == OP_NE || code == OP_AND || code == OP_OR || code == OP_NOT;
        if (!simple) return false;
    }
    return true;
}

/* One side of a branch for the lanes of `mask`, without a branch; its values as vectors. */
static LLVMValueRef *idle_side(Cg *g, TdlRegion r, uint32_t n, LLVMValueRef mask) {
    LLVMValueRef outer = g->mask;
    g->mask = mask;
    cg_region(g, r);
    g->mask = outer;
    for (uint32_t i = 0; i < n && g->ok; i++) g->yielded[i] = cg_splat(g->u, g->yielded[i], g->width);
    return g->yielded;
}

/* One side of a branch for the lanes of `mask`, unless there are none; its values as vectors. */
static LLVMValueRef *masked_side(Cg *g, TdlRegion r, uint32_t n, LLVMValueRef mask) {
    CgUnit *u = g->u;
    LLVMTypeRef bits = LLVMIntTypeInContext(u->ctx, g->width);
    LLVMValueRef all = LLVMBuildBitCast(u->b, mask, bits, ""), outer = g->mask;
    LLVMBasicBlockRef before = cg_here(g), side = cg_block(g, "lanes"), end = cg_block(g, "");
    LLVMBuildCondBr(u->b, LLVMBuildICmp(u->b, LLVMIntNE, all, LLVMConstNull(bits), ""), side, end);
    LLVMPositionBuilderAtEnd(u->b, side);
    g->mask = mask;
    cg_region(g, r);
    g->mask = outer;
    if (!g->ok) return NULL;
    LLVMValueRef *values = g->yielded;
    for (uint32_t i = 0; i < n; i++) values[i] = cg_splat(u, values[i], g->width);
    LLVMBasicBlockRef last = cg_here(g);
    LLVMBuildBr(u->b, end);
    LLVMPositionBuilderAtEnd(u->b, end);
    for (uint32_t i = 0; i < n; i++) {
        LLVMTypeRef t = LLVMTypeOf(values[i]);
        LLVMValueRef phi = LLVMBuildPhi(u->b, t, "");
        LLVMAddIncoming(phi, (LLVMValueRef[]){LLVMConstNull(t), values[i]}, (LLVMBasicBlockRef[]){before, last}, 2);
        values[i] = phi;
    }
    return values;
}

/* A branch that differs between lanes: both sides, each for its lanes. */
static void vector_if(Cg *g, TdlOp o) {
    LLVMBuilderRef b = g->u->b;
    uint32_t n = ir_op(g->f, o)->nresults;
    LLVMValueRef c = cg_operand(g, o, 0), *values[2];
    for (uint32_t k = 0; k < 2; k++) {
        TdlRegion r = ir_op(g->f, o)->regions[k];
        bool empty = !n && ir_region(g->f, r)->first.id == ir_terminator(g->f, r).id;
        LLVMValueRef mask = k ? LLVMBuildNot(b, c, "") : c;
        if (g->mask) mask = LLVMBuildAnd(b, mask, g->mask, "");
        unsigned left = MAX_IDLE;
        if (!empty) values[k] = (runs_idle(g, r, &left) ? idle_side : masked_side)(g, r, n, mask);
        if (!g->ok) return;
    }
    for (uint32_t i = 0; i < n; i++) {
        g->affine[ir_op(g->f, o)->results[i].id] = (CgAffine){0};
        cg_set(g, ir_op(g->f, o)->results[i], LLVMBuildSelect(b, c, values[0][i], values[1][i], ""));
    }
}

bool cg_vector_op(Cg *g, TdlOp o, CgOpFn fn) {
    const TdlOpData *d = ir_op(g->f, o);
    if (g->outcome && g->outcome[o.id]) {
        g->affine[d->results[0].id] = (CgAffine){0};
        cg_result(g, o, g->outcome[o.id]);
        return true;
    }
    switch ((int)d->code) {
    case OP_LOAD: cg_result(g, o, vec_load(g, o)); return true;
    case OP_STORE: vec_store(g, o); return true;
    case OP_VIEW: vec_view(g, o); return true;
    case OP_ASSERT:
        for (uint32_t i = 0; i < d->noperands; i++)
            if (cg_is_vector(cg_operand(g, o, i))) return vector_assert(g, o), true;
        return false;
    case OP_IF: return cg_is_vector(cg_operand(g, o, 0)) ? vector_if(g, o), true : false;
    case OP_FILL:
        if (!vec_fills(g, o)) return false;
        vec_fill(g, o);
        return true;
    default: return elementwise(g, o, fn);
    }
}

/* ---- the loop ---- */

/* Carried sums: a vector of sums starting from 0 (-0, which changes nothing), added to the initial value at the end. */
static LLVMValueRef *start_sums(Cg *g, TdlOp o, const LLVMValueRef *inits, uint32_t n, LLVMBasicBlockRef before) {
    LLVMValueRef *phis = ARENA_ARRAY(g->u->arena, LLVMValueRef, n);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef zero = cg_splat(g->u, LLVMConstReal(LLVMTypeOf(inits[i]), -0.0), g->width);
        phis[i] = LLVMBuildPhi(g->u->b, LLVMTypeOf(zero), "sum");
        LLVMAddIncoming(phis[i], &zero, &before, 1);
        cg_set(g, ir_region(g->f, ir_op(g->f, o)->regions[0])->args.p[1 + i], phis[i]);
    }
    return phis;
}

/* The sums that the rest of the iterations begins with. */
static void finish_sums(Cg *g, LLVMValueRef *inits, uint32_t n, LLVMValueRef *next, LLVMBasicBlockRef before,
                        LLVMBasicBlockRef latch) {
    CgUnit *u = g->u;
    LLVMValueRef *phis = ARENA_ARRAY(u->arena, LLVMValueRef, n);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef in[2] = {cg_splat(u, LLVMConstReal(LLVMTypeOf(inits[i]), -0.0), cg_width(next[i])), next[i]};
        phis[i] = LLVMBuildPhi(u->b, LLVMTypeOf(in[1]), "");
        LLVMAddIncoming(phis[i], in, (LLVMBasicBlockRef[]){before, latch}, 2);
    }
    for (uint32_t i = 0; i < n; i++) inits[i] = LLVMBuildFAdd(u->b, inits[i], vec_sum(u, phis[i]), "");
}

/* The body for the group at i: in two copies where edges are known; n values that it yields. */
static LLVMValueRef *group(Cg *g, TdlOp o, const VecEdges *edges, LLVMValueRef i, uint32_t n) {
    LLVMBuilderRef b = g->u->b;
    TdlRegion body = ir_op(g->f, o)->regions[0];
    LLVMValueRef *yields[2], *both = ARENA_ARRAY(g->u->arena, LLVMValueRef, n);
    LLVMBasicBlockRef copy[2] = {cg_block(g, "inside"), cg_block(g, "edge")}, from[2], join = cg_block(g, "");
    LLVMBuildCondBr(b, vec_inside(g, edges, i, g->width), copy[0], copy[1]);
    for (uint32_t k = 0; k < 2; k++) {
        LLVMPositionBuilderAtEnd(b, copy[k]);
        vec_assume(g, edges, k == 0);
        cg_region(g, body);
        if (!g->ok) return both;
        yields[k] = g->yielded;
        for (uint32_t j = 0; j < n; j++) yields[k][j] = cg_splat(g->u, yields[k][j], g->width);
        from[k] = cg_here(g);
        LLVMBuildBr(b, join);
    }
    LLVMPositionBuilderAtEnd(b, join);
    for (uint32_t j = 0; j < n; j++) {
        both[j] = LLVMBuildPhi(b, LLVMTypeOf(yields[0][j]), "");
        LLVMAddIncoming(both[j], (LLVMValueRef[]){yields[0][j], yields[1][j]}, from, 2);
    }
    return both;
}

/* The index of each lane. Lanes beyond the end have the first one's, so that they compute nothing that no iteration does. */
static void set_index(Cg *g, TdlVal index, LLVMValueRef i, LLVMValueRef left, bool masked) {
    CgUnit *u = g->u;
    g->affine[index.id] = (CgAffine){i, cg_i64(u, 1)};
    LLVMValueRef all = vec_expand(u, g->affine[index.id], g->width);
    if (masked) {
        LLVMValueRef lane = vec_expand(u, (CgAffine){cg_i64(u, 0), cg_i64(u, 1)}, g->width);
        g->mask = LLVMBuildICmp(u->b, LLVMIntULT, lane, cg_splat(u, left, g->width), "there");
        all = LLVMBuildSelect(u->b, g->mask, all, cg_splat(u, i, g->width), "");
    }
    cg_set(g, index, all);
}

/* Groups of `lanes` iterations from lo on: whole ones, or all with the last under a mask. Returns where the rest begins. */
static LLVMValueRef groups_of(Cg *g, TdlOp o, unsigned lanes, bool masked, LLVMValueRef lo, LLVMValueRef *inits,
                              const VecEdges *edges) {
    CgUnit *u = g->u;
    LLVMBuilderRef b = u->b;
    TdlRegion body = ir_op(g->f, o)->regions[0];
    uint32_t n = ir_op(g->f, o)->noperands - 2u;
    LLVMValueRef hi = cg_operand(g, o, 1), width = cg_i64(u, lanes);
    LLVMBasicBlockRef before = cg_here(g), loop = cg_block(g, masked ? "masked" : "vector"), end = cg_block(g, "rest");
    LLVMValueRef any = LLVMBuildICmp(b, LLVMIntSLT, lo, hi, "");
    LLVMValueRef enough = LLVMBuildICmp(b, LLVMIntUGE, LLVMBuildSub(b, hi, lo, ""), width, "");
    LLVMBuildCondBr(b, masked ? any : LLVMBuildAnd(b, any, enough, ""), loop, end);
    LLVMPositionBuilderAtEnd(b, loop);
    g->width = lanes;
    g->rest = masked;
    LLVMValueRef i = LLVMBuildPhi(b, u->i64, "i"), *sums = start_sums(g, o, inits, n, before);
    LLVMValueRef left = LLVMBuildSub(b, hi, i, ""); /* at least 1; as an unsigned number it does not wrap */
    LLVMAddIncoming(i, &lo, &before, 1);
    set_index(g, ir_region(g->f, body)->args.p[0], i, left, masked);
    LLVMValueRef mask = g->mask;
    if (!edges->n) cg_region(g, body);
    LLVMValueRef *yields = edges->n ? group(g, o, edges, i, n) : g->yielded;
    g->width = 0;
    g->mask = NULL;
    g->rest = false;
    if (!g->ok) return lo;
    cg_debug_op(g, ir_op(g->f, o)->span);
    for (uint32_t k = 0; k < n; k++) {
        yields[k] = cg_splat(u, yields[k], lanes);
        if (masked) yields[k] = LLVMBuildSelect(b, mask, yields[k], sums[k], "");
    }
    LLVMValueRef next = LLVMBuildAdd(b, i, width, ""); /* behind the last group it may wrap, and is not used */
    LLVMBasicBlockRef latch = cg_here(g);
    LLVMValueRef most = masked ? width : cg_i64(u, 2 * (int64_t)lanes - 1);
    LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntUGT, left, most, ""), loop, end);
    LLVMAddIncoming(i, &next, &latch, 1);
    for (uint32_t k = 0; k < n; k++) LLVMAddIncoming(sums[k], &yields[k], &latch, 1);
    LLVMPositionBuilderAtEnd(b, end);
    LLVMValueRef rest = LLVMBuildPhi(b, u->i64, "rest");
    LLVMAddIncoming(rest, (LLVMValueRef[]){lo, next}, (LLVMBasicBlockRef[]){before, latch}, 2);
    finish_sums(g, inits, n, yields, before, latch);
    return rest;
}

/* Groups of each size in turn; what is left one by one, or under a mask. */
void cg_vector_for(Cg *g, TdlOp o) {
    const TdlAttr *sizes = op_attr(g->f, o, "vector");
    uint32_t n = ir_op(g->f, o)->noperands - 2u;
    bool masked = op_int(g->f, o, "masked", 0) != 0;
    LLVMValueRef lo = cg_operand(g, o, 0), *inits = ARENA_ARRAY(g->u->arena, LLVMValueRef, n);
    for (uint32_t i = 0; i < n; i++) inits[i] = cg_operand(g, o, 2 + i);
    VecEdges edges = vec_edges(g, o);
    for (uint32_t i = 0; i < sizes->n && g->ok; i++) {
        bool last = masked && i > 0 && i + 1u == sizes->n;   /* of two sizes the smaller one is needed under the mask alone */
        if (last) break;
        lo = groups_of(g, o, (unsigned)sizes->ints[i], false, lo, inits, &edges);
        edges.n = 0; /* the smaller groups are few */
    }
    if (!g->ok) return;
    if (!masked) {
        cg_plain_for(g, o, lo, inits);
        return;
    }
    groups_of(g, o, (unsigned)sizes->ints[sizes->n - 1], true, lo, inits, &edges);
    for (uint32_t i = 0; i < n; i++) cg_set(g, ir_op(g->f, o)->results[i], inits[i]);
}
