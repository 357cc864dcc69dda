/* Shadows, and the rules of operations without regions. */
#include "passes/pattern.h"

#include <string.h>

enum { MAX_ATOMS = 32 }; /* longer lists become one set */

/* ---- shadows ---- */

static TdlVals *shadow(Pat *p, TdlVal v) {
    while (p->shadow.n <= v.id) VEC_PUSH(p->arena, p->shadow, (TdlVals){0});
    return &p->shadow.p[v.id];
}

bool pat_has(const Pat *p, TdlVal v) { return v.id < p->shadow.n && p->shadow.p[v.id].n; }

void pat_forget(Pat *p, TdlVal v) { *shadow(p, v) = (TdlVals){0}; }

void pat_put(Pat *p, TdlVal v, TdlVal s) {
    pat_forget(p, v);
    VEC_PUSH(p->arena, *shadow(p, v), s);
}

static TdlVal set_union(Pat *p, const TdlVals *sets) {
    if (!sets->n) return ir_const_int(&p->b, EL_I64, 0);
    return sets->n == 1 ? sets->p[0] : ir_emit1(&p->b, OP_SETUNION, sets->p, sets->n);
}

void pat_join(Pat *p, TdlVal v, TdlVal from) {
    if (!pat_has(p, from)) return;
    TdlVals *to = shadow(p, v), *add = shadow(p, from);
    to = shadow(p, v); /* the table may have moved */
    for (uint32_t i = 0; i < add->n; i++) {
        bool known = false;
        for (uint32_t k = 0; k < to->n && !known; k++) known = to->p[k].id == add->p[i].id;
        if (!known) VEC_PUSH(p->arena, *to, add->p[i]);
    }
    if (to->n > MAX_ATOMS) pat_put(p, v, set_union(p, to));
}

TdlType pat_type(Pat *p, TdlType t) {
    if (ty_kind(p->m, t) != TY_STACK) return ty_with_elem(p->m, ty_tensor_of(p->m, t), EL_I64);
    TDL_VEC(TdlType) elems = {0};
    for (uint32_t i = 0; i < ty_stack_n(p->m, t); i++)
        if (ty_is_float(p->m, ty_stack_elem(p->m, t, i))) VEC_PUSH(p->arena, elems, pat_type(p, ty_stack_elem(p->m, t, i)));
    return elems.n ? ty_stack(p->m, elems.p, elems.n) : (TdlType){0};
}

TdlVal pat_empty(Pat *p, TdlType t) {
    t = pat_type(p, t);
    if (ty_kind(p->m, t) == TY_STACK) return ir_result(p->f, ir_emit(&p->b, OP_STACKNEW, NULL, 0, &t, 1), 0);
    TdlVal none = ir_const_int(&p->b, EL_I64, 0);
    uint32_t rank = ty_rank(p->m, t);
    if (!rank) return none;
    TdlVal *extents = ARENA_ARRAY(p->arena, TdlVal, rank);
    for (uint32_t i = 0; i < rank; i++) extents[i] = ir_dim(&p->b, ty_dims(p->m, t)[i]);
    TdlOp map = ir_emit(&p->b, OP_MAP, extents, rank, &t, 1);
    TdlRegion r = ir_op(p->f, map)->regions[0];
    for (uint32_t i = 0; i < rank; i++) ir_region_arg(p->f, r, ty_scalar(p->m, EL_I64), SYM_NONE);
    TdlBuilder b = ir_at_end(p->f, r, p->b.span);
    none = ir_const_int(&b, EL_I64, 0);
    ir_emit(&b, OP_YIELD, &none, 1, NULL, 0);
    return ir_result(p->f, map, 0);
}

TdlVal pat_set(Pat *p, TdlVal v) {
    TdlType t = ir_type(p->f, v);
    if (!pat_has(p, v)) return pat_empty(p, t);
    TdlVal s = set_union(p, shadow(p, v));
    if (p->b.region.id == ir_region_of(p->f, v).id) pat_put(p, v, s); /* it stands in front of every later use */
    return s;
}

/* ---- loops ---- */

