/* Rules of `for` and `while`, and of the stacks that a reversed `while` reads.
 *
 *     %z = for %lo, %hi, %y0 {(%i, %y) ... yield %y1}
 *
 * becomes, with a tape for each value %v that the reverse reads and cannot compute again cheaply,
 *
 *     %z, %t1 = for %lo, %hi, %y0, undef {(%i, %y, %t) ... %u = update %t, %v, %i   yield %y1, %u}
 *     %y0bar = for %lo, %hi, %zbar {(%i, %y1bar) %v = index %t1, %i ... yield %ybar} {down = 1}
 *
 * `while` keeps its values on a stack and counts its iterations; its reverse is a `for` over the count. */
#include "passes/adjoint_loop.h"
#include <string.h>

/* ---- carried values ---- */

AdjCarriedVec adj_carried(Adj *a, TdlOp o, TdlRegion body, uint32_t inits, uint32_t args, uint32_t lead,
                          const TdlVal *zbar) {
    AdjCarriedVec out = {0};
    TdlOp end = ir_terminator(a->f, body);
    for (uint32_t i = 0; i + inits < ir_op(a->f, o)->noperands; i++) {
        AdjCarried c = {.at = i, .init = adj_arg(a, o, inits + i), .arg = ir_region(a->f, body)->args.p[args + i],
                     .yield = adj_arg(a, end, lead + i), .result = adj_res(a, o, lead + i), .zbar = zbar[lead + i]};
        TdlOp def = adj_def(a, c.yield);
        bool unread = !c.zbar.id && def.id && ir_op(a->f, def)->code == OP_PUSH; /* a stack that nothing pops */
        if (!adj_active(a, c.arg) || unread) continue;
        c.given = c.zbar.id != 0;
        if (!c.zbar.id) c.zbar = adj_zero(a, adj_type(a, c.result));
        VEC_PUSH(a->arena, out, c);
    }
    return out;
}

/* ---- which carried values an iteration reads as a whole ---- */

/* Whether o reads each element of each operand, and gives a value that depends on each. */
static bool passes_on(const Adj *a, TdlOp o) {
    const TdlOpData *d = ir_op(a->f, o);
    bool each = (op_info(d->code)->flags & OPF_ELEMENTWISE) && d->code != OP_SELECT && d->code != OP_MAX && d->code != OP_MIN;
    bool whole = d->code == OP_DOT || d->code == OP_SUM || d->code == OP_BROADCAST || d->code == OP_RESHAPE || d->code == OP_PERMUTE;
    return (each || whole) && adj_active(a, d->results[0]);
}

/* Marks what is read as a whole to compute a carried value that is. */
static void mark_whole(Adj *a, TdlRegion body, const AdjCarriedVec *cs) {
    adj_begin_marks(a);
    for (uint32_t i = 0; i < cs->n; i++)
        if (cs->p[i].whole) adj_mark_value(a, cs->p[i].yield);
    for (TdlOp o = ir_region(a->f, body)->last; o.id; o = ir_op(a->f, o)->prev) {
        const TdlOpData *d = ir_op(a->f, o);
        if (!d->nresults || !adj_marked(a, d->results[0]) || !passes_on(a, o)) continue;
        for (uint32_t i = 0; i < d->noperands; i++) adj_mark_value(a, d->operands[i]);
    }
}

/* The cotangent that comes out of the iteration behind has zeros where that did not read the value. Those that are read in
 * every iteration are the largest set of which each is read to compute one of the set. */
static void find_whole(Adj *a, TdlRegion body, AdjCarriedVec *cs) {
    for (uint32_t i = 0; i < cs->n; i++) cs->p[i].whole = cs->p[i].given && !a->unread && !a->masked;
    for (bool again = true; again;) {
        again = false;
        mark_whole(a, body, cs);
        for (uint32_t i = 0; i < cs->n; i++) {
            if (!cs->p[i].whole || adj_marked(a, cs->p[i].arg)) continue;
            cs->p[i].whole = false;
            again = true;
        }
    }
}

