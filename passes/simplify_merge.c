/* Common subexpressions: an operation that equals one that dominates it becomes that one. Operations with regions are
 * compared by their bodies: values defined inside correspond by position. Nothing in a `checkpoint` becomes what was
 * computed outside: it is there to be computed again. */
#include "ir/attr.h"
#include "passes/simplify.h"

#include <string.h>

/* ---- attributes ---- */

static bool is_note(const Simplify *s, const TdlAttr *a) { return attr_is_note(sym_text(s->m->names, a->key)); }

/* Notes do not count. */
static bool same_attrs(const Simplify *s, const TdlOpData *a, const TdlOpData *b) {
    uint32_t i = 0, k = 0;
    for (;; i++, k++) {
        while (i < a->nattrs && is_note(s, &a->attrs[i])) i++;
        while (k < b->nattrs && is_note(s, &b->attrs[k])) k++;
        if (i == a->nattrs || k == b->nattrs) return i == a->nattrs && k == b->nattrs;
        if (!attr_equal(&a->attrs[i], &b->attrs[k])) return false;
    }
}

/* ---- what may be merged ---- */

static bool can_merge(const Simplify *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->f, o);
    switch (d->code) {
    /* A dimension variable or a leaf is itself only; stacks are linear; calls may fail. */
    case OP_NEWDIM: case OP_LEAF: case OP_STACKNEW: case OP_PUSH: case OP_POP: case OP_CALL: case OP_VJP: case OP_JVP:
    case OP_BACKWARD: case OP_GRADFN: case OP_WITHACC: case OP_ACCADD: return false;
    default: break;
    }
    if (op_info(d->code)->flags & OPF_TERMINATOR) return true;
    if (!(op_info(d->code)->flags & OPF_PURE)) return false;
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(s->f, d->regions[i])->first; p.id; p = ir_op(s->f, p)->next)
            if (!can_merge(s, p)) return false;
    return true;
}

/* ---- hashing ---- */

/* The numbers of values inside the operation at hand; taken back when it is done. */
static void number(Simplify *s, TdlVal v, uint32_t n) {
    VEC_RESERVE(&s->scratch, s->local, v.id + 1);
    while (s->local.n <= v.id) VEC_PUSH(&s->scratch, s->local, 0);
    s->local.p[v.id] = n;
}

static uint32_t number_of(const Simplify *s, TdlVal v) { return v.id < s->local.n ? s->local.p[v.id] : 0; }

static uint32_t hash_val(const Simplify *s, TdlVal v) {
    uint32_t n = number_of(s, v);
    return n ? attr_mix(77, n) : attr_mix(99, v.id);
}

static uint32_t hash_op(Simplify *s, TdlOp o, uint32_t *next) {
    const TdlOpData *d = ir_op(s->f, o);
    uint32_t h = attr_mix(2166136261u, d->code);
    if ((op_info(d->code)->flags & OPF_COMMUTATIVE) && d->noperands == 2)
        h = attr_mix(h, hash_val(s, d->operands[0]) + hash_val(s, d->operands[1]));
    else
        for (uint16_t i = 0; i < d->noperands; i++) h = attr_mix(h, hash_val(s, d->operands[i]));
    for (uint16_t i = 0; i < d->nattrs; i++)
        if (!is_note(s, &d->attrs[i])) h = attr_mix(h, attr_hash(&d->attrs[i]));
    for (uint16_t i = 0; i < d->nregions; i++) {
        const TdlRegionData *r = ir_region(s->f, d->regions[i]);
        for (uint32_t k = 0; k < r->args.n; k++) number(s, r->args.p[k], ++*next);
        for (TdlOp p = r->first; p.id; p = ir_op(s->f, p)->next) {
            h = attr_mix(h, hash_op(s, p, next));
            for (uint16_t k = 0; k < ir_op(s->f, p)->nresults; k++) number(s, ir_result(s->f, p, k), ++*next);
        }
    }
    for (uint16_t i = 0; i < d->nresults; i++) h = attr_mix(h, ir_type(s->f, d->results[i]).id);
    return h;
}

/* ---- comparing: values inside get equal numbers where they correspond ---- */

static bool same_val(const Simplify *s, TdlVal a, TdlVal b) {
    uint32_t n = number_of(s, a);
    return a.id == b.id || (n && n == number_of(s, b));
}

static bool same_op(Simplify *s, TdlOp a, TdlOp b, uint32_t *next);

