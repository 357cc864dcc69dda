/* grad, value_and_grad, vjp: the function that is differentiated becomes a function of the IR, and its derivative one
 * `vjp` operation; pass `adjoint` generates the reverse sweep. */
#include "frontend/lower_int.h"

#include <string.h>

bool low_diff_name(const char *s, LowDiffKind *k, const char **unsupported)
{
    static const struct { const char *name, *way; LowDiffKind k; } table[] = {
        {"grad", NULL, DIFF_GRAD}, {"value_and_grad", NULL, DIFF_VALUE_AND_GRAD}, {"vjp", NULL, DIFF_VJP},
        {"jvp", "vjp(f) with a cotangent gives the transposed product", DIFF_GRAD},
        {"jacrev", "vjp(f) with each unit cotangent gives its rows", DIFF_GRAD},
        {"jacfwd", "vjp(f) with each unit cotangent gives the Jacobian's rows", DIFF_GRAD},
        {"hessian", "grad of a component of grad(f) gives its rows", DIFF_GRAD},
        {"hvp", "grad(fn(x) => sum(grad(f)(x) * v)) is the product", DIFF_GRAD},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(s, table[i].name)) continue;
        *k = table[i].k;
        *unsupported = table[i].way;
        return true;
    }
    return false;
}

LowValue low_diff_call(Low *L, LowDiffKind k, const char *name, const AstExpr *e)
{
    LowFn fn = {.kind = FN_DIFF, .span = e->span, .diff = k};
    for (uint32_t i = 0; i < e->args.n; i++) {
        const AstArg *a = &e->args.p[i];
        const char *n = low_name(L, a->name.name);
        if (!a->name.name.id && i == 0) {
            LowValue f = low_expr(L, a->value);
            if (lv_is_err(f)) return f;
            if (f.kind != LV_FN) return low_error(L, a->value->span, "%s: needs a function, not %s; %s(f)(x) is the derivative at x", name, lv_text(L, f), name);
            if (f.fn->kind == FN_DECL && f.fn->decl->ast->kind == AST_STRUCT) return low_error(L, a->value->span, "%s: a struct is not a function", name);
            fn.inner = f.fn;
        } else if (!strcmp(n, "wrt")) {
            fn.wrt = a->value;
        } else if (!strcmp(n, "aux")) {
            LowValue v = low_expr(L, a->value);
            if (!low_const_bool(&v, &fn.aux)) return low_error(L, a->value->span, "%s: aux is true or false", name);
        } else if (!strcmp(n, "sparse")) {
            return low_error(L, a->value->span, "%s: sparse is not supported yet: leave it out for the dense derivative", name);
        } else {
            return low_error(L, a->value->span, "%s: takes a function, wrt and aux; %s(f)(x) is the derivative at x", name, name);
        }
    }
    if (!fn.inner) return low_error(L, e->span, "%s: needs a function", name);
    return low_fn_value(L, fn);
}

/* ---- parameters by name ---- */

static const char *builtin_param(Low *L, const LowBuiltin *b, uint32_t i)
{
    const char *s = b->sig;
    while (i-- && s) s = strchr(s, ',') ? strchr(s, ',') + 2 : NULL;
    return s ? arena_strndup(L->arena, s, strcspn(s, ",=*[")) : "";
}

static uint32_t param_count(const LowFn *fn, uint32_t given)
{
    switch (fn->kind) {
    case FN_DECL: return fn->decl->ast->params.n;
    case FN_LAMBDA: return fn->lambda->params.n;
    case FN_BUILTIN: return given;
    case FN_DIFF: return param_count(fn->inner, given - (fn->diff == DIFF_VJP && given)) + (fn->diff == DIFF_VJP);
    }
    return 0;
}

static TdlSym param_sym(Low *L, const LowFn *fn, uint32_t i)
{
    if (fn->kind == FN_DECL) return fn->decl->ast->params.p[i].name.name;
    if (fn->kind == FN_LAMBDA) return fn->lambda->params.p[i].name.name;
    if (fn->kind == FN_BUILTIN) return intern(L->names, builtin_param(L, fn->builtin, i));
    if (fn->diff == DIFF_VJP && i == param_count(fn->inner, i)) return intern(L->names, "cotangent");
    return param_sym(L, fn->inner, i);
}