/* Makes the reverse loop l->rev over lo, hi inside the scope, reverses the body into it. */
static void reverse_body(Adj *a, AdjLoop *l, AdjScope *s, AdjCarriedVec *cs, TdlVal lo, TdlVal hi, bool down) {
    TdlBuilder b = ir_at_end(a->f, s->body, a->top->b.span);
    TdlVals ops = {0};
    VEC_PUSH(a->arena, ops, lo);
    VEC_PUSH(a->arena, ops, hi);
    for (uint32_t i = 0; i < cs->n; i++) VEC_PUSH(a->arena, ops, cs->p[i].zbar);
    l->rev = ir_emit(&b, OP_FOR, ops.p, ops.n, NULL, 0);
    if (down) op_set_int(a->f, l->rev, "down", 1);
    l->t = ir_op(a->f, l->rev)->regions[0];
    ir_region_arg(a->f, l->t, ty_scalar(a->m, EL_I64), SYM_NONE);
    AdjFrame fr;
    adj_push(a, &fr, l->body, s, l->t);
    for (uint32_t i = 0; i < cs->n; i++) { /* all arguments first: they are in the order of the operands */
        TdlVal arg = ir_region_arg(a->f, l->t, adj_type(a, cs->p[i].arg), SYM_NONE);
        cs->p[i].zbar = arg;
    }
    find_whole(a, l->body, cs);
    for (uint32_t i = 0; i < cs->n; i++) {
        bool is_stack = ty_kind(a->m, adj_type(a, cs->p[i].arg)) == TY_STACK;
        a->unread = !cs->p[i].whole;
        if (is_stack) adj_set_cot(a, cs->p[i].yield, cs->p[i].zbar);
        else adj_add(a, cs->p[i].yield, cs->p[i].zbar);
    }
    adj_reverse_ops(a, l->body, ir_op(a->f, ir_terminator(a->f, l->body))->prev);
    TdlVals bars = {0};
    for (uint32_t i = 0; i < cs->n; i++) VEC_PUSH(a->arena, bars, adj_cot_or_zero(a, cs->p[i].arg));
    adj_yield(a, l->t, bars.p, bars.n);
    adj_dce(a, l->t, true);
    adj_pop(a);
}

/* The reverse loop's results are the cotangents of the initial values. */
static void finish(Adj *a, AdjLoop *l, AdjCarriedVec *cs) {
    for (uint32_t i = 0; i < cs->n; i++) cs->p[i].zbar = ir_add_result(a->f, l->rev, adj_type(a, cs->p[i].init));
    if (l->push.id) ir_add_result(a->f, l->rev, adj_type(a, l->top));
}

static void to_inits(Adj *a, AdjScope *s, const AdjCarriedVec *cs) {
    TdlVals res = {0};
    for (uint32_t i = 0; i < cs->n; i++) VEC_PUSH(a->arena, res, cs->p[i].zbar);
    adj_scope_close(a, s, res.p, res.n);
    for (uint32_t i = 0; i < cs->n; i++) {
        a->unread = !cs->p[i].whole;
        if (ty_kind(a->m, adj_type(a, cs->p[i].init)) == TY_STACK) adj_set_cot(a, cs->p[i].init, res.p[i]);
        else adj_add(a, cs->p[i].init, res.p[i]);
    }
}

/* ---- for: tapes ---- */

/* Whether v is not to be had outside of region r: defined in it, or in the primal region whose reverse r is. */
static bool bound_to(const Adj *a, TdlVal v, TdlRegion r) {
    if (ir_defined_in(a->f, v, r)) return true;
    for (const AdjFrame *fr = a->top; fr; fr = fr->outer)
        if (fr->into.id == r.id && ir_defined_in(a->f, v, fr->region)) return true;
    return false;
}

/* The operation in front of which hi - lo can be computed, as far out as possible: a size defined there is the same in
 * every iteration of the loops in between, so that their own tapes may hold this loop's. */
static TdlOp outermost(const Adj *a, TdlOp o, TdlVal lo, TdlVal hi) {
    for (;;) {
        TdlRegion r = ir_op(a->f, o)->parent;
        TdlOp up = ir_region(a->f, r)->parent;
        if (!up.id || bound_to(a, lo, r) || bound_to(a, hi, r)) return o;
        o = up;
    }
}

