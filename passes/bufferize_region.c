/* Operations with regions as loops and branches of loop IR. Tensors that a loop carries or a branch yields lie in the
 * buffer of their class; scalars and stacks are carried as before. */
#include "passes/bufferize.h"

static void put(Bufferize *B, TdlVals *v, TdlVal x) { VEC_PUSH(B->a, *v, x); }

/* ---- map ---- */

/* Axis of index v among those of addition o; 0: none. */
static uint32_t axis_of(const Bufferize *B, TdlOp o, TdlVal v)
{
    const TdlOpData *d = ir_op(B->f, o);
    for (uint32_t i = 2; i < d->noperands; i++)
        if (d->operands[i].id == v.id) return i;
    return 0;
}

/* Addition o in the body of a map itself: each iteration adds to elements of its own, as the map's indices are indices of the
 * accumulator, at the same axes in all additions to it. */
static bool adds_apart(Bufferize *B, TdlOp o, TdlRegion body)
{
    if (ir_op(B->f, o)->parent.id != body.id) return false;
    TdlOp *first = &B->adder[ir_op(B->f, o)->operands[0].id];
    const TdlVals *args = &ir_region(B->f, body)->args;
    if (!first->id || ir_op(B->f, *first)->parent.id != body.id) *first = o;
    for (uint32_t i = 0; i < args->n; i++) {
        uint32_t axis = axis_of(B, o, args->p[i]);
        if (!axis || axis != axis_of(B, *first, args->p[i])) return false;
    }
    return true;
}

/* Independent iterations: nothing is added to what another one adds to, nothing printed or pushed. */
static bool shares_nothing(Bufferize *B, TdlRegion r, TdlRegion outer)
{
    IR_FOREACH_OP(B->f, r, o) {
        const TdlOpData *d = ir_op(B->f, o);
        if (d->code == OP_PRINT) return false;
        bool shared = (d->code == OP_ACCADD || d->code == OP_PUSH || d->code == OP_POP) && !ir_defined_in(B->f, d->operands[0], outer);
        if (shared && d->code == OP_ACCADD) shared = !B->sum[d->operands[0].id].id && !adds_apart(B, o, outer);
        if (shared) return false;
        for (uint32_t k = 0; k < d->nregions; k++)
            if (!shares_nothing(B, d->regions[k], outer)) return false;
    }
    return true;
}

/* A map of one value that does not depend on its indices: the value when it is a constant or comes from outside. */
static bool is_fill(Bufferize *B, TdlOp o, TdlVal *v)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlRegion r = d->regions[0];
    TdlOp end = ir_terminator(B->f, r);
    if (d->nresults != 1) return false;
    TdlVal y = ir_op(B->f, end)->operands[0];
    if (buf_is_mem(B, y)) return false;
    IR_FOREACH_OP(B->f, r, u)
        if (u.id != end.id && ir_op(B->f, u)->code != OP_CONST && ir_op(B->f, u)->code != OP_DIM) return false;
    TdlOp def = ir_val(B->f, y)->def;
    if (ir_defined_in(B->f, y, r)) {
        if (!def.id) return false; /* an index of the map */
        buf_scalar(B, def);
    }
    *v = buf_get(B, y);
    return true;
}

/* A map that only reads another tensor at its own indices. */
static bool is_copy(const Bufferize *B, TdlOp o, TdlVal *src)
{
    const TdlOpData *d = ir_op(B->f, o);
    const TdlRegionData *r = ir_region(B->f, d->regions[0]);
    const TdlOpData *u = ir_op(B->f, r->first);
    if (d->nresults != 1 || u->code != OP_INDEX || u->next.id != r->last.id) return false;
    if (ir_op(B->f, r->last)->operands[0].id != u->results[0].id || u->noperands != r->args.n + 1) return false;
    for (uint32_t i = 0; i < r->args.n; i++)
        if (u->operands[i + 1].id != r->args.p[i].id) return false;
    *src = u->operands[0];
    TdlType t = ir_type(B->f, *src), y = ir_type(B->f, d->results[0]);
    return buf_is_mem(B, *src) && ty_eq(t, y);
}

