/* Instances: a declaration for given type parameters, ranks and static arguments becomes a function of the IR;
 * calls bind its dimension parameters. Functions that take functions, and parameters without a type that receive
 * tensors, are walked at the call instead (the shapes are then the caller's own). */
#include "frontend/lower_int.h"

#include <string.h>

/* ---- parameters ---- */

static bool type_is(Low *L, const AstType *t, const char *name)
{
    return t && t->kind == AST_TY_NAME && !t->has_dims && !strcmp(low_name(L, t->name.name), name);
}

/* int, bool, str, float and untyped parameters of the library, and `static`: compile-time where the argument is. */
static bool may_be_static(Low *L, const LowDecl *d, const AstParam *p)
{
    if (!p->type) return true;
    if (type_is(L, p->type, "static") || type_is(L, p->type, "str") || type_is(L, p->type, "int") || type_is(L, p->type, "float")) return true;
    return d->library && type_is(L, p->type, "bool");
}

static bool is_static_value(const Low *L, LowValue v)
{
    int64_t c;
    if (v.kind == LV_TUPLE) {
        for (uint32_t i = 0; i < v.n; i++)
            if (!is_static_value(L, v.elems[i])) return false;
        return true;
    }
    return v.kind == LV_NONE || v.kind == LV_STR || v.kind == LV_BOOL || v.kind == LV_FLOAT || v.kind == LV_ELEM || lv_int_const(L, v, &c);
}

static void string_text(const char *s, size_t n, TdlStr *out)
{
    str_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') str_printf(out, "\\x%02x", c);
        else str_putc(out, (char)c);
    }
    str_putc(out, '"');
}

/* As a program writes it: equal texts are equal values of one kind. */
static void static_text(const Low *L, LowValue v, TdlStr *out)
{
    int64_t c = 0;
    switch (v.kind) {
    case LV_NONE: str_puts(out, "none"); break;
    case LV_STR: string_text(v.s, v.n, out); break;
    case LV_BOOL: str_puts(out, v.i ? "true" : "false"); break;
    case LV_FLOAT: str_double(out, v.f); break;
    case LV_ELEM: str_puts(out, el_name(v.elem)); break;
    case LV_INT: lv_int_const(L, v, &c); str_printf(out, "%lld", (long long)c); break;
    case LV_TUPLE:
        str_putc(out, '(');
        for (uint32_t i = 0; i < v.n; i++) {
            if (i) str_putc(out, ',');
            static_text(L, v.elems[i], out);
        }
        str_putc(out, ')');
        break;
    default: break;
    }
}

/* ---- signatures ---- */

static void add_dim(Low *L, LowInst *s, TdlSym name)
{
    s->dims = vec_grow(L->arena, s->dims, s->ndims, &(uint32_t){s->ndims}, s->ndims + 1, sizeof *s->dims);
    s->dims[s->ndims++] = name;
    TdlDim d = dim_var(L->m, name);
    for (uint32_t i = 0; s->fix && L->opt && i < L->opt->nfixes; i++)
        if (!strcmp(L->opt->fixes[i].name, low_name(L, name))) d = dim_const(L->m, L->opt->fixes[i].value);
    VEC_PUSH(L->arena, s->binds, ((LowDimBind){name, d}));
}

/* assert(n == 2*m) at the top: n is rewritten. */
static void apply_facts(Low *L, LowInst *s)
{
    const AstBlock *b = s->decl->ast->body;
    for (uint32_t i = 0; b && i < b->stmts.n && b->stmts.p[i]->kind == AST_ASSERT; i++) {
        const AstExpr *e = b->stmts.p[i]->e;
        if (e->kind != AST_BINARY || e->op != AST_OP_EQ) continue;
        for (int side = 0; side < 2; side++) {
            const AstExpr *n = side ? e->b : e->a, *to = side ? e->a : e->b;
            if (n->kind != AST_NAME || !low_dim_like(L, to)) continue;
            TdlDim d;
            TdlSym self;
            LowDimBind *bind = NULL;
            for (uint32_t k = 0; k < s->binds.n; k++)
                if (sym_eq(s->binds.p[k].name, n->name.name)) bind = &s->binds.p[k];
            if (!bind || !dim_is_var(L->m, bind->d, &self) || !sym_eq(self, bind->name)) continue;
            if (!low_dim_expr(L, to, &d) || low_dim_has(L, d, self)) continue;
            for (uint32_t k = 0; k < s->binds.n; k++) s->binds.p[k].d = dim_subst(L->m, s->binds.p[k].d, &self, &d, 1);
            L->frame->dims = s->binds;
            break;
        }
    }
}

typedef struct { TdlSym want; bool found; } HasVar;
static void has_var(void *user, TdlSym v) { ((HasVar *)user)->found |= sym_eq(((HasVar *)user)->want, v); }
bool low_dim_has(Low *L, TdlDim d, TdlSym v)
{
    HasVar h = {v, false};
    dim_vars(L->m, d, has_var, &h);
    return h.found;
}

