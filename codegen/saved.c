/* The saved state of a split function: memory that the caller hands from NAME_forward to NAME_reverse.
 *
 *     0    int64: what made it, written last (0: not complete)     8    int64: bytes in use
 *     16   the `saved` ports, each from a multiple of 8 on         then what `save` keeps, likewise
 *
 * The reverse half only reads it, so that it may run again, and in several threads. */
#include "codegen/cg.h"
#include "codegen/growth.h"

#include <string.h>

enum { HEADER = 16 };

/* ---- places ---- */

TdlDim cg_saved_bytes(const TdlFunc *f, uint32_t n) {
    TdlModule *m = f->module;
    TdlDim at = dim_const(m, HEADER);
    for (uint32_t i = 0; i < n; i++)
        if (f->params.p[i].saved) at = dim_add(m, at, growth_words(m, ty_tensor_of(m, f->params.p[i].type)));
    return at;
}

static LLVMValueRef at_byte(Cg *g, LLVMValueRef p, LLVMValueRef i) { return LLVMBuildInBoundsGEP2(g->u->b, g->u->i8, p, &i, 1, ""); }

LLVMValueRef cg_saved_port(Cg *g, uint32_t i, LLVMValueRef saved) {
    TdlType t = g->f->params.p[i].type;
    LLVMValueRef p = at_byte(g, saved, cg_dim(g, cg_saved_bytes(g->f, i)));
    return ty_kind(g->f->module, t) == TY_BUF ? p : cg_load_elem(g, ty_elem(g->f->module, t), p, 0);
}

/* ---- at entry and exit ---- */

/* A number that tells this state from others: of the function, what it saves, and the dimensions (FNV-1a). */
static LLVMValueRef fingerprint(Cg *g) {
    CgUnit *u = g->u;
    const uint64_t prime = 1099511628211u;
    TdlStr s = str_new(u->arena);
    str_puts(&s, sym_text(u->ir->names, g->f->saves.id ? g->f->saves : g->f->restores));
    for (uint32_t i = 0; i < g->f->params.n; i++)
        if (g->f->params.p[i].saved) ty_print(g->f->module, ty_tensor_of(g->f->module, g->f->params.p[i].type), &s);
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < s.n; i++) h = (h ^ (uint8_t)s.p[i]) * prime;
    LLVMValueRef v = cg_i64(u, (int64_t)h);
    for (uint32_t i = 0; i < g->f->dims.n; i++)
        v = LLVMBuildMul(u->b, LLVMBuildXor(u->b, v, LLVMGetParam(g->fn, i), ""), cg_i64(u, (int64_t)prime), "");
    return LLVMBuildOr(u->b, v, cg_i64(u, 1), "");
}

static void store_word(Cg *g, LLVMValueRef saved, int64_t at, LLVMValueRef v) {
    LLVMSetAlignment(LLVMBuildStore(g->u->b, v, at_byte(g, saved, cg_i64(g->u, at))), 8);
}

static LLVMValueRef load_word(Cg *g, LLVMValueRef saved, int64_t at) {
    LLVMValueRef v = LLVMBuildLoad2(g->u->b, g->u->i64, at_byte(g, saved, cg_i64(g->u, at)), "");
    LLVMSetAlignment(v, 8);
    return v;
}

static LLVMValueRef ctx_field(Cg *g, LLVMValueRef ctx, unsigned field) { return LLVMBuildStructGEP2(g->u->b, g->u->ctx_type, ctx, field, ""); }

const char *cg_split_name(const TdlFunc *f) {
    const TdlFunc *g = f->general.id ? ir_func_find(f->module, f->general) : f;
    return sym_text(f->module->names, g->saves.id ? g->saves : g->restores);
}

void cg_saved_check(Cg *g, LLVMValueRef saved, LLVMValueRef given) {
    CgUnit *u = g->u;
    const char *base = cg_split_name(g->f);
    LLVMValueRef need = cg_dim(g, cg_saved_bytes(g->f, g->f->params.n));
    LLVMValueRef odd = LLVMBuildAnd(u->b, LLVMBuildPtrToInt(u->b, saved, u->i64, ""), cg_i64(u, 7), "");
    cg_fail_text(g, LLVMBuildIsNull(u->b, saved, ""), CG_BAD_ARGUMENT, arena_printf(u->arena, "saved is NULL: it takes %s_saved_size bytes", base));
    cg_fail_text(g, LLVMBuildICmp(u->b, LLVMIntNE, odd, cg_i64(u, 0), ""), CG_BAD_ARGUMENT, "saved is not aligned to 8 bytes");
    cg_fail_value(g, LLVMBuildICmp(u->b, LLVMIntULT, given, need, ""), CG_WORKSPACE_FULL, "saved: too small: {} bytes are needed", need);
    if (!g->f->restores.id) return;
    LLVMValueRef other = LLVMBuildICmp(u->b, LLVMIntNE, load_word(g, saved, 0), fingerprint(g), "");
    cg_fail_text(g, other, CG_BAD_ARGUMENT, arena_printf(u->arena, "saved: this is not what %s_forward left there for these dimensions", base));
    LLVMValueRef end = load_word(g, saved, 8);
    cg_fail_value(g, LLVMBuildICmp(u->b, LLVMIntULT, given, end, ""), CG_BAD_ARGUMENT, "saved: the state has {} bytes: saved_bytes is less", end);
}

