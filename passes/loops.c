/* Sums, memory, perfect nests and marks in loop IR: what passes `threads`, `vector` and `jam` share. */
#include "passes/loops.h"

/* The operands of two accesses name the same element. */
static bool same_place(const TdlFunc *f, TdlOp load, TdlOp store) {
    const TdlOpData *a = ir_op(f, load), *b = ir_op(f, store);
    if (a->noperands + 1 != b->noperands) return false;
    for (uint32_t i = 0; i < a->noperands; i++)
        if (a->operands[i].id != b->operands[i + 1].id) return false;
    return true;
}

TdlOp sum_added_to(const TdlFunc *f, const uint32_t *uses, TdlOp store) {
    TdlVal value = ir_op(f, store)->operands[0];
    TdlOp add = ir_val(f, value)->def;
    if (!add.id || uses[value.id] != 1 || op_int(f, add, "exact", 0)) return (TdlOp){0};
    TdlOpcode code = ir_op(f, add)->code;
    for (uint32_t k = 0; k < 2; k++) {
        if (code != OP_ADD && !(code == OP_SUB && k == 0)) continue;
        TdlVal x = ir_op(f, add)->operands[k];
        TdlOp load = ir_val(f, x)->def;
        if (load.id && ir_op(f, load)->code == OP_LOAD && uses[x.id] == 1 && same_place(f, load, store)) return load;
    }
    return (TdlOp){0};
}

TdlVal memory_of(const TdlFunc *f, TdlVal buf) {
    TdlVal root = ir_viewed(f, buf);
    TdlOp def = ir_val(f, root)->def;
    bool dest = def.id && ir_op(f, def)->code == OP_ALLOC && ir_op(f, def)->noperands;
    return dest ? ir_op(f, def)->operands[0] : root;
}

const TdlPort *port_of(const TdlFunc *f, TdlVal buf) {
    const TdlValData *d = ir_val(f, buf);
    return !d->def.id && d->region.id == f->body.id && d->index < f->params.n ? &f->params.p[d->index] : NULL;
}

/* ---- perfect nests ---- */

/* Goes up by one, to the end, and carries nothing. */
static bool is_plain(const TdlFunc *f, TdlOp o) {
    return ir_op(f, o)->code == OP_FOR && ir_op(f, o)->noperands == 2 && !op_int(f, o, "exit", 0) && !op_int(f, o, "down", 0) &&
           !op_attr(f, o, "vector") && !op_attr(f, o, "threads");
}

TdlOp nest_child(const TdlFunc *f, TdlOp o) {
    TdlOp child = {0}, none = {0};
    if (!is_plain(f, o)) return none;
    TdlRegion body = ir_op(f, o)->regions[0];
    TdlOp end = ir_terminator(f, body);
    IR_FOREACH_OP(f, body, k) {
        TdlOpcode code = ir_op(f, k)->code;
        if (k.id == end.id) continue;
        if (!child.id && is_plain(f, k)) child = k;
        else if (child.id || (code != OP_CONST && code != OP_DIM)) return none;
    }
    for (uint32_t i = 0; child.id && i < 2; i++) {
        TdlVal bound = ir_op(f, child)->operands[i];
        TdlOp def = ir_val(f, bound)->def;
        bool outside = !ir_defined_in(f, bound, body);
        if (!outside && (!def.id || (ir_op(f, def)->code != OP_CONST && ir_op(f, def)->code != OP_DIM))) return none;
    }
    return child;
}

void nest_interchange(TdlFunc *f, TdlOp outer, TdlOp inner) {
    TdlRegion ro = ir_op(f, outer)->regions[0], ri = ir_op(f, inner)->regions[0];
    IR_FOREACH_OP(f, ro, k) {   /* constants and dimensions in between move out */
        if (k.id == inner.id) break;
        ir_move_before(f, k, outer);
    }
    for (uint32_t i = 0; i < 2; i++) {
        TdlVal x = ir_op(f, outer)->operands[i];
        ir_op(f, outer)->operands[i] = ir_op(f, inner)->operands[i];
        ir_op(f, inner)->operands[i] = x;
    }
    TdlVal a = ir_region(f, ro)->args.p[0], b = ir_region(f, ri)->args.p[0];
    ir_region(f, ro)->args.p[0] = b;
    ir_region(f, ri)->args.p[0] = a;
    ir_val(f, a)->region = ri;
    ir_val(f, b)->region = ro;
    int64_t po = op_int(f, outer, "parallel", 0), pi = op_int(f, inner, "parallel", 0);
    op_unset(f, outer, "parallel");
    op_unset(f, inner, "parallel");
    if (pi) op_set_int(f, outer, "parallel", 1);
    if (po) op_set_int(f, inner, "parallel", 1);
}

/* ---- marks around nothing ---- */

static bool takes_memory(const TdlFunc *f, TdlRegion r) {
    IR_FOREACH_OP(f, r, o) {
        const TdlOpData *d = ir_op(f, o);
        if (d->code == OP_CALL || d->code == OP_STACKNEW || d->code == OP_PUSH) return true;
        if (d->code == OP_ALLOC && op_int(f, o, "dynamic", 0)) return true;
        for (uint32_t i = 0; i < d->nregions; i++)
            if (takes_memory(f, d->regions[i])) return true;
    }
    return false;
}

void drop_marks(TdlFunc *f, TdlRegion r) {
    bool takes = takes_memory(f, r);
    IR_FOREACH_OP(f, r, o) {
        const TdlOpData *d = ir_op(f, o);
        for (uint32_t i = 0; i < d->nregions; i++) drop_marks(f, ir_op(f, o)->regions[i]);
        if (!takes && ir_op(f, o)->code == OP_RELEASE) ir_remove(f, o);
    }
    if (takes) return;
    IR_FOREACH_OP(f, r, o) {
        if (ir_op(f, o)->code == OP_MARK) ir_remove(f, o);
    }
}
