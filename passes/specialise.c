/* specialise (`--specialise d=10,k=25`): beside each exported function that has these dimensions a case of it, for these
 * values. The object tests the dimensions when the function is called, and runs the case.
 *
 *     func @f<n, d>(%0 x: f64[n, d]) -> (out: f64) {export} { %1 = sum %0 {axes = [0, 1]} ... }
 *
 * stays, and has beside it
 *
 *     func @f.d_10<n, d>(%0 x: f64[n, 10]) -> (out: f64) {export, case = @f<n, 10>} { %1 = sum %0 {axes = [0, 1]} ... }
 *
 * What a case derives is made for its sizes, too: the callee of a `vjp` with `dims = <n, 10>` becomes @g.d_10. Calls stay:
 * they are recursive, of C, or have a rule. Where several cases fit a call the one with most values comes first, then in the
 * order of the command line; so they stand in the module. Cost: linear in the code, for each case. */
#include "passes/pass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the option ---- */

const char *pass_dim_fix(TdlArena *a, const char *text, TdlDimFix *fix) {
    const char *eq = strchr(text, '=');
    char *end = NULL;
    errno = 0;
    long long value = eq ? strtoll(eq + 1, &end, 10) : -1;
    if (!eq || eq == text || end == eq + 1 || errno || value < 0 || (*end && *end != ',')) return NULL;
    *fix = (TdlDimFix){arena_strndup(a, text, (size_t)(eq - text)), value};
    return end;
}

static const int64_t *value_of(const TdlCase *c, const char *name) {
    for (uint32_t i = 0; i < c->fixes.n; i++)
        if (!strcmp(c->fixes.p[i].name, name)) return &c->fixes.p[i].value;
    return NULL;
}

const char *pass_case(TdlArena *a, const char *text, TdlCase *out) {
    *out = (TdlCase){.text = text};
    for (const char *p = text;; p++) {
        TdlDimFix fix;
        p = pass_dim_fix(a, p, &fix);
        if (!p) return "expected dimensions and their sizes, as in d=10 or d=64,k=25, not";
        if (value_of(out, fix.name)) return "a dimension is named twice in";
        VEC_PUSH(a, out->fixes, fix);
        if (!*p) return NULL;
    }
}

bool pass_case_same(const TdlCase *a, const TdlCase *b) {
    for (uint32_t i = 0; i < a->fixes.n; i++) {
        const int64_t *v = value_of(b, a->fixes.p[i].name);
        if (!v || *v != a->fixes.p[i].value) return false;
    }
    return a->fixes.n == b->fixes.n;
}

/* ---- functions for some values of their dimensions ---- */

/* What is being made; `up` is what it is made for. */
typedef struct Maker { TdlModule *m; const TdlFunc *of; const struct Maker *up; } Maker;

static bool busy(const Maker *k, const TdlFunc *f) {
    for (; k; k = k->up)
        if (k->of == f) return true;
    return false;
}

/* f.d_10.k_25 */
static TdlSym name_at(const TdlFunc *f, const TdlDim *at) {
    TdlModule *m = f->module;
    TdlStr s = str_new(m->arena);
    int64_t c;
    str_puts(&s, sym_text(m->names, f->name));
    for (uint32_t i = 0; i < f->dims.n; i++)
        if (dim_is_const(m, at[i], &c)) str_printf(&s, ".%s_%lld", sym_text(m->names, f->dims.p[i]), (long long)c);
    return intern(m->names, s.p);
}

static TdlFunc *make(TdlModule *m, const TdlFunc *f, const TdlDim *at, const Maker *up);

/* The callee of a derivative at sizes that are known. */
static void fix_callee(void *user, TdlFunc *f, TdlOp o) {
    const Maker *k = user;
    TdlOpcode code = ir_op(f, o)->code;
    const TdlAttr *dims = op_attr(f, o, "dims");
    if (!dims || (code != OP_VJP && code != OP_JVP && code != OP_PATTERN)) return;
    const TdlFunc *g = ir_func_find(k->m, intern(k->m->names, op_str(f, o, "callee")));
    if (g->symbol || g->reverse.id || g->forward.id || busy(k, g)) return;
    TdlDim *at = ARENA_ARRAY(k->m->arena, TdlDim, dims->n);
    bool any = false;
    for (uint32_t i = 0; i < dims->n; i++) {
        bool fixed = dim_is_const(k->m, dims->dims[i], &(int64_t){0});
        at[i] = fixed ? dims->dims[i] : dim_var(k->m, g->dims.p[i]);
        any |= fixed;
    }
    if (!any) return;
    const char *name = sym_text(k->m->names, make(k->m, g, at, k)->name);
    op_set_str(f, o, "callee", name, (uint32_t)strlen(name));
}

