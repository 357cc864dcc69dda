/* Sums of products become contractions.
 *
 *   map %n, %m {(%i, %j)                               %t = dot %a, %b {contract_a = [1], contract_b = [0], ...}
 *     %s = reduce %k {(%l)                             map %n, %m {(%i, %j)
 *       %x = index %a, %i, %l                            %s = index %t, %i, %j
 *       %y = index %b, %l, %j                =>          ...
 *       %p = mul %x, %y
 *       yield %p
 *     } {kind = sum}
 *     ...
 *
 * What: a sum whose term is a product of elements of tensors at loop indices alone, each over its whole axis, in the body of
 * maps; and `sum` of a product of broadcasts. Where more than two are multiplied, each of the two sides of the product has
 * one that has all axes of its side, which the others scale, in the order that is written; constants may scale the sum.
 * Sums of two loops as indices are contractions_window.c's.
 * Both sides must have an axis of their own in the result: products with vectors are as well off in the nest that they are
 * in. Before pass `adjoint`, so that the derivatives are contractions too.
 * Never where an extent is known to be less than LEAST (such sums belong into the nest around them), in functions of
 * strict_fp, without optimisation, and through branches and loops other than `map`.
 * Values: sums may be added in another order; products are formed as they are written, since a*(b*c) may overflow where
 * (a*b)*c does not. Cost: linear, times the depth of maps. */
#include "passes/contractions.h"

#include <math.h>
#include <string.h>

static bool has(const Factor *x, uint32_t loop) {
    for (uint32_t i = 0; i < x->n; i++)
        if (x->loop[i] == (int)loop) return true;
    return false;
}

static bool contains(const Factor *t, const Factor *s) {
    for (uint32_t i = 0; i < s->n; i++)
        if (!has(t, (uint32_t)s->loop[i])) return false;
    return true;
}

/* ---- factors ---- */

static bool outside(const Product *p, TdlVal v) { return !ir_defined_in(p->f, v, ir_op(p->f, p->outer)->regions[0]); }

/* The axes of tensor t, indexed by idx. */
static bool factor_of(const Product *p, TdlVal t, const TdlVal *idx, uint32_t n, Factor *x) {
    if (ty_rank(p->m, ir_type(p->f, t)) != n || n == 0 || n > MAX_AXES) return false;
    *x = (Factor){.tensor = t};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t l = 0;
        while (l < p->nloops && p->arg[l].id != idx[i].id) l++;
        if (l == p->nloops || has(x, l) || !dim_eq(p->size[l], ty_dims(p->m, ir_type(p->f, t))[i])) return window_of(p, t, idx, n, x);
        x->loop[x->n++] = (int)l;
    }
    return true;
}

/* An element, possibly of a row of rows. */
static bool element_of(const Product *p, TdlOp o, Factor *x) {
    TdlVal idx[MAX_AXES], t = ir_op(p->f, o)->operands[0];
    uint32_t n = 0;
    for (;;) {
        const TdlOpData *d = ir_op(p->f, o);
        uint32_t more = d->noperands - 1u;
        if (n + more > MAX_AXES) return false;
        for (uint32_t i = n; i-- > 0;) idx[i + more] = idx[i];
        for (uint32_t i = 0; i < more; i++) idx[i] = d->operands[1 + i];
        n += more;
        t = d->operands[0];
        o = ir_val(p->f, t)->def;
        if (outside(p, t)) return factor_of(p, t, idx, n, x);
        if (!o.id || ir_op(p->f, o)->code != OP_INDEX) return false;
    }
}

/* The value of a constant; NULL: it is none. */
static const TdlAttr *constant(const TdlFunc *f, TdlVal v) {
    TdlOp def = ir_val(f, v)->def;
    return def.id && ir_op(f, def)->code == OP_CONST ? op_attr(f, def, "value") : NULL;
}

/* A leaf of the product in maps: a constant or a scalar from outside, or an element. */
static bool leaf_in_maps(const Product *p, TdlVal v, Scale *leaf) {
    *leaf = (Scale){.scalar = v};
    if (outside(p, v) || constant(p->f, v)) return true;
    leaf->scalar = (TdlVal){0};
    TdlOp def = ir_val(p->f, v)->def;
    return def.id && ir_op(p->f, def)->code == OP_INDEX && element_of(p, def, &leaf->by);
}

