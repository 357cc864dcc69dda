/* tdlc run: executes a script, or calls an exported function, through the JIT. Arguments come from the command line;
 * dimensions are read off the arrays. */
#include "codegen/jit.h"
#include "ir/graph.h"
#include "runtime/object/bodies.h"
#include "runtime/print.h"
#include "runtime/tdl.h"
#include "tools/tdlc/value.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    Session *s;
    TdlFunc *f;
    TdlSym *names;          /* dimension variables with a value, and the values */
    TdlDim *values;
    uint32_t nbound;
    Value *args;            /* by parameter */
} Call;

static const char *text(const Call *c, TdlSym s) { return sym_text(c->s->names, s); }

static bool is_output(const TdlPort *p) { return p->out; }

/* ---- which function ---- */

static TdlFunc *find_function(Session *s) {
    for (uint32_t i = 0; i < s->m->funcs.n; i++) {
        TdlFunc *f = s->m->funcs.p[i];
        if (s->o->call && (f->saves.id || f->restores.id) && !strcmp(sym_text(s->names, f->name), s->o->call)) {
            diag_error(s->diags, SPAN_NONE, "run: %s is a half of a split function: export the whole one, vjp", s->o->call);
            return NULL;
        }
        if (s->o->call ? f->exported && !strcmp(sym_text(s->names, f->name), s->o->call) : f->script) return f;
    }
    if (s->o->call) diag_error(s->diags, SPAN_NONE, "run: no exported function is named %s", s->o->call);
    else diag_error(s->diags, SPAN_NONE, "run: the file has no statements at top level: call a function with --call NAME");
    return NULL;
}

static const char *binding(const Call *c, const char *name) {
    const Options *o = c->s->o;
    for (uint32_t i = 0; i < o->arguments.n; i++)
        if (!strcmp(o->arguments.p[i].name, name)) return o->arguments.p[i].value;
    return NULL;
}

static const char *result_file(const Call *c, const char *name) {
    const Options *o = c->s->o;
    for (uint32_t i = 0; i < o->results.n; i++)
        if (!strcmp(o->results.p[i].name, name)) return o->results.p[i].value;
    return NULL;
}

/* Arguments, then results. */
static const Binding *bindings(const Options *o, uint32_t k) {
    return k < o->arguments.n ? &o->arguments.p[k] : &o->results.p[k - o->arguments.n];
}

/* Names on the command line that nothing has, or that stand there twice. */
static bool check_names(const Call *c) {
    const Options *o = c->s->o;
    bool ok = true;
    for (uint32_t k = 0; k < o->arguments.n + o->results.n; k++) {
        bool result = k >= o->arguments.n, found = false;
        const char *name = bindings(o, k)->name;
        for (uint32_t i = 0; i < c->f->params.n; i++)
            found |= is_output(&c->f->params.p[i]) == result && !strcmp(text(c, c->f->params.p[i].name), name);
        for (uint32_t i = 0; i < c->f->dims.n && !result; i++) found |= !strcmp(text(c, c->f->dims.p[i]), name);
        if (!found) diag_error(c->s->diags, SPAN_NONE, "run: %s has no %s named %s", text(c, c->f->name), result ? "result" : "input", name);
        bool again = false;
        for (uint32_t i = result ? o->arguments.n : 0; i < k; i++) again |= !strcmp(bindings(o, i)->name, name);
        if (again) diag_error(c->s->diags, SPAN_NONE, "run: %s is given twice", name);
        ok &= found && !again;
    }
    return ok;
}

/* ---- dimensions ---- */

static TdlDim known(const Call *c, TdlDim d) { return dim_subst(c->s->m, d, c->names, c->values, c->nbound); }

static bool bound(const Call *c, TdlSym v) {
    for (uint32_t i = 0; i < c->nbound; i++)
        if (sym_eq(c->names[i], v)) return true;
    return false;
}

static void bind_dim(Call *c, TdlSym v, TdlDim value) {
    if (bound(c, v)) return;
    c->names[c->nbound] = v;
    c->values[c->nbound++] = value;
}

