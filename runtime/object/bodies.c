/* Growing memory and integer helpers of generated objects. bodies.h says how they get there. */
#include "runtime/object/bodies.h"
#include "runtime/tdl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- arguments ---- */

static int overlap(const TdlrtMemory *a, const TdlrtMemory *b) {
    uintptr_t p = (uintptr_t)a->p, q = (uintptr_t)b->p;
    return p && q && a->bytes > 0 && b->bytes > 0 && (p < q ? q - p < (uint64_t)a->bytes : p - q < (uint64_t)b->bytes);
}

/* Destinations (behind the inputs) overlap nothing; but where over[destination*n + input] is set, the two may be the
 * same memory. TDL_BAD_ARGUMENT otherwise. */
int tdlrt_separate(const char *function, const TdlrtMemory *args, int64_t n, int64_t ninputs, const uint8_t *over) {
    for (int64_t i = ninputs; i < n; i++)
        for (int64_t k = 0; k < i; k++) {
            if (!overlap(&args[i], &args[k]) || (over[i * n + k] && args[i].p == args[k].p)) continue;
            char text[512];
            snprintf(text, sizeof text, "%s: %s overlaps %s: give it memory of its own", function, args[i].name, args[k].name);
            return tdlrt_fail(TDL_BAD_ARGUMENT, text);
        }
    return TDL_OK;
}

/* ---- temporaries ---- */

static const char full[] = "workspace: full: give more bytes than the function's workspace size, or NULL";

#define ALIGN_UP(n) (((n) + 63) & ~(int64_t)63)
#define MOST (INT64_MAX / 2) /* more than there is, and sums of a few such do not overflow */

static void *take_chunk(TdlrtCtx *c, int64_t bytes) {
    int64_t size = bytes < 65536 ? 65536 : bytes;
    TdlrtChunk *k = malloc((size_t)size + sizeof(TdlrtChunk) + 64);
    if (!k) {
        tdlrt_fail(TDL_NO_MEMORY, "out of memory");
        return NULL;
    }
    k->prev = c->chunks;
    k->start = c->top;
    k->bytes = size;
    c->chunks = k;
    return k;
}

/* `bytes` of the growing part, aligned to 64; NULL with the error set when there are none. */
void *tdlrt_take(TdlrtCtx *c, int64_t bytes) {
    int64_t need = ALIGN_UP(bytes < 1 ? 1 : bytes > MOST ? MOST : bytes);
    if (!c->grow) {
        if (need > c->hi - c->lo - c->top) {
            tdlrt_fail(TDL_WORKSPACE_FULL, full);
            return NULL;
        }
        char *at = c->lo + c->top;
        c->top += need;
        return at;
    }
    TdlrtChunk *k = c->chunks;
    if (!k || need > k->start + k->bytes - c->top) {
        if (!take_chunk(c, need)) return NULL;
        k = c->chunks;
    }
    uintptr_t base = ((uintptr_t)(k + 1) + 63) & ~(uintptr_t)63;
    char *at = (char *)base + (c->top - k->start);
    c->top += need;
    return at;
}

/* The status that goes with a NULL of tdlrt_take, tdlrt_stack and tdlrt_push. */
int tdlrt_full(const TdlrtCtx *c) { return c->grow ? TDL_NO_MEMORY : TDL_WORKSPACE_FULL; }

int64_t tdlrt_mark(TdlrtCtx *c) { return c->top; }

void tdlrt_release(TdlrtCtx *c, int64_t mark) {
    while (c->chunks && c->chunks->start > mark) {
        TdlrtChunk *k = c->chunks;
        c->chunks = k->prev;
        free(k);
    }
    c->top = mark;
}

/* ---- stacks ---- */

/* A block of rows: `capacity` of them follow the header. */
static TdlrtBlock *new_block(TdlrtCtx *c, TdlrtStack *s) {
    int64_t rows = s->block ? 2 * s->block->capacity : 16;
    TdlrtBlock *k = tdlrt_take(c, 64 + rows * s->row_bytes);
    if (!k && rows > 1 && !c->grow) {   /* near the end of a workspace every row counts */
        rows = 1;
        k = tdlrt_take(c, 64 + rows * s->row_bytes);
    }
    if (!k) return NULL;
    k->prev = s->block;
    k->next = NULL;
    k->capacity = rows;
    if (s->block) s->block->next = k;
    return k;
}

/* An empty stack of rows of `row_bytes` (a multiple of 16). NULL: no memory. */
TdlrtStack *tdlrt_stack(TdlrtCtx *c, int64_t row_bytes) {
    TdlrtStack *s = tdlrt_take(c, (int64_t)sizeof *s);
    if (!s) return NULL;
    s->block = NULL;
    s->used = 0;
    s->row_bytes = row_bytes;
    return s;
}

/* Address of a new top row; NULL: no memory. Blocks that pops left empty are used again. */
void *tdlrt_push(TdlrtCtx *c, TdlrtStack *s) {
    if (!s->block || s->used == s->block->capacity) {
        TdlrtBlock *k = s->block && s->block->next ? s->block->next : new_block(c, s);
        if (!k) return NULL;
        s->block = k;
        s->used = 0;
    }
    return (char *)s->block + 64 + s->row_bytes * s->used++;
}

