/* Frontend values: constructors, descriptions, literals becoming SSA values, leaves. */
#include "frontend/lower_int.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

LowValue lv_tensor(TdlVal v) { return v.id ? (LowValue){.kind = LV_TENSOR, .v = v} : LOW_ERR; }
LowValue lv_dim(TdlDim d) { return (LowValue){.kind = LV_INT, .d = d}; }
LowValue lv_int(Low *L, int64_t i) { return lv_dim(dim_const(L->m, i)); }
LowValue lv_bool(bool b) { return (LowValue){.kind = LV_BOOL, .i = b}; }
LowValue lv_float(double f) { return (LowValue){.kind = LV_FLOAT, .f = f}; }

LowValue lv_tuple(Low *L, const LowValue *elems, uint32_t n)
{
    return (LowValue){.kind = LV_TUPLE, .n = n, .elems = arena_memdup(L->arena, elems, sizeof *elems * n)};
}

bool lv_is_num(LowValue v)
{
    return v.kind == LV_INT || v.kind == LV_FLOAT || v.kind == LV_BOOL || v.kind == LV_TENSOR;
}

bool lv_int_const(const Low *L, LowValue v, int64_t *i) { return v.kind == LV_INT && dim_is_const(L->m, v.d, i); }
TdlType lv_type(const Low *L, LowValue v) { return ir_type(L->b.f, v.v); }
uint32_t lv_rank(const Low *L, LowValue v) { return v.kind == LV_TENSOR ? ty_rank(L->m, lv_type(L, v)) : 0; }

const TdlDim *lv_dims(const Low *L, LowValue v)
{
    return v.kind == LV_TENSOR ? ty_dims(L->m, lv_type(L, v)) : NULL;
}

TdlElem lv_elem(const Low *L, LowValue v)
{
    switch (v.kind) {
    case LV_INT: return EL_I64;
    case LV_FLOAT: return L->frame ? L->frame->deflt : EL_F64;
    case LV_BOOL: return EL_BOOL;
    default: return ty_elem(L->m, lv_type(L, v));
    }
}

bool lv_is_weak(LowValue v) { return v.kind == LV_INT || v.kind == LV_FLOAT || (v.kind == LV_TENSOR && v.weak); }

const char *low_name(const Low *L, TdlSym s) { return sym_text(L->names, s); }

const char *ty_text(const Low *L, TdlType t)
{
    TdlStr s = str_new(L->arena);
    ty_print(L->m, t, &s);
    return s.p;
}

const char *dim_text(const Low *L, TdlDim d)
{
    TdlStr s = str_new(L->arena);
    dim_print(L->m, d, &s);
    return s.p;
}

void lv_describe(const Low *L, LowValue v, TdlStr *out)
{
    switch (v.kind) {
    case LV_ERROR: str_puts(out, "an error"); break;
    case LV_UNIT: str_puts(out, "no value"); break;
    case LV_NONE: str_puts(out, "None"); break;
    case LV_MAYBE: str_puts(out, "a .grad that may be None"); break;
    case LV_INT: str_puts(out, "an integer"); break;
    case LV_FLOAT: str_puts(out, "a float literal"); break;
    case LV_BOOL: str_puts(out, "bool"); break;
    case LV_STR: str_puts(out, "a string"); break;
    case LV_TENSOR: ty_print(L->m, lv_type(L, v), out); break;
    case LV_FN: str_puts(out, "a function"); break;
    case LV_ELEM: str_printf(out, "the type %s", el_name(v.elem)); break;
    case LV_ELLIPSIS: str_puts(out, "..."); break;
    case LV_NODE: str_puts(out, "a grad_fn"); break;
    case LV_STRUCT: str_puts(out, low_name(L, v.decl->ast->name.name)); break;
    case LV_TUPLE:
        str_putc(out, '(');
        for (uint32_t i = 0; i < v.n; i++) {
            if (i) str_puts(out, ", ");
            lv_describe(L, v.elems[i], out);
        }
        str_putc(out, ')');
        break;
    }
}

const char *lv_text(const Low *L, LowValue v)
{
    TdlStr s = str_new(L->arena);
    lv_describe(L, v, &s);
    return s.p;
}

/* ---- errors ---- */

