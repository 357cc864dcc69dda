/* The stages of tdlc: reading, lowering, passes with what the user wants to see between them. */
#include "tools/tdlc/session.h"
#include "frontend/lower.h"

#include <stdio.h>
#include <string.h>

/* ---- front ---- */

static uint32_t read_input(Session *s) {
    const char *why = NULL;
    uint32_t file = sources_read(s->sources, s->o->input, &why);
    if (!file) diag_error(s->diags, SPAN_NONE, "%s", why);
    return file;
}

static bool is_ir_text(const char *path) {
    size_t n = strlen(path);
    return n > 4 && !strcmp(path + n - 4, ".tir");
}

static void note_dep(void *user, const char *path) {
    Session *s = user;
    VEC_PUSH(s->arena, s->deps, path);
}

static bool front_ir(Session *s, uint32_t file) {
    s->m = ir_parse_module(s->arena, s->names, s->sources, s->diags, file);
    return s->m && (s->o->no_verify || ir_verify_module(s->m));
}

/* -D names dimensions of exported functions. */
static bool check_fixed(Session *s) {
    for (uint32_t k = 0; k < s->o->fixed.n; k++) {
        const char *name = s->o->fixed.p[k].name;
        bool found = false;
        for (uint32_t i = 0; i < s->m->funcs.n && !found; i++) {
            const TdlFunc *f = s->m->funcs.p[i];
            for (uint32_t d = 0; f->exported && d < f->dims.n; d++) found |= !strcmp(sym_text(s->names, f->dims.p[d]), name);
        }
        if (found) continue;
        diag_error(s->diags, SPAN_NONE, "-D %s=%lld: no exported function has a dimension '%s'", name,
                   (long long)s->o->fixed.p[k].value, name);
        return false;
    }
    return true;
}

/* What --grad and its like stand for, each as a source of its own. */
static const AstFile *const *parse_derived(Session *s) {
    const AstFile **files = ARENA_ARRAY(s->arena, const AstFile *, s->o->derived.n + 1);
    for (uint32_t i = 0; i < s->o->derived.n; i++) {
        const Derived *d = &s->o->derived.p[i];
        uint32_t file = sources_add(s->sources, d->flag, d->source, strlen(d->source));
        files[i] = parse_file(s->arena, s->names, s->diags, file);
    }
    return files;
}

bool stage_front(Session *s, bool script) {
    size_t errors = diags_errors(s->diags);
    uint32_t file = read_input(s);
    if (!file) return false;
    VEC_PUSH(s->arena, s->deps, s->o->input);
    if (is_ir_text(s->o->input) && s->o->derived.n) {
        diag_error(s->diags, SPAN_NONE, "%s: derivatives are made of a .tdl file, not of IR text", s->o->derived.p[0].flag);
        return false;
    }
    if (is_ir_text(s->o->input)) return front_ir(s, file);
    AstFile *ast = parse_file(s->arena, s->names, s->diags, file);
    const AstFile *const *derived = parse_derived(s);
    if (diags_errors(s->diags) > errors) return false;
    TdlLowerOptions lower = {.include_dirs = s->o->includes.p, .ninclude = s->o->includes.n, .fixes = s->o->fixed.p,
                             .nfixes = s->o->fixed.n, .more = derived, .nmore = s->o->derived.n, .no_script = !script && !s->o->any_emit, .on_use = note_dep, .user = s};
    s->m = ir_module_new(s->arena, s->names, s->sources, s->diags);
    if (!lower_file(s->m, ast, &lower)) return false;
    if (s->o->verify_each && !ir_verify_module(s->m)) {
        diag_error(s->diags, SPAN_NONE, "internal: the IR is broken after lowering");
        return false;
    }
    return check_fixed(s);
}

bool stage_tokens(Session *s, TdlStr *out) {
    uint32_t file = read_input(s);
    if (file) tokens_print(s->arena, s->names, s->diags, file, out);
    return file && !diags_errors(s->diags);
}

bool stage_ast(Session *s, TdlStr *out) {
    uint32_t file = read_input(s);
    if (file) ast_print(parse_file(s->arena, s->names, s->diags, file), s->names, s->sources, out);
    return file && !diags_errors(s->diags);
}

/* ---- passes ---- */

static void print_module(Session *s, const TdlModule *m, const char *title) {
    TdlStr text = str_new(s->arena);
    str_printf(&text, "// after %s\n", title);
    ir_print_module_as(m, &text, s->o->print_spans ? IR_PRINT_SPANS : 0);
    fwrite(text.p, 1, text.n, stderr);
}

static bool after_pass(void *user, TdlModule *m, TdlPassId id, double seconds) {
    Session *s = user;
    if (s->o->time_passes) fprintf(stderr, "%-12s %9.3f ms\n", pass_info(id)->name, seconds * 1e3);
    if (s->o->print_after_all || s->o->print_after[id]) print_module(s, m, pass_info(id)->name);
    return true;
}

/* Prints the module and reads it back: what follows sees only what the text says. */
static bool through_text(Session *s) {
    TdlStr text = str_new(s->arena);
    ir_print_module_as(s->m, &text, IR_PRINT_SPANS);
    uint32_t file = sources_add(s->sources, "<through text>", text.p, text.n);
    TdlModule *again = ir_parse_module(s->arena, s->names, s->sources, s->diags, file);
    if (!again) return false;
    s->m = again;
    return true;
}

bool stage_passes(Session *s, const TdlPassId *ids) {
    TdlPassHooks hooks = {after_pass, s, s->o->verify_each};
    for (; *ids != PASS_NONE; ids++) {
        if (s->o->through_text && !through_text(s)) return false;
        if (!passes_run(s->m, ids, 1, &s->o->pass, &hooks)) return false;
    }
    return !diags_errors(s->diags); /* -Werror */
}

bool stage_variants(Session *s, const TdlStr *adjoint) {
    bool loops = false;
    for (uint32_t i = 0; i < s->m->funcs.n; i++) loops |= s->m->funcs.p[i]->exported && cg_has_loops(s->m->funcs.p[i]);
    if (!loops) return true;
    CgVariant *list = ARENA_ARRAY(s->arena, CgVariant, s->o->variants.n);
    TdlPassHooks hooks = {.verify_each = s->o->verify_each};
    for (uint32_t i = 0; i < s->o->variants.n; i++) {
        uint32_t file = sources_add(s->sources, "<variant>", adjoint->p, adjoint->n);
        CgOptions cg = s->o->cg;
        TdlPassOptions pass = s->o->pass;
        cg.cpu = s->o->variants.p[i];
        pass.vector_bytes = (int)cg_vector_bytes(&cg);
        list[i] = (CgVariant){cg.cpu, ir_parse_module(s->arena, s->names, s->sources, s->diags, file)};
        if (!list[i].m || !passes_run(list[i].m, pipeline_loops(&pass), UINT32_MAX, &pass, &hooks)) return false;
    }
    s->o->cg.variants = list;
    s->o->cg.nvariants = s->o->variants.n;
    return true;
}

bool stage_graph(Session *s) {
    static const TdlPassId graph[] = {PASS_graph, PASS_NONE};
    return stage_passes(s, graph);
}
