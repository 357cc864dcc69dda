/* Building: operations, regions and the small helpers that emit common ones. */
#include "ir/dim.h"
#include "ir/typerule.h"

#include <math.h>

TdlBuilder ir_at_end(TdlFunc *f, TdlRegion r, TdlSpan span) {
    return (TdlBuilder){.f = f, .region = r, .span = span};
}

TdlBuilder ir_before(TdlFunc *f, TdlOp o) {
    return (TdlBuilder){.f = f, .region = ir_op(f, o)->parent, .before = o, .span = ir_op(f, o)->span};
}

TdlBuilder ir_after(TdlFunc *f, TdlOp o) {
    TdlBuilder b = ir_before(f, o);
    b.before = ir_op(f, o)->next;
    return b;
}

TdlRegion ir_region_new(TdlFunc *f, TdlOp parent) {
    TdlRegion r = {f->regions.n};
    VEC_PUSH(f->module->arena, f->regions, (TdlRegionData){.parent = parent});
    return r;
}

static TdlVal new_val(TdlFunc *f, TdlValData d) {
    TdlVal v = {f->vals.n};
    VEC_PUSH(f->module->arena, f->vals, d);
    return v;
}

TdlVal ir_region_arg(TdlFunc *f, TdlRegion r, TdlType t, TdlSym name) {
    TdlVal v = new_val(f, (TdlValData){.type = t, .region = r, .index = ir_region(f, r)->args.n, .name = name});
    VEC_PUSH(f->module->arena, ir_region(f, r)->args, v);
    return v;
}

/* Links a new operation at the builder's place. */
static void link_op(TdlBuilder *b, TdlOp o) {
    TdlFunc *f = b->f;
    TdlOpData *d = ir_op(f, o);
    TdlRegionData *r = ir_region(f, b->region);
    d->parent = b->region;
    d->next = b->before;
    d->prev = b->before.id ? ir_op(f, b->before)->prev : r->last;
    if (d->prev.id) ir_op(f, d->prev)->next = o;
    else r->first = o;
    if (d->next.id) ir_op(f, d->next)->prev = o;
    else r->last = o;
}

TdlOp ir_emit(TdlBuilder *b, TdlOpcode c, const TdlVal *operands, uint32_t n, const TdlType *results, uint32_t nresults) {
    TdlFunc *f = b->f;
    TdlArena *a = f->module->arena;
    TdlOp o = {f->ops.n};
    dim_at(f->module, b->span);
    uint8_t nregions = op_info(c)->nregions;
    if (n > UINT16_MAX || nresults > UINT16_MAX) {
        diag_error(f->module->diags, b->span, "%s: more than 65535 values in one operation: join smaller parts", op_info(c)->name);
        n = n > UINT16_MAX ? UINT16_MAX : n; /* what is built is not used: there is an error */
        nresults = nresults > UINT16_MAX ? UINT16_MAX : nresults;
    }
    VEC_PUSH(a, f->ops, ((TdlOpData){.code = c, .noperands = (uint16_t)n, .nresults = (uint16_t)nresults,
                                     .nregions = nregions, .span = b->span, .grad_fn = b->grad_fn}));
    TdlVal *vals = ARENA_ARRAY(a, TdlVal, nresults);
    for (uint32_t i = 0; i < nresults; i++)
        vals[i] = new_val(f, (TdlValData){.type = results[i], .def = o, .index = i});
    TdlRegion *regions = nregions ? ARENA_ARRAY(a, TdlRegion, nregions) : NULL;
    for (uint8_t i = 0; i < nregions; i++) regions[i] = ir_region_new(f, o);
    TdlOpData *d = ir_op(f, o);
    d->operands = arena_memdup(a, operands, n * sizeof *operands);
    d->results = vals;
    d->regions = regions;
    link_op(b, o);
    return o;
}

TdlVal ir_result(const TdlFunc *f, TdlOp o, uint32_t i) { return ir_op(f, o)->results[i]; }

/* Gives the lone result of `o` the type that the rule finds. When the operands do not fit (which the verifier will
 * report), the first operand's type stands in, so that building can go on. */