/* The function of the library that the program calls, and that call; NULL in code of the program. */
static const LowFrame *called_of_library(const Low *L, TdlSpan *call)
{
    const LowFrame *called = NULL;
    for (const LowFrame *f = L->frame; f && f->library; f = f->up) {
        called = f;
        *call = f->call;
    }
    return called;
}

LowValue low_error(Low *L, TdlSpan at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    TdlStr s = str_new(L->arena);
    str_vprintf(&s, fmt, ap);
    va_end(ap);
    TdlSpan call = SPAN_NONE;
    const LowFrame *called = called_of_library(L, &call);
    if (called && call.file) {
        diag_error(L->diags, call, "%s: %s", called->what, s.p);
        diag_note(L->diags, at, "required here, in the library's %s", L->frame->what);
    } else {
        diag_error(L->diags, at, "%s", s.p);
        if (L->frame && L->frame->call.file)
            diag_note(L->diags, L->frame->call, "%s is used here", L->frame->what);
    }
    return LOW_ERR;
}

/* ---- emitting ---- */

/* What of the library is walked at the program's call has that call's place, as what is inlined later has. */
static TdlSpan place_of(const Low *L, TdlSpan at)
{
    const LowFrame *f = L->frame;
    TdlSpan call = at;
    for (; f && f->library && f->here; f = f->up) call = f->call;
    return f && f->library ? at : call;
}

TdlSpan low_at(Low *L, TdlSpan s)
{
    TdlSpan old = L->b.span;
    if (s.file) s = place_of(L, s);
    if (s.file) L->b.span = s;
    dim_at(L->m, L->b.span);
    return old;
}

void low_named(Low *L, const char *grad_fn) { L->b.grad_fn = grad_fn ? intern(L->names, grad_fn) : SYM_NONE; }
void low_unname(Low *L) { L->b.grad_fn = SYM_NONE; }

/* Names belong to floats: an integer has no gradient. */
static void keep_name(Low *L, TdlVal v)
{
    TdlOp o = low_def(L, v);
    if (o.id && !ty_is_float(L->m, ir_type(L->b.f, v))) ir_op(L->b.f, o)->grad_fn = SYM_NONE;
    low_unname(L);
}

TdlVal low_emit1(Low *L, TdlOpcode c, const TdlVal *v, uint32_t n)
{
    TdlVal r = ir_emit1(&L->b, c, v, n);
    keep_name(L, r);
    return r;
}

TdlVal low_emit(Low *L, TdlOpcode c, const TdlVal *v, uint32_t n, TdlType t)
{
    TdlOp o = ir_emit(&L->b, c, v, n, &t, 1);
    TdlVal r = ir_result(L->b.f, o, 0);
    keep_name(L, r);
    return r;
}

TdlOp low_def(const Low *L, TdlVal v) { return ir_val(L->b.f, v)->def; }

LowValue low_tag(Low *L, TdlVal v, const char *grad_fn)
{
    TdlOp o = low_def(L, v);
    if (grad_fn && o.id && ty_is_float(L->m, ir_type(L->b.f, v))) ir_op(L->b.f, o)->grad_fn = intern(L->names, grad_fn);
    return lv_tensor(v);
}

/* ---- literals become SSA values ---- */

/* A literal that its type cannot hold is an error. */
static void check_literal(Low *L, LowValue v, TdlElem e)
{
    int64_t i;
    bool whole = lv_int_const(L, v, &i);
    bool fits = !whole || e != EL_I32 || (i >= INT32_MIN && i <= INT32_MAX);
    double x = whole ? (double)i : v.f;
    if ((whole || v.kind == LV_FLOAT) && e == EL_F32 && isfinite(x)) fits = fabs(x) < 0x1.ffffffp127; /* rounds to infinity from here */
    if (v.kind == LV_FLOAT && el_is_int(e)) fits = fabs(x) < (e == EL_I32 ? 0x1p31 : 0x1p63);
    if (!fits) low_error(L, L->b.span, "%s is out of range for %s", whole ? arena_printf(L->arena, "%lld", (long long)i) : arena_printf(L->arena, "%g", x), el_name(e));
}

