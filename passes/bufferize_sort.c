/* sort: a stable merge sort, bottom up, along one axis; values and indices move together.
 *
 *   out = x, at = 0 1 2 ...
 *   while width < n:                                   runs of `width` are sorted
 *     for run in (n + 2*width - 1) // (2*width):       two neighbours [lo, mid) and [mid, hi) ...
 *       for k in lo..hi: tmp[k] = the smaller head     ... merge; the left one goes first when equal
 *     out, at = tmp; width = 2*width
 *
 * NaN is the largest: last, or first when descending. n log n comparisons, 2 n temporary elements. */
#include "passes/bufferize.h"

typedef struct {
    Bufferize *B;
    TdlVal out, at, tv, ti;   /* buffers: results; one line of temporaries */
    TdlVal n;                 /* length of the axis */
    TdlVal *idx;              /* indices of the line; idx[axis] is filled in */
    uint32_t rank, axis;
    bool descending;
} Sort;

static TdlVal load_at(Sort *s, TdlVal buf, TdlVal k)
{
    s->idx[s->axis] = k;
    return buf_load(s->B, buf, s->idx, s->rank);
}

static void store_at(Sort *s, TdlVal v, TdlVal buf, TdlVal k)
{
    s->idx[s->axis] = k;
    buf_store(s->B, v, buf, s->idx, s->rank);
}

/* x comes strictly before y. */
static TdlVal before(Sort *s, TdlVal x, TdlVal y)
{
    Bufferize *B = s->B;
    TdlElem e = ty_elem(B->m, ir_type(B->g, x));
    if (e == EL_BOOL) {
        TdlVal n = ir_emit1(&B->b, OP_NOT, s->descending ? &y : &x, 1);
        return buf_op2(B, OP_AND, s->descending ? x : y, n);
    }
    TdlVal less = buf_op2(B, s->descending ? OP_GT : OP_LT, x, y);
    if (!el_is_float(e)) return less;
    TdlVal nan = s->descending ? x : y, number = s->descending ? y : x;
    return buf_op2(B, OP_OR, less, buf_op2(B, OP_AND, buf_op2(B, OP_NE, nan, nan), buf_op2(B, OP_EQ, number, number)));
}

/* Merges [lo, mid) and [mid, hi) of out/at into tv/ti. */
static void merge(Sort *s, TdlVal lo, TdlVal mid, TdlVal hi)
{
    Bufferize *B = s->B;
    TdlVal last = buf_op2(B, OP_SUB, s->n, B->one);
    BufFor l = buf_for(B, lo, hi, (TdlVal[]){lo, mid}, 2);
    TdlVal p = buf_for_arg(B, &l, 0), q = buf_for_arg(B, &l, 1);
    /* Loads are in range even where a run is used up, and not looked at then. */
    TdlVal left = load_at(s, s->out, buf_op2(B, OP_MIN, p, last)), right = load_at(s, s->out, buf_op2(B, OP_MIN, q, last));
    TdlVal right_first = before(s, right, left);
    TdlVal not_first = ir_emit1(&B->b, OP_NOT, &right_first, 1);
    TdlVal take = buf_op2(B, OP_AND, buf_op2(B, OP_LT, p, mid), buf_op2(B, OP_OR, buf_op2(B, OP_GE, q, hi), not_first));
    TdlVal from = buf_select(B, take, p, q);
    buf_store(B, buf_select(B, take, left, right), s->tv, &l.index, 1);
    buf_store(B, load_at(s, s->at, from), s->ti, &l.index, 1);
    TdlVal next[2] = {buf_select(B, take, buf_op2(B, OP_ADD, p, B->one), p),
                      buf_select(B, take, q, buf_op2(B, OP_ADD, q, B->one))};
    buf_for_end(B, &l, next, 2);
}

