/* Operators: folding of literals and dimensions, promotion, broadcasting, PyTorch's names. */
#include "frontend/lower_int.h"

#include <math.h>

/* Elementwise operation c on args as element e (their common type), after broadcasting to the common shape. */
LowValue low_elementwise(Low *L, TdlOpcode c, const LowValue *args, uint32_t n, TdlElem e, const char *what,
                         const char *grad_fn, TdlSpan at)
{
    TdlDim dims[LOW_MAX_RANK];
    uint32_t rank = 0;
    bool weak = true;
    for (uint32_t i = 0; i < n; i++) {
        TdlDim next[LOW_MAX_RANK];
        uint32_t r;
        if (!low_bshape(L, dims, rank, lv_dims(L, args[i]), lv_rank(L, args[i]), next, &r))
            return low_error(L, at, "%s: the shapes do not fit: %s and %s", what, ty_text(L, ty_tensor(L->m, e, dims, rank)),
                             lv_text(L, args[i]));
        rank = r;
        for (uint32_t k = 0; k < r; k++) dims[k] = next[k];
        if (!lv_is_weak(args[i])) weak = false;
    }
    TdlSpan old = low_at(L, at);
    TdlVal v[3];
    for (uint32_t i = 0; i < n; i++) {
        bool cond = c == OP_SELECT && i == 0;
        v[i] = low_bcast(L, low_mat(L, args[i], cond ? EL_BOOL : e), dims, rank);
    }
    low_named(L, grad_fn);
    LowValue r = lv_tensor(low_emit1(L, c, v, n));
    r.weak = weak;
    L->b.span = old;
    return r;
}

/* ---- folding ---- */

static double as_double(const Low *L, LowValue v)
{
    int64_t i;
    if (v.kind == LV_FLOAT) return v.f;
    return v.kind == LV_BOOL ? (double)v.i : lv_int_const(L, v, &i) ? (double)i : 0;
}

static bool small(int64_t v) { return v < (1 << 30) && v > -(1 << 30); }

bool low_dims_ordered(Low *L, TdlDim a, TdlDim b, bool *less)
{
    *less = dim_known_ge(L->m, b, dim_add(L->m, a, dim_const(L->m, 1)));
    return *less || dim_known_ge(L->m, a, b);
}

static bool fold_dims(Low *L, AstOp op, TdlDim a, TdlDim b, LowValue *out)
{
    int64_t x = 0, y = 0;
    bool less, cx = dim_is_const(L->m, a, &x), cy = dim_is_const(L->m, b, &y);
    if ((cx && !small(x) && op != AST_OP_EQ) || (cy && !small(y))) return false;
    switch (op) {
    case AST_OP_ADD: *out = lv_dim(dim_add(L->m, a, b)); return true;
    case AST_OP_SUB: *out = lv_dim(dim_sub(L->m, a, b)); return true;
    case AST_OP_MUL: *out = lv_dim(dim_mul(L->m, a, b)); return true;
    case AST_OP_FLOORDIV: if (!cy || y <= 0) return false; *out = lv_dim(dim_floordiv(L->m, a, y)); return true;
    case AST_OP_MOD: if (!cy || y <= 0) return false; *out = lv_dim(dim_mod(L->m, a, y)); return true;
    case AST_OP_POW: {
        if (!cy || y < 0 || y > 8) return false;
        TdlDim r = dim_const(L->m, 1);
        while (y--) r = dim_mul(L->m, r, a);
        *out = lv_dim(r);
        return true;
    }
    case AST_OP_DIV: if (!cx || !cy) return false; *out = lv_float((double)x / (double)y); return true;
    case AST_OP_EQ: if (!dim_eq(a, b) && !(cx && cy)) return false; *out = lv_bool(dim_eq(a, b)); return true;
    case AST_OP_NE: if (!dim_eq(a, b) && !(cx && cy)) return false; *out = lv_bool(!dim_eq(a, b)); return true;
    case AST_OP_LT: if (!low_dims_ordered(L, a, b, &less)) return false; *out = lv_bool(less); return true;
    case AST_OP_GE: if (!low_dims_ordered(L, a, b, &less)) return false; *out = lv_bool(!less); return true;
    case AST_OP_GT: if (!low_dims_ordered(L, b, a, &less)) return false; *out = lv_bool(less); return true;
    case AST_OP_LE: if (!low_dims_ordered(L, b, a, &less)) return false; *out = lv_bool(!less); return true;
    default: return false;
    }
}

