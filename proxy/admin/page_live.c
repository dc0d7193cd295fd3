// Pages of live state: /clusters, /limits, /certs.
#include "admin/endpoint_row.h"
#include "admin/json_build.h"
#include "admin/pages.h"

#include <jansson.h>

static json_t *name_row(const struct admin_name *name) {
    json_t *row = json_object();
    json_set_text(row, "name", name->name);
    json_set_text(row, "type", name->type);
    json_set_text(row, "state", name->state);
    json_set(row, "outcome", name->outcome.len > 0 ? json_text(name->outcome) : json_null());
    json_set_number(row, "records", name->records);
    json_set(row, "ttl_s", name->answered_wall > 0 && name->ttl_s != UINT32_MAX ? json_integer(name->ttl_s) : json_null());
    json_set(row, "answered_at", name->answered_wall > 0 ? json_wall_time(name->answered_wall) : json_null());
    json_set_number(row, "failures", name->failures);
    json_set(row, "next_in", json_duration(name->next));
    return row;
}

static json_t *service_value(const struct admin_service *service) {
    json_t *value = json_object();
    json_set_text(value, "service", service->key);
    json_set_text(value, "protocol", service->protocol);
    json_set_text(value, "load_balancer", service->load_balancer);
    json_set_text(value, "policy", service->policy);
    json_set_number(value, "waiting", service->waiting);
    json_set_number(value, "retry_budget", service->retry_budget);
    json_set(value, "circuit_breaker", service->breaker.len > 0 ? json_text(service->breaker) : json_null());
    json_set_text(value, "resolution", service->resolution);
    if (service->name_count > 0) {
        json_t *names = json_array();
        for (uint32_t i = 0; i < service->name_count; i++)
            json_array_append_new(names, name_row(&service->names[i]));
        json_set(value, "names", names);
    }
    json_t *endpoints = json_array();
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        json_array_append_new(endpoints, endpoint_row(&service->endpoints[i]));
    json_set(value, "endpoints", endpoints);
    return value;
}

void page_clusters(struct admin_query *query) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < query->figures.service_count; i++)
        json_array_append_new(list, service_value(&query->figures.services[i]));
    admin_reply(query, 200, list);
}

static json_t *limit_row(const struct admin_limit *limit) {
    json_t *row = json_object();
    json_set_text(row, "limit", limit->name);
    json_set_text(row, "scope", limit->scope);
    json_set(row, "value", limit->value > 0 ? json_integer((json_int_t)limit->value) : json_null());
    json_set_text(row, "unit", limit->unit);
    json_set(row, "use", (limit->known & ADMIN_LIMIT_USE) != 0 ? json_integer((json_int_t)limit->use) : json_null());
    json_set(row, "peak", (limit->known & ADMIN_LIMIT_PEAK) != 0 ? json_integer((json_int_t)limit->peak) : json_null());
    json_set(row, "hits", (limit->known & ADMIN_LIMIT_HITS) != 0 ? json_integer((json_int_t)limit->hits) : json_null());
    json_set_text(row, "description", limit->description);
    return row;
}

void page_limits(struct admin_query *query) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < query->figures.limit_count; i++)
        json_array_append_new(list, limit_row(&query->figures.limits[i]));
    admin_reply(query, 200, list);
}

static json_t *certificate_row(const struct admin_certificate *certificate, nanoseconds wall) {
    json_t *row = json_object();
    int64_t left = certificate->not_after - (int64_t)(wall / NS_PER_S);
    json_set_text(row, "role", certificate->role);
    json_set_text(row, "id", certificate->id);
    json_set_text(row, "subject", certificate->subject);
    json_set_text(row, "serial", certificate->serial);
    json_set_text(row, "listener", certificate->listener);
    json_set_text(row, "hostname", certificate->hostname);
    if (certificate->not_after != 0) {
        json_set(row, "not_before", json_wall_time((nanoseconds)certificate->not_before * NS_PER_S));
        json_set(row, "not_after", json_wall_time((nanoseconds)certificate->not_after * NS_PER_S));
        json_set(row, "ends_in", left > 0 ? json_duration((nanoseconds)left * NS_PER_S) : json_string("has ended"));
    }
    json_set_text(row, "file", certificate->file);
    return row;
}

static json_t *ca_set_row(const struct admin_ca_set *set) {
    json_t *row = json_object();
    json_set_text(row, "files", set->files);
    json_set_number(row, "certificates", set->certificates);
    json_set(row, "first_end", set->subject.len > 0 ? json_wall_time((nanoseconds)set->first_end * NS_PER_S) : json_null());
    json_set_text(row, "first_to_end", set->subject);
    json_set_text(row, "pending_error", set->error);
    return row;
}

static json_t *edges_value(const struct admin_identity *identity) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < identity->edge_count; i++) {
        const struct admin_edge *edge = &identity->edges[i];
        json_t *row = json_object();
        json_set_text(row, "listener", edge->listener);
        json_set(row, "certificates", json_string(edge->loaded_wall > 0 ? "loaded" : "missing"));
        json_set(row, "loaded_at", json_wall_time(edge->loaded_wall));
        json_set_text(row, "pending_error", edge->error);
        json_array_append_new(list, row);
    }
    return list;
}

void page_certs(struct admin_query *query) {
    const struct admin_identity *identity = &query->figures.identity;
    nanoseconds wall = clock_wall_ns();
    json_t *value = json_object();
    json_set(value, "identity", json_string(!identity->given ? "none" : identity->loaded ? "loaded" : "missing"));
    json_set_number(value, "generation", identity->generation);
    json_set(value, "loaded_at", json_wall_time(identity->loaded_wall));
    json_set_text(value, "pending_error", identity->error);
    json_t *list = json_array();
    for (uint32_t i = 0; i < identity->certificate_count; i++)
        json_array_append_new(list, certificate_row(&identity->certificates[i], wall));
    for (uint32_t i = 0; i < identity->edge_certificate_count; i++)
        json_array_append_new(list, certificate_row(&identity->edge_certificates[i], wall));
    json_set(value, "certificates", list);
    json_t *sets = json_array();
    for (uint32_t i = 0; i < identity->ca_set_count; i++)
        json_array_append_new(sets, ca_set_row(&identity->ca_sets[i]));
    json_set(value, "ca_sets", sets);
    if (identity->edge_count > 0)
        json_set(value, "gateway_listeners", edges_value(identity));
    admin_reply(query, 200, value);
}
