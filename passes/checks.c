/* Settles every operation that can fail at run time.
 *
 *   %5 = index %0, %4 : f64   =>   %5 = index %0, %4 {inbounds = 1} : f64
 *
 * and, where no proof is found, an assert in front: of the loops where that is possible, so that inner loops stay
 * free of branches, else of the operation. What can fail: an index out of range (index, update, accadd), an integer
 * division by zero, a negative integer power, a tensor of negative extent, a run-time dimension below zero, and max,
 * min, argmax, argmin of nothing (with a filter: counted by bufferize). After this pass every index, update and
 * accadd is inbounds. The user's place is kept: the assert has the span of the operation.
 *
 * Cost: for each operation, a few polynomials for each loop around it. */
#include "passes/checks.h"
#include <stdio.h>
#include <string.h>

bool chk_proved(const Checks *c, TdlOp index) {
    return op_int(c->f, index, "inbounds", 0) && (index.id >= c->nops || !c->unproved[index.id]);
}

static bool in_range(Checks *c, TdlOp at, TdlDim v, TdlDim size) {
    TdlModule *m = c->m;
    return chk_nonneg(c, at, v) && chk_nonneg(c, at, dim_sub(m, dim_sub(m, size, v), dim_const(m, 1)));
}

bool chk_in_range(Checks *c, TdlOp at, TdlVal v, TdlDim size) {
    TdlDim x = chk_expr(c, v), wrapping = chk_expr_wrapping(c, v);
    return in_range(c, at, x, size) || (!dim_eq(wrapping, x) && in_range(c, at, wrapping, size));
}

/* Writes a check unless it is certainly passed; true when that is proved. */
static bool settle(Checks *c, const ChkCheck *k) {
    TdlModule *m = c->m;
    c->at = k->at;
    TdlDim v = chk_expr(c, k->value), zero = dim_const(m, 0), one = dim_const(m, 1);
    bool ok = false;
    switch (k->test) {
    case CHECK_RANGE: ok = chk_in_range(c, k->at, k->value, k->size); break;
    case CHECK_NONNEG: ok = chk_nonneg(c, k->at, v); break;
    case CHECK_POSITIVE: ok = chk_nonneg(c, k->at, dim_sub(m, v, one)); break;
    case CHECK_NONZERO:
        ok = chk_nonneg(c, k->at, dim_sub(m, v, one)) ||
             chk_nonneg(c, k->at, dim_sub(m, dim_sub(m, zero, v), one));
        break;
    }
    if (!ok && !chk_hoist(c, k)) chk_in_place(c, k);
    return ok;
}

static void check_index(Checks *c, TdlOp o, uint32_t first) {
    if (op_int(c->f, o, "inbounds", 0)) return;
    TdlVal x = ir_op(c->f, o)->operands[0];
    uint32_t n = ir_op(c->f, o)->noperands - first;
    TdlType t = ty_tensor_of(c->m, ir_type(c->f, x));
    bool proved = true;
    for (uint32_t i = 0; i < n; i++) {
        ChkCheck k = {.at = o, .value = ir_op(c->f, o)->operands[first + i], .test = CHECK_RANGE, .kind = "index",
                      .size = ty_dims(c->m, t)[i]};
        k.msg = arena_printf(c->a, "index {} is out of range for axis %u of size {}", i);
        k.msg_any = arena_printf(c->a, "an index is out of range for axis %u of size {}", i);
        proved &= settle(c, &k);
    }
    if (!proved && o.id < c->nops) c->unproved[o.id] = true;
    op_set_int(c->f, o, "inbounds", 1);
}

static void check_extents(Checks *c, TdlOp o, ChkTest test, const char *kind, const char *msg, const char *msg_any) {
    uint32_t n = ir_op(c->f, o)->noperands;
    for (uint32_t i = 0; i < n; i++)
        settle(c, &(ChkCheck){.at = o, .value = ir_op(c->f, o)->operands[i], .test = test, .kind = kind, .msg = msg,
                              .msg_any = msg_any});
}

static void check_operand(Checks *c, TdlOp o, uint32_t i, ChkTest test, const char *kind, const char *msg) {
    settle(c, &(ChkCheck){.at = o, .value = ir_op(c->f, o)->operands[i], .test = test, .kind = kind, .msg = msg, .msg_any = msg});
}

static bool is_scalar_int(const Checks *c, TdlVal v) {
    TdlType t = ir_type(c->f, v);
    return ty_is_scalar(c->m, t) && el_is_int(ty_elem(c->m, t));
}

static bool fails_when_empty(const Checks *c, TdlOp o) {
    const char *kind = op_str(c->f, o, "kind");
    return !op_int(c->f, o, "filter", 0) && !op_int(c->f, o, "empty", 0) && kind && (strstr(kind, "max") || strstr(kind, "min"));
}

static void check_op(Checks *c, TdlOp o) {
    const TdlOpData *d = ir_op(c->f, o);
    switch ((int)d->code) {
    case OP_INDEX: check_index(c, o, 1); break;
    case OP_UPDATE: case OP_ACCADD: check_index(c, o, 2); break;
    case OP_MAP: /* without results it builds nothing: a negative extent is empty */
        if (d->nresults) check_extents(c, o, CHECK_NONNEG, "dim", "a tensor of negative size {}",
                                       "a tensor of negative size");
        break;
    case OP_REDUCE:
        if (fails_when_empty(c, o))
            check_extents(c, o, CHECK_POSITIVE, "empty", "max, min, argmax or argmin of nothing",
                          "max, min, argmax or argmin of nothing");
        break;
    case OP_NEWDIM: check_operand(c, o, 0, CHECK_NONNEG, "dim", "a dimension is negative"); break;
    case OP_FLOORDIV: case OP_MOD:
        if (is_scalar_int(c, d->operands[1])) check_operand(c, o, 1, CHECK_NONZERO, "domain", "integer division by zero");
        break;
    case OP_POW:
        if (is_scalar_int(c, d->operands[1])) check_operand(c, o, 1, CHECK_NONNEG, "domain", "integer to a negative power");
        break;
    default: break;
    }
}

static void check_region(Checks *c, TdlRegion r) {
    IR_FOREACH_OP(c->f, r, o) {
        check_op(c, o);
        if (ir_op(c->f, o)->code == OP_NEWDIM) {
            VEC_PUSH(c->a, c->dim_syms, intern(c->m->names, op_str(c->f, o, "sym")));
            VEC_PUSH(c->a, c->dim_ops, o);
        }
        for (uint32_t k = 0; k < ir_op(c->f, o)->nregions; k++) check_region(c, ir_op(c->f, o)->regions[k]);
    }
}

bool pass_checks(TdlModule *m, const TdlPassOptions *opt) {
    (void)opt;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        Checks c = {.m = m, .f = m->funcs.p[i], .a = &scratch, .nops = m->funcs.p[i]->ops.n};
        c.unproved = ARENA_ARRAY(&scratch, bool, c.nops);
        check_region(&c, c.f->body);
        arena_free(&scratch);
    }
    return true;
}
