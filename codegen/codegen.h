/* Loop IR to native code. A CgUnit is one compilation: an LLVM module made from an IR module, optimised and emitted
 * as often as asked; or handed to the JIT (jit.h). Nothing of llvm-c shows here. */
#ifndef TDL_CODEGEN_CODEGEN_H
#define TDL_CODEGEN_CODEGEN_H

#include "ir/ir.h"

/* The same program for a better processor of the same target, in loop IR made for it. */
typedef struct { const char *cpu; TdlModule *m; } CgVariant;

typedef struct {
    int opt_level;            /* -O0 .. -O3 */
    bool strict_fp;           /* no reassociation, no contraction */
    bool libm;                /* --math=libm: the C library's exp, log, ... instead of inline code */
    bool debug_info;          /* -g */
    bool callers;             /* also emit `<f>.call(void **args)` for each exported function: what the JIT calls */
    const char *target;       /* triple; NULL: this machine's */
    const char *cpu;          /* NULL: the target's baseline; "native": this machine's */
    const CgVariant *variants; /* of functions with loops, from the least to the best processor; the call takes the best it can */
    uint32_t nvariants;
    const TdlModule *outer;   /* this is the unit of a variant of it: no exported symbols */
    const TdlDimFix *fixed;   /* -D: dimensions with a known value */
    uint32_t nfixed;
} CgOptions;

typedef struct CgUnit CgUnit;

typedef enum { CG_LLVM, CG_ASM, CG_OBJECT } CgOutput;

/* Makes the LLVM module from loop IR; errors go to m->diags and NULL is returned. The unit is freed by cg_free. */
CgUnit *cg_module(TdlModule *m, const CgOptions *opt);
/* Runs the optimisation pipeline of the options. */
bool cg_optimize(CgUnit *u);
/* Appends the text or bytes. Object code is binary: use n. */
bool cg_emit(CgUnit *u, CgOutput what, TdlStr *out);
void cg_free(CgUnit *u);

/* Bytes of the widest vector registers of the target and processor: 16 (also where there are none), 32 or 64. */
uint32_t cg_vector_bytes(const CgOptions *opt);

/* Sets the options of LLVM that are its process's, for the target: a program calls it once, before the first module.
 * With time_passes (--time-passes) LLVM notes how long each of its passes takes; cg_report_times prints those of code
 * generation to standard error, and is the last call of all. */
void cg_start(const CgOptions *opt, bool time_passes);
void cg_report_times(void);

/* The processors that an object is made for: a list with commas, the first the least (cg_processor_known of each), or one. */
const char *cg_processors(const CgOptions *opt);
/* Can it be told at run time whether the processor is one? */
bool cg_processor_known(const char *cpu);
/* Does f have what a better processor does faster? */
bool cg_has_loops(const TdlFunc *f);

/* The variants that f has, and f as number i of them has it. */
uint32_t cg_nvariants(const CgOptions *opt, const TdlFunc *f);
TdlFunc *cg_variant_of(const CgOptions *opt, const TdlFunc *f, uint32_t i);
/* May result `dest` of f be the memory of parameter `param`, in its variants and cases too? */
bool cg_lies_over(const CgOptions *opt, const TdlFunc *f, uint32_t dest, uint32_t param);
/* ---- cases: code for some values of the dimensions (cases.c) ---- */

/* The name in C: that of the general function where f is a case. */
const char *cg_public_name(const TdlFunc *f);
/* The next case of f from number *i of the module on, in the order in which they are tried; NULL: there is none. */
TdlFunc *cg_next_case(const TdlModule *m, const TdlFunc *f, uint32_t *i);
/* d = 10, k = 25 */
const char *cg_case_text(const TdlFunc *c);

/* The processors that f has code for, as a phrase; NULL where there is no choice. */
const char *cg_processors_text(const CgOptions *opt, const TdlFunc *f);

/* Host triple and the versions for --version. */
const char *cg_llvm_version(void);

/* ---- text made from the IR alone (header.c, manifest.c) ---- */

/* Whether the object calls LAPACK and BLAS (factorisations): what links it needs them too. */
bool cg_uses_lapack(const TdlModule *m);
/* The name of what was split, also where f is a case of a half. */
const char *cg_split_name(const TdlFunc *f);
/* Whether it calls the OpenMP runtime (of loop IR). */
bool cg_uses_threads(const TdlModule *m);
/* Bytes of the saved state of a split function in front of parameter n; of all of known size for the number of parameters. */
TdlDim cg_saved_bytes(const TdlFunc *f, uint32_t n);
/* The shapes and layout of an exported function are read from its ports, its memory from loop IR. */
void cg_header(TdlModule *m, const char *object_name, const CgOptions *opt, TdlStr *out);
/* `tdlc report`: memory by source line, of loop IR. */
void cg_report(TdlModule *m, const CgOptions *opt, TdlStr *out);
void cg_workspace_text(TdlModule *m, TdlFunc *f, const CgOptions *opt, TdlStr *out); /* the size of the workspace as a formula */
void cg_manifest(TdlModule *m, const char *object_name, const CgOptions *opt, TdlStr *out);

#endif
