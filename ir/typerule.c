/* Type rules: finding and checking result types; helpers; elementwise operations, effects and loop IR. */
#include "ir/typerule.h"

#include <stdarg.h>
#include <string.h>

typedef bool (*RuleFn)(TdlRule *r);

static const RuleFn RULES[OP_COUNT] = {
#define OP(NAME, mnemonic, min, max, regions, flags, TYPE, ...) [OP_##NAME] = rule_##TYPE,
#include "ir/ops.def"
#undef OP
};

/* ---- helpers ---- */

bool rule_fault(TdlRule *r, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    if (!r->why->n) str_vprintf(r->why, fmt, ap);
    va_end(ap);
    return false;
}

const char *rule_text(TdlRule *r, TdlType t) {
    TdlStr s = str_new(r->m->arena);
    ty_print(r->m, t, &s);
    return s.p ? s.p : "";
}

bool rule_is(TdlRule *r, TdlType t, TdlType want, const char *what) {
    if (ty_eq(t, want)) return true;
    return rule_fault(r, "%s has the wrong type: %s, expected %s", what, rule_text(r, t), rule_text(r, want));
}

bool rule_tensor(TdlRule *r, uint32_t i) {
    if (ty_kind(r->m, rule_in(r, i)) == TY_TENSOR) return true;
    return rule_fault(r, "operand %u is not a tensor: %s", i, rule_text(r, rule_in(r, i)));
}

bool rule_indices(TdlRule *r, uint32_t first, uint32_t max) {
    if (r->d->noperands - first > max)
        return rule_fault(r, "%u indices for rank %u", (unsigned)(r->d->noperands - first), max);
    TdlType i64 = ty_scalar(r->m, EL_I64);
    for (uint32_t i = first; i < r->d->noperands; i++)
        if (!ty_eq(rule_in(r, i), i64))
            return rule_fault(r, "operand %u is not an i64 index: %s", i, rule_text(r, rule_in(r, i)));
    return true;
}

bool rule_results(TdlRule *r, uint32_t n) {
    return r->d->nresults == n || rule_fault(r, "%u results, expected %u", (unsigned)r->d->nresults, n);
}

/* Operands from `first` on have the type of operand `first`. */
static bool equal_operands(TdlRule *r, uint32_t first) {
    for (uint32_t i = first; i < r->d->noperands; i++) {
        if (!rule_tensor(r, i)) return false;
        if (!ty_eq(rule_in(r, i), rule_in(r, first)))
            return rule_fault(r, "operand types differ: %s and %s", rule_text(r, rule_in(r, first)),
                              rule_text(r, rule_in(r, i)));
    }
    return true;
}

static bool given(TdlRule *r) { return r->given ? (r->out[0] = r->given[0], true) : rule_fault(r, "no result type"); }

/* ---- driver ---- */

static bool count_fits(const TdlOpInfo *info, const TdlOpData *d) {
    return d->noperands >= info->min_operands && (info->max_operands < 0 || d->noperands <= info->max_operands);
}

bool ir_type_rule(TdlFunc *f, TdlOp o, TdlType *out, TdlStr *why, bool has_types) {
    const TdlOpData *d = ir_op(f, o);
    const TdlOpInfo *info = op_info(d->code);
    TdlType *types = NULL;
    TdlRule r = {f->module, f, o, d, NULL, out, why};
    if (!count_fits(info, d)) return rule_fault(&r, "%u operands do not fit", (unsigned)d->noperands);
    for (uint16_t i = 0; i < d->noperands; i++)
        if (!rule_in(&r, i).id) return rule_fault(&r, "operand %u has no type", (unsigned)i);
    if (has_types) {
        types = ARENA_ARRAY(f->module->arena, TdlType, d->nresults);
        for (uint16_t i = 0; i < d->nresults; i++) {
            types[i] = ir_type(f, d->results[i]);
            if (!types[i].id) return rule_fault(&r, "result %u has no type", (unsigned)i);
        }
        r.given = types;
    }
    return RULES[d->code](&r);
}

/* ---- constants and dimensions ---- */

bool rule_given(TdlRule *r) { return rule_results(r, 1) && given(r); }

bool rule_const(TdlRule *r) {
    if (!rule_results(r, 1) || !given(r)) return false;
    TdlType t = r->given[0];
    if (!ty_is_scalar(r->m, t)) return rule_fault(r, "a constant is a scalar, not %s", rule_text(r, t));
    const TdlAttr *a = op_attr(r->f, r->op, "value");
    TdlAttrKind want = ty_is_float(r->m, t) ? ATTR_FLOAT : ATTR_INT;
    if (!a || a->kind != want) return rule_fault(r, "the value does not fit %s", rule_text(r, t));
    TdlElem e = ty_elem(r->m, t);
    if ((e == EL_BOOL && a->i != 0 && a->i != 1) || (e == EL_I32 && (a->i < INT32_MIN || a->i > INT32_MAX)))
        return rule_fault(r, "the value is out of range for %s", rule_text(r, t));
    return true;
}

