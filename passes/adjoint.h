/* Inside the adjoint pass: the state of one sweep, and what its rules use. Not for other passes.
 *
 * A reverse sweep walks the operations of a region from last to first. Each value of the region has at most one current
 * cotangent (`cot`), to which rules contribute through adj_add alone. A *frame* is a region that is being reversed:
 * `region` is where its primal values are defined, `b` is where its reverse is emitted. A value that is defined
 * outside the frame's region is free in it; its cotangent there is an accumulator of the frame's *scope*, the
 * withacc around the reversed region, made on the first contribution. */
#ifndef TDL_PASSES_ADJOINT_H
#define TDL_PASSES_ADJOINT_H

#include "ir/ir.h"
#include "passes/pass.h"

typedef struct { TdlVal of, acc; bool unread; } AdjAcc; /* unread: the cotangent so far */

typedef struct {
    TdlOp withacc;   /* in the reverse of the outer frame; operands and accumulators grow with `accs` */
    TdlRegion body;
    TDL_VEC(AdjAcc) accs;
} AdjScope;

typedef struct AdjFrame {
    struct AdjFrame *outer;
    TdlRegion region, into; /* primal; reverse: it reads primal values directly until adj_need has provided them */
    AdjScope *scope; /* holds the cotangents of values free in `region`; NULL in the outermost frame */
    TdlBuilder b;
} AdjFrame;

/* Several tangents at once (tangent_lanes.c). */
enum { TAN_LANE_AXES = 16 };
typedef struct { TdlOp map; TdlVal dot; } TanLane; /* of a value: its tangent, in the body of `map` */
typedef struct {
    uint32_t n;          /* axes */
    TdlDim *dims;
    TdlVal *extents;
    TdlOp map;           /* that is open */
    TDL_VEC(TanLane) of; /* by value id */
} TanLanes;

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *arena; /* scratch of the sweep */
    TdlModule *formulas; /* partials.tdl as IR: one function an operation */
    AdjFrame *top;
    TDL_VEC(TdlVal) cot;      /* by value id: current cotangent (forward mode: tangent); 0: none yet, that is zero */
    TDL_VEC(uint8_t) active;  /* by value id: depends on what is differentiated for */
    TDL_VEC(uint8_t) zeros;   /* by value id: its cotangent may have zeros of elements that were not read (adjoint_mask.c) */
    TDL_VEC(uint64_t) rows;   /* by value id: rows of an unread cotangent that were added to; of the first 64 */
    TDL_VEC(uint8_t) infinite;/* by value id: whether it may be infinite or NaN (adjoint_infinite.c) */
    TdlVals known;            /* of which that is known */
    TDL_VEC(uint8_t) ours;    /* by value id: an accumulator of the sweep's own, not of what it reverses */
    TDL_VEC(uint32_t) mark;   /* by value id: in the set that was begun last, where it equals `stamp` */
    uint32_t stamp;
    TDL_VEC(uint32_t) cut;    /* by value id, while primal values are provided: its node, then an AdjChoice */
    TdlValMap bodies, needs;  /* of clones of bodies and of primal values computed again; shared, so that their size is paid once */
    bool forward;             /* forward mode */
    TanLanes *lanes;          /* forward mode: several tangents at once; NULL: one */
    TdlFunc *(*derived)(void *pass, const TdlFunc *f, const int64_t *wrt, uint32_t n, bool forward); /* @f.jvp or @f.vjp, for a call that stays */
    void *pass;
    const TdlPassOptions *opt;
    uint32_t limited;         /* loops that share what --max-tape allows */
    TdlRegion within;         /* of `backward`: the region it stands in; 0 for a vjp */
    TdlVals leaves;           /* of `backward`: where it ends */
    TdlOp step;               /* the operation that is being reversed */
    bool unread, masked;      /* the cotangents of its results: with such zeros, with a mask */
    TdlSym named;             /* the last grad_fn that an operation had, and the place of that */
    TdlSpan named_at;
    TDL_VEC(uint8_t) finite;  /* -fcheck=nan, by value id: checked */
    TDL_VEC(uint8_t) own_checks; /* by operation id: a check of the sweep's own */
    bool failed;
} Adj;

/* ---- state (adjoint_core.c) ---- */

