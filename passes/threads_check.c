/* Whether the iterations of a loop may run in several threads: each writes memory of its own, or only adds.
 *
 * What one iteration allocates is its own, and so is the part of other memory that every access names with the loop's
 * index at one axis. Of a loop that is `parallel` the rest is promised. Memory that the iterations only add to, by
 * store(load + x), gets a copy for each chunk; but where each iteration adds near its own index, so that only neighbours
 * meet, chunks take turns instead. So do carried sums (max, min, and, or). Where additions are of floats,
 * strict_fp forbids it. */
#include "passes/threads.h"
#include "passes/loops.h"

enum {
    COPIES = 512 << 10,      /* bytes of a chunk's copies, estimated: */
    UNKNOWN = 16,            /* so much is a dimension that is not known */
    SCATTERED = 64 << 10     /* bytes, known, of what is added to at other places in each iteration */
};

static bool is_op(const Threads *t, TdlVal x, TdlOpcode code) {
    TdlOp def = ir_val(t->f, x)->def;
    return def.id && ir_op(t->f, def)->code == code;
}

static ThreadMemory *find_memory(Threads *t, TdlVal buf) {
    for (uint32_t i = 0; i < t->memory.n; i++)
        if (t->memory.p[i].buf.id == buf.id) return &t->memory.p[i];
    VEC_PUSH(t->a, t->memory, ((ThreadMemory){.buf = buf, .own = UINT64_MAX, .shifts = UINT64_MAX}));
    return &VEC_LAST(t->memory);
}

/* ---- accesses ---- */

/* The axes at which indices from operand `first` on have the loop's. */
static uint64_t axes_of(const Threads *t, const TdlOpData *d, uint32_t first) {
    uint64_t axes = 0;
    for (uint32_t i = first; i < d->noperands && i - first < 64; i++)
        if (d->operands[i].id == t->index.id) axes |= UINT64_C(1) << (i - first);
    return axes;
}

/* The same of a view, by the indices that its first view of the memory gives. */
static uint64_t axes_of_view(const Threads *t, TdlVal buf) {
    uint64_t axes = 0;
    while (is_op(t, buf, OP_VIEW)) {
        TdlOp view = ir_val(t->f, buf)->def;
        axes = op_int(t->f, view, "flat", 0) ? 0 : axes_of(t, ir_op(t->f, view), 1);
        buf = ir_op(t->f, view)->operands[0];
    }
    return axes;
}

/* x as a sum: how often the loop's index is in it, and between what values outside of the loop the rest lies. With b the
 * ends are computed there. False: it is no such sum. */
typedef struct { int index; TdlVal lo, hi; } Sum;

static bool add_up(const Threads *t, TdlBuilder *b, TdlVal x, int sign, Sum *s);

static void add_range(TdlBuilder *b, TdlVal lo, TdlVal hi, int sign, Sum *s) {
    if (!b) return;
    TdlOpcode code = sign > 0 ? OP_ADD : OP_SUB;
    s->lo = ir_binary(b, code, s->lo, sign > 0 ? lo : hi);
    s->hi = ir_binary(b, code, s->hi, sign > 0 ? hi : lo);
}

/* A bound of a loop inside; constants and sizes in the body are made again at b. */
static bool outside(const Threads *t, TdlBuilder *b, TdlVal x, TdlVal *out) {
    TdlOp def = ir_val(t->f, x)->def;
    *out = x;
    if (!ir_defined_in(t->f, x, t->body)) return true;
    if (!def.id || (ir_op(t->f, def)->code != OP_CONST && ir_op(t->f, def)->code != OP_DIM)) return false;
    if (!ir_op_at_entry(t->f, def)) return false;
    TdlValMap map = valmap_new(t->a, t->f);
    if (b) *out = ir_result(t->f, ir_clone_op(b, t->f, def, &map, NULL), 0);
    return true;
}

static bool add_loop_index(const Threads *t, TdlBuilder *b, TdlVal x, int sign, Sum *s) {
    TdlOp loop = ir_region(t->f, ir_val(t->f, x)->region)->parent;
    TdlVal lo, hi;
    if (ir_val(t->f, x)->index || ir_op(t->f, loop)->code != OP_FOR) return false;
    if (!outside(t, b, ir_op(t->f, loop)->operands[0], &lo) || !outside(t, b, ir_op(t->f, loop)->operands[1], &hi)) return false;
    if (b) hi = ir_binary(b, OP_SUB, hi, ir_const_int(b, EL_I64, 1));
    add_range(b, lo, hi, sign, s);
    return true;
}

