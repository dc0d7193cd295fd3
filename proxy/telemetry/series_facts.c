// The words of OpenTelemetry's conventions (semantic-conventions, http-metrics and rpc-metrics) for what a request was: see series_facts.h.
#include "telemetry/series_facts.h"

#include "base/check.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define X(name) BYTES_OF(name),
static const struct bytes method_names[] = {REQUEST_METHOD_LIST(X)};
#undef X
static_assert(sizeof(method_names) / sizeof(*method_names) == REQUEST_METHODS, "a name for each method");

struct bytes request_method_name(unsigned method) {
    CHECK(method < REQUEST_METHODS);
    return method_names[method];
}

static bool is_of_family(struct bytes name, enum metric metric) {
    const char *const *labels = metric_family(metric)->labels;
    for (; *labels != NULL; labels++)
        if (bytes_equal(name, bytes_from_text(*labels)))
            return true;
    return false;
}

// Prometheus' data model: [a-zA-Z_][a-zA-Z0-9_]*, those that begin with __ are its own, as are `le`, and `job` and `instance` of each target.
enum metric series_metric(enum series_family family) {
    static const enum metric metrics[SERIES_FAMILIES] = {
        [SERIES_HTTP_SERVER] = METRIC_SERVER_DURATION,    [SERIES_HTTP_CLIENT] = METRIC_CLIENT_DURATION,
        [SERIES_RPC_SERVER] = METRIC_RPC_SERVER_DURATION, [SERIES_RPC_CLIENT] = METRIC_RPC_CLIENT_DURATION,
        [SERIES_OPAQUE] = METRIC_OPAQUE_DURATION,         [SERIES_ENDS] = METRIC_REQUEST_ENDS};
    return metrics[family];
}

bool series_are_of(const struct metric_family *family) {
    for (int of = 0; of < SERIES_ENDS; of++)
        if (metric_family(series_metric((enum series_family)of)) == family)
            return true;
    return false;
}

