/* Which operation is off: each one of the function's body by itself, at the values that it sees.
 *
 * An operation becomes a function of what it reads; a trace of the function gives those values at the point, and both
 * modes and differences are compared there as for the whole. The first one that is off is looked into: a call goes on in
 * its callee, a region operation in its body at the first index or iteration where that is off. What is left is an
 * operation or a rule of the user's, with its place. Each level compiles the program once more: only after a failure. */
#include "tools/tdlc/call.h"
#include "tools/tdlc/check.h"

#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 12, INDICES = 12, ITERATIONS = 24 };

/* What is read by a part of a function, which becomes a function: its parameters; and constants and sizes, made again there,
 * as the extent of a map must be a dimension. */
typedef struct { TdlVals params, fixed; } Inputs;

typedef struct {
    TdlOp op;
    Inputs in;           /* in the function it stands in */
    Forms forms;
} Piece;

typedef struct {
    Check *c;
    Probe p;
    TdlFunc *f, *trace;
    const CheckDims *dims;
    const Value *point;
    TDL_VEC(Piece) pieces;
    TdlVals traced;      /* values whose content the trace gives */
    Value *values;       /* by value id of f: what it is at the point */
} Body;

static bool locate_in(Check *c, TdlSym name, const CheckDims *dims, const Value *point, const AtResult *seen, TdlSpan call, int depth);

/* ---- reports ---- */

static void say(TdlStr *out, const char *what, double v) {
    if (!isnan(v)) str_printf(out, "%s%s %.9g", out->n ? ", " : "", what, v);
}

static void report(Check *c, TdlSpan at, const char *what, const AtResult *r) {
    CheckPlaces *places = c->reported;
    for (uint32_t i = 0; i < places->at.n; i++)
        if (!memcmp(&places->at.p[i], &at, sizeof at)) return;
    VEC_PUSH(places->arena, places->at, at);
    TdlStr s = str_new(c->s->arena);
    say(&s, "forward mode", r->forward);
    say(&s, "reverse mode", r->reverse);
    say(&s, "finite differences", r->difference);
    if (r->why) diag_error(c->s->diags, at, "check: %s: %s", what, r->why);
    else diag_error(c->s->diags, at, "check: %s is off: along a direction, %s (error %.1g)", what, s.p, r->error);
}

static bool far(const AtResult *r, double x) { return !isnan(x) && fabs(x - r->difference) > 10 * r->error + 1e-7 * fabs(r->difference); }

/* A rule is the place itself. */
static bool report_rule(Check *c, const TdlModule *m, const TdlFunc *f, const AtResult *r) {
    const TdlFunc *reverse = ir_func_find(m, f->reverse), *forward = ir_func_find(m, f->forward);
    if (!reverse && !forward) return false;
    bool by_reverse = reverse && far(r, r->reverse), by_forward = forward && far(r, r->forward);
    const char *mode = by_reverse == by_forward ? "" : by_reverse ? " for reverse mode" : " for forward mode";
    report(c, (reverse ? reverse : forward)->span, arena_printf(c->s->arena, "the derivative of %s%s", sym_text(m->names, f->name), mode), r);
    return true;
}

/* ---- pieces ---- */

/* Tensors whose dimensions are the function's: they can be parameters and results. */
static bool passable(const TdlFunc *f, TdlType t) { return ty_kind(f->module, t) == TY_TENSOR && ir_type_at_entry(f, t); }

static void add_once(TdlArena *a, TdlVals *in, TdlVal v) {
    for (uint32_t i = 0; i < in->n; i++)
        if (in->p[i].id == v.id) return;
    VEC_PUSH(a, *in, v);
}

static bool is_const(const TdlFunc *f, TdlVal v) { return ir_val(f, v)->def.id && ir_op(f, ir_val(f, v)->def)->code == OP_CONST; }

/* A size made of the function's dimensions. */
static bool is_size(const TdlFunc *f, TdlVal v, TdlDim *d) {
    return ir_val(f, v)->def.id && ir_val_dim(f, v, d) && ir_dim_at_entry(f, *d);
}

static void add_input(TdlArena *a, const TdlFunc *f, Inputs *in, TdlVal v) {
    TdlDim d;
    add_once(a, is_const(f, v) || is_size(f, v, &d) ? &in->fixed : &in->params, v);
}

