// /config: the set of documents in force, when it came, and what is wrong with a newer one. Paths of files are shown, what is in keys never is.
#include "admin/config_words.h"
#include "admin/json_build.h"
#include "admin/pages.h"

#include <jansson.h>

static json_t *listener_row(const struct listener_config *listener) {
    json_t *row = json_object();
    json_set_text(row, "name", listener->name);
    json_set(row, "role", json_string(role_word(listener->role)));
    json_set_text(row, "address", listener->address.text);
    if (listener->role == ROLE_INBOUND) {
        json_set_text(row, "forward_to", listener->forward_to.text);
        json_set(row, "mtls", json_string(mtls_word(listener->mtls)));
    } else if (listener->role == ROLE_TCP) {
        json_set_text(row, "service", listener->service->key);
    } else {
        json_set(row, "unknown_hosts", json_string(listener->unknown_hosts == UNKNOWN_HOSTS_REJECT ? "Reject" : "Passthrough"));
    }
    json_set_place(row, &listener->place);
    return row;
}

static json_t *proxy_value(const struct proxy_config *proxy) {
    json_t *value = json_object();
    json_set_text(value, "namespace", proxy->namespace_name);
    json_set_text(value, "name", proxy->name);
    json_set_text(value, "service", proxy->service);
    json_set_number(value, "workers", proxy->workers);
    json_set_place(value, &proxy->place);
    json_set_text(value, "admin", proxy->admin.text);
    json_set_text(value, "metrics", proxy->metrics.text);
    const struct telemetry_config *telemetry = &proxy->telemetry;
    json_set_text(value, "access_log", telemetry->access_log.format == LOG_FORMAT_OTLP ? BYTES("OTLP") : telemetry->access_log.path);
    if (telemetry->audit_log.is_kept)
        json_set_text(value, "audit_log", telemetry->audit_log.format == AUDIT_FORMAT_OTLP ? BYTES("OTLP") : telemetry->audit_log.path);
    if (proxy->identity.given) {
        json_set_text(value, "certificate", proxy->identity.certificate);
        json_set_text(value, "private_key", proxy->identity.private_key);
        json_set_text(value, "trust_bundle", proxy->identity.trust_bundle);
    }
    json_t *listeners = json_array();
    for (uint32_t i = 0; i < proxy->listener_count; i++)
        json_array_append_new(listeners, listener_row(&proxy->listeners[i]));
    json_set(value, "listeners", listeners);
    return value;
}

static json_t *traffic_value(const struct traffic_config *traffic) {
    json_t *value = json_object();
    json_set_text(value, "policy", traffic->policy);
    json_set_place(value, &traffic->place);
    json_set(value, "load_balancer", json_string(lb_type_name(traffic->load_balancer.type)));
    json_set(value, "connect_timeout", json_duration(traffic->connections.connect_timeout));
    json_set_number(value, "max_connections", traffic->connections.max);
    json_set_number(value, "max_pending", traffic->connections.max_pending);
    json_set_number(value, "max_streams", traffic->connections.max_streams);
    json_set(value, "idle_timeout", json_duration(traffic->connections.idle_timeout));
    json_set(value, "http1_idle_timeout", json_duration(traffic->connections.http1_idle_timeout));
    json_set(value, "request_timeout", json_duration(traffic->timeouts.request));
    json_set(value, "backend_request_timeout", json_duration(traffic->timeouts.backend_request));
    json_set(value, "stream_idle_timeout", json_duration(traffic->timeouts.idle));
    json_set_number(value, "retry_attempts", traffic->retry.attempts);
    json_set_number(value, "retry_budget_percent", traffic->retry.budget.percent);
    return value;
}

static void json_set_origin(json_t *row, const struct origin_config *origin) {
    json_t *names = json_array();
    json_t *files = json_array();
    for (uint32_t i = 0; i < origin->name_count; i++)
        json_array_append_new(names, json_text(origin->names[i].text));
    for (uint32_t i = 0; i < origin->authorities->file_count; i++)
        json_array_append_new(files, json_text(origin->authorities->files[i]));
    json_set_text(row, "sni", origin->server_name);
    json_set(row, "expects", names);
    json_set(row, "ca_files", files);
}

static json_t *endpoint_row(const struct endpoint_config *endpoint) {
    json_t *row = json_object();
    const struct endpoint_traits *traits = endpoint->traits;
    char address[ENDPOINT_ADDRESS_TEXT_MAX];
    json_set_text(row, "address", bytes_from(address, endpoint_address_print(&endpoint->address, address)));
    json_set(row, "tls", json_string(tls_mode_word(traits->tls)));
    json_set_number(row, "weight", endpoint->weight);
    json_set_text(row, "zone", traits->zone);
    json_set_text(row, "region", traits->region);
    json_set_number(row, "priority", traits->priority);
    if (traits->origin != NULL)
        json_set_origin(row, traits->origin);
    if (traits->identity_count > 0)
        json_set_text(row, "identity", traits->identities[0].text);
    if (traits->identity_count > 1)
        json_set_number(row, "more_identities", traits->identity_count - 1);
    return row;
}

// An endpoint that is looked up: its name in the place of an address.
static json_t *source_row(const struct endpoint_source *source) {
    json_t *row = endpoint_row(&source->endpoint);
    if (source->name.len == 0)
        return row;
    json_set(row, "address", json_null());
    json_set_text(row, "name", source->name);
    json_set_number(row, "port", source->endpoint.address.port);
    return row;
}

static json_t *service_value(const struct service_config *service) {
    static const char *const protocols[] = {
        [PROTOCOL_HTTP] = "HTTP", [PROTOCOL_HTTP1] = "HTTP1", [PROTOCOL_HTTP2] = "HTTP2", [PROTOCOL_GRPC] = "GRPC"};
    json_t *value = json_object();
    json_set_text(value, "service", service->key);
    json_set(value, "protocol", json_string(protocols[service->protocol]));
    json_set_place(value, &service->place);
    json_set(value, "traffic", traffic_value(&service->traffic));
    json_t *endpoints = json_array();
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        json_array_append_new(endpoints, endpoint_row(&service->endpoints[i]));
    for (uint32_t i = 0; i < service->source_count; i++)
        json_array_append_new(endpoints, source_row(&service->sources[i]));
    json_set(value, "endpoints", endpoints);
    return value;
}

void page_config(struct admin_query *query) {
    const struct admin_config *config = &query->figures.config;
    const struct snapshot *snapshot = config->snapshot;
    json_t *value = json_object();
    json_set_number(value, "generation", snapshot != NULL ? snapshot->generation : 0);
    json_set(value, "accepted_at", json_wall_time(config->loaded_wall));
    json_set(value, "checked_at", json_wall_time(config->checked_wall));
    json_set_number(value, "load_us", config->load_duration / NS_PER_US);
    json_set_number(value, "files", config->loads.files);
    json_set_number(value, "documents", config->loads.documents);
    json_set(value, "paths", json_lines(config->paths, config->path_count));
    json_set(value, "pending_errors", json_lines(config->errors, config->error_count));
    json_set(value, "warnings", json_lines(config->warnings, config->warning_count));
    if (snapshot != NULL) {
        json_set(value, "proxy", proxy_value(&snapshot->proxy));
        json_t *services = json_array();
        for (uint32_t i = 0; i < snapshot->service_count; i++)
            json_array_append_new(services, service_value(snapshot->services[i]));
        json_set(value, "services", services);
    }
    admin_reply(query, 200, value);
}
