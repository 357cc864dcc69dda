/* gradfn: answers `grad_fn` queries of scripts, as the path taken at run time has it.
 *
 * Runs on inlined IR before `adjoint`. The name of most values is known here and becomes a constant: its number in
 * the module's name table (-1: none, as for a leaf or what depends on no leaf). A value that an `if` or a loop made
 * has the name of what its branch, or its last iteration, ended with: the operation is extended by an i64 result
 * that says so.
 *
 *     %3 = if %0 {() ... yield %1} {() ... yield %2} : f64      %3, %4 = if %0 {... yield %1, 0} {... yield %2, 1} : f64, i64
 *     %4 = grad_fn %3 : i64                                =>   (%4 stands for the query)
 */
#include "ir/graph.h"
#include "passes/pass.h"

#include <ctype.h>
#include <stdio.h>

typedef struct {
    TdlFunc *f;
    TdlArena scratch;
    bool *active;        /* by value id: depends on a leaf; values made here have none */
    uint32_t nactive;
    TDL_VEC(TdlVal) memo;/* by value id: the i64 that names it; 0: not asked yet */
} Query;

static bool is_active(const Query *q, TdlVal v)
{
    return v.id < q->nactive && q->active[v.id];
}

static bool mark(Query *q, TdlVal v, bool on)
{
    TdlModule *m = q->f->module;
    TdlType t = ir_type(q->f, v);
    if (!on || q->active[v.id] || ty_kind(m, t) != TY_TENSOR || !ty_is_float(m, t))
        return false;
    return q->active[v.id] = true;
}

static bool mark_region(Query *q, TdlRegion r);

/* Each result is what the regions yield at its position. */
static bool by_yield(TdlOpcode c) { return c == OP_IF || c == OP_CHECKPOINT; }

/* Propagates activity through one operation; true when anything changed. */
static bool mark_op(Query *q, TdlOp o)
{
    TdlFunc *f = q->f;
    TdlOpData *d = ir_op(f, o);
    bool changed = false, any = d->code == OP_LEAF;
    if (d->code == OP_DETACH || d->code == OP_GRADFN)
        return false;
    if (d->code == OP_BACKWARD) {
        for (uint16_t i = 0; i < d->nresults; i++)
            changed |= mark(q, d->results[i], op_has_int(f, o, "create_graph", i));
        return changed;
    }
    for (uint16_t i = 0; i < d->noperands; i++)
        any |= is_active(q, d->operands[i]);
    uint32_t first = d->code == OP_FOR ? 2 : 0;
    for (uint16_t r = 0; r < d->nregions; r++) {
        TdlVals *args = &ir_region(f, d->regions[r])->args;
        uint32_t arg0 = d->code == OP_FOR ? 1 : 0;
        if (d->code == OP_FOR || d->code == OP_WHILE)
            for (uint32_t i = arg0; i < args->n; i++)
                changed |= mark(q, args->p[i], is_active(q, d->operands[first + i - arg0]));
        changed |= mark_region(q, d->regions[r]);
        TdlOpData *y = ir_op(f, ir_terminator(f, d->regions[r]));
        uint32_t skip = d->code == OP_FOR && op_int(f, o, "exit", 0) ? 1 : 0;
        for (uint16_t i = 0; i < y->noperands; i++) {
            bool on = is_active(q, y->operands[i]);
            any |= on;
            bool carried = d->code == OP_FOR || (d->code == OP_WHILE && r == 1);
            if (carried && i >= skip)
                changed |= mark(q, args->p[arg0 + i - skip], on);
            if ((carried || by_yield(d->code)) && i < d->nresults)
                changed |= mark(q, d->results[i], on);
        }
    }
    bool by_position = by_yield(d->code) || d->code == OP_FOR || d->code == OP_WHILE;
    for (uint16_t i = 0; i < d->nresults; i++) {
        uint32_t skip = d->code == OP_FOR && op_int(f, o, "exit", 0) ? 1 : 0;
        if (!by_position)
            changed |= mark(q, d->results[i], any);
        else if (!by_yield(d->code) && i >= skip)
            changed |= mark(q, d->results[i], is_active(q, d->operands[first + i - skip]));
    }
    return changed;
}

