/* Vector loops: which iterations run in the lanes of vector registers.
 *
 * What: a `for` over independent iterations (but for additions to accumulators) gets `vector = [L, W]`: codegen runs L
 * iterations at once, of what is left W at once, every value that differs between them a vector; where the target has masks,
 * `masked = 1`: the rest runs in groups of W under them. W is the lanes of a register for the widest float in the body, L as many registers as keep the multiply-adds busy
 * (vector_change.c). Buffers allocated inside get L lanes (values an element, side by side). What the iterations add to
 * memory outside goes to a private buffer of W lanes, whose sums are added when the loop is done; carried sums become one sum
 * a lane. Loops of known bounds inside are unrolled while their copies are few: small private buffers become registers.
 * A branch that differs between iterations runs both sides under masks; what may fail where it does not run, an integer
 * division, must not be in one.
 * Why: inner loops are short, reductions, or address memory unevenly; LLVM vectorises innermost loops alone, and runs what
 * is left one by one. Without masks loops that LLVM does well on are left to it.
 * Where two loops are perfectly nested the chosen one moves inside: private sums are then those of one outer iteration. One
 * further inside is chosen where it is cheaper than both.
 * Cost of a candidate: operations by estimated count (an inner loop: 8 times), times 8 where lanes are not side by side, and
 * times 8/n for n < 8 iterations. The cheapest wins.
 *
 *   for %z, %n {(%i)                        for %z, %k {(%c)
 *     for %z, %k {(%c)                        %p = alloc {lanes = 8, offset = ...} : buf<f64[d]>
 *       for %z, %d {(%j)                      fill %p, 0
 *         %1 = load %x, %i, %j       =>       for %z, %n {(%i)
 *         %2 = load %s, %c, %j                  for %z, %d {(%j)
 *         %3 = add %2, %1                         ... load %p, %j; add; store %p, %j
 *         store %3, %s, %c, %j                } } {vector = [32, 8]}
 *                                             lanesum (view %s, %c), %p
 */
#include "passes/vector.h"
#include "passes/loops.h"

#include <math.h>

enum { MAX_ACCS = 64 };

static bool worth(const Vec *v) { return v->legal && v->accs.n <= MAX_ACCS; }

/* After a change of the function. */
static void refresh(Vec *v) {
    v->uses = ir_use_counts(v->f, v->a);
    v->varying = ARENA_ARRAY(v->a, bool, v->f->vals.n + 1);
}

/* The loop that was looked at becomes a vector loop. */
static void change(Vec *v) {
    TdlOp loop = v->loop;
    while (vec_stage(v)) {
        refresh(v);
        vec_examine(v, loop);
    }
    vec_change(v);
    refresh(v);
}

static void visit_region(Vec *v, TdlRegion r);

/* The least cost of a loop further inside of the perfect nest, for one iteration of `o`, which does not count. */
static double inner_cost(Vec *v, TdlOp o) {
    double least = INFINITY, times = VEC_TRIP;
    for (TdlOp k = nest_child(v->f, o); k.id; k = nest_child(v->f, k), times *= VEC_TRIP) {
        vec_examine(v, k);
        if (worth(v) && v->cost * times < least) least = v->cost * times;
    }
    return least;
}

/* Chooses in the nest that `o` begins. True when a loop of it became a vector loop. */
static bool visit_nest(Vec *v, TdlOp o) {
    TdlOp child = vec_plain(v, o) ? nest_child(v->f, o) : (TdlOp){0};
    vec_examine(v, o);
    bool outer_fits = worth(v), child_fits = false;
    double outer_cost = v->cost, child_cost = 0;
    if (child.id) {
        vec_examine(v, child);
        child_fits = worth(v);
        child_cost = v->cost * VEC_TRIP;
    }
    double least = child_fits && (!outer_fits || child_cost < outer_cost) ? child_cost : outer_cost;
    if (child.id && inner_cost(v, child) * VEC_TRIP < least) return false; /* the loops inside are visited */
    if (child.id && outer_fits && (!child_fits || outer_cost < child_cost)) {
        nest_interchange(v->f, o, child);   /* the outer loop's iterations are now those of `child` */
        vec_examine(v, child);
        if (!worth(v)) nest_interchange(v->f, o, child);
    }
    if (child.id && (outer_fits || child_fits)) vec_examine(v, child);
    if (child.id && worth(v) && (outer_fits || child_fits)) return change(v), true;
    vec_examine(v, o);
    if (worth(v)) return change(v), true;
    return false;
}

bool vec_would_take(TdlFunc *f, TdlArena *a, uint32_t vector_bytes, TdlOp o) {
    Vec v = {.m = f->module, .f = f, .a = a, .bytes = vector_bytes};
    refresh(&v);
    TdlOp child = vec_plain(&v, o) ? nest_child(f, o) : (TdlOp){0};
    vec_examine(&v, o);
    bool outer = worth(&v);
    double cost = v.cost;
    if (!outer || !child.id) return outer;
    vec_examine(&v, child);
    return !worth(&v) || cost < v.cost * VEC_TRIP;
}

static void visit_region(Vec *v, TdlRegion r) {
    IR_FOREACH_OP(v->f, r, o) {
        TdlOpcode code = ir_op(v->f, o)->code;
        if (code == OP_FOR && visit_nest(v, o)) continue;
        for (uint32_t i = 0; i < ir_op(v->f, o)->nregions; i++) visit_region(v, ir_op(v->f, o)->regions[i]);
    }
}

bool pass_vector(TdlModule *m, const TdlPassOptions *opt) {
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        Vec v = {.m = m, .f = m->funcs.p[i], .a = &scratch, .bytes = (uint32_t)opt->vector_bytes};
        drop_marks(v.f, v.f->body);
        refresh(&v);
        visit_region(&v, v.f->body);
        arena_free(&scratch);
    }
    return true;
}
