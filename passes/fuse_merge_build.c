/* fuse: the loop that stands for several (fuse_merge.c says which). The operations of their bodies move into it; nothing
 * is cloned. A body with further extents moves as a loop over these; a result that is used elsewhere becomes a result of
 * the new loop, under its old name. */
#include "passes/fuse_merge.h"

#include <string.h>

typedef struct { TdlVal old, now; const char *saved; } Result;   /* of a member; its value in one iteration; its note */

typedef struct {
    Merge *g;
    FuseCtx *c;
    TdlFunc *f;
    uint32_t shared;
    TdlOp loop, with;        /* the new loop; the `withacc` around it, or 0 */
    TDL_VEC(Result) results; /* of maps: tensors */
    TDL_VEC(Result) sums;    /* of reduces: scalars */
    TdlVals finals;          /* what accumulators end as */
} Build;

static bool has_row(const Merge *g, TdlVal v) { return v.id < g->nvals && g->row[v.id].id; }

/* Makes an operation (and what is in it) one of the new body: values of the old ones are replaced. Returns false when
 * it was an element of another member's result, which is a value now. */
static bool adopt(Build *b, TdlOp o) {
    TdlOpData *d = ir_op(b->f, o);
    if (d->code == OP_INDEX && has_row(b->g, d->operands[0])) {
        TdlVal row = b->g->row[d->operands[0].id];
        uint32_t rest = d->noperands - 1u - b->shared;
        b->g->uses[d->operands[0].id]--;
        if (!rest) {
            valmap_set(&b->c->vmap, d->results[0], row);
            return false;
        }
        d->operands[b->shared] = row;
        d->operands += b->shared;
        d->noperands = (uint16_t)(rest + 1);
    }
    for (uint16_t i = 0; i < d->noperands; i++) d->operands[i] = valmap_get(&b->c->vmap, d->operands[i]);
    for (uint16_t i = 0; i < d->nregions; i++)
        IR_FOREACH_OP(b->f, d->regions[i], p)
            if (!adopt(b, p)) ir_remove(b->f, p);
    return true;
}

static void open_with(Build *b, TdlOp at) {
    if (b->with.id) return;
    TdlBuilder w = ir_before(b->f, at);
    w.span = ir_op(b->f, b->loop)->span;
    b->with = ir_emit(&w, OP_WITHACC, NULL, 0, NULL, 0);
    ir_move_to_end(b->f, b->loop, fuse_body(b->f, b->with));
}

/* A new accumulator that starts as `init` and ends as `final`. */
static TdlVal add_accumulator(Build *b, TdlVal init, TdlVal final) {
    ir_add_operand(b->f, b->with, init);
    VEC_PUSH(b->c->scratch, b->finals, final);
    return ir_region_arg(b->f, fuse_body(b->f, b->with), ty_acc(b->c->m, ir_type(b->f, init)), ir_val(b->f, final)->name);
}

static void take_accumulators(Build *b, TdlOp with) {
    const TdlRegion r = fuse_body(b->f, with);
    for (uint32_t i = 0; i < ir_op(b->f, with)->noperands; i++) {
        TdlVal acc = add_accumulator(b, ir_op(b->f, with)->operands[i], ir_result(b->f, with, i));
        valmap_set(&b->c->vmap, ir_region(b->f, r)->args.p[i], acc);
    }
}

/* The loop keeps the extents that are not shared; its results are rows of what they were. */
static void keep_rest(Build *b, TdlOp loop) {
    TdlFunc *f = b->f;
    TdlOpData *d = ir_op(f, loop);
    TdlRegion r = d->regions[0];
    bool *keep = ARENA_ARRAY(b->c->scratch, bool, d->noperands);
    for (uint32_t i = 0; i < d->noperands; i++) keep[i] = i >= b->shared;
    ir_set_operands(f, loop, d->operands + b->shared, d->noperands - b->shared);
    ir_keep_args(f, r, keep);
    op_unset(f, loop, "saved");
    bool rows = ir_op(f, loop)->code == OP_MAP;
    for (uint16_t i = 0; i < ir_op(f, loop)->nresults; i++) {
        TdlType t = ir_type(f, ir_result(f, loop, i));
        ir_renew_result(f, loop, i, rows ? ty_drop(b->c->m, t, b->shared) : t);
    }
}

/* Moves the member's iteration to the end of the new body; now[i] becomes what stands for result i of its loop. */
static void move_body(Build *b, TdlOp loop, TdlVal *now) {
    TdlFunc *f = b->f;
    TdlRegion into = fuse_body(f, b->loop), body = fuse_body(f, loop);
    for (uint32_t i = 0; i < b->shared; i++)
        valmap_set(&b->c->vmap, ir_region(f, body)->args.p[i], ir_region(f, into)->args.p[i]);
    adopt(b, loop);
    if (ir_op(f, loop)->noperands > b->shared) {
        keep_rest(b, loop);
        ir_move_to_end(f, loop, into);
        for (uint16_t i = 0; i < ir_op(f, loop)->nresults; i++) now[i] = ir_result(f, loop, i);
        return;
    }
    TdlOp y = ir_terminator(f, body);
    for (uint16_t i = 0; i < ir_op(f, loop)->nresults; i++) now[i] = ir_op(f, y)->operands[i];
    IR_FOREACH_OP(f, body, o)
        if (o.id != y.id) ir_move_to_end(f, o, into);
}

