/* Proofs that an index is in range.
 *
 * The goal is a polynomial p >= 0 in dimensions (>= 0), loop indices and opaque values (any sign). What is known at
 * an operation is a list of inequalities q >= 0, from the inside out: the conditions of the `if`s around it, for each
 * loop index v in [lo, hi): v - lo >= 0 and hi - 1 - v >= 0, and of a run-time dimension t = max(a, b): t >= a, t >= b.
 * Two ways are tried:
 *
 *   ends    p is linear in the innermost index v with a coefficient of known sign: p is least at one end of [lo, hi),
 *           so that v is replaced by that end; and so on outwards.
 *   slack   each inequality q = w + r, w a variable, defines w = t - r with a new variable t >= 0, in p and in all
 *           other inequalities. When the list is used up p has only variables >= 0 and is looked at term by term.
 *           For j < i < d:  j = s, i = s + 1 + t, d = s + t + 2 + u, whence a packed triangle is seen to be in range.
 * An inequality q != 0 is q - 1 >= 0 where q >= 0 is known, and -q - 1 >= 0 where -q >= 0 is.
 *
 * Quotients: c * (p // c) is p itself where c divides p for all residues of its variables, as 2 does d*(d - 1);
 * otherwise it lies in [p - c + 1, p]. Where p is a loop index, or the result of argmax or argmin, p // c and p % c may also
 * be taken as variables of their own, with their own ends, which are put in first. */
#include "passes/checks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Variables of values are called %<id>; no dimension of a program is. They may have any sign. */
static TdlSym value_sym(Checks *c, TdlVal v) {
    char name[16];
    snprintf(name, sizeof name, "%%%u", v.id);
    return intern(c->m->names, name);
}

static bool any_sign(const Checks *c, TdlSym s) { return sym_text(c->m->names, s)[0] == '%'; }

enum { EXPR_DEPTH = 32, MODERATE = 1 << 30 };

static bool is_i64(const Checks *c, TdlVal v) {
    TdlType t = ir_type(c->f, v);
    return ty_is_scalar(c->m, t) && ty_elem(c->m, t) == EL_I64;
}

/* What v is at c->at: behind the condition of the `if` that gave it, what its branch yielded. */
static TdlVal through_if(const Checks *c, TdlVal v) {
    const TdlFunc *f = c->f;
    TdlOp def = ir_val(f, v)->def;
    if (!def.id || ir_op(f, def)->code != OP_IF || !c->at.id) return v;
    for (TdlRegion r = ir_op(f, c->at)->parent; r.id;) {
        TdlOp p = ir_region(f, r)->parent;
        if (!p.id) break;
        if (ir_op(f, p)->code == OP_IF && ir_op(f, p)->operands[0].id == ir_op(f, def)->operands[0].id && p.id != def.id) {
            TdlRegion branch = ir_op(f, def)->regions[r.id != ir_op(f, p)->regions[0].id];
            return ir_op(f, ir_terminator(f, branch))->operands[ir_val(f, v)->index];
        }
        r = ir_op(f, p)->parent;
    }
    return v;
}

/* Its result is an index of a loop. */
static bool is_search(const Checks *c, TdlOp o) {
    const char *kind = op_str(c->f, o, "kind");
    return ir_op(c->f, o)->code == OP_REDUCE && kind && (!strcmp(kind, "argmax") || !strcmp(kind, "argmin"));
}

static bool tame(const Checks *c, TdlVal v, int depth);

/* A loop counts from what is tame: it would have to run for centuries to get far. */
static bool tame_index(const Checks *c, TdlVal v, int depth) {
    const TdlValData *d = ir_val(c->f, v);
    TdlOp loop = ir_region(c->f, d->region)->parent;
    if (!loop.id) return false;
    const TdlOpData *l = ir_op(c->f, loop);
    if (l->code == OP_MAP || l->code == OP_REDUCE) return true;
    return l->code == OP_FOR && d->index == 0 && tame(c, l->operands[op_int(c->f, loop, "down", 0) != 0], depth);
}

