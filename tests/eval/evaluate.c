/* evaluate FILE FUNC [name=value,...]...      evaluates a function of an IR file and prints its results
 * evaluate --grad FILE FUNC [name=value,...]  checks the gradient that pass adjoint makes, with respect to every float
 *     parameter, against central differences of the primal, and its tangents against the gradient. --order=2 checks the
 *     derivatives of the gradient, with --inner=forward those of the tangents.
 *
 * name=value sets a dimension parameter (default 3) or the elements of a parameter; float parameters without values are
 * random in --range=lo,hi (default 0.2,1.2), integer ones are 0, 1, 2, ... modulo --modulo=k (default 3).
 * --step=h (1e-3) is the step of the differences, --tol=t (1e-7) the relative difference allowed.
 * --dump prints the functions that were made.
 * --passes=a,b runs passes on the file first (evaluate) or after the adjoint (--grad); the verifier runs after each. */
#include "eval.h"
#include "passes/pass.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    TdlModule *m;
    TdlArena *a;
    bool grad, dump, inner_forward;
    int order;
    double lo, hi, tol, h;
    int64_t modulo;
    const char *passes;
    char **sets;
    int nsets;
    uint64_t seed;
} Cmd;

static int fail(Cmd *c, const char *what) {
    TdlStr s = str_new(c->a);
    if (c->m) diags_render_text(c->m->diags, &s, 0);
    fprintf(stderr, "%s%s\n", s.p, what);
    return 1;
}

