/* Buffers that a loop copies back change places instead.
 *
 *   for %lo, %hi {(%i)                      %b = alloc
 *     %b = alloc                            %r, %s = for %lo, %hi, %a, %b {(%i, %x, %y)
 *     ... reads %a, writes %b        =>       ... reads %x, writes %y
 *     copy %a, %b                             yield %y, %x
 *     yield                                 } : buf, buf
 *   }                                       ... %r ...
 *   ... %a ...
 *
 * That is the state of an explicit time step, or its cotangent.
 * When: the copy stands in the body of a `for` itself, %b is allocated there, neither is touched behind the copy, and %a
 * and what is behind the loop stand in its region. Where the caller sees %a, it gets one copy behind the loop.
 * Never: small buffers of constant size (registers: plan.c), and inside of loops whose iterations are independent, which
 * may become lanes.
 * Memory: a loop whose state an earlier one left has that one's other buffer for its own, so that there are two in all.
 * Cost: a look at the operands of each body, and at those behind a loop that changes. */
#include "passes/pass.h"

enum { SMALL = 256 /* bytes */ };

typedef TDL_VEC(TdlVal) Table; /* by value; 0: none */

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *a;
    Table become;       /* what a state is behind its loop */
    Table spare;        /* the other buffer that the loop left, of which this is the state */
    Table viewed;       /* itself, of a buffer with views so far */
} Swap;

typedef struct { TdlOp loop, copy; TdlVal state, next; } Pair;

static TdlVal look_up(const Table *t, TdlVal v) { return v.id < t->n ? t->p[v.id] : (TdlVal){0}; }

static void note(Swap *s, Table *t, TdlVal v, TdlVal x) {
    while (t->n <= v.id) VEC_PUSH(s->a, *t, (TdlVal){0});
    t->p[v.id] = x;
}

static bool is_small(const Swap *s, TdlVal buf) {
    TdlType t = ir_type(s->f, buf);
    int64_t n;
    return dim_is_const(s->m, ty_numel(s->m, ty_tensor_of(s->m, t)), &n) && n <= SMALL / el_bytes(ty_elem(s->m, t));
}

/* Operands at o, and below, that are v or a view of it. */
static bool touches(const Swap *s, TdlOp o, TdlVal v) {
    const TdlOpData *d = ir_op(s->f, o);
    for (uint32_t i = 0; i < d->noperands; i++)
        if (ty_kind(s->m, ir_type(s->f, d->operands[i])) == TY_BUF && ir_viewed(s->f, d->operands[i]).id == v.id) return true;
    for (uint32_t k = 0; k < d->nregions; k++)
        IR_FOREACH_OP(s->f, d->regions[k], p)
            if (touches(s, p, v)) return true;
    return false;
}

/* Memory of the function's own, or a destination, with a name in the region of the loop and no other. */
static bool is_state(const Swap *s, TdlOp loop, TdlVal v) {
    TdlOp def = ir_val(s->f, v)->def;
    if (!def.id || ir_op(s->f, def)->parent.id != ir_op(s->f, loop)->parent.id) return false;
    return !look_up(&s->viewed, v).id && (ir_op(s->f, def)->code == OP_ALLOC || look_up(&s->spare, v).id);
}

static bool is_pair(const Swap *s, TdlOp loop, TdlOp copy, Pair *p) {
    const TdlOpData *d = ir_op(s->f, copy);
    if (d->code != OP_COPY) return false;
    *p = (Pair){loop, copy, d->operands[0], d->operands[1]};
    TdlOp def = ir_val(s->f, p->next)->def;
    if (!def.id || ir_op(s->f, def)->code != OP_ALLOC || ir_op(s->f, def)->noperands || op_int(s->f, def, "dynamic", 0)) return false;
    if (ir_op(s->f, def)->parent.id != d->parent.id || !is_state(s, loop, p->state)) return false;
    if (!ty_eq(ir_type(s->f, p->state), ir_type(s->f, p->next)) || is_small(s, p->next)) return false;
    for (TdlOp o = d->next; o.id; o = ir_op(s->f, o)->next)
        if (touches(s, o, p->state) || touches(s, o, p->next)) return false;
    return true;
}

