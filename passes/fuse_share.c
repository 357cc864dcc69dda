/* fuse: what one nest of an iteration computed is not computed again by the next.
 *
 *     map %n {(%i)                                   map %n {(%i)
 *       %1 = map %k {(%c)                              %1, %2 = map %k {(%c)
 *         ... %3 = reduce ...; yield exp(%3)}            ... %3 = reduce ...; yield exp(%3), %3}
 *       map %k {(%e)                          =>       map %k {(%e)
 *         ... %4 = reduce ... (the same at %e)           %4 = index %2, %e
 *         accadd ...} }                                  accadd ...} }
 *
 * Values in nests get classes: equal operations on equal classes are one; the index of a loop is one with another's at
 * the same depth over the same extent. The first nest yields the value, for each of its indices; a `reduce` on the way
 * is taken apart into a `map` of the value and the sum (or whatever it is) of what depends on it.
 * When: in the body of a loop, where the memory is one iteration's; the first computes it at every index (no branch and
 * no other loop around it), the extents are dimensions; it costs at least MIN_COST operations; at most MAX_BYTES with
 * the lanes of a vector (dimensions that are not known count 16). Never across a `checkpoint`.
 * Cost: an operation is looked at once for each loop around it. */
#include "ir/attr.h"
#include "passes/fuse.h"

#include <string.h>

enum { MIN_COST = 16, LOOP_COST = 64, MAX_COST = 1 << 20, MAX_BYTES = 256 << 10, BUCKETS = 512, MAX_DEPTH = 16 };

typedef struct {
    uint32_t hash, next;     /* next class of the bucket; 0: the last */
    TdlOpcode code;          /* OP_NONE: of its own, or (with a list) an index */
    TdlOp op;                /* whose attributes count; 0: none */
    TdlType type;
    uint32_t result, first, n; /* which result; classes that it is computed from */
    uint32_t cost;
    TdlVal val, tensor;      /* where it was computed first, for all indices; what is yielded of it, or 0 */
    uint32_t top, depth, path; /* that nest; loop indices around it; their classes, in `lists` */
    bool ready;
} Class;

typedef struct {
    FuseCtx *c;
    TdlRegion region;
    TDL_VEC(Class) classes;  /* [0] unused */
    TDL_VEC(uint32_t) lists, args; /* args: classes of what is being numbered */
    uint32_t buckets[BUCKETS];
    uint32_t *of, nof;       /* by value: its class; 0: not known yet */
    TdlVals known;
    bool *dead;              /* by operation: nothing needs it any more */
    uint32_t ndead;
    uint32_t top, depth;     /* number of the nest, loop indices around the operation at hand */
    bool open;               /* it runs for all of them */
    TdlVal path[MAX_DEPTH];
} Share;

/* ---- classes ---- */

static void set_class(Share *s, TdlVal v, uint32_t k) {
    if (v.id >= s->nof) {
        uint32_t n = s->c->f->vals.n + s->c->f->vals.n / 2, *p = ARENA_ARRAY(s->c->scratch, uint32_t, n);
        memset(p, 0, n * sizeof *p);
        if (s->nof) memcpy(p, s->of, s->nof * sizeof *p);
        s->of = p;
        s->nof = n;
    }
    s->of[v.id] = k;
    VEC_PUSH(s->c->scratch, s->known, v);
}

static uint32_t class_of(Share *s, TdlVal v) {
    if (v.id < s->nof && s->of[v.id]) return s->of[v.id];
    VEC_PUSH(s->c->scratch, s->classes, ((Class){.type = ir_type(s->c->f, v)}));
    set_class(s, v, s->classes.n - 1);
    return s->classes.n - 1;
}

static bool counts(const Share *s, const TdlAttr *a) {
    const char *key = sym_text(s->c->m->names, a->key);
    return !attr_is_note(key) && strcmp(key, "inbounds");
}

static bool same_attrs(const Share *s, TdlOp x, TdlOp y) {
    if (x.id == y.id || !x.id || !y.id) return x.id == y.id;
    const TdlOpData *a = ir_op(s->c->f, x), *b = ir_op(s->c->f, y);
    for (uint16_t i = 0, k = 0;; i++, k++) {
        while (i < a->nattrs && !counts(s, &a->attrs[i])) i++;
        while (k < b->nattrs && !counts(s, &b->attrs[k])) k++;
        if (i == a->nattrs || k == b->nattrs) return i == a->nattrs && k == b->nattrs;
        if (!attr_equal(&a->attrs[i], &b->attrs[k])) return false;
    }
}

