/* Whether two iterations of a loop, the rows, may run side by side, and whether it pays.
 *
 * The body is a sequence: part 0, loop 0, part 1, loop 1, ... part n. Of rows i and i + 1 that runs as
 *
 *   part 0 of i; part 0 of i + 1; loop 0 of both at once; part 1 of i; the end of loop 0 of i + 1; part 1 of i + 1; ...
 *
 * so that what row i + 1 does in a part or in its end of a loop moves in front of the loops of row i behind it, and of the
 * parts behind those; and what it does in a loop, in front of the later iterations of row i of the same loop, of all parts
 * behind and the loops behind. Elements must differ where an access moves in front of one of the other row and one of them is
 * written; but additions that vector code keeps a sum a lane of are in no order anyhow. Elements differ where at one axis
 *
 *   - both indices are the rows' own: i and i + 1;
 *   - one is the row's own, the other an index of a loop up to the row's own, which is less;
 *   - both are the index of the loop that they stand in, of which the later is greater.
 */
#include "passes/jam.h"
#include "passes/loops.h"

#include <string.h>

enum {
    MOST_ACCESSES = 64,  /* of a body: all pairs of them are looked at */
    MOST_INNER = 4,      /* operations of an inner loop for each access that the rows share: with more, it waits for those */
    OTHER_REGISTERS = 2  /* a product, and an element that is not shared */
};

/* ---- what the body is made of ---- */

static bool simple(const Jam *j, TdlOp o) {
    TdlOpcode code = ir_op(j->f, o)->code;
    uint32_t flags = op_info(code)->flags;
    if (code == OP_LOAD || code == OP_STORE || code == OP_VIEW || code == OP_CONST || code == OP_DIM) return true;
    return flags & OPF_ELEMENTWISE && !(flags & OPF_REGION);
}

static bool counts_up(const Jam *j, TdlOp o) {
    static const char *const OTHER[] = {"exit", "down", "unroll", "vector", "threads"};
    if (ir_op(j->f, o)->code != OP_FOR) return false;
    for (uint32_t i = 0; i < sizeof OTHER / sizeof *OTHER; i++)
        if (op_attr(j->f, o, OTHER[i])) return false;
    for (uint32_t i = 2; i < ir_op(j->f, o)->noperands; i++)
        if (ty_kind(j->m, ir_type(j->f, ir_op(j->f, o)->operands[i])) != TY_TENSOR) return false;
    return true;
}

bool jam_triangular(const Jam *j, TdlOp inner) { return ir_op(j->f, inner)->operands[1].id == j->row.id; }

static bool at_least(const Jam *j, TdlVal x, TdlVal y) {
    TdlDim a, b;
    return ir_val_dim(j->f, x, &a) && ir_val_dim(j->f, y, &b) && dim_known_ge(j->m, a, b);
}

static bool fits_inner(const Jam *j, TdlOp o) {
    const TdlOpData *d = ir_op(j->f, o);
    if (!counts_up(j, o) || j->own[d->operands[0].id]) return false;
    if (!jam_triangular(j, o)) return !j->own[d->operands[1].id];
    return at_least(j, ir_op(j->f, j->loop)->operands[0], d->operands[0]); /* so that row i + 1 has one iteration more than row i */
}

/* ---- accesses ---- */

/* Adds the indices of v in what it is a view of, outermost first; false: some view has another shape than its memory. */
static bool view_index(Jam *j, TdlVal v, TdlVals *index) {
    TdlOp def = ir_val(j->f, v)->def;
    if (!def.id || ir_op(j->f, def)->code != OP_VIEW) return true;
    const TdlOpData *d = ir_op(j->f, def);
    uint32_t n = d->noperands - 1u, rank = ty_rank(j->m, ir_type(j->f, d->operands[0]));
    TdlType row = ty_tensor_of(j->m, ir_type(j->f, d->operands[0]));
    if (op_int(j->f, def, "flat", 0) || n > rank || !ty_eq(ty_drop(j->m, row, n), ty_tensor_of(j->m, ir_type(j->f, v)))) return false;
    if (!view_index(j, d->operands[0], index)) return false;
    for (uint32_t i = 0; i < n; i++) VEC_PUSH(j->a, *index, d->operands[1 + i]);
    return true;
}