void adj_init(Adj *a, TdlFunc *f, TdlArena *arena, TdlModule *formulas);
bool adj_active(const Adj *a, TdlVal v);
/* A set of values, for the user of the moment. */
static inline void adj_begin_marks(Adj *a) { a->stamp++; }
static inline bool adj_marked(const Adj *a, TdlVal v) { return v.id < a->mark.n && a->mark.p[v.id] == a->stamp; }
void adj_mark_value(Adj *a, TdlVal v);
void adj_set_active(Adj *a, TdlVal v, bool on);
TdlVal adj_cot(const Adj *a, TdlVal v);
void adj_set_cot(Adj *a, TdlVal v, TdlVal cot);
/* The current cotangent of a value of the top frame; zeros where nothing was contributed. */
TdlVal adj_cot_or_zero(Adj *a, TdlVal v);
/* Zero of a tensor type, an empty stack of a stack type. */
TdlVal adj_zero(Adj *a, TdlType t);
/* The one way to contribute: adds `c` to the cotangent of `v`, where `v` is active. */
void adj_add(Adj *a, TdlVal v, TdlVal c);
/* Adds `c` to the cotangent of v[idx...]. */
void adj_add_at(Adj *a, TdlVal v, TdlVal c, const TdlVal *idx, uint32_t n, bool inbounds);
/* Scattered contributions to one value: an accumulator to `accadd` to between open and close. Emission goes on
 * through adj_b; false (and nothing opened) where the value is not active. */
typedef struct { TdlVal of, acc; TdlOp withacc; TdlBuilder saved; } AdjScatter;
bool adj_scatter_open(Adj *a, TdlVal v, AdjScatter *s);
void adj_scatter_close(Adj *a, AdjScatter *s);
/* A `map` without results over the shape of `t`: what is emitted between open and close is done for each index. */
TdlBuilder adj_each_open(Adj *a, TdlType t, TdlVal *idx);
void adj_each_close(Adj *a, TdlBuilder saved);

static inline TdlBuilder *adj_b(Adj *a) { return &a->top->b; }

/* -fcheck=nan: emits the check of c, which the current step contributes to v; of c, the whole gradient of v (adjoint_finite.c). */
void adj_check_step(Adj *a, TdlVal v, TdlVal c);
void adj_check_gradient(Adj *a, TdlVal v, TdlVal c);
bool adj_is_own_check(const Adj *a, TdlOp o);

AdjScope *adj_scope_open(Adj *a);
/* Ends the withacc with `extras` as further results (replaced by those), and takes over the accumulated cotangents. */
void adj_scope_close(Adj *a, AdjScope *s, TdlVal *extras, uint32_t n);
/* Enters a frame for primal region `region`, emitting at the end of `into`. */
void adj_push(Adj *a, AdjFrame *fr, TdlRegion region, AdjScope *scope, TdlRegion into);
void adj_pop(Adj *a);

/* Whether something in `o` adds an active value to an accumulator that has a cotangent. */
bool adj_accumulates(const Adj *a, TdlOp o);
/* Marks what in region `r` depends on active values; returns true when something new was marked. */
bool adj_activity(Adj *a, TdlRegion r);
/* Counts the active loops of the function that are reversed from few states under --max-tape; call before the sweep
 * (adjoint_long.c). */
void adj_count_limited(Adj *a);
/* Reverses the operations of `r` from `last` to the first. */
void adj_reverse_ops(Adj *a, TdlRegion r, TdlOp last);
/* Removes what is not used of a region that is complete (terminator included). In a region of the reverse the checks and
 * prints go too: they were done when the primal ran. */
void adj_dce(Adj *a, TdlRegion r, bool reverse);
/* Removes from the regions of a clone what was done when the primal ran. */
void adj_strip(Adj *a, TdlOp o);
void adj_yield(Adj *a, TdlRegion r, const TdlVal *v, uint32_t n);

/* ---- primal values in the reverse (adjoint_need.c) ----
 * After a region was reversed into another one, what the reverse reads of the primal is computed again or kept, as a cut
 * decides (adjoint_cut.c). `save` keeps: it extends the forward region and returns the value in the reverse region. */
