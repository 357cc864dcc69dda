/* pattern: resolves each `pattern`, which asks what the results of a function depend on.
 *
 * What: beside the values that depend on the parameters asked for stand the sets of what they depend on (pattern.h).
 * Float arithmetic is not needed for that, and dies; integers, branches and loops over them, and index tensors stay. The
 * frontend asks it of a function's tangent (or cotangent), which is linear in what is asked for: the answer is then the
 * pattern of its Jacobian. Every element that is not zero for some floats is in it.
 * How: one walk from first to last over a copy of the function, after `expand`. Cost: linear in the code, times the depth
 * of nested reductions and of branches on floats.
 *
 *     func @f<n>(%0 x: f64[n], %1 i: i64[n]) -> (y: f64[n]) {           %2 = map %n {(%j)              the sets of x
 *       %2 = map %n {(%j) %4 = index %0, %j   %5 = index %1, %j           %3 = -1 - %j   yield %3}
 *                         %6 = index %0, %5   yield (mul %4, %6)}   =>  %4 = map %n {(%j)              those of y
 *       return %2 }                                                      %5 = index %2, %j   %6 = index %i, %j
 *     %y = pattern %x, %i {callee = @f, wrt = [0]} : i64[n]              %7 = index %2, %6   yield (set_union %5, %7)}
 */
#include "passes/pattern.h"

#include <string.h>

typedef struct {
    TdlModule *m;
    TdlArena *arena;
    TDL_VEC(TdlFunc *) made; /* that no call names: not needed after the pass */
    bool kept, failed;
} Pass;

/* ---- the sets of a function: @f.pattern.<wrt> ---- */

static TdlSym name_of(Pass *s, const TdlFunc *f, const int64_t *wrt, uint32_t n) {
    TdlStr t = str_new(s->arena);
    str_printf(&t, "%s.pattern%s", sym_text(s->m->names, f->name), s->kept ? ".kept" : "");
    for (uint32_t i = 0; i < n; i++) str_printf(&t, "%c%d", i ? '_' : '.', (int)wrt[i]);
    return intern(s->m->names, t.p);
}

static TdlPort sets_port(Pat *p, TdlPort port) {
    port.name = intern(p->m->names, arena_printf(p->m->arena, "%s.sets", sym_text(p->m->names, port.name)));
    port.type = pat_type(p, port.type);
    port.doc = NULL;
    port.cotangent_of = -1;
    return port;
}

static TdlFunc *make(Pass *s, const TdlFunc *f, const int64_t *wrt, uint32_t n);

static TdlFunc *derived(Pat *p, const TdlFunc *f, const int64_t *wrt, uint32_t n) {
    Pass *s = p->pass;
    TdlFunc *g = make(s, f, wrt, n);
    uint32_t k = 0;
    for (uint32_t i = 0; i < s->made.n; i++) /* a call names it */
        if (s->made.p[i] != g) s->made.p[k++] = s->made.p[i];
    s->made.n = k;
    return s->failed ? NULL : g;
}

/* Parameters of f, and the sets of those in wrt; results of f, and the sets of the float ones. */
static TdlFunc *make(Pass *s, const TdlFunc *f, const int64_t *wrt, uint32_t n) {
    TdlModule *m = s->m;
    TdlSym name = name_of(s, f, wrt, n);
    TdlFunc *g = ir_func_find(m, name);
    if (g) return g;
    g = ir_clone_func(m, f, name, NULL);
    g->exported = g->script = false;
    VEC_PUSH(s->arena, s->made, g);
    Pat p = {.m = m, .f = g, .arena = s->arena, .derived = derived, .pass = s, .kept = s->kept};
    adj_init(&p.act, g, s->arena, NULL);
    p.act.forward = true;
    uint32_t nresults = g->results.n;
    pat_settle(&p);
    for (uint32_t i = 0; i < n; i++) {
        TdlVal x = ir_region(g, g->body)->args.p[wrt[i]];
        TdlPort port = sets_port(&p, g->params.p[wrt[i]]);
        adj_set_active(&p.act, x, true);
        pat_put(&p, x, ir_func_add_param(g, port.name, port.type, NULL));
    }
    for (uint32_t i = 0; i < nresults; i++)
        if (ty_is_float(m, g->results.p[i].type)) VEC_PUSH(m->arena, g->results, sets_port(&p, g->results.p[i]));
    adj_activity(&p.act, g->body);
    pat_strip(&p, g->body);
    pat_region(&p, g->body);
    TdlOp ret = ir_terminator(g, g->body);
    p.b = ir_before(g, ret);
    for (uint32_t i = 0; i < nresults && !p.failed; i++)
        if (ty_is_float(m, g->results.p[i].type)) ir_add_operand(g, ret, pat_set(&p, ir_op(g, ret)->operands[i]));
    s->failed |= p.failed;
    return g;
}

/* ---- `pattern` ---- */