/* Opens a function of what is read (in f), which the map leads to. */
static TdlFunc *open_piece(Probe *p, TdlFunc *f, const Inputs *in, const char *stem, TdlSpan span, TdlValMap *map) {
    TdlModule *m = f->module;
    TdlFunc *g = ir_func_new(m, ir_fresh(m, stem), span);
    *map = valmap_new(p->s.arena, f);
    for (uint32_t i = 0; i < f->dims.n; i++) VEC_PUSH(m->arena, g->dims, f->dims.p[i]);
    for (uint32_t i = 0; i < in->params.n; i++)
        valmap_set(map, in->params.p[i], ir_func_add_param(g, ir_val(f, in->params.p[i])->name, ir_type(f, in->params.p[i]), NULL));
    TdlBuilder b = ir_at_end(g, g->body, span);
    for (uint32_t i = 0; i < in->fixed.n; i++) {
        TdlVal v = in->fixed.p[i];
        TdlDim d;
        if (is_const(f, v)) ir_clone_op(&b, f, ir_val(f, v)->def, map, NULL);
        else if (is_size(f, v, &d)) valmap_set(map, v, ir_dim(&b, d));
    }
    return g;
}

static void close_piece(TdlFunc *g, const TdlVal *results, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        TdlPort port = {.type = ir_type(g, results[i]), .cotangent_of = -1, .prior_of = -1};
        VEC_PUSH(g->module->arena, g->results, port);
    }
    TdlBuilder b = ir_at_end(g, g->body, g->span);
    ir_emit(&b, OP_RETURN, results, n, NULL, 0);
}

static bool any_float(const TdlFunc *f, const TdlVal *v, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (ty_is_float(f->module, ir_type(f, v[i]))) return true;
    return false;
}

/* Operation o as a function of what it reads; false where it is not one of floats, or reads what cannot be passed. */
static bool make_piece(Body *b, TdlOp o, Piece *out) {
    TdlFunc *f = b->f;
    const TdlOpData d = *ir_op(f, o);
    *out = (Piece){.op = o};
    if (!any_float(f, d.results, d.nresults) || d.code == OP_DETACH) return false;
    for (uint32_t i = 0; i < d.noperands; i++) add_input(b->p.s.arena, f, &out->in, d.operands[i]);
    for (uint32_t i = 0; i < d.nregions; i++) {
        TdlVals free = {0};
        ir_free_vals(f, d.regions[i], b->p.s.arena, &free);
        for (uint32_t k = 0; k < free.n; k++) add_input(b->p.s.arena, f, &out->in, free.p[k]);
    }
    const TdlVals *params = &out->in.params;
    bool ok = any_float(f, params->p, params->n);
    for (uint32_t i = 0; i < params->n; i++) ok &= passable(f, ir_type(f, params->p[i]));
    for (uint32_t i = 0; i < d.nresults; i++) ok &= passable(f, ir_type(f, d.results[i]));
    if (!ok) return false;
    TdlValMap map;
    TdlFunc *g = open_piece(&b->p, f, &out->in, "check.piece", d.span, &map);
    TdlBuilder at = ir_at_end(g, g->body, d.span);
    TdlOp copy = ir_clone_op(&at, f, o, &map, NULL);
    close_piece(g, ir_op(g, copy)->results, d.nresults);
    Int64s wrt = check_float_params(b->c, g);
    out->forms = probe_forms(&b->p, g, wrt.p, wrt.n, "check.piece", MODE_REVERSE | MODE_FORWARD, false);
    return true;
}

/* The function that gives every value that a piece reads. */
static void make_trace(Body *b) {
    TdlFunc *f = b->f, *t = ir_clone_func(f->module, f, ir_fresh(f->module, "check.trace"), NULL);
    TdlVals out = {0};
    TdlValMap map = valmap_new(b->p.s.arena, f);
    TdlOp q = ir_region(t, t->body)->first;
    IR_FOREACH_OP(f, f->body, o) {
        for (uint32_t i = 0; i < ir_op(f, o)->nresults; i++) valmap_set(&map, ir_op(f, o)->results[i], ir_op(t, q)->results[i]);
        q = ir_op(t, q)->next;
    }
    for (uint32_t i = 0; i < b->pieces.n; i++) {
        const Inputs *in = &b->pieces.p[i].in;
        for (uint32_t k = 0; k < in->fixed.n; k++) add_once(b->p.s.arena, &b->traced, in->fixed.p[k]);
        for (uint32_t k = 0; k < in->params.n; k++)
            if (ir_val(f, in->params.p[k])->def.id) add_once(b->p.s.arena, &b->traced, in->params.p[k]);
    }
    t->results.n = 0;
    for (uint32_t i = 0; i < b->traced.n; i++) {
        TdlPort port = {.name = intern(b->p.s.names, arena_printf(b->p.s.arena, "r%u", i)), .type = ir_type(f, b->traced.p[i]), .cotangent_of = -1, .prior_of = -1};
        VEC_PUSH(f->module->arena, t->results, port);
        VEC_PUSH(b->p.s.arena, out, valmap_get(&map, b->traced.p[i]));
    }
    ir_set_operands(t, ir_terminator(t, t->body), out.p, out.n);
    t->exported = true;
    b->trace = t;
}

