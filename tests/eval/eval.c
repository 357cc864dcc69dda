/* Calls, regions, elements, stacks. */
#include "eval.h"
#include <math.h>
#include <string.h>

void ev_fail(EvCall *c, const char *fmt, ...) {
    if (c->why) return;
    TdlStr s = str_new(c->arena);
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(&s, fmt, ap);
    va_end(ap);
    c->why = s.p;
}

EvVal *ev_in(EvCall *c, TdlOp o, uint32_t i) { return &c->vals[ir_op(c->f, o)->operands[i].id]; }
EvVal *ev_out(EvCall *c, TdlOp o, uint32_t i) { return &c->vals[ir_op(c->f, o)->results[i].id]; }

EvVal ev_make(TdlArena *a, TdlElem e, const int64_t *dims, uint32_t rank) {
    EvVal v = {.elem = e, .rank = rank, .n = 1};
    v.dims = arena_memdup(a, dims, rank * sizeof *dims);
    for (uint32_t i = 0; i < rank; i++) v.n *= dims[i];
    if (el_is_float(e)) v.f = ARENA_ARRAY(a, double, v.n);
    else v.i = ARENA_ARRAY(a, int64_t, v.n);
    return v;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a % b < 0) != (b < 0)); }

int64_t ev_dim(EvCall *c, TdlDim d) {
    int64_t sum = 0;
    for (uint32_t t = 0; t < dim_nterms(c->m, d); t++) {
        int64_t term = dim_term_coef(c->m, d, t);
        for (uint32_t i = 0; i < dim_term_natoms(c->m, d, t); i++) {
            TdlDimAtom a = dim_term_atom(c->m, d, t, i);
            int64_t v = 0;
            if (a.kind == DIM_ATOM_VAR) {
                uint32_t k = c->dims.n;
                while (k > 0 && !sym_eq(c->dims.p[k - 1].name, a.var)) k--;
                if (!k) ev_fail(c, "dimension %s has no value", sym_text(c->m->names, a.var));
                else v = c->dims.p[k - 1].v;
            } else {
                v = ev_dim(c, a.arg);
                v = a.kind == DIM_ATOM_MIN ? (v < a.c ? v : a.c) : a.kind == DIM_ATOM_MOD ? v - floor_div(v, a.c) * a.c : floor_div(v, a.c);
            }
            term *= v;
        }
        sum += term;
    }
    return sum;
}

EvVal ev_tensor(EvCall *c, TdlType t) {
    uint32_t rank = ty_rank(c->m, t);
    int64_t *dims = ARENA_ARRAY(c->arena, int64_t, rank), n = 1;
    for (uint32_t i = 0; i < rank; i++) {
        dims[i] = ev_dim(c, ty_dims(c->m, t)[i]);
        if (dims[i] < 0) ev_fail(c, "negative dimension %lld", (long long)dims[i]), dims[i] = 0;
        n *= dims[i];
    }
    if (n > 10000000) ev_fail(c, "tensor too large for the evaluator"), dims[0] = 0;
    return ev_make(c->arena, ty_elem(c->m, t), dims, rank);
}

EvVal ev_copy(EvCall *c, const EvVal *v) {
    EvVal z = *v;
    if (z.f) z.f = arena_memdup(c->arena, v->f, (size_t)v->n * sizeof *v->f);
    if (z.i) z.i = arena_memdup(c->arena, v->i, (size_t)v->n * sizeof *v->i);
    return z;
}

void ev_move(EvVal *to, int64_t at, const EvVal *from, int64_t from_at, int64_t n) {
    if (to->f) memmove(to->f + at, from->f + from_at, (size_t)n * sizeof *to->f);
    else memmove(to->i + at, from->i + from_at, (size_t)n * sizeof *to->i);
}

int64_t ev_offset(EvCall *c, const EvVal *v, const int64_t *idx, uint32_t n, int64_t *len) {
    int64_t at = 0, below = 1;
    for (uint32_t i = 0; i < v->rank; i++) {
        int64_t k = i < n ? idx[i] : 0;
        if (i < n && (k < 0 || k >= v->dims[i])) {
            ev_fail(c, "index %lld out of range [0, %lld) on axis %u", (long long)k, (long long)v->dims[i], i);
            k = 0;
        }
        at = at * v->dims[i] + k;
        if (i >= n) below *= v->dims[i];
    }
    *len = below;
    return at;
}