/* The set of each element by itself: its number among those of all parameters, from `first` on. */
static TdlVal numbered(TdlBuilder *b, TdlType t, TdlDim first, TdlArena *arena) {
    TdlModule *m = b->f->module;
    uint32_t rank = ty_rank(m, t);
    TdlVal at = ir_dim(b, dim_sub(m, dim_const(m, -1), first)), *ext = ARENA_ARRAY(arena, TdlVal, rank + 1);
    if (!rank) return at;
    TdlType sets = ty_with_elem(m, t, EL_I64);
    for (uint32_t i = 0; i < rank; i++) ext[i] = ir_dim(b, ty_dims(m, t)[i]);
    TdlOp map = ir_emit(b, OP_MAP, ext, rank, &sets, 1);
    TdlRegion r = ir_op(b->f, map)->regions[0];
    TdlBuilder in = ir_at_end(b->f, r, b->span);
    TdlVal flat = {0};
    for (uint32_t i = 0; i < rank; i++) {
        TdlVal idx = ir_region_arg(b->f, r, ty_scalar(m, EL_I64), SYM_NONE);
        flat = i ? ir_binary(&in, OP_ADD, ir_binary(&in, OP_MUL, flat, ext[i]), idx) : idx;
    }
    flat = ir_binary(&in, OP_SUB, at, flat);
    ir_emit(&in, OP_YIELD, &flat, 1, NULL, 0);
    return ir_result(b->f, map, 0);
}

/* Puts the sets of the callee's results in the place of `o`; replace: its results by those. */
static void resolve(Pass *s, TdlFunc *f, TdlOp o, TdlValMap *replace) {
    TdlModule *m = s->m;
    const TdlFunc *callee = ir_func_find(m, intern(m->names, op_str(f, o, "callee")));
    const TdlAttr *wrt = op_attr(f, o, "wrt"), *dims = op_attr(f, o, "dims");
    s->kept = op_int(f, o, "kept", 0) != 0;
    TdlFunc *g = make(s, callee, wrt->ints, wrt->n);
    if (s->failed) return;
    const TdlVal *params = ir_region(g, g->body)->args.p;
    TdlBuilder b = ir_before(f, o);
    b.grad_fn = SYM_NONE;
    TdlValMap map = valmap_new(s->arena, g);
    TdlDimMap to = {.arena = s->arena};
    TdlDim first = dim_const(m, 0);
    uint32_t np = ir_op(f, o)->noperands;
    for (uint32_t i = 0; i < np; i++) valmap_set(&map, params[i], ir_op(f, o)->operands[i]);
    for (uint32_t i = 0; i < wrt->n; i++) {
        TdlType t = ir_type(f, ir_op(f, o)->operands[wrt->ints[i]]);
        valmap_set(&map, params[np + i], numbered(&b, t, first, s->arena));
        first = dim_add(m, first, ty_numel(m, t));
    }
    for (uint32_t i = 0; dims && i < dims->n; i++) dimmap_add(&to, g->dims.p[i], dims->dims[i]);
    TdlVals out = {0};
    ir_clone_region_body(&b, g, g->body, &map, &to, &out);
    for (uint32_t i = 0; i < ir_op(f, o)->nresults; i++) valmap_set(replace, ir_result(f, o, i), out.p[callee->results.n + i]);
    ir_remove(f, o);
}

typedef struct { TdlArena *arena; TDL_VEC(TdlOp) ops; } Find;

static void find(void *user, TdlFunc *f, TdlOp o) {
    Find *s = user;
    if (ir_op(f, o)->code == OP_PATTERN) VEC_PUSH(s->arena, s->ops, o);
}

static void mark_callees(const TdlModule *m, const TdlFunc *f, bool *called) {
    for (uint32_t k = 1; k < f->ops.n; k++) {
        const char *name = f->ops.p[k].code == OP_CALL ? op_str(f, (TdlOp){k}, "callee") : NULL;
        for (uint32_t i = 0; name && i < m->funcs.n; i++) {
            if (!sym_eq(m->funcs.p[i]->name, intern(m->names, name)) || called[i]) continue;
            called[i] = true;
            mark_callees(m, m->funcs.p[i], called);
        }
    }
}

/* Functions that were there for their pattern go. */
static void remove_unused(TdlModule *m, TdlArena *arena) {
    bool *called = ARENA_ARRAY(arena, bool, m->funcs.n + 1), any = false;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        if (!m->funcs.p[i]->exported && !m->funcs.p[i]->script) continue;
        called[i] = any = true;
        mark_callees(m, m->funcs.p[i], called);
    }
    if (any) ir_funcs_keep(m, called); /* a module without any (a test) is kept whole */
}

bool pass_pattern(TdlModule *m, const TdlPassOptions *opt) {
    TdlArena arena;
    arena_init_like(&arena, m->arena);
    Pass s = {.m = m, .arena = &arena};
    bool any = false;
    for (uint32_t i = 0, n = m->funcs.n; i < n && !s.failed; i++) {
        TdlFunc *f = m->funcs.p[i];
        Find found = {.arena = &arena};
        ir_walk(f, f->body, find, &found);
        if (!found.ops.n) continue;
        any = true;
        TdlValMap replace = valmap_new(&arena, f);
        for (uint32_t k = 0; k < found.ops.n && !s.failed; k++) resolve(&s, f, found.ops.p[k], &replace);
        ir_replace_all(f, replace.p, replace.n);
    }
    for (uint32_t i = 0; i < s.made.n; i++) ir_func_remove(m, s.made.p[i]);
    if (any && !s.failed) remove_unused(m, &arena);
    arena_free(&arena);
    return !s.failed && (!any || pass_simplify(m, opt)); /* the floats are dead now */
}
