/* fuse: producers into consumers. `index` of a map's result becomes the map's body at those indices.
 *
 *     %2 = map %1 {(%3) ...; yield exp(x[%3])}            %5 = map %1 {(%6)
 *     %5 = map %1 {(%6) %7 = index %2, %6; ...}     =>      ...exp(x[%6])...}
 *
 * With fewer indices than extents the row that is asked for becomes a smaller map in place.
 * Cost: one visit a map; clones go where an index was, and a body that is not trivial is cloned at most MAX_COPIES
 * times. When it is done (see fuse_slice for the weights):
 *   always            the body reads at most one element and computes nothing on floats: a view or a constant;
 *   every element of the result is used at most once by each of few uses (the indices contain every loop index between
 *   the producer and the use), and
 *     - there is one use: whatever the body does, it is not done more often than before (but a row's sum does not move
 *       into an elementwise loop with elementary functions, which LLVM vectorises: fuse_merge.c says more);
 *     - the body is light (MAX_LOADS, MAX_FLOPS): doing it again is cheaper than a pass through memory;
 *     - some use is at a shifted index, where the loops cannot become one, and all the copies but one are no more than
 *       STENCIL: a pass through memory, a store and a load, takes as long as that even in the second-level cache. Uses at
 *       the own index count as one, integers and branches nothing (they are about the ends), loads of one tensor at several
 *       places like arithmetic.
 * A body of more than MAX_PULLED operations is left to fuse_merge, which copies nothing, where the use is at the loops' own
 * indices: of a chain of many maps each would be copied once for each that follows.
 * Never when the index might be out of range (the error would be lost), nor when a tensor that the body reads may be
 * overwritten in place in between (it would have to be copied). */
#include "passes/fuse.h"

enum { MAX_LOADS = 4, MAX_FLOPS = 8, MAX_COPIES = 4, STENCIL = 24 /* flops an element */, MAX_PULLED = 64 /* operations of a body */ };

/* idx is loop index `arg`, or that plus or minus something that no loop changes: distinct for distinct arg. */
static bool steps_with(const TdlFunc *f, TdlVal idx, TdlVal arg) {
    TdlDim d;
    while (idx.id != arg.id) {
        TdlOp o = ir_val(f, idx)->def;
        if (!o.id || (ir_op(f, o)->code != OP_ADD && ir_op(f, o)->code != OP_SUB)) return false;
        const TdlVal *x = ir_op(f, o)->operands;
        if (ir_val_dim(f, x[1], &d)) idx = x[0];
        else if (ir_val_dim(f, x[0], &d)) idx = x[1];
        else return false;
    }
    return true;
}

/* True when the index operation reads each element of the producer's result at most once a visit of the producer. */
static bool covered(const FuseCtx *c, TdlOp use, TdlRegion producer, uint32_t nextents) {
    const TdlFunc *f = c->f;
    const TdlOpData *d = ir_op(f, use);
    uint32_t nidx = d->noperands - 1u < nextents ? d->noperands - 1u : nextents;
    for (TdlRegion r = d->parent; r.id != producer.id; r = ir_op(f, ir_region(f, r)->parent)->parent) {
        TdlOp loop = ir_region(f, r)->parent;
        if (!loop.id) return false;
        TdlOpcode code = ir_op(f, loop)->code;
        if (code == OP_WHILE) return false;
        uint32_t nargs = !fuse_is_loop(code) ? 0 : code == OP_FOR ? 1 : ir_region(f, r)->args.n;
        for (uint32_t a = 0; a < nargs; a++) {
            bool found = false;
            for (uint32_t k = 0; k < nidx && !found; k++)
                found = steps_with(f, d->operands[1 + k], ir_region(f, r)->args.p[a]);
            if (!found) return false;
        }
    }
    return true;
}

typedef struct { uint32_t nuses, shifted; bool other, covered; } Uses;

/* Some index is computed: in a stencil, a loop's plus a constant. */
static bool is_shifted(const TdlFunc *f, TdlOp use) {
    for (uint32_t i = 1; i < ir_op(f, use)->noperands; i++) {
        TdlOp o = ir_val(f, ir_op(f, use)->operands[i])->def;
        if (o.id && (ir_op(f, o)->code == OP_ADD || ir_op(f, o)->code == OP_SUB)) return true;
    }
    return false;
}

static Uses look_at_uses(const FuseCtx *c, TdlOp map, TdlVal r) {
    const TdlFunc *f = c->f;
    Uses u = {.covered = true};
    for (FuseIter it = fuse_uses(c, r); fuse_next(&it);) {
        bool index = ir_op(f, it.u.op)->code == OP_INDEX && it.u.operand == 0 && fuse_checked(c, it.u.op, true);
        u.nuses++;
        u.shifted += index && is_shifted(f, it.u.op);
        if (!index || fuse_revives(c, map, it.u.op)) u.other = true;
        else if (!covered(c, it.u.op, ir_op(f, map)->parent, ir_op(f, map)->noperands)) u.covered = false;
    }
    return u;
}

/* Loops in loops of the region. */
static uint32_t depth_of(const TdlFunc *f, TdlRegion r) {
    uint32_t most = 0;
    IR_FOREACH_OP(f, r, o) {
        const TdlOpData *d = ir_op(f, o);
        for (uint16_t i = 0; i < d->nregions; i++) {
            uint32_t n = depth_of(f, d->regions[i]) + fuse_is_loop(d->code);
            if (n > most) most = n;
        }
    }
    return most;
}

