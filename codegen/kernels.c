/* The register-blocked kernels of contractions, for the target's vectors: struct TdlrtKernels of runtime/object/bodies.h,
 * which says what each computes. runtime/object/contract.c calls them. Both join the module after LLVM's passes, which
 * would find nothing to do and take their time for it.
 *
 * A tile keeps rows*vectors accumulators in registers and reads, for each k, its vectors of b and one element a row of a:
 * 8 rows by 3 vectors where there are 32 registers, 4 by 3 where there are 16. Where the target masks vector accesses
 * (32 bytes and wider) there are tiles of a part of a vector, and the last vector of other kernels may be one; elsewhere
 * vectors are whole, and the rest scalar. */
#include "codegen/cg.h"

#include <string.h>

typedef struct {
    CgUnit *u;
    LLVMBuilderRef b;
    LLVMValueRef fn;
    LLVMTypeRef elem, vec;
    unsigned lanes, size;
    bool masked;
} Kernel;

enum { ROW_GROUP = CONTRACT_ROW_GROUP };

/* ---- small emitters ---- */

static void place(Kernel *k, LLVMBasicBlockRef at) { LLVMPositionBuilderAtEnd(k->b, at); }
static LLVMBasicBlockRef block(Kernel *k, const char *name) { return LLVMAppendBasicBlockInContext(k->u->ctx, k->fn, name); }
static LLVMValueRef param(const Kernel *k, unsigned i) { return LLVMGetParam(k->fn, i); }
static LLVMValueRef mul(Kernel *k, LLVMValueRef x, int64_t c) { return LLVMBuildNSWMul(k->b, x, cg_i64(k->u, c), ""); }
static LLVMValueRef add(Kernel *k, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildNSWAdd(k->b, x, y, ""); }

static LLVMValueRef offset(Kernel *k, LLVMValueRef p, LLVMValueRef bytes) {
    return LLVMBuildInBoundsGEP2(k->b, k->u->i8, p, &bytes, 1, "");
}

static LLVMValueRef load(Kernel *k, LLVMTypeRef t, LLVMValueRef p) {
    LLVMValueRef x = LLVMBuildLoad2(k->b, t, p, "");
    LLVMSetAlignment(x, k->size);
    return x;
}

static void store(Kernel *k, LLVMValueRef x, LLVMValueRef p) { LLVMSetAlignment(LLVMBuildStore(k->b, x, p), k->size); }

static LLVMValueRef splat(Kernel *k, LLVMValueRef x, unsigned n) {
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(x), n);
    LLVMValueRef one = LLVMBuildInsertElement(k->b, LLVMGetPoison(type), x, LLVMConstInt(k->u->i32, 0, 0), "");
    return LLVMBuildShuffleVector(k->b, one, LLVMGetPoison(type), LLVMConstNull(LLVMVectorType(k->u->i32, n)), "");
}

/* The first n lanes. */
static LLVMValueRef mask_of(Kernel *k, LLVMValueRef n) {
    LLVMValueRef list[64];
    for (unsigned i = 0; i < k->lanes; i++) list[i] = LLVMConstInt(k->u->i32, i, 0);
    LLVMValueRef most = cg_intrinsic(k->u, "llvm.smin", &k->u->i64, 1, (LLVMValueRef[]){n, cg_i64(k->u, k->lanes)}, 2);
    LLVMValueRef count = splat(k, LLVMBuildTrunc(k->b, most, k->u->i32, ""), k->lanes);
    return LLVMBuildICmp(k->b, LLVMIntSLT, LLVMConstVector(list, k->lanes), count, "");
}

