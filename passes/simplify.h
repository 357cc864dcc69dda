/* Pass simplify: what its files share. simplify.c has the walk and the driver; _merge common
 * subexpressions; _fold constants;
 * _ident identities; _dot contractions; _region control flow; _dims run-time dimensions; _dead what
 * nothing needs. */
#ifndef TDL_PASSES_SIMPLIFY_H
#define TDL_PASSES_SIMPLIFY_H

#include "ir/ir.h"

typedef struct { uint32_t hash, next; TdlOp op; } SmEntry; /* next: of the same bucket, index + 1 */

typedef struct {
    TdlFunc *f;
    TdlModule *m;
    TdlArena scratch;         /* of one round */
    TDL_VEC(TdlVal) repl;     /* by value id: what stands for it now; 0: itself */
    TDL_VEC(SmEntry) entries;   /* common subexpressions in scope, innermost last */
    uint32_t *buckets;        /* index of an entry + 1 */
    uint32_t nbuckets;
    uint32_t floor;           /* entries before it are out of reach: of outside the `checkpoint` that is walked */
    uint32_t *uses, ncounted; /* uses by value id at the beginning of the round, of the values of then */
    bool derived;             /* nothing in the module is to be differentiated any more */
    TDL_VEC(uint32_t) local;  /* by value id: its number in the regions being compared or hashed; 0: from outside */
    bool changed;
} Simplify;

/* A scalar constant, or what a broadcast of one holds everywhere. */
typedef struct { TdlElem e; bool is_float; int64_t i; double f; } SmConst;

/* The present stand-in of v. */
TdlVal sm_get(const Simplify *s, TdlVal v);
void sm_set(Simplify *s, TdlVal from, TdlVal to);
bool sm_const(const Simplify *s, TdlVal v, SmConst *c);
bool sm_splat(const Simplify *s, TdlVal v, SmConst *c);
bool sm_is_int(const Simplify *s, TdlVal v, int64_t i);        /* a splat of that integer */
bool sm_is_float(const Simplify *s, TdlVal v, double f);       /* a splat of that float, bit for bit */
/* The operation that defines v when it is `code`; 0 otherwise. */
TdlOp sm_def(const Simplify *s, TdlVal v, TdlOpcode code);
static inline TdlVal sm_operand(const Simplify *s, TdlOp o, uint32_t i) { return ir_op(s->f, o)->operands[i]; }

/* Each returns the value that stands for the lone result of `o`, or 0; new operations go in front of it. */
TdlVal sm_fold(Simplify *s, TdlOp o);
TdlVal sm_identity(Simplify *s, TdlOp o);
TdlVal sm_view(Simplify *s, TdlOp o);
TdlVal sm_dot(Simplify *s, TdlOp o);         /* of a dot: its operands need no permutation */
TdlVal sm_permuted_dot(Simplify *s, TdlOp o, TdlOp dot); /* o permutes its result: the factors in the other order */

/* Replaces `o` by an equal operation that dominates it; else enters it for those that follow in its scope. */
bool sm_merge(Simplify *s, TdlOp o);
void sm_leave_scope(Simplify *s, uint32_t mark); /* forgets the entries from `mark` on */

/* Control flow, before and after the regions were simplified. A spliced operation is gone; *next is where to go on. */
bool sm_region_before(Simplify *s, TdlOp o, TdlOp *next);
bool sm_region_after(Simplify *s, TdlOp o, TdlOp *next);

/* Settles dimension variables whose values are known dimensions, and drops those that no type mentions. */
void sm_dims(Simplify *s);

/* Removes what nothing needs, carried values and results of region operations included. */
void sm_dead(Simplify *s);

#endif
