/* threads (-fopenmp): loops and contractions of some size are cut into chunks, which threads take.
 *
 * What: the outermost `for` whose iterations are independent, but for sums, becomes a loop over chunks of its iterations,
 * marked `threads = C` (at most C chunks), which codegen runs in the threads of the OpenMP runtime.
 *
 *   %s = for %z, %n, %s0 {(%i, %p)           %w = ...                        how much there is to do
 *     ... add to %acc ...                    for %z, %chunks {(%c)
 *     yield %q }                               %a = acc for chunk 0, else a copy of its own, cleared
 *                                    =>        %q = for %lo, %hi, %first {(%i, %p) ... add to %a ... yield %q }
 *                                              store %q, %sums, %c } {parallel = 1, threads = 16}
 *                                            the copies are added to %acc, and the sums up, in the order of chunks
 *
 * The number of chunks and their borders follow from sizes and trip counts alone, so that the result has the same bits
 * for any number of threads: as many chunks as have GRAIN operations each (about 25 us), which for small work is one, whose
 * results are those of the loop as it was. A copy of an accumulator costs its clearing and its addition: it counts COPY
 * operations an element. Chunks of what becomes a vector loop are whole groups of lanes; elsewhere borders are multiples of
 * some lanes where chunks are long enough.
 * Where iterations add near their own index (`shifted`) there are no copies; chunks with even numbers have their turn, then
 * the others.
 * A contraction is cut along the first axis of its result, each chunk with room of its own for packing.
 * Never: iterations that take memory of the growing part (stacks, sizes found at run time), call functions or print; what
 * is scattered into memory that is not known to be small; under strict_fp sums of floats; what has less than two GRAINs
 * for certain. */
#include "passes/threads.h"
#include "passes/loops.h"

enum {
    GRAIN = 160000,
    COPY = 8192,
    CHUNKS = 32,
    COPIES = 16,      /* chunks that have memory of their own */
    LANES = 32,       /* a chunk of a vector loop is of so many iterations, or a multiple */
    ROWS = 128,       /* of a contraction, of so many rows: fewer do not pay for packing */
    MOST_ACCS = 64,
    LEAST_TRIPS = 4
};

/* What a loop over chunks is made of. */
typedef struct {
    TdlBuilder b;     /* in front of it */
    TdlVal zero, chunks, length, c, lo, hi, first; /* first: is this chunk 0? */
    TdlVal reach;     /* how far chunks must be apart, where neighbours meet; or none */
    TdlOp loop, all;  /* over chunks; around it the turns, or the same */
    TdlRegion body;
    int64_t most;
    TdlVal group;     /* chunks are multiples of so many iterations; none: of some lanes where there are many */
} Chunks;

static TdlVal i64(Chunks *k, int64_t n) { return ir_const_int(&k->b, EL_I64, n); }

static TdlVal op2(TdlBuilder *b, TdlOpcode code, TdlVal x, TdlVal y) { return ir_binary(b, code, x, y); }

static TdlVal choose(TdlBuilder *b, TdlVal c, TdlVal x, TdlVal y) { return ir_emit1(b, OP_SELECT, (TdlVal[]){c, x, y}, 3); }

/* Small for certain? */
static bool is_small(ThreadCost work) { return !work.v.id && work.n < 2.0 * GRAIN; }

/* min(max(work / grain, 1), most), rounded down. */
static TdlVal count_chunks(Chunks *k, ThreadCost work, ThreadCost grain) {
    TdlVal all = cost_value(&k->b, work), each = cost_value(&k->b, grain), n = op2(&k->b, OP_DIV, all, each);
    n = op2(&k->b, OP_MAX, n, ir_const_float(&k->b, EL_F64, 1));
    n = op2(&k->b, OP_MIN, n, ir_const_float(&k->b, EL_F64, (double)k->most));
    return ir_cast(&k->b, n, EL_I64);
}

/* Iterations of a chunk: trips / chunks, rounded up, to whole groups of lanes; of loops that LLVM may vectorise, or not at
 * all, where there are many. */
