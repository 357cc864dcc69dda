/* Which tensor values share one buffer.
 *
 * Out-of-SSA by coalescing. Pairs that would like to share (the old and the new value of an `update`, what a loop
 * carries and what its body yields, a branch's value and the `if`, what a function returns and its destination) are
 * merged into classes as long as no two members of a class are live together; where they are, the place that joins
 * them copies. So an update whose old value is dead is always in place, and a copy stands exactly where two values
 * are needed at once.
 *
 * Liveness is asked, not computed: the uses of a value are few, and on structured SSA "is v used after this point"
 * needs the uses, the order, and the enclosing loops and branches:
 *   - a use that comes later in the order counts, unless it is in the sibling branch of an `if`;
 *   - a use anywhere in a loop around the point counts when v comes from outside of that loop.
 * A view (index with a tensor result) has no buffer; its uses count as uses of what it views.
 *
 * Times: operation at position p has four: 4p its results are being written while operands are still read (map,
 * dot), 4p + 1 operands are read, 4p + 2 results that take over an operand's buffer begin (update, loop arguments),
 * 4p + 3 what is read while these are written (the new element of update).
 * Cost: a merge asks for each pair of members; classes grow one by one along chains of updates, where only the last
 * member can be live, so chains are linear. */
#include "passes/bufferize.h"

bool buf_is_mem(const Bufferize *B, TdlVal v)
{
    TdlType t = ir_type(B->f, v);
    switch (ty_kind(B->m, t)) {
    case TY_TENSOR: return ty_rank(B->m, t) > 0;
    case TY_ACC: return true;
    case TY_STACK: case TY_BUF: return false;
    }
    return false;
}

uint32_t buf_class(const Bufferize *B, uint32_t val)
{
    while (B->rep[val] != val) val = B->rep[val];
    return val;
}

uint32_t buf_class_of(const Bufferize *B, TdlVal v) { return buf_class(B, B->root[v.id].id); }

/* ---- order ---- */

static bool is_loop(TdlOpcode c) { return c == OP_MAP || c == OP_REDUCE || c == OP_FOR || c == OP_WHILE; }

/* True when the results are written while operands (or values used in the regions) are still read. */
static bool writes_early(TdlOpcode c) { return c != OP_UPDATE && c != OP_FOR && c != OP_WHILE && c != OP_IF && c != OP_WITHACC && c != OP_CHECKPOINT; }

static void number_region(Bufferize *B, TdlRegion r, uint32_t *pos)
{
    B->rin[r.id] = *pos;
    IR_FOREACH_OP(B->f, r, o) {
        const TdlOpData *d = ir_op(B->f, o);
        uint32_t p = B->in[o.id] = (*pos)++;
        for (uint32_t k = 0; k < d->nregions; k++) {
            const TdlRegionData *rd = ir_region(B->f, d->regions[k]);
            for (uint32_t i = 0; i < rd->args.n; i++) B->birth[rd->args.p[i].id] = 4*p + 2;
            number_region(B, d->regions[k], pos);
        }
        uint32_t q = B->out[o.id] = d->nregions ? (*pos)++ : p;
        uint32_t birth = writes_early(d->code) ? 4*p : 4*q + 2;
        for (uint32_t i = 0; i < d->nresults; i++) B->birth[d->results[i].id] = birth;
    }
    B->rout[r.id] = *pos;
}

static void find_views(Bufferize *B, TdlRegion r)
{
    IR_FOREACH_OP(B->f, r, o) {
        const TdlOpData *d = ir_op(B->f, o);
        if (d->code == OP_INDEX && buf_is_mem(B, d->results[0])) B->root[d->results[0].id] = B->root[d->operands[0].id];
        for (uint32_t k = 0; k < d->nregions; k++) find_views(B, d->regions[k]);
    }
}

/* The new element of an update is read while the result is written; but a row of the old value itself either is the
 * row that is written or does not overlap it. */
static bool reads_late(const Bufferize *B, const TdlOpData *d, uint32_t operand)
{
    if (d->code != OP_UPDATE || operand != 1) return false;
    TdlVal x = d->operands[0], v = d->operands[1];
    return !(B->root[v.id].id == x.id && v.id != x.id);
}

