/* reduce: nested loops that carry the result so far.
 *
 *   %2 = reduce %1 {(%3: i64)               %2 = for %zero, %1, %init {(%3: i64, %4: f64)
 *     %5 = index %0, %3 : f64        =>       %5 = load %0, %3 : f64
 *     yield %5                                %6 = add %4, %5 : f64
 *   } {kind = sum} : f64                      yield %6
 *                                           } : f64
 *
 * max, min, argmax and argmin over nothing fail, unless `empty` says that max is -inf and min inf then: pass `checks` asserts that the extents are positive; where a filter
 * decides, what was seen is counted here. NaN is the largest for max and argmax, the smallest for min and argmin. */
#include "passes/bufferize.h"
#include <math.h>
#include <string.h>

typedef enum { KIND_SUM, KIND_PROD, KIND_MAX, KIND_MIN, KIND_ANY, KIND_ALL, KIND_ARGMAX, KIND_ARGMIN, KIND_COUNT } Kind;

static const struct { const char *name; TdlOpcode op; } kinds[KIND_COUNT] = {
    [KIND_SUM] = {"sum", OP_ADD}, [KIND_PROD] = {"prod", OP_MUL}, [KIND_MAX] = {"max", OP_MAX}, [KIND_MIN] = {"min", OP_MIN},
    [KIND_ANY] = {"any", OP_OR}, [KIND_ALL] = {"all", OP_AND}, [KIND_ARGMAX] = {"argmax", OP_GT}, [KIND_ARGMIN] = {"argmin", OP_LT},
};

static Kind kind_of(const char *s)
{
    for (int k = 0; k < KIND_COUNT; k++)
        if (s && !strcmp(s, kinds[k].name)) return (Kind)k;
    return KIND_COUNT;
}

static int64_t int_extreme(TdlElem e, bool largest)
{
    if (e == EL_BOOL) return largest;
    if (e == EL_I32) return largest ? INT32_MAX : INT32_MIN;
    return largest ? INT64_MAX : INT64_MIN;
}

static TdlVal neutral(Bufferize *B, Kind k, TdlElem e)
{
    switch (k) {
    case KIND_SUM: case KIND_ANY: return buf_float(B, e, 0.0);
    case KIND_PROD: case KIND_ALL: return buf_float(B, e, 1.0);
    case KIND_MAX: case KIND_ARGMAX:
        return el_is_float(e) ? ir_const_float(&B->b, e, -(double)INFINITY) : ir_const_int(&B->b, e, int_extreme(e, false));
    case KIND_MIN: case KIND_ARGMIN:
        return el_is_float(e) ? ir_const_float(&B->b, e, (double)INFINITY) : ir_const_int(&B->b, e, int_extreme(e, true));
    case KIND_COUNT: break;
    }
    return (TdlVal){0};
}

static TdlVal combine(Bufferize *B, Kind k, TdlVal acc, TdlVal v)
{
    bool is_bool = ty_elem(B->m, ir_type(B->g, v)) == EL_BOOL;
    TdlOpcode c = kinds[k].op;
    if (is_bool && (k == KIND_MAX || k == KIND_SUM)) c = OP_OR;
    if (is_bool && (k == KIND_MIN || k == KIND_PROD)) c = OP_AND;
    return buf_op2(B, c, acc, v);
}

static bool must_be_nonempty(Kind k) { return k == KIND_MAX || k == KIND_MIN || k == KIND_ARGMAX || k == KIND_ARGMIN; }
static bool is_arg(Kind k) { return k == KIND_ARGMAX || k == KIND_ARGMIN; }

/* v beats best: greater (less), or the first NaN. */
static TdlVal beats(Bufferize *B, Kind k, TdlVal v, TdlVal best)
{
    TdlElem e = ty_elem(B->m, ir_type(B->g, v));
    TdlVal y;
    if (e == EL_BOOL) {
        TdlVal n = ir_emit1(&B->b, OP_NOT, k == KIND_ARGMAX ? &best : &v, 1);
        return buf_op2(B, OP_AND, k == KIND_ARGMAX ? v : best, n);
    }
    y = buf_op2(B, kinds[k].op, v, best);
    if (!el_is_float(e)) return y;
    TdlVal nan = buf_op2(B, OP_AND, buf_op2(B, OP_NE, v, v), buf_op2(B, OP_EQ, best, best));
    return buf_op2(B, OP_OR, y, nan);
}

/* What the innermost loop yields from what it carries: acc, then the index of argmax, then "one was seen". */
static void step(Bufferize *B, Kind k, const TdlVal *in, TdlVal index, TdlVal v, TdlVal cond, TdlVal *out)
{
    uint32_t seen_at = is_arg(k) ? 2 : 1;
    if (is_arg(k)) {
        TdlVal better = beats(B, k, v, in[0]);
        if (cond.id) {
            TdlVal first = ir_emit1(&B->b, OP_NOT, &in[seen_at], 1);
            better = buf_op2(B, OP_AND, cond, buf_op2(B, OP_OR, better, first));
        }
        out[0] = buf_select(B, better, v, in[0]);
        out[1] = buf_select(B, better, index, in[1]);
    } else {
        out[0] = combine(B, k, in[0], v);
        if (cond.id) out[0] = buf_select(B, cond, out[0], in[0]);
    }
    if (cond.id) out[seen_at] = buf_op2(B, OP_OR, in[seen_at], cond);
}

