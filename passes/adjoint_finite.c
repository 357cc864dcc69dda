/* -fcheck=nan: each step of a reverse sweep checks what it contributes to a cotangent.
 *
 *     %9 = div %8, %1 : f64[n] @LogBackward0
 *     %11 = abs %9   %12 = lt %11, inf   %13 = not %12   %14 = any %13 {axes = [0]}   %15 = not %14
 *     assert %15 {kind = finite, msg = "LogBackward0 returned NaN or infinity"}
 *
 * behind what computes it, in the region where that stands: the first check to fail is that of the first step that was
 * executed, and what came into the step was finite, since the steps before it passed. A gradient that is a sum of what
 * steps returned is checked where it is complete. What the program itself computes is not checked. A sweep over the result of another one leaves that one's checks
 * where they are, as it does asserts. Cost: a pass over each cotangent. */
#include "passes/adjoint.h"
#include <math.h>
#include <string.h>

/* c was checked where it is defined; in a branch says nothing of what is behind that. */
static bool done(Adj *a, TdlVal c) {
    while (a->finite.n <= c.id) VEC_PUSH(a->arena, a->finite, 0);
    if (a->finite.p[c.id]) return true;
    a->finite.p[c.id] = ir_region_of(a->f, c).id == adj_b(a)->region.id;
    return false;
}

/* The step by its name, and which operand v is; an operation inside of a function of the library has the name of the call,
 * whose place it has. */
static TdlStr step_text(const Adj *a, TdlVal v) {
    const TdlOpData *d = ir_op(a->f, a->step);
    TdlStr s = str_new(a->arena);
    bool within = !d->grad_fn.id && a->named.id && !memcmp(&a->named_at, &d->span, sizeof d->span);
    if (d->grad_fn.id || within) str_puts(&s, sym_text(a->m->names, within ? a->named : d->grad_fn));
    else str_printf(&s, "the backward of %s", op_info(d->code)->name);
    str_puts(&s, " returned NaN or infinity");
    for (uint32_t i = 0; i < d->noperands && !within && d->noperands > 1; i++)
        if (d->operands[i].id == v.id) return str_printf(&s, " for operand %u", i + 1), s;
    return s;
}

/* Whether every element of c is finite, as a scalar; a 16-bit float is rounded first. */
static TdlVal finite(Adj *a, TdlVal c) {
    TdlElem e = ty_elem(a->m, adj_type(a, c));
    if (e != EL_F64) c = ir_cast(adj_b(a), c, EL_F32);
    c = ir_unary(adj_b(a), OP_ABS, c);
    c = adj_op2(a, OP_LT, c, adj_const_like(a, c, INFINITY));
    if (ty_is_scalar(a->m, adj_type(a, c))) return c;
    return ir_unary(adj_b(a), OP_NOT, adj_any(a, ir_unary(adj_b(a), OP_NOT, c)));
}

static bool wanted(const Adj *a, TdlVal c) {
    return a->opt && a->opt->check_nan && adj_def(a, c).id && ty_kind(a->m, adj_type(a, c)) == TY_TENSOR;
}

static void check(Adj *a, TdlVal c, const TdlStr *msg) {
    TdlSym name = adj_b(a)->grad_fn;
    adj_b(a)->grad_fn = SYM_NONE;
    TdlVal ok = finite(a, c);
    TdlOp o = ir_emit(adj_b(a), OP_ASSERT, &ok, 1, NULL, 0);
    op_set_str(a->f, o, "kind", "finite", 6);
    op_set_str(a->f, o, "msg", msg->p, (uint32_t)msg->n);
    while (a->own_checks.n <= o.id) VEC_PUSH(a->arena, a->own_checks, 0);
    a->own_checks.p[o.id] = 1;
    adj_b(a)->grad_fn = name;
}

void adj_check_step(Adj *a, TdlVal v, TdlVal c) {
    if (!a->step.id || !wanted(a, c) || done(a, c)) return;
    TdlStr msg = step_text(a, v);
    check(a, c, &msg);
}

/* What the program calls v, a parameter or leaf; NULL: nothing that the text form keeps. */
static const char *variable(const Adj *a, TdlVal v) {
    TdlOp def = adj_def(a, v);
    if (def.id) return ir_op(a->f, def)->code == OP_LEAF ? op_str(a->f, def, "name") : NULL;
    return ir_region_of(a->f, v).id == a->f->body.id ? sym_text(a->m->names, a->f->params.p[ir_val(a->f, v)->index].name) : NULL;
}

void adj_check_gradient(Adj *a, TdlVal v, TdlVal c) {
    if (!wanted(a, c) || done(a, c)) return;
    TdlStr msg = str_new(a->arena);
    const char *name = variable(a, v);
    str_printf(&msg, "AccumulateGrad returned NaN or infinity%s%s", name ? " for " : "", name ? name : "");
    check(a, c, &msg);
}

bool adj_is_own_check(const Adj *a, TdlOp o) { return o.id < a->own_checks.n && a->own_checks.p[o.id]; }
