/* Memory at the place of a largest or smallest element, which the search in front has passed by.
 *
 *   %best, %at = for 0, 4, -inf, 0 {(%t, ...)  %x = load %a, f(%t) ... } {search = 1}
 *   %y = load %a, f(%at)                   =>   %best
 *   %o = load %d, g(%at)                   =>   for each t of 0, 1, 2, 3: %o = load %d, g(t)
 *   %s = add %o, %c                                                       %s = add %o, %c
 *   store %s, %d, g(%at)                                                  %n = select (%at == t), %s, %o
 *                                               for each t: store %n, %d, g(t)
 *
 * The load: where f is the same expression and nothing is written in between. There is an element: the extent is a
 * constant from 1 on; where none was better than the start, all are what the start is (-inf).
 * The addition, that of pooling's reverse: lanes that differ in %at would be stored one by one, while those of an affine place
 * are vectors. When: the extent is at most MOST_PLACES, the target has masks, the loop around writes nothing else, and
 * places of different iterations differ: an index is s*%i + q, q in a range shorter than s. That loop's iterations are
 * independent then (`parallel`); and g differs between places. Each element keeps its bits: those that are not the place are
 * written as they were.
 * Cost: a look at each expression behind a search. */
#include "passes/loops.h"
#include "passes/vector.h"

enum { MOST_PLACES = 16, DEPTH = 16 /* of an expression of indices */, MOST = 1 << 20 /* of a number in it: nothing overflows */ };

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *a;
    uint32_t *uses;
    bool lanes;              /* pass `vector` runs and has masks */
    /* of the search looked at */
    TdlOp loop;
    TdlVal best, at, index;  /* its results, and the index inside */
    int64_t extent;
    TDL_VEC(TdlOp) dead;     /* loads whose results are in `known` */
    TdlVal *known;           /* by value; 0: itself */
} Places;

static bool is_const(const Places *p, TdlVal v, int64_t *k) {
    TdlOp def = ir_val(p->f, v)->def;
    if (!def.id || ir_op(p->f, def)->code != OP_CONST) return false;
    *k = op_int(p->f, def, "value", 0);
    return true;
}

/* A product with a positive constant k, of x. */
static bool is_multiple(const Places *p, const TdlOpData *d, TdlVal *x, int64_t *k) {
    for (uint32_t i = 0; d->code == OP_MUL && i < 2; i++) {
        *x = d->operands[1 - i];
        if (is_const(p, d->operands[i], k) && *k >= 1 && *k <= MOST) return true;
    }
    return false;
}

static bool examine_search(Places *p, TdlOp o) {
    const TdlOpData *d = ir_op(p->f, o);
    int64_t lo;
    if (d->code != OP_FOR || !op_int(p->f, o, "search", 0)) return false;
    if (!is_const(p, d->operands[0], &lo) || !is_const(p, d->operands[1], &p->extent) || lo != 0 || p->extent < 1) return false;
    p->loop = o;
    p->best = d->results[0];
    p->at = d->results[1];
    p->index = ir_region(p->f, d->regions[0])->args.p[0];
    return true;
}

/* v, behind the search, is what `inside` is in it where the index is the place. */
static bool same_at(const Places *p, TdlVal v, TdlVal inside, int depth) {
    if (inside.id == p->index.id) return v.id == p->at.id;
    if (v.id == inside.id) return !ir_defined_in(p->f, inside, ir_op(p->f, p->loop)->regions[0]);
    TdlOp x = ir_val(p->f, v)->def, y = ir_val(p->f, inside)->def;
    if (!x.id || !y.id || depth == 0) return false;
    const TdlOpData *a = ir_op(p->f, x), *b = ir_op(p->f, y);
    int64_t j, k;
    if (is_const(p, v, &j) && is_const(p, inside, &k)) return j == k && ty_eq(ir_type(p->f, v), ir_type(p->f, inside));
    if (a->code != b->code || a->noperands != b->noperands || !(op_info(a->code)->flags & OPF_ELEMENTWISE)) return false;
    for (uint32_t i = 0; i < a->noperands; i++)
        if (!same_at(p, a->operands[i], b->operands[i], depth - 1)) return false;
    return true;
}

