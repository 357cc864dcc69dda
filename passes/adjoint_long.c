/* The reverse of a loop that keeps few states of it: under `checkpoint`, or --max-tape where its tape is not small.
 *
 *     %z = for %lo, %hi, %y0 {(%i, %y) ... yield %y1} {checkpoint = 1}
 *
 * Forward the loop keeps the carried values of every `stride`-th iteration in %slots snapshots; when they are used up it
 * drops every second one and doubles the stride, so that the number of iterations need not be known. The reverse is
 *
 *     while (end > 0) {                            // iterations from `end` on are reversed
 *         s, y = the topmost snapshot
 *         mid  = s                                 when s .. end is a leaf: no longer than a tape
 *                end - leaf                        when there is no room for another snapshot
 *                s + split                         else, by the binomial schedule
 *         y = the iterations s .. mid, from y
 *         if (mid .. end is longer than a leaf)    push the snapshot (mid, y)
 *         else                                     the iterations mid .. end with a tape, and their reverse; end = mid
 *     }
 *
 * With half of the bytes for snapshots and half for the tape of a leaf, an iteration runs at most three times where
 * (snapshots * tape) iterations or fewer are to be done. All of it is IR: the body occurs four times, whatever the number
 * of iterations. Binomial schedule: Griewank, Walther, "Algorithm 799: revolve", 2000. */
#include "passes/adjoint_loop.h"

enum {
    OWN_LIMIT = 32 << 20, /* bytes for a loop under `checkpoint` without --max-tape */
    LEAST_SLOTS = 4,      /* two forward, and room to split */
    SHORT_TRIP = 16       /* a constant number of iterations with nothing to win */
};

typedef struct {
    TdlOp fwd;
    TdlRegion body;
    bool loop_while, exits, down;
    uint32_t n, inits, args, lead; /* carried values; the first one's operand, argument, and yield and result */
    int64_t whole, limit;     /* bytes of all loops of the function, and of this one */
    TdlDim state;             /* bytes of a snapshot */
    TdlVal slots, leaf;       /* snapshots; iterations of a tape */
    TdlDim nslots, nleaf;
    TdlVal total, used, stride; /* after the loop: iterations, snapshots, iterations between them */
    TdlVals snaps;            /* after the loop: a tensor of snapshots for each carried value */
} Long;

/* ---- emitting ---- */

static TdlVal num(TdlBuilder *b, int64_t v) { return ir_const_int(b, EL_I64, v); }
static TdlVal add(TdlBuilder *b, TdlVal x, TdlVal y) { return ir_binary(b, OP_ADD, x, y); }
static TdlVal sub(TdlBuilder *b, TdlVal x, TdlVal y) { return ir_binary(b, OP_SUB, x, y); }
static TdlVal mul(TdlBuilder *b, TdlVal x, TdlVal y) { return ir_binary(b, OP_MUL, x, y); }
static TdlVal over(TdlBuilder *b, TdlVal x, TdlVal y) { return ir_binary(b, OP_FLOORDIV, x, y); }
static TdlVal choose(TdlBuilder *b, TdlVal c, TdlVal x, TdlVal y) { return ir_emit1(b, OP_SELECT, (TdlVal[]){c, x, y}, 3); }

static TdlVal slot_get(TdlBuilder *b, TdlVal s, TdlVal i) {
    TdlVal v = ir_index(b, s, &i, 1);
    op_set_int(b->f, ir_val(b->f, v)->def, "inbounds", 1);
    return v;
}

static TdlVal slot_set(TdlBuilder *b, TdlVal s, TdlVal v, TdlVal i) {
    TdlVal t = ir_update(b, s, v, &i, 1);
    op_set_int(b->f, ir_val(b->f, t)->def, "inbounds", 1);
    return t;
}

static void yield(TdlBuilder *b, const TdlVal *v, uint32_t n) { ir_emit(b, OP_YIELD, v, n, NULL, 0); }

static TdlType *types_of(Adj *a, const TdlVal *v, uint32_t n) {
    TdlType *t = ARENA_ARRAY(a->arena, TdlType, n + 1);
    for (uint32_t i = 0; i < n; i++) t[i] = adj_type(a, v[i]);
    return t;
}

static TdlBuilder inside(TdlFunc *f, TdlOp o, uint32_t region, const TdlBuilder *b) { return ir_at_end(f, ir_op(f, o)->regions[region], b->span); }

