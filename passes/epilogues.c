/* What follows a contraction and reads its result element by element becomes a part of it.
 *
 *   %t = alloc : buf<f64[n, m]>
 *   contract %t, %a, %b, %room {...}                      contract %y, %a, %b, %room {accumulate = 1, ...}
 *   for %zero, %n {(%i) for %zero, %m {(%j)
 *     store (load %y, %i, %j) + (load %t, %i, %j)    =>
 *   } }
 *
 * What: a nest over all of the result, in the order of its axes, that reads it next; nothing between the two changes what
 * the contraction reads, and neither does the nest. Where it alone reads the result and only adds it, the contraction does: so
 * cotangents of weights are added to where they live, step by step. Any other nest takes turns with the contraction, ROWS
 * rows at a time, while they are in the cache; a result that nothing else reads never lies in memory as a whole.
 * Values: a sum of more products than the kernels take at once is added part by part. Cost: linear. */
#include "passes/pass.h"

enum {
    MAX_RANK = 64,
    ROWS = 256,         /* of a turn: what the contraction packs for each is little of it */
    THREADS_ROWS = 128, /* where threads share the turns: more than CONTRACT_PACK_ROWS, so that turns pack */
    FAR = 256           /* operations that are looked at */
};

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    uint32_t *uses;
    int64_t rows;       /* of a turn */
} Epilogues;

static TdlOp none(void) { return (TdlOp){0}; }

/* The memory that v is a view of: an allocation that stands for a destination is that destination. */
static TdlVal memory_of(const TdlFunc *f, TdlVal v) {
    v = ir_viewed(f, v);
    TdlOp def = ir_val(f, v)->def;
    return def.id && ir_op(f, def)->code == OP_ALLOC && ir_op(f, def)->noperands ? ir_op(f, def)->operands[0] : v;
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
    TdlVal a = memory_of(f, x), b = memory_of(f, y);
    return known(f, a) && known(f, b) && a.id != b.id && !lies_over(f, a, b) && !lies_over(f, b, a);
}

/* Operand i of o, a buffer, is only read. */
static bool only_read(const TdlOpData *d, uint32_t i) {
    switch ((int)d->code) {
    case OP_LOAD: case OP_VIEW: case OP_PRINT: return true;
    case OP_COPY: case OP_CONTRACT: case OP_LANESUM: return i > 0;
    default: return false;
    }
}

/* Could o change what the contraction reads, or use what it writes by another name? Views count where they are used. */
static bool stops(const TdlFunc *f, TdlOp o, TdlOp contraction) {
    const TdlOpData *d = ir_op(f, o), *c = ir_op(f, contraction);
    if (d->code == OP_MARK || d->code == OP_RELEASE || d->code == OP_CALL) return true;
    for (uint32_t i = 0; i < d->noperands; i++) {
        if (ty_kind(f->module, ir_type(f, d->operands[i])) != TY_BUF || d->code == OP_VIEW) continue;
        if (!apart(f, d->operands[i], c->operands[0])) return true;
        if (only_read(d, i)) continue;
        if (!apart(f, d->operands[i], c->operands[1]) || !apart(f, d->operands[i], c->operands[2])) return true;
    }
    for (uint32_t k = 0; k < d->nregions; k++)
        IR_FOREACH_OP(f, d->regions[k], x)
            if (stops(f, x, contraction)) return true;
    return false;
}

static bool uses_value(const TdlFunc *f, TdlOp o, TdlVal v) {
    const TdlOpData *d = ir_op(f, o);
    for (uint32_t i = 0; i < d->noperands; i++)
        if (d->operands[i].id == v.id) return true;
    for (uint32_t k = 0; k < d->nregions; k++)
        IR_FOREACH_OP(f, d->regions[k], x)
            if (uses_value(f, x, v)) return true;
    return false;
}

/* The first operation behind a contraction that reads its result t, where the contraction may as well stand in front of
 * it. */
