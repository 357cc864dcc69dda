/* Where a check goes that could not be proved.
 *
 *   %9 = map %n, %m {(%i, %j)                       %c = reduce %m {(%j2)
 *     %k = index %idx, %j                             %k2 = index %idx, %j2
 *     %v = index %x, %k              =>               %ok = and (%k2 >= 0), (%k2 < d)
 *     ...                                             yield (%n <= 0 or %ok)
 *   }                                               } {kind = all}
 *                                                   assert %c
 *                                                   %9 = map %n, %m {(%i, %j) ... index %x, %k {inbounds = 1}
 *
 * The value is followed back through pure scalar operations to loop indices and to what is defined outside. The check
 * leaves loop after loop (map, reduce, for without exit) as long as nothing but their indices is needed, and stops at
 * an `if` or `while`, where it is conditional. It is evaluated over the loops that the value depends on; of the
 * others it must be known that they run at all, or a check would fail that the program never makes. Where the value
 * counts up with the innermost of them, as p does in ptr[i]..ptr[i+1], its first and last decide, without that loop. */
#include "passes/checks.h"
#include <string.h>

enum { CLOSURE = 64, DEPTH = 32 };

/* A loop around the operation, innermost first. */
typedef struct { TdlOp op; bool needed; } Loop;

typedef struct {
    Checks *c;
    Loop loops[DEPTH];
    uint32_t n;        /* loops it could leave by their kind */
    uint32_t left;     /* operations that may still be copied */
    TDL_VEC(TdlOp) loads; /* that are copied */
    TdlOp out;         /* the loop it is to leave */
    TdlRegion out_region;
} Hoist;

static TdlVal loop_index(const TdlFunc *f, TdlOp loop, uint32_t i) { return ir_region(f, ir_op(f, loop)->regions[0])->args.p[i]; }

static uint32_t loop_indices(const TdlFunc *f, TdlOp loop) {
    return ir_op(f, loop)->code == OP_FOR ? 1 : ir_region(f, ir_op(f, loop)->regions[0])->args.n;
}

static bool outside(const Hoist *h, TdlVal v) { return !ir_defined_in(h->c->f, v, h->out_region); }

/* Dimension variables of d that are defined in the loop to leave. */
typedef struct { const Hoist *h; bool inside; } DimScope;
static void look_at_var(void *user, TdlSym s) {
    DimScope *x = user;
    const Checks *c = x->h->c;
    for (uint32_t i = 0; i < c->dim_syms.n; i++)
        if (sym_eq(c->dim_syms.p[i], s) && !outside(x->h, ir_result(c->f, c->dim_ops.p[i], 0))) x->inside = true;
}
static bool dim_outside(const Hoist *h, TdlDim d) {
    DimScope x = {h, false};
    dim_vars(h->c->m, d, look_at_var, &x);
    return !x.inside;
}

static bool may_copy(const Hoist *h, TdlOp o) {
    const TdlOpData *d = ir_op(h->c->f, o);
    TdlModule *m = h->c->m;
    int64_t k;
    switch ((int)d->code) {
    case OP_DIM: return dim_outside(h, op_attr(h->c->f, o, "d")->dim);
    case OP_INDEX: return ty_is_scalar(m, ir_type(h->c->f, d->results[0])) && outside(h, d->operands[0]);
    case OP_FLOORDIV: case OP_MOD: case OP_POW: { /* these fail themselves */
        TdlType t = ir_type(h->c->f, d->operands[1]);
        return ty_is_float(m, t) || (dim_is_const(m, chk_expr(h->c, d->operands[1]), &k) && k > 0);
    }
    default: break;
    }
    const TdlOpInfo *info = op_info(d->code);
    return d->nregions == 0 && (d->code == OP_CONST || (info->flags & OPF_ELEMENTWISE)) &&
           ty_is_scalar(m, ir_type(h->c->f, d->results[0]));
}

static bool closure(Hoist *h, TdlVal v);

/* Bounds of loop k, needed where the value depends on its index, or to know whether it runs. */
static bool bounds_closure(Hoist *h, uint32_t k) {
    const TdlOpData *d = ir_op(h->c->f, h->loops[k].op);
    uint32_t n = d->code == OP_FOR ? 2 : d->noperands;
    for (uint32_t i = 0; i < n; i++)
        if (!closure(h, d->operands[i])) return false;
    return true;
}