static void note(Jam *j, TdlOp o, uint32_t at, bool inner) {
    const TdlOpData *d = ir_op(j->f, o);
    uint32_t buf = d->code == OP_STORE;
    JamAccess x = {.op = o, .at = at, .inner = inner, .write = d->code == OP_STORE};
    TdlVal root = memory_of(j->f, d->operands[buf]);
    TdlOp def = ir_val(j->f, root)->def;
    if (port_of(j->f, root) || (def.id && ir_op(j->f, def)->code == OP_ALLOC)) x.memory = root;
    bool known = view_index(j, d->operands[buf], &x.index);
    for (uint32_t i = buf + 1; known && i < d->noperands; i++) VEC_PUSH(j->a, x.index, d->operands[i]);
    if (!known) x.index.n = 0;
    VEC_PUSH(j->a, j->accesses, x);
}

/* Marks the two accesses of an addition to sums of fewer lanes than the loop's. Both are in one part of the body, or in one
 * loop of it: what moves in front of the other row's does so as a whole, and each addition stays one. */
static void mark_sums(Jam *j) {
    for (uint32_t i = 0; i < j->accesses.n; i++) {
        JamAccess *store = &j->accesses.p[i];
        if (!store->write || !store->memory.id || port_of(j->f, store->memory)) continue;
        int64_t lanes = op_int(j->f, ir_val(j->f, store->memory)->def, "lanes", 0);
        TdlOp load = lanes && lanes < j->lanes ? sum_added_to(j->f, j->uses, store->op) : (TdlOp){0};
        for (uint32_t k = 0; load.id && k < i; k++) {
            JamAccess *read = &j->accesses.p[k];
            if (read->op.id == load.id && read->at == store->at && read->inner == store->inner) read->sum = store->sum = true;
        }
    }
}

static bool collect(Jam *j) {
    IR_FOREACH_OP(j->f, j->body, o) {
        TdlOpcode code = ir_op(j->f, o)->code;
        if (code == OP_FOR) {
            IR_FOREACH_OP(j->f, ir_op(j->f, o)->regions[0], p) {
                if (ir_op(j->f, p)->code == OP_LOAD || ir_op(j->f, p)->code == OP_STORE) note(j, p, j->inner.n, true);
                else if (!simple(j, p) && ir_op(j->f, p)->code != OP_YIELD) return false;
            }
            VEC_PUSH(j->a, j->inner, o);
        } else if (code == OP_LOAD || code == OP_STORE) note(j, o, j->inner.n, false);
        else if (!simple(j, o) && code != OP_YIELD) return false;
    }
    if (!j->inner.n || j->accesses.n > MOST_ACCESSES) return false;
    mark_sums(j);
    return true;
}

/* ---- dependence ---- */

static TdlDim slot(const Jam *j, TdlVal memory) {
    const TdlAttr *at = op_attr(j->f, ir_val(j->f, memory)->def, "offset");
    return at ? at->dim : (TdlDim){0};
}

/* May the two be the same memory? Destinations may lie over inputs, and what they held at entry is one. */
static bool may_meet(const Jam *j, TdlVal x, TdlVal y) {
    const TdlPort *p = port_of(j->f, x), *q = port_of(j->f, y);
    if (!x.id || !y.id || x.id == y.id) return true;
    if (p && q) return (p->out && (p->over.n || q->prior_of >= 0)) || (q->out && (q->over.n || p->prior_of >= 0));
    return !p && !q && slot(j, x).id && dim_eq(slot(j, x), slot(j, y));
}

/* A load of what the body writes. */
static bool changes(const Jam *j, TdlOp load) {
    const JamAccess *read = NULL;
    for (uint32_t i = 0; i < j->accesses.n; i++)
        if (j->accesses.p[i].op.id == load.id) read = &j->accesses.p[i];
    for (uint32_t i = 0; read && i < j->accesses.n; i++)
        if (j->accesses.p[i].write && may_meet(j, read->memory, j->accesses.p[i].memory)) return true;
    return false;
}

/* What may differ between rows: what is made of their index, of what they carry, of sums, and of what they write. */
static void mark_own(Jam *j, TdlRegion r) {
    IR_FOREACH_OP(j->f, r, o) {
        const TdlOpData *d = ir_op(j->f, o);
        bool own = d->code == OP_FOR || (d->code == OP_LOAD && changes(j, o));
        for (uint32_t i = 0; i < d->noperands; i++) own |= j->own[d->operands[i].id];
        for (uint32_t i = 0; i < d->nresults; i++) j->own[d->results[i].id] = own;
        if (d->code != OP_FOR) continue;
        const TdlVals *args = &ir_region(j->f, d->regions[0])->args;
        for (uint32_t i = 0; i < args->n; i++) j->own[args->p[i].id] = i > 0;
        mark_own(j, d->regions[0]);
    }
}

typedef enum { PLACE_OTHER, PLACE_ROW, PLACE_LOOP } Place;

