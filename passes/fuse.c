/* From a nest an operation to few nests: what a person would write by hand.
 *
 * What: producers into consumers (fuse_pull.c), loops side by side into one (fuse_merge.c), accumulators that are added to
 * at the loop's own index into results (fuse_own.c), what one nest of an iteration computed out of the next (fuse_share.c),
 * invariant operations out of bodies and constant factors out of sums (fuse_hoist.c); `simplify` between them removes what
 * is no longer used and merges what became equal. Each file says when it acts and what it never does.
 * Values: sums may be added in another order (not with strict_fp); everything else is computed as before.
 * Cost: rounds until nothing changes, ROUNDS at most; each is near-linear in the size of the function, but for values with
 * many uses, which a rewrite goes over again for each use that is gone. */
#include "passes/fuse.h"

enum { ROUNDS = 6 };

typedef bool (*FuseStep)(FuseCtx *c);

static bool run_step(TdlModule *m, TdlFunc *f, const TdlPassOptions *opt, FuseStep step) {
    TdlArena scratch;
    arena_init_like(&scratch, m->arena);
    FuseCtx c = {.f = f, .m = m, .opt = opt, .scratch = &scratch};
    fuse_begin(&c);
    bool changed = step(&c);
    arena_free(&scratch);
    return changed;
}

bool pass_fuse(TdlModule *m, const TdlPassOptions *opt) {
    static const FuseStep steps[] = {fuse_hoist, fuse_pull, fuse_own, fuse_merge, fuse_share};
    if (!pass_simplify(m, opt)) return false;
    for (int round = 0; round < ROUNDS; round++) {
        bool changed = false;
        for (uint32_t s = 0; s < sizeof steps / sizeof *steps; s++) {
            bool any = false;
            for (uint32_t i = 0; i < m->funcs.n; i++)
                if (run_step(m, m->funcs.p[i], opt, steps[s])) any = true;
            if (any && !pass_simplify(m, opt)) return false;
            changed |= any;
        }
        if (!changed) break;
    }
    return diags_errors(m->diags) == 0;
}