/* Finds variables from the shapes of the arrays, until nothing more is found. */
static void solve_dims(Call *c) {
    for (uint32_t before = c->nbound + 1; before != c->nbound;) {
        before = c->nbound;
        for (uint32_t i = 0; i < c->f->params.n; i++) {
            const TdlPort *p = &c->f->params.p[i];
            TdlType t = ty_tensor_of(c->s->m, p->type);
            if (is_output(p) || !c->args[i].data) continue;
            for (uint32_t k = 0; k < ty_rank(c->s->m, t) && k < c->args[i].rank; k++) {
                TdlSym v;
                TdlDim value, total = dim_const(c->s->m, c->args[i].dims[k]);
                if (dim_solve(c->s->m, known(c, ty_dims(c->s->m, t)[k]), total, &v, &value)) bind_dim(c, v, value);
            }
        }
    }
}

static bool given_dims(Call *c) {
    for (uint32_t i = 0; i < c->f->dims.n; i++) {
        const char *name = text(c, c->f->dims.p[i]), *value = binding(c, name);
        Value v;
        for (uint32_t k = 0; k < c->s->o->fixed.n; k++)
            if (!strcmp(c->s->o->fixed.p[k].name, name)) bind_dim(c, c->f->dims.p[i], dim_const(c->s->m, c->s->o->fixed.p[k].value));
        if (!value) continue;
        if (!value_read(c->s, name, value, EL_I64, &v)) return false;
        if (v.rank) {
            diag_error(c->s->diags, SPAN_NONE, "%s: a dimension is one integer", name);
            return false;
        }
        bind_dim(c, c->f->dims.p[i], dim_const(c->s->m, *(int64_t *)v.data));
    }
    return true;
}

static bool all_bound(const Call *c) {
    bool ok = true;
    for (uint32_t i = 0; i < c->f->dims.n; i++) {
        if (bound(c, c->f->dims.p[i])) continue;
        const char *name = text(c, c->f->dims.p[i]);
        diag_error(c->s->diags, SPAN_NONE, "dimension %s follows from no argument: give it as %s=N", name, name);
        ok = false;
    }
    return ok;
}

static void shape_text(const Call *c, const Value *v, TdlStr *out) {
    str_printf(out, "%s[", el_name(v->elem));
    for (uint32_t i = 0; i < v->rank; i++) str_printf(out, i ? ", %lld" : "%lld", (long long)v->dims[i]);
    str_putc(out, ']');
    (void)c;
}

/* True when the value has the shape that the parameter's type says; every disagreement is reported. */
static bool check_shape(const Call *c, uint32_t i) {
    const TdlPort *p = &c->f->params.p[i];
    TdlType t = ty_tensor_of(c->s->m, p->type);
    const Value *v = &c->args[i];
    TdlStr want = str_new(c->s->arena), got = str_new(c->s->arena), known_text = str_new(c->s->arena);
    if (!ty_rank(c->s->m, t) && value_count(v) == 1) return true;   /* [1] is a scalar too: many files hold it so */
    bool same = ty_rank(c->s->m, t) == v->rank;
    for (uint32_t k = 0; same && k < v->rank; k++) {
        int64_t n = -1;
        same = dim_is_const(c->s->m, known(c, ty_dims(c->s->m, t)[k]), &n) && n == v->dims[k];
    }
    if (same) return true;
    ty_print(c->s->m, t, &want);
    shape_text(c, v, &got);
    ty_print(c->s->m, ty_subst(c->s->m, t, c->names, c->values, c->nbound), &known_text);
    diag_error(c->s->diags, SPAN_NONE, "%s: the shape does not fit: %s is wanted, which is %s here: got %s", text(c, p->name),
               want.p, known_text.p, got.p);
    return false;
}

/* ---- arguments and results ---- */

