/* dot: a contraction of floats is left to the kernels of codegen (`contract`), with room for what they pack. What is
 * small for certain, a product with a vector in the body of a map (its iterations are the better vector lanes), integers,
 * a sum with no other axes, and every dot under strict_fp become a loop nest.
 *
 * Loops: batch axes, free axes of a, free axes of b, contracted axes. The innermost is chosen among the last axes of
 * the three buffers by counting accesses that are neither of stride 1 nor invariant; then
 *   - a contracted axis innermost: the sum is carried in scalars through the contracted loops (rows times rows);
 *   - a free axis innermost: the destination is cleared, and each contracted step adds a multiple of a row to a row
 *     (i-k-j for a product of row-major matrices), which loads, adds and stores contiguously. */
#include "passes/bufferize.h"

enum { MAX_AXES = 32 };

/* One loop: which axis of a, b and the result it runs over; -1: none. */
typedef struct { int a, b, c; TdlDim size; bool contracted; } Axis;
typedef struct { Axis axis[MAX_AXES]; uint32_t n; int rank_a, rank_b, rank_c; } Loops;

static bool holds(const TdlAttr *list, int64_t axis)
{
    for (uint32_t i = 0; list && i < list->n; i++)
        if (list->ints[i] == axis) return true;
    return false;
}

static void add(Loops *l, int a, int b, int c, TdlDim size, bool contracted)
{
    if (l->n < MAX_AXES) l->axis[l->n++] = (Axis){a, b, c, size, contracted};
}

static Loops loops_of(const Bufferize *B, TdlOp o)
{
    const TdlFunc *f = B->f;
    const TdlOpData *d = ir_op(f, o);
    const TdlAttr *ba = op_attr(f, o, "batch_a"), *bb = op_attr(f, o, "batch_b");
    const TdlAttr *ca = op_attr(f, o, "contract_a"), *cb = op_attr(f, o, "contract_b");
    TdlType ta = ir_type(f, d->operands[0]), tb = ir_type(f, d->operands[1]);
    Loops l = {.rank_a = (int)ty_rank(B->m, ta), .rank_b = (int)ty_rank(B->m, tb)};
    int c = 0;
    for (uint32_t i = 0; ba && i < ba->n; i++)
        add(&l, (int)ba->ints[i], (int)bb->ints[i], c++, ty_dims(B->m, ta)[ba->ints[i]], false);
    for (int i = 0; i < l.rank_a; i++)
        if (!holds(ba, i) && !holds(ca, i)) add(&l, i, -1, c++, ty_dims(B->m, ta)[i], false);
    for (int i = 0; i < l.rank_b; i++)
        if (!holds(bb, i) && !holds(cb, i)) add(&l, -1, i, c++, ty_dims(B->m, tb)[i], false);
    l.rank_c = c;
    for (uint32_t i = 0; ca && i < ca->n; i++)
        add(&l, (int)ca->ints[i], (int)cb->ints[i], -1, ty_dims(B->m, ta)[ca->ints[i]], true);
    return l;
}

static int strided(int axis, int rank) { return axis >= 0 && axis != rank - 1; }

/* The innermost loop, moved to the end; contracted ones just in front of it when it is free. */
static void order(Loops *l)
{
    if (l->n == 0) return;
    uint32_t best = l->n - 1;
    int cost = 100;
    for (uint32_t i = l->n; i-- > 0;) {
        const Axis *x = &l->axis[i];
        /* A strided destination is read and written: it weighs double. */
        int k = strided(x->a, l->rank_a) + strided(x->b, l->rank_b) + 2 * strided(x->c, l->rank_c);
        if (k < cost) { cost = k; best = i; }
    }
    Axis inner = l->axis[best];
    for (uint32_t i = best; i + 1 < l->n; i++) l->axis[i] = l->axis[i + 1];
    l->axis[l->n - 1] = inner;
}

/* The element of operand 0 or 1 at the loops' indices; a scalar operand is itself. */
static TdlVal at(Bufferize *B, const Loops *l, const TdlVal *index, TdlVal buf, int which, bool scalar)
{
    TdlVal idx[MAX_AXES];
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        int axis = which == 0 ? l->axis[i].a : l->axis[i].b;
        if (axis >= 0) { idx[axis] = index[i]; n++; }
    }
    return scalar ? buf : buf_load(B, buf, idx, n);
}

static uint32_t dest_index(const Loops *l, const TdlVal *index, TdlVal *idx)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n; i++)
        if (l->axis[i].c >= 0) { idx[l->axis[i].c] = index[i]; n++; }
    return n;
}

