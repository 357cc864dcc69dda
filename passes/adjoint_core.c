/* The core of a reverse sweep: cotangents, frames and scopes, activity, and the walk over operations.
 * adjoint.h says how they fit together. Cost: linear in the region, times the depth of nesting for look-ups. */
#include "passes/adjoint.h"
#include <string.h>

/* ---- tables by value id, growing with the function ---- */

void adj_init(Adj *a, TdlFunc *f, TdlArena *arena, TdlModule *formulas) {
    *a = (Adj){.m = f->module, .f = f, .arena = arena, .formulas = formulas};
    a->bodies.arena = a->needs.arena = arena;
}

bool adj_active(const Adj *a, TdlVal v) { return v.id < a->active.n && a->active.p[v.id]; }

void adj_set_active(Adj *a, TdlVal v, bool on) {
    while (a->active.n <= v.id) VEC_PUSH(a->arena, a->active, 0);
    a->active.p[v.id] = on;
}

TdlVal adj_cot(const Adj *a, TdlVal v) { return v.id < a->cot.n ? a->cot.p[v.id] : (TdlVal){0}; }

void adj_set_cot(Adj *a, TdlVal v, TdlVal cot) {
    while (a->cot.n <= v.id) VEC_PUSH(a->arena, a->cot, (TdlVal){0});
    a->cot.p[v.id] = cot;
}

/* ---- helpers ---- */

TdlVal adj_cint(Adj *a, int64_t v) { return ir_const_int(adj_b(a), EL_I64, v); }

TdlVal adj_const_like(Adj *a, TdlVal like, double v) {
    TdlType t = adj_type(a, like);
    TdlVal c = el_is_float(ty_elem(a->m, t)) ? ir_const_float(adj_b(a), ty_elem(a->m, t), v)
                                             : ir_const_int(adj_b(a), ty_elem(a->m, t), (int64_t)v);
    return ty_is_scalar(a->m, t) ? c : ir_full(adj_b(a), c, t);
}

TdlVal adj_op2(Adj *a, TdlOpcode c, TdlVal x, TdlVal y) { return ir_binary(adj_b(a), c, x, y); }

TdlVal adj_select(Adj *a, TdlVal c, TdlVal x, TdlVal y) {
    return ir_emit1(adj_b(a), OP_SELECT, (TdlVal[]){c, x, y}, 3);
}

TdlVal adj_emit(Adj *a, TdlOpcode c, const TdlVal *operands, uint32_t n, TdlType t) {
    return ir_result(a->f, ir_emit(adj_b(a), c, operands, n, &t, 1), 0);
}

TdlVal adj_same(Adj *a, TdlVal x, TdlVal z) {
    TdlVal equal = adj_op2(a, OP_EQ, x, z);
    return ty_is_float(a->m, adj_type(a, x)) ? adj_op2(a, OP_OR, equal, adj_op2(a, OP_NE, x, x)) : equal;
}

TdlVal adj_any(Adj *a, TdlVal c) {
    uint32_t n = ty_rank(a->m, adj_type(a, c));
    if (!n) return c;
    int64_t *axes = ARENA_ARRAY(a->arena, int64_t, n);
    for (uint32_t i = 0; i < n; i++) axes[i] = i;
    TdlVal z = adj_emit(a, OP_ANY, &c, 1, ty_scalar(a->m, EL_BOOL));
    op_set_ints(a->f, adj_def(a, z), "axes", axes, n);
    return z;
}

AdjIf adj_if_open(Adj *a, TdlVal c) {
    AdjIf i = {ir_emit(adj_b(a), OP_IF, &c, 1, NULL, 0), a->top->b};
    a->top->b.region = ir_op(a->f, i.op)->regions[0];
    a->top->b.before = (TdlOp){0};
    return i;
}

void adj_if_else(Adj *a, AdjIf *i, TdlVal x) {
    ir_emit(adj_b(a), OP_YIELD, &x, 1, NULL, 0);
    a->top->b.region = ir_op(a->f, i->op)->regions[1];
}

