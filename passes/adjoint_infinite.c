/* Which values may be infinite or NaN by more than an overflow: those with an operation on their way from the parameters
 * that has a pole, or is not defined everywhere. A cotangent that is 0 because nothing read its value must not be multiplied
 * by one of these (adjoint_mask.c). Elements of tensors are one; a value that a loop carries is infinite when it becomes so
 * in any iteration. Cost: each value once, of a loop's body at most once for each carried value. */
#include "passes/adjoint.h"

enum { UNKNOWN, NO, YES };

static uint8_t state(const Adj *a, TdlVal v) { return v.id < a->infinite.n ? a->infinite.p[v.id] : UNKNOWN; }

static void set(Adj *a, TdlVal v, bool yes) {
    while (a->infinite.n <= v.id) VEC_PUSH(a->arena, a->infinite, UNKNOWN);
    if (!a->infinite.p[v.id]) VEC_PUSH(a->arena, a->known, v);
    a->infinite.p[v.id] = yes ? YES : NO;
}

bool adj_is_safe_divisor(const Adj *a, TdlVal v) {
    TdlOp o = adj_def(a, v);
    if (o.id && ir_op(a->f, o)->code == OP_BROADCAST) o = adj_def(a, adj_arg(a, o, 0));
    if (!o.id) return false;
    if (ir_op(a->f, o)->code == OP_CAST) return !ty_is_float(a->m, adj_type(a, adj_arg(a, o, 0)));
    return ir_op(a->f, o)->code == OP_CONST && op_attr(a->f, o, "value")->f != 0;
}

/* Integers and booleans. */
static bool is_finite_kind(const Adj *a, TdlVal v) {
    TdlType t = adj_type(a, v);
    return ty_kind(a->m, t) == TY_TENSOR && !ty_is_float(a->m, t);
}

static bool has_pole(Adj *a, TdlOp o) {
    switch (ir_op(a->f, o)->code) {
    case OP_LOG: case OP_LOG1P: case OP_POW: case OP_SQRT: case OP_ASIN: case OP_ACOS: case OP_ACOSH: case OP_ATANH: case OP_LGAMMA:
    case OP_POLYGAMMA: case OP_CALL: return true;
    case OP_DIV: case OP_MOD: return !adj_is_safe_divisor(a, adj_arg(a, o, 1));
    default: return false;
    }
}

/* The carried values of loop o, and its results: the least set that holds what starts infinite and what is yielded so. */
static void settle_loop(Adj *a, TdlOp o) {
    bool is_while = ir_op(a->f, o)->code == OP_WHILE;
    uint32_t inits = is_while ? 0 : 2, args = is_while ? 0 : 1, lead = !is_while && op_int(a->f, o, "exit", 0);
    uint32_t n = ir_op(a->f, o)->noperands - inits;
    TdlRegion body = ir_op(a->f, o)->regions[is_while];
    TdlOp end = ir_terminator(a->f, body);
    for (uint32_t i = 0; i < n; i++) set(a, ir_region(a->f, body)->args.p[args + i], adj_may_be_infinite(a, adj_arg(a, o, inits + i)));
    uint32_t mark = a->known.n;
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < n; i++) {
            TdlVal arg = ir_region(a->f, body)->args.p[args + i];
            if (state(a, arg) == YES || !adj_may_be_infinite(a, adj_arg(a, end, lead + i))) continue;
            set(a, arg, true);
            again = true;
        }
        for (; again && a->known.n > mark; a->known.n--) a->infinite.p[VEC_LAST(a->known).id] = UNKNOWN; /* computed from less */
    }
    for (uint32_t i = 0; i < n; i++) set(a, adj_res(a, o, lead + i), state(a, ir_region(a->f, body)->args.p[args + i]) == YES);
}

/* Settles what o needs that is not known: operations before it in the order of the text, so that the stack holds regions
 * alone, not the length of a program. */
static void settle_before(Adj *a, TdlVal v) {
    TDL_VEC(TdlVal) work = {0};
    VEC_PUSH(a->arena, work, v);
    while (work.n) {
        TdlVal x = VEC_LAST(work);
        TdlOp o = adj_def(a, x);
        bool straight = o.id && !ir_op(a->f, o)->nregions && !has_pole(a, o);
        uint32_t before = work.n;
        for (uint32_t i = 0; straight && !state(a, x) && i < ir_op(a->f, o)->noperands; i++) {
            TdlVal in = adj_arg(a, o, i);
            if (!state(a, in) && adj_def(a, in).id && !is_finite_kind(a, in)) VEC_PUSH(a->arena, work, in);
        }
        if (work.n > before) continue;
        work.n--;
        if (x.id != v.id) adj_may_be_infinite(a, x);
    }
}

static bool result(Adj *a, TdlOp o) {
    const TdlOpData *d = ir_op(a->f, o);
    if (has_pole(a, o)) return true;
    for (uint32_t i = 0; i < d->noperands; i++)
        if (adj_may_be_infinite(a, d->operands[i])) return true;
    for (uint32_t i = 0; i < d->nregions; i++) {
        TdlOp end = ir_terminator(a->f, d->regions[i]);
        for (uint32_t k = 0; end.id && k < ir_op(a->f, end)->noperands; k++)
            if (adj_may_be_infinite(a, adj_arg(a, end, k))) return true;
    }
    return false;
}

bool adj_may_be_infinite(Adj *a, TdlVal v) {
    if (is_finite_kind(a, v)) return false;
    if (state(a, v)) return state(a, v) == YES;
    settle_before(a, v);
    TdlOp def = adj_def(a, v), o = def.id ? def : ir_region(a->f, ir_region_of(a->f, v))->parent;
    bool loop = o.id && (ir_op(a->f, o)->code == OP_FOR || ir_op(a->f, o)->code == OP_WHILE);
    if (loop) settle_loop(a, o);
    else set(a, v, def.id && result(a, o));
    return state(a, v) != NO;
}