static TdlVal infer(TdlBuilder *b, TdlOp o) {
    TdlFunc *f = b->f;
    TdlType t = {0};
    TdlStr why = str_new(f->module->arena);
    if (!ir_type_rule(f, o, &t, &why, false) || !t.id) {
        const TdlOpData *d = ir_op(f, o);
        t = d->noperands ? ir_type(f, d->operands[0]) : ty_scalar(f->module, EL_I64);
    }
    TdlVal v = ir_result(f, o, 0);
    ir_val(f, v)->type = t;
    return v;
}

TdlVal ir_emit1(TdlBuilder *b, TdlOpcode c, const TdlVal *operands, uint32_t n) {
    return infer(b, ir_emit(b, c, operands, n, &(TdlType){0}, 1));
}

TdlVal ir_unary(TdlBuilder *b, TdlOpcode c, TdlVal x) { return ir_emit1(b, c, &x, 1); }

TdlVal ir_binary(TdlBuilder *b, TdlOpcode c, TdlVal x, TdlVal y) { return ir_emit1(b, c, (TdlVal[]){x, y}, 2); }

/* ---- constants and dimensions ---- */

TdlVal ir_const_float(TdlBuilder *b, TdlElem e, double v) {
    TdlType t = ty_scalar(b->f->module, e);
    TdlOp o = ir_emit(b, OP_CONST, NULL, 0, &t, 1);
    /* The value is kept as the element type holds it, so that folding sees what will run; a NaN is the one that text
     * reads back as. */
    op_set_float(b->f, o, "value", isnan(v) ? (double)NAN : e == EL_F32 ? (double)(float)v : v);
    return ir_result(b->f, o, 0);
}

TdlVal ir_const_int(TdlBuilder *b, TdlElem e, int64_t v) {
    TdlType t = ty_scalar(b->f->module, e);
    TdlOp o = ir_emit(b, OP_CONST, NULL, 0, &t, 1);
    op_set_int(b->f, o, "value", e == EL_BOOL ? v != 0 : v);
    return ir_result(b->f, o, 0);
}

TdlVal ir_dim(TdlBuilder *b, TdlDim d) {
    int64_t c;
    if (dim_is_const(b->f->module, d, &c)) return ir_const_int(b, EL_I64, c);
    TdlType t = ty_scalar(b->f->module, EL_I64);
    TdlOp o = ir_emit(b, OP_DIM, NULL, 0, &t, 1);
    op_set_dim(b->f, o, "d", d);
    return ir_result(b->f, o, 0);
}

enum { DIM_BUDGET = 1000 }; /* operations looked through: shared operands could make it exponential */

static bool val_dim(const TdlFunc *f, TdlVal v, TdlDim *d, int *budget) {
    TdlModule *m = f->module;
    TdlOp o = ir_val(f, v)->def;
    if (!o.id || --*budget < 0 || !ty_is_scalar(m, ir_type(f, v)) || ty_elem(m, ir_type(f, v)) != EL_I64) return false;
    const TdlOpData *p = ir_op(f, o);
    const TdlAttr *a;
    TdlDim x, y;
    int64_t c;
    switch (p->code) {
    case OP_DIM: return (a = op_attr(f, o, "d")) && a->kind == ATTR_DIM && (*d = a->dim, true);
    case OP_CONST: return (a = op_attr(f, o, "value")) && a->kind == ATTR_INT && (*d = dim_const(m, a->i), true);
    case OP_NEWDIM: return op_str(f, o, "sym") && (*d = dim_var(m, intern(m->names, op_str(f, o, "sym"))), true);
    case OP_NEG:
        if (!val_dim(f, p->operands[0], &x, budget)) return false;
        return *d = dim_sub(m, dim_const(m, 0), x), true;
    case OP_ADD: case OP_SUB: case OP_MUL: case OP_FLOORDIV: case OP_MOD:
        if (!val_dim(f, p->operands[0], &x, budget) || !val_dim(f, p->operands[1], &y, budget)) return false;
        if (p->code == OP_ADD) return *d = dim_add(m, x, y), true;
        if (p->code == OP_SUB) return *d = dim_sub(m, x, y), true;
        if (p->code == OP_MUL) return *d = dim_mul(m, x, y), true;
        if (!dim_is_const(m, y, &c) || c <= 0) return false;
        return *d = p->code == OP_FLOORDIV ? dim_floordiv(m, x, c) : dim_mod(m, x, c), true;
    default: return false;
    }
}

