/* fuse: an accumulator that each iteration adds to at its own index alone is a result.
 *
 *     %1 = withacc %z {(%a)                          %1 = map %n {(%i)
 *       map %n {(%i)                                   %2 = index %z, %i
 *         accadd %a, %v, %i                     =>      %3 = add %2, %v
 *       } }                                            yield %3 }
 *
 * The iterations are independent then, and the result can pass to other loops at that index (fuse_merge.c). Where what
 * is added lies in nests of the body, or is added to rows, the row is an accumulator of the iteration:
 *   %3 = withacc %2 {... accadd %row, %v, %j ...}.
 * When: the accumulator belongs to a `withacc` around one map; every addition in it has the map's indices as its leading
 * ones, and the map's extents are the accumulator's leading dimensions, so that each row is one iteration's.
 * Values: added in the same order to the same start.
 * Cost: an accumulator's additions are looked at once. */
#include "passes/fuse.h"

typedef struct { FuseCtx *c; TdlFunc *f; TdlOp with, map; TdlRegion body; uint32_t n; /* extents */
               TdlVals yields, old; /* new results of the map, and the values that they become */ } Own;

/* True when operation `add` stands in the body itself. */
static bool direct(const Own *w, TdlOp add) { return ir_op(w->f, add)->parent.id == w->body.id; }

static bool at_own_index(const Own *w, TdlOp add) {
    const TdlOpData *d = ir_op(w->f, add);
    const TdlVals *args = &ir_region(w->f, w->body)->args;
    if (d->code != OP_ACCADD || d->noperands < 2u + w->n) return false;
    for (uint32_t i = 0; i < w->n; i++)
        if (d->operands[2 + i].id != args->p[i].id) return false;
    return true;
}

/* Accumulator k is added to at the map's own indices only; *values: the body itself adds scalars. */
static bool is_own(const Own *w, uint32_t k, bool *values) {
    TdlFunc *f = w->f;
    TdlVal acc = ir_region(f, fuse_body(f, w->with))->args.p[k];
    TdlType t = ty_tensor_of(w->c->m, ir_type(f, acc));
    const TdlOpData *map = ir_op(f, w->map);
    *values = ty_rank(w->c->m, t) == w->n;
    if (ty_rank(w->c->m, t) < w->n || !fuse_nuses(w->c, acc)) return false;
    for (uint32_t i = 0; i < w->n; i++) {
        TdlDim e = fuse_extent(f, map->operands[i]);
        if (!e.id || !dim_eq(e, ty_dims(w->c->m, t)[i])) return false;
    }
    for (FuseIter it = fuse_uses(w->c, acc); fuse_next(&it);) {
        if (!at_own_index(w, it.u.op)) return false;
        *values &= direct(w, it.u.op);
    }
    return true;
}

static TdlVal row_of(Own *w, uint32_t k) {
    TdlFunc *f = w->f;
    TdlBuilder b = ir_before(f, ir_region(f, w->body)->first);
    TdlVal row = ir_index(&b, ir_op(f, w->with)->operands[k], ir_region(f, w->body)->args.p, w->n);
    op_set_int(f, ir_val(f, row)->def, "inbounds", 1);
    return row;
}

/* The additions, in the order of the body, as one sum. */
static void add_up(Own *w, TdlVal acc, TdlVal sum) {
    TdlFunc *f = w->f;
    IR_FOREACH_OP(f, w->body, o) {
        const TdlOpData *d = ir_op(f, o);
        if (d->code != OP_ACCADD || d->operands[0].id != acc.id) continue;
        TdlBuilder b = ir_before(f, o);
        b.grad_fn = d->grad_fn;
        sum = ir_binary(&b, OP_ADD, sum, d->operands[1]);
        ir_remove(f, o);
    }
    VEC_PUSH(w->c->scratch, w->yields, sum);
}

/* Additions to acc become additions to the row of the iteration. */
static void redirect(Own *w, TdlVal acc, TdlVal row) {
    for (FuseIter it = fuse_uses(w->c, acc); fuse_next(&it);) {
        TdlOpData *d = ir_op(w->f, it.u.op); /* acc, value, own indices, the rest */
        d->operands[0] = row;
        for (uint32_t k = 2; k + w->n < d->noperands; k++) d->operands[k] = d->operands[k + w->n];
        d->noperands = (uint16_t)(d->noperands - w->n);
    }
}