static bool add_up(const Threads *t, TdlBuilder *b, TdlVal x, int sign, Sum *s) {
    TdlOp def = ir_val(t->f, x)->def;
    TdlVal same;
    if (x.id == t->index.id) return s->index += sign, true;
    if (outside(t, b, x, &same)) return add_range(b, same, same, sign, s), true;
    if (!def.id) return add_loop_index(t, b, x, sign, s);
    TdlOpcode code = ir_op(t->f, def)->code;
    if (code != OP_ADD && code != OP_SUB) return false;
    if (!add_up(t, b, ir_op(t->f, def)->operands[0], sign, s)) return false;
    return add_up(t, b, ir_op(t->f, def)->operands[1], code == OP_SUB ? -sign : sign, s);
}

/* The axes at which indices from operand `first` on are the loop's plus what is bounded. */
static uint64_t shifts_of(const Threads *t, TdlOp o, uint32_t first) {
    uint64_t axes = 0;
    for (uint32_t i = first; i < ir_op(t->f, o)->noperands && i - first < 64; i++) {
        Sum s = {0};
        if (add_up(t, NULL, ir_op(t->f, o)->operands[i], 1, &s) && s.index == 1) axes |= UINT64_C(1) << (i - first);
    }
    return axes;
}

/* The same for every iteration: made of the indices of loops inside and of what is outside. */
static bool is_same(const Threads *t, TdlVal x) {
    TdlOp def = ir_val(t->f, x)->def;
    if (!ir_defined_in(t->f, x, t->body)) return true;
    if (!def.id) return x.id != t->index.id && !ir_val(t->f, x)->index && ir_op(t->f, ir_region(t->f, ir_val(t->f, x)->region)->parent)->code == OP_FOR;
    if (!(op_info(ir_op(t->f, def)->code)->flags & OPF_PURE)) return false;
    for (uint32_t i = 0; i < ir_op(t->f, def)->noperands; i++)
        if (!is_same(t, ir_op(t->f, def)->operands[i])) return false;
    return !ir_op(t->f, def)->nregions;
}

TdlVal threads_reach(Threads *t, TdlBuilder *b, const ThreadMemory *m) {
    uint32_t axis = 0;
    TdlVal lo = {0}, hi = {0};
    while (!(m->shifts >> axis & 1)) axis++;
    for (uint32_t i = 0; i < m->stores.n; i++) {
        TdlVal zero = ir_const_int(b, EL_I64, 0);
        Sum s = {.lo = zero, .hi = zero};
        add_up(t, b, ir_op(t->f, m->stores.p[i])->operands[2 + axis], 1, &s);
        lo = i ? ir_binary(b, OP_MIN, lo, s.lo) : s.lo;
        hi = i ? ir_binary(b, OP_MAX, hi, s.hi) : s.hi;
    }
    return ir_binary(b, OP_SUB, hi, lo);
}

/* Operand `at` of o is used, with indices from `first` on (0: as a whole). NULL: it is memory of the iteration. */
static ThreadMemory *use(Threads *t, TdlOp o, uint32_t at, uint32_t first) {
    const TdlOpData *d = ir_op(t->f, o);
    TdlVal buf = d->operands[at], root = memory_of(t->f, buf);
    if (is_op(t, root, OP_ALLOC) && ir_defined_in(t->f, root, t->body)) return NULL;
    if (!is_op(t, root, OP_ALLOC) && !port_of(t->f, root)) t->legal &= t->parallel && !ir_defined_in(t->f, root, t->body);
    ThreadMemory *m = find_memory(t, root);
    bool viewed = is_op(t, buf, OP_VIEW);
    m->own &= viewed ? axes_of_view(t, buf) : first ? axes_of(t, d, first) : 0;
    m->other |= viewed || !first;
    m->shifts &= viewed || !first ? 0 : shifts_of(t, o, first);
    for (uint32_t i = first; first && i < d->noperands; i++) m->scattered |= !is_same(t, d->operands[i]);
    return m;
}

static void read(Threads *t, TdlOp o, uint32_t at, uint32_t first) {
    ThreadMemory *m = use(t, o, at, first);
    if (m) m->nloads++;
}

static void write(Threads *t, TdlOp o, uint32_t at, uint32_t first) {
    ThreadMemory *m = use(t, o, at, first);
    if (!m) return;
    TdlOp load = first ? sum_added_to(t->f, t->uses, o) : (TdlOp){0};
    m->written = true;
    m->other |= !load.id;
    if (!load.id) return;
    VEC_PUSH(t->a, m->loads, load);
    VEC_PUSH(t->a, m->stores, o);
}

/* ---- operations ---- */

static void check_region(Threads *t, TdlRegion r);