/* What index v is: the row's own, that of loop *k of the body, or another. */
static Place place(const Jam *j, TdlVal v, uint32_t *k) {
    if (v.id == j->row.id) return PLACE_ROW;
    for (*k = 0; *k < j->inner.n; ++*k)
        if (ir_region(j->f, ir_op(j->f, j->inner.p[*k])->regions[0])->args.p[0].id == v.id) return PLACE_LOOP;
    return PLACE_OTHER;
}

/* Index v of row i + 1, at the end of its loop (`end`) or before, and w of row i, are certainly not the same. */
static bool differ(const Jam *j, TdlVal v, bool end, TdlVal w) {
    uint32_t k, l;
    Place p = place(j, v, &k), q = place(j, w, &l);
    bool less = q == PLACE_LOOP && jam_triangular(j, j->inner.p[l]);    /* w < i */
    if (p == PLACE_ROW) return q == PLACE_ROW || less;                  /* v is i + 1 */
    if (p != PLACE_LOOP) return false;
    if (end) return less;                                               /* v is i */
    /* Of one loop, row i is at a later index. */
    return (q == PLACE_ROW && jam_triangular(j, j->inner.p[k])) || (q == PLACE_LOOP && k == l);
}

/* x of row i + 1 may run in front of y of row i. */
static bool independent(const Jam *j, const JamAccess *x, bool end, const JamAccess *y) {
    if ((!x->write && !y->write) || !may_meet(j, x->memory, y->memory)) return true;
    if (x->sum && y->sum) return true;
    if (!x->memory.id || x->memory.id != y->memory.id || x->index.n != y->index.n) return false;
    for (uint32_t i = 0; i < x->index.n; i++)
        if (differ(j, x->index.p[i], end, y->index.p[i])) return true;
    return false;
}

/* When it runs in the new order: parts of row i, of row i + 1 with the end of the loop before, then the loop. */
static uint32_t turn(const JamAccess *x, bool second, bool end) {
    if (x->inner && !end) return 3*x->at + 2;
    return 3*(x->at + end) + second;
}

static bool moves(const JamAccess *x, bool end, const JamAccess *y) {
    return turn(x, true, end) < turn(y, false, false) || (x->inner && !end && y->inner && x->at == y->at);
}

static bool accesses_fit(const Jam *j) {
    for (uint32_t i = 0; i < j->accesses.n; i++) {
        const JamAccess *x = &j->accesses.p[i];
        bool ends = x->inner && jam_triangular(j, j->inner.p[x->at]);
        for (uint32_t k = 0; k < j->accesses.n; k++)
            for (uint32_t end = 0; end <= ends; end++)
                if (moves(x, end, &j->accesses.p[k]) && !independent(j, x, end, &j->accesses.p[k])) return false;
    }
    return true;
}

/* The number of the body's loops that are complete where v, of the body, is known; 0 from outside. */
static uint32_t known_at(const Jam *j, TdlVal v) {
    TdlOp def = ir_val(j->f, v)->def;
    uint32_t n = 0;
    if (!def.id || ir_op(j->f, def)->parent.id != j->body.id) return 0;
    IR_FOREACH_OP(j->f, j->body, o) {
        n += ir_op(j->f, o)->code == OP_FOR;
        if (o.id == def.id) break;
    }
    return n;
}

/* Where the body uses v, or what is in its loops does, first: the number of loops that are complete there. */
static uint32_t used_at(const Jam *j, TdlVal v) {
    uint32_t n = 0;
    IR_FOREACH_OP(j->f, j->body, o) {
        const TdlOpData *d = ir_op(j->f, o);
        for (uint32_t i = 0; i < d->noperands; i++)
            if (d->operands[i].id == v.id) return n;
        if (d->code != OP_FOR) continue;
        IR_FOREACH_OP(j->f, d->regions[0], p)
            for (uint32_t i = 0; i < ir_op(j->f, p)->noperands; i++)
                if (ir_op(j->f, p)->operands[i].id == v.id) return n;
        n++;
    }
    return n;
}

/* What row i hands on is known where row i + 1 uses it. */
static bool carried_fit(const Jam *j) {
    const TdlVals *args = &ir_region(j->f, j->body)->args;
    const TdlOpData *end = ir_op(j->f, ir_terminator(j->f, j->body));
    for (uint32_t i = 0; i + 1u < args->n; i++)
        if (known_at(j, end->operands[i]) > used_at(j, args->p[1 + i])) return false;
    return true;
}

/* ---- gain ---- */

