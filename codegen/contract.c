/* contract: calls of runtime/object/contract.c with the kernels of the target (kernels.c).
 *
 * Axes that lie one behind the other in both buffers that have them are one. What is left of a kind beyond one axis, and
 * the batch, becomes loops around the call; every axis is a size and a stride, so nothing is transposed here. */
#include "codegen/cg.h"

enum { C, A, B, MAX_AXES = 64, APART = -8 /* a position that nothing follows */, FIELDS = 22, MOST_LOOPS = CONTRACT_LOOPS };

/* Kinds by the buffers that have the axis. */
enum { KIND_M = 1 << C | 1 << A, KIND_N = 1 << C | 1 << B, KIND_K = 1 << A | 1 << B, KIND_BATCH = 1 << C | 1 << A | 1 << B };

typedef struct {
    unsigned kind;
    int at[3];               /* position in the list of each buffer, of the last axis where several are one; -1: none */
    int first[3];            /* of the first */
    LLVMValueRef size, stride[3]; /* strides in bytes; NULL: not there */
    bool contiguous;         /* the last axis of one of the buffers */
} Axis;

typedef struct {
    Cg *g;
    Axis axis[MAX_AXES];
    uint32_t n;
    LLVMValueRef p[3];       /* c, a, b inside of the loops so far */
    LLVMValueRef room, room_bytes, accumulate, bytes; /* of c, of the range where there is one */
    LLVMValueRef kernels;
    TdlElem elem;
    int64_t nsums, nrows;    /* of windows: lists of struct TdlrtLoop */
    LLVMValueRef sums, rows;
    Axis line;               /* one more axis of b: columns in lines */
} Contract;

static const char *const LISTS[3] = {"axes_c", "axes_a", "axes_b"};

static LLVMValueRef bytes_of(const Contract *c, LLVMValueRef n) {
    return LLVMBuildNSWMul(c->g->u->b, n, cg_i64(c->g->u, el_bytes(c->elem)), "");
}

/* Only lo..hi of the axis; c begins there. */
static void take_range(Contract *c, Axis *x, LLVMValueRef lo, LLVMValueRef hi) {
    CgUnit *u = c->g->u;
    x->size = LLVMBuildNSWSub(u->b, hi, lo, "");
    c->bytes = LLVMBuildNSWMul(u->b, x->size, x->stride[C], "");
    for (int b = A; b <= B; b++) {
        if (!x->stride[b]) continue;
        LLVMValueRef offset = LLVMBuildNSWMul(u->b, lo, x->stride[b], "");
        c->p[b] = LLVMBuildInBoundsGEP2(u->b, u->i8, c->p[b], &offset, 1, "");
    }
}

/* A window slides along an axis of a: the loops of its beginning and of its elements have multiples of the stride. */
static void slide(Contract *c, Axis *all, TdlOp o, uint32_t i, LLVMValueRef stride) {
    Cg *g = c->g;
    int64_t loop[2] = {op_attr(g->f, o, LISTS[A])->ints[i], op_attr(g->f, o, "taps")->ints[i]};
    int64_t times[2] = {op_attr(g->f, o, "steps")->ints[i], op_attr(g->f, o, "dilations")->ints[i]};
    for (int k = 0; k < 2 && loop[k] >= 0; k++) {
        Axis *a = &all[loop[k]];
        a->kind |= 1u << A;
        a->at[A] = a->first[A] = APART;
        a->stride[A] = LLVMBuildNSWMul(g->u->b, stride, cg_i64(g->u, times[k]), "");
    }
}

static bool slides(const Cg *g, TdlOp o, uint32_t i) {
    const TdlAttr *taps = op_attr(g->f, o, "taps");
    return taps && (taps->ints[i] >= 0 || op_attr(g->f, o, "steps")->ints[i] != 1);
}

static void find_axes(Contract *c, TdlOp o) {
    Cg *g = c->g;
    Axis by_number[MAX_AXES] = {{0}};
    for (int x = 0; x < 3; x++) {
        const TdlAttr *list = op_attr(g->f, o, LISTS[x]);
        const TdlDim *dims = ty_dims(g->f->module, ir_type(g->f, ir_op(g->f, o)->operands[x]));
        LLVMValueRef stride = bytes_of(c, cg_i64(g->u, 1));
        for (uint32_t i = list->n; i-- > 0;) {
            Axis *a = &by_number[list->ints[i]];
            LLVMValueRef size = cg_dim(g, dims[i]);
            if (x == A && slides(g, o, i)) {
                slide(c, by_number, o, i, stride);
            } else {
                a->kind |= 1u << x;
                a->at[x] = a->first[x] = (int)i;
                a->stride[x] = stride;
                a->size = size;
                a->contiguous |= i + 1 == list->n;
            }
            if (i) stride = LLVMBuildNSWMul(g->u->b, stride, size, "");
        }
    }
    if (ir_op(g->f, o)->noperands == 6) take_range(c, &by_number[op_attr(g->f, o, LISTS[C])->ints[0]], cg_operand(g, o, 4), cg_operand(g, o, 5));
    for (int i = 0; i < MAX_AXES; i++)
        if (by_number[i].kind) c->axis[c->n++] = by_number[i];
}

