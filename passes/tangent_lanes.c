/* Several tangents at once: one primal, whose values have a tangent for each index of the lanes' axes.
 *
 *     %1 = sin %0     =>     %1 = sin %0
 *                            %2 = cos %0
 *                            %3 = map %r {(%k)  %4 = index %0dot, %k   %5 = mul %4, %2   yield %5}     (f64[r])
 *
 * Tangents of the operations of a region are computed side by side in a `map` over the lanes, which moves along behind the
 * last of them: inside it the rules see one lane, a tangent as if it were the only one. Where an operation with regions
 * comes, or the region ends, the map is closed: from there on the tangents that are asked for are results of it, tensors
 * with the lanes' axes behind their own, so that the lanes of an element are side by side in memory and parts at leading
 * indices are parts of the tangents, too: an update of a tape is one in place. Regions yield and carry those. What a rule computes of the primal alone is moved out of
 * the map, so that it is done once, too. */
#include "passes/adjoint.h"

TanLanes *tan_lanes_new(Adj *a, const TdlSym *dims, uint32_t n, TdlBuilder b) {
    TanLanes *l = ARENA_NEW(a->arena, TanLanes);
    l->n = n;
    l->dims = ARENA_ARRAY(a->arena, TdlDim, n);
    l->extents = ARENA_ARRAY(a->arena, TdlVal, n);
    for (uint32_t i = 0; i < n; i++) {
        l->dims[i] = dim_var(a->m, dims[i]);
        l->extents[i] = ir_dim(&b, l->dims[i]);
    }
    return l;
}

TdlType tan_type(const Adj *a, TdlType t) {
    const TanLanes *l = a->lanes;
    if (!l) return t;
    if (ty_kind(a->m, t) == TY_STACK) {
        uint32_t n = ty_stack_n(a->m, t);
        TdlType *elems = ARENA_ARRAY(a->arena, TdlType, n + 1);
        for (uint32_t i = 0; i < n; i++) elems[i] = tan_type(a, ty_stack_elem(a->m, t, i));
        return ty_stack(a->m, elems, n);
    }
    return ty_is_float(a->m, t) ? ty_append(a->m, t, l->dims, l->n) : t;
}

/* ---- the map over the lanes ---- */

static TdlRegion body(const Adj *a, TdlOp map) { return ir_op(a->f, map)->regions[0]; }

TdlVal tan_lane_index(const Adj *a, uint32_t i) { return ir_region(a->f, body(a, a->lanes->map))->args.p[i]; }

/* Emission goes on in a lane, behind operation o of the frame's region (0: at its end). */
void tan_lanes_open(Adj *a, TdlOp o) {
    TanLanes *l = a->lanes;
    TdlBuilder behind = o.id ? ir_after(a->f, o) : a->top->b;
    behind.grad_fn = SYM_NONE;
    a->top->b = behind;
    if (!l) return;
    if (!l->map.id) {
        l->map = ir_emit(&behind, OP_MAP, l->extents, l->n, NULL, 0);
        for (uint32_t i = 0; i < l->n; i++) ir_region_arg(a->f, body(a, l->map), ty_scalar(a->m, EL_I64), SYM_NONE);
        TdlBuilder in = ir_at_end(a->f, body(a, l->map), behind.span);
        ir_emit(&in, OP_YIELD, NULL, 0, NULL, 0);
    } else if (behind.before.id && behind.before.id != l->map.id) {
        ir_move_before(a->f, l->map, behind.before);
    } else if (!behind.before.id && ir_op(a->f, l->map)->next.id) {
        ir_move_to_end(a->f, l->map, behind.region);
    }
    a->top->b = ir_before(a->f, ir_terminator(a->f, body(a, l->map)));
    a->top->b.span = behind.span;
    a->top->b.grad_fn = SYM_NONE;
}

/* True when nothing of o is of the region r or below. */
static bool invariant(Adj *a, TdlOp o, TdlRegion r) {
    TdlVals v = {0};
    for (uint32_t i = 0; i < ir_op(a->f, o)->noperands; i++) VEC_PUSH(a->arena, v, adj_arg(a, o, i));
    for (uint32_t i = 0; i < ir_op(a->f, o)->nregions; i++) ir_free_vals(a->f, ir_op(a->f, o)->regions[i], a->arena, &v);
    for (uint32_t i = 0; i < v.n; i++)
        if (ir_defined_in(a->f, v.p[i], r)) return false;
    return true;
}