/* mask NULL: all lanes. */
static LLVMValueRef load_vector(Kernel *k, LLVMValueRef p, LLVMValueRef mask) {
    if (!mask) return load(k, k->vec, p);
    LLVMTypeRef types[2] = {k->vec, k->u->ptr};
#if TDL_LLVM_MAJOR >= 22
    return cg_intrinsic(k->u, "llvm.masked.load", types, 2, (LLVMValueRef[]){p, mask, LLVMConstNull(k->vec)}, 3);
#else
    LLVMValueRef align = LLVMConstInt(k->u->i32, 1, 0);
    return cg_intrinsic(k->u, "llvm.masked.load", types, 2, (LLVMValueRef[]){p, align, mask, LLVMConstNull(k->vec)}, 4);
#endif
}

static void store_vector(Kernel *k, LLVMValueRef x, LLVMValueRef p, LLVMValueRef mask) {
    if (!mask) {
        store(k, x, p);
        return;
    }
    LLVMTypeRef types[2] = {k->vec, k->u->ptr};
#if TDL_LLVM_MAJOR >= 22
    cg_intrinsic(k->u, "llvm.masked.store", types, 2, (LLVMValueRef[]){x, p, mask}, 3);
#else
    cg_intrinsic(k->u, "llvm.masked.store", types, 2, (LLVMValueRef[]){x, p, LLVMConstInt(k->u->i32, 1, 0), mask}, 4);
#endif
}

static LLVMValueRef multiply_add(Kernel *k, LLVMValueRef x, LLVMValueRef y, LLVMValueRef sum) {
    LLVMTypeRef type = LLVMTypeOf(x);
    return cg_intrinsic(k->u, "llvm.fmuladd", &type, 1, (LLVMValueRef[]){x, y, sum}, 3);
}

/* A loop at the end of the block it was opened in, over i = lo, lo + step, ... while i < hi; it may run 0 times. */
typedef struct { LLVMBasicBlockRef before, body, after; LLVMValueRef i, step, hi; } Loop;

static Loop loop_open(Kernel *k, LLVMValueRef lo, LLVMValueRef hi, int64_t step) {
    Loop l = {LLVMGetInsertBlock(k->b), block(k, "loop"), block(k, "after"), NULL, cg_i64(k->u, step), hi};
    LLVMBuildCondBr(k->b, LLVMBuildICmp(k->b, LLVMIntSLT, lo, hi, ""), l.body, l.after);
    place(k, l.body);
    l.i = LLVMBuildPhi(k->b, k->u->i64, "i");
    LLVMAddIncoming(l.i, &lo, &l.before, 1);
    return l;
}

/* A value that the loop carries; made right after loop_open. */
static LLVMValueRef loop_value(Kernel *k, const Loop *l, LLVMValueRef init) {
    LLVMValueRef phi = LLVMBuildPhi(k->b, LLVMTypeOf(init), "");
    LLVMBasicBlockRef before = l->before;
    LLVMAddIncoming(phi, &init, &before, 1);
    return phi;
}

/* vals[j] is carried with next[j] as its value in the next turn; afterwards it is the value at the end. */
static void loop_close(Kernel *k, const Loop *l, LLVMValueRef *vals, LLVMValueRef *next, unsigned n) {
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(k->b);
    LLVMValueRef i = add(k, l->i, l->step);
    LLVMBuildCondBr(k->b, LLVMBuildICmp(k->b, LLVMIntSLT, i, l->hi, ""), l->body, l->after);
    LLVMAddIncoming(l->i, &i, &latch, 1);
    place(k, l->after);
    for (unsigned j = 0; j < n; j++) {
        LLVMValueRef in[2] = {LLVMGetIncomingValue(vals[j], 0), next[j]}, end = LLVMBuildPhi(k->b, LLVMTypeOf(in[0]), "");
        LLVMAddIncoming(vals[j], &next[j], &latch, 1);
        LLVMAddIncoming(end, in, (LLVMBasicBlockRef[]){l->before, latch}, 2);
        vals[j] = end;
    }
}

