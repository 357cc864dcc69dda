/* The intermediate representation: everything between the syntax tree and LLVM.
 *
 * Read from top to bottom: names for things (ids), dimensions, types, attributes, operations, regions,
 * functions, the module; then how to build, walk, change, print, parse and verify them. docs/ir.md is the
 * specification, with the text form; ir/ops.def has one row an operation.
 *
 * Everything is SSA with structured regions. A scalar is a tensor of rank 0. Tensors are values: memory appears
 * only in loop IR (buffers: TY_BUF), the last form before LLVM. Entities are 32-bit handles into their owner's
 * arrays; 0 is none; a side table is a plain array indexed by `.id`. All memory belongs to the module's arena. */
#ifndef TDL_IR_IR_H
#define TDL_IR_IR_H

#include "support/arena.h"
#include "support/diag.h"
#include "support/intern.h"
#include "support/str.h"
#include "support/vec.h"

/* ---- handles ---- */

typedef struct { uint32_t id; } TdlDim;    /* dimension expression, interned in the module */
typedef struct { uint32_t id; } TdlType;   /* type, interned in the module */
typedef struct { uint32_t id; } TdlVal;    /* SSA value of one function */
typedef struct { uint32_t id; } TdlOp;     /* operation of one function */
typedef struct { uint32_t id; } TdlRegion; /* region of one function */

typedef struct TdlModule TdlModule;
typedef struct TdlFunc TdlFunc;

typedef TDL_VEC(TdlVal) TdlVals;
typedef TDL_VEC(TdlDim) TdlDims;

/* ---- dimensions: integer polynomials in normal form (dim.c) ----
 * Variables are named symbols: the dimension parameters of the function, and those that a `newdim` operation
 * defines. Atoms: a variable, p // c and p % c (c a positive constant; floor division). Two dimensions are equal
 * exactly when their handles are. */

/* The place that messages name when a result does not fit; every operation that is built sets it too. */
void dim_at(TdlModule *m, TdlSpan at);
TdlDim dim_const(TdlModule *m, int64_t c);
TdlDim dim_var(TdlModule *m, TdlSym name);
TdlDim dim_add(TdlModule *m, TdlDim a, TdlDim b);
TdlDim dim_sub(TdlModule *m, TdlDim a, TdlDim b);
TdlDim dim_mul(TdlModule *m, TdlDim a, TdlDim b);
/* a // c and a % c for c > 0; exact division of a polynomial whose coefficients c divides is carried out, and so is
 * that of a product of consecutive integers such as d*(d-1) by 2 left as one atom. */
TdlDim dim_floordiv(TdlModule *m, TdlDim a, int64_t c);
TdlDim dim_mod(TdlModule *m, TdlDim a, int64_t c);
/* The lesser of a and c. */
TdlDim dim_min(TdlModule *m, TdlDim a, int64_t c);
bool dim_is_const(const TdlModule *m, TdlDim d, int64_t *c);
bool dim_is_var(const TdlModule *m, TdlDim d, TdlSym *name);
static inline bool dim_eq(TdlDim a, TdlDim b) { return a.id == b.id; }
/* True when a - b is certainly >= 0 for all variables >= 0 (a safe "no" otherwise). */
bool dim_known_ge(TdlModule *m, TdlDim a, TdlDim b);
/* A number that d never exceeds, for all variables >= 0; false: none is known. */
bool dim_most(const TdlModule *m, TdlDim d, int64_t *most);
/* Replaces variables simultaneously: names[i] by to[i]. */
TdlDim dim_subst(TdlModule *m, TdlDim d, const TdlSym *names, const TdlDim *to, uint32_t n);
/* Calls fn for each variable that occurs in d (each once). */
void dim_vars(const TdlModule *m, TdlDim d, void (*fn)(void *user, TdlSym var), void *user);
/* Solves a*v + b == total for the lone variable v of `d` when d has that form (a constant, non-zero); false otherwise. */
bool dim_solve(TdlModule *m, TdlDim d, TdlDim total, TdlSym *v, TdlDim *value);
/* Source form, e.g. d*(d - 1)//2 prints as written in normal form: (d**2 - d)//2. Reads back. */
void dim_print(const TdlModule *m, TdlDim d, TdlStr *out);
/* A value for the dimension parameter of a name (-D, --specialise). */
typedef struct { const char *name; int64_t value; } TdlDimFix;
/* Structure for code generators: d as a sum of terms; each term a coefficient and a product of atoms. */
typedef enum { DIM_ATOM_VAR, DIM_ATOM_FLOORDIV, DIM_ATOM_MOD, DIM_ATOM_MIN } TdlDimAtomKind;
typedef struct { TdlDimAtomKind kind; TdlSym var; TdlDim arg; int64_t c; } TdlDimAtom;
uint32_t dim_nterms(const TdlModule *m, TdlDim d);
int64_t dim_term_coef(const TdlModule *m, TdlDim d, uint32_t term);
uint32_t dim_term_natoms(const TdlModule *m, TdlDim d, uint32_t term); /* with repetition: n**2 is n, n */
TdlDimAtom dim_term_atom(const TdlModule *m, TdlDim d, uint32_t term, uint32_t i);
/* a // c, a % c or min(a, c). */
TdlDim dim_of(TdlModule *m, TdlDimAtomKind kind, TdlDim a, int64_t c);

