/* Reading and writing NumPy's .npy files (format 1.0, 2.0, 3.0; little endian, C order; Fortran order is refused).
 * For programs around compiled functions, and for `tdlc run`. */
#ifndef TDL_NPY_H
#define TDL_NPY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TDL_NPY_MAX_RANK 32

typedef struct {
    char dtype[8];                   /* "f8", "f4", "i8", "i4", "b1", "f2" */
    int rank;
    int64_t dims[TDL_NPY_MAX_RANK];
    void *data;                      /* row-major; owned: give back with tdl_npy_free */
} TdlNpy;

/* Reads `path` into *a. 0, or -1 with the reason in tdl_npy_error() (*a is then empty). */
int tdl_npy_read(const char *path, TdlNpy *a);
/* Writes `a` to `path`: to a temporary beside it, renamed when complete. 0 or -1. */
int tdl_npy_write(const char *path, const TdlNpy *a);
/* The reason of the last failure in this thread, with the file's name; never NULL. */
const char *tdl_npy_error(void);
/* Number of elements. */
int64_t tdl_npy_count(const TdlNpy *a);
void tdl_npy_free(TdlNpy *a);

#ifdef __cplusplus
}
#endif

#endif