/* Offset of operands first.. (indices) of o in v. */
static int64_t at_operands(EvCall *c, TdlOp o, uint32_t first, const EvVal *v, int64_t *len) {
    uint32_t n = ir_op(c->f, o)->noperands - first;
    int64_t *idx = ARENA_ARRAY(c->arena, int64_t, n);
    for (uint32_t i = 0; i < n; i++) idx[i] = ev_in(c, o, first + i)->i[0];
    return ev_offset(c, v, idx, n, len);
}

static EvVal scalar_i64(EvCall *c, int64_t x) {
    EvVal v = ev_make(c->arena, EL_I64, NULL, 0);
    v.i[0] = x;
    return v;
}

/* ---- elements ---- */

static void op_index(EvCall *c, TdlOp o) {
    const EvVal *x = ev_in(c, o, 0);
    int64_t len, at = at_operands(c, o, 1, x, &len);
    uint32_t n = ir_op(c->f, o)->noperands - 1;
    EvVal z = ev_make(c->arena, x->elem, x->dims + n, x->rank - n);
    if (!c->why) ev_move(&z, 0, x, at, len);
    *ev_out(c, o, 0) = z;
}

static void op_update(EvCall *c, TdlOp o) {
    EvVal z = ev_copy(c, ev_in(c, o, 0));
    int64_t len, at = at_operands(c, o, 2, &z, &len);
    if (!c->why) ev_move(&z, at, ev_in(c, o, 1), 0, len);
    *ev_out(c, o, 0) = z;
}

static void op_accadd(EvCall *c, TdlOp o) {
    EvVal *acc = ev_in(c, o, 0);
    const EvVal *v = ev_in(c, o, 1);
    int64_t len, at = at_operands(c, o, 2, acc, &len);
    for (int64_t i = 0; i < len && !c->why; i++) {
        if (acc->f) acc->f[at + i] = ev_round(acc->elem, acc->f[at + i] + v->f[i]);
        else acc->i[at + i] += v->i[i];
    }
}

/* ---- regions ---- */

static TdlRegion region(EvCall *c, TdlOp o, uint32_t i) { return ir_op(c->f, o)->regions[i]; }
static EvVal *arg(EvCall *c, TdlRegion r, uint32_t i) { return &c->vals[ir_region(c->f, r)->args.p[i].id]; }

/* Room for what the region yields. */
static EvVal *yields_of(EvCall *c, TdlRegion r) {
    return ARENA_ARRAY(c->arena, EvVal, ir_op(c->f, ir_terminator(c->f, r))->noperands);
}

/* Calls the body for every index of the extents, in row-major order, until *stop. */
typedef void (*Each)(EvCall *c, TdlOp o, const int64_t *idx, int64_t k, EvVal *yields, void *user);
static void each(EvCall *c, TdlOp o, Each fn, void *user) {
    uint32_t n = ir_op(c->f, o)->noperands;
    int64_t *ext = ARENA_ARRAY(c->arena, int64_t, n), *idx = ARENA_ARRAY(c->arena, int64_t, n), total = 1;
    for (uint32_t i = 0; i < n; i++) {
        ext[i] = ev_in(c, o, i)->i[0];
        if (ext[i] < 0 && ir_op(c->f, o)->code == OP_MAP) ev_fail(c, "negative extent %lld", (long long)ext[i]);
        total *= ext[i] < 0 ? 0 : ext[i];
    }
    EvVal *yields = yields_of(c, region(c, o, 0));
    for (int64_t k = 0; k < total && !c->why; k++) {
        int64_t rest = k;
        for (uint32_t i = n; i-- > 0;) idx[i] = rest % ext[i], rest /= ext[i];
        for (uint32_t i = 0; i < n; i++) *arg(c, region(c, o, 0), i) = scalar_i64(c, idx[i]);
        ev_region(c, region(c, o, 0), yields);
        if (!c->why) fn(c, o, idx, k, yields, user);
    }
}

static void put_row(EvCall *c, TdlOp o, const int64_t *idx, int64_t k, EvVal *yields, void *user) {
    (void)idx, (void)user;
    for (uint32_t i = 0; i < ir_op(c->f, o)->nresults; i++)
        ev_move(ev_out(c, o, i), k * yields[i].n, &yields[i], 0, yields[i].n);
}

static void op_map(EvCall *c, TdlOp o) {
    for (uint32_t i = 0; i < ir_op(c->f, o)->nresults; i++)
        *ev_out(c, o, i) = ev_tensor(c, ir_type(c->f, ir_op(c->f, o)->results[i]));
    each(c, o, put_row, NULL);
}

typedef struct { const char *kind; bool filter, any; EvVal best; int64_t at; } Red;

