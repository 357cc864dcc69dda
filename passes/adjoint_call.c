/* Functions with a derivative rule of their own, and recursive ones.
 *
 *     func @f<n>(%0 x: f64[n]) -> (z: f64[n]) {reverse = @f.reverse} { ... }
 *     func @f.reverse<n>(%0 x: f64[n], %1 z: f64[n], %2 dz: f64[n]) -> (dx: f64[n]) { ... }
 *
 * A call of @f stays a call until its cotangent is asked for: the reverse sweep then holds the body of @f.reverse, with
 * what the call took and gave. Being IR, it is differentiated again like everything else.
 *
 * The reverse of a recursive call is a call of the callee's reverse, @f.vjp.<wrt>, which computes the primal again: a
 * recursion of depth k costs at most k times its primal, and keeps nothing but what one level reads. */
#include "passes/adjoint.h"
#include <string.h>

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

/* Whether a rule works element by element: then what it makes of a 0 is one. */
static bool is_elementwise(const TdlFunc *rule) {
    IR_FOREACH_OP(rule, rule->body, o) {
        const TdlOpData *d = ir_op(rule, o);
        bool spread = d->code == OP_BROADCAST && ty_is_scalar(rule->module, ir_type(rule, d->operands[0]));
        if (!spread && d->code != OP_CONST && d->code != OP_DIM && !(op_info(d->code)->flags & (OPF_ELEMENTWISE | OPF_TERMINATOR))) return false;
    }
    return true;
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
    bool unread = a->unread && f->results.n == 1 && is_elementwise(rule);
    for (uint32_t i = 0; i < f->params.n; i++) {
        if (!ty_is_float(a->m, f->params.p[i].type)) continue;
        TdlVal c = xbar.p[n++];
        if (unread && adj_active(a, args[i]) && ty_eq(adj_type(a, c), adj_type(a, zbar[0]))) c = adj_unless_unread(a, zbar[0], c);
        adj_add(a, args[i], c);
    }
}

static void find_print(void *user, TdlFunc *f, TdlOp o) {
    if (ir_op(f, o)->code == OP_PRINT) *(TdlOp *)user = o;
}

/* The primal runs again in the reverse: what it prints would appear twice. */
static bool prints(Adj *a, const TdlFunc *callee) {
    TdlOp at = {0};
    TdlFunc *f = ir_func_find(a->m, callee->name);
    ir_walk(f, f->body, find_print, &at);
    if (!at.id) return false;
    a->failed = true;
    diag_error(a->m->diags, ir_op(f, at)->span, "%s: print in a recursive function: its gradient runs it again, and would print again: take the print out",
               sym_text(a->m->names, f->name));
    return true;
}

static void reverse_recursion(Adj *a, const TdlFunc *callee, TdlOp o, const TdlVal *zbar) {
    if (prints(a, callee)) return;
    const TdlOpData d = *ir_op(a->f, o);
    TDL_VEC(int64_t) wrt = {0};
    TDL_VEC(TdlType) types = {0};
    TdlVals ops = {0};
    for (uint32_t i = 0; i < d.nresults; i++) VEC_PUSH(a->arena, types, adj_type(a, d.results[i]));
    for (uint32_t i = 0; i < d.noperands; i++) {
        VEC_PUSH(a->arena, ops, d.operands[i]);
        if (!adj_active(a, d.operands[i])) continue;
        VEC_PUSH(a->arena, wrt, i);
        VEC_PUSH(a->arena, types, adj_type(a, d.operands[i]));
    }
    for (uint32_t i = 0; i < d.nresults; i++)
        if (ty_is_float(a->m, types.p[i])) VEC_PUSH(a->arena, ops, zbar[i].id ? zbar[i] : adj_zero(a, types.p[i]));
    TdlFunc *g = a->derived(a->pass, callee, wrt.p, wrt.n, false);
    if (!g) {
        a->failed = true;
        return;
    }
    TdlOp z = ir_emit(adj_b(a), OP_CALL, ops.p, ops.n, types.p, types.n);
    const char *name = sym_text(a->m->names, g->name);
    op_set_str(a->f, z, "callee", name, (uint32_t)strlen(name));
    const TdlAttr *dims = op_attr(a->f, o, "dims");
    if (dims) op_set_dims(a->f, z, "dims", dims->dims, dims->n);
    for (uint32_t i = 0; i < wrt.n; i++) adj_add(a, d.operands[wrt.p[i]], adj_res(a, z, d.nresults + i));
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
    if (!callee->symbol) {
        reverse_recursion(a, callee, o, zbar);
        return;
    }
    a->failed = true;
    diag_error(a->m->diags, ir_op(a->f, o)->span, "%s: has no derivative for reverse mode: give it one by `derivative %s(...) -> ... { reverse { ... } }`, or use detach where none is wanted", name, name);
}
