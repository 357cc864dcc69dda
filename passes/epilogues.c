/* What follows a contraction and only adds its result to something becomes a part of it.
 *
 *   %t = alloc : buf<f64[n, m]>
 *   contract %t, %a, %b, %room {...}                      contract %y, %a, %b, %room {accumulate = 1, ...}
 *   for %zero, %n {(%i) for %zero, %m {(%j)
 *     store (load %y, %i, %j) + (load %t, %i, %j)    =>
 *   } }
 *
 * What: the nest goes over all of the result, in the order of its axes, and is the only reader of it; nothing with an effect
 * stands between the two; the other buffer is none that the contraction reads. So cotangents of weights are added to
 * where they live, step by step.
 * Values: a sum of more products than the kernels take at once is added part by part. Cost: linear. */
#include "passes/pass.h"

enum { MAX_RANK = 64 };

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    uint32_t *uses;
} Epilogues;

static TdlOp none(void) { return (TdlOp){0}; }

/* The buffer that v is a view of. */
static TdlVal root_of(const TdlFunc *f, TdlVal v) {
    for (;;) {
        TdlOp def = ir_val(f, v)->def;
        if (!def.id || ir_op(f, def)->noperands == 0) return v;
        TdlOpcode code = ir_op(f, def)->code;
        if (code != OP_VIEW && code != OP_ALLOC) return v;
        v = ir_op(f, def)->operands[0];
    }
}

/* May the destination `to` be the memory of the input `from`? */
static bool lies_over(const TdlFunc *f, TdlVal to, TdlVal from) {
    const TdlVals *args = &ir_region(f, f->body)->args;
    for (uint32_t i = 0; i < f->params.n; i++)
        for (uint32_t k = 0; args->p[i].id == to.id && k < f->params.p[i].over.n; k++)
            if (args->p[f->params.p[i].over.p[k]].id == from.id) return true;
    return false;
}

/* Memory of its own: an allocation or a parameter, not a pointer that a loop carries or that a stack gave. */
static bool known(const TdlFunc *f, TdlVal root) {
    TdlOp def = ir_val(f, root)->def;
    if (def.id) return ir_op(f, def)->code == OP_ALLOC;
    return ir_val(f, root)->region.id == f->body.id;
}

static bool apart(const TdlFunc *f, TdlVal x, TdlVal y) {
    TdlVal a = root_of(f, x), b = root_of(f, y);
    return known(f, a) && known(f, b) && a.id != b.id && !lies_over(f, a, b) && !lies_over(f, b, a);
}

/* The next operation of the region that does something. */
static TdlOp next_effect(const TdlFunc *f, TdlOp o) {
    for (o = ir_op(f, o)->next; o.id; o = ir_op(f, o)->next) {
        const TdlOpData *d = ir_op(f, o);
        if (d->nregions || (d->code != OP_ALLOC && !(op_info(d->code)->flags & OPF_PURE))) return o;
    }
    return none();
}

/* A nest over all elements of a buffer of type t: its indices; false: it is none. *body is the innermost region. */
static bool nest_over(const Epilogues *e, TdlOp o, TdlType t, TdlVal *idx, TdlRegion *body) {
    const TdlFunc *f = e->f;
    uint32_t rank = ty_rank(e->m, t);
    for (uint32_t i = 0; i < rank; i++) {
        const TdlOpData *d = ir_op(f, o);
        TdlDim lo, hi;
        int64_t zero;
        if (d->code != OP_FOR || d->noperands != 2 || op_int(f, o, "exit", 0) || op_int(f, o, "down", 0)) return false;
        if (!ir_val_dim(f, d->operands[0], &lo) || !dim_is_const(e->m, lo, &zero) || zero != 0) return false;
        if (!ir_val_dim(f, d->operands[1], &hi) || !dim_eq(hi, ty_dims(e->m, t)[i])) return false;
        *body = d->regions[0];
        idx[i] = ir_region(f, *body)->args.p[0];
        if (i + 1 == rank) return true;
        /* Nothing but the next loop and what it needs of constants. */
        TdlOp inner = none();
        IR_FOREACH_OP(f, *body, x) {
            if (ir_op(f, x)->code == OP_FOR && !inner.id) inner = x;
            else if (ir_op(f, x)->code != OP_YIELD && !(op_info(ir_op(f, x)->code)->flags & OPF_PURE)) return false;
        }
        if (!inner.id) return false;
        o = inner;
    }
    return false;
}

