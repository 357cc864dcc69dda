/* What the adapter knows of a GradBench problem: functions from a JSON input to a JSON output.
 *
 * A function is loaded once a request (arrays are made from the JSON, outputs and the workspace allocated), run as
 * often as the request wants, timed run by run, and then asked for its output. */
#ifndef TDL_GRADBENCH_PROBLEM_H
#define TDL_GRADBENCH_PROBLEM_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The memory of one request. The first failure of a loader stays in `error`; all after it does nothing. */
typedef struct {
    void **blocks;
    size_t n;
    char error[256];
} Request;

typedef struct {
    const char *module, *name;
    void *(*load)(Request *r, const cJSON *input); /* the state of the two below; r->error tells what is wrong */
    int (*run)(void *state);                       /* a tdl_status */
    cJSON *(*output)(const void *state);           /* a new value, the caller's */
} Function;

extern const Function gmm_functions[2], lstm_functions[2], ba_functions[2], kmeans_functions[2], ode_functions[2];

/* ---- loading: `field` is a member of the input object ---- */

/* Zeroed memory until the end of the request; never NULL (a failure to allocate ends the process). One element after an
 * error. */
void *request_take(Request *r, size_t count, size_t size);
void request_fail(Request *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The numbers of an array of any nesting, row-major; *count is their number. An error leaves NULL. */
double *request_numbers(Request *r, const cJSON *input, const char *field, int64_t *count);
/* The same, of exactly `count` numbers. */
double *request_exactly(Request *r, const cJSON *input, const char *field, int64_t count);
double request_number(Request *r, const cJSON *input, const char *field);
int64_t request_size(Request *r, const cJSON *input, const char *field); /* an integer, at least 0 */
/* Number of rows of an array of arrays. */
int64_t request_rows(Request *r, const cJSON *input, const char *field);

/* ---- output ---- */

cJSON *json_number(double x);
cJSON *json_vector(const double *x, int64_t n);
cJSON *json_matrix(const double *x, int64_t rows, int64_t columns);

#endif
