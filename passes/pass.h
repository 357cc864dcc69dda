/* Passes: what one is, the table of them, and running them. One file a pass, one row in passes.def. */
#ifndef TDL_PASSES_PASS_H
#define TDL_PASSES_PASS_H

#include "ir/ir.h"

/* --specialise: values for some dimensions, as the option says it. */
typedef struct { TDL_VEC(TdlDimFix) fixes; const char *text; } TdlCase;

typedef struct {
    int opt_level;        /* -O0 .. -O3 */
    int vector_bytes;     /* of the target's vector registers: 16, 32 or 64 */
    bool strict_fp;       /* no reassociation of reductions */
    bool openmp;          /* large loops run in threads */
    bool accumulate;      /* functions that add to gradients, too */
    bool check_nan;       /* reverse sweeps check what they compute (-fcheck=nan) */
    bool limit_tape;      /* the loops of a function keep at most */
    int64_t max_tape;     /* this many bytes for their reverse */
    const TdlCase *cases; /* what exported functions are specialised for */
    uint32_t ncases;
} TdlPassOptions;

/* Reads a number of bytes with an optional suffix K, M or G (powers of 1024); false: it is none. */
bool pass_bytes(const char *text, int64_t *bytes);

/* Reads `d=10`; what follows it (a comma or the end), or NULL: it is none. */
const char *pass_dim_fix(TdlArena *a, const char *text, TdlDimFix *fix);
/* Reads `d=10,k=25`; NULL, or what is wrong, for an error that ends in the text. */
const char *pass_case(TdlArena *a, const char *text, TdlCase *out);
bool pass_case_same(const TdlCase *a, const TdlCase *b);

/* A pass changes the module in place. Errors go to m->diags; false: stop, the module is not to be used. */
typedef bool (*TdlPassFn)(TdlModule *m, const TdlPassOptions *opt);

/* Inlines into f the calls of functions that have a derivative rule, but none of this mode, with a warning (inline.c). */
typedef enum { RULE_REVERSE, RULE_FORWARD } TdlRuleMode;
void inline_other_mode(TdlFunc *f, TdlRuleMode mode);

typedef struct { const char *name, *help; TdlPassFn run; } TdlPass;

typedef enum {
    PASS_NONE,
#define PASS(NAME, help) PASS_##NAME,
#include "passes/passes.def"
#undef PASS
    PASS_COUNT
} TdlPassId;

const TdlPass *pass_info(TdlPassId id);
TdlPassId pass_by_name(const char *name); /* PASS_NONE: unknown */

#define PASS(NAME, help) bool pass_##NAME(TdlModule *m, const TdlPassOptions *opt);
#include "passes/passes.def"
#undef PASS

/* Called after each pass that ran: printing, verifying, timing, by the driver. Return false to stop. */
typedef struct {
    bool (*after)(void *user, TdlModule *m, TdlPassId id, double seconds);
    void *user;
    bool verify_each;
} TdlPassHooks;

/* Runs passes in order; with verify_each the verifier runs after each and names the culprit. */
bool passes_run(TdlModule *m, const TdlPassId *ids, uint32_t n, const TdlPassOptions *opt, const TdlPassHooks *hooks);

/* The pipelines (pipeline.c): typed IR to IR with adjoints, and on to loop IR. Arrays end with PASS_NONE. */
const TdlPassId *pipeline_adjoint(const TdlPassOptions *opt);
const TdlPassId *pipeline_loops(const TdlPassOptions *opt);

#endif