static void store_result(Bufferize *B, TdlOp map, uint32_t i, const TdlVals *idx)
{
    TdlVal v = ir_op(B->f, ir_terminator(B->f, ir_op(B->f, map)->regions[0]))->operands[i];
    TdlVal res = ir_result(B->f, map, i), dst = buf_get(B, res);
    if (!buf_is_mem(B, v)) { buf_store(B, buf_get(B, v), dst, idx->p, idx->n); return; }
    if (buf_in_row(B, v, map, res)) return;
    TdlOp def = ir_val(B->f, v)->def;
    if (def.id && ir_op(B->f, def)->code == OP_UNDEF) return;
    buf_copy(B, buf_view(B, dst, idx->p, idx->n, ir_type(B->f, v)), buf_get(B, v));
}

/* Everything in the map that adds to this accumulator stands in its body itself. */
static bool only_here(const Bufferize *B, TdlVal acc, TdlRegion body)
{
    for (uint32_t i = B->use_start[acc.id]; i < B->use_start[acc.id + 1]; i++) {
        TdlRegion r = ir_op(B->f, B->uses[i].op)->parent;
        if (r.id != body.id && ir_region_encloses(B->f, body, r)) return false;
    }
    return true;
}

/* The scalar accumulators of the outside that a loop carries: sums in registers. Each gets a value as a mark. Of a nest
 * they stay in memory: pass `vector` can take any of its loops then. */
static void find_sums(Bufferize *B, TdlOp map, TdlVals *sums)
{
    TdlRegion body = ir_op(B->f, map)->regions[0];
    if (ir_op(B->f, map)->noperands != 1) return;
    IR_FOREACH_OP(B->f, body, o) {
        const TdlOpData *d = ir_op(B->f, o);
        TdlVal acc = d->code == OP_ACCADD ? d->operands[0] : (TdlVal){0};
        if (!acc.id || ty_rank(B->m, ir_type(B->f, acc)) || B->sum[acc.id].id || ir_defined_in(B->f, acc, body)) continue;
        if (!only_here(B, acc, body)) continue;
        B->sum[acc.id] = B->zero;
        put(B, sums, acc);
    }
}

void buf_MAP(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVal v;
    if (is_fill(B, o, &v)) { buf_fill(B, buf_get(B, d->results[0]), v); return; }
    if (is_copy(B, o, &v)) {
        TdlVal dst = buf_get(B, d->results[0]), src = buf_get(B, v);
        if (dst.id != src.id) buf_copy(B, dst, src);
        return;
    }
    TdlRegion body = d->regions[0];
    TdlVals sums = {0}, idx = {0};
    find_sums(B, o, &sums);
    bool parallel = shares_nothing(B, body, body);
    TdlVal *state = ARENA_ARRAY(B->a, TdlVal, sums.n + 1);
    for (uint32_t i = 0; i < sums.n; i++) state[i] = buf_load(B, buf_get(B, sums.p[i]), NULL, 0);
    BufNest s = buf_nest(B, o, state, sums.n);
    for (uint32_t i = 0; i < s.n; i++) {
        if (parallel) op_set_int(B->g, s.l[i].op, "parallel", 1);
        put(B, &idx, s.l[i].index);
    }
    for (uint32_t i = 0; i < sums.n; i++) B->sum[sums.p[i].id] = state[i];
    TdlVal mark = buf_body(B, body);
    uint32_t nres = ir_op(B->f, o)->nresults;
    for (uint32_t i = 0; i < nres; i++) store_result(B, o, i, &idx);
    buf_leave(B, mark);
    for (uint32_t i = 0; i < sums.n; i++) state[i] = B->sum[sums.p[i].id];
    buf_nest_end(B, &s, state, sums.n);
    for (uint32_t i = 0; i < sums.n; i++) {
        B->sum[sums.p[i].id] = (TdlVal){0};
        buf_store(B, state[i], buf_get(B, sums.p[i]), NULL, 0);
    }
}

