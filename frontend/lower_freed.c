/* What backward() cannot reverse: an iteration before the one it stands in, and, as in PyTorch, a graph a second time,
 * unless the first backward() had retain_graph=true. Both are seen when the script is complete.
 *
 * A second time that is certain is an error of the compiler's. Where it depends on the path, a flag beside the graph
 * says whether it was gone through, and a check stands in front of each backward:
 *
 *     if %c { backward %y, ... }             %f = if %c { backward %y, ...  yield true } { yield false }
 *     backward %y, ...                  =>   assert not %f  backward %y, ...
 */
#include "frontend/lower_script.h"

#include <string.h>

typedef struct { TdlOp op; LowValue retain; bool *reach, chosen; } Back; /* reach: by value, what it goes through */

typedef struct {
    Low *L;
    TdlFunc *f;
    LowActivity a;
    TDL_VEC(Back) backs;
} Check;

/* ---- what a backward goes through ---- */

static bool is_leaf(const TdlOpData *backward, TdlVal v) {
    for (uint32_t i = 2; i < backward->noperands; i++)
        if (backward->operands[i].id == v.id) return true;
    return false;
}

static const Back *back_of(const Check *c, TdlOp o) {
    for (uint32_t i = 0; i < c->backs.n; i++)
        if (c->backs.p[i].op.id == o.id) return &c->backs.p[i];
    return NULL;
}

/* Which of what a backward goes through lies between its operand and the leaves of which there are n, by value. */
static bool *before_leaf(Check *c, const Back *b, const TdlVal *leaf, uint32_t n) {
    Low *L = c->L;
    bool *on = ARENA_ARRAY(L->arena, bool, c->a.n + 1);
    for (uint32_t i = 0; i < n; i++) on[leaf[i].id] = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 1; i < c->a.n; i++) {
            TdlVals from = {0};
            if (!b->reach[i] || on[i]) continue;
            low_sources(L, (TdlVal){i}, ir_op(c->f, b->op)->parent, &from);
            for (uint32_t k = 0; k < from.n; k++) on[i] |= on[from.p[k].id];
            changed |= on[i];
        }
    }
    return on;
}

/* The nodes that an earlier backward made for a leaf read what the nodes it went through kept: their operands, where these vary. */
static void through_gradient(Check *c, TdlVal xbar, TdlVals *todo) {
    const Back *b = back_of(c, ir_val(c->f, xbar)->def);
    const TdlOpData *d = ir_op(c->f, b->op);
    const bool *on = before_leaf(c, b, &d->operands[ir_val(c->f, xbar)->index + 2], 1);
    VEC_PUSH(c->L->arena, *todo, d->operands[1]);
    for (uint32_t i = 1; i < c->a.n; i++) {
        TdlOp o = ir_val(c->f, (TdlVal){i})->def;
        if (!on[i] || !b->reach[i] || !o.id || !low_bends(&c->a, o)) continue;
        for (uint32_t k = 0; k < ir_op(c->f, o)->noperands; k++) VEC_PUSH(c->L->arena, *todo, ir_op(c->f, o)->operands[k]);
    }
}

static bool *reach_of(Check *c, TdlOp o) {
    Low *L = c->L;
    const TdlOpData *d = ir_op(c->f, o);
    bool *seen = ARENA_ARRAY(L->arena, bool, c->a.n + 1);
    TdlVals todo = {0};
    VEC_PUSH(L->arena, todo, d->operands[0]);
    while (todo.n) {
        TdlVal x = VEC_POP(todo);
        if (seen[x.id] || is_leaf(d, x) || !low_on(&c->a, x)) continue;
        seen[x.id] = true;
        TdlOp def = ir_val(c->f, x)->def;
        if (def.id && ir_op(c->f, def)->code == OP_BACKWARD) through_gradient(c, x, &todo);
        else low_sources(L, x, d->parent, &todo);
    }
    return seen;
}

/* ---- no iteration is crossed ---- */

static void check_crossing(Check *c, const Back *b) {
    const TdlOpData *d = ir_op(c->f, b->op);
    for (uint32_t i = 1; i < c->a.n; i++) {
        if (!b->reach[i] || ir_val(c->f, (TdlVal){i})->def.id) continue;
        TdlRegion r = ir_val(c->f, (TdlVal){i})->region;
        if (!ir_region_encloses(c->f, r, d->parent) || r.id == c->f->body.id) continue;
        TdlSym name = ir_val(c->f, (TdlVal){i})->name;
        const char *what = name.id ? arena_printf(c->L->arena, "`%s`", low_name(c->L, name)) : "a .grad made with create_graph";
        diag_error(c->L->diags, d->span, "backward: %s comes from the iteration before, which backward() does not cross: detach it there", what);
        return;
    }
}

