/* jacfwd and jacrev: a jvp for each unit tangent, a vjp for each unit cotangent, in a map over the elements of the
 * argument or of the result. What of the primal does not depend on the unit is hoisted out of the map.
 *
 *     %0 = map %n {(%i) %1 = map %n {(%j) ... select i == j, 1, 0}   %y, %ydot = jvp %x, %1   yield %ydot}
 *
 * The axes of a map come first: jacfwd moves those of the argument behind those of the result. */
#include "frontend/lower_diff.h"

#include <string.h>

LowMap low_map_open(Low *L, const TdlDim *dims, uint32_t n)
{
    LowMap m = {.outer = L->b, .dims = dims, .n = n};
    TdlVal ext[LOW_MAX_RANK];
    if (!n) return m;
    for (uint32_t i = 0; i < n; i++) ext[i] = ir_dim(&L->b, dims[i]);
    m.op = ir_emit(&L->b, OP_MAP, ext, n, NULL, 0);
    L->b = ir_at_end(L->b.f, ir_op(L->b.f, m.op)->regions[0], L->b.span);
    for (uint32_t i = 0; i < n; i++) m.idx[i] = ir_region_arg(L->b.f, L->b.region, ty_scalar(L->m, EL_I64), SYM_NONE);
    return m;
}

void low_map_close(Low *L, LowMap *m, TdlVal *v, uint32_t n)
{
    if (!m->n) return;
    ir_emit(&L->b, OP_YIELD, v, n, NULL, 0);
    L->b = m->outer;
    for (uint32_t i = 0; i < n; i++) v[i] = ir_add_result(L->b.f, m->op, ty_prepend(L->m, ir_type(L->b.f, v[i]), m->dims, m->n));
}

static LowMap open_map(Low *L, TdlType t) { return low_map_open(L, ty_dims(L->m, t), ty_rank(L->m, t)); }

/* 1 at m's indices, else 0, in the shape of t. */
static TdlVal unit(Low *L, TdlType t, const LowMap *m)
{
    TdlElem e = ty_elem(L->m, t);
    if (!m->n) return ir_const_float(&L->b, e, 1);
    LowMap in = open_map(L, t);
    TdlVal same = ir_const_int(&L->b, EL_BOOL, 1);
    for (uint32_t i = 0; i < in.n; i++) same = ir_binary(&L->b, OP_AND, same, ir_binary(&L->b, OP_EQ, in.idx[i], m->idx[i]));
    TdlVal v = ir_emit1(&L->b, OP_SELECT, (TdlVal[]){same, ir_const_float(&L->b, e, 1), ir_const_float(&L->b, e, 0)}, 3);
    low_map_close(L, &in, &v, 1);
    return v;
}

/* Moves the first n axes of v behind the others. */
static TdlVal first_axes_last(Low *L, TdlVal v, uint32_t n)
{
    TdlType t = ir_type(L->b.f, v);
    uint32_t rank = ty_rank(L->m, t);
    int64_t perm[2 * LOW_MAX_RANK];
    TdlDim d[2 * LOW_MAX_RANK];
    if (!n || n == rank) return v;
    for (uint32_t i = 0; i < rank; i++) {
        perm[i] = (i + n) % rank;
        d[i] = ty_dims(L->m, t)[perm[i]];
    }
    TdlType to = ty_tensor(L->m, ty_elem(L->m, t), d, rank);
    TdlOp o = ir_emit(&L->b, OP_PERMUTE, &v, 1, &to, 1);
    op_set_ints(L->b.f, o, "perm", perm, rank);
    return ir_result(L->b.f, o, 0);
}

typedef struct {
    Low *L;
    const LowFn *fn;
    LowCallee c;        /* ops: the arguments alone */
    const LowTargets *t;
    LowTargetLeaves w;
    TdlType *types;     /* of all leaves of the result */
    uint32_t nvalues, nmain; /* leaves of the result, of what is differentiated */
    TdlVal *jac;        /* [result leaf][target leaf] */
} Jac;

static TdlVal *entry(Jac *j, uint32_t row, uint32_t col) { return &j->jac[row * j->w.wrt.n + col]; }