/* i64 arithmetic on v does not wrap: v is made of dimensions, constants and loop indices, not of data. */
static bool tame(const Checks *c, TdlVal v, int depth) {
    v = through_if(c, v);
    TdlOp def = ir_val(c->f, v)->def;
    if (depth == 0 || !is_i64(c, v)) return false;
    if (!def.id) return tame_index(c, v, depth - 1);
    const TdlOpData *d = ir_op(c->f, def);
    switch ((int)d->code) {
    case OP_CONST: case OP_DIM: case OP_NEWDIM: return true;
    case OP_NEG: return tame(c, d->operands[0], depth - 1);
    case OP_ADD: case OP_SUB: case OP_MUL: case OP_FLOORDIV: case OP_MOD:
        return tame(c, d->operands[0], depth - 1) && tame(c, d->operands[1], depth - 1);
    case OP_REDUCE: return is_search(c, def);
    default: return false;
    }
}

/* `exact`: of arithmetic that may wrap nothing is known but its value. */
static TdlDim expr(Checks *c, TdlVal v, int depth, bool exact) {
    TdlModule *m = c->m;
    v = through_if(c, v);
    TdlOp def = ir_val(c->f, v)->def;
    TdlDim opaque = dim_var(m, value_sym(c, v));
    if (!def.id || depth == 0 || !ty_is_scalar(m, ir_type(c->f, v))) return opaque;
    const TdlOpData *d = ir_op(c->f, def);
    int64_t k;
    if (ty_elem(m, ir_type(c->f, v)) != EL_I64 && d->code != OP_CONST) return opaque;
    switch ((int)d->code) {
    case OP_CONST: return dim_const(m, op_int(c->f, def, "value", 0));
    case OP_DIM: return op_attr(c->f, def, "d")->dim;
    case OP_NEWDIM: return dim_var(m, intern(m->names, op_str(c->f, def, "sym")));
    case OP_NEG: case OP_ADD: case OP_SUB: case OP_MUL: break;
    case OP_FLOORDIV: case OP_MOD: exact = true; break; /* of what wrapped they are something else */
    default: return opaque;
    }
    if (exact && !tame(c, v, depth)) return opaque;
    TdlDim x = expr(c, d->operands[0], depth - 1, exact);
    if (d->code == OP_NEG) return dim_sub(m, dim_const(m, 0), x);
    TdlDim y = expr(c, d->operands[1], depth - 1, exact);
    switch ((int)d->code) {
    case OP_ADD: return dim_add(m, x, y);
    case OP_SUB: return dim_sub(m, x, y);
    case OP_MUL: return dim_mul(m, x, y);
    case OP_FLOORDIV: return dim_is_const(m, y, &k) && k > 0 ? dim_floordiv(m, x, k) : opaque;
    default: return dim_is_const(m, y, &k) && k > 0 ? dim_mod(m, x, k) : opaque;
    }
}

TdlDim chk_expr(Checks *c, TdlVal v) { return expr(c, v, EXPR_DEPTH, true); }
TdlDim chk_expr_wrapping(Checks *c, TdlVal v) { return expr(c, v, EXPR_DEPTH, false); }

/* ---- what is known at an operation ---- */

typedef struct { TdlSym v; TdlDim lo, hi; } Range;            /* lo <= v < hi */
typedef struct {
    TDL_VEC(TdlDim) facts;   /* each >= 0, innermost first */
    TDL_VEC(Range) ranges;   /* innermost first */
    TDL_VEC(TdlDim) nonzero; /* each != 0 */
} Known;

static void know(Checks *c, Known *k, TdlDim d) { VEC_PUSH(c->a, k->facts, d); }

