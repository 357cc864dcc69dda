/* What LLVM may assume of memory: alias scopes for parameters and workspace slots (slots of different offsets never
 * overlap), invariant loads from inputs, and parallel loops. */
#include "codegen/cg.h"

#include <llvm-c/IRReader.h>
#include <string.h>

static LLVMMetadataRef text(const CgUnit *u, const char *s) { return LLVMMDStringInContext2(u->ctx, s, strlen(s)); }

/* A node whose first operand is itself, which makes it distinct: !{!self, rest...}. */
static LLVMMetadataRef self_node(CgUnit *u, const LLVMMetadataRef *rest, unsigned n) {
    LLVMMetadataRef list[4], temporary = LLVMTemporaryMDNode(u->ctx, NULL, 0);
    list[0] = temporary;
    for (unsigned i = 0; i < n; i++) list[1 + i] = rest[i];
    LLVMMetadataRef node = LLVMMDNodeInContext2(u->ctx, list, n + 1);
    LLVMMetadataReplaceAllUsesWith(temporary, node);
    return node;
}

static void attach(CgUnit *u, LLVMValueRef inst, const char *kind, LLVMMetadataRef node) {
    unsigned id = LLVMGetMDKindIDInContext(u->ctx, kind, (unsigned)strlen(kind));
    LLVMSetMetadata(inst, id, LLVMMetadataAsValue(u->ctx, node));
}

/* Pieces of memory that are told apart. Each access lists the others, so that more would cost their square; those beyond
 * share one scope, and may alias each other. */
enum { MAX_SCOPES = 100 };

uint32_t cg_root_new(Cg *g, TdlDim offset, bool read_only) {
    CgUnit *u = g->u;
    if (!g->alias_domain) g->alias_domain = self_node(u, NULL, 0);
    CgRoot r = {.offset = offset, .read_only = read_only, .depth = g->parallel_depth};
    r.scope = g->roots.n > MAX_SCOPES ? g->roots.p[MAX_SCOPES].scope : self_node(u, &g->alias_domain, 1);
    VEC_PUSH(u->arena, g->roots, r);
    return g->roots.n - 1;
}

uint32_t cg_root_of(const Cg *g, TdlOp o, uint32_t operand) { return g->root[ir_op(g->f, o)->operands[operand].id]; }

uint32_t cg_root_either(Cg *g, uint32_t a, uint32_t b) {
    if (!a || !b || a == b) return a == b ? a : 0;
    uint32_t r = cg_root_new(g, (TdlDim){0}, false);
    g->roots.p[r].either[0] = a;
    g->roots.p[r].either[1] = b;
    return r;
}

/* The memory of root, or of what it was chosen from, is now told apart no more from that of `group`. */
static void into_group(Cg *g, uint32_t root, uint32_t group) {
    uint32_t old = g->roots.p[root].group, *either = g->roots.p[root].either;
    if (either[0]) {
        into_group(g, either[0], group);
        into_group(g, g->roots.p[root].either[1], group);
    }
    g->roots.p[root].group = group;
    for (uint32_t i = 1; old && i < g->roots.n; i++)
        if (g->roots.p[i].group == old) g->roots.p[i].group = group;
}

void cg_carried_roots(Cg *g, TdlOp o) {
    const TdlOpData *d = ir_op(g->f, o);
    uint32_t skip = op_int(g->f, o, "exit", 0) != 0, n = g->roots.n, group = ++g->ngroups;
    for (uint32_t i = 2; i < d->noperands; i++)
        if (cg_root_of(g, o, i)) into_group(g, cg_root_of(g, o, i), group);
    for (uint32_t i = 2; i < d->noperands; i++) {
        if (ty_kind(g->f->module, ir_type(g->f, d->operands[i])) != TY_BUF) continue;
        for (int k = 0; k < 2; k++) {
            uint32_t root = cg_root_new(g, (TdlDim){0}, false);
            g->roots.p[root].group = group;
            g->roots.p[root].family = root < MAX_SCOPES ? 2*n + (uint32_t)k : 0;
            g->root[k ? d->results[skip + i - 2].id : ir_region(g->f, d->regions[0])->args.p[i - 1].id] = root;
        }
    }
}

void cg_declare_scopes(Cg *g, TdlOp o, bool behind) {
    CgUnit *u = g->u;
    const TdlOpData *d = ir_op(g->f, o);
    uint32_t skip = op_int(g->f, o, "exit", 0) != 0;
    for (uint32_t i = 2; i < d->noperands; i++) {
        uint32_t root = g->root[behind ? d->results[skip + i - 2].id : ir_region(g->f, d->regions[0])->args.p[i - 1].id];
        if (!root || !g->roots.p[root].family) continue;
        LLVMValueRef scope = LLVMMetadataAsValue(u->ctx, LLVMMDNodeInContext2(u->ctx, &g->roots.p[root].scope, 1));
        cg_intrinsic(u, "llvm.experimental.noalias.scope.decl", NULL, 0, &scope, 1);
    }
}

/* The access groups of the parallel loops around: those that the memory was not allocated in. */
static void groups(Cg *g, LLVMValueRef inst, uint32_t root) {
    CgUnit *u = g->u;
    LLVMMetadataRef list[CG_GROUPS];
    uint32_t n = 0;
    if (!root) return;
    for (uint32_t k = g->roots.p[root].depth; k < g->parallel_depth && k < CG_GROUPS; k++) list[n++] = u->groups[k];
    if (n) attach(u, inst, "llvm.access.group", n == 1 ? list[0] : LLVMMDNodeInContext2(u->ctx, list, n));
}

