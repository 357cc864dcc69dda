/* What a library function asserts of its dimensions is part of its signature: a call whose sizes are known to break it is an
 * error at that call, not a status of the run. An instance knows its dimensions by names only, so it lists these assertions,
 * and each call decides them for its own sizes; what it cannot decide it hands on to the function around, when the call is
 * made whatever the path. */
#include "frontend/lower_int.h"

#include <string.h>

/* The instance whose body is lowered here, outside of branches and loops; else NULL. */
static LowInst *always_here(const Low *L) {
    LowInst *s = L->frame ? L->frame->inst : NULL;
    return s && s->f == L->b.f && s->f->body.id == L->b.region.id ? s : NULL;
}

static void list(Low *L, LowInst *s, LowContract c) {
    for (uint32_t i = 0; i < s->contracts.n; i++) {
        const LowContract *o = &s->contracts.p[i];
        if (o->op == c.op && dim_eq(o->a, c.a) && dim_eq(o->b, c.b) && o->at.lo == c.at.lo && o->call.lo == c.call.lo) return;
    }
    VEC_PUSH(L->arena, s->contracts, c);
}

/* Whether a op b holds, where the difference is a number. */
static bool decided(Low *L, const LowContract *c, bool *holds) {
    int64_t d;
    if (!dim_is_const(L->m, dim_sub(L->m, c->a, c->b), &d)) return false;
    switch (c->op) {
    case AST_OP_EQ: *holds = d == 0; break;
    case AST_OP_NE: *holds = d != 0; break;
    case AST_OP_LT: *holds = d < 0; break;
    case AST_OP_LE: *holds = d <= 0; break;
    case AST_OP_GT: *holds = d > 0; break;
    default: *holds = d >= 0; break;
    }
    return true;
}

void low_contract(Low *L, AstOp op, LowValue a, LowValue b, const char *msg, TdlSpan at) {
    LowInst *s = always_here(L);
    if (!s || !L->frame->library || a.kind != LV_INT || b.kind != LV_INT) return;
    list(L, s, (LowContract){.op = op, .a = a.d, .b = b.d, .msg = msg, .at = at, .what = L->frame->what, .call = SPAN_NONE});
}

/* A call of s with `dims` at `at`; false: it breaks an assertion, which is reported. */
bool low_contracts_hold(Low *L, const LowInst *s, const TdlDim *dims, TdlSpan at) {
    LowInst *outer = always_here(L);
    bool ok = true;
    for (uint32_t i = 0; i < s->contracts.n; i++) {
        LowContract c = s->contracts.p[i];
        bool holds, program = c.call.file;
        c.a = dim_subst(L->m, c.a, s->dims, dims, s->ndims);
        c.b = dim_subst(L->m, c.b, s->dims, dims, s->ndims);
        if (!decided(L, &c, &holds)) {
            if (!program && !L->frame->library) c.call = at;
            if (outer) list(L, outer, c);
            continue;
        }
        if (holds) continue;
        ok = false;
        const char *wrong = arena_printf(L->arena, "%s: %s: %s %s %s does not hold", c.what, c.msg, dim_text(L, c.a), ast_op_text(c.op), dim_text(L, c.b));
        if (program) diag_error(L->diags, c.call, "%s", wrong);
        else low_error(L, at, "%s", wrong);
        diag_note(L->diags, c.at, "required here, in the library's %s", c.what);
        if (program) diag_note(L->diags, at, "%s has these sizes here", low_name(L, s->decl->ast->name.name));
    }
    return ok;
}
