/* fuse: loops side by side become one, and what passes between them at the same index is no tensor any more.
 *
 *     %2 = map %1 {(%3) ...; yield %4}                    %5 = reduce %1 {(%6)
 *     %5 = reduce %1 {(%6)                          =>      ...
 *       %7 = index %2, %6; ... index %2, %6               ... %4 ... %4 ...}
 *
 * The loops: `map`; the sum of scalars by `reduce`; a `withacc` around one map that only adds to its accumulators (a
 * reverse sweep). Results that are used elsewhere too stay results; sums become accumulators where something else comes
 * out of the loop. Extents that are not shared stay as loops inside.
 * When: the leading extents are equal; everything that one reads of another is at its own leading index; nothing that
 * one needs comes from something in between that needs the other; and they are related: one reads what another made, or
 * all that they compute is at the index of a tensor that both read.
 * Never: where an assert or print would see another order than before; where a tensor would be read after it could have
 * been overwritten in place; with contractions, sorts and calls; sums of sums, or two loops that add to one accumulator,
 * with strict_fp (they would add in another order); where accumulators that a nest of its own keeps one row at a time
 * would be live whole and no longer fit the cache (fits_cache); where LLVM would lose an elementwise loop that it
 * vectorises by itself (breaks_rows); beyond MAX_SIZE operations.
 * Cost: the operations of a region are looked at once, MERGE_CLUSTERS loops at a time; sets of loops are bits. */
#include "passes/fuse_merge.h"

#include <string.h>

enum {
    MAX_SIZE = 512, MAX_MEMBERS = 32, MAX_READS = 16,
    MIN_ROW = 32,       /* elements */
    CACHE = 1 << 20,    /* bytes: a second-level cache */
};

/* ---- what an operation holds ---- */

typedef struct { uint32_t size, depth, deepest; bool effect, never, function, scatters, open; } Survey;

/* The iterations of a `map` or `reduce` by the extents from number `first` on; 0: not known. */
static int64_t known_rows(const TdlFunc *f, TdlOp loop, uint32_t first) {
    const TdlOpData *d = ir_op(f, loop);
    int64_t rows = 1, n = 0;
    if (d->code != OP_MAP && d->code != OP_REDUCE) return 0;
    for (uint32_t i = first; i < d->noperands; i++) {
        TdlDim e = fuse_extent(f, d->operands[i]);
        if (!e.id || !dim_is_const(f->module, e, &n) || n < 1 || n >= MIN_ROW) return 0;
        rows *= n;
    }
    return rows < MIN_ROW ? rows : 0;
}

static void survey(const TdlFunc *f, TdlOp o, TdlVal index, Survey *s) {
    const TdlOpData *d = ir_op(f, o);
    s->size++;
    if (((op_info(d->code)->flags & OPF_EFFECT) && d->code != OP_ACCADD) || d->code == OP_CALL) s->effect = true;
    if (d->code == OP_DOT || d->code == OP_CORRELATE || d->code == OP_SORT || d->code == OP_CHECKPOINT) s->never = true;
    if ((op_info(d->code)->flags & OPF_FUNCTION) && !s->depth) s->function = true;
    if (d->code == OP_ACCADD && d->noperands > 2 && d->operands[2].id != index.id) s->scatters = true;
    bool loop = fuse_is_loop(d->code);
    s->open |= loop && !known_rows(f, o, 0);
    s->depth += loop;
    if (s->depth > s->deepest) s->deepest = s->depth;
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(f, d->regions[i])->first; p.id; p = ir_op(f, p)->next) survey(f, p, index, s);
    s->depth -= loop;
}

static TdlOp loop_of(const FuseCtx *c, TdlOp o) {
    const TdlFunc *f = c->f;
    const TdlOpData *d = ir_op(f, o);
    TdlOp loop = {0};
    if (d->code == OP_WITHACC) loop = fuse_loop_in(f, o);
    else if (d->code == OP_MAP) loop = o;
    else if (fuse_is_sum(f, o) && ty_is_scalar(c->m, ir_type(f, d->results[0])) && ty_is_float(c->m, ir_type(f, d->results[0]))) loop = o;
    return loop.id && ir_op(f, loop)->noperands ? loop : (TdlOp){0};
}

