/* gemm32: see gemm.h. */
#define REAL float
#define VEC F
#define WIDTH FLOATS
#define LOAD loadf
#define STORE storef
#define GEMM(part) gemm32##part
#include "gemm.h"
