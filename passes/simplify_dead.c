/* Removing what nothing needs. Liveness starts from effects and from what the function returns, and spreads from
 * values to what computes them; a carried value of a loop lives when its result or its argument does, an addition to
 * an accumulator when the accumulator does. Operations, results, carried values and accumulators that stay dead go. */
#include "passes/simplify.h"
#include "support/idmap.h"

#include <string.h>

typedef struct {
    Simplify *s;
    TdlFunc *f;
    bool *val, *op;             /* live, by id */
    uint32_t nval;
    TdlVals work;               /* live values whose definitions are to be marked */
    TDL_VEC(TdlOp) ops;         /* likewise operations */
    uint32_t *adds, *next;      /* accadd operations of an accumulator: by value id, by operation id */
    TdlIdMap newdims;           /* dimension symbol to a `newdim` of it; `next` has the others */
} Live;

static void mark_val(Live *l, TdlVal v) {
    if (l->val[v.id]) return;
    l->val[v.id] = true;
    VEC_PUSH(&l->s->scratch, l->work, v);
}

static void mark_op(Live *l, TdlOp o) {
    if (l->op[o.id]) return;
    l->op[o.id] = true;
    VEC_PUSH(&l->s->scratch, l->ops, o);
}

static TdlOp yield_of(const Live *l, TdlOp o, uint16_t region) { return ir_terminator(l->f, ir_op(l->f, o)->regions[region]); }

static void mark_yield(Live *l, TdlOp o, uint16_t region, uint32_t i) {
    TdlOp y = yield_of(l, o, region);
    if (y.id && i < ir_op(l->f, y)->noperands) mark_val(l, ir_op(l->f, y)->operands[i]);
}

/* ---- dimension variables: a live type keeps the `newdim` it mentions ---- */

static void mark_newdim(void *user, TdlSym var) {
    Live *l = user;
    TdlOp o = {idmap_get(&l->newdims, var.id)};
    for (; o.id; o.id = l->next[o.id]) mark_op(l, o);
}

static void mark_type(Live *l, TdlType t) {
    TdlModule *m = l->s->m;
    if (!l->newdims.n || !t.id) return;
    for (uint32_t i = 0; i < ty_rank(m, t); i++) dim_vars(m, ty_dims(m, t)[i], mark_newdim, l);
    for (uint32_t i = 0; i < ty_stack_n(m, t); i++) mark_type(l, ty_stack_elem(m, t, i));
}

static void mark_dims_of(Live *l, TdlOp o) {
    const TdlOpData *d = ir_op(l->f, o);
    TdlModule *m = l->s->m;
    if (!l->newdims.n) return;
    for (uint16_t i = 0; i < d->nresults; i++) mark_type(l, ir_type(l->f, d->results[i]));
    for (uint16_t i = 0; i < d->nattrs; i++) {
        if (d->attrs[i].kind == ATTR_DIM) dim_vars(m, d->attrs[i].dim, mark_newdim, l);
        if (d->attrs[i].kind == ATTR_TYPE) mark_type(l, d->attrs[i].type);
        for (uint32_t k = 0; d->attrs[i].kind == ATTR_DIMS && k < d->attrs[i].n; k++)
            dim_vars(m, d->attrs[i].dims[k], mark_newdim, l);
    }
}

/* ---- spreading ---- */

static void mark_operands(Live *l, TdlOp o, uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to && i < ir_op(l->f, o)->noperands; i++) mark_val(l, ir_op(l->f, o)->operands[i]);
}

/* A live operation needs what decides whether, and how often, it runs. */
static void spread_op(Live *l, TdlOp o) {
    const TdlOpData *d = ir_op(l->f, o);
    TdlOp parent = ir_region(l->f, d->parent)->parent;
    if (parent.id) mark_op(l, parent);
    mark_dims_of(l, o);
    switch (d->code) {
    case OP_MAP: mark_operands(l, o, 0, UINT32_MAX); break;
    case OP_REDUCE:
        mark_operands(l, o, 0, UINT32_MAX);
        mark_yield(l, o, 0, 0);
        mark_yield(l, o, 0, 1);
        break;
    case OP_FOR:
        mark_operands(l, o, 0, 2);
        if (op_int(l->f, o, "exit", 0)) mark_yield(l, o, 0, 0);
        break;
    case OP_WHILE: mark_yield(l, o, 0, 0); break;
    case OP_IF: mark_operands(l, o, 0, 1); break;
    case OP_WITHACC: case OP_CHECKPOINT: break;
    default: mark_operands(l, o, 0, UINT32_MAX);
    }
}

