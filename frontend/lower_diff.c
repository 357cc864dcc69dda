/* grad, value_and_grad, vjp, jvp: the function that is differentiated becomes a function of the IR, and its derivative one
 * `vjp` or `jvp` operation; pass `adjoint` generates the sweep. jacrev and jacfwd are maps of those (lower_jacobian.c);
 * hessian is jacfwd of grad, hvp is jvp of grad. */
#include "frontend/lower_diff.h"

#include <string.h>

static const struct { const char *name; LowDiffKind k; bool of_grad; } kinds[] = {
    {"grad", DIFF_GRAD, false}, {"value_and_grad", DIFF_VALUE_AND_GRAD, false}, {"vjp", DIFF_VJP, false},
    {"jvp", DIFF_JVP, false}, {"jacrev", DIFF_JACREV, false}, {"jacfwd", DIFF_JACFWD, false},
    {"hessian", DIFF_JACFWD, true}, {"hvp", DIFF_JVP, true}, {"split", DIFF_VJP, false},
};

bool low_is_diff(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(name, kinds[i].name)) return true;
    return false;
}

/* The derivative that `name` stands for, of fn.inner. */
static LowFn named_kind(const char *name, LowFn fn)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(name, kinds[i].name)) continue;
        fn.diff = kinds[i].k;
        fn.of_grad = kinds[i].of_grad;
        fn.name = kinds[i].name;
        fn.split = !strcmp(name, "split");
    }
    return fn;
}

LowValue low_diff_call(Low *L, const char *name, const AstExpr *e)
{
    LowFn fn = {.kind = FN_DIFF, .span = e->span};
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
            LowValue v = low_expr(L, a->value);
            if (!low_const_bool(&v, &fn.sparse)) return low_error(L, a->value->span, "%s: sparse is true or false", name);
        } else {
            return low_error(L, a->value->span, "%s: takes a function, wrt and aux; %s(f)(x) is the derivative at x", name, name);
        }
    }
    if (!fn.inner) return low_error(L, e->span, "%s: needs a function", name);
    fn = named_kind(name, fn);
    if (fn.sparse && fn.diff != DIFF_JACFWD && fn.diff != DIFF_JACREV)
        return low_error(L, e->span, "%s: sparse=true is for jacfwd, jacrev and hessian", name);
    if (fn.of_grad) {
        LowFn g = fn;
        g.sparse = false;
        g.diff = DIFF_GRAD;
        g.of_grad = false;
        fn.inner = low_fn_value(L, g).fn;
    }
    return low_fn_value(L, fn);
}

/* ---- parameters by name ---- */

static const char *builtin_param(Low *L, const LowBuiltin *b, uint32_t i)
{
    const char *s = b->sig;
    while (i-- && s) s = strchr(s, ',') ? strchr(s, ',') + 2 : NULL;
    return s ? arena_strndup(L->arena, s, strcspn(s, ",=*[")) : "";
}

static uint32_t ntargets(const AstExpr *wrt) { return wrt->kind == AST_TUPLE ? wrt->items.n : 1; }

const LowFn *low_root(const LowFn *fn)
{
    while (fn->kind == FN_DIFF || fn->kind == FN_VMAP) fn = fn->inner;
    return fn;
}

static const AstParams *root_params(const LowFn *fn)
{
    fn = low_root(fn);
    return fn->kind == FN_DECL ? &fn->decl->ast->params : fn->kind == FN_LAMBDA ? &fn->lambda->params : NULL;
}

/* Whether a parameter is differentiable as far as its declaration tells: the types that are not have names. */
static bool may_be_float(Low *L, const AstParam *p)
{
    static const char *const others[] = {"i32", "i64", "bool", "int", "str"};
    for (size_t i = 0; p->type && i < sizeof others / sizeof *others; i++)
        if (!strcmp(low_name(L, p->type->name.name), others[i])) return false;
    return true;
}

/* The arguments that a derivative takes beyond those of its function: a cotangent, or a tangent for each wrt. `given`:
 * how many arguments there are in all. */
