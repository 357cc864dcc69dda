/* Inside of pass `jam`: the loop being looked at, shared by
 *
 *   jam.c         the pass: which loops, and the change itself
 *   jam_check.c   whether two iterations may run side by side, and whether it pays
 */
#ifndef TDL_PASSES_JAM_H
#define TDL_PASSES_JAM_H

#include "passes/pass.h"

/* An element that the body reads or writes. */
typedef struct {
    TdlOp op;
    TdlVal memory;          /* what is viewed; 0: not known */
    TdlVals index;          /* from its first axis on, through views; none where a view has another shape */
    uint32_t at;            /* loops of the body that are complete in front of it */
    bool inner;             /* it stands in loop `at` itself */
    bool write, sum;        /* sum: a part of store(load + x) */
} JamAccess;

/* A row being made: what the values of the body become, and where. */
typedef struct { TdlValMap map; TdlBuilder *b; } JamRow;

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *a;
    uint32_t *uses;         /* by value */
    TdlVal *become;         /* by value: of a loop that is gone, what it is now */
    JamRow rows[2];
    uint32_t registers;     /* that the target has */
    /* of the vector loop around */
    TdlVal lane;            /* its index */
    int64_t lanes;          /* of its largest groups */
    uint32_t wide;          /* registers of a value that differs between those */
    /* of the loop being looked at, whose iterations are rows */
    TdlOp loop;
    TdlVal row;             /* its index */
    TdlRegion body;
    bool *own;              /* by value of the body: may differ between rows */
    TDL_VEC(TdlOp) inner;   /* the loops in its body */
    TDL_VEC(JamAccess) accesses;
} Jam;

/* Whether rows may run two at a time, and whether that saves anything; j->loop and what follows it say more then. */
bool jam_fits(Jam *j, TdlOp o);
/* An inner loop that ends at the row's own index. */
bool jam_triangular(const Jam *j, TdlOp inner);
/* Its result is the same in both rows. */
bool jam_shared(const Jam *j, TdlOp o);

#endif