/* f where its dimensions are `at`: constants, or the variables themselves. Made once, and not exported. */
static TdlFunc *make(TdlModule *m, const TdlFunc *f, const TdlDim *at, const Maker *up) {
    TdlSym name = name_at(f, at);
    TdlFunc *g = ir_func_find(m, name);
    if (g) return g;
    TdlDimMap map = {.arena = m->arena};
    for (uint32_t i = 0; i < f->dims.n; i++) dimmap_add(&map, f->dims.p[i], at[i]);
    g = ir_clone_func(m, f, name, &map);
    g->exported = false;
    g->split = 0;
    Maker k = {m, f, up};
    ir_walk(g, g->body, fix_callee, &k);
    return g;
}

/* ---- the pass ---- */

static bool has_dims(const TdlFunc *f, const TdlCase *c) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < f->dims.n; i++) found += value_of(c, sym_text(f->module->names, f->dims.p[i])) != NULL;
    return f->exported && !f->general.id && found == c->fixes.n;
}

static bool sizes_fit(const TdlFunc *f, const TdlFunc *g, const TdlCase *c, bool params) {
    TdlModule *m = f->module;
    for (uint32_t i = 0; i < (params ? g->params.n : g->results.n); i++) {
        const TdlPort *p = params ? &g->params.p[i] : &g->results.p[i];
        for (uint32_t k = 0; k < ty_rank(m, p->type); k++) {
            int64_t n;
            if (!dim_is_const(m, ty_dims(m, p->type)[k], &n) || n >= 0) continue;
            TdlStr t = str_new(m->arena);
            ty_print(m, p->type, &t);
            diag_error(m->diags, f->span, "--specialise %s: a size is negative: %s: %s", c->text, sym_text(m->names, p->name), t.p);
            return false;
        }
    }
    return true;
}

/* Cases are tried as they stand in the module; this one may have been made before, for a derivative. */
static void move_to_end(TdlModule *m, TdlFunc *f) {
    uint32_t i = 0;
    while (m->funcs.p[i] != f) i++;
    for (; i + 1 < m->funcs.n; i++) m->funcs.p[i] = m->funcs.p[i + 1];
    m->funcs.p[i] = f;
}

static bool add_case(TdlModule *m, const TdlFunc *f, const TdlCase *c) {
    TdlDims at = {0};
    for (uint32_t i = 0; i < f->dims.n; i++) {
        const int64_t *v = value_of(c, sym_text(m->names, f->dims.p[i]));
        VEC_PUSH(m->arena, at, v ? dim_const(m, *v) : dim_var(m, f->dims.p[i]));
    }
    dim_at(m, f->span);
    TdlFunc *g = make(m, f, at.p, NULL);
    g->exported = true;
    g->split = f->split;
    g->general = f->name;
    g->at = at;
    move_to_end(m, g);
    return sizes_fit(f, g, c, true) && sizes_fit(f, g, c, false);
}

static bool add_cases(TdlModule *m, const TdlCase *c, uint32_t nfuncs) {
    bool any = false;
    for (uint32_t i = 0; i < nfuncs; i++) {
        if (!has_dims(m->funcs.p[i], c)) continue;
        any = true;
        if (!add_case(m, m->funcs.p[i], c)) return false;
    }
    if (!any) diag_error(m->diags, SPAN_NONE, "--specialise %s: no exported function has %s", c->text,
                         c->fixes.n > 1 ? "these dimensions" : "this dimension");
    return any;
}

bool pass_specialise(TdlModule *m, const TdlPassOptions *opt) {
    uint32_t nfuncs = m->funcs.n, most = 0;
    for (uint32_t i = 0; i < opt->ncases; i++)
        if (opt->cases[i].fixes.n > most) most = opt->cases[i].fixes.n;
    for (uint32_t n = most; n > 0; n--)
        for (uint32_t i = 0; i < opt->ncases; i++)
            if (opt->cases[i].fixes.n == n && !add_cases(m, &opt->cases[i], nfuncs)) return false;
    return true;
}
