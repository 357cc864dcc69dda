/* What a reverse region reads of its primal region: computed again there, or saved by the forward region.
 *
 *     for (%i, %y) { %e = index %y, %j   %s = sin %e   ... }        reverse reads %s
 *
 * %e depends on a carried value and is saved (one scalar an iteration, never the tensor %y), %s computed again from it.
 * adjoint_cut.c chooses. */
#include "passes/adjoint.h"
#include <string.h>

static bool local(const Adj *a, const AdjNeed *n, TdlVal v) { return ir_region_of(a->f, v).id == n->from.id; }

/* Of a function's body: what is not to be computed again, parameters, what does not count, and the reverse itself. */
static bool at_hand_in_body(const Adj *a, const AdjNeed *n, TdlVal v) {
    TdlOp o = adj_def(a, v);
    return !o.id || o.id >= n->nprimal || !n->primal[o.id] || adj_is_small(a, v);
}

bool adj_at_hand(const Adj *a, const AdjNeed *n, TdlVal v) {
    if (n->primal && at_hand_in_body(a, n, v)) return true;
    return !local(a, n, v) || valmap_get(n->map, v).id != v.id;
}

/* ---- dimension variables of the primal region that the reverse mentions ---- */

static TdlSym newdim_sym(Adj *a, TdlOp newdim) { return intern(a->m->names, op_attr(a->f, newdim, "sym")->s); }

bool adj_can_save(Adj *a, const AdjNeed *n, TdlVal v) {
    TdlType t = adj_type(a, v);
    if (ty_kind(a->m, t) != TY_TENSOR) return false;
    for (uint32_t i = 0; i < n->newdims.n; i++)
        if (ty_mentions(a->m, t, newdim_sym(a, n->newdims.p[i]))) return false;
    return true;
}

void adj_note_saved(Adj *a, TdlOp o, const char *how) {
    if (o.id) op_set_str(a->f, o, "saved", how, (uint32_t)strlen(how));
}

/* Regions whose terminators give the results of o, from the first to the last one. */
static uint32_t first_giver(const Adj *a, TdlOp o) {
    const TdlOpData *d = ir_op(a->f, o);
    if (d->code == OP_FOR || d->code == OP_WHILE) return d->nregions - 1u;
    return d->code == OP_IF || d->code == OP_CHECKPOINT ? 0 : d->nregions;
}

static TdlVal given(const Adj *a, TdlOp o, uint32_t region, TdlVal result) {
    return adj_arg(a, ir_terminator(a->f, ir_op(a->f, o)->regions[region]), ir_val(a->f, result)->index);
}

TdlSpan adj_place(Adj *a, TdlVal v, TdlSpan other) {
    TdlOp o = adj_def(a, v);
    if (!o.id) return other;
    uint32_t i = first_giver(a, o);
    other = ir_op(a->f, o)->span;
    return i < ir_op(a->f, o)->nregions ? adj_place(a, given(a, o, i, v), other) : other;
}

void adj_note_value(Adj *a, TdlVal v) {
    TdlOp o = adj_def(a, v);
    if (!o.id || op_attr(a->f, o, "saved")) return;
    uint32_t first = first_giver(a, o), n = ir_op(a->f, o)->nregions;
    if (first == n && ir_op(a->f, o)->code != OP_WITHACC) adj_note_saved(a, o, "value");
    for (uint32_t i = first; i < n; i++) {
        TdlVal y = given(a, o, i, v);
        if (ir_defined_in(a->f, y, ir_op(a->f, o)->regions[i])) adj_note_value(a, y);
    }
}

/* What costs nothing is not worth a word. */
static void note_redone(void *user, TdlFunc *f, TdlOp o) {
    TdlOpcode c = ir_op(f, o)->code;
    bool free = c == OP_CONST || c == OP_DIM || c == OP_NEWDIM || c == OP_UNDEF || c == OP_IOTA || c == OP_BROADCAST;
    if (!free && !(op_info(c)->flags & OPF_TERMINATOR) && !op_attr(f, o, "redone")) op_set_int(f, o, "redone", *(int *)user);
}

static void note(Adj *a, TdlOp o, int how) {
    note_redone(&how, a->f, o);
    for (uint32_t i = 0; i < ir_op(a->f, o)->nregions; i++) ir_walk(a->f, ir_op(a->f, o)->regions[i], note_redone, &how);
}

void adj_note_redone(Adj *a, TdlOp o) { note(a, o, 1); }

void adj_note_body(Adj *a, TdlOp last) {
    for (TdlOp o = last; o.id; o = ir_op(a->f, o)->prev) note(a, o, 2);
}

static void provide(Adj *a, AdjNeed *n, TdlVal v);
static void provide_newdims(Adj *a, AdjNeed *n, TdlOp o);

/* Clones the operation that makes v into the reverse, after everything of the primal region that it reads. */
static void compute_again(Adj *a, AdjNeed *n, TdlOp o) {
    uint32_t nops = ir_op(a->f, o)->noperands, nregions = ir_op(a->f, o)->nregions;
    for (uint32_t i = 0; i < nops; i++) provide(a, n, adj_arg(a, o, i));
    for (uint32_t i = 0; i < nregions; i++) {
        TdlVals free = {0};
        ir_free_vals(a->f, ir_op(a->f, o)->regions[i], a->arena, &free);
        for (uint32_t k = 0; k < free.n; k++) provide(a, n, free.p[k]);
    }
    if (ir_op(a->f, o)->code != OP_NEWDIM)
        provide_newdims(a, n, o);
    if (nregions) VEC_PUSH(a->arena, n->again, o);
    TdlOp redone = ir_clone_op(&n->b, a->f, o, n->map, NULL);
    adj_strip(a, redone);
    adj_note_redone(a, redone);
}

