/* adjoint: resolves every `vjp`, `jvp` and `backward`, innermost first.
 *
 *     func @f(%0 x: f64) -> (y: f64) { %1 = sin %0   return %1 }
 *     %3, %4 = vjp %1, %2 {callee = @f, wrt = [0]} : f64, f64
 *
 * becomes the body of @f and its reverse, in place of the vjp:
 *
 *     %3 = sin %1   %5 = cos %1   %4 = mul %2, %5
 *
 * A function with a rule of its own (adjoint_call.c) is not looked into; afterwards it is like any other, and `inline`
 * removes its calls. The reverse (or the tangent: tangent.c) of a function is made once for each set of parameters and cloned
 * to its uses. `backward` reverses the operations in front of it, where it stands. The rules are in adjoint_*.c; cost is linear in the code, times the depth
 * of nested map and reduce bodies, which are computed again in their reverse. */
#include "passes/adjoint.h"
#include <string.h>

typedef enum { NEW, BUSY, DONE } State;

typedef struct {
    TdlModule *m;
    TdlArena *arena;
    TdlModule *formulas;
    const TdlPassOptions *opt;
    TDL_VEC(struct { TdlFunc *f; State state; bool generated; }) seen; /* generated: it holds sweeps */
    TDL_VEC(TdlFunc *) reversed; /* as a whole, by a vjp, or in part, by a backward */
    TDL_VEC(TdlFunc *) made; /* reverses and tangents that no call names: not needed after the pass */
    bool failed;
} Pass;

/* ---- the reverse of a function ---- */

static TdlFunc *derived(void *pass, const TdlFunc *f, const int64_t *wrt, uint32_t n, bool forward);

static void start(Pass *p, Adj *a, AdjFrame *fr, TdlFunc *f, TdlOp before) {
    adj_init(a, f, p->arena, p->formulas);
    a->derived = derived;
    a->pass = p;
    a->opt = p->opt;
    *fr = (AdjFrame){.region = ir_op(f, before)->parent, .b = ir_before(f, before)};
    a->top = fr;
}

static TdlSym suffixed(TdlModule *m, TdlSym base, const char *prefix, const char *suffix) {
    return intern(m->names, arena_printf(m->arena, "%s%s%s", prefix, sym_text(m->names, base), suffix));
}

static TdlSym derived_name(Pass *p, const TdlFunc *f, const char *what, const int64_t *wrt, uint32_t n) {
    TdlStr s = str_new(p->arena);
    str_printf(&s, "%s.%s", sym_text(p->m->names, f->name), what);
    for (uint32_t i = 0; i < n; i++) str_printf(&s, "%c%d", i ? '_' : '.', (int)wrt[i]);
    return intern(p->m->names, s.p);
}

/* A function that calls f and nothing else: its derivative is f's rule. */
static const TdlFunc *calling(Pass *p, const TdlFunc *f) {
    TdlModule *m = p->m;
    TdlSym name = suffixed(m, f->name, "", ".call");
    TdlFunc *g = ir_func_find(m, name);
    if (g) return g;
    g = ir_func_new(m, name, f->span);
    VEC_PUSH(p->arena, p->made, g);
    TdlType *types = ARENA_ARRAY(p->arena, TdlType, f->results.n + 1);
    TdlDims dims = {0};
    for (uint32_t i = 0; i < f->dims.n; i++) {
        VEC_PUSH(m->arena, g->dims, f->dims.p[i]);
        VEC_PUSH(p->arena, dims, dim_var(m, f->dims.p[i]));
    }
    for (uint32_t i = 0; i < f->params.n; i++) ir_func_add_param(g, f->params.p[i].name, f->params.p[i].type, NULL);
    for (uint32_t i = 0; i < f->results.n; i++) {
        VEC_PUSH(m->arena, g->results, f->results.p[i]);
        types[i] = f->results.p[i].type;
    }
    TdlBuilder b = ir_at_end(g, g->body, f->span);
    TdlOp o = ir_emit(&b, OP_CALL, ir_region(g, g->body)->args.p, f->params.n, types, f->results.n);
    const char *callee = sym_text(m->names, f->name);
    op_set_str(g, o, "callee", callee, (uint32_t)strlen(callee));
    if (dims.n) op_set_dims(g, o, "dims", dims.p, dims.n);
    ir_emit(&b, OP_RETURN, ir_op(g, o)->results, f->results.n, NULL, 0);
    return g;
}