/* A function without a name that users see; parameters by letter: p pointer, i integer. */
static LLVMValueRef begin(Kernel *k, const char *name, const char *params) {
    LLVMTypeRef types[14];
    unsigned n = 0;
    for (; params[n]; n++) types[n] = params[n] == 'p' ? k->u->ptr : k->u->i64;
    k->fn = LLVMAddFunction(k->u->mod, name, LLVMFunctionType(k->u->voidt, types, n, 0));
    LLVMSetLinkage(k->fn, LLVMInternalLinkage);
    cg_attr(k->u, k->fn, LLVMAttributeFunctionIndex, "nounwind", 0);
    cg_attr(k->u, k->fn, LLVMAttributeFunctionIndex, "noinline", 0);
    for (unsigned i = 0; i < n; i++)
        if (params[i] == 'p') cg_attr(k->u, k->fn, i + 1, "noalias", 0);
    place(k, block(k, "entry"));
    return k->fn;
}

/* ---- tile(k, a, a_rows, ak, b, bk, c, cm, cols, accumulate, nruns, runs), strip(the same, b_line, c_line) ----
 * Where the rows of a begin is read from memory: of multiples of one stride, loop strength reduction, where the target's
 * pipeline has it, makes a chain of additions that is longer than a step of a small tile. */

enum { T_K, T_A, T_A_ROWS, T_AK, T_B, T_BK, T_C, T_CM, T_COLS, T_ACCUMULATE, T_NRUNS, T_RUNS, T_B_LINE, T_C_LINE };

typedef struct { unsigned rows, vectors; LLVMValueRef mask, a_row[8], c_row[8], b_at[3], c_at[3], acc[24]; } Tile;

static LLVMValueRef c_part(Kernel *k, const Tile *t, unsigned r, unsigned v) {
    return offset(k, offset(k, param(k, T_C), t->c_row[r]), t->c_at[v]);
}

/* c may come from far: it is on its way while the products are summed. */
static void tile_start(Kernel *k, Tile *t) {
    LLVMValueRef one = LLVMConstInt(k->u->i32, 1, 0), near = LLVMConstInt(k->u->i32, 3, 0);
    for (unsigned i = 0; i < t->rows * t->vectors; i++) {
        LLVMValueRef args[4] = {c_part(k, t, i / t->vectors, i % t->vectors), one, near, one}; /* to be written; data */
        cg_intrinsic(k->u, "llvm.prefetch", &k->u->ptr, 1, args, 4);
        t->acc[i] = LLVMConstNull(k->vec);
    }
}

/* The sums to c, or added to it. */
static void tile_end(Kernel *k, Tile *t) {
    LLVMBasicBlockRef from[2] = {LLVMGetInsertBlock(k->b), block(k, "more")}, end = block(k, "store");
    LLVMValueRef both[24];
    LLVMBuildCondBr(k->b, LLVMBuildICmp(k->b, LLVMIntNE, param(k, T_ACCUMULATE), cg_i64(k->u, 0), ""), from[1], end);
    place(k, from[1]);
    for (unsigned i = 0; i < t->rows * t->vectors; i++)
        both[i] = LLVMBuildFAdd(k->b, load_vector(k, c_part(k, t, i / t->vectors, i % t->vectors), t->mask), t->acc[i], "");
    LLVMBuildBr(k->b, end);
    place(k, end);
    for (unsigned i = 0; i < t->rows * t->vectors; i++) {
        LLVMValueRef sum = LLVMBuildPhi(k->b, k->vec, "");
        LLVMAddIncoming(sum, (LLVMValueRef[]){t->acc[i], both[i]}, from, 2);
        t->acc[i] = sum;
    }
    for (unsigned i = 0; i < t->rows * t->vectors; i++)
        store_vector(k, t->acc[i], c_part(k, t, i / t->vectors, i % t->vectors), t->mask);
}

