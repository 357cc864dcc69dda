/* What LLVM calls for 64 by 64 bit products on wasm32 (an overflow check, the closed form of a sum), and no library of
 * its target has to bring: the low 128 bits, by halves of words. */
#include <stdint.h>

#ifndef __wasm__
void __multi3(uint64_t *out, uint64_t a, uint64_t a_high, uint64_t b, uint64_t b_high);

void __multi3(uint64_t *out, uint64_t a, uint64_t a_high, uint64_t b, uint64_t b_high)
{
    uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
    uint64_t low = a0 * b0, mid = a1 * b0 + (low >> 32), other = a0 * b1 + (mid & 0xffffffffu);
    out[0] = (other << 32) | (low & 0xffffffffu);
    out[1] = a1 * b1 + (mid >> 32) + (other >> 32) + a_high * b + a * b_high;
}
#endif
