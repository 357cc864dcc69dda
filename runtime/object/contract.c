/* c[m, n] (+)= sum over k of a[m, k] * b[k, n], any strides, by the kernels that codegen made for the target.
 *
 * Tiles of some rows by one to three vectors of columns are computed in registers (kernel `tile`). Its vectors go along
 * n, so b and c must be contiguous there: the roles of a and b are exchanged where that leaves less to move; what is
 * still not contiguous in b is packed, a tile of c is computed in a buffer and moved. Where b does not stay in the second-level
 * cache, blocks of it are packed that do, and all rows of a go through the first-level cache for each: 8 rows by DEPTH
 * meet one pass of the block after the other. A result of one row is bound by reading b once: `axpy` adds multiples of
 * its rows, `dots` multiplies along them.
 * Windows (nsums > 0) are where the rows of a and the products of a sum lie at no single stride: the offsets of both are
 * listed, those of the sum by runs of its longest loop. They come with vectors of c along n already, and a is not packed.
 * Strides are in bytes. No element outside of the operands is read or written: kernels mask, or get whole vectors. */
#include "runtime/object/bodies.h"

#include <string.h>

enum {
    MOVE = 8,
    GROUP = 16,
    CHUNK = 16 << 10,    /* bytes of a row of c that stay in the first-level cache */
    EDGE_BYTES = 8 << 10 /* packed where there is no room: a vector in each of 128 rows of b, a narrow one in each of DEPTH */
};

static int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }

static void swap(int64_t *x, int64_t *y) {
    int64_t t = *x;
    *x = *y;
    *y = t;
}

static void swap_roles(TdlrtContract *p) {
    const char *a = p->a;
    p->a = p->b;
    p->b = a;
    swap(&p->m, &p->n);
    swap(&p->am, &p->bn);
    swap(&p->ak, &p->bk);
    swap(&p->cm, &p->cn);
}

/* Time with vectors along n, in products of one element: whole vectors, and MOVE for an element that has to be moved. */
static int64_t time_of(const TdlrtContract *p, const TdlrtKernels *t) {
    int64_t moved = (p->bn != t->size ? p->k * p->n : 0) + (p->cn != t->size ? p->m * p->n : 0);
    return p->m * ((p->n + t->lanes - 1) / t->lanes * t->lanes) * p->k + MOVE * moved;
}

static void orient(TdlrtContract *p, const TdlrtKernels *t) {
    /* The stride of an axis of one element is never used. */
    if (p->m == 1) p->am = p->cm = t->size;
    if (p->n == 1) p->bn = p->cn = t->size;
    if (p->k == 1) p->ak = p->bk = t->size;
    TdlrtContract other = *p;
    swap_roles(&other);
    if (p->m == 1) return;
    if (p->n == 1 || time_of(&other, t) < time_of(p, t)) *p = other;
}

/* ---- moving elements ---- */

static void move_each(char *to, int64_t tr, int64_t tc, const char *from, int64_t fr, int64_t fc, int64_t rows, int64_t cols, int64_t size) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            char *x = to + i * tr + j * tc;
            const char *y = from + i * fr + j * fc;
            if (size == 8) *(int64_t *)(void *)x = *(const int64_t *)(const void *)y;
            else *(int32_t *)(void *)x = *(const int32_t *)(const void *)y;
        }
}

/* Rows of `from` become columns of `to`; both are contiguous along their own. */
static void transpose(const TdlrtKernels *t, char *to, int64_t tc, const char *from, int64_t fr, int64_t rows, int64_t cols) {
    for (int64_t i = 0; i < rows; i += t->lanes)
        for (int64_t j = 0; j < cols; j += t->lanes) {
            int64_t r = least(t->lanes, rows - i), c = least(t->lanes, cols - j);
            char *x = to + i * t->size + j * tc;
            const char *y = from + i * fr + j * t->size;
            if (t->masked || (r == t->lanes && c == t->lanes)) t->transpose(x, tc, y, fr, r, c);
            else move_each(x, t->size, tc, y, fr, t->size, r, c, t->size);
        }
}