/* Is e made of integers and dimension names of the frame? */
bool low_dim_like(Low *L, const AstExpr *e)
{
    if (e->kind == AST_INT) return true;
    if (e->kind == AST_UNARY) return e->op == AST_OP_NEG && low_dim_like(L, e->a);
    if (e->kind == AST_BINARY) return e->op >= AST_OP_ADD && e->op <= AST_OP_POW && e->op != AST_OP_DIV && low_dim_like(L, e->a) && low_dim_like(L, e->b);
    for (uint32_t i = 0; e->kind == AST_NAME && i < L->frame->dims.n; i++)
        if (sym_eq(L->frame->dims.p[i].name, e->name.name)) return true;
    return false;
}

static bool has_f64(Low *L, const LowType *t)
{
    if (t->kind == LT_TENSOR) return ty_elem(L->m, t->t) == EL_F64;
    for (uint32_t i = 0; i < t->n; i++)
        if (has_f64(L, t->elems[i])) return true;
    return false;
}

static LowType *static_type(Low *L)
{
    LowType *t = ARENA_NEW(L->arena, LowType);
    t->kind = LT_STATIC;
    return t;
}

/* Fills dims, binds and parameter types of `s` for type parameters `tys` (ranks of packs known). The result type is
 * left for the body where none is written. Its frame stays pushed when keep is set. */
static bool signature_in_frame(Low *L, LowInst *s, const LowDecl *d, const LowValue *args)
{
    const AstDecl *a = d->ast;
    LowFrame *f = L->frame;
    f->library = d->library;
    for (uint32_t i = 0; i < a->generics.n; i++) {
        const AstGeneric *g = &a->generics.p[i];
        LowTyBind *b = g->pack ? low_find_ty(&s->tys, g->name.name) : NULL;
        if (g->pack) {
            b->dims = ARENA_ARRAY(L->arena, TdlDim, b->rank);
            for (uint32_t k = 0; k < b->rank; k++) {
                TdlSym n = intern(L->names, arena_printf(L->arena, "%s%u", low_name(L, g->name.name), k));
                for (uint32_t j = 0; j < a->generics.n; j++)
                    if (sym_eq(a->generics.p[j].name.name, n)) n = intern(L->names, arena_printf(L->arena, "%s_%u", low_name(L, g->name.name), k));
                add_dim(L, s, n);
                b->dims[k] = dim_var(L->m, n);
            }
        } else if (!g->bound.id) {
            add_dim(L, s, g->name.name);
        }
    }
    f->dims = s->binds;
    f->tys = s->tys;
    if (a->kind == AST_FN) apply_facts(L, s);
    s->nparams = a->params.n;
    s->params = ARENA_ARRAY(L->arena, const LowType *, a->params.n);
    for (uint32_t i = 0; i < a->params.n; i++) {
        const AstParam *p = &a->params.p[i];
        bool st = a->kind == AST_FN && may_be_static(L, d, p);
        if (st && !args && !p->type) {
            low_error(L, p->span, "parameter `%s` needs a type", low_name(L, p->name.name));
            return false;
        }
        if (a->kind == AST_EXTERN && (!p->type || p->type->kind == AST_TY_FN || p->deflt)) {
            low_error(L, p->span, "extern fn: parameter `%s` needs the type of a number, tensor, struct or tuple, and no default", low_name(L, p->name.name));
            return false;
        }
        s->params[i] = st ? static_type(L) : low_type(L, p->type);
        if (s->params[i]->kind == LT_ERROR) return false;
        if (has_f64(L, s->params[i])) f->deflt = EL_F64;
    }
    if (a->result) {
        s->result = low_type(L, a->result);
        if (s->result->kind == LT_ERROR) return false;
        if (has_f64(L, s->result)) f->deflt = EL_F64;
    }
    return true;
}

bool low_signature(Low *L, LowInst *s, const LowDecl *d, const LowTyBinds *tys, const LowValue *args)
{
    s->decl = d;
    if (tys) s->tys = *tys;
    low_push_frame(L, low_name(L, d->ast->name.name), SPAN_NONE);
    L->frame->deflt = EL_F32;
    bool ok = signature_in_frame(L, s, d, args);
    low_pop_frame(L);
    return ok;
}

/* ---- dimension binding ---- */

typedef struct { TdlSym *tmp; TdlDim *tmpd; TdlDim *out; bool *bound; uint32_t n; } Solve;

static TdlDim solved(Low *L, Solve *s, TdlDim d, uint32_t *unknown)
{
    TdlSym names[64];
    TdlDim to[64];
    uint32_t n = 0;
    *unknown = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!low_dim_has(L, d, s->tmp[i])) continue;
        if (s->bound[i] && n < 64) { names[n] = s->tmp[i]; to[n++] = s->out[i]; }
        else (*unknown)++;
    }
    return dim_subst(L->m, d, names, to, n);
}

