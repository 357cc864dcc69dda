/* Between lower_index.c and lower_gather.c: what stands in the brackets. */
#ifndef TDL_FRONTEND_LOWER_INDEX_H
#define TDL_FRONTEND_LOWER_INDEX_H

#include "frontend/lower_int.h"

typedef enum { IT_INT, IT_SLICE, IT_NEW, IT_TENSOR } LowItemKind;

typedef struct {
    LowItemKind kind;
    TdlVal i;        /* INT: the index; SLICE: its start, unless it is full */
    TdlDim size;     /* SLICE */
    int64_t step;
    bool full;       /* the whole axis */
    LowValue t;      /* TENSOR: of i64 */
    TdlSpan at;
} LowItem;

typedef struct { LowItem p[2 * LOW_MAX_RANK + 4]; uint32_t n, ints, slices, news, tensors; } LowItems;

/* x at items that have several index tensors, or index tensors and integers. */
LowValue low_gather(Low *L, LowValue x, const LowItems *it, TdlSpan at);
/* x with v (op v) at items with index tensors, one position after the other. */
LowValue low_put(Low *L, LowValue x, const LowItems *it, LowValue v, bool has_op, AstOp op, TdlSpan at);
/* x with v (op v) at items without index tensors. */
LowValue low_set_items(Low *L, LowValue x, const LowItems *it, LowValue v, bool has_op, AstOp op, TdlSpan at);
/* v, of the element type and shape of the place it is assigned to. */
LowValue low_fit(Low *L, LowValue v, TdlElem e, const TdlDim *dims, uint32_t n, TdlSpan at);

#endif