BufNest buf_nest(Bufferize *B, TdlOp o, TdlVal *state, uint32_t nstate)
{
    uint32_t n = ir_op(B->f, o)->noperands;
    BufNest s = {ARENA_ARRAY(B->a, BufFor, n + 1), n};
    for (uint32_t i = 0; i < n; i++) {
        s.l[i] = buf_for(B, B->zero, buf_get(B, ir_op(B->f, o)->operands[i]), state, nstate);
        for (uint32_t k = 0; k < nstate; k++) state[k] = buf_for_arg(B, &s.l[i], k);
        buf_set(B, ir_region(B->f, ir_op(B->f, o)->regions[0])->args.p[i], s.l[i].index);
    }
    return s;
}

void buf_nest_end(Bufferize *B, const BufNest *s, TdlVal *state, uint32_t nstate)
{
    for (uint32_t i = s->n; i-- > 0;) {
        buf_for_end(B, &s->l[i], state, nstate);
        for (uint32_t k = 0; k < nstate; k++) state[k] = ir_result(B->g, s->l[i].op, k);
    }
}

static void reduce_scalar(Bufferize *B, TdlOp o, Kind k)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlRegion body = d->regions[0];
    const TdlOpData *y = ir_op(B->f, ir_terminator(B->f, body));
    bool filter = op_int(B->f, o, "filter", 0) != 0, counted = filter && !op_int(B->f, o, "empty", 0) && must_be_nonempty(k);
    TdlElem e = ty_elem(B->m, ir_type(B->f, y->operands[0]));
    TdlVal state[3], next[3];
    uint32_t n = 0;
    state[n++] = neutral(B, k, e);
    if (is_arg(k)) state[n++] = B->zero;
    if (counted) state[n++] = ir_const_int(&B->b, EL_BOOL, 0);
    BufNest s = buf_nest(B, o, state, n);
    TdlVal mark = buf_body(B, body);
    TdlVal cond = filter ? buf_get(B, y->operands[1]) : (TdlVal){0};
    TdlVal index = s.n ? s.l[0].index : B->zero;
    TdlVal v = buf_get(B, y->operands[0]);
    if (filter && !counted) next[0] = buf_select(B, cond, combine(B, k, state[0], v), state[0]);
    else step(B, k, state, index, v, cond, next);
    buf_leave(B, mark);
    buf_nest_end(B, &s, next, n);
    if (is_arg(k) && !filter) op_set_int(B->g, s.l[0].op, "search", 1);
    B->b.span = ir_op(B->f, o)->span;
    if (counted)
        buf_assert(B, next[n - 1], "empty", "max, min, argmax or argmin of nothing", NULL, 0);
    buf_set(B, ir_result(B->f, o, 0), next[is_arg(k) ? 1 : 0]);
}

/* A nest over the elements of tensor type t; the indices go to idx. */
static BufNest element_nest(Bufferize *B, TdlType t, TdlVals *idx)
{
    uint32_t rank = ty_rank(B->m, t);
    BufNest s = {ARENA_ARRAY(B->a, BufFor, rank + 1), rank};
    for (uint32_t i = 0; i < rank; i++) {
        s.l[i] = buf_for(B, B->zero, ir_dim(&B->b, ty_dims(B->m, t)[i]), NULL, 0);
        op_set_int(B->g, s.l[i].op, "parallel", 1);
        VEC_PUSH(B->a, *idx, s.l[i].index);
    }
    return s;
}

/* The body yields tensors: the result is a buffer that each of them is combined into. */
static void reduce_tensor(Bufferize *B, TdlOp o, Kind k)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlRegion body = d->regions[0];
    const TdlOpData *y = ir_op(B->f, ir_terminator(B->f, body));
    TdlType t = ir_type(B->f, d->results[0]);
    TdlVal acc = buf_get(B, d->results[0]);
    bool seen = must_be_nonempty(k) && op_int(B->f, o, "filter", 0) && !op_int(B->f, o, "empty", 0);
    TdlVal state = ir_const_int(&B->b, EL_BOOL, 0);
    buf_fill(B, acc, neutral(B, k, ty_elem(B->m, t)));
    BufNest s = buf_nest(B, o, &state, seen);
    TdlVal mark = buf_body(B, body);
    TdlVal v = buf_get(B, y->operands[0]), cond = {0};
    if (op_int(B->f, o, "filter", 0)) cond = buf_get(B, y->operands[1]);
    TdlVals idx = {0};
    BufNest e = element_nest(B, t, &idx);
    TdlVal old = buf_load(B, acc, idx.p, idx.n);
    TdlVal now = combine(B, k, old, buf_load(B, v, idx.p, idx.n));
    if (cond.id) now = buf_select(B, cond, now, old);
    buf_store(B, now, acc, idx.p, idx.n);
    buf_nest_end(B, &e, NULL, 0);
    buf_leave(B, mark);
    if (seen) state = buf_op2(B, OP_OR, state, cond);
    buf_nest_end(B, &s, &state, seen);
    if (seen) buf_assert(B, state, "empty", "max or min of nothing", NULL, 0);
}

void buf_REDUCE(Bufferize *B, TdlOp o)
{
    Kind k = kind_of(op_str(B->f, o, "kind"));
    bool tensor = buf_is_mem(B, ir_result(B->f, o, 0));
    if (k == KIND_COUNT || (tensor && is_arg(k)))
        diag_error(B->m->diags, ir_op(B->f, o)->span, "bufferize: internal error: a reduction of unknown kind");
    else if (tensor) reduce_tensor(B, o, k);
    else reduce_scalar(B, o, k);
}
