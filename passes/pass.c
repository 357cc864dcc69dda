/* The table of passes, from passes.def, and running them. */
#include "passes/pass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const TdlPass PASSES[PASS_COUNT] = {
    [PASS_NONE] = {"", "", NULL},
#define PASS(NAME, help) [PASS_##NAME] = {#NAME, help, pass_##NAME},
#include "passes/passes.def"
#undef PASS
};

const TdlPass *pass_info(TdlPassId id) { return &PASSES[id < PASS_COUNT ? id : PASS_NONE]; }

TdlPassId pass_by_name(const char *name) {
    for (int i = PASS_NONE + 1; i < PASS_COUNT; i++)
        if (strcmp(PASSES[i].name, name) == 0) return (TdlPassId)i;
    return PASS_NONE;
}

static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool verify(TdlModule *m, const char *after) {
    if (ir_verify_module(m)) return true;
    diag_error(m->diags, SPAN_NONE, "internal: the IR is broken after pass %s", after);
    return false;
}

bool passes_run(TdlModule *m, const TdlPassId *ids, uint32_t n, const TdlPassOptions *opt, const TdlPassHooks *hooks) {
    for (uint32_t i = 0; i < n && ids[i] != PASS_NONE; i++) {
        const TdlPass *p = pass_info(ids[i]);
        double start = now();
        size_t errors = diags_errors(m->diags);
        /* A size beyond 64 bits is reported by the arithmetic of dimensions, which has no way to fail. */
        if (!p->run(m, opt) || diags_errors(m->diags) > errors) return false;
        double seconds = now() - start;
        /* Printed before it is verified: broken IR is what one wants to look at. */
        if (hooks && hooks->after && !hooks->after(hooks->user, m, ids[i], seconds)) return false;
        if (hooks && hooks->verify_each && !verify(m, p->name)) return false;
    }
    return true;
}

bool pass_bytes(const char *text, int64_t *bytes) {
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (end == text || errno || n < 0 || end[shift != 0] || n > INT64_MAX >> shift) return false;
    *bytes = (int64_t)n << shift;
    return true;
}
