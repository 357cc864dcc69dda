/* One run of tdlc: what its stages share. */
#ifndef TDL_TOOLS_TDLC_SESSION_H
#define TDL_TOOLS_TDLC_SESSION_H

#include "frontend/ast.h"
#include "tools/tdlc/options.h"

typedef struct {
    Options *o;
    TdlArena *arena;
    TdlInterner *names;
    TdlSources *sources;
    TdlDiags *diags;
    TdlModule *m;              /* the program, at its current stage */
    TDL_VEC(const char *) deps;
    bool wrote_text;           /* something went to standard output */
    bool failed_output;
} Session;

/* ---- stages (stages.c): false where the diagnostics have an error ---- */
bool stage_front(Session *s, bool script);             /* reads the file: s->m is typed IR */
bool stage_tokens(Session *s, TdlStr *out);
bool stage_ast(Session *s, TdlStr *out);
bool stage_passes(Session *s, const TdlPassId *ids);
/* The program for the other processors of the object, from its IR with adjoints; s->m is in loop IR. */
bool stage_variants(Session *s, const TdlStr *adjoint);
bool stage_graph(Session *s);                          /* s->m->graphs is set */

/* ---- outputs (output.c) ---- */
/* Writes to a file by way of a temporary that is renamed; "-" or NULL: standard output. */
bool output_write(Session *s, const char *path, const char *bytes, size_t n);
bool output_is_special(const char *path);
/* The output file's name with another extension: model.o, ".h" gives model.h. */
const char *output_name(Session *s, const char *extension);
/* `path` without folder and extension. */
const char *output_stem(Session *s, const char *path);
/* The make rule of --MD: `object`, and the header beside it, depend on every file that was read. */
bool output_deps(Session *s, const char *object);
/* A name for a file beside the output, or in the folder for temporary files. */
const char *output_temporary(Session *s, const char *extension);
bool output_read(Session *s, const char *path, TdlStr *out);

/* ---- tdlc graph (graph.c) ---- */
bool graph_format_known(const char *name);
bool graph_write(Session *s);

/* ---- tdlc check (check.c) ---- */
bool check_program(Session *s);                        /* s->m is typed IR */

/* ---- tdlc run (run.c) ---- */
bool run_program(Session *s);

#endif
