/* .npy files: the header is a Python dictionary literal in a fixed frame; see numpy/lib/format.py, versions 1.0 to 3.0. */
#include "runtime/tdl_npy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static _Thread_local char error_text[512];

const char *tdl_npy_error(void) { return error_text; }

static int fail(const char *path, const char *what) {
    snprintf(error_text, sizeof error_text, "%s: %s", path, what);
    return -1;
}

int64_t tdl_npy_count(const TdlNpy *a) {
    int64_t n = 1;
    for (int i = 0; i < a->rank; i++) n *= a->dims[i];
    return n;
}

void tdl_npy_free(TdlNpy *a) {
    free(a->data);
    memset(a, 0, sizeof *a);
}

/* Bytes of an element; 0: a type that is not known here. */
static size_t element_bytes(const char *dtype) {
    static const char *const known[] = {"f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "u2", "u4", "u8", "b1"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(dtype, known[i])) return (size_t)(dtype[1] - '0');
    return 0;
}

/* ---- the header ---- */

/* The value of a key: the text behind `'key':`, NULL when absent. */
static const char *value_of(const char *header, const char *key) {
    const char *p = strstr(header, key);
    if (!p) return NULL;
    p += strlen(key);
    while (*p == ' ') p++;
    if (*p++ != ':') return NULL;
    while (*p == ' ') p++;
    return p;
}

static int read_dtype(const char *path, const char *header, TdlNpy *a) {
    const char *p = value_of(header, "'descr'");
    if (!p || *p != '\'') return fail(path, "the element type is not a simple one");
    char order = p[1];
    const char *end = strchr(p + 1, '\'');
    if (!end || end - p - 2 < 2 || end - p - 2 > 3) return fail(path, "the element type is malformed");
    memcpy(a->dtype, p + 2, (size_t)(end - p - 2));
    if (order == '>') return fail(path, "big-endian data are not supported: save with .astype('<f8')");
    if ((order != '<' && order != '|' && order != '=') || !element_bytes(a->dtype)) {
        char text[96];
        snprintf(text, sizeof text, "element type %.*s is not supported: save as f8, f4, i8 or i4", (int)(end - p - 1), p + 1);
        return fail(path, text);
    }
    return 0;
}

static int read_shape(const char *path, const char *header, TdlNpy *a) {
    const char *p = value_of(header, "'shape'");
    int64_t total = 1;
    if (!p || *p != '(') return fail(path, "the shape is missing");
    for (p++; *p && *p != ')';) {
        char *end;
        while (*p == ' ' || *p == ',') p++;
        if (*p == ')') break;
        errno = 0;
        long long d = strtoll(p, &end, 10);
        if (end == p || errno || d < 0) return fail(path, "the shape is malformed");
        if (a->rank == TDL_NPY_MAX_RANK) return fail(path, "more than 32 axes");
        if (d && total > INT64_MAX / 16 / d) return fail(path, "the shape is too large");
        if (d) total *= d;
        a->dims[a->rank++] = d;
        p = *end == 'L' ? end + 1 : end;
    }
    return *p == ')' ? 0 : fail(path, "the shape is malformed");
}

static int read_header_text(const char *path, FILE *f, char **text) {
    unsigned char frame[12];
    if (fread(frame, 1, 8, f) != 8 || memcmp(frame, "\x93NUMPY", 6) != 0) return fail(path, "not a .npy file");
    unsigned version = frame[6], wide = version >= 2;
    if (version < 1 || version > 3) return fail(path, "unknown version of the .npy format");
    if (fread(frame + 8, 1, wide ? 4 : 2, f) != (wide ? 4u : 2u)) return fail(path, "the file ends in its header");
    size_t n = frame[8] | (size_t)frame[9] << 8;
    if (wide) n |= (size_t)frame[10] << 16 | (size_t)frame[11] << 24;
    if (n > 1 << 20) return fail(path, "the header is too long");
    *text = calloc(n + 1, 1);
    if (!*text) return fail(path, "out of memory");
    return fread(*text, 1, n, f) == n ? 0 : fail(path, "the file ends in its header");
}

static int read_data(const char *path, FILE *f, TdlNpy *a) {
    size_t n = (size_t)tdl_npy_count(a) * element_bytes(a->dtype);
    long here = ftell(f);
    /* The size of a regular file is checked before memory of that size is asked for. */
    if (here >= 0 && fseek(f, 0, SEEK_END) == 0) {
        long end = ftell(f);
        if (end >= here && (unsigned long)(end - here) < n) return fail(path, "the file is shorter than its shape says");
        if (fseek(f, here, SEEK_SET)) return fail(path, strerror(errno));
    }
    a->data = malloc(n ? n : 1);
    if (!a->data) return fail(path, "out of memory");
    return fread(a->data, 1, n, f) == n ? 0 : fail(path, "the file is shorter than its shape says");
}

static int read_open(const char *path, FILE *f, TdlNpy *a) {
    char *header = NULL;
    int status = read_header_text(path, f, &header);
    if (!status) status = read_dtype(path, header, a);
    if (!status) status = read_shape(path, header, a);
    if (!status) {
        const char *order = value_of(header, "'fortran_order'");
        if (!order) status = fail(path, "the order is missing");
        else if (strncmp(order, "False", 5) != 0 && a->rank > 1)
            status = fail(path, "Fortran order is not supported: save with numpy.ascontiguousarray");
    }
    free(header);
    return status ? status : read_data(path, f, a);
}

int tdl_npy_read(const char *path, TdlNpy *a) {
    memset(a, 0, sizeof *a);
    FILE *f = fopen(path, "rb");
    if (!f) return fail(path, strerror(errno));
    int status = read_open(path, f, a);
    fclose(f);
    if (status) tdl_npy_free(a);
    return status;
}

/* ---- writing ---- */

/* Version 1.0; the header is padded so that the data start at a multiple of 64. Returns its length. */
static size_t make_header(const TdlNpy *a, char *out, size_t size) {
    char *p = out + 10;
    bool bytes = a->dtype[1] == '1';
    p += snprintf(p, size - 10, "{'descr': '%s%s', 'fortran_order': False, 'shape': (", bytes ? "|" : "<", a->dtype);
    for (int i = 0; i < a->rank; i++)
        p += snprintf(p, 32, i ? ", %lld" : "%lld", (long long)a->dims[i]);
    p += snprintf(p, 32, a->rank == 1 ? ",), }" : "), }");
    while ((p - out + 1) % 64) *p++ = ' ';
    *p++ = '\n';
    size_t n = (size_t)(p - out) - 10;
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)(n & 255);
    out[9] = (char)(n >> 8);
    return n + 10;
}

static int write_to(const char *path, const char *file, const TdlNpy *a) {
    char header[10 + 128 + TDL_NPY_MAX_RANK * 24 + 64];
    FILE *f = fopen(file, "wb");
    if (!f) return fail(path, strerror(errno));
    size_t n = make_header(a, header, sizeof header), bytes = (size_t)tdl_npy_count(a) * element_bytes(a->dtype);
    bool ok = fwrite(header, 1, n, f) == n && (!bytes || fwrite(a->data, 1, bytes, f) == bytes);
    int reason = errno;
    if (fclose(f) && ok) ok = false, reason = errno;
    return ok ? 0 : fail(path, strerror(reason));
}

/* A regular file appears whole or not at all; a device or pipe is written to as it is, since a rename would replace it. */
int tdl_npy_write(const char *path, const TdlNpy *a) {
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return write_to(path, path, a);
    size_t size = strlen(path) + 32;
    char *temporary = malloc(size);
    if (!temporary) return fail(path, "out of memory");
    snprintf(temporary, size, "%s.%ld.tmp", path, (long)getpid());
    int status = write_to(path, temporary, a);
    if (!status && rename(temporary, path)) status = fail(path, strerror(errno));
    if (status) remove(temporary);
    free(temporary);
    return status;
}
