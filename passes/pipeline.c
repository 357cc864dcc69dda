/* The pipelines: which passes run, in what order. */
#include "passes/pass.h"

const TdlPassId *pipeline_adjoint(const TdlPassOptions *opt) {
    /* `simplify` in front keeps the adjoint pass from deriving what is folded or dead; the second `inline` removes
     * the calls of generated functions, and with them those that are no longer reached. `gradfn` comes before it: a
     * merged operation has but one name. */
    static const TdlPassId PLAIN[] = {PASS_graph, PASS_inline, PASS_gradfn, PASS_specialise, PASS_simplify, PASS_contractions,
                                      PASS_adjoint, PASS_inline, PASS_simplify, PASS_split, PASS_NONE};
    static const TdlPassId ACCUMULATE[] = {PASS_graph, PASS_inline, PASS_gradfn, PASS_specialise, PASS_simplify, PASS_contractions, PASS_adjoint,
                                           PASS_inline, PASS_simplify, PASS_split, PASS_accumulate, PASS_NONE};
    return opt && opt->accumulate ? ACCUMULATE : PLAIN;
}

const TdlPassId *pipeline_loops(const TdlPassOptions *opt) {
    static const TdlPassId UNFUSED[] = {PASS_widen, PASS_expand, PASS_simplify, PASS_pattern, PASS_checks, PASS_bufferize,
                                        PASS_exact, PASS_threads, PASS_plan, PASS_NONE};
    static const TdlPassId FUSED[] = {PASS_widen, PASS_expand, PASS_simplify, PASS_pattern, PASS_fuse, PASS_simplify,
                                      PASS_checks, PASS_simplify, PASS_bufferize, PASS_places, PASS_epilogues, PASS_swap, PASS_exact, PASS_threads, PASS_plan,
                                      PASS_NONE};
    static const TdlPassId VECTOR[] = {PASS_widen, PASS_expand, PASS_simplify, PASS_pattern, PASS_fuse, PASS_simplify,
                                       PASS_checks, PASS_simplify, PASS_bufferize, PASS_places, PASS_epilogues, PASS_swap, PASS_exact, PASS_threads, PASS_plan,
                                       PASS_vector, PASS_jam, PASS_NONE};
    if (opt && opt->opt_level > 1 && !opt->strict_fp) return VECTOR;
    return opt && opt->opt_level > 0 ? FUSED : UNFUSED;
}
