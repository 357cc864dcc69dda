/* Expressions: dispatch, names, scopes, fields, literals, blocks as values, lambdas. */
#include "frontend/lower_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- scopes ---- */

LowScope *low_push_scope(Low *L, LowBarrier barrier)
{
    LowScope *s = ARENA_NEW(L->arena, LowScope);
    s->up = L->frame->scope;
    s->barrier = barrier;
    return L->frame->scope = s;
}

void low_pop_scope(Low *L) { L->frame->scope = L->frame->scope->up; }

LowVar *low_bind(Low *L, TdlSym name, LowValue v, bool is_var, TdlSpan span)
{
    LowVar *x = ARENA_NEW(L->arena, LowVar);
    *x = (LowVar){.name = name, .span = span, .is_var = is_var, .val = v, .next = L->frame->scope->vars};
    if (!strcmp(low_name(L, name), "_")) return x;
    if (v.kind == LV_TENSOR && !ir_val(L->b.f, v.v)->name.id) ir_val(L->b.f, v.v)->name = name;
    if (v.kind == LV_TENSOR && v.leaf) low_leaf_name(L, v.v, name);
    LowScope *s = L->frame->scope;
    VEC_PUSH(L->arena, s->bound, x);
    *idmap_at(L->arena, &s->by_name, name.id) = s->bound.n;
    return s->vars = x;
}

static LowVar *find_in(const LowScope *s, TdlSym name)
{
    uint32_t i = idmap_get(&s->by_name, name.id);
    if (i) return s->bound.p[i - 1];
    for (LowVar *v = s->bound.n ? NULL : s->vars; v; v = v->next) /* captures of a lambda */
        if (sym_eq(v->name, name)) return v;
    return NULL;
}

LowVar *low_find_var(Low *L, TdlSym name, LowBarrier *crossed)
{
    LowBarrier b = BARRIER_NONE;
    for (LowScope *s = L->frame ? L->frame->scope : NULL; s; s = s->up) {
        LowVar *v = find_in(s, name);
        if (v && crossed) *crossed = b;
        if (v) return v;
        if (s->barrier) b = s->barrier;
    }
    return NULL;
}

bool low_in_comprehension(const Low *L)
{
    for (const LowScope *s = L->frame ? L->frame->scope : NULL; s; s = s->up)
        if (s->barrier == BARRIER_COMP) return true;
    return false;
}

static LowValue name_value(Low *L, const AstExpr *e)
{
    const char *s = low_name(L, e->name.name);
    LowVar *v = low_find_var(L, e->name.name, NULL);
    if (v) {
        if (v->val.kind == LV_UNIT && !v->is_var) return low_error(L, e->span, "`%s` has no value", s);
        return v->val;
    }
    for (uint32_t i = L->frame->dims.n; i-- > 0;)
        if (sym_eq(L->frame->dims.p[i].name, e->name.name)) return lv_dim(L->frame->dims.p[i].d);
    LowValue r = low_resolve(L, e->name.name, e->span, false);
    if (!lv_is_err(r)) return r;
    if (!strcmp(s, "pi")) return lv_float(3.14159265358979323846);
    if (!strcmp(s, "inf")) return lv_float(INFINITY);
    if (!strcmp(s, "nan")) return lv_float(NAN);
    if (!strcmp(s, "e")) return low_error(L, e->span, "unknown name `e`; exp(1) is Euler's number");
    return low_resolve(L, e->name.name, e->span, true);
}

/* ---- fields ---- */

static LowValue shape_of(Low *L, LowValue x)
{
    LowValue d[LOW_MAX_RANK];
    uint32_t n = lv_rank(L, x);
    for (uint32_t i = 0; i < n; i++) d[i] = lv_dim(lv_dims(L, x)[i]);
    return lv_tuple(L, d, n);
}

