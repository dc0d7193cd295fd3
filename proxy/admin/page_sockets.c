// Pages of sockets and what they hold: /listeners, /connections, /memory. Names and identities of peers are theirs: they are escaped as JSON, and as text_view does.
#include "admin/config_words.h"
#include "admin/json_build.h"
#include "admin/pages.h"
#include "base/block.h"
#include "base/memory_budget.h"

#include <jansson.h>
#include <stdio.h>

// --- /listeners ---

// The row of /limits for the connections of a listener. Ours, admin and metrics, stand behind those of the documents, which may have the same name.
static const struct admin_limit *find_limit(const struct admin_figures *figures, struct bytes scope, bool last) {
    const struct admin_limit *found = NULL;
    for (uint32_t i = 0; i < figures->limit_count && (found == NULL || last); i++) {
        const struct admin_limit *limit = &figures->limits[i];
        if (bytes_equal(limit->name, BYTES("connections")) && bytes_equal(limit->scope, scope))
            found = limit;
    }
    return found;
}

static void set_connections(json_t *row, const struct admin_limit *limit) {
    if (limit == NULL)
        return;
    json_set_number(row, "connections", limit->use);
    json_set_number(row, "peak", limit->peak);
    json_set(row, "limit", limit->value > 0 ? json_integer((json_int_t)limit->value) : json_null());
    json_set_number(row, "refused", limit->hits);
}

static const char *state_of(const struct admin_figures *figures, const struct listener_config *listener) {
    if (!figures->listens)
        return "closed";
    return figures->draining && role_is_reached(listener->role) ? "draining" : "listening";
}

// What is spoken, inside TLS where that is asked for. An Inbound listener may say it for each of its ports.
static const char *inner_protocol(const struct listener_config *listener) {
    static const char *const words[] = {"HTTP", "bytes", "HTTP or bytes"};
    const unsigned undecided = listener_detects(listener) ? 2 : 0;
    if (listener->role == ROLE_TCP || gateway_is_opaque(listener->gateway))
        return "bytes";
    if (listener->role != ROLE_INBOUND)
        return words[undecided];
    unsigned spoken = 0;
    for (uint32_t i = 0; i <= listener->forward_count; i++) {
        enum app_protocol protocol = i < listener->forward_count ? listener->forwards[i].protocol : listener->app_protocol;
        unsigned one = protocol == APP_PROTOCOL_AUTO ? undecided : protocol == APP_PROTOCOL_TCP ? 1 : 0;
        spoken = i == 0 || spoken == one ? one : 2;
    }
    return words[spoken];
}

static json_t *protocol_value(const struct listener_config *listener) {
    const char *inner = inner_protocol(listener);
    if (gateway_passes_tls(listener->gateway))
        return json_string("TLS that goes through");
    if (gateway_ends_tls(listener->gateway))
        return json_sprintf("TLS with %s inside", inner);
    if (listener->role != ROLE_INBOUND || listener->mtls == MTLS_DISABLE)
        return json_string(inner);
    return json_sprintf(listener->mtls == MTLS_STRICT ? "mutual TLS with %s inside" : "%s, or mutual TLS with the same inside", inner);
}

// The listeners of a Gateway that stand on the port: each has the hosts that it takes.
static json_t *gateway_hosts(struct pool *pool, const struct gateway_config *gateway) {
    json_t *hosts = json_array();
    for (uint32_t i = 0; i < gateway->listener_count; i++) {
        const struct gateway_listener *listener = gateway->listeners[i];
        bool is_wildcard = listener->hostname.len > 0 && listener->hostname.at[0] == '.';
        struct bytes host = listener->hostname.len == 0 ? BYTES("*") : listener->hostname;
        json_array_append_new(hosts,
                              json_text(pool_format(pool, "%.*s: %s%.*s", BYTES_FORMAT(listener->name), is_wildcard ? "*" : "", BYTES_FORMAT(host))));
    }
    return hosts;
}

static json_t *forwards_value(struct pool *pool, const struct listener_config *listener) {
    json_t *forwards = json_array();
    for (uint32_t i = 0; i < listener->forward_count; i++) {
        const struct forward_config *forward = &listener->forwards[i];
        json_array_append_new(forwards, json_text(pool_format(pool, "port %u to %.*s", forward->port, BYTES_FORMAT(forward->to.text))));
    }
    return forwards;
}

