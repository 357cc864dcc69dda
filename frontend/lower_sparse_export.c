/* export let g = jacfwd(f, sparse=true): two C functions, with the parameters of f.
 *
 *     g_pattern  dimensions of f, capacity; inputs of f; outputs nnz, colours, ptr, col[capacity], colour
 *     g_values   dimensions of f, nnz, colours; inputs of f, ptr, col, colour; output val[nnz] */
#include "frontend/lower_diff.h"

#include <string.h>

/* A dimension beside those of f, under a name that none of its dimensions and parameters has. */
static TdlDim add_dim(Low *L, TdlFunc *f, const AstParams *params, const char *name)
{
    TdlSym s = intern(L->names, name);
    bool taken = false;
    for (uint32_t i = 0; i < f->dims.n; i++) taken |= sym_eq(f->dims.p[i], s);
    for (uint32_t i = 0; i < params->n; i++) taken |= sym_eq(params->p[i].name.name, s);
    if (taken) return add_dim(L, f, params, arena_printf(L->arena, "%s_", name));
    ir_name_use(L->m, s);
    VEC_PUSH(L->m->arena, f->dims, s);
    return dim_var(L->m, s);
}

typedef struct {
    const LowDecl *d;
    LowFn *fn;
    const LowInst *sig;
    const AstParams *names;
    TdlDim dims[2];
    bool values;
} Export;

static LowValue given(Low *L, TdlFunc *f, TdlDim n, const char *name)
{
    LowValue v;
    low_add_ports(L, f, lt_tensor(L, ty_tensor(L->m, EL_I64, &n, 1)), intern(L->names, name), &v);
    return v;
}

static LowValue body(Low *L, const Export *e, TdlFunc *f)
{
    LowArgs args = {0};
    LowCallee c = {0};
    LowTargets t = {0};
    TdlSpan at = e->d->ast->span;
    if (!low_export_params(L, e->d, e->fn, e->sig, e->names, f, &args) || !low_diff_callee(L, e->fn, &args, &c, &t, at)) return LOW_ERR;
    const LowType *main = low_main_result(L, e->fn, &c, at);
    if (!main) return LOW_ERR;
    if (!e->values) return low_sparse_pattern(L, e->fn, &c, &t, main, e->dims[0], at);
    TdlDim rows, coloured;
    if (!low_sparse_extents(L, e->fn, &c, &t, main, &rows, &coloured, at)) return LOW_ERR;
    LowSparseArgs p = {.nnz = e->dims[0], .colours = e->dims[1]};
    p.ptr = given(L, f, dim_add(L->m, rows, dim_const(L->m, 1)), "ptr");
    p.col = given(L, f, p.nnz, "col");
    p.colour = given(L, f, coloured, "colour");
    return low_sparse_values(L, e->fn, &c, &t, main, &p, at);
}

/* False after an error. */
static bool function(Low *L, Export *e)
{
    static const char *const pattern[] = {"nnz", "colours", "ptr", "col", "colour"}, *const values[] = {"val"};
    const char *const *names = e->values ? values : pattern, *name = low_name(L, e->d->ast->name.name);
    uint32_t n = e->values ? 1 : 5;
    TdlSym sym = intern(L->names, arena_printf(L->arena, "%s_%s", name, e->values ? "values" : "pattern"));
    if (ir_func_find(L->m, sym)) {
        low_error(L, e->d->ast->name.span, "export let: `%s` makes %s_pattern and %s_values, and there is a function `%s`", name, name, name, low_name(L, sym));
        return false;
    }
    TdlFunc *f = ir_func_new(L->m, sym, e->d->ast->name.span);
    f->exported = true;
    f->doc = e->d->ast->doc;
    for (uint32_t i = 0; i < e->sig->ndims; i++) VEC_PUSH(L->m->arena, f->dims, e->sig->dims[i]);
    for (uint32_t i = 0; i < (e->values ? 2 : 1); i++) e->dims[i] = add_dim(L, f, e->names, !e->values ? "capacity" : i ? "colours" : "nnz");
    TdlBuilder old = L->b;
    L->b = ir_at_end(f, f->body, e->d->ast->span);
    LowFrame *fr = low_push_frame(L, name, SPAN_NONE);
    fr->dims = e->sig->binds;
    LowValue r = body(L, e, f);
    L->frame->retv.val = r;
    L->frame->ret.val = lv_bool(true);
    const LowType *rt = low_finish_function(L, e->d->ast, NULL, f);
    low_pop_frame(L);
    L->b = old;
    for (uint32_t i = 0; rt && i < n && i < f->results.n; i++) f->results.p[i].name = intern(L->names, names[i]);
    return rt && !lv_is_err(r);
}

void low_export_sparse(Low *L, const LowDecl *d, LowFn *fn, const LowInst *sig, const AstParams *names)
{
    Export e = {.d = d, .fn = fn, .sig = sig, .names = names};
    if (!function(L, &e)) return;
    e.values = true;
    function(L, &e);
}
