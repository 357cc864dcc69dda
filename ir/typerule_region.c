/* Type rules of operations with regions, and of calls and derivatives. */
#include "ir/typerule.h"

#include <string.h>

/* ---- regions ---- */

/* The `yield` that ends region i. */
static const TdlOpData *yield_of(TdlRule *r, uint16_t i) {
    TdlOp o = r->d->regions[i].id ? ir_terminator(r->f, r->d->regions[i]) : (TdlOp){0};
    if (o.id && ir_op(r->f, o)->code == OP_YIELD) return ir_op(r->f, o);
    rule_fault(r, "region %u does not end in yield", (unsigned)i);
    return NULL;
}

static const TdlVals *args_of(const TdlRule *r, uint16_t region) { return &ir_region(r->f, r->d->regions[region])->args; }

static bool arg_count(TdlRule *r, uint16_t region, uint32_t n) {
    uint32_t have = args_of(r, region)->n;
    return have == n || rule_fault(r, "region %u has %u arguments, expected %u", (unsigned)region, have, n);
}

static bool arg_is(TdlRule *r, uint16_t region, uint32_t i, TdlType want) {
    TdlType t = ir_type(r->f, args_of(r, region)->p[i]);
    return ty_eq(t, want) || rule_fault(r, "argument %u of region %u has the wrong type: %s, expected %s", i,
                                        (unsigned)region, rule_text(r, t), rule_text(r, want));
}

static bool yield_count(TdlRule *r, const TdlOpData *y, uint32_t n) {
    return y->noperands == n || rule_fault(r, "%u values yielded, expected %u", (unsigned)y->noperands, n);
}

static bool yield_is(TdlRule *r, const TdlOpData *y, uint32_t i, TdlType want) {
    TdlType t = ir_type(r->f, y->operands[i]);
    return ty_eq(t, want) ||
           rule_fault(r, "yielded value %u has the wrong type: %s, expected %s", i, rule_text(r, t), rule_text(r, want));
}

/* Operands are extents, and the region has an i64 index for each. */
static bool extents(TdlRule *r) {
    if (!rule_indices(r, 0, r->d->noperands) || !arg_count(r, 0, r->d->noperands)) return false;
    for (uint32_t i = 0; i < r->d->noperands; i++)
        if (!arg_is(r, 0, i, ty_scalar(r->m, EL_I64))) return false;
    return true;
}

bool rule_map(TdlRule *r) {
    const TdlOpData *y;
    if (!extents(r) || !(y = yield_of(r, 0)) || !yield_count(r, y, r->d->nresults)) return false;
    TdlDim *dims = ARENA_ARRAY(r->m->arena, TdlDim, r->d->noperands);
    for (uint32_t i = 0; i < r->d->noperands && r->d->nresults; i++) /* without results, any integer will do */
        if (!ir_val_dim(r->f, r->d->operands[i], &dims[i])) return rule_fault(r, "extent %u is not a dimension", i);
    for (uint32_t i = 0; i < y->noperands; i++) {
        TdlType t = ir_type(r->f, y->operands[i]);
        if (ty_kind(r->m, t) != TY_TENSOR)
            return rule_fault(r, "yielded value %u is not a tensor: %s", i, rule_text(r, t));
        r->out[i] = ty_prepend(r->m, t, dims, r->d->noperands);
    }
    return true;
}

static bool reduce_kind(TdlRule *r, TdlType t) {
    const char *kind = op_str(r->f, r->op, "kind");
    if (!kind) return rule_fault(r, "attribute 'kind' is missing");
    bool logical = !strcmp(kind, "any") || !strcmp(kind, "all");
    bool arg = !strcmp(kind, "argmax") || !strcmp(kind, "argmin");
    bool known = logical || arg || !strcmp(kind, "sum") || !strcmp(kind, "prod") || !strcmp(kind, "max") || !strcmp(kind, "min");
    if (!known) return rule_fault(r, "unknown kind '%s'", kind);
    if (ty_kind(r->m, t) != TY_TENSOR || (ty_elem(r->m, t) == EL_BOOL) != logical)
        return rule_fault(r, "%s over %s", kind, rule_text(r, t));
    if (op_int(r->f, r->op, "empty", 0) && strcmp(kind, "max") && strcmp(kind, "min")) return rule_fault(r, "empty is for max and min, not %s", kind);
    if (arg && (!ty_is_scalar(r->m, t) || r->d->noperands != 1))
        return rule_fault(r, "%s goes over scalars with one extent", kind);
    r->out[0] = arg ? ty_scalar(r->m, EL_I64) : t;
    return true;
}

