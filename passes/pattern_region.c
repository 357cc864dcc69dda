/* Sets through regions: these stay, and yield sets as further values. A region that adds to accumulators hands their sets
 * through as well; a `map` or `reduce` that does so, and the body of a `reduce`, are done again as `for`s that carry them. */
#include "passes/pattern.h"

static TdlRegion region_at(const Pat *p, TdlOp o, uint32_t i) { return ir_op(p->f, o)->regions[i]; }
static TdlVal operand(const Pat *p, TdlOp o, uint32_t i) { return ir_op(p->f, o)->operands[i]; }
static TdlVal arg_at(const Pat *p, TdlRegion r, uint32_t i) { return ir_region(p->f, r)->args.p[i]; }

static TdlBuilder before(Pat *p, TdlOp o) {
    TdlBuilder b = ir_before(p->f, o);
    b.grad_fn = SYM_NONE;
    return b;
}

/* Accumulators from outside of region op `top` to which something in r adds what has sets. */
static void find_accs(const Pat *p, TdlOp top, TdlRegion r, TdlVals *accs) {
    IR_FOREACH_OP(p->f, r, o) {
        const TdlOpData *d = ir_op(p->f, o);
        for (uint32_t i = 0; i < d->nregions; i++) find_accs(p, top, d->regions[i], accs);
        d = ir_op(p->f, o);
        if (d->code != OP_ACCADD || !adj_active(&p->act, d->operands[1])) continue;
        bool inside = false;
        for (uint32_t i = 0; i < ir_op(p->f, top)->nregions; i++) inside |= ir_defined_in(p->f, d->operands[0], region_at(p, top, i));
        for (uint32_t i = 0; i < accs->n; i++) inside |= accs->p[i].id == d->operands[0].id;
        if (!inside) VEC_PUSH(p->arena, *accs, d->operands[0]);
    }
}

static TdlVals accs_of(const Pat *p, TdlOp o) {
    TdlVals accs = {0};
    for (uint32_t i = 0; i < ir_op(p->f, o)->nregions; i++) find_accs(p, o, region_at(p, o, i), &accs);
    return accs;
}

/* The set of v as a further operand of the terminator of r. */
static void yield_set(Pat *p, TdlRegion r, TdlVal v) {
    TdlOp end = ir_terminator(p->f, r);
    TdlBuilder saved = p->b;
    p->b = before(p, end);
    ir_add_operand(p->f, end, pat_set(p, v));
    p->b = saved;
}

static TdlVal further_result(Pat *p, TdlOp o, TdlVal of) {
    return ir_add_result(p->f, o, pat_type(p, ir_type(p->f, of)));
}

static bool has_sets(Pat *p, TdlVal v) { return adj_active(&p->act, v) && pat_type(p, ir_type(p->f, v)).id; }

/* ---- map, if and checkpoint ---- */

static void branches(Pat *p, TdlOp o, const TdlVals *accs) {
    uint32_t nregions = ir_op(p->f, o)->nregions, nresults = ir_op(p->f, o)->nresults;
    TdlVals at = {0};
    for (uint32_t i = 0; i < accs->n; i++) VEC_PUSH(p->arena, at, pat_set(p, accs->p[i]));
    for (uint32_t k = 0; k < nregions; k++) {
        TdlRegion r = region_at(p, o, k);
        for (uint32_t i = 0; i < accs->n; i++) pat_put(p, accs->p[i], at.p[i]);
        pat_region(p, r);
        for (uint32_t i = 0; i < nresults && !p->failed; i++)
            if (has_sets(p, ir_result(p->f, o, i))) yield_set(p, r, operand(p, ir_terminator(p->f, r), i));
        for (uint32_t i = 0; i < accs->n && !p->failed; i++) yield_set(p, r, accs->p[i]);
    }
    for (uint32_t i = 0; i < nresults; i++)
        if (has_sets(p, ir_result(p->f, o, i))) pat_put(p, ir_result(p->f, o, i), further_result(p, o, ir_result(p->f, o, i)));
    for (uint32_t i = 0; i < accs->n; i++) pat_put(p, accs->p[i], further_result(p, o, accs->p[i]));
}

