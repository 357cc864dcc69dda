/* Control flow: constant branches, loops that do not run or run once, carried values that do not change, branches
 * that are a choice between two scalars, maps that copy. */
#include "passes/simplify.h"

static TdlOp yield_of(const Simplify *s, TdlOp o, uint16_t region) {
    return ir_terminator(s->f, ir_op(s->f, o)->regions[region]);
}

static TdlVal yielded(const Simplify *s, TdlOp o, uint16_t region, uint32_t i) {
    return ir_op(s->f, yield_of(s, o, region))->operands[i];
}

static TdlVal arg_of(const Simplify *s, TdlOp o, uint16_t region, uint32_t i) {
    return ir_region(s->f, ir_op(s->f, o)->regions[region])->args.p[i];
}

/* A dimension variable that a region defines ends with it: such a region is not opened into the one around it. */
static bool can_splice(const Simplify *s, TdlRegion r) {
    for (TdlOp o = ir_region(s->f, r)->first; o.id; o = ir_op(s->f, o)->next)
        if (ir_op(s->f, o)->code == OP_NEWDIM) return false;
    return ir_terminator(s->f, r).id != 0;
}

/* Moves the operations of region i in front of `o`; result k + skip becomes what it yields k-th (after `from`); `o`
 * goes. The walk goes on at the first operation that was moved. */
static void splice(Simplify *s, TdlOp o, uint16_t i, uint32_t from, uint32_t skip, TdlOp *next) {
    TdlFunc *f = s->f;
    TdlRegion r = ir_op(f, o)->regions[i];
    TdlOp last = ir_terminator(f, r), first = ir_region(f, r)->first;
    *next = first.id == last.id ? ir_op(f, o)->next : first;
    for (uint32_t k = 0; k + skip < ir_op(f, o)->nresults; k++)
        sm_set(s, ir_result(f, o, k + skip), ir_op(f, last)->operands[k + from]);
    for (TdlOp p = first; p.id != last.id;) {
        TdlOp after = ir_op(f, p)->next;
        ir_move_before(f, p, o);
        p = after;
    }
    ir_remove(f, o);
    s->changed = true;
}

/* ---- if ---- */

static bool if_before(Simplify *s, TdlOp o, TdlOp *next) {
    SmConst c;
    if (!sm_const(s, sm_operand(s, o, 0), &c)) return false;
    uint16_t taken = c.i ? 0 : 1;
    if (!can_splice(s, ir_op(s->f, o)->regions[taken])) return false;
    splice(s, o, taken, 0, 0, next);
    return true;
}

static bool only_yields(const Simplify *s, TdlOp o, uint16_t region) {
    return ir_region(s->f, ir_op(s->f, o)->regions[region])->first.id == yield_of(s, o, region).id;
}

static void if_after(Simplify *s, TdlOp o) {
    bool choice = only_yields(s, o, 0) && only_yields(s, o, 1);
    SmConst x, y;
    for (uint16_t i = 0; i < ir_op(s->f, o)->nresults; i++) {
        TdlVal r = ir_result(s->f, o, i), a = yielded(s, o, 0, i), b = yielded(s, o, 1, i);
        TdlBuilder at = ir_before(s->f, o);
        if (sm_get(s, r).id != r.id) continue;
        bool equal = sm_const(s, a, &x) && sm_const(s, b, &y) && x.e == y.e && x.i == y.i && x.f == y.f &&
                     __builtin_signbit(x.f) == __builtin_signbit(y.f);
        if (a.id == b.id) sm_set(s, r, a);
        else if (equal) sm_set(s, r, x.is_float ? ir_const_float(&at, x.e, x.f) : ir_const_int(&at, x.e, x.i));
        else if (choice && ty_is_scalar(s->m, ir_type(s->f, r)))
            sm_set(s, r, ir_emit1(&at, OP_SELECT, (TdlVal[]){sm_operand(s, o, 0), a, b}, 3));
    }
}

/* ---- for and while ---- */

/* The number of iterations when it is known to be 0 or 1; 2: it is not. */
static int trips(Simplify *s, TdlOp o) {
    TdlDim lo, hi;
    int64_t n;
    if (!ir_val_dim(s->f, sm_operand(s, o, 0), &lo) || !ir_val_dim(s->f, sm_operand(s, o, 1), &hi)) return 2;
    if (dim_known_ge(s->m, lo, hi)) return 0;
    return dim_is_const(s->m, dim_sub(s->m, hi, lo), &n) && n == 1 ? 1 : 2;
}

/* Carried value j of `o` (operand, argument and yield at their offsets) is yielded as it came: it is its start. */
static void carry_through(Simplify *s, TdlOp o, uint32_t operand, uint32_t arg, uint32_t yield, uint32_t result) {
    uint16_t body = ir_op(s->f, o)->nregions - 1u;
    TdlVal a = arg_of(s, o, body, arg), start = sm_operand(s, o, operand);
    if (yielded(s, o, body, yield).id != a.id || sm_get(s, a).id != a.id) return;
    for (uint16_t i = 0; i <= body; i++) sm_set(s, arg_of(s, o, i, arg), start);
    sm_set(s, ir_result(s->f, o, result), start);
}

