/* From JSON to arrays and back: what the problems share. */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *request_take(Request *r, size_t count, size_t size)
{
    void *p = calloc(count && !*r->error ? count : 1, size);
    void **blocks = realloc(r->blocks, (r->n + 1) * sizeof *blocks);
    if (!p || !blocks) {
        fputs("gradbench: out of memory\n", stderr);
        exit(1);
    }
    r->blocks = blocks;
    r->blocks[r->n++] = p;
    return p;
}

void request_fail(Request *r, const char *fmt, ...)
{
    if (*r->error) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(r->error, sizeof r->error, fmt, args);
    va_end(args);
}

static const cJSON *member(Request *r, const cJSON *input, const char *field)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(input, field);
    if (!v) request_fail(r, "input: no field %s", field);
    return v;
}

/* Number of numbers in v, which are written to `to` unless it is NULL; -1: there is something else in it. */
static int64_t numbers(const cJSON *v, double *to)
{
    if (cJSON_IsNumber(v)) {
        if (to) *to = v->valuedouble;
        return 1;
    }
    if (!cJSON_IsArray(v)) return -1;
    int64_t n = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, v) {
        int64_t more = numbers(item, to ? to + n : NULL);
        if (more < 0) return -1;
        n += more;
    }
    return n;
}

double *request_numbers(Request *r, const cJSON *input, const char *field, int64_t *count)
{
    const cJSON *v = member(r, input, field);
    *count = v ? numbers(v, NULL) : 0;
    if (*count < 0) {
        request_fail(r, "%s: something else than numbers", field);
        *count = 0;
    }
    if (*r->error) return NULL;
    double *x = request_take(r, (size_t)*count, sizeof *x);
    numbers(v, x);
    return x;
}

double *request_exactly(Request *r, const cJSON *input, const char *field, int64_t count)
{
    int64_t n;
    double *x = request_numbers(r, input, field, &n);
    if (!*r->error && n != count) request_fail(r, "%s: %lld numbers, not %lld", field, (long long)n, (long long)count);
    return *r->error ? NULL : x;
}

double request_number(Request *r, const cJSON *input, const char *field)
{
    const cJSON *v = member(r, input, field);
    if (v && !cJSON_IsNumber(v)) request_fail(r, "%s: not a number", field);
    return *r->error ? 0 : v->valuedouble;
}

int64_t request_size(Request *r, const cJSON *input, const char *field)
{
    double v = request_number(r, input, field);
    if (!(v >= 0 && v <= 1e9 && v == (double)(int64_t)v)) {
        request_fail(r, "%s: not a size", field);
        return 0;
    }
    return (int64_t)v;
}

int64_t request_rows(Request *r, const cJSON *input, const char *field)
{
    const cJSON *v = member(r, input, field);
    if (v && (!cJSON_IsArray(v) || !cJSON_GetArraySize(v))) request_fail(r, "%s: no rows", field);
    return *r->error ? 0 : cJSON_GetArraySize(v);
}

/* 17 digits: what is read back is the same double. */
cJSON *json_number(double x)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", x);
    return cJSON_CreateRaw(x - x == 0 ? text : "null"); /* JSON has neither NaN nor infinity */
}

cJSON *json_vector(const double *x, int64_t n)
{
    cJSON *v = cJSON_CreateArray();
    for (int64_t i = 0; i < n; i++) cJSON_AddItemToArray(v, json_number(x[i]));
    return v;
}

cJSON *json_matrix(const double *x, int64_t rows, int64_t columns)
{
    cJSON *v = cJSON_CreateArray();
    for (int64_t i = 0; i < rows; i++) cJSON_AddItemToArray(v, json_vector(x + i * columns, columns));
    return v;
}