/* Both branches count: each is followed in front of the `if`, and the sets are joined. */
static void both_branches(Pat *p, TdlOp o) {
    TdlVals y[2];
    for (uint32_t k = 0; k < 2; k++) {
        TdlOp prev = ir_op(p->f, o)->prev;
        y[k] = pat_clone_branch(p, o, k);
        pat_look_again(p, ir_op(p->f, o)->parent);
        pat_ops(p, prev.id ? ir_op(p->f, prev)->next : ir_region(p->f, ir_op(p->f, o)->parent)->first, o);
    }
    p->b = before(p, o);
    for (uint32_t i = 0; i < ir_op(p->f, o)->nresults && !p->failed; i++) {
        TdlVal z = ir_result(p->f, o, i);
        if (!has_sets(p, z)) continue;
        if (ty_is_scalar(p->m, ir_type(p->f, z)))
            for (uint32_t k = 0; k < 2; k++) pat_join(p, z, y[k].p[i]);
        else if (pat_has(p, y[0].p[i]) && pat_has(p, y[1].p[i]))
            pat_put(p, z, pat_union(p, pat_set(p, y[0].p[i]), pat_set(p, y[1].p[i])));
        else
            pat_put(p, z, pat_set(p, pat_has(p, y[0].p[i]) ? y[0].p[i] : y[1].p[i]));
    }
}

static void if_rule(Pat *p, TdlOp o, const TdlVals *accs) {
    if (pat_both(p, o)) {
        both_branches(p, o);
        return;
    }
    if (pat_floats(p, operand(p, o, 0))) pat_path(p, o);
    p->b = before(p, o);
    branches(p, o, accs);
}

/* ---- map that accumulates, reduce: `for`s over the same indices ---- */

/* Clones the body to where the builder is, for indices idx, and follows it; what it yields. */
static TdlVals body_again(Pat *p, TdlOp o, const TdlVal *idx) {
    TdlRegion body = region_at(p, o, 0), here = p->b.region;
    TdlValMap map = valmap_new(p->arena, p->f);
    TdlDimMap dims = {.arena = p->arena};
    TdlVals out = {0};
    for (uint32_t i = 0; i < ir_region(p->f, body)->args.n; i++) valmap_set(&map, arg_at(p, body, i), idx[i]);
    TdlOp last = ir_region(p->f, here)->last;
    ir_clone_region_body(&p->b, p->f, body, &map, &dims, &out);
    TdlOp first = last.id ? ir_op(p->f, last)->next : ir_region(p->f, here)->first;
    pat_look_again(p, here);
    pat_ops(p, first, (TdlOp){0});
    p->b = ir_at_end(p->f, here, p->b.span);
    return out;
}

/* c ? a : b, where only one of them is computed, of a and the sets that `b` has. */
static TdlVal where(Pat *p, TdlVal c, TdlVal a, TdlVal b) {
    TdlType t = ir_type(p->f, b);
    if (ty_is_scalar(p->m, t)) return ir_emit1(&p->b, OP_SELECT, (TdlVal[]){c, a, b}, 3);
    TdlOp o = ir_emit(&p->b, OP_IF, &c, 1, &t, 1);
    for (int i = 0; i < 2; i++) {
        TdlBuilder in = ir_at_end(p->f, region_at(p, o, (uint32_t)i), p->b.span);
        ir_emit(&in, OP_YIELD, i ? &b : &a, 1, NULL, 0);
    }
    return ir_result(p->f, o, 0);
}

/* The sets of what a reduction goes over, joined. A filter on floats lets all count. */
static TdlVal joined(Pat *p, TdlVal all, const TdlVals *y) {
    TdlVal term = pat_set(p, y->p[0]), both = pat_union(p, all, term);
    return y->n > 1 && !pat_floats(p, y->p[1]) ? where(p, y->p[1], both, all) : both;
}

