/* Whole-tensor operations: each is a loop over the result (or the operand) with the index arithmetic of its definition. */
#include "eval.h"
#include <math.h>
#include <stdlib.h>

static bool has(const TdlAttr *a, uint32_t axis) {
    for (uint32_t i = 0; i < a->n; i++)
        if (a->ints[i] == (int64_t)axis) return true;
    return false;
}

static void unravel(const EvVal *v, int64_t k, int64_t *idx) {
    for (uint32_t i = v->rank; i-- > 0;) idx[i] = k % v->dims[i], k /= v->dims[i];
}

static int64_t at(EvCall *c, const EvVal *v, const int64_t *idx) {
    int64_t len;
    return ev_offset(c, v, idx, v->rank, &len);
}

static int64_t *indices(EvCall *c, uint32_t n) { return ARENA_ARRAY(c->arena, int64_t, n); }

static void op_broadcast(EvCall *c, TdlOp o, EvVal *z) {
    const EvVal *x = ev_in(c, o, 0);
    const TdlAttr *axes = op_attr(c->f, o, "axes");
    int64_t *iz = indices(c, z->rank), *ix = indices(c, x->rank);
    for (int64_t k = 0; k < z->n; k++) {
        unravel(z, k, iz);
        for (uint32_t i = 0; i < x->rank; i++) ix[i] = x->dims[i] == 1 ? 0 : iz[axes->ints[i]];
        ev_move(z, k, x, at(c, x, ix), 1);
    }
}

static void op_permute(EvCall *c, TdlOp o, EvVal *z) {
    const EvVal *x = ev_in(c, o, 0);
    const TdlAttr *perm = op_attr(c->f, o, "perm");
    int64_t *iz = indices(c, z->rank), *ix = indices(c, z->rank);
    for (int64_t k = 0; k < z->n; k++) {
        unravel(z, k, iz);
        for (uint32_t i = 0; i < z->rank; i++) ix[perm->ints[i]] = iz[i];
        ev_move(z, k, x, at(c, x, ix), 1);
    }
}

/* slice: z = part of x; upslice: z, a copy of x, with v at the part. */
static void op_slice(EvCall *c, TdlOp o, EvVal *z, const EvVal *part, uint32_t first, bool write) {
    const TdlAttr *steps = op_attr(c->f, o, "steps");
    const EvVal *whole = write ? z : ev_in(c, o, 0);
    int64_t *i = indices(c, z->rank);
    for (int64_t k = 0; k < part->n && !c->why; k++) {
        unravel(part, k, i);
        for (uint32_t d = 0; d < z->rank; d++) i[d] = ev_in(c, o, first + d)->i[0] + i[d] * steps->ints[d];
        int64_t w = at(c, whole, i);
        if (write) ev_move(z, w, part, k, 1);
        else ev_move(z, k, whole, w, 1);
    }
}

static void op_concat(EvCall *c, TdlOp o, EvVal *z) {
    int64_t axis = op_int(c->f, o, "axis", 0), start = 0, *i = indices(c, z->rank);
    for (uint32_t p = 0; p < ir_op(c->f, o)->noperands; p++) {
        const EvVal *x = ev_in(c, o, p);
        for (int64_t k = 0; k < x->n; k++) {
            unravel(x, k, i);
            i[axis] += start;
            ev_move(z, at(c, z, i), x, k, 1);
        }
        start += x->dims[axis];
    }
}

static void op_iota(EvCall *c, TdlOp o, EvVal *z) {
    int64_t *i = indices(c, z->rank), axis = op_int(c->f, o, "axis", 0);
    for (int64_t k = 0; k < z->n; k++) {
        unravel(z, k, i);
        if (z->f) z->f[k] = ev_round(z->elem, (double)i[axis]);
        else z->i[k] = i[axis];
    }
}

static void op_gather(EvCall *c, TdlOp o, EvVal *z) {
    const EvVal *x = ev_in(c, o, 0), *idx = ev_in(c, o, 1);
    int64_t *i = indices(c, z->rank), axis = op_int(c->f, o, "axis", 0);
    for (int64_t k = 0; k < z->n && !c->why; k++) {
        unravel(z, k, i);
        i[axis] = idx->i[k];
        ev_move(z, k, x, at(c, x, i), 1);
    }
}

