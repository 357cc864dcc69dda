/* Inlines every call that is not recursive, and removes the functions that nothing reaches any more.
 *
 * Why: the passes that follow see one function at a time; after this one only recursion is a call.
 * A function with a derivative rule of its own stays a call until the adjoint pass has used the rule, an extern one
 * for good. How: functions are visited callees first, so that a body is final before it is copied. A call of a function on a
 * cycle of calls stays. `vjp` keeps its callee: the adjoint pass resolves it.
 * Cost: linear in the size of the result, which is bounded (INLINE_MAX_OPS).
 *
 *     func @sq<n>(%0 x: f64[n]) -> (f64[n]) { %1 = mul %0, %0 : f64[n]  return %1 }
 *     %2 = call @sq ... {callee = @sq, dims = <k>} : f64[k]      =>      %2 = mul %1, %1 : f64[k]
 */
#include "passes/pass.h"

enum { INLINE_MAX_OPS = 4000000 };

typedef struct {
    TdlModule *m;
    TdlArena scratch;
    uint32_t *index;    /* by symbol id of the name: number of the function + 1 */
    uint32_t nsyms;
    uint32_t *order, *low, *stack; /* Tarjan's strongly connected components */
    uint32_t nstack, clock;
    bool *on_stack, *recursive, *reached;
    bool ok;
} Inliner;

/* The number of a function; -1: there is none. */
static int64_t function_index(const Inliner *c, TdlSym name) {
    return name.id && name.id < c->nsyms ? (int64_t)c->index[name.id] - 1 : -1;
}

/* That of the one that a call or vjp names. */
static int64_t callee_of(const Inliner *c, const TdlFunc *f, TdlOp o) {
    const char *name = op_str(f, o, "callee");
    if (!name) return -1;
    return function_index(c, intern(c->m->names, name));
}

static void index_functions(Inliner *c) {
    for (uint32_t i = 0; i < c->m->funcs.n; i++)
        if (c->m->funcs.p[i]->name.id >= c->nsyms) c->nsyms = c->m->funcs.p[i]->name.id + 1;
    c->index = ARENA_ARRAY(&c->scratch, uint32_t, c->nsyms);
    for (uint32_t i = 0; i < c->m->funcs.n; i++) c->index[c->m->funcs.p[i]->name.id] = i + 1;
}

/* ---- inlining one call ---- */

static TdlVal named_copy(TdlBuilder *b, TdlVal x, TdlType t, TdlSym name) {
    uint32_t rank = ty_rank(b->f->module, t);
    int64_t *axes = ARENA_ARRAY(b->f->module->arena, int64_t, rank);
    for (uint32_t i = 0; i < rank; i++) axes[i] = i;
    TdlOp o = ir_emit(b, OP_BROADCAST, &x, 1, &t, 1);
    op_set_ints(b->f, o, "axes", axes, rank);
    ir_op(b->f, o)->grad_fn = name;
    return ir_result(b->f, o, 0);
}

/* A named call is one node of the backward graph: what ends its copy has the call's name, what is inside none. An argument
 * that is handed back passes through an operation that carries the name. */
static void rename_backward(TdlBuilder *b, uint32_t first, TdlSym name, TdlVals *returned) {
    TdlFunc *f = b->f;
    for (uint32_t i = first; i < f->ops.n; i++) f->ops.p[i].grad_fn = SYM_NONE;
    for (uint32_t i = 0; i < returned->n; i++) {
        TdlOp def = ir_val(f, returned->p[i])->def;
        TdlType t = ir_type(f, returned->p[i]);
        if (def.id >= first) ir_op(f, def)->grad_fn = name;
        else if (ty_is_float(f->module, t)) returned->p[i] = named_copy(b, returned->p[i], t, name);
    }
}

static bool of_library(const TdlModule *m, TdlSpan at) {
    return at.file && sources_name(m->sources, at.file)[0] == '<';
}

