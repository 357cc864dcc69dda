/* `derivative f(x, y) -> z { ... }`: the rules of a function become functions of the IR beside it, @f.reverse and
 * @f.forward (passes/adjoint_call.c uses them). The names of parameters and results are the rule's own, the dimensions
 * and type parameters are f's.
 *
 *   partial x = e     the derivative of z by x, element by element: dx = dz * e, tz = tx * e + ...; where x or z is
 *                     broadcast in z * e, the product is summed over what it lacks
 *   reverse { e }     dz is the cotangent of z; the value is those of the float parameters, in order
 *   forward { e }     tx is the tangent of x; the value is that of the results
 *
 * The cotangent and the tangent of a function are tuples of those of what it captures (low_captures). */
#include "frontend/lower_int.h"

#include <string.h>

/* ---- declarations ---- */

const LowRule *low_find_rule(const Low *L, const LowDecl *d)
{
    for (const LowRule *r = L->rules; r; r = r->next)
        if (r->library == d->library && sym_eq(r->ast->name.name, d->ast->name.name)) return r;
    return NULL;
}

void low_declare_rule(Low *L, const AstDecl *a, bool library)
{
    for (const LowRule *r = L->rules; r; r = r->next) {
        if (r->library != library || !sym_eq(r->ast->name.name, a->name.name)) continue;
        low_error(L, a->name.span, "the derivative of %s is given twice: both modes go into one", low_name(L, a->name.name));
        diag_note(L->diags, r->ast->name.span, "first here");
        return;
    }
    LowRule *r = ARENA_NEW(L->arena, LowRule);
    *r = (LowRule){a, library, L->rules};
    L->rules = r;
}

static bool known_param(const AstDecl *a, TdlSym name)
{
    for (uint32_t i = 0; i < a->params.n; i++)
        if (sym_eq(a->params.p[i].name.name, name)) return true;
    return false;
}

static bool untyped_param(const LowDecl *d)
{
    for (uint32_t i = 0; i < d->ast->params.n; i++)
        if (!d->ast->params.p[i].type) return true;
    return false;
}

static void check_rule(Low *L, const AstDecl *a)
{
    const char *n = low_name(L, a->name.name);
    const LowDecl *d = low_find_decl(L, a->name.name);
    if (!d || d->library || (d->ast->kind != AST_FN && d->ast->kind != AST_EXTERN)) {
        low_error(L, a->name.span, "derivative: this program has no function `%s`%s", n,
                  d || low_find_builtin(n) ? ": the library's functions keep their derivatives" : "");
        return;
    }
    if (untyped_param(d) && d->ast->kind == AST_FN)
        low_error(L, a->name.span, "derivative: %s has a parameter without type: give its parameters types", n);
    else if (low_has_fn_param(d) && a->partials.n)
        low_error(L, a->partials.p[0].name.span, "derivative: %s takes a function, which has no partial: write `reverse` and `forward` blocks", n);
    if (a->generics.n) low_error(L, a->generics.p[0].name.span, "derivative: takes no dimensions: those of %s are known by their names", n);
    if (a->params.n != d->ast->params.n) {
        low_error(L, a->name.span, "derivative: %s has %u parameters, not %u", n, d->ast->params.n, a->params.n);
        diag_note(L->diags, d->ast->name.span, "declared here");
    }
    for (uint32_t i = 0; i < a->params.n; i++)
        if (a->params.p[i].type || a->params.p[i].deflt)
            low_error(L, a->params.p[i].span, "derivative: the parameters are names alone: their types are those of %s", n);
    for (uint32_t i = 0; i < a->partials.n; i++)
        if (!known_param(a, a->partials.p[i].name.name))
            low_error(L, a->partials.p[i].name.span, "derivative: %s has no parameter `%s` here", n, low_name(L, a->partials.p[i].name.name));
    if (a->partials.n && (a->reverse || a->forward))
        low_error(L, a->name.span, "derivative: partials make both modes: give them, or `reverse` and `forward` blocks");
    if (!a->partials.n && !a->reverse && !a->forward)
        low_error(L, a->name.span, "derivative: is empty: give `partial %s = ...`, `reverse { ... }` or `forward { ... }`",
                  a->params.n ? low_name(L, a->params.p[0].name.name) : "x");
}