/* What a contraction packs into is written by every iteration. */
static void check_contract(Threads *t, TdlOp o) {
    write(t, o, 0, 0);
    read(t, o, 1, 0);
    read(t, o, 2, 0);
    TdlVal room = memory_of(t->f, ir_op(t->f, o)->operands[3]);
    t->legal &= ir_defined_in(t->f, room, t->body);
}

/* Pointers that loops and branches hand on are not followed. */
static void check_structure(Threads *t, TdlOp o) {
    const TdlOpData *d = ir_op(t->f, o);
    for (uint32_t i = 0; i < d->nresults; i++) t->legal &= ty_kind(t->m, ir_type(t->f, d->results[i])) == TY_TENSOR;
    for (uint32_t i = 0; i < d->nregions; i++) check_region(t, ir_op(t->f, o)->regions[i]);
}

static void check_op(Threads *t, TdlOp o) {
    TdlOpcode code = ir_op(t->f, o)->code;
    switch ((int)code) {
    case OP_LOAD: read(t, o, 0, 1); break;
    case OP_STORE: write(t, o, 1, 2); break;
    case OP_COPY: write(t, o, 0, 0); read(t, o, 1, 0); break;
    case OP_FILL: write(t, o, 0, 0); break;
    case OP_CONTRACT: check_contract(t, o); break;
    case OP_ALLOC: t->legal &= !op_int(t->f, o, "dynamic", 0) && !ir_op(t->f, o)->noperands; break;
    case OP_FOR: case OP_WHILE: case OP_IF: check_structure(t, o); break;
    case OP_ASSERT: t->checks = true; break;
    case OP_YIELD: case OP_VIEW: break;
    case OP_UNDEF: t->legal &= ty_kind(t->m, ir_type(t->f, ir_result(t->f, o, 0))) == TY_TENSOR; break;
    case OP_SETUNION: case OP_SETSIZE: case OP_SETAT: t->legal = false; break;
    default: t->legal &= op_info(code)->lower == LOWER_SCALAR || code == OP_NEWDIM;
    }
}

static void check_region(Threads *t, TdlRegion r) {
    IR_FOREACH_OP(t->f, r, o) {
        if (!t->legal) return;
        check_op(t, o);
    }
}

/* ---- carried values ---- */

/* From a carried value to what is handed on, by one operation: `seen` of its uses are on the way. */
typedef struct { TdlVal from; TdlOpcode code; uint32_t seen; } Chain;

static bool leads(const Threads *t, Chain *c, TdlVal v);

static bool leads_by(const Threads *t, Chain *c, TdlOp o, TdlOpcode code) {
    const TdlOpData *d = ir_op(t->f, o);
    bool floats = ty_is_float(t->m, ir_type(t->f, d->results[0]));
    if (c->code != OP_NONE && c->code != code) return false;
    if (code == OP_ADD && floats && (t->strict || op_int(t->f, o, "exact", 0))) return false;
    for (uint32_t k = 0; k < (d->code == OP_SUB ? 1u : 2u); k++) {
        Chain before = *c;
        c->code = code;
        if (leads(t, c, d->operands[k])) return true;
        *c = before;
    }
    return false;
}

static bool leads_through(const Threads *t, Chain *c, TdlOp loop, uint32_t i) {
    const TdlOpData *d = ir_op(t->f, loop);
    TdlVal arg = ir_region(t->f, d->regions[0])->args.p[1 + i];
    Chain inside = {.from = arg, .code = c->code};
    if (op_int(t->f, loop, "exit", 0) || !leads(t, &inside, ir_op(t->f, ir_terminator(t->f, d->regions[0]))->operands[i])) return false;
    c->code = inside.code;
    return inside.seen == t->uses[arg.id] && leads(t, c, d->operands[2 + i]);
}

static bool leads(const Threads *t, Chain *c, TdlVal v) {
    TdlOp def = ir_val(t->f, v)->def;
    if (v.id == c->from.id) return c->seen++, true;
    if (!def.id || t->uses[v.id] != 1) return false;
    const TdlOpData *d = ir_op(t->f, def);
    switch ((int)d->code) {
    case OP_ADD: case OP_SUB: return leads_by(t, c, def, OP_ADD);
    case OP_MAX: case OP_MIN: case OP_AND: case OP_OR: return leads_by(t, c, def, d->code);
    case OP_SELECT: return leads(t, c, d->operands[1]) && leads(t, c, d->operands[2]);
    case OP_FOR: return leads_through(t, c, def, ir_val(t->f, v)->index);
    case OP_IF:
        for (uint32_t k = 0; k < 2; k++)
            if (!leads(t, c, ir_op(t->f, ir_terminator(t->f, d->regions[k]))->operands[ir_val(t->f, v)->index])) return false;
        return true;
    default: return false;
    }
}

