/* The verifier: every fault of a function is reported, at the place of the operation, as
 * `@function: operation: what is wrong`. One walk in order: values and dimension variables come into scope where they
 * are defined and leave it with their region, which is dominance for structured regions. */
#include "ir/attr.h"
#include "ir/typerule.h"

#include <stdarg.h>
#include <string.h>

typedef struct {
    TdlFunc *f;
    TdlModule *m;
    TdlArena scratch;
    bool *in_scope;            /* by value id */
    bool *consumed;            /* by value id: stacks are linear */
    TdlVals consumptions;      /* in order; an `if` takes its first branch's back for the second */
    TDL_VEC(bool) dim_scope;   /* by symbol id: dimension variables in scope */
    TDL_VEC(uint32_t) type_ok; /* by type id: the epoch in which its dimensions were found in scope */
    uint32_t epoch;            /* of dim_scope: raised whenever it changes */
    bool loop_ir;
    bool ok;
} Verifier;

static void fault(Verifier *v, TdlOp o, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void fault(Verifier *v, TdlOp o, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    TdlStr s = str_new(v->m->arena);
    str_vprintf(&s, fmt, ap);
    va_end(ap);
    TdlSpan at = o.id ? ir_op(v->f, o)->span : v->f->span;
    diag_error(v->m->diags, at, "@%s: %s%s%s", sym_text(v->m->names, v->f->name),
               o.id ? op_info(ir_op(v->f, o)->code)->name : "", o.id ? ": " : "", s.p);
    v->ok = false;
}

static const char *type_text(Verifier *v, TdlType t) {
    TdlStr s = str_new(v->m->arena);
    ty_print(v->m, t, &s);
    return s.p;
}

/* ---- dimension scope ---- */

static bool *dim_slot(Verifier *v, TdlSym s) {
    VEC_RESERVE(&v->scratch, v->dim_scope, s.id + 1);
    while (v->dim_scope.n <= s.id) VEC_PUSH(&v->scratch, v->dim_scope, false);
    return &v->dim_scope.p[s.id];
}

typedef struct { Verifier *v; TdlOp op; const char *what; bool ok; } DimCheck;

static void check_var(void *user, TdlSym s) {
    DimCheck *c = user;
    if (*dim_slot(c->v, s)) return;
    fault(c->v, c->op, "dimension '%s' is not in scope in %s", sym_text(c->v->m->names, s), c->what);
    c->ok = false;
}

static bool check_dim(Verifier *v, TdlOp o, TdlDim d, const char *what) {
    DimCheck c = {v, o, what, true};
    dim_vars(v->m, d, check_var, &c);
    return c.ok;
}

static void check_type(Verifier *v, TdlOp o, TdlType t) {
    if (!t.id) return;
    VEC_RESERVE(&v->scratch, v->type_ok, t.id + 1);
    while (v->type_ok.n <= t.id) VEC_PUSH(&v->scratch, v->type_ok, 0);
    if (v->type_ok.p[t.id] == v->epoch) return;
    bool ok = true;
    for (uint32_t i = 0; i < ty_rank(v->m, t); i++)
        ok = check_dim(v, o, ty_dims(v->m, t)[i], type_text(v, t)) && ok;
    for (uint32_t i = 0; i < ty_stack_n(v->m, t); i++) check_type(v, o, ty_stack_elem(v->m, t, i));
    if (ok) v->type_ok.p[t.id] = v->epoch;
}

static void set_dim(Verifier *v, TdlSym s, bool in) {
    *dim_slot(v, s) = in;
    v->epoch++;
}

/* ---- attributes ---- */

/* Is `key` among the space-separated `names` of the operation's row? *optional: with a question mark. */
static bool next_name(const char **names, char *buf, size_t cap, bool *optional) {
    while (**names == ' ') ++*names;
    size_t n = strcspn(*names, " ");
    if (!n || n >= cap) return false;
    memcpy(buf, *names, n);
    buf[n] = 0;
    *names += n;
    *optional = buf[n - 1] == '?';
    if (*optional) buf[n - 1] = 0;
    return true;
}

static bool row_has(const char *names, const char *key) {
    char name[32];
    bool optional;
    while (next_name(&names, name, sizeof name, &optional))
        if (strcmp(name, key) == 0) return true;
    return false;
}

static void check_attrs(Verifier *v, TdlOp o) {
    const TdlOpData *d = ir_op(v->f, o);
    const char *row = op_info(d->code)->attrs, *names = row;
    char name[32];
    bool optional;
    while (next_name(&names, name, sizeof name, &optional))
        if (!optional && !op_attr(v->f, o, name)) fault(v, o, "attribute '%s' is missing", name);
    for (uint16_t i = 0; i < d->nattrs; i++) {
        const TdlAttr *a = &d->attrs[i];
        const char *key = sym_text(v->m->names, a->key);
        const TdlAttrForm *form = attr_form(key);
        if (!row_has(row, key) && !attr_is_note(key)) fault(v, o, "unknown attribute '%s'", key);
        else if (form && form->kind != a->kind) fault(v, o, "attribute '%s' is not %s", key, attr_kind_name(form->kind));
        if (a->kind == ATTR_DIM) check_dim(v, o, a->dim, key);
        if (a->kind == ATTR_TYPE) check_type(v, o, a->type);
        for (uint32_t k = 0; a->kind == ATTR_DIMS && k < a->n; k++) check_dim(v, o, a->dims[k], key);
    }
}

/* ---- uses ---- */

/* A stack is used at most once on every path: not inside a loop around which it was made. */
static void use_stack(Verifier *v, TdlOp o, TdlVal x) {
    if (v->consumed[x.id]) fault(v, o, "a stack is used twice");
    v->consumed[x.id] = true;
    VEC_PUSH(&v->scratch, v->consumptions, x);
    TdlRegion from = ir_region_of(v->f, x), r = ir_op(v->f, o)->parent;
    while (r.id && r.id != from.id) {
        TdlOp parent = ir_region(v->f, r)->parent;
        TdlOpcode c = parent.id ? ir_op(v->f, parent)->code : OP_NONE;
        if (c != OP_NONE && c != OP_IF && c != OP_WITHACC && c != OP_CHECKPOINT) {
            fault(v, o, "a stack made outside '%s' is used inside", op_info(ir_op(v->f, parent)->code)->name);
            return;
        }
        r = parent.id ? ir_op(v->f, parent)->parent : (TdlRegion){0};
    }
}

static void check_operands(Verifier *v, TdlOp o) {
    const TdlOpData *d = ir_op(v->f, o);
    for (uint16_t i = 0; i < d->noperands; i++) {
        TdlVal x = d->operands[i];
        if (!x.id || x.id >= v->f->vals.n || !v->in_scope[x.id]) {
            fault(v, o, "operand %u is not defined where it is used", (unsigned)i);
            continue;
        }
        TdlType t = ir_type(v->f, x);
        if (!t.id) continue;
        TdlTypeKind kind = ty_kind(v->m, t);
        if (kind == TY_ACC && !(d->code == OP_ACCADD && i == 0)) fault(v, o, "operand %u: an accumulator may only be added to", (unsigned)i);
        if (kind == TY_STACK) use_stack(v, o, x);
    }
}

/* ---- the stage ---- */

static bool is_loop_ir(const TdlFunc *f) {
    for (uint32_t i = 0; i < f->params.n; i++)
        if (ty_kind(f->module, f->params.p[i].type) == TY_BUF) return true;
    for (uint32_t i = 1; i < f->ops.n; i++)
        if (op_info(f->ops.p[i].code)->flags & OPF_LOOPIR) return true;
    return false;
}

static bool in_loop_ir(TdlOpcode c) {
    switch (op_info(c)->lower) {
    case LOWER_SCALAR: case LOWER_LOOP: return true;
    case LOWER_EXPAND: case LOWER_EARLY: return false;
    case LOWER_STRUCT: break;
    }
    return c == OP_FOR || c == OP_WHILE || c == OP_IF || c == OP_YIELD || c == OP_RETURN || c == OP_STACKNEW ||
           c == OP_PUSH || c == OP_POP || c == OP_CALL || c == OP_ASSERT || c == OP_PRINT || c == OP_UNDEF ||
           c == OP_SAVE || c == OP_RESTORE;
}

/* Loop IR moves 16-bit floats and converts them: pass `widen` leaves nothing else. */
static bool computes_with_half(const Verifier *v, const TdlOpData *d) {
    if (!(op_info(d->code)->flags & OPF_ELEMENTWISE)) return false;
    if (d->code == OP_CAST || d->code == OP_SELECT || d->code == OP_DETACH || !d->noperands) return false;
    TdlElem e = ty_elem(v->m, ir_type(v->f, d->operands[0]));
    return e == EL_F16 || e == EL_BF16;
}

static void check_stage(Verifier *v, TdlOp o) {
    const TdlOpData *d = ir_op(v->f, o);
    if (!v->loop_ir) return;
    if (!in_loop_ir(d->code)) {
        fault(v, o, "operation on tensors in loop IR");
        return;
    }
    if (computes_with_half(v, d)) fault(v, o, "arithmetic on a 16-bit float in loop IR: pass widen computes in f32");
    for (uint16_t i = 0; i < d->nresults; i++) {
        TdlType t = ir_type(v->f, d->results[i]);
        if (t.id && ty_kind(v->m, t) == TY_TENSOR && ty_rank(v->m, t)) fault(v, o, "a tensor in loop IR: %s", type_text(v, t));
    }
}

/* ---- split functions ---- */

/* What is saved is given by the forward half alone, and taken by the reverse half alone. */
static void check_saved(Verifier *v) {
    const TdlFunc *f = v->f;
    for (uint32_t i = 0; i < f->params.n; i++)
        if (f->params.p[i].saved && !(f->params.p[i].out ? f->saves.id : f->restores.id)) fault(v, (TdlOp){0}, "parameter %u is saved by no split function", i);
    for (uint32_t i = 0; i < f->results.n; i++)
        if (f->results.p[i].saved && !f->saves.id) fault(v, (TdlOp){0}, "result %u is saved by no split function", i);
    if (f->split && (!f->exported || f->split >= f->params.n)) fault(v, (TdlOp){0}, "split: there is no cotangent, or it is not exported");
}

/* ---- cases ---- */

static bool same_case(const TdlFunc *f, const TdlFunc *g) {
    if (!sym_eq(f->general, g->general) || f->at.n != g->at.n) return false;
    for (uint32_t i = 0; i < f->at.n; i++)
        if (!dim_eq(f->at.p[i], g->at.p[i])) return false;
    return true;
}

/* The ports that C sees are those of the general function, at the values. */
static bool case_ports(Verifier *v, const TdlFunc *g, bool params) {
    const TdlFunc *f = v->f;
    uint32_t nf = params ? f->params.n : f->results.n, ng = params ? g->params.n : g->results.n, i = 0, k = 0;
    const TdlPort *pf = params ? f->params.p : f->results.p, *pg = params ? g->params.p : g->results.p;
    for (;; i++, k++) {
        while (i < nf && pf[i].saved) i++;
        while (k < ng && pg[k].saved) k++;
        if (i == nf || k == ng) return i == nf && k == ng;
        if (!ty_eq(pf[i].type, ty_subst(v->m, pg[k].type, f->dims.p, f->at.p, f->at.n))) return false;
    }
}

/* A case is for values of some dimensions of its own; each has one. */
static void check_case(Verifier *v) {
    const TdlFunc *f = v->f, *g = ir_func_find(v->m, f->general);
    const char *name = sym_text(v->m->names, f->general);
    bool fits = f->exported && g && g->exported && !g->general.id && f->at.n == f->dims.n && g->dims.n == f->dims.n, any = false;
    for (uint32_t i = 0; fits && i < f->dims.n; i++) {
        int64_t c;
        bool fixed = dim_is_const(v->m, f->at.p[i], &c);
        any |= fixed;
        fits = sym_eq(f->dims.p[i], g->dims.p[i]) && (fixed ? c >= 0 : dim_eq(f->at.p[i], dim_var(v->m, f->dims.p[i])));
    }
    if (!fits || !any || !case_ports(v, g, true) || !case_ports(v, g, false)) {
        fault(v, (TdlOp){0}, "this is no case of @%s", name);
        return;
    }
    for (uint32_t i = 0; v->m->funcs.p[i] != f; i++)
        if (same_case(f, v->m->funcs.p[i])) fault(v, (TdlOp){0}, "@%s has this case already", name);
}

static void check_half(Verifier *v, TdlOp o) {
    TdlOpcode c = ir_op(v->f, o)->code;
    if (c == OP_SAVE && !v->f->saves.id) fault(v, o, "this is not the forward half of a split function");
    if (c == OP_RESTORE && !v->f->restores.id) fault(v, o, "this is not the reverse half of a split function");
    if ((c == OP_SAVE || c == OP_RESTORE) && ir_op(v->f, o)->parent.id != v->f->body.id) fault(v, o, "stands in a region");
}

/* ---- operations and regions ---- */

static void verify_region(Verifier *v, TdlRegion r, TdlOp parent);

static void verify_regions(Verifier *v, TdlOp o) {
    uint16_t n = ir_op(v->f, o)->nregions;
    if (n != op_info(ir_op(v->f, o)->code)->nregions) fault(v, o, "%u regions", (unsigned)n);
    uint32_t mark = v->consumptions.n, mid = mark;
    for (uint16_t i = 0; i < n; i++) {
        verify_region(v, ir_op(v->f, o)->regions[i], o);
        if (i || ir_op(v->f, o)->code != OP_IF) continue;
        mid = v->consumptions.n;
        for (uint32_t k = mark; k < mid; k++) v->consumed[v->consumptions.p[k].id] = false;
    }
    for (uint32_t k = mark; k < mid; k++) v->consumed[v->consumptions.p[k].id] = true;
}

static void check_results(Verifier *v, TdlOp o, bool rule_ran, const TdlType *want) {
    const TdlOpData *d = ir_op(v->f, o);
    for (uint16_t i = 0; i < d->nresults; i++) {
        TdlVal x = d->results[i];
        TdlType t = ir_type(v->f, x);
        const TdlValData *data = ir_val(v->f, x);
        if (data->def.id != o.id || data->index != i) fault(v, o, "result %u does not belong to it", (unsigned)i);
        if (rule_ran && !ty_eq(t, want[i]))
            fault(v, o, "result %u has the wrong type: %s, expected %s", (unsigned)i, type_text(v, t), type_text(v, want[i]));
        if (t.id && ty_kind(v->m, t) == TY_ACC) fault(v, o, "result %u is an accumulator", (unsigned)i);
        check_type(v, o, t);
        v->in_scope[x.id] = true;
    }
}

static void enter_newdim(Verifier *v, TdlOp o) {
    const char *s = op_str(v->f, o, "sym");
    if (!s) return;
    TdlSym sym = intern(v->m->names, s);
    if (*dim_slot(v, sym)) fault(v, o, "dimension '%s' is in scope already", s);
    set_dim(v, sym, true);
}

static void verify_op(Verifier *v, TdlOp o, TdlRegion r, TdlOp parent) {
    const TdlOpData *d = ir_op(v->f, o);
    const TdlOpInfo *info = op_info(d->code);
    if (d->code == OP_NONE) {
        fault(v, (TdlOp){0}, "a removed operation is still linked");
        return;
    }
    if (d->parent.id != r.id) fault(v, o, "it is linked into a region that is not its parent");
    bool last = ir_region(v->f, r)->last.id == o.id;
    if ((info->flags & OPF_TERMINATOR) && !last) fault(v, o, "it does not end its region");
    if (last && d->code != (parent.id ? OP_YIELD : OP_RETURN)) fault(v, o, "the region does not end in %s", parent.id ? "yield" : "return");
    size_t before = diags_errors(v->m->diags);
    check_operands(v, o);
    check_attrs(v, o);
    check_stage(v, o);
    check_half(v, o);
    verify_regions(v, o);
    TdlType *want = ARENA_ARRAY(&v->scratch, TdlType, ir_op(v->f, o)->nresults);
    bool ran = false;
    if (diags_errors(v->m->diags) == before) { /* the rule would only repeat what is reported */
        TdlStr why = str_new(v->m->arena);
        ran = ir_type_rule(v->f, o, want, &why, true);
        if (!ran) fault(v, o, "%s", why.p);
    }
    check_results(v, o, ran, want);
    if (ir_op(v->f, o)->code == OP_NEWDIM) enter_newdim(v, o);
}

static void leave_region(Verifier *v, TdlRegion r) {
    const TdlRegionData *d = ir_region(v->f, r);
    for (uint32_t i = 0; i < d->args.n; i++) v->in_scope[d->args.p[i].id] = false;
    for (TdlOp o = d->first; o.id; o = ir_op(v->f, o)->next) {
        const TdlOpData *p = ir_op(v->f, o);
        for (uint16_t i = 0; i < p->nresults; i++) v->in_scope[p->results[i].id] = false;
        if (p->code == OP_NEWDIM && op_str(v->f, o, "sym")) set_dim(v, intern(v->m->names, op_str(v->f, o, "sym")), false);
    }
}

static void verify_region(Verifier *v, TdlRegion r, TdlOp parent) {
    const TdlRegionData *d = ir_region(v->f, r);
    if (d->parent.id != parent.id) fault(v, parent, "a region does not belong to it");
    for (uint32_t i = 0; i < d->args.n; i++) {
        TdlVal x = d->args.p[i];
        TdlType t = ir_type(v->f, x);
        if (!t.id) fault(v, parent, "argument %u has no type", i);
        else if (ty_kind(v->m, t) == TY_ACC && !(parent.id && ir_op(v->f, parent)->code == OP_WITHACC))
            fault(v, parent, "argument %u is an accumulator", i);
        check_type(v, parent, t);
        v->in_scope[x.id] = true;
    }
    if (!d->first.id) fault(v, parent, "a region is empty");
    for (TdlOp o = d->first; o.id; o = ir_op(v->f, o)->next) verify_op(v, o, r, parent);
    leave_region(v, r);
}

/* ---- functions ---- */

static void check_signature(Verifier *v) {
    TdlFunc *f = v->f;
    const TdlVals *args = &ir_region(f, f->body)->args;
    for (uint32_t i = 0; i < f->dims.n; i++) {
        if (*dim_slot(v, f->dims.p[i])) fault(v, (TdlOp){0}, "dimension '%s' is declared twice", sym_text(v->m->names, f->dims.p[i]));
        set_dim(v, f->dims.p[i], true);
    }
    if (args->n != f->params.n) fault(v, (TdlOp){0}, "%u parameters, but %u arguments of the body", f->params.n, args->n);
    for (uint32_t i = 0; i < f->params.n && i < args->n; i++)
        if (!ty_eq(f->params.p[i].type, ir_type(f, args->p[i])))
            fault(v, (TdlOp){0}, "parameter %u has the wrong type: %s, expected %s", i,
                  type_text(v, ir_type(f, args->p[i])), type_text(v, f->params.p[i].type));
    for (uint32_t i = 0; i < f->params.n; i++) {
        const TdlPort *p = &f->params.p[i];
        bool prior = p->prior_of < 0 || ((uint32_t)p->prior_of < f->results.n && ty_eq(f->results.p[p->prior_of].type, p->type));
        if (!prior) fault(v, (TdlOp){0}, "parameter %u is prior to no result of its type", i);
        for (uint32_t k = 0; k < p->over.n; k++)
            if (!p->out || p->over.p[k] >= f->params.n || !ty_eq(f->params.p[p->over.p[k]].type, p->type))
                fault(v, (TdlOp){0}, "parameter %u cannot be in place of parameter %u", i, p->over.p[k]);
    }
    for (uint32_t i = 0; i < f->results.n; i++) {
        const TdlPort *p = &f->results.p[i];
        check_type(v, (TdlOp){0}, p->type);
        if (p->cotangent_of >= (int32_t)f->params.n) fault(v, (TdlOp){0}, "result %u is the cotangent of no parameter", i);
    }
    check_saved(v);
    if (f->general.id) check_case(v);
    if (f->workspace.id) check_dim(v, (TdlOp){0}, f->workspace, "workspace");
    if (f->chunk.id) check_dim(v, (TdlOp){0}, f->chunk, "chunk");
}

static void check_return(Verifier *v) {
    TdlFunc *f = v->f;
    TdlOp o = ir_terminator(f, f->body);
    if (!o.id) return;
    const TdlOpData *d = ir_op(f, o);
    if (d->noperands != f->results.n) {
        fault(v, o, "%u values, expected %u", (unsigned)d->noperands, f->results.n);
        return;
    }
    for (uint32_t i = 0; i < f->results.n; i++) {
        if (!d->operands[i].id || d->operands[i].id >= f->vals.n) continue;
        TdlType t = ir_type(f, d->operands[i]), want = f->results.p[i].type;
        if (!ty_eq(t, want)) fault(v, o, "value %u has the wrong type: %s, expected %s", i, type_text(v, t), type_text(v, want));
    }
}

/* The rule of a function f(params) -> results: reverse has the params, the results and a cotangent for each float
 * result, and gives one for each float parameter; forward has a tangent for each float parameter and gives those of
 * the results. Dimensions are f's. */
static void check_rule(Verifier *v, TdlSym name, bool reverse) {
    TdlFunc *f = v->f, *g = ir_func_find(v->m, name);
    const char *text = sym_text(v->m->names, name);
    if (!g) {
        fault(v, (TdlOp){0}, "there is no function @%s", text);
        return;
    }
    TDL_VEC(TdlType) in = {0}, out = {0};
    for (uint32_t i = 0; i < f->params.n; i++) VEC_PUSH(&v->scratch, in, f->params.p[i].type);
    for (uint32_t i = 0; i < f->results.n; i++) VEC_PUSH(&v->scratch, in, f->results.p[i].type);
    for (uint32_t i = 0; i < f->params.n; i++) {
        TdlType t = f->params.p[i].type;
        if (ty_is_float(v->m, t) && reverse) VEC_PUSH(&v->scratch, out, t);
        else if (ty_is_float(v->m, t)) VEC_PUSH(&v->scratch, in, t);
    }
    for (uint32_t i = 0; i < f->results.n; i++) {
        TdlType t = f->results.p[i].type;
        if (ty_is_float(v->m, t) && reverse) VEC_PUSH(&v->scratch, in, t);
        else if (ty_is_float(v->m, t)) VEC_PUSH(&v->scratch, out, t);
    }
    bool fits = g->dims.n == f->dims.n && g->params.n == in.n && g->results.n == out.n;
    for (uint32_t i = 0; fits && i < f->dims.n; i++) fits = sym_eq(f->dims.p[i], g->dims.p[i]);
    for (uint32_t i = 0; fits && i < in.n; i++) fits = ty_eq(g->params.p[i].type, in.p[i]);
    for (uint32_t i = 0; fits && i < out.n; i++) fits = ty_eq(g->results.p[i].type, out.p[i]);
    if (!fits) fault(v, (TdlOp){0}, "@%s does not have the signature of its %s rule", text, reverse ? "reverse" : "forward");
}

bool ir_verify_func(TdlFunc *f) {
    Verifier v = {.f = f, .m = f->module, .epoch = 1, .ok = true};
    arena_init_like(&v.scratch, v.m->arena);
    v.in_scope = ARENA_ARRAY(&v.scratch, bool, f->vals.n);
    v.consumed = ARENA_ARRAY(&v.scratch, bool, f->vals.n);
    v.loop_ir = is_loop_ir(f);
    check_signature(&v);
    if (f->reverse.id) check_rule(&v, f->reverse, true);
    if (f->forward.id) check_rule(&v, f->forward, false);
    if (!f->symbol) {
        verify_region(&v, f->body, (TdlOp){0});
        check_return(&v);
    }
    arena_free(&v.scratch);
    return v.ok;
}

bool ir_verify_module(TdlModule *m) {
    bool ok = true;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlFunc *f = m->funcs.p[i];
        if (ir_func_find(m, f->name) != f) {
            diag_error(m->diags, f->span, "@%s: there are several functions of this name", sym_text(m->names, f->name));
            ok = false;
        }
        ok = ir_verify_func(f) && ok;
    }
    return ok;
}
