/* jacfwd, jacrev and hessian with sparse=true: (ptr, col, val), the Jacobian by rows. Rows are the elements of the result's
 * leaves one after another, columns those of the arguments'.
 *
 * The pattern is what the tangent of the function depends on (`pattern`, passes/pattern.c); columns that share no row have
 * one colour, and one tangent that is 1 at all of them: a jvp for each colour gives every entry, in compressed form, c:
 *
 *     val[p] = c[colour[col[p]], row[p]]
 *
 * jacrev: cotangents, with rows that share no column. A Hessian is symmetric and needs fewer colours:
 *
 *     val[p] = c[min(colour[i], colour[j]), colour[i] >= colour[j] ? i : j]
 *
 * The arithmetic on index tensors is TDL (std/sparse.tdl). */
#include "frontend/lower_diff.h"

#include <string.h>

typedef struct {
    Low *L;
    const LowFn *fn;
    LowCallee c;             /* ops: the arguments alone */
    LowTargetLeaves w;
    TdlType *types;          /* of all leaves of the result */
    uint32_t nvalues, nmain; /* leaves of the result, of what is differentiated */
    bool reverse, symmetric;
    TdlSpan at;
} Sparse;

/* ---- the library ---- */

static LowValue library(Sparse *s, const char *name, const LowArgs *args)
{
    Low *L = s->L;
    bool library = L->frame->library;
    L->frame->library = true;
    const LowDecl *d = low_find_decl(L, intern(L->names, name));
    L->frame->library = library;
    LowArgs copy = *args;
    return low_call_decl(L, d, &copy, s->at);
}

static void arg(Sparse *s, LowArgs *args, const char *name, LowValue v)
{
    LowArg a = {.v = v, .ready = true, .span = s->at};
    if (name) a.name = (AstName){intern(s->L->names, name), s->at};
    VEC_PUSH(s->L->arena, *args, a);
}

/* name(v, dim=size, ...): the first argument, a second one or none, a dimension or none. */
static LowValue apply(Sparse *s, const char *name, LowValue a, const LowValue *b, const char *dim, TdlDim size)
{
    LowArgs args = {0};
    arg(s, &args, NULL, a);
    if (b) arg(s, &args, NULL, *b);
    if (dim) arg(s, &args, dim, lv_dim(size));
    return library(s, name, &args);
}

/* ---- the function that is linear in its seeds ---- */

static bool is_float(const Sparse *s, TdlType t) { return ty_is_float(s->L->m, t); }

static uint32_t nseeds(const Sparse *s) { return s->reverse ? s->nmain : s->w.types.n; }

static TdlType seed_type(const Sparse *s, uint32_t i) { return s->reverse ? s->types[i] : s->w.types.p[i]; }

/* Types of what the seeds make: tangents of the result, or cotangents of the arguments. */
static uint32_t nmade(const Sparse *s) { return s->reverse ? s->w.types.n : s->nmain; }

static TdlType made_type(const Sparse *s, uint32_t i) { return s->reverse ? s->w.types.p[i] : s->types[i]; }

/* jvp or vjp of the function for `args` and `seeds`: what is made of the seeds. */
static void linear(Sparse *s, const TdlVal *args, const TdlVal *seeds, TdlVal *made)
{
    Low *L = s->L;
    LowCallee c = s->c;
    TdlVals ops = {0};
    for (uint32_t i = 0; i < s->c.ops.n; i++) VEC_PUSH(L->arena, ops, args[i]);
    for (uint32_t i = 0; i < nseeds(s); i++) VEC_PUSH(L->arena, ops, seeds[i]);
    for (uint32_t i = s->nmain; s->reverse && i < s->nvalues; i++) /* the extra result is not differentiated */
        if (is_float(s, s->types[i])) VEC_PUSH(L->arena, ops, ir_zeros(&L->b, s->types[i]));
    c.ops = ops;
    uint32_t n = s->nvalues;
    TdlType *types = ARENA_ARRAY(L->arena, TdlType, 2 * n + s->w.types.n + 1);
    for (uint32_t i = 0; i < s->nvalues; i++) types[i] = s->types[i];
    for (uint32_t i = 0; !s->reverse && i < s->nvalues; i++)
        if (is_float(s, s->types[i])) types[n++] = s->types[i];
    for (uint32_t i = 0; s->reverse && i < s->w.types.n; i++) types[n++] = s->w.types.p[i];
    TdlOp o = low_emit_derivative(L, s->reverse ? OP_VJP : OP_JVP, &c, s->w.wrt.p, s->w.wrt.n, types, n);
    for (uint32_t i = 0; i < nmade(s); i++) made[i] = ir_result(L->b.f, o, s->nvalues + i);
}