void cg_access(Cg *g, LLVMValueRef inst, uint32_t root) {
    CgUnit *u = g->u;
    if (root && g->roots.p[root].read_only && LLVMGetInstructionOpcode(inst) == LLVMLoad)
        attach(u, inst, "invariant.load", LLVMMDNodeInContext2(u->ctx, NULL, 0));
    groups(g, inst, root);
    if (root) VEC_PUSH(u->arena, g->accesses, ((CgAccess){inst, root}));
}

static bool dest_over(const Cg *g, const TdlPort *dest, uint32_t b) {
    const TdlVals *args = &ir_region(g->f, g->f->body)->args;
    for (uint32_t i = 0; dest && i < dest->over.n; i++)
        if (g->root[args->p[dest->over.p[i]].id] == b) return true;
    return false;
}

/* Is root a of a destination that may lie over the input whose root is b? Of what a loop carries each may be any. */
static bool lies_over(const Cg *g, uint32_t a, uint32_t b) {
    uint32_t group = g->roots.p[a].group;
    for (uint32_t i = 1; group && i < g->roots.n; i++)
        if (g->roots.p[i].group == group && dest_over(g, g->roots.p[i].dest, b)) return true;
    return dest_over(g, g->roots.p[a].dest, b);
}

/* Of buffers that a loop carries: two of one group, but not two different ones of one family. */
static bool is_shared(const Cg *g, uint32_t a, uint32_t b) {
    const CgRoot *x = &g->roots.p[a], *y = &g->roots.p[b];
    return x->group && x->group == y->group && !(x->family && x->family == y->family && a != b);
}

/* May the two be the same memory, by what an `if` chose, by what a loop carries or by where a destination lies? */
static bool may_meet(const Cg *g, uint32_t a, uint32_t b) {
    const uint32_t *x = g->roots.p[a].either, *y = g->roots.p[b].either;
    if (x[0]) return a == b || may_meet(g, x[0], b) || may_meet(g, x[1], b);
    if (y[0]) return may_meet(g, a, y[0]) || may_meet(g, a, y[1]);
    return a == b || lies_over(g, a, b) || lies_over(g, b, a) || is_shared(g, a, b);
}

/* Does no root that has the scope of k share memory with i? */
static bool apart(const Cg *g, uint32_t i, uint32_t k) {
    if (k == i || (k == MAX_SCOPES && i > k)) return false;
    uint32_t end = k < MAX_SCOPES ? k + 1 : g->roots.n;
    for (uint32_t j = k; j < end; j++)
        if (may_meet(g, i, j)) return false;
    return true;
}

static void make_lists(Cg *g) {
    CgUnit *u = g->u;
    LLVMMetadataRef *list = ARENA_ARRAY(u->arena, LLVMMetadataRef, g->roots.n);
    for (uint32_t i = 1; i < g->roots.n; i++) {
        CgRoot *r = &g->roots.p[i];
        uint32_t n = 0;
        for (uint32_t k = 1; k < g->roots.n && k <= MAX_SCOPES; k++)
            if (apart(g, i, k)) list[n++] = g->roots.p[k].scope;
        r->self = LLVMMDNodeInContext2(u->ctx, &r->scope, 1);
        r->others = n ? LLVMMDNodeInContext2(u->ctx, list, n) : NULL;
    }
}

void cg_access_finish(Cg *g) {
    make_lists(g);
    for (uint32_t i = 0; i < g->accesses.n; i++) {
        const CgAccess *a = &g->accesses.p[i];
        const CgRoot *r = &g->roots.p[a->root];
        attach(g->u, a->inst, "alias.scope", r->self);
        if (r->others) attach(g->u, a->inst, "noalias", r->others);
    }
}

/* !{!"name", value}, or !{!"name"}. */
static LLVMMetadataRef property(CgUnit *u, const char *name, LLVMMetadataRef value) {
    LLVMMetadataRef pair[2] = {text(u, name), value};
    return LLVMMDNodeInContext2(u->ctx, pair, value ? 2 : 1);
}

void cg_loop_metadata(Cg *g, LLVMValueRef branch, bool parallel) {
    CgUnit *u = g->u;
    LLVMMetadataRef list[2];
    unsigned n = 0;
    if (g->in_vector_loop) {
        list[n++] = property(u, "llvm.loop.vectorize.enable", LLVMValueAsMetadata(LLVMConstInt(u->i1, 0, 0)));
        list[n++] = property(u, "llvm.loop.unroll.runtime.disable", NULL);
    } else if (parallel && g->parallel_depth <= CG_GROUPS) {
        list[n++] = property(u, "llvm.loop.parallel_accesses", u->groups[g->parallel_depth - 1]);
    }
    if (n) attach(u, branch, "llvm.loop", self_node(u, list, n));
}

/* Access groups are distinct empty nodes, which LLVM-C cannot make: they are read from text. */
void cg_groups(CgUnit *u) {
    TdlStr s = str_new(u->arena);
    str_puts(&s, "!groups = !{");
    for (int i = 0; i < CG_GROUPS; i++) str_printf(&s, "%s!%d", i ? ", " : "", i);
    str_puts(&s, "}\n");
    for (int i = 0; i < CG_GROUPS; i++) str_printf(&s, "!%d = distinct !{}\n", i);
    LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(s.p, s.n, "groups");
    LLVMModuleRef module = NULL;
    char *why = NULL;
    LLVMValueRef nodes[CG_GROUPS];
    u->groups = ARENA_ARRAY(u->arena, LLVMMetadataRef, CG_GROUPS);
    if (LLVMParseIRInContext(u->ctx, buffer, &module, &why)) return;
    LLVMGetNamedMetadataOperands(module, "groups", nodes);
    for (int i = 0; i < CG_GROUPS; i++) u->groups[i] = LLVMValueAsMetadata(nodes[i]);
    LLVMDisposeModule(module);
}
