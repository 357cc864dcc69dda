/* What the reverse sweep of a function reads of its own body, outside of loops and branches: under --max-tape it is kept, or
 * computed again, by the cut of least bytes that loops use (adjoint_cut.c).
 *
 *     %2 = dot %0, %1    %3 = sigmoid %2    %4 = mul %2, %3    %5 = dot %4, %w   ... the reverse reads %2, %3, %4
 *
 * keeps %2 alone; in front of the first operation of the reverse that reads %3 or %4 stands
 *
 *     %9, %10 = checkpoint {%7 = sigmoid %2   %8 = mul %2, %7   yield %7, %8} {again = 1}
 *
 * and the reverse reads those. Contractions, reductions, loops and calls are not done again, nor are scalars and small
 * tensors of constant size; each operation of the body runs at most twice. Cost: one maximum flow. */
#include "passes/adjoint.h"

enum { SMALL = 64 /* elements: not worth a word */ };

/* What is computed again in front of one operation of the reverse. */
typedef struct { TdlOp in_front_of, checkpoint; TdlVals yields; } Again;

typedef struct {
    Adj *a;
    const bool *primal;     /* by operation id */
    uint32_t nprimal;
    TdlOp *first;           /* by operation id: of the primal's, the first of the reverse that needs its results */
    uint32_t *place;        /* by operation id: position in the body */
    uint32_t *of;           /* by operation id: its Again, from 1 */
    TDL_VEC(Again) again;
    TdlValMap inner, outer; /* of what is computed again: in its checkpoint, and behind it */
} Body;

static bool is_primal(const Body *b, TdlOp o) { return o.id && o.id < b->nprimal && b->primal[o.id]; }

/* The operation of the body that makes v, where v is one of its values with a choice. */
static TdlOp maker(const Body *b, TdlVal v) {
    Adj *a = b->a;
    TdlOp o = adj_def(a, v);
    return is_primal(b, o) && v.id < a->cut.n && a->cut.p[v.id] == ADJ_AGAIN ? o : (TdlOp){0};
}

bool adj_is_small(const Adj *a, TdlVal v) {
    int64_t n;
    TdlType t = adj_type(a, v);
    return ty_kind(a->m, t) == TY_TENSOR && dim_is_const(a->m, ty_numel(a->m, t), &n) && n <= SMALL;
}

static TdlVals read_of(const Body *b, TdlOp o) {
    TdlFunc *f = b->a->f;
    TdlVals vals = {0};
    for (uint32_t i = 0; i < ir_op(f, o)->noperands; i++) VEC_PUSH(b->a->arena, vals, ir_op(f, o)->operands[i]);
    for (uint32_t i = 0; i < ir_op(f, o)->nregions; i++) ir_free_vals(f, ir_op(f, o)->regions[i], b->a->arena, &vals);
    return vals;
}

static bool is_reverse(const Body *b, TdlOp o) { return !is_primal(b, o) && !(op_info(ir_op(b->a->f, o)->code)->flags & OPF_TERMINATOR); }

static void mark_reads(Body *b) {
    Adj *a = b->a;
    adj_begin_marks(a);
    IR_FOREACH_OP(a->f, a->f->body, o) {
        if (!is_reverse(b, o)) continue;
        TdlVals vals = read_of(b, o);
        for (uint32_t i = 0; i < vals.n; i++) {
            if (!is_primal(b, adj_def(a, vals.p[i]))) continue;
            adj_mark_value(a, vals.p[i]);
        }
    }
}

/* o, of the reverse or computed again in front of `at`, reads what is computed again: that stands there at the latest. */
static void needs(Body *b, TdlOp o, TdlOp at) {
    TdlVals vals = read_of(b, o);
    for (uint32_t i = 0; i < vals.n; i++) {
        TdlOp from = maker(b, vals.p[i]);
        if (from.id && (!b->first[from.id].id || b->place[at.id] < b->place[b->first[from.id].id])) b->first[from.id] = at;
    }
}

static void find_places(Body *b) {
    TdlFunc *f = b->a->f;
    uint32_t n = 0;
    IR_FOREACH_OP(f, f->body, o) b->place[o.id] = n++;
    for (TdlOp o = ir_region(f, f->body)->last; o.id; o = ir_op(f, o)->prev) {
        if (is_reverse(b, o)) needs(b, o, o);
        else if (is_primal(b, o) && b->first[o.id].id) needs(b, o, b->first[o.id]);
    }
}

static Again *again_at(Body *b, TdlOp at, uint32_t *k) {
    for (*k = 1; *k <= b->again.n; ++*k)
        if (b->again.p[*k - 1].in_front_of.id == at.id) return &b->again.p[*k - 1];
    TdlBuilder out = ir_before(b->a->f, at);
    out.span = ir_op(b->a->f, at)->span;
    TdlOp c = ir_emit(&out, OP_CHECKPOINT, NULL, 0, NULL, 0);
    op_set_int(b->a->f, c, "again", 1);
    VEC_PUSH(b->a->arena, b->again, ((Again){.in_front_of = at, .checkpoint = c}));
    return &VEC_LAST(b->again);
}