static void nest_rule(Pat *p, TdlOp o, const TdlVals *accs) {
    const TdlOpData d = *ir_op(p->f, o);
    bool reduce = d.code == OP_REDUCE;
    TdlVals init = {0}, which = {0};
    for (uint32_t i = 0; i < d.nresults; i++) {
        if (!has_sets(p, d.results[i])) continue;
        VEC_PUSH(p->arena, which, d.results[i]);
        VEC_PUSH(p->arena, init, pat_empty(p, ir_type(p->f, d.results[i])));
    }
    for (uint32_t i = 0; i < accs->n; i++) VEC_PUSH(p->arena, init, pat_set(p, accs->p[i]));
    for (uint32_t i = 0; i < d.noperands; i++)
        if (pat_floats(p, d.operands[i])) pat_path(p, o);
    PatNest n = pat_nest_open(p, d.operands, d.noperands, init.p, init.n);
    for (uint32_t i = 0; i < accs->n; i++) pat_put(p, accs->p[i], n.carried[which.n + i]);
    TdlVals y = body_again(p, o, n.idx);
    TdlVal *next = ARENA_ARRAY(p->arena, TdlVal, init.n + 1);
    for (uint32_t i = 0; i < which.n && !p->failed; i++) {
        next[i] = reduce ? joined(p, n.carried[i], &y)
                         : ir_update(&p->b, n.carried[i], pat_set(p, y.p[ir_val(p->f, which.p[i])->index]), n.idx, n.rank);
        if (!reduce && n.rank) op_set_int(p->f, ir_val(p->f, next[i])->def, "inbounds", 1);
    }
    for (uint32_t i = 0; i < accs->n; i++) next[which.n + i] = pat_set(p, accs->p[i]);
    if (p->failed) return;
    pat_nest_close(p, &n, next);
    for (uint32_t i = 0; i < which.n; i++) pat_put(p, which.p[i], next[i]);
    for (uint32_t i = 0; i < accs->n; i++) pat_put(p, accs->p[i], next[which.n + i]);
}

/* ---- loops ---- */

static bool run_by_floats(const Pat *p, TdlOp o) {
    const TdlOpData *d = ir_op(p->f, o);
    TdlOp y = ir_terminator(p->f, d->regions[0]);
    if (d->code == OP_WHILE) return pat_floats(p, operand(p, y, 0));
    return pat_floats(p, d->operands[0]) || pat_floats(p, d->operands[1]) ||
           (op_int(p->f, o, "exit", 0) && pat_floats(p, operand(p, y, 0)));
}

/* A further carried value that starts as `init`, for v: its argument in the body. */
static TdlVal carry(Pat *p, TdlOp o, TdlVal init) {
    TdlVal arg = {0};
    ir_add_operand(p->f, o, init);
    for (uint32_t k = 0; k < ir_op(p->f, o)->nregions; k++)
        arg = ir_region_arg(p->f, region_at(p, o, k), ir_type(p->f, init), SYM_NONE);
    return arg;
}

