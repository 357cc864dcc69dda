/* Two iterations of a loop around short loops run side by side (unroll and jam).
 *
 * In vector code, a loop whose iterations read the same rows of all lanes again, such as a matrix times the vectors in the
 * lanes, waits for loads and stores: each value that is read takes part in one multiply-add. Here two iterations share it.
 *
 *   for %z, %n {(%i)                           %r = for %z, %n//2, %z {(%h, %i)
 *     %s = for %z, %i, %0 {(%j, %a)              %k = add %i, 1
 *       %1 = load %l, %i, %j                     %s, %t = for %z, %i, %0, %0 {(%j, %a, %b)
 *       %2 = load %v, %j                           %3 = load %v, %j
 *       ... yield %a + %1*%2              =>       ... yield %a + l[i, j]*%3, %b + l[k, j]*%3
 *     }                                          }
 *     store %s, %y, %i                           store %s, %y, %i
 *   }                                            %u = %t + l[k, i]*v[i]
 *                                                store %u, %y, %k
 *                                                yield %i + 2
 *                                              } {wide = 32}
 *                                              for %r, %n {...}       as before
 *
 * When: in a vector loop, a `for` whose body is scalar operations, loads, stores and at least one innermost loop with bounds
 * of which both are the same in each iteration, or the upper one is its own index; where nothing that changes places depends
 * on another (jam_check.c). Loops with exits, to be unrolled, or around allocations or branches stay.
 * Gain: at least one inner loop has an access of all lanes that does not depend on the iteration, few other operations, and
 * values that fit into the registers twice.
 * Values: those of each iteration are computed as before, and each element is added to in the same order; but for the sums
 * that vector code keeps a lane, of which rows may add to an element in another order.
 * Cost: each pair of a body's accesses is compared; a body that changes occurs up to four times, or once in the groups of
 * fewer lanes (`wide`). */
#include "passes/jam.h"

/* Clones o for the row; of the second row, what is the same is that of the first. */
static void clone_op(Jam *j, JamRow *row, const JamRow *first, TdlOp o) {
    if (!first || !jam_shared(j, o)) {
        ir_clone_op(row->b, j->f, o, &row->map, NULL);
        return;
    }
    for (uint32_t i = 0; i < ir_op(j->f, o)->nresults; i++) {
        TdlVal v = ir_op(j->f, o)->results[i];
        valmap_set(&row->map, v, valmap_get(&first->map, v));
    }
}

/* The operations of r from o to the next loop or the terminator, which is returned. */
static TdlOp clone_part(Jam *j, JamRow *row, const JamRow *first, TdlOp o) {
    for (;; o = ir_op(j->f, o)->next) {
        const TdlOpData *d = ir_op(j->f, o);
        if (d->code == OP_FOR || d->code == OP_YIELD) return o;
        clone_op(j, row, first, o);
    }
}

/* Carried values that differ between lanes: those of `from` in each copy, behind the first `skip`. */
static void set_varying(Jam *j, TdlOp from, TdlOp to, uint32_t skip, uint32_t copies) {
    const TdlAttr *a = op_attr(j->f, from, "varying");
    if (!a) return;
    int64_t *list = ARENA_ARRAY(j->a, int64_t, copies * a->n);
    for (uint32_t k = 0; k < copies; k++)
        for (uint32_t i = 0; i < a->n; i++) list[k*a->n + i] = a->ints[i] + skip + k*ir_op(j->f, from)->nresults;
    op_set_ints(j->f, to, "varying", list, copies * a->n);
}

/* A `for` that carries `skip` integers, then what `loop` does, in so many copies; `inside` builds its body. */
static TdlOp new_loop(Jam *j, TdlBuilder *b, TdlOp loop, const TdlVal *operands, uint32_t skip, uint32_t copies, TdlBuilder *inside) {
    TdlFunc *f = j->f;
    uint32_t n = skip + copies * ir_op(f, loop)->nresults;
    TdlType *types = ARENA_ARRAY(j->a, TdlType, n);
    for (uint32_t i = 0; i < n; i++) types[i] = ir_type(f, operands[2 + i]);
    TdlOp o = ir_emit(b, OP_FOR, operands, 2 + n, types, n);
    TdlRegion body = ir_op(f, o)->regions[0];
    ir_region_arg(f, body, ir_type(f, operands[0]), (TdlSym){0});
    for (uint32_t i = 0; i < n; i++) ir_region_arg(f, body, types[i], (TdlSym){0});
    set_varying(j, loop, o, skip, copies);
    *inside = ir_at_end(f, body, ir_op(f, loop)->span);
    return o;
}

