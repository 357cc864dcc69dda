/* Matrix products from register tiles: C = base + scale A B, row-major. To be included once for each REAL, after vector.h:
 * GEMM names the function, LOAD and STORE the vectors of WIDTH elements of type VEC.
 *
 * A is read by broadcasts, element (i, p) at a[i * row + p * column], so transposed too; blocks of it stay in the second
 * cache. B is packed into panels of a few vectors of columns, the last of them filled with zeros, but where there are too few
 * rows for that to pay. Tiles are 8 rows by 3 vectors, or 6 by 4 where the columns come out even, or 16 by one. */

enum { GEMM(DEPTH) = 256, GEMM(TALL) = 192, GEMM(FEW) = 24 };

/* Elements that `spare` has, at any address. */
static size_t GEMM(_spare)(long n) { return (size_t)(GEMM(DEPTH) * (n + 4 * WIDTH)); }

/* rows x vectors of C. `last`: how many columns of the last vector there are. */
INLINE void GEMM(_tile)(int rows, int vectors, long k, const REAL *a, long row, long column, const REAL *b, long ldb, REAL scale,
                        const REAL *base, REAL *c, long ldc, int last) {
    VEC s[16][4];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) {
            s[i][v] = (VEC){0};
            __builtin_prefetch(c + i * ldc + v * WIDTH, 1);
            if (base) __builtin_prefetch(base + i * ldc + v * WIDTH);
        }
    for (long p = 0; p < k; p++) {
        VEC x[4];
        for (int v = 0; v < vectors; v++) x[v] = LOAD(b + p * ldb + v * WIDTH);
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < vectors; v++) s[i][v] += a[i * row + p * column] * x[v];
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) {
            REAL *to = c + i * ldc + v * WIDTH;
            size_t bytes = (size_t)last * sizeof(REAL);
            VEC old = {0}, new = scale * s[i][v];
            if (v < vectors - 1 || last == WIDTH) STORE(to, base ? LOAD(base + i * ldc + v * WIDTH) + new : new);
            else {
                if (base) memcpy(&old, base + i * ldc + v * WIDTH, bytes);
                new += old;
                memcpy(to, &new, bytes);
            }
        }
}

/* All rows of a panel of columns. */
INLINE void GEMM(_panel)(int most, int vectors, long m, long k, const REAL *a, long row, long column, const REAL *b, long ldb, REAL scale,
                         const REAL *base, REAL *c, long ldc, int last) {
#define ROWS(r) GEMM(_tile)(r, vectors, k, a + i * row, row, column, b, ldb, scale, base ? base + i * ldc : 0, c + i * ldc, ldc, last)
    long i = 0;
    for (; i + most <= m; i += most) ROWS(most);
    if (most > 8 && i + 8 <= m) ROWS(8), i += 8;
    switch (m - i) {
    case 7: ROWS(7); break;
    case 6: ROWS(6); break;
    case 5: ROWS(5); break;
    case 4: ROWS(4); break;
    case 3: ROWS(3); break;
    case 2: ROWS(2); break;
    case 1: ROWS(1); break;
    default: break;
    }
#undef ROWS
}

#define PANEL(name, most, vectors)                                                                                                \
    static __attribute__((noinline)) void GEMM(name)(long m, long k, const REAL *a, long row, long column, const REAL *b, long ldb,  \
                                                     REAL scale, const REAL *base, REAL *c, long ldc, int last) {                 \
        GEMM(_panel)(most, vectors, m, k, a, row, column, b, ldb, scale, base, c, ldc, last);                                     \
    }
PANEL(_4, 6, 4)
PANEL(_3, 8, 3)
PANEL(_2, 8, 2)
PANEL(_1, 16, 1)
#undef PANEL

/* Columns of a panel at j: as many vectors as there are, `width` at most. */
INLINE long GEMM(_vectors)(long n, long j, long width) {
    long left = (n - j + WIDTH - 1) / WIDTH;
    return left < width ? left : width;
}

static void GEMM(_pack)(long n, long k, const REAL *b, long ldb, long width, long from, REAL *to) {
    for (long j = from; j < n; j += width * WIDTH) {
        long columns = GEMM(_vectors)(n, j, width) * WIDTH, there = n - j < columns ? n - j : columns;
        for (long p = 0; p < k; p++, to += columns)
            if (there == columns)
                for (long v = 0; v < columns; v += WIDTH) STORE(to + v, LOAD(b + p * ldb + j + v));
            else {
                memset(to, 0, (size_t)columns * sizeof(REAL));
                memcpy(to, b + p * ldb + j, (size_t)there * sizeof(REAL));
            }
    }
}

/* Panels from column `first` on are packed. */
static void GEMM(_block)(long m, long n, long k, const REAL *a, long row, long column, const REAL *b, long ldb, REAL scale, const REAL *base,
                         REAL *c, long ldc, long width, long first, const REAL *packed) {
    for (long j = 0; j < n; j += width * WIDTH) {
        long vectors = GEMM(_vectors)(n, j, width), ld = j < first ? ldb : vectors * WIDTH;
        int last = (int)(n - j < vectors * WIDTH ? n - j - (vectors - 1) * WIDTH : WIDTH);
        const REAL *from = j < first ? b + j : packed + (j - first) * k, *old = base ? base + j : 0;
        if (vectors == 4) GEMM(_4)(m, k, a, row, column, from, ld, scale, old, c + j, ldc, last);
        else if (vectors == 3) GEMM(_3)(m, k, a, row, column, from, ld, scale, old, c + j, ldc, last);
        else if (vectors == 2) GEMM(_2)(m, k, a, row, column, from, ld, scale, old, c + j, ldc, last);
        else GEMM(_1)(m, k, a, row, column, from, ld, scale, old, c + j, ldc, last);
    }
}

static void GEMM()(long m, long n, long k, const REAL *a, long row, long column, const REAL *b, long ldb, REAL scale, const REAL *base, REAL *c,
                   long ldc, REAL *spare) {
    long whole = n / WIDTH, width = whole % 4 == 0 && whole <= 8 ? 4 : 3, step = width * WIDTH;
    long first = m < GEMM(FEW) ? (n % WIDTH ? n / step * step : n) : 0;
    for (long p = 0; p < k; p += GEMM(DEPTH)) {
        long depth = k - p < GEMM(DEPTH) ? k - p : GEMM(DEPTH);
        const REAL *old = p ? c : base;
        GEMM(_pack)(n, depth, b + p * ldb, ldb, width, first, spare);
        for (long i = 0; i < m; i += GEMM(TALL))
            GEMM(_block)(m - i < GEMM(TALL) ? m - i : GEMM(TALL), n, depth, a + i * row + p * column, row, column, b + p * ldb, ldb, scale,
                         old ? old + i * ldc : 0, c + i * ldc, ldc, width, first, spare);
    }
}

#undef REAL
#undef VEC
#undef WIDTH
#undef LOAD
#undef STORE
#undef GEMM
