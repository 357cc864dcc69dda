/* Instances: a declaration for given type parameters, ranks and static arguments becomes a function of the IR. */
#include "frontend/lower_int.h"

#include <string.h>

/* ---- static arguments, and the key that they make ---- */

static void string_text(const char *s, size_t n, TdlStr *out)
{
    str_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') str_printf(out, "\\x%02x", c);
        else str_putc(out, (char)c);
    }
    str_putc(out, '"');
}

/* As a program writes it: equal texts are equal values of one kind. */
static void static_text(const Low *L, LowValue v, TdlStr *out)
{
    int64_t c = 0;
    switch (v.kind) {
    case LV_NONE: str_puts(out, "none"); break;
    case LV_STR: string_text(v.s, v.n, out); break;
    case LV_BOOL: str_puts(out, v.i ? "true" : "false"); break;
    case LV_FLOAT: str_double(out, v.f); break;
    case LV_ELEM: str_puts(out, el_name(v.elem)); break;
    case LV_INT: lv_int_const(L, v, &c); str_printf(out, "%lld", (long long)c); break;
    case LV_TUPLE:
        str_putc(out, '(');
        for (uint32_t i = 0; i < v.n; i++) {
            if (i) str_putc(out, ',');
            static_text(L, v.elems[i], out);
        }
        str_putc(out, ')');
        break;
    default: break;
    }
}

static const char *instance_key(Low *L, const LowDecl *d, const LowTyBinds *tys, const LowValue *statics)
{
    TdlStr s = str_new(L->arena);
    str_puts(&s, low_name(L, d->ast->name.name));
    for (uint32_t i = 0; i < tys->n; i++)
        if (tys->p[i].pack) str_printf(&s, ".%u", tys->p[i].rank);
        else str_printf(&s, ".%s", el_name(tys->p[i].elem));
    for (uint32_t i = 0; i < d->ast->params.n; i++) {
        if (statics[i].kind == LV_ERROR) continue;
        str_putc(&s, '.');
        static_text(L, statics[i], &s);
    }
    return s.p;
}

/* The key as an identifier of the text form; two keys may have one name. */
static const char *instance_name(Low *L, const char *key)
{
    TdlStr s = str_new(L->arena);
    for (; *key; key++) {
        bool word = (*key >= 'a' && *key <= 'z') || (*key >= 'A' && *key <= 'Z') || (*key >= '0' && *key <= '9') || *key == '_' || *key == '.';
        if (*key == '(' || *key == ')' || *key == '"') continue;
        str_putc(&s, word ? *key : *key == '-' ? 'm' : '_');
    }
    return s.p;
}

/* ---- making an instance ---- */

void low_add_ports(Low *L, TdlFunc *f, const LowType *t, TdlSym name, LowValue *v)
{
    if (t->kind == LT_TENSOR) {
        *v = lv_tensor(ir_func_add_param(f, name, t->t, NULL));
        return;
    }
    *v = (LowValue){.kind = t->kind == LT_STRUCT ? LV_STRUCT : LV_TUPLE, .n = t->n, .decl = t->decl};
    v->elems = ARENA_ARRAY(L->arena, LowValue, t->n);
    for (uint32_t k = 0; k < t->n; k++) {
        const char *part = t->kind == LT_STRUCT ? low_name(L, t->decl->ast->params.p[k].name.name) : arena_printf(L->arena, "%u", k);
        low_add_ports(L, f, t->elems[k], intern(L->names, arena_printf(L->arena, "%s_%s", low_name(L, name), part)), &v->elems[k]);
    }
}

void low_result_ports(Low *L, TdlFunc *f, const LowType *t, const char *name, int32_t cotangent_of)
{
    if (t->kind == LT_TENSOR) {
        VEC_PUSH(L->m->arena, f->results, ((TdlPort){.name = intern(L->names, name), .type = t->t, .cotangent_of = cotangent_of, .prior_of = -1}));
        return;
    }
    for (uint32_t k = 0; k < t->n; k++) {
        const char *part = t->kind == LT_STRUCT ? low_name(L, t->decl->ast->params.p[k].name.name) : arena_printf(L->arena, "%u", k);
        low_result_ports(L, f, t->elems[k], arena_printf(L->arena, "%s_%s", name, part), cotangent_of);
    }
}

static void run_instance(Low *L, LowInst *s, LowValue *params)
{
    const AstDecl *a = s->decl->ast;
    TdlBuilder old = L->b;
    bool script = L->in_script;
    LowLeaf *leaves = L->leaves;
    L->leaves = NULL;
    L->in_script = false;
    s->state = INST_RUNNING;
    L->b = ir_at_end(s->f, s->f->body, a->span);
    LowFrame *f = low_push_frame(L, low_name(L, a->name.name), s->call);
    f->depth = 0;
    f->inst = s;
    f->library = s->decl->library;
    f->dims = s->binds;
    f->tys = s->tys;
    f->result = s->result;
    f->deflt = low_default_float(L, s);
    for (uint32_t i = 0; i < s->nparams; i++) low_bind(L, a->params.p[i].name.name, params[i], false, a->params.p[i].span);
    low_check_fixes(L, s);
    low_push_scope(L, BARRIER_NONE);
    low_body(L, a);
    s->result = low_finish_function(L, a, s->result, s->f);
    low_pop_frame(L);
    L->b = old;
    L->in_script = script;
    L->leaves = leaves;
    s->state = INST_DONE;
}

