/* Functions to call for a check: the value of a function, its vjp and its jvp, each exported from a module of its own. */
#include "tools/tdlc/check.h"

#include <string.h>

double check_random(Check *c) {
    c->random += 0x9e3779b97f4a7c15u; /* splitmix64, Steele, Lea, Flood 2014 */
    uint64_t z = c->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

bool probe_open(Probe *p, Check *c) {
    *p = (Probe){.c = c, .s = *c->s};
    p->s.diags = diags_new(c->s->arena, c->s->sources);
    uint32_t file = sources_add(c->s->sources, "<check>", c->ir, c->ir_bytes);
    p->s.m = ir_parse_module(c->s->arena, c->s->names, c->s->sources, p->s.diags, file);
    if (!p->s.m) return false;
    for (uint32_t i = 0; i < p->s.m->funcs.n; i++) p->s.m->funcs.p[i]->exported = p->s.m->funcs.p[i]->script = false;
    return true;
}

bool probe_compile(Probe *p) {
    return stage_passes(&p->s, pipeline_adjoint(&p->s.o->pass)) && stage_passes(&p->s, pipeline_loops(&p->s.o->pass)) &&
           native_open(&p->native, &p->s);
}

void probe_close(Probe *p) {
    if (p->native.u) native_close(&p->native);
}

Int64s check_float_params(Check *c, const TdlFunc *f) {
    Int64s out = {0};
    for (uint32_t i = 0; i < f->params.n; i++)
        if (ty_is_float(f->module, f->params.p[i].type)) VEC_PUSH(c->s->arena, out, i);
    return out;
}

/* ---- narrow floats ---- */

static bool is_half(const TdlModule *m, TdlType t) {
    TdlElem e = ty_is_float(m, t) ? ty_elem(m, t) : EL_F64;
    return e == EL_F16 || e == EL_BF16;
}

static void widen_type(TdlModule *m, TdlType *t, TdlElem to) {
    if (ty_is_float(m, *t) && ty_elem(m, *t) != EL_F64 && ty_elem(m, *t) != to) *t = ty_with_elem(m, *t, to);
}

bool check_is_half(const TdlFunc *f) {
    bool half = false;
    for (uint32_t i = 0; i < f->params.n; i++) half |= is_half(f->module, f->params.p[i].type);
    for (uint32_t i = 0; i < f->results.n; i++) half |= is_half(f->module, f->results.p[i].type);
    return half;
}

static void widen_cast(void *user, TdlFunc *f, TdlOp o) {
    const TdlAttr *to = op_attr(f, o, "to");
    TdlType t = to ? to->type : (TdlType){0};
    if (to) widen_type(f->module, &t, *(TdlElem *)user);
    if (to && !ty_eq(t, to->type)) op_set_type(f, o, "to", t);
}

static bool takes_single(const TdlFunc *f) {
    bool single = false;
    for (uint32_t i = 0; i < f->params.n; i++) single |= ty_is_float(f->module, f->params.p[i].type) && ty_elem(f->module, f->params.p[i].type) == EL_F32;
    for (uint32_t i = 0; i < f->results.n; i++) single |= ty_is_float(f->module, f->results.p[i].type) && ty_elem(f->module, f->results.p[i].type) == EL_F32;
    return single;
}

bool check_widen(TdlModule *m) {
    TdlElem to = EL_F64;
    for (uint32_t i = 0; i < m->funcs.n; i++)
        if (m->funcs.p[i]->symbol && takes_single(m->funcs.p[i])) to = EL_F32;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlFunc *f = m->funcs.p[i];
        if (f->symbol) continue;
        for (uint32_t k = 0; k < f->params.n; k++) widen_type(m, &f->params.p[k].type, to);
        for (uint32_t k = 0; k < f->results.n; k++) widen_type(m, &f->results.p[k].type, to);
        for (uint32_t k = 1; k < f->vals.n; k++) widen_type(m, &f->vals.p[k].type, to);
        ir_walk(f, f->body, widen_cast, &to);
    }
    return to == EL_F32;
}

/* ---- wrappers ---- */

typedef struct { Probe *p; TdlFunc *f, *g; TdlVals args; TDL_VEC(TdlType) types; } Wrap;

static TdlSym numbered(Probe *p, const char *what, uint32_t i) {
    return intern(p->s.names, arena_printf(p->s.arena, "%s%u", what, i));
}

static void further_param(Wrap *w, TdlSym name, TdlType t) {
    VEC_PUSH(w->p->s.arena, w->args, ir_func_add_param(w->g, name, t, NULL));
}

static void further_result(Wrap *w, TdlType t) {
    TdlPort port = {.name = numbered(w->p, "r", w->g->results.n), .type = t, .cotangent_of = -1, .prior_of = -1};
    VEC_PUSH(w->p->s.m->arena, w->g->results, port);
    VEC_PUSH(w->p->s.arena, w->types, t);
}