/* Can v be computed in front of the loop to leave, over loops that are marked needed? */
static bool closure(Hoist *h, TdlVal v) {
    const TdlFunc *f = h->c->f;
    if (outside(h, v)) return true;
    TdlOp def = ir_val(f, v)->def;
    if (!def.id) {
        for (uint32_t k = 0; k < h->n; k++)
            for (uint32_t i = 0; i < loop_indices(f, h->loops[k].op); i++)
                if (loop_index(f, h->loops[k].op, i).id == v.id) {
                    h->loops[k].needed = true;
                    return bounds_closure(h, k);
                }
        return false;
    }
    if (h->left == 0 || !may_copy(h, def)) return false;
    h->left--;
    const TdlOpData *d = ir_op(f, def);
    if (d->code == OP_INDEX) VEC_PUSH(h->c->a, h->loads, def);
    for (uint32_t i = 0; i < d->noperands; i++)
        if (!closure(h, d->operands[i])) return false;
    return true;
}

/* ---- writing ---- */

typedef struct {
    Hoist *h;
    TdlBuilder b;
    TDL_VEC(TdlVal) from, to; /* copies made so far */
    TdlVal zero, size;        /* of a RANGE check: in front of the loops, so that equal checks have equal bodies */
} Writer;

static void set_copy(Writer *w, TdlVal v, TdlVal to) {
    VEC_PUSH(w->h->c->a, w->from, v);
    VEC_PUSH(w->h->c->a, w->to, to);
}

static TdlVal copy_of(Writer *w, TdlVal v) {
    TdlFunc *f = w->h->c->f;
    if (outside(w->h, v)) return v;
    for (uint32_t i = 0; i < w->from.n; i++)
        if (w->from.p[i].id == v.id) return w->to.p[i];
    TdlOp def = ir_val(f, v)->def;
    TdlOpData d = *ir_op(f, def);
    TdlVals ops = {0};
    for (uint32_t i = 0; i < d.noperands; i++) {
        TdlVal x = copy_of(w, d.operands[i]);
        VEC_PUSH(w->h->c->a, ops, x);
    }
    TdlType t = ir_type(f, v);
    TdlOp o = ir_emit(&w->b, d.code, ops.p, ops.n, &t, 1);
    ir_op(f, o)->attrs = d.attrs;
    ir_op(f, o)->nattrs = d.nattrs;
    set_copy(w, v, ir_result(f, o, 0));
    return ir_result(f, o, 0);
}

static TdlVal zero_like(Writer *w, TdlVal v) {
    return ir_const_int(&w->b, ty_elem(w->h->c->m, ir_type(w->h->c->f, v)), 0);
}

/* A `for` between values that are no dimensions: their difference may wrap. */
static bool by_data(const Writer *w, TdlOp loop) {
    const TdlFunc *f = w->h->c->f;
    const TdlOpData *d = ir_op(f, loop);
    TdlDim x;
    return d->code == OP_FOR && !(ir_val_dim(f, d->operands[0], &x) && ir_val_dim(f, d->operands[1], &x));
}

/* e where v is max(e, 0): an extent below 0 is empty, too. */
static TdlVal without_max0(const Writer *w, TdlVal v) {
    const TdlFunc *f = w->h->c->f;
    TdlOp def = ir_val(f, v)->def;
    if (!def.id || ir_op(f, def)->code != OP_MAX) return v;
    for (uint32_t i = 0; i < 2; i++) {
        TdlOp z = ir_val(f, ir_op(f, def)->operands[i])->def;
        if (z.id && ir_op(f, z)->code == OP_CONST && op_int(f, z, "value", 1) == 0) return ir_op(f, def)->operands[1 - i];
    }
    return v;
}

/* One extent. Of a `for` hi - lo; by data max(hi, lo) - lo, which is negative where i64 cannot count the iterations. */
static TdlVal extent(Writer *w, TdlOp loop, uint32_t i) {
    const TdlOpData *d = ir_op(w->h->c->f, loop);
    TdlOpcode code = d->code;
    TdlVal a = d->operands[i], b = code == OP_FOR ? d->operands[1] : (TdlVal){0};
    if (code == OP_REDUCE || (code == OP_MAP && !d->nresults)) a = without_max0(w, a);
    TdlVal lo = copy_of(w, a);
    if (code != OP_FOR) return lo;
    TdlVal hi = copy_of(w, b);
    if (by_data(w, loop)) hi = ir_binary(&w->b, OP_MAX, hi, lo);
    return ir_binary(&w->b, OP_SUB, hi, lo);
}