static bool read_arguments(Call *c) {
    bool ok = true;
    for (uint32_t i = 0; i < c->f->params.n; i++) {
        const TdlPort *p = &c->f->params.p[i];
        const char *name = text(c, p->name), *value = binding(c, name);
        if (is_output(p)) continue;
        if (!value) {
            TdlStr type = str_new(c->s->arena);
            ty_print(c->s->m, ty_tensor_of(c->s->m, p->type), &type);
            diag_error(c->s->diags, SPAN_NONE, "input %s: %s is missing: give %s=VALUE or %s=FILE.npy", name, type.p, name, name);
            ok = false;
        } else ok &= value_read(c->s, name, value, ty_elem(c->s->m, p->type), &c->args[i]);
    }
    return ok;
}

static bool make_results(Call *c) {
    for (uint32_t i = 0; i < c->f->params.n; i++) {
        const TdlPort *p = &c->f->params.p[i];
        TdlType t = ty_tensor_of(c->s->m, p->type);
        Value *v = &c->args[i];
        if (!is_output(p)) continue;
        v->elem = ty_elem(c->s->m, t);
        v->rank = ty_rank(c->s->m, t);
        for (uint32_t k = 0; k < v->rank; k++)
            if (!dim_is_const(c->s->m, known(c, ty_dims(c->s->m, t)[k]), &v->dims[k]) || v->dims[k] < 0) {
                diag_error(c->s->diags, SPAN_NONE, "%s: its size does not follow from the arguments", text(c, p->name));
                return false;
            }
        int64_t n = value_count(v);
        v->data = arena_alloc(c->s->arena, (size_t)(n ? n : 1) * el_bytes(v->elem));
    }
    return true;
}

static bool show_results(const Call *c) {
    bool ok = true;
    for (uint32_t i = 0; i < c->f->params.n; i++) {
        const TdlPort *p = &c->f->params.p[i];
        const Value *v = &c->args[i];
        const char *name = text(c, p->name), *file = result_file(c, name);
        if (!is_output(p) || !v->data) continue;
        if (file) ok &= value_write_npy(c->s, file, v);
        else if (!c->f->script) {
            TdlrtArg arg = {v->data, v->dims, (int32_t)v->elem, (int32_t)v->rank};
            printf("%s = ", name);
            fflush(stdout);
            tdlrt_print("{}", &arg, 1, NULL);
        }
    }
    return ok;
}

/* ---- the call ---- */

typedef int (*Entry)(void **args);

/* The array that `f.call` takes: addresses of scalars, pointers themselves. */
static int invoke(Call *c, void *address) {
    uint32_t n = 0, nd = c->f->dims.n;
    void **args = ARENA_ARRAY(c->s->arena, void *, nd + c->f->params.n + 2);
    int64_t *dims = ARENA_ARRAY(c->s->arena, int64_t, nd + 1);
    size_t *bytes = ARENA_NEW(c->s->arena, size_t);
    Entry entry;
    for (uint32_t i = 0; i < nd; i++) {
        for (uint32_t k = 0; k < c->nbound; k++)
            if (sym_eq(c->names[k], c->f->dims.p[i])) dim_is_const(c->s->m, c->values[k], &dims[i]);
        args[n++] = &dims[i];
    }
    for (uint32_t i = 0; i < c->f->params.n; i++) args[n++] = c->args[i].data;
    args[n++] = NULL;
    args[n++] = bytes;
    memcpy(&entry, &address, sizeof entry);
    return entry(args);
}

static CgSymbol symbol(const char *name, void (*fn)(void)) {
    CgSymbol s = {name, NULL};
    memcpy(&s.address, &fn, sizeof s.address);
    return s;
}

/* What numbers of grad_fn stand for. */
static const char **grad_names(Session *s) {
    uint32_t n = s->m->graphs ? s->m->graphs->names.n : 0;
    const char **names = ARENA_ARRAY(s->arena, const char *, n + 1);
    for (uint32_t i = 0; i < n; i++) names[i] = sym_text(s->names, s->m->graphs->names.p[i]);
    return names;
}

