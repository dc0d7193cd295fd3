// A BulkheadPolicy as a snapshot has it: pools in which so many requests run at once and others wait.
#ifndef CONFIG_BULKHEAD_CONFIG_H
#define CONFIG_BULKHEAD_CONFIG_H

#include "base/clock.h"
#include "config/request_key.h"
#include "config/route.h"

#define BULKHEAD_SLOTS_MAX 1000000
#define BULKHEAD_QUEUE_MAX 100000

// A value of the key that has a share of its own.
struct bulkhead_share {
    struct bytes value;
    uint32_t max_concurrent;
};

struct bulkhead_pool_config {
    struct bytes name;
    const struct route_match *matches; // any of them; none: all requests, and opaque connections
    uint32_t match_count;
    uint32_t max_concurrent; // 0: the pool adapts
    struct {
        uint32_t min, max;
    } adaptive;
    uint32_t max_queue;
    nanoseconds queue_timeout; // 0: none
    bool counts_upgrades;
    struct {
        struct request_key key; // without parts: there are no shares
        uint32_t max_concurrent;
        struct bulkhead_share *overrides;
        uint32_t override_count;
    } per_key;
};

struct bulkhead_config {
    struct bulkhead_pool_config *pools;
    uint32_t pool_count;
    struct {
        struct bytes header;
        struct bytes *classes; // the first is served first
        uint32_t class_count;  // 0: all are alike
        uint32_t fallback;     // the class of whoever names none
    } priority;
};

#endif
