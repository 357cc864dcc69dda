/* Places every static buffer in the workspace.
 *
 *   %4 = alloc : buf<f64[n]>           %4 = alloc {offset = 0} : buf<f64[n]>
 *   ... last use of %4           =>    ...
 *   %9 = alloc : buf<f64[n]>           %9 = alloc {offset = 0} : buf<f64[n]>
 *   ... first use of %9                ...
 *
 * A buffer lives from its first use to its last, in the order of the text; a use in a loop that the alloc is outside
 * of counts as the whole loop. Two buffers share a slot when their lives do not overlap and one size certainly covers
 * the other. Slots begin at multiples of 64 bytes: each size is rounded up. Different slots never overlap, which
 * codegen may tell LLVM. The sum of the slots is the function's `workspace`.
 *
 * Sizes are polynomials that must not become negative where a dimension is small (n - 5 at n = 2, in a branch not
 * taken): an extent that is not certainly >= 0 counts without its negative terms, which is never less than it.
 * Small buffers of constant size go to the machine stack (local = 1), where LLVM makes registers of them. */
#include "passes/pass.h"
#include <stdlib.h>

enum {
    LOCAL_BYTES = 256,      /* the largest local buffer */
    LOCAL_TOTAL = 32 << 10, /* of one function */
    ALIGN = 64,
    TRIES = 64              /* slots of other sizes that are compared before a new one is made */
};

typedef struct { TdlOp op; TdlRegion region; uint32_t first, last; TdlDim bytes; } Life;
typedef struct { TdlDim bytes, offset; uint32_t free_from; } Slot;

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *a;
    uint32_t pos;
    uint32_t *alloc_of;     /* value: 1 + its index in lives, for a static buffer or a view of one; 0: other */
    uint32_t *in, *out;     /* op: positions */
    TDL_VEC(Life) lives;
    TDL_VEC(Slot) slots;
} Plan;

/* ---- sizes ---- */

/* An upper bound of d for all d >= 0 that is >= 0 itself. */
static TdlDim nonnegative(TdlModule *m, TdlDim d)
{
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
            else p = dim_mul(m, p, dim_floordiv(m, nonnegative(m, a.arg), a.c));
        }
        sum = dim_add(m, sum, p);
    }
    return sum;
}

static TdlDim slot_bytes(TdlModule *m, TdlType t)
{
    TdlDim n = dim_const(m, el_bytes(ty_elem(m, t)));
    for (uint32_t i = 0; i < ty_rank(m, t); i++) n = dim_mul(m, n, nonnegative(m, ty_dims(m, t)[i]));
    return n;
}

/* Up to a multiple of ALIGN. Sizes are compared before: of quotients less is known. */
static TdlDim rounded(TdlModule *m, TdlDim bytes)
{
    TdlDim up = dim_floordiv(m, dim_add(m, bytes, dim_const(m, ALIGN - 1)), ALIGN);
    return dim_mul(m, up, dim_const(m, ALIGN));
}

/* ---- lives ---- */

static void use(Plan *p, TdlVal v, TdlOp by)
{
    uint32_t k = p->alloc_of[v.id];
    if (!k) return;
    Life *l = &p->lives.p[k - 1];
    uint32_t lo = p->in[by.id], hi = lo;
    /* Loops around the use that the alloc is outside of. */
    for (TdlRegion r = ir_op(p->f, by)->parent; r.id && r.id != l->region.id; r = ir_op(p->f, ir_region(p->f, r)->parent)->parent) {
        TdlOp o = ir_region(p->f, r)->parent;
        if (!o.id) break;
        if (ir_op(p->f, o)->code == OP_IF) continue;
        lo = p->in[o.id];
        hi = p->out[o.id];
    }
    if (lo < l->first) l->first = lo;
    if (hi > l->last) l->last = hi;
}

static void number(Plan *p, TdlRegion r)
{
    IR_FOREACH_OP(p->f, r, o) {
        const TdlOpData *d = ir_op(p->f, o);
        p->in[o.id] = p->pos++;
        for (uint32_t k = 0; k < d->nregions; k++) number(p, d->regions[k]);
        p->out[o.id] = d->nregions ? p->pos++ : p->in[o.id];
    }
}