/* ---- for and while ---- */

/* Scalars and stacks among the n values at v (of f). */
static void carried(Bufferize *B, const TdlVal *v, uint32_t n, TdlVals *out)
{
    for (uint32_t i = 0; i < n; i++)
        if (!buf_is_mem(B, v[i])) put(B, out, buf_get(B, v[i]));
}

static void move_all(Bufferize *B, const TdlVal *dst, const TdlVal *src, uint32_t n)
{
    BufMoves moves = {0};
    for (uint32_t i = 0; i < n; i++)
        if (buf_is_mem(B, dst[i])) buf_move(B, &moves, dst[i].id, src[i]);
    buf_moves(B, &moves);
}

static TdlType *types_of(Bufferize *B, const TdlVals *v, uint32_t extra)
{
    TdlType *t = ARENA_ARRAY(B->a, TdlType, v->n + extra + 1);
    for (uint32_t i = 0; i < extra; i++) t[i] = ty_scalar(B->m, EL_I64);
    for (uint32_t i = 0; i < v->n; i++) t[extra + i] = ir_type(B->g, v->p[i]);
    return t;
}

/* Region arguments of g for the carried values at args (of f). */
static void open_region(Bufferize *B, TdlRegion into, const TdlVal *args, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!buf_is_mem(B, args[i])) buf_set(B, args[i], ir_region_arg(B->g, into, ir_type(B->f, args[i]), ir_val(B->f, args[i])->name));
    B->b = ir_at_end(B->g, into, B->b.span);
}

/* Ends a loop body: what it yields moves to the variables it is carried in. */
static void close_body(Bufferize *B, TdlRegion body, const TdlVal *args, uint32_t n, TdlVal mark)
{
    const TdlOpData *y = ir_op(B->f, ir_terminator(B->f, body));
    uint32_t first = y->noperands - n;
    move_all(B, args, y->operands + first, n);
    TdlVals v = {0};
    carried(B, y->operands, y->noperands, &v);
    buf_leave(B, mark);
    buf_yield(B, v.p, v.n);
}

static void set_results(Bufferize *B, TdlOp o, TdlOp loop, const TdlVal *args, uint32_t n)
{
    const TdlOpData *d = ir_op(B->f, o);
    uint32_t first = d->nresults - n, k = 0;
    for (uint32_t i = 0; i < d->nresults; i++)
        if (!buf_is_mem(B, d->results[i])) buf_set(B, d->results[i], ir_result(B->g, loop, k++));
    move_all(B, d->results + first, args, n);
}

void buf_FOR(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    uint32_t n = d->noperands - 2u;
    TdlRegion body = d->regions[0];
    const TdlVal *args = ir_region(B->f, body)->args.p;
    move_all(B, args + 1, d->operands + 2, n);
    TdlVals v = {0}, ops = {0};
    carried(B, d->operands + 2, n, &v);
    put(B, &ops, buf_get(B, d->operands[0]));
    put(B, &ops, buf_get(B, d->operands[1]));
    for (uint32_t i = 0; i < v.n; i++) put(B, &ops, v.p[i]);
    bool exit = op_int(B->f, o, "exit", 0) != 0;
    TdlOp loop = ir_emit(&B->b, OP_FOR, ops.p, ops.n, types_of(B, &v, exit), v.n + exit);
    if (exit) op_set_int(B->g, loop, "exit", 1);
    if (op_int(B->f, o, "down", 0)) op_set_int(B->g, loop, "down", 1);
    TdlBuilder outer = B->b;
    open_region(B, ir_op(B->g, loop)->regions[0], args, n + 1);
    TdlVal mark = buf_body(B, body);
    close_body(B, body, args + 1, n, mark);
    B->b = outer;
    set_results(B, o, loop, args + 1, n);
}

