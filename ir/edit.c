/* Changing functions in place: unlinking, moving, replacing uses, growing operations. */
#include "ir/ir.h"

#include <string.h>

static void unlink_op(TdlFunc *f, TdlOp o) {
    TdlOpData *d = ir_op(f, o);
    TdlRegionData *r = ir_region(f, d->parent);
    if (d->prev.id) ir_op(f, d->prev)->next = d->next;
    else r->first = d->next;
    if (d->next.id) ir_op(f, d->next)->prev = d->prev;
    else r->last = d->prev;
}

/* Marks an operation and all that is nested in it as removed. */
static void kill(TdlFunc *f, TdlOp o) {
    TdlOpData *d = ir_op(f, o);
    d->code = OP_NONE;
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(f, d->regions[i])->first; p.id; p = ir_op(f, p)->next) kill(f, p);
}

void ir_remove(TdlFunc *f, TdlOp o) {
    if (ir_op(f, o)->code == OP_NONE) return;
    unlink_op(f, o);
    kill(f, o);
}

void ir_move_before(TdlFunc *f, TdlOp o, TdlOp before) {
    if (o.id == before.id) return;
    unlink_op(f, o);
    TdlOpData *d = ir_op(f, o), *n = ir_op(f, before);
    d->parent = n->parent;
    d->prev = n->prev;
    d->next = before;
    if (d->prev.id) ir_op(f, d->prev)->next = o;
    else ir_region(f, d->parent)->first = o;
    n->prev = o;
}

void ir_move_to_end(TdlFunc *f, TdlOp o, TdlRegion r) {
    unlink_op(f, o);
    TdlOpData *d = ir_op(f, o);
    TdlRegionData *rd = ir_region(f, r);
    d->parent = r;
    d->prev = rd->last;
    d->next = (TdlOp){0};
    if (d->prev.id) ir_op(f, d->prev)->next = o;
    else rd->first = o;
    rd->last = o;
}

void ir_replace_uses(TdlFunc *f, TdlVal from, TdlVal to) {
    for (uint32_t i = 1; i < f->ops.n; i++) {
        TdlOpData *d = &f->ops.p[i];
        if (d->code == OP_NONE) continue;
        for (uint16_t k = 0; k < d->noperands; k++)
            if (d->operands[k].id == from.id) d->operands[k] = to;
    }
}

/* The end of v's chain of replacements. */
static TdlVal chase(const TdlVal *map, uint32_t n, TdlVal v) {
    while (v.id < n && map[v.id].id && map[v.id].id != v.id) v = map[v.id];
    return v;
}

void ir_replace_all(TdlFunc *f, const TdlVal *map, uint32_t n) {
    /* Long chains are walked once: `end` remembers where each starts leading to. */
    TdlArena scratch;
    arena_init_like(&scratch, f->module->arena);
    TdlVal *end = ARENA_ARRAY(&scratch, TdlVal, n);
    if (n) memcpy(end, map, n * sizeof *end);
    for (uint32_t i = 1; i < f->ops.n; i++) {
        TdlOpData *d = &f->ops.p[i];
        if (d->code == OP_NONE) continue;
        for (uint16_t k = 0; k < d->noperands; k++) {
            TdlVal v = d->operands[k];
            if (v.id >= n || !end[v.id].id) continue;
            TdlVal last = chase(end, n, v);
            for (TdlVal u = v; u.id < n && end[u.id].id && u.id != last.id;) {
                TdlVal next = end[u.id];
                end[u.id] = last;
                u = next;
            }
            d->operands[k] = last;
        }
    }
    arena_free(&scratch);
}

TdlVal ir_insert_result(TdlFunc *f, TdlOp o, uint32_t at, TdlType t) {
    TdlArena *a = f->module->arena;
    TdlVal v = {f->vals.n};
    uint16_t n = ir_op(f, o)->nresults;
    VEC_PUSH(a, f->vals, ((TdlValData){.type = t, .def = o, .index = at}));
    TdlVal *all = ARENA_ARRAY(a, TdlVal, n + 1), *old = ir_op(f, o)->results;
    for (uint32_t i = 0; i < at; i++) all[i] = old[i];
    all[at] = v;
    for (uint32_t i = at; i < n; i++) {
        all[i + 1] = old[i];
        ir_val(f, old[i])->index = i + 1;
    }
    ir_op(f, o)->results = all;
    ir_op(f, o)->nresults++;
    return v;
}

TdlVal ir_add_result(TdlFunc *f, TdlOp o, TdlType t) { return ir_insert_result(f, o, ir_op(f, o)->nresults, t); }

TdlVal ir_renew_result(TdlFunc *f, TdlOp o, uint32_t i, TdlType t) {
    TdlVal v = {f->vals.n};
    VEC_PUSH(f->module->arena, f->vals, ((TdlValData){.type = t, .def = o, .index = i}));
    ir_op(f, o)->results[i] = v;
    return v;
}

void ir_take_result(TdlFunc *f, TdlOp o, TdlVal v) {
    TdlOpData *d = ir_op(f, o);
    TdlVal *all = ARENA_ARRAY(f->module->arena, TdlVal, d->nresults + 1u);
    if (d->nresults) memcpy(all, d->results, d->nresults * sizeof *all);
    ir_val(f, v)->def = o;
    ir_val(f, v)->index = d->nresults;
    all[d->nresults++] = v;
    d->results = all;
}

void ir_add_operand(TdlFunc *f, TdlOp o, TdlVal v) {
    TdlOpData *d = ir_op(f, o);
    TdlVal *all = ARENA_ARRAY(f->module->arena, TdlVal, d->noperands + 1);
    if (d->noperands) memcpy(all, d->operands, d->noperands * sizeof *all);
    all[d->noperands++] = v;
    d->operands = all;
}

void ir_set_operands(TdlFunc *f, TdlOp o, const TdlVal *v, uint32_t n) {
    TdlVal *all = arena_memdup(f->module->arena, v, n * sizeof *v);
    ir_op(f, o)->operands = all;
    ir_op(f, o)->noperands = (uint16_t)n;
}

void ir_keep_results(TdlFunc *f, TdlOp o, const bool *keep) {
    TdlOpData *d = ir_op(f, o);
    uint16_t n = 0;
    for (uint16_t i = 0; i < d->nresults; i++) {
        if (!keep[i]) continue;
        ir_val(f, d->results[i])->index = n;
        d->results[n++] = d->results[i];
    }
    d->nresults = n;
}

void ir_keep_args(TdlFunc *f, TdlRegion r, const bool *keep) {
    TdlRegionData *d = ir_region(f, r);
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->args.n; i++) {
        if (!keep[i]) continue;
        ir_val(f, d->args.p[i])->index = n;
        d->args.p[n++] = d->args.p[i];
    }
    d->args.n = n;
}

uint32_t *ir_use_counts(const TdlFunc *f, TdlArena *scratch) {
    uint32_t *uses = ARENA_ARRAY(scratch, uint32_t, f->vals.n);
    for (uint32_t i = 1; i < f->ops.n; i++) {
        const TdlOpData *d = &f->ops.p[i];
        if (d->code == OP_NONE) continue;
        for (uint16_t k = 0; k < d->noperands; k++) uses[d->operands[k].id]++;
    }
    return uses;
}
