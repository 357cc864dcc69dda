/* Whether a loop's iterations may run in lanes: what differs between them, what they write, what they add to; and what it
 * costs. */
#include "passes/vector.h"
#include "passes/loops.h"

#include <string.h>

static bool is_alloc(const Vec *v, TdlVal x) {
    TdlOp def = ir_val(v->f, x)->def;
    return def.id && ir_op(v->f, def)->code == OP_ALLOC;
}

/* Memory of one iteration: allocated inside the loop. */
static bool is_private(const Vec *v, TdlVal buf) {
    TdlVal root = ir_viewed(v->f, buf);
    return is_alloc(v, root) && vec_inside(v, root);
}

/* A size that is known at entry. */
static void need_static(Vec *v, TdlType t, uint32_t from) {
    for (uint32_t i = from; i < ty_rank(v->m, t); i++) v->legal &= ir_dim_at_entry(v->f, ty_dims(v->m, t)[i]);
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
        bool apart = v->varying[d->operands[0].id];
        for (uint32_t i = 0; i < d->nresults; i++) set_varying(v, d->results[i], apart || v->varying[end->operands[i].id]);
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

static VecAcc *acc_for(Vec *v, TdlVal buf) {
    for (uint32_t i = 0; i < v->accs.n; i++)
        if (v->accs.p[i].buf.id == buf.id) return &v->accs.p[i];
    VEC_PUSH(v->a, v->accs, ((VecAcc){.buf = buf, .prefix = UINT32_MAX}));
    return &VEC_LAST(v->accs);
}

/* An axis at which the indices from operand `first` on have the loop's index; UINT32_MAX: none. */
static uint32_t own_axis(const Vec *v, const TdlOpData *d, uint32_t first) {
    for (uint32_t i = first; i < d->noperands; i++)
        if (d->operands[i].id == v->index.id) return i - first;
    return UINT32_MAX;
}

/* A store to the iteration's own part of memory, so far; only_own looks at the other accesses. */
static bool is_own(Vec *v, TdlOp store) {
    const TdlOpData *d = ir_op(v->f, store);
    VecOwn own = {d->operands[1], own_axis(v, d, 2)};
    if (own.axis == UINT32_MAX || ir_viewed(v->f, own.buf).id != own.buf.id) return false;
    VEC_PUSH(v->a, v->own, own);
    return true;
}

enum { DEPTH = 8 /* of an expression of indices */, UNEVEN = -1 };

/* What x grows by from one iteration to the next, 0 to 2; UNEVEN: by something else. */
static int64_t step_of(const Vec *v, TdlVal x, int depth) {
    TdlOp def = ir_val(v->f, x)->def;
    int64_t step = UNEVEN, a, b;
    if (x.id == v->index.id) return 1;
    if (!v->varying[x.id]) return 0;
    if (!def.id || depth == 0 || ir_op(v->f, def)->noperands != 2) return UNEVEN;
    const TdlOpData *d = ir_op(v->f, def);
    if (d->code != OP_ADD && d->code != OP_SUB && d->code != OP_MUL) return UNEVEN;
    a = step_of(v, d->operands[0], depth - 1);
    b = step_of(v, d->operands[1], depth - 1);
    if (d->code == OP_MUL) {
        TdlOp by = ir_val(v->f, d->operands[a == 1])->def;
        if (a + b == 1 && by.id && ir_op(v->f, by)->code == OP_CONST && op_int(v->f, by, "value", 0) == 2) step = 2;
    } else if (a >= 0 && b >= 0) step = d->code == OP_ADD ? a + b : a - b;
    return step >= 0 && step <= 2 ? step : UNEVEN;
}

/* Operations that a lane costs of a load or store: 1 where lanes are side by side, few where they are every other element,
 * which codegen takes from two vectors. */
static double price_of(const Vec *v, TdlOp o) {
    const TdlOpData *d = ir_op(v->f, o);
    uint32_t buf = d->code == OP_STORE, last = d->noperands - 1u;
    if (!v->varying[d->operands[buf].id] && !any_varying(v, d, buf + 1)) return 1;
    for (uint32_t i = buf + 1; i < last; i++)
        if (v->varying[d->operands[i].id]) return VEC_PRICE;
    if (v->varying[d->operands[buf].id] || last == buf) return VEC_PRICE;
    int64_t step = step_of(v, d->operands[last], DEPTH);
    bool masks = v->bytes >= VEC_MASKED && el_bytes(ty_elem(v->m, ir_type(v->f, d->operands[buf]))) >= VEC_EVERY_OTHER;
    return step == 1 ? 1 : step == 2 && masks ? VEC_NEAR : VEC_PRICE;
}

bool vec_apart(const Vec *v, TdlOp o) { return price_of(v, o) == VEC_PRICE; }

static void check_store(Vec *v, TdlOp o, double weight) {
    const TdlOpData *d = ir_op(v->f, o);
    TdlVal buf = d->operands[1];
    if (is_private(v, buf)) {
        v->cost += price_of(v, o) * weight;
        v->count += weight;
        return;
    }
    bool varying = v->varying[buf.id] || any_varying(v, d, 2);
    TdlOp load = sum_added_to(v->f, v->uses, o);
    if (!varying && load.id && ir_viewed(v->f, buf).id == buf.id && ty_is_float(v->m, ir_type(v->f, buf))) {
        VecAcc *acc = acc_for(v, buf);
        VEC_PUSH(v->a, acc->stores, o);
        VEC_PUSH(v->a, acc->loads, load);
        v->cost += weight;
        v->count += weight;
        return;
    }
    /* Independent by the promise of `parallel`; otherwise it is to be shown. */
    v->legal &= varying && (op_int(v->f, v->loop, "parallel", 0) || is_own(v, o));
    v->cost += price_of(v, o) * weight;
    v->count += weight;
}

static void check_load(Vec *v, TdlOp o, double weight) {
    const TdlOpData *d = ir_op(v->f, o);
    v->cost += price_of(v, o) * weight;
    v->count += weight;
    /* An inner loop that walks memory in steps, or by a computed index. */
    for (uint32_t i = 1; i < d->noperands && v->depth; i++) {
        TdlOp def = ir_val(v->f, d->operands[i])->def;
        bool last = i + 1u == d->noperands;
        if (!last && d->operands[i].id == v->innermost.id) v->hard = true;
        if (def.id && vec_inside(v, d->operands[i]) && op_info(ir_op(v->f, def)->code)->flags & OPF_ELEMENTWISE) v->hard = true;
    }
}

static void check_region(Vec *v, TdlRegion r, double weight);

static void check_for(Vec *v, TdlOp o, double weight) {
    const TdlOpData *d = ir_op(v->f, o);
    v->legal &= !v->varying[d->operands[0].id] && !v->varying[d->operands[1].id] && !op_attr(v->f, o, "threads");
    if (op_int(v->f, o, "exit", 0)) v->legal &= !v->varying[ir_op(v->f, ir_terminator(v->f, d->regions[0]))->operands[0].id];
    for (uint32_t i = 2; i < d->noperands; i++) v->legal &= ty_kind(v->m, ir_type(v->f, d->operands[i])) == TY_TENSOR;
    VEC_PUSH(v->a, v->loops, o);
    TdlVal outer = v->innermost;
    v->innermost = ir_region(v->f, d->regions[0])->args.p[0];
    v->hard |= ++v->depth > 1;
    check_region(v, d->regions[0], weight * VEC_TRIP);
    v->depth--;
    v->innermost = outer;
}

static void check_if(Vec *v, TdlOp o, double weight) {
    const TdlOpData *d = ir_op(v->f, o);
    bool apart = v->varying[d->operands[0].id];
    v->masks += apart;
    v->forks += apart;
    v->hard |= apart;
    for (uint32_t i = 0; i < d->nresults; i++) v->legal &= ty_kind(v->m, ir_type(v->f, d->results[i])) == TY_TENSOR;
    check_region(v, d->regions[0], weight);
    check_region(v, d->regions[1], weight);
    v->masks -= apart;
}

/* What a lane that does not run must not do: an integer division, which may be by 0, or a power. */
static bool may_fail(const Vec *v, TdlOp o) {
    const TdlOpData *d = ir_op(v->f, o);
    if (d->code != OP_DIV && d->code != OP_FLOORDIV && d->code != OP_MOD && d->code != OP_POW) return false;
    TdlOp by = ir_val(v->f, d->operands[1])->def;
    bool constant = by.id && ir_op(v->f, by)->code == OP_CONST && op_int(v->f, by, "value", 0) > 0;
    return !ty_is_float(v->m, ir_type(v->f, d->operands[0])) && !constant;
}

static void check_alloc(Vec *v, TdlOp o) {
    v->legal &= !op_int(v->f, o, "dynamic", 0) && !ir_op(v->f, o)->noperands && !op_attr(v->f, o, "lanes");
    need_static(v, ir_type(v->f, ir_op(v->f, o)->results[0]), 0);
    v->hard = true;
    VEC_PUSH(v->a, v->allocs, o);
}

/* Into memory of the iteration, or into its own part of other memory. */
static void check_copy(Vec *v, TdlOp o, double weight) {
    TdlVal dst = ir_op(v->f, o)->operands[0], src = ir_op(v->f, o)->operands[1];
    bool private = is_private(v, dst), apart = v->varying[dst.id] || v->varying[src.id];
    v->legal &= private || (v->varying[dst.id] && op_int(v->f, v->loop, "parallel", 0));
    v->cost += apart && ty_kind(v->m, ir_type(v->f, src)) == TY_BUF ? VEC_PRICE * weight : weight;
    v->count += weight;
}

static void check_op(Vec *v, TdlOp o, double weight) {
    const TdlOpData *d = ir_op(v->f, o);
    switch ((int)d->code) {
    case OP_FOR: check_for(v, o, weight); break;
    case OP_IF: check_if(v, o, weight); break;
    case OP_LOAD: check_load(v, o, weight); break;
    case OP_STORE: check_store(v, o, weight); break;
    case OP_ALLOC: check_alloc(v, o); break;
    case OP_COPY: case OP_FILL: check_copy(v, o, VEC_TRIP * weight); break;
    case OP_NEWDIM: v->legal &= !v->varying[d->operands[0].id]; break;
    case OP_SETUNION: case OP_SETSIZE: case OP_SETAT: v->legal = false; break;
    case OP_YIELD: case OP_ASSERT: case OP_VIEW: case OP_UNDEF: case OP_MARK: case OP_RELEASE: break;
    default: {
        bool fails = any_varying(v, d, 0) && may_fail(v, o);
        v->fails |= fails;
        v->legal &= op_info(d->code)->lower == LOWER_SCALAR && !(v->masks && fails);
        if (any_varying(v, d, 0)) v->cost += weight, v->count += weight;
    }
    }
}

static void check_region(Vec *v, TdlRegion r, double weight) {
    IR_FOREACH_OP(v->f, r, o) {
        if (!v->legal) return;
        check_op(v, o, weight);
    }
}

/* ---- accumulators ---- */

static bool listed(const VecAcc *acc, TdlOp o) {
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
            TdlVal root = ir_viewed(v->f, d->operands[i]);
            for (uint32_t k = 0; k < v->accs.n; k++)
                if (v->accs.p[k].buf.id == root.id) v->legal &= listed(&v->accs.p[k], o);
        }
        for (uint32_t i = 0; i < d->nregions; i++) only_added_to(v, d->regions[i]);
    }
}

