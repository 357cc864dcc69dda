/* Rules of `correlate`, z = sum a b over windows of a (docs/ir.md), in terms of its loops: a loop is in z, a or b where an
 * axis of it goes with the loop.
 *
 *   bbar = sum over the loops of z that b has not: of a, in the same windows, times zbar.
 *   abar[u] = sum of zbar b over i, p with step*i + dilation*p = u. Where that is i = u - dilation*p, one of zbar and b is
 *             read at u - dilation*p, in windows again: it is put between zeros, and the other one is turned round. Else
 *             the products are made at every i, p and scattered.
 *
 * A 0 beside zbar or b meets an element of the other one: infinities of that become NaN at the edges of abar. */
#include "passes/adjoint.h"

enum { MAX_LOOPS = 64 };

typedef struct {
    Adj *a;
    TdlVal x, w, zbar;          /* a, b, cotangent of z */
    uint32_t nz;                /* loops of z: the first */
    const int64_t *axes, *taps, *steps, *dilations, *waxes;
    uint32_t nx, nw;            /* ranks of x and w */
    bool in_x[MAX_LOOPS], in_w[MAX_LOOPS];
    TdlDim size[MAX_LOOPS];
} Windows;

/* Another one: its operands, the loops of their axes, and the type of its result. */
typedef struct {
    TdlVal a, b;
    TdlType type;
    int64_t axes[MAX_LOOPS], taps[MAX_LOOPS], steps[MAX_LOOPS], dilations[MAX_LOOPS], baxes[MAX_LOOPS];
} Correlation;

static TdlVal emit(Adj *a, const Correlation *c) {
    TdlVal z = adj_emit(a, OP_CORRELATE, (TdlVal[]){c->a, c->b}, 2, c->type);
    uint32_t n = ty_rank(a->m, adj_type(a, c->a));
    const struct { const char *key; const int64_t *list; } lists[] = {
        {"axes_a", c->axes}, {"taps", c->taps}, {"steps", c->steps}, {"dilations", c->dilations}};
    for (int i = 0; i < 4; i++) op_set_ints(a->f, adj_def(a, z), lists[i].key, lists[i].list, n);
    op_set_ints(a->f, adj_def(a, z), "axes_b", c->baxes, ty_rank(a->m, adj_type(a, c->b)));
    return z;
}

static TdlType like(const Windows *p, const TdlDim *dims, uint32_t n) {
    return ty_tensor(p->a->m, ty_elem(p->a->m, adj_type(p->a, p->x)), dims, n);
}

static Windows windows_of(Adj *a, TdlOp o, TdlVal zbar) {
    Windows p = {.a = a, .x = adj_arg(a, o, 0), .w = adj_arg(a, o, 1), .zbar = zbar};
    TdlType tx = adj_type(a, p.x), tw = adj_type(a, p.w), tz = adj_type(a, adj_res(a, o, 0));
    p.nz = ty_rank(a->m, tz);
    p.nx = ty_rank(a->m, tx);
    p.nw = ty_rank(a->m, tw);
    p.axes = op_attr(a->f, o, "axes_a")->ints;
    p.taps = op_attr(a->f, o, "taps")->ints;
    p.steps = op_attr(a->f, o, "steps")->ints;
    p.dilations = op_attr(a->f, o, "dilations")->ints;
    p.waxes = op_attr(a->f, o, "axes_b")->ints;
    for (uint32_t i = 0; i < p.nz; i++) p.size[i] = ty_dims(a->m, tz)[i];
    for (uint32_t i = 0; i < p.nw; i++) p.in_w[p.waxes[i]] = true, p.size[p.waxes[i]] = ty_dims(a->m, tw)[i];
    for (uint32_t i = 0; i < p.nx; i++) {
        p.in_x[p.axes[i]] = true;
        if (p.taps[i] >= 0) p.in_x[p.taps[i]] = true;
    }
    return p;
}

/* ---- b ---- */