static TdlOp reader(const TdlFunc *f, TdlOp contraction, TdlVal t) {
    uint32_t n = 0;
    for (TdlOp o = ir_op(f, contraction)->next; o.id && n++ < FAR; o = ir_op(f, o)->next) {
        if (uses_value(f, o, t)) return o;
        if (stops(f, o, contraction)) break;
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

/* A contraction and the nest behind it. */
typedef struct { TdlOp op, alloc, nest; TdlVal t, idx[MAX_RANK]; TdlRegion body; uint32_t rank; } Pair;

static bool find_pair(const Epilogues *e, TdlOp o, Pair *p) {
    const TdlFunc *f = e->f;
    *p = (Pair){.op = o, .t = ir_op(f, o)->operands[0]};
    p->nest = reader(f, o, p->t);
    TdlOp def = ir_val(f, p->t)->def;
    /* Its own buffer, which may go. */
    if (def.id && ir_op(f, def)->code == OP_ALLOC && !ir_op(f, def)->noperands && !op_attr(f, def, "saved")) p->alloc = def;
    p->rank = ty_rank(e->m, ir_type(f, p->t));
    if (op_int(f, o, "accumulate", 0) || ir_op(f, o)->noperands != 4 || !p->nest.id || p->rank > MAX_RANK) return false;
    return nest_over(e, p->nest, ir_type(f, p->t), p->idx, &p->body);
}

static bool accumulate(Epilogues *e, const Pair *p) {
    TdlFunc *f = e->f;
    const TdlOpData *d = ir_op(f, p->op);
    TdlVal y = p->alloc.id && e->uses[p->t.id] == 2 ? added_to(e, p->body, p->t, p->idx) : (TdlVal){0};
    if (!y.id || ir_defined_in(f, y, ir_op(f, p->nest)->regions[0]) || !ty_eq(ir_type(f, y), ir_type(f, p->t))) return false;
    if (!apart(f, y, d->operands[1]) || !apart(f, y, d->operands[2])) return false;
    ir_move_before(f, p->op, p->nest); /* y may be made in between */
    ir_op(f, p->op)->operands[0] = y;
    op_set_int(f, p->op, "accumulate", 1);
    ir_remove(f, p->nest);
    ir_remove(f, p->alloc);
    return true;
}

/* ---- by turns ---- */

static bool all_parallel(const TdlFunc *f, const Pair *p) {
    TdlRegion r = p->body;
    for (uint32_t i = 0; i < p->rank; i++) {
        TdlOp loop = ir_region(f, r)->parent;
        if (!op_int(f, loop, "parallel", 0)) return false;
        r = ir_op(f, loop)->parent;
    }
    return true;
}

/* Reads and writes t at the nest's indices alone, and writes nothing that the contraction reads. */
static bool element_by_element(const Epilogues *e, const Pair *p, bool *alone) {
    const TdlFunc *f = e->f;
    const TdlOpData *c = ir_op(f, p->op);
    uint32_t reads = 0;
    IR_FOREACH_OP(f, p->body, o) {
        const TdlOpData *d = ir_op(f, o);
        if (d->code == OP_LOAD) {
            if (d->operands[0].id != p->t.id && apart(f, d->operands[0], p->t)) continue;
            if (d->operands[0].id != p->t.id || !at(f, o, 1, p->idx, p->rank)) return false;
            reads++;
        } else if (d->code == OP_STORE) {
            if (!apart(f, d->operands[1], c->operands[1]) || !apart(f, d->operands[1], c->operands[2])) return false;
            if (d->operands[1].id != p->t.id && apart(f, d->operands[1], p->t)) continue;
            if (d->operands[1].id != p->t.id || !at(f, o, 2, p->idx, p->rank)) return false;
        } else if (d->nregions || (d->code != OP_YIELD && !(op_info(d->code)->flags & OPF_PURE))) {
            return false;
        }
    }
    *alone = p->alloc.id && e->uses[p->t.id] == reads + 1;
    return reads > 0;
}

/* t is the rows of a turn, or all where they are fewer, and the nest reads rows lo.. of the whole at its beginning. */
static void shrink(Epilogues *e, const Pair *p, TdlVal lo) {
    TdlFunc *f = e->f;
    TdlDim dims[MAX_RANK];
    TdlType t = ir_type(f, p->t);
    for (uint32_t i = 0; i < p->rank; i++) dims[i] = i ? ty_dims(e->m, t)[i] : dim_min(e->m, ty_dims(e->m, t)[0], e->rows);
    ir_val(f, p->t)->type = ty_buf(e->m, ty_tensor(e->m, ty_elem(e->m, t), dims, p->rank));
    TdlBuilder b = ir_before(f, ir_region(f, p->body)->first);
    TdlVal row = ir_binary(&b, OP_SUB, p->idx[0], lo);
    IR_FOREACH_OP(f, p->body, o)
        if (ir_op(f, o)->code == OP_LOAD && ir_op(f, o)->operands[0].id == p->t.id) ir_op(f, o)->operands[1] = row;
}

/* Rows lo.. of t. */
static TdlVal rows_of(Epilogues *e, TdlBuilder *b, const Pair *p, TdlVal lo) {
    TdlDim dims[MAX_RANK], row = dim_const(e->m, 1);
    TdlType t = ir_type(e->f, p->t);
    for (uint32_t i = 0; i < p->rank; i++) {
        dims[i] = i ? ty_dims(e->m, t)[i] : dim_const(e->m, e->rows);
        if (i) row = dim_mul(e->m, row, dims[i]);
    }
    TdlType part = ty_buf(e->m, ty_tensor(e->m, ty_elem(e->m, t), dims, p->rank));
    TdlVal ops[2] = {p->t, ir_binary(b, OP_MUL, lo, ir_dim(b, row))};
    TdlOp view = ir_emit(b, OP_VIEW, ops, 2, &part, 1);
    op_set_int(e->f, view, "flat", 1);
    return ir_result(e->f, view, 0);
}

/* What one turn packs into, and the rows that nothing else reads, are its own: turns are independent. */
static void make_own(Epilogues *e, const Pair *p, TdlRegion body, bool alone) {
    TdlFunc *f = e->f;
    TdlOp room = ir_val(f, ir_op(f, p->op)->operands[3])->def, first = ir_region(f, body)->first;
    bool moves = room.id && ir_op(f, room)->code == OP_ALLOC && !ir_op(f, room)->noperands && e->uses[ir_op(f, p->op)->operands[3].id] == 1;
    if (!moves) return;
    ir_move_before(f, room, first);
    if (alone) ir_move_before(f, p->alloc, first);
    op_set_int(f, ir_region(f, body)->parent, "parallel", 1);
}

static bool take_turns(Epilogues *e, const Pair *p) {
    TdlFunc *f = e->f;
    int64_t n;
    bool alone;
    if (p->rank < 2 || !all_parallel(f, p) || !element_by_element(e, p, &alone)) return false;
    TdlDim rows = ty_dims(e->m, ir_type(f, p->t))[0];
    if (dim_is_const(e->m, rows, &n) && n <= e->rows) return false;
    TdlBuilder b = ir_before(f, p->nest);
    b.span = ir_op(f, p->nest)->span;
    TdlDim turns = dim_floordiv(e->m, dim_add(e->m, rows, dim_const(e->m, e->rows - 1)), e->rows);
    TdlVal ops[2] = {ir_const_int(&b, EL_I64, 0), ir_dim(&b, turns)}, all = ir_dim(&b, rows), size = ir_const_int(&b, EL_I64, e->rows);
    TdlOp loop = ir_emit(&b, OP_FOR, ops, 2, NULL, 0);
    TdlRegion body = ir_op(f, loop)->regions[0];
    TdlVal turn = ir_region_arg(f, body, ty_scalar(e->m, EL_I64), SYM_NONE);
    TdlBuilder in = ir_at_end(f, body, b.span);
    TdlVal lo = ir_binary(&in, OP_MUL, turn, size), hi = ir_binary(&in, OP_MIN, ir_binary(&in, OP_ADD, lo, size), all);
    if (alone) shrink(e, p, lo);
    else ir_op(f, p->op)->operands[0] = rows_of(e, &in, p, lo);
    ir_move_to_end(f, p->op, body);
    ir_add_operand(f, p->op, lo);
    ir_add_operand(f, p->op, hi);
    ir_move_to_end(f, p->nest, body);
    ir_op(f, p->nest)->operands[0] = lo;
    ir_op(f, p->nest)->operands[1] = hi;
    in = ir_at_end(f, body, b.span);
    ir_emit(&in, OP_YIELD, NULL, 0, NULL, 0);
    make_own(e, p, body, alone);
    return true;
}

static void visit(Epilogues *e, TdlRegion r) {
    TdlOp next;
    for (TdlOp o = ir_region(e->f, r)->first; o.id; o = next) {
        Pair p;
        for (uint32_t k = 0; k < ir_op(e->f, o)->nregions; k++) visit(e, ir_op(e->f, o)->regions[k]);
        next = ir_op(e->f, o)->next;
        if (ir_op(e->f, o)->code != OP_CONTRACT || !find_pair(e, o, &p)) continue;
        TdlOp behind = ir_op(e->f, p.nest)->next;
        bool first = next.id == p.nest.id; /* which goes */
        if ((accumulate(e, &p) || take_turns(e, &p)) && first) next = behind;
    }
}

bool pass_epilogues(TdlModule *m, const TdlPassOptions *opt) {
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        TdlFunc *f = m->funcs.p[i];
        if (f->symbol) continue;
        arena_init_like(&scratch, m->arena);
        Epilogues e = {.m = m, .f = f, .uses = ir_use_counts(f, &scratch), .rows = opt->openmp ? THREADS_ROWS : ROWS};
        visit(&e, f->body);
        arena_free(&scratch);
    }
    return true;
}
