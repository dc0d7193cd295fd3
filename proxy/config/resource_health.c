// spec.outlierDetection and spec.healthCheck of kind TrafficPolicy: which endpoints are left out, for how they answer requests and for how they answer us.
#include "config/resources.h"

#define OUTLIER(member) ROW_AT(struct traffic_policy_spec, traffic.outlier.member)
#define CHECK_OF(member) ROW_AT(struct traffic_policy_spec, traffic.health_check.member)
#define HOUR (3600 * NS_PER_S)

static const struct row outlier_rows[] = {
    {.name = "failureThreshold",
     .type = VALUE_INTEGER,
     OUTLIER(failure_threshold),
     .min = 1,
     .max = 1000000,
     .fallback = "5",
     .describes = "failures in a row, over all workers, after which an endpoint is ejected: connect errors, resets, timeouts, 502, 503, 504, "
                  "UNAVAILABLE of gRPC"},
    {.name = "interval",
     .type = VALUE_DURATION,
     OUTLIER(interval),
     .min = NS_PER_MS,
     .max = 24 * HOUR,
     .fallback = "10s",
     .describes = "each that passes without an ejection, counted from the endpoint's return, makes its next one shorter by one ejectFor"},
    {.name = "ejectFor",
     .type = VALUE_DURATION,
     OUTLIER(eject_for),
     .min = NS_PER_MS,
     .max = 24 * HOUR,
     .fallback = "30s",
     .describes = "how long the first ejection lasts; the second twice as long, and so on"},
    {.name = "maxEjectFor",
     .type = VALUE_DURATION,
     OUTLIER(max_eject_for),
     .min = NS_PER_MS,
     .max = 24 * HOUR,
     .fallback = "5m",
     .describes = "no ejection lasts longer, unless ejectFor itself does"},
    {.name = "maxEjectedPercent",
     .type = VALUE_INTEGER,
     OUTLIER(max_ejected_percent),
     .min = 0,
     .max = 100,
     .fallback = "50",
     .describes = "of the service's endpoints that may be ejected at a time: one at least where there are two, never the only one; 0: none"},
    {.name = "mode",
     .type = VALUE_ENUM,
     ROW_AT(struct traffic_policy_spec, outlier_mode),
     .choices = policy_modes,
     .fallback = "Enforce",
     .describes = "whether it is done"},
    {.name = "disabled",
     .type = VALUE_BOOL,
     ROW_AT(struct traffic_policy_spec, outlier_disabled),
     .fallback = "false",
     .describes = "true: no endpoint is ejected"},
    {0}};
const struct table outlier_table = {.describes = "endpoints that fail in a row are left out for a while; on by default", .rows = outlier_rows};

static const struct choice check_types[] = {{"HTTP", HEALTH_CHECK_HTTP, false, "GET of `path` is answered with one of `statuses`"},
                                            {"GRPC", HEALTH_CHECK_GRPC, false, "grpc.health.v1.Health/Check says SERVING"},
                                            {"TCP", HEALTH_CHECK_TCP, false, "a connection is made, with its TLS handshake where there is one"},
                                            {0}};