/* A copy of f to be extended, @f.vjp.<wrt> or @f.jvp.<wrt>; in *a a sweep over it that is active at wrt. */
static TdlFunc *open_derived(Pass *p, const TdlFunc *f, TdlSym name, Adj *a, AdjFrame *fr, const int64_t *wrt, uint32_t n, bool forward) {
    TdlFunc *g = ir_clone_func(p->m, f->forward.id || f->reverse.id || f->symbol ? calling(p, f) : f, name, NULL);
    g->exported = g->script = false;
    g->reverse = g->forward = SYM_NONE;
    VEC_PUSH(p->arena, p->made, g);
    start(p, a, fr, g, ir_terminator(g, g->body));
    a->forward = forward;
    for (uint32_t i = 0; i < n; i++) adj_set_active(a, ir_region(g, g->body)->args.p[wrt[i]], true);
    return g;
}

static TdlPort derived_port(TdlModule *m, TdlPort port, const char *prefix, int32_t cotangent_of) {
    port.name = suffixed(m, port.name, prefix, "");
    port.doc = NULL;
    port.cotangent_of = cotangent_of;
    return port;
}

typedef struct { Adj *a; const bool *primal; uint32_t n; } Reads; /* by operation id: in the body, before the reverse */

static bool is_primal(const Reads *r, TdlOp o) { return o.id < r->n && r->primal[o.id]; }

static Reads primal_up_to(Pass *p, Adj *a, TdlFunc *g, TdlOp last) {
    bool *primal = ARENA_ARRAY(p->arena, bool, g->ops.n);
    for (TdlOp o = last; o.id; o = ir_op(g, o)->prev) primal[o.id] = true;
    return (Reads){a, primal, g->ops.n};
}

static void note_reads(void *user, TdlFunc *f, TdlOp o) {
    const Reads *r = user;
    for (uint32_t i = 0; i < ir_op(f, o)->noperands; i++) {
        TdlVal v = ir_op(f, o)->operands[i];
        TdlOp def = ir_val(f, v)->def;
        if (def.id && is_primal(r, def) && ty_rank(f->module, ir_type(f, v))) adj_note_value(r->a, v);
    }
}

/* Notes which tensors of the primal the reverse reads. */
static void note_saved(Reads *r, TdlFunc *g) {
    IR_FOREACH_OP(g, g->body, o) {
        if (is_primal(r, o) || (op_info(ir_op(g, o)->code)->flags & OPF_TERMINATOR)) continue;
        note_reads(r, g, o);
        for (uint32_t i = 0; i < ir_op(g, o)->nregions; i++) ir_walk(g, ir_op(g, o)->regions[i], note_reads, r);
    }
}

static void find_own_call(void *user, TdlFunc *f, TdlOp o) {
    if (ir_op(f, o)->code == OP_CALL) *(bool *)user |= !ir_func_find(f->module, intern(f->module->names, op_str(f, o, "callee")))->symbol;
}

/* Whether g calls a function that is not C: it is recursive, since others are inlined. */
static bool any_own_call(TdlFunc *g) {
    bool any = false;
    ir_walk(g, g->body, find_own_call, &any);
    return any;
}

/* @f.vjp.<wrt>: parameters of f and a cotangent for each float result; results of f and a cotangent for each wrt. The
 * signature is made first: a recursive call asks for it. */
static TdlFunc *make_reverse(Pass *p, const TdlFunc *f, const int64_t *wrt, uint32_t n) {
    TdlModule *m = p->m;
    TdlSym name = derived_name(p, f, "vjp", wrt, n);
    TdlFunc *g = ir_func_find(m, name);
    if (g) return g;
    Adj a;
    AdjFrame fr;
    g = open_derived(p, f, name, &a, &fr, wrt, n, false);
    uint32_t nres = g->results.n;
    TdlVal *zbar = ARENA_ARRAY(p->arena, TdlVal, nres);
    for (uint32_t i = 0; i < nres; i++) {
        TdlPort r = g->results.p[i];
        if (ty_is_float(m, r.type)) zbar[i] = ir_func_add_param(g, suffixed(m, r.name, "d", ""), r.type, NULL);
    }
    for (uint32_t i = 0; i < n; i++) VEC_PUSH(m->arena, g->results, derived_port(m, g->params.p[wrt[i]], "d", (int32_t)wrt[i]));
    inline_other_mode(g, RULE_REVERSE);
    TdlOp ret = ir_terminator(g, g->body), last = ir_op(g, ret)->prev;
    adj_activity(&a, g->body);
    adj_count_limited(&a);
    a.unread = any_own_call(g); /* a call of itself may hand back zeros of what it did not read */
    for (uint32_t i = 0; i < nres; i++)
        if (zbar[i].id) adj_add(&a, adj_arg(&a, ret, i), zbar[i]);
    adj_reverse_ops(&a, g->body, last);
    fr.b.span = f->span;
    for (uint32_t i = 0; i < n && !a.failed; i++) {
        TdlVal x = ir_region(g, g->body)->args.p[wrt[i]], xbar = adj_cot_or_zero(&a, x);
        adj_check_gradient(&a, x, xbar);
        ir_add_operand(g, ret, xbar);
    }
    p->failed |= a.failed;
    if (a.failed) return g;
    Reads reads = primal_up_to(p, &a, g, last);
    adj_dce(&a, g->body, false);
    adj_body(&a, reads.primal, reads.n);
    note_saved(&reads, g);
    return g;
}