static bool accesses_own(const Vec *v, TdlOp o, uint32_t operand, uint32_t axis) {
    const TdlOpData *d = ir_op(v->f, o);
    if (!(d->code == OP_LOAD && operand == 0) && !(d->code == OP_STORE && operand == 1)) return false;
    return operand + 1 + axis < d->noperands && d->operands[operand + 1 + axis].id == v->index.id;
}

/* Every use inside the loop of memory that each iteration has its own part of must be of that part. */
static void only_own(Vec *v, TdlRegion r) {
    IR_FOREACH_OP(v->f, r, o) {
        const TdlOpData *d = ir_op(v->f, o);
        for (uint32_t i = 0; i < d->noperands; i++) {
            if (ty_kind(v->m, ir_type(v->f, d->operands[i])) != TY_BUF) continue;
            TdlVal root = ir_viewed(v->f, d->operands[i]);
            for (uint32_t k = 0; k < v->own.n; k++)
                if (v->own.p[k].buf.id == root.id)
                    v->legal &= d->operands[i].id == root.id && accesses_own(v, o, i, v->own.p[k].axis);
        }
        for (uint32_t i = 0; i < d->nregions; i++) only_own(v, d->regions[i]);
    }
}

static void find_prefix(Vec *v, VecAcc *acc) {
    const TdlOpData *first = ir_op(v->f, acc->loads.p[0]);
    uint32_t rank = first->noperands - 1u, n = 0;
    for (; n < rank; n++) {
        bool same = !vec_inside(v, first->operands[1 + n]);
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
    if (!add.id || op_int(v->f, add, "exact", 0) || v->uses[carried.id] != 1 || v->uses[next.id] != 1) return false;
    if (ir_op(v->f, add)->parent.id != d->regions[0].id) return false;
    const TdlOpData *a = ir_op(v->f, add);
    if (a->code == OP_SUB) return a->operands[0].id == carried.id;
    return a->code == OP_ADD && (a->operands[0].id == carried.id || a->operands[1].id == carried.id);
}

bool vec_plain(const Vec *v, TdlOp o) {
    const TdlOpData *d = ir_op(v->f, o);
    for (uint32_t i = 0; d->code == OP_FOR && i + 2u < d->noperands; i++)
        if (op_int(v->f, o, "exit", 0) || !is_sum(v, o, i)) return false;
    return d->code == OP_FOR && !op_int(v->f, o, "exit", 0) && !op_int(v->f, o, "down", 0) &&
           !op_attr(v->f, o, "vector") && !op_attr(v->f, o, "threads");
}

/* Iterations, where they are known; else many. */
static int64_t trips(const Vec *v, TdlOp o) {
    TdlDim d[2];
    int64_t n[2];
    for (uint32_t i = 0; i < 2; i++)
        if (!ir_val_dim(v->f, ir_op(v->f, o)->operands[i], &d[i]) || !dim_is_const(v->m, d[i], &n[i])) return INT64_MAX;
    return n[1] - n[0];
}

/* Lanes for an iteration where those do not fill them. */
static double waste(const Vec *v, TdlOp o) {
    int64_t n = trips(v, o);
    return n < 1 || n >= VEC_PRICE ? 1 : (double)VEC_PRICE / (double)n;
}

void vec_examine(Vec *v, TdlOp o) {
    v->loop = o;
    v->body = ir_op(v->f, o)->regions[0];
    v->index = ir_region(v->f, v->body)->args.p[0];
    v->legal = vec_plain(v, o);
    v->hard = v->bytes >= VEC_MASKED && trips(v, o) >= VEC_PRICE;
    v->fails = false;
    v->depth = v->masks = v->forks = 0;
    v->cost = v->count = 0;
    v->own.n = v->accs.n = v->allocs.n = v->loops.n = 0;
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
    if (v->legal && v->own.n) only_own(v, v->body);
    for (uint32_t i = 0; v->legal && i < v->accs.n; i++) find_prefix(v, &v->accs.p[i]);
    v->cost *= waste(v, o);
    v->legal &= v->hard && v->cost < 0.4 * VEC_PRICE * v->count;
}