static bool at(const TdlFunc *f, TdlOp o, uint32_t first, const TdlVal *idx, uint32_t rank) {
    const TdlOpData *d = ir_op(f, o);
    for (uint32_t i = 0; i < rank; i++)
        if (d->operands[first + i].id != idx[i].id) return false;
    return d->noperands == first + rank;
}

/* The load of x at idx that v is. */
static bool loads(const TdlFunc *f, TdlVal v, TdlVal x, const TdlVal *idx, uint32_t rank) {
    TdlOp def = ir_val(f, v)->def;
    return def.id && ir_op(f, def)->code == OP_LOAD && ir_op(f, def)->operands[0].id == x.id && at(f, def, 1, idx, rank);
}

/* What the body adds t to, element by element; 0: it does something else. */
static TdlVal added_to(const Epilogues *e, TdlRegion body, TdlVal t, const TdlVal *idx) {
    const TdlFunc *f = e->f;
    uint32_t rank = ty_rank(e->m, ir_type(f, t)), n = 0;
    TdlOp store = none();
    IR_FOREACH_OP(f, body, o) {
        if (ir_op(f, o)->code == OP_STORE) store = o;
        n += !(op_info(ir_op(f, o)->code)->flags & OPF_PURE);
    }
    if (n != 4 || !store.id) return (TdlVal){0}; /* two loads, the store, the yield */
    TdlVal y = ir_op(f, store)->operands[1];
    TdlOp add = ir_val(f, ir_op(f, store)->operands[0])->def;
    if (!add.id || ir_op(f, add)->code != OP_ADD || !at(f, store, 2, idx, rank)) return (TdlVal){0};
    const TdlVal *x = ir_op(f, add)->operands;
    bool fits = (loads(f, x[0], y, idx, rank) && loads(f, x[1], t, idx, rank)) || (loads(f, x[1], y, idx, rank) && loads(f, x[0], t, idx, rank));
    return fits && y.id != t.id ? y : (TdlVal){0};
}

static void accumulate(Epilogues *e, TdlOp o) {
    TdlFunc *f = e->f;
    const TdlOpData *d = ir_op(f, o);
    TdlVal t = d->operands[0], idx[MAX_RANK];
    TdlOp alloc = ir_val(f, t)->def, nest = next_effect(f, o);
    TdlRegion body;
    /* Its own buffer, used here and in the nest. */
    if (!alloc.id || ir_op(f, alloc)->code != OP_ALLOC || ir_op(f, alloc)->noperands || e->uses[t.id] != 2) return;
    if (op_int(f, o, "accumulate", 0) || !nest.id || ty_rank(e->m, ir_type(f, t)) > MAX_RANK) return;
    if (!nest_over(e, nest, ir_type(f, t), idx, &body)) return;
    TdlVal y = added_to(e, body, t, idx);
    if (!y.id || ir_defined_in(f, y, ir_op(f, nest)->regions[0]) || !ty_eq(ir_type(f, y), ir_type(f, t))) return;
    if (!apart(f, y, d->operands[1]) || !apart(f, y, d->operands[2])) return;
    ir_move_before(f, o, nest); /* y may be made in between */
    ir_op(f, o)->operands[0] = y;
    op_set_int(f, o, "accumulate", 1);
    ir_remove(f, nest);
    ir_remove(f, alloc);
}

static void visit(Epilogues *e, TdlRegion r) {
    IR_FOREACH_OP(e->f, r, o) {
        if (ir_op(e->f, o)->code == OP_CONTRACT) {
            accumulate(e, o);
            o_next_ = ir_op(e->f, o)->next; /* it may have moved */
        }
        for (uint32_t k = 0; k < ir_op(e->f, o)->nregions; k++) visit(e, ir_op(e->f, o)->regions[k]);
    }
}

bool pass_epilogues(TdlModule *m, const TdlPassOptions *opt) {
    (void)opt;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        TdlFunc *f = m->funcs.p[i];
        if (f->symbol) continue;
        arena_init_like(&scratch, m->arena);
        Epilogues e = {.m = m, .f = f, .uses = ir_use_counts(f, &scratch)};
        visit(&e, f->body);
        arena_free(&scratch);
    }
    return true;
}
