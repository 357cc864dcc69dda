/* export let g = value_and_grad(f, wrt=(...)): a function value becomes a C function, with names for what it takes and
 * gives: the parameters of the function below all derivatives, cotangents `dout`, tangents `tx`, vectors of products `vx`;
 * `value`, gradients `dx`, tangents of values `tvalue`, products `hx`, Jacobians `jac_x`, Hessians `hess_x_y`. */
#include "frontend/lower_diff.h"

#include <string.h>

static void rename(Low *L, TdlFunc *f, uint32_t at, const char *text)
{
    if (at < f->results.n) f->results.p[at].name = intern(L->names, text);
}

/* value, or value_0, value_1, ... behind `prefix`, from result `at` on. */
static uint32_t name_values(Low *L, TdlFunc *f, const char *prefix, uint32_t n, uint32_t at)
{
    for (uint32_t i = 0; i < n; i++)
        rename(L, f, at++, n == 1 ? arena_printf(L->arena, "%svalue", prefix) : arena_printf(L->arena, "%svalue_%u", prefix, i));
    return at;
}

/* The names of the parameters' leaves that are differentiated for. */
static void leaf_names(Low *L, const TdlFunc *f, const LowTargets *t, bool floats, LowSyms *out)
{
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t n = low_count_leaves(L, t->p[i].value);
        for (uint32_t k = 0; k < n; k++) {
            const TdlPort *p = &f->params.p[t->p[i].leaf + k];
            if (!floats || ty_is_float(L->m, p->type)) VEC_PUSH(L->arena, *out, p->name);
        }
    }
}

static void name_gradients(Low *L, TdlFunc *f, const LowTargets *t, const char *prefix, uint32_t at)
{
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t n = low_count_leaves(L, t->p[i].value);
        for (uint32_t k = 0; k < n && at < f->results.n; k++, at++) {
            rename(L, f, at, arena_printf(L->arena, "%s%s", prefix, low_name(L, f->params.p[t->p[i].leaf + k].name)));
            if (*prefix == 'd') f->results.p[at].cotangent_of = (int32_t)(t->p[i].leaf + k);
        }
    }
}

/* jac_x, hess_x_y; with several results of the function jac_0_x. */
static void name_jacobians(Low *L, const LowFn *fn, TdlFunc *f, const LowTargets *t, const LowType *rt)
{
    LowSyms x = {0};
    leaf_names(L, f, t, true, &x);
    uint32_t all = lt_nleaves(fn->aux ? rt->elems[0] : rt), rows = x.n ? all / x.n : 0;
    for (uint32_t r = 0, at = 0; r < rows; r++)
        for (uint32_t k = 0; k < x.n; k++) {
            const char *to = low_name(L, x.p[k]), *of = fn->of_grad ? low_name(L, x.p[r]) : arena_printf(L->arena, "%u", r);
            const char *what = fn->of_grad ? "hess" : "jac";
            rename(L, f, at++, rows == 1 ? arena_printf(L->arena, "%s_%s", what, to) : arena_printf(L->arena, "%s_%s_%s", what, of, to));
        }
}

static void rename_results(Low *L, const LowFn *fn, TdlFunc *f, const LowTargets *t, const LowType *rt)
{
    uint32_t at = 0;
    switch (fn->diff) {
    case DIFF_GRAD: name_gradients(L, f, t, "d", 0); return;
    case DIFF_VALUE_AND_GRAD: case DIFF_VJP:
        at = name_values(L, f, "", lt_nleaves(rt->elems[0]), at);
        name_gradients(L, f, t, "d", at);
        return;
    case DIFF_JVP:
        if (fn->of_grad) {
            name_gradients(L, f, t, "d", 0);
            name_gradients(L, f, t, "h", lt_nleaves(rt->elems[0]));
        } else {
            at = name_values(L, f, "", lt_nleaves(rt->elems[0]), at);
            name_values(L, f, "t", lt_nleaves(rt->elems[1]), at);
        }
        return;
    case DIFF_JACFWD: case DIFF_JACREV: name_jacobians(L, fn, f, t, rt); return;
    }
}

static void add_seed(Low *L, TdlFunc *f, const LowType *t, TdlSym name, LowArgs *args, TdlSpan at)
{
    LowValue c;
    low_add_ports(L, f, t, name, &c);
    VEC_PUSH(L->arena, *args, ((LowArg){.v = c, .ready = true, .span = at}));
}

/* The cotangents of vjp's and tangents of jvp's are parameters behind those of the root, innermost first. The type of a
 * cotangent is that of what the function below gives, which is asked by applying it: what that emits is dead. */
