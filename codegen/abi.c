/* The exported C symbols of a function, and the like of a case: `f` checks its arguments, finds memory and calls `tdl.f`;
 * `f_workspace_size` says how many bytes it wants; `f.call` takes its arguments as an array of addresses (for the JIT). */
#include "codegen/cg.h"
#include "codegen/growth.h"

#include <string.h>

static const char *name_of(const Cg *g) { return cg_public_name(g->f); }

static const TdlPort *port(const Cg *g, uint32_t i) { return &g->f->params.p[i]; }

static bool by_value(const Cg *g, uint32_t i) { return ty_kind(g->f->module, port(g, i)->type) != TY_BUF; }

/* Scalars as C passes them: bool is uint8_t, f16 and bf16 are uint16_t. */
static LLVMTypeRef abi_type(const Cg *g, uint32_t i) {
    CgUnit *u = g->u;
    if (!by_value(g, i)) return u->ptr;
    TdlElem e = ty_elem(g->f->module, port(g, i)->type);
    return e == EL_BOOL ? u->i8 : cg_elem_type(u, e);
}

static LLVMValueRef from_abi(Cg *g, uint32_t i, LLVMValueRef v) {
    CgUnit *u = g->u;
    if (!by_value(g, i)) return v;
    TdlElem e = ty_elem(g->f->module, port(g, i)->type);
    return e == EL_BOOL ? LLVMBuildICmp(u->b, LLVMIntNE, v, LLVMConstInt(u->i8, 0, 0), "") : v;
}

/* Small integers carry the target's extension. */
static void extension(const Cg *g, uint32_t i, LLVMValueRef fn, unsigned index) {
    TdlElem e = ty_elem(g->f->module, port(g, i)->type);
    if (!by_value(g, i)) return;
    if (e == EL_I32) cg_attr(g->u, fn, index, "signext", 0);
    if (e == EL_BOOL || e == EL_F16 || e == EL_BF16) cg_attr(g->u, fn, index, "zeroext", 0);
}

static bool is_half(const TdlFunc *f) { return f->saves.id || f->restores.id; }

/* The number of parameter i's argument in C: `saved` ones are none. */
static uint32_t arg_of(const Cg *g, uint32_t i) {
    uint32_t n = g->f->dims.n;
    for (uint32_t k = 0; k < i; k++) n += !port(g, k)->saved;
    return n;
}

/* The first argument behind the parameters: `saved, saved_bytes` of a split function's half, or the workspace. */
static uint32_t args_end(const Cg *g) { return arg_of(g, g->f->params.n); }

static uint32_t nargs(const Cg *g) { return args_end(g) + (is_half(g->f) ? 4 : 2); }

static LLVMTypeRef abi_function_type(const Cg *g) {
    CgUnit *u = g->u;
    uint32_t n = 0;
    LLVMTypeRef *types = ARENA_ARRAY(u->arena, LLVMTypeRef, nargs(g));
    for (uint32_t i = 0; i < g->f->dims.n; i++) types[n++] = u->i64;
    for (uint32_t i = 0; i < g->f->params.n; i++)
        if (!port(g, i)->saved) types[n++] = abi_type(g, i);
    for (; n < nargs(g); n += 2) types[n] = u->ptr, types[n + 1] = u->size;
    return LLVMFunctionType(u->i32, types, n, 0);
}

/* ---- C functions that are called ---- */

static LLVMValueRef to_abi(Cg *g, uint32_t i, LLVMValueRef v) {
    CgUnit *u = g->u;
    if (!by_value(g, i)) return v;
    TdlElem e = ty_elem(g->f->module, port(g, i)->type);
    return e == EL_BOOL ? LLVMBuildZExt(u->b, v, u->i8, "") : v;
}

