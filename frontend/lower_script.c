/* Scripts: the top level of a file as a function, leaves, .grad, no_grad, print (backward(): lower_backward.c).
 *
 * A leaf is a value that remembers its LowLeaf; the variable that holds it may change under no_grad and stays the same
 * leaf. Its gradient and whether there is one yet are companion variables, carried by loops like any other. */
#include "frontend/lower_script.h"

#include <string.h>

/* A leaf with the values it began with: when it was made, and in each loop that carries it. Later ones lead back to them. */
typedef struct { LowLeaf leaf; TdlVals begun; } ScriptLeaf;

/* The first leaf of the list that was made here or around here: one of a branch or loop that has ended is gone. */
static LowLeaf *visible(const Low *L, LowLeaf *l) {
    while (l && !ir_region_encloses(L->b.f, l->region, L->b.region)) l = l->next;
    return l;
}

LowLeaf *low_leaves(const Low *L) { return visible(L, L->leaves); }
LowLeaf *low_leaves_next(const Low *L, const LowLeaf *l) { return visible(L, l->next); }

static ScriptLeaf *script_leaf(LowLeaf *l) { return (ScriptLeaf *)l; } /* low_leaf makes all of them */

/* ---- leaves ---- */

void low_leaf_values(Low *L, LowLeaf *l, TdlVals *out) {
    const TdlVals *begun = &script_leaf(l)->begun;
    for (uint32_t i = 0; i < begun->n; i++)
        if (ir_region_encloses(L->b.f, ir_region_of(L->b.f, begun->p[i]), L->b.region)) VEC_PUSH(L->arena, *out, begun->p[i]);
}

LowValue low_leaf(Low *L, LowValue v, TdlSpan at) {
    if (!L->in_script)
        return low_error(L, at, "requires_grad is for scripts: in a function, grad(f, wrt=x) names what to differentiate by");
    LowLeaf *l = &ARENA_NEW(L->arena, ScriptLeaf)->leaf;
    l->region = L->b.region;
    l->next = L->leaves;
    L->leaves = l;
    low_unname(L);
    LowValue r = lv_tensor(low_emit1(L, OP_LEAF, &v.v, 1));
    l->grad = (LowVar){.name = intern(L->names, "grad"), .val = lv_tensor(ir_zeros(&L->b, lv_type(L, r)))};
    l->has = (LowVar){.name = intern(L->names, "has_grad"), .val = lv_bool(false)};
    VEC_PUSH(L->arena, script_leaf(l)->begun, r.v);
    r.leaf = l;
    return r;
}

void low_leaf_name(Low *L, TdlVal v, TdlSym name) {
    TdlOp def = ir_val(L->b.f, v)->def;
    if (!name.id || !def.id || ir_op(L->b.f, def)->code != OP_LEAF || op_attr(L->b.f, def, "name")) return;
    const char *text = low_name(L, name);
    op_set_str(L->b.f, def, "name", text, (uint32_t)strlen(text));
}

void low_leaf_again(Low *L, LowVar *x) {
    LowLeaf *l = x->val.leaf;
    low_unname(L);
    x->val = lv_tensor(low_emit1(L, OP_LEAF, &x->val.v, 1));
    x->val.leaf = l;
    low_leaf_name(L, x->val.v, x->name);
    VEC_PUSH(L->arena, script_leaf(l)->begun, x->val.v);
}

static const char *leaf_name(const Low *L, const LowLeaf *l) { return l->name.id ? low_name(L, l->name) : "the leaf"; }

/* A new value under no_grad: nothing flows back to what it was computed from, but to the leaf, which it still is. */
void low_leaf_assigned(Low *L, LowVar *x, LowValue before, TdlSpan at) {
    LowLeaf *leaf = before.leaf;
    if (!L->frame->no_grad && leaf->region.id != L->b.region.id) {
        low_error(L, at, "assigning to the leaf `%s` in a loop or branch needs no_grad { }", leaf_name(L, leaf));
        return;
    }
    if (!L->frame->no_grad) {
        x->val.leaf = NULL;
        return;
    }
    low_unname(L);
    x->val = lv_tensor(low_emit1(L, OP_LEAF, (TdlVal[]){x->val.v, before.v}, 2));
    x->val.leaf = leaf;
    low_leaf_name(L, x->val.v, x->name);
}

LowValue low_cut_off(Low *L, LowValue v, TdlSpan at) {
    LowArgs one = {0};
    VEC_PUSH(L->arena, one, ((LowArg){.v = v, .span = at, .ready = true}));
    return lv_is_err(v) ? v : low_builtin_apply(L, low_find_builtin("detach"), &one, at);
}

