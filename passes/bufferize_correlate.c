/* correlate: a `contract` with windows. Its loops are numbered as those of the contraction. */
#include "passes/bufferize.h"

/* What the kernels pack: some vectors of columns. */
enum { ROOM_BYTES = CONTRACT_DEPTH * CONTRACT_TILE_VECTORS * CONTRACT_VECTOR_BYTES };

void buf_CORRELATE(Bufferize *B, TdlOp o) {
    static const char *const lists[] = {"axes_a", "axes_b", "taps", "steps", "dilations"};
    const TdlOpData *d = ir_op(B->f, o);
    TdlVal z = d->results[0];
    TdlElem e = ty_elem(B->m, ir_type(B->f, z));
    TdlDim room = dim_const(B->m, ROOM_BYTES / el_bytes(e));
    int64_t numbers[64];
    if (!buf_is_mem(B, z) || !buf_is_mem(B, d->operands[0]) || !buf_is_mem(B, d->operands[1])) {
        diag_error(B->m->diags, d->span, "correlate: axes expected: a scalar has none");
        return;
    }
    TdlVal packed = buf_alloc(B, ty_tensor(B->m, e, &room, 1));
    TdlVal v[4] = {buf_get(B, z), buf_get(B, d->operands[0]), buf_get(B, d->operands[1]), packed};
    TdlOp c = ir_emit(&B->b, OP_CONTRACT, v, 4, NULL, 0);
    for (uint32_t i = 0; i < ty_rank(B->m, ir_type(B->f, z)); i++) numbers[i] = i;
    op_set_ints(B->g, c, "axes_c", numbers, ty_rank(B->m, ir_type(B->f, z)));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const TdlAttr *list = op_attr(B->f, o, lists[i]);
        op_set_ints(B->g, c, lists[i], list->ints, list->n);
    }
}
