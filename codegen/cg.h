/* What the files of the code generator share: the state of one compilation, one function and small emitters.
 *
 * Layout of a compiled function: the exported C symbol `f` (abi.c) checks arguments and finds memory, then calls the
 * internal `tdl.f` with (ctx, workspace, dimensions, parameters, results), which returns a status. Scalars are
 * LLVM scalars (bool is i1, i8 in memory; f16 and bf16 are i16), buffers are pointers; shapes come from the types. */
#ifndef TDL_CODEGEN_CG_H
#define TDL_CODEGEN_CG_H

#include "codegen/codegen.h"

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/TargetMachine.h>

/* As enum tdl_status of runtime/tdl.h, which generated code returns. */
enum { CG_OK, CG_BAD_ARGUMENT, CG_BAD_DIMENSION, CG_CHECK_FAILED, CG_WORKSPACE_FULL, CG_NO_MEMORY, CG_NOT_FINITE };

enum { CG_VECTOR_LEAST = 16 };

enum {
#define CONTRACT(name, value) CONTRACT_##name = value,
#include "runtime/object/contract.def"
#undef CONTRACT
};

typedef struct CgDimBinding { TdlSym name; LLVMValueRef value; } CgDimBinding;

struct CgUnit {
    TdlArena *arena;            /* the IR module's */
    TdlModule *ir;
    CgOptions opt;
    LLVMContextRef ctx;
    LLVMModuleRef mod;
    LLVMBuilderRef b;
    LLVMTargetMachineRef tm;
    LLVMTargetDataRef layout;
    uint32_t vector_bytes;      /* of the target's vector registers, as cg_vector_bytes */
    bool windows;               /* some contraction has them */
    bool exact;                 /* of the operation being emitted: neither contracted nor reassociated */
    LLVMDIBuilderRef di;        /* NULL without -g */
    LLVMMetadataRef di_unit;
    LLVMMetadataRef *di_files;  /* by file number */
    LLVMMetadataRef *groups;    /* CG_GROUPS access groups, by depth of parallel loops */
    LLVMTypeRef i1, i8, i16, i32, i64, f32, f64, ptr, voidt, ctx_type;
    LLVMTypeRef size;           /* size_t of the target */
};

/* A piece of memory that no other one overlaps while it is in use (but see `dest`): a parameter, a slot of the workspace. */
typedef struct {
    TdlDim offset;              /* of a slot; 0: not one */
    LLVMMetadataRef scope;      /* its alias scope */
    LLVMMetadataRef self, others; /* the lists that accesses carry, made when the function is complete */
    bool read_only;
    uint32_t depth;             /* parallel loops around its allocation */
    uint32_t group, family;     /* of buffers that a loop carries: those of one group may be the same, but for those of one family */
    const TdlPort *dest;        /* of a destination: its port, which says what inputs it may be the same memory as */
    uint32_t either[2];         /* of what an `if` chooses: the roots of its sides; 0: not chosen */
} CgRoot;

/* Nested parallel loops that are marked for LLVM; deeper ones are not. */
#define CG_GROUPS 8

/* An access whose alias lists are attached at the end, when all roots are known. */
typedef struct { LLVMValueRef inst; uint32_t root; } CgAccess;

/* Most lanes of a vector loop (passes/vector.c chooses them). */
#define CG_MAX_LANES 64

/* An i64 that differs between lanes as base + lane*stride (both scalars); stride NULL: not of that form. */
typedef struct { LLVMValueRef base, stride; } CgAffine;

/* One function being generated. */
typedef struct {
    CgUnit *u;
    TdlFunc *f;
    LLVMValueRef fn;
    LLVMValueRef *vals;                 /* by value id */
    TDL_VEC(CgDimBinding) dims;         /* variables in scope, newest last */
    bool *reassoc;                      /* by operation id: additions along a reduction */
    TdlOp *bell;                        /* by operation id: erf(x) of exp(-(x*x)) and of itself, which are one call */
    TdlOp *erf;                         /* by value id: of it, the last one met */
    LLVMValueRef rt, workspace;         /* growing part's state; planned slots */
    uint32_t *root;                     /* by value id: its memory in roots; 0: unknown */
    TDL_VEC(CgRoot) roots;              /* [0] unused */
    TDL_VEC(CgAccess) accesses;
    LLVMMetadataRef alias_domain;
    unsigned *lanes;                    /* by value id, of buffers: values an element, side by side; 0: an ordinary one */
    unsigned width;                     /* lanes of the vector loop whose vector code is being made; 0: scalar code */
    bool in_vector_loop;                /* inside a vector loop, in vector code or in that for what is left of it */
    bool rest;                          /* in what is left of a vector loop, which runs under a mask */
    LLVMValueRef mask;                  /* lanes that run, in a branch that differs between them; NULL: all */
    CgAffine *affine;                   /* by value id, in vector loops */
    LLVMValueRef *outcome;              /* by operation id, of comparisons that are certain in the copy being made; or NULL */
    LLVMValueRef *lane_offset;          /* by value id, of views: elements from their pointer, by lane; or NULL */
    CgAffine *lane_affine;              /* the same where it is affine */
    uint32_t ngroups;                   /* of roots */
    uint32_t parallel_depth;            /* parallel loops around the current place */
    LLVMMetadataRef di_scope;
    LLVMValueRef *yielded;              /* operands of the last yield, see cg_region */
    uint32_t nyielded;
    bool ok;
} Cg;

