/* Index notation: [e for i in n, j in a..b] is a map; sum(e for k in p if c) and the like are a reduce. */
#include "frontend/lower_int.h"

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

typedef struct { const AstExpr *gen; const char *kind, *name, *grad_fn; bool count; TdlElem elem; } Red;

static LowValue thunk_body(Low *L, void *user) { return low_concrete(L, body_value(L, ((Red *)user)->gen)); }

typedef struct { Red *r; TdlType t; bool set; } Guard;

static LowValue guard_body(Low *L, void *user)
{
    Guard *g = user;
    LowValue v = thunk_body(L, g->r);
    if (v.kind == LV_TENSOR) { g->t = lv_type(L, v); g->set = true; }
    return v;
}

static LowValue guard_zero(Low *L, void *user)
{
    Guard *g = user;
    return g->set ? lv_tensor(ir_zeros(&L->b, g->t)) : LOW_ERR;
}

static LowValue prepare(Low *L, const Red *r, LowValue v, TdlSpan at)
{
    if (lv_is_err(v)) return v;
    if (!lv_is_num(v)) return low_error(L, at, "%s: needs numbers, not %s", r->name, lv_text(L, v));
    bool logic = !strcmp(r->kind, "any") || !strcmp(r->kind, "all"), arg = !strncmp(r->kind, "arg", 3);
    TdlElem e = lv_elem(L, v);
    if (logic && e != EL_BOOL) return low_error(L, at, "%s: needs bools, not %s", r->name, lv_text(L, v));
    if (!logic && e == EL_BOOL) return lv_tensor(low_mat(L, v, EL_I64));
    if (!strcmp(r->name, "mean") && !el_is_float(e)) return lv_tensor(low_mat(L, v, L->frame->deflt));
    bool summed = !strcmp(r->kind, "sum");
    if (!summed && lv_rank(L, v)) return low_error(L, at, "%s of tensors %s in index notation is not supported yet: reduce a tensor by dim instead", arg ? r->kind : r->name, lv_text(L, v));
    return v;
}

static LowValue reduce_from(Low *L, Red *r, uint32_t from);

static LowValue reduce_body(Low *L, Red *r, uint32_t to, LowValue *filter)
{
    const AstExpr *g = r->gen;
    *filter = lv_bool(true);
    if (to < g->gens.n) return reduce_from(L, r, to);
    if (g->b) {
        *filter = low_expr(L, g->b);
        if (lv_is_err(*filter)) return LOW_ERR;
        if (lv_elem(L, *filter) != EL_BOOL || lv_rank(L, *filter))
            return low_error(L, g->b->span, "filter: expected a bool, not %s", lv_text(L, *filter));
    }
    if (r->count) return lv_tensor(ir_const_float(&L->b, r->elem, 1));
    if (filter->kind == LV_TENSOR) {
        Guard guard = {.r = r};
        return prepare(L, r, low_if_thunks(L, filter->v, guard_body, guard_zero, &guard, g->span), g->span);
    }
    return prepare(L, r, low_concrete(L, body_value(L, g)), g->span);
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
    if (!lv_is_err(v) && !(filter.kind == LV_BOOL && filter.i)) y[ny++] = low_mat(L, filter, EL_BOOL);
    if (!lv_is_err(v) && !low_type_visible(L, lv_type(L, v), reg, true))
        v = low_error(L, r->gen->span, "%s: the terms differ in shape", r->name);
    if (!lv_is_err(v)) ir_emit(&L->b, OP_YIELD, y, ny, NULL, 0);
    low_pop_scope(L);
    L->frame->brk = brk;
    L->frame->cont = cont;
    L->b = outer;
    if (lv_is_err(v)) return v;
    if (ny == 2) op_set_int(L->b.f, op, "filter", 1);
    bool arg = !strncmp(r->kind, "arg", 3);
    TdlType t = arg ? ty_scalar(L->m, EL_I64) : lv_type(L, v);
    LowValue out = lv_tensor(ir_add_result(L->b.f, op, t));
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
        {"mean", "sum", NULL},
    };
    const char *s = low_name(L, name);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(s, table[i].name)) continue;
        Red r = {.gen = gen, .kind = table[i].kind, .name = s, .grad_fn = table[i].grad_fn};
        if (!strncmp(s, "arg", 3) && gen->gens.n != 1)
            return low_error(L, gen->span, "%s: one index only; of several, take the %s of a flattened tensor", s, s);
        return strcmp(s, "mean") ? reduce_from(L, &r, 0) : mean_of(L, &r);
    }
    if (!strcmp(s, "logsumexp")) {
        if (gen->b) return low_error(L, gen->b->span, "logsumexp: a filter is not supported yet: give -inf to what is left out");
        AstExpr map = *gen;
        map.kind = AST_COMP;
        LowValue v = low_comp(L, &map);
        if (lv_is_err(v)) return v;
        LowFn *fn = low_resolve(L, name, call->span, true).fn;
        LowArgs args = {0};
        VEC_PUSH(L->arena, args, ((LowArg){.v = v, .ready = true, .span = gen->span}));
        return fn ? low_apply(L, fn, &args, call->span) : LOW_ERR;
    }
    return low_error(L, call->span, "%s does not take a generator: sum max min prod mean logsumexp argmax argmin any all do; `[...]` around it makes a tensor", s);
}
