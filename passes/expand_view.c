/* expand: views by index arithmetic. Each result element reads one operand element; what differs is which. */
#include "passes/expand.h"

#include <string.h>

static bool is_one(const TdlModule *m, TdlDim d) {
    int64_t c;
    return dim_is_const(m, d, &c) && c == 1;
}

static ExpandNest map_like(ExpandCtx *c, TdlBuilder *b, TdlType t) {
    return ex_map(c, b, ty_dims(c->m, t), ty_rank(c->m, t), ty_elem(c->m, t));
}

/* r[i] = x[i[axes[0]], i[axes[1]], ...], with 0 where a literal 1 of x is stretched. */
TdlVal expand_BROADCAST(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlFunc *f = c->f;
    TdlVal x = ir_op(f, o)->operands[0];
    TdlType from = ir_type(f, x);
    uint32_t rank = ty_rank(c->m, from), naxes;
    const int64_t *axes = ex_ints(f, o, "axes", &naxes);
    ExpandNest map = map_like(c, b, ir_type(f, ir_result(f, o, 0)));
    TdlVal *idx = ARENA_ARRAY(c->scratch, TdlVal, rank);
    for (uint32_t i = 0; i < rank; i++)
        idx[i] = is_one(c->m, ty_dims(c->m, from)[i]) ? ir_const_int(&map.in, EL_I64, 0) : map.idx[axes[i]];
    return ex_close(&map, ex_index(&map.in, x, idx, rank, true));
}

/* r[i] = x[j] with j[perm[a]] = i[a]. */
TdlVal expand_PERMUTE(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlFunc *f = c->f;
    uint32_t n;
    const int64_t *perm = ex_ints(f, o, "perm", &n);
    ExpandNest map = map_like(c, b, ir_type(f, ir_result(f, o, 0)));
    TdlVal *idx = ARENA_ARRAY(c->scratch, TdlVal, n);
    for (uint32_t i = 0; i < n; i++) idx[perm[i]] = map.idx[i];
    return ex_close(&map, ex_index(&map.in, ir_op(f, o)->operands[0], idx, n, true));
}

/* ---- reshape ---- */

/* The axes of both sides without literal ones, and the least groups of consecutive axes with provably equal sizes:
 * only within a group are flat indices taken apart. */
typedef struct { uint32_t from; TdlDim d; } Axis; /* axis number and its size */
typedef struct { Axis *p; uint32_t n; } Axes;

static Axes real_axes(ExpandCtx *c, TdlType t) {
    Axes a = {ARENA_ARRAY(c->scratch, Axis, ty_rank(c->m, t)), 0};
    for (uint32_t i = 0; i < ty_rank(c->m, t); i++)
        if (!is_one(c->m, ty_dims(c->m, t)[i])) a.p[a.n++] = (Axis){.from = i, .d = ty_dims(c->m, t)[i]};
    return a;
}

static TdlDim product(TdlModule *m, const Axis *a, uint32_t n) {
    TdlDim d = dim_const(m, 1);
    for (uint32_t i = 0; i < n; i++) d = dim_mul(m, d, a[i].d);
    return d;
}

/* Sizes (*px, *pr) of the least group at the front of x and r with equal products; everything when there is none. */
static void next_group(TdlModule *m, Axes x, Axes r, uint32_t *px, uint32_t *pr) {
    for (uint32_t total = 2; total <= x.n + r.n; total++)
        for (uint32_t i = 1; i < total; i++) {
            uint32_t j = total - i;
            if (i > x.n || j > r.n || !dim_eq(product(m, x.p, i), product(m, r.p, j))) continue;
            *px = i, *pr = j;
            return;
        }
    *px = x.n, *pr = r.n;
}

