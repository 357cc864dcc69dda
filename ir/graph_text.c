/* Backward graphs in a module: lookup, and their text form.
 *
 *     graph @f -> 0, none {
 *       0 op AddBackward0 : f64[n] -> 1, none
 *       1 leaf AccumulateGrad x : f64[n]
 *     }
 *     grad_fns AddBackward0, MulBackward0
 *
 * Nodes are numbered by position; `7.1` is result 1 of node 7. */
#include "ir/graph.h"
#include "ir/parse.h"
#include "ir/source_text.h"

#include <inttypes.h>
#include <string.h>

const TdlGraph *graph_find(const TdlModule *m, TdlSym func)
{
    for (uint32_t i = 0; m->graphs && i < m->graphs->graphs.n; i++)
        if (sym_eq(m->graphs->graphs.p[i].func, func))
            return &m->graphs->graphs.p[i];
    return NULL;
}

uint32_t graph_name_id(TdlModule *m, TdlSym name)
{
    if (!m->graphs)
        m->graphs = ARENA_NEW(m->arena, struct TdlGraphs);
    for (uint32_t i = 0; i < m->graphs->names.n; i++)
        if (sym_eq(m->graphs->names.p[i], name))
            return i;
    VEC_PUSH(m->arena, m->graphs->names, name);
    return m->graphs->names.n - 1;
}

const char *graph_kind_text(TdlGraphKind k) {
    static const char *const text[] = {[GRAPH_OP] = "op", [GRAPH_LEAF] = "leaf", [GRAPH_IF] = "if", [GRAPH_LOOP] = "loop"};
    return text[k];
}

static void print_edge(TdlGraphEdge e, TdlStr *out) {
    if (e.node < 0) str_puts(out, "none");
    else if (e.input) str_printf(out, "%" PRId32 ".%" PRIu32, e.node, e.input);
    else str_printf(out, "%" PRId32, e.node);
}

static void print_node(const TdlModule *m, const TdlGraphNode *n, uint32_t number, bool spans, const uint32_t *files, TdlStr *out) {
    str_printf(out, "  %" PRIu32 " %s %s", number, graph_kind_text(n->kind), sym_text(m->names, n->name));
    if (n->variable.id) str_printf(out, " %s", sym_text(m->names, n->variable));
    str_puts(out, " : ");
    ty_print(m, n->type, out);
    for (uint32_t i = 0; i < n->edges.n; i++) {
        str_puts(out, i ? ", " : " -> ");
        print_edge(n->edges.p[i], out);
    }
    if (spans) source_print_span(n->span, files, out);
    str_putc(out, '\n');
}

void graph_print_ir(const TdlModule *m, bool spans, const uint32_t *files, TdlStr *out) {
    for (uint32_t i = 0; m->graphs && i < m->graphs->graphs.n; i++) {
        const TdlGraph *g = &m->graphs->graphs.p[i];
        str_printf(out, "\ngraph @%s ->", sym_text(m->names, g->func));
        for (uint32_t j = 0; j < g->roots.n; j++) {
            str_puts(out, j ? ", " : " ");
            print_edge((TdlGraphEdge){g->roots.p[j], 0}, out);
        }
        str_puts(out, " {\n");
        for (uint32_t j = 0; j < g->nodes.n; j++) print_node(m, &g->nodes.p[j], j, spans, files, out);
        str_puts(out, "}\n");
    }
    for (uint32_t i = 0; m->graphs && i < m->graphs->names.n; i++)
        str_printf(out, "%s%s%s", i ? ", " : "\ngrad_fns ", sym_text(m->names, m->graphs->names.p[i]),
                   i + 1 == m->graphs->names.n ? "\n" : "");
}

/* ---- reading ---- */

/* Digits alone: `2.1` is no float here. */
static bool number(Parser *p, int64_t most, int64_t *v) {
    scan_space(p);
    const char *from = p->p;
    for (*v = 0; p->p < p->end && *p->p >= '0' && *p->p <= '9' && *v <= most; p->p++) *v = *v * 10 + (*p->p - '0');
    if (p->p == from) return scan_error(p, NULL, "expected an integer");
    return *v <= most || scan_error(p, from, "a number of a node or result is out of range");
}

