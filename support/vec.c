#include "support/vec.h"

#include <stdlib.h>
#include <string.h>

void *vec_grow(TdlArena *a, void *p, uint32_t n, uint32_t *cap, uint32_t need, size_t size) {
    if (need <= *cap) return p;
    uint64_t want = *cap ? 2 * (uint64_t)*cap : 8;
    if (want < need) want = need;
    if (want > UINT32_MAX) want = UINT32_MAX;
    /* An overflowing byte count is passed on as SIZE_MAX, which the arena reports as full. */
    size_t bytes = want > SIZE_MAX / size ? SIZE_MAX : (size_t)want * size;
    void *q = arena_alloc(a, bytes);
    if (n) memcpy(q, p, (size_t)n * size);
    *cap = (uint32_t)want;
    return q;
}