static void replace(Swap *s, TdlOp o, TdlVal from, TdlVal to) {
    TdlOpData *d = ir_op(s->f, o);
    for (uint32_t i = 0; i < d->noperands; i++)
        if (d->operands[i].id == from.id) d->operands[i] = to;
    for (uint32_t k = 0; k < d->nregions; k++)
        IR_FOREACH_OP(s->f, ir_op(s->f, o)->regions[k], p) replace(s, p, from, to);
}

/* Memory for what the loop computes next: the spare buffer of the loop that left the state, or its own, in front. */
static TdlVal other_buffer(Swap *s, const Pair *p) {
    TdlOp def = ir_val(s->f, p->next)->def;
    TdlVal spare = look_up(&s->spare, p->state);
    if (spare.id) return spare;
    ir_move_before(s->f, def, p->loop);
    return p->next;
}

static void change(Swap *s, const Pair *p) {
    TdlFunc *f = s->f;
    TdlRegion body = ir_op(f, p->loop)->regions[0];
    TdlType t = ir_type(f, p->state);
    TdlVal other = other_buffer(s, p);
    ir_remove(f, p->copy);
    ir_add_operand(f, p->loop, p->state);
    ir_add_operand(f, p->loop, other);
    TdlVal x = ir_region_arg(f, body, t, SYM_NONE), y = ir_region_arg(f, body, t, SYM_NONE);
    IR_FOREACH_OP(f, body, o) {
        replace(s, o, p->state, x);
        replace(s, o, p->next, y);
    }
    if (other.id != p->next.id) ir_remove(f, ir_val(f, p->next)->def);
    TdlOp end = ir_terminator(f, body);
    ir_add_operand(f, end, y);
    ir_add_operand(f, end, x);
    TdlVal r = ir_add_result(f, p->loop, t), spare = ir_add_result(f, p->loop, t);
    TdlOp def = ir_val(f, p->state)->def;
    if (ir_op(f, def)->code == OP_ALLOC && ir_op(f, def)->noperands) {
        TdlBuilder b = ir_after(f, p->loop);
        ir_emit(&b, OP_COPY, (TdlVal[]){p->state, r}, 2, NULL, 0);
        return;
    }
    note(s, &s->become, p->state, r);
    note(s, &s->spare, r, spare);
}

/* A view in the region of the buffer itself: those in regions below are not seen behind these. */
static void note_view(Swap *s, TdlOp view) {
    TdlVal root = ir_viewed(s->f, ir_op(s->f, view)->operands[0]);
    if (ir_region_of(s->f, root).id == ir_op(s->f, view)->parent.id) note(s, &s->viewed, root, root);
}

static void visit(Swap *s, TdlRegion r, bool parallel);

static void visit_loop(Swap *s, TdlOp o) {
    Pair p;
    IR_FOREACH_OP(s->f, ir_op(s->f, o)->regions[0], copy)
        if (is_pair(s, o, copy, &p)) change(s, &p);
}

static void visit(Swap *s, TdlRegion r, bool parallel) {
    IR_FOREACH_OP(s->f, r, o) {
        TdlOpData *d = ir_op(s->f, o);
        for (uint32_t i = 0; i < d->noperands; i++)
            for (TdlVal v = look_up(&s->become, d->operands[i]); v.id; v = look_up(&s->become, v)) d->operands[i] = v;
        if (d->code == OP_VIEW) note_view(s, o);
        bool inside = parallel || op_int(s->f, o, "parallel", 0);
        for (uint32_t k = 0; k < ir_op(s->f, o)->nregions; k++) visit(s, ir_op(s->f, o)->regions[k], inside);
        if (ir_op(s->f, o)->code == OP_FOR && !inside) visit_loop(s, o);
    }
}

bool pass_swap(TdlModule *m, const TdlPassOptions *opt) {
    (void)opt;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        Swap s = {.m = m, .f = m->funcs.p[i], .a = &scratch};
        visit(&s, s.f->body, false);
        arena_free(&scratch);
    }
    return true;
}
