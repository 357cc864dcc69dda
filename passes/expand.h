/* Inside pass `expand`: the context, the helpers that build nests, and one rewriting function an operation. */
#ifndef TDL_PASSES_EXPAND_H
#define TDL_PASSES_EXPAND_H

#include "ir/ir.h"

typedef struct {
    TdlFunc *f;
    TdlModule *m;
    TdlArena *scratch;   /* freed after each function */
    TdlVal *map;         /* replacement of each value that was there before the pass; 0: none */
    uint32_t nmap;
} ExpandCtx;

/* Builds the replacement of operation `o` in front of it and returns the value that stands for its result. */
typedef TdlVal (*ExpandFn)(ExpandCtx *c, TdlBuilder *b, TdlOp o);

/* A map or reduce under construction: emit its body through `in`, then close it. */
typedef struct {
    TdlOp op;
    TdlBuilder in;
    TdlVal *idx;         /* the indices, one an extent */
    uint32_t n;
} ExpandNest;

/* Opens a map over `dims` whose value is a scalar of element type `e`. */
ExpandNest ex_map(ExpandCtx *c, TdlBuilder *b, const TdlDim *dims, uint32_t n, TdlElem e);
/* The same for a value of type `t`. */
ExpandNest ex_map_of(ExpandCtx *c, TdlBuilder *b, const TdlDim *dims, uint32_t n, TdlType t);
ExpandNest ex_reduce(ExpandCtx *c, TdlBuilder *b, const TdlDim *dims, uint32_t n, TdlType t, const char *kind);
/* Ends the body with `v` and returns the nest's result; a map over no extents is `v` itself. */
TdlVal ex_close(ExpandNest *n, TdlVal v);

/* x at the indices; `inbounds` states that they are in range whenever the operation is reached. */
TdlVal ex_index(TdlBuilder *b, TdlVal x, const TdlVal *idx, uint32_t n, bool inbounds);
TdlVal ex_update(TdlBuilder *b, TdlVal x, TdlVal v, const TdlVal *idx, uint32_t n, bool inbounds);
void ex_yield(TdlBuilder *b, const TdlVal *v, uint32_t n);
/* Index arithmetic; constants 0 and 1 vanish. */
TdlVal ex_add(TdlBuilder *b, TdlVal x, TdlVal y);
TdlVal ex_mul(TdlBuilder *b, TdlVal x, TdlVal y);
bool ex_const_int(const TdlFunc *f, TdlVal v, int64_t *c);
/* if (cond) a else b: fill the two regions through the builders, each ending in a yield of one value of type t. */
TdlOp ex_if(TdlBuilder *b, TdlVal cond, TdlType t, TdlBuilder *yes, TdlBuilder *no);
/* True when v is certainly a tensor of zeros (before or after its own expansion). */
bool ex_is_zeros(const ExpandCtx *c, TdlVal v);
const int64_t *ex_ints(const TdlFunc *f, TdlOp o, const char *key, uint32_t *n);
void ex_copy_attrs(TdlFunc *f, TdlOp from, TdlOp to);

/* expand_<NAME> for every row of ops.def whose LOWER column says EXPAND. */
#define EX_DECL_SCALAR(NAME)
#define EX_DECL_STRUCT(NAME)
#define EX_DECL_EARLY(NAME)
#define EX_DECL_LOOP(NAME)
#define EX_DECL_EXPAND(NAME) TdlVal expand_##NAME(ExpandCtx *c, TdlBuilder *b, TdlOp o);
#define OP(NAME, MN, MIN, MAX, REGIONS, FLAGS, TYPE, DERIV, LOWER, ATTRS, DOC) EX_DECL_##LOWER(NAME)
#include "ir/ops.def"
#undef OP

#endif
