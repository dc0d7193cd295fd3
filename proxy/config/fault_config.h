// A FaultPolicy as a snapshot has it: which requests are delayed or answered with an error, to see what their callers make of it.
#ifndef CONFIG_FAULT_CONFIG_H
#define CONFIG_FAULT_CONFIG_H

#include "base/clock.h"
#include "config/route.h"

struct fault_rule {
    struct bytes name;
    const struct route_match *matches; // any of them; none: all requests
    uint32_t match_count;
    struct {
        nanoseconds fixed; // 0: none
        uint32_t percent;
    } delay;
    struct {
        uint16_t status;      // 0: by the document nothing, and 503
        uint32_t grpc_status; // 0: the same, and UNAVAILABLE
        uint32_t percent;     // 0: none
    } abort;
};

struct fault_config {
    struct fault_rule *rules;
    uint32_t rule_count;
};

#endif