static TdlVal *extents_of(Pat *p, TdlVal tensor, uint32_t *rank) {
    TdlType t = ir_type(p->f, tensor);
    *rank = ty_rank(p->m, t);
    TdlVal *e = ARENA_ARRAY(p->arena, TdlVal, *rank + 1);
    for (uint32_t i = 0; i < *rank; i++) e[i] = ir_dim(&p->b, ty_dims(p->m, t)[i]);
    return e;
}

PatNest pat_nest_open(Pat *p, const TdlVal *extents, uint32_t rank, const TdlVal *init, uint32_t n) {
    PatNest nest = {.rank = rank, .n = n, .saved = p->b};
    nest.loops = ARENA_ARRAY(p->arena, TdlOp, rank + 1);
    nest.idx = ARENA_ARRAY(p->arena, TdlVal, rank + 1);
    nest.carried = ARENA_ARRAY(p->arena, TdlVal, n + 1);
    TdlVal *ops = ARENA_ARRAY(p->arena, TdlVal, n + 2), zero = ir_const_int(&p->b, EL_I64, 0);
    for (uint32_t i = 0; i < n; i++) nest.carried[i] = init[i];
    for (uint32_t k = 0; k < rank; k++) {
        ops[0] = zero;
        ops[1] = extents[k];
        for (uint32_t i = 0; i < n; i++) ops[2 + i] = nest.carried[i];
        nest.loops[k] = ir_emit(&p->b, OP_FOR, ops, n + 2, NULL, 0);
        TdlRegion r = ir_op(p->f, nest.loops[k])->regions[0];
        nest.idx[k] = ir_region_arg(p->f, r, ty_scalar(p->m, EL_I64), SYM_NONE);
        for (uint32_t i = 0; i < n; i++) nest.carried[i] = ir_region_arg(p->f, r, ir_type(p->f, init[i]), SYM_NONE);
        p->b = ir_at_end(p->f, r, p->b.span);
    }
    return nest;
}

void pat_nest_close(Pat *p, PatNest *nest, TdlVal *next) {
    for (uint32_t k = nest->rank; k-- > 0;) {
        p->b = ir_at_end(p->f, ir_op(p->f, nest->loops[k])->regions[0], p->b.span);
        ir_emit(&p->b, OP_YIELD, next, nest->n, NULL, 0);
        for (uint32_t i = 0; i < nest->n; i++) next[i] = ir_add_result(p->f, nest->loops[k], ir_type(p->f, next[i]));
    }
    p->b = nest->saved;
}

/* ---- sets ---- */

static TdlVal index_at(Pat *p, TdlVal x, const TdlVal *idx, uint32_t n) {
    if (!n) return x;
    TdlVal v = ir_index(&p->b, x, idx, n);
    op_set_int(p->f, ir_val(p->f, v)->def, "inbounds", 1);
    return v;
}

/* A tensor of sets of the type of `like`: one(user, index) for each. */
static TdlVal each(Pat *p, TdlType t, TdlVal (*one)(Pat *p, const TdlVal *idx, uint32_t n, void *user), void *user) {
    uint32_t rank = ty_rank(p->m, t);
    TdlVal *idx = ARENA_ARRAY(p->arena, TdlVal, rank + 1), *ext = ARENA_ARRAY(p->arena, TdlVal, rank + 1);
    if (!rank) return one(p, idx, 0, user);
    for (uint32_t i = 0; i < rank; i++) ext[i] = ir_dim(&p->b, ty_dims(p->m, t)[i]);
    TdlOp map = ir_emit(&p->b, OP_MAP, ext, rank, &t, 1);
    TdlRegion r = ir_op(p->f, map)->regions[0];
    for (uint32_t i = 0; i < rank; i++) idx[i] = ir_region_arg(p->f, r, ty_scalar(p->m, EL_I64), SYM_NONE);
    TdlBuilder saved = p->b;
    p->b = ir_at_end(p->f, r, saved.span);
    TdlVal v = one(p, idx, rank, user);
    ir_emit(&p->b, OP_YIELD, &v, 1, NULL, 0);
    p->b = saved;
    return ir_result(p->f, map, 0);
}

static TdlVal union_at(Pat *p, const TdlVal *idx, uint32_t n, void *user) {
    const TdlVal *x = user;
    TdlVals both = {0};
    for (int i = 0; i < 2; i++) VEC_PUSH(p->arena, both, index_at(p, x[i], idx, n));
    return set_union(p, &both);
}