/* Carried values: `inits` first operand, `lead` first yield and result; the last of the `args` of each region. */
static void loop_rule(Pat *p, TdlOp o, const TdlVals *accs) {
    bool is_for = ir_op(p->f, o)->code == OP_FOR;
    uint32_t inits = is_for ? 2 : 0, lead = is_for && op_int(p->f, o, "exit", 0);
    uint32_t n = ir_op(p->f, o)->noperands - inits;
    TdlRegion body = region_at(p, o, is_for ? 0 : 1);
    if (run_by_floats(p, o)) pat_path(p, o);
    p->b = before(p, o);
    for (uint32_t i = 0; i < n; i++) {
        TdlVal arg = arg_at(p, body, i + (is_for ? 1 : 0));
        if (has_sets(p, arg)) pat_put(p, arg, carry(p, o, pat_set(p, operand(p, o, inits + i))));
    }
    for (uint32_t i = 0; i < accs->n; i++) pat_put(p, accs->p[i], carry(p, o, pat_set(p, accs->p[i])));
    pat_region(p, body);
    for (uint32_t i = 0; i < n && !p->failed; i++) {
        if (!has_sets(p, arg_at(p, body, i + (is_for ? 1 : 0)))) continue;
        yield_set(p, body, operand(p, ir_terminator(p->f, body), lead + i));
        TdlVal z = ir_result(p->f, o, lead + i);
        pat_put(p, z, further_result(p, o, z));
    }
    for (uint32_t i = 0; i < accs->n && !p->failed; i++) {
        yield_set(p, body, accs->p[i]);
        pat_put(p, accs->p[i], further_result(p, o, accs->p[i]));
    }
}

/* The body runs once: the sets of the accumulators, its own and those around it, are what they are at its end. */
static void withacc_rule(Pat *p, TdlOp o, const TdlVals *accs) {
    const TdlOpData d = *ir_op(p->f, o);
    TdlRegion body = d.regions[0];
    p->b = before(p, o);
    for (uint32_t i = 0; i < d.noperands; i++)
        if (adj_active(&p->act, arg_at(p, body, i))) pat_put(p, arg_at(p, body, i), pat_set(p, d.operands[i]));
    pat_region(p, body);
    for (uint32_t i = 0; i < d.nresults && !p->failed; i++) {
        if (!has_sets(p, d.results[i])) continue;
        bool acc = i < d.noperands;
        yield_set(p, body, acc ? arg_at(p, body, i) : operand(p, ir_terminator(p->f, body), i - d.noperands));
        pat_put(p, d.results[i], further_result(p, o, d.results[i]));
    }
    for (uint32_t i = 0; i < accs->n && !p->failed; i++) {
        yield_set(p, body, accs->p[i]);
        pat_put(p, accs->p[i], further_result(p, o, accs->p[i]));
    }
}

/* ---- the walk ---- */

void pat_region_op(Pat *p, TdlOp o) {
    TdlVals accs = accs_of(p, o);
    switch (ir_op(p->f, o)->code) {
    case OP_IF: if_rule(p, o, &accs); break;
    case OP_FOR: case OP_WHILE: loop_rule(p, o, &accs); break;
    case OP_WITHACC: withacc_rule(p, o, &accs); break;
    case OP_REDUCE: nest_rule(p, o, &accs); break;
    default:
        if (ir_op(p->f, o)->code == OP_MAP && accs.n) {
            nest_rule(p, o, &accs);
        } else { /* a checkpoint's body runs once */
            p->b = before(p, o);
            branches(p, o, &accs);
        }
    }
}

static bool concerns(Pat *p, TdlOp o) {
    const TdlOpData *d = ir_op(p->f, o);
    if (op_info(d->code)->flags & OPF_TERMINATOR) return false;
    if (d->code == OP_ACCADD) return adj_active(&p->act, d->operands[1]);
    bool any = d->nregions && accs_of(p, o).n;
    for (uint32_t i = 0; i < d->nresults; i++) any |= adj_active(&p->act, d->results[i]);
    return any;
}

void pat_ops(Pat *p, TdlOp first, TdlOp end) {
    TdlBuilder saved = p->b;
    for (TdlOp o = first; o.id && o.id != end.id && !p->failed;) {
        TdlOp next = ir_op(p->f, o)->next; /* sets are put in between */
        if (concerns(p, o)) {
            p->b = ir_after(p->f, o);
            p->b.grad_fn = SYM_NONE;
            if (ir_op(p->f, o)->nregions) pat_region_op(p, o);
            else pat_op(p, o);
        }
        o = next;
    }
    p->b = saved;
}

void pat_region(Pat *p, TdlRegion r) { pat_ops(p, ir_region(p->f, r)->first, (TdlOp){0}); }
