// See client_view.h. Reads what server_conn has; changes nothing.
#include "downstream/client_view.h"

#include "downstream/server_conn_private.h"

static struct bytes state_of(const struct server_conn *conn) {
    static const struct bytes names[] = {
        [CONN_HEADER] = BYTES_OF("new"), [CONN_DETECT] = BYTES_OF("new"),     [CONN_HANDSHAKE] = BYTES_OF("handshake"),
        [CONN_OPEN] = BYTES_OF("open"),  [CONN_LINGER] = BYTES_OF("closing"), [CONN_CLOSED] = BYTES_OF("closed"),
    };
    if (conn->phase != CONN_OPEN)
        return names[conn->phase];
    return conn->draining ? BYTES("draining") : is_idle(conn) ? BYTES("idle") : names[CONN_OPEN];
}

static struct bytes protocol_of(const struct server_conn *conn) {
    if (conn->codec == NULL)
        return BYTES_NONE;
    return conn->codec->version == HTTP_2 ? BYTES("HTTP/2") : conn->codec->version == HTTP_NONE ? BYTES("bytes") : BYTES("HTTP/1");
}

static struct client_view view_of(const struct server_conn *conn) {
    return (struct client_view){
        .number = conn->number,
        .listener = conn->listener->name,
        .address = &conn->address,
        .identity = conn->client.identity,
        .alpn = conn->phase == CONN_CLOSED ? BYTES_NONE : conn->transport->alpn,
        .protocol = protocol_of(conn),
        .state = state_of(conn),
        .opened_at = conn->opened_at,
        .streams = conn->stream_count,
        .bytes_in = conn->phase == CONN_CLOSED ? 0 : conn->transport->bytes_in,
        .bytes_out = conn->phase == CONN_CLOSED ? 0 : conn->transport->bytes_out,
        .secure = conn->client.secure,
    };
}

void downstream_view(const struct downstream *downstream, uint64_t before, bool (*visit)(void *user, const struct client_view *view), void *user) {
    LIST_EACH(&downstream->live, node, following) {
        const struct server_conn *conn = LIST_ENTRY(node, struct server_conn, live);
        if (conn->number >= before)
            continue;
        struct client_view view = view_of(conn);
        if (!visit(user, &view))
            return;
    }
}