static void describe(Merge *g, MergeNode *n) {
    const TdlFunc *f = g->c->f;
    Survey s = {0};
    TdlOp loop = loop_of(g->c, n->op);
    TdlVal index = loop.id ? ir_region(f, fuse_body(f, loop))->args.p[0] : (TdlVal){0};
    if (loop.id)
        IR_FOREACH_OP(f, fuse_body(f, loop), o) survey(f, o, index, &s);
    else
        survey(f, n->op, index, &s);
    n->loop = s.effect || s.never ? (TdlOp){0} : loop;
    n->size = s.size;
    n->depth = s.deepest;
    n->function = s.function;
    n->scatters = s.scatters;
    n->open = s.open;
    n->barrier = ir_op(f, n->op)->code == OP_NEWDIM;
    n->effect = s.effect;
}

/* ---- what must come before what ---- */

static void add_edge(Merge *g, uint32_t j, uint32_t pred, uint32_t shared) {
    MergeNode *n = &g->nodes.p[j];
    if (pred == j) return;
    for (uint32_t i = n->first; i < g->edges.n && i < n->first + 8; i++) /* a longer list only repeats some */
        if (g->edges.p[i].pred == pred) {
            if (shared < g->edges.p[i].shared) g->edges.p[i].shared = shared;
            return;
        }
    VEC_PUSH(g->c->scratch, g->edges, ((MergeEdge){pred, shared}));
    n->n++;
}

/* How many of the leading indices of `use` are those of the loop, in order. An accumulator's final value is none of a loop's. */
static uint32_t own_indices(const Merge *g, TdlOp use, TdlOp loop) {
    const TdlFunc *f = g->c->f;
    const TdlOpData *d = ir_op(f, use);
    const TdlValData *x = ir_val(f, d->operands[0]);
    if (x->def.id && ir_op(f, x->def)->code == OP_WITHACC && x->index < ir_op(f, x->def)->noperands) return 0;
    const TdlVals *args = &ir_region(f, fuse_body(f, loop))->args;
    uint32_t n = 0;
    while (n < args->n && n + 1 < d->noperands && d->operands[1 + n].id == args->p[n].id) n++;
    return n && fuse_checked(g->c, use, true) ? n : 0;
}

static void note_read(Merge *g, uint32_t j, TdlVal v) {
    MergeNode *n = &g->nodes.p[j];
    for (uint32_t i = 0; i < n->nreads; i++)
        if (g->reads.p[n->reads + i].id == v.id) return;
    if (n->nreads == MAX_READS) return;
    VEC_PUSH(g->c->scratch, g->reads, v);
    n->nreads++;
}

/* Every earlier reader of v comes before an operation that may overwrite it (a tensor of zeros is made again instead);
 * with strict_fp additions keep their order. */
static void order_uses(Merge *g, uint32_t j, TdlOp o, uint16_t operand, TdlVal v) {
    FuseCtx *c = g->c;
    MergeTouch *t = &g->touch[v.id];
    if (t->region.id != g->region.id) *t = (MergeTouch){.region = g->region};
    bool acc = ty_kind(c->m, ir_type(c->f, v)) == TY_ACC && c->opt->strict_fp;
    bool alone = acc || (ir_may_consume(ir_op(c->f, o), operand) && !fuse_is_zeros(c->f, v));
    for (uint32_t i = t->last; i && alone; i = g->readers.p[i - 1].next) add_edge(g, j, g->readers.p[i - 1].node, 0);
    if (t->last && g->readers.p[t->last - 1].node == j && !alone) return;
    VEC_PUSH(c->scratch, g->readers, ((MergeReader){j, alone ? 0 : t->last}));
    t->last = g->readers.n;
}