/* ---- contract ---- */

/* Work below which a loop nest of constant size is unrolled to as good code. */
enum { SMALL = 512 };

static bool in_parallel_body(const Bufferize *B, TdlOp o)
{
    for (TdlRegion r = ir_op(B->f, o)->parent; r.id;) {
        TdlOp parent = ir_region(B->f, r)->parent;
        if (!parent.id) return false;
        if (ir_op(B->f, parent)->code == OP_MAP || ir_op(B->f, parent)->code == OP_REDUCE) return true;
        r = ir_op(B->f, parent)->parent;
    }
    return false;
}

static bool for_kernels(const Bufferize *B, TdlOp o, const Loops *l)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlElem e = ty_elem(B->m, ir_type(B->f, d->results[0]));
    bool rows = false, cols = false, known = true;
    int64_t work = 1, size;
    if (B->opt->strict_fp || (e != EL_F32 && e != EL_F64)) return false;
    for (uint32_t i = 0; i < l->n; i++) {
        const Axis *x = &l->axis[i];
        rows |= x->a >= 0 && x->b < 0;
        cols |= x->b >= 0 && x->a < 0;
        if (!dim_is_const(B->m, x->size, &size)) known = false;
        else work = size > SMALL ? SMALL + 1 : work * size;
        if (work > SMALL) work = SMALL + 1;
    }
    if (known && work <= SMALL) return false;
    if (!(rows && cols) && in_parallel_body(B, o)) return false;
    return buf_is_mem(B, d->operands[0]) && buf_is_mem(B, d->operands[1]) && (rows || cols);
}

/* Elements along the axes of a kind; of a size that is found on the way, more than are packed at once. */
static TdlDim elements(const Bufferize *B, const Loops *l, bool a, bool b)
{
    TdlDim n = dim_const(B->m, 1);
    for (uint32_t i = 0; i < l->n; i++) {
        if ((l->axis[i].a >= 0) != a || (l->axis[i].b >= 0) != b || (a && b && !l->axis[i].contracted)) continue;
        if (!ir_dim_at_entry(B->f, l->axis[i].size)) return dim_const(B->m, CONTRACT_CACHE_BYTES);
        n = dim_mul(B->m, n, l->axis[i].size);
    }
    return n;
}

/* The last axis of the result is a free one of an operand: are vectors along it contiguous there? `wide`: is it of b? */
static bool contiguous(const Loops *l, bool *wide)
{
    for (uint32_t i = 0; i < l->n; i++) {
        const Axis *x = &l->axis[i];
        if (x->c != l->rank_c - 1) continue;
        *wide = x->a < 0;
        return x->a < 0 ? x->b == l->rank_b - 1 : x->b < 0 && x->a == l->rank_a - 1;
    }
    return false;
}

/* Is the last axis of an operand summed over? */
static bool summed(const Loops *l, bool b)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (l->axis[i].contracted && (b ? l->axis[i].b == l->rank_b - 1 : l->axis[i].a == l->rank_a - 1)) return true;
    return false;
}

/* 1 where d >= c, else 0. */
static TdlDim reaches(const Bufferize *B, TdlDim d, int64_t c) { return dim_min(B->m, dim_floordiv(B->m, d, c), 1); }

/* Elements that the kernels pack: blocks of the operand whose free axis is the result's last. Where that is contiguous, large
 * ones that enough rows of the other meet; else all, and where a part of the other certainly stays in the cache, a few vectors
 * at a time. Rows of the other are packed, too, where they are not contiguous and b is. */
static TdlDim room_of(const Bufferize *B, const Loops *l, int64_t size)
{
    TdlModule *m = B->m;
    bool wide = true, whole = contiguous(l, &wide);
    TdlDim rows = elements(B, l, wide, !wide), cols = elements(B, l, !wide, wide), k = elements(B, l, true, true);
    int64_t lanes = CONTRACT_VECTOR_BYTES / size, least = CONTRACT_CACHE_BYTES / size, n;
    TdlDim depth = dim_min(m, k, CONTRACT_DEPTH), other = dim_const(m, 0);
    TdlDim large = dim_mul(m, reaches(B, dim_mul(m, k, cols), least), reaches(B, rows, CONTRACT_PACK_ROWS));
    if (!summed(l, !wide)) {
        TdlDim tiles = dim_floordiv(m, dim_add(m, rows, dim_const(m, CONTRACT_TILE_ROWS - 1)), CONTRACT_TILE_ROWS);
        TdlDim part = dim_mul(m, dim_mul(m, depth, tiles), dim_const(m, CONTRACT_TILE_ROWS));
        other = dim_mul(m, large, dim_min(m, part, CONTRACT_STAYS_BYTES / size));
    }
    if (whole) return dim_add(m, dim_mul(m, large, dim_const(m, CONTRACT_BLOCK_BYTES / size)), other);
    bool stays = dim_is_const(m, rows, &n) && n <= CONTRACT_STAYS_BYTES / CONTRACT_DEPTH / size;
    if (stays) return dim_mul(m, depth, dim_const(m, CONTRACT_TILE_VECTORS * lanes));
    TdlDim vectors = dim_floordiv(m, dim_add(m, cols, dim_const(m, lanes - 1)), lanes);
    TdlDim all = dim_mul(m, dim_mul(m, depth, vectors), dim_const(m, lanes));
    return dim_add(m, dim_min(m, all, CONTRACT_BLOCK_BYTES / size), other);
}

