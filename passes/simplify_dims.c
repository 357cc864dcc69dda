/* Run-time dimensions that are not: a `newdim` of a value that is a dimension already (after inlining, say) gives way
 * to that dimension, in all types in its scope; one that no type mentions is its operand.
 *
 *     %2 = dim {d = n} : i64
 *     %3 = newdim %2 {sym = t} : i64          =>     %2 = dim {d = n} : i64
 *     %4 = map %3 {...} : f64[t]                     %4 = map %2 {...} : f64[n]
 */
#include "passes/simplify.h"

#include <string.h>

typedef struct { Simplify *s; TdlDimMap map; TdlVal *repl; uint32_t nvals; bool *mentioned; uint32_t nsyms; } Dims;

/* ---- known values ---- */

static TdlType subst(Dims *d, TdlType t) {
    return ty_subst(d->s->m, t, d->map.names, d->map.to, d->map.n);
}

static TdlDim subst_dim(Dims *d, TdlDim x) { return dim_subst(d->s->m, x, d->map.names, d->map.to, d->map.n); }

static void rewrite_op(Dims *d, TdlOp o) {
    TdlFunc *f = d->s->f;
    const TdlOpData *p = ir_op(f, o);
    for (uint16_t i = 0; i < p->nresults; i++) {
        TdlValData *v = ir_val(f, p->results[i]);
        v->type = subst(d, v->type);
    }
    for (uint16_t i = 0; i < p->nattrs; i++) {
        TdlAttr *a = &p->attrs[i];
        if (a->kind == ATTR_DIM) a->dim = subst_dim(d, a->dim);
        if (a->kind == ATTR_TYPE) a->type = subst(d, a->type);
        if (a->kind != ATTR_DIMS) continue;
        TdlDim *to = ARENA_ARRAY(d->s->m->arena, TdlDim, a->n);
        for (uint32_t k = 0; k < a->n; k++) to[k] = subst_dim(d, a->dims[k]);
        a->dims = to;
    }
}

/* The dimension that `newdim` o defines is already known, and not negative. */
static bool is_known(Dims *d, TdlOp o, TdlDim *value) {
    Simplify *s = d->s;
    if (!op_str(s->f, o, "sym") || !ir_val_dim(s->f, sm_operand(s, o, 0), value)) return false;
    return dim_known_ge(s->m, *value, dim_const(s->m, 0));
}

static void rewrite_region(Dims *d, TdlRegion r) {
    TdlFunc *f = d->s->f;
    uint32_t mark = d->map.n;
    IR_FOREACH_OP(f, r, o) {
        TdlDim value;
        if (d->map.n) rewrite_op(d, o);
        for (uint16_t i = 0; i < ir_op(f, o)->nregions; i++) {
            const TdlVals *args = &ir_region(f, ir_op(f, o)->regions[i])->args;
            for (uint32_t k = 0; d->map.n && k < args->n; k++) ir_val(f, args->p[k])->type = subst(d, ir_type(f, args->p[k]));
            rewrite_region(d, ir_op(f, o)->regions[i]);
        }
        if (ir_op(f, o)->code != OP_NEWDIM || !is_known(d, o, &value)) continue;
        dimmap_add(&d->map, intern(d->s->m->names, op_str(f, o, "sym")), value);
        d->repl[ir_result(f, o, 0).id] = sm_operand(d->s, o, 0);
        ir_remove(f, o);
        d->s->changed = true;
    }
    d->map.n = mark; /* the names end with their region */
}

/* ---- what no type mentions ---- */

static void mention(void *user, TdlSym var) {
    Dims *d = user;
    if (var.id < d->nsyms) d->mentioned[var.id] = true;
}

static void mention_op(void *user, TdlFunc *f, TdlOp o) { ir_dim_vars(f, o, mention, user); }

static void drop_unmentioned(Dims *d, const TdlOp *newdims, uint32_t n) {
    TdlFunc *f = d->s->f;
    ir_walk(f, f->body, mention_op, d);
    for (uint32_t i = 0; i < n; i++) {
        TdlOp o = newdims[i];
        if (ir_op(f, o)->code != OP_NEWDIM || !op_str(f, o, "sym")) continue;
        TdlSym sym = intern(d->s->m->names, op_str(f, o, "sym"));
        if (sym.id >= d->nsyms || d->mentioned[sym.id]) continue;
        d->repl[ir_result(f, o, 0).id] = sm_operand(d->s, o, 0);
        ir_remove(f, o);
        d->s->changed = true;
    }
}

void sm_dims(Simplify *s) {
    TdlFunc *f = s->f;
    TDL_VEC(TdlOp) newdims = {0};
    uint32_t nsyms = 0;
    for (uint32_t i = 1; i < f->ops.n; i++) {
        const char *sym = f->ops.p[i].code == OP_NEWDIM ? op_str(f, (TdlOp){i}, "sym") : NULL;
        if (!sym) continue;
        TdlSym id = intern(s->m->names, sym);
        if (id.id >= nsyms) nsyms = id.id + 1;
        VEC_PUSH(&s->scratch, newdims, (TdlOp){i});
    }
    if (!newdims.n) return;
    Dims d = {.s = s, .map = {.arena = &s->scratch}, .repl = ARENA_ARRAY(&s->scratch, TdlVal, f->vals.n), .nvals = f->vals.n,
              .mentioned = ARENA_ARRAY(&s->scratch, bool, nsyms), .nsyms = nsyms};
    rewrite_region(&d, f->body);
    drop_unmentioned(&d, newdims.p, newdims.n);
    ir_replace_all(f, d.repl, d.nvals);
}
