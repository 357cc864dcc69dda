/* Functions with a derivative rule of their own, and recursive ones.
 *
 *     func @f<n>(%0 x: f64[n]) -> (z: f64[n]) {reverse = @f.reverse} { ... }
 *     func @f.reverse<n>(%0 x: f64[n], %1 z: f64[n], %2 dz: f64[n]) -> (dx: f64[n]) { ... }
 *
 * A call of @f stays a call until its cotangent is asked for: the reverse sweep then holds the body of @f.reverse, with
 * what the call took and gave. Being IR, it is differentiated again like everything else. */
#include "passes/adjoint.h"

static void count_derived(void *user, TdlFunc *f, TdlOp o) {
    TdlOpcode c = ir_op(f, o)->code;
    *(uint32_t *)user += c == OP_VJP || c == OP_JVP || c == OP_BACKWARD;
}

/* A rule that is not resolved yet is on the way to itself. */
TdlFunc *adj_usable_rule(Adj *a, TdlSym name) {
    TdlFunc *rule = ir_func_find(a->m, name);
    uint32_t derived = 0;
    ir_walk(rule, rule->body, count_derived, &derived);
    if (!derived) return rule;
    a->failed = true;
    diag_error(a->m->diags, rule->span, "%s: the derivative differentiates its own function: this has no end",
               sym_text(a->m->names, rule->name));
    return NULL;
}

void adj_rule(Adj *a, const TdlFunc *f, const TdlAttr *dims, const TdlVal *args, const TdlVal *results, const TdlVal *zbar) {
    TdlFunc *rule = adj_usable_rule(a, f->reverse);
    if (!rule) return;
    TdlValMap map = valmap_new(a->arena, rule);
    TdlDimMap to = {.arena = a->arena};
    uint32_t n = 0;
    const TdlVal *params = ir_region(rule, rule->body)->args.p;
    for (uint32_t i = 0; i < f->params.n; i++) valmap_set(&map, params[n++], args[i]);
    for (uint32_t i = 0; i < f->results.n; i++) valmap_set(&map, params[n++], results[i]);
    for (uint32_t i = 0; i < f->results.n; i++) {
        if (!ty_is_float(a->m, f->results.p[i].type)) continue;
        valmap_set(&map, params[n++], zbar[i].id ? zbar[i] : adj_zero(a, adj_type(a, results[i])));
    }
    for (uint32_t i = 0; i < rule->dims.n; i++)
        dimmap_add(&to, rule->dims.p[i], dims ? dims->dims[i] : dim_var(a->m, rule->dims.p[i]));
    TdlVals xbar = {0};
    ir_clone_region_body(adj_b(a), rule, rule->body, &map, &to, &xbar);
    n = 0;
    for (uint32_t i = 0; i < f->params.n; i++)
        if (ty_is_float(a->m, f->params.p[i].type)) adj_add(a, args[i], xbar.p[n++]);
}

/* Calls of functions without a rule were inlined, but those of C and the recursive ones. */
void adj_CALL(Adj *a, TdlOp o, const TdlVal *zbar) {
    const char *name = op_str(a->f, o, "callee");
    const TdlFunc *callee = ir_func_find(a->m, intern(a->m->names, name));
    if (callee->reverse.id) {
        TdlOpData d = *ir_op(a->f, o);
        adj_rule(a, callee, op_attr(a->f, o, "dims"), d.operands, d.results, zbar);
        return;
    }
    a->failed = true;
    TdlSpan at = ir_op(a->f, o)->span;
    if (callee->symbol)
        diag_error(a->m->diags, at, "%s: has no derivative for reverse mode: give it one by `derivative %s(...) -> ... { reverse { ... } }`, or use detach where none is wanted", name, name);
    else
        diag_error(a->m->diags, at, "%s: reverse mode through recursion is not supported yet: write the recursion as a loop", name);
}