/* Memory for all parameters of a compiled function; inputs are taken from in[]. */
static Value *arguments(Probe *p, TdlFunc *f, const CheckDims *dims, const Value *in, uint32_t n) {
    Call c = call_of(&p->s, f);
    for (uint32_t i = 0; i < dims->n; i++) call_bind(&c, dims->names[i], dim_const(p->s.m, dims->at[i]));
    for (uint32_t i = 0; i < f->params.n; i++)
        if (i < n) c.args[i] = in[i];
        else call_shape(&c, f->params.p[i].type, &c.args[i]);
    return c.args;
}

static bool run_trace(Body *b, uint32_t nparams, const uint32_t *params, uint32_t nvals) {
    Value *args = arguments(&b->p, b->trace, b->dims, b->point, nparams);
    if (probe_call(&b->p, b->trace, b->dims, args)) return false;
    b->values = ARENA_ARRAY(b->p.s.arena, Value, nvals);
    for (uint32_t i = 0; i < nparams; i++) b->values[params[i]] = b->point[i];
    for (uint32_t i = 0; i < b->traced.n; i++) b->values[b->traced.p[i].id] = args[nparams + i];
    return true;
}

static Value *values_of(const Body *b, const TdlVals *v) {
    Value *out = ARENA_ARRAY(b->p.s.arena, Value, v->n + 1);
    for (uint32_t i = 0; i < v->n; i++) out[i] = b->values[v->p[i].id];
    return out;
}

/* ---- into what is off ---- */

typedef struct { const Body *b; TdlOp op; TdlSpan span; int depth; AtResult seen; } Off;

/* The call's callee at the values of its arguments. */
static bool into_call(const Off *w, const TdlFunc *f) {
    const TdlOpData d = *ir_op(f, w->op);
    TdlModule *m = f->module;
    TdlSym name = intern(m->names, op_str(f, w->op, "callee"));
    const TdlFunc *callee = ir_func_find(m, name);
    const TdlAttr *attr = op_attr(f, w->op, "dims");
    TdlDim *to = ARENA_ARRAY(w->b->p.s.arena, TdlDim, w->b->dims->n + 1);
    CheckDims dims = {ARENA_ARRAY(w->b->p.s.arena, TdlSym, callee->dims.n + 1), ARENA_ARRAY(w->b->p.s.arena, int64_t, callee->dims.n + 1), callee->dims.n};
    for (uint32_t i = 0; i < w->b->dims->n; i++) to[i] = dim_const(m, w->b->dims->at[i]);
    for (uint32_t i = 0; i < callee->dims.n && attr; i++) {
        dims.names[i] = callee->dims.p[i];
        if (!dim_is_const(m, dim_subst(m, attr->dims[i], w->b->dims->names, to, w->b->dims->n), &dims.at[i])) return false;
    }
    Value *args = ARENA_ARRAY(w->b->p.s.arena, Value, d.noperands + 1);
    for (uint32_t i = 0; i < d.noperands; i++) args[i] = w->b->values[d.operands[i].id];
    return locate_in(w->b->c, name, &dims, args, &w->seen, w->span, w->depth + 1);
}

