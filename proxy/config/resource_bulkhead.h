// The decoded spec of a BulkheadPolicy.
#ifndef CONFIG_RESOURCE_BULKHEAD_H
#define CONFIG_RESOURCE_BULKHEAD_H

#include "config/bulkhead_config.h"
#include "config/resource_route.h"

struct bulkhead_pool_spec {
    struct bulkhead_pool_config pool; // but for its matches
    struct match_spec *matches;
    uint32_t match_count;
    uint32_t algorithm; // one word so far
    struct place place;
};

enum bulkhead_side { SIDE_CALLEE, SIDE_CALLER };

struct bulkhead_spec {
    struct policy_head head;
    struct bulkhead_pool_spec *pools;
    uint32_t pool_count;
    struct bulkhead_config config; // its priority alone
    uint32_t priority_source;      // one word so far
    struct bytes priority_default;
    uint32_t side; // enum bulkhead_side
};

extern const struct table bulkhead_table;
void bulkhead_check(struct document *document);

// Whether a pool of it is for all requests, and for opaque connections.
bool bulkhead_has_rest(const struct bulkhead_spec *spec);

#endif