static LowValue transpose(Low *L, LowValue x, TdlSpan at, bool batched)
{
    uint32_t r = lv_rank(L, x);
    if (batched && r < 2) return low_error(L, at, ".mT: needs a tensor of rank 2 or more, not %s", lv_text(L, x));
    if (x.kind != LV_TENSOR || r < 2) return x;
    int64_t perm[LOW_MAX_RANK];
    TdlDim dims[LOW_MAX_RANK];
    for (uint32_t i = 0; i < r; i++) {
        uint32_t from = batched ? i : r - 1 - i;
        if (batched && i + 2 >= r) from = i + 1 == r ? r - 2 : r - 1;
        perm[i] = from;
        dims[i] = lv_dims(L, x)[from];
    }
    low_named(L, batched ? "TransposeBackward0" : "PermuteBackward0");
    TdlVal v = low_emit(L, OP_PERMUTE, &x.v, 1, ty_tensor(L->m, lv_elem(L, x), dims, r));
    op_set_ints(L->b.f, low_def(L, v), "perm", perm, r);
    return lv_tensor(v);
}

LowValue low_field(Low *L, LowValue base, TdlSym name, TdlSpan at)
{
    const char *s = low_name(L, name);
    if (lv_is_err(base)) return base;
    if (base.kind == LV_STRUCT) {
        for (uint32_t i = 0; i < base.n; i++)
            if (sym_eq(base.decl->ast->params.p[i].name.name, name)) return base.elems[i];
        return low_error(L, at, "%s has no field `%s`", lv_text(L, base), s);
    }
    if (base.kind == LV_TUPLE && s[0] >= '0' && s[0] <= '9') {
        unsigned long i = strtoul(s, NULL, 10);
        if (i < base.n) return base.elems[i];
        return low_error(L, at, "%s has no element %s", lv_text(L, base), s);
    }
    if (lv_is_num(base)) {
        if (!strcmp(s, "T")) return transpose(L, base, at, false);
        if (!strcmp(s, "mT")) return transpose(L, base, at, true);
        if (!strcmp(s, "shape")) return shape_of(L, base);
        if (!strcmp(s, "ndim")) return lv_int(L, lv_rank(L, base));
        if (!strcmp(s, "dtype")) return (LowValue){.kind = LV_ELEM, .elem = lv_elem(L, base)};
        if (!strcmp(s, "grad") || !strcmp(s, "grad_fn") || !strcmp(s, "requires_grad") || !strcmp(s, "is_leaf"))
            return low_script_field(L, base, s, at);
        return low_error(L, at, "a tensor has no field `%s`", s);
    }
    return low_error(L, at, "%s has no field `%s`", lv_text(L, base), s);
}

/* ---- arrays, tuples ---- */

static bool same_shape(const Low *L, LowValue a, LowValue b)
{
    if (lv_rank(L, a) != lv_rank(L, b)) return false;
    for (uint32_t i = 0; i < lv_rank(L, a); i++)
        if (!dim_eq(lv_dims(L, a)[i], lv_dims(L, b)[i])) return false;
    return true;
}

LowValue low_array(Low *L, const LowValue *elems, uint32_t n, TdlSpan at)
{
    if (!n) return low_error(L, at, "an empty array literal has no type: zeros(0) is an empty tensor");
    LowValue acc = elems[0];
    bool literals = true;
    for (uint32_t i = 0; i < n; i++) {
        if (lv_is_err(elems[i])) return LOW_ERR;
        if (!lv_is_num(elems[i])) return low_error(L, at, "array literal: needs numbers or tensors, not %s", lv_text(L, elems[i]));
        if (!same_shape(L, elems[0], elems[i]))
            return low_error(L, at, "array literal: the elements differ in shape: %s and %s", lv_text(L, elems[0]), lv_text(L, elems[i]));
        literals &= lv_is_weak(elems[i]);
        TdlElem p = low_promote(L, acc, elems[i]);
        if (lv_elem(L, elems[i]) == p && (lv_is_weak(acc) || lv_elem(L, acc) != p)) acc = elems[i];
    }
    TdlElem e = lv_elem(L, acc);
    TdlVal *v = ARENA_ARRAY(L->arena, TdlVal, n);
    for (uint32_t i = 0; i < n; i++) v[i] = low_mat(L, elems[i], e);
    TdlDim d = dim_const(L->m, n);
    low_named(L, "StackBackward0");
    LowValue r = lv_tensor(low_emit(L, OP_STACK, v, n, ty_prepend(L->m, ir_type(L->b.f, v[0]), &d, 1)));
    r.weak = literals && e != EL_BOOL; /* an array of literals is a literal: it takes the type of what it meets */
    if (r.weak) r.elems = arena_memdup(L->arena, elems, n * sizeof *elems), r.n = n;
    return r;
}

