/* widen: f16 and bf16 are storage. Arithmetic on them is done in f32, and what it gives is rounded where it is kept:
 * yielded, carried, written into a tensor, returned. Sums, contractions and accumulators are f32 from first to last.
 *
 *     %3 = mul %1, %2 : f16          %5 = cast %1 {to = f32} : f32   %6 = cast %2 {to = f32} : f32
 *     %4 = exp %3 : f16         =>   %3 = mul %5, %6 : f32           %4 = exp %3 : f32
 *     yield %4                       %7 = cast %4 {to = f16} : f16   yield %7
 *
 * A constant operand is an f32 constant: it is not rounded to 16 bits first. A cast that the program asks for rounds. Cost
 * is linear. Afterwards the only operations that look inside a 16-bit float are casts. */
#include "passes/pass.h"

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    TdlArena *a;
    TDL_VEC(TdlOp) ops; /* to be widened, in the order of the text */
    TdlVal *rounded;    /* by value id, of widened results: the same rounded; 0: others */
    uint32_t nrounded;
} Widen;

static bool small(const Widen *w, TdlVal v)
{
    TdlType t = ir_type(w->f, v);
    TdlTypeKind k = ty_kind(w->m, t);
    if (k != TY_TENSOR && k != TY_ACC) return false;
    TdlElem e = ty_elem(w->m, t);
    return e == EL_F16 || e == EL_BF16;
}

/* Operations that keep or hand on a float as it is. */
static bool moves(TdlOpcode c)
{
    switch (c) {
    case OP_CONST: case OP_UNDEF: case OP_CAST: case OP_RESHAPE: case OP_PERMUTE: case OP_SLICE: case OP_UPSLICE:
    case OP_CONCAT: case OP_STACK: case OP_GATHER: case OP_TAKE: case OP_INDEX: case OP_UPDATE: case OP_MAP: case OP_FOR: case OP_WHILE: case OP_IF: case OP_CHECKPOINT: case OP_YIELD:
    case OP_RETURN:
    case OP_STACKNEW: case OP_PUSH: case OP_POP: case OP_CALL: case OP_PATTERN: case OP_PRINT: return true;
    default: return false;
    }
}

static void collect(void *user, TdlFunc *f, TdlOp o)
{
    Widen *w = user;
    const TdlOpData *d = ir_op(f, o);
    bool any = false;
    for (uint32_t i = 0; i < d->noperands; i++) any |= small(w, d->operands[i]);
    for (uint32_t i = 0; i < d->nresults; i++) any |= small(w, d->results[i]);
    if (d->code == OP_REDUCE) any |= small(w, ir_op(f, ir_terminator(f, d->regions[0]))->operands[0]); /* argmax: an integer of it */
    if (any && !moves(d->code)) VEC_PUSH(w->a, w->ops, o);
}

/* v in f32, in front of the builder's place. */
static TdlVal widened(Widen *w, TdlBuilder *b, TdlVal v)
{
    TdlOp def = ir_val(w->f, v)->def;
    TdlOpcode code = def.id ? ir_op(w->f, def)->code : OP_NONE;
    if (code == OP_CONST) return ir_const_float(b, EL_F32, op_attr(w->f, def, "value")->f);
    if (code == OP_BROADCAST) {
        TdlVal x = ir_op(w->f, def)->operands[0];
        TdlOp inner = ir_val(w->f, x)->def;
        if (inner.id && ir_op(w->f, inner)->code == OP_CONST)
            return ir_full(b, widened(w, b, x), ty_with_elem(w->m, ir_type(w->f, v), EL_F32));
    }
    return ir_cast(b, v, EL_F32);
}

static void widen_operands(Widen *w, TdlOp o)
{
    TdlBuilder b = ir_before(w->f, o);
    b.grad_fn = SYM_NONE;
    for (uint32_t i = 0; i < ir_op(w->f, o)->noperands; i++) {
        TdlVal v = ir_op(w->f, o)->operands[i];
        if (!small(w, v) || ty_kind(w->m, ir_type(w->f, v)) != TY_TENSOR) continue;
        TdlVal x = widened(w, &b, v);
        ir_op(w->f, o)->operands[i] = x;
    }
}

/* The first n results are computed in f32; a cast behind the operation rounds each for those that keep it. */
static void widen_results(Widen *w, TdlOp o, uint32_t n)
{
    TdlBuilder b = ir_after(w->f, o);
    b.grad_fn = SYM_NONE;
    for (uint32_t i = 0; i < n; i++) {
        TdlVal r = ir_op(w->f, o)->results[i];
        if (!small(w, r)) continue;
        TdlElem e = ty_elem(w->m, ir_type(w->f, r));
        ir_val(w->f, r)->type = ty_with_elem(w->m, ir_type(w->f, r), EL_F32);
        w->rounded[r.id] = ir_cast(&b, r, e);
    }
}

/* A reduction combines what its body yields in f32: once the body is widened. */
static void widen_yield(Widen *w, TdlOp o)
{
    if (ir_op(w->f, o)->code != OP_REDUCE) return;
    widen_operands(w, ir_terminator(w->f, ir_op(w->f, o)->regions[0]));
}

static void widen_accumulators(Widen *w, TdlOp o)
{
    const TdlVals *args = &ir_region(w->f, ir_op(w->f, o)->regions[0])->args;
    for (uint32_t i = 0; i < args->n; i++) {
        TdlValData *v = ir_val(w->f, args->p[i]);
        if (small(w, args->p[i])) v->type = ty_acc(w->m, ty_with_elem(w->m, ty_tensor_of(w->m, v->type), EL_F32));
    }
}

static void widen(Widen *w, TdlOp o)
{
    TdlOpcode code = ir_op(w->f, o)->code;
    widen_operands(w, o);
    if (code == OP_WITHACC) widen_accumulators(w, o);
    widen_results(w, o, code == OP_WITHACC ? ir_op(w->f, o)->noperands : ir_op(w->f, o)->nresults);
}

/* What keeps a float gets it rounded. The yield of a reduction keeps nothing, the casts that round are made here. */
static void round_operands(void *user, TdlFunc *f, TdlOp o)
{
    Widen *w = user;
    TdlOp around = ir_region(f, ir_op(f, o)->parent)->parent;
    TdlOpcode code = ir_op(f, o)->code;
    if (!moves(code) || (code == OP_YIELD && ir_op(f, around)->code == OP_REDUCE)) return;
    for (uint32_t i = 0; i < ir_op(f, o)->noperands; i++) {
        TdlVal *v = &ir_op(f, o)->operands[i];
        if (v->id >= w->nrounded || !w->rounded[v->id].id) continue;
        if (w->rounded[v->id].id != (ir_op(f, o)->nresults ? ir_op(f, o)->results[0].id : 0)) *v = w->rounded[v->id];
    }
}

static void widen_function(TdlModule *m, TdlFunc *f, TdlArena *scratch)
{
    Widen w = {.m = m, .f = f, .a = scratch, .nrounded = f->vals.n};
    ir_walk(f, f->body, collect, &w);
    if (!w.ops.n) return;
    w.rounded = ARENA_ARRAY(scratch, TdlVal, f->vals.n);
    for (uint32_t i = 0; i < w.ops.n; i++) widen(&w, w.ops.p[i]);
    for (uint32_t i = 0; i < w.ops.n; i++) widen_yield(&w, w.ops.p[i]);
    ir_walk(f, f->body, round_operands, &w);
}

bool pass_widen(TdlModule *m, const TdlPassOptions *opt)
{
    (void)opt;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        widen_function(m, m->funcs.p[i], &scratch);
        arena_free(&scratch);
    }
    return true;
}