/* A leaf of a product of whole tensors, whose axis i is loop i of p->number: one of them, or a broadcast. */
static bool leaf_of_tensors(const Product *p, TdlVal v, Scale *leaf) {
    TdlOp def = ir_val(p->f, v)->def;
    bool spread = def.id && ir_op(p->f, def)->code == OP_BROADCAST;
    TdlVal x = spread ? ir_op(p->f, def)->operands[0] : v;
    const TdlAttr *axes = spread ? op_attr(p->f, def, "axes") : NULL;
    uint32_t n = ty_rank(p->m, ir_type(p->f, x));
    *leaf = (Scale){.by = {.tensor = x, .n = n}};
    for (uint32_t i = 0; i < n; i++) {
        leaf->by.loop[i] = p->number[axes ? axes->ints[i] : i];
        if (!dim_eq(p->size[leaf->by.loop[i]], ty_dims(p->m, ir_type(p->f, x))[i])) return false;
    }
    return n > 0;
}

static bool leaf_of(const Product *p, TdlVal v, Scale *leaf) {
    return p->whole ? leaf_of_tensors(p, v, leaf) : leaf_in_maps(p, v, leaf);
}

/* The side times one more: it scales what is there, or is what a single one in front of it scales. */
static bool multiply(Side *s, const Scale *leaf) {
    if (s->n == MAX_FACTORS) return false;
    if (s->found && (leaf->scalar.id || contains(&s->of, &leaf->by))) {
        s->scale[s->n++] = *leaf;
        return true;
    }
    bool first = !s->found && s->n == 0, after = s->found ? s->n == 0 && contains(&leaf->by, &s->of) : s->n == 1;
    if (leaf->scalar.id) {
        if (first) s->scale[s->n++] = *leaf;
        return first;
    }
    if (!first && !after) return false;
    if (s->found) s->scale[s->n++] = (Scale){.by = s->of};
    s->of = leaf->by;
    s->found = true;
    return true;
}

/* v as a chain of multiplications by one leaf after the other. */
static bool set_side(const Product *p, TdlVal v, Side *s, int depth) {
    TdlOp def = ir_val(p->f, v)->def;
    Scale leaf;
    if (leaf_of(p, v, &leaf)) return multiply(s, &leaf);
    if (depth == MAX_FACTORS || !def.id || ir_op(p->f, def)->code != OP_MUL) return false;
    const TdlVal *x = ir_op(p->f, def)->operands;
    bool last = leaf_of(p, x[1], &leaf);
    if (!last && !leaf_of(p, x[0], &leaf)) return false;
    return set_side(p, x[!last], s, depth + 1) && multiply(s, &leaf);
}

/* One that may leave a sum: 0 times what has overflowed would be NaN. */
static bool may_leave(const TdlFunc *f, TdlVal v) {
    const TdlAttr *c = constant(f, v);
    return c && isfinite(c->f) && c->f != 0;
}

/* The term of the sum: two sides, and constants. */
static bool set_term(Product *p, TdlVal v) {
    for (;;) {
        TdlOp def = ir_val(p->f, v)->def;
        if (!def.id || ir_op(p->f, def)->code != OP_MUL) return false;
        const TdlVal *x = ir_op(p->f, def)->operands;
        memset(p->side, 0, sizeof p->side);
        bool ok = true;
        for (int k = 0; k < 2; k++) ok = ok && set_side(p, x[k], &p->side[k], 0) && p->side[k].found;
        if (ok) return true;
        bool second = may_leave(p->f, x[1]);
        if (p->whole || p->nconstants == MAX_FACTORS || !(second || may_leave(p->f, x[0]))) return false;
        p->constant[p->nconstants++] = x[second];
        v = x[!second];
    }
}

/* ---- the contraction ---- */

/* The scalar v where b is: a constant is made there. */
static TdlVal scalar_at(const Product *p, TdlBuilder *b, TdlVal v) {
    return outside(p, v) ? v : ir_const_float(b, ty_elem(p->m, ir_type(p->f, v)), constant(p->f, v)->f);
}