/* The products of one run, from a and b on; the sums so far, then with them. */
static void tile_run(Kernel *k, const Tile *t, LLVMValueRef a, LLVMValueRef b_row, const LLVMValueRef *before, LLVMValueRef *after) {
    Loop l = loop_open(k, cg_i64(k->u, 0), param(k, T_K), 1);
    unsigned n = t->rows * t->vectors;
    LLVMValueRef vals[26], next[26], b[3];
    for (unsigned i = 0; i < n; i++) vals[i] = loop_value(k, &l, before[i]);
    vals[n] = loop_value(k, &l, a);
    vals[n + 1] = loop_value(k, &l, b_row);
    for (unsigned v = 0; v < t->vectors; v++) b[v] = load_vector(k, offset(k, vals[n + 1], t->b_at[v]), t->mask);
    for (unsigned r = 0; r < t->rows; r++) {
        LLVMValueRef x = splat(k, load(k, k->elem, offset(k, vals[n], t->a_row[r])), k->lanes);
        for (unsigned v = 0; v < t->vectors; v++) next[r * t->vectors + v] = multiply_add(k, x, b[v], vals[r * t->vectors + v]);
    }
    next[n] = offset(k, vals[n], param(k, T_AK));
    next[n + 1] = offset(k, vals[n + 1], param(k, T_BK));
    loop_close(k, &l, vals, next, n + 2);
    for (unsigned i = 0; i < n; i++) after[i] = vals[i];
}

static void tile_multiply(Kernel *k, Tile *t) {
    Loop l = loop_open(k, cg_i64(k->u, 0), param(k, T_NRUNS), 1);
    LLVMValueRef sums[24], more[24];
    unsigned n = t->rows * t->vectors;
    for (unsigned i = 0; i < n; i++) sums[i] = loop_value(k, &l, t->acc[i]);
    LLVMValueRef run = offset(k, param(k, T_RUNS), mul(k, l.i, 16));
    LLVMValueRef a = offset(k, param(k, T_A), LLVMBuildLoad2(k->b, k->u->i64, run, ""));
    LLVMValueRef b = offset(k, param(k, T_B), LLVMBuildLoad2(k->b, k->u->i64, offset(k, run, cg_i64(k->u, 8)), ""));
    tile_run(k, t, a, b, sums, more);
    loop_close(k, &l, sums, more, n);
    for (unsigned i = 0; i < n; i++) t->acc[i] = sums[i];
}

/* Vectors side by side, or (lines) a line apart in b and c. */
static LLVMValueRef emit_tile(Kernel *k, unsigned rows, unsigned vectors, bool masked, bool lines) {
    Tile t = {.rows = rows, .vectors = vectors};
    LLVMValueRef fn = begin(k, lines ? "tdl.strip" : "tdl.tile", lines ? "ippipipiiiipii" : "ippipipiiiip");
    if (masked) t.mask = mask_of(k, param(k, T_COLS));
    for (unsigned v = 0; v < vectors; v++) {
        t.b_at[v] = lines ? mul(k, param(k, T_B_LINE), v) : cg_i64(k->u, (int64_t)v * k->lanes * k->size);
        t.c_at[v] = lines ? mul(k, param(k, T_C_LINE), v) : t.b_at[v];
    }
    for (unsigned r = 0; r < rows; r++) {
        t.a_row[r] = LLVMBuildLoad2(k->b, k->u->i64, offset(k, param(k, T_A_ROWS), cg_i64(k->u, 8 * (int64_t)r)), "");
        t.c_row[r] = mul(k, param(k, T_CM), r);
    }
    tile_start(k, &t);
    tile_multiply(k, &t);
    tile_end(k, &t);
    LLVMBuildRetVoid(k->b);
    return fn;
}

/* ---- transpose(to, tr, from, fr, rows, cols) ---- */

static LLVMValueRef shuffle(Kernel *k, LLVMValueRef x, LLVMValueRef y, const unsigned *from) {
    LLVMValueRef list[64];
    for (unsigned i = 0; i < k->lanes; i++) list[i] = LLVMConstInt(k->u->i32, from[i], 0);
    return LLVMBuildShuffleVector(k->b, x, y, LLVMConstVector(list, k->lanes), "");
}