/* Indices of x's group from those of r's: flat = sum i_k * stride_k, then divided by x's strides in turn. */
static void split_group(ExpandNest *map, const Axis *x, uint32_t nx, const Axis *r, uint32_t nr, TdlVal *idx) {
    TdlBuilder *in = &map->in;
    TdlModule *m = in->f->module;
    if (nx == 1 && nr == 1) {
        idx[x[0].from] = map->idx[r[0].from];
        return;
    }
    TdlVal flat = ir_const_int(in, EL_I64, 0);
    for (uint32_t k = 0; k < nr; k++) {
        TdlVal stride = ir_dim(in, product(m, r + k + 1, nr - k - 1));
        flat = ex_add(in, flat, ex_mul(in, map->idx[r[k].from], stride));
    }
    for (uint32_t k = nx; k-- > 0;) {
        if (k == 0) {
            idx[x[k].from] = flat;
            return;
        }
        TdlVal size = ir_dim(in, x[k].d);
        idx[x[k].from] = ir_binary(in, OP_MOD, flat, size);
        flat = ir_binary(in, OP_FLOORDIV, flat, size);
    }
}

/* Same elements in row-major order. Axes that stay keep their index; sizes that cannot be proved equal are compared
 * when the operation is reached. */
TdlVal expand_RESHAPE(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlFunc *f = c->f;
    TdlModule *m = c->m;
    TdlVal x = ir_op(f, o)->operands[0];
    TdlType from = ir_type(f, x), to = ir_type(f, ir_result(f, o, 0));
    TdlDim nx = ty_numel(m, from), nr = ty_numel(m, to);
    if (!dim_eq(nx, nr)) {
        TdlVal same = ir_binary(b, OP_EQ, ir_dim(b, nx), ir_dim(b, nr));
        const char *msg = "reshape: the sizes differ";
        op_set_str(f, ir_emit(b, OP_ASSERT, &same, 1, NULL, 0), "msg", msg, (uint32_t)strlen(msg));
    }
    Axes xs = real_axes(c, from), rs = real_axes(c, to);
    uint32_t rank = ty_rank(m, from);
    ExpandNest map = map_like(c, b, to);
    TdlVal *idx = ARENA_ARRAY(c->scratch, TdlVal, rank);
    while (xs.n || rs.n) {
        uint32_t px, pr;
        next_group(m, xs, rs, &px, &pr);
        if (px) split_group(&map, xs.p, px, rs.p, pr, idx);
        xs.p += px, xs.n -= px;
        rs.p += pr, rs.n -= pr;
    }
    for (uint32_t i = 0; i < rank; i++)
        if (!idx[i].id) idx[i] = ir_const_int(&map.in, EL_I64, 0);
    return ex_close(&map, ex_index(&map.in, x, idx, rank, dim_eq(nx, nr)));
}

/* ---- slices ---- */

typedef struct {
    const TdlVal *starts;
    const int64_t *steps;
    const TdlDim *sizes, *whole; /* of the slice and of the sliced tensor */
    uint32_t rank;
} Slice;

static Slice slice_of(const ExpandCtx *c, TdlOp o, uint32_t first, TdlType part, TdlType whole) {
    uint32_t n;
    return (Slice){.starts = ir_op(c->f, o)->operands + first,
                   .steps = ex_ints(c->f, o, "steps", &n),
                   .sizes = ty_dims(c->m, part),
                   .whole = ty_dims(c->m, whole),
                   .rank = ty_rank(c->m, whole)};
}

static bool proved_in_range(ExpandCtx *c, const Slice *s, uint32_t i) {
    TdlModule *m = c->m;
    TdlDim start, zero = dim_const(m, 0), one = dim_const(m, 1);
    if (!ir_val_dim(c->f, s->starts[i], &start)) return false;
    TdlDim last = dim_add(m, start, dim_mul(m, dim_sub(m, s->sizes[i], one), dim_const(m, s->steps[i])));
    TdlDim lo = s->steps[i] > 0 ? start : last, hi = s->steps[i] > 0 ? last : start;
    return dim_known_ge(m, lo, zero) && dim_known_ge(m, s->whole[i], dim_add(m, hi, one));
}

