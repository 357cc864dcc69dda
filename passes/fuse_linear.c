/* fuse: a sum of what is linear in one value of each iteration is the linear function of that value's sum.
 *
 *   withacc %a0 {(%a)                               withacc %a0, %zero {(%a, %s)
 *     map %n, %k {(%p, %c)                            map %n, %k {(%p, %c)
 *       %v = withacc %zeros {(%w)                       map %d {(%i)
 *         map %d {(%i)                                     ... %y ...
 *           ... %y ...                        =>           accadd %s, %y, %c, %i } } }
 *           map %i {(%j)                              withacc %a1 {(%a)
 *             accadd %w, %y*l[c, i, j], %j } } }        map %n > 0, %k {(%g, %c)
 *       accadd %a, %v, %c } }                             %v = withacc %zeros {(%w)
 *                                                           map %d {(%i)  map %i {(%j)
 *                                                             accadd %w, s[c, i]*l[c, i, j], %j } }
 *                                                         accadd %a, %v, %c } }
 *
 * sum_p Q_c^T y_pc is Q_c^T sum_p y_pc: the reverse of a matrix times one vector for each of many points adds up vectors, and
 * multiplies their sum once.
 * When: everything that is added to %w is one value of the iteration times what does not depend on %p, inside a loop that the
 * value is outside of; %v, or its negative, is added to an accumulator around at indices of the other axes, and used nowhere
 * else. Extents of the value's loops are sizes known at entry, and no more values than %v has elements.
 * Values: the sums are added up in another order (not with strict_fp). Where there is no point nothing is multiplied, so that
 * no infinite factor makes a NaN of an empty sum.
 * Cost: the additions of each `withacc` are looked at once; what they need is followed over MOST_OPS operations. */
#include "passes/fuse.h"

enum { MOST_OPS = 64, MOST_LOOPS = 8 };

typedef struct {
    FuseCtx *c;
    TdlFunc *f;
    TdlOp inner, neg, add;        /* the `withacc` of %v; the map of its negative, or 0; the addition of %v */
    TdlOp with;                   /* the `withacc` around, of %a */
    uint32_t acc;                 /* which of its accumulators */
    TdlVal value;                 /* %y */
    TdlVals kept, extents;        /* axes that %v is added at; their extents */
    TdlVals gone;                 /* extents of the other axes */
    TdlVals own, own_extents;     /* indices of the loops around %y, inside of `inner` */
    TDL_VEC(TdlOp) adds;          /* to %w */
    uint32_t left;                /* operations that may be followed */
    TdlValMap map;                /* of axes, to those of the new loops */
    TdlVal sums;                  /* of the values */
} Linear;

static bool listed(const TdlVals *list, TdlVal v) {
    for (uint32_t i = 0; i < list->n; i++)
        if (list->p[i].id == v.id) return true;
    return false;
}

static bool outside(const Linear *l, TdlVal v) { return !ir_defined_in(l->f, v, fuse_body(l->f, l->with)); }

/* ---- what is found ---- */

/* Of one use: the operation; else 0. */
static TdlOp only_use(const Linear *l, TdlVal v) {
    TdlOp o = {0};
    uint32_t n = 0;
    for (FuseIter it = fuse_uses(l->c, v); fuse_next(&it); n++) o = it.u.op;
    return n == 1 ? o : (TdlOp){0};
}

/* map {(%j) index %v, %j; neg; yield}, in the region of %v. */
static bool negates(const Linear *l, TdlOp map, TdlVal v) {
    TdlFunc *f = l->f;
    if (ir_op(f, map)->code != OP_MAP || ir_op(f, map)->nresults != 1) return false;
    TdlOp index = ir_region(f, fuse_body(f, map))->first, neg = ir_op(f, index)->next, end = neg.id ? ir_op(f, neg)->next : neg;
    const TdlVals *args = &ir_region(f, fuse_body(f, map))->args;
    if (!end.id || ir_op(f, index)->code != OP_INDEX || ir_op(f, neg)->code != OP_NEG || ir_op(f, end)->code != OP_YIELD) return false;
    const TdlOpData *d = ir_op(f, index);
    if (d->operands[0].id != v.id || d->noperands != args->n + 1) return false;
    for (uint32_t i = 0; i < args->n; i++)
        if (d->operands[1 + i].id != args->p[i].id) return false;
    return ir_op(f, neg)->operands[0].id == d->results[0].id && ir_op(f, end)->operands[0].id == ir_op(f, neg)->results[0].id;
}

