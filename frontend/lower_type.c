/* Written types in the current frame, dimension expressions, and what a value decides about type parameters. */
#include "frontend/lower_int.h"

#include <string.h>

const LowType *lt_tensor(Low *L, TdlType t)
{
    LowType *r = ARENA_NEW(L->arena, LowType);
    r->t = t;
    return r;
}

const LowType *lt_tuple(Low *L, const LowType **elems, uint32_t n)
{
    LowType *r = ARENA_NEW(L->arena, LowType);
    r->kind = LT_TUPLE;
    r->elems = arena_memdup(L->arena, elems, sizeof *elems * n);
    r->n = n;
    return r;
}

static const LowType *lt_kind(Low *L, LowTypeKind k)
{
    LowType *r = ARENA_NEW(L->arena, LowType);
    r->kind = k;
    return r;
}

bool lt_eq(const LowType *a, const LowType *b)
{
    if (a->kind != b->kind || a->n != b->n || a->decl != b->decl) return false;
    if (a->kind == LT_TENSOR) return ty_eq(a->t, b->t);
    for (uint32_t i = 0; i < a->n; i++)
        if (!lt_eq(a->elems[i], b->elems[i])) return false;
    return true;
}

uint32_t lt_nleaves(const LowType *t)
{
    if (t->kind == LT_TENSOR) return 1;
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n; i++) n += lt_nleaves(t->elems[i]);
    return n;
}

void lt_leaves(const LowType *t, TdlType *out, uint32_t *n)
{
    if (t->kind == LT_TENSOR) out[(*n)++] = t->t;
    for (uint32_t i = 0; i < t->n; i++) lt_leaves(t->elems[i], out, n);
}

const LowType *lt_subst(Low *L, const LowType *t, const TdlSym *names, const TdlDim *to, uint32_t n)
{
    LowType *r = arena_memdup(L->arena, t, sizeof *t);
    if (t->kind == LT_TENSOR) r->t = ty_subst(L->m, t->t, names, to, n);
    if (t->n) {
        r->elems = ARENA_ARRAY(L->arena, const LowType *, t->n);
        for (uint32_t i = 0; i < t->n; i++) r->elems[i] = lt_subst(L, t->elems[i], names, to, n);
    }
    return r;
}

const char *lt_text(const Low *L, const LowType *t)
{
    TdlStr s = str_new(L->arena);
    switch (t->kind) {
    case LT_TENSOR: return ty_text(L, t->t);
    case LT_STRUCT: return low_name(L, t->decl->ast->name.name);
    case LT_FN: return "a function";
    case LT_STATIC: return "a compile-time value";
    case LT_UNIT: return "no value";
    case LT_ERROR: return "an error";
    case LT_TUPLE:
        str_putc(&s, '(');
        for (uint32_t i = 0; i < t->n; i++) str_printf(&s, "%s%s", i ? ", " : "", lt_text(L, t->elems[i]));
        str_putc(&s, ')');
        break;
    }
    return s.p;
}

LowValue low_from_leaves(Low *L, const LowType *t, const TdlVal *leaves, uint32_t *at)
{
    if (t->kind == LT_TENSOR) return lv_tensor(leaves[(*at)++]);
    if (t->kind == LT_UNIT) return (LowValue){.kind = LV_UNIT};
    LowValue v = {.kind = t->kind == LT_STRUCT ? LV_STRUCT : LV_TUPLE, .n = t->n, .decl = t->decl};
    v.elems = ARENA_ARRAY(L->arena, LowValue, t->n);
    for (uint32_t i = 0; i < t->n; i++) v.elems[i] = low_from_leaves(L, t->elems[i], leaves, at);
    return v;
}

const LowType *low_type_of(Low *L, LowValue v)
{
    if (lv_is_num(v)) return lt_tensor(L, v.kind == LV_TENSOR ? lv_type(L, v) : ty_scalar(L->m, lv_elem(L, v)));
    if (v.kind == LV_FN) return lt_kind(L, LT_FN);
    if (v.kind == LV_UNIT) return lt_kind(L, LT_UNIT);
    if (v.kind == LV_TUPLE || v.kind == LV_STRUCT) {
        LowType *r = ARENA_NEW(L->arena, LowType);
        r->kind = v.kind == LV_TUPLE ? LT_TUPLE : LT_STRUCT;
        r->decl = v.decl;
        r->n = v.n;
        r->elems = ARENA_ARRAY(L->arena, const LowType *, v.n);
        for (uint32_t i = 0; i < v.n; i++) r->elems[i] = low_type_of(L, v.elems[i]);
        return r;
    }
    return lt_kind(L, LT_ERROR);
}

