// Tables from what the snapshot has to the words that documents use: see config_words.h.
#include "admin/config_words.h"

#include "admin/json_build.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>

const char *role_word(enum listener_role role) {
    static const char *const words[] = {[ROLE_INBOUND] = "Inbound", [ROLE_OUTBOUND] = "Outbound", [ROLE_GATEWAY] = "Gateway", [ROLE_TCP] = "TCP"};
    return words[role];
}

const char *mtls_word(enum mtls_mode mode) {
    static const char *const words[] = {[MTLS_STRICT] = "Strict", [MTLS_PERMISSIVE] = "Permissive", [MTLS_DISABLE] = "Disable"};
    return words[mode];
}

void json_set_place(json_t *object, const struct place *place) {
    char text[PATH_MAX + 16];
    if (place->file == NULL)
        return;
    int length = snprintf(text, sizeof(text), "%s:%u", place->file, place->line);
    json_set_text(object, "place", bytes_from(text, (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1));
}