/* v behind the checkpoint that computes it again. */
static TdlVal behind(Body *b, TdlVal v) {
    TdlVal there = valmap_get(&b->outer, v);
    if (there.id != v.id) return there;
    Again *g = &b->again.p[b->of[adj_def(b->a, v).id] - 1];
    VEC_PUSH(b->a->arena, g->yields, valmap_get(&b->inner, v));
    there = ir_add_result(b->a->f, g->checkpoint, adj_type(b->a, v));
    valmap_set(&b->outer, v, there);
    return there;
}

static void compute_again(Body *b, TdlOp o) {
    Adj *a = b->a;
    uint32_t k;
    Again *g = again_at(b, b->first[o.id], &k);
    TdlValMap map = valmap_new(a->arena, a->f);
    TdlVals vals = read_of(b, o);
    for (uint32_t i = 0; i < vals.n; i++) {
        TdlOp from = maker(b, vals.p[i]);
        if (from.id) valmap_set(&map, vals.p[i], b->of[from.id] == k ? valmap_get(&b->inner, vals.p[i]) : behind(b, vals.p[i]));
    }
    g = &b->again.p[k - 1];
    TdlBuilder in = ir_at_end(a->f, ir_op(a->f, g->checkpoint)->regions[0], ir_op(a->f, o)->span);
    TdlDimMap dims = {.arena = a->arena};
    TdlOp redone = ir_clone_op(&in, a->f, o, &map, &dims);
    adj_strip(a, redone);
    adj_note_redone(a, redone);
    b->of[o.id] = k;
    for (uint32_t i = 0; i < ir_op(a->f, o)->nresults; i++) valmap_set(&b->inner, adj_res(a, o, i), adj_res(a, redone, i));
}

static void rewrite(void *user, TdlFunc *f, TdlOp o) {
    Body *b = user;
    for (uint32_t i = 0; i < ir_op(f, o)->noperands; i++) {
        TdlVal v = ir_op(f, o)->operands[i];
        if (!maker(b, v).id) continue;
        v = behind(b, v);
        ir_op(f, o)->operands[i] = v;
    }
}

static void compute_all(Body *b) {
    TdlFunc *f = b->a->f;
    find_places(b);
    IR_FOREACH_OP(f, f->body, o)
        if (is_primal(b, o) && b->first[o.id].id) compute_again(b, o);
    IR_FOREACH_OP(f, f->body, o) {
        bool made = false;
        for (uint32_t i = 0; i < b->again.n; i++) made |= b->again.p[i].checkpoint.id == o.id;
        if (!is_reverse(b, o) || made) continue;
        rewrite(b, f, o);
        for (uint32_t i = 0; i < ir_op(f, o)->nregions; i++) ir_walk(f, ir_op(f, o)->regions[i], rewrite, b);
    }
    for (uint32_t i = 0; i < b->again.n; i++) {
        TdlBuilder in = ir_at_end(f, ir_op(f, b->again.p[i].checkpoint)->regions[0], f->span);
        ir_emit(&in, OP_YIELD, b->again.p[i].yields.p, b->again.p[i].yields.n, NULL, 0);
    }
}

static bool is_view(TdlOpcode c) {
    return c == OP_CONST || c == OP_BROADCAST || c == OP_RESHAPE || c == OP_PERMUTE || c == OP_SLICE || c == OP_INDEX || c == OP_IOTA;
}

/* A constant, or a view of what is not computed again, is not either: it becomes part of what reads it (fuse). */
static void leave_views(Body *b) {
    Adj *a = b->a;
    IR_FOREACH_OP(a->f, a->f->body, o) {
        if (!is_primal(b, o) || !is_view(ir_op(a->f, o)->code) || !maker(b, adj_res(a, o, 0)).id) continue;
        bool of_again = false;
        for (uint32_t i = 0; i < ir_op(a->f, o)->noperands; i++) of_again |= maker(b, adj_arg(a, o, i)).id != 0;
        if (!of_again) a->cut.p[adj_res(a, o, 0).id] = ADJ_KEPT;
    }
}

void adj_body(Adj *a, const bool *primal, uint32_t nprimal) {
    if (!a->opt || !a->opt->limit_tape) return;
    Body b = {.a = a, .primal = primal, .nprimal = nprimal};
    mark_reads(&b);
    AdjNeed n = {.from = a->f->body, .primal = primal, .nprimal = nprimal, .map = &a->needs};
    adj_cut(a, &n);
    leave_views(&b);
    uint32_t nops = a->f->ops.n;
    b.first = ARENA_ARRAY(a->arena, TdlOp, nops);
    b.place = ARENA_ARRAY(a->arena, uint32_t, nops);
    b.of = ARENA_ARRAY(a->arena, uint32_t, nops);
    b.inner = valmap_new(a->arena, a->f);
    b.outer = valmap_new(a->arena, a->f);
    compute_all(&b);
    for (uint32_t i = 0; i < n.chosen.n; i++) a->cut.p[n.chosen.p[i].id] = ADJ_UNREAD;
}