void low_check_rules(Low *L)
{
    for (const LowRule *r = L->rules; r; r = r->next)
        if (!r->library) check_rule(L, r->ast);
}

/* ---- one rule of one instance ---- */

typedef struct {
    Low *L;
    const AstDecl *a;
    LowInst *s;
    const LowValue *like;       /* of a function that takes functions: the arguments of the call; else NULL */
    const TdlFunc *like_in;     /* where those are */
    TdlFunc *f;
    LowValue *params, *results; /* by name, as the rule names them */
    bool *takes;                /* has parameter i a cotangent and a tangent? */
    LowValue *given;            /* cotangents of the results or tangents of the parameters; LV_UNIT: an integer has none */
    uint32_t nresults;
} Rule;

static LowValue wrong(Rule *r, TdlSpan at, const char *what, const char *name, const char *v, const char *want)
{
    return low_error(r->L, at, "derivative of %s: the %s `%s` is %s, expected %s", low_name(r->L, r->a->name.name), what, name, v, want);
}

static bool has_float(Low *L, LowValue v)
{
    TdlVals leaves = {0};
    low_flatten(L, v, &leaves);
    for (uint32_t i = 0; i < leaves.n; i++)
        if (ty_is_float(L->m, ir_type(L->b.f, leaves.p[i]))) return true;
    return false;
}

LowValue low_captures(Low *L, LowValue fn)
{
    TdlVals leaves = {0};
    low_flatten(L, fn, &leaves);
    LowValue *v = ARENA_ARRAY(L->arena, LowValue, leaves.n + 1);
    for (uint32_t i = 0; i < leaves.n; i++) v[i] = lv_tensor(leaves.p[i]);
    return lv_tuple(L, v, leaves.n);
}

/* A cotangent or tangent for v: a parameter for each float leaf, zero for the others. */
static LowValue add_given(Rule *r, LowValue v, const char *name)
{
    Low *L = r->L;
    TdlVals leaves = {0};
    bool fn = v.kind == LV_FN;
    if (fn) v = low_captures(L, v);
    low_flatten(L, v, &leaves);
    if (!fn && !has_float(L, v)) return (LowValue){.kind = LV_UNIT};
    for (uint32_t i = 0; i < leaves.n; i++) {
        TdlType t = ir_type(L->b.f, leaves.p[i]);
        leaves.p[i] = ty_is_float(L->m, t) ? ir_func_add_param(r->f, intern(L->names, name), t, NULL) : ir_zeros(&L->b, t);
    }
    uint32_t at = 0;
    return low_unflatten(L, v, leaves.p, &at);
}

static const LowType *result_type(const Rule *r, uint32_t i)
{
    return r->nresults == 1 ? r->s->result : r->s->result->elems[i];
}

/* A parameter like argument i of the call: a function is itself, with parameters in place of what it captures. */
static void add_like(Rule *r, uint32_t i)
{
    Low *L = r->L;
    TdlVals leaves = {0};
    uint32_t at = 0;
    TdlSym name = r->s->decl->ast->params.p[i].name.name;
    low_flatten(L, r->like[i], &leaves);
    for (uint32_t k = 0; k < leaves.n; k++) leaves.p[k] = ir_func_add_param(r->f, name, ir_type(r->like_in, leaves.p[k]), NULL);
    r->params[i] = low_unflatten(L, r->like[i], leaves.p, &at);
    r->s->params[i] = low_type_of(L, r->params[i].kind == LV_FN ? low_captures(L, r->params[i]) : r->params[i]);
}

static void add_param(Rule *r, uint32_t i)
{
    Low *L = r->L;
    bool is_static = !r->like && r->s->params[i]->kind == LT_STATIC;
    if (r->like) add_like(r, i);
    else if (is_static) r->params[i] = r->s->statics[i];
    else low_add_ports(L, r->f, r->s->params[i], r->s->decl->ast->params.p[i].name.name, &r->params[i]);
    r->takes[i] = r->params[i].kind == LV_FN || (!is_static && has_float(L, r->params[i]));
}