/* ---- conversion to a stated type ---- */

static LowValue coerce_num(Low *L, LowValue v, const LowType *t, TdlSpan at, const char *what)
{
    TdlElem e = ty_elem(L->m, t->t);
    TdlElem from = lv_elem(L, v);
    bool weak = lv_is_weak(v) && ty_eq(v.kind == LV_TENSOR ? ty_with_elem(L->m, lv_type(L, v), e) : ty_scalar(L->m, e), t->t);
    if (weak && (el_is_float(e) || (el_is_int(e) && el_is_int(from)))) return lv_tensor(low_mat(L, v, e));
    TdlType own = v.kind == LV_TENSOR ? lv_type(L, v) : ty_scalar(L->m, lv_elem(L, v));
    if (ty_eq(own, t->t)) return lv_tensor(low_mat_own(L, v));
    if (v.kind != LV_TENSOR) return low_error(L, at, "%s: expected %s, not %s", what, ty_text(L, t->t), lv_text(L, v));
    const char *way = "";
    if (ty_rank(L->m, own) == ty_rank(L->m, t->t) && ty_eq(ty_with_elem(L->m, own, e), t->t))
        way = arena_printf(L->arena, "; %s(...) converts", el_name(e));
    return low_error(L, at, "%s: expected %s, not %s%s", what, ty_text(L, t->t), ty_text(L, own), way);
}

LowValue low_coerce(Low *L, LowValue v, const LowType *t, TdlSpan at, const char *what)
{
    if (lv_is_err(v) || t->kind == LT_ERROR) return LOW_ERR;
    if (t->kind == LT_TENSOR && lv_is_num(v)) return coerce_num(L, v, t, at, what);
    if (t->kind == LT_STATIC) return v;
    if (t->kind == LT_FN && v.kind == LV_FN) return v;
    if (t->kind == LT_UNIT && v.kind == LV_UNIT) return v;
    bool tuple = t->kind == LT_TUPLE && v.kind == LV_TUPLE, st = t->kind == LT_STRUCT && v.kind == LV_STRUCT;
    if ((tuple || (st && t->decl == v.decl)) && t->n == v.n) {
        LowValue *e = ARENA_ARRAY(L->arena, LowValue, v.n);
        for (uint32_t i = 0; i < v.n; i++) {
            const char *part = tuple ? arena_printf(L->arena, "%s.%u", what, i)
                                     : arena_printf(L->arena, "%s.%s", what, low_name(L, v.decl->ast->params.p[i].name.name));
            e[i] = low_coerce(L, v.elems[i], t->elems[i], at, part);
            if (lv_is_err(e[i])) return LOW_ERR;
        }
        v.elems = e;
        return v;
    }
    return low_error(L, at, "%s: expected %s, not %s", what, lt_text(L, t), lv_text(L, v));
}

/* ---- dimension expressions ---- */

static bool dim_binary(Low *L, const AstExpr *e, TdlDim *d)
{
    TdlDim a, b;
    if (e->op == AST_OP_DIV) {
        low_error(L, e->span, "`/` makes a float: a dimension is divided by `//`");
        diag_fixit(L->diags, (TdlSpan){e->span.file, e->span.at, e->span.at + 1, e->span.at}, "//");
        return false;
    }
    if (!low_dim_expr(L, e->a, &a) || !low_dim_expr(L, e->b, &b)) return false;
    int64_t c;
    switch (e->op) {
    case AST_OP_ADD: *d = dim_add(L->m, a, b); return true;
    case AST_OP_SUB: *d = dim_sub(L->m, a, b); return true;
    case AST_OP_MUL: *d = dim_mul(L->m, a, b); return true;
    case AST_OP_FLOORDIV: case AST_OP_MOD:
        if (dim_is_const(L->m, b, &c) && c > 0) {
            *d = e->op == AST_OP_MOD ? dim_mod(L->m, a, c) : dim_floordiv(L->m, a, c);
            return true;
        }
        low_error(L, e->span, "dimension: `%s` needs a positive constant on its right", ast_op_text(e->op));
        return false;
    case AST_OP_POW:
        if (dim_is_const(L->m, b, &c) && c >= 0 && c <= 8) {
            *d = dim_const(L->m, 1);
            while (c--) *d = dim_mul(L->m, *d, a);
            return true;
        }
        break;
    default: break;
    }
    low_error(L, e->span, "dimension: `%s` cannot be used in a dimension", ast_op_text(e->op));
    return false;
}

