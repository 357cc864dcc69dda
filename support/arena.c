#include "support/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_ALIGN = 16, ARENA_CHUNK_MIN = 16 * 1024, ARENA_CHUNK_MAX = 1024 * 1024 };

struct TdlArenaChunk {
    TdlArenaChunk *next; /* older chunk */
    size_t cap, used;    /* payload bytes */
};

/* The payload starts at the first multiple of ARENA_ALIGN after the header. */
static const size_t chunk_header = (sizeof(TdlArenaChunk) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;

void arena_init(TdlArena *a) { *a = (TdlArena){0}; }

void arena_init_like(TdlArena *a, const TdlArena *like) {
    *a = (TdlArena){.stress = like->stress, .on_full = like->on_full, .user = like->user};
}

void arena_free(TdlArena *a) {
    for (TdlArenaChunk *c = a->head; c;) {
        TdlArenaChunk *next = c->next;
        free(c);
        c = next;
    }
    a->head = NULL;
}

static void arena_full(TdlArena *a, size_t bytes) {
    if (a->on_full) a->on_full(a->user, bytes);
    abort(); /* no handler, or one that returned against its contract */
}

static TdlArenaChunk *chunk_new(TdlArena *a, size_t payload) {
    if (payload > SIZE_MAX - chunk_header) arena_full(a, payload);
    TdlArenaChunk *c = malloc(chunk_header + payload);
    if (!c) arena_full(a, payload);
    *c = (TdlArenaChunk){.next = a->head, .cap = payload};
    a->head = c;
    return c;
}

/* Chunks double up to ARENA_CHUNK_MAX, so a short-lived pass scratch stays small. A large request gets a
 * chunk of its own, linked second so that the room left in the current chunk is not lost. */
static TdlArenaChunk *chunk_for(TdlArena *a, size_t bytes) {
    TdlArenaChunk *head = a->head;
    if (head && head->cap - head->used >= bytes) return head;
    size_t next = head ? head->cap * 2 : ARENA_CHUNK_MIN;
    if (next < ARENA_CHUNK_MIN) next = ARENA_CHUNK_MIN;
    if (next > ARENA_CHUNK_MAX) next = ARENA_CHUNK_MAX;
    if (bytes <= next / 4) return chunk_new(a, next);
    TdlArenaChunk *own = chunk_new(a, bytes);
    if (head) {
        a->head = head;
        own->next = head->next;
        head->next = own;
    }
    return own;
}

void *arena_alloc(TdlArena *a, size_t bytes) {
    if (bytes > SIZE_MAX - ARENA_ALIGN) arena_full(a, bytes);
    size_t need = (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    /* Under stress the payload is exactly `bytes` long and the block is its own, so an overrun hits ASan's redzone. */
    TdlArenaChunk *c = a->stress ? chunk_new(a, bytes) : chunk_for(a, need ? need : ARENA_ALIGN);
    void *p = (char *)c + chunk_header + c->used;
    c->used += a->stress ? bytes : (need ? need : (size_t)ARENA_ALIGN);
    memset(p, 0, bytes);
    return p;
}

char *arena_strndup(TdlArena *a, const char *s, size_t n) {
    if (n == SIZE_MAX) arena_full(a, n);
    char *p = arena_alloc(a, n + 1);
    if (n) memcpy(p, s, n);
    return p;
}

char *arena_strdup(TdlArena *a, const char *s) { return arena_strndup(a, s, strlen(s)); }

char *arena_printf(TdlArena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = arena_alloc(a, (n < 0 ? 0 : (size_t)n) + 1);
    if (n > 0) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

void *arena_memdup(TdlArena *a, const void *p, size_t bytes) {
    if (!bytes) return NULL;
    return memcpy(arena_alloc(a, bytes), p, bytes);
}
