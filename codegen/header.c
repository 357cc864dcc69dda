/* The C header of an object and its manifest (the same facts as JSON), from the ports of the exported functions. */
#include "codegen/codegen.h"
#include "codegen/growth.h"
#include "codegen/report.h"
#include "ir/graph.h"
#include "support/embed.h"
#include "support/json.h"

#include <ctype.h>
#include <string.h>

extern const TdlEmbedded cg_public_headers[]; /* runtime/tdl.h */

static const char *text(const TdlModule *m, TdlSym s) { return sym_text(m->names, s); }

/* ---- names and types of C ---- */

static bool is_keyword(const char *s) {
    static const char *const words[] = {
        "alignas", "alignof", "and", "asm", "auto", "bool", "break", "case", "catch", "char", "class", "const", "constexpr",
        "continue", "default", "delete", "do", "double", "else", "enum", "explicit", "export", "extern", "false", "float",
        "for", "friend", "goto", "if", "inline", "int", "long", "mutable", "namespace", "new", "not", "operator", "or",
        "private", "protected", "public", "register", "restrict", "return", "short", "signed", "sizeof", "static", "struct",
        "switch", "template", "this", "throw", "true", "try", "typedef", "typename", "union", "unsigned", "using", "virtual",
        "void", "volatile", "while", "xor", "workspace", "workspace_bytes", "saved", "saved_bytes"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(s, words[i])) return true;
    return false;
}

/* A parameter's name in C: what is no identifier there becomes one. */
static void c_name(TdlStr *out, const char *s) {
    if (isdigit((unsigned char)*s)) str_putc(out, '_');
    for (const char *p = s; *p; p++) str_putc(out, isalnum((unsigned char)*p) ? *p : '_');
    if (is_keyword(s)) str_putc(out, '_');
}

static const char *c_type(TdlElem e) {
    switch (e) {
    case EL_BOOL: return "uint8_t";
    case EL_I32: return "int32_t";
    case EL_I64: return "int64_t";
    case EL_F16: case EL_BF16: return "uint16_t";
    case EL_F32: return "float";
    case EL_F64: return "double";
    case EL_COUNT: break;
    }
    return "void";
}

static bool by_value(const TdlModule *m, const TdlPort *p) {
    return ty_kind(m, p->type) == TY_TENSOR && ty_is_scalar(m, p->type);
}

static void shape(const TdlModule *m, const TdlPort *p, TdlStr *out) { ty_print(m, ty_tensor_of(m, p->type), out); }

/* ---- the header ---- */

static const char OPEN[] =
    "\n"
    "#ifdef __cplusplus\n"
    "extern \"C\" {\n"
    "#endif\n";

static const char EPILOGUE[] =
    "\n"
    "#ifdef __cplusplus\n"
    "}\n"
    "#endif\n"
    "\n"
    "#endif\n";

/* Documentation inside a comment: it cannot end it. */
static void comment_text(TdlStr *out, const char *doc, const char *indent) {
    for (const char *p = doc; *p; p++) {
        if (p[0] == '\n') {
            str_printf(out, "\n%s", indent);
            continue;
        }
        str_putc(out, *p);
        if (p[0] == '*' && p[1] == '/') str_putc(out, ' ');
    }
}

static void describe_port(const TdlModule *m, const TdlFunc *f, uint32_t at, const CgOptions *opt, TdlStr *out) {
    const TdlPort *p = &f->params.p[at];
    const char *before = "; may be the memory of ";
    TdlStr type = str_new(m->arena), name = str_new(m->arena);
    c_name(&name, text(m, p->name));
    shape(m, p, &type);
    str_printf(out, " *   %-10s %-14s %s", name.p, type.p, p->out ? "output, may be NULL" : by_value(m, p) ? "input, by value" : "input");
    if (p->out && p->cotangent_of >= 0 && (uint32_t)p->cotangent_of < f->params.n)
        str_printf(out, "; gradient with respect to %s", text(m, f->params.p[p->cotangent_of].name));
    for (uint32_t i = 0; i < f->params.n; i++) {
        if (!cg_lies_over(opt, f, at, i)) continue;
        str_printf(out, "%s%s", before, text(m, f->params.p[i].name));
        before = " or ";
    }
    if (p->doc) {
        str_puts(out, ": ");
        comment_text(out, p->doc, " *                              ");
    }
    str_putc(out, '\n');
}