/* What fails in a function of the library is reported at the program's call, and so are its lines to a debugger. */
static void move_spans(TdlFunc *f, uint32_t first, TdlSpan call) {
    if (!call.file || of_library(f->module, call)) return;
    for (uint32_t i = first; i < f->ops.n; i++)
        if (of_library(f->module, f->ops.p[i].span)) f->ops.p[i].span = call;
}

/* Copies the callee's body in front of the call; map[result] becomes what it returns. */
static void inline_call(Inliner *c, TdlFunc *f, TdlOp call, const TdlFunc *callee, TdlVal *map) {
    TdlValMap vals = valmap_new(&c->scratch, callee);
    TdlDimMap dims = {.arena = &c->scratch};
    const TdlAttr *to = op_attr(f, call, "dims");
    for (uint32_t i = 0; i < callee->dims.n && to && i < to->n; i++) dimmap_add(&dims, callee->dims.p[i], to->dims[i]);
    for (uint32_t i = 0; i < callee->params.n; i++)
        valmap_set(&vals, ir_region(callee, callee->body)->args.p[i], ir_op(f, call)->operands[i]);
    TdlVals returned = {0};
    TdlBuilder b = ir_before(f, call);
    uint32_t first = f->ops.n;
    ir_clone_region_body(&b, callee, callee->body, &vals, &dims, &returned);
    move_spans(f, first, ir_op(f, call)->span);
    if (ir_op(f, call)->grad_fn.id) rename_backward(&b, first, ir_op(f, call)->grad_fn, &returned);
    for (uint32_t i = 0; i < returned.n && i < ir_op(f, call)->nresults; i++)
        map[ir_result(f, call, i).id] = returned.p[i];
    ir_remove(f, call);
}

/* A call that stays: a recursive one, of C, or of what the adjoint pass knows a rule for. */
static bool stays(const Inliner *c, int64_t g) {
    const TdlFunc *callee = c->m->funcs.p[g];
    return c->recursive[g] || callee->symbol || callee->reverse.id || callee->forward.id;
}

static void inline_into(Inliner *c, TdlFunc *f) {
    uint32_t nops = f->ops.n, nvals = f->vals.n;
    TdlVal *map = ARENA_ARRAY(&c->scratch, TdlVal, nvals);
    bool any = false;
    for (uint32_t i = 1; i < nops && c->ok; i++) {
        TdlOp o = {i};
        int64_t g = ir_op(f, o)->code == OP_CALL ? callee_of(c, f, o) : -1;
        if (g < 0 || stays(c, g)) continue;
        if (f->ops.n > INLINE_MAX_OPS) {
            diag_error(c->m->diags, ir_op(f, o)->span, "call: inlining makes a function of more than %d operations: call less deeply",
                       (int)INLINE_MAX_OPS);
            c->ok = false;
            return;
        }
        inline_call(c, f, o, c->m->funcs.p[g], map);
        any = true;
    }
    if (any) ir_replace_all(f, map, nvals);
}

void inline_other_mode(TdlFunc *f, TdlRuleMode mode) {
    Inliner c = {.m = f->module, .ok = true};
    for (bool any = true; any;) {
        any = false;
        arena_init_like(&c.scratch, c.m->arena);
        uint32_t nops = f->ops.n, nvals = f->vals.n;
        TdlVal *map = ARENA_ARRAY(&c.scratch, TdlVal, nvals);
        for (uint32_t i = 1; i < nops; i++) {
            const char *name = f->ops.p[i].code == OP_CALL ? op_str(f, (TdlOp){i}, "callee") : NULL;
            const TdlFunc *g = name ? ir_func_find(c.m, intern(c.m->names, name)) : NULL;
            if (!g || g->symbol || (!g->reverse.id && !g->forward.id)) continue;
            if ((mode == RULE_REVERSE ? g->reverse : g->forward).id) continue;
            diag_warning(c.m->diags, WARN_ONE_MODE_RULE, ir_op(f, (TdlOp){i})->span, "%s: its derivative has a rule for the other mode alone: %s mode differentiates its body",
                         name, mode == RULE_REVERSE ? "reverse" : "forward");
            inline_call(&c, f, (TdlOp){i}, g, map);
            any = true;
        }
        if (any) ir_replace_all(f, map, nvals);
        arena_free(&c.scratch);
    }
}

