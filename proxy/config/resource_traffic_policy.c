// Kind TrafficPolicy: how requests to its targets are carried, in the caller's proxy. Its table, which is also where the defaults of all traffic stand, and the
// rules between its fields. Merging is in merge.c.
#include "config/resource_route.h"
#include "config/resources.h"

#include "config/grpc_codes.h"
#include "config/merge.h"

#define SPEC(member) ROW_AT(struct traffic_policy_spec, member)
#define HOUR (3600 * NS_PER_S)
#define DISABLED_ROW(member, what)                                                 \
    {                                                                              \
        .name = "disabled", .type = VALUE_BOOL, SPEC(member), .fallback = "false", \
        .describes = "true: what a less specific policy says is put aside; " what  \
    }

static const struct row connections_rows[] = {
    {.name = "max",
     .type = VALUE_INTEGER,
     SPEC(traffic.connections.max),
     .min = 0,
     .max = 1000000,
     .fallback = "0",
     .describes = "connections to all endpoints of the service together, of all workers; what is idle at one makes room for another; 0: no limit"},
    {.name = "maxPending",
     .type = VALUE_INTEGER,
     SPEC(traffic.connections.max_pending),
     .min = 0,
     .max = 1000000,
     .fallback = "1024",
     .describes = "requests to one service that may wait for a connection, in each worker; more: 503 pool_full"},
    {.name = "maxStreams",
     .type = VALUE_INTEGER,
     SPEC(traffic.connections.max_streams),
     .min = 1,
     .max = 100000,
     .fallback = "100",
     .describes = "requests at a time on one HTTP/2 connection"},
    {.name = "connectTimeout",
     .type = VALUE_DURATION,
     SPEC(traffic.connections.connect_timeout),
     .min = NS_PER_MS,
     .max = HOUR,
     .fallback = "1s",
     .describes = "for a connection, with its TLS handshake, to be made"},
    {.name = "idleTimeout",
     .type = VALUE_DURATION,
     SPEC(traffic.connections.idle_timeout),
     .min = 0,
     .max = 24 * HOUR,
     .fallback = "30s",
     .describes = "an HTTP/2 connection with no request is closed after this; 0s: never"},
    {.name = "http1IdleTimeout",
     .type = VALUE_DURATION,
     SPEC(traffic.connections.http1_idle_timeout),
     .min = 0,
     .max = 24 * HOUR,
     .fallback = "4s",
     .describes = "the same for HTTP/1.1; shorter than the server's own, so that no request meets a connection that is closing"},
    {.name = "maxAge",
     .type = VALUE_DURATION,
     SPEC(traffic.connections.max_age),
     .min = 0,
     .max = 24 * HOUR,
     .fallback = "0s",
     .describes = "a connection takes no new request after this, or up to a tenth sooner, at random, so that those made together do not end "
                  "together; 0s: no limit"},
    {.name = "keepalive",
     .type = VALUE_DURATION,
     SPEC(traffic.connections.keepalive),
     .min = 0,
     .max = 24 * HOUR,
     .fallback = "30s",
     .describes = "an HTTP/2 peer that was silent for so long is asked for a sign of life; one that is no sidecar, and goes on saying nothing else, "
                  "then every 310s at most, since gRPC servers take more for an attack; 0s: never"},
    DISABLED_ROW(connections_disabled, "the defaults are used"),
    {0}};
static const struct table connections_table = {.describes = "connections to the endpoints", .rows = connections_rows};