/* Parameters of the rule's function: f's parameters, its results, and what is given. */
static void add_inputs(Rule *r, bool reverse)
{
    Low *L = r->L;
    for (uint32_t i = 0; i < r->s->nparams; i++) {
        add_param(r, i);
        low_bind(L, r->a->params.p[i].name.name, r->params[i], false, r->a->params.p[i].span);
    }
    for (uint32_t i = 0; i < r->nresults; i++) {
        low_add_ports(L, r->f, result_type(r, i), r->a->results.p[i].name, &r->results[i]);
        low_bind(L, r->a->results.p[i].name, r->results[i], false, r->a->results.p[i].span);
    }
    uint32_t n = reverse ? r->nresults : r->s->nparams;
    for (uint32_t i = 0; i < n; i++) {
        AstName of = reverse ? r->a->results.p[i] : r->a->params.p[i].name;
        const char *name = arena_printf(L->arena, "%c%s", reverse ? 'd' : 't', low_name(L, of.name));
        r->given[i] = add_given(r, reverse ? r->results[i] : r->params[i], name);
        if (r->given[i].kind != LV_UNIT) low_bind(L, intern(L->names, name), r->given[i], false, of.span);
    }
}

/* ---- partials ---- */

/* v summed over the axes that `like` lacks or has as a literal 1. */
static TdlVal sum_to(Low *L, TdlVal v, TdlType like)
{
    uint32_t n = ty_rank(L->m, ir_type(L->b.f, v)), rank = ty_rank(L->m, like), k = 0;
    int64_t axes[LOW_MAX_RANK];
    const TdlDim *d = ty_dims(L->m, ir_type(L->b.f, v)), *to = ty_dims(L->m, like);
    for (uint32_t i = 0; i < n; i++)
        if (i + rank < n || !dim_eq(d[i], to[i + rank - n])) axes[k++] = i;
    if (k) v = ir_sum_axes(&L->b, v, axes, k);
    return low_reshape(L, v, ty_dims(L->m, like), rank);
}

static const AstPartial *partial_of(const AstDecl *a, TdlSym name)
{
    for (uint32_t i = 0; i < a->partials.n; i++)
        if (sym_eq(a->partials.p[i].name.name, name)) return &a->partials.p[i];
    return NULL;
}

/* The partial by parameter i, in the shape of x or z, whichever the other one broadcasts to. */
static LowValue partial(Rule *r, uint32_t i)
{
    Low *L = r->L;
    const char *name = low_name(L, r->a->params.p[i].name.name);
    const AstPartial *p = partial_of(r->a, r->a->params.p[i].name.name);
    LowValue x = r->params[i], z = r->results[0];
    if (!p) return low_error(L, r->a->name.span, "derivative of %s: the partial by `%s` is missing: `partial %s = 0` says that there is none", low_name(L, r->a->name.name), name, name);
    TdlDim dims[LOW_MAX_RANK];
    uint32_t rank = 0;
    TdlSpan at = p->block ? p->block->span : p->value->span;
    bool fits = r->nresults == 1 && x.kind == LV_TENSOR && z.kind == LV_TENSOR && ty_is_float(L->m, lv_type(L, z)) &&
                low_bshape(L, lv_dims(L, x), lv_rank(L, x), lv_dims(L, z), lv_rank(L, z), dims, &rank);
    TdlType full = fits ? ty_tensor(L->m, lv_elem(L, z), dims, rank) : (TdlType){0};
    fits = fits && (ty_eq(full, lv_type(L, z)) || ty_eq(full, ty_with_elem(L->m, lv_type(L, x), lv_elem(L, z))));
    if (!fits) return low_error(L, at, "derivative of %s: a partial by `%s` needs one tensor as result, and its shape or that of `%s` to broadcast to the other: write a `reverse` block", low_name(L, r->a->name.name), name, name);
    LowValue v = p->block ? low_block_value(L, p->block) : low_expr(L, p->value);
    if (lv_is_err(v)) return v;
    TdlDim both[LOW_MAX_RANK];
    uint32_t n = 0;
    const char *want = ty_text(L, full);
    if (!lv_is_num(v)) return wrong(r, at, "partial by", name, lv_text(L, v), want);
    v = lv_tensor(low_mat(L, v, lv_elem(L, z)));
    fits = low_bshape(L, lv_dims(L, v), lv_rank(L, v), dims, rank, both, &n) && ty_eq(ty_tensor(L->m, lv_elem(L, z), both, n), full);
    return fits ? lv_tensor(low_bcast(L, v.v, dims, rank)) : wrong(r, at, "partial by", name, lv_text(L, v), want);
}