/* Columns: one map for each target leaf. */
static void columns(Jac *j, uint32_t col)
{
    Low *L = j->L;
    TdlType x = j->w.types.p[col], *types = ARENA_ARRAY(L->arena, TdlType, 2 * j->nvalues);
    uint32_t n = j->nvalues;
    for (uint32_t i = 0; i < j->nvalues; i++) types[i] = j->types[i];
    for (uint32_t i = 0; i < j->nvalues; i++)
        if (ty_is_float(L->m, j->types[i])) types[n++] = j->types[i];
    LowMap m = open_map(L, x);
    LowCallee c = j->c;
    TdlVals ops = {0};
    for (uint32_t i = 0; i < c.ops.n; i++) VEC_PUSH(L->arena, ops, c.ops.p[i]);
    VEC_PUSH(L->arena, ops, unit(L, x, &m));
    c.ops = ops;
    TdlOp o = low_emit_derivative(L, OP_JVP, &c, &j->w.wrt.p[col], 1, types, n);
    TdlVal *dot = ARENA_ARRAY(L->arena, TdlVal, j->nmain);
    for (uint32_t i = 0; i < j->nmain; i++) dot[i] = ir_result(L->b.f, o, j->nvalues + i);
    low_map_close(L, &m, dot, j->nmain);
    for (uint32_t i = 0; i < j->nmain; i++) *entry(j, i, col) = first_axes_last(L, dot[i], m.n);
}

/* Rows: one map for each leaf of the result. */
static void rows(Jac *j, uint32_t row)
{
    Low *L = j->L;
    uint32_t n = j->nvalues, nw = j->w.wrt.n;
    TdlType *types = ARENA_ARRAY(L->arena, TdlType, n + nw);
    for (uint32_t i = 0; i < n; i++) types[i] = j->types[i];
    for (uint32_t i = 0; i < nw; i++) types[n + i] = j->w.types.p[i];
    LowMap m = open_map(L, j->types[row]);
    LowCallee c = j->c;
    TdlVals ops = {0};
    for (uint32_t i = 0; i < c.ops.n; i++) VEC_PUSH(L->arena, ops, c.ops.p[i]);
    for (uint32_t i = 0; i < n; i++)
        if (ty_is_float(L->m, j->types[i])) VEC_PUSH(L->arena, ops, i == row ? unit(L, j->types[i], &m) : ir_zeros(&L->b, j->types[i]));
    c.ops = ops;
    TdlOp o = low_emit_derivative(L, OP_VJP, &c, j->w.wrt.p, nw, types, n + nw);
    TdlVal *bar = ARENA_ARRAY(L->arena, TdlVal, nw);
    for (uint32_t i = 0; i < nw; i++) bar[i] = ir_result(L->b.f, o, n + i);
    low_map_close(L, &m, bar, nw);
    for (uint32_t i = 0; i < nw; i++) *entry(j, row, i) = bar[i];
}

/* ---- what may be asked for ---- */

/* The result: floats, in tuples at most. */
static bool check_result(Jac *j, const LowType *t, TdlSpan at)
{
    Low *L = j->L;
    for (uint32_t i = 0; t->kind == LT_TUPLE && i < t->n; i++)
        if (!check_result(j, t->elems[i], at)) return false;
    if (t->kind == LT_TUPLE || (t->kind == LT_TENSOR && ty_is_float(L->m, t->t))) return true;
    low_error(L, at, "%s: the function's result is %s: it must be a float tensor or a tuple of them%s", j->fn->name, lt_text(L, t),
              t->kind == LT_STRUCT ? ": return its fields" : "");
    return false;
}

static bool check_target(Jac *j, LowValue v, TdlSpan at)
{
    for (uint32_t i = 0; v.kind == LV_TUPLE && i < v.n; i++)
        if (!check_target(j, v.elems[i], at)) return false;
    if (v.kind != LV_STRUCT) return true;
    low_error(j->L, at, "%s: a parameter is %s: the Jacobian is no such struct; name fields of it: wrt=p.%s", j->fn->name, lv_text(j->L, v),
              v.decl->ast->params.n ? low_name(j->L, v.decl->ast->params.p[0].name.name) : "w");
    return false;
}