/* @f.jvp.<wrt>: parameters of f and a tangent for each wrt; results of f and a tangent for each float one. With lanes, a
 * dimension parameter more for each of their axes, which tangents have behind their own. */
static TdlFunc *make_tangent(Pass *p, const TdlFunc *f, const int64_t *wrt, uint32_t n, uint32_t nlanes) {
    TdlModule *m = p->m;
    TdlSym name = derived_name(p, f, nlanes ? arena_printf(p->arena, "jvp%u", nlanes) : "jvp", wrt, n);
    TdlFunc *g = ir_func_find(m, name);
    if (g) return g;
    Adj a;
    AdjFrame fr;
    g = open_derived(p, f, name, &a, &fr, wrt, n, true);
    uint32_t nres = g->results.n, ndims = g->dims.n;
    for (uint32_t i = 0; i < nlanes; i++) VEC_PUSH(m->arena, g->dims, ir_fresh(m, "lanes"));
    if (nlanes) a.lanes = tan_lanes_new(&a, g->dims.p + ndims, nlanes, ir_before(g, ir_region(g, g->body)->first));
    for (uint32_t i = 0; i < n; i++) {
        TdlPort x = g->params.p[wrt[i]];
        adj_set_cot(&a, ir_region(g, g->body)->args.p[wrt[i]], ir_func_add_param(g, suffixed(m, x.name, "t", ""), tan_type(&a, x.type), NULL));
    }
    for (uint32_t i = 0; i < nres; i++) {
        TdlPort r = derived_port(m, g->results.p[i], "t", -1);
        r.type = tan_type(&a, r.type);
        if (ty_is_float(m, r.type)) VEC_PUSH(m->arena, g->results, r);
    }
    inline_other_mode(g, RULE_FORWARD);
    TdlOp ret = ir_terminator(g, g->body);
    adj_activity(&a, g->body);
    tan_region(&a, g->body);
    fr.b = ir_before(g, ret);
    for (uint32_t i = 0; i < nres && !a.failed; i++)
        if (ty_is_float(m, g->results.p[i].type)) ir_add_operand(g, ret, tan_whole_or_zero(&a, adj_arg(&a, ret, i)));
    p->failed |= a.failed;
    if (!a.failed) adj_dce(&a, g->body, false);
    return g;
}

/* A constant 0, in any shape. */
static bool is_zero(const TdlFunc *f, TdlVal v) {
    TdlOp o = ir_val(f, v)->def;
    while (o.id && ir_op(f, o)->code == OP_BROADCAST) o = ir_val(f, ir_op(f, o)->operands[0])->def;
    if (!o.id || ir_op(f, o)->code != OP_CONST) return false;
    const TdlAttr *value = op_attr(f, o, "value");
    return value->kind == ATTR_FLOAT && value->f == 0.0;
}

static bool holds_sweeps(const Pass *p, const TdlFunc *f) {
    for (uint32_t i = 0; i < p->seen.n; i++)
        if (p->seen.p[i].f == f) return p->seen.p[i].generated;
    return false;
}

