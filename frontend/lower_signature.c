/* Signatures: the parameters of a declaration as types, its dimensions as names; and what a call's arguments say of them. */
#include "frontend/lower_int.h"

#include <string.h>

/* ---- parameters ---- */

bool low_type_is(Low *L, const AstType *t, const char *name)
{
    return t && t->kind == AST_TY_NAME && !t->has_dims && !strcmp(low_name(L, t->name.name), name);
}

bool low_may_be_static(Low *L, const LowDecl *d, const AstParam *p)
{
    if (!p->type) return true;
    if (low_type_is(L, p->type, "static") || low_type_is(L, p->type, "str") || low_type_is(L, p->type, "int") || low_type_is(L, p->type, "float")) return true;
    return d->library && low_type_is(L, p->type, "bool");
}

/* ---- signatures ---- */

static void add_dim(Low *L, LowInst *s, TdlSym name)
{
    s->dims = vec_grow(L->arena, s->dims, s->ndims, &(uint32_t){s->ndims}, s->ndims + 1, sizeof *s->dims);
    s->dims[s->ndims++] = name;
    TdlDim d = dim_var(L->m, name);
    for (uint32_t i = 0; s->fix && L->opt && i < L->opt->nfixes; i++)
        if (!strcmp(L->opt->fixes[i].name, low_name(L, name))) d = dim_const(L->m, L->opt->fixes[i].value);
    VEC_PUSH(L->arena, s->binds, ((LowDimBind){name, d}));
}

/* assert(n == 2*m) at the top: n is rewritten. */
static void apply_facts(Low *L, LowInst *s)
{
    const AstBlock *b = s->decl->ast->body;
    for (uint32_t i = 0; b && i < b->stmts.n && b->stmts.p[i]->kind == AST_ASSERT; i++) {
        const AstExpr *e = b->stmts.p[i]->e;
        if (e->kind != AST_BINARY || e->op != AST_OP_EQ) continue;
        for (int side = 0; side < 2; side++) {
            const AstExpr *n = side ? e->b : e->a, *to = side ? e->a : e->b;
            if (n->kind != AST_NAME || !low_dim_like(L, to)) continue;
            TdlDim d;
            TdlSym self;
            LowDimBind *bind = NULL;
            for (uint32_t k = 0; k < s->binds.n; k++)
                if (sym_eq(s->binds.p[k].name, n->name.name)) bind = &s->binds.p[k];
            if (!bind || !dim_is_var(L->m, bind->d, &self) || !sym_eq(self, bind->name)) continue;
            if (!low_dim_expr(L, to, &d) || low_dim_has(L, d, self)) continue;
            for (uint32_t k = 0; k < s->binds.n; k++) s->binds.p[k].d = dim_subst(L->m, s->binds.p[k].d, &self, &d, 1);
            L->frame->dims = s->binds;
            break;
        }
    }
}

typedef struct { TdlSym want; bool found; } HasVar;
static void has_var(void *user, TdlSym v) { ((HasVar *)user)->found |= sym_eq(((HasVar *)user)->want, v); }
bool low_dim_has(Low *L, TdlDim d, TdlSym v)
{
    HasVar h = {v, false};
    dim_vars(L->m, d, has_var, &h);
    return h.found;
}

/* Is e made of integers and dimension names of the frame? */
bool low_dim_like(Low *L, const AstExpr *e)
{
    if (e->kind == AST_INT) return true;
    if (e->kind == AST_UNARY) return e->op == AST_OP_NEG && low_dim_like(L, e->a);
    if (e->kind == AST_BINARY) return e->op >= AST_OP_ADD && e->op <= AST_OP_POW && e->op != AST_OP_DIV && low_dim_like(L, e->a) && low_dim_like(L, e->b);
    for (uint32_t i = 0; e->kind == AST_NAME && i < L->frame->dims.n; i++)
        if (sym_eq(L->frame->dims.p[i].name, e->name.name)) return true;
    return false;
}

static bool has_f64(Low *L, const LowType *t)
{
    if (t->kind == LT_TENSOR) return ty_elem(L->m, t->t) == EL_F64;
    for (uint32_t i = 0; i < t->n; i++)
        if (has_f64(L, t->elems[i])) return true;
    return false;
}

TdlElem low_default_float(Low *L, const LowInst *s)
{
    for (uint32_t i = 0; i < s->nparams; i++)
        if (has_f64(L, s->params[i])) return EL_F64;
    return s->result && has_f64(L, s->result) ? EL_F64 : EL_F32;
}