TdlVal adj_if_close(Adj *a, AdjIf *i, TdlVal y) {
    ir_emit(adj_b(a), OP_YIELD, &y, 1, NULL, 0);
    a->top->b = i->saved;
    return ir_add_result(a->f, i->op, adj_type(a, y));
}

TdlVal adj_newdim(Adj *a, TdlBuilder *b, TdlVal n, const char *base) {
    TdlType i64 = ty_scalar(a->m, EL_I64);
    TdlOp o = ir_emit(b, OP_NEWDIM, &n, 1, &i64, 1);
    const char *name = sym_text(a->m->names, ir_fresh(a->m, base));
    op_set_str(a->f, o, "sym", name, (uint32_t)strlen(name));
    return ir_result(a->f, o, 0);
}

static TdlVal zero_at(Adj *a, TdlBuilder *b, TdlType t) {
    if (ty_kind(a->m, t) == TY_STACK) return ir_result(a->f, ir_emit(b, OP_STACKNEW, NULL, 0, &t, 1), 0);
    return ir_zeros(b, t);
}

TdlVal adj_zero(Adj *a, TdlType t) { return zero_at(a, adj_b(a), t); }

TdlVal adj_cot_or_zero(Adj *a, TdlVal v) {
    TdlVal c = adj_cot(a, v);
    return c.id ? c : adj_zero(a, adj_type(a, v));
}

/* ---- frames and scopes ---- */

void adj_push(Adj *a, AdjFrame *fr, TdlRegion region, AdjScope *scope, TdlRegion into) {
    TdlBuilder b = ir_at_end(a->f, into, a->top ? a->top->b.span : a->f->span);
    b.grad_fn = a->top ? a->top->b.grad_fn : SYM_NONE;
    *fr = (AdjFrame){.outer = a->top, .region = region, .into = into, .scope = scope, .b = b};
    a->top = fr;
}

void adj_pop(Adj *a) { a->top = a->top->outer; }

/* The frame that v is local to, and in *inner the frame just inside of it (NULL when it is the top). */
static AdjFrame *frame_of(const Adj *a, TdlVal v, AdjFrame **inner) {
    TdlRegion r = ir_region_of(a->f, v);
    AdjFrame *fr = a->top;
    *inner = NULL;
    while (fr->outer && !ir_region_encloses(a->f, fr->region, r)) *inner = fr, fr = fr->outer;
    return fr;
}

AdjScope *adj_scope_open(Adj *a) {
    AdjScope *s = ARENA_NEW(a->arena, AdjScope);
    s->withacc = ir_emit(adj_b(a), OP_WITHACC, NULL, 0, NULL, 0);
    s->body = ir_op(a->f, s->withacc)->regions[0];
    return s;
}

TdlVal adj_own_acc(Adj *a, TdlRegion r, TdlType t) {
    TdlVal acc = ir_region_arg(a->f, r, ty_acc(a->m, t), SYM_NONE);
    while (a->ours.n <= acc.id) VEC_PUSH(a->arena, a->ours, 0);
    a->ours.p[acc.id] = 1;
    return acc;
}

/* The accumulator of v in scope s, around which v's current cotangent is that of the frame outside. */
static TdlVal scope_acc(Adj *a, AdjScope *s, TdlVal v) {
    for (uint32_t i = 0; i < s->accs.n; i++)
        if (s->accs.p[i].of.id == v.id) return s->accs.p[i].acc;
    TdlType t = adj_type(a, v);
    TdlVal init = adj_cot(a, v);
    if (!init.id) {
        TdlBuilder b = ir_before(a->f, s->withacc);
        b.grad_fn = SYM_NONE;
        init = zero_at(a, &b, t);
    }
    TdlVal acc = adj_own_acc(a, s->body, t);
    ir_add_operand(a->f, s->withacc, init);
    VEC_PUSH(a->arena, s->accs, ((AdjAcc){v, acc, adj_is_unread(a, v)}));
    adj_note_part(a, v);
    return acc;
}

