/* Loads whose lanes are apart are done once.
 *
 * What: `load %x, %i, %j` with the lanes along i takes an instruction a lane. In a loop (c) that it does not depend on it
 * would be done again in every iteration. Of an input, where that loop is around the vector loop, a copy with i as the last
 * axis is made in front of it (its rows 8 elements longer, so that those of a power of two do not fall into the same lines of
 * the cache); where it is inside, the elements are loaded into a buffer of the iteration in front of it.
 *
 *   for %z, %k {(%c)                          for %z, %n {(%i) for %z, %d {(%j) %t[%j, %i] = %x[%i, %j] } }
 *     for %z, %n {(%i)                        for %z, %k {(%c)
 *       for %z, %d {(%j)               =>       for %z, %n {(%i)
 *         load %x, %i, %j                         for %z, %d {(%j)
 *     } } {vector = ...}                            load %t, %j, %i
 *
 *   for %z, %n {(%i)                          for %z, %n {(%i)
 *     for %z, %k {(%c)                          for %z, %d {(%j) %t[%j] = %x[%i, %j] }
 *       for %z, %d {(%j)               =>       for %z, %k {(%c)
 *         load %x, %i, %j                         for %z, %d {(%j)
 *   } } } {vector = ...}                            load %t, %j
 *
 * Cost: the copy; for the first form, memory of the input's size. */
#include "passes/vector.h"

enum { MOST_AXES = 16, LOCAL_ELEMENTS = 32, PAD = 8 };

/* A copy being planned: for each axis of the source the index that is given, or none, and then a loop goes over it. */
typedef struct {
    TdlVal source, copy, given[MOST_AXES];
    uint32_t rank, order[MOST_AXES], norder; /* the source's axis of each axis of the copy */
} Copy;

static uint32_t rank_of(const Vec *v, TdlVal buf) { return ty_rank(v->m, ir_type(v->f, buf)); }

static TdlDim extent(const Vec *v, TdlVal buf, uint32_t axis) { return ty_dims(v->m, ir_type(v->f, buf))[axis]; }

/* The axis along which the lanes of a load lie apart; false: they do not, or in no simple way. */
static bool lanes_apart(const Vec *v, TdlOp load, uint32_t *axis) {
    const TdlOpData *d = ir_op(v->f, load);
    uint32_t n = 0;
    if (v->varying[d->operands[0].id] || d->noperands > MOST_AXES) return false;
    for (uint32_t i = 1; i < d->noperands; i++) {
        if (!v->varying[d->operands[i].id]) continue;
        if (d->operands[i].id != v->index.id) return false;
        *axis = i - 1;
        n++;
    }
    return n == 1 && *axis + 2u < d->noperands;
}

static bool is_input(const Vec *v, TdlVal buf) {
    const TdlValData *d = ir_val(v->f, buf);
    return !d->def.id && d->region.id == v->f->body.id && d->index < v->f->params.n && !v->f->params.p[d->index].out;
}

/* The loop whose index x is. */
static TdlOp loop_of(const Vec *v, TdlVal x) {
    const TdlValData *d = ir_val(v->f, x);
    TdlOp none = {0}, loop = d->region.id ? ir_region(v->f, d->region)->parent : none;
    return loop.id && !d->index && ir_op(v->f, loop)->code == OP_FOR ? loop : none;
}

/* x is at least 0, by a constant or the larger of it and another value. */
static bool not_negative(const Vec *v, TdlVal x) {
    TdlOp def = ir_val(v->f, x)->def;
    TdlDim d;
    int64_t c;
    if (ir_val_dim(v->f, x, &d) && dim_is_const(v->m, d, &c)) return c >= 0;
    if (!def.id || ir_op(v->f, def)->code != OP_MAX) return false;
    return not_negative(v, ir_op(v->f, def)->operands[0]) || not_negative(v, ir_op(v->f, def)->operands[1]);
}