static bool check_rank(Jac *j, TdlSpan at)
{
    for (uint32_t i = 0; i < j->nmain; i++)
        for (uint32_t k = 0; k < j->w.types.n; k++) {
            uint32_t rank = ty_rank(j->L->m, j->types[i]) + ty_rank(j->L->m, j->w.types.p[k]);
            if (rank <= LOW_MAX_RANK) continue;
            low_error(j->L, at, "%s: the Jacobian has %u axes, more than %d", j->fn->name, rank, LOW_MAX_RANK);
            return false;
        }
    return true;
}

/* ---- put together: by the shape of the result, then by that of the targets ---- */

static LowValue of_target(Jac *j, LowValue v, uint32_t row, uint32_t *col)
{
    if (v.kind == LV_TENSOR) return el_is_float(lv_elem(j->L, v)) ? lv_tensor(*entry(j, row, (*col)++)) : v;
    LowValue *elems = ARENA_ARRAY(j->L->arena, LowValue, v.n + 1);
    for (uint32_t i = 0; i < v.n; i++) elems[i] = of_target(j, v.elems[i], row, col);
    return lv_tuple(j->L, elems, v.n);
}

static LowValue of_result(Jac *j, const LowType *t, uint32_t *row)
{
    LowValue *elems = ARENA_ARRAY(j->L->arena, LowValue, (t->kind == LT_TUPLE ? t->n : j->t->n) + 1);
    if (t->kind == LT_TUPLE) {
        for (uint32_t i = 0; i < t->n; i++) elems[i] = of_result(j, t->elems[i], row);
        return lv_tuple(j->L, elems, t->n);
    }
    uint32_t col = 0;
    for (uint32_t i = 0; i < j->t->n; i++) elems[i] = of_target(j, j->t->p[i].value, *row, &col);
    ++*row;
    return j->t->tuple ? lv_tuple(j->L, elems, j->t->n) : elems[0];
}

LowValue low_extra_result(Low *L, const LowCallee *c)
{
    const char *name = low_name(L, c->f->name);
    uint32_t n = 0, at = 0;
    TdlType *types = ARENA_ARRAY(L->arena, TdlType, lt_nleaves(c->result) + 1);
    lt_leaves(c->result, types, &n);
    TdlOp o = ir_emit(&L->b, OP_CALL, c->ops.p, c->ops.n, types, n);
    op_set_str(L->b.f, o, "callee", name, (uint32_t)strlen(name));
    if (c->ndims) op_set_dims(L->b.f, o, "dims", c->dims, c->ndims);
    return low_from_leaves(L, c->result, ir_op(L->b.f, o)->results, &at).elems[1];
}

LowValue low_jacobian(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, TdlSpan at)
{
    Jac j = {.L = L, .fn = fn, .c = *c, .t = t, .nmain = lt_nleaves(main)};
    if (!check_result(&j, main, at)) return LOW_ERR;
    for (uint32_t i = 0; i < t->n; i++)
        if (!check_target(&j, t->p[i].value, at)) return LOW_ERR;
    low_target_leaves(L, t, &j.w);
    j.types = ARENA_ARRAY(L->arena, TdlType, lt_nleaves(c->result) + 1);
    lt_leaves(c->result, j.types, &j.nvalues);
    if (!check_rank(&j, at)) return LOW_ERR;
    j.jac = ARENA_ARRAY(L->arena, TdlVal, j.nmain * j.w.wrt.n + 1);
    low_unname(L);
    if (fn->diff == DIFF_JACFWD)
        for (uint32_t i = 0; i < j.w.wrt.n; i++) columns(&j, i);
    else
        for (uint32_t i = 0; i < j.nmain; i++) rows(&j, i);
    uint32_t row = 0;
    LowValue v = of_result(&j, main, &row);
    return fn->aux ? lv_tuple(L, (LowValue[]){v, low_extra_result(L, c)}, 2) : v;
}
