/* Several derivatives of one function at one point, in a map or reduction over their seeds, share one primal.
 *
 *     map %r {(%j)  %3 = ...tangent j...   %y, %ydot = jvp %x, %3   yield %ydot}
 *
 * becomes a jvp with a tangent for each j (tangent_lanes.c), in front of the map:
 *
 *     %3 = map %r {(%j)  ...   yield tangent j}   %y, %ydots = jvp %x, %3   map %r {(%j) %ydot = index %ydots, %j   yield %ydot}
 *
 * and of a vjp, whose body was put into the map, what does not depend on the seed is moved in front of it: the forward
 * part and its tapes. A stack stays where it is popped, since it is popped once. What the primal checks is then checked
 * once, also where there is no seed. */
#include "passes/adjoint.h"

/* What v is replaced by, once all derivatives are resolved. */
static TdlVal now(const AdjSeeds *s, TdlVal v) {
    for (TdlVal w = valmap_get(s->replace, v); w.id != v.id; w = valmap_get(s->replace, v)) v = w;
    return v;
}

static TdlRegion body(const AdjSeeds *s) { return ir_op(s->f, s->loop)->regions[0]; }

static bool inside(const AdjSeeds *s, TdlVal v) { return ir_defined_in(s->f, now(s, v), body(s)); }

/* Operands, and what the regions take from outside of o. */
static TdlVals reads(const AdjSeeds *s, TdlOp o) {
    TdlVals v = {0};
    const TdlOpData *d = ir_op(s->f, o);
    for (uint32_t i = 0; i < d->noperands; i++) VEC_PUSH(s->arena, v, d->operands[i]);
    for (uint32_t i = 0; i < d->nregions; i++) ir_free_vals(s->f, d->regions[i], s->arena, &v);
    for (uint32_t i = 0; i < v.n; i++) v.p[i] = now(s, v.p[i]);
    return v;
}

static bool moves(const AdjSeeds *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->f, o);
    for (uint32_t i = 0; i < d->nresults; i++)
        if (ty_kind(s->m, ir_type(s->f, d->results[i])) != TY_TENSOR) return false;
    return !(op_info(d->code)->flags & OPF_TERMINATOR);
}

/* Unshareable: a print would be done once, and a recursive call has a tangent of one direction. A checkpoint says that
 * memory is short: it would have to hold the tangents of all seeds. */
static void find_unshareable(void *user, TdlFunc *f, TdlOp o) {
    const TdlOpData *d = ir_op(f, o);
    bool found = d->code == OP_PRINT || d->code == OP_CHECKPOINT || op_int(f, o, "checkpoint", 0);
    if (d->code == OP_CALL) {
        const TdlFunc *g = ir_func_find(f->module, intern(f->module->names, op_str(f, o, "callee")));
        found |= !g->symbol && !g->forward.id;
    }
    *(bool *)user |= found;
}

static void find_newdim(void *user, TdlFunc *f, TdlOp o) { *(bool *)user |= ir_op(f, o)->code == OP_NEWDIM; }

bool adj_seeds_open(AdjSeeds *s, TdlOp o) {
    TdlOp loop = ir_region(s->f, ir_op(s->f, o)->parent)->parent;
    TdlOpcode c = loop.id ? ir_op(s->f, loop)->code : OP_NONE;
    if ((c != OP_MAP && c != OP_REDUCE) || !ir_op(s->f, loop)->noperands || ir_op(s->f, loop)->noperands > TAN_LANE_AXES) return false;
    s->loop = loop;
    s->at = o;
    bool sized = false; /* sizes that are new for each seed */
    ir_walk(s->f, body(s), find_newdim, &sized);
    return !sized;
}

/* ---- jvp ---- */

/* Marks the operations of the loop's body that v is computed from; false: they are not pure. */
static bool slice(const AdjSeeds *s, TdlVal v, bool *marked) {
    v = now(s, v);
    TdlOp o = ir_val(s->f, v)->def;
    if (!ir_defined_in(s->f, v, body(s)) || !o.id || marked[o.id]) return true;
    if (ir_op(s->f, o)->parent.id != body(s).id || !moves(s, o) || !ir_op_is_pure(s->f, o)) return false;
    marked[o.id] = true;
    TdlVals r = reads(s, o);
    for (uint32_t i = 0; i < r.n; i++)
        if (!slice(s, r.p[i], marked)) return false;
    return true;
}

bool adj_seeds_shared(AdjSeeds *s, TdlFunc *callee) {
    const TdlOpData *d = ir_op(s->f, s->at), *l = ir_op(s->f, s->loop);
    uint32_t n = callee->params.n;
    bool any = false, unshareable = false;
    ir_walk(callee, callee->body, find_unshareable, &unshareable);
    if (unshareable) return false;
    TdlDim extent;
    for (uint32_t i = 0; i < l->noperands; i++) {
        if (!ir_val_dim(s->f, now(s, l->operands[i]), &extent)) return false;
        VEC_PUSH(s->arena, s->extents, extent);
    }
    for (uint32_t i = 0; i < n; i++)
        if (inside(s, d->operands[i])) return false;
    s->marked = ARENA_ARRAY(s->arena, bool, s->f->ops.n);
    for (uint32_t i = n; i < d->noperands; i++) {
        any |= inside(s, d->operands[i]);
        if (!slice(s, d->operands[i], s->marked)) return false;
    }
    return any;
}

