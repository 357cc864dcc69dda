/* Speaks GradBench's protocol: a JSON message a line on standard input, a response a line on standard output.
 *
 *     define    is the module known?
 *     evaluate  a function of the module on an input, at least min_runs times and min_seconds long; each run is timed
 *     others    are acknowledged
 *
 * A message that cannot be served is answered by "success": false with the reason; a line that is no JSON object ends
 * the program with status 1. */
#include "problem.h"

#include "ode.h" /* tdl_last_error */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const Function *const modules[] = {gmm_functions, lstm_functions, ba_functions, kmeans_functions, ode_functions};
enum { MODULES = sizeof modules / sizeof *modules, FUNCTIONS = 2 };

/* The function of that name; any of the module where `name` is NULL. */
static const Function *find(const char *module, const char *name)
{
    for (int i = 0; i < MODULES; i++)
        for (int k = 0; k < FUNCTIONS; k++) {
            const Function *f = &modules[i][k];
            if (!strcmp(f->module, module) && (!name || !strcmp(f->name, name))) return f;
        }
    return NULL;
}

static const char *text(const cJSON *message, const char *field)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(message, field));
    return s ? s : "";
}

static void fail(cJSON *response, const char *why)
{
    cJSON_AddFalseToObject(response, "success");
    cJSON_AddStringToObject(response, "error", why);
}

static double nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* Runs f; false: it failed. The first run touches memory that later ones find in the cache; all are reported. */
static bool timed_runs(const Function *f, void *state, double min_runs, double min_seconds, cJSON *timings)
{
    double total = 0;
    for (double runs = 0; runs < 1 || runs < min_runs || total < 1e9 * min_seconds; runs++) {
        double start = nanoseconds();
        if (f->run(state)) return false;
        double took = nanoseconds() - start;
        total += took;
        cJSON *timing = cJSON_CreateObject();
        cJSON_AddStringToObject(timing, "name", "evaluate");
        cJSON_AddNumberToObject(timing, "nanoseconds", took);
        cJSON_AddItemToArray(timings, timing);
    }
    return true;
}

static void evaluate(const cJSON *message, cJSON *response)
{
    const Function *f = find(text(message, "module"), text(message, "function"));
    if (!f) {
        fail(response, "no such function");
        return;
    }
    Request r = {0};
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(message, "input");
    double min_runs = request_number(&r, input, "min_runs"), min_seconds = request_number(&r, input, "min_seconds");
    void *state = *r.error ? NULL : f->load(&r, input);
    cJSON *timings = cJSON_CreateArray();
    if (!*r.error && !timed_runs(f, state, min_runs, min_seconds, timings)) request_fail(&r, "%s", tdl_last_error());
    if (*r.error) {
        fail(response, r.error);
        cJSON_Delete(timings);
    } else {
        cJSON_AddTrueToObject(response, "success");
        cJSON_AddItemToObject(response, "output", f->output(state));
        cJSON_AddItemToObject(response, "timings", timings);
    }
    for (size_t i = 0; i < r.n; i++) free(r.blocks[i]);
    free(r.blocks);
}

static cJSON *answer(const cJSON *message)
{
    cJSON *response = cJSON_CreateObject();
    cJSON_AddItemToObject(response, "id", cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(message, "id"), true));
    const char *kind = text(message, "kind");
    if (!strcmp(kind, "start")) {
        cJSON_AddStringToObject(response, "tool", "tdlc");
    } else if (!strcmp(kind, "define")) {
        if (find(text(message, "module"), NULL)) cJSON_AddTrueToObject(response, "success");
        else fail(response, "no such module");
    } else if (!strcmp(kind, "evaluate")) {
        evaluate(message, response);
    }
    return response;
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        cJSON *message = cJSON_Parse(line);
        if (!cJSON_IsObject(message) || !cJSON_GetObjectItemCaseSensitive(message, "id")) {
            fputs("gradbench: a line is no message\n", stderr);
            return 1;
        }
        cJSON *response = answer(message);
        char *out = cJSON_PrintUnformatted(response);
        puts(out);
        fflush(stdout);
        cJSON_free(out);
        cJSON_Delete(response);
        cJSON_Delete(message);
    }
    free(line);
    return 0;
}