static LowValue items(Low *L, const AstExpr *e, bool array)
{
    LowValue *v = ARENA_ARRAY(L->arena, LowValue, e->items.n);
    for (uint32_t i = 0; i < e->items.n; i++) {
        v[i] = low_expr(L, e->items.p[i]);
        if (lv_is_err(v[i])) return v[i];
    }
    return array ? low_array(L, v, e->items.n, e->span) : lv_tuple(L, v, e->items.n);
}

/* ---- and, or: the right side runs only when it matters ---- */

typedef struct { const AstExpr *e; LowValue v; } LogicSides;

static LowValue thunk_expr(Low *L, void *user) { return low_expr(L, ((LogicSides *)user)->e); }
static LowValue thunk_value(Low *L, void *user) { (void)L; return ((LogicSides *)user)->v; }

/* Calls, indices, divisions and comprehensions may fail or cost: those wait for the left side. */
static bool cheap(const AstExpr *e)
{
    switch (e->kind) {
    case AST_INT: case AST_FLOAT: case AST_BOOL: case AST_NAME: return true;
    case AST_UNARY: return cheap(e->a);
    case AST_BINARY: return e->op != AST_OP_FLOORDIV && e->op != AST_OP_MOD && e->op != AST_OP_MATMUL && e->op != AST_OP_POW && cheap(e->a) && cheap(e->b);
    default: return false;
    }
}

static LowValue short_circuit(Low *L, const AstExpr *e)
{
    LowValue a = low_expr(L, e->a);
    bool c, is_or = e->op == AST_OP_OR;
    if (lv_is_err(a)) return a;
    if (low_const_bool(&a, &c)) {
        if (c == is_or) return a;
        LowValue b = low_number(L, e->b, ast_op_text(e->op));
        return lv_is_err(b) || lv_elem(L, b) == EL_BOOL ? b : low_error(L, e->b->span, "`%s` needs bools, not %s", ast_op_text(e->op), lv_text(L, b));
    }
    if (a.kind != LV_TENSOR || lv_rank(L, a) || cheap(e->b) || lv_elem(L, a) != EL_BOOL) return low_binary(L, e->op, a, low_expr(L, e->b), e->span);
    LogicSides s = {e->b, lv_bool(is_or)};
    LowScan scan = {0};
    low_scan_expr(L, e->b, &scan);
    return is_or ? low_if_thunks(L, a.v, thunk_value, thunk_expr, &s, &scan, e->span)
                 : low_if_thunks(L, a.v, thunk_expr, thunk_value, &s, &scan, e->span);
}

/* ---- lambdas ---- */

static LowValue lambda(Low *L, const AstExpr *e)
{
    LowSyms names = {0};
    if (e->a) low_names_expr(L, e->a, &names);
    if (e->block) low_names_block(L, e->block, &names);
    LowFn fn = {.kind = FN_LAMBDA, .span = e->span, .lambda = e, .frame = L->frame};
    for (uint32_t i = 0; i < names.n; i++) {
        bool seen = false;
        for (const LowVar *c = fn.captures; c; c = c->next) seen |= sym_eq(c->name, names.p[i]);
        LowVar *v = seen ? NULL : low_find_var(L, names.p[i], NULL);
        if (!v || lv_is_err(v->val)) continue;
        LowVar *c = arena_memdup(L->arena, v, sizeof *v);
        c->val = low_given(L, v->val, e->span);
        c->is_var = false;
        c->next = fn.captures;
        fn.captures = c;
    }
    return low_fn_value(L, fn);
}

