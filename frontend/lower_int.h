/* Inside lowering. Read from top to bottom: values, types, callables, scopes and frames, the context, then what
 * each file offers.
 *
 *   lower.c          the module: declarations, instances, exported functions, scripts
 *   lower_value.c    values: leaves, materialising, conversion, promotion, broadcasting
 *   lower_type.c     written types, dimension expressions, matching a type against a value
 *   lower_expr.c     expressions        lower_op.c      operators
 *   lower_stmt.c     statements         lower_flow.c    regions: if, for, while, carried variables
 *   lower_comp.c     index notation     lower_index.c   x[...] and a[...] = v
 *   lower_call.c     calls: names, arguments, structs, lambdas     lower_invoke.c  calls of declared functions
 *   lower_inst.c     instances          lower_signature.c  parameters, dimension binding
 *   lower_lift.c     code made a function of its own               lower_std.c   the library's declarations
 *   lower_builtin.c  the table of builtins and argument binding; bi_*.c the builtins by family
 *   lower_rule.c     derivative f(x) -> z { ... }
 *   lower_checkpoint.c  checkpoint { }, @checkpoint
 *   lower_diff.c     grad, value_and_grad, vjp      lower_script.c  leaves, backward, print */
#ifndef TDL_FRONTEND_LOWER_INT_H
#define TDL_FRONTEND_LOWER_INT_H

#include "frontend/lower.h"
#include "support/idmap.h"

typedef struct Low Low;
typedef struct LowValue LowValue;
typedef struct LowFn LowFn;
typedef struct LowType LowType;
typedef struct LowVar LowVar;
typedef struct LowScope LowScope;
typedef struct LowFrame LowFrame;
typedef struct LowDecl LowDecl;
typedef struct LowInst LowInst;
typedef struct LowLeaf LowLeaf;
typedef struct LowRecursion LowRecursion;

/* ---- values ---- */

typedef enum {
    LV_ERROR,  /* reported already: whatever it meets is silent */
    LV_UNIT,   /* nothing (a call without result) */
    LV_NONE,   /* None */
    LV_INT,    /* integer known as a dimension expression (a literal is the constant one): .d */
    LV_FLOAT,  /* float literal or what is computed from literals: .f */
    LV_BOOL,   /* .i */
    LV_STR,    /* .s, .n bytes */
    LV_TENSOR, /* SSA value .v; of an array of literals also .elems, .n: exact, whatever its own type */
    LV_TUPLE,  /* .elems, .n */
    LV_STRUCT, /* .decl, .elems in the order of the fields, .n */
    LV_FN,     /* .fn */
    LV_ELEM,   /* an element type as a value (f64, as in f64(x) or dtype=f64): .elem */
    LV_ELLIPSIS,
    LV_NODE,   /* y.grad_fn: number .v of a backward node */
    LV_MAYBE   /* x.grad where the path decides whether there is one: tensor .v when bool .has, else None */
} LowKind;

struct LowValue {
    LowKind kind;
    bool weak;       /* TENSOR: made of literals and dimensions only: takes the type of what it meets */
    TdlElem elem;
    TdlVal v;
    TdlVal has;      /* MAYBE */
    TdlDim d;
    int64_t i;
    double f;
    const char *s;
    LowValue *elems;
    uint32_t n;
    const LowDecl *decl;
    LowFn *fn;
    LowLeaf *leaf;   /* scripts: the leaf that this value is, or NULL */
};
typedef TDL_VEC(LowValue) LowValues;

/* ---- types, as a parameter or an annotation states them ---- */

typedef enum { LT_TENSOR, LT_TUPLE, LT_STRUCT, LT_FN, LT_STATIC, LT_UNIT, LT_ERROR } LowTypeKind;

struct LowType {
    LowTypeKind kind;
    TdlType t;             /* TENSOR */
    const LowType **elems; /* TUPLE, STRUCT */
    uint32_t n;
    const LowDecl *decl;   /* STRUCT */
};

/* ---- callables (always known at compile time) ---- */

typedef enum { FN_DECL, FN_BUILTIN, FN_LAMBDA, FN_DIFF, FN_VMAP } LowFnKind;
typedef enum { DIFF_GRAD, DIFF_VALUE_AND_GRAD, DIFF_VJP, DIFF_JVP, DIFF_JACFWD, DIFF_JACREV } LowDiffKind;

struct LowBuiltin;

