// spec.outlierDetection and spec.healthCheck of a TrafficPolicy, as a snapshot has them.
#ifndef CONFIG_HEALTH_CONFIG_H
#define CONFIG_HEALTH_CONFIG_H

#include "base/bytes.h"
#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

// An endpoint that fails in a row is left out for a while.
struct outlier_config {
    uint32_t failure_threshold; // 0: none is ever ejected
    nanoseconds interval;       // without an ejection for so long the next one is a step shorter
    nanoseconds eject_for, max_eject_for;
    uint32_t max_ejected_percent;
    bool dry_run;        // counted and told, and used on
    struct bytes policy; // whose it is, "kind/namespace/name"; empty: the defaults
};

enum health_check_type { HEALTH_CHECK_HTTP, HEALTH_CHECK_GRPC, HEALTH_CHECK_TCP };

#define GRPC_SERVICE_MAX 512

// Statuses that an answer may have.
#define HEALTH_STATUS_MIN 100
#define HEALTH_STATUS_MAX 599
#define HEALTH_STATUS_WORDS ((HEALTH_STATUS_MAX - HEALTH_STATUS_MIN) / 64 + 1)

// Endpoints are asked now and then whether they are well.
struct health_check_config {
    enum health_check_type type;
    struct bytes path, host, grpc_service;
    uint64_t statuses[HEALTH_STATUS_WORDS]; // that are good, from HEALTH_STATUS_MIN on, a bit each; none: 200 to 299
    nanoseconds interval;                   // 0: none is asked
    nanoseconds timeout;
    uint32_t unhealthy_after, healthy_after; // so many in a row
};

static inline bool health_check_takes_status(const struct health_check_config *check, unsigned status) {
    bool any = false;
    for (unsigned i = 0; i < HEALTH_STATUS_WORDS; i++)
        any = any || check->statuses[i] != 0;
    if (!any)
        return status >= 200 && status <= 299;
    if (status < HEALTH_STATUS_MIN || status > HEALTH_STATUS_MAX)
        return false;
    const unsigned bit = status - HEALTH_STATUS_MIN;
    return (check->statuses[bit / 64] >> bit % 64 & 1) != 0;
}

#endif