TdlVal pat_union(Pat *p, TdlVal a, TdlVal b) { return each(p, ir_type(p->f, a), union_at, (TdlVal[]){a, b}); }

TdlVal pat_union_all(Pat *p, TdlVal sets) {
    uint32_t rank;
    TdlVal none = ir_const_int(&p->b, EL_I64, 0), *extents = extents_of(p, sets, &rank);
    if (!rank) return sets;
    PatNest n = pat_nest_open(p, extents, rank, &none, 1);
    TdlVal all = ir_emit1(&p->b, OP_SETUNION, (TdlVal[]){n.carried[0], index_at(p, sets, n.idx, rank)}, 2);
    pat_nest_close(p, &n, &all);
    return all;
}

static TdlVal same_everywhere(Pat *p, const TdlVal *idx, uint32_t n, void *user) {
    (void)p, (void)idx, (void)n;
    return *(TdlVal *)user;
}

/* What is not looked into: every float result depends on all of every operand. */
static void everything(Pat *p, TdlOp o) {
    const TdlOpData d = *ir_op(p->f, o);
    TdlVals all = {0};
    for (uint32_t i = 0; i < d.noperands; i++)
        if (pat_has(p, d.operands[i])) VEC_PUSH(p->arena, all, pat_union_all(p, pat_set(p, d.operands[i])));
    TdlVal s = set_union(p, &all);
    for (uint32_t i = 0; i < d.nresults; i++)
        if (ty_is_float(p->m, ir_type(p->f, d.results[i])))
            pat_put(p, d.results[i], each(p, pat_type(p, ir_type(p->f, d.results[i])), same_everywhere, &s));
}

/* ---- elements ---- */

/* Indices that depend on floats pick another element when these change. */
static void check_indices(Pat *p, TdlOp o, uint32_t first) {
    for (uint32_t i = first; i < ir_op(p->f, o)->noperands; i++)
        if (pat_floats(p, ir_op(p->f, o)->operands[i])) {
            pat_path(p, o);
            return;
        }
}

/* o again, with its leading operands replaced by sets. */
static TdlVal again(Pat *p, TdlOp o, const TdlVal *sets, uint32_t n) {
    const TdlOpData d = *ir_op(p->f, o);
    TdlVal *ops = arena_memdup(p->arena, d.operands, d.noperands * sizeof *ops);
    for (uint32_t i = 0; i < n; i++) ops[i] = sets[i];
    TdlVal v = ir_emit1(&p->b, d.code, ops, d.noperands);
    if (op_int(p->f, o, "inbounds", 0)) op_set_int(p->f, ir_val(p->f, v)->def, "inbounds", 1);
    return v;
}

static void index_rule(Pat *p, TdlOp o) {
    TdlVal x = ir_op(p->f, o)->operands[0];
    if (!pat_has(p, x)) return;
    check_indices(p, o, 1);
    TdlVal sets = pat_set(p, x);
    pat_put(p, ir_result(p->f, o, 0), again(p, o, &sets, 1));
}

static void update_rule(Pat *p, TdlOp o) {
    const TdlVal *x = ir_op(p->f, o)->operands;
    check_indices(p, o, 2);
    TdlVal sets[2] = {pat_set(p, x[0]), pat_set(p, x[1])};
    pat_put(p, ir_result(p->f, o, 0), again(p, o, sets, 2));
}

/* acc[i] += v */
static void accadd_rule(Pat *p, TdlOp o) {
    const TdlOpData d = *ir_op(p->f, o);
    if (!pat_has(p, d.operands[1])) return;
    check_indices(p, o, 2);
    TdlVal all = pat_set(p, d.operands[0]), v = pat_set(p, d.operands[1]), old = all;
    uint32_t n = d.noperands - 2u;
    bool inbounds = op_int(p->f, o, "inbounds", 0) != 0;
    if (n) {
        old = ir_index(&p->b, all, d.operands + 2, n);
        if (inbounds) op_set_int(p->f, ir_val(p->f, old)->def, "inbounds", 1);
    }
    TdlVal new = pat_union(p, old, v);
    if (n) {
        new = ir_update(&p->b, all, new, d.operands + 2, n);
        op_set_int(p->f, ir_val(p->f, new)->def, "inbounds", 1); /* `old` was checked */
    }
    pat_put(p, d.operands[0], new);
}