/* A function with the dimensions and parameters of f, and its results. */
static Wrap wrap(Probe *p, TdlFunc *f, const char *stem, const char *what) {
    TdlModule *m = p->s.m;
    Wrap w = {.p = p, .f = f};
    w.g = ir_func_new(m, ir_fresh(m, arena_printf(p->s.arena, "%s.%s", stem, what)), f->span);
    w.g->exported = true;
    for (uint32_t i = 0; i < f->dims.n; i++) VEC_PUSH(m->arena, w.g->dims, f->dims.p[i]);
    for (uint32_t i = 0; i < f->params.n; i++) further_param(&w, f->params.p[i].name, f->params.p[i].type);
    for (uint32_t i = 0; i < f->results.n; i++) further_result(&w, f->results.p[i].type);
    return w;
}

static TdlFunc *finish(Wrap *w, TdlOpcode code, const int64_t *wrt, uint32_t nwrt) {
    TdlModule *m = w->p->s.m;
    TdlBuilder b = ir_at_end(w->g, w->g->body, w->f->span);
    TdlOp o = ir_emit(&b, code, w->args.p, w->args.n, w->types.p, w->types.n);
    const char *callee = sym_text(m->names, w->f->name);
    TdlDims dims = {0};
    for (uint32_t i = 0; i < w->f->dims.n; i++) VEC_PUSH(m->arena, dims, dim_var(m, w->f->dims.p[i]));
    op_set_str(w->g, o, "callee", callee, (uint32_t)strlen(callee));
    if (dims.n) op_set_dims(w->g, o, "dims", dims.p, dims.n);
    if (code != OP_CALL) op_set_ints(w->g, o, "wrt", wrt, nwrt);
    ir_emit(&b, OP_RETURN, ir_op(w->g, o)->results, w->types.n, NULL, 0);
    return w->g;
}

Forms probe_forms(Probe *p, TdlFunc *f, const int64_t *wrt, uint32_t nwrt, const char *stem, int modes, bool automatic) {
    TdlModule *m = p->s.m;
    Forms forms = {0};
    for (uint32_t i = 0; i < nwrt; i++) VEC_PUSH(p->s.arena, forms.wrt, wrt[i]);
    Wrap value = wrap(p, f, stem, "value");
    forms.value = finish(&value, OP_CALL, NULL, 0);
    if (automatic) {
        f = ir_clone_func(m, f, ir_fresh(m, arena_printf(p->s.arena, "%s.body", stem)), NULL);
        f->reverse = f->forward = SYM_NONE;
    }
    if (modes & MODE_REVERSE) {
        Wrap w = wrap(p, f, stem, "reverse");
        for (uint32_t i = 0; i < f->results.n; i++)
            if (ty_is_float(m, f->results.p[i].type)) further_param(&w, numbered(p, "c", i), f->results.p[i].type);
        for (uint32_t i = 0; i < nwrt; i++) further_result(&w, f->params.p[wrt[i]].type);
        forms.reverse = finish(&w, OP_VJP, wrt, nwrt);
    }
    if (modes & MODE_FORWARD) {
        Wrap w = wrap(p, f, stem, "forward");
        for (uint32_t i = 0; i < nwrt; i++) further_param(&w, numbered(p, "t", i), f->params.p[wrt[i]].type);
        for (uint32_t i = 0; i < f->results.n; i++)
            if (ty_is_float(m, f->results.p[i].type)) further_result(&w, f->results.p[i].type);
        forms.forward = finish(&w, OP_JVP, wrt, nwrt);
    }
    return forms;
}

/* ---- calls ---- */

double value_get(const Value *v, int64_t i) {
    switch (v->elem) {
    case EL_F64: return ((const double *)v->data)[i];
    case EL_F32: return (double)((const float *)v->data)[i];
    case EL_I64: return (double)((const int64_t *)v->data)[i];
    case EL_I32: return ((const int32_t *)v->data)[i];
    case EL_BOOL: return ((const uint8_t *)v->data)[i];
    default: return 0;
    }
}

void value_set(Value *v, int64_t i, double x) {
    switch (v->elem) {
    case EL_F64: ((double *)v->data)[i] = x; break;
    case EL_F32: ((float *)v->data)[i] = (float)x; break;
    case EL_I64: ((int64_t *)v->data)[i] = (int64_t)x; break;
    case EL_I32: ((int32_t *)v->data)[i] = (int32_t)x; break;
    case EL_BOOL: ((uint8_t *)v->data)[i] = x != 0; break;
    default: break;
    }
}

Value value_copy(TdlArena *a, const Value *v) {
    Value c = *v;
    int64_t n = value_count(v);
    c.data = arena_memdup(a, v->data, (size_t)(n ? n : 1) * el_bytes(v->elem));
    return c;
}

int probe_call(Probe *p, TdlFunc *f, const CheckDims *dims, Value *params) {
    int64_t *at = ARENA_ARRAY(p->s.arena, int64_t, f->dims.n + 1);
    for (uint32_t i = 0; i < f->dims.n; i++)
        for (uint32_t k = 0; k < dims->n; k++)
            if (sym_eq(dims->names[k], f->dims.p[i])) at[i] = dims->at[k];
    void *entry = native_find(&p->native, f);
    return entry ? native_call(&p->native, entry, at, f->dims.n, params, f->params.n) : -1;
}
