/* What differs from run to run though dimensions and integer arguments are the same: values that depend on floats. A
 * pattern is to hold whatever these are. Both branches of an `if` on them count, where a branch ends for certain and can
 * be made safe to run when it would not be: an index out of range then reads, and changes, nothing. Else the pattern is
 * that of the path taken. */
#include "passes/pattern.h"

#include <string.h>

bool pat_floats(const Pat *p, TdlVal v) { return v.id < p->floats.n && p->floats.p[v.id]; }

void pat_set_floats(Pat *p, TdlVal v) {
    while (p->floats.n <= v.id) VEC_PUSH(p->arena, p->floats, 0);
    p->floats.p[v.id] = 1;
}

static bool mark(Pat *p, TdlVal v, bool on) {
    if (!on || pat_floats(p, v)) return false;
    pat_set_floats(p, v);
    return true;
}

static TdlRegion region_at(const Pat *p, TdlOp o, uint32_t i) { return ir_op(p->f, o)->regions[i]; }

static TdlVal yielded(const Pat *p, TdlRegion r, uint32_t i) { return ir_op(p->f, ir_terminator(p->f, r))->operands[i]; }

/* ---- finding them: forward, to a fixpoint around loops ---- */

static bool loop_floats(Pat *p, TdlOp o) {
    bool is_for = ir_op(p->f, o)->code == OP_FOR;
    uint32_t inits = is_for ? 2 : 0, first = is_for ? 1 : 0, lead = is_for && op_int(p->f, o, "exit", 0);
    uint32_t n = ir_op(p->f, o)->noperands - inits, nregions = ir_op(p->f, o)->nregions;
    TdlRegion body = region_at(p, o, nregions - 1);
    bool any = false, again = true;
    bool bounds = is_for && (pat_floats(p, ir_op(p->f, o)->operands[0]) || pat_floats(p, ir_op(p->f, o)->operands[1]));
    if (is_for) any |= mark(p, ir_region(p->f, body)->args.p[0], bounds);
    while (again) {
        again = false;
        for (uint32_t i = 0; i < n; i++) {
            bool on = pat_floats(p, ir_op(p->f, o)->operands[inits + i]) || pat_floats(p, yielded(p, body, lead + i));
            for (uint32_t k = 0; k < nregions; k++) again |= mark(p, ir_region(p->f, region_at(p, o, k))->args.p[first + i], on);
        }
        for (uint32_t k = 0; k < nregions; k++) again |= pat_find_floats(p, region_at(p, o, k));
        any |= again;
    }
    bool ends = bounds || (lead && pat_floats(p, yielded(p, body, 0))) || (!is_for && pat_floats(p, yielded(p, region_at(p, o, 0), 0)));
    if (lead) any |= mark(p, ir_result(p->f, o, 0), ends);
    for (uint32_t i = 0; i < n; i++)
        any |= mark(p, ir_result(p->f, o, lead + i), ends || pat_floats(p, ir_region(p->f, body)->args.p[first + i]));
    return any;
}

static bool visit(Pat *p, TdlOp o) {
    const TdlOpData d = *ir_op(p->f, o);
    bool any = false, from = false;
    if (d.code == OP_FOR || d.code == OP_WHILE) return loop_floats(p, o);
    for (uint32_t i = 0; i < d.noperands; i++) from |= pat_floats(p, d.operands[i]);
    for (uint32_t k = 0; k < d.nregions; k++) any |= pat_find_floats(p, d.regions[k]);
    for (uint32_t i = 0; i < d.nresults; i++) {
        bool on = from;
        if (d.code == OP_WITHACC) {
            on = i < d.noperands || pat_floats(p, yielded(p, d.regions[0], i - d.noperands));
        } else if (d.code == OP_REDUCE) {
            for (uint32_t k = 0; k < ir_op(p->f, ir_terminator(p->f, d.regions[0]))->noperands; k++)
                on |= pat_floats(p, yielded(p, d.regions[0], k));
        } else {
            for (uint32_t k = 0; k < d.nregions; k++) on |= pat_floats(p, yielded(p, d.regions[k], i));
        }
        any |= mark(p, d.results[i], on);
    }
    return any;
}

bool pat_find_floats(Pat *p, TdlRegion r) {
    bool any = false;
    IR_FOREACH_OP(p->f, r, o)
        if (!(op_info(ir_op(p->f, o)->code)->flags & OPF_TERMINATOR)) any |= visit(p, o);
    return any;
}

void pat_look_again(Pat *p, TdlRegion r) {
    adj_activity(&p->act, r);
    pat_find_floats(p, r);
}

/* ---- checks and prints ---- */

static void strip(Pat *p, TdlRegion r, bool all) {
    IR_FOREACH_OP(p->f, r, o) {
        const TdlOpData *d = ir_op(p->f, o);
        bool floats = all;
        for (uint32_t i = 0; i < d->noperands; i++) floats |= pat_floats(p, d->operands[i]);
        if (d->code == OP_PRINT || (d->code == OP_ASSERT && floats)) {
            ir_remove(p->f, o);
            continue;
        }
        bool inner = all || (d->code == OP_IF && pat_floats(p, d->operands[0])) ||
                     (d->code == OP_WHILE && pat_floats(p, yielded(p, d->regions[0], 0)));
        for (uint32_t i = 0; i < ir_op(p->f, o)->nregions; i++) strip(p, region_at(p, o, i), inner);
    }
}