/* A C function: its symbol is the name, or what is written behind `=`, with _f32 or _f64 for each type parameter. */
static void extern_instance(Low *L, LowInst *s)
{
    const AstDecl *a = s->decl->ast;
    const char *symbol = a->extern_symbol ? a->extern_symbol : low_name(L, a->name.name);
    for (uint32_t i = 0; i < s->tys.n; i++) {
        TdlElem e = s->tys.p[i].elem;
        if (s->tys.p[i].pack) continue;
        symbol = arena_printf(L->arena, "%s_%s", symbol, el_name(e));
        if (s->decl->library && (e == EL_F16 || e == EL_BF16))
            low_error(L, a->span, "LAPACK does not compute with %s: convert with f32(...)", el_name(e));
    }
    s->f->symbol = sym_text(L->names, intern(L->names, symbol));
    s->state = INST_DONE;
    bool word = symbol[0] && !(symbol[0] >= '0' && symbol[0] <= '9');
    for (const char *p = symbol; *p; p++)
        word &= (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_';
    if (!word) low_error(L, a->span, "extern fn: \"%s\" is not the name of a C function", symbol);
    if (!s->decl->library && !strncmp(symbol, "tdl", 3) && (symbol[3] == '_' || !strncmp(symbol + 3, "rt_", 3)))
        low_error(L, a->span, "extern fn: names that begin with tdl_ and tdlrt_ are the compiler's own");
    if (!s->result || s->result->kind == LT_UNIT) {
        s->result = NULL;
        low_error(L, a->name.span, "extern fn: %s needs a result type: -> f64[n]", low_name(L, a->name.name));
    }
}

static bool has_statics(const LowDecl *d, const LowValue *statics)
{
    for (uint32_t i = 0; i < d->ast->params.n; i++)
        if (statics[i].kind != LV_ERROR) return true;
    return false;
}

LowInst *low_instance(Low *L, const LowDecl *d, const LowTyBinds *tys, const LowValue *statics, TdlSpan at)
{
    const char *key = instance_key(L, d, tys, statics);
    for (LowInst *i = L->insts; i; i = i->next)
        if (i->decl == d && !strcmp(i->key, key)) return i;
    if (++L->ninsts > LOW_MAX_INSTANCES) {
        low_error(L, at, "more than %d instances of functions: a generic function calls itself with ever new types", LOW_MAX_INSTANCES);
        return NULL;
    }
    if (L->depth > LOW_MAX_DEPTH) {
        low_error(L, at, "functions are nested too deeply here (%s)", key);
        return NULL;
    }
    LowInst *s = ARENA_NEW(L->arena, LowInst);
    s->key = key;
    *d->walked = true;
    s->call = d->library || tys->n || has_statics(d, statics) ? at : SPAN_NONE;
    s->statics = arena_memdup(L->arena, statics, sizeof *statics * d->ast->params.n);
    s->fix = d->ast->exported && !d->library;
    bool ok = low_signature(L, s, d, tys, statics);
    s->next = NULL;
    if (L->insts_tail) L->insts_tail->next = s; else L->insts = s;
    L->insts_tail = s;
    if (!ok) { s->state = INST_DONE; return s; }
    const char *name = instance_name(L, key);
    bool taken = ir_func_find(L->m, intern(L->names, name)) != NULL;
    s->f = ir_func_new(L->m, taken ? ir_fresh(L->m, name) : intern(L->names, name), d->ast->name.span);
    s->f->exported = d->ast->exported && !d->library;
    s->f->doc = d->ast->doc;
    for (uint32_t i = 0; i < s->ndims; i++) VEC_PUSH(L->m->arena, s->f->dims, s->dims[i]);
    LowValue *params = ARENA_ARRAY(L->arena, LowValue, s->nparams);
    TdlBuilder old = L->b;
    L->b = ir_at_end(s->f, s->f->body, d->ast->span);
    for (uint32_t i = 0; i < s->nparams; i++) {
        if (s->params[i]->kind == LT_STATIC) params[i] = statics[i];
        else low_add_ports(L, s->f, s->params[i], d->ast->params.p[i].name.name, &params[i]);
    }
    L->b = old;
    if (s->result) low_result_ports(L, s->f, s->result, "out", -1);
    L->depth += 4;
    if (d->ast->kind == AST_EXTERN) extern_instance(L, s);
    else run_instance(L, s, params);
    low_instance_rules(L, s);
    L->depth -= 4;
    return s;
}

bool low_instance_finish(Low *L, LowInst *i)
{
    if (!i || !i->f) return false;
    if (i->result) return true;
    if (i->state == INST_RUNNING)
        low_error(L, i->decl->ast->name.span, "%s calls itself: write its result type: -> f64[n]", low_name(L, i->decl->ast->name.name));
    return false;
}
