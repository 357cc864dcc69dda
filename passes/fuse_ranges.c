/* fuse: what the ranges of loops and the conditions around an operation decide.
 *
 *     map %n {(%i)                                   map %n {(%i)
 *       %1 = ge %i, 0                                  %1 = const true
 *       if %2 = gt %i, 0 {                      =>     if %2 = gt %i, 0 {
 *         %3 = sub %i, 1                                 %3 = sub %i, 1
 *         %4 = index %x, %3                              %4 = index %x, %3 {inbounds = 1}
 *
 * An `index`, `update` or `accadd` that is in range by proof says so, which is what the other rewrites ask; a comparison
 * of integers whose outcome is certain is that. The proofs are those of pass `checks` (checks_range.c), which comes later.
 * `inbounds` holds where the operation stands: none moves it to where the condition is not known (fuse_hoist.c).
 * Cost: for each that is not decided and made of loop indices, a few polynomials for each loop around it. */
#include "passes/checks.h"
#include "passes/fuse.h"

/* v is made of loop indices and dimensions by sums, perhaps behind a branch: of data nothing is known. */
static bool from_indices(const FuseCtx *c, TdlVal v, int depth) {
    const TdlFunc *f = c->f;
    TdlOp o = ir_val(f, v)->def;
    if (!o.id) {
        TdlOp loop = ir_region(f, ir_val(f, v)->region)->parent;
        TdlOpcode code = loop.id ? ir_op(f, loop)->code : OP_NONE;
        return code == OP_MAP || code == OP_REDUCE || (code == OP_FOR && ir_val(f, v)->index == 0);
    }
    const TdlOpData *d = ir_op(f, o);
    if (d->code == OP_CONST || d->code == OP_DIM) return true;
    if (!depth) return false;
    if (d->code == OP_ADD || d->code == OP_SUB) return from_indices(c, d->operands[0], depth - 1) && from_indices(c, d->operands[1], depth - 1);
    if (d->code != OP_IF) return false;
    uint32_t i = ir_val(f, v)->index;
    for (uint16_t k = 0; k < 2; k++) {
        TdlVal y = ir_op(f, ir_terminator(f, d->regions[k]))->operands[i];
        TdlOp def = ir_val(f, y)->def;
        if (!(def.id && ir_op(f, def)->code == OP_UNDEF) && !from_indices(c, y, depth - 1)) return false;
    }
    return true;
}

static void look_at_access(FuseCtx *c, Checks *k, TdlOp o) {
    const TdlOpData *d = ir_op(c->f, o);
    uint16_t first = d->code == OP_INDEX ? 1 : 2;
    if (d->noperands == first || op_int(c->f, o, "inbounds", 0)) return;
    TdlType t = ty_tensor_of(c->m, ir_type(c->f, d->operands[0]));
    k->at = o;
    for (uint16_t i = first; i < d->noperands; i++)
        if (!from_indices(c, d->operands[i], 4)) return;
    for (uint16_t i = first; i < d->noperands; i++)
        if (!chk_in_range(k, o, ir_op(c->f, o)->operands[i], ty_dims(c->m, t)[i - first])) return;
    op_set_int(c->f, o, "inbounds", 1); /* no change that makes others simpler */
}

/* The outcome of comparison o: 1, 0, or -1 where it is not certain. */
static int outcome(FuseCtx *c, Checks *k, TdlOp o) {
    TdlModule *m = c->m;
    TdlOpcode code = ir_op(c->f, o)->code;
    k->at = o;
    TdlDim x = chk_expr(k, ir_op(c->f, o)->operands[0]), y = chk_expr(k, ir_op(c->f, o)->operands[1]), one = dim_const(m, 1);
    TdlDim up = dim_sub(m, y, x), down = dim_sub(m, x, y);
    bool less = chk_nonneg(k, o, dim_sub(m, up, one)), more = chk_nonneg(k, o, dim_sub(m, down, one));
    switch ((int)code) {
    case OP_LT: return less ? 1 : more || chk_nonneg(k, o, down) ? 0 : -1;
    case OP_GT: return more ? 1 : less || chk_nonneg(k, o, up) ? 0 : -1;
    case OP_LE: return more ? 0 : less || chk_nonneg(k, o, up) ? 1 : -1;
    case OP_GE: return less ? 0 : more || chk_nonneg(k, o, down) ? 1 : -1;
    case OP_EQ: return less || more ? 0 : -1;
    default: return less || more ? 1 : -1;
    }
}

static bool compares_integers(const FuseCtx *c, const TdlOpData *d) {
    if (d->code != OP_LT && d->code != OP_GT && d->code != OP_LE && d->code != OP_GE && d->code != OP_EQ && d->code != OP_NE) return false;
    TdlType t = ir_type(c->f, d->operands[0]);
    return ty_is_scalar(c->m, t) && ty_elem(c->m, t) == EL_I64 && from_indices(c, d->operands[0], 4) && from_indices(c, d->operands[1], 4);
}

static void look_at_comparison(FuseCtx *c, Checks *k, TdlOp o) {
    int known = outcome(c, k, o);
    if (known < 0) return;
    TdlBuilder b = ir_before(c->f, o);
    fuse_replace(c, ir_result(c->f, o, 0), ir_const_int(&b, EL_BOOL, known));
    ir_remove(c->f, o);
    c->changed = true;
}

static void look_at_region(FuseCtx *c, Checks *k, TdlRegion r) {
    TdlOp loop = ir_region(c->f, r)->parent;
    IR_FOREACH_OP(c->f, r, o) {
        TdlOpcode code = ir_op(c->f, o)->code;
        if (code == OP_NEWDIM) {
            VEC_PUSH(k->a, k->dim_syms, intern(c->m->names, op_str(c->f, o, "sym")));
            VEC_PUSH(k->a, k->dim_ops, o);
        }
        if (code == OP_INDEX || code == OP_UPDATE || code == OP_ACCADD) look_at_access(c, k, o);
        if (loop.id && compares_integers(c, ir_op(c->f, o))) look_at_comparison(c, k, o);
        else
            for (uint16_t i = 0; i < ir_op(c->f, o)->nregions; i++) look_at_region(c, k, ir_op(c->f, o)->regions[i]);
    }
}

bool fuse_ranges(FuseCtx *c) {
    Checks k = {.m = c->m, .f = c->f, .a = c->scratch, .nops = c->nops};
    k.unproved = ARENA_ARRAY(c->scratch, bool, c->nops);
    look_at_region(c, &k, c->f->body);
    return c->changed;
}