struct LowFn {
    LowFnKind kind;
    TdlSpan span;
    const LowDecl *decl;             /* DECL: a function or a struct's constructor */
    const struct LowBuiltin *builtin;
    const AstExpr *lambda;           /* LAMBDA: with what it captured, in a frame of its own */
    LowFrame *frame;
    LowVar *captures;                /* linked by next */
    LowDiffKind diff;                /* DIFF of .inner */
    LowFn *inner;
    LowValue in_dims;                /* VMAP of .inner: an axis or None, for all parameters or in a tuple */
    LowValue out_dims;               /* an axis, for all results or in a tuple */
    const char *name;                /* what the program calls it: hvp */
    bool split;                      /* vjp as two C functions */
    bool of_grad;                    /* hessian, hvp: inner is the gradient */
    const AstExpr *wrt;              /* NULL: every float parameter */
    bool aux;
    bool sparse;                     /* JACFWD, JACREV: (ptr, col, val) */
};

/* ---- names ---- */

struct LowVar {
    TdlSym name;
    TdlSpan span;
    bool is_var;     /* declared by var: may be assigned */
    LowValue val;    /* now, at the place of the walk */
    LowVar *next;
};

typedef enum { BARRIER_NONE, BARRIER_COMP, BARRIER_LAMBDA } LowBarrier;

struct LowScope {
    LowScope *up;
    LowVar *vars;
    TdlIdMap by_name;             /* to the number in `bound` of the newest one, from 1 */
    TDL_VEC(LowVar *) bound;      /* by low_bind */
    LowBarrier barrier; /* assigning to a variable from beyond it is an error */
};

typedef struct { TdlSym name; TdlDim d; } LowDimBind;
typedef struct { TdlSym name; bool pack; bool bound; TdlElem elem; TdlDim *dims; uint32_t rank; } LowTyBind;
typedef TDL_VEC(LowDimBind) LowDimBinds;
typedef TDL_VEC(LowTyBind) LowTyBinds;

/* One body being walked: a function, an inlined call or a lambda. */
struct LowFrame {
    LowFrame *up;        /* the frame that made this one */
    const char *what;    /* name, for messages */
    const LowDecl *decl; /* the function that is walked at its call; NULL: none */
    bool library;
    bool here;           /* walked at its call: the body is part of the caller's */
    TdlSpan call;        /* where it was called (library: the user's place) */
    TdlElem deflt;       /* type of a float literal that meets nothing */
    LowDimBinds dims;
    LowTyBinds tys;
    LowScope *scope;
    LowInst *inst;       /* the function of the IR that is made of it; NULL: none */
    const LowType *result; /* declared result or NULL */
    LowVar ret, retv;    /* returned already? and what */
    LowVar *brk, *cont;  /* of the innermost loop, NULL outside */
    uint32_t no_grad;    /* depth */
    uint32_t depth;      /* of inlined calls */
};

/* ---- declarations and instances ---- */

struct LowDecl {
    const AstDecl *ast;
    bool library;
    TdlSym grad_fn;      /* library: PyTorch's name, from the attribute @...Backward0 */
    bool *walked;        /* has its body been lowered, once at least? */
    const LowDecl *next; /* same table */
};

/* A derivative that was written: of the function of its name, the program's or the library's. */
typedef struct LowRule { const AstDecl *ast; bool library; const struct LowRule *next; } LowRule;

/* What an instance of the library asserts of its dimensions: a op b, else msg; call: of the library, in the program. */
typedef struct { AstOp op; TdlDim a, b; const char *msg, *what; TdlSpan at, call; } LowContract;

/* A function of the IR made from a declaration for given type parameters, ranks and static arguments. */
struct LowInst {
    const char *key;
    const LowDecl *decl;
    TdlFunc *f;
    TdlSym *dims;        /* callee's dimension parameters, in order (generic packs spelled out) */
    uint32_t ndims;
    const LowType **params;
    LowValue *statics;   /* of each parameter with LT_STATIC */
    uint32_t nparams;
    const LowType *result; /* NULL until known */
    LowDimBinds binds;   /* names in its frame, with facts applied */
    LowTyBinds tys;
    TDL_VEC(LowContract) contracts; /* and of what it calls */
    bool fix;            /* -D applies */
    enum { INST_QUEUED, INST_RUNNING, INST_DONE } state;
    TdlSpan call;        /* first user */
    LowInst *next;
};

/* ---- the context ---- */