void cg_call_extern(Cg *g, TdlOp o, TdlFunc *callee) {
    CgUnit *u = g->u;
    Cg c = {.u = u, .f = callee};
    const TdlAttr *dims = op_attr(g->f, o, "dims");
    uint32_t n = 0;
    LLVMValueRef *args = ARENA_ARRAY(u->arena, LLVMValueRef, nargs(&c));
    LLVMTypeRef type = abi_function_type(&c);
    LLVMValueRef fn = LLVMGetNamedFunction(u->mod, callee->symbol);
    if (!fn) fn = LLVMAddFunction(u->mod, callee->symbol, type);
    for (uint32_t i = 0; i < callee->dims.n; i++) args[n++] = cg_dim(g, dims->dims[i]);
    for (uint32_t i = 0; i < callee->params.n; i++) {
        args[n++] = to_abi(&c, i, cg_operand(g, o, i));
        extension(&c, i, fn, n);
    }
    args[n++] = LLVMConstNull(u->ptr); /* no workspace: it is its own to find */
    args[n++] = LLVMConstInt(u->size, 0, 0);
    LLVMValueRef status = LLVMBuildCall2(u->b, type, fn, args, n, "");
    LLVMValueRef ok = LLVMConstInt(u->i32, 0, 0), bad = LLVMBuildICmp(u->b, LLVMIntNE, status, ok, "");
    cg_fail_if(g, bad, CG_CHECK_FAILED, ir_op(g->f, o)->span, arena_printf(u->arena, "%s: the C function failed", callee->symbol));
}

static void bind(Cg *g) {
    for (uint32_t i = 0; i < g->f->dims.n; i++) cg_dim_bind(g, g->f->dims.p[i], LLVMGetParam(g->fn, i));
}

/* Does the workspace size take parameter i: an integer, by value? */
static bool sizing(const Cg *g, uint32_t i) {
    TdlElem e = ty_elem(g->f->module, port(g, i)->type);
    return by_value(g, i) && !port(g, i)->saved && (e == EL_I64 || e == EL_I32);
}

/* ---- sizes ---- */

/* Or-s into *bad: a negative dimension, a size that does not fit in 63 bits. */
static void check_sizes(Cg *g, LLVMValueRef *bad) {
    LLVMBuilderRef b = g->u->b;
    TdlModule *m = g->f->module;
    for (uint32_t i = 0; i < g->f->params.n; i++) {
        TdlType t = port(g, i)->type;
        LLVMValueRef n = cg_i64(g->u, el_bytes(ty_elem(m, t)));
        for (uint32_t k = 0; k < ty_rank(m, t); k++) {
            LLVMValueRef d = cg_dim_checked(g, ty_dims(m, t)[k], bad);
            *bad = LLVMBuildOr(b, *bad, LLVMBuildICmp(b, LLVMIntSLT, d, cg_i64(g->u, 0), ""), "");
            n = cg_mul_checked(g, n, d, bad);
        }
    }
}

typedef LLVMValueRef (*Size)(Cg *g, const LLVMValueRef *params, LLVMValueRef *bad);

/* The most that f and its variants want: sizes are the same on every processor. */
static LLVMValueRef most(Cg *g, Size size, const LLVMValueRef *params, LLVMValueRef *bad) {
    LLVMValueRef bytes = size(g, params, bad), args[2];
    for (uint32_t i = 0; i < cg_nvariants(&g->u->opt, g->f); i++) {
        Cg v = *g;
        v.f = cg_variant_of(&g->u->opt, g->f, i);
        args[0] = bytes, args[1] = size(&v, params, bad);
        bytes = args[0] == args[1] ? bytes : cg_intrinsic(g->u, "llvm.smax", &g->u->i64, 1, args, 2);
    }
    return bytes;
}

/* Bytes of the planned slots, 0 when there are none. */
static LLVMValueRef own_slots(Cg *g, const LLVMValueRef *params, LLVMValueRef *bad) {
    (void)params;
    TdlDim w = ir_static_bytes(g->f);
    int64_t c = 0;
    if (dim_is_const(g->f->module, w, &c) && c == 0) return cg_i64(g->u, 0);
    return cg_dim_checked(g, w, bad);
}

static LLVMValueRef planned(Cg *g, LLVMValueRef *bad) { return most(g, own_slots, NULL, bad); }

/* c // p of a constant c >= 0, where p is at least 1 but for dimensions that the caller should not have given. */
static LLVMValueRef share(Cg *g, TdlOp o) {
    LLVMBuilderRef b = g->u->b;
    LLVMValueRef p = cg_operand(g, o, 1), one = cg_i64(g->u, 1);
    p = LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntSLT, p, one, ""), one, p, "");
    return LLVMBuildUDiv(b, cg_operand(g, o, 0), p, "");
}

