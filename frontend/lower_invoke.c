/* Calls of declared functions. A call of an instance binds its dimension parameters. Functions that take functions, and
 * parameters without a type that receive tensors, are walked at the call instead (the shapes are then the caller's own). */
#include "frontend/lower_int.h"

#include <string.h>

/* ---- type parameters ---- */

static bool bound_fits(const char *bound, TdlElem e)
{
    if (!strcmp(bound, "float")) return el_is_float(e);
    if (!strcmp(bound, "int")) return el_is_int(e);
    return true;
}

static bool bind_types(Low *L, const LowDecl *d, LowValue *vals, LowTyBinds *tys, TdlSpan at)
{
    const AstDecl *a = d->ast;
    const char *name = low_name(L, a->name.name);
    for (uint32_t i = 0; i < a->generics.n; i++)
        if (a->generics.p[i].pack || a->generics.p[i].bound.id)
            VEC_PUSH(L->arena, *tys, ((LowTyBind){.name = a->generics.p[i].name.name, .pack = a->generics.p[i].pack}));
    for (int pass = 0; tys->n && pass < 2; pass++)
        for (uint32_t i = 0; i < a->params.n; i++)
            if (a->params.p[i].type && !low_may_be_static(L, d, &a->params.p[i])) low_match_ty(L, tys, a->params.p[i].type, vals[i], pass == 1);
    for (uint32_t i = 0; i < a->generics.n; i++) {
        const AstGeneric *g = &a->generics.p[i];
        LowTyBind *b = g->pack || g->bound.id ? low_find_ty(tys, g->name.name) : NULL;
        if (!b) continue;
        const char *n = low_name(L, g->name.name);
        if (!b->bound) { low_error(L, at, "%s: `%s` does not follow from the arguments", name, n); return false; }
        if (!g->pack && !strcmp(low_name(L, g->bound), "float") && b->elem == EL_I64) { /* an integer literal among floats */
            bool literal = true;
            for (uint32_t k = 0; k < a->params.n; k++)
                literal &= !a->params.p[k].type || !sym_eq(a->params.p[k].type->name.name, g->name.name) || lv_is_weak(vals[k]);
            if (literal) b->elem = L->frame->deflt;
        }
        if (!g->pack && !bound_fits(low_name(L, g->bound), b->elem)) {
            low_error(L, at, "%s: needs %s tensors, not %s; %s(x) converts", name, low_name(L, g->bound), el_name(b->elem), el_name(L->frame->deflt));
            return false;
        }
    }
    return true;
}

/* ---- calls ---- */

static LowValue emit_call(Low *L, LowInst *s, const LowValue *vals, const TdlDim *dims, const char *grad_fn)
{
    TdlVals ops = {0};
    for (uint32_t i = 0; i < s->nparams; i++)
        if (s->params[i]->kind != LT_STATIC) low_flatten(L, vals[i], &ops);
    const LowType *rt = lt_subst(L, s->result, s->dims, dims, s->ndims);
    return low_emit_call(L, s->f, ops.p, ops.n, rt, dims, s->ndims, grad_fn);
}

LowValue low_emit_call(Low *L, TdlFunc *f, const TdlVal *ops, uint32_t n, const LowType *rt, const TdlDim *dims, uint32_t ndims, const char *grad_fn)
{
    uint32_t nr = 0, at = 0;
    TdlType *t = ARENA_ARRAY(L->arena, TdlType, lt_nleaves(rt) + 1);
    lt_leaves(rt, t, &nr);
    low_unname(L);
    TdlOp o = ir_emit(&L->b, OP_CALL, ops, n, t, nr);
    const char *name = low_name(L, f->name);
    op_set_str(L->b.f, o, "callee", name, (uint32_t)strlen(name));
    if (ndims) op_set_dims(L->b.f, o, "dims", dims, ndims);
    if (grad_fn && nr && ty_is_float(L->m, t[0])) ir_op(L->b.f, o)->grad_fn = intern(L->names, grad_fn);
    TdlVal *r = ARENA_ARRAY(L->arena, TdlVal, nr + 1);
    for (uint32_t i = 0; i < nr; i++) r[i] = ir_result(L->b.f, o, i);
    return low_from_leaves(L, rt, r, &at);
}