/* ---- which loops ---- */

TdlDim adj_bytes(Adj *a, TdlType t) { return dim_mul(a->m, ty_numel(a->m, t), dim_const(a->m, el_bytes(ty_elem(a->m, t)))); }

static bool in_map(const Adj *a, TdlOp o) {
    for (; o.id; o = ir_region(a->f, ir_op(a->f, o)->parent)->parent)
        if (ir_op(a->f, o)->code == OP_MAP || ir_op(a->f, o)->code == OP_REDUCE) return true;
    return false;
}

static bool is_short(Adj *a, const Long *l) {
    TdlDim lo, hi;
    int64_t trip, bytes, all;
    if (l->loop_while || !ir_val_dim(a->f, adj_arg(a, l->fwd, 0), &lo) || !ir_val_dim(a->f, adj_arg(a, l->fwd, 1), &hi)) return false;
    if (!dim_is_const(a->m, dim_sub(a->m, hi, lo), &trip)) return false;
    if (trip <= SHORT_TRIP) return true;
    return dim_is_const(a->m, l->state, &bytes) && !__builtin_mul_overflow(trip, bytes, &all) && all <= l->whole / SHORT_TRIP;
}

/* A loop inside of a map keeps the tape of one instance: it has no limit but its own. */
static bool has_limit(Adj *a, Long *l) {
    bool own = op_int(a->f, l->fwd, "checkpoint", 0) != 0, all = a->opt && a->opt->limit_tape;
    if (!own && !all) return false;
    l->whole = all ? a->opt->max_tape : OWN_LIMIT;
    l->limit = all && a->limited ? l->whole / a->limited : l->whole;
    l->state = dim_const(a->m, 8); /* where it is from */
    for (uint32_t i = 0; i < l->n; i++) {
        TdlType t = adj_type(a, adj_arg(a, l->fwd, l->inits + i));
        if (ty_kind(a->m, t) != TY_TENSOR) return false;
        l->state = dim_add(a->m, l->state, adj_bytes(a, t));
    }
    return own || (!in_map(a, l->fwd) && !is_short(a, l));
}

static Long describe(Adj *a, TdlOp o) {
    bool w = ir_op(a->f, o)->code == OP_WHILE;
    Long l = {.fwd = o, .loop_while = w, .inits = w ? 0 : 2, .args = w ? 0 : 1, .body = ir_op(a->f, o)->regions[w]};
    l.exits = !w && op_int(a->f, o, "exit", 0);
    l.lead = l.exits;
    l.down = !w && op_int(a->f, o, "down", 0);
    l.n = ir_op(a->f, o)->noperands - l.inits;
    return l;
}

static void count_limited(void *user, TdlFunc *f, TdlOp o) {
    Adj *a = user;
    const TdlOpData *d = ir_op(f, o);
    bool active = false;
    if (d->code != OP_FOR && d->code != OP_WHILE) return;
    for (uint32_t i = 0; i < d->nresults; i++) active |= adj_active(a, d->results[i]);
    Long l = describe(a, o);
    if (active && has_limit(a, &l)) a->limited++;
}

void adj_count_limited(Adj *a) {
    if (a->opt && a->opt->limit_tape) ir_walk(a->f, a->f->body, count_limited, a);
}

/* ---- sizes ---- */

/* Iterations at most; 0: not known before the loop. */
static TdlVal most(Adj *a, const Long *l, TdlBuilder *b) {
    if (l->loop_while) return (TdlVal){0};
    return sub(b, ir_binary(b, OP_MAX, adj_arg(a, l->fwd, 0), adj_arg(a, l->fwd, 1)), adj_arg(a, l->fwd, 0));
}

/* least + (half of the limit) / bytes, and never more than can be of use. */
static TdlVal share(Adj *a, const Long *l, TdlBuilder *b, int64_t least, TdlDim bytes) {
    TdlVal n = add(b, over(b, num(b, l->limit / 2), ir_dim(b, bytes)), num(b, least)), trip = most(a, l, b);
    return trip.id ? ir_binary(b, OP_MIN, n, add(b, trip, num(b, least))) : n;
}

static void make_slots(Adj *a, Long *l) {
    TdlBuilder b = ir_before(a->f, l->fwd);
    b.grad_fn = SYM_NONE;
    l->slots = adj_newdim(a, &b, share(a, l, &b, LEAST_SLOTS, l->state), "snapshots");
    ir_val_dim(a->f, l->slots, &l->nslots);
}