/* ---- types (type.c) ---- */

typedef enum { EL_BOOL, EL_I32, EL_I64, EL_F16, EL_BF16, EL_F32, EL_F64, EL_COUNT } TdlElem;
const char *el_name(TdlElem e);      /* "f64" */
uint32_t el_bytes(TdlElem e);
static inline bool el_is_float(TdlElem e) { return e >= EL_F16; }
static inline bool el_is_int(TdlElem e) { return e == EL_I32 || e == EL_I64; }

typedef enum {
    TY_TENSOR, /* f64[n, k]; rank 0 prints as f64 */
    TY_ACC,    /* acc<f64[n]>: accumulator, may only be added to (accadd) inside its withacc */
    TY_STACK,  /* stack<f64, f64[n]>: LIFO of rows of values; grows at run time */
    TY_BUF     /* buf<f64[n, k]>: loop IR; contiguous row-major memory */
} TdlTypeKind;

TdlType ty_tensor(TdlModule *m, TdlElem e, const TdlDim *dims, uint32_t rank);
TdlType ty_scalar(TdlModule *m, TdlElem e);
TdlType ty_acc(TdlModule *m, TdlType tensor);
TdlType ty_buf(TdlModule *m, TdlType tensor);
TdlType ty_stack(TdlModule *m, const TdlType *elems, uint32_t n);
TdlTypeKind ty_kind(const TdlModule *m, TdlType t);
TdlElem ty_elem(const TdlModule *m, TdlType t);          /* of TENSOR, ACC, BUF */
uint32_t ty_rank(const TdlModule *m, TdlType t);
const TdlDim *ty_dims(const TdlModule *m, TdlType t);
TdlType ty_tensor_of(const TdlModule *m, TdlType t);     /* the tensor inside ACC or BUF; itself for TENSOR */
uint32_t ty_stack_n(const TdlModule *m, TdlType t);
TdlType ty_stack_elem(const TdlModule *m, TdlType t, uint32_t i);
bool ty_is_scalar(const TdlModule *m, TdlType t);        /* TENSOR of rank 0 */
bool ty_is_float(const TdlModule *m, TdlType t);         /* TENSOR, ACC or BUF of a float element */
TdlType ty_with_elem(TdlModule *m, TdlType t, TdlElem e);
TdlType ty_drop(TdlModule *m, TdlType t, uint32_t n);    /* without the n leading dimensions */
TdlType ty_prepend(TdlModule *m, TdlType t, const TdlDim *dims, uint32_t n);
TdlType ty_append(TdlModule *m, TdlType t, const TdlDim *dims, uint32_t n);
TdlType ty_subst(TdlModule *m, TdlType t, const TdlSym *names, const TdlDim *to, uint32_t n);
TdlDim ty_numel(TdlModule *m, TdlType t);
static inline bool ty_eq(TdlType a, TdlType b) { return a.id == b.id; }
void ty_print(const TdlModule *m, TdlType t, TdlStr *out);

/* ---- operations ---- */

typedef enum {
    OP_NONE,
#define OP(NAME, ...) OP_##NAME,
#include "ir/ops.def"
#undef OP
    OP_COUNT
} TdlOpcode;