static bool seed_ports(Low *L, const LowFn *fn, const LowType *root_result, TdlFunc *f, LowArgs *args, TdlSpan at)
{
    if (fn->kind != FN_DIFF) return true;
    if (!seed_ports(L, fn->inner, root_result, f, args, at)) return false;
    if (fn->diff == DIFF_VJP) {
        const LowType *t = fn->inner->kind == FN_DIFF ? NULL : root_result;
        if (!t) {
            LowValue r = low_apply(L, fn->inner, args, at);
            if (lv_is_err(r)) return false;
            t = low_type_of(L, r);
        }
        add_seed(L, f, t, intern(L->names, "dout"), args, at);
    } else if (fn->diff == DIFF_JVP) {
        LowTargets t = {0};
        LowValue *v = ARENA_ARRAY(L->arena, LowValue, args->n + 1);
        for (uint32_t i = 0; i < args->n; i++) v[i] = args->p[i].v;
        if (!low_find_targets(L, fn, v, args->n, &t, at)) return false;
        for (uint32_t i = 0; i < t.n; i++) add_seed(L, f, low_type_of(L, t.p[i].value), low_diff_extra_name(L, fn, i), args, at);
    }
    return true;
}

bool low_export_params(Low *L, const LowDecl *d, LowFn *fn, const LowInst *sig, const AstParams *names, TdlFunc *f, LowArgs *args)
{
    size_t errors = diags_errors(L->diags);
    for (uint32_t i = 0; i < sig->nparams; i++) {
        LowValue v;
        low_add_ports(L, f, sig->params[i], names->p[i].name.name, &v);
        VEC_PUSH(L->arena, *args, ((LowArg){.v = v, .ready = true, .span = d->ast->span}));
        low_bind(L, names->p[i].name.name, v, false, names->p[i].span);
    }
    bool seeded = seed_ports(L, fn, sig->result, f, args, d->ast->span);
    low_check_fixes(L, sig);
    return seeded && diags_errors(L->diags) == errors;
}

static void export_body(Low *L, const LowDecl *d, const LowFn *what, const LowInst *sig, const AstParams *names, TdlFunc *f)
{
    LowArgs args = {0};
    LowFn whole = *what, *fn = &whole;
    whole.split = false; /* pass `split` cuts it when the reverse sweep is there */
    bool ok = low_export_params(L, d, fn, sig, names, f, &args);
    if (ok && what->split) f->split = f->params.n - low_count_leaves(L, args.p[args.n - 1].v);
    LowValue r = ok ? low_apply(L, fn, &args, d->ast->span) : LOW_ERR;
    L->frame->retv.val = r;
    L->frame->ret.val = lv_bool(true);
    LowTargets t = {0};
    const LowType *rt = low_finish_function(L, d->ast, NULL, f);
    if (!rt || lv_is_err(r) || fn->kind != FN_DIFF) return;
    LowValue *params = ARENA_ARRAY(L->arena, LowValue, args.n + 1);
    for (uint32_t i = 0; i < args.n; i++) params[i] = args.p[i].v;
    if (low_find_targets(L, fn, params, args.n, &t, d->ast->span)) rename_results(L, fn, f, &t, rt);
}

/* Parameters of the root function: its declaration's, or those of a lambda with types. */
static bool export_signature(Low *L, const LowFn *fn, LowInst *sig, TdlSpan at)
{
    static const char way[] = "for anything else write export fn";
    for (; fn->kind == FN_DIFF || fn->kind == FN_VMAP; fn = fn->inner) {
        if (fn->kind == FN_DIFF) continue;
        low_error(L, at, "export let: vmap gives the parameters an axis that has no name: write export fn, whose parameters say it");
        return false;
    }
    const LowFn *root = fn;
    if (root->kind == FN_DECL && low_rigid(L, root)) return low_signature(L, sig, root->decl, NULL, NULL);
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
    bool ok = v.kind == LV_FN && export_signature(L, v.fn, &sig, at);
    low_pop_frame(L);
    if (v.kind != LV_FN && !lv_is_err(v))
        low_error(L, at, "export let: expected a function such as value_and_grad(f), not %s", lv_text(L, v));
    if (!ok) return;
    const LowFn *root = low_root(v.fn);
    const AstParams *names = root->kind == FN_DECL ? &root->decl->ast->params : &root->lambda->params;
    if (v.fn->kind == FN_DIFF && v.fn->sparse) {
        low_export_sparse(L, d, v.fn, &sig, names);
        return;
    }
    TdlFunc *f = ir_func_new(L->m, d->ast->name.name, d->ast->name.span);
    f->exported = true;
    f->doc = d->ast->doc;
    for (uint32_t i = 0; i < sig.ndims; i++) VEC_PUSH(L->m->arena, f->dims, sig.dims[i]);
    TdlBuilder old = L->b;
    L->b = ir_at_end(f, f->body, d->ast->span);
    fr = low_push_frame(L, low_name(L, d->ast->name.name), SPAN_NONE);
    fr->dims = sig.binds;
    export_body(L, d, v.fn, &sig, names, f);
    low_pop_frame(L);
    L->b = old;
}