static TdlType snaps_type(Adj *a, const Long *l, uint32_t i) {
    return ty_prepend(a->m, adj_type(a, adj_arg(a, l->fwd, l->inits + i)), &l->nslots, 1);
}

/* ---- forward: snapshots while the loop runs ---- */

/* Snapshots that the forward loop may use: an even number, at least one less than there are. */
static TdlVal capacity(const Long *l, TdlBuilder *b) {
    return mul(b, over(b, add(b, l->slots, num(b, 1)), num(b, 3)), num(b, 2));
}

/* Keeps snapshots 0, 2, 4, ... of kept: the tensors, their number, the stride. */
static void thin_out(Adj *a, const Long *l, TdlBuilder *b, const TdlVal *kept, TdlVal *out) {
    TdlVal half = over(b, kept[l->n], num(b, 2)), *ops = ARENA_ARRAY(a->arena, TdlVal, l->n + 2);
    ops[0] = num(b, 1);
    ops[1] = half;
    for (uint32_t j = 0; j < l->n; j++) ops[j + 2] = kept[j];
    TdlOp loop = ir_emit(b, OP_FOR, ops, l->n + 2, types_of(a, kept, l->n), l->n);
    TdlBuilder in = inside(a->f, loop, 0, b);
    TdlVal k = ir_region_arg(a->f, in.region, ty_scalar(a->m, EL_I64), SYM_NONE), *next = ARENA_ARRAY(a->arena, TdlVal, l->n + 1);
    for (uint32_t j = 0; j < l->n; j++) next[j] = ir_region_arg(a->f, in.region, adj_type(a, kept[j]), SYM_NONE);
    TdlVal from = mul(&in, k, num(&in, 2));
    for (uint32_t j = 0; j < l->n; j++) next[j] = slot_set(&in, next[j], slot_get(&in, next[j], from), k);
    yield(&in, next, l->n);
    for (uint32_t j = 0; j < l->n; j++) out[j] = adj_res(a, loop, j);
    out[l->n] = half;
    out[l->n + 1] = mul(b, kept[l->n + 1], num(b, 2));
}

/* c ? yes : no, for n values; `fill` computes the first ones in place from `no`. */
typedef void (*Fill)(Adj *a, const Long *l, TdlBuilder *b, const TdlVal *kept, TdlVal *out);
static void when(Adj *a, const Long *l, TdlBuilder *b, TdlVal c, const TdlVal *kept, TdlVal *out, Fill fill) {
    uint32_t n = l->n + 2;
    TdlOp branch = ir_emit(b, OP_IF, &c, 1, types_of(a, kept, n), n);
    TdlBuilder yes = inside(a->f, branch, 0, b), no = inside(a->f, branch, 1, b);
    fill(a, l, &yes, kept, out);
    yield(&yes, out, n);
    yield(&no, kept, n);
    for (uint32_t i = 0; i < n; i++) out[i] = adj_res(a, branch, i);
}

/* Another snapshot, of the values that enter the iteration. */
static void keep_state(Adj *a, const Long *l, TdlBuilder *b, const TdlVal *kept, TdlVal *out) {
    TdlVal *now = ARENA_ARRAY(a->arena, TdlVal, l->n + 2);
    TdlVal full = ir_binary(b, OP_GE, kept[l->n], capacity(l, b));
    if (l->loop_while || l->exits) when(a, l, b, full, kept, now, thin_out);
    else for (uint32_t i = 0; i < l->n + 2; i++) now[i] = kept[i]; /* the stride fits from the start */
    for (uint32_t j = 0; j < l->n; j++) {
        out[j] = slot_set(b, now[j], ir_region(a->f, l->body)->args.p[l->args + j], now[l->n]);
        adj_note_saved(a, adj_def(a, out[j]), "snapshots");
    }
    out[l->n] = add(b, now[l->n], num(b, 1));
    out[l->n + 1] = now[l->n + 1];
}

static TdlVal first_stride(Adj *a, const Long *l, TdlBuilder *b) {
    if (l->loop_while || l->exits) return num(b, 1);
    TdlVal cap = capacity(l, b);
    return ir_binary(b, OP_MAX, over(b, sub(b, add(b, most(a, l, b), cap), num(b, 1)), cap), num(b, 1));
}

