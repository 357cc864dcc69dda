#include "passes/fuse.h"
bool fuse_acc(FuseCtx *c) { return c->changed; }