static LowValue lifted_body(Low *L, LowValue env, void *user)
{
    Sparse *s = user;
    TdlVals leaves = {0};
    low_flatten(L, env, &leaves);
    TdlVal *made = ARENA_ARRAY(L->arena, TdlVal, nmade(s) + 1);
    linear(s, leaves.p, leaves.p + s->c.ops.n, made);
    LowValue *v = ARENA_ARRAY(L->arena, LowValue, nmade(s) + 1);
    for (uint32_t i = 0; i < nmade(s); i++) v[i] = lv_tensor(made[i]);
    return lv_tuple(L, v, nmade(s));
}

/* ---- elements one after another ---- */

static TdlDim total(const Sparse *s, uint32_t n, TdlType (*type)(const Sparse *s, uint32_t i))
{
    TdlDim d = dim_const(s->L->m, 0);
    for (uint32_t i = 0; i < n; i++) d = dim_add(s->L->m, d, ty_numel(s->L->m, type(s, i)));
    return d;
}

/* All elements of v[i] as one axis, behind `lead` others. */
static TdlVal concatenated(Sparse *s, const TdlVal *v, uint32_t n, uint32_t lead)
{
    Low *L = s->L;
    TdlDim dims[LOW_MAX_RANK], all = dim_const(L->m, 0);
    TdlVal *flat = ARENA_ARRAY(L->arena, TdlVal, n + 1);
    TdlElem e = EL_I64;
    for (uint32_t i = 0; i < n; i++) {
        TdlElem own = ty_elem(L->m, ir_type(L->b.f, v[i]));
        if (i == 0 || own == EL_F64) e = own;
    }
    for (uint32_t i = 0; i < n; i++) {
        TdlType t = ir_type(L->b.f, v[i]);
        for (uint32_t k = 0; k < lead; k++) dims[k] = ty_dims(L->m, t)[k];
        dims[lead] = ty_numel(L->m, ty_drop(L->m, t, lead));
        all = dim_add(L->m, all, dims[lead]);
        flat[i] = low_reshape(L, ir_cast(&L->b, v[i], e), dims, lead + 1);
    }
    if (n == 1) return flat[0];
    dims[lead] = all;
    TdlType t = ty_tensor(L->m, e, dims, lead + 1);
    TdlOp o = ir_emit(&L->b, OP_CONCAT, flat, n, &t, 1);
    op_set_int(L->b.f, o, "axis", lead);
    return ir_result(L->b.f, o, 0);
}

/* ---- the pattern ---- */

/* What each element that is made depends on, one after another; 0 after an error. */
static TdlVal sets(Sparse *s, bool kept)
{
    Low *L = s->L;
    uint32_t n = s->c.ops.n + nseeds(s), made = nmade(s);
    LowValue *env = ARENA_ARRAY(L->arena, LowValue, n + 1);
    for (uint32_t i = 0; i < s->c.ops.n; i++) env[i] = lv_tensor(s->c.ops.p[i]);
    for (uint32_t i = 0; i < nseeds(s); i++) env[s->c.ops.n + i] = lv_tensor(ir_zeros(&L->b, seed_type(s, i)));
    LowLifted f;
    if (!low_lift(L, s->fn->name, lv_tuple(L, env, n), lifted_body, s, &f, s->at)) return (TdlVal){0};
    TdlType *types = ARENA_ARRAY(L->arena, TdlType, made + 1);
    for (uint32_t i = 0; i < made; i++) types[i] = ty_with_elem(L->m, made_type(s, i), EL_I64);
    int64_t *wrt = ARENA_ARRAY(L->arena, int64_t, n + 1);
    for (uint32_t i = 0; i < nseeds(s); i++) wrt[i] = s->c.ops.n + i;
    LowCallee c = {.f = f.f, .ops = f.ops, .dims = f.dims, .ndims = f.ndims};
    TdlOp o = low_emit_derivative(L, OP_PATTERN, &c, wrt, nseeds(s), types, made);
    if (kept) op_set_int(L->b.f, o, "kept", 1);
    TdlVal *v = ARENA_ARRAY(L->arena, TdlVal, made + 1);
    for (uint32_t i = 0; i < made; i++) v[i] = ir_result(L->b.f, o, i);
    return concatenated(s, v, made, 0);
}

