/* Vector loops: which iterations run in the lanes of vector registers.
 *
 * What: a `for` over independent iterations (but for additions to accumulators) that holds loops of its own gets
 * `vector = 8`: codegen runs 8 iterations at once, every value that differs between them a vector. Buffers allocated
 * inside get lanes (8 values an element, side by side). What the iterations add to memory outside goes to a private
 * buffer with lanes, whose sums are added when the loop is done; carried sums become one sum a lane.
 * Why: inner loops are short, reductions, or address memory unevenly; LLVM vectorises innermost loops alone.
 * Where two loops are perfectly nested the chosen one moves inside: private sums are then those of one outer iteration.
 * Cost of a candidate: operations by estimated count, times 8 where lanes are not side by side. The cheapest wins.
 *
 *   for %z, %n {(%i)                        for %z, %k {(%c)
 *     for %z, %k {(%c)                        %p = alloc {lanes = 8, offset = ...} : buf<f64[d]>
 *       for %z, %d {(%j)                      fill %p, 0
 *         %1 = load %x, %i, %j       =>       for %z, %n {(%i)
 *         %2 = load %s, %c, %j                  for %z, %d {(%j)
 *         %3 = add %2, %1                         ... load %p, %j; add; store %p, %j
 *         store %3, %s, %c, %j                } } {vector = 8}
 *                                             lanesum (view %s, %c), %p
 */
#include "passes/pass.h"

#include <string.h>

enum { LANES = 8, TRIP = 8 /* assumed trip count of an inner loop */, MAX_ACCS = 64 };

/* Memory outside the loop that its iterations add to. */
typedef struct {
    TdlVal buf;             /* the buffer itself, no view */
    uint32_t prefix;        /* leading indices that are the same at every access and defined outside the loop */
    TDL_VEC(TdlOp) loads, stores;
} Acc;

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *a;
    uint32_t *uses;         /* by value */
    /* of the loop being looked at */
    TdlOp loop;
    TdlVal index;
    TdlRegion body;
    bool *varying;          /* by value: differs between iterations */
    bool changed, legal, hard; /* hard: LLVM's own vectoriser would not do well on the inner loops */
    uint32_t depth;            /* inner loops around the operation being looked at */
    TdlVal innermost;          /* index of the innermost of them */
    double cost, count;        /* operations, with and without the price of lanes that are not side by side */
    TDL_VEC(Acc) accs;
    TDL_VEC(TdlOp) allocs, loops;
} Vec;

static bool inside(const Vec *v, TdlVal x) { return ir_defined_in(v->f, x, v->body); }

/* The buffer that a value is, or is a view of. */
static TdlVal root_of(const Vec *v, TdlVal x) {
    for (;;) {
        TdlOp def = ir_val(v->f, x)->def;
        if (!def.id || ir_op(v->f, def)->code != OP_VIEW) return x;
        x = ir_op(v->f, def)->operands[0];
    }
}

static bool is_alloc(const Vec *v, TdlVal x) {
    TdlOp def = ir_val(v->f, x)->def;
    return def.id && ir_op(v->f, def)->code == OP_ALLOC;
}

/* Memory of one iteration: allocated inside the loop. */
static bool is_private(const Vec *v, TdlVal buf) {
    TdlVal root = root_of(v, buf);
    return is_alloc(v, root) && inside(v, root);
}

static void note_dim(void *user, TdlSym var) {
    Vec *v = user;
    bool param = false;
    for (uint32_t i = 0; i < v->f->dims.n; i++) param |= sym_eq(v->f->dims.p[i], var);
    v->legal &= param;
}

/* A size that is known at entry. */
static void need_static(Vec *v, TdlType t, uint32_t from) {
    for (uint32_t i = from; i < ty_rank(v->m, t); i++) dim_vars(v->m, ty_dims(v->m, t)[i], note_dim, v);
}

/* ---- what differs between iterations ---- */

static void set_varying(Vec *v, TdlVal x, bool on) {
    if (!on || v->varying[x.id]) return;
    v->varying[x.id] = true;
    v->changed = true;
}

static bool any_varying(const Vec *v, const TdlOpData *d, uint32_t from) {
    for (uint32_t i = from; i < d->noperands; i++)
        if (v->varying[d->operands[i].id]) return true;
    return false;
}

static void spread_region(Vec *v, TdlRegion r);

