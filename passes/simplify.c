/* Folds constants and identities, merges equal operations, removes dead ones.
 *
 * What: constants are folded with the run-time meaning (an integer division by zero stays, nothing is assumed about
 * NaN, infinities and signed zeros), identities that hold to the bit are applied, arithmetic on dimensions becomes one
 * `dim`, equal pure operations become one where the first dominates, constant branches and loops that do not run
 * vanish, and whatever no result and no effect needs goes, carried values of loops included.
 * How: a walk in order rewrites operands as it goes, so one walk sees the fruits of its own work; what folding
 * uncovers behind it is found by the next. Walk and removal repeat until nothing changes, at most MAX_ROUNDS times.
 * Cost: linear in the size of the function, each round.
 *
 *     %1 = const {value = 2} : i64            %1 = dim {d = 2*n + 1} : i64
 *     %2 = dim {d = n} : i64
 *     %3 = mul %1, %2 : i64             =>
 *     %4 = const {value = 1} : i64
 *     %5 = add %3, %4 : i64
 */
#include "passes/simplify.h"
#include "passes/pass.h"

#include <math.h>
#include <string.h>

enum { MAX_ROUNDS = 8 };

/* ---- values ---- */

TdlVal sm_get(const Simplify *s, TdlVal v) {
    while (v.id < s->repl.n && s->repl.p[v.id].id) v = s->repl.p[v.id];
    return v;
}

void sm_set(Simplify *s, TdlVal from, TdlVal to) {
    VEC_RESERVE(&s->scratch, s->repl, from.id + 1);
    while (s->repl.n <= from.id) VEC_PUSH(&s->scratch, s->repl, (TdlVal){0});
    s->repl.p[from.id] = sm_get(s, to);
    s->changed = true;
}

TdlOp sm_def(const Simplify *s, TdlVal v, TdlOpcode code) {
    TdlOp o = ir_val(s->f, v)->def;
    return o.id && ir_op(s->f, o)->code == code ? o : (TdlOp){0};
}

bool sm_const(const Simplify *s, TdlVal v, SmConst *c) {
    TdlOp o = sm_def(s, v, OP_CONST);
    const TdlAttr *a = o.id ? op_attr(s->f, o, "value") : NULL;
    if (!a) return false;
    *c = (SmConst){ty_elem(s->m, ir_type(s->f, v)), a->kind == ATTR_FLOAT, a->i, a->f};
    return true;
}

bool sm_splat(const Simplify *s, TdlVal v, SmConst *c) {
    TdlOp b = sm_def(s, v, OP_BROADCAST);
    return sm_const(s, b.id ? sm_operand(s, b, 0) : v, c);
}

bool sm_is_int(const Simplify *s, TdlVal v, int64_t i) {
    SmConst c;
    return sm_splat(s, v, &c) && !c.is_float && c.i == i;
}

bool sm_is_float(const Simplify *s, TdlVal v, double f) {
    SmConst c;
    return sm_splat(s, v, &c) && c.is_float && c.f == f && signbit(c.f) == signbit(f);
}

/* ---- the walk ---- */

static void visit_region(Simplify *s, TdlRegion r);

/* Simplifies one operation; returns the one to visit next. */
static TdlOp visit(Simplify *s, TdlOp o) {
    TdlFunc *f = s->f;
    TdlOpData *d = ir_op(f, o);
    TdlOp next = d->next;
    for (uint16_t i = 0; i < d->noperands; i++) d->operands[i] = sm_get(s, d->operands[i]);
    if (d->nregions) {
        if (sm_region_before(s, o, &next)) return next;
        uint32_t floor = s->floor;
        if (ir_op(f, o)->code == OP_CHECKPOINT) s->floor = s->entries.n;
        for (uint16_t i = 0; i < ir_op(f, o)->nregions; i++) visit_region(s, ir_op(f, o)->regions[i]);
        s->floor = floor;
        next = ir_op(f, o)->next;
        if (!sm_region_after(s, o, &next)) sm_merge(s, o);
        return next;
    }
    if (d->nresults == 1) {
        uint32_t nops = f->ops.n;
        dim_at(f->module, d->span);
        TdlVal v = sm_fold(s, o);
        if (!v.id) v = sm_identity(s, o);
        if (!v.id) v = sm_view(s, o);
        if (v.id && v.id != ir_result(f, o, 0).id) {
            TdlOp made = ir_val(f, v)->def;
            if (made.id >= nops && !ir_op(f, made)->grad_fn.id) ir_op(f, made)->grad_fn = ir_op(f, o)->grad_fn;
            sm_set(s, ir_result(f, o, 0), v);
            ir_remove(f, o);
            return next;
        }
    }
    sm_merge(s, o);
    return next;
}

static void visit_region(Simplify *s, TdlRegion r) {
    uint32_t mark = s->entries.n;
    for (TdlOp o = ir_region(s->f, r)->first; o.id;) o = visit(s, o);
    sm_leave_scope(s, mark);
}

static bool round_of(TdlFunc *f, bool derived) {
    Simplify s = {.f = f, .m = f->module, .derived = derived};
    arena_init_like(&s.scratch, f->module->arena);
    s.nbuckets = 64;
    while (s.nbuckets < f->ops.n) s.nbuckets *= 2;
    s.buckets = ARENA_ARRAY(&s.scratch, uint32_t, s.nbuckets);
    sm_dims(&s);
    s.uses = ir_use_counts(f, &s.scratch);
    s.ncounted = f->vals.n;
    visit_region(&s, f->body);
    sm_dead(&s);
    arena_free(&s.scratch);
    return s.changed;
}

/* ---- the driver ---- */

/* True when no derivative is left to be made: then `detach` has done its work. */
static bool is_derived(const TdlModule *m) {
    for (uint32_t i = 0; i < m->funcs.n; i++)
        for (uint32_t k = 1; k < m->funcs.p[i]->ops.n; k++) {
            TdlOpcode c = m->funcs.p[i]->ops.p[k].code;
            if (c == OP_VJP || c == OP_JVP || c == OP_BACKWARD || c == OP_LEAF) return false;
        }
    return true;
}

bool pass_simplify(TdlModule *m, const TdlPassOptions *opt) {
    (void)opt;
    bool derived = is_derived(m);
    for (uint32_t i = 0; i < m->funcs.n; i++)
        for (int round = 0; round < MAX_ROUNDS && round_of(m->funcs.p[i], derived); round++) {}
    return true;
}
