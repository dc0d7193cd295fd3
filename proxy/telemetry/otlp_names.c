// OpenTelemetry's names for our metrics and labels. Part of otlp_metrics.h.
#include "telemetry/otlp_names.h"

#include "base/check.h"
#include "telemetry/otlp_metrics.h"

#include <stdio.h>

// Names of its conventions (semantic-conventions, docs/http, docs/rpc, docs/system/process-metrics.md); what does not stand here is made by rule.
static const struct {
    const char *ours, *theirs;
    bool is_up_down; // an UpDownCounter
} names[] = {
    {"http_server_request_duration_seconds", "http.server.request.duration", false},
    {"http_client_request_duration_seconds", "http.client.request.duration", false},
    {"rpc_server_call_duration_seconds", "rpc.server.call.duration", false},
    {"rpc_client_call_duration_seconds", "rpc.client.call.duration", false},
    {"process_cpu_seconds_total", "process.cpu.time", false},
    {"process_resident_memory_bytes", "process.memory.usage", true},
    {"process_open_fds", "process.unix.file_descriptor.count", true},
    // It has none for these, and names beside its own would be taken for such.
    {"process_start_time_seconds", "outrigger.process.start_time", false},
    {"process_max_fds", "outrigger.process.file_descriptor.limit", false},
};

static const struct otlp_key keys[] = {
    {"service", "outrigger.service", OTLP_KEY_TEXT},
    {"route", "outrigger.route", OTLP_KEY_TEXT},
    {"http_route", "outrigger.route", OTLP_KEY_TEXT}, // a rule's name, where http.route is a template of paths
    {"http_request_method", "http.request.method", OTLP_KEY_TEXT},
    {"http_response_status_code", "http.response.status_code", OTLP_KEY_NUMBER},
    {"url_scheme", "url.scheme", OTLP_KEY_TEXT},
    {"error_type", "error.type", OTLP_KEY_TEXT},
    {"network_protocol_version", "network.protocol.version", OTLP_KEY_TEXT},
    {"server_address", "server.address", OTLP_KEY_TEXT},
    {"server_port", "server.port", OTLP_KEY_NUMBER},
    {"rpc_system_name", "rpc.system.name", OTLP_KEY_TEXT},
    {"rpc_method", "rpc.method", OTLP_KEY_TEXT},
    {"rpc_status_code", "rpc.status_code", OTLP_KEY_TEXT},
    {OTLP_OVERFLOW_LABEL, "otel.metric.overflow", OTLP_KEY_TRUE},
};

struct otlp_key otlp_key_of(const char *label) {
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i].label, label) == 0)
            return keys[i];
    return (struct otlp_key){label, label, OTLP_KEY_TEXT};
}

static struct bytes without(struct bytes name, struct bytes end) {
    return bytes_ends_with(name, end) ? bytes_from(name.at, name.len - end.len) : name;
}

void otlp_metric_name(const struct metric_family *family, char name[OTLP_NAME_MAX]) {
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].ours, family->name) == 0) {
            snprintf(name, OTLP_NAME_MAX, "%s", names[i].theirs);
            return;
        }
    const struct bytes prefix = BYTES("outrigger_");
    struct bytes rest = bytes_from_text(family->name);
    CHECK(bytes_starts_with(rest, prefix));
    rest = bytes_from(rest.at + prefix.len, rest.len - prefix.len);
    rest = without(without(without(rest, BYTES("_total")), BYTES("_seconds")), BYTES("_bytes"));
    snprintf(name, OTLP_NAME_MAX, "outrigger.%.*s", BYTES_FORMAT(rest));
}

// None where it counts things: by "1" collectors that go on to Prometheus would call a gauge a ratio.
const char *otlp_metric_unit(const struct metric_family *family) {
    const struct bytes name = without(bytes_from_text(family->name), BYTES("_total"));
    return bytes_ends_with(name, BYTES("_seconds")) ? "s" : bytes_ends_with(name, BYTES("_bytes")) ? "By" : "";
}

bool otlp_is_gauge(const struct metric_family *family) {
    if (family->type != METRIC_GAUGE)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].is_up_down && strcmp(names[i].ours, family->name) == 0)
            return false;
    return true;
}

bool otlp_has_overflow(const struct metric_family *family) {
    const uint32_t count = metric_label_count(family);
    return count > 0 && strcmp(family->labels[count - 1], OTLP_OVERFLOW_LABEL) == 0;
}