static void op_take(EvCall *c, TdlOp o, EvVal *z) {
    const EvVal *x = ev_in(c, o, 0), *idx = ev_in(c, o, 1);
    int64_t *iz = indices(c, z->rank), *ix = indices(c, x->rank), axis = op_int(c->f, o, "axis", 0);
    for (int64_t k = 0; k < z->n && !c->why; k++) {
        unravel(z, k, iz);
        for (int64_t d = 0; d < x->rank; d++)
            ix[d] = d < axis ? iz[d] : d == axis ? idx->i[at(c, idx, iz + axis)] : iz[d + idx->rank - 1];
        ev_move(z, k, x, at(c, x, ix), 1);
    }
}

static void op_scatter_add(EvCall *c, TdlOp o, EvVal *z) {
    const EvVal *idx = ev_in(c, o, 1), *v = ev_in(c, o, 2);
    int64_t *i = indices(c, z->rank), axis = op_int(c->f, o, "axis", 0);
    for (int64_t k = 0; k < v->n && !c->why; k++) {
        unravel(v, k, i);
        i[axis] = idx->i[k];
        int64_t w = at(c, z, i);
        if (c->why) return;
        if (z->f) z->f[w] = ev_round(z->elem, z->f[w] + v->f[k]);
        else z->i[w] += v->i[k];
    }
}

static void op_cumsum(EvCall *c, TdlOp o, EvVal *z) {
    int64_t *i = indices(c, z->rank), axis = op_int(c->f, o, "axis", 0);
    bool reverse = op_int(c->f, o, "reverse", 0) != 0;
    for (int64_t k = 0; z->f && k < z->n; k++) z->f[k] += 0.0; /* it starts from +0: no partial sum is -0 */
    for (int64_t step = 1; z->n && step < z->dims[axis]; step++) {
        int64_t to = reverse ? z->dims[axis] - 1 - step : step;
        for (int64_t k = 0; k < z->n; k++) {
            unravel(z, k, i);
            if (i[axis] != to) continue;
            i[axis] = reverse ? to + 1 : to - 1;
            if (z->f) z->f[k] = ev_round(z->elem, z->f[k] + z->f[at(c, z, i)]);
            else z->i[k] += z->i[at(c, z, i)];
        }
    }
}

static bool less(const EvVal *x, int64_t a, int64_t b) { /* NaN is the largest */
    if (!x->f) return x->i[a] < x->i[b];
    return isnan(x->f[b]) ? !isnan(x->f[a]) : x->f[a] < x->f[b];
}

/* Stable insertion sort along the axis: the rank of an element is how many come before it. */
static void op_sort(EvCall *c, TdlOp o) {
    const EvVal *x = ev_in(c, o, 0);
    EvVal z = ev_copy(c, x), w = ev_make(c->arena, EL_I64, x->dims, x->rank);
    int64_t *i = indices(c, x->rank), axis = op_int(c->f, o, "axis", 0);
    bool down = op_int(c->f, o, "descending", 0) != 0;
    for (int64_t k = 0; k < x->n; k++) {
        unravel(x, k, i);
        int64_t me = i[axis], before = 0;
        for (int64_t j = 0; j < x->dims[axis]; j++) {
            i[axis] = j;
            int64_t q = at(c, x, i);
            bool first = down ? less(x, k, q) : less(x, q, k), tie = !less(x, k, q) && !less(x, q, k);
            before += first || (tie && j < me);
        }
        i[axis] = before;
        ev_move(&z, at(c, x, i), x, k, 1);
        w.i[at(c, x, i)] = me;
    }
    *ev_out(c, o, 0) = z;
    *ev_out(c, o, 1) = w;
}