/* One pass: runs of `width` become runs of `twice`. */
static void merge_pass(Sort *s, TdlVal width, TdlVal twice)
{
    Bufferize *B = s->B;
    TdlVal runs = buf_op2(B, OP_FLOORDIV, buf_op2(B, OP_SUB, buf_op2(B, OP_ADD, s->n, twice), B->one), twice);
    BufFor l = buf_for(B, B->zero, runs, NULL, 0);
    TdlVal lo = buf_op2(B, OP_MUL, l.index, twice);
    TdlVal mid = buf_op2(B, OP_MIN, buf_op2(B, OP_ADD, lo, width), s->n);
    TdlVal hi = buf_op2(B, OP_MIN, buf_op2(B, OP_ADD, lo, twice), s->n);
    merge(s, lo, mid, hi);
    buf_for_end(B, &l, NULL, 0);
    BufFor c = buf_for(B, B->zero, s->n, NULL, 0);
    store_at(s, buf_load(B, s->tv, &c.index, 1), s->out, c.index);
    store_at(s, buf_load(B, s->ti, &c.index, 1), s->at, c.index);
    buf_for_end(B, &c, NULL, 0);
}

static void sort_line(Sort *s, TdlVal x)
{
    Bufferize *B = s->B;
    BufFor c = buf_for(B, B->zero, s->n, NULL, 0);
    store_at(s, load_at(s, x, c.index), s->out, c.index);
    store_at(s, c.index, s->at, c.index);
    buf_for_end(B, &c, NULL, 0);
    TdlType i64 = ty_scalar(B->m, EL_I64);
    TdlOp loop = ir_emit(&B->b, OP_WHILE, &B->one, 1, &i64, 1);
    TdlBuilder outer = B->b;
    TdlRegion cond = ir_op(B->g, loop)->regions[0], body = ir_op(B->g, loop)->regions[1];
    TdlVal width = ir_region_arg(B->g, cond, i64, SYM_NONE);
    B->b = ir_at_end(B->g, cond, outer.span);
    TdlVal more = buf_op2(B, OP_LT, width, s->n);
    buf_yield(B, &more, 1);
    width = ir_region_arg(B->g, body, i64, SYM_NONE);
    B->b = ir_at_end(B->g, body, outer.span);
    TdlVal twice = buf_op2(B, OP_ADD, width, width);
    merge_pass(s, width, twice);
    buf_yield(B, &twice, 1);
    B->b = outer;
}

void buf_SORT(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVal x = d->operands[0];
    TdlType t = ir_type(B->f, x);
    uint32_t rank = ty_rank(B->m, t);
    uint32_t axis = (uint32_t)op_int(B->f, o, "axis", 0);
    if (!rank) { /* a scalar is sorted */
        buf_set(B, d->results[0], buf_get(B, x));
        buf_set(B, d->results[1], B->zero);
        return;
    }
    TdlDim n = ty_dims(B->m, t)[axis];
    Sort s = {.B = B, .out = buf_get(B, d->results[0]), .at = buf_get(B, d->results[1]), .rank = rank, .axis = axis,
              .descending = op_int(B->f, o, "descending", 0) != 0};
    s.tv = buf_alloc(B, ty_tensor(B->m, ty_elem(B->m, t), &n, 1));
    s.ti = buf_alloc(B, ty_tensor(B->m, EL_I64, &n, 1));
    s.idx = ARENA_ARRAY(B->a, TdlVal, rank);
    s.n = ir_dim(&B->b, n);
    BufFor *l = ARENA_ARRAY(B->a, BufFor, rank);
    for (uint32_t i = 0; i < rank; i++) {
        if (i == axis) continue;
        l[i] = buf_for(B, B->zero, ir_dim(&B->b, ty_dims(B->m, t)[i]), NULL, 0);
        s.idx[i] = l[i].index;
    }
    sort_line(&s, buf_get(B, x));
    for (uint32_t i = rank; i-- > 0;)
        if (i != axis) buf_for_end(B, &l[i], NULL, 0);
}
