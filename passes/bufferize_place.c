/* Inside of pass `bufferize`: where the buffer of a class lives.
 *
 * In the innermost region that holds all members, in front of the first operation that brings one about; or it is a row
 * of another buffer, so that what is computed need not be copied there:
 *   - of a map's result, what the body yields: `%0 = map %n {(%i) ... yield %row}`;
 *   - of what an update changes, the new row: `%2 = update %1, %row, %i`, as where a value is kept on a tape; the tape of
 *     an inner loop lies in that of the outer one.
 *
 *   %row = alloc                               %row = view %1, %i
 *   ... store %x, %row, %j             =>      ... store %x, %row, %j
 *   copy (view %1, %i), %row
 *
 * A row of an update: when its class is of the update's own region and dead behind it, the indices are there in front of
 * its first operation, no `assert` stands between, and between the two nothing else reads or writes that row of the
 * updated buffer. Other rows are those where an index differs by a constant; and a map that computes the row may read the
 * elements that it replaces, each in its iteration.
 * Cost: for an update, the uses of the two classes, up to LOOKED_AT. */
#include "passes/bufferize.h"

enum { LOOKED_AT = 512 /* uses and members; beyond it the row is copied */ };

static TdlRegion region_up(const Bufferize *B, TdlRegion r)
{
    TdlOp p = ir_region(B->f, r)->parent;
    return p.id ? ir_op(B->f, p)->parent : (TdlRegion){0};
}

static TdlRegion common_region(const Bufferize *B, TdlRegion a, TdlRegion b)
{
    while (a.id != b.id) {
        bool a_holds_b = B->rin[b.id] >= B->rin[a.id] && B->rout[b.id] <= B->rout[a.id];
        if (a_holds_b) b = region_up(B, b);
        else a = region_up(B, a);
    }
    return a;
}

TdlOp buf_maker(const Bufferize *B, uint32_t v)
{
    const TdlValData *d = ir_val(B->f, (TdlVal){v});
    return d->def.id ? d->def : ir_region(B->f, d->region)->parent;
}

static TdlRegion class_home(const Bufferize *B, uint32_t c, TdlOp *first)
{
    TdlRegion home = {0};
    TdlOp early = {0};
    uint32_t v = c;
    do {
        TdlOp o = buf_maker(B, v);
        if (o.id) {
            TdlRegion r = ir_op(B->f, o)->parent;
            home = home.id ? common_region(B, home, r) : r;
            if (!early.id || B->in[o.id] < B->in[early.id]) early = o;
        }
        v = B->ring[v];
    } while (v != c);
    while (early.id && ir_op(B->f, early)->parent.id != home.id)
        early = ir_region(B->f, ir_op(B->f, early)->parent)->parent;
    *first = early;
    return home;
}

/* What a map yields is computed straight in the row of its result, when all of the class is the body's own. */
static void place_rows(Bufferize *B, TdlRegion r)
{
    IR_FOREACH_OP(B->f, r, o) {
        const TdlOpData *d = ir_op(B->f, o);
        if (d->code == OP_MAP) {
            const TdlRegionData *body = ir_region(B->f, d->regions[0]);
            const TdlOpData *y = ir_op(B->f, body->last);
            for (uint32_t i = 0; i < d->nresults; i++) {
                TdlVal v = y->operands[i];
                if (!buf_is_mem(B, v) || B->root[v.id].id != v.id) continue;
                uint32_t c = buf_class(B, v.id);
                if (B->fixed[c] || B->place[c].set || B->home[c].id != d->regions[0].id) continue;
                B->place[c] = (BufPlace){true, d->results[i], o, body->args.p, body->args.n};
            }
        }
        for (uint32_t k = 0; k < d->nregions; k++) place_rows(B, d->regions[k]);
    }
}

