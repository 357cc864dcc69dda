/* Memory in vector loops. Buffers with lanes keep the lanes of an element side by side. Sums that the iterations add to
 * may have fewer lanes than the loop (`lanes` of them, a register's): a load gives the loop's lanes, of which all but the
 * first `lanes` are -0, and a store adds up those that fall together. Memory without lanes is accessed by vectors where
 * the lanes' places are adjacent, lane by lane elsewhere (as fast as gathers on most machines, and every target has it).
 * Under a mask only lanes that run read and write, and private memory keeps what it holds of the others. */
#include "codegen/vector.h"

/* ---- offsets: a scalar, an affine vector, or any vector, and what is added to all of its lanes (or NULL): apart, so that
 * elements of one row have the addresses of the rows in common ---- */

typedef struct { LLVMValueRef scalar; CgAffine affine; LLVMValueRef vector, plus; } Offset;

static Offset offset_of(const Cg *g, TdlVal v) {
    LLVMValueRef x = cg_val(g, v);
    if (!cg_is_vector(x)) return (Offset){.scalar = x};
    if (g->affine[v.id].stride) return (Offset){.affine = g->affine[v.id]};
    return (Offset){.vector = x};
}

static LLVMValueRef as_vector(CgUnit *u, Offset a, unsigned lanes) {
    if (a.scalar) return cg_splat(u, a.scalar, lanes);
    if (!a.vector) return vec_expand(u, a.affine, lanes);
    return a.plus ? LLVMBuildNSWAdd(u->b, a.vector, cg_splat(u, a.plus, lanes), "") : a.vector;
}

/* Of one lane, as a scalar. */
static LLVMValueRef in_lane(CgUnit *u, Offset a, unsigned lane) {
    if (a.scalar) return a.scalar;
    if (!a.vector) return LLVMBuildNSWAdd(u->b, a.affine.base, LLVMBuildNSWMul(u->b, a.affine.stride, cg_i64(u, lane), ""), "");
    LLVMValueRef at = vec_extract(u, a.vector, lane);
    return a.plus ? LLVMBuildNSWAdd(u->b, at, a.plus, "") : at;
}

static Offset offset_scale(CgUnit *u, Offset a, LLVMValueRef k, unsigned lanes) {
    if (a.scalar) return (Offset){.scalar = LLVMBuildNSWMul(u->b, a.scalar, k, "")};
    if (a.vector) {
        LLVMValueRef plus = a.plus ? LLVMBuildNSWMul(u->b, a.plus, k, "") : NULL;
        return (Offset){.vector = LLVMBuildNSWMul(u->b, a.vector, cg_splat(u, k, lanes), ""), .plus = plus};
    }
    return (Offset){.affine = {LLVMBuildNSWMul(u->b, a.affine.base, k, ""), LLVMBuildNSWMul(u->b, a.affine.stride, k, "")}};
}

static Offset offset_add(CgUnit *u, Offset a, Offset b, unsigned lanes) {
    if (a.scalar && b.scalar) return (Offset){.scalar = LLVMBuildNSWAdd(u->b, a.scalar, b.scalar, "")};
    if (a.scalar && b.vector) return offset_add(u, b, a, lanes);
    if (a.vector && b.scalar) return (Offset){.vector = a.vector, .plus = a.plus ? LLVMBuildNSWAdd(u->b, a.plus, b.scalar, "") : b.scalar};
    if (a.vector || b.vector) return (Offset){.vector = LLVMBuildNSWAdd(u->b, as_vector(u, a, lanes), as_vector(u, b, lanes), "")};
    LLVMValueRef base = LLVMBuildNSWAdd(u->b, a.scalar ? a.scalar : a.affine.base, b.scalar ? b.scalar : b.affine.base, "");
    if (a.scalar || b.scalar) return (Offset){.affine = {base, a.scalar ? b.affine.stride : a.affine.stride}};
    return (Offset){.affine = {base, LLVMBuildNSWAdd(u->b, a.affine.stride, b.affine.stride, "")}};
}

/* As an offset from the pointer of v, which may be a view that differs between lanes. */
static Offset from_view(Cg *g, TdlVal v, Offset at) {
    if (g->lane_offset[v.id]) return offset_add(g->u, at, (Offset){.vector = g->lane_offset[v.id]}, g->width);
    if (g->lane_affine[v.id].stride) return offset_add(g->u, at, (Offset){.affine = g->lane_affine[v.id]}, g->width);
    return at;
}

