/* How many lanes a vector loop gets, which loops inside are unrolled, and the change itself. */
#include "passes/loops.h"
#include "passes/vector.h"

enum {
    GROUP = 4,           /* registers of lanes at once: 2 multiply-adds a cycle that each take 4 wait for 8 */
    MOST_OPS = 2000,     /* vector instructions of a body with its loops unrolled */
    MOST_APART = 2,      /* times as dear by accesses lane by lane: these are most of the work */
    MOST_FORKS = 2,      /* branches under masks: more of them are independent work enough, and a mask takes a register for each */
    MOST_FUNCTIONS = 8,  /* elementary functions on a register, in a loop inside another: its rows may be shorter than a group */
    LONG_FUNCTIONS = 16, /* in an outermost loop: they wait for each other, what is computed beside them does not */
    OTHER_REGISTERS = 4  /* beside private buffers */
};

/* ---- loops of known bounds ---- */

/* The value of a bound; of an index of a loop to be unrolled, its average. */
static bool known(const Vec *v, TdlVal x, double *n) {
    const TdlValData *d = ir_val(v->f, x);
    double a = 0, b = 0;
    if (!d->def.id) {
        TdlOp loop = d->region.id ? ir_region(v->f, d->region)->parent : (TdlOp){0};
        if (!loop.id || d->index || !op_int(v->f, loop, "unroll", 0)) return false;
        const TdlOpData *o = ir_op(v->f, loop);
        if (!known(v, o->operands[0], &a) || !known(v, o->operands[1], &b)) return false;
        return *n = (a + b) / 2, true;
    }
    const TdlOpData *o = ir_op(v->f, d->def);
    if (o->code == OP_CONST) return *n = (double)op_int(v->f, d->def, "value", 0), true;
    if (o->code != OP_ADD && o->code != OP_SUB) return false;
    if (!known(v, o->operands[0], &a) || !known(v, o->operands[1], &b)) return false;
    return *n = o->code == OP_ADD ? a + b : a - b, true;
}

static bool known_trips(const Vec *v, TdlOp loop, double *n) {
    double lo = 0, hi = 0;
    const TdlOpData *d = ir_op(v->f, loop);
    if (op_int(v->f, loop, "exit", 0) || !known(v, d->operands[0], &lo) || !known(v, d->operands[1], &hi)) return false;
    return *n = hi > lo ? hi - lo : 0, true;
}

/* Instructions of a region on one register of lanes where its loops of known bounds that are marked are unrolled. */
static double unrolled_ops(const Vec *v, TdlRegion r) {
    double n = 0, trips;
    IR_FOREACH_OP(v->f, r, o) {
        const TdlOpData *d = ir_op(v->f, o);
        double inner = 0;
        for (uint32_t i = 0; i < d->nregions; i++) inner += unrolled_ops(v, d->regions[i]);
        bool copies = d->code == OP_FOR && op_int(v->f, o, "unroll", 0) && known_trips(v, o, &trips);
        n += copies ? trips * inner : inner;
        bool memory = d->code == OP_LOAD || d->code == OP_STORE;
        if (memory || (d->nresults == 1 && v->varying[d->results[0].id])) n += memory && vec_apart(v, o) ? VEC_PRICE : 1;
    }
    return n;
}

/* Keeps the mark on loops whose copies fit into *ops; false: some loop stays one. */
static bool unroll(Vec *v, TdlRegion r, double *ops) {
    bool all = true;
    IR_FOREACH_OP(v->f, r, o) {
        double trips, cost;
        for (uint32_t i = 0; i < ir_op(v->f, o)->nregions; i++) {
            TdlRegion inner = ir_op(v->f, o)->regions[i];
            if (ir_op(v->f, o)->code != OP_FOR) {
                all &= unroll(v, inner, ops);
                continue;
            }
            bool fits = known_trips(v, o, &trips) && trips <= LOOP_UNROLLED && (cost = trips * unrolled_ops(v, inner)) <= *ops;
            double within = fits ? MOST_OPS : *ops;   /* what is inside was counted with it */
            if (fits) *ops -= cost;
            else op_unset(v->f, o, "unroll");
            all &= unroll(v, inner, &within) && fits;
            if (!fits) *ops = within;
        }
    }
    return all;
}

/* A loop that is short stays one, as what is in it is large: as if all were unrolled. */
static bool leaves_short(const Vec *v) {
    double trips;
    for (uint32_t i = 0; i < v->loops.n; i++) {
        TdlOp o = v->loops.p[i];
        if (!op_int(v->f, o, "unroll", 0) && known_trips(v, o, &trips) && trips <= LOOP_UNROLLED) return true;
    }
    return false;
}