static bool i64_result(TdlRule *r) {
    if (!rule_results(r, 1)) return false;
    r->out[0] = ty_scalar(r->m, EL_I64);
    return true;
}

bool rule_dim(TdlRule *r) { return i64_result(r); }
bool rule_mark(TdlRule *r) { return i64_result(r); }
bool rule_grad_fn(TdlRule *r) { return rule_tensor(r, 0) && i64_result(r); }
bool rule_sets(TdlRule *r) { return rule_indices(r, 0, r->d->noperands) && i64_result(r); }
bool rule_newdim(TdlRule *r) { return rule_indices(r, 0, 1) && i64_result(r); }

/* ---- elementwise ---- */

bool rule_same(TdlRule *r) {
    if (!rule_results(r, 1) || !equal_operands(r, 0)) return false;
    r->out[0] = rule_in(r, 0);
    return true;
}

bool rule_number(TdlRule *r) {
    if (!rule_same(r)) return false;
    return ty_elem(r->m, r->out[0]) != EL_BOOL || rule_fault(r, "numbers expected: %s", rule_text(r, r->out[0]));
}

bool rule_float(TdlRule *r) {
    if (!rule_same(r)) return false;
    return ty_is_float(r->m, r->out[0]) || rule_fault(r, "floats expected: %s", rule_text(r, r->out[0]));
}

bool rule_bool_same(TdlRule *r) {
    if (!rule_same(r)) return false;
    return ty_elem(r->m, r->out[0]) == EL_BOOL || rule_fault(r, "bool expected: %s", rule_text(r, r->out[0]));
}

bool rule_philox(TdlRule *r) {
    if (!rule_same(r)) return false;
    return ty_elem(r->m, r->out[0]) == EL_I64 || rule_fault(r, "i64 expected: %s", rule_text(r, r->out[0]));
}

bool rule_compare(TdlRule *r) {
    if (!rule_same(r)) return false;
    r->out[0] = ty_with_elem(r->m, r->out[0], EL_BOOL);
    return true;
}

bool rule_cast(TdlRule *r) {
    if (!rule_same(r)) return false;
    const TdlAttr *a = op_attr(r->f, r->op, "to");
    if (!a || a->kind != ATTR_TYPE || !ty_is_scalar(r->m, a->type)) return rule_fault(r, "no element type to cast to");
    r->out[0] = ty_with_elem(r->m, r->out[0], ty_elem(r->m, a->type));
    return true;
}

bool rule_select(TdlRule *r) {
    if (!rule_results(r, 1) || !rule_tensor(r, 0) || !equal_operands(r, 1)) return false;
    TdlType x = rule_in(r, 1);
    r->out[0] = x;
    return rule_is(r, rule_in(r, 0), ty_with_elem(r->m, x, EL_BOOL), "the condition");
}

/* ---- effects and terminators ---- */

bool rule_none(TdlRule *r) { return rule_results(r, 0); } /* operands of yield and return: the verifier, by parent */

bool rule_assert(TdlRule *r) {
    return rule_results(r, 0) && rule_is(r, rule_in(r, 0), ty_scalar(r->m, EL_BOOL), "the condition") &&
           rule_indices(r, 1, r->d->noperands);
}

/* ---- stacks ---- */

bool rule_stack_new(TdlRule *r) {
    if (!rule_results(r, 1) || !given(r)) return false;
    return ty_kind(r->m, r->given[0]) == TY_STACK || rule_fault(r, "not a stack: %s", rule_text(r, r->given[0]));
}

/* A tensor or a stack; in loop IR a buffer. */
static bool keepable(TdlRule *r, TdlType t) {
    return ty_kind(r->m, t) != TY_ACC || rule_fault(r, "not a tensor or stack: %s", rule_text(r, t));
}

bool rule_save(TdlRule *r) { return rule_results(r, 0) && keepable(r, rule_in(r, 0)); }

bool rule_restore(TdlRule *r) { return rule_results(r, 1) && given(r) && keepable(r, r->given[0]); }

/* In loop IR a tensor on a stack is given and taken as a buffer. */
static bool is_elem(TdlRule *r, TdlType t, TdlType elem) {
    if (ty_eq(t, elem)) return true;
    return ty_kind(r->m, t) == TY_BUF && ty_rank(r->m, elem) > 0 && ty_eq(ty_tensor_of(r->m, t), elem);
}

bool rule_push(TdlRule *r) {
    TdlType s = rule_in(r, 0);
    if (!rule_results(r, 1)) return false;
    if (ty_kind(r->m, s) != TY_STACK) return rule_fault(r, "operand 0 is not a stack: %s", rule_text(r, s));
    if (ty_stack_n(r->m, s) + 1 != r->d->noperands)
        return rule_fault(r, "%u values for %s", (unsigned)r->d->noperands - 1, rule_text(r, s));
    for (uint32_t i = 0; i < ty_stack_n(r->m, s); i++)
        if (!is_elem(r, rule_in(r, i + 1), ty_stack_elem(r->m, s, i)))
            return rule_fault(r, "value %u has the wrong type for %s: %s", i, rule_text(r, s),
                              rule_text(r, rule_in(r, i + 1)));
    r->out[0] = s;
    return true;
}

