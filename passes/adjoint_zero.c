/* Derivatives that are zero where a user may not expect it: warnings, before a function is differentiated.
 *
 * A *step* is an operation that is constant but for jumps (floor, round, sign, //, a conversion to an integer, argmax).
 * One on the way from what is differentiated for to the result is named: no gradient passes through it. So is a
 * parameter that the result depends on through steps, comparisons and indices alone. The way is that of the data: the
 * condition of a `where` or `if`, an index and a bound decide which values count, and are no part of it; nor is a
 * comparison, whose use as a mask is meant. What the library and derivative formulas do inside is right as it is: they
 * have lost the names of their steps (inline.c), and what generated code holds never had them. */
#include "passes/adjoint.h"
#include <ctype.h>
#include <string.h>

typedef struct {
    Adj *a;
    bool all;      /* every dependence counts, not data alone */
    bool changed;
    bool *reached; /* by value id: the result depends on it */
} Way;

static bool reached(const Way *w, TdlVal v) { return w->reached[v.id]; }

static void reach(Way *w, TdlVal v) {
    w->changed |= !w->reached[v.id];
    w->reached[v.id] = true;
}

static void reach_if(Way *w, bool from, TdlVal v) {
    if (from) reach(w, v);
}

static TdlVal yielded(const Adj *a, TdlRegion r, uint32_t i) { return ir_op(a->f, ir_terminator(a->f, r))->operands[i]; }

/* Operands [*lo, *hi) are data, the others indices, starts or conditions; those of region operations are seen to apart. */
static void data_operands(const TdlOpData *d, uint32_t *lo, uint32_t *hi) {
    *lo = 0, *hi = d->noperands;
    switch (d->code) {
    case OP_INDEX: case OP_SLICE: case OP_GATHER: case OP_TAKE: *hi = 1; break;
    case OP_UPDATE: case OP_UPSLICE: *hi = 2; break;
    case OP_SELECT: *lo = 1; break;
    case OP_EQ: case OP_NE: case OP_LT: case OP_LE: case OP_GT: case OP_GE: *hi = 0; break;
    default: break;
    }
}

static void way_region(Way *w, TdlRegion r);

/* Carried values as in adjoint_activity.c. */
static void way_loop(Way *w, TdlOp o, uint32_t inits, uint32_t args, uint32_t lead) {
    Adj *a = w->a;
    uint32_t nregions = ir_op(a->f, o)->nregions, n = ir_op(a->f, o)->noperands - inits;
    TdlRegion body = ir_op(a->f, o)->regions[nregions - 1];
    for (uint32_t i = 0; i < n; i++) reach_if(w, reached(w, adj_res(a, o, lead + i)), yielded(a, body, lead + i));
    if (w->all && lead) reach(w, yielded(a, body, 0));
    if (w->all && nregions == 2) {
        TdlRegion test = ir_op(a->f, o)->regions[0];
        reach(w, yielded(a, test, 0));
        way_region(w, test);
        for (uint32_t i = 0; i < n; i++)
            reach_if(w, reached(w, ir_region(a->f, test)->args.p[i]), ir_region(a->f, body)->args.p[i]);
    }
    bool outer = w->changed;
    do {
        w->changed = false;
        way_region(w, body);
        for (uint32_t i = 0; i < n; i++)
            reach_if(w, reached(w, ir_region(a->f, body)->args.p[args + i]), yielded(a, body, lead + i));
        outer |= w->changed;
    } while (w->changed);
    w->changed = outer;
    for (uint32_t i = 0; i < n; i++) {
        bool carried = reached(w, adj_res(a, o, lead + i)) || reached(w, ir_region(a->f, body)->args.p[args + i]);
        reach_if(w, carried, adj_arg(a, o, inits + i));
    }
}

static void way_withacc(Way *w, TdlOp o) {
    Adj *a = w->a;
    TdlRegion r = ir_op(a->f, o)->regions[0];
    uint32_t n = ir_op(a->f, o)->noperands;
    for (uint32_t i = 0; i < ir_op(a->f, o)->nresults; i++) {
        bool from = reached(w, adj_res(a, o, i));
        if (i >= n) reach_if(w, from, yielded(a, r, i - n));
        else reach_if(w, from, adj_arg(a, o, i)), reach_if(w, from, ir_region(a->f, r)->args.p[i]);
    }
    way_region(w, r);
}

