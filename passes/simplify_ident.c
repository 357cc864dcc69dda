/* Identities that hold to the bit, for every operand: NaN, infinities and signed zeros included. */
#include "passes/simplify.h"

#include <string.h>

static TdlVal none(void) { return (TdlVal){0}; }
static TdlBuilder here(Simplify *s, TdlOp o) { return ir_before(s->f, o); }
static bool is_float(const Simplify *s, TdlVal v) { return ty_is_float(s->m, ir_type(s->f, v)); }

/* A value whose float elements are never -0: adding +0 leaves it. */
static bool never_minus_zero(const Simplify *s, TdlVal v) {
    SmConst c;
    if (sm_splat(s, v, &c)) return c.f != 0 || !__builtin_signbit(c.f);
    TdlOp o = ir_val(s->f, v)->def;
    if (!o.id) return false;
    const TdlOpData *d = ir_op(s->f, o);
    switch (d->code) {
    case OP_ABS: case OP_EXP: case OP_SIGMOID: case OP_COSH: return true;
    case OP_MUL: return d->operands[0].id == d->operands[1].id;
    case OP_ADD: return sm_is_float(s, d->operands[0], 0.0) || sm_is_float(s, d->operands[1], 0.0);
    case OP_CAST: return !is_float(s, d->operands[0]);
    default: return false;
    }
}

/* ---- arithmetic ---- */

static TdlVal ident_add(Simplify *s, TdlOp o, TdlVal x, TdlVal y) {
    TdlOp n;
    for (int i = 0; i < 2; i++) {
        TdlVal a = i ? y : x, b = i ? x : y; /* x + -0 = x; x + 0 = x unless x is -0 */
        if (sm_is_int(s, b, 0) || sm_is_float(s, b, -0.0)) return a;
        if (sm_is_float(s, b, 0.0) && never_minus_zero(s, a)) return a;
        if ((n = sm_def(s, b, OP_NEG)).id) { /* a + -b = a - b */
            TdlBuilder at = here(s, o);
            return ir_binary(&at, OP_SUB, a, sm_operand(s, n, 0));
        }
    }
    return none();
}

static TdlVal ident_sub(Simplify *s, TdlOp o, TdlVal x, TdlVal y) {
    TdlBuilder b = here(s, o);
    TdlOp n = sm_def(s, y, OP_NEG);
    if (sm_is_int(s, y, 0) || sm_is_float(s, y, 0.0)) return x;
    if (n.id) return ir_binary(&b, OP_ADD, x, sm_operand(s, n, 0));
    if (!is_float(s, x) && x.id == y.id) return ir_zeros(&b, ir_type(s->f, x));
    if (sm_is_int(s, x, 0) || sm_is_float(s, x, -0.0)) return ir_unary(&b, OP_NEG, y); /* -0 - y = -y */
    return none();
}

static TdlVal ident_mul(Simplify *s, TdlOp o, TdlVal x, TdlVal y) {
    TdlBuilder b = here(s, o);
    for (int i = 0; i < 2; i++) {
        TdlVal a = i ? y : x, c = i ? x : y;
        if (sm_is_int(s, c, 1) || sm_is_float(s, c, 1.0)) return a;
        if (sm_is_int(s, c, 0)) return c; /* integers only: NaN * 0 is NaN */
        if (sm_is_int(s, c, -1) || sm_is_float(s, c, -1.0)) return ir_unary(&b, OP_NEG, a);
    }
    TdlOp p = sm_def(s, x, OP_NEG), q = sm_def(s, y, OP_NEG);
    if (p.id && q.id) return ir_binary(&b, OP_MUL, sm_operand(s, p, 0), sm_operand(s, q, 0));
    return none();
}

static TdlVal ident_div(Simplify *s, TdlOp o, TdlVal x, TdlVal y) {
    TdlBuilder b = here(s, o);
    if (sm_is_float(s, y, 1.0)) return x;
    return sm_is_float(s, y, -1.0) ? ir_unary(&b, OP_NEG, x) : none();
}

