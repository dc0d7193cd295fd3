// Random: any endpoint, by weight. Nothing is known of load: for very many callers that each send little.
#include "upstream/lb.h"

static void build(struct lb *lb, struct rng *rng) {
    (void)rng;
    lb_draw_build(lb);
}

static struct endpoint *pick(struct lb *lb, const struct lb_request *request) {
    struct endpoint *drawn = lb_draw_candidate(lb, request, NULL);
    return drawn != NULL ? drawn : lb_scan(lb, request);
}

const struct lb_algorithm lb_random = {.pick = pick, .build = build};
