// spec.telemetry of a Proxy and of the MeshConfig: its table, and the rules between its fields, but for those of single blocks that have files of their own.
#include "config/resources.h"
#include "telemetry/series_registry.h"

static const struct row sampling_rows[] = {TELEMETRY_SHARE_ROWS(struct mesh_fields, telemetry.traces.sampling), {0}};
static const struct table sampling_table = {.describes = "which share of the traces that begin here is recorded", .rows = sampling_rows};
static const struct row traces_rows[] = {{.name = "sampling",
                                          .type = VALUE_OBJECT,
                                          .object = &sampling_table,
                                          .describes = "which share of the traces that begin here is recorded, where no TelemetryPolicy says another "
                                                       "one; one that was begun elsewhere is recorded as its parent says"},
                                         {0}};
static const struct table traces_table = {.describes = "traces of requests", .rows = traces_rows, .later = "endpoint protocol propagators"};

static const struct row metrics_rows[] = {
    {.name = "maxSeries",
     .type = VALUE_INTEGER,
     ROW_AT(struct mesh_fields, telemetry.metrics.max_series),
     .min = 1,
     .max = SERIES_MAX_MAX,
     .fallback = "2000",
     .describes = "series of each family of histograms of requests; what comes beyond counts in one with otel_metric_overflow"},
    {0}};
static const struct table metrics_table = {.describes = "metrics", .rows = metrics_rows, .later = "endpoint interval"};

static const struct row telemetry_rows[] = {{.name = "accessLog", .type = VALUE_OBJECT, .object = &access_log_table, .describes = "the access log"},
                                            {.name = "auditLog", .type = VALUE_OBJECT, .object = &audit_log_table, .describes = "the audit log"},
                                            {.name = "traces", .type = VALUE_OBJECT, .object = &traces_table, .describes = "traces of requests"},
                                            {.name = "metrics", .type = VALUE_OBJECT, .object = &metrics_table, .describes = "metrics"},
                                            {0}};
const struct table telemetry_table = {.describes = "what the proxy tells of requests", .rows = telemetry_rows};

void telemetry_share_check(struct document *document, const struct telemetry_share *share, const struct node *node) {
    if (node != NULL && !node->bad && share->numerator > share->denominator)
        document_error(document, node, NULL, "%u of %u is more than all; allowed: a numerator of at most the denominator", share->numerator,
                       share->denominator);
}

void telemetry_check(struct document *document) {
    const struct mesh_fields *fields = document->spec;
    const struct node *telemetry = node_find(document->spec_node, "telemetry");
    access_log_check(document);
    telemetry_share_check(document, &fields->telemetry.traces.sampling, node_find(node_find(telemetry, "traces"), "sampling"));
}