/* The region where %v is, behind maps alone inside of `with`: their axes are kept, or gone. */
static bool find_axes(Linear *l) {
    TdlFunc *f = l->f;
    const TdlOpData *add = ir_op(f, l->add);
    TdlRegion r = ir_op(f, l->add)->parent;
    for (; r.id && r.id != fuse_body(f, l->with).id; r = ir_op(f, ir_region(f, r)->parent)->parent) {
        TdlOp map = ir_region(f, r)->parent;
        if (ir_op(f, map)->code != OP_MAP) return false;
        for (uint32_t i = ir_op(f, map)->noperands; i-- > 0;) {
            TdlVal axis = ir_region(f, r)->args.p[i], extent = ir_op(f, map)->operands[i];
            TdlDim d = fuse_extent(f, extent);
            bool kept = false;
            for (uint32_t k = 2; k < add->noperands; k++) kept |= add->operands[k].id == axis.id;
            if (!outside(l, extent) || (kept && (!d.id || !ir_dim_at_entry(f, d)))) return false;
            if (kept) {
                VEC_PUSH(l->c->scratch, l->kept, axis);
                VEC_PUSH(l->c->scratch, l->extents, extent);
            } else VEC_PUSH(l->c->scratch, l->gone, extent);
        }
    }
    return r.id && l->gone.n && l->kept.n + 2u == add->noperands;
}

/* Where the sum goes: %v, or its negative, is added to an accumulator of a `withacc` around. */
static bool find_target(Linear *l) {
    TdlFunc *f = l->f;
    TdlVal v = ir_result(f, l->inner, 0);
    TdlRegion r = ir_op(f, l->inner)->parent;
    TdlOp use = only_use(l, v);
    if (use.id && ir_op(f, use)->code == OP_INDEX) {
        l->neg = ir_region(f, ir_op(f, use)->parent)->parent;
        if (ir_op(f, l->neg)->parent.id != r.id || !negates(l, l->neg, v)) return false;
        v = ir_result(f, l->neg, 0);
        use = only_use(l, v);
    }
    if (!use.id || ir_op(f, use)->code != OP_ACCADD || ir_op(f, use)->operands[1].id != v.id) return false;
    TdlVal acc = ir_op(f, use)->operands[0];
    l->add = use;
    l->with = ir_region(f, ir_val(f, acc)->region)->parent;
    l->acc = ir_val(f, acc)->index;
    return ir_op(f, use)->parent.id == r.id;
}

/* What is done behind the outer `withacc` is there; of those that were changed already the uses are not known. */
static bool stays_outside(const Linear *l) {
    const TdlFunc *f = l->f;
    if (ir_op(f, l->with)->code != OP_WITHACC || !outside(l, ir_op(f, l->inner)->operands[0])) return false;
    for (uint32_t i = 0; l->neg.id && i < ir_op(f, l->neg)->noperands; i++)
        if (!outside(l, ir_op(f, l->neg)->operands[i])) return false;
    return VEC_LAST(ir_region(f, fuse_body(f, l->with))->args).id < l->c->nvals;
}