/* ---- how many lanes ---- */

static uint32_t elem_bytes(const Vec *v, TdlVal x) { return el_bytes(ty_elem(v->m, ir_type(v->f, x))); }

/* Bytes of the widest floats that differ between lanes; integers are mostly indices. */
static uint32_t widest(const Vec *v, TdlRegion r) {
    uint32_t most = 0;
    IR_FOREACH_OP(v->f, r, o) {
        const TdlOpData *d = ir_op(v->f, o);
        for (uint32_t i = 0; i < d->nregions; i++) {
            uint32_t n = widest(v, d->regions[i]);
            if (n > most) most = n;
        }
        if (d->nresults != 1 || !v->varying[d->results[0].id] || !ty_is_float(v->m, ir_type(v->f, d->results[0]))) continue;
        if (elem_bytes(v, d->results[0]) > most) most = elem_bytes(v, d->results[0]);
    }
    return most;
}

/* Something in the body is done lane by lane. */
static bool has_scalars(const Vec *v, TdlRegion r) {
    IR_FOREACH_OP(v->f, r, o) {
        const TdlOpData *d = ir_op(v->f, o);
        for (uint32_t i = 0; i < d->nregions; i++)
            if (has_scalars(v, d->regions[i])) return true;
        bool computes = op_info(d->code)->flags & OPF_ELEMENTWISE && ty_is_float(v->m, ir_type(v->f, d->operands[0]));
        if (computes && v->varying[d->results[0].id] && !ir_in_lanes(v->f, o)) return true;
    }
    return false;
}

static uint32_t functions(const Vec *v, TdlRegion r) {
    uint32_t n = 0;
    IR_FOREACH_OP(v->f, r, o) {
        const TdlOpData *d = ir_op(v->f, o);
        for (uint32_t i = 0; i < d->nregions; i++) n += functions(v, d->regions[i]);
        n += op_info(d->code)->flags & OPF_FUNCTION && v->varying[d->results[0].id];
    }
    return n;
}

/* Elements of the private buffers that become registers. */
static double private_values(const Vec *v) {
    double n = 0;
    for (uint32_t i = 0; i < v->allocs.n; i++) {
        int64_t c = 0;
        TdlType t = ir_type(v->f, ir_op(v->f, v->allocs.p[i])->results[0]);
        if (op_int(v->f, v->allocs.p[i], "local", 0) && dim_is_const(v->m, ty_numel(v->m, t), &c)) n += (double)c;
    }
    return n;
}

/* Some loop but the one over the chunks of threads has the loop that was looked at in it. */
static bool is_inner(const Vec *v) {
    TdlOp around = ir_region(v->f, ir_op(v->f, v->loop)->parent)->parent;
    while (around.id && (ir_op(v->f, around)->code == OP_IF || op_attr(v->f, around, "threads")))
        around = ir_region(v->f, ir_op(v->f, around)->parent)->parent;
    return around.id != 0;
}

/* The sizes of groups of iterations: so many registers at once that one chain of additions does not wait for itself, fewer
 * where the values of unrolled loops would not fit into the registers; then one register. */
static void choose_lanes(Vec *v) {
    uint32_t bytes = widest(v, v->body);
    uint32_t one = v->bytes / (bytes < 4 ? 8 : bytes), n = GROUP;
    if (has_scalars(v, v->body) || v->forks > MOST_FORKS || v->cost > MOST_APART * v->count) n = 1;
    for (uint32_t i = 0; i < v->loops.n; i++) op_set_int(v->f, v->loops.p[i], "unroll", 1);
    double ops = MOST_OPS, trips, registers = v->bytes == 64 ? 32 : 16;
    bool flat = unroll(v, v->body, &ops);
    double all = unrolled_ops(v, v->body);
    while (n > 1 && (flat || leaves_short(v)) && (n * (private_values(v) + OTHER_REGISTERS) > registers || n * all > MOST_OPS)) n /= 2;
    while (n > 1 && n * functions(v, v->body) > (is_inner(v) ? MOST_FUNCTIONS : LONG_FUNCTIONS)) n /= 2;
    v->lanes = n * one;
    if (known_trips(v, v->loop, &trips))
        while (v->lanes > 2 && v->lanes > trips) v->lanes /= 2;
    v->one = one < v->lanes ? one : v->lanes;
}

/* ---- the change ---- */