/* Traits (column FLAGS of ops.def). */
enum {
    OPF_PURE = 1,         /* no effect: may be removed, moved and merged (region operations: when their bodies are pure) */
    OPF_ELEMENTWISE = 2,  /* operands and result of one shape; same operation on scalars */
    OPF_COMMUTATIVE = 4,
    OPF_TERMINATOR = 8,   /* ends a region */
    OPF_EFFECT = 16,      /* assert, print, store, accadd: stays, in order with the other effects on the same thing */
    OPF_LOOPIR = 32,      /* exists only in loop IR */
    OPF_VIEW = 64,        /* whole-tensor structure: `expand` turns it into index arithmetic */
    OPF_REDUCE = 128,     /* whole-tensor reduction over `axes` */
    OPF_REGION = 256,     /* has regions */
    OPF_FUNCTION = 512    /* an elementary function: costs as much as twenty operations */
};

typedef enum { DERIV_PARTIAL, DERIV_RULE, DERIV_LINEAR, DERIV_ZERO, DERIV_NONE } TdlDerivKind;
typedef enum { LOWER_SCALAR, LOWER_EXPAND, LOWER_STRUCT, LOWER_EARLY, LOWER_LOOP } TdlLowerKind;

typedef struct {
    const char *name;      /* mnemonic in the text form */
    int8_t min_operands, max_operands; /* -1: any number */
    uint8_t nregions;      /* if: 2 */
    uint16_t flags;
    TdlDerivKind deriv;
    TdlLowerKind lower;
    const char *attrs;     /* space-separated names; a trailing ? marks an optional one */
    const char *doc;       /* one line */
} TdlOpInfo;
const TdlOpInfo *op_info(TdlOpcode code);
TdlOpcode op_by_name(const char *name); /* OP_NONE: unknown */

typedef enum { ATTR_INT, ATTR_FLOAT, ATTR_STR, ATTR_INTS, ATTR_DIM, ATTR_DIMS, ATTR_TYPE } TdlAttrKind;
typedef struct {
    TdlSym key;
    TdlAttrKind kind;
    uint32_t n;            /* INTS, DIMS: length; STR: bytes */
    int64_t i;             /* INT */
    double f;              /* FLOAT */
    const char *s;         /* STR; also symbols such as kind=sum, callee=@f */
    const int64_t *ints;
    TdlDim dim;
    const TdlDim *dims;
    TdlType type;
} TdlAttr;

typedef struct {
    TdlOpcode code;
    uint16_t noperands, nresults, nregions, nattrs;
    TdlVal *operands;
    TdlVal *results;
    TdlRegion *regions;
    TdlAttr *attrs;        /* sorted by name */
    TdlSym grad_fn;        /* PyTorch's name for the backward of what the user wrote, on the operation that ends it; 0: none */
    TdlSpan span;          /* what it came from; adjoint code keeps its primal's */
    TdlRegion parent;
    TdlOp prev, next;      /* in the parent region */
} TdlOpData;

typedef struct {
    TdlType type;
    TdlOp def;             /* the operation; 0 for a region argument */
    TdlRegion region;      /* of a region argument: the region; else 0 */
    uint32_t index;        /* which result or argument */
    TdlSym name;           /* hint from the source; 0: none */
} TdlValData;

typedef struct {
    TdlVals args;
    TdlOp first, last;     /* last is the terminator once the region is complete */
    TdlOp parent;          /* the operation it belongs to; 0 for a function's body */
} TdlRegionData;

/* ---- functions and the module ---- */

typedef struct {
    TdlSym name;           /* leaf name in the C signature: p_w, dalpha */
    const char *doc;       /* documentation or NULL */
    TdlType type;
    int32_t cotangent_of;  /* results: index of the parameter it is the cotangent of; -1 */
    int32_t prior_of;      /* parameters, not of the C function: result whose memory holds it at entry; -1 */
    bool saved;            /* a part of the state between forward and reverse: no argument of the C function */
    bool out;              /* loop IR: this parameter is a result's destination */
    TDL_VEC(uint32_t) over;/* loop IR, destinations: parameters that it may be the same memory as */
} TdlPort;