static void count_uses(Bufferize *B, TdlRegion r, uint32_t *fill)
{
    IR_FOREACH_OP(B->f, r, o) {
        const TdlOpData *d = ir_op(B->f, o);
        for (uint32_t i = 0; i < d->noperands; i++) {
            TdlVal v = d->operands[i];
            if (!buf_is_mem(B, v)) continue;
            uint32_t k = B->root[v.id].id;
            if (!fill) B->use_start[k + 1]++;
            else B->uses[fill[k]++] = (BufUse){o, 4*B->in[o.id] + (reads_late(B, d, i) ? 3u : 1u)};
        }
        for (uint32_t k = 0; k < d->nregions; k++) count_uses(B, d->regions[k], fill);
    }
}

static void collect_uses(Bufferize *B)
{
    count_uses(B, B->f->body, NULL);
    for (uint32_t i = 0; i < B->nvals; i++) B->use_start[i + 1] += B->use_start[i];
    B->uses = ARENA_ARRAY(B->a, BufUse, B->use_start[B->nvals] + 1);
    uint32_t *fill = arena_memdup(B->a, B->use_start, sizeof(uint32_t) * (B->nvals + 1));
    count_uses(B, B->f->body, fill);
}

/* ---- liveness ---- */

static bool inside(const Bufferize *B, TdlOp inner, TdlOp outer)
{
    return B->in[inner.id] > B->in[outer.id] && B->in[inner.id] < B->out[outer.id];
}

/* The region in which value v begins. */
static TdlRegion birth_region(const Bufferize *B, uint32_t v)
{
    if (v >= B->f->vals.n) return B->f->body;
    const TdlValData *d = ir_val(B->f, (TdlVal){v});
    return d->def.id ? ir_op(B->f, d->def)->parent : d->region;
}

/* Does use `u` of a value that begins at `from` come after time t in region r? */
static bool reaches(const Bufferize *B, BufUse u, uint32_t from, uint32_t t, TdlRegion r)
{
    bool later = u.time > t;
    while (r.id) {
        TdlOp p = ir_region(B->f, r)->parent;
        if (!p.id) break;
        TdlOpcode c = ir_op(B->f, p)->code;
        if (inside(B, u.op, p)) {
            if (is_loop(c) && from < 4*B->in[p.id] + 2) return true;
            if (c == OP_IF && !(B->in[u.op.id] >= B->rin[r.id] && B->in[u.op.id] < B->rout[r.id])) later = false;
        }
        r = ir_op(B->f, p)->parent;
    }
    return later;
}

/* A map that reads x only at its own indices and writes scalars may overwrite x: each element is read, if at all, in
 * the iteration that replaces it. */
static bool own_element(const Bufferize *B, TdlOp map, TdlOp use)
{
    const TdlOpData *u = ir_op(B->f, use), *d = ir_op(B->f, map);
    if (u->code != OP_INDEX || !inside(B, use, map)) return false;
    const TdlRegionData *body = ir_region(B->f, d->regions[0]);
    if (u->noperands != body->args.n + 1) return false;
    for (uint32_t i = 0; i < body->args.n; i++)
        if (u->operands[i + 1].id != body->args.p[i].id) return false;
    return !buf_is_mem(B, u->results[0]);
}

/* Is value a live when value b begins? `but`: a map whose reads of its own elements do not count against its results
 * (they do against everything else that shares their buffer). */
static bool live_at(const Bufferize *B, uint32_t a, uint32_t b, TdlOp but)
{
    if (B->birth[a] > B->birth[b]) return false;
    if (B->birth[a] == B->birth[b]) return true;
    TdlRegion r = birth_region(B, b);
    for (uint32_t k = B->use_start[a]; k < B->use_start[a + 1]; k++) {
        BufUse u = B->uses[k];
        /* only what the map itself writes may overwrite: an operand of its own needs the element until then */
        bool taken = but.id && b < B->f->vals.n && ir_val(B->f, (TdlVal){b})->def.id == but.id;
        if (taken && own_element(B, but, u.op)) u.time = 0; /* still read again when a loop comes round */
        if (reaches(B, u, B->birth[a], B->birth[b], r)) return true;
    }
    return false;
}

/* ---- classes ---- */