/* c ? x : y. A condition on floats lets both count. */
static void select_rule(Pat *p, TdlOp o) {
    const TdlVal *x = ir_op(p->f, o)->operands;
    TdlVal c = x[0], z = ir_result(p->f, o, 0);
    if (pat_floats(p, c)) {
        pat_join(p, z, x[1]);
        pat_join(p, z, x[2]);
    } else {
        TdlVal sets[3] = {c, pat_set(p, ir_op(p->f, o)->operands[1]), {0}};
        sets[2] = pat_set(p, ir_op(p->f, o)->operands[2]);
        pat_put(p, z, ir_emit1(&p->b, OP_SELECT, sets, 3));
    }
}

/* ---- contractions: c[batch, i, j] depends on a[batch, i, :] and b[batch, :, j] ---- */

typedef struct { TdlVal sets; const TdlAttr *batch, *contract; uint32_t first; /* free axis among the result's */ } Side;

static bool has_axis(const TdlAttr *a, uint32_t axis, uint32_t *at) {
    for (uint32_t i = 0; a && i < a->n; i++)
        if (a->ints[i] == (int64_t)axis) return *at = i, true;
    return false;
}

/* The union over the contracted axes of one operand, for index idx of the result. */
static TdlVal contracted(Pat *p, const Side *s, const TdlVal *idx) {
    TdlType t = ir_type(p->f, s->sets);
    uint32_t rank = ty_rank(p->m, t), n = s->contract ? s->contract->n : 0, free = s->first, at;
    TdlVal *ext = ARENA_ARRAY(p->arena, TdlVal, n + 1), *of = ARENA_ARRAY(p->arena, TdlVal, rank + 1);
    for (uint32_t i = 0; i < n; i++) ext[i] = ir_dim(&p->b, ty_dims(p->m, t)[s->contract->ints[i]]);
    TdlVal none = ir_const_int(&p->b, EL_I64, 0);
    PatNest nest = pat_nest_open(p, ext, n, &none, 1);
    for (uint32_t i = 0; i < rank; i++)
        of[i] = has_axis(s->batch, i, &at) ? idx[at] : has_axis(s->contract, i, &at) ? nest.idx[at] : idx[free++];
    TdlVal all = ir_emit1(&p->b, OP_SETUNION, (TdlVal[]){nest.carried[0], index_at(p, s->sets, of, rank)}, 2);
    pat_nest_close(p, &nest, &all);
    return all;
}

static TdlVal dot_at(Pat *p, const TdlVal *idx, uint32_t n, void *user) {
    const Side *s = user;
    TdlVals all = {0};
    (void)n;
    for (int i = 0; i < 2; i++)
        if (s[i].sets.id) VEC_PUSH(p->arena, all, contracted(p, &s[i], idx));
    return set_union(p, &all);
}

static void dot_rule(Pat *p, TdlOp o) {
    static const char *const batch[] = {"batch_a", "batch_b"}, *const contract[] = {"contract_a", "contract_b"};
    Side s[2] = {0};
    for (uint32_t i = 0; i < 2; i++) {
        TdlVal x = ir_op(p->f, o)->operands[i];
        s[i].batch = op_attr(p->f, o, batch[i]);
        s[i].contract = op_attr(p->f, o, contract[i]);
        if (pat_has(p, x)) s[i].sets = pat_set(p, x);
    }
    uint32_t nbatch = s[0].batch ? s[0].batch->n : 0, ncontract = s[0].contract ? s[0].contract->n : 0;
    s[0].first = nbatch;
    s[1].first = ty_rank(p->m, ir_type(p->f, ir_op(p->f, o)->operands[0])) - ncontract;
    TdlVal z = ir_result(p->f, o, 0);
    pat_put(p, z, each(p, pat_type(p, ir_type(p->f, z)), dot_at, s));
}

/* ---- contractions of windows: z at its index depends on the elements that are multiplied for it ---- */