static void red_one(EvCall *c, TdlOp o, const int64_t *idx, int64_t k, EvVal *y, void *user) {
    (void)o;
    (void)k;
    Red *r = user;
    if (r->filter && !y[1].i[0]) return;
    bool first = !r->any, max = strstr(r->kind, "max") != NULL;
    if (first && strcmp(r->kind, "sum") && strcmp(r->kind, "prod")) r->best = ev_copy(c, y), r->at = idx[0];
    r->any = true;
    for (int64_t e = 0; e < y->n; e++) {
        EvVal *b = &r->best;
        if (!strcmp(r->kind, "sum")) {
            if (b->f) b->f[e] = ev_round(b->elem, b->f[e] + y->f[e]);
            else b->i[e] += y->i[e];
        } else if (!strcmp(r->kind, "prod")) {
            if (b->f) b->f[e] = ev_round(b->elem, b->f[e] * y->f[e]);
            else b->i[e] *= y->i[e];
        } else if (!strcmp(r->kind, "any")) {
            b->i[e] |= y->i[e];
        } else if (!strcmp(r->kind, "all")) {
            b->i[e] &= y->i[e];
        } else if (!first && (b->f ? ev_beats(y->f[e], b->f[e], max, strncmp(r->kind, "arg", 3) != 0) : max ? y->i[e] > b->i[e] : y->i[e] < b->i[e])) {
            if (b->f) b->f[e] = y->f[e];
            else b->i[e] = y->i[e];
            r->at = idx[0];
        }
    }
}

static void op_reduce(EvCall *c, TdlOp o) {
    Red r = {.kind = op_str(c->f, o, "kind"), .filter = op_int(c->f, o, "filter", 0) != 0};
    bool arg_kind = !strncmp(r.kind, "arg", 3);
    r.best = ev_tensor(c, ir_type(c->f, ir_op(c->f, o)->results[0]));
    if (!strcmp(r.kind, "prod") || !strcmp(r.kind, "all"))
        for (int64_t e = 0; e < r.best.n; e++) {
            if (r.best.f) r.best.f[e] = 1;
            else r.best.i[e] = 1;
        }
    each(c, o, red_one, &r);
    bool empty = !r.any && op_int(c->f, o, "empty", 0);
    for (int64_t e = 0; empty && r.best.f && e < r.best.n; e++) r.best.f[e] = !strcmp(r.kind, "max") ? -INFINITY : INFINITY;
    if (!r.any && !empty && (strstr(r.kind, "max") || strstr(r.kind, "min"))) ev_fail(c, "%s over nothing", r.kind);
    *ev_out(c, o, 0) = arg_kind ? scalar_i64(c, r.at) : r.best;
}

static void op_for(EvCall *c, TdlOp o) {
    uint32_t exits = op_int(c->f, o, "exit", 0) != 0, n = ir_op(c->f, o)->noperands - 2;
    bool down = op_int(c->f, o, "down", 0) != 0;
    int64_t lo = ev_in(c, o, 0)->i[0], hi = ev_in(c, o, 1)->i[0], count = 0;
    EvVal *vals = ARENA_ARRAY(c->arena, EvVal, n + 1);
    for (uint32_t i = 0; i < n; i++) vals[exits + i] = *ev_in(c, o, i + 2);
    TdlRegion r = region(c, o, 0);
    for (int64_t k = lo; k < hi && !c->why; k++) {
        *arg(c, r, 0) = scalar_i64(c, down ? hi - 1 - (k - lo) : k);
        for (uint32_t i = 0; i < n; i++) *arg(c, r, i + 1) = vals[exits + i];
        ev_region(c, r, vals);
        count++;
        if (exits && vals[0].i && vals[0].i[0]) break;
    }
    if (exits) *ev_out(c, o, 0) = scalar_i64(c, count);
    for (uint32_t i = 0; i < n; i++) *ev_out(c, o, exits + i) = vals[exits + i];
}

static void op_while(EvCall *c, TdlOp o) {
    uint32_t n = ir_op(c->f, o)->noperands;
    EvVal *vals = ARENA_ARRAY(c->arena, EvVal, n + 1), go;
    for (uint32_t i = 0; i < n; i++) vals[i] = *ev_in(c, o, i);
    while (!c->why) {
        for (uint32_t i = 0; i < n; i++) *arg(c, region(c, o, 0), i) = vals[i];
        ev_region(c, region(c, o, 0), &go);
        if (c->why || !go.i[0]) break;
        for (uint32_t i = 0; i < n; i++) *arg(c, region(c, o, 1), i) = vals[i];
        ev_region(c, region(c, o, 1), vals);
    }
    for (uint32_t i = 0; i < n; i++) *ev_out(c, o, i) = vals[i];
}

