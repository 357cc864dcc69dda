/* graph: builds the backward graph of every exported function and script.
 *
 * It reads typed IR while library calls are still calls: a call that carries a grad_fn is one node, any other call
 * is transparent and walked into. Operations without a name (a broadcast, a cast that promotion put in) pass on the
 * sources of their operands. One walk over each function instance; cost is linear in the size of the graph, which
 * is limited to GRAPH_MAX_NODES.
 *
 *     %2 = mul %0, %1 : f64 @MulBackward0        MulBackward0
 *     %3 = add %2, %0 : f64 @AddBackward0   =>     edges of AddBackward0: MulBackward0, AccumulateGrad(%0)
 */
#include "ir/graph.h"
#include "passes/pass.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { GRAPH_MAX_NODES = 1000000, GRAPH_MAX_DEPTH = 200 };

typedef TDL_VEC(TdlGraphEdge) Edges;

/* One instance of a function while it is walked: the sources of each of its values. */
typedef struct Frame {
    TdlFunc *f;
    Edges *sources;            /* by value id */
    TdlSym *dims;              /* its dimension parameters, and what they are in the function whose graph is built */
    TdlDim *dim_of;
    uint32_t ndims;
    struct Frame *caller;
    uint32_t depth;
} Frame;

typedef struct {
    TdlModule *m;
    TdlArena scratch;
    TdlGraph g;
    bool full;                 /* GRAPH_MAX_NODES was reached */
} Build;

static void walk_region(Build *b, Frame *fr, TdlRegion r);

static int32_t node_new(Build *b, TdlGraphKind kind, TdlSym name, TdlSpan span, TdlType type)
{
    if (b->g.nodes.n >= GRAPH_MAX_NODES) {
        b->full = true;
        return -1;
    }
    TdlGraphNode n = {.kind = kind, .name = name, .span = span, .type = type};
    VEC_PUSH(b->m->arena, b->g.nodes, n);
    return (int32_t)b->g.nodes.n - 1;
}

static void node_edge(Build *b, int32_t node, TdlGraphEdge e)
{
    if (node >= 0)
        VEC_PUSH(b->m->arena, b->g.nodes.p[node].edges, e);
}

/* The type of v, in the dimensions of the function whose graph is built. */
static TdlType type_of(const Frame *fr, TdlVal v)
{
    return ty_subst(fr->f->module, ir_type(fr->f, v), fr->dims, fr->dim_of, fr->ndims);
}

static void edges_add(Build *b, Edges *to, TdlGraphEdge e)
{
    for (uint32_t i = 0; i < to->n; i++)
        if (to->p[i].node == e.node && to->p[i].input == e.input)
            return;
    VEC_PUSH(&b->scratch, *to, e);
}

static void edges_add_all(Build *b, Edges *to, const Edges *from)
{
    for (uint32_t i = 0; i < from->n; i++)
        edges_add(b, to, from->p[i]);
}

static bool has_gradient(const Frame *fr, TdlVal v)
{
    TdlTypeKind k = ty_kind(fr->f->module, ir_type(fr->f, v));
    return k != TY_STACK && ty_is_float(fr->f->module, ir_type(fr->f, v));
}

static void set_node(Build *b, Frame *fr, TdlVal v, int32_t node, uint32_t input)
{
    if (node >= 0 && has_gradient(fr, v))
        edges_add(b, &fr->sources[v.id], (TdlGraphEdge){node, input});
}

/* "Mul" + "Backward0" for an operation that the user has no PyTorch name for. */
static TdlSym default_name(Build *b, const char *mnemonic)
{
    char buf[96];
    snprintf(buf, sizeof buf, "%sBackward0", mnemonic);
    buf[0] = (char)toupper((unsigned char)buf[0]);
    return intern(b->m->names, buf);
}

