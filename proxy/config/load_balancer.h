// spec.loadBalancer of a TrafficPolicy, as a snapshot has it.
#ifndef CONFIG_LOAD_BALANCER_H
#define CONFIG_LOAD_BALANCER_H

#include "base/clock.h"
#include "config/request_key.h"

enum lb_type { LB_PEAK_EWMA, LB_LEAST_REQUEST, LB_ROUND_ROBIN, LB_RANDOM, LB_RING_HASH, LB_MAGLEV };
enum key_missing { KEY_MISSING_RANDOM, KEY_MISSING_REJECT };
enum locality_mode { LOCALITY_DISABLE, LOCALITY_PREFER_ZONE };

struct load_balancer_config {
    enum lb_type type;
    struct request_key key; // RingHash and Maglev: what leads to the same endpoint; else no parts
    enum key_missing if_missing;
    uint32_t virtual_nodes;   // RingHash: of an endpoint of mean weight
    uint32_t bounded_percent; // RingHash and Maglev: boundedLoadPercent, 0 or from 100
    nanoseconds slow_start;
    uint32_t panic_percent;
    struct {
        enum locality_mode mode;
        uint32_t spill_percent; // spillBelowHealthyPercent
        struct bytes *regions;  // other than ours, in the order in which they are turned to
        uint32_t region_count;
    } locality;
    struct bytes policy; // whose it is, "kind/namespace/name"; empty: the defaults
};

const char *lb_type_name(enum lb_type type); // as in the policy

#endif
