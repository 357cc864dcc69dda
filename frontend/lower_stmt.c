/* Statements: bindings, assignment, return, assert, and the order of what may leave early. */
#include "frontend/lower_int.h"

#include <string.h>

/* ---- bindings ---- */

static LowValue annotated(Low *L, const AstStmt *s, LowValue v, const char *what)
{
    if (!s->type || lv_is_err(v)) return v;
    const LowType *t = low_type(L, s->type);
    return low_coerce(L, v, t, s->e->span, what);
}

static void bind_one(Low *L, const AstStmt *s, AstName n, LowValue v)
{
    bool var = s->kind == AST_VAR;
    if (v.kind == LV_UNIT) {
        low_error(L, s->e->span, "`%s`: this gives no value", low_name(L, n.name));
        v = LOW_ERR;
    }
    LowLeaf *leaf = v.leaf;
    if (var && leaf && leaf->name.id) leaf = NULL; /* a copy of a leaf that another variable holds */
    if (var) v = low_concrete(L, v);
    v.leaf = leaf;
    low_bind(L, n.name, v, var, n.span);
    if (leaf && !leaf->name.id) leaf->name = n.name;
}

static void bind(Low *L, const AstStmt *s)
{
    const char *what = low_name(L, s->pat.n ? s->pat.p[0].name : SYM_NONE);
    LowValue e = s->kind == AST_LET && s->pat.n == 1 && !s->type ? low_expr_or_none(L, s->e) : low_expr(L, s->e);
    LowValue v = annotated(L, s, e, s->pat.n == 1 ? arena_printf(L->arena, "`%s`", what) : "let");
    if (s->pat.n == 1 && !s->tuple_pat) {
        bind_one(L, s, s->pat.p[0], v);
        return;
    }
    if (v.kind == LV_TENSOR && lv_rank(L, v)) { /* let (a, b) = x: its rows, when their number is known */
        int64_t rows;
        if (dim_is_const(L->m, lv_dims(L, v)[0], &rows) && rows == s->pat.n) {
            for (uint32_t i = 0; i < s->pat.n; i++) {
                TdlVal idx = ir_const_int(&L->b, EL_I64, i);
                low_named(L, "UnbindBackward0");
                TdlVal x = low_emit(L, OP_INDEX, (TdlVal[]){v.v, idx}, 2, ty_drop(L->m, lv_type(L, v), 1));
                bind_one(L, s, s->pat.p[i], lv_tensor(x));
            }
            return;
        }
    }
    bool fits = (v.kind == LV_TUPLE || v.kind == LV_STRUCT) && v.n == s->pat.n;
    if (!fits && !lv_is_err(v))
        low_error(L, s->e->span, "let: %u names for %s", s->pat.n, lv_text(L, v));
    for (uint32_t i = 0; i < s->pat.n; i++) bind_one(L, s, s->pat.p[i], fits ? v.elems[i] : LOW_ERR);
}

/* ---- assignment ---- */

static void assign_var(Low *L, const AstExpr *t, LowValue v)
{
    LowBarrier crossed = BARRIER_NONE;
    LowVar *x = low_find_var(L, t->name.name, &crossed);
    const char *s = low_name(L, t->name.name);
    if (!x) { low_unknown(L, t->span, "name", s, ": `var` declares a name that changes"); return; }
    if (crossed) { /* first: what a lambda captured is no var in there, whatever it was declared as */
        low_error(L, t->span, "`%s` belongs to the function around: %s cannot assign to it", s,
                  crossed == BARRIER_COMP ? "index notation" : "a lambda");
        return;
    }
    if (!x->is_var) {
        low_error(L, t->span, "`%s` is not a var: it cannot change", s);
        diag_note(L->diags, x->span, "%s declared here; `var` makes it assignable", s);
        return;
    }
    if (lv_is_err(x->val)) return;
    if (x->val.kind == LV_UNIT) { x->val = v; return; } /* has had no value: low_hoist */
    LowValue before = x->val;
    LowValue r = low_coerce(L, v, low_type_of(L, x->val), t->span, arena_printf(L->arena, "assignment to `%s`", s));
    if (!lv_is_err(r)) x->val = low_concrete(L, r);
    if (before.leaf && !lv_is_err(r)) low_leaf_assigned(L, x, before, t->span);
}