/* An array of literals, made again in another type: a cast would keep the rounding of its own. */
static TdlVal array_of(Low *L, LowValue v, TdlElem e)
{
    TdlVal *x = ARENA_ARRAY(L->arena, TdlVal, v.n);
    for (uint32_t i = 0; i < v.n; i++) x[i] = low_mat(L, v.elems[i], e);
    return low_emit(L, OP_STACK, x, v.n, ty_with_elem(L->m, ir_type(L->b.f, v.v), e));
}

TdlVal low_mat(Low *L, LowValue v, TdlElem e)
{
    int64_t i;
    low_unname(L);
    check_literal(L, v, e);
    switch (v.kind) {
    case LV_INT:
        if (dim_is_const(L->m, v.d, &i))
            return el_is_float(e) ? ir_const_float(&L->b, e, (double)i)
                                  : ir_const_int(&L->b, e, e == EL_BOOL ? i != 0 : i);
        return ir_cast(&L->b, ir_dim(&L->b, v.d), e);
    case LV_FLOAT:
        return el_is_float(e) ? ir_const_float(&L->b, e, v.f) : ir_const_int(&L->b, e, (int64_t)v.f);
    case LV_BOOL:
        return el_is_float(e) ? ir_const_float(&L->b, e, v.i ? 1 : 0) : ir_const_int(&L->b, e, v.i);
    case LV_TENSOR: {
        if (lv_elem(L, v) == e) return v.v;
        if (v.weak && v.elems && el_is_float(e)) return array_of(L, v, e);
        if (el_is_float(e) && el_is_float(lv_elem(L, v)) && !v.weak) low_named(L, "ToCopyBackward0");
        TdlVal r = ir_cast(&L->b, v.v, e);
        low_unname(L);
        return r;
    }
    default: return (TdlVal){0};
    }
}

TdlVal low_mat_own(Low *L, LowValue v) { return low_mat(L, v, lv_elem(L, v)); }

LowValue low_concrete(Low *L, LowValue v)
{
    if (v.kind == LV_INT || v.kind == LV_FLOAT || v.kind == LV_BOOL) return lv_tensor(low_mat_own(L, v));
    if (v.kind == LV_TENSOR) v.weak = false;
    if (v.kind == LV_TUPLE || v.kind == LV_STRUCT) {
        LowValue *e = ARENA_ARRAY(L->arena, LowValue, v.n);
        for (uint32_t i = 0; i < v.n; i++) e[i] = low_concrete(L, v.elems[i]);
        v.elems = e;
    }
    return v;
}

/* ---- promotion and shapes ---- */

static TdlElem promote_elem(TdlElem a, TdlElem b)
{
    if (a == b) return a;
    if ((a == EL_F16 && b == EL_BF16) || (a == EL_BF16 && b == EL_F16)) return EL_F32;
    return a > b ? a : b; /* bool < i32 < i64 < f16 < bf16 < f32 < f64 */
}

static int category(TdlElem e) { return e == EL_BOOL ? 0 : el_is_int(e) ? 1 : 2; }

/* torch.result_type: tensors with dimensions rank above scalars, and those above literals; a lower rank counts only
 * when its category (bool, integer, float) is higher. */
TdlElem low_promote(const Low *L, LowValue a, LowValue b)
{
    int ra = lv_is_weak(a) ? 0 : lv_rank(L, a) ? 2 : 1, rb = lv_is_weak(b) ? 0 : lv_rank(L, b) ? 2 : 1;
    TdlElem ea = lv_elem(L, a), eb = lv_elem(L, b);
    if (ra == rb) return promote_elem(ea, eb);
    TdlElem hi = ra > rb ? ea : eb, lo = ra > rb ? eb : ea;
    if (category(lo) <= category(hi)) return hi;
    if (lo >= EL_F16 && (ra < rb ? ra : rb) == 0 && L->frame) return L->frame->deflt; /* integers and a float literal */
    return lo;
}

bool low_bshape(Low *L, const TdlDim *a, uint32_t ra, const TdlDim *b, uint32_t rb, TdlDim *out, uint32_t *rank)
{
    uint32_t r = ra > rb ? ra : rb;
    TdlDim one = dim_const(L->m, 1);
    for (uint32_t i = 0; i < r; i++) {
        TdlDim x = i + ra >= r ? a[i + ra - r] : one, y = i + rb >= r ? b[i + rb - r] : one;
        if (!dim_eq(x, y) && !dim_eq(x, one) && !dim_eq(y, one)) return false;
        out[i] = dim_eq(x, one) ? y : x;
    }
    *rank = r;
    return true;
}

