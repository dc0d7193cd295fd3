// The decoded spec of an AuthenticationPolicy.
#ifndef CONFIG_RESOURCE_AUTHENTICATION_H
#define CONFIG_RESOURCE_AUTHENTICATION_H

#include "config/authentication_config.h"
#include "config/resources.h"

struct jwt_provider_spec {
    struct jwt_provider provider; // but for what is below
    bool algorithms[JWT_ALGORITHM_COUNT];
    struct bytes *audiences;
    nanoseconds clock_skew;
    struct bytes uri, file;
};

struct authentication_spec {
    struct policy_head head;
    struct jwt_provider_spec *providers;
    uint32_t provider_count;
    bool required;
};

extern const struct table authentication_table;
void authentication_check(struct document *document);

// The files that it names: read and judged in each load.
void authentication_check_files(struct document *document);

// For url_service.c.
uint32_t authentication_urls(const void *spec, struct bytes *urls);

#endif