typedef struct AdjNeed AdjNeed;
typedef enum { ADJ_UNREAD, ADJ_KEPT, ADJ_AGAIN } AdjChoice;
struct AdjNeed {
    TdlRegion from;           /* the primal region */
    TdlOp first;              /* first operation of the reverse; the others follow it in its region */
    bool save_all;            /* keeping is free: compute again only constants and the like */
    uint32_t unit;            /* least bytes that keeping a value takes */
    const TdlVal *args;       /* replacements of the region's arguments: 0 where there is none */
    const bool *primal;       /* of a function's body, by operation id up to nprimal: all but the reverse behind it */
    uint32_t nprimal;
    TdlVal (*save)(Adj *a, AdjNeed *n, TdlVal v);
    void *user;
    TdlValMap *map;           /* a->needs */
    TdlBuilder b;             /* where values are computed again: in front of `first` */
    TDL_VEC(TdlOp) again;     /* operations with regions that are computed again */
    TDL_VEC(TdlOp) newdims;   /* of `from`: a value whose size is new in each iteration cannot be saved */
    TdlVals chosen;           /* values with a choice */
};
void adj_need(Adj *a, AdjNeed *n);
/* Already to be had in the reverse: not of the primal region, an argument with a replacement, or done before. */
bool adj_at_hand(const Adj *a, const AdjNeed *n, TdlVal v);
bool adj_can_save(Adj *a, const AdjNeed *n, TdlVal v);
/* Chooses for what the reverse reads (marked with a->stamp), and what that is made of: a->cut, n->chosen. */
void adj_cut(Adj *a, AdjNeed *n);
/* Under --max-tape: chooses what the reverse computes again of the function's body, where its operations are those of
 * `primal` (adjoint_body.c). */
void adj_body(Adj *a, const bool *primal, uint32_t nprimal);
/* A scalar, or a tensor of a small constant size. */
bool adj_is_small(const Adj *a, TdlVal v);
/* Notes for the report (docs/ir.md) how the result of o is kept: tape, snapshots, value. */
void adj_note_saved(Adj *a, TdlOp o, const char *how);
/* The place of what makes v, inside of the regions of a loop or branch; `other` where that is none. */
TdlSpan adj_place(Adj *a, TdlVal v, TdlSpan other);
/* v is kept as it is: the operation that makes it is noted, inside of the regions of a loop or branch. */
void adj_note_value(Adj *a, TdlVal v);
/* Likewise that o is done again in the reverse; with what is in its regions. */
void adj_note_redone(Adj *a, TdlOp o);
/* Likewise of the body of a map or reduction, up to operation `last` of its region: where it is done in the primal, too. */
void adj_note_body(Adj *a, TdlOp last);

/* ---- warnings (adjoint_zero.c) ----
 * Of floor and its like on the way from what is active to `results`, and of those of `wrt` that only comparisons and
 * integers depend on. */
void adj_warn_zero(Adj *a, const TdlVal *results, uint32_t n, const TdlVal *wrt, uint32_t nwrt);

/* ---- region operations done again: shared by both modes ---- */

/* Clones the body of region operation `o` to the end of region `t`, for the indices idx; returns what it yields. The map
 * is shared by all clones: each sets the values of its body before they are used, and values free in it are not in it. */
TdlVals adj_clone_body(Adj *a, TdlOp o, TdlRegion t, const TdlVal *idx);
/* Arguments for `t` like those of the body of `o`. */
TdlVal *adj_indices(Adj *a, TdlOp o, TdlRegion t);
/* An operation of kind `code` over the extents of `o`, without results. The extents of a map must be dimensions. */
TdlOp adj_over_extents(Adj *a, TdlOp o, TdlOpcode code, TdlBuilder b);
/* A reverse that computes the primal again: `body` puts it at the end of region t and returns its n values, whose
 * cotangents are zbar. What it computes is never merged with what was computed before (adjoint_checkpoint.c). */
typedef const TdlVal *(*AdjAgain)(Adj *a, TdlRegion t, void *user);
void adj_again(Adj *a, const TdlVal *zbar, uint32_t n, AdjAgain body, void *user);
/* An argument for region r: an accumulator of the sweep's own, of tensor type t. */
TdlVal adj_own_acc(Adj *a, TdlRegion r, TdlType t);

/* ---- forward mode (tangent.c): a tangent stands behind each active value, in its own region; `cot` holds it ---- */

/* Puts the tangents of what region r computes behind it. */
void tan_region(Adj *a, TdlRegion r);
/* What the forward rule of f makes of the tangents dot (0: none) of its arguments: tangents of the float results are set. */
void tan_rule(Adj *a, const TdlFunc *f, TdlOp call, const TdlVal *dot);

/* ---- several tangents at once (tangent_lanes.c); without lanes each is the plain one ----
 * `cot` holds whole tangents, with the lanes' axes behind. Between open and close emission is in a lane, where a rule
 * sees one tangent; regions and operations on tensors deal with whole ones. */

