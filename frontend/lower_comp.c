/* Index notation: [e for i in n, j in a..b] is a map; sum(e for k in p if c) and the like are a reduce. */
#include "frontend/lower_int.h"

#include <math.h>
#include <string.h>

bool low_range(Low *L, const AstExpr *range, LowValue *lo, LowValue *hi)
{
    *lo = lv_int(L, 0);
    if (range->kind == AST_RANGE) {
        *lo = low_expr(L, range->a);
        *hi = low_expr(L, range->b);
    } else {
        *hi = low_expr(L, range);
    }
    LowValue *v[2] = {lo, hi};
    for (int i = 0; i < 2; i++) {
        if (lv_is_err(*v[i])) return false;
        bool ok = v[i]->kind == LV_INT || (v[i]->kind == LV_TENSOR && el_is_int(lv_elem(L, *v[i])) && !lv_rank(L, *v[i]));
        if (ok) continue;
        low_error(L, range->span, "range: expected an integer, not %s%s", lv_text(L, *v[i]),
                  lv_is_num(*v[i]) && lv_rank(L, *v[i]) ? "; a range counts: `for i in n`, then x[i]" : "");
        return false;
    }
    return true;
}

static bool mentions(Low *L, const AstExpr *e, const AstGens *g, uint32_t from, uint32_t to)
{
    LowSyms names = {0};
    low_names_expr(L, e, &names);
    for (uint32_t i = from; i < to; i++)
        for (uint32_t k = 0; k < names.n; k++)
            if (sym_eq(names.p[k], g->p[i].var.name)) return true;
    return false;
}

static void bind_index(Low *L, const AstGenFor *g, TdlVal iv, LowValue lo)
{
    LowValue i = lv_tensor(iv);
    i.weak = true;
    int64_t c;
    if (!(lv_int_const(L, lo, &c) && c == 0)) i = low_binary(L, AST_OP_ADD, i, lo, g->var.span);
    low_bind(L, g->var.name, i, false, g->var.span);
}

static LowValue body_value(Low *L, const AstExpr *e)
{
    return e->block ? low_block_value(L, e->block) : low_expr(L, e->a);
}

/* ---- map ---- */

static bool map_yields(Low *L, const AstExpr *e, LowValue v, TdlRegion r, TdlVals *y)
{
    if (lv_is_err(v)) return false;
    low_flatten(L, v, y);
    for (uint32_t i = 0; i < y->n; i++)
        if (!low_type_visible(L, ir_type(L->b.f, y->p[i]), r, true)) {
            low_error(L, e->span, "index notation: the rows differ in length: a ragged tensor is not a tensor");
            return false;
        }
    return true;
}

static bool plain_data(LowValue v)
{
    if (v.kind == LV_TUPLE || v.kind == LV_STRUCT) {
        for (uint32_t i = 0; i < v.n; i++)
            if (!plain_data(v.elems[i])) return false;
        return true;
    }
    return lv_is_num(v);
}

