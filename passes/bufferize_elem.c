/* Elements, accumulation, stacks, calls and effects. */
#include "passes/bufferize.h"
#include <stdio.h>
#include <string.h>

static TdlVals gets(Bufferize *B, const TdlVal *v, uint32_t n)
{
    TdlVals out = {0};
    for (uint32_t i = 0; i < n; i++) VEC_PUSH(B->a, out, buf_get(B, v[i]));
    return out;
}

/* 0 <= idx[i] < size of axis i, for an operation that pass `checks` did not settle. */
static void check_bounds(Bufferize *B, TdlOp o, TdlType t, const TdlVals *idx)
{
    if (op_int(B->f, o, "inbounds", 0)) return;
    for (uint32_t i = 0; i < idx->n; i++) {
        TdlVal size = ir_dim(&B->b, ty_dims(B->m, t)[i]);
        TdlVal ok = buf_op2(B, OP_AND, buf_op2(B, OP_GE, idx->p[i], B->zero), buf_op2(B, OP_LT, idx->p[i], size));
        char msg[80];
        snprintf(msg, sizeof msg, "index {} is out of range for axis %u of size {}", i);
        buf_assert(B, ok, "index", msg, (TdlVal[]){idx->p[i], size}, 2);
    }
}

void buf_INDEX(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVals idx = gets(B, d->operands + 1, d->noperands - 1u);
    TdlVal x = d->operands[0], y = d->results[0];
    check_bounds(B, o, ir_type(B->f, x), &idx);
    if (!buf_is_mem(B, x)) buf_set(B, y, buf_get(B, x));
    else if (buf_is_mem(B, y)) buf_set(B, y, buf_view(B, buf_get(B, x), idx.p, idx.n, ir_type(B->f, y)));
    else buf_set(B, y, buf_load(B, buf_get(B, x), idx.p, idx.n));
}

void buf_UPDATE(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVal x = d->operands[0], v = d->operands[1], y = d->results[0];
    TdlVals idx = gets(B, d->operands + 2, d->noperands - 2u);
    check_bounds(B, o, ir_type(B->f, x), &idx);
    if (!buf_is_mem(B, y)) { buf_set(B, y, buf_get(B, v)); return; }
    BufMoves moves = {0};
    buf_move(B, &moves, y.id, x);
    buf_moves(B, &moves);
    TdlVal to = buf_get(B, y);
    if (buf_in_row(B, v, o, y)) return;
    if (buf_is_mem(B, v)) buf_copy(B, buf_view(B, to, idx.p, idx.n, ir_type(B->f, v)), buf_get(B, v));
    else buf_store(B, buf_get(B, v), to, idx.p, idx.n);
}

/* acc[idx, ...] += v, element by element when v is a tensor. */
void buf_ACCADD(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVal acc = d->operands[0], v = d->operands[1];
    TdlVals idx = gets(B, d->operands + 2, d->noperands - 2u);
    check_bounds(B, o, ty_tensor_of(B->m, ir_type(B->f, acc)), &idx);
    if (B->sum[acc.id].id) { B->sum[acc.id] = buf_op2(B, OP_ADD, B->sum[acc.id], buf_get(B, v)); return; }
    TdlVal to = buf_get(B, acc), from = buf_get(B, v);
    uint32_t rank = buf_is_mem(B, v) ? ty_rank(B->m, ir_type(B->f, v)) : 0;
    BufFor *l = ARENA_ARRAY(B->a, BufFor, rank + 1);
    TdlVals at = {0};
    for (uint32_t i = 0; i < rank; i++) {
        TdlVal size = ir_dim(&B->b, ty_dims(B->m, ir_type(B->f, v))[i]);
        l[i] = buf_for(B, B->zero, size, NULL, 0);
        op_set_int(B->g, l[i].op, "parallel", 1);
        VEC_PUSH(B->a, at, l[i].index);
        VEC_PUSH(B->a, idx, l[i].index);
    }
    if (rank) from = buf_load(B, from, at.p, at.n);
    TdlVal old = buf_load(B, to, idx.p, idx.n);
    buf_store(B, buf_op2(B, OP_ADD, old, from), to, idx.p, idx.n);
    for (uint32_t i = rank; i-- > 0;) buf_for_end(B, &l[i], NULL, 0);
}

/* A tensor that is never looked at needs no contents; a stack that is never looked at is an empty one. */
void buf_UNDEF(Bufferize *B, TdlOp o)
{
    TdlVal y = ir_result(B->f, o, 0);
    if (!buf_is_mem(B, y)) buf_scalar(B, o);
}

/* ---- stacks ---- */

void buf_STACKNEW(Bufferize *B, TdlOp o) { buf_scalar(B, o); }
void buf_PUSH(Bufferize *B, TdlOp o) { buf_scalar(B, o); }

/* Tensors come out as buffers inside the stack and are copied: the next push may overwrite them. */
void buf_POP(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVal s = buf_get(B, d->operands[0]);
    TdlType *types = ARENA_ARRAY(B->a, TdlType, d->nresults + 1u);
    for (uint32_t i = 0; i < d->nresults; i++) {
        TdlType t = ir_type(B->f, d->results[i]);
        types[i] = buf_is_mem(B, d->results[i]) ? ty_buf(B->m, t) : t;
    }
    TdlOp pop = ir_emit(&B->b, OP_POP, &s, 1, types, d->nresults);
    for (uint32_t i = 0; i < d->nresults; i++) {
        TdlVal v = ir_result(B->g, pop, i);
        if (buf_is_mem(B, d->results[i])) buf_copy(B, buf_get(B, d->results[i]), v);
        else buf_set(B, d->results[i], v);
    }
}

/* ---- between the halves of a split function ---- */

void buf_SAVE(Bufferize *B, TdlOp o)
{
    TdlVal v = buf_get(B, ir_op(B->f, o)->operands[0]);
    ir_emit(&B->b, OP_SAVE, &v, 1, NULL, 0);
}

/* Memory of the saved state: never written. */
void buf_RESTORE(Bufferize *B, TdlOp o)
{
    TdlVal v = ir_result(B->f, o, 0);
    TdlType t = ir_type(B->f, v);
    if (buf_is_mem(B, v)) t = ty_buf(B->m, t);
    TdlVal w = ir_result(B->g, ir_emit(&B->b, OP_RESTORE, NULL, 0, &t, 1), 0);
    if (buf_is_mem(B, v)) B->buf[buf_class(B, v.id)] = w;
    else buf_set(B, v, w);
}

/* ---- calls and effects ---- */

void buf_CALL(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVals v = gets(B, d->operands, d->noperands);
    for (uint32_t i = 0; i < d->nresults; i++) {
        TdlVal y = d->results[i];
        VEC_PUSH(B->a, v, buf_is_mem(B, y) ? buf_get(B, y) : buf_alloc(B, ir_type(B->f, y)));
    }
    TdlOp call = ir_emit(&B->b, OP_CALL, v.p, v.n, NULL, 0);
    ir_op(B->g, call)->attrs = d->attrs;
    ir_op(B->g, call)->nattrs = d->nattrs;
    for (uint32_t i = 0; i < d->nresults; i++)
        if (!buf_is_mem(B, d->results[i])) buf_set(B, d->results[i], buf_load(B, v.p[d->noperands + i], NULL, 0));
}

void buf_ASSERT(Bufferize *B, TdlOp o) { buf_scalar(B, o); }
void buf_PRINT(Bufferize *B, TdlOp o) { buf_scalar(B, o); }
