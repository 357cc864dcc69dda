/* Inside the lowering of scripts: leaves, what flows from them, and backward(). */
#ifndef TDL_FRONTEND_LOWER_SCRIPT_H
#define TDL_FRONTEND_LOWER_SCRIPT_H

#include "frontend/bi.h"

/* ---- lower_script.c ---- */

/* Where a backward() from here ends for leaf `l`: the values it began with, out of the loops around. */
void low_leaf_values(Low *L, LowLeaf *l, TdlVals *out);

/* ---- lower_activity.c ---- */

/* By value of a function: a leaf flows into it. */
typedef struct { Low *L; TdlFunc *f; bool *on, changed; uint32_t n; } LowActivity;

LowActivity low_activity(Low *L, TdlFunc *f, bool params);
static inline bool low_on(const LowActivity *a, TdlVal v) { return v.id < a->n && a->on[v.id]; }
/* The floats that v was computed from, in the regions of closed operations too; seen from region `here`, which is in none of
 * their iterations. Nothing is behind a constant; behind a leaf is what it was. */
void low_sources(Low *L, TdlVal v, TdlRegion here, TdlVals *out);
/* Whether the derivative of o depends on what is differentiated: it has a second derivative. */
bool low_bends(const LowActivity *a, TdlOp o);
/* Whether PyTorch's node of o keeps tensors, which a backward() without retain_graph frees. */
bool low_keeps_tensors(const LowActivity *a, TdlOp o);

/* ---- lower_backward.c ---- */

bool low_from_leaf(Low *L, LowValue v);
LowValue low_leaf_grad(Low *L, const LowLeaf *l); /* LV_NONE, a tensor or LV_MAYBE */
LowValue low_backward(Low *L, const AstExpr *e, LowValue y);
LowValue low_zero_grad(Low *L, const AstExpr *e);

/* ---- lower_freed.c ---- */

void low_check_backwards(Low *L, TdlFunc *f);

#endif