void pat_strip(Pat *p, TdlRegion r) { strip(p, r, false); }

void pat_path(Pat *p, TdlOp o) {
    if (!p->kept) return;
    diag_warning(p->m->diags, WARN_PATTERN_VALUES, ir_op(p->f, o)->span,
                 "sparse: the pattern depends on float values here, and is that of the values it was made for: make it anew when they change");
}

/* ---- both branches ---- */

/* Ends for certain, whatever the values: no `while`, no early exit, no recursion. */
static bool bounded(const Pat *p, TdlRegion r) {
    IR_FOREACH_OP(p->f, r, o) {
        const TdlOpData *d = ir_op(p->f, o);
        if (d->code == OP_WHILE || (d->code == OP_FOR && op_int(p->f, o, "exit", 0))) return false;
        if (d->code == OP_STACKNEW || d->code == OP_PUSH || d->code == OP_POP) return false; /* linear: once on a path */
        if (d->code == OP_CALL && !ir_func_find(p->m, intern(p->m->names, op_str(p->f, o, "callee")))->symbol) return false;
        for (uint32_t i = 0; i < d->nregions; i++)
            if (!bounded(p, d->regions[i])) return false;
    }
    return true;
}

bool pat_both(const Pat *p, TdlOp o) {
    for (uint32_t i = 0; i < p->guards.n; i++)
        if (p->guards.p[i].id == o.id) return false;
    return pat_floats(p, ir_op(p->f, o)->operands[0]) && bounded(p, region_at(p, o, 0)) && bounded(p, region_at(p, o, 1));
}

/* Whether index operands of o, from `first` on, lie in the leading axes of its operand 0. */
static TdlVal in_range(Pat *p, TdlBuilder *b, TdlOp o, uint32_t first) {
    const TdlOpData d = *ir_op(p->f, o);
    const TdlDim *dims = ty_dims(p->m, ir_type(p->f, d.operands[0]));
    TdlVal zero = ir_const_int(b, EL_I64, 0), all = ir_const_int(b, EL_BOOL, 1);
    for (uint32_t i = first; i < d.noperands; i++) {
        TdlVal low = ir_binary(b, OP_GE, d.operands[i], zero), high = ir_binary(b, OP_LT, d.operands[i], ir_dim(b, dims[i - first]));
        all = ir_binary(b, OP_AND, all, ir_binary(b, OP_AND, low, high));
    }
    return all;
}

/* Puts o into an `if` on c, with `other` (0: no results) instead where it is false. */
static void guard(Pat *p, TdlOp o, TdlVal c, TdlVal other) {
    TdlBuilder b = ir_before(p->f, o);
    TdlVal z = other.id ? ir_result(p->f, o, 0) : (TdlVal){0};
    TdlType t = other.id ? ir_type(p->f, z) : (TdlType){0};
    TdlOp i = ir_emit(&b, OP_IF, &c, 1, &t, other.id ? 1 : 0);
    VEC_PUSH(p->arena, p->guards, i);
    if (other.id) ir_replace_uses(p->f, z, ir_result(p->f, i, 0));
    ir_move_to_end(p->f, o, region_at(p, i, 0));
    for (uint32_t k = 0; k < 2; k++) {
        TdlBuilder end = ir_at_end(p->f, region_at(p, i, k), b.span);
        ir_emit(&end, OP_YIELD, k ? &other : &z, other.id ? 1 : 0, NULL, 0);
    }
}

static TdlVal limited(TdlBuilder *b, TdlOpcode how, TdlVal x, TdlElem e, int64_t by) {
    return ir_binary(b, how, x, ir_const_int(b, e, by));
}

/* A divisor of 0 becomes 1, a negative exponent or size 0. */
static void harmless(Pat *p, TdlOp o, uint32_t at) {
    TdlBuilder b = ir_before(p->f, o);
    TdlVal x = ir_op(p->f, o)->operands[at];
    TdlElem e = ty_elem(p->m, ir_type(p->f, x));
    if (!el_is_int(e)) return;
    TdlOpcode code = ir_op(p->f, o)->code;
    if (code == OP_POW || code == OP_NEWDIM)
        x = limited(&b, OP_MAX, x, e, 0);
    else
        x = ir_emit1(&b, OP_SELECT, (TdlVal[]){limited(&b, OP_EQ, x, e, 0), ir_const_int(&b, e, 1), x}, 3);
    ir_op(p->f, o)->operands[at] = x;
}

