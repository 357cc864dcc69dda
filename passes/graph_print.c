/* Backward graphs as text, JSON and Graphviz dot (--emit=graph, tdlc graph). */
#include "passes/graph_print.h"

#include "support/json.h"

/* "file.tdl:12", or "" where the node comes from nowhere. */
static const char *place(const TdlModule *m, TdlSpan span, TdlArena *a)
{
    if (!span.file)
        return "";
    uint32_t line, col;
    sources_line_col(m->sources, span.file, span.at, &line, &col);
    return arena_printf(a, "%s:%u", sources_name(m->sources, span.file), line);
}

static void edge_text(const TdlGraphEdge *e, TdlStr *out)
{
    if (e->node < 0)
        str_puts(out, "none");
    else if (e->input)
        str_printf(out, "%d.%u", e->node, e->input);
    else
        str_printf(out, "%d", e->node);
}

/*  gmm
 *    results: 0
 *    0 AddBackward0 f64 gmm.tdl:14 -> 1, 7
 *    1 IfBackward0 f64 (then 2, else 5)                          */
static void graph_text(const TdlModule *m, const TdlGraph *g, TdlArena *a, TdlStr *out)
{
    str_printf(out, "%s\n  results:", sym_text(m->names, g->func));
    for (uint32_t i = 0; i < g->roots.n; i++) {
        str_puts(out, i ? ", " : " ");
        edge_text(&(TdlGraphEdge){g->roots.p[i], 0}, out);
    }
    str_putc(out, '\n');
    for (uint32_t i = 0; i < g->nodes.n; i++) {
        const TdlGraphNode *n = &g->nodes.p[i];
        str_printf(out, "  %u %s ", i, sym_text(m->names, n->name));
        if (n->variable.id)
            str_printf(out, "%s: ", sym_text(m->names, n->variable));
        ty_print(m, n->type, out);
        const char *at = place(m, n->span, a);
        str_printf(out, "%s%s", *at ? " " : "", at);
        static const char *const choice[][2] = {[GRAPH_IF] = {"then ", "else "}, [GRAPH_LOOP] = {"last ", "initial "}};
        for (uint32_t j = 0; j < n->edges.n; j++) {
            str_puts(out, j ? ", " : " -> ");
            if (n->kind == GRAPH_IF || n->kind == GRAPH_LOOP)
                str_puts(out, choice[n->kind][j]);
            edge_text(&n->edges.p[j], out);
        }
        str_putc(out, '\n');
    }
}

void graph_print_text(const TdlModule *m, TdlStr *out)
{
    for (uint32_t i = 0; m->graphs && i < m->graphs->graphs.n; i++)
        graph_text(m, &m->graphs->graphs.p[i], out->arena, out);
}

static cJSON *node_json(const TdlModule *m, const TdlGraphNode *n, TdlArena *a)
{
    cJSON *node = cJSON_CreateObject();
    cJSON_AddStringToObject(node, "kind", graph_kind_text(n->kind));
    json_add_string(node, "name", a, sym_text(m->names, n->name));
    if (n->variable.id)
        json_add_string(node, "variable", a, sym_text(m->names, n->variable));
    TdlStr type = str_new(a);
    ty_print(m, n->type, &type);
    json_add_string(node, "type", a, type.p);
    json_add_string(node, "at", a, place(m, n->span, a));
    cJSON *next = cJSON_AddArrayToObject(node, "next");
    for (uint32_t j = 0; j < n->edges.n; j++) {
        cJSON *edge = cJSON_CreateArray();
        cJSON_AddItemToArray(edge, json_int(n->edges.p[j].node));
        cJSON_AddItemToArray(edge, json_int(n->edges.p[j].input));
        cJSON_AddItemToArray(next, edge);
    }
    return node;
}

void graph_print_json(const TdlModule *m, TdlStr *out)
{
    cJSON *all = cJSON_CreateArray();
    for (uint32_t i = 0; m->graphs && i < m->graphs->graphs.n; i++) {
        const TdlGraph *g = &m->graphs->graphs.p[i];
        cJSON *graph = cJSON_CreateObject();
        json_add_string(graph, "function", out->arena, sym_text(m->names, g->func));
        cJSON *results = cJSON_AddArrayToObject(graph, "results"), *nodes = cJSON_AddArrayToObject(graph, "nodes");
        for (uint32_t k = 0; k < g->roots.n; k++)
            cJSON_AddItemToArray(results, json_int(g->roots.p[k]));
        for (uint32_t k = 0; k < g->nodes.n; k++)
            cJSON_AddItemToArray(nodes, node_json(m, &g->nodes.p[k], out->arena));
        cJSON_AddItemToArray(all, graph);
    }
    json_write(all, false, out);
    str_putc(out, '\n');
}

static void graph_dot(const TdlModule *m, const TdlGraph *g, uint32_t number, TdlArena *a, TdlStr *out)
{
    str_printf(out, "  subgraph cluster_%u {\n    label=", number);
    str_json(out, sym_text(m->names, g->func));
    str_puts(out, ";\n");
    for (uint32_t i = 0; i < g->nodes.n; i++) {
        const TdlGraphNode *n = &g->nodes.p[i];
        TdlStr label = str_new(a);
        str_puts(&label, sym_text(m->names, n->name));
        str_putc(&label, '\n');
        if (n->variable.id)
            str_printf(&label, "%s: ", sym_text(m->names, n->variable));
        ty_print(m, n->type, &label);
        str_printf(out, "    n%u_%u [label=", number, i);
        str_json(out, label.p);
        static const char *const shape[] = {[GRAPH_OP] = "box", [GRAPH_LEAF] = "ellipse", [GRAPH_IF] = "diamond",
                                            [GRAPH_LOOP] = "diamond"};
        str_printf(out, ", shape=%s, tooltip=", shape[n->kind]);
        str_json(out, place(m, n->span, a));
        str_puts(out, "];\n");
        for (uint32_t j = 0; j < n->edges.n; j++)
            if (n->edges.p[j].node >= 0)
                str_printf(out, "    n%u_%u -> n%u_%d;\n", number, i, number, n->edges.p[j].node);
    }
    str_puts(out, "  }\n");
}

void graph_print_dot(const TdlModule *m, TdlStr *out)
{
    str_puts(out, "digraph backward {\n  node [fontname=\"Helvetica\", fontsize=10];\n");
    for (uint32_t i = 0; m->graphs && i < m->graphs->graphs.n; i++)
        graph_dot(m, &m->graphs->graphs.p[i], i, out->arena, out);
    str_puts(out, "}\n");
}
