/* tdlc check: what is checked, and where; the table. */
#include "tools/tdlc/call.h"
#include "tools/tdlc/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 60, FIRST_SIZE = 3 };

typedef struct {
    TdlSym f;
    Int64s wrt;
    bool rules;          /* it has rules of the user's */
} Target;

typedef TDL_VEC(TdlFunc *) Funcs;

typedef struct { Check c; TDL_VEC(Target) targets; } Work;

static const char *name_of(const Work *w, TdlSym s) { return sym_text(w->c.s->names, s); }

/* ---- targets ---- */

static void add_target(Work *w, TdlSym f, const int64_t *wrt, uint32_t n) {
    for (uint32_t i = 0; i < w->targets.n; i++) {
        const Target *t = &w->targets.p[i];
        if (sym_eq(t->f, f) && t->wrt.n == n && !memcmp(t->wrt.p, wrt, n * sizeof *wrt)) return;
    }
    const TdlFunc *fn = ir_func_find(w->c.s->m, f);
    Target t = {.f = f, .rules = fn->reverse.id || fn->forward.id};
    for (uint32_t i = 0; i < n; i++) VEC_PUSH(w->c.s->arena, t.wrt, wrt[i]);
    if (n) VEC_PUSH(w->c.s->arena, w->targets, t);
}

static bool of_library(const Work *w, TdlSpan at) { return at.file && sources_name(w->c.s->sources, at.file)[0] == '<'; }

static bool has_float_result(const TdlFunc *f) {
    for (uint32_t i = 0; i < f->results.n; i++)
        if (ty_is_float(f->module, f->results.p[i].type)) return true;
    return false;
}

/* The functions that f calls or differentiates or has as rules, and theirs, f among them. */
typedef struct { TdlArena *arena; Funcs *to; bool rules; } Reach;

static void reach(Reach *r, TdlFunc *f);

static void reach_op(void *user, TdlFunc *f, TdlOp o) {
    const char *callee = op_str(f, o, "callee");
    if (callee) reach(user, ir_func_find(f->module, intern(f->module->names, callee)));
}

static void reach(Reach *r, TdlFunc *f) {
    for (uint32_t i = 0; i < r->to->n; i++)
        if (r->to->p[i] == f) return;
    if (!f) return;
    VEC_PUSH(r->arena, *r->to, f);
    if (r->rules) {
        reach(r, ir_func_find(f->module, f->reverse));
        reach(r, ir_func_find(f->module, f->forward));
    }
    ir_walk(f, f->body, reach_op, r);
}

static Funcs reached_from(TdlArena *a, TdlFunc *f) {
    Funcs to = {0};
    reach(&(Reach){a, &to, true}, f);
    return to;
}

/* Whether f is called on the way, by itself or by what it calls. */
static bool calls_itself(TdlArena *a, TdlFunc *f) {
    Funcs to = {0};
    Reach r = {a, &to, false};
    ir_walk(f, f->body, reach_op, &r);
    for (uint32_t i = 0; i < to.n; i++)
        if (to.p[i] == f) return true;
    return false;
}

typedef struct { Work *w; bool any; } Derivatives;

static void add_derivative(void *user, TdlFunc *f, TdlOp o) {
    Derivatives *d = user;
    TdlOpcode code = ir_op(f, o)->code;
    if (code != OP_VJP && code != OP_JVP) return;
    const TdlAttr *wrt = op_attr(f, o, "wrt");
    d->any = true;
    add_target(d->w, intern(f->module->names, op_str(f, o, "callee")), wrt->ints, wrt->n);
}

static void add_rules_of(Work *w, TdlFunc *f) {
    Int64s by = check_float_params(&w->c, f);
    if ((f->reverse.id || f->forward.id) && !of_library(w, f->span)) add_target(w, f->name, by.p, by.n);
}

/* What f differentiates, and what has a rule of the user's on the way; f itself where it differentiates nothing. */
static void add_targets_of(Work *w, TdlFunc *f, bool itself) {
    Derivatives d = {.w = w};
    Funcs all = reached_from(w->c.s->arena, f);
    for (uint32_t i = 0; i < all.n; i++) add_rules_of(w, all.p[i]);
    for (uint32_t i = 0; i < all.n; i++) ir_walk(all.p[i], all.p[i]->body, add_derivative, &d);
    Int64s by = check_float_params(&w->c, f);
    if ((!d.any || itself) && !f->symbol && !f->script && has_float_result(f)) add_target(w, f->name, by.p, by.n);
}