/* ---- what is asked for ---- */

typedef struct { uint32_t param; LowValue value; uint32_t leaf; } Target; /* value: of the parameter or field; leaf: its first leaf */
typedef struct { Target p[64]; uint32_t n; bool tuple; } Targets;

static uint32_t count_leaves(Low *L, LowValue v)
{
    TdlVals l = {0};
    low_flatten(L, v, &l);
    return l.n;
}

static bool has_float(Low *L, LowValue v)
{
    if (v.kind == LV_TENSOR) return el_is_float(lv_elem(L, v));
    for (uint32_t i = 0; (v.kind == LV_TUPLE || v.kind == LV_STRUCT) && i < v.n; i++)
        if (has_float(L, v.elems[i])) return true;
    return false;
}

static bool add_target(Low *L, Targets *t, const LowFn *inner, const LowValue *args, uint32_t nargs, const AstExpr *e)
{
    const AstExpr *path[16];
    uint32_t depth = 0;
    while (e->kind == AST_FIELD && depth < 16) { path[depth++] = e; e = e->a; }
    if (e->kind != AST_NAME) { low_error(L, e->span, "wrt: expected the name of a parameter, a field p.w, or a tuple of them"); return false; }
    Target r = {0};
    uint32_t i = 0;
    for (; i < nargs && !sym_eq(param_sym(L, inner, i), e->name.name); i++) r.leaf += count_leaves(L, args[i]);
    if (i == nargs) { low_error(L, e->span, "wrt: the function has no parameter `%s`", low_name(L, e->name.name)); return false; }
    r.param = i;
    r.value = args[i];
    while (depth--) {
        LowValue base = r.value, f = low_field(L, base, path[depth]->name.name, path[depth]->span);
        if (lv_is_err(f)) return false;
        for (uint32_t k = 0; k < base.n; k++) {
            bool this = base.kind == LV_STRUCT && sym_eq(base.decl->ast->params.p[k].name.name, path[depth]->name.name);
            if (base.kind == LV_TUPLE) this = !strcmp(low_name(L, path[depth]->name.name), arena_printf(L->arena, "%u", k));
            if (this) break;
            r.leaf += count_leaves(L, base.elems[k]);
        }
        r.value = f;
    }
    if (!has_float(L, r.value)) { low_error(L, e->span, "wrt: `%s` is %s, not a float: it has no derivative", low_name(L, e->name.name), lv_text(L, r.value)); return false; }
    if (t->n >= 64) { low_error(L, e->span, "wrt: more than 64 entries: put the parameters into a struct"); return false; }
    t->p[t->n++] = r;
    return true;
}

static bool find_targets(Low *L, const LowFn *fn, const LowValue *args, uint32_t n, Targets *t, TdlSpan at)
{
    if (fn->wrt && fn->wrt->kind == AST_TUPLE) {
        t->tuple = true;
        for (uint32_t i = 0; i < fn->wrt->items.n; i++)
            if (!add_target(L, t, fn->inner, args, n, fn->wrt->items.p[i])) return false;
        return true;
    }
    if (fn->wrt) return add_target(L, t, fn->inner, args, n, fn->wrt);
    uint32_t leaf = 0;
    for (uint32_t i = 0; i < n; leaf += count_leaves(L, args[i]), i++) {
        if (!has_float(L, args[i])) continue;
        if (t->n >= 64) { low_error(L, at, "the function has more than 64 float parameters: put them into a struct"); return false; }
        t->p[t->n++] = (Target){i, args[i], leaf};
    }
    t->tuple = t->n > 1;
    if (!t->n) low_error(L, at, "the function has no float parameter to differentiate with respect to");
    return t->n != 0;
}

/* ---- the operation ---- */

typedef struct { TdlFunc *f; const LowType *result; TdlVals ops; TdlDim *dims; uint32_t ndims; LowValue *args; uint32_t nargs; } Callee;