/* The result has the loops that a has, too, in front, and is brought into the order of b. */
static void reverse_second(const Windows *p) {
    Adj *a = p->a;
    Correlation c = {.a = p->x, .b = p->zbar};
    int64_t number[MAX_LOOPS], perm[MAX_LOOPS];
    TdlDim dims[MAX_LOOPS], turned[MAX_LOOPS];
    uint32_t n = 0;
    bool same = true;
    for (int pass = 0; pass < 3; pass++) /* in all three, in a, in zbar alone */
        for (uint32_t i = 0; i < p->nw; i++) {
            int64_t l = p->waxes[i];
            if ((!p->in_x[l] ? 2 : l >= p->nz) != pass) continue;
            number[l] = n;
            perm[i] = n;
            dims[n++] = p->size[l];
        }
    for (uint32_t l = 0, sum = n; l < p->nz; l++)
        if (!p->in_w[l]) number[l] = sum++;
    for (uint32_t i = 0; i < p->nx; i++) {
        c.axes[i] = number[p->axes[i]];
        c.taps[i] = p->taps[i] < 0 ? -1 : number[p->taps[i]];
        c.steps[i] = p->steps[i];
        c.dilations[i] = p->dilations[i];
    }
    for (uint32_t l = 0; l < p->nz; l++) c.baxes[l] = number[l];
    c.type = like(p, dims, n);
    TdlVal z = emit(a, &c);
    for (uint32_t i = 0; i < n; i++) turned[i] = dims[perm[i]], same &= perm[i] == (int64_t)i;
    if (!same) {
        z = adj_emit(a, OP_PERMUTE, &z, 1, like(p, turned, n));
        op_set_ints(a->f, adj_def(a, z), "perm", perm, n);
    }
    adj_add(a, p->w, z);
}

/* ---- a, by windows ---- */

static bool slides(const Windows *p, uint32_t i) { return p->taps[i] >= 0 || p->steps[i] != 1; }

/* Windows of axis i lie inside it, or there are some, which were checked; of none they may be longer than it. */
static bool fits(const Windows *p, uint32_t i, int64_t at, int64_t tap, int64_t by) {
    TdlModule *m = p->a->m;
    TdlDim reach = dim_mul(m, dim_sub(m, p->size[tap], dim_const(m, 1)), dim_const(m, by));
    return dim_known_ge(m, p->size[at], dim_const(m, 1)) ||
           dim_known_ge(m, ty_dims(m, adj_type(p->a, p->x))[i], dim_add(m, p->size[at], reach));
}

/* Axis i of a has the loops *at + *by * *tap, where *at is of the carrier (zbar, else b) and *tap of the other alone. */
static bool gathers(const Windows *p, uint32_t i, bool zbar, int64_t *at, int64_t *tap, int64_t *by) {
    for (int k = 0; k < 2 && p->taps[i] >= 0; k++) {
        *at = k ? p->taps[i] : p->axes[i];
        *tap = k ? p->axes[i] : p->taps[i];
        *by = k ? p->steps[i] : p->dilations[i];
        bool of_z = *at < p->nz && !p->in_w[*at] && *tap >= p->nz, of_w = *at >= p->nz && *tap < p->nz && !p->in_w[*tap];
        if ((k ? p->dilations[i] : p->steps[i]) == 1 && (zbar ? of_z : of_w))
            return dim_known_ge(p->a->m, p->size[*tap], dim_const(p->a->m, 1)) && fits(p, i, *at, *tap, *by);
    }
    return false;
}

static bool all_gather(const Windows *p, bool zbar) {
    int64_t at, tap, by;
    for (uint32_t i = 0; i < p->nx; i++)
        if (slides(p, i) && !gathers(p, i, zbar, &at, &tap, &by)) return false;
    return true;
}

/* v with zeros[i] of them on both sides of axis i. */
static TdlVal between_zeros(const Windows *p, TdlVal v, const TdlDim *zeros) {
    Adj *a = p->a;
    TdlVal ops[MAX_LOOPS + 2];
    TdlDim dims[MAX_LOOPS];
    int64_t steps[MAX_LOOPS];
    uint32_t n = ty_rank(a->m, adj_type(a, v));
    for (uint32_t i = 0; i < n; i++) {
        dims[i] = dim_add(a->m, ty_dims(a->m, adj_type(a, v))[i], dim_mul(a->m, zeros[i], dim_const(a->m, 2)));
        ops[i + 2] = ir_dim(adj_b(a), zeros[i]);
        steps[i] = 1;
    }
    ops[0] = adj_zero(a, like(p, dims, n));
    ops[1] = v;
    TdlVal z = adj_emit(a, OP_UPSLICE, ops, n + 2, like(p, dims, n));
    op_set_ints(a->f, adj_def(a, z), "steps", steps, n);
    return z;
}