/* LAPACK and BLAS, which objects with factorisations call. */
static bool load_lapack(Session *s, TdlSpan at) {
    static const char *const names[][2] = {{"liblapack.so.3", "libblas.so.3"}, {"libopenblas.so.0", NULL}, {"liblapack.so", "libblas.so"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool ok = true;
        for (int k = 0; k < 2 && names[i][k] && ok; k++) ok = dlopen(names[i][k], RTLD_NOW | RTLD_GLOBAL) != NULL;
        if (ok) return true;
    }
    diag_error(s->diags, at, "run: this needs LAPACK, and there is no liblapack.so.3: install a package that has it, such as libopenblas0 or liblapack3");
    return false;
}

/* Loads the libraries that were named, and finds every C function that is called. */
static bool load_libraries(Session *s) {
    bool ok = true;
    for (uint32_t i = 0; i < s->o->loads.n; i++)
        if (!dlopen(s->o->loads.p[i], RTLD_NOW | RTLD_GLOBAL)) {
            diag_error(s->diags, SPAN_NONE, "--load: %s", dlerror());
            ok = false;
        }
    bool lapack = false;
    for (uint32_t i = 0; i < s->m->funcs.n && ok; i++) {
        const TdlFunc *f = s->m->funcs.p[i];
        bool own = f->symbol && !strncmp(f->symbol, "tdlrt_", 6);
        if (own && !lapack) ok = lapack = load_lapack(s, f->span);
        if (!f->symbol || own || dlsym(RTLD_DEFAULT, f->symbol)) continue;
        diag_error(s->diags, f->span, "run: there is no C function `%s` here: name the shared library that has it by --load=LIB.so", f->symbol);
        ok = false;
    }
    return ok;
}

static bool execute(Call *c, CgUnit *u) {
    Session *s = c->s;
    CgSymbol symbols[] = {symbol("tdlrt_fail", (void (*)(void))tdlrt_fail),
                          symbol("tdlrt_fail_values", (void (*)(void))tdlrt_fail_values),
                          symbol("tdl_last_error", (void (*)(void))tdl_last_error),
                          symbol("tdlrt_print", (void (*)(void))tdlrt_print),
                          {"tdl.grad_names", grad_names(s)}};
    if (!load_libraries(s)) return false;
    CgJit *j = cg_jit(u, symbols, sizeof symbols / sizeof *symbols);
    void *entry = j ? cg_jit_find(j, arena_printf(s->arena, "%s.call", text(c, c->f->name))) : NULL;
    int status = entry ? invoke(c, entry) : TDL_OK;
    fflush(stdout);
    if (status != TDL_OK) diag_error(s->diags, SPAN_NONE, "%s", tdl_last_error());
    bool ok = entry && status == TDL_OK && show_results(c);
    cg_jit_free(j);
    return ok;
}

bool run_program(Session *s) {
    Call c = {.s = s, .f = find_function(s)};
    if (!c.f) return false;
    c.names = ARENA_ARRAY(s->arena, TdlSym, c.f->dims.n + 1);
    c.values = ARENA_ARRAY(s->arena, TdlDim, c.f->dims.n + 1);
    c.args = ARENA_ARRAY(s->arena, Value, c.f->params.n + 1);
    if (!check_names(&c) || !read_arguments(&c) || !given_dims(&c)) return false;
    solve_dims(&c);
    bool fits = true;
    for (uint32_t i = 0; i < c.f->params.n; i++)
        if (!is_output(&c.f->params.p[i]) && c.args[i].rank != ty_rank(s->m, ty_tensor_of(s->m, c.f->params.p[i].type)))
            fits &= check_shape(&c, i);
    if (!fits || !all_bound(&c)) return false;
    for (uint32_t i = 0; i < c.f->params.n; i++)
        if (!is_output(&c.f->params.p[i])) fits &= check_shape(&c, i);
    if (!fits || !make_results(&c)) return false;
    CgOptions opt = s->o->cg;
    opt.callers = true;
    if (!opt.cpu && !opt.target) opt.cpu = "native";
    CgUnit *u = cg_module(s->m, &opt);
    bool ok = u && cg_optimize(u) && execute(&c, u);
    cg_free(u);
    return ok;
}
