/* fuse: what its rewrites ask about uses, ranges, cost and order. */
#include "passes/fuse.h"

#include <math.h>
#include <string.h>

/* ---- uses and positions ---- */

static void number_region(FuseCtx *c, TdlRegion r) {
    uint32_t at = 0;
    for (TdlOp o = ir_region(c->f, r)->first; o.id; o = ir_op(c->f, o)->next) {
        c->pos[o.id] = ++at;
        for (uint16_t i = 0; i < ir_op(c->f, o)->nregions; i++) number_region(c, ir_op(c->f, o)->regions[i]);
    }
}

void fuse_begin(FuseCtx *c) {
    TdlFunc *f = c->f;
    c->nvals = f->vals.n;
    c->nops = f->ops.n;
    c->first = ARENA_ARRAY(c->scratch, uint32_t, c->nvals + 2);
    c->pos = ARENA_ARRAY(c->scratch, uint32_t, c->nops);
    number_region(c, f->body);
    uint32_t total = 0;
    for (uint32_t i = 1; i < c->nops; i++) {
        if (!c->pos[i]) continue;
        const TdlOpData *d = &f->ops.p[i];
        for (uint16_t k = 0; k < d->noperands; k++) c->first[d->operands[k].id + 2]++;
        total += d->noperands;
    }
    for (uint32_t v = 2; v < c->nvals + 2; v++) c->first[v] += c->first[v - 1];
    c->use = ARENA_ARRAY(c->scratch, FuseUse, total);
    c->consumed = ARENA_ARRAY(c->scratch, bool, c->nvals + 1);
    for (uint32_t i = 1; i < c->nops; i++) {
        if (!c->pos[i]) continue;
        const TdlOpData *d = &f->ops.p[i];
        for (uint16_t k = 0; k < d->noperands; k++) {
            c->use[c->first[d->operands[k].id + 1]++] = (FuseUse){{i}, k};
            c->consumed[d->operands[k].id] |= ir_may_consume(d, k);
        }
    }
    /* first[v + 1] now ends v's uses, which is where those of v + 1 start. */
    c->nmark = 0;
    c->mark = NULL;
    c->epoch = 0;
    c->vmap = valmap_new(c->scratch, f);
    c->changed = false;
}

FuseIter fuse_uses(const FuseCtx *c, TdlVal v) {
    if (v.id >= c->nvals) return (FuseIter){.c = c, .v = v};
    return (FuseIter){.c = c, .v = v, .at = c->first[v.id], .end = c->first[v.id + 1]};
}

bool fuse_next(FuseIter *it) {
    while (it->at < it->end) {
        it->u = it->c->use[it->at++];
        const TdlOpData *d = ir_op(it->c->f, it->u.op);
        if (d->code != OP_NONE && it->u.operand < d->noperands && d->operands[it->u.operand].id == it->v.id) return true;
    }
    return false;
}

uint32_t fuse_nuses(const FuseCtx *c, TdlVal v) {
    uint32_t n = 0;
    for (FuseIter it = fuse_uses(c, v); fuse_next(&it);) n++;
    return n;
}

void fuse_replace(FuseCtx *c, TdlVal from, TdlVal to) {
    for (FuseIter it = fuse_uses(c, from); fuse_next(&it);) ir_op(c->f, it.u.op)->operands[it.u.operand] = to;
}

bool fuse_dominates(const FuseCtx *c, TdlVal v, TdlOp o) {
    const TdlFunc *f = c->f;
    TdlRegion r = ir_region_of(f, v);
    TdlOp def = ir_val(f, v)->def, at = o;
    while (at.id && ir_op(f, at)->parent.id != r.id) at = ir_region(f, ir_op(f, at)->parent)->parent;
    if (!at.id) return false;
    if (!def.id) return true;
    uint32_t a = def.id < c->nops ? c->pos[def.id] : 0, b = at.id < c->nops ? c->pos[at.id] : 0;
    return a && b && a < b;
}

TdlOp fuse_lift(const TdlFunc *f, TdlOp o, TdlRegion r) {
    while (o.id && ir_op(f, o)->parent.id != r.id) o = ir_region(f, ir_op(f, o)->parent)->parent;
    return o;
}

/* True unless operation `use` is certainly reached before `at`. */
static bool may_precede(const FuseCtx *c, TdlOp use, TdlOp at) {
    TdlRegion r = ir_op(c->f, use)->parent;
    TdlOp a = use, b = fuse_lift(c->f, at, r);
    while (!b.id) {
        a = ir_region(c->f, r)->parent;
        if (!a.id) return true;
        r = ir_op(c->f, a)->parent;
        b = fuse_lift(c->f, at, r);
    }
    uint32_t pa = a.id < c->nops ? c->pos[a.id] : 0, pb = b.id < c->nops ? c->pos[b.id] : 0;
    return !pa || !pb || pa <= pb;
}