static TdlVal turned_round(const Windows *p, TdlVal v, const bool *axis) {
    Adj *a = p->a;
    TdlVal ops[MAX_LOOPS + 1] = {v};
    int64_t steps[MAX_LOOPS];
    TdlType t = adj_type(a, v);
    uint32_t n = ty_rank(a->m, t);
    for (uint32_t i = 0; i < n; i++) {
        TdlDim last = dim_sub(a->m, ty_dims(a->m, t)[i], dim_const(a->m, 1));
        ops[i + 1] = axis[i] ? ir_dim(adj_b(a), last) : adj_cint(a, 0);
        steps[i] = axis[i] ? -1 : 1;
    }
    TdlVal z = adj_emit(a, OP_SLICE, ops, n + 1, t);
    op_set_ints(a->f, adj_def(a, z), "steps", steps, n);
    return z;
}

/* part, the beginning of all axes of a's cotangent, which has zeros behind. */
static TdlVal completed(const Windows *p, TdlVal part) {
    Adj *a = p->a;
    TdlType t = adj_type(a, p->x);
    TdlVal ops[MAX_LOOPS + 2];
    int64_t steps[MAX_LOOPS];
    if (ty_eq(adj_type(a, part), t)) return part;
    ops[0] = adj_zero(a, t);
    ops[1] = part;
    for (uint32_t i = 0; i < p->nx; i++) ops[i + 2] = adj_cint(a, 0), steps[i] = 1;
    TdlVal z = adj_emit(a, OP_UPSLICE, ops, p->nx + 2, t);
    op_set_ints(a->f, adj_def(a, z), "steps", steps, p->nx);
    a->unread = true;
    return z;
}

static void gather(const Windows *p, bool zbar) {
    Adj *a = p->a;
    Correlation c = {.steps = {0}};
    TdlVal carrier = zbar ? p->zbar : p->w, other = zbar ? p->w : p->zbar;
    TdlDim dims[MAX_LOOPS], zeros[MAX_LOOPS], none = dim_const(a->m, 0), one = dim_const(a->m, 1);
    int64_t number[MAX_LOOPS], tap_of[MAX_LOOPS], dilation[MAX_LOOPS];
    bool turn[MAX_LOOPS] = {0};
    for (uint32_t l = 0; l < MAX_LOOPS; l++) number[l] = tap_of[l] = -1, dilation[l] = 1;
    for (uint32_t i = 0; i < p->nx; i++) {
        int64_t at = p->axes[i], tap = -1, by = 1;
        dims[i] = p->size[at];
        if (slides(p, i)) {
            gathers(p, i, zbar, &at, &tap, &by);
            tap_of[at] = tap;
            dilation[at] = by;
            dims[i] = dim_add(a->m, p->size[at], dim_mul(a->m, dim_sub(a->m, p->size[tap], one), dim_const(a->m, by)));
            a->unread |= by > 1;
        }
        number[at] = i;
    }
    uint32_t ncarrier = ty_rank(a->m, adj_type(a, carrier)), nother = ty_rank(a->m, adj_type(a, other)), sum = p->nx;
    for (uint32_t i = 0; i < nother; i++) {
        int64_t l = zbar ? p->waxes[i] : i;
        if (number[l] < 0) number[l] = sum++;
        c.baxes[i] = number[l];
    }
    for (uint32_t i = 0; i < ncarrier; i++) {
        int64_t l = zbar ? i : p->waxes[i], tap = tap_of[l];
        c.axes[i] = number[l];
        c.taps[i] = tap < 0 ? -1 : number[tap];
        c.steps[i] = 1;
        c.dilations[i] = dilation[l];
        zeros[i] = tap < 0 ? none : dim_mul(a->m, dim_sub(a->m, p->size[tap], one), dim_const(a->m, dilation[l]));
        for (uint32_t k = 0; k < nother && tap >= 0; k++) turn[k] |= (zbar ? p->waxes[k] : (int64_t)k) == tap;
    }
    c.a = between_zeros(p, carrier, zeros);
    c.b = turned_round(p, other, turn);
    c.type = like(p, dims, p->nx);
    adj_add(a, p->x, completed(p, emit(a, &c)));
}

/* ---- a, by scattering ---- */