static void look(Merge *g, uint32_t j, TdlOp o) {
    const TdlFunc *f = g->c->f;
    const TdlOpData *d = ir_op(f, o);
    TdlOp loop = g->nodes.p[j].loop;
    for (uint16_t i = 0; i < d->noperands; i++) {
        TdlVal v = d->operands[i];
        uint32_t own = loop.id && d->code == OP_INDEX && i == 0 ? own_indices(g, o, loop) : 0;
        TdlOp def = ir_val(f, v)->def;
        if (def.id && ir_op(f, def)->parent.id == g->region.id) {
            add_edge(g, j, g->node_of[def.id], own);
            g->uses[v.id]++;
        }
        if (own) note_read(g, j, v);
        if (!ty_is_scalar(g->c->m, ir_type(f, v))) order_uses(g, j, o, i, v);
    }
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(f, d->regions[i])->first; p.id; p = ir_op(f, p)->next) look(g, j, p);
}

/* Asserts, prints and calls keep their order, and what may fail its place among them; everything behind a `newdim` may
 * mention its dimension. */
typedef struct { uint32_t effect, barrier; TDL_VEC(uint32_t) fails; } Order;

static void order_effects(Merge *g, uint32_t j, Order *k) {
    MergeNode *n = &g->nodes.p[j];
    if (k->barrier) add_edge(g, j, k->barrier - 1, 0);
    if (n->barrier) k->barrier = j + 1;
    if (!n->effect && !n->fails) return;
    if (k->effect) add_edge(g, j, k->effect - 1, 0);
    if (n->effect) {
        for (uint32_t i = 0; i < k->fails.n; i++) add_edge(g, j, k->fails.p[i], 0);
        k->effect = j + 1;
        k->fails.n = 0;
    } else {
        VEC_PUSH(g->c->scratch, k->fails, j);
    }
}

static uint32_t collect(Merge *g) {
    FuseCtx *c = g->c;
    TdlFunc *f = c->f;
    Order order = {0};
    uint32_t loops = 0;
    bool effects = false;
    g->nodes.n = g->edges.n = g->reads.n = g->readers.n = 0;
    for (TdlOp o = ir_region(f, g->region)->first; o.id; o = ir_op(f, o)->next) {
        MergeNode n = {.op = o, .cluster = -1};
        describe(g, &n);
        loops += n.loop.id != 0;
        effects |= n.effect;
        g->node_of[o.id] = g->nodes.n;
        for (uint16_t i = 0; i < ir_op(f, o)->nresults; i++) g->uses[ir_op(f, o)->results[i].id] = 0;
        VEC_PUSH(c->scratch, g->nodes, n);
    }
    if (loops < 2) return loops;
    for (uint32_t j = 0; j < g->nodes.n; j++) {
        MergeNode *n = &g->nodes.p[j];
        n->first = g->edges.n;
        n->reads = g->reads.n;
        n->fails = effects && fuse_may_fail(c, n->op);
        look(g, j, n->op);
        order_effects(g, j, &order);
    }
    return loops;
}

/* ---- which loops join ---- */

static uint64_t bit(uint32_t k) { return (uint64_t)1 << k; }

/* The clusters that come before whatever needs node p, p's own among them. */
static uint64_t reach(const Merge *g, uint32_t p) {
    const MergeNode *n = &g->nodes.p[p];
    if (n->cluster >= 0) return bit((uint32_t)n->cluster) | g->cluster[n->cluster].before;
    uint64_t all = n->before;
    for (uint32_t k = 0; k < g->nclusters; k++)
        if (n->before & bit(k)) all |= g->cluster[k].before;
    return all;
}

static TdlOp loop_at(const Merge *g, const MergeCluster *k, uint32_t i) { return g->nodes.p[k->members.p[i]].loop; }
static uint32_t extents_of(const Merge *g, TdlOp loop) { return ir_op(g->c->f, loop)->noperands; }