/* Region `k` of the operation as a function @check.body of its arguments and what it reads, *free; its text goes into *c. */
static bool region_function(const Off *w, uint32_t k, Check *c, TdlSym *name, TdlVals *free, uint32_t *nargs) {
    Probe p;
    *c = *w->b->c;
    if (!probe_open(&p, c)) return false;
    TdlFunc *f = ir_func_find(p.s.m, w->b->f->name);
    TdlRegion r = ir_op(f, w->op)->regions[k];
    TdlVals all = {0}, yields = {0};
    Inputs in = {0};
    *nargs = ir_region(f, r)->args.n;
    for (uint32_t i = 0; i < *nargs; i++) VEC_PUSH(p.s.arena, in.params, ir_region(f, r)->args.p[i]);
    ir_free_vals(f, r, p.s.arena, &all);
    for (uint32_t i = 0; i < all.n; i++) add_input(p.s.arena, f, &in, all.p[i]);
    for (uint32_t i = 0; i < in.params.n; i++)
        if (!passable(f, ir_type(f, in.params.p[i]))) return false;
    for (uint32_t i = *nargs; i < in.params.n; i++) VEC_PUSH(p.s.arena, *free, in.params.p[i]);
    TdlValMap map;
    TdlFunc *g = open_piece(&p, f, &in, "check.body", w->span, &map);
    TdlBuilder b = ir_at_end(g, g->body, w->span);
    ir_clone_region_body(&b, f, r, &map, NULL, &yields);
    for (uint32_t i = 0; i < yields.n; i++)
        if (!passable(f, ir_type(g, yields.p[i]))) return false;
    close_piece(g, yields.p, yields.n);
    *name = g->name;
    TdlStr text = str_new(p.s.arena);
    ir_print_module_as(p.s.m, &text, IR_PRINT_SPANS);
    c->ir = text.p;
    c->ir_bytes = text.n;
    return true;
}

typedef struct { Check c; Probe p; TdlSym name; Forms forms; Value *args; uint32_t nargs, nfree; } Region;

static Value scalar_i64(TdlArena *a, int64_t v) { return (Value){.elem = EL_I64, .data = arena_memdup(a, &v, sizeof v)}; }

static bool open_region(const Off *w, uint32_t k, Region *r) {
    TdlVals free = {0};
    if (!region_function(w, k, &r->c, &r->name, &free, &r->nargs) || !probe_open(&r->p, &r->c)) return false;
    TdlFunc *g = ir_func_find(r->p.s.m, r->name);
    Int64s wrt = check_float_params(&r->c, g);
    r->nfree = free.n;
    r->args = ARENA_ARRAY(r->p.s.arena, Value, g->params.n + 1);
    for (uint32_t i = 0; i < free.n; i++) r->args[r->nargs + i] = w->b->values[free.p[i].id];
    r->forms = probe_forms(&r->p, g, wrt.p, wrt.n, "check.region", MODE_REVERSE | MODE_FORWARD, false);
    return wrt.n && probe_compile(&r->p);
}

/* Compares the body at its arguments; where it is off, goes into it. */
static bool try_region(const Off *w, Region *r, bool *reported) {
    AtResult at = compare_at(&r->p, &r->forms, w->b->dims, r->args, NULL);
    if (at.state != AT_OFF) return false;
    *reported = locate_in(&r->c, r->name, w->b->dims, r->args, &at, w->span, w->depth + 1);
    return true;
}

/* map and reduce: the first index, the last one, others at random. */
static bool into_each(const Off *w, const TdlOpData *d) {
    Region r;
    bool reported = false;
    if (!open_region(w, 0, &r)) return false;
    for (int k = 0; k < INDICES; k++) {
        for (uint32_t i = 0; i < d->noperands; i++) {
            int64_t n = (int64_t)value_get(&w->b->values[d->operands[i].id], 0);
            int64_t at = k == 0 ? 0 : k == 1 ? n - 1 : (int64_t)(check_random(w->b->c) * (double)n);
            r.args[i] = scalar_i64(r.p.s.arena, at);
        }
        if (try_region(w, &r, &reported)) break;
    }
    probe_close(&r.p);
    return reported;
}

static bool into_branch(const Off *w, const TdlOpData *d) {
    Region r;
    bool reported = false;
    if (!open_region(w, value_get(&w->b->values[d->operands[0].id], 0) != 0 ? 0 : 1, &r)) return false;
    try_region(w, &r, &reported);
    probe_close(&r.p);
    return reported;
}