/* What an operation reads: its operands, and what its regions use from outside. */
static void op_inputs(Build *b, Frame *fr, TdlOp o, TdlVals *in)
{
    TdlOpData *d = ir_op(fr->f, o);
    for (uint16_t i = 0; i < d->noperands; i++)
        VEC_PUSH(&b->scratch, *in, d->operands[i]);
    for (uint16_t i = 0; i < d->nregions; i++)
        ir_free_vals(fr->f, d->regions[i], &b->scratch, in);
}

/* A node of its own for operation o, unless nothing it reads has a gradient. */
static void named_op(Build *b, Frame *fr, TdlOp o, TdlSym name)
{
    TdlVals in = {0};
    op_inputs(b, fr, o, &in);
    bool any = false;
    for (uint32_t i = 0; i < in.n; i++)
        any |= fr->sources[in.p[i].id].n > 0;
    if (!any)
        return;
    TdlOpData *d = ir_op(fr->f, o);
    int32_t node = node_new(b, GRAPH_OP, name, d->span, type_of(fr, d->results[0]));
    for (uint32_t i = 0; i < in.n; i++) {
        const Edges *src = &fr->sources[in.p[i].id];
        if (src->n == 0 && has_gradient(fr, in.p[i]))
            node_edge(b, node, (TdlGraphEdge){-1, 0});
        for (uint32_t j = 0; j < src->n; j++)
            node_edge(b, node, src->p[j]);
    }
    for (uint16_t i = 0; i < d->nresults; i++)
        set_node(b, fr, d->results[i], node, i);
}

static void transparent_op(Build *b, Frame *fr, TdlOp o)
{
    TdlVals in = {0};
    op_inputs(b, fr, o, &in);
    TdlOpData *d = ir_op(fr->f, o);
    for (uint16_t r = 0; r < d->nresults; r++)
        if (has_gradient(fr, d->results[r]))
            for (uint32_t i = 0; i < in.n; i++)
                edges_add_all(b, &fr->sources[d->results[r].id], &fr->sources[in.p[i].id]);
}

/* The one node that stands for v: its source, or a node made for it when it has several. -1: none. */
static TdlGraphEdge single(Build *b, Frame *fr, TdlVal v)
{
    Edges *src = &fr->sources[v.id];
    if (src->n == 0)
        return (TdlGraphEdge){-1, 0};
    if (src->n == 1)
        return src->p[0];
    TdlOp def = ir_val(fr->f, v)->def;
    const char *what = def.id ? op_info(ir_op(fr->f, def)->code)->name : "tuple";
    TdlSpan span = def.id ? ir_op(fr->f, def)->span : SPAN_NONE;
    int32_t node = node_new(b, GRAPH_OP, default_name(b, what), span, type_of(fr, v));
    for (uint32_t i = 0; i < src->n; i++)
        node_edge(b, node, src->p[i]);
    src->n = 0;
    edges_add(b, src, (TdlGraphEdge){node, 0});
    return src->p[0];
}

static void if_op(Build *b, Frame *fr, TdlOp o)
{
    TdlOpData d = *ir_op(fr->f, o);
    walk_region(b, fr, d.regions[0]);
    walk_region(b, fr, d.regions[1]);
    TdlOpData *yes = ir_op(fr->f, ir_terminator(fr->f, d.regions[0]));
    TdlOpData *no = ir_op(fr->f, ir_terminator(fr->f, d.regions[1]));
    for (uint16_t i = 0; i < d.nresults; i++) {
        if (!has_gradient(fr, d.results[i]))
            continue;
        TdlGraphEdge e[2] = {single(b, fr, yes->operands[i]), single(b, fr, no->operands[i])};
        if (e[0].node < 0 && e[1].node < 0)
            continue;
        if (e[0].node == e[1].node && e[0].input == e[1].input) {
            set_node(b, fr, d.results[i], e[0].node, e[0].input);
            continue;
        }
        int32_t node = node_new(b, GRAPH_IF, intern(b->m->names, "IfBackward0"), d.span, type_of(fr, d.results[i]));
        node_edge(b, node, e[0]);
        node_edge(b, node, e[1]);
        set_node(b, fr, d.results[i], node, 0);
    }
}

