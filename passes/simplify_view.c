/* Structure: views of views, reductions of constants, elements of what is known. A checked index keeps its check:
 * where an index would vanish together with its check, the rule wants inbounds = 1. */
#include "passes/simplify.h"

static TdlVal none(void) { return (TdlVal){0}; }
static TdlBuilder here(Simplify *s, TdlOp o) { return ir_before(s->f, o); }
static TdlType type_of(const Simplify *s, TdlOp o) { return ir_type(s->f, ir_result(s->f, o, 0)); }

static const int64_t *ints(const Simplify *s, TdlOp o, const char *key, uint32_t *n) {
    const TdlAttr *a = op_attr(s->f, o, key);
    *n = a && a->kind == ATTR_INTS ? a->n : 0;
    return *n ? a->ints : NULL;
}

/* ---- views ---- */

static TdlVal view_broadcast(Simplify *s, TdlOp o, TdlVal x) {
    TdlOp d = sm_def(s, x, OP_BROADCAST);
    if (ty_eq(type_of(s, o), ir_type(s->f, x))) return x;
    if (!d.id) return none();
    uint32_t n, outer_n;
    const int64_t *inner = ints(s, d, "axes", &n), *outer = ints(s, o, "axes", &outer_n);
    int64_t *axes = ARENA_ARRAY(&s->scratch, int64_t, n);
    for (uint32_t i = 0; i < n; i++) axes[i] = outer[inner[i]];
    TdlBuilder b = here(s, o);
    return ir_broadcast(&b, sm_operand(s, d, 0), type_of(s, o), axes);
}

static TdlVal view_reshape(Simplify *s, TdlOp o, TdlVal x) {
    TdlOp d = sm_def(s, x, OP_RESHAPE);
    TdlType t = type_of(s, o);
    SmConst c;
    if (ty_eq(t, ir_type(s->f, x))) return x;
    TdlOp bc = sm_def(s, x, OP_BROADCAST);
    if (bc.id && sm_const(s, sm_operand(s, bc, 0), &c) && dim_eq(ty_numel(s->m, t), ty_numel(s->m, ir_type(s->f, x)))) {
        TdlBuilder at = here(s, o);
        return ir_full(&at, sm_operand(s, bc, 0), t);
    }
    if (!d.id) return none();
    /* The checks of both sizes would become one: only where neither is a check. */
    TdlVal y = sm_operand(s, d, 0);
    if (!dim_eq(ty_numel(s->m, ir_type(s->f, y)), ty_numel(s->m, ir_type(s->f, x)))) return none();
    TdlBuilder b = here(s, o);
    return ty_eq(t, ir_type(s->f, y)) ? y : ir_result(s->f, ir_emit(&b, OP_RESHAPE, &y, 1, &t, 1), 0);
}

static TdlVal view_permute(Simplify *s, TdlOp o, TdlVal x) {
    uint32_t n, inner_n;
    const int64_t *perm = ints(s, o, "perm", &n);
    bool identity = true;
    for (uint32_t i = 0; i < n; i++) identity = identity && perm[i] == (int64_t)i;
    if (identity) return x;
    TdlOp d = sm_def(s, x, OP_PERMUTE), dot = sm_def(s, x, OP_DOT);
    if (dot.id) return sm_permuted_dot(s, o, dot);
    if (!d.id) return none();
    const int64_t *inner = ints(s, d, "perm", &inner_n);
    int64_t *both = ARENA_ARRAY(&s->scratch, int64_t, n);
    identity = true;
    for (uint32_t i = 0; i < n; i++) {
        both[i] = inner[perm[i]];
        identity = identity && both[i] == (int64_t)i;
    }
    TdlVal y = sm_operand(s, d, 0);
    if (identity) return y;
    TdlType t = type_of(s, o);
    TdlBuilder b = here(s, o);
    TdlOp p = ir_emit(&b, OP_PERMUTE, &y, 1, &t, 1);
    op_set_ints(s->f, p, "perm", both, n);
    return ir_result(s->f, p, 0);
}

/* sum of c > 0 (or +0) everywhere is c times the number of elements, also when that is 0. */
static TdlVal view_sum(Simplify *s, TdlOp o, TdlVal x) {
    SmConst c;
    uint32_t n;
    const int64_t *axes = ints(s, o, "axes", &n);
    if (!n) return x;
    if (!sm_splat(s, x, &c)) return none();
    if (c.is_float && (!(c.f >= 0) || c.f > 1e30 || __builtin_signbit(c.f))) return none();
    TdlType t = ir_type(s->f, x);
    TdlDim count = dim_const(s->m, 1);
    for (uint32_t i = 0; i < n; i++) count = dim_mul(s->m, count, ty_dims(s->m, t)[axes[i]]);
    TdlBuilder b = here(s, o);
    TdlVal k = ir_cast(&b, ir_dim(&b, count), c.e);
    TdlVal v = c.is_float ? ir_const_float(&b, c.e, c.f) : ir_const_int(&b, c.e, c.i);
    return ir_full(&b, ir_binary(&b, OP_MUL, k, v), type_of(s, o));
}