/* The body of an inner loop once more for each row; its carried values become what they are behind it. */
static void clone_body(Jam *j, JamRow *row, const JamRow *first, TdlOp inner, TdlVal index, const TdlVal *carried, TdlVal *next) {
    TdlFunc *f = j->f;
    TdlRegion r = ir_op(f, inner)->regions[0];
    uint32_t n = ir_op(f, inner)->nresults;
    valmap_set(&row->map, ir_region(f, r)->args.p[0], index);
    for (uint32_t i = 0; i < n; i++) valmap_set(&row->map, ir_region(f, r)->args.p[1 + i], carried[i]);
    TdlOp end = clone_part(j, row, first, ir_region(f, r)->first);
    for (uint32_t i = 0; i < n; i++) next[i] = valmap_get(&row->map, ir_op(f, end)->operands[i]);
}

/* Loop `inner` for both rows at once, over what the first has; its results are those of the rows so far. */
static void jam_inner(Jam *j, JamRow *rows, TdlOp inner) {
    TdlFunc *f = j->f;
    uint32_t n = ir_op(f, inner)->nresults;
    TdlVal *operands = ARENA_ARRAY(j->a, TdlVal, 2 + 2*n), *next = ARENA_ARRAY(j->a, TdlVal, 2*n);
    TdlBuilder *outside = rows[0].b, inside;
    for (uint32_t i = 0; i < 2; i++) operands[i] = valmap_get(&rows[0].map, ir_op(f, inner)->operands[i]);
    for (uint32_t i = 0; i < 2*n; i++) operands[2 + i] = valmap_get(&rows[i / n].map, ir_op(f, inner)->operands[2 + i % n]);
    TdlOp o = new_loop(j, outside, inner, operands, 0, 2, &inside);
    for (uint32_t k = 0; k < 2; k++) {
        const TdlVals *args = &ir_region(f, ir_op(f, o)->regions[0])->args;
        TdlVal index = args->p[0], *carried = ARENA_ARRAY(j->a, TdlVal, n);
        for (uint32_t i = 0; i < n; i++) carried[i] = args->p[1 + k*n + i];
        rows[k].b = &inside;
        clone_body(j, &rows[k], k ? &rows[0] : NULL, inner, index, carried, next + k*n);
        rows[k].b = outside;
    }
    ir_emit(&inside, OP_YIELD, next, 2*n, NULL, 0);
    for (uint32_t i = 0; i < 2*n; i++) valmap_set(&rows[i / n].map, ir_op(f, inner)->results[i % n], ir_result(f, o, i));
}

/* The last iteration of a triangular loop, which only the second row has. */
static void end_inner(Jam *j, JamRow *rows, TdlOp inner) {
    uint32_t n = ir_op(j->f, inner)->nresults;
    if (!jam_triangular(j, inner)) return;
    TdlVal *carried = ARENA_ARRAY(j->a, TdlVal, 2*n), *next = carried + n;
    for (uint32_t i = 0; i < n; i++) carried[i] = valmap_get(&rows[1].map, ir_op(j->f, inner)->results[i]);
    clone_body(j, &rows[1], NULL, inner, valmap_get(&rows[0].map, j->row), carried, next);
    for (uint32_t i = 0; i < n; i++) valmap_set(&rows[1].map, ir_op(j->f, inner)->results[i], next[i]);
}

/* What the first row hands on is what the second one begins with, as far as it is known. */
static void hand_on(Jam *j, JamRow *rows) {
    const TdlVals *args = &ir_region(j->f, j->body)->args;
    const TdlOpData *end = ir_op(j->f, ir_terminator(j->f, j->body));
    for (uint32_t i = 0; i + 1u < args->n; i++) valmap_set(&rows[1].map, args->p[1 + i], valmap_get(&rows[0].map, end->operands[i]));
}

/* Both rows, in the order of jam_check.c. */
static void jam_body(Jam *j, JamRow *rows) {
    TdlFunc *f = j->f;
    TdlOp inner = {0}, at = ir_region(f, j->body)->first;
    for (;;) {
        TdlOp next = clone_part(j, &rows[0], NULL, at);
        if (inner.id) end_inner(j, rows, inner);
        hand_on(j, rows);
        clone_part(j, &rows[1], &rows[0], at);
        if (ir_op(f, next)->code == OP_YIELD) return;
        inner = next;
        jam_inner(j, rows, inner);
        at = ir_op(f, inner)->next;
    }
}

/* ---- the loop ---- */

/* How many pairs there are between the bounds of j->loop. */
static TdlVal pairs(const Jam *j, TdlBuilder *b) {
    const TdlVal *bounds = ir_op(j->f, j->loop)->operands;
    TdlDim lo, hi;
    if (ir_val_dim(j->f, bounds[0], &lo) && ir_val_dim(j->f, bounds[1], &hi) && dim_known_ge(j->m, hi, lo))
        return ir_dim(b, dim_floordiv(j->m, dim_sub(j->m, hi, lo), 2));
    TdlVal n = ir_binary(b, OP_MAX, ir_binary(b, OP_SUB, bounds[1], bounds[0]), ir_const_int(b, EL_I64, 0));
    return ir_binary(b, OP_FLOORDIV, n, ir_const_int(b, EL_I64, 2));
}