struct TdlFunc {
    TdlModule *module;
    TdlSym name;           /* a new one is taken from ir_fresh or marked by ir_name_use */
    bool exported, script; /* script: the top level of a file */
    const char *doc;
    TdlSpan span;
    TDL_VEC(TdlSym) dims;  /* dimension parameters, in the order of the C signature */
    TDL_VEC(TdlPort) params, results;
    const char *symbol;    /* a C function of this name, without a body here; NULL: none */
    uint32_t split;        /* number of the first cotangent parameter of what pass `split` cuts in two; 0: it does not */
    TdlSym saves, restores;/* forward and reverse of what was split: its name; 0: neither */
    TdlSym general;        /* exported: the function of which this is the case for the dimensions `at`; 0: none */
    TdlDims at;            /* of a case, by dimension: its value there, or the variable itself */
    TdlSym reverse, forward; /* its derivative rules, functions of the module (docs/ir.md); 0: none */
    TdlDim workspace;      /* loop IR: bytes of the static slots, set by `plan`; 0: none yet */
    TdlDim chunk;          /* loop IR: bytes of the slots that each chunk of a `threads` loop has for itself; 0: none */
    TdlRegion body;        /* its arguments are the parameters; ends in `return` */
    TDL_VEC(TdlOpData) ops;        /* [0] unused; removed operations have code OP_NONE */
    TDL_VEC(TdlValData) vals;      /* [0] unused */
    TDL_VEC(TdlRegionData) regions;/* [0] unused */
};

struct TdlGraphs;          /* backward graphs, passes/graph.h */

struct TdlModule {
    TdlArena *arena;
    TdlInterner *names;
    TdlSources *sources;
    TdlDiags *diags;
    TDL_VEC(TdlFunc *) funcs;
    struct TdlGraphs *graphs; /* set by pass `graph`; NULL before */
    struct TdlTypeTable *types;
    struct TdlDimTable *dimtab;
    struct TdlNameTable *used; /* names of functions and dimension variables, for ir_fresh */
};

TdlModule *ir_module_new(TdlArena *a, TdlInterner *in, TdlSources *s, TdlDiags *d);
TdlFunc *ir_func_new(TdlModule *m, TdlSym name, TdlSpan span); /* added to the module; body region made */
TdlFunc *ir_func_find(const TdlModule *m, TdlSym name);
void ir_func_remove(TdlModule *m, TdlFunc *f);
void ir_funcs_keep(TdlModule *m, const bool *keep); /* removes functions i without keep[i], in one go */
TdlVal ir_func_add_param(TdlFunc *f, TdlSym name, TdlType t, const char *doc);
/* A name that no function or dimension variable of the module has yet: base, base.1, ... */
TdlSym ir_fresh(TdlModule *m, const char *base);
void ir_name_use(TdlModule *m, TdlSym name); /* marks a name as taken (ir_func_new and dim_var do it themselves) */

static inline TdlOpData *ir_op(const TdlFunc *f, TdlOp o) { return &f->ops.p[o.id]; }
static inline TdlValData *ir_val(const TdlFunc *f, TdlVal v) { return &f->vals.p[v.id]; }
static inline TdlRegionData *ir_region(const TdlFunc *f, TdlRegion r) { return &f->regions.p[r.id]; }
static inline TdlType ir_type(const TdlFunc *f, TdlVal v) { return f->vals.p[v.id].type; }
enum { IR_MOST_CHUNKS = 256 }; /* of a `threads` loop */
/* NOTE: these pointers are invalid after an operation, value or region is added: fetch again. */

/* ---- building (build.c) ---- */

/* Where new operations go: at the end of `region`, or before `before` when that is set; with what span and name. */
typedef struct { TdlFunc *f; TdlRegion region; TdlOp before; TdlSpan span; TdlSym grad_fn; } TdlBuilder;

