/* Minimum cuts of directed graphs with capacities (Dinic's algorithm, 1970). Node 0 is the source, node 1 the sink. */
#ifndef TDL_SUPPORT_MINCUT_H
#define TDL_SUPPORT_MINCUT_H

#include "support/vec.h"
#include <stdbool.h>

#define CUT_NEVER ((int64_t)1 << 62) /* the capacity of an edge that is never cut; others add up to less */

typedef struct { uint32_t to, next; int64_t left; } CutEdge; /* edge e ^ 1 runs the other way; next of the same node, 0: none */

typedef struct {
    TdlArena *arena;
    TDL_VEC(CutEdge) edges;
    TDL_VEC(uint32_t) first; /* by node */
} Cut;

/* A graph of the source and the sink. */
Cut cut_new(TdlArena *arena);
uint32_t cut_node(Cut *c);
void cut_edge(Cut *c, uint32_t from, uint32_t to, int64_t capacity);
/* By node, whether it is on the side of the sink: of the cuts of least capacity, the one with the fewest nodes there.
 * The edges that lead to it from the other side are cut. To be called once. */
bool *cut_least(Cut *c);

#endif