/* The number of rows is known, and even. */
static bool is_even(const Jam *j) {
    const TdlVal *bounds = ir_op(j->f, j->loop)->operands;
    TdlDim lo, hi;
    int64_t n;
    if (!ir_val_dim(j->f, bounds[0], &lo) || !ir_val_dim(j->f, bounds[1], &hi)) return false;
    return dim_is_const(j->m, dim_sub(j->m, hi, lo), &n) && n >= 0 && n % 2 == 0;
}

/* Behind the pairs nothing is left; in front of j->loop otherwise, which does the rest: at most one row, but all of them in
 * narrower groups of the vector loop, so that there is less code. */
static void leave_rest(Jam *j, TdlOp all, TdlVal *operands) {
    TdlFunc *f = j->f;
    uint32_t n = ir_op(f, j->loop)->nresults;
    if (is_even(j)) {
        for (uint32_t i = 0; i < n; i++) j->become[ir_op(f, j->loop)->results[i].id] = ir_result(f, all, 1 + i);
        ir_remove(f, j->loop);
        return;
    }
    op_set_int(f, all, "wide", j->lanes);
    operands[0] = ir_result(f, all, 0);
    operands[1] = ir_op(f, j->loop)->operands[1];
    for (uint32_t i = 0; i < n; i++) operands[2 + i] = ir_result(f, all, 1 + i);
    ir_set_operands(f, j->loop, operands, 2 + n);
}

/* The loop over pairs in front of j->loop. It carries the first row. */
static void jam(Jam *j) {
    TdlFunc *f = j->f;
    TdlOp loop = j->loop;
    uint32_t n = ir_op(f, loop)->nresults;
    TdlBuilder b = ir_before(f, loop), inside;
    TdlVal *operands = ARENA_ARRAY(j->a, TdlVal, 3 + n), *next = ARENA_ARRAY(j->a, TdlVal, 1 + n);
    operands[0] = ir_const_int(&b, EL_I64, 0);
    operands[1] = pairs(j, &b);
    operands[2] = ir_op(f, loop)->operands[0];
    for (uint32_t i = 0; i < n; i++) operands[3 + i] = ir_op(f, loop)->operands[2 + i];
    TdlOp all = new_loop(j, &b, loop, operands, 1, 1, &inside);
    TdlRegion body = ir_op(f, all)->regions[0];
    for (uint32_t k = 0; k < 2; k++) j->rows[k].b = &inside;
    TdlVal first = ir_region(f, body)->args.p[1], one = ir_const_int(&inside, EL_I64, 1);
    TdlVal second = ir_binary(&inside, OP_ADD, first, one);
    valmap_set(&j->rows[0].map, j->row, first);
    valmap_set(&j->rows[1].map, j->row, second);
    for (uint32_t i = 0; i < n; i++)
        valmap_set(&j->rows[0].map, ir_region(f, j->body)->args.p[1 + i], ir_region(f, body)->args.p[2 + i]);
    jam_body(j, j->rows);
    next[0] = ir_binary(&inside, OP_ADD, second, one);
    for (uint32_t i = 0; i < n; i++)
        next[1 + i] = valmap_get(&j->rows[1].map, ir_op(f, ir_terminator(f, j->body))->operands[i]);
    ir_emit(&inside, OP_YIELD, next, 1 + n, NULL, 0);
    leave_rest(j, all, operands);
}

static void visit_region(Jam *j, TdlRegion r) {
    IR_FOREACH_OP(j->f, r, o) {
        const TdlAttr *v = op_attr(j->f, o, "vector");
        TdlVal outer = j->lane;
        if (v) {
            j->lane = ir_region(j->f, ir_op(j->f, o)->regions[0])->args.p[0];
            j->lanes = v->ints[0];
            j->wide = (uint32_t)(v->ints[0] / v->ints[v->n - 1]);
        }
        if (j->lane.id && !v && jam_fits(j, o)) {
            jam(j);
            continue;
        }
        for (uint32_t i = 0; i < ir_op(j->f, o)->nregions; i++) visit_region(j, ir_op(j->f, o)->regions[i]);
        j->lane = outer;
    }
}

bool pass_jam(TdlModule *m, const TdlPassOptions *opt) {
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        TdlFunc *f = m->funcs.p[i];
        uint32_t n = f->vals.n; /* what is made here is not looked at again */
        Jam j = {.m = m, .f = f, .a = &scratch, .registers = opt->vector_bytes == 64 ? 32 : 16, .uses = ir_use_counts(f, &scratch),
                 .own = ARENA_ARRAY(&scratch, bool, n), .become = ARENA_ARRAY(&scratch, TdlVal, n)};
        for (uint32_t k = 0; k < 2; k++) j.rows[k].map = valmap_new(&scratch, f);
        visit_region(&j, f->body);
        ir_replace_all(f, j.become, n);
        arena_free(&scratch);
    }
    return true;
}
