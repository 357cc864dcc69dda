/* Sums of products over windows: convolutions, correlations.
 *
 *   map %n, %o, %i {(%a, %k, %l)
 *     reduce %c, %q {(%e, %t)                             correlate %x, %w {axes_a = [0, 3, 2], taps = [-1, -1, 4],
 *       index %x, %a, %e, %l + %t                     =>      steps = [1, 1, 1], dilations = [1, 1, 1],
 *       index %w, %k, %e, %t                                  axes_b = [1, 3, 4]} : f32[n, o, i]
 *
 * What: a factor some of whose indices are sums of one or two loops times constants from 1 on, beside one with whole axes;
 * nothing scales either.
 * Never where no loop of the result is of the other factor alone (a filter of one channel: each element is read for one
 * sum), where all that are have less than LEAST elements together, or all loops of the sum have.
 * The indices may be out of range for sizes that are known at run time alone: an assert tests the last ones, where there
 * are any. */
#include "passes/contractions.h"

#include <string.h>

enum { MOST = 1 << 20 /* of a coefficient */ };

/* ---- indices ---- */

/* v = sum of coefficient[l] * loop l; constants are at least 0, and end as 0. */
static bool affine(const Product *p, TdlVal v, int64_t times, int64_t *coefficient, int depth) {
    TdlDim d;
    int64_t c;
    for (uint32_t l = 0; l < p->nloops; l++)
        if (p->arg[l].id == v.id) return (coefficient[l] += times) <= MOST;
    if (ir_val_dim(p->f, v, &d)) return dim_is_const(p->m, d, &c) && c == 0;
    TdlOp def = ir_val(p->f, v)->def;
    if (!def.id || depth == 8) return false;
    const TdlVal *x = ir_op(p->f, def)->operands;
    switch ((int)ir_op(p->f, def)->code) {
    case OP_ADD: return affine(p, x[0], times, coefficient, depth + 1) && affine(p, x[1], times, coefficient, depth + 1);
    case OP_MUL:
        for (int k = 0; k < 2; k++) {
            if (!ir_val_dim(p->f, x[k], &d) || !dim_is_const(p->m, d, &c)) continue;
            return c >= 1 && c <= MOST && times * c <= MOST && affine(p, x[1 - k], times * c, coefficient, depth + 1);
        }
        return false;
    default: return false;
    }
}

static bool has(const Factor *x, int loop) {
    for (uint32_t i = 0; i < x->n; i++)
        if (x->loop[i] == loop || (x->windows && x->tap[i] == loop)) return true;
    return false;
}

/* One more axis, of `size` elements, at the sum: the loop of the result first, where there is one. */
static bool add_axis(const Product *p, Factor *x, const int64_t *coefficient, TdlDim size) {
    int loop[2] = {-1, -1};
    uint32_t n = 0, i = x->n;
    for (uint32_t l = 0; l < p->nloops; l++) {
        if (!coefficient[l]) continue;
        if (n == 2 || has(x, (int)l)) return false;
        loop[n++] = (int)l;
    }
    if (n == 0) return false;
    x->loop[i] = loop[0];
    x->tap[i] = loop[1];
    x->step[i] = coefficient[loop[0]];
    x->dilation[i] = n == 2 ? coefficient[loop[1]] : 1;
    x->n++;
    return n == 2 || x->step[i] != 1 || dim_eq(p->size[loop[0]], size);
}

bool window_of(const Product *p, TdlVal t, const TdlVal *idx, uint32_t n, Factor *x) {
    bool any = false;
    *x = (Factor){.tensor = t, .windows = true};
    for (uint32_t i = 0; i < n; i++) {
        int64_t coefficient[MAX_AXES] = {0};
        if (!affine(p, idx[i], 1, coefficient, 0) || !add_axis(p, x, coefficient, ty_dims(p->m, ir_type(p->f, t))[i])) return false;
        any |= x->tap[i] >= 0 || x->step[i] != 1;
    }
    return any;
}

/* ---- the contraction ---- */

/* Elements of the loops of the sum, or of those that the other factor alone has; -1: unknown, 0: there are none. */
static int64_t elements(const Product *p, const Factor *x, bool sum) {
    int64_t n = 0, size;
    for (uint32_t l = 0; l < p->nloops; l++) {
        if (sum ? l < p->nout : l >= p->nout || has(x, (int)l)) continue;
        if (!dim_is_const(p->m, p->size[l], &size)) return -1;
        n = !n ? size : size > MOST / n ? MOST : n * size;
    }
    return n;
}

