/* The backward graph of an exported function as read-only data of the object. */
#include "codegen/cg.h"
#include "ir/graph.h"

static LLVMTypeRef node_type(CgUnit *u) {
    return LLVMStructTypeInContext(u->ctx, (LLVMTypeRef[]){u->ptr, u->ptr, u->ptr, u->i32, u->i32, u->i32, u->ptr}, 7, 0);
}


static LLVMValueRef i32(CgUnit *u, int64_t v) { return LLVMConstInt(u->i32, (unsigned long long)v, 1); }

static LLVMValueRef constant(CgUnit *u, const char *name, LLVMValueRef init, bool shared) {
    LLVMValueRef g = LLVMAddGlobal(u->mod, LLVMTypeOf(init), name);
    LLVMSetInitializer(g, init);
    LLVMSetGlobalConstant(g, 1);
    if (!shared) LLVMSetLinkage(g, LLVMPrivateLinkage);
    return g;
}

static LLVMValueRef i32_array(CgUnit *u, const int64_t *v, uint32_t n) {
    LLVMValueRef *list = ARENA_ARRAY(u->arena, LLVMValueRef, n);
    if (!n) return LLVMConstNull(u->ptr);
    for (uint32_t i = 0; i < n; i++) list[i] = i32(u, v[i]);
    return constant(u, "tdl.graph", LLVMConstArray2(u->i32, list, n), false);
}

static LLVMValueRef edges(CgUnit *u, const TdlGraphNode *node) {
    int64_t *v = ARENA_ARRAY(u->arena, int64_t, 2 * node->edges.n);
    for (uint32_t i = 0; i < node->edges.n; i++) {
        v[2 * i] = node->edges.p[i].node;
        v[2 * i + 1] = node->edges.p[i].input;
    }
    return i32_array(u, v, 2 * node->edges.n);
}

static LLVMValueRef node_constant(CgUnit *u, const TdlGraphNode *node) {
    uint32_t line = 0, col = 0;
    TdlStr shape = str_new(u->arena);
    if (node->span.file) sources_line_col(u->ir->sources, node->span.file, node->span.at, &line, &col);
    if (node->type.id) ty_print(u->ir, node->type, &shape);
    LLVMValueRef fields[7] = {cg_string(u, sym_text(u->ir->names, node->name)),
                              cg_string(u, sym_text(u->ir->names, node->variable)), cg_string(u, shape.p ? shape.p : ""),
                              i32(u, line), i32(u, node->kind), i32(u, node->edges.n), edges(u, node)};
    return LLVMConstStructInContext(u->ctx, fields, 7, 0);
}

void cg_graph_table(CgUnit *u, const TdlFunc *f) {
    const TdlGraph *graph = graph_find(u->ir, f->name);
    if (!graph) return;
    LLVMValueRef *nodes = ARENA_ARRAY(u->arena, LLVMValueRef, graph->nodes.n);
    int64_t *roots = ARENA_ARRAY(u->arena, int64_t, graph->roots.n);
    for (uint32_t i = 0; i < graph->nodes.n; i++) nodes[i] = node_constant(u, &graph->nodes.p[i]);
    for (uint32_t i = 0; i < graph->roots.n; i++) roots[i] = graph->roots.p[i];
    const char *name = sym_text(u->ir->names, f->name), *file = f->span.file ? sources_name(u->ir->sources, f->span.file) : "";
    LLVMValueRef list = graph->nodes.n ? constant(u, "tdl.graph", LLVMConstArray2(node_type(u), nodes, graph->nodes.n), false)
                                       : LLVMConstNull(u->ptr);
    LLVMValueRef fields[6] = {cg_string(u, name), cg_string(u, file), i32(u, graph->nodes.n), i32(u, graph->roots.n), list,
                              i32_array(u, roots, graph->roots.n)};
    LLVMValueRef value = LLVMConstStructInContext(u->ctx, fields, 6, 0);
    constant(u, arena_printf(u->arena, "%s_graph", name), value, true);
}
