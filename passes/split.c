/* split: cuts a function with its reverse in two, with the saved state between them.
 *
 *     func @g<n>(%0 x: f64[n], %1 dout: f64) -> (value: f64, dx: f64[n] of x) {export, split = 1} {
 *       %2 = exp %0   %3 = sum %2   %4 = broadcast %1   %5 = mul %4, %2   return %3, %5 }
 *
 * becomes
 *
 *     func @g_forward<n>(%0 x: f64[n]) -> (value: f64, f64[n] saved) {export, saves = g} {
 *       %1 = exp %0   %2 = sum %1   return %2, %1 }
 *     func @g_reverse<n>(%0 x: f64[n], %1 dout: f64, %2: f64[n] saved) -> (dx: f64[n] of x) {export, restores = g} {
 *       %3 = broadcast %1   %4 = mul %3, %2   return %4 }
 *
 * The forward half is what the values and the checks need; the reverse half is the rest of what the gradients need. What
 * it reads of the forward half is saved, but for parameters, which it takes again, and what is cheaper to compute again
 * than to keep. Saved values of known size become `saved` ports; a stack, or a tensor of a size found at run time, is
 * kept by `save` and taken by `restore`, in one order. Only operations of the body itself are told apart: a region
 * goes as a whole. Cost: linear in the code, times the `newdim`s of the body. */
#include "passes/pass.h"
#include "ir/graph.h"

#include <string.h>

enum { CHEAP_CHAIN = 12 }; /* longest chain of cheap operations that is computed again */

typedef enum { NOWHERE = 0, FORWARD = 1, REVERSE = 2 } Half; /* both: computed again */

typedef struct {
    TdlModule *m;
    TdlArena *arena;
    TdlFunc *f;
    uint8_t *half;          /* by operation id: where operations of the body go */
    bool *kept;             /* by value id: saved */
    bool *late;             /* by value id: computed from a cotangent */
    TDL_VEC(TdlOp) newdims; /* of the body */
} Split;

static void at_op(Split *s, TdlOp o, Half h);

/* ---- which half ---- */

/* Values: what they would cost to keep is more than computing them again. */
static bool cheap(TdlOpcode c) {
    switch ((int)c) {
    case OP_CONST: case OP_DIM: case OP_NEWDIM: case OP_UNDEF: case OP_IOTA: case OP_BROADCAST: case OP_RESHAPE:
    case OP_PERMUTE: case OP_SLICE: case OP_INDEX: case OP_NEG: case OP_ABS: case OP_NOT: case OP_CAST: case OP_ADD:
    case OP_SUB: case OP_MUL: case OP_MAX: case OP_MIN: case OP_EQ: case OP_NE: case OP_LT: case OP_LE: case OP_GT:
    case OP_GE: case OP_AND: case OP_OR: case OP_SELECT: case OP_DETACH: return true;
    default: return false;
    }
}

/* Is v a parameter, kept anyway, or cheap to have from such values? */
static bool again(const Split *s, TdlVal v, int *left) {
    TdlOp o = ir_val(s->f, v)->def;
    if (!o.id || s->kept[v.id] || (s->half[o.id] & REVERSE)) return true;
    const TdlOpData *d = ir_op(s->f, o);
    if (d->code == OP_NEWDIM) return true; /* its operand is kept instead */
    if (!cheap(d->code) || --*left < 0) return false;
    for (uint32_t i = 0; i < d->noperands; i++)
        if (!again(s, d->operands[i], left)) return false;
    return true;
}

static TdlSym sym_of(const Split *s, TdlOp newdim) { return intern(s->m->names, op_str(s->f, newdim, "sym")); }

/* The definitions of the sizes that o mentions go where it goes. */
static void at_dims(Split *s, TdlOp o, Half h) {
    for (uint32_t i = 0; i < s->newdims.n; i++)
        if (ir_mentions(s->f, o, sym_of(s, s->newdims.p[i]))) at_op(s, s->newdims.p[i], h);
}

/* Operands, and what the regions take from the body. */
static TdlVals reads(const Split *s, TdlOp o) {
    TdlVals v = {0};
    const TdlOpData *d = ir_op(s->f, o);
    for (uint32_t i = 0; i < d->noperands; i++) VEC_PUSH(s->arena, v, d->operands[i]);
    for (uint32_t r = 0; r < d->nregions; r++) ir_free_vals(s->f, d->regions[r], s->arena, &v);
    return v;
}

