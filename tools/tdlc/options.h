/* The command line of tdlc: one table of options (options.c) makes parsing and --help. */
#ifndef TDL_TOOLS_TDLC_OPTIONS_H
#define TDL_TOOLS_TDLC_OPTIONS_H

#include "codegen/codegen.h"
#include "passes/pass.h"

enum { EXIT_OK, EXIT_USER, EXIT_USAGE, EXIT_INTERNAL = 70 };

typedef enum {
    EMIT_TOKENS, EMIT_AST, EMIT_IR, EMIT_ADJOINT, EMIT_LOOPS, EMIT_LLVM, EMIT_ASM, EMIT_OBJ, EMIT_HEADER, EMIT_MANIFEST,
    EMIT_GRAPH, EMIT_COUNT
} Emit;

typedef enum { CMD_COMPILE, CMD_RUN, CMD_CHECK, CMD_GRAPH, CMD_REPORT } Command;

typedef struct { const char *name, *value; } Binding;
/* --grad f:x,y, and the declaration that it stands for. */
typedef struct { const char *flag, *source; } Derived;

typedef struct {
    Command command;
    const char *input, *output;
    bool emit[EMIT_COUNT], any_emit;
    bool print_after[PASS_COUNT], print_after_all, verify_each, no_verify, time_passes, through_text, print_spans, json;
    bool deps, loops_input;
    const char *deps_file;
    const char *call;                     /* run --call */
    const char *graph_format;             /* graph --format */
    const char *function;                 /* check --function */
    int64_t seed;                         /* check --seed */
    uint32_t points;                      /* check --points */
    TDL_VEC(const char *) includes, loads;
    TDL_VEC(TdlDimFix) fixed;
    TDL_VEC(TdlCase) cases;               /* --specialise */
    TDL_VEC(Binding) arguments, results;  /* run: name=value, -o name=file */
    TdlWarningLevel warnings[WARN_COUNT];
    bool warnings_are_errors;
    TDL_VEC(Derived) derived;
    TDL_VEC(const char *) variants;       /* processors that the object has code for, too */
    TdlPassOptions pass;
    CgOptions cg;
} Options;

/* -1: go on; else the exit status. Everything lives in the arena. */
int options_parse(TdlArena *a, int argc, char **argv, Options *o);

#endif