TanLanes *tan_lanes_new(Adj *a, const TdlSym *dims, uint32_t n, TdlBuilder b);
TdlType tan_type(const Adj *a, TdlType t); /* of the whole tangent of a t */
/* Behind operation o, 0: at the end of the frame's region. */
void tan_lanes_open(Adj *a, TdlOp o);
void tan_lanes_close(Adj *a);
static inline bool tan_lane_is_open(const Adj *a) { return a->lanes && a->lanes->map.id; }
TdlVal tan_lane_index(const Adj *a, uint32_t i);
bool tan_in_lane(Adj *a, TdlVal v);        /* is the tangent of v known in the lane that is open? */
TdlVal tan_closed(Adj *a, TdlVal dot);     /* closes, and makes the lane's value a whole one */
void tan_set(Adj *a, TdlVal v, TdlVal dot);/* the tangent of v in the lane */
TdlVal tan_of(Adj *a, TdlVal v);           /* in the lane; 0: none */
TdlVal tan_of_or_zero(Adj *a, TdlVal v);
TdlVal tan_whole(Adj *a, TdlVal v);
TdlVal tan_whole_or_zero(Adj *a, TdlVal v);
/* The tangent of a v that has none: 0, or undefined where v is (a tape before its first row, which is not to be filled). */
TdlVal tan_absent(Adj *a, TdlVal v);
/* v with its first n axes behind the others. */
TdlVal adj_axes_to_end(TdlBuilder *b, TdlVal v, uint32_t n);

/* ---- derivatives in a map over their seeds (adjoint_seeds.c) ---- */

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *arena;
    const TdlValMap *replace; /* of results of derivatives that are resolved already */
    TdlOp loop, at;           /* the map or reduction; the derivative in its body */
    TDL_VEC(TdlDim) extents;
    bool *marked;             /* by operation id: what the tangents are computed from */
} AdjSeeds;

/* Does o stand in such a loop? */
bool adj_seeds_open(AdjSeeds *s, TdlOp o);
/* Can jvp s->at be done for all seeds in front of the loop? Then: its operands there; what the loop has of a result. */
bool adj_seeds_shared(AdjSeeds *s, TdlFunc *callee);
TdlVals adj_seeds_tangents(AdjSeeds *s, uint32_t nparams);
TdlVal adj_seeds_own(AdjSeeds *s, TdlVal whole);
/* Moves in front of the loop what does not depend on the seed, from `first` to s->at. */
void adj_seeds_hoist(AdjSeeds *s, TdlOp first);

/* ---- rules: those of each operation whose derivative answer is RULE or LINEAR ----
 * zbar[i] is the cotangent of result i, 0 where it has none; at least one is set (accadd has no results).
 * dot[i] is the tangent of operand i, 0 where it has none; the rule sets those of the results that are active. */
typedef void (*AdjRule)(Adj *a, TdlOp o, const TdlVal *zbar);
#define ADJ_RULE_PARTIAL(NAME)
#define ADJ_RULE_ZERO(NAME)
#define ADJ_RULE_NONE(NAME)
#define ADJ_RULE_LINEAR(NAME) void adj_##NAME(Adj *a, TdlOp o, const TdlVal *zbar);
#define ADJ_RULE_RULE(NAME) ADJ_RULE_LINEAR(NAME) void tan_##NAME(Adj *a, TdlOp o, const TdlVal *dot);
#define OP(NAME, mn, min, max, regions, flags, TYPE, DERIV, ...) ADJ_RULE_##DERIV(NAME)
#include "ir/ops.def"
#undef OP

/* ---- exact zeros (adjoint_mask.c) ----
 * A cotangent that is 0 where a branch of `select` was not taken stays so: it is cond ? of : 0 (without a mask `of` alone),
 * and what is made of it is cond ? f(of) : 0, so that no 0 * inf arises in the branch not taken. */
typedef struct { TdlVal cond, of; } AdjMask;
AdjMask adj_unmask(Adj *a, TdlVal zbar);
bool adj_is_masked(const Adj *a, TdlVal zbar);
TdlVal adj_mask(Adj *a, const AdjMask *m, TdlVal v);
AdjMask adj_either(Adj *a, AdjMask x, AdjMask y); /* of a sum of what is masked so */
TdlVal adj_sum(Adj *a, TdlVal x, TdlVal y); /* x + y; masked where both are */
/* Whether the cotangent of v may have zeros of elements that nothing read; also those that it has a mask for. */
bool adj_is_unread(const Adj *a, TdlVal v);
void adj_set_unread(Adj *a, TdlVal v, bool on);
bool adj_has_zeros(const Adj *a, TdlVal v);
/* Sets a->unread and a->masked for the reverse of o. */
void adj_enter_step(Adj *a, TdlOp o);
/* The current step adds c to the cotangent `old` of v; what is added to it next is to parts of it; it adds c to the
 * accumulator of v, which is free in the frame `inner`, at idx. */