/* ---- elements ---- */

/* Indices [from, from + n) of two operations are the same values. */
static bool same_indices(const TdlOpData *a, uint32_t from_a, const TdlOpData *b, uint32_t from_b) {
    if (a->noperands - from_a != b->noperands - from_b) return false;
    for (uint32_t i = 0; i + from_a < a->noperands; i++)
        if (a->operands[from_a + i].id != b->operands[from_b + i].id) return false;
    return true;
}

static bool different_indices(const Simplify *s, const TdlOpData *a, uint32_t from_a, const TdlOpData *b, uint32_t from_b) {
    return ir_different_elements(s->f, a->operands + from_a, a->noperands - from_a, b->operands + from_b, b->noperands - from_b);
}

static TdlVal indexed(Simplify *s, TdlOp o, TdlVal x, const TdlVal *idx, uint32_t n, bool inbounds) {
    TdlBuilder b = here(s, o);
    TdlVal v = ir_index(&b, x, idx, n);
    if (n && inbounds) op_set_int(s->f, ir_val(s->f, v)->def, "inbounds", 1);
    return v;
}

/* Element (i, j) of update(x, v, i): that of v where the indices are the same, of x where they certainly differ. */
static TdlVal index_update(Simplify *s, TdlOp o, TdlOp u, bool inbounds) {
    const TdlOpData *d = ir_op(s->f, o), *ud = ir_op(s->f, u);
    uint32_t n = d->noperands - 1u;
    if (same_indices(d, 1, ud, 2)) return ud->operands[1];
    if (different_indices(s, d, 1, ud, 2)) {
        TdlVal *idx = arena_memdup(&s->scratch, d->operands + 1, n * sizeof *idx);
        return indexed(s, o, ud->operands[0], idx, n, inbounds);
    }
    return none();
}

static TdlVal index_broadcast(Simplify *s, TdlOp o, TdlOp bc, bool inbounds) {
    const TdlOpData *d = ir_op(s->f, o);
    uint32_t n, given = d->noperands - 1u, used = 0;
    const int64_t *axes = ints(s, bc, "axes", &n);
    TdlVal x = sm_operand(s, bc, 0);
    TdlType xt = ir_type(s->f, x), bt = type_of(s, bc), t = type_of(s, o);
    if (!inbounds) return none();
    TdlVal *idx = ARENA_ARRAY(&s->scratch, TdlVal, n);
    int64_t *rest = ARENA_ARRAY(&s->scratch, int64_t, n);
    TdlBuilder b = here(s, o);
    for (uint32_t i = 0; i < n && axes[i] < (int64_t)given; i++, used++) {
        bool stretched = !dim_eq(ty_dims(s->m, xt)[i], ty_dims(s->m, bt)[axes[i]]);
        idx[i] = stretched ? ir_const_int(&b, EL_I64, 0) : ir_op(s->f, o)->operands[1 + axes[i]];
    }
    for (uint32_t i = used; i < n; i++) rest[i - used] = axes[i] - given;
    TdlVal v = indexed(s, o, x, idx, used, true);
    b = here(s, o);
    return ir_broadcast(&b, v, t, rest);
}

static TdlVal index_iota(Simplify *s, TdlOp o, TdlOp iota, bool inbounds) {
    const TdlOpData *d = ir_op(s->f, o);
    int64_t axis = op_int(s->f, iota, "axis", -1);
    if (!inbounds || axis < 0 || axis + 1 >= d->noperands || ty_rank(s->m, type_of(s, o))) return none();
    TdlVal i = d->operands[1 + axis];
    TdlBuilder b = here(s, o);
    return ir_cast(&b, i, ty_elem(s->m, type_of(s, o)));
}

/* x[i][j] is x[i, j]; it is in bounds when both are. */
static TdlVal index_index(Simplify *s, TdlOp o, TdlOp in, bool inbounds) {
    const TdlOpData *d = ir_op(s->f, o), *id = ir_op(s->f, in);
    uint32_t n = 0;
    TdlVal *idx = ARENA_ARRAY(&s->scratch, TdlVal, d->noperands + id->noperands), x = id->operands[0];
    for (uint32_t i = 1; i < id->noperands; i++) idx[n++] = id->operands[i];
    for (uint32_t i = 1; i < d->noperands; i++) idx[n++] = d->operands[i];
    return indexed(s, o, x, idx, n, inbounds && op_int(s->f, in, "inbounds", 0));
}

static TdlVal view_index(Simplify *s, TdlOp o, TdlVal x) {
    bool inbounds = op_int(s->f, o, "inbounds", 0) != 0;
    TdlOp d = ir_val(s->f, x)->def;
    if (ir_op(s->f, o)->noperands == 1) return x;
    if (!d.id) return none();
    switch (ir_op(s->f, d)->code) {
    case OP_UPDATE: return index_update(s, o, d, inbounds);
    case OP_BROADCAST: return index_broadcast(s, o, d, inbounds);
    case OP_IOTA: return index_iota(s, o, d, inbounds);
    case OP_INDEX: return index_index(s, o, d, inbounds);
    default: return none();
    }
}