static LowType *static_type(Low *L)
{
    LowType *t = ARENA_NEW(L->arena, LowType);
    t->kind = LT_STATIC;
    return t;
}

/* Fills dims, binds and parameter types of `s` for type parameters `tys` (ranks of packs known). The result type is
 * left for the body where none is written. Its frame stays pushed when keep is set. */
static bool signature_in_frame(Low *L, LowInst *s, const LowDecl *d, const LowValue *args)
{
    const AstDecl *a = d->ast;
    LowFrame *f = L->frame;
    f->library = d->library;
    for (uint32_t i = 0; i < a->generics.n; i++) {
        const AstGeneric *g = &a->generics.p[i];
        LowTyBind *b = g->pack ? low_find_ty(&s->tys, g->name.name) : NULL;
        if (g->pack) {
            b->dims = ARENA_ARRAY(L->arena, TdlDim, b->rank);
            for (uint32_t k = 0; k < b->rank; k++) {
                TdlSym n = intern(L->names, arena_printf(L->arena, "%s%u", low_name(L, g->name.name), k));
                for (uint32_t j = 0; j < a->generics.n; j++)
                    if (sym_eq(a->generics.p[j].name.name, n)) n = intern(L->names, arena_printf(L->arena, "%s_%u", low_name(L, g->name.name), k));
                add_dim(L, s, n);
                b->dims[k] = dim_var(L->m, n);
            }
        } else if (!g->bound.id) {
            add_dim(L, s, g->name.name);
        }
    }
    f->dims = s->binds;
    f->tys = s->tys;
    if (a->kind == AST_FN) apply_facts(L, s);
    s->nparams = a->params.n;
    s->params = ARENA_ARRAY(L->arena, const LowType *, a->params.n);
    for (uint32_t i = 0; i < a->params.n; i++) {
        const AstParam *p = &a->params.p[i];
        bool st = a->kind == AST_FN && low_may_be_static(L, d, p);
        if (st && !args && !p->type) {
            low_error(L, p->span, "parameter `%s` needs a type", low_name(L, p->name.name));
            return false;
        }
        if (a->kind == AST_EXTERN && (!p->type || p->type->kind == AST_TY_FN || p->deflt)) {
            low_error(L, p->span, "extern fn: parameter `%s` needs the type of a number, tensor, struct or tuple, and no default", low_name(L, p->name.name));
            return false;
        }
        s->params[i] = st ? static_type(L) : low_type(L, p->type);
        if (s->params[i]->kind == LT_ERROR) return false;
        if (has_f64(L, s->params[i])) f->deflt = EL_F64;
    }
    if (a->result) {
        s->result = low_type(L, a->result);
        if (s->result->kind == LT_ERROR) return false;
        if (has_f64(L, s->result)) f->deflt = EL_F64;
    }
    return true;
}

bool low_signature(Low *L, LowInst *s, const LowDecl *d, const LowTyBinds *tys, const LowValue *args)
{
    s->decl = d;
    if (tys) s->tys = *tys;
    low_push_frame(L, low_name(L, d->ast->name.name), SPAN_NONE);
    L->frame->deflt = EL_F32;
    bool ok = signature_in_frame(L, s, d, args);
    low_pop_frame(L);
    return ok;
}

/* ---- dimension binding ---- */

typedef struct { TdlSym *tmp; TdlDim *tmpd; TdlDim *out; bool *bound; uint32_t n; } Solve;

static TdlDim solved(Low *L, Solve *s, TdlDim d, uint32_t *unknown)
{
    TdlSym names[64];
    TdlDim to[64];
    uint32_t n = 0;
    *unknown = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!low_dim_has(L, d, s->tmp[i])) continue;
        if (s->bound[i] && n < 64) { names[n] = s->tmp[i]; to[n++] = s->out[i]; }
        else (*unknown)++;
    }
    return dim_subst(L->m, d, names, to, n);
}

/* One equation of a parameter's dimension (over temporaries) and the argument's. */
static bool equation(Low *L, Solve *s, TdlDim p, TdlDim a, bool lone)
{
    TdlSym v;
    uint32_t unknown;
    TdlDim value;
    if (lone) {
        if (!dim_is_var(L->m, p, &v)) return false;
        value = a;
    } else {
        p = solved(L, s, p, &unknown);
        if (unknown != 1 || !dim_solve(L->m, p, a, &v, &value)) return false;
    }
    for (uint32_t i = 0; i < s->n; i++)
        if (sym_eq(s->tmp[i], v) && !s->bound[i]) {
            s->out[i] = value;
            return s->bound[i] = true;
        }
    return false;
}