void tan_lanes_close(Adj *a) {
    if (!a->lanes || !a->lanes->map.id) return;
    TdlOp map = a->lanes->map;
    TdlRegion r = body(a, map);
    a->lanes->map = (TdlOp){0};
    IR_FOREACH_OP(a->f, r, o) {
        if (o.id == ir_terminator(a->f, r).id || !ir_op_is_pure(a->f, o) || !invariant(a, o, r)) continue;
        ir_move_before(a->f, o, map);
    }
}

/* ---- tangents of values ---- */

static TanLane *lane(Adj *a, TdlVal v) {
    while (a->lanes->of.n <= v.id) VEC_PUSH(a->arena, a->lanes->of, (TanLane){0});
    return &a->lanes->of.p[v.id];
}

bool tan_in_lane(Adj *a, TdlVal v) { return lane(a, v)->map.id && lane(a, v)->map.id == a->lanes->map.id; }

void tan_set(Adj *a, TdlVal v, TdlVal dot) {
    if (!a->lanes) adj_set_cot(a, v, dot);
    else *lane(a, v) = (TanLane){a->lanes->map, dot};
}

TdlVal adj_axes_to_end(TdlBuilder *b, TdlVal v, uint32_t n) {
    TdlModule *m = b->f->module;
    uint32_t rank = ty_rank(m, ir_type(b->f, v));
    if (!n || n == rank) return v;
    int64_t *perm = ARENA_ARRAY(m->arena, int64_t, rank);
    TdlDim *dims = ARENA_ARRAY(m->arena, TdlDim, rank);
    for (uint32_t i = 0; i < rank; i++) {
        perm[i] = (i + n) % rank;
        dims[i] = ty_dims(m, ir_type(b->f, v))[perm[i]];
    }
    TdlType t = ty_tensor(m, ty_elem(m, ir_type(b->f, v)), dims, rank);
    TdlOp o = ir_emit(b, OP_PERMUTE, &v, 1, &t, 1);
    op_set_ints(b->f, o, "perm", perm, rank);
    return ir_result(b->f, o, 0);
}

/* What the map has of dot in each lane, with the lanes' axes behind. */
static TdlVal taken_out(Adj *a, TdlOp map, TdlVal dot) {
    const TanLanes *l = a->lanes;
    ir_add_operand(a->f, ir_terminator(a->f, body(a, map)), dot);
    TdlVal z = ir_add_result(a->f, map, ty_prepend(a->m, adj_type(a, dot), l->dims, l->n));
    TdlBuilder b = ir_after(a->f, map);
    b.grad_fn = SYM_NONE;
    return adj_axes_to_end(&b, z, l->n);
}

TdlVal tan_whole(Adj *a, TdlVal v) {
    TdlVal z = adj_cot(a, v);
    if (z.id || !a->lanes) return z;
    TanLane x = *lane(a, v);
    if (!x.map.id) return z;
    z = taken_out(a, x.map, x.dot);
    adj_set_cot(a, v, z);
    return z;
}

TdlVal tan_absent(Adj *a, TdlVal v) {
    TdlOp def = adj_def(a, v);
    TdlType t = tan_type(a, adj_type(a, v));
    return def.id && ir_op(a->f, def)->code == OP_UNDEF ? adj_emit(a, OP_UNDEF, NULL, 0, t) : adj_zero(a, t);
}

TdlVal tan_whole_or_zero(Adj *a, TdlVal v) {
    TdlVal z = tan_whole(a, v);
    return z.id ? z : tan_absent(a, v);
}

TdlVal tan_of(Adj *a, TdlVal v) {
    const TanLanes *l = a->lanes;
    if (!l || ty_kind(a->m, adj_type(a, v)) != TY_TENSOR) return adj_cot(a, v);
    if (tan_in_lane(a, v)) return lane(a, v)->dot;
    TdlVal all = tan_whole(a, v);
    if (!all.id) return all;
    TdlVal ops[1 + TAN_LANE_AXES];
    ops[0] = adj_axes_to_end(adj_b(a), all, ty_rank(a->m, adj_type(a, v)));
    for (uint32_t i = 0; i < l->n; i++) ops[1 + i] = tan_lane_index(a, i);
    TdlVal dot = adj_emit(a, OP_INDEX, ops, 1 + l->n, adj_type(a, v));
    op_set_int(a->f, adj_def(a, dot), "inbounds", 1);
    tan_set(a, v, dot);
    return dot;
}

TdlVal tan_of_or_zero(Adj *a, TdlVal v) {
    TdlVal z = tan_of(a, v);
    return z.id ? z : adj_zero(a, adj_type(a, v));
}

TdlVal tan_closed(Adj *a, TdlVal dot) {
    if (!a->lanes) return dot;
    TdlOp map = a->lanes->map;
    tan_lanes_close(a);
    return taken_out(a, map, dot);
}