/* As the operations on run-time values, and as Python's: the remainder has the sign of y, (x - remainder) / y is whole. */
static double floored(double x, double y, bool remainder)
{
    double r = fmod(x, y), q = (x - r) / y;
    bool fix = r != 0 && (r < 0) != (y < 0);
    if (remainder) return fix ? r + y : r;
    if (y == 0) return x / y;
    q = nearbyint(fix ? q - 1 : q);
    return q == 0 ? copysign(0, x / y) : q;
}

static bool fold_floats(AstOp op, double x, double y, LowValue *out)
{
    switch (op) {
    case AST_OP_ADD: *out = lv_float(x + y); return true;
    case AST_OP_SUB: *out = lv_float(x - y); return true;
    case AST_OP_MUL: *out = lv_float(x * y); return true;
    case AST_OP_DIV: *out = lv_float(x / y); return true;
    case AST_OP_FLOORDIV: *out = lv_float(floored(x, y, false)); return true;
    case AST_OP_MOD: *out = lv_float(floored(x, y, true)); return true;
    case AST_OP_POW: *out = lv_float(pow(x, y)); return true;
    case AST_OP_EQ: *out = lv_bool(x == y); return true;
    case AST_OP_NE: *out = lv_bool(x != y); return true;
    case AST_OP_LT: *out = lv_bool(x < y); return true;
    case AST_OP_LE: *out = lv_bool(x <= y); return true;
    case AST_OP_GT: *out = lv_bool(x > y); return true;
    case AST_OP_GE: *out = lv_bool(x >= y); return true;
    default: return false;
    }
}

static bool is_const(const Low *L, LowValue v)
{
    int64_t i;
    return v.kind == LV_FLOAT || lv_int_const(L, v, &i);
}

static bool fold(Low *L, AstOp op, LowValue a, LowValue b, LowValue *out)
{
    TdlDim x, y;
    bool arith = op >= AST_OP_ADD && op <= AST_OP_POW && op != AST_OP_DIV;
    if (a.kind == LV_INT && b.kind == LV_INT) return fold_dims(L, op, a.d, b.d, out);
    /* A run-time integer that stands for a dimension stays one: var m = n; zeros(m + 1). */
    if (arith && (a.kind == LV_INT || b.kind == LV_INT) && low_known_dim(L, a, &x) && low_known_dim(L, b, &y) && lv_is_weak(a) && lv_is_weak(b))
        return fold_dims(L, op, x, y, out);
    if (is_const(L, a) && is_const(L, b)) return fold_floats(op, as_double(L, a), as_double(L, b), out);
    if ((op == AST_OP_AND || op == AST_OP_OR) && (a.kind == LV_BOOL || b.kind == LV_BOOL)) {
        LowValue c = a.kind == LV_BOOL ? a : b, v = a.kind == LV_BOOL ? b : a;
        if (lv_elem(L, v) != EL_BOOL || (lv_rank(L, v) && c.i == (op == AST_OP_OR))) return false;
        *out = (c.i != 0) == (op == AST_OP_OR) ? c : v;
        return true;
    }
    if (a.kind == LV_BOOL && b.kind == LV_BOOL) {
        if (op == AST_OP_EQ || op == AST_OP_NE) { *out = lv_bool((a.i == b.i) == (op == AST_OP_EQ)); return true; }
    }
    return false;
}

/* ---- run-time operators ---- */

