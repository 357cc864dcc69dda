/* Chunks of a loop in the threads of the OpenMP runtime (-fopenmp). */
#include "runtime/object/bodies.h"

#include <string.h>

/* What both libgomp and libomp have: fn(data) in each thread of a team; 0: of the default size. */
extern void GOMP_parallel(void (*fn)(void *), void *data, unsigned threads, unsigned flags);

typedef struct {
    TdlrtWork *work;
    const void *frame;
    int64_t n, next;        /* chunks; the next one that nobody has taken */
    int64_t failed;         /* the first that failed */
    int32_t lock, status;   /* of the following; its status and message */
    char message[512];
} Team;

/* The first chunk that fails decides, as if they ran one after another. Chunks in front of it were all taken. */
static void note_failure(Team *t, int64_t chunk, int status) {
    while (__atomic_exchange_n(&t->lock, 1, __ATOMIC_ACQUIRE)) {}
    if (chunk < t->failed) {
        __atomic_store_n(&t->failed, chunk, __ATOMIC_RELAXED);
        t->status = status;
        strncpy(t->message, tdl_last_error(), sizeof t->message - 1);
    }
    __atomic_store_n(&t->lock, 0, __ATOMIC_RELEASE);
}

static void take_chunks(void *data) {
    Team *t = data;
    for (;;) {
        int64_t chunk = __atomic_fetch_add(&t->next, 1, __ATOMIC_RELAXED);
        if (chunk >= t->n || chunk > __atomic_load_n(&t->failed, __ATOMIC_RELAXED)) return;
        int status = t->work(t->frame, chunk);
        if (status) note_failure(t, chunk, status);
    }
}

/* work(frame, chunk) for chunks 0 .. n - 1; the status of the first that fails. Which thread takes which chunk is open. */
int tdlrt_threads(TdlrtWork *work, const void *frame, int64_t n) {
    if (n <= 0) return 0;
    if (n == 1) return work(frame, 0);
    Team t = {.work = work, .frame = frame, .n = n, .failed = INT64_MAX};
    GOMP_parallel(take_chunks, &t, 0, 0);
    return t.status ? tdlrt_fail(t.status, t.message) : 0;
}