TdlVal low_bcast(Low *L, TdlVal v, const TdlDim *dims, uint32_t rank)
{
    TdlType t = ty_tensor(L->m, ty_elem(L->m, ir_type(L->b.f, v)), dims, rank);
    if (ty_eq(t, ir_type(L->b.f, v))) return v;
    return ir_broadcast(&L->b, v, t, NULL);
}

TdlVal low_reshape(Low *L, TdlVal v, const TdlDim *dims, uint32_t rank)
{
    TdlType t = ty_tensor(L->m, ty_elem(L->m, ir_type(L->b.f, v)), dims, rank);
    if (ty_eq(t, ir_type(L->b.f, v))) return v;
    TdlOp o = ir_emit(&L->b, OP_RESHAPE, &v, 1, &t, 1);
    return ir_result(L->b.f, o, 0);
}

/* ---- integers as dimensions ---- */

bool low_known_dim(const Low *L, LowValue v, TdlDim *d)
{
    if (v.kind == LV_INT) { *d = v.d; return true; }
    return v.kind == LV_TENSOR && lv_elem(L, v) == EL_I64 && lv_rank(L, v) == 0 && ir_val_dim(L->b.f, v.v, d);
}

TdlVal low_i64(Low *L, LowValue v, TdlSpan at, const char *what)
{
    if (lv_is_err(v)) return (TdlVal){0};
    if (v.kind == LV_INT || (v.kind == LV_TENSOR && el_is_int(lv_elem(L, v)) && lv_rank(L, v) == 0))
        return low_mat(L, v, EL_I64);
    bool divided = (v.kind == LV_TENSOR || v.kind == LV_FLOAT) && el_is_float(lv_elem(L, v)) && lv_rank(L, v) == 0;
    low_error(L, at, "%s: expected an integer, not %s%s", what, lv_text(L, v),
              divided ? "; `//` divides integers, i64(x) truncates" : "");
    return (TdlVal){0};
}

bool low_as_dim(Low *L, LowValue v, TdlSpan at, const char *what, TdlDim *d)
{
    if (low_known_dim(L, v, d)) return true;
    TdlVal i = low_i64(L, v, at, what);
    if (!i.id) return false;
    TdlSym s = ir_fresh(L->m, "_t");
    TdlVal r = ir_emit1(&L->b, OP_NEWDIM, &i, 1);
    const char *name = low_name(L, s);
    op_set_str(L->b.f, low_def(L, r), "sym", name, (uint32_t)strlen(name));
    *d = dim_var(L->m, s);
    VEC_PUSH(L->arena, L->vdims, ((LowValueDim){s, L->b.f, L->b.region}));
    return true;
}

void low_check_nonneg(Low *L, TdlDim d, const char *msg)
{
    if (dim_known_ge(L->m, d, dim_const(L->m, 0))) return;
    TdlVal c = ir_binary(&L->b, OP_GE, ir_dim(&L->b, d), ir_const_int(&L->b, EL_I64, 0));
    TdlOp o = ir_emit(&L->b, OP_ASSERT, &c, 1, NULL, 0);
    op_set_str(L->b.f, o, "msg", msg, (uint32_t)strlen(msg));
}

typedef struct { Low *L; TdlRegion r; bool outside, ok; } Visible;

static void visible_var(void *user, TdlSym var)
{
    Visible *v = user;
    TdlFunc *f = v->L->b.f;
    for (uint32_t i = 0; i < v->L->vdims.n; i++) {
        LowValueDim d = v->L->vdims.p[i];
        if (!sym_eq(d.name, var) || d.f != f) continue;
        bool same = d.r.id == v->r.id;
        v->ok &= ir_region_encloses(f, d.r, v->r) && !(same && v->outside);
    }
}

bool low_type_visible(Low *L, TdlType t, TdlRegion r, bool outside)
{
    Visible v = {L, r, outside, true};
    for (uint32_t i = 0; i < ty_rank(L->m, t); i++) dim_vars(L->m, ty_dims(L->m, t)[i], visible_var, &v);
    return v.ok;
}