/* The value of an integer that the arguments decide (growth.h): its operations, once. */
static LLVMValueRef argument_value(Cg *g, TdlVal v) {
    TdlOp o = ir_val(g->f, v)->def;
    if (g->vals[v.id]) return g->vals[v.id];
    for (uint32_t i = 0; i < ir_op(g->f, o)->noperands; i++) argument_value(g, ir_op(g->f, o)->operands[i]);
    TdlOpcode code = ir_op(g->f, o)->code;
    if (code == OP_NEWDIM) cg_set(g, v, cg_operand(g, o, 0));
    else if (code == OP_FLOORDIV) cg_set(g, v, share(g, o));
    else cg_op(g, o);
    return g->vals[v.id];
}

/* The bytes of w, which the arguments decide. `params[i]`: parameter i, where it is an integer. */
static LLVMValueRef growing(Cg *g, Growth w, const LLVMValueRef *params, LLVMValueRef *bad) {
    g->vals = ARENA_ARRAY(g->u->arena, LLVMValueRef, g->f->vals.n);
    const TdlVals *args = &ir_region(g->f, g->f->body)->args;
    for (uint32_t i = 0; i < g->f->params.n; i++) g->vals[args->p[i].id] = params[i];
    for (uint32_t i = 0; i < w.vars.n; i++) {
        LLVMValueRef v = argument_value(g, w.vars.p[i].value);
        *bad = LLVMBuildOr(g->u->b, *bad, LLVMBuildICmp(g->u->b, LLVMIntSLT, v, cg_i64(g->u, 0), ""), "");
        cg_dim_bind(g, w.vars.p[i].name, v);
    }
    return cg_dim_checked(g, w.bytes, bad);
}

static LLVMValueRef own_growing(Cg *g, const LLVMValueRef *params, LLVMValueRef *bad) {
    return growing(g, growth_of(g->f), params, bad);
}

static LLVMValueRef with_alignment(Cg *g, LLVMValueRef bytes, LLVMValueRef *bad) {
    int64_t is_zero = LLVMIsAConstantInt(bytes) && LLVMConstIntGetSExtValue(bytes) == 0;
    return is_zero ? bytes : cg_add_checked(g, bytes, cg_i64(g->u, 63), bad);
}

static LLVMValueRef negative_dims(Cg *g) {
    LLVMBuilderRef b = g->u->b;
    LLVMValueRef bad = LLVMConstInt(g->u->i1, 0, 0);
    for (uint32_t i = 0; i < g->f->dims.n; i++)
        bad = LLVMBuildOr(b, bad, LLVMBuildICmp(b, LLVMIntSLT, LLVMGetParam(g->fn, i), cg_i64(g->u, 0), ""), "");
    return bad;
}

static LLVMValueRef workspace_bytes(Cg *g, const LLVMValueRef *params, LLVMValueRef *bad) {
    LLVMValueRef bytes = cg_add_checked(g, planned(g, bad), most(g, own_growing, params, bad), bad);
    return with_alignment(g, bytes, bad);
}

static LLVMValueRef saved_bytes(Cg *g, const LLVMValueRef *params, LLVMValueRef *bad) { return growing(g, growth_saved(g->f), params, bad); }

/* A size_t argument. */
static LLVMValueRef size_arg(Cg *g, uint32_t i) { return LLVMBuildIntCast2(g->u->b, LLVMGetParam(g->fn, i), g->u->i64, 0, ""); }

