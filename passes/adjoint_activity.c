/* Activity: which values depend, through differentiable operations, on what is differentiated for. Forward, over
 * regions, to a fixpoint around loops (a carried value is active once one iteration makes it so). */
#include "passes/adjoint.h"

static bool mark(Adj *a, TdlVal v) {
    TdlType t = adj_type(a, v);
    if (adj_active(a, v) || (ty_kind(a->m, t) != TY_STACK && !ty_is_float(a->m, t))) return false;
    adj_set_active(a, v, true);
    return true;
}

static bool mark_if(Adj *a, TdlVal v, TdlVal from) { return adj_active(a, from) && mark(a, v); }

static TdlRegion region_at(const Adj *a, TdlOp o, uint32_t i) { return ir_op(a->f, o)->regions[i]; }

static TdlVal yielded(const Adj *a, TdlRegion r, uint32_t i) {
    return ir_op(a->f, ir_terminator(a->f, r))->operands[i];
}

static TdlVal region_arg(const Adj *a, TdlRegion r, uint32_t i) { return ir_region(a->f, r)->args.p[i]; }

/* Carried values: `inits` first operand, `args` first region argument, `yields` first yield, `results` first result. */
static bool loop(Adj *a, TdlOp o, TdlRegion body, uint32_t inits, uint32_t args, uint32_t yields, uint32_t results) {
    uint32_t n = ir_op(a->f, o)->noperands - inits;
    bool any = false, again = true;
    for (uint32_t i = 0; i < n; i++) any |= mark_if(a, region_arg(a, body, args + i), adj_arg(a, o, inits + i));
    while (again) {
        any |= adj_activity(a, body);
        again = false;
        for (uint32_t i = 0; i < n; i++)
            again |= mark_if(a, region_arg(a, body, args + i), yielded(a, body, yields + i));
        any |= again;
    }
    for (uint32_t i = 0; i < n; i++) any |= mark_if(a, adj_res(a, o, results + i), region_arg(a, body, args + i));
    return any;
}

static bool withacc(Adj *a, TdlOp o) {
    TdlRegion r = region_at(a, o, 0);
    uint32_t n = ir_op(a->f, o)->noperands, all = ir_op(a->f, o)->nresults;
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        TdlVal acc = region_arg(a, r, i);
        if (adj_active(a, adj_arg(a, o, i)) && !adj_active(a, acc)) adj_set_active(a, acc, any = true);
    }
    any |= adj_activity(a, r);
    for (uint32_t i = 0; i < n; i++) any |= mark_if(a, adj_res(a, o, i), region_arg(a, r, i));
    for (uint32_t i = n; i < all; i++) any |= mark_if(a, adj_res(a, o, i), yielded(a, r, i - n));
    return any;
}

static bool bodies(Adj *a, TdlOp o) {
    bool any = false;
    for (uint32_t k = 0; k < ir_op(a->f, o)->nregions; k++) {
        TdlRegion r = region_at(a, o, k);
        any |= adj_activity(a, r);
        for (uint32_t i = 0; i < ir_op(a->f, o)->nresults; i++) any |= mark_if(a, adj_res(a, o, i), yielded(a, r, i));
    }
    return any;
}

static bool visit(Adj *a, TdlOp o) {
    const TdlOpData *d = ir_op(a->f, o);
    switch (d->code) {
    case OP_MAP: case OP_REDUCE: case OP_IF: case OP_CHECKPOINT: return bodies(a, o);
    case OP_FOR: {
        uint32_t count = op_int(a->f, o, "exit", 0) != 0;
        return loop(a, o, d->regions[0], 2, 1, count, count);
    }
    case OP_WHILE: return loop(a, o, d->regions[1], 0, 0, 0, 0);
    case OP_WITHACC: return withacc(a, o);
    case OP_ACCADD:
        if (!adj_active(a, d->operands[1]) || adj_active(a, d->operands[0])) return false;
        adj_set_active(a, d->operands[0], true);
        return true;
    case OP_STACKNEW: return a->forward && mark(a, d->results[0]); /* tangents of what is pushed go to one of their own */
    case OP_BACKWARD: return false;           /* a gradient is a constant to later ones */
    case OP_LEAF: return mark_if(a, d->results[0], d->operands[d->noperands - 1]);
    default: break;
    }
    if (op_info(d->code)->deriv == DERIV_ZERO) return false;
    bool from = false, any = false;
    for (uint32_t i = 0; i < d->noperands; i++) from |= adj_active(a, d->operands[i]);
    if (!from) return false;
    for (uint32_t i = 0; i < ir_op(a->f, o)->nresults; i++) any |= mark(a, adj_res(a, o, i));
    return any;
}

bool adj_activity(Adj *a, TdlRegion r) {
    bool any = false;
    IR_FOREACH_OP(a->f, r, o) any |= visit(a, o);
    return any;
}