typedef struct { const FuseCtx *c; TdlOp at; bool found; } Consumed;

static void look_for_consumer(void *user, TdlOp o, TdlVal v) {
    Consumed *k = user;
    const TdlFunc *f = k->c->f;
    if (k->found || ir_op(f, o)->code != OP_INDEX || ir_op(f, o)->operands[0].id != v.id) return;
    if (v.id >= k->c->nvals || !k->c->consumed[v.id]) return;
    for (FuseIter it = fuse_uses(k->c, v); fuse_next(&it);)
        if (ir_may_consume(ir_op(f, it.u.op), it.u.operand) && may_precede(k->c, it.u.op, k->at)) k->found = true;
}

bool fuse_revives(const FuseCtx *c, TdlOp o, TdlOp at) {
    Consumed k = {c, at, false};
    fuse_operands(c->f, o, look_for_consumer, &k);
    return k.found;
}

/* ---- constants ---- */

bool fuse_is_zero(const TdlFunc *f, TdlVal v) {
    TdlOp o = ir_val(f, v)->def;
    if (!o.id || ir_op(f, o)->code != OP_CONST) return false;
    const TdlAttr *a = op_attr(f, o, "value");
    return a && ((a->kind == ATTR_INT && a->i == 0) || (a->kind == ATTR_FLOAT && a->f == 0.0));
}

bool fuse_is_zeros(const TdlFunc *f, TdlVal v) {
    for (;;) {
        TdlOp o = ir_val(f, v)->def;
        if (!o.id || ir_op(f, o)->code != OP_MAP) return fuse_is_zero(f, v);
        TdlOp y = ir_terminator(f, fuse_body(f, o));
        if (!y.id || ir_op(f, y)->noperands <= ir_val(f, v)->index) return false;
        v = ir_op(f, y)->operands[ir_val(f, v)->index];
    }
}

/* ---- ranges ---- */

typedef struct { TdlDim lo, hi; } Range; /* both inclusive */

static bool range_of(const TdlFunc *f, TdlVal v, int depth, Range *r);

/* Index of a map, reduce or for: from 0 (lo) to the largest value of the extent (hi) less one. */
static bool loop_index_range(const TdlFunc *f, TdlVal v, int depth, Range *r) {
    TdlModule *m = f->module;
    const TdlValData *d = ir_val(f, v);
    TdlOp loop = ir_region(f, d->region)->parent;
    if (!loop.id) return false;
    const TdlOpData *l = ir_op(f, loop);
    Range ext, lo = {dim_const(m, 0), dim_const(m, 0)};
    if (l->code == OP_FOR) {
        if (d->index != 0 || !range_of(f, l->operands[0], depth, &lo) || !range_of(f, l->operands[1], depth, &ext))
            return false;
    } else if (l->code == OP_MAP || l->code == OP_REDUCE) {
        if (!range_of(f, l->operands[d->index], depth, &ext)) return false;
    } else {
        return false;
    }
    *r = (Range){lo.lo, dim_sub(m, ext.hi, dim_const(m, 1))};
    return true;
}

static bool arith_range(const TdlFunc *f, const TdlOpData *d, int depth, Range *r) {
    TdlModule *m = f->module;
    Range x, y;
    int64_t k;
    if (d->code != OP_ADD && d->code != OP_SUB && d->code != OP_MUL && d->code != OP_MOD) return false;
    if (!range_of(f, d->operands[1], depth, &y)) return false;
    if (d->code == OP_MOD) { /* of a positive divisor (a zero one fails before there is a value) */
        if (!dim_eq(y.lo, y.hi) || !dim_known_ge(m, y.lo, dim_const(m, 0))) return false;
        *r = (Range){dim_const(m, 0), dim_sub(m, y.hi, dim_const(m, 1))};
        return true;
    }
    if (!range_of(f, d->operands[0], depth, &x)) return false;
    switch (d->code) {
    case OP_ADD: *r = (Range){dim_add(m, x.lo, y.lo), dim_add(m, x.hi, y.hi)}; return true;
    case OP_SUB: *r = (Range){dim_sub(m, x.lo, y.hi), dim_sub(m, x.hi, y.lo)}; return true;
    default: /* by a constant that is not negative */
        if (!dim_eq(y.lo, y.hi) || !dim_is_const(m, y.lo, &k) || k < 0) return false;
        *r = (Range){dim_mul(m, x.lo, y.lo), dim_mul(m, x.hi, y.lo)};
        return true;
    }
}