/* The loop of which v is the index, with its bounds; false when it is none. *lo is 0 for 0 itself (map, reduce). */
static bool index_bounds(const Adj *a, TdlVal v, TdlVal *lo, TdlVal *hi) {
    const TdlValData *d = ir_val(a->f, v);
    TdlOp o = d->region.id ? ir_region(a->f, d->region)->parent : (TdlOp){0};
    if (!o.id) return false;
    const TdlOpData *p = ir_op(a->f, o);
    *lo = (TdlVal){0};
    if (p->code == OP_MAP || p->code == OP_REDUCE) return *hi = p->operands[d->index], true;
    if (p->code != OP_FOR || d->index != 0) return false;
    *lo = p->operands[0];
    *hi = p->operands[1];
    return true;
}

bool adj_nonnegative(Adj *a, TdlVal v, int depth) {
    TdlDim d;
    TdlVal lo, hi;
    if (ir_val_dim(a->f, v, &d)) return dim_known_ge(a->m, d, dim_const(a->m, 0));
    if (index_bounds(a, v, &lo, &hi)) return !lo.id || (depth && adj_nonnegative(a, lo, depth - 1));
    TdlOp o = adj_def(a, v);
    if (!o.id || !depth || (ir_op(a->f, o)->code != OP_ADD && ir_op(a->f, o)->code != OP_MUL)) return false;
    return adj_nonnegative(a, adj_arg(a, o, 0), depth - 1) && adj_nonnegative(a, adj_arg(a, o, 1), depth - 1);
}

/* A dimension that v never exceeds, the same in all iterations of the loops whose indices v is made of. */
static bool upper_bound(Adj *a, TdlVal v, int depth, TdlDim *d) {
    TdlVal lo, hi;
    TdlDim x, y;
    if (ir_val_dim(a->f, v, d)) return true;
    if (index_bounds(a, v, &lo, &hi)) {
        if (!depth || !upper_bound(a, hi, depth - 1, &x)) return false;
        *d = dim_sub(a->m, x, dim_const(a->m, 1));
        return true;
    }
    TdlOp o = adj_def(a, v);
    if (!o.id || !depth || (ir_op(a->f, o)->code != OP_ADD && ir_op(a->f, o)->code != OP_SUB)) return false;
    bool sub = ir_op(a->f, o)->code == OP_SUB;
    if (!upper_bound(a, adj_arg(a, o, 0), depth - 1, &x)) return false;
    if (sub) {
        *d = x;
        if (!ir_val_dim(a->f, adj_arg(a, o, 1), &y)) return adj_nonnegative(a, adj_arg(a, o, 1), depth - 1);
        *d = dim_sub(a->m, x, y);
        return true;
    }
    if (!upper_bound(a, adj_arg(a, o, 1), depth - 1, &y)) return false;
    *d = dim_add(a->m, x, y);
    return true;
}

/* Makes d at least 0 by a small constant where that is certain to do. */
static bool at_least_zero(Adj *a, TdlDim *d) {
    TdlDim zero = dim_const(a->m, 0);
    for (int k = 0; k <= 4; k++) {
        TdlDim e = dim_add(a->m, *d, dim_const(a->m, k));
        if (dim_known_ge(a->m, e, zero)) return *d = e, true;
    }
    return false;
}

/* The size of a tape as a run-time value, where lo and hi are known: max(hi, lo) - lo, which is negative where it is more
 * than i64 holds; `newdim` does not let that pass. */
static TdlDim new_trip(Adj *a, const AdjLoop *l) {
    TdlBuilder b = ir_before(a->f, outermost(a, l->fwd, l->lo, l->hi));
    b.grad_fn = SYM_NONE;
    TdlVal n = ir_binary(&b, OP_SUB, ir_binary(&b, OP_MAX, l->hi, l->lo), l->lo);
    TdlDim d;
    ir_val_dim(a->f, adj_newdim(a, &b, n, "trip"), &d);
    return d;
}