static void join(Bufferize *B, uint32_t a, uint32_t b)
{
    if (B->count[a] < B->count[b]) { uint32_t t = a; a = b; b = t; }
    B->rep[b] = a;
    B->count[a] += B->count[b];
    B->fixed[a] |= B->fixed[b];
    B->read_only[a] |= B->read_only[b];
    if (!B->keep[a]) B->keep[a] = B->keep[b];
    uint32_t t = B->ring[a];
    B->ring[a] = B->ring[b];
    B->ring[b] = t;
}

static bool same_memory_type(const Bufferize *B, uint32_t a, uint32_t b)
{
    TdlFunc *f = B->f;
    TdlType ta = a < f->vals.n ? ir_type(f, (TdlVal){a}) : f->results.p[a - f->vals.n].type;
    TdlType tb = b < f->vals.n ? ir_type(f, (TdlVal){b}) : f->results.p[b - f->vals.n].type;
    return ty_eq(ty_tensor_of(B->m, ta), ty_tensor_of(B->m, tb));
}

/* Members of two classes compared pair by pair; beyond this many pairs a copy is cheaper than asking. */
enum { PAIRS = 4096 };

static bool classes_interfere(const Bufferize *B, uint32_t a, uint32_t b, TdlOp but)
{
    if ((uint64_t)B->count[a] * B->count[b] > PAIRS && B->count[a] > 1 && B->count[b] > 1) return true;
    uint32_t i = a;
    do {
        uint32_t k = b;
        do {
            if (live_at(B, i, k, but) || live_at(B, k, i, but)) return true;
            k = B->ring[k];
        } while (k != b);
        i = B->ring[i];
    } while (i != a);
    return false;
}

/* Are all results written an element an iteration? Rows are written early. */
static bool map_of_elements(const Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    uint32_t nargs = ir_region(B->f, d->regions[0])->args.n;
    for (uint32_t i = 0; i < d->nresults; i++)
        if (ty_rank(B->m, ir_type(B->f, d->results[i])) != nargs) return false;
    return true;
}

/* Is nothing read of input p after value b of the same type began to be written, but its own element by a map? */
static bool may_overwrite(const Bufferize *B, uint32_t p, uint32_t b)
{
    TdlOp def = b < B->f->vals.n ? ir_val(B->f, (TdlVal){b})->def : (TdlOp){0};
    bool elements = def.id && ir_op(B->f, def)->code == OP_MAP && map_of_elements(B, def);
    return !live_at(B, p, b, elements ? def : (TdlOp){0});
}

/* Does class a want to be the memory of an input that a member of b would overwrite? */
static bool overwrites_kept(const Bufferize *B, uint32_t a, uint32_t b)
{
    uint32_t p = B->keep[a], v = b;
    if (!p) return false;
    do {
        if (v < B->f->vals.n && !may_overwrite(B, p, v)) return true;
        v = B->ring[v];
    } while (v != b);
    return false;
}

/* Merges the classes of two values unless they are needed at once. */
static void wish(Bufferize *B, uint32_t a, uint32_t b, TdlOp but)
{
    if (B->root[a].id != a || B->root[b].id != b) return;
    uint32_t ca = buf_class(B, a), cb = buf_class(B, b);
    if (ca == cb || B->read_only[ca] || B->read_only[cb] || (B->fixed[ca] && B->fixed[cb])) return;
    if (!same_memory_type(B, a, b) || classes_interfere(B, ca, cb, but)) return;
    if (overwrites_kept(B, ca, cb) || overwrites_kept(B, cb, ca)) return;
    join(B, ca, cb);
}

static void wish_vals(Bufferize *B, TdlVal a, TdlVal b)
{
    if (buf_is_mem(B, a) && buf_is_mem(B, b)) wish(B, a.id, b.id, (TdlOp){0});
}

/* A chain of updates: x is dead from here on, so that no other member of its class can be live either. */
static void wish_update(Bufferize *B, const TdlOpData *d)
{
    TdlVal x = d->operands[0], y = d->results[0];
    if (!buf_is_mem(B, x) || !buf_is_mem(B, y) || B->root[x.id].id != x.id) return;
    uint32_t cx = buf_class(B, x.id), cy = buf_class(B, y.id);
    if (B->read_only[cx] || cx == cy) return;
    if (B->count[cy] > 1 || B->fixed[cy]) { wish_vals(B, x, y); return; }
    if (live_at(B, x.id, y.id, (TdlOp){0})) return;
    /* The new element must not lie in this class: it is read while y is written. */
    for (uint32_t i = 1; i < 2 && buf_is_mem(B, d->operands[1]); i++)
        if (reads_late(B, d, 1) && buf_class_of(B, d->operands[1]) == cx) return;
    join(B, cx, cy);
}

