/* Calls: what a name resolves to, arguments to parameters, and applying each kind of callable. */
#include "frontend/lower_int.h"

#include <string.h>

/* ---- names of callables ---- */

LowValue low_fn_value(Low *L, LowFn fn)
{
    return (LowValue){.kind = LV_FN, .fn = arena_memdup(L->arena, &fn, sizeof fn)};
}

LowValue low_resolve(Low *L, TdlSym name, TdlSpan at, bool report)
{
    const char *s = low_name(L, name);
    TdlElem e;
    if (low_elem_name(L, name, &e)) return (LowValue){.kind = LV_ELEM, .elem = e};
    const LowDecl *d = low_find_decl(L, name);
    if (d && !d->library && d->ast->kind == AST_LETDECL) {
        if (L->depth > LOW_MAX_DEPTH / 2) return low_error(L, at, "`%s` is defined by itself", s);
        L->depth += 50;
        LowValue v = low_expr(L, d->ast->e);
        L->depth -= 50;
        return v;
    }
    if (d && !d->library) return low_fn_value(L, (LowFn){.kind = FN_DECL, .decl = d, .span = at});
    const LowBuiltin *b = low_find_builtin(s);
    if (b) return low_fn_value(L, (LowFn){.kind = FN_BUILTIN, .builtin = b, .span = at});
    if (d) return low_fn_value(L, (LowFn){.kind = FN_DECL, .decl = d, .span = at});
    if (!report) return LOW_ERR;
    return low_unknown(L, at, "name", s, "");
}

/* ---- arguments ---- */

LowValue low_arg_value(Low *L, LowArg *a)
{
    if (!a->ready && a->e) a->v = low_expr(L, a->e);
    a->ready = true;
    return a->v;
}

static void collect_args(Low *L, const AstExpr *e, LowArgs *out)
{
    for (uint32_t i = 0; i < e->args.n; i++) {
        const AstArg *a = &e->args.p[i];
        VEC_PUSH(L->arena, *out, ((LowArg){.name = a->name, .e = a->value, .span = a->value->span}));
    }
}

static bool is_dim_generic(const AstDecl *d, TdlSym name)
{
    for (uint32_t i = 0; i < d->generics.n; i++)
        if (sym_eq(d->generics.p[i].name.name, name)) return !d->generics.p[i].pack && !d->generics.p[i].bound.id;
    return false;
}

static bool take_named(Low *L, const LowDecl *d, LowArg *a, LowArg *out, LowDimBinds *dimargs)
{
    const AstDecl *ast = d->ast;
    for (uint32_t i = 0; i < ast->params.n; i++) {
        if (!sym_eq(ast->params.p[i].name.name, a->name.name)) continue;
        if (out[i].e || out[i].ready) {
            low_error(L, a->span, "%s: `%s` is given twice", low_name(L, ast->name.name), low_name(L, a->name.name));
            return false;
        }
        out[i] = *a;
        return true;
    }
    TdlDim dim;
    if (is_dim_generic(ast, a->name.name)) {
        if (!low_as_dim(L, low_arg_value(L, a), a->span, "dimension", &dim)) return false;
        VEC_PUSH(L->arena, *dimargs, ((LowDimBind){a->name.name, dim}));
        return true;
    }
    low_error(L, a->name.span, "%s has no parameter `%s`", low_name(L, ast->name.name), low_name(L, a->name.name));
    diag_note(L->diags, ast->name.span, "declared here");
    return false;
}

bool low_assign_args(Low *L, const LowDecl *d, LowArgs *args, LowArg *out, LowDimBinds *dimargs, TdlSpan at)
{
    const AstDecl *ast = d->ast;
    const char *name = low_name(L, ast->name.name);
    uint32_t pos = 0;
    bool ok = true;
    for (uint32_t i = 0; i < args->n; i++) {
        LowArg *a = &args->p[i];
        if (a->name.name.id) { ok &= take_named(L, d, a, out, dimargs); continue; }
        if (pos < ast->params.n) { out[pos++] = *a; continue; }
        low_error(L, a->span, "%s: too many arguments: it takes %u", name, ast->params.n);
        return false;
    }
    for (uint32_t i = 0; i < ast->params.n; i++) {
        if (out[i].e || out[i].ready) continue;
        const AstParam *p = &ast->params.p[i];
        if (p->deflt) { out[i] = (LowArg){.name = p->name, .e = p->deflt, .span = at}; continue; }
        low_error(L, at, "%s: argument `%s` is missing", name, low_name(L, p->name.name));
        if (!d->library) diag_note(L->diags, p->span, "declared here");
        ok = false;
    }
    for (uint32_t i = 0; ok && i < ast->params.n; i++) ok &= !lv_is_err(low_arg_value(L, &out[i]));
    return ok;
}