/* Has an effect on memory, or may have. */
static bool writes(const Places *p, TdlOp o) {
    const TdlOpData *d = ir_op(p->f, o);
    for (uint32_t k = 0; k < d->nregions; k++)
        IR_FOREACH_OP(p->f, d->regions[k], q)
            if (writes(p, q)) return true;
    return d->code == OP_CALL || (op_info(d->code)->flags & OPF_EFFECT && d->code != OP_ASSERT);
}

/* The element that the search compares. */
static TdlOp searched(const Places *p) {
    TdlVal best = ir_op(p->f, ir_terminator(p->f, ir_op(p->f, p->loop)->regions[0]))->operands[0];
    TdlOp select = ir_val(p->f, best)->def;
    TdlOp load = select.id && ir_op(p->f, select)->code == OP_SELECT ? ir_val(p->f, ir_op(p->f, select)->operands[1])->def : (TdlOp){0};
    return load.id && ir_op(p->f, load)->code == OP_LOAD ? load : (TdlOp){0};
}

static bool is_searched(const Places *p, TdlOp load, TdlOp inside) {
    const TdlOpData *a = ir_op(p->f, load), *b = ir_op(p->f, inside);
    if (a->code != OP_LOAD || a->operands[0].id != b->operands[0].id) return false;
    for (uint32_t i = 1; i < a->noperands; i++)
        if (!same_at(p, a->operands[i], b->operands[i], DEPTH)) return false;
    return true;
}

static void forward_loads(Places *p) {
    TdlOp inside = searched(p);
    for (TdlOp o = ir_op(p->f, p->loop)->next; inside.id && o.id && !writes(p, o); o = ir_op(p->f, o)->next) {
        if (!is_searched(p, o, inside)) continue;
        p->known[ir_op(p->f, o)->results[0].id] = p->best;
        VEC_PUSH(p->a, p->dead, o);
    }
}

/* ---- additions ---- */

/* An index: stride * (the loop's) + q + what is the same in all its iterations, q from lo to hi. */
typedef struct { int64_t stride, lo, hi; } Span;

static bool span_sum(Span a, Span b, int64_t sign, Span *s) {
    *s = (Span){a.stride + sign * b.stride, a.lo + (sign > 0 ? b.lo : -b.hi), a.hi + (sign > 0 ? b.hi : -b.lo)};
    return s->stride <= MOST && s->stride >= -MOST && s->lo >= -MOST && s->hi <= MOST;
}

static bool span_of(const Places *p, TdlRegion body, TdlVal v, int depth, Span *s) {
    TdlOp def = ir_val(p->f, v)->def;
    int64_t k;
    Span x, y;
    *s = (Span){0, 0, 0};
    if (v.id == p->at.id) { s->hi = p->extent - 1; return true; }
    if (v.id == ir_region(p->f, body)->args.p[0].id) { s->stride = 1; return true; }
    if (!ir_defined_in(p->f, v, body) || is_const(p, v, &k)) return true;
    if (!def.id || depth == 0) return false;
    const TdlOpData *d = ir_op(p->f, def);
    if (d->code == OP_ADD || d->code == OP_SUB)
        return span_of(p, body, d->operands[0], depth - 1, &x) && span_of(p, body, d->operands[1], depth - 1, &y) &&
               span_sum(x, y, d->code == OP_ADD ? 1 : -1, s);
    TdlVal of;
    if (is_multiple(p, d, &of, &k)) return span_of(p, body, of, depth - 1, &x) && span_sum((Span){k * x.stride, k * x.lo, k * x.hi}, *s, 1, s);
    if (d->noperands != 2 || d->operands[0].id != p->at.id || !is_const(p, d->operands[1], &k) || k < 1) return false;
    s->hi = d->code == OP_FLOORDIV ? (p->extent - 1) / k : (k < p->extent ? k : p->extent) - 1;
    return d->code == OP_FLOORDIV || d->code == OP_MOD;
}

