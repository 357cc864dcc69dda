/* Declarations by name: the user's, then the library's, whose files are parsed when a name of theirs is first used. */
#include "frontend/lower_int.h"
#include "support/embed.h"

#include <string.h>

extern const TdlEmbedded std_files[];

static const LowDecl *find(const LowDecl *d, TdlSym name)
{
    for (; d; d = d->next)
        if (sym_eq(d->ast->name.name, name)) return d;
    return NULL;
}

/* Does the file declare `fn name` or `extern fn name` at the start of a line? */
static bool declares(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = text; p; p = strchr(p, '\n')) {
        if (*p == '\n') p++;
        if (!strncmp(p, "extern ", 7)) p += 7;
        if (strncmp(p, "fn ", 3) || strncmp(p + 3, name, n)) continue;
        if (p[3 + n] == '[' || p[3 + n] == '(') return true;
    }
    return false;
}

static void load(Low *L, uint32_t i)
{
    L->libloaded[i] = true;
    uint32_t file = sources_add(L->m->sources, arena_printf(L->arena, "<library>/%s", std_files[i].name), std_files[i].text, std_files[i].n);
    AstFile *f = parse_file(L->arena, L->names, L->diags, file);
    for (uint32_t k = 0; k < f->top->stmts.n; k++) {
        const AstStmt *s = f->top->stmts.p[k];
        if (s->kind != AST_DECL) continue;
        if (s->decl->kind == AST_DERIVATIVE) {
            low_declare_rule(L, s->decl, true);
            continue;
        }
        LowDecl *d = ARENA_NEW(L->arena, LowDecl);
        *d = (LowDecl){.ast = s->decl, .library = true, .walked = ARENA_NEW(L->arena, bool), .next = L->libdecls};
        for (uint32_t a = 0; a < s->decl->attrs.n; a++)
            if (strstr(low_name(L, s->decl->attrs.p[a].name), "Backward")) d->grad_fn = s->decl->attrs.p[a].name;
        L->libdecls = d;
    }
}

const LowDecl *low_find_decl(Low *L, TdlSym name)
{
    bool lib = L->frame && L->frame->library;
    const LowDecl *d = lib ? NULL : find(L->decls, name);
    if (d) return d;
    if (!L->libloaded) {
        uint32_t n = 0;
        while (std_files[n].name) n++;
        L->libloaded = ARENA_ARRAY(L->arena, bool, n + 1);
    }
    d = find(L->libdecls, name);
    for (uint32_t i = 0; !d && std_files[i].name; i++) {
        if (L->libloaded[i] || !declares(std_files[i].text, low_name(L, name))) continue;
        load(L, i);
        d = find(L->libdecls, name);
    }
    return d;
}