/* What is computed in the block is a constant to derivatives: it reaches the outside by assignment, return and the
 * block's own value only, so these are cut off (assignment in lower_stmt.c: the value
 * that is assigned, not what the variable holds beside it). */
static LowValue no_grad(Low *L, const AstBlock *b, bool value, TdlSpan at) {
    LowScan scan = {0};
    LowValue r = {.kind = LV_UNIT};
    low_scan_block(L, b, &scan);
    L->frame->no_grad++;
    if (value) {
        r = low_cut_off(L, low_block_value(L, b), at);
    } else {
        low_push_scope(L, BARRIER_NONE);
        low_stmts(L, b, 0, false);
        low_pop_scope(L);
    }
    L->frame->no_grad--;
    if (scan.returns) L->frame->retv.val = low_cut_off(L, L->frame->retv.val, at);
    return r;
}

void low_no_grad(Low *L, const AstStmt *s) { no_grad(L, s->block, false, s->span); }

LowValue low_scoped_value(Low *L, const AstExpr *e) {
    const char *s = low_name(L, e->name.name);
    if (!strcmp(s, "no_grad")) return no_grad(L, e->block, true, e->span);
    return low_checkpoint(L, e->block, true, e->span);
}

/* ---- methods and fields ---- */

/* The one element of a tensor, as a scalar. */
static LowValue item(Low *L, const AstExpr *e, LowValue x) {
    if (lv_is_err(x)) return x;
    if (x.kind != LV_TENSOR) return x;
    for (uint32_t i = 0; i < lv_rank(L, x); i++)
        if (!dim_eq(lv_dims(L, x)[i], dim_const(L->m, 1))) return low_error(L, e->span, "item: %s has more than one element", lv_text(L, x));
    LowArgs one = {0};
    VEC_PUSH(L->arena, one, ((LowArg){.v = lv_tensor(low_reshape(L, x.v, NULL, 0)), .span = e->span, .ready = true}));
    LowValue r = low_builtin_apply(L, low_find_builtin("detach"), &one, e->span);
    r.weak = true; /* a plain number: it takes the type of what it meets */
    return r;
}

LowValue low_method_script(Low *L, const AstExpr *e, bool *handled) {
    const char *s = low_name(L, e->name.name);
    *handled = true;
    if (!strcmp(s, "backward")) return low_backward(L, e, low_expr(L, e->a));
    if (!strcmp(s, "zero_")) return low_zero_grad(L, e);
    if (!strcmp(s, "item")) return item(L, e, low_expr(L, e->a));
    if (!strcmp(s, "requires_grad_")) {
        LowValue x = low_expr(L, e->a);
        if (lv_is_err(x) || low_from_leaf(L, x)) return x;
        if (x.kind != LV_TENSOR || !el_is_float(lv_elem(L, x))) return low_error(L, e->span, "requires_grad_: needs floats, not %s", lv_text(L, x));
        return low_leaf(L, x, e->span);
    }
    *handled = false;
    return (LowValue){.kind = LV_UNIT};
}

LowValue low_script_field(Low *L, LowValue x, const char *name, TdlSpan at) {
    if (lv_is_err(x)) return x;
    if (!strcmp(name, "requires_grad")) return lv_bool(low_from_leaf(L, x));
    if (!strcmp(name, "is_leaf")) return lv_bool(x.leaf || !low_from_leaf(L, x));
    if (!strcmp(name, "grad_fn")) {
        if (x.kind != LV_TENSOR || !el_is_float(lv_elem(L, x))) return (LowValue){.kind = LV_NONE};
        low_unname(L);
        TdlVal v = low_emit(L, OP_GRADFN, &x.v, 1, ty_scalar(L->m, EL_I64));
        return (LowValue){.kind = LV_NODE, .v = v};
    }
    if (!x.leaf)
        return low_error(L, at, "only a leaf has .grad: a tensor made with requires_grad=true, and not assigned to since outside no_grad");
    return low_leaf_grad(L, x.leaf);
}

LowValue low_leaf_grad(Low *L, const LowLeaf *l) {
    bool has;
    LowValue g = l->grad.val;
    if (low_const_bool(&l->has.val, &has)) return has ? g : (LowValue){.kind = LV_NONE};
    g.kind = LV_MAYBE;
    g.has = low_mat(L, l->has.val, EL_BOOL);
    return g;
}

