/* Inside of pass `checks`.
 *
 *   checks.c        the pass: which operations can fail, proofs asked for, checks written
 *   checks_range.c  proofs: is a polynomial in dimensions and loop indices certainly >= 0 at this operation?
 *   checks_hoist.c  where an unproved check goes: in front of the loops it does not need to be in */
#ifndef TDL_PASSES_CHECKS_H
#define TDL_PASSES_CHECKS_H

#include "passes/pass.h"

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *a;              /* scratch, freed with the function */
    TDL_VEC(TdlSym) dim_syms; /* variables that newdim operations define, and by which */
    TDL_VEC(TdlOp) dim_ops;
    uint32_t nops;            /* operations when the pass began */
    bool *unproved;           /* of these: in range only because of a check somewhere in front */
    TdlOp at;                 /* the operation in question */
    TDL_VEC(TdlOp) without;   /* loops around it that may not run: their ranges prove nothing */
} Checks;

/* An `index` that is in range by proof, wherever its loops run. */
bool chk_proved(const Checks *c, TdlOp index);
/* 0 <= v < size wherever control reaches `at`. */
bool chk_in_range(Checks *c, TdlOp at, TdlVal v, TdlDim size);

/* ---- checks_range.c ---- */

/* The i64 value v as a polynomial over dimension variables and one variable for each value that is opaque or a loop
 * index; the result of an `if` whose condition is known at c->at is what that branch yields. Always succeeds.
 * Arithmetic on data is opaque, since it may wrap: k + 1 < n says nothing about the largest k. */
TdlDim chk_expr(Checks *c, TdlVal v);
/* The same, but equal to v only modulo 2**64: where the polynomial is in a range, v is. */
TdlDim chk_expr_wrapping(Checks *c, TdlVal v);
/* d >= 0 wherever control reaches operation `at`: by the ranges of the loops and the conditions around it. */
bool chk_nonneg(Checks *c, TdlOp at, TdlDim d);

/* ---- checks_hoist.c ---- */

typedef enum { CHECK_RANGE, CHECK_NONNEG, CHECK_POSITIVE, CHECK_NONZERO } ChkTest;

/* `value` (i64) must pass `test` wherever `at` runs; RANGE: 0 <= value < size. */
typedef struct {
    TdlOp at;
    TdlVal value;
    ChkTest test;
    TdlDim size;
    const char *kind, *msg; /* of the assert; {}: the value, and then the size */
    const char *msg_any;    /* for one check of many values; {}: the size */
} ChkCheck;

/* Writes the check in front of the outermost loop that it can leave, over just the loops that the value depends on;
 * false: it depends on what is only known in the loop, or is conditional in it, and nothing was written. */
bool chk_hoist(Checks *c, const ChkCheck *k);
/* Writes the check in front of its operation. */
void chk_in_place(Checks *c, const ChkCheck *k);

#endif
