/* Inside of pass `bufferize`: from tensors as values to buffers.
 *
 *   bufferize.c         the pass: a new function beside the old one, parameters, the walk over regions
 *   bufferize_order.c   reads of an old value before the update that ends it
 *   bufferize_alias.c   which values share a buffer: live ranges on structured SSA, coalescing
 *   bufferize_place.c   where a buffer lives: its region, and which are rows of others
 *   bufferize_region.c  map, for, while, if, withacc
 *   bufferize_elem.c    index, update, accadd, stacks, calls, effects
 *   bufferize_reduce.c  reduce        bufferize_dot.c  dot        bufferize_sort.c  sort
 *
 * A function is read (`f`) and written anew (`g`); tables are arrays indexed by ids of `f`. */
#ifndef TDL_PASSES_BUFFERIZE_H
#define TDL_PASSES_BUFFERIZE_H

#include "passes/pass.h"

enum {
#define CONTRACT(name, value) CONTRACT_##name = value,
#include "runtime/object/contract.def"
#undef CONTRACT
};

typedef struct { TdlOp op; uint32_t time; } BufUse;

typedef struct Bufferize {
    const TdlPassOptions *opt;
    TdlModule *m;
    TdlFunc *f, *g;
    TdlArena *a;            /* scratch, freed with the function */
    TdlBuilder b;           /* where the next operation of g goes */

    /* Sharing (bufferize_alias.c). Values of f, then one pseudo-value for each result's destination. */
    uint32_t nvals;         /* f->vals.n + number of results */
    uint32_t *in, *out;     /* op: position on entry and after its regions */
    uint32_t *rin, *rout;   /* region: positions of its operations lie in [rin, rout] */
    uint32_t *birth;        /* value: time from which its buffer holds it or is being written */
    TdlVal *root;           /* value: the value whose memory it is a view of; itself when it is no view */
    uint32_t *use_start;    /* value: its uses (and those of its views) are uses[use_start[v] .. use_start[v + 1]) */
    BufUse *uses;
    uint32_t *rep;          /* value: union-find link; a class is the values of one buffer */
    uint32_t *ring;         /* value: next member of its class, in a ring */
    uint32_t *count;        /* class: members */
    bool *fixed;            /* class: memory of a parameter or of a result's destination */
    bool *read_only;        /* class: an input */
    uint32_t *keep;         /* class: the input whose memory it wants to be able to lie in; 0: none */
    struct BufPlace *place; /* class: a row of another buffer that it is computed in */
    TdlRegion *home;        /* class: innermost region that holds all members */
    uint32_t *anchor;       /* op of f: first class allocated in front of it; 0: none */
    uint32_t *anchor_next;  /* class: next one of the same op */

    /* Translation. */
    TdlVal *map;            /* scalars, stacks and views of f: value of g */
    TdlVal *sum;            /* accumulators that are carried as a scalar: the value of g so far; 0: in memory */
    TdlVal *buf;            /* class: its buffer in g */
    TdlOp *adder;           /* accumulator: an addition to it in the map that was asked about last */
    TDL_VEC(TdlOp) newdims; /* operations of g, in order */
    TDL_VEC(TdlSym) newdim_syms;
    TdlVal zero, one;       /* i64 constants at the entry of g */
} Bufferize;

/* A class that is computed in place in a row of what `map` builds or `update` changes. */
typedef struct BufPlace { bool set; TdlVal parent; /* value of f */ TdlOp at; /* the map or the update */
                          const TdlVal *idx; uint32_t n; } BufPlace;

/* ---- bufferize_order.c ---- */
void buf_order(Bufferize *B);                           /* reorders f; wants `root` */

/* ---- bufferize_place.c ---- */
void buf_place(Bufferize *B);                           /* `home`, `anchor` and `place` of each class */
TdlOp buf_maker(const Bufferize *B, uint32_t val);      /* the operation that brings a value about: memory must be there in front of it */
/* Is v computed in the row of `parent` where map or update `at` wants it? */
bool buf_in_row(const Bufferize *B, TdlVal v, TdlOp at, TdlVal parent);