LowValue low_comp(Low *L, const AstExpr *e)
{
    uint32_t n = e->gens.n;
    LowValue *lo = ARENA_ARRAY(L->arena, LowValue, n);
    TdlDim *dims = ARENA_ARRAY(L->arena, TdlDim, n);
    TdlVal *ext = ARENA_ARRAY(L->arena, TdlVal, n);
    if (e->b) return low_error(L, e->b->span, "a filtered tensor has no known size: filter in a reduction, or use where(...)");
    if (n > LOW_MAX_RANK) return low_error(L, e->span, "index notation: more than %d indices", LOW_MAX_RANK);
    for (uint32_t i = 0; i < n; i++) {
        const AstExpr *r = e->gens.p[i].range;
        LowValue hi;
        if (mentions(L, r, &e->gens, 0, i))
            return low_error(L, r->span, "index notation: this range depends on an index beside it: the rows of a tensor are equally long");
        if (!low_range(L, r, &lo[i], &hi)) return LOW_ERR;
        if (!low_as_dim(L, low_binary(L, AST_OP_SUB, hi, lo[i], r->span), r->span, "range", &dims[i])) return LOW_ERR;
        low_check_nonneg(L, dims[i], "a range of index notation ends before it begins");
        ext[i] = ir_dim(&L->b, dims[i]);
    }
    low_unname(L);
    TdlOp op = ir_emit(&L->b, OP_MAP, ext, n, NULL, 0);
    TdlRegion r = ir_op(L->b.f, op)->regions[0];
    TdlBuilder outer = L->b;
    LowVar *brk = L->frame->brk, *cont = L->frame->cont;
    L->frame->brk = L->frame->cont = NULL;
    L->b.region = r;
    L->b.before = (TdlOp){0};
    low_push_scope(L, BARRIER_COMP);
    TdlVal *iv = ARENA_ARRAY(L->arena, TdlVal, n);
    for (uint32_t i = 0; i < n; i++) iv[i] = ir_region_arg(L->b.f, r, ty_scalar(L->m, EL_I64), e->gens.p[i].var.name);
    for (uint32_t i = 0; i < n; i++) bind_index(L, &e->gens.p[i], iv[i], lo[i]);
    LowValue v = low_concrete(L, body_value(L, e));
    if (!lv_is_err(v) && !plain_data(v)) v = low_error(L, e->span, "index notation: a tensor of %s", lv_text(L, v));
    TdlVals y = {0};
    bool ok = map_yields(L, e, v, r, &y);
    ir_emit(&L->b, OP_YIELD, y.p, y.n, NULL, 0);
    low_pop_scope(L);
    L->frame->brk = brk;
    L->frame->cont = cont;
    L->b = outer;
    if (!ok) return LOW_ERR;
    TdlVal *res = ARENA_ARRAY(L->arena, TdlVal, y.n);
    for (uint32_t i = 0; i < y.n; i++) {
        TdlType t = ir_type(L->b.f, y.p[i]);
        res[i] = ir_add_result(L->b.f, op, ty_prepend(L->m, t, dims, n));
        if (ty_is_float(L->m, t)) ir_op(L->b.f, op)->grad_fn = intern(L->names, "MapBackward0");
    }
    uint32_t at = 0;
    v = low_unflatten(L, v, res, &at);
    v.weak = false;
    return v;
}

/* ---- reduce ---- */

typedef struct {
    const AstExpr *gen;
    const char *kind, *name, *grad_fn;
    bool count, exists; /* the terms are 1, are true */
    TdlElem elem;
} Red;

static LowValue thunk_body(Low *L, void *user) { return low_concrete(L, body_value(L, ((Red *)user)->gen)); }

typedef struct { Red *r; uint32_t from; TdlType t; bool set; } Guard;

static bool is_lse(const Red *r) { return !strcmp(r->kind, "logsumexp"); }

static LowValue prepare(Low *L, const Red *r, LowValue v, TdlSpan at);

static LowValue guard_body(Low *L, void *user)
{
    Guard *g = user;
    LowValue v = thunk_body(L, g->r);
    if (is_lse(g->r)) v = prepare(L, g->r, v, g->r->gen->span);
    if (v.kind == LV_TENSOR) { g->t = lv_type(L, v); g->set = true; }
    return v;
}

/* For what the filter leaves out: nothing looks at it, but logsumexp, which adds exp(-inf). */
static LowValue guard_left_out(Low *L, void *user)
{
    Guard *g = user;
    if (!g->set) return LOW_ERR;
    return lv_tensor(is_lse(g->r) ? ir_full(&L->b, ir_const_float(&L->b, ty_elem(L->m, g->t), -INFINITY), g->t) : ir_zeros(&L->b, g->t));
}

static LowValue prepare(Low *L, const Red *r, LowValue v, TdlSpan at)
{
    if (lv_is_err(v)) return v;
    if (!lv_is_num(v)) return low_error(L, at, "%s: needs numbers, not %s", r->name, lv_text(L, v));
    bool logic = !strcmp(r->kind, "any") || !strcmp(r->kind, "all");
    TdlElem e = lv_elem(L, v);
    if (logic && e != EL_BOOL) return low_error(L, at, "%s: needs bools, not %s", r->name, lv_text(L, v));
    if (!logic && e == EL_BOOL) return lv_tensor(low_mat(L, v, EL_I64));
    if ((!strcmp(r->name, "mean") || is_lse(r)) && !el_is_float(e)) return lv_tensor(low_mat(L, v, L->frame->deflt));
    return v;
}

static LowValue reduce_from(Low *L, Red *r, uint32_t from);

static LowValue guard_rest(Low *L, void *user)
{
    Guard *g = user;
    LowValue v = reduce_from(L, g->r, g->from);
    if (v.kind == LV_TENSOR) { g->t = lv_type(L, v); g->set = true; }
    return v;
}

