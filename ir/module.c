/* Modules, functions and the names in use in them. */
#include "ir/dim.h"
#include "ir/type.h"

#include <string.h>

/* Names of functions and dimension variables, for ir_fresh; by symbol id. */
typedef struct {
    bool used;
    uint32_t next; /* as a base: suffixes up to this one are tried */
    TdlFunc *func; /* found here without a search; f->name is checked, since it may be changed */
} NameData;
struct TdlNameTable { TDL_VEC(NameData) names; };

TdlModule *ir_module_new(TdlArena *a, TdlInterner *in, TdlSources *s, TdlDiags *d) {
    TdlModule *m = ARENA_NEW(a, TdlModule);
    m->arena = a;
    m->names = in;
    m->sources = s;
    m->diags = d;
    m->used = ARENA_NEW(a, struct TdlNameTable);
    ty_table_new(m);
    dim_table_new(m);
    return m;
}

static NameData *name_data(TdlModule *m, TdlSym name) {
    struct TdlNameTable *t = m->used;
    VEC_RESERVE(m->arena, t->names, name.id + 1);
    if (t->names.n <= name.id) {
        memset(t->names.p + t->names.n, 0, (name.id + 1 - t->names.n) * sizeof *t->names.p);
        t->names.n = name.id + 1;
    }
    return &t->names.p[name.id];
}

void ir_name_use(TdlModule *m, TdlSym name) { name_data(m, name)->used = true; }

TdlSym ir_fresh(TdlModule *m, const char *base) {
    TdlSym b = intern(m->names, base), s = b;
    while (name_data(m, s)->used) s = intern(m->names, arena_printf(m->arena, "%s.%u", base, ++name_data(m, b)->next));
    ir_name_use(m, s);
    return s;
}

TdlFunc *ir_func_new(TdlModule *m, TdlSym name, TdlSpan span) {
    TdlFunc *f = ARENA_NEW(m->arena, TdlFunc);
    f->module = m;
    f->name = name;
    f->span = span;
    VEC_PUSH(m->arena, f->ops, (TdlOpData){0});
    VEC_PUSH(m->arena, f->vals, (TdlValData){0});
    VEC_PUSH(m->arena, f->regions, (TdlRegionData){0});
    f->body = ir_region_new(f, (TdlOp){0});
    name_data(m, name)->used = true;
    name_data(m, name)->func = f;
    VEC_PUSH(m->arena, m->funcs, f);
    return f;
}

TdlFunc *ir_func_find(const TdlModule *m, TdlSym name) {
    const struct TdlNameTable *t = m->used;
    if (name.id >= t->names.n || !t->names.p[name.id].used) return NULL;
    TdlFunc *f = t->names.p[name.id].func;
    if (f && sym_eq(f->name, name)) return f;
    for (uint32_t i = 0; i < m->funcs.n; i++) /* a dimension's name, or that of a function renamed in place */
        if (sym_eq(m->funcs.p[i]->name, name)) return m->funcs.p[i];
    return NULL;
}

static void forget(TdlModule *m, const TdlFunc *f) {
    name_data(m, f->name)->used = false;
    name_data(m, f->name)->func = NULL;
}

TdlSym ir_name_beside(const TdlFunc *f, const char *suffix, TdlSym *general) {
    TdlModule *m = f->module;
    const char *name = sym_text(m->names, f->name), *of = f->general.id ? sym_text(m->names, f->general) : name;
    *general = f->general.id ? intern(m->names, arena_printf(m->arena, "%s%s", of, suffix)) : SYM_NONE;
    return intern(m->names, arena_printf(m->arena, "%s%s%s", of, suffix, name + strlen(of)));
}

void ir_func_remove(TdlModule *m, TdlFunc *f) {
    uint32_t k = 0;
    for (uint32_t i = 0; i < m->funcs.n; i++)
        if (m->funcs.p[i] != f) m->funcs.p[k++] = m->funcs.p[i];
    m->funcs.n = k;
    forget(m, f);
}

void ir_funcs_keep(TdlModule *m, const bool *keep) {
    uint32_t k = 0;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        if (keep[i]) m->funcs.p[k++] = m->funcs.p[i];
        else forget(m, m->funcs.p[i]);
    }
    m->funcs.n = k;
}

TdlVal ir_func_add_param(TdlFunc *f, TdlSym name, TdlType t, const char *doc) {
    VEC_PUSH(f->module->arena, f->params, ((TdlPort){.name = name, .doc = doc, .type = t, .cotangent_of = -1, .prior_of = -1}));
    return ir_region_arg(f, f->body, t, name);
}
