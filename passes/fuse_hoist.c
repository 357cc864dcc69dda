/* fuse: what does not change leaves the loop.
 *
 * An operation in the body of a map, reduce, for or while moves in front of it when it is pure, cannot fail and uses
 * only what is defined outside: a body may run zero times, so nothing that could end the program may run earlier than
 * it would. An index therefore moves when it is in range by what is known of its operands (fuse_in_range), whatever
 * its `inbounds` says: that holds where it stands. Whole nests move too: their buffer, if they get one, is no larger
 * outside. From a `withacc`, whose body runs once, whatever is pure moves out.
 * Factors that are finite constants, and signs, leave sums: sum(-0.5*e) = -0.5*sum(e), one rounding instead of many
 * (not with strict_fp). Variable factors stay: an infinite or NaN one times an empty sum would make a NaN.
 * Cost: an operation is looked at once for each loop around it. */
#include "passes/fuse.h"

#include <math.h>
#include <string.h>

/* ---- what may run early ---- */

static bool nonzero_const(const TdlFunc *f, TdlVal v) {
    TdlDim d;
    int64_t k;
    return ir_val_dim(f, v, &d) && dim_is_const(f->module, d, &k) && k != 0;
}

static bool positive_extents(const TdlFunc *f, const TdlOpData *d) {
    for (uint16_t i = 0; i < d->noperands; i++) {
        TdlDim e;
        if (!ir_val_dim(f, d->operands[i], &e) || !dim_known_ge(f->module, e, dim_const(f->module, 1))) return false;
    }
    return true;
}

/* True when running this operation (not what is nested in it) could end the program. */
static bool may_fail(const FuseCtx *c, TdlOp o) {
    const TdlFunc *f = c->f;
    const TdlOpData *d = ir_op(f, o);
    bool ints = d->nresults && ty_kind(c->m, ir_type(f, d->results[0])) == TY_TENSOR &&
                !el_is_float(ty_elem(c->m, ir_type(f, d->results[0])));
    switch (d->code) {
    case OP_INDEX: case OP_UPDATE: case OP_ACCADD: return !fuse_checked(c, o, false);
    case OP_FLOORDIV: case OP_MOD: return ints && !nonzero_const(f, d->operands[1]);
    case OP_POW: return ints;
    case OP_REDUCE: {
        const char *kind = op_str(f, o, "kind");
        bool total = kind && (!strcmp(kind, "sum") || !strcmp(kind, "prod") || !strcmp(kind, "any") || !strcmp(kind, "all"));
        return !total && !op_int(f, o, "empty", 0) && (op_int(f, o, "filter", 0) || !positive_extents(f, d));
    }
    case OP_NEWDIM: case OP_CALL: case OP_STACKNEW: case OP_PUSH: case OP_POP: case OP_WHILE: return true;
    default: return false;
    }
}

bool fuse_may_fail(const FuseCtx *c, TdlOp o) {
    if (may_fail(c, o)) return true;
    const TdlOpData *d = ir_op(c->f, o);
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(c->f, d->regions[i])->first; p.id; p = ir_op(c->f, p)->next)
            if (fuse_may_fail(c, p)) return true;
    return false;
}

/* ---- what is the same in every iteration ---- */

/* A dimension that a `newdim` somewhere defines: stays behind it. */
static bool mentions_newdim(const TdlFunc *f, TdlOp o) {
    const TdlOpData *d = ir_op(f, o);
    if (!ir_op_at_entry(f, o)) return true;
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(f, d->regions[i])->first; p.id; p = ir_op(f, p)->next)
            if (mentions_newdim(f, p)) return true;
    return false;
}

/* Every operand of o and of what is in it is defined outside `loop` or inside `root`. */
static bool invariant(const TdlFunc *f, TdlOp o, TdlOp root, TdlOp loop) {
    const TdlOpData *d = ir_op(f, o);
    for (uint16_t i = 0; i < d->noperands; i++) {
        for (TdlRegion r = ir_region_of(f, d->operands[i]); r.id;) {
            TdlOp p = ir_region(f, r)->parent;
            if (p.id == root.id) break;
            if (p.id == loop.id) return false;
            r = p.id ? ir_op(f, p)->parent : (TdlRegion){0};
        }
    }
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(f, d->regions[i])->first; p.id; p = ir_op(f, p)->next)
            if (!invariant(f, p, root, loop)) return false;
    return true;
}