/* The reduction over the generators from `from`, whose ranges depend on those before; where kinds that need a term
 * have none, the filter leaves it out. */
static LowValue reduce_rest(Low *L, Red *r, uint32_t from, LowValue *filter)
{
    if (strcmp(r->kind, "max") && strcmp(r->kind, "min") && !is_lse(r)) return reduce_from(L, r, from);
    Red any = {.gen = r->gen, .kind = "any", .name = "any", .exists = true};
    *filter = reduce_from(L, &any, from);
    if (lv_is_err(*filter)) return LOW_ERR;
    Guard guard = {.r = r, .from = from};
    return low_if_thunks(L, filter->v, guard_rest, guard_left_out, &guard, &(LowScan){0}, r->gen->span);
}

static LowValue reduce_body(Low *L, Red *r, uint32_t to, LowValue *filter)
{
    const AstExpr *g = r->gen;
    *filter = lv_bool(true);
    if (to < g->gens.n) return reduce_rest(L, r, to, filter);
    if (g->b) {
        *filter = low_expr(L, g->b);
        if (lv_is_err(*filter)) return LOW_ERR;
        if (lv_elem(L, *filter) != EL_BOOL || lv_rank(L, *filter))
            return low_error(L, g->b->span, "filter: expected a bool, not %s", lv_text(L, *filter));
    }
    if (r->count) return lv_tensor(ir_const_float(&L->b, r->elem, 1));
    if (r->exists) return lv_tensor(ir_const_int(&L->b, EL_BOOL, 1));
    if (filter->kind == LV_TENSOR) {
        Guard guard = {.r = r};
        return prepare(L, r, low_if_thunks(L, filter->v, guard_body, guard_left_out, &guard, &(LowScan){0}, g->span), g->span);
    }
    return prepare(L, r, low_concrete(L, body_value(L, g)), g->span);
}

/* Makes the dimensions of a map of the lengths that reduce has, where a range that ends before it begins is empty. */
static bool extents(Low *L, TdlOp op, uint32_t n, TdlDim *dims, TdlSpan at)
{
    TdlBuilder outer = L->b;
    bool ok = true;
    for (uint32_t i = 0; i < n && ok; i++) {
        TdlVal len = ir_op(L->b.f, op)->operands[i];
        L->b = ir_before(L->b.f, op);
        if (!ir_val_dim(L->b.f, len, &dims[i]) || !dim_known_ge(L->m, dims[i], dim_const(L->m, 0))) {
            LowValue most = lv_tensor(ir_binary(&L->b, OP_MAX, len, ir_const_int(&L->b, EL_I64, 0)));
            ok = low_as_dim(L, most, at, "range", &dims[i]);
        }
        ir_op(L->b.f, op)->operands[i] = ir_dim(&L->b, dims[i]);
    }
    L->b = outer;
    return ok;
}

/* kind over the n leading axes of t, where `filter` (if any) is true, for each index of the others. */
static TdlVal reduce_leading(Low *L, const Red *r, TdlVal t, TdlVal filter, uint32_t n)
{
    const TdlDim *dims = ty_dims(L->m, ir_type(L->b.f, t));
    uint32_t rest = ty_rank(L->m, ir_type(L->b.f, t)) - n;
    TdlVal ext[LOW_MAX_RANK], iv[LOW_MAX_RANK], at[LOW_MAX_RANK], y[2];
    for (uint32_t i = 0; i < n + rest; i++) ext[i] = ir_dim(&L->b, dims[i]);
    TdlType scalar = strncmp(r->kind, "arg", 3) ? ty_scalar(L->m, ty_elem(L->m, ir_type(L->b.f, t))) : ty_scalar(L->m, EL_I64);
    TdlType result = ty_tensor(L->m, ty_elem(L->m, scalar), dims + n, rest);
    TdlOp map = ir_emit(&L->b, OP_MAP, ext + n, rest, &result, 1);
    TdlBuilder b = ir_at_end(L->b.f, ir_op(L->b.f, map)->regions[0], L->b.span);
    for (uint32_t i = 0; i < rest; i++) at[n + i] = ir_region_arg(L->b.f, b.region, ty_scalar(L->m, EL_I64), SYM_NONE);
    TdlOp red = ir_emit(&b, OP_REDUCE, ext, n, &scalar, 1);
    op_set_str(L->b.f, red, "kind", r->kind, (uint32_t)strlen(r->kind));
    if (filter.id) op_set_int(L->b.f, red, "filter", 1);
    TdlBuilder in = ir_at_end(L->b.f, ir_op(L->b.f, red)->regions[0], L->b.span);
    for (uint32_t i = 0; i < n; i++) at[i] = iv[i] = ir_region_arg(L->b.f, in.region, ty_scalar(L->m, EL_I64), SYM_NONE);
    y[0] = ir_index(&in, t, at, n + rest);
    if (filter.id) y[1] = ir_index(&in, filter, iv, n);
    ir_emit(&in, OP_YIELD, y, filter.id ? 2 : 1, NULL, 0);
    TdlVal v = ir_result(L->b.f, red, 0);
    ir_emit(&b, OP_YIELD, &v, 1, NULL, 0);
    return ir_result(L->b.f, map, 0);
}

