// spec.telemetry of a Proxy and of the MeshConfig: its table, and the rules between its fields, but for those of single blocks that have files of their own.
#include "config/edge_fields.h"
#include "config/resource_otlp.h"
#include "http/headers.h"
#include "telemetry/series_registry.h"

static const struct row sampling_rows[] = {TELEMETRY_SHARE_ROWS(struct mesh_fields, telemetry.traces.sampling), {0}};
static const struct table sampling_table = {.describes = "which share of the traces that begin here is recorded", .rows = sampling_rows};
#define PROPAGATOR(word) offsetof(struct mesh_fields, telemetry.traces.propagators.word)

// Words of OTEL_PROPAGATORS.
static const struct choice propagators[] = {
    {"tracecontext", PROPAGATOR(tracecontext), false, "traceparent and tracestate (W3C Trace Context)"},
    {"baggage", PROPAGATOR(baggage), false,
     "baggage (W3C) goes on as far as everybody has to pass it on: 64 members, 8,192 bytes; without this all of it does, as any other field"},
    {"b3", PROPAGATOR(b3), false, "B3 in one field; the several are read too"},
    {"b3multi", PROPAGATOR(b3_multi), false, "B3 in several fields; the one is read too"},
    {"none", PROPAGATOR(none), false, "alone: none is read or written"},
    {0}};

static const struct choice event_places[] = {
    {"Span", TRACE_EVENTS_SPAN, false, "events of the span in which it happened"},
    {"Log", TRACE_EVENTS_LOG, false,
     "log records with the ids of that span, which go where spec.telemetry.logs says; where that has no endpoint, still events of the span"},
    {0}};

static const struct row traces_rows[] = {
    {.name = "sampling",
     .type = VALUE_OBJECT,
     .object = &sampling_table,
     .describes = "which share of the traces that begin here is recorded, where no TelemetryPolicy says another "
                  "one; one that was begun elsewhere is recorded as its parent says"},
    {.name = "propagators",
     .type = VALUE_FLAGS,
     .width = sizeof(bool),
     .choices = propagators,
     .fallback = "tracecontext baggage",
     .describes = "the forms in which requests carry the context of their trace: read in this order, "
                  "and all written into what is sent on"},
    {.name = "events",
     .type = VALUE_ENUM,
     ROW_AT(struct mesh_fields, telemetry.traces.events),
     .choices = event_places,
     .fallback = "Span",
     .describes = "what becomes of that which filters, retries and breakers decide about a request whose trace is recorded"},
    {.name = "forceHeader",
     .type = VALUE_TEXT,
     ROW_AT(struct mesh_fields, telemetry.traces.force_header),
     .describes = "a request that has this field with the value 1 or true is recorded, whatever sampling and "
                  "its parent say; from whom is as for spec.debug.header, from others it is taken off; "
                  "x-debug or x-debug-..., which gateways guard"},
    OTLP_ROWS(OTLP_TRACES),
    {.name = "batch", .type = VALUE_OBJECT, .object = &otlp_traces_batch_table, .describes = "how spans are sent together"},
    {0}};
static const struct table traces_table = {.describes = "traces of requests", .rows = traces_rows};

static const struct choice temporalities[] = {
    {"Cumulative", METRICS_CUMULATIVE, false, "counters and histograms say what came since the process began"},
    {"Delta", METRICS_DELTA, false, "what came since the last time"},
    {0}};
static const struct choice histograms[] = {{"Explicit", METRICS_EXPLICIT, false, "with the bounds of OpenTelemetry's conventions"},
                                           {"Exponential", METRICS_EXPONENTIAL, false, "of requests with up to 160 buckets, as fine as they can be"},
                                           {0}};