static bool range_of(const TdlFunc *f, TdlVal v, int depth, Range *r) {
    TdlDim d;
    if (depth <= 0) return false;
    if (ir_val_dim(f, v, &d)) return *r = (Range){d, d}, true;
    TdlOp o = ir_val(f, v)->def;
    return o.id ? arith_range(f, ir_op(f, o), depth - 1, r) : loop_index_range(f, v, depth - 1, r);
}

bool fuse_in_range(const TdlFunc *f, TdlVal idx, TdlDim extent) {
    Range r;
    TdlModule *m = f->module;
    return range_of(f, idx, 8, &r) && dim_known_ge(m, r.lo, dim_const(m, 0)) &&
           dim_known_ge(m, extent, dim_add(m, r.hi, dim_const(m, 1)));
}

bool fuse_checked(const FuseCtx *c, TdlOp o, bool trust) {
    const TdlFunc *f = c->f;
    const TdlOpData *d = ir_op(f, o);
    if (trust && op_int(f, o, "inbounds", 0)) return true;
    uint16_t first = d->code == OP_INDEX ? 1 : 2;
    TdlType t = ty_tensor_of(c->m, ir_type(f, d->operands[0]));
    for (uint16_t i = first; i < d->noperands; i++)
        if (!fuse_in_range(f, d->operands[i], ty_dims(c->m, t)[i - first])) return false;
    return true;
}

bool fuse_is_loop(TdlOpcode code) { return code == OP_MAP || code == OP_REDUCE || code == OP_FOR || code == OP_WHILE; }

bool fuse_is_sum(const TdlFunc *f, TdlOp o) {
    if (ir_op(f, o)->code != OP_REDUCE || op_int(f, o, "filter", 0)) return false;
    const char *kind = op_str(f, o, "kind");
    return kind && !strcmp(kind, "sum");
}

TdlOp fuse_loop_in(const TdlFunc *f, TdlOp with) {
    const TdlRegionData *r = ir_region(f, fuse_body(f, with));
    const TdlOpData *l = ir_op(f, r->first), *y = ir_op(f, r->last);
    if (l->code != OP_MAP || l->next.id != r->last.id) return (TdlOp){0};
    for (uint16_t i = 0; i < y->noperands; i++)
        if (ir_val(f, y->operands[i])->def.id != r->first.id) return (TdlOp){0};
    return r->first;
}

TdlDim fuse_extent(const TdlFunc *f, TdlVal v) {
    TdlDim d;
    return ir_val_dim(f, v, &d) ? d : (TdlDim){0};
}

/* ---- cost and slices ---- */

double fuse_estimate(const TdlModule *m, TdlDim d) {
    double sum = 0;
    for (uint32_t t = 0; t < dim_nterms(m, d); t++) {
        double x = (double)dim_term_coef(m, d, t);
        for (uint32_t i = 0; i < dim_term_natoms(m, d, t); i++) {
            TdlDimAtom a = dim_term_atom(m, d, t, i);
            double p = a.kind == DIM_ATOM_VAR ? 16 : floor(fuse_estimate(m, a.arg) / (double)a.c);
            x *= a.kind == DIM_ATOM_MOD ? fuse_estimate(m, a.arg) - p * (double)a.c : p;
        }
        sum += x;
    }
    return sum;
}

static void set_mark(FuseCtx *c, TdlVal v) {
    if (v.id >= c->nmark) {
        uint32_t n = c->f->vals.n + c->f->vals.n / 2 + 1;
        uint32_t *p = ARENA_ARRAY(c->scratch, uint32_t, n);
        if (c->nmark) memcpy(p, c->mark, c->nmark * sizeof *p);
        c->mark = p;
        c->nmark = n;
    }
    c->mark[v.id] = c->epoch;
}

static bool marked(const FuseCtx *c, TdlVal v) { return v.id < c->nmark && c->mark[v.id] == c->epoch; }

static bool op_marked(const FuseCtx *c, TdlOp o) {
    const TdlOpData *d = ir_op(c->f, o);
    if (d->code == OP_NEWDIM) return true; /* dimensions in types and attributes use it without an operand */
    for (uint16_t i = 0; i < d->nresults; i++)
        if (marked(c, d->results[i])) return true;
    return false;
}

