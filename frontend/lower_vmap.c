/* vmap(f, in_dims, out_dims): f over an axis of its arguments, as index notation says it.
 *
 *     vmap(f, in_dims=(0, None))(x, k)  =  [ f(x[i], k) for i in n ]
 *
 * The parameters are those of f, by the same names. */
#include "frontend/lower_diff.h"

#include <string.h>

typedef struct { bool mapped; int64_t axis; } Axis; /* of an argument; a negative axis counts from the end */

typedef struct {
    Low *L;
    const LowFn *fn;
    TdlSpan at;
    TdlDim size;          /* of the axis, once `of` is set */
    const char *of;       /* the argument that it was found in */
} Vmap;

/* ---- vmap(f, ...) ---- */

static bool is_axis(Low *L, LowValue v)
{
    int64_t i;
    return v.kind == LV_NONE || lv_int_const(L, v, &i);
}

static bool read_axes(Low *L, LowValue *to, const AstExpr *e, bool out)
{
    *to = low_expr(L, e);
    bool ok = to->kind == LV_TUPLE || is_axis(L, *to);
    for (uint32_t i = 0; to->kind == LV_TUPLE && i < to->n; i++) ok = ok && is_axis(L, to->elems[i]) && !(out && to->elems[i].kind == LV_NONE);
    ok = ok && !(out && to->kind == LV_NONE);
    if (!ok && !lv_is_err(*to))
        low_error(L, e->span, out ? "vmap: out_dims is an axis, or a tuple with one for each result"
                                  : "vmap: in_dims is an axis, None, or a tuple with one of these for each parameter");
    return ok;
}

LowValue low_vmap_call(Low *L, const AstExpr *e)
{
    LowFn fn = {.kind = FN_VMAP, .span = e->span, .in_dims = lv_int(L, 0), .out_dims = lv_int(L, 0)};
    for (uint32_t i = 0; i < e->args.n; i++) {
        const AstArg *a = &e->args.p[i];
        const char *n = a->name.name.id ? low_name(L, a->name.name) : i == 0 ? "f" : i == 1 ? "in_dims" : i == 2 ? "out_dims" : "";
        if (!strcmp(n, "f") && !fn.inner) {
            LowValue f = low_expr(L, a->value);
            if (lv_is_err(f)) return f;
            if (f.kind != LV_FN) return low_error(L, a->value->span, "vmap: needs a function, not %s; vmap(f)(x) is f over the first axis of x", lv_text(L, f));
            fn.inner = f.fn;
        } else if (!strcmp(n, "in_dims")) {
            if (!read_axes(L, &fn.in_dims, a->value, false)) return LOW_ERR;
        } else if (!strcmp(n, "out_dims")) {
            if (!read_axes(L, &fn.out_dims, a->value, true)) return LOW_ERR;
        } else {
            return low_error(L, a->value->span, "vmap: takes a function, in_dims and out_dims; vmap(f)(x) is f over the first axis of x");
        }
    }
    if (!fn.inner) return low_error(L, e->span, "vmap: needs a function");
    return low_fn_value(L, fn);
}

/* ---- the call ---- */

static Axis axis_of(const Vmap *v, uint32_t i)
{
    LowValue d = v->fn->in_dims.kind == LV_TUPLE ? v->fn->in_dims.elems[i] : v->fn->in_dims;
    Axis a = {.mapped = d.kind != LV_NONE};
    if (a.mapped) lv_int_const(v->L, d, &a.axis);
    return a;
}

/* v with axis `from` at `to`. */
static TdlVal moved(Low *L, TdlVal v, uint32_t from, uint32_t to)
{
    TdlType t = ir_type(L->b.f, v);
    uint32_t rank = ty_rank(L->m, t), k = 0;
    int64_t *perm = ARENA_ARRAY(L->arena, int64_t, rank + 1);
    TdlDim *dims = ARENA_ARRAY(L->arena, TdlDim, rank + 1);
    if (from == to) return v;
    for (uint32_t i = 0; i < rank; i++) {
        if (i == to) { perm[i] = from; continue; }
        k += k == from;
        perm[i] = k++;
    }
    for (uint32_t i = 0; i < rank; i++) dims[i] = ty_dims(L->m, t)[perm[i]];
    low_unname(L);
    TdlVal z = low_emit(L, OP_PERMUTE, &v, 1, ty_tensor(L->m, ty_elem(L->m, t), dims, rank));
    op_set_ints(L->b.f, low_def(L, z), "perm", perm, rank);
    return z;
}