static void copy_rows(char *to, int64_t tr, const char *from, int64_t fr, int64_t rows, int64_t bytes) {
    for (int64_t i = 0; i < rows; i++, to += tr, from += fr) {
        int64_t at = 0;
        for (; at + 64 <= bytes; at += 64) memcpy(to + at, from + at, 64);
        if (bytes - at == 32) memcpy(to + at, from + at, 32);
        else if (at < bytes) memcpy(to + at, from + at, (size_t)(bytes - at));
    }
}

/* to[i*tr + j*tc] = from[i*fr + j*fc] */
static void move(const TdlrtKernels *t, char *to, int64_t tr, int64_t tc, const char *from, int64_t fr, int64_t fc, int64_t rows, int64_t cols) {
    int64_t size = t->size;
    if (tc == size && fc == size) {
        copy_rows(to, tr, from, fr, rows, cols * size);
    } else if (tr == size && fr == size) {
        copy_rows(to, tc, from, fc, cols, rows * size);
    } else if (tr == size && fc == size) {
        transpose(t, to, tc, from, fr, rows, cols);
    } else if (tc == size && fr == size) {
        transpose(t, to, tr, from, fc, cols, rows);
    } else {
        move_each(to, tr, tc, from, fr, fc, rows, cols, size);
    }
}

/* ---- one row ---- */

static void sum_rows(const TdlrtKernels *t, const TdlrtContract *p) {
    int64_t chunk = CHUNK / t->size;
    for (int64_t j = 0; j < p->n; j += chunk) {
        int64_t n = least(chunk, p->n - j), k = 0;
        char *c = p->c + j * t->size;
        const char *b = p->b + j * t->size;
        if (!p->accumulate) memset(c, 0, (size_t)(n * t->size));
        for (; k + TDLRT_ROW_GROUP <= p->k; k += TDLRT_ROW_GROUP) t->axpy[1](n, p->a + k * p->ak, p->ak, b + k * p->bk, p->bk, c);
        for (; k < p->k; k++) t->axpy[0](n, p->a + k * p->ak, p->ak, b + k * p->bk, p->bk, c);
    }
}

static void multiply_rows(const TdlrtKernels *t, const TdlrtContract *p, int64_t i) {
    int64_t j = 0;
    const char *a = p->a + i * p->am;
    char *c = p->c + i * p->cm;
    for (; j + TDLRT_ROW_GROUP <= p->n; j += TDLRT_ROW_GROUP) t->dots[1](p->k, a, p->b + j * p->bn, p->bn, c + j * p->cn, p->cn, p->accumulate);
    for (; j < p->n; j++) t->dots[0](p->k, a, p->b + j * p->bn, p->bn, c + j * p->cn, p->cn, p->accumulate);
}

/* ---- tiles ---- */

/* A part of the work: rows i0.. of a and c; of some runs, `depth` products each from k0 on; `cols` columns of b and c. */
typedef struct {
    int64_t i0, rows, k0, depth, accumulate;
    const char *b;           /* contiguous vectors; packed or where it is */
    int64_t b_stride, cols, vectors;
    int64_t most;            /* vectors */
    char *packed_a;          /* rows i0.., tile by tile; NULL: they are where they are */
    char *room;              /* for packing columns of b */
    int64_t room_bytes;
    int64_t nruns;
    const TdlrtOffset *from; /* where the runs begin */
    TdlrtOffset *runs;       /* likewise, in what is packed where that is */
    const TdlrtOffset *row;  /* of a: rows i0.. (of windows) */
} Part;

/* Rows of the next tile. */
static int64_t tile_log(const TdlrtKernels *t, int64_t rows_left) {
    int64_t log_rows = t->log_rows;
    while (1 << log_rows > rows_left) log_rows--;
    return log_rows;
}

static char *packed_rows(const TdlrtKernels *t, const Part *s, int64_t i) { return s->packed_a + (i - s->i0) * s->depth * t->size; }