/* Iterations of the loop with that body add to different elements, whose indices `rebuilt` can make. */
static bool is_apart(const Places *p, TdlRegion body, TdlOp store) {
    const TdlOpData *d = ir_op(p->f, store);
    bool apart = false;
    Span s;
    for (uint32_t i = 2; i < d->noperands; i++) {
        if (!span_of(p, body, d->operands[i], DEPTH, &s)) return false;
        apart |= s.hi - s.lo < s.stride;
    }
    return apart;
}

/* Nothing in the body but `load` and `store` touches the buffer, nothing else is written, and nothing is checked: a check of
 * the index allows the place alone, not all that it might be. */
static bool is_alone(const Places *p, TdlRegion body, TdlOp load, TdlOp store, TdlVal buf) {
    IR_FOREACH_OP(p->f, body, o) {
        const TdlOpData *d = ir_op(p->f, o);
        if (o.id == load.id || o.id == store.id) continue;
        if (writes(p, o) || d->code == OP_ASSERT) return false;
        for (uint32_t i = 0; i < d->noperands; i++)
            if (ty_kind(p->m, ir_type(p->f, d->operands[i])) == TY_BUF && ir_viewed(p->f, d->operands[i]).id == buf.id) return false;
        for (uint32_t k = 0; k < d->nregions; k++)
            if (!is_alone(p, d->regions[k], load, store, buf)) return false;
    }
    return true;
}

/* Memory of the function's own, which no other name means. */
static bool is_own_memory(const Places *p, TdlVal buf) {
    TdlOp def = ir_val(p->f, buf)->def;
    return def.id && ir_op(p->f, def)->code == OP_ALLOC && !ir_op(p->f, def)->noperands;
}

/* q of an index with a Span where the place is t. */
static int64_t part_at(const Places *p, TdlRegion body, TdlVal v, int64_t t) {
    TdlOp def = ir_val(p->f, v)->def;
    int64_t k;
    if (v.id == p->at.id) return t;
    if (!def.id || !ir_defined_in(p->f, v, body) || ir_op(p->f, def)->noperands != 2) return 0;
    const TdlOpData *d = ir_op(p->f, def);
    int64_t x = part_at(p, body, d->operands[0], t);
    if (d->code == OP_ADD) return x + part_at(p, body, d->operands[1], t);
    if (d->code == OP_SUB) return x - part_at(p, body, d->operands[1], t);
    TdlVal of;
    if (is_multiple(p, d, &of, &k)) return k * part_at(p, body, of, t);
    return !is_const(p, d->operands[1], &k) ? 0 : d->code == OP_FLOORDIV ? x / k : x % k;
}

/* Different places are different elements: they may all be read before one is written. */
static bool is_injective(const Places *p, TdlRegion body, TdlOp store) {
    const TdlOpData *d = ir_op(p->f, store);
    for (int64_t t = 1; t < p->extent; t++)
        for (int64_t u = 0; u < t; u++) {
            bool same = true;
            for (uint32_t i = 2; i < d->noperands; i++)
                same &= part_at(p, body, d->operands[i], t) == part_at(p, body, d->operands[i], u);
            if (same) return false;
        }
    return true;
}

/* An index with a Span where the place is t. */
static TdlVal rebuilt(const Places *p, TdlBuilder *b, TdlRegion body, TdlVal v, TdlVal t) {
    TdlOp def = ir_val(p->f, v)->def;
    if (v.id == p->at.id) return t;
    if (!def.id || !ir_defined_in(p->f, v, body) || ir_op(p->f, def)->noperands != 2) return v;
    TdlOpcode code = ir_op(p->f, def)->code;
    TdlVal l = ir_op(p->f, def)->operands[0], r = ir_op(p->f, def)->operands[1];
    TdlVal x = rebuilt(p, b, body, l, t), y = rebuilt(p, b, body, r, t);
    return x.id == l.id && y.id == r.id ? v : ir_binary(b, code, x, y);
}

