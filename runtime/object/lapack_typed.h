/* One element type of lapack.c: REAL, NAME(x) of our functions, FORTRAN(x) of LAPACK's and BLAS's. */

/* Fortran passes the lengths of texts at the end. */
void FORTRAN(getrf)(const int32_t *m, const int32_t *n, REAL *a, const int32_t *lda, int32_t *piv, int32_t *info);
void FORTRAN(potrf)(const char *uplo, const int32_t *n, REAL *a, const int32_t *lda, int32_t *info, size_t);
void FORTRAN(trsm)(const char *side, const char *uplo, const char *trans, const char *diag, const int32_t *m,
                   const int32_t *n, const REAL *alpha, const REAL *a, const int32_t *lda, REAL *b, const int32_t *ldb,
                   size_t, size_t, size_t, size_t);
void FORTRAN(gelqf)(const int32_t *m, const int32_t *n, REAL *a, const int32_t *lda, REAL *tau, REAL *work,
                    const int32_t *lwork, int32_t *info);
void FORTRAN(orglq)(const int32_t *m, const int32_t *n, const int32_t *k, REAL *a, const int32_t *lda, const REAL *tau,
                    REAL *work, const int32_t *lwork, int32_t *info);
void FORTRAN(syevd)(const char *jobz, const char *uplo, const int32_t *n, REAL *a, const int32_t *lda, REAL *w,
                    REAL *work, const int32_t *lwork, int32_t *iwork, const int32_t *liwork, int32_t *info, size_t, size_t);
void FORTRAN(gesdd)(const char *jobz, const int32_t *m, const int32_t *n, REAL *a, const int32_t *lda, REAL *s, REAL *u,
                    const int32_t *ldu, REAL *vt, const int32_t *ldvt, REAL *work, const int32_t *lwork, int32_t *iwork,
                    int32_t *info, size_t);

/* X^T op(S) = B^T for the triangular S = A^T that memory holds; x: n rows of k. */
static void NAME(solve_rows)(int64_t n, int64_t k, const REAL *a, int upper, int trans, int unit, REAL *x) {
    int32_t rows = small(k), cols = small(n), lda = leading(n), ldb = leading(k);
    REAL one = 1;
    if (n && k)
        FORTRAN(trsm)("R", upper ? "L" : "U", trans ? "T" : "N", unit ? "U" : "N", &rows, &cols, &one, a, &lda, x,
                      &ldb, 1, 1, 1, 1);
}

static void NAME(swap_rows)(int64_t k, REAL *x, REAL *y) {
    for (int64_t i = 0; x != y && i < k; i++) {
        REAL t = x[i];
        x[i] = y[i];
        y[i] = t;
    }
}

/* A^T = P L U, with L, U and the row numbers P (from 1) as LAPACK stores them. */
int NAME(tdlrt_lu)(int64_t b, int64_t n, const REAL *a, REAL *lu, int32_t *piv, int64_t *info, void *workspace,
                   size_t bytes) {
    (void)workspace, (void)bytes;
    if (n > LARGEST) return 1;
    memcpy(lu, a, (size_t)(b * n * n) * sizeof *a);
    *info = 0;
    for (int64_t i = 0; i < b; i++) {
        int32_t m = small(n), lda = leading(n), bad = 0;
        FORTRAN(getrf)(&m, &m, lu + i * n * n, &lda, piv + i * n, &bad);
        if (bad && !*info) *info = i + 1;
    }
    return 0;
}

/* A X = B: X^T P L U = B^T.   A^T X = B: X^T U^T L^T P^T = B^T. */
int NAME(tdlrt_lu_solve)(int64_t b, int64_t n, int64_t k, const REAL *lu, const int32_t *piv, const REAL *rhs,
                         uint8_t adjoint, REAL *x, void *workspace, size_t bytes) {
    (void)workspace, (void)bytes;
    if (n > LARGEST || k > LARGEST) return 1;
    memcpy(x, rhs, (size_t)(b * n * k) * sizeof *x);
    for (; b > 0; b--, lu += n * n, piv += n, x += n * k) {
        for (int64_t i = 0; adjoint && i < n; i++) NAME(swap_rows)(k, x + i * k, x + (piv[i] - 1) * k);
        NAME(solve_rows)(n, k, lu, adjoint, adjoint, adjoint, x);
        NAME(solve_rows)(n, k, lu, !adjoint, adjoint, !adjoint, x);
        for (int64_t i = n; !adjoint && i-- > 0;) NAME(swap_rows)(k, x + i * k, x + (piv[i] - 1) * k);
    }
    return 0;
}