/* Where lines of the matrix begin, and the members of the sets one after another. */
static bool lines(Sparse *s, TdlVal sets, LowValue *ptr, LowValue *member, TdlDim *nnz)
{
    Low *L = s->L;
    TdlDim n = ty_dims(L->m, ir_type(L->b.f, sets))[0];
    LowMap m = low_map_open(L, &n, 1);
    TdlVal size = ir_emit1(&L->b, OP_SETSIZE, (TdlVal[]){ir_index(&L->b, sets, m.idx, 1)}, 1);
    low_map_close(L, &m, &size, 1);
    *ptr = apply(s, "sparse_ptr", lv_tensor(size), NULL, NULL, n);
    if (lv_is_err(*ptr)) return false;
    TdlVal end = ir_dim(&L->b, n);
    if (!low_as_dim(L, lv_tensor(ir_index(&L->b, ptr->v, &end, 1)), s->at, "entries", nnz)) return false;
    LowValue row = apply(s, "sparse_row", *ptr, NULL, "nnz", *nnz);
    if (lv_is_err(row)) return false;
    m = low_map_open(L, nnz, 1);
    TdlVal r = ir_index(&L->b, row.v, m.idx, 1), first = ir_index(&L->b, ptr->v, &r, 1);
    TdlVal k = ir_binary(&L->b, OP_SUB, m.idx[0], first);
    TdlVal at = ir_emit1(&L->b, OP_SETAT, (TdlVal[]){ir_index(&L->b, sets, &r, 1), k}, 2);
    low_map_close(L, &m, &at, 1);
    *member = lv_tensor(at);
    return true;
}

/* A matrix by rows, with the colours of its columns (jacrev: of its rows). */
typedef struct { LowValue ptr, col, colour, ncolours; TdlDim nnz; } Shape;

static bool shape(Sparse *s, bool kept, Shape *out)
{
    TdlVal v = sets(s, kept);
    TdlDim seeds = total(s, nseeds(s), seed_type);
    if (!v.id || !lines(s, v, &out->ptr, &out->col, &out->nnz)) return false;
    out->colour = s->symmetric ? apply(s, "sparse_star_colour", out->ptr, &out->col, NULL, seeds)
                               : apply(s, "sparse_colour", out->ptr, &out->col, "cols", seeds);
    if (lv_is_err(out->colour)) return false;
    out->ncolours = apply(s, "sparse_colours", out->colour, NULL, NULL, seeds);
    if (s->reverse) { /* the lines are columns */
        LowValue t = apply(s, "sparse_transposed", out->ptr, &out->col, "cols", seeds);
        if (lv_is_err(t)) return false;
        out->ptr = t.elems[0];
        out->col = t.elems[1];
    }
    return !lv_is_err(out->ncolours);
}

/* ---- the values ---- */

/* 1 where the element has colour k, in the shape of seed i, whose elements are numbered from `first` on. */
static TdlVal seed(Sparse *s, uint32_t i, TdlDim first, TdlVal colour, TdlVal k)
{
    Low *L = s->L;
    TdlType t = seed_type(s, i);
    TdlElem e = ty_elem(L->m, t);
    LowMap m = low_map_open(L, ty_dims(L->m, t), ty_rank(L->m, t));
    TdlVal at = ir_dim(&L->b, first), flat = {0};
    for (uint32_t a = 0; a < m.n; a++)
        flat = a ? ir_binary(&L->b, OP_ADD, ir_binary(&L->b, OP_MUL, flat, ir_dim(&L->b, m.dims[a])), m.idx[a]) : m.idx[a];
    if (m.n) at = ir_binary(&L->b, OP_ADD, at, flat);
    TdlVal same = ir_binary(&L->b, OP_EQ, ir_index(&L->b, colour, &at, 1), k);
    TdlVal v = ir_emit1(&L->b, OP_SELECT, (TdlVal[]){same, ir_const_float(&L->b, e, 1), ir_const_float(&L->b, e, 0)}, 3);
    low_map_close(L, &m, &v, 1);
    return v;
}