/* Rows of a that are not contiguous: some products at a time, so that what lies side by side is read at once. */
static void pack_a(const TdlrtKernels *t, const TdlrtContract *p, const Part *s) {
    for (int64_t k = 0; k < s->depth; k += GROUP)
        for (int64_t i = s->i0, rows; i < s->i0 + s->rows; i += rows) {
            rows = 1 << tile_log(t, s->i0 + s->rows - i);
            char *to = packed_rows(t, s, i) + k * rows * t->size;
            move(t, to, t->size, rows * t->size, p->a + i * p->am + (s->k0 + k) * p->ak, p->am, p->ak, rows, least(GROUP, s->depth - k));
        }
}

/* Columns from j on: evenly many vectors a pass, and what fills none is a pass of its own. */
static void take_columns(const TdlrtKernels *t, const TdlrtContract *p, Part *s, int64_t j) {
    int64_t vectors = (p->n - j) / t->lanes, passes = (vectors + s->most - 1) / s->most;
    s->vectors = vectors ? (vectors + passes - 1) / passes : 1;
    s->cols = least(s->vectors * t->lanes, p->n - j);
    s->b = p->b + s->k0 * p->bk + j * p->bn;
    s->b_stride = p->bk;
    for (int64_t r = 0; r < s->nruns; r++) s->runs[r].b = s->from[r].b;
}

/* The columns are in `packed`. */
static void use_packed(const TdlrtKernels *t, Part *s, const char *packed) {
    s->b = packed;
    s->b_stride = s->vectors * t->lanes * t->size;
    for (int64_t r = 0; r < s->nruns; r++) s->runs[r].b = r * s->depth * s->b_stride;
}

/* Runs from r on that lie one behind the other in b. */
static int64_t joined(const TdlrtContract *p, const Part *s, int64_t r) {
    int64_t n = 1;
    while (r + n < s->nruns && s->from[r + n].b == s->from[r].b + n * s->depth * p->bk) n++;
    return n;
}

static void pack_b(const TdlrtKernels *t, const TdlrtContract *p, Part *s, char *to) {
    int64_t width = s->vectors * t->lanes * t->size, used = s->cols * t->size, run = s->depth * width;
    for (int64_t r = 0, n; r < s->nruns; r += n) {
        n = joined(p, s, r);
        move(t, to + r * run, width, t->size, s->b + s->from[r].b, p->bk, p->bn, n * s->depth, s->cols);
    }
    for (int64_t i = 0; used < width && i < s->nruns * s->depth; i++) memset(to + i * width + used, 0, (size_t)(width - used));
    use_packed(t, s, to);
}

static void tile(const TdlrtKernels *t, const TdlrtContract *p, const Part *s, int64_t i, int64_t log_rows, char *c) {
    int64_t rows = 1 << log_rows, width = s->vectors * t->lanes, row = width * t->size, whole = s->cols == width;
    int64_t am = s->packed_a ? t->size : p->am, ak = s->packed_a ? rows * t->size : p->ak, a_rows[TDLRT_TILE_ROWS];
    const char *a = s->packed_a ? packed_rows(t, s, i) : p->a + (s->row ? 0 : i * p->am) + s->k0 * p->ak;
    TdlrtTile *kernel = t->tile[log_rows][whole || !t->masked ? s->vectors : 0];
    for (int64_t r = 0; r < rows; r++) a_rows[r] = s->row ? s->row[i - s->i0 + r].a : r * am;
    if (p->cn == t->size && (whole || t->masked)) {
        kernel(s->depth, a, a_rows, ak, s->b, s->b_stride, c, p->cm, s->cols, s->accumulate, s->nruns, s->runs);
        return;
    }
    _Alignas(64) char buffer[TDLRT_TILE_ROWS * TDLRT_TILE_VECTORS * TDLRT_VECTOR_BYTES];
    if (s->accumulate) move(t, buffer, row, t->size, c, p->cm, p->cn, rows, s->cols);
    kernel(s->depth, a, a_rows, ak, s->b, s->b_stride, buffer, row, s->cols, s->accumulate, s->nruns, s->runs);
    move(t, c, p->cm, p->cn, buffer, row, t->size, rows, s->cols);
}