void adj_scope_close(Adj *a, AdjScope *s, TdlVal *extras, uint32_t n) {
    if (!s->accs.n) { /* nothing accumulates: the body stands by itself */
        IR_FOREACH_OP(a->f, s->body, o) ir_move_before(a->f, o, s->withacc);
        ir_remove(a->f, s->withacc);
        return;
    }
    adj_yield(a, s->body, extras, n);
    for (uint32_t i = 0; i < s->accs.n; i++) {
        TdlVal r = ir_add_result(a->f, s->withacc, adj_type(a, s->accs.p[i].of));
        adj_set_cot(a, s->accs.p[i].of, r);
    }
    for (uint32_t i = 0; i < n; i++) extras[i] = ir_add_result(a->f, s->withacc, adj_type(a, extras[i]));
}

/* ---- contributions ---- */

/* `backward` runs within one iteration: what comes from the one before is out of its reach. */
static bool crosses_iteration(Adj *a, TdlVal v) {
    const TdlValData *d = ir_val(a->f, v);
    if (d->def.id || !a->within.id || !ir_region_encloses(a->f, d->region, a->within)) return false;
    for (uint32_t i = 0; i < a->leaves.n; i++)
        if (a->leaves.p[i].id == v.id) return false;
    TdlOp loop = ir_region(a->f, d->region)->parent;
    if (!loop.id) return false;
    if (!a->failed) {
        const char *name = sym_text(a->m->names, d->name), *quote = d->name.id ? "`" : "";
        diag_error(a->m->diags, a->top->b.span, "backward: the value of %s%s%s comes from the iteration before", quote,
                   d->name.id ? name : "a variable of the loop", quote);
        diag_note(a->m->diags, ir_op(a->f, loop)->span,
                  "backward reverses what was executed in this iteration: use detach to cut the value off");
    }
    a->failed = true;
    return true;
}

static bool is_const_index(Adj *a, TdlVal i, int64_t *at) {
    TdlDim d;
    return ir_val_dim(a->f, i, &d) && dim_is_const(a->m, d, at);
}

void adj_add(Adj *a, TdlVal v, TdlVal c) { adj_add_at(a, v, c, NULL, 0, true); }

void adj_add_at(Adj *a, TdlVal v, TdlVal c, const TdlVal *idx, uint32_t n, bool inbounds) {
    if (!adj_active(a, v)) return;
    adj_check_step(a, v, c);
    TdlBuilder *b = adj_b(a);
    AdjFrame *inner;
    frame_of(a, v, &inner);
    if (inner) {
        TdlVal *ops = ARENA_ARRAY(a->arena, TdlVal, n + 2);
        ops[0] = scope_acc(a, inner->scope, v);
        ops[1] = c;
        for (uint32_t i = 0; i < n; i++) ops[i + 2] = idx[i];
        TdlOp o = ir_emit(b, OP_ACCADD, ops, n + 2, NULL, 0);
        if (inbounds && n) op_set_int(a->f, o, "inbounds", 1);
        adj_note_free(a, v, inner, c, idx, n);
        return;
    }
    if (crosses_iteration(a, v)) return;
    TdlVal old = adj_cot(a, v);
    if (!n) {
        adj_note_whole(a, v, old, c);
        adj_set_cot(a, v, old.id ? adj_sum(a, old, c) : c);
        return;
    }
    adj_note_part(a, v);
    int64_t row;
    if (n == 1 && is_const_index(a, idx[0], &row)) adj_note_rows(a, v, c, row, 1);
    if (!old.id) old = adj_zero(a, adj_type(a, v));
    TdlVal at = ir_index(b, old, idx, n);
    TdlVal sum = ir_binary(b, OP_ADD, at, c);
    TdlVal new = ir_update(b, old, sum, idx, n);
    if (inbounds) {
        op_set_int(a->f, adj_def(a, at), "inbounds", 1);
        op_set_int(a->f, adj_def(a, new), "inbounds", 1);
    }
    adj_set_cot(a, v, new);
}