/* `for` and `while`: carried value i is initial operand `first + i`, argument `arg0 + i` of the body, operand
 * `yield0 + i` of its yield and result `result0 + i`. */
static void loop_op(Build *b, Frame *fr, TdlOp o)
{
    TdlOpData d = *ir_op(fr->f, o);
    bool is_for = d.code == OP_FOR;
    uint32_t exit = is_for && op_int(fr->f, o, "exit", 0) ? 1 : 0;
    uint32_t first = is_for ? 2 : 0, arg0 = is_for ? 1 : 0;
    uint32_t n = (uint32_t)d.nresults - exit;
    TdlRegion body = d.regions[is_for ? 0 : 1];
    TdlSym name = intern(b->m->names, is_for ? "ForBackward0" : "WhileBackward0");
    int32_t *nodes = ARENA_ARRAY(&b->scratch, int32_t, n);
    for (uint32_t i = 0; i < n; i++) {
        TdlVal arg = ir_region(fr->f, body)->args.p[arg0 + i];
        nodes[i] = has_gradient(fr, arg) ? node_new(b, GRAPH_LOOP, name, d.span, type_of(fr, arg)) : -1;
        set_node(b, fr, arg, nodes[i], 0);
    }
    walk_region(b, fr, body);
    TdlOpData *yield = ir_op(fr->f, ir_terminator(fr->f, body));
    for (uint32_t i = 0; i < n; i++) {
        if (nodes[i] < 0)
            continue;
        node_edge(b, nodes[i], single(b, fr, yield->operands[exit + i]));
        node_edge(b, nodes[i], single(b, fr, d.operands[first + i]));
        set_node(b, fr, d.results[exit + i], nodes[i], 0);
    }
}

static bool on_stack(const Frame *fr, const TdlFunc *f)
{
    for (; fr; fr = fr->caller)
        if (fr->f == f)
            return true;
    return false;
}

static Frame *frame_new(Build *b, TdlFunc *f, Frame *caller)
{
    Frame *fr = ARENA_NEW(&b->scratch, Frame);
    *fr = (Frame){.f = f, .sources = ARENA_ARRAY(&b->scratch, Edges, f->vals.n), .caller = caller,
                  .depth = caller ? caller->depth + 1 : 0};
    return fr;
}

static void bind_dims(Build *b, Frame *callee, const Frame *caller, const TdlAttr *dims)
{
    callee->ndims = dims ? dims->n : 0;
    callee->dims = callee->f->dims.p;
    callee->dim_of = ARENA_ARRAY(&b->scratch, TdlDim, callee->ndims);
    for (uint32_t i = 0; i < callee->ndims; i++)
        callee->dim_of[i] = dim_subst(b->m, dims->dims[i], caller->dims, caller->dim_of, caller->ndims);
}