/* The facts in a condition that is known to be `truth`. */
static void know_condition(Checks *c, Known *k, TdlVal cond, bool truth, int depth) {
    TdlOp def = ir_val(c->f, cond)->def;
    if (!def.id || depth == 0) return;
    const TdlOpData *d = ir_op(c->f, def);
    if (d->code == OP_NOT) { know_condition(c, k, d->operands[0], !truth, depth - 1); return; }
    if ((d->code == OP_AND && truth) || (d->code == OP_OR && !truth)) {
        know_condition(c, k, d->operands[0], truth, depth - 1);
        know_condition(c, k, d->operands[1], truth, depth - 1);
        return;
    }
    if (d->noperands != 2 || !is_i64(c, d->operands[0])) return;
    TdlOpcode code = d->code;
    TdlDim x = chk_expr(c, d->operands[0]), y = chk_expr(c, d->operands[1]), one = dim_const(c->m, 1);
    TdlDim up = dim_sub(c->m, y, x), down = dim_sub(c->m, x, y); /* y - x, x - y */
    if (code == (truth ? OP_LT : OP_GE)) know(c, k, dim_sub(c->m, up, one));
    else if (code == (truth ? OP_LE : OP_GT)) know(c, k, up);
    else if (code == (truth ? OP_GT : OP_LE)) know(c, k, dim_sub(c->m, down, one));
    else if (code == (truth ? OP_GE : OP_LT)) know(c, k, down);
    else if (code == (truth ? OP_EQ : OP_NE)) {
        know(c, k, up);
        know(c, k, down);
    } else if (code == (truth ? OP_NE : OP_EQ)) VEC_PUSH(c->a, k->nonzero, up);
}

static void know_index(Checks *c, Known *k, TdlVal index, TdlDim lo, TdlDim hi) {
    TdlSym s = value_sym(c, index);
    TdlDim v = dim_var(c->m, s);
    VEC_PUSH(c->a, k->ranges, ((Range){s, lo, hi}));
    know(c, k, dim_sub(c->m, v, lo));
    know(c, k, dim_sub(c->m, dim_sub(c->m, hi, v), dim_const(c->m, 1)));
}

static bool may_not_run(const Checks *c, TdlOp loop) {
    for (uint32_t i = 0; i < c->without.n; i++)
        if (c->without.p[i].id == loop.id) return true;
    return false;
}

static Known known_at(Checks *c, TdlOp at) {
    Known k = {0};
    TdlFunc *f = c->f;
    for (TdlRegion r = ir_op(f, at)->parent; r.id;) {
        TdlOp p = ir_region(f, r)->parent;
        if (!p.id) break;
        const TdlOpData *d = ir_op(f, p);
        const TdlVals *args = &ir_region(f, r)->args;
        bool runs = !may_not_run(c, p);
        if (d->code == OP_IF) know_condition(c, &k, d->operands[0], r.id == d->regions[0].id, 8);
        if (d->code == OP_FOR && runs)
            know_index(c, &k, args->p[0], chk_expr(c, d->operands[0]), chk_expr(c, d->operands[1]));
        if ((d->code == OP_MAP || d->code == OP_REDUCE) && runs)
            for (uint32_t i = args->n; i-- > 0;)
                know_index(c, &k, args->p[i], dim_const(c->m, 0), chk_expr(c, d->operands[i]));
        r = d->parent;
    }
    return k;
}

/* ---- polynomials ---- */

typedef struct { TdlSym s; bool found; } VarSearch;
static void find_var(void *user, TdlSym v) {
    VarSearch *x = user;
    if (sym_eq(v, x->s)) x->found = true;
}
static bool mentions(const Checks *c, TdlDim d, TdlSym s) {
    VarSearch x = {s, false};
    dim_vars(c->m, d, find_var, &x);
    return x.found;
}

static TdlDim atom_dim(TdlModule *m, TdlDimAtom a) {
    if (a.kind == DIM_ATOM_VAR) return dim_var(m, a.var);
    return dim_of(m, a.kind, a.arg, a.c);
}