static void spread_for(Vec *v, TdlOp o) {
    const TdlOpData *d = ir_op(v->f, o);
    uint32_t skip = op_int(v->f, o, "exit", 0) != 0;
    spread_region(v, d->regions[0]);
    const TdlOpData *end = ir_op(v->f, ir_terminator(v->f, d->regions[0]));
    for (uint32_t i = 0; i + 2u < d->noperands; i++) {
        bool on = v->varying[d->operands[2 + i].id] || v->varying[end->operands[skip + i].id];
        set_varying(v, ir_region(v->f, d->regions[0])->args.p[1 + i], on);
        set_varying(v, d->results[skip + i], on);
    }
}

static void spread_if(Vec *v, TdlOp o) {
    const TdlOpData *d = ir_op(v->f, o);
    for (uint32_t k = 0; k < 2; k++) {
        spread_region(v, d->regions[k]);
        const TdlOpData *end = ir_op(v->f, ir_terminator(v->f, d->regions[k]));
        for (uint32_t i = 0; i < d->nresults; i++) set_varying(v, d->results[i], v->varying[end->operands[i].id]);
    }
}

static void spread_op(Vec *v, TdlOp o) {
    const TdlOpData *d = ir_op(v->f, o);
    switch ((int)d->code) {
    case OP_FOR: spread_for(v, o); break;
    case OP_IF: spread_if(v, o); break;
    case OP_LOAD: set_varying(v, d->results[0], any_varying(v, d, 0) || is_private(v, d->operands[0])); break;
    default:
        for (uint32_t i = 0; i < d->nresults; i++) set_varying(v, d->results[i], any_varying(v, d, 0));
    }
}

static void spread_region(Vec *v, TdlRegion r) {
    IR_FOREACH_OP(v->f, r, o) spread_op(v, o);
}

/* ---- legality and cost ---- */

/* The operands of two accesses name the same element. */
static bool same_place(const Vec *v, TdlOp load, TdlOp store) {
    const TdlOpData *a = ir_op(v->f, load), *b = ir_op(v->f, store);
    if (a->noperands + 1 != b->noperands) return false;
    for (uint32_t i = 0; i < a->noperands; i++)
        if (a->operands[i].id != b->operands[i + 1].id) return false;
    return true;
}

/* The load of store(load + x): the element is only added to. 0: it is not. */
static TdlOp added_to(const Vec *v, TdlOp store) {
    TdlVal value = ir_op(v->f, store)->operands[0];
    TdlOp add = ir_val(v->f, value)->def;
    if (!add.id || v->uses[value.id] != 1) return (TdlOp){0};
    TdlOpcode code = ir_op(v->f, add)->code;
    for (uint32_t k = 0; k < 2; k++) {
        if (code != OP_ADD && !(code == OP_SUB && k == 0)) continue;
        TdlVal x = ir_op(v->f, add)->operands[k];
        TdlOp load = ir_val(v->f, x)->def;
        if (load.id && ir_op(v->f, load)->code == OP_LOAD && v->uses[x.id] == 1 && same_place(v, load, store)) return load;
    }
    return (TdlOp){0};
}

static Acc *acc_for(Vec *v, TdlVal buf) {
    for (uint32_t i = 0; i < v->accs.n; i++)
        if (v->accs.p[i].buf.id == buf.id) return &v->accs.p[i];
    VEC_PUSH(v->a, v->accs, ((Acc){.buf = buf, .prefix = UINT32_MAX}));
    return &VEC_LAST(v->accs);
}

static void check_store(Vec *v, TdlOp o, double weight) {
    const TdlOpData *d = ir_op(v->f, o);
    TdlVal buf = d->operands[1];
    if (is_private(v, buf)) {
        v->cost += any_varying(v, d, 2) ? LANES * weight : weight;
        v->count += weight;
        return;
    }
    bool varying = v->varying[buf.id] || any_varying(v, d, 2);
    TdlOp load = added_to(v, o);
    if (!varying && load.id && root_of(v, buf).id == buf.id && ty_is_float(v->m, ir_type(v->f, buf))) {
        Acc *acc = acc_for(v, buf);
        VEC_PUSH(v->a, acc->stores, o);
        VEC_PUSH(v->a, acc->loads, load);
        v->cost += weight;
        v->count += weight;
        return;
    }
    /* Independent by the promise of `parallel`; otherwise it would have to be shown. */
    v->legal &= varying && op_int(v->f, v->loop, "parallel", 0);
    bool side_by_side = !v->varying[buf.id] && d->noperands > 2 && d->operands[d->noperands - 1].id == v->index.id;
    v->cost += side_by_side ? weight : LANES * weight;
    v->count += weight;
}