/* Elements from the pointer of buffer v to its element idx (operands first.. of o). */
static Offset place(Cg *g, TdlOp o, uint32_t buf, uint32_t first) {
    CgUnit *u = g->u;
    const TdlOpData *d = ir_op(g->f, o);
    TdlVal v = d->operands[buf];
    const TdlModule *m = g->f->module;
    TdlType t = ir_type(g->f, v);
    uint32_t n = d->noperands - first;
    Offset at = n ? offset_of(g, d->operands[first]) : (Offset){.scalar = cg_i64(u, 0)};
    for (uint32_t i = 1; n && i < ty_rank(m, t); i++) {
        at = offset_scale(u, at, cg_dim(g, ty_dims(m, t)[i]), g->width);
        if (i < n) at = offset_add(u, at, offset_of(g, d->operands[first + i]), g->width);
    }
    return from_view(g, v, at);
}

static Offset in_view(Cg *g, TdlVal v, LLVMValueRef i) { return from_view(g, v, (Offset){.scalar = i}); }

/* ---- access ---- */

static LLVMValueRef pointer(Cg *g, TdlVal v, LLVMValueRef at) {
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    return LLVMBuildInBoundsGEP2(g->u->b, cg_mem_type(g->u, e), cg_val(g, v), &at, 1, "");
}

/* Buffers begin at multiples of 64. */
static unsigned lane_alignment(TdlElem e, unsigned lanes) {
    unsigned bytes = lanes * el_bytes(e);
    return bytes < 64 ? bytes : 64;
}

static LLVMValueRef load_vector(Cg *g, TdlElem e, LLVMValueRef p, uint32_t root, unsigned lanes, unsigned align) {
    CgUnit *u = g->u;
    LLVMValueRef x = LLVMBuildLoad2(u->b, LLVMVectorType(cg_mem_type(u, e), lanes), p, "");
    LLVMSetAlignment(x, align);
    cg_access(g, x, root);
    return e == EL_BOOL ? LLVMBuildICmp(u->b, LLVMIntNE, x, LLVMConstNull(LLVMTypeOf(x)), "") : x;
}

static void store_vector(Cg *g, TdlElem e, LLVMValueRef x, LLVMValueRef p, uint32_t root, unsigned align) {
    CgUnit *u = g->u;
    if (e == EL_BOOL) x = LLVMBuildZExt(u->b, x, LLVMVectorType(u->i8, cg_width(x)), "");
    LLVMValueRef s = LLVMBuildStore(u->b, x, p);
    LLVMSetAlignment(s, align);
    cg_access(g, s, root);
}

/* An intrinsic on memory under a mask; `value` is what is stored, or what the other lanes of a load are. */
static LLVMValueRef masked(Cg *g, const char *name, LLVMValueRef mask, LLVMValueRef value, LLVMValueRef p, unsigned align, uint32_t root, bool load) {
    CgUnit *u = g->u;
    LLVMTypeRef types[2] = {LLVMTypeOf(value), LLVMTypeOf(p)};
    LLVMValueRef args[4];
    unsigned n = 0;
    if (!load) args[n++] = value;
    args[n++] = p;
#if TDL_LLVM_MAJOR < 22 /* which has the alignment as an attribute; without it none is promised */
    args[n++] = LLVMConstInt(u->i32, align, 0);
#else
    (void)align;
#endif
    args[n++] = mask;
    if (load) args[n++] = value;
    LLVMValueRef x = cg_intrinsic(u, name, types, 2, args, n);
    cg_access(g, x, root);
    return x;
}

static LLVMValueRef load_masked(Cg *g, TdlElem e, LLVMValueRef mask, LLVMValueRef p, uint32_t root) {
    LLVMTypeRef t = LLVMVectorType(cg_mem_type(g->u, e), g->width);
    LLVMValueRef x = masked(g, "llvm.masked.load", mask, LLVMConstNull(t), p, el_bytes(e), root, true);
    return e == EL_BOOL ? LLVMBuildICmp(g->u->b, LLVMIntNE, x, LLVMConstNull(t), "") : x;
}