static const struct row timeouts_rows[] = {
    {.name = "request",
     .type = VALUE_DURATION,
     SPEC(traffic.timeouts.request),
     .min = 0,
     .max = 24 * HOUR,
     .fallback = "0s",
     .describes = "for the whole answer, all tries together; then 504 request_timeout; 0s: none"},
    {.name = "backendRequest",
     .type = VALUE_DURATION,
     SPEC(traffic.timeouts.backend_request),
     .min = 0,
     .max = 24 * HOUR,
     .fallback = "0s",
     .describes = "for one try, until the head of its answer; then 504 try_timeout; 0s: none"},
    {.name = "idle",
     .type = VALUE_DURATION,
     SPEC(traffic.timeouts.idle),
     .min = 0,
     .max = 24 * HOUR,
     .fallback = "5m",
     .describes = "with no byte in either direction; 0s: none"},
    {.name = "tcpIdle",
     .type = VALUE_DURATION,
     SPEC(traffic.timeouts.tcp_idle),
     .min = 0,
     .max = 168 * HOUR,
     .fallback = "1h",
     .describes = "the same for what has no messages that we see: a WebSocket, an opaque connection (for which none of the others counts); 0s: none"},
    DISABLED_ROW(timeouts_disabled, "there are none"),
    {0}};
static const struct table timeouts_table = {.describes = "how long a request may take", .rows = timeouts_rows};

static const struct row deadline_rows[] = {
    {.name = "propagate",
     .type = VALUE_BOOL,
     SPEC(traffic.deadline.propagate),
     .fallback = "true",
     .describes = "grpc-timeout and x-request-timeout-ms tell the endpoint what time remains; what is too late is not sent"},
    DISABLED_ROW(deadline_disabled, "nothing is told"),
    {0}};
static const struct table deadline_table = {.describes = "the caller's deadline", .rows = deadline_rows};

static const struct choice retry_conditions[] = {
    {"ConnectFailure", offsetof(struct traffic_policy_spec, traffic.retry.connect_failure), false, "no connection could be made"},
    {"RefusedStream", offsetof(struct traffic_policy_spec, traffic.retry.refused_stream), false, "the peer said that it did not process it"},
    {"Unsent", offsetof(struct traffic_policy_spec, traffic.retry.unsent), false,
     "no byte of it had left, or a kept connection broke before the answer and its method may be repeated"},
    {"GatewayError", offsetof(struct traffic_policy_spec, traffic.retry.gateway_error), false, "the answer is 502, 503 or 504"},
    {"Reset", offsetof(struct traffic_policy_spec, traffic.retry.reset), false, "the connection or stream broke before the answer's head"},
    {"Timeout", offsetof(struct traffic_policy_spec, traffic.retry.timeout), false, "timeouts.backendRequest ran out before the answer's head"},
    {0}};
#define GRPC_CODE(number) offsetof(struct traffic_policy_spec, traffic.retry.grpc_codes[number])
static const struct choice retry_grpc_codes[] = {
#define X(word, number, describes) {#word, GRPC_CODE(number), false, describes},
    GRPC_CODE_LIST(X)
#undef X
        {0}};
#define METHOD(name) offsetof(struct traffic_policy_spec, traffic.retry.methods[METHOD_##name])
static const struct choice retry_methods[] = {{"GET", METHOD(GET), false, "idempotent"},
                                              {"HEAD", METHOD(HEAD), false, "idempotent"},
                                              {"OPTIONS", METHOD(OPTIONS), false, "idempotent"},
                                              {"TRACE", METHOD(TRACE), false, "idempotent"},
                                              {"PUT", METHOD(PUT), false, "idempotent"},
                                              {"DELETE", METHOD(DELETE), false, "idempotent"},
                                              {"POST", METHOD(POST), false, "what it does may be done twice"},
                                              {"PATCH", METHOD(PATCH), false, "what it does may be done twice"},
                                              {0}};

const char *traffic_retry_word(const struct traffic_config *traffic, enum retry_list list, uint32_t *position) {
    static const struct choice *const lists[] = {
        [RETRY_CONDITIONS] = retry_conditions, [RETRY_GRPC_CODES] = retry_grpc_codes, [RETRY_METHODS] = retry_methods};
    while (lists[list][*position].name != NULL) {
        const struct choice *choice = &lists[list][(*position)++];
        const bool *is_named = (const void *)((const char *)traffic + (choice->value - offsetof(struct traffic_policy_spec, traffic)));
        if (*is_named)
            return choice->name;
    }
    return NULL;
}