static void write_bounds(Writer *w, const ChkCheck *k) {
    if (k->test != CHECK_RANGE) return;
    w->zero = zero_like(w, k->value);
    w->size = ir_dim(&w->b, k->size);
}

static TdlVal passes_test(Writer *w, const ChkCheck *k, TdlVal v) {
    if (k->test == CHECK_RANGE) {
        TdlVal ge = ir_binary(&w->b, OP_GE, v, w->zero);
        TdlVal lt = ir_binary(&w->b, OP_LT, v, w->size);
        return ir_binary(&w->b, OP_AND, ge, lt);
    }
    TdlVal z = zero_like(w, v);
    return ir_binary(&w->b, k->test == CHECK_NONZERO ? OP_NE : k->test == CHECK_POSITIVE ? OP_GT : OP_GE, v, z);
}

/* ok, or one of the loops that are not gone over does not run. */
static TdlVal unless_skipped(Writer *w, TdlVal ok) {
    Hoist *h = w->h;
    for (uint32_t k = 0; k < h->n; k++) {
        if (h->loops[k].needed) continue;
        uint32_t n = loop_indices(h->c->f, h->loops[k].op);
        for (uint32_t i = 0; i < n; i++) {
            TdlVal e = extent(w, h->loops[k].op, i);
            int64_t size;
            TdlDim d;
            if (ir_val_dim(h->c->f, e, &d) && dim_is_const(h->c->m, d, &size) && size > 0) continue;
            TdlVal z = zero_like(w, e);
            TdlVal none = ir_binary(&w->b, by_data(w, h->loops[k].op) ? OP_EQ : OP_LE, e, z);
            ok = ir_binary(&w->b, OP_OR, none, ok);
        }
    }
    return ok;
}

/* ok, and i64 can count the iterations. */
static TdlVal countable(Writer *w, TdlOp loop, TdlVal ok, TdlVal n) {
    if (!by_data(w, loop)) return ok;
    TdlVal z = zero_like(w, n);
    TdlVal counted = ir_binary(&w->b, OP_GE, n, z);
    return ir_binary(&w->b, OP_AND, ok, counted);
}

static bool depends_on(const Hoist *h, TdlVal v, TdlVal index) {
    const TdlFunc *f = h->c->f;
    if (v.id == index.id) return true;
    TdlOp def = ir_val(f, v)->def;
    if (!def.id || outside(h, v)) return false;
    for (uint32_t i = 0; i < ir_op(f, def)->noperands; i++)
        if (depends_on(h, ir_op(f, def)->operands[i], index)) return true;
    return false;
}

/* v is the index plus (or less) what does not depend on it. */
static bool counts_up(const Hoist *h, TdlVal v, TdlVal index) {
    const TdlFunc *f = h->c->f;
    while (v.id != index.id) {
        TdlOp def = ir_val(f, v)->def;
        if (!def.id || outside(h, v)) return false;
        const TdlOpData *d = ir_op(f, def);
        if (d->code != OP_ADD && d->code != OP_SUB) return false;
        bool second = d->code == OP_ADD && depends_on(h, d->operands[1], index);
        if (depends_on(h, d->operands[!second], index)) return false;
        v = d->operands[second];
    }
    return true;
}

/* The innermost loop that is gone over, loops[level], has the value count up by one from its first: its ends decide. */
static bool by_two_ends(const Hoist *h, const ChkCheck *k, uint32_t level) {
    const TdlFunc *f = h->c->f;
    TdlOp loop = h->loops[level].op;
    if (k->test != CHECK_RANGE || loop_indices(f, loop) != 1) return false;
    TdlVal index = loop_index(f, loop, 0);
    TdlType i64 = ty_scalar(h->c->m, EL_I64);
    for (uint32_t i = 0; i < level; i++) {
        const TdlOpData *d = ir_op(f, h->loops[i].op);
        if (h->loops[i].needed) return false;
        for (uint32_t j = 0; j < (d->code == OP_FOR ? 2 : d->noperands); j++)
            if (depends_on(h, d->operands[j], index)) return false;
    }
    return ty_eq(ir_type(f, k->value), i64) && counts_up(h, k->value, index);
}