/* Lanes side by side at p, or at a vector of pointers. */
static void store_masked(Cg *g, TdlElem e, LLVMValueRef mask, LLVMValueRef x, LLVMValueRef p, uint32_t root) {
    if (e == EL_BOOL) x = LLVMBuildZExt(g->u->b, x, LLVMVectorType(g->u->i8, g->width), "");
    masked(g, cg_is_vector(p) ? "llvm.masked.scatter" : "llvm.masked.store", mask, x, p, el_bytes(e), root, false);
}

/* An element of sums with fewer lanes than the loop: what is missing is -0, which changes no sum. */
static LLVMValueRef widen_sums(Cg *g, LLVMValueRef x) {
    LLVMValueRef list[CG_MAX_LANES];
    unsigned lanes = cg_width(x);
    LLVMValueRef zero = cg_splat(g->u, LLVMConstReal(LLVMGetElementType(LLVMTypeOf(x)), -0.0), lanes);
    for (unsigned i = 0; i < g->width; i++) list[i] = LLVMConstInt(g->u->i32, i < lanes ? i : lanes + i % lanes, 0);
    return LLVMBuildShuffleVector(g->u->b, x, zero, LLVMConstVector(list, g->width), "");
}

/* The sums of which x is the widened form; NULL: it is another vector. */
static LLVMValueRef widened(LLVMValueRef x, unsigned lanes) {
    if (!LLVMIsAShuffleVectorInst(x) || cg_width(LLVMGetOperand(x, 0)) != lanes) return NULL;
    LLVMValueRef rest = LLVMGetOperand(x, 1);
    return LLVMIsAConstant(rest) && !LLVMIsUndef(rest) ? LLVMGetOperand(x, 0) : NULL;
}

/* Back to so many lanes: those that fall together are added. Where x is sum + y or sum - y, the parts of y are added to the
 * sum one after another, which makes a chain of multiply-adds of products. */
static LLVMValueRef fold_sums(Cg *g, LLVMValueRef x, unsigned lanes) {
    LLVMBuilderRef b = g->u->b;
    LLVMValueRef sum = NULL;
    bool minus = LLVMIsAInstruction(x) && LLVMGetInstructionOpcode(x) == LLVMFSub;
    if (minus || (LLVMIsAInstruction(x) && LLVMGetInstructionOpcode(x) == LLVMFAdd)) {
        LLVMValueRef left = LLVMGetOperand(x, 0), right = LLVMGetOperand(x, 1);
        if ((sum = widened(left, lanes))) x = right;
        else if (!minus && (sum = widened(right, lanes))) x = left;
    }
    minus &= sum != NULL;
    LLVMValueRef zero = cg_splat(g->u, LLVMConstReal(LLVMGetElementType(LLVMTypeOf(x)), minus ? 0.0 : -0.0), g->width);
    if (g->mask && sum) x = LLVMBuildSelect(b, g->mask, x, zero, "");
    for (unsigned i = 0; i < g->width; i += lanes) {
        LLVMValueRef part = vec_part(g->u, x, i, lanes);
        sum = sum ? cg_fp(g->u, (minus ? LLVMBuildFSub : LLVMBuildFAdd)(b, sum, part, ""), true) : part;
    }
    return sum;
}

/* The lanes of an element, those of the loop. */
static LLVMValueRef load_lanes(Cg *g, TdlVal v, LLVMValueRef at) {
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    unsigned lanes = g->lanes[v.id], n = lanes < g->width ? lanes : g->width;
    LLVMValueRef x = load_vector(g, e, cg_element(g, v, at), g->root[v.id], n, lane_alignment(e, lanes));
    return n < g->width ? widen_sums(g, x) : x;
}

static void store_lanes(Cg *g, TdlVal v, LLVMValueRef at, LLVMValueRef x) {
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    unsigned lanes = g->lanes[v.id];
    x = cg_splat(g->u, x, g->width);
    if (lanes < g->width) x = fold_sums(g, x, lanes);
    else if (g->mask) x = LLVMBuildSelect(g->u->b, g->mask, x, load_lanes(g, v, at), "");
    store_vector(g, e, x, cg_element(g, v, at), g->root[v.id], lane_alignment(e, lanes));
}

