// See report_connections.h. The lists of a worker have the newest first: what comes between two slices stands before the place where the next one goes on.
#include "app/report_connections.h"

#include "base/check.h"
#include "downstream/client_view.h"
#include "net/tcp.h"
#include "upstream/upstream_conn.h"

struct slice {
    struct worker_report *report;
    nanoseconds now;
    uint32_t room; // rows that may still be copied
    uint64_t before;
};

static struct admin_connection *add_row(struct slice *slice, struct admin_connections *side, uint64_t number) {
    struct worker_report *report = slice->report;
    if (side->rows == NULL)
        side->rows = pool_alloc(&report->pool, ADMIN_CONNECTIONS_MAX * sizeof *side->rows);
    struct admin_connection *row = &side->rows[side->count++];
    *row = (struct admin_connection){.worker = report->worker, .number = number};
    slice->room--;
    slice->before = number;
    return row;
}

// Where the next slice goes on; 0: nowhere.
static uint64_t place_of(const struct slice *slice, const struct admin_connections *side) {
    return slice->room > 0 || side->count == ADMIN_CONNECTIONS_MAX ? 0 : slice->before;
}

static bool has_room(const struct slice *slice, const struct admin_connections *side) {
    return slice->room > 0 && side->count < ADMIN_CONNECTIONS_MAX;
}

// --- of clients ---

static bool add_client(void *user, const struct client_view *view) {
    struct slice *slice = user;
    struct admin_connections *side = &slice->report->clients;
    struct pool *pool = &slice->report->pool;
    char address[ADDRESS_TEXT_MAX];
    if (!has_room(slice, side))
        return false;
    struct admin_connection *row = add_row(slice, side, view->number);
    row->listener = pool_copy(pool, view->listener);
    row->peer = pool_copy(pool, bytes_from(address, address_print(view->address, address, sizeof address)));
    row->state = view->state;
    row->protocol = view->protocol;
    row->alpn = pool_copy(pool, view->alpn);
    row->identity = view->identity == NULL ? BYTES_NONE : pool_copy(pool, view->identity->text);
    row->tls = view->secure;
    row->age = slice->now - view->opened_at;
    row->streams = view->streams;
    row->bytes_in = view->bytes_in;
    row->bytes_out = view->bytes_out;
    return true;
}

// --- to endpoints ---

static struct bytes state_of(const struct upstream_conn *conn) {
    if (conn->closing)
        return BYTES("closing");
    if (!conn->open)
        return conn->transport->secure ? BYTES("handshake") : BYTES("connecting");
    return conn->draining ? BYTES("draining") : list_is_empty(&conn->streams) ? BYTES("idle") : BYTES("open");
}

static void add_endpoint(struct slice *slice, const struct upstream_conn *conn) {
    struct pool *pool = &slice->report->pool;
    struct admin_connection *row = add_row(slice, &slice->report->endpoints, conn->number);
    const struct cluster *cluster = conn->endpoint->cluster;
    row->listener = cluster == NULL ? BYTES_NONE : pool_copy(pool, cluster->key);
    row->peer = pool_copy(pool, conn->endpoint->links->text);
    row->state = state_of(conn);
    if (conn->closing)
        return; // its transport may be gone
    if (conn->codec != NULL) {
        row->streams = conn->codec->streams_open;
        row->protocol = conn->codec->version == HTTP_2 ? BYTES("HTTP/2") : conn->codec->version == HTTP_NONE ? BYTES("bytes") : BYTES("HTTP/1");
    }
    row->alpn = pool_copy(pool, conn->transport->alpn);
    row->identity = conn->transport->peer_id == NULL ? BYTES_NONE : pool_copy(pool, conn->transport->peer_id->text);
    row->tls = conn->transport->secure;
    row->age = conn->open ? slice->now - conn->opened_at : 0;
    row->bytes_in = conn->transport->bytes_in;
    row->bytes_out = conn->transport->bytes_out;
}

static void add_endpoints(struct slice *slice, const struct upstream *upstream) {
    const struct admin_connections *side = &slice->report->endpoints;
    LIST_EACH(&upstream->live, node, following) {
        const struct upstream_conn *conn = LIST_ENTRY(node, struct upstream_conn, live);
        if (conn->number >= slice->before)
            continue;
        if (!has_room(slice, side))
            return;
        add_endpoint(slice, conn);
    }
}

void report_connections(struct worker_report *report, const struct reports *reports, uint32_t room) {
    struct slice slice = {.report = report, .now = reports->loop->now, .room = room};
    CHECK(room > 0);
    report->clients.total = atomic_load_explicit(&reports->downstream->connections, memory_order_relaxed);
    report->endpoints.total = reports->upstream->connections;
    if (report->clients_before > 0) {
        slice.before = report->clients_before;
        downstream_view(reports->downstream, slice.before, add_client, &slice);
        report->clients_before = place_of(&slice, &report->clients);
    }
    if (report->endpoints_before > 0 && slice.room > 0) {
        slice.before = report->endpoints_before;
        add_endpoints(&slice, reports->upstream);
        report->endpoints_before = place_of(&slice, &report->endpoints);
    }
}