static LowValue with_field(Low *L, const AstExpr *t, LowValue base, LowValue v)
{
    const char *s = low_name(L, t->name.name);
    uint32_t k = base.n;
    if (base.kind == LV_STRUCT)
        for (uint32_t i = 0; i < base.n; i++)
            if (sym_eq(base.decl->ast->params.p[i].name.name, t->name.name)) k = i;
    if (base.kind == LV_TUPLE && s[0] >= '0' && s[0] <= '9') k = (uint32_t)(s[0] - '0');
    if (k >= base.n) return low_error(L, t->span, "%s has no field `%s` to assign to", lv_text(L, base), s);
    LowValue f = low_coerce(L, v, low_type_of(L, base.elems[k]), t->span, arena_printf(L->arena, "assignment to `.%s`", s));
    if (lv_is_err(f)) return f;
    base.elems = arena_memdup(L->arena, base.elems, sizeof *base.elems * base.n);
    base.elems[k] = low_concrete(L, f);
    return base;
}

/* What is assigned under no_grad is a constant. */
static LowValue no_grad(Low *L, LowValue v, TdlSpan at) { return L->frame->no_grad ? low_cut_off(L, v, at) : v; }

static void assign(Low *L, const AstExpr *t, LowValue v, bool has_op, AstOp op, TdlSpan at);

static void assign_tuple(Low *L, const AstExpr *t, LowValue v, TdlSpan at)
{
    if (v.kind != LV_TUPLE || v.n != t->items.n) {
        if (!lv_is_err(v)) low_error(L, at, "assignment: %u targets for %s", t->items.n, lv_text(L, v));
        return;
    }
    for (uint32_t i = 0; i < v.n; i++) assign(L, t->items.p[i], v.elems[i], false, AST_OP_ADD, at);
}

static void assign(Low *L, const AstExpr *t, LowValue v, bool has_op, AstOp op, TdlSpan at)
{
    if (lv_is_err(v)) return;
    switch (t->kind) {
    case AST_NAME:
        if (has_op) v = no_grad(L, low_binary(L, op, low_expr(L, t), v, at), at);
        if (!lv_is_err(v)) assign_var(L, t, v);
        return;
    case AST_FIELD: {
        LowValue base = low_expr(L, t->a);
        if (has_op) v = no_grad(L, low_binary(L, op, low_field(L, base, t->name.name, t->span), v, at), at);
        if (lv_is_err(base) || lv_is_err(v)) return;
        if (base.kind == LV_TENSOR && base.leaf && !strcmp(low_name(L, t->name.name), "grad")) { low_grad_assigned(L, base, v, at); return; }
        assign(L, t->a, with_field(L, t, base, v), false, op, at);
        return;
    }
    case AST_INDEX: {
        LowValue base = low_expr(L, t->a);
        if (lv_is_err(base)) return;
        LowValue r;
        if (base.kind == LV_TUPLE) { low_error(L, t->span, "a tuple's element is assigned as t.0 = ..."); return; }
        r = low_index_set(L, base, t, v, has_op, op, at);
        r.leaf = base.leaf;
        assign(L, t->a, r, false, op, at);
        return;
    }
    case AST_TUPLE:
        if (!has_op) { assign_tuple(L, t, v, at); return; }
        break;
    default: break;
    }
    low_error(L, t->span, "this cannot be assigned to");
}

/* ---- return, assert ---- */

void low_return(Low *L, LowValue v, TdlSpan at)
{
    LowFrame *f = L->frame;
    if (f->result && !lv_is_err(v)) v = low_coerce(L, v, f->result, at, arena_printf(L->arena, "result of %s", f->what));
    f->retv.val = v;
    f->ret.val = lv_bool(true);
}