bool rule_reduce(TdlRule *r) {
    const TdlOpData *y;
    uint32_t filter = op_int(r->f, r->op, "filter", 0) != 0;
    if (!rule_results(r, 1) || !extents(r) || !(y = yield_of(r, 0)) || !yield_count(r, y, 1 + filter)) return false;
    if (filter && !yield_is(r, y, 1, ty_scalar(r->m, EL_BOOL))) return false;
    return reduce_kind(r, ir_type(r->f, y->operands[0]));
}

bool rule_for(TdlRule *r) {
    uint32_t exit = op_int(r->f, r->op, "exit", 0) != 0, n = r->d->noperands - 2u;
    TdlType i64 = ty_scalar(r->m, EL_I64);
    const TdlOpData *y = yield_of(r, 0);
    const TdlAttr *lanes = op_attr(r->f, r->op, "vector");
    for (uint32_t i = 0; lanes && i < lanes->n; i++)
        if (!rule_lanes(r, lanes->ints[i])) return false;
    if (!lanes && op_int(r->f, r->op, "masked", 0)) return rule_fault(r, "`masked` belongs to `vector`");
    int64_t threads = op_int(r->f, r->op, "threads", 0);
    if (op_attr(r->f, r->op, "threads") && (n || exit || threads < 1 || threads > IR_MOST_CHUNKS))
        return rule_fault(r, "threads: a loop over 1 to %d chunks carries nothing and has no exit", IR_MOST_CHUNKS);
    if (!y || !rule_is(r, rule_in(r, 0), i64, "the lower bound") || !rule_is(r, rule_in(r, 1), i64, "the upper bound") ||
        !rule_results(r, n + exit) || !arg_count(r, 0, n + 1) || !yield_count(r, y, n + exit) || !arg_is(r, 0, 0, i64))
        return false;
    if (exit && !yield_is(r, y, 0, ty_scalar(r->m, EL_BOOL))) return false;
    if (exit) r->out[0] = i64;
    for (uint32_t i = 0; i < n; i++) {
        TdlType t = r->out[i + exit] = rule_in(r, i + 2);
        if (!arg_is(r, 0, i + 1, t) || !yield_is(r, y, i + exit, t)) return false;
    }
    return true;
}

bool rule_while(TdlRule *r) {
    const TdlOpData *c = yield_of(r, 0), *y = yield_of(r, 1);
    uint32_t n = r->d->noperands;
    if (!c || !y || !rule_results(r, n) || !arg_count(r, 0, n) || !arg_count(r, 1, n) || !yield_count(r, c, 1) ||
        !yield_is(r, c, 0, ty_scalar(r->m, EL_BOOL)) || !yield_count(r, y, n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        TdlType t = r->out[i] = rule_in(r, i);
        if (!arg_is(r, 0, i, t) || !arg_is(r, 1, i, t) || !yield_is(r, y, i, t)) return false;
    }
    return true;
}

bool rule_if(TdlRule *r) {
    const TdlOpData *a = yield_of(r, 0), *b = yield_of(r, 1);
    if (!a || !b || !rule_is(r, rule_in(r, 0), ty_scalar(r->m, EL_BOOL), "the condition") || !arg_count(r, 0, 0) ||
        !arg_count(r, 1, 0) || !yield_count(r, a, r->d->nresults) || !yield_count(r, b, r->d->nresults))
        return false;
    for (uint32_t i = 0; i < a->noperands; i++) {
        r->out[i] = ir_type(r->f, a->operands[i]);
        if (!yield_is(r, b, i, r->out[i])) return false;
    }
    return true;
}

bool rule_checkpoint(TdlRule *r) {
    const TdlOpData *y = yield_of(r, 0);
    if (!y || !arg_count(r, 0, 0) || !rule_results(r, y->noperands)) return false;
    for (uint32_t i = 0; i < y->noperands; i++) r->out[i] = ir_type(r->f, y->operands[i]);
    return true;
}

bool rule_withacc(TdlRule *r) {
    const TdlOpData *y = yield_of(r, 0);
    uint32_t n = r->d->noperands;
    if (!y || !arg_count(r, 0, n) || !rule_results(r, n + y->noperands)) return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!rule_tensor(r, i) || !arg_is(r, 0, i, ty_acc(r->m, rule_in(r, i)))) return false;
        r->out[i] = rule_in(r, i);
    }
    for (uint32_t i = 0; i < y->noperands; i++) r->out[n + i] = ir_type(r->f, y->operands[i]);
    return true;
}