static void wishes(Bufferize *B, TdlRegion r);

/* What a loop carries next: a map may compute it over what it reads. */
static void wish_next(Bufferize *B, TdlVal next, TdlVal arg)
{
    TdlOp def = ir_val(B->f, next)->def;
    bool elements = def.id && ir_op(B->f, def)->code == OP_MAP && map_of_elements(B, def);
    if (buf_is_mem(B, next) && buf_is_mem(B, arg)) wish(B, arg.id, next.id, elements ? def : (TdlOp){0});
}

static void wish_loop(Bufferize *B, const TdlOpData *d)
{
    bool is_for = d->code == OP_FOR;
    uint32_t nreg = d->nregions, ninit = d->noperands - (is_for ? 2 : 0);
    TdlRegion body = d->regions[nreg - 1];
    uint32_t arg0 = is_for ? 1 : 0, op0 = is_for ? 2 : 0;
    uint32_t res0 = d->nresults - ninit;
    const TdlVals *args = &ir_region(B->f, body)->args;
    const TdlOpData *y = ir_op(B->f, ir_terminator(B->f, body));
    uint32_t y0 = y->noperands - ninit;
    for (uint32_t i = 0; i < ninit; i++) wish_next(B, y->operands[y0 + i], args->p[arg0 + i]);
    for (uint32_t i = 0; i < ninit; i++) wish_vals(B, d->results[res0 + i], args->p[arg0 + i]);
    for (uint32_t i = 0; i < ninit; i++) wish_vals(B, d->operands[op0 + i], args->p[arg0 + i]);
}

static void wish_if(Bufferize *B, const TdlOpData *d)
{
    for (uint32_t k = 0; k < 2; k++) {
        const TdlOpData *y = ir_op(B->f, ir_terminator(B->f, d->regions[k]));
        for (uint32_t i = 0; i < d->nresults; i++) wish_vals(B, y->operands[i], d->results[i]);
    }
}

static void wish_withacc(Bufferize *B, const TdlOpData *d)
{
    const TdlVals *args = &ir_region(B->f, d->regions[0])->args;
    const TdlOpData *y = ir_op(B->f, ir_terminator(B->f, d->regions[0]));
    for (uint32_t i = 0; i < y->noperands; i++) wish_vals(B, y->operands[i], d->results[args->n + i]);
    for (uint32_t i = 0; i < args->n; i++) wish_vals(B, d->operands[i], args->p[i]);
}

static void wish_checkpoint(Bufferize *B, const TdlOpData *d)
{
    const TdlOpData *y = ir_op(B->f, ir_terminator(B->f, d->regions[0]));
    for (uint32_t i = 0; i < d->nresults; i++) wish_vals(B, y->operands[i], d->results[i]);
}

/* Is v the new row of an update? It is computed there, if it can be (bufferize_place.c). */
static bool is_row(const Bufferize *B, TdlVal v)
{
    for (uint32_t u = B->use_start[v.id]; u < B->use_start[v.id + 1]; u++) {
        const TdlOpData *d = ir_op(B->f, B->uses[u].op);
        if (d->code == OP_UPDATE && d->operands[1].id == v.id) return true;
    }
    return false;
}

static void wish_map(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlRegion r = d->regions[0];
    if (!map_of_elements(B, o)) return;
    IR_FOREACH_OP(B->f, r, u) {
        if (!own_element(B, o, u)) continue;
        TdlVal x = ir_op(B->f, u)->operands[0];
        for (uint32_t i = 0; i < d->nresults; i++)
            if (buf_is_mem(B, x) && !is_row(B, d->results[i])) wish(B, x.id, d->results[i].id, o);
    }
}

/* A result that replaces an input element by element (`w - rate*g`) wants to be able to lie in its memory: then no
 * other value is computed there. */