/* All rows of the columns that were taken. */
static void tiles(const TdlrtKernels *t, const TdlrtContract *p, const Part *s, int64_t j) {
    for (int64_t i = s->i0, log_rows; i < s->i0 + s->rows; i += 1 << log_rows) {
        log_rows = tile_log(t, s->i0 + s->rows - i);
        tile(t, p, s, i, log_rows, p->c + i * p->cm + j * p->cn);
    }
}

/* All columns; what must be packed is packed pass by pass. */
static void part(const TdlrtKernels *t, const TdlrtContract *p, Part *s) {
    for (int64_t j = 0; j < p->n; j += s->cols) {
        take_columns(t, p, s, j);
        if (p->bn != t->size || (s->cols < t->lanes && !t->masked)) pack_b(t, p, s, s->room);
        tiles(t, p, s, j);
    }
}

/* ---- products ---- */

/* Bytes that `vectors` vectors take in each of `depth` rows. */
static int64_t pass_bytes(const TdlrtKernels *t, int64_t depth, int64_t vectors) { return depth * vectors * t->lanes * t->size; }

/* Packs columns from j on, as many as there is room for; where the next ones begin. */
static int64_t pack_block(const TdlrtKernels *t, const TdlrtContract *p, Part *s, int64_t j) {
    int64_t used = 0, most = pass_bytes(t, s->depth, s->most);
    do {
        take_columns(t, p, s, j);
        pack_b(t, p, s, s->room + used);
        used += pass_bytes(t, s->depth, s->vectors);
        j += s->cols;
    } while (j < p->n && used + most <= s->room_bytes);
    return j;
}

static void packed_part(const TdlrtKernels *t, const TdlrtContract *p, Part *s, int64_t j, int64_t end) {
    const char *at = s->room;
    for (; j < end; j += s->cols) {
        take_columns(t, p, s, j);
        use_packed(t, s, at);
        tiles(t, p, s, j);
        at += pass_bytes(t, s->depth, s->vectors);
    }
}

/* Is b packed for all rows? Where its vectors are not contiguous it has to be; else its pages must be many and rows of a
 * enough. */
static int64_t packs(const TdlrtKernels *t, const TdlrtContract *p) {
    return p->bn != t->size || (p->room_bytes > 0 && p->m >= TDLRT_PACK_ROWS && p->k * p->n * t->size > TDLRT_CACHE_BYTES);
}

/* Where and how b is packed in parts of about `depth` rows; the number of rows. A block of b stays in the second-level
 * cache while rows of a go through the first-level one, tile by tile; where a part of a stays, the columns of a pass do. */
static int64_t take_room(const TdlrtKernels *t, const TdlrtContract *p, Part *s, int64_t depth, char *edge) {
    s->most = least(s->most, (p->n + t->lanes - 1) / t->lanes);
    int64_t pass = pass_bytes(t, depth, s->most);
    s->room = p->room;
    s->room_bytes = p->room_bytes;
    int64_t tiles = (p->m + TDLRT_TILE_ROWS - 1) / TDLRT_TILE_ROWS;
    int64_t part = least(tiles * TDLRT_TILE_ROWS * depth * t->size, TDLRT_STAYS_BYTES);
    if (p->ak != t->size && pass + part <= s->room_bytes) {
        s->packed_a = s->room;
        s->room += part;
        s->room_bytes -= part;
    }
    if (p->m * depth * t->size <= TDLRT_STAYS_BYTES) s->room_bytes = least(s->room_bytes, pass);
    if (pass <= s->room_bytes) return depth;
    s->packed_a = NULL;
    s->room = edge;
    s->room_bytes = EDGE_BYTES;
    s->most = 1;
    return least(depth, EDGE_BYTES / pass_bytes(t, 1, 1));
}