/* ---- calls and derivatives ---- */

typedef struct { const TdlFunc *callee; const TdlDim *to; } Callee;

static bool find_callee(TdlRule *r, Callee *c) {
    const char *name = op_str(r->f, r->op, "callee");
    const TdlAttr *dims = op_attr(r->f, r->op, "dims");
    uint32_t n = dims && dims->kind == ATTR_DIMS ? dims->n : 0;
    if (!name) return rule_fault(r, "attribute 'callee' is missing");
    c->callee = ir_func_find(r->m, intern(r->m->names, name));
    if (!c->callee) return rule_fault(r, "there is no function @%s", name);
    if (n != c->callee->dims.n)
        return rule_fault(r, "@%s has %u dimensions, %u are given", name, c->callee->dims.n, n);
    c->to = n ? dims->dims : NULL;
    return true;
}

static TdlType port_type(TdlRule *r, const Callee *c, const TdlPort *p) {
    return ty_subst(r->m, p->type, c->callee->dims.p, c->to, c->callee->dims.n);
}

static bool arguments(TdlRule *r, const Callee *c) {
    for (uint32_t i = 0; i < c->callee->params.n; i++) {
        TdlType want = port_type(r, c, &c->callee->params.p[i]);
        if (!ty_eq(rule_in(r, i), want))
            return rule_fault(r, "argument %u has the wrong type: %s, expected %s", i, rule_text(r, rule_in(r, i)),
                              rule_text(r, want));
    }
    return true;
}

bool rule_call(TdlRule *r) {
    Callee c;
    if (!find_callee(r, &c)) return false;
    if (r->d->noperands != c.callee->params.n)
        return rule_fault(r, "%u arguments, expected %u", (unsigned)r->d->noperands, c.callee->params.n);
    if (!arguments(r, &c) || !rule_results(r, c.callee->results.n)) return false;
    for (uint32_t i = 0; i < c.callee->results.n; i++) r->out[i] = port_type(r, &c, &c.callee->results.p[i]);
    return true;
}

bool rule_vjp(TdlRule *r) {
    Callee c;
    const TdlAttr *wrt = op_attr(r->f, r->op, "wrt");
    if (!find_callee(r, &c)) return false;
    if (!wrt || wrt->kind != ATTR_INTS) return rule_fault(r, "attribute 'wrt' is missing");
    uint32_t np = c.callee->params.n, nr = c.callee->results.n, nbar = 0;
    for (uint32_t i = 0; i < nr; i++) nbar += ty_is_float(r->m, c.callee->results.p[i].type);
    if (r->d->noperands != np + nbar)
        return rule_fault(r, "%u operands: expected %u arguments and %u cotangents", (unsigned)r->d->noperands, np, nbar);
    if (!arguments(r, &c) || !rule_results(r, nr + wrt->n)) return false;
    for (uint32_t i = 0, k = np; i < nr; i++) {
        TdlType t = r->out[i] = port_type(r, &c, &c.callee->results.p[i]);
        if (ty_is_float(r->m, t) && !rule_is(r, rule_in(r, k++), t, "a cotangent")) return false;
    }
    for (uint32_t i = 0; i < wrt->n; i++) {
        int64_t p = wrt->ints[i];
        if (p < 0 || p >= (int64_t)np) return rule_fault(r, "wrt: there is no parameter %lld", (long long)p);
        r->out[nr + i] = port_type(r, &c, &c.callee->params.p[p]);
        if (!ty_is_float(r->m, r->out[nr + i])) return rule_fault(r, "wrt: parameter %lld is not float", (long long)p);
    }
    return true;
}