/* The n values first, first + 1, ... (modulo 2**64) of the innermost loop gone over are in range: n <= 0, or first >= 0
 * and n <= size - first, which does not wrap then. Behind an `if`, since `first` may load what is in range only where
 * the loop runs. */
static TdlVal two_ends(Writer *w, const ChkCheck *k, TdlOp loop, TdlVal n) {
    TdlFunc *f = w->h->c->f;
    TdlType t = ty_scalar(w->h->c->m, EL_BOOL);
    TdlVal runs = ir_binary(&w->b, OP_GT, n, w->zero);
    TdlOp branch = ir_emit(&w->b, OP_IF, &runs, 1, &t, 1);
    TdlBuilder outer = w->b;
    w->b = ir_at_end(f, ir_op(f, branch)->regions[1], outer.span);
    TdlVal yes = ir_const_int(&w->b, EL_BOOL, 1);
    ir_emit(&w->b, OP_YIELD, &yes, 1, NULL, 0);
    w->b = ir_at_end(f, ir_op(f, branch)->regions[0], outer.span);
    bool is_for = ir_op(f, loop)->code == OP_FOR;
    set_copy(w, loop_index(f, loop, 0), is_for ? copy_of(w, ir_op(f, loop)->operands[0]) : w->zero);
    TdlVal first = copy_of(w, k->value);
    TdlVal room = ir_binary(&w->b, OP_SUB, w->size, first);
    TdlVal lower = ir_binary(&w->b, OP_GE, first, w->zero);
    TdlVal upper = ir_binary(&w->b, OP_LE, n, room);
    TdlVal ok = unless_skipped(w, ir_binary(&w->b, OP_AND, lower, upper));
    ir_emit(&w->b, OP_YIELD, &ok, 1, NULL, 0);
    w->b = outer;
    return ir_result(f, branch, 0);
}

/* The loops gone over, as nested reductions, outermost first; the innermost yields the test. */
static TdlVal write_nest(Writer *w, const ChkCheck *k, uint32_t level) {
    Hoist *h = w->h;
    TdlFunc *f = h->c->f;
    while (level > 0 && !h->loops[level - 1].needed) level--;
    if (level == 0) {
        TdlVal v = copy_of(w, k->value);
        TdlVal ok = passes_test(w, k, v);
        return unless_skipped(w, ok);
    }
    TdlOp loop = h->loops[level - 1].op;
    uint32_t n = loop_indices(f, loop);
    TdlVals extents = {0};
    for (uint32_t i = 0; i < n; i++) {
        TdlVal e = extent(w, loop, i);
        VEC_PUSH(h->c->a, extents, e);
    }
    if (by_two_ends(h, k, level - 1))
        return countable(w, loop, two_ends(w, k, loop, extents.p[0]), extents.p[0]);
    TdlType t = ty_scalar(h->c->m, EL_BOOL), i64 = ty_scalar(h->c->m, EL_I64);
    TdlOp red = ir_emit(&w->b, OP_REDUCE, extents.p, extents.n, &t, 1);
    op_set_str(f, red, "kind", "all", 3);
    TdlBuilder outer = w->b;
    TdlRegion body = ir_op(f, red)->regions[0];
    w->b = ir_at_end(f, body, outer.span);
    bool is_for = ir_op(f, loop)->code == OP_FOR;
    for (uint32_t i = 0; i < n; i++) {
        TdlVal ix = ir_region_arg(f, body, i64, SYM_NONE);
        if (is_for) ix = ir_binary(&w->b, OP_ADD, copy_of(w, ir_op(f, loop)->operands[0]), ix);
        set_copy(w, loop_index(f, loop, i), ix);
    }
    TdlVal ok = write_nest(w, k, level - 1);
    ir_emit(&w->b, OP_YIELD, &ok, 1, NULL, 0);
    w->b = outer;
    return countable(w, loop, ir_result(f, red, 0), extents.p[0]);
}