static void anchor_classes(Bufferize *B)
{
    for (uint32_t v = B->f->vals.n; v-- > 1;) {
        if (B->rep[v] != v || B->root[v].id != v || !buf_is_mem(B, (TdlVal){v}) || B->fixed[v]) continue;
        if (!ir_val(B->f, (TdlVal){v})->type.id || B->birth[v] == UINT32_MAX) continue;
        TdlOp first;
        B->home[v] = class_home(B, v, &first);
        B->anchor_next[v] = B->anchor[first.id];
        B->anchor[first.id] = v;
    }
}

/* ---- rows of what an update changes ---- */

typedef struct { TdlOp update, first; uint32_t to; /* class that is updated */ TdlVals idx; } Row;

/* Appends the indices that lead from the memory of v to v. */
static void path_to(const Bufferize *B, TdlVal v, TdlVals *path)
{
    if (B->root[v.id].id == v.id) return;
    const TdlOpData *d = ir_op(B->f, ir_val(B->f, v)->def);
    path_to(B, d->operands[0], path);
    for (uint32_t i = 1; i < d->noperands; i++) VEC_PUSH(B->a, *path, d->operands[i]);
}

static bool other_row(const Bufferize *B, const Row *r, const TdlVals *path)
{
    return ir_different_elements(B->f, r->idx.p, r->idx.n, path->p, path->n);
}

/* An element of the row that map r->first computes, read in the iteration that replaces it. */
static bool replaced_element(const Bufferize *B, const Row *r, TdlOp o, const TdlVals *path)
{
    const TdlOpData *map = ir_op(B->f, r->first);
    if (map->code != OP_MAP || B->in[o.id] < B->in[r->first.id] || B->in[o.id] > B->out[r->first.id]) return false;
    const TdlVals *args = &ir_region(B->f, map->regions[0])->args;
    TdlType row = ir_type(B->f, ir_op(B->f, r->update)->operands[1]);
    if (ty_rank(B->m, row) != args->n || path->n != r->idx.n + args->n) return false;
    for (uint32_t i = 0; i < path->n; i++) {
        TdlVal want = i < r->idx.n ? r->idx.p[i] : args->p[i - r->idx.n];
        if (!ir_same_index(B->f, path->p[i], want)) return false;
    }
    return true;
}

static bool in_updated(const Bufferize *B, const Row *r, TdlVal v)
{
    return buf_is_mem(B, v) && buf_class_of(B, v) == r->to;
}

/* Operation o uses the updated buffer; does it leave the row alone? */
static bool leaves_row(const Bufferize *B, const Row *r, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVals path = {0};
    if (d->code == OP_INDEX) {
        if (buf_is_mem(B, d->results[0])) return true; /* what reads the view is a use of its own */
        path_to(B, d->operands[0], &path);
        for (uint32_t i = 1; i < d->noperands; i++) VEC_PUSH(B->a, path, d->operands[i]);
        return other_row(B, r, &path) || replaced_element(B, r, o, &path);
    }
    if (d->code != OP_UPDATE) return false;
    if (in_updated(B, r, d->operands[1])) {
        path_to(B, d->operands[1], &path);
        if (!other_row(B, r, &path)) return false;
    }
    bool from = in_updated(B, r, d->operands[0]), to = in_updated(B, r, d->results[0]);
    if (!from && !to) return true;
    if (!from || !to || B->root[d->operands[0].id].id != d->operands[0].id) return false; /* copies all of it */
    return other_row(B, r, &(TdlVals){.p = d->operands + 2, .n = d->noperands - 2u});
}

/* Between the first operation and the update nothing else has to do with the row. */
static bool row_is_free(const Bufferize *B, const Row *r)
{
    uint32_t from = B->in[r->first.id], to = B->in[r->update.id], v = r->to, seen = 0;
    do {
        if (++seen > LOOKED_AT) return false;
        TdlOp def = v < B->f->vals.n ? ir_val(B->f, (TdlVal){v})->def : (TdlOp){0};
        bool born = B->birth[v] >= 4 * from && B->birth[v] < 4 * to + 2;
        if (born && (!def.id || ir_op(B->f, def)->code != OP_UPDATE || !leaves_row(B, r, def))) return false;
        for (uint32_t i = B->use_start[v]; i < B->use_start[v + 1]; i++) {
            TdlOp o = B->uses[i].op;
            if (++seen > LOOKED_AT) return false;
            if (B->in[o.id] >= from && B->in[o.id] < to && !leaves_row(B, r, o)) return false;
        }
        v = B->ring[v];
    } while (v != r->to);
    return true;
}