static void keep_inputs(Bufferize *B)
{
    const TdlVals *params = &ir_region(B->f, B->f->body)->args;
    const TdlOpData *r = ir_op(B->f, ir_terminator(B->f, B->f->body));
    for (uint32_t i = 0; i < r->noperands && B->f->exported; i++) {
        TdlVal v = r->operands[i];
        TdlOp o = ir_val(B->f, v)->def;
        if (!o.id || ir_op(B->f, o)->code != OP_MAP || !map_of_elements(B, o)) continue;
        for (uint32_t k = 0; k < params->n && !B->keep[v.id]; k++) {
            TdlVal p = params->p[k];
            if (!buf_is_mem(B, p) || B->f->params.p[k].saved || !same_memory_type(B, p.id, v.id) || !may_overwrite(B, p.id, v.id)) continue;
            for (uint32_t u = B->use_start[p.id]; u < B->use_start[p.id + 1]; u++)
                if (own_element(B, o, B->uses[u].op)) B->keep[v.id] = p.id;
        }
    }
}

static void wishes(Bufferize *B, TdlRegion r)
{
    IR_FOREACH_OP(B->f, r, o) {
        const TdlOpData *d = ir_op(B->f, o);
        for (uint32_t k = 0; k < d->nregions; k++) wishes(B, d->regions[k]);
        switch ((int)d->code) {
        case OP_UPDATE: wish_update(B, d); break;
        case OP_FOR: case OP_WHILE: wish_loop(B, d); break;
        case OP_IF: wish_if(B, d); break;
        case OP_WITHACC: wish_withacc(B, d); break;
        case OP_CHECKPOINT: wish_checkpoint(B, d); break;
        case OP_MAP: wish_map(B, o); break;
        case OP_RETURN:
            for (uint32_t i = 0; i < d->noperands; i++)
                if (buf_is_mem(B, d->operands[i])) wish(B, d->operands[i].id, buf_dest(B, i), (TdlOp){0});
            break;
        default: break;
        }
    }
}

/* What is one variable by construction: both regions of `while`, an accumulator and its final value. */
static void unify(Bufferize *B, TdlRegion r)
{
    IR_FOREACH_OP(B->f, r, o) {
        const TdlOpData *d = ir_op(B->f, o);
        if (d->code == OP_WHILE || d->code == OP_WITHACC) {
            const TdlVals *args = &ir_region(B->f, d->regions[0])->args;
            for (uint32_t i = 0; i < args->n; i++) {
                TdlVal other = d->code == OP_WHILE ? ir_region(B->f, d->regions[1])->args.p[i] : d->results[i];
                if (buf_is_mem(B, args->p[i]) && buf_is_mem(B, other)) join(B, buf_class(B, args->p[i].id), buf_class(B, other.id));
            }
        }
        for (uint32_t k = 0; k < d->nregions; k++) unify(B, d->regions[k]);
    }
}

/* ---- destinations over inputs ---- */

/* Operands first.. of o, but that at `own`, have memory that is p's. */
static bool hands_on(const Bufferize *B, TdlOp o, uint32_t first, uint32_t own, uint32_t p)
{
    const TdlOpData *d = ir_op(B->f, o);
    for (uint32_t i = first; i < d->noperands; i++)
        if (i != first + own && B->root[d->operands[i].id].id == p) return true;
    return false;
}

/* Values that a region takes or hands on are written one after another: is v one of them, and p what another one is written
 * from, maybe later? */
static bool meets_others(const Bufferize *B, uint32_t v, uint32_t p)
{
    const TdlValData *value = ir_val(B->f, (TdlVal){v});
    TdlOp o = buf_maker(B, v);
    if (!o.id || !ir_op(B->f, o)->nregions || writes_early(ir_op(B->f, o)->code)) return false;
    const TdlOpData *d = ir_op(B->f, o);
    uint32_t is_for = d->code == OP_FOR, exit = op_int(B->f, o, "exit", 0) != 0;
    uint32_t own = value->def.id ? value->index - exit : value->index - is_for;
    if (d->code != OP_IF && hands_on(B, o, 2 * is_for, own, p)) return true;
    bool extras = d->code == OP_WITHACC; /* are all that it yields */
    for (uint32_t k = 0; k < d->nregions; k++)
        if (hands_on(B, ir_terminator(B->f, d->regions[k]), exit, extras ? UINT32_MAX - exit : own, p)) return true;
    return false;
}

/* Is what lies in the class of a destination, and what is computed in rows of it, written when input p is no longer
 * needed? The destination itself is written at the end at the latest, where what is returned is copied. */