static const struct row backoff_rows[] = {
    {.name = "base",
     .type = VALUE_DURATION,
     SPEC(traffic.retry.backoff.base),
     .min = 0,
     .max = HOUR,
     .fallback = "25ms",
     .describes = "once all endpoints were tried a further try waits between 0 and this, doubled with each; none where a kept connection broke"},
    {.name = "max",
     .type = VALUE_DURATION,
     SPEC(traffic.retry.backoff.max),
     .min = 0,
     .max = HOUR,
     .fallback = "250ms",
     .describes = "never longer than this"},
    {0}};
static const struct table backoff_table = {.describes = "how long a further try waits", .rows = backoff_rows};
static const struct row budget_rows[] = {{.name = "percent",
                                          .type = VALUE_INTEGER,
                                          SPEC(traffic.retry.budget.percent),
                                          .min = 0,
                                          .max = 100,
                                          .fallback = "20",
                                          .describes = "of the requests of the interval that may be tried again"},
                                         {.name = "interval",
                                          .type = VALUE_DURATION,
                                          SPEC(traffic.retry.budget.interval),
                                          .min = NS_PER_S,
                                          .max = HOUR,
                                          .fallback = "10s",
                                          .describes = "over which requests are counted"},
                                         {.name = "minPerSecond",
                                          .type = VALUE_INTEGER,
                                          SPEC(traffic.retry.budget.min_per_second),
                                          .min = 0,
                                          .max = 1000000,
                                          .fallback = "1",
                                          .describes = "tries that are allowed however few requests there are"},
                                         {0}};
static const struct table budget_table = {.describes = "bound on tries, per calling proxy and service", .rows = budget_rows};
static const struct row retry_rows[] = {
    {.name = "attempts",
     .type = VALUE_INTEGER,
     SPEC(traffic.retry.attempts),
     .min = 0,
     .max = RETRY_ATTEMPTS_MAX,
     .fallback = "1",
     .describes = "tries after the first"},
    {.name = "conditions",
     .type = VALUE_FLAGS,
     .choices = retry_conditions,
     .width = sizeof(bool),
     .fallback = "ConnectFailure RefusedStream Unsent",
     .describes = "what is tried again; by default what was provably not processed, and the one case of Unsent where the method may be repeated"},
    {.name = "codes",
     .type = VALUE_NUMBERS,
     SPEC(traffic.retry.codes),
     .min = RETRY_CODE_MIN,
     .max = RETRY_CODE_MAX,
     .describes = "statuses of answers that are tried again"},
    {.name = "grpcCodes",
     .type = VALUE_FLAGS,
     .choices = retry_grpc_codes,
     .width = sizeof(bool),
     .describes =
         "codes of gRPC that are tried again where the answer has nothing else; naming one lets gRPC requests be repeated, whatever `methods` says"},
    {.name = "methods",
     .type = VALUE_FLAGS,
     .choices = retry_methods,
     .width = sizeof(bool),
     .fallback = "GET HEAD OPTIONS TRACE PUT DELETE",
     .describes =
         "that may be repeated although they may have been processed: what `codes`, GatewayError, Reset, Timeout and the one case of Unsent are "
         "bound to"},
    {.name = "respectRetryAfter",
     .type = VALUE_DURATION,
     SPEC(traffic.retry.respect_retry_after),
     .min = 0,
     .max = HOUR,
     .fallback = "2s",
     .describes =
         "Retry-After and grpc-retry-pushback-ms of an answer that is to be tried again are waited for up to this; one that asks for longer goes "
         "down and is not tried again; 0s: they are not looked at, but a pushback that forbids a retry"},
    {.name = "backoff", .type = VALUE_OBJECT, .object = &backoff_table, .describes = "how long a further try waits"},
    {.name = "bufferBytes",
     .type = VALUE_QUANTITY,
     SPEC(traffic.retry.buffer_bytes),
     .min = 0,
     .max = 16 << 20,
     .fallback = "64Ki",
     .describes = "bytes of body kept for a further try; what is longer is not tried again"},
    {.name = "budget", .type = VALUE_OBJECT, .object = &budget_table, .describes = "bound on tries, per calling proxy and service"},
    DISABLED_ROW(retry_disabled, "nothing is tried again"),
    {0}};
