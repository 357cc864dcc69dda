/* Inside of pass `bufferize`: what reads an old value goes in front of the update that ends it.
 *
 *   %4 = update %1, %v, %i                        %5 = index %1, %i : f64[b]
 *   %5 = index %1, %i : f64[b]            =>      %6 = update %2, %5, %t
 *   %6 = update %2, %5, %t                        %4 = update %1, %v, %i
 *
 * So %1 is dead where %4 is made, which is in place then. That is how a loop keeps what it overwrites: the reverse
 * sweep's tape is written at the end of the body. What the loop carries is kept as early as can be: a map may write
 * what comes next over what it reads.
 * When: element reads, rows and updates by them, that use a value which an update or a loop in front in the same region
 * took over, or updates by a value that the loop carries. Never across an `assert`, which may be what keeps an index in
 * range, nor where an index is checked here, nor where what is updated was read since: that would need a copy then.
 * Cost: one walk. */
#include "passes/bufferize.h"

typedef struct {
    Bufferize *B;
    TdlOp *taker;       /* value: what took it over in the region where it did; 0: nothing yet */
    uint32_t *used;     /* value: place of the last use of it or of a view of it so far */
    uint32_t *place;    /* op: of two, the one of the lower place is in front; of equal ones it is not known */
    uint32_t now, assert_at;
} Order;

static TdlVal root(const Order *s, TdlVal v) { return s->B->root[v.id]; }

/* The operation in front of which o has to be for the old value that it reads; 0: it reads none. */
static TdlOp ended_by(const Order *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->B->f, o);
    TdlOp first = {0};
    bool update = d->code == OP_UPDATE;
    if ((!update && d->code != OP_INDEX) || !op_int(s->B->f, o, "inbounds", 0)) return first;
    TdlVal read = d->operands[update];
    if (!buf_is_mem(s->B, read) || (update && root(s, read).id == root(s, d->operands[0]).id)) return first;
    TdlOp k = s->taker[root(s, read).id];
    return k.id && ir_op(s->B->f, k)->parent.id == d->parent.id ? k : first;
}

/* The operation in front of which update o keeps what the loop around carries: what comes next can be computed in its
 * memory then; 0: none. */
static TdlOp kept_before(const Order *s, TdlOp o) {
    const TdlFunc *f = s->B->f;
    const TdlOpData *d = ir_op(f, o);
    if (d->code != OP_UPDATE || !op_int(f, o, "inbounds", 0) || !buf_is_mem(s->B, d->operands[1])) return (TdlOp){0};
    TdlVal read = root(s, d->operands[1]);
    bool carried = ir_val(f, read)->region.id == d->parent.id && ir_region(f, d->parent)->parent.id;
    if (!carried || read.id == root(s, d->operands[0]).id) return (TdlOp){0};
    TdlOp last = {0};
    for (uint32_t i = 0; i < d->noperands; i++) {
        TdlOp def = ir_val(f, d->operands[i])->def;
        bool here = def.id && ir_op(f, def)->parent.id == d->parent.id;
        if (here && (!last.id || s->place[def.id] >= s->place[last.id])) last = def;
    }
    TdlOp k = last.id ? ir_op(f, last)->next : ir_region(f, d->parent)->first;
    return k.id == o.id ? (TdlOp){0} : k;
}

/* Are all operands of o there in front of operation k, and what it updates unread since? */
static bool may_precede(const Order *s, TdlOp o, TdlOp k) {
    const TdlFunc *f = s->B->f;
    const TdlOpData *d = ir_op(f, o);
    if (s->assert_at > s->place[k.id]) return false;
    if (d->code == OP_UPDATE && s->used[root(s, d->operands[0]).id] >= s->place[k.id]) return false;
    for (uint32_t i = 0; i < d->noperands; i++) {
        TdlOp def = ir_val(f, d->operands[i])->def;
        if (def.id && s->place[def.id] >= s->place[k.id]) return false;
    }
    return true;
}

static void walk(Order *s, TdlRegion r);

static void visit(Order *s, TdlOp o) {
    Bufferize *B = s->B;
    TdlOp k = ended_by(s, o);
    if (!k.id) k = kept_before(s, o);
    bool early = k.id && may_precede(s, o, k);
    /* All that moves between two operations has the odd place between theirs, whatever its order there. */
    s->place[o.id] = early ? s->place[k.id] - (s->place[k.id] % 2 == 0) : (s->now += 2);
    if (early) ir_move_before(B->f, o, k);
    if (ir_op(B->f, o)->code == OP_ASSERT) s->assert_at = s->now;
    const TdlOpData *d = ir_op(B->f, o);
    for (uint32_t i = 0; i < d->noperands; i++) {
        if (!buf_is_mem(B, d->operands[i])) continue;
        TdlVal v = root(s, d->operands[i]);
        if (s->used[v.id] < s->place[o.id]) s->used[v.id] = s->place[o.id];
        TdlOp known = s->taker[v.id]; /* the first of a region ends it */
        bool first = !known.id || ir_op(B->f, known)->parent.id != d->parent.id;
        if (first && ir_may_consume(d, i) && v.id == d->operands[i].id) s->taker[v.id] = o;
    }
    for (uint32_t i = 0; i < d->nregions; i++) walk(s, ir_op(B->f, o)->regions[i]);
}

static void walk(Order *s, TdlRegion r) {
    IR_FOREACH_OP(s->B->f, r, o) visit(s, o);
}

/* No verifier sees this form of f: is everything made in front of its uses still? */
static void check(const Bufferize *B, TdlRegion r, bool *made) {
    IR_FOREACH_OP(B->f, r, o) {
        const TdlOpData *d = ir_op(B->f, o);
        for (uint32_t i = 0; i < d->noperands; i++) {
            TdlOp def = ir_val(B->f, d->operands[i])->def;
            if (def.id && !made[def.id])
                diag_error(B->m->diags, d->span, "bufferize: internal error: operand %u of %s is made behind it", i,
                           op_info(d->code)->name);
        }
        for (uint32_t i = 0; i < d->nregions; i++) check(B, d->regions[i], made);
        made[o.id] = true;
    }
}

void buf_order(Bufferize *B) {
    Order s = {.B = B};
    s.taker = ARENA_ARRAY(B->a, TdlOp, B->f->vals.n);
    s.used = ARENA_ARRAY(B->a, uint32_t, B->f->vals.n);
    s.place = ARENA_ARRAY(B->a, uint32_t, B->f->ops.n);
    walk(&s, B->f->body);
    check(B, B->f->body, ARENA_ARRAY(B->a, bool, B->f->ops.n));
}
