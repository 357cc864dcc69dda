/* Gives tensors memory: loop IR (docs/ir.md says what that is).
 *
 *   %3 = map %2 {(%4: i64)                        for %zero, %2 {(%4: i64)
 *     %5 = index %0, %4 : f64                       %5 = load %0, %4 : f64
 *     %6 = mul %5, %1 : f64                  =>     %6 = mul %5, %1 : f64
 *     yield %6                                      store %6, %out, %4
 *   } : f64[n]                                      yield
 *   return %3                                     } {parallel = 1}
 *
 * Every tensor value belongs to a class of values that share one buffer (bufferize_alias.c). Results are computed
 * where they are wanted: what is returned in the destination of the caller, what a map yields in the row of its
 * result. This file writes the new function: its ports, allocations in front of the first operation of each class,
 * and the walk, with one function an operation (buf_<NAME>).
 *
 * Cost: linear in the size of the function, but for the questions about liveness. */
#include "passes/bufferize.h"
#include <string.h>

/* ---- values ---- */

TdlVal buf_get(const Bufferize *B, TdlVal v)
{
    if (!buf_is_mem(B, v) || B->root[v.id].id != v.id) return B->map[v.id];
    return B->buf[buf_class(B, v.id)];
}

void buf_set(Bufferize *B, TdlVal v, TdlVal to) { B->map[v.id] = to; }

TdlVal buf_op2(Bufferize *B, TdlOpcode c, TdlVal x, TdlVal y) { return ir_emit1(&B->b, c, (TdlVal[]){x, y}, 2); }

TdlVal buf_select(Bufferize *B, TdlVal c, TdlVal x, TdlVal y) { return ir_emit1(&B->b, OP_SELECT, (TdlVal[]){c, x, y}, 3); }

TdlVal buf_float(Bufferize *B, TdlElem e, double v)
{
    return el_is_float(e) ? ir_const_float(&B->b, e, v) : ir_const_int(&B->b, e, (int64_t)v);
}

static void emit_indexed(Bufferize *B, TdlOpcode c, const TdlVal *head, uint32_t nhead, const TdlVal *idx, uint32_t n,
                         const TdlType *type, TdlVal *result)
{
    TdlVals v = {0};
    for (uint32_t i = 0; i < nhead; i++) VEC_PUSH(B->a, v, head[i]);
    for (uint32_t i = 0; i < n; i++) VEC_PUSH(B->a, v, idx[i]);
    TdlOp o = ir_emit(&B->b, c, v.p, v.n, type, type ? 1 : 0);
    if (result) *result = ir_result(B->g, o, 0);
}

TdlVal buf_load(Bufferize *B, TdlVal buf, const TdlVal *idx, uint32_t n)
{
    TdlType t = ty_scalar(B->m, ty_elem(B->m, ir_type(B->g, buf)));
    TdlVal v;
    emit_indexed(B, OP_LOAD, &buf, 1, idx, n, &t, &v);
    return v;
}

void buf_store(Bufferize *B, TdlVal v, TdlVal buf, const TdlVal *idx, uint32_t n)
{
    emit_indexed(B, OP_STORE, (TdlVal[]){v, buf}, 2, idx, n, NULL, NULL);
}

TdlVal buf_view(Bufferize *B, TdlVal buf, const TdlVal *idx, uint32_t n, TdlType result_tensor)
{
    TdlType t = ty_buf(B->m, result_tensor);
    if (n == 0 && ty_eq(t, ir_type(B->g, buf))) return buf;
    TdlVal v;
    emit_indexed(B, OP_VIEW, &buf, 1, idx, n, &t, &v);
    return v;
}

void buf_copy(Bufferize *B, TdlVal dst, TdlVal src) { ir_emit(&B->b, OP_COPY, (TdlVal[]){dst, src}, 2, NULL, 0); }
void buf_fill(Bufferize *B, TdlVal dst, TdlVal scalar) { ir_emit(&B->b, OP_FILL, (TdlVal[]){dst, scalar}, 2, NULL, 0); }

void buf_assert(Bufferize *B, TdlVal cond, const char *kind, const char *msg, const TdlVal *vals, uint32_t n)
{
    TdlVals v = {0};
    VEC_PUSH(B->a, v, cond);
    for (uint32_t i = 0; i < n; i++) VEC_PUSH(B->a, v, vals[i]);
    TdlOp o = ir_emit(&B->b, OP_ASSERT, v.p, v.n, NULL, 0);
    op_set_str(B->g, o, "kind", kind, (uint32_t)strlen(kind));
    op_set_str(B->g, o, "msg", msg, (uint32_t)strlen(msg));
}