static void set_target(struct pool *pool, json_t *row, const struct listener_config *listener) {
    if (listener->role == ROLE_GATEWAY) {
        const struct gateway_config *gateway = listener->gateway;
        json_set_text(row, "leads_to", pool_format(pool, "Gateway/%.*s/%.*s", BYTES_FORMAT(gateway->namespace_name), BYTES_FORMAT(gateway->name)));
        json_set(row, "hosts", gateway_hosts(pool, gateway));
    } else if (listener->role == ROLE_OUTBOUND) {
        json_set(row, "leads_to", json_string("the service that is asked for"));
    } else {
        json_set_text(row, "leads_to", listener->forward_to.text);
    }
    if (listener->forward_count > 0)
        json_set(row, "forwards", forwards_value(pool, listener));
    if (listener->service != NULL)
        json_set_text(row, "service", listener->service->key);
}

static json_t *listener_row(struct admin_query *query, const struct listener_config *listener) {
    const struct admin_figures *figures = &query->figures;
    json_t *row = json_object();
    json_set_text(row, "name", listener->name);
    json_set(row, "role", json_string(role_word(listener->role)));
    json_set_text(row, "address", listener->address.text);
    json_set(row, "state", json_string(state_of(figures, listener)));
    json_set(row, "protocol", protocol_value(listener));
    json_set(row, "transparent", json_boolean(listener->transparent));
    set_connections(row, find_limit(figures, pool_format(&query->pool, "listener/%.*s", BYTES_FORMAT(listener->name)), false));
    set_target(&query->pool, row, listener);
    json_set_place(row, &listener->place);
    return row;
}

// Of a socket that is taken from the documents once, at the start: what `wanted` says of it may be something else by now. NULL: there is none and none is wanted.
static json_t *own_row(const struct admin_figures *figures, const char *name, const char *role, struct bytes in_force, struct bytes wanted) {
    char scope[32];
    if (in_force.len == 0 && wanted.len == 0)
        return NULL;
    json_t *row = json_object();
    json_set(row, "name", json_string(name));
    json_set(row, "role", json_string(role));
    json_set_text(row, "address", in_force.len > 0 ? in_force : wanted);
    json_set(row, "state", json_string(in_force.len > 0 ? "listening" : "needs a restart"));
    json_set(row, "protocol", json_string("HTTP"));
    snprintf(scope, sizeof scope, "listener/%s", name);
    set_connections(row, find_limit(figures, bytes_from_text(scope), true));
    json_set(row, "leads_to", json_string("pages"));
    if (!bytes_equal(in_force, wanted))
        json_set_text(row, "after_restart", wanted.len > 0 ? wanted : BYTES("none"));
    return row;
}

static void add_row(json_t *list, json_t *row) {
    if (row != NULL)
        json_array_append_new(list, row);
}

void page_listeners(struct admin_query *query) {
    const struct admin_figures *figures = &query->figures;
    json_t *list = json_array();
    const struct proxy_config *proxy = figures->config.snapshot != NULL ? &figures->config.snapshot->proxy : NULL;
    for (uint32_t i = 0; proxy != NULL && i < proxy->listener_count; i++)
        json_array_append_new(list, listener_row(query, &proxy->listeners[i]));
    add_row(list, own_row(figures, "admin", "Admin", figures->admin_address, proxy != NULL ? proxy->admin.text : BYTES_NONE));
    add_row(list, own_row(figures, "metrics", "Metrics", figures->metrics_address, proxy != NULL ? proxy->metrics.text : BYTES_NONE));
    admin_reply(query, 200, list);
}

// --- /connections ---

