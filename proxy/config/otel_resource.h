// OTEL_RESOURCE_ATTRIBUTES: what whoever starts the process says of it (OpenTelemetry specification, resource/sdk.md).
#ifndef CONFIG_OTEL_RESOURCE_H
#define CONFIG_OTEL_RESOURCE_H

#include "base/pool.h"
#include "config/otel_environment.h"

#include <stdint.h>

#define OTEL_RESOURCE_VARIABLE "OTEL_RESOURCE_ATTRIBUTES"
#define OTEL_ATTRIBUTES_MAX 128 // OpenTelemetry's limit

struct otel_attribute {
    struct bytes key, value;
};

struct otel_attributes {
    struct otel_attribute items[OTEL_ATTRIBUTES_MAX];
    uint32_t count;
};

// "key=value,key=value", percent-encoded, each key once, all UTF-8; texts lie in `pool`. False: one of them cannot be read, and then there is none at all. Of more than
// OTEL_ATTRIBUTES_MAX the rest is left out, and so is one with no value.
bool otel_resource_read(const struct otel_environment *environment, struct pool *pool, struct otel_attributes *attributes);

#endif