/* d = coef * s + rest, s in neither; false: another form. */
static bool linear_in(Checks *c, TdlDim d, TdlSym s, TdlDim *coef, TdlDim *rest) {
    TdlModule *m = c->m;
    *coef = *rest = dim_const(m, 0);
    uint32_t nt = dim_nterms(m, d);
    for (uint32_t t = 0; t < nt; t++) {
        TdlDim p = dim_const(m, dim_term_coef(m, d, t));
        uint32_t degree = 0, na = dim_term_natoms(m, d, t);
        for (uint32_t i = 0; i < na; i++) {
            TdlDimAtom a = dim_term_atom(m, d, t, i);
            if (a.kind == DIM_ATOM_VAR && sym_eq(a.var, s)) { degree++; continue; }
            if (a.kind != DIM_ATOM_VAR && mentions(c, a.arg, s)) return false;
            p = dim_mul(m, p, atom_dim(m, a));
        }
        if (degree > 1) return false;
        if (degree) *coef = dim_add(m, *coef, p);
        else *rest = dim_add(m, *rest, p);
    }
    return true;
}

typedef TDL_VEC(TdlSym) Syms;
typedef struct { Checks *c; Syms *out; } Collect;
static void collect(void *user, TdlSym s) {
    Collect *x = user;
    VEC_PUSH(x->c->a, *x->out, s);
}

/* c divides p at all integers: decided on the residues of its variables; at most 4096 points. */
static bool always_divisible(Checks *c, TdlDim p, int64_t div) {
    TdlModule *m = c->m;
    Syms vars = {0};
    Collect x = {c, &vars};
    dim_vars(m, p, collect, &x);
    for (uint32_t t = 0; t < dim_nterms(m, p); t++)
        for (uint32_t i = 0; i < dim_term_natoms(m, p, t); i++)
            if (dim_term_atom(m, p, t, i).kind != DIM_ATOM_VAR) return false;
    int64_t points = 1;
    for (uint32_t i = 0; i < vars.n; i++) {
        points *= div;
        if (points > 4096) return false;
    }
    TdlDim *to = ARENA_ARRAY(c->a, TdlDim, vars.n + 1);
    for (int64_t k = 0; k < points; k++) {
        int64_t rest = k, value;
        for (uint32_t i = 0; i < vars.n; i++, rest /= div) to[i] = dim_const(m, rest % div);
        TdlDim at = dim_subst(m, p, vars.p, to, vars.n);
        if (!dim_is_const(m, at, &value) || value % div != 0) return false;
    }
    return true;
}

/* A multiple of d, or less, without the quotients of polynomials that mention values: c * (p // c) gives way to p
 * where exact, else to its lower bound (p - c + 1, or p where its coefficient is negative). */
static TdlDim clear_quotients(Checks *c, TdlDim d) {
    TdlModule *m = c->m;
    for (int round = 0; round < 4; round++) {
        TdlDimAtom q = {0};
        bool found = false, alone = true;
        uint32_t nt = dim_nterms(m, d);
        for (uint32_t t = 0; t < nt && !found; t++)
            for (uint32_t i = 0; i < dim_term_natoms(m, d, t) && !found; i++) {
                q = dim_term_atom(m, d, t, i);
                found = q.kind == DIM_ATOM_FLOORDIV;
            }
        if (!found) return d;
        bool exact = always_divisible(c, q.arg, q.c);
        TdlDim sum = dim_const(m, 0);
        for (uint32_t t = 0; t < nt; t++) {
            int64_t k = dim_term_coef(m, d, t);
            uint32_t na = dim_term_natoms(m, d, t), hits = 0;
            TdlDim p = dim_const(m, k);
            for (uint32_t i = 0; i < na; i++) {
                TdlDimAtom a = dim_term_atom(m, d, t, i);
                bool hit = a.kind == DIM_ATOM_FLOORDIV && dim_eq(a.arg, q.arg) && a.c == q.c && !hits;
                hits += hit;
                if (!hit) p = dim_mul(m, p, atom_dim(m, a));
                else if (exact || k < 0) p = dim_mul(m, p, q.arg);
                else p = dim_mul(m, p, dim_sub(m, q.arg, dim_const(m, q.c - 1)));
            }
            if (!hits) p = dim_mul(m, p, dim_const(m, q.c));
            if (hits && !exact && na > 1) alone = false; /* the other factors may be negative */
            sum = dim_add(m, sum, p);
        }
        if (!alone) return d;
        d = sum;
    }
    return d;
}