typedef void (*CgOpFn)(Cg *g, TdlOp o);

/* ---- small things (util.c) ---- */
LLVMTypeRef cg_elem_type(const CgUnit *u, TdlElem e);    /* in registers: bool is i1, f16 and bf16 are i16 */
LLVMTypeRef cg_mem_type(const CgUnit *u, TdlElem e);     /* in memory: bool is i8 */
LLVMTypeRef cg_type(const Cg *g, TdlType t);
LLVMValueRef cg_i64(const CgUnit *u, int64_t v);
LLVMValueRef cg_string(CgUnit *u, const char *text);     /* private constant */
LLVMValueRef cg_val(const Cg *g, TdlVal v);
LLVMValueRef cg_operand(const Cg *g, TdlOp o, uint32_t i);
void cg_set(Cg *g, TdlVal v, LLVMValueRef x);
void cg_result(Cg *g, TdlOp o, LLVMValueRef x);
LLVMBasicBlockRef cg_block(Cg *g, const char *name);     /* appended to the function */
LLVMBasicBlockRef cg_here(const Cg *g);
/* Calls an intrinsic overloaded on `types`. */
LLVMValueRef cg_intrinsic(CgUnit *u, const char *name, const LLVMTypeRef *types, unsigned ntypes, LLVMValueRef *args, unsigned n);
/* Calls a function of another object or of the run-time bodies, declaring it on first use. */
LLVMValueRef cg_call(CgUnit *u, const char *name, LLVMTypeRef ret, LLVMValueRef *args, unsigned n);
LLVMValueRef cg_call_pure(CgUnit *u, const char *name, LLVMTypeRef ret, LLVMValueRef *args, unsigned n);
void cg_attr(CgUnit *u, LLVMValueRef fn, unsigned index, const char *name, uint64_t value);
/* Contraction (and reassociation on request) as the options and the operation allow; returns v. */
LLVMValueRef cg_fp(CgUnit *u, LLVMValueRef v, bool reassoc);
/* An error about something that IR may hold and that code cannot be made for. */
void cg_error(Cg *g, TdlOp o, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- dimensions (dims.c): all in i64, without overflow by the entry checks ---- */
LLVMValueRef cg_dim(Cg *g, TdlDim d);
void cg_dim_bind(Cg *g, TdlSym name, LLVMValueRef v);
LLVMValueRef cg_numel(Cg *g, TdlType t);
LLVMValueRef cg_bytes(Cg *g, TdlType t);
LLVMValueRef cg_bytes_checked(Cg *g, TdlType t, LLVMValueRef *bad);
/* As cg_dim, or-ing each overflow into *bad (an i1). */
LLVMValueRef cg_dim_checked(Cg *g, TdlDim d, LLVMValueRef *bad);
LLVMValueRef cg_mul_checked(Cg *g, LLVMValueRef a, LLVMValueRef b, LLVMValueRef *bad);
LLVMValueRef cg_add_checked(Cg *g, LLVMValueRef a, LLVMValueRef b, LLVMValueRef *bad);

/* ---- elementary functions as code (math.c has the table of them) of a scalar or a vector; y: NULL or the second
 * operand. sincos, erf_exp and erfc_exp are pairs. ---- */
LLVMValueRef cg_math(CgUnit *u, const char *name, LLVMValueRef x, LLVMValueRef y);
bool cg_math_done(CgUnit *u);
/* The C library's `name` for f64, `name`f for f32 (elementary.c). */
LLVMValueRef cg_libm(CgUnit *u, const char *name, LLVMValueRef *args, unsigned n);

/* ---- 16-bit floats (half.c): to and from f32; in vectors too ---- */
LLVMValueRef cg_half_widen(CgUnit *u, TdlElem e, LLVMValueRef x);
LLVMValueRef cg_half_narrow(CgUnit *u, TdlElem e, LLVMValueRef x);

/* ---- functions and control flow (func.c, control.c) ---- */
void cg_func(CgUnit *u, TdlFunc *f);
LLVMValueRef cg_func_declare(CgUnit *u, TdlFunc *f);
void cg_op(Cg *g, TdlOp o);
/* Emits the operations of a region; what its terminator yields is left in g->yielded. */
void cg_region(Cg *g, TdlRegion r);
/* Returns `status` from the function when `bad`; the message says where. */
void cg_fail_if(Cg *g, LLVMValueRef bad, int status, TdlSpan span, const char *message);
/* In an exported symbol, with its name in front; `{}` of the second is v. */
void cg_fail_text(Cg *g, LLVMValueRef bad, int status, const char *what);
void cg_fail_value(Cg *g, LLVMValueRef bad, int status, const char *what, LLVMValueRef v);
void cg_return_if_failed(Cg *g, LLVMValueRef status);
/* Marks additions along the values that a `for` carries, and along load-add-store, as free to be reassociated. */
void cg_mark_reductions(Cg *g);
/* Finds what is one call together (elementary.c). */
void cg_pair_exps(Cg *g);
LLVMValueRef cg_entry_alloca(Cg *g, LLVMTypeRef t, const char *name);
/* `bytes` of the growing part, aligned to 64; returns from the function where there are none. */
LLVMValueRef cg_take(Cg *g, LLVMValueRef bytes, LLVMValueRef bad, TdlSpan at);
void cg_fail_without_memory(Cg *g, LLVMValueRef p);
LLVMValueRef cg_row_bytes(Cg *g, TdlType stack);
/* The saved state of a split function (saved.c): checks at entry; then its place in the state of the call; the address
 * of `saved` parameter i, or its value; and at exit what completes it. */
void cg_saved_check(Cg *g, LLVMValueRef saved, LLVMValueRef given);
void cg_saved_enter(Cg *g, LLVMValueRef ctx, LLVMValueRef saved, LLVMValueRef given);
LLVMValueRef cg_saved_port(Cg *g, uint32_t i, LLVMValueRef saved);
void cg_saved_leave(Cg *g, LLVMValueRef ctx, LLVMValueRef saved, LLVMValueRef status);
/* ---- elements of buffers (memory.c) ---- */
LLVMValueRef cg_flat_index(Cg *g, TdlType t, const LLVMValueRef *idx, uint32_t n);
LLVMValueRef cg_element(Cg *g, TdlVal v, LLVMValueRef at);
LLVMValueRef cg_load_elem(Cg *g, TdlElem e, LLVMValueRef at, uint32_t root);
void cg_store_elem(Cg *g, TdlElem e, LLVMValueRef v, LLVMValueRef at, uint32_t root);
void cg_copy_lanes(Cg *g, TdlOp o);

/* ---- exported entry (abi.c) ---- */
void cg_export(CgUnit *u, TdlFunc *f);
void cg_caller(CgUnit *u, TdlFunc *f);
void cg_call_extern(Cg *g, TdlOp o, TdlFunc *callee);

/* ---- cases for some values of the dimensions (cases.c) ---- */
/* What C calls of an exported function, and a case has of its own. */
typedef enum { CG_CALL, CG_WORKSPACE, CG_SAVED } CgEntry;
/* f_workspace_size of f, ...; f.d_10_workspace_size of a case. */
const char *cg_entry_name(const TdlFunc *f, CgEntry e);
/* The LLVM function, declared at its first use. */
LLVMValueRef cg_entry(CgUnit *u, const TdlFunc *f, CgEntry e, LLVMTypeRef type);
/* At the entry of an exported function: calls with the values of a case are the case's. */
void cg_hand_on(Cg *g, CgEntry e);

/* ---- variants for several processors (variants.c) ---- */
/* Calls `tdl.f` of the best variant that the processor can run. */
LLVMValueRef cg_call_best(Cg *g, LLVMValueRef *args, uint32_t n);
/* In the unit of a variant: f may be called from outside, where it is chosen. */
void cg_variant_entry(CgUnit *u, TdlFunc *f);
/* LLVM's own vectors are as wide as the registers, where tuning for a processor says half. */
void cg_use_width(CgUnit *u);
/* Compiles the variants and takes them into the module, after its passes. */
bool cg_add_variants(CgUnit *u);
/* ---- loops over chunks, in threads (threads.c) ---- */
void cg_threads_for(Cg *g, TdlOp o);

/* ---- what LLVM may assume of memory (alias.c) ---- */
uint32_t cg_root_new(Cg *g, TdlDim offset, bool read_only);
uint32_t cg_root_of(const Cg *g, TdlOp o, uint32_t operand);
/* Of a buffer that is one of two; 0 where one of them is unknown. */
uint32_t cg_root_either(Cg *g, uint32_t a, uint32_t b);
/* Memory of the buffers that loop o carries: in its body, and behind it. */
void cg_carried_roots(Cg *g, TdlOp o);
/* In its body or behind it: buffers that change places are told apart within an iteration alone, also where LLVM copies it. */
void cg_declare_scopes(Cg *g, TdlOp o, bool behind);
/* Notes that `inst` accesses the memory of `root` (0: unknown). */
void cg_access(Cg *g, LLVMValueRef inst, uint32_t root);
void cg_access_finish(Cg *g);
/* Marks the back edge of a loop; `parallel`: its accesses are independent as those of this depth say. LLVM leaves the
 * loops of a vector loop as they are: what they gain was chosen before. */
void cg_loop_metadata(Cg *g, LLVMValueRef branch, bool parallel);
void cg_groups(CgUnit *u);

/* ---- backward graphs (graph_table.c): the constant `<f>_graph`, struct tdl_graph of runtime/tdl.h ---- */
void cg_graph_table(CgUnit *u, const TdlFunc *f);

/* ---- vector loops (vector.c) ---- */
void cg_vector_for(Cg *g, TdlOp o);
/* A `for` as scalar control flow from `lo` and `inits` (NULL: its operands). */
void cg_plain_for(Cg *g, TdlOp o, LLVMValueRef lo, const LLVMValueRef *inits);
/* Emits o in a vector loop (fn is its scalar emitter); false: it is emitted as everywhere. */
bool cg_vector_op(Cg *g, TdlOp o, CgOpFn fn);
bool cg_is_vector(LLVMValueRef x);
unsigned cg_width(LLVMValueRef x);                       /* lanes of a vector, 1 of a scalar */
LLVMValueRef cg_splat(CgUnit *u, LLVMValueRef x, unsigned lanes); /* a vector stays; 1 lane: a scalar */
/* x, as a vector where the carried value i of loop o differs between lanes. */
LLVMValueRef cg_carried(const Cg *g, TdlOp o, uint32_t i, LLVMValueRef x);

/* ---- contractions (kernels.c): the constant struct TdlrtKernels of runtime/object/bodies.h ---- */
LLVMValueRef cg_kernels(CgUnit *u, TdlElem e);
bool cg_kernels_emit(CgUnit *u); /* defines those that are used; false: none */

/* ---- run-time bodies, target, debug information ---- */
bool cg_link_bodies(CgUnit *u);
bool cg_link_kernels(CgUnit *u); /* after the passes: the kernels of contractions and what leads to them */
bool cg_target(CgUnit *u);
void cg_narrow(CgUnit *u);   /* where size_t has 32 bits: the C library's functions (narrow.c) */
void cg_debug_start(CgUnit *u);
void cg_debug_func(Cg *g);
void cg_debug_op(Cg *g, TdlSpan span);
void cg_debug_none(Cg *g);
void cg_debug_finish(CgUnit *u);

/* ---- structure that loop IR keeps (control.c, memory.c) ---- */
#define CG_STRUCTURE(X) X(UNDEF) X(FOR) X(IF) X(WHILE) X(YIELD) X(RETURN) X(CALL) X(ASSERT) X(PRINT) X(STACKNEW) X(PUSH) X(POP) X(SAVE) X(RESTORE)
#define X(NAME) void cg_##NAME(Cg *g, TdlOp o);
CG_STRUCTURE(X)
#undef X

/* Every operation that codegen emits: cg_<NAME>. */
#define CG_DECLARE_SCALAR(NAME) void cg_##NAME(Cg *g, TdlOp o);
#define CG_DECLARE_LOOP(NAME) void cg_##NAME(Cg *g, TdlOp o);
#define CG_DECLARE_EXPAND(NAME)
#define CG_DECLARE_STRUCT(NAME)
#define CG_DECLARE_EARLY(NAME)
#define OP(NAME, mnemonic, min, max, regions, flags, type, deriv, lower, attrs, doc) CG_DECLARE_##lower(NAME)
#include "ir/ops.def"
#undef OP

#endif
