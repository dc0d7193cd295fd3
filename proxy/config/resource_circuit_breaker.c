// spec.circuitBreaker of kind TrafficPolicy: when a service that fails is not asked for a while.
#include "config/resources.h"

#define CIRCUIT(member) ROW_AT(struct traffic_policy_spec, traffic.circuit_breaker.member)
#define HOUR (3600 * NS_PER_S)

static const struct row slow_call_rows[] = {
    {.name = "threshold",
     .type = VALUE_DURATION,
     CIRCUIT(slow_call.threshold),
     .min = 0,
     .max = HOUR,
     .fallback = "0s",
     .describes = "an answer is slow whose head comes no sooner than this after the request was sent; as a probe it has failed; 0s: none is"},
    {.name = "percent",
     .type = VALUE_INTEGER,
     CIRCUIT(slow_call.percent),
     .min = 1,
     .max = 100,
     .fallback = "50",
     .describes = "of the answers in `window` that are slow"},
    {0}};
static const struct table slow_call_table = {.describes = "slow answers open it too", .rows = slow_call_rows};

static const struct choice circuit_scopes[] = {
    {"Service", CIRCUIT_OF_SERVICE, false, "the service: it is open or closed as a whole"},
    {"Endpoint", CIRCUIT_OF_ENDPOINT, false,
     "each endpoint by itself: others are picked while it is open; requests are refused where there is no other"},
    {0}};

static const struct row circuit_breaker_rows[] = {
    {.name = "failureThreshold",
     .type = VALUE_INTEGER,
     CIRCUIT(failure_threshold),
     .min = 0,
     .max = 1000000,
     .fallback = "0",
     .describes = "so many failures in a row open it; 0: no number does"},
    {.name = "failurePercent",
     .type = VALUE_INTEGER,
     CIRCUIT(failure_percent),
     .min = 0,
     .max = 100,
     .fallback = "0",
     .describes = "so many failures of a hundred in `window` open it; 0: no share does"},
    {.name = "window",
     .type = VALUE_DURATION,
     CIRCUIT(window),
     .min = 100 * NS_PER_MS,
     .max = HOUR,
     .fallback = "10s",
     .describes = "over which shares are counted, in ten parts"},
    {.name = "minRequests",
     .type = VALUE_INTEGER,
     CIRCUIT(min_requests),
     .min = 1,
     .max = 1000000,
     .fallback = "20",
     .describes = "of fewer in `window` no share counts"},
    {.name = "slowCall", .type = VALUE_OBJECT, .object = &slow_call_table, .describes = "slow answers open it too"},
    {.name = "openFor",
     .type = VALUE_DURATION,
     CIRCUIT(open_for),
     .min = NS_PER_MS,
     .max = 24 * HOUR,
     .fallback = "60s",
     .describes = "while it is open requests get 503 breaker_open; then some are let through to see whether the service is back"},
    {.name = "jitterPercent",
     .type = VALUE_INTEGER,
     CIRCUIT(jitter_percent),
     .min = 0,
     .max = 100,
     .fallback = "0",
     .describes = "it is open for up to so much longer, at random: so that callers do not come back together"},
    {.name = "halfOpenRequests",
     .type = VALUE_INTEGER,
     CIRCUIT(half_open_requests),
     .min = 1,
     .max = 1000,
     .fallback = "1",
     .describes = "so many requests are let through then: where all succeed it closes, one that fails opens it again"},
    {.name = "scope", .type = VALUE_ENUM, CIRCUIT(scope), .choices = circuit_scopes, .fallback = "Service", .describes = "what it is for"},
    {.name = "mode",
     .type = VALUE_ENUM,
     ROW_AT(struct traffic_policy_spec, circuit_mode),
     .choices = policy_modes,
     .fallback = "Enforce",
     .describes = "whether it refuses, or only tells whom it would"},
    {.name = "disabled",
     .type = VALUE_BOOL,
     ROW_AT(struct traffic_policy_spec, circuit_breaker_disabled),
     .fallback = "false",
     .describes = "true: what a less specific policy says is put aside; there is no breaker"},
    {0}};
const struct table circuit_breaker_table = {.describes = "a service that fails is not asked for a while", .rows = circuit_breaker_rows};

// One that could not be read is told of already.
static bool has_bad_threshold(const struct node *group) {
    const struct node *slow = node_find(group, "slowCall");
    const struct node *thresholds[] = {node_find(group, "failureThreshold"), node_find(group, "failurePercent"), slow, node_find(slow, "threshold")};
    for (size_t i = 0; i < sizeof(thresholds) / sizeof(thresholds[0]); i++)
        if (thresholds[i] != NULL && thresholds[i]->bad)
            return true;
    return false;
}

// Which endpoint is asked is a service's matter, as with loadBalancer.
static void refuse_endpoints_of_routes(struct document *document, const struct node *group) {
    const struct traffic_policy_spec *spec = document->spec;
    for (uint32_t i = 0; i < spec->head.target_count; i++)
        if (target_is_route(spec->head.targets[i].kind) || spec->head.targets[i].kind == TARGET_GATEWAY)
            document_error(document, group, "scope", "Endpoint is of a Service, and not of a route or a Gateway; allowed here: Service");
}

// What nothing reads: somebody meant something by it.
static void judge_idle_fields(struct document *document, const struct node *group, const struct circuit_breaker_config *config) {
    const struct node *slow = node_find(group, "slowCall");
    if (node_find(slow, "percent") != NULL && node_find(slow, "threshold") == NULL)
        document_error(document, slow, NULL, "has a percent and no threshold: no answer is slow; needed: slowCall.threshold");
    static const char *const of_shares[] = {"window", "minRequests"};
    for (size_t i = 0; i < sizeof of_shares / sizeof of_shares[0] && config->failure_percent == 0 && config->slow_call.threshold == 0; i++)
        if (node_find(group, of_shares[i]) != NULL)
            document_warning(document, node_find(group, of_shares[i]), NULL,
                             "does nothing: it is for failurePercent and slowCall, and neither is set; failureThreshold is in a row, over any time");
}

void circuit_breaker_check(struct document *document) {
    struct traffic_policy_spec *spec = document->spec;
    struct circuit_breaker_config *config = &spec->traffic.circuit_breaker;
    const struct node *group = node_find(document->spec_node, "circuitBreaker");
    if (group == NULL || group->bad)
        return;
    config->dry_run = spec->circuit_mode == MODE_DRY_RUN;
    config->place = document_place(document, group);
    if (config->scope == CIRCUIT_OF_ENDPOINT)
        refuse_endpoints_of_routes(document, group);
    if (!circuit_breaker_is_set(config) && !spec->circuit_breaker_disabled && !has_bad_threshold(group))
        document_error(document, group, NULL,
                       "has no threshold: nothing opens it; allowed: failureThreshold, failurePercent or slowCall.threshold above 0");
    else if (!has_bad_threshold(group))
        judge_idle_fields(document, group, config);
}