/* Does y follow x in every buffer that has them? */
static bool follows(const Axis *x, const Axis *y) {
    if (x->kind != y->kind) return false;
    for (int b = 0; b < 3; b++)
        if (x->kind & 1u << b && x->at[b] + 1 != y->first[b]) return false;
    return true;
}

static void merge_axes(Contract *c) {
    for (uint32_t i = 0; i < c->n; i++)
        for (uint32_t j = 0; j < c->n; j++) {
            if (i == j || !follows(&c->axis[i], &c->axis[j])) continue;
            Axis both = c->axis[j];
            both.size = LLVMBuildNSWMul(c->g->u->b, c->axis[i].size, c->axis[j].size, "");
            for (int b = 0; b < 3; b++) both.first[b] = c->axis[i].first[b];
            c->axis[i] = both;
            c->axis[j] = c->axis[--c->n];
            /* From the start: indices have changed. */
            i = UINT32_MAX;
            break;
        }
}

/* Takes the axis of a kind that the kernels get out of the list; a missing one has one element. */
static Axis take(Contract *c, unsigned kind) {
    Axis none = {.kind = kind, .size = cg_i64(c->g->u, 1)};
    for (int b = 0; b < 3; b++) none.stride[b] = bytes_of(c, cg_i64(c->g->u, 1));
    uint32_t best = c->n;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->axis[i].kind == kind && (best == c->n || c->axis[i].contiguous)) best = i;
    if (best == c->n) return none;
    Axis a = c->axis[best];
    c->axis[best] = c->axis[--c->n];
    return a;
}

static void call_kernels(Contract *c, const Axis *m, const Axis *n, const Axis *k) {
    CgUnit *u = c->g->u;
    LLVMValueRef fields[FIELDS] = {m->size, n->size, k->size, c->p[A], m->stride[A], k->stride[A], c->p[B], k->stride[B], n->stride[B],
                                   c->p[C], m->stride[C], n->stride[C], c->room, c->room_bytes, c->accumulate,
                                   cg_i64(u, c->nsums), cg_i64(u, c->nrows), c->sums, c->rows,
                                   c->line.size, c->line.stride[B], c->line.stride[C]};
    LLVMTypeRef types[FIELDS];
    for (int i = 0; i < FIELDS; i++) types[i] = LLVMTypeOf(fields[i]);
    LLVMTypeRef type = LLVMStructTypeInContext(u->ctx, types, FIELDS, 0);
    LLVMValueRef args = cg_entry_alloca(c->g, type, "contract");
    for (unsigned i = 0; i < FIELDS; i++) LLVMBuildStore(u->b, fields[i], LLVMBuildStructGEP2(u->b, type, args, i, ""));
    cg_call(u, "tdlrt_contract", u->voidt, (LLVMValueRef[]){c->kernels, args}, 2);
}

/* Loops over what is left in the list, then the call. */
static void loops(Contract *c, uint32_t at, const Axis *m, const Axis *n, const Axis *k) {
    CgUnit *u = c->g->u;
    if (at == c->n) {
        call_kernels(c, m, n, k);
        return;
    }
    const Axis *x = &c->axis[at];
    LLVMValueRef outside[3] = {c->p[0], c->p[1], c->p[2]}, zero = cg_i64(u, 0);
    LLVMBasicBlockRef before = cg_here(c->g), body = cg_block(c->g, "batch"), end = cg_block(c->g, "");
    LLVMBuildCondBr(u->b, LLVMBuildICmp(u->b, LLVMIntSGT, x->size, zero, ""), body, end);
    LLVMPositionBuilderAtEnd(u->b, body);
    LLVMValueRef i = LLVMBuildPhi(u->b, u->i64, "");
    for (int b = 0; b < 3; b++) {
        if (!x->stride[b]) continue;
        LLVMValueRef offset = LLVMBuildNSWMul(u->b, i, x->stride[b], "");
        c->p[b] = LLVMBuildInBoundsGEP2(u->b, u->i8, outside[b], &offset, 1, "");
    }
    loops(c, at + 1, m, n, k);
    LLVMValueRef next = LLVMBuildNSWAdd(u->b, i, cg_i64(u, 1), "");
    LLVMBasicBlockRef latch = cg_here(c->g);
    LLVMBuildCondBr(u->b, LLVMBuildICmp(u->b, LLVMIntSLT, next, x->size, ""), body, end);
    LLVMAddIncoming(i, (LLVMValueRef[]){zero, next}, (LLVMBasicBlockRef[]){before, latch}, 2);
    LLVMPositionBuilderAtEnd(u->b, end);
    for (int b = 0; b < 3; b++) c->p[b] = outside[b];
}

/* ---- windows ---- */

