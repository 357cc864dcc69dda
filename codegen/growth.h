/* The share of the growing part that a function's arguments decide (growth.c): it counts for its workspace size. */
#ifndef TDL_CODEGEN_GROWTH_H
#define TDL_CODEGEN_GROWTH_H

#include "ir/ir.h"

typedef struct { TdlSym name; TdlVal value; bool used; } GrowthVar; /* a run-time dimension; does `bytes` mention it? */

typedef struct {
    TdlFunc *f;
    TDL_VEC(GrowthVar) vars; /* in the order of their definition; values use earlier ones alone */
    bool more;               /* there is more that the arguments do not decide */
    TdlDim bytes;            /* over the function's dimensions and `vars` */
} Growth;

/* Of a function in loop IR. */
Growth growth_of(TdlFunc *f);
/* The same for what the forward half of a split function saves. */
Growth growth_saved(TdlFunc *f);
/* Bytes of a saved tensor: whole words of 8. */
TdlDim growth_words(TdlModule *m, TdlType t);
/* Any number of bytes over dimensions and run-time sizes of f. */
Growth growth_bytes(TdlFunc *f, TdlDim bytes);
/* `, where t = max(s, 0), ...`; nothing when `bytes` mentions no variable. */
void growth_text(const Growth *g, TdlStr *out);

#endif
