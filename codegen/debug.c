/* DWARF for -g: a subprogram a function, and on each instruction the line and column of the .tdl it came from. */
#include "codegen/cg.h"

#include <string.h>

static LLVMMetadataRef file_of(CgUnit *u, uint32_t file) {
    if (!u->di_files[file]) {
        const char *path = sources_name(u->ir->sources, file), *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        size_t n = slash ? (size_t)(slash - path) : 0;
        u->di_files[file] = LLVMDIBuilderCreateFile(u->di, name, strlen(name), n ? path : ".", n ? n : 1);
    }
    return u->di_files[file];
}

static void flag(CgUnit *u, const char *name, unsigned value) {
    LLVMMetadataRef v = LLVMValueAsMetadata(LLVMConstInt(u->i32, value, 0));
    LLVMAddModuleFlag(u->mod, LLVMModuleFlagBehaviorWarning, name, strlen(name), v);
}

#define MAX_FILES 4096

void cg_debug_start(CgUnit *u) {
    uint32_t main_file = 0;
    for (uint32_t i = 0; i < u->ir->funcs.n && !main_file; i++)
        if (u->ir->funcs.p[i]->exported || u->ir->funcs.p[i]->script) main_file = u->ir->funcs.p[i]->span.file;
    if (!u->opt.debug_info || !main_file) return;
    u->di_files = ARENA_ARRAY(u->arena, LLVMMetadataRef, MAX_FILES);
    u->di = LLVMCreateDIBuilder(u->mod);
    static const char producer[] = "tdlc " TDL_VERSION;
    u->di_unit = LLVMDIBuilderCreateCompileUnit(u->di, LLVMDWARFSourceLanguageC11, file_of(u, main_file), producer,
                                                sizeof producer - 1, u->opt.opt_level > 0, "", 0, 0, "", 0,
                                                LLVMDWARFEmissionFull, 0, 0, 0, "", 0, "", 0);
    flag(u, "Debug Info Version", LLVMDebugMetadataVersion());
    flag(u, "Dwarf Version", 4);
}

void cg_debug_func(Cg *g) {
    CgUnit *u = g->u;
    uint32_t line = 0, col = 0;
    if (!u->di || !g->f->span.file) return;
    sources_line_col(u->ir->sources, g->f->span.file, g->f->span.lo, &line, &col);
    LLVMMetadataRef file = file_of(u, g->f->span.file);
    LLVMMetadataRef type = LLVMDIBuilderCreateSubroutineType(u->di, file, NULL, 0, LLVMDIFlagZero);
    const char *name = sym_text(u->ir->names, g->f->name);
    size_t n = 0;
    const char *symbol = LLVMGetValueName2(g->fn, &n);
    g->di_scope = LLVMDIBuilderCreateFunction(u->di, file, name, strlen(name), symbol, n, file, line, type, 1, 1, line,
                                              LLVMDIFlagZero, u->opt.opt_level > 0);
    LLVMSetSubprogram(g->fn, g->di_scope);
    /* The exported symbol has no lines of its own, and would lose these by inlining. */
    cg_attr(u, g->fn, LLVMAttributeFunctionIndex, "noinline", 0);
}

/* Code that came from another file (the library) shows that file: a lexical block of the function there. */
void cg_debug_op(Cg *g, TdlSpan span) {
    CgUnit *u = g->u;
    uint32_t line = 0, col = 0;
    if (!g->di_scope) return;
    LLVMMetadataRef scope = g->di_scope;
    if (span.file) {
        sources_line_col(u->ir->sources, span.file, span.at, &line, &col);
        if (span.file != g->f->span.file && span.file < MAX_FILES)
            scope = LLVMDIBuilderCreateLexicalBlockFile(u->di, scope, file_of(u, span.file), 0);
    }
    LLVMSetCurrentDebugLocation2(u->b, LLVMDIBuilderCreateDebugLocation(u->ctx, line, col, scope, NULL));
}

void cg_debug_none(Cg *g) {
    if (g->di_scope) LLVMSetCurrentDebugLocation2(g->u->b, NULL);
}

void cg_debug_finish(CgUnit *u) {
    if (u->di) LLVMDIBuilderFinalize(u->di);
}
