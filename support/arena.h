/* Arena allocation: memory freed all at once, by lifetime (module, function, pass scratch).
 *
 * Allocation never fails from the caller's view: when the system has no memory left, the arena's
 * `on_full` handler is called and must not return (tools set one that reports and longjmps or exits;
 * without one the process aborts). Set `stress` (TDL_ARENA_STRESS=1 in the environment of the tools)
 * and every allocation becomes a malloc of its own, so that AddressSanitizer sees overruns. */
#ifndef TDL_SUPPORT_ARENA_H
#define TDL_SUPPORT_ARENA_H

#include <stddef.h>
#include <stdbool.h>

typedef struct TdlArenaChunk TdlArenaChunk;

typedef struct TdlArena {
    TdlArenaChunk *head; /* newest chunk; chunks are linked, newest first */
    bool stress;
    void (*on_full)(void *user, size_t bytes);
    void *user;
} TdlArena;

/* Makes an empty arena; no memory is taken before the first allocation. */
void arena_init(TdlArena *a);
/* An empty arena that behaves as `like` does: stressed where it is, and the same handler when it is full. */
void arena_init_like(TdlArena *a, const TdlArena *like);
/* Frees everything that was allocated from `a`; `a` is then empty and usable again. */
void arena_free(TdlArena *a);
/* Returns `bytes` zeroed bytes aligned to 16, valid until arena_free. `bytes` may be 0. */
void *arena_alloc(TdlArena *a, size_t bytes);
/* Copies `n` bytes of `s` and adds a NUL. */
char *arena_strndup(TdlArena *a, const char *s, size_t n);
char *arena_strdup(TdlArena *a, const char *s);
/* printf into the arena. */
char *arena_printf(TdlArena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Copies `bytes` bytes of `p` (NULL when bytes is 0). */
void *arena_memdup(TdlArena *a, const void *p, size_t bytes);

#define ARENA_NEW(a, T) ((T *)arena_alloc((a), sizeof(T)))
#define ARENA_ARRAY(a, T, n) ((T *)arena_alloc((a), sizeof(T) * (size_t)(n)))

#endif