static uint32_t extra_count(Low *L, const LowFn *fn, uint32_t given)
{
    if (fn->diff == DIFF_VJP) return 1;
    if (fn->diff != DIFF_JVP) return 0;
    if (fn->wrt) return ntargets(fn->wrt);
    const AstParams *p = root_params(fn);
    if (!p) return given / 2;
    const LowFn *below = fn->inner;
    while (below->kind == FN_VMAP || (below->kind == FN_DIFF && below->diff != DIFF_JVP && below->diff != DIFF_VJP)) below = below->inner;
    if (below->kind != FN_DIFF && given > p->n) return given - p->n;
    uint32_t n = below->kind == FN_DIFF ? extra_count(L, below, given) : 0;
    for (uint32_t i = 0; i < p->n; i++) n += may_be_float(L, &p->p[i]);
    return n;
}

uint32_t low_param_count(Low *L, const LowFn *fn, uint32_t given)
{
    if (fn->kind == FN_VMAP) return low_param_count(L, fn->inner, given);
    if (fn->kind != FN_DIFF) return root_params(fn) ? root_params(fn)->n : given;
    uint32_t extra = extra_count(L, fn, given);
    return low_param_count(L, fn->inner, given > extra ? given - extra : 0) + extra;
}

/* The name of target k: that of a parameter, p_w for a field. */
static const char *target_name(Low *L, const LowFn *fn, uint32_t k)
{
    if (!fn->wrt) {
        const AstParams *p = root_params(fn);
        for (uint32_t i = 0; p && i < p->n; i++)
            if (may_be_float(L, &p->p[i]) && k-- == 0) return low_name(L, p->p[i].name.name);
        fn = low_root(fn);
        return fn->kind == FN_BUILTIN ? builtin_param(L, fn->builtin, k) : "";
    }
    const AstExpr *e = fn->wrt->kind == AST_TUPLE ? fn->wrt->items.p[k] : fn->wrt;
    const char *path = NULL;
    for (;; e = e->a) {
        path = path ? arena_printf(L->arena, "%s_%s", low_name(L, e->name.name), path) : low_name(L, e->name.name);
        if (e->kind != AST_FIELD) return path;
    }
}

TdlSym low_diff_extra_name(Low *L, const LowFn *fn, uint32_t k)
{
    if (fn->diff == DIFF_VJP) return intern(L->names, "cotangent");
    return intern(L->names, arena_printf(L->arena, "%s%s", fn->of_grad ? "v" : "t", target_name(L, fn, k)));
}

/* The name of parameter i < low_param_count; `given`: how many arguments there are. */
TdlSym low_param_name(Low *L, const LowFn *fn, uint32_t i, uint32_t given)
{
    if (fn->kind == FN_VMAP) return low_param_name(L, fn->inner, i, given);
    if (fn->kind == FN_BUILTIN) return intern(L->names, builtin_param(L, fn->builtin, i));
    if (fn->kind != FN_DIFF) return root_params(fn)->p[i].name.name;
    uint32_t extra = extra_count(L, fn, given), inner = given > extra ? given - extra : 0;
    uint32_t n = low_param_count(L, fn->inner, inner);
    return i >= n ? low_diff_extra_name(L, fn, i - n) : low_param_name(L, fn->inner, i, inner);
}

uint32_t low_param_of_name(Low *L, const LowFn *fn, TdlSym name, uint32_t given)
{
    uint32_t n = low_param_count(L, fn, given), i = 0;
    while (i < n && !sym_eq(low_param_name(L, fn, i, given), name)) i++;
    return i;
}

/* ---- what is asked for ---- */

uint32_t low_count_leaves(Low *L, LowValue v)
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

/* `vjp(f, wrt=f)`: with respect to what f captures. */
static bool names_itself(Low *L, const LowFn *fn, TdlSym name)
{
    const LowVar *v = low_find_var(L, name, NULL);
    return v && v->val.kind == LV_FN && v->val.fn == fn;
}

