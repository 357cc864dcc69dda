/* Running a compiled unit in this process, through LLVM's ORC. */
#ifndef TDL_CODEGEN_JIT_H
#define TDL_CODEGEN_JIT_H

#include "codegen/codegen.h"

typedef struct CgJit CgJit;
/* A function or variable of the process that the code may refer to. */
typedef struct { const char *name; void *address; } CgSymbol;

/* Links the unit's object code; NULL with an error in the diagnostics. */
CgJit *cg_jit(CgUnit *u, const CgSymbol *symbols, uint32_t n);
/* The address of a symbol; NULL with an error in the diagnostics. */
void *cg_jit_find(CgJit *j, const char *name);
void cg_jit_free(CgJit *j);

#endif
