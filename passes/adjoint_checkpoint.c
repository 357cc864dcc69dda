/* The rule of `checkpoint`: its reverse computes the body again, and nothing of it is kept but the values free in it.
 *
 *     %2 = checkpoint {%1 = exp %0   %3 = sin %1   yield %3}
 *
 * has the reverse
 *
 *     %4 = withacc %zero {(%acc)
 *       checkpoint {%5 = exp %0   ... the reverse of the body from %5 ...   accadd %acc, ...   yield} {again = 1}
 *       yield}
 *
 * `again` keeps the two computations apart: simplify merges nothing inside of such a region with what is outside, and it
 * opens the others once nothing is left to derive. Cost: the body once more. */
#include "passes/adjoint.h"

void adj_again(Adj *a, const TdlVal *zbar, uint32_t n, AdjAgain body, void *user) {
    AdjScope *s = adj_scope_open(a);
    TdlBuilder b = ir_at_end(a->f, s->body, a->top->b.span);
    TdlOp again = ir_emit(&b, OP_CHECKPOINT, NULL, 0, NULL, 0);
    op_set_int(a->f, again, "again", 1);
    TdlRegion t = ir_op(a->f, again)->regions[0];
    AdjFrame fr;
    adj_push(a, &fr, t, s, t);
    const TdlVal *values = body(a, t, user);
    TdlOp last = ir_region(a->f, t)->last;
    for (TdlOp o = last; o.id; o = ir_op(a->f, o)->prev) adj_note_redone(a, o);
    adj_activity(a, t);
    for (uint32_t i = 0; i < n; i++)
        if (zbar[i].id) adj_add(a, values[i], zbar[i]);
    adj_reverse_ops(a, t, last);
    adj_yield(a, t, NULL, 0);
    adj_dce(a, t, true);
    adj_pop(a);
    adj_scope_close(a, s, NULL, 0);
}

static const TdlVal *clone(Adj *a, TdlRegion t, void *user) { return adj_clone_body(a, *(TdlOp *)user, t, NULL).p; }

void adj_CHECKPOINT(Adj *a, TdlOp o, const TdlVal *zbar) { adj_again(a, zbar, ir_op(a->f, o)->nresults, clone, &o); }