static bool add_target(Low *L, LowTargets *t, const LowFn *inner, const LowValue *args, uint32_t nargs, const AstExpr *e)
{
    const AstExpr *path[16];
    uint32_t depth = 0;
    while (e->kind == AST_FIELD && depth < 16) { path[depth++] = e; e = e->a; }
    if (e->kind != AST_NAME) { low_error(L, e->span, "wrt: expected the name of a parameter, a field p.w, or a tuple of them"); return false; }
    LowTarget r = {0};
    uint32_t i = 0;
    for (; i < nargs && !sym_eq(low_param_name(L, inner, i, nargs), e->name.name); i++) r.leaf += low_count_leaves(L, args[i]);
    if (i == nargs && !depth && names_itself(L, inner, e->name.name)) {
        t->p[t->n++] = (LowTarget){i, low_captures(L, (LowValue){.kind = LV_FN, .fn = (LowFn *)inner}), r.leaf};
        return true;
    }
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
            r.leaf += low_count_leaves(L, base.elems[k]);
        }
        r.value = f;
    }
    if (!has_float(L, r.value)) { low_error(L, e->span, "wrt: `%s` is %s, not a float: it has no derivative", low_name(L, e->name.name), lv_text(L, r.value)); return false; }
    if (t->n >= 64) { low_error(L, e->span, "wrt: more than 64 entries: put the parameters into a struct"); return false; }
    t->p[t->n++] = r;
    return true;
}

bool low_find_targets(Low *L, const LowFn *fn, const LowValue *args, uint32_t n, LowTargets *t, TdlSpan at)
{
    if (fn->wrt && fn->wrt->kind == AST_TUPLE) {
        t->tuple = true;
        for (uint32_t i = 0; i < fn->wrt->items.n; i++)
            if (!add_target(L, t, fn->inner, args, n, fn->wrt->items.p[i])) return false;
        return true;
    }
    if (fn->wrt) return add_target(L, t, fn->inner, args, n, fn->wrt);
    uint32_t leaf = 0;
    for (uint32_t i = 0; i < n; leaf += low_count_leaves(L, args[i]), i++) {
        if (!has_float(L, args[i])) continue;
        if (t->n >= 64) { low_error(L, at, "the function has more than 64 float parameters: put them into a struct"); return false; }
        t->p[t->n++] = (LowTarget){i, args[i], leaf};
    }
    t->tuple = t->n > 1;
    if (!t->n) low_error(L, at, "the function has no float parameter to differentiate with respect to");
    return t->n != 0;
}

/* ---- the operation ---- */

static LowValue lifted_apply(Low *L, LowValue env, void *user)
{
    const LowFn *orig = user;
    LowArgs args = {0};
    for (uint32_t i = 0; i + 1 < env.n; i++) VEC_PUSH(L->arena, args, ((LowArg){.v = env.elems[i], .ready = true, .span = orig->span}));
    return low_apply(L, env.elems[env.n - 1].fn, &args, orig->span);
}

bool low_rigid(Low *L, const LowFn *fn)
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

static bool callee_instance(Low *L, const LowFn *fn, LowArgs *args, LowCallee *c, TdlSpan at)
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

/* A literal takes the type of the root's parameter, where that is a scalar type by name. */
static LowValue literal_as_declared(Low *L, const LowFn *fn, uint32_t i, LowValue v, TdlSpan at)
{
    const AstParams *p = root_params(fn);
    bool weak = v.kind == LV_FLOAT || v.kind == LV_INT || (v.kind == LV_TENSOR && v.weak);
    const AstType *t = weak && p && i < p->n ? p->p[i].type : NULL;
    TdlElem e;
    if (t && t->kind == AST_TY_NAME && !t->dims.n && low_elem_name(L, t->name.name, &e) && el_is_float(e))
        return low_coerce(L, v, lt_tensor(L, ty_scalar(L->m, e)), at, "the argument");
    return v.kind == LV_FLOAT || (v.kind == LV_TENSOR && v.weak) ? low_concrete(L, v) : v;
}