/* A leading assert(n == 2*m) of a function is a fact: `n` already means 2*m here, and the check is on the parameter. */
static bool fact_assert(Low *L, const AstExpr *e, LowValue *c)
{
    if (e->kind != AST_BINARY || e->op != AST_OP_EQ) return false;
    for (int side = 0; side < 2; side++) {
        const AstExpr *n = side ? e->b : e->a;
        if (n->kind != AST_NAME || low_find_var(L, n->name.name, NULL)) continue;
        for (uint32_t i = 0; i < L->frame->dims.n; i++) {
            TdlSym v;
            TdlDim d = L->frame->dims.p[i].d, raw = dim_var(L->m, n->name.name);
            bool self = dim_is_var(L->m, d, &v) && sym_eq(v, n->name.name);
            if (!sym_eq(L->frame->dims.p[i].name, n->name.name) || self) continue;
            bool own = false;
            for (uint32_t k = 0; k < L->b.f->dims.n; k++) own |= sym_eq(L->b.f->dims.p[k], n->name.name);
            if (!own) return false;
            TdlVal x = ir_dim(&L->b, raw), y = ir_dim(&L->b, d);
            *c = lv_tensor(ir_binary(&L->b, OP_EQ, x, y));
            return true;
        }
    }
    return false;
}

/* Condition c, written as e, is checked when the program runs, or now; false: it fails for certain. */
static bool assert_value(Low *L, const AstStmt *s, const AstExpr *e, LowValue c, const char *msg)
{
    bool known;
    if (lv_is_err(c)) return false;
    if (low_const_bool(&c, &known)) {
        if (known) return true;
        if (L->frame->library || s->e->kind != AST_BOOL) { /* options and sizes that the call has wrong; a plain `false` is for the run */
            low_error(L, s->span, "%s%s", L->frame->library ? "" : "assert: ", msg);
            return false;
        }
    }
    if (c.kind != LV_BOOL && (c.kind != LV_TENSOR || lv_elem(L, c) != EL_BOOL || lv_rank(L, c))) {
        low_error(L, e->span, "assert: expected one bool, not %s%s", lv_text(L, c), lv_rank(L, c) ? "; all(...) makes one" : "");
        return false;
    }
    TdlVal v = low_mat(L, c, EL_BOOL);
    TdlOp o = ir_emit(&L->b, OP_ASSERT, &v, 1, NULL, 0);
    op_set_str(L->b.f, o, "msg", msg, (uint32_t)strlen(msg));
    return true;
}

/* The condition e of statement s, or a part of it: what is joined by `and` is checked one by one. */
static bool assert_each(Low *L, const AstStmt *s, const AstExpr *e, const char *msg)
{
    if (e->kind == AST_BINARY && e->op == AST_OP_AND) return assert_each(L, s, e->a, msg) && assert_each(L, s, e->b, msg);
    LowValue c;
    if (fact_assert(L, e, &c)) return assert_value(L, s, e, c, msg);
    if (e->kind != AST_BINARY || e->op < AST_OP_EQ || e->op > AST_OP_GE) return assert_value(L, s, e, low_expr(L, e), msg);
    LowValue a = low_expr_or_none(L, e->a), b = low_expr_or_none(L, e->b);
    low_contract(L, e->op, a, b, msg, e->span);
    return assert_value(L, s, e, low_binary(L, e->op, a, b, e->span), msg);
}

static void lower_assert(Low *L, const AstStmt *s)
{
    const char *msg = "assertion failed";
    if (s->e2) {
        if (s->e2->kind != AST_STRING) { low_error(L, s->e2->span, "assert: the message is a string literal"); return; }
        msg = s->e2->str;
    }
    if (assert_each(L, s, s->e, msg)) return;
    L->frame->ret.val = lv_bool(true); /* reported: what follows would only repeat it */
    L->frame->retv.val = LOW_ERR;
}

static void lower_scoped(Low *L, const AstStmt *s)
{
    const char *n = low_name(L, s->name.name);
    if (!strcmp(n, "no_grad")) low_no_grad(L, s);
    else low_checkpoint(L, s->block, false, s->span);
}