/* logsumexp over the n leading axes, by the library's function. */
static LowValue lse_leading(Low *L, LowValue t, uint32_t n, TdlSpan at)
{
    LowArgs args = {0};
    LowValue axes[LOW_MAX_RANK];
    for (uint32_t i = 0; i < n; i++) axes[i] = lv_int(L, i);
    VEC_PUSH(L->arena, args, ((LowArg){.v = t, .ready = true, .span = at}));
    if (lv_rank(L, t) > n) VEC_PUSH(L->arena, args, ((LowArg){.v = lv_tuple(L, axes, n), .ready = true, .span = at}));
    LowFn *fn = low_resolve(L, intern(L->names, "logsumexp"), at, true).fn;
    return fn ? low_apply(L, fn, &args, at) : LOW_ERR;
}

/* What no reduce does in one go, logsumexp and other kinds than sum of tensors: the open reduce becomes a map of the
 * terms (and of what the filter says), and its leading axes are reduced. */
static LowValue through_map(Low *L, const Red *r, TdlOp op, const TdlVal *y, uint32_t ny)
{
    TdlDim dims[LOW_MAX_RANK];
    uint32_t n = ir_op(L->b.f, op)->noperands;
    TdlSpan at = r->gen->span;
    if (!extents(L, op, n, dims, at)) return LOW_ERR;
    ir_op(L->b.f, op)->code = OP_MAP;
    op_unset(L->b.f, op, "kind");
    TdlVal res[2] = {{0}};
    for (uint32_t i = 0; i < ny; i++) res[i] = ir_add_result(L->b.f, op, ty_prepend(L->m, ir_type(L->b.f, y[i]), dims, n));
    ir_op(L->b.f, op)->grad_fn = intern(L->names, "MapBackward0");
    return is_lse(r) ? lse_leading(L, lv_tensor(res[0]), n, at) : low_tag(L, reduce_leading(L, r, res[0], res[1], n), r->grad_fn);
}