static void check_load(Vec *v, TdlOp o, double weight) {
    const TdlOpData *d = ir_op(v->f, o);
    bool varying = v->varying[d->operands[0].id] || any_varying(v, d, 1);
    bool side_by_side = !v->varying[d->operands[0].id] && d->noperands > 1 && d->operands[d->noperands - 1].id == v->index.id;
    for (uint32_t i = 1; i + 1u < d->noperands; i++) side_by_side &= !v->varying[d->operands[i].id];
    v->cost += varying && !side_by_side ? LANES * weight : weight;
    v->count += weight;
    /* An inner loop that walks memory in steps, or by a computed index. */
    for (uint32_t i = 1; i < d->noperands && v->depth; i++) {
        TdlOp def = ir_val(v->f, d->operands[i])->def;
        bool last = i + 1u == d->noperands;
        if (!last && d->operands[i].id == v->innermost.id) v->hard = true;
        if (def.id && inside(v, d->operands[i]) && op_info(ir_op(v->f, def)->code)->flags & OPF_ELEMENTWISE) v->hard = true;
    }
}

static void check_region(Vec *v, TdlRegion r, double weight);

static void check_for(Vec *v, TdlOp o, double weight) {
    const TdlOpData *d = ir_op(v->f, o);
    v->legal &= !v->varying[d->operands[0].id] && !v->varying[d->operands[1].id];
    if (op_int(v->f, o, "exit", 0)) v->legal &= !v->varying[ir_op(v->f, ir_terminator(v->f, d->regions[0]))->operands[0].id];
    for (uint32_t i = 2; i < d->noperands; i++) v->legal &= ty_kind(v->m, ir_type(v->f, d->operands[i])) == TY_TENSOR;
    VEC_PUSH(v->a, v->loops, o);
    TdlVal outer = v->innermost;
    v->innermost = ir_region(v->f, d->regions[0])->args.p[0];
    v->hard |= ++v->depth > 1;
    check_region(v, d->regions[0], weight * TRIP);
    v->depth--;
    v->innermost = outer;
}

static void check_if(Vec *v, TdlOp o, double weight) {
    const TdlOpData *d = ir_op(v->f, o);
    v->legal &= !v->varying[d->operands[0].id];
    for (uint32_t i = 0; i < d->nresults; i++) v->legal &= ty_kind(v->m, ir_type(v->f, d->results[i])) == TY_TENSOR;
    check_region(v, d->regions[0], weight);
    check_region(v, d->regions[1], weight);
}

static void check_alloc(Vec *v, TdlOp o) {
    v->legal &= !op_int(v->f, o, "dynamic", 0) && !ir_op(v->f, o)->noperands && !op_attr(v->f, o, "lanes");
    need_static(v, ir_type(v->f, ir_op(v->f, o)->results[0]), 0);
    v->hard = true;
    VEC_PUSH(v->a, v->allocs, o);
}

static void check_op(Vec *v, TdlOp o, double weight) {
    const TdlOpData *d = ir_op(v->f, o);
    switch ((int)d->code) {
    case OP_FOR: check_for(v, o, weight); break;
    case OP_IF: check_if(v, o, weight); break;
    case OP_LOAD: check_load(v, o, weight); break;
    case OP_STORE: check_store(v, o, weight); break;
    case OP_ALLOC: check_alloc(v, o); break;
    case OP_COPY: case OP_FILL: v->legal &= is_private(v, d->operands[0]); v->cost += TRIP * weight; v->count += TRIP * weight; break;
    case OP_NEWDIM: v->legal &= !v->varying[d->operands[0].id]; break;
    case OP_SETUNION: case OP_SETSIZE: case OP_SETAT: v->legal = false; break;
    case OP_YIELD: case OP_ASSERT: case OP_VIEW: case OP_UNDEF: case OP_MARK: case OP_RELEASE: break;
    default:
        v->legal &= op_info(d->code)->lower == LOWER_SCALAR;
        if (any_varying(v, d, 0)) v->cost += weight, v->count += weight;
    }
}