typedef struct { TdlVal sets; TdlOp of; bool windows; } Window;

/* The union of one operand's sets over the summed loops, for index idx of the result. */
static TdlVal window(Pat *p, const Window *w, const TdlVal *idx, uint32_t nout) {
    const TdlAttr *b = op_attr(p->f, w->of, "axes_b"), *axes = w->windows ? op_attr(p->f, w->of, "axes_a") : b;
    const TdlAttr *taps = op_attr(p->f, w->of, "taps"), *steps = op_attr(p->f, w->of, "steps"), *by = op_attr(p->f, w->of, "dilations");
    TdlVal loop[64], ext[64], at[64], none = ir_const_int(&p->b, EL_I64, 0);
    uint32_t nsum = 0;
    for (uint32_t i = 0; i < nout; i++) loop[i] = idx[i];
    for (uint32_t i = 0; i < b->n; i++)
        if (b->ints[i] >= (int64_t)nout) ext[nsum++] = ir_dim(&p->b, ty_dims(p->m, ir_type(p->f, ir_op(p->f, w->of)->operands[1]))[i]);
    PatNest nest = pat_nest_open(p, ext, nsum, &none, 1);
    for (uint32_t i = 0, k = 0; i < b->n; i++)
        if (b->ints[i] >= (int64_t)nout) loop[b->ints[i]] = nest.idx[k++];
    for (uint32_t i = 0; i < axes->n; i++) {
        at[i] = loop[axes->ints[i]];
        if (!w->windows) continue;
        at[i] = ir_binary(&p->b, OP_MUL, at[i], ir_const_int(&p->b, EL_I64, steps->ints[i]));
        if (taps->ints[i] < 0) continue;
        TdlVal tap = ir_binary(&p->b, OP_MUL, loop[taps->ints[i]], ir_const_int(&p->b, EL_I64, by->ints[i]));
        at[i] = ir_binary(&p->b, OP_ADD, at[i], tap);
    }
    TdlVal all = ir_emit1(&p->b, OP_SETUNION, (TdlVal[]){nest.carried[0], index_at(p, w->sets, at, axes->n)}, 2);
    pat_nest_close(p, &nest, &all);
    return all;
}

static TdlVal window_at(Pat *p, const TdlVal *idx, uint32_t n, void *user) {
    const Window *w = user;
    TdlVals all = {0};
    for (int i = 0; i < 2; i++)
        if (w[i].sets.id) VEC_PUSH(p->arena, all, window(p, &w[i], idx, n));
    return set_union(p, &all);
}

static void correlate_rule(Pat *p, TdlOp o) {
    Window w[2] = {{.of = o, .windows = true}, {.of = o}};
    TdlVal z = ir_result(p->f, o, 0);
    for (int i = 0; i < 2; i++)
        if (pat_has(p, ir_op(p->f, o)->operands[i])) w[i].sets = pat_set(p, ir_op(p->f, o)->operands[i]);
    pat_put(p, z, each(p, pat_type(p, ir_type(p->f, z)), window_at, w));
}

/* ---- stacks: one of sets beside each ---- */

static void push_rule(Pat *p, TdlOp o) {
    const TdlOpData d = *ir_op(p->f, o);
    TdlType t = pat_type(p, ir_type(p->f, d.operands[0]));
    if (!t.id) return;
    TdlVals ops = {0};
    VEC_PUSH(p->arena, ops, pat_set(p, d.operands[0]));
    for (uint32_t i = 1; i < d.noperands; i++)
        if (ty_is_float(p->m, ir_type(p->f, d.operands[i]))) VEC_PUSH(p->arena, ops, pat_set(p, d.operands[i]));
    pat_put(p, d.results[0], ir_result(p->f, ir_emit(&p->b, OP_PUSH, ops.p, ops.n, &t, 1), 0));
}