/* v[colours, ...] with a line for each of its elements, the colours side by side: as tangents are computed. */
static TdlVal by_line(Sparse *s, TdlVal v)
{
    Low *L = s->L;
    TdlType t = ir_type(L->b.f, v);
    uint32_t rank = ty_rank(L->m, t);
    int64_t perm[LOW_MAX_RANK];
    TdlDim dims[LOW_MAX_RANK], lines[2] = {ty_numel(L->m, ty_drop(L->m, t, 1)), ty_dims(L->m, t)[0]};
    for (uint32_t i = 0; i < rank; i++) {
        perm[i] = (i + 1) % rank;
        dims[i] = ty_dims(L->m, t)[perm[i]];
    }
    v = low_emit(L, OP_PERMUTE, &v, 1, ty_tensor(L->m, ty_elem(L->m, t), dims, rank));
    op_set_ints(L->b.f, low_def(L, v), "perm", perm, rank);
    return low_reshape(L, v, lines, 2);
}

/* The entries of jacfwd: the rows that each leaf of the result has, one leaf after another. */
static LowValue filled(Sparse *s, const Shape *p, const TdlVal *made)
{
    Low *L = s->L;
    TdlDim first = dim_const(L->m, 0);
    TdlElem e = EL_I64;
    for (uint32_t i = 0; i < s->nmain; i++) {
        TdlElem own = ty_elem(L->m, s->types[i]);
        if (i == 0 || own == EL_F64) e = own;
    }
    LowValue val = lv_tensor(ir_zeros(&L->b, ty_tensor(L->m, e, &p->nnz, 1)));
    for (uint32_t i = 0; i < s->nmain && !lv_is_err(val); i++) {
        LowArgs args = {0};
        const LowValue given[] = {val, lv_tensor(by_line(s, ir_cast(&L->b, made[i], e))), p->ptr, p->col, p->colour, lv_tensor(ir_dim(&L->b, first))};
        for (uint32_t k = 0; k < sizeof given / sizeof *given; k++) arg(s, &args, NULL, given[k]);
        val = library(s, "sparse_filled", &args);
        first = dim_add(L->m, first, ty_numel(L->m, s->types[i]));
    }
    return val;
}

/* The entries: what the seeds of each colour make, each element where its row and column say. */
static LowValue values(Sparse *s, const Shape *p, TdlDim ncolours)
{
    Low *L = s->L;
    TdlDim first = dim_const(L->m, 0);
    uint32_t n = nmade(s);
    TdlVal *made = ARENA_ARRAY(L->arena, TdlVal, n + 1), *seeds = ARENA_ARRAY(L->arena, TdlVal, nseeds(s) + 1);
    LowMap m = low_map_open(L, &ncolours, 1);
    for (uint32_t i = 0; i < nseeds(s); i++) {
        seeds[i] = seed(s, i, first, p->colour.v, m.idx[0]);
        first = dim_add(L->m, first, ty_numel(L->m, seed_type(s, i)));
    }
    linear(s, s->c.ops.p, seeds, made);
    low_map_close(L, &m, made, n);
    if (!s->reverse && !s->symmetric) return filled(s, p, made);
    LowValue row = apply(s, "sparse_row", p->ptr, NULL, "nnz", p->nnz);
    if (lv_is_err(row)) return row;
    TdlVal c = concatenated(s, made, n, 1);
    m = low_map_open(L, &p->nnz, 1);
    TdlVal i = ir_index(&L->b, row.v, m.idx, 1), j = ir_index(&L->b, p->col.v, m.idx, 1);
    TdlVal k = ir_index(&L->b, p->colour.v, s->reverse ? &i : &j, 1), line = s->reverse ? j : i;
    if (s->symmetric) {
        TdlVal own = ir_index(&L->b, p->colour.v, &i, 1);
        line = ir_emit1(&L->b, OP_SELECT, (TdlVal[]){ir_binary(&L->b, OP_GE, own, k), i, j}, 3);
        k = ir_binary(&L->b, OP_MIN, own, k);
    }
    TdlVal v = ir_index(&L->b, c, (TdlVal[]){k, line}, 2);
    low_map_close(L, &m, &v, 1);
    return lv_tensor(v);
}

/* ---- what may be asked for ---- */

typedef struct { Low *L; TDL_VEC(TdlFunc *) seen; bool found; } Rules;

static void find_rules(Rules *r, TdlFunc *f);

