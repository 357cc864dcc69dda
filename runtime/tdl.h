/* What users of a generated object may include: status codes, the last error, the backward-graph table.
 * Generated headers repeat the parts they need, so this file is not necessary to call a function. */
#ifndef TDL_RUNTIME_TDL_H
#define TDL_RUNTIME_TDL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TDL_STATUS_DEFINED
#define TDL_STATUS_DEFINED
enum tdl_status {
    TDL_OK = 0,
    TDL_BAD_ARGUMENT = 1,   /* a pointer that must not be NULL is */
    TDL_BAD_DIMENSION = 2,  /* negative, too large, or not the value the object was compiled for */
    TDL_CHECK_FAILED = 3,   /* an assert, an index or a size in the program */
    TDL_WORKSPACE_FULL = 4, /* the given workspace is too small */
    TDL_NO_MEMORY = 5       /* malloc failed (only where the workspace is NULL) */
};
#endif

/* The message of the last failed call of this thread, "" when there was none. Valid until the next failure. */
const char *tdl_last_error(void);

#ifndef TDL_GRAPH_DEFINED
#define TDL_GRAPH_DEFINED
/* The backward graph of a function, read-only data in the object: nodes with PyTorch's names, edges to the nodes
 * that take their gradients. next[] holds (node, input number) pairs, node -1 where there is none. */
struct tdl_graph_node {
    const char *name;       /* "MulBackward0" */
    const char *shape;      /* of the value it is the backward of: "f64[n, k]" */
    int32_t line;           /* in the .tdl file */
    int32_t nnext;
    const int32_t *next;    /* 2*nnext: node, input number */
};
struct tdl_graph {
    const char *function, *file;
    int32_t nnodes, nroots;
    const struct tdl_graph_node *nodes;
    const int32_t *roots;   /* node of each result, -1: not differentiable */
};
#endif

/* PyTorch's grad_fn.next_functions[i][0]: NULL where there is none. */
static inline const struct tdl_graph_node *tdl_next_function(const struct tdl_graph *g, const struct tdl_graph_node *n,
                                                             int32_t i) {
    return i >= 0 && i < n->nnext && n->next[2 * i] >= 0 ? &g->nodes[n->next[2 * i]] : (const struct tdl_graph_node *)0;
}
/* grad_fn of result i. */
static inline const struct tdl_graph_node *tdl_grad_fn(const struct tdl_graph *g, int32_t i) {
    return i >= 0 && i < g->nroots && g->roots[i] >= 0 ? &g->nodes[g->roots[i]] : (const struct tdl_graph_node *)0;
}

#ifdef __cplusplus
}
#endif
#endif
