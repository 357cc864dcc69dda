/* What is compared for equality is computed the same way at both ends.
 *
 * The derivative of a maximum looks for the values that equal it, and computes them again to do so. Contraction (a*b + c
 * rounded once) and reassociation are chosen loop by loop, so that the same expression may come out an ulp apart in two
 * loops: then no value equals the maximum, and the gradient is lost. Floats that reach an `eq` or `ne` of two different
 * values that are not constants therefore get `exact = 1`: codegen leaves their operations as they are written.
 *
 *   %1 = mul %a, %b                %1 = mul %a, %b {exact = 1}
 *   %2 = add %1, %c          =>    %2 = add %1, %c {exact = 1}
 *   %3 = eq %2, %m                 %3 = eq %2, %m
 *
 * Both ends are followed through loops, branches and memory, up to buffers that both read: what is in memory is the
 * same for both. Cost: linear in what a comparison depends on; beyond BUDGET visits an operation of the function all that
 * a comparison depends on is marked. */
#include "passes/pass.h"

enum { BUDGET = 64 };

typedef TDL_VEC(TdlVal) Stored;

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *a;
    Stored *stored;         /* by value id, of buffers: the values and buffers that are written to it */
    uint32_t *seen[2];      /* by value id: the last comparison whose left, right end depends on it */
    uint32_t epoch;
    bool marking, all;      /* what is read by both ends is followed too */
    uint64_t visits;
    TdlVals work;
} Exact;

static bool is_float(const Exact *e, TdlVal v) {
    TdlType t = ir_type(e->f, v);
    return ty_kind(e->m, t) == TY_TENSOR && el_is_float(ty_elem(e->m, t));
}

static void note_write(void *user, TdlFunc *f, TdlOp o) {
    Exact *e = user;
    const TdlOpData *d = ir_op(f, o);
    if (d->code == OP_STORE) VEC_PUSH(e->a, e->stored[ir_viewed(e->f, d->operands[1]).id], d->operands[0]);
    if (d->code == OP_COPY || d->code == OP_FILL) VEC_PUSH(e->a, e->stored[ir_viewed(e->f, d->operands[0]).id], d->operands[1]);
}

static void add(Exact *e, TdlVal v) { VEC_PUSH(e->a, e->work, v); }

/* What region r of a loop or branch hands on at place i. */
static void add_yield(Exact *e, TdlRegion r, uint32_t i) {
    TdlOp end = ir_terminator(e->f, r);
    if (end.id && i < ir_op(e->f, end)->noperands) add(e, ir_op(e->f, end)->operands[i]);
}

/* The k-th value that a loop carries. */
static void add_carried(Exact *e, TdlOp loop, uint32_t k) {
    const TdlOpData *d = ir_op(e->f, loop);
    bool is_for = d->code == OP_FOR;
    add(e, d->operands[is_for ? 2 + k : k]);
    add_yield(e, d->regions[is_for ? 0 : 1], k + (is_for && op_int(e->f, loop, "exit", 0)));
}

static void follow_argument(Exact *e, TdlVal v) {
    const TdlValData *d = ir_val(e->f, v);
    TdlOp loop = ir_region(e->f, d->region)->parent;
    if (!loop.id) return;
    TdlOpcode code = ir_op(e->f, loop)->code;
    if (code == OP_FOR && d->index) add_carried(e, loop, d->index - 1u);
    if (code == OP_WHILE) add_carried(e, loop, d->index);
}

static void follow_op(Exact *e, TdlOp o, uint32_t result) {
    const TdlOpData *d = ir_op(e->f, o);
    switch ((int)d->code) {
    case OP_LOAD: add(e, d->operands[0]); return;
    case OP_FOR: case OP_WHILE: {
        uint32_t skip = d->code == OP_FOR && op_int(e->f, o, "exit", 0);
        if (result >= skip) add_carried(e, o, result - skip);
        return;
    }
    case OP_IF:
        for (uint32_t k = 0; k < 2; k++) add_yield(e, d->regions[k], result);
        return;
    default: break;
    }
    if (!(op_info(d->code)->flags & OPF_ELEMENTWISE)) return;
    if (e->marking) op_set_int(e->f, o, "exact", 1);
    for (uint32_t i = 0; i < ir_op(e->f, o)->noperands; i++)
        if (is_float(e, ir_op(e->f, o)->operands[i])) add(e, ir_op(e->f, o)->operands[i]);
}

/* All that v depends on, at one end of the comparison at hand. */
static void follow(Exact *e, TdlVal v, int end) {
    uint32_t stamp = e->epoch + e->marking;
    add(e, v);
    while (e->work.n) {
        v = VEC_LAST(e->work);
        e->work.n--;
        bool buffer = ty_kind(e->m, ir_type(e->f, v)) == TY_BUF;
        if (buffer) v = ir_viewed(e->f, v);
        if (e->seen[end][v.id] == stamp || (!buffer && !is_float(e, v))) continue;
        bool common = e->seen[0][v.id] >= e->epoch && e->seen[1][v.id] >= e->epoch;
        e->seen[end][v.id] = stamp;
        e->visits++;
        if (buffer) {
            if (e->marking && common && !e->all) continue;
            for (uint32_t i = 0; i < e->stored[v.id].n; i++) add(e, e->stored[v.id].p[i]);
        }
        TdlOp def = ir_val(e->f, v)->def;
        if (def.id) follow_op(e, def, ir_val(e->f, v)->index);
        else follow_argument(e, v);
    }
}

static bool is_const(const TdlFunc *f, TdlVal v) {
    TdlOp def = ir_val(f, v)->def;
    return def.id && ir_op(f, def)->code == OP_CONST;
}

static void look_at(void *user, TdlFunc *f, TdlOp o) {
    Exact *e = user;
    const TdlOpData *d = ir_op(f, o);
    if ((d->code != OP_EQ && d->code != OP_NE) || !is_float(e, d->operands[0])) return;
    TdlVal x[2] = {d->operands[0], d->operands[1]};
    if (x[0].id == x[1].id || is_const(f, x[0]) || is_const(f, x[1])) return;
    e->all = e->visits > (uint64_t)BUDGET * f->ops.n;
    for (int pass = e->all; pass < 2; pass++) {
        e->marking = pass == 1;
        for (int end = 0; end < 2; end++) follow(e, x[end], end);
    }
    if (!e->all) e->epoch += 2; /* else what was marked need not be looked at again */
}

bool pass_exact(TdlModule *m, const TdlPassOptions *opt) {
    for (uint32_t i = 0; i < m->funcs.n && !opt->strict_fp; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        Exact e = {.m = m, .f = m->funcs.p[i], .a = &scratch, .epoch = 1};
        uint32_t n = e.f->vals.n + 1;
        e.stored = ARENA_ARRAY(&scratch, Stored, n);
        for (int k = 0; k < 2; k++) e.seen[k] = ARENA_ARRAY(&scratch, uint32_t, n);
        ir_walk(e.f, e.f->body, note_write, &e);
        ir_walk(e.f, e.f->body, look_at, &e);
        arena_free(&scratch);
    }
    return true;
}