/* One equation of a parameter's dimension (over temporaries) and the argument's. */
static bool equation(Low *L, Solve *s, TdlDim p, TdlDim a, bool lone)
{
    TdlSym v;
    uint32_t unknown;
    TdlDim value;
    if (lone) {
        if (!dim_is_var(L->m, p, &v)) return false;
        value = a;
    } else {
        p = solved(L, s, p, &unknown);
        if (unknown != 1 || !dim_solve(L->m, p, a, &v, &value)) return false;
    }
    for (uint32_t i = 0; i < s->n; i++)
        if (sym_eq(s->tmp[i], v) && !s->bound[i]) {
            s->out[i] = value;
            return s->bound[i] = true;
        }
    return false;
}

static bool walk_type(Low *L, Solve *s, const LowType *p, LowValue a, const LowInst *inst, bool lone)
{
    bool any = false;
    if (p->kind == LT_TENSOR && a.kind == LV_TENSOR) {
        TdlType t = ty_subst(L->m, p->t, inst->dims, s->tmpd, inst->ndims);
        if (ty_rank(L->m, t) != lv_rank(L, a)) return false;
        for (uint32_t i = 0; i < lv_rank(L, a); i++) any |= equation(L, s, ty_dims(L->m, t)[i], lv_dims(L, a)[i], lone);
    }
    for (uint32_t i = 0; i < p->n && (a.kind == LV_TUPLE || a.kind == LV_STRUCT) && a.n == p->n; i++)
        any |= walk_type(L, s, p->elems[i], a.elems[i], inst, lone);
    return any;
}

static void argument_note(Low *L, const LowDecl *d, uint32_t i)
{
    diag_note(L->diags, d->ast->params.p[i].span, "parameter `%s` declared here", low_name(L, d->ast->params.p[i].name.name));
}

static bool coerce_args(Low *L, const LowInst *inst, LowValue *args, const TdlDim *out, TdlSpan at)
{
    for (uint32_t i = 0; i < inst->nparams; i++) {
        const AstParam *p = &inst->decl->ast->params.p[i];
        if (inst->params[i]->kind == LT_STATIC) continue;
        const LowType *t = lt_subst(L, inst->params[i], inst->dims, out, inst->ndims);
        const char *what = arena_printf(L->arena, "%s: argument `%s`", low_name(L, inst->decl->ast->name.name), low_name(L, p->name.name));
        args[i] = low_coerce(L, args[i], t, at, what);
        if (lv_is_err(args[i])) {
            argument_note(L, inst->decl, i);
            return false;
        }
    }
    return true;
}

bool low_bind_dims(Low *L, const LowInst *inst, LowValue *args, const LowDimBinds *given, TdlDim *out, TdlSpan at)
{
    Solve s = {.n = inst->ndims, .out = out};
    s.tmp = ARENA_ARRAY(L->arena, TdlSym, s.n);
    s.tmpd = ARENA_ARRAY(L->arena, TdlDim, s.n);
    s.bound = ARENA_ARRAY(L->arena, bool, s.n);
    for (uint32_t i = 0; i < s.n; i++) {
        s.tmp[i] = intern(L->names, arena_printf(L->arena, "?%u", i));
        s.tmpd[i] = dim_var(L->m, s.tmp[i]);
        out[i] = s.tmpd[i];
        for (uint32_t k = 0; given && k < given->n; k++)
            if (sym_eq(given->p[k].name, inst->dims[i])) { out[i] = given->p[k].d; s.bound[i] = true; }
    }
    for (uint32_t i = 0; i < inst->nparams; i++) walk_type(L, &s, inst->params[i], args[i], inst, true);
    for (bool any = true; any;) {
        any = false;
        for (uint32_t i = 0; i < inst->nparams; i++) any |= walk_type(L, &s, inst->params[i], args[i], inst, false);
    }
    for (uint32_t i = 0; i < s.n; i++) { /* what a fact or -D says of the others */
        uint32_t unknown;
        if (s.bound[i]) continue;
        TdlDim d = solved(L, &s, dim_subst(L->m, inst->binds.p[i].d, inst->dims, s.tmpd, s.n), &unknown);
        if (!unknown) { out[i] = d; s.bound[i] = true; continue; }
        bool fits = true; /* a wrong rank explains it better */
        for (uint32_t k = 0; k < inst->nparams; k++)
            fits &= inst->params[k]->kind != LT_TENSOR || !lv_is_num(args[k]) || ty_rank(L->m, inst->params[k]->t) == lv_rank(L, args[k]);
        for (uint32_t k = 0; k < s.n; k++) s.tmpd[k] = dim_var(L->m, inst->dims[k]);
        if (!fits) { coerce_args(L, inst, args, s.tmpd, at); return false; }
        const char *n = low_name(L, inst->dims[i]), *f = low_name(L, inst->decl->ast->name.name);
        low_error(L, at, "%s: dimension `%s` does not follow from the arguments: give it by name: %s(..., %s=...)", f, n, f, n);
        return false;
    }
    return coerce_args(L, inst, args, out, at);
}