static bool mark_region(Query *q, TdlRegion r)
{
    bool changed = false;
    IR_FOREACH_OP(q->f, r, o)
        changed |= mark_op(q, o);
    return changed;
}

static TdlVal memo_get(const Query *q, TdlVal v)
{
    return v.id < q->memo.n ? q->memo.p[v.id] : (TdlVal){0};
}

static TdlVal memo_set(Query *q, TdlVal v, TdlVal id)
{
    while (q->memo.n <= v.id)
        VEC_PUSH(&q->scratch, q->memo, (TdlVal){0});
    return q->memo.p[v.id] = id;
}

static TdlVal resolve(Query *q, TdlBuilder *b, TdlVal v);

/* Just before the terminator of region r. */
static TdlBuilder at_yield(Query *q, TdlRegion r)
{
    return ir_before(q->f, ir_terminator(q->f, r));
}

/* Result `index` of an `if` or a `checkpoint`. */
static void resolve_yielded(Query *q, TdlOp o, uint32_t index)
{
    for (uint32_t r = 0; r < ir_op(q->f, o)->nregions; r++) {
        TdlRegion region = ir_op(q->f, o)->regions[r];
        TdlOp yield = ir_terminator(q->f, region);
        TdlBuilder b = at_yield(q, region);
        TdlVal id = resolve(q, &b, ir_op(q->f, yield)->operands[index]);
        ir_add_operand(q->f, yield, id);
    }
    memo_set(q, ir_op(q->f, o)->results[index], ir_add_result(q->f, o, ty_scalar(q->f->module, EL_I64)));
}

/* Carried value `index` of a `for` or `while`. */
static void resolve_loop(Query *q, TdlOp o, uint32_t index)
{
    TdlFunc *f = q->f;
    TdlType i64 = ty_scalar(f->module, EL_I64);
    bool is_for = ir_op(f, o)->code == OP_FOR;
    uint32_t exit = is_for && op_int(f, o, "exit", 0) ? 1 : 0;
    uint32_t first = is_for ? 2 : 0, arg0 = is_for ? 1 : 0;
    TdlRegion body = ir_op(f, o)->regions[is_for ? 0 : 1];
    TdlBuilder before = ir_before(f, o);
    TdlVal initial = resolve(q, &before, ir_op(f, o)->operands[first + index]);
    ir_add_operand(f, o, initial);
    TdlVal arg = ir_region_arg(f, body, i64, SYM_NONE);
    memo_set(q, ir_region(f, body)->args.p[arg0 + index], arg);
    if (!is_for) {
        TdlRegion cond = ir_op(f, o)->regions[0];
        TdlVal same = ir_region_arg(f, cond, i64, SYM_NONE);
        memo_set(q, ir_region(f, cond)->args.p[index], same);
    }
    memo_set(q, ir_op(f, o)->results[exit + index], ir_add_result(f, o, i64));
    TdlOp yield = ir_terminator(f, body);
    TdlBuilder b = at_yield(q, body);
    TdlVal last = resolve(q, &b, ir_op(f, yield)->operands[exit + index]);
    ir_add_operand(f, yield, last);
}

static TdlVal named(Query *q, TdlBuilder *b, TdlSym name)
{
    int64_t id = name.id ? (int64_t)graph_name_id(q->f->module, name) : -1;
    return ir_const_int(b, EL_I64, id);
}