/* The body is that of a loop without others in it that computes elementary functions: LLVM vectorises it as it is. */
static bool streams(const TdlFunc *f, TdlRegion r) {
    TdlOp loop = ir_region(f, r)->parent;
    if (!loop.id || !fuse_is_loop(ir_op(f, loop)->code) || depth_of(f, r)) return false;
    IR_FOREACH_OP(f, r, o)
        if (op_info(ir_op(f, o)->code)->flags & OPF_FUNCTION) return true;
    return false;
}

static bool into_stream(const FuseCtx *c, TdlOp map, TdlVal r) {
    FuseIter it = fuse_uses(c, r);
    return fuse_next(&it) && depth_of(c->f, fuse_body(c->f, map)) == 1 && streams(c->f, ir_op(c->f, it.u.op)->parent);
}

/* Pure, but for what it adds to accumulators of the outside: no slice that is light has an addition or a call in it. */
static bool only_adds(const FuseCtx *c, TdlOp map) { return ir_op_is_pure(c->f, map) || !fuse_has_effect(c->f, map); }

static bool worth_it(FuseCtx *c, TdlOp map, TdlVal r, TdlVal yielded) {
    Uses u = look_at_uses(c, map, r);
    if (!u.nuses) return false;
    FuseCost k = fuse_slice(c, fuse_body(c->f, map), yielded);
    if (!k.heavy && k.loads <= 1 && k.flops == 0) return true;
    if (u.other || !u.covered || (!u.shifted && k.ops > MAX_PULLED)) return false;
    bool alone = ir_op_is_pure(c->f, map); /* another result that is used, or what it adds, keeps the body where it is */
    for (uint16_t i = 0; i < ir_op(c->f, map)->nresults; i++)
        if (ir_op(c->f, map)->results[i].id != r.id && fuse_nuses(c, ir_op(c->f, map)->results[i])) alone = false;
    if (u.nuses == 1 && alone) return !into_stream(c, map, r);
    if (!k.heavy && k.loads <= MAX_LOADS && k.flops <= MAX_FLOPS && u.nuses <= MAX_COPIES) return true;
    uint32_t work = k.flops - k.ints + k.loads - k.tensors, copies = u.shifted + (u.nuses > u.shifted) - alone;
    return !k.heavy && u.shifted && k.tensors <= MAX_LOADS && u.nuses <= MAX_COPIES && copies * work <= STENCIL;
}

/* The slice for `yielded` (marked by fuse_slice) at the index operation, whose value it returns. */
static TdlVal inline_at(FuseCtx *c, TdlOp map, TdlVal yielded, TdlOp use) {
    TdlFunc *f = c->f;
    TdlRegion body = fuse_body(f, map);
    TdlOpData u = *ir_op(f, use), p = *ir_op(f, map);
    uint32_t nidx = u.noperands - 1u, n = p.noperands, given = nidx < n ? nidx : n;
    TdlBuilder b = ir_before(f, use), in = b;
    TdlOp rest = {0};
    if (given < n) { /* a row: a map over the extents without an index */
        TdlType t = ir_type(f, u.results[0]);
        rest = ir_emit(&b, OP_MAP, p.operands + given, n - given, &t, 1);
        in = ir_at_end(f, fuse_body(f, rest), u.span);
    }
    for (uint32_t i = 0; i < n; i++) {
        TdlVal arg = ir_region(f, body)->args.p[i];
        TdlVal to = i < given ? u.operands[1 + i]
                              : ir_region_arg(f, in.region, ty_scalar(c->m, EL_I64), ir_val(f, arg)->name);
        valmap_set(&c->vmap, arg, to);
    }
    TdlVal v = fuse_clone_slice(c, &in, body, yielded);
    if (rest.id) {
        fuse_yield(&in, &v, 1);
        return ir_result(f, rest, 0);
    }
    if (nidx > n) {
        v = ir_index(&b, v, u.operands + 1 + n, nidx - n);
        op_set_int(f, ir_val(f, v)->def, "inbounds", 1); /* look_at_uses made sure */
    }
    return v;
}

static void pull_result(FuseCtx *c, TdlOp map, uint16_t i) {
    TdlFunc *f = c->f;
    TdlVal r = ir_result(f, map, i);
    TdlVal yielded = ir_op(f, ir_terminator(f, fuse_body(f, map)))->operands[i];
    if (!worth_it(c, map, r, yielded)) return;
    for (FuseIter it = fuse_uses(c, r); fuse_next(&it);) {
        TdlOp use = it.u.op;
        if (ir_op(f, use)->code != OP_INDEX || it.u.operand != 0 || !fuse_checked(c, use, true)) continue;
        if (fuse_revives(c, map, use)) continue;
        fuse_slice(c, fuse_body(f, map), yielded);
        TdlVal v = inline_at(c, map, yielded, use);
        fuse_replace(c, ir_result(f, use, 0), v);
        ir_remove(f, use);
        c->changed = true;
    }
}

/* Inner operations before outer ones and producers before consumers, so that what is cloned is already fused. */
static void pull_region(FuseCtx *c, TdlRegion r) {
    IR_FOREACH_OP(c->f, r, o) {
        if (o.id >= c->nops) continue; /* made in this walk */
        for (uint16_t i = 0; i < ir_op(c->f, o)->nregions; i++) pull_region(c, ir_op(c->f, o)->regions[i]);
        if (ir_op(c->f, o)->code != OP_MAP || !only_adds(c, o)) continue;
        uint32_t left = 0;
        for (uint16_t i = 0; i < ir_op(c->f, o)->nresults; i++) {
            pull_result(c, o, i);
            left += fuse_nuses(c, ir_op(c->f, o)->results[i]);
        }
        if (!left && ir_op_is_pure(c->f, o)) ir_remove(c->f, o);
    }
}

bool fuse_pull(FuseCtx *c) {
    pull_region(c, c->f->body);
    return c->changed;
}
