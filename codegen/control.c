/* Regions, loops, branches, calls and checks: structured operations become blocks and phis. */
#include "codegen/cg.h"

#include <string.h>

/* ---- dispatch ---- */

#define CG_FN_SCALAR(NAME) cg_##NAME
#define CG_FN_LOOP(NAME) cg_##NAME
#define CG_FN_EXPAND(NAME) NULL
#define CG_FN_STRUCT(NAME) NULL
#define CG_FN_EARLY(NAME) NULL
static const CgOpFn emitters[OP_COUNT] = {
    NULL,
#define OP(NAME, mnemonic, min, max, regions, flags, type, deriv, lower, attrs, doc) CG_FN_##lower(NAME),
#include "ir/ops.def"
#undef OP
};

static CgOpFn structure(TdlOpcode code) {
    switch ((int)code) {
#define X(NAME) case OP_##NAME: return cg_##NAME;
        CG_STRUCTURE(X)
#undef X
    default: return NULL;
    }
}

void cg_op(Cg *g, TdlOp o) {
    TdlOpcode code = ir_op(g->f, o)->code;
    CgOpFn fn = emitters[code] ? emitters[code] : structure(code);
    if (!fn) {
        cg_error(g, o, "internal: operation %s is left in loop IR", op_info(code)->name);
        return;
    }
    cg_debug_op(g, ir_op(g->f, o)->span);
    g->u->exact = op_int(g->f, o, "exact", 0) != 0;
    if (!g->width || !cg_vector_op(g, o, fn)) fn(g, o);
    g->u->exact = false;
}

void cg_region(Cg *g, TdlRegion r) {
    uint32_t scope = g->dims.n;
    g->nyielded = 0;
    IR_FOREACH_OP(g->f, r, o) {
        cg_op(g, o);
        if (!g->ok) return;
    }
    g->dims.n = scope;
}

void cg_YIELD(Cg *g, TdlOp o) {
    const TdlOpData *d = ir_op(g->f, o);
    g->yielded = ARENA_ARRAY(g->u->arena, LLVMValueRef, d->noperands);
    g->nyielded = d->noperands;
    for (uint32_t i = 0; i < d->noperands; i++) g->yielded[i] = cg_operand(g, o, i);
}

void cg_RETURN(Cg *g, TdlOp o) {
    if (ir_op(g->f, o)->noperands) cg_error(g, o, "internal: loop IR returns its results through buffers");
    LLVMBuildRet(g->u->b, LLVMConstInt(g->u->i32, CG_OK, 0));
}

/* ---- checks ---- */

/* "file:line: " of a place, or with the column, "" without one. */
static TdlStr place_text(Cg *g, TdlSpan span, bool column) {
    TdlStr s = str_new(g->u->arena);
    uint32_t line = 0, col = 0;
    if (!span.file) return s;
    sources_line_col(g->f->module->sources, span.file, span.at, &line, &col);
    str_printf(&s, "%s:%u:", sources_name(g->f->module->sources, span.file), line);
    str_printf(&s, column ? "%u: " : " ", col);
    return s;
}

/* Leaves the builder in a fresh block that runs when `bad`; *good is where execution goes on. */
static void open_failure(Cg *g, LLVMValueRef bad, LLVMBasicBlockRef *good) {
    LLVMBasicBlockRef failed = cg_block(g, "failed");
    *good = cg_block(g, "");
    LLVMBuildCondBr(g->u->b, bad, failed, *good);
    LLVMPositionBuilderAtEnd(g->u->b, failed);
}

void cg_fail_if(Cg *g, LLVMValueRef bad, int status, TdlSpan span, const char *message) {
    CgUnit *u = g->u;
    LLVMBasicBlockRef good;
    TdlStr text = place_text(g, span, status == CG_NOT_FINITE);
    str_puts(&text, message);
    open_failure(g, bad, &good);
    LLVMValueRef args[2] = {LLVMConstInt(u->i32, (unsigned)status, 0), cg_string(u, text.p)};
    LLVMBuildRet(u->b, cg_call(u, "tdlrt_fail", u->i32, args, 2));
    LLVMPositionBuilderAtEnd(u->b, good);
}

void cg_return_if_failed(Cg *g, LLVMValueRef status) {
    CgUnit *u = g->u;
    LLVMBasicBlockRef good;
    open_failure(g, LLVMBuildICmp(u->b, LLVMIntNE, status, LLVMConstInt(u->i32, 0, 0), ""), &good);
    LLVMBuildRet(u->b, status);
    LLVMPositionBuilderAtEnd(u->b, good);
}

