/* Open addressing with linear probing, at most half full. */
#include "support/idmap.h"

static uint32_t slot_of(const TdlIdMap *m, uint32_t key) {
    uint32_t i = (key * 2654435769u) & (m->cap - 1);
    while (m->slots[i][0] && m->slots[i][0] != key) i = (i + 1) & (m->cap - 1);
    return i;
}

uint32_t idmap_get(const TdlIdMap *m, uint32_t key) { return m->n ? m->slots[slot_of(m, key)][1] : 0; }

static void grow(TdlArena *a, TdlIdMap *m) {
    TdlIdMap bigger = {.n = m->n, .cap = m->cap ? 2 * m->cap : 8};
    bigger.slots = arena_alloc(a, (size_t)bigger.cap * sizeof *bigger.slots);
    for (uint32_t i = 0; i < m->cap; i++) {
        if (!m->slots[i][0]) continue;
        uint32_t at = slot_of(&bigger, m->slots[i][0]);
        bigger.slots[at][0] = m->slots[i][0];
        bigger.slots[at][1] = m->slots[i][1];
    }
    *m = bigger;
}

uint32_t *idmap_at(TdlArena *a, TdlIdMap *m, uint32_t key) {
    if (2 * m->n >= m->cap) grow(a, m);
    uint32_t i = slot_of(m, key);
    if (!m->slots[i][0]) {
        m->slots[i][0] = key;
        m->n++;
    }
    return &m->slots[i][1];
}
