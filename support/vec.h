/* Growable arrays whose memory belongs to an arena. Growth doubles; the old storage stays in the arena.
 *
 *     typedef TDL_VEC(int) IntVec;
 *     IntVec v = {0};
 *     VEC_PUSH(arena, v, 3);
 *     for (uint32_t i = 0; i < v.n; i++) use(v.p[i]);
 */
#ifndef TDL_SUPPORT_VEC_H
#define TDL_SUPPORT_VEC_H

#include "support/arena.h"
#include <stdint.h>

#define TDL_VEC(T) struct { T *p; uint32_t n, cap; }

/* Returns storage for `need` elements of `size` bytes holding the first `n` of `p`; updates *cap. */
void *vec_grow(TdlArena *a, void *p, uint32_t n, uint32_t *cap, uint32_t need, size_t size);

#define VEC_RESERVE(arena, v, need) \
    ((need) > (v).cap ? (void)((v).p = vec_grow((arena), (v).p, (v).n, &(v).cap, (need), sizeof *(v).p)) : (void)0)
#define VEC_PUSH(arena, v, x) (VEC_RESERVE((arena), (v), (v).n + 1), (v).p[(v).n++] = (x))
#define VEC_POP(v) ((v).p[--(v).n])
#define VEC_LAST(v) ((v).p[(v).n - 1])
#define VEC_CLEAR(v) ((v).n = 0)

#endif
