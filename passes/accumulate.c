/* accumulate (`--accumulate`): beside each exported function with gradients, `<name>_acc`, which adds them to what is
 * in their memory instead of overwriting it.
 *
 *     func @g<n>(%0 x: f64[n]) -> (dx: f64[n] of x) {export} { ...   return %5 }
 *
 * gives
 *
 *     func @g_acc<n>(%0 x: f64[n], %1 dx: f64[n] prior 0) -> (dx: f64[n] of x) {export} { ...   %6 = add %1, %5   return %6 }
 *
 * A parameter that is `prior` to a result is no argument of the C function: `bufferize` reads it in the result's memory. */
#include "passes/pass.h"

static bool has_gradients(const TdlFunc *f) {
    for (uint32_t i = 0; i < f->results.n; i++)
        if (f->results.p[i].cotangent_of >= 0) return true;
    return false;
}

static void add_to_gradients(TdlFunc *g) {
    TdlOp ret = ir_terminator(g, g->body);
    TdlBuilder b = ir_before(g, ret);
    for (uint32_t i = 0; i < g->results.n; i++) {
        TdlPort port = g->results.p[i];
        if (port.cotangent_of < 0) continue;
        TdlVal prior = ir_func_add_param(g, port.name, port.type, NULL);
        g->params.p[g->params.n - 1].prior_of = (int32_t)i;
        TdlVal sum = ir_binary(&b, OP_ADD, prior, ir_op(g, ret)->operands[i]);
        ir_op(g, ret)->operands[i] = sum;
    }
}

bool pass_accumulate(TdlModule *m, const TdlPassOptions *opt) {
    (void)opt;
    uint32_t n = m->funcs.n;
    for (uint32_t i = 0; i < n; i++) {
        const TdlFunc *f = m->funcs.p[i];
        if (!f->exported || !has_gradients(f)) continue;
        TdlSym general, name = ir_name_beside(f, "_acc", &general);
        if (ir_func_find(m, name)) {
            diag_error(m->diags, f->span, "--accumulate: %s is the name of another function", sym_text(m->names, name));
            return false;
        }
        TdlFunc *g = ir_clone_func(m, f, name, NULL);
        g->general = general;
        g->doc = arena_printf(m->arena, "As %s, but the gradients are added to what is in their memory.", sym_text(m->names, f->name));
        add_to_gradients(g);
    }
    return true;
}
