/* Dinic's algorithm without recursion: rounds of shortest paths from the source to the sink, each filled to the brim. */
#include "support/mincut.h"

enum { SOURCE, SINK };

Cut cut_new(TdlArena *arena) {
    Cut c = {.arena = arena};
    VEC_PUSH(arena, c.edges, ((CutEdge){0})); /* 0 is none, and edges come in pairs */
    VEC_PUSH(arena, c.edges, ((CutEdge){0}));
    cut_node(&c);
    cut_node(&c);
    return c;
}

uint32_t cut_node(Cut *c) {
    VEC_PUSH(c->arena, c->first, 0);
    return c->first.n - 1;
}

static void half(Cut *c, uint32_t from, uint32_t to, int64_t capacity) {
    VEC_PUSH(c->arena, c->edges, ((CutEdge){to, c->first.p[from], capacity}));
    c->first.p[from] = c->edges.n - 1;
}

void cut_edge(Cut *c, uint32_t from, uint32_t to, int64_t capacity) {
    half(c, from, to, capacity);
    half(c, to, from, 0);
}

typedef struct {
    uint32_t *level; /* by node: 1 + distance from the source; 0: not reached */
    uint32_t *at;    /* by node: the edge to try next */
    uint32_t *queue; /* nodes; then the edges of a path */
} Work;

static bool reach(const Cut *c, Work *w) {
    uint32_t head = 0, n = 0;
    for (uint32_t i = 0; i < c->first.n; i++) w->level[i] = 0, w->at[i] = c->first.p[i];
    w->level[SOURCE] = 1;
    for (w->queue[n++] = SOURCE; head < n; head++) {
        for (uint32_t e = c->first.p[w->queue[head]]; e; e = c->edges.p[e].next) {
            uint32_t to = c->edges.p[e].to;
            if (c->edges.p[e].left <= 0 || w->level[to]) continue;
            w->level[to] = w->level[w->queue[head]] + 1;
            w->queue[n++] = to;
        }
    }
    return w->level[SINK] != 0;
}

/* Fills the path of n edges; returns how many of them lead to its first edge that is full now. */
static uint32_t fill(Cut *c, const uint32_t *path, uint32_t n) {
    int64_t flow = CUT_NEVER;
    uint32_t full = 0;
    for (uint32_t i = 0; i < n; i++)
        if (c->edges.p[path[i]].left < flow) flow = c->edges.p[path[i]].left;
    for (uint32_t i = n; i-- > 0;) {
        c->edges.p[path[i]].left -= flow;
        c->edges.p[path[i] ^ 1].left += flow;
        if (c->edges.p[path[i]].left == 0) full = i;
    }
    return full;
}

/* Fills paths of the levels until there is none. */
static void fill_all(Cut *c, Work *w) {
    uint32_t n = 0, *path = w->queue;
    for (;;) {
        uint32_t x = n ? c->edges.p[path[n - 1]].to : SOURCE;
        if (x == SINK) {
            n = fill(c, path, n);
            continue;
        }
        uint32_t e = w->at[x];
        while (e && (c->edges.p[e].left <= 0 || w->level[c->edges.p[e].to] != w->level[x] + 1)) e = c->edges.p[e].next;
        w->at[x] = e;
        if (e) {
            path[n++] = e;
            continue;
        }
        if (!n) return;
        e = path[--n]; /* a dead end: past it */
        w->at[c->edges.p[e ^ 1].to] = c->edges.p[e].next;
    }
}

bool *cut_least(Cut *c) {
    uint32_t nodes = c->first.n, n = 0;
    Work w = {ARENA_ARRAY(c->arena, uint32_t, nodes), ARENA_ARRAY(c->arena, uint32_t, nodes), ARENA_ARRAY(c->arena, uint32_t, nodes)};
    while (reach(c, &w)) fill_all(c, &w);
    bool *sinks = ARENA_ARRAY(c->arena, bool, nodes);
    sinks[SINK] = true;
    w.queue[n++] = SINK;
    while (n) { /* what can still reach the sink */
        for (uint32_t e = c->first.p[w.queue[--n]]; e; e = c->edges.p[e].next) {
            uint32_t from = c->edges.p[e].to;
            if (c->edges.p[e ^ 1].left <= 0 || sinks[from]) continue;
            sinks[from] = true;
            w.queue[n++] = from;
        }
    }
    return sinks;
}