static const struct table retry_table = {.describes = "further tries", .rows = retry_rows};

static const struct choice hedge_afters[] = {
    {"P95", HEDGE_AFTER_P95, false, "longer than 95 of 100 recent answers of the service took, and than `delay`"},
    {"Delay", HEDGE_AFTER_DELAY, false, "longer than `delay`"},
    {0}};
static const struct row hedge_rows[] = {
    {.name = "after",
     .type = VALUE_ENUM,
     SPEC(traffic.hedge.after),
     .choices = hedge_afters,
     .fallback = "P95",
     .describes = "when a request is sent to a second endpoint too, once all of it is there; the first answer wins"},
    {.name = "delay", .type = VALUE_DURATION, SPEC(traffic.hedge.delay), .min = 0, .max = HOUR, .fallback = "0s", .describes = "not before this"},
    {.name = "max",
     .type = VALUE_INTEGER,
     SPEC(traffic.hedge.max),
     .min = 1,
     .max = HEDGES_MAX,
     .fallback = "1",
     .describes = "endpoints that are asked beside the first"},
    {.name = "percent",
     .type = VALUE_INTEGER,
     SPEC(traffic.hedge.percent),
     .min = 1,
     .max = 100,
     .fallback = "5",
     .describes =
         "of the requests that may be repeated, of all workers together, over `retry.budget.interval`; each takes from the retry budget too"},
    {.name = "mode", .type = VALUE_ENUM, SPEC(hedge_mode), .choices = policy_modes, .fallback = "Enforce", .describes = "whether it is done"},
    DISABLED_ROW(hedge_disabled, "nothing is hedged"),
    {0}};
static const struct table hedge_table = {.describes = "requests that take long are sent to a second endpoint too", .rows = hedge_rows};

static const struct row traffic_policy_rows[] = {
    TARGET_REFS_ROW,
    {.name = "loadBalancer", .type = VALUE_OBJECT, .object = &load_balancer_table, .is_group = true, .describes = "how an endpoint is chosen"},
    {.name = "backendSelection",
     .type = VALUE_OBJECT,
     .object = &selection_table,
     .is_group = true,
     .describes = "routes, or one rule: which of a rule's backends a request goes to; by weight without this group"},
    {.name = "connections", .type = VALUE_OBJECT, .object = &connections_table, .is_group = true, .describes = "connections to the endpoints"},
    {.name = "timeouts", .type = VALUE_OBJECT, .object = &timeouts_table, .is_group = true, .describes = "how long a request may take"},
    {.name = "deadline", .type = VALUE_OBJECT, .object = &deadline_table, .is_group = true, .describes = "the caller's deadline"},
    {.name = "retry", .type = VALUE_OBJECT, .object = &retry_table, .is_group = true, .describes = "further tries"},
    {.name = "hedge",
     .type = VALUE_OBJECT,
     .object = &hedge_table,
     .is_group = true,
     .describes = "requests that take long are sent to a second endpoint too: of `retry.methods` alone; nothing is without this group"},
    {.name = "circuitBreaker",
     .type = VALUE_OBJECT,
     .object = &circuit_breaker_table,
     .is_group = true,
     .describes = "a service that fails is not asked for a while; there is no breaker without this group"},
    {.name = "outlierDetection",
     .type = VALUE_OBJECT,
     .object = &outlier_table,
     .is_group = true,
     .describes = "endpoints that fail in a row are left out for a while"},
    {.name = "healthCheck",
     .type = VALUE_OBJECT,
     .object = &health_check_table,
     .is_group = true,
     .describes = "endpoints are asked whether they are well; nothing is without this group"},
    {0}};
