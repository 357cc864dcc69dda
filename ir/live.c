/* When the buffers of loop IR are in use. A buffer lives from its first use to its last, in the order of the text; a use in a
 * loop that the alloc is outside of counts as the whole loop; buffers that a `for` lets change places live as long as any of
 * them. */
#include "ir/ir.h"

#include <stdlib.h>

typedef struct {
    TdlFunc *f;
    TdlArena *a;
    uint32_t pos;
    uint32_t *alloc_of;     /* value: 1 + its index in lives, for a static buffer or a view of one; 0: other */
    uint32_t *in, *out;     /* op: positions */
    uint32_t *with;         /* life: another one of the same extent, or itself */
    TdlLives lives;
} Walk;

/* An upper bound of d for all d >= 0 that is >= 0 itself. */
static TdlDim nonnegative(TdlModule *m, TdlDim d) {
    TdlDim sum = dim_const(m, 0);
    if (dim_known_ge(m, d, sum)) return d;
    for (uint32_t t = 0; t < dim_nterms(m, d); t++) {
        int64_t coef = dim_term_coef(m, d, t);
        if (coef < 0) continue;
        TdlDim p = dim_const(m, coef);
        for (uint32_t i = 0; i < dim_term_natoms(m, d, t); i++) {
            TdlDimAtom a = dim_term_atom(m, d, t, i);
            if (a.kind == DIM_ATOM_VAR) p = dim_mul(m, p, dim_var(m, a.var));
            else if (a.kind == DIM_ATOM_MOD) p = dim_mul(m, p, dim_const(m, a.c - 1));
            else p = dim_mul(m, p, dim_of(m, a.kind, nonnegative(m, a.arg), a.c));
        }
        sum = dim_add(m, sum, p);
    }
    return sum;
}

TdlDim ir_slot_bytes(const TdlFunc *f, TdlOp alloc) {
    TdlModule *m = f->module;
    TdlType t = ir_type(f, ir_result(f, alloc, 0));
    TdlDim n = dim_const(m, el_bytes(ty_elem(m, t)) * op_int(f, alloc, "lanes", 1));
    for (uint32_t i = 0; i < ty_rank(m, t); i++) n = dim_mul(m, n, nonnegative(m, ty_dims(m, t)[i]));
    return n;
}

/* The life of alloc k (from 1), which others may share. */
static TdlLife *life(Walk *p, uint32_t k) {
    for (k--; p->with[k] != k;) k = p->with[k];
    return &p->lives.p[k];
}

static void extend(TdlLife *l, uint32_t first, uint32_t last) {
    if (first < l->first) l->first = first;
    if (last > l->last) l->last = last;
}

static void unite(Walk *p, uint32_t a, uint32_t b) {
    TdlLife *x = life(p, a), *y = life(p, b);
    if (x == y) return;
    p->with[y - p->lives.p] = (uint32_t)(x - p->lives.p);
    extend(x, y->first, y->last);
}

static void use(Walk *p, TdlVal v, TdlOp by) {
    uint32_t k = p->alloc_of[v.id];
    if (!k) return;
    TdlRegion home = p->lives.p[k - 1].region;
    uint32_t lo = p->in[by.id], hi = lo;
    /* Loops around the use that the alloc is outside of. */
    for (TdlRegion r = ir_op(p->f, by)->parent; r.id && r.id != home.id; r = ir_op(p->f, ir_region(p->f, r)->parent)->parent) {
        TdlOp o = ir_region(p->f, r)->parent;
        if (!o.id) break;
        if (ir_op(p->f, o)->code == OP_IF) continue;
        lo = p->in[o.id];
        hi = p->out[o.id];
    }
    extend(life(p, k), lo, hi);
    /* A buffer that is handed on elsewhere is followed no further: it lives as long as the call. */
    TdlOpcode c = ir_op(p->f, by)->code;
    TdlOp around = ir_region(p->f, ir_op(p->f, by)->parent)->parent;
    bool in_for = around.id && ir_op(p->f, around)->code == OP_FOR;
    if (c == OP_WHILE || (c == OP_YIELD && !in_for)) extend(life(p, k), 0, IR_LIFE_END);
}

static void number(Walk *p, TdlRegion r) {
    IR_FOREACH_OP(p->f, r, o) {
        const TdlOpData *d = ir_op(p->f, o);
        p->in[o.id] = p->pos++;
        for (uint32_t k = 0; k < d->nregions; k++) number(p, d->regions[k]);
        p->out[o.id] = d->nregions ? p->pos++ : p->in[o.id];
    }
}

/* The buffers that a `for` carries, in its body and behind it. */
static void carry(Walk *p, TdlOp loop) {
    const TdlOpData *d = ir_op(p->f, loop);
    uint32_t skip = op_int(p->f, loop, "exit", 0) != 0;
    for (uint32_t i = 2; i < d->noperands; i++) {
        p->alloc_of[ir_region(p->f, d->regions[0])->args.p[i - 1].id] = p->alloc_of[d->operands[i].id];
        p->alloc_of[d->results[skip + i - 2].id] = p->alloc_of[d->operands[i].id];
    }
}