LowValue low_given(Low *L, LowValue v, TdlSpan at) {
    static const char msg[] = "this .grad is None: no backward() has reached its leaf";
    if (v.kind != LV_MAYBE) return v;
    TdlSpan old = low_at(L, at);
    TdlOp o = ir_emit(&L->b, OP_ASSERT, &v.has, 1, NULL, 0);
    op_set_str(L->b.f, o, "msg", msg, sizeof msg - 1);
    L->b.span = old;
    v.kind = LV_TENSOR;
    return v;
}

/* ---- print ---- */

typedef struct { TdlStr format; TdlVals ops; } Print;

static void put_text(Print *p, const char *s, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (s[i] == '{' || s[i] == '}') str_putc(&p->format, s[i]);
        str_putc(&p->format, s[i]);
    }
}

/* `how` names the operand in the format; "" for one that belongs to the one before. */
static void put_operand(Low *L, Print *p, const char *how, TdlVal v) {
    str_puts(&p->format, how);
    VEC_PUSH(L->arena, p->ops, v);
}

static bool put_value(Low *L, Print *p, LowValue v, TdlSpan at);

static bool put_elems(Low *L, Print *p, LowValue v, TdlSpan at) {
    bool st = v.kind == LV_STRUCT, ok = true;
    str_printf(&p->format, "%s(", st ? low_name(L, v.decl->ast->name.name) : "");
    for (uint32_t i = 0; i < v.n; i++) {
        str_puts(&p->format, i ? ", " : "");
        if (st) str_printf(&p->format, "%s=", low_name(L, v.decl->ast->params.p[i].name.name));
        ok &= put_value(L, p, v.elems[i], at);
    }
    str_puts(&p->format, v.kind == LV_TUPLE && v.n == 1 ? ",)" : ")");
    return ok;
}

static void put_tensor(Low *L, Print *p, LowValue v) {
    if (v.weak && !lv_rank(L, v)) {
        put_operand(L, p, "{v}", v.v);
        return;
    }
    bool maybe = v.kind == LV_MAYBE, from;
    if (maybe) put_operand(L, p, "{?", v.has);
    v.kind = LV_TENSOR;
    from = !v.leaf && low_from_leaf(L, v);
    put_operand(L, p, maybe ? "" : "{", v.v);
    str_puts(&p->format, v.leaf ? "r}" : from ? "f}" : "}");
    if (!from) return;
    low_unname(L);
    put_operand(L, p, "", low_emit(L, OP_GRADFN, &v.v, 1, ty_scalar(L->m, EL_I64)));
}

static bool put_value(Low *L, Print *p, LowValue v, TdlSpan at) {
    switch (v.kind) {
    case LV_STR: put_text(p, v.s, v.n); return true;
    case LV_NONE: str_puts(&p->format, "None"); return true;
    case LV_BOOL: str_puts(&p->format, v.i ? "True" : "False"); return true;
    case LV_ELEM: str_puts(&p->format, el_name(v.elem)); return true;
    case LV_NODE: put_operand(L, p, "{g}", v.v); return true;
    case LV_INT: case LV_FLOAT: put_operand(L, p, "{v}", low_mat(L, v, v.kind == LV_INT ? EL_I64 : EL_F64)); return true;
    case LV_TENSOR: case LV_MAYBE: put_tensor(L, p, v); return true;
    case LV_TUPLE: case LV_STRUCT: return put_elems(L, p, v, at);
    case LV_ERROR: return false;
    default: low_error(L, at, "print: %s cannot be printed", lv_text(L, v)); return false;
    }
}

LowValue low_print(Low *L, LowArgs *args, TdlSpan at) {
    if (L->opt && L->opt->no_script)
        return low_error(L, at, "print: an object has nowhere to print: return the value, or run a script");
    Print p = {.format = str_new(L->arena)};
    bool ok = true;
    for (uint32_t i = 0; i < args->n; i++) {
        if (args->p[i].name.name.id) return low_error(L, args->p[i].name.span, "print: takes values only");
        if (i) str_putc(&p.format, ' ');
        const LowArg *arg = &args->p[i];
        ok &= put_value(L, &p, arg->ready ? arg->v : low_expr_or_none(L, arg->e), arg->span);
    }
    if (!ok) return LOW_ERR;
    TdlSpan old = low_at(L, at);
    TdlOp o = ir_emit(&L->b, OP_PRINT, p.ops.p, p.ops.n, NULL, 0);
    op_set_str(L->b.f, o, "format", p.format.p, (uint32_t)p.format.n);
    L->b.span = old;
    return (LowValue){.kind = LV_UNIT};
}

/* ---- the script as a function ---- */

