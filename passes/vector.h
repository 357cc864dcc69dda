/* Inside of pass `vector`: the loop being looked at, shared by
 *
 *   vector.c         the pass: which loop of a nest is chosen
 *   vector_check.c   whether a loop may run in lanes, and its cost
 *   vector_stage.c   what it reads is laid out for lanes
 *   vector_change.c  how many lanes it gets; the change itself
 */
#ifndef TDL_PASSES_VECTOR_H
#define TDL_PASSES_VECTOR_H

#include "passes/pass.h"

enum { VEC_TRIP = 8 /* assumed trip count of an inner loop */, VEC_PRICE = 8 /* of lanes that are not side by side */,
       VEC_NEAR = 2 /* of lanes that are every other element: two vectors and a shuffle */,
       VEC_MASKED = 32 /* bytes of a register from which on targets load and store under a mask */,
       VEC_EVERY_OTHER = 4 /* bytes of an element from which on they do so fast */ };

/* Memory outside the loop that its iterations add to. */
typedef struct {
    TdlVal buf;             /* the buffer itself, no view */
    uint32_t prefix;        /* leading indices that are the same at every access and defined outside the loop */
    TDL_VEC(TdlOp) loads, stores;
} VecAcc;

/* Memory outside the loop of which each iteration touches its own part: the loop's index is the one of this axis. */
typedef struct { TdlVal buf; uint32_t axis; } VecOwn;

/* A copy of an input with `axis` as its last one, for the whole function. */
typedef struct { TdlVal source, copy; uint32_t axis; } VecCopy;

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *a;
    uint32_t *uses;         /* by value */
    uint32_t bytes;         /* of the target's vector registers */
    TDL_VEC(VecCopy) copies;
    /* of the loop being looked at */
    TdlOp loop;
    TdlVal index;
    TdlRegion body;
    bool *varying;          /* by value: differs between iterations */
    bool changed, legal, hard; /* hard: LLVM's own vectoriser would not do well, or the target has masks */
    bool fails;                /* some operation must not run for lanes that do not (an integer division) */
    uint32_t masks;            /* branches that differ between iterations, around the operation being looked at */
    uint32_t forks;            /* branches that differ between iterations, in all */
    uint32_t depth;            /* inner loops around the operation being looked at */
    TdlVal innermost;          /* index of the innermost of them */
    double cost, count;        /* operations, with and without the price of lanes that are not side by side */
    TDL_VEC(VecAcc) accs;
    TDL_VEC(VecOwn) own;
    TDL_VEC(TdlOp) allocs, loops;
    uint32_t lanes, one;       /* of its largest groups; of a register */
} Vec;

/* Looks at one loop: v->legal and v->cost say what it is worth, v->accs what it adds to. */
void vec_examine(Vec *v, TdlOp o);
/* A `for` whose iterations may run in any order, but for what it reads and writes. */
bool vec_plain(const Vec *v, TdlOp o);
/* A load or store whose lanes are not side by side in memory. */
bool vec_apart(const Vec *v, TdlOp o);
/* Lays out something that the loop that was looked at reads; false: nothing. It is to be looked at again. */
bool vec_stage(Vec *v);
/* Makes a vector loop of the loop that was looked at. */
void vec_change(Vec *v);

/* A new slot, for `lanes` values an element, for an allocation at o: at the end of the workspace, or of a chunk's slots. */
TdlDim vec_slot(Vec *v, TdlOp o, TdlType t, uint32_t lanes);

static inline bool vec_inside(const Vec *v, TdlVal x) { return ir_defined_in(v->f, x, v->body); }

#endif