static TdlVal chunk_length(Chunks *k, TdlVal trips, TdlVal chunks) {
    static const int64_t GROUPS[][2] = {{8, 8}, {64, 32}, {256, 64}}; /* from so many iterations on: a multiple of */
    TdlVal whole = op2(&k->b, OP_FLOORDIV, trips, chunks), one = i64(k, 1), group = one;
    TdlVal rest = op2(&k->b, OP_LT, op2(&k->b, OP_MUL, whole, chunks), trips);
    TdlVal n = op2(&k->b, OP_ADD, whole, choose(&k->b, rest, one, k->zero));
    if (k->reach.id) n = op2(&k->b, OP_MAX, n, k->reach);
    if (k->group.id) group = k->group;
    for (int i = 0; i < 3 && !k->group.id; i++) {
        TdlVal many = op2(&k->b, OP_GT, n, i64(k, GROUPS[i][0])), multiple = i64(k, GROUPS[i][1]);
        group = choose(&k->b, many, multiple, group);
    }
    TdlVal up = op2(&k->b, OP_ADD, n, op2(&k->b, OP_SUB, group, one));
    return op2(&k->b, OP_MUL, op2(&k->b, OP_FLOORDIV, up, group), group);
}

/* A loop at the end of what b points to; the builder then stands at its end. */
static TdlOp loop_over(TdlBuilder *b, TdlVal lo, TdlVal hi, const TdlVal *init, TdlVal *index) {
    TdlFunc *f = b->f;
    TdlVal list[3] = {lo, hi};
    TdlType type = {0};
    if (init) list[2] = *init, type = ir_type(f, *init);
    TdlOp loop = ir_emit(b, OP_FOR, list, init ? 3 : 2, &type, init != NULL);
    TdlRegion body = ir_op(f, loop)->regions[0];
    *index = ir_region_arg(f, body, ty_scalar(f->module, EL_I64), SYM_NONE);
    if (init) ir_region_arg(f, body, type, SYM_NONE);
    *b = ir_at_end(f, body, b->span);
    return loop;
}

/* The loop over chunks, whose body k->body becomes. Where neighbours meet, those of even numbers have their turn, then the
 * others. */
static void loop_over_chunks(Chunks *k) {
    TdlBuilder b = k->b;
    TdlFunc *f = b.f;
    TdlVal turn, half;
    if (k->reach.id) {
        TdlVal two = ir_const_int(&b, EL_I64, 2), more = op2(&b, OP_ADD, k->chunks, ir_const_int(&b, EL_I64, 1));
        k->all = loop_over(&b, k->zero, two, NULL, &turn);
        TdlBuilder outer = b;
        k->loop = loop_over(&b, k->zero, op2(&outer, OP_FLOORDIV, op2(&outer, OP_SUB, more, turn), two), NULL, &half);
        k->c = op2(&b, OP_ADD, op2(&b, OP_MUL, half, two), turn);
        outer = ir_after(f, k->loop);
        ir_emit(&outer, OP_YIELD, NULL, 0, NULL, 0);
    } else {
        k->loop = k->all = loop_over(&b, k->zero, k->chunks, NULL, &k->c);
    }
    k->body = b.region;
}

/* Opens the loop over chunks of lo..hi in front of o. Bounds are written as max and min with those of the whole, so that it
 * shows that they lie within; nothing on the way is larger, which near the end of the integers would wrap. */
static void open_chunks(Threads *t, Chunks *k, TdlVal lo, TdlVal hi, ThreadCost work, ThreadCost grain) {
    TdlFunc *f = t->f;
    k->zero = i64(k, 0);
    TdlVal trips = op2(&k->b, OP_MAX, op2(&k->b, OP_SUB, hi, lo), k->zero);
    k->chunks = count_chunks(k, work, grain);
    k->length = chunk_length(k, trips, k->chunks);
    loop_over_chunks(k);
    op_set_int(f, k->loop, "parallel", 1);
    op_set_int(f, k->loop, "threads", k->most);
    TdlBuilder in = ir_at_end(f, k->body, k->b.span);
    TdlVal begin = op2(&in, OP_MIN, op2(&in, OP_MUL, k->c, k->length), trips);
    k->lo = op2(&in, OP_MAX, op2(&in, OP_ADD, lo, begin), lo);
    TdlVal length = op2(&in, OP_MIN, k->length, op2(&in, OP_SUB, hi, k->lo));
    k->hi = op2(&in, OP_MIN, op2(&in, OP_ADD, k->lo, length), hi);
    k->first = op2(&in, OP_EQ, k->c, ir_const_int(&in, EL_I64, 0));
}

/* ---- accumulators ---- */

static TdlVal nothing(TdlBuilder *b, TdlElem e) { /* -0 changes no sum, +0 would -0 */
    return el_is_float(e) ? ir_const_float(b, e, -0.0) : ir_const_int(b, e, 0);
}