/* The leaves of an argument, with the axis in front; false after an error. */
static bool bring(Vmap *v, LowValue *arg, Axis a, const char *name, TdlSpan at)
{
    Low *L = v->L;
    if (!a.mapped) return true;
    *arg = low_concrete(L, *arg);
    TdlVals leaves = {0};
    low_flatten(L, *arg, &leaves);
    for (uint32_t i = 0; i < leaves.n; i++) {
        TdlType t = ir_type(L->b.f, leaves.p[i]);
        int64_t rank = ty_rank(L->m, t), axis = a.axis < 0 ? a.axis + rank : a.axis;
        if (axis < 0 || axis >= rank) {
            const char *hint = arg->kind == LV_STRUCT ? ": a struct holds sizes of its own: map its fields, and make one in the function, as in vmap(fn(w: f64[n]) => f(P(w=w)))(ws)"
                               : rank ? "" : ": in_dims says None where there is nothing to map";
            low_error(L, at, "vmap: %s is %s: it has no axis %lld%s", name, ty_text(L, t), (long long)a.axis, hint);
            return false;
        }
        TdlDim d = ty_dims(L->m, t)[axis];
        if (!v->of) v->size = d, v->of = name;
        if (!dim_eq(d, v->size)) {
            low_error(L, at, "vmap: the axes differ in size: %s in %s, %s in %s", dim_text(L, v->size), v->of, dim_text(L, d), name);
            return false;
        }
        leaves.p[i] = moved(L, leaves.p[i], (uint32_t)axis, 0);
    }
    uint32_t k = 0;
    *arg = low_unflatten(L, *arg, leaves.p, &k);
    return true;
}

/* Element i of a mapped argument. */
static LowValue element(Low *L, LowValue arg, TdlVal i)
{
    TdlVals leaves = {0};
    low_flatten(L, arg, &leaves);
    for (uint32_t k = 0; k < leaves.n; k++) {
        TdlVal x = leaves.p[k];
        low_named(L, "SelectBackward0");
        leaves.p[k] = low_emit1(L, OP_INDEX, (TdlVal[]){x, i}, 2);
        op_set_int(L->b.f, low_def(L, leaves.p[k]), "inbounds", 1);
    }
    uint32_t k = 0;
    return low_unflatten(L, arg, leaves.p, &k);
}

static bool plain(LowValue v)
{
    for (uint32_t i = 0; (v.kind == LV_TUPLE || v.kind == LV_STRUCT) && i < v.n; i++)
        if (!plain(v.elems[i])) return false;
    return v.kind == LV_TUPLE || v.kind == LV_STRUCT || lv_is_num(v);
}

/* The result v, of any form, from leaf *k on, with its axis at `axis`; false after an error. */
static bool place(Vmap *v, LowValue z, LowValue axis, TdlVals *y, uint32_t *k)
{
    Low *L = v->L;
    if (axis.kind == LV_TUPLE) {
        bool ok = z.kind == LV_TUPLE && z.n == axis.n;
        if (!ok) low_error(L, v->at, "vmap: out_dims has %u entries, the result is %s", axis.n, lv_text(L, z));
        for (uint32_t i = 0; ok && i < z.n; i++) ok = place(v, z.elems[i], axis.elems[i], y, k);
        return ok;
    }
    int64_t at = 0;
    lv_int_const(L, axis, &at);
    for (uint32_t n = low_count_leaves(L, z); n--; (*k)++) {
        int64_t rank = ty_rank(L->m, ir_type(L->b.f, y->p[*k])), to = at < 0 ? at + rank : at;
        if (to < 0 || to >= rank) {
            low_error(L, v->at, "vmap: the results have %lld axes: out_dims cannot be %lld", (long long)rank, (long long)at);
            return false;
        }
        y->p[*k] = moved(L, y->p[*k], 0, (uint32_t)to);
    }
    return true;
}

/* What the map yields, as tensors over it, with the axis at out_dims. */
static LowValue collect(Vmap *v, TdlOp map, TdlRegion r, TdlBuilder outer, LowValue z)
{
    Low *L = v->L;
    TdlVals y = {0};
    if (!lv_is_err(z) && !plain(z)) z = low_error(L, v->at, "vmap: the function's result is %s: it must be numbers, tensors, or tuples and structs of them", lv_text(L, z));
    if (!lv_is_err(z)) low_flatten(L, z, &y);
    for (uint32_t i = 0; i < y.n; i++)
        if (!low_type_visible(L, ir_type(L->b.f, y.p[i]), r, true)) {
            z = low_error(L, v->at, "vmap: the results differ in size: a ragged tensor is not a tensor");
            y.n = 0;
        }
    ir_emit(&L->b, OP_YIELD, y.p, y.n, NULL, 0);
    L->b = outer;
    if (lv_is_err(z)) return z;
    for (uint32_t i = 0; i < y.n; i++) {
        TdlType t = ir_type(L->b.f, y.p[i]);
        y.p[i] = ir_add_result(L->b.f, map, ty_prepend(L->m, t, &v->size, 1));
        if (ty_is_float(L->m, t)) ir_op(L->b.f, map)->grad_fn = intern(L->names, "MapBackward0");
    }
    uint32_t k = 0;
    if (!place(v, z, v->fn->out_dims, &y, &k)) return LOW_ERR;
    k = 0;
    z = low_unflatten(L, z, y.p, &k);
    z.weak = false;
    return z;
}