/* ---- loops ---- */

BufFor buf_for(Bufferize *B, TdlVal lo, TdlVal hi, const TdlVal *init, uint32_t n)
{
    TdlVals v = {0};
    VEC_PUSH(B->a, v, lo);
    VEC_PUSH(B->a, v, hi);
    TdlType *types = ARENA_ARRAY(B->a, TdlType, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        VEC_PUSH(B->a, v, init[i]);
        types[i] = ir_type(B->g, init[i]);
    }
    BufFor l = {.outer = B->b};
    l.op = ir_emit(&B->b, OP_FOR, v.p, v.n, types, n);
    l.outer = B->b;
    TdlRegion body = ir_op(B->g, l.op)->regions[0];
    l.index = ir_region_arg(B->g, body, ty_scalar(B->m, EL_I64), SYM_NONE);
    for (uint32_t i = 0; i < n; i++) ir_region_arg(B->g, body, types[i], SYM_NONE);
    B->b = ir_at_end(B->g, body, B->b.span);
    return l;
}

TdlVal buf_for_arg(const Bufferize *B, const BufFor *l, uint32_t i)
{
    return ir_region(B->g, ir_op(B->g, l->op)->regions[0])->args.p[i + 1];
}

void buf_yield(Bufferize *B, const TdlVal *v, uint32_t n) { ir_emit(&B->b, OP_YIELD, v, n, NULL, 0); }

void buf_for_end(Bufferize *B, const BufFor *l, const TdlVal *yields, uint32_t n)
{
    buf_yield(B, yields, n);
    TdlSpan span = B->b.span;
    B->b = l->outer;
    B->b.span = span;
}

/* ---- allocation ---- */

/* The last newdim operation of g whose variable the type mentions; 0: none, its size is known at entry. */
typedef struct { Bufferize *B; uint32_t last; } NewdimSearch;

static void find_newdim(void *user, TdlSym var)
{
    NewdimSearch *s = user;
    for (uint32_t i = 0; i < s->B->newdims.n; i++)
        if (sym_eq(s->B->newdim_syms.p[i], var) && i + 1 > s->last) s->last = i + 1;
}

TdlVal buf_alloc(Bufferize *B, TdlType tensor)
{
    NewdimSearch s = {B, 0};
    for (uint32_t i = 0; i < ty_rank(B->m, tensor); i++) dim_vars(B->m, ty_dims(B->m, tensor)[i], find_newdim, &s);
    TdlType t = ty_buf(B->m, tensor);
    if (!s.last) return ir_result(B->g, ir_emit(&B->b, OP_ALLOC, NULL, 0, &t, 1), 0);
    TdlBuilder behind = ir_after(B->g, B->newdims.p[s.last - 1]);
    TdlOp o = ir_emit(&behind, OP_ALLOC, NULL, 0, &t, 1);
    op_set_int(B->g, o, "dynamic", 1);
    /* A later allocation of this dimension goes behind this one, so that the text keeps the order of creation. */
    B->newdims.p[s.last - 1] = o;
    return ir_result(B->g, o, 0);
}

/* What keeps one of the class for the reverse is said of its memory, at the place of what it keeps. */
static void note_saved(Bufferize *B, uint32_t c)
{
    TdlOp alloc = ir_val(B->g, B->buf[c])->def;
    uint32_t v = c;
    do {
        TdlOp def = v < B->f->vals.n ? ir_val(B->f, (TdlVal){v})->def : (TdlOp){0};
        const char *how = def.id ? op_str(B->f, def, "saved") : NULL;
        bool told = op_attr(B->g, alloc, "saved") != NULL; /* that a tape is read is no news */
        if (how && (!told || strcmp(how, "value") != 0)) {
            op_set_str(B->g, alloc, "saved", how, (uint32_t)strlen(how));
            ir_op(B->g, alloc)->span = ir_op(B->f, def)->span;
        }
        v = B->ring[v];
    } while (v != c);
}