struct LowLeaf {         /* scripts: a tensor with requires_grad */
    LowVar grad;         /* companion: the accumulated gradient */
    LowVar has;          /* bool: backward has reached it (None before) */
    TdlSym name;
    TdlRegion region;    /* where it was made */
    LowLeaf *next;
};

typedef struct { TdlSym name; TdlFunc *f; TdlRegion r; } LowValueDim;
/* scripts: retain_graph, a bool that may be of run time; whether inputs= chose among the leaves */
typedef struct { TdlOp op; LowValue retain; bool chosen; } LowBackward;

struct Low {
    TdlModule *m;
    TdlArena *arena;
    TdlInterner *names;
    TdlDiags *diags;
    const TdlLowerOptions *opt;
    TdlBuilder b;        /* where operations go; .f NULL outside functions */
    LowFrame *frame;
    const LowDecl *decls, *libdecls;
    TDL_VEC(const char *) used; /* files read by `use`, by path */
    const LowRule *rules;
    bool *libloaded;
    LowInst *insts, *insts_tail;
    uint32_t ninsts;
    uint32_t depth;      /* nesting of expressions and instances in progress, limited */
    LowLeaf *leaves;
    LowRecursion *recursions; /* functions that take functions, and call themselves: those being made */
    bool in_script;
    TDL_VEC(LowBackward) backwards;
    TDL_VEC(LowValueDim) vdims; /* dimensions that newdim made, with where */
};

enum { LOW_MAX_INSTANCES = 10000, LOW_MAX_DEPTH = 400, LOW_MAX_INLINE = 64, LOW_MAX_RANK = 16 };

/* ---- lower_value.c ---- */

#define LOW_ERR ((LowValue){.kind = LV_ERROR})
LowValue lv_tensor(TdlVal v);
LowValue lv_int(Low *L, int64_t i);
LowValue lv_dim(TdlDim d);
LowValue lv_bool(bool b);
LowValue lv_float(double f);
LowValue lv_tuple(Low *L, const LowValue *elems, uint32_t n);
static inline bool lv_is_err(LowValue v) { return v.kind == LV_ERROR; }
bool lv_is_num(LowValue v);                       /* INT FLOAT BOOL TENSOR */
bool lv_int_const(const Low *L, LowValue v, int64_t *i);
TdlType lv_type(const Low *L, LowValue v);        /* of TENSOR */
uint32_t lv_rank(const Low *L, LowValue v);       /* numbers: 0 for literals */
const TdlDim *lv_dims(const Low *L, LowValue v);
TdlElem lv_elem(const Low *L, LowValue v);        /* literals: i64, the default float, bool */
bool lv_is_weak(LowValue v);
void lv_describe(const Low *L, LowValue v, TdlStr *out);
const char *lv_text(const Low *L, LowValue v);    /* its type, for messages */
const char *lt_text(const Low *L, const LowType *t);
const char *ty_text(const Low *L, TdlType t);
const char *dim_text(const Low *L, TdlDim d);