/* Carried value i of a loop: where it starts, and what it becomes. */
static void spread_carried(Live *l, TdlOp o, uint32_t i) {
    bool is_for = ir_op(l->f, o)->code == OP_FOR;
    uint32_t exit = is_for && op_int(l->f, o, "exit", 0);
    mark_operands(l, o, i + (is_for ? 2 : 0), i + (is_for ? 3 : 1));
    mark_yield(l, o, is_for ? 0 : 1, i + exit);
}

static void spread_acc(Live *l, TdlOp with, uint32_t i) {
    mark_operands(l, with, i, i + 1);
    TdlVal acc = ir_region(l->f, ir_op(l->f, with)->regions[0])->args.p[i];
    l->val[acc.id] = true;
    for (uint32_t k = l->adds[acc.id]; k; k = l->next[k]) mark_op(l, (TdlOp){k});
}

static void spread_val(Live *l, TdlVal v) {
    const TdlValData *d = ir_val(l->f, v);
    TdlOp o = d->def.id ? d->def : ir_region(l->f, d->region)->parent;
    uint32_t i = d->index;
    if (!o.id) return; /* a parameter */
    mark_op(l, o);
    if (!l->op[o.id]) return;
    switch (ir_op(l->f, o)->code) {
    case OP_MAP:
        if (d->def.id) mark_yield(l, o, 0, i);
        break;
    case OP_CHECKPOINT: mark_yield(l, o, 0, i); break;
    case OP_IF:
        mark_yield(l, o, 0, i);
        mark_yield(l, o, 1, i);
        break;
    case OP_FOR: {
        uint32_t skip = d->def.id ? op_int(l->f, o, "exit", 0) != 0 : 1; /* the count; the index */
        if (i >= skip) spread_carried(l, o, i - skip);
        break;
    }
    case OP_WHILE: spread_carried(l, o, i); break;
    case OP_WITHACC: {
        uint32_t n = ir_op(l->f, o)->noperands;
        if (d->def.id && i >= n) mark_yield(l, o, 0, i - n);
        else spread_acc(l, o, i);
        break;
    }
    default: break;
    }
}

/* ---- roots ---- */

static bool is_root(const Live *l, TdlOp o) {
    const TdlOpData *d = ir_op(l->f, o);
    if (d->code == OP_CALL) return ir_call_has_effect(l->f, o);
    if (d->code == OP_RETURN) return true;
    return !(op_info(d->code)->flags & (OPF_PURE | OPF_TERMINATOR)) && d->code != OP_ACCADD;
}

static void find_roots(Live *l) {
    for (uint32_t i = 1; i < l->f->ops.n; i++) {
        TdlOp o = {i};
        const TdlOpData *d = ir_op(l->f, o);
        if (d->code == OP_NONE) continue;
        const char *sym = d->code == OP_NEWDIM ? op_str(l->f, o, "sym") : NULL;
        if (sym) {
            uint32_t *newest = idmap_at(&l->s->scratch, &l->newdims, intern(l->s->m->names, sym).id);
            l->next[i] = *newest;
            *newest = i;
        }
        if (d->code == OP_ACCADD) {
            TdlVal acc = d->operands[0];
            l->next[i] = l->adds[acc.id];
            l->adds[acc.id] = i;
        }
        if (is_root(l, o)) mark_op(l, o);
    }
    for (uint32_t i = 0; i < l->f->results.n; i++) mark_type(l, l->f->results.p[i].type);
}

/* ---- removing ---- */

/* Keeps values i of the yield of a region where keep[i]. */
static void keep_yields(Live *l, TdlOp o, uint16_t region, const bool *keep) {
    TdlOp y = yield_of(l, o, region);
    TdlVals kept = {0};
    for (uint16_t i = 0; i < ir_op(l->f, y)->noperands; i++)
        if (keep[i]) VEC_PUSH(&l->s->scratch, kept, ir_op(l->f, y)->operands[i]);
    ir_set_operands(l->f, y, kept.p, kept.n);
}

static void keep_operands(Live *l, TdlOp o, const bool *keep) {
    TdlVals kept = {0};
    for (uint16_t i = 0; i < ir_op(l->f, o)->noperands; i++)
        if (keep[i]) VEC_PUSH(&l->s->scratch, kept, ir_op(l->f, o)->operands[i]);
    ir_set_operands(l->f, o, kept.p, kept.n);
}

static bool all(const bool *keep, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (!keep[i]) return false;
    return true;
}

static bool *flags(Live *l, uint32_t n) {
    bool *p = ARENA_ARRAY(&l->s->scratch, bool, n);
    memset(p, true, n);
    return p;
}

static void trim_results(Live *l, TdlOp o) {
    uint16_t n = ir_op(l->f, o)->nresults;
    bool *keep = flags(l, n);
    for (uint16_t i = 0; i < n; i++) keep[i] = l->val[ir_result(l->f, o, i).id];
    if (all(keep, n)) return;
    for (uint16_t i = 0; i < ir_op(l->f, o)->nregions; i++) keep_yields(l, o, i, keep);
    ir_keep_results(l->f, o, keep);
    l->s->changed = true;
}

