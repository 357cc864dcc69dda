#include "support/json.h"

#include "support/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cJSON *json_string(TdlArena *scratch, const char *text) {
    TdlStr s = str_new(scratch);
    for (size_t n = strlen(text); n;) {
        uint32_t cp;
        size_t len = utf8_decode(text, n, &cp);
        if (cp == UTF8_BAD) str_puts(&s, "\xef\xbf\xbd");
        else str_putn(&s, text, len);
        text += len;
        n -= len;
    }
    return cJSON_CreateString(s.p ? s.p : "");
}

void json_add_string(cJSON *object, const char *key, TdlArena *scratch, const char *text) {
    cJSON_AddItemToObject(object, key, json_string(scratch, text));
}

cJSON *json_int(int64_t n) {
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, n);
    return cJSON_CreateRaw(digits);
}

void json_add_int(cJSON *object, const char *key, int64_t n) { cJSON_AddItemToObject(object, key, json_int(n)); }

void json_write(cJSON *item, bool one_line, TdlStr *out) {
    char *text = one_line ? cJSON_PrintUnformatted(item) : cJSON_Print(item);
    cJSON_Delete(item);
    if (!text) abort(); /* no memory, as in the arenas */
    str_puts(out, text);
    cJSON_free(text);
}