static double random01(Cmd *c) { /* splitmix64 */
    uint64_t z = (c->seed += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static const char *setting(Cmd *c, TdlSym name) {
    const char *s = sym_text(c->m->names, name);
    for (int i = 0; i < c->nsets; i++)
        if (!strncmp(c->sets[i], s, strlen(s)) && c->sets[i][strlen(s)] == '=') return c->sets[i] + strlen(s) + 1;
    return NULL;
}

static void fill(Cmd *c, EvVal *v, const char *text) {
    for (int64_t i = 0; i < v->n; i++) {
        char *end = NULL;
        double x = v->f ? c->lo + (c->hi - c->lo) * random01(c) : (double)(i % c->modulo);
        if (text && *text) x = strtod(text, &end), text = *end == ',' ? end + 1 : end;
        if (v->f) v->f[i] = ev_round(v->elem, x);
        else v->i[i] = v->elem == EL_BOOL ? x != 0 : (int64_t)x;
    }
}

/* Dimensions and arguments of f. */
static void inputs(Cmd *c, TdlFunc *f, int64_t *dims, EvVal *args) {
    EvCall call = {.m = c->m, .f = f, .arena = c->a};
    for (uint32_t i = 0; i < f->dims.n; i++) {
        const char *t = setting(c, f->dims.p[i]);
        dims[i] = t ? atoll(t) : 3;
        VEC_PUSH(c->a, call.dims, ((EvDim){f->dims.p[i], dims[i]}));
    }
    for (uint32_t i = 0; i < f->params.n; i++) {
        args[i] = ev_tensor(&call, f->params.p[i].type);
        fill(c, &args[i], setting(c, f->params.p[i].name));
    }
}

static bool run_passes(Cmd *c, const char *names) {
    TdlPassOptions opt = {.opt_level = 2};
    TdlPassHooks hooks = {.verify_each = true};
    while (names && *names) {
        size_t n = strcspn(names, ",");
        TdlPassId id = pass_by_name(arena_strndup(c->a, names, n));
        if (id == PASS_NONE || !passes_run(c->m, &id, 1, &opt, &hooks) || !ir_verify_module(c->m)) return false;
        names += n + (names[n] == ',');
    }
    return true;
}

static int evaluate(Cmd *c, TdlFunc *f) {
    int64_t *dims = ARENA_ARRAY(c->a, int64_t, f->dims.n);
    EvVal *args = ARENA_ARRAY(c->a, EvVal, f->params.n), *out = ARENA_ARRAY(c->a, EvVal, f->results.n);
    TdlStr s = str_new(c->a);
    inputs(c, f, dims, args);
    const char *why = eval_func(c->m, f, c->a, dims, args, out, &s);
    if (why) return printf("fails: %s\n", why), 1;
    for (uint32_t i = 0; i < f->results.n; i++) {
        str_printf(&s, "%s = ", sym_text(c->m->names, f->results.p[i].name));
        ev_print(&out[i], &s);
        str_putc(&s, '\n');
    }
    fputs(s.p, stdout);
    return 0;
}

/* What both derivatives of f begin with: f's dimensions, parameters and results. */
typedef struct {
    TdlFunc *g;
    TdlVals ops;
    TDL_VEC(TdlType) types;
    TDL_VEC(int64_t) wrt;
} Derived;

static TdlSym named(Cmd *c, const char *prefix, TdlSym name) {
    return intern(c->m->names, arena_printf(c->a, "%s%s", prefix, sym_text(c->m->names, name)));
}

static Derived derived_of(Cmd *c, TdlFunc *f, const char *suffix) {
    TdlModule *m = c->m;
    const char *name = arena_printf(c->a, "%s.%s", sym_text(m->names, f->name), suffix);
    Derived d = {.g = ir_func_new(m, intern(m->names, name), SPAN_NONE)};
    d.g->exported = true;
    for (uint32_t i = 0; i < f->dims.n; i++) VEC_PUSH(m->arena, d.g->dims, f->dims.p[i]);
    for (uint32_t i = 0; i < f->params.n; i++) {
        VEC_PUSH(c->a, d.ops, ir_func_add_param(d.g, f->params.p[i].name, f->params.p[i].type, NULL));
        if (ty_is_float(m, f->params.p[i].type)) VEC_PUSH(c->a, d.wrt, i);
    }
    for (uint32_t i = 0; i < f->results.n; i++) {
        TdlPort r = f->results.p[i];
        VEC_PUSH(c->a, d.types, r.type);
        r.cotangent_of = -1;
        VEC_PUSH(m->arena, d.g->results, r);
    }
    return d;
}

static void add_derived(Cmd *c, Derived *d, TdlPort port, const char *prefix, int32_t of) {
    port.name = named(c, prefix, port.name);
    port.cotangent_of = of;
    VEC_PUSH(c->a, d->types, port.type);
    VEC_PUSH(c->m->arena, d->g->results, port);
}

static TdlFunc *finish_derived(Cmd *c, Derived *d, TdlFunc *f, TdlOpcode code) {
    TDL_VEC(TdlDim) dims = {0};
    for (uint32_t i = 0; i < f->dims.n; i++) VEC_PUSH(c->a, dims, dim_var(c->m, f->dims.p[i]));
    TdlBuilder b = ir_at_end(d->g, d->g->body, SPAN_NONE);
    TdlOp o = ir_emit(&b, code, d->ops.p, d->ops.n, d->types.p, d->types.n);
    const char *callee = sym_text(c->m->names, f->name);
    op_set_str(d->g, o, "callee", callee, (uint32_t)strlen(callee));
    op_set_ints(d->g, o, "wrt", d->wrt.p, d->wrt.n);
    if (dims.n) op_set_dims(d->g, o, "dims", dims.p, dims.n);
    ir_emit(&b, OP_RETURN, ir_op(d->g, o)->results, d->types.n, NULL, 0);
    return d->g;
}

/* @f.grad: a vjp of f with respect to every float parameter. */
static TdlFunc *gradient_of(Cmd *c, TdlFunc *f) {
    Derived d = derived_of(c, f, "grad");
    for (uint32_t i = 0; i < f->results.n; i++)
        if (ty_is_float(c->m, f->results.p[i].type))
            VEC_PUSH(c->a, d.ops, ir_func_add_param(d.g, named(c, "c_", f->results.p[i].name), f->results.p[i].type, NULL));
    for (uint32_t i = 0; i < d.wrt.n; i++) add_derived(c, &d, f->params.p[d.wrt.p[i]], "d", (int32_t)d.wrt.p[i]);
    return finish_derived(c, &d, f, OP_VJP);
}

/* @f.tangent: a jvp of f with respect to every float parameter. */
static TdlFunc *tangent_of(Cmd *c, TdlFunc *f) {
    Derived d = derived_of(c, f, "tangent");
    for (uint32_t i = 0; i < d.wrt.n; i++) {
        TdlPort x = f->params.p[d.wrt.p[i]];
        VEC_PUSH(c->a, d.ops, ir_func_add_param(d.g, named(c, "t_", x.name), x.type, NULL));
    }
    for (uint32_t i = 0; i < f->results.n; i++)
        if (ty_is_float(c->m, f->results.p[i].type)) add_derived(c, &d, f->results.p[i], "t", -1);
    return finish_derived(c, &d, f, OP_JVP);
}

/* sum of <cotangent, result> over the float results of f at args; NaN when evaluation fails. */
static double projected(Cmd *c, TdlFunc *f, const int64_t *dims, const EvVal *args, const EvVal *cot, const char **why) {
    TdlArena scratch;
    arena_init(&scratch);
    EvVal *out = ARENA_ARRAY(&scratch, EvVal, f->results.n);
    *why = eval_func(c->m, f, &scratch, dims, args, out, NULL);
    double sum = 0;
    for (uint32_t i = 0, k = 0; i < f->results.n && !*why; i++) {
        if (!out[i].f) continue;
        for (int64_t e = 0; e < out[i].n; e++) sum += out[i].f[e] * cot[k].f[e];
        k++;
    }
    if (*why) *why = arena_strdup(c->a, *why);
    arena_free(&scratch);
    return sum;
}

/* Compares the cotangent `got` of parameter p with four-point differences. Returns the number of elements that differ. */
static int check_param(Cmd *c, TdlFunc *f, const int64_t *dims, EvVal *args, const EvVal *cot, uint32_t p, const EvVal *got) {
    int bad = 0;
    EvVal *x = &args[p];
    const char *why;
    for (int64_t e = 0; e < x->n; e++) {
        double old = x->f[e], h = c->h, d[4];
        static const double at[] = {1, -1, 2, -2};
        for (int i = 0; i < 4; i++) {
            x->f[e] = old + at[i] * h;
            d[i] = projected(c, f, dims, args, cot, &why);
            if (why) return printf("%s at a difference: %s\n", sym_text(c->m->names, f->name), why), 1;
        }
        x->f[e] = old;
        double want = (8 * (d[0] - d[1]) - (d[2] - d[3])) / (12 * h);
        if (fabs(got->f[e] - want) <= c->tol * (1 + fabs(want))) continue;
        printf("@%s: d%s[%lld] is %.10g, differences say %.10g\n", sym_text(c->m->names, f->name),
               sym_text(c->m->names, f->params.p[p].name), (long long)e, got->f[e], want);
        bad++;
    }
    return bad;
}

/* The number of values of f that its derivative g gives otherwise. */
static int check_values(Cmd *c, TdlFunc *f, const EvVal *primal, const EvVal *out) {
    int bad = 0;
    for (uint32_t i = 0; i < f->results.n; i++)
        for (int64_t e = 0; e < out[i].n; e++)
            bad += out[i].f ? !(fabs(out[i].f[e] - primal[i].f[e]) <= 1e-12 * (1 + fabs(primal[i].f[e]))) : out[i].i[e] != primal[i].i[e];
    if (bad) printf("@%s: %d values differ from the primal's\n", sym_text(c->m->names, f->name), bad);
    return bad;
}

static double inner(const EvVal *x, const EvVal *y, double *scale) {
    double sum = 0;
    for (int64_t e = 0; e < x->n; e++) {
        sum += x->f[e] * y->f[e];
        *scale += fabs(x->f[e] * y->f[e]);
    }
    return sum;
}

/* Forward mode against reverse mode: <cotangent, tangent of the results> is <gradient, tangent of the parameters>. */
static int check_forward(Cmd *c, TdlFunc *f, TdlFunc *t, const int64_t *dims, const EvVal *at, const EvVal *primal, const EvVal *grad) {
    const EvVal *cot = at + f->params.n;
    EvVal *args = ARENA_ARRAY(c->a, EvVal, t->params.n), *out = ARENA_ARRAY(c->a, EvVal, t->results.n);
    int64_t *same = ARENA_ARRAY(c->a, int64_t, t->dims.n + 1);
    inputs(c, t, same, args);
    for (uint32_t i = 0; i < f->params.n; i++) args[i] = at[i];
    const char *why = eval_func(c->m, t, c->a, dims, args, out, NULL);
    if (why) return printf("forward mode fails: %s\n", why), 1;
    int bad = check_values(c, f, primal, out);
    double fwd = 0, rev = 0, scale = 1;
    for (uint32_t i = f->results.n, k = 0; i < t->results.n; i++) fwd += inner(&out[i], &cot[k++], &scale);
    for (uint32_t i = f->params.n, k = 0; i < t->params.n; i++) rev += inner(&args[i], &grad[k++], &scale);
    if (fabs(fwd - rev) <= 1e-2 * c->tol * scale) return bad;
    printf("@%s: forward mode gives %.15g, reverse mode %.15g\n", sym_text(c->m->names, f->name), fwd, rev);
    return bad + 1;
}

static int check_grad(Cmd *c, TdlFunc *f) {
    for (int i = 1; i < c->order; i++) f = c->inner_forward ? tangent_of(c, f) : gradient_of(c, f);
    TdlFunc *g = gradient_of(c, f), *t = tangent_of(c, f);
    f->exported = true;
    if (!ir_verify_module(c->m)) return fail(c, "evaluate: the IR is not valid");
    bool made = run_passes(c, "adjoint");
    if (c->dump) {
        TdlStr text = str_new(c->a);
        ir_print_func(g, &text);
        ir_print_func(t, &text);
        fputs(text.p, stdout);
    }
    if (!made) return fail(c, "evaluate: no adjoint");
    if (!run_passes(c, c->passes)) return fail(c, "evaluate: passes failed");
    int64_t *dims = ARENA_ARRAY(c->a, int64_t, g->dims.n);
    EvVal *args = ARENA_ARRAY(c->a, EvVal, g->params.n), *out = ARENA_ARRAY(c->a, EvVal, g->results.n);
    EvVal *primal = ARENA_ARRAY(c->a, EvVal, f->results.n);
    inputs(c, g, dims, args);
    const char *why = eval_func(c->m, g, c->a, dims, args, out, NULL);
    if (!why) why = eval_func(c->m, f, c->a, dims, args, primal, NULL);
    if (why) return printf("fails: %s\n", why), 1;
    int bad = check_values(c, f, primal, out), partials = 0;
    bad += check_forward(c, f, t, dims, args, primal, out + f->results.n);
    for (uint32_t i = f->results.n; i < g->results.n; i++) {
        uint32_t p = (uint32_t)g->results.p[i].cotangent_of;
        bad += check_param(c, f, dims, args, args + f->params.n, p, &out[i]);
        partials += (int)out[i].n;
    }
    if (!bad) printf("ok @%s: %d partials\n", sym_text(c->m->names, f->name), partials);
    return bad != 0;
}

int main(int argc, char **argv) {
    TdlArena a;
    arena_init(&a);
    Cmd c = {.a = &a, .order = 1, .lo = 0.2, .hi = 1.2, .modulo = 3, .tol = 1e-7, .h = 1e-3, .seed = 1};
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        char *v = strchr(argv[i], '=');
        if (!strcmp(argv[i], "--grad")) c.grad = true;
        else if (!strcmp(argv[i], "--dump")) c.dump = true;
        else if (!strcmp(argv[i], "--inner=forward")) c.inner_forward = true;
        else if (!strncmp(argv[i], "--order=", 8)) c.order = atoi(v + 1);
        else if (!strncmp(argv[i], "--passes=", 9)) c.passes = v + 1;
        else if (!strncmp(argv[i], "--modulo=", 9)) c.modulo = atoll(v + 1);
        else if (!strncmp(argv[i], "--tol=", 6)) c.tol = atof(v + 1);
        else if (!strncmp(argv[i], "--step=", 7)) c.h = atof(v + 1);
        else if (!strncmp(argv[i], "--seed=", 7)) c.seed = (uint64_t)atoll(v + 1);
        else if (!strncmp(argv[i], "--range=", 8)) c.lo = atof(v + 1), c.hi = atof(strchr(v, ',') + 1);
        else return fail(&c, "evaluate: unknown option"), 2;
    }
    if (argc - i < 2) return fail(&c, "usage: evaluate [--grad] FILE FUNC [name=value,...]..."), 2;
    c.sets = argv + i + 2;
    c.nsets = argc - i - 2;
    TdlSources *s = sources_new(&a);
    TdlDiags *d = diags_new(&a, s);
    TdlInterner *names = intern_new(&a);
    const char *why;
    uint32_t file = sources_read(s, argv[i], &why);
    if (!file) return fail(&c, why);
    TdlModule *m = ir_parse_module(&a, names, s, d, file);
    TdlStr text = str_new(&a);
    diags_render_text(d, &text, 0);
    if (!m) return fail(&c, text.p);
    c.m = m;
    TdlFunc *f = ir_func_find(m, intern(names, argv[i + 1]));
    if (!f) return fail(&c, "evaluate: no such function");
    int status;
    if (c.grad) status = check_grad(&c, f);
    else status = run_passes(&c, c.passes) ? evaluate(&c, f) : fail(&c, "evaluate: passes failed");
    arena_free(&a);
    return status;
}
