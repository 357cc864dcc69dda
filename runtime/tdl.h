/* What every object of tdlc shares: status codes, the last error, backward graphs. Generated headers carry this text. */
#ifndef TDL_RUNTIME_TDL_H
#define TDL_RUNTIME_TDL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tdl_status {
    TDL_OK = 0,
    TDL_BAD_ARGUMENT = 1,   /* a pointer that must not be NULL is */
    TDL_BAD_DIMENSION = 2,  /* negative, too large, or not the value the object was compiled for */
    TDL_CHECK_FAILED = 3,   /* an assert, an index or a size in the program */
    TDL_WORKSPACE_FULL = 4, /* the given workspace is too small */
    TDL_NO_MEMORY = 5,      /* malloc failed (only where the workspace is NULL) */
    TDL_NOT_FINITE = 6      /* -fcheck=nan: a step of a reverse sweep made a NaN or an infinity */
};

/* The message of the last call of this thread that failed, with file and line of the .tdl; "" when there was none. */
const char *tdl_last_error(void);

/* The backward graph of a function: nodes with PyTorch's names, edges to the nodes that take their gradients. */
enum tdl_graph_kind {
    TDL_GRAPH_OP = 0,
    TDL_GRAPH_LEAF = 1,     /* AccumulateGrad of `variable` */
    TDL_GRAPH_IF = 2,       /* edges: what the first branch made, what the second made */
    TDL_GRAPH_LOOP = 3      /* edges: what the last iteration made, the initial value; may lead back here */
};
struct tdl_graph_node {
    const char *name;       /* "MulBackward0" */
    const char *variable;   /* of a leaf; else "" */
    const char *shape;      /* of the value it is the backward of: "f64[n, k]" */
    int32_t line;           /* in the .tdl file; 0: none */
    int32_t kind;           /* enum tdl_graph_kind */
    int32_t nnext;
    const int32_t *next;    /* nnext pairs: node (-1: none), input number */
};
struct tdl_graph {
    const char *function, *file;
    int32_t nnodes, nroots;
    const struct tdl_graph_node *nodes;
    const int32_t *roots;   /* node of each result, -1: not differentiable */
};

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