/* ---- type parameters ---- */

static bool bound_fits(const char *bound, TdlElem e)
{
    if (!strcmp(bound, "float")) return el_is_float(e);
    if (!strcmp(bound, "int")) return el_is_int(e);
    return true;
}

static bool bind_types(Low *L, const LowDecl *d, LowValue *vals, LowTyBinds *tys, TdlSpan at)
{
    const AstDecl *a = d->ast;
    const char *name = low_name(L, a->name.name);
    for (uint32_t i = 0; i < a->generics.n; i++)
        if (a->generics.p[i].pack || a->generics.p[i].bound.id)
            VEC_PUSH(L->arena, *tys, ((LowTyBind){.name = a->generics.p[i].name.name, .pack = a->generics.p[i].pack}));
    for (int pass = 0; tys->n && pass < 2; pass++)
        for (uint32_t i = 0; i < a->params.n; i++)
            if (a->params.p[i].type && !may_be_static(L, d, &a->params.p[i])) low_match_ty(L, tys, a->params.p[i].type, vals[i], pass == 1);
    for (uint32_t i = 0; i < a->generics.n; i++) {
        const AstGeneric *g = &a->generics.p[i];
        LowTyBind *b = g->pack || g->bound.id ? low_find_ty(tys, g->name.name) : NULL;
        if (!b) continue;
        const char *n = low_name(L, g->name.name);
        if (!b->bound) { low_error(L, at, "%s: `%s` does not follow from the arguments", name, n); return false; }
        if (!g->pack && !strcmp(low_name(L, g->bound), "float") && b->elem == EL_I64) { /* an integer literal among floats */
            bool literal = true;
            for (uint32_t k = 0; k < a->params.n; k++)
                literal &= !a->params.p[k].type || !sym_eq(a->params.p[k].type->name.name, g->name.name) || lv_is_weak(vals[k]);
            if (literal) b->elem = L->frame->deflt;
        }
        if (!g->pack && !bound_fits(low_name(L, g->bound), b->elem)) {
            low_error(L, at, "%s: needs %s tensors, not %s; %s(x) converts", name, low_name(L, g->bound), el_name(b->elem), el_name(L->frame->deflt));
            return false;
        }
    }
    return true;
}

/* ---- making an instance ---- */

static const char *instance_key(Low *L, const LowDecl *d, const LowTyBinds *tys, const LowValue *statics)
{
    TdlStr s = str_new(L->arena);
    str_puts(&s, low_name(L, d->ast->name.name));
    for (uint32_t i = 0; i < tys->n; i++)
        if (tys->p[i].pack) str_printf(&s, ".%u", tys->p[i].rank);
        else str_printf(&s, ".%s", el_name(tys->p[i].elem));
    for (uint32_t i = 0; i < d->ast->params.n; i++) {
        if (statics[i].kind == LV_ERROR) continue;
        str_putc(&s, '.');
        static_text(L, statics[i], &s);
    }
    return s.p;
}

/* The key as an identifier of the text form; two keys may have one name. */
static const char *instance_name(Low *L, const char *key)
{
    TdlStr s = str_new(L->arena);
    for (; *key; key++) {
        bool word = (*key >= 'a' && *key <= 'z') || (*key >= 'A' && *key <= 'Z') || (*key >= '0' && *key <= '9') || *key == '_' || *key == '.';
        if (*key == '(' || *key == ')' || *key == '"') continue;
        str_putc(&s, word ? *key : *key == '-' ? 'm' : '_');
    }
    return s.p;
}

void low_add_ports(Low *L, TdlFunc *f, const LowType *t, TdlSym name, LowValue *v)
{
    if (t->kind == LT_TENSOR) {
        *v = lv_tensor(ir_func_add_param(f, name, t->t, NULL));
        return;
    }
    *v = (LowValue){.kind = t->kind == LT_STRUCT ? LV_STRUCT : LV_TUPLE, .n = t->n, .decl = t->decl};
    v->elems = ARENA_ARRAY(L->arena, LowValue, t->n);
    for (uint32_t k = 0; k < t->n; k++) {
        const char *part = t->kind == LT_STRUCT ? low_name(L, t->decl->ast->params.p[k].name.name) : arena_printf(L->arena, "%u", k);
        low_add_ports(L, f, t->elems[k], intern(L->names, arena_printf(L->arena, "%s_%s", low_name(L, name), part)), &v->elems[k]);
    }
}