/* Slots of the loop's tapes, and in l->from_lo whether slot 0 is iteration lo or 0: hi - lo where that is a dimension;
 * else a dimension that hi cannot exceed (the tape of a triangular loop is a rectangle, and static); else a new one. */
static TdlDim trip_dim(Adj *a, AdjLoop *l) {
    if (l->has_trip) return l->trip;
    l->has_trip = true;
    TdlDim lo, hi, zero = dim_const(a->m, 0);
    l->from_lo = true;
    if (ir_val_dim(a->f, l->lo, &lo) && ir_val_dim(a->f, l->hi, &hi)) {
        l->trip = dim_sub(a->m, hi, lo);
        if (dim_known_ge(a->m, l->trip, zero)) return l->trip;
    }
    if (adj_nonnegative(a, l->lo, 8) && upper_bound(a, l->hi, 8, &hi) && at_least_zero(a, &hi)) {
        l->from_lo = false;
        return l->trip = hi;
    }
    return l->trip = new_trip(a, l);
}

/* The slot of iteration `i`. */
static TdlVal slot(Adj *a, const AdjLoop *l, TdlBuilder *b, TdlVal i) {
    TdlDim d;
    int64_t c;
    if (!l->from_lo || (ir_val_dim(a->f, l->lo, &d) && dim_is_const(a->m, d, &c) && c == 0)) return i;
    return ir_binary(b, OP_SUB, i, l->lo);
}

static TdlVal save_tape(Adj *a, AdjNeed *n, TdlVal v) {
    AdjLoop *l = n->user;
    TdlDim trip = trip_dim(a, l), bytes = adj_bytes(a, adj_type(a, v));
    l->row = l->row.id ? dim_add(a->m, l->row, bytes) : bytes;
    TdlType t = ty_prepend(a->m, adj_type(a, v), &trip, 1);
    TdlBuilder out = ir_before(a->f, l->fwd);
    out.grad_fn = SYM_NONE;
    ir_add_operand(a->f, l->fwd, ir_result(a->f, ir_emit(&out, OP_UNDEF, NULL, 0, &t, 1), 0));
    TdlVal tape = ir_region_arg(a->f, l->body, t, SYM_NONE);
    TdlOp end = ir_terminator(a->f, l->body);
    TdlBuilder in = ir_before(a->f, end);
    in.grad_fn = SYM_NONE;
    in.span = adj_place(a, v, ir_op(a->f, l->fwd)->span);
    TdlVal i = slot(a, l, &in, ir_region(a->f, l->body)->args.p[0]);
    TdlVal next = ir_update(&in, tape, v, &i, 1);
    adj_note_saved(a, adj_def(a, next), "tape");
    op_set_int(a->f, adj_def(a, next), "inbounds", 1);
    ir_add_operand(a->f, end, next);
    TdlVal whole = ir_add_result(a->f, l->fwd, t);
    TdlVal j = slot(a, l, &n->b, ir_region(a->f, l->t)->args.p[0]);
    TdlVal got = ir_index(&n->b, whole, &j, 1);
    op_set_int(a->f, adj_def(a, got), "inbounds", 1);
    return got;
}

/* ---- stacks: where the number of iterations has no useful bound ---- */

TdlVal adj_carry(Adj *a, TdlOp o, TdlVal init, TdlVal *after) {
    TdlType t = adj_type(a, init);
    uint32_t last = ir_op(a->f, o)->nregions - 1u;
    ir_add_operand(a->f, o, init);
    if (last) ir_region_arg(a->f, ir_op(a->f, o)->regions[0], t, SYM_NONE);
    *after = ir_add_result(a->f, o, t);
    return ir_region_arg(a->f, ir_op(a->f, o)->regions[last], t, SYM_NONE);
}

