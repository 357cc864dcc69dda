/* expand: whole-tensor reductions, running sums, scatter and gather. Shapes: x[s] is the operand, r the result. */
#include "passes/expand.h"

#include <string.h>

/* r[kept] = kind over `axes` of x: a map over the kept axes of a reduce over the others. */
static TdlVal reduce_axes(ExpandCtx *c, TdlBuilder *b, TdlOp o, const char *kind, bool arg) {
    TdlFunc *f = c->f;
    TdlVal x = ir_op(f, o)->operands[0];
    TdlType t = ir_type(f, x);
    uint32_t rank = ty_rank(c->m, t), naxes, nk = 0, nr = 0;
    const int64_t *axes = ex_ints(f, o, "axes", &naxes);
    bool *over = ARENA_ARRAY(c->scratch, bool, rank);
    for (uint32_t i = 0; i < naxes; i++) over[axes[i]] = true;
    TdlDim *kept = ARENA_ARRAY(c->scratch, TdlDim, rank), *gone = ARENA_ARRAY(c->scratch, TdlDim, rank);
    for (uint32_t i = 0; i < rank; i++) {
        if (over[i]) gone[nr++] = ty_dims(c->m, t)[i];
        else kept[nk++] = ty_dims(c->m, t)[i];
    }
    TdlElem e = arg ? EL_I64 : ty_elem(c->m, t);
    ExpandNest map = ex_map(c, b, kept, nk, e);
    ExpandNest red = ex_reduce(c, &map.in, gone, nr, ty_scalar(c->m, e), kind);
    TdlVal *idx = ARENA_ARRAY(c->scratch, TdlVal, rank);
    for (uint32_t i = 0, k = 0, g = 0; i < rank; i++) idx[i] = over[i] ? red.idx[g++] : map.idx[k++];
    TdlVal s = ex_close(&red, ex_index(&red.in, x, idx, rank, true));
    if (red.op.id) ir_op(f, red.op)->grad_fn = ir_op(f, o)->grad_fn;
    if (red.op.id && op_int(f, o, "empty", 0)) op_set_int(f, red.op, "empty", 1);
    return ex_close(&map, s);
}

TdlVal expand_SUM(ExpandCtx *c, TdlBuilder *b, TdlOp o) { return reduce_axes(c, b, o, "sum", false); }
TdlVal expand_PROD(ExpandCtx *c, TdlBuilder *b, TdlOp o) { return reduce_axes(c, b, o, "prod", false); }
TdlVal expand_AMAX(ExpandCtx *c, TdlBuilder *b, TdlOp o) { return reduce_axes(c, b, o, "max", false); }
TdlVal expand_AMIN(ExpandCtx *c, TdlBuilder *b, TdlOp o) { return reduce_axes(c, b, o, "min", false); }
TdlVal expand_ANY(ExpandCtx *c, TdlBuilder *b, TdlOp o) { return reduce_axes(c, b, o, "any", false); }
TdlVal expand_ALL(ExpandCtx *c, TdlBuilder *b, TdlOp o) { return reduce_axes(c, b, o, "all", false); }
TdlVal expand_ARGMAX(ExpandCtx *c, TdlBuilder *b, TdlOp o) { return reduce_axes(c, b, o, "argmax", true); }
TdlVal expand_ARGMIN(ExpandCtx *c, TdlBuilder *b, TdlOp o) { return reduce_axes(c, b, o, "argmin", true); }

/* r[lead, i, trail] = r[lead, i-1, trail] + x[lead, i, trail]: a map over lead of a for over the axis, which carries
 * the running sums of all of trail and the rows so far. The sum runs along memory whatever the axis. */
TdlVal expand_CUMSUM(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlFunc *f = c->f;
    TdlModule *m = c->m;
    TdlVal x = ir_op(f, o)->operands[0];
    TdlType t = ir_type(f, x);
    const TdlDim *dims = ty_dims(m, t);
    TdlElem e = ty_elem(m, t);
    uint32_t rank = ty_rank(m, t), axis = (uint32_t)op_int(f, o, "axis", 0), ntrail = rank - axis - 1;
    TdlType row = ty_tensor(m, e, dims + axis + 1, ntrail), part = ty_tensor(m, e, dims + axis, rank - axis);
    ExpandNest lead = ex_map_of(c, b, dims, axis, part);
    TdlBuilder *in = &lead.in;

    TdlVal zero = el_is_float(e) ? ir_const_float(in, e, 0.0) : ir_const_int(in, e, 0);
    ExpandNest z = ex_map(c, in, dims + axis + 1, ntrail, e);
    TdlVal start = ex_close(&z, zero);
    TdlVal out = ir_result(f, ir_emit(in, OP_UNDEF, NULL, 0, &part, 1), 0);
    TdlVal ops[] = {ir_const_int(in, EL_I64, 0), ir_dim(in, dims[axis]), start, out};
    TdlOp loop = ir_emit(in, OP_FOR, ops, 4, (TdlType[]){row, part}, 2);
    if (op_int(f, o, "reverse", 0)) op_set_int(f, loop, "down", 1);
    TdlRegion r = ir_op(f, loop)->regions[0];
    TdlVal i = ir_region_arg(f, r, ty_scalar(m, EL_I64), SYM_NONE);
    TdlVal sum = ir_region_arg(f, r, row, SYM_NONE), acc = ir_region_arg(f, r, part, SYM_NONE);
    TdlBuilder body = ir_at_end(f, r, b->span);

    ExpandNest trail = ex_map(c, &body, dims + axis + 1, ntrail, e);
    TdlVal *idx = ARENA_ARRAY(c->scratch, TdlVal, rank);
    for (uint32_t k = 0; k < rank; k++)
        idx[k] = k < axis ? lead.idx[k] : k == axis ? i : trail.idx[k - axis - 1];
    TdlVal old = ex_index(&trail.in, sum, trail.idx, ntrail, true);
    TdlVal next = ir_binary(&trail.in, OP_ADD, old, ex_index(&trail.in, x, idx, rank, true));
    next = ex_close(&trail, next);
    acc = ex_update(&body, acc, next, &i, 1, true);
    ex_yield(&body, (TdlVal[]){next, acc}, 2);
    return ex_close(&lead, ir_result(f, loop, 1));
}