bool rule_pattern(TdlRule *r) {
    Callee c;
    const TdlAttr *wrt = op_attr(r->f, r->op, "wrt");
    if (!find_callee(r, &c)) return false;
    if (!wrt || wrt->kind != ATTR_INTS) return rule_fault(r, "attribute 'wrt' is missing");
    uint32_t np = c.callee->params.n, n = 0;
    if (r->d->noperands != np) return rule_fault(r, "%u arguments, expected %u", (unsigned)r->d->noperands, np);
    for (uint32_t i = 0; i < wrt->n; i++) {
        int64_t p = wrt->ints[i];
        if (p < 0 || p >= (int64_t)np) return rule_fault(r, "wrt: there is no parameter %lld", (long long)p);
        if (!ty_is_float(r->m, c.callee->params.p[p].type)) return rule_fault(r, "wrt: parameter %lld is not float", (long long)p);
    }
    for (uint32_t i = 0; i < c.callee->results.n; i++) n += ty_is_float(r->m, c.callee->results.p[i].type);
    if (!arguments(r, &c) || !rule_results(r, n)) return false;
    for (uint32_t i = 0, k = 0; i < c.callee->results.n; i++) {
        TdlType t = port_type(r, &c, &c.callee->results.p[i]);
        if (ty_is_float(r->m, t)) r->out[k++] = ty_with_elem(r->m, t, EL_I64);
    }
    return true;
}

bool rule_jvp(TdlRule *r) {
    Callee c;
    const TdlAttr *wrt = op_attr(r->f, r->op, "wrt");
    if (!find_callee(r, &c)) return false;
    if (!wrt || wrt->kind != ATTR_INTS) return rule_fault(r, "attribute 'wrt' is missing");
    uint32_t np = c.callee->params.n, nr = c.callee->results.n, ndot = 0;
    for (uint32_t i = 0; i < nr; i++) ndot += ty_is_float(r->m, c.callee->results.p[i].type);
    if (r->d->noperands != np + wrt->n)
        return rule_fault(r, "%u operands: expected %u arguments and %u tangents", (unsigned)r->d->noperands, np, wrt->n);
    if (!arguments(r, &c) || !rule_results(r, nr + ndot)) return false;
    for (uint32_t i = 0; i < wrt->n; i++) {
        int64_t p = wrt->ints[i];
        if (p < 0 || p >= (int64_t)np) return rule_fault(r, "wrt: there is no parameter %lld", (long long)p);
        TdlType t = port_type(r, &c, &c.callee->params.p[p]);
        if (!ty_is_float(r->m, t)) return rule_fault(r, "wrt: parameter %lld is not float", (long long)p);
        if (!rule_is(r, rule_in(r, np + i), t, "a tangent")) return false;
    }
    for (uint32_t i = 0, k = nr; i < nr; i++) {
        r->out[i] = port_type(r, &c, &c.callee->results.p[i]);
        if (ty_is_float(r->m, r->out[i])) r->out[k++] = r->out[i];
    }
    return true;
}

bool rule_backward(TdlRule *r) {
    uint32_t n = r->d->noperands - 2u;
    if (!rule_results(r, n) || !rule_tensor(r, 0)) return false;
    if (!ty_is_float(r->m, rule_in(r, 0))) return rule_fault(r, "float expected: %s", rule_text(r, rule_in(r, 0)));
    if (!rule_is(r, rule_in(r, 1), rule_in(r, 0), "the cotangent")) return false;
    for (uint32_t i = 0; i < n; i++) {
        r->out[i] = rule_in(r, i + 2);
        if (!ty_is_float(r->m, r->out[i])) return rule_fault(r, "leaf %u is not float: %s", i, rule_text(r, r->out[i]));
    }
    const TdlAttr *again = op_attr(r->f, r->op, "create_graph");
    for (uint32_t i = 0; again && i < again->n; i++)
        if (again->ints[i] < 0 || again->ints[i] >= n) return rule_fault(r, "create_graph: there is no result %lld", (long long)again->ints[i]);
    return true;
}