/* The first value saved: a stack is pushed to in the body and popped in the reverse. Its type grows with the values. */
static void start_stack(Adj *a, AdjLoop *l, AdjNeed *n, TdlType empty) {
    TdlBuilder out = ir_before(a->f, l->fwd);
    out.grad_fn = SYM_NONE;
    TdlVal init = ir_result(a->f, ir_emit(&out, OP_STACKNEW, NULL, 0, &empty, 1), 0);
    TdlVal arg = adj_carry(a, l->fwd, init, &l->top);
    TdlOp end = ir_terminator(a->f, l->body);
    TdlBuilder in = ir_before(a->f, end);
    in.grad_fn = SYM_NONE;
    l->push = ir_emit(&in, OP_PUSH, &arg, 1, &empty, 1);
    adj_note_saved(a, l->push, "tape");
    ir_add_operand(a->f, end, ir_result(a->f, l->push, 0));
    ir_add_operand(a->f, l->rev, l->top);
    l->stack = ir_region_arg(a->f, l->t, empty, SYM_NONE);
    l->pop = ir_emit(&n->b, OP_POP, &l->stack, 1, &empty, 1);
    ir_add_operand(a->f, ir_terminator(a->f, l->t), ir_result(a->f, l->pop, 0));
}

static void set_type(Adj *a, TdlVal v, TdlType t) { ir_val(a->f, v)->type = t; }

static void set_stack_type(Adj *a, AdjLoop *l, TdlType t) {
    uint32_t k = ir_op(a->f, l->fwd)->noperands - 1;
    set_type(a, adj_arg(a, l->fwd, k), t);
    for (uint32_t i = 0; i < ir_op(a->f, l->fwd)->nregions; i++)
        set_type(a, VEC_LAST(ir_region(a->f, ir_op(a->f, l->fwd)->regions[i])->args), t);
    set_type(a, adj_res(a, l->push, 0), t);
    set_type(a, l->top, t);
    set_type(a, l->stack, t);
    set_type(a, adj_res(a, l->pop, 0), t);
}

static TdlVal save_push(Adj *a, AdjNeed *n, TdlVal v) {
    AdjLoop *l = n->user;
    VEC_PUSH(a->arena, l->rows, adj_type(a, v));
    TdlType t = ty_stack(a->m, l->rows.p, l->rows.n);
    if (!l->push.id) start_stack(a, l, n, t);
    ir_add_operand(a->f, l->push, v);
    set_stack_type(a, l, t);
    return ir_add_result(a->f, l->pop, adj_type(a, v));
}

enum { LONGEST_EXIT_TAPE = 4096, STACK_UNIT = 16 /* bytes: a row's values are padded to that */ };

/* A loop that may be left early keeps a tape only where its bound says something: a dimension, or a small constant. */
static bool short_bound(const Adj *a, const AdjLoop *l) {
    TdlDim lo, hi;
    int64_t c;
    if (!ir_val_dim(a->f, l->lo, &lo) || !ir_val_dim(a->f, l->hi, &hi)) return false;
    return !dim_is_const(a->m, dim_sub(a->m, hi, lo), &c) || c <= LONGEST_EXIT_TAPE;
}

/* z = for lo, hi, y0 { y <- body(i, y) }:  ybar runs through the transposed body from the last iteration to the first.
 * With an exit the iterations that were run are lo .. lo + count - 1. */
void adj_for(Adj *a, AdjLoop *l, const TdlVal *zbar) {
    TdlOp o = l->fwd;
    bool exits = op_int(a->f, o, "exit", 0) != 0, down = op_int(a->f, o, "down", 0) != 0;
    AdjCarriedVec cs = adj_carried(a, o, l->body, 2, 1, exits, zbar);
    TdlVal lo = l->lo, hi = l->hi;
    if (exits && down) lo = adj_op2(a, OP_SUB, l->hi, adj_res(a, o, 0));
    else if (exits) hi = adj_op2(a, OP_ADD, l->lo, adj_res(a, o, 0));
    AdjScope *s = adj_scope_open(a);
    reverse_body(a, l, s, &cs, lo, hi, !down);
    if (a->failed) return;
    TdlVal *args = ARENA_ARRAY(a->arena, TdlVal, ir_region(a->f, l->body)->args.n);
    args[0] = ir_region(a->f, l->t)->args.p[0];
    AdjNeed need = {.from = l->body, .first = ir_region(a->f, l->t)->first, .args = args, .user = l};
    bool stack = exits && !short_bound(a, l);
    need.save = stack ? save_push : save_tape;
    need.unit = stack ? STACK_UNIT : 0;
    adj_need(a, &need);
    finish(a, l, &cs);
    to_inits(a, s, &cs);
}

