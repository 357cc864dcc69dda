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

/* ---- masks ---- */

static bool is_zeros(const Adj *a, TdlVal v) {
    TdlOp o = adj_def(a, v);
    if (o.id && ir_op(a->f, o)->code == OP_BROADCAST) o = adj_def(a, adj_arg(a, o, 0));
    return o.id && ir_op(a->f, o)->code == OP_CONST && op_attr(a->f, o, "value")->f == 0;
}

/* In zbar = c ? of : 0, or c ? 0 : of: which operand `of` is; 0: neither. */
static uint32_t masked_operand(const Adj *a, TdlVal zbar) {
    TdlOp o = adj_def(a, zbar);
    if (!o.id || ir_op(a->f, o)->code != OP_SELECT) return 0;
    return is_zeros(a, adj_arg(a, o, 2)) ? 1 : is_zeros(a, adj_arg(a, o, 1)) ? 2 : 0;
}

/* The condition under which v, masked by operand k, is not 0. */
static TdlVal condition(Adj *a, TdlVal v, uint32_t k) {
    TdlVal c = adj_arg(a, adj_def(a, v), 0);
    return k == 1 ? c : ir_unary(adj_b(a), OP_NOT, c);
}

/* `some` in v = (some or of == of) ? of : 0; 0 where v is no such mask. */
static TdlVal soft_condition(const Adj *a, TdlVal v) {
    TdlVal of = adj_arg(a, adj_def(a, v), 1);
    TdlOp any = adj_def(a, adj_arg(a, adj_def(a, v), 0));
    if (!any.id || ir_op(a->f, any)->code != OP_OR) return (TdlVal){0};
    TdlOp eq = adj_def(a, adj_arg(a, any, 1));
    bool soft = eq.id && ir_op(a->f, eq)->code == OP_EQ && adj_arg(a, eq, 0).id == of.id && adj_arg(a, eq, 1).id == of.id;
    return soft ? adj_arg(a, any, 0) : (TdlVal){0};
}

static TdlVal both(Adj *a, TdlVal x, TdlVal y) { return x.id ? adj_op2(a, OP_AND, x, y) : y; }

AdjMask adj_unmask(Adj *a, TdlVal zbar) {
    AdjMask m = {.of = zbar};
    for (uint32_t k; (k = masked_operand(a, m.of));) {
        TdlOp o = adj_def(a, m.of);
        TdlVal soft = soft_condition(a, m.of);
        if (soft.id) m.some = both(a, m.some, soft);
        else m.cond = both(a, m.cond, condition(a, m.of, k));
        m.of = adj_arg(a, o, k);
    }
    return m;
}

TdlVal adj_mask(Adj *a, const AdjMask *m, TdlVal v) {
    if (m->some.id) v = adj_select(a, adj_op2(a, OP_OR, m->some, adj_op2(a, OP_EQ, v, v)), v, adj_const_like(a, v, 0));
    return m->cond.id ? adj_select(a, m->cond, v, adj_const_like(a, v, 0)) : v;
}

AdjMask adj_either(Adj *a, AdjMask x, AdjMask y) {
    bool soft = x.some.id || y.some.id;
    TdlVal p = x.some.id ? both(a, x.cond, x.some) : x.cond, q = y.some.id ? both(a, y.cond, y.some) : y.cond;
    TdlVal any = adj_op2(a, OP_OR, p, q);
    return soft ? (AdjMask){.some = any} : (AdjMask){.cond = any};
}

TdlVal adj_sum(Adj *a, TdlVal x, TdlVal y) {
    uint32_t i = masked_operand(a, x), k = masked_operand(a, y);
    if (!i || !k) return adj_op2(a, OP_ADD, x, y);
    TdlOp p = adj_def(a, x), q = adj_def(a, y);
    bool same = i == k && adj_arg(a, p, 0).id == adj_arg(a, q, 0).id;
    AdjMask m = {.cond = condition(a, x, i)};
    if (same) return adj_mask(a, &m, adj_op2(a, OP_ADD, adj_arg(a, p, i), adj_arg(a, q, k)));
    m = adj_either(a, adj_unmask(a, x), adj_unmask(a, y));
    return adj_mask(a, &m, adj_op2(a, OP_ADD, x, y));
}

void adj_partial(Adj *a, TdlOp o, TdlVal zbar) {
    Formula p;
    const TdlVal *partials = open_formulas(&p, a, o, adj_type(a, zbar));
    AdjMask mask = adj_unmask(a, zbar);
    for (uint32_t i = 0; i < ir_op(a->f, o)->noperands; i++) {
        TdlVal x = adj_arg(a, o, i);
        if (!adj_active(a, x)) continue;
        bool as_it_is = is_const(p.f, partials[i], 1.0);
        adj_add(a, x, as_it_is ? zbar : adj_mask(a, &mask, times(&p, mask.of, partials[i])));
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
