/* From a nest an operation to few nests: what a person would write by hand.
 *
 * What: what ranges decide (fuse_ranges.c), branches on one condition into one (fuse_branch.c), additions at shifted indices
 * into reads (fuse_gather.c), producers into consumers (fuse_pull.c), sums of products with what is invariant into products of
 * sums (fuse_linear.c), loops side by side into one (fuse_merge.c),
 * accumulators that are added to at the loop's own index into results (fuse_own.c), what one nest of an iteration computed
 * out of the next (fuse_share.c), additions of a map's result into the map (fuse_add.c), invariant operations out of bodies
 * and constant factors out of sums (fuse_hoist.c), what all rows share out of nests (fuse_rows.c); `simplify` between them
 * removes what is no longer used and merges what became equal. Each file says when it acts and what it never does.
 * Values: sums may be added in another order (not with strict_fp); everything else is computed as before.
 * Cost: rounds until nothing changes, ROUNDS at most; each is near-linear in the size of the function, but for values with
 * many uses, which a rewrite goes over again for each use that is gone. */
#include "passes/fuse.h"

enum { ROUNDS = 6, PREPARING = 3 /* of them */ };

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

/* Runs the steps on each function. The module is simplified behind each that changed something, or (not `apart`) at the end. */
static bool run_steps(TdlModule *m, const TdlPassOptions *opt, const FuseStep *steps, uint32_t n, bool apart, bool *changed) {
    bool any = false;
    for (uint32_t s = 0; s < n; s++) {
        for (uint32_t i = 0; i < m->funcs.n; i++)
            if (run_step(m, m->funcs.p[i], opt, steps[s])) any = true;
        if (!any || (!apart && s + 1 < n)) continue;
        if (!pass_simplify(m, opt)) return false;
        *changed = true;
        any = false;
    }
    return true;
}

bool pass_fuse(TdlModule *m, const TdlPassOptions *opt) {
    static const FuseStep prepare[] = {fuse_ranges, fuse_branch, fuse_gather};
    static const FuseStep steps[] = {fuse_hoist, fuse_rows, fuse_pull, fuse_linear, fuse_own, fuse_merge, fuse_share, fuse_add};
    if (!pass_simplify(m, opt)) return false;
    for (int round = 0; round < ROUNDS; round++) {
        bool changed = false;
        if (round < PREPARING && !run_steps(m, opt, prepare, sizeof prepare / sizeof *prepare, false, &changed)) return false;
        if (!run_steps(m, opt, steps, sizeof steps / sizeof *steps, true, &changed)) return false;
        if (!changed) break;
    }
    return diags_errors(m->diags) == 0;
}