void low_result_ports(Low *L, TdlFunc *f, const LowType *t, const char *name, int32_t cotangent_of)
{
    if (t->kind == LT_TENSOR) {
        VEC_PUSH(L->m->arena, f->results, ((TdlPort){.name = intern(L->names, name), .type = t->t, .cotangent_of = cotangent_of, .prior_of = -1}));
        return;
    }
    for (uint32_t k = 0; k < t->n; k++) {
        const char *part = t->kind == LT_STRUCT ? low_name(L, t->decl->ast->params.p[k].name.name) : arena_printf(L->arena, "%u", k);
        low_result_ports(L, f, t->elems[k], arena_printf(L->arena, "%s_%s", name, part), cotangent_of);
    }
}

TdlElem low_default_float(Low *L, const LowInst *s)
{
    for (uint32_t i = 0; i < s->nparams; i++)
        if (has_f64(L, s->params[i])) return EL_F64;
    return s->result && has_f64(L, s->result) ? EL_F64 : EL_F32;
}

static void run_instance(Low *L, LowInst *s, LowValue *params)
{
    const AstDecl *a = s->decl->ast;
    TdlBuilder old = L->b;
    bool script = L->in_script;
    LowLeaf *leaves = L->leaves;
    L->leaves = NULL;
    L->in_script = false;
    s->state = INST_RUNNING;
    L->b = ir_at_end(s->f, s->f->body, a->span);
    LowFrame *f = low_push_frame(L, low_name(L, a->name.name), s->call);
    f->depth = 0;
    f->library = s->decl->library;
    f->dims = s->binds;
    f->tys = s->tys;
    f->result = s->result;
    f->deflt = low_default_float(L, s);
    for (uint32_t i = 0; i < s->nparams; i++) low_bind(L, a->params.p[i].name.name, params[i], false, a->params.p[i].span);
    low_check_fixes(L, s);
    low_push_scope(L, BARRIER_NONE);
    low_body(L, a);
    s->result = low_finish_function(L, a, s->result, s->f);
    low_pop_frame(L);
    L->b = old;
    L->in_script = script;
    L->leaves = leaves;
    s->state = INST_DONE;
}