static void write_assert(Writer *w, const ChkCheck *k, TdlVal ok, TdlVal value) {
    TdlVals v = {0};
    Checks *c = w->h->c;
    VEC_PUSH(c->a, v, ok);
    if (value.id) {
        TdlVal shown = ir_cast(&w->b, value, EL_I64);
        VEC_PUSH(c->a, v, shown);
    }
    if (k->test == CHECK_RANGE) {
        TdlVal size = ir_dim(&w->b, k->size);
        VEC_PUSH(c->a, v, size);
    }
    TdlOp o = ir_emit(&w->b, OP_ASSERT, v.p, v.n, NULL, 0);
    const char *msg = value.id ? k->msg : k->msg_any;
    op_set_str(c->f, o, "kind", k->kind, (uint32_t)strlen(k->kind));
    op_set_str(c->f, o, "msg", msg, (uint32_t)strlen(msg));
}

/* The loops that a check at `at` may leave by their kind, innermost first; withacc and checkpoint run their body once. */
static void loops_around(Hoist *h, TdlOp at) {
    const TdlFunc *f = h->c->f;
    for (TdlOp p = ir_region(f, ir_op(f, at)->parent)->parent; p.id && h->n < DEPTH;
         p = ir_region(f, ir_op(f, p)->parent)->parent) {
        TdlOpcode code = ir_op(f, p)->code;
        if (code == OP_WITHACC || code == OP_CHECKPOINT) continue;
        if (code != OP_MAP && code != OP_REDUCE && !(code == OP_FOR && !op_int(f, p, "exit", 0))) break;
        h->loops[h->n++] = (Loop){p, false};
    }
}

/* Are the loads that are copied in range where some of the loops that are not gone over do not run? */
static bool loads_in_range(Hoist *h) {
    Checks *c = h->c;
    for (uint32_t i = 0; i < h->n; i++)
        if (!h->loops[i].needed) VEC_PUSH(c->a, c->without, h->loops[i].op);
    bool ok = true;
    for (uint32_t i = 0; i < h->loads.n && ok && c->without.n; i++) {
        TdlOp load = h->loads.p[i];
        const TdlOpData *d = ir_op(c->f, load);
        const TdlDim *dims = ty_dims(c->m, ir_type(c->f, d->operands[0]));
        ok = chk_proved(c, load);
        for (uint32_t k = 1; k < d->noperands && ok; k++) ok = chk_in_range(c, load, d->operands[k], dims[k - 1]);
    }
    c->without.n = 0;
    return ok;
}

/* Marks what is needed to leave the n innermost loops. */
static bool can_leave(Hoist *h, const ChkCheck *k, uint32_t n) {
    h->n = n;
    h->left = CLOSURE;
    h->out = h->loops[n - 1].op;
    h->out_region = ir_op(h->c->f, h->out)->regions[0];
    h->loads.n = 0;
    for (uint32_t i = 0; i < n; i++) h->loops[i].needed = false;
    if (k->test == CHECK_RANGE && !dim_outside(h, k->size)) return false;
    if (!closure(h, k->value)) return false;
    for (uint32_t i = 0; i < n; i++)
        if (!bounds_closure(h, i)) return false;
    return loads_in_range(h);
}

bool chk_hoist(Checks *c, const ChkCheck *k) {
    Hoist h = {.c = c};
    loops_around(&h, k->at);
    uint32_t most = h.n, best = 0;
    for (uint32_t n = 1; n <= most && can_leave(&h, k, n); n++) best = n;
    if (best == 0) return false;
    can_leave(&h, k, best);
    bool any = false;
    for (uint32_t i = 0; i < best; i++) any |= h.loops[i].needed;
    Writer w = {.h = &h, .b = ir_before(c->f, h.out)};
    w.b.span = ir_op(c->f, k->at)->span;
    write_bounds(&w, k);
    TdlVal ok = write_nest(&w, k, best);
    TdlVal value = {0};
    if (!any) value = copy_of(&w, k->value);
    write_assert(&w, k, ok, value);
    return true;
}

void chk_in_place(Checks *c, const ChkCheck *k) {
    Hoist h = {.c = c};
    Writer w = {.h = &h, .b = ir_before(c->f, k->at)};
    w.b.span = ir_op(c->f, k->at)->span;
    write_bounds(&w, k);
    TdlVal ok = passes_test(&w, k, k->value);
    write_assert(&w, k, ok, k->value);
}