static LowValue lifted_apply(Low *L, LowValue env, void *user)
{
    const LowFn *orig = user;
    LowArgs args = {0};
    for (uint32_t i = 0; i + 1 < env.n; i++) VEC_PUSH(L->arena, args, ((LowArg){.v = env.elems[i], .ready = true, .span = orig->span}));
    return low_apply(L, env.elems[env.n - 1].fn, &args, orig->span);
}

static bool rigid(Low *L, const LowFn *fn)
{
    if (fn->kind != FN_DECL || fn->decl->ast->kind != AST_FN || fn->decl->library || low_has_fn_param(fn->decl)) return false;
    for (uint32_t i = 0; i < fn->decl->ast->generics.n; i++)
        if (fn->decl->ast->generics.p[i].bound.id || fn->decl->ast->generics.p[i].pack) return false;
    for (uint32_t i = 0; i < fn->decl->ast->params.n; i++) {
        const char *n = low_name(L, fn->decl->ast->params.p[i].type->name.name);
        if (!strcmp(n, "static") || !strcmp(n, "int") || !strcmp(n, "str") || !strcmp(n, "float")) return false;
    }
    return true;
}

static bool callee_instance(Low *L, const LowFn *fn, LowArgs *args, Callee *c, TdlSpan at)
{
    uint32_t n = fn->decl->ast->params.n;
    c->args = ARENA_ARRAY(L->arena, LowValue, n + 1);
    c->dims = ARENA_ARRAY(L->arena, TdlDim, LOW_MAX_RANK * 8);
    LowInst *s = low_pick_instance(L, fn->decl, args, c->args, c->dims, at);
    if (!s) return false;
    c->f = s->f;
    c->nargs = n;
    c->ndims = s->ndims;
    c->result = lt_subst(L, s->result, s->dims, c->dims, s->ndims);
    for (uint32_t i = 0; i < n; i++) low_flatten(L, c->args[i], &c->ops);
    return true;
}

static bool callee_lifted(Low *L, LowFn *fn, LowArgs *args, Callee *c, TdlSpan at)
{
    uint32_t n = param_count(fn, args->n);
    if (args->n != n) { low_error(L, at, "this function takes %u arguments, not %u", n, args->n); return false; }
    LowValue *env = ARENA_ARRAY(L->arena, LowValue, n + 1);
    bool *set = ARENA_ARRAY(L->arena, bool, n + 1);
    uint32_t pos = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t to = pos;
        LowArg *a = &args->p[i];
        if (a->name.name.id) {
            for (to = 0; to < n && !sym_eq(param_sym(L, fn, to), a->name.name); to++) {}
            if (to == n || set[to]) { low_error(L, a->span, "`%s` is not a parameter that is still free", low_name(L, a->name.name)); return false; }
        } else {
            pos++;
        }
        set[to] = true;
        env[to] = low_arg_value(L, a);
        if (lv_is_err(env[to])) return false;
        if (env[to].kind == LV_FLOAT || (env[to].kind == LV_TENSOR && env[to].weak)) env[to] = low_concrete(L, env[to]);
    }
    env[n] = (LowValue){.kind = LV_FN, .fn = fn};
    c->args = env;
    c->nargs = n;
    LowLifted l;
    if (!low_lift(L, fn->kind == FN_DECL ? low_name(L, fn->decl->ast->name.name) : "lambda", lv_tuple(L, env, n + 1), lifted_apply, fn, &l, at)) return false;
    c->f = l.f;
    c->result = l.result;
    c->ops = l.ops;
    c->dims = l.dims;
    c->ndims = l.ndims;
    return true;
}

static const char *kind_name(LowDiffKind k) { return k == DIFF_GRAD ? "grad" : k == DIFF_VJP ? "vjp" : "value_and_grad"; }