/* Is class c used by the update at the latest? */
static bool ends_there(const Bufferize *B, uint32_t c, TdlOp update)
{
    uint32_t v = c, seen = 0;
    do {
        for (uint32_t i = B->use_start[v]; i < B->use_start[v + 1]; i++)
            if (++seen > LOOKED_AT || B->in[B->uses[i].op.id] > B->in[update.id]) return false;
        v = B->ring[v];
    } while (v != c);
    return true;
}

static bool is_there(const Bufferize *B, TdlVal v, TdlOp o)
{
    TdlOp def = ir_val(B->f, v)->def;
    return !def.id || B->in[def.id] < B->in[o.id];
}

static bool asserts_between(const Bufferize *B, const TdlOp *asserts, uint32_t n, TdlOp from, TdlOp to)
{
    uint32_t lo = 0, hi = n; /* the first behind `from` */
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (B->in[asserts[mid].id] > B->in[from.id]) hi = mid;
        else lo = mid + 1;
    }
    return lo < n && B->in[asserts[lo].id] < B->in[to.id];
}

typedef TDL_VEC(TdlOp) Ops;

static void place_update(Bufferize *B, TdlOp o, const Ops *asserts)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVal x = d->operands[0], v = d->operands[1], y = d->results[0];
    if (!op_int(B->f, o, "inbounds", 0) || !buf_is_mem(B, v) || B->root[v.id].id != v.id) return;
    uint32_t c = buf_class(B, v.id);
    if (B->fixed[c] || B->read_only[c] || B->place[c].set || B->home[c].id != d->parent.id) return;
    Row r = {.update = o, .to = buf_class(B, y.id)};
    if (B->root[x.id].id != x.id || buf_class(B, x.id) != r.to || B->keep[r.to]) return;
    class_home(B, c, &r.first);
    if (B->in[r.first.id] >= B->in[o.id] || asserts_between(B, asserts->p, asserts->n, r.first, o)) return;
    for (uint32_t i = 2; i < d->noperands; i++) {
        if (!is_there(B, d->operands[i], r.first)) return;
        VEC_PUSH(B->a, r.idx, d->operands[i]);
    }
    if (!ends_there(B, c, o) || !row_is_free(B, &r)) return;
    B->place[c] = (BufPlace){true, y, o, r.idx.p, r.idx.n};
}

static void find_asserts(Bufferize *B, TdlRegion r, Ops *asserts)
{
    IR_FOREACH_OP(B->f, r, o) {
        if (ir_op(B->f, o)->code == OP_ASSERT) VEC_PUSH(B->a, *asserts, o);
        for (uint32_t k = 0; k < ir_op(B->f, o)->nregions; k++) find_asserts(B, ir_op(B->f, o)->regions[k], asserts);
    }
}

static void place_updates(Bufferize *B, TdlRegion r, const Ops *asserts)
{
    IR_FOREACH_OP(B->f, r, o) {
        if (ir_op(B->f, o)->code == OP_UPDATE) place_update(B, o, asserts);
        for (uint32_t k = 0; k < ir_op(B->f, o)->nregions; k++) place_updates(B, ir_op(B->f, o)->regions[k], asserts);
    }
}

bool buf_in_row(const Bufferize *B, TdlVal v, TdlOp at, TdlVal parent)
{
    if (!buf_is_mem(B, v) || B->root[v.id].id != v.id) return false;
    const BufPlace *p = &B->place[buf_class(B, v.id)];
    return p->set && p->at.id == at.id && p->parent.id == parent.id;
}

void buf_place(Bufferize *B)
{
    Ops asserts = {0};
    anchor_classes(B);
    place_rows(B, B->f->body);
    find_asserts(B, B->f->body, &asserts);
    place_updates(B, B->f->body, &asserts);
}
