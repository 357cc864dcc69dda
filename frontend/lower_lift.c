/* Code that becomes a function of its own: lambdas that are differentiated, library calls with the caller's shapes.
 * What it uses from around becomes parameters; every dimension of the caller is passed under its own name. */
#include "frontend/lower_int.h"

static void note_dim(void *user, TdlSym v);

typedef struct { Low *L; TdlFunc *f; } DimSet;

static void note_dim(void *user, TdlSym v)
{
    DimSet *s = user;
    for (uint32_t i = 0; i < s->f->dims.n; i++)
        if (sym_eq(s->f->dims.p[i], v)) return;
    VEC_PUSH(s->L->m->arena, s->f->dims, v);
}

/* Integers known as dimensions (also in tuples and captures) need their variables. */
static void note_value_dims(Low *L, DimSet *s, LowValue v)
{
    if (v.kind == LV_INT) dim_vars(L->m, v.d, note_dim, s);
    for (uint32_t i = 0; (v.kind == LV_TUPLE || v.kind == LV_STRUCT) && i < v.n; i++) note_value_dims(L, s, v.elems[i]);
    for (const LowFn *fn = v.kind == LV_FN ? v.fn : NULL; fn; fn = fn->inner)
        for (const LowVar *c = fn->captures; c; c = c->next) note_value_dims(L, s, c->val);
}

static TdlFunc *lifted_func(Low *L, const char *name, LowValue env, const TdlVals *leaves, TdlSpan at)
{
    TdlFunc *outer = L->b.f, *f = ir_func_new(L->m, ir_fresh(L->m, name), at);
    DimSet s = {L, f};
    for (uint32_t i = 0; i < outer->dims.n; i++) note_dim(&s, outer->dims.p[i]);
    for (uint32_t i = 0; i < leaves->n; i++) {
        TdlType t = ir_type(outer, leaves->p[i]);
        for (uint32_t k = 0; k < ty_rank(L->m, t); k++) dim_vars(L->m, ty_dims(L->m, t)[k], note_dim, &s);
    }
    note_value_dims(L, &s, env);
    for (LowFrame *fr = L->frame; fr; fr = fr->up)
        if (fr == L->frame)
            for (uint32_t i = 0; i < fr->dims.n; i++) dim_vars(L->m, fr->dims.p[i].d, note_dim, &s);
    return f;
}

static TdlSym param_name(Low *L, TdlFunc *f, TdlSym hint, uint32_t i)
{
    for (uint32_t k = 0; k < f->params.n; k++)
        if (sym_eq(f->params.p[k].name, hint)) hint = SYM_NONE;
    return hint.id ? hint : intern(L->names, arena_printf(L->arena, "a%u", i));
}

bool low_lift(Low *L, const char *name, LowValue env, LowLiftBody body, void *user, LowLifted *out, TdlSpan at)
{
    *out = (LowLifted){0};
    if (++L->ninsts > LOW_MAX_INSTANCES || L->depth > LOW_MAX_DEPTH) {
        low_error(L, at, "too many functions are made here: more than %d, or nested too deeply", LOW_MAX_INSTANCES);
        return false;
    }
    low_flatten(L, env, &out->ops);
    TdlFunc *f = out->f = lifted_func(L, name, env, &out->ops, at);
    out->ndims = f->dims.n;
    out->dims = ARENA_ARRAY(L->arena, TdlDim, f->dims.n + 1);
    for (uint32_t i = 0; i < f->dims.n; i++) out->dims[i] = dim_var(L->m, f->dims.p[i]);
    TdlVal *params = ARENA_ARRAY(L->arena, TdlVal, out->ops.n + 1);
    for (uint32_t i = 0; i < out->ops.n; i++)
        params[i] = ir_func_add_param(f, param_name(L, f, ir_val(L->b.f, out->ops.p[i])->name, i), ir_type(L->b.f, out->ops.p[i]), NULL);
    TdlBuilder old = L->b;
    LowLeaf *leaves = L->leaves;
    bool script = L->in_script;
    L->leaves = NULL;
    L->in_script = false;
    L->b = ir_at_end(f, f->body, at);
    LowFrame *outer = L->frame, *fr = low_push_frame(L, outer->what, at);
    fr->dims = outer->dims;
    fr->tys = outer->tys;
    fr->library = outer->library;
    fr->depth = outer->depth + 8;
    uint32_t k = 0;
    L->depth += 4;
    LowValue r = body(L, low_unflatten(L, env, params, &k), user);
    L->depth -= 4;
    if (!lv_is_err(r)) {
        fr->retv.val = r;
        fr->ret.val = lv_bool(true);
        out->result = low_finish_function(L, NULL, NULL, f);
    }
    low_pop_frame(L);
    L->b = old;
    L->leaves = leaves;
    L->in_script = script;
    if (!out->result) ir_func_remove(L->m, f);
    return out->result != NULL;
}