static void parts(const TdlrtKernels *t, const TdlrtContract *p) {
    _Alignas(64) char edge[EDGE_BYTES];
    TdlrtOffset from = {0, 0}, run = {0, 0};
    Part s = {.most = TDLRT_TILE_VECTORS, .nruns = 1, .from = &from, .runs = &run, .room = edge};
    int64_t packed = packs(t, p), rows = packed ? 1 << t->log_rows : p->m, depth = (p->k + TDLRT_DEPTH - 1) / TDLRT_DEPTH;
    depth = (p->k + depth - 1) / depth;   /* even parts */
    if (packed) depth = take_room(t, p, &s, depth, edge);
    if (s.packed_a) rows = TDLRT_STAYS_BYTES / (depth * t->size * TDLRT_TILE_ROWS) * TDLRT_TILE_ROWS;
    for (s.k0 = 0; s.k0 < p->k; s.k0 += depth) {
        s.depth = least(depth, p->k - s.k0);
        s.accumulate = p->accumulate || s.k0 > 0;
        for (int64_t j = 0, end; j < p->n; j = end) {
            end = packed ? pack_block(t, p, &s, j) : p->n;
            for (s.i0 = 0; s.i0 < p->m; s.i0 += rows) {
                s.rows = least(rows, p->m - s.i0);
                if (s.packed_a) pack_a(t, p, &s);
                if (packed) packed_part(t, p, &s, j, end);
                else part(t, p, &s);
            }
        }
    }
}

/* ---- windows ---- */

static int64_t product(const TdlrtLoop *loops, int64_t n) {
    int64_t all = 1;
    for (int64_t i = 0; i < n; i++) all *= loops[i].size > 0 ? loops[i].size : 0;
    return all;
}

/* Where iterations first..first + count - 1 of a nest are, outermost loop first. */
static void offsets(const TdlrtLoop *loops, int64_t n, int64_t first, int64_t count, TdlrtOffset *to) {
    int64_t at[TDLRT_LOOPS], a = 0, b = 0;
    for (int64_t i = n; i-- > 0; first /= loops[i].size) {
        at[i] = first % loops[i].size;
        a += at[i] * loops[i].a;
        b += at[i] * loops[i].b;
    }
    for (int64_t k = 0; k < count; k++) {
        to[k] = (TdlrtOffset){a, b};
        for (int64_t i = n; i-- > 0;) {
            a += loops[i].a;
            b += loops[i].b;
            if (++at[i] < loops[i].size) break;
            a -= loops[i].size * loops[i].a;
            b -= loops[i].size * loops[i].b;
            at[i] = 0;
        }
    }
}

/* Does one run along loop x rather than along y? What has to be packed is transposed, where it lies side by side. */
static int64_t runs_better(const TdlrtContract *p, const TdlrtLoop *x, const TdlrtLoop *y, int64_t size) {
    if (p->bn != size && (x->b == size) != (y->b == size)) return x->b == size ? x->size >= MOVE : y->size < MOVE;
    return x->size > y->size;
}

/* The loops of the sum by their strides in b; behind the others the one that the kernels run along. */
static void sort_sums(TdlrtContract *p, TdlrtLoop *sums, int64_t size) {
    int64_t best = 0;
    for (int64_t i = 0; i < p->nsums; i++) {
        int64_t at = i;
        for (; at > 0 && sums[at - 1].b < p->sums[i].b; at--) sums[at] = sums[at - 1];
        sums[at] = p->sums[i];
    }
    for (int64_t i = 1; i < p->nsums; i++)
        if (runs_better(p, &sums[i], &sums[best], size)) best = i;
    TdlrtLoop run = sums[best];
    for (; best + 1 < p->nsums; best++) sums[best] = sums[best + 1];
    sums[best] = run;
    p->sums = sums;
    p->k = run.size;
    p->ak = run.a;
    p->bk = run.b;
}

/* As many lines at once as a strip has. */
static void strips(const TdlrtKernels *t, const TdlrtContract *p, Part *s, int64_t line) {
    s->vectors = 1;
    s->b_stride = p->bk;
    for (int64_t r = 0; r < s->nruns; r++) s->runs[r].b = s->from[r].b;
    for (int64_t j = 0; j < p->n; j += t->lanes) {
        const char *a = p->a + s->k0 * p->ak, *b = p->b + line * p->b_line + s->k0 * p->bk + j * p->bn;
        s->cols = least(t->lanes, p->n - j);
        for (int64_t i = s->i0, log_rows; i < s->i0 + s->rows; i += 1 << log_rows) {
            char *c = p->c + line * p->c_line + i * p->cm + j * p->cn;
            int64_t a_rows[TDLRT_TILE_ROWS];
            log_rows = tile_log(t, s->i0 + s->rows - i);
            for (int64_t r = 0; r < 1 << log_rows; r++) a_rows[r] = s->row[i - s->i0 + r].a;
            if (log_rows == t->log_rows) {
                t->strip(s->depth, a, a_rows, p->ak, b, p->bk, c, p->cm, s->cols, s->accumulate, s->nruns, s->runs, p->b_line, p->c_line);
                continue;
            }
            for (int64_t l = 0; l < TDLRT_STRIP_LINES; l++) {
                s->b = b + l * p->b_line;
                tile(t, p, s, i, log_rows, c + l * p->c_line);
            }
        }
    }
}