/* The side's tensor, scaled. */
static Factor scaled(const Product *p, const Side *side) {
    Factor t = side->of;
    int64_t axes[MAX_AXES];
    TdlBuilder b = ir_before(p->f, p->outer);
    for (uint32_t k = 0; k < side->n; k++) {
        const Scale *s = &side->scale[k];
        TdlType type = ir_type(p->f, t.tensor);
        for (uint32_t i = 0; i < s->by.n; i++)
            for (uint32_t j = 0; j < t.n; j++)
                if (t.loop[j] == s->by.loop[i]) axes[i] = j;
        TdlVal by = s->scalar.id ? ir_full(&b, scalar_at(p, &b, s->scalar), type) : ir_broadcast(&b, s->by.tensor, type, axes);
        t.tensor = ir_binary(&b, OP_MUL, t.tensor, by);
    }
    return t;
}

/* Elements of the loops that a has and b has not (both: of the sum); 0 where there are none, -1: unknown. */
static int64_t extent(const Product *p, const Factor *a, const Factor *b, bool sum) {
    int64_t n = 0, size;
    for (uint32_t l = 0; l < p->nloops; l++) {
        if (sum ? l < p->nout : !has(a, l) || has(b, l)) continue;
        if (!dim_is_const(p->m, p->size[l], &size)) n = -1;
        else if (n >= 0) n = n ? n * size : size;
    }
    return n;
}

static bool worth_it(const Product *p, const Factor *a, const Factor *b) {
    int64_t n[3] = {extent(p, a, b, false), extent(p, b, a, false), extent(p, a, b, true)};
    for (int i = 0; i < 3; i++)
        if (n[i] >= 0 && n[i] < LEAST) return false;
    for (uint32_t l = p->nout; l < p->nloops; l++)
        if (!has(a, l) || !has(b, l)) return false;
    return true;
}

/* The product of a and b, summed; order[i] becomes the loop of its axis i. */
static TdlVal emit_dot(const Product *p, const Factor *a, const Factor *b, int *order, uint32_t *rank) {
    const Factor *side[2] = {a, b};
    int64_t batch[2][MAX_AXES], sum[2][MAX_AXES];
    TdlDim dims[2 * MAX_AXES];
    uint32_t nb = 0, ns = 0, n = 0;
    for (uint32_t l = 0; l < p->nloops; l++) {
        if (!has(a, l) || !has(b, l)) continue;
        for (int s = 0; s < 2; s++)
            for (uint32_t i = 0; i < side[s]->n; i++)
                if (side[s]->loop[i] == (int)l) (l < p->nout ? batch : sum)[s][l < p->nout ? nb : ns] = i;
        if (l < p->nout) order[n++] = (int)l, nb++;
        else ns++;
    }
    for (int s = 0; s < 2; s++)
        for (uint32_t i = 0; i < side[s]->n; i++)
            if (!has(side[1 - s], (uint32_t)side[s]->loop[i])) order[n++] = side[s]->loop[i];
    for (uint32_t i = 0; i < n; i++) dims[i] = p->size[order[i]];
    TdlType t = ty_tensor(p->m, ty_elem(p->m, ir_type(p->f, a->tensor)), dims, n);
    TdlBuilder at = ir_before(p->f, p->outer);
    TdlOp o = ir_emit(&at, OP_DOT, (TdlVal[]){a->tensor, b->tensor}, 2, &t, 1);
    op_set_ints(p->f, o, "batch_a", batch[0], nb);
    op_set_ints(p->f, o, "batch_b", batch[1], nb);
    op_set_ints(p->f, o, "contract_a", sum[0], ns);
    op_set_ints(p->f, o, "contract_b", sum[1], ns);
    *rank = n;
    return ir_result(p->f, o, 0);
}