static uint32_t hash_of(const Share *s, const Class *k) {
    uint32_t h = attr_mix(attr_mix(2166136261u, k->code), k->type.id);
    h = attr_mix(h, k->result);
    for (uint32_t i = 0; i < k->n; i++) h = attr_mix(h, s->lists.p[k->first + i]);
    const TdlOpData *d = k->op.id ? ir_op(s->c->f, k->op) : NULL;
    for (uint16_t i = 0; d && i < d->nattrs; i++)
        if (counts(s, &d->attrs[i])) h = attr_mix(h, attr_hash(&d->attrs[i]));
    return h;
}

/* The class like k that is computed from the classes in `args` from `first` on, which go. */
static uint32_t find_class(Share *s, Class k, uint32_t first) {
    k.first = s->lists.n;
    k.n = s->args.n - first;
    for (uint32_t i = first; i < s->args.n; i++) VEC_PUSH(s->c->scratch, s->lists, s->args.p[i]);
    s->args.n = first;
    k.hash = hash_of(s, &k);
    uint32_t *bucket = &s->buckets[k.hash % BUCKETS];
    for (uint32_t e = *bucket; e; e = s->classes.p[e].next) {
        const Class *x = &s->classes.p[e];
        if (x->hash != k.hash || x->code != k.code || x->type.id != k.type.id || x->result != k.result || x->n != k.n) continue;
        if (k.n && memcmp(&s->lists.p[x->first], &s->lists.p[k.first], k.n * sizeof(uint32_t))) continue;
        if (!same_attrs(s, x->op, k.op)) continue;
        s->lists.n = k.first;
        return e;
    }
    k.next = *bucket;
    VEC_PUSH(s->c->scratch, s->classes, k);
    return *bucket = s->classes.n - 1;
}

/* The first place where a value is computed at every index is where it can be taken from. */
static void note_place(Share *s, uint32_t class, TdlVal v) {
    if (s->classes.p[class].ready || !s->open) return;
    uint32_t path = s->lists.n;
    for (uint32_t i = 0; i < s->depth; i++) {
        uint32_t k = class_of(s, s->path[i]);
        VEC_PUSH(s->c->scratch, s->lists, k);
    }
    Class *k = &s->classes.p[class];
    k->ready = true;
    k->val = v;
    k->top = s->top;
    k->depth = s->depth;
    k->path = path;
}

static bool can_number(TdlOpcode code) {
    if (code == OP_NEWDIM || code == OP_UNDEF || code == OP_STACKNEW || code == OP_PUSH || code == OP_POP || code == OP_CALL) return false;
    uint16_t flags = op_info(code)->flags;
    return (flags & OPF_PURE) && !(flags & OPF_REGION);
}

/* Classes of the results of o, which are computed from `args` from `first` on. */
static void number_results(Share *s, TdlOp o, uint32_t first, uint32_t cost) {
    const TdlOpData *d = ir_op(s->c->f, o);
    uint32_t end = s->args.n;
    for (uint16_t i = 0; i < d->nresults; i++) {
        for (uint32_t k = first; k < end; k++) VEC_PUSH(s->c->scratch, s->args, s->args.p[k]);
        Class k = {.code = d->code, .op = o, .type = ir_type(s->c->f, d->results[i]), .result = i, .cost = cost};
        uint32_t class = find_class(s, k, end);
        set_class(s, d->results[i], class);
        note_place(s, class, d->results[i]);
    }
    s->args.n = first;
}

static void push_class(Share *s, uint32_t class) { VEC_PUSH(s->c->scratch, s->args, class); }

static uint32_t capped(uint32_t a, uint32_t b) { return a + b > MAX_COST ? MAX_COST : a + b; }