/* v does not depend on an axis that is gone: made of axes that are kept, indices of maps inside, and what is outside. */
static bool free_of_point(Linear *l, TdlVal v) {
    TdlFunc *f = l->f;
    TdlOp def = ir_val(f, v)->def;
    if (outside(l, v)) return true;
    if (!def.id) {
        TdlRegion r = ir_val(f, v)->region;
        bool map = ir_op(f, ir_region(f, r)->parent)->code == OP_MAP;
        return listed(&l->kept, v) || (map && ir_region_encloses(f, fuse_body(f, l->inner), r));
    }
    const TdlOpData *d = ir_op(f, def);
    bool simple = d->code == OP_INDEX || d->code == OP_CONST || d->code == OP_DIM || op_info(d->code)->flags & OPF_ELEMENTWISE;
    if (!simple || d->nregions || !l->left) return false;
    l->left--;
    for (uint32_t i = 0; i < d->noperands; i++)
        if (!free_of_point(l, d->operands[i])) return false;
    return true;
}

/* The addition is %y times what does not depend on the point, at such an index, in maps over such extents. */
static bool fits_add(Linear *l, TdlOp add, bool *deeper) {
    TdlFunc *f = l->f;
    const TdlOpData *d = ir_op(f, add);
    TdlOp mul = ir_val(f, d->operands[1])->def;
    if (d->code != OP_ACCADD || !mul.id || ir_op(f, mul)->code != OP_MUL) return false;
    if (!ty_is_scalar(l->c->m, ir_type(f, d->operands[1]))) return false;
    const TdlVal *factor = ir_op(f, mul)->operands;
    l->left = MOST_OPS;
    uint32_t k = free_of_point(l, factor[0]) ? 1 : 0;
    if (!l->value.id) l->value = factor[k];
    if (factor[k].id != l->value.id || !free_of_point(l, factor[1 - k]) || free_of_point(l, factor[k])) return false;
    for (uint32_t i = 2; i < d->noperands; i++)
        if (!free_of_point(l, d->operands[i])) return false;
    TdlRegion home = ir_region_of(f, l->value), r = d->parent;
    if (!ir_region_encloses(f, fuse_body(f, l->inner), home) || !ir_region_encloses(f, home, r)) return false;
    *deeper |= home.id != r.id;
    for (; r.id != fuse_body(f, l->inner).id; r = ir_op(f, ir_region(f, r)->parent)->parent) {
        TdlOp map = ir_region(f, r)->parent;
        if (ir_op(f, map)->code != OP_MAP) return false;
        for (uint32_t i = 0; i < ir_op(f, map)->noperands; i++)
            if (!free_of_point(l, ir_op(f, map)->operands[i])) return false;
    }
    return true;
}

/* The values of an iteration are no more than what they were added to, which the sums take the place of. */
static bool sums_are_small(const Linear *l) {
    TdlModule *m = l->c->m;
    TdlDim values = dim_const(m, 1);
    for (uint32_t i = 0; i < l->own_extents.n; i++) values = dim_mul(m, values, fuse_extent(l->f, l->own_extents.p[i]));
    return dim_known_ge(m, ty_numel(m, ir_type(l->f, ir_result(l->f, l->inner, 0))), values);
}

static bool find_adds(Linear *l) {
    TdlFunc *f = l->f;
    TdlVal acc = ir_region(f, fuse_body(f, l->inner))->args.p[0];
    bool deeper = false;
    for (FuseIter it = fuse_uses(l->c, acc); fuse_next(&it);) {
        if (it.u.operand || !fits_add(l, it.u.op, &deeper)) return false;
        VEC_PUSH(l->c->scratch, l->adds, it.u.op);
    }
    if (!deeper) return false;
    for (TdlRegion r = ir_region_of(f, l->value); r.id != fuse_body(f, l->inner).id; r = ir_op(f, ir_region(f, r)->parent)->parent) {
        TdlOp map = ir_region(f, r)->parent;
        for (uint32_t i = ir_op(f, map)->noperands; i-- > 0;) {
            TdlDim d = fuse_extent(f, ir_op(f, map)->operands[i]);
            if (!d.id || !ir_dim_at_entry(f, d) || !outside(l, ir_op(f, map)->operands[i])) return false;
            VEC_PUSH(l->c->scratch, l->own, ir_region(f, r)->args.p[i]);
            VEC_PUSH(l->c->scratch, l->own_extents, ir_op(f, map)->operands[i]);
        }
    }
    return l->kept.n + l->own.n <= MOST_LOOPS && sums_are_small(l);
}