/* Formulas of one quantity in the function and its variants: `max(A, B)` where they differ. */
typedef struct { TDL_VEC(const char *) of; } Formulas;

static void add_formula(TdlModule *m, Formulas *all, const TdlFunc *f, TdlDim d) {
    TdlStr s = str_new(m->arena);
    dim_print(f->module, d, &s);
    for (uint32_t i = 0; i < all->of.n; i++)
        if (!strcmp(all->of.p[i], s.p)) return;
    VEC_PUSH(m->arena, all->of, s.p);
}

static void write_most(const Formulas *all, TdlStr *out) {
    if (all->of.n > 1) str_puts(out, "max(");
    for (uint32_t i = 0; i < all->of.n; i++) str_printf(out, "%s%s", i ? ", " : "", all->of.p[i]);
    if (all->of.n > 1) str_puts(out, ")");
}

/* What the workspace size adds up to: planned slots and what the arguments decide of the growing part, of each the most
 * that a variant wants. */
static void workspace_bytes(TdlModule *m, TdlFunc *f, const CgOptions *opt, TdlStr *out) {
    Formulas slots = {0}, growing = {0}, both = {0};
    for (uint32_t i = 0; i <= cg_nvariants(opt, f); i++) {
        TdlFunc *v = i ? cg_variant_of(opt, f, i - 1) : f;
        Growth g = growth_of(v);
        TdlDim w = ir_static_bytes(v);
        add_formula(m, &slots, v, w);
        add_formula(m, &growing, v, g.bytes);
        add_formula(m, &both, v, dim_add(v->module, w, g.bytes));
    }
    if (slots.of.n == 1 && growing.of.n == 1) {
        write_most(&both, out);
    } else {
        write_most(&slots, out);
        if (growing.of.n > 1 || strcmp(growing.of.p[0], "0")) str_puts(out, " + "), write_most(&growing, out);
    }
}

void cg_workspace_text(TdlModule *m, TdlFunc *f, const CgOptions *opt, TdlStr *out) {
    TdlStr bytes = str_new(m->arena);
    Growth g = growth_of(f);
    workspace_bytes(m, f, opt, &bytes);
    if (!strcmp(bytes.p, "0")) {
        str_puts(out, g.more ? "0 bytes" : "none is needed");
    } else {
        str_printf(out, "%s + 63 bytes", bytes.p);
        growth_text(&g, out);
        str_puts(out, " (// divides and rounds down, ** is power)");
    }
    if (g.more) str_puts(out, "; more for what has a size found at run time");
}

static void dims_list(const TdlModule *m, const TdlFunc *f, TdlStr *out) {
    for (uint32_t i = 0; i < f->dims.n; i++) {
        str_puts(out, i ? ", int64_t " : "int64_t ");
        c_name(out, text(m, f->dims.p[i]));
    }
}

/* The dimensions, then the integers that are passed by value. */
static void size_prototype(const TdlModule *m, const TdlFunc *f, const char *name, const char *what, TdlStr *out) {
    str_printf(out, "size_t %s_%s_size(", name, what);
    dims_list(m, f, out);
    bool any = f->dims.n > 0;
    for (uint32_t i = 0; i < f->params.n; i++) {
        const TdlPort *p = &f->params.p[i];
        TdlElem e = ty_elem(m, p->type);
        if (!by_value(m, p) || p->saved || (e != EL_I64 && e != EL_I32)) continue;
        str_printf(out, "%s%s ", any ? ", " : "", c_type(e));
        c_name(out, text(m, p->name));
        any = true;
    }
    str_puts(out, any ? ");\n" : "void);\n");
}