/* Asserts that the slice lies inside: lo >= 0 and hi < whole for its first and last element. An empty slice passes
 * when its start is inside or just past the end it would walk to. Returns whether all of it was proved. */
static bool check_slice(ExpandCtx *c, TdlBuilder *b, const Slice *s) {
    TdlModule *m = c->m;
    bool proved = true;
    for (uint32_t i = 0; i < s->rank; i++) {
        if (proved_in_range(c, s, i)) continue;
        proved = false;
        TdlDim span = dim_mul(m, dim_sub(m, s->sizes[i], dim_const(m, 1)), dim_const(m, s->steps[i]));
        TdlVal last = ir_binary(b, OP_ADD, s->starts[i], ir_dim(b, span));
        bool up = s->steps[i] > 0;
        TdlVal lo = ir_binary(b, OP_GE, up ? s->starts[i] : last, ir_const_int(b, EL_I64, 0));
        TdlVal hi = ir_binary(b, OP_LT, up ? last : s->starts[i], ir_dim(b, s->whole[i]));
        TdlVal ok = ir_binary(b, OP_AND, lo, hi);
        const char *msg = "slice: out of range";
        op_set_str(c->f, ir_emit(b, OP_ASSERT, &ok, 1, NULL, 0), "msg", msg, (uint32_t)strlen(msg));
    }
    return proved;
}

/* start + k*step */
static TdlVal at_step(TdlBuilder *b, TdlVal start, TdlVal k, int64_t step) {
    return ex_add(b, start, ex_mul(b, k, ir_const_int(b, EL_I64, step)));
}

/* r[k...] = x[start + k*step ...]. The index stays checked where it was not proved: whoever moves it must know. */
TdlVal expand_SLICE(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlFunc *f = c->f;
    TdlVal x = ir_op(f, o)->operands[0];
    TdlType t = ir_type(f, ir_result(f, o, 0));
    Slice s = slice_of(c, o, 1, t, ir_type(f, x));
    bool proved = check_slice(c, b, &s);
    ExpandNest map = map_like(c, b, t);
    TdlVal *idx = ARENA_ARRAY(c->scratch, TdlVal, s.rank);
    for (uint32_t i = 0; i < s.rank; i++) {
        TdlVal k = is_one(c->m, s.sizes[i]) ? ir_const_int(&map.in, EL_I64, 0) : map.idx[i];
        idx[i] = at_step(&map.in, s.starts[i], k, s.steps[i]);
    }
    return ex_close(&map, ex_index(&map.in, x, idx, s.rank, proved));
}

/* True when the slice takes all of axis i in order. */
static bool whole_axis(const ExpandCtx *c, const Slice *s, uint32_t i) {
    int64_t start;
    return s->steps[i] == 1 && dim_eq(s->sizes[i], s->whole[i]) && ex_const_int(c->f, s->starts[i], &start) && start == 0;
}

/* Zeros outside the slice: r[i] = v[(i - start)/step] where that is an index of v, else 0. One nest that writes. */
static TdlVal upslice_zeros(ExpandCtx *c, TdlBuilder *b, TdlVal v, TdlType t, const Slice *s) {
    TdlFunc *f = c->f;
    ExpandNest map = map_like(c, b, t);
    TdlBuilder *in = &map.in, yes, no;
    TdlVal cond = {0}, *idx = ARENA_ARRAY(c->scratch, TdlVal, s->rank);
    TdlVal zero = ir_const_int(in, EL_I64, 0);
    for (uint32_t i = 0; i < s->rank; i++) {
        idx[i] = map.idx[i];
        if (whole_axis(c, s, i)) continue;
        TdlVal step = ir_const_int(in, EL_I64, s->steps[i]);
        TdlVal off = ir_binary(in, OP_SUB, map.idx[i], s->starts[i]);
        idx[i] = s->steps[i] == 1 ? off : ir_binary(in, OP_FLOORDIV, off, step);
        TdlVal tests[] = {ir_binary(in, OP_GE, idx[i], zero), ir_binary(in, OP_LT, idx[i], ir_dim(in, s->sizes[i])),
                          s->steps[i] == 1 ? zero : ir_binary(in, OP_EQ, ir_binary(in, OP_MOD, off, step), zero)};
        for (uint32_t k = 0; k < (s->steps[i] == 1 ? 2u : 3u); k++)
            cond = cond.id ? ir_binary(in, OP_AND, cond, tests[k]) : tests[k];
    }
    if (!cond.id) return ex_close(&map, ex_index(in, v, idx, s->rank, true));
    TdlElem e = ty_elem(c->m, t);
    TdlOp choice = ex_if(in, cond, ty_scalar(c->m, e), &yes, &no);
    TdlVal inside = ex_index(&yes, v, idx, s->rank, true);
    ex_yield(&yes, &inside, 1);
    TdlVal outside = el_is_float(e) ? ir_const_float(&no, e, 0.0) : ir_const_int(&no, e, 0);
    ex_yield(&no, &outside, 1);
    return ex_close(&map, ir_result(f, choice, 0));
}

