/* 16-bit floats as their bits: IEEE binary16 (f16) and bfloat16, the upper half of a binary32. */
#ifndef TDL_SUPPORT_HALF_H
#define TDL_SUPPORT_HALF_H

#include <stdint.h>

/* Nearest, ties to even; beyond the largest: infinity; NaN stays a NaN. */
uint16_t f16_from_float(float v);
uint16_t bf16_from_float(float v);

#endif
