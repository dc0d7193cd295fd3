// What the end of a client's connection means, in one table: the counter of it, the limit that it hit, and what the streams that are open on it end with. And what
// the audit log is told of those that mutual TLS refuses: there is no request yet, or none any more, that could be.
#include "downstream/server_conn_private.h"

#include "net/tcp.h"
#include "net/tls.h"

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

// Whoever went, or refused us, was not refused; a gateway's client shows nothing that could be.
static bool is_refused_in_handshake(const struct server_conn *conn, enum error reason) {
    if (conn->is_edge || conn->client.secure || (reason != ERROR_TLS_FAILED && reason != ERROR_IDENTITY_MISMATCH))
        return false;
    if (!conn->transport->secure)
        return true; // it was not even begun
    const enum tls_failure failure = tls_failure_of(conn->transport);
    return failure != TLS_FAILURE_PEER_ALERT && failure != TLS_FAILURE_CLOSED && failure != TLS_FAILURE_TIMEOUT;
}

// Empty: it was not.
static struct bytes why_refused(const struct server_conn *conn, enum error reason) {
    const bool is_ended = reason == ERROR_UNAUTHENTICATED; // by us, at a time that was set
    if (is_ended && (conn->is_edge || !conn->transport->secure))
        return BYTES("only mutual TLS is let in any more"); // server_conn_check_mode: it never had a certificate
    if (conn->distrusted || (is_ended && !conn->client.secure))
        return BYTES("its certificate is no longer trusted");
    if (is_ended)
        return BYTES("its certificate has ended");
    if (!is_refused_in_handshake(conn, reason))
        return BYTES_NONE;
    return conn->transport->failure == NULL ? BYTES("this proxy has no identity yet") : bytes_from_text(conn->transport->failure);
}

static void tell_refused(const struct server_conn *conn, enum error reason) {
    const struct stream_env *env = conn->listener->downstream->env;
    const struct bytes why = why_refused(conn, reason);
    if (why.len == 0 || env->audit_connection == NULL || !conn->listener->bound->snapshot->proxy.telemetry.audit_log.denials)
        return;
    char peer[ADDRESS_TEXT_MAX];
    const nanoseconds lasted = env->loop->now - conn->opened_at;
    const struct access_record record = {
        .start_wall = loop_wall(env->loop) - lasted,
        .duration = lasted,
        .listener = conn->listener->name,
        .direction = BYTES("inbound"), // nobody else asks for certificates
        .tls = conn->transport->secure,
        .end = conn->distrusted ? ERROR_UNAUTHENTICATED : reason,
        .detail = why,
        .peer = bytes_from(peer, address_print(&conn->address, peer, sizeof peer)),
        .peer_identity = conn->client.identity != NULL ? conn->client.identity->text : BYTES_NONE,
    };
    env->audit_connection(env->audit_user, &record);
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
    tell_refused(conn, reason);
    return meaning->stream_end;
}