/* The dimension variables of the primal region that `o` mentions are defined, under their names, in the reverse too. */
static void provide_newdims(Adj *a, AdjNeed *n, TdlOp o) {
    for (uint32_t i = 0; i < n->newdims.n; i++) {
        TdlOp nd = n->newdims.p[i];
        if (adj_at_hand(a, n, adj_res(a, nd, 0))) continue;
        if (ir_mentions(a->f, o, newdim_sym(a, nd))) compute_again(a, n, nd);
    }
}

static AdjChoice choice(const Adj *a, TdlVal v) { return v.id < a->cut.n ? (AdjChoice)a->cut.p[v.id] : ADJ_UNREAD; }

static void provide(Adj *a, AdjNeed *n, TdlVal v) {
    if (adj_at_hand(a, n, v) || ty_kind(a->m, adj_type(a, v)) == TY_ACC) return; /* additions are not done again */
    TdlOp o = adj_def(a, v);
    if (o.id && (choice(a, v) == ADJ_AGAIN || !adj_can_save(a, n, v))) compute_again(a, n, o);
    else valmap_set(n->map, v, n->save(a, n, v));
}

/* ---- what is read ---- */

typedef struct { Adj *a; AdjNeed *n; } Scan;

static void scan_val(Scan *s, TdlVal v) {
    Adj *a = s->a;
    if (!local(a, s->n, v)) return;
    adj_mark_value(a, v);
}

static void scan_op(void *user, TdlFunc *f, TdlOp o) {
    Scan *s = user;
    const TdlOpData *d = ir_op(f, o);
    for (uint32_t i = 0; i < d->noperands; i++) scan_val(s, d->operands[i]);
}

/* Calls fn on every operation of the reverse. */
static void walk_reverse(Adj *a, AdjNeed *n, void (*fn)(void *, TdlFunc *, TdlOp), void *user) {
    for (TdlOp o = n->first; o.id; o = ir_op(a->f, o)->next) {
        fn(user, a->f, o);
        for (uint32_t i = 0; i < ir_op(a->f, o)->nregions; i++) ir_walk(a->f, ir_op(a->f, o)->regions[i], fn, user);
    }
}

static void rewrite_op(void *user, TdlFunc *f, TdlOp o) {
    Scan *s = user;
    TdlOpData *d = ir_op(f, o);
    for (uint32_t i = 0; i < d->noperands; i++) d->operands[i] = valmap_get(s->n->map, d->operands[i]);
}

/* ---- the whole ---- */

/* What is read of the results of `o`; when one of them is computed again the others are at hand. */
static void provide_results(Adj *a, AdjNeed *n, TdlOp o) {
    for (AdjChoice c = ADJ_AGAIN; c != ADJ_UNREAD; c--)
        for (uint32_t i = 0; i < ir_op(a->f, o)->nresults; i++)
            if (choice(a, adj_res(a, o, i)) == c) provide(a, n, adj_res(a, o, i));
}

static void forget_val(AdjNeed *n, TdlVal v) {
    if (v.id < n->map->n) n->map->p[v.id] = (TdlVal){0};
}

static void forget_args(AdjNeed *n, const TdlFunc *f, TdlRegion r) {
    for (uint32_t i = 0; i < ir_region(f, r)->args.n; i++) forget_val(n, ir_region(f, r)->args.p[i]);
}

static void forget_op(void *user, TdlFunc *f, TdlOp o) {
    const TdlOpData *d = ir_op(f, o);
    for (uint32_t i = 0; i < d->nresults; i++) forget_val(user, d->results[i]);
    for (uint32_t i = 0; i < d->nregions; i++) forget_args(user, f, d->regions[i]);
}

/* The map is shared by all regions: empties it again. */
static void forget(Adj *a, AdjNeed *n) {
    forget_args(n, a->f, n->from);
    IR_FOREACH_OP(a->f, n->from, o) forget_op(n, a->f, o);
    for (uint32_t i = 0; i < n->again.n; i++)
        for (uint32_t k = 0; k < ir_op(a->f, n->again.p[i])->nregions; k++)
            ir_walk(a->f, ir_op(a->f, n->again.p[i])->regions[k], forget_op, n);
    for (uint32_t i = 0; i < n->chosen.n; i++) a->cut.p[n->chosen.p[i].id] = ADJ_UNREAD;
}

void adj_need(Adj *a, AdjNeed *n) {
    if (!n->first.id) return;
    Scan s = {.a = a, .n = n};
    adj_begin_marks(a);
    walk_reverse(a, n, scan_op, &s);
    n->map = &a->needs;
    n->b = ir_before(a->f, n->first);
    const TdlRegionData *r = ir_region(a->f, n->from);
    uint32_t nargs = r->args.n;
    for (uint32_t i = 0; i < nargs; i++)
        if (n->args && n->args[i].id) valmap_set(n->map, ir_region(a->f, n->from)->args.p[i], n->args[i]);
    IR_FOREACH_OP(a->f, n->from, o)
        if (ir_op(a->f, o)->code == OP_NEWDIM) VEC_PUSH(a->arena, n->newdims, o);
    adj_cut(a, n);
    if (n->newdims.n)
        for (TdlOp o = n->first; o.id; o = ir_op(a->f, o)->next) provide_newdims(a, n, o);
    for (uint32_t i = 0; i < nargs; i++) {
        TdlVal v = ir_region(a->f, n->from)->args.p[i];
        if (choice(a, v)) provide(a, n, v);
    }
    IR_FOREACH_OP(a->f, n->from, o) provide_results(a, n, o);
    walk_reverse(a, n, rewrite_op, &s);
    forget(a, n);
}