/* Warns of what f has no derivative of: of its float results, but those whose cotangent is 0 (cot[i], where given). */
static void warn(Pass *p, TdlFunc *f, const int64_t *wrt, uint32_t n, bool forward, TdlFunc *of, const TdlVal *cot) {
    Adj a;
    TdlVals results = {0}, params = {0};
    if ((forward ? f->forward : f->reverse).id || f->symbol) return;
    adj_init(&a, f, p->arena, p->formulas);
    for (uint32_t i = 0; i < n; i++) {
        VEC_PUSH(p->arena, params, ir_region(f, f->body)->args.p[wrt[i]]);
        adj_set_active(&a, params.p[i], true);
    }
    adj_activity(&a, f->body);
    const TdlOpData *ret = ir_op(f, ir_terminator(f, f->body));
    for (uint32_t i = 0, k = 0; i < f->results.n; i++) {
        if (!ty_is_float(p->m, f->results.p[i].type)) continue;
        if (!cot || !is_zero(of, cot[k++])) VEC_PUSH(p->arena, results, ret->operands[i]);
    }
    adj_warn_zero(&a, results.p, results.n, params.p, holds_sweeps(p, f) ? 0 : params.n);
}

/* For a call: the function stays. */
static TdlFunc *derived(void *pass, const TdlFunc *f, const int64_t *wrt, uint32_t n, bool forward) {
    Pass *p = pass;
    warn(p, ir_func_find(p->m, f->name), wrt, n, forward, NULL, NULL);
    TdlFunc *g = forward ? make_tangent(p, f, wrt, n, 0) : make_reverse(p, f, wrt, n);
    uint32_t k = 0;
    for (uint32_t i = 0; i < p->made.n; i++)
        if (p->made.p[i] != g) p->made.p[k++] = p->made.p[i];
    p->made.n = k;
    return p->failed ? NULL : g;
}

/* ---- vjp and jvp ---- */

static void resolve(Pass *p, TdlFunc *f);

/* ---- functions that are reversed as a whole: seeds do not share a primal there ----
 * The cotangent of what is shared is a sum over the seeds, which forgets the mask of a branch not taken. */

static bool is_reversed(const Pass *p, const TdlFunc *f) {
    for (uint32_t i = 0; i < p->reversed.n; i++)
        if (p->reversed.p[i] == f) return true;
    return false;
}

static void find_reversed(void *user, TdlFunc *f, TdlOp o);

static void note_reversed(Pass *p, TdlFunc *f) {
    if (!f || is_reversed(p, f)) return;
    VEC_PUSH(p->arena, p->reversed, f);
    note_reversed(p, ir_func_find(p->m, f->reverse));
    note_reversed(p, ir_func_find(p->m, f->forward));
    ir_walk(f, f->body, find_reversed, p);
}

static void find_reversed(void *user, TdlFunc *f, TdlOp o) {
    Pass *p = user;
    TdlOpcode c = ir_op(f, o)->code;
    if (c == OP_BACKWARD) note_reversed(p, f);
    if (c == OP_VJP || ((c == OP_CALL || c == OP_JVP) && is_reversed(p, f)))
        note_reversed(p, ir_func_find(p->m, intern(p->m->names, op_str(f, o, "callee"))));
}

/* Clones the body of g, for a derivative o whose operands are v, in front of `place`; returns its results. `lanes`:
 * what the further dimension parameters of g are. */
static TdlVals put_body(Pass *p, TdlFunc *f, TdlOp o, const TdlFunc *g, const TdlVal *v, const TdlDim *lanes, TdlOp place) {
    TdlValMap map = valmap_new(p->arena, g);
    for (uint32_t i = 0; i < ir_op(f, o)->noperands; i++) valmap_set(&map, ir_region(g, g->body)->args.p[i], v[i]);
    const TdlAttr *at = op_attr(f, o, "dims");
    TdlDimMap dims = {.arena = p->arena};
    for (uint32_t i = 0; i < g->dims.n; i++) {
        uint32_t n = at ? at->n : 0;
        dimmap_add(&dims, g->dims.p[i], i < n ? at->dims[i] : lanes[i - n]);
    }
    TdlBuilder b = ir_before(f, place);
    b.span = ir_op(f, o)->span;
    TdlVals out = {0};
    ir_clone_region_body(&b, g, g->body, &map, &dims, &out);
    return out;
}

/* A jvp in a map over tangents, at one point. */
static void resolve_shared(Pass *p, TdlFunc *f, TdlOp o, TdlFunc *callee, AdjSeeds *s, TdlValMap *replace) {
    const TdlAttr *wrt = op_attr(f, o, "wrt");
    TdlFunc *g = make_tangent(p, callee, wrt->ints, wrt->n, s->extents.n);
    if (p->failed) return;
    TdlVals in = adj_seeds_tangents(s, callee->params.n);
    TdlVals out = put_body(p, f, o, g, in.p, s->extents.p, s->loop);
    for (uint32_t i = 0; i < ir_op(f, o)->nresults; i++)
        valmap_set(replace, ir_op(f, o)->results[i], i < callee->results.n ? out.p[i] : adj_seeds_own(s, out.p[i]));
}

