/* Walking and questions about structure. */
#include "ir/ir.h"
#include "support/idmap.h"

void ir_walk(TdlFunc *f, TdlRegion r, void (*fn)(void *user, TdlFunc *f, TdlOp o), void *user) {
    IR_FOREACH_OP(f, r, o) {
        fn(user, f, o);
        for (uint16_t i = 0; ir_op(f, o)->code != OP_NONE && i < ir_op(f, o)->nregions; i++)
            ir_walk(f, ir_op(f, o)->regions[i], fn, user);
    }
}

TdlRegion ir_region_of(const TdlFunc *f, TdlVal v) {
    const TdlValData *d = ir_val(f, v);
    return d->def.id ? ir_op(f, d->def)->parent : d->region;
}

bool ir_region_encloses(const TdlFunc *f, TdlRegion outer, TdlRegion inner) {
    while (inner.id && inner.id != outer.id) {
        TdlOp o = ir_region(f, inner)->parent;
        inner = o.id ? ir_op(f, o)->parent : (TdlRegion){0};
    }
    return inner.id != 0;
}

bool ir_may_consume(const TdlOpData *d, uint32_t operand) {
    switch ((int)d->code) {
    case OP_UPDATE: return operand == 0;
    case OP_FOR: return operand >= 2;
    case OP_WHILE: case OP_WITHACC: return true;
    default: return false;
    }
}

bool ir_defined_in(const TdlFunc *f, TdlVal v, TdlRegion r) { return ir_region_encloses(f, r, ir_region_of(f, v)); }

/* v as something plus a constant, which wraps as indices do; 0: a constant alone. */
static TdlVal without_constant(const TdlFunc *f, TdlVal v, uint64_t *plus) {
    TdlOp o = ir_val(f, v)->def;
    const TdlOpData *d = ir_op(f, o);
    *plus = 0;
    if (!o.id) return v;
    if (d->code == OP_CONST) {
        *plus = (uint64_t)op_int(f, o, "value", 0);
        return (TdlVal){0};
    }
    if (d->code != OP_ADD && d->code != OP_SUB) return v;
    TdlOp c = ir_val(f, d->operands[1])->def;
    if (!c.id || ir_op(f, c)->code != OP_CONST) return v;
    *plus = (uint64_t)op_int(f, c, "value", 0);
    if (d->code == OP_SUB) *plus = 0 - *plus;
    return d->operands[0];
}

bool ir_same_index(const TdlFunc *f, TdlVal a, TdlVal b) {
    uint64_t x, y;
    TdlVal v = without_constant(f, a, &x), w = without_constant(f, b, &y);
    return v.id == w.id && x == y;
}

bool ir_different_elements(const TdlFunc *f, const TdlVal *a, uint32_t na, const TdlVal *b, uint32_t nb) {
    for (uint32_t i = 0; i < na && i < nb; i++) {
        uint64_t x, y;
        TdlVal v = without_constant(f, a[i], &x), w = without_constant(f, b[i], &y);
        if (v.id == w.id && x != y) return true;
    }
    return false;
}

TdlVal ir_viewed(const TdlFunc *f, TdlVal buf) {
    for (;;) {
        TdlOp def = ir_val(f, buf)->def;
        if (!def.id || ir_op(f, def)->code != OP_VIEW) return buf;
        buf = ir_op(f, def)->operands[0];
    }
}

TdlOp ir_threads_around(const TdlFunc *f, TdlRegion r) {
    for (TdlOp o; r.id; r = ir_op(f, o)->parent) {
        o = ir_region(f, r)->parent;
        if (!o.id || op_attr(f, o, "threads")) return o;
    }
    return (TdlOp){0};
}

/* Of the `threads` loop around a slot. */
static void most_chunks(void *user, TdlFunc *f, TdlOp o) {
    if (ir_op(f, o)->code != OP_ALLOC || !op_attr(f, o, "offset")) return;
    TdlOp loop = ir_threads_around(f, ir_op(f, o)->parent);
    int64_t *most = user, n = loop.id ? op_int(f, loop, "threads", 0) : 0;
    if (n > *most) *most = n;
}