/* ---- the change ---- */

static void set_inbounds(Linear *l, TdlOp o) { op_set_int(l->f, o, "inbounds", 1); }

/* The indices of the value's sum: kept axes and those of its loops, or their extents. */
static uint32_t all_axes(const TdlVals *kept, const TdlVals *own, TdlVal *out) {
    for (uint32_t i = 0; i < kept->n; i++) out[i] = kept->p[i];
    for (uint32_t i = 0; i < own->n; i++) out[kept->n + i] = own->p[i];
    return kept->n + own->n;
}

static TdlVal zeros(Linear *l, TdlBuilder *b, TdlType t, const TdlVal *extents, uint32_t n) {
    TdlFunc *f = l->f;
    if (!n) return ir_const_float(b, ty_elem(l->c->m, t), 0);
    TdlOp map = ir_emit(b, OP_MAP, extents, n, &t, 1);
    for (uint32_t i = 0; i < n; i++) ir_region_arg(f, fuse_body(f, map), ty_scalar(l->c->m, EL_I64), (TdlSym){0});
    TdlBuilder in = ir_at_end(f, fuse_body(f, map), b->span);
    TdlVal zero = ir_const_float(&in, ty_elem(l->c->m, t), 0);
    fuse_yield(&in, &zero, 1);
    return ir_result(f, map, 0);
}

/* The values' sum, an accumulator of the outer `withacc`; the additions of %v, and to it, go. */
static void add_values(Linear *l) {
    TdlFunc *f = l->f;
    TdlModule *m = l->c->m;
    TdlVal extents[MOST_LOOPS], index[2 + MOST_LOOPS];
    TdlDim dims[MOST_LOOPS];
    uint32_t n = all_axes(&l->extents, &l->own_extents, extents), at = ir_op(f, l->with)->noperands;
    for (uint32_t i = 0; i < n; i++) dims[i] = fuse_extent(f, extents[i]);
    TdlType t = ty_tensor(m, ty_elem(m, ir_type(f, l->value)), dims, n);
    TdlBuilder b = ir_before(f, l->with);
    ir_add_operand(f, l->with, zeros(l, &b, t, extents, n));
    l->sums = ir_insert_result(f, l->with, at, t);
    index[0] = ir_region_arg(f, fuse_body(f, l->with), ty_acc(m, t), (TdlSym){0});
    index[1] = l->value;
    all_axes(&l->kept, &l->own, index + 2);
    TdlOp def = ir_val(f, l->value)->def;
    TdlBuilder in = ir_after(f, def);
    set_inbounds(l, ir_emit(&in, OP_ACCADD, index, 2 + n, NULL, 0));
}

/* v in the new loops: its operations again, the value read from its sum. */
static TdlVal again(Linear *l, TdlBuilder *b, TdlVal v) {
    TdlFunc *f = l->f;
    if (v.id == l->value.id) {
        TdlVal index[MOST_LOOPS];
        uint32_t n = all_axes(&l->kept, &l->own, index);
        for (uint32_t i = 0; i < n; i++) index[i] = valmap_get(&l->map, index[i]);
        if (!n) return l->sums;
        TdlVal x = ir_index(b, l->sums, index, n);
        set_inbounds(l, ir_val(f, x)->def);
        return x;
    }
    if (outside(l, v) || !ir_val(f, v)->def.id) return valmap_get(&l->map, v);
    TdlOp def = ir_val(f, v)->def;
    uint32_t n = ir_op(f, def)->noperands;
    TdlVal *now = ARENA_ARRAY(l->c->scratch, TdlVal, 2*n + 1), *before = now + n, *x = ir_op(f, def)->operands;
    for (uint32_t i = 0; i < n; i++) now[i] = again(l, b, x[i]);
    for (uint32_t i = 0; i < n; i++) before[i] = valmap_get(&l->map, x[i]);
    for (uint32_t i = 0; i < n; i++) valmap_set(&l->map, x[i], now[i]);
    TdlVal made = ir_result(f, ir_clone_op(b, f, def, &l->map, NULL), 0);
    for (uint32_t i = 0; i < n; i++) valmap_set(&l->map, x[i], before[i]);
    return made;
}