/* A call of a user function, or the values of a vjp or jvp: the callee's own nodes, with the arguments' as its parameters'. */
static void call_op(Build *b, Frame *fr, TdlOp o)
{
    TdlOpData d = *ir_op(fr->f, o);
    const char *callee = op_str(fr->f, o, "callee");
    TdlFunc *f = callee ? ir_func_find(b->m, intern(b->m->names, callee[0] == '@' ? callee + 1 : callee)) : NULL;
    if (!f || f->symbol || on_stack(fr, f) || fr->depth >= GRAPH_MAX_DEPTH || b->full) {
        named_op(b, fr, o, default_name(b, callee ? callee + (callee[0] == '@') : "call"));
        return;
    }
    Frame *in = frame_new(b, f, fr);
    bind_dims(b, in, fr, op_attr(fr->f, o, "dims"));
    TdlVals *params = &ir_region(f, f->body)->args;
    for (uint32_t i = 0; i < params->n && i < d.noperands; i++)
        in->sources[params->p[i].id] = fr->sources[d.operands[i].id];
    walk_region(b, in, f->body);
    TdlOpData *ret = ir_op(f, ir_terminator(f, f->body));
    for (uint16_t i = 0; i < ret->noperands && i < d.nresults; i++)
        fr->sources[d.results[i].id] = in->sources[ret->operands[i].id];
    if (d.code == OP_CALL)
        return;
    /* the results beyond the callee's: one node for the sweep */
    int32_t node = -1;
    for (uint16_t i = 0; i < d.noperands; i++)
        if (fr->sources[d.operands[i].id].n) {
            if (node < 0)
                node = node_new(b, GRAPH_OP, intern(b->m->names, d.code == OP_VJP ? "VjpBackward0" : "JvpBackward0"), d.span,
                                type_of(fr, d.results[d.nresults - 1]));
            for (uint32_t j = 0; j < fr->sources[d.operands[i].id].n; j++)
                node_edge(b, node, fr->sources[d.operands[i].id].p[j]);
        }
    for (uint16_t i = ret->noperands; i < d.nresults; i++)
        set_node(b, fr, d.results[i], node, i);
}

static void leaf_op(Build *b, Frame *fr, TdlOp o)
{
    TdlOpData d = *ir_op(fr->f, o);
    int32_t node = node_new(b, GRAPH_LEAF, intern(b->m->names, "AccumulateGrad"), d.span, type_of(fr, d.results[0]));
    if (node >= 0)
        b->g.nodes.p[node].variable = op_str(fr->f, o, "name") ? intern(b->m->names, op_str(fr->f, o, "name")) : SYM_NONE;
    set_node(b, fr, d.results[0], node, 0);
}

/* What create_graph lists has a node of its own; other gradients are constants. */
static void gradient_op(Build *b, Frame *fr, TdlOp o)
{
    TdlOpData d = *ir_op(fr->f, o);
    if (!op_attr(fr->f, o, "create_graph"))
        return;
    named_op(b, fr, o, d.grad_fn.id ? d.grad_fn : default_name(b, "copy"));
    for (uint16_t i = 0; i < d.nresults; i++)
        if (!op_has_int(fr->f, o, "create_graph", i))
            fr->sources[d.results[i].id].n = 0;
}

/* Transparent: what it gives is what its body makes. */
static void checkpoint_op(Build *b, Frame *fr, TdlOp o)
{
    TdlRegion body = ir_op(fr->f, o)->regions[0];
    walk_region(b, fr, body);
    TdlOpData *yield = ir_op(fr->f, ir_terminator(fr->f, body)), *d = ir_op(fr->f, o);
    for (uint16_t i = 0; i < d->nresults; i++)
        fr->sources[d->results[i].id] = fr->sources[yield->operands[i].id];
}

static void walk_op(Build *b, Frame *fr, TdlOp o)
{
    TdlOpData *d = ir_op(fr->f, o);
    if (d->code == OP_BACKWARD && fr->f->script) {
        int32_t root = single(b, fr, d->operands[0]).node;
        VEC_PUSH(b->m->arena, b->g.roots, root);
    }
    if (d->code == OP_BACKWARD) {
        gradient_op(b, fr, o);
        return;
    }
    if (d->nresults == 0 || d->code == OP_DETACH || d->code == OP_GRADFN)
        return;
    if (d->code == OP_LEAF)
        leaf_op(b, fr, o);
    else if (d->grad_fn.id)
        named_op(b, fr, o, d->grad_fn);
    else if (d->code == OP_CALL || d->code == OP_VJP || d->code == OP_JVP)
        call_op(b, fr, o);
    else if (d->code == OP_IF)
        if_op(b, fr, o);
    else if (d->code == OP_FOR || d->code == OP_WHILE)
        loop_op(b, fr, o);
    else if (d->code == OP_CHECKPOINT)
        checkpoint_op(b, fr, o);
    else if (d->code == OP_MAP)
        named_op(b, fr, o, intern(b->m->names, "MapBackward0"));
    else
        transparent_op(b, fr, o);
}