TdlDim ir_static_bytes(TdlFunc *f) {
    TdlModule *m = f->module;
    int64_t most = 0;
    TdlDim slots = f->workspace.id ? f->workspace : dim_const(m, 0);
    if (!f->chunk.id) return slots;
    ir_walk(f, f->body, most_chunks, &most);
    return dim_add(m, slots, dim_mul(m, f->chunk, dim_const(m, most)));
}

TdlOp ir_terminator(const TdlFunc *f, TdlRegion r) {
    TdlOp o = ir_region(f, r)->last;
    return o.id && (op_info(ir_op(f, o)->code)->flags & OPF_TERMINATOR) ? o : (TdlOp){0};
}

typedef struct { TdlRegion r; TdlArena *scratch; TdlIdMap seen; TdlVals *out; } FreeVals;

static void collect_free(void *user, TdlFunc *f, TdlOp o) {
    FreeVals *c = user;
    const TdlOpData *d = ir_op(f, o);
    for (uint16_t i = 0; i < d->noperands; i++) {
        TdlVal v = d->operands[i];
        uint32_t *seen = idmap_at(c->scratch, &c->seen, v.id);
        if (*seen) continue;
        *seen = 1;
        if (!ir_defined_in(f, v, c->r)) VEC_PUSH(f->module->arena, *c->out, v);
    }
}

void ir_free_vals(TdlFunc *f, TdlRegion r, TdlArena *scratch, TdlVals *out) {
    FreeVals c = {.r = r, .scratch = scratch, .out = out};
    ir_walk(f, r, collect_free, &c);
}

typedef struct { TdlArena arena; TDL_VEC(TdlSym) seen; } Calls;

static bool region_has_effect(Calls *c, const TdlFunc *f, TdlRegion r);

static bool callee_has_effect(Calls *c, const TdlFunc *f, TdlOp call) {
    TdlSym name = intern(f->module->names, op_str(f, call, "callee"));
    for (uint32_t i = 0; i < c->seen.n; i++)
        if (sym_eq(c->seen.p[i], name)) return false; /* looked into already */
    VEC_PUSH(&c->arena, c->seen, name);
    const TdlFunc *callee = ir_func_find(f->module, name);
    return callee && region_has_effect(c, callee, callee->body);
}

static bool region_has_effect(Calls *c, const TdlFunc *f, TdlRegion r) {
    IR_FOREACH_OP(f, r, o) {
        const TdlOpData *d = ir_op(f, o);
        if ((op_info(d->code)->flags & OPF_EFFECT) && d->code != OP_ACCADD) return true;
        if (d->code == OP_CALL && callee_has_effect(c, f, o)) return true;
        for (uint16_t i = 0; i < d->nregions; i++)
            if (region_has_effect(c, f, d->regions[i])) return true;
    }
    return false;
}

bool ir_call_has_effect(const TdlFunc *f, TdlOp o) {
    Calls c = {0};
    arena_init_like(&c.arena, f->module->arena);
    bool has = callee_has_effect(&c, f, o);
    arena_free(&c.arena);
    return has;
}

/* Accumulators that are made inside `root` may be added to without anybody outside seeing it. */
static bool pure_within(const TdlFunc *f, TdlOp o, TdlOp root, bool calls_too) {
    const TdlOpData *d = ir_op(f, o);
    uint16_t flags = op_info(d->code)->flags;
    if (d->code == OP_ACCADD) {
        TdlOp with = ir_region(f, ir_region_of(f, d->operands[0]))->parent;
        while (with.id && with.id != root.id) with = ir_region(f, ir_op(f, with)->parent)->parent;
        return with.id != 0 && o.id != root.id;
    }
    if ((flags & OPF_TERMINATOR) && o.id != root.id) return true;
    if (!(flags & OPF_PURE) || (calls_too && d->code == OP_CALL && ir_call_has_effect(f, o))) return false;
    for (uint16_t i = 0; i < d->nregions; i++)
        for (TdlOp p = ir_region(f, d->regions[i])->first; p.id; p = ir_op(f, p)->next)
            if (!pure_within(f, p, root, calls_too)) return false;
    return true;
}

