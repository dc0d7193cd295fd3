// What the end of a client's connection means, in one table: the counter of it, the limit that it hit, and what the streams that are open on it end with.
#include "downstream/server_conn_private.h"

#define NO_LIMIT LIMIT_METRIC_COUNT

struct meaning {
    enum error reason;
    enum error stream_end; // CLIENT_GONE: the client's doing; all else is ours
    enum limit_metric limit;
    size_t counter; // where in struct worker_metrics
};

#define COUNTER(name) offsetof(struct worker_metrics, downstream_closed_##name)

static const struct meaning meanings[] = {
    {ERROR_CONNECTION_CLOSED, ERROR_CLIENT_GONE, NO_LIMIT, COUNTER(peer)},
    {ERROR_CONNECTION_RESET, ERROR_CLIENT_GONE, NO_LIMIT, COUNTER(reset)},
    {ERROR_CLIENT_GONE, ERROR_CLIENT_GONE, NO_LIMIT, COUNTER(reset)},
    {ERROR_TLS_FAILED, ERROR_CLIENT_GONE, NO_LIMIT, COUNTER(tls)},
    {ERROR_IDENTITY_MISMATCH, ERROR_CLIENT_GONE, NO_LIMIT, COUNTER(tls)},
    {ERROR_IDLE_TIMEOUT, ERROR_CLIENT_GONE, LIMIT_METRIC_IDLE_TIMEOUT, COUNTER(idle)},
    {ERROR_HEADER_TIMEOUT, ERROR_HEADER_TIMEOUT, LIMIT_METRIC_HEADER_TIMEOUT, COUNTER(header_timeout)},
    {ERROR_DRAINING, ERROR_DRAINING, NO_LIMIT, COUNTER(drain)},
    {ERROR_UNAUTHENTICATED, ERROR_UNAUTHENTICATED, NO_LIMIT, COUNTER(untrusted)}, // the peer's certificate has ended or is no longer trusted
    {ERROR_PROTOCOL, ERROR_FRAMING_INVALID, NO_LIMIT, COUNTER(protocol)},
    {ERROR_FRAMING_INVALID, ERROR_FRAMING_INVALID, NO_LIMIT, COUNTER(protocol)},
    {ERROR_BAD_REQUEST, ERROR_BAD_REQUEST, NO_LIMIT, COUNTER(protocol)},
    {ERROR_FLOOD, ERROR_BAD_REQUEST, NO_LIMIT, COUNTER(flood)},
    {ERROR_MEMORY_LIMIT, ERROR_CLIENT_GONE, LIMIT_METRIC_MEMORY, offsetof(struct worker_metrics, downstream_refused_memory)}, // before its handshake
};

// Nothing was wrong: all was said.
static const struct meaning finished = {OK, ERROR_CLIENT_GONE, NO_LIMIT, COUNTER(finished)};

static const struct meaning *meaning_of(enum error reason) {
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].reason == reason)
            return &meanings[i];
    return &finished;
}

enum error server_conn_note_close(struct server_conn *conn, enum error reason) {
    struct worker_metrics *metrics = metrics_of(conn);
    const struct meaning *meaning = meaning_of(reason);
    // Whatever ends it then: it was to end since its peer is no longer trusted.
    size_t counted = conn->distrusted ? COUNTER(untrusted) : meaning->counter;
    if (meaning->limit != NO_LIMIT)
        limit_hit(metrics->limits, meaning->limit);
    char *cells = (void *)metrics;
    struct metric_cell *counter = (void *)(cells + counted);
    metric_add(counter, 1);
    return meaning->stream_end;
}