/* size_t f_workspace_size(dims, integer parameters): SIZE_MAX where a size is negative or does not fit. */
static void size_function(CgUnit *u, TdlFunc *f, CgEntry e, Size size) {
    Cg g = {.u = u, .f = f, .ok = true};
    unsigned n = 0;
    LLVMTypeRef *types = ARENA_ARRAY(u->arena, LLVMTypeRef, f->dims.n + f->params.n + 1u);
    LLVMValueRef *params = ARENA_ARRAY(u->arena, LLVMValueRef, f->params.n + 1u);
    for (uint32_t i = 0; i < f->dims.n; i++) types[n++] = u->i64;
    for (uint32_t i = 0; i < f->params.n; i++)
        if (sizing(&g, i)) types[n++] = abi_type(&g, i);
    g.fn = cg_entry(u, f, e, LLVMFunctionType(u->size, types, n, 0));
    n = f->dims.n;
    for (uint32_t i = 0; i < f->params.n; i++) {
        if (!sizing(&g, i)) continue;
        params[i] = LLVMGetParam(g.fn, n++);
        extension(&g, i, g.fn, n);
    }
    LLVMPositionBuilderAtEnd(u->b, cg_block(&g, "entry"));
    cg_hand_on(&g, e);
    bind(&g);
    LLVMValueRef bad = negative_dims(&g);
    check_sizes(&g, &bad);
    LLVMValueRef bytes = size(&g, params, &bad);
    LLVMValueRef fits = LLVMBuildIntCast2(u->b, bytes, u->size, 0, "");
    if (u->size != u->i64) bad = LLVMBuildOr(u->b, bad, LLVMBuildICmp(u->b, LLVMIntNE, LLVMBuildZExt(u->b, fits, u->i64, ""), bytes, ""), "");
    LLVMBuildRet(u->b, LLVMBuildSelect(u->b, bad, LLVMConstAllOnes(u->size), fits, ""));
}

/* ---- checks at entry ---- */

void cg_fail_text(Cg *g, LLVMValueRef bad, int status, const char *what) {
    cg_fail_if(g, bad, status, SPAN_NONE, arena_printf(g->u->arena, "%s: %s", name_of(g), what));
}

/* Fails with the value of `v` in the message. */
void cg_fail_value(Cg *g, LLVMValueRef bad, int status, const char *what, LLVMValueRef v) {
    CgUnit *u = g->u;
    LLVMBasicBlockRef failed = cg_block(g, "failed"), good = cg_block(g, "");
    LLVMValueRef cell = cg_entry_alloca(g, u->i64, "");
    LLVMBuildCondBr(u->b, bad, failed, good);
    LLVMPositionBuilderAtEnd(u->b, failed);
    LLVMBuildStore(u->b, v, cell);
    LLVMValueRef args[3] = {LLVMConstInt(u->i32, (unsigned)status, 0),
                            cg_string(u, arena_printf(u->arena, "%s: %s", name_of(g), what)), cell};
    LLVMBuildRet(u->b, cg_call(u, "tdlrt_fail_values", u->i32, args, 3));
    LLVMPositionBuilderAtEnd(u->b, good);
}

static void check_dims(Cg *g) {
    CgUnit *u = g->u;
    for (uint32_t i = 0; i < g->f->dims.n; i++) {
        const char *name = sym_text(u->ir->names, g->f->dims.p[i]);
        LLVMValueRef v = LLVMGetParam(g->fn, i);
        cg_fail_value(g, LLVMBuildICmp(u->b, LLVMIntSLT, v, cg_i64(u, 0), ""), CG_BAD_DIMENSION,
                   arena_printf(u->arena, "dimension %s is negative: {}", name), v);
        for (uint32_t k = 0; k < u->opt.nfixed; k++) {
            if (strcmp(u->opt.fixed[k].name, name) != 0) continue;
            LLVMValueRef want = cg_i64(u, u->opt.fixed[k].value);
            cg_fail_value(g, LLVMBuildICmp(u->b, LLVMIntNE, v, want, ""), CG_BAD_DIMENSION,
                       arena_printf(u->arena, "dimension %s is {}: the object was compiled for %lld", name,
                                    (long long)u->opt.fixed[k].value), v);
        }
    }
    LLVMValueRef bad = LLVMConstInt(u->i1, 0, 0);
    check_sizes(g, &bad);
    planned(g, &bad);
    if (is_half(g->f)) cg_dim_checked(g, cg_saved_bytes(g->f, g->f->params.n), &bad);
    cg_fail_text(g, bad, CG_BAD_DIMENSION, "dimensions: the size of an argument or of the workspace is negative or does not fit");
}

