/* Whole-tensor operations become nests over scalars.
 *
 * What: every operation whose LOWER column says EXPAND, and every ELEMENTWISE one on a tensor of rank > 0, is
 * replaced by map, reduce, for, if and index arithmetic on scalars. Afterwards ELEMENTWISE operations are scalar and
 * tensors are touched by index, update, accadd, dot, sort, calls and control flow alone.
 * Why: one form for the fuser to work on, and nothing about shapes left for code generation.
 * Each operation becomes a nest of its own; making few of them is what `fuse` is for.
 * Cost: one visit an operation. Replaced values are exchanged at the end, in one walk.
 *
 *     %1 = permute %0 {perm = [1, 0]} : f64[k, n]
 *   =>
 *     %1 = dim {d = k} : i64
 *     %2 = dim {d = n} : i64
 *     %3 = map %1, %2 {(%4: i64, %5: i64)
 *       %6 = index %0, %5, %4 {inbounds = 1} : f64
 *       yield %6
 *     } : f64[k, n]
 */
#include "passes/expand.h"
#include "passes/pass.h"

#include <math.h>
#include <string.h>

/* ---- nests ---- */

static ExpandNest open_nest(ExpandCtx *c, TdlBuilder *b, TdlOpcode code, const TdlDim *dims, uint32_t n, TdlType result) {
    if (!n) return (ExpandNest){.in = *b};
    TdlFunc *f = c->f;
    TdlArena *a = c->m->arena;
    TdlVal *ext = ARENA_ARRAY(c->scratch, TdlVal, n);
    for (uint32_t i = 0; i < n; i++) ext[i] = ir_dim(b, dims[i]);
    ExpandNest nest = {.op = ir_emit(b, code, ext, n, &result, 1), .n = n};
    TdlRegion r = ir_op(f, nest.op)->regions[0];
    nest.in = ir_at_end(f, r, b->span);
    nest.idx = ARENA_ARRAY(a, TdlVal, n);
    for (uint32_t i = 0; i < n; i++) nest.idx[i] = ir_region_arg(f, r, ty_scalar(c->m, EL_I64), SYM_NONE);
    return nest;
}

ExpandNest ex_map_of(ExpandCtx *c, TdlBuilder *b, const TdlDim *dims, uint32_t n, TdlType t) {
    return open_nest(c, b, OP_MAP, dims, n, ty_prepend(c->m, t, dims, n));
}

ExpandNest ex_map(ExpandCtx *c, TdlBuilder *b, const TdlDim *dims, uint32_t n, TdlElem e) {
    return ex_map_of(c, b, dims, n, ty_scalar(c->m, e));
}

ExpandNest ex_reduce(ExpandCtx *c, TdlBuilder *b, const TdlDim *dims, uint32_t n, TdlType t, const char *kind) {
    ExpandNest nest = open_nest(c, b, OP_REDUCE, dims, n, t);
    if (nest.op.id) op_set_str(c->f, nest.op, "kind", kind, (uint32_t)strlen(kind));
    return nest;
}

TdlVal ex_close(ExpandNest *n, TdlVal v) {
    if (!n->op.id) return v;
    ex_yield(&n->in, &v, 1);
    return ir_result(n->in.f, n->op, 0);
}

/* ---- helpers ---- */

void ex_yield(TdlBuilder *b, const TdlVal *v, uint32_t n) { ir_emit(b, OP_YIELD, v, n, NULL, 0); }

TdlVal ex_index(TdlBuilder *b, TdlVal x, const TdlVal *idx, uint32_t n, bool inbounds) {
    TdlVal v = ir_index(b, x, idx, n);
    if (n && inbounds) op_set_int(b->f, ir_val(b->f, v)->def, "inbounds", 1);
    return v;
}