static void look_into(void *user, TdlFunc *f, TdlOp o)
{
    const char *callee = op_str(f, o, "callee");
    if (callee) find_rules(user, ir_func_find(f->module, intern(f->module->names, callee)));
}

static void find_rules(Rules *r, TdlFunc *f)
{
    for (uint32_t i = 0; i < r->seen.n; i++)
        if (r->seen.p[i] == f) return;
    if (!f) return;
    VEC_PUSH(r->L->arena, r->seen, f);
    bool library = f->span.file && sources_name(r->L->m->sources, f->span.file)[0] == '<';
    r->found |= (f->reverse.id || f->forward.id) && !library;
    ir_walk(f, f->body, look_into, r);
}

/* The Jacobian of what is a gradient for certain: what a rule of the program's own makes of it may be any matrix. */
static bool is_symmetric(Low *L, const LowFn *fn, const LowCallee *c)
{
    Rules rules = {.L = L};
    if (!fn->of_grad || fn->diff != DIFF_JACFWD) return false;
    find_rules(&rules, ir_func_find(L->m, c->f->name));
    return !rules.found;
}

static bool start(Sparse *s, Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, TdlSpan at)
{
    *s = (Sparse){.L = L, .fn = fn, .c = *c, .nmain = lt_nleaves(main), .reverse = fn->diff == DIFF_JACREV, .at = at};
    s->symmetric = is_symmetric(L, fn, c);
    low_target_leaves(L, t, &s->w);
    s->types = ARENA_ARRAY(L->arena, TdlType, lt_nleaves(c->result) + 1);
    lt_leaves(c->result, s->types, &s->nvalues);
    for (uint32_t i = 0; i < s->nmain; i++) {
        if (is_float(s, s->types[i])) continue;
        low_error(L, at, "%s: the function's result is %s: all of it must be floats%s", fn->name, lt_text(L, main),
                  fn->aux ? "" : "; with aux=true it is (value, extra)");
        return false;
    }
    low_unname(L);
    return true;
}

LowValue low_sparse(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, TdlSpan at)
{
    Sparse s;
    Shape p;
    TdlDim ncolours;
    if (!start(&s, L, fn, c, t, main, at) || !shape(&s, false, &p)) return LOW_ERR;
    if (!low_as_dim(L, p.ncolours, at, "colours", &ncolours)) return LOW_ERR;
    LowValue v = values(&s, &p, ncolours);
    if (lv_is_err(v)) return v;
    LowValue matrix = lv_tuple(L, (LowValue[]){p.ptr, p.col, v}, 3);
    return fn->aux ? lv_tuple(L, (LowValue[]){matrix, low_extra_result(L, c)}, 2) : matrix;
}

/* ---- exported: a function for the pattern, one for the values ---- */

LowValue low_sparse_pattern(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, TdlDim capacity, TdlSpan at)
{
    Sparse s;
    Shape p;
    if (!start(&s, L, fn, c, t, main, at) || !shape(&s, true, &p)) return LOW_ERR;
    LowValue col = apply(&s, "sparse_fitted", p.col, NULL, "capacity", capacity);
    if (lv_is_err(col)) return col;
    LowValue nnz = lv_tensor(ir_dim(&L->b, p.nnz));
    return lv_tuple(L, (LowValue[]){nnz, p.ncolours, p.ptr, col, p.colour}, 5);
}

bool low_sparse_extents(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, TdlDim *rows, TdlDim *coloured, TdlSpan at)
{
    Sparse s;
    if (!start(&s, L, fn, c, t, main, at)) return false;
    *coloured = total(&s, nseeds(&s), seed_type);
    *rows = s.reverse ? *coloured : total(&s, nmade(&s), made_type);
    return true;
}

LowValue low_sparse_values(Low *L, const LowFn *fn, const LowCallee *c, const LowTargets *t, const LowType *main, const LowSparseArgs *p, TdlSpan at)
{
    Sparse s;
    Shape shape = {.ptr = p->ptr, .col = p->col, .colour = p->colour, .nnz = p->nnz};
    if (!start(&s, L, fn, c, t, main, at)) return LOW_ERR;
    LowValue v = values(&s, &shape, p->colours);
    return fn->aux && !lv_is_err(v) ? lv_tuple(L, (LowValue[]){v, low_extra_result(L, c)}, 2) : v;
}