bool series_label_may_be(struct bytes name) {
    if (name.len == 0 || name.len > SERIES_LABEL_NAME_MAX || bytes_starts_with(name, BYTES("__")))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.at[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    static const struct bytes taken[] = {BYTES_OF("le"), BYTES_OF("quantile"), BYTES_OF("job"), BYTES_OF("instance")}; // by Prometheus
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (bytes_equal(name, taken[i]))
            return false;
    for (int family = 0; family < SERIES_ENDS; family++)
        if (is_of_family(name, series_metric((enum series_family)family)))
            return false;
    return true;
}

static struct bytes version_name(uint8_t version) {
    return version == 10 ? BYTES("1.0") : version == 11 ? BYTES("1.1") : version == 20 ? BYTES("2") : BYTES_NONE;
}

struct bytes rpc_status_name(uint16_t code) {
    static const struct bytes names[] = {
        BYTES_OF("OK"),
        BYTES_OF("CANCELLED"),
        BYTES_OF("UNKNOWN"),
        BYTES_OF("INVALID_ARGUMENT"),
        BYTES_OF("DEADLINE_EXCEEDED"),
        BYTES_OF("NOT_FOUND"),
        BYTES_OF("ALREADY_EXISTS"),
        BYTES_OF("PERMISSION_DENIED"),
        BYTES_OF("RESOURCE_EXHAUSTED"),
        BYTES_OF("FAILED_PRECONDITION"),
        BYTES_OF("ABORTED"),
        BYTES_OF("OUT_OF_RANGE"),
        BYTES_OF("UNIMPLEMENTED"),
        BYTES_OF("INTERNAL"),
        BYTES_OF("UNAVAILABLE"),
        BYTES_OF("DATA_LOSS"),
        BYTES_OF("UNAUTHENTICATED"),
    };
    return code < sizeof names / sizeof names[0] ? names[code] : names[2];
}

// 2 UNKNOWN, 4 DEADLINE_EXCEEDED, 12 UNIMPLEMENTED, 13 INTERNAL, 14 UNAVAILABLE, 15 DATA_LOSS: what a server answers for; a caller has failed with whatever is not OK.
static bool is_rpc_error(const struct series_facts *facts) {
    const unsigned of_servers = 1U << 2 | 1U << 4 | 1U << 12 | 1U << 13 | 1U << 14 | 1U << 15;
    return facts->family == SERIES_RPC_CLIENT ? facts->status != 0 : facts->status > 16 || (of_servers >> facts->status & 1) != 0;
}

static struct bytes direction_name(uint8_t direction) {
    static const struct bytes names[] = {
        [REQUEST_OUTBOUND] = BYTES_OF("outbound"), [REQUEST_INBOUND] = BYTES_OF("inbound"), [REQUEST_GATEWAY] = BYTES_OF("gateway")};
    CHECK(direction < sizeof names / sizeof names[0]);
    return names[direction];
}

static bool is_rpc(const struct series_facts *facts) {
    return facts->family == SERIES_RPC_SERVER || facts->family == SERIES_RPC_CLIENT;
}

static bool is_error(const struct series_facts *facts) {
    if (is_rpc(facts))
        return is_rpc_error(facts);
    return facts->status >= (facts->family == SERIES_HTTP_SERVER ? 500 : 400);
}

// What the convention calls error.type: our name for what went wrong, else the status where that tells of an error.
static struct bytes error_of(const struct series_facts *facts, struct bytes status) {
    if (facts->error != 0)
        return bytes_from_text(error_name((enum error) - (int)facts->error));
    return is_error(facts) ? status : BYTES_NONE;
}

void series_facts_end(struct series_facts *facts, enum error end) {
    CHECK(end <= OK && -(int)end <= ERROR_COUNT);
    const bool is_refusal = facts->family == SERIES_HTTP_SERVER && facts->status >= 400 && facts->status < 500;
    const bool is_meant = is_refusal || (is_rpc(facts) && !is_error(facts));
    facts->error = end == OK || end == ERROR_CLIENT_GONE || is_meant ? 0 : (uint8_t) - (int)end;
}

// Of "namespace/name:port".
static struct bytes server_address(struct bytes service) {
    const size_t slash = bytes_find(service, '/');
    const size_t begin = slash < service.len ? slash + 1 : 0;
    const struct bytes rest = bytes_from(service.at + begin, service.len - begin);
    return slash < service.len ? bytes_from(rest.at, bytes_find(rest, ':')) : BYTES_NONE;
}

static struct bytes server_port(struct bytes service) {
    const size_t colon = bytes_find(service, ':');
    return colon < service.len ? bytes_from(service.at + colon + 1, service.len - colon - 1) : BYTES_NONE;
}

void series_label_values(const struct series_facts *facts, struct bytes service, struct bytes route, struct bytes rpc_method,
                         char number[SERIES_NUMBER_MAX], struct bytes values[METRIC_LABELS_MAX]) {
    const struct bytes method = !is_rpc(facts) ? request_method_name(facts->method) : rpc_method.len > 0 ? rpc_method : BYTES(REQUEST_OTHER);
    const int length = facts->status > 0 ? snprintf(number, SERIES_NUMBER_MAX, "%u", facts->status) : 0;
    const struct bytes status = is_rpc(facts) ? rpc_status_name(facts->status) : bytes_from(number, (size_t)length);
    const struct bytes error = error_of(facts, status), version = version_name(facts->version);
    const struct bytes address = server_address(service), port = server_port(service), grpc = BYTES("grpc");
    switch ((enum series_family)facts->family) {
    case SERIES_HTTP_SERVER: {
        const struct bytes scheme = facts->is_secure ? BYTES("https") : BYTES("http");
        memcpy(values, (const struct bytes[]){service, route, method, scheme, status, error, version}, 7 * sizeof *values);
        break;
    }
    case SERIES_HTTP_CLIENT:
        memcpy(values, (const struct bytes[]){service, route, method, address, port, status, error, version}, 8 * sizeof *values);
        break;
    case SERIES_RPC_SERVER:
        memcpy(values, (const struct bytes[]){service, route, grpc, method, status, error}, 6 * sizeof *values);
        break;
    case SERIES_RPC_CLIENT:
        memcpy(values, (const struct bytes[]){service, route, grpc, method, address, port, status, error}, 8 * sizeof *values);
        break;
    case SERIES_OPAQUE:
        memcpy(values, (const struct bytes[]){direction_name(facts->direction), service, route, error}, 4 * sizeof *values);
        break;
    case SERIES_ENDS: {
        const struct bytes end = bytes_from_text(error_name((enum error) - (int)facts->error));
        memcpy(values, (const struct bytes[]){direction_name(facts->direction), service, end}, 3 * sizeof *values);
        break;
    }
    case SERIES_FAMILIES:
        CHECK(false);
    }
}