bool low_dim_expr(Low *L, const AstExpr *e, TdlDim *d)
{
    switch (e->kind) {
    case AST_INT: *d = dim_const(L->m, e->ival); return true;
    case AST_BINARY: return dim_binary(L, e, d);
    case AST_UNARY:
        if (e->op == AST_OP_NEG && low_dim_expr(L, e->a, d)) { *d = dim_sub(L->m, dim_const(L->m, 0), *d); return true; }
        return false;
    case AST_NAME: {
        LowVar *v = low_find_var(L, e->name.name, NULL);
        if (v && low_known_dim(L, v->val, d)) return true;
        for (uint32_t i = L->frame->dims.n; i-- > 0;)
            if (sym_eq(L->frame->dims.p[i].name, e->name.name)) { *d = L->frame->dims.p[i].d; return true; }
        if (v && lv_is_err(v->val)) return false;
        low_error(L, e->span, "dimension: `%s` is not a dimension here%s", low_name(L, e->name.name),
                  v ? " (it is a run-time value)" : "; dimensions are declared in brackets after the function's name");
        return false;
    }
    default:
        low_error(L, e->span, "dimension: expected integers, names and + - * // %%");
        return false;
    }
}

/* ---- written types ---- */

LowTyBind *low_find_ty(LowTyBinds *tys, TdlSym name)
{
    for (uint32_t i = 0; i < tys->n; i++)
        if (sym_eq(tys->p[i].name, name)) return &tys->p[i];
    return NULL;
}

bool low_elem_name(Low *L, TdlSym name, TdlElem *e)
{
    LowTyBind *b = L->frame ? low_find_ty(&L->frame->tys, name) : NULL;
    if (b && !b->pack) { *e = b->elem; return b->bound; }
    const char *s = low_name(L, name);
    for (int i = 0; i < EL_COUNT; i++)
        if (!strcmp(s, el_name((TdlElem)i))) { *e = (TdlElem)i; return true; }
    return false;
}

static bool type_dims(Low *L, const AstType *t, TdlDim *dims, uint32_t *rank)
{
    *rank = 0;
    for (uint32_t i = 0; i < t->dims.n; i++) {
        const AstExpr *e = t->dims.p[i];
        if (e->kind == AST_PACK) {
            LowTyBind *b = low_find_ty(&L->frame->tys, e->name.name);
            if (!b || !b->pack) {
                low_error(L, e->span, "`..%s` is not declared; packs are declared in brackets after the function's name", low_name(L, e->name.name));
                return false;
            }
            for (uint32_t k = 0; k < b->rank && *rank < LOW_MAX_RANK; k++) dims[(*rank)++] = b->dims[k];
            continue;
        }
        if (*rank >= LOW_MAX_RANK) {
            low_error(L, t->span, "type: more than %d dimensions", LOW_MAX_RANK);
            return false;
        }
        if (!low_dim_expr(L, e, &dims[*rank])) return false;
        int64_t c;
        if (dim_is_const(L->m, dims[*rank], &c) && c < 0) {
            low_error(L, e->span, "type: a dimension is at least 0, not %lld", (long long)c);
            return false;
        }
        (*rank)++;
    }
    return true;
}

