/* What flows from the leaves of a script: which values depend on them, which operations have a second derivative, and
 * which keep tensors for their backward. Operations with regions do nothing here but hand through what is in them. */
#include "frontend/lower_script.h"

#include <string.h>

/* ---- what a value was computed from ---- */

static bool cut_off(const TdlFunc *f, TdlVal v) {
    TdlOp o = ir_val(f, v)->def;
    switch (ir_op(f, o)->code) {
    case OP_DETACH: case OP_GRADFN: return true;
    case OP_BACKWARD: return !op_has_int(f, o, "create_graph", ir_val(f, v)->index);
    default: return false;
    }
}

/* What the regions of o yield for its result i; a loop may also give what it began with. */
static void yielded(Low *L, TdlOp o, uint32_t i, TdlVals *out) {
    TdlFunc *f = L->b.f;
    const TdlOpData *d = ir_op(f, o);
    bool is_for = d->code == OP_FOR, is_while = d->code == OP_WHILE;
    uint32_t skip = is_for && op_int(f, o, "exit", 0);
    if (i < skip) return;
    if (is_for || is_while) VEC_PUSH(L->arena, *out, d->operands[i - skip + 2 * is_for]);
    for (uint32_t r = is_while; r < d->nregions; r++) VEC_PUSH(L->arena, *out, ir_op(f, ir_terminator(f, d->regions[r]))->operands[i]);
}

static void all_sources(Low *L, TdlVal v, TdlRegion here, TdlVals *out) {
    TdlFunc *f = L->b.f;
    TdlOp o = ir_val(f, v)->def;
    if (o.id && cut_off(f, v)) return;
    if (o.id && ir_op(f, o)->nregions) {
        yielded(L, o, ir_val(f, v)->index, out);
    } else if (o.id) {
        const TdlOpData *d = ir_op(f, o);
        for (uint32_t i = d->code == OP_LEAF ? d->noperands - 1u : 0; i < d->noperands; i++) VEC_PUSH(L->arena, *out, d->operands[i]);
    } else { /* an argument of a loop's body, which the iteration before gave, unless `here` is in it */
        TdlRegion body = ir_val(f, v)->region;
        TdlOp loop = ir_region(f, body)->parent;
        TdlOpcode c = loop.id ? ir_op(f, loop)->code : OP_NONE;
        uint32_t i = ir_val(f, v)->index, skip = c == OP_FOR && op_int(f, loop, "exit", 0);
        if ((c != OP_FOR || i == 0) && c != OP_WHILE) return;
        VEC_PUSH(L->arena, *out, ir_op(f, loop)->operands[i + (c == OP_FOR)]);
        if (!ir_region_encloses(f, body, here)) VEC_PUSH(L->arena, *out, ir_op(f, ir_terminator(f, body))->operands[i - (c == OP_FOR) + skip]);
    }
}

void low_sources(Low *L, TdlVal v, TdlRegion here, TdlVals *out) {
    uint32_t n = out->n;
    all_sources(L, v, here, out);
    uint32_t all = out->n;
    out->n = n;
    for (uint32_t i = n; i < all; i++)
        if (ty_is_float(L->m, ir_type(L->b.f, out->p[i]))) out->p[out->n++] = out->p[i];
}

/* ---- activity ---- */

static void set_active(LowActivity *a, TdlVal v, bool on) {
    TdlType t = ir_type(a->f, v);
    if (!on || a->on[v.id] || ty_kind(a->L->m, t) != TY_TENSOR || !ty_is_float(a->L->m, t)) return;
    a->on[v.id] = a->changed = true;
}

/* A loop feeds itself; of one that is still open only the beginning is known. */
static void loop_args(LowActivity *a, const TdlOpData *d, TdlOp o) {
    bool is_for = d->code == OP_FOR;
    TdlRegion r = d->regions[is_for ? 0 : 1];
    TdlOp y = ir_terminator(a->f, r);
    const TdlVals *args = &ir_region(a->f, r)->args;
    uint32_t skip = is_for && op_int(a->f, o, "exit", 0);
    for (uint32_t i = is_for; i < args->n; i++) {
        bool next = y.id && a->on[ir_op(a->f, y)->operands[i - is_for + skip].id];
        set_active(a, args->p[i], next || a->on[d->operands[i + is_for].id]);
    }
}