static bool has_range(const Known *k, TdlSym s) {
    for (uint32_t i = 0; i < k->ranges.n; i++)
        if (sym_eq(k->ranges.p[i].v, s)) return true;
    return false;
}

/* The constant ends of variable s: of a loop index, or of the result of a search. */
static bool constant_range(Checks *c, const Known *k, TdlSym s, int64_t *lo, int64_t *hi) {
    for (uint32_t i = 0; i < k->ranges.n; i++)
        if (sym_eq(k->ranges.p[i].v, s)) return dim_is_const(c->m, k->ranges.p[i].lo, lo) && dim_is_const(c->m, k->ranges.p[i].hi, hi);
    if (!any_sign(c, s)) return false;
    TdlVal v = {(uint32_t)strtoul(sym_text(c->m->names, s) + 1, NULL, 10)};
    TdlOp def = v.id < c->f->vals.n ? ir_val(c->f, v)->def : (TdlOp){0};
    *lo = 0;
    return def.id && is_search(c, def) && dim_is_const(c->m, chk_expr(c, ir_op(c->f, def)->operands[0]), hi);
}

/* d with x // q and x % q of one variable x, of known ends, as new variables, whose ranges become known, as do those of the
 * results of searches. */
static TdlDim name_quotients(Checks *c, Known *k, TdlDim d) {
    TdlModule *m = c->m;
    TdlDim sum = dim_const(m, 0);
    for (uint32_t t = 0; t < dim_nterms(m, d); t++) {
        TdlDim p = dim_const(m, dim_term_coef(m, d, t));
        for (uint32_t i = 0; i < dim_term_natoms(m, d, t); i++) {
            TdlDimAtom a = dim_term_atom(m, d, t, i);
            TdlSym x;
            int64_t lo, hi;
            TdlDim of = atom_dim(m, a);
            if (a.kind == DIM_ATOM_VAR && !has_range(k, a.var) && constant_range(c, k, a.var, &lo, &hi))
                VEC_PUSH(c->a, k->ranges, ((Range){a.var, dim_const(m, lo), dim_const(m, hi)}));
            if (a.kind != DIM_ATOM_VAR && a.kind != DIM_ATOM_MIN && dim_is_var(m, a.arg, &x) && constant_range(c, k, x, &lo, &hi) && lo >= 0 && hi > lo) {
                char name[32];
                bool quotient = a.kind == DIM_ATOM_FLOORDIV;
                snprintf(name, sizeof name, "%%%c%u", quotient ? '/' : '%', of.id);
                Range r = {intern(m->names, name), dim_const(m, quotient ? lo / a.c : 0), dim_const(m, quotient ? (hi - 1) / a.c + 1 : a.c)};
                VEC_PUSH(c->a, k->ranges, r);
                of = dim_var(m, r.v);
            }
            p = dim_mul(m, p, of);
        }
        sum = dim_add(m, sum, p);
    }
    return sum;
}

static TdlDim subst1(Checks *c, TdlDim d, TdlSym s, TdlDim to) { return dim_subst(c->m, d, &s, &to, 1); }

/* ---- proofs ---- */

static bool in_scope(const TdlFunc *f, TdlOp def, TdlOp at) { return ir_region_encloses(f, ir_op(f, def)->parent, ir_op(f, at)->parent); }