/* Vectors go along the last axis of c: where that is of a, a and b change places. */
static void orient(Contract *c, int last) {
    bool of_a = false;
    for (uint32_t i = 0; i < c->n; i++) of_a |= c->axis[i].kind == KIND_M && c->axis[i].at[C] == last;
    if (!of_a) return;
    LLVMValueRef p = c->p[A];
    c->p[A] = c->p[B];
    c->p[B] = p;
    for (uint32_t i = 0; i < c->n; i++) {
        Axis *x = &c->axis[i], y = *x;
        x->kind = (y.kind & 1u << C) | (y.kind & 1u << A ? 1u << B : 0) | (y.kind & 1u << B ? 1u << A : 0);
        x->stride[A] = y.stride[B], x->at[A] = y.at[B], x->first[A] = y.first[B];
        x->stride[B] = y.stride[A], x->at[B] = y.at[A], x->first[B] = y.first[A];
    }
}

/* Takes the axis of a kind that ends at position `at` of c (at < 0: any) out of the list. */
static bool take_at(Contract *c, unsigned kind, int at, Axis *x) {
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->axis[i].kind != kind || (at >= 0 && c->axis[i].at[C] != at)) continue;
        *x = c->axis[i];
        c->axis[i] = c->axis[--c->n];
        return true;
    }
    return false;
}

/* A list of struct TdlrtLoop in memory. */
static LLVMValueRef list(Contract *c, const Axis *x, int64_t n) {
    CgUnit *u = c->g->u;
    LLVMValueRef p = cg_entry_alloca(c->g, LLVMArrayType2(u->i64, 3 * MOST_LOOPS), "loops");
    for (int64_t i = 0; i < n; i++) {
        LLVMValueRef fields[3] = {x[i].size, x[i].stride[A], x[i].stride[B]}, at;
        for (int k = 0; k < 3; k++) {
            at = cg_i64(u, 3 * i + k);
            LLVMBuildStore(u->b, fields[k] ? fields[k] : cg_i64(u, 0), LLVMBuildInBoundsGEP2(u->b, u->i64, p, &at, 1, ""));
        }
    }
    return p;
}

/* All sums, as rows the axes of a that lie side by side in c, and an axis of b beside that of the columns. */
static void windows(Contract *c, int rank, Axis *m, Axis *n, Axis *k) {
    Axis sums[MOST_LOOPS], rows[MOST_LOOPS];
    c->g->u->windows = true;
    orient(c, rank - 1);
    if (!take_at(c, KIND_N, rank - 1, n)) *n = take(c, KIND_N);
    for (int at = rank - 1; at >= 0 && !take_at(c, KIND_N, at, &c->line);) at--;
    while (c->nsums < MOST_LOOPS && take_at(c, KIND_K, -1, &sums[c->nsums])) c->nsums++;
    if (!c->nsums) sums[c->nsums++] = take(c, 0);   /* no sum is one of one element */
    int64_t first = MOST_LOOPS;
    *m = take(c, 0);
    for (int at = rank - 1; at >= 0 && first == MOST_LOOPS; at--)
        if (take_at(c, KIND_M, at, &rows[first - 1])) first--;
    if (first < MOST_LOOPS) *m = rows[first];
    while (first > 0 && first < MOST_LOOPS && rows[first].first[C] > 0 && take_at(c, KIND_M, rows[first].first[C] - 1, &rows[first - 1])) first--;
    *k = take(c, 0);
    c->nrows = MOST_LOOPS - first;
    c->sums = list(c, sums, c->nsums);
    c->rows = list(c, rows + first, c->nrows);
}

void cg_CONTRACT(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    TdlType t = ir_type(g->f, ir_op(g->f, o)->operands[0]);
    Contract c = {.g = g, .elem = ty_elem(g->f->module, t), .room = cg_operand(g, o, 3), .bytes = cg_bytes(g, t)};
    c.room_bytes = cg_bytes(g, ir_type(g->f, ir_op(g->f, o)->operands[3]));
    c.kernels = cg_kernels(u, c.elem);
    c.accumulate = cg_i64(u, op_int(g->f, o, "accumulate", 0) != 0);
    c.sums = c.rows = LLVMConstNull(u->ptr);
    for (uint32_t i = 0; i < 3; i++) c.p[i] = cg_operand(g, o, i);
    find_axes(&c, o);
    merge_axes(&c);
    Axis m, n, k;
    c.line = take(&c, 0);
    if (op_attr(g->f, o, "taps")) windows(&c, (int)ty_rank(g->f->module, t), &m, &n, &k);
    else m = take(&c, KIND_M), n = take(&c, KIND_N), k = take(&c, KIND_K);
    bool summed = false;
    for (uint32_t i = 0; i < c.n; i++) summed |= c.axis[i].kind == KIND_K;
    if (summed && !op_int(g->f, o, "accumulate", 0))
        LLVMBuildMemSet(u->b, c.p[C], LLVMConstInt(u->i8, 0, 0), c.bytes, el_bytes(c.elem));
    if (summed) c.accumulate = cg_i64(u, 1);
    loops(&c, 0, &m, &n, &k);
}