/* The buffers of the classes whose first operation is o: a row of something, or memory of their own. */
static void allocate_for(Bufferize *B, TdlOp o)
{
    for (uint32_t c = B->anchor[o.id]; c; c = B->anchor_next[c]) {
        const BufPlace *p = &B->place[c];
        TdlType t = ty_tensor_of(B->m, ir_type(B->f, (TdlVal){c}));
        if (p->set) {
            TdlVals idx = {0};
            for (uint32_t i = 0; i < p->n; i++) VEC_PUSH(B->a, idx, buf_get(B, p->idx[i]));
            B->buf[c] = buf_view(B, buf_get(B, p->parent), idx.p, idx.n, t);
        } else {
            B->buf[c] = buf_alloc(B, t);
            note_saved(B, c);
        }
    }
}

/* ---- moves ---- */

void buf_move(Bufferize *B, BufMoves *moves, uint32_t dst, TdlVal src)
{
    TdlOp def = ir_val(B->f, src)->def;
    if (def.id && ir_op(B->f, def)->code == OP_UNDEF) return;
    if (B->root[src.id].id == src.id && buf_class_of(B, src) == buf_class(B, dst)) return;
    VEC_PUSH(B->a, *moves, ((BufMove){buf_class(B, dst), src}));
}

/* All at once in meaning: a move waits until nobody needs what it overwrites; a cycle is opened by a temporary. */
void buf_moves(Bufferize *B, BufMoves *moves)
{
    uint32_t n = moves->n;
    bool *done = ARENA_ARRAY(B->a, bool, n + 1);
    TdlVal *from = ARENA_ARRAY(B->a, TdlVal, n + 1);
    uint32_t *reads = ARENA_ARRAY(B->a, uint32_t, n + 1); /* class read; 0: a temporary */
    for (uint32_t i = 0; i < n; i++) {
        from[i] = buf_get(B, moves->p[i].src);
        reads[i] = buf_class_of(B, moves->p[i].src);
    }
    for (uint32_t left = n; left;) {
        bool progress = false;
        for (uint32_t i = 0; i < n; i++) {
            bool free = !done[i];
            for (uint32_t k = 0; k < n && free; k++) free = k == i || done[k] || reads[k] != moves->p[i].dst;
            if (!free) continue;
            buf_copy(B, B->buf[moves->p[i].dst], from[i]);
            done[i] = progress = true;
            left--;
        }
        if (progress) continue;
        uint32_t i = 0;
        while (done[i]) i++;
        TdlVal t = buf_alloc(B, ty_tensor_of(B->m, ir_type(B->f, moves->p[i].src)));
        buf_copy(B, t, from[i]);
        from[i] = t;
        reads[i] = 0;
    }
    VEC_CLEAR(*moves);
}

/* ---- walk ---- */

/* Is there a push, in r or below, to a stack that was made outside of `outer`? What a loop carries is where its
 * initial value is. */
static bool pushes_outside(const Bufferize *B, TdlRegion r, TdlRegion outer)
{
    IR_FOREACH_OP(B->f, r, o) {
        const TdlOpData *d = ir_op(B->f, o);
        for (uint32_t i = 0; i < d->noperands; i++) {
            TdlVal v = d->operands[i];
            if (ty_kind(B->m, ir_type(B->f, v)) == TY_STACK && !ir_defined_in(B->f, v, outer)) return true;
        }
        for (uint32_t k = 0; k < d->nregions; k++)
            if (pushes_outside(B, d->regions[k], outer)) return true;
    }
    return false;
}

/* A stack argument of the region itself belongs to the outside although the region defines it. */
static bool carries_stack(const Bufferize *B, TdlRegion r)
{
    const TdlVals *args = &ir_region(B->f, r)->args;
    for (uint32_t i = 0; i < args->n; i++)
        if (ty_kind(B->m, ir_type(B->f, args->p[i])) == TY_STACK) return true;
    return false;
}

/* Does memory of the growing part that this region takes have to go back at its end? */
static bool wants_mark(const Bufferize *B, TdlRegion r)
{
    if (r.id == B->f->body.id || carries_stack(B, r)) return false;
    const TdlOpData *end = ir_op(B->f, ir_terminator(B->f, r));
    for (uint32_t i = 0; i < end->noperands; i++)
        if (ty_kind(B->m, ir_type(B->f, end->operands[i])) == TY_STACK) return false;
    bool any = false;
    IR_FOREACH_OP(B->f, r, o) any |= ir_op(B->f, o)->code == OP_NEWDIM || ir_op(B->f, o)->code == OP_STACKNEW;
    return any && !pushes_outside(B, r, r);
}