TdlVal ex_update(TdlBuilder *b, TdlVal x, TdlVal v, const TdlVal *idx, uint32_t n, bool inbounds) {
    TdlVal r = ir_update(b, x, v, idx, n);
    if (n && inbounds) op_set_int(b->f, ir_val(b->f, r)->def, "inbounds", 1);
    return r;
}

bool ex_const_int(const TdlFunc *f, TdlVal v, int64_t *c) {
    TdlOp o = ir_val(f, v)->def;
    const TdlAttr *a = o.id && ir_op(f, o)->code == OP_CONST ? op_attr(f, o, "value") : NULL;
    return a && a->kind == ATTR_INT && (*c = a->i, true);
}

TdlVal ex_add(TdlBuilder *b, TdlVal x, TdlVal y) {
    int64_t c;
    if (ex_const_int(b->f, x, &c) && c == 0) return y;
    if (ex_const_int(b->f, y, &c) && c == 0) return x;
    return ir_binary(b, OP_ADD, x, y);
}

TdlVal ex_mul(TdlBuilder *b, TdlVal x, TdlVal y) {
    int64_t c;
    if (ex_const_int(b->f, x, &c) && c == 1) return y;
    if (ex_const_int(b->f, y, &c) && c == 1) return x;
    return ir_binary(b, OP_MUL, x, y);
}

TdlOp ex_if(TdlBuilder *b, TdlVal cond, TdlType t, TdlBuilder *yes, TdlBuilder *no) {
    TdlOp o = ir_emit(b, OP_IF, &cond, 1, &t, 1);
    *yes = ir_at_end(b->f, ir_op(b->f, o)->regions[0], b->span);
    *no = ir_at_end(b->f, ir_op(b->f, o)->regions[1], b->span);
    return o;
}

const int64_t *ex_ints(const TdlFunc *f, TdlOp o, const char *key, uint32_t *n) {
    const TdlAttr *a = op_attr(f, o, key);
    *n = a ? a->n : 0;
    return a ? a->ints : NULL;
}

void ex_copy_attrs(TdlFunc *f, TdlOp from, TdlOp to) {
    const TdlOpData *s = ir_op(f, from);
    ir_op(f, to)->attrs = arena_memdup(f->module->arena, s->attrs, s->nattrs * sizeof *s->attrs);
    ir_op(f, to)->nattrs = s->nattrs;
}

static bool is_zero_const(const TdlFunc *f, TdlVal v) {
    TdlOp o = ir_val(f, v)->def;
    if (!o.id || ir_op(f, o)->code != OP_CONST) return false;
    const TdlAttr *a = op_attr(f, o, "value");
    return a && ((a->kind == ATTR_INT && a->i == 0) || (a->kind == ATTR_FLOAT && a->f == 0.0 && !signbit(a->f)));
}

bool ex_is_zeros(const ExpandCtx *c, TdlVal v) {
    const TdlFunc *f = c->f;
    while (v.id < c->nmap && c->map[v.id].id) v = c->map[v.id];
    TdlOp o = ir_val(f, v)->def;
    if (!o.id) return false;
    if (ir_op(f, o)->code == OP_BROADCAST) return is_zero_const(f, ir_op(f, o)->operands[0]);
    if (ir_op(f, o)->code != OP_MAP) return false;
    TdlOp y = ir_terminator(f, ir_op(f, o)->regions[0]);
    return y.id && ir_op(f, y)->noperands > ir_val(f, v)->index &&
           is_zero_const(f, ir_op(f, y)->operands[ir_val(f, v)->index]);
}

/* ---- elementwise operations ---- */