/* zbar b at every index of the loops that a has; loop[k]: the loop of axis k of the result. */
static TdlVal products(const Windows *p, int64_t *loop) {
    Adj *a = p->a;
    int64_t batch[2][MAX_LOOPS], sum[2][MAX_LOOPS];
    TdlDim dims[MAX_LOOPS];
    uint32_t nbatch = 0, nsum = 0, n = 0;
    for (uint32_t i = 0; i < p->nw; i++) {
        int64_t l = p->waxes[i];
        if (l >= p->nz) continue;
        uint32_t *k = p->in_x[l] ? &nbatch : &nsum;
        int64_t (*lists)[MAX_LOOPS] = p->in_x[l] ? batch : sum;
        if (p->in_x[l]) loop[n++] = l;
        lists[0][*k] = l;
        lists[1][(*k)++] = i;
    }
    for (uint32_t l = 0; l < p->nz; l++)
        if (!p->in_w[l]) loop[n++] = l;
    for (uint32_t i = 0; i < p->nw; i++)
        if (p->waxes[i] >= p->nz) loop[n++] = p->waxes[i];
    for (uint32_t i = 0; i < n; i++) dims[i] = p->size[loop[i]];
    TdlVal z = adj_emit(a, OP_DOT, (TdlVal[]){p->zbar, p->w}, 2, like(p, dims, n));
    op_set_ints(a->f, adj_def(a, z), "batch_a", batch[0], nbatch);
    op_set_ints(a->f, adj_def(a, z), "batch_b", batch[1], nbatch);
    op_set_ints(a->f, adj_def(a, z), "contract_a", sum[0], nsum);
    op_set_ints(a->f, adj_def(a, z), "contract_b", sum[1], nsum);
    return z;
}

static void scatter(const Windows *p) {
    Adj *a = p->a;
    int64_t loop[MAX_LOOPS];
    TdlVal idx[MAX_LOOPS], at[MAX_LOOPS], to[MAX_LOOPS + 2], z = products(p, loop);
    uint32_t n = ty_rank(a->m, adj_type(a, z));
    AdjScatter s;
    if (!adj_scatter_open(a, p->x, &s)) return;
    TdlBuilder saved = adj_each_open(a, adj_type(a, z), idx);
    for (uint32_t k = 0; k < n; k++) at[loop[k]] = idx[k];
    to[0] = s.acc;
    to[1] = ir_index(adj_b(a), z, idx, n);
    for (uint32_t i = 0; i < p->nx; i++) {
        to[i + 2] = p->steps[i] == 1 ? at[p->axes[i]] : adj_op2(a, OP_MUL, at[p->axes[i]], adj_cint(a, p->steps[i]));
        if (p->taps[i] < 0) continue;
        TdlVal tap = p->dilations[i] == 1 ? at[p->taps[i]] : adj_op2(a, OP_MUL, at[p->taps[i]], adj_cint(a, p->dilations[i]));
        to[i + 2] = adj_op2(a, OP_ADD, to[i + 2], tap);
    }
    TdlOp add = ir_emit(adj_b(a), OP_ACCADD, to, p->nx + 2, NULL, 0);
    op_set_int(a->f, add, "inbounds", 1);
    adj_each_close(a, saved);
    adj_scatter_close(a, &s);
}

/* ---- the rules ---- */

void adj_CORRELATE(Adj *a, TdlOp o, const TdlVal *zbar) {
    Windows p = windows_of(a, o, zbar[0]);
    if (adj_active(a, p.w)) reverse_second(&p);
    if (!adj_active(a, p.x)) return;
    if (all_gather(&p, true)) gather(&p, true);
    else if (all_gather(&p, false)) gather(&p, false);
    else scatter(&p);
}

void tan_CORRELATE(Adj *a, TdlOp o, const TdlVal *dot) { adj_tangent_of_product(a, o, dot); }

void adj_tangent_of_product(Adj *a, TdlOp o, const TdlVal *dot) {
    TdlVal z = adj_res(a, o, 0), sum = {0};
    for (uint32_t i = 0; i < 2; i++) {
        if (!dot[i].id) continue;
        TdlVal ops[2] = {adj_arg(a, o, 0), adj_arg(a, o, 1)};
        ops[i] = dot[i];
        TdlVal part = adj_emit(a, ir_op(a->f, o)->code, ops, 2, adj_type(a, z));
        for (uint16_t k = 0; k < ir_op(a->f, o)->nattrs; k++) {
            const TdlAttr *at = &ir_op(a->f, o)->attrs[k];
            if (at->kind == ATTR_INTS) op_set_ints(a->f, adj_def(a, part), sym_text(a->m->names, at->key), at->ints, at->n);
        }
        sum = sum.id ? adj_op2(a, OP_ADD, sum, part) : part;
    }
    adj_set_cot(a, z, sum);
}
