/* What the passes over loops of loop IR ask and do. */
#ifndef TDL_PASSES_LOOPS_H
#define TDL_PASSES_LOOPS_H

#include "ir/ir.h"

/* Most iterations, known, of a loop that vector code around it unrolls (vector_change.c): private memory of more elements does
 * not become registers, and what such loops hand to each other does. */
enum { LOOP_UNROLLED = 32 };

/* The load of store(load + x), which only adds to the element; 0: the store does something else. `uses`: the use counts of
 * the function's values. */
TdlOp sum_added_to(const TdlFunc *f, const uint32_t *uses, TdlOp store);

/* The memory that buf is or views; an allocation that stands for a destination is that destination. */
TdlVal memory_of(const TdlFunc *f, TdlVal buf);
/* The port of a parameter; NULL: the buffer is none. */
const TdlPort *port_of(const TdlFunc *f, TdlVal buf);

/* The loop inside a perfect nest, where loop o holds nothing but it and constants; 0: it does not. Both go up by one over
 * bounds from outside and carry nothing. */
TdlOp nest_child(const TdlFunc *f, TdlOp o);
/* Exchanges the two: bounds and indices change places. */
void nest_interchange(TdlFunc *f, TdlOp outer, TdlOp inner);

/* Whether pass `vector`, for registers of so many bytes, would run the iterations of o in lanes (vector.c). */
bool vec_would_take(TdlFunc *f, TdlArena *a, uint32_t vector_bytes, TdlOp o);

/* Removes `mark` and `release` of regions that take nothing from the growing part. */
void drop_marks(TdlFunc *f, TdlRegion r);

#endif
