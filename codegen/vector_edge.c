/* Vector loops: groups of iterations away from the ends of what is computed.
 *
 *     for 0, %n {(%i)  if %i == 0 {..} else {..}   if %i + 2 < %n {..} else {..} }
 *
 * In most groups all lanes take the same side: where i != 0 for each lane, and i + 2 < n. The group asks once whether it is
 * one of them, and then runs a copy of the body in which these comparisons are constants, with neither masks nor branches.
 * When: the body has no loops, and more than FEW comparisons of the index, plus a dimension, with what is known in front of
 * the loop. Which side is the usual one is a guess: the one away from the end that the comparison is about.
 * Cost: one more copy of the body. */
#include "codegen/vector.h"

enum { FEW = 2 };

static bool no_loops(const Cg *g, TdlRegion r) {
    IR_FOREACH_OP(g->f, r, o) {
        const TdlOpData *d = ir_op(g->f, o);
        if (d->code == OP_FOR || d->code == OP_WHILE || d->code == OP_NEWDIM || d->code == OP_CALL) return false;
        for (uint32_t k = 0; k < d->nregions; k++)
            if (!no_loops(g, d->regions[k])) return false;
    }
    return true;
}

/* v = index + d. */
static bool shifted(const Cg *g, TdlVal index, TdlVal v, TdlDim *d) {
    TdlModule *m = g->f->module;
    *d = dim_const(m, 0);
    while (v.id != index.id) {
        TdlOp o = ir_val(g->f, v)->def;
        TdlDim e;
        if (!o.id || (ir_op(g->f, o)->code != OP_ADD && ir_op(g->f, o)->code != OP_SUB)) return false;
        if (!ir_val_dim(g->f, ir_op(g->f, o)->operands[1], &e)) return false;
        *d = ir_op(g->f, o)->code == OP_SUB ? dim_sub(m, *d, e) : dim_add(m, *d, e);
        v = ir_op(g->f, o)->operands[0];
    }
    return true;
}

static TdlOpcode swapped(TdlOpcode c) {
    switch ((int)c) {
    case OP_LT: return OP_GT;
    case OP_LE: return OP_GE;
    case OP_GT: return OP_LT;
    case OP_GE: return OP_LE;
    default: return c;
    }
}

/* index `code` bound, away from the end of [lo, hi) that it is about. */
static bool usual(const Cg *g, TdlOp loop, TdlOpcode code, TdlDim bound) {
    TdlModule *m = g->f->module;
    TdlDim hi;
    int64_t c;
    bool first = dim_is_const(m, bound, &c);
    bool last = ir_val_dim(g->f, ir_op(g->f, loop)->operands[1], &hi) && dim_is_const(m, dim_sub(m, hi, bound), &c);
    if (code == OP_LT || code == OP_LE) return last || !first;
    if (code == OP_GT || code == OP_GE) return first || !last;
    return code == OP_NE;
}

static void note_edge(Cg *g, TdlOp loop, TdlOp o, VecEdges *e) {
    const TdlOpData *d = ir_op(g->f, o);
    TdlVal index = ir_region(g->f, ir_op(g->f, loop)->regions[0])->args.p[0];
    for (uint32_t k = 0; k < 2; k++) {
        TdlDim shift, bound;
        if (!shifted(g, index, d->operands[k], &shift) || !ir_val_dim(g->f, d->operands[1 - k], &bound)) continue;
        TdlOpcode code = k ? swapped(d->code) : d->code;
        bound = dim_sub(g->f->module, bound, shift);
        VEC_PUSH(g->u->arena, *e, ((VecEdge){o, code, bound, usual(g, loop, code, bound)}));
        return;
    }
}

static void collect(Cg *g, TdlOp loop, TdlRegion r, VecEdges *e) {
    IR_FOREACH_OP(g->f, r, o) {
        switch ((int)ir_op(g->f, o)->code) {
        case OP_LT: case OP_LE: case OP_GT: case OP_GE: case OP_EQ: case OP_NE: note_edge(g, loop, o, e);
        }
        for (uint32_t k = 0; k < ir_op(g->f, o)->nregions; k++) collect(g, loop, ir_op(g->f, o)->regions[k], e);
    }
}

VecEdges vec_edges(Cg *g, TdlOp loop) {
    VecEdges e = {0};
    TdlRegion body = ir_op(g->f, loop)->regions[0];
    if (no_loops(g, body)) collect(g, loop, body, &e);
    if (e.n <= FEW) e.n = 0;
    return e;
}

LLVMValueRef vec_inside(Cg *g, const VecEdges *edges, LLVMValueRef i, unsigned lanes) {
    LLVMBuilderRef b = g->u->b;
    LLVMValueRef all = NULL, last = LLVMBuildNSWAdd(b, i, cg_i64(g->u, lanes - 1), "");
    for (uint32_t k = 0; k < edges->n; k++) {
        const VecEdge *e = &edges->p[k];
        LLVMValueRef bound = cg_dim(g, e->bound), in;
        bool up = e->code == OP_LT || e->code == OP_LE, strict = e->code == OP_LT || e->code == OP_GT;
        if (e->code == OP_EQ || e->code == OP_NE)
            in = LLVMBuildOr(b, LLVMBuildICmp(b, LLVMIntSLT, bound, i, ""), LLVMBuildICmp(b, LLVMIntSGT, bound, last, ""), "");
        else if (e->usual) /* for the lane where it holds last */
            in = LLVMBuildICmp(b, up ? (strict ? LLVMIntSLT : LLVMIntSLE) : (strict ? LLVMIntSGT : LLVMIntSGE), up ? last : i, bound, "");
        else /* for none */
            in = LLVMBuildICmp(b, up ? (strict ? LLVMIntSGE : LLVMIntSGT) : (strict ? LLVMIntSLE : LLVMIntSLT), up ? i : last, bound, "");
        all = all ? LLVMBuildAnd(b, all, in, "") : in;
    }
    return all;
}

void vec_assume(Cg *g, const VecEdges *edges, bool on) {
    if (!g->outcome) g->outcome = ARENA_ARRAY(g->u->arena, LLVMValueRef, g->f->ops.n);
    for (uint32_t k = 0; k < edges->n; k++)
        g->outcome[edges->p[k].op.id] = on ? LLVMConstInt(g->u->i1, edges->p[k].usual, 0) : NULL;
}