/* The value is read in half h. */
static void at_val(Split *s, TdlVal v, Half h) {
    TdlOp o = ir_val(s->f, v)->def;
    int left = CHEAP_CHAIN;
    if (!o.id || (h == REVERSE && s->kept[v.id])) return;
    if (h == FORWARD || !(s->half[o.id] & FORWARD) || again(s, v, &left)) {
        at_op(s, o, h);
        return;
    }
    s->kept[v.id] = true;
    for (uint32_t i = 0; i < s->newdims.n; i++)
        if (ty_mentions(s->m, ir_type(s->f, v), sym_of(s, s->newdims.p[i]))) at_op(s, s->newdims.p[i], REVERSE);
}

static void at_op(Split *s, TdlOp o, Half h) {
    if (s->half[o.id] & h) return;
    s->half[o.id] |= (uint8_t)h;
    TdlVals v = reads(s, o);
    at_dims(s, o, h);
    for (uint32_t i = 0; i < v.n; i++) at_val(s, v.p[i], h);
}

/* Checks and prints: with the cotangents where they read what was computed from one, else with the values. */
static void place_effects(Split *s, Half h) {
    for (uint32_t i = s->f->split; i < s->f->params.n; i++) s->late[ir_region(s->f, s->f->body)->args.p[i].id] = true;
    IR_FOREACH_OP(s->f, s->f->body, o) {
        TdlVals v = reads(s, o);
        bool any = false;
        for (uint32_t i = 0; i < v.n; i++) any |= s->late[v.p[i].id];
        for (uint32_t i = 0; i < ir_op(s->f, o)->nresults; i++) s->late[ir_op(s->f, o)->results[i].id] = any;
        bool ends = (op_info(ir_op(s->f, o)->code)->flags & OPF_TERMINATOR) != 0;
        if (!ends && !ir_op_is_pure(s->f, o) && (h == REVERSE) == any) at_op(s, o, h);
    }
}

static void place(Split *s) {
    TdlFunc *f = s->f;
    const TdlOpData *ret = ir_op(f, ir_terminator(f, f->body));
    IR_FOREACH_OP(f, f->body, o)
        if (ir_op(f, o)->code == OP_NEWDIM) VEC_PUSH(s->arena, s->newdims, o);
    place_effects(s, FORWARD);
    for (uint32_t i = 0; i < ret->noperands; i++)
        if (f->results.p[i].cotangent_of < 0) at_val(s, ret->operands[i], FORWARD);
    place_effects(s, REVERSE);
    for (uint32_t i = 0; i < ret->noperands; i++)
        if (f->results.p[i].cotangent_of >= 0) at_val(s, ret->operands[i], REVERSE);
}

/* ---- a stack that is restored is in memory that nothing may write ---- */

typedef struct { bool *ours; TdlVal pushed; bool changed; } Stacks; /* by value id: one of them */

static void follow(Stacks *k, TdlVal from, TdlVal to) {
    if (!k->ours[from.id] || k->ours[to.id]) return;
    k->ours[to.id] = k->changed = true;
}

static void follow_op(void *user, TdlFunc *g, TdlOp o) {
    Stacks *k = user;
    const TdlOpData *d = ir_op(g, o);
    if (d->code == OP_PUSH && k->ours[d->operands[0].id]) k->pushed = d->operands[0];
    if (d->code == OP_POP) follow(k, d->operands[0], d->results[0]);
    uint32_t inits = d->code == OP_FOR ? 2 : 0;
    for (uint32_t r = 0; r < d->nregions; r++) {
        const TdlVals *args = &ir_region(g, d->regions[r])->args;
        const TdlOpData *y = ir_op(g, ir_terminator(g, d->regions[r]));
        uint32_t n = d->code == OP_FOR || d->code == OP_WHILE ? d->noperands - inits : 0;
        for (uint32_t i = 0; i < n; i++) follow(k, d->operands[inits + i], args->p[args->n - n + i]);
        for (uint32_t i = 0; i < y->noperands && i < d->nresults; i++)
            follow(k, y->operands[y->noperands - 1 - i], d->results[d->nresults - 1 - i]);
    }
}