static void find_lives(Plan *p, TdlRegion r)
{
    TdlFunc *f = p->f;
    IR_FOREACH_OP(f, r, o) {
        const TdlOpData *d = ir_op(f, o);
        if (d->code == OP_ALLOC && !op_int(f, o, "dynamic", 0) && !op_int(f, o, "local", 0)) {
            VEC_PUSH(p->a, p->lives, ((Life){.op = o, .region = r, .first = UINT32_MAX}));
            p->alloc_of[d->results[0].id] = p->lives.n;
            /* A destination's stand-in is one buffer for the whole call. */
            if (d->noperands) { VEC_LAST(p->lives).first = 0; VEC_LAST(p->lives).last = p->pos; }
            continue;
        }
        for (uint32_t i = 0; i < d->noperands; i++) {
            use(p, d->operands[i], o);
            uint32_t k = p->alloc_of[d->operands[i].id];
            /* A buffer that is carried as a pointer is followed no further: it lives as long as the call. */
            bool carried = d->code == OP_FOR || d->code == OP_WHILE || d->code == OP_YIELD;
            if (k && carried) { p->lives.p[k - 1].first = 0; p->lives.p[k - 1].last = p->pos; }
        }
        if (d->code == OP_VIEW) p->alloc_of[d->results[0].id] = p->alloc_of[d->operands[0].id];
        for (uint32_t k = 0; k < d->nregions; k++) find_lives(p, d->regions[k]);
    }
}

/* ---- slots ---- */

static int by_first(const void *x, const void *y)
{
    const Life *a = x, *b = y;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return a->op.id < b->op.id ? -1 : a->op.id > b->op.id;
}

static uint32_t find_slot(Plan *p, const Life *l)
{
    uint32_t tries = TRIES;
    for (uint32_t i = 0; i < p->slots.n; i++)
        if (p->slots.p[i].free_from <= l->first && dim_eq(p->slots.p[i].bytes, l->bytes)) return i;
    for (uint32_t i = 0; i < p->slots.n && tries; i++) {
        Slot *s = &p->slots.p[i];
        if (s->free_from > l->first) continue;
        tries--;
        if (dim_known_ge(p->m, s->bytes, l->bytes)) return i;
        if (dim_known_ge(p->m, l->bytes, s->bytes)) {
            s->bytes = l->bytes;
            return i;
        }
    }
    VEC_PUSH(p->a, p->slots, ((Slot){.bytes = l->bytes}));
    return p->slots.n - 1;
}

/* Constant sizes up to LOCAL_BYTES leave the list. */
static void take_locals(Plan *p)
{
    int64_t total = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->lives.n; i++) {
        Life l = p->lives.p[i];
        TdlType t = ir_type(p->f, ir_result(p->f, l.op, 0));
        int64_t elems, size = el_bytes(ty_elem(p->m, t));
        bool constant = dim_is_const(p->m, ty_numel(p->m, ty_tensor_of(p->m, t)), &elems);
        int64_t bytes = constant && elems >= 0 && elems <= LOCAL_BYTES / size ? elems * size : -1;
        if (bytes >= 0 && total + bytes <= LOCAL_TOTAL) {
            op_set_int(p->f, l.op, "local", 1);
            total += bytes;
            continue;
        }
        if (l.first == UINT32_MAX) l.first = l.last = p->in[l.op.id]; /* never used */
        l.bytes = slot_bytes(p->m, t);
        p->lives.p[n++] = l;
    }
    p->lives.n = n;
}

static void place(Plan *p)
{
    uint32_t *slot = ARENA_ARRAY(p->a, uint32_t, p->lives.n + 1);
    if (p->lives.n) qsort(p->lives.p, p->lives.n, sizeof *p->lives.p, by_first);
    for (uint32_t i = 0; i < p->lives.n; i++) {
        slot[i] = find_slot(p, &p->lives.p[i]);
        p->slots.p[slot[i]].free_from = p->lives.p[i].last + 1;
    }
    TdlDim total = dim_const(p->m, 0);
    for (uint32_t i = 0; i < p->slots.n; i++) {
        p->slots.p[i].offset = total;
        total = dim_add(p->m, total, rounded(p->m, p->slots.p[i].bytes));
    }
    for (uint32_t i = 0; i < p->lives.n; i++) op_set_dim(p->f, p->lives.p[i].op, "offset", p->slots.p[slot[i]].offset);
    p->f->workspace = total;
}

bool pass_plan(TdlModule *m, const TdlPassOptions *opt)
{
    (void)opt;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        TdlFunc *f = m->funcs.p[i];
        Plan p = {.m = m, .f = f, .a = &scratch, .pos = 1};
        p.alloc_of = ARENA_ARRAY(&scratch, uint32_t, f->vals.n);
        p.in = ARENA_ARRAY(&scratch, uint32_t, f->ops.n);
        p.out = ARENA_ARRAY(&scratch, uint32_t, f->ops.n);
        number(&p, f->body);
        find_lives(&p, f->body);
        take_locals(&p);
        place(&p);
        arena_free(&scratch);
    }
    return true;
}