static void op_dot(EvCall *c, TdlOp o, EvVal *z) {
    const EvVal *x = ev_in(c, o, 0), *y = ev_in(c, o, 1);
    const TdlAttr *ba = op_attr(c->f, o, "batch_a"), *bb = op_attr(c->f, o, "batch_b");
    const TdlAttr *ca = op_attr(c->f, o, "contract_a"), *cb = op_attr(c->f, o, "contract_b");
    int64_t *iz = indices(c, z->rank), *ix = indices(c, x->rank), *iy = indices(c, y->rank), total = 1;
    for (uint32_t i = 0; i < ca->n; i++) total *= x->dims[ca->ints[i]];
    for (int64_t k = 0; k < z->n; k++) {
        unravel(z, k, iz);
        uint32_t f = ba->n;
        for (uint32_t i = 0; i < ba->n; i++) ix[ba->ints[i]] = iy[bb->ints[i]] = iz[i];
        for (uint32_t i = 0; i < x->rank; i++)
            if (!has(ba, i) && !has(ca, i)) ix[i] = iz[f++];
        for (uint32_t i = 0; i < y->rank; i++)
            if (!has(bb, i) && !has(cb, i)) iy[i] = iz[f++];
        for (int64_t s = 0; s < total; s++) {
            int64_t rest = s;
            for (uint32_t i = ca->n; i-- > 0;) {
                int64_t d = x->dims[ca->ints[i]];
                ix[ca->ints[i]] = iy[cb->ints[i]] = rest % d;
                rest /= d;
            }
            if (z->f) z->f[k] += x->f[at(c, x, ix)] * y->f[at(c, y, iy)];
            else z->i[k] += x->i[at(c, x, ix)] * y->i[at(c, y, iy)];
        }
        if (z->f) z->f[k] = ev_round(z->elem, z->f[k]);
    }
}

/* The sum over the loops behind those of the result, each of the size that its axis of b has. */
static void op_correlate(EvCall *c, TdlOp o, EvVal *z) {
    const EvVal *x = ev_in(c, o, 0), *y = ev_in(c, o, 1);
    const TdlAttr *ax = op_attr(c->f, o, "axes_a"), *ay = op_attr(c->f, o, "axes_b"), *taps = op_attr(c->f, o, "taps");
    const TdlAttr *steps = op_attr(c->f, o, "steps"), *dilations = op_attr(c->f, o, "dilations");
    int64_t *loop = indices(c, 64), *ix = indices(c, x->rank), *iy = indices(c, y->rank), total = 1;
    for (uint32_t i = 0; i < y->rank; i++)
        if (ay->ints[i] >= (int64_t)z->rank) total *= y->dims[i];
    for (int64_t k = 0; k < z->n; k++) {
        unravel(z, k, loop);
        for (int64_t s = 0; s < total && !c->why; s++) {
            int64_t rest = s;
            for (uint32_t i = y->rank; i-- > 0;)
                if (ay->ints[i] >= (int64_t)z->rank) loop[ay->ints[i]] = rest % y->dims[i], rest /= y->dims[i];
            for (uint32_t i = 0; i < y->rank; i++) iy[i] = loop[ay->ints[i]];
            for (uint32_t i = 0; i < x->rank; i++) {
                ix[i] = loop[ax->ints[i]] * steps->ints[i];
                if (taps->ints[i] >= 0) ix[i] += loop[taps->ints[i]] * dilations->ints[i];
            }
            z->f[k] += x->f[at(c, x, ix)] * y->f[at(c, y, iy)];
        }
        z->f[k] = ev_round(z->elem, z->f[k]);
    }
}

/* One more element into the running reduction. */
static void reduce_step(TdlOpcode code, EvVal *z, int64_t k, const EvVal *x, int64_t e, EvVal *best, int64_t pos, bool first) {
    bool max = code == OP_AMAX || code == OP_ARGMAX;
    if (code == OP_SUM || code == OP_PROD) {
        if (z->f) z->f[k] = ev_round(z->elem, code == OP_SUM ? z->f[k] + x->f[e] : z->f[k] * x->f[e]);
        else z->i[k] = code == OP_SUM ? z->i[k] + x->i[e] : z->i[k] * x->i[e];
    } else if (code == OP_ANY) {
        z->i[k] |= x->i[e];
    } else if (code == OP_ALL) {
        z->i[k] &= x->i[e];
    } else {
        bool take = first;
        if (!take && x->f) take = ev_beats(x->f[e], best->f[k], max, code == OP_AMAX || code == OP_AMIN);
        else if (!take) take = max ? x->i[e] > best->i[k] : x->i[e] < best->i[k];
        if (!take) return;
        ev_move(best, k, x, e, 1);
        if (code == OP_ARGMAX || code == OP_ARGMIN) z->i[k] = pos;
        else ev_move(z, k, x, e, 1);
    }
}