/* ---- elements chosen by an index tensor ---- */

static TdlVal index_at(ExpandCtx *c, TdlBuilder *b, TdlVal idx, const TdlVal *at, uint32_t n) {
    (void)c;
    return ir_cast(b, ex_index(b, idx, at, n, true), EL_I64);
}

/* torch.gather along axis a: r[i] = x[i with i_a replaced by idx[i]]. */
TdlVal expand_GATHER(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlFunc *f = c->f;
    TdlVal x = ir_op(f, o)->operands[0], idx = ir_op(f, o)->operands[1];
    TdlType t = ir_type(f, idx);
    uint32_t rank = ty_rank(c->m, t), axis = (uint32_t)op_int(f, o, "axis", 0);
    ExpandNest map = ex_map(c, b, ty_dims(c->m, t), rank, ty_elem(c->m, ir_type(f, x)));
    TdlVal *at = arena_memdup(c->scratch, map.idx, rank * sizeof *at);
    if (rank) at[axis] = index_at(c, &map.in, idx, map.idx, rank);
    return ex_close(&map, ex_index(&map.in, x, at, rank, false));
}

/* numpy.take along axis a: r[lead, j..., trail] = x[lead, idx[j...], trail]. */
TdlVal expand_TAKE(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlFunc *f = c->f;
    TdlVal x = ir_op(f, o)->operands[0], idx = ir_op(f, o)->operands[1];
    TdlType t = ir_type(f, ir_result(f, o, 0));
    uint32_t rank = ty_rank(c->m, ir_type(f, x)), nidx = ty_rank(c->m, ir_type(f, idx));
    uint32_t axis = (uint32_t)op_int(f, o, "axis", 0);
    ExpandNest map = ex_map(c, b, ty_dims(c->m, t), ty_rank(c->m, t), ty_elem(c->m, t));
    TdlVal *at = ARENA_ARRAY(c->scratch, TdlVal, rank);
    for (uint32_t i = 0; i < rank; i++)
        if (i != axis) at[i] = map.idx[i < axis ? i : i - 1 + nidx];
    at[axis] = index_at(c, &map.in, idx, map.idx + axis, nidx);
    return ex_close(&map, ex_index(&map.in, x, at, rank, false));
}

/* torch.scatter_add along axis a: x, then for each i: r[i with i_a replaced by idx[i]] += v[i]. */
TdlVal expand_SCATTERADD(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlFunc *f = c->f;
    TdlModule *m = c->m;
    TdlVal x = ir_op(f, o)->operands[0], idx = ir_op(f, o)->operands[1], v = ir_op(f, o)->operands[2];
    TdlType t = ir_type(f, x), it = ir_type(f, idx);
    uint32_t rank = ty_rank(m, it), axis = (uint32_t)op_int(f, o, "axis", 0);
    TdlOp with = ir_emit(b, OP_WITHACC, &x, 1, &t, 1);
    TdlRegion r = ir_op(f, with)->regions[0];
    TdlVal acc = ir_region_arg(f, r, ty_acc(m, t), SYM_NONE);
    TdlBuilder in = ir_at_end(f, r, b->span);

    TdlVal *ext = ARENA_ARRAY(c->scratch, TdlVal, rank), *args = ARENA_ARRAY(c->scratch, TdlVal, rank + 2);
    for (uint32_t i = 0; i < rank; i++) ext[i] = ir_dim(&in, ty_dims(m, it)[i]);
    TdlOp map = ir_emit(&in, OP_MAP, ext, rank, NULL, 0);
    TdlRegion body = ir_op(f, map)->regions[0];
    TdlBuilder at = ir_at_end(f, body, b->span);
    for (uint32_t i = 0; i < rank; i++) ext[i] = ir_region_arg(f, body, ty_scalar(m, EL_I64), SYM_NONE);
    args[0] = acc;
    args[1] = ex_index(&at, v, ext, rank, false); /* v may be larger or smaller than idx: checked */
    for (uint32_t i = 0; i < rank; i++) args[i + 2] = ext[i];
    args[axis + 2] = index_at(c, &at, idx, ext, rank);
    ir_emit(&at, OP_ACCADD, args, rank + 2, NULL, 0);
    ex_yield(&at, NULL, 0);
    ex_yield(&in, NULL, 0);
    return ir_result(f, with, 0);
}