static TdlVal ident_int_division(Simplify *s, TdlOp o, TdlVal x, TdlVal y) {
    TdlBuilder b = here(s, o);
    if (!sm_is_int(s, y, 1)) return none();
    return ir_op(s->f, o)->code == OP_FLOORDIV ? x : ir_zeros(&b, ir_type(s->f, x));
}

/* x**1 = x; x**0 = 1, for NaN too; x**2 = x*x. */
static TdlVal ident_pow(Simplify *s, TdlOp o, TdlVal x, TdlVal y) {
    TdlBuilder b = here(s, o);
    TdlType t = ir_type(s->f, x);
    TdlElem e = ty_elem(s->m, t);
    if (sm_is_int(s, y, 1) || sm_is_float(s, y, 1.0)) return x;
    if (sm_is_int(s, y, 2) || sm_is_float(s, y, 2.0)) return ir_binary(&b, OP_MUL, x, x);
    if (sm_is_int(s, y, 0) || sm_is_float(s, y, 0.0) || sm_is_float(s, y, -0.0))
        return ir_full(&b, is_float(s, x) ? ir_const_float(&b, e, 1.0) : ir_const_int(&b, e, 1), t);
    return none();
}

static TdlVal ident_neg(Simplify *s, TdlOp o, TdlVal x) {
    TdlOp n = sm_def(s, x, OP_NEG);
    (void)o;
    return n.id ? sm_operand(s, n, 0) : none();
}

static TdlVal ident_abs(Simplify *s, TdlOp o, TdlVal x) {
    TdlBuilder b = here(s, o);
    TdlOp n = sm_def(s, x, OP_NEG);
    if (sm_def(s, x, OP_ABS).id) return x;
    return n.id ? ir_unary(&b, OP_ABS, sm_operand(s, n, 0)) : none();
}

/* ---- logic ---- */

static TdlVal ident_and_or(Simplify *s, TdlOp o, TdlVal x, TdlVal y) {
    bool is_and = ir_op(s->f, o)->code == OP_AND;
    if (x.id == y.id) return x;
    for (int i = 0; i < 2; i++) {
        TdlVal a = i ? y : x, c = i ? x : y;
        if (sm_is_int(s, c, is_and)) return a;  /* true and a, false or a */
        if (sm_is_int(s, c, !is_and)) return c; /* false and a, true or a */
    }
    return none();
}

static TdlVal ident_not(Simplify *s, TdlOp o, TdlVal x) {
    /* Only where exactly one of the two holds for every operand: integers, and == of anything. */
    static const TdlOpcode OPPOSITE[][2] = {{OP_EQ, OP_NE}, {OP_LT, OP_GE}, {OP_LE, OP_GT}};
    TdlOp d = ir_val(s->f, x)->def;
    if (!d.id) return none();
    TdlOpcode c = ir_op(s->f, d)->code;
    if (c == OP_NOT) return sm_operand(s, d, 0);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++)
            if (OPPOSITE[i][k] == c && (i == 0 || !is_float(s, sm_operand(s, d, 0)))) {
                TdlBuilder b = here(s, o);
                return ir_binary(&b, OPPOSITE[i][1 - k], sm_operand(s, d, 0), sm_operand(s, d, 1));
            }
    return none();
}

static TdlVal ident_compare(Simplify *s, TdlOp o, TdlVal x, TdlVal y) {
    TdlOpcode c = ir_op(s->f, o)->code;
    if (x.id != y.id || is_float(s, x)) return none();
    TdlBuilder b = here(s, o);
    TdlVal r = ir_const_int(&b, EL_BOOL, c == OP_EQ || c == OP_LE || c == OP_GE);
    return ir_full(&b, r, ir_type(s->f, ir_result(s->f, o, 0)));
}

static TdlVal ident_select(Simplify *s, TdlOp o, TdlVal c, TdlVal x, TdlVal y) {
    TdlOp n = sm_def(s, c, OP_NOT);
    if (x.id == y.id) return x;
    if (sm_is_int(s, c, 1)) return x;
    if (sm_is_int(s, c, 0)) return y;
    if (ty_eq(ir_type(s->f, x), ir_type(s->f, c)) && sm_is_int(s, x, 1) && sm_is_int(s, y, 0)) return c;
    if (!n.id) return none();
    TdlBuilder b = here(s, o);
    return ir_emit1(&b, OP_SELECT, (TdlVal[]){sm_operand(s, n, 0), y, x}, 3);
}