void cg_ASSERT(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    const TdlOpData *d = ir_op(g->f, o);
    const char *msg = op_str(g->f, o, "msg"), *kind = op_str(g->f, o, "kind");
    int status = !kind ? CG_CHECK_FAILED : !strcmp(kind, "dim") ? CG_BAD_DIMENSION : !strcmp(kind, "finite") ? CG_NOT_FINITE : CG_CHECK_FAILED;
    LLVMValueRef bad = LLVMBuildNot(u->b, cg_operand(g, o, 0), "");
    if (d->noperands == 1) {
        cg_fail_if(g, bad, status, d->span, msg ? msg : "assertion failed");
        return;
    }
    uint32_t n = d->noperands - 1u;
    LLVMTypeRef array = LLVMArrayType2(u->i64, n);
    LLVMValueRef values = cg_entry_alloca(g, array, "values");
    LLVMBasicBlockRef good;
    TdlStr text = place_text(g, d->span, false);
    str_puts(&text, msg ? msg : "assertion failed");
    open_failure(g, bad, &good);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef at[2] = {cg_i64(u, 0), cg_i64(u, i)};
        LLVMBuildStore(u->b, LLVMBuildIntCast2(u->b, cg_operand(g, o, i + 1), u->i64, 1, ""),
                       LLVMBuildInBoundsGEP2(u->b, array, values, at, 2, ""));
    }
    LLVMValueRef args[3] = {LLVMConstInt(u->i32, (unsigned)status, 0), cg_string(u, text.p), values};
    LLVMBuildRet(u->b, cg_call(u, "tdlrt_fail_values", u->i32, args, 3));
    LLVMPositionBuilderAtEnd(u->b, good);
}

/* ---- loops and branches ---- */

/* State of a `for` while its code is made. The loop is rotated: a guard in front, the test at the end. */
typedef struct {
    uint32_t ncarried, exit, down;
    LLVMValueRef lo, hi, index, *inits, *phis, *yields;
    LLVMBasicBlockRef before, body, latch, end;
} Loop;

static void loop_phis(Cg *g, TdlOp o, Loop *l) {
    LLVMBuilderRef b = g->u->b;
    const TdlOpData *d = ir_op(g->f, o);
    const TdlRegionData *r = ir_region(g->f, d->regions[0]);
    LLVMValueRef start = l->down ? LLVMBuildNSWSub(b, l->hi, cg_i64(g->u, 1), "") : l->lo;
    LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntSLT, l->lo, l->hi, ""), l->body, l->end);
    LLVMPositionBuilderAtEnd(b, l->body);
    l->index = LLVMBuildPhi(b, g->u->i64, "i");
    LLVMAddIncoming(l->index, &start, &l->before, 1);
    cg_set(g, r->args.p[0], l->index);
    for (uint32_t i = 0; i < l->ncarried; i++) {
        LLVMValueRef init = l->inits[i];
        l->phis[i] = LLVMBuildPhi(b, LLVMTypeOf(init), "");
        LLVMAddIncoming(l->phis[i], &init, &l->before, 1);
        cg_set(g, r->args.p[1 + i], l->phis[i]);
    }
}

/* Test and back edge; phis get their second value. */
static void loop_latch(Cg *g, TdlOp o, Loop *l) {
    LLVMBuilderRef b = g->u->b;
    LLVMValueRef one = cg_i64(g->u, 1);
    LLVMValueRef next = (l->down ? LLVMBuildNSWSub : LLVMBuildNSWAdd)(b, l->index, one, "");
    LLVMValueRef more = l->down ? LLVMBuildICmp(b, LLVMIntSGT, l->index, l->lo, "") : LLVMBuildICmp(b, LLVMIntSLT, next, l->hi, "");
    if (l->exit) more = LLVMBuildAnd(b, more, LLVMBuildNot(b, l->yields[0], ""), "");
    l->latch = cg_here(g);
    LLVMValueRef branch = LLVMBuildCondBr(b, more, l->body, l->end);
    cg_loop_metadata(g, branch, op_int(g->f, o, "parallel", 0) != 0);
    LLVMAddIncoming(l->index, &next, &l->latch, 1);
    for (uint32_t i = 0; i < l->ncarried; i++) LLVMAddIncoming(l->phis[i], &l->yields[l->exit + i], &l->latch, 1);
}

static void loop_results(Cg *g, TdlOp o, Loop *l, LLVMValueRef count) {
    LLVMBuilderRef b = g->u->b;
    LLVMBasicBlockRef from[2] = {l->before, l->latch};
    LLVMPositionBuilderAtEnd(b, l->end);
    if (l->exit) {
        LLVMValueRef phi = LLVMBuildPhi(b, g->u->i64, "");
        LLVMAddIncoming(phi, (LLVMValueRef[]){cg_i64(g->u, 0), count}, from, 2);
        cg_set(g, ir_op(g->f, o)->results[0], phi);
    }
    for (uint32_t i = 0; i < l->ncarried; i++) {
        LLVMValueRef in[2] = {l->inits[i], l->yields[l->exit + i]};
        LLVMValueRef phi = LLVMBuildPhi(b, LLVMTypeOf(in[0]), "");
        LLVMAddIncoming(phi, in, from, 2);
        cg_set(g, ir_op(g->f, o)->results[l->exit + i], phi);
    }
}