static uint32_t equal_extents(const Merge *g, TdlOp a, TdlOp b) {
    const TdlFunc *f = g->c->f;
    const TdlOpData *x = ir_op(f, a), *y = ir_op(f, b);
    uint32_t n = 0;
    for (; n < x->noperands && n < y->noperands; n++) {
        TdlDim p = fuse_extent(f, x->operands[n]), q = fuse_extent(f, y->operands[n]);
        if (x->operands[n].id != y->operands[n].id && !(p.id && dim_eq(p, q))) break;
    }
    return n;
}

static bool common_read(const Merge *g, const MergeCluster *k, const MergeNode *n) {
    for (uint32_t i = 0; i < n->nreads; i++)
        for (uint32_t j = 0; j < k->reads.n; j++)
            if (g->reads.p[n->reads + i].id == k->reads.p[j].id) return true;
    return false;
}

/* Accumulators of a nest whose outer loop becomes the shared one were live a row at a time where an inner loop went
 * outside (pass `vector`), each with the lanes of a vector; now they are live whole. Dimensions that are not known
 * count 16. */
static double acc_bytes(const Merge *g, const MergeNode *n, uint32_t shared) {
    const FuseCtx *c = g->c;
    double bytes = 0;
    if (ir_op(c->f, n->op)->code != OP_WITHACC || extents_of(g, n->loop) == shared) return 0;
    const TdlVals *accs = &ir_region(c->f, fuse_body(c->f, n->op))->args;
    for (uint32_t i = 0; i < accs->n; i++) {
        TdlType t = ty_tensor_of(c->m, ir_type(c->f, accs->p[i]));
        bytes += fuse_estimate(c->m, ty_numel(c->m, t)) * c->opt->vector_bytes;
    }
    return bytes;
}

static bool fits_cache(const Merge *g, const MergeCluster *k, const MergeNode *n, uint32_t shared) {
    double bytes = acc_bytes(g, n, shared);
    for (uint32_t i = 0; i < k->members.n; i++) bytes += acc_bytes(g, &g->nodes.p[k->members.p[i]], shared);
    return bytes <= CACHE;
}

/* A sum over more than the shared extents is added up in parts. */
static bool splits_sum(const Merge *g, const MergeNode *n, uint32_t shared) {
    return ir_op(g->c->f, n->loop)->code == OP_REDUCE && extents_of(g, n->loop) > shared;
}

/* An elementwise nest whose inner loop would be a short one in the middle of others: alone LLVM does better on it. */
static bool short_rows(const Merge *g, const MergeNode *n, uint32_t shared) {
    const TdlOpData *d = ir_op(g->c->f, n->loop);
    double rows = 1;
    for (uint32_t i = shared; i < d->noperands; i++) {
        TdlDim e = fuse_extent(g->c->f, d->operands[i]);
        rows *= e.id ? fuse_estimate(g->c->m, e) : 0;
    }
    return !n->depth && d->noperands > shared && rows < MIN_ROW;
}

static uint32_t levels(const Merge *g, const MergeNode *n, uint32_t shared) { return extents_of(g, n->loop) - shared + n->depth; }

/* LLVM vectorises innermost loops alone: elementwise nests of short rows and elementwise loops with elementary functions
 * stay apart from what has loops inside. Nests of two loops or more below the shared ones are those whose shared loop
 * goes to vector lanes (pass `vector`), with all that is in it; short rows also join others that are all short, of known
 * length: these are unrolled, and what passes between them stays in registers. */
static bool breaks_rows(const Merge *g, const MergeCluster *k, const MergeNode *n, uint32_t shared) {
    uint32_t most = levels(g, n, shared);
    bool rows = short_rows(g, n, shared), alone = !most && n->function, open = n->open || !known_rows(g->c->f, n->loop, shared);
    for (uint32_t i = 0; i < k->members.n; i++) {
        const MergeNode *p = &g->nodes.p[k->members.p[i]];
        uint32_t l = levels(g, p, shared);
        rows |= short_rows(g, p, shared);
        alone |= !l && p->function;
        open |= p->open || !known_rows(g->c->f, p->loop, shared);
        if (l > most) most = l;
    }
    return ((rows && open) || alone) && most == 1;
}