static bool worth_it(const Product *p, const Factor *x, const Factor *w) {
    int64_t n[2] = {elements(p, x, false), elements(p, x, true)};
    for (int i = 0; i < 2; i++)
        if (n[i] >= 0 && n[i] < LEAST) return false;
    for (uint32_t l = 0; l < p->nloops; l++)
        if (l < p->nout ? !has(x, (int)l) && !has(w, (int)l) : !has(x, (int)l) || !has(w, (int)l)) return false;
    return true;
}

static void check(const Product *p, TdlVal ok, TdlVal value, TdlVal size, const char *kind, const char *msg) {
    TdlBuilder b = ir_before(p->f, p->outer);
    TdlOp o = ir_emit(&b, OP_ASSERT, (TdlVal[]){ok, value, size}, size.id ? 3 : 2, NULL, 0);
    op_set_str(p->f, o, "kind", kind, (uint32_t)strlen(kind));
    op_set_str(p->f, o, "msg", msg, (uint32_t)strlen(msg));
}

/* Of the axes of the result. */
static void check_extents(const Product *p) {
    TdlDim zero = dim_const(p->m, 0);
    for (uint32_t l = 0; l < p->nout; l++) {
        if (dim_known_ge(p->m, p->size[l], zero)) continue;
        TdlBuilder b = ir_before(p->f, p->outer);
        TdlVal size = ir_dim(&b, p->size[l]), ok = ir_binary(&b, OP_GE, size, ir_const_int(&b, EL_I64, 0));
        check(p, ok, size, (TdlVal){0}, "dim", "a tensor of negative size {}");
    }
}

/* Some loop has no elements. */
static TdlVal nothing(const Product *p, TdlBuilder *b) {
    TdlVal all = ir_const_int(b, EL_BOOL, 0), zero = ir_const_int(b, EL_I64, 0);
    for (uint32_t l = 0; l < p->nloops; l++)
        if (!dim_known_ge(p->m, p->size[l], dim_const(p->m, 1)))
            all = ir_binary(b, OP_OR, all, ir_binary(b, OP_LE, ir_dim(b, p->size[l]), zero));
    return all;
}

/* Of the last index of axis i. */
static void check_axis(const Product *p, const Factor *x, uint32_t i) {
    TdlModule *m = p->m;
    TdlDim one = dim_const(m, 1), size = ty_dims(m, ir_type(p->f, x->tensor))[i];
    TdlDim last = dim_mul(m, dim_sub(m, p->size[x->loop[i]], one), dim_const(m, x->step[i]));
    if (x->tap[i] >= 0) last = dim_add(m, last, dim_mul(m, dim_sub(m, p->size[x->tap[i]], one), dim_const(m, x->dilation[i])));
    if (dim_known_ge(m, size, dim_add(m, last, one))) return;
    TdlBuilder b = ir_before(p->f, p->outer);
    TdlVal at = ir_dim(&b, last), end = ir_dim(&b, size), ok = ir_binary(&b, OP_OR, nothing(p, &b), ir_binary(&b, OP_LT, at, end));
    check(p, ok, at, end, "index", arena_printf(m->arena, "index {} is out of range for axis %u of size {}", i));
}

static TdlVal emit(const Product *p, const Factor *x, const Factor *w) {
    int64_t lists[5][MAX_AXES];
    static const char *const keys[] = {"axes_a", "taps", "steps", "dilations", "axes_b"};
    for (uint32_t i = 0; i < x->n; i++) {
        lists[0][i] = x->loop[i];
        lists[1][i] = x->tap[i];
        lists[2][i] = x->step[i];
        lists[3][i] = x->dilation[i];
    }
    for (uint32_t i = 0; i < w->n; i++) lists[4][i] = w->loop[i];
    TdlType t = ty_tensor(p->m, ty_elem(p->m, ir_type(p->f, x->tensor)), p->size, p->nout);
    TdlBuilder b = ir_before(p->f, p->outer);
    TdlOp o = ir_emit(&b, OP_CORRELATE, (TdlVal[]){x->tensor, w->tensor}, 2, &t, 1);
    for (int k = 0; k < 5; k++) op_set_ints(p->f, o, keys[k], lists[k], k < 4 ? x->n : w->n);
    return ir_result(p->f, o, 0);
}

TdlVal window_contract(const Product *p, const Side *first, const Side *second) {
    const Factor *x = &first->of, *w = &second->of;
    if (!x->windows) x = &second->of, w = &first->of;
    if (first->n || second->n || w->windows || !worth_it(p, x, w)) return (TdlVal){0};
    check_extents(p);
    for (uint32_t i = 0; i < x->n; i++)
        if (x->tap[i] >= 0 || x->step[i] != 1) check_axis(p, x, i);
    return emit(p, x, w);
}