static void activity_op(void *user, TdlFunc *f, TdlOp o) {
    LowActivity *a = user;
    const TdlOpData *d = ir_op(f, o);
    bool any = d->code == OP_LEAF;
    for (uint32_t i = 0; i < d->noperands; i++) any |= a->on[d->operands[i].id];
    for (uint32_t r = 0; r < d->nregions; r++) {
        TdlOp y = ir_terminator(f, d->regions[r]);
        for (uint32_t i = 0; y.id && i < ir_op(f, y)->noperands; i++) any |= a->on[ir_op(f, y)->operands[i].id];
    }
    if (d->code == OP_FOR || d->code == OP_WHILE) loop_args(a, d, o);
    for (uint32_t i = 0; i < d->nresults; i++) set_active(a, d->results[i], any && !cut_off(f, d->results[i]));
}

LowActivity low_activity(Low *L, TdlFunc *f, bool params) {
    LowActivity a = {L, f, ARENA_ARRAY(L->arena, bool, f->vals.n + 1), true, f->vals.n};
    const TdlVals *args = &ir_region(f, f->body)->args;
    for (uint32_t i = 0; params && i < args->n; i++) set_active(&a, args->p[i], true);
    while (a.changed) {
        a.changed = false;
        ir_walk(f, f->body, activity_op, &a);
    }
    return a;
}

/* ---- of operations ---- */

typedef bool (*Test)(const LowActivity *a, TdlOp o);
typedef struct { const LowActivity *a; Test test; bool found; } Search;

static void search_op(void *user, TdlFunc *f, TdlOp o) {
    Search *s = user;
    (void)f;
    s->found = s->found || s->test(s->a, o);
}

/* Whether an operation of the callee does; a function that is on its way, because it calls itself, may do anything. */
static bool in_callee(const LowActivity *a, TdlOp o, Test test) {
    TdlFunc *f = ir_func_find(a->L->m, intern(a->L->names, op_str(a->f, o, "callee")));
    if (!f || f == a->f || !ir_terminator(f, f->body).id) return true;
    LowActivity in = low_activity(a->L, f, true);
    Search s = {&in, test, false};
    ir_walk(f, f->body, search_op, &s);
    return s.found;
}

static uint32_t count_active(const LowActivity *a, const TdlOpData *d) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->noperands; i++) n += low_on(a, d->operands[i]);
    return n;
}

static bool makes_active(const LowActivity *a, const TdlOpData *d) {
    bool any = false;
    for (uint32_t i = 0; i < d->nresults; i++) any |= low_on(a, d->results[i]);
    return any;
}

static bool is_linear(TdlOpcode c) {
    TdlDerivKind d = op_info(c)->deriv;
    return d == DERIV_LINEAR || d == DERIV_ZERO || c == OP_ADD || c == OP_SUB || c == OP_NEG || c == OP_LEAF;
}

bool low_bends(const LowActivity *a, TdlOp o) {
    const TdlOpData *d = ir_op(a->f, o);
    if (!makes_active(a, d) || is_linear(d->code)) return false;
    switch (d->code) {
    case OP_MAX: case OP_MIN: case OP_AMAX: case OP_AMIN: case OP_SORT: return false;
    case OP_MUL: case OP_DOT: return count_active(a, d) > 1;
    case OP_DIV: return low_on(a, d->operands[1]);
    case OP_CALL: return in_callee(a, o, low_bends);
    case OP_REDUCE: return !strcmp(op_str(a->f, o, "kind"), "prod");
    default: return !d->nregions;
    }
}

/* Taken from PyTorch 2.13: nodes without _raw_saved_ attributes. */
static bool keeps_nothing(const char *name) {
    static const char *const NAMES[] = {
        "Add", "Cat", "Clone", "ConstantPadNd", "Cumsum", "Deg2Rad", "DiagEmbed", "Diagonal", "Expand", "Flip", "Floor", "Frac",
        "Mean", "Neg", "Permute", "Rad2Deg", "Remainder", "Repeat", "Roll", "Round", "Rsub", "Select", "Sign", "Slice", "Split",
        "Squeeze", "Stack", "Sub", "Sum", "T", "ToCopy", "Trace", "Transpose", "Tril", "Triu", "Unbind", "Unfold", "Unsqueeze", "View",
    };
    const char *end = strstr(name, "Backward");
    for (size_t i = 0; end && i < sizeof NAMES / sizeof *NAMES; i++)
        if (strlen(NAMES[i]) == (size_t)(end - name) && !memcmp(NAMES[i], name, strlen(NAMES[i]))) return true;
    return false;
}

bool low_keeps_tensors(const LowActivity *a, TdlOp o) {
    const TdlOpData *d = ir_op(a->f, o);
    if (!makes_active(a, d)) return false;
    if (d->nregions) return low_bends(a, o);
    if (d->grad_fn.id) return !keeps_nothing(sym_text(a->L->names, d->grad_fn));
    return d->code == OP_CALL ? in_callee(a, o, low_keeps_tensors) : !is_linear(d->code);
}
