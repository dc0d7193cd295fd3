// Makes of a stream that is over the numbers by which it is counted: see stream_count.h.
#include "stream/stream_count.h"

#include "net/tcp.h"
#include "stream/error_reply.h"
#include "stream/stream_telemetry.h"
#include "stream/tracing.h"
#include "telemetry/text_escape.h"

static uint16_t grpc_code(const struct stream *stream) {
    if (stream->grpc_status >= 0)
        return stream->grpc_status > 16 ? 2 : (uint16_t)stream->grpc_status; // what there is not is UNKNOWN, and no series of its own
    if (stream->end != OK)
        return (uint16_t)error_grpc_status(stream->end);
    return error_grpc_of_http(stream->status);
}

struct bytes rpc_method(const struct head *request) {
    const struct bytes path = request->path;
    unsigned slashes = 0;
    for (size_t i = 0; i < path.len; i++) {
        const char c = path.at[i];
        const bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        slashes += c == '/';
        if (!is_word && c != '/')
            return BYTES_NONE;
    }
    return slashes == 2 && path.at[0] == '/' ? bytes_from(path.at + 1, path.len - 1) : BYTES_NONE;
}

// A server that has such a method has answered. One that has none says UNIMPLEMENTED.
bool rpc_method_is_known(const struct stream *stream) {
    const unsigned says_nothing = 1U << 7 | 1U << 12 | 1U << 16;
    const bool is_answer = stream->end == OK && stream->reply == NULL && stream->grpc_status >= 0 && stream->grpc_status <= 16;
    return is_answer && (says_nothing >> stream->grpc_status & 1) == 0;
}

// A gateway is the server of those who come to it.
static bool is_served(const struct stream *stream) {
    return !stream->is_subrequest && role_is_reached(stream->listener->role);
}

static void tell_http(const struct stream *stream, struct series_facts *facts) {
    facts->family = is_served(stream) ? SERIES_HTTP_SERVER : SERIES_HTTP_CLIENT;
    facts->status = stream->status;
    facts->is_secure = is_served(stream) && stream->client.secure;
    if (stream->request == NULL)
        return;
    facts->method = (uint8_t)stream->request->method;
    facts->version = (uint8_t)stream->request->version;
}

static void tell_rpc(const struct stream *stream, struct request_told *told) {
    told->facts.family = is_served(stream) ? SERIES_RPC_SERVER : SERIES_RPC_CLIENT;
    told->facts.status = grpc_code(stream);
    told->method = rpc_method(stream->request);
    told->method_is_known = rpc_method_is_known(stream);
}

static enum request_direction direction_of(const struct stream *stream) {
    static const enum request_direction directions[] = {
        [ROLE_OUTBOUND] = REQUEST_OUTBOUND, [ROLE_INBOUND] = REQUEST_INBOUND, [ROLE_GATEWAY] = REQUEST_GATEWAY, [ROLE_TCP] = REQUEST_OUTBOUND};
    return stream->is_subrequest ? REQUEST_OUTBOUND : directions[stream->listener->role];
}

static void tell_facts(const struct stream *stream, struct request_told *told) {
    if (stream->request != NULL && stream->request->opaque)
        told->facts = (struct series_facts){.family = SERIES_OPAQUE, .direction = (uint8_t)direction_of(stream)};
    else if (stream->request_is_grpc)
        tell_rpc(stream, told);
    else
        tell_http(stream, &told->facts);
    series_facts_end(&told->facts, stream->end);
}

#define VALUES_BYTES_MAX (SERIES_LABELS_MAX * (SERIES_LABEL_VALUE_MAX + 1))

// What the request has for the labels of its policies, a NUL behind each; of what it lacks nothing.
static struct bytes write_values(struct stream *stream, const struct telemetry_rules *rules, char text[VALUES_BYTES_MAX]) {
    size_t length = 0;
    for (uint32_t i = 0; i < rules->metrics.label_count; i++) {
        char address[ADDRESS_TEXT_MAX];
        const struct bytes value = stream_telemetry_value(stream, &rules->metrics.labels[i].from, address);
        length += text_to_label(text + length, SERIES_LABEL_VALUE_MAX, bytes_from(value.at, bytes_find(value, '\0')));
        text[length++] = '\0';
    }
    return bytes_from(text, length);
}

// Behind an inbound listener there is one application: what is refused before it was asked for counts as its own. NULL: no service was found.
static struct bound_destination *destination_of(const struct stream *stream) {
    if (stream->destination != NULL)
        return stream->destination;
    return stream->listener->service != NULL ? bound_find(stream->bound, stream->listener->service) : NULL;
}

void stream_count(struct stream *stream) {
    struct stream_env *env = stream->env;
    struct bound_destination *destination = destination_of(stream);
    // What a histogram of requests is to show is how long the answer took, not for how long a tunnel was used.
    const nanoseconds until = stream->has_tunnel && stream->switched_at > 0 ? stream->switched_at : env->loop->now;
    const struct telemetry_rules *rules = stream_telemetry_rules(stream);
    struct request_told told = {.duration = until - stream->begun, .wall = loop_wall(env->loop)};
    char values[VALUES_BYTES_MAX];
    struct series_scope *ends = destination != NULL ? bound_ends(destination) : series_scope_unrouted(&env->upstream->series);
    series_count_end(&env->upstream->series, ends, direction_of(stream), stream->end, told.wall);
    if (rules->metrics.is_disabled)
        return;
    tell_facts(stream, &told);
    if (stream_is_recorded(stream)) { // the series lead to it
        told.trace_id = stream->tracing->context.trace_id;
        told.span_id = stream->tracing->context.span_id;
    }
    if (destination != NULL && rules->metrics.label_count > 0)
        told.values = write_values(stream, rules, values);
    struct series_scope *scope = destination != NULL ? bound_series(destination) : series_scope_unrouted(&env->upstream->series);
    series_count(&env->upstream->series, scope, &told);
}