void cg_saved_enter(Cg *g, LLVMValueRef ctx, LLVMValueRef saved, LLVMValueRef given) {
    LLVMValueRef need = cg_dim(g, cg_saved_bytes(g->f, g->f->params.n)), end = given;
    if (g->f->saves.id) store_word(g, saved, 0, cg_i64(g->u, 0));
    else end = load_word(g, saved, 8);
    LLVMBuildStore(g->u->b, at_byte(g, saved, need), ctx_field(g, ctx, 5));
    LLVMBuildStore(g->u->b, at_byte(g, saved, end), ctx_field(g, ctx, 6));
}

void cg_saved_leave(Cg *g, LLVMValueRef ctx, LLVMValueRef saved, LLVMValueRef status) {
    CgUnit *u = g->u;
    if (!g->f->saves.id) return;
    LLVMValueRef at = LLVMBuildLoad2(u->b, u->ptr, ctx_field(g, ctx, 5), "");
    LLVMValueRef used = LLVMBuildSub(u->b, LLVMBuildPtrToInt(u->b, at, u->i64, ""), LLVMBuildPtrToInt(u->b, saved, u->i64, ""), "");
    LLVMValueRef ok = LLVMBuildICmp(u->b, LLVMIntEQ, status, LLVMConstInt(u->i32, 0, 0), "");
    store_word(g, saved, 8, used);
    store_word(g, saved, 0, LLVMBuildSelect(u->b, ok, fingerprint(g), cg_i64(u, 0), ""));
}

/* ---- what has no place of its own ---- */

void cg_SAVE(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    TdlVal v = ir_op(g->f, o)->operands[0];
    TdlType t = ir_type(g->f, v);
    const char *text = arena_printf(u->arena, "saved: too small: what is kept here has a size found at run time, beyond %s_saved_size: give more bytes",
                                    cg_split_name(g->f));
    if (ty_kind(g->f->module, t) == TY_STACK) {
        LLVMValueRef args[2] = {g->rt, cg_val(g, v)};
        LLVMValueRef ok = cg_call(u, "tdlrt_save_stack", u->i32, args, 2), no = LLVMConstInt(u->i32, 0, 0);
        cg_fail_if(g, LLVMBuildICmp(u->b, LLVMIntEQ, ok, no, ""), CG_WORKSPACE_FULL, ir_op(g->f, o)->span, text);
    } else {
        LLVMValueRef args[2] = {g->rt, cg_bytes(g, t)}, p = cg_call(u, "tdlrt_saved", u->ptr, args, 2);
        unsigned align = el_bytes(ty_elem(g->f->module, t));
        cg_fail_if(g, LLVMBuildIsNull(u->b, p, ""), CG_WORKSPACE_FULL, ir_op(g->f, o)->span, text);
        LLVMBuildMemCpy(u->b, p, align, cg_val(g, v), align, cg_bytes(g, t));
    }
}

void cg_RESTORE(Cg *g, TdlOp o) {
    CgUnit *u = g->u;
    TdlVal v = ir_op(g->f, o)->results[0];
    TdlType t = ir_type(g->f, v);
    bool stack = ty_kind(g->f->module, t) == TY_STACK;
    LLVMValueRef bad = LLVMConstInt(u->i1, 0, 0), args[2] = {g->rt, stack ? cg_row_bytes(g, t) : cg_bytes_checked(g, t, &bad)};
    LLVMValueRef p = cg_call(u, stack ? "tdlrt_restore_stack" : "tdlrt_saved", u->ptr, args, 2);
    if (stack) cg_fail_without_memory(g, p);
    else cg_fail_if(g, LLVMBuildOr(u->b, bad, LLVMBuildIsNull(u->b, p, ""), ""), CG_BAD_ARGUMENT, ir_op(g->f, o)->span, "saved: the state is not what the forward function left");
    cg_set(g, v, p);
    if (!stack) g->root[v.id] = cg_root_new(g, (TdlDim){0}, true);
}
