// A path, then a parameter after the other, escaped as a query wants them: see admin_target.h.
#include "cli/admin_target.h"

#include "base/pool.h"

#include <stdio.h>
#include <stdlib.h>

static void append(struct admin_target *target, const char *text, size_t length) {
    for (size_t i = 0; i < length && target->length + 1 < ADMIN_TARGET_MAX; i++)
        target->text[target->length++] = text[i];
    target->text[target->length] = '\0';
}

static bool is_plain(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._~/:", c) != NULL;
}

void admin_target_init(struct admin_target *target, const char *path) {
    *target = (struct admin_target){.text = alloc_or_abort(ADMIN_TARGET_MAX)};
    append(target, path, strlen(path));
}

void admin_target_dispose(struct admin_target *target) {
    free(target->text);
    target->text = NULL;
}

void admin_target_add(struct admin_target *target, const char *name, struct bytes value) {
    append(target, target->has_query ? "&" : "?", 1);
    append(target, name, strlen(name));
    append(target, "=", 1);
    target->has_query = true;
    for (size_t i = 0; i < value.len; i++) {
        char escaped[4];
        const unsigned char c = (unsigned char)value.at[i];
        const int length = c != '\0' && is_plain(c) ? snprintf(escaped, sizeof escaped, "%c", c) : snprintf(escaped, sizeof escaped, "%%%02X", c);
        append(target, escaped, (size_t)length);
    }
}

const char *passed_on_parameter(const struct passed_on *table, const char *option) {
    for (; table->option != NULL; table++)
        if (strcmp(table->option, option) == 0)
            return table->parameter;
    return NULL;
}

bool admin_target_is_too_long(const struct admin_target *target) {
    return target->length + 1 == ADMIN_TARGET_MAX;
}