/* The two sides, the one of the first axis of the result in front; 0: it is no contraction. */
static TdlVal contract(const Product *p, int *order, uint32_t *rank) {
    const Side *two[2] = {&p->side[0], &p->side[1]};
    if (two[0]->of.windows || two[1]->of.windows) {
        for (*rank = 0; *rank < p->nout; ++*rank) order[*rank] = (int)*rank;
        return window_contract(p, two[0], two[1]);
    }
    if (!worth_it(p, &two[0]->of, &two[1]->of)) return (TdlVal){0};
    for (uint32_t l = 0; l < p->nout; l++) {
        if (has(&two[0]->of, l) == has(&two[1]->of, l)) continue;
        if (has(&two[1]->of, l)) two[0] = &p->side[1], two[1] = &p->side[0];
        break;
    }
    Factor a = scaled(p, two[0]), b = scaled(p, two[1]);
    return emit_dot(p, &a, &b, order, rank);
}

/* ---- sums in maps ---- */

static void note_newdim(void *user, TdlFunc *f, TdlOp o) {
    bool *found = user;
    *found |= ir_op(f, o)->code == OP_NEWDIM;
}

/* The loops of the `depth` maps around o, and its own. */
static bool set_loops(Product *p, TdlOp o, uint32_t depth) {
    TdlOp chain[MAX_AXES + 1];
    bool newdim = false;
    chain[depth] = o;
    for (uint32_t i = depth; i-- > 0;) chain[i] = ir_region(p->f, ir_op(p->f, chain[i + 1])->parent)->parent;
    p->outer = chain[0];
    if (p->newdims) ir_walk(p->f, ir_op(p->f, chain[0])->regions[0], note_newdim, &newdim);
    for (uint32_t i = 0; i <= depth; i++) {
        const TdlOpData *d = ir_op(p->f, chain[i]);
        if (i == depth) p->nout = p->nloops;
        for (uint32_t k = 0; k < d->noperands; k++) {
            if (p->nloops == MAX_AXES || !ir_val_dim(p->f, d->operands[k], &p->size[p->nloops])) return false;
            p->arg[p->nloops++] = ir_region(p->f, d->regions[0])->args.p[k];
        }
    }
    return !newdim;
}

static uint32_t maps_around(const TdlFunc *f, TdlOp o) {
    uint32_t n = 0;
    for (TdlRegion r = ir_op(f, o)->parent; n < MAX_AXES; n++) {
        TdlOp parent = ir_region(f, r)->parent;
        if (!parent.id || ir_op(f, parent)->code != OP_MAP) break;
        r = ir_op(f, parent)->parent;
    }
    return n;
}

static bool yields_alone(const TdlFunc *f, TdlOp map, TdlVal v) {
    const TdlOpData *end = ir_op(f, ir_terminator(f, ir_op(f, map)->regions[0]));
    return ir_op(f, map)->nresults == 1 && end->operands[0].id == v.id;
}

/* Puts the element of t, whose axis i goes with loop order[i], in the place of v, the result of a sum in maps; where the
 * maps give nothing else, t itself in the place of theirs. */
static void put(Product *p, TdlOp o, TdlVal t, const int *order, uint32_t rank, TdlVal *map) {
    TdlVal v = ir_result(p->f, o, 0), idx[MAX_AXES];
    TdlOp whole = o;
    bool sorted = rank == p->nout && !p->nconstants;
    for (uint32_t i = 0; i < rank; i++) sorted = sorted && order[i] == (int)i;
    while (sorted && whole.id != p->outer.id) {
        TdlOp parent = ir_region(p->f, ir_op(p->f, whole)->parent)->parent;
        if (!yields_alone(p->f, parent, ir_result(p->f, whole, 0))) sorted = false;
        else whole = parent;
    }
    ir_op(p->f, ir_val(p->f, t)->def)->grad_fn = ir_op(p->f, sorted ? whole : o)->grad_fn;
    if (sorted) {
        map[ir_result(p->f, whole, 0).id] = t;
        return;
    }
    TdlBuilder b = ir_before(p->f, o);
    for (uint32_t i = 0; i < rank; i++) idx[i] = p->arg[order[i]];
    TdlVal e = ir_index(&b, t, idx, rank);
    op_set_int(p->f, ir_val(p->f, e)->def, "inbounds", 1);
    for (uint32_t i = 0; i < p->nconstants; i++) e = ir_binary(&b, OP_MUL, e, scalar_at(p, &b, p->constant[i]));
    map[v.id] = e;
}

