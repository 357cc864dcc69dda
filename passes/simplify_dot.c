/* Contractions read and write any order of axes, so permutations around them go:
 *
 *   %2 = permute %0 {perm = [1, 0]}                 %3 = dot %0, %1 {contract_a = [0], contract_b = [0], ...}
 *   %3 = dot %2, %1 {contract_a = [1], ...}    =>
 *
 * and a permutation that puts the free axes of b in front of those of a becomes `dot b, a`. The result's axes keep the
 * order of the operands' free axes: where that would change, the permutation stays. */
#include "passes/simplify.h"

#include <string.h>

static const char *const BATCH[2] = {"batch_a", "batch_b"}, *const CONTRACTED[2] = {"contract_a", "contract_b"};

static const TdlAttr *list_of(const Simplify *s, TdlOp o, const char *const *keys, int side) { return op_attr(s->f, o, keys[side]); }

static bool is_free(const Simplify *s, TdlOp dot, int side, int64_t axis) {
    return !op_has_int(s->f, dot, BATCH[side], axis) && !op_has_int(s->f, dot, CONTRACTED[side], axis);
}

/* Do the free axes of operand `side` come in the same order with and without its permutation? */
static bool order_kept(const Simplify *s, TdlOp dot, int side, const TdlAttr *perm) {
    int64_t last = -1;
    for (uint32_t i = 0; i < perm->n; i++) {
        if (!is_free(s, dot, side, i)) continue;
        if (perm->ints[i] < last) return false;
        last = perm->ints[i];
    }
    return true;
}

/* The axes of `list` as axes of what `perm` permutes. */
static void set_through(Simplify *s, TdlOp o, const char *key, const TdlAttr *list, const TdlAttr *perm) {
    int64_t *axes = ARENA_ARRAY(&s->scratch, int64_t, list->n + 1);
    for (uint32_t i = 0; i < list->n; i++) axes[i] = perm ? perm->ints[list->ints[i]] : list->ints[i];
    op_set_ints(s->f, o, key, axes, list->n);
}

/* A dot in the place of o, whose note of what is kept for the reverse sweep it takes over. */
static TdlOp dot_for(Simplify *s, TdlOp o, const TdlVal *v) {
    TdlType t = ir_type(s->f, ir_result(s->f, o, 0));
    TdlBuilder b = ir_before(s->f, o);
    TdlOp n = ir_emit(&b, OP_DOT, v, 2, &t, 1);
    const char *saved = op_str(s->f, o, "saved");
    if (saved) op_set_str(s->f, n, "saved", saved, (uint32_t)strlen(saved));
    if (op_int(s->f, o, "redone", 0)) op_set_int(s->f, n, "redone", 1);
    return n;
}

TdlVal sm_dot(Simplify *s, TdlOp o) {
    TdlVal v[2];
    const TdlAttr *perm[2] = {NULL, NULL};
    for (int side = 0; side < 2; side++) {
        v[side] = sm_operand(s, o, (uint32_t)side);
        TdlOp p = sm_def(s, v[side], OP_PERMUTE);
        if (!p.id || !order_kept(s, o, side, op_attr(s->f, p, "perm"))) continue;
        perm[side] = op_attr(s->f, p, "perm");
        v[side] = sm_operand(s, p, 0);
    }
    if (!perm[0] && !perm[1]) return (TdlVal){0};
    TdlOp n = dot_for(s, o, v);
    for (int side = 0; side < 2; side++) {
        set_through(s, n, BATCH[side], list_of(s, o, BATCH, side), perm[side]);
        set_through(s, n, CONTRACTED[side], list_of(s, o, CONTRACTED, side), perm[side]);
    }
    return ir_result(s->f, n, 0);
}

TdlVal sm_permuted_dot(Simplify *s, TdlOp o, TdlOp dot) {
    const TdlAttr *perm = op_attr(s->f, o, "perm");
    TdlVal product = ir_result(s->f, dot, 0);
    if (product.id >= s->ncounted || s->uses[product.id] != 1) return (TdlVal){0};
    uint32_t nb = list_of(s, dot, BATCH, 0)->n, nk = list_of(s, dot, CONTRACTED, 0)->n;
    uint32_t na = ty_rank(s->m, ir_type(s->f, sm_operand(s, dot, 0))) - nb - nk;
    for (uint32_t i = 0; i < perm->n; i++) {
        uint32_t nfree_b = perm->n - nb - na;
        uint32_t want = i < nb ? i : i < nb + nfree_b ? i + na : i - nfree_b;
        if (perm->ints[i] != (int64_t)want) return (TdlVal){0};
    }
    TdlVal v[2] = {sm_operand(s, dot, 1), sm_operand(s, dot, 0)};
    TdlOp n = dot_for(s, o, v);
    for (int side = 0; side < 2; side++) {
        set_through(s, n, BATCH[side], list_of(s, dot, BATCH, 1 - side), NULL);
        set_through(s, n, CONTRACTED[side], list_of(s, dot, CONTRACTED, 1 - side), NULL);
    }
    return ir_result(s->f, n, 0);
}