static bool is_int(LLVMValueRef x, int64_t k) { return LLVMIsAConstantInt(x) && LLVMConstIntGetSExtValue(x) == k; }

/* ---- every other element ----
 * Element 0 of lane 0 on: vector 0 begins there, vector 1 so that it ends with the last lane's, so that nothing is read behind
 * it. Lane l is element 2*l of vector 0 while there is one, then element 2*l - lanes + 1 of vector 1. */

typedef enum { FROM_LANES, TO_LANES } Direction;

/* TO_LANES: the lanes of vectors x and y. FROM_LANES: vector 0 (of = 0) or 1 with lanes x at their places, y elsewhere. */
static LLVMValueRef every_other(Cg *g, Direction to, LLVMValueRef x, LLVMValueRef y, unsigned of) {
    LLVMValueRef list[CG_MAX_LANES];
    unsigned n = g->width, half = n / 2;
    for (unsigned i = 0; i < n; i++) {
        bool here = (i % 2 == 0) == (of == 0);
        unsigned at = to == TO_LANES ? (i < half ? 2 * i : 2 * i + 1) : here ? i / 2 + of * half : n;
        list[i] = LLVMConstInt(g->u->i32, at, 0);
    }
    return LLVMBuildShuffleVector(g->u->b, x, y, LLVMConstVector(list, n), "");
}

/* The lanes that run, as a mask of vector `of`. */
static LLVMValueRef every_other_mask(Cg *g, unsigned of) {
    LLVMTypeRef t = LLVMVectorType(LLVMInt1TypeInContext(g->u->ctx), g->width);
    return every_other(g, FROM_LANES, g->mask ? g->mask : LLVMConstAllOnes(t), LLVMConstNull(t), of);
}

enum { MASKS = 32 /* bytes of registers with masks */, FAST_MASKED = 4 /* bytes of the least element they are fast for */ };

/* As pass `vector` reckons with it (VEC_MASKED, VEC_EVERY_OTHER). */
static bool is_every_other(const Cg *g, TdlVal v, Offset at) {
    if (g->lanes[v.id] || at.scalar || at.vector || !is_int(at.affine.stride, 2)) return false;
    return g->u->vector_bytes >= MASKS && el_bytes(ty_elem(g->f->module, ir_type(g->f, v))) >= FAST_MASKED;
}

static LLVMValueRef every_other_pointer(Cg *g, TdlVal v, Offset at, unsigned of) {
    LLVMValueRef first = at.affine.base;
    return pointer(g, v, of ? LLVMBuildNSWAdd(g->u->b, first, cg_i64(g->u, g->width - 1), "") : first);
}

static LLVMValueRef load_every_other(Cg *g, TdlVal v, Offset at) {
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    LLVMValueRef x[2];
    for (unsigned i = 0; i < 2; i++) {
        LLVMValueRef p = every_other_pointer(g, v, at, i);
        x[i] = g->mask ? load_masked(g, e, every_other_mask(g, i), p, g->root[v.id]) : load_vector(g, e, p, g->root[v.id], g->width, el_bytes(e));
    }
    return every_other(g, TO_LANES, x[0], x[1], 0);
}

/* Under a mask also where all lanes run: what lies in between is not written. */
static void store_every_other(Cg *g, TdlVal v, Offset at, LLVMValueRef x) {
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    for (unsigned i = 0; i < 2; i++)
        store_masked(g, e, every_other_mask(g, i), every_other(g, FROM_LANES, x, x, i), every_other_pointer(g, v, at, i), g->root[v.id]);
}

/* Element of a lane, as scalar address. */
static LLVMValueRef lane_pointer(Cg *g, TdlVal v, Offset offset, unsigned lane) {
    CgUnit *u = g->u;
    LLVMValueRef at = in_lane(u, offset, lane);
    unsigned lanes = g->lanes[v.id];
    if (lanes) at = LLVMBuildNSWAdd(u->b, LLVMBuildNSWMul(u->b, at, cg_i64(u, lanes), ""), cg_i64(u, lane), "");
    return pointer(g, v, at);
}