/* x is the index of a loop within 0 .. n - 1. */
static bool at_most(const Vec *v, TdlVal x, TdlDim n);

static bool stays_in(const Vec *v, TdlVal x, TdlDim n) {
    TdlOp loop = loop_of(v, x);
    return loop.id && not_negative(v, ir_op(v->f, loop)->operands[0]) && at_most(v, ir_op(v->f, loop)->operands[1], n);
}

/* x is at most n: by itself, as the smaller of such a value and another one, as the index of such a loop. */
static bool at_most(const Vec *v, TdlVal x, TdlDim n) {
    TdlOp def = ir_val(v->f, x)->def;
    TdlDim d;
    if (ir_val_dim(v->f, x, &d)) return dim_eq(d, n);
    if (!def.id) return stays_in(v, x, n);
    return ir_op(v->f, def)->code == OP_MIN && (at_most(v, ir_op(v->f, def)->operands[0], n) || at_most(v, ir_op(v->f, def)->operands[1], n));
}

/* ---- making the copy ---- */

static void copy_axes(Vec *v, TdlBuilder *b, Copy *c, TdlVal *at, uint32_t axis) {
    TdlVal list[MOST_AXES + 2], bounds[2];
    if (axis == c->rank) {
        list[0] = c->source;
        for (uint32_t i = 0; i < c->rank; i++) list[1 + i] = at[i];
        TdlType elem = ty_scalar(v->m, ty_elem(v->m, ir_type(v->f, c->source)));
        TdlVal x = ir_result(v->f, ir_emit(b, OP_LOAD, list, 1 + c->rank, &elem, 1), 0);
        list[0] = x;
        list[1] = c->copy;
        for (uint32_t i = 0; i < c->norder; i++) list[2 + i] = at[c->order[i]];
        ir_emit(b, OP_STORE, list, 2 + c->norder, NULL, 0);
        return;
    }
    if (c->given[axis].id) {
        at[axis] = c->given[axis];
        copy_axes(v, b, c, at, axis + 1);
        return;
    }
    bounds[0] = ir_const_int(b, EL_I64, 0);
    bounds[1] = ir_dim(b, extent(v, c->source, axis));
    TdlOp loop = ir_emit(b, OP_FOR, bounds, 2, NULL, 0);
    op_set_int(v->f, loop, "parallel", 1);
    TdlRegion body = ir_op(v->f, loop)->regions[0];
    at[axis] = ir_region_arg(v->f, body, ty_scalar(v->m, EL_I64), (TdlSym){0});
    TdlBuilder in = ir_at_end(v->f, body, b->span);
    copy_axes(v, &in, c, at, axis + 1);
    ir_emit(&in, OP_YIELD, NULL, 0, NULL, 0);
}

/* In front of o; `pad` elements more in the last axis. */
static void make_copy(Vec *v, Copy *c, TdlOp o, int64_t pad) {
    TdlDim dims[MOST_AXES];
    TdlVal at[MOST_AXES];
    int64_t n = 0;
    for (uint32_t i = 0; i < c->norder; i++) dims[i] = extent(v, c->source, c->order[i]);
    dims[c->norder - 1] = dim_add(v->m, dims[c->norder - 1], dim_const(v->m, pad));
    TdlType tensor = ty_tensor(v->m, ty_elem(v->m, ir_type(v->f, c->source)), dims, c->norder), type = ty_buf(v->m, tensor);
    TdlBuilder b = ir_before(v->f, o);
    TdlOp alloc = ir_emit(&b, OP_ALLOC, NULL, 0, &type, 1);
    if (dim_is_const(v->m, ty_numel(v->m, tensor), &n) && n <= LOCAL_ELEMENTS) op_set_int(v->f, alloc, "local", 1);
    else op_set_dim(v->f, alloc, "offset", vec_slot(v, o, tensor, 1));
    c->copy = ir_result(v->f, alloc, 0);
    copy_axes(v, &b, c, at, 0);
}