/* z[i, j] = op(x[i, j], y[i, j]); operands that are scalars serve every element. */
static TdlVal expand_elementwise(ExpandCtx *c, TdlBuilder *b, TdlOp o) {
    TdlFunc *f = c->f;
    TdlOpData d = *ir_op(f, o);
    TdlType t = ir_type(f, d.results[0]);
    ExpandNest nest = ex_map(c, b, ty_dims(c->m, t), ty_rank(c->m, t), ty_elem(c->m, t));
    TdlVal *args = ARENA_ARRAY(c->scratch, TdlVal, d.noperands);
    for (uint16_t i = 0; i < d.noperands; i++) {
        bool scalar = ty_is_scalar(c->m, ir_type(f, d.operands[i]));
        args[i] = scalar ? d.operands[i] : ex_index(&nest.in, d.operands[i], nest.idx, nest.n, true);
    }
    TdlType e = ty_scalar(c->m, ty_elem(c->m, t));
    TdlOp s = ir_emit(&nest.in, d.code, args, d.noperands, &e, 1);
    ex_copy_attrs(f, o, s);
    op_unset(f, s, "saved");
    ir_op(f, s)->grad_fn = d.grad_fn;
    return ex_close(&nest, ir_result(f, s, 0));
}

/* ---- the pass ---- */

static const ExpandFn expanders[OP_COUNT] = {
#define EX_ROW_SCALAR(NAME)
#define EX_ROW_STRUCT(NAME)
#define EX_ROW_EARLY(NAME)
#define EX_ROW_LOOP(NAME)
#define EX_ROW_EXPAND(NAME) [OP_##NAME] = expand_##NAME,
#define OP(NAME, MN, MIN, MAX, REGIONS, FLAGS, TYPE, DERIV, LOWER, ATTRS, DOC) EX_ROW_##LOWER(NAME)
#include "ir/ops.def"
#undef OP
};

static ExpandFn expander(const ExpandCtx *c, TdlOp o) {
    const TdlOpData *d = ir_op(c->f, o);
    if (expanders[d->code]) return expanders[d->code];
    bool elementwise = op_info(d->code)->flags & OPF_ELEMENTWISE;
    return elementwise && !ty_is_scalar(c->m, ir_type(c->f, d->results[0])) ? expand_elementwise : NULL;
}

/* What is kept for the reverse is now the result of another operation. */
static void hand_on_note(ExpandCtx *c, TdlOp o, TdlVal v) {
    const char *saved = op_str(c->f, o, "saved");
    TdlOp def = ir_val(c->f, v)->def;
    if (saved && def.id && !op_attr(c->f, def, "saved")) op_set_str(c->f, def, "saved", saved, (uint32_t)strlen(saved));
}

static void expand_region(ExpandCtx *c, TdlRegion r) {
    IR_FOREACH_OP(c->f, r, o) {
        for (uint16_t i = 0; i < ir_op(c->f, o)->nregions; i++) expand_region(c, ir_op(c->f, o)->regions[i]);
        TdlVal v = {0};
        TdlOpcode code = ir_op(c->f, o)->code;
        if (code == OP_DETACH || code == OP_LEAF) { /* nothing is differentiated any more */
            v = ir_op(c->f, o)->operands[0];
        } else {
            ExpandFn fn = expander(c, o);
            if (!fn) continue;
            TdlBuilder b = ir_before(c->f, o);
            b.grad_fn = SYM_NONE;
            v = fn(c, &b, o);
            hand_on_note(c, o, v);
        }
        c->map[ir_result(c->f, o, 0).id] = v;
        ir_remove(c->f, o);
    }
}

static void expand_func(TdlModule *m, TdlFunc *f) {
    TdlArena scratch;
    arena_init_like(&scratch, m->arena);
    ExpandCtx c = {.f = f, .m = m, .scratch = &scratch, .nmap = f->vals.n};
    c.map = ARENA_ARRAY(&scratch, TdlVal, c.nmap);
    expand_region(&c, f->body);
    ir_replace_all(f, c.map, c.nmap);
    arena_free(&scratch);
}

bool pass_expand(TdlModule *m, const TdlPassOptions *opt) {
    (void)opt;
    for (uint32_t i = 0; i < m->funcs.n; i++) expand_func(m, m->funcs.p[i]);
    return diags_errors(m->diags) == 0;
}