/* A dimension in the goal p that is the value of max(a, b) is no less than either. */
static void know_dims(Checks *c, Known *k, TdlOp at, TdlDim p) {
    for (uint32_t i = 0; i < c->dim_ops.n; i++) {
        if (!mentions(c, p, c->dim_syms.p[i]) || !in_scope(c->f, c->dim_ops.p[i], at)) continue;
        TdlOp def = ir_val(c->f, ir_op(c->f, c->dim_ops.p[i])->operands[0])->def;
        if (!def.id || ir_op(c->f, def)->code != OP_MAX) continue;
        TdlDim t = dim_var(c->m, c->dim_syms.p[i]);
        for (uint32_t j = 0; j < 2; j++) know(c, k, dim_sub(c->m, t, chk_expr(c, ir_op(c->f, def)->operands[j])));
    }
}

/* With each variable of any sign as the difference of two that are >= 0. */
static bool known_nonneg(Checks *c, TdlDim d) {
    Syms vars = {0};
    Collect x = {c, &vars};
    dim_vars(c->m, d, collect, &x);
    for (uint32_t i = 0; i < vars.n; i++) {
        if (!any_sign(c, vars.p[i])) continue;
        char name[32];
        snprintf(name, sizeof name, "+%s", sym_text(c->m->names, vars.p[i]));
        TdlDim plus = dim_var(c->m, intern(c->m->names, name));
        name[0] = '-';
        TdlDim minus = dim_var(c->m, intern(c->m->names, name));
        d = subst1(c, d, vars.p[i], dim_sub(c->m, plus, minus));
    }
    return dim_known_ge(c->m, d, dim_const(c->m, 0));
}

/* The variables of the ranges from number `first` on give way to the ends where *p is least; false: that is not known. */
static bool put_ends(Checks *c, const Known *k, uint32_t first, TdlDim *p) {
    for (uint32_t i = first; i < k->ranges.n; i++) {
        Range r = k->ranges.p[i];
        TdlDim coef, rest, zero = dim_const(c->m, 0);
        if (!mentions(c, *p, r.v)) continue;
        if (!linear_in(c, *p, r.v, &coef, &rest)) return false;
        if (known_nonneg(c, coef)) *p = subst1(c, *p, r.v, r.lo);
        else if (known_nonneg(c, dim_sub(c->m, zero, coef)))
            *p = subst1(c, *p, r.v, dim_sub(c->m, r.hi, dim_const(c->m, 1)));
        else return false;
    }
    return true;
}

static bool by_ends(Checks *c, const Known *k, TdlDim p) { return put_ends(c, k, 0, &p) && known_nonneg(c, p); }

/* A variable w of q = w + r to solve for: one of any sign, or one that stays >= 0 as t - r. */
static bool solve_for(Checks *c, TdlDim q, TdlSym *w, TdlDim *r) {
    Syms vars = {0};
    Collect x = {c, &vars};
    dim_vars(c->m, q, collect, &x);
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < vars.n; i++) {
            TdlDim coef;
            int64_t one;
            if (any_sign(c, vars.p[i]) != (pass == 0)) continue;
            if (!linear_in(c, q, vars.p[i], &coef, r) || !dim_is_const(c->m, coef, &one) || one != 1) continue;
            *w = vars.p[i];
            if (pass == 0 || known_nonneg(c, dim_sub(c->m, dim_const(c->m, 0), *r))) return true;
        }
    return false;
}

/* Far from the ends of 64 bits, so that sums of small multiples are within. */
static bool moderate(const Checks *c, TdlDim d) {
    for (uint32_t t = 0; t < dim_nterms(c->m, d); t++) {
        int64_t k = dim_term_coef(c->m, d, t);
        if (k > MODERATE || k < -MODERATE) return false;
    }
    return true;
}

