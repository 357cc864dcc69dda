/* Backward graphs for reading: what --emit=graph and `tdlc graph` write. */
#ifndef TDL_PASSES_GRAPH_PRINT_H
#define TDL_PASSES_GRAPH_PRINT_H

#include "ir/graph.h"

/* Every graph of the module as an indented listing, as JSON, as Graphviz dot. */
void graph_print_text(const TdlModule *m, TdlStr *out);
void graph_print_json(const TdlModule *m, TdlStr *out);
void graph_print_dot(const TdlModule *m, TdlStr *out);

#endif