/* Iterations before the one at hand, in front of the body. For `while` a count is carried, and *after is the total. */
static TdlVal position(Adj *a, Long *l, TdlBuilder *out, TdlBuilder *in) {
    if (l->loop_while) {
        TdlVal t = adj_carry(a, l->fwd, num(out, 0), &l->total);
        TdlOp end = ir_terminator(a->f, l->body);
        TdlBuilder last = ir_before(a->f, end);
        last.grad_fn = SYM_NONE;
        ir_add_operand(a->f, end, add(&last, t, num(&last, 1)));
        return t;
    }
    TdlVal i = ir_region(a->f, l->body)->args.p[0];
    return l->down ? sub(in, sub(in, adj_arg(a, l->fwd, 1), num(in, 1)), i) : sub(in, i, adj_arg(a, l->fwd, 0));
}

static void keep_snapshots(Adj *a, Long *l) {
    uint32_t n = l->n + 2;
    TdlBuilder out = ir_before(a->f, l->fwd), in = ir_before(a->f, ir_region(a->f, l->body)->first);
    out.grad_fn = in.grad_fn = SYM_NONE;
    in.span = ir_op(a->f, l->fwd)->span;
    TdlVal *kept = ARENA_ARRAY(a->arena, TdlVal, n), *after = ARENA_ARRAY(a->arena, TdlVal, n), *next = ARENA_ARRAY(a->arena, TdlVal, n);
    TdlType *types = ARENA_ARRAY(a->arena, TdlType, n);
    for (uint32_t j = 0; j < l->n; j++) types[j] = snaps_type(a, l, j);
    for (uint32_t j = 0; j < n; j++) {
        TdlVal init = j == l->n ? num(&out, 0) : j > l->n ? first_stride(a, l, &out) : ir_result(a->f, ir_emit(&out, OP_UNDEF, NULL, 0, &types[j], 1), 0);
        kept[j] = adj_carry(a, l->fwd, init, &after[j]);
    }
    TdlVal t = position(a, l, &out, &in);
    TdlVal due = ir_binary(&in, OP_EQ, t, mul(&in, kept[l->n], kept[l->n + 1]));
    when(a, l, &in, due, kept, next, keep_state);
    TdlOp end = ir_terminator(a->f, l->body);
    uint32_t at = ir_op(a->f, end)->noperands - l->loop_while; /* in front of the count */
    TdlVals ys = {0};
    for (uint32_t i = 0; i < at; i++) VEC_PUSH(a->arena, ys, adj_arg(a, end, i));
    for (uint32_t j = 0; j < n; j++) VEC_PUSH(a->arena, ys, next[j]);
    if (l->loop_while) VEC_PUSH(a->arena, ys, adj_arg(a, end, at));
    ir_set_operands(a->f, end, ys.p, ys.n);
    for (uint32_t j = 0; j < l->n; j++) VEC_PUSH(a->arena, l->snaps, after[j]);
    l->used = after[l->n];
    l->stride = after[l->n + 1];
    op_unset(a->f, l->fwd, "checkpoint");
}

/* ---- reverse ---- */

/* Iterations from .. to of the loop, from the carried values y: the primal again, without checks for an early exit. */
static TdlOp replay(Adj *a, const Long *l, TdlBuilder *b, TdlVal from, TdlVal to, const TdlVal *y) {
    TdlVals ops = {0};
    if (!l->loop_while) {
        TdlVal base = adj_arg(a, l->fwd, l->down), lo = from, hi = to;
        from = l->down ? sub(b, base, hi) : add(b, base, lo);
        to = l->down ? sub(b, base, lo) : add(b, base, hi);
    }
    VEC_PUSH(a->arena, ops, from);
    VEC_PUSH(a->arena, ops, to);
    for (uint32_t j = 0; j < l->n; j++) VEC_PUSH(a->arena, ops, y[j]);
    TdlOp loop = ir_emit(b, OP_FOR, ops.p, ops.n, types_of(a, y, l->n), l->n);
    if (l->down) op_set_int(a->f, loop, "down", 1);
    TdlBuilder in = inside(a->f, loop, 0, b);
    TdlVal i = ir_region_arg(a->f, in.region, ty_scalar(a->m, EL_I64), SYM_NONE);
    if (!l->loop_while) valmap_set(&a->bodies, ir_region(a->f, l->body)->args.p[0], i);
    for (uint32_t j = 0; j < l->n; j++) {
        TdlVal from_arg = ir_region(a->f, l->body)->args.p[l->args + j];
        valmap_set(&a->bodies, from_arg, ir_region_arg(a->f, in.region, adj_type(a, y[j]), ir_val(a->f, from_arg)->name));
    }
    TdlDimMap dims = {.arena = a->arena};
    TdlVals yields = {0};
    ir_clone_region_body(&in, a->f, l->body, &a->bodies, &dims, &yields);
    yield(&in, yields.p + l->lead, l->n);
    return loop;
}