/* ---- no graph is gone through twice ---- */

static uint32_t depth(const TdlFunc *f, TdlRegion r) {
    uint32_t n = 0;
    for (TdlOp o = ir_region(f, r)->parent; o.id; o = ir_region(f, ir_op(f, o)->parent)->parent) n++;
    return n;
}

/* The innermost region around o that both stand in: the graph that o is part of is made anew when it is entered. */
static TdlRegion home(const Check *c, TdlOp o, const Back *x, const Back *y) {
    TdlRegion r = ir_op(c->f, o)->parent, rx = ir_op(c->f, x->op)->parent, ry = ir_op(c->f, y->op)->parent;
    while (!ir_region_encloses(c->f, r, rx) || !ir_region_encloses(c->f, r, ry)) r = ir_op(c->f, ir_region(c->f, r)->parent)->parent;
    return r;
}

/* The outermost home of a node that both go through and that keeps tensors; 0: there is none. */
static TdlRegion shared(const Check *c, const Back *x, const Back *y) {
    TdlRegion r = {0};
    for (uint32_t i = 1; i < c->a.n; i++) {
        if (!x->reach[i] || !y->reach[i]) continue;
        TdlOp def = ir_val(c->f, (TdlVal){i})->def;
        if (!def.id || !low_keeps_tensors(&c->a, def)) continue;
        TdlRegion at = home(c, def, x, y);
        if (!r.id || depth(c->f, at) < depth(c->f, r)) r = at;
    }
    return r;
}

/* Of one graph: who frees it, and the backward that must not come later. */
typedef struct {
    Check *c;
    const bool *frees;    /* by operation */
    TdlOp second;
    TdlSpan first;        /* one that frees it, for the error */
    bool found;           /* a second time is possible */
} Flag;

typedef enum { NO, MAYBE, YES } Freed;

static Freed either(Freed a, Freed b) { return a == b ? a : MAYBE; }

static Freed freed_by(const Flag *g, TdlOp o, Freed in) {
    const LowValue *retain = &back_of(g->c, o)->retain;
    return retain->kind == LV_BOOL ? YES : either(in, YES);
}

/* Whether the graph is freed behind region r; a second time for certain is an error. */
static Freed follow(Flag *g, TdlRegion r, Freed in) {
    TdlFunc *f = g->c->f;
    IR_FOREACH_OP(f, r, o) {
        const TdlOpData *d = ir_op(f, o);
        if (o.id == g->second.id) {
            g->found |= in == MAYBE;
            if (in == YES && g->first.lo != g->first.hi) {
                diag_error(g->c->L->diags, d->span, "backward: a second time through the same graph, which the first one freed");
                diag_note(g->c->L->diags, g->first, "retain_graph=true here keeps it");
                g->first = SPAN_NONE;
            }
        }
        if (g->frees[o.id]) in = freed_by(g, o, in), g->first = d->span;
        if (d->code == OP_IF) {
            in = either(follow(g, d->regions[0], in), follow(g, d->regions[1], in));
        } else if (d->code == OP_CHECKPOINT) {
            in = follow(g, d->regions[0], in);
        } else if (d->code == OP_FOR || d->code == OP_WHILE) { /* once; and once more, behind itself */
            TdlRegion body = d->regions[d->code == OP_WHILE];
            Freed once = either(in, follow(g, body, in));
            if (once != in) in = either(once, follow(g, body, once));
        }
    }
    return in;
}

static bool concerns(const Flag *g, TdlOp o) {
    TdlFunc *f = g->c->f;
    if (o.id == g->second.id || g->frees[o.id]) return true;
    for (uint32_t i = 0; i < ir_op(f, o)->nregions; i++)
        IR_FOREACH_OP(f, ir_op(f, o)->regions[i], in)
            if (concerns(g, in)) return true;
    return false;
}

static TdlVal carry(Flag *g, TdlRegion r, TdlVal freed);

/* The region's flag becomes the last value of its yield. */
static void yield_flag(Flag *g, TdlRegion r, TdlVal freed) {
    TdlVal out = carry(g, r, freed);
    ir_add_operand(g->c->f, ir_terminator(g->c->f, r), out);
}