/* A C function: its symbol is the name, or what is written behind `=`, with _f32 or _f64 for each type parameter. */
static void extern_instance(Low *L, LowInst *s)
{
    const AstDecl *a = s->decl->ast;
    const char *symbol = a->extern_symbol ? a->extern_symbol : low_name(L, a->name.name);
    for (uint32_t i = 0; i < s->tys.n; i++) {
        TdlElem e = s->tys.p[i].elem;
        if (s->tys.p[i].pack) continue;
        symbol = arena_printf(L->arena, "%s_%s", symbol, el_name(e));
        if (s->decl->library && (e == EL_F16 || e == EL_BF16))
            low_error(L, a->span, "LAPACK does not compute with %s: convert with f32(...)", el_name(e));
    }
    s->f->symbol = sym_text(L->names, intern(L->names, symbol));
    s->state = INST_DONE;
    bool word = symbol[0] && !(symbol[0] >= '0' && symbol[0] <= '9');
    for (const char *p = symbol; *p; p++)
        word &= (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_';
    if (!word) low_error(L, a->span, "extern fn: \"%s\" is not the name of a C function", symbol);
    if (!s->decl->library && !strncmp(symbol, "tdl", 3) && (symbol[3] == '_' || !strncmp(symbol + 3, "rt_", 3)))
        low_error(L, a->span, "extern fn: names that begin with tdl_ and tdlrt_ are the compiler's own");
    if (!s->result || s->result->kind == LT_UNIT) {
        s->result = NULL;
        low_error(L, a->name.span, "extern fn: %s needs a result type: -> f64[n]", low_name(L, a->name.name));
    }
}

static bool has_statics(const LowDecl *d, const LowValue *statics)
{
    for (uint32_t i = 0; i < d->ast->params.n; i++)
        if (statics[i].kind != LV_ERROR) return true;
    return false;
}

LowInst *low_instance(Low *L, const LowDecl *d, const LowTyBinds *tys, const LowValue *statics, TdlSpan at)
{
    const char *key = instance_key(L, d, tys, statics);
    for (LowInst *i = L->insts; i; i = i->next)
        if (i->decl == d && !strcmp(i->key, key)) return i;
    if (++L->ninsts > LOW_MAX_INSTANCES) {
        low_error(L, at, "more than %d instances of functions: a generic function calls itself with ever new types", LOW_MAX_INSTANCES);
        return NULL;
    }
    if (L->depth > LOW_MAX_DEPTH) {
        low_error(L, at, "functions are nested too deeply here (%s)", key);
        return NULL;
    }
    LowInst *s = ARENA_NEW(L->arena, LowInst);
    s->key = key;
    s->call = d->library || tys->n || has_statics(d, statics) ? at : SPAN_NONE;
    s->statics = arena_memdup(L->arena, statics, sizeof *statics * d->ast->params.n);
    s->fix = d->ast->exported && !d->library;
    bool ok = low_signature(L, s, d, tys, statics);
    s->next = NULL;
    if (L->insts_tail) L->insts_tail->next = s; else L->insts = s;
    L->insts_tail = s;
    if (!ok) { s->state = INST_DONE; return s; }
    const char *name = instance_name(L, key);
    bool taken = ir_func_find(L->m, intern(L->names, name)) != NULL;
    s->f = ir_func_new(L->m, taken ? ir_fresh(L->m, name) : intern(L->names, name), d->ast->name.span);
    s->f->exported = d->ast->exported && !d->library;
    s->f->doc = d->ast->doc;
    for (uint32_t i = 0; i < s->ndims; i++) VEC_PUSH(L->m->arena, s->f->dims, s->dims[i]);
    LowValue *params = ARENA_ARRAY(L->arena, LowValue, s->nparams);
    TdlBuilder old = L->b;
    L->b = ir_at_end(s->f, s->f->body, d->ast->span);
    for (uint32_t i = 0; i < s->nparams; i++) {
        if (s->params[i]->kind == LT_STATIC) params[i] = statics[i];
        else low_add_ports(L, s->f, s->params[i], d->ast->params.p[i].name.name, &params[i]);
    }
    L->b = old;
    if (s->result) low_result_ports(L, s->f, s->result, "out", -1);
    L->depth += 4;
    if (d->ast->kind == AST_EXTERN) extern_instance(L, s);
    else run_instance(L, s, params);
    low_instance_rules(L, s);
    L->depth -= 4;
    return s;
}

bool low_instance_finish(Low *L, LowInst *i)
{
    if (!i || !i->f) return false;
    if (i->result) return true;
    if (i->state == INST_RUNNING)
        low_error(L, i->decl->ast->name.span, "%s calls itself: write its result type: -> f64[n]", low_name(L, i->decl->ast->name.name));
    return false;
}

/* ---- calls ---- */

static LowValue emit_call(Low *L, LowInst *s, const LowValue *vals, const TdlDim *dims, const char *grad_fn)
{
    TdlVals ops = {0};
    for (uint32_t i = 0; i < s->nparams; i++)
        if (s->params[i]->kind != LT_STATIC) low_flatten(L, vals[i], &ops);
    const LowType *rt = lt_subst(L, s->result, s->dims, dims, s->ndims);
    return low_emit_call(L, s->f, ops.p, ops.n, rt, dims, s->ndims, grad_fn);
}

LowValue low_emit_call(Low *L, TdlFunc *f, const TdlVal *ops, uint32_t n, const LowType *rt, const TdlDim *dims, uint32_t ndims, const char *grad_fn)
{
    uint32_t nr = 0, at = 0;
    TdlType *t = ARENA_ARRAY(L->arena, TdlType, lt_nleaves(rt) + 1);
    lt_leaves(rt, t, &nr);
    low_unname(L);
    TdlOp o = ir_emit(&L->b, OP_CALL, ops, n, t, nr);
    const char *name = low_name(L, f->name);
    op_set_str(L->b.f, o, "callee", name, (uint32_t)strlen(name));
    if (ndims) op_set_dims(L->b.f, o, "dims", dims, ndims);
    if (grad_fn && nr && ty_is_float(L->m, t[0])) ir_op(L->b.f, o)->grad_fn = intern(L->names, grad_fn);
    TdlVal *r = ARENA_ARRAY(L->arena, TdlVal, nr + 1);
    for (uint32_t i = 0; i < nr; i++) r[i] = ir_result(L->b.f, o, i);
    return low_from_leaves(L, rt, r, &at);
}

/* The body of d walked here, with the caller's dimensions in the places of its own. */
static LowValue inline_call(Low *L, const LowDecl *d, LowValue *vals, LowTyBinds *tys, const LowDimBinds *dimargs, TdlSpan at)
{
    if (L->frame->depth >= LOW_MAX_INLINE)
        return low_error(L, at, "%s: calls itself with ever new shapes or functions: a function that takes functions calls itself with the same ones", low_name(L, d->ast->name.name));
    LowInst sig = {0};
    if (!low_signature(L, &sig, d, tys, vals)) return LOW_ERR;
    TdlDim *dims = ARENA_ARRAY(L->arena, TdlDim, sig.ndims + 1);
    if (!low_bind_dims(L, &sig, vals, dimargs, dims, at)) return LOW_ERR;
    LowFrame *f = low_push_frame(L, low_name(L, d->ast->name.name), at);
    f->decl = d;
    f->library = d->library;
    f->tys = sig.tys;
    for (uint32_t i = 0; i < sig.binds.n; i++)
        VEC_PUSH(L->arena, f->dims, ((LowDimBind){sig.binds.p[i].name, dim_subst(L->m, sig.binds.p[i].d, sig.dims, dims, sig.ndims)}));
    for (uint32_t i = 0; i < f->tys.n; i++)
        for (uint32_t k = 0; k < f->tys.p[i].rank; k++) f->tys.p[i].dims[k] = dim_subst(L->m, f->tys.p[i].dims[k], sig.dims, dims, sig.ndims);
    f->result = sig.result ? lt_subst(L, sig.result, sig.dims, dims, sig.ndims) : NULL;
    if (d->library) f->deflt = f->up->deflt;
    for (uint32_t i = 0; i < sig.nparams; i++) low_bind(L, d->ast->params.p[i].name.name, vals[i], false, d->ast->params.p[i].span);
    low_push_scope(L, BARRIER_NONE);
    low_body(L, d->ast);
    LowValue r = f->ret.val.kind == LV_BOOL && !f->ret.val.i && f->result ? LOW_ERR : f->retv.val;
    low_pop_frame(L);
    return r;
}

/* The same as a function of its own, called: a library function is one node of the backward graph. */
typedef struct { const LowDecl *d; LowDimBinds dimargs; TdlSpan at; uint32_t n; } Inline;

static LowValue lifted_body(Low *L, LowValue env, void *user)
{
    Inline *in = user;
    LowTyBinds tys = {0};
    if (!bind_types(L, in->d, env.elems, &tys, in->at)) return LOW_ERR;
    return inline_call(L, in->d, env.elems, &tys, &in->dimargs, in->at);
}

static LowValue call_lifted(Low *L, Inline *in, const LowValue *vals, const char *grad_fn)
{
    LowLifted f;
    if (!low_lift(L, low_name(L, in->d->ast->name.name), lv_tuple(L, vals, in->n), lifted_body, in, &f, in->at)) return LOW_ERR;
    return low_emit_call(L, f.f, f.ops.p, f.ops.n, f.result, f.dims, f.ndims, grad_fn);
}

/* ---- recursion of a function that takes functions ----
 * It is walked at its call, as always; a call of itself in there becomes a function of its own, with what its functions
 * capture as parameters. That one calls itself where the arguments are alike: the same functions, values of one shape. */

struct LowRecursion { const LowDecl *d; LowValue args; const TdlFunc *in; /* of the args */ const LowLifted *f; const LowType *result; LowRecursion *up; };

static bool being_inlined(const Low *L, const LowDecl *d)
{
    for (const LowFrame *f = L->frame; f; f = f->up)
        if (f->decl == d) return true;
    return false;
}

static LowValue call_recursive(Low *L, Inline *in, LowValue *vals, LowTyBinds *tys)
{
    LowInst sig = {0};
    if (!low_signature(L, &sig, in->d, tys, vals)) return LOW_ERR;
    TdlDim *dims = ARENA_ARRAY(L->arena, TdlDim, sig.ndims + 1);
    if (!low_bind_dims(L, &sig, vals, &in->dimargs, dims, in->at)) return LOW_ERR;
    for (uint32_t i = 0; i < in->n; i++)
        if (vals[i].kind == LV_INT || vals[i].weak) vals[i] = lv_tensor(low_mat_own(L, vals[i]));
        else if (vals[i].kind != LV_FN) vals[i] = low_concrete(L, vals[i]);
    LowRecursion self = {in->d, lv_tuple(L, vals, in->n), L->b.f, NULL, NULL, L->recursions};
    for (const LowRecursion *r = L->recursions; r; r = r->up) {
        if (r->d != in->d || !lv_alike(L, r->in, r->args, self.args)) continue;
        if (!r->result) return low_error(L, in->at, "%s calls itself: write its result type: -> f64[n]", low_name(L, in->d->ast->name.name));
        TdlVals ops = {0};
        low_flatten(L, self.args, &ops);
        return low_emit_call(L, r->f->f, ops.p, ops.n, r->result, r->f->dims, r->f->ndims, NULL);
    }
    LowLifted f;
    self.f = &f;
    self.result = sig.result ? lt_subst(L, sig.result, sig.dims, dims, sig.ndims) : NULL;
    L->recursions = &self;
    bool ok = low_lift(L, low_name(L, in->d->ast->name.name), self.args, lifted_body, in, &f, in->at);
    L->recursions = self.up;
    return ok ? low_emit_call(L, f.f, f.ops.p, f.ops.n, f.result, f.dims, f.ndims, NULL) : LOW_ERR;
}

typedef struct { bool exact, tensors; } Mode;

static Mode call_mode(Low *L, const LowDecl *d, const LowValue *vals, LowValue *statics)
{
    Mode m = {0};
    for (uint32_t i = 0; i < d->ast->params.n; i++) {
        const AstParam *p = &d->ast->params.p[i];
        statics[i] = LOW_ERR;
        if (vals[i].kind == LV_FN || (p->type && p->type->kind == AST_TY_FN)) m.exact = true;
        else if (d->ast->kind == AST_EXTERN || !may_be_static(L, d, p)) m.tensors = true;
        else if (is_static_value(L, vals[i])) statics[i] = vals[i];
        else m.exact = true;
    }
    return m;
}

bool low_has_fn_param(const LowDecl *d)
{
    for (uint32_t i = 0; i < d->ast->params.n; i++)
        if (!d->ast->params.p[i].type || d->ast->params.p[i].type->kind == AST_TY_FN) return true;
    return false;
}

static bool check_static(Low *L, const LowDecl *d, const LowValue *vals, TdlSpan at)
{
    for (uint32_t i = 0; i < d->ast->params.n; i++) {
        const AstType *t = d->ast->params.p[i].type;
        bool st = type_is(L, t, "static") || type_is(L, t, "str") || (d->library && type_is(L, t, "bool"));
        bool in = type_is(L, t, "int") && vals[i].kind != LV_INT && !(vals[i].kind == LV_TENSOR && el_is_int(lv_elem(L, vals[i])));
        if (in || (st && !is_static_value(L, vals[i]))) {
            low_error(L, at, "%s: `%s` must be %s known at compile time, not %s", low_name(L, d->ast->name.name),
                      low_name(L, d->ast->params.p[i].name.name), type_is(L, t, "int") ? "an integer" : "a value", lv_text(L, vals[i]));
            return false;
        }
    }
    return true;
}

/* Type parameters, ranks and static arguments decided by the arguments: the instance, with its arguments coerced. */
LowInst *low_pick_instance(Low *L, const LowDecl *d, LowArgs *args, LowValue *vals, TdlDim *dims, TdlSpan at)
{
    LowArg *slots = ARENA_ARRAY(L->arena, LowArg, d->ast->params.n);
    LowDimBinds dimargs = {0};
    LowTyBinds tys = {0};
    if (!low_assign_args(L, d, args, slots, &dimargs, at)) return NULL;
    for (uint32_t i = 0; i < d->ast->params.n; i++) vals[i] = slots[i].v;
    LowValue *statics = ARENA_ARRAY(L->arena, LowValue, d->ast->params.n);
    call_mode(L, d, vals, statics);
    if (!bind_types(L, d, vals, &tys, at)) return NULL;
    LowInst *s = low_instance(L, d, &tys, statics, at);
    if (!low_instance_finish(L, s) || !low_bind_dims(L, s, vals, &dimargs, dims, at)) return NULL;
    return s;
}

LowValue low_call_decl(Low *L, const LowDecl *d, LowArgs *args, TdlSpan at)
{
    const AstDecl *a = d->ast;
    const char *grad_fn = d->grad_fn.id ? low_name(L, d->grad_fn) : NULL;
    if (low_find_rule(L, d) && !d->library) grad_fn = arena_printf(L->arena, "%sBackward", low_name(L, a->name.name)); /* as torch.autograd.Function's */
    LowArg *slots = ARENA_ARRAY(L->arena, LowArg, a->params.n);
    LowValue *vals = ARENA_ARRAY(L->arena, LowValue, a->params.n), *statics = ARENA_ARRAY(L->arena, LowValue, a->params.n);
    LowDimBinds dimargs = {0};
    LowTyBinds tys = {0};
    if (!low_assign_args(L, d, args, slots, &dimargs, at)) return LOW_ERR;
    for (uint32_t i = 0; i < a->params.n; i++) vals[i] = slots[i].v;
    Mode mode = call_mode(L, d, vals, statics);
    if (!check_static(L, d, vals, at) || !bind_types(L, d, vals, &tys, at)) return LOW_ERR;
    if (mode.exact && being_inlined(L, d)) return call_recursive(L, &(Inline){d, dimargs, at, a->params.n}, vals, &tys);
    if (mode.exact && grad_fn) return call_lifted(L, &(Inline){d, dimargs, at, a->params.n}, vals, grad_fn);
    if (mode.exact || (d->library && !mode.tensors)) return inline_call(L, d, vals, &tys, &dimargs, at);
    LowInst *s = low_instance(L, d, &tys, statics, at);
    TdlDim *dims = ARENA_ARRAY(L->arena, TdlDim, s ? s->ndims + 1 : 1);
    if (!s || !s->f) return LOW_ERR;
    if (!low_bind_dims(L, s, vals, &dimargs, dims, at)) return LOW_ERR;
    if (!low_instance_finish(L, s)) return LOW_ERR;
    return emit_call(L, s, vals, dims, grad_fn);
}