/* An accumulator or a stack is tied to its place. */
static bool movable_values(const FuseCtx *c, TdlOp o) {
    const TdlOpData *d = ir_op(c->f, o);
    for (uint16_t i = 0; i < d->nresults; i++)
        if (ty_kind(c->m, ir_type(c->f, d->results[i])) != TY_TENSOR) return false;
    return true;
}

static void hoist_from(FuseCtx *c, TdlOp loop) {
    TdlFunc *f = c->f;
    bool once = ir_op(f, loop)->code == OP_WITHACC;
    for (uint16_t i = 0; i < ir_op(f, loop)->nregions; i++) {
        IR_FOREACH_OP(f, ir_op(f, loop)->regions[i], o) {
            uint16_t flags = op_info(ir_op(f, o)->code)->flags;
            if ((flags & OPF_TERMINATOR) || !movable_values(c, o) || !ir_op_is_pure(f, o)) continue;
            if (!invariant(f, o, o, loop) || mentions_newdim(f, o) || (!once && fuse_may_fail(c, o))) continue;
            ir_move_before(f, o, loop);
            c->changed = true;
        }
    }
}

/* ---- constant factors of sums ---- */

static bool finite_const(const TdlFunc *f, TdlVal v) {
    TdlOp o = ir_val(f, v)->def;
    if (!o.id || ir_op(f, o)->code != OP_CONST) return false;
    const TdlAttr *a = op_attr(f, o, "value");
    return a && a->kind == ATTR_FLOAT && isfinite(a->f) && a->f != 0.0;
}

/* reduce sum {yield k*e} => k * reduce sum {yield e}; likewise e/k and -e. */
static void factor_out(FuseCtx *c, TdlOp red) {
    TdlFunc *f = c->f;
    TdlVal sum = ir_result(f, red, 0);
    if (!ty_is_scalar(c->m, ir_type(f, sum)) || !ty_is_float(c->m, ir_type(f, sum))) return;
    TdlOp y = ir_terminator(f, fuse_body(f, red));
    TdlOp o = ir_val(f, ir_op(f, y)->operands[0])->def;
    if (!o.id || ir_op(f, o)->parent.id != fuse_body(f, red).id) return;
    TdlOpData d = *ir_op(f, o);
    uint16_t k = d.code == OP_MUL && finite_const(f, d.operands[0]) ? 0 : 1;
    bool scaled = (d.code == OP_MUL || d.code == OP_DIV) && finite_const(f, d.operands[k]);
    if (!scaled && d.code != OP_NEG) return;
    if (scaled && ir_op(f, ir_val(f, d.operands[k])->def)->parent.id == fuse_body(f, red).id) return;
    TdlBuilder b = ir_after(f, red);
    b.span = d.span, b.grad_fn = d.grad_fn;
    TdlOp outer = ir_emit(&b, d.code, d.operands, d.noperands, (TdlType[]){ir_type(f, sum)}, 1);
    fuse_replace(c, sum, ir_result(f, outer, 0));
    for (uint16_t i = 0; i < d.noperands; i++) {
        if (scaled && i == k) continue;
        ir_op(f, outer)->operands[i] = sum;
        ir_op(f, y)->operands[0] = d.operands[i];
    }
    c->changed = true; /* a factor of what is left: in the next round, when the table knows this operation */
}

/* ---- driver ---- */

static void hoist_region(FuseCtx *c, TdlRegion r) {
    IR_FOREACH_OP(c->f, r, o) {
        TdlOpcode code = ir_op(c->f, o)->code;
        for (uint16_t i = 0; i < ir_op(c->f, o)->nregions; i++) hoist_region(c, ir_op(c->f, o)->regions[i]);
        if (fuse_is_loop(code) || code == OP_WITHACC) hoist_from(c, o);
        if (fuse_is_sum(c->f, o) && !c->opt->strict_fp) factor_out(c, o);
    }
}

bool fuse_hoist(FuseCtx *c) {
    hoist_region(c, c->f->body);
    return c->changed;
}
