/* tdlc run: executes a script, or calls an exported function, through the JIT. Arguments come from the command line;
 * dimensions are read off the arrays. */
#include "runtime/print.h"
#include "runtime/tdl.h"
#include "tools/tdlc/call.h"
#include "tools/tdlc/native.h"

#include <stdio.h>
#include <string.h>

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

/* ---- arguments and results ---- */

static bool read_arguments(Call *c) {
    bool ok = true;
    for (uint32_t i = 0; i < c->f->params.n; i++) {
        const TdlPort *p = &c->f->params.p[i];
        const char *name = text(c, p->name), *value = call_binding(c, name);
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
        if (!is_output(p) || call_shape(c, p->type, &c->args[i])) continue;
        diag_error(c->s->diags, SPAN_NONE, "%s: its size does not follow from the arguments, or does not fit", text(c, p->name));
        return false;
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

static bool execute(Call *c) {
    Native n;
    if (!native_open(&n, c->s)) return false;
    void *entry = native_find(&n, c->f);
    int status = entry ? native_call(&n, entry, call_dims(c), c->f->dims.n, c->args, c->f->params.n) : TDL_OK;
    fflush(stdout);
    if (status != TDL_OK) diag_error(c->s->diags, SPAN_NONE, "%s", tdl_last_error());
    bool ok = entry && status == TDL_OK && show_results(c);
    native_close(&n);
    return ok;
}

bool run_program(Session *s) {
    TdlFunc *f = find_function(s);
    if (!f) return false;
    Call c = call_of(s, f);
    if (!check_names(&c) || !read_arguments(&c) || !call_given(&c)) return false;
    call_solve(&c);
    bool fits = true;
    for (uint32_t i = 0; i < c.f->params.n; i++)
        if (!is_output(&c.f->params.p[i]) && c.args[i].rank != ty_rank(s->m, ty_tensor_of(s->m, c.f->params.p[i].type)))
            fits &= call_fits(&c, i);
    if (!fits || !call_all_bound(&c)) return false;
    for (uint32_t i = 0; i < c.f->params.n; i++)
        if (!is_output(&c.f->params.p[i])) fits &= call_fits(&c, i);
    if (!fits || !make_results(&c)) return false;
    return execute(&c);
}