static const struct row health_check_rows[] = {
    {.name = "type", .type = VALUE_ENUM, CHECK_OF(type), .choices = check_types, .fallback = "HTTP", .describes = "what is asked"},
    {.name = "path", .type = VALUE_TEXT, CHECK_OF(path), .fallback = "/", .describes = "HTTP: of the request, with a query where there is one"},
    {.name = "host", .type = VALUE_HOST, CHECK_OF(host), .describes = "HTTP, GRPC: of the request; else the service's name"},
    {.name = "statuses",
     .type = VALUE_NUMBERS,
     CHECK_OF(statuses),
     .min = HEALTH_STATUS_MIN,
     .max = HEALTH_STATUS_MAX,
     .describes = "HTTP: of a good answer; 200 to 299 where none is named"},
    {.name = "grpcService",
     .type = VALUE_TEXT,
     CHECK_OF(grpc_service),
     .describes = "GRPC: the name that is asked for; without one the server as a whole"},
    {.name = "interval",
     .type = VALUE_DURATION,
     CHECK_OF(interval),
     .min = 10 * NS_PER_MS,
     .max = 24 * HOUR,
     .fallback = "30s",
     .describes = "from one check of an endpoint to the next; the first comes at random within it, and within a second"},
    {.name = "timeout",
     .type = VALUE_DURATION,
     CHECK_OF(timeout),
     .min = NS_PER_MS,
     .max = HOUR,
     .fallback = "2s",
     .describes = "for connection, handshake and answer; at most the interval"},
    {.name = "unhealthyAfter",
     .type = VALUE_INTEGER,
     CHECK_OF(unhealthy_after),
     .min = 1,
     .max = 1000,
     .fallback = "3",
     .describes = "failed checks in a row after which an endpoint is not used"},
    {.name = "healthyAfter",
     .type = VALUE_INTEGER,
     CHECK_OF(healthy_after),
     .min = 1,
     .max = 1000,
     .fallback = "2",
     .describes = "passed checks in a row after which it is used again"},
    {.name = "disabled",
     .type = VALUE_BOOL,
     ROW_AT(struct traffic_policy_spec, health_check_disabled),
     .fallback = "false",
     .describes = "true: what a less specific policy says is put aside; nothing is checked"},
    {0}};
const struct table health_check_table = {.describes = "endpoints are asked whether they are well; nothing is without this group",
                                         .rows = health_check_rows};

// A field of some types alone would be without effect with another.
static void check_fields(struct document *document, const struct node *group, enum health_check_type type) {
    static const struct {
        const char *field;
        bool of_http, of_grpc;
        const char *belongs_to;
    } fields[] = {{"path", true, false, "HTTP"},
                  {"statuses", true, false, "HTTP"},
                  {"grpcService", false, true, "GRPC"},
                  {"host", true, true, "HTTP and GRPC"}};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const struct node *node = node_find(group, fields[i].field);
        const bool belongs = (type == HEALTH_CHECK_HTTP && fields[i].of_http) || (type == HEALTH_CHECK_GRPC && fields[i].of_grpc);
        if (node != NULL && !belongs)
            document_error(document, node, NULL, "is for type %s alone", fields[i].belongs_to);
    }
}

// What would not be the path of a request.
static bool is_path(struct bytes path) {
    bool fits = path.len > 0 && path.at[0] == '/';
    for (size_t i = 0; i < path.len; i++)
        fits = fits && path.at[i] > ' ' && path.at[i] <= '~' && path.at[i] != '#';
    return fits;
}

static void check_health_check(struct document *document, struct health_check_config *check) {
    const struct node *group = node_find(document->spec_node, "healthCheck");
    if (group == NULL || group->bad)
        return;
    const struct node *type = node_find(group, "type");
    const struct node *path = node_find(group, "path");
    const struct node *host = node_find(group, "host");
    if (type == NULL || !type->bad)
        check_fields(document, group, check->type);
    if (path != NULL && !path->bad && !is_path(check->path))
        document_error(document, path, NULL, "is no path of a request; allowed: printable ASCII that begins with '/', without '#'");
    if (check->grpc_service.len > GRPC_SERVICE_MAX)
        document_error(document, node_find(group, "grpcService"), NULL, "is longer than any name; allowed: at most %d bytes", GRPC_SERVICE_MAX);
    if (host != NULL && !host->bad && check->host.len > 0 && check->host.at[0] == '*')
        document_error(document, host, NULL, "is no host of a request; allowed: a name without '*'");
    if (check->timeout <= check->interval)
        return;
    if (node_find(group, "timeout") == NULL)
        check->timeout = check->interval;
    else
        document_error(document, node_find(group, "timeout"), NULL,
                       "is above interval: a check would begin before the last is over; allowed: at most interval");
}

void health_groups_check(struct document *document) {
    struct traffic_policy_spec *spec = document->spec;
    const struct node *outlier = node_find(document->spec_node, "outlierDetection");
    check_health_check(document, &spec->traffic.health_check);
    if (outlier != NULL && !outlier->bad && spec->traffic.outlier.eject_for > spec->traffic.outlier.max_eject_for &&
        node_find(outlier, "maxEjectFor") != NULL)
        document_error(document, node_find(outlier, "maxEjectFor"), NULL, "is below ejectFor; allowed: at least ejectFor");
}