static void weigh_load(FuseCost *k, TdlVal tensor) {
    uint32_t most = sizeof k->read / sizeof *k->read;
    k->loads++;
    for (uint32_t i = 0; i < k->tensors && i < most; i++)
        if (k->read[i].id == tensor.id) return;
    if (k->tensors < most) k->read[k->tensors] = tensor;
    k->tensors++;
}

static bool on_integers(const TdlFunc *f, const TdlOpData *d) {
    return d->code == OP_IF || (d->noperands && !ty_is_float(f->module, ir_type(f, d->operands[d->code == OP_SELECT])));
}

/* The rule of cost: a load is one, the rest as ir_op_weight has it; an `if` both its branches. A loop or a call is heavy: never
 * done twice. */
static void weigh(const TdlFunc *f, TdlOp o, FuseCost *k) {
    const TdlOpData *d = ir_op(f, o);
    uint32_t weight = ir_op_weight(d->code);
    k->ops++;
    if (d->code == OP_INDEX) {
        weigh_load(k, d->operands[0]);
    } else if (!weight || (op_info(d->code)->flags & OPF_ELEMENTWISE) || d->code == OP_IF) {
        k->flops += weight;
        if (on_integers(f, d)) k->ints += weight;
        for (uint16_t i = 0; i < d->nregions; i++)
            for (TdlOp p = ir_region(f, d->regions[i])->first; p.id; p = ir_op(f, p)->next) weigh(f, p, k);
    } else {
        k->heavy = true;
    }
}

static void mark_operand(void *user, TdlOp o, TdlVal v) {
    (void)o;
    set_mark(user, v);
}

FuseCost fuse_slice(FuseCtx *c, TdlRegion region, TdlVal v) {
    FuseCost k = {0};
    c->epoch++;
    set_mark(c, v);
    for (TdlOp o = ir_region(c->f, region)->last; o.id; o = ir_op(c->f, o)->prev) {
        if (!op_marked(c, o)) continue;
        weigh(c->f, o, &k);
        fuse_operands(c->f, o, mark_operand, c);
    }
    return k;
}

/* The clone map must not outlive a clone: values of a body that stays would be taken for their copies later. */
static void forget_region(FuseCtx *c, TdlRegion r) {
    const TdlRegionData *d = ir_region(c->f, r);
    for (uint32_t i = 0; i < d->args.n; i++) valmap_set(&c->vmap, d->args.p[i], (TdlVal){0});
    for (TdlOp o = d->first; o.id; o = ir_op(c->f, o)->next) {
        const TdlOpData *p = ir_op(c->f, o);
        for (uint16_t i = 0; i < p->nresults; i++) valmap_set(&c->vmap, p->results[i], (TdlVal){0});
        for (uint16_t i = 0; i < p->nregions; i++) forget_region(c, p->regions[i]);
    }
}

TdlVal fuse_clone_slice(FuseCtx *c, TdlBuilder *b, TdlRegion region, TdlVal v) {
    TdlDimMap dims = {.arena = c->scratch};
    for (TdlOp o = ir_region(c->f, region)->first; o.id; o = ir_op(c->f, o)->next)
        if (op_marked(c, o)) ir_clone_op(b, c->f, o, &c->vmap, &dims);
    TdlVal r = valmap_get(&c->vmap, v);
    forget_region(c, region);
    return r;
}

/* ---- walks ---- */

bool fuse_has_effect(const TdlFunc *f, TdlOp o) {
    const TdlOpData *d = ir_op(f, o);
    if ((op_info(d->code)->flags & OPF_EFFECT) && d->code != OP_ACCADD) return true;
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(f, d->regions[i])->first; p.id; p = ir_op(f, p)->next)
            if (fuse_has_effect(f, p)) return true;
    return false;
}

void fuse_operands(const TdlFunc *f, TdlOp o, void (*fn)(void *user, TdlOp o, TdlVal v), void *user) {
    const TdlOpData *d = ir_op(f, o);
    for (uint16_t i = 0; i < d->noperands; i++) fn(user, o, d->operands[i]);
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(f, d->regions[i])->first; p.id; p = ir_op(f, p)->next) fuse_operands(f, p, fn, user);
}

void fuse_remap(FuseCtx *c, TdlOp o) {
    TdlOpData *d = ir_op(c->f, o);
    for (uint16_t i = 0; i < d->noperands; i++) d->operands[i] = valmap_get(&c->vmap, d->operands[i]);
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(c->f, d->regions[i])->first; p.id; p = ir_op(c->f, p)->next) fuse_remap(c, p);
}

void fuse_yield(TdlBuilder *b, const TdlVal *v, uint32_t n) { ir_emit(b, OP_YIELD, v, n, NULL, 0); }
