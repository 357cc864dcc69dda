/* Forward mode: behind each operation that computes an active value stand operations that compute its tangent.
 *
 *     %1 = sin %0          =>     %1 = sin %0   %2 = cos %0   %3 = mul %0dot, %2        (%3 is the tangent of %1)
 *
 * In place, in one walk from first to last: regions stay and get further results; nothing is kept or computed again but
 * the body of a `reduce`, which has one result. An operation that is linear in its float operands is done again on their
 * tangents. Cost: linear in the code, times the depth of nested reductions. */
#include "passes/adjoint.h"
#include <string.h>

#define RULE_PARTIAL(NAME) NULL
#define RULE_LINEAR(NAME) NULL
#define RULE_ZERO(NAME) NULL
#define RULE_NONE(NAME) NULL
#define RULE_RULE(NAME) tan_##NAME
static const AdjRule rules[OP_COUNT] = {
#define OP(NAME, mn, min, max, regions, flags, TYPE, DERIV, ...) [OP_##NAME] = RULE_##DERIV(NAME),
#include "ir/ops.def"
#undef OP
};

static bool has_tangent(const Adj *a, TdlType t) { return ty_kind(a->m, t) == TY_STACK || ty_is_float(a->m, t); }

static uint32_t rank_of(const Adj *a, TdlVal v) { return ty_rank(a->m, adj_type(a, v)); }

/* What deals with whole tangents: regions, stacks, whose rows are carried from one to another, and parts of tensors at
 * leading indices. */
static bool is_whole(const Adj *a, TdlOp o) {
    const TdlOpData *d = ir_op(a->f, o);
    switch (d->code) {
    case OP_PUSH: case OP_POP: case OP_STACKNEW: case OP_UPDATE: return true;
    case OP_INDEX: return rank_of(a, d->results[0]) > 0;
    case OP_ACCADD: return rank_of(a, d->operands[1]) > 0;
    default: return d->nregions > 0;
    }
}

/* The operation on the tangents of its operands; what is not differentiable (indices, conditions) stays. */
static void linear(Adj *a, TdlOp o, const TdlVal *dot) {
    const TdlOpData d = *ir_op(a->f, o);
    TdlVal *ops = arena_memdup(a->arena, d.operands, d.noperands * sizeof *ops);
    TdlType *types = ARENA_ARRAY(a->arena, TdlType, d.nresults);
    bool whole = a->lanes && is_whole(a, o);
    for (uint32_t i = 0; i < d.noperands; i++) {
        TdlType t = adj_type(a, ops[i]);
        if (has_tangent(a, t)) ops[i] = dot[i].id ? dot[i] : adj_zero(a, whole ? tan_type(a, t) : t);
    }
    for (uint32_t i = 0; i < d.nresults; i++) {
        types[i] = adj_type(a, d.results[i]);
        if (whole) types[i] = tan_type(a, types[i]);
    }
    TdlOp z = ir_emit(adj_b(a), d.code, ops, d.noperands, types, d.nresults);
    ir_op(a->f, z)->attrs = arena_memdup(a->m->arena, d.attrs, d.nattrs * sizeof *d.attrs);
    ir_op(a->f, z)->nattrs = d.nattrs;
    for (uint32_t i = 0; i < d.nresults; i++)
        if (has_tangent(a, types[i])) adj_set_cot(a, d.results[i], adj_res(a, z, i));
}

/* An element of a whole tangent, in the lane. */
static void element(Adj *a, TdlOp o, TdlVal whole) {
    const TdlOpData d = *ir_op(a->f, o);
    TdlVals ops = {0};
    VEC_PUSH(a->arena, ops, whole);
    for (uint32_t i = 1; i < d.noperands; i++) VEC_PUSH(a->arena, ops, d.operands[i]);
    for (uint32_t i = 0; i < a->lanes->n; i++) VEC_PUSH(a->arena, ops, tan_lane_index(a, i));
    TdlVal z = adj_emit(a, OP_INDEX, ops.p, ops.n, adj_type(a, d.results[0]));
    if (op_int(a->f, o, "inbounds", 0)) op_set_int(a->f, adj_def(a, z), "inbounds", 1);
    tan_set(a, d.results[0], z);
}

static void no_derivative(Adj *a, TdlOp o) {
    a->failed = true;
    diag_error(a->m->diags, ir_op(a->f, o)->span, "%s: has no derivative: use detach where none is wanted",
               op_info(ir_op(a->f, o)->code)->name);
}

static void tangent_op(Adj *a, TdlOp o) {
    const TdlOpData d = *ir_op(a->f, o);
    bool any = adj_accumulates(a, o);
    for (uint32_t i = 0; i < d.nresults; i++) any |= adj_active(a, d.results[i]);
    if (!any) return;
    TdlVal *dot = ARENA_ARRAY(a->arena, TdlVal, d.noperands + 1);
    bool whole = is_whole(a, o);
    if (whole) {
        tan_lanes_close(a);
        a->top->b = ir_after(a->f, o);
        a->top->b.grad_fn = SYM_NONE;
    } else {
        tan_lanes_open(a, o);
    }
    TdlVal all = d.code == OP_INDEX && tan_lane_is_open(a) && !tan_in_lane(a, d.operands[0]) ? tan_whole(a, d.operands[0]) : (TdlVal){0};
    if (all.id) {
        element(a, o, all);
        return;
    }
    for (uint32_t i = 0; i < d.noperands; i++) dot[i] = whole ? tan_whole(a, d.operands[i]) : tan_of(a, d.operands[i]);
    switch (op_info(d.code)->deriv) {
    case DERIV_PARTIAL: tan_partial(a, o, dot); break;
    case DERIV_LINEAR: linear(a, o, dot); break;
    case DERIV_RULE: rules[d.code](a, o, dot); break;
    case DERIV_ZERO: break;
    case DERIV_NONE: no_derivative(a, o); break;
    }
    for (uint32_t i = 0; a->lanes && !whole && i < d.nresults; i++) { /* what the rule set is of the lane */
        TdlVal dot_i = adj_cot(a, d.results[i]);
        if (!dot_i.id) continue;
        adj_set_cot(a, d.results[i], (TdlVal){0});
        tan_set(a, d.results[i], dot_i);
    }
}