bool adj_scatter_open(Adj *a, TdlVal v, AdjScatter *s) {
    if (!adj_active(a, v)) return false;
    AdjFrame *inner;
    frame_of(a, v, &inner);
    *s = (AdjScatter){.of = v};
    if (inner) {
        s->acc = scope_acc(a, inner->scope, v);
        return true;
    }
    if (crosses_iteration(a, v)) return false;
    adj_note_part(a, v);
    TdlVal init = adj_cot_or_zero(a, v);
    s->withacc = ir_emit(adj_b(a), OP_WITHACC, &init, 1, NULL, 0);
    TdlRegion r = ir_op(a->f, s->withacc)->regions[0];
    s->acc = adj_own_acc(a, r, adj_type(a, v));
    s->saved = a->top->b;
    a->top->b.region = r;
    a->top->b.before = (TdlOp){0};
    return true;
}

void adj_scatter_close(Adj *a, AdjScatter *s) {
    if (!s->withacc.id) return;
    ir_emit(adj_b(a), OP_YIELD, NULL, 0, NULL, 0);
    a->top->b = s->saved;
    adj_set_cot(a, s->of, ir_add_result(a->f, s->withacc, adj_type(a, s->of)));
}

TdlBuilder adj_each_open(Adj *a, TdlType t, TdlVal *idx) {
    uint32_t rank = ty_rank(a->m, t);
    TdlVal *extents = ARENA_ARRAY(a->arena, TdlVal, rank);
    for (uint32_t i = 0; i < rank; i++) extents[i] = ir_dim(adj_b(a), ty_dims(a->m, t)[i]);
    TdlOp map = ir_emit(adj_b(a), OP_MAP, extents, rank, NULL, 0);
    TdlRegion r = ir_op(a->f, map)->regions[0];
    for (uint32_t i = 0; i < rank; i++) idx[i] = ir_region_arg(a->f, r, ty_scalar(a->m, EL_I64), SYM_NONE);
    TdlBuilder saved = a->top->b;
    a->top->b.region = r;
    a->top->b.before = (TdlOp){0};
    return saved;
}

void adj_each_close(Adj *a, TdlBuilder saved) {
    ir_emit(adj_b(a), OP_YIELD, NULL, 0, NULL, 0);
    a->top->b = saved;
}

/* ---- regions ---- */

void adj_yield(Adj *a, TdlRegion r, const TdlVal *v, uint32_t n) {
    TdlBuilder b = ir_at_end(a->f, r, a->top->b.span);
    ir_emit(&b, OP_YIELD, v, n, NULL, 0);
}

/* ---- the walk ---- */

#define RULE_PARTIAL(NAME) NULL
#define RULE_ZERO(NAME) NULL
#define RULE_NONE(NAME) NULL
#define RULE_RULE(NAME) adj_##NAME
#define RULE_LINEAR(NAME) adj_##NAME
static const AdjRule rules[OP_COUNT] = {
#define OP(NAME, mn, min, max, regions, flags, TYPE, DERIV, ...) [OP_##NAME] = RULE_##DERIV(NAME),
#include "ir/ops.def"
#undef OP
};

static void no_derivative(Adj *a, TdlOp o) {
    a->failed = true;
    diag_error(a->m->diags, ir_op(a->f, o)->span, "%s: has no derivative: use detach where none is wanted",
               op_info(ir_op(a->f, o)->code)->name);
}

bool adj_accumulates(const Adj *a, TdlOp o) {
    const TdlOpData *d = ir_op(a->f, o);
    if (d->code == OP_ACCADD) return adj_cot(a, d->operands[0]).id && adj_active(a, d->operands[1]);
    for (uint32_t i = 0; i < d->nregions; i++)
        IR_FOREACH_OP(a->f, d->regions[i], inner)
            if (adj_accumulates(a, inner)) return true;
    return false;
}