/* p is no less than a multiple of q >= 0: one that a variable with a negative coefficient in both leaves by. */
static bool above_multiple(Checks *c, TdlDim p, TdlDim q) {
    Syms vars = {0};
    Collect x = {c, &vars};
    if (!moderate(c, p) || !moderate(c, q)) return false;
    dim_vars(c->m, q, collect, &x);
    for (uint32_t i = 0; i < vars.n; i++) {
        TdlDim in_p, in_q, rest;
        int64_t kp, kq;
        if (!linear_in(c, p, vars.p[i], &in_p, &rest) || !dim_is_const(c->m, in_p, &kp) || kp >= 0) continue;
        if (!linear_in(c, q, vars.p[i], &in_q, &rest) || !dim_is_const(c->m, in_q, &kq) || kq >= 0 || kp % kq) continue;
        if (known_nonneg(c, dim_sub(c->m, p, dim_mul(c->m, q, dim_const(c->m, kp / kq))))) return true;
    }
    return false;
}

/* What cannot be solved for yet is tried once more, when the others have been; of what never can, a multiple may do. */
static bool by_slack(Checks *c, const Known *k, TdlDim p) {
    uint32_t n = k->facts.n;
    TdlDim *q = ARENA_ARRAY(c->a, TdlDim, n + 1);
    bool *used = ARENA_ARRAY(c->a, bool, n + 1);
    for (uint32_t i = 0; i < n; i++) q[i] = k->facts.p[i];
    for (uint32_t at = 0; at < 2*n; at++) {
        uint32_t i = at % n;
        TdlSym w;
        TdlDim r;
        char name[24]; /* + cannot begin a name of the program */
        if (used[i] || known_nonneg(c, q[i]) || !solve_for(c, q[i], &w, &r)) continue;
        used[i] = true;
        snprintf(name, sizeof name, "+t%u", i);
        TdlSym t = intern(c->m->names, name);
        TdlDim to = dim_sub(c->m, dim_var(c->m, t), r);
        p = subst1(c, p, w, to);
        for (uint32_t j = 0; j < n; j++)
            if (!used[j]) q[j] = subst1(c, q[j], w, to);
    }
    bool proved = known_nonneg(c, p);
    for (uint32_t i = 0; i < n && !proved; i++) proved = !used[i] && above_multiple(c, p, q[i]);
    return proved;
}

/* Makes inequalities of what is known not to be 0 and has a known sign. */
static void settle_nonzero(Checks *c, Known *k) {
    TdlDim zero = dim_const(c->m, 0), one = dim_const(c->m, 1);
    for (uint32_t i = 0; i < k->nonzero.n; i++) {
        TdlDim q = k->nonzero.p[i], minus = dim_sub(c->m, zero, q);
        if (by_ends(c, k, q) || by_slack(c, k, q)) know(c, k, dim_sub(c->m, q, one));
        else if (by_ends(c, k, minus) || by_slack(c, k, minus)) know(c, k, dim_sub(c->m, minus, one));
    }
}

/* d is no less than something known. */
static bool by_fact(Checks *c, const Known *k, TdlDim d) {
    for (uint32_t i = 0; i < k->facts.n; i++)
        if (known_nonneg(c, dim_sub(c->m, d, k->facts.p[i]))) return true;
    return false;
}

bool chk_nonneg(Checks *c, TdlOp at, TdlDim d) {
    if (known_nonneg(c, d)) return true;
    Known k = known_at(c, at);
    if (by_fact(c, &k, d)) return true;
    know_dims(c, &k, at, d);
    settle_nonzero(c, &k);
    TdlDim cleared = clear_quotients(c, d);
    if (by_ends(c, &k, d) || by_slack(c, &k, d)) return true;
    if (!dim_eq(cleared, d) && (by_ends(c, &k, cleared) || by_slack(c, &k, cleared))) return true;
    uint32_t others = k.ranges.n;
    TdlDim named = name_quotients(c, &k, d);
    if (k.ranges.n == others) return false;
    return by_ends(c, &k, named) || (put_ends(c, &k, others, &named) && by_slack(c, &k, named));
}
