/* Sets against arrays of flags: random unions, in memory of malloc and in a workspace that is just large enough.
 * tests/pattern/sets.test says what must come out. */
#include "runtime/object/bodies.h"
#include "runtime/tdl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS = 300, SETS = 400 };

static const int64_t spread = (INT64_C(1) << 33) / 97; /* members lie far apart, beyond 2**32 too */
static int64_t member(int i, int wide) { return wide ? i * spread : i; }

static uint32_t state;
static int random_below(int n) { return (int)((state = state * 1664525u + 1013904223u) >> 8) % n; }

/* Unions of random earlier sets and single members; returns a status, and in *sum something of all of them. */
static int run(TdlrtCtx *c, int wide, uint64_t *sum) {
    static char has[SETS][MEMBERS];
    static int64_t set[SETS];
    *sum = 0;
    memset(has, 0, sizeof has);
    for (int k = 0; k < SETS; k++) {
        int64_t of[8];
        int n = random_below(8);
        for (int i = 0; i < n; i++) {
            int from = k > 0 && random_below(3) ? random_below(k) : -1, one = random_below(MEMBERS);
            of[i] = from < 0 ? -1 - member(one, wide) : set[from];
            if (from < 0) has[k][one] = 1;
            else for (int j = 0; j < MEMBERS; j++) has[k][j] |= has[from][j];
        }
        int status = tdlrt_set_union(c, of, n, &set[k]);
        if (status) return status;
        int64_t size = 0;
        for (int j = 0; j < MEMBERS; j++)
            if (has[k][j] && tdlrt_set_at(set[k], size++) != member(j, wide)) return -1;
        if (size != tdlrt_set_size(set[k]) || tdlrt_set_at(set[k], size) != -1 || tdlrt_set_at(set[k], -1) != -1) return -2;
        for (int i = 0; i < k; i++)
            if ((set[i] == set[k]) != !memcmp(has[i], has[k], MEMBERS)) return -3;
        *sum = *sum * 31 + (uint64_t)size;
    }
    return TDL_OK;
}

int main(void) {
    for (int wide = 0; wide < 2; wide++) {
        uint64_t first, again;
        TdlrtCtx grow = {.grow = 1};
        state = 7;
        int status = run(&grow, wide, &first);
        tdlrt_finish(&grow);
        printf("malloc %d: %d\n", wide, status);
        size_t low = 0, high = (size_t)4 << 20; /* fewest bytes that do */
        while (low + 1 < high) {
            size_t n = (low + high) / 2;
            char *memory = malloc(n);
            TdlrtCtx c = {.lo = memory, .hi = memory + n};
            state = 7;
            status = run(&c, wide, &again);
            if (status == TDL_OK && again == first) high = n;
            else if (status == TDL_WORKSPACE_FULL) low = n;
            else return printf("%zu bytes: %d\n", n, status);
            tdlrt_finish(&c);
            free(memory);
        }
        printf("workspace %d: %s\n", wide, high < (size_t)4 << 20 ? "enough, one byte less is full" : "never enough");
    }
    return 0;
}
