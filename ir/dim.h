/* Dimension polynomials: the representation shared by dim.c (normal form) and dim_print.c (queries, text). */
#ifndef TDL_IR_DIM_H
#define TDL_IR_DIM_H

#include "ir/ir.h"

typedef struct { int64_t coef; uint32_t n; const uint32_t *atoms; } DimTerm; /* atoms: ids, sorted, with repetition */
typedef struct { const DimTerm *terms; uint32_t n, hash; } DimData;
typedef struct { TdlDimAtomKind kind; TdlSym var; TdlDim arg; int64_t c; uint32_t hash; } DimAtomData;

struct TdlDimTable {
    TDL_VEC(DimData) dims;      /* [0] unused */
    TDL_VEC(DimAtomData) atoms; /* [0] unused */
    uint32_t *dim_slots, *atom_slots; /* open addressing; ids, 0 is free; powers of two, at most half full */
    uint32_t ndim_slots, natom_slots;
    bool quiet, overflowed; /* quiet: what does not fit sets `overflowed` and is not reported */
    TdlSpan at; /* dim_at */
};

static inline const DimData *dim_data(const TdlModule *m, TdlDim d) { return &m->dimtab->dims.p[d.id]; }
static inline const DimAtomData *dim_atom_data(const TdlModule *m, uint32_t id) { return &m->dimtab->atoms.p[id]; }

/* Makes the module's table; called once by ir_module_new. */
void dim_table_new(TdlModule *m);
/* Order of the normal form, by text and never by the order of creation: negative, 0, positive. */
int dim_cmp_atoms(const TdlModule *m, uint32_t a, uint32_t b);

#endif