/* Of the exported functions and the script, and all rules of the user's; or of the function that --function names. */
static bool find_targets(Work *w) {
    TdlModule *m = w->c.s->m;
    const char *only = w->c.s->o->function;
    bool found = false;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlFunc *f = m->funcs.p[i];
        bool asked = only ? !strcmp(name_of(w, f->name), only) : f->exported || f->script;
        found |= asked;
        if (asked) add_targets_of(w, f, only != NULL);
    }
    for (uint32_t i = 0; i < m->funcs.n && !only; i++) add_rules_of(w, m->funcs.p[i]);
    if (only && !found) diag_error(w->c.s->diags, SPAN_NONE, "check: no function of the program is named %s", only);
    else if (!w->targets.n) diag_error(w->c.s->diags, SPAN_NONE, "check: %s: there is nothing to check: no exported function takes floats and gives floats, and none is differentiated; what backward() gives in a script is not compared", w->c.s->o->input);
    return w->targets.n && (found || !only);
}

/* ---- points ---- */

typedef struct {
    Work *w;
    const Target *t;
    Probe p;
    Session front;
    Forms forms, automatic;  /* automatic: of a function with rules, without them */
    Call call;               /* of forms.value */
    CheckDims dims;
    Value *point;
    Bounds *bounds;
    TdlFunc *f;              /* in the program: names, types and comments */
    uint32_t nparams;
    bool all_given, positive, settled; /* settled: the sizes and the sign were good once */
    CheckDims usual;         /* the sizes that were */
    int other;               /* not 0: which other sizes are tried */
    uint32_t npoints;        /* that were drawn */
    double *offset;          /* by parameter: of its strata */
} At;

/* The documentation that states a domain for parameter `name`: the function's, or that of another with such a parameter. */
static bool domain_of(At *a, const char *name, Domain *d) {
    Work *w = a->w;
    TdlModule *m = w->c.s->m;
    *d = (Domain){0};
    if (!domain_read(&w->c, a->f, name, &a->dims, d)) return false;
    for (uint32_t i = 0; i < m->funcs.n && !d->stated; i++)
        if (m->funcs.p[i]->doc && !of_library(w, m->funcs.p[i]->span) && !domain_read(&w->c, m->funcs.p[i], name, &a->dims, d)) return false;
    return true;
}