void adj_FOR(Adj *a, TdlOp o, const TdlVal *zbar) {
    if (adj_long(a, o, zbar)) return;
    adj_for(a, &(AdjLoop){.fwd = o, .body = ir_op(a->f, o)->regions[0], .lo = adj_arg(a, o, 0), .hi = adj_arg(a, o, 1)}, zbar);
}

/* ---- while: a stack and a count ---- */

static TdlVal count_iterations(Adj *a, TdlOp o) {
    TdlBuilder out = ir_before(a->f, o);
    out.grad_fn = SYM_NONE;
    TdlVal after, arg = adj_carry(a, o, ir_const_int(&out, EL_I64, 0), &after);
    TdlOp end = ir_terminator(a->f, ir_op(a->f, o)->regions[1]);
    TdlBuilder in = ir_before(a->f, end);
    in.grad_fn = SYM_NONE;
    ir_add_operand(a->f, end, ir_binary(&in, OP_ADD, arg, ir_const_int(&in, EL_I64, 1)));
    return after;
}

/* z = while cond(y) { y <- body(y) }:  a `for` over the number of iterations that were run. */
void adj_WHILE(Adj *a, TdlOp o, const TdlVal *zbar) {
    if (adj_long(a, o, zbar)) return;
    AdjLoop l = {.fwd = o, .body = ir_op(a->f, o)->regions[1]};
    AdjCarriedVec cs = adj_carried(a, o, l.body, 0, 0, 0, zbar);
    l.count = count_iterations(a, o);
    TdlVal zero = adj_cint(a, 0);
    AdjScope *s = adj_scope_open(a);
    reverse_body(a, &l, s, &cs, zero, l.count, false);
    if (a->failed) return;
    AdjNeed need = {.from = l.body, .first = ir_region(a->f, l.t)->first, .save = save_push, .unit = STACK_UNIT, .user = &l};
    adj_need(a, &need);
    finish(a, &l, &cs);
    to_inits(a, s, &cs);
}

/* ---- stacks: the cotangent of a stack is a stack of the same type, with the cotangents of its values ---- */

/* s2 = push s, v:  sbar, vbar = pop s2bar. */
void adj_PUSH(Adj *a, TdlOp o, const TdlVal *zbar) {
    uint32_t n = ir_op(a->f, o)->noperands;
    TdlType *types = ARENA_ARRAY(a->arena, TdlType, n);
    for (uint32_t i = 0; i < n; i++) types[i] = adj_type(a, adj_arg(a, o, i));
    TdlOp pop = ir_emit(adj_b(a), OP_POP, &zbar[0], 1, types, n);
    adj_set_cot(a, adj_arg(a, o, 0), adj_res(a, pop, 0));
    a->unread = true; /* as of a tape */
    for (uint32_t i = 1; i < n; i++) adj_add(a, adj_arg(a, o, i), adj_res(a, pop, i));
}

/* s2, v = pop s:  sbar = push s2bar, vbar. */
void adj_POP(Adj *a, TdlOp o, const TdlVal *zbar) {
    uint32_t n = ir_op(a->f, o)->nresults;
    TdlVal *ops = ARENA_ARRAY(a->arena, TdlVal, n);
    for (uint32_t i = 0; i < n; i++) ops[i] = zbar[i].id ? zbar[i] : adj_zero(a, adj_type(a, adj_res(a, o, i)));
    TdlVal s = adj_arg(a, o, 0);
    adj_set_cot(a, s, adj_emit(a, OP_PUSH, ops, n, adj_type(a, s)));
}

/* An empty stack depends on nothing. */
void adj_STACKNEW(Adj *a, TdlOp o, const TdlVal *zbar) { (void)a, (void)o, (void)zbar; }