static TdlVal alloc(TdlBuilder *b, TdlType buf) { return ir_result(b->f, ir_emit(b, OP_ALLOC, NULL, 0, &buf, 1), 0); }

/* `n` of them, one behind the other. */
static TdlType rows_of(Threads *t, TdlType buf, int64_t n) {
    TdlDim rows = dim_const(t->m, n);
    return ty_buf(t->m, ty_prepend(t->m, ty_tensor_of(t->m, buf), &rows, 1));
}

static TdlVal view(TdlBuilder *b, TdlVal buf, TdlVal row, TdlType as) {
    TdlVal list[2] = {buf, row};
    return ir_result(b->f, ir_emit(b, OP_VIEW, list, row.id ? 2 : 1, &as, 1), 0);
}

/* What chunk c adds to: the accumulator itself, or copy c - 1, cleared. */
static TdlVal own_copy(Threads *t, Chunks *k, TdlVal acc, TdlVal copies) {
    TdlFunc *f = t->f;
    TdlType type = ir_type(f, acc);
    TdlBuilder in = ir_at_end(f, k->body, k->b.span);
    TdlOp branch = ir_emit(&in, OP_IF, &k->first, 1, &type, 1);
    TdlBuilder arm = ir_at_end(f, ir_op(f, branch)->regions[0], in.span);
    ir_emit(&arm, OP_YIELD, &acc, 1, NULL, 0);
    arm = ir_at_end(f, ir_op(f, branch)->regions[1], in.span);
    TdlVal copy = view(&arm, copies, op2(&arm, OP_SUB, k->c, ir_const_int(&arm, EL_I64, 1)), type);
    TdlVal fill[2] = {copy, nothing(&arm, ty_elem(t->m, type))};
    ir_emit(&arm, OP_FILL, fill, 2, NULL, 0);
    ir_emit(&arm, OP_YIELD, &copy, 1, NULL, 0);
    return ir_result(f, branch, 0);
}

/* Behind the loop: acc += copy, for each in turn. */
static void add_copies(Threads *t, const Chunks *k, TdlBuilder b, TdlVal acc, TdlVal copies) {
    TdlType tensor = ty_tensor_of(t->m, ir_type(t->f, acc));
    TdlDim numel = ty_numel(t->m, tensor);
    TdlType flat = ty_buf(t->m, ty_tensor(t->m, ty_elem(t->m, tensor), &numel, 1));
    TdlVal p, e, one = ir_const_int(&b, EL_I64, 1), n = ir_dim(&b, numel), to = view(&b, acc, (TdlVal){0}, flat);
    loop_over(&b, one, k->chunks, NULL, &p);
    TdlBuilder outer = b;
    TdlVal from = view(&b, copies, op2(&b, OP_SUB, p, one), flat);
    TdlOp inner = loop_over(&b, k->zero, n, NULL, &e);
    op_set_int(t->f, inner, "parallel", 1);
    TdlType elem = ty_scalar(t->m, ty_elem(t->m, tensor));
    TdlVal x = ir_result(t->f, ir_emit(&b, OP_LOAD, (TdlVal[]){to, e}, 2, &elem, 1), 0);
    TdlVal y = ir_result(t->f, ir_emit(&b, OP_LOAD, (TdlVal[]){from, e}, 2, &elem, 1), 0);
    ir_emit(&b, OP_STORE, (TdlVal[]){op2(&b, OP_ADD, x, y), to, e}, 3, NULL, 0);
    ir_emit(&b, OP_YIELD, NULL, 0, NULL, 0);
    ir_emit(&outer, OP_YIELD, NULL, 0, NULL, 0);
}

/* The sums of the chunks, added up (or what else `code` does). */
static TdlVal add_sums(Threads *t, const Chunks *k, TdlBuilder b, TdlVal sums, TdlOpcode code) {
    TdlType elem = ty_scalar(t->m, ty_elem(t->m, ir_type(t->f, sums)));
    TdlVal p, start = ir_result(t->f, ir_emit(&b, OP_LOAD, (TdlVal[]){sums, k->zero}, 2, &elem, 1), 0);
    TdlOp loop = loop_over(&b, ir_const_int(&b, EL_I64, 1), k->chunks, &start, &p);
    TdlVal carried = ir_region(t->f, ir_op(t->f, loop)->regions[0])->args.p[1];
    TdlVal x = ir_result(t->f, ir_emit(&b, OP_LOAD, (TdlVal[]){sums, p}, 2, &elem, 1), 0), sum = op2(&b, code, carried, x);
    ir_emit(&b, OP_YIELD, &sum, 1, NULL, 0);
    return ir_result(t->f, loop, 0);
}

