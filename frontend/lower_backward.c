/* backward() in scripts: one `backward` operation over all values of leaves that its operand was computed from, and the
 * addition of what it gives to their gradients.
 *
 * With create_graph=true the operation lists the results whose value depends on leaves in turn: these are made before any
 * later backward is, which so goes through them like through everything else. */
#include "frontend/lower_script.h"

#include <string.h>

/* ---- what a value was computed from ---- */

/* By value: it is one that a leaf which is visible here has, or had. Nothing behind it counts. */
static bool *leaf_marks(Low *L) {
    bool *stop = ARENA_ARRAY(L->arena, bool, L->b.f->vals.n + 1);
    for (LowLeaf *l = low_leaves(L); l; l = low_leaves_next(L, l)) {
        TdlVals vals = {0};
        low_leaf_values(L, l, &vals);
        for (uint32_t i = 0; i < vals.n; i++) stop[vals.p[i].id] = true;
    }
    return stop;
}

bool low_from_leaf(Low *L, LowValue v) {
    if (v.leaf) return true;
    if (v.kind != LV_TENSOR || !low_leaves(L) || !el_is_float(lv_elem(L, v))) return false;
    const bool *stop = leaf_marks(L);
    bool *seen = ARENA_ARRAY(L->arena, bool, L->b.f->vals.n + 1);
    TdlVals todo = {0};
    VEC_PUSH(L->arena, todo, v.v);
    while (todo.n) {
        TdlVal x = VEC_POP(todo);
        if (stop[x.id]) return true;
        if (seen[x.id]) continue;
        seen[x.id] = true;
        low_sources(L, x, L->b.region, &todo);
    }
    return false;
}

/* What a backward from y goes through: by value, 1; 2 where the cotangent depends on leaves. */
static uint8_t *reached(Low *L, const LowActivity *a, TdlVal y, TdlVal ybar) {
    const bool *stop = leaf_marks(L);
    uint8_t *mark = ARENA_ARRAY(L->arena, uint8_t, L->b.f->vals.n + 1);
    TdlVals todo = {0};
    VEC_PUSH(L->arena, todo, y);
    mark[y.id] = low_on(a, ybar) ? 2 : 1;
    while (todo.n) {
        TdlVal x = VEC_POP(todo);
        TdlOp o = ir_val(L->b.f, x)->def;
        uint8_t m = o.id && low_bends(a, o) ? 2 : mark[x.id];
        TdlVals from = {0};
        if (!stop[x.id]) low_sources(L, x, L->b.region, &from);
        for (uint32_t i = 0; i < from.n; i++) {
            TdlVal s = from.p[i];
            if (!low_on(a, s) || mark[s.id] >= m) continue;
            mark[s.id] = m;
            VEC_PUSH(L->arena, todo, s);
        }
    }
    return mark;
}

/* ---- arguments ---- */

/* LV_NONE: not given; at: the gradient. */
typedef struct { LowValue gradient, retain_graph, create_graph, inputs; TdlSpan at; } Options;

static bool is_bool(Low *L, LowValue v) {
    return v.kind == LV_BOOL || (v.kind == LV_TENSOR && lv_elem(L, v) == EL_BOOL && !lv_rank(L, v));
}

/* What inputs= may be: a leaf or a tuple of them. */
static bool are_leaves(Low *L, LowValue v, TdlSpan at) {
    bool ok = v.kind == LV_NONE || v.leaf || (v.kind == LV_TUPLE && v.n);
    for (uint32_t i = 0; v.kind == LV_TUPLE && i < v.n; i++) ok &= v.elems[i].leaf != NULL;
    if (!ok) low_error(L, at, "backward: inputs= is a leaf or a tuple of them, tensors made with requires_grad=true, not %s", lv_text(L, v));
    return ok;
}

static bool wanted(const Options *opt, const LowLeaf *l) {
    const LowValue *in = &opt->inputs;
    bool any = in->kind == LV_NONE || in->leaf == l;
    for (uint32_t i = 0; in->kind == LV_TUPLE && i < in->n; i++) any |= in->elems[i].leaf == l;
    return any;
}

