/* The message of the last failed call of a thread. */
#include "runtime/object/bodies.h"
#include "runtime/tdl.h"

#include <stdio.h>
#include <string.h>

#define ERROR_BYTES 512

static _Thread_local char last_error[ERROR_BYTES];

const char *tdl_last_error(void) { return last_error; }

int tdlrt_fail(int status, const char *message) {
    size_t n = strlen(message);
    if (n >= ERROR_BYTES) n = ERROR_BYTES - 1;
    memcpy(last_error, message, n);
    last_error[n] = 0;
    return status;
}

/* `message` with each {} replaced by the next of `values`. */
int tdlrt_fail_values(int status, const char *message, const int64_t *values) {
    size_t n = 0;
    for (; *message && n < ERROR_BYTES - 1; message++) {
        if (message[0] == '{' && message[1] == '}') {
            int k = snprintf(last_error + n, ERROR_BYTES - n, "%lld", (long long)*values++);
            n += k > 0 ? (size_t)k : 0;
            message++;
        } else last_error[n++] = *message;
    }
    last_error[n < ERROR_BYTES ? n : ERROR_BYTES - 1] = 0;
    return status;
}
