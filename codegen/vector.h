/* Vector loops, shared by vector.c (values, operations, the loop) and vector_memory.c (places, access). */
#ifndef TDL_CODEGEN_VECTOR_H
#define TDL_CODEGEN_VECTOR_H

#include "codegen/cg.h"

/* x of one lane; a scalar is the same in each. */
LLVMValueRef vec_extract(CgUnit *u, LLVMValueRef x, unsigned lane);
/* `into` (NULL: none yet) of `lanes` lanes, with x in one of them. */
LLVMValueRef vec_insert(CgUnit *u, LLVMValueRef into, LLVMValueRef x, unsigned lane, unsigned lanes);
/* base + lane*stride as a vector. */
LLVMValueRef vec_expand(CgUnit *u, CgAffine a, unsigned lanes);
/* Lanes first .. first + n - 1 of x. */
LLVMValueRef vec_part(CgUnit *u, LLVMValueRef x, unsigned first, unsigned n);

/* Memory operations in vector code. */
LLVMValueRef vec_load(Cg *g, TdlOp o);
void vec_store(Cg *g, TdlOp o);
void vec_view(Cg *g, TdlOp o);
bool vec_fills(const Cg *g, TdlOp o); /* a fill that is none of the memory as a whole */
void vec_fill(Cg *g, TdlOp o);
LLVMValueRef vec_sum(CgUnit *u, LLVMValueRef x); /* over the lanes */

/* ---- groups away from the ends (vector_edge.c) ---- */

/* A comparison of the loop's index with `bound` whose outcome is `usual` but for a few groups. */
typedef struct { TdlOp op; TdlOpcode code; TdlDim bound; bool usual; } VecEdge;
typedef TDL_VEC(VecEdge) VecEdges;
VecEdges vec_edges(Cg *g, TdlOp loop); /* none where another copy of the body is not worth it */
/* All comparisons have their usual outcome for the lanes from index i on. */
LLVMValueRef vec_inside(Cg *g, const VecEdges *edges, LLVMValueRef i, unsigned lanes);
void vec_assume(Cg *g, const VecEdges *edges, bool on); /* they are constants in what is emitted from now on */

#endif