void buf_WHILE(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    uint32_t n = d->noperands;
    TdlRegion cond = d->regions[0], body = d->regions[1];
    const TdlVal *args = ir_region(B->f, cond)->args.p, *bargs = ir_region(B->f, body)->args.p;
    move_all(B, args, d->operands, n);
    TdlVals v = {0}, c = {0};
    carried(B, d->operands, n, &v);
    TdlOp loop = ir_emit(&B->b, OP_WHILE, v.p, v.n, types_of(B, &v, 0), v.n);
    TdlBuilder outer = B->b;
    open_region(B, ir_op(B->g, loop)->regions[0], args, n);
    TdlVal mark = buf_body(B, cond);
    carried(B, ir_op(B->f, ir_terminator(B->f, cond))->operands, 1, &c);
    buf_leave(B, mark);
    buf_yield(B, c.p, c.n);
    open_region(B, ir_op(B->g, loop)->regions[1], bargs, n);
    mark = buf_body(B, body);
    close_body(B, body, bargs, n, mark);
    B->b = outer;
    set_results(B, o, loop, args, n);
}

/* ---- if ---- */

void buf_IF(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVal c = buf_get(B, d->operands[0]);
    TdlType *types = ARENA_ARRAY(B->a, TdlType, d->nresults + 1u);
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->nresults; i++)
        if (!buf_is_mem(B, d->results[i])) types[n++] = ir_type(B->f, d->results[i]);
    TdlOp branch = ir_emit(&B->b, OP_IF, &c, 1, types, n);
    TdlBuilder outer = B->b;
    for (uint32_t k = 0; k < 2; k++) {
        TdlRegion r = d->regions[k];
        B->b = ir_at_end(B->g, ir_op(B->g, branch)->regions[k], outer.span);
        TdlVal mark = buf_body(B, r);
        close_body(B, r, d->results, d->nresults, mark);
    }
    B->b = outer;
    n = 0;
    for (uint32_t i = 0; i < d->nresults; i++)
        if (!buf_is_mem(B, d->results[i])) buf_set(B, d->results[i], ir_result(B->g, branch, n++));
}

/* ---- withacc ---- */

/* The accumulators' buffers start as the initial tensors; the body follows in the same region, as it runs once. */
void buf_WITHACC(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlRegion body = d->regions[0];
    const TdlVals *args = &ir_region(B->f, body)->args;
    BufMoves moves = {0};
    for (uint32_t i = 0; i < args->n; i++)
        if (buf_is_mem(B, d->operands[i])) buf_move(B, &moves, args->p[i].id, d->operands[i]);
    buf_moves(B, &moves);
    for (uint32_t i = 0; i < args->n; i++)
        if (!buf_is_mem(B, d->operands[i])) buf_store(B, buf_get(B, d->operands[i]), buf_get(B, args->p[i]), NULL, 0);
    TdlVal mark = buf_body(B, body);
    const TdlOpData *y = ir_op(B->f, ir_terminator(B->f, body));
    move_all(B, d->results + args->n, y->operands, y->noperands);
    for (uint32_t i = 0; i < y->noperands; i++)
        if (!buf_is_mem(B, y->operands[i])) buf_set(B, d->results[args->n + i], buf_get(B, y->operands[i]));
    for (uint32_t i = 0; i < args->n; i++)
        if (!buf_is_mem(B, d->results[i])) buf_set(B, d->results[i], buf_load(B, buf_get(B, args->p[i]), NULL, 0));
    buf_leave(B, mark);
}

/* The body stands where the operation stood. */
void buf_CHECKPOINT(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlRegion body = d->regions[0];
    TdlVal mark = buf_body(B, body);
    const TdlOpData *y = ir_op(B->f, ir_terminator(B->f, body));
    move_all(B, d->results, y->operands, y->noperands);
    for (uint32_t i = 0; i < d->nresults; i++)
        if (!buf_is_mem(B, d->results[i])) buf_set(B, d->results[i], buf_get(B, y->operands[i]));
    buf_leave(B, mark);
}

void buf_YIELD(Bufferize *B, TdlOp o) { (void)B; (void)o; } /* its region's operation writes it */
void buf_RETURN(Bufferize *B, TdlOp o) { (void)B; (void)o; }