static LLVMValueRef load_at(Cg *g, TdlVal v, Offset at) {
    CgUnit *u = g->u;
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    uint32_t root = g->root[v.id];
    if (g->lanes[v.id] && at.scalar) return load_lanes(g, v, at.scalar);
    if (at.scalar) return cg_load_elem(g, e, pointer(g, v, at.scalar), root);
    if (!g->lanes[v.id] && !at.vector && is_int(at.affine.stride, 1)) {
        LLVMValueRef p = pointer(g, v, at.affine.base);
        return g->mask ? load_masked(g, e, g->mask, p, root) : load_vector(g, e, p, root, g->width, el_bytes(e));
    }
    if (is_every_other(g, v, at)) return load_every_other(g, v, at);
    LLVMValueRef r = NULL;
    if (g->mask) { /* lanes that do not run read element 0, which is there where any is */
        LLVMValueRef all = as_vector(u, at, g->width);
        at = (Offset){.vector = LLVMBuildSelect(u->b, g->mask, all, LLVMConstNull(LLVMTypeOf(all)), "")};
    }
    for (unsigned i = 0; i < g->width; i++)
        r = vec_insert(u, r, cg_load_elem(g, e, lane_pointer(g, v, at, i), root), i, g->width);
    return r;
}

static void store_at_masked(Cg *g, TdlVal v, Offset at, LLVMValueRef x) {
    CgUnit *u = g->u;
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    unsigned lanes = g->lanes[v.id];
    if (!lanes && !at.scalar && !at.vector && is_int(at.affine.stride, 1)) {
        store_masked(g, e, g->mask, x, pointer(g, v, at.affine.base), g->root[v.id]);
        return;
    }
    LLVMValueRef all = as_vector(u, at, g->width);
    if (lanes) {
        LLVMValueRef first = LLVMBuildNSWMul(u->b, all, cg_splat(u, cg_i64(u, lanes), g->width), "");
        all = LLVMBuildNSWAdd(u->b, first, vec_expand(u, (CgAffine){cg_i64(u, 0), cg_i64(u, 1)}, g->width), "");
    }
    store_masked(g, e, g->mask, x, pointer(g, v, all), g->root[v.id]);
}

static void store_at(Cg *g, TdlVal v, Offset at, LLVMValueRef x) {
    CgUnit *u = g->u;
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, v));
    uint32_t root = g->root[v.id];
    if (g->lanes[v.id] && at.scalar) {
        store_lanes(g, v, at.scalar, x);
    } else if (is_every_other(g, v, at)) {
        store_every_other(g, v, at, cg_splat(u, x, g->width));
    } else if (g->mask) {
        store_at_masked(g, v, at, cg_splat(u, x, g->width));
    } else if (at.scalar) {
        cg_store_elem(g, e, vec_extract(u, x, g->width - 1), pointer(g, v, at.scalar), root);
    } else if (!g->lanes[v.id] && !at.vector && is_int(at.affine.stride, 1)) {
        store_vector(g, e, cg_splat(u, x, g->width), pointer(g, v, at.affine.base), root, el_bytes(e));
    } else {
        for (unsigned i = 0; i < g->width; i++) cg_store_elem(g, e, vec_extract(u, x, i), lane_pointer(g, v, at, i), root);
    }
}

LLVMValueRef vec_load(Cg *g, TdlOp o) { return load_at(g, ir_op(g->f, o)->operands[0], place(g, o, 0, 1)); }

void vec_store(Cg *g, TdlOp o) { store_at(g, ir_op(g->f, o)->operands[1], place(g, o, 1, 2), cg_operand(g, o, 0)); }

void vec_view(Cg *g, TdlOp o) {
    const TdlOpData *d = ir_op(g->f, o);
    TdlVal source = d->operands[0], result = d->results[0];
    Offset at = op_int(g->f, o, "flat", 0) ? offset_of(g, d->operands[1]) : place(g, o, 0, 1);
    g->lanes[result.id] = g->lanes[source.id];
    g->root[result.id] = g->root[source.id];
    g->lane_offset[result.id] = at.vector ? as_vector(g->u, at, g->width) : NULL;
    g->lane_affine[result.id] = at.affine;
    cg_set(g, result, at.scalar ? cg_element(g, source, at.scalar) : cg_val(g, source));
}

/* ---- element by element: copies and sums with lanes ---- */

enum { UNROLL = 16 /* elements that are dealt with one after another, without a loop */ };