/* Loops over the first `lead` axes of v, which carry the tensor and write v's rows into it one by one: as much work
 * as v is large, and in place where x is dead. */
static TdlVal upslice_loops(ExpandCtx *c, TdlBuilder *b, TdlVal x, TdlVal v, const Slice *s, uint32_t axis,
                            uint32_t lead, TdlVal *idx, TdlVal *at, bool proved) {
    TdlFunc *f = c->f;
    if (axis == lead) return ex_update(b, x, ex_index(b, v, idx, lead, true), at, lead, proved);
    if (is_one(c->m, s->sizes[axis])) {
        idx[axis] = ir_const_int(b, EL_I64, 0);
        at[axis] = s->starts[axis];
        return upslice_loops(c, b, x, v, s, axis + 1, lead, idx, at, proved);
    }
    TdlType t = ir_type(f, x);
    TdlVal ops[] = {ir_const_int(b, EL_I64, 0), ir_dim(b, s->sizes[axis]), x};
    TdlOp loop = ir_emit(b, OP_FOR, ops, 3, &t, 1);
    TdlRegion r = ir_op(f, loop)->regions[0];
    idx[axis] = ir_region_arg(f, r, ty_scalar(c->m, EL_I64), SYM_NONE);
    TdlVal carried = ir_region_arg(f, r, t, SYM_NONE);
    TdlBuilder in = ir_at_end(f, r, b->span);
    at[axis] = at_step(&in, s->starts[axis], idx[axis], s->steps[axis]);
    TdlVal next = upslice_loops(c, &in, carried, v, s, axis + 1, lead, idx, at, proved);
    ex_yield(&in, &next, 1);
    return ir_result(f, loop, 0);
}

/* x with v written at start + k*step. */
TdlVal expand_UPSLICE(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlFunc *f = c->f;
    TdlVal x = ir_op(f, o)->operands[0], v = ir_op(f, o)->operands[1];
    TdlType t = ir_type(f, x);
    Slice s = slice_of(c, o, 2, ir_type(f, v), t);
    s.starts = arena_memdup(c->scratch, s.starts, s.rank * sizeof *s.starts);
    bool proved = check_slice(c, b, &s);
    if (ex_is_zeros(c, x)) return upslice_zeros(c, b, v, t, &s);
    uint32_t lead = s.rank;
    while (lead && whole_axis(c, &s, lead - 1)) lead--;
    TdlVal *idx = ARENA_ARRAY(c->scratch, TdlVal, s.rank), *at = ARENA_ARRAY(c->scratch, TdlVal, s.rank);
    return upslice_loops(c, b, x, v, &s, 0, lead, idx, at, proved);
}

/* ---- joining ---- */

/* The element of the joined parts lo..hi-1 whose index along the axis is idx[axis] - 0: a tree of ifs over the
 * offsets, so that k parts cost log k branches. `stacked`: a part an index, and the parts lack the axis. */