/* ---- frames ---- */

LowFrame *low_push_frame(Low *L, const char *what, TdlSpan call)
{
    LowFrame *f = ARENA_NEW(L->arena, LowFrame);
    f->up = L->frame;
    f->what = what;
    f->call = call;
    f->deflt = L->frame ? L->frame->deflt : EL_F32;
    f->depth = L->frame ? L->frame->depth + 1 : 0;
    f->ret = (LowVar){.name = intern(L->names, "return"), .val = lv_bool(false)};
    f->retv = (LowVar){.name = intern(L->names, "result"), .val = {.kind = LV_UNIT}};
    L->frame = f;
    low_push_scope(L, BARRIER_NONE);
    return f;
}

void low_pop_frame(Low *L) { L->frame = L->frame->up; }

/* ---- structs ---- */

static LowValue construct(Low *L, const LowDecl *d, LowArgs *args, TdlSpan at)
{
    const AstDecl *ast = d->ast;
    LowArg *vals = ARENA_ARRAY(L->arena, LowArg, ast->params.n);
    LowDimBinds dimargs = {0};
    if (!low_assign_args(L, d, args, vals, &dimargs, at)) return LOW_ERR;
    LowInst sig = {.decl = d};
    LowValue *v = ARENA_ARRAY(L->arena, LowValue, ast->params.n);
    for (uint32_t i = 0; i < ast->params.n; i++) v[i] = vals[i].v;
    TdlDim dims[LOW_MAX_RANK * 2];
    if (!low_signature(L, &sig, d, NULL, NULL)) return LOW_ERR;
    if (!low_bind_dims(L, &sig, v, &dimargs, dims, at)) return LOW_ERR;
    for (uint32_t i = 0; i < ast->params.n; i++)
        if (v[i].kind != LV_FN) v[i] = low_concrete(L, v[i]);
    return (LowValue){.kind = LV_STRUCT, .decl = d, .elems = v, .n = ast->params.n};
}

/* ---- lambdas ---- */

static bool same_lambda_depth(Low *L, TdlSpan at)
{
    if (L->frame->depth < LOW_MAX_INLINE) return true;
    low_error(L, at, "calls through function values are nested more than %d deep: a function value cannot be handed to itself; a named function may call itself", LOW_MAX_INLINE);
    return false;
}

static LowValue apply_lambda(Low *L, LowFn *fn, LowArgs *args, TdlSpan at)
{
    const AstExpr *e = fn->lambda;
    if (!same_lambda_depth(L, at)) return LOW_ERR;
    if (args->n != e->params.n) return low_error(L, at, "this function takes %u arguments, not %u", e->params.n, args->n);
    LowValue *v = ARENA_ARRAY(L->arena, LowValue, args->n);
    for (uint32_t i = 0; i < args->n; i++) {
        uint32_t to = i;
        for (uint32_t k = 0; k < e->params.n && args->p[i].name.name.id; k++)
            if (sym_eq(e->params.p[k].name.name, args->p[i].name.name)) to = k;
        v[to] = low_arg_value(L, &args->p[i]);
        if (lv_is_err(v[to])) return LOW_ERR;
    }
    LowFrame *f = low_push_frame(L, "the lambda", at);
    f->dims = fn->frame->dims;
    f->tys = fn->frame->tys;
    f->deflt = fn->frame->deflt;
    f->library = fn->frame->library;
    f->here = true;
    f->scope->vars = fn->captures;
    low_push_scope(L, BARRIER_LAMBDA);
    low_push_scope(L, BARRIER_NONE);
    LowValue r = LOW_ERR;
    bool ok = true;
    for (uint32_t i = 0; i < args->n; i++) {
        const AstParam *p = &e->params.p[i];
        if (p->type) v[i] = low_coerce(L, v[i], low_type(L, p->type), at, arena_printf(L->arena, "argument `%s`", low_name(L, p->name.name)));
        ok &= !lv_is_err(v[i]);
        low_bind(L, p->name.name, v[i], false, p->span);
    }
    if (ok && e->a) r = low_expr(L, e->a);
    if (ok && e->block) {
        low_stmts(L, e->block, 0, true);
        r = f->retv.val;
    }
    low_pop_frame(L);
    return r;
}

/* ---- applying ---- */

/* Arguments of a call, in a call's own order, from values. */
static LowValue apply_decl(Low *L, LowFn *fn, LowArgs *args, TdlSpan at)
{
    if (fn->decl->ast->kind == AST_STRUCT) return construct(L, fn->decl, args, at);
    return low_call_decl(L, fn->decl, args, at);
}

