// One row of a table of endpoints: see endpoint_row.h.
#include "admin/endpoint_row.h"

#include "admin/json_build.h"

#include <jansson.h>

json_t *endpoint_row(const struct admin_endpoint *endpoint) {
    json_t *row = json_object();
    json_set_text(row, "address", endpoint->address);
    json_set_text(row, "state", endpoint->state);
    if (endpoint->health.len > 0)
        json_set_text(row, "health", endpoint->health);
    json_set_text(row, "tls", endpoint->tls);
    if (endpoint->tls_failure.len > 0)
        json_set_text(row, "tls_failure", endpoint->tls_failure);
    json_set_number(row, "weight", endpoint->weight);
    json_set_number(row, "active", endpoint->active);
    json_set_number(row, "ewma_us", endpoint->ewma / NS_PER_US);
    json_set_number(row, "connections", endpoint->connections);
    json_set_number(row, "idle", endpoint->idle);
    json_set_number(row, "connecting", endpoint->connecting);
    json_set_number(row, "requests", endpoint->requests);
    json_set_number(row, "failures", endpoint->failures);
    json_set_number(row, "priority", endpoint->priority);
    json_set_text(row, "zone", endpoint->zone);
    json_set_text(row, "region", endpoint->region);
    return row;
}