/* P[n, k]: the struct's fields with its dimensions in the places of its parameters. */
static const LowType *struct_type(Low *L, const AstType *t, const LowDecl *d)
{
    if (L->depth > LOW_MAX_DEPTH) { low_error(L, t->span, "struct %s contains itself", low_name(L, t->name.name)); return lt_kind(L, LT_ERROR); }
    TdlDim dims[LOW_MAX_RANK];
    uint32_t n;
    if (!type_dims(L, t, dims, &n)) return lt_kind(L, LT_ERROR);
    if (n != d->ast->generics.n) {
        low_error(L, t->span, "%s: has %u dimensions, not %u", low_name(L, t->name.name), d->ast->generics.n, n);
        return lt_kind(L, LT_ERROR);
    }
    LowFrame *f = low_push_frame(L, low_name(L, t->name.name), t->span);
    f->deflt = f->up ? f->up->deflt : EL_F32;
    for (uint32_t i = 0; i < n; i++)
        VEC_PUSH(L->arena, f->dims, ((LowDimBind){d->ast->generics.p[i].name.name, dims[i]}));
    LowType *r = ARENA_NEW(L->arena, LowType);
    r->kind = LT_STRUCT;
    r->decl = d;
    r->n = d->ast->params.n;
    r->elems = ARENA_ARRAY(L->arena, const LowType *, r->n);
    L->depth += 20;
    for (uint32_t i = 0; i < r->n; i++) r->elems[i] = low_type(L, d->ast->params.p[i].type);
    L->depth -= 20;
    low_pop_frame(L);
    for (uint32_t i = 0; i < r->n; i++)
        if (r->elems[i]->kind == LT_ERROR) return r->elems[i];
    return r;
}

static const LowType *named_type(Low *L, const AstType *t)
{
    TdlElem e;
    const char *s = low_name(L, t->name.name);
    if (low_elem_name(L, t->name.name, &e)) {
        TdlDim dims[LOW_MAX_RANK];
        uint32_t rank;
        if (!type_dims(L, t, dims, &rank)) return lt_kind(L, LT_ERROR);
        return lt_tensor(L, ty_tensor(L->m, e, dims, rank));
    }
    if (!strcmp(s, "static")) return lt_kind(L, LT_STATIC);
    const LowDecl *d = low_find_decl(L, t->name.name);
    if (d && d->ast->kind == AST_STRUCT) return struct_type(L, t, d);
    if (!strcmp(s, "c64") || !strcmp(s, "c128"))
        low_error(L, t->span, "%s is reserved for complex numbers: write real and imaginary parts as two tensors", s);
    else
        low_unknown(L, t->name.span, "type", s, "");
    return lt_kind(L, LT_ERROR);
}

const LowType *low_type(Low *L, const AstType *t)
{
    if (t->kind == AST_TY_FN) return lt_kind(L, LT_FN);
    if (t->kind == AST_TY_NAME) return named_type(L, t);
    const LowType **e = ARENA_ARRAY(L->arena, const LowType *, t->elems.n);
    for (uint32_t i = 0; i < t->elems.n; i++) {
        e[i] = low_type(L, t->elems.p[i]);
        if (e[i]->kind == LT_ERROR) return e[i];
    }
    return t->elems.n ? lt_tuple(L, e, t->elems.n) : lt_kind(L, LT_UNIT);
}

/* ---- matching type parameters ---- */

static void match_elem(LowTyBind *b, TdlElem e)
{
    if (!b || b->bound) return;
    b->elem = e;
    b->bound = true;
}

bool low_match_ty(Low *L, LowTyBinds *tys, const AstType *t, LowValue v, bool weak_too)
{
    if (t->kind == AST_TY_TUPLE && v.kind == LV_TUPLE && v.n == t->elems.n) {
        for (uint32_t i = 0; i < v.n; i++) low_match_ty(L, tys, t->elems.p[i], v.elems[i], weak_too);
        return true;
    }
    if (t->kind != AST_TY_NAME || !lv_is_num(v)) return true;
    if (lv_is_weak(v) && !weak_too) return true;
    match_elem(low_find_ty(tys, t->name.name), lv_elem(L, v));
    LowTyBind *pack = NULL;
    uint32_t others = 0;
    for (uint32_t i = 0; i < t->dims.n; i++) {
        LowTyBind *b = t->dims.p[i]->kind == AST_PACK ? low_find_ty(tys, t->dims.p[i]->name.name) : NULL;
        if (!b) others++;
        else if (!b->bound) pack = b;
        else others += b->rank;
    }
    if (pack && lv_rank(L, v) >= others) {
        pack->rank = lv_rank(L, v) - others;
        pack->bound = true;
    }
    return true;
}
