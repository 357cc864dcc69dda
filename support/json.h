/* JSON, made by cJSON: what cJSON does not do. */
#ifndef TDL_SUPPORT_JSON_H
#define TDL_SUPPORT_JSON_H

#include "support/str.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* A string; bytes that are not UTF-8 become U+FFFD, so that the output is valid whatever the input. */
cJSON *json_string(TdlArena *scratch, const char *text);
void json_add_string(cJSON *object, const char *key, TdlArena *scratch, const char *text);

/* All 64 bits, which a double would round. */
cJSON *json_int(int64_t n);
void json_add_int(cJSON *object, const char *key, int64_t n);

/* Writes and frees `item`: on one line, or for people. */
void json_write(cJSON *item, bool one_line, TdlStr *out);

#endif
