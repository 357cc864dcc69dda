/* fuse: what is the same in all rows of a nest is computed once.
 *
 *     %1 = map %n, %2 {(%i, %r)                      %1 = map %n {(%i)
 *       ... %3 ...            (of %i alone)            ... %3 ...
 *       %4 = mul %3, ... %r ...                 =>     %5 = map %2 {(%r)
 *       yield %4 }                                       %4 = mul %3, ... %r ...
 *                                                        yield %4 }
 *                                                      yield %5 }
 *
 * So the rows of a Jacobian, each a reverse sweep with another seed, share the primal.
 * When: the last extent is a constant, from 2 to MOST_ROWS; what does not depend on its index is SHARED operations at least.
 * Never: where the body has effects or adds to accumulators outside. What may fail moves only where nothing that may fail
 * stays behind in front of it, as then it fails first in any case: there is a row.
 * Values: as before.
 * Cost: the operations of a body are looked at once a round. */
#include "passes/fuse.h"

enum {
    MOST_ROWS = 32,
    SHARED = 24     /* a nest of two loops is one more to be taken by vectors: not for an index or two */
};

typedef struct {
    FuseCtx *c;
    TdlFunc *f;
    TdlOp map;
    TdlRegion body;
    bool *varies, *stays;    /* by value, by operation of the body: depends on the last index */
    bool fails;              /* something that may fail stays */
    uint32_t shared;
} Rows;

static bool adds_outside(const Rows *w, TdlOp o) {
    const TdlOpData *d = ir_op(w->f, o);
    if (d->code == OP_ACCADD && !ir_defined_in(w->f, d->operands[0], w->body)) return true;
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(w->f, d->regions[i])->first; p.id; p = ir_op(w->f, p)->next)
            if (adds_outside(w, p)) return true;
    return false;
}

static bool may_split(const Rows *w) {
    const TdlOpData *d = ir_op(w->f, w->map);
    int64_t rows = 0;
    TdlDim e = d->code == OP_MAP && d->noperands > 1 ? fuse_extent(w->f, d->operands[d->noperands - 1]) : (TdlDim){0};
    if (!e.id || !dim_is_const(w->c->m, e, &rows) || rows < 2 || rows > MOST_ROWS) return false;
    return !fuse_has_effect(w->f, w->map) && !adds_outside(w, w->map);
}

/* Some operand of o, or of what is in it, differs between rows. */
static bool depends(const Rows *w, TdlOp o) {
    const TdlOpData *d = ir_op(w->f, o);
    for (uint16_t i = 0; i < d->noperands; i++)
        if (w->varies[d->operands[i].id]) return true;
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(w->f, d->regions[i])->first; p.id; p = ir_op(w->f, p)->next)
            if (depends(w, p)) return true;
    return false;
}

static bool movable(const Rows *w, TdlOp o) {
    const TdlOpData *d = ir_op(w->f, o);
    for (uint16_t i = 0; i < d->nresults; i++)
        if (ty_kind(w->c->m, ir_type(w->f, d->results[i])) != TY_TENSOR) return false;
    return d->code != OP_NEWDIM && !(op_info(d->code)->flags & OPF_TERMINATOR) && ir_op_is_pure(w->f, o);
}

static void count(void *user, TdlFunc *f, TdlOp o) {
    TdlOpcode code = ir_op(f, o)->code;
    ++*(uint32_t *)user;
    if (code == OP_CONST || code == OP_YIELD || code == OP_UNDEF) --*(uint32_t *)user;
}

static void sort_out(Rows *w) {
    w->varies[VEC_LAST(ir_region(w->f, w->body)->args).id] = true;
    IR_FOREACH_OP(w->f, w->body, o) {
        bool fails = fuse_may_fail(w->c, o), stays = depends(w, o) || !movable(w, o) || (fails && w->fails);
        w->stays[o.id] = stays;
        if (!stays) {
            ++w->shared;
            for (uint16_t i = 0; i < ir_op(w->f, o)->nregions; i++) ir_walk(w->f, ir_op(w->f, o)->regions[i], count, &w->shared);
            continue;
        }
        w->fails |= fails;
        for (uint16_t i = 0; i < ir_op(w->f, o)->nresults; i++) w->varies[ir_op(w->f, o)->results[i].id] = true;
    }
}

static void split(Rows *w) {
    TdlFunc *f = w->f;
    TdlOpData d = *ir_op(f, w->map);
    uint32_t n = d.noperands - 1u;
    TdlType *types = ARENA_ARRAY(w->c->scratch, TdlType, d.nresults + 1u);
    bool *keep = ARENA_ARRAY(w->c->scratch, bool, n + 1);
    for (uint32_t i = 0; i < d.nresults; i++) types[i] = ty_drop(w->c->m, ir_type(f, d.results[i]), n);
    for (uint32_t i = 0; i < n; i++) keep[i] = true;
    TdlBuilder b = ir_at_end(f, w->body, d.span);
    TdlOp inner = ir_emit(&b, OP_MAP, &d.operands[n], 1, types, d.nresults);
    TdlRegion rows = fuse_body(f, inner);
    TdlVal index = ir_region(f, w->body)->args.p[n];
    valmap_set(&w->c->vmap, index, ir_region_arg(f, rows, ir_type(f, index), ir_val(f, index)->name));
    IR_FOREACH_OP(f, w->body, o)
        if (o.id != inner.id && w->stays[o.id]) ir_move_to_end(f, o, rows);
    fuse_remap(w->c, inner);
    ir_keep_args(f, w->body, keep);
    fuse_yield(&b, ir_op(f, inner)->results, d.nresults);
    ir_set_operands(f, w->map, d.operands, n);
    w->c->changed = true;
}

static void rows_of(FuseCtx *c, TdlOp map) {
    Rows w = {.c = c, .f = c->f, .map = map, .body = fuse_body(c->f, map)};
    uint32_t most = 0;
    if (!may_split(&w)) return;
    ir_walk(c->f, w.body, count, &most);
    if (most < SHARED) return;
    w.varies = ARENA_ARRAY(c->scratch, bool, c->f->vals.n);
    w.stays = ARENA_ARRAY(c->scratch, bool, c->f->ops.n);
    sort_out(&w);
    if (w.shared >= SHARED) split(&w);
}

static void rows_region(FuseCtx *c, TdlRegion r) {
    IR_FOREACH_OP(c->f, r, o) {
        for (uint16_t i = 0; i < ir_op(c->f, o)->nregions; i++) rows_region(c, ir_op(c->f, o)->regions[i]);
        if (ir_op(c->f, o)->code == OP_MAP) rows_of(c, o);
    }
}

bool fuse_rows(FuseCtx *c) {
    rows_region(c, c->f->body);
    return c->changed;
}