static void op_reduced(EvCall *c, TdlOp o, EvVal *z) {
    TdlOpcode code = ir_op(c->f, o)->code;
    const EvVal *x = ev_in(c, o, 0);
    const TdlAttr *axes = op_attr(c->f, o, "axes");
    EvVal best = ev_make(c->arena, x->elem, z->dims, z->rank);
    bool *seen = ARENA_ARRAY(c->arena, bool, z->n);
    int64_t *ix = indices(c, x->rank), *iz = indices(c, z->rank);
    for (int64_t k = 0; k < z->n && (code == OP_PROD || code == OP_ALL); k++) {
        if (z->f) z->f[k] = 1;
        else z->i[k] = 1;
    }
    for (int64_t e = 0; e < x->n; e++) {
        unravel(x, e, ix);
        uint32_t r = 0;
        for (uint32_t i = 0; i < x->rank; i++)
            if (!has(axes, i)) iz[r++] = ix[i];
        int64_t k = at(c, z, iz);
        reduce_step(code, z, k, x, e, &best, axes->n ? ix[axes->ints[0]] : 0, !seen[k]);
        seen[k] = true;
    }
    for (int64_t k = 0; k < z->n; k++)
        if (!seen[k] && z->f && op_int(c->f, o, "empty", 0)) z->f[k] = code == OP_AMAX ? -INFINITY : INFINITY;
        else if (!seen[k] && code != OP_SUM && code != OP_PROD && code != OP_ANY && code != OP_ALL)
            ev_fail(c, "%s over nothing", op_info(code)->name);
}

void ev_tensor_op(EvCall *c, TdlOp o) {
    TdlOpcode code = ir_op(c->f, o)->code;
    if (code == OP_SORT) {
        op_sort(c, o);
        return;
    }
    EvVal z = ev_tensor(c, ir_type(c->f, ir_op(c->f, o)->results[0]));
    const EvVal *x = ir_op(c->f, o)->noperands ? ev_in(c, o, 0) : &z;
    if (code == OP_UPSLICE || code == OP_SCATTERADD || code == OP_CUMSUM) z = ev_copy(c, x);
    switch (code) {
    case OP_BROADCAST: op_broadcast(c, o, &z); break;
    case OP_RESHAPE:
        if (z.n != x->n) ev_fail(c, "reshape: sizes differ");
        else ev_move(&z, 0, x, 0, z.n);
        break;
    case OP_PERMUTE: op_permute(c, o, &z); break;
    case OP_SLICE: op_slice(c, o, &z, &z, 1, false); break;
    case OP_UPSLICE: op_slice(c, o, &z, ev_in(c, o, 1), 2, true); break;
    case OP_CONCAT: op_concat(c, o, &z); break;
    case OP_STACK:
        for (uint32_t i = 0; i < ir_op(c->f, o)->noperands; i++) ev_move(&z, i * x->n, ev_in(c, o, i), 0, x->n);
        break;
    case OP_IOTA: op_iota(c, o, &z); break;
    case OP_GATHER: op_gather(c, o, &z); break;
    case OP_TAKE: op_take(c, o, &z); break;
    case OP_SCATTERADD: op_scatter_add(c, o, &z); break;
    case OP_CUMSUM: op_cumsum(c, o, &z); break;
    case OP_DOT: op_dot(c, o, &z); break;
    case OP_CORRELATE: op_correlate(c, o, &z); break;
    case OP_SUM: case OP_PROD: case OP_AMAX: case OP_AMIN: case OP_ARGMAX: case OP_ARGMIN: case OP_ANY: case OP_ALL:
        op_reduced(c, o, &z);
        break;
    default: ev_fail(c, "not evaluated: %s", op_info(code)->name);
    }
    *ev_out(c, o, 0) = z;
}