static bool holds_add(const Linear *l, TdlRegion r) {
    for (uint32_t i = 0; i < l->adds.n; i++)
        if (ir_region_encloses(l->f, r, ir_op(l->f, l->adds.p[i])->parent)) return true;
    return false;
}

/* The loops and additions of region r that concern %w, added to `acc`. */
static void again_region(Linear *l, TdlBuilder *b, TdlRegion r, TdlVal acc) {
    TdlFunc *f = l->f;
    IR_FOREACH_OP(f, r, o) {
        TdlOpData d = *ir_op(f, o);
        TdlVal *operands = ARENA_ARRAY(l->c->scratch, TdlVal, d.noperands);
        b->span = d.span;
        if (d.code == OP_ACCADD && d.operands[0].id == ir_region(f, fuse_body(f, l->inner))->args.p[0].id) {
            operands[0] = acc;
            for (uint32_t i = 1; i < d.noperands; i++) operands[i] = again(l, b, d.operands[i]);
            TdlOp add = ir_emit(b, OP_ACCADD, operands, d.noperands, NULL, 0);
            if (op_int(f, o, "inbounds", 0)) set_inbounds(l, add);
        } else if (d.code == OP_MAP && holds_add(l, d.regions[0])) {
            for (uint32_t i = 0; i < d.noperands; i++) operands[i] = again(l, b, d.operands[i]);
            TdlOp map = ir_emit(b, OP_MAP, operands, d.noperands, NULL, 0);
            for (uint32_t i = 0; i < d.noperands; i++) {
                TdlVal axis = ir_region_arg(f, fuse_body(f, map), ty_scalar(l->c->m, EL_I64), (TdlSym){0});
                valmap_set(&l->map, ir_region(f, d.regions[0])->args.p[i], axis);
            }
            TdlBuilder in = ir_at_end(f, fuse_body(f, map), d.span);
            again_region(l, &in, d.regions[0], acc);
            fuse_yield(&in, NULL, 0);
        }
    }
}

/* Whether there are points. */
static TdlVal any_points(const Linear *l, TdlBuilder *b) {
    TdlVal zero = ir_const_int(b, EL_I64, 0), all = ir_binary(b, OP_GT, l->gone.p[0], zero);
    for (uint32_t i = 1; i < l->gone.n; i++) all = ir_binary(b, OP_AND, all, ir_binary(b, OP_GT, l->gone.p[i], zero));
    return all;
}

/* %v of the sums, and its addition to acc at the kept axes, which the map has that is being built. */
static void apply_once(Linear *l, TdlBuilder *b, TdlVal acc) {
    TdlFunc *f = l->f;
    TdlModule *m = l->c->m;
    TdlType t = ir_type(f, ir_result(f, l->inner, 0));
    uint32_t n = ir_op(f, l->add)->noperands;
    TdlOp inner = ir_emit(b, OP_WITHACC, ir_op(f, l->inner)->operands, 1, &t, 1);
    TdlVal w = ir_region_arg(f, fuse_body(f, inner), ty_acc(m, t), (TdlSym){0}), v = ir_result(f, inner, 0);
    TdlBuilder adds = ir_at_end(f, fuse_body(f, inner), b->span);
    again_region(l, &adds, fuse_body(f, l->inner), w);
    fuse_yield(&adds, NULL, 0);
    if (l->neg.id) {
        valmap_set(&l->map, ir_result(f, l->inner, 0), v);
        v = ir_result(f, ir_clone_op(b, f, l->neg, &l->map, NULL), 0);
    }
    TdlVal *operands = ARENA_ARRAY(l->c->scratch, TdlVal, n);
    operands[0] = acc;
    operands[1] = v;
    for (uint32_t i = 2; i < n; i++) operands[i] = valmap_get(&l->map, ir_op(f, l->add)->operands[i]);
    set_inbounds(l, ir_emit(b, OP_ACCADD, operands, n, NULL, 0));
}