static bool worth_it(const Merge *g, const MergeCluster *k, const MergeNode *n, uint32_t shared) {
    if (k->size + n->size > MAX_SIZE || k->members.n == MAX_MEMBERS) return false;
    /* LLVM vectorises neither scatters nor what is in one loop with them. */
    if (!k->depth && !n->depth && ((k->function && n->scatters) || (n->function && k->scatters))) return false;
    if (g->c->opt->strict_fp) {
        if (splits_sum(g, n, shared)) return false;
        for (uint32_t i = 0; i < k->members.n; i++)
            if (splits_sum(g, &g->nodes.p[k->members.p[i]], shared)) return false;
    }
    return fits_cache(g, k, n, shared) && !breaks_rows(g, k, n, shared);
}

/* How many leading extents node j can share with a cluster; 0: it cannot, or had better not. */
static uint32_t may_join(const Merge *g, uint32_t number, uint32_t j, uint32_t from) {
    const MergeCluster *k = &g->cluster[number];
    const MergeNode *n = &g->nodes.p[j];
    uint32_t m = equal_extents(g, loop_at(g, k, 0), n->loop);
    if (m > k->shared) m = k->shared;
    bool related = false;
    for (uint32_t i = 0; i < n->n && m; i++) {
        const MergeEdge *e = &g->edges.p[n->first + i];
        if (e->pred < from) continue;
        if (g->nodes.p[e->pred].cluster == (int32_t)number) {
            if (e->shared < m) m = e->shared;
            related = true;
        } else if (reach(g, e->pred) & bit(number)) {
            return 0;
        }
    }
    bool flat = m == extents_of(g, n->loop);
    for (uint32_t i = 0; i < k->members.n; i++) flat &= m == extents_of(g, loop_at(g, k, i));
    if (!m || !(related || (flat && common_read(g, k, n)))) return 0;
    return worth_it(g, k, n, m) ? m : 0;
}

static void join(Merge *g, uint32_t number, uint32_t j, uint32_t shared) {
    MergeCluster *k = &g->cluster[number];
    MergeNode *n = &g->nodes.p[j];
    n->cluster = (int32_t)number;
    VEC_PUSH(g->c->scratch, k->members, j);
    for (uint32_t i = 0; i < n->nreads; i++) VEC_PUSH(g->c->scratch, k->reads, g->reads.p[n->reads + i]);
    k->shared = shared;
    k->size += n->size;
    if (n->depth > k->depth) k->depth = n->depth;
    k->function |= n->function;
    k->scatters |= n->scatters;
    k->before |= n->before & ~bit(number);
    for (uint32_t i = 0; i < g->nclusters; i++)
        if (g->cluster[i].before & bit(number)) g->cluster[i].before |= k->before;
}

/* Plans from node `from` on; returns where it stopped: at the end, or because there is no room for another cluster. */
static uint32_t plan(Merge *g, uint32_t from, bool *any) {
    g->nclusters = 0;
    for (uint32_t j = from; j + 1 < g->nodes.n; j++) {
        MergeNode *n = &g->nodes.p[j];
        uint32_t shared = 0, k = g->nclusters;
        n->before = 0;
        for (uint32_t i = 0; i < n->n; i++)
            if (g->edges.p[n->first + i].pred >= from) n->before |= reach(g, g->edges.p[n->first + i].pred);
        if (!n->loop.id) continue;
        while (!shared && k > 0) shared = may_join(g, --k, j, from);
        *any |= shared != 0;
        if (!shared) {
            if (g->nclusters == MERGE_CLUSTERS) return j;
            k = g->nclusters++;
            g->cluster[k] = (MergeCluster){0};
            shared = extents_of(g, n->loop);
        }
        join(g, k, j, shared);
    }
    return g->nodes.n - 1;
}

/* ---- the new order ---- */

/* The node that stands for j: its cluster's last member, or j. */
static uint32_t unit(const Merge *g, uint32_t j) {
    int32_t k = g->nodes.p[j].cluster;
    return k < 0 ? j : VEC_LAST(g->cluster[k].members);
}

