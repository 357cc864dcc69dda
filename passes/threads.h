/* Inside of pass `threads`: the loop being looked at, shared by
 *
 *   threads.c         the pass: which loops and contractions are cut into chunks, and the change
 *   threads_check.c   whether the iterations of a loop may run in several threads, and what they add to
 *   threads_cost.c    how much work a loop is
 */
#ifndef TDL_PASSES_THREADS_H
#define TDL_PASSES_THREADS_H

#include "passes/pass.h"

/* Memory outside the loop that its iterations use. */
typedef struct {
    TdlVal buf;             /* an allocation or a parameter */
    uint64_t own;           /* axes at which every access has the loop's index */
    bool written, other;    /* other: not only read by loads, and added to by stores */
    uint64_t shifts;        /* axes at which every access has the loop's index plus what is bounded outside of the loop */
    bool shifted;           /* only added to, and at one of these: neighbours alone meet */
    bool scattered;         /* some index follows the loop's in another way, or is read from memory */
    uint32_t nloads;
    TDL_VEC(TdlOp) loads, stores; /* of what is only added to */
} ThreadMemory;

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *a;
    bool strict;            /* sums of floats are not taken apart */
    uint32_t lanes;         /* bytes of the vector registers that pass `vector` fills; 0: it does not run */
    uint32_t *uses;         /* by value */
    /* of the loop being looked at */
    TdlOp loop;
    TdlRegion body;
    TdlVal index;
    bool legal, parallel;
    bool checks;            /* something in the body may fail */
    bool large;             /* it could, but what it adds to is too large for copies */
    TDL_VEC(TdlOpcode) carried;   /* of each carried value: what it is reduced by */
    TDL_VEC(ThreadMemory) memory; /* after threads_legal: what is added to */
} Threads;

/* An amount of work, in simple operations: a number, or a value computed in front of the loop. */
typedef struct { double n; TdlVal v; } ThreadCost;

/* promised: what `parallel` says of one run of the loop is enough; otherwise it is to be shown, for all runs together. */
bool threads_legal(Threads *t, TdlOp loop, bool promised);
/* How many iterations apart two of them can meet in memory that is shifted; computed at b, in front of the loop. */
TdlVal threads_reach(Threads *t, TdlBuilder *b, const ThreadMemory *m);

ThreadCost cost_number(double n);
ThreadCost cost_of_dim(Threads *t, TdlBuilder *b, TdlDim d);
ThreadCost cost_add(TdlBuilder *b, ThreadCost x, ThreadCost y);
ThreadCost cost_mul(TdlBuilder *b, ThreadCost x, ThreadCost y);
TdlVal cost_value(TdlBuilder *b, ThreadCost x);
/* Of all iterations of a loop, of a contraction; what is computed for it stands at b, in front of it. */
ThreadCost cost_of_loop(Threads *t, TdlBuilder *b, TdlOp loop);
ThreadCost cost_of_contraction(Threads *t, TdlBuilder *b, TdlOp o);

#endif
