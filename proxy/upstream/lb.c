// Which algorithm a policy's name means, and what they share.
#include "upstream/lb.h"

#include "base/check.h"
#include "upstream/endpoint.h"

#include <stddef.h>

static const struct lb_algorithm *const algorithms[] = {
    [LB_PEAK_EWMA] = &lb_peak_ewma,
    [LB_ROUND_ROBIN] = &lb_round_robin,
};

const struct lb_algorithm *lb_algorithm_of(enum lb_type type) {
    CHECK((size_t)type < sizeof algorithms / sizeof algorithms[0]);
    return algorithms[type];
}

bool lb_was_tried(const struct lb_request *request, const struct endpoint *endpoint) {
    if (request->avoids && endpoint->avoided_until > request->now)
        return true;
    for (uint32_t i = 0; i < request->tried_count; i++)
        if (request->tried[i] == endpoint)
            return true;
    return false;
}
