/* Names that reach C: an exported function's own, and those of its arguments. */
#include "frontend/lower_int.h"

#include <string.h>

/* Keywords of C and C++ (the header serves both), and functions of the C library that objects call or that every
 * program has: a function of such a name would be called in their place. */
static const char *const taken[] = {
    "alignas", "alignof", "and", "asm", "auto", "bool", "break", "case", "catch", "char", "class", "const", "constexpr",
    "continue", "decltype", "default", "delete", "do", "double", "else", "enum", "explicit", "export", "extern", "false",
    "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable", "namespace", "new", "noexcept", "not",
    "nullptr", "operator", "or", "private", "protected", "public", "register", "requires", "restrict", "return", "short",
    "signed", "sizeof", "static", "struct", "switch", "template", "this", "thread_local", "throw", "true", "try",
    "typedef", "typeid", "typename", "typeof", "union", "unsigned", "using", "virtual", "void", "volatile", "wchar_t",
    "while", "xor",
    "abort", "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "calloc", "cbrt", "ceil", "cos", "cosh",
    "erf", "erfc", "exit", "exp", "exp2", "expm1", "fabs", "floor", "fma", "fmax", "fmin", "fmod", "free", "frexp",
    "hypot", "ldexp", "lgamma", "lgamma_r", "log", "log10", "log1p", "log2", "lround", "main", "malloc", "memchr",
    "memcmp", "memcpy", "memmove", "memset", "modf", "nearbyint", "pow", "printf", "puts", "qsort", "realloc",
    "remainder", "rint", "round", "sin", "sinh", "snprintf", "sqrt", "strcmp", "strlen", "strncpy", "tan", "tanh",
    "tgamma", "trunc", "write",
};

static bool is_taken(const char *name) {
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcmp(taken[i], name) == 0) return true;
    return strncmp(name, "tdl_", 4) == 0 || strncmp(name, "tdlrt_", 6) == 0;
}

static bool used(const TdlFunc *f, TdlSym s, uint32_t nparams, uint32_t nresults) {
    for (uint32_t i = 0; i < f->dims.n; i++)
        if (sym_eq(f->dims.p[i], s)) return true;
    for (uint32_t i = 0; i < nparams; i++)
        if (sym_eq(f->params.p[i].name, s)) return true;
    for (uint32_t i = 0; i < nresults; i++)
        if (sym_eq(f->results.p[i].name, s)) return true;
    return false;
}

/* A name that no argument before it has: an underscore is added. */
static TdlSym unique(Low *L, const TdlFunc *f, TdlSym s, uint32_t nparams, uint32_t nresults) {
    while (used(f, s, nparams, nresults)) s = intern(L->names, arena_printf(L->arena, "%s_", low_name(L, s)));
    return s;
}

static void check_workspace(Low *L, const TdlFunc *f, TdlSym s) {
    const char *name = low_name(L, s);
    if (strcmp(name, "workspace") == 0 || strcmp(name, "workspace_bytes") == 0)
        low_error(L, f->span, "%s: `%s` is the name of the C function's last arguments: take another for yours", low_name(L, f->name), name);
}

void low_export_names(Low *L) {
    for (uint32_t i = 0; i < L->m->funcs.n; i++) {
        TdlFunc *f = L->m->funcs.p[i];
        if (!f->exported) continue;
        if (is_taken(low_name(L, f->name)))
            low_error(L, f->span, "an exported function cannot be called `%s`: C has that name", low_name(L, f->name));
        for (uint32_t k = 0; k < f->dims.n; k++) check_workspace(L, f, f->dims.p[k]);
        for (uint32_t k = 0; k < f->params.n; k++) {
            check_workspace(L, f, f->params.p[k].name);
            f->params.p[k].name = unique(L, f, f->params.p[k].name, k, 0);
        }
        for (uint32_t k = 0; k < f->results.n; k++) f->results.p[k].name = unique(L, f, f->results.p[k].name, f->params.n, k);
    }
}