static bool walk_type(Low *L, Solve *s, const LowType *p, LowValue a, const LowInst *inst, bool lone)
{
    bool any = false;
    if (p->kind == LT_TENSOR && a.kind == LV_TENSOR) {
        TdlType t = ty_subst(L->m, p->t, inst->dims, s->tmpd, inst->ndims);
        if (ty_rank(L->m, t) != lv_rank(L, a)) return false;
        for (uint32_t i = 0; i < lv_rank(L, a); i++) any |= equation(L, s, ty_dims(L->m, t)[i], lv_dims(L, a)[i], lone);
    }
    for (uint32_t i = 0; i < p->n && (a.kind == LV_TUPLE || a.kind == LV_STRUCT) && a.n == p->n; i++)
        any |= walk_type(L, s, p->elems[i], a.elems[i], inst, lone);
    return any;
}

static void argument_note(Low *L, const LowDecl *d, uint32_t i)
{
    diag_note(L->diags, d->ast->params.p[i].span, "parameter `%s` declared here", low_name(L, d->ast->params.p[i].name.name));
}

static bool coerce_args(Low *L, const LowInst *inst, LowValue *args, const TdlDim *out, TdlSpan at)
{
    for (uint32_t i = 0; i < inst->nparams; i++) {
        const AstParam *p = &inst->decl->ast->params.p[i];
        if (inst->params[i]->kind == LT_STATIC) continue;
        const LowType *t = lt_subst(L, inst->params[i], inst->dims, out, inst->ndims);
        const char *what = arena_printf(L->arena, "%s: argument `%s`", low_name(L, inst->decl->ast->name.name), low_name(L, p->name.name));
        args[i] = low_coerce(L, args[i], t, at, what);
        if (lv_is_err(args[i])) {
            argument_note(L, inst->decl, i);
            return false;
        }
    }
    return true;
}

bool low_bind_dims(Low *L, const LowInst *inst, LowValue *args, const LowDimBinds *given, TdlDim *out, TdlSpan at)
{
    Solve s = {.n = inst->ndims, .out = out};
    s.tmp = ARENA_ARRAY(L->arena, TdlSym, s.n);
    s.tmpd = ARENA_ARRAY(L->arena, TdlDim, s.n);
    s.bound = ARENA_ARRAY(L->arena, bool, s.n);
    for (uint32_t i = 0; i < s.n; i++) {
        s.tmp[i] = intern(L->names, arena_printf(L->arena, "?%u", i));
        s.tmpd[i] = dim_var(L->m, s.tmp[i]);
        out[i] = s.tmpd[i];
        for (uint32_t k = 0; given && k < given->n; k++)
            if (sym_eq(given->p[k].name, inst->dims[i])) { out[i] = given->p[k].d; s.bound[i] = true; }
    }
    for (uint32_t i = 0; i < inst->nparams; i++) walk_type(L, &s, inst->params[i], args[i], inst, true);
    for (bool any = true; any;) {
        any = false;
        for (uint32_t i = 0; i < inst->nparams; i++) any |= walk_type(L, &s, inst->params[i], args[i], inst, false);
    }
    for (uint32_t i = 0; i < s.n; i++) { /* what a fact or -D says of the others */
        uint32_t unknown;
        if (s.bound[i]) continue;
        TdlDim d = solved(L, &s, dim_subst(L->m, inst->binds.p[i].d, inst->dims, s.tmpd, s.n), &unknown);
        if (!unknown) { out[i] = d; s.bound[i] = true; continue; }
        bool fits = true; /* a wrong rank explains it better */
        for (uint32_t k = 0; k < inst->nparams; k++)
            fits &= inst->params[k]->kind != LT_TENSOR || !lv_is_num(args[k]) || ty_rank(L->m, inst->params[k]->t) == lv_rank(L, args[k]);
        for (uint32_t k = 0; k < s.n; k++) s.tmpd[k] = dim_var(L->m, inst->dims[k]);
        if (!fits) { coerce_args(L, inst, args, s.tmpd, at); return false; }
        const char *n = low_name(L, inst->dims[i]), *f = low_name(L, inst->decl->ast->name.name);
        low_error(L, at, "%s: dimension `%s` does not follow from the arguments: give it by name: %s(..., %s=...)", f, n, f, n);
        return false;
    }
    return coerce_args(L, inst, args, out, at);
}
