/* The cut is the least of all, with the fewest nodes beside the sink: random graphs of 9 nodes against every cut of them. */
#include "support/mincut.h"

#include <stdio.h>

enum { NODES = 9, EDGES = 20, GRAPHS = 2000 };

typedef struct { uint32_t from, to; int64_t capacity; } Edge;

static int64_t across(const Edge *edges, const bool *sinks) {
    int64_t sum = 0;
    for (int i = 0; i < EDGES; i++)
        if (!sinks[edges[i].from] && sinks[edges[i].to]) sum += edges[i].capacity;
    return sum;
}

/* The least of all cuts, and how few nodes one of that capacity has beside the sink. */
static int64_t least(const Edge *edges, int *fewest) {
    int64_t best = INT64_MAX;
    for (uint32_t set = 0; set < 1u << (NODES - 2); set++) {
        bool sinks[NODES] = {false, true};
        int n = 1;
        for (int i = 2; i < NODES; i++) n += sinks[i] = set >> (i - 2) & 1;
        int64_t c = across(edges, sinks);
        if (c < best || (c == best && n < *fewest)) best = c, *fewest = n;
    }
    return best;
}

static uint32_t below(uint32_t *seed, uint32_t n) {
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 16) % n;
}

int main(void) {
    uint32_t seed = 1, infinite = 0;
    for (int graph = 0; graph < GRAPHS; graph++) {
        TdlArena arena;
        Edge edges[EDGES];
        arena_init(&arena);
        Cut c = cut_new(&arena);
        for (int i = 2; i < NODES; i++) cut_node(&c);
        for (int i = 0; i < EDGES; i++) {
            edges[i] = (Edge){below(&seed, NODES), below(&seed, NODES), below(&seed, 12)};
            if (edges[i].from > 1 && edges[i].to > 1 && below(&seed, 4) == 0) edges[i].capacity = CUT_NEVER / 64, infinite++;
            cut_edge(&c, edges[i].from, edges[i].to, edges[i].capacity);
        }
        int n = 0, fewest = 0;
        const bool *sinks = cut_least(&c);
        for (int i = 0; i < NODES; i++) n += sinks[i];
        if (sinks[0] || !sinks[1] || across(edges, sinks) != least(edges, &fewest) || n != fewest) {
            printf("graph %d: %lld, %d nodes; the least is %lld, %d nodes\n", graph, (long long)across(edges, sinks), n, (long long)least(edges, &fewest), fewest);
            return 1;
        }
        arena_free(&arena);
    }
    printf("%d graphs, %s edges that are never cut\n", GRAPHS, infinite > 1000 ? "thousands of" : "too few");
    return 0;
}