int NAME(tdlrt_solve_triangular)(int64_t b, int64_t n, int64_t k, const REAL *a, const REAL *rhs, uint8_t upper,
                                 uint8_t adjoint, uint8_t unit, REAL *x, void *workspace, size_t bytes) {
    (void)workspace, (void)bytes;
    if (n > LARGEST || k > LARGEST) return 1;
    memcpy(x, rhs, (size_t)(b * n * k) * sizeof *x);
    for (int64_t i = 0; i < b; i++)
        NAME(solve_rows)(n, k, a + i * n * n, upper, adjoint, unit, x + i * n * k);
    return 0;
}

/* A = L L^T, from the lower triangle of A. */
int NAME(tdlrt_cholesky)(int64_t b, int64_t n, const REAL *a, REAL *l, int64_t *info, void *workspace,
                         size_t bytes) {
    (void)workspace, (void)bytes;
    if (n > LARGEST) return 1;
    memcpy(l, a, (size_t)(b * n * n) * sizeof *a);
    *info = 0;
    for (int64_t i = 0; i < b; i++, l += n * n) {
        int32_t m = small(n), lda = leading(n), bad = 0;
        FORTRAN(potrf)("U", &m, l, &lda, &bad, 1);
        if (bad && !*info) *info = i + 1;
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = r + 1; c < n; c++) l[r * n + c] = 0;
    }
    return 0;
}

/* A = Q R of n <= m columns: A^T = R^T Q^T is LAPACK's LQ. q: m rows of n; work: 64*n + 64. */
int NAME(tdlrt_qr)(int64_t b, int64_t m, int64_t n, const REAL *a, REAL *q, REAL *r, REAL *tau, REAL *work,
                   int64_t *info, void *workspace, size_t bytes) {
    (void)workspace, (void)bytes;
    if (m > LARGEST || n > LARGEST / 64 - 1) return 1;
    memcpy(q, a, (size_t)(b * m * n) * sizeof *a);
    *info = 0;
    for (int64_t i = 0; i < b; i++, q += m * n, r += n * n) {
        int32_t rows = small(n), cols = small(m), lda = leading(n), lwork = small(64 * n + 64), bad = 0;
        FORTRAN(gelqf)(&rows, &cols, q, &lda, tau, work, &lwork, &bad);
        for (int64_t j = 0; j < n * n; j++) r[j] = j % n < j / n ? 0 : q[j];
        if (!bad) FORTRAN(orglq)(&rows, &cols, &rows, q, &lda, tau, work, &lwork, &bad);
        if (bad && !*info) *info = i + 1;
    }
    return 0;
}

/* Eigenvalues in ascending order, and the eigenvectors as rows; from the lower triangle of A.
 * work: 2*n*n + 6*n + 1, iwork: 5*n + 3 (LAPACK's own bounds). */
int NAME(tdlrt_eigh)(int64_t b, int64_t n, const REAL *a, REAL *w, REAL *v, REAL *work, int32_t *iwork, int64_t *info,
                     void *workspace, size_t bytes) {
    (void)workspace, (void)bytes;
    if (n > 30000) return 1;
    memcpy(v, a, (size_t)(b * n * n) * sizeof *a);
    *info = 0;
    for (int64_t i = 0; i < b; i++) {
        int32_t m = small(n), lda = leading(n), bad = 0;
        int32_t lwork = small(2 * n * n + 6 * n + 1), liwork = small(5 * n + 3);
        FORTRAN(syevd)("V", "U", &m, v + i * n * n, &lda, w + i * n, work, &lwork, iwork, &liwork, &bad, 1, 1);
        if (bad && !*info) *info = i + 1;
    }
    return 0;
}

/* A = U diag(s) V^T with k = min(m, n): A^T = V diag(s) U^T is LAPACK's. vt: k rows of n; copy: m*n,
 * work: 4*k*k + 7*k + 64*(m + n) + 64, iwork: 8*k. */
int NAME(tdlrt_svd)(int64_t b, int64_t m, int64_t n, int64_t k, const REAL *a, REAL *u, REAL *s, REAL *vt, REAL *copy,
                    REAL *work, int32_t *iwork, int64_t *info, void *workspace, size_t bytes) {
    (void)workspace, (void)bytes;
    int64_t size = 4 * k * k + 7 * k + 64 * (m + n) + 64;
    if (k != (m < n ? m : n) || size > LARGEST) return 1;
    *info = 0;
    for (int64_t i = 0; i < b; i++) {
        int32_t rows = small(n), cols = small(m), lda = leading(n), ldv = leading(k), lwork = small(size), bad = 0;
        memcpy(copy, a + i * m * n, (size_t)(m * n) * sizeof *a);
        FORTRAN(gesdd)("S", &rows, &cols, copy, &lda, s + i * k, vt + i * k * n, &lda, u + i * m * k, &ldv, work,
                       &lwork, iwork, &bad, 1);
        if (bad && !*info) *info = i + 1;
    }
    return 0;
}