/* ---- loops ---- */

static void set_buffer(Threads *t, TdlOp o, uint32_t at, TdlVal buf) { ir_op(t->f, o)->operands[at] = buf; }

/* The loop moves into that over chunks, with a part of its iterations. */
static void move_loop(Threads *t, Chunks *k) {
    TdlFunc *f = t->f;
    uint32_t n = ir_op(f, t->loop)->noperands - 2u;
    TdlBuilder in = ir_at_end(f, k->body, k->b.span);
    for (uint32_t i = 0; i < n; i++) {
        TdlVal init = ir_op(f, t->loop)->operands[2 + i];
        bool sum = t->carried.p[i] == OP_ADD;
        TdlVal start = sum ? choose(&in, k->first, init, nothing(&in, ty_elem(t->m, ir_type(f, init)))) : init;
        ir_op(f, t->loop)->operands[2 + i] = start;
    }
    ir_op(f, t->loop)->operands[0] = k->lo;
    ir_op(f, t->loop)->operands[1] = k->hi;
    ir_move_to_end(f, t->loop, k->body);
}

/* Its results: one a chunk, then their sums. */
static void take_sums(Threads *t, Chunks *k, const TdlVal *sums) {
    TdlFunc *f = t->f;
    TdlBuilder in = ir_at_end(f, k->body, k->b.span);
    for (uint32_t i = 0; i < ir_op(f, t->loop)->nresults; i++) {
        TdlVal result = ir_result(f, t->loop, i);
        TdlVal all = add_sums(t, k, ir_after(f, k->all), sums[i], t->carried.p[i]);
        ir_replace_uses(f, result, all);
        ir_emit(&in, OP_STORE, (TdlVal[]){result, sums[i], k->c}, 3, NULL, 0);
    }
    ir_emit(&in, OP_YIELD, NULL, 0, NULL, 0);
}

static void cut_loop(Threads *t, Chunks *k, ThreadCost work, ThreadCost grain) {
    TdlFunc *f = t->f;
    TdlVal lo = ir_op(f, t->loop)->operands[0], hi = ir_op(f, t->loop)->operands[1];
    uint32_t nsums = ir_op(f, t->loop)->nresults;
    TdlVal *sums = ARENA_ARRAY(t->a, TdlVal, nsums + 1), *copies = ARENA_ARRAY(t->a, TdlVal, t->memory.n + 1);
    TdlVal *accs = ARENA_ARRAY(t->a, TdlVal, t->memory.n + 1);
    for (uint32_t i = 0; i < nsums; i++)
        sums[i] = alloc(&k->b, rows_of(t, ty_buf(t->m, ir_type(f, ir_result(f, t->loop, i))), k->most));
    for (uint32_t i = 0; i < t->memory.n; i++) {
        TdlVal reach = t->memory.p[i].shifted ? threads_reach(t, &k->b, &t->memory.p[i]) : (TdlVal){0};
        if (reach.id) k->reach = k->reach.id ? op2(&k->b, OP_MAX, k->reach, reach) : reach;
        if (reach.id) continue;
        accs[i] = ir_op(f, t->memory.p[i].stores.p[0])->operands[1];
        copies[i] = alloc(&k->b, rows_of(t, ir_type(f, accs[i]), k->most - 1));
    }
    open_chunks(t, k, lo, hi, work, grain);
    for (uint32_t i = 0; i < t->memory.n; i++) {
        const ThreadMemory *m = &t->memory.p[i];
        if (m->shifted) continue;
        TdlVal own = own_copy(t, k, accs[i], copies[i]);
        for (uint32_t j = 0; j < m->loads.n; j++) set_buffer(t, m->loads.p[j], 0, own);
        for (uint32_t j = 0; j < m->stores.n; j++) set_buffer(t, m->stores.p[j], 1, own);
    }
    move_loop(t, k);
    take_sums(t, k, sums);
    for (uint32_t i = t->memory.n; i-- > 0;)
        if (!t->memory.p[i].shifted) add_copies(t, k, ir_after(f, k->all), accs[i], copies[i]);
    t->uses = ir_use_counts(f, t->a);
}

