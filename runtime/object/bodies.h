/* Run-time bodies that an object carries itself. They are written in C here, translated to LLVM IR text once
 * (scripts/gen-bodies makes the .ll files of codegen/) and merged into each module: an object needs libc and libm only.
 * Everything is tdlrt_ but tdl_last_error, which users call. */
#ifndef TDL_RUNTIME_OBJECT_BODIES_H
#define TDL_RUNTIME_OBJECT_BODIES_H

#include <stddef.h>
#include <stdint.h>

/* A block of malloc that holds temporaries of the growing part (only where the caller gave no workspace). */
typedef struct TdlrtChunk { struct TdlrtChunk *prev; int64_t start, bytes; } TdlrtChunk;

/* A stack (the tape of a loop of unknown length): rows of one size in blocks of the growing part. */
typedef struct TdlrtBlock { struct TdlrtBlock *prev, *next; int64_t capacity; } TdlrtBlock;
typedef struct TdlrtStack {
    TdlrtBlock *block;   /* that holds the top row */
    int64_t used;        /* rows of it */
    int64_t row_bytes;
} TdlrtStack;

/* The sets of a call (sets.c). */
typedef struct TdlrtSets TdlrtSets;

/* State of one call. The caller's workspace beyond the planned part is [lo, hi); with `grow`, chunks come from malloc.
 * `top` counts the bytes taken. What is kept until the call ends, whatever is released, comes from the other end, or
 * from chunks of its own. */
typedef struct TdlrtCtx {
    char *lo, *hi;
    int64_t top;
    TdlrtChunk *chunks;
    int64_t grow;
    char *saved, *saved_end; /* of a split function: what is left of the state between its halves */
    TdlrtChunk *kept;
    TdlrtSets *sets;
} TdlrtCtx;

/* An argument in memory. */
typedef struct TdlrtMemory { const char *name, *p; int64_t bytes; } TdlrtMemory;

const char *tdl_last_error(void);
int tdlrt_fail(int status, const char *message);
int tdlrt_fail_values(int status, const char *message, const int64_t *values);
int tdlrt_separate(const char *function, const TdlrtMemory *args, int64_t n, int64_t ninputs, const uint8_t *over);
void *tdlrt_take(TdlrtCtx *c, int64_t bytes);
int tdlrt_full(const TdlrtCtx *c);
int64_t tdlrt_mark(TdlrtCtx *c);
void tdlrt_release(TdlrtCtx *c, int64_t mark);
TdlrtStack *tdlrt_stack(TdlrtCtx *c, int64_t row_bytes);
void *tdlrt_push(TdlrtCtx *c, TdlrtStack *s);
void *tdlrt_pop(TdlrtStack *s);
void *tdlrt_saved(TdlrtCtx *c, int64_t bytes);
int tdlrt_save_stack(TdlrtCtx *c, TdlrtStack *s);
TdlrtStack *tdlrt_restore_stack(TdlrtCtx *c, int64_t row_bytes);
void *tdlrt_keep(TdlrtCtx *c, int64_t bytes);
int tdlrt_keep_failed(const TdlrtCtx *c);
void tdlrt_finish(TdlrtCtx *c);
int tdlrt_set_union(TdlrtCtx *c, const int64_t *sets, int64_t n, int64_t *all);
int64_t tdlrt_set_size(int64_t set);
int64_t tdlrt_set_at(int64_t set, int64_t k);
/* 1 to 4, kept in *known, which starts as 0 (x86-64 alone). */
int tdlrt_x86_level(int *known);
int64_t tdlrt_ipow(int64_t x, int64_t n);
int64_t tdlrt_philox(int64_t seed, int64_t counter);
double tdlrt_polygamma(int64_t n, double x);
double tdlrt_lgamma(double x);

/* threads.c: a chunk of a loop; `frame` is what it reads of the function around. */
typedef int TdlrtWork(const void *frame, int64_t chunk);
int tdlrt_threads(TdlrtWork *work, const void *frame, int64_t n);

/* contract.c. Kernels of a target for one element type, made by codegen/kernels.c; strides are in bytes. */
enum {
#define CONTRACT(name, value) TDLRT_##name = value,
#include "runtime/object/contract.def"
#undef CONTRACT
};
/* Offsets in bytes. */
typedef struct TdlrtOffset { int64_t a, b; } TdlrtOffset;
/* c[rows, cols] (+)= a b, summed over `nruns` runs of k products, which begin at `runs` behind a and b; a_rows[r]: bytes
 * from a to its row r; cols: of a part of a vector. */
