/* Places every static buffer in the workspace.
 *
 *   %4 = alloc : buf<f64[n]>           %4 = alloc {offset = 0} : buf<f64[n]>
 *   ... last use of %4           =>    ...
 *   %9 = alloc : buf<f64[n]>           %9 = alloc {offset = 0} : buf<f64[n]>
 *   ... first use of %9                ...
 *
 * A buffer lives as ir/live.c says it. Two buffers share a slot when their lives do not overlap and one size certainly covers
 * the other, or both have limits: min(p, c) and min(q, c) share min(p + q, c). Slots begin at multiples of 64 bytes: each
 * size is rounded up. Different slots never overlap, which codegen may tell LLVM. The sum of the slots is the function's `workspace`.
 *
 * What a loop over chunks of iterations (`threads`) allocates has slots of its own in each chunk: their sum is the
 * function's `chunk`.
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

typedef struct { TdlOp op; uint32_t first, last, order /* in the text */; TdlDim bytes; bool chunk; } Life;
typedef struct { TdlDim bytes, offset; uint32_t free_from; bool chunk; } Slot;

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *a;
    TDL_VEC(Life) lives;
    TDL_VEC(Slot) slots;
} Plan;

/* ---- slots ---- */

/* Up to a multiple of ALIGN. Sizes are compared before: of quotients less is known. */
static TdlDim rounded(TdlModule *m, TdlDim bytes)
{
    TdlDim up = dim_floordiv(m, dim_add(m, bytes, dim_const(m, ALIGN - 1)), ALIGN);
    return dim_mul(m, up, dim_const(m, ALIGN));
}

static int by_first(const void *x, const void *y)
{
    const Life *a = x, *b = y;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Sizes that have a limit, as the room for packing has: one slot for both never takes more than the larger limit. */
static bool share(Plan *p, Slot *s, const Life *l)
{
    int64_t x, y;
    TdlDim zero = dim_const(p->m, 0);
    if (!dim_most(p->m, s->bytes, &x) || !dim_most(p->m, l->bytes, &y)) return false;
    if (!dim_known_ge(p->m, s->bytes, zero) || !dim_known_ge(p->m, l->bytes, zero)) return false;
    s->bytes = dim_min(p->m, dim_add(p->m, s->bytes, l->bytes), x > y ? x : y);
    return true;
}

static uint32_t find_slot(Plan *p, const Life *l)
{
    uint32_t tries = TRIES;
    for (uint32_t i = 0; i < p->slots.n; i++)
        if (p->slots.p[i].chunk == l->chunk && p->slots.p[i].free_from <= l->first && dim_eq(p->slots.p[i].bytes, l->bytes)) return i;
    for (uint32_t i = 0; i < p->slots.n && tries; i++) {
        Slot *s = &p->slots.p[i];
        if (s->free_from > l->first || s->chunk != l->chunk) continue;
        tries--;
        if (dim_known_ge(p->m, s->bytes, l->bytes)) return i;
        if (dim_known_ge(p->m, l->bytes, s->bytes)) {
            s->bytes = l->bytes;
            return i;
        }
    }
    for (uint32_t i = 0; i < p->slots.n; i++)
        if (p->slots.p[i].chunk == l->chunk && p->slots.p[i].free_from <= l->first && share(p, &p->slots.p[i], l)) return i;
    VEC_PUSH(p->a, p->slots, ((Slot){.bytes = l->bytes, .chunk = l->chunk}));
    return p->slots.n - 1;
}

/* Small: on the machine's stack? Counts it in *total then. */
static bool take_local(Plan *p, TdlOp alloc, int64_t *total)
{
    TdlType t = ir_type(p->f, ir_result(p->f, alloc, 0));
    int64_t elems, size = el_bytes(ty_elem(p->m, t));
    bool constant = dim_is_const(p->m, ty_numel(p->m, ty_tensor_of(p->m, t)), &elems);
    int64_t bytes = constant && elems >= 0 && elems <= LOCAL_BYTES / size ? elems * size : -1;
    if (bytes < 0 || *total + bytes > LOCAL_TOTAL) return false;
    op_set_int(p->f, alloc, "local", 1);
    *total += bytes;
    return true;
}

/* The buffers that want a slot. */
static void find_lives(Plan *p)
{
    TdlLives lives = ir_lives(p->f, p->a);
    int64_t total = 0;
    for (uint32_t i = 0; i < lives.n; i++) {
        Life l = {.op = lives.p[i].op, .first = lives.p[i].first, .last = lives.p[i].last, .order = i};
        /* A destination's stand-in is one buffer for the whole call. */
        if (ir_op(p->f, l.op)->noperands) l.first = 0, l.last = IR_LIFE_END;
        if (take_local(p, l.op, &total)) continue;
        l.bytes = ir_slot_bytes(p->f, l.op);
        l.chunk = ir_threads_around(p->f, ir_op(p->f, l.op)->parent).id != 0;
        VEC_PUSH(p->a, p->lives, l);
    }
}

static void place(Plan *p)
{
    uint32_t *slot = ARENA_ARRAY(p->a, uint32_t, p->lives.n + 1);
    if (p->lives.n) qsort(p->lives.p, p->lives.n, sizeof *p->lives.p, by_first);
    for (uint32_t i = 0; i < p->lives.n; i++) {
        slot[i] = find_slot(p, &p->lives.p[i]);
        p->slots.p[slot[i]].free_from = p->lives.p[i].last + 1;
    }
    TdlDim total[2] = {dim_const(p->m, 0), dim_const(p->m, 0)};
    for (uint32_t i = 0; i < p->slots.n; i++) {
        TdlDim *end = &total[p->slots.p[i].chunk];
        p->slots.p[i].offset = *end;
        *end = dim_add(p->m, *end, rounded(p->m, p->slots.p[i].bytes));
    }
    for (uint32_t i = 0; i < p->lives.n; i++) op_set_dim(p->f, p->lives.p[i].op, "offset", p->slots.p[slot[i]].offset);
    p->f->workspace = total[0];
    if (!dim_eq(total[1], dim_const(p->m, 0))) p->f->chunk = total[1];
}

bool pass_plan(TdlModule *m, const TdlPassOptions *opt)
{
    (void)opt;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        TdlFunc *f = m->funcs.p[i];
        Plan p = {.m = m, .f = f, .a = &scratch};
        find_lives(&p);
        place(&p);
        arena_free(&scratch);
    }
    return true;
}
