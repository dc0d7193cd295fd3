// Looks variables up, and reads what they may be: numbers, words. See otel_filling.h.
#include "config/otel_filling.h"

#include <stdarg.h>
#include <stdio.h>

// As a place in messages.
#define ENVIRONMENT "environment"

// A variable for all signals is told once.
static bool is_told(const struct config_errors *warnings, const char *name, const char *text) {
    for (uint32_t i = 0; i < warnings->count; i++)
        if (strstr(warnings->lines[i], name) != NULL && strstr(warnings->lines[i], text) != NULL)
            return true;
    return false;
}

void filling_warn(const struct filling *filling, const char *name, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct config_errors *warnings = filling->freezing->loading->warnings;
    if (!is_told(warnings, name, text))
        config_errors_add(warnings, (struct place){ENVIRONMENT, 0}, NULL, name, "%s", text);
}

// OTEL_EXPORTER_OTLP_..., of the signal or for all.
static struct otel_given find_one(const struct filling *filling, const char *what, bool is_general) {
    struct pool *scratch = filling->freezing->loading->scratch;
    struct otel_given variable = {.is_general = is_general};
    variable.name = is_general ? pool_format(scratch, "OTEL_EXPORTER_OTLP_%s", what).at
                               : pool_format(scratch, "OTEL_EXPORTER_OTLP_%s_%s", filling->names->variable, what).at;
    variable.value = otel_variable(filling->freezing->loading->environment, variable.name);
    return variable;
}

struct otel_given filling_find(const struct filling *filling, const char *what) {
    const struct otel_given own = find_one(filling, what, false);
    return own.value.len > 0 ? own : find_one(filling, what, true);
}

void filling_take_first(const struct filling *filling, const char *what, bool (*take)(const struct filling *filling, struct otel_given variable)) {
    for (int i = 0; i < 2; i++) {
        const struct otel_given variable = find_one(filling, what, i == 1);
        if (variable.value.len > 0 && take(filling, variable))
            return;
    }
}

bool filling_is_given(const struct filling *filling, const char *field) {
    return node_find(filling->node, field) != NULL;
}

struct otel_given filling_variable(const struct filling *filling, const char *name) {
    return (struct otel_given){.name = name, .value = otel_variable(filling->freezing->loading->environment, name)};
}

bool filling_read_number(const struct filling *filling, struct otel_given variable, uint64_t min, uint64_t max, uint64_t *number) {
    if (variable.value.len == 0)
        return false;
    if (bytes_to_u64(variable.value, max, number) && *number >= min)
        return true;
    filling_warn(filling, variable.name, "%.*s is no number from %llu to %llu", BYTES_FORMAT(variable.value), (unsigned long long)min,
                 (unsigned long long)max);
    return false;
}

bool filling_read_word(const struct filling *filling, struct otel_given variable, const char *const *words, uint32_t number, uint32_t *which) {
    for (*which = 0; variable.value.len > 0 && *which < number; (*which)++)
        if (bytes_equal_nocase(variable.value, bytes_from_text(words[*which])))
            return true;
    if (variable.value.len > 0)
        filling_warn(filling, variable.name, "%.*s is none of its words; the first of them is %s", BYTES_FORMAT(variable.value), words[0]);
    return false;
}