static void op_withacc(EvCall *c, TdlOp o) {
    uint32_t n = ir_op(c->f, o)->noperands, all = ir_op(c->f, o)->nresults;
    EvVal *yields = yields_of(c, region(c, o, 0));
    EvVal *accs = ARENA_ARRAY(c->arena, EvVal, n);
    for (uint32_t i = 0; i < n; i++) *arg(c, region(c, o, 0), i) = accs[i] = ev_copy(c, ev_in(c, o, i));
    ev_region(c, region(c, o, 0), yields);
    for (uint32_t i = 0; i < n; i++) *ev_out(c, o, i) = accs[i];
    for (uint32_t i = n; i < all && !c->why; i++) *ev_out(c, o, i) = yields[i - n];
}

static void op_if(EvCall *c, TdlOp o) {
    EvVal *yields = yields_of(c, region(c, o, 0));
    ev_region(c, region(c, o, ev_in(c, o, 0)->i[0] ? 0 : 1), yields);
    for (uint32_t i = 0; i < ir_op(c->f, o)->nresults && !c->why; i++) *ev_out(c, o, i) = yields[i];
}

static void op_checkpoint(EvCall *c, TdlOp o) {
    EvVal *yields = yields_of(c, region(c, o, 0));
    ev_region(c, region(c, o, 0), yields);
    for (uint32_t i = 0; i < ir_op(c->f, o)->nresults && !c->why; i++) *ev_out(c, o, i) = yields[i];
}

/* ---- stacks, calls, effects ---- */

static void op_push(EvCall *c, TdlOp o) {
    uint32_t n = ir_op(c->f, o)->noperands - 1;
    EvStack *s = ARENA_NEW(c->arena, EvStack);
    *s = (EvStack){ev_in(c, o, 0)->stack, ARENA_ARRAY(c->arena, EvVal, n), n};
    for (uint32_t i = 0; i < n; i++) s->vals[i] = *ev_in(c, o, i + 1);
    *ev_out(c, o, 0) = (EvVal){.stack = s};
}

static void op_pop(EvCall *c, TdlOp o) {
    const EvStack *s = ev_in(c, o, 0)->stack;
    if (!s) {
        ev_fail(c, "pop of an empty stack");
        return;
    }
    *ev_out(c, o, 0) = (EvVal){.stack = (EvStack *)s->below};
    for (uint32_t i = 0; i < s->n; i++) *ev_out(c, o, i + 1) = s->vals[i];
}

static void op_call(EvCall *c, TdlOp o) {
    TdlFunc *g = ir_func_find(c->m, intern(c->m->names, op_str(c->f, o, "callee")));
    const TdlAttr *at = op_attr(c->f, o, "dims");
    int64_t *dims = ARENA_ARRAY(c->arena, int64_t, at ? at->n : 0);
    for (uint32_t i = 0; at && i < at->n; i++) dims[i] = ev_dim(c, at->dims[i]);
    EvVal *args = ARENA_ARRAY(c->arena, EvVal, ir_op(c->f, o)->noperands);
    EvVal *results = ARENA_ARRAY(c->arena, EvVal, ir_op(c->f, o)->nresults);
    for (uint32_t i = 0; i < ir_op(c->f, o)->noperands; i++) args[i] = *ev_in(c, o, i);
    const char *why = eval_func(c->m, g, c->arena, dims, args, results, c->out);
    if (why) ev_fail(c, "%s", why);
    for (uint32_t i = 0; i < ir_op(c->f, o)->nresults && !why; i++) *ev_out(c, o, i) = results[i];
}

static void op_print(EvCall *c, TdlOp o) {
    const char *s = op_str(c->f, o, "format");
    for (uint32_t k = 0; c->out && *s; s++) {
        if (s[0] == '{' && s[1] == '}') ev_print(ev_in(c, o, k++), c->out), s++;
        else str_putc(c->out, *s);
    }
}

static void op_newdim(EvCall *c, TdlOp o) {
    EvVal v = *ev_in(c, o, 0);
    if (v.i[0] < 0) ev_fail(c, "negative dimension %lld", (long long)v.i[0]);
    VEC_PUSH(c->arena, c->dims, ((EvDim){intern(c->m->names, op_str(c->f, o, "sym")), v.i[0]}));
    *ev_out(c, o, 0) = v;
}

static void op_const(EvCall *c, TdlOp o) {
    EvVal v = ev_tensor(c, ir_type(c->f, ir_op(c->f, o)->results[0]));
    const TdlAttr *a = op_attr(c->f, o, "value");
    if (v.f) v.f[0] = ev_round(v.elem, a->kind == ATTR_INT ? (double)a->i : a->f);
    else v.i[0] = a->i;
    *ev_out(c, o, 0) = v;
}