void tan_region(Adj *a, TdlRegion r) {
    TdlBuilder saved = a->top->b;
    tan_lanes_close(a);
    for (TdlOp o = ir_region(a->f, r)->first; o.id && !a->failed;) {
        TdlOp next = ir_op(a->f, o)->next; /* tangents are put in between */
        tangent_op(a, o);
        o = next;
    }
    tan_lanes_close(a);
    a->top->b = saved;
}

/* ---- functions ---- */

/* A leaf is its operand, or the leaf it was. */
void tan_LEAF(Adj *a, TdlOp o, const TdlVal *dot) { adj_set_cot(a, adj_res(a, o, 0), dot[ir_op(a->f, o)->noperands - 1]); }

/* Terminators are handled with their regions. */
void tan_YIELD(Adj *a, TdlOp o, const TdlVal *dot) { (void)a, (void)o, (void)dot; }
void tan_RETURN(Adj *a, TdlOp o, const TdlVal *dot) { (void)a, (void)o, (void)dot; }

/* The tangents of the float results of call `o`, in order. */
static void set_results(Adj *a, TdlOp o, const TdlVal *v) {
    for (uint32_t i = 0, k = 0; i < ir_op(a->f, o)->nresults; i++)
        if (ty_is_float(a->m, adj_type(a, adj_res(a, o, i)))) adj_set_cot(a, adj_res(a, o, i), v[k++]);
}

void tan_rule(Adj *a, const TdlFunc *f, TdlOp call, const TdlVal *dot) {
    TdlFunc *rule = adj_usable_rule(a, f->forward);
    if (!rule) return;
    const TdlOpData d = *ir_op(a->f, call);
    TdlValMap map = valmap_new(a->arena, rule);
    TdlDimMap dims = {.arena = a->arena};
    const TdlVal *params = ir_region(rule, rule->body)->args.p;
    const TdlAttr *at = op_attr(a->f, call, "dims");
    uint32_t n = 0;
    for (uint32_t i = 0; i < d.noperands; i++) valmap_set(&map, params[n++], d.operands[i]);
    for (uint32_t i = 0; i < d.nresults; i++) valmap_set(&map, params[n++], d.results[i]);
    for (uint32_t i = 0; i < d.noperands; i++) {
        TdlType t = adj_type(a, d.operands[i]);
        if (ty_is_float(a->m, t)) valmap_set(&map, params[n++], dot[i].id ? dot[i] : adj_zero(a, t));
    }
    for (uint32_t i = 0; i < rule->dims.n && at; i++) dimmap_add(&dims, rule->dims.p[i], at->dims[i]);
    TdlVals out = {0};
    ir_clone_region_body(adj_b(a), rule, rule->body, &map, &dims, &out);
    set_results(a, call, out.p);
}

/* A call that stays, because it is recursive, becomes one of the callee's tangent, which gives the same results first. */
static void call_tangent(Adj *a, const TdlFunc *callee, TdlOp o, const TdlVal *dot) {
    const TdlOpData d = *ir_op(a->f, o);
    TDL_VEC(int64_t) wrt = {0};
    for (uint32_t i = 0; i < d.noperands; i++)
        if (dot[i].id) VEC_PUSH(a->arena, wrt, i);
    TdlFunc *g = a->derived(a->pass, callee, wrt.p, wrt.n, true);
    if (!g) {
        a->failed = true;
        return;
    }
    const char *name = sym_text(a->m->names, g->name);
    op_set_str(a->f, o, "callee", name, (uint32_t)strlen(name));
    for (uint32_t i = 0; i < wrt.n; i++) ir_add_operand(a->f, o, dot[wrt.p[i]]);
    for (uint32_t i = 0; i < d.nresults; i++) {
        TdlVal z = adj_res(a, o, i);
        if (ty_is_float(a->m, adj_type(a, z))) adj_set_cot(a, z, ir_add_result(a->f, o, adj_type(a, z)));
    }
}

void tan_CALL(Adj *a, TdlOp o, const TdlVal *dot) {
    const char *name = op_str(a->f, o, "callee");
    const TdlFunc *callee = ir_func_find(a->m, intern(a->m->names, name));
    if (callee->forward.id) {
        tan_rule(a, callee, o, dot);
    } else if (callee->symbol) {
        a->failed = true;
        diag_error(a->m->diags, ir_op(a->f, o)->span, "%s: has no derivative for forward mode: give it one by `derivative %s(...) -> ... { forward { ... } }`, or use detach where none is wanted", name, name);
    } else {
        call_tangent(a, callee, o, dot);
    }
}
