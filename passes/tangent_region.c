/* Forward mode through regions: they stay, and yield the tangents of what they yield as further values. */
#include "passes/adjoint.h"

static TdlRegion region_at(const Adj *a, TdlOp o, uint32_t i) { return ir_op(a->f, o)->regions[i]; }

/* The tangent of what region r yields at `i`, as a further operand of its terminator. */
static void yield_tangent(Adj *a, TdlRegion r, uint32_t i) {
    TdlOp end = ir_terminator(a->f, r);
    TdlBuilder saved = a->top->b;
    a->top->b = ir_before(a->f, end);
    a->top->b.grad_fn = SYM_NONE;
    ir_add_operand(a->f, end, tan_whole_or_zero(a, adj_arg(a, end, i)));
    a->top->b = saved;
}

static void further_result(Adj *a, TdlOp o, uint32_t i) {
    TdlVal z = adj_res(a, o, i);
    adj_set_cot(a, z, ir_add_result(a->f, o, tan_type(a, adj_type(a, z))));
}

/* map, if and checkpoint: result i is what the regions yield at i. */
static void bodies(Adj *a, TdlOp o) {
    uint32_t nregions = ir_op(a->f, o)->nregions, nresults = ir_op(a->f, o)->nresults;
    for (uint32_t k = 0; k < nregions; k++) tan_region(a, region_at(a, o, k));
    for (uint32_t i = 0; i < nresults && !a->failed; i++) {
        if (!adj_active(a, adj_res(a, o, i))) continue;
        for (uint32_t k = 0; k < nregions; k++) yield_tangent(a, region_at(a, o, k), i);
        further_result(a, o, i);
    }
}

void tan_MAP(Adj *a, TdlOp o, const TdlVal *dot) { (void)dot, bodies(a, o); }
void tan_IF(Adj *a, TdlOp o, const TdlVal *dot) { (void)dot, bodies(a, o); }
void tan_CHECKPOINT(Adj *a, TdlOp o, const TdlVal *dot) { (void)dot, bodies(a, o); }

/* Carried values: `inits` first operand, `lead` first yield and result; the last of the `args` of each region. */
static void loop(Adj *a, TdlOp o, const TdlVal *dot, uint32_t inits, uint32_t lead) {
    uint32_t nregions = ir_op(a->f, o)->nregions, n = ir_op(a->f, o)->noperands - inits;
    TdlRegion body = region_at(a, o, nregions - 1);
    uint32_t args = ir_region(a->f, body)->args.n - n;
    TdlBuilder before = ir_before(a->f, o), saved = a->top->b;
    before.grad_fn = SYM_NONE;
    for (uint32_t i = 0; i < n; i++) {
        TdlVal arg = ir_region(a->f, body)->args.p[args + i];
        TdlType t = tan_type(a, adj_type(a, arg));
        if (!adj_active(a, arg)) continue;
        a->top->b = before;
        ir_add_operand(a->f, o, dot[inits + i].id ? dot[inits + i] : tan_absent(a, adj_arg(a, o, inits + i)));
        if (nregions == 2) ir_region_arg(a->f, region_at(a, o, 0), t, SYM_NONE);
        adj_set_cot(a, arg, ir_region_arg(a->f, body, t, SYM_NONE));
    }
    a->top->b = saved;
    tan_region(a, body);
    for (uint32_t i = 0; i < n && !a->failed; i++) {
        if (!adj_active(a, ir_region(a->f, body)->args.p[args + i])) continue;
        yield_tangent(a, body, lead + i);
        further_result(a, o, lead + i);
    }
}

void tan_FOR(Adj *a, TdlOp o, const TdlVal *dot) { loop(a, o, dot, 2, op_int(a->f, o, "exit", 0) != 0); }
/* The condition decides by the primal alone. */
void tan_WHILE(Adj *a, TdlOp o, const TdlVal *dot) { loop(a, o, dot, 0, 0); }

/* Each active accumulator gets a second one beside it, for the tangents of what is added. Its result stands before those
 * of the values that the body yields. */
void tan_WITHACC(Adj *a, TdlOp o, const TdlVal *dot) {
    uint32_t n = ir_op(a->f, o)->noperands, nextra = ir_op(a->f, o)->nresults - n;
    TdlRegion body = region_at(a, o, 0);
    TdlBuilder before = ir_before(a->f, o), saved = a->top->b;
    before.grad_fn = SYM_NONE;
    for (uint32_t i = 0; i < n; i++) {
        TdlVal acc = ir_region(a->f, body)->args.p[i], z = adj_res(a, o, i);
        if (!adj_active(a, acc)) continue;
        a->top->b = before;
        uint32_t at = ir_op(a->f, o)->noperands;
        TdlType t = tan_type(a, adj_type(a, z));
        ir_add_operand(a->f, o, dot[i].id ? dot[i] : adj_zero(a, t));
        adj_set_cot(a, acc, adj_own_acc(a, body, t));
        adj_set_cot(a, z, ir_insert_result(a->f, o, at, t));
    }
    a->top->b = saved;
    tan_region(a, body);
    uint32_t first = ir_op(a->f, o)->nresults - nextra;
    for (uint32_t i = 0; i < nextra && !a->failed; i++) {
        if (!adj_active(a, adj_res(a, o, first + i))) continue;
        yield_tangent(a, body, i);
        further_result(a, o, first + i);
    }
}

/* acc[i] += v:  the tangent of v is added to the accumulator of tangents. */
void tan_ACCADD(Adj *a, TdlOp o, const TdlVal *dot) {
    const TdlOpData d = *ir_op(a->f, o);
    if (!dot[0].id || !dot[1].id) return;
    TdlVals ops = {0};
    VEC_PUSH(a->arena, ops, dot[0]);
    VEC_PUSH(a->arena, ops, dot[1]);
    for (uint32_t i = 2; i < d.noperands; i++) VEC_PUSH(a->arena, ops, d.operands[i]);
    for (uint32_t i = 0; tan_lane_is_open(a) && i < a->lanes->n; i++) VEC_PUSH(a->arena, ops, tan_lane_index(a, i));
    TdlOp z = ir_emit(adj_b(a), OP_ACCADD, ops.p, ops.n, NULL, 0);
    if (op_int(a->f, o, "inbounds", 0)) op_set_int(a->f, z, "inbounds", 1);
}