static void number_plain(Share *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->c->f, o);
    if (!can_number(d->code)) return;
    uint32_t first = s->args.n, cost = ir_op_weight(d->code);
    for (uint16_t i = 0; i < d->noperands; i++) {
        uint32_t k = class_of(s, d->operands[i]);
        push_class(s, k);
        if (d->code != OP_INDEX) cost = capped(cost, s->classes.p[k].cost);
    }
    uint32_t *x = &s->args.p[first];
    if ((op_info(d->code)->flags & OPF_COMMUTATIVE) && d->noperands == 2 && x[0] > x[1]) {
        uint32_t t = x[0];
        x[0] = x[1], x[1] = t;
    }
    number_results(s, o, first, cost);
}

static void number_op(Share *s, TdlOp o);

static void number_region(Share *s, TdlRegion r) {
    for (TdlOp o = ir_region(s->c->f, r)->first; o.id; o = ir_op(s->c->f, o)->next) number_op(s, o);
}

/* Extents that a map with results may have, here and outside: dimensions of the function, at least 0. */
static bool plain_extents(const Share *s, const TdlOpData *d) {
    for (uint16_t i = 0; i < d->noperands; i++) {
        TdlDim e = fuse_extent(s->c->f, d->operands[i]);
        if (!e.id || !dim_known_ge(s->c->m, e, dim_const(s->c->m, 0)) || !ir_dim_at_entry(s->c->f, e)) return false;
    }
    return true;
}

/* The class of an extent: of its dimension where it has one. */
static uint32_t extent_class(Share *s, TdlVal v) {
    TdlDim e = fuse_extent(s->c->f, v);
    if (!e.id) return class_of(s, v);
    push_class(s, e.id);
    return find_class(s, (Class){.code = OP_DIM, .type = ir_type(s->c->f, v)}, s->args.n - 1);
}

/* The class of a loop's index: of its depth and extent. */
static void number_index(Share *s, TdlVal arg, uint32_t extent) {
    push_class(s, s->depth);
    push_class(s, extent);
    set_class(s, arg, find_class(s, (Class){.type = ir_type(s->c->f, arg)}, s->args.n - 2));
    s->path[s->depth++] = arg;
}

static void number_loop(Share *s, TdlOp o) {
    TdlFunc *f = s->c->f;
    const TdlOpData *d = ir_op(f, o);
    TdlRegion r = d->regions[0];
    uint32_t depth = s->depth, extent[MAX_DEPTH];
    bool open = s->open;
    if (depth + d->noperands > MAX_DEPTH) return;
    s->open &= plain_extents(s, d);
    for (uint16_t i = 0; i < d->noperands; i++) {
        extent[i] = extent_class(s, d->operands[i]);
        number_index(s, ir_region(f, r)->args.p[i], extent[i]);
    }
    number_region(s, r);
    s->depth = depth;
    s->open = open;
    if (!ir_op_is_pure(f, o)) return;
    const TdlOpData *y = ir_op(f, ir_terminator(f, r));
    uint32_t first = s->args.n;
    for (uint16_t i = 0; i < d->noperands; i++) push_class(s, extent[i]);
    for (uint16_t i = 0; i < y->noperands; i++) push_class(s, class_of(s, y->operands[i]));
    number_results(s, o, first, d->code == OP_REDUCE ? LOOP_COST : 0);
}

static void number_op(Share *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->c->f, o);
    bool open = s->open;
    if (d->code == OP_CHECKPOINT) return;
    if (d->code == OP_MAP || d->code == OP_REDUCE) {
        number_loop(s, o);
        return;
    }
    if (!d->nregions) {
        number_plain(s, o);
        return;
    }
    s->open &= d->code == OP_WITHACC;
    for (uint16_t i = 0; i < d->nregions; i++) number_region(s, ir_op(s->c->f, o)->regions[i]);
    s->open = open;
}

/* ---- yielding what was computed ---- */

/* Value v of the body as a result of the operation around it (a map's: a tensor over its extents). */
static TdlVal yield_from(Share *s, TdlOp o, TdlVal v) {
    TdlFunc *f = s->c->f;
    TdlOp y = ir_terminator(f, fuse_body(f, o));
    const TdlOpData *d = ir_op(f, o), *yd = ir_op(f, y);
    for (uint16_t i = 0; i < yd->noperands; i++)
        if (yd->operands[i].id == v.id) return ir_result(f, o, d->nresults - yd->noperands + i);
    TdlType t = ir_type(f, v);
    for (uint32_t i = d->code == OP_MAP ? d->noperands : 0; i-- > 0;) {
        TdlDim e = fuse_extent(f, d->operands[i]);
        t = ty_prepend(s->c->m, t, &e, 1);
    }
    ir_add_operand(f, y, v);
    return ir_add_result(f, o, t);
}

