/* Reference evaluator of IR, for tests: what a function computes, by the definitions of ir/ops.def and docs/ir.md and
 * nothing else. Every value is a copy; nothing is fast. It is the oracle of the passes: what a pass makes of a function
 * must evaluate to the same numbers, and a generated gradient must agree with differences of the primal. */
#ifndef TDL_TESTS_EVAL_H
#define TDL_TESTS_EVAL_H

#include "ir/ir.h"

typedef struct EvStack EvStack;

/* A tensor (f for float elements, i for bool and integers, row-major), an accumulator or buffer (its elements are
 * shared by copies of the EvVal), or a stack. */
typedef struct {
    TdlElem elem;
    uint32_t rank;
    int64_t *dims, n;
    double *f;
    int64_t *i;
    EvStack *stack;
} EvVal;

struct EvStack { const EvStack *below; EvVal *vals; uint32_t n; };

typedef struct { TdlSym name; int64_t v; } EvDim;

typedef struct EvCall EvCall;
struct EvCall { /* one activation of a function */
    TdlModule *m;
    TdlFunc *f;
    TdlArena *arena;
    EvVal *vals;          /* by value id */
    TDL_VEC(EvDim) dims;
    const char *why;      /* set when evaluation failed: the message of the check */
    int64_t steps;        /* operations left before it is taken for endless */
    TdlStr *out;          /* what print wrote */
};

/* Evaluates f on args (one for each parameter), dims (one for each dimension parameter). Results in `results` (arena).
 * NULL on success, or why it failed. */
const char *eval_func(TdlModule *m, TdlFunc *f, TdlArena *arena, const int64_t *dims, const EvVal *args, EvVal *results,
                      TdlStr *out);
/* A tensor of zeros of type t under the dimensions of the call. */
EvVal ev_tensor(EvCall *c, TdlType t);
EvVal ev_make(TdlArena *a, TdlElem e, const int64_t *dims, uint32_t rank);
int64_t ev_dim(EvCall *c, TdlDim d);
void ev_print(const EvVal *v, TdlStr *out);

/* ---- between the files of the evaluator ---- */
void ev_fail(EvCall *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
EvVal *ev_in(EvCall *c, TdlOp o, uint32_t i);
EvVal *ev_out(EvCall *c, TdlOp o, uint32_t i);
double ev_round(TdlElem e, double x);      /* to the element type */
/* Does x beat `best` as the largest (max) or smallest? NaN beats all, the first of equals stays; with `zeros`, -0 is
 * below +0 (values; for positions they are equal). */
bool ev_beats(double x, double best, bool max, bool zeros);
void ev_region(EvCall *c, TdlRegion r, EvVal *yields); /* runs the operations; copies what the terminator passes */
void ev_scalar_op(EvCall *c, TdlOp o);     /* elementwise (eval_scalar.c) */
void ev_tensor_op(EvCall *c, TdlOp o);     /* whole tensors (eval_tensor.c) */
/* Position of indices idx[0..n) in v; fails when out of range. *len: elements below. */
int64_t ev_offset(EvCall *c, const EvVal *v, const int64_t *idx, uint32_t n, int64_t *len);
EvVal ev_copy(EvCall *c, const EvVal *v);
void ev_move(EvVal *to, int64_t at, const EvVal *from, int64_t from_at, int64_t n);

#endif