/* The signature of d for the arguments of a call, in the caller's dimensions. */
static bool call_signature(Low *L, LowInst *sig, const LowDecl *d, LowValue *vals, LowTyBinds *tys, const LowDimBinds *dimargs, TdlSpan at)
{
    if (!low_signature(L, sig, d, tys, vals)) return false;
    TdlDim *dims = ARENA_ARRAY(L->arena, TdlDim, sig->ndims + 1);
    if (!low_bind_dims(L, sig, vals, dimargs, dims, at)) return false;
    for (uint32_t i = 0; i < sig->binds.n; i++) sig->binds.p[i].d = dim_subst(L->m, sig->binds.p[i].d, sig->dims, dims, sig->ndims);
    for (uint32_t i = 0; i < sig->tys.n; i++)
        for (uint32_t k = 0; k < sig->tys.p[i].rank; k++) sig->tys.p[i].dims[k] = dim_subst(L->m, sig->tys.p[i].dims[k], sig->dims, dims, sig->ndims);
    if (sig->result) sig->result = lt_subst(L, sig->result, sig->dims, dims, sig->ndims);
    return true;
}

/* The body of d walked here, with the caller's dimensions in the places of its own. */
static LowValue inline_call(Low *L, const LowDecl *d, LowValue *vals, LowTyBinds *tys, const LowDimBinds *dimargs, TdlSpan at)
{
    if (L->frame->depth >= LOW_MAX_INLINE)
        return low_error(L, at, "%s: calls itself with ever new shapes or functions: a function that takes functions calls itself with the same ones", low_name(L, d->ast->name.name));
    LowInst sig = {0};
    if (!call_signature(L, &sig, d, vals, tys, dimargs, at)) return LOW_ERR;
    LowFrame *f = low_push_frame(L, low_name(L, d->ast->name.name), at);
    f->decl = d;
    *d->walked = true;
    f->library = d->library;
    f->here = true;
    f->tys = sig.tys;
    f->dims = sig.binds;
    f->result = sig.result;
    if (d->library) f->deflt = f->up->deflt;
    for (uint32_t i = 0; i < sig.nparams; i++) low_bind(L, d->ast->params.p[i].name.name, vals[i], false, d->ast->params.p[i].span);
    low_push_scope(L, BARRIER_NONE);
    low_body(L, d->ast);
    LowValue r = f->ret.val.kind == LV_BOOL && !f->ret.val.i && f->result ? LOW_ERR : f->retv.val;
    low_pop_frame(L);
    return r;
}

/* The same as a function of its own, called: a library function is one node of the backward graph. */
typedef struct { const LowDecl *d; LowDimBinds dimargs; TdlSpan at; uint32_t n; } Inline;

static LowValue lifted_body(Low *L, LowValue env, void *user)
{
    Inline *in = user;
    LowTyBinds tys = {0};
    if (!bind_types(L, in->d, env.elems, &tys, in->at)) return LOW_ERR;
    return inline_call(L, in->d, env.elems, &tys, &in->dimargs, in->at);
}

static LowValue call_lifted(Low *L, Inline *in, LowValue *vals, const char *grad_fn)
{
    LowLifted f;
    LowTyBinds tys = {0};
    LowInst sig = {0};
    bool ruled = low_find_rule(L, in->d) != NULL; /* its rule has the parameters that the arguments decide */
    if (ruled && (!bind_types(L, in->d, vals, &tys, in->at) || !call_signature(L, &sig, in->d, vals, &tys, &in->dimargs, in->at))) return LOW_ERR;
    if (!low_lift(L, low_name(L, in->d->ast->name.name), lv_tuple(L, vals, in->n), lifted_body, in, &f, in->at)) return LOW_ERR;
    if (ruled) low_lifted_rules(L, in->d, &f, vals, &sig.binds, &sig.tys, in->at);
    return low_emit_call(L, f.f, f.ops.p, f.ops.n, f.result, f.dims, f.ndims, grad_fn);
}

