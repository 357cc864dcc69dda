/* Errors to be found: linked into tdlc-planted by the linker's --wrap, so that nothing of it is in the passes. The variable
 * TDL_PLANT says in which rule a sign is wrong:
 *
 *   partial:NAME:K    formula K of an operation in partials.tdl
 *   reverse:NAME      what rule adj_NAME makes of the cotangents of the results
 *   reverse:NAME:K    what it contributes to operand K
 *   forward:NAME      the tangents of the operation's results */
#include "passes/adjoint.h"

#include <stdlib.h>
#include <string.h>

/* NULL: TDL_PLANT is about another rule; else what follows `kind:name`. */
static const char *planted(const char *kind, const char *name) {
    const char *s = getenv("TDL_PLANT");
    size_t n = strlen(kind), k = strlen(name);
    if (!s || strncmp(s, kind, n) || s[n] != ':' || strncmp(s + n + 1, name, k)) return NULL;
    s += n + 1 + k;
    return !*s || *s == ':' ? s : NULL;
}

static TdlVal negated(TdlBuilder *b, TdlVal v) { return ir_unary(b, OP_NEG, v); }

/* What goes from f64 to f32 comes back: two wrong signs would be none. Only the way back is planted in. */
static bool there_and_back(const Adj *a, TdlOp o) {
    return ir_op(a->f, o)->code == OP_CAST && ty_elem(a->m, adj_type(a, adj_res(a, o, 0))) == EL_F32;
}

/* ---- formulas ---- */

TdlModule *__real_adj_formulas(TdlModule *m, TdlArena *arena);
TdlModule *__wrap_adj_formulas(TdlModule *m, TdlArena *arena);

TdlModule *__wrap_adj_formulas(TdlModule *m, TdlArena *arena) {
    TdlModule *formulas = __real_adj_formulas(m, arena);
    for (int c = 0; formulas && c < OP_COUNT; c++) {
        const char *at = planted("partial", op_info((TdlOpcode)c)->name);
        TdlFunc *f = at && *at ? ir_func_find(formulas, intern(m->names, op_info((TdlOpcode)c)->name)) : NULL;
        if (!f) continue;
        TdlOp end = ir_terminator(f, f->body);
        TdlBuilder b = ir_before(f, end);
        TdlVal v = negated(&b, ir_op(f, end)->operands[atoi(at + 1)]);
        ir_op(f, end)->operands[atoi(at + 1)] = v;
    }
    return formulas;
}

/* ---- reverse mode: around each rule ---- */

static struct { TdlVal of; bool all; } contribution; /* to what adj_add turns the sign of: one operand, or everything */

void __real_adj_add(Adj *a, TdlVal v, TdlVal c);
void __wrap_adj_add(Adj *a, TdlVal v, TdlVal c);

void __wrap_adj_add(Adj *a, TdlVal v, TdlVal c) {
    bool here = contribution.all || (contribution.of.id && contribution.of.id == v.id);
    if (here && ty_is_float(a->m, adj_type(a, c))) c = negated(adj_b(a), c);
    __real_adj_add(a, v, c);
}

static void reverse(Adj *a, TdlOp o, const TdlVal *zbar, AdjRule rule) {
    const char *at = planted("reverse", op_info(ir_op(a->f, o)->code)->name);
    if (!at || there_and_back(a, o)) {
        rule(a, o, zbar);
        return;
    }
    uint32_t n = ir_op(a->f, o)->nresults;
    TdlVal *turned = ARENA_ARRAY(a->arena, TdlVal, n + 1);
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        turned[i] = zbar[i];
        if (*at || !zbar[i].id || !ty_is_float(a->m, adj_type(a, zbar[i]))) continue;
        turned[i] = negated(adj_b(a), zbar[i]);
        any = true;
    }
    if (*at) contribution.of = adj_arg(a, o, (uint32_t)atoi(at + 1));
    else contribution.all = !any; /* accadd and push: no cotangent of a result is a tensor */
    rule(a, o, turned);
    contribution.of = (TdlVal){0};
    contribution.all = false;
}

/* ---- forward mode: where a rule sets the tangent of a result ---- */

void __real_adj_set_cot(Adj *a, TdlVal v, TdlVal cot);
void __wrap_adj_set_cot(Adj *a, TdlVal v, TdlVal cot);

void __wrap_adj_set_cot(Adj *a, TdlVal v, TdlVal cot) {
    TdlOp o = a->forward ? adj_def(a, v) : (TdlOp){0};
    if (o.id && cot.id && !there_and_back(a, o) && planted("forward", op_info(ir_op(a->f, o)->code)->name)) {
        if (ty_is_float(a->m, adj_type(a, cot))) {
            cot = negated(adj_b(a), cot);
        } else if (ir_op(a->f, o)->code == OP_PUSH) { /* the first of the tangents that are pushed */
            TdlBuilder b = ir_before(a->f, adj_def(a, cot));
            TdlVal x = adj_arg(a, adj_def(a, cot), 1);
            if (ty_is_float(a->m, adj_type(a, x))) ir_op(a->f, adj_def(a, cot))->operands[1] = negated(&b, x);
        }
    }
    __real_adj_set_cot(a, v, cot);
}

void __real_tan_ACCADD(Adj *a, TdlOp o, const TdlVal *dot);
void __wrap_tan_ACCADD(Adj *a, TdlOp o, const TdlVal *dot);

void __wrap_tan_ACCADD(Adj *a, TdlOp o, const TdlVal *dot) {
    TdlVal turned[2] = {dot[0], dot[1]};
    if (dot[1].id && planted("forward", "accadd")) turned[1] = negated(adj_b(a), dot[1]);
    __real_tan_ACCADD(a, o, turned);
}

/* ---- one wrapper for each rule ---- */

#define WRAP_PARTIAL(NAME)
#define WRAP_ZERO(NAME)
#define WRAP_NONE(NAME)
#define WRAP_RULE(NAME) WRAP_LINEAR(NAME)
#define WRAP_LINEAR(NAME)                                                                      \
    void __real_adj_##NAME(Adj *a, TdlOp o, const TdlVal *zbar);                               \
    void __wrap_adj_##NAME(Adj *a, TdlOp o, const TdlVal *zbar);                               \
    void __wrap_adj_##NAME(Adj *a, TdlOp o, const TdlVal *zbar) { reverse(a, o, zbar, __real_adj_##NAME); }
#define OP(NAME, mn, min, max, regions, flags, TYPE, DERIV, ...) WRAP_##DERIV(NAME)
#include "ir/ops.def"
#undef OP