/* What the i-th carried value is reduced by: sums, and what any order and any repetition gives the same bits of. */
static TdlOpcode reduction(const Threads *t, uint32_t i) {
    TdlVal arg = ir_region(t->f, t->body)->args.p[1 + i];
    Chain c = {.from = arg};
    if (!ty_is_scalar(t->m, ir_type(t->f, arg))) return OP_NONE;
    bool found = leads(t, &c, ir_op(t->f, ir_terminator(t->f, t->body))->operands[i]);
    return found && c.seen == t->uses[arg.id] ? c.code : OP_NONE;
}

static void check_carried(Threads *t) {
    t->carried.n = 0;
    for (uint32_t i = 0; t->legal && i + 2u < ir_op(t->f, t->loop)->noperands; i++) {
        VEC_PUSH(t->a, t->carried, reduction(t, i));
        t->legal &= VEC_LAST(t->carried) != OP_NONE;
    }
}

/* ---- what is written ---- */

static bool lies_over(const TdlPort *dest, const Threads *t, TdlVal from) {
    const TdlVals *args = &ir_region(t->f, t->f->body)->args;
    for (uint32_t i = 0; dest && i < dest->over.n; i++)
        if (args->p[dest->over.p[i]].id == from.id) return true;
    return false;
}

/* Axes at which the memory, and the inputs that it may lie over, have the loop's index. */
static uint64_t own_axes(const Threads *t, const ThreadMemory *m, bool *shared) {
    uint64_t own = m->own;
    for (uint32_t i = 0; i < t->memory.n; i++) {
        if (!lies_over(port_of(t->f, m->buf), t, t->memory.p[i].buf)) continue;
        own &= t->memory.p[i].own;
        *shared = true;
    }
    return own;
}

static bool only_added_to(const Threads *t, const ThreadMemory *m) {
    TdlType type = ir_type(t->f, m->buf);
    bool floats = ty_is_float(t->m, type);
    if (m->other || m->nloads != m->loads.n || (floats && t->strict) || ty_elem(t->m, type) == EL_BOOL) return false;
    /* A copy begins at the allocation that stands for a destination, as its accesses do. */
    for (uint32_t i = 0; i < m->stores.n; i++)
        if (ir_op(t->f, m->stores.p[i])->operands[1].id != ir_op(t->f, m->stores.p[0])->operands[1].id) return false;
    return true;
}

/* Bytes where each dimension that is not known counts UNKNOWN; *known: all are. */
static double bytes_of(Threads *t, TdlVal buf, bool *known) {
    TdlType type = ir_type(t->f, buf);
    double n = el_bytes(ty_elem(t->m, type));
    for (uint32_t i = 0; i < ty_rank(t->m, type); i++) {
        int64_t size = UNKNOWN;
        *known &= dim_is_const(t->m, ty_dims(t->m, type)[i], &size);
        n *= (double)size;
    }
    t->legal &= ir_type_at_entry(t->f, type);
    return n;
}

/* Keeps of t->memory what is only added to. */
static void check_memory(Threads *t) {
    double bytes = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->memory.n && t->legal; i++) {
        bool shared = false, known = true;
        const ThreadMemory *m = &t->memory.p[i];
        if (!m->written || own_axes(t, m, &shared)) continue;
        t->legal &= !shared && only_added_to(t, m);
        double size = bytes_of(t, m->buf, &known);
        /* In turns a later chunk may fail in front of an earlier one. */
        bool shifted = m->scattered && m->shifts && !t->checks && !(known && size <= SCATTERED);
        if (!shifted) bytes += size;
        t->legal &= shifted || !(m->scattered && (!known || size > SCATTERED));
        t->memory.p[n] = *m;
        t->memory.p[n++].shifted = shifted;
    }
    t->memory.n = n;
    t->large = t->legal && bytes > COPIES;
    t->legal &= !t->large;
}

bool threads_legal(Threads *t, TdlOp loop, bool promised) {
    const TdlOpData *d = ir_op(t->f, loop);
    t->loop = loop;
    t->body = d->regions[0];
    t->index = ir_region(t->f, t->body)->args.p[0];
    t->parallel = promised && op_int(t->f, loop, "parallel", 0);
    t->legal = !op_int(t->f, loop, "exit", 0) && !op_int(t->f, loop, "down", 0);
    t->large = false;
    t->memory.n = 0;
    t->checks = false;
    check_carried(t);
    check_region(t, t->body);
    if (t->legal && !t->parallel) check_memory(t);
    else t->memory.n = 0;
    return t->legal;
}