static bool edge(Parser *p, TdlGraphEdge *e) {
    int64_t v;
    *e = (TdlGraphEdge){-1, 0};
    if (scan_peek_word(p, "none")) {
        p->p += 4;
        return true;
    }
    if (!number(p, INT32_MAX, &v)) return false;
    e->node = (int32_t)v;
    if (p->p >= p->end || *p->p != '.') return true;
    p->p++;
    if (!number(p, UINT32_MAX, &v)) return false;
    e->input = (uint32_t)v;
    return true;
}

static bool node_kind(Parser *p, TdlGraphKind *kind) {
    const char *s;
    size_t n;
    if (!scan_word(p, &s, &n, "op, leaf, if or loop")) return false;
    for (TdlGraphKind k = GRAPH_OP; k <= GRAPH_LOOP; k++)
        if (strlen(graph_kind_text(k)) == n && !memcmp(graph_kind_text(k), s, n)) {
            *kind = k;
            return true;
        }
    return scan_error(p, s, "expected op, leaf, if or loop");
}

static bool node(Parser *p, TdlGraph *g) {
    TdlGraphNode n = {.kind = GRAPH_OP};
    int64_t number;
    if (!scan_int(p, &number)) return false;
    if (number != (int64_t)g->nodes.n) return scan_error(p, NULL, "nodes are numbered 0, 1, 2, ...: expected %" PRIu32, g->nodes.n);
    if (!node_kind(p, &n.kind) || !scan_name(p, &n.name, "the name of a node")) return false;
    if (!scan_is(p, ":") && !scan_name(p, &n.variable, "the name of a leaf")) return false;
    if (!scan_expect(p, ":") || !scan_type(p, &n.type)) return false;
    if (scan_accept(p, "->")) {
        do {
            TdlGraphEdge e;
            if (!edge(p, &e)) return false;
            VEC_PUSH(p->m->arena, n.edges, e);
        } while (scan_accept(p, ","));
    }
    if (scan_accept(p, "!") && !scan_span(p, &n.span)) return false;
    bool choice = n.kind == GRAPH_IF || n.kind == GRAPH_LOOP;
    if (choice && n.edges.n != 2) return scan_error(p, NULL, "a node of kind %s has two edges", graph_kind_text(n.kind));
    VEC_PUSH(p->m->arena, g->nodes, n);
    return true;
}

static bool in_graph(Parser *p, const TdlGraph *g, int32_t to) {
    return to < (int32_t)g->nodes.n || scan_error(p, NULL, "graph @%s has no node %" PRId32, sym_text(p->m->names, g->func), to);
}

bool graph_parse(Parser *p) {
    TdlGraph g = {0};
    p->p += strlen("graph");
    if (!scan_expect(p, "@") || !scan_name(p, &g.func, "the name of a function") || !scan_expect(p, "->")) return false;
    while (!scan_is(p, "{")) {
        TdlGraphEdge e;
        if ((g.roots.n && !scan_expect(p, ",")) || !edge(p, &e)) return false;
        VEC_PUSH(p->m->arena, g.roots, e.node);
    }
    if (!scan_expect(p, "{")) return false;
    while (!scan_is(p, "}"))
        if (!node(p, &g)) return false;
    for (uint32_t i = 0; i < g.roots.n; i++)
        if (!in_graph(p, &g, g.roots.p[i])) return false;
    for (uint32_t i = 0; i < g.nodes.n; i++)
        for (uint32_t j = 0; j < g.nodes.p[i].edges.n; j++)
            if (!in_graph(p, &g, g.nodes.p[i].edges.p[j].node)) return false;
    if (!p->m->graphs) p->m->graphs = ARENA_NEW(p->m->arena, struct TdlGraphs);
    VEC_PUSH(p->m->arena, p->m->graphs->graphs, g);
    return scan_expect(p, "}");
}

bool graph_parse_names(Parser *p) {
    p->p += strlen("grad_fns");
    do {
        TdlSym name;
        if (!scan_name(p, &name, "a grad_fn name")) return false;
        graph_name_id(p->m, name);
    } while (scan_accept(p, ","));
    return true;
}