static void check_region(Vec *v, TdlRegion r, double weight) {
    IR_FOREACH_OP(v->f, r, o) {
        if (!v->legal) return;
        check_op(v, o, weight);
    }
}

/* ---- accumulators ---- */

static bool listed(const Acc *acc, TdlOp o) {
    for (uint32_t i = 0; i < acc->loads.n; i++)
        if (acc->loads.p[i].id == o.id || acc->stores.p[i].id == o.id) return true;
    return false;
}

/* Every use of an accumulator inside the loop must be one of its additions. */
static void only_added_to(Vec *v, TdlRegion r) {
    IR_FOREACH_OP(v->f, r, o) {
        const TdlOpData *d = ir_op(v->f, o);
        for (uint32_t i = 0; i < d->noperands; i++) {
            if (ty_kind(v->m, ir_type(v->f, d->operands[i])) != TY_BUF) continue;
            TdlVal root = root_of(v, d->operands[i]);
            for (uint32_t k = 0; k < v->accs.n; k++)
                if (v->accs.p[k].buf.id == root.id) v->legal &= listed(&v->accs.p[k], o);
        }
        for (uint32_t i = 0; i < d->nregions; i++) only_added_to(v, d->regions[i]);
    }
}

static void find_prefix(Vec *v, Acc *acc) {
    const TdlOpData *first = ir_op(v->f, acc->loads.p[0]);
    uint32_t rank = first->noperands - 1u, n = 0;
    for (; n < rank; n++) {
        bool same = !inside(v, first->operands[1 + n]);
        for (uint32_t i = 1; i < acc->loads.n; i++)
            same &= ir_op(v->f, acc->loads.p[i])->operands[1 + n].id == first->operands[1 + n].id;
        if (!same) break;
    }
    acc->prefix = n;
    need_static(v, ir_type(v->f, acc->buf), n);
}

/* ---- candidates ---- */

/* Carried value i of loop o is a sum: only added to, and only handed on. */
static bool is_sum(const Vec *v, TdlOp o, uint32_t i) {
    const TdlOpData *d = ir_op(v->f, o);
    TdlVal carried = ir_region(v->f, d->regions[0])->args.p[1 + i];
    TdlVal next = ir_op(v->f, ir_terminator(v->f, d->regions[0]))->operands[i];
    TdlOp add = ir_val(v->f, next)->def;
    if (!ty_is_scalar(v->m, ir_type(v->f, carried)) || !ty_is_float(v->m, ir_type(v->f, carried))) return false;
    if (!add.id || v->uses[carried.id] != 1 || v->uses[next.id] != 1 || ir_op(v->f, add)->parent.id != d->regions[0].id) return false;
    const TdlOpData *a = ir_op(v->f, add);
    if (a->code == OP_SUB) return a->operands[0].id == carried.id;
    return a->code == OP_ADD && (a->operands[0].id == carried.id || a->operands[1].id == carried.id);
}

static bool plain(const Vec *v, TdlOp o) {
    const TdlOpData *d = ir_op(v->f, o);
    for (uint32_t i = 0; d->code == OP_FOR && i + 2u < d->noperands; i++)
        if (op_int(v->f, o, "exit", 0) || !is_sum(v, o, i)) return false;
    return d->code == OP_FOR && !op_int(v->f, o, "exit", 0) && !op_int(v->f, o, "down", 0) &&
           !op_attr(v->f, o, "vector");
}

/* Looks at one loop: v->legal and v->cost say what it is worth, v->accs what it adds to. */
static void examine(Vec *v, TdlOp o) {
    v->loop = o;
    v->body = ir_op(v->f, o)->regions[0];
    v->index = ir_region(v->f, v->body)->args.p[0];
    v->legal = plain(v, o);
    v->hard = false;
    v->depth = 0;
    v->cost = v->count = 0;
    v->accs.n = v->allocs.n = v->loops.n = 0;
    if (!v->legal) return;
    memset(v->varying, 0, v->f->vals.n * sizeof *v->varying);
    const TdlVals *args = &ir_region(v->f, v->body)->args;
    for (uint32_t i = 0; i < args->n; i++) set_varying(v, args->p[i], true);
    for (v->changed = true; v->changed;) {
        v->changed = false;
        spread_region(v, v->body);
    }
    check_region(v, v->body, 1);
    if (v->legal) only_added_to(v, v->body);
    for (uint32_t i = 0; v->legal && i < v->accs.n; i++) find_prefix(v, &v->accs.p[i]);
    v->legal &= v->hard && v->cost < 0.4 * LANES * v->count;
}