/* One reduce over the generators from `from` whose ranges do not depend on each other; the others nest inside. */
static LowValue reduce_from(Low *L, Red *r, uint32_t from)
{
    const AstGens *g = &r->gen->gens;
    uint32_t to = from + 1;
    while (to < g->n && !mentions(L, g->p[to].range, g, from, to)) to++;
    TdlVal ext[LOW_MAX_RANK], iv[LOW_MAX_RANK];
    LowValue lo[LOW_MAX_RANK], hi;
    if (to - from > LOW_MAX_RANK) return low_error(L, r->gen->span, "index notation: more than %d indices", LOW_MAX_RANK);
    for (uint32_t i = from; i < to; i++) {
        if (!low_range(L, g->p[i].range, &lo[i - from], &hi)) return LOW_ERR;
        ext[i - from] = low_i64(L, low_binary(L, AST_OP_SUB, hi, lo[i - from], g->p[i].range->span), g->p[i].range->span, "range");
        if (!ext[i - from].id) return LOW_ERR;
    }
    low_unname(L);
    TdlOp op = ir_emit(&L->b, OP_REDUCE, ext, to - from, NULL, 0);
    op_set_str(L->b.f, op, "kind", r->kind, (uint32_t)strlen(r->kind));
    TdlRegion reg = ir_op(L->b.f, op)->regions[0];
    TdlBuilder outer = L->b;
    LowVar *brk = L->frame->brk, *cont = L->frame->cont;
    L->frame->brk = L->frame->cont = NULL;
    L->b.region = reg;
    L->b.before = (TdlOp){0};
    low_push_scope(L, BARRIER_COMP);
    for (uint32_t i = 0; i < to - from; i++) iv[i] = ir_region_arg(L->b.f, reg, ty_scalar(L->m, EL_I64), g->p[from + i].var.name);
    for (uint32_t i = 0; i < to - from; i++) bind_index(L, &g->p[from + i], iv[i], lo[i]);
    LowValue filter, v = reduce_body(L, r, to, &filter);
    TdlVal y[2] = {v.v, {0}};
    uint32_t ny = 1;
    if (!lv_is_err(v) && !(filter.kind == LV_BOOL && filter.i) && !is_lse(r)) y[ny++] = low_mat(L, filter, EL_BOOL);
    if (!lv_is_err(v) && !low_type_visible(L, lv_type(L, v), reg, true))
        v = low_error(L, r->gen->span, "%s: the terms differ in shape", r->name);
    if (!lv_is_err(v)) ir_emit(&L->b, OP_YIELD, y, ny, NULL, 0);
    low_pop_scope(L);
    L->frame->brk = brk;
    L->frame->cont = cont;
    L->b = outer;
    if (lv_is_err(v)) return v;
    bool arg = !strncmp(r->kind, "arg", 3);
    LowValue out;
    if (is_lse(r) || (lv_rank(L, v) && strcmp(r->kind, "sum"))) {
        out = through_map(L, r, op, y, ny);
        if (lv_is_err(out) || is_lse(r)) return out;
    } else {
        if (ny == 2) op_set_int(L->b.f, op, "filter", 1);
        out = lv_tensor(ir_add_result(L->b.f, op, arg ? ty_scalar(L->m, EL_I64) : lv_type(L, v)));
    }
    int64_t c;
    if (arg && !(lv_int_const(L, lo[0], &c) && c == 0)) out = low_binary(L, AST_OP_ADD, out, lo[0], r->gen->span);
    return low_tag(L, out.v, r->grad_fn);
}

static LowValue mean_of(Low *L, Red *r)
{
    r->grad_fn = NULL;
    LowValue s = reduce_from(L, r, 0);
    if (lv_is_err(s)) return s;
    const AstGens *g = &r->gen->gens;
    bool nested = r->gen->b != NULL;
    for (uint32_t i = 1; i < g->n; i++) nested |= mentions(L, g->p[i].range, g, 0, i);
    LowValue count = lv_int(L, 1);
    if (nested) {
        Red c = *r;
        c.count = true;
        c.elem = lv_elem(L, s);
        count = reduce_from(L, &c, 0);
    } else {
        for (uint32_t i = 0; i < g->n; i++) {
            LowValue lo, hi;
            if (!low_range(L, g->p[i].range, &lo, &hi)) return LOW_ERR;
            count = low_binary(L, AST_OP_MUL, count, low_binary(L, AST_OP_SUB, hi, lo, r->gen->span), r->gen->span);
        }
    }
    count.weak = true;
    LowValue q = low_binary(L, AST_OP_DIV, s, count, r->gen->span);
    return lv_is_err(q) ? q : low_tag(L, q.v, "MeanBackward0");
}

LowValue low_gen_call(Low *L, const AstExpr *call, TdlSym name, const AstExpr *gen)
{
    static const struct { const char *name, *kind, *grad_fn; } table[] = {
        {"sum", "sum", "SumBackward0"}, {"prod", "prod", "ProdBackward0"}, {"max", "max", "MaxBackward1"},
        {"min", "min", "MinBackward1"}, {"amax", "max", "AmaxBackward0"}, {"amin", "min", "AminBackward0"},
        {"any", "any", NULL}, {"all", "all", NULL}, {"argmax", "argmax", NULL}, {"argmin", "argmin", NULL},
        {"mean", "sum", NULL}, {"logsumexp", "logsumexp", NULL},
    };
    const char *s = low_name(L, name);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(s, table[i].name)) continue;
        Red r = {.gen = gen, .kind = table[i].kind, .name = s, .grad_fn = table[i].grad_fn};
        if (!strncmp(s, "arg", 3) && gen->gens.n != 1)
            return low_error(L, gen->span, "%s: one index only; of several, take the %s of a flattened tensor", s, s);
        return strcmp(s, "mean") ? reduce_from(L, &r, 0) : mean_of(L, &r);
    }
    return low_error(L, call->span, "%s does not take a generator: sum max min prod mean logsumexp argmax argmin any all do; `[...]` around it makes a tensor", s);
}
