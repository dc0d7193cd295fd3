// OpenTelemetry's names for our metrics and labels. Part of otlp_metrics.h.
#include "telemetry/otlp_names.h"

#include "base/check.h"
#include "telemetry/otlp_metrics.h"

#include <stdio.h>

// Names of its conventions; what does not stand here is made by rule.
static const struct {
    const char *ours, *theirs;
} names[] = {
    {"http_server_request_duration_seconds", "http.server.request.duration"},
    {"http_client_request_duration_seconds", "http.client.request.duration"},
    {"rpc_server_call_duration_seconds", "rpc.server.call.duration"},
    {"rpc_client_call_duration_seconds", "rpc.client.call.duration"},
    {"process_cpu_seconds_total", "process.cpu.time"},
    {"process_resident_memory_bytes", "process.memory.usage"},
    {"process_start_time_seconds", "process.start_time"},
    {"process_open_fds", "process.unix.file_descriptor.count"},
    {"process_max_fds", "process.unix.file_descriptor.limit"},
};

static const struct otlp_key keys[] = {
    {"service", "outrigger.service", OTLP_KEY_TEXT},
    {"route", "outrigger.route", OTLP_KEY_TEXT},
    {"http_route", "http.route", OTLP_KEY_TEXT},
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

const char *otlp_metric_unit(const struct metric_family *family) {
    const struct bytes name = without(bytes_from_text(family->name), BYTES("_total"));
    return bytes_ends_with(name, BYTES("_seconds")) ? "s" : bytes_ends_with(name, BYTES("_bytes")) ? "By" : "1";
}