/* A square of lanes by lanes: blocks of h lanes change places, from the largest to single ones. */
static void exchange(Kernel *k, LLVMValueRef *x) {
    for (unsigned h = k->lanes / 2; h; h /= 2)
        for (unsigned i = 0; i < k->lanes; i++) {
            unsigned upper[64], lower[64];
            if (i & h) continue;
            for (unsigned l = 0; l < k->lanes; l++) {
                upper[l] = l & h ? k->lanes + l - h : l;
                lower[l] = l & h ? k->lanes + l : l + h;
            }
            LLVMValueRef up = shuffle(k, x[i], x[i + h], upper);
            x[i + h] = shuffle(k, x[i], x[i + h], lower);
            x[i] = up;
        }
}

/* Row or column i of the square; what is not there is not touched. */
static LLVMValueRef mask_row(Kernel *k, LLVMValueRef mask, unsigned i, LLVMValueRef n) {
    if (!mask) return NULL;
    LLVMValueRef there = LLVMBuildICmp(k->b, LLVMIntSGT, n, cg_i64(k->u, i), "");
    return LLVMBuildSelect(k->b, there, mask, LLVMConstNull(LLVMTypeOf(mask)), "");
}

static LLVMValueRef emit_transpose(Kernel *k) {
    LLVMValueRef fn = begin(k, "tdl.transpose", "pipiii"), x[64];
    LLVMValueRef rows = k->masked ? mask_of(k, param(k, 4)) : NULL, cols = k->masked ? mask_of(k, param(k, 5)) : NULL;
    for (unsigned i = 0; i < k->lanes; i++)
        x[i] = load_vector(k, offset(k, param(k, 2), mul(k, param(k, 3), i)), mask_row(k, cols, i, param(k, 4)));
    exchange(k, x);
    for (unsigned i = 0; i < k->lanes; i++)
        store_vector(k, x[i], offset(k, param(k, 0), mul(k, param(k, 1), i)), mask_row(k, rows, i, param(k, 5)));
    LLVMBuildRetVoid(k->b);
    return fn;
}

/* ---- axpy(n, a, ak, b, bk, c) ---- */

/* c[i..] += a[r] b[r, i..], in steps of one vector (of one element: scalar) from lo. */
static void axpy_loop(Kernel *k, LLVMValueRef lo, LLVMValueRef hi, unsigned rows, const LLVMValueRef *a, const LLVMValueRef *row, bool scalar) {
    Loop l = loop_open(k, lo, hi, scalar ? 1 : k->lanes);
    LLVMTypeRef type = scalar ? k->elem : k->vec;
    LLVMValueRef mask = k->masked ? mask_of(k, LLVMBuildNSWSub(k->b, hi, l.i, "")) : NULL;
    LLVMValueRef at = mul(k, l.i, k->size), c = offset(k, param(k, 5), at);
    LLVMValueRef sum = scalar ? load(k, type, c) : load_vector(k, c, mask);
    for (unsigned r = 0; r < rows; r++) {
        LLVMValueRef p = offset(k, row[r], at), x = scalar ? load(k, type, p) : load_vector(k, p, mask);
        sum = multiply_add(k, a[r], x, sum);
    }
    if (scalar) store(k, sum, c);
    else store_vector(k, sum, c, mask);
    loop_close(k, &l, NULL, NULL, 0);
}