static bool only_popped(const Split *s, TdlFunc *g) {
    Stacks k = {.ours = ARENA_ARRAY(s->arena, bool, g->vals.n), .changed = true};
    IR_FOREACH_OP(g, g->body, o)
        if (ir_op(g, o)->code == OP_RESTORE) k.ours[ir_result(g, o, 0).id] = ty_kind(s->m, ir_type(g, ir_result(g, o, 0))) == TY_STACK;
    while (k.changed) {
        k.changed = false;
        ir_walk(g, g->body, follow_op, &k);
    }
    if (k.pushed.id) diag_error(s->m->diags, s->f->span, "split: internal error: a stack of the forward half is pushed to");
    return !k.pushed.id;
}

/* ---- the halves ---- */

/* Is its size known at entry, so that it has a place of its own? */
static bool of_known_size(const Split *s, TdlType t) {
    bool found = ty_kind(s->m, t) == TY_STACK;
    for (uint32_t i = 0; i < s->newdims.n && !found; i++) found = ty_mentions(s->m, t, sym_of(s, s->newdims.p[i]));
    return !found;
}

/* What is saved, in the order of its making. */
static TdlVals saved(const Split *s, bool known) {
    TdlVals out = {0};
    IR_FOREACH_OP(s->f, s->f->body, o)
        for (uint32_t i = 0; i < ir_op(s->f, o)->nresults; i++) {
            TdlVal v = ir_op(s->f, o)->results[i];
            if (s->kept[v.id] && of_known_size(s, ir_type(s->f, v)) == known) VEC_PUSH(s->arena, out, v);
        }
    return out;
}

static TdlFunc *half(Split *s, const char *suffix) {
    TdlFunc *f = s->f;
    TdlSym general, name = ir_name_beside(f, suffix, &general);
    if (ir_func_find(s->m, name)) {
        diag_error(s->m->diags, f->span, "split: %s is the name of another function", sym_text(s->m->names, name));
        return NULL;
    }
    TdlFunc *g = ir_func_new(s->m, name, f->span);
    g->exported = true;
    g->general = general;
    g->at = f->at;
    g->doc = f->doc;
    for (uint32_t i = 0; i < f->dims.n; i++) VEC_PUSH(s->m->arena, g->dims, f->dims.p[i]);
    return g;
}

static void take_params(Split *s, TdlFunc *g, uint32_t n, TdlValMap *map) {
    for (uint32_t i = 0; i < n; i++) {
        const TdlPort *p = &s->f->params.p[i];
        valmap_set(map, ir_region(s->f, s->f->body)->args.p[i], ir_func_add_param(g, p->name, p->type, p->doc));
    }
}

static TdlPort saved_port(TdlType t) { return (TdlPort){.type = t, .cotangent_of = -1, .prior_of = -1, .saved = true}; }

/* The results of f that are gradients, or those that are not. */
static TdlVals take_results(Split *s, TdlFunc *g, bool gradients, const TdlValMap *map) {
    TdlVals out = {0};
    const TdlOpData *ret = ir_op(s->f, ir_terminator(s->f, s->f->body));
    for (uint32_t i = 0; i < ret->noperands; i++) {
        if ((s->f->results.p[i].cotangent_of >= 0) != gradients) continue;
        VEC_PUSH(s->m->arena, g->results, s->f->results.p[i]);
        VEC_PUSH(s->arena, out, valmap_get(map, ret->operands[i]));
    }
    return out;
}

static bool make_forward(Split *s) {
    TdlFunc *f = s->f, *g = half(s, "_forward");
    if (!g) return false;
    TdlValMap map = valmap_new(s->arena, f);
    g->saves = f->name;
    take_params(s, g, f->split, &map);
    TdlBuilder b = ir_at_end(g, g->body, f->span);
    IR_FOREACH_OP(f, f->body, o)
        if (s->half[o.id] & FORWARD) ir_clone_op(&b, f, o, &map, NULL);
    b.span = f->span;
    TdlVals out = take_results(s, g, false, &map), known = saved(s, true), others = saved(s, false);
    for (uint32_t i = 0; i < known.n; i++) {
        VEC_PUSH(s->m->arena, g->results, saved_port(ir_type(f, known.p[i])));
        VEC_PUSH(s->arena, out, valmap_get(&map, known.p[i]));
    }
    for (uint32_t i = 0; i < others.n; i++) {
        TdlVal v = valmap_get(&map, others.p[i]);
        b.span = ir_op(f, ir_val(f, others.p[i])->def)->span;
        ir_emit(&b, OP_SAVE, &v, 1, NULL, 0);
    }
    ir_emit(&b, OP_RETURN, out.p, out.n, NULL, 0);
    return true;
}