/* g * partial, summed to the shape and type of `like`. */
static TdlVal product(Low *L, LowValue g, LowValue p, LowValue like)
{
    TdlVal v = low_bcast(L, low_mat(L, g, lv_elem(L, p)), lv_dims(L, p), lv_rank(L, p));
    return ir_cast(&L->b, sum_to(L, ir_binary(&L->b, OP_MUL, v, p.v), lv_type(L, like)), lv_elem(L, like));
}

static bool partials(Rule *r, bool reverse, TdlVals *out)
{
    Low *L = r->L;
    TdlVal sum = {0};
    for (uint32_t i = 0; i < r->s->nparams; i++) {
        if (!r->takes[i]) continue;
        LowValue p = partial(r, i);
        if (lv_is_err(p)) return false;
        TdlVal v = product(L, reverse ? r->given[0] : r->given[i], p, reverse ? r->params[i] : r->results[0]);
        if (reverse) VEC_PUSH(L->arena, *out, v);
        else sum = sum.id ? ir_binary(&L->b, OP_ADD, sum, v) : v;
    }
    if (!reverse) VEC_PUSH(L->arena, *out, sum.id ? sum : ir_zeros(&L->b, lv_type(L, r->results[0])));
    return true;
}

/* ---- blocks ---- */

/* Adds the float leaves of v, which is to be of type t. */
static bool add_part(Rule *r, LowValue v, const LowType *t, TdlSpan at, const char *what, TdlSym name, TdlVals *out)
{
    Low *L = r->L;
    v = low_coerce(L, v, t, at, arena_printf(L->arena, "derivative of %s: the %s `%s`", low_name(L, r->a->name.name), what, low_name(L, name)));
    if (lv_is_err(v)) return false;
    TdlVals leaves = {0};
    low_flatten(L, low_concrete(L, v), &leaves);
    for (uint32_t i = 0; i < leaves.n; i++)
        if (ty_is_float(L->m, ir_type(L->b.f, leaves.p[i]))) VEC_PUSH(L->arena, *out, leaves.p[i]);
    return true;
}

/* The value of a block: for each float parameter its cotangent, or for each float result its tangent. */
static bool block(Rule *r, bool reverse, TdlVals *out)
{
    Low *L = r->L;
    const AstBlock *b = reverse ? r->a->reverse : r->a->forward;
    uint32_t of[64], n = 0, all = reverse ? r->s->nparams : r->nresults;
    const char *what = reverse ? "cotangent of" : "tangent of";
    for (uint32_t i = 0; i < all && n < 64; i++)
        if (reverse ? r->takes[i] : has_float(L, r->results[i])) of[n++] = i;
    LowValue v = low_block_value(L, b);
    if (lv_is_err(v)) return false;
    TdlSpan at = b->stmts.n ? b->stmts.p[b->stmts.n - 1]->span : b->span;
    if (n != 1 && (v.kind != LV_TUPLE || v.n != n)) {
        low_error(L, at, "derivative of %s: the `%s` block gives %s, expected a tuple of %u: one for each float %s", low_name(L, r->a->name.name),
                  reverse ? "reverse" : "forward", lv_text(L, v), n, reverse ? "parameter" : "result");
        return false;
    }
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        TdlSym name = reverse ? r->a->params.p[of[i]].name.name : r->a->results.p[of[i]].name;
        ok &= add_part(r, n == 1 ? v : v.elems[i], reverse ? r->s->params[of[i]] : result_type(r, of[i]), at, what, name, out);
    }
    return ok;
}

/* ---- the function ---- */

