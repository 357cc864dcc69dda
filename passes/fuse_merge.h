/* Inside pass `fuse`: loops side by side that become one (fuse_merge.c plans, fuse_merge_build.c rewrites). */
#ifndef TDL_PASSES_FUSE_MERGE_H
#define TDL_PASSES_FUSE_MERGE_H

#include "passes/fuse.h"

enum { MERGE_CLUSTERS = 64 /* loops that are looked at together: bits of a set */ };

/* An operation of the region, one of `pred`'s results being read by another: at its own leading `shared` indices; 0: not so. */
typedef struct { uint32_t pred, shared; } MergeEdge;

typedef struct {
    TdlOp op, loop;          /* loop: the map or reduce whose iterations may join others': op or what is in op; 0: none */
    uint32_t first, n;       /* edges to what must come before */
    uint32_t reads, nreads;  /* tensors that it reads at its own leading index */
    uint32_t size;           /* operations in it */
    uint32_t depth;          /* loops in its body, one in the other */
    bool function;           /* an elementary function outside of these */
    bool scatters;           /* adds at a place that is not its own index */
    bool open;               /* a loop in its body that is long or of unknown length */
    bool effect, fails, barrier;
    int32_t cluster;         /* of the window; -1: none */
    uint64_t before;         /* clusters that come before it */
    uint32_t cursor, waits, waiting; /* scheduling: edge looked at; first that waits for this, next that waits for the same */
    bool done;
} MergeNode;

/* Loops that become one. */
typedef struct {
    TDL_VEC(uint32_t) members;
    TDL_VEC(TdlVal) reads;
    uint32_t shared;         /* leading extents */
    uint32_t size, depth;
    bool function, scatters;
    uint64_t before;
} MergeCluster;

/* Who reads a value, or adds to it: the last one; from there on the ones before. Valid for `region`. */
typedef struct { TdlRegion region; uint32_t last; } MergeTouch;
typedef struct { uint32_t node, next; } MergeReader;

typedef struct {
    FuseCtx *c;
    TdlRegion region;
    TDL_VEC(MergeNode) nodes;
    TDL_VEC(MergeEdge) edges;
    TDL_VEC(TdlVal) reads;
    uint32_t *node_of;       /* by operation of the region: its place among the nodes */
    uint32_t *uses;          /* by value defined in the region */
    TdlVal *row;             /* by value: what stands for it in an iteration of the loop that is being built */
    MergeTouch *touch;       /* by value */
    TDL_VEC(MergeReader) readers;
    uint32_t nops, nvals;    /* lengths */
    MergeCluster cluster[MERGE_CLUSTERS];
    uint32_t nclusters;
} Merge;

/* Builds the loop of a cluster in front of `at`, from its members, which go. */
void merge_build(Merge *g, const MergeCluster *k, TdlOp at);

#endif