static bool may_be_over(const Bufferize *B, uint32_t p, uint32_t i)
{
    uint32_t dest = buf_dest(B, i), c = buf_class(B, dest);
    const TdlOpData *r = ir_op(B->f, ir_terminator(B->f, B->f->body));
    if (!same_memory_type(B, p, dest)) return false;
    for (uint32_t k = 0; k < r->noperands; k++)
        if (B->root[r->operands[k].id].id == p && (k != i || r->operands[k].id != p)) return false;
    for (uint32_t v = 1; v < B->f->vals.n; v++) {
        if (B->birth[v] == UINT32_MAX || !buf_is_mem(B, (TdlVal){v})) continue;
        uint32_t own = buf_class_of(B, (TdlVal){v});
        while (B->place[own].set) own = buf_class_of(B, B->place[own].parent);
        if (own == c && (!may_overwrite(B, p, v) || meets_others(B, v, p))) return false;
    }
    return true;
}

void buf_over(Bufferize *B, uint32_t i, TdlPort *port)
{
    const TdlVals *params = &ir_region(B->f, B->f->body)->args;
    for (uint32_t k = 0; k < params->n && B->f->exported && !B->f->results.p[i].saved; k++)
        if (buf_is_mem(B, params->p[k]) && B->f->params.p[k].prior_of < 0 && !B->f->params.p[k].saved && may_be_over(B, params->p[k].id, i))
            VEC_PUSH(B->m->arena, port->over, k);
}

void buf_analyse(Bufferize *B)
{
    TdlFunc *f = B->f;
    uint32_t nv = B->nvals = f->vals.n + f->results.n, no = f->ops.n, nr = f->regions.n;
    B->in = ARENA_ARRAY(B->a, uint32_t, no);
    B->out = ARENA_ARRAY(B->a, uint32_t, no);
    B->rin = ARENA_ARRAY(B->a, uint32_t, nr);
    B->rout = ARENA_ARRAY(B->a, uint32_t, nr);
    B->birth = ARENA_ARRAY(B->a, uint32_t, nv);
    B->root = ARENA_ARRAY(B->a, TdlVal, nv);
    B->use_start = ARENA_ARRAY(B->a, uint32_t, nv + 1);
    B->rep = ARENA_ARRAY(B->a, uint32_t, nv);
    B->ring = ARENA_ARRAY(B->a, uint32_t, nv);
    B->count = ARENA_ARRAY(B->a, uint32_t, nv);
    B->fixed = ARENA_ARRAY(B->a, bool, nv);
    B->read_only = ARENA_ARRAY(B->a, bool, nv);
    B->keep = ARENA_ARRAY(B->a, uint32_t, nv);
    B->place = ARENA_ARRAY(B->a, BufPlace, nv);
    B->home = ARENA_ARRAY(B->a, TdlRegion, nv);
    B->anchor = ARENA_ARRAY(B->a, uint32_t, no);
    B->anchor_next = ARENA_ARRAY(B->a, uint32_t, nv);
    for (uint32_t i = 0; i < nv; i++) {
        B->rep[i] = B->ring[i] = i;
        B->root[i] = (TdlVal){i};
        B->count[i] = 1;
        B->birth[i] = i < f->vals.n ? UINT32_MAX : 0; /* not reached: a value of a removed operation */
    }
    const TdlVals *params = &ir_region(f, f->body)->args;
    for (uint32_t i = 0; i < f->results.n; i++) B->fixed[buf_dest(B, i)] = true;
    for (uint32_t i = 0; i < params->n; i++) {
        uint32_t v = params->p[i].id;
        int32_t prior_of = f->params.p[i].prior_of;
        B->birth[v] = 0;
        if (prior_of < 0 || !buf_is_mem(B, params->p[i])) B->fixed[v] = B->read_only[v] = true;
        else join(B, buf_class(B, v), buf_class(B, buf_dest(B, (uint32_t)prior_of)));
    }
    IR_FOREACH_OP(f, f->body, o)
        if (ir_op(f, o)->code == OP_RESTORE) B->fixed[ir_result(f, o, 0).id] = B->read_only[ir_result(f, o, 0).id] = true;
    uint32_t pos = 1;
    find_views(B, f->body);
    buf_order(B);
    number_region(B, f->body, &pos);
    collect_uses(B);
    unify(B, f->body);
    keep_inputs(B);
    wishes(B, f->body);
    buf_place(B);
}
