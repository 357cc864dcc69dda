/* Between lower_diff.c, lower_jacobian.c and lower_diff_export.c: a function that is being differentiated. */
#ifndef TDL_FRONTEND_LOWER_DIFF_H
#define TDL_FRONTEND_LOWER_DIFF_H

#include "frontend/lower_int.h"

/* What it is differentiated for: a parameter or a field of one, and its first leaf among those of all parameters. */
typedef struct { uint32_t param; LowValue value; uint32_t leaf; } LowTarget;
typedef struct { LowTarget p[64]; uint32_t n; bool tuple; } LowTargets;

/* The float leaves of the targets: parameters of the callee, as `wrt` has them. */
typedef struct { TDL_VEC(int64_t) wrt; TDL_VEC(TdlType) types; } LowTargetLeaves;

/* The function in the IR, and what a call of it takes: leaves of the arguments, to which seeds are appended. */
typedef struct {
    TdlFunc *f;
    const LowType *result;
    TdlVals ops;
    TdlDim *dims;
    uint32_t ndims;
    LowValue *args;
    uint32_t nargs;
} LowCallee;

uint32_t low_count_leaves(Low *L, LowValue v);
/* Whether the types of its parameters are all written down. */
bool low_rigid(Low *L, const LowFn *fn);
/* False after an error. */
bool low_find_targets(Low *L, const LowFn *fn, const LowValue *args, uint32_t n, LowTargets *t, TdlSpan at);
void low_target_leaves(Low *L, const LowTargets *t, LowTargetLeaves *out);
/* The name of the k-th argument that a derivative takes beyond those of its function: cotangent, tx, vx. */
TdlSym low_diff_extra_name(Low *L, const LowFn *fn, uint32_t k);
/* A vjp or jvp of the callee with the operands that it has now. */
TdlOp low_emit_derivative(Low *L, TdlOpcode code, const LowCallee *c, const int64_t *wrt, uint32_t nwrt, const TdlType *types, uint32_t n);
/* jacfwd and jacrev (lower_jacobian.c); main: the type of what is differentiated. */
LowValue low_jacobian(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, TdlSpan at);

#endif