/* The names that stand in the dimensions of inputs are the script's dimension parameters. */
static void input_dims(Low *L, TdlFunc *f, const AstType *t) {
    LowSyms names = {0};
    for (uint32_t i = 0; i < t->dims.n; i++) low_names_expr(L, t->dims.p[i], &names);
    for (uint32_t i = 0; i < names.n; i++) {
        bool known = false;
        for (uint32_t k = 0; k < f->dims.n; k++) known |= sym_eq(f->dims.p[k], names.p[i]);
        if (known) continue;
        VEC_PUSH(L->m->arena, f->dims, names.p[i]);
        VEC_PUSH(L->arena, L->frame->dims, ((LowDimBind){names.p[i], dim_var(L->m, names.p[i])}));
    }
    for (uint32_t i = 0; i < t->elems.n; i++) input_dims(L, f, t->elems.p[i]);
}

static void add_input(Low *L, TdlFunc *f, const AstDecl *d) {
    input_dims(L, f, d->result);
    const LowType *t = low_type(L, d->result);
    LowValue v = LOW_ERR;
    if (t->kind == LT_TENSOR || t->kind == LT_TUPLE || t->kind == LT_STRUCT) low_add_ports(L, f, t, d->name.name, &v);
    else if (t->kind != LT_ERROR) low_error(L, d->result->span, "input `%s`: a number, a tensor, or a struct or tuple of them is given", low_name(L, d->name.name));
    low_bind(L, d->name.name, v, false, d->name.span);
}

/* ---- results ---- */

static bool all_numbers(LowValue v) {
    bool ok = v.kind == LV_TENSOR || v.kind == LV_TUPLE || v.kind == LV_STRUCT;
    for (uint32_t i = 0; ok && v.kind != LV_TENSOR && i < v.n; i++) ok = all_numbers(v.elems[i]);
    return ok;
}

/* The variables of the top level become results by their names, the last one where a name was used again: what
 * `tdlc run -o name=file.npy` can write. One whose size the script computes cannot leave it. */
static void script_results(Low *L, TdlFunc *f, TdlVals *out) {
    for (const LowVar *x = L->frame->scope->vars; x; x = x->next) {
        LowValue v = x->val;
        bool again = false;
        for (const LowVar *y = L->frame->scope->vars; y != x; y = y->next) again |= sym_eq(y->name, x->name);
        if (again || (v.kind != LV_TENSOR && v.kind != LV_TUPLE && v.kind != LV_STRUCT)) continue;
        TdlVals leaves = {0};
        bool known = true;
        low_flatten(L, v, &leaves);
        for (uint32_t j = 0; j < leaves.n; j++) known &= ir_type_at_entry(f, ir_type(f, leaves.p[j]));
        bool given = leaves.n && !ir_val(f, leaves.p[0])->def.id; /* an input, unchanged */
        if (!known || given || !all_numbers(v)) continue;
        low_result_ports(L, f, low_type_of(L, v), low_name(L, x->name), -1);
        for (uint32_t j = 0; j < leaves.n; j++) VEC_PUSH(L->arena, *out, leaves.p[j]);
    }
}

void low_script(Low *L, const AstFile *file) {
    TdlSpan at = file->top->span;
    if (L->opt && L->opt->no_script) {
        for (uint32_t i = 0; i < file->top->stmts.n; i++) {
            const AstStmt *s = file->top->stmts.p[i];
            if (s->kind == AST_DECL && s->decl->kind != AST_INPUT) continue;
            low_error(L, s->span, "statements at the top level make a script: `tdlc run` runs it, an object holds functions only");
            return;
        }
    }
    TdlFunc *f = ir_func_new(L->m, ir_fresh(L->m, "main"), at);
    f->script = true;
    L->b = ir_at_end(f, f->body, at);
    low_push_frame(L, "the script", SPAN_NONE);
    L->frame->deflt = EL_F32;
    L->in_script = true;
    for (uint32_t i = 0; i < file->top->stmts.n; i++) {
        const AstStmt *s = file->top->stmts.p[i];
        if (s->kind == AST_DECL && s->decl->kind == AST_INPUT) add_input(L, f, s->decl);
    }
    low_stmts(L, file->top, 0, false);
    TdlVals results = {0};
    script_results(L, f, &results);
    ir_emit(&L->b, OP_RETURN, results.p, results.n, NULL, 0);
    if (!diags_errors(L->diags)) low_check_backwards(L, f);
    L->in_script = false;
    low_pop_frame(L);
    L->b = (TdlBuilder){0};
}