static void pop_rule(Pat *p, TdlOp o) {
    const TdlOpData d = *ir_op(p->f, o);
    if (!pat_has(p, d.operands[0])) return;
    TdlVal s = pat_set(p, d.operands[0]);
    TDL_VEC(TdlType) types = {0};
    VEC_PUSH(p->arena, types, ir_type(p->f, s));
    for (uint32_t i = 1; i < d.nresults; i++)
        if (ty_is_float(p->m, ir_type(p->f, d.results[i]))) VEC_PUSH(p->arena, types, pat_type(p, ir_type(p->f, d.results[i])));
    TdlOp z = ir_emit(&p->b, OP_POP, &s, 1, types.p, types.n);
    pat_put(p, d.results[0], ir_result(p->f, z, 0));
    for (uint32_t i = 1, k = 1; i < d.nresults; i++)
        if (ty_is_float(p->m, ir_type(p->f, d.results[i]))) pat_put(p, d.results[i], ir_result(p->f, z, k++));
}

/* ---- calls that stay: recursive ones, and C functions ---- */

static void call_rule(Pat *p, TdlOp o) {
    const TdlOpData d = *ir_op(p->f, o);
    TdlFunc *callee = ir_func_find(p->m, intern(p->m->names, op_str(p->f, o, "callee")));
    if (callee->symbol) {
        everything(p, o);
        return;
    }
    TdlVals ops = {0};
    TDL_VEC(int64_t) wrt = {0};
    TDL_VEC(TdlType) types = {0};
    for (uint32_t i = 0; i < d.noperands; i++) VEC_PUSH(p->arena, ops, d.operands[i]);
    for (uint32_t i = 0; i < d.noperands; i++) {
        if (!adj_active(&p->act, d.operands[i])) continue;
        VEC_PUSH(p->arena, wrt, i);
        VEC_PUSH(p->arena, ops, pat_set(p, d.operands[i]));
    }
    TdlFunc *g = p->derived(p, callee, wrt.p, wrt.n);
    if (!g) {
        p->failed = true;
        return;
    }
    for (uint32_t i = 0; i < d.nresults; i++) VEC_PUSH(p->arena, types, ir_type(p->f, d.results[i]));
    for (uint32_t i = 0; i < d.nresults; i++)
        if (ty_is_float(p->m, types.p[i])) VEC_PUSH(p->arena, types, pat_type(p, types.p[i]));
    TdlOp z = ir_emit(&p->b, OP_CALL, ops.p, ops.n, types.p, types.n);
    const char *name = sym_text(p->m->names, g->name);
    const TdlAttr *dims = op_attr(p->f, o, "dims");
    op_set_str(p->f, z, "callee", name, (uint32_t)strlen(name));
    if (dims) op_set_dims(p->f, z, "dims", dims->dims, dims->n);
    for (uint32_t i = 0, k = d.nresults; i < d.nresults; i++)
        if (ty_is_float(p->m, types.p[i])) pat_put(p, d.results[i], ir_result(p->f, z, k++));
}

/* ---- all ---- */

static void elementwise(Pat *p, TdlOp o) {
    const TdlOpData d = *ir_op(p->f, o);
    for (uint32_t i = 0; i < d.noperands; i++) pat_join(p, d.results[0], d.operands[i]);
}

void pat_op(Pat *p, TdlOp o) {
    const TdlOpData *d = ir_op(p->f, o);
    switch (d->code) {
    case OP_INDEX: index_rule(p, o); return;
    case OP_UPDATE: update_rule(p, o); return;
    case OP_ACCADD: accadd_rule(p, o); return;
    case OP_SELECT: select_rule(p, o); return;
    case OP_DOT: dot_rule(p, o); return;
    case OP_CORRELATE: correlate_rule(p, o); return;
    case OP_STACKNEW:
        if (pat_type(p, ir_type(p->f, d->results[0])).id) pat_put(p, d->results[0], pat_empty(p, ir_type(p->f, d->results[0])));
        return;
    case OP_PUSH: push_rule(p, o); return;
    case OP_POP: pop_rule(p, o); return;
    case OP_CALL: call_rule(p, o); return;
    case OP_SORT: everything(p, o); return;
    default: break;
    }
    if ((op_info(d->code)->flags & OPF_ELEMENTWISE) && ty_is_scalar(p->m, ir_type(p->f, d->results[0]))) {
        elementwise(p, o);
        return;
    }
    p->failed = true;
    diag_error(p->m->diags, d->span, "pattern: %s of whole tensors: run pass `expand` first", op_info(d->code)->name);
}