/* The operation and position that carries the region argument v; false for indices. */
static bool carried_arg(Query *q, TdlVal v, TdlOp *o, uint32_t *index)
{
    TdlValData *d = ir_val(q->f, v);
    *o = d->region.id ? ir_region(q->f, d->region)->parent : (TdlOp){0};
    if (!o->id)
        return false;
    TdlOpcode c = ir_op(q->f, *o)->code;
    if (c == OP_FOR && d->index > 0)
        *index = d->index - 1;
    else if (c == OP_WHILE)
        *index = d->index;
    else
        return false;
    return true;
}

/* What an operation without a name stands for: its one active operand, or its own mnemonic when it has several. */
static TdlVal resolve_unnamed(Query *q, TdlBuilder *b, TdlOp def)
{
    TdlOpData *d = ir_op(q->f, def);
    TdlVal only = {0};
    uint32_t n = 0;
    for (uint16_t i = 0; i < d->noperands; i++)
        if (is_active(q, d->operands[i]) && d->operands[i].id != only.id) {
            only = d->operands[i];
            n++;
        }
    if (n == 1 && d->nregions == 0)
        return resolve(q, b, only);
    char buf[96];
    snprintf(buf, sizeof buf, "%sBackward0", op_info(d->code)->name);
    buf[0] = (char)toupper((unsigned char)buf[0]);
    return named(q, b, intern(q->f->module->names, buf));
}

/* An i64, valid at b, that numbers the grad_fn of v. */
static TdlVal resolve(Query *q, TdlBuilder *b, TdlVal v)
{
    TdlVal known = memo_get(q, v);
    if (known.id)
        return known;
    if (!is_active(q, v))
        return named(q, b, SYM_NONE);
    TdlOp def = ir_val(q->f, v)->def, loop;
    uint32_t index;
    if (!def.id) {
        if (!carried_arg(q, v, &loop, &index))
            return named(q, b, SYM_NONE);
        resolve_loop(q, loop, index);
        return memo_get(q, v);
    }
    TdlOpData *d = ir_op(q->f, def);
    index = ir_val(q->f, v)->index;
    if (d->code == OP_LEAF)
        return named(q, b, SYM_NONE);
    if (d->grad_fn.id)
        return named(q, b, d->grad_fn);
    if (by_yield(d->code))
        resolve_yielded(q, def, index);
    else if (d->code == OP_FOR || d->code == OP_WHILE)
        resolve_loop(q, def, index - (d->code == OP_FOR && op_int(q->f, def, "exit", 0) ? 1 : 0));
    else
        return resolve_unnamed(q, b, def);
    return memo_get(q, v);
}

static void collect(void *user, TdlFunc *f, TdlOp o)
{
    TDL_VEC(TdlOp) *found = user;
    if (ir_op(f, o)->code == OP_GRADFN)
        VEC_PUSH(f->module->arena, *found, o);
}

static void answer_queries(TdlFunc *f)
{
    TDL_VEC(TdlOp) found = {0};
    ir_walk(f, f->body, collect, &found);
    if (!found.n)
        return;
    Query q = {.f = f, .nactive = f->vals.n};
    arena_init_like(&q.scratch, f->module->arena);
    q.active = ARENA_ARRAY(&q.scratch, bool, f->vals.n);
    for (uint32_t i = 0; i < f->params.n && !f->script; i++)
        mark(&q, ir_region(f, f->body)->args.p[i], true);
    while (mark_region(&q, f->body)) {}
    TdlValMap answers = valmap_new(&q.scratch, f);
    for (uint32_t i = 0; i < found.n; i++) {
        TdlBuilder b = ir_before(f, found.p[i]);
        TdlVal id = resolve(&q, &b, ir_op(f, found.p[i])->operands[0]);
        valmap_set(&answers, ir_result(f, found.p[i], 0), id);
        ir_remove(f, found.p[i]);
    }
    ir_replace_all(f, answers.p, answers.n);
    arena_free(&q.scratch);
}

bool pass_gradfn(TdlModule *m, const TdlPassOptions *opt)
{
    (void)opt;
    for (uint32_t i = 0; i < m->funcs.n; i++)
        answer_queries(m->funcs.p[i]);
    return true;
}
