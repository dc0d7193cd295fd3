// The process's OTEL_* variables (OpenTelemetry specification, configuration/sdk-environment-variables.md): read once, by whoever starts, and asked while documents are frozen,
// for what these do not say.
#ifndef CONFIG_OTEL_ENVIRONMENT_H
#define CONFIG_OTEL_ENVIRONMENT_H

#include "base/bytes.h"
#include "base/pool.h"

struct otel_environment;

// Copies those of `variables` ("NAME=value", NULL behind the last) that begin with OTEL_.
struct otel_environment *otel_environment_create(const char *const *variables);
void otel_environment_destroy(struct otel_environment *environment);

// Trimmed; empty: it is not set, or empty, which is the same; or `environment` is NULL. Where OTEL_CONFIG_FILE is set no other variable counts.
struct bytes otel_variable(const struct otel_environment *environment, const char *name);

// "true" in any case; whatever else it is means false.
bool otel_variable_is_true(const struct otel_environment *environment, const char *name);

// Part of a variable that is a list, as in the baggage of W3C: %20 stands for a space. A NUL stands behind it. BYTES_NONE: it is no such text.
struct bytes otel_percent_decode(struct pool *pool, struct bytes text);

#endif
