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

/* The name of parameter i where there are `given` arguments. */
/* How many parameters a function has; of a builtin, as many as arguments are given. */
uint32_t low_param_count(Low *L, const LowFn *fn, uint32_t given);
/* The parameter of that name; low_param_count where there is none. */
uint32_t low_param_of_name(Low *L, const LowFn *fn, TdlSym name, uint32_t given);
TdlSym low_param_name(Low *L, const LowFn *fn, uint32_t i, uint32_t given);
/* What is below all derivatives and maps: it has the parameters. */
const LowFn *low_root(const LowFn *fn);
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
/* The function, its arguments and what it is differentiated for; false after an error. */
bool low_diff_callee(Low *L, const LowFn *fn, LowArgs *args, LowCallee *c, LowTargets *t, TdlSpan at);
/* The part of the result that is differentiated: without the extra of aux; NULL after an error. */
const LowType *low_main_result(Low *L, const LowFn *fn, const LowCallee *c, TdlSpan at);
/* The extra result of aux=true: a call. */
LowValue low_extra_result(Low *L, const LowCallee *c);
/* A map over dims (lower_jacobian.c): what is emitted until it is closed is done for each index, and v replaced by the
 * tensors that the map makes of it. Nothing is opened where there are no dims. */
typedef struct { TdlOp op; TdlBuilder outer; TdlVal idx[LOW_MAX_RANK]; const TdlDim *dims; uint32_t n; } LowMap;
LowMap low_map_open(Low *L, const TdlDim *dims, uint32_t n);
void low_map_close(Low *L, LowMap *m, TdlVal *v, uint32_t n);
/* jacfwd and jacrev (lower_jacobian.c); main: the type of what is differentiated. */
LowValue low_jacobian(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, TdlSpan at);
/* The same with sparse=true: (ptr, col, val) (lower_sparse.c). */
LowValue low_sparse(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, TdlSpan at);
/* For C: (nnz, colours, ptr, col, colour), with memory for `capacity` entries in col. */
LowValue low_sparse_pattern(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, TdlDim capacity, TdlSpan at);
/* The values of a pattern that is given. */
typedef struct { LowValue ptr, col, colour; TdlDim nnz, colours; } LowSparseArgs;
LowValue low_sparse_values(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, const LowSparseArgs *p, TdlSpan at);
/* How many rows there are, and how many of what has colours. */
bool low_sparse_extents(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, TdlDim *rows, TdlDim *coloured, TdlSpan at);

/* ---- lower_diff_export.c, lower_sparse_export.c ---- */

/* The parameters of an exported derivative, and the seeds that it takes; args: their values. False after an error. */
bool low_export_params(Low *L, const LowDecl *d, LowFn *fn, const LowInst *sig, const AstParams *names, TdlFunc *f, LowArgs *args);
/* export let g = jacfwd(f, sparse=true): @g_pattern and @g_values. */
void low_export_sparse(Low *L, const LowDecl *d, LowFn *fn, const LowInst *sig, const AstParams *names);

#endif