/* Iterations that are known to be few do not make chunks. */
static bool has_trips(const Threads *t, TdlOp loop) {
    TdlDim hi;
    int64_t n;
    return !ir_val_dim(t->f, ir_op(t->f, loop)->operands[1], &hi) || !dim_is_const(t->m, hi, &n) || n >= LEAST_TRIPS;
}

/* Of a perfect nest whose outer loop does not do, the inner one becomes the outer one where its iterations need no copies. */
static bool fits(Threads *t, TdlOp o, bool *large) {
    if (has_trips(t, o) && threads_legal(t, o, true)) return t->memory.n <= MOST_ACCS;
    *large = has_trips(t, o) && t->large;
    TdlOp child = nest_child(t->f, o);
    if (!child.id || !has_trips(t, child) || !threads_legal(t, child, false) || t->memory.n) return false;
    nest_interchange(t->f, o, child);
    return threads_legal(t, o, false);
}

static void find_alloc(void *user, TdlFunc *f, TdlOp o) { *(bool *)user |= ir_op(f, o)->code == OP_ALLOC; }

/* *large: it stays one loop, and those inside too, which vector lanes may run side by side. */
static bool take_loop(Threads *t, TdlOp o, bool *large) {
    if (!fits(t, o, large)) return false;
    bool memory = false;
    for (uint32_t i = 0; i < t->memory.n; i++) memory |= !t->memory.p[i].shifted;
    ir_walk(t->f, t->body, find_alloc, &memory);
    Chunks k = {.b = ir_before(t->f, o), .most = memory ? COPIES : CHUNKS};
    k.b.span = ir_op(t->f, o)->span;
    if (t->lanes && vec_would_take(t->f, t->a, t->lanes, o)) k.group = i64(&k, LANES);
    ThreadCost work = cost_of_loop(t, &k.b, o), elements = cost_number(0);
    if (is_small(work)) return false;
    for (uint32_t i = 0; i < t->memory.n; i++) {
        if (t->memory.p[i].shifted) continue;
        ThreadCost n = cost_number(1);
        TdlType type = ir_type(t->f, t->memory.p[i].buf);
        for (uint32_t j = 0; j < ty_rank(t->m, type); j++) n = cost_mul(&k.b, n, cost_of_dim(t, &k.b, ty_dims(t->m, type)[j]));
        elements = cost_add(&k.b, elements, n);
    }
    cut_loop(t, &k, work, cost_add(&k.b, cost_number(GRAIN), cost_mul(&k.b, cost_number(COPY), elements)));
    return true;
}

/* ---- contractions ---- */

/* Rows lo.. of c, which are contiguous. */
static TdlVal rows_from(Threads *t, TdlBuilder *b, TdlVal c, TdlVal lo) {
    TdlType type = ir_type(t->f, c);
    TdlDim row = dim_const(t->m, 1);
    for (uint32_t i = 1; i < ty_rank(t->m, type); i++) row = dim_mul(t->m, row, ty_dims(t->m, type)[i]);
    TdlVal list[2] = {c, op2(b, OP_MUL, lo, ir_dim(b, row))};
    TdlOp o = ir_emit(b, OP_VIEW, list, 2, &type, 1);
    op_set_int(t->f, o, "flat", 1);
    return ir_result(t->f, o, 0);
}

/* Rows (or columns) of the products that one element of the result's first axis stands for; ROWS: a product of its own. */
static TdlDim rows_each(const Threads *t, TdlOp o) {
    const TdlAttr *c = op_attr(t->f, o, "axes_c");
    const TdlDim *dims = ty_dims(t->m, ir_type(t->f, ir_op(t->f, o)->operands[0]));
    TdlDim rows = dim_const(t->m, 1);
    bool in_a = op_has_int(t->f, o, "axes_a", c->ints[0]), in_b = op_has_int(t->f, o, "axes_b", c->ints[0]);
    if (in_a && in_b) return dim_const(t->m, ROWS);
    for (uint32_t i = 1; i < c->n; i++)
        if (op_has_int(t->f, o, "axes_a", c->ints[i]) == in_a && op_has_int(t->f, o, "axes_b", c->ints[i]) == in_b) rows = dim_mul(t->m, rows, dims[i]);
    return rows;
}

