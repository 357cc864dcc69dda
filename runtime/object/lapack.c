/* Factorisations and solves of batches of matrices, on LAPACK and BLAS. They are the C functions of
 * frontend/std/lapack.tdl: dimensions, inputs, outputs (scratch among them), workspace. An object that calls one is linked
 * with LAPACK and BLAS (32-bit integers).
 *
 * Matrices are row-major: LAPACK sees each transposed, and the formulas are chosen so that nothing is moved. `info` is 0,
 * or the number of the first matrix (from 1) that has no factorisation. */
#include "runtime/object/bodies.h"

#include <string.h>

enum { LARGEST = 0x7fffffff };

/* LAPACK's integers, and leading dimensions of at least 1. */
static int32_t small(int64_t n) { return n > LARGEST ? LARGEST : (int32_t)n; }
static int32_t leading(int64_t n) { return n < 1 ? 1 : small(n); }

#define REAL double
#define NAME(x) x##_f64
#define FORTRAN(x) d##x##_
#include "runtime/object/lapack_typed.h"
#undef REAL
#undef NAME
#undef FORTRAN

#define REAL float
#define NAME(x) x##_f32
#define FORTRAN(x) s##x##_
#include "runtime/object/lapack_typed.h"
