/* tdlc run: executes a script, or calls an exported function, through the JIT. */
#include "tools/tdlc/session.h"

bool run_program(Session *s) {
    diag_error(s->diags, SPAN_NONE, "run: not available in this build");
    return false;
}
