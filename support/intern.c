#include "support/intern.h"

#include "support/vec.h"
#include <string.h>

typedef struct { const char *text; uint32_t n, hash; } Entry;

struct TdlInterner {
    TdlArena *arena;
    TDL_VEC(Entry) entries; /* by symbol id; entry 0 is "" for "no symbol" */
    uint32_t *slots;        /* open addressing, linear probing; symbol ids, 0 is free */
    uint32_t nslots;        /* a power of two, at most half full */
};

/* FNV-1a: names are short, and the order of ids must not depend on the machine. */
static uint32_t hash_bytes(const char *s, size_t n) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h;
}

TdlInterner *intern_new(TdlArena *a) {
    TdlInterner *in = ARENA_NEW(a, TdlInterner);
    in->arena = a;
    in->nslots = 256;
    in->slots = ARENA_ARRAY(a, uint32_t, in->nslots);
    VEC_PUSH(a, in->entries, ((Entry){.text = ""}));
    return in;
}

static void rehash(TdlInterner *in) {
    in->nslots *= 2;
    in->slots = ARENA_ARRAY(in->arena, uint32_t, in->nslots);
    for (uint32_t id = 1; id < in->entries.n; id++) {
        uint32_t i = in->entries.p[id].hash & (in->nslots - 1);
        while (in->slots[i]) i = (i + 1) & (in->nslots - 1);
        in->slots[i] = id;
    }
}

TdlSym intern_n(TdlInterner *in, const char *s, size_t n) {
    uint32_t h = hash_bytes(s, n), i = h & (in->nslots - 1);
    for (; in->slots[i]; i = (i + 1) & (in->nslots - 1)) {
        const Entry *e = &in->entries.p[in->slots[i]];
        if (e->hash == h && e->n == n && memcmp(e->text, s, n) == 0) return (TdlSym){in->slots[i]};
    }
    uint32_t id = in->entries.n;
    VEC_PUSH(in->arena, in->entries, ((Entry){arena_strndup(in->arena, s, n), (uint32_t)n, h}));
    in->slots[i] = id;
    if (2 * in->entries.n > in->nslots) rehash(in);
    return (TdlSym){id};
}

TdlSym intern(TdlInterner *in, const char *s) { return intern_n(in, s, strlen(s)); }

const char *sym_text(const TdlInterner *in, TdlSym s) { return in->entries.p[s.id].text; }