/* What the member's results are now: maps' are elements or rows, those that a `withacc` hands on too. */
static void note_results(Build *b, TdlOp op, const TdlVal *old, const TdlVal *now, uint16_t n, const char *saved) {
    const TdlOpData *w = ir_op(b->f, op), *y = ir_op(b->f, ir_region(b->f, w->regions[0])->last);
    uint32_t first = b->results.n;
    bool with = w->code == OP_WITHACC;
    for (uint16_t k = 0; k < n; k++) {
        if (!with) VEC_PUSH(b->c->scratch, b->results, ((Result){old[k], now[k], saved}));
        for (uint16_t i = 0; with && i < y->noperands; i++)
            if (old[k].id == y->operands[i].id)
                VEC_PUSH(b->c->scratch, b->results, ((Result){w->results[w->noperands + i], now[k], saved}));
    }
    for (uint32_t i = first; i < b->results.n; i++) b->g->row[b->results.p[i].old.id] = b->results.p[i].now;
}

static void add_member(Build *b, const MergeNode *n) {
    TdlFunc *f = b->f;
    TdlOp loop = n->loop;
    bool with = n->op.id != loop.id, stays = ir_op(f, loop)->noperands > b->shared;
    uint16_t nresults = ir_op(f, loop)->nresults;
    const char *saved = op_str(f, loop, "saved");
    TdlVal *old = arena_memdup(b->c->scratch, ir_op(f, loop)->results, nresults * sizeof *old);
    TdlVal *now = ARENA_ARRAY(b->c->scratch, TdlVal, nresults);
    if (with) take_accumulators(b, n->op);
    move_body(b, loop, now);
    if (ir_op(f, loop)->code == OP_REDUCE) VEC_PUSH(b->c->scratch, b->sums, ((Result){old[0], now[0], NULL}));
    else note_results(b, n->op, old, now, nresults, saved);
    if (with || !stays) ir_remove(f, n->op);
}

/* ---- what comes out ---- */

static void add_sums(Build *b) {
    TdlFunc *f = b->f;
    for (uint32_t i = 0; i < b->sums.n; i++) {
        Result s = b->sums.p[i];
        open_with(b, b->loop);
        TdlBuilder in = ir_at_end(f, fuse_body(f, b->loop), ir_op(f, b->loop)->span), before = ir_before(f, b->with);
        TdlVal zero = ir_const_float(&before, ty_elem(b->c->m, ir_type(f, s.old)), 0.0);
        TdlVal add[2] = {add_accumulator(b, zero, s.old), s.now};
        ir_emit(&in, OP_ACCADD, add, 2, NULL, 0);
    }
}

/* One sum and nothing else: a reduction as before. */
static void make_sum(Build *b) {
    TdlFunc *f = b->f;
    TdlBuilder in = ir_at_end(f, fuse_body(f, b->loop), ir_op(f, b->loop)->span);
    ir_op(f, b->loop)->code = OP_REDUCE;
    op_set_str(f, b->loop, "kind", "sum", 3);
    fuse_yield(&in, &b->sums.p[0].now, 1);
    ir_take_result(f, b->loop, b->sums.p[0].old);
}

static void make_results(Build *b) {
    TdlFunc *f = b->f;
    TdlVals yields = {0}, outer = {0};
    for (uint32_t i = 0; i < b->finals.n; i++) ir_take_result(f, b->with, b->finals.p[i]);
    for (uint32_t i = 0; i < b->results.n; i++) {
        Result r = b->results.p[i];
        if (!b->g->uses[r.old.id]) continue;
        VEC_PUSH(b->c->scratch, yields, r.now);
        if (b->with.id) VEC_PUSH(b->c->scratch, outer, ir_add_result(f, b->loop, ir_type(f, r.old)));
        ir_take_result(f, b->with.id ? b->with : b->loop, r.old);
        if (r.saved) op_set_str(f, b->loop, "saved", r.saved, (uint32_t)strlen(r.saved));
    }
    TdlBuilder in = ir_at_end(f, fuse_body(f, b->loop), ir_op(f, b->loop)->span);
    fuse_yield(&in, yields.p, yields.n);
    if (!b->with.id) return;
    in = ir_at_end(f, fuse_body(f, b->with), in.span);
    fuse_yield(&in, outer.p, outer.n);
}

void merge_build(Merge *g, const MergeCluster *k, TdlOp at) {
    TdlFunc *f = g->c->f;
    Build b = {.g = g, .c = g->c, .f = f, .shared = k->shared};
    const MergeNode *last = &g->nodes.p[VEC_LAST(k->members)];
    TdlBuilder new = ir_before(f, at);
    new.span = ir_op(f, last->op)->span;
    new.grad_fn = ir_op(f, last->op)->grad_fn;
    b.loop = ir_emit(&new, OP_MAP, ir_op(f, g->nodes.p[k->members.p[0]].loop)->operands, k->shared, NULL, 0);
    TdlRegion from = fuse_body(f, last->loop);
    for (uint32_t i = 0; i < k->shared; i++) {
        TdlSym name = ir_val(f, ir_region(f, from)->args.p[i])->name;
        ir_region_arg(f, fuse_body(f, b.loop), ty_scalar(g->c->m, EL_I64), name);
    }
    for (uint32_t i = 0; i < k->members.n; i++) {
        const MergeNode *n = &g->nodes.p[k->members.p[i]];
        if (n->op.id != n->loop.id) open_with(&b, b.loop);
        add_member(&b, n);
    }
    uint32_t left = 0;
    for (uint32_t i = 0; i < b.results.n; i++) left += g->uses[b.results.p[i].old.id];
    if (!left && !b.with.id && b.sums.n == 1) {
        make_sum(&b);
    } else {
        add_sums(&b);
        make_results(&b);
    }
    for (uint32_t i = 0; i < b.results.n; i++) g->row[b.results.p[i].old.id] = (TdlVal){0};
}