/* Cotangents for the float leaves of the result: 1 for the scalar of grad, the given one for vjp, 0 for the extras. */
static bool cotangents(Low *L, const LowFn *fn, Callee *c, LowArg *given, TdlSpan at)
{
    const LowType *main = c->result;
    const char *k = kind_name(fn->diff);
    if (fn->aux) {
        if (main->kind != LT_TUPLE || main->n != 2) { low_error(L, at, "%s: with aux=true the function returns (value, extra), not %s", k, lt_text(L, main)); return false; }
        main = main->elems[0];
    }
    if (fn->diff != DIFF_VJP) {
        bool fits = main->kind == LT_TENSOR && ty_is_scalar(L->m, main->t) && ty_is_float(L->m, main->t);
        if (!fits) { low_error(L, at, "%s: the function's result must be one float, not %s; vjp(f) takes a cotangent%s", k, lt_text(L, main), main->kind == LT_TUPLE ? ", aux=true an extra result" : ""); return false; }
        VEC_PUSH(L->arena, c->ops, ir_const_float(&L->b, ty_elem(L->m, main->t), 1));
    } else {
        LowValue v = low_coerce(L, low_arg_value(L, given), main, given->span, "vjp: the cotangent");
        if (lv_is_err(v)) return false;
        TdlVals l = {0};
        low_flatten(L, low_concrete(L, v), &l);
        for (uint32_t i = 0; i < l.n; i++)
            if (ty_is_float(L->m, ir_type(L->b.f, l.p[i]))) VEC_PUSH(L->arena, c->ops, l.p[i]);
    }
    if (fn->aux) {
        TdlType *t = ARENA_ARRAY(L->arena, TdlType, lt_nleaves(c->result->elems[1]) + 1);
        uint32_t n = 0;
        lt_leaves(c->result->elems[1], t, &n);
        for (uint32_t i = 0; i < n; i++)
            if (ty_is_float(L->m, t[i])) VEC_PUSH(L->arena, c->ops, ir_zeros(&L->b, t[i]));
    }
    return true;
}

/* The gradient in the shape of v: cotangents for its float leaves, zero for integers inside a struct. */
static LowValue gradient(Low *L, LowValue v, const TdlVal *res, uint32_t *at)
{
    TdlVals leaves = {0};
    low_flatten(L, v, &leaves);
    for (uint32_t i = 0; i < leaves.n; i++) {
        TdlType t = ir_type(L->b.f, leaves.p[i]);
        leaves.p[i] = ty_is_float(L->m, t) ? res[(*at)++] : ir_zeros(&L->b, t);
    }
    uint32_t k = 0;
    return low_unflatten(L, v, leaves.p, &k);
}

static LowValue emit_vjp(Low *L, const LowFn *fn, Callee *c, Targets *t)
{
    uint32_t nr = lt_nleaves(c->result), nv = nr, nw = 0;
    TdlType *types = ARENA_ARRAY(L->arena, TdlType, nr + c->ops.n * t->n + 1);
    int64_t *wrt = ARENA_ARRAY(L->arena, int64_t, c->ops.n * t->n + 1);
    nr = 0;
    lt_leaves(c->result, types, &nr);
    for (uint32_t i = 0; i < t->n; i++) {
        TdlVals leaves = {0};
        low_flatten(L, t->p[i].value, &leaves);
        for (uint32_t k = 0; k < leaves.n; k++) {
            TdlType ty = ir_type(L->b.f, leaves.p[k]);
            if (!ty_is_float(L->m, ty)) continue;
            wrt[nw++] = t->p[i].leaf + k;
            types[nr++] = ty;
        }
    }
    low_unname(L);
    TdlOp o = ir_emit(&L->b, OP_VJP, c->ops.p, c->ops.n, types, nr);
    const char *name = low_name(L, c->f->name);
    op_set_str(L->b.f, o, "callee", name, (uint32_t)strlen(name));
    if (c->ndims) op_set_dims(L->b.f, o, "dims", c->dims, c->ndims);
    op_set_ints(L->b.f, o, "wrt", wrt, nw);
    TdlVal *res = ARENA_ARRAY(L->arena, TdlVal, nr + 1);
    for (uint32_t i = 0; i < nr; i++) res[i] = ir_result(L->b.f, o, i);
    uint32_t at = 0;
    LowValue value = low_from_leaves(L, c->result, res, &at), *g = ARENA_ARRAY(L->arena, LowValue, t->n);
    at = nv;
    for (uint32_t i = 0; i < t->n; i++) g[i] = gradient(L, t->p[i].value, res, &at);
    LowValue grads = t->tuple ? lv_tuple(L, g, t->n) : g[0];
    if (fn->diff != DIFF_GRAD) return lv_tuple(L, (LowValue[]){value, grads}, 2);
    return fn->aux ? lv_tuple(L, (LowValue[]){grads, value.elems[1]}, 2) : grads;
}

