/* A map from ids (1, 2, ...) to numbers, 0 where there is none: for tables that are small beside the range of their ids.
 *
 *     TdlIdMap m = {0};
 *     *idmap_at(arena, &m, sym.id) = 7;
 *     if (idmap_get(&m, sym.id)) ...
 */
#ifndef TDL_SUPPORT_IDMAP_H
#define TDL_SUPPORT_IDMAP_H

#include "support/arena.h"
#include <stdint.h>

typedef struct { uint32_t (*slots)[2]; uint32_t n, cap; } TdlIdMap;

uint32_t idmap_get(const TdlIdMap *m, uint32_t key);
/* The number of `key`, to be read or set until the next call; storage is the arena's. */
uint32_t *idmap_at(TdlArena *a, TdlIdMap *m, uint32_t key);

#endif