TdlDim vec_slot(Vec *v, TdlOp o, TdlType t, uint32_t lanes) {
    TdlModule *m = v->m;
    TdlDim *end = ir_threads_around(v->f, ir_op(v->f, o)->parent).id ? &v->f->chunk : &v->f->workspace;
    TdlDim at = end->id ? *end : dim_const(m, 0);
    TdlDim bytes = dim_mul(m, ty_numel(m, t), dim_const(m, (int64_t)el_bytes(ty_elem(m, t)) * lanes));
    TdlDim up = dim_mul(m, dim_floordiv(m, dim_add(m, bytes, dim_const(m, 63)), 64), dim_const(m, 64));
    *end = dim_add(m, at, up);
    return at;
}

static void give_lanes(Vec *v, TdlOp alloc) {
    op_set_int(v->f, alloc, "lanes", v->lanes);
    if (op_int(v->f, alloc, "local", 0)) return;
    op_set_dim(v->f, alloc, "offset", vec_slot(v, alloc, ir_type(v->f, ir_op(v->f, alloc)->results[0]), v->lanes));
}

static void drop_prefix(Vec *v, TdlOp o, uint32_t at, TdlVal private, uint32_t prefix) {
    const TdlOpData *d = ir_op(v->f, o);
    TdlVal *list = ARENA_ARRAY(v->a, TdlVal, d->noperands);
    uint32_t n = 0;
    for (uint32_t i = 0; i < at; i++) list[n++] = d->operands[i];
    list[n++] = private;
    for (uint32_t i = at + 1 + prefix; i < d->noperands; i++) list[n++] = d->operands[i];
    ir_set_operands(v->f, o, list, n);
}

/* Private sums in front of the loop, their addition behind it. */
static void make_private(Vec *v, const VecAcc *acc) {
    TdlFunc *f = v->f;
    TdlType tensor = ty_drop(v->m, ty_tensor_of(v->m, ir_type(f, acc->buf)), acc->prefix), type = ty_buf(v->m, tensor);
    TdlBuilder before = ir_before(f, v->loop), after = ir_after(f, v->loop);
    TdlVal view[65];
    uint32_t one = v->bytes / el_bytes(ty_elem(v->m, tensor)), lanes = one < v->lanes ? one : v->lanes;
    TdlOp alloc = ir_emit(&before, OP_ALLOC, NULL, 0, &type, 1);
    op_set_int(f, alloc, "lanes", lanes);
    op_set_dim(f, alloc, "offset", vec_slot(v, v->loop, tensor, lanes));
    TdlVal private = ir_result(f, alloc, 0), target = acc->buf;
    TdlVal fill[2] = {private, ir_const_float(&before, ty_elem(v->m, tensor), -0.0)}; /* which changes no sum, -0 neither */
    ir_emit(&before, OP_FILL, fill, 2, NULL, 0);
    if (acc->prefix) {
        view[0] = acc->buf;
        for (uint32_t i = 0; i < acc->prefix; i++) view[1 + i] = ir_op(f, acc->loads.p[0])->operands[1 + i];
        target = ir_result(f, ir_emit(&after, OP_VIEW, view, 1 + acc->prefix, &type, 1), 0);
    }
    ir_emit(&after, OP_LANESUM, (TdlVal[]){target, private}, 2, NULL, 0);
    for (uint32_t i = 0; i < acc->loads.n; i++) drop_prefix(v, acc->loads.p[i], 0, private, acc->prefix);
    for (uint32_t i = 0; i < acc->stores.n; i++) drop_prefix(v, acc->stores.p[i], 1, private, acc->prefix);
}

static void mark_varying(Vec *v, TdlOp loop) {
    const TdlOpData *d = ir_op(v->f, loop);
    int64_t *list = ARENA_ARRAY(v->a, int64_t, d->noperands);
    uint32_t n = 0;
    for (uint32_t i = 0; i + 2u < d->noperands; i++)
        if (v->varying[ir_region(v->f, d->regions[0])->args.p[1 + i].id]) list[n++] = i;
    if (n) op_set_ints(v->f, loop, "varying", list, n);
}

void vec_change(Vec *v) {
    choose_lanes(v);
    for (uint32_t i = 0; i < v->loops.n; i++) mark_varying(v, v->loops.p[i]);
    for (uint32_t i = 0; i < v->allocs.n; i++) give_lanes(v, v->allocs.p[i]);
    for (uint32_t i = 0; i < v->accs.n; i++) make_private(v, &v->accs.p[i]);
    op_set_ints(v->f, v->loop, "vector", (int64_t[]){v->lanes, v->one}, v->lanes > v->one ? 2 : 1);
    if (v->bytes >= VEC_MASKED && v->one > 2 && !v->fails && !has_scalars(v, v->body)) op_set_int(v->f, v->loop, "masked", 1);
}