TdlBuilder ir_at_end(TdlFunc *f, TdlRegion r, TdlSpan span);
TdlBuilder ir_before(TdlFunc *f, TdlOp o);
TdlBuilder ir_after(TdlFunc *f, TdlOp o);
/* The general form. Result types are given; regions are made empty (fill them through ir_op(f, o)->regions). */
TdlOp ir_emit(TdlBuilder *b, TdlOpcode c, const TdlVal *operands, uint32_t n, const TdlType *results, uint32_t nresults);
TdlVal ir_result(const TdlFunc *f, TdlOp o, uint32_t i);
/* One result whose type the type rule finds; the caller guarantees that the operands fit (the verifier checks). */
TdlVal ir_emit1(TdlBuilder *b, TdlOpcode c, const TdlVal *operands, uint32_t n);
TdlVal ir_unary(TdlBuilder *b, TdlOpcode c, TdlVal x);
TdlVal ir_binary(TdlBuilder *b, TdlOpcode c, TdlVal x, TdlVal y);
TdlVal ir_const_float(TdlBuilder *b, TdlElem e, double v);
TdlVal ir_const_int(TdlBuilder *b, TdlElem e, int64_t v);   /* also EL_BOOL */
TdlVal ir_dim(TdlBuilder *b, TdlDim d);                     /* i64; a `const` when d is constant */
TdlVal ir_cast(TdlBuilder *b, TdlVal x, TdlElem e);         /* x itself when it has that element */
TdlVal ir_broadcast(TdlBuilder *b, TdlVal x, TdlType to, const int64_t *axes); /* axes[i]: result axis of operand axis i; NULL: trailing */
TdlVal ir_full(TdlBuilder *b, TdlVal scalar, TdlType to);
TdlVal ir_zeros(TdlBuilder *b, TdlType t);                  /* broadcast of a constant 0 */
TdlVal ir_index(TdlBuilder *b, TdlVal x, const TdlVal *idx, uint32_t n);
TdlVal ir_update(TdlBuilder *b, TdlVal x, TdlVal v, const TdlVal *idx, uint32_t n);
TdlVal ir_sum_axes(TdlBuilder *b, TdlVal x, const int64_t *axes, uint32_t n);
TdlRegion ir_region_new(TdlFunc *f, TdlOp parent);
TdlVal ir_region_arg(TdlFunc *f, TdlRegion r, TdlType t, TdlSym name);
/* The dimension that an i64 value stands for, looking through dim, newdim, const, add, sub, mul, neg, floordiv, mod;
 * false when it is not a dimension. */
bool ir_val_dim(const TdlFunc *f, TdlVal v, TdlDim *d);

void op_set_int(TdlFunc *f, TdlOp o, const char *key, int64_t v);
void op_set_float(TdlFunc *f, TdlOp o, const char *key, double v);
void op_set_str(TdlFunc *f, TdlOp o, const char *key, const char *s, uint32_t n);
void op_set_ints(TdlFunc *f, TdlOp o, const char *key, const int64_t *v, uint32_t n);
void op_set_dim(TdlFunc *f, TdlOp o, const char *key, TdlDim d);
void op_set_dims(TdlFunc *f, TdlOp o, const char *key, const TdlDim *d, uint32_t n);
void op_set_type(TdlFunc *f, TdlOp o, const char *key, TdlType t);
void op_unset(TdlFunc *f, TdlOp o, const char *key);
const TdlAttr *op_attr(const TdlFunc *f, TdlOp o, const char *key); /* NULL: absent */
int64_t op_int(const TdlFunc *f, TdlOp o, const char *key, int64_t deflt);
const char *op_str(const TdlFunc *f, TdlOp o, const char *key);     /* NULL: absent */
bool op_has_int(const TdlFunc *f, TdlOp o, const char *key, int64_t i); /* in a list; absent: it is empty */

/* ---- changing (edit.c) ---- */

void ir_remove(TdlFunc *f, TdlOp o);                        /* unlinks; its regions go with it */
void ir_move_before(TdlFunc *f, TdlOp o, TdlOp before);
void ir_move_to_end(TdlFunc *f, TdlOp o, TdlRegion r);
void ir_replace_uses(TdlFunc *f, TdlVal from, TdlVal to);   /* everywhere in the function: linear in its size */
/* Many at once, in one walk: map[v.id] is the replacement (chains are followed) or 0. `n` is the length of map. */
void ir_replace_all(TdlFunc *f, const TdlVal *map, uint32_t n);
/* Appends results/operands/region arguments to an existing operation. */
TdlVal ir_add_result(TdlFunc *f, TdlOp o, TdlType t);
TdlVal ir_insert_result(TdlFunc *f, TdlOp o, uint32_t at, TdlType t); /* the later ones move up */
TdlVal ir_renew_result(TdlFunc *f, TdlOp o, uint32_t i, TdlType t); /* the value that it was has no operation then, until */
void ir_take_result(TdlFunc *f, TdlOp o, TdlVal v);         /* another takes it as a further result */
void ir_add_operand(TdlFunc *f, TdlOp o, TdlVal v);
void ir_set_operands(TdlFunc *f, TdlOp o, const TdlVal *v, uint32_t n);
/* Drops the results (region arguments) i without keep[i]; the others move up. */
void ir_keep_results(TdlFunc *f, TdlOp o, const bool *keep);
void ir_keep_args(TdlFunc *f, TdlRegion r, const bool *keep);
/* Use counts of all values: an arena array indexed by value id, `f->vals.n` long. */
uint32_t *ir_use_counts(const TdlFunc *f, TdlArena *scratch);