typedef void TdlrtTile(int64_t k, const char *a, const int64_t *a_rows, int64_t ak, const char *b, int64_t bk, char *c, int64_t cm, int64_t cols,
                       int64_t accumulate, int64_t nruns, const TdlrtOffset *runs);
/* The same of whole tiles of the most rows, with TDLRT_STRIP_LINES vectors of up to `cols` columns, which lie b_line and
 * c_line bytes apart. */
typedef void TdlrtStrip(int64_t k, const char *a, const int64_t *a_rows, int64_t ak, const char *b, int64_t bk, char *c, int64_t cm, int64_t cols,
                        int64_t accumulate, int64_t nruns, const TdlrtOffset *runs, int64_t b_line, int64_t c_line);
typedef struct TdlrtKernels {
    int64_t size, lanes;    /* bytes of an element; elements of a vector */
    int64_t masked;         /* kernels take parts of vectors */
    int64_t log_rows;       /* the tallest tile */
    TdlrtTile *tile[4][4];  /* 1, 2, 4, 8 rows; a part of a vector (where masked), 1, 2, 3 vectors */
    /* to[j, i] = from[i, j] for up to `lanes` rows and columns (without masks: for `lanes`); columns are contiguous */
    void (*transpose)(char *to, int64_t tr, const char *from, int64_t fr, int64_t rows, int64_t cols);
    /* c[n] += a[r] b[r, n] for 1 or TDLRT_ROW_GROUP rows r of b */
    void (*axpy[2])(int64_t n, const char *a, int64_t ak, const char *b, int64_t bk, char *c);
    /* c[r] (+)= a[k] b[r, k] for 1 or TDLRT_ROW_GROUP rows r */
    void (*dots[2])(int64_t k, const char *a, const char *b, int64_t bn, char *c, int64_t cn, int64_t accumulate);
    TdlrtStrip *strip;      /* NULL: none (no masks) */
} TdlrtKernels;
/* A loop and its strides in bytes. */
typedef struct TdlrtLoop { int64_t size, a, b; } TdlrtLoop;
typedef struct TdlrtContract {
    int64_t m, n, k;
    const char *a;
    int64_t am, ak;
    const char *b;
    int64_t bk, bn;
    char *c;
    int64_t cm, cn;
    char *room;             /* for packing; none: room_bytes is 0, and what must be packed is, in small parts */
    int64_t room_bytes;
    int64_t accumulate;
    /* Of windows: the loops that are summed instead of k, and those that together are m (a: where the row of a is). */
    int64_t nsums, nrows;
    const TdlrtLoop *sums, *rows;
    int64_t nlines, b_line, c_line; /* n columns so many times, so many bytes apart */
} TdlrtContract;
void tdlrt_contract(const TdlrtKernels *t, const TdlrtContract *given);

/* lapack.c: dimensions, inputs, outputs, workspace. */
#define TDLRT_LAPACK(T, suffix) \
    int tdlrt_lu_##suffix(int64_t, int64_t, const T *, T *, int32_t *, int64_t *, void *, size_t); \
    int tdlrt_lu_solve_##suffix(int64_t, int64_t, int64_t, const T *, const int32_t *, const T *, uint8_t, T *, void *, size_t); \
    int tdlrt_solve_triangular_##suffix(int64_t, int64_t, int64_t, const T *, const T *, uint8_t, uint8_t, uint8_t, T *, void *, size_t); \
    int tdlrt_cholesky_##suffix(int64_t, int64_t, const T *, T *, int64_t *, void *, size_t); \
    int tdlrt_qr_##suffix(int64_t, int64_t, int64_t, const T *, T *, T *, T *, T *, int64_t *, void *, size_t); \
    int tdlrt_eigh_##suffix(int64_t, int64_t, const T *, T *, T *, T *, int32_t *, int64_t *, void *, size_t); \
    int tdlrt_svd_##suffix(int64_t, int64_t, int64_t, int64_t, const T *, T *, T *, T *, T *, T *, int32_t *, int64_t *, void *, size_t);
TDLRT_LAPACK(double, f64)
TDLRT_LAPACK(float, f32)

#endif