/* The loop inside a perfect nest: nothing but it and scalar operations, which do not depend on the outer index. */
static TdlOp perfect_child(Vec *v, TdlOp o) {
    TdlRegion body = ir_op(v->f, o)->regions[0];
    TdlOp child = {0};
    if (ir_op(v->f, o)->noperands > 2) return child;
    TdlOp end = ir_terminator(v->f, body);
    IR_FOREACH_OP(v->f, body, k) {
        TdlOpcode code = ir_op(v->f, k)->code;
        if (k.id == end.id) continue;
        if (code == OP_FOR && !child.id && plain(v, k) && ir_op(v->f, k)->noperands == 2) child = k;
        else if (child.id || (code != OP_CONST && code != OP_DIM)) return (TdlOp){0};
    }
    if (!child.id) return child;
    for (uint32_t i = 0; i < 2; i++) {
        TdlVal bound = ir_op(v->f, child)->operands[i];
        TdlOp def = ir_val(v->f, bound)->def;
        bool outside = !ir_defined_in(v->f, bound, body);
        if (!outside && (!def.id || (ir_op(v->f, def)->code != OP_CONST && ir_op(v->f, def)->code != OP_DIM))) return (TdlOp){0};
    }
    return child;
}

/* Exchanges a perfect nest: bounds and indices change places. */
static void interchange(Vec *v, TdlOp outer, TdlOp inner) {
    TdlFunc *f = v->f;
    TdlRegion ro = ir_op(f, outer)->regions[0], ri = ir_op(f, inner)->regions[0];
    IR_FOREACH_OP(f, ro, k) {   /* constants and dimensions in between move out */
        if (k.id == inner.id) break;
        ir_move_before(f, k, outer);
    }
    for (uint32_t i = 0; i < 2; i++) {
        TdlVal x = ir_op(f, outer)->operands[i];
        ir_op(f, outer)->operands[i] = ir_op(f, inner)->operands[i];
        ir_op(f, inner)->operands[i] = x;
    }
    TdlVal a = ir_region(f, ro)->args.p[0], b = ir_region(f, ri)->args.p[0];
    ir_region(f, ro)->args.p[0] = b;
    ir_region(f, ri)->args.p[0] = a;
    ir_val(f, a)->region = ri;
    ir_val(f, b)->region = ro;
    int64_t po = op_int(f, outer, "parallel", 0), pi = op_int(f, inner, "parallel", 0);
    op_unset(f, outer, "parallel");
    op_unset(f, inner, "parallel");
    if (pi) op_set_int(f, outer, "parallel", 1);
    if (po) op_set_int(f, inner, "parallel", 1);
}

/* ---- the change ---- */

/* A new slot at the end of the workspace, for `lanes` values an element. */
static TdlDim new_slot(Vec *v, TdlType t) {
    TdlModule *m = v->m;
    TdlDim at = v->f->workspace.id ? v->f->workspace : dim_const(m, 0);
    TdlDim bytes = dim_mul(m, ty_numel(m, t), dim_const(m, (int64_t)el_bytes(ty_elem(m, t)) * LANES));
    TdlDim up = dim_mul(m, dim_floordiv(m, dim_add(m, bytes, dim_const(m, 63)), 64), dim_const(m, 64));
    v->f->workspace = dim_add(m, at, up);
    return at;
}