/* Leaves before the next snapshot, for `leaves` of them and s snapshots, the first included:  beta(s, r) = C(s + r, r)
 * leaves can be reversed with r repetitions; with r the least that is enough, beta(s, r - 1) are left to the first. */
static TdlVal split(Adj *a, TdlBuilder *b, TdlVal leaves, TdlVal s) {
    TdlVal ops[3] = {num(b, 1), num(b, 1), add(b, s, num(b, 1))}, c[3], v[3]; /* r, beta(s, r - 1), beta(s, r) */
    TdlOp loop = ir_emit(b, OP_WHILE, ops, 3, types_of(a, ops, 3), 3);
    TdlBuilder cond = inside(a->f, loop, 0, b), in = inside(a->f, loop, 1, b);
    for (int i = 0; i < 3; i++) {
        c[i] = ir_region_arg(a->f, cond.region, ty_scalar(a->m, EL_I64), SYM_NONE);
        v[i] = ir_region_arg(a->f, in.region, ty_scalar(a->m, EL_I64), SYM_NONE);
    }
    TdlVal more = ir_binary(&cond, OP_LT, c[2], leaves);
    yield(&cond, &more, 1);
    TdlVal r = add(&in, v[0], num(&in, 1));
    TdlVal next[3] = {r, v[2], over(&in, mul(&in, v[2], add(&in, s, r)), r)};
    yield(&in, next, 3);
    return ir_binary(b, OP_MIN, adj_res(a, loop, 1), sub(b, leaves, num(b, 1)));
}

typedef struct {
    TdlOp loop;
    TdlVal end, top, steps;   /* in its body: arguments */
    TdlVals snaps, bars;
    TdlDim row;               /* bytes of the leaf's tape an iteration */
} Drive;

/* The iterations mid .. end with a tape, and their reverse; returns the cotangents of what enters them. */
static TdlVals reverse_leaf(Adj *a, const Long *l, Drive *d, AdjScope *s, const AdjCarriedVec *cs, TdlRegion into, TdlVal mid, const TdlVal *y) {
    AdjFrame fr;
    TdlVals bars = {0};
    adj_push(a, &fr, ir_op(a->f, d->loop)->regions[1], s, into);
    TdlOp leaf = replay(a, l, adj_b(a), mid, d->end, y);
    for (uint32_t i = 0; i < cs->n; i++) adj_set_active(a, y[cs->p[i].at], true);
    adj_activity(a, into);
    TdlVal *zbar = ARENA_ARRAY(a->arena, TdlVal, l->n + 1);
    for (uint32_t i = 0; i < cs->n; i++) zbar[cs->p[i].at] = d->bars.p[i];
    AdjLoop loop = {.fwd = leaf, .body = ir_op(a->f, leaf)->regions[0], .lo = adj_arg(a, leaf, 0), .hi = adj_arg(a, leaf, 1),
                    .has_trip = true, .from_lo = true, .trip = l->nleaf};
    adj_for(a, &loop, zbar);
    for (uint32_t i = 0; i < cs->n && !a->failed; i++) VEC_PUSH(a->arena, bars, adj_cot_or_zero(a, y[cs->p[i].at]));
    adj_pop(a);
    d->row = loop.row;
    return bars;
}

