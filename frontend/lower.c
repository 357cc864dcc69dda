/* The module: declarations of a file and of those it uses, functions, exports, and the script. */
#include "frontend/lower_int.h"

#include <string.h>

/* ---- declarations ---- */

static void declare(Low *L, const AstDecl *a)
{
    for (const LowDecl *d = L->decls; d; d = d->next)
        if (sym_eq(d->ast->name.name, a->name.name) && a->name.name.id) {
            low_error(L, a->name.span, "`%s` is declared twice", low_name(L, a->name.name));
            diag_note(L->diags, d->ast->name.span, "first here");
            return;
        }
    TdlElem e;
    if (low_elem_name(L, a->name.name, &e)) low_error(L, a->name.span, "`%s` is a type: it names nothing else", low_name(L, a->name.name));
    LowDecl *d = ARENA_NEW(L->arena, LowDecl);
    *d = (LowDecl){.ast = a, .walked = ARENA_NEW(L->arena, bool)};
    const LowDecl **tail = &L->decls;
    while (*tail) tail = (const LowDecl **)&((LowDecl *)*tail)->next;
    *tail = d;
}

static const char *folder_of(Low *L, uint32_t file)
{
    const char *name = sources_name(L->m->sources, file), *slash = strrchr(name, '/');
    return slash ? arena_strndup(L->arena, name, (size_t)(slash - name + 1)) : "";
}

static void declare_file(Low *L, const AstFile *f);

static void use_file(Low *L, const AstDecl *a, uint32_t from)
{
    const char *why = NULL, *path = a->path[0] == '/' ? a->path : arena_printf(L->arena, "%s%s", folder_of(L, from), a->path);
    uint32_t n = 0;
    for (uint32_t i = 0; i < L->used.n; i++)
        if (!strcmp(L->used.p[i], path)) return;
    n = sources_read(L->m->sources, path, &why);
    const char *first = why;
    for (uint32_t i = 0; !n && L->opt && i < L->opt->ninclude; i++) {
        const char *p = arena_printf(L->arena, "%s/%s", L->opt->include_dirs[i], a->path);
        for (uint32_t k = 0; k < L->used.n; k++)
            if (!strcmp(L->used.p[k], p)) return;
        n = sources_read(L->m->sources, p, &why);
        if (n) path = p;
    }
    if (!n) {
        low_error(L, a->span, "use: cannot read \"%s\": %s", a->path, first ? first : "no such file");
        return;
    }
    VEC_PUSH(L->arena, L->used, path);
    if (L->opt && L->opt->on_use) L->opt->on_use(L->opt->user, path);
    declare_file(L, parse_file(L->arena, L->names, L->diags, n));
}

static void declare_file(Low *L, const AstFile *f)
{
    for (uint32_t i = 0; i < f->top->stmts.n; i++) {
        const AstStmt *s = f->top->stmts.p[i];
        if (s->kind != AST_DECL) continue;
        if (s->decl->kind == AST_USE) use_file(L, s->decl, f->file);
        else if (s->decl->kind == AST_DERIVATIVE) low_declare_rule(L, s->decl, false);
        else if (s->decl->kind != AST_INPUT) declare(L, s->decl);
    }
}

/* ---- functions ---- */

void low_check_fixes(Low *L, const LowInst *s)
{
    for (uint32_t i = 0; s->fix && L->opt && i < L->opt->nfixes; i++)
        for (uint32_t k = 0; k < s->ndims; k++) {
            const char *n = low_name(L, s->dims[k]);
            if (strcmp(n, L->opt->fixes[i].name)) continue;
            TdlVal c = ir_binary(&L->b, OP_EQ, ir_dim(&L->b, dim_var(L->m, s->dims[k])), ir_const_int(&L->b, EL_I64, L->opt->fixes[i].value));
            TdlOp o = ir_emit(&L->b, OP_ASSERT, &c, 1, NULL, 0);
            const char *msg = arena_printf(L->arena, "compiled for %s = %lld", n, (long long)L->opt->fixes[i].value);
            op_set_str(L->b.f, o, "msg", msg, (uint32_t)strlen(msg));
        }
}

static bool plain_result(LowValue v)
{
    if (v.kind == LV_TUPLE || v.kind == LV_STRUCT) {
        for (uint32_t i = 0; i < v.n; i++)
            if (!plain_result(v.elems[i])) return false;
        return true;
    }
    return lv_is_num(v) || v.kind == LV_UNIT;
}