static void lines(const TdlrtKernels *t, const TdlrtContract *p, Part *s) {
    int64_t line = 0;
    if (t->strip && p->bn == t->size && p->cn == t->size)
        for (; line + TDLRT_STRIP_LINES <= p->nlines; line += TDLRT_STRIP_LINES) strips(t, p, s, line);
    for (; line < p->nlines; line++) {
        TdlrtContract one = *p;
        one.b += line * p->b_line;
        one.c += line * p->c_line;
        part(t, &one, s);
    }
}

/* Parts of so many runs as fill the panel. */
static void windows(const TdlrtKernels *t, TdlrtContract *p) {
    TdlrtLoop sums[TDLRT_LOOPS] = {{0}};
    TdlrtOffset from[TDLRT_DEPTH], to[TDLRT_DEPTH], row[TDLRT_DEPTH];
    sort_sums(p, sums, t->size);
    int64_t all = product(sums, p->nsums - 1), n = p->k < TDLRT_DEPTH ? TDLRT_DEPTH / p->k : 1;
    int64_t rows = least(TDLRT_CACHE_BYTES / (TDLRT_DEPTH * t->size), TDLRT_DEPTH);
    Part s = {.most = TDLRT_TILE_VECTORS, .room = p->room, .from = from, .runs = to, .row = row};
    for (int64_t r = 0; r < all; r += n) {
        s.nruns = least(n, all - r);
        offsets(sums, p->nsums - 1, r, s.nruns, from);
        for (int64_t i = 0; i < s.nruns; i++) to[i] = from[i];
        for (s.k0 = 0; s.k0 < p->k; s.k0 += TDLRT_DEPTH)
            for (s.i0 = 0; s.i0 < p->m; s.i0 += rows) {
                s.rows = least(rows, p->m - s.i0);
                s.depth = least(TDLRT_DEPTH, p->k - s.k0);
                s.accumulate = p->accumulate || r > 0 || s.k0 > 0;
                offsets(p->rows, p->nrows, s.i0, s.rows, row);
                lines(t, p, &s);
            }
    }
}

static void clear(const TdlrtContract *p, int64_t size) {
    for (int64_t l = 0; l < p->nlines; l++)
        for (int64_t i = 0; i < p->m; i++)
            for (int64_t j = 0; j < p->n; j++) memset(p->c + l * p->c_line + i * p->cm + j * p->cn, 0, (size_t)size);
}

void tdlrt_contract(const TdlrtKernels *t, const TdlrtContract *given) {
    TdlrtContract p = *given;
    if (p.nsums) {
        p.m = product(p.rows, p.nrows);
        p.k = product(p.sums, p.nsums);
    }
    if (p.m <= 0 || p.n <= 0 || p.nlines <= 0) return;
    if (p.k < 0) p.k = 0;
    if (!p.nsums) orient(&p, t);
    if (p.nsums && p.k > 0) {
        windows(t, &p);
    } else if (p.k == 0) {
        if (!p.accumulate) clear(&p, t->size);
    } else if (p.m < TDLRT_ROW_GROUP / 2 && p.ak == t->size && p.bk == t->size && (p.bn != t->size || p.n == 1)) {
        for (int64_t i = 0; i < p.m; i++) multiply_rows(t, &p, i);
    } else if (p.m == 1 && p.bn == t->size && p.cn == t->size) {
        sum_rows(t, &p);
    } else {
        parts(t, &p);
    }
}