static bool read_options(Low *L, const AstExpr *e, Options *out) {
    enum { GRADIENT, RETAIN, CREATE, INPUTS, OPTIONS };
    static const char *const NAMES[] = {"gradient", "retain_graph", "create_graph", "inputs"};
    LowValue *const to[] = {&out->gradient, &out->retain_graph, &out->create_graph, &out->inputs};
    bool given[OPTIONS] = {0};
    for (uint32_t i = 0; i < e->args.n; i++) {
        const AstArg *arg = &e->args.p[i];
        uint32_t k = i;
        if (arg->name.name.id)
            for (k = 0; k < OPTIONS && strcmp(NAMES[k], low_name(L, arg->name.name)); k++) {}
        if (k >= OPTIONS || given[k]) {
            low_error(L, arg->name.name.id ? arg->name.span : arg->value->span, "backward: takes gradient=, retain_graph=, create_graph= and inputs=, once each");
            return false;
        }
        given[k] = true;
        if (k == GRADIENT) out->at = arg->value->span;
        *to[k] = low_expr(L, arg->value);
        if (lv_is_err(*to[k])) return false;
        if (k == INPUTS && !are_leaves(L, *to[k], arg->value->span)) return false;
        if (k == GRADIENT || k == INPUTS || to[k]->kind == LV_NONE || (k == RETAIN ? is_bool(L, *to[k]) : to[k]->kind == LV_BOOL)) continue;
        low_error(L, arg->value->span, k == RETAIN ? "backward: retain_graph is true or false, not %s"
                                              : "backward: create_graph is true or false, known when compiling, not %s", lv_text(L, *to[k]));
        return false;
    }
    return true;
}

static LowValue cotangent(Low *L, const AstExpr *e, LowValue y, const Options *opt) {
    if (opt->gradient.kind != LV_NONE) return low_coerce(L, opt->gradient, low_type_of(L, y), opt->at, "backward: the cotangent");
    if (lv_rank(L, y))
        return low_error(L, e->span, "backward: %s has many elements: reduce it to one, or give its cotangent: y.backward(v)", lv_text(L, y));
    return lv_tensor(low_mat(L, lv_int(L, 1), lv_elem(L, y)));
}

/* ---- adding to .grad ---- */

static TdlVal named_sum(Low *L, TdlVal x, TdlVal y) {
    low_named(L, "AddBackward0");
    return low_emit1(L, OP_ADD, (TdlVal[]){x, y}, 2);
}

/* The old gradient plus xbar, as nodes of the graph that create_graph asks for: of the first one PyTorch keeps a copy. */
static TdlVal graph_sum(Low *L, LowLeaf *l, TdlVal xbar) {
    bool has;
    if (low_const_bool(&l->has.val, &has)) return has ? named_sum(L, l->grad.val.v, xbar) : xbar;
    TdlOp o = ir_emit(&L->b, OP_IF, &l->has.val.v, 1, NULL, 0);
    TdlBuilder after = L->b;
    L->b = ir_at_end(after.f, ir_op(after.f, o)->regions[0], after.span);
    TdlVal sum = named_sum(L, l->grad.val.v, xbar);
    ir_emit(&L->b, OP_YIELD, &sum, 1, NULL, 0);
    L->b = ir_at_end(after.f, ir_op(after.f, o)->regions[1], after.span);
    ir_emit(&L->b, OP_YIELD, &xbar, 1, NULL, 0);
    L->b = after;
    return ir_add_result(after.f, o, ir_type(after.f, xbar));
}

static void accumulate(Low *L, LowLeaf *l, TdlVal xbar, bool graph) {
    low_unname(L);
    l->grad.val = lv_tensor(graph ? graph_sum(L, l, xbar) : low_emit1(L, OP_ADD, (TdlVal[]){l->grad.val.v, xbar}, 2));
    l->has.val = lv_bool(true);
}

/* ---- backward ---- */

/* The operands, whose those from the third on are, and which results can be differentiated again. */
typedef struct { TdlVals ops; TDL_VEC(LowLeaf *) whose; TDL_VEC(int64_t) graph; } Targets;

static void add_leaf(Low *L, Targets *t, LowLeaf *l, const uint8_t *mark, bool create) {
    TdlVals vals = {0};
    low_leaf_values(L, l, &vals);
    for (uint32_t i = 0; i < vals.n; i++) {
        uint8_t m = mark[vals.p[i].id];
        if (!m) continue;
        if (create && m == 2) VEC_PUSH(L->arena, t->graph, t->whose.n);
        VEC_PUSH(L->arena, t->ops, vals.p[i]);
        VEC_PUSH(L->arena, t->whose, l);
    }
}

