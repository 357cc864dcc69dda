#include "passes/fuse.h"
bool fuse_loops(FuseCtx *c) { return c->changed; }