static TdlOpcode opcode(AstOp op)
{
    switch (op) {
    case AST_OP_ADD: return OP_ADD;
    case AST_OP_SUB: return OP_SUB;
    case AST_OP_MUL: return OP_MUL;
    case AST_OP_DIV: return OP_DIV;
    case AST_OP_FLOORDIV: return OP_FLOORDIV;
    case AST_OP_MOD: return OP_MOD;
    case AST_OP_POW: return OP_POW;
    case AST_OP_EQ: return OP_EQ;
    case AST_OP_NE: return OP_NE;
    case AST_OP_LT: return OP_LT;
    case AST_OP_LE: return OP_LE;
    case AST_OP_GT: return OP_GT;
    case AST_OP_GE: return OP_GE;
    case AST_OP_AND: return OP_AND;
    case AST_OP_OR: return OP_OR;
    default: return OP_NONE;
    }
}

/* PyTorch's name belongs to the overload: 1 - x is rsub, x**2 is pow with a scalar exponent. */
static const char *grad_name(AstOp op, LowValue a, LowValue b)
{
    bool sa = lv_is_weak(a), sb = lv_is_weak(b);
    switch (op) {
    case AST_OP_ADD: return "AddBackward0";
    case AST_OP_SUB: return sa && !sb ? "RsubBackward1" : "SubBackward0";
    case AST_OP_MUL: return "MulBackward0";
    case AST_OP_DIV: return "DivBackward0";
    case AST_OP_FLOORDIV: return NULL;
    case AST_OP_MOD: return sb ? "RemainderBackward0" : "RemainderBackward1";
    case AST_OP_POW: return sb ? "PowBackward0" : sa ? "PowBackward2" : "PowBackward1";
    default: return NULL;
    }
}

/* c / x is reciprocal(x) * c in PyTorch: the name that y.grad_fn shows is MulBackward0. */
static const char *div_name(LowValue a, LowValue b) { return lv_is_weak(a) && !lv_is_weak(b) ? "MulBackward0" : "DivBackward0"; }

static LowValue logic(Low *L, AstOp op, LowValue a, LowValue b, TdlSpan at)
{
    if (lv_elem(L, a) != EL_BOOL || lv_elem(L, b) != EL_BOOL)
        return low_error(L, at, "`%s` needs bools, not %s and %s", ast_op_text(op), lv_text(L, a), lv_text(L, b));
    return low_elementwise(L, opcode(op), (LowValue[]){a, b}, 2, EL_BOOL, ast_op_text(op), NULL, at);
}

/* The tuple of the elements of both. */
static LowValue joined(Low *L, LowValue a, LowValue b)
{
    LowValue *v = ARENA_ARRAY(L->arena, LowValue, a.n + b.n + 1);
    for (uint32_t i = 0; i < a.n + b.n; i++) v[i] = i < a.n ? a.elems[i] : b.elems[i - a.n];
    return lv_tuple(L, v, a.n + b.n);
}

/* What no integers can be: known when compiling, as b is. */
static const char *impossible(const Low *L, AstOp op, LowValue a, LowValue b)
{
    int64_t c;
    if (!lv_int_const(L, b, &c) || !el_is_int(lv_elem(L, a))) return NULL;
    if ((op == AST_OP_FLOORDIV || op == AST_OP_MOD) && c == 0) return "an integer divided by zero";
    return op == AST_OP_POW && c < 0 ? "an integer to a negative power: a float has one, as in 2.0 ** -1" : NULL;
}

/* `==` or `!=` of two values, one of which is None. */
static LowValue with_none(Low *L, AstOp op, LowValue a, LowValue b)
{
    TdlVal has = a.kind == LV_MAYBE ? a.has : b.kind == LV_MAYBE ? b.has : (TdlVal){0};
    if (has.id) {
        LowValue r = lv_tensor(op == AST_OP_EQ ? ir_unary(&L->b, OP_NOT, has) : has);
        r.weak = true; /* no tensor: True, as print shows it */
        return r;
    }
    return lv_bool((a.kind == b.kind) == (op == AST_OP_EQ));
}