static json_t *connection_row(const struct admin_connection *connection, const char *side) {
    json_t *row = json_object();
    json_set(row, "id", json_sprintf("%u-%llu", connection->worker, (unsigned long long)connection->number));
    json_set(row, side, connection->listener.len > 0 ? json_text(connection->listener) : json_null());
    json_set_text(row, "peer", connection->peer);
    json_set_text(row, "state", connection->state);
    json_set_text(row, "protocol", connection->protocol);
    json_set(row, "tls", json_boolean(connection->tls));
    json_set_text(row, "alpn", connection->alpn);
    json_set_text(row, "identity", connection->identity);
    json_set(row, "age_ms", connection->age > 0 ? json_integer((json_int_t)(connection->age / NS_PER_MS)) : json_null());
    json_set_number(row, "streams", connection->streams);
    json_set_number(row, "bytes_in", connection->bytes_in);
    json_set_number(row, "bytes_out", connection->bytes_out);
    return row;
}

static json_t *connections_value(const struct admin_connections *connections, const char *side) {
    json_t *value = json_object();
    json_t *rows = json_array();
    json_set_number(value, "total", connections->total);
    json_set_number(value, "shown", connections->count);
    for (uint32_t i = 0; i < connections->count; i++)
        json_array_append_new(rows, connection_row(&connections->rows[i], side));
    json_set(value, "connections", rows);
    return value;
}

void page_connections(struct admin_query *query) {
    json_t *value = json_object();
    json_set(value, "clients", connections_value(&query->figures.clients, "listener"));
    json_set(value, "endpoints", connections_value(&query->figures.endpoints, "service"));
    admin_reply(query, 200, value);
}

// --- /memory ---

static json_t *worker_row(const struct worker_metrics *metrics, uint32_t number) {
    json_t *row = json_object();
    json_set_number(row, "worker", number);
    json_set_number(row, "blocks_used_bytes", metric_read(&metrics->blocks_used) * BLOCK_SIZE);
    json_set_number(row, "blocks_free_bytes", metric_read(&metrics->blocks_free) * BLOCK_SIZE);
    json_set_number(row, "blocks_peak_bytes", metric_read(&metrics->blocks_peak) * BLOCK_SIZE);
    json_set_number(row, "pools_used_bytes", metric_read(&metrics->chunks_used) * POOL_CHUNK_SIZE);
    json_set_number(row, "pools_free_bytes", metric_read(&metrics->chunks_free) * POOL_CHUNK_SIZE);
    json_set_number(row, "http2_used_bytes", metric_read(&metrics->h2_bytes_used));
    json_set_number(row, "http2_free_bytes", metric_read(&metrics->h2_bytes_free));
    json_set_number(row, "http2_windows_grown_bytes", metric_read(&metrics->windows_grown));
    json_set_number(row, "tls_free_bytes", metric_read(&metrics->tls_bytes_free));
    return row;
}

static json_t *budget_value(const struct admin_memory *memory) {
    static const char *const sheds[] = {
        [MEMORY_PLENTY] = "nothing",
        [MEMORY_KEEP_NOTHING] = "free lists",
        [MEMORY_CLOSE_IDLE] = "free lists, idle connections",
        [MEMORY_REFUSE_REQUESTS] = "free lists, idle connections, new requests",
        [MEMORY_REFUSE_CONNECTIONS] = "free lists, idle connections, new requests, new connections",
    };
    json_t *value = json_object();
    bool is_limited = memory->budget_limit > 0;
    json_set(value, "limit_bytes", is_limited ? json_integer((json_int_t)memory->budget_limit) : json_null());
    json_set(value, "use_bytes", is_limited ? json_integer((json_int_t)memory->budget_use) : json_null());
    json_set(value, "peak_bytes", is_limited ? json_integer((json_int_t)memory->budget_peak) : json_null());
    json_set_number(value, "sheds_from_percent", memory->budget_percent);
    json_set_number(value, "level", memory->level);
    json_set(value, "sheds", json_string(sheds[memory->level]));
    return value;
}

void page_memory(struct admin_query *query) {
    const struct admin_memory *memory = &query->figures.memory;
    json_t *value = json_object();
    json_t *workers = json_array();
    json_set(value, "resident_bytes", memory->resident > 0 ? json_integer((json_int_t)memory->resident) : json_null());
    json_set(value, "budget", budget_value(memory));
    for (uint32_t i = 0; i < query->figures.worker_count; i++)
        json_array_append_new(workers, worker_row(memory->workers[i], i));
    json_set(value, "workers", workers);
    admin_reply(query, 200, value);
}