/* The parameter that argument a is for, *pos the next one in order; -1 after an error. */
static int64_t parameter(Vmap *v, const LowArg *a, uint32_t given, uint32_t *pos)
{
    Low *L = v->L;
    uint32_t n = low_param_count(L, v->fn, given);
    uint32_t to = a->name.name.id ? low_param_of_name(L, v->fn, a->name.name, given) : (*pos)++;
    const LowValue *in = &v->fn->in_dims;
    if (to < n && (in->kind != LV_TUPLE || to < in->n)) return to;
    if (a->name.name.id && to == n) low_error(L, a->span, "vmap: the function has no parameter `%s`", low_name(L, a->name.name));
    else if (to >= n) low_error(L, v->at, "this function takes %u arguments, not %u", n, given);
    else low_error(L, a->span, "vmap: in_dims has %u entries, this is parameter %u: one for each, None where nothing is mapped", in->n, to + 1);
    return -1;
}

/* The arguments evaluated, the mapped ones with the axis in front; false after an error. */
static bool bring_all(Vmap *v, LowArgs *args, bool *mapped)
{
    Low *L = v->L;
    const LowValue *in = &v->fn->in_dims;
    uint32_t n = low_param_count(L, v->fn, args->n);
    if (in->kind == LV_TUPLE && in->n > n) {
        low_error(L, v->at, "vmap: in_dims has %u entries, the function %u parameters: one for each, None where nothing is mapped", in->n, n);
        return false;
    }
    for (uint32_t i = 0, pos = 0; i < args->n; i++) {
        LowArg *a = &args->p[i];
        int64_t to = parameter(v, a, args->n, &pos);
        if (to < 0) return false;
        LowValue x = low_arg_value(L, a);
        const char *name = low_name(L, low_param_name(L, v->fn, (uint32_t)to, args->n));
        const char *text = *name ? arena_printf(L->arena, "`%s`", name) : arena_printf(L->arena, "argument %u", (uint32_t)to + 1);
        if (lv_is_err(x) || !bring(v, &x, axis_of(v, (uint32_t)to), text, a->span)) return false;
        mapped[i] = axis_of(v, (uint32_t)to).mapped;
        *a = (LowArg){.name = a->name, .v = x, .span = a->span, .ready = true};
    }
    if (!v->of) low_error(L, v->at, args->n ? "vmap: nothing is mapped: in_dims says None for every argument" : "vmap: nothing is mapped: there is no argument");
    return v->of != NULL;
}

LowValue low_vmap_apply(Low *L, LowFn *fn, LowArgs *args, TdlSpan at)
{
    Vmap v = {.L = L, .fn = fn, .at = at};
    bool *mapped = ARENA_ARRAY(L->arena, bool, args->n + 1);
    if (!bring_all(&v, args, mapped)) return LOW_ERR;
    TdlVal extent = ir_dim(&L->b, v.size);
    low_unname(L);
    TdlOp map = ir_emit(&L->b, OP_MAP, &extent, 1, NULL, 0);
    TdlBuilder outer = L->b;
    LowVar *brk = L->frame->brk, *cont = L->frame->cont;
    L->frame->brk = L->frame->cont = NULL;
    L->b.region = ir_op(L->b.f, map)->regions[0];
    L->b.before = (TdlOp){0};
    TdlVal i = ir_region_arg(L->b.f, L->b.region, ty_scalar(L->m, EL_I64), SYM_NONE);
    low_push_scope(L, BARRIER_COMP);
    for (uint32_t k = 0; k < args->n; k++)
        if (mapped[k]) args->p[k].v = element(L, args->p[k].v, i);
    LowValue z = low_concrete(L, low_apply(L, fn->inner, args, at));
    low_pop_scope(L);
    L->frame->brk = brk;
    L->frame->cont = cont;
    return collect(&v, map, ir_op(L->b.f, map)->regions[0], outer, z);
}