LowValue low_binary(Low *L, AstOp op, LowValue a, LowValue b, TdlSpan at)
{
    if (lv_is_err(a) || lv_is_err(b)) return LOW_ERR;
    if ((op == AST_OP_EQ || op == AST_OP_NE) && (a.kind == LV_NONE || b.kind == LV_NONE)) return with_none(L, op, a, b);
    a = low_given(L, a, at);
    b = low_given(L, b, at);
    if ((op == AST_OP_EQ || op == AST_OP_NE) && a.kind == LV_STR && b.kind == LV_STR)
        return lv_bool((intern_n(L->names, a.s, a.n).id == intern_n(L->names, b.s, b.n).id) == (op == AST_OP_EQ));
    if (op == AST_OP_ADD && a.kind == LV_TUPLE && b.kind == LV_TUPLE) return joined(L, a, b);
    if (!lv_is_num(a) || !lv_is_num(b))
        return low_error(L, at, "`%s`: needs numbers or tensors, not %s and %s", ast_op_text(op), lv_text(L, a), lv_text(L, b));
    if (op == AST_OP_MATMUL) return low_matmul(L, a, b, at, "@");
    LowValue r;
    int64_t zero;
    const char *wrong = impossible(L, op, a, b);
    if (wrong) return low_error(L, at, "`%s`: %s", ast_op_text(op), wrong);
    if (fold(L, op, a, b, &r)) return r;
    bool same = (op == AST_OP_ADD || op == AST_OP_SUB) && a.kind == LV_TENSOR && lv_elem(L, a) == EL_I64;
    if (same && lv_int_const(L, b, &zero) && !zero) return a;
    if (op == AST_OP_AND || op == AST_OP_OR) return logic(L, op, a, b, at);
    TdlElem e = low_promote(L, a, b);
    bool compare = op >= AST_OP_EQ && op <= AST_OP_GE;
    if (op == AST_OP_DIV && !el_is_float(e)) e = L->frame->deflt;
    if (e == EL_BOOL && !(op == AST_OP_EQ || op == AST_OP_NE))
        return low_error(L, at, "`%s` on bools: i64(x) makes integers of them", ast_op_text(op));
    const char *name = op == AST_OP_DIV ? div_name(a, b) : compare ? NULL : grad_name(op, a, b);
    r = low_elementwise(L, opcode(op), (LowValue[]){a, b}, 2, e, arena_printf(L->arena, "`%s`", ast_op_text(op)), name, at);
    return r;
}

LowValue low_unary(Low *L, AstOp op, LowValue a, TdlSpan at)
{
    if (lv_is_err(a)) return a;
    bool b;
    if (op == AST_OP_NOT) {
        if (low_const_bool(&a, &b)) return lv_bool(!b);
        if (a.kind != LV_TENSOR || lv_elem(L, a) != EL_BOOL) return low_error(L, at, "`not` needs a bool, not %s", lv_text(L, a));
        return low_elementwise(L, OP_NOT, &a, 1, EL_BOOL, "`not`", NULL, at);
    }
    if (a.kind == LV_INT) return lv_dim(dim_sub(L->m, dim_const(L->m, 0), a.d));
    if (a.kind == LV_FLOAT) return lv_float(-a.f);
    if (a.kind != LV_TENSOR || lv_elem(L, a) == EL_BOOL)
        return low_error(L, at, "`-` needs a number, not %s", lv_text(L, a));
    return low_elementwise(L, OP_NEG, &a, 1, lv_elem(L, a), "`-`", "NegBackward0", at);
}

/* ---- @ ---- */

static TdlVal dot(Low *L, TdlVal a, TdlVal b, uint32_t nbatch, int64_t ca, int64_t cb, const char *grad_fn)
{
    const TdlDim *da = ty_dims(L->m, ir_type(L->b.f, a)), *db = ty_dims(L->m, ir_type(L->b.f, b));
    uint32_t ra = ty_rank(L->m, ir_type(L->b.f, a)), rb = ty_rank(L->m, ir_type(L->b.f, b)), n = 0;
    TdlDim dims[2 * LOW_MAX_RANK];
    int64_t batch[LOW_MAX_RANK];
    for (uint32_t i = 0; i < nbatch; i++) { batch[i] = i; dims[n++] = da[i]; }
    for (uint32_t i = nbatch; i < ra; i++) if (i != (uint32_t)ca) dims[n++] = da[i];
    for (uint32_t i = nbatch; i < rb; i++) if (i != (uint32_t)cb) dims[n++] = db[i];
    TdlVal ops[2] = {a, b};
    low_named(L, grad_fn);
    TdlVal r = low_emit(L, OP_DOT, ops, 2, ty_tensor(L->m, ty_elem(L->m, ir_type(L->b.f, a)), dims, n));
    TdlOp o = low_def(L, r);
    op_set_ints(L->b.f, o, "batch_a", batch, nbatch);
    op_set_ints(L->b.f, o, "batch_b", batch, nbatch);
    op_set_ints(L->b.f, o, "contract_a", &ca, 1);
    op_set_ints(L->b.f, o, "contract_b", &cb, 1);
    return r;
}