bool low_gives_value(Low *L, const AstStmt *s)
{
    if (s->kind == AST_EXPR) return true;
    if (s->kind != AST_SCOPED || !s->block->stmts.n) return false;
    const AstStmt *last = VEC_LAST(s->block->stmts);
    LowScan scan = {0};
    low_scan_block(L, s->block, &scan);
    if (last->kind == AST_EXPR && last->e->kind == AST_IF && (scan.returns || !last->e->block2)) return false;
    return low_gives_value(L, last);
}

LowValue low_stmt_value(Low *L, const AstStmt *s)
{
    if (s->kind == AST_EXPR) return low_expr(L, s->e);
    return low_scoped_value(L, &(AstExpr){.kind = AST_BLOCK, .span = s->span, .name = s->name, .block = s->block});
}

static void expr_stmt(Low *L, const AstStmt *s)
{
    LowValue v = low_expr(L, s->e);
    if (lv_is_err(v) || v.kind == LV_UNIT) return;
    low_error(L, s->span, "the value of this expression (%s) is dropped: bind it with let, or join the lines when it continues the one above", lv_text(L, v));
}

static void flag(Low *L, const AstStmt *s, LowVar *f, const char *what)
{
    if (!f) low_error(L, s->span, "%s stands in a loop only", what);
    else f->val = lv_bool(true);
}

static void lower_stmt(Low *L, const AstStmt *s)
{
    switch (s->kind) {
    case AST_LET: case AST_VAR: bind(L, s); return;
    case AST_ASSIGN: assign(L, s->target, no_grad(L, low_expr(L, s->e), s->span), s->has_op, s->op, s->span); return;
    case AST_EXPR: expr_stmt(L, s); return;
    case AST_RETURN:
        if (low_in_comprehension(L)) {
            low_error(L, s->span, "return: index notation cannot leave the function: assign to a var in a loop instead");
            return;
        }
        low_return(L, s->e ? low_expr(L, s->e) : (LowValue){.kind = LV_UNIT}, s->span); return;
    case AST_FOR: low_for(L, s); return;
    case AST_WHILE: low_while(L, s); return;
    case AST_BREAK: flag(L, s, L->frame->brk, "break"); return;
    case AST_CONTINUE: flag(L, s, L->frame->cont, "continue"); return;
    case AST_ASSERT: lower_assert(L, s); return;
    case AST_SCOPED: lower_scoped(L, s); return;
    case AST_DECL:
        if (!L->in_script || L->frame->scope->up) low_error(L, s->span, "declarations stand at the top level of a file only");
        return;
    }
}

void low_stmts(Low *L, const AstBlock *b, uint32_t from, bool tail)
{
    for (uint32_t i = from; i < b->stmts.n; i++) {
        const AstStmt *s = b->stmts.p[i];
        bool last = i + 1 == b->stmts.n, is_if = s->kind == AST_EXPR && s->e && s->e->kind == AST_IF;
        const AstBlock *hoisted = low_hoist(L, b, i);
        if (hoisted) {
            low_stmts(L, hoisted, 0, tail);
            return;
        }
        TdlSpan old = low_at(L, s->span);
        LowRest rest = {b, i + 1, tail};
        if (is_if) {
            if (last) rest.b = NULL;
            bool value = tail && last && s->e->block2;
            if (!last) {
                LowScan scan = {0};
                low_scan_expr(L, s->e, &scan);
                if (scan.returns || scan.breaks || scan.continues) {
                    low_if_stmt(L, s->e, rest, false);
                    L->b.span = old;
                    return;
                }
                rest.b = NULL;
            }
            low_if_stmt(L, s->e, rest, value);
            L->b.span = old;
            continue;
        }
        if (last && tail && low_gives_value(L, s)) low_return(L, low_stmt_value(L, s), s->span);
        else lower_stmt(L, s);
        L->b.span = old;
        if (!last && low_left(L, rest)) return;
    }
}