/* One round of the driver, at the end of its body. */
static void drive_body(Adj *a, const Long *l, Drive *d, AdjScope *s, const AdjCarriedVec *cs) {
    TdlBuilder b = ir_at_end(a->f, ir_op(a->f, d->loop)->regions[1], a->top->b.span);
    TdlVal one = num(&b, 1), zero = num(&b, 0), from = slot_get(&b, d->steps, d->top), *y = ARENA_ARRAY(a->arena, TdlVal, l->n + 1);
    for (uint32_t j = 0; j < l->n; j++) y[j] = slot_get(&b, d->snaps.p[j], d->top);
    TdlVal len = sub(&b, d->end, from), room = sub(&b, l->slots, add(&b, d->top, one));
    TdlVal is_leaf = ir_binary(&b, OP_LE, len, l->leaf), no_room = ir_binary(&b, OP_LE, room, zero);
    TdlVal leaves = over(&b, sub(&b, add(&b, len, l->leaf), one), ir_binary(&b, OP_MAX, l->leaf, one));
    TdlVal part = add(&b, from, mul(&b, split(a, &b, leaves, add(&b, room, one)), l->leaf));
    TdlVal mid = choose(&b, is_leaf, from, choose(&b, no_room, sub(&b, d->end, l->leaf), part));
    TdlVal last = ir_binary(&b, OP_OR, is_leaf, no_room);
    TdlOp ahead = replay(a, l, &b, from, mid, y);
    for (uint32_t j = 0; j < l->n; j++) y[j] = adj_res(a, ahead, j);
    adj_note_redone(a, ahead);
    TdlOp branch = ir_emit(&b, OP_IF, &last, 1, NULL, 0);
    TdlBuilder no = inside(a->f, branch, 1, &b);
    TdlRegion yes = ir_op(a->f, branch)->regions[0];
    TdlVals bars = reverse_leaf(a, l, d, s, cs, yes, mid, y), ys = {0}, ns = {0};
    if (a->failed) return;
    TdlBuilder in = ir_at_end(a->f, yes, b.span);
    TdlVal below = choose(&in, ir_binary(&in, OP_EQ, mid, from), sub(&in, d->top, one), d->top), above = add(&no, d->top, one);
    VEC_PUSH(a->arena, ys, mid);
    VEC_PUSH(a->arena, ys, below);
    VEC_PUSH(a->arena, ys, d->steps);
    VEC_PUSH(a->arena, ns, d->end);
    VEC_PUSH(a->arena, ns, above);
    VEC_PUSH(a->arena, ns, slot_set(&no, d->steps, mid, above));
    for (uint32_t j = 0; j < l->n; j++) {
        VEC_PUSH(a->arena, ys, d->snaps.p[j]);
        VEC_PUSH(a->arena, ns, slot_set(&no, d->snaps.p[j], y[j], above));
    }
    for (uint32_t i = 0; i < cs->n; i++) {
        VEC_PUSH(a->arena, ys, bars.p[i]);
        VEC_PUSH(a->arena, ns, d->bars.p[i]);
    }
    yield(&in, ys.p, ys.n);
    yield(&no, ns.p, ns.n);
    TdlVals res = {0};
    for (uint32_t i = 0; i < ys.n; i++) VEC_PUSH(a->arena, res, ir_add_result(a->f, branch, adj_type(a, ys.p[i])));
    yield(&b, res.p, res.n);
}

/* A value that the driver carries: an argument of its condition and of its body. */
static TdlVal driven(Adj *a, Drive *d, TdlType t) {
    ir_region_arg(a->f, ir_op(a->f, d->loop)->regions[0], t, SYM_NONE);
    ir_add_result(a->f, d->loop, t);
    return ir_region_arg(a->f, ir_op(a->f, d->loop)->regions[1], t, SYM_NONE);
}

static Drive drive(Adj *a, const Long *l, AdjScope *s, const AdjCarriedVec *cs) {
    TdlBuilder b = ir_at_end(a->f, s->body, a->top->b.span);
    TdlType i64 = ty_scalar(a->m, EL_I64);
    Drive d = {.loop = ir_emit(&b, OP_WHILE, NULL, 0, NULL, 0)};
    d.end = driven(a, &d, i64);
    d.top = driven(a, &d, i64);
    d.steps = driven(a, &d, ty_prepend(a->m, i64, &l->nslots, 1));
    for (uint32_t j = 0; j < l->n; j++) VEC_PUSH(a->arena, d.snaps, driven(a, &d, snaps_type(a, l, j)));
    for (uint32_t i = 0; i < cs->n; i++) VEC_PUSH(a->arena, d.bars, driven(a, &d, adj_type(a, cs->p[i].arg)));
    TdlBuilder cond = inside(a->f, d.loop, 0, &b);
    TdlVal more = ir_binary(&cond, OP_GT, ir_region(a->f, cond.region)->args.p[0], num(&cond, 0));
    yield(&cond, &more, 1);
    drive_body(a, l, &d, s, cs);
    return d;
}