static void op_undef(EvCall *c, TdlOp o) {
    TdlType t = ir_type(c->f, ir_op(c->f, o)->results[0]);
    if (ty_kind(c->m, t) != TY_TENSOR) {
        *ev_out(c, o, 0) = (EvVal){0};
        return;
    }
    EvVal v = ev_tensor(c, t); /* filled with what would be noticed */
    for (int64_t i = 0; i < v.n; i++) {
        if (v.f) v.f[i] = (double)NAN;
        else v.i[i] = v.elem == EL_BOOL ? 1 : -123456789;
    }
    *ev_out(c, o, 0) = v;
}

static void op_one(EvCall *c, TdlOp o) {
    switch (ir_op(c->f, o)->code) {
    case OP_CONST: op_const(c, o); return;
    case OP_DIM: *ev_out(c, o, 0) = scalar_i64(c, ev_dim(c, op_attr(c->f, o, "d")->dim)); return;
    case OP_NEWDIM: op_newdim(c, o); return;
    case OP_UNDEF: op_undef(c, o); return;
    case OP_INDEX: op_index(c, o); return;
    case OP_UPDATE: op_update(c, o); return;
    case OP_MAP: op_map(c, o); return;
    case OP_REDUCE: op_reduce(c, o); return;
    case OP_FOR: op_for(c, o); return;
    case OP_WHILE: op_while(c, o); return;
    case OP_IF: op_if(c, o); return;
    case OP_WITHACC: op_withacc(c, o); return;
    case OP_CHECKPOINT: op_checkpoint(c, o); return;
    case OP_ACCADD: op_accadd(c, o); return;
    case OP_STACKNEW: *ev_out(c, o, 0) = (EvVal){0}; return;
    case OP_PUSH: op_push(c, o); return;
    case OP_POP: op_pop(c, o); return;
    case OP_CALL: op_call(c, o); return;
    case OP_LEAF: case OP_DETACH: *ev_out(c, o, 0) = *ev_in(c, o, 0); return;
    case OP_GRADFN: *ev_out(c, o, 0) = scalar_i64(c, -1); return;
    case OP_ASSERT:
        if (!ev_in(c, o, 0)->i[0]) ev_fail(c, "assert: %s", op_str(c->f, o, "msg"));
        return;
    case OP_PRINT: op_print(c, o); return;
    case OP_VJP: case OP_JVP: case OP_BACKWARD: ev_fail(c, "unresolved %s", op_info(ir_op(c->f, o)->code)->name); return;
    default: break;
    }
    if (op_info(ir_op(c->f, o)->code)->flags & OPF_LOOPIR) ev_fail(c, "loop IR is not evaluated");
    else if (op_info(ir_op(c->f, o)->code)->flags & OPF_ELEMENTWISE) ev_scalar_op(c, o);
    else ev_tensor_op(c, o);
}

void ev_region(EvCall *c, TdlRegion r, EvVal *yields) {
    uint32_t dims = c->dims.n;
    TdlOp last = ir_terminator(c->f, r);
    IR_FOREACH_OP(c->f, r, o) {
        if (c->why || o.id == last.id) break;
        if (--c->steps < 0) ev_fail(c, "too many steps");
        else op_one(c, o);
    }
    for (uint32_t i = 0; i < ir_op(c->f, last)->noperands && !c->why; i++) yields[i] = *ev_in(c, last, i);
    if (r.id != c->f->body.id) c->dims.n = dims;
}

const char *eval_func(TdlModule *m, TdlFunc *f, TdlArena *arena, const int64_t *dims, const EvVal *args, EvVal *results,
                      TdlStr *out) {
    EvCall c = {.m = m, .f = f, .arena = arena, .steps = 20000000, .out = out};
    c.vals = ARENA_ARRAY(arena, EvVal, f->vals.n);
    for (uint32_t i = 0; i < f->dims.n; i++) VEC_PUSH(arena, c.dims, ((EvDim){f->dims.p[i], dims[i]}));
    for (uint32_t i = 0; i < f->params.n; i++) *arg(&c, f->body, i) = args[i];
    ev_region(&c, f->body, results);
    return c.why;
}

void ev_print(const EvVal *v, TdlStr *out) {
    if (v->rank) str_putc(out, '[');
    for (int64_t i = 0; i < v->n; i++) {
        if (i) str_puts(out, ", ");
        if (v->f) str_double(out, v->f[i]);
        else str_printf(out, "%lld", (long long)v->i[i]);
    }
    if (v->rank) str_putc(out, ']');
}