static bool callee_lifted(Low *L, LowFn *fn, LowArgs *args, LowCallee *c, TdlSpan at)
{
    uint32_t n = low_param_count(L, fn, args->n);
    if (args->n != n) { low_error(L, at, "this function takes %u arguments, not %u", n, args->n); return false; }
    LowValue *env = ARENA_ARRAY(L->arena, LowValue, n + 1);
    bool *set = ARENA_ARRAY(L->arena, bool, n + 1);
    uint32_t pos = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t to = pos;
        LowArg *a = &args->p[i];
        if (a->name.name.id) {
            to = low_param_of_name(L, fn, a->name.name, args->n);
            if (to == n || set[to]) { low_error(L, a->span, "`%s` is not a parameter that is still free", low_name(L, a->name.name)); return false; }
        } else {
            pos++;
        }
        set[to] = true;
        env[to] = low_arg_value(L, a);
        if (lv_is_err(env[to])) return false;
        env[to] = literal_as_declared(L, fn, to, env[to], a->span);
        if (lv_is_err(env[to])) return false;
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

const LowType *low_main_result(Low *L, const LowFn *fn, const LowCallee *c, TdlSpan at)
{
    const LowType *t = c->result;
    if (!fn->aux) return t;
    if (t->kind == LT_TUPLE && t->n == 2) return t->elems[0];
    low_error(L, at, "%s: with aux=true the function returns (value, extra), not %s", fn->name, lt_text(L, t));
    return NULL;
}

/* Float leaves of v. */
static void float_leaves(Low *L, LowValue v, TdlVals *out)
{
    TdlVals l = {0};
    low_flatten(L, v, &l);
    for (uint32_t i = 0; i < l.n; i++)
        if (ty_is_float(L->m, ir_type(L->b.f, l.p[i]))) VEC_PUSH(L->arena, *out, l.p[i]);
}

/* Cotangents for the float leaves of the result: 1 for the scalar of grad, the given one for vjp, 0 for the extras. */
static bool cotangents(Low *L, const LowFn *fn, LowCallee *c, LowArg *given, TdlSpan at)
{
    const LowType *main = low_main_result(L, fn, c, at);
    if (!main) return false;
    if (fn->diff != DIFF_VJP) {
        bool fits = main->kind == LT_TENSOR && ty_is_scalar(L->m, main->t) && ty_is_float(L->m, main->t);
        if (!fits) { low_error(L, at, "%s: the function's result must be one float, not %s; vjp(f) takes a cotangent%s", fn->name, lt_text(L, main), main->kind == LT_TUPLE ? ", aux=true an extra result" : ""); return false; }
        VEC_PUSH(L->arena, c->ops, ir_const_float(&L->b, ty_elem(L->m, main->t), 1));
    } else {
        LowValue v = low_coerce(L, low_arg_value(L, given), main, given->span, "vjp: the cotangent");
        if (lv_is_err(v)) return false;
        float_leaves(L, low_concrete(L, v), &c->ops);
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

/* v with `res` in place of its float leaves and zero for integers: a gradient or tangent. */
static LowValue in_shape_of(Low *L, LowValue v, const TdlVal *res, uint32_t *at)
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

TdlOp low_emit_derivative(Low *L, TdlOpcode code, const LowCallee *c, const int64_t *wrt, uint32_t nwrt, const TdlType *types, uint32_t n)
{
    low_unname(L);
    TdlOp o = ir_emit(&L->b, code, c->ops.p, c->ops.n, types, n);
    const char *name = low_name(L, c->f->name);
    op_set_str(L->b.f, o, "callee", name, (uint32_t)strlen(name));
    if (c->ndims) op_set_dims(L->b.f, o, "dims", c->dims, c->ndims);
    op_set_ints(L->b.f, o, "wrt", wrt, nwrt);
    return o;
}

void low_target_leaves(Low *L, const LowTargets *t, LowTargetLeaves *out)
{
    for (uint32_t i = 0; i < t->n; i++) {
        TdlVals leaves = {0};
        low_flatten(L, t->p[i].value, &leaves);
        for (uint32_t k = 0; k < leaves.n; k++) {
            TdlType ty = ir_type(L->b.f, leaves.p[k]);
            if (!ty_is_float(L->m, ty)) continue;
            VEC_PUSH(L->arena, out->wrt, t->p[i].leaf + k);
            VEC_PUSH(L->arena, out->types, ty);
        }
    }
}

static LowValue emit_vjp(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t)
{
    LowTargetLeaves w = {0};
    low_target_leaves(L, t, &w);
    uint32_t nv = lt_nleaves(c->result), n = 0;
    TdlType *types = ARENA_ARRAY(L->arena, TdlType, nv + w.types.n + 1);
    lt_leaves(c->result, types, &n);
    for (uint32_t i = 0; i < w.types.n; i++) types[n++] = w.types.p[i];
    TdlOp o = low_emit_derivative(L, OP_VJP, c, w.wrt.p, w.wrt.n, types, n);
    const TdlVal *res = ir_op(L->b.f, o)->results;
    uint32_t at = 0;
    LowValue value = low_from_leaves(L, c->result, res, &at), *g = ARENA_ARRAY(L->arena, LowValue, t->n);
    res = ir_op(L->b.f, o)->results;
    at = nv;
    for (uint32_t i = 0; i < t->n; i++) g[i] = in_shape_of(L, t->p[i].value, res, &at);
    LowValue grads = t->tuple ? lv_tuple(L, g, t->n) : g[0];
    if (fn->diff != DIFF_GRAD) return lv_tuple(L, (LowValue[]){value, grads}, 2);
    return fn->aux ? lv_tuple(L, (LowValue[]){grads, value.elems[1]}, 2) : grads;
}

/* The given tangents, in the shape of the targets. */
static bool tangents(Low *L, const LowFn *fn, LowCallee *c, const LowTargets *t, LowArgs *given, TdlSpan at)
{
    if (given->n != t->n) {
        low_error(L, at, "%s: takes a tangent for each %s: %u, not %u", fn->name, fn->wrt ? "entry of wrt" : "float parameter", t->n, given->n);
        return false;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        LowArg *a = &given->p[i];
        const char *what = arena_printf(L->arena, "%s: the tangent of `%s`", fn->name, target_name(L, fn, i));
        LowValue v = low_coerce(L, low_arg_value(L, a), low_type_of(L, t->p[i].value), a->span, what);
        if (lv_is_err(v)) return false;
        float_leaves(L, low_concrete(L, v), &c->ops);
    }
    return true;
}

static LowValue emit_jvp(Low *L, const LowFn *fn, LowCallee *c, const LowTargets *t, TdlSpan at)
{
    LowTargetLeaves w = {0};
    const LowType *main = low_main_result(L, fn, c, at);
    if (!main) return LOW_ERR;
    low_target_leaves(L, t, &w);
    uint32_t nv = lt_nleaves(c->result), n = 0;
    TdlType *types = ARENA_ARRAY(L->arena, TdlType, 2 * nv + 1);
    lt_leaves(c->result, types, &n);
    for (uint32_t i = 0; i < nv; i++)
        if (ty_is_float(L->m, types[i])) types[n++] = types[i];
    if (n == nv) return low_error(L, at, "%s: the function's result is %s: it has no derivative", fn->name, lt_text(L, c->result));
    TdlOp o = low_emit_derivative(L, OP_JVP, c, w.wrt.p, w.wrt.n, types, n);
    uint32_t k = 0;
    LowValue value = low_from_leaves(L, c->result, ir_op(L->b.f, o)->results, &k);
    LowValue dot = in_shape_of(L, fn->aux ? value.elems[0] : value, ir_op(L->b.f, o)->results, &k);
    return lv_tuple(L, (LowValue[]){value, dot}, 2);
}

/* Splits the arguments into those of the function and the derivative's own, which are named or come last. */
static void split_args(Low *L, const LowFn *fn, const LowArgs *args, LowArgs *rest, LowArgs *own)
{
    uint32_t extra = extra_count(L, fn, args->n), positional = 0, named = 0, seen = 0;
    const LowArg **by_name = ARENA_ARRAY(L->arena, const LowArg *, extra + 1);
    bool *is_own = ARENA_ARRAY(L->arena, bool, args->n + 1);
    for (uint32_t i = 0; i < args->n; i++) {
        positional += !args->p[i].name.name.id;
        for (uint32_t k = 0; k < extra && args->p[i].name.name.id; k++) {
            if (by_name[k] || !sym_eq(args->p[i].name.name, low_diff_extra_name(L, fn, k))) continue;
            by_name[k] = &args->p[i];
            is_own[i] = true;
            named++;
            break;
        }
    }
    LowArgs last = {0};
    for (uint32_t i = 0; i < args->n; i++) {
        bool pos = !args->p[i].name.name.id;
        seen += pos;
        if (pos && seen + (extra - named) > positional) VEC_PUSH(L->arena, last, args->p[i]);
        else if (!is_own[i]) VEC_PUSH(L->arena, *rest, args->p[i]);
    }
    for (uint32_t k = 0, next = 0; k < extra; k++) {
        if (by_name[k]) VEC_PUSH(L->arena, *own, *by_name[k]);
        else if (next < last.n) VEC_PUSH(L->arena, *own, last.p[next++]);
    }
}

/* With respect to captures among which is no float: the value, and zeros. */
static bool captures_nothing(Low *L, const LowCallee *c, const LowTargets *t)
{
    return t->n == 1 && t->p[0].param == c->nargs && !has_float(L, t->p[0].value);
}

static LowValue zero_of(Low *L, LowValue v)
{
    TdlVals leaves = {0};
    uint32_t at = 0;
    v = low_concrete(L, v);
    low_flatten(L, v, &leaves);
    for (uint32_t i = 0; i < leaves.n; i++) leaves.p[i] = ir_zeros(&L->b, ir_type(L->b.f, leaves.p[i]));
    return low_unflatten(L, v, leaves.p, &at);
}

static LowValue without_derivative(Low *L, const LowFn *fn, const LowTargets *t, LowArgs *rest, TdlSpan at)
{
    LowValue value = low_apply(L, fn->inner, rest, at);
    if (lv_is_err(value)) return value;
    LowValue zero = zero_of(L, fn->diff == DIFF_JVP ? value : t->p[0].value);
    return fn->diff == DIFF_GRAD ? zero : lv_tuple(L, (LowValue[]){value, zero}, 2);
}

bool low_diff_callee(Low *L, const LowFn *fn, LowArgs *args, LowCallee *c, LowTargets *t, TdlSpan at)
{
    if (low_rigid(L, fn->inner) ? !callee_instance(L, fn->inner, args, c, at) : !callee_lifted(L, fn->inner, args, c, at)) return false;
    return c->result && low_find_targets(L, fn, c->args, c->nargs, t, at);
}

LowValue low_diff_apply(Low *L, LowFn *fn, LowArgs *args, TdlSpan at)
{
    if (fn->split) return low_error(L, at, "split: gives two C functions: write export let g = split(f); within the language vjp(f) is the one function");
    LowArgs rest = {0}, own = {0};
    split_args(L, fn, args, &rest, &own);
    if (fn->diff == DIFF_VJP && !own.n) return low_error(L, at, "vjp: the cotangent of the result is its last argument");
    LowCallee c = {0};
    LowTargets t = {0};
    if (!low_diff_callee(L, fn, &rest, &c, &t, at)) return LOW_ERR;
    if (captures_nothing(L, &c, &t) && fn->diff != DIFF_JACFWD && fn->diff != DIFF_JACREV) return without_derivative(L, fn, &t, &rest, at);
    switch (fn->diff) {
    case DIFF_GRAD: case DIFF_VALUE_AND_GRAD: case DIFF_VJP:
        return cotangents(L, fn, &c, own.p, at) ? emit_vjp(L, fn, &c, &t) : LOW_ERR;
    case DIFF_JVP: return tangents(L, fn, &c, &t, &own, at) ? emit_jvp(L, fn, &c, &t, at) : LOW_ERR;
    case DIFF_JACFWD: case DIFF_JACREV: {
        const LowType *main = low_main_result(L, fn, &c, at);
        if (!main) return LOW_ERR;
        return fn->sparse ? low_sparse(L, fn, &c, &t, main, at) : low_jacobian(L, fn, &c, &t, main, at);
    }
    }
    return LOW_ERR;
}