void adj_note_whole(Adj *a, TdlVal v, TdlVal old, TdlVal c);
void adj_note_part(Adj *a, TdlVal v);
/* Then, where c is added to constant rows of a v that has few. */
void adj_note_rows(Adj *a, TdlVal v, TdlVal c, int64_t first, int64_t n);
void adj_note_free(Adj *a, TdlVal v, const AdjFrame *inner, TdlVal c, const TdlVal *idx, uint32_t n);
/* c, made of the unread zbar: 0 instead of NaN where zbar is 0. */
TdlVal adj_unless_unread(Adj *a, TdlVal zbar, TdlVal c);
/* Whether v may be infinite or NaN by more than an overflow: what it is computed from has poles (adjoint_infinite.c). */
bool adj_may_be_infinite(Adj *a, TdlVal v);
/* A constant other than 0, an integer. */
bool adj_is_safe_divisor(const Adj *a, TdlVal v);
/* Elementwise operations: contributions zbar * partial, from the formulas (adjoint_partial.c). */
void adj_partial(Adj *a, TdlOp o, TdlVal zbar);
/* The same for tangents: the sum of dot[i] * partial i. */
void tan_partial(Adj *a, TdlOp o, const TdlVal *dot);
/* What the reverse rule of f makes of the cotangents zbar (0: none) of its results, for all its arguments; `dims` are
 * those of the call, NULL: f's own (adjoint_call.c). */
void adj_rule(Adj *a, const TdlFunc *f, const TdlAttr *dims, const TdlVal *args, const TdlVal *results, const TdlVal *zbar);
/* The function of a derivative rule; NULL after an error: it needs itself. */
TdlFunc *adj_usable_rule(Adj *a, TdlSym name);
/* Reads the formulas that were compiled in; NULL after an error. */
TdlModule *adj_formulas(TdlModule *m, TdlArena *arena);

/* ---- small helpers for rules ---- */
static inline TdlVal adj_arg(const Adj *a, TdlOp o, uint32_t i) { return ir_op(a->f, o)->operands[i]; }
static inline TdlVal adj_res(const Adj *a, TdlOp o, uint32_t i) { return ir_op(a->f, o)->results[i]; }
static inline TdlType adj_type(const Adj *a, TdlVal v) { return ir_type(a->f, v); }
TdlVal adj_cint(Adj *a, int64_t v);                        /* i64 constant */
TdlVal adj_const_like(Adj *a, TdlVal like, double v);      /* v in the type of `like` */
TdlVal adj_op2(Adj *a, TdlOpcode c, TdlVal x, TdlVal y);
TdlVal adj_select(Adj *a, TdlVal c, TdlVal x, TdlVal y);
/* Whether x is z, the largest or smallest of values that x is one of: equal, or NaN, which wins. */
TdlVal adj_same(Adj *a, TdlVal x, TdlVal z);
TdlVal adj_any(Adj *a, TdlVal c);                          /* scalar: some element of bool tensor c is true */
/* z = c ? x : y where only one of them is computed: what is emitted after open, after else. */
typedef struct { TdlOp op; TdlBuilder saved; } AdjIf;
AdjIf adj_if_open(Adj *a, TdlVal c);
void adj_if_else(Adj *a, AdjIf *i, TdlVal x);
TdlVal adj_if_close(Adj *a, AdjIf *i, TdlVal y);
/* Makes i64 `n` (at least 0) a dimension; returns the value that stands for it. */
TdlVal adj_newdim(Adj *a, TdlBuilder *b, TdlVal n, const char *base);
/* Whether i64 `v` is certainly at least 0; looks through at most `depth` operations. */
bool adj_nonnegative(Adj *a, TdlVal v, int depth);
/* One result of type `t`. */
TdlVal adj_emit(Adj *a, TdlOpcode c, const TdlVal *operands, uint32_t n, TdlType t);
/* Forward mode, of an operation that is linear in each of two operands: zdot = (xdot, y) + (x, ydot), each the same one. */
void adj_tangent_of_product(Adj *a, TdlOp o, const TdlVal *dot);
static inline TdlOp adj_def(const Adj *a, TdlVal v) { return ir_val(a->f, v)->def; }

#endif