/* What it yields in the place of one lives as long as that. */
static void carry_on(Walk *p, TdlOp loop) {
    const TdlOpData *d = ir_op(p->f, loop), *y = ir_op(p->f, ir_terminator(p->f, d->regions[0]));
    uint32_t skip = op_int(p->f, loop, "exit", 0) != 0;
    for (uint32_t i = 2; i < d->noperands; i++) {
        uint32_t a = p->alloc_of[d->operands[i].id], b = p->alloc_of[y->operands[skip + i - 2].id];
        if (a && b) unite(p, a, b);
    }
}

static void find(Walk *p, TdlRegion r) {
    TdlFunc *f = p->f;
    IR_FOREACH_OP(f, r, o) {
        const TdlOpData *d = ir_op(f, o);
        if (d->code == OP_ALLOC && !op_int(f, o, "dynamic", 0) && !op_int(f, o, "local", 0)) {
            p->with[p->lives.n] = p->lives.n;
            VEC_PUSH(p->a, p->lives, ((TdlLife){.op = o, .region = r, .first = UINT32_MAX}));
            p->alloc_of[d->results[0].id] = p->lives.n;
            continue;
        }
        for (uint32_t i = 0; i < d->noperands; i++) use(p, d->operands[i], o);
        if (d->code == OP_VIEW) p->alloc_of[d->results[0].id] = p->alloc_of[d->operands[0].id];
        if (d->code == OP_FOR) carry(p, o);
        for (uint32_t k = 0; k < d->nregions; k++) find(p, d->regions[k]);
        if (d->code == OP_FOR) carry_on(p, o);
    }
}

TdlLives ir_lives(TdlFunc *f, TdlArena *scratch) {
    Walk p = {.f = f, .a = scratch, .pos = 1};
    p.alloc_of = ARENA_ARRAY(scratch, uint32_t, f->vals.n);
    p.in = ARENA_ARRAY(scratch, uint32_t, f->ops.n);
    p.out = ARENA_ARRAY(scratch, uint32_t, f->ops.n);
    p.with = ARENA_ARRAY(scratch, uint32_t, f->ops.n);
    number(&p, f->body);
    find(&p, f->body);
    for (uint32_t i = 0; i < p.lives.n; i++) {
        TdlLife all = *life(&p, i + 1);
        p.lives.p[i].first = all.first, p.lives.p[i].last = all.last;
        if (all.first == UINT32_MAX) p.lives.p[i].first = p.lives.p[i].last = p.in[p.lives.p[i].op.id]; /* never used */
    }
    return p.lives;
}

/* ---- the most that is in use at once ---- */

typedef struct { uint32_t at; bool ends; uint32_t life; } Event;

/* Ends come before beginnings: `last` is the place behind the last use. */
static int by_place(const void *x, const void *y) {
    const Event *a = x, *b = y;
    if (a->at != b->at) return a->at < b->at ? -1 : 1;
    if (a->ends != b->ends) return a->ends ? -1 : 1;
    return a->life < b->life ? -1 : a->life > b->life;
}

/* Keeps d unless one of the others is certainly as large, and drops those that d is as large as. */
static void keep(TdlModule *m, TdlArena *arena, TdlDims *peaks, TdlDim d) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < peaks->n; i++)
        if (dim_known_ge(m, peaks->p[i], d)) return;
    for (uint32_t i = 0; i < peaks->n; i++)
        if (!dim_known_ge(m, d, peaks->p[i])) peaks->p[n++] = peaks->p[i];
    peaks->n = n;
    if (n < IR_MOST_PEAKS) VEC_PUSH(arena, *peaks, d);
}

TdlDims ir_live_peaks(TdlFunc *f, TdlArena *scratch) {
    TdlModule *m = f->module;
    TdlLives lives = ir_lives(f, scratch);
    Event *events = ARENA_ARRAY(scratch, Event, 2 * lives.n + 1);
    TdlDims peaks = {0};
    TdlDim sum = dim_const(m, 0);
    for (uint32_t i = 0; i < lives.n; i++) {
        events[2 * i] = (Event){lives.p[i].first, false, i};
        events[2 * i + 1] = (Event){lives.p[i].last == IR_LIFE_END ? IR_LIFE_END : lives.p[i].last + 1, true, i};
    }
    if (lives.n) qsort(events, 2 * (size_t)lives.n, sizeof *events, by_place);
    for (uint32_t i = 0; i < 2 * lives.n; i++) {
        TdlDim bytes = ir_slot_bytes(f, lives.p[events[i].life].op);
        if (events[i].ends && (!i || !events[i - 1].ends)) keep(m, scratch, &peaks, sum);
        sum = events[i].ends ? dim_sub(m, sum, bytes) : dim_add(m, sum, bytes);
    }
    return peaks;
}