LowValue low_diff_apply(Low *L, LowFn *fn, LowArgs *args, TdlSpan at)
{
    LowArg cot = {0};
    LowArgs rest = {0};
    uint32_t positional = 0, seen = 0;
    for (uint32_t i = 0; i < args->n; i++) positional += !args->p[i].name.name.id;
    bool named = false;
    for (uint32_t i = 0; i < args->n; i++) named |= !strcmp(low_name(L, args->p[i].name.name), "cotangent");
    for (uint32_t i = 0; i < args->n; i++) {
        bool pos = !args->p[i].name.name.id;
        seen += pos;
        bool is_cot = fn->diff == DIFF_VJP && (named ? !strcmp(low_name(L, args->p[i].name.name), "cotangent") : pos && seen == positional);
        if (is_cot) cot = args->p[i];
        else VEC_PUSH(L->arena, rest, args->p[i]);
    }
    if (fn->diff == DIFF_VJP && !cot.e && !cot.ready) return low_error(L, at, "vjp: the cotangent of the result is its last argument");
    Callee c = {0};
    if (rigid(L, fn->inner) ? !callee_instance(L, fn->inner, &rest, &c, at) : !callee_lifted(L, fn->inner, &rest, &c, at)) return LOW_ERR;
    Targets t = {0};
    if (!c.result || !find_targets(L, fn, c.args, c.nargs, &t, at) || !cotangents(L, fn, &c, &cot, at)) return LOW_ERR;
    return emit_vjp(L, fn, &c, &t);
}

/* ---- export let g = value_and_grad(f, wrt=(...)) ---- */

static void rename_results(Low *L, const LowFn *fn, TdlFunc *f, const Targets *t, const LowValue *params, uint32_t np, const LowType *rt)
{
    uint32_t values = fn->diff == DIFF_GRAD ? 0 : lt_nleaves(rt->elems[0]), at = 0;
    TdlVals all = {0};
    for (uint32_t i = 0; i < np; i++) low_flatten(L, params[i], &all);
    for (; at < values; at++) /* value, or the result's own names */
        if (values == 1) f->results.p[at].name = intern(L->names, "value");
        else f->results.p[at].name = intern(L->names, arena_printf(L->arena, "value_%u", at));
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t n = count_leaves(L, t->p[i].value);
        for (uint32_t k = 0; k < n && at < f->results.n; k++, at++) {
            TdlSym p = f->params.p[t->p[i].leaf + k].name;
            f->results.p[at].name = intern(L->names, arena_printf(L->arena, "d%s", low_name(L, p)));
            f->results.p[at].cotangent_of = (int32_t)(t->p[i].leaf + k);
        }
    }
}

/* What is below all derivatives: it has the parameters. */
static const LowFn *root_of(const LowFn *fn)
{
    while (fn->kind == FN_DIFF) fn = fn->inner;
    return fn;
}

/* The cotangents of vjp's are parameters behind those of the root, innermost first. The type of one is that of what the
 * function below it gives, which is asked by applying it: what that emits is dead. */
static void cotangent_ports(Low *L, const LowFn *fn, const LowType *root_result, TdlFunc *f, LowArgs *args, TdlSpan at)
{
    if (fn->kind != FN_DIFF) return;
    cotangent_ports(L, fn->inner, root_result, f, args, at);
    if (fn->diff != DIFF_VJP) return;
    const LowType *t = fn->inner->kind == FN_DIFF ? NULL : root_result;
    if (!t) {
        LowValue r = low_apply(L, fn->inner, args, at);
        if (lv_is_err(r)) return;
        t = low_type_of(L, r);
    }
    LowValue c;
    low_add_ports(L, f, t, intern(L->names, "dout"), &c);
    VEC_PUSH(L->arena, *args, ((LowArg){.v = c, .ready = true, .span = at}));
}