static bool rule_body(Rule *r, bool reverse)
{
    Low *L = r->L;
    TdlVals out = {0};
    add_inputs(r, reverse);
    low_push_scope(L, BARRIER_NONE);
    if (r->a->body) low_stmts(L, r->a->body, 0, false);
    bool ok = r->a->partials.n ? partials(r, reverse, &out) : block(r, reverse, &out);
    for (uint32_t i = 0; ok && i < out.n; i++) {
        TdlPort port = {.name = intern(L->names, arena_printf(L->arena, "out_%u", i)), .type = ir_type(r->f, out.p[i]), .cotangent_of = -1, .prior_of = -1};
        VEC_PUSH(L->m->arena, r->f->results, port);
    }
    ir_emit(&L->b, OP_RETURN, out.p, ok ? out.n : 0, NULL, 0);
    return ok;
}

static TdlSym rule_func(Low *L, LowInst *s, const AstDecl *a, const LowValue *like, bool reverse)
{
    const char *key = arena_printf(L->arena, "%s.%s", low_name(L, s->f->name), reverse ? "reverse" : "forward");
    Rule r = {.L = L, .a = a, .s = s, .like = like, .like_in = L->b.f, .nresults = a->results.n, .f = ir_func_new(L->m, ir_fresh(L->m, key), a->name.span)};
    r.params = ARENA_ARRAY(L->arena, LowValue, s->nparams + 1);
    r.results = ARENA_ARRAY(L->arena, LowValue, r.nresults + 1);
    r.takes = ARENA_ARRAY(L->arena, bool, s->nparams + 1);
    r.given = ARENA_ARRAY(L->arena, LowValue, s->nparams + r.nresults + 1);
    for (uint32_t i = 0; i < s->ndims; i++) VEC_PUSH(L->m->arena, r.f->dims, s->dims[i]);
    TdlBuilder old = L->b;
    LowLeaf *leaves = L->leaves;
    bool script = L->in_script;
    L->leaves = NULL;
    L->in_script = false;
    L->b = ir_at_end(r.f, r.f->body, a->name.span);
    LowFrame *fr = low_push_frame(L, arena_printf(L->arena, "the derivative of %s", low_name(L, a->name.name)), s->call);
    fr->depth = 0;
    fr->library = s->decl->library;
    fr->dims = s->binds;
    fr->tys = s->tys;
    if (!like) fr->deflt = low_default_float(L, s);
    bool ok = rule_body(&r, reverse);
    low_pop_frame(L);
    L->b = old;
    L->leaves = leaves;
    L->in_script = script;
    if (ok) return r.f->name;
    ir_func_remove(L->m, r.f);
    return SYM_NONE;
}

/* `like`: NULL, or the arguments of the call that the function was made for. */
static void add_rules(Low *L, LowInst *s, const LowRule *rule, const LowValue *like)
{
    const AstDecl *a = rule->ast;
    bool tuple = s->result->kind == LT_TUPLE;
    if (a->results.n != 1 && !(tuple && s->result->n == a->results.n)) {
        low_error(L, a->results.p[0].span, "derivative: %s gives %s, not %u results", low_name(L, a->name.name), lt_text(L, s->result), a->results.n);
        return;
    }
    if (a->partials.n || a->reverse) s->f->reverse = rule_func(L, s, a, like, true);
    if (a->partials.n || a->forward) s->f->forward = rule_func(L, s, a, like, false);
}

void low_instance_rules(Low *L, LowInst *s)
{
    const LowRule *rule = low_find_rule(L, s->decl);
    if (!rule || !s->result || rule->ast->params.n != s->nparams || rule->ast->generics.n) return;
    add_rules(L, s, rule, NULL);
}

void low_lifted_rules(Low *L, const LowDecl *d, const LowLifted *f, const LowValue *args, const LowDimBinds *dims, const LowTyBinds *tys, TdlSpan at)
{
    const LowRule *rule = low_find_rule(L, d);
    if (!rule || rule->ast->params.n != d->ast->params.n || rule->ast->generics.n) return;
    LowInst *s = ARENA_NEW(L->arena, LowInst);
    *s = (LowInst){.decl = d, .f = f->f, .dims = f->f->dims.p, .ndims = f->f->dims.n, .nparams = d->ast->params.n, .result = f->result,
                   .binds = *dims, .tys = *tys, .call = at};
    s->params = ARENA_ARRAY(L->arena, const LowType *, s->nparams + 1);
    add_rules(L, s, rule, args);
}