/* An input of some elements needs memory; an output may be NULL. */
static void check_pointers(Cg *g) {
    CgUnit *u = g->u;
    for (uint32_t i = 0; i < g->f->params.n; i++) {
        if (by_value(g, i) || port(g, i)->out || port(g, i)->saved) continue;
        LLVMValueRef null = LLVMBuildIsNull(u->b, LLVMGetParam(g->fn, arg_of(g, i)), "");
        LLVMValueRef some = LLVMBuildICmp(u->b, LLVMIntNE, cg_numel(g, port(g, i)->type), cg_i64(u, 0), "");
        cg_fail_text(g, LLVMBuildAnd(u->b, null, some, ""), CG_BAD_ARGUMENT,
                  arena_printf(u->arena, "%s is NULL", sym_text(u->ir->names, port(g, i)->name)));
    }
}

/* Fails where a destination overlaps another argument that it may not (its port says which it may). The saved state
 * of a split function is an output of the forward half, an input of the reverse half. */
static void check_overlap(Cg *g) {
    CgUnit *u = g->u;
    const uint32_t state = g->f->params.n;
    uint32_t n = 0, ninputs = 0, *at = ARENA_ARRAY(u->arena, uint32_t, g->f->params.n + 1u);
    if (g->f->restores.id) at[n++] = state, ninputs++;
    for (uint32_t i = 0; i < g->f->params.n; i++) {
        if (by_value(g, i) || port(g, i)->saved) continue;
        ninputs += !port(g, i)->out;
        at[n++] = i;
    }
    if (g->f->saves.id) at[n++] = state;
    if (n < 2) return;
    LLVMTypeRef arg = LLVMStructTypeInContext(u->ctx, (LLVMTypeRef[]){u->ptr, u->ptr, u->i64}, 3, 0);
    LLVMValueRef list = cg_entry_alloca(g, LLVMArrayType2(arg, n), "arguments");
    char *over = arena_alloc(u->arena, (size_t)n * n);
    for (uint32_t i = 0; i < n; i++) {
        bool whole = at[i] == state;
        LLVMValueRef k = cg_i64(u, i), row = LLVMBuildInBoundsGEP2(u->b, arg, list, &k, 1, "");
        LLVMValueRef field[3] = {cg_string(u, whole ? "saved" : sym_text(u->ir->names, port(g, at[i])->name)),
                                 LLVMGetParam(g->fn, arg_of(g, at[i])),
                                 whole ? size_arg(g, args_end(g) + 1) : cg_bytes(g, port(g, at[i])->type)};
        for (unsigned j = 0; j < 3; j++) LLVMBuildStore(u->b, field[j], LLVMBuildStructGEP2(u->b, arg, row, j, ""));
        for (uint32_t j = 0; j < n; j++) over[i*n + j] = !whole && at[j] != state && cg_lies_over(&u->opt, g->f, at[i], at[j]);
    }
    LLVMValueRef may = LLVMAddGlobal(u->mod, LLVMArrayType2(u->i8, (uint64_t)n * n), "over");
    LLVMSetInitializer(may, LLVMConstStringInContext2(u->ctx, over, (size_t)n * n, 1));
    LLVMSetGlobalConstant(may, 1);
    LLVMSetLinkage(may, LLVMPrivateLinkage);
    LLVMValueRef args[5] = {cg_string(u, name_of(g)), list, cg_i64(u, n), cg_i64(u, ninputs), may};
    cg_return_if_failed(g, cg_call(u, "tdlrt_separate", u->i32, args, 5));
}

/* ---- memory ---- */

static void set_field(CgUnit *u, LLVMValueRef ctx, unsigned field, LLVMValueRef v) {
    LLVMBuildStore(u->b, v, LLVMBuildStructGEP2(u->b, u->ctx_type, ctx, field, ""));
}

static LLVMValueRef align64(CgUnit *u, LLVMValueRef p) {
    LLVMValueRef address = LLVMBuildPtrToInt(u->b, p, u->i64, "");
    LLVMValueRef pad = LLVMBuildAnd(u->b, LLVMBuildNeg(u->b, address, ""), cg_i64(u, 63), "");
    return LLVMBuildInBoundsGEP2(u->b, u->i8, p, &pad, 1, "");
}