static void buf_NEWDIM(Bufferize *B, TdlOp o)
{
    buf_scalar(B, o);
    TdlOp n = ir_val(B->g, buf_get(B, ir_result(B->f, o, 0)))->def;
    VEC_PUSH(B->a, B->newdims, n);
    VEC_PUSH(B->a, B->newdim_syms, intern(B->m->names, op_str(B->f, o, "sym")));
}

typedef void (*BufFn)(Bufferize *, TdlOp);

static void left_over(Bufferize *B, TdlOp o)
{
    diag_error(B->m->diags, ir_op(B->f, o)->span, "bufferize: internal error: operation %s is left in @%s",
               op_info(ir_op(B->f, o)->code)->name, sym_text(B->m->names, B->f->name));
}

#define FN_SCALAR(NAME) [OP_##NAME] = buf_scalar,
#define FN_EXPAND(NAME) [OP_##NAME] = left_over,
#define FN_EARLY(NAME) [OP_##NAME] = left_over,
#define FN_LOOP(NAME) [OP_##NAME] = left_over,
#define FN_STRUCT(NAME) [OP_##NAME] = buf_##NAME,
static const BufFn functions[OP_COUNT] = {
    [OP_NONE] = left_over,
#define OP(NAME, mn, min, max, regs, flags, type, deriv, LOWER, attrs, doc) FN_##LOWER(NAME)
#include "ir/ops.def"
#undef OP
};

static BufFn function_of(TdlOpcode c) { return c == OP_NEWDIM ? buf_NEWDIM : functions[c]; }

TdlVal buf_body(Bufferize *B, TdlRegion src)
{
    TdlVal mark = {0};
    if (wants_mark(B, src)) {
        TdlType i64 = ty_scalar(B->m, EL_I64);
        mark = ir_result(B->g, ir_emit(&B->b, OP_MARK, NULL, 0, &i64, 1), 0);
    }
    TdlOp end = ir_terminator(B->f, src);
    IR_FOREACH_OP(B->f, src, o) {
        if (o.id == end.id) break;
        B->b.span = ir_op(B->f, o)->span;
        allocate_for(B, o);
        function_of(ir_op(B->f, o)->code)(B, o);
    }
    B->b.span = ir_op(B->f, end)->span;
    return mark;
}

void buf_leave(Bufferize *B, TdlVal mark)
{
    if (mark.id) ir_emit(&B->b, OP_RELEASE, &mark, 1, NULL, 0);
}

void buf_scalar(Bufferize *B, TdlOp o)
{
    const TdlOpData *d = ir_op(B->f, o);
    TdlVals v = {0};
    TdlType *types = ARENA_ARRAY(B->a, TdlType, d->nresults + 1u);
    for (uint32_t i = 0; i < d->noperands; i++) VEC_PUSH(B->a, v, buf_get(B, d->operands[i]));
    for (uint32_t i = 0; i < d->nresults; i++) {
        if (buf_is_mem(B, d->results[i])) { left_over(B, o); return; }
        types[i] = ir_type(B->f, d->results[i]);
    }
    TdlOp n = ir_emit(&B->b, d->code, v.p, v.n, types, d->nresults);
    d = ir_op(B->f, o);
    ir_op(B->g, n)->attrs = d->attrs;
    ir_op(B->g, n)->nattrs = d->nattrs;
    for (uint32_t i = 0; i < d->nresults; i++) buf_set(B, d->results[i], ir_result(B->g, n, i));
}

/* ---- the pass ---- */