/* Some node that must come before unit j and does not stand yet; j itself: there is none. */
static uint32_t missing(Merge *g, uint32_t j, uint32_t from) {
    int32_t k = g->nodes.p[j].cluster;
    uint32_t members = k < 0 ? 1 : g->cluster[k].members.n;
    for (uint32_t i = 0; i < members; i++) {
        MergeNode *n = &g->nodes.p[k < 0 ? j : g->cluster[k].members.p[i]];
        for (; n->cursor < n->n; n->cursor++) {
            uint32_t p = g->edges.p[n->first + n->cursor].pred;
            if (p >= from && unit(g, p) != j && !g->nodes.p[unit(g, p)].done) return unit(g, p);
        }
    }
    return j;
}

static void place(Merge *g, uint32_t j, TdlOp at) {
    MergeNode *n = &g->nodes.p[j];
    n->done = true;
    if (n->cluster >= 0 && g->cluster[n->cluster].members.n > 1) merge_build(g, &g->cluster[n->cluster], at);
    else ir_move_before(g->c->f, n->op, at);
}

/* Puts the operations from node `from` to before node `to` in front of the latter: each where it stood, a cluster where
 * its last member stood, what waits for a cluster behind it. */
static void arrange(Merge *g, uint32_t from, uint32_t to) {
    TdlOp at = g->nodes.p[to].op;
    TDL_VEC(uint32_t) ready = {0};
    for (uint32_t j = from; j < to; j++) {
        if (unit(g, j) != j) continue;
        ready.n = 0;
        VEC_PUSH(g->c->scratch, ready, j);
        for (uint32_t i = 0; i < ready.n; i++) {
            uint32_t u = ready.p[i], p = missing(g, u, from);
            if (p != u) {
                g->nodes.p[u].waits = g->nodes.p[p].waiting;
                g->nodes.p[p].waiting = u + 1;
                continue;
            }
            place(g, u, at);
            for (uint32_t w = g->nodes.p[u].waiting; w; w = g->nodes.p[w - 1].waits) VEC_PUSH(g->c->scratch, ready, w - 1);
        }
    }
}

/* ---- driver ---- */

static void *grow(Merge *g, void *p, uint32_t n, uint32_t now, size_t size) {
    char *q = arena_alloc(g->c->scratch, (size_t)now * size);
    memset(q, 0, (size_t)now * size);
    if (n) memcpy(q, p, (size_t)n * size);
    return q;
}

static void reserve(Merge *g) {
    TdlFunc *f = g->c->f;
    if (f->ops.n > g->nops) {
        uint32_t n = f->ops.n + f->ops.n / 2;
        g->node_of = grow(g, g->node_of, g->nops, n, sizeof *g->node_of);
        g->nops = n;
    }
    if (f->vals.n > g->nvals) {
        uint32_t n = f->vals.n + f->vals.n / 2;
        g->uses = grow(g, g->uses, g->nvals, n, sizeof *g->uses);
        g->row = grow(g, g->row, g->nvals, n, sizeof *g->row);
        g->touch = grow(g, g->touch, g->nvals, n, sizeof *g->touch);
        g->nvals = n;
    }
}

static void merge_region(Merge *g, TdlRegion r) {
    TdlFunc *f = g->c->f;
    g->region = r;
    reserve(g);
    if (collect(g) > 1) {
        for (uint32_t from = 0; from + 1 < g->nodes.n;) {
            bool any = false;
            uint32_t to = plan(g, from, &any);
            if (any) arrange(g, from, to);
            g->c->changed |= any;
            from = to;
        }
    }
    IR_FOREACH_OP(f, r, o) {
        for (uint16_t i = 0; i < ir_op(f, o)->nregions; i++) merge_region(g, ir_op(f, o)->regions[i]);
    }
}

bool fuse_merge(FuseCtx *c) {
    Merge g = {.c = c};
    merge_region(&g, c->f->body);
    return c->changed;
}