static void export_body(Low *L, const LowDecl *d, LowFn *fn, const LowInst *sig, const AstParams *names, TdlFunc *f)
{
    LowArgs args = {0};
    size_t errors = diags_errors(L->diags);
    for (uint32_t i = 0; i < sig->nparams; i++) {
        LowValue v;
        low_add_ports(L, f, sig->params[i], names->p[i].name.name, &v);
        VEC_PUSH(L->arena, args, ((LowArg){.v = v, .ready = true, .span = d->ast->span}));
        low_bind(L, names->p[i].name.name, v, false, names->p[i].span);
    }
    cotangent_ports(L, fn, sig->result, f, &args, d->ast->span);
    low_check_fixes(L, sig);
    LowValue r = diags_errors(L->diags) > errors ? LOW_ERR : low_apply(L, fn, &args, d->ast->span);
    L->frame->retv.val = r;
    L->frame->ret.val = lv_bool(true);
    Targets t = {0};
    const LowType *rt = low_finish_function(L, d->ast, NULL, f);
    if (!rt || lv_is_err(r) || fn->kind != FN_DIFF) return;
    uint32_t n = args.n - (fn->diff == DIFF_VJP);
    LowValue *params = ARENA_ARRAY(L->arena, LowValue, n + 1);
    for (uint32_t i = 0; i < n; i++) params[i] = args.p[i].v;
    if (find_targets(L, fn, params, n, &t, d->ast->span)) rename_results(L, fn, f, &t, params, n, rt);
}

/* Parameters of the root function: its declaration's, or those of a lambda with types. */
static bool export_signature(Low *L, const LowFn *root, LowInst *sig, TdlSpan at)
{
    static const char way[] = "for anything else write export fn";
    if (root->kind == FN_DECL && rigid(L, root)) return low_signature(L, sig, root->decl, NULL, NULL);
    if (root->kind != FN_LAMBDA) {
        low_error(L, at, "export let: `%s` has parameters without a type: name a function whose parameters have types, or %s",
                  root->kind == FN_BUILTIN ? root->builtin->name : low_name(L, root->decl->ast->name.name), way);
        return false;
    }
    const AstParams *p = &root->lambda->params;
    const LowType **types = ARENA_ARRAY(L->arena, const LowType *, p->n + 1);
    for (uint32_t i = 0; i < p->n; i++) {
        if (!p->p[i].type) {
            low_error(L, p->p[i].span, "export let: the parameter `%s` needs a type: fn(%s: f64)", low_name(L, p->p[i].name.name),
                      low_name(L, p->p[i].name.name));
            return false;
        }
        if (!(types[i] = low_type(L, p->p[i].type))) return false;
    }
    sig->params = types;
    sig->nparams = p->n;
    return true;
}

void low_export_let(Low *L, const LowDecl *d)
{
    TdlSpan at = d->ast->e->span;
    LowFrame *fr = low_push_frame(L, low_name(L, d->ast->name.name), SPAN_NONE);
    LowValue v = low_expr(L, d->ast->e);
    LowInst sig = {.fix = true};
    bool ok = v.kind == LV_FN && export_signature(L, root_of(v.fn), &sig, at);
    low_pop_frame(L);
    if (v.kind != LV_FN && !lv_is_err(v))
        low_error(L, at, "export let: expected a function such as value_and_grad(f), not %s", lv_text(L, v));
    if (!ok) return;
    const LowFn *root = root_of(v.fn);
    TdlFunc *f = ir_func_new(L->m, d->ast->name.name, d->ast->name.span);
    f->exported = true;
    f->doc = d->ast->doc;
    for (uint32_t i = 0; i < sig.ndims; i++) VEC_PUSH(L->m->arena, f->dims, sig.dims[i]);
    TdlBuilder old = L->b;
    L->b = ir_at_end(f, f->body, d->ast->span);
    fr = low_push_frame(L, low_name(L, d->ast->name.name), SPAN_NONE);
    fr->dims = sig.binds;
    export_body(L, d, v.fn, &sig, root->kind == FN_DECL ? &root->decl->ast->params : &root->lambda->params, f);
    low_pop_frame(L);
    L->b = old;
}