static void set_numbers(Bufferize *B, TdlOp o, const Loops *l, const char *key, int buffer)
{
    int64_t numbers[MAX_AXES];
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        int at = buffer == 0 ? l->axis[i].a : buffer == 1 ? l->axis[i].b : l->axis[i].c;
        if (at >= 0) { numbers[at] = i; n++; }
    }
    op_set_ints(B->g, o, key, numbers, n);
}

static void contract(Bufferize *B, TdlOp o, const Loops *l)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlElem e = ty_elem(B->m, ir_type(B->f, d->results[0]));
    TdlDim room = room_of(B, l, el_bytes(e));
    TdlVal panel = buf_alloc(B, ty_tensor(B->m, e, &room, 1));
    TdlVal v[4] = {buf_get(B, d->results[0]), buf_get(B, d->operands[0]), buf_get(B, d->operands[1]), panel};
    TdlOp c = ir_emit(&B->b, OP_CONTRACT, v, 4, NULL, 0);
    set_numbers(B, c, l, "axes_c", 2);
    set_numbers(B, c, l, "axes_a", 0);
    set_numbers(B, c, l, "axes_b", 1);
}

void buf_DOT(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVal va = d->operands[0], vb = d->operands[1], vc = d->results[0];
    TdlVal a = buf_get(B, va), b = buf_get(B, vb);
    bool sa = !buf_is_mem(B, va), sb = !buf_is_mem(B, vb), sc = !buf_is_mem(B, vc);
    TdlElem e = ty_elem(B->m, ir_type(B->f, vc));
    Loops l = loops_of(B, o);
    if (l.n >= MAX_AXES) {
        diag_error(B->m->diags, d->span, "dot: a contraction over more than %d axes: reshape the operands", MAX_AXES - 1);
        return;
    }
    if (for_kernels(B, o, &l)) {
        contract(B, o, &l);
        return;
    }
    order(&l);
    bool carry = l.n == 0 || l.axis[l.n - 1].contracted;
    TdlVal index[MAX_AXES], idx[MAX_AXES], sum = buf_float(B, e, 0.0);
    TdlVal c = sc ? (TdlVal){0} : buf_get(B, vc);
    if (!carry) buf_fill(B, c, sum);
    BufFor loop[MAX_AXES];
    for (uint32_t i = 0; i < l.n; i++) {
        bool carries = carry && l.axis[i].contracted;
        loop[i] = buf_for(B, B->zero, ir_dim(&B->b, l.axis[i].size), &sum, carries);
        index[i] = loop[i].index;
        if (carries) sum = buf_for_arg(B, &loop[i], 0);
        else if (!l.axis[i].contracted) op_set_int(B->g, loop[i].op, "parallel", 1);
    }
    TdlVal p = buf_op2(B, OP_MUL, at(B, &l, index, a, 0, sa), at(B, &l, index, b, 1, sb));
    uint32_t nc = dest_index(&l, index, idx);
    if (carry) sum = buf_op2(B, OP_ADD, sum, p);
    else buf_store(B, buf_op2(B, OP_ADD, buf_load(B, c, idx, nc), p), c, idx, nc);
    bool stored = !carry;
    for (uint32_t i = l.n; i-- > 0;) {
        bool carries = carry && l.axis[i].contracted;
        if (carry && !carries && !stored) {
            buf_store(B, sum, c, idx, nc);
            stored = true;
        }
        buf_for_end(B, &loop[i], &sum, carries);
        if (carries) sum = ir_result(B->g, loop[i].op, 0);
    }
    if (sc) buf_set(B, vc, sum);
    else if (!stored) buf_store(B, sum, c, idx, 0);
}