LowValue low_apply(Low *L, LowFn *fn, LowArgs *args, TdlSpan at)
{
    switch (fn->kind) {
    case FN_DECL: return apply_decl(L, fn, args, at);
    case FN_BUILTIN: return low_builtin_apply(L, fn->builtin, args, at);
    case FN_LAMBDA: return apply_lambda(L, fn, args, at);
    case FN_DIFF: return low_diff_apply(L, fn, args, at);
    case FN_VMAP: return low_vmap_apply(L, fn, args, at);
    }
    return LOW_ERR;
}

/* f64(x): conversion of a number to an element type. */
static LowValue cast(Low *L, TdlElem e, LowArgs *args, TdlSpan at)
{
    if (args->n != 1 || args->p[0].name.name.id) return low_error(L, at, "%s(x) converts one value", el_name(e));
    LowValue v = low_arg_value(L, &args->p[0]);
    if (lv_is_err(v)) return v;
    if (!lv_is_num(v)) return low_error(L, at, "%s: cannot convert %s", el_name(e), lv_text(L, v));
    if (e == EL_BOOL && v.kind == LV_TENSOR && lv_elem(L, v) != EL_BOOL) return low_binary(L, AST_OP_NE, v, lv_int(L, 0), at);
    if (e == EL_I64 && v.kind == LV_INT) return v;
    v.weak = false;
    TdlVal r = low_mat(L, v, e);
    return lv_tensor(r);
}

static const AstExpr *sole_generator(const AstExpr *e)
{
    return e->args.n == 1 && e->args.p[0].value->kind == AST_GEN ? e->args.p[0].value : NULL;
}

static LowValue call_named(Low *L, const AstExpr *e, TdlSym name, LowArgs *args)
{
    const char *s = low_name(L, name);
    const LowDecl *d = low_find_decl(L, name);
    bool user = d && !d->library;
    const AstExpr *gen = sole_generator(e);
    if (gen && !user) return low_gen_call(L, e, name, gen);
    if (!user && e->kind == AST_CALL && low_is_diff(s)) return low_diff_call(L, s, e);
    if (!user && e->kind == AST_CALL && !strcmp(s, "vmap")) return low_vmap_call(L, e);
    if (!user && !strcmp(s, "print")) return low_print(L, args, e->span);
    LowValue f = low_resolve(L, name, e->kind == AST_METHOD ? e->name.span : e->a->span, true);
    if (f.kind == LV_ELEM) return cast(L, f.elem, args, e->span);
    if (f.kind != LV_FN) return lv_is_err(f) ? f : low_error(L, e->span, "`%s` is not a function", s);
    return low_apply(L, f.fn, args, e->span);
}

static LowValue call_value(Low *L, const AstExpr *e, LowValue f, LowArgs *args)
{
    if (lv_is_err(f)) return f;
    if (f.kind == LV_ELEM) return cast(L, f.elem, args, e->span);
    if (f.kind != LV_FN) return low_error(L, e->a->span, "%s cannot be called", lv_text(L, f));
    return low_apply(L, f.fn, args, e->span);
}

LowValue low_call_expr(Low *L, const AstExpr *e)
{
    LowArgs args = {0};
    if (e->kind == AST_METHOD) {
        bool handled = false;
        LowValue r = low_method_script(L, e, &handled);
        if (handled) return r;
        LowValue self = low_expr(L, e->a);
        if (lv_is_err(self)) return self;
        if (self.kind == LV_STRUCT) { /* a field that holds a function */
            for (uint32_t i = 0; i < self.n; i++)
                if (sym_eq(self.decl->ast->params.p[i].name.name, e->name.name) && self.elems[i].kind == LV_FN) {
                    collect_args(L, e, &args);
                    return call_value(L, e, self.elems[i], &args);
                }
        }
        VEC_PUSH(L->arena, args, ((LowArg){.v = self, .ready = true, .span = e->a->span}));
        collect_args(L, e, &args);
        return call_named(L, e, e->name.name, &args);
    }
    collect_args(L, e, &args);
    if (e->a->kind != AST_NAME) return call_value(L, e, low_expr(L, e->a), &args);
    LowVar *v = low_find_var(L, e->a->name.name, NULL);
    if (v && (v->val.kind == LV_FN || v->val.kind == LV_ERROR)) return call_value(L, e, v->val, &args);
    if (v && !low_find_builtin(low_name(L, v->name)) && lv_is_err(low_resolve(L, v->name, e->span, false)))
        return low_error(L, e->a->span, "`%s` is %s: it cannot be called", low_name(L, v->name), lv_text(L, v->val));
    return call_named(L, e, e->a->name.name, &args);
}
