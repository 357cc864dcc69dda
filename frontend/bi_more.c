/* Builtins that fit no other family: conversions, single axes, tree_map. */
#include "frontend/bi.h"

/* Tensors are values: a clone is the value itself. */
static LowValue convert(LowCall *c, TdlElem e)
{
    LowValue v = c->a[0];
    if (!lv_is_num(v)) return bi_err(c, "needs a number or a tensor, not %s", lv_text(c->L, v));
    v.weak = false;
    return lv_tensor(low_mat(c->L, v, e));
}

LowValue bi_to(LowCall *c)
{
    TdlElem e;
    return bi_elem(c, 1, EL_F32, &e) ? convert(c, e) : LOW_ERR;
}

LowValue bi_to_elem(LowCall *c) { return convert(c, (TdlElem)c->bi->op); }

/* The number in a tensor of one element; print writes it as a number. */
LowValue bi_item(LowCall *c)
{
    Low *L = c->L;
    if (!bi_tensor(c, 0)) return LOW_ERR;
    if (!dim_eq(ty_numel(L->m, lv_type(L, c->a[0])), dim_const(L->m, 1))) return bi_err(c, "%s has not one element", lv_text(L, c->a[0]));
    LowValue r = lv_tensor(low_reshape(L, c->a[0].v, NULL, 0));
    r.weak = true;
    return r;
}

LowValue bi_shape_of(LowCall *c)
{
    Low *L = c->L;
    uint32_t axis;
    if (!bi_tensor(c, 0)) return LOW_ERR;
    uint32_t r = lv_rank(L, c->a[0]);
    if (c->given[1]) return bi_axis(c, 1, r, &axis) ? lv_dim(lv_dims(L, c->a[0])[axis]) : LOW_ERR;
    return low_field(L, c->a[0], intern(L->names, "shape"), c->at);
}

LowValue bi_expand_as(LowCall *c)
{
    Low *L = c->L;
    TdlDim d[LOW_MAX_RANK];
    uint32_t r;
    if (!bi_tensor(c, 0) || !bi_tensor(c, 1)) return LOW_ERR;
    uint32_t n = lv_rank(L, c->a[1]);
    bool ok = low_bshape(L, lv_dims(L, c->a[0]), lv_rank(L, c->a[0]), lv_dims(L, c->a[1]), n, d, &r) && r == n;
    for (uint32_t i = 0; ok && i < n; i++) ok = dim_eq(d[i], lv_dims(L, c->a[1])[i]);
    if (!ok) return bi_err(c, "%s does not expand to the shape of %s", lv_text(L, c->a[0]), lv_text(L, c->a[1]));
    return bi_named(c, low_bcast(L, c->a[0].v, d, n), c->a[0].v, c->bi->grad_fn);
}

/* ---- one axis ---- */

static TdlVal slice_axis(Low *L, TdlVal x, uint32_t axis, TdlVal start, TdlDim size)
{
    TdlType t = ir_type(L->b.f, x);
    uint32_t r = ty_rank(L->m, t);
    TdlVal ops[LOW_MAX_RANK + 1] = {x};
    TdlDim d[LOW_MAX_RANK];
    int64_t steps[LOW_MAX_RANK];
    for (uint32_t i = 0; i < r; i++) {
        ops[i + 1] = i == axis ? start : ir_const_int(&L->b, EL_I64, 0);
        d[i] = i == axis ? size : ty_dims(L->m, t)[i];
        steps[i] = 1;
    }
    TdlVal v = low_emit(L, OP_SLICE, ops, r + 1, ty_tensor(L->m, ty_elem(L->m, t), d, r));
    op_set_ints(L->b.f, low_def(L, v), "steps", steps, r);
    return v;
}

static TdlVal start_arg(LowCall *c, uint32_t i, uint32_t axis)
{
    Low *L = c->L;
    int64_t k;
    if (lv_int_const(L, c->a[i], &k) && k < 0) c->a[i] = lv_dim(dim_add(L->m, lv_dims(L, c->a[0])[axis], c->a[i].d));
    return low_i64(L, c->a[i], c->at, c->bi->name);
}

LowValue bi_narrow(LowCall *c)
{
    Low *L = c->L;
    uint32_t axis;
    TdlDim len;
    if (!bi_tensor(c, 0) || !bi_axis(c, 1, lv_rank(L, c->a[0]), &axis)) return LOW_ERR;
    TdlVal start = start_arg(c, 2, axis);
    if (!start.id || !bi_dim(c, c->a[3], c->at, &len)) return LOW_ERR;
    return low_tag(L, slice_axis(L, c->a[0].v, axis, start, len), c->bi->grad_fn);
}