static TdlVal update_again(Simplify *s, TdlOp o, TdlOp u, TdlVal x) {
    const TdlOpData *d = ir_op(s->f, u);
    TdlVal *idx = arena_memdup(&s->scratch, d->operands + 2, (d->noperands - 2u) * sizeof *idx), v = d->operands[1];
    TdlBuilder b = here(s, o);
    b.span = d->span;
    TdlVal r = ir_update(&b, x, v, idx, d->noperands - 2u);
    TdlOpData *n = ir_op(s->f, ir_val(s->f, r)->def);
    d = ir_op(s->f, u);
    n->attrs = arena_memdup(s->m->arena, d->attrs, d->nattrs * sizeof *d->attrs);
    n->nattrs = d->nattrs;
    n->grad_fn = d->grad_fn;
    return r;
}

enum { BETWEEN = 8 }; /* updates between one and that which overwrites it */

static bool is_lone(const Simplify *s, TdlOp update) {
    TdlVal r = ir_result(s->f, update, 0);
    return r.id < s->ncounted && s->uses[r.id] == 1;
}

/* What is overwritten need not be written: at once, or behind updates of certainly other rows, checked before. Those move
 * here. Nobody else looks at any of them: old and new would be there at once, which takes a copy. */
static TdlVal view_update(Simplify *s, TdlOp o, TdlVal x) {
    const TdlOpData *d = ir_op(s->f, o);
    TdlOp between[BETWEEN], u = sm_def(s, x, OP_UPDATE);
    uint32_t n = 0;
    if (d->noperands == 2) return d->operands[1];
    for (; u.id && !same_indices(d, 2, ir_op(s->f, u), 2); u = sm_def(s, sm_operand(s, u, 0), OP_UPDATE)) {
        bool lone = is_lone(s, u) && ir_op(s->f, u)->parent.id == d->parent.id;
        if (n == BETWEEN || !lone || !op_int(s->f, u, "inbounds", 0) || !different_indices(s, d, 2, ir_op(s->f, u), 2)) return none();
        between[n++] = u;
    }
    bool checked = u.id && op_int(s->f, o, "inbounds", 0) && op_int(s->f, u, "inbounds", 0);
    if (!u.id || !is_lone(s, u) || (n && (!checked || ir_op(s->f, u)->parent.id != d->parent.id))) return none();
    x = sm_operand(s, u, 0);
    while (n) x = update_again(s, o, between[--n], x);
    x = update_again(s, o, o, x);
    if (!checked) op_unset(s->f, ir_val(s->f, x)->def, "inbounds");
    return x;
}

/* ---- elementwise on broadcasts of equal form: done before the broadcast ---- */

static TdlVal through_broadcast(Simplify *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->f, o);
    if (!(op_info(d->code)->flags & OPF_ELEMENTWISE) || d->noperands < 1 || d->noperands > 3) return none();
    TdlVal inner[3];
    TdlOp first = {0};
    for (uint16_t i = 0; i < d->noperands; i++) {
        TdlOp b = sm_def(s, d->operands[i], OP_BROADCAST);
        if (!b.id) return none();
        inner[i] = sm_operand(s, b, 0);
        uint32_t n, m;
        const int64_t *p = ints(s, b, "axes", &n), *q = first.id ? ints(s, first, "axes", &m) : p;
        if (first.id && (n != m || ty_rank(s->m, ir_type(s->f, inner[i])) != ty_rank(s->m, ir_type(s->f, inner[0])))) return none();
        for (uint32_t k = 0; k < n; k++)
            if (p[k] != q[k] || !dim_eq(ty_dims(s->m, ir_type(s->f, inner[i]))[k], ty_dims(s->m, ir_type(s->f, inner[0]))[k]))
                return none();
        if (!first.id) first = b;
    }
    uint32_t n;
    const int64_t *axes = ints(s, first, "axes", &n);
    TdlType t = type_of(s, o), in = ty_with_elem(s->m, ir_type(s->f, inner[0]), ty_elem(s->m, t));
    TdlBuilder b = here(s, o);
    TdlOp p = ir_emit(&b, d->code, inner, d->noperands, &in, 1);
    TdlOpData *pd = ir_op(s->f, p);
    d = ir_op(s->f, o);
    pd->attrs = arena_memdup(s->m->arena, d->attrs, d->nattrs * sizeof *d->attrs);
    pd->nattrs = d->nattrs;
    return ir_broadcast(&b, ir_result(s->f, p, 0), t, axes);
}

TdlVal sm_view(Simplify *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->f, o);
    TdlVal x = d->noperands ? d->operands[0] : none();
    switch (d->code) {
    case OP_BROADCAST: return view_broadcast(s, o, x);
    case OP_RESHAPE: return view_reshape(s, o, x);
    case OP_PERMUTE: return view_permute(s, o, x);
    case OP_DOT: return sm_dot(s, o);
    case OP_SUM: return view_sum(s, o, x);
    case OP_INDEX: return view_index(s, o, x);
    case OP_UPDATE: return view_update(s, o, x);
    default: return through_broadcast(s, o);
    }
}
