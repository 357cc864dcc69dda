/* What the builtin families share beyond lower_int.h. */
#ifndef TDL_FRONTEND_BI_H
#define TDL_FRONTEND_BI_H

#include "frontend/lower_int.h"

/* bi_<name> of frontend/builtins.def. */
#define BI(name, sig, fn, op, grad_fn, grad_fn2, doc) LowValue fn(LowCall *c);
#include "frontend/builtins.def"
#undef BI

/* The value v, named as PyTorch names the backward of what made it, unless it is the operand itself. */
LowValue bi_named(LowCall *c, TdlVal v, TdlVal operand, const char *grad_fn);
/* An integer argument known when compiling; false: reported. */
bool bi_int(LowCall *c, uint32_t i, int64_t *out);
/* A tensor of i64 indices (i32 is widened). */
bool bi_indices(LowCall *c, uint32_t i, TdlVal *out);
/* An integer argument as a dimension that is at least 0, at run time checked. */
bool bi_dim(LowCall *c, LowValue v, TdlSpan at, TdlDim *d);
/* x with the axes `axes` as 1 (keep) or gone: the shape after a reduction. */
TdlType bi_reduced_type(Low *L, TdlType x, TdlElem e, const int64_t *axes, uint32_t n, bool keep);
/* Gives back a tensor that was made, as a leaf when requires_grad (argument i) says so. */
LowValue bi_made(LowCall *c, uint32_t i, TdlVal v);

#endif