typedef void (*EachElement)(Cg *g, TdlOp o, LLVMValueRef i);

static void each_element(Cg *g, TdlOp o, EachElement fn) {
    CgUnit *u = g->u;
    LLVMValueRef n = cg_numel(g, ir_type(g->f, ir_op(g->f, o)->operands[0])), zero = cg_i64(u, 0);
    if (LLVMIsAConstantInt(n) && LLVMConstIntGetSExtValue(n) <= UNROLL) {
        for (int64_t i = 0; i < LLVMConstIntGetSExtValue(n); i++) fn(g, o, cg_i64(u, i));
        return;
    }
    LLVMBasicBlockRef before = cg_here(g), body = cg_block(g, "each"), end = cg_block(g, "");
    LLVMBuildCondBr(u->b, LLVMBuildICmp(u->b, LLVMIntSGT, n, zero, ""), body, end);
    LLVMPositionBuilderAtEnd(u->b, body);
    LLVMValueRef i = LLVMBuildPhi(u->b, u->i64, "");
    fn(g, o, i);
    LLVMValueRef next = LLVMBuildNSWAdd(u->b, i, cg_i64(u, 1), "");
    LLVMBuildCondBr(u->b, LLVMBuildICmp(u->b, LLVMIntSLT, next, n, ""), body, end);
    LLVMAddIncoming(i, (LLVMValueRef[]){zero, next}, (LLVMBasicBlockRef[]){before, body}, 2);
    LLVMPositionBuilderAtEnd(u->b, end);
}

/* In scalar code element i is lane 0; in vector code every lane. */
static void copy_element(Cg *g, TdlOp o, LLVMValueRef i) {
    TdlVal dst = ir_op(g->f, o)->operands[0], src = ir_op(g->f, o)->operands[1];
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, dst));
    if (!g->width) {
        cg_store_elem(g, e, cg_load_elem(g, e, cg_element(g, src, i), g->root[src.id]), cg_element(g, dst, i), g->root[dst.id]);
        return;
    }
    store_at(g, dst, in_view(g, dst, i), load_at(g, src, in_view(g, src, i)));
}

/* A value into every element of a buffer with lanes, or of the lanes' own parts of one. */
static void fill_element(Cg *g, TdlOp o, LLVMValueRef i) {
    TdlVal dst = ir_op(g->f, o)->operands[0];
    store_at(g, dst, in_view(g, dst, i), cg_operand(g, o, 1));
}

bool vec_fills(const Cg *g, TdlOp o) {
    TdlVal dst = ir_op(g->f, o)->operands[0];
    return g->mask || cg_is_vector(cg_operand(g, o, 1)) || g->lane_offset[dst.id] || g->lane_affine[dst.id].stride;
}

void vec_fill(Cg *g, TdlOp o) { each_element(g, o, fill_element); }

void cg_copy_lanes(Cg *g, TdlOp o) { each_element(g, o, copy_element); }

LLVMValueRef vec_sum(CgUnit *u, LLVMValueRef x) {
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef zero = LLVMConstReal(LLVMGetElementType(type), -0.0);
    LLVMValueRef sum = cg_intrinsic(u, "llvm.vector.reduce.fadd", &type, 1, (LLVMValueRef[]){zero, x}, 2);
    LLVMSetFastMathFlags(sum, LLVMFastMathAllowReassoc);
    return sum;
}

static void add_lanes(Cg *g, TdlOp o, LLVMValueRef i) {
    CgUnit *u = g->u;
    TdlVal dst = ir_op(g->f, o)->operands[0], src = ir_op(g->f, o)->operands[1];
    TdlElem e = ty_elem(g->f->module, ir_type(g->f, dst));
    LLVMValueRef x = load_vector(g, e, cg_element(g, src, i), g->root[src.id], g->lanes[src.id], lane_alignment(e, g->lanes[src.id]));
    LLVMValueRef sum = vec_sum(u, x);
    LLVMValueRef at = cg_element(g, dst, i), old = cg_load_elem(g, e, at, g->root[dst.id]);
    cg_store_elem(g, e, LLVMBuildFAdd(u->b, old, sum, ""), at, g->root[dst.id]);
}

void cg_LANESUM(Cg *g, TdlOp o) { each_element(g, o, add_lanes); }