static void resolve_call(Pass *p, TdlFunc *f, TdlOp o, TdlValMap *replace) {
    TdlFunc *callee = ir_func_find(p->m, intern(p->m->names, op_str(f, o, "callee")));
    resolve(p, callee);
    for (uint32_t i = 0; i < p->seen.n; i++) {
        if (p->seen.p[i].f != callee || p->seen.p[i].state != BUSY) continue;
        diag_error(p->m->diags, ir_op(f, o)->span, "%s: differentiates itself: this has no end",
                   sym_text(p->m->names, callee->name));
        p->failed = true;
    }
    if (p->failed) return;
    const TdlAttr *wrt = op_attr(f, o, "wrt");
    bool forward = ir_op(f, o)->code == OP_JVP;
    warn(p, callee, wrt->ints, wrt->n, forward, f, forward ? NULL : ir_op(f, o)->operands + callee->params.n);
    AdjSeeds s = {.m = p->m, .f = f, .arena = p->arena, .replace = replace};
    bool seeds = !is_reversed(p, f) && adj_seeds_open(&s, o), limited = p->opt && p->opt->limit_tape;
    if (forward && seeds && !limited && adj_seeds_shared(&s, callee)) {
        resolve_shared(p, f, o, callee, &s, replace);
        return;
    }
    TdlFunc *g = forward ? make_tangent(p, callee, wrt->ints, wrt->n, 0) : make_reverse(p, callee, wrt->ints, wrt->n);
    if (p->failed) return;
    TdlOp before = ir_op(f, o)->prev;
    TdlVals out = put_body(p, f, o, g, ir_op(f, o)->operands, NULL, o);
    for (uint32_t i = 0; i < ir_op(f, o)->nresults; i++) valmap_set(replace, ir_op(f, o)->results[i], out.p[i]);
    if (!forward && seeds) adj_seeds_hoist(&s, before.id ? ir_op(f, before)->next : ir_region(f, ir_op(f, o)->parent)->first);
}

/* ---- backward ---- */

/* Reverses what was executed before `o`, in its region and those around it, down to the leaves. Its results are replaced at
 * once: a later one goes through what create_graph lists, and copies none that is not resolved. */
static void resolve_backward(Pass *p, TdlFunc *f, TdlOp o) {
    Adj a;
    AdjFrame fr;
    inline_other_mode(f, RULE_REVERSE);
    start(p, &a, &fr, f, o);
    a.within = ir_op(f, o)->parent;
    uint32_t n = ir_op(f, o)->noperands;
    for (uint32_t i = 2; i < n; i++) {
        VEC_PUSH(p->arena, a.leaves, adj_arg(&a, o, i));
        adj_set_active(&a, adj_arg(&a, o, i), true);
    }
    adj_activity(&a, f->body);
    adj_count_limited(&a);
    adj_warn_zero(&a, ir_op(f, o)->operands, 1, NULL, 0);
    TdlOp last = ir_op(f, o)->prev;
    adj_add(&a, adj_arg(&a, o, 0), adj_arg(&a, o, 1));
    for (TdlOp at = o; at.id && !a.failed; at = ir_region(f, ir_op(f, at)->parent)->parent) {
        adj_reverse_ops(&a, ir_op(f, at)->parent, last);
        TdlOp up = ir_region(f, ir_op(f, at)->parent)->parent;
        last = up.id ? ir_op(f, up)->prev : (TdlOp){0};
    }
    p->failed |= a.failed;
    for (uint32_t i = 2; i < n && !a.failed; i++) {
        TdlVal xbar = adj_cot_or_zero(&a, adj_arg(&a, o, i));
        adj_check_gradient(&a, adj_arg(&a, o, i), xbar);
        if (!op_has_int(f, o, "create_graph", i - 2)) xbar = ir_unary(adj_b(&a), OP_DETACH, xbar);
        ir_replace_uses(f, adj_res(&a, o, i - 2), xbar);
    }
    if (!a.failed) ir_remove(f, o);
}

/* ---- functions ---- */

typedef struct { TdlArena *arena; TdlOpcode code; TDL_VEC(TdlOp) ops; } Find;