/* A path without return: an error when every path is one, else a check at run time. */
static bool all_paths_return(Low *L, const AstDecl *d)
{
    LowFrame *f = L->frame;
    if (f->ret.val.kind == LV_BOOL) return f->ret.val.i != 0;
    const AstBlock *b = d ? d->body : NULL;
    AstStmtKind last = b && b->stmts.n ? b->stmts.p[b->stmts.n - 1]->kind : AST_EXPR;
    if (last != AST_WHILE && last != AST_FOR) return false;
    TdlOp o = ir_emit(&L->b, OP_ASSERT, &f->ret.val.v, 1, NULL, 0);
    const char *msg = arena_printf(L->arena, "%s ended without a result", d ? low_name(L, d->name.name) : "function");
    op_set_str(L->b.f, o, "msg", msg, (uint32_t)strlen(msg));
    return true;
}

const LowType *low_finish_function(Low *L, const AstDecl *d, const LowType *declared, TdlFunc *f)
{
    LowValue v = L->frame->retv.val;
    if (lv_is_err(v)) { ir_emit(&L->b, OP_RETURN, NULL, 0, NULL, 0); return declared; }
    if (!all_paths_return(L, d) && declared && declared->kind != LT_UNIT) {
        low_error(L, d->name.span, "%s: the end is reached without a result of type %s", low_name(L, d->name.name), lt_text(L, declared));
        return declared;
    }
    if (!plain_result(v)) {
        low_error(L, d ? d->name.span : L->b.span, "%s: the result would be %s: only numbers, tensors and their tuples and structs can be returned",
                  d ? low_name(L, d->name.name) : "function", lv_text(L, v));
        return NULL;
    }
    v = low_concrete(L, v);
    TdlVals leaves = {0};
    low_flatten(L, v, &leaves);
    bool known = true;
    for (uint32_t i = 0; i < leaves.n; i++) known &= ir_type_at_entry(f, ir_type(f, leaves.p[i]));
    if (!known) {
        low_error(L, d ? d->name.span : L->b.span, "the result's size (%s) is computed inside the function: pass it in as a dimension", lv_text(L, v));
        return NULL;
    }
    if (!declared) low_result_ports(L, f, low_type_of(L, v), "out", -1);
    ir_emit(&L->b, OP_RETURN, leaves.p, leaves.n, NULL, 0);
    return declared ? declared : low_type_of(L, v);
}

/* ---- the file ---- */

static bool has_bound(const AstDecl *a)
{
    for (uint32_t i = 0; i < a->generics.n; i++)
        if (a->generics.p[i].pack || a->generics.p[i].bound.id) return true;
    return false;
}

static bool is_generic(const AstDecl *a)
{
    if (has_bound(a)) return true;
    for (uint32_t i = 0; i < a->params.n; i++)
        if (!a->params.p[i].type || a->params.p[i].type->kind == AST_TY_FN) return true;
    return false;
}

static bool has_static(Low *L, const AstDecl *a)
{
    for (uint32_t i = 0; i < a->params.n; i++) {
        const char *n = a->params.p[i].type ? low_name(L, a->params.p[i].type->name.name) : "";
        if (!strcmp(n, "static") || !strcmp(n, "str") || !strcmp(n, "int") || !strcmp(n, "float")) return true;
    }
    return false;
}

static void lower_decl(Low *L, const LowDecl *d)
{
    const AstDecl *a = d->ast;
    const char *n = low_name(L, a->name.name);
    switch (a->kind) {
    case AST_FN:
        if (is_generic(a) || has_static(L, a)) {
            if (a->exported) low_error(L, a->name.span, "%s: an exported function has a type with dimensions for each parameter, not generic or function parameters", n);
            return;
        }
        low_instance(L, d, &(LowTyBinds){0}, ARENA_ARRAY(L->arena, LowValue, a->params.n + 1), a->name.span);
        return;
    case AST_LETDECL: low_export_let(L, d); return;
    case AST_EXTERN:
        if (!has_bound(a)) low_instance(L, d, &(LowTyBinds){0}, ARENA_ARRAY(L->arena, LowValue, a->params.n + 1), a->name.span);
        return;
    default: return;
    }
}

static bool has_script(const AstFile *f)
{
    for (uint32_t i = 0; i < f->top->stmts.n; i++) {
        const AstStmt *s = f->top->stmts.p[i];
        if (s->kind != AST_DECL || s->decl->kind == AST_INPUT) return true;
    }
    return false;
}

bool lower_file(TdlModule *m, const AstFile *f, const TdlLowerOptions *opt)
{
    size_t before = diags_errors(m->diags);
    Low L = {.m = m, .arena = m->arena, .names = m->names, .diags = m->diags, .opt = opt};
    VEC_PUSH(L.arena, L.used, sources_name(m->sources, f->file));
    declare_file(&L, f);
    for (uint32_t i = 0; opt && i < opt->nmore; i++) declare_file(&L, opt->more[i]);
    low_check_rules(&L);
    for (const LowDecl *d = L.decls; d; d = d->next) lower_decl(&L, d);
    low_export_names(&L);
    if (has_script(f)) low_script(&L, f);
    low_check_unused(&L);
    return diags_errors(m->diags) == before;
}