static int ascending(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Random numbers in [0, 1), one in each of n equal parts, in random order; a single one takes another part at each point. */
static double *strata(At *a, uint32_t i, int64_t n) {
    double *r = ARENA_ARRAY(a->p.s.arena, double, (size_t)n + 1);
    if (n == 1) {
        r[0] = fmod(a->offset[i] + a->npoints * 0.6180339887498949, 1); /* the golden ratio: no two are close */
        return r;
    }
    for (int64_t k = 0; k < n; k++) r[k] = ((double)k + check_random(&a->w->c)) / (double)n;
    for (int64_t k = n - 1; k > 0; k--) {
        int64_t j = (int64_t)(check_random(&a->w->c) * (double)(k + 1));
        double x = r[k];
        r[k] = r[j];
        r[j] = x;
    }
    return r;
}

/* One number, from r in [0, 1): inside of the domain, away from its ends. Without a domain: (-1, 1), or (0, 1) where that
 * has failed. */
static double number_of(const At *a, const Domain *d, bool integer, double r) {
    if (!d->stated) return integer ? floor(r * FIRST_SIZE) : a->positive ? 0.05 + 0.9 * r : 2 * r - 1;
    if (integer || d->integer) return d->high > d->low ? d->low + floor(r * (d->high - d->low)) : d->low;
    double low = d->low, high = d->high;
    if (isinf(low) && isinf(high)) return 2 * r - 1;
    if (isinf(high)) return low + 0.1 + 1.9 * r;
    if (isinf(low)) return high - 0.1 - 1.9 * r;
    return low + (high - low) * (0.05 + 0.9 * r);
}

static bool draw_value(At *a, uint32_t i) {
    Value *v = &a->point[i];
    Domain d;
    if (!domain_of(a, name_of(a->w, a->f->params.p[i].name), &d)) return false;
    int64_t n = value_count(v);
    double *x = strata(a, i, n);
    for (int64_t k = 0; k < n; k++) x[k] = number_of(a, &d, !el_is_float(v->elem), x[k]);
    if (d.sorted) qsort(x, (size_t)n, sizeof *x, ascending);
    for (int64_t k = 0; k < n; k++) value_set(v, k, v->elem == EL_BOOL ? x[k] >= 1 : x[k]);
    a->bounds[i] = d.stated && !d.integer ? (Bounds){d.low, d.high} : (Bounds){0};
    return true;
}

static const char *given(At *a, uint32_t i) { return call_binding(&a->call, name_of(a->w, a->f->params.p[i].name)); }

/* The sizes beside the usual ones: what is wrong at the last element, beyond a vector or for an even number of them shows. */
enum { USUAL_SIZES, ONE_MORE, ALL_ONE, LARGER, SIZES };

static int64_t size_of(At *a, uint32_t i, bool random) {
    switch (a->other) {
    case ONE_MORE: return a->usual.at[i] + 1;
    case ALL_ONE: return 1;
    case LARGER: return 3 * a->usual.at[i];
    default: return random ? 2 + (int64_t)(5 * check_random(&a->w->c)) : FIRST_SIZE + i;
    }
}

/* Sizes: what is given and follows from it, then 3, 4, 5, ..., or random ones from 2 to 6. */
static bool choose_dims(At *a, bool random) {
    TdlFunc *g = a->forms.value;
    Work *w = a->w;
    a->call.nbound = 0;
    if (!call_given(&a->call)) return false;
    call_solve(&a->call);
    for (uint32_t i = 0; i < g->dims.n; i++) {
        call_bind(&a->call, g->dims.p[i], dim_const(a->p.s.m, size_of(a, i, random)));
    }
    a->dims = (CheckDims){ARENA_ARRAY(w->c.s->arena, TdlSym, g->dims.n + 1), call_dims(&a->call), g->dims.n};
    for (uint32_t i = 0; i < g->dims.n; i++) a->dims.names[i] = g->dims.p[i];
    return true;
}

/* A point: given values, and random ones. */
static bool choose_point(At *a, int draw) {
    if (!a->settled && !choose_dims(a, draw >= DRAWS / 2)) return false;
    if (!a->settled && !a->other) a->positive = draw % 4 >= 2;
    a->all_given = true;
    a->npoints++;
    for (uint32_t i = 0; i < a->nparams; i++) {
        TdlType t = a->forms.value->params.p[i].type;
        if (given(a, i)) {
            if (!call_fits(&a->call, i)) return false;
            a->point[i] = a->call.args[i];
            continue;
        }
        a->all_given = false;
        if (!call_shape(&a->call, t, &a->point[i])) {
            if (a->other) return false;
            diag_error(a->w->c.s->diags, a->f->span, "check: %s: the size of %s is negative or does not fit", name_of(a->w, a->t->f), name_of(a->w, a->f->params.p[i].name));
            return false;
        }
        a->call.args[i] = (Value){0};
        if (!draw_value(a, i)) return false;
    }
    return true;
}

static bool read_given(At *a) {
    bool ok = true;
    for (uint32_t i = 0; i < a->nparams; i++)
        if (given(a, i)) ok &= value_read(a->w->c.s, name_of(a->w, a->f->params.p[i].name), given(a, i), ty_elem(a->p.s.m, a->forms.value->params.p[i].type), &a->call.args[i]);
    return ok;
}

/* ---- forms ---- */

static int modes_of(const TdlFunc *f) {
    if (!f->symbol) return MODE_REVERSE | MODE_FORWARD;
    return (f->reverse.id ? MODE_REVERSE : 0) | (f->forward.id ? MODE_FORWARD : 0);
}

static bool open_forms(At *a, int modes) {
    if (!probe_open(&a->p, &a->w->c)) return false;
    TdlFunc *f = ir_func_find(a->p.s.m, a->t->f);
    a->forms = probe_forms(&a->p, f, a->t->wrt.p, a->t->wrt.n, "check", modes, false);
    if (a->t->rules && !f->symbol) a->automatic = probe_forms(&a->p, f, a->t->wrt.p, a->t->wrt.n, "check.auto", modes, true);
    return probe_compile(&a->p);
}

/* In both modes; in one where the other has no derivative, as of a C function with one rule. */
static bool open_any(At *a) {
    int modes = modes_of(ir_func_find(a->w->c.s->m, a->t->f));
    if (open_forms(a, modes) || open_forms(a, modes & MODE_REVERSE) || open_forms(a, modes & MODE_FORWARD)) return true;
    TdlStr why = str_new(a->w->c.s->arena);
    diags_render_text(a->p.s.diags, &why, 1);
    diag_error(a->w->c.s->diags, a->f->span, "check: the derivative of %s cannot be made:\n%s", name_of(a->w, a->t->f), why.p);
    return false;
}

static void find_iteration(void *user, TdlFunc *f, TdlOp o) {
    *(bool *)user |= ir_op(f, o)->code == OP_WHILE || op_int(f, o, "exit", 0);
}

static bool iterates(const At *a) {
    bool any = false;
    Funcs all = reached_from(a->w->c.s->arena, a->f);
    for (uint32_t i = 0; i < all.n; i++) ir_walk(all.p[i], all.p[i]->body, find_iteration, &any);
    return any;
}

/* ---- the detach that differences see through ---- */

typedef struct { const Work *w; TdlSpan at; } Cut;

static void find_cut(void *user, TdlFunc *f, TdlOp o) {
    Cut *c = user;
    const TdlOpData *d = ir_op(f, o);
    if (d->code == OP_DETACH && !of_library(c->w, d->span)) c->at = d->span;
}

static bool has_cut(const Work *w, TdlFunc *f) {
    Cut cut = {.w = w};
    Funcs all = reached_from(w->c.s->arena, f);
    for (uint32_t i = 0; i < all.n; i++) ir_walk(all.p[i], all.p[i]->body, find_cut, &cut);
    return cut.at.file != 0;
}

/* ---- one target ---- */

typedef struct { uint32_t points, kinks, singular, unclear; bool off, cut, differs; double modes, differences; } Row;

static void print_row(const At *a, const Row *r) {
    TdlStr by = str_new(a->p.s.arena), place = str_new(a->p.s.arena);
    uint32_t line = 0, column;
    for (uint32_t i = 0; i < a->t->wrt.n; i++) str_printf(&by, "%s%s", i ? ", " : "", name_of(a->w, a->f->params.p[a->t->wrt.p[i]].name));
    if (a->f->span.file) sources_line_col(a->p.s.sources, a->f->span.file, a->f->span.at, &line, &column);
    str_printf(&place, "%s:%u", name_of(a->w, a->t->f), line);
    printf("%-20s %-20s %6u %10.1e %10.1e  %s", place.p, by.p, r->points, r->modes, r->differences,
           r->off ? "OFF" : r->unclear ? "unclear" : !r->points && r->kinks ? "kink" : !r->points && r->singular ? "singular" : r->cut ? "ok, modes alone: detach" : "ok");
    if (r->differs) printf(" (unlike the derivative of its body)");
    if (r->kinks) printf(" (%u at a kink)", r->kinks);
    if (r->singular) printf(" (%u not finite)", r->singular);
    putchar('\n');
    fflush(stdout);
}

static void note_point(const At *a) {
    TdlStr s = str_new(a->p.s.arena);
    for (uint32_t i = 0; i < a->dims.n; i++) str_printf(&s, "%s%s=%lld", s.n ? " " : "", name_of(a->w, a->dims.names[i]), (long long)a->dims.at[i]);
    for (uint32_t i = 0; i < a->nparams; i++) {
        const Value *v = &a->point[i];
        int64_t n = value_count(v);
        str_printf(&s, "%s%s=%s", s.n ? " " : "", name_of(a->w, a->f->params.p[i].name), v->rank ? "[" : "");
        for (int64_t k = 0; k < n && k < 6; k++) str_printf(&s, "%s%.9g", k ? ", " : "", value_get(v, k));
        str_puts(&s, n > 6 ? ", ...]" : v->rank ? "]" : "");
    }
    diag_note(a->w->c.s->diags, a->f->span, "at %s", s.p);
}

/* The rules are right here: is the derivative of the body, too? Of an iteration that has converged it need not be. */
static void check_automatic(At *a, Row *row) {
    if (!a->automatic.value) return;
    AtResult r = compare_at(&a->p, &a->automatic, &a->dims, a->point, a->bounds);
    row->differs |= r.state == AT_OFF;
}

static void off(At *a, Row *row, const AtResult *r) {
    bool agree = !(fabs(r->forward - r->reverse) > 1e-9 * r->scale);
    row->cut = agree && !r->why && has_cut(a->w, a->f);
    row->off = !row->cut;
    if (row->cut) row->points++;
    if (!row->off) return;
    if (locate(&a->w->c, a->t->f, &a->dims, a->point, r)) note_point(a);
}

/* The part of the program that a target needs, as text; false where that cannot be checked. */
static bool print_program(Work *w, TdlFunc *f) {
    TdlStr text = str_new(w->c.s->arena);
    Funcs all = reached_from(w->c.s->arena, f);
    for (uint32_t i = 0; i < all.n; i++) ir_print_func_as(all.p[i], &text, IR_PRINT_SPANS);
    w->c.ir = text.p;
    w->c.ir_bytes = text.n;
    for (uint32_t i = 0; i < all.n; i++) {
        if (!check_is_half(all.p[i])) continue;
        diag_error(w->c.s->diags, f->span, "check: %s: differences say nothing of %s, a C function of 16-bit floats", name_of(w, f->name), name_of(w, all.p[i]->name));
        return false;
    }
    return true;
}

/* Nothing was compared: that is no success. */
static void no_point(const At *a, const Row *r, const char *why) {
    TdlDiags *d = a->w->c.s->diags;
    const char *name = name_of(a->w, a->t->f), *hint = "state domains in its comment, `## x: ..., in (0, 1)`, or give values";
    if (r->kinks || r->unclear) diag_error(d, a->f->span, "check: %s: finite differences converge at no point, so there is nothing to compare with; %s", name, hint);
    else if (r->singular) diag_error(d, a->f->span, "check: %s: its derivative is not finite at any point; %s", name, hint);
    else diag_error(d, a->f->span, "check: %s: no point to check it at: %s; %s", name, why ? why : "it fails", hint);
}

/* Compares at the point that was chosen. */
static AtState check_point(At *a, Row *row, const char **why) {
    AtResult r = compare_at(&a->p, &a->forms, &a->dims, a->point, a->bounds);
    row->modes = fmax(row->modes, r.modes);
    row->differences = fmax(row->differences, r.differences);
    if (r.state == AT_OFF) off(a, row, &r);
    else if (r.state == AT_FAILED) *why = r.why;
    row->kinks += r.state == AT_KINK || (r.state == AT_OK && r.left_out);
    row->singular += r.state == AT_SINGULAR;
    row->unclear += r.state == AT_UNCLEAR;
    row->points += r.state == AT_OK;
    if (r.state == AT_OK) check_automatic(a, row);
    return r.state;
}

/* Whether there is a recursion, which may take any time at a larger size, as that over all subsets does. */
static bool is_recursive(const At *a) {
    Funcs all = reached_from(a->w->c.s->arena, a->f);
    for (uint32_t i = 0; i < all.n; i++)
        if (calls_itself(a->w->c.s->arena, all.p[i])) return true;
    return false;
}

/* At other sizes, one point each; where the function fails at them, as by an assert, nothing is said. */
static void check_other_sizes(At *a, Row *row) {
    enum { TRIES = 3 };
    const char *why;
    a->usual = a->dims;
    a->settled = false;
    for (a->other = ONE_MORE; a->other < SIZES && !row->off; a->other++) {
        if (a->other == LARGER && is_recursive(a)) continue;
        for (int k = 0; k < TRIES; k++) {
            if (!choose_point(a, 0) || !memcmp(a->dims.at, a->usual.at, a->dims.n * sizeof *a->dims.at)) break;
            AtState s = check_point(a, row, &why);
            if (s == AT_OK || s == AT_OFF) break;
        }
    }
}

static bool check_target(Work *w, const Target *t) {
    Row row = {0};
    At a = {.w = w, .t = t, .f = ir_func_find(w->c.s->m, t->f)};
    uint32_t wanted = w->c.s->o->points;
    const char *why = NULL;
    if (!print_program(w, a.f) || !open_any(&a)) return false;
    a.forms.iterates = a.automatic.iterates = iterates(&a);
    a.nparams = a.f->params.n;
    a.front = a.p.s;
    a.front.diags = w->c.s->diags; /* what is wrong with the command line is the user's */
    a.call = call_of(&a.front, a.forms.value);
    a.point = ARENA_ARRAY(a.p.s.arena, Value, a.nparams + 1);
    a.bounds = ARENA_ARRAY(a.p.s.arena, Bounds, a.nparams + 1);
    a.offset = ARENA_ARRAY(a.p.s.arena, double, a.nparams + 1);
    for (uint32_t i = 0; i < a.nparams; i++) a.offset[i] = check_random(&w->c);
    bool ok = read_given(&a);
    for (int draw = 0; ok && !row.off && row.points < wanted && draw < DRAWS + (int)wanted; draw++) {
        ok = choose_point(&a, draw);
        if (!ok) break;
        AtState state = check_point(&a, &row, &why);
        a.settled |= state == AT_OK || state == AT_KINK;
        if (a.all_given) break;
    }
    if (ok && row.points && !row.off && !a.all_given) check_other_sizes(&a, &row);
    if (row.points) row.unclear = 0;
    bool some = row.points || row.off || (row.kinks && a.all_given);
    if (ok && (some || row.kinks || row.singular || row.unclear)) print_row(&a, &row);
    if (ok && !some) no_point(&a, &row, why);
    probe_close(&a.p);
    return ok && some && !row.off;
}

/* In an arena of its own, so that memory does not grow with the number of targets. */
static bool check_in_arena(Work *w, const Target *t) {
    Session *s = w->c.s, local = *s;
    TdlArena scratch = *s->arena;
    arena_init(&scratch);
    scratch.stress = s->arena->stress;
    scratch.on_full = s->arena->on_full;
    local.arena = &scratch;
    w->c.s = &local;
    bool ok = check_target(w, t);
    w->c.s = s;
    arena_free(&scratch);
    return ok;
}

/* Every name on the command line must be something of a function that is checked. */
static bool check_names(const Work *w) {
    const Options *o = w->c.s->o;
    bool ok = true;
    for (uint32_t k = 0; k < o->arguments.n; k++) {
        bool found = false;
        for (uint32_t t = 0; t < w->targets.n; t++) {
            const TdlFunc *f = ir_func_find(w->c.s->m, w->targets.p[t].f);
            for (uint32_t i = 0; i < f->params.n; i++) found |= !strcmp(name_of(w, f->params.p[i].name), o->arguments.p[k].name);
            for (uint32_t i = 0; i < f->dims.n; i++) found |= !strcmp(name_of(w, f->dims.p[i]), o->arguments.p[k].name);
        }
        bool again = false;
        for (uint32_t i = 0; i < k; i++) again |= !strcmp(o->arguments.p[i].name, o->arguments.p[k].name);
        if (!found) diag_error(w->c.s->diags, SPAN_NONE, "check: no function that is checked has an input named %s", o->arguments.p[k].name);
        if (again) diag_error(w->c.s->diags, SPAN_NONE, "check: %s is given twice", o->arguments.p[k].name);
        ok &= found && !again;
    }
    return ok;
}

bool check_program(Session *s) {
    CheckPlaces reported = {.arena = s->arena};
    Work w = {.c = {.s = s, .random = (uint64_t)s->o->seed, .reported = &reported}};
    w.c.single = check_widen(s->m);
    if (!find_targets(&w) || !check_names(&w)) return false;
    bool ok = true;
    printf("%-20s %-20s %6s %10s %10s\n", "function", "by", "points", "modes", "differ.");
    for (uint32_t i = 0; i < w.targets.n; i++) ok &= check_in_arena(&w, &w.targets.p[i]);
    return ok;
}