typedef struct { LLVMValueRef ctx, base, owned; } Memory;

/* Bytes that a given workspace must have. Where the growing share is impossible the function itself says why. */
static LLVMValueRef all_memory(Cg *g, LLVMValueRef slots, LLVMValueRef need) {
    CgUnit *u = g->u;
    LLVMValueRef bad = LLVMConstInt(u->i1, 0, 0), *params = ARENA_ARRAY(u->arena, LLVMValueRef, g->f->params.n + 1u);
    for (uint32_t i = 0; i < g->f->params.n; i++)
        if (sizing(g, i)) params[i] = LLVMGetParam(g->fn, arg_of(g, i));
    LLVMValueRef all = cg_add_checked(g, slots, most(g, own_growing, params, &bad), &bad);
    all = with_alignment(g, all, &bad);
    return LLVMBuildSelect(u->b, bad, need, all, "");
}

/* Sets up the state of a call: the caller's workspace (checked) or, where it is NULL, memory of malloc. */
static Memory find_memory(Cg *g, LLVMValueRef ws, LLVMValueRef given) {
    CgUnit *u = g->u;
    Memory m = {.ctx = cg_entry_alloca(g, u->ctx_type, "state")};
    LLVMValueRef slots = planned(g, NULL), unused = LLVMConstInt(u->i1, 0, 0), need = with_alignment(g, slots, &unused);
    LLVMValueRef all = all_memory(g, slots, need);
    bool none = need == slots;
    LLVMValueRef null = LLVMConstNull(u->ptr), is_null = LLVMBuildIsNull(u->b, ws, "");
    LLVMBasicBlockRef own = cg_block(g, "own"), theirs = cg_block(g, "theirs"), ready = cg_block(g, "ready"), from[2];
    LLVMBuildCondBr(u->b, is_null, own, theirs);
    LLVMPositionBuilderAtEnd(u->b, own);
    LLVMValueRef block = null;
    if (!none) {
        block = cg_call(u, "malloc", u->ptr, &need, 1);
        cg_fail_text(g, LLVMBuildIsNull(u->b, block, ""), CG_NO_MEMORY, "out of memory");
    }
    from[0] = cg_here(g);
    LLVMBuildBr(u->b, ready);
    LLVMPositionBuilderAtEnd(u->b, theirs);
    if (all != cg_i64(u, 0))
        cg_fail_value(g, LLVMBuildICmp(u->b, LLVMIntULT, given, all, ""), CG_WORKSPACE_FULL,
                   "workspace: too small: {} bytes are needed", all);
    from[1] = cg_here(g);
    LLVMBuildBr(u->b, ready);
    LLVMPositionBuilderAtEnd(u->b, ready);
    LLVMValueRef memory = LLVMBuildPhi(u->b, u->ptr, "memory");
    LLVMAddIncoming(memory, (LLVMValueRef[]){block, ws}, from, 2);
    m.owned = LLVMBuildSelect(u->b, is_null, memory, null, "");
    m.base = align64(u, memory);
    LLVMValueRef lo = align64(u, LLVMBuildInBoundsGEP2(u->b, u->i8, m.base, &slots, 1, ""));
    LLVMValueRef hi = LLVMBuildInBoundsGEP2(u->b, u->i8, memory, &given, 1, "");
    set_field(u, m.ctx, 0, lo);
    set_field(u, m.ctx, 1, hi);
    set_field(u, m.ctx, 2, cg_i64(u, 0));
    set_field(u, m.ctx, 3, null);
    set_field(u, m.ctx, 4, LLVMBuildZExt(u->b, is_null, u->i64, ""));
    set_field(u, m.ctx, 7, null);
    set_field(u, m.ctx, 8, null);
    return m;
}