/* Value map for cloning: dst value of each src value; 0 keeps the source's (same function only). */
typedef struct { TdlVal *p; uint32_t n; TdlArena *arena; } TdlValMap;
TdlValMap valmap_new(TdlArena *a, const TdlFunc *src);
void valmap_set(TdlValMap *m, TdlVal from, TdlVal to);
TdlVal valmap_get(const TdlValMap *m, TdlVal v);            /* v itself when unset */
/* Dimension substitution that goes with a clone (call sites); NULL: none. `newdim` symbols are renamed fresh and added. */
typedef struct { TdlSym *names; TdlDim *to; uint32_t n, cap; TdlArena *arena; } TdlDimMap;
void dimmap_add(TdlDimMap *m, TdlSym name, TdlDim to);
/* Clones one operation with its regions from `src` to the builder's place; results enter the map. */
TdlOp ir_clone_op(TdlBuilder *b, const TdlFunc *src, TdlOp o, TdlValMap *map, TdlDimMap *dims);
/* Clones the operations of a region, without its terminator, whose operands (mapped) are returned in `yields`. */
void ir_clone_region_body(TdlBuilder *b, const TdlFunc *src, TdlRegion r, TdlValMap *map, TdlDimMap *dims, TdlVals *yields);
TdlFunc *ir_clone_func(TdlModule *m, const TdlFunc *src, TdlSym name, TdlDimMap *dims);
/* The name of what a pass makes of an exported function beside it: f_acc for "_acc". Of a case of f that is f_acc.d_10, a
 * case of f_acc (*general; 0 else). */
TdlSym ir_name_beside(const TdlFunc *f, const char *suffix, TdlSym *general);

/* ---- walking ----
 * IR_FOREACH_OP(f, r, o) { ... }  visits the operations of one region in order; the current one may be removed. */