/* An access of all lanes: of memory that has them, or at the index of the loop around. */
static bool is_wide(const Jam *j, const JamAccess *x) {
    for (uint32_t i = 0; i < x->index.n; i++)
        if (x->index.p[i].id == j->lane.id) return true;
    return x->memory.id && !port_of(j->f, x->memory) && op_attr(j->f, ir_val(j->f, x->memory)->def, "lanes");
}

static bool is_shared(const Jam *j, const JamAccess *x) {
    const TdlOpData *d = ir_op(j->f, x->op);
    for (uint32_t i = x->write; i < d->noperands; i++)
        if (j->own[d->operands[i].id]) return false;
    return is_wide(j, x);
}

/* Values of a row that its loop reads in each iteration: of other operations than loads of what is the same in all lanes. */
static uint32_t kept_values(const Jam *j, TdlOp inner) {
    TdlVals seen = {0};
    IR_FOREACH_OP(j->f, ir_op(j->f, inner)->regions[0], o)
        for (uint32_t i = 0; i < ir_op(j->f, o)->noperands; i++) {
            TdlVal v = ir_op(j->f, o)->operands[i];
            bool old = !j->own[v.id] || !ty_is_float(j->m, ir_type(j->f, v)) || ir_region_of(j->f, v).id != j->body.id;
            for (uint32_t k = 0; k < seen.n; k++) old |= seen.p[k].id == v.id;
            if (!old) VEC_PUSH(j->a, seen, v);
        }
    return seen.n;
}

/* Accesses that rows share in loop k, if their values fit into the registers and there is little else to wait for. */
static uint32_t saved_in(const Jam *j, uint32_t k) {
    TdlOp inner = j->inner.p[k];
    uint32_t shared = 0, reads = 0, ops = 0;
    for (uint32_t i = 0; i < j->accesses.n; i++) {
        const JamAccess *x = &j->accesses.p[i];
        if (!x->inner || x->at != k || !is_shared(j, x)) continue;
        shared++;
        reads += !x->write;
    }
    IR_FOREACH_OP(j->f, ir_op(j->f, inner)->regions[0], o) {
        TdlOpcode code = ir_op(j->f, o)->code;
        bool computes = op_info(code)->flags & OPF_ELEMENTWISE && ty_is_float(j->m, ir_type(j->f, ir_op(j->f, o)->results[0]));
        if (computes) ops += ir_op_weight(code);
    }
    uint32_t twice = ir_op(j->f, inner)->noperands - 2u + kept_values(j, inner);
    bool room = j->wide*(2*twice + reads) + OTHER_REGISTERS <= j->registers;
    return room && ops <= MOST_INNER*shared ? shared : 0;
}

/* Of a loop that stays as it is: what is in it is outside of the loops inside. */
static void forget_own(Jam *j, TdlRegion r) {
    const TdlVals *args = &ir_region(j->f, r)->args;
    for (uint32_t i = 0; i < args->n; i++) j->own[args->p[i].id] = false;
    IR_FOREACH_OP(j->f, r, o) {
        const TdlOpData *d = ir_op(j->f, o);
        for (uint32_t i = 0; i < d->nresults; i++) j->own[d->results[i].id] = false;
        for (uint32_t i = 0; i < d->nregions; i++) forget_own(j, d->regions[i]);
    }
}

/* Whether the rows are independent, and something is saved. */
static bool rows_fit(Jam *j) {
    uint32_t saved = 0;
    for (uint32_t i = 0; i < j->inner.n; i++)
        if (!fits_inner(j, j->inner.p[i])) return false;
    if (!carried_fit(j) || !accesses_fit(j)) return false;
    for (uint32_t k = 0; k < j->inner.n; k++) saved += saved_in(j, k);
    return saved > 0;
}

bool jam_fits(Jam *j, TdlOp o) {
    j->loop = o;
    j->inner.n = j->accesses.n = 0;
    /* Of one register there is one where it waits for what is done lane by lane (pass `vector`). */
    if (j->wide < 2 || !counts_up(j, o)) return false;
    j->body = ir_op(j->f, o)->regions[0];
    j->row = ir_region(j->f, j->body)->args.p[0];
    if (!collect(j)) return false;
    const TdlVals *args = &ir_region(j->f, j->body)->args;
    for (uint32_t i = 0; i < args->n; i++) j->own[args->p[i].id] = true;
    mark_own(j, j->body);
    bool fits = rows_fit(j);
    if (!fits) forget_own(j, j->body);
    return fits;
}

bool jam_shared(const Jam *j, TdlOp o) {
    const TdlOpData *d = ir_op(j->f, o);
    if (d->code == OP_STORE || d->code == OP_FOR) return false;
    for (uint32_t i = 0; i < d->nresults; i++)
        if (j->own[d->results[i].id]) return false;
    return true;
}
