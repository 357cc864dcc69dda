/* Loop IR through the JIT, with the libraries that it calls. */
#include "tools/tdlc/native.h"
#include "ir/graph.h"
#include "runtime/object/bodies.h"
#include "runtime/print.h"
#include "runtime/tdl.h"

#include <dlfcn.h>
#include <string.h>

typedef int (*Entry)(void **args);

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

/* The OpenMP runtime; any has what objects call. */
static bool load_openmp(Session *s) {
    static const char *const names[] = {"libgomp.so.1", "libomp.so.5", "libomp.so"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (dlopen(names[i], RTLD_NOW | RTLD_GLOBAL)) return true;
    diag_error(s->diags, SPAN_NONE, "-fopenmp: there is no OpenMP runtime (libgomp.so.1 or libomp.so.5) here: install libgomp1, or leave -fopenmp out");
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
    if (ok && cg_uses_threads(s->m)) ok = load_openmp(s);
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

static CgJit *link(Native *n) {
    Session *s = n->s;
    CgSymbol symbols[] = {symbol("tdlrt_fail", (void (*)(void))tdlrt_fail),
                          symbol("tdlrt_fail_values", (void (*)(void))tdlrt_fail_values),
                          symbol("tdl_last_error", (void (*)(void))tdl_last_error),
                          symbol("tdlrt_print", (void (*)(void))tdlrt_print),
                          {"tdl.grad_names", grad_names(s)}};
    return load_libraries(s) ? cg_jit(n->u, symbols, sizeof symbols / sizeof *symbols) : NULL;
}

bool native_open(Native *n, Session *s) {
    CgOptions opt = s->o->cg;
    *n = (Native){.s = s};
    opt.callers = true;
    n->u = cg_module(s->m, &opt);
    if (n->u && cg_optimize(n->u)) n->j = link(n);
    if (!n->j) native_close(n);
    return n->j != NULL;
}

void *native_find(Native *n, const TdlFunc *f) {
    return cg_jit_find(n->j, arena_printf(n->s->arena, "%s.call", sym_text(n->s->names, f->name)));
}

/* The array that `f.call` takes: addresses of scalars, pointers themselves; no workspace: the function allocates. */
int native_call(const Native *n, void *address, int64_t *dims, uint32_t ndims, const Value *params, uint32_t nparams) {
    void **args = ARENA_ARRAY(n->s->arena, void *, ndims + nparams + 2);
    size_t bytes = 0;
    uint32_t k = 0;
    Entry entry;
    for (uint32_t i = 0; i < ndims; i++) args[k++] = &dims[i];
    for (uint32_t i = 0; i < nparams; i++) args[k++] = params[i].data;
    args[k++] = NULL;
    args[k++] = &bytes;
    memcpy(&entry, &address, sizeof entry);
    return entry(args);
}

void native_close(Native *n) {
    cg_jit_free(n->j);
    cg_free(n->u);
    n->j = NULL;
    n->u = NULL;
}