typedef struct {
    ExpandCtx *c;
    const TdlVal *parts;
    const TdlDim *offsets;
    const TdlVal *idx;
    uint32_t axis, rank; /* rank of the result */
    TdlType elem;
    bool stacked;
} Join;

static TdlVal join_tree(const Join *j, TdlBuilder *b, uint32_t lo, uint32_t hi) {
    TdlVal at = j->idx[j->axis];
    if (hi - lo == 1) {
        TdlVal *idx = ARENA_ARRAY(j->c->scratch, TdlVal, j->rank);
        uint32_t n = 0;
        int64_t zero;
        for (uint32_t i = 0; i < j->rank; i++) {
            if (i != j->axis) idx[n++] = j->idx[i];
            else if (!j->stacked && dim_is_const(j->c->m, j->offsets[lo], &zero) && zero == 0) idx[n++] = at;
            else if (!j->stacked) idx[n++] = ir_binary(b, OP_SUB, at, ir_dim(b, j->offsets[lo]));
        }
        return ex_index(b, j->parts[lo], idx, n, true);
    }
    uint32_t mid = lo + (hi - lo) / 2;
    TdlBuilder yes, no;
    TdlOp choice = ex_if(b, ir_binary(b, OP_LT, at, ir_dim(b, j->offsets[mid])), j->elem, &yes, &no);
    TdlVal left = join_tree(j, &yes, lo, mid);
    ex_yield(&yes, &left, 1);
    TdlVal right = join_tree(j, &no, mid, hi);
    ex_yield(&no, &right, 1);
    return ir_result(b->f, choice, 0);
}

static TdlVal join(ExpandCtx *c, TdlBuilder *b, TdlOp o, uint32_t axis, bool stacked) {
    TdlFunc *f = c->f;
    TdlOpData d = *ir_op(f, o);
    TdlType t = ir_type(f, d.results[0]);
    TdlDim *offsets = ARENA_ARRAY(c->scratch, TdlDim, d.noperands), at = dim_const(c->m, 0);
    for (uint16_t i = 0; i < d.noperands; i++) {
        offsets[i] = at;
        TdlDim size = stacked ? dim_const(c->m, 1) : ty_dims(c->m, ir_type(f, d.operands[i]))[axis];
        at = dim_add(c->m, at, size);
    }
    ExpandNest map = map_like(c, b, t);
    Join j = {.c = c, .parts = d.operands, .offsets = offsets, .idx = map.idx, .axis = axis,
              .rank = ty_rank(c->m, t), .elem = ty_scalar(c->m, ty_elem(c->m, t)), .stacked = stacked};
    return ex_close(&map, join_tree(&j, &map.in, 0, d.noperands));
}

TdlVal expand_CONCAT(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    return join(c, b, o, (uint32_t)op_int(c->f, o, "axis", 0), false);
}

/* Scalars are written one after the other (no loop, no branch); tensors are joined. */
TdlVal expand_STACK(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlFunc *f = c->f;
    TdlOpData d = *ir_op(f, o);
    TdlType t = ir_type(f, d.results[0]);
    if (ty_rank(c->m, t) > 1) return join(c, b, o, 0, true);
    TdlVal x = ir_result(f, ir_emit(b, OP_UNDEF, NULL, 0, &t, 1), 0);
    for (uint16_t i = 0; i < d.noperands; i++) {
        TdlVal at = ir_const_int(b, EL_I64, i);
        x = ex_update(b, x, d.operands[i], &at, 1, true);
    }
    return x;
}

/* r[i] = i[axis] as the element type. */
TdlVal expand_IOTA(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlType t = ir_type(c->f, ir_result(c->f, o, 0));
    ExpandNest map = map_like(c, b, t);
    if (!map.n) { /* a scalar is its own first element */
        TdlVal zero = ir_const_int(b, EL_I64, 0);
        return ir_cast(b, zero, ty_elem(c->m, t));
    }
    return ex_close(&map, ir_cast(&map.in, map.idx[op_int(c->f, o, "axis", 0)], ty_elem(c->m, t)));
}