/* From the outermost map on whose body the factors do not depend. */
static bool sum_in_maps(TdlFunc *f, TdlOp o, bool newdims, TdlVal *map) {
    const char *kind = op_str(f, o, "kind");
    TdlVal term = ir_op(f, ir_terminator(f, ir_op(f, o)->regions[0]))->operands[0];
    if (!kind || strcmp(kind, "sum") != 0 || op_int(f, o, "filter", 0)) return false;
    for (uint32_t depth = maps_around(f, o); depth > 0; depth--) {
        Product p = {.m = f->module, .f = f, .newdims = newdims};
        int order[2 * MAX_AXES];
        uint32_t rank = 0;
        if (!set_loops(&p, o, depth) || !set_term(&p, term)) continue;
        TdlVal t = contract(&p, order, &rank);
        if (!t.id) return false;
        put(&p, o, t, order, rank, map);
        return true;
    }
    return false;
}

/* ---- whole tensors ---- */

static bool sum_of_broadcasts(TdlFunc *f, TdlOp o, TdlVal *map) {
    Product p = {.m = f->module, .f = f, .outer = o, .whole = true};
    TdlVal x = ir_op(f, o)->operands[0], r = ir_result(f, o, 0);
    int order[2 * MAX_AXES];
    int64_t perm[MAX_AXES];
    uint32_t n = ty_rank(p.m, ir_type(f, x)), rank = 0;
    bool sorted = true;
    if (n > MAX_AXES) return false;
    for (int summed = 0; summed < 2; summed++) {
        if (summed) p.nout = p.nloops;
        for (uint32_t i = 0; i < n; i++)
            if (op_has_int(f, o, "axes", i) == summed) p.size[p.number[i] = (int)p.nloops++] = ty_dims(p.m, ir_type(f, x))[i];
    }
    if (!set_term(&p, x)) return false;
    TdlVal t = contract(&p, order, &rank);
    if (!t.id || rank != p.nout) return false;
    for (uint32_t i = 0; i < rank; i++) {
        sorted = sorted && order[i] == (int)i;
        perm[order[i]] = i;
    }
    ir_op(f, ir_val(f, t)->def)->grad_fn = ir_op(f, o)->grad_fn;
    if (!sorted) {
        TdlType type = ir_type(f, r);
        TdlBuilder b = ir_before(f, o);
        TdlOp moved = ir_emit(&b, OP_PERMUTE, &t, 1, &type, 1);
        op_set_ints(f, moved, "perm", perm, rank);
        t = ir_result(f, moved, 0);
    }
    map[r.id] = t;
    return true;
}

/* ---- the pass ---- */

typedef struct { TdlVal *map; uint32_t nvals; bool changed, newdims; } Search;

static void visit(void *user, TdlFunc *f, TdlOp o) {
    Search *s = user;
    const TdlOpData *d = ir_op(f, o);
    if (d->nresults != 1) return;
    TdlType t = ir_type(f, d->results[0]);
    if (ty_elem(f->module, t) != EL_F32 && ty_elem(f->module, t) != EL_F64) return;
    if (d->code == OP_REDUCE && ty_is_scalar(f->module, t)) s->changed |= sum_in_maps(f, o, s->newdims, s->map);
    if (d->code == OP_SUM) s->changed |= sum_of_broadcasts(f, o, s->map);
}

bool pass_contractions(TdlModule *m, const TdlPassOptions *opt) {
    if (opt->strict_fp || opt->opt_level < 1) return true;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        TdlFunc *f = m->funcs.p[i];
        Search s = {.nvals = f->vals.n};
        s.map = ARENA_ARRAY(&scratch, TdlVal, s.nvals);
        if (!f->symbol) ir_walk(f, f->body, note_newdim, &s.newdims);
        if (!f->symbol) ir_walk(f, f->body, visit, &s);
        if (s.changed) ir_replace_all(f, s.map, s.nvals);
        arena_free(&scratch);
    }
    return true;
}