/* ---- bufferize_alias.c ---- */
void buf_analyse(Bufferize *B);
bool buf_is_mem(const Bufferize *B, TdlVal v);          /* a tensor of rank > 0 or an accumulator */
uint32_t buf_class(const Bufferize *B, uint32_t val);   /* the class of a value that is no view */
uint32_t buf_class_of(const Bufferize *B, TdlVal v);    /* of the memory that v lies in */
/* Notes in the port of result i's destination which inputs may be the same memory. */
void buf_over(Bufferize *B, uint32_t i, TdlPort *port);
/* Value d of f's return operand i as an id: the pseudo-value of its destination. */
static inline uint32_t buf_dest(const Bufferize *B, uint32_t i) { return B->f->vals.n + i; }

/* ---- bufferize.c ---- */
TdlVal buf_get(const Bufferize *B, TdlVal v);           /* scalar, view or buffer of g for a value of f */
void buf_set(Bufferize *B, TdlVal v, TdlVal to);
TdlVal buf_alloc(Bufferize *B, TdlType tensor);         /* a fresh buffer, here or behind the newdim its size needs */
/* The operations of a region but its terminator, at B->b. The mark, if any, is for buf_leave, which comes when
 * everything that the region yields is out of its memory. */
TdlVal buf_body(Bufferize *B, TdlRegion src);
void buf_leave(Bufferize *B, TdlVal mark);
void buf_scalar(Bufferize *B, TdlOp o);
TdlVal buf_op2(Bufferize *B, TdlOpcode c, TdlVal x, TdlVal y);
TdlVal buf_select(Bufferize *B, TdlVal c, TdlVal x, TdlVal y);
TdlVal buf_load(Bufferize *B, TdlVal buf, const TdlVal *idx, uint32_t n);
void buf_store(Bufferize *B, TdlVal v, TdlVal buf, const TdlVal *idx, uint32_t n);
TdlVal buf_view(Bufferize *B, TdlVal buf, const TdlVal *idx, uint32_t n, TdlType result_tensor);
void buf_copy(Bufferize *B, TdlVal dst, TdlVal src);
void buf_fill(Bufferize *B, TdlVal dst, TdlVal scalar);
TdlVal buf_float(Bufferize *B, TdlElem e, double v);    /* constant of any element type */
/* msg with {} for each of vals */
void buf_assert(Bufferize *B, TdlVal cond, const char *kind, const char *msg, const TdlVal *vals, uint32_t n);

/* A `for` that is open: buf_for begins it and moves B->b into its body; buf_for_end yields and moves behind it. */
typedef struct { TdlOp op; TdlBuilder outer; TdlVal index; } BufFor;
BufFor buf_for(Bufferize *B, TdlVal lo, TdlVal hi, const TdlVal *init, uint32_t n);
TdlVal buf_for_arg(const Bufferize *B, const BufFor *l, uint32_t i);
void buf_for_end(Bufferize *B, const BufFor *l, const TdlVal *yields, uint32_t n);
/* The loops over the extents of a map or reduce, its indices set; they carry `state`, which holds what it is inside. */
typedef struct { BufFor *l; uint32_t n; } BufNest;
BufNest buf_nest(Bufferize *B, TdlOp o, TdlVal *state, uint32_t nstate);
void buf_nest_end(Bufferize *B, const BufNest *s, TdlVal *state, uint32_t nstate); /* from what is yielded to the results */
void buf_yield(Bufferize *B, const TdlVal *v, uint32_t n);

/* Copies that happen all at once: dst classes take sources (values of f); identical ones are left out. */
typedef struct { uint32_t dst; TdlVal src; } BufMove;
typedef TDL_VEC(BufMove) BufMoves;
void buf_moves(Bufferize *B, BufMoves *moves);
/* Adds the move into the class of `dst` unless src is there already or is undefined. */
void buf_move(Bufferize *B, BufMoves *moves, uint32_t dst, TdlVal src);

/* ---- one function for each row of ir/ops.def with STRUCT ---- */
#define BUF_SCALAR(NAME)
#define BUF_EXPAND(NAME)
#define BUF_EARLY(NAME)
#define BUF_LOOP(NAME)
#define BUF_STRUCT(NAME) void buf_##NAME(Bufferize *B, TdlOp o);
#define OP(NAME, mn, min, max, regs, flags, type, deriv, LOWER, attrs, doc) BUF_##LOWER(NAME)
#include "ir/ops.def"
#undef OP
#undef BUF_STRUCT

#endif
