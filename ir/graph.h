/* Backward graphs: what PyTorch's autograd would have recorded, as far as it is known at compile time.
 *
 * One graph a function that is exported or a script. A node is the backward of something the user wrote, by
 * PyTorch's name (AddBackward0), a leaf (AccumulateGrad), or a choice that a run makes: which branch of an `if`
 * made the value, or whether a loop ran. Edges go from a node to the nodes of its operands, in operand order, as
 * `next_functions` does. User functions are transparent; a library call is one node. */
#ifndef TDL_IR_GRAPH_H
#define TDL_IR_GRAPH_H

#include "ir/ir.h"

typedef enum {
    GRAPH_OP,     /* the backward of an operation */
    GRAPH_LEAF,   /* AccumulateGrad: .variable names the parameter or leaf */
    GRAPH_IF,     /* edges: the node of the value from the first branch, from the second; -1: none */
    GRAPH_LOOP    /* edges: the node of the value from the last iteration, of the initial value; may lead back here */
} TdlGraphKind;

typedef struct {
    int32_t node;    /* index in the graph; -1: an operand without gradient */
    uint32_t input;  /* which result of that node: always 0 but for operations with several results */
} TdlGraphEdge;

typedef struct {
    TdlGraphKind kind;
    TdlSym name;       /* AddBackward0, AccumulateGrad, IfBackward0, ForBackward0, WhileBackward0 */
    TdlSym variable;   /* LEAF: the name of the parameter or leaf; 0: unnamed */
    TdlSpan span;
    TdlType type;      /* of the value */
    TDL_VEC(TdlGraphEdge) edges;
} TdlGraphNode;

typedef struct {
    TdlSym func;
    TDL_VEC(TdlGraphNode) nodes;
    TDL_VEC(int32_t) roots;      /* node of each result of the function (a script: of each value
                                    whose backward() is called); -1: no gradient */
} TdlGraph;

struct TdlGraphs {
    TDL_VEC(TdlGraph) graphs;
    TDL_VEC(TdlSym) names;       /* what the numbers that `grad_fn` operations became stand for */
};

/* The graph of a function; NULL: none. Lookup is linear in the number of graphs. */
const TdlGraph *graph_find(const TdlModule *m, TdlSym func);
/* Number of a grad_fn name in m->graphs->names, added when new. */
uint32_t graph_name_id(TdlModule *m, TdlSym name);

/* The name of a kind in text: op, leaf, if, loop. */
const char *graph_kind_text(TdlGraphKind k);

/* The part of a module's text form that holds its graphs and names (graph_text.c), printed after the functions.
 * `spans`: places too; `files`: numbers of the sources in the text, or NULL. */
void graph_print_ir(const TdlModule *m, bool spans, const uint32_t *files, TdlStr *out);

#endif