/* Ranks above 2: the leading axes broadcast against each other (torch.matmul). */
static LowValue matmul_batched(Low *L, TdlVal a, TdlVal b, TdlSpan at, const char *what)
{
    const TdlDim *da = ty_dims(L->m, ir_type(L->b.f, a)), *db = ty_dims(L->m, ir_type(L->b.f, b));
    uint32_t ra = ty_rank(L->m, ir_type(L->b.f, a)), rb = ty_rank(L->m, ir_type(L->b.f, b)), n;
    TdlDim batch[LOW_MAX_RANK + 2];
    uint32_t ba = ra > 2 ? ra - 2 : 0, bb = rb > 2 ? rb - 2 : 0;
    if (!low_bshape(L, da, ba, db, bb, batch, &n))
        return low_error(L, at, "%s: the leading dimensions do not fit: %s @ %s", what, ty_text(L, ir_type(L->b.f, a)), ty_text(L, ir_type(L->b.f, b)));
    if (rb == 2 || rb == 1) /* one right side for all: no batch axis */
        return lv_tensor(dot(L, a, b, 0, ra - 1, 0, "UnsafeViewBackward0"));
    TdlDim full[LOW_MAX_RANK + 2];
    for (uint32_t i = 0; i < n; i++) full[i] = batch[i];
    uint32_t ta = ra >= 2 ? 2 : 1;
    for (uint32_t i = 0; i < ta; i++) full[n + i] = da[ra - ta + i];
    a = low_bcast(L, a, full, n + ta);
    full[n] = db[rb - 2];
    full[n + 1] = db[rb - 1];
    b = low_bcast(L, b, full, n + 2);
    return lv_tensor(dot(L, a, b, n, n + ta - 1, n, "UnsafeViewBackward0"));
}

LowValue low_matmul(Low *L, LowValue a, LowValue b, TdlSpan at, const char *what)
{
    uint32_t ra = lv_rank(L, a), rb = lv_rank(L, b);
    if (!ra || !rb) return low_error(L, at, "%s: needs tensors of rank 1 or more, not %s and %s; `*` multiplies by a scalar", what, lv_text(L, a), lv_text(L, b));
    if (ra + rb > LOW_MAX_RANK) return low_error(L, at, "%s: too many dimensions", what);
    TdlDim ka = lv_dims(L, a)[ra - 1], kb = lv_dims(L, b)[rb > 1 ? rb - 2 : 0];
    if (!dim_eq(ka, kb))
        return low_error(L, at, "matmul: inner dimensions differ: %s @ %s", lv_text(L, a), lv_text(L, b));
    TdlElem e = low_promote(L, a, b);
    if (e == EL_BOOL) return low_error(L, at, "%s on bools: i64(x) makes integers of them", what);
    TdlSpan old = low_at(L, at);
    TdlVal x = low_mat(L, a, e), y = low_mat(L, b, e);
    LowValue r;
    if (ra <= 2 && rb <= 2)
        r = lv_tensor(dot(L, x, y, 0, ra - 1, 0, ra == 2 && rb == 2 ? "MmBackward0" : ra == 2 ? "MvBackward0"
                                              : rb == 2 ? "SqueezeBackward4" : "DotBackward0"));
    else
        r = matmul_batched(L, x, y, at, what);
    L->b.span = old;
    return r;
}