LowValue bi_select(LowCall *c)
{
    Low *L = c->L;
    uint32_t axis, n = 0;
    if (!bi_tensor(c, 0) || !bi_axis(c, 1, lv_rank(L, c->a[0]), &axis)) return LOW_ERR;
    TdlVal i = start_arg(c, 2, axis);
    if (!i.id) return LOW_ERR;
    TdlVal v = slice_axis(L, c->a[0].v, axis, i, dim_const(L->m, 1));
    TdlDim d[LOW_MAX_RANK];
    for (uint32_t a = 0; a < lv_rank(L, c->a[0]); a++)
        if (a != axis) d[n++] = lv_dims(L, c->a[0])[a];
    return low_tag(L, low_reshape(L, v, d, n), c->bi->grad_fn);
}

/* numpy.take by dim, torch.take (of the flattened tensor) without. */
LowValue bi_take(LowCall *c)
{
    Low *L = c->L;
    uint32_t axis = 0, n = 0;
    TdlVal idx;
    if (!bi_tensor(c, 0) || !bi_indices(c, 1, &idx)) return LOW_ERR;
    TdlVal x = c->a[0].v;
    if (c->given[2] && !bi_axis(c, 2, lv_rank(L, c->a[0]), &axis)) return LOW_ERR;
    if (!c->given[2]) {
        TdlDim all = ty_numel(L->m, lv_type(L, c->a[0]));
        x = low_reshape(L, x, &all, 1);
    }
    TdlType xt = ir_type(L->b.f, x), it = ir_type(L->b.f, idx);
    uint32_t r = ty_rank(L->m, xt), ri = ty_rank(L->m, it);
    TdlDim d[2 * LOW_MAX_RANK];
    if (r + ri > LOW_MAX_RANK + 1) return bi_err(c, "more than %d dimensions", LOW_MAX_RANK);
    for (uint32_t i = 0; i < r; i++) {
        if (i != axis) { d[n++] = ty_dims(L->m, xt)[i]; continue; }
        for (uint32_t k = 0; k < ri; k++) d[n++] = ty_dims(L->m, it)[k];
    }
    TdlVal v = low_emit(L, OP_TAKE, (TdlVal[]){x, idx}, 2, ty_tensor(L->m, ty_elem(L->m, xt), d, n));
    op_set_int(L->b.f, low_def(L, v), "axis", axis);
    return low_tag(L, v, c->given[2] ? c->bi->grad_fn2 : c->bi->grad_fn);
}

/* rand_like(x, seed=s): rand of the shape and element type of x. */
LowValue bi_rand_like(LowCall *c)
{
    Low *L = c->L;
    if (!bi_tensor(c, 0)) return LOW_ERR;
    const LowBuiltin *b = low_find_builtin(c->bi->op ? "randn" : "rand");
    LowArgs args = {0};
    VEC_PUSH(L->arena, args, ((LowArg){.v = low_field(L, c->a[0], intern(L->names, "shape"), c->at), .ready = true, .span = c->at}));
    VEC_PUSH(L->arena, args, ((LowArg){.name = {intern(L->names, "seed"), c->at}, .v = c->a[1], .ready = true, .span = c->at}));
    LowValue e = {.kind = LV_ELEM, .elem = lv_elem(L, c->a[0])};
    VEC_PUSH(L->arena, args, ((LowArg){.name = {intern(L->names, "dtype"), c->at}, .v = e, .ready = true, .span = c->at}));
    return low_builtin_apply(L, b, &args, c->at);
}

/* ---- tree_map ---- */

/* f on the float leaves of structs and tuples of one form; other leaves are those of the first. */
static LowValue tree(LowCall *c, LowFn *f, const LowValue *v, uint32_t n)
{
    Low *L = c->L;
    if (v[0].kind == LV_TUPLE || v[0].kind == LV_STRUCT) {
        LowValue r = v[0], part[4];
        r.elems = ARENA_ARRAY(L->arena, LowValue, r.n);
        for (uint32_t i = 0; i < r.n; i++) {
            for (uint32_t k = 0; k < n; k++) {
                if (v[k].kind != v[0].kind || v[k].n != v[0].n) return bi_err(c, "the arguments differ in form: %s and %s", lv_text(L, v[0]), lv_text(L, v[k]));
                part[k] = v[k].elems[i];
            }
            if (lv_is_err(r.elems[i] = tree(c, f, part, n))) return LOW_ERR;
        }
        return r;
    }
    if (!lv_is_num(v[0]) || !el_is_float(lv_elem(L, v[0]))) return v[0];
    LowArgs args = {0};
    for (uint32_t k = 0; k < n; k++) VEC_PUSH(L->arena, args, ((LowArg){.v = v[k], .ready = true, .span = c->at}));
    return low_apply(L, f, &args, c->at);
}

LowValue bi_tree_map(LowCall *c)
{
    uint32_t n = 0;
    while (n < 4 && c->given[n + 1]) n++;
    if (c->a[0].kind != LV_FN) return bi_err(c, "the first argument is a function, not %s", lv_text(c->L, c->a[0]));
    return tree(c, c->a[0].fn, c->a + 1, n);
}