bool low_dim_visible(Low *L, TdlDim d, TdlRegion r)
{
    Visible v = {L, r, true, true};
    dim_vars(L->m, d, visible_var, &v);
    return v.ok;
}

static void is_value_dim(void *user, TdlSym var)
{
    Visible *v = user;
    for (uint32_t i = 0; i < v->L->vdims.n; i++) v->ok |= sym_eq(v->L->vdims.p[i].name, var);
}

bool low_value_dims(Low *L, TdlType t)
{
    Visible v = {L, {0}, false, false};
    for (uint32_t i = 0; i < ty_rank(L->m, t); i++) dim_vars(L->m, ty_dims(L->m, t)[i], is_value_dim, &v);
    return v.ok;
}

/* ---- leaves ---- */

void low_flatten(Low *L, LowValue v, TdlVals *out)
{
    if (v.kind == LV_TENSOR || v.kind == LV_NODE) VEC_PUSH(L->arena, *out, v.v);
    if (v.kind == LV_TUPLE || v.kind == LV_STRUCT)
        for (uint32_t i = 0; i < v.n; i++) low_flatten(L, v.elems[i], out);
    if (v.kind == LV_FN) {
        for (const LowVar *c = v.fn->captures; c; c = c->next) low_flatten(L, c->val, out);
        if (v.fn->inner) low_flatten(L, (LowValue){.kind = LV_FN, .fn = v.fn->inner}, out);
    }
}

LowValue low_unflatten(Low *L, LowValue v, const TdlVal *leaves, uint32_t *at)
{
    if (v.kind == LV_TENSOR || v.kind == LV_NODE) v.v = leaves[(*at)++];
    if (v.kind == LV_TUPLE || v.kind == LV_STRUCT) {
        LowValue *e = ARENA_ARRAY(L->arena, LowValue, v.n);
        for (uint32_t i = 0; i < v.n; i++) e[i] = low_unflatten(L, v.elems[i], leaves, at);
        v.elems = e;
    }
    if (v.kind == LV_FN) {
        LowFn *fn = arena_memdup(L->arena, v.fn, sizeof *v.fn);
        LowVar **tail = &fn->captures;
        for (const LowVar *c = v.fn->captures; c; c = c->next) {
            LowVar *n = arena_memdup(L->arena, c, sizeof *c);
            n->val = low_unflatten(L, c->val, leaves, at);
            *tail = n;
            tail = &n->next;
        }
        if (fn->inner) fn->inner = low_unflatten(L, (LowValue){.kind = LV_FN, .fn = fn->inner}, leaves, at).fn;
        v.fn = fn;
    }
    v.leaf = NULL;
    return v;
}

/* ---- likeness ---- */

static bool same_function(Low *L, const TdlFunc *f, const LowFn *a, const LowFn *b)
{
    if (a == b) return true;
    if (!a || !b || a->kind != b->kind || a->decl != b->decl || a->builtin != b->builtin || a->lambda != b->lambda) return false;
    if (a->diff != b->diff || a->wrt != b->wrt || a->aux != b->aux || !same_function(L, f, a->inner, b->inner)) return false;
    if (a->split != b->split) return false;
    if (a->kind == FN_VMAP && (!lv_alike(L, f, a->in_dims, b->in_dims) || !lv_alike(L, f, a->out_dims, b->out_dims))) return false;
    const LowVar *x = a->captures, *y = b->captures;
    for (; x && y; x = x->next, y = y->next)
        if (!sym_eq(x->name, y->name) || !lv_alike(L, f, x->val, y->val)) return false;
    return !x && !y;
}

bool lv_alike(Low *L, const TdlFunc *f, LowValue a, LowValue b)
{
    if (a.kind != b.kind) return false;
    if (a.kind == LV_FN) return same_function(L, f, a.fn, b.fn);
    if (a.kind == LV_TENSOR) return ty_eq(ir_type(f, a.v), lv_type(L, b));
    if (a.kind != LV_TUPLE && a.kind != LV_STRUCT) return lt_eq(low_type_of(L, a), low_type_of(L, b));
    bool ok = a.n == b.n && a.decl == b.decl;
    for (uint32_t i = 0; i < a.n && ok; i++) ok = lv_alike(L, f, a.elems[i], b.elems[i]);
    return ok;
}