static void start_function(Bufferize *B)
{
    TdlFunc *f = B->f, *g = B->g;
    g->exported = f->exported;
    g->general = f->general;
    g->at = f->at;
    g->saves = f->saves;
    g->restores = f->restores;
    g->script = f->script;
    g->doc = f->doc;
    for (uint32_t i = 0; i < f->dims.n; i++) VEC_PUSH(B->m->arena, g->dims, f->dims.p[i]);
    B->map = ARENA_ARRAY(B->a, TdlVal, B->nvals);
    B->sum = ARENA_ARRAY(B->a, TdlVal, B->nvals);
    B->adder = ARENA_ARRAY(B->a, TdlOp, B->nvals);
    B->buf = ARENA_ARRAY(B->a, TdlVal, B->nvals);
    B->b = ir_at_end(g, g->body, f->span);
    for (uint32_t i = 0; i < f->params.n; i++) {
        const TdlPort *p = &f->params.p[i];
        TdlVal v = ir_region(f, f->body)->args.p[i];
        bool mem = buf_is_mem(B, v);
        if (p->prior_of >= 0) continue; /* what the destination holds */
        TdlVal w = ir_func_add_param(g, p->name, mem ? ty_buf(B->m, p->type) : p->type, p->doc);
        g->params.p[g->params.n - 1].saved = p->saved;
        if (mem) B->buf[v.id] = w;
        else buf_set(B, v, w);
    }
    for (uint32_t i = 0; i < f->results.n; i++) {
        const TdlPort *p = &f->results.p[i];
        B->buf[buf_dest(B, i)] = ir_func_add_param(g, p->name, ty_buf(B->m, p->type), p->doc);
        TdlPort *q = &g->params.p[g->params.n - 1];
        q->cotangent_of = p->cotangent_of;
        q->out = true;
        q->saved = p->saved;
        buf_over(B, i, q);
    }
    B->zero = ir_const_int(&B->b, EL_I64, 0);
    B->one = ir_const_int(&B->b, EL_I64, 1);
    for (uint32_t i = 0; i < f->results.n; i++) {
        TdlVal *out = &B->buf[buf_dest(B, i)];
        TdlType t = ir_type(g, *out);
        if (f->exported && !f->results.p[i].saved) *out = ir_result(g, ir_emit(&B->b, OP_ALLOC, out, 1, &t, 1), 0);
        B->buf[buf_class(B, buf_dest(B, i))] = *out;
    }
    for (uint32_t i = 0; i < f->params.n; i++) {
        TdlVal v = ir_region(f, f->body)->args.p[i];
        int32_t k = f->params.p[i].prior_of;
        if (k >= 0 && !buf_is_mem(B, v)) buf_set(B, v, buf_load(B, B->buf[buf_dest(B, (uint32_t)k)], NULL, 0));
    }
}

static void finish_function(Bufferize *B)
{
    const TdlOpData *r = ir_op(B->f, ir_terminator(B->f, B->f->body));
    BufMoves moves = {0};
    for (uint32_t i = 0; i < r->noperands; i++)
        if (buf_is_mem(B, r->operands[i])) buf_move(B, &moves, buf_dest(B, i), r->operands[i]);
    buf_moves(B, &moves);
    for (uint32_t i = 0; i < r->noperands; i++)
        if (!buf_is_mem(B, r->operands[i])) buf_store(B, buf_get(B, r->operands[i]), B->buf[buf_class(B, buf_dest(B, i))], NULL, 0);
    ir_emit(&B->b, OP_RETURN, NULL, 0, NULL, 0);
}

/* A C function takes its arguments, then memory for its results. */
static void declare_extern(TdlFunc *f)
{
    for (uint32_t i = 0; i < f->params.n; i++) {
        TdlType t = f->params.p[i].type;
        if (ty_is_scalar(f->module, t)) continue;
        f->params.p[i].type = ty_buf(f->module, t);
        ir_val(f, ir_region(f, f->body)->args.p[i])->type = f->params.p[i].type;
    }
    for (uint32_t i = 0; i < f->results.n; i++) {
        ir_func_add_param(f, f->results.p[i].name, ty_buf(f->module, f->results.p[i].type), NULL);
        f->params.p[f->params.n - 1].out = true;
    }
    f->results.n = 0;
}

static bool bufferize_function(TdlModule *m, TdlFunc *f, const TdlPassOptions *opt)
{
    TdlArena scratch;
    if (f->symbol) {
        declare_extern(f);
        return true;
    }
    arena_init_like(&scratch, m->arena);
    size_t errors = diags_errors(m->diags);
    TdlSym name = f->name;
    Bufferize B = {.opt = opt, .m = m, .f = f, .a = &scratch, .g = ir_func_new(m, ir_fresh(m, sym_text(m->names, name)), f->span)};
    buf_analyse(&B);
    start_function(&B);
    buf_body(&B, f->body);
    finish_function(&B);
    TdlFunc *g = B.g;
    ir_func_remove(m, g);
    *f = *g;
    f->name = name;
    arena_free(&scratch);
    return diags_errors(m->diags) == errors;
}

bool pass_bufferize(TdlModule *m, const TdlPassOptions *opt)
{
    bool ok = true;
    uint32_t n = m->funcs.n;
    for (uint32_t i = 0; i < n; i++) ok &= bufferize_function(m, m->funcs.p[i], opt);
    return ok;
}