static const struct row metrics_rows[] = {
    OTLP_ROWS(OTLP_METRICS),
    {.name = "interval",
     .type = VALUE_DURATION,
     ROW_AT(struct mesh_fields, telemetry.metrics.interval),
     .min = 100 * NS_PER_MS,
     .max = 3600 * NS_PER_S,
     .fallback = "60s",
     .describes = "from one time that metrics are sent to the next"},
    {.name = "exportTimeout",
     .type = VALUE_DURATION,
     OTLP_AT(OTLP_METRICS, batch.export_timeout),
     .min = NS_PER_MS,
     .max = 3600 * NS_PER_S,
     .fallback = "30s",
     .describes = "for what is sent at a time, with all tries; what is not taken by then is dropped and counted"},
    {.name = "temporality",
     .type = VALUE_ENUM,
     ROW_AT(struct mesh_fields, telemetry.metrics.temporality),
     .choices = temporalities,
     .fallback = "Cumulative",
     .describes = "since when what is sent counts"},
    {.name = "histograms",
     .type = VALUE_ENUM,
     ROW_AT(struct mesh_fields, telemetry.metrics.histograms),
     .choices = histograms,
     .fallback = "Explicit",
     .describes = "how what requests took is recorded to be sent; /metrics has explicit ones in any case"},
    {.name = "maxSeries",
     .type = VALUE_INTEGER,
     ROW_AT(struct mesh_fields, telemetry.metrics.max_series),
     .min = 1,
     .max = SERIES_MAX_MAX,
     .fallback = "2000",
     .describes = "series of each family of histograms of requests; what comes beyond counts in one with otel_metric_overflow"},
    {0}};
static const struct table metrics_table = {.describes = "metrics", .rows = metrics_rows};

static const struct row logs_rows[] = {
    OTLP_ROWS(OTLP_LOGS),
    {.name = "batch", .type = VALUE_OBJECT, .object = &otlp_logs_batch_table, .describes = "how records of logs are sent together"},
    {0}};
static const struct table logs_table = {
    .describes = "where records of logs go: those of accessLog and auditLog with format OTLP, and of traces with events Log", .rows = logs_rows};

static const struct row telemetry_rows[] = {{.name = "accessLog", .type = VALUE_OBJECT, .object = &access_log_table, .describes = "the access log"},
                                            {.name = "auditLog", .type = VALUE_OBJECT, .object = &audit_log_table, .describes = "the audit log"},
                                            {.name = "logs", .type = VALUE_OBJECT, .object = &logs_table, .describes = "where records of logs go"},
                                            {.name = "traces", .type = VALUE_OBJECT, .object = &traces_table, .describes = "traces of requests"},
                                            {.name = "metrics", .type = VALUE_OBJECT, .object = &metrics_table, .describes = "metrics"},
                                            {0}};
const struct table telemetry_table = {.describes = "what the proxy tells of requests", .rows = telemetry_rows};

void telemetry_share_check(struct document *document, const struct telemetry_share *share, const struct node *node) {
    if (node != NULL && !node->bad && share->numerator > share->denominator)
        document_error(document, node, NULL, "%u of %u is more than all; allowed: a numerator of at most the denominator", share->numerator,
                       share->denominator);
}

void log_sampling_check(struct document *document, enum log_filter filter, const struct node *log) {
    const struct node *said = node_find(log, "filter"), *sampling = node_find(log, "sampling");
    if (said != NULL && !said->bad && sampling != NULL && filter != LOG_FILTER_ALL)
        document_error(document, sampling, NULL, "does nothing: it is a share of what filter All logs beside what failed");
}

static void traces_check(struct document *document, const struct node *traces) {
    const struct mesh_fields *fields = document->spec;
    const struct telemetry_propagators *named = &fields->telemetry.traces.propagators;
    const struct bytes header = fields->telemetry.traces.force_header;
    const struct node *node = node_find(traces, "forceHeader");
    if (named->none && (named->tracecontext || named->baggage || named->b3 || named->b3_multi))
        document_error(document, node_find(traces, "propagators"), NULL, "none stands beside others; allowed: none alone, or some of the others");
    if (node != NULL && !node->bad && (!is_token(header) || !edge_field_is_of_debugging(header) || !edge_field_may_be_trusted(header)))
        document_error(document, node, NULL, "%.*s is no name that every gateway takes off requests from outside; allowed: x-debug, x-debug-...",
                       BYTES_FORMAT(header));
}

void telemetry_check(struct document *document) {
    const struct mesh_fields *fields = document->spec;
    const struct node *telemetry = node_find(document->spec_node, "telemetry");
    audit_log_check(document);
    access_log_check(document);
    traces_check(document, node_find(telemetry, "traces"));
    telemetry_share_check(document, &fields->telemetry.traces.sampling, node_find(node_find(telemetry, "traces"), "sampling"));
    otlp_check(document, &fields->telemetry.otlp[OTLP_TRACES], node_find(telemetry, "traces"));
    otlp_check(document, &fields->telemetry.otlp[OTLP_LOGS], node_find(telemetry, "logs"));
    otlp_check(document, &fields->telemetry.otlp[OTLP_METRICS], node_find(telemetry, "metrics"));
}
