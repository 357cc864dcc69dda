/* fuse: what is added to an accumulator behind the map that computes it is added in the map.
 *
 *     %1 = map %n {(%i) ... yield %2 }                map %n {(%i) ...
 *     accadd %a, %1, %k                         =>      accadd %a, %2, %k, %i }
 *
 * A loop less, and a tensor less where nothing else needs %1. The iterations stay independent, as each adds to elements
 * of its own (bufferize_region.c).
 * When: the map's values are scalars, the addition stands in its region, its indices are there in front of the map, and
 * nothing between checks anything, as that may be what keeps them in range.
 * Never: where something in the map, or between the two, adds to what may be the same row: values are added in the same
 * order; nor where what the map makes is in registers anyway.
 * Cost: a walk; for each addition the uses of its accumulator, up to ADDITIONS. */
#include "passes/fuse.h"
#include "passes/loops.h"

enum { ADDITIONS = 256 };

typedef struct { FuseCtx *c; TdlOp map, add; } Add;

static bool keeps_order(const Add *w) {
    const FuseCtx *c = w->c;
    const TdlOpData *d = ir_op(c->f, w->add);
    if (fuse_nuses(c, d->operands[0]) > ADDITIONS) return false;
    for (FuseIter it = fuse_uses(c, d->operands[0]); fuse_next(&it);) {
        TdlOp o = fuse_lift(c->f, it.u.op, d->parent);
        if (!o.id || o.id == w->add.id) continue;
        if (c->pos[o.id] < c->pos[w->map.id] || c->pos[o.id] > c->pos[w->add.id]) continue;
        const TdlOpData *e = ir_op(c->f, it.u.op);
        bool adds = e->code == OP_ACCADD && e->operands[0].id == d->operands[0].id;
        if (!adds || !ir_different_elements(c->f, d->operands + 2, d->noperands - 2u, e->operands + 2, e->noperands - 2u)) return false;
    }
    return true;
}

/* In a loop whose iterations may become lanes, a loop of few iterations becomes copies, and what it makes is in registers:
 * that it is added by copies of its own then costs nothing, and is easier to schedule. */
static bool in_registers(const FuseCtx *c, TdlOp map) {
    const TdlOpData *d = ir_op(c->f, map);
    int64_t n, all = 1;
    for (uint32_t i = 0; i < d->noperands; i++) {
        TdlDim e = fuse_extent(c->f, d->operands[i]);
        if (!e.id || !dim_is_const(c->m, e, &n) || n > LOOP_UNROLLED || (all *= n > 0 ? n : 1) > LOOP_UNROLLED) return false;
    }
    for (TdlOp o = ir_region(c->f, d->parent)->parent; o.id; o = ir_region(c->f, ir_op(c->f, o)->parent)->parent)
        if (ir_op(c->f, o)->code == OP_MAP) return true;
    return false;
}

/* The map of whose result `add` adds each element, when it may do so itself; `checked`: place of the last check. */
static bool may_move(Add *w, uint32_t checked) {
    const FuseCtx *c = w->c;
    const TdlFunc *f = c->f;
    const TdlOpData *d = ir_op(f, w->add);
    w->map = ir_val(f, d->operands[1])->def;
    if (!w->map.id || w->map.id >= c->nops || ir_op(f, w->map)->code != OP_MAP) return false;
    if (ir_op(f, w->map)->parent.id != d->parent.id || !op_int(f, w->add, "inbounds", 0)) return false;
    if (ty_rank(c->m, ir_type(f, d->operands[1])) != ir_op(f, w->map)->noperands) return false;
    if (checked > c->pos[w->map.id] || in_registers(c, w->map)) return false;
    for (uint32_t i = 2; i < d->noperands; i++)
        if (!fuse_dominates(c, d->operands[i], w->map)) return false;
    return keeps_order(w);
}

static void move(Add *w) {
    FuseCtx *c = w->c;
    TdlFunc *f = c->f;
    const TdlOpData *d = ir_op(f, w->add);
    TdlRegion body = fuse_body(f, w->map);
    const TdlVals *args = &ir_region(f, body)->args;
    TdlOp end = ir_terminator(f, body);
    TdlVals v = {0};
    VEC_PUSH(c->scratch, v, d->operands[0]);
    VEC_PUSH(c->scratch, v, ir_op(f, end)->operands[ir_val(f, d->operands[1])->index]);
    for (uint32_t i = 2; i < d->noperands; i++) VEC_PUSH(c->scratch, v, d->operands[i]);
    for (uint32_t i = 0; i < args->n; i++) VEC_PUSH(c->scratch, v, args->p[i]);
    ir_set_operands(f, w->add, v.p, v.n);
    ir_move_before(f, w->add, end);
    c->changed = true;
}

/* Answers whether something in r checks something. */
static bool visit(FuseCtx *c, TdlRegion r) {
    uint32_t checked = 0;
    IR_FOREACH_OP(c->f, r, o) {
        bool checks = ir_op(c->f, o)->code == OP_ASSERT;
        for (uint32_t k = 0; k < ir_op(c->f, o)->nregions; k++) checks |= visit(c, ir_op(c->f, o)->regions[k]);
        if (checks) checked = c->pos[o.id];
        Add w = {.c = c, .add = o};
        if (ir_op(c->f, o)->code == OP_ACCADD && may_move(&w, checked)) move(&w);
    }
    return checked != 0;
}

bool fuse_add(FuseCtx *c) {
    visit(c, c->f->body);
    return c->changed;
}