/* A loop of known bounds as one copy of its body an iteration. */
static void unrolled_for(Cg *g, TdlOp o, int64_t lo, int64_t hi) {
    TdlRegion body = ir_op(g->f, o)->regions[0];
    uint32_t n = ir_op(g->f, o)->noperands - 2u;
    bool down = op_int(g->f, o, "down", 0) != 0;
    LLVMValueRef *values = ARENA_ARRAY(g->u->arena, LLVMValueRef, n);
    for (uint32_t i = 0; i < n; i++) values[i] = cg_carried(g, o, i, cg_operand(g, o, 2 + i));
    for (int64_t k = lo; k < hi && g->ok; k++) {
        const TdlRegionData *r = ir_region(g->f, body);
        cg_set(g, r->args.p[0], cg_i64(g->u, down ? hi - 1 - (k - lo) : k));
        for (uint32_t i = 0; i < n; i++) cg_set(g, r->args.p[1 + i], values[i]);
        cg_region(g, body);
        for (uint32_t i = 0; i < n && g->ok; i++) values[i] = cg_carried(g, o, i, g->yielded[i]);
    }
    for (uint32_t i = 0; i < n; i++) cg_set(g, ir_op(g->f, o)->results[i], values[i]);
}

/* In vector code; what is left of the iterations is run seldom. */
static bool unrolls(const Cg *g, TdlOp o) {
    return g->width && !g->rest && op_int(g->f, o, "unroll", 0) && !op_int(g->f, o, "exit", 0) &&
           LLVMIsAConstantInt(cg_operand(g, o, 0)) && LLVMIsAConstantInt(cg_operand(g, o, 1));
}

void cg_plain_for(Cg *g, TdlOp o, LLVMValueRef lo, const LLVMValueRef *inits) {
    LLVMBuilderRef b = g->u->b;
    Loop l = {0};
    bool parallel = op_int(g->f, o, "parallel", 0) != 0;
    l.exit = op_int(g->f, o, "exit", 0) != 0;
    l.down = op_int(g->f, o, "down", 0) != 0;
    l.ncarried = ir_op(g->f, o)->noperands - 2u;
    l.phis = ARENA_ARRAY(g->u->arena, LLVMValueRef, l.ncarried);
    l.inits = ARENA_ARRAY(g->u->arena, LLVMValueRef, l.ncarried);
    for (uint32_t i = 0; i < l.ncarried; i++) l.inits[i] = inits ? inits[i] : cg_carried(g, o, i, cg_operand(g, o, 2 + i));
    cg_carried_roots(g, o);
    l.lo = lo;
    l.hi = cg_operand(g, o, 1);
    l.before = cg_here(g);
    l.body = cg_block(g, "for");
    l.end = cg_block(g, "end");
    loop_phis(g, o, &l);
    cg_declare_scopes(g, o, false);
    g->parallel_depth += parallel;
    cg_region(g, ir_op(g->f, o)->regions[0]);
    if (!g->ok) return;
    l.yields = g->yielded;
    for (uint32_t i = 0; i < l.ncarried; i++) l.yields[l.exit + i] = cg_carried(g, o, i, l.yields[l.exit + i]);
    cg_debug_op(g, ir_op(g->f, o)->span);
    LLVMValueRef count = NULL;
    if (l.exit) {
        LLVMValueRef ran = l.down ? LLVMBuildSub(b, l.hi, l.index, "") : LLVMBuildSub(b, l.index, l.lo, "");
        count = l.down ? ran : LLVMBuildAdd(b, ran, cg_i64(g->u, 1), "");
    }
    loop_latch(g, o, &l);
    g->parallel_depth -= parallel;
    loop_results(g, o, &l, count);
    cg_declare_scopes(g, o, true);
}

/* Of a loop in groups of other than `wide` lanes nothing is done: what is behind it does it. */
static bool leaves(const Cg *g, TdlOp o) { return op_attr(g->f, o, "wide") && op_int(g->f, o, "wide", 0) != (int64_t)g->width; }

static void leave_for(Cg *g, TdlOp o) {
    const TdlOpData *d = ir_op(g->f, o);
    for (uint32_t i = 0; i < d->nresults; i++) cg_set(g, d->results[i], cg_carried(g, o, i, cg_operand(g, o, 2 + i)));
}