static void read_copy(Vec *v, TdlOp load, const Copy *c) {
    TdlVal list[MOST_AXES + 1] = {c->copy};
    for (uint32_t i = 0; i < c->norder; i++) list[1 + i] = ir_op(v->f, load)->operands[1 + c->order[i]];
    ir_set_operands(v->f, load, list, 1 + c->norder);
}

/* ---- a loop inside ---- */

/* Whether the load's element is one of c's copy in front of `loop`, which is around it. */
static bool free_of(const Vec *v, TdlOp load, TdlOp loop, Copy *c) {
    const TdlOpData *d = ir_op(v->f, load);
    TdlRegion body = ir_op(v->f, loop)->regions[0];
    *c = (Copy){.source = d->operands[0], .rank = d->noperands - 1u};
    for (uint32_t i = 0; i < c->rank; i++) {
        TdlVal x = d->operands[1 + i];
        if (!stays_in(v, x, extent(v, c->source, i)) || loop_of(v, x).id == loop.id) return false;
        if (ir_defined_in(v->f, x, body)) c->order[c->norder++] = i;
        else c->given[i] = x;
    }
    return c->norder > 0;
}

static bool stage_inside(Vec *v, TdlOp load) {
    TdlOp best = {0};
    Copy copy, c;
    if (!is_input(v, ir_op(v->f, load)->operands[0])) return false;
    for (TdlOp o = ir_region(v->f, ir_op(v->f, load)->parent)->parent; o.id != v->loop.id; o = ir_region(v->f, ir_op(v->f, o)->parent)->parent)
        if (ir_op(v->f, o)->code == OP_FOR && free_of(v, load, o, &c)) best = o, copy = c;
    if (!best.id) return false;
    make_copy(v, &copy, best, 0);
    read_copy(v, load, &copy);
    return true;
}

/* ---- a loop around ---- */

/* One over chunks alone does no access again. */
static TdlOp outermost(const Vec *v) {
    TdlOp best = {0};
    for (TdlOp o = v->loop;;) {
        o = ir_region(v->f, ir_op(v->f, o)->parent)->parent;
        if (!o.id || ir_op(v->f, o)->code != OP_FOR) return best;
        if (best.id || !op_attr(v->f, o, "threads")) best = o;
    }
}

static bool stage_around(Vec *v, TdlOp load, uint32_t axis) {
    TdlVal x = ir_op(v->f, load)->operands[0];
    TdlOp around = outermost(v);
    if (!around.id || !is_input(v, x)) return false;
    Copy c = {.source = x, .rank = rank_of(v, x)};
    for (uint32_t i = 0; i < c.rank; i++)
        if (i != axis) c.order[c.norder++] = i;
    c.order[c.norder++] = axis;
    for (uint32_t i = 0; i < v->copies.n; i++)
        if (v->copies.p[i].source.id == x.id && v->copies.p[i].axis == axis) c.copy = v->copies.p[i].copy;
    if (!c.copy.id) {
        make_copy(v, &c, around, PAD);
        if (ir_op(v->f, around)->parent.id == v->f->body.id) VEC_PUSH(v->a, v->copies, ((VecCopy){x, c.copy, axis}));
    }
    read_copy(v, load, &c);
    return true;
}

static bool stage(Vec *v, TdlRegion r) {
    IR_FOREACH_OP(v->f, r, o) {
        uint32_t axis = 0;
        if (ir_op(v->f, o)->code == OP_LOAD && lanes_apart(v, o, &axis) && (stage_inside(v, o) || stage_around(v, o, axis))) return true;
        for (uint32_t i = 0; i < ir_op(v->f, o)->nregions; i++)
            if (stage(v, ir_op(v->f, o)->regions[i])) return true;
    }
    return false;
}

bool vec_stage(Vec *v) { return stage(v, v->body); }