/* The state between the halves of a split function. */
static void saved_text(const TdlModule *m, TdlFunc *f, TdlStr *out) {
    if (!f->saves.id && !f->restores.id) return;
    const char *base = cg_split_name(f);
    if (f->restores.id) {
        str_printf(out, " * Saved: what %s_forward left for the same inputs. It is only read: the call may be repeated.\n", base);
        return;
    }
    Growth g = growth_saved(f);
    str_puts(out, " * Saved: ");
    dim_print(m, g.bytes, out);
    str_printf(out, " bytes for %s_reverse, aligned to 8", base);
    growth_text(&g, out);
    str_puts(out, g.more ? ", and what loops keep whose length is found at run time.\n" : ".\n");
}

static void prototype(const TdlModule *m, const TdlFunc *f, TdlStr *out) {
    str_printf(out, "int %s(", text(m, f->name));
    dims_list(m, f, out);
    for (uint32_t i = 0; i < f->params.n; i++) {
        const TdlPort *p = &f->params.p[i];
        if (p->saved) continue;
        if (i || f->dims.n) str_puts(out, ", ");
        if (!by_value(m, p) && !p->out) str_puts(out, "const ");
        str_printf(out, "%s %s", c_type(ty_elem(m, p->type)), by_value(m, p) ? "" : "*");
        c_name(out, text(m, p->name));
    }
    if (f->dims.n || f->params.n) str_puts(out, ", ");
    if (f->saves.id) str_puts(out, "void *saved, size_t saved_bytes, ");
    if (f->restores.id) str_puts(out, "const void *saved, size_t saved_bytes, ");
    str_puts(out, "void *workspace, size_t workspace_bytes);\n");
    if (f->saves.id) size_prototype(m, f, text(m, f->saves), "saved", out);
    size_prototype(m, f, text(m, f->name), "workspace", out);
}

static void cases(TdlModule *m, const TdlFunc *f, const CgOptions *opt, TdlStr *out) {
    TdlFunc *c;
    for (uint32_t i = 0; (c = cg_next_case(m, f, &i));) {
        str_printf(out, " * Code of its own for %s. Workspace: ", cg_case_text(c));
        cg_workspace_text(m, c, opt, out);
        str_puts(out, ".\n");
        if (c->saves.id) saved_text(m, c, out);
    }
}

static void function(TdlModule *m, TdlFunc *f, const CgOptions *opt, TdlStr *out) {
    str_puts(out, "\n/* ");
    if (f->doc) comment_text(out, f->doc, " * ");
    else str_puts(out, text(m, f->name));
    str_puts(out, "\n *\n");
    for (uint32_t i = 0; i < f->params.n; i++)
        if (!f->params.p[i].saved) describe_port(m, f, i, opt, out);
    for (uint32_t i = 0; i < f->dims.n; i++)
        for (uint32_t k = 0; k < opt->nfixed; k++)
            if (!strcmp(text(m, f->dims.p[i]), opt->fixed[k].name))
                str_printf(out, " * Compiled for %s = %lld: any other value is TDL_BAD_DIMENSION.\n", opt->fixed[k].name,
                           (long long)opt->fixed[k].value);
    saved_text(m, f, out);
    report_header(f, out);
    str_puts(out, " * Workspace: ");
    cg_workspace_text(m, f, opt, out);
    str_puts(out, ".\n");
    cases(m, f, opt, out);
    if (cg_processors_text(opt, f)) str_printf(out, " * There is code for %s.\n", cg_processors_text(opt, f));
    str_puts(out, " */\n");
    prototype(m, f, out);
    if (graph_find(m, f->name)) str_printf(out, "extern const struct tdl_graph %s_graph;\n", text(m, f->name));
}