static LLVMValueRef call_body(Cg *g, const Memory *m) {
    CgUnit *u = g->u;
    uint32_t nd = g->f->dims.n, np = g->f->params.n;
    LLVMValueRef *args = ARENA_ARRAY(u->arena, LLVMValueRef, 2 + nd + np);
    args[0] = m->ctx;
    args[1] = m->base;
    for (uint32_t i = 0; i < nd; i++) args[2 + i] = LLVMGetParam(g->fn, i);
    for (uint32_t i = 0; i < np; i++) {
        LLVMValueRef arg = LLVMGetParam(g->fn, port(g, i)->saved ? args_end(g) : arg_of(g, i));
        args[2 + nd + i] = port(g, i)->saved ? cg_saved_port(g, i, arg) : from_abi(g, i, arg);
    }
    return cg_call_best(g, args, 2 + nd + np);
}

static void name_params(Cg *g) {
    CgUnit *u = g->u;
    uint32_t nd = g->f->dims.n;
    for (uint32_t i = 0; i < nd + g->f->params.n; i++) {
        if (i >= nd && port(g, i - nd)->saved) continue;
        TdlSym s = i < nd ? g->f->dims.p[i] : port(g, i - nd)->name;
        uint32_t k = i < nd ? i : arg_of(g, i - nd);
        LLVMSetValueName2(LLVMGetParam(g->fn, k), sym_text(u->ir->names, s), strlen(sym_text(u->ir->names, s)));
        if (i >= nd) extension(g, i - nd, g->fn, k + 1);
    }
}

void cg_export(CgUnit *u, TdlFunc *f) {
    Cg g = {.u = u, .f = f, .ok = true};
    size_function(u, f, CG_WORKSPACE, workspace_bytes);
    if (f->saves.id) size_function(u, f, CG_SAVED, saved_bytes);
    g.fn = cg_entry(u, f, CG_CALL, abi_function_type(&g));
    name_params(&g);
    LLVMPositionBuilderAtEnd(u->b, cg_block(&g, "entry"));
    cg_hand_on(&g, CG_CALL);
    bind(&g);
    check_dims(&g);
    check_pointers(&g);
    check_overlap(&g);
    uint32_t last = nargs(&g), end = args_end(&g);
    if (is_half(f)) cg_saved_check(&g, LLVMGetParam(g.fn, end), size_arg(&g, end + 1));
    Memory m = find_memory(&g, LLVMGetParam(g.fn, last - 2), size_arg(&g, last - 1));
    if (is_half(f)) cg_saved_enter(&g, m.ctx, LLVMGetParam(g.fn, end), size_arg(&g, end + 1));
    LLVMValueRef status = call_body(&g, &m);
    if (is_half(f)) cg_saved_leave(&g, m.ctx, LLVMGetParam(g.fn, end), status);
    cg_call(u, "tdlrt_finish", u->voidt, &m.ctx, 1);
    cg_call(u, "free", u->voidt, &m.owned, 1);
    LLVMBuildRet(u->b, status);
}

/* int f.call(void **args): args[i] is the address of C argument i; of a pointer argument, the pointer itself. */
void cg_caller(CgUnit *u, TdlFunc *f) {
    Cg g = {.u = u, .f = f, .ok = true};
    LLVMTypeRef type = abi_function_type(&g), *types = ARENA_ARRAY(u->arena, LLVMTypeRef, nargs(&g));
    LLVMValueRef *args = ARENA_ARRAY(u->arena, LLVMValueRef, nargs(&g));
    const char *name = arena_printf(u->arena, "%s.call", name_of(&g));
    LLVMGetParamTypes(type, types);
    g.fn = LLVMAddFunction(u->mod, name, LLVMFunctionType(u->i32, &u->ptr, 1, 0));
    LLVMPositionBuilderAtEnd(u->b, cg_block(&g, "entry"));
    for (uint32_t i = 0; i < nargs(&g); i++) {
        LLVMValueRef at = cg_i64(u, i), array = LLVMGetParam(g.fn, 0);
        LLVMValueRef p = LLVMBuildLoad2(u->b, u->ptr, LLVMBuildInBoundsGEP2(u->b, u->ptr, array, &at, 1, ""), "");
        args[i] = types[i] == u->ptr ? p : LLVMBuildLoad2(u->b, types[i], p, "");
    }
    LLVMBuildRet(u->b, LLVMBuildCall2(u->b, type, LLVMGetNamedFunction(u->mod, name_of(&g)), args, nargs(&g), ""));
}
