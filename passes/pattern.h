/* Inside the pattern pass: the state of one function whose dependences are followed.
 *
 * Each active value (one that depends on what the pattern is for: adj_activity) has a *shadow*, the sets of what its
 * elements depend on. That of a scalar is a list of i64 sets, its atoms, whose union is meant: arithmetic joins the
 * lists when compiling and emits nothing. It becomes one set (pat_set) where it is stored, yielded or carried. That of a
 * tensor is a tensor of sets, that of a stack a stack of them, that of an accumulator the tensor so far. */
#ifndef TDL_PASSES_PATTERN_H
#define TDL_PASSES_PATTERN_H

#include "passes/adjoint.h"

typedef struct Pat {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *arena;
    TdlBuilder b;             /* where sets are computed */
    Adj act;                  /* activity alone */
    TDL_VEC(TdlVals) shadow;  /* by value id; empty: nothing */
    TDL_VEC(uint8_t) floats;  /* by value id: depends on float arguments, so that it differs from run to run */
    TDL_VEC(TdlOp) guards;    /* `if`s around what may be out of range in a branch that is not taken */
    TdlFunc *(*derived)(struct Pat *p, const TdlFunc *f, const int64_t *wrt, uint32_t n); /* for a call that stays */
    void *pass;
    bool kept;                /* the pattern is to hold for other floats, too */
    bool failed;
} Pat;

/* ---- shadows (pattern_rules.c) ---- */

bool pat_has(const Pat *p, TdlVal v);
void pat_forget(Pat *p, TdlVal v);
/* Sets the shadow of v to the one value s. */
void pat_put(Pat *p, TdlVal v, TdlVal s);
/* Joins the shadow of scalar `from` to that of scalar v. */
void pat_join(Pat *p, TdlVal v, TdlVal from);
/* The shadow of v as one value, of type pat_type: empty sets where it has none. */
TdlVal pat_set(Pat *p, TdlVal v);
TdlType pat_type(Pat *p, TdlType t);
TdlVal pat_empty(Pat *p, TdlType t);   /* t: that of the value */
TdlVal pat_union(Pat *p, TdlVal a, TdlVal b); /* element by element */
TdlVal pat_union_all(Pat *p, TdlVal sets); /* of all elements: one set */
/* The rule of an operation without regions. */
void pat_op(Pat *p, TdlOp o);

/* Nested `for`s over extents that carry values: what is emitted between open and close is the innermost body. */
typedef struct { TdlOp *loops; TdlVal *idx, *carried; uint32_t rank, n; TdlBuilder saved; } PatNest;
PatNest pat_nest_open(Pat *p, const TdlVal *extents, uint32_t rank, const TdlVal *init, uint32_t n);
/* Yields next[i]; replaces them by the results. */
void pat_nest_close(Pat *p, PatNest *n, TdlVal *next);

/* ---- regions (pattern_region.c) ---- */

/* Follows the operations of r from `first` on, to the one before `end` (0: to the terminator). */
void pat_ops(Pat *p, TdlOp first, TdlOp end);
void pat_region(Pat *p, TdlRegion r);
void pat_region_op(Pat *p, TdlOp o);

/* ---- what differs from run to run (pattern_branch.c) ---- */

bool pat_floats(const Pat *p, TdlVal v);
void pat_set_floats(Pat *p, TdlVal v);
/* Marks what in r depends on float arguments; true: something new. */
bool pat_find_floats(Pat *p, TdlRegion r);
/* The same for the whole function, whose branches are made ready to be followed both. */
void pat_settle(Pat *p);
/* Removes prints, and checks that depend on floats. */
void pat_strip(Pat *p, TdlRegion r);
/* The pattern follows the path that is taken at o: with `kept` a warning says so. */
void pat_path(Pat *p, TdlOp o);
/* Whether both branches of `if` o are to count. */
bool pat_both(const Pat *p, TdlOp o);
/* Clones branch i of `if` o in front of it, so that it runs whatever the condition; what it yields. */
TdlVals pat_clone_branch(Pat *p, TdlOp o, uint32_t i);
/* Marks activity and floats in what was cloned: the operations of r. */
void pat_look_again(Pat *p, TdlRegion r);

#endif