static void way_op(Way *w, TdlOp o) {
    Adj *a = w->a;
    const TdlOpData d = *ir_op(a->f, o);
    bool any = d.code == OP_ACCADD && reached(w, d.operands[0]);
    for (uint32_t i = 0; i < d.nresults; i++) any |= reached(w, d.results[i]);
    /* what is added in a region has no result */
    bool adds = (d.code == OP_MAP || d.code == OP_FOR || d.code == OP_WHILE || d.code == OP_IF || d.code == OP_WITHACC || d.code == OP_CHECKPOINT);
    if (!any && !adds) return;
    uint32_t lo, hi;
    data_operands(&d, &lo, &hi);
    switch (d.code) {
    case OP_DETACH: return;
    case OP_MAP: case OP_IF: case OP_REDUCE: case OP_CHECKPOINT:
        for (uint32_t k = 0; k < d.nregions; k++) {
            for (uint32_t i = 0; i < d.nresults; i++) reach_if(w, reached(w, d.results[i]), yielded(a, d.regions[k], i));
            if (w->all && d.code == OP_REDUCE && op_int(a->f, o, "filter", 0)) reach(w, yielded(a, d.regions[k], 1));
            way_region(w, d.regions[k]);
        }
        hi = 0;
        break;
    case OP_FOR: {
        uint32_t lead = op_int(a->f, o, "exit", 0) != 0;
        way_loop(w, o, 2, 1, lead);
        hi = 0;
        break;
    }
    case OP_WHILE: way_loop(w, o, 0, 0, 0); return;
    case OP_WITHACC: way_withacc(w, o); return;
    case OP_ACCADD: lo = 1, hi = 2; break;
    default: break;
    }
    uint32_t outside = d.code == OP_FOR ? 2 : d.noperands;
    for (uint32_t i = 0; i < d.noperands; i++) reach_if(w, w->all && any ? i < outside : i >= lo && i < hi, d.operands[i]);
}

static void way_region(Way *w, TdlRegion r) {
    for (TdlOp o = ir_region(w->a->f, r)->last; o.id; o = ir_op(w->a->f, o)->prev) way_op(w, o);
}

static Way way_to(Adj *a, const TdlVal *results, uint32_t n, bool all) {
    Way w = {.a = a, .all = all, .reached = ARENA_ARRAY(a->arena, bool, a->f->vals.n)};
    for (uint32_t i = 0; i < n; i++) reach(&w, results[i]);
    way_region(&w, a->f->body);
    return w;
}

/* ---- steps ---- */

/* FloorBackward0 on a floor: a user wrote it, or index notation or a rule of the user's. */
static bool has_own_name(const Adj *a, const TdlOpData *d) {
    const char *op = op_info(d->code)->name, *name = d->grad_fn.id ? sym_text(a->m->names, d->grad_fn) : "";
    while (*op && tolower((unsigned char)*name) == *op) name++, op++;
    return !*op;
}

static const char *step_name(const Adj *a, TdlOp o) {
    const TdlOpData *d = ir_op(a->f, o);
    TdlType t = d->nresults ? adj_type(a, d->results[0]) : (TdlType){0};
    switch (d->code) {
    case OP_FLOOR: case OP_CEIL: case OP_ROUND: case OP_TRUNC: case OP_SIGN:
        return has_own_name(a, d) ? op_info(d->code)->name : NULL;
    case OP_FLOORDIV: return "//";
    case OP_CAST: return ty_elem(a->m, t) == EL_I32 || ty_elem(a->m, t) == EL_I64 ? el_name(ty_elem(a->m, t)) : NULL;
    case OP_ARGMAX: case OP_ARGMIN: return op_info(d->code)->name;
    default: return NULL;
    }
}

typedef struct { Adj *a; const Way *w; } Steps;

/* reduce of kind argmax and the indices of sort are steps too, of what they yield or take. */
static void warn_step(void *user, TdlFunc *f, TdlOp o) {
    const Steps *s = user;
    Adj *a = s->a;
    const TdlOpData *d = ir_op(f, o);
    const char *name = step_name(a, o), *kind = d->code == OP_REDUCE ? op_str(f, o, "kind") : NULL;
    TdlVal from = d->noperands ? d->operands[0] : (TdlVal){0}, to = d->nresults ? d->results[0] : (TdlVal){0};
    if (kind && !strncmp(kind, "arg", 3)) name = kind, from = yielded(a, d->regions[0], 0);
    if (d->code == OP_SORT) name = "argsort", to = d->results[1];
    if (!name || !s->w->reached[to.id]) return;
    bool active = adj_active(a, from);
    for (uint32_t i = 0; i < d->noperands; i++) active |= adj_active(a, d->operands[i]);
    if (active)
        diag_warning(a->m->diags, WARN_ZERO_DERIVATIVE, d->span, "%s: its derivative is zero almost everywhere, and no gradient passes through it: use detach where that is meant", name);
}

void adj_warn_zero(Adj *a, const TdlVal *results, uint32_t n, const TdlVal *wrt, uint32_t nwrt) {
    Way data = way_to(a, results, n, false);
    Steps s = {a, &data};
    ir_walk(a->f, a->f->body, warn_step, &s);
    if (!nwrt) return;
    Way all = way_to(a, results, n, true);
    for (uint32_t i = 0; i < nwrt; i++) {
        if (data.reached[wrt[i].id] || !all.reached[wrt[i].id]) continue;
        diag_warning(a->m->diags, WARN_ZERO_DERIVATIVE, a->f->span, "%s: its result depends on `%s` through comparisons and integers alone: that derivative is zero",
                     sym_text(a->m->names, a->f->name), sym_text(a->m->names, ir_val(a->f, wrt[i])->name));
    }
}