void cg_FOR(Cg *g, TdlOp o) {
    bool vector = op_attr(g->f, o, "vector") != NULL, outer = g->in_vector_loop;
    g->in_vector_loop |= vector;
    if (op_attr(g->f, o, "threads")) cg_threads_for(g, o);
    else if (vector) cg_vector_for(g, o);
    else if (leaves(g, o)) leave_for(g, o);
    else if (unrolls(g, o))
        unrolled_for(g, o, LLVMConstIntGetSExtValue(cg_operand(g, o, 0)), LLVMConstIntGetSExtValue(cg_operand(g, o, 1)));
    else cg_plain_for(g, o, cg_operand(g, o, 0), NULL);
    g->in_vector_loop = outer;
}

void cg_IF(Cg *g, TdlOp o) {
    LLVMBuilderRef b = g->u->b;
    uint32_t n = ir_op(g->f, o)->nresults;
    if (LLVMIsAConstantInt(cg_operand(g, o, 0))) { /* that side alone */
        TdlRegion side = ir_op(g->f, o)->regions[!LLVMConstIntGetZExtValue(cg_operand(g, o, 0))];
        cg_region(g, side);
        for (uint32_t i = 0; i < n && g->ok; i++) {
            TdlVal v = ir_op(g->f, ir_terminator(g->f, side))->operands[i], r = ir_op(g->f, o)->results[i];
            cg_set(g, r, g->yielded[i]);
            g->root[r.id] = g->root[v.id];
            g->affine[r.id] = g->affine[v.id];
        }
        return;
    }
    LLVMBasicBlockRef arms[2] = {cg_block(g, "then"), cg_block(g, "else")}, ends[2], merge = cg_block(g, "endif");
    LLVMValueRef *yields[2];
    LLVMBuildCondBr(b, cg_operand(g, o, 0), arms[0], arms[1]);
    for (uint32_t k = 0; k < 2; k++) {
        LLVMPositionBuilderAtEnd(b, arms[k]);
        cg_region(g, ir_op(g->f, o)->regions[k]);
        if (!g->ok) return;
        yields[k] = g->yielded;
        ends[k] = cg_here(g);
    }
    /* In a vector loop one arm may give a scalar where the other gives a vector. */
    for (uint32_t k = 0; k < 2; k++) {
        LLVMPositionBuilderAtEnd(b, ends[k]);
        for (uint32_t i = 0; i < n; i++)
            if (cg_is_vector(yields[1 - k][i])) yields[k][i] = cg_splat(g->u, yields[k][i], g->width);
        LLVMBuildBr(b, merge);
    }
    LLVMPositionBuilderAtEnd(b, merge);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef in[2] = {yields[0][i], yields[1][i]}, phi = LLVMBuildPhi(b, LLVMTypeOf(in[0]), "");
        LLVMAddIncoming(phi, in, ends, 2);
        cg_set(g, ir_op(g->f, o)->results[i], phi);
        TdlOp yield[2] = {ir_terminator(g->f, ir_op(g->f, o)->regions[0]), ir_terminator(g->f, ir_op(g->f, o)->regions[1])};
        g->root[ir_op(g->f, o)->results[i].id] = cg_root_either(g, cg_root_of(g, yield[0], i), cg_root_of(g, yield[1], i));
    }
}

void cg_WHILE(Cg *g, TdlOp o) {
    LLVMBuilderRef b = g->u->b;
    uint32_t n = ir_op(g->f, o)->noperands;
    LLVMBasicBlockRef before = cg_here(g), head = cg_block(g, "while"), body = cg_block(g, "do"), end = cg_block(g, "done");
    LLVMValueRef *phis = ARENA_ARRAY(g->u->arena, LLVMValueRef, n);
    LLVMBuildBr(b, head);
    LLVMPositionBuilderAtEnd(b, head);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef init = cg_operand(g, o, i);
        phis[i] = LLVMBuildPhi(b, LLVMTypeOf(init), "");
        LLVMAddIncoming(phis[i], &init, &before, 1);
        for (uint32_t k = 0; k < 2; k++) cg_set(g, ir_region(g->f, ir_op(g->f, o)->regions[k])->args.p[i], phis[i]);
    }
    cg_region(g, ir_op(g->f, o)->regions[0]);
    if (!g->ok) return;
    LLVMBuildCondBr(b, g->yielded[0], body, end);
    LLVMPositionBuilderAtEnd(b, body);
    cg_region(g, ir_op(g->f, o)->regions[1]);
    if (!g->ok) return;
    LLVMBasicBlockRef latch = cg_here(g);
    cg_loop_metadata(g, LLVMBuildBr(b, head), false);
    for (uint32_t i = 0; i < n; i++) LLVMAddIncoming(phis[i], &g->yielded[i], &latch, 1);
    LLVMPositionBuilderAtEnd(b, end);
    for (uint32_t i = 0; i < n; i++) cg_set(g, ir_op(g->f, o)->results[i], phis[i]);
}