static void give_lanes(Vec *v, TdlOp alloc) {
    op_set_int(v->f, alloc, "lanes", LANES);
    if (op_int(v->f, alloc, "local", 0)) return;
    op_set_dim(v->f, alloc, "offset", new_slot(v, ir_type(v->f, ir_op(v->f, alloc)->results[0])));
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
static void make_private(Vec *v, const Acc *acc) {
    TdlFunc *f = v->f;
    TdlType tensor = ty_drop(v->m, ty_tensor_of(v->m, ir_type(f, acc->buf)), acc->prefix), type = ty_buf(v->m, tensor);
    TdlBuilder before = ir_before(f, v->loop), after = ir_after(f, v->loop);
    TdlVal view[65];
    TdlOp alloc = ir_emit(&before, OP_ALLOC, NULL, 0, &type, 1);
    op_set_int(f, alloc, "lanes", LANES);
    op_set_dim(f, alloc, "offset", new_slot(v, tensor));
    TdlVal private = ir_result(f, alloc, 0), target = acc->buf;
    TdlVal fill[2] = {private, ir_const_float(&before, ty_elem(v->m, tensor), 0.0)};
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

static void vectorize(Vec *v) {
    for (uint32_t i = 0; i < v->loops.n; i++) mark_varying(v, v->loops.p[i]);
    for (uint32_t i = 0; i < v->allocs.n; i++) give_lanes(v, v->allocs.p[i]);
    for (uint32_t i = 0; i < v->accs.n; i++) make_private(v, &v->accs.p[i]);
    op_set_int(v->f, v->loop, "vector", LANES);
}

static bool worth(const Vec *v) { return v->legal && v->accs.n <= MAX_ACCS; }

static void visit_region(Vec *v, TdlRegion r);

/* Chooses in the nest that `o` begins. True when a loop of it became a vector loop. */
static bool visit_nest(Vec *v, TdlOp o) {
    TdlOp child = plain(v, o) ? perfect_child(v, o) : (TdlOp){0};
    examine(v, o);
    bool outer_fits = worth(v), child_fits = false;
    double outer_cost = v->cost, child_cost = 0;
    if (child.id) {
        examine(v, child);
        child_fits = worth(v);
        child_cost = v->cost * TRIP;
    }
    if (child.id && outer_fits && (!child_fits || outer_cost < child_cost)) {
        interchange(v, o, child);   /* the outer loop's iterations are now those of `child` */
        examine(v, child);
        if (!worth(v)) interchange(v, o, child);
    }
    if (child.id && (outer_fits || child_fits)) examine(v, child);
    if (child.id && worth(v) && (outer_fits || child_fits)) return vectorize(v), true;
    examine(v, o);
    if (worth(v)) return vectorize(v), true;
    return false;
}

static void visit_region(Vec *v, TdlRegion r) {
    IR_FOREACH_OP(v->f, r, o) {
        TdlOpcode code = ir_op(v->f, o)->code;
        if (code == OP_FOR && visit_nest(v, o)) {
            v->uses = ir_use_counts(v->f, v->a);
            v->varying = ARENA_ARRAY(v->a, bool, v->f->vals.n + 1);
            continue;
        }
        for (uint32_t i = 0; i < ir_op(v->f, o)->nregions; i++) visit_region(v, ir_op(v->f, o)->regions[i]);
    }
}

/* ---- marks around nothing ---- */

static bool takes_memory(const TdlFunc *f, TdlRegion r) {
    IR_FOREACH_OP(f, r, o) {
        const TdlOpData *d = ir_op(f, o);
        if (d->code == OP_CALL || d->code == OP_STACKNEW || d->code == OP_PUSH) return true;
        if (d->code == OP_ALLOC && op_int(f, o, "dynamic", 0)) return true;
        for (uint32_t i = 0; i < d->nregions; i++)
            if (takes_memory(f, d->regions[i])) return true;
    }
    return false;
}

/* Removes `mark` and `release` of regions that take nothing from the growing part. */
static void drop_marks(TdlFunc *f, TdlRegion r) {
    bool takes = takes_memory(f, r);
    IR_FOREACH_OP(f, r, o) {
        const TdlOpData *d = ir_op(f, o);
        for (uint32_t i = 0; i < d->nregions; i++) drop_marks(f, ir_op(f, o)->regions[i]);
        if (!takes && ir_op(f, o)->code == OP_RELEASE) ir_remove(f, o);
    }
    if (takes) return;
    IR_FOREACH_OP(f, r, o) {
        if (ir_op(f, o)->code == OP_MARK) ir_remove(f, o);
    }
}

bool pass_vector(TdlModule *m, const TdlPassOptions *opt) {
    (void)opt;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        Vec v = {.m = m, .f = m->funcs.p[i], .a = &scratch};
        drop_marks(v.f, v.f->body);
        v.uses = ir_use_counts(v.f, &scratch);
        v.varying = ARENA_ARRAY(&scratch, bool, v.f->vals.n + 1);
        visit_region(&v, v.f->body);
        arena_free(&scratch);
    }
    return true;
}