#define IR_FOREACH_OP(f, r, o) \
    for (TdlOp o = ir_region((f), (r))->first, o##_next_ = {0}; o.id && (o##_next_ = ir_op((f), o)->next, 1); o = o##_next_)
/* Calls fn on every operation of the region and those nested in it, outer before inner. */
void ir_walk(TdlFunc *f, TdlRegion r, void (*fn)(void *user, TdlFunc *f, TdlOp o), void *user);
/* What an operation costs an element, in additions; regions and memory are not counted. */
uint32_t ir_op_weight(TdlOpcode code);
/* An elementwise operation that is one instruction, or inline code, on vectors as on scalars. */
bool ir_in_lanes(const TdlFunc *f, TdlOp o);
/* Does d hand on the memory of this operand, a tensor that nothing else needs afterwards, to what it makes? */
bool ir_may_consume(const TdlOpData *d, uint32_t operand);
/* True when value v is defined inside region r (or nested in it). */
bool ir_defined_in(const TdlFunc *f, TdlVal v, TdlRegion r);
/* Loop IR: the `threads` loop around r, or the one it is the body of; 0: none. The static memory of a call: its slots, and
 * behind them those of each chunk, for the most chunks of a loop that has any. */
TdlOp ir_threads_around(const TdlFunc *f, TdlRegion r);
TdlDim ir_static_bytes(TdlFunc *f);
/* Loop IR: the buffer that buf is, or is a view of. */
/* Two indices are the same value plus the same constant. */
bool ir_same_index(const TdlFunc *f, TdlVal a, TdlVal b);
/* Elements (or rows) at certainly different places: some leading index is the same value plus another constant. */
bool ir_different_elements(const TdlFunc *f, const TdlVal *a, uint32_t na, const TdlVal *b, uint32_t nb);
TdlVal ir_viewed(const TdlFunc *f, TdlVal buf);
TdlRegion ir_region_of(const TdlFunc *f, TdlVal v);         /* the region where v is defined */
bool ir_region_encloses(const TdlFunc *f, TdlRegion outer, TdlRegion inner); /* equal counts */
TdlOp ir_terminator(const TdlFunc *f, TdlRegion r);
/* Calls fn on the dimension variables in t; in the types and attributes of o and of its regions' arguments, not deeper. */
void ty_dim_vars(const TdlModule *m, TdlType t, void (*fn)(void *user, TdlSym var), void *user);
void ir_dim_vars(const TdlFunc *f, TdlOp o, void (*fn)(void *user, TdlSym var), void *user);
/* True when these variables are dimensions of f, so that they are known at its entry: of d, of t, of o as above. */
bool ir_dim_at_entry(const TdlFunc *f, TdlDim d);
bool ir_type_at_entry(const TdlFunc *f, TdlType t);
bool ir_op_at_entry(const TdlFunc *f, TdlOp o);
/* True when dimension variable `var` occurs in t; in a type or attribute of o or of what is in its regions. */
bool ty_mentions(const TdlModule *m, TdlType t, TdlSym var);
bool ir_mentions(TdlFunc *f, TdlOp o, TdlSym var);
/* Values used in `r` (nested too) but defined outside, each once, in order of first use. */
void ir_free_vals(TdlFunc *f, TdlRegion r, TdlArena *scratch, TdlVals *out);
bool ir_op_is_pure(const TdlFunc *f, TdlOp o);              /* region bodies included; accadd to an inner accumulator is pure */
bool ir_op_is_pure_but_calls(const TdlFunc *f, TdlOp o);    /* the same where calls do not count */
bool ir_call_has_effect(const TdlFunc *f, TdlOp o);         /* one that a program can see, in the callee or below */

/* ---- buffers of loop IR (live.c) ---- */

/* The places of a static buffer's first and last use, in the order of the text; IR_LIFE_END: as long as the call. */
typedef struct { TdlOp op; TdlRegion region; uint32_t first, last; } TdlLife;
typedef TDL_VEC(TdlLife) TdlLives;
enum { IR_LIFE_END = 0x7fffffff, IR_MOST_PEAKS = 8 };
/* Of all buffers that are neither dynamic nor local, in the order of their allocs. */
TdlLives ir_lives(TdlFunc *f, TdlArena *scratch);
/* Bytes of a buffer, for no dimensions negative: an extent that is not certainly >= 0 counts without its negative terms. */
TdlDim ir_slot_bytes(const TdlFunc *f, TdlOp alloc);
/* Sums of the bytes in use at one place, of which the largest (it depends on the dimensions) is the least that a plan can
 * do with. Where there are more than IR_MOST_PEAKS some are left out. */
TdlDims ir_live_peaks(TdlFunc *f, TdlArena *scratch);

/* ---- text form and verifier (print.c, parse.c, verify.c) ---- */

/* SPANS: places too, `!file:lo:hi:at` after operations and function heads; SOURCES with it: also the texts that they
 * point to, so that another process knows file and line. */
enum { IR_PRINT_SPANS = 1, IR_PRINT_SOURCES = 2 };
void ir_print_module(const TdlModule *m, TdlStr *out);
void ir_print_module_as(const TdlModule *m, TdlStr *out, int flags);
void ir_print_func(const TdlFunc *f, TdlStr *out);
void ir_print_func_as(const TdlFunc *f, TdlStr *out, int flags);
/* The number that printing gives to each value: an arena array by value id; 0 for values not in the function's body,
 * else the number plus 1. */
uint32_t *ir_numbers(const TdlFunc *f, TdlArena *scratch);
/* Reads what ir_print_module printed. Errors go to m->diags with places in the text; NULL then. */
TdlModule *ir_parse_module(TdlArena *a, TdlInterner *in, TdlSources *s, TdlDiags *d, uint32_t file);
/* Type rules, dominance, region structure, linearity of accumulators, dimension scope. Every fault is reported to
 * m->diags (naming function and operation); returns true when there is none. */
bool ir_verify_module(TdlModule *m);
bool ir_verify_func(TdlFunc *f);

#endif