static TdlOp emit(Low *L, LowValue y, LowValue ybar, Targets *t, const Options *opt, bool create) {
    LowActivity a = low_activity(L, L->b.f, false);
    const uint8_t *mark = reached(L, &a, y.v, ybar.v);
    VEC_PUSH(L->arena, t->ops, y.v);
    VEC_PUSH(L->arena, t->ops, ybar.v);
    for (LowLeaf *l = low_leaves(L); l; l = low_leaves_next(L, l))
        if (wanted(opt, l)) add_leaf(L, t, l, mark, create);
    TdlType *types = ARENA_ARRAY(L->arena, TdlType, t->whose.n);
    for (uint32_t i = 0; i < t->whose.n; i++) types[i] = ir_type(L->b.f, t->ops.p[i + 2]);
    if (!t->whose.n) return (TdlOp){0}; /* of inputs= none */
    low_unname(L);
    TdlOp o = ir_emit(&L->b, OP_BACKWARD, t->ops.p, t->ops.n, types, t->whose.n);
    if (!t->graph.n) return o;
    op_set_ints(L->b.f, o, "create_graph", t->graph.p, t->graph.n);
    ir_op(L->b.f, o)->grad_fn = intern(L->names, "CopyBackwards");
    return o;
}

LowValue low_backward(Low *L, const AstExpr *e, LowValue y) {
    Options opt = {{.kind = LV_NONE}, {.kind = LV_NONE}, {.kind = LV_NONE}, {.kind = LV_NONE}, e->span};
    if (lv_is_err(y)) return y;
    if (!L->in_script) return low_error(L, e->span, "backward() is for scripts: in a function, grad(f) and vjp(f) differentiate");
    if (y.kind != LV_TENSOR || !el_is_float(lv_elem(L, y)) || !low_from_leaf(L, y))
        return low_error(L, e->span, "backward: this was computed from nothing with requires_grad=true%s",
                         L->leaves && !low_leaves(L) ? ": a leaf made in a loop or branch ends with it" : "");
    if (!read_options(L, e, &opt)) return LOW_ERR;
    LowValue ybar = cotangent(L, e, y, &opt);
    if (lv_is_err(ybar)) return ybar;
    bool create = opt.create_graph.kind == LV_BOOL && opt.create_graph.i;
    LowValue retain = opt.retain_graph.kind == LV_NONE ? lv_bool(create) : opt.retain_graph;
    TdlSpan old = low_at(L, e->span);
    Targets t = {0};
    TdlOp o = emit(L, y, ybar, &t, &opt, create);
    if (o.id) VEC_PUSH(L->arena, L->backwards, ((LowBackward){o, retain, opt.inputs.kind != LV_NONE}));
    for (uint32_t i = 0; i < t.whose.n; i++) {
        bool again = false; /* another value of the same leaf: its part is added first */
        for (uint32_t k = 0; k < i; k++) again |= t.whose.p[k] == t.whose.p[i];
        if (again) continue;
        TdlVal xbar = ir_result(L->b.f, o, i);
        for (uint32_t k = i + 1; k < t.whose.n; k++)
            if (t.whose.p[k] == t.whose.p[i]) xbar = low_emit1(L, OP_ADD, (TdlVal[]){xbar, ir_result(L->b.f, o, k)}, 2);
        accumulate(L, t.whose.p[i], xbar, create);
    }
    L->b.span = old;
    return (LowValue){.kind = LV_UNIT};
}

LowValue low_zero_grad(Low *L, const AstExpr *e) {
    if (e->a->kind != AST_FIELD || strcmp(low_name(L, e->a->name.name), "grad") || e->args.n)
        return low_error(L, e->span, "zero_() is for gradients: x.grad.zero_()");
    LowValue x = low_expr(L, e->a->a);
    if (lv_is_err(x)) return x;
    LowValue g = low_given(L, low_script_field(L, x, "grad", e->a->span), e->a->span);
    if (lv_is_err(g)) return g;
    if (g.kind == LV_NONE) return low_error(L, e->span, "zero_(): this .grad is None: no backward() has reached its leaf");
    x.leaf->grad.val = lv_tensor(ir_zeros(&L->b, lv_type(L, x)));
    return (LowValue){.kind = LV_UNIT};
}

void low_grad_assigned(Low *L, LowValue x, LowValue v, TdlSpan at) {
    if (v.kind != LV_NONE) {
        low_error(L, at, "only None is assigned to .grad: backward() adds to it, x.grad.zero_() makes it 0");
        return;
    }
    x.leaf->grad.val = lv_tensor(ir_zeros(&L->b, lv_type(L, x)));
    x.leaf->has.val = lv_bool(false);
}