static bool same_region(Simplify *s, TdlRegion ra, TdlRegion rb, uint32_t *next) {
    const TdlRegionData *a = ir_region(s->f, ra), *b = ir_region(s->f, rb);
    if (a->args.n != b->args.n) return false;
    for (uint32_t i = 0; i < a->args.n; i++) {
        if (!ty_eq(ir_type(s->f, a->args.p[i]), ir_type(s->f, b->args.p[i]))) return false;
        number(s, a->args.p[i], ++*next);
        number(s, b->args.p[i], *next);
    }
    TdlOp p = a->first, q = b->first;
    for (; p.id && q.id; p = ir_op(s->f, p)->next, q = ir_op(s->f, q)->next) {
        if (!same_op(s, p, q, next)) return false;
        for (uint16_t i = 0; i < ir_op(s->f, p)->nresults; i++) {
            number(s, ir_result(s->f, p, i), ++*next);
            number(s, ir_result(s->f, q, i), *next);
        }
    }
    return !p.id && !q.id;
}

static bool same_operands(const Simplify *s, const TdlOpData *a, const TdlOpData *b) {
    bool same = true;
    for (uint16_t i = 0; same && i < a->noperands; i++) same = same_val(s, a->operands[i], b->operands[i]);
    if (same || !(op_info(a->code)->flags & OPF_COMMUTATIVE)) return same;
    return same_val(s, a->operands[0], b->operands[1]) && same_val(s, a->operands[1], b->operands[0]);
}

static bool same_op(Simplify *s, TdlOp oa, TdlOp ob, uint32_t *next) {
    const TdlOpData *a = ir_op(s->f, oa), *b = ir_op(s->f, ob);
    if (a->code != b->code || a->noperands != b->noperands || a->nresults != b->nresults) return false;
    if (!same_operands(s, a, b)) return false;
    for (uint16_t i = 0; i < a->nresults; i++)
        if (!ty_eq(ir_type(s->f, a->results[i]), ir_type(s->f, b->results[i]))) return false;
    if (!same_attrs(s, a, b)) return false;
    for (uint16_t i = 0; i < a->nregions; i++)
        if (!same_region(s, a->regions[i], b->regions[i], next)) return false;
    return true;
}

static void forget_numbers(Simplify *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->f, o);
    for (uint16_t i = 0; i < d->nregions; i++) {
        const TdlRegionData *r = ir_region(s->f, d->regions[i]);
        for (uint32_t k = 0; k < r->args.n; k++) number(s, r->args.p[k], 0);
        for (TdlOp p = r->first; p.id; p = ir_op(s->f, p)->next) {
            for (uint16_t k = 0; k < ir_op(s->f, p)->nresults; k++) number(s, ir_result(s->f, p, k), 0);
            forget_numbers(s, p);
        }
    }
}

static bool equal(Simplify *s, TdlOp a, TdlOp b) {
    uint32_t next = 0;
    bool same = same_op(s, a, b, &next);
    forget_numbers(s, a);
    forget_numbers(s, b);
    return same;
}

bool sm_merge(Simplify *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->f, o);
    bool check = d->code == OP_ASSERT; /* the same check has been done: the first one stays */
    if (!check && (!d->nresults || !can_merge(s, o))) return false;
    uint32_t next = 0, h = hash_op(s, o, &next), *bucket = &s->buckets[h & (s->nbuckets - 1)];
    forget_numbers(s, o);
    for (uint32_t e = *bucket; e > s->floor; e = s->entries.p[e - 1].next) {
        TdlOp p = s->entries.p[e - 1].op;
        TdlOpData *pd = ir_op(s->f, p);
        if (s->entries.p[e - 1].hash != h || pd->code == OP_NONE || !equal(s, p, o)) continue;
        if (!pd->grad_fn.id) pd->grad_fn = d->grad_fn;
        const char *saved = op_str(s->f, o, "saved");
        if (saved && !op_attr(s->f, p, "saved")) op_set_str(s->f, p, "saved", saved, (uint32_t)strlen(saved));
        d = ir_op(s->f, o), pd = ir_op(s->f, p);
        for (uint16_t i = 0; i < d->nresults; i++) sm_set(s, d->results[i], pd->results[i]);
        ir_remove(s->f, o);
        return true;
    }
    VEC_PUSH(&s->scratch, s->entries, ((SmEntry){h, *bucket, o}));
    *bucket = s->entries.n;
    return false;
}

void sm_leave_scope(Simplify *s, uint32_t mark) {
    while (s->entries.n > mark) {
        s->entries.n--;
        s->buckets[s->entries.p[s->entries.n].hash & (s->nbuckets - 1)] = s->entries.p[s->entries.n].next;
    }
}