/* ---- blocks ---- */

LowValue low_block_value(Low *L, const AstBlock *b)
{
    low_push_scope(L, BARRIER_NONE);
    LowValue r = {.kind = LV_UNIT};
    const AstStmt *last = b->stmts.n ? b->stmts.p[b->stmts.n - 1] : NULL;
    AstBlock head = *b;
    bool value = last && low_gives_value(L, last);
    if (value) head.stmts.n--;
    low_stmts(L, &head, 0, false);
    if (value) r = low_stmt_value(L, last);
    low_pop_scope(L);
    return r;
}

LowValue low_number(Low *L, const AstExpr *e, const char *what)
{
    LowValue v = low_expr(L, e);
    if (!lv_is_err(v) && !lv_is_num(v)) return low_error(L, e->span, "%s: needs a number or a tensor, not %s", what, lv_text(L, v));
    return v;
}

static LowValue dispatch(Low *L, const AstExpr *e)
{
    switch (e->kind) {
    case AST_INT: return lv_int(L, e->ival);
    case AST_FLOAT: return lv_float(e->fval);
    case AST_BOOL: return lv_bool(e->ival);
    case AST_STRING: return (LowValue){.kind = LV_STR, .s = e->str, .n = (uint32_t)e->ival};
    case AST_NONE: return (LowValue){.kind = LV_NONE};
    case AST_ELLIPSIS: return low_error(L, e->span, "`...` stands for axes in an index only");
    case AST_NAME: return name_value(L, e);
    case AST_PACK: return low_error(L, e->span, "`..%s` is a pack of dimensions: it stands in types only", low_name(L, e->name.name));
    case AST_UNARY: return low_unary(L, e->op, low_expr(L, e->a), e->span);
    case AST_BINARY: {
        if (e->op == AST_OP_AND || e->op == AST_OP_OR) return short_circuit(L, e);
        bool same = e->op == AST_OP_EQ || e->op == AST_OP_NE; /* with None */
        LowValue a = same ? low_expr_or_none(L, e->a) : low_expr(L, e->a), b = same ? low_expr_or_none(L, e->b) : low_expr(L, e->b);
        return low_binary(L, e->op, a, b, e->span);
    }
    case AST_IF: return low_if_value(L, e);
    case AST_CALL: return low_call_expr(L, e);
    case AST_METHOD: return low_call_expr(L, e);
    case AST_FIELD: return low_field(L, low_expr(L, e->a), e->name.name, e->span);
    case AST_INDEX: return low_index(L, e);
    case AST_SLICE: return low_error(L, e->span, "a slice stands in an index only");
    case AST_TUPLE: return items(L, e, false);
    case AST_ARRAY: return items(L, e, true);
    case AST_COMP: return low_comp(L, e);
    case AST_GEN: return low_error(L, e->span, "a generator is the sole argument of sum, max, mean, ...; `[e for i in n]` is a tensor");
    case AST_RANGE: return low_error(L, e->span, "a range stands after `in` only; arange(a, b) is a tensor");
    case AST_LAMBDA: return lambda(L, e);
    case AST_BLOCK: return e->name.name.id ? low_scoped_value(L, e) : low_block_value(L, e->block);
    }
    return LOW_ERR;
}

LowValue low_expr_or_none(Low *L, const AstExpr *e)
{
    if (!e) return LOW_ERR;
    if (L->depth >= LOW_MAX_DEPTH)
        return low_error(L, e->span, "this is nested too deeply (more than %d levels): name parts of it with let", LOW_MAX_DEPTH);
    L->depth++;
    TdlSpan old = low_at(L, e->span);
    LowValue v = dispatch(L, e);
    L->b.span = old;
    L->depth--;
    return v;
}

LowValue low_expr(Low *L, const AstExpr *e) { return low_given(L, low_expr_or_none(L, e), e ? e->span : SPAN_NONE); }