/* Elements of the first axis that have ROWS rows, at least 1. */
static TdlVal elements_of_rows(Chunks *k, TdlDim each) {
    TdlVal one = i64(k, 1), most = i64(k, ROWS), rows = ir_dim(&k->b, each);
    rows = op2(&k->b, OP_MIN, op2(&k->b, OP_MAX, rows, one), most);
    TdlVal up = op2(&k->b, OP_ADD, op2(&k->b, OP_SUB, rows, one), most);
    return op2(&k->b, OP_FLOORDIV, up, rows);
}

/* Along the first axis of the result; a chunk that has no rows does nothing. */
static void take_contraction(Threads *t, TdlOp o) {
    TdlFunc *f = t->f;
    TdlType type = ir_type(f, ir_op(f, o)->operands[0]);
    int64_t n, each;
    if (ir_op(f, o)->noperands != 4 || !ty_rank(t->m, type)) return;
    TdlDim rows = ty_dims(t->m, type)[0], of_each = rows_each(t, o);
    if (dim_is_const(t->m, rows, &n) && (n < 2 || (dim_is_const(t->m, of_each, &each) && n <= ROWS / (each < 1 ? 1 : each)))) return;
    Chunks k = {.b = ir_before(f, o), .most = COPIES};
    k.b.span = ir_op(f, o)->span;
    ThreadCost work = cost_of_contraction(t, &k.b, o);
    if (is_small(work)) return;
    k.group = elements_of_rows(&k, of_each);
    TdlVal none = i64(&k, 0), all = ir_dim(&k.b, rows);
    open_chunks(t, &k, none, all, work, cost_number(GRAIN));
    TdlBuilder in = ir_at_end(f, k.body, k.b.span);
    TdlVal some = op2(&in, OP_LT, k.lo, k.hi);
    TdlOp branch = ir_emit(&in, OP_IF, &some, 1, NULL, 0);
    ir_emit(&in, OP_YIELD, NULL, 0, NULL, 0);
    TdlRegion then = ir_op(f, branch)->regions[0], otherwise = ir_op(f, branch)->regions[1];
    in = ir_at_end(f, then, k.b.span);
    TdlVal part = rows_from(t, &in, ir_op(f, o)->operands[0], k.lo), room = alloc(&in, ir_type(f, ir_op(f, o)->operands[3]));
    ir_move_to_end(f, o, then);
    set_buffer(t, o, 0, part);
    set_buffer(t, o, 3, room);
    ir_add_operand(f, o, k.lo);
    ir_add_operand(f, o, k.hi);
    in = ir_at_end(f, then, k.b.span);
    ir_emit(&in, OP_YIELD, NULL, 0, NULL, 0);
    in = ir_at_end(f, otherwise, k.b.span);
    ir_emit(&in, OP_YIELD, NULL, 0, NULL, 0);
}

/* What contractions packed into, and do in chunks of their own now. */
static void drop_unused(Threads *t, TdlRegion r, const uint32_t *uses) {
    IR_FOREACH_OP(t->f, r, o) {
        for (uint32_t i = 0; i < ir_op(t->f, o)->nregions; i++) drop_unused(t, ir_op(t->f, o)->regions[i], uses);
        if (ir_op(t->f, o)->code == OP_ALLOC && !ir_op(t->f, o)->noperands && !uses[ir_result(t->f, o, 0).id]) ir_remove(t->f, o);
    }
}

static void visit(Threads *t, TdlRegion r) {
    IR_FOREACH_OP(t->f, r, o) {
        bool large = false;
        if (ir_op(t->f, o)->code == OP_FOR && (take_loop(t, o, &large) || large)) continue;
        if (ir_op(t->f, o)->code == OP_CONTRACT) take_contraction(t, o);
        for (uint32_t i = 0; i < ir_op(t->f, o)->nregions; i++) visit(t, ir_op(t->f, o)->regions[i]);
    }
}

bool pass_threads(TdlModule *m, const TdlPassOptions *opt) {
    if (!opt->openmp) return true;
    for (uint32_t i = 0; i < m->funcs.n; i++) {
        TdlArena scratch;
        arena_init_like(&scratch, m->arena);
        Threads t = {.m = m, .f = m->funcs.p[i], .a = &scratch, .strict = opt->strict_fp};
        if (opt->opt_level > 1 && !opt->strict_fp) t.lanes = (uint32_t)opt->vector_bytes;
        drop_marks(t.f, t.f->body);
        t.uses = ir_use_counts(t.f, &scratch);
        visit(&t, t.f->body);
        drop_unused(&t, t.f->body, ir_use_counts(t.f, &scratch));
        arena_free(&scratch);
    }
    return true;
}