/* Address of the top row, which is taken off: readable until the next push to this stack. NULL: the stack is empty. */
void *tdlrt_pop(TdlrtStack *s) {
    if (!s->block) return NULL;
    if (s->used == 0) {
        if (!s->block->prev) return NULL;
        s->block = s->block->prev;
        s->used = s->block->capacity;
    }
    return (char *)s->block + 64 + s->row_bytes * --s->used;
}

/* ---- the state between the halves of a split function ---- */

/* The next `bytes` of it, rounded up to a multiple of 8; NULL: there are not so many. */
void *tdlrt_saved(TdlrtCtx *c, int64_t bytes) {
    char *at = c->saved;
    if (bytes < 0 || bytes > INT64_MAX - 7) return NULL;
    bytes = (bytes + 7) & ~(int64_t)7;
    if (bytes > c->saved_end - at) return NULL;
    c->saved = at + bytes;
    return at;
}

/* Keeps the rows of a stack as a block of it, which `tdlrt_restore_stack` takes as it stands. 0: no memory. */
int tdlrt_save_stack(TdlrtCtx *c, TdlrtStack *s) {
    int64_t rows = s->used;
    for (const TdlrtBlock *k = s->block ? s->block->prev : NULL; k; k = k->prev) rows += k->capacity;
    if (s->row_bytes && rows > (INT64_MAX - 64) / s->row_bytes) return 0;
    char *to = tdlrt_saved(c, 64 + rows * s->row_bytes);
    if (!to) return 0;
    TdlrtBlock *header = (TdlrtBlock *)(void *)to;
    header->prev = header->next = NULL;
    header->capacity = rows;
    to += 64 + rows * s->row_bytes;
    int64_t used = s->used;
    for (const TdlrtBlock *k = s->block; k; k = k->prev) {
        to -= used * s->row_bytes;
        memcpy(to, (const char *)k + 64, (size_t)(used * s->row_bytes));
        if (k->prev) used = k->prev->capacity;
    }
    return 1;
}

/* A stack whose rows are in the saved state: to be popped alone. NULL: no memory, or the state is damaged. */
TdlrtStack *tdlrt_restore_stack(TdlrtCtx *c, int64_t row_bytes) {
    const TdlrtBlock *header = tdlrt_saved(c, 64);
    if (!header || header->capacity < 0 || (row_bytes && header->capacity > (INT64_MAX - 64) / row_bytes)) return NULL;
    if (!tdlrt_saved(c, header->capacity * row_bytes)) return NULL;
    TdlrtStack *s = tdlrt_stack(c, row_bytes);
    if (!s) return NULL;
    s->block = (TdlrtBlock *)(void *)(uintptr_t)header;
    s->used = header->capacity;
    return s;
}

/* ---- what is kept until the call ends ---- */

/* `bytes`, aligned to 16; NULL when there are none, without a message. */
void *tdlrt_keep(TdlrtCtx *c, int64_t bytes) {
    if (!c->grow) {
        char *at = (char *)((uintptr_t)c->hi & ~(uintptr_t)15);
        if (c->hi < c->lo || bytes > at - c->lo - c->top) return NULL;
        return c->hi = at - ((bytes + 15) & ~(int64_t)15);
    }
    TdlrtChunk *k = malloc((size_t)bytes + 64);
    if (!k) return NULL;
    k->prev = c->kept;
    c->kept = k;
    return (char *)k + 64;
}

int tdlrt_keep_failed(const TdlrtCtx *c) {
    return c->grow ? tdlrt_fail(TDL_NO_MEMORY, "out of memory") : tdlrt_fail(TDL_WORKSPACE_FULL, full);
}

static void free_chunks(TdlrtChunk *k) {
    while (k) {
        TdlrtChunk *prev = k->prev;
        free(k);
        k = prev;
    }
}

/* Frees what the call took by malloc. */
void tdlrt_finish(TdlrtCtx *c) {
    free_chunks(c->chunks);
    free_chunks(c->kept);
}

/* ---- integers ---- */

/* x**n for n >= 0, modulo 2**64. */
int64_t tdlrt_ipow(int64_t x, int64_t n) {
    uint64_t r = 1, b = (uint64_t)x;
    for (; n > 0; n >>= 1) {
        if (n & 1) r *= b;
        b *= b;
    }
    return (int64_t)r;
}

/* First word of Philox4x32-10 (Salmon et al., SC 2011) with the seed as key and the counter in its two low words. */
int64_t tdlrt_philox(int64_t seed, int64_t counter) {
    uint32_t k0 = (uint32_t)(uint64_t)seed, k1 = (uint32_t)((uint64_t)seed >> 32);
    uint32_t c0 = (uint32_t)(uint64_t)counter, c1 = (uint32_t)((uint64_t)counter >> 32), c2 = 0, c3 = 0;
    for (int i = 0; i < 10; i++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (int64_t)c0;
}