bool ir_op_is_pure(const TdlFunc *f, TdlOp o) { return pure_within(f, o, o, true); }
bool ir_op_is_pure_but_calls(const TdlFunc *f, TdlOp o) { return pure_within(f, o, o, false); }

/* ---- dimension variables ---- */

void ty_dim_vars(const TdlModule *m, TdlType t, void (*fn)(void *user, TdlSym var), void *user) {
    if (ty_kind(m, t) == TY_STACK) {
        for (uint32_t i = 0; i < ty_stack_n(m, t); i++) ty_dim_vars(m, ty_stack_elem(m, t, i), fn, user);
        return;
    }
    for (uint32_t i = 0; i < ty_rank(m, t); i++) dim_vars(m, ty_dims(m, t)[i], fn, user);
}

void ir_dim_vars(const TdlFunc *f, TdlOp o, void (*fn)(void *user, TdlSym var), void *user) {
    const TdlModule *m = f->module;
    const TdlOpData *d = ir_op(f, o);
    for (uint32_t i = 0; i < d->nresults; i++) ty_dim_vars(m, ir_type(f, d->results[i]), fn, user);
    for (uint32_t i = 0; i < d->nattrs; i++) {
        const TdlAttr *at = &d->attrs[i];
        if (at->kind == ATTR_DIM) dim_vars(m, at->dim, fn, user);
        if (at->kind == ATTR_TYPE) ty_dim_vars(m, at->type, fn, user);
        for (uint32_t j = 0; at->kind == ATTR_DIMS && j < at->n; j++) dim_vars(m, at->dims[j], fn, user);
    }
    for (uint32_t r = 0; r < d->nregions; r++)
        for (uint32_t i = 0; i < ir_region(f, d->regions[r])->args.n; i++)
            ty_dim_vars(m, ir_type(f, ir_region(f, d->regions[r])->args.p[i]), fn, user);
}

typedef struct { const TdlFunc *f; bool other; } Entry;

static void look_at_var(void *user, TdlSym var) {
    Entry *e = user;
    bool own = false;
    for (uint32_t i = 0; i < e->f->dims.n; i++) own |= sym_eq(e->f->dims.p[i], var);
    e->other |= !own;
}

bool ir_dim_at_entry(const TdlFunc *f, TdlDim d) {
    Entry e = {f, false};
    dim_vars(f->module, d, look_at_var, &e);
    return !e.other;
}

bool ir_type_at_entry(const TdlFunc *f, TdlType t) {
    Entry e = {f, false};
    ty_dim_vars(f->module, t, look_at_var, &e);
    return !e.other;
}

bool ir_op_at_entry(const TdlFunc *f, TdlOp o) {
    Entry e = {f, false};
    ir_dim_vars(f, o, look_at_var, &e);
    return !e.other;
}

typedef struct { TdlSym var; bool found; } Mention;

static void match_var(void *user, TdlSym var) {
    Mention *k = user;
    k->found |= sym_eq(var, k->var);
}

static void match_op(void *user, TdlFunc *f, TdlOp o) { ir_dim_vars(f, o, match_var, user); }

bool ty_mentions(const TdlModule *m, TdlType t, TdlSym var) {
    Mention k = {var, false};
    ty_dim_vars(m, t, match_var, &k);
    return k.found;
}

bool ir_mentions(TdlFunc *f, TdlOp o, TdlSym var) {
    Mention k = {var, false};
    match_op(&k, f, o);
    for (uint32_t i = 0; i < ir_op(f, o)->nregions; i++) ir_walk(f, ir_op(f, o)->regions[i], match_op, &k);
    return k.found;
}
