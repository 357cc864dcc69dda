/* Inside the adjoint pass: loops. adjoint_loop.c keeps a tape of every iteration; adjoint_long.c keeps few states. */
#ifndef TDL_PASSES_ADJOINT_LOOP_H
#define TDL_PASSES_ADJOINT_LOOP_H

#include "passes/adjoint.h"

/* A loop with its tapes. */
typedef struct {
    TdlOp fwd, rev;
    TdlRegion body, t;        /* primal body; body of the reverse */
    TdlVal lo, hi, count;     /* for: bounds; while: the number of iterations */
    bool has_trip, from_lo;
    TdlDim trip;              /* slots of a tape */
    TdlDim row;               /* bytes that one iteration puts on tapes; 0: none */
    TdlVal stack, top;        /* the reverse's stack; what was pushed, after the loop */
    TdlOp push, pop;
    TDL_VEC(TdlType) rows;    /* types on the stack */
} AdjLoop;

/* Carried value `at`; given: its result has a cotangent; whole: each iteration reads all of it. */
typedef struct { uint32_t at; TdlVal init, arg, yield, result, zbar; bool given, whole; } AdjCarried;
typedef TDL_VEC(AdjCarried) AdjCarriedVec;

/* The carried values that have a cotangent, with the cotangents of their results. Of the first: `inits` its operand,
 * `args` its argument of the body, `lead` its yield and result. */
AdjCarriedVec adj_carried(Adj *a, TdlOp o, TdlRegion body, uint32_t inits, uint32_t args, uint32_t lead, const TdlVal *zbar);
/* Adds a carried value to loop `o`; returns the body's argument and sets *after to the result. The value that the body
 * yields for it is to be added to the body's terminator. */
TdlVal adj_carry(Adj *a, TdlOp o, TdlVal init, TdlVal *after);
/* The reverse of `for` l->fwd with a tape of each iteration; zbar: by its results. */
void adj_for(Adj *a, AdjLoop *l, const TdlVal *zbar);
/* The reverse of `for` or `while` o from few states of it, where its tape has a limit; false: it has none. */
bool adj_long(Adj *a, TdlOp o, const TdlVal *zbar);
/* Bytes of a tensor. */
TdlDim adj_bytes(Adj *a, TdlType t);

#endif
