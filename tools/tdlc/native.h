/* A program compiled in memory: what `tdlc run` and `tdlc check` call. */
#ifndef TDL_TOOLS_TDLC_NATIVE_H
#define TDL_TOOLS_TDLC_NATIVE_H

#include "codegen/jit.h"
#include "tools/tdlc/value.h"

typedef struct { Session *s; CgUnit *u; CgJit *j; } Native;

/* s->m, loop IR, as machine code; false: the diagnostics say why. The module stays as it is. */
bool native_open(Native *n, Session *s);
/* The address of an exported function; NULL after an error. */
void *native_find(Native *n, const TdlFunc *f);
/* Calls it: dimensions in order, then the memory of each parameter, results among them. Returns its status. */
int native_call(const Native *n, void *entry, int64_t *dims, uint32_t ndims, const Value *params, uint32_t nparams);
void native_close(Native *n);

#endif
