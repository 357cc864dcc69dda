/* Inside pass `fuse`: the context that its rewrites share, and what they ask about values, bodies and nests. */
#ifndef TDL_PASSES_FUSE_H
#define TDL_PASSES_FUSE_H

#include "ir/ir.h"
#include "passes/pass.h"

typedef struct { TdlOp op; uint16_t operand; } FuseUse;

typedef struct {
    TdlFunc *f;
    TdlModule *m;
    const TdlPassOptions *opt;
    TdlArena *scratch;        /* freed after each rewrite of a function */
    /* The uses of every value that was there when the rewrite began, by value id: use[first[v] .. first[v+1]). */
    uint32_t nvals, *first;
    FuseUse *use;
    bool *consumed;           /* by value: some of these uses may overwrite it in place */
    /* Position of each operation in its region, for those that were there when the rewrite began; 0: new since. */
    uint32_t nops, *pos;
    uint32_t *mark, epoch;    /* marks of values (fuse_slice); a value is marked when mark[v] == epoch */
    uint32_t nmark;
    TdlValMap vmap;
    bool changed;
} FuseCtx;

/* One rewrite over a function; each is in a file of its own, and answers whether it changed anything. */
bool fuse_pull(FuseCtx *c);   /* producers into consumers, at the index */
bool fuse_ranges(FuseCtx *c); /* indices that are in range say so; comparisons that are certain go */
bool fuse_branch(FuseCtx *c); /* branches on one condition become one */
bool fuse_gather(FuseCtx *c); /* additions at a shifted index become reads */
bool fuse_merge(FuseCtx *c);  /* loops side by side into one */
bool fuse_own(FuseCtx *c);    /* accumulators that are added to at the loop's own index become results */
bool fuse_add(FuseCtx *c);    /* additions of a map's result into the map */
bool fuse_linear(FuseCtx *c); /* sums of what is linear in a value, of the value alone */
bool fuse_share(FuseCtx *c);  /* what one nest of an iteration computed out of the next */
bool fuse_rows(FuseCtx *c);   /* what all rows of a nest share is computed once */
bool fuse_hoist(FuseCtx *c);  /* invariant operations out of bodies, constant factors out of sums */

/* ---- questions (fuse_util.c) ---- */

void fuse_begin(FuseCtx *c);  /* fills the tables of the context for the function as it is now */
/* Calls of the form: for (FuseIter it = fuse_uses(c, v); fuse_next(&it);) it.u */
typedef struct { const FuseCtx *c; TdlVal v; uint32_t at, end; FuseUse u; } FuseIter;
FuseIter fuse_uses(const FuseCtx *c, TdlVal v);
bool fuse_next(FuseIter *it); /* skips uses that are gone */
uint32_t fuse_nuses(const FuseCtx *c, TdlVal v);
void fuse_replace(FuseCtx *c, TdlVal from, TdlVal to); /* at the uses in the table */

bool fuse_is_zero(const TdlFunc *f, TdlVal v);         /* constant 0 (of either sign) */
bool fuse_is_zeros(const TdlFunc *f, TdlVal v);        /* a tensor or scalar of zeros, made by a map of a constant */
/* True when 0 <= idx < extent whenever idx exists: by the ranges of loop indices and arithmetic on dimensions. */
bool fuse_in_range(const TdlFunc *f, TdlVal idx, TdlDim extent);
/* Every index of an index, update or accadd operation is in range, by attribute (if `trust`) or by fuse_in_range. */
bool fuse_checked(const FuseCtx *c, TdlOp o, bool trust);
/* True when v is defined before operation o is reached: in the same region in front of it, or outside. */
bool fuse_dominates(const FuseCtx *c, TdlVal v, TdlOp o);
TdlOp fuse_lift(const TdlFunc *f, TdlOp o, TdlRegion r); /* the operation of r that holds o, or is o; 0: none */
/* True when reading at `at` what o reads could keep a tensor alive that is overwritten in place before: a copy. */
bool fuse_revives(const FuseCtx *c, TdlOp o, TdlOp at);
bool fuse_may_fail(const FuseCtx *c, TdlOp o);         /* running it, or what is in it, could end the program (fuse_hoist.c) */
bool fuse_is_loop(TdlOpcode code);                     /* a body may run several times: map, reduce, for, while */
bool fuse_is_sum(const TdlFunc *f, TdlOp o);           /* a reduce of kind sum without a filter */
TdlOp fuse_loop_in(const TdlFunc *f, TdlOp with);      /* the map in a withacc that holds nothing else; 0: none */
TdlDim fuse_extent(const TdlFunc *f, TdlVal v);        /* of a map: a dimension for certain; else 0 */

double fuse_estimate(const TdlModule *m, TdlDim d);     /* with 16 for every variable */

/* What an evaluation of some operations costs. */
typedef struct {
    uint32_t loads, flops, ops; /* ops: in all, unweighed */
    uint32_t tensors;         /* that the loads are of, as far as the first few go */
    uint32_t ints;            /* of the flops: integers, comparisons of them, branches */
    bool heavy;
    TdlVal read[8];
} FuseCost;
/* Marks the operations of `region` that value v needs, and weighs them. */
FuseCost fuse_slice(FuseCtx *c, TdlRegion region, TdlVal v);
/* Clones the marked operations at b, with region arguments set in c->vmap before; returns what stands for v. */
TdlVal fuse_clone_slice(FuseCtx *c, TdlBuilder *b, TdlRegion region, TdlVal v);

/* Effects inside an operation other than adding to accumulators. */
bool fuse_has_effect(const TdlFunc *f, TdlOp o);
/* Calls fn for each operand of o and of what is nested in it. */
void fuse_operands(const TdlFunc *f, TdlOp o, void (*fn)(void *user, TdlOp o, TdlVal v), void *user);
/* Replaces operands in `o` and all nested in it through c->vmap. */
void fuse_remap(FuseCtx *c, TdlOp o);
void fuse_yield(TdlBuilder *b, const TdlVal *v, uint32_t n);
/* The op's own region number 0. */
static inline TdlRegion fuse_body(const TdlFunc *f, TdlOp o) { return ir_op(f, o)->regions[0]; }

#endif