static LLVMValueRef emit_axpy(Kernel *k, unsigned rows) {
    LLVMValueRef fn = begin(k, "tdl.axpy", "ipipip"), a[ROW_GROUP], all[ROW_GROUP], row[ROW_GROUP];
    for (unsigned r = 0; r < rows; r++) {
        a[r] = load(k, k->elem, offset(k, param(k, 1), mul(k, param(k, 2), r)));
        all[r] = splat(k, a[r], k->lanes);
        row[r] = offset(k, param(k, 3), mul(k, param(k, 4), r));
    }
    LLVMValueRef n = param(k, 0), whole = LLVMBuildAnd(k->b, n, cg_i64(k->u, -(int64_t)k->lanes), "");
    axpy_loop(k, cg_i64(k->u, 0), k->masked ? n : whole, rows, all, row, false);
    if (!k->masked) axpy_loop(k, whole, n, rows, a, row, true);
    LLVMBuildRetVoid(k->b);
    return fn;
}

/* ---- dots(k, a, b, bn, c, cn, accumulate) ---- */

static void dots_loop(Kernel *k, LLVMValueRef lo, LLVMValueRef hi, unsigned rows, const LLVMValueRef *row, LLVMValueRef *sums, bool scalar) {
    Loop l = loop_open(k, lo, hi, scalar ? 1 : k->lanes);
    LLVMValueRef next[ROW_GROUP];
    for (unsigned r = 0; r < rows; r++) sums[r] = loop_value(k, &l, sums[r]);
    LLVMValueRef mask = k->masked ? mask_of(k, LLVMBuildNSWSub(k->b, hi, l.i, "")) : NULL;
    LLVMValueRef at = mul(k, l.i, k->size), p = offset(k, param(k, 1), at);
    LLVMValueRef x = scalar ? load(k, k->elem, p) : load_vector(k, p, mask);
    for (unsigned r = 0; r < rows; r++) {
        LLVMValueRef q = offset(k, row[r], at), y = scalar ? load(k, k->elem, q) : load_vector(k, q, mask);
        next[r] = multiply_add(k, x, y, sums[r]);
    }
    loop_close(k, &l, sums, next, rows);
}

static LLVMValueRef emit_dots(Kernel *k, unsigned rows) {
    LLVMValueRef fn = begin(k, "tdl.dots", "ippipii"), row[ROW_GROUP], sums[ROW_GROUP];
    for (unsigned r = 0; r < rows; r++) {
        row[r] = offset(k, param(k, 2), mul(k, param(k, 3), r));
        sums[r] = LLVMConstNull(k->vec);
    }
    LLVMValueRef n = param(k, 0), whole = LLVMBuildAnd(k->b, n, cg_i64(k->u, -(int64_t)k->lanes), "");
    dots_loop(k, cg_i64(k->u, 0), k->masked ? n : whole, rows, row, sums, false);
    for (unsigned r = 0; r < rows; r++) {
        LLVMValueRef zero = LLVMConstReal(k->elem, -0.0);
        sums[r] = cg_intrinsic(k->u, "llvm.vector.reduce.fadd", &k->vec, 1, (LLVMValueRef[]){zero, sums[r]}, 2);
        LLVMSetFastMathFlags(sums[r], LLVMFastMathAllowReassoc);
    }
    if (!k->masked) dots_loop(k, whole, n, rows, row, sums, true);
    LLVMBasicBlockRef more = block(k, "more"), write = block(k, "write"), from[2] = {LLVMGetInsertBlock(k->b), more};
    LLVMValueRef both[ROW_GROUP];
    LLVMBuildCondBr(k->b, LLVMBuildICmp(k->b, LLVMIntNE, param(k, 6), cg_i64(k->u, 0), ""), more, write);
    place(k, more);
    for (unsigned r = 0; r < rows; r++)
        both[r] = LLVMBuildFAdd(k->b, load(k, k->elem, offset(k, param(k, 4), mul(k, param(k, 5), r))), sums[r], "");
    LLVMBuildBr(k->b, write);
    place(k, write);
    for (unsigned r = 0; r < rows; r++) {
        LLVMValueRef in[2] = {sums[r], both[r]};
        sums[r] = LLVMBuildPhi(k->b, k->elem, "");
        LLVMAddIncoming(sums[r], in, from, 2);
    }
    for (unsigned r = 0; r < rows; r++) store(k, sums[r], offset(k, param(k, 4), mul(k, param(k, 5), r)));
    LLVMBuildRetVoid(k->b);
    return fn;
}