/* ---- recursion of a function that takes functions ----
 * It is walked at its call, as always; a call of itself in there becomes a function of its own, with what its functions
 * capture as parameters. That one calls itself where the arguments are alike: the same functions, values of one shape. */

struct LowRecursion { const LowDecl *d; LowValue args; const TdlFunc *in; /* of the args */ const LowLifted *f; const LowType *result; LowRecursion *up; };

static bool being_inlined(const Low *L, const LowDecl *d)
{
    for (const LowFrame *f = L->frame; f; f = f->up)
        if (f->decl == d) return true;
    return false;
}

static LowValue call_recursive(Low *L, Inline *in, LowValue *vals, LowTyBinds *tys)
{
    LowInst sig = {0};
    if (!low_signature(L, &sig, in->d, tys, vals)) return LOW_ERR;
    TdlDim *dims = ARENA_ARRAY(L->arena, TdlDim, sig.ndims + 1);
    if (!low_bind_dims(L, &sig, vals, &in->dimargs, dims, in->at)) return LOW_ERR;
    for (uint32_t i = 0; i < in->n; i++)
        if (vals[i].kind == LV_INT || vals[i].weak) vals[i] = lv_tensor(low_mat_own(L, vals[i]));
        else if (vals[i].kind != LV_FN) vals[i] = low_concrete(L, vals[i]);
    LowRecursion self = {in->d, lv_tuple(L, vals, in->n), L->b.f, NULL, NULL, L->recursions};
    for (const LowRecursion *r = L->recursions; r; r = r->up) {
        if (r->d != in->d || !lv_alike(L, r->in, r->args, self.args)) continue;
        if (!r->result) return low_error(L, in->at, "%s calls itself: write its result type: -> f64[n]", low_name(L, in->d->ast->name.name));
        TdlVals ops = {0};
        low_flatten(L, self.args, &ops);
        return low_emit_call(L, r->f->f, ops.p, ops.n, r->result, r->f->dims, r->f->ndims, NULL);
    }
    LowLifted f;
    self.f = &f;
    self.result = sig.result ? lt_subst(L, sig.result, sig.dims, dims, sig.ndims) : NULL;
    L->recursions = &self;
    bool ok = low_lift(L, low_name(L, in->d->ast->name.name), self.args, lifted_body, in, &f, in->at);
    L->recursions = self.up;
    return ok ? low_emit_call(L, f.f, f.ops.p, f.ops.n, f.result, f.dims, f.ndims, NULL) : LOW_ERR;
}

/* ---- which way a call is made ---- */

static bool is_static_value(const Low *L, LowValue v)
{
    int64_t c;
    if (v.kind == LV_TUPLE) {
        for (uint32_t i = 0; i < v.n; i++)
            if (!is_static_value(L, v.elems[i])) return false;
        return true;
    }
    return v.kind == LV_NONE || v.kind == LV_STR || v.kind == LV_BOOL || v.kind == LV_FLOAT || v.kind == LV_ELEM || lv_int_const(L, v, &c);
}

typedef struct { bool exact, tensors; } Mode;

static Mode call_mode(Low *L, const LowDecl *d, const LowValue *vals, LowValue *statics)
{
    Mode m = {0};
    for (uint32_t i = 0; i < d->ast->params.n; i++) {
        const AstParam *p = &d->ast->params.p[i];
        statics[i] = LOW_ERR;
        if (vals[i].kind == LV_FN || (p->type && p->type->kind == AST_TY_FN)) m.exact = true;
        else if (d->ast->kind == AST_EXTERN || !low_may_be_static(L, d, p)) m.tensors = true;
        else if (is_static_value(L, vals[i])) statics[i] = vals[i];
        else m.exact = true;
    }
    return m;
}

bool low_has_fn_param(const LowDecl *d)
{
    for (uint32_t i = 0; i < d->ast->params.n; i++)
        if (!d->ast->params.p[i].type || d->ast->params.p[i].type->kind == AST_TY_FN) return true;
    return false;
}