static void replace_in(TdlFunc *f, TdlRegion r, TdlVal v, TdlVal to) {
    IR_FOREACH_OP(f, r, o) {
        TdlOpData *d = ir_op(f, o);
        for (uint16_t i = 0; i < d->noperands; i++)
            if (d->operands[i].id == v.id) d->operands[i] = to;
        for (uint16_t i = 0; i < d->nregions; i++) replace_in(f, d->regions[i], v, to);
    }
}

/* A map of the value in front of the reduce, which indexes it. */
static TdlVal take_apart(Share *s, TdlOp red, TdlVal v) {
    TdlFunc *f = s->c->f;
    TdlRegion body = fuse_body(f, red);
    TdlBuilder b = ir_before(f, red);
    TdlOp map = ir_emit(&b, OP_MAP, ir_op(f, red)->operands, ir_op(f, red)->noperands, NULL, 0);
    TdlBuilder in = ir_at_end(f, fuse_body(f, map), b.span);
    for (uint32_t i = 0; i < ir_region(f, body)->args.n; i++) {
        TdlVal arg = ir_region(f, body)->args.p[i];
        TdlSym name = ir_val(f, arg)->name;
        valmap_set(&s->c->vmap, arg, ir_region_arg(f, in.region, ir_type(f, arg), name));
    }
    fuse_slice(s->c, body, v);
    TdlVal copy = fuse_clone_slice(s->c, &in, body, v);
    fuse_yield(&in, NULL, 0);
    TdlVal all = yield_from(s, map, copy);
    TdlBuilder at = ir_before(f, ir_val(f, v)->def);
    TdlVal x = ir_index(&at, all, ir_region(f, body)->args.p, ir_region(f, body)->args.n);
    op_set_int(f, ir_val(f, x)->def, "inbounds", 1);
    replace_in(f, body, v, x);
    return all;
}

static TdlVal tensor_of(Share *s, uint32_t class) {
    TdlFunc *f = s->c->f;
    TdlVal v = s->classes.p[class].tensor;
    if (v.id) return v;
    v = s->classes.p[class].val;
    for (TdlRegion r = ir_region_of(f, v); r.id != s->region.id; r = ir_region_of(f, v)) {
        TdlOp o = ir_region(f, r)->parent;
        v = ir_op(f, o)->code == OP_REDUCE ? take_apart(s, o, v) : yield_from(s, o, v);
    }
    return s->classes.p[class].tensor = v;
}

/* ---- taking it ---- */

static void mark_dead(Share *s, TdlOp o) {
    if (o.id < s->ndead) s->dead[o.id] = true;
    const TdlOpData *d = ir_op(s->c->f, o);
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(s->c->f, d->regions[i])->first; p.id; p = ir_op(s->c->f, p)->next) mark_dead(s, p);
}

/* Later uses were looked at before. */
static bool is_dead(const Share *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->c->f, o);
    if (!d->nresults || !(op_info(d->code)->flags & OPF_PURE) || ((op_info(d->code)->flags & OPF_REGION) && !ir_op_is_pure(s->c->f, o))) return false;
    for (uint16_t i = 0; i < d->nresults; i++) {
        if (d->results[i].id >= s->c->nvals) return false;
        for (FuseIter it = fuse_uses(s->c, d->results[i]); fuse_next(&it);)
            if (it.u.op.id >= s->ndead || !s->dead[it.u.op.id]) return false;
    }
    return true;
}

static bool fits(const Share *s, const Class *k) {
    double bytes = s->c->opt->vector_bytes;
    for (uint32_t i = 0; i < k->depth; i++) {
        const Class *index = &s->classes.p[s->lists.p[k->path + i]];
        const Class *extent = &s->classes.p[s->lists.p[index->first + 1]];
        bytes *= fuse_estimate(s->c->m, (TdlDim){s->lists.p[extent->first]});
    }
    return bytes <= MAX_BYTES;
}