/* ---- the table ---- */

/* Rows of the tallest tile, as a power of two: accumulators, vectors of b and one of a fit the registers. */
static unsigned tallest(const CgUnit *u) {
    bool x86 = !strncmp(LLVMGetTarget(u->mod), "x86_64", 6) || !strncmp(LLVMGetTarget(u->mod), "i", 1);
    return x86 && u->vector_bytes < 64 ? 2 : 3;
}

/* As struct TdlrtKernels. */
static LLVMTypeRef table_type(const CgUnit *u) {
    LLVMTypeRef pair = LLVMArrayType2(u->ptr, 2), i = u->i64;
    return LLVMStructTypeInContext(u->ctx, (LLVMTypeRef[]){i, i, i, i, LLVMArrayType2(u->ptr, 16), u->ptr, pair, pair, u->ptr}, 9, 0);
}

static LLVMValueRef emit_table(CgUnit *u, TdlElem e) {
    Kernel k = {.u = u, .b = u->b, .elem = cg_elem_type(u, e), .size = el_bytes(e), .masked = u->vector_bytes > CG_VECTOR_LEAST};
    k.lanes = u->vector_bytes / k.size;
    k.vec = LLVMVectorType(k.elem, k.lanes);
    LLVMValueRef tiles[16], null = LLVMConstNull(u->ptr);
    unsigned top = tallest(u);
    for (unsigned r = 0; r < 4; r++) {
        for (unsigned v = 1; v <= 3; v++) tiles[4 * r + v] = r <= top ? emit_tile(&k, 1u << r, v, false, false) : null;
        tiles[4 * r] = r <= top && k.masked ? emit_tile(&k, 1u << r, 1, true, false) : null;
    }
    LLVMValueRef axpy[2] = {emit_axpy(&k, 1), emit_axpy(&k, ROW_GROUP)}, dots[2] = {emit_dots(&k, 1), emit_dots(&k, ROW_GROUP)};
    LLVMValueRef strip = k.masked && u->windows ? emit_tile(&k, 1u << top, 3, true, true) : null;
    LLVMValueRef fields[9] = {cg_i64(u, k.size), cg_i64(u, k.lanes), cg_i64(u, k.masked), cg_i64(u, top), LLVMConstArray2(u->ptr, tiles, 16),
                              emit_transpose(&k), LLVMConstArray2(u->ptr, axpy, 2), LLVMConstArray2(u->ptr, dots, 2), strip};
    return LLVMConstStructInContext(u->ctx, fields, 9, 0);
}

/* By name, since LLVM drops what only dead code used. */
static const struct { TdlElem elem; const char *name; } TABLES[] = {{EL_F32, "tdl.kernels.f32"}, {EL_F64, "tdl.kernels.f64"}};

LLVMValueRef cg_kernels(CgUnit *u, TdlElem e) {
    const char *name = TABLES[e == EL_F64].name;
    LLVMValueRef table = LLVMGetNamedGlobal(u->mod, name);
    return table ? table : LLVMAddGlobal(u->mod, table_type(u), name);
}

bool cg_kernels_emit(CgUnit *u) {
    bool any = false;
    LLVMSetCurrentDebugLocation2(u->b, NULL);
    for (size_t i = 0; i < sizeof TABLES / sizeof *TABLES; i++) {
        LLVMValueRef table = LLVMGetNamedGlobal(u->mod, TABLES[i].name);
        if (!table) continue;
        LLVMSetInitializer(table, emit_table(u, TABLES[i].elem));
        LLVMSetLinkage(table, LLVMInternalLinkage);
        LLVMSetGlobalConstant(table, 1);
        any = true;
    }
    return any;
}