/* ---- order: callees first; a component of more than one function, or one that calls itself, is recursive ---- */

static void visit(Inliner *c, uint32_t i) {
    TdlFunc *f = c->m->funcs.p[i];
    c->order[i] = c->low[i] = ++c->clock;
    c->stack[c->nstack++] = i;
    c->on_stack[i] = true;
    for (uint32_t k = 1; k < f->ops.n; k++) {
        if (f->ops.p[k].code != OP_CALL) continue;
        int64_t g = callee_of(c, f, (TdlOp){k});
        if (g < 0) continue;
        if (g == (int64_t)i) c->recursive[i] = true;
        if (!c->order[g]) {
            visit(c, (uint32_t)g);
            if (c->low[g] < c->low[i]) c->low[i] = c->low[g];
        } else if (c->on_stack[g] && c->order[g] < c->low[i]) c->low[i] = c->order[g];
    }
    if (c->low[i] != c->order[i]) return;
    uint32_t first = c->nstack;
    while (c->stack[first - 1] != i) first--;
    bool cycle = c->nstack - first > 0;
    for (uint32_t k = first - 1; k < c->nstack; k++) {
        uint32_t g = c->stack[k];
        c->on_stack[g] = false;
        if (cycle) c->recursive[g] = true;
    }
    for (uint32_t k = first - 1; k < c->nstack && c->ok; k++) inline_into(c, c->m->funcs.p[c->stack[k]]);
    c->nstack = first - 1;
}

/* ---- what is not reached from an exported function or a script goes ---- */

static void reach(Inliner *c, uint32_t i) {
    if (c->reached[i]) return;
    c->reached[i] = true;
    TdlFunc *f = c->m->funcs.p[i];
    int64_t rules[2] = {function_index(c, f->reverse), function_index(c, f->forward)};
    for (int k = 0; k < 2; k++)
        if (rules[k] >= 0) reach(c, (uint32_t)rules[k]);
    for (uint32_t k = 1; k < f->ops.n; k++) {
        TdlOpcode code = f->ops.p[k].code;
        if (code != OP_CALL && code != OP_VJP && code != OP_JVP && code != OP_PATTERN) continue;
        int64_t g = callee_of(c, f, (TdlOp){k});
        if (g >= 0) reach(c, (uint32_t)g);
    }
}

static void remove_unreached(Inliner *c) {
    uint32_t roots = 0;
    for (uint32_t i = 0; i < c->m->funcs.n; i++) {
        if (!c->m->funcs.p[i]->exported && !c->m->funcs.p[i]->script) continue;
        roots++;
        reach(c, i);
    }
    if (roots) ir_funcs_keep(c->m, c->reached); /* a module without any (a library, a test) is kept whole */
}

bool pass_inline(TdlModule *m, const TdlPassOptions *opt) {
    (void)opt;
    Inliner c = {.m = m, .ok = true};
    uint32_t n = m->funcs.n;
    arena_init_like(&c.scratch, c.m->arena);
    index_functions(&c);
    c.order = ARENA_ARRAY(&c.scratch, uint32_t, n);
    c.low = ARENA_ARRAY(&c.scratch, uint32_t, n);
    c.stack = ARENA_ARRAY(&c.scratch, uint32_t, n);
    c.on_stack = ARENA_ARRAY(&c.scratch, bool, n);
    c.recursive = ARENA_ARRAY(&c.scratch, bool, n);
    c.reached = ARENA_ARRAY(&c.scratch, bool, n);
    for (uint32_t i = 0; i < n && c.ok; i++)
        if (!c.order[i]) visit(&c, i);
    if (c.ok) remove_unreached(&c);
    arena_free(&c.scratch);
    return c.ok;
}