static TdlVal carry_through(Flag *g, TdlOp o, TdlVal freed) {
    TdlFunc *f = g->c->f;
    TdlType type = ty_scalar(g->c->L->m, EL_BOOL);
    TdlOpcode code = ir_op(f, o)->code;
    bool loop = code == OP_FOR || code == OP_WHILE;
    if (loop) ir_add_operand(f, o, freed);
    for (uint32_t i = 0; i < ir_op(f, o)->nregions; i++) {
        TdlRegion r = ir_op(f, o)->regions[i];
        TdlVal in = loop ? ir_region_arg(f, r, type, SYM_NONE) : freed;
        if (code != OP_WHILE || i == 1) yield_flag(g, r, in);
    }
    return ir_add_result(f, o, type);
}

static TdlVal freed_after(Flag *g, TdlOp o, TdlVal freed) {
    TdlBuilder b = ir_before(g->c->f, o);
    LowValue retain = back_of(g->c, o)->retain;
    if (retain.kind == LV_BOOL) return ir_const_int(&b, EL_BOOL, 1);
    return ir_binary(&b, OP_OR, freed, ir_unary(&b, OP_NOT, retain.v));
}

/* Puts the flag through region r, where it is `freed` at the beginning. */
static TdlVal carry(Flag *g, TdlRegion r, TdlVal freed) {
    static const char msg[] = "backward: a second time through the same graph, which the first one freed: give that one retain_graph=true";
    TdlFunc *f = g->c->f;
    IR_FOREACH_OP(f, r, o) {
        if (!concerns(g, o)) continue;
        if (o.id == g->second.id) {
            TdlBuilder b = ir_before(f, o);
            TdlVal kept = ir_unary(&b, OP_NOT, freed);
            TdlOp check = ir_emit(&b, OP_ASSERT, &kept, 1, NULL, 0);
            op_set_str(f, check, "msg", msg, sizeof msg - 1);
        }
        if (g->frees[o.id]) freed = freed_after(g, o, freed);
        else if (ir_op(f, o)->nregions) freed = carry_through(g, o, freed);
    }
    return freed;
}

/* All who free, before `second`, a graph whose outermost node stands in region r. */
static void check_second(Check *c, const Back *second, TdlRegion r, const TdlRegion *of) {
    bool *frees = ARENA_ARRAY(c->L->arena, bool, c->f->ops.n + 1);
    Flag g = {.c = c, .frees = frees, .second = second->op};
    for (uint32_t i = 0; i < c->backs.n; i++)
        frees[c->backs.p[i].op.id] = of[i].id == r.id;
    follow(&g, r, NO);
    if (!g.found || diags_errors(c->L->diags)) return;
    TdlBuilder b = ir_before(c->f, ir_region(c->f, r)->first);
    carry(&g, r, ir_const_int(&b, EL_BOOL, 0));
}

static void check_freed(Check *c, const Back *second) {
    uint32_t n = c->backs.n;
    TdlRegion *of = ARENA_ARRAY(c->L->arena, TdlRegion, n); /* where the graph is that each of them shares with it and frees */
    for (uint32_t i = 0; i < n; i++) {
        const LowValue *retain = &c->backs.p[i].retain;
        if (retain->kind != LV_BOOL || !retain->i) of[i] = shared(c, &c->backs.p[i], second);
    }
    for (uint32_t i = 0; i < n; i++) {
        bool done = !of[i].id;
        for (uint32_t k = 0; k < i; k++) done |= of[k].id == of[i].id;
        if (!done) check_second(c, second, of[i], of);
    }
}

/* ---- all of a script ---- */

static void collect(void *user, TdlFunc *f, TdlOp o) {
    Check *c = user;
    if (ir_op(f, o)->code != OP_BACKWARD) return;
    Back b = {.op = o, .retain = lv_bool(false)};
    for (uint32_t i = 0; i < c->L->backwards.n; i++) {
        const LowBackward *made = &c->L->backwards.p[i];
        if (made->op.id == o.id) b.retain = made->retain, b.chosen = made->chosen;
    }
    b.reach = reach_of(c, o);
    if (b.chosen) { /* what leads to other leaves is not gone through */
        const bool *on = before_leaf(c, &b, &ir_op(f, o)->operands[2], ir_op(f, o)->noperands - 2);
        for (uint32_t i = 1; i < c->a.n; i++) b.reach[i] &= on[i];
    }
    VEC_PUSH(c->L->arena, c->backs, b);
}

void low_check_backwards(Low *L, TdlFunc *f) {
    Check c = {.L = L, .f = f, .a = low_activity(L, f, false)};
    ir_walk(f, f->body, collect, &c);
    for (uint32_t i = 0; i < c.backs.n; i++) check_crossing(&c, &c.backs.p[i]);
    if (diags_errors(L->diags)) return;
    for (uint32_t i = 0; i < c.backs.n; i++) check_freed(&c, &c.backs.p[i]);
}