static void find(void *user, TdlFunc *f, TdlOp o) {
    Find *s = user;
    if (ir_op(f, o)->code == s->code) VEC_PUSH(s->arena, s->ops, o);
}

/* Resolves every operation of `code` in f, in order; false: there was none. */
static bool resolve_all(Pass *p, TdlFunc *f, TdlOpcode code,
                        void (*one)(Pass *p, TdlFunc *f, TdlOp o, TdlValMap *replace)) {
    Find s = {.arena = p->arena, .code = code};
    ir_walk(f, f->body, find, &s);
    if (!s.ops.n) return false;
    TdlValMap replace = valmap_new(p->arena, f);
    for (uint32_t i = 0; i < s.ops.n && !p->failed; i++) one(p, f, s.ops.p[i], &replace);
    if (p->failed) return true;
    ir_replace_all(f, replace.p, replace.n);
    for (uint32_t i = 0; i < s.ops.n; i++) ir_remove(f, s.ops.p[i]);
    return true;
}

static bool resolve_backwards(Pass *p, TdlFunc *f) {
    Find s = {.arena = p->arena, .code = OP_BACKWARD};
    ir_walk(f, f->body, find, &s);
    for (uint32_t i = 0; i < s.ops.n && !p->failed; i++) resolve_backward(p, f, s.ops.p[i]);
    return s.ops.n > 0;
}

static void resolve_rules_of(Pass *p, const TdlFunc *f) {
    TdlFunc *rules[] = {ir_func_find(p->m, f->reverse), ir_func_find(p->m, f->forward)};
    for (int i = 0; i < 2; i++)
        if (rules[i]) resolve(p, rules[i]);
}

/* The rules that a sweep of f would use, and what its recursive calls do. */
static void resolve_callees(Pass *p, TdlFunc *f) {
    Find s = {.arena = p->arena, .code = OP_CALL};
    resolve_rules_of(p, f);
    ir_walk(f, f->body, find, &s);
    for (uint32_t i = 0; i < s.ops.n && !p->failed; i++) {
        TdlFunc *callee = ir_func_find(p->m, intern(p->m->names, op_str(f, s.ops.p[i], "callee")));
        if (!callee) continue;
        resolve_rules_of(p, callee);
        if (!callee->symbol) resolve(p, callee);
    }
}

static void resolve(Pass *p, TdlFunc *f) {
    uint32_t at = 0;
    while (at < p->seen.n && p->seen.p[at].f != f) at++;
    if (at < p->seen.n) return;
    VEC_RESERVE(p->arena, p->seen, p->seen.n + 1);
    p->seen.p[p->seen.n].f = f;
    p->seen.p[p->seen.n++].state = BUSY;
    resolve_callees(p, f);
    bool any = resolve_all(p, f, OP_VJP, resolve_call);
    if (!p->failed) any |= resolve_all(p, f, OP_JVP, resolve_call);
    if (!p->failed) any |= resolve_backwards(p, f);
    p->seen.p[at].generated = any;
    p->seen.p[at].state = DONE;
}

static bool any_call(TdlModule *m, TdlArena *arena) {
    Find s = {.arena = arena, .code = OP_CALL};
    for (uint32_t i = 0; i < m->funcs.n && !s.ops.n; i++) ir_walk(m->funcs.p[i], m->funcs.p[i]->body, find, &s);
    return s.ops.n > 0;
}

bool pass_adjoint(TdlModule *m, const TdlPassOptions *opt) {
    TdlArena arena;
    arena_init_like(&arena, m->arena);
    Pass p = {.m = m, .arena = &arena, .opt = opt};
    bool ok = !any_call(m, &arena) || pass_inline(m, opt);
    if (ok) p.formulas = adj_formulas(m, &arena);
    uint32_t n = m->funcs.n;
    for (uint32_t i = 0; i < n; i++) ir_walk(m->funcs.p[i], m->funcs.p[i]->body, find_reversed, &p);
    for (uint32_t i = 0; ok && p.formulas && i < n && !p.failed; i++) resolve(&p, m->funcs.p[i]);
    for (uint32_t i = 0; i < p.made.n; i++) ir_func_remove(m, p.made.p[i]);
    for (uint32_t i = 0; i < m->funcs.n; i++) m->funcs.p[i]->reverse = m->funcs.p[i]->forward = SYM_NONE; /* used */
    ok = ok && p.formulas && !p.failed;
    arena_free(&arena);
    return ok;
}