static void reverse_op(Adj *a, TdlOp o) {
    const TdlOpData *d = ir_op(a->f, o);
    uint32_t n = d->nresults;
    TdlVal *zbar = ARENA_ARRAY(a->arena, TdlVal, n + 1);
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        zbar[i] = adj_cot(a, d->results[i]);
        any |= zbar[i].id != 0;
    }
    if (!any && !adj_accumulates(a, o)) return;
    a->top->b.span = d->span;
    a->top->b.grad_fn = d->grad_fn;
    TdlOp outer = a->step;
    bool unread = a->unread, masked = a->masked;
    adj_enter_step(a, o);
    a->step = o;
    if (d->grad_fn.id) a->named = d->grad_fn, a->named_at = d->span;
    switch (op_info(d->code)->deriv) {
    case DERIV_PARTIAL: adj_partial(a, o, zbar[0]); break;
    case DERIV_RULE: case DERIV_LINEAR: rules[d->code](a, o, zbar); break;
    case DERIV_ZERO: break;
    case DERIV_NONE: no_derivative(a, o); break;
    }
    a->step = outer;
    a->unread = unread;
    a->masked = masked;
}

void adj_reverse_ops(Adj *a, TdlRegion r, TdlOp last) {
    (void)r;
    for (TdlOp o = last; o.id && !a->failed;) {
        TdlOp prev = ir_op(a->f, o)->prev;
        reverse_op(a, o);
        o = prev;
    }
}

/* ---- dead code of one region ---- */

void adj_mark_value(Adj *a, TdlVal v) {
    while (a->mark.n <= v.id) VEC_PUSH(a->arena, a->mark, 0);
    a->mark.p[v.id] = a->stamp;
}

/* What the primal did for its effect was done when it ran: checks, prints, additions to accumulators of its own outside
 * of what is computed again. */
static bool done_already(const Adj *a, TdlOp o, TdlRegion root) {
    const TdlOpData *d = ir_op(a->f, o);
    if (d->code == OP_ASSERT || d->code == OP_PRINT) return !adj_is_own_check(a, o);
    if (d->code != OP_ACCADD) return false;
    TdlVal acc = d->operands[0];
    return !(acc.id < a->ours.n && a->ours.p[acc.id]) && !ir_defined_in(a->f, acc, root);
}

static void strip_region(Adj *a, TdlRegion r, TdlRegion root) {
    IR_FOREACH_OP(a->f, r, o) {
        if (done_already(a, o, root)) ir_remove(a->f, o);
        else
            for (uint32_t i = 0; i < ir_op(a->f, o)->nregions; i++) strip_region(a, ir_op(a->f, o)->regions[i], root);
    }
}

static void dce_region(Adj *a, TdlRegion r, bool reverse) {
    for (TdlOp o = ir_region(a->f, r)->last; o.id;) {
        const TdlOpData *d = ir_op(a->f, o);
        TdlOp prev = d->prev;
        bool pure = reverse ? ir_op_is_pure_but_calls(a->f, o) : ir_op_is_pure(a->f, o); /* what they do was done */
        bool live = (op_info(d->code)->flags & OPF_TERMINATOR) || d->code == OP_NEWDIM || !pure;
        for (uint32_t i = 0; i < d->nresults && !live; i++) live = adj_marked(a, d->results[i]);
        if (!live) {
            ir_remove(a->f, o);
        } else {
            for (uint32_t i = 0; i < d->nregions; i++) dce_region(a, ir_op(a->f, o)->regions[i], reverse);
            d = ir_op(a->f, o);
            for (uint32_t i = 0; i < d->noperands; i++) adj_mark_value(a, d->operands[i]);
        }
        o = prev;
    }
}

void adj_dce(Adj *a, TdlRegion r, bool reverse) {
    if (reverse) strip_region(a, r, r);
    adj_begin_marks(a);
    dce_region(a, r, reverse);
}

void adj_strip(Adj *a, TdlOp o) {
    for (uint32_t i = 0; i < ir_op(a->f, o)->nregions; i++) {
        TdlRegion r = ir_op(a->f, o)->regions[i];
        strip_region(a, r, r);
    }
}