static void trim_loop(Live *l, TdlOp o) {
    bool is_for = ir_op(l->f, o)->code == OP_FOR;
    uint32_t skip = is_for ? 2 : 0, index = is_for ? 1 : 0, exit = is_for && op_int(l->f, o, "exit", 0);
    uint32_t n = ir_op(l->f, o)->noperands - skip;
    bool *operands = flags(l, n + skip), *args = flags(l, n + index), *rest = flags(l, n + exit), any = false;
    for (uint32_t i = 0; i < n; i++) {
        bool live = l->val[ir_result(l->f, o, i + exit).id];
        for (uint16_t r = 0; r < ir_op(l->f, o)->nregions; r++)
            live |= l->val[ir_region(l->f, ir_op(l->f, o)->regions[r])->args.p[i + index].id];
        operands[i + skip] = args[i + index] = rest[i + exit] = live;
        any |= !live;
    }
    if (!any) return;
    keep_operands(l, o, operands);
    keep_yields(l, o, is_for ? 0 : 1, rest);
    for (uint16_t r = 0; r < ir_op(l->f, o)->nregions; r++) ir_keep_args(l->f, ir_op(l->f, o)->regions[r], args);
    ir_keep_results(l->f, o, rest);
    l->s->changed = true;
}

/* An accumulator without additions is its start, too. */
static void trim_withacc(Live *l, TdlOp o) {
    TdlRegion body = ir_op(l->f, o)->regions[0];
    uint32_t n = ir_op(l->f, o)->noperands, all_n = ir_op(l->f, o)->nresults;
    bool *results = flags(l, all_n), *accs = flags(l, n), *extras = flags(l, all_n - n);
    for (uint32_t i = 0; i < all_n; i++) {
        results[i] = l->val[ir_result(l->f, o, i).id];
        if (i >= n) extras[i - n] = results[i];
        else accs[i] = results[i];
    }
    if (all(results, all_n)) return;
    keep_yields(l, o, 0, extras);
    keep_operands(l, o, accs);
    ir_keep_args(l->f, body, accs);
    ir_keep_results(l->f, o, results);
    l->s->changed = true;
}

static void sweep(Live *l, TdlRegion r) {
    IR_FOREACH_OP(l->f, r, o) {
        const TdlOpData *d = ir_op(l->f, o);
        if (op_info(d->code)->flags & OPF_TERMINATOR) continue;
        if (!l->op[o.id]) {
            ir_remove(l->f, o);
            l->s->changed = true;
            continue;
        }
        switch (d->code) {
        case OP_MAP: case OP_IF: case OP_CHECKPOINT: trim_results(l, o); break;
        case OP_FOR: case OP_WHILE: trim_loop(l, o); break;
        case OP_WITHACC: trim_withacc(l, o); break;
        default: break;
        }
        for (uint16_t i = 0; i < ir_op(l->f, o)->nregions; i++) sweep(l, ir_op(l->f, o)->regions[i]);
    }
}

/* An accumulator that nothing is added to: its result is its start. Found before liveness, so that it goes at once. */
static void plain_accs(Live *l) {
    TdlVal *map = NULL;
    for (uint32_t k = 1; k < l->f->ops.n; k++) {
        TdlOp o = {k};
        if (ir_op(l->f, o)->code != OP_WITHACC) continue;
        for (uint32_t i = 0; i < ir_op(l->f, o)->noperands; i++) {
            if (l->adds[ir_region(l->f, ir_op(l->f, o)->regions[0])->args.p[i].id]) continue;
            if (!map) map = ARENA_ARRAY(&l->s->scratch, TdlVal, l->nval);
            map[ir_result(l->f, o, i).id] = ir_op(l->f, o)->operands[i];
        }
    }
    if (map) ir_replace_all(l->f, map, l->nval);
}

void sm_dead(Simplify *s) {
    TdlFunc *f = s->f;
    Live l = {.s = s, .f = f, .nval = f->vals.n};
    l.val = ARENA_ARRAY(&s->scratch, bool, f->vals.n);
    l.op = ARENA_ARRAY(&s->scratch, bool, f->ops.n);
    l.adds = ARENA_ARRAY(&s->scratch, uint32_t, f->vals.n);
    l.next = ARENA_ARRAY(&s->scratch, uint32_t, f->ops.n);
    find_roots(&l);
    plain_accs(&l);
    while (l.work.n || l.ops.n) {
        if (l.ops.n) spread_op(&l, VEC_POP(l.ops));
        else spread_val(&l, VEC_POP(l.work));
    }
    sweep(&l, f->body);
}
