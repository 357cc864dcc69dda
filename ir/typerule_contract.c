/* Contractions whose axes are numbered: `correlate` of tensors, `contract` of buffers. */
#include "ir/typerule.h"

enum { MAX_NUMBERS = 64 };

/* The loops that the numbers stand for. */
typedef struct {
    TdlDim size[MAX_NUMBERS];   /* id 0: not known so far */
    uint32_t seen[MAX_NUMBERS]; /* bit i: in the list of tensor i (result, a, b) */
} Loops;

/* One more axis with number x in the list of tensor i; `size`: of the loop, id 0 where the axis does not tell. */
static bool see(TdlRule *r, Loops *l, const char *key, uint32_t i, int64_t x, TdlDim size) {
    if (x < 0 || x >= MAX_NUMBERS) return rule_fault(r, "%s has no number from 0 to %d", key, MAX_NUMBERS - 1);
    if (l->seen[x] & 1u << i) return rule_fault(r, "%s has a number twice", key);
    if (size.id && l->size[x].id && !dim_eq(l->size[x], size)) return rule_fault(r, "the sizes of number %d differ", (int)x);
    if (size.id) l->size[x] = size;
    l->seen[x] |= 1u << i;
    return true;
}

static const TdlAttr *list_of(TdlRule *r, const char *key, TdlType t) {
    const TdlAttr *list = op_attr(r->f, r->op, key);
    if (list && list->n == ty_rank(r->m, t)) return list;
    rule_fault(r, "%s does not number the axes of %s", key, rule_text(r, t));
    return NULL;
}

/* Numbers the axes of t; of a part of its first axis (`partial`) the size tells nothing. */
static bool numbered(TdlRule *r, Loops *l, const char *key, uint32_t i, TdlType t, bool partial) {
    const TdlAttr *list = list_of(r, key, t);
    for (uint32_t j = 0; list && j < list->n; j++)
        if (!see(r, l, key, i, list->ints[j], partial && !j ? (TdlDim){0} : ty_dims(r->m, t)[j])) return false;
    return list != NULL;
}

/* Numbers the axes of a, where windows may slide along them. */
static bool windows(TdlRule *r, Loops *l, TdlType t) {
    const TdlAttr *axes = list_of(r, "axes_a", t), *taps, *steps, *dilations;
    if (!axes || !(taps = list_of(r, "taps", t)) || !(steps = list_of(r, "steps", t)) || !(dilations = list_of(r, "dilations", t)))
        return false;
    for (uint32_t j = 0; j < axes->n; j++) {
        bool slides = taps->ints[j] != -1;
        TdlDim size = slides || steps->ints[j] != 1 ? (TdlDim){0} : ty_dims(r->m, t)[j];
        if (steps->ints[j] < 1 || dilations->ints[j] < 1) return rule_fault(r, "steps and dilations are at least 1");
        if (!see(r, l, "axes_a", 1, axes->ints[j], size) || (slides && !see(r, l, "taps", 1, taps->ints[j], (TdlDim){0}))) return false;
    }
    return true;
}

bool rule_correlate(TdlRule *r) {
    Loops l = {0};
    if (!rule_results(r, 1) || !rule_tensor(r, 0) || !rule_tensor(r, 1)) return false;
    if (!r->given) return rule_fault(r, "no result type");
    TdlType t = r->out[0] = r->given[0], x = rule_in(r, 0);
    if (ty_kind(r->m, t) != TY_TENSOR || ty_elem(r->m, t) != ty_elem(r->m, x) || ty_elem(r->m, rule_in(r, 1)) != ty_elem(r->m, x) ||
        !ty_is_float(r->m, x))
        return rule_fault(r, "tensors of one float type expected: %s", rule_text(r, t));
    uint32_t rank = ty_rank(r->m, t);
    for (uint32_t i = 0; i < rank; i++)
        if (!see(r, &l, "the result", 0, i, ty_dims(r->m, t)[i])) return false;
    if (!numbered(r, &l, "axes_b", 2, rule_in(r, 1), false) || !windows(r, &l, x)) return false;
    for (uint32_t i = 0; i < MAX_NUMBERS; i++) {
        if (i < rank && l.seen[i] == 1) return rule_fault(r, "number %u is of no operand", i);
        if (i >= rank && l.seen[i] && l.seen[i] != 6) return rule_fault(r, "number %u is summed and not in both operands", i);
    }
    return true;
}

bool rule_contract(TdlRule *r) {
    Loops l = {0};
    if (!rule_results(r, 0) || !rule_indices(r, 4, 2)) return false;
    for (uint32_t i = 0; i < 4; i++) {
        TdlType t = rule_in(r, i);
        if (ty_kind(r->m, t) != TY_BUF) return rule_fault(r, "a buffer is needed: %s", rule_text(r, t));
        if (ty_elem(r->m, t) != ty_elem(r->m, rule_in(r, 0)) || !ty_is_float(r->m, t))
            return rule_fault(r, "floats of one type expected: %s", rule_text(r, t));
    }
    TdlType c = rule_in(r, 0), a = rule_in(r, 1);
    bool part = r->d->noperands > 4, sliding = op_attr(r->f, r->op, "taps") != NULL;
    if (r->d->noperands == 5 || (part && !ty_rank(r->m, c))) return rule_fault(r, "a range is two indices, of the first axis of c");
    if (!numbered(r, &l, "axes_c", 0, c, part) || !numbered(r, &l, "axes_b", 2, rule_in(r, 2), false)) return false;
    if (sliding ? !windows(r, &l, a) : !numbered(r, &l, "axes_a", 1, a, false)) return false;
    for (uint32_t i = 0; i < MAX_NUMBERS; i++) {
        if (l.seen[i] && !(l.seen[i] & (l.seen[i] - 1))) return rule_fault(r, "number %u is in one list alone", i);
        bool ranged = part && op_attr(r->f, r->op, "axes_c")->ints[0] == (int64_t)i;
        if (l.seen[i] && !l.size[i].id && !ranged) return rule_fault(r, "number %u has no size", i);
    }
    return true;
}
