/* Inside of pass `contractions`: sums of products, taken apart. */
#ifndef TDL_PASSES_CONTRACTIONS_H
#define TDL_PASSES_CONTRACTIONS_H

#include "passes/pass.h"

enum { MAX_AXES = 16, MAX_FACTORS = 8, LEAST = 8 /* shorter extents are not worth a contraction */ };

/* A tensor and, for each axis, the number of the loop that it is indexed by; of one with windows (contractions_window.c)
 * step[i]*loop[i] + dilation[i]*tap[i], tap[i] < 0: the first term alone. */
typedef struct {
    TdlVal tensor;
    uint32_t n;
    int loop[MAX_AXES];
    bool windows;
    int tap[MAX_AXES];
    int64_t step[MAX_AXES], dilation[MAX_AXES];
} Factor;

/* One side of the product: a tensor, and what scales it, in order: tensors with some of its axes, or scalars. */
typedef struct { TdlVal scalar; Factor by; } Scale;
typedef struct { bool found; Factor of; uint32_t n; Scale scale[MAX_FACTORS]; } Side;

typedef struct {
    TdlModule *m;
    TdlFunc *f;
    bool newdims;               /* the function has some */
    TdlOp outer;                /* in front of what it stands */
    /* Loops: those of the result first, from outside in, then those of the sum. */
    uint32_t nout, nloops;
    TdlVal arg[MAX_AXES];       /* their indices */
    TdlDim size[MAX_AXES];
    bool whole;                 /* a product of whole tensors, whose axis i is loop number[i] */
    int number[MAX_AXES];
    Side side[2];
    uint32_t nconstants;        /* that scale the sum */
    TdlVal constant[MAX_FACTORS];
} Product;

/* ---- contractions_window.c ---- */
/* The axes of tensor t at idx, some of them at sums of two loops. */
bool window_of(const Product *p, TdlVal t, const TdlVal *idx, uint32_t n, Factor *x);
/* The product of two factors, one of them with windows, summed, with the result's loops as axes; 0: it is not worth it. */
TdlVal window_contract(const Product *p, const Side *x, const Side *y);

#endif
