#include "support/half.h"

#include <string.h>

static uint32_t bits_of(float v)
{
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

uint16_t f16_from_float(float v)
{
    uint32_t b = bits_of(v), sign = b >> 16 & 0x8000, a = b & 0x7fffffff;
    if (a >= 0x47800000) return (uint16_t)(sign | (a > 0x7f800000 ? 0x7e00 : 0x7c00)); /* 2**16 and above */
    if (a < 0x38800000) { /* below 2**-14: the unit of 0.5f is 2**-24, that of the subnormals */
        float magnitude;
        memcpy(&magnitude, &a, sizeof magnitude);
        return (uint16_t)(sign | (bits_of(magnitude + 0.5f) - bits_of(0.5f)));
    }
    a += 0xfff + (a >> 13 & 1) - ((127u - 15u) << 23);
    return (uint16_t)(sign | a >> 13);
}

uint16_t bf16_from_float(float v)
{
    uint32_t b = bits_of(v);
    if ((b & 0x7fffffff) > 0x7f800000) return (uint16_t)(b >> 16 | 0x40);
    return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}