/* The results of o that come from the forward half. */
static void restore(Split *s, TdlBuilder *b, TdlOp o, TdlValMap *map) {
    b->span = ir_op(s->f, o)->span;
    for (uint32_t i = 0; i < ir_op(s->f, o)->nresults; i++) {
        TdlVal v = ir_op(s->f, o)->results[i];
        TdlType t = ir_type(s->f, v);
        if (s->kept[v.id] && !of_known_size(s, t)) valmap_set(map, v, ir_result(b->f, ir_emit(b, OP_RESTORE, NULL, 0, &t, 1), 0));
    }
}

static bool make_reverse(Split *s) {
    TdlFunc *f = s->f, *g = half(s, "_reverse");
    if (!g) return false;
    TdlValMap map = valmap_new(s->arena, f);
    TdlVals known = saved(s, true);
    g->restores = f->name;
    take_params(s, g, f->params.n, &map);
    for (uint32_t i = 0; i < known.n; i++) {
        valmap_set(&map, known.p[i], ir_func_add_param(g, SYM_NONE, ir_type(f, known.p[i]), NULL));
        g->params.p[g->params.n - 1].saved = true;
    }
    TdlBuilder b = ir_at_end(g, g->body, f->span);
    IR_FOREACH_OP(f, f->body, o) {
        if (s->half[o.id] & REVERSE) ir_clone_op(&b, f, o, &map, NULL);
        else restore(s, &b, o, &map);
    }
    b.span = f->span;
    TdlVals out = take_results(s, g, true, &map);
    ir_emit(&b, OP_RETURN, out.p, out.n, NULL, 0);
    return only_popped(s, g);
}

/* The forward half has the backward graph of the values. */
static void hand_on_graph(Split *s) {
    TdlSym name = intern(s->m->names, arena_printf(s->m->arena, "%s_forward", sym_text(s->m->names, s->f->name)));
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->f->results.n; i++) n += s->f->results.p[i].cotangent_of < 0;
    for (uint32_t i = 0; s->m->graphs && i < s->m->graphs->graphs.n; i++) {
        TdlGraph *graph = &s->m->graphs->graphs.p[i];
        if (!sym_eq(graph->func, s->f->name)) continue;
        graph->func = name;
        if (graph->roots.n > n) graph->roots.n = n;
    }
}

/* Nothing of the forward half reads a cotangent. */
static bool is_cut(const Split *s) {
    IR_FOREACH_OP(s->f, s->f->body, o)
        for (uint32_t i = 0; (s->half[o.id] & FORWARD) && i < ir_op(s->f, o)->nresults; i++) {
            if (!s->late[ir_op(s->f, o)->results[i].id]) continue;
            diag_error(s->m->diags, ir_op(s->f, o)->span, "split: internal error: %s makes values and gradients at once", op_info(ir_op(s->f, o)->code)->name);
            return false;
        }
    return true;
}

static bool cut(TdlModule *m, TdlFunc *f) {
    TdlArena arena;
    arena_init_like(&arena, m->arena);
    Split s = {.m = m, .arena = &arena, .f = f, .half = ARENA_ARRAY(&arena, uint8_t, f->ops.n), .kept = ARENA_ARRAY(&arena, bool, f->vals.n),
               .late = ARENA_ARRAY(&arena, bool, f->vals.n)};
    place(&s);
    bool ok = is_cut(&s) && make_forward(&s) && make_reverse(&s);
    if (ok) hand_on_graph(&s);
    arena_free(&arena);
    return ok;
}

bool pass_split(TdlModule *m, const TdlPassOptions *opt) {
    TDL_VEC(TdlFunc *) whole = {0};
    for (uint32_t i = 0; i < m->funcs.n; i++)
        if (m->funcs.p[i]->split) VEC_PUSH(m->arena, whole, m->funcs.p[i]);
    for (uint32_t i = 0; i < whole.n; i++) {
        if (!cut(m, whole.p[i])) return false;
        ir_func_remove(m, whole.p[i]);
    }
    return !whole.n || pass_simplify(m, opt); /* results and carried values that the other half alone reads */
}