/* ---- casts ---- */

/* Every value of `from` is one of `to`. */
static bool widens(TdlElem from, TdlElem to) {
    if (from == to || from == EL_BOOL) return true;
    if (from == EL_I32) return to == EL_I64 || to == EL_F64;
    if (from == EL_F16 || from == EL_BF16) return to == EL_F32 || to == EL_F64;
    return from == EL_F32 && to == EL_F64;
}

static TdlVal ident_cast(Simplify *s, TdlOp o, TdlVal x) {
    TdlType t = ir_type(s->f, ir_result(s->f, o, 0));
    TdlOp d = sm_def(s, x, OP_CAST);
    if (ty_eq(t, ir_type(s->f, x))) return x;
    if (!d.id || ty_elem(s->m, t) == EL_BOOL) return none();
    TdlVal y = sm_operand(s, d, 0);
    if (!widens(ty_elem(s->m, ir_type(s->f, y)), ty_elem(s->m, ir_type(s->f, x)))) return none();
    TdlBuilder b = here(s, o);
    return ir_cast(&b, y, ty_elem(s->m, t));
}

/* ---- sets ---- */

enum { MAX_UNION = 32 };

static void join(Simplify *s, TdlVals *all, TdlVal v) {
    for (uint32_t i = 0; i < all->n; i++)
        if (all->p[i].id == v.id) return;
    if (!sm_is_int(s, v, 0)) VEC_PUSH(&s->scratch, *all, v);
}

/* Without empty sets and repetitions, and with the operands of a union that was made beside it in its place. */
static TdlVal ident_union(Simplify *s, TdlOp o) {
    const TdlOpData d = *ir_op(s->f, o);
    TdlBuilder b = here(s, o);
    TdlVals all = {0};
    bool opened = false;
    for (uint32_t i = 0; i < d.noperands; i++) {
        TdlOp u = sm_def(s, d.operands[i], OP_SETUNION);
        uint32_t n = u.id ? ir_op(s->f, u)->noperands : 0;
        if (!u.id || ir_op(s->f, u)->parent.id != d.parent.id || all.n + n + d.noperands > MAX_UNION) {
            join(s, &all, d.operands[i]);
            continue;
        }
        opened = true;
        for (uint32_t k = 0; k < n; k++) join(s, &all, sm_operand(s, u, k));
    }
    if (!all.n) return ir_const_int(&b, EL_I64, 0);
    if (all.n == 1) return all.p[0];
    return opened || all.n < d.noperands ? ir_emit1(&b, OP_SETUNION, all.p, all.n) : none();
}

TdlVal sm_identity(Simplify *s, TdlOp o) {
    const TdlOpData *d = ir_op(s->f, o);
    TdlVal x = d->noperands > 0 ? d->operands[0] : none(), y = d->noperands > 1 ? d->operands[1] : none();
    switch (d->code) {
    case OP_ADD: return ident_add(s, o, x, y);
    case OP_SUB: return ident_sub(s, o, x, y);
    case OP_MUL: return ident_mul(s, o, x, y);
    case OP_DIV: return ident_div(s, o, x, y);
    case OP_FLOORDIV: case OP_MOD: return ident_int_division(s, o, x, y);
    case OP_POW: return ident_pow(s, o, x, y);
    case OP_NEG: return ident_neg(s, o, x);
    case OP_ABS: return ident_abs(s, o, x);
    case OP_AND: case OP_OR: return ident_and_or(s, o, x, y);
    case OP_NOT: return ident_not(s, o, x);
    case OP_EQ: case OP_NE: case OP_LT: case OP_LE: case OP_GT: case OP_GE: return ident_compare(s, o, x, y);
    case OP_MAX: case OP_MIN: return x.id == y.id ? x : none();
    case OP_SELECT: return ident_select(s, o, x, y, d->operands[2]);
    case OP_CAST: return ident_cast(s, o, x);
    case OP_DETACH: return s->derived ? x : none();
    case OP_SETUNION: return ident_union(s, o);
    default: return none();
    }
}
