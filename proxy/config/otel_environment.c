// A list of texts. See otel_environment.h.
#include "config/otel_environment.h"

#include <stdlib.h>

#define PREFIX BYTES("OTEL_")

struct variable {
    struct variable *next;
    struct bytes name, value; // borrowed from `text`
    struct bytes text;        // owned
};

struct otel_environment {
    struct variable *first;
};

struct otel_environment *otel_environment_create(const char *const *variables) {
    struct otel_environment *environment = alloc_zeroed_or_abort(1, sizeof(*environment));
    for (; *variables != NULL; variables++) {
        const struct bytes text = bytes_from_text(*variables);
        const size_t split = bytes_find(text, '=');
        if (!bytes_starts_with(text, PREFIX) || split == text.len)
            continue;
        struct variable *variable = alloc_zeroed_or_abort(1, sizeof(*variable));
        variable->text = bytes_keep(text);
        variable->name = bytes_from(variable->text.at, split);
        variable->value = bytes_trim(bytes_from(variable->text.at + split + 1, text.len - split - 1));
        variable->next = environment->first;
        environment->first = variable;
    }
    return environment;
}

void otel_environment_destroy(struct otel_environment *environment) {
    while (environment->first != NULL) {
        struct variable *variable = environment->first;
        environment->first = variable->next;
        bytes_drop(&variable->text);
        free(variable);
    }
    free(environment);
}

static struct bytes find(const struct otel_environment *environment, struct bytes name) {
    const struct variable *variable = environment == NULL ? NULL : environment->first;
    while (variable != NULL && !bytes_equal(variable->name, name))
        variable = variable->next;
    return variable == NULL ? BYTES_NONE : variable->value;
}

struct bytes otel_variable(const struct otel_environment *environment, const char *name) {
    const struct bytes file = BYTES("OTEL_CONFIG_FILE");
    const struct bytes wanted = bytes_from_text(name);
    return bytes_equal(wanted, file) || find(environment, file).len == 0 ? find(environment, wanted) : BYTES_NONE;
}

bool otel_variable_is_true(const struct otel_environment *environment, const char *name) {
    return bytes_equal_nocase(otel_variable(environment, name), BYTES("true"));
}

struct bytes otel_percent_decode(struct pool *pool, struct bytes text) {
    char *decoded = pool_alloc(pool, text.len + 1);
    size_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] != '%') {
            decoded[length++] = text.at[i];
            continue;
        }
        const int octet = bytes_octet_of_hex(bytes_from(text.at + i + 1, text.len - i - 1));
        if (octet < 0)
            return BYTES_NONE;
        decoded[length++] = (char)octet;
        i += 2;
    }
    decoded[length] = '\0';
    return bytes_from(decoded, length);
}