void cg_header(TdlModule *m, const char *object_name, const CgOptions *opt, TdlStr *out) {
    TdlStr guard = str_new(m->arena);
    str_puts(&guard, "TDL_");
    for (const char *p = object_name; *p; p++)
        str_putc(&guard, isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_');
    str_puts(&guard, "_H");
    str_printf(out, "/* Made by tdlc %s: do not edit. Tensors are row-major and contiguous; a call returns an enum tdl_status.\n"
                    " * `workspace` has workspace_bytes bytes, at least those that NAME_workspace_size says, or is NULL: the call\n"
                    " * then takes memory itself. Calls are thread safe. Outputs overlap no input, where they do not say so, and no\n"
                    " * other output.%s%s */\n", TDL_VERSION, cg_uses_lapack(m) ? "\n * Link with -llapack -lblas -lm." : "",
               cg_uses_threads(m) ? "\n * Link with -fopenmp, or an OpenMP runtime: -lgomp or -lomp." : "");
    str_printf(out, "#ifndef %s\n#define %s\n\n", guard.p, guard.p);
    str_puts(out, cg_public_headers[0].text);
    str_puts(out, OPEN);
    for (uint32_t i = 0; i < m->funcs.n; i++)
        if (m->funcs.p[i]->exported && !m->funcs.p[i]->general.id) function(m, m->funcs.p[i], opt, out);
    str_puts(out, EPILOGUE);
}

/* ---- the manifest ---- */

static cJSON *list(cJSON *object, const char *key) { return cJSON_AddArrayToObject(object, key); }

static void json_append(cJSON *list, TdlModule *m, const char *s) { cJSON_AddItemToArray(list, json_string(m->arena, s)); }

static cJSON *json_port(TdlModule *m, const TdlFunc *f, uint32_t at, const CgOptions *opt) {
    const TdlPort *p = &f->params.p[at];
    cJSON *port = cJSON_CreateObject();
    json_add_string(port, "name", m->arena, text(m, p->name));
    cJSON_AddStringToObject(port, "role", p->out ? "output" : "input");
    cJSON_AddStringToObject(port, "type", el_name(ty_elem(m, p->type)));
    cJSON_AddStringToObject(port, "c_type", c_type(ty_elem(m, p->type)));
    cJSON *dims = list(port, "shape");
    for (uint32_t i = 0; i < ty_rank(m, p->type); i++) {
        TdlStr d = str_new(m->arena);
        dim_print(m, ty_dims(m, p->type)[i], &d);
        json_append(dims, m, d.p);
    }
    cJSON_AddBoolToObject(port, "by_value", by_value(m, p));
    cJSON_AddBoolToObject(port, "may_be_null", p->out);
    cJSON *aliases = list(port, "aliases");
    for (uint32_t i = 0; i < f->params.n; i++)
        if (cg_lies_over(opt, f, at, i)) json_append(aliases, m, text(m, f->params.p[i].name));
    if (p->out && p->cotangent_of >= 0 && (uint32_t)p->cotangent_of < f->params.n)
        json_add_string(port, "gradient_of", m->arena, text(m, f->params.p[p->cotangent_of].name));
    if (p->doc) json_add_string(port, "doc", m->arena, p->doc);
    return port;
}

static void json_workspace(cJSON *function, TdlModule *m, TdlFunc *f, const CgOptions *opt) {
    TdlStr w = str_new(m->arena);
    Growth g = growth_of(f);
    workspace_bytes(m, f, opt, &w);
    growth_text(&g, &w);
    json_add_string(function, "workspace", m->arena, w.p);
}

/* The state between the halves of a split function. */
static void json_saved(cJSON *function, TdlModule *m, TdlFunc *f) {
    if (!f->saves.id && !f->restores.id) return;
    TdlStr bytes = str_new(m->arena);
    Growth g = growth_saved(f);
    dim_print(m, g.bytes, &bytes);
    growth_text(&g, &bytes);
    cJSON *saved = cJSON_AddObjectToObject(function, "saved");
    cJSON_AddStringToObject(saved, "role", f->saves.id ? "output" : "input");
    json_add_string(saved, "bytes", m->arena, bytes.p);
    json_add_string(saved, "size_function", m->arena, arena_printf(m->arena, "%s_saved_size", cg_split_name(f)));
}

/* What is kept for the reverse sweep and what is computed again, as `tdlc report` says it. */
static void json_memory(cJSON *function, TdlModule *m, TdlFunc *f) {
    Report r = report_of(f);
    if (!r.kept.n && !r.redone.n) return;
    cJSON *reverse = cJSON_AddObjectToObject(function, "reverse_sweep"), *kept = list(reverse, "kept"), *redone = list(reverse, "computed_again");
    for (uint32_t i = 0; i < r.kept.n; i++) {
        cJSON *row = cJSON_CreateObject();
        TdlStr bytes = str_new(m->arena);
        Growth g = growth_bytes(f, r.kept.p[i].bytes);
        dim_print(m, r.kept.p[i].bytes, &bytes);
        growth_text(&g, &bytes);
        json_add_string(row, "file", m->arena, r.kept.p[i].file);
        json_add_int(row, "line", r.kept.p[i].line);
        json_add_string(row, "how", m->arena, r.kept.p[i].how);
        json_add_string(row, "bytes", m->arena, bytes.p);
        json_add_string(row, "per", m->arena, report_per(r.kept.p[i].per));
        cJSON_AddItemToArray(kept, row);
    }
    for (uint32_t i = 0; i < r.redone.n; i++) {
        cJSON *row = cJSON_CreateObject();
        json_add_string(row, "file", m->arena, r.redone.p[i].file);
        json_add_int(row, "line", r.redone.p[i].line);
        cJSON_AddItemToArray(redone, row);
    }
}

/* Code for some values of the dimensions. */
static void json_cases(cJSON *function, TdlModule *m, TdlFunc *f, const CgOptions *opt) {
    cJSON *cases = NULL;
    TdlFunc *c;
    for (uint32_t i = 0; (c = cg_next_case(m, f, &i));) {
        cJSON *one = cJSON_CreateObject(), *at = cJSON_AddObjectToObject(one, "dimensions");
        int64_t n;
        for (uint32_t k = 0; k < c->at.n; k++)
            if (dim_is_const(m, c->at.p[k], &n)) json_add_int(at, text(m, c->dims.p[k]), n);
        json_workspace(one, m, c, opt);
        json_saved(one, m, c);
        json_memory(one, m, c);
        if (!cases) cases = list(function, "cases");
        cJSON_AddItemToArray(cases, one);
    }
}

static cJSON *json_function(TdlModule *m, TdlFunc *f, const CgOptions *opt) {
    cJSON *function = cJSON_CreateObject();
    json_add_string(function, "name", m->arena, text(m, f->name));
    cJSON *dims = list(function, "dimensions");
    for (uint32_t i = 0; i < f->dims.n; i++) json_append(dims, m, text(m, f->dims.p[i]));
    cJSON *arguments = list(function, "arguments");
    for (uint32_t i = 0; i < f->params.n; i++)
        if (!f->params.p[i].saved) cJSON_AddItemToArray(arguments, json_port(m, f, i, opt));
    json_workspace(function, m, f, opt);
    json_saved(function, m, f);
    json_memory(function, m, f);
    json_cases(function, m, f, opt);
    if (f->doc) json_add_string(function, "doc", m->arena, f->doc);
    return function;
}

/* The processors of the object: its own, then those that it has variants for. */
static void json_processors(cJSON *all, TdlModule *m, const CgOptions *opt) {
    cJSON *processors = list(all, "processors");
    if (opt->cpu) json_append(processors, m, opt->cpu);
    for (uint32_t i = 0; i < opt->nvariants; i++) json_append(processors, m, opt->variants[i].cpu);
}

void cg_manifest(TdlModule *m, const char *object_name, const CgOptions *opt, TdlStr *out) {
    cJSON *all = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "producer", "tdlc " TDL_VERSION);
    json_add_string(all, "object", m->arena, object_name);
    cJSON *fixed = cJSON_AddObjectToObject(all, "fixed_dimensions");
    for (uint32_t k = 0; k < opt->nfixed; k++) json_add_int(fixed, opt->fixed[k].name, opt->fixed[k].value);
    json_processors(all, m, opt);
    cJSON *libraries = list(all, "libraries");
    for (int k = 0; k < 2 && cg_uses_lapack(m); k++) json_append(libraries, m, k ? "blas" : "lapack");
    if (cg_uses_threads(m)) json_append(libraries, m, "gomp");
    json_append(libraries, m, "m");
    cJSON *functions = list(all, "functions");
    for (uint32_t i = 0; i < m->funcs.n; i++)
        if (m->funcs.p[i]->exported && !m->funcs.p[i]->general.id) cJSON_AddItemToArray(functions, json_function(m, m->funcs.p[i], opt));
    json_write(all, false, out);
    str_putc(out, '\n');
}