/* The body behind the rows' starts moves into a `withacc` from these; it hands on what the map yields. */
static void accumulate_rows(Own *w, const TdlVals *accs, const TdlVals *rows) {
    TdlFunc *f = w->f;
    TdlOp y = ir_terminator(f, w->body), first = ir_op(f, ir_val(f, rows->p[0])->def)->next;
    TdlBuilder b = ir_before(f, y);
    b.span = ir_op(f, w->map)->span;
    TdlOp in = ir_emit(&b, OP_WITHACC, rows->p, rows->n, NULL, 0);
    TdlRegion r = fuse_body(f, in);
    for (uint32_t i = 0; i < rows->n; i++) {
        TdlType t = ir_type(f, rows->p[i]);
        redirect(w, accs->p[i], ir_region_arg(f, r, ty_acc(w->c->m, t), ir_val(f, accs->p[i])->name));
        VEC_PUSH(w->c->scratch, w->yields, ir_add_result(f, in, t));
    }
    for (TdlOp o = first, next; o.id != in.id; o = next) {
        next = ir_op(f, o)->next;
        ir_move_to_end(f, o, r);
    }
    TdlBuilder end = ir_at_end(f, r, b.span);
    uint32_t n = ir_op(f, y)->noperands, sums = w->yields.n - rows->n;
    TdlVal *out = ARENA_ARRAY(w->c->scratch, TdlVal, n + sums + 1);
    for (uint32_t i = 0; i < n; i++) out[i] = ir_op(f, y)->operands[i];
    for (uint32_t i = 0; i < sums; i++) out[n + i] = w->yields.p[i];
    fuse_yield(&end, out, n + sums);
    for (uint32_t i = 0; i < n + sums; i++) {
        TdlVal v = ir_add_result(f, in, ir_type(f, out[i]));
        if (i < n) ir_op(f, y)->operands[i] = v;
        else w->yields.p[i - n] = v;
    }
}

/* The `withacc` without its own accumulators; the map alone where none is left. */
static void reshape(Own *w, const bool *keep, uint32_t n) {
    TdlFunc *f = w->f;
    TdlRegion outer = fuse_body(f, w->with);
    TdlOp y = ir_terminator(f, w->body), yw = ir_terminator(f, outer);
    TdlVals inits = {0}, extras = {0};
    for (uint32_t i = 0; i < ir_op(f, w->with)->nresults; i++)
        if (i >= n) VEC_PUSH(w->c->scratch, extras, ir_result(f, w->with, i));
    for (uint32_t i = 0; i < n; i++)
        if (keep[i]) VEC_PUSH(w->c->scratch, inits, ir_op(f, w->with)->operands[i]);
    for (uint32_t i = 0; i < w->yields.n; i++) {
        ir_add_operand(f, y, w->yields.p[i]);
        ir_add_operand(f, yw, ir_add_result(f, w->map, ir_type(f, w->old.p[i])));
    }
    bool *stay = ARENA_ARRAY(w->c->scratch, bool, n + extras.n + 1);
    for (uint32_t i = 0; i < n + extras.n; i++) stay[i] = i >= n || keep[i];
    ir_keep_results(f, w->with, stay);
    ir_keep_args(f, outer, keep);
    ir_set_operands(f, w->with, inits.p, inits.n);
    for (uint32_t i = 0; i < w->old.n; i++) ir_take_result(f, w->with, w->old.p[i]);
    if (inits.n) return;
    TdlOp alone = w->map;
    ir_move_before(f, alone, w->with);
    for (uint32_t i = 0; i < ir_op(f, w->with)->nresults; i++) {
        TdlVal from = ir_result(f, w->with, i), to = ir_op(f, yw)->operands[i];
        TdlVal *result = &ir_op(f, alone)->results[ir_val(f, to)->index];
        if (result->id != to.id) { /* handed on twice */
            fuse_replace(w->c, from, *result);
            continue;
        }
        *result = from;
        *ir_val(f, from) = *ir_val(f, to);
    }
    ir_remove(f, w->with);
}

static void own_with(FuseCtx *c, TdlOp with) {
    TdlFunc *f = c->f;
    Own w = {.c = c, .f = f, .with = with, .map = fuse_loop_in(f, with)};
    uint32_t n = ir_op(f, with)->noperands;
    if (!w.map.id || !ir_op(f, w.map)->noperands) return;
    w.body = fuse_body(f, w.map);
    w.n = ir_op(f, w.map)->noperands;
    bool *keep = ARENA_ARRAY(c->scratch, bool, n + 1), values, any = false;
    TdlVals accs = {0}, rows = {0}, rowold = {0};
    for (uint32_t i = 0; i < n; i++) {
        TdlVal acc = ir_region(f, fuse_body(f, with))->args.p[i];
        keep[i] = !is_own(&w, i, &values);
        if (keep[i]) continue;
        any = true;
        TdlVal row = row_of(&w, i);
        if (values) {
            VEC_PUSH(c->scratch, w.old, ir_result(f, with, i));
            add_up(&w, acc, row);
        } else {
            VEC_PUSH(c->scratch, accs, acc);
            VEC_PUSH(c->scratch, rows, row);
            VEC_PUSH(c->scratch, rowold, ir_result(f, with, i));
        }
    }
    if (!any) return;
    if (rows.n) accumulate_rows(&w, &accs, &rows);
    for (uint32_t i = 0; i < rowold.n; i++) VEC_PUSH(c->scratch, w.old, rowold.p[i]);
    reshape(&w, keep, n);
    c->changed = true;
}

static void own_region(FuseCtx *c, TdlRegion r) {
    IR_FOREACH_OP(c->f, r, o) {
        for (uint16_t i = 0; i < ir_op(c->f, o)->nregions; i++) own_region(c, ir_op(c->f, o)->regions[i]);
        if (o.id < c->nops && ir_op(c->f, o)->code == OP_WITHACC) own_with(c, o);
    }
}

bool fuse_own(FuseCtx *c) {
    own_region(c, c->f->body);
    return c->changed;
}