bool ir_val_dim(const TdlFunc *f, TdlVal v, TdlDim *d) {
    /* An integer that overflows as a polynomial is an integer, no dimension, and no error. */
    struct TdlDimTable *t = f->module->dimtab;
    bool quiet = t->quiet;
    int budget = DIM_BUDGET;
    t->quiet = true;
    t->overflowed = false;
    bool found = val_dim(f, v, d, &budget) && !t->overflowed;
    t->quiet = quiet;
    return found;
}

/* ---- helpers ---- */

TdlVal ir_cast(TdlBuilder *b, TdlVal x, TdlElem e) {
    TdlModule *m = b->f->module;
    TdlType t = ir_type(b->f, x);
    if (ty_elem(m, t) == e) return x;
    t = ty_with_elem(m, t, e);
    TdlOp o = ir_emit(b, OP_CAST, &x, 1, &t, 1);
    op_set_type(b->f, o, "to", ty_scalar(m, e));
    return ir_result(b->f, o, 0);
}

TdlVal ir_broadcast(TdlBuilder *b, TdlVal x, TdlType to, const int64_t *axes) {
    TdlModule *m = b->f->module;
    TdlType t = ir_type(b->f, x);
    if (ty_eq(t, to)) return x;
    uint32_t rank = ty_rank(m, t), skip = ty_rank(m, to) - rank;
    int64_t *trailing = ARENA_ARRAY(m->arena, int64_t, rank);
    for (uint32_t i = 0; i < rank; i++) trailing[i] = skip + i;
    TdlOp o = ir_emit(b, OP_BROADCAST, &x, 1, &to, 1);
    op_set_ints(b->f, o, "axes", axes ? axes : trailing, rank);
    return ir_result(b->f, o, 0);
}

TdlVal ir_full(TdlBuilder *b, TdlVal scalar, TdlType to) { return ir_broadcast(b, scalar, to, NULL); }

TdlVal ir_zeros(TdlBuilder *b, TdlType t) {
    TdlElem e = ty_elem(b->f->module, t);
    return ir_full(b, el_is_float(e) ? ir_const_float(b, e, 0.0) : ir_const_int(b, e, 0), t);
}

/* x, then v when it is set, then the indices. */
static TdlVal emit_indexed(TdlBuilder *b, TdlOpcode c, TdlVal x, TdlVal v, const TdlVal *idx, uint32_t n) {
    TdlVal *all = ARENA_ARRAY(b->f->module->arena, TdlVal, n + 2);
    uint32_t k = 0;
    all[k++] = x;
    if (v.id) all[k++] = v;
    for (uint32_t i = 0; i < n; i++) all[k++] = idx[i];
    return ir_emit1(b, c, all, k);
}

TdlVal ir_index(TdlBuilder *b, TdlVal x, const TdlVal *idx, uint32_t n) {
    return n ? emit_indexed(b, OP_INDEX, x, (TdlVal){0}, idx, n) : x;
}

TdlVal ir_update(TdlBuilder *b, TdlVal x, TdlVal v, const TdlVal *idx, uint32_t n) {
    return n ? emit_indexed(b, OP_UPDATE, x, v, idx, n) : v;
}

TdlVal ir_sum_axes(TdlBuilder *b, TdlVal x, const int64_t *axes, uint32_t n) {
    if (!n) return x;
    TdlOp o = ir_emit(b, OP_SUM, &x, 1, &(TdlType){0}, 1);
    op_set_ints(b->f, o, "axes", axes, n);
    return infer(b, o);
}