static bool for_before(Simplify *s, TdlOp o, TdlOp *next) {
    TdlFunc *f = s->f;
    uint32_t exit = op_int(f, o, "exit", 0) != 0, n = ir_op(f, o)->noperands - 2u;
    int t = trips(s, o);
    TdlBuilder b = ir_before(f, o);
    if (!yield_of(s, o, 0).id) return false;
    if (t == 0) {
        if (exit) sm_set(s, ir_result(f, o, 0), ir_const_int(&b, EL_I64, 0));
        for (uint32_t i = 0; i < n; i++) sm_set(s, ir_result(f, o, i + exit), sm_operand(s, o, i + 2));
        *next = ir_op(f, o)->next;
        ir_remove(f, o);
        s->changed = true;
        return true;
    }
    if (t == 1 && can_splice(s, ir_op(f, o)->regions[0])) {
        if (exit) sm_set(s, ir_result(f, o, 0), ir_const_int(&b, EL_I64, 1));
        sm_set(s, arg_of(s, o, 0, 0), sm_operand(s, o, 0));
        for (uint32_t i = 0; i < n; i++) sm_set(s, arg_of(s, o, 0, i + 1), sm_operand(s, o, i + 2));
        splice(s, o, 0, exit, exit, next);
        return true;
    }
    for (uint32_t i = 0; i < n; i++) carry_through(s, o, i + 2, i + 1, i + exit, i + exit);
    return false;
}

static bool while_after(Simplify *s, TdlOp o, TdlOp *next) {
    SmConst c;
    if (!sm_const(s, yielded(s, o, 0, 0), &c) || c.i) return false;
    for (uint16_t i = 0; i < ir_op(s->f, o)->nresults; i++) sm_set(s, ir_result(s->f, o, i), sm_operand(s, o, i));
    *next = ir_op(s->f, o)->next;
    for (TdlOp p = ir_region(s->f, ir_op(s->f, o)->regions[0])->first; p.id; p = ir_op(s->f, p)->next)
        if (!(op_info(ir_op(s->f, p)->code)->flags & OPF_TERMINATOR) && !ir_op_is_pure(s->f, p)) return true;
    ir_remove(s->f, o);
    s->changed = true;
    return true;
}

/* ---- map ---- */

/* map over the extents of x of x's own elements is x. */
static void map_after(Simplify *s, TdlOp o) {
    uint32_t n = ir_op(s->f, o)->noperands;
    for (uint16_t i = 0; i < ir_op(s->f, o)->nresults; i++) {
        TdlVal r = ir_result(s->f, o, i);
        TdlOp d = sm_def(s, yielded(s, o, 0, i), OP_INDEX);
        if (!d.id || ir_op(s->f, d)->noperands != n + 1 || sm_get(s, r).id != r.id) continue;
        TdlVal x = sm_operand(s, d, 0);
        bool own = ty_eq(ir_type(s->f, x), ir_type(s->f, r)) && !ir_defined_in(s->f, x, ir_op(s->f, o)->regions[0]);
        for (uint32_t k = 0; own && k < n; k++) own = sm_operand(s, d, k + 1).id == arg_of(s, o, 0, k).id;
        if (own) sm_set(s, r, x);
    }
}

/* ---- withacc ---- */

static bool withacc_before(Simplify *s, TdlOp o, TdlOp *next) {
    if (ir_op(s->f, o)->noperands || !can_splice(s, ir_op(s->f, o)->regions[0])) return false;
    splice(s, o, 0, 0, 0, next);
    return true;
}

/* ---- checkpoint ---- */

/* Once nothing is left to derive, only what is computed again stays apart: it is not to become what was computed before. */
static bool checkpoint_before(Simplify *s, TdlOp o, TdlOp *next) {
    if (!s->derived || op_int(s->f, o, "again", 0) || !can_splice(s, ir_op(s->f, o)->regions[0])) return false;
    splice(s, o, 0, 0, 0, next);
    return true;
}

bool sm_region_before(Simplify *s, TdlOp o, TdlOp *next) {
    switch (ir_op(s->f, o)->code) {
    case OP_IF: return if_before(s, o, next);
    case OP_FOR: return for_before(s, o, next);
    case OP_WITHACC: return withacc_before(s, o, next);
    case OP_CHECKPOINT: return checkpoint_before(s, o, next);
    case OP_WHILE:
        for (uint32_t i = 0; i < ir_op(s->f, o)->noperands; i++) carry_through(s, o, i, i, i, i);
        return false;
    default: return false;
    }
}

bool sm_region_after(Simplify *s, TdlOp o, TdlOp *next) {
    switch (ir_op(s->f, o)->code) {
    case OP_IF: return if_after(s, o), false;
    case OP_MAP: return map_after(s, o), false;
    case OP_WHILE: return while_after(s, o, next);
    default: return false;
    }
}
