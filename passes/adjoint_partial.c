/* Elementwise operations: cotangents and tangents times the partials of passes/partials.tdl, which are compiled in as IR
 * (gen/partials.c) on f64 scalars and built here in the shape and element type of the operation. */
#include "passes/adjoint.h"
#include "support/embed.h"

extern const TdlEmbedded partials_files[];

TdlModule *adj_formulas(TdlModule *m, TdlArena *arena) {
    TdlSources *s = sources_new(arena);
    TdlDiags *d = diags_new(arena, s);
    uint32_t file = sources_add(s, partials_files[0].name, partials_files[0].text, partials_files[0].n);
    TdlModule *formulas = ir_parse_module(arena, m->names, s, d, file);
    if (!formulas) diag_error(m->diags, SPAN_NONE, "adjoint: the built-in partials cannot be read");
    return formulas;
}

/* A formula being built: values of the formula's function to values here, made when they are asked for. */
typedef struct {
    Adj *a;
    const TdlFunc *f;
    TdlVal *built;
    TdlType like; /* shape and element type of the operation */
} Formula;

static TdlVal build(Formula *p, TdlVal v) {
    if (p->built[v.id].id) return p->built[v.id];
    TdlOp o = ir_val(p->f, v)->def;
    const TdlOpData *d = ir_op(p->f, o);
    TdlVal z;
    if (d->code == OP_CONST) {
        TdlBuilder *b = adj_b(p->a);
        z = ir_const_float(b, ty_elem(p->a->m, p->like), op_attr(p->f, o, "value")->f);
        z = ir_full(b, z, p->like);
    } else {
        TdlVal args[3];
        for (uint32_t i = 0; i < d->noperands; i++) args[i] = build(p, d->operands[i]);
        z = ir_emit1(adj_b(p->a), d->code, args, d->noperands);
    }
    p->built[v.id] = z;
    return z;
}

static bool is_const(const TdlFunc *f, TdlVal v, double c) {
    TdlOp o = ir_val(f, v)->def;
    return o.id && ir_op(f, o)->code == OP_CONST && op_attr(f, o, "value")->f == c;
}

/* zbar (or a tangent) * partial; a select is multiplied in its branches, so that the 0 of a branch not taken is exact. */
static TdlVal times(Formula *p, TdlVal zbar, TdlVal partial) {
    Adj *a = p->a;
    TdlOp o = ir_val(p->f, partial)->def;
    if (is_const(p->f, partial, 0.0)) return adj_const_like(a, zbar, 0);
    if (is_const(p->f, partial, 1.0)) return zbar;
    if (is_const(p->f, partial, -1.0)) return ir_unary(adj_b(a), OP_NEG, zbar);
    if (o.id && ir_op(p->f, o)->code == OP_SELECT) {
        const TdlVal *v = ir_op(p->f, o)->operands;
        TdlVal c = build(p, v[0]), x = times(p, zbar, v[1]), y = times(p, zbar, v[2]);
        return adj_select(a, c, x, y);
    }
    if (o.id && ir_op(p->f, o)->code == OP_NEG)
        return ir_unary(adj_b(a), OP_NEG, times(p, zbar, ir_op(p->f, o)->operands[0]));
    if (o.id && ir_op(p->f, o)->code == OP_DIV) { /* zbar * (n / d) = zbar * n / d: one rounding less for n = 1 */
        const TdlVal *v = ir_op(p->f, o)->operands;
        TdlVal n = times(p, zbar, v[0]);
        return adj_op2(a, OP_DIV, n, build(p, v[1]));
    }
    return adj_op2(a, OP_MUL, zbar, build(p, partial));
}

/* The formulas of o, for values in the shape and element type `like`; returns what they return, by operand. */
static const TdlVal *open_formulas(Formula *p, Adj *a, TdlOp o, TdlType like) {
    uint32_t n = ir_op(a->f, o)->noperands;
    TdlSym name = intern(a->m->names, op_info(ir_op(a->f, o)->code)->name);
    *p = (Formula){.a = a, .f = ir_func_find(a->formulas, name), .like = like};
    p->built = ARENA_ARRAY(a->arena, TdlVal, p->f->vals.n);
    const TdlVal *params = ir_region(p->f, p->f->body)->args.p;
    for (uint32_t i = 0; i < n; i++) p->built[params[i].id] = adj_arg(a, o, i);
    p->built[params[n].id] = adj_res(a, o, 0);
    return ir_op(p->f, ir_terminator(p->f, p->f->body))->operands;
}

/* Whether an expression of the formulas is more than 0 (not less than 0) whatever finite values its operands have. */
static bool is_positive(const TdlFunc *f, TdlVal v, bool or_zero) {
    TdlOp o = ir_val(f, v)->def;
    if (!o.id) return false;
    const TdlVal *x = ir_op(f, o)->operands;
    switch (ir_op(f, o)->code) {
    case OP_CONST: return op_attr(f, o, "value")->f > 0;
    case OP_ADD: return (is_positive(f, x[0], false) && is_positive(f, x[1], true)) || (is_positive(f, x[0], true) && is_positive(f, x[1], false));
    case OP_MUL: return or_zero && x[0].id == x[1].id;
    case OP_SQRT: return is_positive(f, x[0], false);
    default: return false;
    }
}

/* Whether a formula may be infinite or NaN by more than an overflow: it has a pole, or an operand may be so. */
static bool has_pole(const Formula *p, TdlVal v) {
    TdlOp o = ir_val(p->f, v)->def;
    if (!o.id) return adj_may_be_infinite(p->a, p->built[v.id]);
    const TdlOpData *d = ir_op(p->f, o);
    if (d->code == OP_LOG || d->code == OP_POW) return true;
    if (d->code == OP_DIV && !is_positive(p->f, d->operands[1], false)) {
        TdlVal by = p->built[d->operands[1].id];
        if (!by.id || !adj_is_safe_divisor(p->a, by)) return true;
    }
    for (uint32_t i = 0; i < d->noperands; i++)
        if (has_pole(p, d->operands[i])) return true;
    return false;
}

void adj_partial(Adj *a, TdlOp o, TdlVal zbar) {
    Formula p;
    const TdlVal *partials = open_formulas(&p, a, o, adj_type(a, zbar));
    AdjMask mask = adj_unmask(a, zbar);
    for (uint32_t i = 0; i < ir_op(a->f, o)->noperands; i++) {
        TdlVal x = adj_arg(a, o, i);
        if (!adj_active(a, x)) continue;
        TdlVal c = zbar;
        if (!is_const(p.f, partials[i], 1.0)) {
            bool pole = a->unread && has_pole(&p, partials[i]);
            c = times(&p, mask.of, partials[i]);
            c = adj_mask(a, &mask, pole ? adj_unless_unread(a, mask.of, c) : c);
        }
        adj_add(a, x, c);
    }
}

void tan_partial(Adj *a, TdlOp o, const TdlVal *dot) {
    Formula p;
    const TdlVal *partials = open_formulas(&p, a, o, adj_type(a, adj_res(a, o, 0)));
    TdlVal sum = {0};
    for (uint32_t i = 0; i < ir_op(a->f, o)->noperands; i++) {
        if (!dot[i].id) continue;
        TdlVal part = times(&p, dot[i], partials[i]);
        sum = sum.id ? adj_op2(a, OP_ADD, sum, part) : part;
    }
    adj_set_cot(a, adj_res(a, o, 0), sum);
}