static bool check_static(Low *L, const LowDecl *d, const LowValue *vals, TdlSpan at)
{
    for (uint32_t i = 0; i < d->ast->params.n; i++) {
        const AstType *t = d->ast->params.p[i].type;
        bool st = low_type_is(L, t, "static") || low_type_is(L, t, "str") || (d->library && low_type_is(L, t, "bool"));
        bool in = low_type_is(L, t, "int") && vals[i].kind != LV_INT && !(vals[i].kind == LV_TENSOR && el_is_int(lv_elem(L, vals[i])));
        if (in || (st && !is_static_value(L, vals[i]))) {
            low_error(L, at, "%s: `%s` must be %s known at compile time, not %s", low_name(L, d->ast->name.name),
                      low_name(L, d->ast->params.p[i].name.name), low_type_is(L, t, "int") ? "an integer" : "a value", lv_text(L, vals[i]));
            return false;
        }
    }
    return true;
}

/* Type parameters, ranks and static arguments decided by the arguments: the instance, with its arguments coerced. */
LowInst *low_pick_instance(Low *L, const LowDecl *d, LowArgs *args, LowValue *vals, TdlDim *dims, TdlSpan at)
{
    LowArg *slots = ARENA_ARRAY(L->arena, LowArg, d->ast->params.n);
    LowDimBinds dimargs = {0};
    LowTyBinds tys = {0};
    if (!low_assign_args(L, d, args, slots, &dimargs, at)) return NULL;
    for (uint32_t i = 0; i < d->ast->params.n; i++) vals[i] = slots[i].v;
    LowValue *statics = ARENA_ARRAY(L->arena, LowValue, d->ast->params.n);
    call_mode(L, d, vals, statics);
    if (!bind_types(L, d, vals, &tys, at)) return NULL;
    LowInst *s = low_instance(L, d, &tys, statics, at);
    if (!low_instance_finish(L, s) || !low_bind_dims(L, s, vals, &dimargs, dims, at) || !low_contracts_hold(L, s, dims, at)) return NULL;
    return s;
}

LowValue low_call_decl(Low *L, const LowDecl *d, LowArgs *args, TdlSpan at)
{
    const AstDecl *a = d->ast;
    const char *grad_fn = d->grad_fn.id ? low_name(L, d->grad_fn) : NULL;
    if (low_find_rule(L, d) && !d->library) grad_fn = arena_printf(L->arena, "%sBackward", low_name(L, a->name.name)); /* as torch.autograd.Function's */
    LowArg *slots = ARENA_ARRAY(L->arena, LowArg, a->params.n);
    LowValue *vals = ARENA_ARRAY(L->arena, LowValue, a->params.n), *statics = ARENA_ARRAY(L->arena, LowValue, a->params.n);
    LowDimBinds dimargs = {0};
    LowTyBinds tys = {0};
    if (!low_assign_args(L, d, args, slots, &dimargs, at)) return LOW_ERR;
    for (uint32_t i = 0; i < a->params.n; i++) vals[i] = slots[i].v;
    Mode mode = call_mode(L, d, vals, statics);
    if (!check_static(L, d, vals, at) || !bind_types(L, d, vals, &tys, at)) return LOW_ERR;
    if (mode.exact && being_inlined(L, d)) return call_recursive(L, &(Inline){d, dimargs, at, a->params.n}, vals, &tys);
    if (mode.exact && (grad_fn || low_find_rule(L, d))) return call_lifted(L, &(Inline){d, dimargs, at, a->params.n}, vals, grad_fn);
    if (mode.exact || (d->library && !mode.tensors)) return inline_call(L, d, vals, &tys, &dimargs, at);
    LowInst *s = low_instance(L, d, &tys, statics, at);
    TdlDim *dims = ARENA_ARRAY(L->arena, TdlDim, s ? s->ndims + 1 : 1);
    if (!s || !s->f) return LOW_ERR;
    if (!low_bind_dims(L, s, vals, &dimargs, dims, at)) return LOW_ERR;
    if (!low_instance_finish(L, s) || !low_contracts_hold(L, s, dims, at)) return LOW_ERR;
    return emit_call(L, s, vals, dims, grad_fn);
}
