// What became of the endpoints of one service by ejection and health checks, and its exposition. There are as many series as services of which an endpoint was ever ejected, or is checked.
#ifndef TELEMETRY_HEALTH_METRICS_H
#define TELEMETRY_HEALTH_METRICS_H

#include "telemetry/metrics.h"

struct health_series {
    struct bytes service;
    nanoseconds begun;                      // by the wall clock
    uint32_t endpoints, ejected, unhealthy; // now
    uint64_t ejections, shadow_ejections;   // shadow: by a policy in a dry run
    uint64_t refused;                       // ejections that maxEjectedPercent did not let be
    uint64_t passed, failed;                // checks
    uint64_t became_unhealthy, became_healthy;
};

// `gone`: what services had counted that are there no more.
void health_metrics_expose(struct exposition *exposition, const struct health_series *series, uint32_t count, const struct health_series *gone);

#endif