static void take(Share *s, TdlOp o) {
    TdlFunc *f = s->c->f;
    const TdlOpData *d = ir_op(f, o);
    if (d->nresults != 1 || !ty_is_scalar(s->c->m, ir_type(f, d->results[0]))) return;
    TdlVal v = d->results[0];
    uint32_t class = v.id < s->nof ? s->of[v.id] : 0;
    const Class *k = &s->classes.p[class];
    if (!class || !k->ready || k->top >= s->top || !k->depth || k->depth > s->depth || k->cost < MIN_COST || !fits(s, k)) return;
    for (uint32_t i = 0; i < k->depth; i++)
        if (s->path[i].id >= s->nof || s->of[s->path[i].id] != s->lists.p[k->path + i]) return;
    uint32_t depth = k->depth;
    TdlVal all = tensor_of(s, class);
    TdlBuilder b = ir_before(f, o);
    b.grad_fn = ir_op(f, o)->grad_fn;
    TdlVal x = ir_index(&b, all, s->path, depth);
    op_set_int(f, ir_val(f, x)->def, "inbounds", 1);
    fuse_replace(s->c, v, x);
    mark_dead(s, o);
    s->c->changed = true;
}

static void take_in(Share *s, TdlRegion r);

/* From last to first, so that what only a value that is taken needed is not taken too. */
static void visit(Share *s, TdlOp o, bool nested) {
    TdlFunc *f = s->c->f;
    if (o.id >= s->ndead || ir_op(f, o)->code == OP_CHECKPOINT) return;
    if (is_dead(s, o)) mark_dead(s, o);
    else if (nested) take(s, o);
    if (s->dead[o.id]) return;
    const TdlOpData *d = ir_op(f, o);
    uint32_t depth = s->depth;
    bool loop = d->code == OP_MAP || d->code == OP_REDUCE;
    for (uint16_t i = 0; loop && i < d->noperands && s->depth < MAX_DEPTH; i++)
        s->path[s->depth++] = ir_region(f, d->regions[0])->args.p[i];
    for (uint16_t i = 0; i < ir_op(f, o)->nregions; i++) take_in(s, ir_op(f, o)->regions[i]);
    s->depth = depth;
}

static void take_in(Share *s, TdlRegion r) {
    for (TdlOp o = ir_region(s->c->f, r)->last, prev; o.id; o = prev) {
        prev = ir_op(s->c->f, o)->prev;
        visit(s, o, true);
    }
}

/* ---- driver ---- */

static void share_in(Share *s, TdlRegion r) {
    FuseCtx *c = s->c;
    TDL_VEC(TdlOp) ops = {0};
    uint32_t nests = 0;
    for (TdlOp o = ir_region(c->f, r)->first; o.id; o = ir_op(c->f, o)->next) {
        VEC_PUSH(c->scratch, ops, o);
        nests += ir_op(c->f, o)->nregions != 0;
    }
    if (nests < 2) return;
    s->region = r;
    s->classes.n = s->lists.n = s->args.n = s->depth = 0;
    s->open = true;
    VEC_PUSH(c->scratch, s->classes, (Class){0});
    memset(s->buckets, 0, sizeof s->buckets);
    for (uint32_t i = 0; i < s->known.n; i++) s->of[s->known.p[i].id] = 0;
    s->known.n = 0;
    for (s->top = 0; s->top < ops.n; s->top++) number_op(s, ops.p[s->top]);
    while (s->top-- > 0) visit(s, ops.p[s->top], false);
}

static void share_region(Share *s, TdlRegion r, bool in_loop) {
    if (in_loop) share_in(s, r);
    IR_FOREACH_OP(s->c->f, r, o) {
        bool loop = in_loop || fuse_is_loop(ir_op(s->c->f, o)->code);
        for (uint16_t i = 0; i < ir_op(s->c->f, o)->nregions; i++) share_region(s, ir_op(s->c->f, o)->regions[i], loop);
    }
}

bool fuse_share(FuseCtx *c) {
    Share s = {.c = c, .ndead = c->f->ops.n};
    s.dead = ARENA_ARRAY(c->scratch, bool, s.ndead);
    share_region(&s, c->f->body, false);
    return c->changed;
}