/* What is stored at each place, all read before the first is written: a read behind a write nearby would wait for it. */
static void spread(Places *p, TdlRegion body, TdlOp load, TdlOp store) {
    TdlFunc *f = p->f;
    TdlBuilder b = ir_before(f, store);
    TdlOp add = ir_val(f, ir_op(f, store)->operands[0])->def;
    uint32_t n = ir_op(f, store)->noperands;
    TdlVal *to = ARENA_ARRAY(p->a, TdlVal, n * p->extent);
    TdlType type = ir_type(f, ir_op(f, load)->results[0]);
    for (int64_t t = 0; t < p->extent; t++) {
        TdlVal *o = to + t * n, place = ir_const_int(&b, EL_I64, t);
        o[1] = ir_op(f, store)->operands[1];
        for (uint32_t i = 2; i < n; i++) o[i] = rebuilt(p, &b, body, ir_op(f, store)->operands[i], place);
        TdlVal old = ir_result(f, ir_emit(&b, OP_LOAD, o + 1, n - 1, &type, 1), 0);
        TdlVal x = ir_op(f, add)->operands[0], y = ir_op(f, add)->operands[1], loaded = ir_op(f, load)->results[0];
        TdlVal sum = ir_binary(&b, ir_op(f, add)->code, x.id == loaded.id ? old : x, y.id == loaded.id ? old : y);
        o[0] = ir_emit1(&b, OP_SELECT, (TdlVal[]){ir_binary(&b, OP_EQ, p->at, place), sum, old}, 3);
    }
    for (int64_t t = 0; t < p->extent; t++) ir_emit(&b, OP_STORE, to + t * n, n, NULL, 0);
    ir_remove(f, store);
    ir_remove(f, add);
    ir_remove(f, load);
}

/* One addition in the loop around: behind it that loop has another form. */
static void spread_addition(Places *p) {
    TdlRegion body = ir_op(p->f, p->loop)->parent;
    TdlOp around = ir_region(p->f, body)->parent;
    if (!p->lanes || p->extent > MOST_PLACES || !around.id) return;
    const TdlOpData *l = ir_op(p->f, around);
    if (l->code != OP_FOR || l->noperands != 2 || op_int(p->f, around, "parallel", 0) || op_int(p->f, around, "exit", 0)) return;
    for (TdlOp o = ir_op(p->f, p->loop)->next; o.id; o = ir_op(p->f, o)->next) {
        if (ir_op(p->f, o)->code != OP_STORE) continue;
        TdlOp load = sum_added_to(p->f, p->uses, o);
        TdlVal buf = ir_op(p->f, o)->operands[1];
        if (!load.id || !is_own_memory(p, buf) || !is_apart(p, body, o) || !is_injective(p, body, o) || !is_alone(p, body, load, o, buf)) return;
        spread(p, body, load, o);
        op_set_int(p->f, around, "parallel", 1);
        return;
    }
}

static void visit(Places *p, TdlRegion r) {
    IR_FOREACH_OP(p->f, r, o) {
        for (uint32_t k = 0; k < ir_op(p->f, o)->nregions; k++) visit(p, ir_op(p->f, o)->regions[k]);
        if (!examine_search(p, o)) continue;
        forward_loads(p);
        spread_addition(p);
    }
}

bool pass_places(TdlModule *m, const TdlPassOptions *opt) {
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        TdlFunc *f = m->funcs.p[i];
        uint32_t n = f->vals.n;
        Places p = {.m = m, .f = f, .a = &scratch, .uses = ir_use_counts(f, &scratch), .known = ARENA_ARRAY(&scratch, TdlVal, n + 1)};
        p.lanes = opt->opt_level > 1 && !opt->strict_fp && opt->vector_bytes >= VEC_MASKED;
        visit(&p, f->body);
        if (p.dead.n) ir_replace_all(f, p.known, n);
        for (uint32_t k = 0; k < p.dead.n; k++) ir_remove(f, p.dead.p[k]);
        arena_free(&scratch);
    }
    return true;
}