const struct table traffic_policy_table = {.describes = "how requests to a target are carried, in the caller's proxy",
                                           .rows = traffic_policy_rows,
                                           .size = sizeof(struct traffic_policy_spec),
                                           .has_place = true,
                                           .place_offset = offsetof(struct traffic_policy_spec, traffic.place),
                                           .later = "mode"};

// Which endpoint, and which connection, is a service's matter: its live state is one, whatever route a request came by.
static void refuse_endpoint_groups(struct document *document, const struct target_ref *target, const struct node *node) {
    static const char *const groups[] = {"loadBalancer", "connections", "outlierDetection", "healthCheck"};
    if (!document_has(node, "kind") || (!target_is_route(target->kind) && target->kind != TARGET_GATEWAY))
        return;
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        if (node_find(document->spec_node, groups[i]) != NULL)
            document_error(
                document, node_find(document->spec_node, groups[i]), NULL,
                "is of a Service, and not of a route or a Gateway; allowed here: timeouts, deadline, retry, hedge, circuitBreaker, backendSelection");
}

// What is switched off has nothing else to say.
static void check_groups(struct document *document) {
    for (const struct row *row = traffic_policy_rows; row->name != NULL; row++) {
        const struct node *group = node_find(document->spec_node, row->name);
        const struct node *disabled = row->is_group ? node_find(group, "disabled") : NULL;
        if (disabled != NULL && disabled->kind == NODE_SCALAR && bytes_equal(disabled->text, BYTES("true")) && group->count > 1)
            document_error(document, group, NULL, "is disabled and has other fields; allowed: {disabled: true} alone");
    }
}

void traffic_policy_check(struct document *document) {
    struct traffic_policy_spec *spec = document->spec;
    targets_check(document);
    for (uint32_t i = 0; i < spec->head.target_count; i++)
        refuse_endpoint_groups(document, &spec->head.targets[i], node_item(node_find(document->spec_node, "targetRefs"), i));
    check_groups(document);
    load_balancer_check(document);
    selection_check(document);
    circuit_breaker_check(document);
    health_groups_check(document);
    const struct node *backoff = node_find(node_find(document->spec_node, "retry"), "backoff");
    if (spec->traffic.retry.backoff.base > spec->traffic.retry.backoff.max && backoff != NULL)
        document_error(document, backoff, NULL, "base is above max; allowed: at most max");
    const struct node *hedge = node_find(document->spec_node, "hedge");
    if (spec->traffic.hedge.after == HEDGE_AFTER_DELAY && spec->traffic.hedge.delay == 0 && hedge != NULL)
        document_error(document, hedge, "delay", "is required with after: Delay, and longer than 0s");
    spec->groups_given = traffic_groups_given(document->spec_node);
    struct traffic_config *traffic = &spec->traffic;
    traffic->hedge.dry_run = spec->hedge_mode == MODE_DRY_RUN;
    traffic->policy = pool_format(document->loading->values, "%.*s/%.*s", BYTES_FORMAT(document->namespace_name), BYTES_FORMAT(document->name));
    const struct bytes label = pool_copy(document->loading->values, bytes_from_text(document->label));
    traffic->load_balancer.policy = traffic->selection.policy = label;
    traffic->connections.policy = traffic->timeouts.policy = traffic->deadline.policy = traffic->retry.policy = traffic->hedge.policy = label;
    traffic->circuit_breaker.policy = label;
    traffic->outlier.dry_run = spec->outlier_mode == MODE_DRY_RUN;
    traffic->outlier.policy = label;
}