static void walk_region(Build *b, Frame *fr, TdlRegion r)
{
    IR_FOREACH_OP(fr->f, r, o)
        walk_op(b, fr, o);
}

/* ---- keeping what the results reach, numbered in depth-first order from them ---- */

static void compact(Build *b)
{
    TdlGraph *g = &b->g;
    int32_t *number = ARENA_ARRAY(&b->scratch, int32_t, g->nodes.n + 1);
    TDL_VEC(int32_t) todo = {0}, order = {0};
    for (uint32_t i = g->roots.n; i-- > 0;)
        if (g->roots.p[i] >= 0)
            VEC_PUSH(&b->scratch, todo, g->roots.p[i]);
    while (todo.n) {
        int32_t n = VEC_POP(todo);
        if (number[n])
            continue;
        VEC_PUSH(&b->scratch, order, n);
        number[n] = (int32_t)order.n;
        for (uint32_t i = g->nodes.p[n].edges.n; i-- > 0;)
            if (g->nodes.p[n].edges.p[i].node >= 0)
                VEC_PUSH(&b->scratch, todo, g->nodes.p[n].edges.p[i].node);
    }
    TdlGraph kept = {.func = g->func};
    for (uint32_t i = 0; i < order.n; i++) {
        TdlGraphNode n = g->nodes.p[order.p[i]];
        for (uint32_t j = 0; j < n.edges.n; j++)
            if (n.edges.p[j].node >= 0)
                n.edges.p[j].node = number[n.edges.p[j].node] - 1;
        VEC_PUSH(b->m->arena, kept.nodes, n);
    }
    for (uint32_t i = 0; i < g->roots.n; i++) {
        int32_t r = g->roots.p[i];
        VEC_PUSH(b->m->arena, kept.roots, r < 0 ? -1 : number[r] - 1);
    }
    *g = kept;
}

static bool build_func(TdlModule *m, TdlFunc *f)
{
    Build b = {.m = m, .g = {.func = f->name}};
    arena_init_like(&b.scratch, m->arena);
    Frame *fr = frame_new(&b, f, NULL);
    TdlVals *params = &ir_region(f, f->body)->args;
    for (uint32_t i = 0; i < params->n && !f->script; i++) {
        if (!has_gradient(fr, params->p[i]))
            continue;
        int32_t node = node_new(&b, GRAPH_LEAF, intern(m->names, "AccumulateGrad"), f->span, ir_type(f, params->p[i]));
        if (node >= 0)
            b.g.nodes.p[node].variable = f->params.p[i].name;
        set_node(&b, fr, params->p[i], node, 0);
    }
    walk_region(&b, fr, f->body);
    TdlOp ret = ir_terminator(f, f->body);
    for (uint16_t i = 0; i < ir_op(f, ret)->noperands; i++) {
        int32_t root = single(&b, fr, ir_op(f, ret)->operands[i]).node;
        VEC_PUSH(m->arena, b.g.roots, root);
    }
    compact(&b);
    if (b.full)
        diag_error(m->diags, f->span, "backward graph of %s: more than %d nodes: call fewer functions, or split it",
                   sym_text(m->names, f->name), (int)GRAPH_MAX_NODES);
    else
        VEC_PUSH(m->arena, m->graphs->graphs, b.g);
    arena_free(&b.scratch);
    return !b.full;
}

bool pass_graph(TdlModule *m, const TdlPassOptions *opt)
{
    (void)opt;
    if (!m->graphs)
        m->graphs = ARENA_NEW(m->arena, struct TdlGraphs);
    m->graphs->graphs.n = 0;
    bool ok = true;
    for (uint32_t i = 0; i < m->funcs.n; i++)
        if (m->funcs.p[i]->exported || m->funcs.p[i]->script)
            ok &= build_func(m, m->funcs.p[i]);
    return ok;
}