/* A reduction that fails on nothing: 0 instead. */
static void nonempty(Pat *p, TdlOp o) {
    const char *kind = op_str(p->f, o, "kind");
    if (strcmp(kind, "max") && strcmp(kind, "min") && strcmp(kind, "argmax") && strcmp(kind, "argmin")) return;
    TdlBuilder b = ir_before(p->f, o);
    TdlVal some = ir_const_int(&b, EL_BOOL, 1);
    for (uint32_t i = 0; i < ir_op(p->f, o)->noperands; i++)
        some = ir_binary(&b, OP_AND, some, limited(&b, OP_GT, ir_op(p->f, o)->operands[i], EL_I64, 0));
    guard(p, o, some, ir_zeros(&b, ir_type(p->f, ir_result(p->f, o, 0))));
}

static void make_safe(Pat *p, TdlRegion r);

static void make_op_safe(Pat *p, TdlOp o) {
    const TdlOpData d = *ir_op(p->f, o);
    bool inbounds = op_int(p->f, o, "inbounds", 0) != 0;
    TdlBuilder b = ir_before(p->f, o);
    for (uint32_t i = 0; i < d.nregions; i++) make_safe(p, d.regions[i]);
    switch (d.code) {
    case OP_ASSERT: ir_remove(p->f, o); return;
    case OP_FLOORDIV: case OP_MOD: case OP_POW: harmless(p, o, 1); return;
    case OP_NEWDIM: harmless(p, o, 0); return;
    case OP_REDUCE: nonempty(p, o); return;
    case OP_INDEX: case OP_UPDATE: case OP_ACCADD: break;
    default: return;
    }
    uint32_t first = d.code == OP_INDEX ? 1 : 2;
    if (inbounds || d.noperands == first) return;
    TdlVal c = in_range(p, &b, o, first);
    TdlVal other = d.code == OP_INDEX ? ir_zeros(&b, ir_type(p->f, d.results[0])) : d.code == OP_UPDATE ? d.operands[0] : (TdlVal){0};
    op_set_int(p->f, o, "inbounds", 1);
    guard(p, o, c, other);
}

static void make_safe(Pat *p, TdlRegion r) {
    IR_FOREACH_OP(p->f, r, o) make_op_safe(p, o);
}

TdlVals pat_clone_branch(Pat *p, TdlOp o, uint32_t i) {
    TdlValMap map = valmap_new(p->arena, p->f);
    TdlDimMap dims = {.arena = p->arena};
    TdlVals out = {0};
    TdlBuilder b = ir_before(p->f, o);
    TdlOp prev = ir_op(p->f, o)->prev;
    ir_clone_region_body(&b, p->f, region_at(p, o, i), &map, &dims, &out);
    /* A `detach` of what is yielded: guards replace uses, and the list is none. */
    TdlOp hold = ir_emit(&b, OP_YIELD, out.p, out.n, NULL, 0);
    TdlOp first = prev.id ? ir_op(p->f, prev)->next : ir_region(p->f, ir_op(p->f, o)->parent)->first;
    for (TdlOp k = first; k.id != hold.id;) {
        TdlOp next = ir_op(p->f, k)->next;
        make_op_safe(p, k);
        k = next;
    }
    for (uint32_t k = 0; k < out.n; k++) out.p[k] = ir_op(p->f, hold)->operands[k];
    ir_remove(p->f, hold);
    return out;
}

/* ---- what one branch alone computes ---- */

static bool is_undef(const Pat *p, TdlVal v) {
    TdlOp def = ir_val(p->f, v)->def;
    return def.id && ir_op(p->f, def)->code == OP_UNDEF;
}

/* The reverse of a branch reads integers that the branch computed, from results of its `if` that are undefined where it
 * was not taken. They do not depend on the condition: they are computed whatever it is. */
static bool settle_if(Pat *p, TdlOp o) {
    bool any = false;
    for (uint32_t k = 0; k < 2; k++) {
        TdlVals made = {0};
        for (uint32_t i = 0; i < ir_op(p->f, o)->nresults; i++) {
            TdlVal z = ir_result(p->f, o, i);
            if (ty_kind(p->m, ir_type(p->f, z)) != TY_TENSOR || ty_is_float(p->m, ir_type(p->f, z))) continue;
            if (!is_undef(p, yielded(p, region_at(p, o, 1 - k), i)) || is_undef(p, yielded(p, region_at(p, o, k), i))) continue;
            if (!made.n) made = pat_clone_branch(p, o, k);
            ir_replace_uses(p->f, z, made.p[i]);
        }
        any |= made.n > 0;
    }
    return any;
}

static bool settle(Pat *p, TdlRegion r) {
    bool any = false;
    IR_FOREACH_OP(p->f, r, o) {
        for (uint32_t i = 0; i < ir_op(p->f, o)->nregions; i++) any |= settle(p, region_at(p, o, i));
        if (ir_op(p->f, o)->code == OP_IF && pat_both(p, o)) any |= settle_if(p, o);
    }
    return any;
}

static void find_floats(Pat *p) {
    p->floats.n = 0;
    for (uint32_t i = 0; i < p->f->params.n; i++)
        if (ty_is_float(p->m, p->f->params.p[i].type)) pat_set_floats(p, ir_region(p->f, p->f->body)->args.p[i]);
    pat_find_floats(p, p->f->body);
}

void pat_settle(Pat *p) {
    find_floats(p);
    if (settle(p, p->f->body)) find_floats(p);
}