/* Reports at `at`; inside the library at the user's call, with the library's line as a note. Returns an error value. */
LowValue low_error(Low *L, TdlSpan at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const char *low_name(const Low *L, TdlSym s);

/* A number as an SSA value of element e (literals become constants, others are cast), or of its own type. */
TdlVal low_mat(Low *L, LowValue v, TdlElem e);
TdlVal low_mat_own(Low *L, LowValue v);
LowValue low_concrete(Low *L, LowValue v);        /* literals (in tuples too) become SSA values */
/* Element type of an operation on a and b, as PyTorch's tensors promote. */
TdlElem low_promote(const Low *L, LowValue a, LowValue b);
/* The broadcast shape of two; false: they do not fit. */
bool low_bshape(Low *L, const TdlDim *a, uint32_t ra, const TdlDim *b, uint32_t rb, TdlDim *out, uint32_t *rank);
TdlVal low_bcast(Low *L, TdlVal v, const TdlDim *dims, uint32_t rank);
TdlVal low_reshape(Low *L, TdlVal v, const TdlDim *dims, uint32_t rank);
/* SSA leaves of v in order (captures of functions included); unflatten puts others in their places. */
void low_flatten(Low *L, LowValue v, TdlVals *out);
LowValue low_unflatten(Low *L, LowValue v, const TdlVal *leaves, uint32_t *at);
/* v as type t: literals take it; error at `at` when it does not fit. `what` begins the message. */
LowValue low_coerce(Low *L, LowValue v, const LowType *t, TdlSpan at, const char *what);
const LowType *low_type_of(Low *L, LowValue v);   /* literals: their default type */
bool lt_eq(const LowType *a, const LowType *b);
/* Is a, of function f, of the type of b? Functions: the same, with captures of one type. */
bool lv_alike(Low *L, const TdlFunc *f, LowValue a, LowValue b);
void lt_leaves(const LowType *t, TdlType *out, uint32_t *n);
uint32_t lt_nleaves(const LowType *t);
const LowType *lt_subst(Low *L, const LowType *t, const TdlSym *names, const TdlDim *to, uint32_t n);
/* A value of type t from leaves. */
LowValue low_from_leaves(Low *L, const LowType *t, const TdlVal *leaves, uint32_t *at);
/* An integer as a dimension: an expression of dimensions, else a fresh value dimension (newdim). */
bool low_as_dim(Low *L, LowValue v, TdlSpan at, const char *what, TdlDim *d);
bool low_known_dim(const Low *L, LowValue v, TdlDim *d); /* without newdim */
TdlVal low_i64(Low *L, LowValue v, TdlSpan at, const char *what); /* a scalar integer as i64; 0 on error */
/* assert(d >= 0) in front of what needs it, when that is not certain. */
/* Are the value dimensions in t known where region r is (outside: in the region around it)? */
bool low_value_dims(Low *L, TdlType t); /* has it any? */
bool low_type_visible(Low *L, TdlType t, TdlRegion r, bool outside);
bool low_dim_visible(Low *L, TdlDim d, TdlRegion r); /* of a dimension, in the region around r */
void low_check_nonneg(Low *L, TdlDim d, const char *msg);

/* Sets the span of what is emitted next; returns the old one. */
TdlSpan low_at(Low *L, TdlSpan s);
/* PyTorch's name for the next operation emitted through low_emit1/low_emit. */
void low_named(Low *L, const char *grad_fn);
TdlVal low_emit1(Low *L, TdlOpcode c, const TdlVal *v, uint32_t n);
/* With a given result type. */
TdlVal low_emit(Low *L, TdlOpcode c, const TdlVal *v, uint32_t n, TdlType t);
TdlOp low_def(const Low *L, TdlVal v);
void low_unname(Low *L);
/* Puts the name on the operation that defines v (when v is a float). */
LowValue low_tag(Low *L, TdlVal v, const char *grad_fn);

/* ---- lower_type.c ---- */

const LowType *low_type(Low *L, const AstType *t);         /* in the current frame */
bool low_elem_name(Low *L, TdlSym name, TdlElem *e);        /* f64, ..., or a type parameter of the frame */
bool low_dim_expr(Low *L, const AstExpr *e, TdlDim *d);
const LowDecl *low_find_decl(Low *L, TdlSym name);
void low_check_unused(Low *L);                              /* the names in functions whose bodies nothing lowered */
const LowType *lt_tensor(Low *L, TdlType t);
const LowType *lt_tuple(Low *L, const LowType **elems, uint32_t n);
/* Type parameters and packs of `tys` that the value decides. */
bool low_match_ty(Low *L, LowTyBinds *tys, const AstType *t, LowValue v, bool weak_too);
LowTyBind *low_find_ty(LowTyBinds *tys, TdlSym name);

/* ---- lower_expr.c, lower_op.c ---- */

LowValue low_expr(Low *L, const AstExpr *e);
LowValue low_expr_or_none(Low *L, const AstExpr *e); /* the same, but may be LV_MAYBE, for which low_expr has a check */
LowValue low_number(Low *L, const AstExpr *e, const char *what); /* a number or an error */
LowValue low_block_value(Low *L, const AstBlock *b);
/* Whether a < b is known for all values of the dimension variables; then it is *less. */
bool low_dims_ordered(Low *L, TdlDim a, TdlDim b, bool *less);
LowValue low_binary(Low *L, AstOp op, LowValue a, LowValue b, TdlSpan at);
LowValue low_unary(Low *L, AstOp op, LowValue a, TdlSpan at);
LowValue low_elementwise(Low *L, TdlOpcode c, const LowValue *args, uint32_t n, TdlElem e, const char *what,
                         const char *grad_fn, TdlSpan at);
LowValue low_matmul(Low *L, LowValue a, LowValue b, TdlSpan at, const char *what);
LowValue low_array(Low *L, const LowValue *elems, uint32_t n, TdlSpan at);
LowVar *low_find_var(Low *L, TdlSym name, LowBarrier *crossed);
LowVar *low_bind(Low *L, TdlSym name, LowValue v, bool is_var, TdlSpan span);
LowScope *low_push_scope(Low *L, LowBarrier barrier);
void low_pop_scope(Low *L);
LowValue low_field(Low *L, LowValue base, TdlSym name, TdlSpan at);

/* ---- lower_stmt.c, lower_flow.c ---- */

/* Statements from `from` on; `tail`: the last expression is the function's result. */
void low_stmts(Low *L, const AstBlock *b, uint32_t from, bool tail);
void low_return(Low *L, LowValue v, TdlSpan at);
bool low_in_comprehension(const Low *L);          /* in index notation of this function? */

bool low_const_bool(const LowValue *v, bool *b);
typedef struct { const AstBlock *b; uint32_t from; bool tail; } LowRest; /* b NULL: nothing */
void low_if_stmt(Low *L, const AstExpr *e, LowRest rest, bool tail);
LowValue low_if_value(Low *L, const AstExpr *e);
void low_for(Low *L, const AstStmt *s);
void low_while(Low *L, const AstStmt *s);
/* ---- lower_checkpoint.c ---- */
/* Block `b` as a `checkpoint`; `value`: its last expression is the value. */
LowValue low_checkpoint(Low *L, const AstBlock *b, bool value, TdlSpan at);
/* The body of a function, under @checkpoint or not. */
void low_body(Low *L, const AstDecl *d);

void low_no_grad(Low *L, const AstStmt *s);
LowValue low_cut_off(Low *L, LowValue v, TdlSpan at); /* as a constant of differentiation */
LowValue low_scoped_value(Low *L, const AstExpr *e); /* no_grad { } or checkpoint { } with a value */
/* As the last statement of a block with a value: is it one, and which. */
bool low_gives_value(Low *L, const AstStmt *s);
LowValue low_stmt_value(Low *L, const AstStmt *s);
/* What a block may do, by its text. */
typedef TDL_VEC(TdlSym) LowSyms;
typedef struct { LowSyms assigned; bool breaks, continues, returns, backward, zero_grad; } LowScan;
/* if c { t } else { e } around code in C: both give values of one type. */
typedef LowValue (*LowThunk)(Low *L, void *user);
LowValue low_if_thunks(Low *L, TdlVal c, LowThunk t, LowThunk e, void *user, const LowScan *scan, TdlSpan at);
void low_scan_block(Low *L, const AstBlock *b, LowScan *out);
void low_scan_expr(Low *L, const AstExpr *e, LowScan *out);
/* The variables that a region with this text may change, and their present values. */
typedef TDL_VEC(LowVar *) LowVars;
void low_changed_vars(Low *L, const LowScan *scan, LowVars *s);
LowValue *low_save_vars(Low *L, const LowVars *s);
/* True when nothing of `rest` remains to be done here: this path has left for certain, or `rest` went under an `if`. */
bool low_left(Low *L, LowRest rest);
bool low_always_exits(const AstBlock *b);
/* ---- lower_hoist.c ---- */
/* Where statement `at` of b evaluates a value that may leave: the statements from there on, with that value computed by
 * a statement of its own in front. NULL: there is none. */
AstBlock *low_hoist(Low *L, const AstBlock *b, uint32_t at);
/* `while c { ... }` whose condition assigns as `while true { if c { } else { break }; ... }`; NULL: it assigns nothing. */
const AstStmt *low_while_true(Low *L, const AstStmt *s);
/* Names used in an expression (over-approximate: binders are not removed). */
void low_names_expr(Low *L, const AstExpr *e, LowSyms *out);
void low_names_block(Low *L, const AstBlock *b, LowSyms *out);

/* ---- lower_comp.c, lower_index.c ---- */

LowValue low_comp(Low *L, const AstExpr *e);
LowValue low_gen_call(Low *L, const AstExpr *call, TdlSym name, const AstExpr *gen);
bool low_range(Low *L, const AstExpr *range, LowValue *lo, LowValue *hi); /* integers */
LowValue low_index(Low *L, const AstExpr *e);
LowValue low_index_value(Low *L, LowValue x, const AstExpr *e);
LowValue low_index_set(Low *L, LowValue x, const AstExpr *e, LowValue v, bool has_op, AstOp op, TdlSpan at);

/* ---- lower_call.c ---- */

typedef struct { AstName name; LowValue v; TdlSpan span; const AstExpr *e; bool ready; } LowArg; /* e: evaluated when needed */
typedef TDL_VEC(LowArg) LowArgs;
LowValue low_arg_value(Low *L, LowArg *a);
LowValue low_call_expr(Low *L, const AstExpr *e);
LowValue low_apply(Low *L, LowFn *fn, LowArgs *args, TdlSpan at);
LowValue low_resolve(Low *L, TdlSym name, TdlSpan at, bool report); /* functions, structs, builtins, element types */
LowValue low_fn_value(Low *L, LowFn fn);
LowInst *low_instance(Low *L, const LowDecl *d, const LowTyBinds *tys, const LowValue *statics, TdlSpan at);
bool low_instance_finish(Low *L, LowInst *i);    /* its result type is known afterwards */
LowFrame *low_push_frame(Low *L, const char *what, TdlSpan call);
void low_pop_frame(Low *L);
/* Positional and named arguments to parameters; out[i].e NULL and !ready: not given. */
bool low_assign_args(Low *L, const LowDecl *d, LowArgs *args, LowArg *out, LowDimBinds *dimargs, TdlSpan at);
bool low_bind_dims(Low *L, const LowInst *inst, LowValue *args, const LowDimBinds *given, TdlDim *out, TdlSpan at);
/* Type parameters, ranks and static arguments decided by the arguments: the instance, with its arguments coerced. */
LowInst *low_pick_instance(Low *L, const LowDecl *d, LowArgs *args, LowValue *vals, TdlDim *dims, TdlSpan at);
bool low_has_fn_param(const LowDecl *d);
LowValue low_call_decl(Low *L, const LowDecl *d, LowArgs *args, TdlSpan at);
/* Is t the type of that name, without dimensions? */
bool low_type_is(Low *L, const AstType *t, const char *name);
/* int, bool, str, float and untyped parameters of the library, and `static`: compile-time where the argument is. */
bool low_may_be_static(Low *L, const LowDecl *d, const AstParam *p);
/* Dimensions, facts and parameter types of d for type parameters tys; args are looked at only for untyped parameters. */
bool low_signature(Low *L, LowInst *s, const LowDecl *d, const LowTyBinds *tys, const LowValue *args);
bool low_dim_has(Low *L, TdlDim d, TdlSym v);
bool low_dim_like(Low *L, const AstExpr *e);
void low_add_ports(Low *L, TdlFunc *f, const LowType *t, TdlSym name, LowValue *v); /* parameters of a function */
void low_result_ports(Low *L, TdlFunc *f, const LowType *t, const char *name, int32_t cotangent_of);
void low_check_fixes(Low *L, const LowInst *s);      /* -D: another value at run time is a status */
const LowType *low_finish_function(Low *L, const AstDecl *d, const LowType *declared, TdlFunc *f); /* return; the result type, NULL: an error */
LowValue low_emit_call(Low *L, TdlFunc *f, const TdlVal *ops, uint32_t n, const LowType *rt, const TdlDim *dims, uint32_t ndims, const char *grad_fn);
/* Code as a function of its own: the leaves of env become its parameters, body gets env over them. */
typedef LowValue (*LowLiftBody)(Low *L, LowValue env, void *user);
typedef struct { TdlFunc *f; const LowType *result; TdlVals ops; TdlDim *dims; uint32_t ndims; } LowLifted;
bool low_lift(Low *L, const char *name, LowValue env, LowLiftBody body, void *user, LowLifted *out, TdlSpan at);

TdlElem low_default_float(Low *L, const LowInst *s); /* type of a float literal in it */

/* ---- lower_rule.c ---- */

void low_declare_rule(Low *L, const AstDecl *a, bool library);
void low_check_rules(Low *L);                    /* once everything is declared */
const LowRule *low_find_rule(const Low *L, const LowDecl *d); /* NULL: its derivative is automatic */
void low_instance_rules(Low *L, LowInst *s);     /* makes the rules of an instance whose result is known */
/* Those of a call of d, which takes functions, that became function f: args are its arguments. */
void low_lifted_rules(Low *L, const LowDecl *d, const LowLifted *f, const LowValue *args, const LowDimBinds *dims, const LowTyBinds *tys, TdlSpan at);
LowValue low_captures(Low *L, LowValue fn);      /* what a function captures, as a tuple: its cotangent is one like it */

/* ---- lower_vmap.c ---- */

LowValue low_vmap_call(Low *L, const AstExpr *e);
LowValue low_vmap_apply(Low *L, LowFn *fn, LowArgs *args, TdlSpan at);

/* ---- lower_diff.c, lower_diff_export.c, lower_script.c ---- */

bool low_is_diff(const char *name);              /* grad, hessian, ... */
LowValue low_diff_call(Low *L, const char *name, const AstExpr *e);
LowValue low_diff_apply(Low *L, LowFn *fn, LowArgs *args, TdlSpan at);
void low_export_let(Low *L, const LowDecl *d);
LowValue low_given(Low *L, LowValue v, TdlSpan at); /* of an LV_MAYBE the tensor, which is checked to be there */
/* ---- lower_contract.c ---- */

void low_contract(Low *L, AstOp op, LowValue a, LowValue b, const char *msg, TdlSpan at);
bool low_contracts_hold(Low *L, const LowInst *s, const TdlDim *dims, TdlSpan at);

LowValue low_script_field(Low *L, LowValue base, const char *name, TdlSpan at); /* .grad .grad_fn .requires_grad .is_leaf */
void low_script(Low *L, const AstFile *f);
LowValue low_method_script(Low *L, const AstExpr *e, bool *handled);
void low_grad_assigned(Low *L, LowValue x, LowValue v, TdlSpan at); /* x.grad = None */
LowValue low_print(Low *L, LowArgs *args, TdlSpan at);
LowValue low_leaf(Low *L, LowValue v, TdlSpan at);
LowLeaf *low_leaves(const Low *L);               /* the leaves that exist here */
LowLeaf *low_leaves_next(const Low *L, const LowLeaf *l);
void low_leaf_name(Low *L, TdlVal v, TdlSym name); /* the name of its node in the backward graph, once */
/* An assignment under no_grad leaves the variable the same leaf; elsewhere it stops being one. */
/* The variable of a leaf begins an iteration: its value is a leaf again. */
void low_leaf_again(Low *L, LowVar *x);
void low_leaf_assigned(Low *L, LowVar *x, LowValue before, TdlSpan at);

/* ---- lower_export.c ---- */

/* Names of exported functions and their arguments, as C takes them. */
void low_export_names(Low *L);

/* ---- lower_names.c ---- */

/* Reports an unknown name or type, with the name in reach that is most like it. `more` ends the message. */
LowValue low_unknown(Low *L, TdlSpan at, const char *what, const char *name, const char *more);

/* ---- lower_builtin.c ---- */

typedef struct {
    Low *L;
    const struct LowBuiltin *bi;
    LowValue a[8];      /* by the signature's parameters */
    bool given[8], named[8]; /* named: by its name */
    TdlSpan at, span[8];
    bool method;
} LowCall;

typedef LowValue (*LowBuiltinFn)(LowCall *c);

typedef struct LowBuiltin {
    const char *name, *sig; /* "x, dim=, keepdim=": = optional, * rest of the positional ones, [] a list */
    LowBuiltinFn fn;
    int op;                 /* for the families */
    const char *grad_fn, *grad_fn2;
} LowBuiltin;

const LowBuiltin *low_find_builtin(const char *name);
const char *low_builtin_name(uint32_t i); /* of each row in turn, then NULL */
LowValue low_builtin_apply(Low *L, const LowBuiltin *bi, LowArgs *args, TdlSpan at);
/* One argument as ...; false: reported. */
bool bi_tensor(LowCall *c, uint32_t i);            /* a number, made an SSA value */
bool bi_float(LowCall *c, uint32_t i);             /* likewise, integers become the default float */
bool bi_axis(LowCall *c, uint32_t i, uint32_t rank, uint32_t *axis);
bool bi_axes(LowCall *c, uint32_t i, uint32_t rank, int64_t *axes, uint32_t *n); /* None or not given: all */
bool bi_bool(LowCall *c, uint32_t i, bool deflt, bool *out);
bool bi_shape(LowCall *c, LowValue v, TdlDim *dims, uint32_t *rank);
bool bi_elem(LowCall *c, uint32_t i, TdlElem deflt, TdlElem *e);
LowValue bi_err(LowCall *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

LowValue bi_reduce_named(Low *L, const char *name, LowValue x, TdlSpan at); /* sum(x) and the like from C */

#endif
