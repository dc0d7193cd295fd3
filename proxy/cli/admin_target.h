// What a page of a running proxy is asked, made of options of a command: the path of the page and its query, escaped.
#ifndef CLI_ADMIN_TARGET_H
#define CLI_ADMIN_TARGET_H

#include "base/bytes.h"

#include <stdbool.h>

#define ADMIN_DEFAULT "127.0.0.1:15000"

// More than the admin listener takes.
#define ADMIN_TARGET_MAX 65536

struct admin_target {
    char *text; // with a NUL; what is too long is cut
    size_t length;
    bool has_query;
};

// An option, and the parameter of the page that its value becomes. A table ends with NULL.
struct passed_on {
    const char *option, *parameter;
};

void admin_target_init(struct admin_target *target, const char *path);
void admin_target_dispose(struct admin_target *target);

void admin_target_add(struct admin_target *target, const char *name, struct bytes value);

// NULL: it is none of them.
const char *passed_on_parameter(const struct passed_on *table, const char *option);

bool admin_target_is_too_long(const struct admin_target *target);

#endif