/* What the driver starts with: the snapshots of the forward loop. */
static void start(Adj *a, const Long *l, Drive *d, const AdjCarriedVec *cs) {
    TdlBuilder b = ir_before(a->f, d->loop);
    b.grad_fn = SYM_NONE;
    TdlVals ops = {0};
    TdlType t = adj_type(a, d->steps);
    b.span = ir_op(a->f, l->fwd)->span;
    TdlOp map = ir_emit(&b, OP_MAP, &l->slots, 1, &t, 1);
    adj_note_saved(a, map, "snapshots"); /* the iterations that they are of */
    TdlBuilder in = inside(a->f, map, 0, &b);
    TdlVal at = mul(&in, ir_region_arg(a->f, in.region, ty_scalar(a->m, EL_I64), SYM_NONE), l->stride);
    yield(&in, &at, 1);
    VEC_PUSH(a->arena, ops, l->total.id ? l->total : most(a, l, &b));
    VEC_PUSH(a->arena, ops, sub(&b, l->used, num(&b, 1)));
    VEC_PUSH(a->arena, ops, adj_res(a, map, 0));
    for (uint32_t j = 0; j < l->n; j++) VEC_PUSH(a->arena, ops, l->snaps.p[j]);
    for (uint32_t i = 0; i < cs->n; i++) VEC_PUSH(a->arena, ops, cs->p[i].zbar);
    ir_set_operands(a->f, d->loop, ops.p, ops.n);
}

/* The reverse in the frame of the region that the loop stands in. */
static void reverse(Adj *a, Long *l, const TdlVal *zbar) {
    AdjCarriedVec cs = adj_carried(a, l->fwd, l->body, l->inits, l->args, l->lead, zbar);
    make_slots(a, l);
    AdjScope *s = adj_scope_open(a);
    TdlBuilder before = ir_before(a->f, s->withacc);
    before.grad_fn = SYM_NONE;
    l->leaf = adj_newdim(a, &before, num(&before, 1), "leaf"); /* until the size of a row is known */
    ir_val_dim(a->f, l->leaf, &l->nleaf);
    Drive d = drive(a, l, s, &cs);
    if (a->failed) return;
    adj_dce(a, ir_op(a->f, d.loop)->regions[1], true);
    if (l->exits) l->total = adj_res(a, l->fwd, 0);
    keep_snapshots(a, l);
    start(a, l, &d, &cs);
    before = ir_before(a->f, s->withacc);
    before.grad_fn = SYM_NONE;
    TdlDim eight = dim_const(a->m, 8);
    TdlVal n = share(a, l, &before, 1, d.row.id ? dim_add(a->m, d.row, eight) : eight);
    TdlOp newdim = adj_def(a, l->leaf);
    ir_set_operands(a->f, newdim, &n, 1);
    ir_move_before(a->f, newdim, s->withacc); /* behind the sizes that a row may mention */
    TdlVals res = {0};
    for (uint32_t i = 0; i < cs.n; i++) VEC_PUSH(a->arena, res, adj_res(a, d.loop, 3 + l->n + i));
    adj_scope_close(a, s, res.p, res.n);
    a->unread = true;
    for (uint32_t i = 0; i < cs.n; i++) adj_add(a, cs.p[i].init, res.p[i]);
}

static const TdlVal *clone(Adj *a, TdlRegion t, void *user) {
    TdlBuilder b = ir_at_end(a->f, t, a->top->b.span);
    TdlDimMap dims = {.arena = a->arena};
    TdlOp o = ir_clone_op(&b, a->f, *(TdlOp *)user, &a->bodies, &dims);
    return ir_op(a->f, o)->results;
}

/* Snapshots of a loop inside of another one would be kept for each iteration: it runs once more in the reverse. */
bool adj_long(Adj *a, TdlOp o, const TdlVal *zbar) {
    Long l = describe(a, o);
    if (!has_limit(a, &l)) return false;
    bool apart = a->top->outer && a->top->region.id != a->top->into.id;
    if (apart) adj_again(a, zbar, ir_op(a->f, o)->nresults, clone, &o);
    else reverse(a, &l, zbar);
    return true;
}
