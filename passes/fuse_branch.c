/* fuse: branches on one condition. What an `if` computes for a later one on the same condition alone is computed there.
 *
 *     %2 = if %1 {%3 = sub %i, 1   yield %3} {yield undef}            if %1 {
 *     ...                                                     =>        %3 = sub %i, 1
 *     if %1 {accadd %a, %v, %2} {}                                      accadd %a, %v, %3 } {}
 *
 * That is what a reverse sweep makes of a branch: what it computes again, then what it adds.
 * When: the first is pure, and every use of its results is in the second.
 * Never past an assert, print or call, nor where what it reads may have been overwritten in place in between (it would
 * have to be copied).
 * Cost: an `if` is looked at once, with its uses. */
#include "passes/fuse.h"

typedef struct {
    FuseCtx *c;
    uint32_t *effects; /* by operation: effects in front of it in its region */
    bool *more;        /* by value: it has uses that are not in the table */
} Branches;

/* The operation of region r that holds o, or is o; 0: none. */
static TdlOp lift(const TdlFunc *f, TdlOp o, TdlRegion r) {
    while (o.id && ir_op(f, o)->parent.id != r.id) o = ir_region(f, ir_op(f, o)->parent)->parent;
    return o;
}

/* The later `if` on the condition of `first` in which all uses of its results are; 0: there is none. */
static TdlOp only_reader(const Branches *b, TdlOp first) {
    const FuseCtx *c = b->c;
    const TdlFunc *f = c->f;
    const TdlOpData *d = ir_op(f, first);
    TdlOp reader = {0};
    for (uint16_t i = 0; i < d->nresults; i++) {
        if (b->more[d->results[i].id]) return (TdlOp){0};
        for (FuseIter it = fuse_uses(c, d->results[i]); fuse_next(&it);) {
            TdlOp o = lift(f, it.u.op, d->parent);
            if (!o.id || o.id == it.u.op.id || (reader.id && o.id != reader.id)) return (TdlOp){0};
            reader = o;
        }
    }
    if (!reader.id || reader.id >= c->nops || ir_op(f, reader)->code != OP_IF) return (TdlOp){0};
    return ir_op(f, reader)->operands[0].id == d->operands[0].id ? reader : (TdlOp){0};
}

/* Branch k of `first` becomes the beginning of branch k of `second`. */
static void prepend(Branches *b, TdlOp first, TdlOp second, uint16_t k) {
    FuseCtx *c = b->c;
    TdlFunc *f = c->f;
    TdlRegion from = ir_op(f, first)->regions[k], into = ir_op(f, second)->regions[k];
    TdlOp y = ir_terminator(f, from), at = ir_region(f, into)->first;
    for (uint16_t i = 0; i < ir_op(f, first)->nresults; i++) {
        TdlVal v = ir_op(f, y)->operands[i];
        b->more[v.id] = true;
        for (FuseIter it = fuse_uses(c, ir_result(f, first, i)); fuse_next(&it);)
            if (ir_region_encloses(f, into, ir_op(f, it.u.op)->parent)) ir_op(f, it.u.op)->operands[it.u.operand] = v;
    }
    IR_FOREACH_OP(f, from, o) {
        if (o.id != y.id) ir_move_before(f, o, at);
    }
}

static void join_from(Branches *b, TdlOp first) {
    FuseCtx *c = b->c;
    if (!ir_op_is_pure(c->f, first)) return;
    TdlOp second = only_reader(b, first);
    if (!second.id || b->effects[second.id] != b->effects[first.id] || fuse_revives(c, first, second)) return;
    for (uint16_t k = 0; k < 2; k++) prepend(b, first, second, k);
    ir_remove(c->f, first);
    c->changed = true;
}

static void join_region(Branches *b, TdlRegion r) {
    uint32_t effects = 0;
    IR_FOREACH_OP(b->c->f, r, o) {
        if (o.id < b->c->nops) b->effects[o.id] = effects;
        effects += fuse_has_effect(b->c->f, o) || ir_op(b->c->f, o)->code == OP_CALL;
    }
    for (TdlOp o = ir_region(b->c->f, r)->last, before; o.id; o = before) {
        before = ir_op(b->c->f, o)->prev;
        for (uint16_t i = 0; i < ir_op(b->c->f, o)->nregions; i++) join_region(b, ir_op(b->c->f, o)->regions[i]);
        if (ir_op(b->c->f, o)->code == OP_IF) join_from(b, o);
    }
}

bool fuse_branch(FuseCtx *c) {
    Branches b = {c, ARENA_ARRAY(c->scratch, uint32_t, c->nops), ARENA_ARRAY(c->scratch, bool, c->nvals)};
    join_region(&b, c->f->body);
    return c->changed;
}