bool rule_pop(TdlRule *r) {
    TdlType s = rule_in(r, 0);
    if (ty_kind(r->m, s) != TY_STACK) return rule_fault(r, "operand 0 is not a stack: %s", rule_text(r, s));
    if (!rule_results(r, ty_stack_n(r->m, s) + 1)) return false;
    r->out[0] = s;
    for (uint32_t i = 0; i < ty_stack_n(r->m, s); i++) {
        TdlType e = ty_stack_elem(r->m, s, i);
        r->out[i + 1] = r->given && is_elem(r, r->given[i + 1], e) ? r->given[i + 1] : e;
    }
    return true;
}

/* ---- loop IR ---- */

static bool buffer(TdlRule *r, uint32_t i) {
    TdlType t = rule_in(r, i);
    return ty_kind(r->m, t) == TY_BUF || rule_fault(r, "operand %u is not a buffer: %s", i, rule_text(r, t));
}

bool rule_lanes(TdlRule *r, int64_t lanes) {
    if (lanes >= 2 && lanes <= 64 && !(lanes & (lanes - 1))) return true;
    return rule_fault(r, "%lld lanes: a power of two from 2 to 64 is needed", (long long)lanes);
}

bool rule_alloc(TdlRule *r) {
    if (!rule_results(r, 1) || !given(r) || (op_attr(r->f, r->op, "lanes") && !rule_lanes(r, op_int(r->f, r->op, "lanes", 0)))) return false;
    if (ty_kind(r->m, r->given[0]) != TY_BUF) return rule_fault(r, "not a buffer: %s", rule_text(r, r->given[0]));
    return r->d->noperands == 0 || rule_is(r, rule_in(r, 0), r->given[0], "the destination");
}

bool rule_release(TdlRule *r) {
    return rule_results(r, 0) && rule_is(r, rule_in(r, 0), ty_scalar(r->m, EL_I64), "the mark");
}

static bool one_index_an_axis(TdlRule *r, uint32_t buf) {
    uint32_t rank = ty_rank(r->m, rule_in(r, buf)), n = r->d->noperands - buf - 1u;
    if (n != rank) return rule_fault(r, "%u indices for %s", n, rule_text(r, rule_in(r, buf)));
    return rule_indices(r, buf + 1, rank);
}

bool rule_load(TdlRule *r) {
    if (!rule_results(r, 1) || !buffer(r, 0) || !one_index_an_axis(r, 0)) return false;
    r->out[0] = ty_scalar(r->m, ty_elem(r->m, rule_in(r, 0)));
    return true;
}

bool rule_store(TdlRule *r) {
    if (!rule_results(r, 0) || !buffer(r, 1) || !one_index_an_axis(r, 1)) return false;
    return rule_is(r, rule_in(r, 0), ty_scalar(r->m, ty_elem(r->m, rule_in(r, 1))), "the value");
}

/* Both are constant and different: certainly another number of elements. */
static bool sizes_clash(TdlModule *m, TdlType a, TdlType b) {
    int64_t x, y;
    return dim_is_const(m, ty_numel(m, a), &x) && dim_is_const(m, ty_numel(m, b), &y) && x != y;
}

bool rule_view(TdlRule *r) {
    if (!rule_results(r, 1) || !buffer(r, 0)) return false;
    TdlType b = rule_in(r, 0), part;
    bool flat = op_int(r->f, r->op, "flat", 0) != 0;
    if (!rule_indices(r, 1, flat ? 1 : ty_rank(r->m, b))) return false;
    part = flat ? b : ty_drop(r->m, b, r->d->noperands - 1u);
    r->out[0] = r->given ? r->given[0] : part;
    if (ty_kind(r->m, r->out[0]) != TY_BUF || ty_elem(r->m, r->out[0]) != ty_elem(r->m, b))
        return rule_fault(r, "a view of %s cannot be %s", rule_text(r, b), rule_text(r, r->out[0]));
    if (!flat && sizes_clash(r->m, part, r->out[0]))
        return rule_fault(r, "the sizes differ: %s seen as %s", rule_text(r, part), rule_text(r, r->out[0]));
    return true;
}

bool rule_copy(TdlRule *r) {
    if (!rule_results(r, 0) || !buffer(r, 0) || !buffer(r, 1)) return false;
    TdlType a = rule_in(r, 0), b = rule_in(r, 1);
    if (ty_elem(r->m, a) != ty_elem(r->m, b) || sizes_clash(r->m, a, b))
        return rule_fault(r, "cannot copy %s to %s", rule_text(r, b), rule_text(r, a));
    return true;
}

bool rule_fill(TdlRule *r) {
    if (!rule_results(r, 0) || !buffer(r, 0)) return false;
    return rule_is(r, rule_in(r, 1), ty_scalar(r->m, ty_elem(r->m, rule_in(r, 0))), "the value");
}
