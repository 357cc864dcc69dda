/* The x86-64 level of the processor, by its own cpuid: neither libgcc nor the C library is asked. A level counts where the
 * operating system keeps its registers. Found once; threads that find it at the same time find the same. */
#include "runtime/object/bodies.h"

#ifdef __x86_64__

typedef struct { uint32_t a, b, c, d; } Regs;

static Regs cpuid(uint32_t leaf)
{
    Regs r = {.a = leaf, .c = 0};
    __asm__ volatile("cpuid" : "+a"(r.a), "=b"(r.b), "+c"(r.c), "=d"(r.d));
    return r;
}

static int has(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

static int level(void)
{
    Regs one = cpuid(1), seven = {0}, more = {0};
    uint32_t xcr0 = 0, high;
    if (cpuid(0).a >= 7) seven = cpuid(7);
    if (cpuid(0x80000000u).a >= 0x80000001u) more = cpuid(0x80000001u);
    /* sse3 ssse3 cx16 sse4.1 sse4.2 popcnt; lahf */
    if (!has(one.c, 1u | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23) || !has(more.c, 1u)) return 1;
    /* fma movbe osxsave avx f16c; lzcnt; bmi1 avx2 bmi2; states of xmm and ymm */
    if (!has(one.c, 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29) || !has(more.c, 1u << 5)) return 2;
    if (!has(seven.b, 1u << 3 | 1u << 5 | 1u << 8)) return 2;
    __asm__ volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    if (!has(xcr0, 6u)) return 2;
    /* avx512f dq cd bw vl; states of the mask registers and of zmm */
    return has(seven.b, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31) && has(xcr0, 0xe0u) ? 4 : 3;
}

int tdlrt_x86_level(int *known)
{
    int n = __atomic_load_n(known, __ATOMIC_RELAXED);
    if (!n) __atomic_store_n(known, n = level(), __ATOMIC_RELAXED);
    return n;
}

#endif