/* What o reads is where `copy` has what replaces it. */
static void renew(const AdjSeeds *s, TdlOp o, TdlValMap *copy) {
    TdlVals v = {0};
    const TdlOpData *d = ir_op(s->f, o);
    for (uint32_t i = 0; i < d->noperands; i++) VEC_PUSH(s->arena, v, d->operands[i]);
    for (uint32_t i = 0; i < d->nregions; i++) ir_free_vals(s->f, d->regions[i], s->arena, &v);
    for (uint32_t i = 0; i < v.n; i++)
        if (now(s, v.p[i]).id != v.p[i].id) valmap_set(copy, v.p[i], valmap_get(copy, now(s, v.p[i])));
}

TdlVals adj_seeds_tangents(AdjSeeds *s, uint32_t nparams) {
    const TdlOpData d = *ir_op(s->f, s->at), l = *ir_op(s->f, s->loop);
    TdlBuilder b = ir_before(s->f, s->loop);
    TdlVals out = {0};
    b.span = d.span;
    for (uint32_t i = 0; i < nparams; i++) VEC_PUSH(s->arena, out, now(s, d.operands[i]));
    TdlOp map = ir_emit(&b, OP_MAP, l.operands, l.noperands, NULL, 0);
    TdlRegion to = ir_op(s->f, map)->regions[0];
    TdlValMap copy = valmap_new(s->arena, s->f);
    for (uint32_t i = 0; i < l.noperands; i++)
        valmap_set(&copy, ir_region(s->f, body(s))->args.p[i], ir_region_arg(s->f, to, ty_scalar(s->m, EL_I64), SYM_NONE));
    TdlBuilder in = ir_at_end(s->f, to, d.span);
    IR_FOREACH_OP(s->f, body(s), o) {
        if (o.id >= s->f->ops.n || !s->marked[o.id]) continue;
        renew(s, o, &copy);
        ir_clone_op(&in, s->f, o, &copy, NULL);
    }
    TdlVals dots = {0};
    for (uint32_t i = nparams; i < d.noperands; i++) VEC_PUSH(s->arena, dots, valmap_get(&copy, now(s, d.operands[i])));
    ir_emit(&in, OP_YIELD, dots.p, dots.n, NULL, 0);
    for (uint32_t i = 0; i < dots.n; i++)
        VEC_PUSH(s->arena, out, ir_add_result(s->f, map, ty_prepend(s->m, ir_type(s->f, dots.p[i]), s->extents.p, s->extents.n)));
    for (uint32_t i = nparams; i < out.n; i++) out.p[i] = adj_axes_to_end(&b, out.p[i], s->extents.n);
    return out;
}

TdlVal adj_seeds_own(AdjSeeds *s, TdlVal whole) {
    TdlVal ops[1 + TAN_LANE_AXES];
    TdlBuilder b = ir_before(s->f, s->at), before = ir_before(s->f, s->loop);
    uint32_t n = s->extents.n, rank = ty_rank(s->m, ir_type(s->f, whole)) - n;
    ops[0] = adj_axes_to_end(&before, whole, rank);
    TdlType t = ir_type(s->f, ops[0]);
    for (uint32_t i = 0; i < n; i++) ops[1 + i] = ir_region(s->f, body(s))->args.p[i];
    t = ty_tensor(s->m, ty_elem(s->m, t), ty_dims(s->m, t) + n, rank);
    TdlOp o = ir_emit(&b, OP_INDEX, ops, 1 + n, &t, 1);
    op_set_int(s->f, o, "inbounds", 1);
    return ir_result(s->f, o, 0);
}

/* ---- vjp ---- */

/* May o run once, and where there is no seed? Checks may. */
static bool quiet(const TdlFunc *f, TdlOp o) {
    const TdlOpData *d = ir_op(f, o);
    if (ir_op_is_pure(f, o) || d->code == OP_ASSERT) return true;
    if (d->code != OP_FOR && d->code != OP_IF && d->code != OP_MAP && d->code != OP_REDUCE) return false;
    for (uint32_t i = 0; i < d->nregions; i++)
        IR_FOREACH_OP(f, d->regions[i], in)
            if (!(op_info(ir_op(f, in)->code)->flags & OPF_TERMINATOR) && !quiet(f, in)) return false;
    return true;
}

void adj_seeds_hoist(AdjSeeds *s, TdlOp first) {
    TDL_VEC(TdlSym) sizes = {0}; /* that are found in the loop */
    for (TdlOp o = first; o.id && o.id != s->at.id;) {
        TdlOp next = ir_op(s->f, o)->next;
        TdlVals r = reads(s, o);
        bool in = !moves(s, o) || !quiet(s->f, o);
        for (uint32_t i = 0; i < r.n && !in; i++) in = ir_defined_in(s->f, r.p[i], body(s));
        for (uint32_t i = 0; i < sizes.n && !in; i++) in = ir_mentions(s->f, o, sizes.p[i]);
        if (!in) ir_move_before(s->f, o, s->loop);
        else if (ir_op(s->f, o)->code == OP_NEWDIM) VEC_PUSH(s->arena, sizes, intern(s->m->names, op_str(s->f, o, "sym")));
        o = next;
    }
}