/* for and while: iteration by iteration, from the initial values. */
static bool into_loop(const Off *w, const TdlFunc *f, const TdlOpData *d) {
    Region r;
    bool reported = false, counted = d->code == OP_FOR;
    uint32_t inits = counted ? 2 : 0, lead = counted && op_int(f, w->op, "exit", 0) != 0;
    if (!open_region(w, counted ? 0 : 1, &r)) return false;
    int64_t lo = counted ? (int64_t)value_get(&w->b->values[d->operands[0].id], 0) : 0;
    int64_t hi = counted ? (int64_t)value_get(&w->b->values[d->operands[1].id], 0) : ITERATIONS;
    bool down = op_int(f, w->op, "down", 0) != 0;
    for (uint32_t i = inits; i < d->noperands; i++) r.args[i - inits + (counted ? 1 : 0)] = w->b->values[d->operands[i].id];
    for (int64_t k = 0; k < hi - lo && k < ITERATIONS; k++) {
        if (counted) r.args[0] = scalar_i64(r.p.s.arena, down ? hi - 1 - k : lo + k);
        if (try_region(w, &r, &reported)) break;
        uint32_t n = r.nargs + r.nfree;
        Value *all = arguments(&r.p, r.forms.value, w->b->dims, r.args, n);
        if (probe_call(&r.p, r.forms.value, w->b->dims, all)) break;
        for (uint32_t i = counted ? 1 : 0; i < r.nargs; i++) r.args[i] = all[n + lead + i - (counted ? 1 : 0)];
    }
    probe_close(&r.p);
    return reported;
}

static bool into(const Off *w, const TdlFunc *f) {
    const TdlOpData d = *ir_op(f, w->op);
    switch (d.code) {
    case OP_CALL: return into_call(w, f);
    case OP_MAP: case OP_REDUCE: return into_each(w, &d);
    case OP_IF: return into_branch(w, &d);
    case OP_FOR: case OP_WHILE: return into_loop(w, f, &d);
    default: return false;
    }
}

/* ---- one function ---- */

static bool of_library(const Check *c, TdlSpan at) { return at.file && sources_name(c->s->sources, at.file)[0] == '<'; }

/* Compares the pieces in order, and goes into the first that is off. The program is read once more, as it was before the
 * passes. */
static bool first_off(Body *b, TdlSpan call, int depth) {
    for (uint32_t i = 0; i < b->pieces.n; i++) {
        Piece *x = &b->pieces.p[i];
        AtResult r = compare_at(&b->p, &x->forms, b->dims, values_of(b, &x->in.params), NULL);
        if (r.state != AT_OFF) continue;
        Probe again;
        if (!probe_open(&again, b->c)) return false;
        TdlFunc *f = ir_func_find(again.s.m, b->f->name);
        const TdlOpData *d = ir_op(f, x->op);
        TdlSpan span = of_library(b->c, d->span) ? call : d->span;
        Off w = {b, x->op, span, depth, r};
        if (depth < MAX_DEPTH && !of_library(b->c, f->span) && into(&w, f)) return true;
        const char *name = d->code == OP_CALL ? op_str(f, x->op, "callee") : op_info(d->code)->name;
        report(b->c, span, arena_printf(b->p.s.arena, "%s: its derivative by operand %u", name, r.param + 1), &r);
        return true;
    }
    return false;
}

static bool locate_in(Check *c, TdlSym name, const CheckDims *dims, const Value *point, const AtResult *seen, TdlSpan call, int depth) {
    Body b = {.c = c, .dims = dims, .point = point};
    if (!probe_open(&b.p, c)) return false;
    b.f = ir_func_find(b.p.s.m, name);
    if (report_rule(c, b.p.s.m, b.f, seen)) return true;
    if (b.f->symbol) return false;
    TdlFunc *f = b.f;
    uint32_t nparams = f->params.n, nvals = f->vals.n, *params = ARENA_ARRAY(b.p.s.arena, uint32_t, nparams + 1);
    for (uint32_t i = 0; i < nparams; i++) params[i] = ir_region(f, f->body)->args.p[i].id;
    IR_FOREACH_OP(f, f->body, o) {
        Piece x;
        if (!(op_info(ir_op(f, o)->code)->flags & OPF_TERMINATOR) && make_piece(&b, o, &x)) VEC_PUSH(b.p.s.arena, b.pieces, x);
    }
    make_trace(&b);
    bool found = probe_compile(&b.p) && run_trace(&b, nparams, params, nvals) && first_off(&b, call, depth);
    probe_close(&b.p);
    return found;
}

bool locate(Check *c, TdlSym f, const CheckDims *dims, const Value *point, const AtResult *seen) {
    Probe p;
    uint32_t before = c->reported->at.n;
    if (!probe_open(&p, c)) return false;
    const TdlFunc *fn = ir_func_find(p.s.m, f);
    TdlSpan span = fn->span;
    if (!locate_in(c, f, dims, point, seen, span, 0)) report(c, span, sym_text(c->s->names, f), seen);
    return c->reported->at.n > before;
}