/* The linear function of the sums behind the outer `withacc`, added to what that left. */
static void apply(Linear *l) {
    TdlFunc *f = l->f;
    TdlModule *m = l->c->m;
    TdlBuilder b = ir_after(f, l->with);
    TdlVal old = ir_result(f, l->with, l->acc), some = any_points(l, &b);
    TdlType t = ir_type(f, old);
    TdlOp with = ir_emit(&b, OP_WITHACC, &old, 1, &t, 1);
    TdlVal acc = ir_region_arg(f, fuse_body(f, with), ty_acc(m, t), (TdlSym){0});
    TdlBuilder in = ir_at_end(f, fuse_body(f, with), b.span);
    TdlOp guard = ir_emit(&in, OP_IF, &some, 1, NULL, 0);
    TdlBuilder then = ir_at_end(f, ir_op(f, guard)->regions[0], b.span), none = ir_at_end(f, ir_op(f, guard)->regions[1], b.span);
    if (l->kept.n) {
        TdlOp map = ir_emit(&then, OP_MAP, l->extents.p, l->kept.n, NULL, 0);
        for (uint32_t i = 0; i < l->kept.n; i++)
            valmap_set(&l->map, l->kept.p[i], ir_region_arg(f, fuse_body(f, map), ty_scalar(m, EL_I64), (TdlSym){0}));
        TdlBuilder body = ir_at_end(f, fuse_body(f, map), b.span);
        apply_once(l, &body, acc);
        fuse_yield(&body, NULL, 0);
    } else apply_once(l, &then, acc);
    fuse_yield(&then, NULL, 0);
    fuse_yield(&none, NULL, 0);
    fuse_yield(&in, NULL, 0);
    for (FuseIter it = fuse_uses(l->c, old); fuse_next(&it);)
        if (it.u.op.id != with.id) ir_op(f, it.u.op)->operands[it.u.operand] = ir_result(f, with, 0);
}

static void linear_with(FuseCtx *c, TdlOp inner) {
    Linear l = {.c = c, .f = c->f, .inner = inner};
    const TdlOpData *d = ir_op(c->f, inner);
    if (d->noperands != 1 || d->nresults != 1 || !fuse_is_zeros(c->f, d->operands[0])) return;
    if (!ty_is_float(c->m, ir_type(c->f, ir_result(c->f, inner, 0))) || !find_target(&l) || !stays_outside(&l)) return;
    if (!find_axes(&l) || !find_adds(&l)) return;
    l.map = valmap_new(c->scratch, c->f);
    add_values(&l);
    apply(&l);
    for (uint32_t i = 0; i < l.adds.n; i++) ir_remove(c->f, l.adds.p[i]);
    ir_remove(c->f, l.add);
    c->changed = true;
}

typedef TDL_VEC(TdlOp) Ops;

/* The `withacc`s, those inside of others first. They are changed when all are found, as additions behind them go. */
static void find_withs(FuseCtx *c, TdlRegion r, Ops *out) {
    IR_FOREACH_OP(c->f, r, o) {
        for (uint16_t i = 0; i < ir_op(c->f, o)->nregions; i++) find_withs(c, ir_op(c->f, o)->regions[i], out);
        if (ir_op(c->f, o)->code == OP_WITHACC) VEC_PUSH(c->scratch, *out, o);
    }
}

bool fuse_linear(FuseCtx *c) {
    Ops withs = {0};
    if (c->opt->strict_fp) return false;
    find_withs(c, c->f->body, &withs);
    for (uint32_t i = 0; i < withs.n; i++) linear_with(c, withs.p[i]);
    return c->changed;
}
